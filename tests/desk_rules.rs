//! The conflict table, rule by rule, on the desk alone.

#[path = "desk_rules/table.rs"]
mod table;

use slotbridge::decide::*;
use slotbridge::domain::*;

use table::{NOW, Table, kakao, key, naver, person, policy, slot};

#[test]
fn rule_1_a_free_unit_and_a_free_person_make_a_booking_and_a_convert() {
    let mut t = Table::new();
    t.stocked("A", 10);
    let id = t.booked(naver(), "A", 1);
    let ops = t.claim();
    assert!(ops.iter().any(|op| op.position == id.0 && matches!(op.what, OpWhat::Convert { .. })));
}

#[test]
fn rule_2_an_empty_escrow_asks_for_a_refill_and_says_when_to_come_back() {
    let mut t = Table::new();
    t.facts(vec![Fact::Slot(slot("A", 10))]);
    let ask = t.ask("A", person(1));
    let refused = t.refused(naver(), ask);
    assert_eq!((refused.code, refused.retry_after_ms), (Refusal::SlotFull, Some(800)));
    assert_eq!(refused.slot.as_ref().map(|s| s.remaining), Some(10));
    let ops = t.claim();
    assert!(matches!(ops[..], [Op { what: OpWhat::Take { units: 1..=5 }, .. }]), "{ops:?}");
}

#[test]
fn rule_3_a_full_slot_is_refused_without_a_promise() {
    let mut t = Table::new();
    t.facts(vec![Fact::Slot(SlotFact { native: 3, counter: Some(3), ..slot("A", 3) })]);
    let ask = t.ask("A", person(1));
    let refused = t.refused(naver(), ask);
    assert_eq!((refused.code, refused.retry_after_ms), (Refusal::SlotFull, None));
    assert_eq!(refused.slot.map(|s| s.remaining), Some(0));
    assert!(t.claim().is_empty());
}

#[test]
fn rule_4_a_closed_slot_is_refused_and_its_units_go_back() {
    let mut t = Table::new();
    t.stocked("A", 10);
    t.stocked("B", 10);
    t.facts(vec![Fact::Slot(SlotFact { status: SlotStatus::Closed, ..slot("A", 10) })]);
    let ask = t.ask("A", person(1));
    let refused = t.refused(naver(), ask);
    assert_eq!(refused.code, Refusal::SlotClosed);
    assert!(refused.alternatives.iter().all(|a| a.slot.key == key("B")) && !refused.alternatives.is_empty());
    assert!(t.claim().iter().any(|op| matches!(op.what, OpWhat::Return { .. })));
}

#[test]
fn rule_4_a_slot_past_its_cutoff_is_closed_and_drained_by_a_tick() {
    let mut t = Table::new();
    t.stocked("A", 10);
    t.now = NOW.plus_ms(86_400_000 - 30 * 60_000);
    assert!(t.desk.next_deadline().unwrap() <= t.now);
    t.step(Event::Tick);
    assert!(t.entries.iter().any(|e| matches!(e.what, What::CutOff { .. })));
    assert!(t.claim().iter().any(|op| matches!(op.what, OpWhat::Return { .. })));
    let ask = t.ask("A", person(1));
    assert_eq!(t.refused(naver(), ask).code, Refusal::SlotClosed);
}

#[test]
fn rule_5_a_material_change_since_the_seen_cursor_is_told_and_can_be_accepted() {
    let mut t = Table::new();
    t.stocked("A", 10);
    let seen = t.desk.position();
    t.facts(vec![Fact::Slot(SlotFact { version: SlotVersion(2), ..slot("A", 10) })]);
    let stale = BookAsk { seen_cursor: Some(seen), ..t.ask("A", person(1)) };
    let refused = t.refused(naver(), stale);
    assert_eq!((refused.code, refused.slot.map(|s| s.version)), (Refusal::SlotChanged, Some(SlotVersion(2))));
    let accepting = BookAsk { seen_cursor: Some(seen), accept_version: Some(SlotVersion(2)), ..t.ask("A", person(1)) };
    assert!(matches!(t.book(naver(), accepting), Outcome::Booked { .. }));
}

