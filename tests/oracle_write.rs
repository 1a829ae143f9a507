//! Faults of the Oracle session at each step of a transaction of ops: what is told, and that the same ops run again have
//! exactly one effect.
#![cfg(feature = "oracle")]
#![allow(dead_code)] // the contract's kit has more than is needed here

#[path = "legacy_contract_parts/harness.rs"]
mod harness;
#[path = "oracle_kit/mod.rs"]
mod kit;
#[path = "legacy_contract_parts/oracle.rs"]
mod oracle;
#[path = "legacy_contract_parts/shorthand.rs"]
mod shorthand;

use harness::{Harness, Legacy, SETTINGS};
use kit::Fault;
use oracle::OnOracle;
use shorthand::{convert, numbers, row_of};
use slotbridge::domain::{Incarnation, OpId, Position, SlotKey};
use slotbridge::legacy::oracle::write::Body;
use slotbridge::legacy::{Heartbeat, LegacyErrorKind, LegacyOp, OpReply, OpRequest};

const BEAT: Heartbeat = Heartbeat { position: 1, unapplied: 0, free_units: 0 };

/// Mode counter, kept by the application, with the unique index; 2 of 5 units in escrow.
fn escrowed(body: Body) -> (OnOracle, SlotKey) {
    let on = OnOracle::new(Legacy::new(SETTINGS[0]), body);
    let h: &dyn Harness = &on;
    let slot = h.empty_slot(5);
    h.escrow(&slot, 2, 1);
    (on, slot)
}

fn ops(h: &dyn Harness, slot: &SlotKey) -> [OpRequest; 2] {
    [h.request(2, slot, convert(&h.free_person(0))), h.request(3, slot, LegacyOp::Return { units: 1 })]
}

/// The fault, once; then the same ops until they are done: one reservation, one unit given back, whatever happened.
fn one_effect(fault: Fault, kind: LegacyErrorKind, in_doubt: bool, what: &str) {
    let (on, slot) = escrowed(Body::Sql);
    let h: &dyn Harness = &on;
    let ops = ops(h, &slot);
    let mut writer = h.writer();
    on.server.fault(fault);
    let error = writer.apply(&ops).expect_err(what);
    let ends = kind == LegacyErrorKind::Lost || error.class == "timeout" || error.message.contains("commit");
    assert_eq!((error.kind, error.in_doubt), (kind, in_doubt), "{what}: {error}");
    if ends {
        // Another session may be on a database that lost transactions: the caller compares first.
        for _ in 0..2 {
            let error = writer.apply(&ops).expect_err(what);
            let told = (error.kind, error.class, error.in_doubt);
            assert_eq!(told, (LegacyErrorKind::Lost, "connection_lost", false), "{what}: {error}");
            assert!(writer.agency().is_err() && writer.heartbeat(BEAT).is_err(), "{what}");
        }
        writer = h.writer();
    }
    let replies = writer.apply(&ops).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(matches!(replies[0], OpReply::Converted { over: false, .. }), "{what}: {replies:?}");
    assert_eq!(replies[1], OpReply::Returned { units: 1 }, "{what}");
    assert_eq!(writer.apply(&ops).unwrap(), replies, "{what}");
    assert_eq!(h.recount().by_op.len(), 1, "{what}");
    assert_eq!(numbers(&row_of(&mut *h.reader(), &slot)), (5, 1, 0, 0), "{what}");
}

/// Each kind of statement of the two ops, by a part of its text.
const STEPS: [&str; 10] = [
    "%SB_FENCE F FOR UPDATE%",
    "INSERT INTO SB_APPLIED%",
    "SAVEPOINT%",
    "%SB_SLOT_W S%FOR UPDATE%",
    "%FROM SB_PERSON_W%",
    "%SB_NEXT_RESV_NO%",
    "INSERT INTO SB_BOOKING_W%",
    "UPDATE SB_ESCROW%",
    "UPDATE SB_APPLIED%",
    "UPDATE SB_FENCE%",
];

#[test]
fn a_session_killed_before_or_after_a_statement_leaves_nothing() {
    for step in STEPS {
        one_effect(Fault::at("execute").on(step).kill(), LegacyErrorKind::Lost, false, step);
        one_effect(Fault::at("execute").on(step).kill().after(), LegacyErrorKind::Lost, false, step);
    }
}

#[test]
fn a_deadlock_or_a_lock_that_is_not_had_ends_the_whole_transaction() {
    for code in [60, 54, 30_006, 8_177] {
        for step in STEPS {
            let fault = Fault::at("execute").on(step).code(code, "refused by the test");
            one_effect(fault, LegacyErrorKind::Retry, false, step);
        }
    }
}

