//! The contract of `LegacyRead` and `LegacyWrite`: generic over a `Harness`, run on every adapter in every setting.

#[path = "legacy_contract_parts/faults.rs"]
mod faults;
#[path = "legacy_contract_parts/harness.rs"]
mod harness;
#[cfg(feature = "oracle")]
#[path = "oracle_kit/mod.rs"]
mod kit;
#[path = "legacy_contract_parts/model.rs"]
mod model;
#[path = "legacy_contract_parts/modes.rs"]
mod modes;
#[cfg(feature = "oracle")]
#[path = "legacy_contract_parts/oracle.rs"]
mod oracle;
#[path = "legacy_contract_parts/shorthand.rs"]
mod shorthand;

use std::collections::BTreeMap;

use faults::{Fault, Faulty};
use harness::{SLOTS, on_escrows, on_every_adapter};
use shorthand::{bookings, cancel, convert, layout, numbers, op_id, row_of, slots};
use slotbridge::domain::{SlotKey, Timestamp, Value};
use slotbridge::legacy::sqlite::native::{MadeBy, NativeOutcome};
use slotbridge::legacy::{
    Control, Heartbeat, Hint, LegacyErrorKind, LegacyOp, LegacyRead, LegacyWrite, MAX_OPS, OpReply, OpRequest,
    PersonKey,
};
use slotbridge::mapping::Layout;
use slotbridge::mapping::catalogue::ColumnType;

#[test]
fn a_repeated_op_answers_as_it_did_and_changes_nothing() {
    on_escrows(|h| {
        let slot = h.empty_slot(4);
        h.escrow(&slot, 3, 1);
        let mut bridge = h.bridge();
        let ops = [
            h.request(2, &slot, convert(&h.free_person(0))),
            h.request(3, &slot, convert(&h.free_person(1))),
            h.request(4, &slot, cancel(2)),
            h.request(5, &slot, LegacyOp::Return { units: 1 }),
            h.request(6, &slot, cancel(99)),
        ];
        let first = bridge.writer.apply(&ops).unwrap();
        assert!(matches!(first[0], OpReply::Converted { .. }));
        assert_eq!(first[2..4], [OpReply::TurnedBack, OpReply::Returned { units: 1 }]);
        assert!(matches!(first[4], OpReply::LegacyRule { .. }));
        let before = row_of(&mut *h.reader(), &slot);
        assert_eq!(numbers(&before), (4, 2, 0, 1));
        assert_eq!(h.writer().apply(&ops).unwrap(), first);
        assert_eq!(row_of(&mut *h.reader(), &slot), before);
        assert_eq!(before[5], Value::text(&op_id(5).to_string()));
        assert_eq!(h.recount().by_op.len(), 2);
    });
}

#[test]
fn a_known_op_with_another_body_halts_and_nothing_of_its_batch_happens() {
    on_escrows(|h| {
        let slot = h.empty_slot(4);
        h.escrow(&slot, 2, 1);
        let mut bridge = h.bridge();
        bridge.apply(2, &slot, convert(&h.free_person(0)));
        let batch = [h.request(3, &slot, convert(&h.free_person(1))), h.request(2, &slot, convert(&h.free_person(2)))];
        let error = bridge.writer.apply(&batch).unwrap_err();
        assert_eq!((error.kind, error.in_doubt), (LegacyErrorKind::Halt, false));
        assert!(!error.message.contains(&*h.free_person(2).0), "{}", error.message);
        assert_eq!(h.recount().by_op.len(), 1);
        assert_eq!(numbers(&row_of(&mut *h.reader(), &slot)).3, 1);
    });
}