#[test]
fn a_change_that_is_not_material_does_not_bar_a_stale_screen() {
    let mut t = Table::new();
    t.stocked("A", 10);
    let seen = Position(1);
    t.facts(vec![Fact::Slot(SlotFact { capacity: 12, ..slot("A", 10) })]);
    let ask = BookAsk { seen_cursor: Some(seen), ..t.ask("A", person(1)) };
    assert!(matches!(t.book(naver(), ask), Outcome::Booked { .. }));
}

#[test]
fn rules_7_and_8_a_person_booked_elsewhere_is_not_bookable_and_nothing_else() {
    let mut t = Table::new();
    t.stocked("A", 10);
    t.booked(kakao(), "A", 1);
    let ask = t.ask("A", person(1));
    let refused = t.refused(naver(), ask);
    assert_eq!(refused.code, Refusal::NotBookable);
    assert!(refused.slot.is_none() && refused.own_booking.is_none() && refused.alternatives.is_empty());
}

#[test]
fn the_callers_own_booking_is_named() {
    let mut t = Table::new();
    t.stocked("A", 10);
    let id = t.booked(naver(), "A", 1);
    let ask = t.ask("A", person(1));
    let refused = t.refused(naver(), ask);
    assert_eq!((refused.code, refused.own_booking), (Refusal::PersonAlreadyBooked, Some(id)));
}

#[test]
fn rule_9_everything_about_a_person_is_one_answer() {
    let mut t = Table::new();
    t.stocked("A", 10);
    t.reservation("A", 1, true, None);
    t.facts(vec![
        Fact::Person(PersonFact { person: PersonNo(2), cohort: CohortNo(1), bookable: false }),
        Fact::Person(PersonFact { person: PersonNo(3), cohort: CohortNo(7), bookable: true }),
    ]);
    let mut seen = Vec::new();
    for who in [person(1), person(2), person(3), person(777), PersonRef::Nobody(5)] {
        let ask = t.ask("A", who);
        seen.push(format!("{:?}", t.refused(naver(), ask)));
    }
    assert!(seen.iter().all(|text| *text == seen[0] && text.contains("NotBookable")), "{seen:#?}");
    t.reservation("A", 1, false, None);
    t.booked(naver(), "A", 1);
}

#[test]
fn a_person_fact_is_answered_only_where_a_booking_would_be_made() {
    let mut t = Table::new();
    t.facts(vec![Fact::Slot(SlotFact { native: 3, counter: Some(3), ..slot("A", 3) })]);
    let ask = t.ask("A", PersonRef::Nobody(1));
    assert_eq!(t.refused(naver(), ask).code, Refusal::SlotFull);
}

#[test]
fn rule_10_a_native_booking_found_at_write_back_displaces_ours_and_keeps_the_unit() {
    let mut t = Table::new();
    t.stocked("A", 10);
    let id = t.booked(naver(), "A", 1);
    let free = t.desk.units(&key("A")).unwrap().free();
    let convert = t.claim().into_iter().find(|op| op.position == id.0).unwrap();
    t.done(&convert, OpResult::Rejected { reason: Rejection::PersonBooked });
    let view = t.booking(id);
    assert_eq!((view.status, view.sync), (BookingStatus::Displaced, Sync::Rejected));
    assert_eq!(view.reason.map(EndReason::public_code), Some("agency_cancelled"));
    assert_eq!(t.desk.units(&key("A")).unwrap().free(), free + 1);
}

#[test]
fn rule_14_a_booking_that_the_legacy_side_cancelled_ends_here_too() {
    let mut t = Table::new();
    t.stocked("A", 10);
    let (id, convert) = t.applied(naver(), "A", 1);
    t.reservation("A", 1, true, Some(convert.position));
    assert_eq!(t.booking(id).status, BookingStatus::Booked);
    t.reservation("A", 1, false, Some(convert.position));
    let view = t.booking(id);
    assert_eq!((view.status, view.reason), (BookingStatus::Cancelled, Some(EndReason::LegacyCancelled)));
    t.booked(kakao(), "A", 1);
}

