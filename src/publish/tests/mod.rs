//! A desk that is only a list of changes, readers that only follow `next`, and an oracle that replays the list.

mod cursors;
mod exact;
mod guards;
mod holds;
mod rebind;
mod starts;
mod threads;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use serde_json::json;

use super::api::{FeedError, FeedSource, Page, PageQuery};
use super::*;
use crate::domain::time::{HOUR_MS, MINUTE_MS};
use crate::domain::{
    Incarnation, ObjectName, PartnerId, Position, Row, SeriesId, SiteKey, SlotKey, SlotVersion, SlotView, Timestamp,
    Touched,
};
use crate::durable::{Consumer, Durable};
use crate::privacy::{Record, Subject};
use crate::view::{Fill, View};

/// A multiplicative generator: the seed is the whole story of a failure.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// Remaining 99 is filtered out; a slot leaves 30 minutes before its start. `word` stands for the mapping.
pub struct SlotMapping {
    pub word: &'static str,
}

pub const FILTERED: u32 = 99;
pub const CUTOFF_MS: i64 = 30 * MINUTE_MS;

impl RenderItem for SlotMapping {
    fn record(&self, subject: Subject<'_>, now: Timestamp) -> Result<Option<Record>, NotRendered> {
        let Subject::Slot(slot) = subject else { return Err(NotRendered { code: "not_a_slot" }) };
        if slot.remaining == FILTERED || slot.start.plus_ms(-CUTOFF_MS) <= now {
            return Ok(None);
        }
        // A paced slot shows only whether places remain; tens stand for its definition.
        let is_paced = self.pace_ms(subject).is_some();
        let places = if is_paced { slot.remaining / 10 * 10 + (slot.remaining % 10).min(1) } else { slot.remaining };
        let fields = vec![(Arc::from(self.word), json!(places))];
        Ok(Some(Record { id: Arc::from(format!("s-{}", slot.key)), fields }))
    }

    fn leaves_at(&self, subject: Subject<'_>) -> Option<Timestamp> {
        let Subject::Slot(slot) = subject else { return None };
        Some(slot.start.plus_ms(-CUTOFF_MS))
    }

    fn pace_ms(&self, subject: Subject<'_>) -> Option<u32> {
        let Subject::Slot(slot) = subject else { return None };
        (self.word == "paced" && slot.key.as_str().starts_with("small")).then_some(PACE_MS)
    }
}

pub const PACE_MS: u32 = 10_000;

pub fn partner(name: &str) -> PartnerId {
    PartnerId::new(name).unwrap()
}

pub fn plan(of: &str, word: &'static str) -> FeedPlan {
    FeedPlan {
        partner: partner(of),
        name: "slots".to_owned(),
        object: ObjectName::new("slot").unwrap(),
        item_kind: "slot".to_owned(),
        mapping_id: format!("{of}.slots"),
        mapping_version: 1,
        content_digest: word.to_owned(),
        tick_ms: 200,
        retention_days: 7,
        render: Arc::new(SlotMapping { word }),
        guard: None,
    }
}

/// State of one slot in the list: remaining and start; `None`: gone.
type State = Option<(u32, Timestamp)>;

/// The list of changes, and what a ledger would keep of it.
pub struct World {
    pub log: Vec<(Position, String, State)>,
    pub position: Position,
    pub incarnation: Incarnation,
    pub now: Timestamp,
    pub view: Arc<View>,
    fill: Fill,
    consumer: Option<Dirty>,
}

fn touched(key: &str, state: State, position: Position) -> Touched {
    let key = SlotKey::new(key).unwrap();
    let Some((remaining, start)) = state else { return Touched::SlotGone(key, position) };
    Touched::Slot(Arc::new(SlotView {
        key,
        site: SiteKey::new("1").unwrap(),
        series: SeriesId::new("covid19-1").unwrap(),
        start,
        version: SlotVersion(1),
        remaining,
        open: true,
        row: Arc::new(Row(Box::new([]))),
        position,
    }))
}

impl World {
    pub fn new() -> World {
        let view = Arc::new(View::default());
        World {
            log: Vec::new(),
            position: Position::ZERO,
            incarnation: Incarnation(7),
            now: Timestamp(480_000 * HOUR_MS),
            fill: Fill(view.clone()),
            view,
            consumer: None,
        }
    }

