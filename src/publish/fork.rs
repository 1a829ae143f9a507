//! A shared feed as it was for one partner that is held, while it goes on for the others.
//!
//! Partners with the same content read one feed of the store, but approvals are each partner's own. When one of them
//! is held, its reading turns to a fork: the state at the fork's watermark, which is what the feed still holds up to
//! there and what ticks have taken away since. On release the reading turns back; everything that changed has a
//! higher number than any cursor into the fork, so following `next` catches up with all of it and nothing twice.
//!
//! Invariants: a fork never changes as seen from outside; what a tick takes away from the feed reaches the fork in the
//! same transaction and under the same lock. Copying the feed instead would be simpler and cost a second of the
//! publisher and some hundred MB for a nation's slots; this costs what changes while the hold lasts.

use std::sync::{Arc, RwLockReadGuard};

use rusqlite::{OptionalExtension, params};

use super::feeds::Feed;
use super::hold::Held;
use super::index::{Index, Marks};
use super::plan::Change;
use super::publisher::{PublishError, Publisher};
use super::store::{Due, Store, StoreError};
use crate::domain::Position;
use crate::feed::Item;

/// Begins the owner of a fork's row, before the partner. No partner's name holds a colon.
pub(super) const FORK_OF: &str = "held:";

/// What a fork is the former state of.
pub(super) struct Base {
    pub feed: Arc<Feed>,
    /// Live items and the last number as of the fork: neither changes.
    live: u64,
    last: Position,
}

/// A feed under the locks that reading it needs.
pub(super) struct Look<'a> {
    /// Of a fork, the feed's; locked first, as the publisher does.
    base: Option<(RwLockReadGuard<'a, Index>, &'a Base)>,
    own: RwLockReadGuard<'a, Index>,
}

impl<'a> Look<'a> {
    pub(super) fn at(feed: &'a Feed) -> Look<'a> {
        let base = feed.base.as_ref().map(|base| (base.feed.read(), base));
        Look { base, own: feed.read() }
    }

    pub(super) fn marks(&self) -> Marks {
        self.own.marks
    }

    pub(super) fn is_visible(&self) -> bool {
        self.own.visible
    }

    pub(super) fn live(&self) -> u64 {
        self.base.as_ref().map_or_else(|| self.own.live(), |(_, base)| base.live)
    }

    pub(super) fn last_number(&self) -> Position {
        self.base.as_ref().map_or_else(|| self.own.last_number(), |(_, base)| base.last)
    }

    pub(super) fn after(&self, number: Option<u64>, max: usize) -> Vec<Arc<Item>> {
        let Some((base, _)) = &self.base else { return self.own.after(number, Position(u64::MAX), max) };
        let until = self.own.marks.watermark;
        let mut items = merged(base.after(number, until, max), self.own.after(number, until, max));
        items.truncate(max);
        items
    }

    pub(super) fn live_items(&self) -> Vec<Arc<Item>> {
        let Some((base, _)) = &self.base else { return self.own.live_items(Position(u64::MAX)) };
        let until = self.own.marks.watermark;
        merged(base.live_items(until), self.own.live_items(until))
    }
}

fn merged(mut items: Vec<Arc<Item>>, others: Vec<Arc<Item>>) -> Vec<Arc<Item>> {
    items.extend(others);
    items.sort_by_key(|item| item.number);
    items
}

impl Feed {
    /// A fork with its own items and marks. Ascertains what it shows, which takes one walk over the feed.
    fn fork(base: &Arc<Feed>, id: i64, index: Index) -> Feed {
        let mut fork = base.alike(id, index);
        fork.base = Some(Base { feed: base.clone(), live: 0, last: Position::ZERO });
        let look = fork.look();
        let (live, until) = (look.live_items().len() as u64, look.marks().watermark);
        let last = look.base.as_ref().map(|(base, _)| base.last_up_to(until)).unwrap_or_default();
        let last = last.max(look.own.last_number());
        drop(look);
        fork.base = Some(Base { feed: base.clone(), live, last });
        fork
    }

