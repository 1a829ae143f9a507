//! What readers see: pages, snapshots and freshness out of memory. Never waits for the publisher's disk.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::sync::watch;

use super::api::{FeedError, FeedInfo, FeedSource, Freshness, Page, PageQuery, Snapshot};
use super::fork::{Base, Look};
use super::hold::{Board, Gate, Held, Hold, HoldReason, Served, served};
use super::index::Index;
use super::jump::Jumps;
use super::plan::{FeedPlan, RETENTION_DAYS_MIN, Source};
use super::publisher::Settings;
use super::store::Row;
use crate::domain::{ObjectName, PartnerId, Position, Timestamp};
use crate::feed::{self, LIMIT_DEFAULT, LIMITS, PageUrl};
use crate::privacy::Guard;
use crate::view::View;

/// Snapshots kept a feed, so that one that a partner was sent to is still there when it arrives.
const SNAPSHOTS_KEPT: usize = 2;

/// Counters of the publisher, for telemetry.
#[derive(Debug, Default)]
pub struct Stats {
    pub ticks: AtomicU64,
    pub updated: AtomicU64,
    pub deleted: AtomicU64,
    /// Touched, and rendered to the same bytes.
    pub unchanged: AtomicU64,
    /// Rows that their mapping could not render; not published.
    pub not_rendered: AtomicU64,
    pub purged: AtomicU64,
    /// Positions set aside for changes without an entry.
    pub reserved: AtomicU64,
    pub store_failures: AtomicU64,
}

/// A feed that partners with the same content share, or what a held one of them reads instead.
pub(super) struct Feed {
    pub id: i64,
    pub source: Source,
    /// Whose polls say how fresh the feed is.
    pub object: ObjectName,
    pub item_kind: String,
    pub tick_ms: u32,
    /// Content digest as the store has it.
    pub digest: String,
    pub guard: Option<Arc<Guard>>,
    pub(super) jumps: Mutex<Jumps>,
    pub index: RwLock<Index>,
    pub moved: watch::Sender<Position>,
    /// Start of the newest poll whose changes are all published; 0 = not known.
    pub as_of: AtomicI64,
    /// Of a fork: the feed that it is the former state of.
    pub base: Option<Base>,
    snapshots: Mutex<VecDeque<Snapshot>>,
}

impl Feed {
    pub(super) fn new(row: &Row, digest: String, plan: &FeedPlan, index: Index) -> Feed {
        Feed {
            id: row.id,
            source: plan.source(),
            object: plan.object.clone(),
            item_kind: plan.item_kind.clone(),
            tick_ms: plan.tick_ms,
            digest,
            guard: plan.guard.clone(),
            jumps: Mutex::default(),
            moved: watch::channel(index.marks.watermark).0,
            index: RwLock::new(index),
            as_of: AtomicI64::new(row.as_of.0),
            base: None,
            snapshots: Mutex::default(),
        }
    }

    /// A feed of the same content with other items.
    pub(super) fn alike(&self, id: i64, index: Index) -> Feed {
        Feed {
            id,
            source: self.source.clone(),
            object: self.object.clone(),
            item_kind: self.item_kind.clone(),
            tick_ms: self.tick_ms,
            digest: self.digest.clone(),
            guard: self.guard.clone(),
            jumps: Mutex::default(),
            moved: watch::channel(index.marks.watermark).0,
            index: RwLock::new(index),
            as_of: AtomicI64::new(self.as_of.load(Ordering::Relaxed)),
            base: None,
            snapshots: Mutex::default(),
        }
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Everything that a reader may ask, as of one moment.
    pub(super) fn look(&self) -> Look<'_> {
        Look::at(self)
    }

    fn page(&self, url: PageUrl<'_>, license: &str) -> Result<Page, FeedError> {
        let look = self.look();
        let marks = look.marks();
        if !look.is_visible() {
            drop(look);
            return Ok(page_of(feed::render(url, Position::ZERO, &self.item_kind, license, &[]), Position::ZERO, true));
        }
        if feed::is_expired(url.after, url.walk, marks.horizon) {
            return Err(FeedError::CursorExpired);
        }
        let items = look.after(url.after, url.limit.unwrap_or(LIMIT_DEFAULT) as usize);
        drop(look);
        let cursor = items.last().map_or(marks.watermark, |item| item.number);
        let body = feed::render(url, marks.walk, &self.item_kind, license, &items);
        Ok(page_of(body, cursor, items.is_empty()))
    }

    /// The live items. The cursor moves only when items do, and is never behind the horizon.
    fn snapshot(&self) -> Result<Snapshot, FeedError> {
        let look = self.look();
        if !look.is_visible() {
            return Err(FeedError::Store { cause: "the feed is being built".to_owned() });
        }
        let cursor = look.last_number().max(look.marks().horizon);
        if let Some(kept) = self.kept_snapshot(cursor) {
            return Ok(kept);
        }
        let items = look.live_items();
        drop(look);
        let made = Snapshot { cursor, body: Bytes::from(feed::snapshot(&self.item_kind, &items)) };
        let mut kept = self.snapshots();
        if kept.len() == SNAPSHOTS_KEPT {
            kept.pop_front();
        }
        kept.push_back(made.clone());
        Ok(made)
    }

