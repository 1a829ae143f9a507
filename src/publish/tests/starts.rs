//! Restarts, changed mappings, restored ledgers.

use super::*;
use crate::publish::planner::Planned;

fn two_slots() -> (Bridge, Reader) {
    let mut bridge = Bridge::new(vec![plan("naver", "free")]);
    bridge.world().put("a", 1);
    bridge.world().put("b", 2);
    bridge.tick();
    let mut reader = Reader::new("naver", 500);
    reader.follow(&bridge.feeds).unwrap();
    (bridge, reader)
}

#[test]
fn a_restart_republishes_nothing_that_did_not_change() {
    let (bridge, mut reader) = two_slots();
    let held = reader.held.clone();
    let position = bridge.world().position;
    let mut bridge = bridge.restart(vec![plan("naver", "free")], &[]);
    assert_eq!(reader.follow(&bridge.feeds), Ok(position), "published state is readable before the first tick");
    bridge.tick();
    assert_eq!(reader.follow(&bridge.feeds), Ok(position));
    assert_eq!(reader.held, held);
    assert_eq!(bridge.world().position, position, "no number was reserved");
}

#[test]
fn what_went_while_the_daemon_was_down_is_deleted() {
    let (bridge, mut reader) = two_slots();
    bridge.world().remove("a");
    let mut bridge = bridge.restart(vec![plan("naver", "free")], &[]);
    bridge.tick();
    reader.follow(&bridge.feeds).unwrap();
    assert_eq!(reader.held.keys().collect::<Vec<_>>(), ["s-b"]);
}

#[test]
fn a_kill_between_transaction_and_wake_loses_nothing() {
    let (mut bridge, mut reader) = two_slots();
    bridge.world().put("a", 5);
    bridge.world().remove("b");
    let position = bridge.world().position;
    let now = bridge.world().now.plus_ms(1_000);
    let mut planned = Planned::default();
    bridge.publisher.drain();
    bridge.publisher.plan(0, now, &mut bridge.numbers, None, &mut planned).unwrap();
    assert!(bridge.publisher.save(0, now, &mut planned).unwrap().is_some());
    assert_eq!(bridge.cursor("naver"), Position(2), "readers saw nothing of it");
    let mut bridge = bridge.restart(vec![plan("naver", "free")], &[]);
    assert_eq!(reader.follow(&bridge.feeds), Ok(position));
    assert_eq!(reader.data(), bridge.world().expected(position, now, "free"));
    bridge.tick();
    assert_eq!(bridge.world().position, position);
}

#[test]
fn a_changed_mapping_reaches_readers_of_the_old_one() {
    let (bridge, mut reader) = two_slots();
    bridge.world().remove("b");
    let mut bridge = bridge.restart(vec![plan("naver", "places")], &[]);
    assert_eq!(reader.follow(&bridge.feeds), Ok(Position::ZERO), "nothing is shown before the comparison");
    assert_eq!(bridge.feeds.feeds(&partner("naver"))[0].items, 0);
    bridge.tick();
    let cursor = reader.follow(&bridge.feeds).unwrap();
    assert_eq!(reader.data(), bridge.expected(cursor, "places"));
}

#[test]
fn partners_that_come_to_share_a_feed_lose_nothing() {
    let mut bridge = Bridge::new(vec![plan("naver", "free"), plan("kakao", "places")]);
    for n in 0..20 {
        bridge.world().put(&format!("{n}"), n);
    }
    bridge.tick();
    bridge.world().remove("4");
    bridge.tick();
    let mut readers = [Reader::new("naver", 3), Reader::new("kakao", 500)];
    readers[0].step(&bridge.feeds).unwrap();
    readers[1].follow(&bridge.feeds).unwrap();
    let plans = |n, k| vec![plan("naver", n), plan("kakao", k)];
    for (n, k) in [("places", "places"), ("free", "places"), ("places", "free"), ("free", "free"), ("x", "y")] {
        bridge.world().remove(&format!("{}", 5 + n.len()));
        bridge = bridge.restart(plans(n, k), &[]);
        bridge.tick();
        for (reader, word) in readers.iter_mut().zip([n, k]) {
            let cursor = reader.follow(&bridge.feeds).unwrap();
            assert_eq!(reader.data(), bridge.expected(cursor, word), "{n} {k}");
        }
        let mut fresh = Reader::new("naver", 3);
        fresh.follow(&bridge.feeds).unwrap();
        assert_eq!(fresh.data(), readers[0].data());
    }
}

#[test]
fn after_a_restore_every_item_is_updated_or_deleted_anew() {
    let (bridge, mut reader) = two_slots();
    let kept = bridge.world().position;
    bridge.world().put("c", 3);
    bridge.world().put("a", 9);
    let mut bridge = bridge;
    bridge.tick();
    reader.follow(&bridge.feeds).unwrap();
    let mut at_beginning = Reader::new("naver", 1);
    at_beginning.step(&bridge.feeds).unwrap();
    {
        let mut world = bridge.world();
        world.log.retain(|(at, _, _)| *at <= kept);
        world.position = world.position.plus(1 << 32);
        world.incarnation = Incarnation(8);
    }
    let before = bridge.world().position;
    let mut bridge = bridge.restart(vec![plan("naver", "free")], &[]);
    bridge.tick();
    for reader in [&mut reader, &mut at_beginning] {
        let cursor = reader.follow(&bridge.feeds).unwrap();
        assert!(cursor > before);
        assert_eq!(reader.data(), bridge.expected(cursor, "free"));
        assert!(reader.held.values().all(|(number, _)| *number > before.0));
    }
}

#[test]
fn a_lost_feed_store_refuses_older_cursors_and_serves_fresh_walks() {
    let (mut bridge, mut reader) = two_slots();
    bridge.world().remove("a");
    bridge.tick();
    for file in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{file}", bridge.path.display()));
    }
    let mut bridge = bridge.restart(vec![plan("naver", "free")], &[]);
    bridge.tick();
    assert_eq!(reader.step(&bridge.feeds), Err(FeedError::CursorExpired));
    let mut fresh = Reader::new("naver", 1);
    fresh.follow(&bridge.feeds).unwrap();
    assert_eq!(fresh.held.keys().collect::<Vec<_>>(), ["s-b"]);
}

#[test]
fn a_ledger_that_lost_its_end_is_refused() {
    let (bridge, _) = two_slots();
    let mut world = bridge.world();
    let view = world.view.clone();
    world.position = Position(1);
    let opened =
        open(&bridge.path, Settings::default(), vec![plan("naver", "free")], world.incarnation, world.position, view);
    let error = opened.err().map(|error| error.code());
    assert_eq!(error, Some("feed_store_ahead_of_ledger"));
}
