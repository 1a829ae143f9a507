//! What one thread does, a turn at a time: which poll is due, and what a failure means for it, for its objects and for
//! its connection.
//!
//! Holds no thread and no clock of its own, so that tests drive it by hand. Invariants: a view that is not as declared
//! halts its own cut group and nothing else; what only a person can mend is said once and tried again once a minute.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::lane::Lane;
use super::pace::{Pace, Turned};
use super::stats::Poll;
use super::{Capture, CaptureError, locked};
use crate::domain::ObjectName;
use crate::legacy::{LegacyError, LegacyErrorKind, LegacyRead};

/// Opens a connection to the legacy system, on the thread that will use it.
pub type Connect = Arc<dyn Fn() -> Result<Box<dyn LegacyRead>, LegacyError> + Send + Sync>;

/// Pause after a failure: doubled from the first to the last.
const PAUSE_FIRST_MS: u64 = 500;
const PAUSE_LAST_MS: u64 = 60_000;
/// First pause where limits or space ran out, or a standby is late: no use in hurry.
const PAUSE_WAIT_MS: u64 = 10_000;
/// Pause where a person must act.
const PAUSE_PERSON_MS: u64 = 60_000;

enum Work {
    Full,
    Hint(Poll, ObjectName),
    Persons,
    /// Whole view against catalogue.
    Columns(ObjectName),
}

/// One kind of poll of one object or cut group.
struct Job {
    work: Work,
    /// The cut group: halted as one.
    group: Vec<ObjectName>,
    pace: Pace,
    due: Instant,
    /// Asked for by an operator: hours do not matter.
    called: bool,
    /// The first one after a start does not wait for its hours.
    ran: bool,
    pause_ms: u64,
}

pub struct Turns {
    name: &'static str,
    capture: Arc<Capture>,
    connect: Connect,
    lane: Lane,
    reader: Option<Box<dyn LegacyRead>>,
    jobs: Vec<Job>,
    paused_until: Option<Instant>,
    pause_ms: u64,
    /// What a person must mend has been said.
    said: bool,
}

impl Capture {
    /// The lanes: full cuts, hints and persons, each with a connection of its own, so that a long cut never holds up
    /// the fast poll.
    pub fn turns(self: &Arc<Self>, connect: &Connect, now: Instant) -> Result<Vec<Turns>, CaptureError> {
        let groups = Lane::groups(self);
        let job = |work: Work, poll: Poll, group: Vec<ObjectName>| Job {
            work,
            group,
            pace: Pace::new(poll, &self.settings),
            due: now,
            called: false,
            ran: false,
            pause_ms: PAUSE_FIRST_MS,
        };
        let mut full: Vec<Job> = groups.iter().map(|group| job(Work::Full, Poll::Full, group.clone())).collect();
        let mut hints = Vec::new();
        for plan in self.hinted_plans() {
            let object = &plan.layout.object;
            let group = groups.iter().find(|group| group.contains(object)).cloned().unwrap_or_default();
            let is_used = |poll: &Poll| *poll != Poll::Hot || self.hot_keys.is_some();
            for poll in self.settings.polls_of(plan).filter(is_used) {
                hints.push(job(Work::Hint(poll, object.clone()), poll, group.clone()));
            }
        }
        let person = self.plan("person").map(|plan| vec![plan.layout.object.clone()]);
        let persons: Vec<Job> = person.into_iter().map(|group| job(Work::Persons, Poll::Persons, group)).collect();
        let looks = self.watched().into_iter().map(|object| {
            let group = vec![object.clone()];
            job(Work::Columns(object), Poll::Full, group)
        });
        // With the hints, whose turns are short: a comparison must not wait for a cut that takes an hour.
        let quick = if hints.is_empty() { &mut full } else { &mut hints };
        quick.extend(looks);
        let lanes = [("capture-full", full), ("capture-hints", hints), ("capture-persons", persons)];
        let lane = |(name, jobs)| {
            let lane = Lane::new(self)?;
            let (capture, connect) = (self.clone(), connect.clone());
            let (reader, paused_until, pause_ms, said) = (None, None, PAUSE_FIRST_MS, false);
            Ok(Turns { name, capture, connect, lane, reader, jobs, paused_until, pause_ms, said })
        };
        lanes.into_iter().filter(|(_, jobs)| !jobs.is_empty()).map(lane).collect()
    }
}

