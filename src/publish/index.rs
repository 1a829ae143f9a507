//! A feed in memory: items by number and by key, what leaves by time, what is to be purged, and its marks.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use super::plan::Change;
use crate::domain::{Position, Timestamp};
use crate::feed::Item;

/// Marks of a feed, saved with its items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Marks {
    /// Every change up to here is in the feed.
    pub watermark: Position,
    /// Highest number among purged tombstones.
    pub horizon: Position,
    /// The watermark at the last full hour: the mark of walks that begin now.
    pub walk: Position,
    /// Hours since 1970 of `walk`.
    pub walk_hour: i64,
}

#[derive(Debug, Clone)]
pub(super) struct Shown {
    pub item: Arc<Item>,
    /// Key of the subject.
    pub key: Arc<str>,
    /// When this state was published; the age of a tombstone.
    pub at: Timestamp,
    pub leaves_at: Option<Timestamp>,
}

/// Memory for an item of 250 bytes: about 470 bytes in all.
#[derive(Debug, Default)]
pub(super) struct Index {
    by_number: BTreeMap<Position, Shown>,
    by_key: HashMap<Arc<str>, Position, foldhash::fast::FixedState>,
    leaving: BTreeSet<(Timestamp, Arc<str>)>,
    tombstones: BTreeSet<(Timestamp, Position)>,
    live: u64,
    pub marks: Marks,
    /// False until the feed was compared with the view under the present mapping.
    pub visible: bool,
}

impl Index {
    pub(super) fn new(marks: Marks, visible: bool) -> Index {
        Index { marks, visible, ..Index::default() }
    }

    pub(super) fn of_key(&self, key: &str) -> Option<&Shown> {
        self.by_key.get(key).and_then(|number| self.by_number.get(number))
    }

    pub(super) fn of_number(&self, number: Position) -> Option<&Shown> {
        self.by_number.get(&number)
    }

    /// At most `max` items after `number` and up to `until`, ascending.
    pub(super) fn after(&self, number: Option<u64>, until: Position, max: usize) -> Vec<Arc<Item>> {
        if number.is_some_and(|number| number >= until.0) {
            return Vec::new();
        }
        let from = number.map_or(Bound::Unbounded, |n| Bound::Excluded(Position(n)));
        self.by_number.range((from, Bound::Included(until))).take(max).map(|(_, shown)| shown.item.clone()).collect()
    }

    /// Live items up to `until`, ascending.
    pub(super) fn live_items(&self, until: Position) -> Vec<Arc<Item>> {
        let shown = self.by_number.range(..=until).map(|(_, shown)| shown);
        shown.filter(|shown| shown.item.data.is_some()).map(|shown| shown.item.clone()).collect()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Shown> {
        self.by_number.values()
    }

    pub(super) fn live(&self) -> u64 {
        self.live
    }

    pub(super) fn last_number(&self) -> Position {
        self.by_number.last_key_value().map_or(Position::ZERO, |(number, _)| *number)
    }

    /// The last number up to `until`.
    pub(super) fn last_up_to(&self, until: Position) -> Position {
        self.by_number.range(..=until).next_back().map_or(Position::ZERO, |(number, _)| *number)
    }

    /// Keys of items whose time to leave has come.
    pub(super) fn leaving_by(&self, now: Timestamp) -> Vec<Arc<str>> {
        self.leaving.iter().take_while(|(at, _)| *at <= now).map(|(_, key)| key.clone()).collect()
    }

    /// Numbers of tombstones published before `before`, the oldest `max` of them.
    pub(super) fn tombstones_before(&self, before: Timestamp, max: usize) -> Vec<Position> {
        self.tombstones.iter().take_while(|(at, _)| *at < before).take(max).map(|(_, number)| *number).collect()
    }

    pub(super) fn put(&mut self, shown: Shown) {
        self.remove_key(&shown.key.clone());
        let number = shown.item.number;
        if shown.item.data.is_some() {
            self.live += 1;
            if let Some(at) = shown.leaves_at {
                self.leaving.insert((at, shown.key.clone()));
            }
        } else {
            self.tombstones.insert((shown.at, number));
        }
        self.by_key.insert(shown.key.clone(), number);
        self.by_number.insert(number, shown);
    }

    /// Sets when a live item leaves by time.
    pub(super) fn set_leaves_at(&mut self, key: &Arc<str>, at: Option<Timestamp>) {
        let Some(number) = self.by_key.get(key) else { return };
        let Some(shown) = self.by_number.get_mut(number) else { return };
        if shown.item.data.is_none() || shown.leaves_at == at {
            return;
        }
        if let Some(old) = shown.leaves_at {
            self.leaving.remove(&(old, key.clone()));
        }
        shown.leaves_at = at;
        if let Some(at) = at {
            self.leaving.insert((at, key.clone()));
        }
    }

    fn remove_key(&mut self, key: &str) {
        let Some(number) = self.by_key.remove(key) else { return };
        let Some(old) = self.by_number.remove(&number) else { return };
        if old.item.data.is_some() {
            self.live -= 1;
            if let Some(at) = old.leaves_at {
                self.leaving.remove(&(at, old.key));
            }
        } else {
            self.tombstones.remove(&(old.at, number));
        }
    }

    pub(super) fn purge(&mut self, numbers: &[Position]) {
        for number in numbers {
            if let Some(key) = self.by_number.get(number).map(|shown| shown.key.clone()) {
                self.remove_key(&key);
            }
        }
    }

    pub(super) fn apply(&mut self, changes: Vec<(Position, Change)>, at: Timestamp) {
        for (number, change) in changes {
            let item = Arc::new(Item { number, id: change.id, data: change.data });
            self.put(Shown { item, key: change.key, at, leaves_at: change.leaves_at });
        }
    }
}
