//! `LegacyRead` over Oracle.
//!
//! A cut is one `SET TRANSACTION READ ONLY`, fetched by arrays. Its time is the server's clock, read just before the
//! transaction begins, so it is never too late. The session's identity is compared with that of logon at start and end:
//! a session that the client library has moved saw two snapshots, and the cut is discarded.
//!
//! A value that its column cannot hold (a DATE of year 0, text that is not CP949) fails its row, not the cut: it is
//! handed on as one of another type. Only a column that the dictionary declares otherwise fails the cut.
//!
//! A session that broke is replaced at the next call, within the breaker's limits. Errors name a column, never a value.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::charset::Charset;
use super::error::{Code, ErrorClass, Failure, Step, TYPE};
use super::process::Oracle;
use super::select::{Select, Selects, printable};
use super::session::{Identity, Server, Session};
use super::settings::{Account, is_name};
use super::sql::{self, Statement};
use super::values::{Bind, Cell};
use crate::domain::{Timestamp, Value};
use crate::legacy::{CutInfo, Hint, LegacyError, LegacyRead, RowSink};
use crate::mapping::catalogue::{ColumnType, Layout, Role};

pub struct OracleRead {
    oracle: Arc<Oracle>,
    session: Option<Session>,
    /// Columns and their types by view, as the dictionary says.
    stated: BTreeMap<String, BTreeMap<String, String>>,
    /// Of sessions that were replaced.
    statements_before: u64,
}

/// What a read of one layout found.
#[derive(Debug, Clone, Copy, Default)]
struct Found {
    rows: u64,
    scn_max: Option<u64>,
}

/// Which ends of a transaction look at the session's identity. A single statement is consistent by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Statements {
    One,
    Several,
}

impl OracleRead {
    /// Logs on.
    pub fn open(oracle: Arc<Oracle>) -> Result<OracleRead, LegacyError> {
        let mut read = OracleRead { oracle, session: None, stated: BTreeMap::new(), statements_before: 0 };
        read.session()?;
        Ok(read)
    }

    /// What the server said of itself at the last logon.
    pub fn server(&self) -> Option<&Server> {
        self.session.as_ref().map(Session::server)
    }

    pub fn identity(&self) -> Option<&Identity> {
        self.session.as_ref().map(Session::identity)
    }

    /// The account in use.
    pub fn user(&self) -> Option<&str> {
        self.session.as_ref().map(Session::user)
    }

    /// Whole days until the password of the account in use expires; `None`: never.
    pub fn expiry_days(&mut self) -> Result<Option<i64>, LegacyError> {
        Ok(self.session()?.expiry_days()?)
    }

    /// The session, a new one where the last one broke.
    fn session(&mut self) -> Result<&mut Session, LegacyError> {
        if self.session.as_ref().is_some_and(|session| !session.is_usable()) {
            self.retire();
        }
        let session = match self.session.take() {
            Some(session) => session,
            None => Session::open(&self.oracle, Account::Read)?,
        };
        Ok(self.session.insert(session))
    }

    fn retire(&mut self) {
        if let Some(session) = self.session.take() {
            self.statements_before += session.statements();
        }
    }

    /// Runs `read` in one read-only transaction.
    fn snapshot(
        &mut self,
        statements: Statements,
        read: &mut dyn FnMut(&mut Session) -> Result<Found, LegacyError>,
    ) -> Result<CutInfo, LegacyError> {
        let session = self.session()?;
        let clock = session.clock()?;
        stays(session, &clock.identity)?;
        session.execute(sql::READ_ONLY, &[])?;
        let result = read(session).and_then(|found| {
            if statements == Statements::Several {
                let now = session.identity_now()?;
                stays(session, &now)?;
            }
            Ok(found)
        });
        // A session that broke has no transaction any more.
        let ended = if session.is_usable() { session.rollback() } else { Ok(()) };
        let found = result?;
        ended?;
        Ok(CutInfo { as_of: clock.now(), rows: found.rows, scn_max: found.scn_max })
    }

