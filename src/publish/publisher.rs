//! The publisher's state, how it is opened, and its port for positions.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::attach::attach;
use super::feeds::{Feed, Feeds, Stats};
use super::hold::{Gate, Held, OpenGate};
use super::inbox::{Control, Dirty, Inbox};
use super::plan::{FeedPlan, RenderItem};
use super::store::{Due, Store, StoreError};
use crate::decide::Event;
use crate::domain::{Incarnation, Position, Timestamp, Touched};
use crate::durable::Answer;
use crate::intake::Intake;
use crate::view::View;

#[derive(Debug, Clone)]
pub struct Settings {
    /// Base of every `next`, without a path.
    pub public_url: String,
    /// `license` of every page, a URL.
    pub license: String,
    /// Freshness that partners are promised. 1 s: five ticks of 200 ms.
    pub slo_ms: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            public_url: "http://127.0.0.1:8080".to_owned(),
            license: "https://creativecommons.org/licenses/by/4.0/".to_owned(),
            slo_ms: 1_000,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another ledger, or one that lost its end. Publishing would reuse numbers that partners have seen.
    #[error(
        "the feed store was published up to {feeds}, the ledger ends at {ledger}: restore the ledger, or remove the feed store"
    )]
    AheadOfLedger { feeds: Position, ledger: Position },
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// The log names rule and field.
    #[error("a runtime guard stopped what the new mappings would publish; the log says which")]
    Guarded,
}

impl PublishError {
    pub fn code(&self) -> &'static str {
        match self {
            PublishError::Store(_) => "feed_store_failed",
            PublishError::AheadOfLedger { .. } => "feed_store_ahead_of_ledger",
            PublishError::Stopped(_) => "stopped",
            PublishError::Guarded => "guarded",
        }
    }
}

/// The desk or the publisher is stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bridge is stopping")]
pub struct Stopped;

/// Sets positions aside. Called on the publisher's thread; waits until they are durable.
pub trait ReserveNumbers: Send {
    /// The first of `count` consecutive positions, at most `MAX_RESERVE`.
    fn reserve(&mut self, count: u32) -> Result<Position, Stopped>;
}

impl ReserveNumbers for Intake {
    fn reserve(&mut self, count: u32) -> Result<Position, Stopped> {
        match self.submit_blocking(Event::Reserve { ticket: 0, count }) {
            Ok(Answer::Reserved { first, .. }) => Ok(first),
            Ok(_) | Err(_) => Err(Stopped),
        }
    }
}

/// A feed and what the next tick owes it.
pub(super) struct Work {
    pub feed: Arc<Feed>,
    pub render: Arc<dyn RenderItem>,
    /// How long tombstones stay.
    pub retention_ms: i64,
    pub due: Due,
    pub dirty: HashMap<Arc<str>, Touched>,
    /// Changed subjects whose slower pace is not up yet.
    pub held: HashMap<Arc<str>, Touched>,
    /// When it ticked last; a pace is up when a multiple of it lies in between.
    pub ticked_at: Timestamp,
    pub tick_at: Timestamp,
    /// Was compared with the view since the start.
    pub begun: bool,
    /// Is it new, and its object's first full cut not published yet?
    pub filling: bool,
    /// Somebody who is not held reads it.
    pub going: bool,
    /// Held readers that read it as it was, while others go on.
    pub forks: Vec<(Held, Arc<Feed>)>,
}

impl Work {
    pub(super) fn new(feed: Arc<Feed>, plan: &FeedPlan, due: Due) -> Work {
        let tick_at = Timestamp(i64::MIN);
        Work {
            feed,
            render: plan.render.clone(),
            retention_ms: plan.retention_ms(),
            due,
            dirty: HashMap::new(),
            held: HashMap::new(),
            ticked_at: tick_at,
            tick_at,
            begun: false,
            filling: due == Due::First,
            going: false,
            forks: Vec::new(),
        }
    }
}

/// Publishes every feed. One owner, one thread.
pub struct Publisher {
    pub(super) store: Store,
    pub(super) work: Vec<Work>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) view: Arc<View>,
    pub(super) feeds: Arc<Feeds>,
    pub(super) gate: Arc<dyn Gate>,
    pub(super) stats: Arc<Stats>,
    /// End of the last batch that was taken from the inbox.
    pub(super) durable: Position,
}

impl Publisher {
    /// Asks `gate` from now on, and once at once: what may not be served is not served before the first build either.
    pub fn guarded_by(&mut self, gate: Arc<dyn Gate>, now: Timestamp) {
        self.feeds.ask(&*gate, now);
        self.gate = gate;
    }

    pub(super) fn count_failure(&self) {
        count(&self.stats.store_failures, 1);
    }
}

/// The parts of an opened publisher.
pub struct Opened {
    pub publisher: Publisher,
    /// To be given to the committer before it runs.
    pub consumer: Dirty,
    pub control: Control,
    pub feeds: Arc<Feeds>,
}

/// Opens the store at `path` and binds it to the plans. `durable`: end of the replayed ledger, which the view shows.
/// What was published is readable at once; nothing new is published before `Control::ready`.
pub fn open(
    path: &Path,
    settings: Settings,
    plans: Vec<FeedPlan>,
    incarnation: Incarnation,
    durable: Position,
    view: Arc<View>,
) -> Result<Opened, PublishError> {
    let mut store = Store::open(path)?;
    let ids = attach(&mut store, &plans, incarnation)?;
    let mut shared: HashMap<i64, Arc<Feed>> = HashMap::new();
    let mut work = Vec::new();
    let mut bound = Vec::new();
    for (plan, id) in plans.into_iter().zip(ids) {
        if let Some(feed) = shared.get(&id) {
            bound.push((plan, feed.clone()));
            continue;
        }
        let row = store.row(id)?;
        if row.marks.watermark > durable {
            return Err(PublishError::AheadOfLedger { feeds: row.marks.watermark, ledger: durable });
        }
        let feed = Arc::new(Feed::new(&row, store.digest(id)?, &plan, store.load(&row)?));
        shared.insert(id, feed.clone());
        if !plan.is_kept() {
            let due = checked(&feed, &plan, row.due);
            work.push(Work::new(feed.clone(), &plan, due));
        }
        bound.push((plan, feed));
    }
    let inbox = Arc::new(Inbox::new(durable));
    let feeds = Arc::new(Feeds::new(bound, view.clone(), settings));
    let stats = feeds.stats.clone();
    let gate = Arc::new(OpenGate);
    let mut publisher =
        Publisher { store, work, inbox: inbox.clone(), view, feeds: feeds.clone(), gate, stats, durable };
    publisher.find_forks()?;
    Ok(Opened { publisher, consumer: Dirty(inbox.clone()), control: Control(inbox), feeds })
}

/// Published bytes that are not as approved are not shown: they are rendered anew, as after a change of the mapping.
fn checked(feed: &Feed, plan: &FeedPlan, due: Due) -> Due {
    match feed.is_as_approved() {
        Err(hit) if due == Due::Resume => {
            let (partner, name) = (plan.partner.as_str(), &*plan.name);
            tracing::error!(partner, feed = name, %hit, "the feed store does not hold what was approved; it is rendered anew");
            feed.write().visible = false;
            Due::Compare
        }
        _ => due,
    }
}

pub(super) fn count(counter: &AtomicU64, by: usize) {
    counter.fetch_add(by as u64, Ordering::Relaxed);
}
