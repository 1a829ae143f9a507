//! The loop between desk and ledger: take what waits, step each, append once, then answer.
//!
//! The body is a plain function over `LedgerStore`, so the simulation runs this very code over a simulated disk.
//! The next batch gathers while this one is synced, so there is no batching timer. Batches are released in order.
//! A reply to a repeated key waits for its batch like any other: its entry may be in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc::Receiver;
use tokio::sync::oneshot;

use super::queue::{self, Next};
use super::turns::Turns;
use super::{Batch, LedgerError, LedgerStore};
use crate::decide::{After, Desk, Effects, Event, Outcome};
use crate::domain::{Position, Timestamp, Touched};
use crate::durable::{Answer, Consumer, Durable, KnownKey, Render, StoredReply, Submission};

/// Bound of one batch. At 64 to 256 connections batches of 18 to 60 form by themselves; 512 keeps the longest
/// transaction near the cost of its sync.
pub const BATCH_MAX: usize = 512;

/// A deadline that a tick did not clear is asked for again after this long, not at once.
const TICK_AGAIN_MS: u64 = 100;

/// The deciding core as the committer drives it. The tests put a scripted one in the desk's place.
pub trait Decide {
    fn step(&mut self, now: Timestamp, event: Event, effects: &mut Effects);
    /// What readers must see anew since the last call, each once, in order of position.
    fn take_touched(&mut self) -> Vec<Touched>;
    fn take_known_keys(&mut self) -> Vec<KnownKey>;
    /// When a tick is due.
    fn next_deadline(&self) -> Option<Timestamp>;
}

impl Decide for Desk {
    fn step(&mut self, now: Timestamp, event: Event, effects: &mut Effects) {
        Desk::step(self, now, event, effects);
    }

    fn take_touched(&mut self) -> Vec<Touched> {
        Desk::take_touched(self)
    }

    fn take_known_keys(&mut self) -> Vec<KnownKey> {
        Desk::take_known_keys(self)
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        Desk::next_deadline(self)
    }
}

/// What other threads may know about the committer: readiness and measurements.
#[derive(Debug, Default)]
pub struct Status {
    failed: AtomicBool,
    durable: AtomicU64,
    batches: AtomicU64,
    submissions: AtomicU64,
    append_us: AtomicU64,
}

impl Status {
    /// A write failed; the process is about to exit.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    pub fn durable(&self) -> Position {
        Position(self.durable.load(Ordering::Acquire))
    }

    pub fn batches(&self) -> u64 {
        self.batches.load(Ordering::Relaxed)
    }

    /// Events that were decided and answered.
    pub fn submissions(&self) -> u64 {
        self.submissions.load(Ordering::Relaxed)
    }

    /// Time spent in appends, sync included, in microseconds.
    pub fn append_us(&self) -> u64 {
        self.append_us.load(Ordering::Relaxed)
    }
}

pub struct Committer<D, S> {
    desk: D,
    store: S,
    renderer: Box<dyn Render>,
    consumers: Vec<Box<dyn Consumer>>,
    ops_waiting: Box<dyn FnMut() + Send>,
    status: Arc<Status>,
    turns: Turns,
    /// Ledger time: never goes back, whatever the clock does.
    at: Timestamp,
    ticked_at: Option<Timestamp>,
}

/// One batch on its way: answers by ticket, released once it is durable.
struct Pending {
    waiting: Vec<Option<oneshot::Sender<Answer>>>,
    released: Vec<(u64, Answer)>,
    ops_waiting: bool,
}

impl<D: Decide, S: LedgerStore> Committer<D, S> {
    /// `desk` must have replayed everything that `store` holds.
    pub fn new(desk: D, store: S, renderer: Box<dyn Render>, consumers: Vec<Box<dyn Consumer>>) -> Committer<D, S> {
        let status = Arc::new(Status::default());
        status.durable.store(store.position().0, Ordering::Release);
        let at = store.at();
        Committer {
            desk,
            store,
            renderer,
            consumers,
            ops_waiting: Box::new(|| ()),
            status,
            turns: Turns::default(),
            at,
            ticked_at: None,
        }
    }

