//! Builds that a guard stops, and row jumps: what readers see meanwhile, and what comes after a word.

use super::*;
use crate::mapping::{FeedKind, MappingSet};
use crate::privacy::{Guard, Projector};

/// A renderer between the mapping and the feed that is not to be trusted.
struct Tampered {
    inner: SlotMapping,
    /// Keys whose record gets one more field.
    bad: Arc<Mutex<Vec<String>>>,
}

impl RenderItem for Tampered {
    fn record(&self, subject: Subject<'_>, now: Timestamp) -> Result<Option<Record>, NotRendered> {
        let mut record = self.inner.record(subject, now)?;
        if let (Some(record), Subject::Slot(slot)) = (&mut record, subject)
            && self.bad.lock().unwrap().iter().any(|key| key == slot.key.as_str())
        {
            record.fields.push((Arc::from("manager"), json!("홍길동")));
        }
        Ok(record)
    }

    fn leaves_at(&self, subject: Subject<'_>) -> Option<Timestamp> {
        self.inner.leaves_at(subject)
    }

    fn pace_ms(&self, subject: Subject<'_>) -> Option<u32> {
        self.inner.pace_ms(subject)
    }
}

/// The shipped mapping of slots with one field, a number, as the renderer of these tests gives it.
fn guard(set: &MappingSet) -> Arc<Guard> {
    Projector::compile(set, &partner("audit"), FeedKind::Slots).unwrap().guard().clone()
}

/// `audit` reads numbers: cut down to its field `remaining`, so that the tests' renderer fits it.
fn set() -> MappingSet {
    let mut files = crate::mapping::testing::edited_files(&[]);
    let text = String::from_utf8(files["audit/slots.toml"].clone()).unwrap();
    let (head, fields) = text.split_once("[[field]]").unwrap();
    let (fields, rest) = match fields.find("[[withheld]]") {
        Some(at) => fields.split_at(at),
        None => (fields, ""),
    };
    let kept = fields.split("[[field]]").find(|field| field.contains("\"remaining\"")).unwrap();
    let drops: String = fields
        .split("[[field]]")
        .filter(|field| !field.contains("\"remaining\""))
        .filter_map(|field| field.split("source = ").nth(1)?.lines().next())
        .collect::<Vec<_>>()
        .join(", ");
    let reason = "reason = { ko = \"시험에 불필요\", en = \"Not needed by the test\" }";
    let text = format!("{head}[[field]]{kept}\n{rest}\n[[withheld]]\ncolumns = [{drops}]\n{reason}\n");
    files.insert("audit/slots.toml".to_owned(), text.into_bytes());
    crate::mapping::load(&files).unwrap_or_else(|found| panic!("{found:#?}"))
}

struct Guarded {
    bridge: Bridge,
    bad: Arc<Mutex<Vec<String>>>,
}

fn plans(bad: &Arc<Mutex<Vec<String>>>) -> Vec<FeedPlan> {
    let guard = guard(&set());
    let render = Arc::new(Tampered { inner: SlotMapping { word: "remaining" }, bad: bad.clone() });
    let plan = |of| FeedPlan { render: render.clone(), guard: Some(guard.clone()), ..plan(of, "remaining") };
    vec![plan("audit"), plan("kakao")]
}

fn guarded() -> Guarded {
    let bad = Arc::default();
    Guarded { bridge: Bridge::new(plans(&bad)), bad }
}

/// Everything that a reader can fetch, as one text.
fn seen(bridge: &Bridge, of: &str) -> String {
    let mut reader = Reader::new(of, 500);
    reader.follow(&bridge.feeds).unwrap();
    let snapshot = bridge.feeds.snapshot(&partner(of), "slots");
    let snapshot = snapshot.map_or(String::new(), |s| String::from_utf8(s.body.to_vec()).unwrap());
    format!("{:?} {snapshot}", reader.data())
}

