//! What a lane does in turn: paces, hours, halts and failures. No thread and no clock: the tests say what time it is.

mod capture_support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use capture_support::*;
use slotbridge::capture::{BRAKED_MS, HintKind, Poll, Settings, Turns, drift};
use slotbridge::domain::{ObjectName, Timestamp};
use slotbridge::legacy::LegacyErrorKind;
use slotbridge::mapping::catalogue::LayoutColumn;
use slotbridge::mapping::{Class, Column, ColumnType, Layout, Object, Text2};

type Told = Arc<Mutex<BTreeMap<String, Option<String>>>>;

/// A catalogue that declares what `layouts` fetch.
fn objects() -> Vec<Object> {
    let text = || Text2 { ko: "이름".into(), en: "name".into() };
    let column = |column: &LayoutColumn| Column {
        name: column.name.to_string(),
        kind: column.kind,
        label: text(),
        class: Class::Public,
        role: column.role,
        derived: false,
        material: column.material,
        source: None,
    };
    let object = |layout: &Layout| Object {
        name: layout.object.clone(),
        view: Some(layout.view.clone()),
        label: text(),
        columns: layout.columns.iter().map(column).collect(),
    };
    layouts().iter().map(object).collect()
}

/// The lanes over one legacy system, and what time it is.
struct Day {
    setup: Setup,
    legacy: Legacy,
    lanes: Vec<Turns>,
    begun: Instant,
    _dir: tempfile::TempDir,
}

impl Day {
    fn new(settings: Settings) -> Day {
        let dir = tempfile::tempdir().unwrap();
        let (setup, legacy) = (setup_with(dir.path(), layouts(), settings), filled());
        Day::over(dir, setup, legacy)
    }

    /// With whole views compared. What was told stands in the list: object, and how it differs.
    fn watched(settings: Settings) -> (Day, Told, Arc<AtomicU32>) {
        let dir = tempfile::tempdir().unwrap();
        let (setup, legacy) = (setup_with(dir.path(), layouts(), settings), filled());
        let (told, looked) = (Told::default(), Arc::new(AtomicU32::new(0)));
        let (list, count) = (told.clone(), looked.clone());
        let tell = move |object: &ObjectName, why: Option<&str>| {
            list.lock().unwrap().insert(object.to_string(), why.map(str::to_owned));
        };
        let on_look = move || {
            count.fetch_add(1, Ordering::SeqCst);
        };
        setup.capture.watch_columns(&objects(), Box::new(tell), Box::new(on_look));
        (Day::over(dir, setup, legacy), told, looked)
    }

    fn over(dir: tempfile::TempDir, setup: Setup, legacy: Legacy) -> Day {
        let begun = Instant::now();
        let lanes = setup.capture.turns(&legacy.connect(), begun).unwrap();
        Day { setup, legacy, lanes, begun, _dir: dir }
    }

    /// One turn of a lane, so many milliseconds after the start. Returns what was asked, the lag aside.
    fn turn(&mut self, lane: usize, at_ms: u64) -> Vec<String> {
        self.legacy.asked();
        let now = self.begun + Duration::from_millis(at_ms);
        self.lanes[lane].turn(&|| now).unwrap();
        let told = |(what, how): (String, String)| format!("{what} {how}");
        self.legacy.asked().into_iter().filter(|(what, _)| what != "lag").map(told).collect()
    }

    fn reads(&mut self, lane: usize, at_ms: u64) -> Vec<String> {
        self.turn(lane, at_ms).into_iter().filter(|asked| !asked.ends_with("columns")).collect()
    }

    fn due_ms(&self, lane: usize) -> u128 {
        (self.lanes[lane].due().unwrap() - self.begun).as_millis()
    }

    fn halted(&self) -> Vec<String> {
        self.setup.capture.stats().halted.keys().map(ObjectName::to_string).collect()
    }
}