#[test]
fn rule_14_holds_when_the_cancel_is_seen_before_the_convert_is_known() {
    let mut t = Table::new();
    t.stocked("A", 10);
    let id = t.booked(naver(), "A", 1);
    let convert = t.claim().into_iter().find(|op| op.position == id.0).unwrap();
    t.reservation("A", 1, false, Some(convert.position));
    assert_eq!(t.booking(id).status, BookingStatus::Booked);
    t.done(&convert, OpResult::Converted { legacy_ref: "R1".into(), over: false });
    assert_eq!(t.booking(id).status, BookingStatus::Cancelled);
}

#[test]
fn rule_16_an_op_in_doubt_stays_pending_and_the_booking_says_so() {
    let mut t = Table::new();
    t.stocked("A", 10);
    let id = t.booked(naver(), "A", 1);
    t.claim();
    t.step(Event::OpInDoubt { op: id.0 });
    assert_eq!(t.booking(id).sync, Sync::InDoubt);
    assert!(t.desk.pending_ops().any(|op| op.position == id.0));
}

#[test]
fn rules_17_to_20_a_key_replays_conflicts_or_is_too_old() {
    let mut t = Table::new();
    t.stocked("A", 10);
    let ask = t.ask("A", person(1));
    let Outcome::Booked { booking, .. } = t.book(naver(), ask.clone()) else { panic!("not booked") };
    let Outcome::Replay { entry } = t.book(naver(), ask.clone()) else { panic!("not replayed") };
    assert_eq!(entry, booking.id.0);
    assert_eq!(
        t.refused(naver(), BookAsk { body: BodyMac([2; 8]), ..ask.clone() }).code,
        Refusal::IdempotencyKeyReused
    );
    t.now = NOW.plus_ms(3 * 86_400_000);
    assert!(matches!(t.book(naver(), ask), Outcome::Replay { .. }), "a known key is replayed whatever its age");
    for first_sent_at in [t.now.plus_ms(-86_400_001), t.now.plus_ms(60_001)] {
        let ask = BookAsk { first_sent_at, ..t.ask("A", person(2)) };
        let entries = t.entries.len();
        assert_eq!(t.refused(naver(), ask).code, Refusal::RequestTooOld);
        assert_eq!(t.entries.len(), entries, "nothing is stored");
    }
}

#[test]
fn a_refused_key_is_forgotten_after_a_day() {
    let mut t = Table::new();
    let ask = t.ask("A", person(1));
    assert_eq!(t.refused(naver(), ask.clone()).code, Refusal::UnknownSlot);
    t.now = NOW.plus_ms(86_400_000);
    assert!(matches!(t.book(naver(), ask.clone()), Outcome::Replay { .. }));
    t.now = NOW.plus_ms(86_400_001);
    assert_eq!(t.refused(naver(), ask).code, Refusal::RequestTooOld, "an old retry never books anew");
}

#[test]
fn rule_22_a_cancel_before_the_claim_drops_the_convert() {
    let mut t = Table::new();
    t.stocked("A", 10);
    let id = t.booked(naver(), "A", 1);
    let free = t.desk.units(&key("A")).unwrap().free();
    let outcome = t.request(naver(), Ask::Cancel { booking: id, if_match: None });
    assert!(matches!(outcome, Outcome::Cancelled { booking } if booking.status == BookingStatus::Cancelled));
    assert_eq!(t.desk.units(&key("A")).unwrap().free(), free + 1);
    assert!(t.claim().iter().all(|op| op.position != id.0));
}

#[test]
fn rule_22_a_cancel_after_the_claim_waits_for_the_legacy_system() {
    let mut t = Table::new();
    t.stocked("A", 10);
    let (id, _) = t.applied(naver(), "A", 1);
    let free = t.desk.units(&key("A")).unwrap().free();
    let outcome = t.request(naver(), Ask::Cancel { booking: id, if_match: None });
    assert!(matches!(outcome, Outcome::Cancelled { booking } if booking.status == BookingStatus::Cancelling));
    assert_eq!(t.desk.units(&key("A")).unwrap().free(), free, "the unit is free only when legacy turned it back");
    let again = t.booked(kakao(), "A", 1);
    let ops = t.claim();
    assert!(ops.iter().all(|op| op.position != again.0), "a convert must not overtake the cancel of the same person");
    let cancel = ops.into_iter().find(|op| matches!(op.what, OpWhat::Cancel { .. })).unwrap();
    t.done(&cancel, OpResult::TurnedBack);
    assert_eq!(t.booking(id).status, BookingStatus::Cancelled);
    assert!(t.claim().iter().any(|op| op.position == again.0));
}

