//! The generator: the same plan gives the same rows, and the rows are believable.

use std::path::Path;
use std::time::Instant;

use rusqlite::Connection;
use slotbridge::domain::{Timestamp, Value};
use slotbridge::legacy::LegacyRead;
use slotbridge::legacy::sqlite::recount::recount;
use slotbridge::legacy::sqlite::{PersonConstraint, SqliteRead, generate, schema};
use slotbridge::mapping::catalogue::{ColumnType, LayoutColumn, Role};
use slotbridge::mapping::{Catalogue, Layout};

fn make(folder: &Path, name: &str, plan: &generate::Plan) -> (std::path::PathBuf, generate::Made) {
    let path = folder.join(name);
    let mut connection = schema::create(&path, PersonConstraint::UniqueIndex).unwrap();
    let made = generate::sites_and_slots(&mut connection, plan).unwrap();
    let mut last = (0, 0);
    generate::persons(&mut connection, plan, &mut |done, total| last = (done, total)).unwrap();
    assert_eq!(last, (u64::from(plan.people), u64::from(plan.people)));
    (path, made)
}

fn small(seed: u64) -> generate::Plan {
    let now = Timestamp::parse_rfc3339("2026-11-22T20:00:00+09:00").unwrap();
    generate::Plan { sites: 1_500, slots: 9_000, people: 12_000, ..generate::Plan::new(seed, now) }
}

fn one<T: rusqlite::types::FromSql>(connection: &Connection, sql: &str) -> T {
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn the_same_plan_makes_the_same_rows() {
    let folder = tempfile::tempdir().unwrap();
    let digest = |path: &Path| -> String {
        let connection = Connection::open(path).unwrap();
        ["TB_SITE", "TB_SLOT", "TB_PSN", "TB_RESV", "TB_COHORT"]
            .map(|table| {
                let mut statement = connection.prepare(&format!("SELECT * FROM {table}")).unwrap();
                let width = statement.column_count();
                let mut rows = statement.query([]).unwrap();
                let mut context = ring::digest::Context::new(&ring::digest::SHA256);
                while let Some(row) = rows.next().unwrap() {
                    for at in 0..width {
                        context.update(format!("{:?}", row.get_ref(at).unwrap()).as_bytes());
                    }
                }
                format!("{:?}", context.finish())
            })
            .concat()
    };
    let (a, made) = make(folder.path(), "a.db", &small(3));
    let (b, again) = make(folder.path(), "b.db", &small(3));
    let (c, _) = make(folder.path(), "c.db", &small(4));
    assert_eq!((made, digest(&a)), (again, digest(&b)));
    assert_ne!(digest(&a), digest(&c));
}

#[test]
fn what_is_made_is_whole_and_believable() {
    let folder = tempfile::tempdir().unwrap();
    let plan = small(5);
    let (path, made) = make(folder.path(), "a.db", &plan);
    assert_eq!((made.sites, made.slots), (1_500, 9_000));
    assert!(made.reservations > 300, "{made:?}");
    let c = Connection::open(&path).unwrap();
    assert_eq!(one::<i64>(&c, "SELECT COUNT(*) FROM TB_SIGUNGU"), 229);
    assert!(one::<i64>(&c, "SELECT COUNT(DISTINCT SIDO_CD) FROM SB_SITE") == 17);
    assert!(one::<i64>(&c, "SELECT COUNT(DISTINCT SITE_ID) FROM SB_SLOT") > 1_400);
    let outside = "SELECT COUNT(*) FROM SB_SITE WHERE LAT NOT BETWEEN 33 AND 38.7 OR LON NOT BETWEEN 126 AND 131.1";
    assert_eq!(one::<i64>(&c, outside), 0);
    assert_eq!(one::<i64>(&c, "SELECT COUNT(*) FROM SB_SLOT WHERE SLOT_DT < '2026-11-23' OR CAPACITY < 3"), 0);
    let bad_hours = "SELECT COUNT(*) FROM SB_SLOT S JOIN SB_SITE H USING (SITE_ID) \
                     WHERE substr(SLOT_DT, 12, 5) NOT BETWEEN OPEN_TM AND CLOSE_TM";
    assert_eq!(one::<i64>(&c, bad_hours), 0);
    let closed: f64 = one(&c, "SELECT AVG(STATUS = 'CLOSED') FROM SB_SLOT");
    assert!((0.01..0.05).contains(&closed), "{closed}");
    let strangers = "SELECT COUNT(*) FROM SB_BOOKING WHERE PERSON_ID NOT IN (SELECT PERSON_ID FROM SB_PERSON)";
    assert_eq!(one::<i64>(&c, strangers), 0);
    let future = "SELECT (SELECT COUNT(*) FROM SB_SLOT WHERE UPD_DT >= '2026-11-22 20:00:00.000') \
                  + (SELECT COUNT(*) FROM SB_PERSON WHERE UPD_DT >= '2026-11-22 20:00:00.000')";
    assert_eq!(one::<i64>(&c, future), 0, "loading must not look like changes");
    let found = recount(&path).unwrap();
    assert_eq!((found.oversold.len(), found.booked_twice.len(), found.miscounted), (0, 0, 0));
    let published: String = one(&c, "SELECT GROUP_CONCAT(SITE_NM || ADDR || TEL || SIGUNGU_NM) FROM SB_SITE");
    for mark in generate::MARKS {
        assert!(!published.contains(mark), "{mark}");
    }
    let unmarked = "SELECT COUNT(*) FROM SB_SITE WHERE MANAGER_NM NOT LIKE '%담당자%' OR MANAGER_TEL NOT LIKE '010-0%' \
                    OR (MEMO IS NOT NULL AND MEMO NOT LIKE '%내부메모%')";
    assert_eq!(one::<i64>(&c, unmarked), 0);
    assert_eq!(one::<i64>(&c, "SELECT COUNT(*) FROM SB_PERSON WHERE substr(RRN, 3, 2) <> '13' OR length(CI) <> 88"), 0);
    assert_eq!(one::<i64>(&c, "SELECT COUNT(*) - COUNT(DISTINCT CI) FROM SB_PERSON"), 0);
    let person = generate::person(plan.seed, 77, plan.now);
    let ci: String = c.query_row("SELECT CI FROM SB_PERSON WHERE PERSON_ID = ?1", [&person.key], |r| r.get(0)).unwrap();
    assert_eq!(ci, person.ci, "a person can be known without the database");
}

#[test]
fn hints_are_driven_by_an_index() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = make(folder.path(), "a.db", &generate::Plan { sites: 10, slots: 20, people: 0, ..small(1) });
    let c = Connection::open(&path).unwrap();
    let queries = [
        ("SB_SITE", "SITE_ID"),
        ("SB_SLOT", "SLOT_ID"),
        ("SB_PERSON", "PERSON_ID"),
        ("SB_BOOKING", "RESV_NO"),
        ("SB_COHORT", "COHORT_CD"),
    ];
    for (view, key) in queries {
        for tail in ["UPD_DT >= '2026'".to_owned(), format!("{key} IN ('a', 'b')")] {
            let sql = format!("EXPLAIN QUERY PLAN SELECT * FROM {view} WHERE {tail}");
            let mut statement = c.prepare(&sql).unwrap();
            let plan: Vec<String> =
                statement.query_map([], |row| row.get::<_, String>(3)).unwrap().map(Result::unwrap).collect();
            assert!(!plan.iter().any(|step| step.starts_with("SCAN")), "{view} {tail}: {plan:?}");
        }
    }
}

