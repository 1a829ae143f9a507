//! Ops on reservations: convert, place, cancel.

use super::slot::{Guard, Slot};
use super::*;
use crate::domain::SeriesId;
use crate::legacy::{PersonKey, Unbacked};

impl Batch<'_> {
    /// Capacity-neutral: the unit leaves the escrow and the reservation takes its place.
    pub(super) fn convert(
        &mut self,
        op: &OpRequest,
        person: &PersonKey,
        series: &SeriesId,
        unbacked: Unbacked,
    ) -> Result<OpReply, Stop> {
        let slot = self.slot(op)?;
        let backed = slot.escrow > 0;
        if !backed && unbacked == Unbacked::Refuse {
            return Ok(OpReply::EscrowEroded);
        }
        self.person_may(person, series)?;
        let give_back = match op.mode {
            // Native selling counts the rows: it must not count the unit as well.
            AllotmentMode::Capacity => !slot.eroded(),
            AllotmentMode::CountRows => slot.placeholders > 0,
            // The trigger counts the row.
            _ => slot.counted() && self.maintained == Maintained::Trigger,
        };
        if backed && give_back {
            self.hold(op, &slot, -1, Guard::None)?;
        }
        if !backed && slot.counted() && self.maintained == Maintained::Application {
            self.hold(op, &slot, 1, Guard::None)?;
        }
        let resv_no = self.reserve(op, person, series)?;
        self.escrow(op, -i64::from(backed), slot.eroded())?;
        let over = !backed && slot.reserved + 1 > slot.total();
        Ok(OpReply::Converted { legacy_ref: resv_no.into(), over })
    }

    /// Unit and reservation at once. No places are asked for while the agency drains the bridge.
    pub(super) fn place(&mut self, op: &OpRequest, person: &PersonKey, series: &SeriesId) -> Result<OpReply, Stop> {
        let slot = self.slot(op)?;
        if op.mode != AllotmentMode::OnRequest {
            return Err(halt(format!("op {} asks for a place in mode {}", op.id, op.mode.code())).into());
        }
        if self.draining || !slot.open || slot.full() {
            return Ok(OpReply::NoPlace);
        }
        self.person_may(person, series)?;
        if slot.counted()
            && self.maintained == Maintained::Application
            && !self.hold(op, &slot, 1, Guard::RoomAndOpen)?
        {
            return Ok(OpReply::NoPlace);
        }
        let resv_no = self.reserve(op, person, series)?;
        self.escrow(op, 0, slot.eroded())?;
        Ok(OpReply::Converted { legacy_ref: resv_no.into(), over: false })
    }

    pub(super) fn cancel(&mut self, op: &OpRequest, convert: OpId) -> Result<OpReply, Stop> {
        let slot = self.slot(op)?;
        self.statements += 1;
        let found: Option<(String, String, String)> = self
            .tx
            .prepare_cached("SELECT RESV_NO, STAT_CD, SLOT_NO FROM TB_RESV WHERE IF_OP_ID = ?1")
            .and_then(|mut s| s.query_row([convert.to_string()], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?))).optional())
            .map_err(failure)?;
        let Some((number, status, of_slot)) = found else { return Ok(rule(RULE_RESERVATION_MISSING)) };
        if of_slot != op.slot.as_str() {
            return Err(halt(format!("op {} cancels a reservation of another slot", op.id)).into());
        }
        match status.as_str() {
            "A" => {}
            "C" => return Ok(OpReply::AlreadyCancelled),
            _ => return Ok(rule(RULE_RESERVATION_DONE)),
        }
        let sql = format!("UPDATE TB_RESV SET STAT_CD = 'C', UPD_DT = {NOW_SQL} WHERE RESV_NO = ?1");
        self.change(&sql, params![number])?;
        if op.mode == AllotmentMode::OnRequest {
            return self.give_up(op, &slot);
        }
        let hold_again = match op.mode {
            // An edited capacity is the agency's new total: it is not lowered before it is mended.
            AllotmentMode::Capacity => !slot.eroded(),
            AllotmentMode::CountRows => true,
            // The trigger has freed what goes to the escrow.
            _ => slot.counted() && self.maintained == Maintained::Trigger,
        };
        if hold_again {
            self.hold(op, &slot, 1, Guard::None)?;
        }
        self.escrow(op, 1, slot.eroded())?;
        Ok(OpReply::TurnedBack)
    }

    fn give_up(&mut self, op: &OpRequest, slot: &Slot) -> Result<OpReply, Stop> {
        if slot.counted() && self.maintained == Maintained::Application && slot.booked() > 0 {
            self.hold(op, slot, -1, Guard::None)?;
        }
        self.escrow(op, 0, slot.eroded())?;
        Ok(OpReply::GivenUp)
    }

    /// A person must be known, and where no index says so at the insert, have no active reservation in the series. The
    /// write lock stands for the lock on the person's row.
    fn person_may(&mut self, person: &PersonKey, series: &SeriesId) -> Result<(), Stop> {
        if self.maybe::<i64>("SELECT 1 FROM SB_PERSON_W WHERE PERSON_ID = ?1", params![&*person.0])?.is_none() {
            return Err(Stop::Refused(rule(RULE_PERSON_MISSING)));
        }
        match self.person_constraint {
            PersonConstraint::UniqueIndex => Ok(()),
            PersonConstraint::RowLock | PersonConstraint::None => match self.has_active(person, series)? {
                true => Err(Stop::Refused(OpReply::PersonBooked)),
                false => Ok(()),
            },
        }
    }

    /// The named reservation. The unique index, where there is one, answers for the person.
    fn reserve(&mut self, op: &OpRequest, person: &PersonKey, series: &SeriesId) -> Result<String, Stop> {
        match self.insert(&op.slot, &person.0, series.as_str(), &op.id.to_string()) {
            Err(Stop::Refused(_)) if self.has_active(person, series)? => Err(Stop::Refused(OpReply::PersonBooked)),
            done => done,
        }
    }

    fn has_active(&mut self, person: &PersonKey, series: &SeriesId) -> Result<bool, LegacyError> {
        let found: Option<i64> = self.maybe(
            "SELECT 1 FROM TB_RESV WHERE PSN_NO = ?1 AND SERIES_CD = ?2 AND STAT_CD = 'A' LIMIT 1",
            params![&*person.0, series.as_str()],
        )?;
        Ok(found.is_some())
    }
}
