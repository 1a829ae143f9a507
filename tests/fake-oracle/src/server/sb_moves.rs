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
    /// The agency takes units back and gives none.
    pub draining: bool,
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
    /// NULL: the application keeps none.
    booked: Option<i64>,
    remain: i64,
    series: String,
    open: bool,
    units: i64,
    seen: Option<i64>,
    /// Not cancelled, placeholders not counted.
    reserved: i64,
    placeholders: i64,
}

impl Slot {
    /// Where nothing is held, any capacity is simply the total.
    fn edited(&self) -> bool {
        self.units > 0 && self.seen.is_some_and(|seen| seen != self.capacity)
    }

    fn total(&self, op: &Op) -> i64 {
        if op.mode == "capacity" && !self.edited() { self.capacity + self.units } else { self.capacity }
    }

    fn sold(&self, op: &Op) -> i64 {
        match op.mode.as_str() {
            "remaining" => self.capacity - self.remain,
            "capacity" if self.edited() => self.reserved,
            "capacity" => self.reserved + self.units,
            "count_rows" => self.reserved + self.placeholders,
            _ => self.booked.unwrap_or(self.reserved + self.placeholders.max(self.units)),
        }
    }

    fn eroded(&self, op: &Op) -> bool {
        self.sold(op) < self.reserved + self.units
    }

    /// Does a counter stand in the slot row that the mode goes by?
    fn counted(&self, op: &Op) -> bool {
        match op.mode.as_str() {
            "none" | "capacity" | "count_rows" => false,
            "remaining" => true,
            _ => self.booked.is_some(),
        }
    }
}

fn text(of: &str) -> Cell {
    Cell::Text(of.to_owned())
}

