//! Switch, fence, release requests.

use super::*;

#[test]
fn the_desk_is_told_the_switch_at_the_start_and_at_every_turn_of_it() {
    let setup = setup();
    let mut worker = setup.worker();
    for control in [Control::Run, Control::Run, Control::Drain, Control::Stop, Control::Stop, Control::Run] {
        setup.books().control = Some(control);
        setup.turn(&mut worker);
        setup.pass(1_000);
    }
    let told = setup.ledger.lock().unwrap().switches.clone();
    assert_eq!(told, [Control::Run, Control::Drain, Control::Stop, Control::Run]);
    assert_eq!(setup.books().agency_asked, 6, "asked once a control interval");
}

#[test]
fn a_closed_fence_halts_all_writing_until_it_is_open_and_compared_again() {
    let setup = setup();
    setup.ask(1, "a", OpWhat::Take { units: 1 });
    setup.books().fenced = true;
    let mut worker = setup.worker();
    for _ in 0..5 {
        assert_eq!(setup.turn(&mut worker), Turn::Idle { wait_ms: 1_000 });
        setup.pass(1_000);
    }
    assert_eq!((setup.status(&worker), worker.may_beat()), ("fenced", false));
    assert!(setup.ledger.lock().unwrap().claimed.is_empty() && setup.books().transactions.is_empty());
    setup.books().fenced = false;
    setup.run(&mut worker);
    assert_eq!((setup.status(&worker), worker.may_beat()), ("running", true));
    assert_eq!(setup.ledger.lock().unwrap().fences.len(), 2);
}

#[test]
fn the_fence_is_compared_at_every_connect_before_anything_is_written() {
    let setup = setup();
    setup.books().last_op = Some(OpId { incarnation: LIFE, position: Position(40) });
    setup.ask(1, "a", OpWhat::Take { units: 1 });
    setup.faults(&[Fault::LostReply]);
    let mut worker = setup.worker();
    assert!(matches!(setup.turn(&mut worker), Turn::Lost { .. }));
    worker.connected();
    setup.books().last_op = Some(OpId { incarnation: Incarnation(5), position: Position(41) });
    setup.run(&mut worker);
    let fences = setup.ledger.lock().unwrap().fences.clone();
    assert_eq!(fences.iter().map(|(_, ours)| *ours).collect::<Vec<_>>(), [true, false]);
    setup.pass(1_000);
    setup.turn(&mut worker);
    assert_eq!(setup.ledger.lock().unwrap().fences.len(), 2, "once a connection");
}

#[test]
fn a_legacy_system_of_another_ledger_is_not_written_to() {
    let setup = setup();
    setup.ask(1, "a", OpWhat::Take { units: 1 });
    setup.ledger.lock().unwrap().agreements.extend([Agreement::Foreign, Agreement::Foreign]);
    let mut worker = setup.worker();
    for _ in 0..100 {
        setup.turn(&mut worker);
        setup.pass(1_000);
    }
    assert!(setup.books().transactions.is_empty());
    let stats = worker.stats().lock().unwrap().clone();
    assert!(
        matches!(&stats.status, Status::Halted { message, .. } if message.contains("SB_FENCE")),
        "{:?}",
        stats.status
    );
    assert_eq!(stats.disagreements, [("foreign", 2)].into(), "compared again once a minute");
    setup.run(&mut worker);
    assert_eq!(setup.status(&worker), "running");
}

#[test]
fn a_ledger_or_a_legacy_system_that_was_restored_is_counted_and_written_to() {
    for (agreement, how) in
        [(Agreement::LedgerBehind, "ledger_behind"), (Agreement::LegacyBehind { again: 3 }, "legacy_behind")]
    {
        let setup = setup();
        setup.ask(1, "a", OpWhat::Take { units: 1 });
        setup.ledger.lock().unwrap().agreements.push_back(agreement);
        let mut worker = setup.worker();
        setup.run(&mut worker);
        assert_eq!(worker.stats().lock().unwrap().disagreements, [(how, 1)].into());
    }
}

#[test]
fn a_release_request_is_done_once_nothing_is_left_within_five_seconds() {
    let setup = setup();
    let slot = SlotKey::new("a").unwrap();
    setup.books().releases =
        vec![ReleaseRequest { id: 7, slot: Some(slot.clone()) }, ReleaseRequest { id: 8, slot: None }];
    setup.ledger.lock().unwrap().left.extend([2, 0, 2]);
    setup.ask(1, "a", OpWhat::Return { units: 2 });
    let mut worker = setup.worker();
    let begun = setup.clock.now();
    setup.turn(&mut worker);
    assert_eq!(setup.books().released, [8], "what has nothing left is said at once");
    for _ in 0..10 {
        if let Turn::Idle { wait_ms } = setup.turn(&mut worker) {
            setup.pass(i64::try_from(wait_ms).unwrap());
        }
        if setup.books().released.len() == 2 {
            break;
        }
    }
    assert_eq!(setup.books().released, [8, 7]);
    assert!(setup.clock.now().since_ms(begun) <= 5_000);
    assert_eq!(setup.ledger.lock().unwrap().given_back[0], Some(slot));
    setup.pass(1_000);
    setup.turn(&mut worker);
    assert_eq!(worker.stats().lock().unwrap().releases, 0);
}

#[test]
fn at_stop_releases_wait_and_the_heartbeat_goes_on() {
    let setup = setup();
    setup.books().releases = vec![ReleaseRequest { id: 7, slot: None }];
    setup.books().control = Some(Control::Stop);
    let mut worker = setup.worker();
    setup.turn(&mut worker);
    assert!(setup.ledger.lock().unwrap().given_back.is_empty());
    assert!(worker.may_beat(), "script 94 wants a heartbeat from after the stop");
}
