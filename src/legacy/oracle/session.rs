//! One session with the server: logon, its state, and the only way that statements take.
//!
//! Invariants: state (schema, formats, time zone, timeout) is applied at each logon and nothing survives from the session
//! before; a secret that the server refused is not tried again (`secret`); every statement comes with its catalogue id,
//! is counted, is watched, and fails as a `Failure` with the step it failed at. Once a failure or the watchdog has put
//! the session's state in doubt, it is not used any more: `is_usable` says so and its owner opens another.
//!
//! A session lives on one thread. Autocommit is off.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use oracle::{Connection, Connector};

use super::charset::Charset;
use super::error::{self, Code, ErrorClass, Failure, Step};
use super::process::Oracle;
use super::secret::locked;
use super::settings::{Account, Login, Settings, TextMode};
use super::sql::{self, Statement};
use super::values::{Bind, Cell, Cells};
use super::watchdog::Watch;
use crate::clock::{Clock, SystemClock};
use crate::domain::Timestamp;
use crate::domain::time::DAY_MS;
use crate::legacy::LegacyError;

/// Statements whose cursors the client keeps open: more than the catalogue has.
const STATEMENT_CACHE: u32 = 80;
/// Rows that `rows` hands out at most.
pub const ROWS_MAX: usize = 1_000;
/// How long after the client library's own call timeout the watchdog breaks.
const SECOND_LINE: Duration = Duration::from_secs(5);
/// A clock that differs from Korean time by more than this is another time zone, not a slow round trip.
const CLOCK_SLACK_MS: i64 = 5_000;

/// Which session of the server this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub instance: String,
    pub sid: String,
    /// Audit session id: another one for each logon.
    pub session: String,
}

impl Identity {
    fn of(row: Vec<Cell>) -> Identity {
        let mut words = row.into_iter().map(word_of);
        let mut next = || words.next().flatten().unwrap_or_default();
        Identity { instance: next(), sid: next(), session: next() }
    }
}

/// One reading of the server's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerClock {
    /// SYSDATE taken as Korean wall clock: what stamps rows.
    wall: Timestamp,
    /// SYSTIMESTAMP with its own offset.
    instant: Timestamp,
    pub identity: Identity,
}

impl ServerClock {
    /// The clock that DATE columns are stamped by, with milliseconds where it is Korean time.
    pub fn now(&self) -> Timestamp {
        if self.is_elsewhere() { self.wall } else { self.instant }
    }

    /// Does the server's host keep another time than Korea's?
    fn is_elsewhere(&self) -> bool {
        self.instant.since_ms(self.wall).abs() > CLOCK_SLACK_MS
    }
}

/// What the server said of itself at logon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// `11.2.0.4.0`.
    pub version: String,
    pub charset: Charset,
    /// `PRIMARY`, `PHYSICAL STANDBY`, …
    pub role: String,
    /// Remarks for `check` and the log; no failure.
    pub notes: Vec<String>,
}

pub struct Session {
    // Before the connection: no break may reach it once it is closed.
    watch: Watch,
    connection: Arc<Connection>,
    call_limit: Duration,
    identity: Identity,
    server: Server,
    user: String,
    statements: u64,
    is_usable: bool,
}

impl Session {
    /// Logs on with one of the role's accounts and applies the session's state. Accounts whose secret is blocked are
    /// passed over; the one that worked last is tried first.
    pub fn open(oracle: &Oracle, account: Account) -> Result<Session, Failure> {
        let breaker = oracle.breaker(account);
        breaker.may_try(Instant::now()).map_err(|open| {
            let words = format!(
                "not tried: {} logons failed in a row, the next in {} ms",
                open.failures,
                open.pause.as_millis()
            );
            Failure::own(ErrorClass::ConnectionLost, Step::Logon, "logon", words)
        })?;
        let opened = Session::with_any_login(oracle, account);
        match &opened {
            Ok(_) => breaker.succeeded(),
            Err(e) if matches!(e.class, ErrorClass::ConnectionLost | ErrorClass::Timeout | ErrorClass::Limits) => {
                breaker.failed(Instant::now());
            }
            Err(_) => {}
        }
        opened
    }

    /// Logs on with exactly this account.
    pub fn open_with(oracle: &Oracle, account: Account, login: &Login) -> Result<Session, Failure> {
        Session::with_login(oracle, account, login)
    }

