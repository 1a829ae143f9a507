//! What the outcome of an op changes in the book.

use crate::domain::{BookingId, BookingStatus, EndReason, Position, Sync, Timestamp};

use super::apply::ReplayError;
use super::book::{Book, SlotNo};
use super::conflicts::ConflictKind;
use super::entry::{Op, OpResult, OpWhat, Rejection};

/// Converts of a booking that may find the escrow eroded before it is displaced.
const CONVERT_TRIES_MAX: u8 = 3;

impl Book {
    pub(super) fn apply_done(
        &mut self,
        position: Position,
        at: Timestamp,
        op: Position,
        result: &OpResult,
    ) -> Result<(), ReplayError> {
        let misfit = |what| ReplayError::DoesNotFit { position, what };
        let Some(pending) = self.ops.get(&op) else { return Err(misfit("the op is not pending")) };
        let done = pending.op.clone();
        let of_person = self.person_of(&done.what);
        let no = self.slot_no_or_new(&done.slot);
        self.drop_op(op, of_person);
        self.note_newest(no, position, &done, result);
        match done.what {
            OpWhat::Take { units } => {
                let account = &mut self.slot_mut(no).units;
                account.taking -= units;
                if let OpResult::Taken { units: taken } = result {
                    account.granted += taken;
                }
            }
            OpWhat::Return { units } => {
                let account = &mut self.slot_mut(no).units;
                account.returning -= units;
                if !matches!(result, OpResult::Rejected { reason } if reason.keeps_units()) {
                    account.granted -= units;
                }
            }
            OpWhat::Convert { booking, .. } => self.convert_done(no, booking, result, position, at)?,
            OpWhat::Place { booking, .. } => self.place_done(no, booking, result, position, at)?,
            OpWhat::Cancel { booking, .. } => self.cancel_done(no, booking, result, position, at)?,
            OpWhat::Mend { .. } => self.mend_done(no, result, position, at),
        }
        if self.slot(no).units.holds() { Ok(()) } else { Err(misfit("the units of the slot do not add up")) }
    }

    /// Which op changed the escrow last, and how far the legacy system has come.
    fn note_newest(&mut self, no: SlotNo, position: Position, done: &Op, result: &OpResult) {
        if !matches!(result, OpResult::Rejected { reason } if !reason.is_of_legacy()) {
            self.newest = self.newest.max(done.position);
        }
        let outlived = self.outlived(done.position, position);
        let slot = self.slot_mut(no);
        slot.done = position;
        if matches!(done.what, OpWhat::Place { .. }) {
            return;
        }
        if matches!(result, OpResult::Mended { added: 0, lost: 0, .. }) {
            slot.idle_op = Some(done.position);
        } else if result.moved_units() {
            (slot.last_op, slot.idle_op) = (Some(done.position), None);
            slot.rewound = slot.rewound.filter(|told| *told > done.position);
            if outlived.is_some() {
                (slot.unsettled, slot.rewound, slot.seen) = (true, slot.rewound.max(outlived), false);
            }
        }
    }

    fn convert_done(
        &mut self,
        no: SlotNo,
        id: BookingId,
        result: &OpResult,
        position: Position,
        at: Timestamp,
    ) -> Result<(), ReplayError> {
        let misfit = |what| ReplayError::DoesNotFit { position, what };
        let Some(booking) = self.bookings.get_mut(&id) else { return Err(misfit("the booking is unknown")) };
        match result {
            OpResult::Converted { legacy_ref, over } => {
                booking.sync = Sync::Applied;
                booking.legacy_ref = Some(legacy_ref.clone());
                (booking.stands, booking.written) = (true, position);
                let slot = booking.slot.clone();
                let account = &mut self.slot_mut(no).units;
                account.booked -= 1;
                account.converted += 1;
                if *over {
                    self.counters.honoured += 1;
                    self.note(position, at, &slot, Some(id), ConflictKind::Overrun { units: 1 });
                }
            }
            // One that is being cancelled needs no unit any more: it ends below, with its cancel op.
            OpResult::Rejected { reason: Rejection::EscrowEroded }
                if booking.tries < CONVERT_TRIES_MAX && booking.status != BookingStatus::Cancelling =>
            {
                booking.tries += 1;
                booking.sync = Sync::Queued;
                self.stall(no, id);
            }
            OpResult::Rejected { reason } => {
                // Found wanting again and again, although mended: there is no unit.
                let keeps_unit = reason.keeps_units() && *reason != Rejection::EscrowEroded;
                let account = &mut self.slot_mut(no).units;
                account.booked -= 1;
                if !keeps_unit {
                    account.granted -= 1;
                }
                self.not_written(id, BookingStatus::Displaced, reason.end_reason(), position, at);
                // A successful convert changes nothing that readers of the slot can see.
                self.touch_slot(no, position);
            }
            _ => return Err(misfit("the result is not one of a convert")),
        }
        self.touch_booking(id, position, at);
        Ok(())
    }

