//! `LegacyWrite` over the embedded legacy system: the bridge's own tables, the columns that the agency's application
//! counts by, named reservations.
//!
//! Invariants: an op's id, its effect and its answer are one transaction; a repeated op answers as stored and changes
//! nothing; a known id with another body stops everything; a refused op is rolled back to its savepoint, so a refusal
//! changes nothing; `convert` and `return` never look at the slot's status. SQLite's one write lock stands for the row
//! locks of a real database.

mod named;
mod slot;
mod units;

use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior, params};

use super::schema::{Books, Meta};
use super::{Maintained, NOW_SQL, PersonConstraint, Settings, failure, open_connection};
use crate::domain::{AllotmentMode, OpId, SlotKey};
use crate::legacy::stored::{body_hash, decode, encode};
use crate::legacy::{
    Agency, Control, Fence, Heartbeat, LegacyError, LegacyErrorKind, LegacyOp, LegacyWrite, MAX_OPS, OpReply,
    OpRequest, RELEASES_MAX, ReleaseRequest,
};

/// Code of a `LegacyRule` reply: the legacy system has no such person.
pub const RULE_PERSON_MISSING: &str = "person_missing";
/// Code of a `LegacyRule` reply: the op to be cancelled made no reservation.
pub const RULE_RESERVATION_MISSING: &str = "reservation_missing";
/// Code of a `LegacyRule` reply: the reservation is done and cannot be cancelled.
pub const RULE_RESERVATION_DONE: &str = "reservation_done";
/// Code of a `LegacyRule` reply: every placeholder person has a reservation in the series already.
pub const RULE_PLACEHOLDER_MISSING: &str = "placeholder_missing";

pub struct SqliteWrite {
    connection: Connection,
    books: Books,
    maintained: Maintained,
    person_constraint: PersonConstraint,
    leaves_fence: bool,
    /// `SB_FENCE.APPLIED_CNT` as of the newest commit.
    applied: u64,
    statements: u64,
}

