//! The contract by allotment mode: places asked for singly, erosion and mending, honoured converts, the agency's hands.

use slotbridge::domain::{AllotmentMode, SlotKey, Value};
use slotbridge::legacy::sqlite::native::{MadeBy, NativeOutcome};
use slotbridge::legacy::{Control, LegacyErrorKind, LegacyOp, OpReply, PersonKey, RELEASES_MAX, ReleaseRequest};

use crate::harness::{Harness, PLACEHOLDERS, on, on_escrows, on_every_adapter};
use crate::shorthand::{bookings, cancel, convert, honour, numbers, op_id, place, row_of};

const COVERED: OpReply = OpReply::Mended { added: 0, lost: 0, over: 0 };

fn is_converted(reply: &OpReply) -> bool {
    matches!(reply, OpReply::Converted { over: false, .. })
}

fn seen(h: &dyn Harness, slot: &SlotKey) -> (i64, i64, i64, i64) {
    numbers(&row_of(&mut *h.reader(), slot))
}

fn sell(h: &dyn Harness, slot: &SlotKey, persons: std::ops::Range<u32>) {
    let mut native = h.native();
    for n in persons {
        let outcome = native.book(slot.as_str(), &h.free_person(n).0).unwrap();
        assert!(matches!(outcome, NativeOutcome::Booked { .. }), "{outcome:?}");
    }
}

#[test]
fn a_place_is_a_unit_and_a_reservation_or_nothing() {
    on(
        |s| s.mode == AllotmentMode::OnRequest,
        |h| {
            let (slot, mut bridge) = (h.empty_slot(3), h.bridge());
            sell(h, &slot, 0..1);
            assert_eq!(bridge.apply(1, &slot, LegacyOp::Take { units: 1 }), OpReply::Taken { units: 0 });
            assert_eq!(bridge.apply(2, &slot, place(&h.free_person(0))), OpReply::PersonBooked);
            let nobody = PersonKey("P99999999".into());
            assert!(matches!(bridge.apply(3, &slot, place(&nobody)), OpReply::LegacyRule { .. }));
            let first = bridge.apply(4, &slot, place(&h.free_person(1)));
            assert!(is_converted(&first), "{first:?}");
            assert!(is_converted(&bridge.apply(5, &slot, place(&h.free_person(2)))));
            assert_eq!(bridge.apply(6, &slot, place(&h.free_person(3))), OpReply::NoPlace);
            assert_eq!(h.native().book(slot.as_str(), &h.free_person(3).0).unwrap(), NativeOutcome::Full);
            assert_eq!(bridge.apply(4, &slot, place(&h.free_person(1))), first);
            let found = h.recount();
            assert_eq!((found.by_op.len(), found.escrow, found.miscounted), (2, 0, 0));
            assert_eq!(found.oversold, []);
            // The unit of a cancelled place is native selling's again.
            assert_eq!(bridge.apply(7, &slot, cancel(4)), OpReply::GivenUp);
            assert_eq!(bridge.apply(8, &slot, cancel(4)), OpReply::AlreadyCancelled);
            sell(h, &slot, 3..4);
            assert_eq!(bridge.apply(9, &slot, place(&h.free_person(1))), OpReply::NoPlace);
            assert_eq!((h.recount().miscounted, h.recount().escrow), (0, 0));
            let nowhere = SlotKey::new("no-such-slot").unwrap();
            assert_eq!(bridge.apply(10, &nowhere, place(&h.free_person(1))), OpReply::SlotMissing);
        },
    );
}

#[test]
fn no_place_is_given_in_a_closed_slot_or_while_the_bridge_is_drained() {
    on(
        |s| s.mode == AllotmentMode::OnRequest,
        |h| {
            let (slot, mut bridge, mut native) = (h.empty_slot(3), h.bridge(), h.native());
            assert!(is_converted(&bridge.apply(1, &slot, place(&h.free_person(0)))));
            assert!(native.close_slot(slot.as_str()).unwrap());
            assert_eq!(bridge.apply(2, &slot, place(&h.free_person(1))), OpReply::NoPlace);
            assert!(native.reopen_slot(slot.as_str()).unwrap());
            native.set_control(Control::Drain).unwrap();
            assert_eq!(bridge.apply(3, &slot, place(&h.free_person(1))), OpReply::NoPlace);
            assert_eq!(bridge.apply(4, &slot, cancel(1)), OpReply::GivenUp);
            native.set_control(Control::Run).unwrap();
            assert!(is_converted(&bridge.apply(5, &slot, place(&h.free_person(1)))));
        },
    );
}

