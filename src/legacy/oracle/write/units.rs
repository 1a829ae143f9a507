//! Take, return and mend: units between native selling and the escrow.

use super::RULE_PLACEHOLDER_MISSING;
use super::batch::{Batch, ORA_UNIQUE, rule};
use super::slot::SlotState;
use super::trouble::{Trouble, halt, schema};
use crate::domain::AllotmentMode;
use crate::legacy::oracle::sql_write as sql;
use crate::legacy::oracle::values::Bind;
use crate::legacy::{OpReply, OpRequest};

impl Batch<'_> {
    pub(super) fn take(&mut self, op: &OpRequest, wanted: i64) -> Result<OpReply, Trouble> {
        let slot = match op.mode {
            AllotmentMode::Capacity => self.counted_slot(op)?,
            _ => self.slot(op)?,
        };
        let Some(slot) = slot else { return Ok(OpReply::SlotMissing) };
        if !op.mode.takes() || self.draining || !slot.open {
            return Ok(OpReply::Taken { units: 0 });
        }
        has_column(&slot, op.mode)?;
        if slot.missing(op.mode) > 0 {
            return Ok(OpReply::EscrowEroded);
        }
        let granted = wanted.min(slot.room(op.mode));
        if granted <= 0 {
            return Ok(OpReply::Taken { units: 0 });
        }
        let granted = match op.mode {
            AllotmentMode::CountRows => self.add_placeholders(op, &slot, granted)?,
            _ => {
                let statement = match op.mode {
                    AllotmentMode::Remaining => &sql::TAKE_REMAINING,
                    AllotmentMode::Capacity => &sql::TAKE_CAPACITY,
                    _ => &sql::TAKE_COUNTER,
                };
                if self.slot_units(statement, op, granted)? { granted } else { 0 }
            }
        };
        if granted > 0 {
            self.escrow(op, &slot, granted, seen_after(&slot, op.mode, -granted))?;
        }
        Ok(OpReply::Taken { units: u32::try_from(granted).unwrap_or(0) })
    }

    pub(super) fn give_back(&mut self, op: &OpRequest, units: i64) -> Result<OpReply, Trouble> {
        let Some(slot) = self.slot(op)? else { return Ok(OpReply::SlotMissing) };
        if slot.escrow() < units || slot.missing(op.mode) > 0 {
            return Ok(OpReply::EscrowEroded);
        }
        let given = match op.mode {
            AllotmentMode::CountRows => self.drop_placeholders(op, units)? == units,
            AllotmentMode::Remaining => self.slot_units(&sql::GIVE_REMAINING, op, units)?,
            AllotmentMode::Capacity => self.slot_units(&sql::GIVE_CAPACITY, op, units)?,
            AllotmentMode::Quota => self.slot_units(&sql::GIVE_QUOTA, op, units)?,
            // Units from before the class was switched: where no counter is kept they wait for the switch back.
            AllotmentMode::None | AllotmentMode::OnRequest | AllotmentMode::Counter => {
                slot.booked.is_some() && self.slot_units(&sql::GIVE_COUNTER, op, units)?
            }
        };
        if !given {
            self.undo()?;
            return Ok(OpReply::EscrowEroded);
        }
        self.escrow(op, &slot, -units, seen_after(&slot, op.mode, units))?;
        Ok(OpReply::Returned { units: u32::try_from(units).unwrap_or(0) })
    }

    pub(super) fn mend(&mut self, op: &OpRequest, sold: u32) -> Result<OpReply, Trouble> {
        let Some(slot) = self.counted_slot(op)? else { return Ok(OpReply::SlotMissing) };
        has_column(&slot, op.mode)?;
        let mending = slot.mending(op.mode, sold);
        if mending.missing <= 0 {
            return Ok(OpReply::Mended { added: 0, lost: 0, over: 0 });
        }
        let (escrow, total) = (slot.escrow(), slot.total(op.mode));
        let booked = slot.reserved + mending.keep;
        let mut seen = slot.seen;
        let (statement, count) = match op.mode {
            AllotmentMode::Remaining => (Some(&sql::MEND_REMAINING), slot.capacity - booked),
            AllotmentMode::Capacity => {
                let capacity = (total - mending.keep).max(slot.reserved);
                seen = Some(capacity);
                (Some(&sql::MEND_CAPACITY), capacity)
            }
            AllotmentMode::CountRows => {
                if !self.level_placeholders(op, &slot, mending.keep)? {
                    self.undo()?;
                    return Ok(rule(RULE_PLACEHOLDER_MISSING));
                }
                (None, 0)
            }
            _ => (Some(&sql::MEND_COUNTER), booked),
        };
        if let Some(statement) = statement {
            self.one(statement, &[("P_SLOT_ID", op.slot.as_str().into()), ("P_COUNT", count.into())])?;
        }
        let lost = escrow - mending.keep;
        self.escrow(op, &slot, -lost, seen)?;
        let number = |n: i64| u32::try_from(n.max(0)).unwrap_or(u32::MAX);
        Ok(OpReply::Mended { added: number(mending.missing - lost), lost: number(lost), over: number(mending.over) })
    }

    /// Adds placeholder reservations of different persons; as many as the pool has.
    pub(super) fn add_placeholders(&mut self, op: &OpRequest, slot: &SlotState, count: i64) -> Result<i64, Trouble> {
        let binds = [("P_SERIES_CD", slot.series.as_str().into()), ("P_UNITS", Bind::Int(count))];
        if count == 0 {
            return Ok(0);
        }
        let persons = self.link.rows(&sql::PLACEHOLDER_FREE, &binds)?;
        for (at, person) in persons.iter().enumerate() {
            let person = person.text(0).ok_or_else(|| schema("SB_PLACEHOLDER has a NULL person"))?;
            let number = self.next_number()?;
            let mark = format!("{}#{}", op.id, at + 1);
            match self.insert(op, &number, person, &slot.series, &mark) {
                Ok(()) => {}
                // Somebody booked with a placeholder person since the pool was read.
                Err(Trouble::Server(failure)) if failure.is_ora(ORA_UNIQUE) => return Ok(at as i64),
                Err(trouble) => return Err(trouble),
            }
        }
        Ok(persons.len() as i64)
    }

    /// Cancels placeholder reservations of the slot, one by one: row triggers may not see several at once (ORA-04091).
    pub(super) fn drop_placeholders(&mut self, op: &OpRequest, count: i64) -> Result<i64, Trouble> {
        let binds = [("P_SLOT_ID", op.slot.as_str().into()), ("P_UNITS", Bind::Int(count))];
        if count == 0 {
            return Ok(0);
        }
        let held = self.link.rows(&sql::PLACEHOLDER_HELD, &binds)?;
        let mut dropped = 0;
        for row in &held {
            let number = row.text(0).ok_or_else(|| schema("SB_BOOKING_W has a NULL RESV_NO"))?;
            dropped += i64::from(self.at_most_one(&sql::RESV_CANCEL, &[("P_RESV_NO", number.into())])?);
        }
        Ok(dropped)
    }

    /// Brings the placeholder rows of the slot to `wanted`; false: the pool has too few persons.
    fn level_placeholders(&mut self, op: &OpRequest, slot: &SlotState, wanted: i64) -> Result<bool, Trouble> {
        let more = wanted - slot.placeholders;
        if more > 0 {
            return Ok(self.add_placeholders(op, slot, more)? == more);
        }
        if self.drop_placeholders(op, -more)? != -more {
            return Err(halt("placeholder reservations changed under the slot row's lock"));
        }
        Ok(true)
    }
}

/// The mode's own column must hold a number before anything is decided by it.
fn has_column(slot: &SlotState, mode: AllotmentMode) -> Result<(), Trouble> {
    let missing = match mode {
        AllotmentMode::Counter | AllotmentMode::Quota if slot.booked.is_none() => {
            "SB_SLOT_W.BOOKED_CNT is not a number"
        }
        AllotmentMode::Remaining if slot.remain.is_none() => "SB_SLOT_W.REMAIN_CNT is not a number",
        _ => return Ok(()),
    };
    Err(schema(missing))
}

/// `SEEN_CNT` after the bridge moved the capacity by `by`; as it was in other modes, and where an edit hides the escrow:
/// that stays to be seen until it is mended.
pub(super) fn seen_after(slot: &SlotState, mode: AllotmentMode, by: i64) -> Option<i64> {
    match mode {
        AllotmentMode::Capacity if !slot.edited() => Some(slot.capacity + by),
        _ => slot.seen,
    }
}
