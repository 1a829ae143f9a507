//! Package `SB_API`: what a DBA writes in PL/SQL for the body `procedure`, as handlers over the same views.
//!
//! It runs with its owner's rights: who may execute it needs no grant on tables. Statements are Oracle's and go through
//! the same rewriting as a client's. What changes units is in `sb_moves`.

use super::errors::OraError;
use super::execute::Execute;
use super::sb_moves::{self, Op};
use super::session::{Fail, Session};
use crate::sql::Wait;
use crate::wire::{Cell, Reply, take};

/// Release requests of one AGENCY.
const RELEASES_MAX: u32 = 50;

/// Runs one procedure; OUT arguments are written in place.
pub fn call(session: &mut Session, name: &str, arguments: &mut [Cell]) -> Result<(), OraError> {
    let wanted = match name {
        "OPEN_BATCH" => 2,
        "CLOSE_BATCH" => 4,
        "APPLY_OP" => 14,
        "AGENCY" => 6,
        "RELEASED" => 1,
        "HEARTBEAT" => 3,
        _ => return Err(no_such(name)),
    };
    if arguments.len() != wanted {
        return Err(no_such(name));
    }
    let grants = std::mem::take(&mut session.grants);
    let done = run(session, name, arguments);
    session.grants = grants;
    done
}

fn no_such(name: &str) -> OraError {
    let text = format!("line 1, column 7:\nPLS-00306: wrong number or types of arguments in call to '{name}'");
    OraError::new(6550, text)
}

fn run(session: &mut Session, name: &str, a: &mut [Cell]) -> Result<(), OraError> {
    match name {
        "OPEN_BATCH" => {
            (a[0], a[1]) = open(session)?;
        }
        "APPLY_OP" => apply(session, a)?,
        "CLOSE_BATCH" => {
            // By position, which ascends over the lives of a ledger, it never goes back.
            let sql = "UPDATE SB_FENCE SET
                         LAST_OP = CASE WHEN SUBSTR(LAST_OP, 17) > SUBSTR(:1, 17) THEN LAST_OP ELSE :2 END,
                         INCARNATION = CASE WHEN SUBSTR(LAST_OP, 17) > SUBSTR(:3, 17) THEN INCARNATION ELSE :4 END,
                         APPLIED_CNT = APPLIED_CNT + :5
                       WHERE ONE = 1 AND TOKEN = 'OPEN'";
            if change(session, sql, &[&a[1], &a[1], &a[1], &a[0], &a[2]])? != 1 {
                return Err(sb_moves::contradiction());
            }
            a[3] = first(session, "SELECT TO_CHAR(APPLIED_CNT) FROM SB_FENCE", &[])?.unwrap_or(Cell::Null);
        }
        "AGENCY" => {
            a[0] = first(session, "SELECT STATE FROM SB_CONTROL", &[])?.unwrap_or(Cell::Null);
            let fence =
                rows(session, "SELECT TOKEN, INCARNATION, LAST_OP, TO_CHAR(APPLIED_CNT) FROM SB_FENCE", &[], 1)?;
            if let Some([token, incarnation, last, applied]) = fence.first().map(Vec::as_slice) {
                (a[1], a[2], a[3], a[4]) = (token.clone(), incarnation.clone(), last.clone(), applied.clone());
            }
            a[5] = releases(session)?;
        }
        "RELEASED" => {
            let sql = "UPDATE SB_RELEASE_REQUEST SET DONE_AT = SYSDATE WHERE REQUEST_ID = :1 AND DONE_AT IS NULL";
            change(session, sql, &[&a[0]])?;
        }
        _ => {
            let update = "UPDATE SB_HEARTBEAT SET POSITION = :1, UNAPPLIED = :2, FREE_UNITS = :3, BEAT_AT = SYSDATE";
            if change(session, update, &[&a[0], &a[1], &a[2]])? == 0 {
                let insert = "INSERT INTO SB_HEARTBEAT (ONE, POSITION, UNAPPLIED, FREE_UNITS, BEAT_AT)
                              VALUES (1, :1, :2, :3, SYSDATE)";
                change(session, insert, &[&a[0], &a[1], &a[2]])?;
            }
        }
    }
    Ok(())
}

/// The switch and the fence's token, with the fence locked.
fn open(session: &mut Session) -> Result<(Cell, Cell), OraError> {
    session.begin_write(Wait::Seconds(1))?;
    let state = first(session, "SELECT STATE FROM SB_CONTROL", &[])?.unwrap_or(Cell::Null);
    let token = first(session, "SELECT TOKEN FROM SB_FENCE FOR UPDATE WAIT 1", &[])?.unwrap_or(Cell::Null);
    Ok((state, token))
}

