//! What the agency says and what its slots are: classes, on-request slots, the switch, release requests, quiet hours.

#[path = "desk_rules/table.rs"]
mod table;

use slotbridge::decide::*;
use slotbridge::domain::*;

use table::{NOW, Table, kakao, key, naver, person, policy, slot};

fn classes() -> Policy {
    let classes = [("walk_in", AllotmentMode::None), ("rare", AllotmentMode::OnRequest)];
    Policy { classes: classes.map(|(code, mode)| (code.to_owned(), mode)).into(), ..policy() }
}

fn of_class(name: &str, capacity: u32, class: &str) -> SlotFact {
    SlotFact { class: Some(class.into()), ..slot(name, capacity) }
}

fn rare(policy: Policy) -> Table {
    let mut t = Table::with(policy);
    t.facts(vec![Fact::Slot(of_class("A", 2, "rare"))]);
    t
}

fn asked(t: &mut Table, who: u32) -> BookingId {
    let ask = t.ask("A", person(who));
    match t.book(naver(), ask) {
        Outcome::Pending { booking, .. } => booking.id,
        other => panic!("not pending: {other:?}"),
    }
}

fn converted() -> OpResult {
    OpResult::Converted { legacy_ref: "R1".into(), over: false }
}

fn control(t: &mut Table, control: Control) {
    t.step(Event::Switch { control });
}

#[test]
fn a_class_that_is_only_published_is_not_offered() {
    let mut t = Table::with(classes());
    t.facts(vec![Fact::Slot(of_class("A", 5, "walk_in"))]);
    let ask = t.ask("A", person(1));
    assert_eq!(t.refused(naver(), ask).code, Refusal::SlotNotOffered);
    assert!(t.claim().is_empty(), "nothing is taken");
}

#[test]
fn every_op_carries_the_mode_of_its_slots_class() {
    let mut t = rare(classes());
    t.stocked("B", 10);
    t.booked(naver(), "B", 1);
    asked(&mut t, 2);
    t.now = t.now.plus_ms(1_000);
    let modes = t.given().into_iter().map(|given| (given.op.slot, given.mode));
    let modes: std::collections::BTreeMap<_, _> = modes.collect();
    assert_eq!((modes[&key("A")], modes[&key("B")]), (AllotmentMode::OnRequest, AllotmentMode::Counter));
}

#[test]
fn an_on_request_booking_is_pending_until_the_legacy_system_took_it() {
    let mut t = rare(classes());
    let id = asked(&mut t, 1);
    let (view, units) = (t.booking(id), t.desk.units(&key("A")).unwrap());
    assert_eq!((view.status, view.sync, units.pending, units.granted), (BookingStatus::Pending, Sync::Queued, 1, 0));
    let ask = t.ask("A", person(1));
    assert_eq!(t.refused(kakao(), ask).code, Refusal::NotBookable, "a pending booking bars its person");
    asked(&mut t, 2);
    let ask = t.ask("A", person(3));
    assert_eq!(t.refused(naver(), ask).code, Refusal::SlotFull, "pending bookings occupy what is published");
    let place = t.claim().into_iter().find(|op| op.position == id.0).unwrap();
    assert!(matches!(place.what, OpWhat::Place { .. }));
    t.done(&place, converted());
    let (view, units) = (t.booking(id), t.desk.units(&key("A")).unwrap());
    assert_eq!((view.status, view.sync), (BookingStatus::Booked, Sync::Applied));
    assert_eq!((units.pending, units.granted, units.converted), (1, 1, 1));
}

#[test]
fn an_on_request_booking_without_a_place_is_refused_and_its_key_replays_the_first_answer() {
    let mut t = rare(classes());
    let ask = t.ask("A", person(1));
    let Outcome::Pending { booking, .. } = t.book(naver(), ask.clone()) else { panic!("not pending") };
    t.now = t.now.plus_ms(1_000);
    let place = t.claim().remove(0);
    t.done(&place, OpResult::Rejected { reason: Rejection::NoPlace });
    let view = t.booking(booking.id);
    assert_eq!((view.status, view.reason), (BookingStatus::Refused, Some(EndReason::NoPlace)));
    assert!(matches!(t.book(naver(), ask), Outcome::Replay { entry } if entry == booking.id.0));
    let id = asked(&mut t, 1);
    t.now = t.now.plus_ms(1_000);
    let place = t.claim().remove(0);
    t.done(&place, OpResult::Rejected { reason: Rejection::PersonBooked });
    let view = t.booking(id);
    assert_eq!(
        (view.status, view.reason.map(EndReason::public_code)),
        (BookingStatus::Refused, Some("agency_cancelled"))
    );
}

