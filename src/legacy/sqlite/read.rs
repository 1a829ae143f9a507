//! `LegacyRead` over the embedded legacy system.
//!
//! Invariants: the SELECT list is exactly the layout's columns; every call is one read-only transaction, which in WAL
//! mode sees one snapshot however long it reads; an error names the column, never the value.

use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, ToSql};

use super::{BUSY_TIMEOUT_MS, NOW_SQL, failure, open_connection, wall};
use crate::domain::{Timestamp, Value};
use crate::legacy::{CutInfo, Hint, KEYS_MAX, LegacyError, LegacyErrorKind, LegacyRead, RowSink};
use crate::mapping::catalogue::{ColumnType, Layout, LayoutColumn, Role};

/// Lists of keys are padded to one of these sizes, so that there are three statements to parse.
const KEY_LIST_SIZES: [usize; 3] = [20, 100, KEYS_MAX];

pub struct SqliteRead {
    connection: Connection,
    statements: u64,
}

impl SqliteRead {
    /// Opens the file for reading only: a write through it fails.
    pub fn open(path: &Path) -> Result<SqliteRead, LegacyError> {
        let connection = open_connection(path, BUSY_TIMEOUT_MS)?;
        connection.execute_batch("PRAGMA query_only = ON").map_err(failure)?;
        Ok(SqliteRead { connection, statements: 0 })
    }

    /// Runs `read` in one read-only transaction; `as_of` is taken before the snapshot, so it is never too late.
    fn snapshot(
        &mut self,
        read: &mut dyn FnMut(&Connection, &mut u64) -> Result<u64, LegacyError>,
    ) -> Result<CutInfo, LegacyError> {
        self.connection.execute_batch("BEGIN DEFERRED").map_err(failure)?;
        self.statements += 3;
        let result = legacy_now(&self.connection).and_then(|as_of| {
            let rows = read(&self.connection, &mut self.statements)?;
            Ok(CutInfo { as_of, rows, scn_max: None })
        });
        let ended = self.connection.execute_batch("ROLLBACK").map_err(failure);
        let info = result?;
        ended?;
        Ok(info)
    }
}

impl LegacyRead for SqliteRead {
    fn columns(&mut self, view: &str) -> Result<Vec<(String, String)>, LegacyError> {
        self.statements += 1;
        let mut statement = self
            .connection
            .prepare_cached("SELECT name, type FROM pragma_table_info(?1) ORDER BY cid")
            .map_err(failure)?;
        let rows = statement.query_map([view], |row| Ok((row.get(0)?, row.get(1)?))).map_err(failure)?;
        let columns: Vec<(String, String)> = rows.collect::<Result<_, _>>().map_err(failure)?;
        if columns.is_empty() {
            return Err(schema_error(format!("there is no view {}", printable(view))));
        }
        Ok(columns)
    }

    fn cut(
        &mut self,
        layouts: &[&Layout],
        sink: &mut dyn FnMut(usize, Vec<Value>) -> Result<(), LegacyError>,
    ) -> Result<CutInfo, LegacyError> {
        self.snapshot(&mut |connection, statements| {
            let mut rows = 0;
            for (i, layout) in layouts.iter().enumerate() {
                *statements += 1;
                rows += select(connection, layout, "", &[], &mut |row| sink(i, row))?;
            }
            Ok(rows)
        })
    }

    fn page(
        &mut self,
        layout: &Layout,
        after: Option<&str>,
        rows_max: u32,
        sink: &mut RowSink<'_>,
    ) -> Result<CutInfo, LegacyError> {
        let key = quoted(role_column(layout, Role::Key)?)?;
        let tail = format!("WHERE ?1 IS NULL OR {key} > ?1 ORDER BY {key} LIMIT ?2");
        self.snapshot(&mut |connection, statements| {
            *statements += 1;
            select(connection, layout, &tail, &[&after, &rows_max], sink)
        })
    }

    fn hinted(&mut self, layout: &Layout, hint: &Hint<'_>, sink: &mut RowSink<'_>) -> Result<CutInfo, LegacyError> {
        match hint {
            Hint::Since(since) => self.changed_since(layout, *since, sink),
            Hint::Keys(keys) => self.by_keys(layout, keys, sink),
            Hint::Tail(from) => {
                let tail = format!("WHERE {} >= ?1", quoted(role_column(layout, Role::Key)?)?);
                self.tail(layout, &tail, &[from], sink)
            }
            Hint::Window { from, until } => {
                let start = quoted(role_column(layout, Role::Start)?)?;
                let tail = format!("WHERE {start} >= ?1 AND {start} < ?2");
                self.tail(layout, &tail, &[&wall::bound(*from), &wall::bound(*until)], sink)
            }
            // SQLite has no commit numbers: every row may have changed.
            Hint::Scn(_) => self.tail(layout, "", &[], sink),
        }
    }

    fn lag_ms(&mut self) -> Result<u64, LegacyError> {
        Ok(0)
    }

    fn statements(&self) -> u64 {
        self.statements
    }
}

impl SqliteRead {
    fn tail(
        &mut self,
        layout: &Layout,
        tail: &str,
        bound: &[&dyn ToSql],
        sink: &mut RowSink<'_>,
    ) -> Result<CutInfo, LegacyError> {
        self.snapshot(&mut |connection, statements| {
            *statements += 1;
            select(connection, layout, tail, bound, sink)
        })
    }

