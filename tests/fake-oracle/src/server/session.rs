//! One session: its connection, transaction, cursors and what it knows of schema and grants.
//!
//! Invariants: nothing is locked before the first change; a statement that fails undoes only itself; whatever was not
//! committed is gone when the session ends, however it ends.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::charset::Charset;
use super::ctl::Moment;
use super::errors::{self, OraError};
use super::functions::{self, Facts};
use super::raw::Statement;
use super::{Cancel, Count, Shared, catalog, dates, dictionary, enforce, lock, scn};
use crate::sql::catalog::Catalog;
use crate::sql::{self, Plan, Wait};
use crate::wire::Column;

/// How long a read waits where SQLite itself locks for a moment (recovery of the log).
const READ_BUSY_MS: u64 = 10_000;
/// A waiter looks again this often: writers of other processes ring no bell.
const LOCK_LOOK_MS: u64 = 3;

/// A refusal; `dead`: and the connection is gone.
#[derive(Debug)]
pub struct Fail {
    pub error: OraError,
    pub dead: bool,
}

impl From<OraError> for Fail {
    fn from(error: OraError) -> Fail {
        Fail { error, dead: false }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    None,
    Writing,
    ReadOnly,
}

/// A statement's plan, its prepared copies that are not in use, and its counters.
pub struct Planned {
    pub plan: Plan,
    pub idle: RefCell<Vec<Statement>>,
    pub columns: RefCell<Option<Vec<Column>>>,
    pub count: Arc<Count>,
}

pub struct Cursor {
    pub planned: Rc<Planned>,
    /// None: all rows are in `rows`.
    pub statement: Option<Statement>,
    /// The statement stands on a row that nobody has got yet.
    pub standing: bool,
    /// Rows read ahead because the transaction ended under the cursor: bytes, where the next row is, how many.
    pub rows: Vec<u8>,
    pub at: usize,
    pub rows_left: u32,
    pub width: usize,
}

pub struct Session {
    // Statements go before their connection.
    pub cursors: HashMap<u32, Cursor>,
    pub plans: HashMap<String, Rc<Planned>>,
    pub connection: Connection,
    pub shared: Arc<Shared>,
    pub id: u32,
    pub cancel: Arc<Cancel>,
    pub facts: Arc<Mutex<Facts>>,
    pub user: String,
    pub schema: String,
    pub charset: Charset,
    pub catalog: Rc<Catalog>,
    catalog_version: i64,
    pub grants: Vec<(String, String)>,
    pub state: State,
    /// Savepoints set before anything was changed.
    early_savepoints: Vec<String>,
}

impl Session {
    pub fn logon(shared: &Arc<Shared>, user: &str, password: &str, client: &str) -> Result<Session, Fail> {
        let user = user.to_uppercase();
        let id = shared.new_session();
        let facts = {
            let mut ctl = lock(&shared.ctl);
            let charset = Charset::named(&ctl.param("charset"));
            Facts {
                session: id,
                user: user.clone(),
                schema: user.clone(),
                instance: ctl.param("instance"),
                host: ctl.param("host"),
                role: ctl.param("role"),
                client_identifier: String::new(),
                module: String::new(),
                action: String::new(),
                date_format: "YYYY-MM-DD HH24:MI:SS".to_owned(),
                charset,
                skew_s: ctl.number("skew_s"),
                moved: false,
            }
        };
        let connection = open(&shared.path).map_err(OraError::from)?;
        let cancel = Arc::new(Cancel {
            secret: u64::from(id) ^ dates::now(0) as u64,
            call: AtomicU64::new(0),
            asked: AtomicBool::new(false),
            interrupt: Mutex::new(Some(connection.get_interrupt_handle())),
            stepping: AtomicBool::new(false),
        });
        let charset = facts.charset;
        let now = dates::text(dates::Time { micros: dates::now(facts.skew_s), fraction: false });
        let facts = Arc::new(Mutex::new(facts));
        let mut session = Session {
            cursors: HashMap::new(),
            plans: HashMap::new(),
            connection,
            shared: shared.clone(),
            id,
            cancel,
            facts,
            schema: user.clone(),
            user,
            charset,
            catalog: Rc::default(),
            catalog_version: -1,
            grants: Vec::new(),
            state: State::None,
            early_savepoints: Vec::new(),
        };
        session.meet("logon", &session.user.clone(), false, None)?;
        {
            let ctl = lock(&shared.ctl);
            ctl.check_user(&session.user, password, &now)?;
            session.grants = ctl.grants(&session.user)?;
            ctl.session_began(id, &session.user, client)?;
        }
        functions::install(&session.connection, &session.facts).map_err(OraError::from)?;
        super::block::install(&session.connection, shared).map_err(OraError::from)?;
        dictionary::create(&session.connection)?;
        session.refresh()?;
        lock(&shared.sessions).insert(id, session.cancel.clone());
        Ok(session)
    }

