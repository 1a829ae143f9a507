//! The native seller: books, cancels and edits in the agency's own tables, as its web site and its clerks' screens do.
//!
//! It knows nothing of the bridge. Which person and which slot is the caller's choice, so a seeded caller makes a
//! repeatable seller. Its vices are options: counting reservations instead of keeping the counter, the nightly recount
//! that forgets the escrow, and screens that save whole rows read earlier.

use std::path::Path;

use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior, params};

use super::write::reservation_no;
use super::{BUSY_TIMEOUT_MS, NOW_SQL, failure, open_connection};
use crate::domain::Timestamp;
use crate::legacy::{LegacyError, LegacyErrorKind};

/// How the legacy application decides whether a slot has room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selling {
    /// Raises `BOOKED_CNT`, guarded by the capacity.
    Counter,
    /// Counts active reservations and leaves the counter to a nightly job.
    CountReservations,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NativeOutcome {
    Booked {
        resv_no: String,
    },
    Cancelled,
    Full,
    Closed,
    /// The person has an active reservation in the series.
    PersonBooked,
    /// The person is unknown or not active in the register.
    NoPerson,
    NoSlot,
    /// Nothing active to cancel.
    NotActive,
}

/// What a clerk's screen has read: the whole slot row, saved whole later.
#[derive(Debug, Clone)]
pub struct Screen {
    pub slot: String,
    pub status_open: bool,
    pub capacity: i64,
    booked: i64,
    start: String,
    remark: Option<String>,
}

pub struct NativeSeller {
    connection: Connection,
    selling: Selling,
}

impl NativeSeller {
    pub fn open(path: &Path, selling: Selling) -> Result<NativeSeller, LegacyError> {
        Ok(NativeSeller { connection: open_connection(path, BUSY_TIMEOUT_MS)?, selling })
    }

    /// Books the person into the slot, in the slot's own series.
    pub fn book(&mut self, slot: &str, person: &str) -> Result<NativeOutcome, LegacyError> {
        let selling = self.selling;
        self.transaction(|tx| book(tx, selling, slot, person))
    }

    /// Cancels a reservation, whoever made it.
    pub fn cancel(&mut self, resv_no: &str) -> Result<NativeOutcome, LegacyError> {
        let selling = self.selling;
        self.transaction(|tx| cancel(tx, selling, resv_no))
    }

    /// Active reservations made natively (`ours` false) or by the bridge, in order of their number, from `after` on.
    pub fn active(&self, made: MadeBy, after: &str, limit: u32) -> Result<Vec<String>, LegacyError> {
        let sql = match made {
            MadeBy::Native => {
                "SELECT RESV_NO FROM TB_RESV WHERE STAT_CD = 'A' AND IF_OP_ID IS NULL AND RESV_NO > ?1 \
                 ORDER BY RESV_NO LIMIT ?2"
            }
            MadeBy::Bridge => {
                "SELECT RESV_NO FROM TB_RESV WHERE STAT_CD = 'A' AND IF_OP_ID IS NOT NULL AND RESV_NO > ?1 \
                 ORDER BY RESV_NO LIMIT ?2"
            }
        };
        let mut statement = self.connection.prepare_cached(sql).map_err(failure)?;
        let rows = statement.query_map(params![after, limit], |r| r.get(0)).map_err(failure)?;
        rows.collect::<Result<_, _>>().map_err(failure)
    }

    /// Open slots with room by the counter, soonest first: what the web site lists.
    pub fn open_slots(&self, limit: u32) -> Result<Vec<String>, LegacyError> {
        let mut statement = self
            .connection
            .prepare_cached(
                "SELECT SLOT_NO FROM TB_SLOT WHERE STAT_CD = '1' AND BOOKED_CNT < CAPA_CNT AND OPEN_DT IS NULL \
                 ORDER BY RSV_DT, SLOT_NO LIMIT ?1",
            )
            .map_err(failure)?;
        let rows = statement.query_map([limit], |r| r.get(0)).map_err(failure)?;
        rows.collect::<Result<_, _>>().map_err(failure)
    }

    pub fn close_slot(&mut self, slot: &str) -> Result<bool, LegacyError> {
        self.edit("STAT_CD = '9'", params![slot])
    }

    pub fn reopen_slot(&mut self, slot: &str) -> Result<bool, LegacyError> {
        self.edit("STAT_CD = '1'", params![slot])
    }

    /// Sets the capacity, even below what is sold.
    pub fn set_capacity(&mut self, slot: &str, capacity: u32) -> Result<bool, LegacyError> {
        self.edit("CAPA_CNT = ?2", params![slot, capacity])
    }

