//! What an entry and a fact change in the book. Used by `step` and by replay alike, so that both end the same.
//!
//! Nothing is decided here. An entry that does not fit the book is an error: the ledger is damaged or was written
//! by another version, and going on would sell twice.

use crate::domain::{BookingId, BookingStatus, EndReason, Position, SlotKey, Sync, Timestamp};

use super::book::{Book, Booking};
use super::conflicts::ConflictKind;
use super::entry::{Booked, Entry, Op, OpWhat, What};
use super::event::KnownKey;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    #[error("entry {position} does not fit: {what}")]
    DoesNotFit { position: Position, what: &'static str },
    #[error("entry {found} follows {last}: positions must ascend")]
    OutOfOrder { last: Position, found: Position },
}

impl Book {
    pub(super) fn apply(&mut self, entry: &Entry) -> Result<(), ReplayError> {
        let (position, at) = (entry.position, entry.at);
        let misfit = |what| ReplayError::DoesNotFit { position, what };
        match &entry.what {
            What::Facts { .. } | What::Reserve { .. } => Ok(()),
            What::Booked(booked) => self.apply_booked(position, at, booked),
            What::Requested(booked) => self.apply_requested(position, at, booked),
            What::Refused { partner, key, body, person, evaluated, code } => {
                let of_partner = self.refusals.entry(partner.clone()).or_default();
                of_partner.remembered += 1;
                if *evaluated && let Some(person) = person {
                    let day = at.seoul_day();
                    if of_partner.day != day {
                        of_partner.day = day;
                        of_partner.of_person.clear();
                    }
                    *of_partner.of_person.entry(*person).or_default() += 1;
                }
                debug_assert!(code.is_remembered(), "only remembered refusals are entries");
                self.refused.push_back((at, *key, partner.clone()));
                self.remember_key(KnownKey { key: *key, body: *body, entry: position, at, accepted: false });
                Ok(())
            }
            What::Cancelled { booking, coalesced } => self.apply_cancelled(position, at, *booking, *coalesced),
            What::TakeAsked { slot, units, mode } => {
                let no = self.slot_no_or_new(slot);
                self.slot_mut(no).units.taking += units;
                self.slot_mut(no).demand = 0;
                self.slot_mut(no).taken_as = Some(*mode);
                self.add_op(Op { position, slot: slot.clone(), what: OpWhat::Take { units: *units } }, None);
                Ok(())
            }
            What::ReturnAsked { slot, units } => {
                let no = self.slot_no_or_new(slot);
                if self.slot(no).units.free() < *units {
                    return Err(misfit("more units are returned than are free"));
                }
                self.slot_mut(no).units.returning += units;
                self.add_op(Op { position, slot: slot.clone(), what: OpWhat::Return { units: *units } }, None);
                Ok(())
            }
            What::Assigned { slot, granted } => self.apply_granted(position, slot, *granted),
            What::Settled { slot, granted, last_op } => {
                let no = self.slot_no_or_new(slot);
                let of = self.slot_mut(no);
                (of.last_op, of.idle_op, of.unsettled) = (*last_op, None, false);
                self.apply_granted(position, slot, *granted)
            }
            What::Eroded { slot } => {
                let no = self.slot_no_or_new(slot);
                self.slot_mut(no).eroded = true;
                Ok(())
            }
            What::MendAsked { slot, sold } => {
                let no = self.slot_no_or_new(slot);
                if self.slot(no).mending.is_some() {
                    return Err(misfit("a mend of the slot is pending already"));
                }
                let of = self.slot_mut(no);
                (of.eroded, of.mending) = (true, Some(position));
                of.mend_tries = of.mend_tries.saturating_add(1);
                self.add_op(Op { position, slot: slot.clone(), what: OpWhat::Mend { sold: *sold } }, None);
                Ok(())
            }
            What::Overrun { slot, units } => {
                let no = self.slot_no_or_new(slot);
                self.slot_mut(no).overrun = *units;
                self.note(position, at, slot, None, ConflictKind::Overrun { units: *units });
                Ok(())
            }
            What::Displaced { booking, reason, cancel } => {
                self.apply_displaced(position, at, *booking, *reason, *cancel)
            }
            What::Redriven { booking } => self.apply_redriven(position, at, *booking),
            What::CancelAgain { booking } => self.apply_cancel_again(position, at, *booking),
            What::NativeBeside { booking } => {
                let Some(of) = self.bookings.get(booking) else { return Err(misfit("the booking is unknown")) };
                let slot = of.slot.clone();
                self.counters.rechecked += 1;
                self.note(position, at, &slot, Some(*booking), ConflictKind::NativeBeside);
                Ok(())
            }
            What::Vanished { booking } => {
                let Some(of) = self.bookings.get_mut(booking) else { return Err(misfit("the booking is unknown")) };
                of.vanished_at = Some(at);
                Ok(())
            }
            What::LegacyRewound { after } => self.apply_rewound(position, at, *after),
            What::Applied { count } => {
                self.applied = *count;
                Ok(())
            }
            What::Switched { control } => {
                self.control = *control;
                Ok(())
            }
            What::HeldBack { slot: Some(slot), until } => {
                let no = self.slot_no_or_new(slot);
                self.slot_mut(no).held_until = *until;
                Ok(())
            }
            What::HeldBack { slot: None, until } => {
                self.held_until = *until;
                Ok(())
            }
            What::OpDone { op, result } => self.apply_done(position, at, *op, result),
            What::OpInDoubt { op } => {
                let Some(pending) = self.ops.get_mut(op) else { return Err(misfit("the op is not pending")) };
                pending.claimed = true;
                if let OpWhat::Convert { booking, .. } | OpWhat::Place { booking, .. } = pending.op.what {
                    if let Some(booking) = self.bookings.get_mut(&booking) {
                        booking.sync = Sync::InDoubt;
                    }
                    self.touch_booking(booking, position, at);
                }
                Ok(())
            }
            What::LegacyCancelled { booking } => self.apply_legacy_cancelled(position, at, *booking),
            What::Redefined { slot, .. } => {
                let no = self.slot_no_or_new(slot);
                self.slot_mut(no).version_since = position;
                self.touch_slot(no, position);
                Ok(())
            }
            What::CutOff { slot, start } => {
                let no = self.slot_no_or_new(slot);
                self.slot_mut(no).cut_off = Some(*start);
                self.touch_slot(no, position);
                Ok(())
            }
            What::TokenGiven { partner, person, before, receipt, epoch } => {
                let calls = self.tokens.entry(partner.clone()).or_default();
                calls.count(at.seoul_day(), *epoch, *person, *before);
                self.receipts.insert(*receipt, at);
                self.receipts_by_age.push_back((at, *receipt));
                Ok(())
            }
        }
    }