    /// One durable batch of these changes.
    pub fn commit(&mut self, changes: &[(String, State)]) {
        let first = self.position.next();
        let mut newest = BTreeMap::new();
        for (key, state) in changes {
            self.position = self.position.next();
            self.log.push((self.position, key.clone(), *state));
            newest.insert(key.clone(), (self.position, *state));
        }
        let mut touched: Vec<Touched> = newest.iter().map(|(key, (at, state))| touched(key, *state, *at)).collect();
        touched.sort_by_key(Touched::position);
        self.deliver(first, touched);
    }

    fn deliver(&mut self, first: Position, touched: Vec<Touched>) {
        let batch = Arc::new(Durable { first, last: self.position, at: self.now, touched, keys: Vec::new() });
        self.fill.durable(&batch);
        if let Some(consumer) = &mut self.consumer {
            consumer.durable(&batch);
        }
    }

    pub fn put(&mut self, key: &str, remaining: u32) {
        let start = self.now.plus_ms(100 * HOUR_MS);
        self.commit(&[(key.to_owned(), Some((remaining, start)))]);
    }

    pub fn remove(&mut self, key: &str) {
        self.commit(&[(key.to_owned(), None)]);
    }

    pub fn reserve(&mut self, count: u32) -> Position {
        let first = self.position.next();
        self.position = self.position.plus(u64::from(count));
        self.deliver(first, Vec::new());
        first
    }

    /// Newest state of every slot as of `up_to`, with its position.
    pub fn states(&self, up_to: Position) -> BTreeMap<String, (Position, State)> {
        let until = self.log.iter().take_while(|(at, _, _)| *at <= up_to);
        until.map(|(at, key, state)| (key.clone(), (*at, *state))).collect()
    }

    /// What a partner with `SlotMapping` must hold of everything up to `up_to`, seen at `now`.
    pub fn expected(&self, up_to: Position, now: Timestamp, word: &str) -> BTreeMap<String, String> {
        let states = self.states(up_to).into_iter();
        states
            .filter_map(|(key, (_, state))| {
                let (remaining, start) = state?;
                let shown = remaining != FILTERED && start.plus_ms(-CUTOFF_MS) > now;
                shown.then(|| (format!("s-{key}"), format!("{{\"{word}\":{remaining}}}")))
            })
            .collect()
    }

    /// The daemon starts: the view is what replay makes of the ledger, without the slots in `nulls`, whose last
    /// durable content the mirror had overwritten.
    pub fn open(&mut self, path: &std::path::Path, plans: Vec<FeedPlan>, nulls: &[String]) -> (Publisher, Arc<Feeds>) {
        self.view = Arc::new(View::default());
        self.fill = Fill(self.view.clone());
        self.consumer = None;
        let states = self.states(self.position).into_iter();
        let mut replayed: Vec<Touched> = states
            .filter(|(key, (_, state))| state.is_some() && !nulls.contains(key))
            .map(|(key, (at, state))| touched(&key, state, at))
            .collect();
        replayed.sort_by_key(Touched::position);
        self.deliver(Position(1), replayed);
        let settings = Settings { public_url: "https://bridge.example".to_owned(), ..Settings::default() };
        let opened = open(path, settings, plans, self.incarnation, self.position, self.view.clone()).unwrap();
        self.consumer = Some(opened.consumer);
        (opened.publisher, opened.feeds)
    }
}

/// Reserves in the world; `meanwhile` is committed behind the reservation, in the next batch.
pub struct Numbers {
    pub world: Arc<Mutex<World>>,
    pub meanwhile: Vec<Vec<(String, State)>>,
}

impl ReserveNumbers for Numbers {
    fn reserve(&mut self, count: u32) -> Result<Position, Stopped> {
        let mut world = self.world.lock().unwrap();
        if let Some(before) = self.meanwhile.pop() {
            world.commit(&before);
        }
        let first = world.reserve(count);
        if let Some(after) = self.meanwhile.pop() {
            world.commit(&after);
        }
        Ok(first)
    }
}

/// A world with a publisher over it.
pub struct Bridge {
    pub world: Arc<Mutex<World>>,
    pub publisher: Publisher,
    pub feeds: Arc<Feeds>,
    pub numbers: Numbers,
    pub path: PathBuf,
    _folder: Arc<tempfile::TempDir>,
}

