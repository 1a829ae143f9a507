//! What an op does to slot, escrow and reservations, by mode: the table of the interface's contract.
//!
//! `booked` is the legacy system's own count of what is sold or held, however the mode keeps it: in `remaining` as what
//! is left, in `capacity` as what the bridge has cut off the capacity.

use super::errors::OraError;
use super::sb_api::{change, count, first, rows, words};
use super::session::Session;
use crate::wire::Cell;

pub struct Op {
    pub id: String,
    pub mode: String,
    pub by_trigger: bool,
    pub constraint: String,
    pub kind: String,
    pub slot: String,
    pub units: i64,
    pub person: String,
    pub series: String,
    pub convert: String,
    pub honour: bool,
}

/// `keeps`: its effects stand; otherwise only its text does.
pub struct Answer {
    pub text: String,
    pub keeps: bool,
}

type Made = Result<Answer, OraError>;

fn kept(text: impl Into<String>) -> Made {
    Ok(Answer { text: text.into(), keeps: true })
}

fn refused(text: &str) -> Made {
    Ok(Answer { text: text.to_owned(), keeps: false })
}

/// The slot under its lock.
struct Slot {
    capacity: i64,
    booked: i64,
    /// The column is NULL: the application keeps none.
    unkept: bool,
    open: bool,
    quota: i64,
    units: i64,
    seen: Option<i64>,
    /// Not cancelled, placeholders not counted.
    reserved: i64,
    placeholders: i64,
}

impl Slot {
    fn edited(&self) -> bool {
        self.seen.is_some_and(|seen| seen != self.capacity)
    }

    fn total(&self, op: &Op) -> i64 {
        if op.mode == "capacity" && !self.edited() { self.capacity + self.units } else { self.capacity }
    }

    fn sold(&self, op: &Op) -> i64 {
        match op.mode.as_str() {
            "capacity" if self.edited() => self.reserved,
            "capacity" => self.reserved + self.units,
            "count_rows" => self.reserved + self.placeholders,
            _ => self.booked,
        }
    }

    fn eroded(&self, op: &Op) -> bool {
        self.sold(op) < self.reserved + self.units
    }
}

fn text(of: &str) -> Cell {
    Cell::Text(of.to_owned())
}

fn read(session: &mut Session, op: &Op) -> Result<Option<Slot>, OraError> {
    let column = if op.mode == "remaining" { "CAPACITY - REMAIN_CNT" } else { "BOOKED_CNT" };
    let quota = if op.mode == "quota" { "QUOTA_CNT" } else { "0" };
    let sql = format!("SELECT CAPACITY, {column}, STATUS, {quota} FROM SB_SLOT_W WHERE SLOT_ID = :1 FOR UPDATE WAIT 1");
    let slot = text(&op.slot);
    let found = rows(session, &sql, &[&slot], 1)?;
    let Some([capacity, booked, status, quota]) = found.first().map(Vec::as_slice) else { return Ok(None) };
    let number = |cell: &Cell| words(cell).parse::<i64>().unwrap_or(0);
    let escrow = if op.mode == "capacity" { "UNITS, SEEN_CNT" } else { "UNITS, NULL" };
    let escrow = rows(session, &format!("SELECT {escrow} FROM SB_ESCROW WHERE SLOT_ID = :1"), &[&slot], 1)?;
    let (units, seen) = match escrow.first().map(Vec::as_slice) {
        Some([units, Cell::Null]) => (number(units), None),
        Some([units, seen]) => (number(units), Some(number(seen))),
        _ => (0, None),
    };
    let active = "SELECT COUNT(*) FROM SB_BOOKING_W WHERE SLOT_ID = :1 AND STATUS <> 'C' AND";
    let reserved = count(session, &format!("{active} NVL(OP_ID, ' ') NOT LIKE '%#%'"), &[&slot])?;
    let placeholders = count(session, &format!("{active} OP_ID LIKE '%#%'"), &[&slot])?;
    Ok(Some(Slot {
        capacity: number(capacity),
        booked: number(booked),
        unkept: *booked == Cell::Null,
        open: words(status) == "OPEN",
        quota: number(quota),
        units,
        seen,
        reserved,
        placeholders,
    }))
}

pub fn run(session: &mut Session, op: &Op) -> Made {
    let Some(slot) = read(session, op)? else { return refused("slot_missing") };
    match op.kind.as_str() {
        "TAKE" => take(session, op, &slot),
        "RETURN" => give_back(session, op, &slot),
        "CONVERT" => convert(session, op, &slot),
        "PLACE" => place(session, op, &slot),
        "CANCEL" => cancel(session, op, &slot),
        "MEND" => mend(session, op, &slot),
        _ => Err(OraError::new(20001, "unknown kind of op")),
    }
}

