//! New plans for a running publisher: all at once or not at all, while partners go on reading.
//!
//! A feed whose content digest stays is the same feed. Any other is made beside the old one: its readers' items are
//! carried over, everything is compared and numbered by one `Reserve` entry (of at most `MAX_RESERVE`), and saved; meanwhile readers see
//! the old feed, unmoved. Then the store's readers and the readings in memory move together. A reader's cursor stays
//! good, because what changed has a higher number than anything it was shown, and what is gone is a tombstone.
//!
//! Done on the publisher's thread, so that no tick sees half of it. The cost: other feeds stand still meanwhile.
//! What holds is not asked: a held feed that is made anew is built once, so that its readers are not left with nothing;
//! whose mapping is not in force is `kept`.
//!
//! A crash before the move leaves feeds without readers, which the next start drops.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rusqlite::params;

use super::attach::{FeedKey, carry, drop_unread, insert, keep, key_of};
use super::feeds::Feed;
use super::hold::Held;
use super::plan::FeedPlan;
use super::publisher::{PublishError, Publisher, ReserveNumbers, Work};
use super::store::{Due, StoreError};
use crate::domain::Timestamp;

/// What a rebind did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rebound {
    /// Feeds that were made.
    pub made: usize,
    /// Items shown anew or gone, all feeds together.
    pub changed: u64,
    /// Positions set aside for them.
    pub reserved: u64,
}

/// Why nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRebound {
    #[error("rows known before the restart are still being sent to the desk; try again when `/readyz` says so")]
    NotReady,
    #[error("the feeds are being changed already")]
    Busy,
    #[error("the bridge is stopping")]
    Stopped,
    #[error("the feeds could not be built: {cause}")]
    Failed { code: &'static str, cause: String },
}

impl NotRebound {
    pub fn code(&self) -> &'static str {
        match self {
            NotRebound::NotReady => "not_ready",
            NotRebound::Busy => "busy",
            NotRebound::Stopped => "stopped",
            NotRebound::Failed { code, .. } => code,
        }
    }
}

impl From<PublishError> for NotRebound {
    fn from(error: PublishError) -> NotRebound {
        match error {
            PublishError::Stopped(_) => NotRebound::Stopped,
            error => NotRebound::Failed { code: error.code(), cause: error.to_string() },
        }
    }
}

/// Where a plan's reader goes.
#[derive(Clone, Copy)]
enum Place {
    /// To a feed that runs, or that is kept.
    Same(i64),
    /// To a feed of the store that was made now.
    Made(i64),
}

impl Place {
    fn id(self) -> i64 {
        match self {
            Place::Same(id) | Place::Made(id) => id,
        }
    }
}

impl Publisher {
    /// Publishes by `plans` and by no others from now on.
    pub(super) fn rebind(
        &mut self,
        plans: Vec<FeedPlan>,
        now: Timestamp,
        numbers: &mut dyn ReserveNumbers,
    ) -> Result<Rebound, NotRebound> {
        let count = |stats: &super::Stats| {
            let of = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
            (of(&stats.updated) + of(&stats.deleted), of(&stats.reserved))
        };
        let before = count(&self.stats);
        let places = self.place(&plans).map_err(PublishError::from)?;
        let running = self.work.len();
        let done = self.build(&plans, &places, now, numbers).and_then(|bound| {
            self.move_readers(&bound)?;
            Ok(bound)
        });
        match done {
            Ok(bound) => {
                self.finish(bound);
                let after = count(&self.stats);
                let made = places.iter().filter(|place| matches!(place, Place::Made(_))).map(|place| place.id());
                let made = made.collect::<BTreeSet<i64>>().len();
                Ok(Rebound { made, changed: after.0 - before.0, reserved: after.1 - before.1 })
            }
            Err(error) => {
                self.work.truncate(running);
                if let Err(error) = self.drop_unread() {
                    tracing::warn!(%error, "feeds that nobody reads are left in the store until the next start");
                }
                Err(error.into())
            }
        }
    }

    /// A place in the store for every plan, in one transaction. Nobody reads what is made.
    fn place(&mut self, plans: &[FeedPlan]) -> Result<Vec<Place>, StoreError> {
        self.drop_unread()?;
        let readings = self.feeds.readings();
        let current = |plan: &FeedPlan| readings.get(&(plan.partner.clone(), plan.name.clone()));
        let stays = |plan: &FeedPlan| current(plan).filter(|r| r.home.digest == plan.content_digest).map(|r| r.home.id);
        let live = || plans.iter().filter(|plan| !plan.is_kept());
        let mut groups: BTreeMap<FeedKey, BTreeSet<i64>> = BTreeMap::new();
        for plan in live().filter(|plan| stays(plan).is_none()) {
            groups.entry(key_of(plan)).or_default().extend(current(plan).map(|reading| reading.home.id));
        }
        let tx = self.store.db.transaction()?;
        let mut made = BTreeMap::new();
        for (key, sources) in &groups {
            made.insert(key.clone(), make(&tx, key, sources)?);
        }
        let mut places = Vec::new();
        for plan in plans {
            places.push(match stays(plan) {
                Some(id) => Place::Same(id),
                None if plan.is_kept() => {
                    let own = current(plan).map(|reading| reading.home.id);
                    let kept = keep(&tx, &key_of(plan), &own.into_iter().collect())?;
                    if own == Some(kept) { Place::Same(kept) } else { Place::Made(kept) }
                }
                None => Place::Made(made[&key_of(plan)]),
            });
        }
        tx.commit()?;
        Ok(places)
    }