    /// Columns of a view and their types; asks the dictionary once a reader.
    fn stated(&mut self, view: &str) -> Result<BTreeMap<String, String>, LegacyError> {
        if let Some(known) = self.stated.get(view) {
            return Ok(known.clone());
        }
        let columns: BTreeMap<String, String> = self.columns(view)?.into_iter().collect();
        self.stated.insert(view.to_owned(), columns.clone());
        Ok(columns)
    }

    /// What a layout needs to be read: its statements, and how its cells become values.
    fn plan<'a>(&mut self, layout: &'a Layout) -> Result<Plan<'a>, LegacyError> {
        let stated = self.stated(&layout.view)?;
        let stated = |name: &str| stated.get(name).map(String::as_str);
        let charset = self.session()?.server().charset;
        let key = layout.at_role(Role::Key).map(|at| &*layout.columns[at].name);
        let padded_key = key.and_then(stated).is_some_and(is_padded);
        let selects = Selects::new(layout, charset, padded_key)?;
        let columns = layout.columns.iter().map(|column| {
            let stated = stated(&column.name);
            Stated {
                padded: stated.is_some_and(is_padded),
                fits: stated.is_some_and(|stated| fits(column.kind, stated)),
            }
        });
        let columns = columns.collect();
        let fetch_array = self.oracle.settings().fetch_array;
        let scn_at = layout.at_role(Role::RowScn);
        Ok(Plan { layout, selects, columns, charset, fetch_array, scn_at })
    }

    fn one(
        &mut self,
        plan: &Plan<'_>,
        select: &Select,
        binds: &[Bind<'_>],
        sink: &mut RowSink<'_>,
    ) -> Result<CutInfo, LegacyError> {
        self.snapshot(Statements::One, &mut |session| plan.read(session, select, binds, sink))
    }
}

/// Is it still the session that logged on? If not, it is given up.
fn stays(session: &mut Session, now: &Identity) -> Result<(), LegacyError> {
    if session.identity() == now {
        return Ok(());
    }
    session.give_up();
    let words = "the session was moved to another one of the server: what it read is discarded";
    Err(Failure::own(ErrorClass::ConnectionLost, Step::Fetch, "cut", words).into())
}

/// What the dictionary says of a column.
#[derive(Debug, Clone, Copy)]
struct Stated {
    /// CHAR: its values arrive padded and its keys compare padded.
    padded: bool,
    /// It is of the sort that the catalogue declares: a value that cannot be read is then a matter of its row.
    fits: bool,
}

fn is_padded(stated: &str) -> bool {
    stated.starts_with("CHAR") || stated.starts_with("NCHAR")
}

fn fits(kind: ColumnType, stated: &str) -> bool {
    let begins = |words: &[&str]| words.iter().any(|word| stated.starts_with(word));
    match kind {
        ColumnType::Text => begins(&["VARCHAR", "CHAR", "NVARCHAR", "NCHAR", "NUMBER"]),
        ColumnType::Integer | ColumnType::Decimal => begins(&["NUMBER", "FLOAT", "BINARY_"]),
        ColumnType::Time => begins(&["DATE", "TIMESTAMP"]),
    }
}

/// A value that no column declared so may hold: whoever reads the row refuses it, and no other.
fn unreadable(kind: ColumnType) -> Value {
    match kind {
        ColumnType::Time => Value::Int(0),
        ColumnType::Text | ColumnType::Integer | ColumnType::Decimal => Value::Time(Timestamp(0)),
    }
}

struct Plan<'a> {
    layout: &'a Layout,
    selects: Selects<'a>,
    columns: Vec<Stated>,
    charset: Charset,
    fetch_array: u32,
    scn_at: Option<usize>,
}