fn holds(bridge: &Bridge, of: &str) -> Vec<(HoldReason, String)> {
    bridge.feeds.holds(&partner(of), "slots").into_iter().map(|hold| (hold.reason, hold.text)).collect()
}

#[test]
fn a_renderer_that_adds_a_field_is_stopped_and_the_feed_stands_for_all_its_readers() {
    let Guarded { mut bridge, bad } = guarded();
    bridge.world().put("a", 1);
    bridge.tick();
    let before = seen(&bridge, "audit");
    assert!(before.contains("s-a"), "{before}");
    bad.lock().unwrap().push("b".to_owned());
    bridge.world().put("b", 2);
    bridge.world().put("c", 3);
    for _ in 0..3 {
        bridge.tick();
        for of in ["audit", "kakao"] {
            assert_eq!(seen(&bridge, of), before, "nothing of the build is published");
            let text = "L803: field *: not as approved".to_owned();
            assert_eq!(holds(&bridge, of), [(HoldReason::Guard, text)]);
        }
    }
    // Tried again with the cause still there, it stops again; once it is mended, everything that waited comes.
    assert!(bridge.feeds.retry(&partner("kakao"), "slots"));
    bridge.tick();
    assert_eq!(holds(&bridge, "audit").len(), 1);
    bad.lock().unwrap().clear();
    assert!(bridge.feeds.retry(&partner("audit"), "slots"));
    assert!(!bridge.feeds.retry(&partner("audit"), "slots"), "nothing holds it any more");
    bridge.tick();
    let after = seen(&bridge, "kakao");
    assert!(["s-a", "s-b", "s-c"].iter().all(|id| after.contains(id)) && !after.contains("manager"), "{after}");
}

#[test]
fn what_was_stopped_at_the_start_is_compared_again_and_never_shown() {
    let Guarded { mut bridge, bad } = guarded();
    bad.lock().unwrap().push("b".to_owned());
    bridge.world().put("a", 1);
    bridge.world().put("b", 2);
    bridge.tick();
    assert!(!seen(&bridge, "audit").contains("s-"), "half a first fill is none");
    assert_eq!(holds(&bridge, "audit").len(), 1);
    let mut bridge = bridge.restart(plans(&bad), &[]);
    bridge.tick();
    assert_eq!(holds(&bridge, "audit").len(), 1, "a restart does not forget");
    bad.lock().unwrap().clear();
    bridge.feeds.retry(&partner("audit"), "slots");
    bridge.tick();
    assert!(seen(&bridge, "audit").contains("s-a") && seen(&bridge, "audit").contains("s-b"));
}