impl Bridge {
    pub fn new(plans: Vec<FeedPlan>) -> Bridge {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        Bridge::over(World::new(), folder, plans, &[])
    }

    fn over(mut world: World, folder: Arc<tempfile::TempDir>, plans: Vec<FeedPlan>, nulls: &[String]) -> Bridge {
        let path = folder.path().join("feeds.db");
        let (publisher, feeds) = world.open(&path, plans, nulls);
        let world = Arc::new(Mutex::new(world));
        let numbers = Numbers { world: world.clone(), meanwhile: Vec::new() };
        Bridge { world, publisher, feeds, numbers, path, _folder: folder }
    }

    /// The process dies and starts again: what was not saved is lost.
    pub fn restart(self, plans: Vec<FeedPlan>, nulls: &[String]) -> Bridge {
        let Bridge { world, publisher, feeds, numbers, _folder, .. } = self;
        drop((publisher, feeds, numbers));
        let world = Arc::into_inner(world).unwrap().into_inner().unwrap();
        Bridge::over(world, _folder, plans, nulls)
    }

    pub fn world(&self) -> std::sync::MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// Ticks every feed `ms` later.
    pub fn tick_after(&mut self, ms: i64) {
        let now = {
            let mut world = self.world();
            world.now = world.now.plus_ms(ms);
            world.now
        };
        self.publisher.tick(now, &mut self.numbers).unwrap();
    }

    pub fn tick(&mut self) {
        self.tick_after(1_000);
    }

    /// What a partner must hold of everything up to `up_to`, now.
    pub fn expected(&self, up_to: Position, word: &str) -> BTreeMap<String, String> {
        let world = self.world();
        world.expected(up_to, world.now, word)
    }

    pub fn cursor(&self, of: &str) -> Position {
        self.feeds.feeds(&partner(of))[0].cursor
    }
}

/// A partner that follows `next` and keeps what it is told.
#[derive(Clone)]
pub struct Reader {
    of: PartnerId,
    pub held: BTreeMap<String, (u64, String)>,
    pub query: PageQuery,
}

impl Reader {
    pub fn new(of: &str, limit: u32) -> Reader {
        Reader {
            of: partner(of),
            held: BTreeMap::new(),
            query: PageQuery { after: None, limit: Some(limit), walk: None },
        }
    }

    /// Reads one page and moves on.
    pub fn step(&mut self, feeds: &Feeds) -> Result<Page, FeedError> {
        let page = feeds.page(&self.of, "slots", self.query)?;
        let body: serde_json::Value = serde_json::from_slice(&page.body).unwrap();
        let mut last = self.query.after.unwrap_or(0);
        for item in body["items"].as_array().unwrap() {
            let (id, number) = (item["id"].as_str().unwrap(), item["modified"].as_u64().unwrap());
            assert!(number > last, "numbers ascend");
            last = number;
            if item["state"] == "updated" {
                self.held.insert(id.to_owned(), (number, item["data"].to_string()));
            } else {
                assert!(item.get("data").is_none());
                self.held.remove(id);
            }
        }
        let next = body["next"].as_str().unwrap();
        assert_eq!(page.is_last, body["items"].as_array().unwrap().is_empty());
        self.query = parse(next);
        Ok(page)
    }

    /// Follows `next` to a last page; its cursor.
    pub fn follow(&mut self, feeds: &Feeds) -> Result<Position, FeedError> {
        for _ in 0..100_000 {
            let page = self.step(feeds)?;
            if page.is_last {
                return Ok(page.cursor);
            }
        }
        panic!("no last page");
    }

    pub fn data(&self) -> BTreeMap<String, String> {
        self.held.iter().map(|(id, (_, data))| (id.clone(), data.clone())).collect()
    }
}

/// The query of a `next`, whose parameters stand in fixed order.
pub fn parse(next: &str) -> PageQuery {
    let query = next.strip_prefix("https://bridge.example/v1/feeds/slots").unwrap();
    let mut read = PageQuery { after: None, limit: None, walk: None };
    for pair in query.trim_start_matches('?').split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap();
        match name {
            "afterChangeNumber" => read.after = Some(value.parse().unwrap()),
            "limit" => read.limit = Some(value.parse().unwrap()),
            "walk" => read.walk = Some(value.parse().unwrap()),
            other => panic!("unknown parameter {other}"),
        }
    }
    read
}
