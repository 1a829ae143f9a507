//! From dirty subjects to changes of items.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::feeds::{Feed, Stats};
use super::index::{Index, Shown};
use super::jump::Jump;
use super::plan::{Change, RenderItem, subject};
use super::publisher::count;
use super::store::Due;
use crate::domain::{Position, SlotView, Timestamp, Touched};
use crate::feed::data_of;
use crate::privacy::{Hit, Record};

/// Begins the key of a tombstone whose subject lives on under another public id. No subject's key holds it.
const OLD_ID: &str = "=";

/// What a tick is going to do.
#[derive(Default)]
pub(super) struct Planned {
    pub changes: BTreeMap<Arc<str>, Change>,
    /// New times of leaving of items that stay as they are.
    pub leaves: HashMap<Arc<str>, Option<Timestamp>>,
    /// Dirty subjects that the plan has used up, to be put back if it cannot be saved.
    pub used: HashMap<Arc<str>, Touched>,
    /// Dirty subjects that wait for their pace.
    pub held: HashMap<Arc<str>, Touched>,
    /// Subjects that waited and are shown now.
    pub settled: HashSet<Arc<str>>,
    /// Why nothing of this may be published.
    pub stop: Option<Stop>,
}

/// Something that holds the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    Guard(Hit),
    Jump(Jump),
}

impl Planned {
    fn delete(&mut self, key: &Arc<str>, id: &Arc<str>, leaves_at: Option<Timestamp>) {
        let gone = Change { number: None, key: key.clone(), id: id.clone(), data: None, leaves_at };
        self.changes.insert(key.clone(), gone);
    }

    /// Rows that appear less rows that go, without those whose time has come.
    pub(super) fn net(&self, index: &Index, now: Timestamp) -> i64 {
        let moved = self.changes.values().map(|change| {
            let is_shown = index.of_key(&change.key).is_some_and(|shown| shown.item.data.is_some());
            match (is_shown, change.data.is_some()) {
                (false, true) => 1,
                (true, false) if change.leaves_at.is_none_or(|at| at > now) => -1,
                _ => 0,
            }
        });
        moved.sum()
    }

    /// Of two changes with one number the later key's gets another. Entries touch one subject of a feed each, so this
    /// happens only if that promise is broken elsewhere; readers would lose one of the two.
    pub(super) fn unshare_numbers(&mut self) {
        let mut taken = BTreeSet::new();
        for change in self.changes.values_mut() {
            if change.number.is_some_and(|number| !taken.insert(number)) {
                change.number = None;
            }
        }
    }

    /// The changes by number; every one has its own by now.
    pub(super) fn numbered(&mut self) -> Vec<(Position, Change)> {
        let changes = std::mem::take(&mut self.changes).into_values();
        let mut numbered: Vec<_> = changes.filter_map(|change| Some((change.number?, change))).collect();
        numbered.sort_by_key(|(number, _)| *number);
        numbered
    }
}

/// Plans for one feed as of one instant.
pub(super) struct Planner<'a> {
    pub feed: &'a Feed,
    pub render: &'a dyn RenderItem,
    pub index: &'a Index,
    pub due: Due,
    pub now: Timestamp,
    /// When the feed ticked last.
    pub ticked_at: Timestamp,
    pub stats: &'a Stats,
    pub planned: &'a mut Planned,
}