/// A stale screen promises a place that is gone: native selling would sell it, the bridge does not.
#[test]
fn no_place_is_given_beyond_the_total_whatever_the_counter_says() {
    on(
        |s| s.mode == AllotmentMode::OnRequest,
        |h| {
            let (slot, mut native) = (h.empty_slot(2), h.native());
            let screen = native.open_screen(slot.as_str()).unwrap().unwrap();
            sell(h, &slot, 0..2);
            assert!(native.save_screen(&screen).unwrap());
            assert_eq!(h.bridge().apply(1, &slot, place(&h.free_person(2))), OpReply::NoPlace);
            assert_eq!((h.recount().oversold.len(), h.recount().by_op.len()), (0, 0));
        },
    );
}

#[test]
fn places_asked_for_while_others_sell_are_never_too_many() {
    on(
        |s| s.mode == AllotmentMode::OnRequest,
        |h| {
            let slot = h.empty_slot(10);
            std::thread::scope(|scope| {
                for seller in 0..2u32 {
                    let slot = &slot;
                    scope.spawn(move || {
                        let mut native = h.native();
                        for n in 0..8 {
                            native.book(slot.as_str(), &h.free_person(seller * 8 + n).0).unwrap();
                        }
                    });
                    scope.spawn(move || {
                        let mut bridge = h.bridge();
                        for n in 0..8u32 {
                            let op = u64::from(100 * (seller + 1) + n);
                            bridge.apply(op, slot, place(&h.free_person(seller * 8 + n + 4)));
                        }
                    });
                }
            });
            let found = h.recount();
            assert_eq!((found.oversold.as_slice(), found.booked_twice.as_slice()), ([].as_slice(), [].as_slice()));
            assert_eq!(found.miscounted, 0);
            let native = row_of(&mut *h.reader(), &slot)[3].as_int().unwrap();
            assert_eq!(native + found.by_op.len() as i64, 10);
        },
    );
}

#[test]
fn a_place_in_a_mode_with_escrow_halts() {
    on_escrows(|h| {
        let slot = h.empty_slot(3);
        let error = h.writer().apply(&[h.request(1, &slot, place(&h.free_person(0)))]).unwrap_err();
        assert_eq!(error.kind, LegacyErrorKind::Halt);
        assert_eq!(h.recount().by_op.len(), 0);
    });
}

#[test]
fn an_eroded_slot_gives_and_takes_nothing_and_still_converts_and_turns_back() {
    on_escrows(|h| {
        let slot = h.eroded_slot(5, 4, 1);
        let mut bridge = h.bridge();
        assert_eq!((seen(h, &slot), h.recount().miscounted), ((5, 0, 0, 4), 1));
        let wanted = if h.mode().takes() { OpReply::EscrowEroded } else { OpReply::Taken { units: 0 } };
        assert_eq!(bridge.apply(2, &slot, LegacyOp::Take { units: 1 }), wanted);
        assert_eq!(bridge.apply(3, &slot, LegacyOp::Return { units: 1 }), OpReply::EscrowEroded);
        assert_eq!(seen(h, &slot), (5, 0, 0, 4));
        assert!(is_converted(&bridge.apply(4, &slot, convert(&h.free_person(0)))));
        // Where rows are counted, the reservation counts by itself.
        let counts_rows = matches!(h.mode(), AllotmentMode::Capacity | AllotmentMode::CountRows);
        assert_eq!(seen(h, &slot), (5, i64::from(counts_rows), 0, 3));
        assert_eq!(bridge.apply(5, &slot, cancel(4)), OpReply::TurnedBack);
        let again = i64::from(h.mode() == AllotmentMode::CountRows);
        assert_eq!(seen(h, &slot), (5, again, 0, 4), "what the agency wrote stands until it is mended");
        let mended = OpReply::Mended { added: 4 - again as u32, lost: 0, over: 0 };
        assert_eq!(bridge.apply(6, &slot, LegacyOp::Mend { sold: 1 }), mended);
        assert_eq!((seen(h, &slot), h.recount().miscounted), ((5, 4, 0, 4), 0));
        assert_eq!(row_of(&mut *h.reader(), &slot)[5], Value::text(&op_id(6).to_string()));
        sell(h, &slot, 1..2);
        assert_eq!(h.native().book(slot.as_str(), &h.free_person(2).0).unwrap(), NativeOutcome::Full);
        assert_eq!(bridge.apply(7, &slot, LegacyOp::Return { units: 4 }), OpReply::Returned { units: 4 });
        assert_eq!(seen(h, &slot), (5, 1, 1, 0));
    });
}

