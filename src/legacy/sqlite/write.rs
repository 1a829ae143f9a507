//! `LegacyWrite` over the embedded legacy system: the bridge's own tables, the booked counter, named reservations.
//!
//! Invariants: an op's id, its effect and its answer are one transaction; a repeated op answers as stored and changes
//! nothing; a known id with another body stops everything; `convert` and `return` never look at the slot's status.
//! What would be refused is found out before anything is changed, so no savepoint is needed.

use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior, params};

use super::{NOW_SQL, PersonConstraint, Settings, failure, open_connection};
use crate::domain::{AllotmentMode, OpId, SeriesId, SlotKey};
use crate::legacy::stored::{body_hash, decode, encode};
use crate::legacy::{
    Agency, Control, Fence, Heartbeat, LegacyError, LegacyErrorKind, LegacyOp, LegacyWrite, MAX_OPS, OpReply,
    OpRequest, PersonKey,
};

/// Code of a `LegacyRule` reply: the legacy system has no such person.
pub const RULE_PERSON_MISSING: &str = "person_missing";
/// Code of a `LegacyRule` reply: the op to be cancelled made no reservation.
pub const RULE_RESERVATION_MISSING: &str = "reservation_missing";
/// Code of a `LegacyRule` reply: the reservation is done and cannot be cancelled.
pub const RULE_RESERVATION_DONE: &str = "reservation_done";

pub struct SqliteWrite {
    connection: Connection,
    allotment: AllotmentMode,
    person_constraint: PersonConstraint,
    leaves_fence: bool,
    statements: u64,
}

impl SqliteWrite {
    /// Refuses a file whose schema does not have the constraint that the settings rely on.
    pub fn open(settings: &Settings) -> Result<SqliteWrite, LegacyError> {
        let connection = open_connection(&settings.path, settings.busy_timeout_ms)?;
        let had: bool = connection
            .query_row("SELECT COUNT(*) FROM sqlite_master WHERE type = 'index' AND name = 'UX_RESV_ACTIVE'", [], |r| {
                r.get(0)
            })
            .map_err(failure)?;
        if settings.person_constraint == PersonConstraint::UniqueIndex && !had {
            return Err(LegacyError::new(
                LegacyErrorKind::Operator,
                "person_constraint is unique_index but the schema has no index UX_RESV_ACTIVE".to_owned(),
            ));
        }
        Ok(SqliteWrite {
            connection,
            allotment: settings.allotment,
            person_constraint: settings.person_constraint,
            leaves_fence: false,
            statements: 0,
        })
    }
}

impl LegacyWrite for SqliteWrite {
    fn apply(&mut self, ops: &[OpRequest]) -> Result<Vec<OpReply>, LegacyError> {
        if ops.len() > MAX_OPS {
            return Err(halt(format!("{} ops in one transaction, at most {MAX_OPS}", ops.len())));
        }
        self.statements += 2;
        let tx = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failure)?;
        let mut batch = Batch {
            tx: &tx,
            allotment: self.allotment,
            person_constraint: self.person_constraint,
            leaves_fence: self.leaves_fence,
            draining: false,
            statements: 0,
        };
        let result = batch.run(ops);
        self.statements += batch.statements;
        let replies = result?;
        tx.commit().map_err(commit_failure)?;
        Ok(replies)
    }

    fn agency(&mut self) -> Result<Agency, LegacyError> {
        self.statements += 2;
        let control = control_state(&self.connection)?;
        let (last_op, token): (Option<String>, String) = self
            .connection
            .query_row("SELECT LAST_OP, TOKEN FROM SB_FENCE", [], |r| Ok((r.get(0)?, r.get(1)?)))
            .map_err(failure)?;
        let last_op = last_op.map(|text| text.parse()).transpose();
        let last_op = last_op.map_err(|_| halt("SB_FENCE holds something that is not an op id".to_owned()))?;
        Ok(Agency { control, fence: Fence { last_op, open: token == "OPEN" }, releases: Vec::new() })
    }

    fn released(&mut self, _request: u64) -> Result<(), LegacyError> {
        Ok(())
    }

    fn heartbeat(&mut self, beat: Heartbeat) -> Result<(), LegacyError> {
        self.statements += 1;
        let sql = format!("INSERT OR REPLACE INTO SB_HEARTBEAT VALUES (1, ?1, ?2, ?3, {NOW_SQL})");
        let mut statement = self.connection.prepare_cached(&sql).map_err(failure)?;
        statement
            .execute(params![beat.position as i64, beat.unapplied as i64, beat.free_units as i64])
            .map_err(failure)?;
        Ok(())
    }

    fn leave_fence(&mut self) -> bool {
        self.leaves_fence = true;
        true
    }

    fn statements(&self) -> u64 {
        self.statements
    }
}