/// Prints how long the demonstration's size takes; run with `BIG=1` and `--nocapture`.
#[test]
fn the_demonstration_size_can_be_made() {
    let plan = if std::env::var_os("BIG").is_some() { generate::Plan::new(1, small(1).now) } else { small(1) };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("big.db");
    let started = Instant::now();
    let mut connection = schema::create(&path, PersonConstraint::UniqueIndex).unwrap();
    let made = generate::sites_and_slots(&mut connection, &plan).unwrap();
    println!("{made:?} in {:?}", started.elapsed());
    let started = Instant::now();
    generate::persons(&mut connection, &plan, &mut |_, _| {}).unwrap();
    println!("{} persons in {:?}, {} MB", plan.people, started.elapsed(), path.metadata().unwrap().len() / 1_000_000);
    let mut reader = SqliteRead::open(&path).unwrap();
    let column = |name: &str, kind, role| LayoutColumn { name: name.into(), kind, role, material: false };
    let slots = Layout {
        object: slotbridge::domain::ObjectName::new("slot").unwrap(),
        view: "SB_SLOT".to_owned(),
        columns: vec![
            column("SLOT_ID", ColumnType::Text, Some(Role::Key)),
            column("SLOT_DT", ColumnType::Time, None),
            column("NATIVE_CNT", ColumnType::Integer, None),
            column("ESCROW_UNITS", ColumnType::Integer, None),
            column("VACCINE_CD", ColumnType::Text, None),
        ],
    };
    let started = Instant::now();
    let mut native = 0;
    reader
        .cut(&[&slots], &mut |_, row| {
            native += row[2].as_int().unwrap();
            assert!(matches!(row[1], Value::Time(_)));
            Ok(())
        })
        .unwrap();
    println!("cut in {:?}", started.elapsed());
    assert!(native > 0);
}

/// The shipped catalogue against the live views: every column is there, in the stated type, and can be read.
#[test]
fn the_views_are_as_the_catalogue_says() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = make(folder.path(), "a.db", &generate::Plan { sites: 50, slots: 300, people: 500, ..small(2) });
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings/catalog.toml")).unwrap();
    let catalogue: Catalogue = toml::from_str(&text).unwrap();
    let mut reader = SqliteRead::open(&path).unwrap();
    let mut views = 0;
    for object in catalogue.objects {
        let Some(view) = object.view else { continue };
        views += 1;
        let live = reader.columns(&view).unwrap();
        let declared: Vec<&str> = object.columns.iter().filter(|c| !c.derived).map(|c| c.name.as_str()).collect();
        let there: Vec<&str> = live.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(declared, there, "{view}");
        let columns = object.columns.iter().filter(|c| !c.derived);
        let columns = columns
            .map(|c| LayoutColumn { name: c.name.as_str().into(), kind: c.kind, role: c.role, material: c.material })
            .collect();
        let layout = Layout { object: object.name, view: view.clone(), columns };
        let info = reader.cut(&[&layout], &mut |_, row| {
            assert_eq!(row.len(), there.len());
            Ok(())
        });
        assert!(info.unwrap().rows > 0, "{view}");
    }
    assert_eq!(views, 5);
}