#[test]
fn a_mend_gives_up_what_native_selling_has_sold_meanwhile() {
    on_escrows(|h| {
        let slot = h.eroded_slot(5, 4, 1);
        sell(h, &slot, 0..3);
        assert_eq!((seen(h, &slot), h.recount().oversold.len()), ((5, 3, 3, 4), 1));
        let mut bridge = h.bridge();
        let mended = OpReply::Mended { added: 2, lost: 2, over: 0 };
        assert_eq!(bridge.apply(2, &slot, LegacyOp::Mend { sold: 1 }), mended);
        let found = h.recount();
        assert_eq!((seen(h, &slot), found.miscounted, found.oversold.len()), ((5, 5, 3, 2), 0, 0));
        assert_eq!(bridge.apply(2, &slot, LegacyOp::Mend { sold: 1 }), mended);
        assert_eq!(h.native().book(slot.as_str(), &h.free_person(3).0).unwrap(), NativeOutcome::Full);
        assert!(is_converted(&bridge.apply(3, &slot, convert(&h.free_person(3)))));
        assert_eq!((seen(h, &slot), h.recount().miscounted), ((5, 5, 3, 1), 0));
    });
}

#[test]
fn a_mend_never_gives_up_sold_units() {
    on_escrows(|h| {
        let slot = h.eroded_slot(5, 4, 1);
        sell(h, &slot, 0..5);
        let mut bridge = h.bridge();
        let mended = OpReply::Mended { added: 2, lost: 2, over: 2 };
        assert_eq!(bridge.apply(2, &slot, LegacyOp::Mend { sold: 2 }), mended);
        let (_, booked, native, escrow) = seen(h, &slot);
        assert_eq!(((booked, native, escrow), h.recount().miscounted), ((7, 5, 2), 0));
        for n in 0..2 {
            assert!(is_converted(&bridge.apply(3 + n, &slot, convert(&h.free_person(10 + n as u32)))));
        }
        assert_eq!(bridge.apply(5, &slot, convert(&h.free_person(12))), OpReply::EscrowEroded);
        assert_eq!((h.recount().by_op.len(), h.recount().escrow), (2, 0));
        assert_eq!(h.native().book(slot.as_str(), &h.free_person(12).0).unwrap(), NativeOutcome::Full);
    });
}

#[test]
fn a_mend_of_a_covered_slot_changes_nothing() {
    on_escrows(|h| {
        let slot = h.empty_slot(5);
        h.escrow(&slot, 3, 1);
        sell(h, &slot, 0..1);
        let before = row_of(&mut *h.reader(), &slot);
        assert_eq!(h.bridge().apply(2, &slot, LegacyOp::Mend { sold: 3 }), COVERED);
        assert_eq!(row_of(&mut *h.reader(), &slot), before);
        let nowhere = SlotKey::new("no-such-slot").unwrap();
        assert_eq!(h.bridge().apply(3, &nowhere, LegacyOp::Mend { sold: 0 }), OpReply::SlotMissing);
    });
}

