//! One turn of write-back, as a plain function over the port: ask the agency, claim, run, tell.

use std::sync::{Arc, Mutex};

use super::agency::Standing;
use super::orders::{Order, Orders};
use super::pace::Pace;
use super::request::{Asked, code, outcome};
use super::stats::{Aside, Stats, Status};
use super::trouble::Hold;
use super::{Lives, Settings, Stopped};
use crate::clock::Clock;
use crate::decide::{Event, Given, OpResult, OpWhat, Rejection};
use crate::domain::{Position, SlotKey, Timestamp};
use crate::durable::Answer;
use crate::intake::Intake;
use crate::legacy::{LegacyErrorKind, LegacyWrite, MAX_OPS, OpReply, OpRequest};
use crate::register::Register;
use crate::schedule::{Backoff, Outbox};

/// Claimed ops that may wait behind ops that were set aside; then no more are claimed.
const HELD_MAX: usize = 5_000;

/// A take that waits for reads to catch up is looked at again after so long.
const TAKE_HELD_MS: i64 = 1_000;

/// How a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Something was done; more may wait.
    Worked,
    /// Nothing may run before so many milliseconds, or until somebody wakes the worker.
    Idle { wait_ms: u64 },
    /// The connection is gone: open another one after so many milliseconds.
    Lost { wait_ms: u64 },
}

/// What the worker asks of the rest of the process.
pub struct Around {
    /// Changes whenever a secret of the write accounts does.
    pub secrets: Box<dyn Fn() -> u64 + Send>,
    /// True while the legacy system is read too late to know what it has left: takes wait.
    pub reads_lag: Box<dyn Fn() -> bool + Send>,
    /// The desk wants the fence compared again: rows of ours have vanished, and it may be a restore (rule 28).
    pub wants_fence: Box<dyn Fn() -> bool + Send>,
    /// All slots and reservations were read since this process began (rule 32).
    pub full_cut: Box<dyn Fn() -> bool + Send>,
    /// Last position of the ledger at the start. An op up to here may have been run by an earlier process.
    pub replayed: Position,
    pub orders: Orders,
}

impl Default for Around {
    fn default() -> Around {
        Around {
            secrets: Box::new(|| 0),
            reads_lag: Box::new(|| false),
            wants_fence: Box::new(|| false),
            full_cut: Box::new(|| false),
            replayed: Position::ZERO,
            orders: Orders::default(),
        }
    }
}

pub struct Worker {
    pub(super) intake: Intake,
    pub(super) register: Arc<Register>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) lives: Lives,
    pub(super) settings: Settings,
    pub(super) around: Around,
    pub(super) outbox: Outbox<Given>,
    pub(super) pace: Pace,
    pub(super) standing: Standing,
    /// Why nothing is tried for now.
    pub(super) hold: Option<Hold>,
    /// Class of the latest trouble, until something succeeds: the same again is no news.
    pub(super) troubled_by: Option<&'static str>,
    /// Failures in a row, of whatever kind.
    pub(super) failures: u32,
    pub(super) is_connected: bool,
    statements: u64,
    stats: Arc<Mutex<Stats>>,
}

impl Worker {
    pub fn new(
        intake: Intake,
        register: Arc<Register>,
        clock: Arc<dyn Clock>,
        lives: Lives,
        settings: Settings,
    ) -> Worker {
        let backoff = Backoff { first_ms: settings.pause_first_ms, last_ms: settings.pause_last_ms };
        Worker {
            intake,
            register,
            clock,
            lives,
            around: Around::default(),
            outbox: Outbox::new(backoff, settings.together_failures_max),
            pace: Pace::new(settings.batch_max.clamp(1, MAX_OPS), settings.transaction_ms_max),
            settings,
            standing: Standing::default(),
            hold: None,
            troubled_by: None,
            failures: 0,
            is_connected: true,
            statements: 0,
            stats: Arc::default(),
        }
    }

    pub fn with(mut self, around: Around) -> Worker {
        self.around = around;
        self
    }

    pub fn stats(&self) -> Arc<Mutex<Stats>> {
        self.stats.clone()
    }

    /// For the loop: a connection was opened.
    pub fn connected(&mut self) {
        self.is_connected = true;
        self.statements = 0;
        self.hold = None;
        self.standing.forget();
    }

    /// Asks the switch if it is time, claims what fits, and runs one transaction.
    pub fn turn(&mut self, port: &mut dyn LegacyWrite) -> Result<Turn, Stopped> {
        let turn = self.worked(port);
        let statements = port.statements();
        let more = statements.saturating_sub(self.statements);
        self.statements = statements;
        self.tell(|stats| stats.statements += more);
        if let Ok(Turn::Lost { .. }) = turn {
            self.is_connected = false;
            self.standing.forget();
        }
        self.told();
        turn
    }

