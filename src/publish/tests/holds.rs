//! Feeds that are held: one reason, several, one of several partners, over a restart.

use std::collections::BTreeSet;

use super::*;
use crate::publish::api::Snapshot;

fn hold(reason: HoldReason, served: Served) -> Hold {
    Hold { reason, text: "why".to_owned(), since: Timestamp(7), served }
}

fn shared() -> Vec<FeedPlan> {
    vec![plan("naver", "free"), plan("kakao", "free")]
}

fn set(bridge: &Bridge, of: &str, is_held: bool) {
    match is_held {
        true => bridge.feeds.hold(&partner(of), "slots", hold(HoldReason::Guard, Served::LastState)),
        false => bridge.feeds.release(&partner(of), "slots", HoldReason::Guard),
    }
}

fn whole(bridge: &Bridge, of: &str) -> BTreeMap<String, String> {
    let mut reader = Reader::new(of, 3);
    reader.follow(&bridge.feeds).unwrap();
    reader.data()
}

#[test]
fn a_held_feed_stands_still_until_the_last_reason_ends_and_then_catches_up() {
    let mut bridge = Bridge::new(vec![plan("naver", "free")]);
    bridge.world().put("a", 1);
    bridge.tick();
    let mut reader = Reader::new("naver", 500);
    reader.follow(&bridge.feeds).unwrap();
    let naver = partner("naver");
    bridge.feeds.hold(&naver, "slots", hold(HoldReason::RowJump, Served::LastState));
    bridge.feeds.hold_object(&ObjectName::new("slot").unwrap(), hold(HoldReason::Drift, Served::LastState));
    bridge.world().put("a", 7);
    bridge.world().put("b", 8);
    bridge.tick();
    assert_eq!(reader.follow(&bridge.feeds), Ok(Position(1)));
    let reasons = |bridge: &Bridge| bridge.feeds.holds(&naver, "slots").iter().map(|h| h.reason).collect::<Vec<_>>();
    assert_eq!(reasons(&bridge), [HoldReason::Drift, HoldReason::RowJump]);
    bridge.feeds.release(&naver, "slots", HoldReason::RowJump);
    bridge.world().remove("b");
    bridge.tick();
    assert_eq!(reader.follow(&bridge.feeds), Ok(Position(1)), "the other reason holds on");
    bridge.feeds.release_object(&ObjectName::new("slot").unwrap(), HoldReason::Drift);
    bridge.tick();
    assert_eq!(reasons(&bridge), []);
    assert_eq!(reader.follow(&bridge.feeds), Ok(Position(4)));
    assert_eq!(reader.data(), bridge.expected(Position(4), "free"));
}

#[test]
fn a_renewed_hold_keeps_its_beginning() {
    let bridge = Bridge::new(vec![plan("naver", "free")]);
    let first = hold(HoldReason::Guard, Served::LastState);
    bridge.feeds.hold(&partner("naver"), "slots", first.clone());
    bridge.feeds.hold(&partner("naver"), "slots", Hold { since: Timestamp(9), ..first.clone() });
    assert_eq!(bridge.feeds.held(), [((partner("naver"), "slots".to_owned()), vec![first])]);
}

#[test]
fn what_is_not_served_at_all_is_refused_everywhere_and_nothing_of_it_is_lost() {
    let mut bridge = Bridge::new(vec![plan("naver", "free")]);
    bridge.world().put("a", 1);
    bridge.tick();
    let (naver, query) = (partner("naver"), PageQuery { after: None, limit: None, walk: None });
    bridge.feeds.hold(&naver, "slots", hold(HoldReason::Approval, Served::NotAtAll));
    bridge.feeds.hold(&naver, "slots", hold(HoldReason::Drift, Served::LastState));
    let refused = Some(FeedError::Held { reason: HoldReason::Approval });
    assert_eq!(bridge.feeds.page(&naver, "slots", query).err(), refused);
    assert_eq!(bridge.feeds.snapshot(&naver, "slots").err(), refused);
    assert_eq!(bridge.feeds.snapshot_at(&naver, "slots", Position(1)).err(), refused);
    bridge.feeds.hold(&naver, "sites", hold(HoldReason::Approval, Served::LastState));
    assert_eq!(bridge.feeds.page(&naver, "sites", query).err(), refused, "held before it was ever bound");
    bridge.feeds.release(&naver, "slots", HoldReason::Approval);
    assert_eq!(whole(&bridge, "naver").len(), 1);
}