impl SqliteWrite {
    /// Refuses a file that was not made for the mode, without the constraint that the settings rely on, or without
    /// placeholder persons where they are needed.
    pub fn open(settings: &Settings) -> Result<SqliteWrite, LegacyError> {
        let connection = open_connection(&settings.path, settings.busy_timeout_ms)?;
        let meta = Meta::read(&connection)?;
        let books = meta.books()?;
        let had: bool = one_row(
            &connection,
            "SELECT COUNT(*) FROM sqlite_master WHERE type = 'index' AND name = 'UX_RESV_ACTIVE'",
        )?;
        if settings.person_constraint == PersonConstraint::UniqueIndex && !had {
            return Err(operator("person_constraint is unique_index but the schema has no index UX_RESV_ACTIVE"));
        }
        if settings.allotment != AllotmentMode::None && !books.can_do(settings.allotment) {
            let message = format!("the file was made for mode {}, not {}", meta.mode, settings.allotment.code());
            return Err(operator(&message));
        }
        if books.column_changes().is_some() && meta.maintained != settings.maintained.code() {
            return Err(operator("allotment.maintained_by is not what the file was made with"));
        }
        if settings.allotment == AllotmentMode::CountRows
            && one_row::<i64>(&connection, "SELECT COUNT(*) FROM SB_PLACEHOLDER")? == 0
        {
            return Err(operator("mode count_rows needs placeholder persons and SB_PLACEHOLDER has none"));
        }
        Ok(SqliteWrite {
            connection,
            books,
            maintained: settings.maintained,
            person_constraint: settings.person_constraint,
            leaves_fence: false,
            applied: 0,
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
            books: self.books,
            maintained: self.maintained,
            person_constraint: self.person_constraint,
            leaves_fence: self.leaves_fence,
            draining: false,
            fresh: 0,
            statements: 0,
        };
        let result = batch.run(ops);
        self.statements += batch.statements;
        let (replies, applied) = result?;
        tx.commit().map_err(commit_failure)?;
        self.applied = applied;
        Ok(replies)
    }

    fn applied(&self) -> u64 {
        self.applied
    }

    fn agency(&mut self) -> Result<Agency, LegacyError> {
        self.statements += 3;
        let control = control_state(&self.connection)?;
        let (last_op, token, applied): (Option<String>, String, i64) = self
            .connection
            .query_row("SELECT LAST_OP, TOKEN, APPLIED_CNT FROM SB_FENCE", [], |r| {
                Ok((r.get(0)?, r.get(1)?, r.get(2)?))
            })
            .map_err(failure)?;
        let last_op = last_op.map(|text| text.parse()).transpose();
        let last_op = last_op.map_err(|_| halt("SB_FENCE holds something that is not an op id".to_owned()))?;
        let mut statement = self
            .connection
            .prepare_cached(
                "SELECT REQUEST_ID, SLOT_ID FROM SB_RELEASE_REQUEST WHERE DONE_AT IS NULL \
                 ORDER BY REQUESTED_AT, REQUEST_ID LIMIT ?1",
            )
            .map_err(failure)?;
        let mut rows = statement.query([RELEASES_MAX as i64]).map_err(failure)?;
        let mut releases = Vec::new();
        while let Some(row) = rows.next().map_err(failure)? {
            let slot: Option<String> = row.get(1).map_err(failure)?;
            let slot = slot.map(|text| text.parse()).transpose();
            let slot = slot.map_err(|_| operator("SB_RELEASE_REQUEST names something that is not a slot"))?;
            let id: i64 = row.get(0).map_err(failure)?;
            releases.push(ReleaseRequest { id: id.unsigned_abs(), slot });
        }
        Ok(Agency {
            control,
            fence: Fence { last_op, applied: applied.unsigned_abs(), open: token == "OPEN" },
            releases,
        })
    }

    fn released(&mut self, request: u64) -> Result<(), LegacyError> {
        self.statements += 1;
        let sql =
            format!("UPDATE SB_RELEASE_REQUEST SET DONE_AT = {NOW_SQL} WHERE REQUEST_ID = ?1 AND DONE_AT IS NULL");
        let mut statement = self.connection.prepare_cached(&sql).map_err(failure)?;
        statement.execute([request as i64]).map_err(failure)?;
        Ok(())
    }

    fn forget_applied(&mut self, days: u32, rows_max: u32) -> Result<u64, LegacyError> {
        self.statements += 1;
        let sql = "DELETE FROM SB_APPLIED WHERE OP_ID IN (SELECT OP_ID FROM SB_APPLIED \
                   WHERE APPLIED_AT < strftime('%Y-%m-%d %H:%M:%f', 'now', '+9 hours', ?1) LIMIT ?2)";
        let mut statement = self.connection.prepare_cached(sql).map_err(failure)?;
        let gone = statement.execute(params![format!("-{days} days"), rows_max]).map_err(failure)?;
        Ok(gone as u64)
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
    books: Books,
    maintained: Maintained,
    person_constraint: PersonConstraint,
    leaves_fence: bool,
    draining: bool,
    /// Ops that were not known.
    fresh: u32,
    statements: u64,
}

/// Why an op ends before its end.
enum Stop {
    /// It is answered so, and whatever it has changed is rolled back.
    Refused(OpReply),
    Failed(LegacyError),
}

impl From<LegacyError> for Stop {
    fn from(error: LegacyError) -> Stop {
        Stop::Failed(error)
    }
}

impl Batch<'_> {
    /// The replies, and how many ops are applied then.
    fn run(&mut self, ops: &[OpRequest]) -> Result<(Vec<OpReply>, u64), LegacyError> {
        self.statements += 1;
        match control_state(self.tx)? {
            Control::Run => {}
            Control::Drain => self.draining = true,
            Control::Stop => return Err(operator("the agency's switch SB_CONTROL says STOP")),
        }
        self.statements += 1;
        let fence = "SELECT TOKEN, APPLIED_CNT FROM SB_FENCE";
        let fence = self.tx.prepare_cached(fence).and_then(|mut s| s.query_row([], |r| Ok((r.get(0)?, r.get(1)?))));
        let (token, applied): (String, i64) = fence.map_err(failure)?;
        if token != "OPEN" {
            return Err(operator("the bridge is fenced off (SB_FENCE)"));
        }
        let mut replies = Vec::with_capacity(ops.len());
        for op in ops {
            replies.push(self.once(op)?);
        }
        let last = ops.iter().map(|op| op.id).max_by_key(|id| id.position);
        if let Some(last) = last.filter(|_| !self.leaves_fence) {
            self.advance_fence(last)?;
        }
        Ok((replies, applied.unsigned_abs() + u64::from(self.fresh)))
    }

    /// The fence names the op with the largest position: positions only grow, also over a restored ledger.
    fn advance_fence(&mut self, last: OpId) -> Result<(), LegacyError> {
        self.statements += 1;
        self.tx
            .prepare_cached(
                "UPDATE SB_FENCE SET APPLIED_CNT = APPLIED_CNT + ?3, \
                 INCARNATION = CASE WHEN substr(LAST_OP, 17) > substr(?2, 17) THEN INCARNATION ELSE ?1 END, \
                 LAST_OP = CASE WHEN substr(LAST_OP, 17) > substr(?2, 17) THEN LAST_OP ELSE ?2 END",
            )
            .and_then(|mut s| s.execute(params![format!("{:016x}", last.incarnation.0), last.to_string(), self.fresh]))
            .map_err(failure)?;
        Ok(())
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
        if !self.books.can_do(op.mode) {
            return Err(halt(format!("op {id} is of mode {}, for which the file was not made", op.mode.code())));
        }
        self.fresh += 1;
        self.savepoint("SAVEPOINT SB_OP")?;
        let reply = match self.effect(op) {
            Ok(reply) => reply,
            Err(Stop::Refused(reply)) => {
                self.savepoint("ROLLBACK TO SB_OP")?;
                reply
            }
            Err(Stop::Failed(error)) => return Err(error),
        };
        self.savepoint("RELEASE SB_OP")?;
        self.statements += 1;
        self.tx
            .prepare_cached(&format!("INSERT INTO SB_APPLIED VALUES (?1, ?2, ?3, {NOW_SQL})"))
            .and_then(|mut s| s.execute(params![id, hash, encode(&reply)]))
            .map_err(failure)?;
        Ok(reply)
    }

    fn effect(&mut self, op: &OpRequest) -> Result<OpReply, Stop> {
        match &op.what {
            LegacyOp::Take { units } => self.take(op, *units),
            LegacyOp::Return { units } => self.give_back(op, *units),
            LegacyOp::Mend { sold } => self.mend(op, *sold),
            LegacyOp::Convert { person, series, unbacked } => self.convert(op, person, series, *unbacked),
            LegacyOp::Place { person, series } => self.place(op, person, series),
            LegacyOp::Cancel { convert } => self.cancel(op, *convert),
        }
    }

    fn savepoint(&mut self, sql: &str) -> Result<(), LegacyError> {
        self.statements += 1;
        self.tx.prepare_cached(sql).and_then(|mut s| s.execute([])).map(|_| ()).map_err(failure)
    }

    /// Rows changed. A constraint or a trigger of the legacy system that forbids it refuses the op.
    fn change(&mut self, sql: &str, bound: impl rusqlite::Params) -> Result<usize, Stop> {
        self.statements += 1;
        self.tx.prepare_cached(sql).and_then(|mut s| s.execute(bound)).map_err(stop)
    }

    fn maybe<T: rusqlite::types::FromSql>(
        &mut self,
        sql: &str,
        bound: impl rusqlite::Params,
    ) -> Result<Option<T>, LegacyError> {
        self.statements += 1;
        self.tx.prepare_cached(sql).and_then(|mut s| s.query_row(bound, |r| r.get(0)).optional()).map_err(failure)
    }
}

fn stop(error: rusqlite::Error) -> Stop {
    match &error {
        rusqlite::Error::SqliteFailure(e, _) if e.code == ErrorCode::ConstraintViolation => {
            Stop::Refused(rule(&format!("sqlite_{}", e.extended_code)))
        }
        _ => Stop::Failed(failure(error)),
    }
}

fn one_row<T: rusqlite::types::FromSql>(connection: &Connection, sql: &str) -> Result<T, LegacyError> {
    connection.prepare_cached(sql).and_then(|mut s| s.query_row([], |r| r.get(0))).map_err(failure)
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
