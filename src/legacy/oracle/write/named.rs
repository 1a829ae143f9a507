//! Convert, place and cancel: named reservations.

use super::batch::{Batch, ORA_UNIQUE, rule};
use super::slot::SlotState;
use super::trouble::{Trouble, halt, schema};
use super::units::seen_after;
use super::{Maintained, PersonConstraint, RULE_PERSON_MISSING, RULE_RESERVATION_DONE, RULE_RESERVATION_MISSING};
use crate::domain::{AllotmentMode, OpId};
use crate::legacy::oracle::catalogue::Entry;
use crate::legacy::oracle::sql_write as sql;
use crate::legacy::{OpReply, OpRequest, Unbacked};

/// Whether the person may be given a reservation.
enum Person {
    Free,
    Answered(OpReply),
}

impl Batch<'_> {
    /// Capacity-neutral: the unit leaves the escrow and the reservation takes its place.
    pub(super) fn convert(
        &mut self,
        op: &OpRequest,
        person: &str,
        series: &str,
        unbacked: Unbacked,
    ) -> Result<OpReply, Trouble> {
        let Some(slot) = self.slot(op)? else { return Ok(OpReply::SlotMissing) };
        let backed = slot.escrow() > 0;
        if !backed && unbacked == Unbacked::Refuse {
            return Ok(OpReply::EscrowEroded);
        }
        if let Person::Answered(reply) = self.person(person, series)? {
            return Ok(reply);
        }
        let seen = if backed { self.release_unit(op, &slot)? } else { slot.seen };
        let number = match self.reserve(op, person, series)? {
            Ok(number) => number,
            Err(reply) => return Ok(reply),
        };
        if backed {
            self.escrow(op, &slot, -1, seen)?;
            return Ok(OpReply::Converted { legacy_ref: number.into(), over: false });
        }
        // Nobody took a unit for this reservation: the application's counter has to learn of it.
        if let (Maintained::Application, Some(statement)) = (self.settings.maintained, keeper(&slot, op.mode)) {
            self.slot_units(statement, op, 1)?;
        }
        self.escrow(op, &slot, 0, seen)?;
        Ok(OpReply::Converted { legacy_ref: number.into(), over: slot.reserved + 1 > slot.total(op.mode) })
    }

    /// Takes what holds the unit out of the legacy system's book-keeping, as far as the reservation will not do that
    /// itself; returns the capacity that the bridge leaves behind.
    fn release_unit(&mut self, op: &OpRequest, slot: &SlotState) -> Result<Option<i64>, Trouble> {
        match (op.mode, self.settings.maintained) {
            (AllotmentMode::Capacity, _) if slot.edited() => Ok(slot.seen),
            (AllotmentMode::Capacity, _) => {
                self.slot_units(&sql::GIVE_CAPACITY, op, 1)?;
                Ok(seen_after(slot, op.mode, 1))
            }
            // A placeholder that somebody cancelled is gone already (rule 30); the booking is converted all the same.
            (AllotmentMode::CountRows, _) => self.drop_placeholders(op, 1).map(|_| slot.seen),
            // A counter that has nothing to give back is eroded: then the trigger alone counts the reservation.
            (AllotmentMode::Counter | AllotmentMode::Quota, Maintained::Trigger) => {
                self.slot_units(&sql::GIVE_COUNTER, op, 1).map(|_| slot.seen)
            }
            (AllotmentMode::Remaining, Maintained::Trigger) => {
                self.slot_units(&sql::GIVE_REMAINING, op, 1).map(|_| slot.seen)
            }
            _ => Ok(slot.seen),
        }
    }

    /// A unit is taken from native selling and becomes the reservation at once.
    pub(super) fn place(&mut self, op: &OpRequest, person: &str, series: &str) -> Result<OpReply, Trouble> {
        let Some(mut slot) = self.slot(op)? else { return Ok(OpReply::SlotMissing) };
        if slot.booked.is_none() {
            let Some(counted) = self.counted_slot(op)? else { return Ok(OpReply::SlotMissing) };
            slot = counted;
        }
        let sold = slot.booked.unwrap_or(slot.reserved);
        if self.draining || !slot.open || sold >= slot.capacity {
            return Ok(OpReply::NoPlace);
        }
        if let Person::Answered(reply) = self.person(person, series)? {
            return Ok(reply);
        }
        let counts = self.settings.maintained == Maintained::Application && slot.booked.is_some();
        if counts && !self.slot_units(&sql::TAKE_COUNTER, op, 1)? {
            return Ok(OpReply::NoPlace);
        }
        match self.reserve(op, person, series)? {
            Ok(number) => Ok(OpReply::Converted { legacy_ref: number.into(), over: false }),
            Err(reply) => Ok(reply),
        }
    }

    pub(super) fn cancel(&mut self, op: &OpRequest, convert: OpId) -> Result<OpReply, Trouble> {
        let Some(slot) = self.slot(op)? else { return Ok(OpReply::SlotMissing) };
        let convert = convert.to_string();
        let find = [("P_OP_ID", convert.as_str().into())];
        let Some(found) = self.row(&sql::RESV_FIND, &find)? else { return Ok(rule(RULE_RESERVATION_MISSING)) };
        if found.text(2) != Some(op.slot.as_str()) {
            return Err(halt(format!("op {} cancels a reservation of another slot", op.id)));
        }
        if let Some(reply) = cancelled(found.text(1)) {
            return Ok(reply);
        }
        let number = found.text(0).ok_or_else(|| schema("SB_BOOKING_W has a NULL RESV_NO"))?;
        if !self.at_most_one(&sql::RESV_CANCEL, &[("P_RESV_NO", number.into())])? {
            // Native code was faster, between the two statements.
            let again = self.row(&sql::RESV_FIND, &find)?;
            let reply = again.and_then(|row| cancelled(row.text(1)));
            return reply.ok_or_else(|| halt(format!("op {} cannot cancel its reservation", op.id)));
        }
        if self.keep_unit(op, &slot)? {
            let seen = if slot.edited() { slot.seen } else { seen_after(&slot, op.mode, -1) };
            self.escrow(op, &slot, 1, seen)?;
            return Ok(OpReply::TurnedBack);
        }
        Ok(OpReply::GivenUp)
    }

    /// Puts the cancelled reservation's unit into the legacy system's book-keeping as the bridge's; false: it is
    /// native selling's again.
    fn keep_unit(&mut self, op: &OpRequest, slot: &SlotState) -> Result<bool, Trouble> {
        let application = self.settings.maintained == Maintained::Application;
        match op.mode {
            AllotmentMode::None => Ok(false),
            AllotmentMode::OnRequest => {
                if application && slot.booked.is_some() {
                    self.slot_units(&sql::GIVE_COUNTER, op, 1)?;
                }
                Ok(false)
            }
            AllotmentMode::Capacity if slot.edited() => Ok(true),
            AllotmentMode::Capacity => self.slot_units(&sql::KEEP_CAPACITY, op, 1),
            // Without a free placeholder person the unit cannot be held.
            AllotmentMode::CountRows => Ok(self.add_placeholders(op, slot, 1)? == 1),
            AllotmentMode::Counter | AllotmentMode::Quota | AllotmentMode::Remaining if application => Ok(true),
            AllotmentMode::Remaining => self.slot_units(&sql::KEEP_REMAINING, op, 1),
            AllotmentMode::Counter | AllotmentMode::Quota => self.slot_units(&sql::KEEP_COUNTER, op, 1),
        }
    }

    fn person(&mut self, person: &str, series: &str) -> Result<Person, Trouble> {
        if self.settings.person_constraint == PersonConstraint::RowLock {
            self.row(&sql::PERSON_LOCK, &[("P_PERSON_ID", person.into())])?;
        }
        let reservations = self.reservations(person, series)?;
        Ok(match reservations {
            None => Person::Answered(rule(RULE_PERSON_MISSING)),
            Some(0) => Person::Free,
            Some(_) => Person::Answered(OpReply::PersonBooked),
        })
    }

    /// Active reservations of the person in the series; `None`: there is no such person.
    fn reservations(&mut self, person: &str, series: &str) -> Result<Option<i64>, Trouble> {
        let binds = [("P_PERSON_ID", person.into()), ("P_SERIES_CD", series.into())];
        let Some(row) = self.row(&sql::PERSON_STATE, &binds)? else { return Ok(None) };
        row.int(0).map(Some).ok_or_else(|| schema("a count is not a number"))
    }

    /// Inserts the reservation: its number, or the answer that it cannot be made.
    fn reserve(&mut self, op: &OpRequest, person: &str, series: &str) -> Result<Result<String, OpReply>, Trouble> {
        let number = self.next_number()?;
        match self.insert(op, &number, person, series, &op.id.to_string()) {
            Ok(()) => Ok(Ok(number)),
            // Which constraint it was is not asked: names are the agency's. Only what is seen counts.
            Err(Trouble::Server(failure)) if failure.is_ora(ORA_UNIQUE) => {
                self.undo()?;
                match self.reservations(person, series)? {
                    Some(1..) => Ok(Err(OpReply::PersonBooked)),
                    _ => Err(halt(format!("op {}: its reservation is a duplicate and not of the person", op.id))),
                }
            }
            Err(trouble) => Err(trouble),
        }
    }

    pub(super) fn next_number(&mut self) -> Result<String, Trouble> {
        let row = self.row(&sql::RESV_NUMBER, &[])?;
        let number = row.as_ref().and_then(|row| row.text(0));
        number.map(str::to_owned).ok_or_else(|| schema("SB_NEXT_RESV_NO returned nothing"))
    }

    pub(super) fn insert(
        &mut self,
        op: &OpRequest,
        number: &str,
        person: &str,
        series: &str,
        mark: &str,
    ) -> Result<(), Trouble> {
        let memo = self.settings.memo.as_str();
        let binds = [
            ("P_RESV_NO", number.into()),
            ("P_SLOT_ID", op.slot.as_str().into()),
            ("P_PERSON_ID", person.into()),
            ("P_SERIES_CD", series.into()),
            ("P_OP_ID", mark.into()),
            ("P_MEMO", Some(memo).filter(|memo| !memo.is_empty()).into()),
        ];
        self.one(&sql::RESV_INSERT, &binds)
    }
}

/// The answer to cancelling a reservation that is not active; `None`: it is.
fn cancelled(status: Option<&str>) -> Option<OpReply> {
    match status {
        Some("A") => None,
        Some("C") => Some(OpReply::AlreadyCancelled),
        _ => Some(rule(RULE_RESERVATION_DONE)),
    }
}

/// Raises the application's count of what is sold, where the mode and the slot have one.
fn keeper(slot: &SlotState, mode: AllotmentMode) -> Option<&'static Entry> {
    match mode {
        AllotmentMode::Remaining => slot.remain.map(|_| &sql::KEEP_REMAINING),
        AllotmentMode::Counter | AllotmentMode::Quota | AllotmentMode::OnRequest => {
            slot.booked.map(|_| &sql::KEEP_COUNTER)
        }
        AllotmentMode::None | AllotmentMode::Capacity | AllotmentMode::CountRows => None,
    }
}