    /// Builds what is new to its first complete state, durable and unseen.
    fn build(
        &mut self,
        plans: &[FeedPlan],
        places: &[Place],
        now: Timestamp,
        numbers: &mut dyn ReserveNumbers,
    ) -> Result<Vec<(FeedPlan, Arc<Feed>)>, PublishError> {
        let (readings, running) = (self.feeds.readings(), self.work.len());
        let mut feeds: BTreeMap<i64, Arc<Feed>> =
            readings.values().map(|reading| (reading.home.id, reading.home.clone())).collect();
        // A plan that is rendered comes before one that is kept at the same feed.
        let mut order: Vec<usize> = (0..plans.len()).collect();
        order.sort_by_key(|at| plans[*at].is_kept());
        for (plan, place) in order.iter().map(|at| (&plans[*at], places[*at])) {
            let id = place.id();
            if let std::collections::btree_map::Entry::Vacant(vacant) = feeds.entry(id) {
                let row = self.store.row(id)?;
                let feed = Feed::new(&row, self.store.digest(id)?, plan, self.store.load(&row)?);
                vacant.insert(Arc::new(feed));
            }
            if !plan.is_kept() && !self.work.iter().any(|work| work.feed.id == id) {
                let due = self.store.row(id)?.due;
                let mut work = Work::new(feeds[&id].clone(), plan, due);
                // Built once whatever holds: nobody may be left with a feed that shows nothing.
                work.going = true;
                let forked = readings.iter().filter(|(_, reading)| reading.home.id == id && reading.feed().id != id);
                work.forks = forked.map(|(reader, reading)| (reader.clone(), reading.feed())).collect();
                self.work.push(work);
            }
        }
        if self.work.iter().any(|work| !work.begun && work.going) {
            self.begin(now, numbers)?;
        }
        if self.work[running..].iter().any(|work| !work.begun) {
            return Err(PublishError::Guarded);
        }
        Ok(plans.iter().zip(places).map(|(plan, place)| (plan.clone(), feeds[&place.id()].clone())).collect())
    }

    /// The store's readers, and with them what is left of feeds that nobody reads any more.
    fn move_readers(&mut self, bound: &[(FeedPlan, Arc<Feed>)]) -> Result<(), PublishError> {
        let tx = self.store.db.transaction().map_err(StoreError::from)?;
        tx.execute("DELETE FROM reader", []).map_err(StoreError::from)?;
        for (plan, feed) in bound {
            let values = params![plan.partner.as_str(), plan.name, feed.id];
            let text = "INSERT INTO reader (partner, name, feed) VALUES (?1, ?2, ?3)";
            tx.execute(text, values).map_err(StoreError::from)?;
        }
        Ok(tx.commit().map_err(StoreError::from)?)
    }

    /// Nothing fails from here on: the store has moved.
    fn finish(&mut self, bound: Vec<(FeedPlan, Arc<Feed>)>) {
        self.work.retain(|work| bound.iter().any(|(plan, feed)| feed.id == work.feed.id && !plan.is_kept()));
        for work in &mut self.work {
            if let Some((plan, _)) = bound.iter().find(|(plan, feed)| feed.id == work.feed.id && !plan.is_kept()) {
                (work.render, work.retention_ms) = (plan.render.clone(), plan.retention_ms());
            }
            let id = work.feed.id;
            let stays = |(partner, name): &Held| {
                bound.iter().any(|(plan, feed)| feed.id == id && plan.partner == *partner && plan.name == *name)
            };
            work.forks.retain(|(reader, _)| stays(reader));
        }
        self.feeds.show(bound);
        if let Err(error) = self.drop_unread() {
            tracing::warn!(%error, "feeds that nobody reads are left in the store until the next start");
        }
    }

    fn drop_unread(&mut self) -> Result<(), StoreError> {
        let tx = self.store.db.transaction()?;
        drop_unread(&tx)?;
        Ok(tx.commit()?)
    }
}

/// A feed of its own for the key, with what its readers-to-be hold. A feed that runs under the same key stays apart,
/// because its readers' numbers must not move; the next start makes one of both.
fn make(tx: &rusqlite::Transaction<'_>, key: &FeedKey, sources: &BTreeSet<i64>) -> Result<i64, StoreError> {
    let (name, digest, owner) = key;
    let text = "SELECT count(*), (SELECT max(id) FROM feed) FROM feed WHERE name = ?1 AND digest = ?2 AND owner = ?3";
    let (known, newest): (i64, Option<i64>) =
        tx.query_row(text, [name, digest, owner], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let apart = if known == 0 { owner.clone() } else { format!("{owner}+{}", newest.unwrap_or_default()) };
    let id = insert(tx, &(name.clone(), digest.clone(), apart))?;
    for source in sources {
        carry(tx, *source, id)?;
    }
    let due = match sources.len() {
        0 => Due::First,
        1 => Due::Compare,
        _ => Due::Republish,
    };
    tx.execute("UPDATE feed SET due = ?2 WHERE id = ?1", params![id, due.code()])?;
    Ok(id)
}
