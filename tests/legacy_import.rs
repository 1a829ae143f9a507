//! Importing publications that repeat ids, omit fields and mix formats: nothing is lost unsaid, and what the views
//! show afterwards is proved equal to what came in.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use serde_json::{Value, json};
use slotbridge::domain::Timestamp;
use slotbridge::legacy::import::{self, Comparison, FieldNames, NoteCode, Publication, Report};
use slotbridge::legacy::sqlite::native::{NativeOutcome, NativeSeller, Selling};
use slotbridge::legacy::sqlite::{PersonConstraint, generate, schema};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/legacy")
}

fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2026-11-22T20:00:00+09:00").unwrap()
}

fn smart() -> Publication {
    import::read_path(&fixtures().join("smart")).unwrap()
}

fn cowin() -> Publication {
    import::read_cowin_file(&fixtures().join("cowin.json")).unwrap()
}

struct Imported {
    folder: tempfile::TempDir,
    connection: Connection,
    report: Report,
}

fn imported(publication: &Publication) -> Imported {
    let folder = tempfile::tempdir().unwrap();
    let mut connection = schema::create(&folder.path().join("legacy.db"), PersonConstraint::UniqueIndex).unwrap();
    let report = import::load(&mut connection, publication, now()).unwrap();
    Imported { folder, connection, report }
}

/// What feeds with every column kept would hold: the interface views as records.
fn published(connection: &Connection) -> (Vec<Value>, Vec<Value>) {
    let rows = |sql: &str, make: &dyn Fn(&rusqlite::Row<'_>) -> Value| -> Vec<Value> {
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| Ok(make(row))).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let text = |row: &rusqlite::Row<'_>, name: &str| row.get::<_, Option<String>>(name).unwrap();
    let int = |row: &rusqlite::Row<'_>, name: &str| row.get::<_, Option<i64>>(name).unwrap();
    let sites = rows("SELECT * FROM SB_SITE", &|row| {
        json!({"id": format!("site-{}", text(row, "SITE_ID").unwrap()), "state": "updated", "data": {
            "name": text(row, "SITE_NM"), "telephone": text(row, "TEL"),
            "lat": row.get::<_, Option<f64>>("LAT").unwrap(), "lon": row.get::<_, Option<f64>>("LON").unwrap(),
            "opens": text(row, "OPEN_TM"), "closes": text(row, "CLOSE_TM")}})
    });
    let slots = rows("SELECT * FROM SB_SLOT", &|row| {
        let start = Timestamp::parse_seoul(&text(row, "SLOT_DT").unwrap()).unwrap();
        let open = text(row, "STATUS").as_deref() == Some("OPEN");
        json!({"slot_id": format!("s-{}", text(row, "SLOT_ID").unwrap()),
            "site_id": format!("site-{}", text(row, "SITE_ID").unwrap()), "start": start.rfc3339(),
            "duration_min": int(row, "DUR_MIN"), "vaccine": text(row, "VACCINE_CD"), "dose": int(row, "DOSE_NO"),
            "min_age": int(row, "MIN_AGE"), "remaining": if open { int(row, "CAPACITY") } else { Some(0) }})
    });
    (sites, slots)
}

fn compared(imported: &Imported, publication: &Publication) -> Comparison {
    let (sites, slots) = published(&imported.connection);
    import::compare(&imported.connection, publication, &sites, &slots, &FieldNames::default()).unwrap()
}

fn count(report: &Report, code: NoteCode) -> u64 {
    report.counts.get(&code).copied().unwrap_or_default()
}

#[test]
fn every_smart_record_is_used_or_named() {
    let publication = smart();
    let imported = imported(&publication);
    let report = &imported.report;
    assert_eq!((report.records_read, report.sites_made, report.slots_made), (26, 4, 5), "{report:#?}");
    assert_eq!(report.units_made, 100 + 1 + 3 + 1 + 7);
    let wanted = [
        (NoteCode::Unreadable, 2),
        (NoteCode::UnknownKind, 1),
        (NoteCode::RequiredMissing, 2),
        (NoteCode::ValueInvalid, 2),
        (NoteCode::ReferenceMissing, 3),
        (NoteCode::Withdrawn, 1),
        (NoteCode::Repeated, 2),
        (NoteCode::Rekeyed, 2),
        (NoteCode::IdReplaced, 1),
        (NoteCode::ReferenceAmbiguous, 1),
        (NoteCode::DefaultUsed, 2),
        (NoteCode::ValueChanged, 1),
    ];
    for (code, times) in wanted {
        assert_eq!(count(report, code), times, "{code:?}: {report:#?}");
    }
    let found = compared(&imported, &publication);
    assert!(found.is_equal(), "{found:#?}");
    assert_eq!((found.records, found.records_equal, found.records_noted), (17, 9, 8));
    assert!(found.not_compared.is_empty() && found.values > 50);
}

