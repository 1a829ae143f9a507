//! New mappings under running readers.

use super::*;
use crate::mapping::FeedKind;

impl Bridge {
    fn rebind(&mut self, plans: Vec<FeedPlan>) -> Result<Rebound, NotRebound> {
        let now = self.world().now;
        self.publisher.rebind(plans, now, &mut self.numbers)
    }
}

/// A bridge with `slots` slots that `of` has read to the end, some of them gone by then.
fn filled(of: &[&str], slots: u32) -> (Bridge, Vec<Reader>) {
    let mut bridge = Bridge::new(of.iter().map(|of| plan(of, "a")).collect());
    for n in 0..slots {
        bridge.world().put(&n.to_string(), n % 40);
    }
    bridge.tick();
    let mut readers: Vec<Reader> = of.iter().map(|of| Reader::new(of, 500)).collect();
    for reader in &mut readers {
        reader.follow(&bridge.feeds).unwrap();
    }
    for n in 0..slots / 10 {
        bridge.world().remove(&n.to_string());
    }
    bridge.tick();
    (bridge, readers)
}

#[test]
fn a_reader_that_goes_on_after_a_rebind_holds_exactly_what_is_published() {
    let (mut bridge, mut readers) = filled(&["naver"], 300);
    // One reader is in the middle of a walk, one has everything but the deletions.
    let mut walking = Reader::new("naver", 10);
    for _ in 0..7 {
        walking.step(&bridge.feeds).unwrap();
    }
    let changed = |key: u32, remaining| {
        let start = Timestamp(480_000 * HOUR_MS).plus_ms(100 * HOUR_MS);
        (key.to_string(), Some((remaining, start)))
    };
    // What changes while numbers are set aside belongs to the first state under the new mapping.
    bridge.numbers.meanwhile = vec![vec![changed(50, 7), (String::from("51"), None)], vec![changed(52, 8)]];
    let done = bridge.rebind(vec![plan("naver", "b")]).unwrap();
    assert_eq!(done.made, 1);
    assert!(done.reserved >= 260, "{done:?}");
    for reader in [&mut readers[0], &mut walking] {
        let cursor = reader.follow(&bridge.feeds).unwrap();
        assert_eq!(reader.data(), bridge.expected(cursor, "b"));
        assert!(!reader.held.contains_key("s-51") && reader.held["s-50"].1 == r#"{"b":7}"#);
    }
    let mut fresh = Reader::new("naver", 500);
    fresh.follow(&bridge.feeds).unwrap();
    assert_eq!(fresh.held, readers[0].held, "numbers and data");
    // And it goes on as any other feed.
    bridge.world().put("60", 3);
    bridge.tick();
    let cursor = readers[0].follow(&bridge.feeds).unwrap();
    assert_eq!(readers[0].data(), bridge.expected(cursor, "b"));
    // After a restart too.
    let bridge = bridge.restart(vec![plan("naver", "b")], &[]);
    readers[0].follow(&bridge.feeds).unwrap();
    assert_eq!(readers[0].data(), fresh_data(&bridge));
}

fn fresh_data(bridge: &Bridge) -> BTreeMap<String, String> {
    let mut fresh = Reader::new("naver", 500);
    fresh.follow(&bridge.feeds).unwrap();
    fresh.data()
}

/// Looks at the feed each time that numbers are asked for.
struct Looking {
    numbers: Numbers,
    feeds: Arc<Feeds>,
    seen: Vec<BTreeMap<String, String>>,
    reserved: Vec<u32>,
}

impl ReserveNumbers for Looking {
    fn reserve(&mut self, count: u32) -> Result<Position, Stopped> {
        let mut reader = Reader::new("naver", 5_000);
        reader.follow(&self.feeds).unwrap();
        self.seen.push(reader.data());
        self.reserved.push(count);
        self.numbers.reserve(count)
    }
}

#[test]
fn until_the_first_whole_state_readers_see_the_old_one_and_one_entry_sets_all_numbers_aside() {
    let (mut bridge, _) = filled(&["naver"], 400);
    let before = fresh_data(&bridge);
    let numbers = Numbers { world: bridge.world.clone(), meanwhile: Vec::new() };
    let mut looking = Looking { numbers, feeds: bridge.feeds.clone(), seen: Vec::new(), reserved: Vec::new() };
    let now = bridge.world().now;
    bridge.publisher.rebind(vec![plan("naver", "b")], now, &mut looking).unwrap();
    assert_eq!(looking.reserved, [360]);
    assert!(looking.seen.iter().all(|seen| *seen == before));
    assert_ne!(fresh_data(&bridge), before);
}

/// The desk is gone.
struct Gone;

impl ReserveNumbers for Gone {
    fn reserve(&mut self, _: u32) -> Result<Position, Stopped> {
        Err(Stopped)
    }
}

#[test]
fn a_rebind_that_fails_changes_nothing() {
    let (mut bridge, mut readers) = filled(&["naver", "kakao"], 100);
    let (before, now) = (fresh_data(&bridge), bridge.world().now);
    let failed = bridge.publisher.rebind(vec![plan("naver", "b"), plan("kakao", "c")], now, &mut Gone);
    assert_eq!(failed, Err(NotRebound::Stopped));
    assert_eq!(fresh_data(&bridge), before);
    bridge.world().put("70", 3);
    bridge.tick();
    for reader in &mut readers {
        let cursor = reader.follow(&bridge.feeds).unwrap();
        assert_eq!(reader.data(), bridge.expected(cursor, "a"));
    }
    let bridge = bridge.restart(vec![plan("naver", "a"), plan("kakao", "a")], &[]);
    assert_eq!(bridge.feeds.feeds(&partner("naver"))[0].content_digest, "a");
    assert_eq!(fresh_data(&bridge), readers[0].data());
}

#[test]
fn partners_that_part_and_meet_again_lose_nothing() {
    let (mut bridge, mut readers) = filled(&["naver", "kakao"], 100);
    bridge.rebind(vec![plan("naver", "b"), plan("kakao", "a")]).unwrap();
    bridge.world().put("70", 3);
    bridge.world().remove("71");
    bridge.tick();
    let check = |bridge: &Bridge, readers: &mut [Reader], words: [&str; 2]| {
        for (reader, word) in readers.iter_mut().zip(words) {
            let cursor = reader.follow(&bridge.feeds).unwrap();
            assert_eq!(reader.data(), bridge.expected(cursor, word), "{word}");
        }
    };
    check(&bridge, &mut readers, ["b", "a"]);
    bridge.rebind(vec![plan("naver", "b"), plan("kakao", "b")]).unwrap();
    bridge.world().remove("72");
    bridge.tick();
    check(&bridge, &mut readers, ["b", "b"]);
    let mut bridge = bridge.restart(vec![plan("naver", "b"), plan("kakao", "b")], &[]);
    bridge.world().remove("73");
    bridge.tick();
    check(&bridge, &mut readers, ["b", "b"]);
    bridge.rebind(vec![plan("kakao", "b")]).unwrap();
    assert_eq!(readers[0].follow(&bridge.feeds), Err(FeedError::UnknownFeed));
    bridge.world().remove("74");
    bridge.tick();
    let cursor = readers[1].follow(&bridge.feeds).unwrap();
    assert_eq!(readers[1].data(), bridge.expected(cursor, "b"));
}

/// Holds naver's, as the approvals would.
struct Closed;

impl Gate for Closed {
    fn hold(&self, of: &PartnerId, _: &str, now: Timestamp) -> Option<Hold> {
        let (reason, text, served) = (HoldReason::Approval, String::from("not approved"), Served::LastState);
        (*of == partner("naver")).then_some(Hold { reason, text, since: now, served })
    }
}

#[test]
fn a_feed_whose_mapping_is_not_in_force_stays_and_goes_on_later() {
    let (mut bridge, mut readers) = filled(&["naver", "kakao"], 100);
    for reader in &mut readers {
        reader.follow(&bridge.feeds).unwrap();
    }
    let kept = |of: &str| FeedPlan::kept(partner(of), FeedKind::Slots, &format!("{of}.slots"), 2);
    // Naver's stays, though kakao goes on with what they shared; so it is after a restart.
    let now = bridge.world().now;
    bridge.publisher.guarded_by(Arc::new(Closed), now);
    bridge.rebind(vec![kept("naver"), plan("kakao", "a")]).unwrap();
    let held = readers[0].data();
    bridge.tick();
    bridge.world().put("80", 5);
    bridge.world().remove("81");
    bridge.tick();
    assert_eq!(fresh_data(&bridge), held);
    let mut bridge = bridge.restart(vec![plan("kakao", "a"), kept("naver")], &[]);
    let now = bridge.world().now;
    bridge.publisher.guarded_by(Arc::new(Closed), now);
    bridge.tick();
    readers[0].follow(&bridge.feeds).unwrap();
    assert_eq!((readers[0].data(), fresh_data(&bridge)), (held.clone(), held));
    let cursor = readers[1].follow(&bridge.feeds).unwrap();
    assert_eq!(readers[1].data(), bridge.expected(cursor, "a"));
    bridge.publisher.guarded_by(Arc::new(OpenGate), now);
    bridge.rebind(vec![plan("naver", "b"), plan("kakao", "a")]).unwrap();
    let cursor = readers[0].follow(&bridge.feeds).unwrap();
    assert_eq!(readers[0].data(), bridge.expected(cursor, "b"));
}

#[test]
fn a_feed_that_was_never_published_and_is_not_in_force_shows_nothing() {
    let mut bridge =
        Bridge::new(vec![FeedPlan::kept(partner("naver"), FeedKind::Slots, "naver.slots", 1), plan("kakao", "a")]);
    bridge.world().put("1", 5);
    bridge.tick();
    assert_eq!(fresh_data(&bridge), BTreeMap::new());
    bridge.rebind(vec![plan("naver", "a"), plan("kakao", "a")]).unwrap();
    assert_eq!(fresh_data(&bridge).len(), 1);
}
