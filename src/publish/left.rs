//! What each partner could read, told to whoever keeps evidence of it.
//!
//! One word per reader and window, not one per tick: a feed may tick five times a second, and a log of that would hold
//! more about publishing than is published. A window begins with the first change after the last word and ends with
//! the first tick after `WINDOW_MS`, when who reads the feed changes, before other plans take its place, and at the
//! stop. Nothing changed, nothing is told.
//!
//! A reader whose last word does not reach the feed's items (a new one, one that was held, every one after a crash)
//! gets a word about the items as they stand: what a crash took of a window is made up for, with the state that
//! partners read from then on instead of every change in between.
//!
//! Invariant: a word that cannot be kept is said again before anything more of the feed is built, so that what leaves
//! unrecorded is one window at most.

use std::sync::Arc;

use ring::digest::{Context, SHA256};

use super::feeds::Feed;
use super::plan::Change;
use super::publisher::{PublishError, Publisher};
use crate::domain::{PartnerId, Position, Timestamp};
use crate::feed::Item;

/// Longest time that is told in one word. Ten minutes of eight feeds are 1,200 entries of some 600 bytes a day.
pub const WINDOW_MS: i64 = 10 * 60_000;
/// Items looked at under one lock.
const ITEMS: usize = 4_096;

/// What one partner could read of one feed, once it was durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    pub partner: PartnerId,
    pub feed: String,
    pub mapping_id: String,
    pub mapping_version: u32,
    /// Of what shaped the items.
    pub content_digest: String,
    pub since: Timestamp,
    pub at: Timestamp,
    /// Live items at the end.
    pub rows: u64,
    pub updated: u64,
    pub deleted: u64,
    /// Smallest number of persons that share a label, where persons are in the feed.
    pub k: Option<u32>,
    /// Items are numbered in (after, position].
    pub after: Position,
    pub position: Position,
    /// See `ItemHash`.
    pub sha256: [u8; 32],
    /// Of items as they stand at the end, not of every change.
    pub is_state: bool,
}

/// The word could not be kept; the cause is logged where it arose.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("what left could not be recorded: {cause}")]
pub struct NotTold {
    pub cause: String,
}

/// Keeps what it is told, durable when it returns. Called on the publisher's thread; may wait for a disk.
pub trait TellLeft: Send + Sync {
    /// Up to where the partner's last word about the feed reached.
    fn told_up_to(&self, partner: &PartnerId, feed: &str) -> Option<Position>;
    fn tell(&self, left: Vec<Left>) -> Result<(), NotTold>;
}

/// Where nobody keeps evidence, as in tests.
pub struct Untold;

impl TellLeft for Untold {
    fn told_up_to(&self, _: &PartnerId, _: &str) -> Option<Position> {
        Some(Position(u64::MAX))
    }

    fn tell(&self, _: Vec<Left>) -> Result<(), NotTold> {
        Ok(())
    }
}

/// SHA-256 over items in the order of their numbers: number, length and bytes of the id, length and bytes of the data;
/// integers big-endian, 8 bytes the number and 4 a length; 2³²-1 stands for the length of what was deleted. Whoever
/// keeps a feed's items can compute it.
pub struct ItemHash(Context);

impl Default for ItemHash {
    fn default() -> ItemHash {
        ItemHash(Context::new(&SHA256))
    }
}

impl ItemHash {
    pub fn item(&mut self, number: Position, id: &str, data: Option<&[u8]>) {
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX - 1).to_be_bytes();
        self.0.update(&number.0.to_be_bytes());
        self.0.update(&length(id.as_bytes()));
        self.0.update(id.as_bytes());
        match data {
            Some(data) => {
                self.0.update(&length(data));
                self.0.update(data);
            }
            None => self.0.update(&u32::MAX.to_be_bytes()),
        }
    }

    pub fn finish(self) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(self.0.finish().as_ref());
        hash
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Reader {
    partner: PartnerId,
    feed: String,
    mapping_id: String,
    mapping_version: u32,
    content_digest: String,
}

/// Changes of one feed since the last word.
#[derive(Default)]
pub(super) struct Window {
    readers: Vec<Reader>,
    open: Option<Open>,
}

struct Open {
    since: Timestamp,
    after: Position,
    position: Position,
    updated: u64,
    deleted: u64,
    hash: ItemHash,
}

impl Window {
    /// Takes in what a tick made durable, before anybody can read it.
    pub(super) fn add(&mut self, changes: &[(Position, Change)], after: Position, until: Position, now: Timestamp) {
        if changes.is_empty() {
            return;
        }
        let open = self.open.get_or_insert_with(|| Open {
            since: now,
            after,
            position: until,
            updated: 0,
            deleted: 0,
            hash: ItemHash::default(),
        });
        for (number, change) in changes {
            open.hash.item(*number, &change.id, change.data.as_deref());
            match change.data {
                Some(_) => open.updated += 1,
                None => open.deleted += 1,
            }
        }
        open.position = until;
    }