    fn worked(&mut self, port: &mut dyn LegacyWrite) -> Result<Turn, Stopped> {
        let now = self.clock.now();
        self.carry_out_orders(now)?;
        if let Some(turn) = self.ask_agency(port, now)? {
            return Ok(turn);
        }
        if let Some(turn) = self.held(now) {
            return Ok(turn);
        }
        if !self.standing.may_write() {
            return Ok(Turn::Idle { wait_ms: self.settings.control_interval_ms });
        }
        if let Some(turn) = self.release(port, now)? {
            return Ok(turn);
        }
        self.claim(now)?;
        if let Some(turn) = self.held(now) {
            return Ok(turn);
        }
        let batch = self.outbox.batch(now, self.pace.ops());
        if batch.is_empty() {
            return Ok(self.idle(now));
        }
        let requests = self.requests(batch)?;
        if requests.is_empty() {
            return Ok(Turn::Worked);
        }
        self.run(port, requests)
    }

    /// The batch in the legacy system's words, without what needs no run and what must not run.
    fn requests(
        &mut self,
        batch: Vec<(Position, crate::schedule::Waiting<Given>)>,
    ) -> Result<Vec<(Position, OpRequest)>, Stopped> {
        let mut requests = Vec::with_capacity(batch.len());
        let mut settled = Vec::new();
        let mut blocked: Option<SlotKey> = None;
        let now = self.clock.now();
        let takes_held = (self.around.reads_lag)();
        for (position, waiting) in batch {
            if blocked.as_ref() == Some(&waiting.slot) {
                continue;
            }
            let may_have_run = waiting.in_doubt || waiting.op.honour || position <= self.around.replayed;
            if takes_held && !may_have_run && matches!(waiting.op.op.what, OpWhat::Take { .. }) {
                // Never answered here: an answer says that the legacy system gave it.
                self.outbox.hold(position, now.plus_ms(TAKE_HELD_MS));
                blocked = Some(waiting.slot);
                continue;
            }
            match self.asked(&waiting.op) {
                Ok(Asked::Op(request)) => requests.push((position, request)),
                Ok(Asked::Unlinked) if may_have_run => {
                    self.set_aside(position, UNLINKED);
                    blocked = Some(waiting.slot);
                }
                Ok(Asked::Unlinked) => {
                    tracing::warn!(op = position.0, "the person of a convert was unlinked; the booking ends");
                    settled.push((position, OpResult::Rejected { reason: Rejection::LegacyRule }));
                }
                Err(message) => {
                    self.halt(LegacyErrorKind::Operator, message, self.clock.now());
                    requests.clear();
                    break;
                }
            }
        }
        self.finish(settled, None)?;
        Ok(requests)
    }

    fn run(&mut self, port: &mut dyn LegacyWrite, requests: Vec<(Position, OpRequest)>) -> Result<Turn, Stopped> {
        let (positions, requests): (Vec<Position>, Vec<OpRequest>) = requests.into_iter().unzip();
        self.tell(|stats| stats.transactions += 1);
        let begun = self.clock.now();
        match port.apply(&requests) {
            Ok(replies) if replies.len() == positions.len() => {
                self.pace.took(positions.len(), self.clock.now().since_ms(begun));
                self.well();
                let results = positions.into_iter().zip(replies);
                let results = results.map(|(position, reply)| (position, outcome(position, reply))).collect();
                self.finish(results, Some(port.applied()))?;
                Ok(Turn::Worked)
            }
            Ok(_) => {
                let message = "the legacy system answered another number of ops than it was asked".to_owned();
                self.halt(LegacyErrorKind::Halt, message, self.clock.now());
                Ok(Turn::Worked)
            }
            Err(error) => self.failed(port, &positions, &error),
        }
    }

    /// Claims no more than one transaction takes: what is not claimed yet can still be cancelled without a write.
    fn claim(&mut self, now: Timestamp) -> Result<(), Stopped> {
        let max = self.pace.ops().saturating_sub(self.outbox.runnable(now));
        if max == 0 || self.outbox.len() >= HELD_MAX {
            return Ok(());
        }
        match self.submit(vec![Event::Claim { ticket: 0, max }])?.pop() {
            Some(Answer::Claimed { ops }) => {
                for given in ops {
                    self.outbox.add(given.op.position, given.op.slot.clone(), given, now);
                }
            }
            _ => self.halt(LegacyErrorKind::Halt, "the desk did not answer a claim with ops".to_owned(), now),
        }
        Ok(())
    }

