//! When the legacy system says something else: erosion, cuts, native bookings beside ours, restores on either side.

#[path = "desk_rules/table.rs"]
mod table;

use slotbridge::decide::*;
use slotbridge::domain::*;

use table::{Table, key, naver, person, policy, slot};

fn eroded() -> OpResult {
    OpResult::Rejected { reason: Rejection::EscrowEroded }
}

fn converted() -> OpResult {
    OpResult::Converted { legacy_ref: "R1".into(), over: false }
}

fn op(t: &mut Table, is: impl Fn(&OpWhat) -> bool) -> Op {
    let ops = t.claim();
    ops.iter().find(|op| is(&op.what)).unwrap_or_else(|| panic!("not among {ops:?}")).clone()
}

fn mend(t: &mut Table) -> Op {
    op(t, |what| matches!(what, OpWhat::Mend { .. }))
}

fn fence(t: &mut Table, last_op: Option<(u64, Position)>, ours: bool) -> Agreement {
    let last_op = last_op.map(|(life, position)| OpId { incarnation: Incarnation(life), position });
    let after = t.step(Event::Fence { ticket: 0, last_op, applied: 0, ours });
    after
        .into_iter()
        .find_map(|a| if let After::Fenced { agreement, .. } = a { Some(agreement) } else { None })
        .unwrap()
}

#[test]
fn rule_30_an_eroded_slot_is_frozen_and_mended_and_loses_what_is_lost() {
    let mut t = Table::new();
    t.stocked("A", 10);
    t.booked(naver(), "A", 1);
    let (take, granted) = (t.take_op(), t.desk.units(&key("A")).unwrap().granted);
    let fact = t.level("A", 10, Some(take));
    t.facts(vec![Fact::Slot(fact.clone())]);
    assert_eq!(t.desk.totals().eroded, 0, "as it should be");
    t.facts(vec![Fact::Slot(SlotFact { counter: Some(0), ..fact })]);
    assert_eq!(t.desk.totals().eroded, 1);
    let ask = t.ask("A", person(2));
    let refused = t.refused(naver(), ask);
    assert_eq!((refused.code, refused.retry_after_ms), (Refusal::SlotFull, Some(800)));
    t.step(Event::Release { slots: vec![key("A")] });
    let mend = mend(&mut t);
    assert_eq!(mend.what, OpWhat::Mend { sold: 1 });
    assert!(t.desk.pending_ops().all(|op| !matches!(op.what, OpWhat::Return { .. } | OpWhat::Take { .. })));
    t.done(&mend, OpResult::Mended { added: 1, lost: granted - 1, over: 0 });
    let (units, totals) = (t.desk.units(&key("A")).unwrap(), t.desk.totals());
    assert_eq!((units.granted, units.booked, totals.eroded, totals.mended), (1, 1, 0, 1));
    assert_eq!(totals.lost, u64::from(granted - 1));
    assert!(t.desk.conflicts().any(|c| matches!(c.kind, ConflictKind::Lost { .. })));
}

#[test]
fn rule_30_a_mend_never_takes_what_is_sold() {
    let mut t = Table::new();
    t.stocked("A", 2);
    let take = t.take_op();
    t.booked(naver(), "A", 1);
    let fact = t.level("A", 2, Some(take));
    t.facts(vec![Fact::Slot(SlotFact { counter: Some(0), ..fact })]);
    let mend = mend(&mut t);
    t.done(&mend, OpResult::Mended { added: 1, lost: 9, over: 1 });
    let units = t.desk.units(&key("A")).unwrap();
    assert_eq!((units.granted, units.booked), (1, 1));
    assert!(t.desk.conflicts().any(|c| c.kind == ConflictKind::Overrun { units: 1 }));
}

#[test]
fn rule_30_facts_older_than_our_own_ops_say_nothing() {
    let mut t = Table::new();
    t.stocked("A", 10);
    t.facts(vec![Fact::Slot(SlotFact { native: 5, counter: Some(0), ..slot("A", 10) })]);
    assert_eq!((t.desk.totals().eroded, t.claim()), (0, vec![]));
}

