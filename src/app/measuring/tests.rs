//! A feed of persons over the example legacy system, counted a second time in SQL.

use std::path::Path;

use rusqlite::Connection;

use super::*;
use crate::legacy::sqlite::{PersonConstraint, SqliteRead, generate, schema};
use crate::mapping::testing::edited_files;
use crate::mapping::{Policy, Table};

/// A feed of persons with one label, generalised from the cohort.
const PERSONS: &str = r#"
format = 1
id = "naver.eligibility"
version = 4
status = "draft"
title = { ko = "가", en = "a" }
[partner]
id = "naver"
[purpose]
code = "booking"
ko = "가"
en = "a"
[legal]
basis = "pipa-26"
citation = ["개인정보 보호법 제26조"]
[source]
object = "person"
[feed]
kind = "eligibility"
id = { source = "PERSON_ID" }
tick_ms = 60000
mode = "tokens"
membership = "sticky"
[risk]
k_min = 20
small_cell = "generalize"
quasi = ["BIRTH_DT", "SEX_CD"]
[retention]
partner_max = "P30D"
bridge_max = "P7D"
[[field]]
name = "person"
source = "PERSON_ID"
transform = { op = "person_token" }
why = { ko = "가", en = "a" }
[[field]]
name = "group"
source = "COHORT_CD"
transform = { op = "generalize", hierarchy = "cohort", level = "span" }
why = { ko = "가", en = "a" }
"#;
const COHORTS: &str = "code,span,all\nA75,old,any\nA65,old,any\nA60,middle,any\nA55,middle,any\nA50,middle,any\nA18,young,any\nA12,young,any\n";

fn set(mapping: &str) -> MappingSet {
    let shipped = crate::mapping::load(&edited_files(&[])).unwrap();
    let partner = PartnerId::new("naver").unwrap();
    let mapping: FeedMapping = toml::from_str(mapping).unwrap();
    let policy: Policy = shipped.policy().clone();
    MappingSet::assemble(
        shipped.catalogue().clone(),
        policy,
        std::iter::once((partner.clone(), shipped.partner(&partner).unwrap().clone())).collect(),
        std::iter::once(((partner, FeedKind::Eligibility), mapping)).collect(),
        std::iter::once(("hierarchies/cohort".to_owned(), Table::parse(COHORTS).unwrap())).collect(),
        std::collections::BTreeMap::new(),
        None,
    )
}

fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2026-11-22T20:00:00+09:00").unwrap()
}

fn legacy(folder: &Path, people: u32) -> std::path::PathBuf {
    let path = folder.join("legacy.db");
    let mut connection = schema::create(&path, PersonConstraint::UniqueIndex).unwrap();
    let plan = generate::Plan { sites: 20, slots: 60, people, ..generate::Plan::new(5, now()) };
    generate::sites_and_slots(&mut connection, &plan).unwrap();
    generate::persons(&mut connection, &plan, &mut |_, _| {}).unwrap();
    path
}

fn measured(path: &Path, set: &MappingSet) -> Result<Measured, MeasureFailed> {
    let measuring = Measuring { page_rows_max: 700, now: now() };
    measuring.all(&mut SqliteRead::open(path).unwrap(), set, None)
}

/// Sizes of the groups in SQL: span × birth year × sex of persons who may book.
const GROUPS: &str = "SELECT CASE WHEN COHORT_CD IN ('A75', 'A65') THEN 'old' WHEN COHORT_CD IN ('A18', 'A12') \
     THEN 'young' ELSE 'middle' END AS SPAN, substr(BIRTH_DT, 1, 4) AS Y, SEX_CD, COUNT(*) FROM SB_PERSON \
     WHERE STATUS = 'ACTIVE' AND COHORT_CD IN ('A75', 'A65', 'A60', 'A55', 'A50', 'A18', 'A12') GROUP BY 1, 2, 3";

#[test]
fn persons_of_the_legacy_system_are_counted_as_sql_counts_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = legacy(folder.path(), 9_000);
    let measured = measured(&path, &set(PERSONS)).unwrap();
    let report = &measured.reports.reports[0];
    let connection = Connection::open(&path).unwrap();
    let mut statement = connection.prepare(GROUPS).unwrap();
    let groups: Vec<u64> = statement
        .query_map([], |row| row.get::<_, i64>(3).map(i64::unsigned_abs))
        .unwrap()
        .collect::<Result<Vec<u64>, _>>()
        .unwrap();
    let (kept, small): (Vec<u64>, Vec<u64>) = groups.iter().partition(|size| **size >= 20);
    assert!(kept.len() > 20 && small.len() > 5, "{groups:?}");
    assert_eq!(report.persons, groups.iter().sum::<u64>());
    let of_second_doses = "SELECT COUNT(*) FROM SB_PERSON WHERE STATUS = 'ACTIVE' AND COHORT_CD = 'D2'";
    let unreadable: i64 = connection.query_row(of_second_doses, [], |row| row.get(0)).unwrap();
    assert!(unreadable > 0);
    assert_eq!(report.unreadable, unreadable.unsigned_abs(), "the hierarchy has no word for them");
    // An age that no other span has: every small group is alone on the level above too.
    assert_eq!((report.suppressed, report.generalised), (small.iter().sum(), 0));
    assert_eq!(report.rows, kept.iter().sum::<u64>());
    assert_eq!(report.k_smallest, kept.iter().copied().min());
    for (size, many) in &report.histogram {
        assert_eq!(kept.iter().filter(|kept| *kept == size).count() as u64, *many);
    }
    assert_eq!(report.labels.len(), 3);
    assert!(report.labels.iter().all(|label| label.field == "group" && (2..=3).contains(&label.reasons)));
    assert_eq!((report.mapping.as_str(), report.version), ("naver.eligibility", 4));
    let text = serde_json::to_string(&measured.reports).unwrap();
    assert!(!text.contains("P0000") && !text.contains("A75"), "neither keys nor reasons stand in a report");
}

#[test]
fn a_column_that_is_not_there_is_said_and_nothing_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = legacy(folder.path(), 10);
    let failed = measured(&path, &set(&PERSONS.replace("SEX_CD", "REGION_CD"))).unwrap_err();
    assert_eq!(failed.code(), "shape");
    assert!(failed.to_string().contains("REGION_CD"), "{failed}");
}

#[test]
fn quasi_columns_are_fetched_and_no_other_column_of_persons_is() {
    let set = alone(&set(PERSONS), &PartnerId::new("naver").unwrap(), FeedKind::Eligibility, &mapping());
    let layout = set.layout("person").unwrap();
    let names: Vec<&str> = layout.columns.iter().map(|column| &*column.name).collect();
    assert_eq!(names, ["PERSON_ID", "CI", "BIRTH_DT", "SEX_CD", "COHORT_CD", "STATUS", "UPD_DT"]);
}

fn mapping() -> FeedMapping {
    toml::from_str(PERSONS).unwrap()
}