    pub fn move_slot(&mut self, slot: &str, start: Timestamp) -> Result<bool, LegacyError> {
        self.edit("RSV_DT = ?2", params![slot, start.seoul_text()])
    }

    /// Assigns units to the partners (mode `quota`), as far as there is room. Returns how many.
    pub fn assign_quota(&mut self, slot: &str, units: u32) -> Result<u32, LegacyError> {
        self.transaction(|tx| {
            let left: Option<i64> = tx
                .query_row("SELECT CAPA_CNT - BOOKED_CNT FROM TB_SLOT WHERE SLOT_NO = ?1", [slot], |r| r.get(0))
                .optional()
                .map_err(failure)?;
            let granted = i64::from(units).min(left.unwrap_or(0)).max(0);
            let sql = format!(
                "UPDATE TB_SLOT SET BOOKED_CNT = BOOKED_CNT + ?2, EXT_QUOTA_CNT = EXT_QUOTA_CNT + ?2, \
                 UPD_DT = {NOW_SQL} WHERE SLOT_NO = ?1"
            );
            tx.execute(&sql, params![slot, granted]).map_err(failure)?;
            let raised = tx
                .execute("UPDATE SB_ESCROW SET UNITS = UNITS + ?2 WHERE SLOT_ID = ?1", params![slot, granted])
                .map_err(failure)?;
            if raised == 0 && granted > 0 {
                tx.execute("INSERT INTO SB_ESCROW (SLOT_ID, UNITS) VALUES (?1, ?2)", params![slot, granted])
                    .map_err(failure)?;
            }
            Ok(granted as u32)
        })
    }

    /// The nightly job: every counter becomes the number of reservations. It forgets the escrow. Returns slots changed.
    pub fn nightly_recount(&mut self) -> Result<u64, LegacyError> {
        let counted = "(SELECT COUNT(*) FROM TB_RESV R WHERE R.SLOT_NO = TB_SLOT.SLOT_NO AND R.STAT_CD <> 'C')";
        let sql =
            format!("UPDATE TB_SLOT SET BOOKED_CNT = {counted}, UPD_DT = {NOW_SQL} WHERE BOOKED_CNT <> {counted}");
        self.transaction(|tx| tx.execute(&sql, []).map(|n| n as u64).map_err(failure))
    }

    /// A clerk opens a slot's screen.
    pub fn open_screen(&self, slot: &str) -> Result<Option<Screen>, LegacyError> {
        self.connection
            .query_row(
                "SELECT SLOT_NO, STAT_CD = '1', CAPA_CNT, BOOKED_CNT, RSV_DT, RMK FROM TB_SLOT WHERE SLOT_NO = ?1",
                [slot],
                |r| {
                    Ok(Screen {
                        slot: r.get(0)?,
                        status_open: r.get(1)?,
                        capacity: r.get(2)?,
                        booked: r.get(3)?,
                        start: r.get(4)?,
                        remark: r.get(5)?,
                    })
                },
            )
            .optional()
            .map_err(failure)
    }

    /// The clerk saves: every column of the screen, the counter as it was when the screen was opened.
    pub fn save_screen(&mut self, screen: &Screen) -> Result<bool, LegacyError> {
        self.edit(
            "STAT_CD = ?2, CAPA_CNT = ?3, BOOKED_CNT = ?4, RSV_DT = ?5, RMK = ?6",
            params![
                screen.slot,
                if screen.status_open { "1" } else { "9" },
                screen.capacity,
                screen.booked,
                screen.start,
                screen.remark
            ],
        )
    }

    /// Sets the agency's switch: RUN, DRAIN or STOP.
    pub fn set_control(&mut self, state: crate::legacy::Control) -> Result<(), LegacyError> {
        let word = match state {
            crate::legacy::Control::Run => "RUN",
            crate::legacy::Control::Drain => "DRAIN",
            crate::legacy::Control::Stop => "STOP",
        };
        self.transaction(|tx| tx.execute("UPDATE SB_CONTROL SET STATE = ?1", [word]).map(|_| ()).map_err(failure))
    }

    fn edit(&mut self, set: &str, bound: impl rusqlite::Params) -> Result<bool, LegacyError> {
        let sql = format!("UPDATE TB_SLOT SET {set}, UPD_DT = {NOW_SQL} WHERE SLOT_NO = ?1");
        self.transaction(|tx| tx.execute(&sql, bound).map(|n| n == 1).map_err(failure))
    }