    /// `wake` is called, after durability, when ops wait for the write-back worker. It must not block.
    pub fn on_ops_waiting(mut self, wake: impl FnMut() + Send + 'static) -> Self {
        self.ops_waiting = Box::new(wake);
        self
    }

    pub fn status(&self) -> Arc<Status> {
        self.status.clone()
    }

    pub fn desk(&self) -> &D {
        &self.desk
    }

    pub fn store(&self) -> &S {
        &self.store
    }

    pub fn into_parts(self) -> (D, S) {
        (self.desk, self.store)
    }

    /// Decides, appends and answers one batch. On an error everybody in it has been told `NotDurable`, and every
    /// later call does the same.
    pub fn run_batch(&mut self, now: Timestamp, submissions: Vec<Submission>) -> Result<(), LedgerError> {
        if self.status.has_failed() {
            refuse(submissions.into_iter().map(|submission| submission.answer));
            return Err(LedgerError::Stopped);
        }
        self.at = self.at.max(now);
        let count = submissions.len() as u64;
        let (batch, mut pending) = self.decide(submissions);
        if !batch.entries.is_empty() {
            let started = Instant::now();
            if let Err(error) = self.store.append(&batch) {
                self.status.failed.store(true, Ordering::Release);
                refuse(pending.waiting);
                return Err(error);
            }
            self.status.append_us.fetch_add(started.elapsed().as_micros() as u64, Ordering::Relaxed);
            self.publish(&batch);
        }
        self.release(&mut pending);
        self.status.batches.fetch_add(1, Ordering::Relaxed);
        self.status.submissions.fetch_add(count, Ordering::Relaxed);
        self.store.tidy().inspect_err(|_| self.status.failed.store(true, Ordering::Release))
    }

    /// Runs until every sender is gone or a write fails; then whoever still waits has been told `NotDurable`.
    /// Must be the whole work of its thread: a panic here aborts the process, since the desk may be half changed.
    pub fn run(
        &mut self,
        mut receiver: Receiver<Submission>,
        clock: impl Fn() -> Timestamp,
    ) -> Result<(), LedgerError> {
        let _guard = AbortOnPanic;
        loop {
            let Some(submissions) = self.gather(&mut receiver, &clock) else { return Ok(()) };
            if let Err(error) = self.run_batch(clock(), submissions) {
                receiver.close();
                while let Some(submission) = receiver.blocking_recv() {
                    refuse([submission.answer]);
                }
                return Err(error);
            }
        }
    }

    /// Steps every event and renders every outcome.
    fn decide(&mut self, submissions: Vec<Submission>) -> (Batch, Pending) {
        let mut effects = Effects::default();
        let mut waiting = Vec::with_capacity(submissions.len());
        for (ticket, mut submission) in self.turns.order(submissions).into_iter().enumerate() {
            number(&mut submission.event, ticket as u64);
            self.desk.step(self.at, submission.event, &mut effects);
            waiting.push(submission.answer);
        }
        let durable = effects.persist.last().map_or(self.status.durable(), |entry| entry.last());
        let mut batch = Batch { at: self.at, entries: effects.persist, replies: Vec::new() };
        let mut pending =
            Pending { released: Vec::with_capacity(effects.after_durable.len()), waiting, ops_waiting: false };
        for after in effects.after_durable {
            self.prepare(after, durable, &mut batch, &mut pending);
        }
        (batch, pending)
    }

    fn prepare(&self, after: After, durable: Position, batch: &mut Batch, pending: &mut Pending) {
        let released = match after {
            After::Reply { ticket, outcome: Outcome::Replay { entry }, .. } => {
                let answer =
                    Answer::Reply { status: 0, body: Bytes::new(), entry: None, durable, replay_of: Some(entry) };
                (ticket, answer)
            }
            After::Reply { ticket, partner, entry, outcome } => {
                let rendered = self.renderer.render(&partner, &outcome);
                if let Some(entry) = entry {
                    batch.replies.push(StoredReply { entry, status: rendered.status, body: rendered.body.clone() });
                }
                let (status, body) = (rendered.status, rendered.body);
                (ticket, Answer::Reply { status, body, entry, durable, replay_of: None })
            }
            After::FactsTaken { ticket, first, count } => (ticket, Answer::Facts { first, count }),
            After::Reserved { ticket, first, count } => (ticket, Answer::Reserved { first, count }),
            After::Claimed { ticket, ops } => (ticket, Answer::Claimed { ops }),
            After::GivenBack { ticket, left } => (ticket, Answer::GivenBack { left }),
            After::Fenced { ticket, agreement } => (ticket, Answer::Fenced { agreement }),
            After::OpsWaiting => {
                pending.ops_waiting = true;
                return;
            }
        };
        pending.released.push(released);
    }

