//! What each kind of error leads to. No kind ends the worker.

use super::*;

use LegacyErrorKind::{Credentials, Halt, Lost, Operator, Retry, Schema, Wait};

/// Fails once with the error, then tells the worker's answer, its status, and how long it took until the op was done.
fn once(kind: LegacyErrorKind, class: &'static str) -> (Turn, &'static str, i64) {
    let setup = setup();
    setup.ask(1, "a", convert(1));
    setup.faults(&[Fault::Error(kind, class)]);
    let mut worker = setup.worker();
    let turn = setup.turn(&mut worker);
    let status = setup.status(&worker);
    let before = setup.clock.now();
    setup.run(&mut worker);
    assert_eq!(setup.books().order, [1], "{kind:?}: done once, by the same worker");
    (turn, status, setup.clock.now().since_ms(before))
}

#[test]
fn each_kind_of_error_has_its_pause() {
    for (kind, status, pause) in [
        (Retry, "running", 50..=100),
        (Wait, "waiting", 2_500..=5_000),
        (Operator, "halted", 60_000..=61_000),
        (Schema, "halted", 60_000..=61_000),
        (Halt, "halted", 60_000..=61_000),
    ] {
        let (turn, seen, took) = once(kind, kind.code());
        assert!(matches!(turn, Turn::Idle { wait_ms: 1..=1_000 }), "{kind:?}: {turn:?}");
        assert_eq!(seen, status, "{kind:?}");
        assert!(pause.contains(&took), "{kind:?}: {took} ms");
    }
    let (turn, seen, took) = once(Lost, "connection_lost");
    assert!(matches!(turn, Turn::Lost { wait_ms: 50..=100 }), "{turn:?}");
    assert_eq!((seen, took <= 100), ("unreachable", true));
}