/// Where the bridge lowers the capacity, an edit replaces what it did; elsewhere the escrow is counted elsewhere.
#[test]
fn a_capacity_edited_while_units_are_escrowed_is_the_new_total() {
    on_escrows(|h| {
        let lowers = h.mode() == AllotmentMode::Capacity;
        let slot = h.empty_slot(6);
        h.escrow(&slot, 3, 1);
        sell(h, &slot, 0..1);
        assert_eq!(seen(h, &slot), (6, 4, 1, 3));
        assert!(h.native().set_capacity(slot.as_str(), 4).unwrap());
        assert_eq!(seen(h, &slot), (4, if lowers { 1 } else { 4 }, 1, 3));
        let mut bridge = h.bridge();
        let mended = if lowers { OpReply::Mended { added: 3, lost: 0, over: 0 } } else { COVERED };
        assert_eq!(bridge.apply(2, &slot, LegacyOp::Mend { sold: 0 }), mended);
        assert_eq!((seen(h, &slot), h.recount().miscounted), ((4, 4, 1, 3), 0));
        // Below what is sold: what is not sold goes, the rest is the agency's overrun.
        assert!(h.native().set_capacity(slot.as_str(), 2).unwrap());
        assert_eq!(h.recount().oversold.len(), 1);
        let mended = if lowers { OpReply::Mended { added: 2, lost: 1, over: 1 } } else { COVERED };
        assert_eq!(bridge.apply(3, &slot, LegacyOp::Mend { sold: 2 }), mended);
        let (_, booked, native, escrow) = seen(h, &slot);
        assert_eq!((booked, native, escrow), if lowers { (3, 1, 2) } else { (4, 1, 3) });
        assert_eq!(bridge.apply(4, &slot, LegacyOp::Return { units: 1 }), OpReply::Returned { units: 1 });
        assert!(is_converted(&bridge.apply(5, &slot, convert(&h.free_person(1)))));
        assert_eq!(h.recount().miscounted, 0);
    });
}

#[test]
fn a_stale_screen_saved_brings_the_old_numbers_back() {
    on_escrows(|h| {
        let rows = h.mode() == AllotmentMode::CountRows;
        let (slot, mut bridge, mut native) = (h.empty_slot(5), h.bridge(), h.native());
        let empty = native.open_screen(slot.as_str()).unwrap().unwrap();
        h.escrow(&slot, 2, 1);
        let full = native.open_screen(slot.as_str()).unwrap().unwrap();
        assert!(native.save_screen(&empty).unwrap());
        // Placeholders are rows of their own: no screen of the slot can take them away.
        assert_eq!(seen(h, &slot), (5, if rows { 2 } else { 0 }, 0, 2));
        assert_eq!(h.recount().miscounted, u64::from(!rows));
        let mended = if rows { COVERED } else { OpReply::Mended { added: 2, lost: 0, over: 0 } };
        assert_eq!(bridge.apply(2, &slot, LegacyOp::Mend { sold: 0 }), mended);
        assert_eq!(bridge.apply(3, &slot, LegacyOp::Return { units: 2 }), OpReply::Returned { units: 2 });
        // Saved after the units went back, it hides them from native selling: nothing is eroded, nothing is sold twice.
        assert!(native.save_screen(&full).unwrap());
        let (total, booked, _, _) = seen(h, &slot);
        assert_eq!(total - booked, if rows { 5 } else { 3 });
        assert_eq!(bridge.apply(4, &slot, LegacyOp::Mend { sold: 0 }), COVERED);
        let left = if !h.mode().takes() { 0 } else { (total - booked) as u32 };
        assert_eq!(bridge.apply(5, &slot, LegacyOp::Take { units: 9 }), OpReply::Taken { units: left });
        assert_eq!(h.recount().oversold, []);
    });
}

#[test]
fn an_honoured_convert_needs_no_unit_and_reports_the_overrun() {
    on_escrows(|h| {
        let (slot, mut bridge) = (h.empty_slot(3), h.bridge());
        sell(h, &slot, 0..1);
        assert_eq!(bridge.apply(1, &slot, convert(&h.free_person(1))), OpReply::EscrowEroded);
        assert!(is_converted(&bridge.apply(2, &slot, honour(&h.free_person(1)))));
        assert_eq!(seen(h, &slot), (3, 2, 1, 0));
        // A unit that is there is used.
        h.escrow(&slot, 1, 3);
        assert!(is_converted(&bridge.apply(4, &slot, honour(&h.free_person(2)))));
        assert_eq!(seen(h, &slot), (3, 3, 1, 0));
        let over = bridge.apply(5, &slot, honour(&h.free_person(3)));
        assert!(matches!(over, OpReply::Converted { over: true, .. }), "{over:?}");
        assert_eq!(bridge.apply(5, &slot, convert(&h.free_person(3))), over, "honoured or not, it is the same op");
        assert_eq!((seen(h, &slot), h.recount().miscounted), ((3, 4, 1, 0), 0));
        assert_eq!(bridge.apply(6, &slot, honour(&h.free_person(3))), OpReply::PersonBooked);
        assert_eq!(bridge.apply(7, &slot, cancel(5)), OpReply::TurnedBack);
        assert_eq!((seen(h, &slot), h.recount().miscounted), ((3, 4, 1, 1), 0));
    });
}

