//! What readers see: pages, snapshots and freshness out of memory. Never waits for the publisher's disk.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::sync::watch;

use super::api::{FeedError, FeedInfo, FeedSource, Freshness, Page, PageQuery, Snapshot};
use super::index::Index;
use super::plan::{FeedPlan, RETENTION_DAYS_MIN, Source};
use super::publisher::Settings;
use super::store::Row;
use crate::domain::{ObjectName, PartnerId, Position, Timestamp};
use crate::feed::{self, LIMIT_DEFAULT, LIMITS, PageUrl};
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

/// A feed that partners with the same content share.
pub(super) struct Feed {
    pub id: i64,
    pub source: Source,
    /// Whose polls say how fresh the feed is.
    pub object: ObjectName,
    pub item_kind: String,
    pub tick_ms: u32,
    /// Content digest as the store has it.
    pub digest: String,
    pub index: RwLock<Index>,
    pub moved: watch::Sender<Position>,
    /// Start of the newest poll whose changes are all published; 0 = not known.
    pub as_of: AtomicI64,
    pub halted: Mutex<Option<String>>,
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
            moved: watch::channel(index.marks.watermark).0,
            index: RwLock::new(index),
            as_of: AtomicI64::new(row.as_of.0),
            halted: Mutex::new(None),
            snapshots: Mutex::default(),
        }
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(super) fn halted(&self) -> MutexGuard<'_, Option<String>> {
        self.halted.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn page(&self, url: PageUrl<'_>, license: &str) -> Result<Page, FeedError> {
        let index = self.read();
        let marks = index.marks;
        if !index.visible {
            drop(index);
            return Ok(page_of(feed::render(url, Position::ZERO, &self.item_kind, license, &[]), Position::ZERO, true));
        }
        if feed::is_expired(url.after, url.walk, marks.horizon) {
            return Err(FeedError::CursorExpired);
        }
        let items = index.after(url.after, url.limit.unwrap_or(LIMIT_DEFAULT) as usize);
        drop(index);
        let cursor = items.last().map_or(marks.watermark, |item| item.number);
        let body = feed::render(url, marks.walk, &self.item_kind, license, &items);
        Ok(page_of(body, cursor, items.is_empty()))
    }

    /// The live items. The cursor moves only when items do, and is never behind the horizon.
    fn snapshot(&self) -> Result<Snapshot, FeedError> {
        let index = self.read();
        if !index.visible {
            return Err(FeedError::Store { cause: "the feed is being built".to_owned() });
        }
        let cursor = index.last_number().max(index.marks.horizon);
        if let Some(kept) = self.kept_snapshot(cursor) {
            return Ok(kept);
        }
        let items = index.live_items();
        drop(index);
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
    pub feed: Arc<Feed>,
    url: String,
}

/// By partner and name.
pub(super) type Readings = BTreeMap<(PartnerId, String), Arc<Reading>>;

/// Every feed of every partner.
pub struct Feeds {
    /// Replaced as a whole by a rebind: whoever reads has all of the old set or all of the new one.
    readings: ArcSwap<Readings>,
    view: Arc<View>,
    settings: Settings,
    pub stats: Arc<Stats>,
}

impl Feeds {
    pub(super) fn new(bound: Vec<(FeedPlan, Arc<Feed>)>, view: Arc<View>, settings: Settings) -> Feeds {
        let readings = ArcSwap::from_pointee(readings(bound, &settings));
        Feeds { readings, view, settings, stats: Arc::default() }
    }

    pub(super) fn readings(&self) -> Arc<Readings> {
        self.readings.load_full()
    }

    /// From now on partners read these. Whoever waits for a feed that is not read any more is woken.
    pub(super) fn show(&self, bound: Vec<(FeedPlan, Arc<Feed>)>) {
        let new = Arc::new(readings(bound, &self.settings));
        let old = self.readings.swap(new.clone());
        for (name, reading) in old.iter() {
            if let Some(now) = new.get(name).filter(|now| now.feed.id != reading.feed.id) {
                reading.feed.moved.send_replace(now.feed.read().marks.watermark);
            }
        }
    }

    /// Stops a feed at its last published state, with a reason; `None` lets it go on.
    pub fn set_halted(&self, partner: &PartnerId, feed: &str, reason: Option<String>) {
        if let Ok(reading) = self.reading(partner, feed) {
            *reading.feed.halted() = reason;
        }
    }

    fn reading(&self, partner: &PartnerId, feed: &str) -> Result<Arc<Reading>, FeedError> {
        self.readings.load().get(&(partner.clone(), feed.to_owned())).cloned().ok_or(FeedError::UnknownFeed)
    }
}

fn readings(bound: Vec<(FeedPlan, Arc<Feed>)>, settings: &Settings) -> Readings {
    let named = bound.into_iter().map(|(plan, feed)| {
        let url = format!("{}/v1/feeds/{}", settings.public_url.trim_end_matches('/'), plan.name);
        ((plan.partner.clone(), plan.name.clone()), Arc::new(Reading { plan, feed, url }))
    });
    named.collect()
}

impl FeedSource for Feeds {
    fn feeds(&self, partner: &PartnerId) -> Vec<FeedInfo> {
        let readings = self.readings.load();
        let of_partner = readings.iter().filter(|((owner, _), _)| owner == partner);
        of_partner
            .map(|((_, name), reading)| {
                let index = reading.feed.read();
                FeedInfo {
                    name: name.clone(),
                    cursor: if index.visible { index.marks.watermark } else { Position::ZERO },
                    items: if index.visible { index.live() } else { 0 },
                    mapping_id: reading.plan.mapping_id.clone(),
                    mapping_version: reading.plan.mapping_version,
                    content_digest: reading.feed.digest.clone(),
                    retention_days: reading.plan.retention_days.max(RETENTION_DAYS_MIN),
                    halted: reading.feed.halted().clone(),
                }
            })
            .collect()
    }

    fn page(&self, partner: &PartnerId, feed: &str, query: PageQuery) -> Result<Page, FeedError> {
        let reading = self.reading(partner, feed)?;
        let limit = query.limit.map(|limit| limit.min(LIMITS[LIMITS.len() - 1]));
        let url = PageUrl { feed: &reading.url, after: query.after, limit, walk: query.walk };
        reading.feed.page(url, &self.settings.license)
    }

    fn snapshot(&self, partner: &PartnerId, feed: &str) -> Result<Snapshot, FeedError> {
        self.reading(partner, feed)?.feed.snapshot()
    }

    fn snapshot_at(&self, partner: &PartnerId, feed: &str, cursor: Position) -> Result<Option<Snapshot>, FeedError> {
        Ok(self.reading(partner, feed)?.feed.kept_snapshot(cursor))
    }

    fn freshness(&self, partner: &PartnerId, feed: &str, now: Timestamp) -> Option<Freshness> {
        let reading = self.reading(partner, feed).ok()?;
        let feed = &reading.feed;
        let mark = self.view.mark_of(&feed.object);
        let mut as_of = feed.as_of.load(Ordering::Relaxed);
        let index = feed.read();
        if index.visible && index.marks.watermark >= mark.position {
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

    fn moved(&self, partner: &PartnerId, feed: &str) -> Option<watch::Receiver<Position>> {
        self.reading(partner, feed).ok().map(|reading| reading.feed.moved.subscribe())
    }
}

/// What a feed promises: an object that is polled more seldom than the bridge's promise is late by its pace as well.
fn promise_ms(slo_ms: u64, pace_ms: u64) -> u64 {
    if pace_ms > slo_ms { pace_ms.saturating_add(slo_ms) } else { slo_ms }
}
