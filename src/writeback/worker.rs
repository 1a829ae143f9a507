//! One turn of write-back, as a plain function over the port: claim, run, tell.

use std::sync::{Arc, Mutex};

use super::stats::{Stats, Status};
use super::{Settings, Stopped};
use crate::clock::Clock;
use crate::decide::{Event, Given, OpResult, OpWhat, Rejection};
use crate::domain::{Incarnation, OpId, Position, Timestamp};
use crate::durable::Answer;
use crate::intake::Intake;
use crate::legacy::{
    Agency, Control, LegacyError, LegacyErrorKind, LegacyOp, LegacyWrite, MAX_OPS, OpReply, OpRequest, PersonKey,
    Unbacked,
};
use crate::register::Register;
use crate::schedule::{Backoff, Outbox};

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

/// Lives of the ledger, oldest first: (first position, incarnation). An op keeps the incarnation of its position for
/// ever, so that one asked before a restore is still the same op for the legacy system.
#[derive(Debug, Clone)]
pub struct Lives(Vec<(Position, Incarnation)>);

impl Lives {
    /// `None` without a life that begins at or before position 1.
    pub fn new(mut lives: Vec<(Position, Incarnation)>) -> Option<Lives> {
        lives.sort_by_key(|(from, _)| *from);
        lives.first().is_some_and(|(from, _)| *from <= Position(1)).then_some(Lives(lives))
    }

    fn id(&self, position: Position) -> OpId {
        let at = self.0.partition_point(|(from, _)| *from <= position).saturating_sub(1);
        OpId { incarnation: self.0[at].1, position }
    }
}

