//! Polls over a legacy system in memory: what the desk hears, and what stays in the mirror.

mod capture_support;

use capture_support::*;
use slotbridge::capture::{CaptureError, Lane, Poll, Report, Settings};
use slotbridge::domain::{Fact, PersonNo, Position, SlotStatus, Timestamp, Value};

fn all(lane: &mut Lane, setup: &Setup, legacy: &Legacy) -> Vec<Report> {
    let mut reader = legacy.clone();
    let mut reports: Vec<Report> =
        Lane::groups(&setup.capture).iter().map(|group| lane.full(group, &mut reader).unwrap()).collect();
    reports.push(lane.persons(&mut reader).unwrap());
    reports
}

fn offers() -> Vec<slotbridge::domain::ObjectName> {
    vec![object("slot"), object("reservation")]
}

#[test]
fn a_first_cut_tells_the_desk_every_row_once_and_names_before_what_names_them() {
    let dir = tempfile::tempdir().unwrap();
    let (setup, legacy) = (setup(dir.path()), filled());
    let mut lane = Lane::new(&setup.capture).unwrap();
    all(&mut lane, &setup, &legacy);
    let facts = setup.desk.take();
    assert_eq!(facts.len(), 1 + 40 + 1 + 1 + 30);
    let at = |wanted: fn(&Fact) -> bool| facts.iter().position(wanted).unwrap();
    assert!(at(|f| matches!(f, Fact::Site(_))) < at(|f| matches!(f, Fact::Slot(_))));
    let last_slot = facts.iter().rposition(|f| matches!(f, Fact::Slot(_))).unwrap();
    assert!(last_slot < at(|f| matches!(f, Fact::Reservation(_))));
    let persons = facts.iter().filter(|f| matches!(f, Fact::Person(p) if p.bookable && p.cohort.0 == 1)).count();
    assert_eq!(persons, 30);
    let ci = setup.view.ci().unwrap();
    assert_eq!(ci.person(b"canary-ci-007"), setup.register.person("P000007"));
    assert_eq!(setup.capture.stats().ci_rows, 30);
}

#[test]
fn a_restart_without_changes_republishes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let legacy = filled();
    let first = setup(dir.path());
    all(&mut Lane::new(&first.capture).unwrap(), &first, &legacy);
    let told = first.desk.take().len();
    drop(first);
    let again = setup(dir.path());
    let known: Vec<_> = again.capture.positioned_facts().unwrap().map(Result::unwrap).collect();
    assert_eq!(known.len(), told);
    let reservation = known.iter().position(|(_, f)| matches!(f, Fact::Reservation(_))).unwrap();
    assert!(known[reservation..].iter().all(|(_, f)| matches!(f, Fact::Reservation(_))));
    assert_eq!(again.capture.resend().unwrap(), 0);
    assert!(*again.capture.resent().borrow());
    all(&mut Lane::new(&again.capture).unwrap(), &again, &legacy);
    assert_eq!(again.desk.take(), []);
    assert!(again.view.ci().is_some(), "the CI table is rebuilt at every start");
}

#[test]
fn a_crash_between_mirror_and_position_sends_the_rows_again() {
    let dir = tempfile::tempdir().unwrap();
    let legacy = filled();
    let first = setup(dir.path());
    *first.desk.deaf.lock().unwrap() = true;
    let mut lane = Lane::new(&first.capture).unwrap();
    let stopped = lane.full(&offers(), &mut legacy.clone());
    assert!(matches!(stopped, Err(CaptureError::DeskStopped)));
    assert_eq!(first.desk.take().len(), 41);
    assert_eq!(first.view.mark(), Default::default(), "what is not durable is not fresh");
    drop((first, lane));
    let again = setup(dir.path());
    assert_eq!(again.capture.positioned_facts().unwrap().count(), 0);
    assert_eq!(again.capture.resend().unwrap(), 41);
    assert_eq!(again.desk.take().len(), 41);
    let positions: Vec<_> = again.capture.positioned_facts().unwrap().map(|f| f.unwrap().0.0).collect();
    assert_eq!(positions, (1..=41).collect::<Vec<u64>>());
    assert_eq!(again.capture.resend().unwrap(), 0);
}

