//! The thread: it begins when told, numbers come through the intake, readers are woken.

use std::sync::atomic::Ordering;

use super::*;
use crate::decide::Event;
use crate::durable::Answer;
use crate::intake::{Bounds, Intake};
use crate::view::PollMark;

/// A committer that knows nothing but `Reserve`.
fn committer(world: Arc<Mutex<World>>) -> (Intake, std::thread::JoinHandle<()>) {
    let (intake, mut queue) = Intake::new(Bounds::default());
    let thread = std::thread::spawn(move || {
        while let Some(submission) = queue.blocking_recv() {
            let Event::Reserve { count, .. } = submission.event else { continue };
            let first = world.lock().unwrap().reserve(count);
            let _ = submission.answer.map(|answer| answer.send(Answer::Reserved { first, count }));
        }
    });
    (intake, thread)
}

#[test]
fn nothing_is_published_before_the_null_rows_were_sent_again() {
    let mut world = World::new();
    world.put("a", 1);
    let folder = tempfile::tempdir().unwrap();
    let plans = || vec![plan("naver", "free")];
    let path = folder.path().join("feeds.db");
    let (mut publisher, _) = world.open(&path, plans(), &[]);
    let world = Arc::new(Mutex::new(world));
    let mut numbers = Numbers { world: world.clone(), meanwhile: Vec::new() };
    let now = world.lock().unwrap().now;
    publisher.tick(now, &mut numbers).unwrap();
    drop(publisher);

    // the mirror held `a` with position NULL: replay does not have it
    let (publisher, feeds) = world.lock().unwrap().open(&path, plans(), &["a".to_owned()]);
    let mut woken = feeds.moved(&partner("naver"), "slots").unwrap();
    woken.mark_unchanged();
    let control = Control(publisher.inbox.clone());
    let (intake, committer) = committer(world.clone());
    let running = run(publisher, control.clone(), Box::new(intake), Arc::new(move || now)).unwrap();
    world.lock().unwrap().put("a", 2);
    let mut reader = Reader::new("naver", 500);
    assert_eq!(reader.follow(&feeds), Ok(Position(1)));
    assert_eq!(reader.held["s-a"].1, r#"{"free":1}"#, "it was not taken for gone");
    control.ready();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(woken.changed()).unwrap();
    assert_eq!(reader.follow(&feeds), Ok(Position(2)));
    assert_eq!(reader.held["s-a"], (2, r#"{"free":2}"#.to_owned()));
    running.stop();
    committer.join().unwrap();
    assert_eq!(feeds.stats.deleted.load(Ordering::Relaxed), 0);
}

#[test]
fn a_deletion_without_an_entry_takes_its_number_through_the_intake() {
    let mut world = World::new();
    world.put("a", 1);
    world.put("b", 1);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("feeds.db");
    let (mut publisher, _) = world.open(&path, vec![plan("naver", "free")], &[]);
    let world = Arc::new(Mutex::new(world));
    let now = world.lock().unwrap().now;
    publisher.tick(now, &mut Numbers { world: world.clone(), meanwhile: Vec::new() }).unwrap();
    drop(publisher);
    let (publisher, feeds) = world.lock().unwrap().open(&path, vec![plan("naver", "free")], &["a".to_owned()]);
    let mut woken = feeds.moved(&partner("naver"), "slots").unwrap();
    woken.mark_unchanged();
    let control = Control(publisher.inbox.clone());
    let (intake, committer) = committer(world.clone());
    let running = run(publisher, control.clone(), Box::new(intake), Arc::new(move || now)).unwrap();
    control.ready();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(woken.changed()).unwrap();
    let mut reader = Reader::new("naver", 500);
    assert_eq!(reader.follow(&feeds), Ok(Position(3)));
    assert_eq!(reader.held.keys().collect::<Vec<_>>(), ["s-b"]);
    running.stop();
    committer.join().unwrap();
}

#[test]
fn freshness_is_that_of_the_newest_poll_that_is_published_whole() {
    let mut bridge = Bridge::new(vec![plan("naver", "free")]);
    let naver = partner("naver");
    let now = bridge.world().now;
    assert_eq!(bridge.feeds.freshness(&naver, "slots", now), None);
    bridge.world().put("a", 1);
    bridge.world().view.set_mark(PollMark { started_at: now, position: Position(1), full_at: now });
    assert_eq!(bridge.feeds.freshness(&naver, "slots", now), None, "not published yet");
    bridge.tick();
    let fresh = bridge.feeds.freshness(&naver, "slots", now.plus_ms(2_500)).unwrap();
    assert_eq!((fresh.lag_ms, fresh.as_of, fresh.full_age_s), (2_500, now, 2));
    bridge.world().put("a", 2);
    let later = now.plus_ms(2_000);
    bridge.world().view.set_mark(PollMark { started_at: later, position: Position(2), full_at: now });
    assert_eq!(bridge.feeds.freshness(&naver, "slots", later).unwrap().as_of, now, "poll not published yet");
    bridge.tick();
    assert_eq!(bridge.feeds.freshness(&naver, "slots", later).unwrap().lag_ms, 0);
}

#[test]
fn a_feed_is_as_fresh_as_its_own_object_and_promises_no_more_than_its_pace() {
    let sites = ObjectName::new("site").unwrap();
    let mut bridge = Bridge::new(vec![
        plan("naver", "free"),
        FeedPlan { object: sites.clone(), name: "sites".to_owned(), ..plan("naver", "free") },
    ]);
    let (naver, now) = (partner("naver"), bridge.world().now);
    bridge.world().put("a", 1);
    let (view, full_at) = (bridge.world().view.clone(), now.plus_ms(-300_000));
    view.set_mark_of(&ObjectName::new("slot").unwrap(), PollMark { started_at: now, position: Position(1), full_at });
    view.set_mark_of(&sites, PollMark { started_at: full_at, position: Position(1), full_at });
    view.set_pace_of_ms(&sites, 600_000);
    bridge.tick();
    let later = now.plus_ms(100);
    let fresh = |feed| bridge.feeds.freshness(&naver, feed, later).unwrap();
    let (slots, sites) = (fresh("slots"), fresh("sites"));
    assert_eq!((slots.lag_ms, sites.lag_ms), (100, 300_100));
    assert_eq!((slots.full_age_s, sites.full_age_s), (300, 300));
    assert_eq!(sites.slo_ms, slots.slo_ms + 600_000);
}