const FULL: usize = 0;
const HINTS: usize = 1;
const PERSONS: usize = 2;

const CUTS: [&str; 4] = ["site cut", "slot cut", "reservation cut", "cohort_rule cut"];

/// Intervals so long that the machine's speed does not show.
fn calm() -> Settings {
    Settings { fast_interval_ms: 20_000, duty_percent_max: 100, ..hints(&[("slot", &[HintKind::Timestamp])]) }
}

#[test]
fn every_hint_keeps_an_interval_of_its_own() {
    let all = [HintKind::Timestamp, HintKind::Window];
    let of = [("slot", &all[..]), ("reservation", &[HintKind::Timestamp, HintKind::PkTail])];
    let settings = Settings {
        fast_interval_ms: 20_000,
        tail_interval_ms: 30_000,
        near_days: 2,
        near_interval_ms: 80_000,
        far_days: 3,
        far_interval_ms: 120_000,
        sweep_interval_ms: 200_000,
        duty_percent_max: 100,
        ..hints(&of)
    };
    let mut day = Day::new(settings);
    assert_eq!(day.reads(HINTS, 0), Vec::<String>::new(), "hints follow a full cut");
    day.reads(FULL, 0);
    let mut counted = std::collections::BTreeMap::new();
    for at_ms in (0..400_000).step_by(10_000) {
        day.reads(HINTS, at_ms);
    }
    for ((poll, object), stats) in day.setup.capture.stats().objects {
        counted.insert((poll.code(), object.to_string()), stats.polls);
    }
    let polls = |poll: &'static str, object: &str| counted[&(poll, object.to_owned())];
    assert_eq!((polls("fast", "slot"), polls("fast", "reservation")), (19, 19));
    assert_eq!((polls("pk_tail", "reservation"), polls("window_near", "slot")), (13, 9));
    assert_eq!((polls("window_far", "slot"), polls("sweep", "slot")), (3, 1));
}

#[test]
fn a_hint_that_scans_is_braked_and_said_once() {
    let settings = Settings { scn_interval_ms: 1_000, ..hints(&[("slot", &[HintKind::PkTail])]) };
    let mut day = Day::new(Settings { tail_overlap: 0, tail_interval_ms: 20_000, duty_percent_max: 100, ..settings });
    for n in 0..6_000 {
        day.legacy.put("slot", slot(&format!("M{n:05}"), 0, 900_000));
    }
    day.reads(FULL, 0);
    day.legacy.0.lock().unwrap().scans = true;
    for at_ms in [0, 20_000] {
        assert_eq!(day.reads(HINTS, at_ms).len(), 1);
        assert_eq!(day.setup.capture.stats().braked.len(), 0);
    }
    assert_eq!(day.reads(HINTS, 40_000).len(), 1);
    assert_eq!(day.setup.capture.stats().braked[&(Poll::Tail, object("slot"))], "far more rows read than changed");
    assert_eq!(day.due_ms(HINTS), u128::from(40_000 + BRAKED_MS));
    assert_eq!(day.reads(HINTS, 99_999), Vec::<String>::new());
    // The index is back: after five good polls the hint is as quick as before.
    day.legacy.0.lock().unwrap().scans = false;
    for n in 1..=5 {
        assert_eq!(day.setup.capture.stats().braked.len(), 1);
        assert_eq!(day.reads(HINTS, 40_000 + n * BRAKED_MS).len(), 1);
    }
    assert_eq!(day.setup.capture.stats().braked.len(), 0);
    assert_eq!(day.due_ms(HINTS), u128::from(40_000 + 5 * BRAKED_MS + 20_000));
}

