//! Whatever is wrong with a run is found, and nothing else is.

use super::*;
use crate::decide::{Booked, OpResult, Rejection, What};
use crate::demo::tally::Acknowledged;
use crate::demo::told::Unfinished;
use crate::domain::{BodyMac, KeyMac, PartnerId, SlotKey, SlotVersion, Timestamp};
use crate::ledger::{Hash, Head};
use crate::legacy::sqlite::recount::{BookedTwice, BridgeReservation, Oversold};

fn entry(position: u64, what: What) -> Entry {
    Entry { position: Position(position), at: Timestamp(0), what }
}

fn booked(position: u64, person: u32) -> Entry {
    let what = What::Booked(Booked {
        partner: PartnerId::new("naver").unwrap(),
        person: PersonNo(person),
        series: SeriesId::new("covid19-1").unwrap(),
        slot: SlotKey::new("7").unwrap(),
        version: SlotVersion(1),
        key: KeyMac([0; 16]),
        body: BodyMac([0; 8]),
        partner_ref: None,
    });
    entry(position, what)
}

fn done(position: u64, op: u64, result: OpResult) -> Entry {
    entry(position, What::OpDone { op: Position(op), result })
}

fn converted(position: u64, op: u64) -> Entry {
    done(position, op, OpResult::Converted { legacy_ref: "R1".into(), over: false })
}

fn cancelled(position: u64, booking: u64, coalesced: bool) -> Entry {
    entry(position, What::Cancelled { booking: BookingId(Position(booking)), coalesced })
}

/// A run as it should be: 1 active, 2 refused at write-back, 4 cancelled at once, 6 cancelled and turned back.
struct Run {
    entries: Vec<Entry>,
    recount: Recount,
    seen: Seen,
    feeds: BTreeMap<String, FeedStates>,
    beside: Beside,
}

impl Run {
    fn new() -> Run {
        let entries = vec![
            booked(1, 1),
            booked(2, 2),
            done(3, 2, OpResult::Rejected { reason: Rejection::PersonBooked }),
            booked(4, 2),
            cancelled(5, 4, true),
            booked(6, 3),
            converted(7, 1),
            converted(8, 6),
            cancelled(9, 6, false),
            done(10, 9, OpResult::TurnedBack),
        ];
        let acknowledged = |id: u64| Acknowledged {
            partner: "naver".to_owned(),
            id: BookingId(Position(id)),
            slot_id: "s-7".to_owned(),
        };
        let mut seen = Seen::default();
        seen.requests = 5;
        seen.acknowledged = [1, 2, 4, 6].map(acknowledged).to_vec();
        seen.refused.insert("slot_full".to_owned(), 1);
        seen.cancels = [4, 6].map(|id| BookingId(Position(id))).into();
        let mut recount = Recount::default();
        recount.by_op.insert("op1".to_owned(), reservation("7", ReservationStatus::Active));
        recount.by_op.insert("op6".to_owned(), reservation("7", ReservationStatus::Cancelled));
        let shown = [(1, "booked"), (2, "displaced"), (4, "cancelled"), (6, "cancelled")];
        let states = shown.into_iter().map(|(id, state)| (BookingId(Position(id)), state.to_owned())).collect();
        recount.bridge = 1;
        let feeds = BTreeMap::from([("naver".to_owned(), states)]);
        Run { entries, recount, seen, feeds, beside: Beside::default() }
    }

    fn verdict(&self) -> Verdict {
        let chain = Report {
            segments: 1,
            batches: 1,
            entries: self.entries.len() as u64,
            replies: 0,
            first: Position(1),
            head: Head { position: Position(10), hash: Hash::default() },
            at: Timestamp(0),
            epochs: Vec::new(),
            damage: None,
        };
        judge(&Evidence {
            entries: &self.entries,
            op_id: &|position| format!("op{position}"),
            recount: &self.recount,
            seen: &self.seen,
            feeds: &self.feeds,
            chain: &chain,
            comparison: None,
            contention_expected: true,
            beside: &self.beside,
        })
    }

    /// What is wrong, with how often.
    fn wrong(&self) -> Vec<(&'static str, u64)> {
        let verdict = self.verdict();
        let wrong = verdict.findings.iter().filter(|f| f.is_right == Some(false));
        wrong.map(|f| (f.what, f.count)).collect()
    }
}

fn reservation(slot: &str, status: ReservationStatus) -> BridgeReservation {
    BridgeReservation { resv_no: "R1".to_owned(), slot: slot.to_owned(), status }
}

