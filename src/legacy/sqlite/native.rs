//! The native seller: books, cancels and edits in the agency's own tables, as its web site and its clerks' screens do.
//!
//! It knows nothing of the bridge. Which person and which slot is the caller's choice, so a seeded caller makes a
//! repeatable seller. How it counts is an option, and so are its vices: counting reservations instead of keeping a
//! counter, the nightly recount that forgets the escrow, and screens that save whole rows read earlier.
//!
//! The agency's hands on the bridge's tables (switch, fence, release requests) are here too, and its backups.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior, params};

use super::schema::{Books, Design};
use super::write::reservation_no;
use super::{BUSY_TIMEOUT_MS, Maintained, NOW_SQL, failure, open_connection};
use crate::domain::Timestamp;
use crate::legacy::{LegacyError, LegacyErrorKind};

/// How the legacy application decides whether a slot has room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selling {
    /// Raises `BOOKED_CNT`, guarded by the capacity.
    Counter,
    /// Counts active reservations and leaves the counter to a nightly job.
    CountReservations,
    /// Lowers `REMAIN_CNT`, guarded by zero.
    Remaining,
    /// Looks at the column; a trigger on the reservations keeps it.
    Trigger(Kept),
}

/// The column that says what is sold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    Booked,
    Remaining,
}

impl Selling {
    /// As the application of a legacy system with this design sells.
    pub fn of(design: Design) -> Selling {
        match (Books::of(design.mode), design.maintained) {
            (Books::Booked, Maintained::Application) => Selling::Counter,
            (Books::Booked, Maintained::Trigger) => Selling::Trigger(Kept::Booked),
            (Books::Remaining, Maintained::Application) => Selling::Remaining,
            (Books::Remaining, Maintained::Trigger) => Selling::Trigger(Kept::Remaining),
            (Books::Capacity | Books::Rows, _) => Selling::CountReservations,
        }
    }

    /// The slot has room.
    fn room(self) -> &'static str {
        match self {
            Selling::Counter | Selling::Trigger(Kept::Booked) => "BOOKED_CNT < CAPA_CNT",
            Selling::Remaining | Selling::Trigger(Kept::Remaining) => "REMAIN_CNT > 0",
            Selling::CountReservations => {
                "(SELECT COUNT(*) FROM TB_RESV R WHERE R.SLOT_NO = TB_SLOT.SLOT_NO AND R.STAT_CD <> 'C') < CAPA_CNT"
            }
        }
    }

    /// What the application writes when it has sold a place, and when one is free again.
    fn writes(self) -> Option<(&'static str, &'static str)> {
        match self {
            Selling::Counter => Some(("BOOKED_CNT = BOOKED_CNT + 1", "BOOKED_CNT = MAX(BOOKED_CNT - 1, 0)")),
            Selling::Remaining => Some(("REMAIN_CNT = REMAIN_CNT - 1", "REMAIN_CNT = MIN(REMAIN_CNT + 1, CAPA_CNT)")),
            Selling::CountReservations | Selling::Trigger(_) => None,
        }
    }
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
    booked: Option<i64>,
    remain: i64,
    start: String,
    remark: Option<String>,
}

impl Screen {
    /// Places left as the screen shows them.
    pub fn left(&self) -> i64 {
        self.booked.map_or(self.remain, |booked| self.capacity - booked)
    }
}

pub struct NativeSeller {
    connection: Connection,
    selling: Selling,
    spoiled: BTreeMap<String, i64>,
}

impl NativeSeller {
    pub fn open(path: &Path, selling: Selling) -> Result<NativeSeller, LegacyError> {
        Ok(NativeSeller { connection: open_connection(path, BUSY_TIMEOUT_MS)?, selling, spoiled: BTreeMap::new() })
    }