/// Rule 28: the legacy system is put back to a backup under the bridge's open connections.
#[test]
fn a_restored_legacy_system_is_seen_at_the_fence_and_its_bookings_come_back() {
    on_escrows(|h| {
        let slot = h.empty_slot(5);
        h.escrow(&slot, 1, 1);
        let mut bridge = h.bridge();
        assert!(is_converted(&bridge.apply(2, &slot, convert(&h.free_person(0)))));
        let (mut native, backup) = (h.native(), h.legacy().beside("backup.db"));
        native.back_up(&backup).unwrap();
        h.escrow(&slot, 2, 3);
        assert!(is_converted(&bridge.apply(4, &slot, convert(&h.free_person(1)))));
        assert_eq!(bridge.writer.agency().unwrap().fence.last_op, Some(op_id(4)));
        native.restore_from(&backup).unwrap();
        assert_eq!(bridge.writer.agency().unwrap().fence.last_op, Some(op_id(2)));
        assert_eq!(seen(h, &slot), (5, 1, 0, 0));
        assert_eq!(bridge.apply(2, &slot, convert(&h.free_person(0))), {
            let found = h.recount();
            OpReply::Converted { legacy_ref: (*found.by_op[&op_id(2).to_string()].resv_no).into(), over: false }
        });
        assert!(is_converted(&bridge.apply(4, &slot, honour(&h.free_person(1)))));
        assert_eq!((seen(h, &slot), h.recount().miscounted), ((5, 2, 0, 0), 0));
        assert_eq!(bridge.writer.agency().unwrap().fence.last_op, Some(op_id(4)));
    });
}

/// Ops of different slots run in any order of their ids: the newest id alone does not tell that a smaller one was lost.
#[test]
fn a_restore_that_loses_only_smaller_ids_shows_in_the_count() {
    on_escrows(|h| {
        let (slot, other) = (h.empty_slot(5), h.empty_slot(5));
        let mut bridge = h.bridge();
        let take = || LegacyOp::Take { units: 1 };
        assert_eq!(bridge.writer.agency().unwrap().fence.applied, 0);
        bridge.apply(9, &slot, take());
        let (mut native, backup) = (h.native(), h.legacy().beside("backup.db"));
        native.back_up(&backup).unwrap();
        bridge.apply(3, &other, take());
        bridge.apply(3, &other, take());
        assert_eq!(bridge.writer.applied(), 2, "a known op does not count again");
        let fence = bridge.writer.agency().unwrap().fence;
        assert_eq!((fence.last_op, fence.applied), (Some(op_id(9)), 2));
        native.restore_from(&backup).unwrap();
        let fence = bridge.writer.agency().unwrap().fence;
        assert_eq!((fence.last_op, fence.applied), (Some(op_id(9)), 1));
    });
}

#[test]
fn release_requests_are_told_oldest_first_until_they_are_carried_out() {
    on_every_adapter(|h| {
        let (slot, mut writer, mut native) = (h.empty_slot(5), h.writer(), h.native());
        assert_eq!(writer.agency().unwrap().releases, []);
        let first = native.request_release(Some(slot.as_str())).unwrap();
        let all = native.request_release(None).unwrap();
        let of = |id, slot| ReleaseRequest { id, slot };
        assert_eq!(writer.agency().unwrap().releases, [of(first, Some(slot.clone())), of(all, None)]);
        writer.released(first).unwrap();
        writer.released(first).unwrap();
        assert_eq!(h.writer().agency().unwrap().releases, [of(all, None)]);
        for _ in 0..RELEASES_MAX {
            native.request_release(Some(slot.as_str())).unwrap();
        }
        let told = writer.agency().unwrap().releases;
        assert_eq!((told.len(), told[0].id), (RELEASES_MAX, all));
        writer.released(all).unwrap();
        let told = writer.agency().unwrap().releases;
        assert_eq!((told.len(), told[0].slot.as_ref()), (RELEASES_MAX, Some(&slot)));
    });
}