/// `id|slot` lines, `*` for every slot.
fn releases(session: &mut Session) -> Result<Cell, OraError> {
    let sql = "SELECT REQUEST_ID, NVL(SLOT_ID, '*') FROM SB_RELEASE_REQUEST WHERE DONE_AT IS NULL ORDER BY REQUESTED_AT, REQUEST_ID";
    let found = match rows(session, sql, &[], RELEASES_MAX) {
        // An interface schema of version 1 has no requests.
        Err(e) if e.code == 942 => Vec::new(),
        other => other?,
    };
    let lines: Vec<String> = found.iter().map(|row| format!("{}|{}", words(&row[0]), words(&row[1]))).collect();
    Ok(if lines.is_empty() { Cell::Null } else { Cell::Text(lines.join("\n")) })
}

/// Known: hash and result as stored. New: the id, the effect and the answer, or nothing but the answer.
fn apply(session: &mut Session, a: &mut [Cell]) -> Result<(), OraError> {
    let (state, token) = open(session)?;
    if words(&token) != "OPEN" || words(&state) == "STOP" {
        return Err(sb_moves::contradiction());
    }
    let stored = "SELECT BODY_HASH, RESULT FROM SB_APPLIED WHERE OP_ID = :1";
    if let Some([hash, result]) = rows(session, stored, &[&a[0]], 1)?.first().map(Vec::as_slice) {
        (a[12], a[13]) = (hash.clone(), result.clone());
        return Ok(());
    }
    let op = Op {
        id: words(&a[0]),
        mode: words(&a[2]).to_lowercase(),
        by_trigger: words(&a[3]).eq_ignore_ascii_case("trigger"),
        constraint: words(&a[4]).to_lowercase(),
        kind: words(&a[5]).to_uppercase(),
        slot: words(&a[6]),
        units: words(&a[7]).parse().unwrap_or(0),
        person: words(&a[8]),
        series: words(&a[9]),
        convert: words(&a[10]),
        honour: words(&a[11]).eq_ignore_ascii_case("honour"),
        draining: words(&state) != "RUN",
    };
    // A refusal undoes what it had begun; a rule of the agency's schema is an answer, everything else an error.
    session.connection.execute_batch("SAVEPOINT sb_op")?;
    let made = sb_moves::run(session, &op);
    let answer = match made {
        Ok(answer) if answer.keeps => answer.text,
        other => {
            session.connection.execute_batch("ROLLBACK TO sb_op")?;
            match other {
                Ok(answer) => answer.text,
                Err(e) if matches!(e.code, 1 | 1400 | 1438 | 2290..=2292 | 4088 | 4091 | 12899 | 20000..=20999) => {
                    format!("legacy_rule ORA-{:05}", e.code)
                }
                Err(e) => return Err(e),
            }
        }
    };
    session.connection.execute_batch("RELEASE sb_op")?;
    let result = Cell::Text(answer);
    let insert = "INSERT INTO SB_APPLIED (OP_ID, BODY_HASH, RESULT, APPLIED_AT) VALUES (:1, :2, :3, SYSDATE)";
    change(session, insert, &[&a[0], &a[1], &result])?;
    (a[12], a[13]) = (Cell::Null, result);
    Ok(())
}

pub fn words(cell: &Cell) -> String {
    match cell {
        Cell::Null | Cell::Bytes(_) => String::new(),
        Cell::Int(n) => n.to_string(),
        Cell::Real(n) => n.to_string(),
        Cell::Decimal(t) | Cell::Text(t) | Cell::Char(t) | Cell::Date(t) | Cell::Timestamp(t) => t.clone(),
    }
}

fn ask(session: &mut Session, sql: &str, binds: &[&Cell], most: u32) -> Result<(Reply, Vec<u8>), OraError> {
    let row = binds.iter().map(|cell| (*cell).clone()).collect();
    // Cursor 0 is the server's own; clients count from 1.
    let ask = Execute { cursor: 0, sql, rows: vec![row], batch_errors: false, prefetch: most };
    session.run(&ask).map_err(|Fail { error, .. }| error)
}

pub fn change(session: &mut Session, sql: &str, binds: &[&Cell]) -> Result<u64, OraError> {
    match ask(session, sql, binds, 0)?.0 {
        Reply::Changed { rows, .. } => Ok(rows),
        _ => Ok(0),
    }
}

pub fn rows(session: &mut Session, sql: &str, binds: &[&Cell], most: u32) -> Result<Vec<Vec<Cell>>, OraError> {
    let (reply, cells) = ask(session, sql, binds, most)?;
    session.close(0);
    let width = if let Reply::Rows { columns, .. } = &reply { columns.len().max(1) } else { 1 };
    let mut values = Vec::new();
    let mut at = 0;
    while let Some(value) = take(&cells, &mut at) {
        values.push(value.owned());
    }
    Ok(values.chunks(width).map(<[Cell]>::to_vec).collect())
}

pub fn first(session: &mut Session, sql: &str, binds: &[&Cell]) -> Result<Option<Cell>, OraError> {
    Ok(rows(session, sql, binds, 1)?.into_iter().next().and_then(|row| row.into_iter().next()))
}

pub fn count(session: &mut Session, sql: &str, binds: &[&Cell]) -> Result<i64, OraError> {
    Ok(first(session, sql, binds)?.map_or(0, |cell| words(&cell).parse().unwrap_or(0)))
}