#[test]
fn a_cancel_of_a_cancelled_booking_is_200_and_anothers_is_unknown() {
    let mut t = Table::new();
    t.stocked("A", 10);
    let id = t.booked(naver(), "A", 1);
    let foreign = t.request(kakao(), Ask::Cancel { booking: id, if_match: None });
    assert!(matches!(foreign, Outcome::Refused(Refused { code: Refusal::UnknownBooking, .. })));
    let stale = t.request(naver(), Ask::Cancel { booking: id, if_match: Some("\"x\"".into()) });
    assert!(matches!(stale, Outcome::Refused(Refused { code: Refusal::PreconditionFailed, .. })));
    for _ in 0..2 {
        let outcome = t.request(naver(), Ask::Cancel { booking: id, if_match: None });
        assert!(matches!(outcome, Outcome::Cancelled { .. }));
    }
}

#[test]
fn rule_31_a_slot_that_is_not_open_yet_says_when() {
    let mut t = Table::new();
    let opens_at = NOW.plus_ms(60_000);
    t.facts(vec![Fact::Slot(SlotFact { opens_at: Some(opens_at), ..slot("A", 3) })]);
    let ask = t.ask("A", person(1));
    let refused = t.refused(naver(), ask);
    assert_eq!((refused.code, refused.opens_at), (Refusal::NotOpenYet, Some(opens_at)));
}

#[test]
fn not_bookable_is_evaluated_five_times_a_day_and_answered_the_same_after() {
    let mut t = Table::new();
    t.stocked("A", 10);
    t.booked(kakao(), "A", 1);
    for n in 0..8 {
        let ask = t.ask("A", person(1));
        assert_eq!(t.refused(naver(), ask).code, Refusal::NotBookable);
        let Some(What::Refused { evaluated, .. }) = t.entries.last().map(|e| &e.what) else { panic!("no entry") };
        assert_eq!(*evaluated, n < 5);
    }
}

#[test]
fn a_refusal_names_nearby_slots_that_can_be_booked_and_never_more_than_asked() {
    let mut t = Table::new();
    for name in ["B", "C", "D"] {
        t.stocked(name, 10);
    }
    t.facts(vec![Fact::Slot(SlotFact { native: 1, counter: Some(1), ..slot("A", 1) }), Fact::Slot(slot("E", 5))]);
    let ask = BookAsk { alternatives_max: 2, ..t.ask("A", person(1)) };
    let found = t.refused(naver(), ask).alternatives;
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|a| ["B", "C", "D"].contains(&a.slot.key.as_str()) && a.distance_m == Some(0)));
}

#[test]
fn losers_are_spread_over_the_alternatives() {
    let mut t = Table::new();
    for name in ["B", "C", "D"] {
        t.stocked(name, 10);
    }
    t.facts(vec![Fact::Slot(SlotFact { native: 1, counter: Some(1), ..slot("A", 1) })]);
    let mut first = std::collections::BTreeMap::new();
    for n in 0..60u64 {
        let mut ask = BookAsk { alternatives_max: 1, ..t.ask("A", person(1)) };
        ask.key = KeyMac((u128::from(n) * 0x1234_5678_9abc_def1).to_le_bytes());
        let found = t.refused(naver(), ask).alternatives;
        *first.entry(found[0].slot.key.to_string()).or_insert(0) += 1;
    }
    assert!(first.len() == 3 && first.values().all(|n| *n >= 8), "{first:?}");
}