#[test]
fn rule_30_mends_that_do_not_last_come_at_growing_pauses() {
    let mut t = Table::new();
    t.stocked("A", 10);
    let mut last = t.take_op();
    let mut waits = Vec::new();
    for _ in 0..12 {
        let fact = t.level("A", 10, Some(last));
        t.facts(vec![Fact::Slot(SlotFact { counter: Some(0), ..fact })]);
        let asked_at = t.now;
        while !t.desk.pending_ops().any(|op| matches!(op.what, OpWhat::Mend { .. })) {
            t.now = t.desk.next_deadline().unwrap().max(t.now.plus_ms(1));
            t.step(Event::Tick);
        }
        waits.push(t.now.since_ms(asked_at));
        let mend = mend(&mut t);
        t.done(&mend, OpResult::Mended { added: 1, lost: 0, over: 0 });
        last = mend.position;
    }
    assert_eq!(waits[..4], [0, 1_000, 2_000, 4_000]);
    assert_eq!(waits[11], 300_000);
}

#[test]
fn rule_30_a_convert_that_finds_no_unit_is_driven_again_as_a_new_op_and_displaced_at_last() {
    let mut t = Table::new();
    t.stocked("A", 10);
    let id = t.booked(naver(), "A", 1);
    let mut seen = vec![];
    for _ in 0..3 {
        let convert = op(&mut t, |what| matches!(what, OpWhat::Convert { .. }));
        assert!(!seen.contains(&convert.position), "a refused op is never run again");
        seen.push(convert.position);
        t.done(&convert, eroded());
        assert_eq!((t.booking(id).status, t.booking(id).sync), (BookingStatus::Booked, Sync::Queued));
        t.restarted(vec![Fact::Slot(slot("A", 10))], policy());
        t.now = t.now.plus_ms(300_000);
        t.step(Event::Tick);
        let mend = mend(&mut t);
        t.done(&mend, OpResult::Mended { added: 0, lost: 0, over: 0 });
    }
    let convert = op(&mut t, |what| matches!(what, OpWhat::Convert { .. }));
    t.done(&convert, eroded());
    assert_eq!(t.booking(id).status, BookingStatus::Displaced);
    assert_eq!(t.desk.totals().displaced.get(&EndReason::LegacyRefused), Some(&1));
}

#[test]
fn a_booking_driven_again_is_cancelled_by_the_op_that_wrote_it() {
    let mut t = Table::new();
    t.stocked("A", 10);
    let id = t.booked(naver(), "A", 1);
    let first = op(&mut t, |what| matches!(what, OpWhat::Convert { .. }));
    t.done(&first, eroded());
    let mend = mend(&mut t);
    t.done(&mend, OpResult::Mended { added: 1, lost: 0, over: 0 });
    let again = op(&mut t, |what| matches!(what, OpWhat::Convert { .. }));
    t.done(&again, converted());
    t.reservation("A", 1, true, Some(again.position));
    t.request(naver(), Ask::Cancel { booking: id, if_match: None });
    let cancel = op(&mut t, |what| matches!(what, OpWhat::Cancel { .. }));
    assert_eq!(cancel.what, OpWhat::Cancel { booking: id, convert: again.position });
    t.done(&cancel, OpResult::TurnedBack);
    assert_eq!(t.booking(id).status, BookingStatus::Cancelled);
}

#[test]
fn rule_12_a_cut_takes_free_units_first_and_honours_what_was_sold() {
    let mut t = Table::new();
    t.stocked("A", 10);
    t.booked(naver(), "A", 1);
    t.booked(naver(), "A", 2);
    let fact = t.level("A", 10, Some(t.take_op()));
    let granted = t.desk.units(&key("A")).unwrap().granted;
    t.facts(vec![Fact::Slot(SlotFact { capacity: granted - 1, ..fact.clone() })]);
    let units = t.desk.units(&key("A")).unwrap();
    assert_eq!((units.returning, units.booked), (1, 2), "no more goes back than was cut");
    t.facts(vec![Fact::Slot(SlotFact { capacity: 1, ..fact })]);
    let units = t.desk.units(&key("A")).unwrap();
    assert_eq!((units.free(), units.booked, t.desk.totals().overrun), (0, 2, 1));
    assert!(t.desk.conflicts().any(|c| c.kind == ConflictKind::Overrun { units: 1 }));
}

#[test]
fn rule_12_the_newest_is_displaced_where_the_agency_wants_it() {
    let mut t = Table::with(Policy { overrun: OnOverrun::DisplaceNewest, ..policy() });
    t.stocked("A", 10);
    let (old, new) = (t.booked(naver(), "A", 1), t.booked(naver(), "A", 2));
    let fact = t.level("A", 1, Some(t.take_op()));
    t.facts(vec![Fact::Slot(fact)]);
    let (old, new) = (t.booking(old), t.booking(new));
    assert_eq!((old.status, new.status), (BookingStatus::Booked, BookingStatus::Displaced));
    assert_eq!((new.reason, t.desk.totals().overrun), (Some(EndReason::CapacityCut), 0));
}