#[test]
fn a_pending_booking_can_be_cancelled_before_and_after_its_op_was_given_out() {
    let mut t = rare(classes());
    let (early, late) = (asked(&mut t, 1), asked(&mut t, 2));
    t.request(naver(), Ask::Cancel { booking: early, if_match: None });
    assert_eq!(t.booking(early).status, BookingStatus::Cancelled);
    let place = t.claim().remove(0);
    assert_eq!(place.position, late.0);
    t.request(naver(), Ask::Cancel { booking: late, if_match: None });
    assert_eq!(t.booking(late).status, BookingStatus::Cancelling);
    assert!(t.claim().is_empty(), "the cancel waits for the place op");
    t.done(&place, converted());
    let cancel = t.claim().remove(0);
    assert!(matches!(cancel.what, OpWhat::Cancel { .. }));
    t.done(&cancel, OpResult::GivenUp);
    let units = t.desk.units(&key("A")).unwrap();
    assert_eq!((t.booking(late).status, units), (BookingStatus::Cancelled, Units::default()));
}

#[test]
fn place_ops_are_paced_and_do_not_hold_up_others() {
    let mut t = rare(Policy { on_request_per_s: 2, ..classes() });
    t.facts(vec![Fact::Slot(of_class("A", 9, "rare"))]);
    t.stocked("B", 10);
    for who in 1..7 {
        asked(&mut t, who);
    }
    t.booked(naver(), "B", 8);
    let first = t.claim();
    let places = |ops: &[Op]| ops.iter().filter(|op| matches!(op.what, OpWhat::Place { .. })).count();
    assert_eq!((places(&first), first.iter().filter(|op| op.slot == key("B")).count() > 0), (2, true));
    assert_eq!(places(&t.claim()), 0);
    assert_eq!(t.desk.next_deadline(), Some(t.now.plus_ms(500)));
    t.now = t.now.plus_ms(500);
    assert!(t.step(Event::Tick).iter().any(|after| matches!(after, After::OpsWaiting)));
    assert_eq!(places(&t.claim()), 1);
}

#[test]
fn pending_bookings_are_bounded_and_a_refusal_for_that_is_not_stored() {
    let mut t = rare(Policy { pending_max: 1, ..classes() });
    asked(&mut t, 1);
    let entries = t.entries.len();
    let ask = t.ask("A", person(2));
    assert_eq!(t.refused(naver(), ask.clone()).code, Refusal::TooManyPending);
    assert_eq!(t.entries.len(), entries);
    t.now = t.now.plus_ms(1_000);
    let place = t.claim().remove(0);
    t.done(&place, converted());
    assert!(matches!(t.book(naver(), ask), Outcome::Pending { .. }), "the same key is decided then");
}

#[test]
fn pending_bookings_and_the_switch_survive_a_restart() {
    let mut t = rare(classes());
    let id = asked(&mut t, 1);
    control(&mut t, Control::Stop);
    let (snapshot, last) = (t.desk.snapshot(), t.desk.position());
    let facts = || [Fact::Slot(of_class("A", 2, "rare"))].into_iter().map(|fact| (Position(1), fact));
    let short = Desk::replay(classes(), Some(snapshot), facts(), std::iter::empty()).unwrap();
    let whole = Desk::replay(classes(), None, facts(), t.entries.iter().cloned()).unwrap();
    for desk in [short, whole] {
        assert_eq!((desk.broken(), desk.position()), (vec![], last));
        assert_eq!(desk.totals().pending, 1);
        t.desk = desk;
        let ask = t.ask("A", person(2));
        assert_eq!(t.refused(naver(), ask).code, Refusal::StoppedByAgency);
        assert!(t.desk.pending_ops().any(|op| op.position == id.0));
    }
}

