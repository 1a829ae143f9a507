//! Purged tombstones and expired cursors.

use super::*;
use crate::domain::time::DAY_MS;

/// A feed where `old` was deleted and its tombstone purged; and a reader that had stopped before the deletion.
fn purged() -> (Bridge, Reader) {
    let mut bridge = Bridge::new(vec![plan("naver", "free")]);
    bridge.tick();
    for n in 0..10 {
        let key = format!("{n}");
        let start = bridge.world().now.plus_ms(100 * DAY_MS);
        bridge.world().commit(&[(key, Some((1, start)))]);
    }
    bridge.tick();
    let mut stopped = Reader::new("naver", 3);
    stopped.step(&bridge.feeds).unwrap();
    bridge.tick_after(HOUR_MS);
    bridge.world().remove("3");
    bridge.tick();
    bridge.tick_after(HOUR_MS);
    bridge.tick_after(7 * DAY_MS + HOUR_MS);
    (bridge, stopped)
}

fn tombstones(bridge: &Bridge) -> usize {
    let page = bridge.feeds.page(&partner("naver"), "slots", PageQuery { after: None, limit: None, walk: None });
    String::from_utf8(page.unwrap().body.to_vec()).unwrap().matches(r#""state":"deleted""#).count()
}

#[test]
fn a_tombstone_stays_for_seven_days_and_goes_then() {
    let mut bridge = Bridge::new(vec![plan("naver", "free")]);
    bridge.world().put("a", 1);
    bridge.tick();
    bridge.world().remove("a");
    bridge.tick();
    bridge.tick_after(HOUR_MS);
    bridge.tick_after(7 * DAY_MS - 2 * HOUR_MS);
    assert_eq!(tombstones(&bridge), 1);
    bridge.tick_after(2 * HOUR_MS);
    assert_eq!(tombstones(&bridge), 0);
    bridge = bridge.restart(vec![plan("naver", "free")], &[]);
    assert_eq!(tombstones(&bridge), 0);
}

#[test]
fn a_cursor_behind_purged_tombstones_is_expired() {
    let (bridge, mut stopped) = purged();
    assert_eq!(stopped.step(&bridge.feeds), Err(FeedError::CursorExpired));
    stopped.query.walk = None;
    assert_eq!(stopped.step(&bridge.feeds), Err(FeedError::CursorExpired));
    let mut again = Reader::new("naver", 3);
    again.follow(&bridge.feeds).unwrap();
    assert_eq!(again.held.len(), 9);
}

#[test]
fn a_fresh_walk_after_tombstones_were_purged_is_never_refused() {
    let (mut bridge, _) = purged();
    for restart in 0..2 {
        let mut fresh = Reader::new("naver", 1);
        let cursor = fresh.follow(&bridge.feeds).unwrap();
        assert_eq!(fresh.data(), bridge.expected(cursor, "free"), "restart {restart}");
        bridge = bridge.restart(vec![plan("naver", "free")], &[]);
    }
}

#[test]
fn a_walk_that_began_before_the_purge_but_after_the_deletion_continues() {
    let mut bridge = Bridge::new(vec![plan("naver", "free")]);
    let start = bridge.world().now.plus_ms(100 * DAY_MS);
    for n in 0..10 {
        bridge.world().commit(&[(format!("{n}"), Some((1, start)))]);
    }
    bridge.tick();
    bridge.world().remove("9");
    bridge.tick();
    bridge.tick_after(HOUR_MS);
    let mut slow = Reader::new("naver", 3);
    slow.step(&bridge.feeds).unwrap();
    bridge.tick_after(8 * DAY_MS);
    bridge.tick_after(HOUR_MS);
    assert_eq!(tombstones(&bridge), 0);
    slow.follow(&bridge.feeds).unwrap();
    assert_eq!(slow.held.len(), 9);
}

#[test]
fn a_purge_is_bounded_and_goes_on_in_the_next_tick() {
    let mut bridge = Bridge::new(vec![plan("naver", "free")]);
    let wide = super::super::tick::PURGE_MAX + 5;
    let start = bridge.world().now.plus_ms(100 * DAY_MS);
    let keys: Vec<String> = (0..wide).map(|n| format!("{n}")).collect();
    bridge.world().commit(&keys.iter().map(|key| (key.clone(), Some((1, start)))).collect::<Vec<_>>());
    bridge.tick();
    bridge.world().commit(&keys.iter().map(|key| (key.clone(), None)).collect::<Vec<_>>());
    bridge.tick();
    bridge.tick_after(HOUR_MS);
    bridge.tick_after(8 * DAY_MS);
    assert_eq!(tombstones(&bridge), 5);
    bridge.tick();
    assert_eq!(tombstones(&bridge), 0);
}

#[test]
fn a_cursor_of_the_future_gets_the_last_page() {
    let (bridge, _) = purged();
    for after in [u64::MAX, Position::MAX.0] {
        let asked = PageQuery { after: Some(after), limit: None, walk: None };
        let page = bridge.feeds.page(&partner("naver"), "slots", asked).unwrap();
        assert!(page.is_last);
        let own = format!(r#"{{"next":"https://bridge.example/v1/feeds/slots?afterChangeNumber={after}","items":[]"#);
        assert!(page.body.starts_with(own.as_bytes()));
    }
}

#[test]
fn an_unchanged_page_keeps_its_tag_and_a_changed_one_does_not() {
    let (mut bridge, _) = purged();
    let asked = PageQuery { after: None, limit: Some(500), walk: None };
    let read = |bridge: &Bridge| bridge.feeds.page(&partner("naver"), "slots", asked).unwrap().etag;
    let before = read(&bridge);
    bridge.world().put("elsewhere", FILTERED);
    bridge.tick();
    assert_eq!(read(&bridge), before);
    bridge.world().put("1", 3);
    bridge.tick();
    assert_ne!(read(&bridge), before);
}

#[test]
fn nobody_reads_a_feed_that_is_not_theirs() {
    let (bridge, _) = purged();
    let asked = PageQuery { after: None, limit: None, walk: None };
    assert_eq!(bridge.feeds.page(&partner("kakao"), "slots", asked), Err(FeedError::UnknownFeed));
    assert_eq!(bridge.feeds.page(&partner("naver"), "sites", asked), Err(FeedError::UnknownFeed));
    assert!(bridge.feeds.feeds(&partner("kakao")).is_empty());
}