#[test]
fn rule_15_an_operator_sees_what_a_rule_refused_and_can_have_it_driven_again() {
    let mut t = Table::new();
    t.stocked("A", 10);
    let id = t.booked(naver(), "A", 1);
    let convert = op(&mut t, |what| matches!(what, OpWhat::Convert { .. }));
    t.done(&convert, OpResult::Rejected { reason: Rejection::LegacyRule });
    let listed: Vec<_> = t.desk.conflicts().map(|c| (c.booking, c.kind)).collect();
    assert_eq!(listed, [(Some(id), ConflictKind::Displaced { reason: EndReason::LegacyRefused })]);
    t.reservation("A", 1, true, None);
    t.step(Event::Redrive { booking: id });
    assert_eq!(t.booking(id).status, BookingStatus::Displaced, "the person is not free");
    t.reservation("A", 1, false, None);
    t.step(Event::Redrive { booking: id });
    assert_eq!((t.booking(id).status, t.desk.conflicts().count()), (BookingStatus::Booked, 0));
    let again = op(&mut t, |what| matches!(what, OpWhat::Convert { .. }));
    assert_ne!(again.position, convert.position);
    t.done(&again, converted());
    assert_eq!(t.booking(id).sync, Sync::Applied);
}

#[test]
fn rule_10_a_native_booking_that_stays_beside_ours_displaces_it_after_the_recheck() {
    for native_beside in [NativeBeside::LegacyWins, NativeBeside::EarliestWins] {
        let mut t = Table::with(Policy { recheck_ms: Some(60_000), native_beside, ..policy() });
        t.stocked("A", 10);
        let (id, _) = t.applied(naver(), "A", 1);
        let passing = |t: &mut Table, ms| {
            t.now = t.now.plus_ms(ms);
            t.step(Event::Tick);
        };
        t.reservation("A", 1, true, None);
        t.reservation("A", 1, false, None);
        passing(&mut t, 60_000);
        assert_eq!(t.booking(id).status, BookingStatus::Booked, "it was gone again when looked at");
        t.reservation("A", 1, true, None);
        passing(&mut t, 59_999);
        assert_eq!(t.booking(id).status, BookingStatus::Booked);
        passing(&mut t, 1);
        assert_eq!(t.desk.totals().rechecked, 1);
        if native_beside == NativeBeside::EarliestWins {
            assert_eq!(t.booking(id).status, BookingStatus::Booked);
            assert!(t.desk.conflicts().any(|c| (c.booking, c.kind) == (Some(id), ConflictKind::NativeBeside)));
            continue;
        }
        assert_eq!(t.booking(id).reason, Some(EndReason::PersonBookedNatively));
        let cancel = op(&mut t, |what| matches!(what, OpWhat::Cancel { .. }));
        let free = t.desk.units(&key("A")).unwrap().free();
        t.done(&cancel, OpResult::TurnedBack);
        assert_eq!(t.desk.units(&key("A")).unwrap().free(), free + 1);
        assert_eq!(t.booking(id).status, BookingStatus::Displaced);
    }
}

/// Ops of two slots ran in another order than that of their ids, and the restore lost only the smaller one.
#[test]
fn rule_28_a_restore_that_keeps_the_newest_id_shows_by_the_count_of_ops() {
    let mut t = Table::new();
    t.stocked("A", 10);
    let (lost, _) = t.applied(naver(), "A", 1);
    let (kept, newest) = t.applied(naver(), "A", 2);
    t.step(Event::Applied { count: 3 });
    let at = |applied| {
        let last_op = Some(slotbridge::domain::OpId { incarnation: Incarnation(1), position: newest.position });
        Event::Fence { ticket: 0, last_op, applied, ours: true }
    };
    let agreed = |after: Vec<After>| {
        let found = after
            .into_iter()
            .find_map(|a| if let After::Fenced { agreement, .. } = a { Some(agreement) } else { None });
        found.unwrap()
    };
    t.restarted(vec![Fact::Slot(slot("A", 10))], policy());
    assert_eq!(agreed(t.step(at(3))), Agreement::Level);
    assert!(matches!(agreed(t.step(at(2))), Agreement::LegacyBehind { again: 1.. }));
    let given = t.given();
    assert!(given.iter().any(|given| given.op.position == kept.0 && given.honour), "told after the id that was kept");
    assert_eq!(t.booking(lost).status, BookingStatus::Booked);
    assert_eq!(agreed(t.step(at(2))), Agreement::Level, "what is driven again is not lost a second time");
}

