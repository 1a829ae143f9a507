//! `Sync-Cursor` is exact.

use super::*;

/// One random life of a feed: commits, ticks, restarts, time, readers with their own pace.
fn live(seed: u64) -> [u64; 3] {
    let mut dice = Dice(seed);
    let mut bridge = Bridge::new(vec![plan("naver", "free")]);
    let mut readers: Vec<Reader> = vec![Reader::new("naver", 3), Reader::new("naver", 500)];
    let mut ticked_at = bridge.world().now;
    let mut begun = false;
    let (mut reserved, mut interleaved, mut last_pages) = (0, 0, 0);
    for _ in 0..160 {
        match dice.below(20) {
            0..=8 => {
                let now = bridge.world().now;
                let changes = random_changes(&mut dice, now, 12);
                bridge.world().commit(&changes);
            }
            9..=13 => {
                let now = bridge.world().now;
                let meanwhile: Vec<_> = (0..dice.below(3)).map(|_| random_changes(&mut dice, now, 3)).collect();
                let waiting = meanwhile.len();
                bridge.numbers.meanwhile = meanwhile;
                bridge.tick_after([200, 1_000, 20 * MINUTE_MS, 2 * HOUR_MS][dice.below(4) as usize]);
                ticked_at = bridge.world().now;
                begun = true;
                interleaved += (waiting - bridge.numbers.meanwhile.len()) as u64;
                let cursor = readers[1].follow(&bridge.feeds).unwrap();
                let expected = bridge.expected(cursor, "free");
                assert_eq!(readers[1].data(), expected, "seed {seed}, cursor {cursor} after a tick");
                reserved += bridge.feeds.stats.reserved.swap(0, std::sync::atomic::Ordering::Relaxed);
            }
            14 => {
                let nulls: Vec<String> = (0..dice.below(3)).map(|_| format!("{}", dice.below(9))).collect();
                bridge = bridge.restart(vec![plan("naver", "free")], &nulls);
                let start = bridge.world().now.plus_ms(HOUR_MS);
                let resent: Vec<_> = nulls.iter().map(|key| (key.clone(), Some((77, start)))).collect();
                bridge.world().commit(&resent);
            }
            15 if readers.len() < 6 => readers.push(Reader::new("naver", 1 + dice.below(5) as u32)),
            _ => {
                let at = dice.below(readers.len() as u64) as usize;
                let page = readers[at].step(&bridge.feeds).unwrap();
                if page.is_last && begun {
                    let expected = bridge.world().expected(page.cursor, ticked_at, "free");
                    assert_eq!(readers[at].data(), expected, "seed {seed}, cursor {}", page.cursor);
                    last_pages += 1;
                }
            }
        }
    }
    let committed = bridge.world().position;
    bridge.tick();
    let now = bridge.world().now;
    for reader in &mut readers {
        let cursor = reader.follow(&bridge.feeds).unwrap();
        assert!(cursor >= committed, "seed {seed}");
        assert_eq!(reader.data(), bridge.world().expected(cursor, now, "free"), "seed {seed}");
    }
    snapshot_is_what_readers_hold(&bridge, &readers[0]);
    [reserved, interleaved, last_pages]
}

fn random_changes(dice: &mut Dice, now: Timestamp, max: u64) -> Vec<(String, State)> {
    (0..1 + dice.below(max))
        .map(|_| {
            let key = format!("{}", dice.below(9));
            let start = now.plus_ms(dice.below(5) as i64 * HOUR_MS / 2);
            let state = match dice.below(6) {
                0 => None,
                1 => Some((FILTERED, start)),
                _ => Some((dice.below(4) as u32, start)),
            };
            (key, state)
        })
        .collect()
}

fn snapshot_is_what_readers_hold(bridge: &Bridge, reader: &Reader) {
    let snapshot = bridge.feeds.snapshot(&partner("naver"), "slots").unwrap();
    let lines = String::from_utf8(snapshot.body.to_vec()).unwrap();
    let held: BTreeMap<String, (u64, String)> = lines
        .lines()
        .map(|line| {
            let item: serde_json::Value = serde_json::from_str(line).unwrap();
            let number = item["modified"].as_u64().unwrap();
            (item["id"].as_str().unwrap().to_owned(), (number, item["data"].to_string()))
        })
        .collect();
    assert_eq!(held, reader.held);
    let mut from_snapshot = Reader { held, ..Reader::new("naver", 3) };
    from_snapshot.query.after = Some(snapshot.cursor.0);
    from_snapshot.follow(&bridge.feeds).unwrap();
    assert_eq!(from_snapshot.held, reader.held);
}

#[test]
fn whoever_reached_a_last_page_holds_every_change_up_to_its_cursor() {
    let mut met = [0; 3];
    for seed in 0..30 {
        let of_seed = live(seed);
        met = std::array::from_fn(|at| met[at] + of_seed[at]);
    }
    assert!(met.iter().all(|times| *times > 50), "reserved, interleaved, last pages: {met:?}");
}