#[test]
fn a_code_that_is_not_listed_halts() {
    for step in STEPS {
        let fault = Fault::at("execute").on(step).code(600, "refused by the test");
        one_effect(fault, LegacyErrorKind::Halt, false, step);
    }
}

#[test]
fn a_commit_without_an_answer_is_in_doubt_and_takes_effect_once() {
    one_effect(Fault::at("commit").kill().after(), LegacyErrorKind::Lost, true, "applied");
    one_effect(Fault::at("commit").kill(), LegacyErrorKind::Lost, true, "not applied");
    one_effect(Fault::at("commit").code(3_113, "lost"), LegacyErrorKind::Lost, true, "end of file");
    one_effect(Fault::at("commit").code(60, "deadlock"), LegacyErrorKind::Retry, false, "refused");
}

#[test]
fn the_fence_never_goes_back_in_either_body() {
    for body in [Body::Sql, Body::Procedure] {
        let (on, slot) = escrowed(body);
        let h: &dyn Harness = &on;
        let mut writer = h.writer();
        for (life, position, wanted) in [(0xaaaa, 100, 100), (0xbbbb, 90, 100), (0x1, 99, 100), (0x1, 101, 101)] {
            let id = OpId { incarnation: Incarnation(life), position: Position(position) };
            writer.apply(&[OpRequest { id, ..h.request(9, &slot, LegacyOp::Mend { sold: 0 }) }]).unwrap();
            let last_op = writer.agency().unwrap().fence.last_op.unwrap();
            assert_eq!(last_op.position, Position(wanted), "{body:?} {life:x}");
        }
    }
}

#[test]
fn after_a_timeout_the_writer_is_at_an_end() {
    for code in [3_136, 1_013] {
        let fault = Fault::at("execute").on("INSERT INTO SB_APPLIED%").code(code, "refused by the test");
        one_effect(fault, LegacyErrorKind::Retry, false, "timeout");
    }
}

#[test]
fn a_rule_of_the_legacy_system_is_an_answer() {
    let (on, slot) = escrowed(Body::Sql);
    let h: &dyn Harness = &on;
    let ops = ops(h, &slot);
    on.server.fault(Fault::at("execute").on("INSERT INTO SB_BOOKING_W%").code(20_001, "no bookings on holidays"));
    let mut writer = h.writer();
    let replies = writer.apply(&ops).unwrap();
    assert_eq!(replies, [OpReply::LegacyRule { code: "ORA-20001".to_owned() }, OpReply::Returned { units: 1 }]);
    assert_eq!(writer.apply(&ops).unwrap(), replies, "the answer is stored");
    assert_eq!(numbers(&row_of(&mut *h.reader(), &slot)), (5, 1, 0, 1));
}

/// Lock, fence and commit, eight for the convert, six for the return.
#[test]
fn a_convert_and_a_return_take_seventeen_statements() {
    let (on, slot) = escrowed(Body::Sql);
    let h: &dyn Harness = &on;
    let mut writer = h.writer();
    let before = writer.statements();
    writer.apply(&ops(h, &slot)).unwrap();
    assert_eq!(writer.statements() - before, 17);
}

/// On both adapters: the same rows, one after the other.
#[test]
fn answers_are_forgotten_only_when_they_are_old() {
    let (on, slot) = escrowed(Body::Sql);
    let h: &dyn Harness = &on;
    let mut writer = h.writer();
    let first = writer.apply(&ops(h, &slot)).unwrap();
    assert_eq!(writer.forget_applied(35, 500).unwrap(), 0);
    assert_eq!(writer.apply(&ops(h, &slot)).unwrap(), first, "nothing was forgotten");
    let aged = rusqlite::Connection::open(&on.legacy().path).unwrap();
    let sql =
        "UPDATE SB_APPLIED SET APPLIED_AT = strftime('%Y-%m-%d %H:%M:%S', 'now', '+9 hours', '-35 days', '-1 hour')";
    assert_eq!(aged.execute(sql, []).unwrap(), 3);
    assert_eq!(writer.forget_applied(35, 1).unwrap(), 1);
    let settings = on.legacy().settings();
    let mut embedded = slotbridge::legacy::sqlite::SqliteWrite::open(&settings).unwrap();
    assert_eq!(slotbridge::legacy::LegacyWrite::forget_applied(&mut embedded, 36, 500).unwrap(), 0);
    assert_eq!(slotbridge::legacy::LegacyWrite::forget_applied(&mut embedded, 35, 500).unwrap(), 2);
    assert_eq!(writer.forget_applied(35, 500).unwrap(), 0);
}