impl Turns {
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// When there is something to do again.
    pub fn due(&self) -> Option<Instant> {
        let due = self.jobs.iter().map(|job| job.due).min()?;
        Some(self.paused_until.map_or(due, |until| due.max(until)))
    }

    /// Full cuts and persons now, whatever intervals and hours say.
    pub fn call(&mut self, now: Instant) {
        for job in self.jobs.iter_mut().filter(|job| !matches!(job.work, Work::Hint(..))) {
            (job.due, job.called) = (now, true);
        }
    }

    /// Runs every poll that is due. Only an end is an error: everything else is dealt with here.
    pub fn turn(&mut self, now: &dyn Fn() -> Instant) -> Result<(), CaptureError> {
        let mut ran = false;
        for at in 0..self.jobs.len() {
            if self.paused_until.is_some_and(|until| until > now()) {
                return Ok(());
            }
            if self.jobs[at].due > now() {
                continue;
            }
            match self.open().and_then(|()| self.run(at, now)) {
                Ok(done) => ran |= done,
                Err(error @ (CaptureError::DeskStopped | CaptureError::Stopping)) => return Err(error),
                Err(error) => self.failed(at, &error, now()),
            }
        }
        if ran && self.paused_until.is_none_or(|until| until <= now()) {
            (self.paused_until, self.pause_ms) = (None, PAUSE_FIRST_MS);
            if std::mem::take(&mut self.said) {
                tracing::info!(lane = self.name, "the legacy system can be read again");
            }
        }
        Ok(())
    }

    fn open(&mut self) -> Result<(), CaptureError> {
        if self.reader.is_none() {
            let opened = (self.connect)().map_err(|error| match error.kind {
                // About no object yet.
                LegacyErrorKind::Schema => LegacyError { kind: LegacyErrorKind::Operator, ..error },
                _ => error,
            });
            self.reader = Some(opened?);
        }
        Ok(())
    }

    /// Runs a poll, unless its hours or a halt of its objects put it off. Returns whether it ran.
    fn run(&mut self, at: usize, now: &dyn Fn() -> Instant) -> Result<bool, CaptureError> {
        let (job, capture) = (&mut self.jobs[at], &self.capture);
        let Some(reader) = self.reader.as_deref_mut() else { return Ok(false) };
        let (begun, before) = (now(), reader.statements());
        if let Work::Columns(object) = &job.work {
            job.due = begun + capture.look(object, reader)?;
            (job.called, job.ran, job.pause_ms) = (false, true, PAUSE_FIRST_MS);
            locked(&capture.stats).statements += reader.statements().saturating_sub(before);
            return Ok(true);
        }
        if let (Work::Persons, Some(hours), true, false) =
            (&job.work, capture.settings.persons_hours, job.ran, job.called)
        {
            let wait_ms = hours.wait_ms(capture.clock.now());
            if wait_ms > 0 {
                job.due = begun + Duration::from_millis(wait_ms);
                return Ok(false);
            }
        }
        let mut until = capture.halted_until(&job.group, reader, begun)?;
        if until.is_none() && !matches!(job.work, Work::Hint(..)) {
            until = capture.checked(&job.group, reader, begun)?;
        }
        if let Some(until) = until {
            job.due = until;
            return Ok(false);
        }
        let report = match &job.work {
            Work::Full => {
                let report = self.lane.full(&job.group, reader)?;
                if job.group.iter().any(|object| object.as_str() == "slot") {
                    self.lane.purge()?;
                }
                report
            }
            Work::Hint(poll, object) => self.lane.hint(*poll, object, reader)?.unwrap_or_default(),
            Work::Persons => self.lane.persons(reader)?,
            Work::Columns(_) => return Ok(false),
        };
        (job.called, job.ran, job.pause_ms) = (false, true, PAUSE_FIRST_MS);
        capture.turned(&job.work, job.pace.judge(&report));
        let read_ms = report.read_us / 1_000;
        let wait_ms = job.pace.next_ms(read_ms);
        job.due = begun + Duration::from_millis(wait_ms);
        locked(&capture.stats).statements += reader.statements().saturating_sub(before);
        tracing::debug!(lane = self.name, read_ms, wait_ms, "polled");
        Ok(true)
    }

