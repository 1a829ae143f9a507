//! Restores (rules 28 and 32): which side is behind, what is driven again, and what a slot's account is afterwards.
//!
//! An op that is driven again keeps its id, so one that was not lost answers as before. That is why everything told
//! after the point was asked is driven again, although some of it was applied before the point: too much costs a
//! statement, too little loses a booking.

use crate::domain::{BookingId, BookingStatus, OpId, Position, Sync, Timestamp};

use super::apply::ReplayError;
use super::book::Book;
use super::conflicts::ConflictKind;
use super::desk::Desk;
use super::entry::{Op, OpWhat, What};
use super::event::{After, Agreement, Effects};

/// Slots that one tick looks at for being settled, and settles.
const LOOKED_AT_MAX: usize = 20_000;

/// How far the legacy system says that it has come: its newest op by id, and how many it has applied.
#[derive(Debug, Clone, Copy)]
pub(super) struct LegacyPoint {
    pub last_op: Option<OpId>,
    pub applied: u64,
}

impl Book {
    /// Where the life began in which `told` stands, if the op was asked before a restore of the ledger. It may have run in
    /// the lost life, before or after others of its slot there: which came last, ids do not tell.
    pub(super) fn outlived(&self, op: Position, told: Position) -> Option<Position> {
        let begins = self.given_up.iter().filter(|(from, until)| op < *from && *until <= told).map(|(_, until)| *until);
        begins.max()
    }

    /// Rule 28: what the legacy system told after it had reached `after` may be lost there.
    pub(super) fn apply_rewound(
        &mut self,
        position: Position,
        at: Timestamp,
        after: Position,
    ) -> Result<(), ReplayError> {
        let again: Vec<BookingId> = self
            .bookings
            .iter()
            .filter(|(_, b)| b.written > after || b.ended > after || b.is_open() || b.vanished_at.is_some())
            .map(|(id, _)| *id)
            .collect();
        for id in again {
            self.drive_again(position, at, id, after)?;
        }
        for slot in self.slots.iter_mut().filter(|slot| slot.done > after) {
            (slot.unsettled, slot.rewound, slot.seen) = (true, Some(position), false);
        }
        self.newest = after;
        self.counters.rewound += 1;
        Ok(())
    }

    fn drive_again(
        &mut self,
        position: Position,
        at: Timestamp,
        id: BookingId,
        after: Position,
    ) -> Result<(), ReplayError> {
        let Some(booking) = self.bookings.get_mut(&id) else { return Ok(()) };
        let alive = matches!(booking.status, BookingStatus::Booked | BookingStatus::Cancelling);
        booking.vanished_at = None;
        // What backed a booking that waits may be lost as well as what is written.
        booking.honour |= alive || booking.status == BookingStatus::Pending;
        if booking.stands && alive && booking.written > after {
            booking.sync = Sync::Queued;
            booking.stands = false;
            let (slot, person, series) = (booking.slot.clone(), booking.person, booking.series.clone());
            let (convert, on_request) = (booking.convert, booking.on_request);
            // What was told of its row was told of one that may be lost.
            self.by_op.remove(&convert);
            let no = self.slot_no_or_new(&slot);
            let account = &mut self.slot_mut(no).units;
            account.converted -= 1;
            let (of_person, series) = ((person, series.clone()), series);
            let what = if on_request {
                account.granted -= 1;
                account.pending += 1;
                self.pending += 1;
                OpWhat::Place { booking: id, person, series }
            } else {
                account.booked += 1;
                OpWhat::Convert { booking: id, person, series }
            };
            self.add_op(Op { position: convert, slot, what }, Some(of_person));
            // It ran before, and may not have been lost: a cancel must not drop it as one that nobody has run.
            if let Some(pending) = self.ops.get_mut(&convert) {
                pending.claimed = true;
            }
            self.touch_booking(id, position, at);
        } else if !booking.stands && booking.ended > after && booking.cancel.is_some() {
            self.stands_again(id)?;
        }
        Ok(())
    }

    /// A booking without a cancel op that it needs gets a new one: an op that was answered only repeats its answer.
    pub(super) fn apply_cancel_again(
        &mut self,
        position: Position,
        at: Timestamp,
        id: BookingId,
    ) -> Result<(), ReplayError> {
        let misfit = |what| ReplayError::DoesNotFit { position, what };
        let Some(booking) = self.bookings.get_mut(&id) else { return Err(misfit("the booking is unknown")) };
        let waits = booking.waits_for_cancel();
        booking.cancel = Some(position);
        if !waits {
            return self.stands_again(id);
        }
        if booking.stands {
            booking.sync = Sync::Applied;
        }
        self.conflicts.retain(|c| c.booking != Some(id) || !matches!(c.kind, ConflictKind::CancelRefused { .. }));
        let (slot, of_person) = (booking.slot.clone(), (booking.person, booking.series.clone()));
        let what = OpWhat::Cancel { booking: id, convert: booking.convert };
        self.add_op(Op { position, slot, what }, Some(of_person));
        self.touch_booking(id, position, at);
        Ok(())
    }