#[test]
fn every_cowin_record_is_used_or_named() {
    let publication = cowin();
    let imported = imported(&publication);
    let report = &imported.report;
    assert_eq!((report.sites_made, report.slots_made), (4, 4 + 1 + 2 + 1 + 2 + 1 + 1), "{report:#?}");
    assert_eq!(report.units_made, 10 + 3 + 12 + 2 + 6);
    for (code, times) in [
        (NoteCode::Unreadable, 2),
        (NoteCode::WindowUnusable, 1),
        (NoteCode::Repeated, 2),
        (NoteCode::Rekeyed, 2),
        (NoteCode::ReferenceMissing, 1),
        (NoteCode::ValueInvalid, 2),
    ] {
        assert_eq!(count(report, code), times, "{code:?}: {report:#?}");
    }
    let found = compared(&imported, &publication);
    assert!(found.is_equal(), "{found:#?}");
    let windows: Vec<i64> = (0..4)
        .map(|n| {
            let sql = format!("SELECT CAPACITY FROM SB_SLOT WHERE SLOT_ID = 'aaaa-1-{n}'");
            imported.connection.query_row(&sql, [], |r| r.get(0)).unwrap()
        })
        .collect();
    assert_eq!(windows, [3, 3, 2, 2]);
}

#[test]
fn dates_move_by_whole_weeks_to_the_first_day_ahead() {
    for publication in [smart(), cowin()] {
        let imported = imported(&publication);
        let first: String =
            imported.connection.query_row("SELECT MIN(SLOT_DT) FROM SB_SLOT", [], |row| row.get(0)).unwrap();
        assert!(("2026-11-23"..="2026-11-30").contains(&&first[..10]), "{first}");
        assert!(imported.report.shift_weeks > 250);
        assert_eq!(compared(&imported, &publication).shift_weeks, imported.report.shift_weeks);
    }
    let imported = imported(&cowin());
    let hour: String = imported
        .connection
        .query_row("SELECT substr(SLOT_DT, 12) FROM SB_SLOT WHERE SLOT_ID = 'aaaa-1-1'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(hour, "11:00:00", "a wall clock time stays");
}

#[test]
fn a_published_value_that_differs_is_found() {
    let publication = smart();
    let imported = imported(&publication);
    let names = FieldNames::default();
    let compare = |sites: &[Value], slots: &[Value]| {
        let found = import::compare(&imported.connection, &publication, sites, slots, &names).unwrap();
        assert_eq!(found.is_equal(), found.differences_count == 0);
        found.differences_count
    };
    let (sites, slots) = published(&imported.connection);
    assert_eq!(compare(&sites, &slots), 0);
    assert_eq!(compare(&sites, &slots[1..]), 1, "a slot that was not published");
    assert!(compare(&sites[1..], &slots) >= 1, "a site that was not published");
    for (member, value) in [
        ("start", json!("2026-12-01T00:00:00+09:00")),
        ("duration_min", json!(1)),
        ("remaining", json!(99)),
        ("site_id", json!("site-99")),
        ("vaccine", json!("XX")),
        ("dose", json!(9)),
    ] {
        let mut changed = slots.clone();
        changed[0][member] = value;
        assert_eq!(compare(&sites, &changed), 1, "{member}");
    }
    let mut more = slots.clone();
    more.push(json!({"slot_id": "s-9999"}));
    assert_eq!(compare(&sites, &more), 1, "a slot from nowhere");
    let mut changed = smart();
    let slot = changed.records.iter_mut().find(|r| r.place == "slots-a.ndjson:1").unwrap();
    slot.json["status"] = json!("busy");
    let found = import::compare(&imported.connection, &changed, &sites, &slots, &names).unwrap();
    assert_eq!(found.differences_count, 2, "content and remaining: {found:#?}");
}

#[test]
fn the_report_is_kept_and_machine_readable() {
    let imported = imported(&cowin());
    assert_eq!(import::compare::report(&imported.connection).unwrap(), imported.report);
    let text = serde_json::to_value(&imported.report).unwrap();
    assert_eq!(text["source"], "cowin");
    assert_eq!(text["counts"]["window_unusable"], 1);
    let words = imported.report.to_string();
    for (code, times) in &imported.report.counts {
        assert_eq!(text["counts"][code.code()], *times);
        assert!(words.contains(&format!("{times} × {}", code.code())), "{words}");
    }
    assert_eq!(text["notes"][0]["place"].as_str().map(str::is_empty), Some(false));
}

#[test]
fn the_proof_can_be_run_later_from_the_database() {
    for publication in [smart(), cowin()] {
        let imported = imported(&publication);
        let kept = import::stored(&imported.connection).unwrap();
        let texts = |p: &Publication| -> Vec<_> {
            p.records.iter().map(|r| (r.place.clone(), r.kind, r.within, r.json.clone())).collect()
        };
        assert_eq!(texts(&kept), texts(&publication));
        assert_eq!(kept.unreadable, publication.unreadable);
        assert_eq!(compared(&imported, &kept), compared(&imported, &publication));
    }
}

#[test]
fn an_import_goes_into_an_empty_database_only() {
    let mut imported = imported(&cowin());
    let error = import::load(&mut imported.connection, &smart(), now()).unwrap_err();
    assert_eq!(error.code(), "import_shape");
    let slots: i64 = imported.connection.query_row("SELECT COUNT(*) FROM TB_SLOT", [], |r| r.get(0)).unwrap();
    assert_eq!(slots, 12, "the refused import left nothing");
}

#[test]
fn generated_persons_can_book_what_was_imported() {
    let mut imported = imported(&smart());
    let plan = generate::Plan { people: 50, ..generate::Plan::new(1, now()) };
    assert_eq!(generate::persons(&mut imported.connection, &plan, &mut |_, _| {}).unwrap(), 50);
    let path = imported.folder.path().join("legacy.db");
    let mut native = NativeSeller::open(&path, Selling::Counter).unwrap();
    let person = (1..=50).find(|n| generate::standing(1, *n) == generate::Standing::Active).unwrap();
    let outcome = native.book("20", &generate::person_key(person)).unwrap();
    assert!(matches!(outcome, NativeOutcome::Booked { .. }), "{outcome:?}");
    assert_eq!(native.book("22", &generate::person_key(person)).unwrap(), NativeOutcome::Closed);
}

#[test]
fn a_publication_is_read_by_url_as_from_disk() {
    let base = "https://clinics.example.com";
    let mut asked = Vec::new();
    let mut fetch = |url: &str| {
        asked.push(url.to_owned());
        let name = url.strip_prefix(base).and_then(|p| p.strip_prefix('/')).ok_or("not found")?;
        let name = name.split('?').next().unwrap_or(name);
        std::fs::read(fixtures().join("smart").join(name)).map_err(|e| e.to_string())
    };
    let by_url = import::read_smart_url(&format!("{base}/$bulk-publish"), &mut fetch).unwrap();
    let places = |p: &Publication| p.records.iter().map(|r| r.place.clone()).collect::<Vec<_>>();
    assert_eq!(places(&by_url), places(&smart()));
    let error = import::read_smart_url("https://elsewhere.example.com/x", &mut fetch).err().unwrap();
    assert_eq!(error.code(), "import_read");
    assert_eq!(asked.len(), 7);
}

#[test]
fn what_is_no_publication_is_refused() {
    assert_eq!(import::read_cowin(b"{\"centers\": 5}").err().unwrap().code(), "import_shape");
    assert_eq!(import::read_cowin(b"<html>").err().unwrap().code(), "import_shape");
    assert_eq!(import::read_smart_dir(&fixtures()).err().unwrap().code(), "import_read");
    assert_eq!(import::read_path(&fixtures().join("none")).err().unwrap().code(), "import_read");
    let folder = tempfile::tempdir().unwrap();
    let mut connection = schema::create(&folder.path().join("l.db"), PersonConstraint::None).unwrap();
    let empty = import::read_cowin(b"{\"centers\": []}").unwrap();
    assert_eq!(import::load(&mut connection, &empty, now()).unwrap_err().code(), "import_nothing_usable");
}

/// `IMPORT_SMART=DIR` and `IMPORT_COWIN=FILE` run the same proof on a publication of one's own.
#[test]
fn a_publication_named_by_the_environment_is_equal_too() {
    let mut publications = vec![smart(), cowin()];
    if let Some(folder) = std::env::var_os("IMPORT_SMART") {
        publications.push(import::read_smart_dir(Path::new(&folder)).unwrap());
    }
    if let Some(file) = std::env::var_os("IMPORT_COWIN") {
        publications.push(import::read_cowin_file(Path::new(&file)).unwrap());
    }
    for publication in publications {
        let imported = imported(&publication);
        let found = compared(&imported, &publication);
        println!("{:?} {:?}", imported.report.counts, imported.report.rules);
        println!("{} sites, {} slots; {found:?}", imported.report.sites_made, imported.report.slots_made);
        assert!(found.is_equal(), "{found:#?}");
    }
}