#[test]
fn the_gate_is_asked_before_every_build() {
    struct Until(Timestamp);
    impl Gate for Until {
        fn hold(&self, of: &PartnerId, feed: &str, now: Timestamp) -> Option<Hold> {
            let is_out = (of.as_str(), feed) == ("naver", "slots") && now >= self.0;
            is_out.then(|| Hold {
                reason: HoldReason::Approval,
                text: "out".into(),
                since: now,
                served: Served::LastState,
            })
        }
    }
    let mut bridge = Bridge::new(shared());
    let now = bridge.world().now;
    bridge.publisher.guarded_by(Arc::new(Until(now.plus_ms(2_000))), now);
    bridge.world().put("a", 1);
    bridge.tick();
    bridge.world().put("a", 2);
    bridge.tick();
    assert_eq!(whole(&bridge, "naver")["s-a"], r#"{"free":1}"#);
    assert_eq!(whole(&bridge, "kakao")["s-a"], r#"{"free":2}"#);
    bridge.publisher.guarded_by(Arc::new(Until(now)), now);
    assert_eq!(bridge.feeds.holds(&partner("naver"), "slots").len(), 1);
    bridge.publisher.guarded_by(Arc::new(OpenGate), now);
    assert_eq!(bridge.feeds.holds(&partner("naver"), "slots").len(), 0);
}

#[test]
fn a_feed_that_is_held_from_the_start_is_compared_once_it_is_free() {
    let mut bridge = Bridge::new(vec![plan("naver", "free")]);
    set(&bridge, "naver", true);
    bridge.world().put("a", 1);
    bridge.tick();
    assert_eq!((whole(&bridge, "naver").len(), bridge.publisher.next_tick()), (0, None));
    set(&bridge, "naver", false);
    bridge.tick();
    assert_eq!(whole(&bridge, "naver").len(), 1);
}

/// Everything that a reader can see of its feed.
fn seen(bridge: &Bridge, of: &str) -> (BTreeMap<String, String>, Snapshot, u64, Position) {
    let info = &bridge.feeds.feeds(&partner(of))[0];
    let snapshot = bridge.feeds.snapshot(&partner(of), "slots").unwrap();
    let lines = snapshot.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count() as u64;
    assert_eq!(lines, info.items);
    (whole(bridge, of), snapshot, info.items, info.cursor)
}

#[test]
fn one_partner_is_held_while_those_who_share_its_feed_go_on() {
    let mut bridge = Bridge::new(shared());
    for n in 0..9 {
        bridge.world().put(&format!("{n}"), n);
    }
    bridge.tick();
    let mut reader = Reader::new("naver", 3);
    reader.step(&bridge.feeds).unwrap();
    let before = seen(&bridge, "naver");
    set(&bridge, "naver", true);
    for n in 3..7 {
        bridge.world().put(&format!("{n}"), 20 + n);
        bridge.tick();
    }
    bridge.world().remove("8");
    bridge.world().put("new", 1);
    bridge.tick();
    let position = bridge.world().position;
    assert_eq!(seen(&bridge, "naver"), before);
    assert_eq!(bridge.cursor("kakao"), position);
    assert_eq!(whole(&bridge, "kakao"), bridge.expected(position, "free"));
    let mut bridge = bridge.restart(shared(), &[]);
    assert_eq!(seen(&bridge, "naver"), before, "also before the first tick of the next life");
    set(&bridge, "naver", true);
    bridge.world().put("1", 30);
    bridge.tick();
    assert_eq!(seen(&bridge, "naver"), before);
    reader.follow(&bridge.feeds).unwrap();
    assert_eq!(reader.data(), before.0, "a walk that began before ends in the same state");
    set(&bridge, "naver", false);
    bridge.tick();
    let cursor = reader.follow(&bridge.feeds).unwrap();
    assert_eq!(reader.data(), bridge.expected(cursor, "free"));
    let rows: i64 = bridge.publisher.store.db.query_row("SELECT count(*) FROM feed", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 1, "the fork is gone");
}

/// Two partners share a feed and are held and released at random, over restarts. A held one sees one state for as long
/// as it is held; whoever is free holds what the oracle says.
fn live(seed: u64) -> u64 {
    let mut dice = Dice(seed);
    let mut bridge = Bridge::new(shared());
    let mut readers = [Reader::new("naver", 2), Reader::new("kakao", 500)];
    let mut held: BTreeMap<usize, BTreeMap<String, String>> = BTreeMap::new();
    let mut parted = 0;
    for n in 0..4 {
        bridge.world().put(&format!("{n}"), n);
    }
    bridge.tick();
    for _ in 0..120 {
        let (who, names) = (dice.below(2) as usize, ["naver", "kakao"]);
        match dice.below(12) {
            0..=3 => bridge.world().put(&format!("{}", dice.below(12)), dice.below(90) as u32),
            4 => bridge.world().remove(&format!("{}", dice.below(12))),
            5 => {
                set(&bridge, names[who], true);
                held.entry(who).or_insert_with(|| whole(&bridge, names[who]));
            }
            6 => {
                set(&bridge, names[who], false);
                held.remove(&who);
            }
            7 => {
                bridge = bridge.restart(shared(), &[]);
                held.keys().for_each(|who| set(&bridge, names[*who], true));
            }
            8 => {
                let _ = readers[who].step(&bridge.feeds).unwrap();
            }
            _ => {
                bridge.tick();
                parted += u64::from(held.len() == 1);
                for who in 0..2 {
                    let state = whole(&bridge, names[who]);
                    match held.get(&who) {
                        Some(kept) => assert_eq!(*kept, state, "seed {seed}"),
                        None => {
                            let cursor = readers[who].follow(&bridge.feeds).unwrap();
                            let expected = bridge.expected(cursor, "free");
                            assert_eq!((&state, &readers[who].data()), (&expected, &expected), "seed {seed}");
                        }
                    }
                }
            }
        }
    }
    parted
}

#[test]
fn whoever_is_held_sees_one_state_and_nobody_loses_anything() {
    let parted: BTreeSet<u64> = (0..40).map(live).collect();
    assert!(parted.iter().any(|ticks| *ticks > 5), "{parted:?}");
}