    fn with_any_login(oracle: &Oracle, account: Account) -> Result<Session, Failure> {
        let logins = oracle.settings().logins(account);
        let first = oracle.preferred(account).load(Ordering::Relaxed);
        let mut refused = None;
        for at in (0..logins.len()).map(|i| (i + first as usize) % logins.len()) {
            match Session::with_login(oracle, account, &logins[at]) {
                Ok(session) => {
                    oracle.preferred(account).store(at as u32, Ordering::Relaxed);
                    return Ok(session);
                }
                Err(e) if e.class == ErrorClass::Credentials => refused = Some(e),
                Err(e) => return Err(e),
            }
        }
        Err(refused.unwrap_or_else(|| {
            let words = format!("no account is configured for role {}", account.code());
            Failure::own(ErrorClass::Operator, Step::Logon, "logon", words)
        }))
    }

    fn with_login(oracle: &Oracle, account: Account, login: &Login) -> Result<Session, Failure> {
        let vault = oracle.vault();
        let turn = vault.turn(&login.user);
        let _one = locked(&turn);
        let secret = vault.secret(login)?;
        if let Some(entry) = vault.blocked(&login.user, &secret)? {
            let mut failure = Failure::own(
                ErrorClass::Credentials,
                Step::Logon,
                "logon",
                format!(
                    "not tried: the server refused the secret of {} with {} since {}",
                    login.user, entry.code, entry.since
                ),
            );
            failure.code = Code::Ora(entry.code.trim_start_matches("ORA-").parse().unwrap_or(1017));
            return Err(failure);
        }
        let password = std::str::from_utf8(secret.expose()).unwrap_or_default();
        let connected = Connector::new(login.user.as_str(), password, oracle.settings().target(account))
            .stmt_cache_size(STATEMENT_CACHE)
            .connect();
        let connection = match connected {
            Ok(connection) => Arc::new(connection),
            Err(error) => {
                let mut failure = Failure::of(&error, Step::Logon, "logon");
                if failure.class == ErrorClass::Credentials {
                    failure.words = Some(format!("{} for account {}", failure.code, login.user));
                    vault.block(&login.user, &secret, failure.code, SystemClock.now())?;
                }
                return Err(failure);
            }
        };
        vault.accepted(&login.user)?;
        Session::prepare(oracle, account, login, connection)
    }

    /// From connected to usable.
    fn prepare(
        oracle: &Oracle,
        account: Account,
        login: &Login,
        connection: Arc<Connection>,
    ) -> Result<Session, Failure> {
        let wrong = |error: &oracle::Error| Failure::of(error, Step::Logon, "session state");
        let (version, _) = connection.server_version().map_err(|e| wrong(&e))?;
        let mut notes = vec![];
        match judge_server(version.major(), version.minor()) {
            Ok(note) => notes.extend(note),
            Err(words) => return Err(Failure::own(ErrorClass::Operator, Step::Logon, "logon", words)),
        }
        let watch = oracle.watchdog().watch(connection.clone()).ok_or_else(|| {
            let words = format!("more than {} sessions are open", super::watchdog::WATCHED_MAX);
            Failure::own(ErrorClass::Limits, Step::Logon, "logon", words)
        })?;
        let timeout = Duration::from_millis(oracle.settings().call_timeout_ms.into());
        let call_limit = if oracle.client().has_call_timeout() {
            connection.set_call_timeout(Some(timeout)).map_err(|e| wrong(&e))?;
            timeout + SECOND_LINE
        } else {
            timeout
        };
        // What V$SESSION shows the DBA. No personal data: the same for everyone.
        connection.set_module("slotbridge").map_err(|e| wrong(&e))?;
        connection.set_action(account.code()).map_err(|e| wrong(&e))?;
        connection.set_client_identifier("slotbridge").map_err(|e| wrong(&e))?;
        notes.extend(oracle.client().note().map(str::to_owned));
        // ORA-28002 comes with a logon that succeeded.
        notes.extend(connection.last_warning().map(|warning| {
            let code = error::code_of(&warning);
            format!("{code} at logon of {}: {}", login.user, error::hint_of(code).unwrap_or("a warning"))
        }));
        let mut session = Session {
            watch,
            connection,
            call_limit,
            identity: Identity { instance: String::new(), sid: String::new(), session: String::new() },
            server: Server { version: version.to_string(), charset: Charset::Other, role: String::new(), notes },
            user: login.user.clone(),
            statements: 0,
            is_usable: true,
        };
        session.apply_state(oracle.settings())?;
        if account == Account::Write && !matches!(session.server.role.as_str(), "PRIMARY" | "") {
            let words = format!("oracle.connect leads to a {}: bookings need the primary", session.server.role);
            return Err(Failure::own(ErrorClass::Operator, Step::Logon, "logon", words));
        }
        Ok(session)
    }