#[test]
fn a_row_that_vanished_is_told_as_gone_once() {
    let dir = tempfile::tempdir().unwrap();
    let (setup, legacy) = (setup(dir.path()), filled());
    let mut lane = Lane::new(&setup.capture).unwrap();
    all(&mut lane, &setup, &legacy);
    setup.desk.take();
    legacy.remove("slot", "L05");
    legacy.remove("person", "P000003");
    let gone = all(&mut lane, &setup, &legacy).iter().map(|report| report.gone).sum::<u64>();
    let facts = setup.desk.take();
    assert_eq!((gone, facts.len()), (2, 2));
    assert!(matches!(&facts[0], Fact::SlotGone(key) if key.as_str() == "L05"));
    assert_eq!(facts[1], Fact::PersonGone(setup.register.person("P000003").unwrap()));
    all(&mut lane, &setup, &legacy);
    assert_eq!(setup.desk.take(), []);
    legacy.put("slot", slot("L05", 0, 900_000));
    all(&mut lane, &setup, &legacy);
    assert!(matches!(&setup.desk.take()[..], [Fact::Slot(slot)] if slot.key.as_str() == "L05"));
}

#[test]
fn a_cut_that_ends_too_many_rows_changes_nothing_until_confirmed() {
    let dir = tempfile::tempdir().unwrap();
    let (setup, legacy) = (setup(dir.path()), filled());
    let mut lane = Lane::new(&setup.capture).unwrap();
    all(&mut lane, &setup, &legacy);
    setup.desk.take();
    for n in 0..9 {
        legacy.remove("slot", &format!("L{n:02}"));
    }
    legacy.put("slot", slot("L20", 3, 900_000));
    let report = lane.full(&offers(), &mut legacy.clone()).unwrap();
    assert_eq!(report.refused.map(|refused| (refused.live, refused.lost)), Some((40, 9)));
    assert_eq!(setup.desk.take(), []);
    assert_eq!(setup.capture.stats().refused_cuts, 1);
    assert_eq!(setup.capture.refused().len(), 1);
    assert!(!setup.capture.confirm(&object("site")));
    assert!(setup.capture.confirm(&object("slot")));
    assert_eq!(lane.full(&offers(), &mut legacy.clone()).unwrap().gone, 9);
    assert_eq!(setup.desk.take().len(), 10);
    assert_eq!(setup.capture.refused(), []);
    for n in 10..19 {
        legacy.remove("slot", &format!("L{n:02}"));
    }
    assert!(lane.full(&offers(), &mut legacy.clone()).unwrap().refused.is_some(), "a confirmation serves once");
}

#[test]
fn an_empty_cut_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let (setup, legacy) = (setup(dir.path()), filled());
    let mut lane = Lane::new(&setup.capture).unwrap();
    all(&mut lane, &setup, &legacy);
    setup.desk.take();
    legacy.0.lock().unwrap().rows.clear();
    let reports = all(&mut lane, &setup, &legacy);
    assert!(reports.iter().all(|report| report.refused.is_some()), "{reports:?}");
    assert_eq!(setup.desk.take(), []);
    assert_eq!(setup.view.ci().unwrap().len(), 30);
}

#[test]
fn a_cut_that_breaks_off_applies_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (setup, legacy) = (setup(dir.path()), filled());
    let mut lane = Lane::new(&setup.capture).unwrap();
    for rows in [0, 1, 20, 40, 41] {
        legacy.0.lock().unwrap().fails_after = Some(rows);
        assert!(matches!(lane.full(&offers(), &mut legacy.clone()), Err(CaptureError::Legacy(_))));
        assert!(lane.persons(&mut legacy.clone()).is_err() || rows > 30);
    }
    assert_eq!(setup.desk.take().iter().filter(|fact| !matches!(fact, Fact::Person(_))).count(), 0);
    assert_eq!(setup.capture.stats().polls[&Poll::Full].failed, 5);
    legacy.0.lock().unwrap().fails_after = None;
    assert_eq!(lane.full(&offers(), &mut legacy.clone()).unwrap().changed, 41);
}