pub struct Worker {
    intake: Intake,
    register: Arc<Register>,
    clock: Arc<dyn Clock>,
    lives: Lives,
    settings: Settings,
    outbox: Outbox<Given>,
    control: Control,
    control_at: Option<Timestamp>,
    /// Failures in a row, of whatever kind.
    failures: u32,
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
            outbox: Outbox::new(backoff, settings.together_failures_max),
            settings,
            control: Control::Run,
            control_at: None,
            failures: 0,
            stats: Arc::default(),
        }
    }

    pub fn stats(&self) -> Arc<Mutex<Stats>> {
        self.stats.clone()
    }

    /// Asks the switch if it is time, claims what fits, and runs one transaction.
    pub fn turn(&mut self, port: &mut dyn LegacyWrite) -> Result<Turn, Stopped> {
        let before = port.statements();
        let turn = self.worked(port);
        let statements = port.statements().saturating_sub(before);
        self.tell(|stats| stats.statements += statements);
        turn
    }

    fn worked(&mut self, port: &mut dyn LegacyWrite) -> Result<Turn, Stopped> {
        let now = self.clock.now();
        if let Some(failed) = self.ask_switch(port, now)? {
            return Ok(failed);
        }
        if self.control == Control::Stop {
            return Ok(Turn::Idle { wait_ms: self.settings.control_interval_ms });
        }
        self.claim(now)?;
        let batch = self.outbox.batch(now, self.batch_max());
        if batch.is_empty() {
            return Ok(self.idle(now));
        }
        let mut requests = Vec::with_capacity(batch.len());
        for (position, waiting) in &batch {
            match self.request(&waiting.op) {
                Ok(Some(request)) => requests.push((*position, request)),
                Ok(None) if waiting.in_doubt => return Err(self.halt(*position, "an op in doubt has lost its person")),
                Ok(None) => {
                    tracing::warn!(op = position.0, "the person of a convert was unlinked; the booking ends");
                    let result = OpResult::Rejected { reason: Rejection::LegacyRule };
                    self.finish(vec![(*position, result)])?;
                }
                Err(stopped) => return Err(stopped),
            }
        }
        if requests.is_empty() {
            return Ok(Turn::Worked);
        }
        self.run(port, requests)
    }

    fn run(&mut self, port: &mut dyn LegacyWrite, requests: Vec<(Position, OpRequest)>) -> Result<Turn, Stopped> {
        let (positions, requests): (Vec<Position>, Vec<OpRequest>) = requests.into_iter().unzip();
        self.tell(|stats| stats.transactions += 1);
        match port.apply(&requests) {
            Ok(replies) if replies.len() == positions.len() => {
                self.failures = 0;
                let results = positions.into_iter().zip(replies);
                let results = results.map(|(position, reply)| (position, outcome(position, reply))).collect();
                self.finish(results)?;
                Ok(Turn::Worked)
            }
            Ok(_) => Err(self.halt(positions[0], "the legacy system answered another number of ops than it was asked")),
            Err(error) => self.failed(port, &positions, &error),
        }
    }

    fn failed(
        &mut self,
        port: &mut dyn LegacyWrite,
        positions: &[Position],
        error: &LegacyError,
    ) -> Result<Turn, Stopped> {
        let now = self.clock.now();
        let seed = positions.first().map_or(0, |position| position.0);
        let newly = self.outbox.failed(positions, error.in_doubt, now, seed);
        if !newly.is_empty() {
            let events = newly.into_iter().map(|op| Event::OpInDoubt { op }).collect();
            self.submit(events)?;
        }
        if error.kind == LegacyErrorKind::Operator {
            // The switch may have been turned since it was asked; that is no fault.
            self.control_at = None;
            if let Some(turn) = self.ask_switch(port, now)? {
                return Ok(turn);
            }
            if self.control == Control::Stop {
                return Ok(Turn::Idle { wait_ms: self.settings.control_interval_ms });
            }
        }
        self.troubled(error, now)
    }

    /// Retries wait; what only a person can mend stops the worker.
    fn troubled(&mut self, error: &LegacyError, now: Timestamp) -> Result<Turn, Stopped> {
        self.failures = self.failures.saturating_add(1);
        self.tell(|stats| stats.failures += 1);
        let backoff = Backoff { first_ms: self.settings.pause_first_ms, last_ms: self.settings.pause_last_ms };
        let wait_ms = backoff.pause_ms(self.failures, now.0.unsigned_abs());
        match error.kind {
            LegacyErrorKind::Retry | LegacyErrorKind::Wait => {
                tracing::warn!(kind = error.kind.code(), in_doubt = error.in_doubt, failures = self.failures, %error,
                    "a write-back transaction failed and is repeated");
                Ok(Turn::Idle { wait_ms })
            }
            LegacyErrorKind::Lost => {
                tracing::warn!(kind = error.kind.code(), in_doubt = error.in_doubt, failures = self.failures, %error,
                    "the legacy system cannot be reached");
                self.control_at = None;
                self.tell(|stats| stats.status = Status::Unreachable);
                Ok(Turn::Lost { wait_ms })
            }
            LegacyErrorKind::Credentials
            | LegacyErrorKind::Operator
            | LegacyErrorKind::Schema
            | LegacyErrorKind::Halt => Err(self.halted(error.kind, error.message.clone())),
        }
    }

    /// For the loop: a connection could not be opened.
    pub fn unreachable(&mut self, error: &LegacyError) -> Result<Turn, Stopped> {
        let now = self.clock.now();
        self.troubled(error, now)
    }

    fn halt(&mut self, op: Position, why: &str) -> Stopped {
        self.halted(LegacyErrorKind::Halt, format!("op {op}: {why}"))
    }

    fn halted(&mut self, kind: LegacyErrorKind, message: String) -> Stopped {
        tracing::error!(kind = kind.code(), message, "write-back stands still until somebody acts");
        self.tell(|stats| stats.status = Status::Halted { kind, message: message.clone() });
        Stopped::Halted { kind, message }
    }

    /// `Some` = the switch could not be read; nothing may be written then.
    fn ask_switch(&mut self, port: &mut dyn LegacyWrite, now: Timestamp) -> Result<Option<Turn>, Stopped> {
        let every = i64::try_from(self.settings.control_interval_ms).unwrap_or(i64::MAX);
        // A clock that was set back must not keep the switch unasked.
        if self.control_at.is_some_and(|at| (0..every).contains(&now.since_ms(at))) {
            return Ok(None);
        }
        match port.agency() {
            Ok(Agency { control, .. }) => {
                if control != self.control {
                    tracing::warn!(from = ?self.control, to = ?control, "the agency's switch was turned");
                }
                self.control = control;
                self.control_at = Some(now);
                self.tell(|stats| {
                    stats.status = match control {
                        Control::Run => Status::Running,
                        Control::Drain => Status::Draining,
                        Control::Stop => Status::StoppedByAgency,
                    }
                });
                Ok(None)
            }
            Err(error) => {
                self.control_at = None;
                self.troubled(&error, now).map(Some)
            }
        }
    }

    /// Claims no more than one transaction takes: what is not claimed yet can still be cancelled without a write.
    fn claim(&mut self, now: Timestamp) -> Result<(), Stopped> {
        let max = self.batch_max().saturating_sub(self.outbox.len());
        if max == 0 {
            return Ok(());
        }
        match self.submit(vec![Event::Claim { ticket: 0, max }])?.pop() {
            Some(Answer::Claimed { ops }) => {
                for given in ops {
                    self.outbox.add(given.op.position, given.op.slot.clone(), given, now);
                }
                self.told();
                Ok(())
            }
            _ => Err(self.halted(LegacyErrorKind::Halt, String::from("the desk did not answer a claim with ops"))),
        }
    }

    fn request(&mut self, given: &Given) -> Result<Option<OpRequest>, Stopped> {
        let op = &given.op;
        let unbacked = if given.honour { Unbacked::Honour } else { Unbacked::Refuse };
        let person_key = |person| match self.register.person_key(person) {
            Ok(key) => Ok(key.map(PersonKey)),
            Err(error) => Err(error.to_string()),
        };
        let what = match &op.what {
            OpWhat::Take { units } => LegacyOp::Take { units: *units },
            OpWhat::Return { units } => LegacyOp::Return { units: *units },
            OpWhat::Mend { sold } => LegacyOp::Mend { sold: *sold },
            OpWhat::Convert { person, series, .. } => match person_key(*person) {
                Ok(Some(person)) => LegacyOp::Convert { person, series: series.clone(), unbacked },
                Ok(None) => return Ok(None),
                Err(message) => return Err(self.halted(LegacyErrorKind::Operator, message)),
            },
            OpWhat::Place { person, series, .. } => match person_key(*person) {
                Ok(Some(person)) => LegacyOp::Place { person, series: series.clone() },
                Ok(None) => return Ok(None),
                Err(message) => return Err(self.halted(LegacyErrorKind::Operator, message)),
            },
            OpWhat::Cancel { convert, .. } => LegacyOp::Cancel { convert: self.id(*convert) },
        };
        Ok(Some(OpRequest { id: self.id(op.position), slot: op.slot.clone(), mode: given.mode, what }))
    }

    fn id(&self, position: Position) -> OpId {
        self.lives.id(position)
    }

    fn finish(&mut self, results: Vec<(Position, OpResult)>) -> Result<(), Stopped> {
        let outcomes: Vec<(Position, &'static str)> = results.iter().map(|(op, result)| (*op, code(result))).collect();
        self.submit(results.into_iter().map(|(op, result)| Event::OpDone { op, result }).collect())?;
        for (position, outcome) in outcomes {
            self.outbox.done(position);
            self.tell(|stats| *stats.outcomes.entry(outcome).or_default() += 1);
        }
        self.told();
        Ok(())
    }

    fn submit(&self, events: Vec<Event>) -> Result<Vec<Answer>, Stopped> {
        let answers = self.intake.submit_all_blocking(events).map_err(|_| Stopped::Desk)?;
        if answers.iter().any(|answer| matches!(answer, Answer::NotDurable)) {
            return Err(Stopped::Desk);
        }
        Ok(answers)
    }

    fn batch_max(&self) -> usize {
        self.settings.batch_max.clamp(1, MAX_OPS)
    }

    fn idle(&self, now: Timestamp) -> Turn {
        let idle_ms = self.settings.idle_ms.min(self.settings.control_interval_ms);
        let due = self.outbox.next_due().map_or(idle_ms, |due| due.since_ms(now).max(1).unsigned_abs());
        Turn::Idle { wait_ms: due.min(idle_ms) }
    }

    fn tell(&self, change: impl FnOnce(&mut Stats)) {
        change(&mut self.stats.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
    }

    fn told(&self) {
        self.tell(|stats| {
            stats.waiting = self.outbox.len();
            stats.in_doubt = self.outbox.in_doubt();
            stats.oldest_at = self.outbox.oldest();
        });
    }
}

fn outcome(op: Position, reply: OpReply) -> OpResult {
    let rejected = |reason| OpResult::Rejected { reason };
    match reply {
        OpReply::Taken { units } => OpResult::Taken { units },
        OpReply::Returned { units } => OpResult::Returned { units },
        OpReply::Converted { legacy_ref, over } => OpResult::Converted { legacy_ref, over },
        OpReply::GivenUp => OpResult::GivenUp,
        OpReply::Mended { added, lost, over } => OpResult::Mended { added, lost, over },
        OpReply::NoPlace => rejected(Rejection::NoPlace),
        OpReply::TurnedBack => OpResult::TurnedBack,
        OpReply::AlreadyCancelled => OpResult::AlreadyCancelled,
        OpReply::PersonBooked => rejected(Rejection::PersonBooked),
        OpReply::SlotMissing => rejected(Rejection::SlotMissing),
        OpReply::EscrowEroded => rejected(Rejection::EscrowEroded),
        OpReply::LegacyRule { code } => {
            tracing::warn!(op = op.0, code, "a rule of the legacy system refused a write-back");
            rejected(Rejection::LegacyRule)
        }
    }
}

fn code(result: &OpResult) -> &'static str {
    match result {
        OpResult::Taken { .. } => "taken",
        OpResult::Returned { .. } => "returned",
        OpResult::Converted { .. } => "converted",
        OpResult::TurnedBack => "turned_back",
        OpResult::GivenUp => "given_up",
        OpResult::Mended { .. } => "mended",
        OpResult::AlreadyCancelled => "already_cancelled",
        OpResult::Rejected { reason } => reason.code(),
    }
}
