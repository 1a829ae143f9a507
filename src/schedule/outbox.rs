//! Write-backs that were claimed and have no result yet.
//!
//! Invariants: ops of one slot run in the order of their positions, so a cancel never passes its convert; an op in
//! doubt keeps its place and its content until its outcome is known; a batch holds each slot's ops together, in slot
//! order, because that is the order in which the legacy system locks rows; an op that was set aside runs only after
//! somebody said so, and later ops of its slot wait behind it (those of its person wait in the desk, which gives out
//! one op of a person and series at a time).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

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
    /// Why nobody but a person may have it run again.
    pub aside: Option<Arc<str>>,
    /// It waits for its time for no fault of its own or of its transaction.
    pub held: bool,
}

#[derive(Debug)]
pub struct Outbox<T> {
    ops: BTreeMap<Position, Waiting<T>>,
    backoff: Backoff,
    /// An op that failed more often runs alone: it may be what makes its batches fail.
    together_failures_max: u32,
}

impl<T: Clone> Outbox<T> {
    pub fn new(backoff: Backoff, together_failures_max: u32) -> Outbox<T> {
        Outbox { ops: BTreeMap::new(), backoff, together_failures_max }
    }

    /// An op that is known already stays as it is.
    pub fn add(&mut self, position: Position, slot: SlotKey, op: T, now: Timestamp) {
        let waiting =
            Waiting { slot, op, since: now, failures: 0, due: now, in_doubt: false, aside: None, held: false };
        self.ops.entry(position).or_insert(waiting);
    }