    /// The reservation of an ended booking may stand in the legacy system: its cancel op runs (again).
    pub(super) fn stands_again(&mut self, id: BookingId) -> Result<(), ReplayError> {
        let misfit = |what| ReplayError::DoesNotFit { position: id.0, what };
        let Some(booking) = self.bookings.get_mut(&id) else { return Err(misfit("the booking is unknown")) };
        let Some(cancel) = booking.cancel.filter(|_| !booking.stands && !booking.status.is_active()) else {
            return Err(misfit("the booking is not one to cancel again"));
        };
        booking.stands = true;
        let (slot, of_person) = (booking.slot.clone(), (booking.person, booking.series.clone()));
        let what = OpWhat::Cancel { booking: id, convert: booking.convert };
        let no = self.slot_no_or_new(&slot);
        let account = &mut self.slot_mut(no).units;
        account.converted += 1;
        account.granted += 1;
        self.add_op(Op { position: cancel, slot, what }, Some(of_person));
        Ok(())
    }
}

impl Desk {
    /// A cancel that the worker had when a restore made the convert run again was answered before the convert: a new one
    /// follows it.
    pub(super) fn cancel_overtook(&mut self, id: BookingId, effects: &mut Effects) {
        if self.book.bookings.get(&id).is_some_and(|booking| booking.is_open() && booking.waits_for_cancel()) {
            self.persist(What::CancelAgain { booking: id }, effects);
        }
    }

    pub(super) fn fence(&mut self, ticket: u64, reached: LegacyPoint, ours: bool, effects: &mut Effects) {
        let agreement = self.agreement(reached, ours);
        let agreement = match agreement {
            Agreement::LegacyBehind { .. } => {
                // Also where only smaller ids were lost: what was lost was applied, and told, after `last_op` was asked.
                let after = reached.last_op.map_or(Position::ZERO, |op| op.position);
                let before = self.book.ops.len();
                self.persist(What::LegacyRewound { after }, effects);
                self.persist(What::Applied { count: reached.applied }, effects);
                self.settle_at = Some(self.now.plus_ms(self.policy.settle_ms));
                // Capture may have seen the restored rows before write-back asked.
                let ended = self.book.bookings.iter().filter(|(_, booking)| booking.ended > after);
                let stands = |op| self.book.row_of(op) == Some(true);
                let revived: Vec<BookingId> = ended.filter(|(_, b)| stands(b.convert)).map(|(id, _)| *id).collect();
                for id in revived {
                    self.cancel_revived(id, effects);
                }
                effects.after_durable.push(After::OpsWaiting);
                Agreement::LegacyBehind { again: (self.book.ops.len() - before) as u64 }
            }
            Agreement::Level => {
                self.level_at = Some(self.now);
                Agreement::Level
            }
            other => other,
        };
        if !self.book.given_up.is_empty() {
            // What the mirror held at the start is settled now; later facts settle as they come.
            self.settle_from = Some(0);
        }
        self.fenced |= agreement != Agreement::Foreign;
        effects.after_durable.push(After::Fenced { ticket, agreement });
    }

    /// Rule 32: may the legacy system hold what a lost life of the ledger did and nobody here has read yet? A shell that
    /// tells of no full cut is waited for `settle_ms`.
    pub(super) fn is_settling(&self) -> bool {
        let waited = || self.began_at.is_some_and(|began| self.now >= began.plus_ms(self.policy.settle_ms));
        !self.book.given_up.is_empty() && !(self.fenced && (self.full_cut || waited()))
    }

    fn agreement(&self, reached: LegacyPoint, ours: bool) -> Agreement {
        let (newest, last_op) = (self.book.newest, reached.last_op);
        // Ops do not run in the order of their ids: a restore may lose some and keep the largest.
        let lacks_some = reached.applied < self.book.applied;
        let is_strange = last_op.is_some_and(|op| !self.policy.is_of_ledger(op));
        match last_op.map(|op| op.position) {
            Some(_) if is_strange => Agreement::Foreign,
            None if newest == Position::ZERO && !lacks_some => Agreement::Level,
            None => Agreement::LegacyBehind { again: 0 },
            Some(op) if self.book.is_given_up(op) => Agreement::LedgerBehind,
            // Of this ledger by its name, and never asked: somebody else runs under it.
            Some(op) if !ours || op >= self.next => Agreement::Foreign,
            Some(op) if op < newest || lacks_some => Agreement::LegacyBehind { again: 0 },
            Some(_) => Agreement::Level,
        }
    }

    /// Looks at slots whose row did not change since a restore: what is known of them is taken as it is.
    pub(super) fn settle_some(&mut self, effects: &mut Effects) {
        if self.settle_at.is_some_and(|at| at <= self.now) {
            self.settle_at = None;
            self.book.slots.iter_mut().filter(|slot| slot.unsettled).for_each(|slot| slot.seen = true);
            self.settle_from = Some(0);
        }
        let Some(from) = self.settle_from else { return };
        let until = (from + LOOKED_AT_MAX).min(self.book.slots.len());
        for at in from..until {
            let no = super::book::SlotNo(at as u32);
            self.reconcile(no, effects);
        }
        self.settle_from = (until < self.book.slots.len()).then_some(until);
        if self.settle_from.is_none() && self.settle_at.is_none() && self.book.slots.iter().any(|s| s.unsettled) {
            // Ops of theirs are on the way still.
            self.settle_at = Some(self.now.plus_ms(self.policy.settle_ms));
        }
    }
}