#[test]
fn a_feed_store_that_was_tampered_with_is_not_shown() {
    let Guarded { mut bridge, bad } = guarded();
    bridge.world().put("a", 1);
    bridge.tick();
    let file = rusqlite::Connection::open(&bridge.path).unwrap();
    let data = br#"{"remaining":1,"manager":"x"}"#.to_vec();
    assert_eq!(file.execute("UPDATE item SET data = ?1", [data]).unwrap(), 1);
    drop(file);
    let mut bridge = bridge.restart(plans(&bad), &[]);
    assert!(!seen(&bridge, "audit").contains("manager"));
    bridge.tick();
    let after = seen(&bridge, "audit");
    assert!(after.contains(r#"{\"remaining\":1}"#) && !after.contains("manager"), "{after}");
}

/// So many slots; `near` of them start within the hour.
fn fill(bridge: &Bridge, slots: usize, near: usize) {
    let now = bridge.world().now;
    let start = |n: usize| now.plus_ms(if n < near { 40 * MINUTE_MS } else { 100 * HOUR_MS });
    let changes: Vec<_> = (0..slots).map(|n| (format!("{n}"), Some((4, start(n))))).collect();
    bridge.world().commit(&changes);
}

fn live(bridge: &Bridge) -> u64 {
    bridge.feeds.feeds(&partner("audit"))[0].items
}

/// The first full cut is durable up to here.
fn cut(bridge: &Bridge) {
    let world = bridge.world();
    let mark = crate::view::PollMark { position: world.position, started_at: world.now, full_at: world.now };
    world.view.set_mark(mark);
}

#[test]
fn a_loss_of_half_the_rows_waits_for_a_word_and_the_published_ones_stay() {
    let Guarded { mut bridge, bad } = guarded();
    fill(&bridge, 3_000, 0);
    bridge.tick();
    assert_eq!((live(&bridge), holds(&bridge, "audit").len()), (3_000, 0), "the first fill is no jump");
    cut(&bridge);
    bridge.tick();
    // Not at once: 300 rows a build, three builds a second.
    for at in 0..5 {
        let gone: Vec<_> = (at * 300..(at + 1) * 300).map(|n| (format!("{n}"), None)).collect();
        bridge.world().commit(&gone);
        bridge.tick_after(300);
    }
    let text = "L804: 3000 rows an hour ago, 1500 now; `slotbridge feed confirm` says that this is right".to_owned();
    let found = holds(&bridge, "kakao");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].1.starts_with("L804: 3000 rows an hour ago, ") && found[0].0 == HoldReason::RowJump, "{found:?}");
    assert!(found[0].1.ends_with(&text[text.find(';').unwrap()..]));
    let published = live(&bridge);
    assert!(published >= 2_100, "{published}");
    let mut bridge = bridge.restart(plans(&bad), &[]);
    bridge.tick();
    // A restart counts from the rows that are published: the last 600 are no jump of their own.
    assert_eq!(live(&bridge), 1_500);
}

#[test]
fn rows_that_appear_in_masses_are_published_once_they_are_confirmed() {
    let Guarded { mut bridge, .. } = guarded();
    fill(&bridge, 1_500, 0);
    bridge.tick();
    cut(&bridge);
    bridge.tick();
    fill(&bridge, 6_000, 0);
    bridge.tick();
    assert_eq!((live(&bridge), holds(&bridge, "audit").len()), (1_500, 1));
    assert_eq!(bridge.feeds.confirm(&partner("nobody"), "slots"), None);
    assert_eq!(bridge.feeds.confirm(&partner("kakao"), "slots"), Some(Jump { before: 1_500, after: 6_000 }));
    bridge.tick();
    assert_eq!((live(&bridge), holds(&bridge, "audit").len()), (6_000, 0));
    bridge.tick();
    assert_eq!(bridge.feeds.confirm(&partner("audit"), "slots"), None, "nothing is asked");
    fill(&bridge, 6_500, 0);
    bridge.tick();
    assert_eq!(live(&bridge), 6_500);
}

#[test]
fn slots_that_leave_because_their_time_has_come_are_no_loss() {
    let Guarded { mut bridge, .. } = guarded();
    fill(&bridge, 3_000, 2_500);
    bridge.tick();
    cut(&bridge);
    bridge.tick();
    bridge.tick_after(20 * MINUTE_MS);
    assert_eq!((live(&bridge), holds(&bridge, "audit").len()), (500, 0));
}

#[test]
fn a_changed_mapping_is_no_jump() {
    let Guarded { mut bridge, bad } = guarded();
    fill(&bridge, 3_000, 0);
    bridge.tick();
    cut(&bridge);
    bridge.tick();
    let filtered: Vec<_> =
        (0..2_000).map(|n| (format!("{n}"), Some((FILTERED, bridge.world().now.plus_ms(HOUR_MS * 9))))).collect();
    bridge.world().commit(&filtered);
    let renewed = plans(&bad).into_iter().map(|plan| FeedPlan { content_digest: "next".to_owned(), ..plan }).collect();
    let mut bridge = bridge.restart(renewed, &[]);
    bridge.tick();
    assert_eq!((live(&bridge), holds(&bridge, "audit").len()), (1_000, 0));
}