#[test]
fn rule_28_what_a_restored_legacy_system_lost_is_driven_again_with_its_ids_and_honoured() {
    let mut t = Table::new();
    t.stocked("A", 10);
    let take = t.take_op();
    let (kept, first) = t.applied(naver(), "A", 1);
    let (lost, second) = t.applied(naver(), "A", 2);
    let waits = t.booked(naver(), "A", 3);
    assert_eq!(fence(&mut t, Some((1, second.position)), true), Agreement::Level);
    // Restored to where the first convert was applied.
    let after = first.position;
    assert!(matches!(fence(&mut t, Some((1, after)), true), Agreement::LegacyBehind { again: 1.. }));
    let ask = t.ask("A", person(4));
    assert_eq!(t.refused(naver(), ask).code, Refusal::SlotFull, "nothing is sold before the slot was seen");
    t.restarted(vec![Fact::Slot(slot("A", 10))], policy());
    let given = t.given();
    assert!(given.iter().all(|given| !matches!(given.op.what, OpWhat::Take { .. })), "no refill");
    for id in [lost, waits] {
        let of = given.iter().find(|given| given.op.position == id.0).expect("driven again");
        assert!(of.honour && matches!(of.op.what, OpWhat::Convert { .. }));
    }
    let converts: Vec<_> = given.iter().filter(|g| matches!(g.op.what, OpWhat::Convert { .. })).collect();
    for given in converts {
        t.done(&given.op, OpResult::Converted { legacy_ref: "R9".into(), over: given.op.position == lost.0 });
    }
    assert_eq!(
        (t.booking(kept).sync, t.booking(lost).sync, t.desk.totals().honoured),
        (Sync::Applied, Sync::Applied, 1)
    );
    // The slot as it is: no unit is left in the escrow.
    let last_op = Some(OpId { incarnation: Incarnation(1), position: waits.0 });
    t.facts(vec![Fact::Slot(SlotFact { counter: Some(3), last_op, ..slot("A", 10) })]);
    let (units, totals) = (t.desk.units(&key("A")).unwrap(), t.desk.totals());
    assert_eq!((units.granted, units.converted, totals.unsettled), (3, 3, 0));
    assert!(take < first.position);
    let ask = t.ask("A", person(5));
    assert_eq!(t.refused(naver(), ask).retry_after_ms, Some(800), "it is taken again");
}

#[test]
fn rule_28_cancels_that_were_lost_are_driven_again() {
    let mut t = Table::new();
    t.stocked("A", 10);
    let (id, convert) = t.applied(naver(), "A", 1);
    t.request(naver(), Ask::Cancel { booking: id, if_match: None });
    let cancel = op(&mut t, |what| matches!(what, OpWhat::Cancel { .. }));
    t.done(&cancel, OpResult::TurnedBack);
    fence(&mut t, Some((1, convert.position)), true);
    assert_eq!(t.booking(id).status, BookingStatus::Cancelled, "the partner's answer stands");
    let again = op(&mut t, |what| matches!(what, OpWhat::Cancel { .. }));
    assert_eq!(again, cancel);
    t.done(&again, OpResult::TurnedBack);
    assert!(t.desk.pending_ops().next().is_none());
}

#[test]
fn rule_28_rows_that_vanish_with_a_restore_cancel_nothing() {
    let mut t = Table::new();
    t.stocked("A", 10);
    let take = t.take_op();
    let (id, convert) = t.applied(naver(), "A", 1);
    t.reservation("A", 1, true, Some(convert.position));
    t.facts(vec![Fact::ReservationGone(ReservationKey::new("R1").unwrap())]);
    fence(&mut t, Some((1, take)), true);
    t.now = t.now.plus_ms(60_000);
    t.step(Event::Tick);
    assert_eq!((t.booking(id).status, t.booking(id).sync), (BookingStatus::Booked, Sync::Queued));
}

