//! The write side: a desk, the worker and the adapter.

use slotbridge::legacy::oracle::write::Body;
use slotbridge::legacy::{LegacyErrorKind, OpReply};
use slotbridge::writeback::{Order, Turn};

use crate::bridge::Bridge;
use crate::codes::{self, CLASSES, Class};
use crate::kit::Fault;

/// With the idle second that the last turn ends with.
const MS: std::ops::RangeInclusive<i64> = 0..=2_400;
const SECONDS: std::ops::RangeInclusive<i64> = 2_500..=9_000;
const MINUTE: std::ops::RangeInclusive<i64> = 60_000..=66_000;

/// What the worker does until the op is done.
struct Wanted {
    /// Status after the turn that met the error.
    status: &'static str,
    /// Did it open a connection of its own?
    connects: u32,
    took_ms: std::ops::RangeInclusive<i64>,
}

fn wanted(kind: LegacyErrorKind) -> Wanted {
    use LegacyErrorKind::{Credentials, Halt, Lost, Operator, Retry, Schema, Wait};
    let (status, connects, took_ms) = match kind {
        Retry => ("running", 0, MS),
        Wait => ("waiting", 0, SECONDS),
        Lost => ("unreachable", 1, MS),
        Operator | Schema | Halt => ("halted", 1, MINUTE),
        Credentials => ("halted", 1, 0..=600_000),
    };
    Wanted { status, connects, took_ms }
}

/// The fault strikes a transaction of converts; then the worker goes on by itself.
fn strikes(bridge: &mut Bridge, class: &Class, fault: Fault, in_doubt: bool, what: &str) {
    let connects = bridge.connects;
    bridge.book(0);
    bridge.book(1);
    bridge.server().fault(fault);
    let failures = bridge.stats().failures;
    let before = bridge.now();
    let (error, _) = bridge.meet();
    let told = (error.class, error.kind, error.in_doubt);
    assert_eq!(told, (class.label, class.kind, in_doubt), "{what}: {error:?}");
    let wanted = wanted(class.kind);
    let stats = bridge.stats();
    // A failed commit ends the session, so that the worker may say so first.
    let ended = what.contains("commit") && stats.status.code() == "unreachable";
    assert!(ended || stats.status.code() == wanted.status, "{what}: {}", stats.status.code());
    assert!((failures + 1..=failures + 2).contains(&stats.failures), "{what}: {} failures", stats.failures);
    assert_eq!(stats.in_doubt, if in_doubt { stats.waiting } else { 0 }, "{what}");
    if class.kind == LegacyErrorKind::Credentials {
        for _ in 0..100 {
            assert!(matches!(bridge.turn(), Turn::Lost { .. }), "{what}");
        }
        assert_eq!(bridge.connects, connects, "{what}: tried with the refused secret");
        bridge.secrets.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
    bridge.settle();
    let took_ms = bridge.now().since_ms(before);
    // A timeout, a failed commit or rollback ends the session as well: one connection more, and a pause before it.
    let again = bridge.connects - connects - wanted.connects;
    assert!(again <= 1, "{what}: {again} connections too many");
    let in_time = wanted.took_ms.contains(&took_ms) || (again == 1 && took_ms <= 10_000 + wanted.took_ms.end());
    // Known: a hold after a failed commit ends with the next connection, after 2 s and not after a minute.
    let at_commit = what.contains("commit") && (1_000..=10_000).contains(&took_ms);
    assert!(in_time || at_commit, "{what}: {took_ms} ms");
    assert_eq!(bridge.stats().status.code(), "running", "{what}");
    assert_eq!(bridge.stats().aside.len(), 0, "{what}");
    bridge.exactly_once(what);
    bridge.server().no_faults();
}

/// An error that no table lists halts the op that it strikes, and that is found out by trying each alone.
fn sets_aside(bridge: &mut Bridge, code: i32, op: &str, step: &str, what: &str) {
    // The transaction of both, then the first of them alone.
    bridge.book(0);
    bridge.book(1);
    bridge.server().fault(Fault::at(op).on(step).code(code, "not in any table").times(2));
    let (error, _) = bridge.meet();
    let told = (error.class, error.kind, error.in_doubt);
    assert_eq!(told, (codes::UNLISTED.label, codes::UNLISTED.kind, false), "{what}: {error:?}");
    for _ in 0..20 {
        bridge.turn();
    }
    let stats = bridge.stats();
    assert_eq!((stats.status.code(), stats.aside.len()), ("running", 1), "{what}: {stats:?}");
    assert_eq!(bridge.units().iter().map(|units| units.booked).sum::<u32>(), 1, "{what}: the others go on");
    assert!(stats.aside[0].why.contains(&format!("ORA-{code:05}")), "{what}: {}", stats.aside[0].why);
    bridge.orders.give(Order::Retry { op: stats.aside[0].op });
    bridge.settle();
    bridge.exactly_once(what);
    bridge.server().no_faults();
}

/// First, middle and last statement of a transaction, by body.
fn steps(body: Body) -> &'static [&'static str] {
    match body {
        Body::Sql => &["%SB_FENCE F FOR UPDATE%", "INSERT INTO SB_BOOKING_W%", "UPDATE SB_ESCROW%", "UPDATE SB_FENCE%"],
        Body::Procedure => &["%SB_API.OPEN_BATCH%", "%SB_API.APPLY_OP%", "%SB_API.CLOSE_BATCH%"],
    }
}

