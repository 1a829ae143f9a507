//! Which ops the write-back worker gets.

use crate::domain::{Control, Position, Timestamp};

use super::desk::Desk;
use super::entry::OpWhat;
use super::event::{After, Effects, Given};

/// Ops that wait for another one of their person and are passed over in one claim, beside those of pending bookings.
const PASSED_OVER_MAX: usize = 1_000;

/// Paces place ops: each locks a row that native booking wants. Counts in thousandths of an op; holds a second's worth.
#[derive(Debug, Default)]
pub(super) struct Pace {
    level: i64,
    at: Timestamp,
    /// An op had to wait.
    waits: bool,
}

const OP: i64 = 1_000;

impl Pace {
    fn refill(&mut self, now: Timestamp, per_s: u32) {
        let elapsed = now.since_ms(self.at).clamp(0, 1_000);
        self.level = (self.level + elapsed * i64::from(per_s)).min(OP * i64::from(per_s));
        self.at = now;
    }

    fn take(&mut self) -> bool {
        self.waits = self.level < OP;
        if !self.waits {
            self.level -= OP;
        }
        !self.waits
    }

    /// When an op that waits may go.
    pub fn due(&self, per_s: u32) -> Option<Timestamp> {
        let missing = (OP - self.level).max(0);
        (self.waits && per_s > 0).then(|| self.at.plus_ms((missing + i64::from(per_s) - 1) / i64::from(per_s)))
    }

    /// Whoever waits was told.
    pub fn told(&mut self) {
        self.waits = false;
    }
}

impl Desk {
    /// Gives the worker ops that it does not have, oldest first, at most one at a time a person and series: an op of
    /// a person must not overtake another. Given is claimed: a later cancel no longer coalesces with its convert.
    pub(super) fn claim(&mut self, ticket: u64, max: usize, effects: &mut Effects) {
        let mut ops = Vec::new();
        if self.book.control != Control::Stop {
            let look_at = max.saturating_mul(4) + PASSED_OVER_MAX + self.book.pending as usize;
            let candidates: Vec<Position> = self.book.waiting.iter().copied().take(look_at).collect();
            for position in candidates {
                if ops.len() == max {
                    break;
                }
                ops.extend(self.given(position));
            }
            self.claim_places(max, &mut ops);
        }
        effects.after_durable.push(After::Claimed { ticket, ops });
    }

    fn claim_places(&mut self, max: usize, ops: &mut Vec<Given>) {
        self.pace.refill(self.now, self.policy.on_request_per_s);
        let look_at = max.saturating_mul(4) + PASSED_OVER_MAX;
        let candidates: Vec<Position> = self.book.places.iter().copied().take(look_at).collect();
        for position in candidates {
            if ops.len() >= max || (self.is_first_of_person(position) && !self.pace.take()) {
                break;
            }
            ops.extend(self.given(position));
        }
    }

    fn is_first_of_person(&self, position: Position) -> bool {
        let Some(pending) = self.book.ops.get(&position) else { return false };
        let person = self.book.person_of(&pending.op.what);
        let first = person.and_then(|person| self.book.ops_of_person.get(&person)?.first().copied());
        first.is_none_or(|first| first == position)
    }

    fn given(&mut self, position: Position) -> Option<Given> {
        if !self.is_first_of_person(position) {
            return None;
        }
        let pending = self.book.ops.get_mut(&position)?;
        (pending.claimed, pending.given) = (true, true);
        let op = pending.op.clone();
        self.book.waiting.remove(&position);
        self.book.places.remove(&position);
        let honour = match &op.what {
            OpWhat::Convert { booking, .. } => self.book.bookings.get(booking).is_some_and(|b| b.honour),
            _ => false,
        };
        let mode = self.book.slot_no(&op.slot).map_or(self.policy.mode, |no| self.mode(no));
        Some(Given { op, mode, honour })
    }
}