/// The mode's column so that so many more units count as sold.
fn sell(session: &mut Session, op: &Op, more: i64) -> Result<(), OraError> {
    let set = match op.mode.as_str() {
        "remaining" => "REMAIN_CNT = REMAIN_CNT - :1",
        "capacity" => "CAPACITY = CAPACITY - :1",
        "count_rows" => return Ok(()),
        _ => "BOOKED_CNT = BOOKED_CNT + :1",
    };
    if more != 0 {
        let sql = format!("UPDATE SB_SLOT_W SET {set}, UPD_DT = SYSTIMESTAMP WHERE SLOT_ID = :2");
        change(session, &sql, &[&Cell::Int(more), &text(&op.slot)])?;
    }
    Ok(())
}

/// The escrow row: units, the op, and in mode `capacity` the capacity that is left.
fn hold(session: &mut Session, op: &Op, units: i64) -> Result<(), OraError> {
    let (units, id, slot) = (Cell::Int(units), text(&op.id), text(&op.slot));
    if change(session, "UPDATE SB_ESCROW SET UNITS = :1, LAST_OP = :2 WHERE SLOT_ID = :3", &[&units, &id, &slot])? == 0
    {
        let insert = "INSERT INTO SB_ESCROW (SLOT_ID, UNITS, LAST_OP) VALUES (:1, :2, :3)";
        change(session, insert, &[&slot, &units, &id])?;
    }
    if op.mode == "capacity" {
        let seen =
            "UPDATE SB_ESCROW SET SEEN_CNT = (SELECT CAPACITY FROM SB_SLOT_W WHERE SLOT_ID = :1) WHERE SLOT_ID = :2";
        change(session, seen, &[&slot, &slot])?;
    }
    Ok(())
}

fn take(session: &mut Session, op: &Op, slot: &Slot) -> Made {
    if matches!(op.mode.as_str(), "quota" | "on_request" | "none") {
        return kept("taken 0");
    }
    if slot.eroded(op) {
        return refused("escrow_eroded");
    }
    let free = if slot.open { (slot.total(op) - slot.sold(op)).max(0) } else { 0 };
    let mut taken = op.units.min(free);
    if op.mode == "count_rows" {
        taken = placeholders(session, op, taken)?;
    } else {
        sell(session, op, taken)?;
    }
    if taken > 0 {
        hold(session, op, slot.units + taken)?;
    }
    kept(format!("taken {taken}"))
}

fn give_back(session: &mut Session, op: &Op, slot: &Slot) -> Made {
    if slot.eroded(op) {
        return refused("escrow_eroded");
    }
    let given = op.units.min(slot.units);
    if op.mode == "count_rows" {
        free_placeholders(session, op, given)?;
    } else {
        sell(session, op, -given)?;
    }
    if op.mode == "quota" && given > 0 {
        let quota = Cell::Int((slot.quota - given).max(0));
        change(session, "UPDATE SB_SLOT_W SET QUOTA_CNT = :1 WHERE SLOT_ID = :2", &[&quota, &text(&op.slot)])?;
    }
    hold(session, op, slot.units - given)?;
    kept(format!("returned {given}"))
}

fn convert(session: &mut Session, op: &Op, slot: &Slot) -> Made {
    if let Some(answer) = person(session, op)? {
        return refused(answer);
    }
    let unbacked = slot.units == 0;
    if unbacked && !op.honour {
        return refused("escrow_eroded");
    }
    match (op.mode.as_str(), unbacked) {
        ("capacity", true) | ("count_rows", true) => {}
        ("capacity", false) if slot.edited() => {}
        ("capacity", false) => sell(session, op, -1)?,
        ("count_rows", false) => free_placeholders(session, op, 1)?,
        // The trigger counts the row that is inserted; its unit is counted in the escrow already.
        (_, false) if op.by_trigger => sell(session, op, -1)?,
        (_, true) if !op.by_trigger => sell(session, op, 1)?,
        _ => {}
    }
    let number = insert(session, op)?;
    if !unbacked {
        hold(session, op, slot.units - 1)?;
    }
    let over = unbacked && slot.reserved + 1 > slot.total(op);
    kept(format!("{} {number}", if over { "converted_over" } else { "converted" }))
}

fn place(session: &mut Session, op: &Op, slot: &Slot) -> Made {
    if let Some(answer) = person(session, op)? {
        return refused(answer);
    }
    let sold = if slot.unkept { slot.reserved } else { slot.booked };
    if !slot.open || sold >= slot.capacity {
        return refused("no_place");
    }
    if !slot.unkept && !op.by_trigger {
        sell(session, op, 1)?;
    }
    let number = insert(session, op)?;
    kept(format!("converted {number}"))
}

/// The person exists, and, where no unique index says so, has no active reservation in the series.
fn person(session: &mut Session, op: &Op) -> Result<Option<&'static str>, OraError> {
    let who = text(&op.person);
    if first(session, "SELECT PERSON_ID FROM SB_PERSON_W WHERE PERSON_ID = :1 FOR UPDATE WAIT 1", &[&who])?.is_none() {
        return Ok(Some("legacy_rule person_missing"));
    }
    let sql = "SELECT COUNT(*) FROM SB_BOOKING_W WHERE PERSON_ID = :1 AND SERIES_CD = :2 AND STATUS = 'A'";
    let active = count(session, sql, &[&who, &text(&op.series)])?;
    Ok((op.constraint != "unique_index" && active > 0).then_some("person_booked"))
}