    fn changed_since(
        &mut self,
        layout: &Layout,
        since: Timestamp,
        sink: &mut RowSink<'_>,
    ) -> Result<CutInfo, LegacyError> {
        let tail = format!("WHERE {} >= ?1", quoted(role_column(layout, Role::UpdatedAt)?)?);
        self.tail(layout, &tail, &[&wall::bound(since)], sink)
    }

    fn by_keys(&mut self, layout: &Layout, keys: &[&str], sink: &mut RowSink<'_>) -> Result<CutInfo, LegacyError> {
        if keys.len() > KEYS_MAX {
            let message = format!("{} keys asked for at once, at most {KEYS_MAX}", keys.len());
            return Err(LegacyError::new(LegacyErrorKind::Halt, message));
        }
        let key = quoted(role_column(layout, Role::Key)?)?;
        let size = KEY_LIST_SIZES.into_iter().find(|size| *size >= keys.len()).unwrap_or(KEYS_MAX);
        let tail = format!("WHERE {key} IN ({})", vec!["?"; size].join(","));
        let pad = keys.last();
        self.snapshot(&mut |connection, statements| {
            let Some(pad) = pad else { return Ok(0) };
            *statements += 1;
            let padded: Vec<&dyn ToSql> =
                keys.iter().chain(std::iter::repeat(pad)).take(size).map(|k| k as &dyn ToSql).collect();
            select(connection, layout, &tail, &padded, sink)
        })
    }
}

/// The legacy system's clock.
pub(crate) fn legacy_now(connection: &Connection) -> Result<Timestamp, LegacyError> {
    let mut statement = connection.prepare_cached(&format!("SELECT {NOW_SQL}")).map_err(failure)?;
    let text: String = statement.query_row([], |row| row.get(0)).map_err(failure)?;
    wall::parse(&text).ok_or_else(|| schema_error("the legacy clock is not a wall clock reading".to_owned()))
}

/// The statement that fetches a layout; `tail` is a WHERE clause of ours.
fn select(
    connection: &Connection,
    layout: &Layout,
    tail: &str,
    bound: &[&dyn ToSql],
    sink: &mut RowSink<'_>,
) -> Result<u64, LegacyError> {
    let columns: Vec<String> = layout.columns.iter().map(|c| quoted(&c.name)).collect::<Result<_, _>>()?;
    let sql = format!("SELECT {} FROM {} {tail}", columns.join(", "), quoted(&layout.view)?);
    let mut statement = connection.prepare_cached(&sql).map_err(failure)?;
    let mut rows = statement.query(bound).map_err(failure)?;
    let mut count = 0;
    while let Some(row) = rows.next().map_err(failure)? {
        let mut values = Vec::with_capacity(layout.columns.len());
        for (at, column) in layout.columns.iter().enumerate() {
            values.push(value(row, at, column)?);
        }
        sink(values)?;
        count += 1;
    }
    Ok(count)
}

/// As Oracle has it, the empty text is NULL.
fn value(row: &Row<'_>, at: usize, column: &LayoutColumn) -> Result<Value, LegacyError> {
    let wrong = || schema_error(format!("column {} holds a value that is not {:?}", column.name, column.kind));
    let raw = row.get_ref(at).map_err(failure)?;
    let text = match raw {
        ValueRef::Null => return Ok(Value::Null),
        ValueRef::Integer(n) => {
            return match column.kind {
                ColumnType::Integer => Ok(Value::Int(n)),
                ColumnType::Decimal => Ok(Value::Decimal(n.to_string().into())),
                ColumnType::Text => Ok(Value::Text(n.to_string().into())),
                ColumnType::Time => Err(wrong()),
            };
        }
        ValueRef::Real(n) => {
            return match column.kind {
                ColumnType::Decimal => Ok(Value::Decimal(n.to_string().into())),
                ColumnType::Text => Ok(Value::Text(n.to_string().into())),
                ColumnType::Integer if n.fract() == 0.0 && n.abs() < 9.0e15 => Ok(Value::Int(n as i64)),
                ColumnType::Integer | ColumnType::Time => Err(wrong()),
            };
        }
        ValueRef::Text(bytes) => std::str::from_utf8(bytes).map_err(|_| wrong())?,
        ValueRef::Blob(_) => return Err(wrong()),
    };
    if text.is_empty() {
        return Ok(Value::Null);
    }
    match column.kind {
        ColumnType::Text => Ok(Value::text(text)),
        ColumnType::Time => wall::parse(text).map(Value::Time).ok_or_else(wrong),
        ColumnType::Integer => text.parse().map(Value::Int).map_err(|_| wrong()),
        ColumnType::Decimal => match text.parse::<f64>() {
            Ok(n) if n.is_finite() => Ok(Value::Decimal(text.into())),
            _ => Err(wrong()),
        },
    }
}

fn role_column(layout: &Layout, role: Role) -> Result<&str, LegacyError> {
    let at = layout.at_role(role);
    at.map(|at| &*layout.columns[at].name)
        .ok_or_else(|| schema_error(format!("{} has no column with role {role:?}", printable(&layout.view))))
}

/// A name from the catalogue as SQL; names that are not plain identifiers are refused, not escaped.
fn quoted(name: &str) -> Result<String, LegacyError> {
    let plain = name.len() <= 30
        && name.as_bytes().first().is_some_and(u8::is_ascii_uppercase)
        && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    if plain { Ok(format!("\"{name}\"")) } else { Err(schema_error(format!("{} is not a name", printable(name)))) }
}

fn printable(name: &str) -> String {
    name.chars().take(30).flat_map(char::escape_default).collect()
}

fn schema_error(message: String) -> LegacyError {
    LegacyError::new(LegacyErrorKind::Schema, message)
}