fn read(session: &mut Session, op: &Op) -> Result<Option<Slot>, OraError> {
    let sql = "SELECT CAPACITY, BOOKED_CNT, REMAIN_CNT, SERIES_CD, STATUS FROM SB_SLOT_W WHERE SLOT_ID = :1
               FOR UPDATE WAIT 1";
    let slot = text(&op.slot);
    let found = rows(session, sql, &[&slot], 1)?;
    let Some([capacity, booked, remain, series, status]) = found.first().map(Vec::as_slice) else { return Ok(None) };
    let number = |cell: &Cell| words(cell).parse::<i64>().ok();
    let escrow = rows(session, "SELECT UNITS, SEEN_CNT FROM SB_ESCROW WHERE SLOT_ID = :1", &[&slot], 1)?;
    let (units, seen) = match escrow.first().map(Vec::as_slice) {
        Some([units, seen]) => (number(units).unwrap_or(0), number(seen)),
        _ => (0, None),
    };
    let active = "SELECT COUNT(*) FROM SB_BOOKING_W WHERE SLOT_ID = :1 AND STATUS <> 'C' AND";
    let reserved = count(session, &format!("{active} NVL(OP_ID, ' ') NOT LIKE '%#%'"), &[&slot])?;
    let placeholders = count(session, &format!("{active} OP_ID LIKE '%#%'"), &[&slot])?;
    Ok(Some(Slot {
        capacity: number(capacity).unwrap_or(0),
        booked: number(booked),
        remain: number(remain).unwrap_or(0),
        series: words(series),
        open: words(status) == "OPEN",
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
        _ => Err(contradiction()),
    }
}

/// `RAISE PROGRAM_ERROR`.
pub fn contradiction() -> OraError {
    OraError::new(6501, "PL/SQL: program error")
}

/// The mode's column so that so many more units count as sold.
fn sell(session: &mut Session, op: &Op, more: i64) -> Result<(), OraError> {
    let set = match op.mode.as_str() {
        "remaining" => "REMAIN_CNT = REMAIN_CNT - :1",
        "capacity" => "CAPACITY = CAPACITY - :1",
        _ => "BOOKED_CNT = BOOKED_CNT + :1",
    };
    set_slot(session, op, set, more)
}

fn set_slot(session: &mut Session, op: &Op, set: &str, to: i64) -> Result<(), OraError> {
    let sql = format!("UPDATE SB_SLOT_W SET {set}, UPD_DT = SYSDATE WHERE SLOT_ID = :2");
    match change(session, &sql, &[&Cell::Int(to), &text(&op.slot)])? {
        1 => Ok(()),
        _ => Err(contradiction()),
    }
}

/// The escrow row: units more, the op, and in mode `capacity` the capacity that is left; `None` leaves that as it is.
fn hold(session: &mut Session, op: &Op, by: i64, seen: Option<i64>) -> Result<(), OraError> {
    let (by, id, slot) = (Cell::Int(by), text(&op.id), text(&op.slot));
    let seen = seen.map_or(Cell::Null, Cell::Int);
    let update =
        "UPDATE SB_ESCROW SET UNITS = UNITS + :1, LAST_OP = :2, SEEN_CNT = NVL(:3, SEEN_CNT) WHERE SLOT_ID = :4";
    if change(session, update, &[&by, &id, &seen, &slot])? == 0 {
        let insert = "INSERT INTO SB_ESCROW (SLOT_ID, UNITS, LAST_OP, SEEN_CNT) VALUES (:1, :2, :3, :4)";
        change(session, insert, &[&slot, &by, &id, &seen])?;
    }
    Ok(())
}

/// The capacity after `by` units were cut off it, where the mode goes by it.
fn seen_after(op: &Op, slot: &Slot, by: i64) -> Option<i64> {
    (op.mode == "capacity" && !slot.edited()).then_some(slot.capacity - by)
}

fn take(session: &mut Session, op: &Op, slot: &Slot) -> Made {
    if matches!(op.mode.as_str(), "quota" | "on_request" | "none") || op.draining || !slot.open {
        return refused("taken 0");
    }
    if slot.eroded(op) {
        return refused("escrow_eroded");
    }
    let mut taken = op.units.min(slot.total(op) - slot.sold(op)).max(0);
    if taken > 0 && op.mode == "count_rows" {
        taken = add_holders(session, op, slot, taken)?;
    } else if taken > 0 {
        sell(session, op, taken)?;
    }
    if taken > 0 {
        hold(session, op, taken, seen_after(op, slot, taken))?;
    }
    kept(format!("taken {taken}"))
}

fn give_back(session: &mut Session, op: &Op, slot: &Slot) -> Made {
    let nowhere = matches!(op.mode.as_str(), "none" | "on_request") && slot.booked.is_none();
    if slot.units < op.units || slot.eroded(op) || nowhere {
        return refused("escrow_eroded");
    }
    if op.mode == "count_rows" {
        if drop_holders(session, op, op.units)? != op.units {
            return refused("escrow_eroded");
        }
    } else {
        sell(session, op, -op.units)?;
    }
    if op.mode == "quota" {
        let quota = "QUOTA_CNT = GREATEST(QUOTA_CNT - :1, 0)";
        set_slot(session, op, quota, op.units)?;
    }
    hold(session, op, -op.units, seen_after(op, slot, -op.units))?;
    kept(format!("returned {}", op.units))
}

fn convert(session: &mut Session, op: &Op, slot: &Slot) -> Made {
    let backed = slot.units > 0;
    if !backed && !op.honour {
        return refused("escrow_eroded");
    }
    if let Some(answer) = person(session, op)? {
        return refused(answer);
    }
    // The trigger counts the row that is inserted; its unit is counted in the escrow already. A counter that has
    // nothing to give back gives it back afterwards.
    let by_trigger = backed && op.by_trigger && slot.counted(op);
    let late = slot.sold(op) < 1;
    match op.mode.as_str() {
        "capacity" if backed && !slot.edited() => sell(session, op, -1)?,
        "count_rows" if backed => drop(drop_holders(session, op, 1)?),
        _ if by_trigger && !late => sell(session, op, -1)?,
        _ if !backed && !op.by_trigger && slot.counted(op) => sell(session, op, 1)?,
        _ => {}
    }
    let number = match book(session, op, &op.person, &op.series, &op.id)? {
        Some(number) => number,
        None => return refused("person_booked"),
    };
    if by_trigger && late {
        sell(session, op, -1)?;
    }
    let units = i64::from(backed);
    hold(session, op, -units, seen_after(op, slot, -units))?;
    let over = !backed && slot.reserved + 1 > slot.total(op);
    kept(format!("{} {number}", if over { "converted_over" } else { "converted" }))
}

fn place(session: &mut Session, op: &Op, slot: &Slot) -> Made {
    if op.mode != "on_request" {
        return Err(contradiction());
    }
    // A counter that has forgotten reservations does not make places.
    let sold = slot.booked.unwrap_or(0).max(slot.reserved + slot.placeholders);
    if op.draining || !slot.open || sold >= slot.capacity {
        return refused("no_place");
    }
    if let Some(answer) = person(session, op)? {
        return refused(answer);
    }
    if slot.counted(op) && !op.by_trigger {
        sell(session, op, 1)?;
    }
    match book(session, op, &op.person, &op.series, &op.id)? {
        Some(number) => {
            hold(session, op, 0, None)?;
            kept(format!("converted {number}"))
        }
        None => refused("person_booked"),
    }
}

/// The person exists, and, where no unique index says so, has no active reservation in the series.
fn person(session: &mut Session, op: &Op) -> Result<Option<&'static str>, OraError> {
    let lock = if op.constraint == "row_lock" { " FOR UPDATE WAIT 1" } else { "" };
    let sql = format!("SELECT PERSON_ID FROM SB_PERSON_W WHERE PERSON_ID = :1{lock}");
    if first(session, &sql, &[&text(&op.person)])?.is_none() {
        return Ok(Some("legacy_rule person_missing"));
    }
    let asks = op.constraint != "unique_index";
    Ok((asks && has_active(session, &op.person, &op.series)?).then_some("person_booked"))
}

fn has_active(session: &mut Session, person: &str, series: &str) -> Result<bool, OraError> {
    let sql = "SELECT COUNT(*) FROM SB_BOOKING_W WHERE PERSON_ID = :1 AND SERIES_CD = :2 AND STATUS = 'A'";
    Ok(count(session, sql, &[&text(person), &text(series)])? > 0)
}

/// Number of the new reservation; `None`: the person has one in the series.
fn book(session: &mut Session, op: &Op, person: &str, series: &str, mark: &str) -> Result<Option<String>, OraError> {
    let number = first(session, "SELECT SB_NEXT_RESV_NO FROM DUAL", &[])?.unwrap_or(Cell::Null);
    let sql = "INSERT INTO SB_BOOKING_W (RESV_NO, SLOT_ID, PERSON_ID, SERIES_CD, STATUS, OP_ID, MEMO, REG_DT, UPD_DT)
               VALUES (:1, :2, :3, :4, 'A', :5, '제휴사 예약', SYSDATE, SYSDATE)";
    match change(session, sql, &[&number, &text(&op.slot), &text(person), &text(series), &text(mark)]) {
        Ok(_) => Ok(Some(words(&number))),
        Err(e) if e.code == 1 && has_active(session, person, series)? => Ok(None),
        Err(e) => Err(e),
    }
}

/// Placeholder reservations, as many of the wanted as the pool has persons.
fn add_holders(session: &mut Session, op: &Op, slot: &Slot, wanted: i64) -> Result<i64, OraError> {
    let pool = "SELECT P.PERSON_ID FROM SB_PLACEHOLDER P WHERE NOT EXISTS (SELECT 1 FROM SB_BOOKING_W B
                WHERE B.PERSON_ID = P.PERSON_ID AND B.SERIES_CD = :1 AND B.STATUS = 'A') ORDER BY P.PERSON_ID";
    let wanted = wanted.max(0) as usize;
    let free = rows(session, pool, &[&text(&slot.series)], wanted as u32)?;
    let mut made = 0;
    for person in free.iter().take(wanted) {
        let mark = format!("{}#{}", op.id, made + 1);
        if book(session, op, &words(&person[0]), &slot.series, &mark)?.is_some() {
            made += 1;
        }
    }
    Ok(made)
}