    fn is_due(&self, now: Timestamp) -> bool {
        self.open.as_ref().is_some_and(|open| now.since_ms(open.since) >= WINDOW_MS)
    }
}

impl Reader {
    fn left(&self, feed: &Feed, open: &Open, at: Timestamp, sha256: [u8; 32], is_state: bool) -> Left {
        Left {
            partner: self.partner.clone(),
            feed: self.feed.clone(),
            mapping_id: self.mapping_id.clone(),
            mapping_version: self.mapping_version,
            content_digest: self.content_digest.clone(),
            since: open.since,
            at,
            rows: feed.read().live(),
            updated: open.updated,
            deleted: open.deleted,
            k: None,
            after: open.after,
            position: open.position,
            sha256,
            is_state,
        }
    }
}

/// The items numbered after `after`, as they stand; none: there are no such items.
fn state(feed: &Feed, after: Position, now: Timestamp) -> Option<Open> {
    let mut open = Open { since: now, after, position: after, updated: 0, deleted: 0, hash: ItemHash::default() };
    loop {
        let items: Vec<Arc<Item>> = feed.read().after(Some(open.position.0), Position(u64::MAX), ITEMS);
        let Some(last) = items.last() else { break };
        open.position = last.number;
        for item in &items {
            open.hash.item(item.number, &item.id, item.data.as_deref());
            match item.data {
                Some(_) => open.updated += 1,
                None => open.deleted += 1,
            }
        }
    }
    (open.position > after).then_some(open)
}

impl Publisher {
    /// Tells `teller` from now on.
    pub fn telling(&mut self, teller: Arc<dyn TellLeft>) {
        self.teller = teller;
    }

    /// Who reads the feed now and is not held.
    fn reading(&self, feed: i64) -> Vec<Reader> {
        let readings = self.feeds.readings();
        let (_, free) = self.feeds.readers(feed);
        let known = free.into_iter().filter_map(|key| readings.get(&key).cloned());
        known
            .map(|reading| Reader {
                partner: reading.plan.partner.clone(),
                feed: reading.plan.name.clone(),
                mapping_id: reading.plan.mapping_id.clone(),
                mapping_version: reading.plan.mapping_version,
                content_digest: reading.plan.content_digest.clone(),
            })
            .collect()
    }

    /// Before a tick: ends the window if it is long enough or if who reads the feed has changed, and greets new readers.
    pub(super) fn tell_left(&mut self, at: usize, now: Timestamp) -> Result<(), PublishError> {
        let readers = self.reading(self.work[at].feed.id);
        if readers != self.work[at].window.readers {
            self.end_window(at, now)?;
            self.greet(at, &readers, now)?;
            self.work[at].window.readers = readers;
        } else if self.work[at].window.is_due(now) {
            self.end_window(at, now)?;
        }
        Ok(())
    }

    /// Ends every window: at the stop, and before other plans take the place of these.
    pub fn tell_all_left(&mut self, now: Timestamp) -> Result<(), PublishError> {
        (0..self.work.len()).try_for_each(|at| {
            self.tell_left(at, now)?;
            self.end_window(at, now)
        })
    }

    fn end_window(&mut self, at: usize, now: Timestamp) -> Result<(), PublishError> {
        let work = &mut self.work[at];
        // Whoever comes to read it is greeted with all of it.
        let Some(open) = work.window.open.as_ref().filter(|_| !work.window.readers.is_empty()) else {
            work.window.open = None;
            return Ok(());
        };
        let sha256 = ItemHash(open.hash.0.clone()).finish();
        let left = work.window.readers.iter().map(|reader| reader.left(&work.feed, open, now, sha256, false));
        self.teller.tell(left.collect())?;
        work.window.open = None;
        Ok(())
    }

    fn greet(&mut self, at: usize, readers: &[Reader], now: Timestamp) -> Result<(), PublishError> {
        let work = &self.work[at];
        let feed = &*work.feed;
        let mut left = Vec::new();
        for reader in readers.iter().filter(|reader| !work.window.readers.contains(reader)) {
            let told = self.teller.told_up_to(&reader.partner, &reader.feed).unwrap_or_default();
            if let Some(mut open) = state(feed, told, now) {
                let sha256 = std::mem::take(&mut open.hash).finish();
                left.push(reader.left(feed, &open, now, sha256, true));
            }
        }
        if left.is_empty() { Ok(()) } else { Ok(self.teller.tell(left)?) }
    }
}