    /// Reads the schema again if somebody changed it. Only between transactions.
    pub fn refresh(&mut self) -> Result<(), OraError> {
        let version = catalog::version(&self.connection)?;
        if version == self.catalog_version {
            return Ok(());
        }
        let mut loaded = catalog::load(&self.connection)?;
        enforce::install(&self.connection, &loaded, &self.schema, self.charset)?;
        if self.shared.rowscn.is_some() {
            scn::views(&self.connection)?;
            for view in ["SB_SLOT", "SB_BOOKING"] {
                if let Some(table) = loaded.tables.get_mut(view) {
                    table.columns.push(("ROW_SCN".to_owned(), "NUMBER".to_owned()));
                    table.nullable.push(true);
                }
            }
        }
        (self.catalog, self.catalog_version) = (Rc::new(loaded), version);
        self.plans.clear();
        Ok(())
    }

    pub fn planned(&mut self, sql: &str) -> Result<Rc<Planned>, OraError> {
        if self.state == State::None {
            self.refresh()?;
        }
        if let Some(known) = self.plans.get(sql) {
            return Ok(known.clone());
        }
        let plan = sql::plan(sql, &self.catalog).map_err(|(code, text)| OraError { code, text })?;
        let planned = Rc::new(Planned {
            plan,
            idle: RefCell::default(),
            columns: RefCell::default(),
            count: self.shared.count(sql),
        });
        self.plans.insert(sql.to_owned(), planned.clone());
        Ok(planned)
    }

    pub fn check_grants(&self, plan: &Plan) -> Result<(), OraError> {
        if self.grants.is_empty() {
            return Ok(());
        }
        let has = |object: &str, privilege: &str| {
            self.grants.iter().any(|(on, what)| on == object && (what == privilege || what == "ALL"))
        };
        for (object, privilege) in &plan.needs {
            let any = self.grants.iter().any(|(on, _)| on == object);
            let open = dictionary::is_public(object) || !self.catalog.tables.contains_key(object) && !any;
            let guarded = object.starts_with("V$") || object == "SB_NEXT_RESV_NO";
            if open && !guarded || has(object, privilege) {
                continue;
            }
            if any && *privilege != "SELECT" && *privilege != "EXECUTE" {
                return Err(OraError::new(1031, "insufficient privileges"));
            }
            return Err(match *privilege {
                "EXECUTE" => OraError::new(904, format!("\"{object}\": invalid identifier")),
                _ => OraError::missing_table(),
            });
        }
        Ok(())
    }

    /// Meets a fault of this moment, if one waits: delay, error, death.
    pub fn meet(&mut self, op: &str, what: &str, after: bool, row: Option<i64>) -> Result<(), Fail> {
        let fault = {
            let facts = lock(&self.facts).clone();
            let session = [facts.user.as_str(), facts.module.as_str(), facts.action.as_str()];
            lock(&self.shared.ctl).meet(&Moment { op, what, after, row, session })?
        };
        let Some(fault) = fault else { return Ok(()) };
        self.sit_out(Duration::from_millis(fault.delay_ms))?;
        if fault.kill {
            self.rollback();
            let code = if fault.code == 0 { 3113 } else { fault.code };
            let text = if fault.text.is_empty() { "end-of-file on communication channel" } else { &fault.text };
            return Err(Fail { error: OraError::new(code, text), dead: true });
        }
        if fault.code != 0 {
            return Err(OraError::new(fault.code, fault.text).into());
        }
        Ok(())
    }

    /// A fault of the op `move`: from this statement on the session is one of another instance.
    pub fn move_away(&mut self, sql: &str) -> Result<(), OraError> {
        let mut facts = lock(&self.facts);
        let session = [facts.user.as_str(), facts.module.as_str(), facts.action.as_str()];
        let moment = Moment { op: "move", what: sql, after: false, row: None, session };
        let moved = lock(&self.shared.ctl).meet(&moment)?.is_some();
        facts.moved |= moved;
        Ok(())
    }

    fn sit_out(&self, delay: Duration) -> Result<(), OraError> {
        let until = Instant::now() + delay;
        loop {
            self.check_cancelled()?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.shared.bell.wait(left.min(Duration::from_millis(50)));
        }
    }

    pub fn check_cancelled(&self) -> Result<(), OraError> {
        if self.cancel.asked.load(Ordering::SeqCst) { Err(OraError::cancelled()) } else { Ok(()) }
    }