#[test]
fn a_person_booked_natively_is_found_at_convert_and_the_unit_stays() {
    on_escrows(|h| {
        let (slot, other) = (h.empty_slot(3), h.empty_slot(3));
        h.escrow(&slot, 2, 1);
        let person = h.free_person(0);
        let outcome = h.native().book(other.as_str(), &person.0).unwrap();
        let NativeOutcome::Booked { resv_no } = outcome else { panic!("{outcome:?}") };
        let mut bridge = h.bridge();
        assert_eq!(bridge.apply(2, &slot, convert(&person)), OpReply::PersonBooked);
        assert_eq!(numbers(&row_of(&mut *h.reader(), &slot)), (3, 2, 0, 2));
        // The answer is remembered even when the person is free again; a new op sees the new state.
        assert_eq!(h.native().cancel(&resv_no).unwrap(), NativeOutcome::Cancelled);
        assert_eq!(bridge.apply(2, &slot, convert(&person)), OpReply::PersonBooked);
        assert!(matches!(bridge.apply(3, &slot, convert(&person)), OpReply::Converted { .. }));
        assert_eq!(bridge.apply(4, &slot, convert(&person)), OpReply::PersonBooked);
        assert_eq!(h.native().book(other.as_str(), &person.0).unwrap(), NativeOutcome::PersonBooked);
        assert_eq!(h.recount().booked_twice, []);
    });
}

#[test]
fn a_closed_slot_takes_nothing_and_drains() {
    on_escrows(|h| {
        let slot = h.empty_slot(6);
        h.escrow(&slot, 4, 1);
        assert!(h.native().close_slot(slot.as_str()).unwrap());
        let mut bridge = h.bridge();
        assert_eq!(bridge.apply(2, &slot, LegacyOp::Take { units: 1 }), OpReply::Taken { units: 0 });
        assert!(matches!(bridge.apply(3, &slot, convert(&h.free_person(0))), OpReply::Converted { .. }));
        assert_eq!(bridge.apply(4, &slot, LegacyOp::Return { units: 3 }), OpReply::Returned { units: 3 });
        assert_eq!(bridge.apply(5, &slot, cancel(3)), OpReply::TurnedBack);
        assert_eq!(numbers(&row_of(&mut *h.reader(), &slot)), (6, 1, 0, 1));
    });
}

#[test]
fn a_take_grants_what_is_left_and_no_more() {
    on_every_adapter(|h| {
        let slot = h.empty_slot(5);
        let mut native = h.native();
        for n in 0..2 {
            assert!(matches!(native.book(slot.as_str(), &h.free_person(n).0).unwrap(), NativeOutcome::Booked { .. }));
        }
        let granted = if h.mode().takes() { 3 } else { 0 };
        let reply = h.bridge().apply(1, &slot, LegacyOp::Take { units: 50 });
        assert_eq!(reply, OpReply::Taken { units: granted });
        let after = native.book(slot.as_str(), &h.free_person(2).0).unwrap();
        assert_eq!(after == NativeOutcome::Full, h.mode().takes(), "{after:?}");
    });
}

#[test]
fn an_op_on_what_is_not_there_is_answered() {
    on_escrows(|h| {
        let (slot, nowhere) = (h.empty_slot(2), SlotKey::new("no-such-slot").unwrap());
        let mut bridge = h.bridge();
        let ops = [LegacyOp::Take { units: 1 }, LegacyOp::Return { units: 1 }, convert(&h.free_person(0))];
        for (at, what) in ops.into_iter().enumerate() {
            assert_eq!(bridge.apply(10 + at as u64, &nowhere, what), OpReply::SlotMissing);
        }
        assert_eq!(bridge.apply(20, &slot, convert(&h.free_person(0))), OpReply::EscrowEroded);
        assert_eq!(bridge.apply(21, &slot, LegacyOp::Return { units: 1 }), OpReply::EscrowEroded);
        h.escrow(&slot, 1, 22);
        let nobody = PersonKey("P99999999".into());
        assert!(matches!(bridge.apply(23, &slot, convert(&nobody)), OpReply::LegacyRule { .. }));
    });
}