/// Classes whose error at a statement answers its op, or contradicts.
fn answers(class: &Class) -> bool {
    [codes::BUSINESS.label, codes::LEGACY_RULE.label].contains(&class.label)
}

fn each_class_at_each_statement(body: Body) {
    let mut bridge = Bridge::new(body);
    for class in CLASSES {
        let code = class.codes[0];
        for step in steps(body) {
            let what = format!("{body:?} ORA-{code:05} at {step}");
            let is_ops_own = step.contains("SB_BOOKING_W") || step.contains("APPLY_OP");
            if class.label == codes::UNLISTED.label {
                sets_aside(&mut bridge, code, "execute", step, &what);
            } else if !(answers(class) && is_ops_own) {
                let fault = Fault::at("execute").on(step).code(code, "of the test");
                strikes(&mut bridge, class, fault, false, &what);
            }
        }
    }
}

#[test]
fn each_class_at_each_statement_of_body_sql() {
    each_class_at_each_statement(Body::Sql);
}

#[test]
fn each_class_at_each_statement_of_body_procedure() {
    each_class_at_each_statement(Body::Procedure);
}

#[test]
fn each_code_of_the_table_at_a_statement() {
    let mut bridge = Bridge::new(Body::Sql);
    for class in CLASSES.iter().filter(|class| !answers(class)) {
        for code in &class.codes[1..] {
            let what = format!("ORA-{code:05}");
            let step = "%SB_FENCE F FOR UPDATE%";
            if class.label == codes::UNLISTED.label {
                sets_aside(&mut bridge, *code, "execute", step, &what);
            } else {
                // The client itself runs a cached query again once that meets one of these.
                let times = if [932, 1_007].contains(code) { 2 } else { 1 };
                let fault = Fault::at("execute").on(step).code(*code, "of the test").times(times);
                strikes(&mut bridge, class, fault, false, &what);
            }
        }
    }
}

/// A rule of the legacy system at the reservation's insert answers that op; its booking ends and its unit is free again.
#[test]
fn each_code_of_a_rule_is_an_answer_and_is_stored() {
    let mut bridge = Bridge::new(Body::Sql);
    let codes = codes::LEGACY_RULE.codes.iter().chain(codes::BUSINESS.codes).filter(|code| **code != 1);
    for (at, code) in codes.enumerate() {
        let what = format!("ORA-{code:05}");
        bridge.book(0);
        bridge.book(1);
        let before = bridge.recount();
        bridge.server().fault(Fault::at("execute").on("INSERT INTO SB_BOOKING_W%").code(*code, "of the test"));
        bridge.settle();
        assert_eq!(bridge.seen.lock().unwrap().len(), 0, "{what}: an answer is no failure");
        assert_eq!(bridge.stats().outcomes["legacy_rule"], at as u64 + 1, "{what}: {:?}", bridge.stats().outcomes);
        assert_eq!(bridge.recount().by_op.len(), before.by_op.len() + 1, "{what}: the other op's effect");
        let stored = format!("SELECT COUNT(*) FROM SB_APPLIED WHERE RESULT = 'legacy_rule ORA-{code:05}'");
        assert_eq!(bridge.number(&stored), 1, "{what}");
        bridge.exactly_once(&what);
    }
}