#[test]
fn a_connection_that_cannot_be_had_is_tried_ever_more_seldom_up_to_a_minute() {
    let setup = setup();
    let mut worker = setup.worker();
    let lost = error(Lost, false);
    let waits: Vec<u64> = (0..14)
        .map(|_| match worker.unreachable(&lost) {
            Turn::Lost { wait_ms } => wait_ms,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!((50..=100).contains(&waits[0]) && waits.iter().all(|wait| *wait <= 60_000), "{waits:?}");
    assert!(waits[12] >= 30_000 && waits[13] >= 30_000, "{waits:?}");
    assert_eq!((setup.status(&worker), worker.may_connect()), ("unreachable", None));
    worker.connected();
    setup.turn(&mut worker);
    assert_eq!(setup.status(&worker), "running");
}

#[test]
fn a_refused_account_is_not_tried_again_before_its_secret_changes() {
    let setup = setup();
    setup.ask(1, "a", convert(1));
    let secret = Arc::new(std::sync::atomic::AtomicU64::new(7));
    let seen = secret.clone();
    let secrets = Box::new(move || seen.load(std::sync::atomic::Ordering::Relaxed));
    let mut worker = setup.worker().with(Around { secrets, ..Around::default() });
    assert_eq!(worker.unreachable(&error(Credentials, false)), Turn::Lost { wait_ms: 1_000 });
    for _ in 0..1_000 {
        setup.pass(60_000);
        assert_eq!(worker.may_connect(), Some(1_000));
    }
    let halted = worker.stats().lock().unwrap().status.clone();
    assert!(matches!(halted, Status::Halted { kind: Credentials, .. }), "{halted:?}");
    secret.store(8, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(worker.may_connect(), None);
    worker.connected();
    setup.run(&mut worker);
    assert_eq!(setup.results().len(), 1);
}

#[test]
fn what_a_person_must_mend_is_tried_again_every_minute_over_a_new_connection() {
    let setup = setup();
    setup.ask(1, "a", convert(1));
    setup.faults(&[Fault::Password]);
    let mut worker = setup.worker();
    setup.turn(&mut worker);
    setup.ask(2, "b", convert(2));
    for _ in 0..59 {
        setup.pass(1_000);
        assert!(matches!(setup.turn(&mut worker), Turn::Idle { .. }));
    }
    assert_eq!(setup.books().transactions.len(), 1, "nothing is tried meanwhile");
    assert!(setup.books().agency_asked >= 59, "the switch is obeyed all the same");
    setup.pass(1_000);
    assert_eq!(setup.turn(&mut worker), Turn::Lost { wait_ms: 0 });
    worker.connected();
    setup.run(&mut worker);
    assert_eq!((setup.results().len(), setup.status(&worker)), (2, "running"));
}

#[test]
fn asking_the_agency_may_fail_too_and_then_nothing_is_written() {
    for kind in [Retry, Wait, Lost, Operator, Schema] {
        let setup = setup();
        setup.ask(1, "a", convert(1));
        setup.books().agency_faults.push_back(kind);
        let mut worker = setup.worker();
        setup.turn(&mut worker);
        assert!(setup.books().transactions.is_empty(), "{kind:?}");
        setup.run(&mut worker);
        assert_eq!(setup.results().len(), 1, "{kind:?}");
    }
}

#[test]
fn a_heartbeat_that_fails_has_the_fence_compared_again_before_anything_is_written() {
    for (kind, fences) in [(Retry, 2), (Schema, 2), (Lost, 2)] {
        let setup = setup();
        let mut worker = setup.worker();
        setup.turn(&mut worker);
        assert_eq!(setup.ledger.lock().unwrap().fences.len(), 1);
        let turn = worker.unbeaten(&error(kind, false));
        assert_eq!(turn.is_some(), kind == Lost, "{kind:?}");
        assert_eq!(setup.status(&worker), if kind == Lost { "unreachable" } else { "running" });
        setup.ask(1, "a", convert(1));
        setup.run(&mut worker);
        assert_eq!(setup.ledger.lock().unwrap().fences.len(), fences, "{kind:?}");
    }
}

#[test]
fn the_thread_opens_another_connection_when_a_heartbeat_says_that_it_is_gone() {
    let setup = setup();
    let (worker, wake) = (setup.worker(), Wake::new());
    setup.books().beat_faults.push_back(Lost);
    let (legacy, opened) = (setup.legacy.clone(), Arc::new(std::sync::atomic::AtomicU32::new(0)));
    let count = opened.clone();
    let connect: writeback::Connect = Box::new(move || {
        count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Ok(Box::new(legacy.clone()))
    });
    let beat: writeback::Beat = Box::new(|| Heartbeat { position: 9, unapplied: 0, free_units: 4 });
    let running = writeback::start(worker, &Settings::default(), connect, beat, surroundings(), wake.clone()).unwrap();
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while opened.load(std::sync::atomic::Ordering::SeqCst) < 2 {
        assert!(std::time::Instant::now() < until, "the connection that is gone is still in use");
        std::thread::yield_now();
    }
    setup.ask(1, "a", convert(1));
    wake.notify();
    setup.told.recv_timeout(std::time::Duration::from_secs(60)).unwrap();
    running.stop().unwrap();
    assert_eq!(opened.load(std::sync::atomic::Ordering::SeqCst), 2);
}

#[test]
fn however_often_it_is_busy_the_agency_is_asked_each_second() {
    let setup = setup();
    setup.ask(1, "a", convert(1));
    setup.faults(&[Fault::Busy; 16]);
    let mut worker = setup.worker();
    let asked_before = setup.books().agency_asked;
    let began = setup.clock.now();
    while setup.results().is_empty() {
        if let Turn::Idle { wait_ms } = setup.turn(&mut worker) {
            assert!(wait_ms <= 1_000, "{wait_ms}");
            setup.pass(i64::try_from(wait_ms).unwrap());
        }
    }
    let seconds = setup.clock.now().since_ms(began) / 1_000;
    assert!(seconds > 60, "the op's own pauses grow: {seconds} s");
    let asked = setup.books().agency_asked - asked_before;
    assert!(asked >= seconds.unsigned_abs() / 2, "{asked} in {seconds} s");
}

#[test]
fn an_unlisted_code_halts_its_op_and_no_other() {
    let setup = setup();
    for (op, slot) in [(1, "a"), (2, "b"), (3, "c")] {
        setup.ask(op, slot, convert(op as u32));
    }
    setup.ask(4, "b", OpWhat::Return { units: 1 });
    setup.books().unlisted.insert(2);
    let mut worker = setup.worker();
    for _ in 0..20 {
        setup.turn(&mut worker);
        setup.pass(1_000);
    }
    assert_eq!(setup.books().order, [1, 3], "the op behind it on its slot waits");
    assert_eq!(setup.books().transactions, [4, 1, 1, 1], "it is not tried again by itself");
    let stats = worker.stats().lock().unwrap().clone();
    assert_eq!((stats.status, stats.aside.len(), stats.waiting), (Status::Running, 1, 2));
    let aside = &stats.aside[0];
    assert_eq!((aside.op, aside.slot.as_str(), aside.kind), (Position(2), "b", "convert"));
    assert_eq!(aside.id, OpId { incarnation: LIFE, position: Position(2) }.to_string());
}

#[test]
fn an_op_set_aside_runs_again_or_is_settled_when_told_and_only_then() {
    let setup = setup();
    let orders = Orders::default();
    let mut worker = setup.worker().with(Around { orders: orders.clone(), ..Around::default() });
    for (op, slot) in [(1, "a"), (2, "b"), (3, "c")] {
        setup.ask(op, slot, convert(op as u32));
        setup.books().unlisted.insert(op);
    }
    (0..8).for_each(|_| {
        setup.turn(&mut worker);
    });
    assert_eq!(worker.stats().lock().unwrap().aside.len(), 3);
    setup.books().unlisted.clear();
    let reply = OpReply::Converted { legacy_ref: Arc::from("R77"), over: false };
    assert!(orders.give(Order::Retry { op: Position(1) }));
    assert!(orders.give(Order::Settle { op: Position(2), reply }));
    assert!(orders.give(Order::Settle { op: Position(9), reply: writeback::not_applied() }));
    (0..8).for_each(|_| {
        setup.turn(&mut worker);
    });
    assert_eq!(setup.books().order, [1]);
    let told: BTreeMap<u64, OpResult> = setup.results().into_iter().collect();
    assert!(matches!(told[&1], OpResult::Converted { .. }));
    assert_eq!(told[&2], OpResult::Converted { legacy_ref: Arc::from("R77"), over: false });
    assert_eq!(told.len(), 2);
    orders.give(Order::Settle { op: Position(3), reply: writeback::not_applied() });
    setup.run(&mut worker);
    assert_eq!(setup.results()[2], (3, OpResult::Rejected { reason: Rejection::LegacyRule }));
}

#[test]
fn at_most_a_hundred_ops_are_set_aside_then_all_writing_halts() {
    let setup = setup();
    for op in 1..=writeback::ASIDE_MAX as u64 + 5 {
        setup.ask(op, &format!("s{op:03}"), convert(1));
        setup.books().unlisted.insert(op);
    }
    let mut worker = setup.worker();
    for _ in 0..300 {
        setup.turn(&mut worker);
        setup.pass(50);
    }
    let stats = worker.stats().lock().unwrap().clone();
    assert_eq!((stats.aside.len(), stats.status.code()), (writeback::ASIDE_MAX, "halted"));
}

#[test]
fn an_op_that_may_have_run_is_not_called_refused_when_its_person_is_unlinked() {
    let setup = setup();
    setup.ask(1, "a", convert(2));
    setup.ask(2, "a", cancel(1));
    setup.ask(3, "b", convert(1));
    assert!(setup.register.unlink(PersonNo(2)).unwrap());
    let mut worker = setup.worker().with(Around { replayed: Position(2), ..Around::default() });
    (0..4).for_each(|_| {
        setup.turn(&mut worker);
    });
    assert_eq!(setup.books().order, [3], "its slot waits, the others go on");
    assert_eq!(setup.results().len(), 1);
    let aside = worker.stats().lock().unwrap().aside.clone();
    assert_eq!((aside.len(), aside[0].op), (1, Position(1)));
    assert!(aside[0].why.contains("SB_APPLIED") && aside[0].why.contains("settle"), "{}", aside[0].why);
}

#[test]
fn a_slow_legacy_system_gets_smaller_transactions() {
    let setup = setup();
    for n in 1..=100 {
        setup.ask(n, &format!("s{n:03}"), OpWhat::Take { units: 1 });
    }
    setup.books().slow = Some((setup.clock.clone(), 201));
    setup.run(&mut setup.worker());
    let transactions = setup.books().transactions.clone();
    assert_eq!(transactions[..6], [50, 25, 12, 6, 3, 1]);
    assert_eq!(transactions.iter().sum::<usize>(), 100);
}

#[test]
fn while_reads_lag_new_takes_wait_and_other_slots_go_on() {
    let setup = setup();
    setup.ask(1, "a", OpWhat::Take { units: 5 });
    for n in 2..=101 {
        setup.ask(n, &format!("t{n}"), OpWhat::Take { units: 4 });
    }
    setup.ask(102, "b", convert(1));
    let lags = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let seen = lags.clone();
    let reads_lag = Box::new(move || seen.load(std::sync::atomic::Ordering::Relaxed));
    let mut worker = setup.worker().with(Around { reads_lag, replayed: Position(1), ..Around::default() });
    for _ in 0..200 {
        setup.turn(&mut worker);
        setup.pass(100);
    }
    assert_eq!(setup.books().order, [1, 102], "one that may have run is run, and whatever is no take");
    assert_eq!(setup.results().len(), 2, "nobody answers a take but the legacy system");
    assert_eq!(worker.stats().lock().unwrap().failures, 0);
    lags.store(false, std::sync::atomic::Ordering::Relaxed);
    setup.run(&mut worker);
    assert!(setup.results()[2..].iter().all(|(_, result)| *result == OpResult::Taken { units: 4 }));
}
