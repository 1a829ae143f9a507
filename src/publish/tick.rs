//! One tick of one feed: what is dirty in (w0, w1] becomes items, saved together with w1.
//!
//! A change that no entry caused (a slot leaves by time, a mapping changed, a row went while the daemon was down)
//! takes a number from a `Reserve` entry. Reserving moves the durable end, so what became dirty meanwhile joins the
//! same tick: were it left for the next, its numbers would lie below those just published.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use super::index::{Index, Marks};
use super::plan::Change;
use super::planner::{Planned, Planner};
use super::publisher::{PublishError, Publisher, ReserveNumbers, Stopped, count};
use super::store::{Due, Save};
use crate::decide::event::MAX_RESERVE;
use crate::domain::time::HOUR_MS;
use crate::domain::{Position, Timestamp, Touched};

/// Tombstones purged in one tick: 10,000 deletions take about 20 ms.
pub(super) const PURGE_MAX: usize = 10_000;

impl Publisher {
    /// Ticks every feed whose time has come. A feed's first tick compares what is published with everything that the
    /// view shows; so the first call must follow the word that capture has sent its NULL rows again.
    pub fn tick(&mut self, now: Timestamp, numbers: &mut dyn ReserveNumbers) -> Result<(), PublishError> {
        let gate = self.gate.clone();
        self.feeds.ask(&*gate, now);
        for at in 0..self.work.len() {
            self.work[at].going = self.part(at)?;
        }
        if self.work.iter().any(|work| !work.begun && work.going) {
            self.begin(now, numbers)?;
        }
        for at in 0..self.work.len() {
            let work = &mut self.work[at];
            if !work.begun || work.tick_at > now {
                continue;
            }
            work.tick_at = now.plus_ms(i64::from(work.feed.tick_ms));
            if work.going {
                self.tick_feed(at, now, numbers, None)?;
            }
        }
        Ok(())
    }

    /// When the next feed is due. One that was held from the start has no time of its own yet.
    pub fn next_tick(&self) -> Option<Timestamp> {
        self.work.iter().filter(|work| work.begun).map(|work| work.tick_at).min()
    }

    pub(super) fn begin(&mut self, now: Timestamp, numbers: &mut dyn ReserveNumbers) -> Result<(), PublishError> {
        let everything = self.view.everything();
        let shown = everything.last().map_or(Position::ZERO, Touched::position).max(self.view.durable());
        // the view may be a batch ahead: its positions must not pass the watermark
        if !self.inbox.wait_durable(shown) {
            return Err(Stopped.into());
        }
        for at in 0..self.work.len() {
            if !self.work[at].begun && self.work[at].going {
                // What was stopped has published nothing of it: the next begin compares everything again.
                if !self.tick_feed(at, now, numbers, Some(&everything))? {
                    continue;
                }
                self.work[at].begun = true;
                self.work[at].tick_at = now.plus_ms(i64::from(self.work[at].feed.tick_ms));
            }
        }
        Ok(())
    }

    /// Takes over what the committer left: everything up to `self.durable` is in the feeds' dirty maps afterwards.
    pub(super) fn drain(&mut self) {
        let taken = self.inbox.take();
        self.durable = taken.durable;
        for touched in taken.touched {
            for work in &mut self.work {
                if let Some(key) = work.feed.source.key(&touched) {
                    work.dirty.insert(key, touched.clone());
                }
            }
        }
    }

    /// False where something was stopped: nothing was published, and the feed is held.
    fn tick_feed(
        &mut self,
        at: usize,
        now: Timestamp,
        numbers: &mut dyn ReserveNumbers,
        everything: Option<&[Touched]>,
    ) -> Result<bool, PublishError> {
        count(&self.stats.ticks, 1);
        let mut planned = Planned::default();
        self.drain();
        let done = self.plan(at, now, numbers, everything, &mut planned).and_then(|()| match planned.stop.take() {
            Some(stop) => {
                self.stop(at, now, &stop);
                Ok(false)
            }
            None => self.save_and_show(at, now, &mut planned).map(|()| true),
        });
        let work = &mut self.work[at];
        match &done {
            Ok(true) => {
                for key in &planned.settled {
                    work.held.remove(key);
                }
                work.held.extend(planned.held);
                work.ticked_at = now;
            }
            Ok(false) | Err(_) => {
                for (key, touched) in planned.used {
                    work.dirty.entry(key).or_insert(touched);
                }
            }
        }
        done
    }

    /// Decides what changes and under which numbers, from what was drained.
    pub(super) fn plan(
        &mut self,
        at: usize,
        now: Timestamp,
        numbers: &mut dyn ReserveNumbers,
        everything: Option<&[Touched]>,
        planned: &mut Planned,
    ) -> Result<(), PublishError> {
        if let Some(everything) = everything {
            let work = &self.work[at];
            let index = work.feed.read();
            let (feed, render, due) = (&*work.feed, &*work.render, work.due);
            let (ticked_at, stats) = (work.ticked_at, &*self.stats);
            let mut planner = Planner { feed, render, index: &index, due, now, ticked_at, stats, planned };
            planner.everything(everything, &work.dirty);
        }
        self.plan_dirty(at, now, planned);
        loop {
            self.watch_rows(at, now, planned);
            if planned.stop.is_some() {
                return Ok(());
            }
            planned.unshare_numbers();
            let bare = planned.changes.values_mut().filter(|change| change.number.is_none());
            let bare: Vec<&mut Change> = bare.take(MAX_RESERVE as usize).collect();
            if bare.is_empty() {
                return Ok(());
            }
            let wanted = bare.len();
            let first = numbers.reserve(wanted as u32)?;
            for (change, n) in bare.into_iter().zip(0..) {
                change.number = Some(first.plus(n));
            }
            count(&self.stats.reserved, wanted);
            if !self.inbox.wait_durable(first.plus(wanted as u64 - 1)) {
                return Err(Stopped.into());
            }
            self.drain();
            self.plan_dirty(at, now, planned);
        }
    }