    fn remember_key(&mut self, known: KnownKey) {
        self.keys.insert(known.key, known);
        self.new_keys.push(known);
    }

    fn apply_granted(&mut self, position: Position, slot: &SlotKey, granted: u32) -> Result<(), ReplayError> {
        let no = self.slot_no_or_new(slot);
        self.slot_mut(no).units.granted = granted;
        let what = "fewer units are assigned than are in use";
        if self.slot(no).units.holds() { Ok(()) } else { Err(ReplayError::DoesNotFit { position, what }) }
    }

    fn apply_booked(&mut self, position: Position, at: Timestamp, booked: &Booked) -> Result<(), ReplayError> {
        let no = self.slot_no_or_new(&booked.slot);
        if self.slot(no).units.free() == 0 {
            return Err(ReplayError::DoesNotFit { position, what: "a unit is sold that is not free" });
        }
        self.slot_mut(no).units.booked += 1;
        let (booking, person, series) = (BookingId(position), booked.person, booked.series.clone());
        self.add_booking(position, at, booked, BookingStatus::Booked, OpWhat::Convert { booking, person, series });
        Ok(())
    }

    fn apply_requested(&mut self, position: Position, at: Timestamp, booked: &Booked) -> Result<(), ReplayError> {
        let no = self.slot_no_or_new(&booked.slot);
        self.slot_mut(no).units.pending += 1;
        self.pending += 1;
        let (booking, person, series) = (BookingId(position), booked.person, booked.series.clone());
        self.add_booking(position, at, booked, BookingStatus::Pending, OpWhat::Place { booking, person, series });
        Ok(())
    }