/// One transaction of ops.
struct Batch<'a> {
    tx: &'a Transaction<'a>,
    allotment: AllotmentMode,
    person_constraint: PersonConstraint,
    leaves_fence: bool,
    draining: bool,
    statements: u64,
}

/// The slot row and what stands against it.
struct SlotState {
    open: bool,
    capacity: i64,
    counter: i64,
    /// Reservations that are not cancelled, native and named.
    reserved: i64,
    escrow: i64,
}

impl SlotState {
    /// Rule 30: the counter no longer covers what is reserved and escrowed.
    fn eroded(&self) -> bool {
        self.counter < self.reserved + self.escrow
    }
}

impl Batch<'_> {
    fn run(&mut self, ops: &[OpRequest]) -> Result<Vec<OpReply>, LegacyError> {
        self.statements += 1;
        match control_state(self.tx)? {
            Control::Run => {}
            Control::Drain => self.draining = true,
            Control::Stop => return Err(operator("the agency's switch SB_CONTROL says STOP")),
        }
        let token: String = self.one("SELECT TOKEN FROM SB_FENCE", params![], |r| r.get(0))?;
        if token != "OPEN" {
            return Err(operator("the bridge is fenced off (SB_FENCE)"));
        }
        let mut replies = Vec::with_capacity(ops.len());
        for op in ops {
            replies.push(self.once(op)?);
        }
        let last = ops.iter().map(|op| op.id).max_by_key(|id| id.position);
        if let Some(last) = last.filter(|_| !self.leaves_fence) {
            let incarnation = format!("{:016x}", last.incarnation.0);
            self.change(
                "UPDATE SB_FENCE SET LAST_OP = CASE WHEN INCARNATION = ?1 AND LAST_OP > ?2 THEN LAST_OP ELSE ?2 END, \
                 INCARNATION = ?1",
                params![incarnation, last.to_string()],
            )?;
        }
        Ok(replies)
    }

    fn once(&mut self, op: &OpRequest) -> Result<OpReply, LegacyError> {
        let (id, hash) = (op.id.to_string(), body_hash(op));
        self.statements += 1;
        let known: Option<(String, String)> = self
            .tx
            .prepare_cached("SELECT BODY_HASH, RESULT FROM SB_APPLIED WHERE OP_ID = ?1")
            .and_then(|mut s| s.query_row([&id], |r| Ok((r.get(0)?, r.get(1)?))).optional())
            .map_err(failure)?;
        if let Some((had, result)) = known {
            if had != hash {
                return Err(halt(format!("op {id} is known with another body")));
            }
            return decode(&result).ok_or_else(|| halt(format!("the stored result of op {id} cannot be read")));
        }
        let reply = match &op.what {
            LegacyOp::Take { units } => self.take(op, *units)?,
            LegacyOp::Return { units } => self.give_back(op, *units)?,
            LegacyOp::Convert { person, series, .. } => self.convert(op, person, series)?,
            LegacyOp::Cancel { convert } => self.cancel(op, *convert)?,
            LegacyOp::Place { .. } | LegacyOp::Mend { .. } => {
                return Err(halt(format!("op {id} is of an unknown kind")));
            }
        };
        let sql = format!("INSERT INTO SB_APPLIED VALUES (?1, ?2, ?3, {NOW_SQL})");
        self.change(&sql, params![id, hash, encode(&reply)])?;
        Ok(reply)
    }

    fn take(&mut self, op: &OpRequest, units: u32) -> Result<OpReply, LegacyError> {
        let Some(slot) = self.slot(&op.slot)? else { return Ok(OpReply::SlotMissing) };
        if self.allotment == AllotmentMode::Quota || self.draining || !slot.open {
            return Ok(OpReply::Taken { units: 0 });
        }
        if slot.eroded() {
            return Ok(OpReply::EscrowEroded);
        }
        let granted = i64::from(units).min(slot.capacity - slot.counter).max(0);
        if granted > 0 {
            let sql = format!(
                "UPDATE TB_SLOT SET BOOKED_CNT = BOOKED_CNT + ?2, UPD_DT = {NOW_SQL} \
                 WHERE SLOT_NO = ?1 AND STAT_CD = '1' AND BOOKED_CNT + ?2 <= CAPA_CNT"
            );
            if self.change(&sql, params![op.slot.as_str(), granted])? == 0 {
                return Ok(OpReply::Taken { units: 0 });
            }
            self.escrow(&op.slot, granted, op.id)?;
        }
        Ok(OpReply::Taken { units: granted as u32 })
    }

    fn give_back(&mut self, op: &OpRequest, units: u32) -> Result<OpReply, LegacyError> {
        let Some(slot) = self.slot(&op.slot)? else { return Ok(OpReply::SlotMissing) };
        let k = i64::from(units);
        if slot.escrow < k || slot.eroded() {
            return Ok(OpReply::EscrowEroded);
        }
        let sql = format!(
            "UPDATE TB_SLOT SET BOOKED_CNT = BOOKED_CNT - ?2, EXT_QUOTA_CNT = MAX(EXT_QUOTA_CNT - ?2, 0), \
             UPD_DT = {NOW_SQL} WHERE SLOT_NO = ?1"
        );
        self.change(&sql, params![op.slot.as_str(), k])?;
        self.escrow(&op.slot, -k, op.id)?;
        Ok(OpReply::Returned { units })
    }

    /// Capacity-neutral: the unit leaves the escrow, the reservation takes its place, the slot row stays as it is.
    fn convert(&mut self, op: &OpRequest, person: &PersonKey, series: &SeriesId) -> Result<OpReply, LegacyError> {
        let escrow: Option<i64> = self.maybe(
            "SELECT COALESCE(E.UNITS, 0) FROM TB_SLOT T LEFT JOIN SB_ESCROW E ON E.SLOT_ID = T.SLOT_NO \
             WHERE T.SLOT_NO = ?1",
            params![op.slot.as_str()],
        )?;
        let Some(escrow) = escrow else { return Ok(OpReply::SlotMissing) };
        if escrow < 1 {
            return Ok(OpReply::EscrowEroded);
        }
        if self.maybe("SELECT 1 FROM TB_PSN WHERE PSN_NO = ?1", params![&*person.0])?.is_none() {
            return Ok(rule(RULE_PERSON_MISSING));
        }
        if self.person_constraint == PersonConstraint::None && self.has_active(person, series)? {
            return Ok(OpReply::PersonBooked);
        }
        let number: i64 = self.one(
            "UPDATE TB_SEQ SET LAST_NO = LAST_NO + 1 WHERE SEQ_NM = 'SQ_RESV' RETURNING LAST_NO",
            params![],
            |r| r.get(0),
        )?;
        let legacy_ref = reservation_no(number);
        self.statements += 1;
        let sql = format!(
            "INSERT INTO TB_RESV (RESV_NO, SLOT_NO, PSN_NO, SERIES_CD, STAT_CD, IF_OP_ID, CHRG_NM, RMK, REG_DT, UPD_DT) \
             VALUES (?1, ?2, ?3, ?4, 'A', ?5, NULL, '제휴사 예약', {NOW_SQL}, {NOW_SQL})"
        );
        let bound = params![legacy_ref, op.slot.as_str(), &*person.0, series.as_str(), op.id.to_string()];
        match self.tx.prepare_cached(&sql).and_then(|mut s| s.execute(bound)) {
            Ok(_) => {}
            Err(rusqlite::Error::SqliteFailure(e, _))
                if e.code == ErrorCode::ConstraintViolation && self.has_active(person, series)? =>
            {
                return Ok(OpReply::PersonBooked);
            }
            Err(error) => return Err(failure(error)),
        }
        self.escrow(&op.slot, -1, op.id)?;
        Ok(OpReply::Converted { legacy_ref: legacy_ref.into(), over: false })
    }

    fn cancel(&mut self, op: &OpRequest, convert: OpId) -> Result<OpReply, LegacyError> {
        self.statements += 1;
        let found: Option<(String, String, String)> = self
            .tx
            .prepare_cached("SELECT RESV_NO, STAT_CD, SLOT_NO FROM TB_RESV WHERE IF_OP_ID = ?1")
            .and_then(|mut s| s.query_row([convert.to_string()], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?))).optional())
            .map_err(failure)?;
        let Some((number, status, slot)) = found else { return Ok(rule(RULE_RESERVATION_MISSING)) };
        if slot != op.slot.as_str() {
            return Err(halt(format!("op {} cancels a reservation of another slot", op.id)));
        }
        match status.as_str() {
            "A" => {}
            "C" => return Ok(OpReply::AlreadyCancelled),
            _ => return Ok(rule(RULE_RESERVATION_DONE)),
        }
        let sql = format!("UPDATE TB_RESV SET STAT_CD = 'C', UPD_DT = {NOW_SQL} WHERE RESV_NO = ?1");
        self.change(&sql, params![number])?;
        self.escrow(&op.slot, 1, op.id)?;
        Ok(OpReply::TurnedBack)
    }

    fn slot(&mut self, slot: &SlotKey) -> Result<Option<SlotState>, LegacyError> {
        self.statements += 1;
        self.tx
            .prepare_cached(
                "SELECT T.STAT_CD = '1', T.CAPA_CNT, T.BOOKED_CNT, COALESCE(E.UNITS, 0), \
                 (SELECT COUNT(*) FROM TB_RESV R WHERE R.SLOT_NO = T.SLOT_NO AND R.STAT_CD <> 'C') \
                 FROM TB_SLOT T LEFT JOIN SB_ESCROW E ON E.SLOT_ID = T.SLOT_NO WHERE T.SLOT_NO = ?1",
            )
            .and_then(|mut s| {
                s.query_row([slot.as_str()], |r| {
                    Ok(SlotState {
                        open: r.get(0)?,
                        capacity: r.get(1)?,
                        counter: r.get(2)?,
                        escrow: r.get(3)?,
                        reserved: r.get(4)?,
                    })
                })
                .optional()
            })
            .map_err(failure)
    }

    fn has_active(&mut self, person: &PersonKey, series: &SeriesId) -> Result<bool, LegacyError> {
        let found = self.maybe(
            "SELECT 1 FROM TB_RESV WHERE PSN_NO = ?1 AND SERIES_CD = ?2 AND STAT_CD = 'A' LIMIT 1",
            params![&*person.0, series.as_str()],
        )?;
        Ok(found.is_some())
    }

    fn escrow(&mut self, slot: &SlotKey, units: i64, op: OpId) -> Result<(), LegacyError> {
        // Two statements: the upsert's own row would break CHECK (UNITS >= 0) before the conflict is seen.
        let updated = self.change(
            "UPDATE SB_ESCROW SET UNITS = UNITS + ?2, LAST_OP = ?3 WHERE SLOT_ID = ?1",
            params![slot.as_str(), units, op.to_string()],
        )?;
        if updated == 0 {
            self.change(
                "INSERT INTO SB_ESCROW (SLOT_ID, UNITS, LAST_OP) VALUES (?1, ?2, ?3)",
                params![slot.as_str(), units, op.to_string()],
            )?;
        }
        Ok(())
    }

    fn change(&mut self, sql: &str, bound: impl rusqlite::Params) -> Result<usize, LegacyError> {
        self.statements += 1;
        self.tx.prepare_cached(sql).and_then(|mut s| s.execute(bound)).map_err(failure)
    }

    fn maybe(&mut self, sql: &str, bound: impl rusqlite::Params) -> Result<Option<i64>, LegacyError> {
        self.statements += 1;
        self.tx.prepare_cached(sql).and_then(|mut s| s.query_row(bound, |r| r.get(0)).optional()).map_err(failure)
    }

    fn one<T>(
        &mut self,
        sql: &str,
        bound: impl rusqlite::Params,
        read: impl FnOnce(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, LegacyError> {
        self.statements += 1;
        self.tx.prepare_cached(sql).and_then(|mut s| s.query_row(bound, read)).map_err(failure)
    }
}

/// A reservation number as the legacy system prints it.
pub(crate) fn reservation_no(number: i64) -> String {
    format!("R{number:010}")
}

fn control_state(connection: &Connection) -> Result<Control, LegacyError> {
    let mut statement = connection.prepare_cached("SELECT STATE FROM SB_CONTROL").map_err(failure)?;
    let state: String = statement.query_row([], |row| row.get(0)).map_err(failure)?;
    match state.as_str() {
        "RUN" => Ok(Control::Run),
        "DRAIN" => Ok(Control::Drain),
        "STOP" => Ok(Control::Stop),
        _ => Err(operator("SB_CONTROL holds something other than RUN, DRAIN or STOP")),
    }
}

fn rule(code: &str) -> OpReply {
    OpReply::LegacyRule { code: code.to_owned() }
}

/// A commit that reports a busy file or a full disk has not happened; after an I/O error nobody knows.
fn commit_failure(error: rusqlite::Error) -> LegacyError {
    let known = failure(error);
    let in_doubt = !matches!(known.kind, LegacyErrorKind::Retry | LegacyErrorKind::Operator);
    LegacyError { in_doubt, ..known }
}

fn halt(message: String) -> LegacyError {
    LegacyError::new(LegacyErrorKind::Halt, message)
}

fn operator(message: &str) -> LegacyError {
    LegacyError::new(LegacyErrorKind::Operator, message.to_owned())
}
