//! Bounds and memories of the desk: what is counted, how long it is kept, and what a gap in it must not allow.

#[path = "desk_rules/table.rs"]
mod table;

use slotbridge::decide::*;
use slotbridge::domain::*;
use table::*;

#[test]
fn a_person_asked_about_too_often_is_not_looked_at_until_the_next_day() {
    let mut t = Table::new();
    t.stocked("A", 10);
    let elsewhere = t.booked(kakao(), "A", 1);
    for _ in 0..5 {
        let ask = t.ask("A", person(1));
        assert_eq!(t.refused(naver(), ask).code, Refusal::NotBookable);
    }
    t.request(kakao(), Ask::Cancel { booking: elsewhere, if_match: None });
    let ask = t.ask("A", person(1));
    assert_eq!(t.refused(naver(), ask).code, Refusal::NotBookable, "the person is free now, and nobody looked");
    t.now = t.now.plus_ms(20 * 3_600_000);
    t.booked(naver(), "A", 1);
}

#[test]
fn a_partner_whose_refusals_are_full_still_books_what_can_be_booked() {
    let mut t = Table::with(Policy { refused_keys_max: 3, ..policy() });
    t.stocked("A", 10);
    for _ in 0..2 {
        let ask = t.ask("X", person(1));
        assert_eq!(t.refused(naver(), ask).code, Refusal::UnknownSlot);
    }
    let entries = t.entries.len();
    let ask = t.ask("X", person(1));
    assert_eq!(t.refused(naver(), ask).code, Refusal::TooManyRefusals);
    assert_eq!(t.entries.len(), entries, "nothing is stored");
    t.booked(naver(), "A", 1);
}

#[test]
fn the_epochs_limit_is_that_epochs_and_older_ones_are_forgotten() {
    let mut t = Table::new();
    for epoch in 1..=6u32 {
        t.now = t.now.plus_ms(86_400_000);
        for n in 0..2u8 {
            let receipt = ReceiptMac([epoch as u8 * 16 + n; 16]);
            let who = person(u32::from(n));
            let ask = Ask::Token(TokenAsk { receipt, ..token_ask(who, epoch) });
            assert!(matches!(t.request(naver(), ask), Outcome::TokenGiven), "epoch {epoch}, person {n}");
        }
        let receipt = ReceiptMac([255 - epoch as u8; 16]);
        let ask = Ask::Token(TokenAsk { receipt, ..token_ask(person(7), epoch) });
        let outcome = t.request(naver(), ask);
        assert!(matches!(outcome, Outcome::Refused(Refused { code: Refusal::TokenLimitReached, .. })), "{outcome:?}");
    }
}

fn token_ask(person: PersonRef, epoch: u32) -> TokenAsk {
    let receipt = ReceiptMac([0; 16]);
    TokenAsk { person, before: None, receipt, epoch, overlap: None, day_max: 9, epoch_max: 2 }
}

#[test]
fn both_epochs_of_an_overlap_count_together_and_a_restart_forgets_none() {
    let mut t = Table::new();
    let ask = |person, before, receipt: u8, epoch, overlap| {
        let receipt = ReceiptMac([receipt; 16]);
        Ask::Token(TokenAsk { before, receipt, overlap, ..token_ask(person, epoch) })
    };
    let nobody = |number| PersonRef::Nobody(number);
    assert!(matches!(t.request(naver(), ask(person(1), None, 1, 2611, None)), Outcome::TokenGiven));
    assert!(matches!(t.request(naver(), ask(nobody(7), None, 2, 2611, None)), Outcome::TokenGiven));
    t.restarted(Vec::new(), policy());
    let third = t.request(naver(), ask(person(2), None, 3, 2612, Some(2611)));
    assert!(matches!(third, Outcome::Refused(Refused { code: Refusal::TokenLimitReached, .. })), "{third:?}");
    let again = ask(nobody(70), Some(nobody(7)), 4, 2612, Some(2611));
    assert!(matches!(t.request(naver(), again), Outcome::TokenGiven), "the same CI under its new number");
    assert!(matches!(t.request(naver(), ask(person(1), None, 5, 2612, Some(2611))), Outcome::TokenGiven));
    t.restarted(Vec::new(), policy());
    let third = t.request(naver(), ask(person(2), None, 6, 2612, Some(2611)));
    assert!(matches!(third, Outcome::Refused(Refused { code: Refusal::TokenLimitReached, .. })), "{third:?}");
}

#[test]
fn a_slot_that_comes_back_with_another_definition_is_a_changed_slot() {
    let mut t = Table::new();
    t.stocked("A", 10);
    let seen = t.desk.position();
    t.facts(vec![Fact::SlotGone(key("A"))]);
    t.facts(vec![Fact::Slot(SlotFact { version: SlotVersion(2), ..slot("A", 10) })]);
    let ask = BookAsk { seen_cursor: Some(seen), ..t.ask("A", person(1)) };
    assert_eq!(t.refused(naver(), ask).code, Refusal::SlotChanged);
}

#[test]
fn a_slot_whose_row_was_lost_over_a_restart_counts_as_changed() {
    let mut t = Table::new();
    t.stocked("A", 10);
    let seen = t.desk.position();
    let persons = (0..10).map(|n| PersonFact { person: PersonNo(n), cohort: CohortNo(1), bookable: true });
    let facts = persons.map(|fact| (Position(1), Fact::Person(fact)));
    t.desk = Desk::replay(policy(), None, facts, t.entries.iter().cloned()).unwrap();
    t.facts(vec![Fact::Slot(SlotFact { version: SlotVersion(2), ..slot("A", 10) })]);
    let ask = BookAsk { seen_cursor: Some(seen), ..t.ask("A", person(1)) };
    assert_eq!(t.refused(naver(), ask).code, Refusal::SlotChanged);
}