#[test]
fn a_reservation_that_the_agency_cancelled_is_already_cancelled() {
    on_escrows(|h| {
        let slot = h.empty_slot(2);
        h.escrow(&slot, 1, 1);
        let reply = h.bridge().apply(2, &slot, convert(&h.free_person(0)));
        let OpReply::Converted { legacy_ref, .. } = reply else { panic!("{reply:?}") };
        let mut native = h.native();
        assert_eq!(native.active(MadeBy::Bridge, "", 10).unwrap(), [legacy_ref.to_string()]);
        assert_eq!(native.cancel(&legacy_ref).unwrap(), NativeOutcome::Cancelled);
        let cancel = cancel(2);
        assert_eq!(h.bridge().apply(3, &slot, cancel), OpReply::AlreadyCancelled);
        assert_eq!(numbers(&row_of(&mut *h.reader(), &slot)), (2, 0, 0, 0));
    });
}

#[test]
fn the_agency_switch_stops_takes_and_then_everything() {
    on_escrows(|h| {
        let slot = h.empty_slot(5);
        h.escrow(&slot, 2, 1);
        let (mut bridge, mut native) = (h.bridge(), h.native());
        native.set_control(Control::Drain).unwrap();
        assert_eq!(bridge.writer.agency().unwrap().control, Control::Drain);
        assert_eq!(bridge.apply(2, &slot, LegacyOp::Take { units: 1 }), OpReply::Taken { units: 0 });
        assert_eq!(bridge.apply(3, &slot, LegacyOp::Return { units: 1 }), OpReply::Returned { units: 1 });
        native.set_control(Control::Stop).unwrap();
        let error = bridge.writer.apply(&[h.request(4, &slot, LegacyOp::Return { units: 1 })]).unwrap_err();
        assert_eq!(error.kind, LegacyErrorKind::Operator);
        native.set_control(Control::Run).unwrap();
        assert_eq!(bridge.apply(4, &slot, LegacyOp::Return { units: 1 }), OpReply::Returned { units: 1 });
        bridge.writer.heartbeat(Heartbeat { position: 9, unapplied: 1, free_units: 2 }).unwrap();
        bridge.writer.heartbeat(Heartbeat { position: 10, unapplied: 0, free_units: 2 }).unwrap();
        assert!(bridge.writer.statements() > 0);
    });
}

#[test]
fn more_ops_or_keys_than_the_bound_are_refused_whole() {
    on_every_adapter(|h| {
        let slot = h.empty_slot(200);
        let ops: Vec<OpRequest> =
            (0..=MAX_OPS as u64).map(|n| h.request(n + 1, &slot, LegacyOp::Take { units: 1 })).collect();
        assert_eq!(h.writer().apply(&ops).unwrap_err().kind, LegacyErrorKind::Halt);
        assert_eq!(h.recount().escrow, 0);
        assert_eq!(h.writer().apply(&ops[..MAX_OPS]).unwrap().len(), MAX_OPS);
        let keys = vec!["x"; 501];
        assert!(h.reader().hinted(&slots(), &Hint::Keys(&keys), &mut |_| Ok(())).is_err());
        assert_eq!(h.reader().hinted(&slots(), &Hint::Keys(&keys[..500]), &mut |_| Ok(())).unwrap().rows, 0);
        assert_eq!(h.reader().hinted(&slots(), &Hint::Keys(&[]), &mut |_| Ok(())).unwrap().rows, 0);
    });
}

#[test]
fn korean_text_and_nulls_come_back_as_they_are() {
    on_every_adapter(|h| {
        let slot = h.empty_slot(2);
        let mut reader = h.reader();
        for text in ["서울특별시 종로구 — 새문안로 ‘1층’", "뷁쀍 a'b\"c\n%", "𠮷野家"] {
            h.legacy().set_remark(&slot, Some(text));
            assert_eq!(row_of(&mut *reader, &slot)[8], Value::text(text));
        }
        h.legacy().set_remark(&slot, Some(""));
        assert_eq!(row_of(&mut *reader, &slot)[8], Value::Null, "the empty text is NULL, as in Oracle");
        h.legacy().set_remark(&slot, None);
        let row = row_of(&mut *reader, &slot);
        assert_eq!((&row[8], &row[5]), (&Value::Null, &Value::Null));
        assert!(matches!(row[7], Value::Time(_)));
    });
}

