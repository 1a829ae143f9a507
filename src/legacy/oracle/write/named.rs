//! Convert, place and cancel: named reservations.

use super::batch::{Batch, ORA_UNIQUE, rule};
use super::slot::SlotState;
use super::trouble::{Trouble, halt, schema};
use super::units::seen_after;
use super::{
    Maintained, PersonConstraint, RULE_PERSON_MISSING, RULE_PLACEHOLDER_MISSING, RULE_RESERVATION_DONE,
    RULE_RESERVATION_MISSING,
};
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
        // A counter with nothing to give back is eroded: it gives back once the trigger has counted the reservation, so
        // that it never goes below zero in between.
        let late = self.is_triggered(&slot, op.mode) && slot.sold(op.mode).is_some_and(|sold| sold < 1);
        if backed && !late {
            self.release_unit(op, &slot)?;
        }
        let number = match self.reserve(op, person, series)? {
            Ok(number) => number,
            Err(reply) => return Ok(reply),
        };
        if backed && late {
            self.release_unit(op, &slot)?;
        }
        // Nobody took a unit for this reservation: the application's counter has to learn of it.
        if let (false, Maintained::Application, Some(entry)) =
            (backed, self.settings.maintained, keeper(&slot, op.mode))
        {
            self.slot_units(entry, op, 1)?;
        }
        self.escrow(op, &slot, -i64::from(backed), seen_after(&slot, op.mode, i64::from(backed)))?;
        let over = !backed && slot.reserved + 1 > slot.total(op.mode);
        Ok(OpReply::Converted { legacy_ref: number.into(), over })
    }

    /// Takes what holds the unit out of the legacy system's book-keeping, as far as the reservation will not do that
    /// itself.
    fn release_unit(&mut self, op: &OpRequest, slot: &SlotState) -> Result<(), Trouble> {
        let entry = match op.mode {
            AllotmentMode::Capacity if slot.edited() => return Ok(()),
            AllotmentMode::Capacity => &sql::GIVE_CAPACITY,
            // A placeholder that somebody cancelled is gone already (rule 30); the booking is converted all the same.
            AllotmentMode::CountRows => return self.drop_placeholders(op, slot.placeholders.min(1)).map(|_| ()),
            _ if !self.is_triggered(slot, op.mode) => return Ok(()),
            AllotmentMode::Remaining => &sql::GIVE_REMAINING,
            // Unguarded, whatever the counter holds: what the trigger adds for the reservation is taken off again, so
            // that a counter below zero (a cancel after a recount) stays as far below.
            _ => return self.slot_units(&sql::KEEP_COUNTER, op, -1).map(|_| ()),
        };
        self.slot_units(entry, op, 1).map(|_| ())
    }

    /// Does a trigger keep the slot row's counter?
    fn is_triggered(&self, slot: &SlotState, mode: AllotmentMode) -> bool {
        self.settings.maintained == Maintained::Trigger && slot.counted(mode)
    }

    /// A unit is taken from native selling and becomes the reservation at once.
    pub(super) fn place(&mut self, op: &OpRequest, person: &str, series: &str) -> Result<OpReply, Trouble> {
        if op.mode != AllotmentMode::OnRequest {
            return Err(halt(format!("op {} asks for a place in mode {}", op.id, op.mode.code())));
        }
        let Some(mut slot) = self.slot(op)? else { return Ok(OpReply::SlotMissing) };
        if slot.booked.is_none() {
            let Some(counted) = self.counted_slot(op)? else { return Ok(OpReply::SlotMissing) };
            slot = counted;
        }
        // A counter that has forgotten reservations (a stale screen) does not make places.
        let sold = slot.booked.unwrap_or(0).max(slot.reserved + slot.placeholders);
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
            Ok(number) => {
                // No unit moves; the escrow row says which op was the last to touch the slot.
                self.escrow(op, &slot, 0, slot.seen)?;
                Ok(OpReply::Converted { legacy_ref: number.into(), over: false })
            }
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
        if op.mode == AllotmentMode::OnRequest {
            if self.settings.maintained == Maintained::Application && slot.counted(op.mode) {
                self.slot_units(&sql::GIVE_COUNTER, op, 1)?;
            }
            self.escrow(op, &slot, 0, slot.seen)?;
            return Ok(OpReply::GivenUp);
        }
        if !self.keep_unit(op, &slot)? {
            self.undo()?;
            return Ok(rule(RULE_PLACEHOLDER_MISSING));
        }
        self.escrow(op, &slot, 1, seen_after(&slot, op.mode, -1))?;
        Ok(OpReply::TurnedBack)
    }

    /// Puts the cancelled reservation's unit into the legacy system's book-keeping as the bridge's; false: there is no
    /// placeholder person to hold it.
    fn keep_unit(&mut self, op: &OpRequest, slot: &SlotState) -> Result<bool, Trouble> {
        let entry = match op.mode {
            AllotmentMode::CountRows => return Ok(self.add_placeholders(op, slot, 1)? == 1),
            // An edited capacity is the agency's new total: it is not lowered before it is mended.
            AllotmentMode::Capacity if slot.edited() => return Ok(true),
            AllotmentMode::Capacity => &sql::KEEP_CAPACITY,
            _ if !self.is_triggered(slot, op.mode) => return Ok(true),
            AllotmentMode::Remaining => &sql::KEEP_REMAINING,
            _ => &sql::KEEP_COUNTER,
        };
        self.one(entry, &[("P_SLOT_ID", op.slot.as_str().into()), ("P_UNITS", 1.into())])?;
        Ok(true)
    }

    fn person(&mut self, person: &str, series: &str) -> Result<Person, Trouble> {
        if self.settings.person_constraint == PersonConstraint::RowLock {
            self.row(&sql::PERSON_LOCK, &[("P_PERSON_ID", person.into())])?;
        }
        let reservations = self.reservations(person, series)?;
        Ok(match reservations {
            None => Person::Answered(rule(RULE_PERSON_MISSING)),
            Some((0, _)) => Person::Free,
            Some(_) => Person::Answered(OpReply::PersonBooked),
        })
    }

    /// Reservations of the person in the series, active ones and all that are not cancelled: an index may also keep
    /// those that are done. `None`: there is no such person.
    fn reservations(&mut self, person: &str, series: &str) -> Result<Option<(i64, i64)>, Trouble> {
        let binds = [("P_PERSON_ID", person.into()), ("P_SERIES_CD", series.into())];
        let Some(row) = self.row(&sql::PERSON_STATE, &binds)? else { return Ok(None) };
        row.int(0).zip(row.int(1)).map(Some).ok_or_else(|| schema("a count is not a number"))
    }

    /// Inserts the reservation: its number, or the answer that it cannot be made.
    fn reserve(&mut self, op: &OpRequest, person: &str, series: &str) -> Result<Result<String, OpReply>, Trouble> {
        let number = self.next_number()?;
        match self.insert(op, &number, person, series, &op.id.to_string()) {
            Ok(()) => Ok(Ok(number)),
            // Which constraint it was is not asked: names are the agency's. Only what is seen counts.
            Err(Trouble::Server(failure)) if failure.is_ora(ORA_UNIQUE) => {
                self.undo()?;
                Ok(Err(match self.reservations(person, series)? {
                    Some((_, 1..)) => OpReply::PersonBooked,
                    _ => rule(&failure.code.to_string()),
                }))
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
        _ if !slot.counted(mode) => None,
        AllotmentMode::Remaining => Some(&sql::KEEP_REMAINING),
        _ => Some(&sql::KEEP_COUNTER),
    }
}