    fn apply_state(&mut self, settings: &Settings) -> Result<(), Failure> {
        let schema = format!("{}{}", sql::SESSION_SCHEMA.text, settings.schema);
        self.execute(Statement { text: &schema, ..sql::SESSION_SCHEMA }, &[])?;
        self.execute(sql::SESSION_NLS, &[])?;
        self.execute(sql::SESSION_TIME_ZONE, &[])?;
        self.identity = self.identity_now()?;
        self.server.role = self.word(sql::SESSION_ROLE)?.unwrap_or_default();
        let name = self.word(sql::SESSION_CHARSET)?.unwrap_or_default();
        self.server.charset = match (settings.text, Charset::of_server(&name)) {
            (TextMode::RawCp949, _) | (TextMode::Auto, Charset::Ascii) => Charset::RawCp949,
            (_, charset) => charset,
        };
        let clock = self.clock()?;
        if clock.is_elsewhere() {
            let note = "SYSDATE of this server is not Korean time: DATE columns are read as if they were";
            self.server.notes.push(note.to_owned());
        }
        Ok(())
    }

    /// Runs a statement that returns no rows. Answers how many rows it changed.
    pub fn execute(&mut self, statement: Statement<'_>, binds: &[Bind<'_>]) -> Result<u64, Failure> {
        self.run(Step::Execute, statement.id, |connection| {
            let mut prepared = connection.statement(statement.text).build()?;
            prepared.execute(&params(binds))?;
            prepared.row_count()
        })
    }

    /// Runs a PL/SQL block. Answers the values of its `Bind::Out`, in the order of the binds.
    pub fn call(&mut self, statement: Statement<'_>, binds: &[Bind<'_>]) -> Result<Vec<Option<String>>, Failure> {
        self.run(Step::Execute, statement.id, |connection| {
            let mut prepared = connection.statement(statement.text).build()?;
            prepared.execute(&params(binds))?;
            let outs = binds.iter().enumerate().filter(|(_, bind)| bind.is_out());
            outs.map(|(at, _)| prepared.bind_value(at + 1)).collect()
        })
    }

    /// All rows of a short query, at most `ROWS_MAX`: what the statement's own condition bounds.
    pub fn rows(&mut self, statement: Statement<'_>, binds: &[Bind<'_>]) -> Result<Vec<Vec<Cell>>, Failure> {
        self.run(Step::Execute, statement.id, |connection| {
            let mut prepared = connection.statement(statement.text).fetch_array_size(64).build()?;
            let rows = prepared.query_as::<Cells>(&params(binds))?;
            rows.take(ROWS_MAX).map(|row| row.map(|cells| cells.0)).collect()
        })
    }

    /// A query of any length by array fetch; `each` gets row after row and may stop it by an error. Answers how many
    /// rows there were. `each` must not take long: the statement's cursor is open meanwhile.
    pub fn query_rows(
        &mut self,
        statement: Statement<'_>,
        binds: &[Bind<'_>],
        fetch_array: u32,
        each: &mut dyn FnMut(Vec<Cell>) -> Result<(), LegacyError>,
    ) -> Result<u64, LegacyError> {
        self.statements += 1;
        let connection = self.connection.clone();
        // No prefetch: the rows come by the array, not twice.
        let built = connection.statement(statement.text).fetch_array_size(fetch_array).prefetch_rows(0).build();
        let mut prepared = built.map_err(|e| self.failed(&e, Step::Execute, statement.id))?;
        self.watch.begins(self.call_limit);
        let executed = prepared.query_as::<Cells>(&params(binds));
        self.is_usable &= !self.watch.ended();
        let mut rows = match executed {
            Ok(rows) => rows,
            Err(e) => return Err(self.failed(&e, Step::Execute, statement.id).into()),
        };
        let mut count = 0;
        loop {
            self.watch.begins(self.call_limit);
            let next = rows.next();
            self.is_usable &= !self.watch.ended();
            match next {
                Some(Ok(cells)) => each(cells.0)?,
                Some(Err(e)) => return Err(self.failed(&e, Step::Fetch, statement.id).into()),
                None => return Ok(count),
            }
            count += 1;
        }
    }

    /// A failure here with `in_doubt` means that the transaction may or may not have happened.
    pub fn commit(&mut self) -> Result<(), Failure> {
        self.run(Step::Commit, "commit", Connection::commit)
    }

    pub fn rollback(&mut self) -> Result<(), Failure> {
        self.run(Step::Rollback, "rollback", Connection::rollback)
    }

    pub fn savepoint(&mut self) -> Result<(), Failure> {
        self.execute(sql::SAVEPOINT, &[]).map(|_| ())
    }

    pub fn to_savepoint(&mut self) -> Result<(), Failure> {
        self.execute(sql::TO_SAVEPOINT, &[]).map(|_| ())
    }

    /// May it be used further? False after whatever leaves its state unknown.
    pub fn is_usable(&self) -> bool {
        self.is_usable
    }

    /// Who this was at logon.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Who this is now: another identity means that the client library moved the session.
    pub fn identity_now(&mut self) -> Result<Identity, Failure> {
        let rows = self.rows(sql::SESSION_IDENTITY, &[])?;
        Ok(Identity::of(rows.into_iter().next().unwrap_or_default()))
    }

    /// The server's clock, and who this is now.
    pub fn clock(&mut self) -> Result<ServerClock, Failure> {
        let mut row = self.rows(sql::READ_CLOCK, &[])?.into_iter().next().unwrap_or_default();
        let times: Vec<Option<Timestamp>> = row.drain(..row.len().min(2)).map(|cell| cell.time()).collect();
        match times[..] {
            [Some(wall), Some(instant)] => Ok(ServerClock { wall, instant, identity: Identity::of(row) }),
            _ => Err(Failure::of_code(Code::Driver(super::error::TYPE), Step::Execute, sql::READ_CLOCK.id)),
        }
    }

    /// From now on unusable, whatever the reason.
    pub fn give_up(&mut self) {
        self.is_usable = false;
    }

    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The account in use.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Statements sent since logon, those of logon included.
    pub fn statements(&self) -> u64 {
        self.statements
    }

    /// Whole days until the account's password expires; `None`: never.
    pub fn expiry_days(&mut self) -> Result<Option<i64>, Failure> {
        let rows = self.rows(sql::SESSION_EXPIRY, &[])?;
        let times = rows.first().map(|row| row.iter().map(Cell::time).collect::<Vec<_>>());
        Ok(match times.as_deref() {
            Some([Some(expires), Some(now)]) => Some(expires.since_ms(*now).div_euclid(DAY_MS)),
            _ => None,
        })
    }

    /// First column of the first row, as text.
    fn word(&mut self, statement: Statement<'_>) -> Result<Option<String>, Failure> {
        let row = self.rows(statement, &[])?.into_iter().next();
        Ok(row.and_then(|row| row.into_iter().next()).and_then(word_of))
    }

    fn run<T>(
        &mut self,
        step: Step,
        what: &'static str,
        call: impl FnOnce(&Connection) -> oracle::Result<T>,
    ) -> Result<T, Failure> {
        self.statements += 1;
        self.watch.begins(self.call_limit);
        let done = call(&self.connection);
        self.is_usable &= !self.watch.ended();
        done.map_err(|error| self.failed(&error, step, what))
    }

    fn failed(&mut self, error: &oracle::Error, step: Step, what: &'static str) -> Failure {
        let failure = Failure::of(error, step, what);
        self.is_usable &= !failure.ends_session();
        failure
    }
}

