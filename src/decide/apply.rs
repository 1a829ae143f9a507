//! What an entry and a fact change in the book. Used by `step` and by replay alike, so that both end the same.
//!
//! Nothing is decided here. An entry that does not fit the book is an error: the ledger is damaged or was written
//! by another version, and going on would sell twice.

use crate::domain::{
    BookingId, BookingStatus, EndReason, Fact, PersonNo, Position, ReservationFact, ReservationKey, SeriesId, SlotKey,
    Sync, Timestamp,
};

use super::book::{Book, Booking, Engagement, Mark, Reservation, SlotNo};
use super::entry::{Booked, Entry, Op, OpResult, OpWhat, What};
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
            What::TakeAsked { slot, units } => {
                let no = self.slot_no_or_new(slot);
                self.slot_mut(no).units.taking += units;
                self.slot_mut(no).demand = 0;
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
            What::Assigned { slot, granted } => {
                let no = self.slot_no_or_new(slot);
                self.slot_mut(no).units.granted = *granted;
                if self.slot(no).units.holds() {
                    Ok(())
                } else {
                    Err(misfit("fewer units are assigned than are in use"))
                }
            }
            What::OpDone { op, result } => self.apply_done(position, at, *op, result),
            What::OpInDoubt { op } => {
                let Some(pending) = self.ops.get_mut(op) else { return Err(misfit("the op is not pending")) };
                pending.claimed = true;
                if let OpWhat::Convert { booking, .. } = pending.op.what {
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
            What::TokenGiven { partner, person, receipt, epoch } => {
                let calls = self.tokens.entry(partner.clone()).or_default();
                let day = at.seoul_day();
                if calls.day != day {
                    calls.day = day;
                    calls.of_day.clear();
                }
                calls.of_day.insert(*person);
                calls.of_epoch.entry(*epoch).or_default().insert(*person);
                // Tokens of two epochs are accepted at a time; of older ones nothing is counted any more.
                while calls.of_epoch.len() > 2 {
                    calls.of_epoch.pop_first();
                }
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

    fn apply_booked(&mut self, position: Position, at: Timestamp, booked: &Booked) -> Result<(), ReplayError> {
        let no = self.slot_no_or_new(&booked.slot);
        if self.slot(no).units.free() == 0 {
            return Err(ReplayError::DoesNotFit { position, what: "a unit is sold that is not free" });
        }
        let id = BookingId(position);
        self.slot_mut(no).units.booked += 1;
        self.bookings.insert(
            id,
            Booking {
                partner: booked.partner.clone(),
                person: booked.person,
                series: booked.series.clone(),
                slot: booked.slot.clone(),
                version: booked.version,
                partner_ref: booked.partner_ref.clone(),
                status: BookingStatus::Booked,
                sync: Sync::Queued,
                legacy_ref: None,
                reason: None,
                booked_at: at,
                changed_at: at,
                touched: position,
            },
        );
        let (person, series) = (booked.person, booked.series.clone());
        self.engage(person, &series, |e| e.bridge = Some(id));
        let what = OpWhat::Convert { booking: id, person, series: series.clone() };
        self.add_op(Op { position, slot: booked.slot.clone(), what }, Some((person, series)));
        self.remember_key(KnownKey { key: booked.key, body: booked.body, entry: position, at, accepted: true });
        self.touch_booking(id, position, at);
        self.touch_slot(no, position);
        Ok(())
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
        if booking.status != BookingStatus::Booked {
            return Err(misfit("the booking is not active"));
        }
        booking.reason = Some(EndReason::PartnerCancelled);
        booking.status = if coalesced { BookingStatus::Cancelled } else { BookingStatus::Cancelling };
        if coalesced {
            booking.sync = Sync::None;
        }
        let (slot, person, series) = (booking.slot.clone(), booking.person, booking.series.clone());
        self.engage(person, &series, |e| e.bridge = None);
        let no = self.slot_no_or_new(&slot);
        let of_person = Some((person, series));
        if coalesced {
            if !self.ops.contains_key(&id.0) {
                return Err(misfit("the convert to drop is not pending"));
            }
            self.drop_op(id.0, of_person);
            self.slot_mut(no).units.booked -= 1;
            self.touch_slot(no, position);
        } else {
            let what = OpWhat::Cancel { booking: id, convert: id.0 };
            self.add_op(Op { position, slot, what }, of_person);
        }
        self.touch_booking(id, position, at);
        Ok(())
    }

    fn apply_done(
        &mut self,
        position: Position,
        at: Timestamp,
        op: Position,
        result: &OpResult,
    ) -> Result<(), ReplayError> {
        let misfit = |what| ReplayError::DoesNotFit { position, what };
        let Some(pending) = self.ops.get(&op) else { return Err(misfit("the op is not pending")) };
        let done = pending.op.clone();
        let no = self.slot_no_or_new(&done.slot);
        if result.moved_units() {
            self.slot_mut(no).last_op = Some(op);
        }
        match done.what {
            OpWhat::Take { units } => {
                self.drop_op(op, None);
                let account = &mut self.slot_mut(no).units;
                account.taking -= units;
                if let OpResult::Taken { units: taken } = result {
                    account.granted += taken;
                }
            }
            OpWhat::Return { units } => {
                self.drop_op(op, None);
                let account = &mut self.slot_mut(no).units;
                account.returning -= units;
                if !matches!(result, OpResult::Rejected { reason } if reason.keeps_units()) {
                    account.granted -= units;
                }
            }
            OpWhat::Convert { booking, person, series } => {
                self.drop_op(op, Some((person, series.clone())));
                self.convert_done(no, booking, (person, series), result, position)?;
                self.touch_booking(booking, position, at);
                // A successful convert changes nothing that readers of the slot can see.
                if matches!(result, OpResult::Rejected { .. }) {
                    self.touch_slot(no, position);
                }
            }
            OpWhat::Place { .. } | OpWhat::Mend { .. } => return Err(misfit("no entry asks for such an op")),
            OpWhat::Cancel { booking, .. } => {
                let Some(of) = self.bookings.get_mut(&booking) else { return Err(misfit("the booking is unknown")) };
                of.status = BookingStatus::Cancelled;
                let of_person = (of.person, of.series.clone());
                self.drop_op(op, Some(of_person));
                let account = &mut self.slot_mut(no).units;
                account.converted -= 1;
                if *result != OpResult::TurnedBack {
                    account.granted -= 1;
                }
                self.touch_booking(booking, position, at);
                self.touch_slot(no, position);
            }
        }
        if self.slot(no).units.holds() { Ok(()) } else { Err(misfit("the units of the slot do not add up")) }
    }

    fn convert_done(
        &mut self,
        no: SlotNo,
        id: BookingId,
        of_person: (PersonNo, SeriesId),
        result: &OpResult,
        position: Position,
    ) -> Result<(), ReplayError> {
        let misfit = |what| ReplayError::DoesNotFit { position, what };
        let Some(booking) = self.bookings.get_mut(&id) else { return Err(misfit("the booking is unknown")) };
        match result {
            OpResult::Converted { legacy_ref, .. } => {
                booking.sync = Sync::Applied;
                booking.legacy_ref = Some(legacy_ref.clone());
                let account = &mut self.slot_mut(no).units;
                account.booked -= 1;
                account.converted += 1;
                Ok(())
            }
            OpResult::Rejected { reason } => {
                booking.sync = Sync::Rejected;
                let was = booking.status;
                if was == BookingStatus::Booked {
                    booking.status = BookingStatus::Displaced;
                    booking.reason = Some(reason.end_reason());
                    self.engage(of_person.0, &of_person.1, |e| e.bridge = None);
                } else {
                    // Cancelled before it was rejected: the cancel op, never given out, has nothing left to do.
                    booking.status = BookingStatus::Cancelled;
                    let void = self.ops_of_person.get(&of_person).into_iter().flatten().copied().find(|p| {
                        matches!(self.ops.get(p).map(|o| &o.op.what), Some(OpWhat::Cancel { booking, .. }) if *booking == id)
                    });
                    if let Some(void) = void {
                        self.drop_op(void, Some(of_person));
                    }
                }
                let account = &mut self.slot_mut(no).units;
                account.booked -= 1;
                if !reason.keeps_units() {
                    account.granted -= 1;
                }
                Ok(())
            }
            _ => Err(misfit("the result is not one of a convert")),
        }
    }

    fn apply_legacy_cancelled(&mut self, position: Position, at: Timestamp, id: BookingId) -> Result<(), ReplayError> {
        let misfit = |what| ReplayError::DoesNotFit { position, what };
        let Some(booking) = self.bookings.get_mut(&id) else { return Err(misfit("the booking is unknown")) };
        if booking.status != BookingStatus::Booked || booking.sync != Sync::Applied {
            return Err(misfit("the booking is not applied and active"));
        }
        booking.status = BookingStatus::Cancelled;
        booking.reason = Some(EndReason::LegacyCancelled);
        let (slot, person, series) = (booking.slot.clone(), booking.person, booking.series.clone());
        self.engage(person, &series, |e| e.bridge = None);
        let no = self.slot_no_or_new(&slot);
        let account = &mut self.slot_mut(no).units;
        account.converted -= 1;
        account.granted -= 1;
        self.touch_booking(id, position, at);
        self.touch_slot(no, position);
        Ok(())
    }

    /// Takes a fact as the newest content of its row.
    pub(super) fn take_fact(&mut self, position: Position, fact: Fact) {
        match fact {
            Fact::Site(site) => {
                let key = site.key.clone();
                self.mark_site(&key, position, Some(site.row.clone()));
                self.sites.insert(key, site);
            }
            Fact::SiteGone(key) => {
                self.sites.remove(&key);
                self.mark_site(&key, position, None);
            }
            Fact::Slot(slot) => {
                let no = self.slot_no_or_new(&slot.key);
                self.slot_mut(no).fact = Some(slot);
                self.touch_slot(no, position);
            }
            Fact::SlotGone(key) => self.slot_gone(position, &key),
            Fact::Person(person) => {
                let standing = self.standing_mut(person.person);
                standing.known = true;
                standing.cohort = person.cohort.0;
                standing.bookable = person.bookable;
            }
            Fact::PersonGone(person) => *self.standing_mut(person) = Default::default(),
            Fact::Reservation(reservation) => self.take_reservation(reservation),
            Fact::ReservationGone(key) => self.reservation_gone(&key),
            Fact::Item { object, key, row } => {
                let key: std::sync::Arc<str> = key.as_str().into();
                self.items.insert((object.clone(), key.clone()), (row, position));
                self.marks.insert(Mark::Item(object, key));
            }
        }
    }

    fn mark_site(
        &mut self,
        key: &crate::domain::SiteKey,
        position: Position,
        row: Option<std::sync::Arc<crate::domain::Row>>,
    ) {
        let object = super::site_object();
        let key: std::sync::Arc<str> = key.as_str().into();
        self.items.insert((object.clone(), key.clone()), (row, position));
        self.marks.insert(Mark::Item(object, key));
    }

    fn slot_gone(&mut self, position: Position, key: &SlotKey) {
        if let Some(no) = self.slot_no(key) {
            let slot = self.slot_mut(no);
            slot.version_before = slot.fact.as_ref().map(|fact| fact.version).or(slot.version_before);
            slot.fact = None;
            self.touch_slot(no, position);
        }
    }

    fn take_reservation(&mut self, fact: ReservationFact) {
        self.reservation_gone(&fact.key);
        let op = fact.op.map(|op| op.position);
        if let Some(op) = op {
            self.by_op.insert(op, fact.active);
        } else if fact.active {
            self.engage(fact.person, &fact.series, |e| e.native += 1);
        }
        let kept = Reservation { person: fact.person, series: fact.series, active: fact.active, op };
        self.reservations.insert(fact.key, kept);
    }

    fn reservation_gone(&mut self, key: &ReservationKey) {
        let Some(before) = self.reservations.remove(key) else { return };
        match before.op {
            Some(op) => {
                self.by_op.insert(op, false);
            }
            None if before.active => {
                let lower = |e: &mut Engagement| e.native = e.native.saturating_sub(1);
                self.engage(before.person, &before.series, lower);
            }
            None => {}
        }
    }
}
