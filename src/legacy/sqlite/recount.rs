//! An independent recount of the legacy database, for the verdict of a demonstration or a test.
//!
//! Plain SQL over the agency's tables. It uses nothing of the adapter and none of the views, so an error there cannot
//! hide here. How the file's application counts it reads from `SB_META`. Placeholders are not bookings: they are the
//! escrow's units as rows.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::failure;
use crate::legacy::LegacyError;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recount {
    pub slots: u64,
    /// Reservations that are not cancelled.
    pub native: u64,
    pub bridge: u64,
    /// Units in escrow.
    pub escrow: u64,
    /// Reservations that are not cancelled in the name of nobody (mode `count_rows`).
    pub placeholders: u64,
    /// Slots in which reservations and escrow together exceed the agency's total.
    pub oversold: Vec<Oversold>,
    /// Slots whose book-keeping does not say reservations + escrow (rule 30, or a seller that does not keep it).
    pub miscounted: u64,
    /// Which they are.
    pub miscounted_slots: Vec<Miscounted>,
    /// Persons with two or more active reservations in a series.
    pub booked_twice: Vec<BookedTwice>,
    /// Reservations that the bridge made, by op id.
    pub by_op: BTreeMap<String, BridgeReservation>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oversold {
    pub slot: String,
    /// The agency's total.
    pub capacity: i64,
    pub reserved: i64,
    pub escrow: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Miscounted {
    pub slot: String,
    /// Sold and in escrow as the book-keeping has it, and as it is.
    pub kept: i64,
    pub wanted: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookedTwice {
    pub series: String,
    /// Reservation numbers; the person is not named.
    pub reservations: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeReservation {
    pub resv_no: String,
    pub slot: String,
    pub status: ReservationStatus,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReservationStatus {
    Active,
    Cancelled,
    Done,
}

/// Columns: slot, capacity, booked, remaining, native, named, placeholders, escrow, capacity as the bridge left it.
const PER_SLOT: &str = "\
SELECT S.SLOT_NO, S.CAPA_CNT, S.BOOKED_CNT, S.REMAIN_CNT, COALESCE(R.N, 0), COALESCE(R.B, 0), COALESCE(R.P, 0),
       COALESCE(E.UNITS, 0), E.SEEN_CNT
FROM TB_SLOT S
LEFT JOIN (SELECT SLOT_NO, SUM(IF_OP_ID IS NULL) AS N, SUM(instr(IF_OP_ID, '#') = 0) AS B,
                  SUM(instr(IF_OP_ID, '#') > 0) AS P
           FROM TB_RESV WHERE STAT_CD <> 'C' GROUP BY SLOT_NO) R ON R.SLOT_NO = S.SLOT_NO
LEFT JOIN SB_ESCROW E ON E.SLOT_ID = S.SLOT_NO";
const TWICE: &str = "\
SELECT SERIES_CD, GROUP_CONCAT(RESV_NO) FROM TB_RESV WHERE STAT_CD = 'A' GROUP BY PSN_NO, SERIES_CD HAVING COUNT(*) > 1";
const BY_OP: &str = "SELECT IF_OP_ID, RESV_NO, SLOT_NO, STAT_CD FROM TB_RESV WHERE instr(IF_OP_ID, '#') = 0";

/// Counts everything in one snapshot.
pub fn recount(path: &Path) -> Result<Recount, LegacyError> {
    let mut connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failure)?;
    let tx = connection.transaction().map_err(failure)?;
    let mut found = Recount::default();
    let mode: String = tx.query_row("SELECT MODE_CD FROM SB_META", [], |r| r.get(0)).map_err(failure)?;
    {
        let mut statement = tx.prepare(PER_SLOT).map_err(failure)?;
        let mut rows = statement.query([]).map_err(failure)?;
        while let Some(row) = rows.next().map_err(failure)? {
            let number = |at: usize| row.get::<_, i64>(at).map_err(failure);
            let maybe = |at: usize| row.get::<_, Option<i64>>(at).map_err(failure);
            let (written, native, bridge, placeholders, escrow) =
                (number(1)?, number(4)?, number(5)?, number(6)?, number(7)?);
            let reserved = native + bridge;
            let lowered = mode == "capacity" && maybe(8)? == Some(written);
            let capacity = if lowered { written + escrow } else { written };
            let wanted = reserved + escrow;
            let kept = match mode.as_str() {
                "capacity" if lowered => wanted,
                "capacity" => reserved,
                "count_rows" => reserved + placeholders,
                "remaining" => written - number(3)?,
                _ => maybe(2)?.unwrap_or(wanted),
            };
            found.slots += 1;
            found.native += native as u64;
            found.bridge += bridge as u64;
            found.placeholders += placeholders as u64;
            found.escrow += escrow as u64;
            if kept != wanted {
                found.miscounted += 1;
                let slot = row.get(0).map_err(failure)?;
                found.miscounted_slots.push(Miscounted { slot, kept, wanted });
            }
            if wanted > capacity {
                found.oversold.push(Oversold { slot: row.get(0).map_err(failure)?, capacity, reserved, escrow });
            }
        }
        let mut statement = tx.prepare(TWICE).map_err(failure)?;
        let twice = statement
            .query_map([], |r| {
                let list: String = r.get(1)?;
                Ok(BookedTwice { series: r.get(0)?, reservations: list.split(',').map(str::to_owned).collect() })
            })
            .map_err(failure)?;
        found.booked_twice = twice.collect::<Result<_, _>>().map_err(failure)?;
        let mut statement = tx.prepare(BY_OP).map_err(failure)?;
        let ops = statement
            .query_map([], |r| {
                let status: String = r.get(3)?;
                let status = match status.as_str() {
                    "A" => ReservationStatus::Active,
                    "C" => ReservationStatus::Cancelled,
                    _ => ReservationStatus::Done,
                };
                Ok((r.get(0)?, BridgeReservation { resv_no: r.get(1)?, slot: r.get(2)?, status }))
            })
            .map_err(failure)?;
        found.by_op = ops.collect::<Result<_, _>>().map_err(failure)?;
    }
    Ok(found)
}