#[test]
fn the_overlap_catches_what_committed_late() {
    let dir = tempfile::tempdir().unwrap();
    let (setup, legacy) = (setup(dir.path()), filled());
    let mut lane = Lane::new(&setup.capture).unwrap();
    assert_eq!(lane.changes(Poll::Fast, &mut legacy.clone()).unwrap(), None, "hints follow a full cut");
    all(&mut lane, &setup, &legacy);
    setup.desk.take();
    legacy.set_now(1_010_000);
    assert_eq!(lane.changes(Poll::Fast, &mut legacy.clone()).unwrap().unwrap().rows, 0);
    // Stamped before the last poll, committed after it: within 4 s, and 10 minutes late.
    legacy.put("slot", slot("L01", 1, 1_007_000));
    legacy.put("slot", slot("L02", 1, 500_000));
    legacy.put("reservation", reservation("R2", "L01", "P000002", "A", 1_007_000));
    legacy.set_now(1_010_200);
    assert_eq!(lane.changes(Poll::Fast, &mut legacy.clone()).unwrap().unwrap().changed, 2);
    assert_eq!(lane.changes(Poll::Fast, &mut legacy.clone()).unwrap().unwrap().changed, 0);
    let facts = setup.desk.take();
    assert!(matches!(&facts[0], Fact::Slot(slot) if slot.key.as_str() == "L01" && slot.native == 1));
    assert!(
        matches!(&facts[1], Fact::Reservation(r) if Some(r.person) == setup.register.person("P000002") && r.active)
    );
    assert_eq!(lane.changes(Poll::Sweep, &mut legacy.clone()).unwrap().unwrap().changed, 1);
    assert!(matches!(&setup.desk.take()[..], [Fact::Slot(slot)] if slot.key.as_str() == "L02"));
}

#[test]
fn a_long_cut_never_overwrites_what_a_hint_read_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let (setup, legacy) = (setup(dir.path()), filled());
    let mut lane = Lane::new(&setup.capture).unwrap();
    let mut hints = Lane::new(&setup.capture).unwrap();
    all(&mut lane, &setup, &legacy);
    setup.desk.take();
    // The cut reads L01 with 2 and sees no L99; then both change, and the hint reads them first.
    legacy.put("slot", slot("L01", 2, 1_000_100));
    legacy.set_now(1_000_200);
    let beside = legacy.clone();
    legacy.amid(Box::new(move || {
        beside.set_now(1_000_400);
        beside.put("slot", slot("L01", 5, 1_000_300));
        beside.put("slot", slot("L99", 0, 1_000_300));
        assert_eq!(hints.changes(Poll::Fast, &mut beside.clone()).unwrap().unwrap().changed, 2);
    }));
    let report = lane.full(&offers(), &mut legacy.clone()).unwrap();
    assert_eq!((report.changed, report.gone), (0, 0));
    let facts = setup.desk.take();
    assert_eq!(facts.len(), 2);
    assert!(matches!(&facts[0], Fact::Slot(slot) if slot.native == 5));
}

#[test]
fn a_bad_row_is_left_out_and_the_fact_known_before_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (setup, legacy) = (setup(dir.path()), filled());
    let mut lane = Lane::new(&setup.capture).unwrap();
    all(&mut lane, &setup, &legacy);
    setup.desk.take();
    let mut bad = slot("L03", 0, 900_000);
    bad[5] = text("ten");
    legacy.put("slot", bad);
    legacy.put("slot", slot("슬롯/1", 0, 900_000));
    let mut unknown = slot("L04", 0, 900_000);
    unknown[4] = text("HELD");
    legacy.put("slot", unknown);
    legacy.put("reservation", reservation("R1", "L01", "", "A", 900_000));
    let mut far = site("S1");
    far[2] = Value::Decimal(std::sync::Arc::from("370.0"));
    legacy.put("site", far);
    all(&mut lane, &setup, &legacy);
    let facts = setup.desk.take();
    assert_eq!(facts.len(), 2, "{facts:?}");
    assert!(matches!(&facts[0], Fact::Site(site) if site.place.is_none()));
    assert!(matches!(&facts[1], Fact::Slot(slot) if slot.key.as_str() == "L04" && slot.status == SlotStatus::Closed));
    let stats = setup.capture.stats();
    assert_eq!((stats.bad_rows[&object("slot")], stats.bad_rows[&object("reservation")]), (2, 1));
    assert_eq!((stats.blanked_values[&object("slot")], stats.blanked_values[&object("site")]), (1, 1));
    let told: Vec<_> = stats.bad_latest.iter().map(|(_, bad)| (bad.key.as_deref(), &*bad.fault.column)).collect();
    assert_eq!(told, [(Some("L03"), "CAPACITY"), (None, "SLOT_ID"), (Some("R1"), "PERSON_ID")]);
    assert!(!format!("{stats:?}").contains("ten\""));
}