#[test]
fn a_hint_finds_what_changed_and_only_that() {
    on_every_adapter(|h| {
        let (slot, still) = (h.empty_slot(5), h.empty_slot(5));
        let mut reader = h.reader();
        let all = reader.hinted(&slots(), &Hint::Since(Timestamp(0)), &mut |_| Ok(())).unwrap();
        assert_eq!(all.rows, u64::from(SLOTS) + 2);
        assert!(matches!(h.native().book(slot.as_str(), &h.free_person(0).0).unwrap(), NativeOutcome::Booked { .. }));
        let mut seen = Vec::new();
        let info = reader
            .hinted(&slots(), &Hint::Since(all.as_of), &mut |row| {
                seen.push(row[0].as_text().unwrap().to_owned());
                Ok(())
            })
            .unwrap();
        // Where native selling leaves the slot row alone, only the reservation says so.
        let expected = if h.legacy().setting.row_changes() { vec![slot.as_str().to_owned()] } else { Vec::new() };
        assert_eq!((&seen, info.rows), (&expected, expected.len() as u64), "not {still}");
        assert!(info.as_of >= all.as_of);
        assert_eq!(reader.hinted(&bookings(), &Hint::Since(all.as_of), &mut |_| Ok(())).unwrap().rows, 1);
        h.legacy().touch(&slot);
        let later = row_of(&mut *reader, &slot)[9].as_time().unwrap().plus_ms(1_000);
        assert_eq!(reader.hinted(&slots(), &Hint::Since(later), &mut |_| Ok(())).unwrap().rows, 0);
        assert!(reader.statements() > 4);
    });
}

#[test]
fn a_view_that_is_not_as_declared_is_a_schema_error() {
    on_every_adapter(|h| {
        let mut reader = h.reader();
        let refused = |reader: &mut dyn LegacyRead, layout: Layout| {
            assert_eq!(reader.cut(&[&layout], &mut |_, _| Ok(())).unwrap_err().kind, LegacyErrorKind::Schema);
        };
        refused(&mut *reader, layout("slot", "SB_NOWHERE", &[("A", ColumnType::Text, None)]));
        refused(&mut *reader, layout("slot", "SB_SLOT", &[("NO_SUCH", ColumnType::Integer, None)]));
        refused(&mut *reader, layout("slot", "SB_SLOT", &[("SLOT_ID FROM TB_PSN --", ColumnType::Text, None)]));
        refused(&mut *reader, layout("slot", "SB_SLOT", &[("MANAGER_NM", ColumnType::Integer, None)]));
        let columns = reader.columns("SB_SLOT").unwrap();
        assert_eq!(columns[0].0, "SLOT_ID");
        assert!(columns.iter().all(|(_, kind)| !kind.is_empty()), "{columns:?}");
        assert!(reader.columns("SB_NOWHERE").is_err());
        assert!(reader.cut(&[&slots()], &mut |_, _| Ok(())).unwrap().rows > 0, "an error leaves the connection usable");
    });
}

/// Counter = native + converted + escrow in every slot of every cut, while sellers and the bridge write.
#[test]
fn a_cut_is_one_moment_while_others_write() {
    on_escrows(|h| {
        let keys: Vec<SlotKey> = (0..4).map(|_| h.empty_slot(40)).collect();
        for (n, slot) in keys.iter().enumerate() {
            h.escrow(slot, 20, 1 + n as u64);
        }
        let cuts = std::thread::scope(|scope| {
            let native = scope.spawn(|| {
                let mut native = h.native();
                for n in 0..60u32 {
                    let outcome = native.book(keys[n as usize % 4].as_str(), &h.free_person(n).0).unwrap();
                    if let (NativeOutcome::Booked { resv_no }, true) = (outcome, n % 3 == 0) {
                        native.cancel(&resv_no).unwrap();
                    }
                }
            });
            let bridge = scope.spawn(|| {
                let mut bridge = h.bridge();
                for n in 0..60u32 {
                    let (slot, op) = (&keys[n as usize % 4], 100 + u64::from(n));
                    bridge.apply(op, slot, convert(&h.free_person(100 + n)));
                    if n % 4 == 0 {
                        bridge.apply(1_000 + op, slot, cancel(op));
                    }
                }
            });
            let mut reader = h.reader();
            let mut cuts = 0;
            while !(native.is_finished() && bridge.is_finished()) || cuts == 0 {
                check_cut(&mut *reader, &keys);
                cuts += 1;
            }
            cuts
        });
        assert!(cuts > 0);
        assert_eq!(h.recount().oversold, []);
    });
}