#[test]
fn the_fence_names_the_newest_op_and_stops_everything_once_closed() {
    on_every_adapter(|h| {
        let (slot, mut bridge) = (h.empty_slot(5), h.bridge());
        let fence = bridge.writer.agency().unwrap().fence;
        assert_eq!((fence.last_op, fence.open), (None, true));
        for position in [9, 4] {
            bridge.apply(position, &slot, LegacyOp::Take { units: 1 });
        }
        assert_eq!(bridge.writer.agency().unwrap().fence.last_op, Some(op_id(9)), "an older op does not turn it back");
        h.native().close_fence().unwrap();
        let before = h.recount();
        let error = bridge.writer.apply(&[h.request(10, &slot, LegacyOp::Take { units: 1 })]).unwrap_err();
        assert_eq!((error.kind, error.in_doubt), (LegacyErrorKind::Operator, false));
        assert_eq!(h.recount(), before);
        let fence = bridge.writer.agency().unwrap().fence;
        assert_eq!((fence.last_op, fence.open), (Some(op_id(9)), false));
    });
}

#[test]
fn placeholders_are_reservations_to_native_selling_and_to_nobody_else() {
    on(
        |s| s.mode == AllotmentMode::CountRows,
        |h| {
            let (slot, mut bridge, mut reader) = (h.empty_slot(3), h.bridge(), h.reader());
            let named = |reader: &mut dyn slotbridge::legacy::LegacyRead| {
                let mut ops = Vec::new();
                reader
                    .cut(&[&bookings()], &mut |_, row| {
                        ops.extend(row[3].as_text().map(str::to_owned));
                        Ok(())
                    })
                    .unwrap();
                ops
            };
            h.escrow(&slot, 2, 1);
            assert_eq!((named(&mut *reader).len(), seen(h, &slot)), (0, (3, 2, 0, 2)));
            let found = h.recount();
            assert_eq!((found.placeholders, found.bridge, found.by_op.len()), (2, 0, 0));
            sell(h, &slot, 0..1);
            assert_eq!(h.native().book(slot.as_str(), &h.free_person(1).0).unwrap(), NativeOutcome::Full);
            assert!(is_converted(&bridge.apply(2, &slot, convert(&h.free_person(1)))));
            assert_eq!(named(&mut *reader), [op_id(2).to_string()]);
            assert_eq!(h.native().active(MadeBy::Placeholder, "", 10).unwrap().len(), 1);
            assert_eq!(bridge.apply(3, &slot, cancel(2)), OpReply::TurnedBack);
            assert_eq!((h.recount().placeholders, seen(h, &slot)), (2, (3, 3, 1, 2)));
        },
    );
}

#[test]
fn no_more_placeholders_are_written_than_there_are_persons_in_the_pool() {
    on(
        |s| s.mode == AllotmentMode::CountRows,
        |h| {
            let (slot, other, mut bridge) = (h.empty_slot(300), h.empty_slot(5), h.bridge());
            let take = bridge.apply(1, &slot, LegacyOp::Take { units: 300 });
            assert_eq!(take, OpReply::Taken { units: PLACEHOLDERS });
            assert_eq!(bridge.apply(2, &other, LegacyOp::Take { units: 1 }), OpReply::Taken { units: 0 });
            assert!(is_converted(&bridge.apply(3, &slot, convert(&h.free_person(0)))));
            assert_eq!(bridge.apply(4, &other, LegacyOp::Take { units: 2 }), OpReply::Taken { units: 1 });
            // A cancellation finds nobody for the unit, changes nothing and says so.
            assert!(matches!(bridge.apply(5, &slot, cancel(3)), OpReply::LegacyRule { .. }));
            assert_eq!(seen(h, &slot), (300, i64::from(PLACEHOLDERS), 0, i64::from(PLACEHOLDERS) - 1));
            assert_eq!((h.recount().booked_twice.len(), h.recount().miscounted), (0, 0));
        },
    );
}