    /// Plans what is dirty and what leaves.
    fn plan_dirty(&mut self, at: usize, now: Timestamp, planned: &mut Planned) {
        let work = &mut self.work[at];
        let dirty = std::mem::take(&mut work.dirty);
        let index = work.feed.read();
        let (feed, render, due) = (&*work.feed, &*work.render, work.due);
        let (ticked_at, stats) = (work.ticked_at, &*self.stats);
        let mut planner = Planner { feed, render, index: &index, due, now, ticked_at, stats, planned };
        planner.dirty(dirty);
        planner.held(&work.held);
        planner.leaving();
    }

    fn save_and_show(&mut self, at: usize, now: Timestamp, planned: &mut Planned) -> Result<(), PublishError> {
        let net = planned.net(&self.work[at].feed.read(), now);
        let saved = self.save(at, now, planned)?;
        self.account(at, now, net);
        let Some(saved) = saved else { return Ok(()) };
        self.show(at, now, planned, saved);
        Ok(())
    }

    /// Makes the tick durable; `None`: there is nothing to do. Readers see nothing of it yet.
    pub(super) fn save(
        &mut self,
        at: usize,
        now: Timestamp,
        planned: &mut Planned,
    ) -> Result<Option<Saved>, PublishError> {
        let work = &self.work[at];
        let mark = self.view.mark_of(&work.feed.object);
        let mut as_of = Timestamp(work.feed.as_of.load(Ordering::Relaxed));
        if mark.position <= self.durable {
            as_of = as_of.max(mark.started_at);
        }
        let index = work.feed.read();
        let changes = planned.numbered();
        let purged = purgeable(&index, &changes, now, work.retention_ms);
        let marks = moved(index.marks, work.due, self.durable, &purged, now);
        if changes.is_empty() && purged.is_empty() && planned.leaves.is_empty() && marks == index.marks {
            work.feed.as_of.store(as_of.0, Ordering::Relaxed);
            if work.due == Due::Resume {
                return Ok(None);
            }
        }
        let replaced: Vec<Position> =
            changes.iter().filter_map(|(_, change)| Some(index.of_key(&change.key)?.item.number)).collect();
        drop(index);
        let forks: Vec<(i64, Position)> =
            work.forks.iter().map(|(_, fork)| (fork.id, fork.read().marks.watermark)).collect();
        let (feed, forks, replaced) = (work.feed.id, &*forks, &*replaced);
        let save = Save { feed, forks, changes: &changes, replaced, purged: &purged, marks, as_of, at: now };
        self.store.save(&save)?;
        Ok(Some(Saved { changes, purged, marks, as_of }))
    }

    /// Lets readers see what is durable, and wakes them.
    pub(super) fn show(&mut self, at: usize, now: Timestamp, planned: &mut Planned, saved: Saved) {
        let work = &mut self.work[at];
        work.due = Due::Resume;
        let deleted = saved.changes.iter().filter(|(_, change)| change.data.is_none()).count();
        count(&self.stats.deleted, deleted);
        count(&self.stats.updated, saved.changes.len() - deleted);
        count(&self.stats.purged, saved.purged.len());
        let mut index = work.feed.write();
        for (_, fork) in &work.forks {
            fork.keep(&index, &saved.changes, &saved.purged);
        }
        index.purge(&saved.purged);
        index.apply(saved.changes, now);
        for (key, leaves_at) in planned.leaves.drain() {
            index.set_leaves_at(&key, leaves_at);
        }
        index.marks = saved.marks;
        index.visible = true;
        drop(index);
        work.feed.as_of.store(saved.as_of.0, Ordering::Relaxed);
        work.feed.moved.send_replace(saved.marks.watermark);
    }
}

/// What a tick made durable.
pub(super) struct Saved {
    changes: Vec<(Position, Change)>,
    purged: Vec<Position>,
    marks: Marks,
    as_of: Timestamp,
}

/// Tombstones past their retention. None above the walk mark: a walk that begins now can then never fall behind the
/// horizon by what is purged before the next full hour.
fn purgeable(index: &Index, changes: &[(Position, Change)], now: Timestamp, retention_ms: i64) -> Vec<Position> {
    let changed: HashSet<&str> = changes.iter().map(|(_, change)| &*change.key).collect();
    let old = index.tombstones_before(now.plus_ms(-retention_ms), PURGE_MAX);
    old.into_iter()
        .filter(|number| *number <= index.marks.walk)
        .filter(|number| index.of_number(*number).is_some_and(|shown| !changed.contains(&*shown.key)))
        .collect()
}

/// The marks after a tick that ends at `durable`.
fn moved(old: Marks, due: Due, durable: Position, purged: &[Position], now: Timestamp) -> Marks {
    let hour = now.0.div_euclid(HOUR_MS);
    let horizon = purged.iter().copied().max().unwrap_or_default().max(old.horizon);
    let (horizon, walk) = match due {
        // a cursor from before this store was made may miss deletions that it never held
        Due::First => (durable, durable),
        Due::Republish => (horizon, durable),
        Due::Resume | Due::Compare if hour > old.walk_hour => (horizon, old.watermark),
        Due::Resume | Due::Compare => (horizon, old.walk),
    };
    Marks { watermark: durable, horizon, walk, walk_hour: hour.max(old.walk_hour) }
}
