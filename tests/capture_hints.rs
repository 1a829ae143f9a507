//! Hints of every kind: what they ask for, what they find, and how fresh they make their object.

mod capture_support;

use capture_support::*;
use slotbridge::capture::{CaptureError, HintKind, Lane, Poll, Settings};
use slotbridge::domain::{Fact, ObjectName, SlotKey, Timestamp, Value};

const DAY_MS: i64 = 86_400_000;

fn offers() -> Vec<ObjectName> {
    vec![object("slot"), object("reservation")]
}

fn native(facts: &[Fact]) -> Vec<(String, u32)> {
    let slot = |fact: &Fact| match fact {
        Fact::Slot(slot) => Some((slot.key.to_string(), slot.native)),
        _ => None,
    };
    facts.iter().filter_map(slot).collect()
}

fn questions(legacy: &Legacy) -> Vec<String> {
    legacy
        .asked()
        .into_iter()
        .filter(|(_, asked)| !asked.is_empty() && asked != "cut")
        .map(|(_, asked)| asked)
        .collect()
}

#[test]
fn a_tail_finds_new_reservations_from_an_overlap_below_the_highest_known() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { tail_overlap: 5, ..hints(&[("reservation", &[HintKind::PkTail])]) };
    let (setup, legacy) = (setup_with(dir.path(), layouts(), settings), filled());
    legacy.remove("reservation", "R1");
    legacy.put("reservation", reservation("R000100", "L01", "P000001", "A", 900_000));
    let mut lane = Lane::new(&setup.capture).unwrap();
    let object = object("reservation");
    assert_eq!(lane.hint(Poll::Tail, &object, &mut legacy.clone()).unwrap(), None, "hints follow a full cut");
    lane.full(&offers(), &mut legacy.clone()).unwrap();
    setup.desk.take();
    questions(&legacy);
    // Committed late by another instance with a cache of its own, and new ones.
    for (key, person) in [("R000094", "P000002"), ("R000095", "P000003"), ("R000105", "P000004")] {
        legacy.put("reservation", reservation(key, "L02", person, "A", 900_000));
    }
    let report = lane.hint(Poll::Tail, &object, &mut legacy.clone()).unwrap().unwrap();
    assert_eq!((report.rows, report.changed), (3, 2));
    assert_eq!(questions(&legacy), ["Tail(\"R000095\")"]);
    let key = |fact: &Fact| match fact {
        Fact::Reservation(reservation) => reservation.key.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(setup.desk.take().iter().map(key).collect::<Vec<_>>(), ["R000095", "R000105"]);
    lane.hint(Poll::Tail, &object, &mut legacy.clone()).unwrap();
    assert_eq!(questions(&legacy), ["Tail(\"R000100\")"]);
}

#[test]
fn windows_look_at_one_day_a_statement_and_at_near_days_more_often() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { near_days: 2, far_days: 5, ..hints(&[("slot", &[HintKind::Window])]) };
    let (setup, legacy) = (setup_with(dir.path(), layouts(), settings), filled());
    let midnight = Timestamp::parse_rfc3339("2026-11-22T00:00:00+09:00").unwrap();
    *setup.clock.0.lock().unwrap() = midnight.0 + 50_000_000;
    let on_day = |day: i64, native: i64| {
        let mut row = slot(&format!("D{day}"), native, 900_000);
        row[3] = Value::Time(midnight.plus_ms(day * DAY_MS + 40_000_000));
        legacy.put("slot", row);
    };
    (0..7).for_each(|day| on_day(day, 0));
    let mut lane = Lane::new(&setup.capture).unwrap();
    lane.full(&offers(), &mut legacy.clone()).unwrap();
    setup.desk.take();
    questions(&legacy);
    let mark = setup.view.mark();
    (0..7).for_each(|day| on_day(day, 1));
    let mut poll = |poll| {
        lane.hint(poll, &object("slot"), &mut legacy.clone()).unwrap().unwrap();
        native(&setup.desk.take())
    };
    let day = |n| vec![(format!("D{n}"), 1)];
    assert_eq!([poll(Poll::Near), poll(Poll::Near), poll(Poll::Near)], [day(0), day(1), Vec::new()]);
    assert_eq!([poll(Poll::Far), poll(Poll::Far), poll(Poll::Far)], [day(2), day(3), day(4)]);
    assert_eq!(poll(Poll::Far), [], "and from the third day again");
    assert_eq!(setup.view.mark(), mark, "a window does not see every change");
    let asked = questions(&legacy);
    assert_eq!((asked.len(), &asked[0], &asked[3]), (7, &asked[2], &asked[6]));
}