fn drop_holders(session: &mut Session, op: &Op, units: i64) -> Result<i64, OraError> {
    let sql = "UPDATE SB_BOOKING_W SET STATUS = 'C', UPD_DT = SYSDATE
               WHERE SLOT_ID = :1 AND STATUS = 'A' AND OP_ID LIKE '%#%' AND ROWNUM <= :2";
    Ok(change(session, sql, &[&text(&op.slot), &Cell::Int(units)])? as i64)
}

fn cancel(session: &mut Session, op: &Op, slot: &Slot) -> Made {
    let which = text(&op.convert);
    let find = "SELECT STATUS, SLOT_ID FROM SB_BOOKING_W WHERE OP_ID = :1 FOR UPDATE WAIT 1";
    let found = rows(session, find, &[&which], 1)?;
    let Some([status, of_slot]) = found.first().map(Vec::as_slice) else {
        return refused("legacy_rule reservation_missing");
    };
    if words(of_slot) != op.slot {
        return Err(contradiction());
    }
    match words(status).as_str() {
        "A" => {}
        "C" => return refused("already_cancelled"),
        _ => return refused("legacy_rule reservation_done"),
    }
    change(session, "UPDATE SB_BOOKING_W SET STATUS = 'C', UPD_DT = SYSDATE WHERE OP_ID = :1", &[&which])?;
    if op.mode == "on_request" {
        if !op.by_trigger && slot.booked.is_some_and(|booked| booked > 0) {
            sell(session, op, -1)?;
        }
        hold(session, op, 0, None)?;
        return kept("given_up");
    }
    match op.mode.as_str() {
        "capacity" if !slot.edited() => sell(session, op, 1)?,
        "count_rows" if add_holders(session, op, slot, 1)? == 0 => {
            return refused("legacy_rule placeholder_missing");
        }
        _ if op.by_trigger && slot.counted(op) => sell(session, op, 1)?,
        _ => {}
    }
    hold(session, op, 1, seen_after(op, slot, 1))?;
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
    let (lost, covered) = (slot.units - keep, slot.reserved + keep);
    let mut seen = None;
    match op.mode.as_str() {
        "remaining" => set_slot(session, op, "REMAIN_CNT = CAPACITY - :1", covered)?,
        "capacity" => {
            let left = (total - keep).max(slot.reserved);
            set_slot(session, op, "CAPACITY = :1", left)?;
            seen = Some(left);
        }
        "count_rows" if slot.placeholders < keep => {
            let wanted = keep - slot.placeholders;
            if add_holders(session, op, slot, wanted)? != wanted {
                return refused("legacy_rule placeholder_missing");
            }
        }
        "count_rows" => drop(drop_holders(session, op, slot.placeholders - keep)?),
        _ => set_slot(session, op, "BOOKED_CNT = :1", covered)?,
    }
    hold(session, op, -lost, seen)?;
    let (added, over) = ((missing - lost).max(0), (covered - total).max(0));
    kept(format!("mended {added} {lost} {over}"))
}
