//! What holds a feed from inside a build: a guard's hit, and a row jump that nobody has confirmed.
//!
//! A stopped build publishes nothing, not even what was in order: half of a broken cut is no better than all of it. What
//! it would have used waits, and is planned again by the first build after the hold.

use std::sync::PoisonError;

use super::api::FeedSource;
use super::feeds::{Feed, Feeds};
use super::hold::{Hold, HoldReason, Served};
use super::jump::{Jump, Jumps};
use super::plan::Source;
use super::planner::{Planned, Stop};
use super::publisher::Publisher;
use super::store::Due;
use crate::domain::{PartnerId, Timestamp};
use crate::privacy::{GuardRule, Hit};

impl Publisher {
    /// Asks whether so many rows may come or go.
    pub(super) fn watch_rows(&mut self, at: usize, now: Timestamp, planned: &mut Planned) {
        let work = &self.work[at];
        let Some(guard) = &work.feed.guard else { return };
        let is_watched = !work.filling && work.due == Due::Resume && !matches!(work.feed.source, Source::BookingsOf(_));
        if !is_watched || planned.stop.is_some() {
            return;
        }
        let index = work.feed.read();
        let (live, net) = (index.live(), planned.net(&index, now));
        drop(index);
        if let Err(jump) = work.feed.jumps().judge(guard.limits(), live, net, now) {
            planned.stop = Some(Stop::Jump(jump));
        }
    }

    /// After a build was saved. Rows before the end of a first fill, and those of a changed mapping, begin the account.
    pub(super) fn account(&mut self, at: usize, now: Timestamp, net: i64) {
        let mark = self.view.mark_of(&self.work[at].feed.object);
        let work = &mut self.work[at];
        if work.filling || work.due != Due::Resume {
            work.feed.jumps().begin();
        } else {
            work.feed.jumps().published(net, now);
        }
        let is_whole = mark.full_at > Timestamp::default() && mark.position <= self.durable;
        work.filling = (work.filling || work.due == Due::First) && !is_whole;
    }

    /// Holds the feed for everybody who reads it.
    pub(super) fn stop(&mut self, at: usize, now: Timestamp, stop: &Stop) {
        let (reason, text) = match stop {
            Stop::Guard(hit) => (HoldReason::Guard, hit.to_string()),
            Stop::Jump(jump) => (HoldReason::RowJump, asked(*jump)),
        };
        let (held, free) = self.feeds.readers(self.work[at].feed.id);
        if held.is_empty() && free.is_empty() {
            tracing::error!(feed = %self.work[at].feed.object, why = text, "a feed that is being made anew is stopped");
        }
        for (partner, feed) in held.iter().chain(&free) {
            let hold = Hold { reason, text: text.clone(), since: now, served: Served::LastState };
            self.feeds.hold(partner, feed, hold);
        }
    }
}

fn asked(jump: Jump) -> String {
    let Jump { before, after } = jump;
    format!(
        "{}: {before} rows an hour ago, {after} now; `slotbridge feed confirm` says that this is right",
        GuardRule::RowJump.id()
    )
}

impl Feed {
    pub(super) fn jumps(&self) -> std::sync::MutexGuard<'_, Jumps> {
        self.jumps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Is what was read back from the store what was approved? Its file lies open to whoever may write it.
    pub(super) fn is_as_approved(&self) -> Result<(), Hit> {
        let Some(guard) = &self.guard else { return Ok(()) };
        let index = self.read();
        let mut data = index.all().filter_map(|shown| shown.item.data.as_deref());
        data.try_for_each(|data| guard.item(data))
    }
}

impl Feeds {
    /// The rows that a feed was held for are right: it goes on, for all who read it. `None`: nothing was asked.
    pub fn confirm(&self, partner: &PartnerId, feed: &str) -> Option<Jump> {
        let home = self.home(partner, feed)?;
        let jump = home.jumps().confirm()?;
        self.release_all(home.id, HoldReason::RowJump);
        Some(jump)
    }

    /// Has a feed built again that a guard stopped. What still must not leave stops it again. `false`: none did.
    pub fn retry(&self, partner: &PartnerId, feed: &str) -> bool {
        let is_stopped = self.holds(partner, feed).iter().any(|hold| hold.reason == HoldReason::Guard);
        let home = self.home(partner, feed).filter(|_| is_stopped);
        if let Some(home) = &home {
            self.release_all(home.id, HoldReason::Guard);
        }
        home.is_some()
    }

    fn release_all(&self, feed: i64, reason: HoldReason) {
        let (held, _) = self.readers(feed);
        for (partner, name) in &held {
            self.release(partner, name, reason);
        }
    }
}