impl Plan<'_> {
    fn read(
        &self,
        session: &mut Session,
        select: &Select,
        binds: &[Bind<'_>],
        sink: &mut RowSink<'_>,
    ) -> Result<Found, LegacyError> {
        let mut scn_max = None;
        let statement = Statement { id: select.id, text: &select.text };
        let rows = session.query_rows(statement, binds, self.fetch_array, &mut |cells| {
            let values = self.values(cells)?;
            if let Some(scn) = self.scn_at.and_then(|at| values.get(at)).and_then(Value::as_int) {
                scn_max = scn_max.max(u64::try_from(scn).ok());
            }
            sink(values)
        })?;
        Ok(Found { rows, scn_max })
    }

    fn values(&self, cells: Vec<Cell>) -> Result<Vec<Value>, LegacyError> {
        if cells.len() < self.layout.columns.len() {
            return Err(Failure::of_code(Code::Driver(TYPE), Step::Fetch, "row").into());
        }
        let columns = self.layout.columns.iter().zip(&self.columns);
        cells
            .into_iter()
            .zip(columns)
            .map(|(cell, (column, stated))| {
                let cell = if self.charset == Charset::RawCp949 { cell.decoded() } else { Some(cell) };
                let cell = cell.map(|cell| if stated.padded { cell.unpadded() } else { cell });
                match cell.and_then(|cell| cell.value(column.kind)) {
                    Some(value) => Ok(value),
                    None if stated.fits => Ok(unreadable(column.kind)),
                    None => {
                        let name = &column.name;
                        let words = format!("column {name} holds a value that is not {:?}", column.kind);
                        Err(Failure::own(ErrorClass::Schema, Step::Fetch, "row", words).into())
                    }
                }
            })
            .collect()
    }
}

impl LegacyRead for OracleRead {
    fn columns(&mut self, view: &str) -> Result<Vec<(String, String)>, LegacyError> {
        let absent = || {
            let words = format!("there is no view {}, or it is not granted to this account", printable(view));
            LegacyError::from(Failure::own(ErrorClass::Schema, Step::Execute, sql::READ_COLUMNS.id, words))
        };
        if !is_name(view) {
            return Err(absent());
        }
        let schema = self.oracle.settings().schema.clone();
        let rows = self.session()?.rows(sql::READ_COLUMNS, &[Bind::Text(&schema), Bind::Text(view)])?;
        if rows.is_empty() {
            return Err(absent());
        }
        rows.iter().map(|row| declared(row).ok_or_else(absent)).collect()
    }

    fn cut(
        &mut self,
        layouts: &[&Layout],
        sink: &mut dyn FnMut(usize, Vec<Value>) -> Result<(), LegacyError>,
    ) -> Result<CutInfo, LegacyError> {
        let plans = layouts.iter().map(|layout| self.plan(layout)).collect::<Result<Vec<_>, _>>()?;
        self.snapshot(Statements::Several, &mut |session| {
            let mut all = Found::default();
            for (i, plan) in plans.iter().enumerate() {
                let found = plan.read(session, &plan.selects.cut(), &[], &mut |row| sink(i, row))?;
                all = Found { rows: all.rows + found.rows, scn_max: all.scn_max.max(found.scn_max) };
            }
            Ok(all)
        })
    }

    fn page(
        &mut self,
        layout: &Layout,
        after: Option<&str>,
        rows_max: u32,
        sink: &mut RowSink<'_>,
    ) -> Result<CutInfo, LegacyError> {
        let plan = self.plan(layout)?;
        let (select, binds) = plan.selects.page(after, rows_max)?;
        self.one(&plan, &select, &binds, sink)
    }

    fn hinted(&mut self, layout: &Layout, hint: &Hint<'_>, sink: &mut RowSink<'_>) -> Result<CutInfo, LegacyError> {
        let plan = self.plan(layout)?;
        match plan.selects.hinted(hint)? {
            Some((select, binds)) => self.one(&plan, &select, &binds, sink),
            None => self.snapshot(Statements::One, &mut |_| Ok(Found::default())),
        }
    }