    fn transaction<T>(
        &mut self,
        run: impl FnOnce(&Transaction<'_>) -> Result<T, LegacyError>,
    ) -> Result<T, LegacyError> {
        let tx = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failure)?;
        let result = run(&tx)?;
        tx.commit().map_err(failure)?;
        Ok(result)
    }
}

/// Who made a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MadeBy {
    Native,
    Bridge,
}

fn book(tx: &Transaction<'_>, selling: Selling, slot: &str, person: &str) -> Result<NativeOutcome, LegacyError> {
    let found: Option<(bool, String, bool)> = tx
        .prepare_cached(
            "SELECT STAT_CD = '1', SERIES_CD, CASE WHEN ?2 THEN BOOKED_CNT ELSE (SELECT COUNT(*) FROM TB_RESV R \
             WHERE R.SLOT_NO = T.SLOT_NO AND R.STAT_CD <> 'C') END < CAPA_CNT FROM TB_SLOT T WHERE T.SLOT_NO = ?1",
        )
        .and_then(|mut s| {
            s.query_row(params![slot, selling == Selling::Counter], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))
                .optional()
        })
        .map_err(failure)?;
    let Some((open, series, room)) = found else { return Ok(NativeOutcome::NoSlot) };
    if !open {
        return Ok(NativeOutcome::Closed);
    }
    let standing: Option<String> = tx
        .prepare_cached("SELECT STAT_CD FROM TB_PSN WHERE PSN_NO = ?1")
        .and_then(|mut s| s.query_row([person], |r| r.get(0)).optional())
        .map_err(failure)?;
    if standing.as_deref() != Some("0") {
        return Ok(NativeOutcome::NoPerson);
    }
    let booked: bool = tx
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM TB_RESV WHERE PSN_NO = ?1 AND SERIES_CD = ?2 AND STAT_CD = 'A')")
        .and_then(|mut s| s.query_row([person, &series], |r| r.get(0)))
        .map_err(failure)?;
    if booked {
        return Ok(NativeOutcome::PersonBooked);
    }
    if !room {
        return Ok(NativeOutcome::Full);
    }
    if selling == Selling::Counter {
        let sql = format!("UPDATE TB_SLOT SET BOOKED_CNT = BOOKED_CNT + 1, UPD_DT = {NOW_SQL} WHERE SLOT_NO = ?1");
        tx.prepare_cached(&sql).and_then(|mut s| s.execute([slot])).map_err(failure)?;
    }
    let number: i64 = tx
        .prepare_cached("UPDATE TB_SEQ SET LAST_NO = LAST_NO + 1 WHERE SEQ_NM = 'SQ_RESV' RETURNING LAST_NO")
        .and_then(|mut s| s.query_row([], |r| r.get(0)))
        .map_err(failure)?;
    let resv_no = reservation_no(number);
    let sql = format!("INSERT INTO TB_RESV VALUES (?1, ?2, ?3, ?4, 'A', NULL, NULL, NULL, {NOW_SQL}, {NOW_SQL})");
    match tx.prepare_cached(&sql).and_then(|mut s| s.execute(params![resv_no, slot, person, series])) {
        Ok(_) => Ok(NativeOutcome::Booked { resv_no }),
        Err(rusqlite::Error::SqliteFailure(e, _)) if e.code == ErrorCode::ConstraintViolation => Err(LegacyError::new(
            LegacyErrorKind::Halt,
            "the reservation breaks a constraint that was just checked".to_owned(),
        )),
        Err(error) => Err(failure(error)),
    }
}

fn cancel(tx: &Transaction<'_>, selling: Selling, resv_no: &str) -> Result<NativeOutcome, LegacyError> {
    let sql = format!(
        "UPDATE TB_RESV SET STAT_CD = 'C', UPD_DT = {NOW_SQL} WHERE RESV_NO = ?1 AND STAT_CD = 'A' RETURNING SLOT_NO"
    );
    let slot: Option<String> =
        tx.prepare_cached(&sql).and_then(|mut s| s.query_row([resv_no], |r| r.get(0)).optional()).map_err(failure)?;
    let Some(slot) = slot else { return Ok(NativeOutcome::NotActive) };
    if selling == Selling::Counter {
        let sql =
            format!("UPDATE TB_SLOT SET BOOKED_CNT = MAX(BOOKED_CNT - 1, 0), UPD_DT = {NOW_SQL} WHERE SLOT_NO = ?1");
        tx.prepare_cached(&sql).and_then(|mut s| s.execute([slot])).map_err(failure)?;
    }
    Ok(NativeOutcome::Cancelled)
}