    fn add_booking(&mut self, position: Position, at: Timestamp, booked: &Booked, status: BookingStatus, what: OpWhat) {
        let no = self.slot_no_or_new(&booked.slot);
        let id = BookingId(position);
        self.bookings.insert(
            id,
            Booking {
                partner: booked.partner.clone(),
                person: booked.person,
                series: booked.series.clone(),
                slot: booked.slot.clone(),
                version: booked.version,
                partner_ref: booked.partner_ref.clone(),
                status,
                sync: Sync::Queued,
                legacy_ref: None,
                reason: None,
                booked_at: at,
                changed_at: at,
                touched: position,
                vanished_at: None,
                on_request: status == BookingStatus::Pending,
                convert: position,
                cancel: None,
                stands: false,
                tries: 0,
                honour: false,
                written: Position::ZERO,
                ended: Position::ZERO,
            },
        );
        let (person, series) = (booked.person, booked.series.clone());
        self.engage(person, &series, |e| e.bridge = Some(id));
        self.add_op(Op { position, slot: booked.slot.clone(), what }, Some((person, series)));
        self.remember_key(KnownKey { key: booked.key, body: booked.body, entry: position, at, accepted: true });
        self.touch_booking(id, position, at);
        self.touch_slot(no, position);
    }

    fn apply_cancelled(
        &mut self,
        position: Position,
        at: Timestamp,
        id: BookingId,
        coalesced: bool,
    ) -> Result<(), ReplayError> {
        let misfit = |what| ReplayError::DoesNotFit { position, what };
        let Some(booking) = self.bookings.get_mut(&id) else { return Err(misfit("the booking is unknown")) };
        if !booking.status.is_active() {
            return Err(misfit("the booking is not active"));
        }
        booking.reason = Some(EndReason::PartnerCancelled);
        booking.status = if coalesced { BookingStatus::Cancelled } else { BookingStatus::Cancelling };
        let convert = booking.convert;
        if coalesced {
            booking.sync = Sync::None;
        } else {
            booking.cancel = Some(position);
        }
        let (slot, person, series) = (booking.slot.clone(), booking.person, booking.series.clone());
        self.engage(person, &series, |e| e.bridge = None);
        let no = self.slot_no_or_new(&slot);
        if coalesced {
            self.drop_convert(position, id)?;
            self.touch_slot(no, position);
        } else {
            self.add_op(Op { position, slot, what: OpWhat::Cancel { booking: id, convert } }, Some((person, series)));
        }
        self.touch_booking(id, position, at);
        Ok(())
    }

    /// The booking is never written: its convert is dropped (or stands still already) and its place is free.
    fn drop_convert(&mut self, position: Position, id: BookingId) -> Result<(), ReplayError> {
        let misfit = |what| ReplayError::DoesNotFit { position, what };
        let Some(booking) = self.bookings.get(&id) else { return Err(misfit("the booking is unknown")) };
        let (convert, on_request, slot) = (booking.convert, booking.on_request, booking.slot.clone());
        let of_person = (booking.person, booking.series.clone());
        let no = self.slot_no_or_new(&slot);
        if !self.unstall(no, id) {
            if !self.ops.contains_key(&convert) {
                return Err(misfit("the convert to drop is not pending"));
            }
            self.drop_op(convert, Some(of_person));
        }
        let account = &mut self.slot_mut(no).units;
        if on_request {
            account.pending -= 1;
            self.pending -= 1;
        } else {
            account.booked -= 1;
        }
        Ok(())
    }

