//! The desk as the committer drives it, with a window for the rest of the daemon: which slots are hot, how much waits,
//! and a snapshot when somebody asks. Decides nothing.
//!
//! What the window shows is taken after a batch became durable, so it never shows what may still be lost. It is never
//! older than `LOOK_EVERY` (or its share) behind the last batch, also when no other batch follows: script 94 believes the
//! heartbeat's count of unapplied bookings from 5 s after a stop on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::decide::{Conflict, Desk, Effects, Event, KnownKey, Snapshot, Totals};
use crate::domain::{Position, SlotKey, Timestamp, Touched};
use crate::ledger::Decide;

/// Slots that capture looks at on their own.
const HOT_MAX: usize = 2_000;
/// Looking costs a pass over all slots (about 1 ms for 200 k): at most this often, and at most 2 % of the time.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const LOOK_SHARE: u32 = 50;
/// Snapshots asked for and not yet taken.
const ASKED_MAX: usize = 4;

/// What the last look saw.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// The ledger's position that the rest belongs to.
    pub position: Position,
    pub hot: Vec<SlotKey>,
    pub totals: Totals,
    /// Oldest first.
    pub conflicts: Arc<[Conflict]>,
    pub pending_ops: u64,
    pub oldest_op: Option<Position>,
}

/// The readers' side of the window.
#[derive(Clone)]
pub struct Window {
    seen: Arc<Mutex<Seen>>,
    ask: SyncSender<SyncSender<Snapshot>>,
    wanted: Arc<AtomicBool>,
}

impl Window {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub fn seen(&self) -> Seen {
        self.lock().clone()
    }

    pub fn hot(&self) -> Vec<SlotKey> {
        self.lock().hot.clone()
    }

    /// The next batch looks, however short ago the last did.
    pub fn want(&self) {
        self.wanted.store(true, Ordering::Release);
    }

    /// Asks for the desk's state at the end of a coming batch; `None` when too many have asked.
    pub fn snapshot(&self) -> Option<Receiver<Snapshot>> {
        let (send, receive) = sync_channel(1);
        self.ask.try_send(send).ok().map(|()| receive)
    }
}

pub struct Watched {
    desk: Desk,
    seen: Arc<Mutex<Seen>>,
    asked: Receiver<SyncSender<Snapshot>>,
    look_at: Instant,
    /// When a tick is wanted because a batch became durable that the window does not show.
    look_due: Option<Timestamp>,
    now: Timestamp,
    wanted: Arc<AtomicBool>,
}

impl Watched {
    pub fn new(desk: Desk) -> (Watched, Window) {
        let (ask, asked) = sync_channel(ASKED_MAX);
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let (look_at, now) = (Instant::now(), Timestamp(i64::MIN));
        let wanted: Arc<AtomicBool> = Arc::default();
        let mut watched =
            Watched { desk, seen: seen.clone(), asked, look_at, look_due: None, now, wanted: wanted.clone() };
        watched.look();
        (watched, Window { seen, ask, wanted })
    }

    fn look(&mut self) {
        let began = Instant::now();
        let mut pending = self.desk.pending_ops();
        let oldest_op = pending.next().map(|op| op.position);
        let pending_ops = u64::from(oldest_op.is_some()) + pending.count() as u64;
        let seen = Seen {
            position: self.desk.position(),
            hot: self.desk.hot_slots(HOT_MAX),
            totals: self.desk.totals(),
            conflicts: self.desk.conflicts().cloned().collect(),
            pending_ops,
            oldest_op,
        };
        *self.seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = seen;
        self.look_at = began + LOOK_EVERY.max(began.elapsed() * LOOK_SHARE);
        self.look_due = None;
    }
}

impl Decide for Watched {
    fn step(&mut self, now: Timestamp, event: Event, effects: &mut Effects) {
        // A tick is the first event of its batch: all that the desk holds is durable.
        if matches!(event, Event::Tick) && self.look_due.is_some() && Instant::now() >= self.look_at {
            self.look();
        }
        self.now = now;
        if matches!(event, Event::Switch { .. }) {
            // What a stopped bridge states last is what script 94 relies on.
            self.look_at = Instant::now();
        }
        self.desk.step(now, event, effects);
    }

    fn take_touched(&mut self) -> Vec<Touched> {
        self.desk.take_touched()
    }

    /// The last that the committer asks of a batch that is durable: nothing of the next one has been decided yet.
    fn take_known_keys(&mut self) -> Vec<KnownKey> {
        let known = self.desk.take_known_keys();
        let left = self.look_at.saturating_duration_since(Instant::now());
        if self.wanted.swap(false, Ordering::AcqRel) || left.is_zero() {
            self.look();
        } else if self.look_due.is_none() {
            self.look_due = Some(self.now.plus_ms(i64::try_from(left.as_millis()).unwrap_or(i64::MAX / 2) + 1));
        }
        while let Ok(wanted) = self.asked.try_recv() {
            // Whoever asked may have given up.
            let _ = wanted.try_send(self.desk.snapshot());
        }
        known
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        [self.desk.next_deadline(), self.look_due].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::Policy;
    use crate::domain::Control;

    #[test]
    fn totals_go_with_their_position_and_a_turned_switch_has_them_looked_at() {
        let (mut watched, window) = Watched::new(Desk::new(Policy::default()));
        watched.look_at = Instant::now() + Duration::from_secs(3_600);
        let mut effects = Effects::default();
        watched.step(Timestamp(0), Event::Switch { control: Control::Stop }, &mut effects);
        assert!(watched.look_at <= Instant::now());
        watched.take_known_keys();
        assert_eq!(window.seen().position, watched.desk.position());
    }
}
