//! Which ops the write-back worker gets.

use std::collections::BTreeSet;

use crate::domain::{AllotmentMode, BookingStatus, Control, Position, SlotKey, Timestamp};

use super::book::SlotNo;
use super::desk::Desk;
use super::entry::{OpResult, OpWhat, Rejection, What};
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
    /// a person must not overtake another. Nor may an op of a slot, or after a restart with ops in doubt they would be
    /// told in another order than they ran in, and a fact from between them would pass for the newest; the price is that
    /// a slot waits for an op whose person has another one elsewhere. Given is claimed: a later cancel no longer
    /// coalesces with its convert.
    pub(super) fn claim(&mut self, ticket: u64, max: usize, effects: &mut Effects) {
        let mut ops = Vec::new();
        if self.book.control != Control::Stop {
            let look_at = max.saturating_mul(4) + PASSED_OVER_MAX + self.book.pending as usize;
            let candidates: Vec<Position> = self.book.waiting.iter().copied().take(look_at).collect();
            let mut held: BTreeSet<SlotKey> = BTreeSet::new();
            for position in candidates {
                if ops.len() == max {
                    break;
                }
                let slot = self.book.ops.get(&position).map(|pending| pending.op.slot.clone());
                let Some(slot) = slot.filter(|slot| !held.contains(slot)) else { continue };
                match self.given(position) {
                    Some(given) => ops.push(given),
                    None => drop(held.insert(slot)),
                }
            }
            self.claim_places(max, &mut ops, effects);
        }
        effects.after_durable.push(After::Claimed { ticket, ops });
    }

    fn claim_places(&mut self, max: usize, ops: &mut Vec<Given>, effects: &mut Effects) {
        self.end_late_places(effects);
        self.pace.refill(self.now, self.policy.on_request_per_s);
        let look_at = max.saturating_mul(4) + PASSED_OVER_MAX;
        let candidates: Vec<Position> = self.book.places.iter().copied().take(look_at).collect();
        for position in candidates {
            if self.place_is_held(position) {
                continue;
            }
            if ops.len() >= max || (self.is_first_of_person(position) && !self.pace.take()) {
                break;
            }
            ops.extend(self.given(position));
        }
    }

    /// Must the place op wait? It takes a unit, and none is taken now. One that may have run is asked again all the same.
    fn place_is_held(&mut self, position: Position) -> bool {
        let Some(no) = self.unsent_place(position).filter(|no| self.holds_none(*no)) else { return false };
        let held_until = self.book.held_until.max(self.book.slot(no).held_until);
        let until = [Some(held_until), self.quiet_edge].into_iter().flatten().filter(|at| *at > self.now).min();
        self.places_held = [self.places_held, until].into_iter().flatten().min();
        true
    }

    /// The slot of a place op that certainly nobody has run.
    fn unsent_place(&self, position: Position) -> Option<SlotNo> {
        let pending = self.book.ops.get(&position).filter(|pending| !pending.claimed)?;
        let OpWhat::Place { booking, .. } = &pending.op.what else { return None };
        let waits = self.book.bookings.get(booking).is_some_and(|b| b.status == BookingStatus::Pending);
        self.book.slot_no(&pending.op.slot).filter(|_| waits)
    }

    /// Place ops that were not sent before the cutoff of their slot are not sent any more.
    pub(super) fn end_late_places(&mut self, effects: &mut Effects) {
        let is_late = |no: SlotNo| {
            let fact = self.book.slot(no).fact.as_ref();
            fact.is_some_and(|fact| self.now >= fact.start.plus_ms(-self.policy.cutoff_ms))
        };
        let places = self.book.places.iter().copied();
        let late: Vec<Position> = places.filter(|op| self.unsent_place(*op).is_some_and(is_late)).collect();
        for op in late {
            let result = OpResult::Rejected { reason: Rejection::NotAsked };
            self.persist(What::OpDone { op, result }, effects);
        }
    }

    /// Place ops that waited for the agency may go.
    pub(super) fn mind_held_places(&mut self, effects: &mut Effects) {
        if self.places_held.is_some_and(|until| until <= self.now) {
            self.places_held = None;
            self.wake_worker(effects);
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
        // What the class says now, but a booking that was asked for on request is placed and cancelled so for ever.
        let of_booking = match &op.what {
            OpWhat::Place { .. } => true,
            OpWhat::Cancel { booking, .. } => self.book.bookings.get(booking).is_some_and(|b| b.on_request),
            _ => false,
        };
        let mode = match self.book.slot_no(&op.slot) {
            _ if of_booking => AllotmentMode::OnRequest,
            Some(no) => self.mode_of_units(no),
            None => self.policy.mode,
        };
        Some(Given { op, mode, honour })
    }
}
