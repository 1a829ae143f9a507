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
fn one_effect(body: Body, fault: Fault, kind: LegacyErrorKind, in_doubt: bool, what: &str) {
    let (on, slot) = escrowed(body);
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
const STEPS: [(Body, &[&str]); 2] = [
    (
        Body::Sql,
        &[
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
        ],
    ),
    (Body::Procedure, &["%SB_API.OPEN_BATCH%", "%SB_API.APPLY_OP%", "%SB_API.CLOSE_BATCH%"]),
];

fn at_each_step(check: impl Fn(Body, &str)) {
    for (body, steps) in STEPS {
        steps.iter().for_each(|step| check(body, step));
    }
}

#[test]
fn a_session_killed_before_or_after_a_statement_leaves_nothing() {
    at_each_step(|body, step| {
        one_effect(body, Fault::at("execute").on(step).kill(), LegacyErrorKind::Lost, false, step);
        one_effect(body, Fault::at("execute").on(step).kill().after(), LegacyErrorKind::Lost, false, step);
    });
}

#[test]
fn a_deadlock_or_a_lock_that_is_not_had_ends_the_whole_transaction() {
    at_each_step(|body, step| {
        for code in [60, 54, 30_006, 8_177] {
            let fault = Fault::at("execute").on(step).code(code, "refused by the test");
            one_effect(body, fault, LegacyErrorKind::Retry, false, step);
        }
    });
}

#[test]
fn a_code_that_is_not_listed_halts() {
    at_each_step(|body, step| {
        let fault = Fault::at("execute").on(step).code(600, "refused by the test");
        one_effect(body, fault, LegacyErrorKind::Halt, false, step);
    });
}

#[test]
fn a_commit_without_an_answer_is_in_doubt_and_takes_effect_once() {
    for body in [Body::Sql, Body::Procedure] {
        one_effect(body, Fault::at("commit").kill().after(), LegacyErrorKind::Lost, true, "applied");
        one_effect(body, Fault::at("commit").kill(), LegacyErrorKind::Lost, true, "not applied");
        one_effect(body, Fault::at("commit").code(3_113, "lost"), LegacyErrorKind::Lost, true, "end of file");
        one_effect(body, Fault::at("commit").code(60, "deadlock"), LegacyErrorKind::Retry, false, "refused");
    }
}

/// A package without an answer of its own for a rule: nothing is answered, and nothing is left.
#[test]
fn a_rule_that_the_package_lets_through_is_a_contradiction() {
    for code in [1, 2_290, 20_001] {
        let fault = Fault::at("execute").on("%SB_API.APPLY_OP%").code(code, "let through");
        one_effect(Body::Procedure, fault, LegacyErrorKind::Halt, false, "let through");
    }
}

/// The account of the body `procedure` sees no table: what the bridge would send in the other body is refused.
#[test]
fn the_write_account_of_the_package_has_no_right_to_tables() {
    let (on, slot) = escrowed(Body::Procedure);
    let connection = on.server.connect("BRIDGE_W", "secret");
    connection.execute("ALTER SESSION SET CURRENT_SCHEMA = SLOTBRIDGE", &[]).unwrap();
    for sql in [
        "SELECT COUNT(*) FROM SB_SLOT_W",
        "SELECT COUNT(*) FROM SB_APPLIED",
        "UPDATE SB_CONTROL SET STATE = 'RUN'",
        "INSERT INTO SB_APPLIED (OP_ID, BODY_HASH) VALUES ('A', 'B')",
    ] {
        let sent = connection.statement(sql).build().and_then(|mut statement| match statement.is_query() {
            true => statement.query(&[]).map(|_| ()),
            false => statement.execute(&[]),
        });
        let error = sent.expect_err(sql);
        assert_eq!(error.db_error().map(|e| e.code()), Some(942), "{sql}");
    }
    let h: &dyn Harness = &on;
    assert_eq!(numbers(&row_of(&mut *h.reader(), &slot)), (5, 2, 0, 2), "the reader reads");
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
        one_effect(Body::Sql, fault, LegacyErrorKind::Retry, false, "timeout");
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

#[test]
fn a_rule_that_the_package_meets_is_its_answer() {
    let (on, slot) = escrowed(Body::Procedure);
    let h: &dyn Harness = &on;
    h.legacy().sql(
        "CREATE TRIGGER TR_HOLIDAY BEFORE INSERT ON TB_RESV BEGIN SELECT RAISE(ABORT, 'ORA-20001: no bookings'); END",
        [],
    );
    let ops = ops(h, &slot);
    let mut writer = h.writer();
    let replies = writer.apply(&ops).unwrap();
    assert_eq!(replies, [OpReply::LegacyRule { code: "ORA-20001".to_owned() }, OpReply::Returned { units: 1 }]);
    assert_eq!(writer.apply(&ops).unwrap(), replies, "the answer is stored");
    assert_eq!(numbers(&row_of(&mut *h.reader(), &slot)), (5, 1, 0, 1));
}

/// Open, one call an op, close and commit.
#[test]
fn the_package_takes_one_statement_an_op() {
    let (on, slot) = escrowed(Body::Procedure);
    let h: &dyn Harness = &on;
    let mut writer = h.writer();
    let before = writer.statements();
    writer.apply(&ops(h, &slot)).unwrap();
    assert_eq!(writer.statements() - before, 5);
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

/// The agency's keys are CHAR(20), and what the file holds of them is padded.
fn padded_keys(legacy: &Legacy) {
    let connection = rusqlite::Connection::open(&legacy.path).unwrap();
    let script = "PRAGMA writable_schema = ON;
         UPDATE sqlite_master SET sql = replace(replace(replace(sql, 'SLOT_NO VARCHAR2(60)', 'SLOT_NO CHAR(20)'),
           'PSN_NO VARCHAR2(20)', 'PSN_NO CHAR(20)'), 'SERIES_CD VARCHAR2(', 'SERIES_CD CHAR(') WHERE type = 'table'
           AND name IN ('TB_SLOT', 'TB_PSN', 'TB_RESV');
         PRAGMA writable_schema = RESET;
         UPDATE TB_PSN SET PSN_NO = printf('%-20s', PSN_NO);
         UPDATE TB_SLOT SET SLOT_NO = printf('%-20s', SLOT_NO);";
    connection.execute_batch(script).unwrap();
    let chars = "SELECT COUNT(*) FROM pragma_table_info('TB_RESV') WHERE type LIKE 'CHAR(%'
         AND name IN ('SLOT_NO', 'PSN_NO', 'SERIES_CD')";
    assert_eq!(connection.query_row(chars, [], |row| row.get::<_, i64>(0)).unwrap(), 3);
}

#[test]
fn keys_that_the_agency_pads_are_found_and_stored_padded() {
    for setting in [SETTINGS[0], SETTINGS[1]] {
        let legacy = Legacy::new(setting);
        padded_keys(&legacy);
        let on = OnOracle::new(legacy, Body::Sql);
        let h: &dyn Harness = &on;
        let slot = h.empty_slot(5);
        let width = on.legacy().number("SELECT MAX(LENGTH(SERIES_CD)) FROM TB_SLOT WHERE SLOT_NO NOT LIKE 'T%'");
        let series = on
            .legacy()
            .number("SELECT CAST(substr(type, 6) AS INT) FROM pragma_table_info('TB_SLOT') WHERE name = 'SERIES_CD'");
        assert!(width <= series);
        on.legacy().sql("UPDATE TB_SLOT SET SLOT_NO = printf('%-20s', trim(SLOT_NO))", []);
        on.legacy().sql(&format!("UPDATE TB_SLOT SET SERIES_CD = printf('%-{series}s', SERIES_CD)"), []);
        let mut bridge = h.bridge();
        assert_eq!(bridge.apply(1, &slot, LegacyOp::Take { units: 3 }), OpReply::Taken { units: 3 });
        let person = h.free_person(0);
        let made = bridge.apply(2, &slot, convert(&person));
        assert!(matches!(made, OpReply::Converted { over: false, .. }), "{made:?}");
        assert_eq!(bridge.apply(3, &slot, convert(&person)), OpReply::PersonBooked);
        assert_eq!(bridge.apply(4, &slot, LegacyOp::Return { units: 1 }), OpReply::Returned { units: 1 });
        let count = |sql: &str| on.legacy().number(sql);
        assert_eq!(count("SELECT UNITS FROM SB_ESCROW"), 1);
        assert_eq!(count("SELECT BOOKED_CNT FROM TB_SLOT WHERE SLOT_NO LIKE 'T%'"), 2);
        assert_eq!(count("SELECT LENGTH(SLOT_NO) + LENGTH(PSN_NO) FROM TB_RESV WHERE IF_OP_ID IS NOT NULL"), 40);
        assert_eq!(bridge.apply(5, &slot, shorthand::cancel(2)), OpReply::TurnedBack);
        assert_eq!(bridge.apply(6, &slot, LegacyOp::Return { units: 2 }), OpReply::Returned { units: 2 });
        assert_eq!(count("SELECT UNITS + (SELECT BOOKED_CNT FROM TB_SLOT WHERE SLOT_NO LIKE 'T%') FROM SB_ESCROW"), 0);
    }
}