#[test]
fn a_commit_number_points_at_what_was_committed_since_and_is_no_content() {
    let dir = tempfile::tempdir().unwrap();
    let settings = hints(&[("slot", &[HintKind::RowScn])]);
    let (setup, legacy) = (setup_with(dir.path(), numbered_layouts(), settings), filled());
    for n in 0..40 {
        legacy.put("slot", numbered_slot(&format!("L{n:02}"), 0, Some(1_000 + n)));
    }
    let mut lane = Lane::new(&setup.capture).unwrap();
    lane.full(&offers(), &mut legacy.clone()).unwrap();
    setup.desk.take();
    questions(&legacy);
    legacy.put("slot", numbered_slot("L03", 2, Some(1_050)));
    // A neighbour in the same block moved with it; and a row whose number nobody knows.
    legacy.put("slot", numbered_slot("L04", 0, Some(1_050)));
    legacy.put("slot", numbered_slot("L05", 3, None));
    *setup.clock.0.lock().unwrap() = 6_000_000;
    let report = lane.hint(Poll::Scn, &object("slot"), &mut legacy.clone()).unwrap().unwrap();
    assert_eq!((report.rows, report.changed), (4, 2));
    assert_eq!(native(&setup.desk.take()), [("L03".to_owned(), 2), ("L05".to_owned(), 3)]);
    assert_eq!(setup.view.mark().started_at, Timestamp(6_000_000), "it sees every change");
    lane.hint(Poll::Scn, &object("slot"), &mut legacy.clone()).unwrap();
    assert_eq!(questions(&legacy), ["Scn(1039)", "Scn(1050)"]);
    assert_eq!(lane.full(&offers(), &mut legacy.clone()).unwrap().changed, 0);
}

#[test]
fn rows_and_changes_are_counted_by_hint_and_object() {
    let dir = tempfile::tempdir().unwrap();
    let keys = || vec![SlotKey::new("L07").unwrap(), SlotKey::new("L08").unwrap()];
    let kinds = [HintKind::Timestamp, HintKind::HotSet];
    let settings = hints(&[("slot", &kinds), ("reservation", &[HintKind::Timestamp])]);
    let setup = try_setup(dir.path(), layouts(), settings, Some(Box::new(keys))).unwrap_or_else(|e| panic!("{e}"));
    let legacy = filled();
    legacy.set_now(2_000_000);
    let mut lane = Lane::new(&setup.capture).unwrap();
    lane.full(&offers(), &mut legacy.clone()).unwrap();
    // Changed without a stamp: the fast poll cannot see it, the hot one does.
    legacy.put("slot", slot("L07", 1, 900_000));
    lane.hint(Poll::Hot, &object("slot"), &mut legacy.clone()).unwrap();
    // Stamped in time, and committed so late that only the sweep reaches back, or only the full cut.
    legacy.put("slot", slot("L08", 1, 1_999_000));
    legacy.put("slot", slot("L09", 1, 1_200_000));
    legacy.put("slot", slot("L10", 1, 900_000));
    lane.changes(Poll::Fast, &mut legacy.clone()).unwrap();
    lane.changes(Poll::Sweep, &mut legacy.clone()).unwrap();
    lane.full(&offers(), &mut legacy.clone()).unwrap();
    let stats = setup.capture.stats();
    let of = |poll, name: &str| {
        let of = stats.objects[&(poll, object(name))];
        (of.polls, of.rows, of.changed, of.late)
    };
    assert_eq!(of(Poll::Hot, "slot"), (1, 2, 1, 0));
    assert_eq!(of(Poll::Fast, "slot"), (1, 1, 1, 0));
    assert_eq!(of(Poll::Sweep, "slot"), (1, 2, 1, 1));
    assert_eq!(of(Poll::Full, "slot"), (2, 80, 41, 1), "the first cut of all is not late");
    assert_eq!(of(Poll::Full, "reservation"), (2, 2, 1, 0));
    assert_eq!(stats.polls[&Poll::Full].rows, 82);
    assert_eq!(stats.objects[&(Poll::Hot, object("slot"))].rows_per_change(), 2.0);
}

#[test]
fn a_hint_that_its_object_cannot_have_is_refused_at_start() {
    for (of, kind) in [
        ("site", HintKind::HotSet),
        ("reservation", HintKind::Window),
        ("slot", HintKind::RowScn),
        ("person", HintKind::Timestamp),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let refused = try_setup(dir.path(), layouts(), hints(&[(of, &[kind])]), None).err();
        assert!(matches!(refused, Some(CaptureError::Hint { .. })), "{of} {kind:?}");
    }
}