#[test]
fn an_item_has_the_position_of_the_last_entry_that_touched_it() {
    let mut bridge = Bridge::new(vec![plan("naver", "free")]);
    bridge.tick();
    bridge.world().put("a", 1);
    bridge.world().put("b", 1);
    bridge.world().put("a", 2);
    bridge.tick();
    let mut reader = Reader::new("naver", 500);
    reader.follow(&bridge.feeds).unwrap();
    assert_eq!(reader.held["s-a"].0, 3);
    assert_eq!(reader.held["s-b"].0, 2);
    bridge.world().put("b", 1);
    bridge.tick();
    assert_eq!(reader.follow(&bridge.feeds), Ok(Position(4)));
    assert_eq!(reader.held["s-b"].0, 2, "an unchanged record keeps its number");
}

#[test]
fn an_event_that_touches_1200_slots_is_harvested_whole_at_limit_500() {
    let mut bridge = Bridge::new(vec![plan("naver", "free")]);
    let start = bridge.world().now.plus_ms(24 * HOUR_MS);
    let all = |remaining: u32| -> Vec<(String, State)> {
        (0..1_200).map(|n| (format!("{n}"), Some((remaining, start)))).collect()
    };
    bridge.world().commit(&all(1));
    bridge.tick();
    let mut reader = Reader::new("naver", 500);
    reader.follow(&bridge.feeds).unwrap();
    bridge.world().commit(&all(2));
    bridge.tick();
    let mut pages = 0;
    while !reader.step(&bridge.feeds).unwrap().is_last {
        pages += 1;
    }
    assert_eq!(pages, 3);
    assert_eq!(reader.held.len(), 1_200);
    assert!(reader.held.values().all(|(_, data)| data == r#"{"free":2}"#));
}

#[test]
fn a_slot_leaves_the_feed_by_time_alone() {
    let mut bridge = Bridge::new(vec![plan("naver", "free")]);
    let start = bridge.world().now.plus_ms(2 * HOUR_MS);
    bridge.world().commit(&[("a".to_owned(), Some((1, start)))]);
    bridge.tick();
    let mut reader = Reader::new("naver", 500);
    reader.follow(&bridge.feeds).unwrap();
    assert_eq!(reader.held.len(), 1);
    bridge.tick_after(2 * HOUR_MS);
    assert_eq!(reader.follow(&bridge.feeds), Ok(Position(2)), "its deletion took a reserved number");
    assert!(reader.held.is_empty());
    let before = bridge.world().position;
    bridge.tick();
    assert_eq!(bridge.world().position, before, "it leaves once");
}

#[test]
fn numbers_stay_unique_even_if_a_batch_names_one_twice() {
    let mut bridge = Bridge::new(vec![plan("naver", "free")]);
    bridge.tick();
    {
        let mut world = bridge.world();
        let start = world.now.plus_ms(24 * HOUR_MS);
        world.position = Position(1);
        let twice = vec![touched("a", Some((1, start)), Position(1)), touched("b", Some((1, start)), Position(1))];
        world.deliver(Position(1), twice);
    }
    bridge.tick();
    let mut reader = Reader::new("naver", 1);
    reader.follow(&bridge.feeds).unwrap();
    assert_eq!(reader.held.len(), 2);
}

#[test]
fn a_slower_subject_is_shown_at_multiples_of_its_pace_and_hides_when_it_changed() {
    let mut bridge = Bridge::new(vec![plan("naver", "paced")]);
    bridge.world().put("small-1", 1);
    bridge.world().put("small-2", 1);
    bridge.world().put("wide", 1);
    bridge.tick_after(i64::from(PACE_MS));
    let mut reader = Reader::new("naver", 500);
    reader.follow(&bridge.feeds).unwrap();
    bridge.world().put("small-2", 0);
    bridge.world().put("wide", 0);
    bridge.world().put("small-1", 0);
    bridge.tick_after(1_000);
    assert_eq!(reader.follow(&bridge.feeds), Ok(Position(6)));
    let shown = |reader: &Reader, id: &str| reader.held[id].1.clone();
    assert_eq!(shown(&reader, "s-wide"), r#"{"paced":0}"#);
    assert_eq!(shown(&reader, "s-small-2"), r#"{"paced":1}"#);
    bridge = bridge.restart(vec![plan("naver", "paced")], &[]);
    let mut after_restart = reader.clone();
    bridge.tick_after(1_000);
    after_restart.follow(&bridge.feeds).unwrap();
    assert_eq!(shown(&after_restart, "s-small-2"), r#"{"paced":0}"#, "what was held back is not lost");

    bridge.world().put("small-2", 2);
    bridge.world().put("small-1", 2);
    bridge.tick_after(1_000);
    let held_at = bridge.world().position;
    bridge.tick_after(i64::from(PACE_MS));
    reader.follow(&bridge.feeds).unwrap();
    assert_eq!(shown(&reader, "s-small-2"), r#"{"paced":1}"#);
    assert!(reader.held["s-small-1"].0 > held_at.0, "its number does not tell when it changed");
    assert!(reader.held["s-small-1"].0 < reader.held["s-small-2"].0, "nor in which order");
    bridge.world().put("small-2", 12);
    let moved_at = bridge.world().position;
    bridge.tick_after(1_000);
    reader.follow(&bridge.feeds).unwrap();
    let (number, data) = &reader.held["s-small-2"];
    assert_eq!((*number, data.as_str()), (moved_at.0, r#"{"paced":11}"#), "another definition does not wait");
    bridge.world().remove("small-1");
    bridge.tick_after(1_000);
    reader.follow(&bridge.feeds).unwrap();
    assert!(!reader.held.contains_key("s-small-1"), "what goes goes at once");
}