#[test]
fn rule_33_stop_refuses_what_would_change_something_and_stores_nothing() {
    let mut t = Table::new();
    t.stocked("A", 10);
    let ask = t.ask("A", person(1));
    let Outcome::Booked { booking, .. } = t.book(naver(), ask.clone()) else { panic!("not booked") };
    control(&mut t, Control::Stop);
    let entries = t.entries.len();
    control(&mut t, Control::Stop);
    assert!(matches!(t.book(naver(), ask), Outcome::Replay { .. }), "a known key is answered as before");
    let new = t.ask("A", person(2));
    let refused = t.refused(naver(), new.clone());
    assert_eq!((refused.code, refused.code.retry()), (Refusal::StoppedByAgency, Retry::SameKey));
    let cancel = t.request(naver(), Ask::Cancel { booking: booking.id, if_match: None });
    assert!(matches!(cancel, Outcome::Refused(Refused { code: Refusal::StoppedByAgency, .. })));
    assert!(t.claim().is_empty(), "nothing is written");
    assert_eq!(t.entries.len(), entries);
    control(&mut t, Control::Run);
    assert!(matches!(t.book(naver(), new), Outcome::Booked { .. }));
}

#[test]
fn rule_33_drain_returns_what_is_free_and_takes_nothing_until_run() {
    let mut t = Table::new();
    t.stocked("A", 10);
    t.booked(naver(), "A", 1);
    control(&mut t, Control::Drain);
    let ops = t.claim();
    assert!(ops.iter().any(|op| matches!(op.what, OpWhat::Return { .. })), "{ops:?}");
    let units = t.desk.units(&key("A")).unwrap();
    assert_eq!((units.free(), units.booked), (0, 1));
    let ask = t.ask("A", person(2));
    assert_eq!(t.refused(naver(), ask).code, Refusal::SlotFull);
    assert!(t.claim().iter().all(|op| !matches!(op.what, OpWhat::Take { .. })));
    for op in ops {
        match op.what {
            OpWhat::Return { units } => t.done(&op, OpResult::Returned { units }),
            _ => t.done(&op, converted()),
        }
    }
    control(&mut t, Control::Run);
    let ask = t.ask("A", person(3));
    assert_eq!(t.refused(naver(), ask).retry_after_ms, Some(800));
    assert!(t.claim().iter().any(|op| matches!(op.what, OpWhat::Take { .. })));
}

#[test]
fn rule_33_a_drain_is_spread_over_ticks() {
    let mut t = Table::new();
    let names: Vec<String> = (0..700).map(|n| format!("S{n}")).collect();
    for name in &names {
        t.stocked(name, 10);
    }
    t.step(Event::Switch { control: Control::Drain });
    let returns = |t: &Table| t.entries.iter().filter(|e| matches!(e.what, What::ReturnAsked { .. })).count();
    assert_eq!(returns(&t), 500);
    assert!(t.desk.next_deadline().is_some_and(|at| at <= t.now));
    t.step(Event::Tick);
    assert_eq!((returns(&t), t.desk.totals().free), (700, 0));
    assert!(t.desk.next_deadline().is_some_and(|at| at > t.now));
}

#[test]
fn a_release_request_returns_units_says_what_is_left_and_holds_off_takes() {
    let mut t = Table::new();
    t.stocked("A", 10);
    let give = |t: &mut Table, slot: Option<SlotKey>| {
        let after = t.step(Event::GiveBack { ticket: 0, slot });
        after.into_iter().find_map(|a| if let After::GivenBack { left, .. } = a { Some(left) } else { None }).unwrap()
    };
    let units = u64::from(t.desk.units(&key("A")).unwrap().free());
    assert_eq!(give(&mut t, Some(key("A"))), units);
    assert_eq!(give(&mut t, None), units);
    assert_eq!(give(&mut t, Some(key("X"))), 0);
    for op in t.claim() {
        let OpWhat::Return { units } = op.what else { panic!("{op:?}") };
        t.done(&op, OpResult::Returned { units });
    }
    assert_eq!((give(&mut t, Some(key("A"))), give(&mut t, None)), (0, 0));
    t.restarted(vec![Fact::Slot(slot("A", 10))], policy());
    let ask = t.ask("A", person(1));
    assert_eq!(t.refused(naver(), ask).retry_after_ms, None, "held back, over a restart too");
    assert!(t.claim().is_empty());
    t.now = t.now.plus_ms(10 * 60_000);
    let ask = t.ask("A", person(2));
    assert_eq!(t.refused(naver(), ask).retry_after_ms, Some(800));
}

