//! Write-backs that were claimed and have no result yet.
//!
//! Invariants: ops of one slot run in the order of their positions, so a cancel never passes its convert; an op in
//! doubt keeps its place and its content until its outcome is known; a batch holds each slot's ops together, in slot
//! order, because that is the order in which the legacy system locks rows.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{Position, SlotKey, Timestamp};

use super::Backoff;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting<T> {
    pub slot: SlotKey,
    pub op: T,
    /// When it was claimed.
    pub since: Timestamp,
    pub failures: u32,
    pub due: Timestamp,
    /// A commit that held it ended unknown.
    pub in_doubt: bool,
}

#[derive(Debug)]
pub struct Outbox<T> {
    ops: BTreeMap<Position, Waiting<T>>,
    backoff: Backoff,
}

impl<T: Clone> Outbox<T> {
    pub fn new(backoff: Backoff) -> Outbox<T> {
        Outbox { ops: BTreeMap::new(), backoff }
    }

    /// An op that is known already stays as it is.
    pub fn add(&mut self, position: Position, slot: SlotKey, op: T, now: Timestamp) {
        let waiting = Waiting { slot, op, since: now, failures: 0, due: now, in_doubt: false };
        self.ops.entry(position).or_insert(waiting);
    }

    /// Up to `max` ops that may run now, in slot order and in a slot by position.
    pub fn batch(&self, now: Timestamp, max: usize) -> Vec<(Position, Waiting<T>)> {
        let mut blocked = BTreeSet::new();
        let mut batch = Vec::new();
        for (position, waiting) in &self.ops {
            if batch.len() >= max {
                break;
            }
            if blocked.contains(&waiting.slot) {
                continue;
            }
            if waiting.due > now {
                blocked.insert(waiting.slot.clone());
                continue;
            }
            batch.push((*position, waiting.clone()));
        }
        batch.sort_by(|(a, x), (b, y)| x.slot.cmp(&y.slot).then(a.cmp(b)));
        batch
    }

    /// The outcome is known.
    pub fn done(&mut self, position: Position) -> Option<Waiting<T>> {
        self.ops.remove(&position)
    }

    /// The ops did not run, or nobody knows whether they did. Returns those that are newly in doubt.
    pub fn failed(&mut self, positions: &[Position], in_doubt: bool, now: Timestamp, seed: u64) -> Vec<Position> {
        let mut newly = Vec::new();
        for position in positions {
            let Some(waiting) = self.ops.get_mut(position) else { continue };
            waiting.failures += 1;
            let pause_ms = self.backoff.pause_ms(waiting.failures, seed);
            waiting.due = now.plus_ms(i64::try_from(pause_ms).unwrap_or(i64::MAX));
            if in_doubt && !waiting.in_doubt {
                waiting.in_doubt = true;
                newly.push(*position);
            }
        }
        newly
    }

    /// When the next op may run: of each slot only the first can. `None` when none waits.
    pub fn next_due(&self) -> Option<Timestamp> {
        let mut slots = BTreeSet::new();
        let firsts = self.ops.values().filter(|waiting| slots.insert(&waiting.slot));
        firsts.map(|waiting| waiting.due).min()
    }

    /// When the oldest op was claimed.
    pub fn oldest(&self) -> Option<Timestamp> {
        self.ops.values().map(|waiting| waiting.since).min()
    }

    pub fn in_doubt(&self) -> usize {
        self.ops.values().filter(|waiting| waiting.in_doubt).count()
    }

    /// Most failures of any op: a sign that one op may be what makes batches fail.
    pub fn failures_max(&self) -> u32 {
        self.ops.values().map(|waiting| waiting.failures).max().unwrap_or(0)
    }

    pub fn len(&self) -> usize {
        self.ops.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Backoff = Backoff { first_ms: 100, last_ms: 1_000 };

    fn outbox(ops: &[(u64, &str)]) -> Outbox<char> {
        let mut outbox = Outbox::new(PAUSE);
        for (position, slot) in ops {
            outbox.add(Position(*position), SlotKey::new(slot).unwrap(), 'x', Timestamp(0));
        }
        outbox
    }

    fn positions(batch: &[(Position, Waiting<char>)]) -> Vec<u64> {
        batch.iter().map(|(position, _)| position.0).collect()
    }

    #[test]
    fn a_batch_is_in_slot_order_and_within_a_slot_by_position() {
        let outbox = outbox(&[(1, "b"), (2, "a"), (3, "b"), (4, "a")]);
        assert_eq!(positions(&outbox.batch(Timestamp(0), 50)), [2, 4, 1, 3]);
        assert_eq!(positions(&outbox.batch(Timestamp(0), 3)), [2, 1, 3]);
    }

    #[test]
    fn an_op_never_passes_an_earlier_one_of_its_slot() {
        let mut outbox = outbox(&[(1, "a"), (2, "b")]);
        outbox.failed(&[Position(1)], true, Timestamp(0), 7);
        outbox.add(Position(3), SlotKey::new("a").unwrap(), 'x', Timestamp(0));
        assert_eq!(positions(&outbox.batch(Timestamp(0), 50)), [2]);
        assert_eq!(positions(&outbox.batch(Timestamp(100), 50)), [1, 3, 2]);
        assert_eq!(outbox.in_doubt(), 1);
        outbox.done(Position(1));
        assert_eq!((outbox.in_doubt(), outbox.len()), (0, 2));
    }

    #[test]
    fn doubt_is_told_once_an_op() {
        let mut outbox = outbox(&[(1, "a"), (2, "b")]);
        assert_eq!(outbox.failed(&[Position(1)], true, Timestamp(0), 7), [Position(1)]);
        assert_eq!(outbox.failed(&[Position(1), Position(2)], true, Timestamp(0), 7), [Position(2)]);
        assert!(outbox.failed(&[Position(9)], true, Timestamp(0), 7).is_empty());
        assert!(outbox.next_due().unwrap() > Timestamp(0));
    }
}