    fn failed(&mut self, at: usize, error: &CaptureError, now: Instant) {
        self.capture.not_looked();
        let kind = match error {
            CaptureError::Legacy(error) => error.kind,
            // The mirror's or the register's: a new connection does no harm.
            _ => LegacyErrorKind::Halt,
        };
        match kind {
            LegacyErrorKind::Schema => {
                let job = &mut self.jobs[at];
                self.capture.halt(&job.group, &error.to_string(), now);
                job.due = now + Duration::from_millis(PAUSE_FIRST_MS);
            }
            LegacyErrorKind::Retry => {
                let job = &mut self.jobs[at];
                let pause_ms = job.pause_ms;
                job.due = now + Duration::from_millis(pause_ms);
                job.pause_ms = (pause_ms * 2).min(PAUSE_LAST_MS);
                tracing::warn!(lane = self.name, code = error.code(), %error, pause_ms, "a poll failed");
            }
            LegacyErrorKind::Credentials | LegacyErrorKind::Operator => {
                self.pause(now, PAUSE_PERSON_MS);
                if !std::mem::replace(&mut self.said, true) {
                    let lane = self.name;
                    tracing::error!(lane, code = error.code(), %error, "the legacy system cannot be read; somebody must act");
                }
            }
            LegacyErrorKind::Wait => {
                let pause_ms = self.pause_ms.max(PAUSE_WAIT_MS);
                self.pause(now, pause_ms);
                tracing::warn!(lane = self.name, code = error.code(), %error, pause_ms, "a poll failed");
            }
            LegacyErrorKind::Lost => {
                let pause_ms = self.pause_ms;
                self.pause(now, pause_ms);
                tracing::warn!(lane = self.name, code = error.code(), %error, pause_ms, "a poll failed");
            }
            LegacyErrorKind::Halt => {
                let pause_ms = self.pause_ms;
                self.pause(now, pause_ms);
                tracing::error!(lane = self.name, code = error.code(), %error, pause_ms, "a poll failed");
            }
        }
    }

    /// The whole lane waits, and begins with a new connection.
    fn pause(&mut self, now: Instant, pause_ms: u64) {
        self.reader = None;
        self.paused_until = Some(now + Duration::from_millis(pause_ms));
        self.pause_ms = pause_ms.saturating_mul(2).min(PAUSE_LAST_MS);
    }
}

impl Capture {
    fn turned(&self, work: &Work, turned: Turned) {
        let Work::Hint(poll, object) = work else { return };
        let key = (*poll, object.clone());
        match turned {
            Turned::Same => {}
            Turned::Braked(why) => {
                locked(&self.stats).braked.insert(key, why.code());
                tracing::warn!(
                    hint = poll.code(), object = %object, why = why.code(), interval_ms = super::BRAKED_MS,
                    "a hint behaves as if it read a whole table; it is polled once a minute. Has its column an index?"
                );
            }
            Turned::Released => {
                locked(&self.stats).braked.remove(&key);
                tracing::info!(hint = poll.code(), object = %object, "a hint is well again and polled as set");
            }
        }
    }
}

impl Lane {
    /// Forgets ends of rows that no feed needs any more.
    fn purge(&mut self) -> Result<(), CaptureError> {
        let before = self.capture.clock.now().plus_ms(-self.capture.settings.gone_kept_ms);
        self.capture.mirror.purge_gone(before)?;
        Ok(())
    }
}