#[test]
fn rule_32_what_a_lost_life_of_the_ledger_did_bars_and_counts_and_its_units_are_adopted() {
    let given_up = vec![(Position(500), Position(1_000))];
    let mut t = Table::with(Policy { given_up, ..policy() });
    let lost = |position| Some(OpId { incarnation: Incarnation(7), position: Position(position) });
    t.desk.advance_to(Position(1_000));
    t.facts(vec![Fact::Slot(SlotFact { counter: Some(3), escrow_units: 2, last_op: lost(600), ..slot("A", 10) })]);
    t.reservation("A", 1, true, Some(Position(555)));
    let ask = t.ask("A", person(2));
    let entries = t.entries.len();
    assert_eq!(t.refused(naver(), ask.clone()).code, Refusal::Settling, "nothing is known of the lost life yet");
    t.step(Event::Settled);
    assert_eq!(t.refused(naver(), ask).code, Refusal::Settling, "nor has write-back compared the fence");
    assert_eq!(t.entries.len(), entries, "nothing is stored");
    assert_eq!(fence(&mut t, Some((7, Position(600))), false), Agreement::LedgerBehind);
    assert_eq!(fence(&mut t, Some((9, Position(5))), false), Agreement::Foreign);
    t.step(Event::Tick);
    let units = t.desk.units(&key("A")).unwrap();
    assert_eq!((units.granted, units.free()), (2, 2));
    let ask = t.ask("A", person(1));
    assert_eq!(
        t.refused(naver(), ask).code,
        Refusal::NotBookable,
        "the person has a booking that only the row tells of"
    );
    let ask = t.ask("A", person(2));
    let Outcome::Booked { slot, .. } = t.book(naver(), ask) else { panic!("not booked") };
    assert_eq!(slot.remaining, 8);
}

#[test]
fn a_cancelled_booking_whose_convert_finds_no_unit_is_cancelled() {
    let mut t = Table::new();
    t.stocked("A", 10);
    let id = t.booked(naver(), "A", 1);
    let convert = op(&mut t, |what| matches!(what, OpWhat::Convert { .. }));
    t.request(naver(), Ask::Cancel { booking: id, if_match: None });
    let granted = t.desk.units(&key("A")).unwrap().granted;
    t.done(&convert, eroded());
    assert_eq!((t.booking(id).status, t.booking(id).sync), (BookingStatus::Cancelled, Sync::Rejected));
    let units = t.desk.units(&key("A")).unwrap();
    assert_eq!((units.booked, units.converted, units.granted), (0, 0, granted - 1), "the unit was not there");
    let mend = mend(&mut t);
    t.done(&mend, OpResult::Mended { added: 0, lost: 0, over: 0 });
    assert!(t.claim().iter().all(|op| matches!(op.what, OpWhat::Return { .. } | OpWhat::Take { .. })));
    t.restarted(vec![Fact::Slot(slot("A", 10))], policy());
}

#[test]
fn rule_28_a_cancel_that_runs_before_its_convert_was_driven_again_is_asked_anew() {
    for answer in [OpResult::Rejected { reason: Rejection::ReservationMissing }, OpResult::TurnedBack] {
        let mut t = Table::new();
        t.stocked("A", 10);
        let take = t.take_op();
        let (id, convert) = t.applied(naver(), "A", 1);
        t.request(naver(), Ask::Cancel { booking: id, if_match: None });
        let cancel = op(&mut t, |what| matches!(what, OpWhat::Cancel { .. }));
        fence(&mut t, Some((1, take)), true);
        t.done(&cancel, answer);
        assert_eq!(t.booking(id).status, BookingStatus::Cancelling);
        assert_eq!(t.desk.units(&key("A")).unwrap().booked, 1, "its convert is on the way");
        t.restarted(vec![Fact::Slot(slot("A", 10))], policy());
        let again = op(&mut t, |what| matches!(what, OpWhat::Convert { .. }));
        assert_eq!(again, convert);
        t.done(&again, converted());
        let anew = op(&mut t, |what| matches!(what, OpWhat::Cancel { .. }));
        assert_ne!(anew.position, cancel.position, "an op that was answered only repeats its answer");
        t.done(&anew, OpResult::TurnedBack);
        let units = t.desk.units(&key("A")).unwrap();
        assert_eq!((t.booking(id).status, units.booked, units.converted), (BookingStatus::Cancelled, 0, 0));
    }
}