    fn password_days(&mut self) -> Result<Option<i64>, LegacyError> {
        self.expiry_days()
    }

    fn lag_ms(&mut self) -> Result<u64, LegacyError> {
        if self.oracle.settings().read_connect_string.is_none() {
            return Ok(0);
        }
        let rows = self.session()?.rows(sql::READ_LAG, &[])?;
        match rows.first().map(|row| row.iter().map(Cell::time).collect::<Vec<_>>()).as_deref() {
            Some([Some(beat), Some(now)]) => Ok(u64::try_from(now.since_ms(*beat)).unwrap_or(0)),
            _ => {
                let words = "the standby has no heartbeat of the bridge yet: how late it is cannot be told";
                Err(Failure::own(ErrorClass::StandbyLate, Step::Execute, sql::READ_LAG.id, words).into())
            }
        }
    }

    fn statements(&self) -> u64 {
        self.statements_before + self.session.as_ref().map_or(0, Session::statements)
    }
}

/// Name and type of a row of ALL_TAB_COLUMNS, as a DDL would state it.
fn declared(row: &[Cell]) -> Option<(String, String)> {
    let [name, kind, length, precision, scale, chars, used] = row else { return None };
    let (name, kind) = (name.text()?, kind.text()?);
    let stated = match kind {
        "VARCHAR2" | "CHAR" if used.text() == Some("C") => format!("{kind}({} CHAR)", chars.int()?),
        "NVARCHAR2" | "NCHAR" => format!("{kind}({})", chars.int()?),
        "VARCHAR2" | "CHAR" | "RAW" => format!("{kind}({})", length.int()?),
        "NUMBER" => match (precision.int(), scale.int()) {
            (Some(precision), scale) => format!("NUMBER({precision},{})", scale.unwrap_or(0)),
            (None, Some(scale)) => format!("NUMBER(38,{scale})"),
            (None, None) => "NUMBER".to_owned(),
        },
        "FLOAT" => format!("FLOAT({})", precision.int()?),
        other => other.to_owned(),
    };
    Some((name.to_owned(), stated))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_stated_as_a_ddl_states_it() {
        let text = |text: &str| Cell::Text(text.into());
        let int = Cell::Int;
        let none = || Cell::Null;
        let table = [
            (["VARCHAR2", "B"], [int(60), none(), none(), int(60)], "VARCHAR2(60)"),
            (["VARCHAR2", "C"], [int(240), none(), none(), int(60)], "VARCHAR2(60 CHAR)"),
            (["CHAR", "B"], [int(1), none(), none(), int(1)], "CHAR(1)"),
            (["NVARCHAR2", "C"], [int(120), none(), none(), int(60)], "NVARCHAR2(60)"),
            (["NUMBER", ""], [int(22), int(6), int(0), int(0)], "NUMBER(6,0)"),
            (["NUMBER", ""], [int(22), int(9), int(6), int(0)], "NUMBER(9,6)"),
            (["NUMBER", ""], [int(22), none(), int(0), int(0)], "NUMBER(38,0)"),
            (["NUMBER", ""], [int(22), none(), none(), int(0)], "NUMBER"),
            (["DATE", ""], [int(7), none(), none(), int(0)], "DATE"),
            (["TIMESTAMP(6)", ""], [int(11), none(), int(6), int(0)], "TIMESTAMP(6)"),
        ];
        for ([kind, used], [length, precision, scale, chars], stated) in table {
            let used = if used.is_empty() { Cell::Null } else { text(used) };
            let row = [text("A"), text(kind), length, precision, scale, chars, used];
            assert_eq!(declared(&row), Some(("A".to_owned(), stated.to_owned())));
        }
        assert_eq!(declared(&[text("A")]), None);
    }
}
