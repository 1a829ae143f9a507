//! The slot row, what stands against it, and the changes to it that a mode allows.
//!
//! Native selling sees a unit of the bridge as the mode has it: the counter is raised, what is left or the capacity
//! lowered, or a placeholder reserved. Everything else is the same in all modes: `total`, `booked`, `reserved`, `escrow`.

use super::*;

/// The slot row under its lock.
pub(super) struct Slot {
    mode: AllotmentMode,
    pub open: bool,
    capacity: i64,
    counter: Option<i64>,
    remain: i64,
    /// `CAPA_CNT` as the bridge left it (mode `capacity`).
    seen: Option<i64>,
    pub series: String,
    /// Reservations that are not cancelled, native and named.
    pub reserved: i64,
    pub placeholders: i64,
    pub escrow: i64,
}

impl Slot {
    /// Mode `capacity`: an edit has replaced the capacity that the bridge left, so the escrow is not in it.
    fn edited(&self) -> bool {
        self.mode == AllotmentMode::Capacity && self.seen.is_some_and(|seen| seen != self.capacity)
    }

    /// Units of the escrow by which the bridge has lowered the capacity.
    fn lowered(&self) -> i64 {
        if self.mode == AllotmentMode::Capacity && !self.edited() { self.escrow } else { 0 }
    }

    /// The agency's total.
    pub fn total(&self) -> i64 {
        self.capacity + self.lowered()
    }

    /// Sold or in escrow, by the legacy system's own book-keeping.
    pub fn booked(&self) -> i64 {
        match self.mode {
            AllotmentMode::None | AllotmentMode::OnRequest | AllotmentMode::Quota | AllotmentMode::Counter => {
                self.counter.unwrap_or(self.reserved + self.placeholders.max(self.escrow))
            }
            AllotmentMode::Remaining => self.capacity - self.remain,
            AllotmentMode::Capacity => self.reserved + self.lowered(),
            AllotmentMode::CountRows => self.reserved + self.placeholders,
        }
    }

    /// By how many units the book-keeping no longer covers what is reserved and escrowed (rule 30); 0 or less: none.
    pub fn missing(&self) -> i64 {
        self.reserved + self.escrow - self.booked()
    }

    pub fn eroded(&self) -> bool {
        self.missing() > 0
    }

    /// Nothing is left for a place that is asked for singly: by the counter, or by the reservations where a stale
    /// counter promises more, since an overrun must never grow by the bridge.
    pub fn full(&self) -> bool {
        let rows = self.reserved + self.placeholders;
        self.counter.unwrap_or(rows).max(rows) >= self.capacity
    }

    /// Does a counter or a count of what is left stand in the slot row?
    pub fn counted(&self) -> bool {
        match self.mode {
            AllotmentMode::None | AllotmentMode::Capacity | AllotmentMode::CountRows => false,
            AllotmentMode::OnRequest | AllotmentMode::Quota | AllotmentMode::Counter => self.counter.is_some(),
            AllotmentMode::Remaining => true,
        }
    }
}

/// Whether a change must leave room for what native selling has sold.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Guard {
    RoomAndOpen,
    None,
}