fn check_cut(reader: &mut dyn LegacyRead, keys: &[SlotKey]) {
    let (mut slot_rows, mut named) = (BTreeMap::new(), BTreeMap::<String, i64>::new());
    reader
        .cut(&[&slots(), &bookings()], &mut |which, row| {
            let text = |at: usize| row[at].as_text().map(str::to_owned);
            if which == 0 {
                slot_rows.insert(text(0).unwrap(), numbers(&row));
            } else if row[2] == Value::text("A") && row[3] != Value::Null {
                *named.entry(text(1).unwrap()).or_default() += 1;
            }
            Ok(())
        })
        .unwrap();
    for key in keys {
        let (_, counter, native, escrow) = slot_rows[key.as_str()];
        let converted = named.get(key.as_str()).copied().unwrap_or_default();
        assert_eq!(counter, native + converted + escrow, "{key}");
    }
}

/// Two sellers and two bridges want the same ten places.
#[test]
fn nothing_is_oversold_while_all_sell_the_same_slot() {
    on_escrows(|h| {
        let slot = h.empty_slot(10);
        if !h.mode().takes() {
            h.escrow(&slot, 5, 0);
        }
        std::thread::scope(|scope| {
            for seller in 0..2u32 {
                let slot = &slot;
                scope.spawn(move || {
                    let mut native = h.native();
                    for n in 0..12 {
                        native.book(slot.as_str(), &h.free_person(seller * 12 + n).0).unwrap();
                    }
                });
                scope.spawn(move || {
                    let mut bridge = h.bridge();
                    for n in 0..8u32 {
                        let op = u64::from(1_000 * (seller + 1) + 2 * n);
                        bridge.apply(op, slot, LegacyOp::Take { units: 2 });
                        // Some of them the native sellers want too.
                        bridge.apply(op + 1, slot, convert(&h.free_person(seller * 12 + n + 6)));
                    }
                });
            }
        });
        let found = h.recount();
        assert_eq!((found.oversold.as_slice(), found.booked_twice.as_slice()), ([].as_slice(), [].as_slice()));
        let (capacity, counter, native, escrow) = numbers(&row_of(&mut *h.reader(), &slot));
        assert_eq!(counter, native + found.by_op.len() as i64 + escrow);
        assert!(counter <= capacity);
    });
}

#[test]
fn ops_run_again_after_a_lost_answer_take_effect_once() {
    on_escrows(|h| {
        for (at, fault) in [(100, Fault::LostRequest), (200, Fault::LostReply)] {
            let slot = h.empty_slot(4);
            h.escrow(&slot, 3, at);
            let before = h.recount().by_op.len();
            let ops = [
                h.request(at + 1, &slot, convert(&h.free_person(at as u32))),
                h.request(at + 2, &slot, LegacyOp::Return { units: 1 }),
            ];
            let mut writer = Faulty { inner: h.writer(), next: Some(fault) };
            let error = writer.apply(&ops).unwrap_err();
            assert_eq!(error.in_doubt, fault == Fault::LostReply);
            let replies = writer.apply(&ops).unwrap();
            assert!(matches!(replies[0], OpReply::Converted { .. }), "{replies:?}");
            assert_eq!(replies[1], OpReply::Returned { units: 1 });
            assert_eq!(h.recount().by_op.len(), before + 1);
            assert_eq!(numbers(&row_of(&mut *h.reader(), &slot)), (4, 2, 0, 1));
        }
    });
}
