//! What follows from an error of the legacy system, by its kind. Nothing here ends the thread.

use super::stats::Status;
use super::{Stopped, Turn, Worker};
use crate::decide::Event;
use crate::domain::{Position, Timestamp};
use crate::legacy::{LegacyError, LegacyErrorKind, LegacyWrite, UNLISTED};
use crate::schedule::Backoff;

/// Ops that may be set aside at once. More of them are no matter of single ops: then all writing halts.
pub const ASIDE_MAX: usize = 100;

/// A pause of all writing.
pub(super) struct Hold {
    pub(super) status: Status,
    /// The agency is not asked either: asking is what failed.
    pub(super) is_quiet: bool,
    ends: Ends,
}

enum Ends {
    /// A pause over which the connection lasts.
    At(Timestamp),
    /// After it, over a new connection: grants and settings may be of a session.
    Anew(Timestamp),
    /// When the secrets are no longer those that were refused.
    Secrets(u64),
}

impl Worker {
    /// `Some` while nothing may be written.
    pub(super) fn held(&mut self, now: Timestamp) -> Option<Turn> {
        let (until, anew) = match self.hold.as_ref()?.ends {
            Ends::At(until) => (until, false),
            Ends::Anew(until) => (until, true),
            Ends::Secrets(_) => return Some(Turn::Lost { wait_ms: self.settings.control_interval_ms }),
        };
        let left_ms = until.since_ms(now);
        if left_ms > 0 {
            let wait_ms = left_ms.unsigned_abs().min(self.settings.control_interval_ms);
            return Some(Turn::Idle { wait_ms });
        }
        self.hold = None;
        anew.then_some(Turn::Lost { wait_ms: 0 })
    }

    /// For the loop: `Some` = not yet, ask again after so many milliseconds.
    pub fn may_connect(&mut self) -> Option<u64> {
        let Some(Hold { ends: Ends::Secrets(refused), .. }) = &self.hold else { return None };
        if (self.around.secrets)() == *refused {
            return Some(self.settings.control_interval_ms);
        }
        tracing::warn!("the secret has changed; the legacy system is tried again");
        self.hold = None;
        None
    }

    /// For the loop: a connection could not be opened.
    pub fn unreachable(&mut self, error: &LegacyError) -> Turn {
        self.is_connected = false;
        let now = self.clock.now();
        let wait_ms = match self.troubled(error, now) {
            Turn::Worked => 0,
            Turn::Idle { wait_ms } | Turn::Lost { wait_ms } => wait_ms,
        };
        // Over a connection that never was, nothing is held: the loop waits, and tries again.
        let wait_ms = match &self.hold {
            Some(Hold { ends: Ends::At(until) | Ends::Anew(until), .. }) => until.since_ms(now).max(0).unsigned_abs(),
            _ => wait_ms,
        };
        self.told();
        Turn::Lost { wait_ms }
    }

    /// For the loop: may the bridge show that it lives? Behind a closed fence it writes nothing at all, so not before the
    /// fence was read over this connection; at STOP it does, because script 94 relies on the count of unapplied bookings
    /// being the newest.
    pub fn may_beat(&self) -> bool {
        self.standing.is_read() && !self.standing.is_fenced() && self.hold.is_none()
    }

    /// For the loop: the heartbeat could not be written. Whatever it was, the session may be another one's by now.
    /// `Some` = the connection is gone.
    pub fn unbeaten(&mut self, error: &LegacyError) -> Option<Turn> {
        self.standing.forget();
        if error.kind != LegacyErrorKind::Lost {
            tracing::warn!(class = error.class, %error, "the heartbeat could not be written");
            return None;
        }
        self.is_connected = false;
        let turn = self.troubled(error, self.clock.now());
        self.told();
        Some(turn)
    }

    /// May what is old be tidied away in the legacy system now?
    pub(super) fn may_tidy(&self) -> bool {
        self.standing.may_write() && self.hold.is_none()
    }

    /// A transaction of these ops failed.
    pub(super) fn failed(
        &mut self,
        port: &mut dyn LegacyWrite,
        positions: &[Position],
        error: &LegacyError,
    ) -> Result<Turn, Stopped> {
        // The adapter may go on over another session, of a server that is another since: compared anew before any op.
        self.standing.forget();
        let now = self.clock.now();
        let seed = positions.first().map_or(0, |position| position.0);
        let newly = self.outbox.failed(positions, error.in_doubt, now, seed);
        if !newly.is_empty() {
            self.submit(newly.into_iter().map(|op| Event::OpInDoubt { op }).collect())?;
        }
        if error.kind == LegacyErrorKind::Operator {
            // The switch may have been turned, or the fence closed, since they were asked; that is no fault.
            self.standing.ask_anew();
            if let Some(turn) = self.ask_agency(port, now)? {
                return Ok(turn);
            }
            if !self.standing.may_write() {
                return Ok(Turn::Idle { wait_ms: self.settings.control_interval_ms });
            }
        }
        if error.kind == LegacyErrorKind::Halt && error.class == UNLISTED {
            return Ok(self.struck(positions, error, now));
        }
        let turn = self.troubled(error, now);
        if let Some(hold) = &mut self.hold {
            // Writing failed, not asking: the agency is obeyed meanwhile.
            hold.is_quiet = false;
        }
        Ok(turn)
    }