#[test]
fn every_object_is_as_fresh_as_its_own_polls() {
    let dir = tempfile::tempdir().unwrap();
    let (setup, legacy) = (setup(dir.path()), filled());
    let mut lane = Lane::new(&setup.capture).unwrap();
    let at = |now: i64| *setup.clock.0.lock().unwrap() = now * 1_000_000;
    for (now, group) in [(1, vec![object("site")]), (2, offers()), (3, vec![object("cohort_rule")])] {
        at(now);
        lane.full(&group, &mut legacy.clone()).unwrap();
    }
    at(4);
    lane.persons(&mut legacy.clone()).unwrap();
    at(5);
    lane.changes(Poll::Fast, &mut legacy.clone()).unwrap();
    at(6);
    lane.hint(Poll::Fast, &object("reservation"), &mut legacy.clone()).unwrap();
    let of = |name| {
        let mark = setup.view.mark_of(&object(name));
        (mark.started_at.0 / 1_000_000, mark.full_at.0 / 1_000_000)
    };
    assert_eq!([of("site"), of("cohort_rule"), of("person")], [(1, 1), (3, 3), (4, 4)]);
    assert_eq!([of("slot"), of("reservation"), of("booking")], [(5, 2), (6, 2), (6, 2)]);
    assert_eq!((setup.view.mark(), of("nothing")), (setup.view.mark_of(&object("slot")), (0, 0)));
    let pace = |name| setup.view.pace_of_ms(&object(name));
    assert_eq!([pace("slot"), pace("booking"), pace("site"), pace("person")], [200, 200, 600_000, 86_400_000]);
}

#[test]
fn what_a_standby_has_not_got_yet_is_not_fresh() {
    let dir = tempfile::tempdir().unwrap();
    let (setup, legacy) = (setup(dir.path()), filled());
    let mut lane = Lane::new(&setup.capture).unwrap();
    legacy.0.lock().unwrap().lag_ms = 700;
    lane.full(&offers(), &mut legacy.clone()).unwrap();
    assert_eq!(setup.view.mark().started_at, Timestamp(5_000_000 - 700));
    assert!(!setup.capture.reads_lag());
    let lags = |legacy: &Legacy| legacy.asked().iter().filter(|(what, _)| what == "lag").count();
    assert_eq!(lags(&legacy), 1);
    let mut poll = |now: i64, lag_ms: u64| {
        *setup.clock.0.lock().unwrap() = now;
        legacy.0.lock().unwrap().lag_ms = lag_ms;
        lane.changes(Poll::Fast, &mut legacy.clone()).unwrap();
        (setup.view.mark().started_at.0, setup.capture.reads_lag(), lags(&legacy))
    };
    assert_eq!(poll(5_000_900, 11_000), (5_000_200, false, 0), "asked once a second at most");
    assert_eq!(poll(5_030_000, 11_000), (5_019_000, true, 1));
    assert_eq!(poll(5_031_000, 10_000), (5_021_000, false, 1));
    let stats = setup.capture.stats();
    assert_eq!((stats.read_lag_ms, stats.reads_lag), (10_000, false));
}

#[test]
fn a_cut_of_sites_never_overwrites_what_a_hint_read_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let settings = hints(&[("slot", &[HintKind::Timestamp]), ("site", &[HintKind::PkTail])]);
    let (setup, legacy) = (setup_with(dir.path(), layouts(), settings), filled());
    let (mut lane, mut beside) = (Lane::new(&setup.capture).unwrap(), Lane::new(&setup.capture).unwrap());
    for group in Lane::groups(&setup.capture) {
        lane.full(&group, &mut legacy.clone()).unwrap();
    }
    setup.desk.take();
    let amid = legacy.clone();
    legacy.amid(Box::new(move || {
        amid.set_now(1_000_100);
        let mut row = site("S1");
        row[1] = text("새 이름");
        amid.put("site", row);
        amid.put("slot", slot("L01", 1, 1_000_050));
        assert_eq!(beside.hint(Poll::Tail, &object("site"), &mut amid.clone()).unwrap().unwrap().changed, 1);
        assert_eq!(beside.hint(Poll::Fast, &object("slot"), &mut amid.clone()).unwrap().unwrap().changed, 1);
    }));
    legacy.put("site", {
        let mut row = site("S1");
        row[1] = text("옛 이름");
        row
    });
    let report = lane.full(&[object("site")], &mut legacy.clone()).unwrap();
    assert_eq!((report.changed, report.gone), (0, 0), "the name that the cut read is the older one");
    assert_eq!(setup.desk.take().len(), 2);
}