#[test]
fn a_receipt_counts_once_and_distinct_persons_are_limited() {
    let mut t = Table::new();
    let token = |t: &mut Table, who, receipt: u8| {
        let receipt = ReceiptMac([receipt; 16]);
        let ask = TokenAsk { person: who, before: None, receipt, epoch: 1, overlap: None, day_max: 2, epoch_max: 3 };
        let ask = Ask::Token(ask);
        match t.request(naver(), ask) {
            Outcome::TokenGiven => None,
            Outcome::Refused(refused) => Some(refused.code),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(token(&mut t, person(1), 1), None);
    assert_eq!(token(&mut t, person(1), 1), Some(Refusal::ReceiptUsed));
    assert_eq!(token(&mut t, person(1), 2), None, "the same person again does not count");
    assert_eq!(token(&mut t, PersonRef::Nobody(9), 3), None);
    assert_eq!(token(&mut t, person(2), 4), Some(Refusal::TokenLimitReached));
    t.now = NOW.plus_ms(86_400_000);
    assert_eq!(token(&mut t, person(2), 5), None, "a new day");
    assert_eq!(token(&mut t, person(3), 6), Some(Refusal::TokenLimitReached), "the epoch's limit stands");
}

#[test]
fn idle_units_go_back_and_cold_slots_get_their_first_units_at_the_set_rate() {
    let mut refill = RefillPolicy { prewarm_units: 1, prewarm_per_s: 2, ..RefillPolicy::default() };
    refill.idle_return_ms = 1_000;
    let mut t = Table::with(Policy { refill, ..policy() });
    t.facts(["A", "B", "C", "D"].map(|name| Fact::Slot(slot(name, 10))).into());
    t.now = t.now.plus_ms(10_000);
    t.step(Event::Tick);
    let takes = t.claim();
    assert_eq!(takes.len(), 2, "two a second, and a pause is not made up for: {takes:?}");
    takes.iter().for_each(|op| t.done(op, OpResult::Taken { units: 1 }));
    t.now = t.now.plus_ms(1_001);
    t.step(Event::Tick);
    assert_eq!(t.claim().iter().filter(|op| matches!(op.what, OpWhat::Return { .. })).count(), 2);
}

#[test]
fn in_mode_quota_the_agency_assigns_and_the_bridge_never_takes() {
    let mut t = Table::with(Policy { mode: AllotmentMode::Quota, ..policy() });
    t.facts(vec![Fact::Slot(SlotFact { escrow_units: 1, counter: Some(1), ..slot("A", 5) })]);
    t.booked(naver(), "A", 1);
    let ask = t.ask("A", person(2));
    let refused = t.refused(naver(), ask);
    assert_eq!((refused.code, refused.retry_after_ms), (Refusal::SlotFull, None));
    assert!(t.claim().iter().all(|op| matches!(op.what, OpWhat::Convert { .. })));
}

#[test]
fn a_desk_replayed_from_snapshot_or_from_entries_goes_on_alike() {
    let mut t = Table::new();
    t.stocked("A", 10);
    let (_, convert) = t.applied(naver(), "A", 1);
    let snapshot = t.desk.snapshot();
    t.booked(kakao(), "A", 2);
    let facts = || {
        let persons =
            (0..10).map(|n| Fact::Person(PersonFact { person: PersonNo(n), cohort: CohortNo(1), bookable: true }));
        persons.chain([Fact::Slot(slot("A", 10))]).map(|fact| (Position(1), fact)).collect::<Vec<_>>()
    };
    let after = snapshot.position;
    let late = t.entries.iter().filter(move |e| e.position > after).cloned();
    let whole = Desk::replay(policy(), None, facts().into_iter(), t.entries.iter().cloned()).unwrap();
    let short = Desk::replay(policy(), Some(snapshot), facts().into_iter(), late).unwrap();
    for desk in [&whole, &short] {
        assert_eq!(desk.units(&key("A")), t.desk.units(&key("A")));
        assert_eq!(desk.position(), t.desk.position());
        assert_eq!(desk.broken(), []);
        assert!(desk.pending_ops().eq(t.desk.pending_ops()));
    }
    assert!(whole.pending_ops().all(|op| op.position != convert.position));
}

#[test]
fn a_ledger_that_does_not_fit_is_an_error_and_not_a_guess() {
    let mut t = Table::new();
    t.stocked("A", 10);
    t.booked(naver(), "A", 1);
    let without_the_take = t.entries.iter().filter(|e| !matches!(e.what, What::OpDone { .. })).cloned();
    assert!(Desk::replay(policy(), None, std::iter::empty(), without_the_take).is_err());
    let backwards = t.entries.iter().rev().cloned();
    assert!(Desk::replay(policy(), None, std::iter::empty(), backwards).is_err());
}
