//! Ops on units without a name: take, return, and the mending of an eroded escrow.

use super::slot::Guard;
use super::*;

impl Batch<'_> {
    /// Up to so many units of what native selling has left; none where the agency assigns them or each is asked for.
    pub(super) fn take(&mut self, op: &OpRequest, units: u32) -> Result<OpReply, Stop> {
        let slot = self.slot(op)?;
        if !op.mode.takes() || self.draining || !slot.open {
            return Ok(OpReply::Taken { units: 0 });
        }
        if slot.eroded() {
            return Ok(OpReply::EscrowEroded);
        }
        let mut granted = i64::from(units).min(slot.total() - slot.booked()).max(0);
        if op.mode == AllotmentMode::CountRows {
            granted = granted.min(self.pool(&slot.series, granted)?.len() as i64);
        }
        if granted > 0 {
            if !self.hold(op, &slot, granted, Guard::RoomAndOpen)? {
                return Ok(OpReply::Taken { units: 0 });
            }
            self.escrow(op, granted, false)?;
        }
        Ok(OpReply::Taken { units: granted as u32 })
    }

    pub(super) fn give_back(&mut self, op: &OpRequest, units: u32) -> Result<OpReply, Stop> {
        let slot = self.slot(op)?;
        let k = i64::from(units);
        // Units from before the class was switched to `on_request` have no counter to go back to: they wait for it.
        let nowhere = op.mode == AllotmentMode::OnRequest && !slot.counted();
        if nowhere || slot.escrow < k || slot.eroded() || !self.hold(op, &slot, -k, Guard::None)? {
            return Err(Stop::Refused(OpReply::EscrowEroded));
        }
        if op.mode == AllotmentMode::Quota {
            self.change(
                "UPDATE TB_SLOT SET EXT_QUOTA_CNT = MAX(EXT_QUOTA_CNT - ?2, 0) WHERE SLOT_NO = ?1",
                params![op.slot.as_str(), k],
            )?;
        }
        self.escrow(op, -k, false)?;
        Ok(OpReply::Returned { units })
    }

    /// Rule 30. Units that are sold are kept even if the legacy system then has sold more than its total.
    pub(super) fn mend(&mut self, op: &OpRequest, sold: u32) -> Result<OpReply, Stop> {
        let slot = self.slot(op)?;
        let missing = slot.missing();
        if missing <= 0 {
            return Ok(OpReply::Mended { added: 0, lost: 0, over: 0 });
        }
        let room = (slot.total() - slot.reserved).max(0);
        let keep = slot.escrow.min(room.max(i64::from(sold)));
        let lost = slot.escrow - keep;
        let covered = slot.reserved + keep;
        match op.mode {
            AllotmentMode::None | AllotmentMode::OnRequest | AllotmentMode::Quota | AllotmentMode::Counter => {
                self.set(op, "BOOKED_CNT = ?2", covered)?;
            }
            AllotmentMode::Remaining => self.set(op, "REMAIN_CNT = CAPA_CNT - ?2", covered)?,
            AllotmentMode::Capacity => self.set(op, "CAPA_CNT = ?2", (slot.total() - keep).max(slot.reserved))?,
            AllotmentMode::CountRows => {
                self.hold(op, &slot, keep - slot.placeholders, Guard::None)?;
            }
        }
        self.escrow(op, -lost, false)?;
        let over = (covered - slot.total()).max(0);
        Ok(OpReply::Mended { added: (missing - lost).max(0) as u32, lost: lost as u32, over: over as u32 })
    }

    fn set(&mut self, op: &OpRequest, set: &str, to: i64) -> Result<(), Stop> {
        let sql = format!("UPDATE TB_SLOT SET {set}, UPD_DT = {NOW_SQL} WHERE SLOT_NO = ?1");
        self.change(&sql, params![op.slot.as_str(), to]).map(|_| ())
    }
}