    /// By how many units each slot may be oversold because of what was edited since this was asked last: places that an
    /// edit took from a slot's total, and places that it made the application believe in.
    pub fn take_spoiled(&mut self) -> BTreeMap<String, i64> {
        std::mem::take(&mut self.spoiled)
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

    /// Active reservations by who made them, in order of their number, from `after` on.
    pub fn active(&self, made: MadeBy, after: &str, limit: u32) -> Result<Vec<String>, LegacyError> {
        let whose = match made {
            MadeBy::Native => "IF_OP_ID IS NULL",
            MadeBy::Bridge => "IF_OP_ID NOT LIKE '%#%'",
            MadeBy::Placeholder => "IF_OP_ID LIKE '%#%'",
        };
        let sql = format!(
            "SELECT RESV_NO FROM TB_RESV WHERE STAT_CD = 'A' AND {whose} AND RESV_NO > ?1 ORDER BY RESV_NO LIMIT ?2"
        );
        let mut statement = self.connection.prepare_cached(&sql).map_err(failure)?;
        let rows = statement.query_map(params![after, limit], |r| r.get(0)).map_err(failure)?;
        rows.collect::<Result<_, _>>().map_err(failure)
    }

    /// Open slots with room, soonest first: what the web site lists.
    pub fn open_slots(&self, limit: u32) -> Result<Vec<String>, LegacyError> {
        let sql = format!(
            "SELECT SLOT_NO FROM TB_SLOT WHERE STAT_CD = '1' AND {} AND OPEN_DT IS NULL ORDER BY RSV_DT, SLOT_NO \
             LIMIT ?1",
            self.selling.room()
        );
        let mut statement = self.connection.prepare_cached(&sql).map_err(failure)?;
        let rows = statement.query_map([limit], |r| r.get(0)).map_err(failure)?;
        rows.collect::<Result<_, _>>().map_err(failure)
    }

    pub fn close_slot(&mut self, slot: &str) -> Result<bool, LegacyError> {
        self.edit(slot, "STAT_CD = '9'", params![slot])
    }

    pub fn reopen_slot(&mut self, slot: &str) -> Result<bool, LegacyError> {
        self.edit(slot, "STAT_CD = '1'", params![slot])
    }

    /// Sets the capacity, even below what is sold; what is left moves with it.
    pub fn set_capacity(&mut self, slot: &str, capacity: u32) -> Result<bool, LegacyError> {
        let set = match self.selling {
            Selling::Remaining | Selling::Trigger(Kept::Remaining) => {
                "REMAIN_CNT = REMAIN_CNT + ?2 - CAPA_CNT, CAPA_CNT = ?2"
            }
            Selling::Counter | Selling::CountReservations | Selling::Trigger(Kept::Booked) => "CAPA_CNT = ?2",
        };
        self.edit(slot, set, params![slot, capacity])
    }

    pub fn move_slot(&mut self, slot: &str, start: Timestamp) -> Result<bool, LegacyError> {
        self.edit(slot, "RSV_DT = ?2", params![slot, start.seoul_text()])
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

    /// The nightly job: every counter says again what the reservations say. It forgets the escrow. Returns slots changed.
    pub fn nightly_recount(&mut self) -> Result<u64, LegacyError> {
        self.nightly_recount_of().map(|slots| slots.len() as u64)
    }

    /// As `nightly_recount`; returns which slots it changed.
    pub fn nightly_recount_of(&mut self) -> Result<Vec<String>, LegacyError> {
        let counted = "(SELECT COUNT(*) FROM TB_RESV R WHERE R.SLOT_NO = TB_SLOT.SLOT_NO AND R.STAT_CD <> 'C')";
        let (column, right) = match self.selling {
            Selling::Remaining | Selling::Trigger(Kept::Remaining) => ("REMAIN_CNT", format!("CAPA_CNT - {counted}")),
            Selling::Counter | Selling::CountReservations | Selling::Trigger(Kept::Booked) => {
                ("BOOKED_CNT", counted.to_owned())
            }
        };
        let sql = format!("UPDATE TB_SLOT SET {column} = {right}, UPD_DT = {NOW_SQL} WHERE {column} <> {right}");
        let selling = self.selling;
        let changed: Vec<(String, i64)> = self.transaction(|tx| {
            let wrong = format!("SELECT SLOT_NO FROM TB_SLOT WHERE {column} <> {right}");
            let mut wrong = tx.prepare_cached(&wrong).map_err(failure)?;
            let slots = wrong.query_map([], |r| r.get::<_, String>(0)).map_err(failure)?;
            let slots: Vec<String> = slots.collect::<Result<_, _>>().map_err(failure)?;
            let before = slots.iter().map(|slot| Room::read(tx, selling, slot)).collect::<Result<Vec<_>, _>>()?;
            tx.execute(&sql, []).map_err(failure)?;
            let told = slots.into_iter().zip(before);
            told.map(|(slot, before)| {
                let units = before.spoiled_by(&Room::read(tx, selling, &slot)?);
                Ok((slot, units))
            })
            .collect()
        })?;
        changed.iter().for_each(|(slot, units)| *self.spoiled.entry(slot.clone()).or_default() += units);
        Ok(changed.into_iter().map(|(slot, _)| slot).collect())
    }

    /// A clerk opens a slot's screen.
    pub fn open_screen(&self, slot: &str) -> Result<Option<Screen>, LegacyError> {
        self.connection
            .query_row(
                "SELECT SLOT_NO, STAT_CD = '1', CAPA_CNT, BOOKED_CNT, REMAIN_CNT, RSV_DT, RMK FROM TB_SLOT WHERE SLOT_NO = ?1",
                [slot],
                |r| {
                    Ok(Screen {
                        slot: r.get(0)?,
                        status_open: r.get(1)?,
                        capacity: r.get(2)?,
                        booked: r.get(3)?,
                        remain: r.get(4)?,
                        start: r.get(5)?,
                        remark: r.get(6)?,
                    })
                },
            )
            .optional()
            .map_err(failure)
    }

    /// The clerk saves: every column of the screen, the counts as they were when the screen was opened.
    pub fn save_screen(&mut self, screen: &Screen) -> Result<bool, LegacyError> {
        self.edit(
            &screen.slot,
            "STAT_CD = ?2, CAPA_CNT = ?3, BOOKED_CNT = ?4, RSV_DT = ?5, RMK = ?6, REMAIN_CNT = ?7",
            params![
                screen.slot,
                if screen.status_open { "1" } else { "9" },
                screen.capacity,
                screen.booked,
                screen.start,
                screen.remark,
                screen.remain
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

    /// Asks the bridge for its free units, of one slot or of all. Returns the request's id.
    pub fn request_release(&mut self, slot: Option<&str>) -> Result<u64, LegacyError> {
        let sql = format!(
            "INSERT INTO SB_RELEASE_REQUEST SELECT COALESCE(MAX(REQUEST_ID), 0) + 1, ?1, {NOW_SQL}, NULL \
             FROM SB_RELEASE_REQUEST RETURNING REQUEST_ID"
        );
        self.transaction(|tx| {
            tx.query_row(&sql, [slot], |r| r.get::<_, i64>(0)).map(i64::unsigned_abs).map_err(failure)
        })
    }

    /// Fences the bridge off, as script 94 does first.
    pub fn close_fence(&mut self) -> Result<(), LegacyError> {
        self.transaction(|tx| tx.execute("UPDATE SB_FENCE SET TOKEN = 'CLOSED'", []).map(|_| ()).map_err(failure))
    }

    /// Copies the whole database as it stands into a new file.
    pub fn back_up(&self, to: &Path) -> Result<(), LegacyError> {
        self.connection.backup("main", to, None).map_err(failure)
    }

    /// Puts the whole database back to what a backup holds, under everybody who has it open (rule 28).
    pub fn restore_from(&mut self, backup: &Path) -> Result<(), LegacyError> {
        self.connection.restore("main", backup, None::<fn(rusqlite::backup::Progress)>).map_err(failure)
    }

    fn edit(&mut self, slot: &str, set: &str, bound: impl rusqlite::Params) -> Result<bool, LegacyError> {
        let sql = format!("UPDATE TB_SLOT SET {set}, UPD_DT = {NOW_SQL} WHERE SLOT_NO = ?1");
        let selling = self.selling;
        let (is_there, units) = self.transaction(|tx| {
            let before = Room::read(tx, selling, slot)?;
            let is_there = tx.execute(&sql, bound).map_err(failure)? == 1;
            Ok((is_there, before.spoiled_by(&Room::read(tx, selling, slot)?)))
        })?;
        if units > 0 {
            *self.spoiled.entry(slot.to_owned()).or_default() += units;
        }
        Ok(is_there)
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

/// A slot's total, and what the application believes to be left of it. Nothing where there is no such slot.
#[derive(Debug, Clone, Copy, Default)]
struct Room {
    total: i64,
    left: i64,
}

impl Room {
    fn read(tx: &Transaction<'_>, selling: Selling, slot: &str) -> Result<Room, LegacyError> {
        let (total, left) = match selling {
            Selling::Counter | Selling::Trigger(Kept::Booked) => ("CAPA_CNT", "CAPA_CNT - COALESCE(BOOKED_CNT, 0)"),
            Selling::Remaining | Selling::Trigger(Kept::Remaining) => ("CAPA_CNT", "REMAIN_CNT"),
            // A capacity that the bridge has lowered is less than the total by the escrow.
            Selling::CountReservations => (
                "CAPA_CNT + COALESCE((SELECT E.UNITS FROM SB_ESCROW E WHERE E.SLOT_ID = SLOT_NO AND E.SEEN_CNT = CAPA_CNT), 0)",
                "CAPA_CNT - (SELECT COUNT(*) FROM TB_RESV R WHERE R.SLOT_NO = TB_SLOT.SLOT_NO AND R.STAT_CD <> 'C')",
            ),
        };
        let sql = format!("SELECT {total}, {left} FROM TB_SLOT WHERE SLOT_NO = ?1");
        let room = tx
            .prepare_cached(&sql)
            .and_then(|mut s| s.query_row([slot], |r| Ok(Room { total: r.get(0)?, left: r.get(1)? })).optional());
        Ok(room.map_err(failure)?.unwrap_or_default())
    }

    /// By how many units the slot may be oversold where an edit left it like `after`.
    fn spoiled_by(self, after: &Room) -> i64 {
        (self.total - after.total).max(0) + (after.left - self.left).max(0)
    }
}

/// Who made a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MadeBy {
    Native,
    Bridge,
    /// The bridge's, in the name of nobody (mode `count_rows`).
    Placeholder,
}

fn book(tx: &Transaction<'_>, selling: Selling, slot: &str, person: &str) -> Result<NativeOutcome, LegacyError> {
    let sql = format!("SELECT STAT_CD = '1', SERIES_CD, {} FROM TB_SLOT WHERE SLOT_NO = ?1", selling.room());
    let found: Option<(bool, String, Option<bool>)> = tx
        .prepare_cached(&sql)
        .and_then(|mut s| s.query_row([slot], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?))).optional())
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
    if room != Some(true) {
        return Ok(NativeOutcome::Full);
    }
    if let Some((sold, _)) = selling.writes() {
        let sql = format!("UPDATE TB_SLOT SET {sold}, UPD_DT = {NOW_SQL} WHERE SLOT_NO = ?1");
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
    if let Some((_, freed)) = selling.writes() {
        let sql = format!("UPDATE TB_SLOT SET {freed}, UPD_DT = {NOW_SQL} WHERE SLOT_NO = ?1");
        tx.prepare_cached(&sql).and_then(|mut s| s.execute([slot])).map_err(failure)?;
    }
    Ok(NativeOutcome::Cancelled)
}