fn insert(session: &mut Session, op: &Op) -> Result<String, OraError> {
    row(session, op, &op.person, &op.series, &op.id)
}

fn row(session: &mut Session, op: &Op, person: &str, series: &str, id: &str) -> Result<String, OraError> {
    let number = first(session, "SELECT SB_NEXT_RESV_NO FROM DUAL", &[])?.unwrap_or(Cell::Null);
    let sql = "INSERT INTO SB_BOOKING_W (RESV_NO, SLOT_ID, PERSON_ID, SERIES_CD, STATUS, OP_ID, REG_DT, UPD_DT)
               VALUES (:1, :2, :3, :4, 'A', :5, SYSTIMESTAMP, SYSTIMESTAMP)";
    change(session, sql, &[&number, &text(&op.slot), &text(person), &text(series), &text(id)])?;
    Ok(words(&number))
}

fn placeholders(session: &mut Session, op: &Op, wanted: i64) -> Result<i64, OraError> {
    let slot = text(&op.slot);
    let series = first(session, "SELECT SERIES_CD FROM SB_SLOT_W WHERE SLOT_ID = :1", &[&slot])?;
    let series = series.map(|cell| words(&cell)).unwrap_or_default();
    let pool = "SELECT P.PERSON_ID FROM SB_PLACEHOLDER P WHERE NOT EXISTS (SELECT 1 FROM SB_BOOKING_W B
                WHERE B.PERSON_ID = P.PERSON_ID AND B.SERIES_CD = :1 AND B.STATUS = 'A') ORDER BY P.PERSON_ID";
    let free = rows(session, pool, &[&text(&series)], wanted.max(0) as u32)?;
    for (at, person) in free.iter().take(wanted.max(0) as usize).enumerate() {
        // `#` tells a placeholder from a person's reservation; the tail of the id keeps it within 32 bytes.
        let id = format!("{}#{at:03}", &op.id[op.id.len().saturating_sub(28)..]);
        row(session, op, &words(&person[0]), &series, &id)?;
    }
    Ok(free.len() as i64)
}

fn free_placeholders(session: &mut Session, op: &Op, units: i64) -> Result<(), OraError> {
    let sql = "UPDATE SB_BOOKING_W SET STATUS = 'C', UPD_DT = SYSTIMESTAMP
               WHERE SLOT_ID = :1 AND STATUS = 'A' AND OP_ID LIKE '%#%' AND ROWNUM <= :2";
    change(session, sql, &[&text(&op.slot), &Cell::Int(units)])?;
    Ok(())
}

fn cancel(session: &mut Session, op: &Op, slot: &Slot) -> Made {
    let which = text(&op.convert);
    match first(session, "SELECT STATUS FROM SB_BOOKING_W WHERE OP_ID = :1 FOR UPDATE WAIT 1", &[&which])? {
        None => return refused("legacy_rule reservation_missing"),
        Some(status) if words(&status) == "C" => return refused("already_cancelled"),
        Some(status) if words(&status) == "D" => return refused("legacy_rule reservation_done"),
        Some(_) => {}
    }
    let sql = "UPDATE SB_BOOKING_W SET STATUS = 'C', UPD_DT = SYSTIMESTAMP WHERE OP_ID = :1";
    change(session, sql, &[&which])?;
    if op.mode == "on_request" {
        if !slot.unkept && !op.by_trigger {
            sell(session, op, -1)?;
        }
        return kept("given_up");
    }
    match op.mode.as_str() {
        "capacity" => sell(session, op, 1)?,
        "count_rows" => {
            placeholders(session, op, 1)?;
        }
        _ if op.by_trigger => sell(session, op, 1)?,
        _ => {}
    }
    hold(session, op, slot.units + 1)?;
    kept("turned_back")
}

/// Rule 30.
fn mend(session: &mut Session, op: &Op, slot: &Slot) -> Made {
    let missing = slot.reserved + slot.units - slot.sold(op);
    if missing <= 0 {
        return kept("mended 0 0 0");
    }
    let total = slot.total(op);
    let room = (total - slot.reserved).max(0);
    let keep = slot.units.min(room.max(op.units.min(slot.units)));
    let lost = slot.units - keep;
    let over = (slot.reserved + keep - total).max(0);
    let added = (missing - lost).max(0);
    match op.mode.as_str() {
        "capacity" => {
            let left = Cell::Int((total - keep).max(slot.reserved));
            change(session, "UPDATE SB_SLOT_W SET CAPACITY = :1 WHERE SLOT_ID = :2", &[&left, &text(&op.slot)])?;
        }
        "count_rows" => {
            let wanted = keep - slot.placeholders;
            if wanted > 0 {
                placeholders(session, op, wanted)?;
            } else {
                free_placeholders(session, op, -wanted)?;
            }
        }
        _ => sell(session, op, slot.reserved + keep - slot.booked)?,
    }
    hold(session, op, keep)?;
    kept(format!("mended {added} {lost} {over}"))
}