#[test]
fn a_view_that_drifted_halts_its_cut_group_and_nothing_else() {
    let mut day = Day::new(calm());
    let mut columns = dictionary("SB_RESERVATION");
    columns.retain(|(name, _)| name != "PERSON_ID");
    day.legacy.0.lock().unwrap().dictionary.insert("SB_RESERVATION".to_owned(), columns);
    assert_eq!(day.reads(FULL, 0), [CUTS[0], CUTS[3]]);
    assert_eq!(day.halted(), ["reservation", "slot"]);
    let why = day.setup.capture.stats().halted[&object("reservation")].clone();
    assert_eq!(why, "SB_RESERVATION has no column PERSON_ID");
    assert_eq!(day.reads(PERSONS, 0).len(), 1);
    assert_eq!(day.turn(HINTS, 0), Vec::<String>::new());
    assert_eq!(day.turn(FULL, 59_000), Vec::<String>::new());
    // Looked at again after a minute, by whichever lane comes first, and not by both.
    assert_eq!(day.turn(FULL, 60_000), ["SB_SLOT columns", "SB_RESERVATION columns"]);
    assert_eq!(day.turn(HINTS, 60_000), Vec::<String>::new());
    day.legacy.0.lock().unwrap().dictionary.clear();
    assert_eq!(day.reads(FULL, 120_000), [CUTS[1], CUTS[2]]);
    assert_eq!(day.halted(), Vec::<String>::new());
    assert_eq!(day.reads(HINTS, 120_000).len(), 2, "fast and sweep");
}

#[test]
fn a_column_that_nobody_fetches_is_told_and_stops_no_poll() {
    let (mut day, told, looked) = Day::watched(calm());
    let views = layouts().len();
    let asked = |asked: Vec<String>| asked.into_iter().filter(|asked| asked.ends_with("columns")).count();
    assert_eq!(asked(day.turn(HINTS, 0)), views, "at the start, in the lane of short turns");
    assert_eq!((told.lock().unwrap().len(), looked.load(Ordering::SeqCst)), (views, 1));
    assert!(told.lock().unwrap().values().all(Option::is_none));
    assert_eq!(day.reads(FULL, 0), CUTS);
    let mut columns = dictionary("SB_SITE");
    columns.push(("NEW".to_owned(), "CLOB".to_owned()));
    day.legacy.0.lock().unwrap().dictionary.insert("SB_SITE".to_owned(), columns);
    assert_eq!(asked(day.turn(HINTS, 3_599_999)), 0);
    assert_eq!(asked(day.turn(HINTS, 3_600_000)), views);
    let differs = || BTreeMap::from([("site".to_owned(), "SB_SITE: NEW is not in the catalogue".to_owned())]);
    let found = |told: &Told| -> BTreeMap<String, String> {
        told.lock().unwrap().iter().filter_map(|(object, why)| Some((object.clone(), why.clone()?))).collect()
    };
    assert_eq!(found(&told), differs());
    assert_eq!(day.setup.capture.stats().drifted, BTreeMap::from([(object("site"), differs()["site"].clone())]));
    assert_eq!(day.halted(), Vec::<String>::new());
    assert_eq!(day.reads(FULL, 3_600_000), CUTS, "what is fetched still fits");
    // Looked at again each minute, as long as it differs.
    assert_eq!(day.turn(HINTS, 3_660_000).iter().filter(|asked| *asked == "SB_SITE columns").count(), 1);
    let mut approved = objects();
    let new = Column { name: "NEW".into(), kind: ColumnType::Text, ..approved[0].columns[1].clone() };
    approved[0].columns.push(new);
    day.setup.capture.set_catalogue(&approved);
    assert_eq!(found(&told)["site"], "SB_SITE: NEW is declared text and is CLOB");
    day.legacy.0.lock().unwrap().dictionary.get_mut("SB_SITE").unwrap()[4].1 = "VARCHAR2".to_owned();
    assert_eq!(asked(day.turn(HINTS, 3_720_000)), 1);
    assert_eq!(found(&told), BTreeMap::new(), "another catalogue fits");
    day.setup.capture.set_catalogue(&objects());
    assert_eq!(found(&told), differs(), "the old one does not, which is known without asking");
    assert_eq!(looked.load(Ordering::SeqCst), 1);
}