impl Drop for Session {
    /// Logs off within the limit of a call: a server that hangs must not hold the thread.
    fn drop(&mut self) {
        self.watch.begins(self.call_limit);
        if let Err(error) = self.connection.close() {
            tracing::debug!(code = %error::code_of(&error), "an Oracle session could not say good-bye");
        }
        self.watch.ended();
    }
}

fn params<'a>(binds: &'a [Bind<'a>]) -> Vec<&'a dyn oracle::sql_type::ToSql> {
    binds.iter().map(|bind| bind as &dyn oracle::sql_type::ToSql).collect()
}

fn word_of(cell: Cell) -> Option<String> {
    match cell {
        Cell::Text(text) | Cell::Number(text) => Some(text.to_string()),
        Cell::Int(n) => Some(n.to_string()),
        _ => None,
    }
}

/// A note, or why the server is refused.
fn judge_server(major: i32, minor: i32) -> Result<Option<String>, String> {
    match (major, minor) {
        (11, 2) => Ok(None),
        (..=11, _) => Err(format!("server {major}.{minor} is older than 11.2, which the bridge needs")),
        _ => Ok(Some(format!("server {major}.{minor} is newer than 11.2, which the bridge was made for"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_before_11_2_is_refused() {
        assert_eq!(judge_server(11, 2), Ok(None));
        assert!(judge_server(10, 2).is_err() && judge_server(11, 1).is_err());
        assert!(judge_server(12, 1).unwrap().is_some() && judge_server(19, 0).unwrap().is_some());
    }
}