#[test]
fn in_a_quiet_window_no_units_are_held() {
    // NOW is Sunday, 20:00 in Seoul.
    let window =
        QuietWindow { from_min: 23 * 60, until_min: 60, weekdays: [false, false, false, false, false, false, true] };
    let mut t = Table::with(Policy { quiet: vec![window], ..policy() });
    t.stocked("A", 10);
    t.step(Event::Tick);
    let begins = NOW.plus_ms(3 * 3_600_000);
    assert!(t.claim().is_empty());
    assert!(t.desk.next_deadline().is_some_and(|at| at <= begins));
    t.now = begins;
    t.step(Event::Tick);
    for op in t.claim() {
        let OpWhat::Return { units } = op.what else { panic!("{op:?}") };
        t.done(&op, OpResult::Returned { units });
    }
    assert_eq!(t.desk.totals().free, 0);
    for (hours, takes) in [(3, false), (4, false), (5, true)] {
        t.now = NOW.plus_ms(hours * 3_600_000);
        t.step(Event::Tick);
        let ask = t.ask("A", person(1));
        assert_eq!(t.refused(naver(), ask).code, Refusal::SlotFull);
        assert_eq!(t.claim().iter().any(|op| matches!(op.what, OpWhat::Take { .. })), takes, "{hours} hours on");
    }
}

#[test]
fn rule_33_units_of_slots_that_a_resumed_desk_saw_late_go_back_as_well() {
    let mut t = Table::new();
    t.stocked("A", 10);
    let free = t.desk.units(&key("A")).unwrap().free();
    let fact = t.level("A", 10, Some(t.take_op()));
    // A restored ledger has no mirror: the slot is there by its entries alone until the first cut.
    t.restarted(Vec::new(), policy());
    t.facts(vec![Fact::Slot(fact)]);
    control(&mut t, Control::Drain);
    let returned = t.claim().into_iter().find(|op| op.slot == key("A")).expect("a return was asked");
    assert_eq!(returned.what, OpWhat::Return { units: free });
}

#[test]
fn an_on_request_booking_keeps_its_mode_when_the_class_changes() {
    let mut t = rare(classes());
    let id = asked(&mut t, 1);
    let counter = Policy { classes: [("rare".to_owned(), AllotmentMode::Counter)].into(), ..classes() };
    t.restarted(vec![Fact::Slot(of_class("A", 2, "rare"))], counter);
    let place = t.given().into_iter().find(|given| given.op.position == id.0).unwrap();
    assert_eq!(place.mode, AllotmentMode::OnRequest);
    t.done(&place.op, converted());
    t.request(naver(), Ask::Cancel { booking: id, if_match: None });
    let cancel = t.given().into_iter().find(|given| matches!(given.op.what, OpWhat::Cancel { .. })).unwrap();
    assert_eq!(cancel.mode, AllotmentMode::OnRequest);
}

#[test]
fn nothing_is_placed_while_the_agency_wants_no_units_held() {
    let mut t = rare(classes());
    t.step(Event::GiveBack { ticket: 0, slot: Some(key("A")) });
    let id = asked(&mut t, 1);
    assert!(t.claim().is_empty());
    let until = t.desk.next_deadline().expect("it is looked at again");
    assert_eq!(until, t.now.plus_ms(10 * 60_000));
    t.now = until;
    assert!(t.step(Event::Tick).iter().any(|after| matches!(after, After::OpsWaiting)));
    assert_eq!(t.claim()[0].position, id.0);
}

#[test]
fn a_place_op_that_waited_past_the_cutoff_is_refused_and_not_sent() {
    let mut t = rare(Policy { on_request_per_s: 1, ..classes() });
    let (sent, waits) = (asked(&mut t, 1), asked(&mut t, 2));
    assert_eq!(t.claim().len(), 1);
    t.now = slot("A", 1).start.plus_ms(-policy().cutoff_ms);
    t.step(Event::Tick);
    assert_eq!(t.booking(sent).status, BookingStatus::Pending);
    assert_eq!((t.booking(waits).status, t.booking(waits).reason), (BookingStatus::Refused, Some(EndReason::NoPlace)));
    assert!(t.claim().is_empty());
}