impl Planner<'_> {
    /// What the feed owes at start. Subjects that are `dirty` too are left to `dirty`, which is newer.
    pub(super) fn everything(&mut self, everything: &[Touched], dirty: &HashMap<Arc<str>, Touched>) {
        let watermark = self.index.marks.watermark;
        let mut seen: HashSet<Arc<str>> = HashSet::new();
        for touched in everything {
            let Some(key) = self.feed.source.key(touched) else { continue };
            seen.insert(key.clone());
            if dirty.contains_key(&key) {
                continue;
            }
            let own = Some(touched.position()).filter(|position| *position > watermark);
            match (self.due, own) {
                // what it was held back by is forgotten
                (Due::Resume, None) if self.pace(touched).is_some() => self.one(key, touched, None),
                (Due::First | Due::Resume, None) => {
                    if self.index.of_key(&key).is_some_and(|shown| shown.item.data.is_some()) {
                        let leaves_at = subject(touched).and_then(|subject| self.render.leaves_at(subject));
                        self.planned.leaves.insert(key, leaves_at);
                    }
                }
                (Due::First | Due::Resume | Due::Compare, own) => {
                    let number = own.filter(|_| !self.is_paced(&key, touched));
                    self.one(key, touched, number);
                }
                (Due::Republish, _) => self.one(key, touched, None),
            }
        }
        for shown in self.index.all() {
            let is_known = seen.contains(&shown.key) || dirty.contains_key(&shown.key);
            if !is_known && (shown.item.data.is_some() || self.due == Due::Republish) {
                self.planned.delete(&shown.key, &shown.item.id, shown.leaves_at);
            }
        }
    }

    /// Subjects that durable batches touched: each under its own position, unless its pace is slower.
    pub(super) fn dirty(&mut self, dirty: HashMap<Arc<str>, Touched>) {
        for (key, touched) in dirty {
            self.planned.changes.remove(&key);
            self.planned.leaves.remove(&key);
            self.planned.held.remove(&key);
            let is_paced = self.is_paced(&key, &touched);
            if is_paced && !self.is_up(&touched) {
                self.planned.held.insert(key.clone(), touched.clone());
            } else {
                let number = Some(touched.position()).filter(|_| !is_paced);
                self.one(key.clone(), &touched, number);
                self.planned.settled.insert(key.clone());
            }
            self.planned.used.insert(key, touched);
        }
    }

    /// Subjects held back by earlier ticks whose pace is up.
    pub(super) fn held(&mut self, held: &HashMap<Arc<str>, Touched>) {
        for (key, touched) in held {
            let is_newer = self.planned.used.contains_key(key) || self.planned.settled.contains(key);
            if self.is_up(touched) && !is_newer {
                self.one(key.clone(), touched, None);
                self.planned.settled.insert(key.clone());
            }
        }
    }

    fn pace(&self, touched: &Touched) -> Option<i64> {
        subject(touched).and_then(|subject| self.render.pace_ms(subject)).map(i64::from).filter(|pace| *pace > 0)
    }

    /// Must the change of a shown item wait? What appears, goes, or is defined anew is shown at the feed's own pace:
    /// whoever books by a page that claims to be newer than a moved appointment must have seen it moved.
    fn is_paced(&self, key: &str, touched: &Touched) -> bool {
        let shown = self.index.of_key(key).filter(|shown| shown.item.data.is_some());
        shown.is_some_and(|shown| self.pace(touched).is_some() && self.differs_in_places_only(shown, touched))
    }

    /// A paced slot says whether places remain and not how many, so it has two forms under one definition.
    fn differs_in_places_only(&self, shown: &Shown, touched: &Touched) -> bool {
        let Touched::Slot(slot) = touched else { return true };
        [0, slot.remaining.max(1)].into_iter().any(|remaining| {
            let form = Touched::Slot(Arc::new(SlotView { remaining, ..(**slot).clone() }));
            self.rendered(&form).0.map(|record| data_of(&record)) == shown.item.data
        })
    }

    fn is_up(&self, touched: &Touched) -> bool {
        self.pace(touched).is_none_or(|pace| self.now.0.div_euclid(pace) > self.ticked_at.0.div_euclid(pace))
    }

    /// Items whose time to leave has come and that nothing else has touched.
    pub(super) fn leaving(&mut self) {
        let now = self.now;
        let mut keys = self.index.leaving_by(now);
        keys.retain(|key| !self.planned.leaves.contains_key(key));
        keys.extend(
            self.planned.leaves.iter().filter(|(_, at)| at.is_some_and(|at| at <= now)).map(|(key, _)| key.clone()),
        );
        for key in keys {
            if let Some(shown) = self.index.of_key(&key)
                && !self.planned.changes.contains_key(&key)
            {
                self.planned.delete(&key, &shown.item.id, Some(now));
            }
        }
    }

    /// Plans one subject: nothing if what is shown is the same already, unless everything is to be shown anew.
    fn one(&mut self, key: Arc<str>, touched: &Touched, number: Option<Position>) {
        let (record, leaves_at) = self.rendered(touched);
        let shown = self.index.of_key(&key);
        let anew = self.due == Due::Republish;
        let (id, data) = match (record, shown) {
            (None, None) => return,
            (None, Some(shown)) if shown.item.data.is_none() && !anew => return,
            (None, Some(shown)) => (shown.item.id.clone(), None),
            (Some(record), shown) => {
                let data = data_of(&record);
                let same_id = shown.is_none_or(|shown| shown.item.id == record.id);
                if let Some(shown) = shown
                    && same_id
                    && shown.item.data.as_ref() == Some(&data)
                    && !anew
                {
                    count(&self.stats.unchanged, 1);
                    self.planned.leaves.insert(key, leaves_at);
                    return;
                }
                if let Err(hit) = self.judged(&record, &data) {
                    self.planned.stop.get_or_insert(Stop::Guard(hit));
                    return;
                }
                if let Some(shown) = shown.filter(|_| !same_id) {
                    self.planned.delete(&Arc::from(format!("{OLD_ID}{}", shown.item.id)), &shown.item.id, None);
                }
                (record.id, Some(data))
            }
        };
        self.planned.changes.insert(key.clone(), Change { number, key, id, data, leaves_at });
    }

    /// Before a change is planned: bytes that are shown already were judged when they were new.
    fn judged(&self, record: &Record, data: &[u8]) -> Result<(), Hit> {
        let Some(guard) = &self.feed.guard else { return Ok(()) };
        guard.record(record)?;
        guard.item(data)
    }

    fn rendered(&self, touched: &Touched) -> (Option<Record>, Option<Timestamp>) {
        let Some(subject) = subject(touched) else { return (None, None) };
        match self.render.record(subject, self.now) {
            Ok(Some(record)) => (Some(record), self.render.leaves_at(subject)),
            Ok(None) => (None, self.render.leaves_at(subject)),
            Err(_) => {
                count(&self.stats.not_rendered, 1);
                (None, None)
            }
        }
    }
}