    /// Up to `max` ops that may run now, in slot order and in a slot by position; or a single one that runs alone. What
    /// has been due longest goes first: ops that fail again and again must not keep the others from their turn.
    pub fn batch(&self, now: Timestamp, max: usize) -> Vec<(Position, Waiting<T>)> {
        let mut blocked = BTreeSet::new();
        let mut batch: Vec<(Position, &Waiting<T>)> = Vec::new();
        let mut single: Option<(Position, &Waiting<T>)> = None;
        for (position, waiting) in &self.ops {
            if batch.len() >= max {
                break;
            }
            if blocked.contains(&waiting.slot) {
                continue;
            }
            let alone = waiting.failures > self.together_failures_max;
            if waiting.aside.is_some() || waiting.due > now || alone {
                let behind = alone && batch.iter().any(|(_, other)| other.slot == waiting.slot);
                let longer = single.is_none_or(|(_, other)| waiting.due < other.due);
                if alone && waiting.aside.is_none() && waiting.due <= now && !behind && longer {
                    single = Some((*position, waiting));
                }
                blocked.insert(&waiting.slot);
                continue;
            }
            batch.push((*position, waiting));
        }
        if let Some((position, waiting)) = single
            && batch.iter().all(|(other, of)| (waiting.due, position) < (of.due, *other))
        {
            return vec![(position, waiting.clone())];
        }
        batch.sort_by(|(a, x), (b, y)| x.slot.cmp(&y.slot).then(a.cmp(b)));
        batch.into_iter().map(|(position, waiting)| (position, waiting.clone())).collect()
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
            waiting.held = false;
            let pause_ms = self.backoff.pause_ms(waiting.failures, seed);
            waiting.due = now.plus_ms(i64::try_from(pause_ms).unwrap_or(i64::MAX));
            if in_doubt && !waiting.in_doubt {
                waiting.in_doubt = true;
                newly.push(*position);
            }
        }
        newly
    }

    /// The op may not run before `due`, and later ops of its slot wait behind it. No failure.
    pub fn hold(&mut self, position: Position, due: Timestamp) {
        if let Some(waiting) = self.ops.get_mut(&position) {
            (waiting.due, waiting.held) = (due, true);
        }
    }

    /// One of the ops makes their transaction fail, and nobody knows which: each runs alone from now on, at once.
    pub fn isolate(&mut self, positions: &[Position], now: Timestamp) {
        for position in positions {
            let Some(waiting) = self.ops.get_mut(position) else { continue };
            waiting.failures = waiting.failures.max(self.together_failures_max.saturating_add(1));
            waiting.due = now;
        }
    }

    /// The op does not run again by itself. False: no such op waits.
    pub fn set_aside(&mut self, position: Position, why: &str) -> bool {
        let waiting = self.ops.get_mut(&position);
        waiting.map(|waiting| waiting.aside = Some(why.into())).is_some()
    }

    /// Somebody wants an op that was set aside to run again, alone. False: none such.
    pub fn retry(&mut self, position: Position, now: Timestamp) -> bool {
        let Some(waiting) = self.ops.get_mut(&position) else { return false };
        let was = waiting.aside.take().is_some();
        if was {
            self.isolate(&[position], now);
        }
        was
    }

    /// Ops that were set aside, oldest first.
    pub fn asides(&self) -> impl Iterator<Item = (Position, &Waiting<T>)> {
        self.ops.iter().filter(|(_, waiting)| waiting.aside.is_some()).map(|(position, waiting)| (*position, waiting))
    }

    /// Ops that are neither set aside nor held, nor wait behind one that is.
    pub fn runnable(&self, now: Timestamp) -> usize {
        let mut blocked = BTreeSet::new();
        let runs = self.ops.values().filter(|waiting| {
            if waiting.aside.is_some() || (waiting.held && waiting.due > now) {
                blocked.insert(&waiting.slot);
            }
            !blocked.contains(&waiting.slot)
        });
        runs.count()
    }

    /// When the next op may run: of each slot only the first can. `None` when none waits.
    pub fn next_due(&self) -> Option<Timestamp> {
        let mut slots = BTreeSet::new();
        let firsts = self.ops.values().filter(|waiting| slots.insert(&waiting.slot) && waiting.aside.is_none());
        firsts.map(|waiting| waiting.due).min()
    }

    /// When the oldest op was claimed.
    pub fn oldest(&self) -> Option<Timestamp> {
        self.ops.values().map(|waiting| waiting.since).min()
    }

    pub fn in_doubt(&self) -> usize {
        self.ops.values().filter(|waiting| waiting.in_doubt).count()
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
        let mut outbox = Outbox::new(PAUSE, 2);
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

    #[test]
    fn an_op_that_keeps_failing_runs_alone_and_holds_up_nobody() {
        let mut outbox = outbox(&[(1, "a"), (2, "b")]);
        for _ in 0..3 {
            outbox.failed(&[Position(1)], false, Timestamp(0), 7);
        }
        assert_eq!(positions(&outbox.batch(Timestamp(1_000), 50)), [2], "it has been due longer");
        outbox.done(Position(2));
        assert_eq!(positions(&outbox.batch(Timestamp(1_000), 50)), [1]);
        outbox.add(Position(3), SlotKey::new("c").unwrap(), 'x', Timestamp(1_000));
        assert_eq!(positions(&outbox.batch(Timestamp(1_000), 50)), [1]);
    }

    #[test]
    fn ops_that_keep_failing_leave_others_that_run_alone_their_turn() {
        let mut outbox = outbox(&[(1, "a"), (2, "b"), (3, "c"), (4, "d")]);
        outbox.isolate(&[Position(1), Position(2), Position(3), Position(4)], Timestamp(0));
        let (mut now, mut ran) = (Timestamp(0), Vec::new());
        while outbox.len() > 2 {
            let batch = positions(&outbox.batch(now, 50));
            assert_eq!(batch.len(), 1);
            assert!(ran.len() < 8, "starved: {ran:?}");
            ran.push(batch[0]);
            if batch[0] <= 2 {
                outbox.failed(&[Position(batch[0])], false, now, 7);
            } else {
                outbox.done(Position(batch[0]));
            }
            // The worker pauses after a failure for as long as the op does.
            now = now.plus_ms(1_000);
        }
        assert_eq!(ran, [1, 2, 3, 4]);
    }

    #[test]
    fn an_op_set_aside_holds_up_its_slot_only_and_runs_when_told() {
        let mut outbox = outbox(&[(1, "a"), (2, "a"), (3, "b")]);
        assert!(outbox.set_aside(Position(1), "unlisted") && !outbox.set_aside(Position(9), "unlisted"));
        assert_eq!(positions(&outbox.batch(Timestamp(0), 50)), [3]);
        assert_eq!((outbox.runnable(Timestamp(0)), outbox.len(), outbox.asides().count()), (1, 3, 1));
        outbox.done(Position(3));
        assert_eq!(outbox.next_due(), None);
        assert!(outbox.retry(Position(1), Timestamp(5)) && !outbox.retry(Position(1), Timestamp(5)));
        assert_eq!(positions(&outbox.batch(Timestamp(5), 50)), [1]);
    }

    #[test]
    fn an_op_that_is_held_is_no_failure_and_leaves_room_for_others() {
        let mut outbox = outbox(&[(1, "a"), (2, "a"), (3, "b")]);
        (0..9).for_each(|_| outbox.hold(Position(1), Timestamp(1_000)));
        assert_eq!(positions(&outbox.batch(Timestamp(999), 50)), [3]);
        assert_eq!((outbox.runnable(Timestamp(999)), outbox.runnable(Timestamp(1_000))), (1, 3));
        assert_eq!(positions(&outbox.batch(Timestamp(1_000), 50)), [1, 2, 3]);
    }

    #[test]
    fn isolated_ops_run_one_by_one() {
        let mut outbox = outbox(&[(1, "a"), (2, "b")]);
        outbox.isolate(&[Position(1), Position(2)], Timestamp(0));
        assert_eq!(positions(&outbox.batch(Timestamp(0), 50)), [1]);
        outbox.done(Position(1));
        assert_eq!(positions(&outbox.batch(Timestamp(0), 50)), [2]);
    }
}