#[test]
fn a_booking_whose_appointment_has_begun_is_not_cancelled_by_a_partner() {
    let mut t = Table::new();
    t.stocked("A", 10);
    let (id, _) = t.applied(naver(), "A", 1);
    t.now = slot("A", 10).start;
    let outcome = t.request(naver(), Ask::Cancel { booking: id, if_match: None });
    assert!(matches!(outcome, Outcome::Refused(Refused { code: Refusal::SlotClosed, .. })), "{outcome:?}");
    assert_eq!(t.booking(id).status, BookingStatus::Booked);
}

#[test]
fn a_key_that_was_refused_and_later_granted_is_kept() {
    let mut t = Table::new();
    let ask = t.ask("A", person(1));
    assert_eq!(t.refused(naver(), ask.clone()).code, Refusal::UnknownSlot);
    t.now = t.now.plus_ms(86_400_001);
    let later = SlotFact { start: t.now.plus_ms(86_400_000), ..slot("A", 10) };
    t.facts(vec![Fact::Slot(later.clone())]);
    let first = BookAsk { key: KeyMac([9; 16]), ..t.ask("A", person(9)) };
    assert_eq!(t.refused(naver(), first).code, Refusal::SlotFull);
    let take = t.claim().remove(0);
    t.done(&take, OpResult::Taken { units: 1 });
    let again = BookAsk { first_sent_at: t.now, ..ask };
    assert!(matches!(t.book(naver(), again.clone()), Outcome::Booked { .. }));
    let persons = (0..10).map(|n| PersonFact { person: PersonNo(n), cohort: CohortNo(1), bookable: true });
    let facts = persons.map(|fact| (Position(1), Fact::Person(fact))).chain([(Position(2), Fact::Slot(later))]);
    t.desk = Desk::replay(policy(), None, facts, t.entries.iter().cloned()).unwrap();
    t.step(Event::Tick);
    assert!(
        matches!(t.book(naver(), again), Outcome::Replay { .. }),
        "the replayed refusal must not take the booking's key"
    );
}

#[test]
fn a_row_of_ours_that_vanishes_before_its_appointment_ends_the_booking() {
    let mut t = Table::new();
    t.stocked("A", 10);
    let (id, convert) = t.applied(naver(), "A", 1);
    t.reservation("A", 1, true, Some(convert.position));
    t.facts(vec![Fact::ReservationGone(ReservationKey::new("R1").unwrap())]);
    assert_eq!(t.booking(id).status, BookingStatus::Booked, "it may be that the legacy system was restored");
    t.now = t.now.plus_ms(3_600_000);
    t.step(Event::Tick);
    assert_eq!(t.booking(id).status, BookingStatus::Booked, "write-back has not compared the fence since");
    assert!(t.desk.totals().wants_fence && t.desk.next_deadline().is_none_or(|at| at > t.now));
    let last_op = Some(OpId { incarnation: Incarnation(1), position: convert.position });
    t.step(Event::Fence { ticket: 0, last_op, applied: 0, ours: true });
    assert!(!t.desk.totals().wants_fence && t.desk.next_deadline().is_some_and(|at| at <= t.now));
    t.step(Event::Tick);
    assert_eq!(t.booking(id).status, BookingStatus::Cancelled);
}

#[test]
fn a_fence_compared_before_a_row_vanished_does_not_end_its_booking() {
    let mut t = Table::new();
    t.stocked("A", 10);
    let (id, convert) = t.applied(naver(), "A", 1);
    t.reservation("A", 1, true, Some(convert.position));
    let last_op = Some(OpId { incarnation: Incarnation(1), position: convert.position });
    t.step(Event::Fence { ticket: 0, last_op, applied: 0, ours: true });
    t.facts(vec![Fact::ReservationGone(ReservationKey::new("R1").unwrap())]);
    t.now = t.now.plus_ms(60_000);
    t.step(Event::Tick);
    assert_eq!(t.booking(id).status, BookingStatus::Booked);
}

#[test]
fn cutoffs_passed_before_a_restart_do_not_hold_up_later_ones() {
    let mut t = Table::new();
    let names: Vec<String> = (0..600).map(|n| format!("S{n}")).collect();
    let facts: Vec<Fact> = names.iter().map(|name| Fact::Slot(slot(name, 1))).collect();
    t.facts(facts.clone());
    t.now = slot("S0", 1).start;
    t.step(Event::Tick);
    t.step(Event::Tick);
    let cut_off = |t: &Table| t.entries.iter().filter(|e| matches!(e.what, What::CutOff { .. })).count();
    assert_eq!(cut_off(&t), 600);
    let live = SlotFact { start: t.now.plus_ms(7_200_000), ..slot("L", 1) };
    t.facts(vec![Fact::Slot(live.clone())]);
    t.restarted(facts.into_iter().chain([Fact::Slot(live)]).collect(), policy());
    assert!(t.desk.next_deadline().is_none_or(|at| at > t.now), "nothing is due");
    t.now = t.now.plus_ms(7_200_000);
    t.step(Event::Tick);
    assert_eq!(cut_off(&t), 601);
}