#[test]
fn no_key_ci_or_name_of_a_person_reaches_the_mirror() {
    let dir = tempfile::tempdir().unwrap();
    let (setup, legacy) = (setup(dir.path()), filled());
    all(&mut Lane::new(&setup.capture).unwrap(), &setup, &legacy);
    let mut bytes = Vec::new();
    for file in ["mirror.sqlite", "mirror.sqlite-wal"] {
        bytes.extend(std::fs::read(dir.path().join(file)).unwrap_or_default());
    }
    let holds = |needle: &str| bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
    assert!(holds("L01"));
    assert!(!holds("canary-ci") && !holds("P0000"));
}

#[test]
fn a_change_of_standing_is_told_and_nothing_else_of_the_person() {
    let dir = tempfile::tempdir().unwrap();
    let (setup, legacy) = (setup(dir.path()), filled());
    let mut lane = Lane::new(&setup.capture).unwrap();
    all(&mut lane, &setup, &legacy);
    setup.desk.take();
    legacy.put("person", person("P000001", "another-ci", "50s", "ACTIVE"));
    legacy.put("person", person("P000002", "canary-ci-002", "50s", "DONE"));
    legacy.put("person", person("P000004", "canary-ci-004", "60s", "ACTIVE"));
    legacy.put("person", person("", "canary-ci-x", "60s", "ACTIVE"));
    assert_eq!(lane.persons(&mut legacy.clone()).unwrap().bad, 1);
    let told: Vec<(PersonNo, u8, bool)> = setup
        .desk
        .take()
        .iter()
        .map(|fact| match fact {
            Fact::Person(p) => (p.person, p.cohort.0, p.bookable),
            other => panic!("{other:?}"),
        })
        .collect();
    let number = |key: &str| setup.register.person(key).unwrap();
    assert_eq!(told, [(number("P000002"), 1, false), (number("P000004"), 2, true)]);
    let ci = setup.view.ci().unwrap();
    assert_eq!((ci.person(b"another-ci"), ci.person(b"canary-ci-001")), (Some(number("P000001")), None));
}

#[test]
fn a_poll_is_fresh_as_of_its_start_once_it_is_durable() {
    let dir = tempfile::tempdir().unwrap();
    let (setup, legacy) = (setup(dir.path()), filled());
    let mut lane = Lane::new(&setup.capture).unwrap();
    all(&mut lane, &setup, &legacy);
    let mark = setup.view.mark();
    // Site, then 40 slots and the reservation.
    assert_eq!((mark.started_at, mark.full_at, mark.position), (Timestamp(5_000_000), mark.started_at, Position(42)));
    *setup.clock.0.lock().unwrap() = 6_000_000;
    lane.changes(Poll::Fast, &mut legacy.clone()).unwrap();
    let mark = setup.view.mark();
    assert_eq!((mark.started_at, mark.full_at), (Timestamp(6_000_000), Timestamp(5_000_000)));
}

#[test]
fn many_rows_go_to_the_desk_in_bounded_batches() {
    let dir = tempfile::tempdir().unwrap();
    let (setup, legacy) = (setup(dir.path()), filled());
    for n in 0..4_500 {
        legacy.put("slot", slot(&format!("M{n:05}"), 0, 900_000));
    }
    let mut lane = Lane::new(&setup.capture).unwrap();
    lane.full(&offers(), &mut legacy.clone()).unwrap();
    assert_eq!(setup.desk.batches.try_iter().collect::<Vec<_>>(), [2_000, 2_000, 541]);
    let keys: Vec<_> = (0..1_200).map(|n| slotbridge::domain::SlotKey::new(&format!("M{n:05}")).unwrap()).collect();
    legacy.put("slot", slot("M00777", 4, 1));
    let report = lane.hot(&keys, &mut legacy.clone()).unwrap();
    assert_eq!((report.rows, report.changed), (1_200, 1));
}

#[test]
fn new_columns_take_effect_at_the_next_cut_and_old_rows_keep_their_values() {
    let dir = tempfile::tempdir().unwrap();
    let legacy = filled();
    let first = setup(dir.path());
    all(&mut Lane::new(&first.capture).unwrap(), &first, &legacy);
    drop(first);
    let mut wider = layouts();
    let name = wider[0].columns.remove(1);
    wider[0].columns.push(slotbridge::mapping::catalogue::LayoutColumn { name: "TEL".into(), ..name.clone() });
    wider[0].columns.push(name);
    let again = setup_with(dir.path(), wider, Settings::default());
    let sites: Vec<_> = again.capture.positioned_facts().unwrap().map(|f| f.unwrap().1).collect();
    let Fact::Site(site) = &sites[0] else { panic!("sites come first") };
    assert_eq!((site.row.get(3), site.row.get(4)), (&Value::Null, &text("보건소")));
    let row = capture_support::site("S1");
    let row = vec![row[0].clone(), row[2].clone(), row[3].clone(), text("02-120"), row[1].clone()];
    legacy.put("site", row);
    all(&mut Lane::new(&again.capture).unwrap(), &again, &legacy);
    assert!(matches!(&again.desk.take()[..], [Fact::Site(site)] if site.row.get(3) == &text("02-120")));
}