#[test]
fn a_fetched_column_that_is_gone_is_told_and_halts_as_well() {
    let (mut day, told, _) = Day::watched(calm());
    day.turn(HINTS, 0);
    let mut columns = dictionary("SB_SITE");
    columns[1].0 = "SITE_NAME".to_owned();
    day.legacy.0.lock().unwrap().dictionary.insert("SB_SITE".to_owned(), columns);
    assert_eq!(day.reads(FULL, 0), CUTS[1..], "looked at before a cut, an hour before its time");
    let why = told.lock().unwrap()["site"].clone();
    assert_eq!(why.as_deref(), Some("SB_SITE: SITE_NM is missing; SITE_NAME is not in the catalogue"));
    assert_eq!(day.halted(), ["site"]);
}

#[test]
fn who_waits_for_the_first_look_does_not_wait_for_a_legacy_system_that_is_away() {
    let (mut day, told, looked) = Day::watched(calm());
    day.legacy.0.lock().unwrap().refuses = Some(LegacyErrorKind::Lost);
    day.turn(FULL, 0);
    assert_eq!((told.lock().unwrap().len(), looked.load(Ordering::SeqCst)), (0, 1));
    day.legacy.0.lock().unwrap().refuses = None;
    day.turn(HINTS, 60_000);
    assert_eq!((told.lock().unwrap().len(), looked.load(Ordering::SeqCst)), (layouts().len(), 1));
}

#[test]
fn an_error_of_the_schema_in_a_poll_halts_its_objects_only() {
    let mut day = Day::new(calm());
    day.reads(FULL, 0);
    day.legacy.fail("slot", LegacyErrorKind::Schema, "schema");
    assert_eq!(day.reads(HINTS, 0).len(), 1, "the sweep of the same object does not run any more");
    assert_eq!(day.halted(), ["reservation", "slot"]);
    assert_eq!(day.reads(FULL, 600_001), CUTS, "columns that fit end the halt");
    assert_eq!(day.halted(), Vec::<String>::new());
}

#[test]
fn columns_are_looked_at_before_a_cut_every_ten_minutes_at_most() {
    let mut day = Day::new(Settings { full_interval_ms: 200_000, ..calm() });
    let looks = |asked: Vec<String>| asked.iter().filter(|asked| asked.ends_with("columns")).count();
    let found: Vec<usize> = [0, 200_000, 400_000, 600_000].into_iter().map(|at| looks(day.turn(FULL, at))).collect();
    assert_eq!(found, [4, 0, 0, 4]);
}

#[test]
fn who_is_refused_pauses_a_minute_and_does_not_spin() {
    for kind in [LegacyErrorKind::Credentials, LegacyErrorKind::Operator] {
        let mut day = Day::new(calm());
        day.legacy.0.lock().unwrap().refuses = Some(kind);
        for at_ms in (0..=60_000).step_by(1_000) {
            assert_eq!(day.reads(FULL, at_ms), Vec::<String>::new());
        }
        assert_eq!(day.legacy.0.lock().unwrap().connects, 2, "at 0 and at 60 s");
        day.legacy.0.lock().unwrap().refuses = None;
        assert_eq!(day.reads(FULL, 120_000), CUTS);
    }
}

#[test]
fn a_lost_connection_is_made_again_and_a_busy_statement_keeps_its_own() {
    let mut day = Day::new(calm());
    day.reads(FULL, 0);
    day.legacy.fail("site", LegacyErrorKind::Lost, "lost");
    assert_eq!(day.reads(FULL, 600_000), [CUTS[0]]);
    assert_eq!(day.due_ms(FULL), 600_500);
    assert_eq!(day.reads(FULL, 600_500), CUTS);
    assert_eq!(day.legacy.0.lock().unwrap().connects, 2);
    day.legacy.fail("site", LegacyErrorKind::Retry, "retry");
    assert_eq!(day.reads(FULL, 1_200_500), CUTS, "the other groups do not wait for it");
    assert_eq!(day.reads(FULL, 1_201_000), [CUTS[0]]);
    assert_eq!(day.legacy.0.lock().unwrap().connects, 2);
}