    fn apply_displaced(
        &mut self,
        position: Position,
        at: Timestamp,
        id: BookingId,
        reason: EndReason,
        cancel: bool,
    ) -> Result<(), ReplayError> {
        let misfit = |what| ReplayError::DoesNotFit { position, what };
        let Some(booking) = self.bookings.get_mut(&id) else { return Err(misfit("the booking is unknown")) };
        if booking.status != BookingStatus::Booked || booking.stands != cancel {
            return Err(misfit("the booking is not one to displace"));
        }
        booking.status = BookingStatus::Displaced;
        booking.reason = Some(reason);
        booking.cancel = cancel.then_some(position);
        if !cancel {
            booking.sync = Sync::Rejected;
        }
        let (slot, person, series) = (booking.slot.clone(), booking.person, booking.series.clone());
        let convert = booking.convert;
        self.engage(person, &series, |e| e.bridge = None);
        if cancel {
            let what = OpWhat::Cancel { booking: id, convert };
            self.add_op(Op { position, slot: slot.clone(), what }, Some((person, series)));
            self.counters.rechecked += 1;
        } else {
            self.drop_convert(position, id)?;
        }
        self.displaced(position, at, id, reason);
        self.touch_booking(id, position, at);
        let no = self.slot_no_or_new(&slot);
        self.touch_slot(no, position);
        Ok(())
    }

    /// A stalled booking gets a new convert; a displaced one a unit and a new convert (rule 15).
    fn apply_redriven(&mut self, position: Position, at: Timestamp, id: BookingId) -> Result<(), ReplayError> {
        let misfit = |what| ReplayError::DoesNotFit { position, what };
        let Some(booking) = self.bookings.get(&id) else { return Err(misfit("the booking is unknown")) };
        let (slot, person, series) = (booking.slot.clone(), booking.person, booking.series.clone());
        let (status, was) = (booking.status, booking.convert);
        let no = self.slot_no_or_new(&slot);
        if !self.unstall(no, id) {
            if status != BookingStatus::Displaced || self.slot(no).units.free() == 0 {
                return Err(misfit("the booking is not one to drive again"));
            }
            self.slot_mut(no).units.booked += 1;
            self.engage(person, &series, |e| e.bridge = Some(id));
            self.conflicts.retain(|conflict| conflict.booking != Some(id));
            self.touch_slot(no, position);
        }
        let Some(booking) = self.bookings.get_mut(&id) else { return Err(misfit("the booking is unknown")) };
        if status == BookingStatus::Displaced {
            (booking.status, booking.reason, booking.tries) = (BookingStatus::Booked, None, 0);
        }
        (booking.sync, booking.convert) = (Sync::Queued, position);
        self.redriven.remove(&was);
        self.redriven.insert(position, id);
        self.counters.redriven += 1;
        let what = OpWhat::Convert { booking: id, person, series: series.clone() };
        self.add_op(Op { position, slot, what }, Some((person, series)));
        self.touch_booking(id, position, at);
        Ok(())
    }

    fn apply_legacy_cancelled(&mut self, position: Position, at: Timestamp, id: BookingId) -> Result<(), ReplayError> {
        let misfit = |what| ReplayError::DoesNotFit { position, what };
        let Some(booking) = self.bookings.get_mut(&id) else { return Err(misfit("the booking is unknown")) };
        match booking.status {
            BookingStatus::Booked if booking.sync == Sync::Applied => {
                (booking.status, booking.reason) = (BookingStatus::Cancelled, Some(EndReason::LegacyCancelled));
            }
            // Asked for before, and refused then.
            BookingStatus::Cancelling if booking.stands && booking.waits_for_cancel() => {
                booking.status = BookingStatus::Cancelled;
            }
            BookingStatus::Displaced if booking.stands && booking.waits_for_cancel() => {}
            _ => return Err(misfit("the booking is not applied and active")),
        }
        let ended = booking.status == BookingStatus::Cancelled && booking.reason == Some(EndReason::LegacyCancelled);
        (booking.stands, booking.ended) = (false, position);
        let (slot, person, series) = (booking.slot.clone(), booking.person, booking.series.clone());
        if ended {
            self.engage(person, &series, |e| e.bridge = None);
        }
        self.conflicts.retain(|c| c.booking != Some(id) || !matches!(c.kind, ConflictKind::CancelRefused { .. }));
        let no = self.slot_no_or_new(&slot);
        let account = &mut self.slot_mut(no).units;
        account.converted -= 1;
        account.granted -= 1;
        self.touch_booking(id, position, at);
        self.touch_slot(no, position);
        Ok(())
    }
}