#[test]
fn a_run_as_it_should_be_is_right_and_its_ends_are_counted() {
    let run = Run::new();
    let verdict = run.verdict();
    assert!(verdict.is_right(), "{}", verdict.to_text());
    let ended = [("cancelled_by_partner", 2), ("displaced_person_booked_natively", 1)];
    assert_eq!(verdict.ended, BTreeMap::from(ended));
}

#[test]
fn a_booking_that_was_lost_is_found() {
    let mut run = Run::new();
    run.entries.retain(|entry| entry.position != Position(1) && entry.position != Position(7));
    let lost = "acknowledged bookings that the ledger does not have";
    let stranger = "legacy reservations that the ledger does not know";
    assert_eq!(run.wrong(), [(lost, 1), (stranger, 1)]);
}

#[test]
fn a_booking_that_the_legacy_system_does_not_have_is_found() {
    let mut run = Run::new();
    run.recount.by_op.remove("op1");
    run.recount.bridge -= 1;
    assert_eq!(run.wrong(), [("bookings on which ledger and legacy differ", 1)]);
    run.recount.by_op.insert("op1".to_owned(), reservation("8", ReservationStatus::Active));
    run.recount.bridge += 1;
    assert_eq!(run.wrong(), [("bookings on which ledger and legacy differ", 1)]);
}

#[test]
fn a_cancelled_booking_that_is_still_active_in_the_legacy_system_is_found() {
    let mut run = Run::new();
    run.recount.by_op.insert("op6".to_owned(), reservation("7", ReservationStatus::Active));
    assert_eq!(run.wrong(), [("bookings on which ledger and legacy differ", 1)]);
}

#[test]
fn a_write_back_without_an_outcome_is_found() {
    let mut run = Run::new();
    run.entries.retain(|entry| entry.position != Position(10));
    assert_eq!(run.wrong(), [("write-backs still waiting", 1)]);
    let mut unfinished = Unfinished::default();
    run.entries.iter().for_each(|entry| unfinished.take(entry));
    assert!(!unfinished.is_empty());
    unfinished.take(&done(10, 9, OpResult::TurnedBack));
    assert!(unfinished.is_empty());
}

#[test]
fn a_cancel_whose_convert_is_refused_is_not_waited_for() {
    let mut unfinished = Unfinished::default();
    unfinished.take(&booked(1, 1));
    unfinished.take(&cancelled(2, 1, false));
    unfinished.take(&done(3, 1, OpResult::Rejected { reason: Rejection::PersonBooked }));
    assert!(unfinished.is_empty());
}

#[test]
fn overselling_and_double_booking_are_found_on_both_sides() {
    let mut run = Run::new();
    run.entries.push(booked(11, 1));
    run.entries.push(converted(12, 11));
    run.recount.by_op.insert("op11".to_owned(), reservation("7", ReservationStatus::Active));
    run.recount.oversold.push(Oversold { slot: "7".to_owned(), capacity: 1, reserved: 2, escrow: 0 });
    let twice = BookedTwice { series: "covid19-1".to_owned(), reservations: vec!["R1".to_owned(), "R2".to_owned()] };
    run.recount.booked_twice.push(twice);
    let wrong = [
        ("legacy: slots oversold", 1),
        ("legacy: persons with two active bookings", 1),
        ("ledger: persons with two active bookings", 1),
    ];
    assert_eq!(run.wrong(), wrong);
}

#[test]
fn a_cancel_without_effect_and_a_feed_that_differs_are_found() {
    let mut run = Run::new();
    run.seen.cancels.insert(BookingId(Position(1)));
    run.feeds.get_mut("naver").unwrap().insert(BookingId(Position(2)), "booked".to_owned());
    let wrong = [("acknowledged cancels without effect", 1), ("bookings that a partner's feed shows otherwise", 1)];
    assert_eq!(run.wrong(), wrong);
}

#[test]
fn a_run_without_bookings_or_without_conflicts_proves_nothing() {
    let mut run = Run::new();
    run.seen.requests = 100;
    assert_eq!(run.wrong(), [("percent of requests refused for a conflict (at least 5)", 1)]);
    let (entries, recount, seen) = (Vec::new(), Recount::default(), Seen::default());
    let empty = Run { entries, recount, seen, feeds: BTreeMap::new(), beside: Beside::default() };
    assert_eq!(empty.wrong().len(), 2);
}