    /// The first change of a transaction waits for whoever writes.
    pub fn begin_write(&mut self, wait: Wait) -> Result<(), OraError> {
        match self.state {
            State::Writing => return Ok(()),
            State::ReadOnly => {
                return Err(OraError::new(
                    1456,
                    "may not perform insert/delete/update operation inside a READ ONLY transaction",
                ));
            }
            State::None => {}
        }
        self.drain()?;
        let longest = Duration::from_millis(lock(&self.shared.ctl).number("lock_wait_ms").max(0) as u64);
        let (limit, refused) = match wait {
            Wait::NoWait => (Duration::ZERO, errors::busy()),
            Wait::Seconds(n) => (
                Duration::from_secs(u64::from(n)),
                OraError::new(30006, "resource busy; acquire with WAIT timeout expired"),
            ),
            Wait::Forever => (longest, OraError::new(2049, "timeout: distributed transaction waiting for lock")),
        };
        let until = Instant::now() + limit;
        self.connection.busy_timeout(Duration::ZERO)?;
        let begun = loop {
            match self.connection.execute_batch("BEGIN IMMEDIATE") {
                Ok(()) => break Ok(()),
                Err(e) if e.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) => {}
                Err(e) => break Err(e.into()),
            }
            if let Err(e) = self.check_cancelled() {
                break Err(e);
            }
            if Instant::now() >= until {
                break Err(refused);
            }
            self.shared.bell.wait(Duration::from_millis(LOCK_LOOK_MS));
        };
        self.connection.busy_timeout(Duration::from_millis(READ_BUSY_MS))?;
        begun?;
        self.state = State::Writing;
        for name in std::mem::take(&mut self.early_savepoints) {
            self.connection.execute_batch(&format!("SAVEPOINT [{name}]"))?;
        }
        Ok(())
    }

    /// A snapshot that lasts: the read fixes it.
    pub fn begin_read_only(&mut self) -> Result<(), OraError> {
        if self.state != State::None || !self.early_savepoints.is_empty() {
            return Err(OraError::new(1453, "SET TRANSACTION must be first statement of transaction"));
        }
        self.drain()?;
        self.connection.execute_batch("BEGIN DEFERRED")?;
        self.connection.query_row("SELECT COUNT(*) FROM main.sqlite_master", [], |_| Ok(()))?;
        self.state = State::ReadOnly;
        Ok(())
    }

    pub fn savepoint(&mut self, name: &str) -> Result<(), OraError> {
        match self.state {
            State::Writing => self.connection.execute_batch(&format!("SAVEPOINT [{name}]"))?,
            _ => self.early_savepoints.push(name.to_owned()),
        }
        Ok(())
    }

    pub fn rollback_to(&mut self, name: &str) -> Result<(), OraError> {
        match self.state {
            State::Writing => {
                self.drain()?;
                Ok(self.connection.execute_batch(&format!("ROLLBACK TO [{name}]"))?)
            }
            _ if self.early_savepoints.iter().any(|known| known == name) => Ok(()),
            _ => {
                Err(OraError::new(1086, format!("savepoint '{name}' never established in this session or is invalid")))
            }
        }
    }

    pub fn commit(&mut self) -> Result<(), OraError> {
        self.early_savepoints.clear();
        if self.connection.is_autocommit() {
            self.state = State::None;
            return Ok(());
        }
        self.drain()?;
        self.connection.execute_batch("COMMIT")?;
        self.ended();
        Ok(())
    }

    pub fn rollback(&mut self) {
        self.early_savepoints.clear();
        if !self.connection.is_autocommit() {
            // A cursor that cannot be read to its end is one that nobody can read any more.
            if self.drain().is_err() {
                self.cursors.clear();
            }
            self.connection.execute_batch("ROLLBACK").ok();
        }
        self.ended();
    }

    fn ended(&mut self) {
        self.state = State::None;
        self.shared.bell.ring();
    }

    /// Reads open cursors to their end: what they show is what was there when they were opened.
    pub fn drain(&mut self) -> Result<(), OraError> {
        let charset = self.charset;
        for cursor in self.cursors.values_mut() {
            let Some(mut statement) = cursor.statement.take() else { continue };
            cursor.rows.clear();
            cursor.at = 0;
            loop {
                if !cursor.standing && !statement.step().map_err(|f| errors::plain(&f))? {
                    break;
                }
                cursor.standing = false;
                statement.put_row(&mut cursor.rows, charset);
                cursor.rows_left += 1;
            }
            statement.reset();
            cursor.planned.idle.borrow_mut().push(statement);
        }
        Ok(())
    }

    pub fn close(&mut self, cursor: u32) {
        if let Some(Cursor { planned, statement: Some(mut statement), .. }) = self.cursors.remove(&cursor) {
            statement.reset();
            planned.idle.borrow_mut().push(statement);
        }
    }

    pub fn end(&mut self) {
        self.cursors.clear();
        self.rollback();
        lock(&self.shared.sessions).remove(&self.id);
        lock(&self.shared.ctl).session_ended(self.id);
        self.shared.flush_counts();
    }
}

fn open(path: &str) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_millis(READ_BUSY_MS))?;
    connection.set_prepared_statement_cache_capacity(128);
    // A killed server loses nothing that was committed; a power cut is not played.
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA foreign_keys = ON; PRAGMA cache_size = -16384",
    )?;
    Ok(connection)
}