    fn kept_snapshot(&self, cursor: Position) -> Option<Snapshot> {
        self.snapshots().iter().find(|kept| kept.cursor == cursor).cloned()
    }

    fn snapshots(&self) -> MutexGuard<'_, VecDeque<Snapshot>> {
        self.snapshots.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn page_of(body: Vec<u8>, cursor: Position, is_last: bool) -> Page {
    let etag = feed::etag(&body);
    Page { body: Bytes::from(body), etag, cursor, is_last }
}

/// One partner's name for a feed.
pub(super) struct Reading {
    pub plan: FeedPlan,
    /// The feed that is published for it.
    pub home: Arc<Feed>,
    /// What it reads: its home, or a fork while it is held and others are not.
    now: RwLock<Arc<Feed>>,
    url: String,
}

/// By partner and name.
pub(super) type Readings = BTreeMap<Held, Arc<Reading>>;

impl Reading {
    pub(super) fn feed(&self) -> Arc<Feed> {
        self.now.read().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }
}

/// Every feed of every partner.
pub struct Feeds {
    /// Replaced as a whole by a rebind: whoever reads has all of the old set or all of the new one.
    readings: ArcSwap<Readings>,
    view: Arc<View>,
    settings: Settings,
    board: Board,
    pub stats: Arc<Stats>,
}

impl Feeds {
    pub(super) fn new(bound: Vec<(FeedPlan, Arc<Feed>)>, view: Arc<View>, settings: Settings) -> Feeds {
        let readings = ArcSwap::from_pointee(readings(bound, &settings, &Readings::new()));
        Feeds { readings, view, settings, board: Board::default(), stats: Arc::default() }
    }

    pub(super) fn readings(&self) -> Arc<Readings> {
        self.readings.load_full()
    }

    /// From now on partners read these. Whoever waits for a feed that is not read any more is woken.
    pub(super) fn show(&self, bound: Vec<(FeedPlan, Arc<Feed>)>) {
        let old = self.readings();
        let new = Arc::new(readings(bound, &self.settings, &old));
        self.readings.store(new.clone());
        for (name, reading) in old.iter() {
            if let Some(now) = new.get(name).filter(|now| now.home.id != reading.home.id) {
                reading.feed().moved.send_replace(now.home.read().marks.watermark);
            }
        }
    }

    /// Holds a partner's feed, or renews the hold. It takes effect before the feed's next build; whether anything is
    /// served counts from the next request on. A feed that is not bound (yet) can be held too.
    pub fn hold(&self, partner: &PartnerId, feed: &str, hold: Hold) {
        self.board.hold(partner, feed, hold);
    }

    /// Ends a hold of one reason. The feed goes on if it was the last one, and catches up with its next build.
    pub fn release(&self, partner: &PartnerId, feed: &str, reason: HoldReason) {
        self.board.release(partner, feed, reason);
    }

    /// Holds every feed that is made of the object, those included that are bound later.
    pub fn hold_object(&self, object: &ObjectName, hold: Hold) {
        self.board.hold_object(object, hold);
    }

    pub fn release_object(&self, object: &ObjectName, reason: HoldReason) {
        self.board.release_object(object, reason);
    }

    /// Every held feed and why, a reason at a time.
    pub fn held(&self) -> Vec<(Held, Vec<Hold>)> {
        let mut keys: Vec<Held> = self.readings().keys().cloned().chain(self.board.feeds()).collect();
        keys.sort();
        keys.dedup();
        let held = keys.into_iter().map(|(partner, feed)| {
            let holds = self.holds(&partner, &feed);
            ((partner, feed), holds)
        });
        held.filter(|(_, holds)| !holds.is_empty()).collect()
    }

    /// Asks the gate about every feed.
    pub(super) fn ask(&self, gate: &dyn Gate, now: Timestamp) {
        for (partner, feed) in self.readings().keys() {
            match gate.hold(partner, feed, now) {
                Some(hold) => self.board.hold(partner, feed, Hold { reason: HoldReason::Approval, ..hold }),
                None => self.board.release(partner, feed, HoldReason::Approval),
            }
        }
    }

    /// Readers of a feed of the store: those held, and the others.
    pub(super) fn readers(&self, feed: i64) -> (Vec<Held>, Vec<Held>) {
        let readings = self.readings();
        let of_feed = readings.iter().filter(|(_, reading)| reading.home.id == feed);
        of_feed.map(|(key, _)| key.clone()).partition(|(partner, name)| !self.holds(partner, name).is_empty())
    }

    /// From now on the reader reads `feed`.
    pub(super) fn turn(&self, reader: &Held, feed: Arc<Feed>) {
        if let Some(reading) = self.readings().get(reader) {
            *reading.now.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = feed;
        }
    }