    /// An error that no table lists struck one of these ops: that op halts and the others go on.
    fn struck(&mut self, positions: &[Position], error: &LegacyError, now: Timestamp) -> Turn {
        self.tell(|stats| stats.failures += 1);
        match positions {
            [op] if self.outbox.asides().count() < ASIDE_MAX => {
                self.set_aside(*op, &format!("{error}; what became of it is unknown until it has run again"));
                Turn::Worked
            }
            [_] => {
                let message = format!("{ASIDE_MAX} ops are set aside already, and another failed: {error}");
                self.halt(LegacyErrorKind::Halt, message, now);
                Turn::Worked
            }
            _ => {
                tracing::warn!(ops = positions.len(), %error, "a transaction failed; each of its ops is tried alone");
                self.outbox.isolate(positions, now);
                Turn::Worked
            }
        }
    }

    pub(super) fn set_aside(&mut self, op: Position, why: &str) {
        self.outbox.set_aside(op, why);
        let id = self.lives.id(op);
        tracing::error!(op = op.0, %id, why,
            "an op is set aside, and later ops of its slot and its person wait: mend the cause and have it tried again \
             with `slotbridge ledger retry`, or say what became of it with `slotbridge ledger settle`");
    }

    /// Something succeeded: no trouble is old news any more.
    pub(super) fn well(&mut self) {
        if let Some(class) = self.troubled_by.take() {
            tracing::info!(class, "write-back works again");
        }
        self.failures = 0;
    }

    pub(super) fn troubled(&mut self, error: &LegacyError, now: Timestamp) -> Turn {
        self.failures = self.failures.saturating_add(1);
        self.tell(|stats| stats.failures += 1);
        let is_news = self.troubled_by.replace(error.class) != Some(error.class);
        let first_ms = match error.kind {
            LegacyErrorKind::Wait => self.settings.scarce_first_ms,
            _ => self.settings.pause_first_ms,
        };
        let backoff = Backoff { first_ms, last_ms: self.settings.pause_last_ms.max(first_ms) };
        let wait_ms = backoff.pause_ms(self.failures, now.0.unsigned_abs());
        let in_doubt = error.in_doubt;
        match error.kind {
            LegacyErrorKind::Retry => {
                tracing::warn!(class = error.class, in_doubt, failures = self.failures, %error,
                    "a write-back transaction failed and is repeated");
                // The ops wait as long as the outbox says; the agency is asked meanwhile.
                Turn::Idle { wait_ms: wait_ms.min(self.settings.control_interval_ms) }
            }
            LegacyErrorKind::Wait => {
                say(is_news, error, wait_ms, "the legacy system is out of something; write-back pauses");
                self.hold = Some(Hold { status: Status::Waiting, is_quiet: true, ends: Ends::At(plus(now, wait_ms)) });
                Turn::Idle { wait_ms: wait_ms.min(self.settings.control_interval_ms) }
            }
            LegacyErrorKind::Lost => {
                tracing::warn!(class = error.class, in_doubt, failures = self.failures, wait_ms, %error,
                    "the legacy system cannot be reached");
                Turn::Lost { wait_ms }
            }
            LegacyErrorKind::Credentials => {
                say(is_news, error, 0, "the account is refused; it is not tried again before its secret file changes");
                let ends = Ends::Secrets((self.around.secrets)());
                self.hold = Some(Hold { status: halted(error.kind, error.to_string()), is_quiet: true, ends });
                Turn::Lost { wait_ms: self.settings.control_interval_ms }
            }
            LegacyErrorKind::Operator | LegacyErrorKind::Schema | LegacyErrorKind::Halt => {
                let wait_ms = self.settings.operator_retry_ms;
                say(is_news, error, wait_ms, "write-back stands still until somebody acts, and is then tried again");
                let (status, ends) = (halted(error.kind, error.to_string()), Ends::Anew(plus(now, wait_ms)));
                self.hold = Some(Hold { status, is_quiet: true, ends });
                Turn::Idle { wait_ms: self.settings.control_interval_ms }
            }
        }
    }

    /// A contradiction that no error of the legacy system states: as one, with our own words.
    pub(super) fn halt(&mut self, kind: LegacyErrorKind, message: String, now: Timestamp) {
        self.troubled(&LegacyError::new(kind, message), now);
        if let Some(hold) = &mut self.hold {
            hold.is_quiet = false;
        }
    }
}

/// The same trouble again is a warning; the first time it wants a person.
fn say(is_news: bool, error: &LegacyError, wait_ms: u64, what: &str) {
    if is_news {
        tracing::error!(class = error.class, wait_ms, %error, "{what}");
    } else {
        tracing::warn!(class = error.class, wait_ms, %error, "{what}");
    }
}

fn halted(kind: LegacyErrorKind, message: String) -> Status {
    Status::Halted { kind, message }
}

fn plus(now: Timestamp, ms: u64) -> Timestamp {
    now.plus_ms(i64::try_from(ms).unwrap_or(i64::MAX / 2))
}