    /// Keeps what a tick is about to take away from the feed and this fork still shows.
    pub(super) fn keep(&self, base: &Index, changes: &[(Position, Change)], purged: &[Position]) {
        let mut own = self.write();
        let until = own.marks.watermark;
        let replaced = changes.iter().filter_map(|(_, change)| base.of_key(&change.key));
        let purged = purged.iter().filter_map(|number| base.of_number(*number));
        for shown in replaced.chain(purged).filter(|shown| shown.item.number <= until) {
            own.put(shown.clone());
        }
    }
}

impl Publisher {
    /// Parts the held readers of a feed from the others, and brings those back that are held no longer. Returns
    /// whether anybody is left to publish for; while nobody is, the feed itself stands still and nothing is parted.
    pub(super) fn part(&mut self, at: usize) -> Result<bool, PublishError> {
        let feed = self.work[at].feed.clone();
        let (held, free) = self.feeds.readers(feed.id);
        if free.is_empty() {
            return Ok(false);
        }
        for reader in held {
            if self.work[at].forks.iter().any(|(forked, _)| *forked == reader) {
                continue;
            }
            let (id, index) = self.store.fork(&feed, &reader)?;
            let fork = Arc::new(Feed::fork(&feed, id, index));
            self.feeds.turn(&reader, fork.clone());
            self.work[at].forks.push((reader, fork));
        }
        for reader in free {
            let Some(of) = self.work[at].forks.iter().position(|(forked, _)| *forked == reader) else { continue };
            self.store.drop_fork(self.work[at].forks[of].1.id)?;
            self.feeds.turn(&reader, feed.clone());
            self.work[at].forks.remove(of);
        }
        Ok(true)
    }

    /// After the start: forks of the life before. Their readers read them until it is known whether they are still
    /// held.
    pub(super) fn find_forks(&mut self) -> Result<(), PublishError> {
        for work in &mut self.work {
            let (held, free) = self.feeds.readers(work.feed.id);
            for reader in held.into_iter().chain(free) {
                let Some((id, index)) = self.store.known_fork(&work.feed, &reader)? else { continue };
                let fork = Arc::new(Feed::fork(&work.feed, id, index));
                self.feeds.turn(&reader, fork.clone());
                work.forks.push((reader, fork));
            }
        }
        Ok(())
    }
}

impl Store {
    /// Makes the row of a fork of the feed as it is now.
    fn fork(&mut self, feed: &Feed, (partner, name): &Held) -> Result<(i64, Index), StoreError> {
        let base = feed.read();
        let (marks, visible) = (base.marks, base.visible);
        drop(base);
        let due = if visible { Due::Resume } else { Due::Compare };
        self.db.execute(
            "INSERT INTO feed (name, digest, owner, due, watermark, horizon, walk, walk_hour, as_of)
             SELECT ?2, digest, ?3, ?4, watermark, horizon, walk, walk_hour, as_of FROM feed WHERE id = ?1",
            params![feed.id, name, format!("{FORK_OF}{partner}"), due.code()],
        )?;
        Ok((self.db.last_insert_rowid(), Index::new(marks, visible)))
    }

    fn known_fork(&self, feed: &Feed, (partner, name): &Held) -> Result<Option<(i64, Index)>, StoreError> {
        let text = "SELECT fork.id FROM feed AS fork JOIN feed AS home ON home.id = ?1 AND home.digest = fork.digest
                    WHERE fork.name = ?2 AND fork.owner = ?3";
        let owner = format!("{FORK_OF}{partner}");
        let id: Option<i64> = self.db.query_row(text, params![feed.id, name, owner], |row| row.get(0)).optional()?;
        let Some(id) = id else { return Ok(None) };
        let row = self.row(id)?;
        Ok(Some((id, self.load(&row)?)))
    }

    fn drop_fork(&mut self, id: i64) -> Result<(), StoreError> {
        let tx = self.db.transaction()?;
        tx.execute("DELETE FROM item WHERE feed = ?1", [id])?;
        tx.execute("DELETE FROM feed WHERE id = ?1", [id])?;
        Ok(tx.commit()?)
    }
}