    /// Refuses what is not served at all, and what is held before it was ever bound.
    fn refuse(&self, partner: &PartnerId, feed: &str) -> Result<(), FeedError> {
        let holds = self.holds(partner, feed);
        let Some(served) = served(&holds) else { return Ok(()) };
        let is_bound = self.reading(partner, feed).is_ok();
        match holds.iter().find(|hold| hold.served == served) {
            Some(hold) if served == Served::NotAtAll || !is_bound => Err(FeedError::Held { reason: hold.reason }),
            _ => Ok(()),
        }
    }

    /// The feed that is published for a reader, whatever it reads now.
    pub(super) fn home(&self, partner: &PartnerId, feed: &str) -> Option<Arc<Feed>> {
        self.reading(partner, feed).ok().map(|reading| reading.home.clone())
    }

    fn reading(&self, partner: &PartnerId, feed: &str) -> Result<Arc<Reading>, FeedError> {
        self.readings.load().get(&(partner.clone(), feed.to_owned())).cloned().ok_or(FeedError::UnknownFeed)
    }
}

/// A reader that stays at its home stays at what it reads of it.
fn readings(bound: Vec<(FeedPlan, Arc<Feed>)>, settings: &Settings, old: &Readings) -> Readings {
    let named = bound.into_iter().map(|(plan, home)| {
        let url = format!("{}/v1/feeds/{}", settings.public_url.trim_end_matches('/'), plan.name);
        let key = (plan.partner.clone(), plan.name.clone());
        let before = old.get(&key).filter(|before| before.home.id == home.id);
        let now = RwLock::new(before.map_or_else(|| home.clone(), |before| before.feed()));
        (key, Arc::new(Reading { plan, home, now, url }))
    });
    named.collect()
}

impl FeedSource for Feeds {
    fn feeds(&self, partner: &PartnerId) -> Vec<FeedInfo> {
        let readings = self.readings.load();
        let of_partner = readings.iter().filter(|((owner, _), _)| owner == partner);
        of_partner
            .map(|((_, name), reading)| {
                let feed = reading.feed();
                let look = feed.look();
                FeedInfo {
                    name: name.clone(),
                    cursor: if look.is_visible() { look.marks().watermark } else { Position::ZERO },
                    items: if look.is_visible() { look.live() } else { 0 },
                    mapping_id: reading.plan.mapping_id.clone(),
                    mapping_version: reading.plan.mapping_version,
                    content_digest: reading.home.digest.clone(),
                    retention_days: reading.plan.retention_days.max(RETENTION_DAYS_MIN),
                    holds: self.holds(partner, name),
                }
            })
            .collect()
    }

    fn page(&self, partner: &PartnerId, feed: &str, query: PageQuery) -> Result<Page, FeedError> {
        self.refuse(partner, feed)?;
        let reading = self.reading(partner, feed)?;
        let limit = query.limit.map(|limit| limit.min(LIMITS[LIMITS.len() - 1]));
        let url = PageUrl { feed: &reading.url, after: query.after, limit, walk: query.walk };
        reading.feed().page(url, &self.settings.license)
    }

    fn snapshot(&self, partner: &PartnerId, feed: &str) -> Result<Snapshot, FeedError> {
        self.refuse(partner, feed)?;
        self.reading(partner, feed)?.feed().snapshot()
    }

    fn snapshot_at(&self, partner: &PartnerId, feed: &str, cursor: Position) -> Result<Option<Snapshot>, FeedError> {
        self.refuse(partner, feed)?;
        Ok(self.reading(partner, feed)?.feed().kept_snapshot(cursor))
    }

    fn freshness(&self, partner: &PartnerId, feed: &str, now: Timestamp) -> Option<Freshness> {
        let is_held = !self.holds(partner, feed).is_empty();
        let feed = self.reading(partner, feed).ok()?.feed();
        let mark = self.view.mark_of(&feed.object);
        let mut as_of = feed.as_of.load(Ordering::Relaxed);
        let index = feed.read();
        // A held feed is as old as its last build, also where nothing has changed since.
        if !is_held && index.visible && index.marks.watermark >= mark.position {
            as_of = as_of.max(mark.started_at.0);
        }
        drop(index);
        (as_of > 0).then(|| Freshness {
            lag_ms: now.0.saturating_sub(as_of).max(0) as u64,
            slo_ms: promise_ms(self.settings.slo_ms, self.view.pace_of_ms(&feed.object)),
            as_of: Timestamp(as_of),
            full_age_s: (now.since_ms(mark.full_at).max(0) / 1_000) as u64,
        })
    }

    fn holds(&self, partner: &PartnerId, feed: &str) -> Vec<Hold> {
        let reading = self.reading(partner, feed).ok();
        self.board.of(partner, feed, reading.as_ref().map(|reading| &reading.plan.object))
    }

    fn moved(&self, partner: &PartnerId, feed: &str) -> Option<watch::Receiver<Position>> {
        self.reading(partner, feed).ok().map(|reading| reading.feed().moved.subscribe())
    }
}

/// What a feed promises: an object that is polled more seldom than the bridge's promise is late by its pace as well.
fn promise_ms(slo_ms: u64, pace_ms: u64) -> u64 {
    if pace_ms > slo_ms { pace_ms.saturating_add(slo_ms) } else { slo_ms }
}