#[test]
fn a_cut_group_is_read_again_whole_and_the_second_time_the_undo_is_blamed() {
    let mut day = Day::new(calm());
    let blamed = |day: &Day| day.setup.capture.stats().undo_too_short.len();
    for (at_ms, after) in [(0, 0), (500, 2)] {
        day.legacy.fail("slot", LegacyErrorKind::Retry, "snapshot_too_old");
        day.reads(FULL, at_ms);
        assert_eq!(blamed(&day), after);
    }
    assert!(!day.setup.desk.take().iter().any(|fact| matches!(fact, slotbridge::domain::Fact::Slot(_))));
    assert_eq!(day.reads(FULL, 1_500), [CUTS[1], CUTS[2]]);
    assert_eq!(blamed(&day), 0);
}

#[test]
fn persons_are_read_in_their_hours_but_for_the_first_time() {
    let hours = slotbridge::capture::Hours { from_min: 60, until_min: 300 };
    let mut day = Day::new(Settings { persons_hours: Some(hours), persons_interval_ms: 3_600_000, ..calm() });
    let noon = Timestamp::parse_rfc3339("2026-11-22T12:00:00+09:00").unwrap();
    *day.setup.clock.0.lock().unwrap() = noon.0;
    assert_eq!(day.reads(PERSONS, 0).len(), 1, "nobody gets a token without the table");
    let hour = 3_600_000;
    *day.setup.clock.0.lock().unwrap() = noon.0 + hour;
    assert_eq!(day.reads(PERSONS, hour as u64), Vec::<String>::new());
    assert_eq!(day.due_ms(PERSONS), 13 * hour as u128, "one in the morning");
    day.lanes[PERSONS].call(day.begun + Duration::from_millis(2 * hour as u64));
    assert_eq!(day.reads(PERSONS, 2 * hour as u64).len(), 1, "an operator's word comes first");
    *day.setup.clock.0.lock().unwrap() = noon.0 + 13 * hour;
    assert_eq!(day.reads(PERSONS, 13 * hour as u64).len(), 1);
}

#[test]
fn a_confirmed_cut_is_read_again_at_once() {
    let mut day = Day::new(calm());
    day.reads(FULL, 0);
    (0..20).for_each(|n| day.legacy.remove("slot", &format!("L{n:02}")));
    day.reads(FULL, 600_000);
    assert_eq!(day.setup.capture.refused().len(), 1);
    assert!(day.setup.capture.confirm(&object("slot")));
    day.lanes[FULL].call(day.begun + Duration::from_millis(600_001));
    assert_eq!(day.reads(FULL, 600_001), CUTS);
    assert_eq!(day.setup.capture.refused(), []);
}

#[test]
fn the_shipped_layouts_fit_the_embedded_system() {
    use slotbridge::legacy::LegacyRead;
    use slotbridge::legacy::sqlite::{PersonConstraint, SqliteRead, schema};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("legacy.db");
    drop(schema::create(&path, PersonConstraint::UniqueIndex).unwrap());
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings");
    let files = slotbridge::mapping_files::read_folder(&folder).unwrap();
    let mut reader = SqliteRead::open(&path).unwrap();
    let set = slotbridge::mapping::load(&files).unwrap();
    for layout in set.layouts() {
        let live = reader.columns(&layout.view).unwrap();
        assert_eq!(drift(&layout, &live), None);
        assert!(drift(&layout, &live[1..]).is_some(), "{}", layout.view);
        assert_eq!(set.catalogue().object(layout.object.as_str()).unwrap().drift(&live), None);
    }
}
