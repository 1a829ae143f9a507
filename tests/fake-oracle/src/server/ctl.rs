//! The side file `FILE.ctl`: users, grants, parameters and faults, which other processes write while the server runs,
//! and sessions and counters, which it writes for them.
//!
//! Faults are kept in memory and read again when another process has changed the file, which SQLite's `data_version`
//! tells for a microsecond a call.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rusqlite::{Connection, OptionalExtension, params};

use super::Count;
use super::errors::OraError;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS fake_users(name TEXT PRIMARY KEY, password TEXT NOT NULL, locked INT NOT NULL DEFAULT 0,
  expires_at TEXT);
CREATE TABLE IF NOT EXISTS fake_grants(name TEXT NOT NULL, object TEXT NOT NULL, privilege TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS fake_params(name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS fake_faults(id INTEGER PRIMARY KEY, op TEXT NOT NULL, pattern TEXT NOT NULL DEFAULT '%',
  skip INT NOT NULL DEFAULT 0, times INT NOT NULL DEFAULT 1, code INT NOT NULL DEFAULT 0, msg TEXT NOT NULL DEFAULT '',
  kill INT NOT NULL DEFAULT 0, after INT NOT NULL DEFAULT 0, sleep_ms INT NOT NULL DEFAULT 0, row INT, session TEXT);
CREATE TABLE IF NOT EXISTS fake_calls(kind TEXT NOT NULL, sql TEXT NOT NULL PRIMARY KEY, count INT NOT NULL,
  rows INT NOT NULL, errors INT NOT NULL);
CREATE TABLE IF NOT EXISTS fake_sessions(id INTEGER PRIMARY KEY, user TEXT NOT NULL, client TEXT, module TEXT,
  action TEXT, client_info TEXT, client_identifier TEXT, schema TEXT, ended INT NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS fake_sequences(name TEXT PRIMARY KEY, last INT NOT NULL);
DELETE FROM fake_sessions;
DELETE FROM fake_calls;
";

/// Parameters and what they are unless `fake_params` says otherwise.
const DEFAULTS: &[(&str, &str)] = &[
    ("banner", "Oracle Database 11g Enterprise Edition Release 11.2.0.4.0 - 64bit Production"),
    ("version", "11.2.0.4.0"),
    ("instance", "FAKE1"),
    ("host", "fakehost"),
    ("role", "PRIMARY"),
    ("charset", "KO16MSWIN949"),
    ("undo_retention", "900"),
    // Seconds that the server's clock is ahead.
    ("skew_s", "0"),
    // Seconds that a standby is behind: what its heartbeat row shows.
    ("lag_s", "0"),
    // How long a change waits for another writer before the server gives up; a real one waits for ever.
    ("lock_wait_ms", "30000"),
];

#[derive(Debug, Clone)]
pub struct Fault {
    id: i64,
    op: String,
    pattern: String,
    skip: i64,
    times: i64,
    pub code: i32,
    pub text: String,
    pub kill: bool,
    after: bool,
    pub delay_ms: u64,
    row: Option<i64>,
    session: Option<String>,
}

/// Where a call stands when faults are looked for.
pub struct Moment<'a> {
    pub op: &'a str,
    /// The SQL text, or the user at a logon, or the op's own name.
    pub what: &'a str,
    pub after: bool,
    pub row: Option<i64>,
    /// User, module and action of the session.
    pub session: [&'a str; 3],
}

pub struct Ctl {
    connection: Connection,
    faults: Vec<Fault>,
    params: BTreeMap<String, String>,
    seen: Option<i64>,
}

impl Ctl {
    pub fn open(path: &str) -> rusqlite::Result<Ctl> {
        let connection = Connection::open(format!("{path}.ctl"))?;
        connection.busy_timeout(std::time::Duration::from_secs(10))?;
        connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF")?;
        connection.execute_batch(TABLES)?;
        Ok(Ctl { connection, faults: Vec::new(), params: BTreeMap::new(), seen: None })
    }

    fn refresh(&mut self) -> rusqlite::Result<()> {
        let version: i64 = self.connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
        if self.seen == Some(version) {
            return Ok(());
        }
        let mut statement = self.connection.prepare_cached(
            "SELECT id, op, pattern, skip, times, code, msg, kill, after, sleep_ms, row, session FROM fake_faults
             WHERE times > 0 ORDER BY id",
        )?;
        let faults = statement.query_map([], |row| {
            Ok(Fault {
                id: row.get(0)?,
                op: row.get(1)?,
                pattern: row.get(2)?,
                skip: row.get(3)?,
                times: row.get(4)?,
                code: row.get(5)?,
                text: row.get(6)?,
                kill: row.get(7)?,
                after: row.get(8)?,
                delay_ms: row.get::<_, i64>(9)?.max(0) as u64,
                row: row.get(10)?,
                session: row.get(11)?,
            })
        })?;
        let faults = faults.collect::<Result<_, _>>()?;
        let mut params: BTreeMap<String, String> =
            DEFAULTS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut told = self.connection.prepare_cached("SELECT name, value FROM fake_params")?;
        let told = told.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        for pair in told {
            let (name, value) = pair?;
            params.insert(name, value);
        }
        (self.faults, self.params, self.seen) = (faults, params, Some(version));
        Ok(())
    }

    pub fn param(&mut self, name: &str) -> String {
        self.refresh().ok();
        self.params.get(name).cloned().unwrap_or_default()
    }

    pub fn number(&mut self, name: &str) -> i64 {
        self.param(name).parse().unwrap_or(0)
    }

    /// The first fault that this moment meets, and one use of it is gone.
    pub fn meet(&mut self, moment: &Moment<'_>) -> Result<Option<Fault>, OraError> {
        self.refresh()?;
        let meets = |fault: &Fault| {
            fault.times > 0
                && fault.op == moment.op
                && fault.after == moment.after
                && fault.row == moment.row
                && like(&fault.pattern, moment.what)
                && fault.session.as_deref().is_none_or(|s| moment.session.iter().any(|name| like(s, name)))
        };
        let Some(fault) = self.faults.iter_mut().find(|fault| meets(fault)) else { return Ok(None) };
        let column = if fault.skip > 0 { "skip" } else { "times" };
        let sql = format!("UPDATE fake_faults SET {column} = {column} - 1 WHERE id = ?1");
        self.connection.execute(&sql, [fault.id])?;
        if fault.skip > 0 {
            fault.skip -= 1;
            return Ok(None);
        }
        fault.times -= 1;
        Ok(Some(fault.clone()))
    }

    /// Whether any fault waits for this op: then its moments must not be skipped by reading ahead.
    pub fn awaits(&mut self, op: &str) -> bool {
        self.refresh().ok();
        self.faults.iter().any(|fault| fault.op == op && fault.times > 0)
    }

    /// ORA-01017, 28000, 28001, or a warning of the last days before the password expires. With no user at all,
    /// anybody may log on.
    pub fn check_user(&self, user: &str, password: &str, now: &str) -> Result<(), OraError> {
        let any: bool = self.connection.query_row("SELECT EXISTS (SELECT 1 FROM fake_users)", [], |row| row.get(0))?;
        if !any {
            return Ok(());
        }
        let known: Option<(String, bool, Option<String>)> = self
            .connection
            .query_row(
                "SELECT password, locked, expires_at FROM fake_users WHERE upper(name) = upper(?1)",
                [user],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .optional()?;
        match known {
            Some((_, true, _)) => Err(OraError::new(28000, "the account is locked")),
            Some((right, _, _)) if right != password => Err(wrong_password()),
            Some((_, _, Some(at))) if at.as_str() <= now => Err(OraError::new(28001, "the password has expired")),
            Some(_) => Ok(()),
            None => Err(wrong_password()),
        }
    }

    pub fn expiry(&self, user: &str) -> Option<String> {
        let sql = "SELECT expires_at FROM fake_users WHERE upper(name) = upper(?1)";
        self.connection.query_row(sql, [user], |row| row.get(0)).ok().flatten()
    }

    /// Object and privilege in upper case; empty means that nothing is enforced.
    pub fn grants(&self, user: &str) -> Result<Vec<(String, String)>, OraError> {
        let sql = "SELECT upper(object), upper(privilege) FROM fake_grants WHERE upper(name) = upper(?1)";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([user], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub fn next_in_sequence(&self, name: &str) -> Option<i64> {
        let sql = "UPDATE fake_sequences SET last = last + 1 WHERE name = ?1 RETURNING last";
        self.connection.query_row(sql, [name], |row| row.get(0)).ok()
    }

    pub fn create_sequence(&self, name: &str, first: i64) -> Result<(), OraError> {
        self.connection.execute("INSERT INTO fake_sequences VALUES (?1, ?2)", params![name, first - 1])?;
        Ok(())
    }

    pub fn session_began(&self, id: u32, user: &str, client: &str) -> Result<(), OraError> {
        let sql = "INSERT INTO fake_sessions(id, user, client, schema) VALUES (?1, ?2, ?3, ?2)";
        self.connection.execute(sql, params![id, user, client])?;
        Ok(())
    }

    pub fn session_has(&self, id: u32, attribute: &str, value: &str) -> Result<(), OraError> {
        let column = match attribute {
            "MODULE" => "module",
            "ACTION" => "action",
            "CLIENT_INFO" => "client_info",
            "CLIENT_IDENTIFIER" => "client_identifier",
            _ => "schema",
        };
        let sql = format!("UPDATE fake_sessions SET {column} = ?2 WHERE id = ?1");
        self.connection.execute(&sql, params![id, value])?;
        Ok(())
    }

    pub fn session_ended(&self, id: u32) {
        self.connection.execute("UPDATE fake_sessions SET ended = 1 WHERE id = ?1", [id]).ok();
    }

    pub fn write_counts(&mut self, counts: &BTreeMap<String, Arc<Count>>) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        for (sql, count) in counts {
            let kind: String = sql.trim_start().chars().take_while(|c| c.is_alphabetic()).collect();
            transaction.prepare_cached("INSERT OR REPLACE INTO fake_calls VALUES (?1, ?2, ?3, ?4, ?5)")?.execute(
                params![
                    kind.to_uppercase(),
                    sql,
                    count.calls.load(Ordering::Relaxed) as i64,
                    count.rows.load(Ordering::Relaxed) as i64,
                    count.errors.load(Ordering::Relaxed) as i64
                ],
            )?;
        }
        transaction.commit()
    }
}

fn wrong_password() -> OraError {
    OraError::new(1017, "invalid username/password; logon denied")
}

/// SQL's LIKE without case, `%` and `_`.
fn like(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.to_lowercase(), text.to_lowercase());
    let (p, t): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut i, mut j, mut star) = (0, 0, None);
    while j < t.len() {
        if i < p.len() && p[i] == '%' {
            star = Some((i, j));
            i += 1;
        } else if i < p.len() && (p[i] == '_' || p[i] == t[j]) {
            i += 1;
            j += 1;
        } else if let Some((at, from)) = star {
            star = Some((at, from + 1));
            i = at + 1;
            j = from + 1;
        } else {
            return false;
        }
    }
    p[i..].iter().all(|c| *c == '%')
}

#[cfg(test)]
mod tests {
    use super::like;

    #[test]
    fn a_pattern_meets_what_like_would() {
        for (pattern, text, meets) in [
            ("%", "", true),
            ("update slot%", "UPDATE slot SET", true),
            ("%b_d%", "a bad one", true),
            ("a", "ab", false),
        ] {
            assert_eq!(like(pattern, text), meets, "{pattern} {text}");
        }
    }
}