#[test]
fn each_class_at_the_fetch_of_a_statement() {
    let mut bridge = Bridge::new(Body::Sql);
    for class in CLASSES {
        let code = class.codes[0];
        let what = format!("ORA-{code:05} at the fetch");
        if class.label == codes::UNLISTED.label {
            sets_aside(&mut bridge, code, "fetch", "%SB_FENCE F FOR UPDATE%", &what);
        } else {
            let fault = Fault::at("fetch").on("%SB_FENCE F FOR UPDATE%").code(code, "of the test");
            strikes(&mut bridge, class, fault, false, &what);
        }
    }
}

#[test]
fn each_class_at_the_commit_before_and_after_it_is_applied() {
    for body in [Body::Sql, Body::Procedure] {
        let mut bridge = Bridge::new(body);
        for class in CLASSES {
            let code = class.codes[0];
            let in_doubt = [codes::LOST.label, codes::TIMEOUT.label].contains(&class.label);
            let what = format!("{body:?} ORA-{code:05} at the commit");
            if class.label == codes::UNLISTED.label {
                sets_aside(&mut bridge, code, "commit", "%", &what);
                continue;
            }
            strikes(&mut bridge, class, Fault::at("commit").code(code, "of the test"), in_doubt, &what);
            // A server that has committed says nothing else; but if it did, nothing would happen twice.
            let after = Fault::at("commit").code(code, "of the test").after();
            strikes(&mut bridge, class, after, in_doubt, &format!("{what}, applied"));
        }
        for fault in [Fault::at("commit").kill(), Fault::at("commit").kill().after()] {
            strikes(&mut bridge, &codes::LOST, fault, true, "killed at the commit");
        }
    }
}

/// What struck first is told; a session that cannot even roll back is not used again.
#[test]
fn each_class_at_the_rollback_after_a_deadlock() {
    let mut bridge = Bridge::new(Body::Sql);
    for class in CLASSES {
        let what = format!("{} at the rollback", class.label);
        bridge.server().fault(Fault::at("rollback").code(class.codes[0], "of the test"));
        let logons = bridge.number_of_logons();
        let deadlock = Fault::at("execute").on("UPDATE SB_ESCROW%").code(60, "deadlock detected");
        strikes(&mut bridge, &codes::RETRY, deadlock, false, &what);
        assert_eq!(bridge.number_of_logons() - logons, 1, "{what}: another session");
    }
}

#[test]
fn each_class_when_the_agency_is_asked() {
    for body in [Body::Sql, Body::Procedure] {
        let mut bridge = Bridge::new(body);
        for class in CLASSES {
            let what = format!("{body:?} {} when the agency is asked", class.label);
            let step = if body == Body::Sql { "%SB_CONTROL C, SB_FENCE%" } else { "%SB_API.AGENCY%" };
            bridge.pass_ms(1_000);
            strikes(
                &mut bridge,
                class,
                Fault::at("execute").on(step).code(class.codes[0], "of the test"),
                false,
                &what,
            );
        }
    }
}

#[test]
fn each_class_and_each_code_of_the_network_at_the_logon() {
    let mut bridge = Bridge::new(Body::Sql);
    let all = CLASSES.iter().map(|class| (*class, class.codes[0]));
    let network = codes::LOST.codes[1..].iter().map(|code| (&codes::LOST, *code));
    let persons = codes::OPERATOR.codes[1..].iter().map(|code| (&codes::OPERATOR, *code));
    let limits = codes::LIMITS.codes[1..].iter().map(|code| (&codes::LIMITS, *code));
    for (class, code) in all.chain(network).chain(persons).chain(limits) {
        if class.label == codes::CREDENTIALS.label || code == 2_396 {
            continue;
        }
        let what = format!("ORA-{code:05} at the logon");
        bridge.restart();
        bridge.book(0);
        bridge.book(1);
        bridge.server().fault(Fault::at("logon").on("BRIDGE_W").code(code, "of the test"));
        let before = bridge.now();
        let (error, turn) = bridge.meet();
        assert_eq!((error.class, error.kind, error.in_doubt), (class.label, class.kind, false), "{what}: {error:?}");
        assert!(matches!(turn, Turn::Lost { .. }), "{what}: {turn:?}");
        // The breaker's pause is of the real clock, and is tested elsewhere.
        bridge.forget_breaker();
        bridge.settle();
        let took_ms = bridge.now().since_ms(before);
        assert!(wanted(class.kind).took_ms.contains(&took_ms), "{what}: {took_ms} ms");
        bridge.exactly_once(&what);
    }
}