#[test]
fn a_cancel_that_the_legacy_system_refuses_is_not_told_as_done() {
    let mut t = Table::new();
    t.stocked("A", 10);
    let (id, convert) = t.applied(naver(), "A", 1);
    t.reservation("A", 1, true, Some(convert.position));
    let before = t.desk.units(&key("A")).unwrap();
    t.request(naver(), Ask::Cancel { booking: id, if_match: None });
    let cancel = op(&mut t, |what| matches!(what, OpWhat::Cancel { .. }));
    t.done(&cancel, OpResult::Rejected { reason: Rejection::ReservationDone });
    let refused = |t: &mut Table| (t.booking(id).status, t.booking(id).sync, t.desk.units(&key("A")).unwrap());
    assert_eq!(refused(&mut t), (BookingStatus::Cancelling, Sync::Rejected, before));
    let kind = ConflictKind::CancelRefused { reason: Rejection::ReservationDone };
    assert!(t.desk.conflicts().any(|c| (c.booking, c.kind) == (Some(id), kind)));
    t.restarted(vec![Fact::Slot(slot("A", 10))], policy());
    t.step(Event::Redrive { booking: id });
    t.step(Event::Redrive { booking: id });
    assert_eq!(t.desk.conflicts().count(), 0);
    let again = op(&mut t, |what| matches!(what, OpWhat::Cancel { .. }));
    assert_ne!(again.position, cancel.position);
    t.done(&again, OpResult::Rejected { reason: Rejection::LegacyRule });
    assert_eq!(refused(&mut t), (BookingStatus::Cancelling, Sync::Rejected, before));
    // The agency cancels it itself.
    t.reservation("A", 1, true, Some(convert.position));
    t.reservation("A", 1, false, Some(convert.position));
    assert_eq!((t.booking(id).status, t.desk.conflicts().count()), (BookingStatus::Cancelled, 0));
    assert_eq!(t.booking(id).reason, Some(EndReason::PartnerCancelled));
}

#[test]
fn rule_28_only_answers_of_the_legacy_system_say_how_far_it_has_come() {
    let mut t = Table::new();
    t.stocked("A", 10);
    let newest = t.take_op();
    t.facts(vec![Fact::Slot(slot("B", 10))]);
    let ask = t.ask("B", person(1));
    t.refused(naver(), ask);
    let take = op(&mut t, |what| matches!(what, OpWhat::Take { .. }));
    t.done(&take, OpResult::Rejected { reason: Rejection::NotAsked });
    assert_eq!(t.desk.units(&key("B")).unwrap(), Units::default());
    assert_eq!(fence(&mut t, Some((1, newest)), true), Agreement::Level);
}

#[test]
fn what_another_ledger_wrote_is_a_strangers_whatever_its_position() {
    let lives = vec![(Position(1), Incarnation(1))];
    let mut t = Table::with(Policy { lives, ..policy() });
    t.stocked("A", 10);
    let take = t.take_op();
    let (id, convert) = t.applied(naver(), "A", 1);
    let units = t.desk.units(&key("A")).unwrap();
    let of_other = |position| Some(OpId { incarnation: Incarnation(9), position });
    let row = |name: &str, who, op| ReservationFact {
        key: ReservationKey::new(name).unwrap(),
        person: PersonNo(who),
        slot: key("A"),
        series: table::series(),
        active: true,
        op,
    };
    t.facts(vec![Fact::Reservation(row("R7", 2, of_other(convert.position)))]);
    let ask = t.ask("A", person(2));
    assert_eq!(t.refused(naver(), ask).code, Refusal::NotBookable, "it bars its person");
    let ended = ReservationFact { active: false, ..row("R7", 2, of_other(convert.position)) };
    t.facts(vec![Fact::Reservation(ended)]);
    assert_eq!(t.booking(id).status, BookingStatus::Booked, "and is not the booking of the same position");
    let fact = SlotFact { escrow_units: 0, last_op: of_other(convert.position), ..t.level("A", 10, Some(take)) };
    t.facts(vec![Fact::Slot(fact)]);
    assert_eq!(t.desk.units(&key("A")).unwrap(), units, "nothing is believed of a slot that another ledger changed");
    assert_eq!(fence(&mut t, Some((9, convert.position)), true), Agreement::Foreign);
}

#[test]
fn rule_32_without_word_of_a_full_cut_intake_opens_after_a_while() {
    let given_up = vec![(Position(500), Position(1_000))];
    let mut t = Table::with(Policy { given_up, ..policy() });
    t.desk.advance_to(Position(1_000));
    t.facts(vec![Fact::Slot(slot("A", 10))]);
    assert_eq!(fence(&mut t, None, true), Agreement::Level);
    let ask = t.ask("A", person(1));
    assert_eq!(t.refused(naver(), ask.clone()).code, Refusal::Settling);
    t.now = t.now.plus_ms(policy().settle_ms);
    assert_eq!(t.refused(naver(), ask).code, Refusal::SlotFull);
}