    /// Tells readers, in order, before anyone is answered: a client that has its answer finds its booking.
    fn publish(&mut self, batch: &Batch) {
        let (Some(first), Some(last)) = (batch.entries.first(), batch.entries.last()) else { return };
        let durable = Arc::new(Durable {
            first: first.position,
            last: last.last(),
            at: batch.at,
            touched: self.desk.take_touched(),
            keys: self.desk.take_known_keys(),
        });
        self.status.durable.store(durable.last.0, Ordering::Release);
        for consumer in &mut self.consumers {
            consumer.durable(&durable);
        }
    }

    fn release(&mut self, pending: &mut Pending) {
        for (ticket, answer) in pending.released.drain(..) {
            let waiting = usize::try_from(ticket).ok().and_then(|at| pending.waiting.get_mut(at));
            if let Some(waiting) = waiting.and_then(Option::take) {
                // Whoever gave up waiting finds the answer by its key.
                let _ = waiting.send(answer);
            }
        }
        let durable = self.status.durable();
        for waiting in pending.waiting.drain(..).flatten() {
            let _ = waiting.send(Answer::Done { durable });
        }
        if pending.ops_waiting {
            (self.ops_waiting)();
        }
    }

    /// What waits, at most `BATCH_MAX`, led by a tick where one is due. `None` when nobody can submit any more.
    fn gather(
        &mut self,
        receiver: &mut Receiver<Submission>,
        clock: &impl Fn() -> Timestamp,
    ) -> Option<Vec<Submission>> {
        let mut submissions = Vec::new();
        match queue::next(receiver, || self.left(clock())) {
            Next::One(submission) => submissions.push(submission),
            Next::Due => {}
            Next::Closed => return None,
        }
        let now = clock();
        if self.left(now).is_some_and(|left| left.is_zero()) {
            self.ticked_at = Some(now);
            submissions.insert(0, Submission { event: Event::Tick, answer: None });
        }
        while submissions.len() < BATCH_MAX
            && let Ok(submission) = receiver.try_recv()
        {
            submissions.push(submission);
        }
        Some(submissions)
    }

    /// How long until a tick is due.
    fn left(&self, now: Timestamp) -> Option<Duration> {
        let deadline = self.desk.next_deadline()?;
        let due = match self.ticked_at {
            Some(ticked_at) if ticked_at >= deadline => ticked_at.plus_ms(TICK_AGAIN_MS as i64),
            _ => deadline,
        };
        Some(Duration::from_millis(due.since_ms(now).max(0) as u64))
    }
}

/// The desk's handle for an answer is the place in the batch.
fn number(event: &mut Event, place: u64) {
    match event {
        Event::Facts { ticket, .. }
        | Event::Request { ticket, .. }
        | Event::Reserve { ticket, .. }
        | Event::Claim { ticket, .. }
        | Event::GiveBack { ticket, .. }
        | Event::Fence { ticket, .. } => *ticket = place,
        Event::Applied { .. }
        | Event::OpDone { .. }
        | Event::OpInDoubt { .. }
        | Event::Release { .. }
        | Event::Switch { .. }
        | Event::Redrive { .. }
        | Event::Settled
        | Event::Tick => {}
    }
}

fn refuse(waiting: impl IntoIterator<Item = Option<oneshot::Sender<Answer>>>) {
    for waiting in waiting.into_iter().flatten() {
        let _ = waiting.send(Answer::NotDurable);
    }
}

struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}