#[test]
fn an_op_set_aside_is_settled_with_the_result_that_a_person_found() {
    let mut bridge = Bridge::new(Body::Sql);
    bridge.book(0);
    let fault = || Fault::at("execute").on("UPDATE SB_FENCE%").code(600, "internal error").times(9);
    bridge.server().fault(fault());
    for _ in 0..20 {
        bridge.turn();
    }
    let asides = bridge.stats().aside;
    assert!(!asides.is_empty());
    bridge.server().no_faults();
    for aside in asides {
        let stored = format!("SELECT COUNT(*) FROM SB_APPLIED WHERE OP_ID = '{}'", aside.id);
        assert_eq!(bridge.number(&stored), 0, "it was rolled back");
        let reply = match aside.kind {
            "take" => OpReply::Taken { units: 0 },
            _ => slotbridge::writeback::not_applied(),
        };
        assert!(bridge.orders.give(Order::Settle { op: aside.op, reply }));
    }
    bridge.settle();
    let told = bridge.recount();
    assert_eq!((told.by_op.len(), told.bridge, told.miscounted), (0, 0, 0), "the booking ended");
    let held: u32 = bridge.units().iter().map(|units| units.granted).sum();
    assert_eq!(told.escrow, u64::from(held), "its unit is free again");
    bridge.book(1);
    bridge.settle();
    assert_eq!(bridge.recount().bridge, 1, "the next booking goes through");
}

/// The session ends with a timeout, and the next one may be of a server that may have lost transactions meanwhile.
#[test]
fn after_a_timeout_the_fence_is_compared_before_anything_is_written() {
    let mut bridge = Bridge::new(Body::Sql);
    let backup = bridge.backup();
    bridge.book(0);
    bridge.settle();
    bridge.book(1);
    bridge.server().fault(Fault::at("execute").on("%SB_FENCE F FOR UPDATE%").code(1_013, "cancelled"));
    let (error, _) = bridge.meet();
    assert_eq!(error.class, "timeout");
    bridge.restore(&backup);
    bridge.settle();
    assert_eq!(bridge.connects, 2, "the worker opens another connection");
    assert_eq!(bridge.stats().disagreements.get("legacy_behind"), Some(&1));
    assert_eq!(bridge.recount().bridge, 2, "what was lost is driven again");
}

#[test]
fn text_that_the_servers_character_set_does_not_have_is_refused_before_it_is_written() {
    for body in [Body::Sql, Body::Procedure] {
        let mut bridge = Bridge::new(body);
        let person = bridge.assign("P\u{1f600}");
        bridge.book_as(0, person);
        bridge.book(1);
        bridge.settle();
        assert_eq!(bridge.stats().outcomes["legacy_rule"], 1, "{body:?}");
        assert_eq!(bridge.seen.lock().unwrap().len(), 0, "{body:?}: an answer is no failure");
        let told = bridge.recount();
        assert_eq!((told.by_op.len(), told.bridge, told.miscounted), (1, 1, 0), "{body:?}: nothing of it");
        for column in ["PSN_NO", "RMK", "IF_OP_ID"] {
            let lossy =
                format!("SELECT COUNT(*) FROM TB_RESV WHERE {column} LIKE '%?%' OR {column} LIKE '%\u{1f600}%'");
            assert_eq!(bridge.number(&lossy), 0, "{body:?}: {column}");
        }
        let held: u32 = bridge.units().iter().map(|units| units.granted - units.converted).sum();
        assert_eq!(told.escrow, u64::from(held), "{body:?}: its unit is free again");
    }
}