impl Batch<'_> {
    /// The slot and its mode's view of it; a slot that is gone refuses the op.
    pub(super) fn slot(&mut self, op: &OpRequest) -> Result<Slot, Stop> {
        self.statements += 1;
        let found = self
            .tx
            .prepare_cached(
                "SELECT T.STAT_CD = '1', T.CAPA_CNT, T.BOOKED_CNT, T.REMAIN_CNT, E.SEEN_CNT, COALESCE(E.UNITS, 0), \
                 (SELECT COUNT(*) FROM TB_RESV R WHERE R.SLOT_NO = T.SLOT_NO AND R.STAT_CD <> 'C'), \
                 (SELECT COUNT(*) FROM TB_RESV R WHERE R.SLOT_NO = T.SLOT_NO AND R.STAT_CD <> 'C' \
                 AND R.IF_OP_ID LIKE '%#%'), T.SERIES_CD \
                 FROM TB_SLOT T LEFT JOIN SB_ESCROW E ON E.SLOT_ID = T.SLOT_NO WHERE T.SLOT_NO = ?1",
            )
            .and_then(|mut s| {
                s.query_row([op.slot.as_str()], |r| {
                    let (rows, placeholders): (i64, i64) = (r.get(6)?, r.get(7)?);
                    Ok(Slot {
                        mode: op.mode,
                        open: r.get(0)?,
                        capacity: r.get(1)?,
                        counter: r.get(2)?,
                        remain: r.get(3)?,
                        seen: r.get(4)?,
                        escrow: r.get(5)?,
                        reserved: rows - placeholders,
                        placeholders,
                        series: r.get(8)?,
                    })
                })
                .optional()
            })
            .map_err(failure)?;
        found.ok_or(Stop::Refused(OpReply::SlotMissing))
    }

    /// Native selling has `units` fewer to sell, or more if negative. False: the guard forbids it.
    pub(super) fn hold(&mut self, op: &OpRequest, slot: &Slot, units: i64, guard: Guard) -> Result<bool, Stop> {
        let (set, room) = match op.mode {
            AllotmentMode::None | AllotmentMode::OnRequest | AllotmentMode::Quota | AllotmentMode::Counter => {
                ("BOOKED_CNT = BOOKED_CNT + ?2", "BOOKED_CNT + ?2 <= CAPA_CNT")
            }
            AllotmentMode::Remaining => ("REMAIN_CNT = REMAIN_CNT - ?2", "REMAIN_CNT - ?2 >= 0"),
            AllotmentMode::Capacity => (
                "CAPA_CNT = CAPA_CNT - ?2",
                "CAPA_CNT - ?2 >= (SELECT COUNT(*) FROM TB_RESV R WHERE R.SLOT_NO = TB_SLOT.SLOT_NO AND R.STAT_CD <> 'C')",
            ),
            AllotmentMode::CountRows => return self.hold_rows(op, slot, units, guard),
        };
        let guard = match guard {
            Guard::RoomAndOpen => format!(" AND STAT_CD = '1' AND {room}"),
            Guard::None => String::new(),
        };
        let sql = format!("UPDATE TB_SLOT SET {set}, UPD_DT = {NOW_SQL} WHERE SLOT_NO = ?1{guard}");
        Ok(self.change(&sql, params![op.slot.as_str(), units])? == 1)
    }

    fn hold_rows(&mut self, op: &OpRequest, slot: &Slot, units: i64, guard: Guard) -> Result<bool, Stop> {
        if units < 0 {
            let sql = format!(
                "UPDATE TB_RESV SET STAT_CD = 'C', UPD_DT = {NOW_SQL} WHERE RESV_NO IN (SELECT RESV_NO FROM TB_RESV \
                 WHERE SLOT_NO = ?1 AND STAT_CD <> 'C' AND IF_OP_ID LIKE '%#%' ORDER BY RESV_NO LIMIT ?2)"
            );
            return Ok(self.change(&sql, params![op.slot.as_str(), -units])? as i64 == -units);
        }
        if guard == Guard::RoomAndOpen && !(slot.open && slot.booked() + units <= slot.capacity) {
            return Ok(false);
        }
        let pool = self.pool(&slot.series, units)?;
        if (pool.len() as i64) < units {
            return Err(Stop::Refused(rule(RULE_PLACEHOLDER_MISSING)));
        }
        for (at, person) in pool.iter().enumerate() {
            self.insert(&op.slot, person, &slot.series, &format!("{}#{}", op.id, at + 1))?;
        }
        Ok(true)
    }

    /// Up to so many placeholder persons without an active reservation in the series.
    pub(super) fn pool(&mut self, series: &str, units: i64) -> Result<Vec<String>, LegacyError> {
        self.statements += 1;
        let mut statement = self
            .tx
            .prepare_cached(
                "SELECT P.PERSON_ID FROM SB_PLACEHOLDER P WHERE NOT EXISTS (SELECT 1 FROM TB_RESV R \
                 WHERE R.PSN_NO = P.PERSON_ID AND R.SERIES_CD = ?1 AND R.STAT_CD = 'A') ORDER BY P.PERSON_ID LIMIT ?2",
            )
            .map_err(failure)?;
        let rows = statement.query_map(params![series, units], |r| r.get(0)).map_err(failure)?;
        rows.collect::<Result<_, _>>().map_err(failure)
    }

    /// A row of the reservations, with a number of the legacy system's own sequence.
    pub(super) fn insert(&mut self, slot: &SlotKey, person: &str, series: &str, op: &str) -> Result<String, Stop> {
        let number: Option<i64> =
            self.maybe("UPDATE TB_SEQ SET LAST_NO = LAST_NO + 1 WHERE SEQ_NM = 'SQ_RESV' RETURNING LAST_NO", [])?;
        let number = number.ok_or_else(|| operator("TB_SEQ has no SQ_RESV"))?;
        let resv_no = reservation_no(number);
        let sql = format!(
            "INSERT INTO TB_RESV (RESV_NO, SLOT_NO, PSN_NO, SERIES_CD, STAT_CD, IF_OP_ID, CHRG_NM, RMK, REG_DT, UPD_DT) \
             VALUES (?1, ?2, ?3, ?4, 'A', ?5, NULL, '제휴사 예약', {NOW_SQL}, {NOW_SQL})"
        );
        self.change(&sql, params![resv_no, slot.as_str(), person, series, op])?;
        Ok(resv_no)
    }

    /// The bridge's book: so many units more or fewer in escrow, and which op was the last to touch the slot. An
    /// eroded slot stays marked as edited until it is mended.
    pub(super) fn escrow(&mut self, op: &OpRequest, units: i64, eroded: bool) -> Result<(), Stop> {
        // Two statements: the upsert's own row would break CHECK (UNITS >= 0) before the conflict is seen.
        let bound = params![op.slot.as_str(), units, op.id.to_string()];
        let updated = self.change("UPDATE SB_ESCROW SET UNITS = UNITS + ?2, LAST_OP = ?3 WHERE SLOT_ID = ?1", bound)?;
        if updated == 0 {
            self.change("INSERT INTO SB_ESCROW (SLOT_ID, UNITS, LAST_OP) VALUES (?1, ?2, ?3)", bound)?;
        }
        if op.mode == AllotmentMode::Capacity && !eroded {
            self.change(
                "UPDATE SB_ESCROW SET SEEN_CNT = (SELECT CAPA_CNT FROM TB_SLOT WHERE SLOT_NO = ?1) WHERE SLOT_ID = ?1",
                params![op.slot.as_str()],
            )?;
        }
        Ok(())
    }
}