    fn carry_out_orders(&mut self, now: Timestamp) -> Result<(), Stopped> {
        for order in self.around.orders.take() {
            match order {
                Order::Retry { op } if self.outbox.retry(op, now) => {
                    tracing::info!(op = op.0, "an op that was set aside runs again as ordered");
                }
                Order::Settle { op, reply } if self.outbox.asides().any(|(position, _)| position == op) => {
                    tracing::warn!(op = op.0, "an op that was set aside is settled as ordered");
                    self.finish(vec![(op, outcome(op, reply))], None)?;
                }
                Order::Retry { op } | Order::Settle { op, .. } => {
                    tracing::warn!(op = op.0, "an order names an op that is not set aside; nothing is done");
                }
            }
        }
        Ok(())
    }

    /// `applied`: how many ops the legacy system has applied by now. Told first, so that no outcome is ever kept without
    /// the count that covers it.
    fn finish(&mut self, results: Vec<(Position, OpResult)>, applied: Option<u64>) -> Result<(), Stopped> {
        if results.is_empty() {
            return Ok(());
        }
        let outcomes: Vec<(Position, &'static str)> = results.iter().map(|(op, result)| (*op, code(result))).collect();
        let count = applied.filter(|count| *count > 0).map(|count| Event::Applied { count });
        let done = results.into_iter().map(|(op, result)| Event::OpDone { op, result });
        self.submit(count.into_iter().chain(done).collect())?;
        for (position, outcome) in outcomes {
            self.outbox.done(position);
            self.tell(|stats| *stats.outcomes.entry(outcome).or_default() += 1);
        }
        self.standing.look_at_releases();
        Ok(())
    }

    pub(super) fn submit(&self, events: Vec<Event>) -> Result<Vec<Answer>, Stopped> {
        let answers = self.intake.submit_all_blocking(events).map_err(|_| Stopped::Desk)?;
        if answers.iter().any(|answer| matches!(answer, Answer::NotDurable)) {
            return Err(Stopped::Desk);
        }
        Ok(answers)
    }

    fn idle(&self, now: Timestamp) -> Turn {
        let idle_ms = self.settings.idle_ms.min(self.settings.control_interval_ms);
        let due = self.outbox.next_due().map_or(idle_ms, |due| due.since_ms(now).max(1).unsigned_abs());
        Turn::Idle { wait_ms: due.min(idle_ms) }
    }

    pub(super) fn tell(&self, change: impl FnOnce(&mut Stats)) {
        change(&mut self.stats.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
    }

    pub(super) fn told(&self) {
        let aside = self.outbox.asides().map(|(op, waiting)| Aside {
            op,
            id: self.lives.id(op).to_string(),
            slot: waiting.slot.clone(),
            kind: kind(&waiting.op.op.what),
            why: waiting.aside.clone().unwrap_or_default(),
            since: waiting.since,
        });
        let aside: Vec<Aside> = aside.collect();
        self.tell(|stats| {
            stats.status = self.status();
            stats.control = self.standing.control;
            stats.fence_open = self.standing.fence_open;
            stats.batch_max = self.pace.ops();
            stats.waiting = self.outbox.len();
            stats.in_doubt = self.outbox.in_doubt();
            stats.oldest_at = self.outbox.oldest();
            stats.releases = self.standing.releases.len();
            stats.aside = aside;
        });
    }

    fn status(&self) -> Status {
        match &self.hold {
            Some(hold) => hold.status.clone(),
            None if !self.is_connected => Status::Unreachable,
            None => self.standing.status(),
        }
    }
}

/// What an operator does about an op whose person is unlinked: nobody can ask the legacy system about it any more.
const UNLINKED: &str = "its person is unlinked and it may have run: look its id up in SB_APPLIED, then `slotbridge ledger \
                        settle` it with the RESULT found there, or with --not-applied where there is none";

fn kind(what: &OpWhat) -> &'static str {
    match what {
        OpWhat::Take { .. } => "take",
        OpWhat::Return { .. } => "return",
        OpWhat::Convert { .. } => "convert",
        OpWhat::Place { .. } => "place",
        OpWhat::Cancel { .. } => "cancel",
        OpWhat::Mend { .. } => "mend",
    }
}

/// A reply that says that an op never ran and never will.
pub fn not_applied() -> OpReply {
    OpReply::LegacyRule { code: "not_applied".to_owned() }
}