#[test]
fn a_layout_without_a_needed_role_is_refused_at_start() {
    let dir = tempfile::tempdir().unwrap();
    let mut layouts = layouts();
    layouts[1].columns[5].role = None;
    let plan = slotbridge::capture::Plan::new(&layouts[1]);
    assert!(matches!(plan, Err(CaptureError::Role { .. })), "{:?}", dir.path());
}

#[test]
fn the_threads_poll_by_themselves_and_stop_when_told() {
    let dir = tempfile::tempdir().unwrap();
    let legacy = filled();
    let settings = Settings { fast_interval_ms: 1, ..Settings::default() };
    let setup = setup_with(dir.path(), layouts(), settings);
    setup.capture.resend().unwrap();
    let source = legacy.clone();
    let connect: slotbridge::capture::Connect = std::sync::Arc::new(move || Ok(Box::new(source.clone())));
    let running = setup.capture.start(&connect).unwrap();
    let patience = std::time::Duration::from_secs(60);
    let mut told = 0;
    while told < 73 {
        told += setup.desk.batches.recv_timeout(patience).unwrap();
    }
    legacy.put("slot", slot("L07", 7, 1_000_000));
    assert_eq!(setup.desk.batches.recv_timeout(patience).unwrap(), 1);
    running.stop();
    assert!(setup.capture.stats().statements > 0);
    assert!(matches!(setup.desk.take().last(), Some(Fact::Slot(slot)) if slot.native == 7));
}

/// A cut that never ends by itself.
struct Endless(std::sync::mpsc::Sender<()>);

impl slotbridge::legacy::LegacyRead for Endless {
    fn columns(&mut self, view: &str) -> Result<Vec<(String, String)>, slotbridge::legacy::LegacyError> {
        Ok(dictionary(view))
    }
    fn cut(
        &mut self,
        _: &[&slotbridge::mapping::Layout],
        sink: &mut dyn FnMut(usize, Vec<Value>) -> Result<(), slotbridge::legacy::LegacyError>,
    ) -> Result<slotbridge::legacy::CutInfo, slotbridge::legacy::LegacyError> {
        let _ = self.0.send(());
        loop {
            sink(0, person("P1", "ci", "50s", "ACTIVE"))?;
        }
    }
    fn page(
        &mut self,
        _: &slotbridge::mapping::Layout,
        _: Option<&str>,
        _: u32,
        sink: &mut slotbridge::legacy::RowSink<'_>,
    ) -> Result<slotbridge::legacy::CutInfo, slotbridge::legacy::LegacyError> {
        let _ = self.0.send(());
        loop {
            sink(person("P1", "ci", "50s", "ACTIVE"))?;
        }
    }
    fn hinted(
        &mut self,
        _: &slotbridge::mapping::Layout,
        _: &slotbridge::legacy::Hint<'_>,
        _: &mut slotbridge::legacy::RowSink<'_>,
    ) -> Result<slotbridge::legacy::CutInfo, slotbridge::legacy::LegacyError> {
        panic!("hints follow a full cut")
    }
    fn lag_ms(&mut self) -> Result<u64, slotbridge::legacy::LegacyError> {
        Ok(0)
    }
    fn statements(&self) -> u64 {
        0
    }
}

#[test]
fn a_stop_breaks_off_a_cut_that_would_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let setup = setup(dir.path());
    let (told, cuts) = std::sync::mpsc::channel();
    let connect: slotbridge::capture::Connect =
        std::sync::Arc::new(move || Ok(Box::new(Endless(told.clone())) as Box<dyn slotbridge::legacy::LegacyRead>));
    let running = setup.capture.start(&connect).unwrap();
    for _ in 0..2 {
        cuts.recv_timeout(std::time::Duration::from_secs(60)).unwrap();
    }
    running.stop();
    assert_eq!(setup.desk.take(), []);
}