    fn place_done(
        &mut self,
        no: SlotNo,
        id: BookingId,
        result: &OpResult,
        position: Position,
        at: Timestamp,
    ) -> Result<(), ReplayError> {
        let misfit = |what| ReplayError::DoesNotFit { position, what };
        let Some(booking) = self.bookings.get_mut(&id) else { return Err(misfit("the booking is unknown")) };
        let was = booking.status;
        let account = &mut self.slots[no.0 as usize].units;
        account.pending -= 1;
        self.pending -= 1;
        match result {
            OpResult::Converted { legacy_ref, .. } => {
                account.granted += 1;
                account.converted += 1;
                booking.sync = Sync::Applied;
                booking.legacy_ref = Some(legacy_ref.clone());
                (booking.stands, booking.written) = (true, position);
                if was == BookingStatus::Pending {
                    booking.status = BookingStatus::Booked;
                }
            }
            OpResult::Rejected { reason } => {
                // One that had been placed before a restore was promised: it is displaced, not refused.
                let ends = if was == BookingStatus::Booked { BookingStatus::Displaced } else { BookingStatus::Refused };
                self.not_written(id, ends, reason.end_reason(), position, at);
            }
            _ => return Err(misfit("the result is not one of a place op")),
        }
        self.touch_booking(id, position, at);
        self.touch_slot(no, position);
        Ok(())
    }

    /// The booking was refused for good. Cancelled before, it stays so, and its cancel op, never given out, has
    /// nothing left to do.
    fn not_written(
        &mut self,
        id: BookingId,
        ends: BookingStatus,
        reason: EndReason,
        position: Position,
        at: Timestamp,
    ) {
        let Some(booking) = self.bookings.get_mut(&id) else { return };
        booking.sync = Sync::Rejected;
        let (person, series, cancel) = (booking.person, booking.series.clone(), booking.cancel);
        if booking.status == BookingStatus::Cancelling {
            booking.status = BookingStatus::Cancelled;
            if let Some(cancel) = cancel {
                self.drop_op(cancel, Some((person, series)));
            }
            return;
        }
        (booking.status, booking.reason) = (ends, Some(reason));
        self.engage(person, &series, |e| e.bridge = None);
        if ends == BookingStatus::Displaced {
            self.displaced(position, at, id, reason);
        }
    }

    /// One that the legacy system refuses is not told as done: the booking stays CANCELLING with sync `rejected`, its
    /// reservation and its unit stay, and an operator sees it and may have it driven again.
    fn cancel_done(
        &mut self,
        no: SlotNo,
        id: BookingId,
        result: &OpResult,
        position: Position,
        at: Timestamp,
    ) -> Result<(), ReplayError> {
        let misfit = |what| ReplayError::DoesNotFit { position, what };
        let Some(booking) = self.bookings.get_mut(&id) else { return Err(misfit("the booking is unknown")) };
        if !booking.stands {
            // Nothing to cancel. Where its convert runs again after a restore, the desk asks for another cancel.
            match booking.is_open() {
                true => booking.cancel = None,
                false if booking.status == BookingStatus::Cancelling => booking.status = BookingStatus::Cancelled,
                false => {}
            }
            self.touch_booking(id, position, at);
            return Ok(());
        }
        if let OpResult::Rejected { reason } = result
            && !matches!(reason, Rejection::ReservationMissing | Rejection::SlotMissing)
        {
            // The reservation stands, and with it the unit.
            (booking.cancel, booking.sync) = (None, Sync::Rejected);
            let slot = booking.slot.clone();
            self.note(position, at, &slot, Some(id), ConflictKind::CancelRefused { reason: *reason });
            self.touch_booking(id, position, at);
            return Ok(());
        }
        (booking.stands, booking.ended) = (false, position);
        if booking.status == BookingStatus::Cancelling {
            booking.status = BookingStatus::Cancelled;
        }
        let account = &mut self.slot_mut(no).units;
        account.converted -= 1;
        if *result != OpResult::TurnedBack {
            account.granted -= 1;
        }
        self.touch_booking(id, position, at);
        self.touch_slot(no, position);
        Ok(())
    }

    fn mend_done(&mut self, no: SlotNo, result: &OpResult, position: Position, at: Timestamp) {
        let slot = self.slot_mut(no);
        slot.mending = None;
        slot.mended_at = at;
        match result {
            OpResult::Mended { lost, over, .. } => {
                slot.eroded = false;
                // Never below what is in use: bookings are honoured.
                let kept = slot.units.granted.saturating_sub(*lost).max(slot.units.in_use());
                slot.units.granted = kept;
                let key = slot.key.clone();
                self.counters.mended += 1;
                self.counters.lost += u64::from(*lost);
                if *lost > 0 {
                    self.note(position, at, &key, None, ConflictKind::Lost { units: *lost });
                }
                if *over > 0 {
                    self.note(position, at, &key, None, ConflictKind::Overrun { units: *over });
                }
                self.touch_slot(no, position);
            }
            // There is nothing to mend: what waits finds that out by itself.
            OpResult::Rejected { reason: Rejection::SlotMissing } => slot.eroded = false,
            _ => {}
        }
    }
}
