//! Declared lengths and precisions, which SQLite ignores: triggers of the session's own before each change.
//!
//! They are temporary, so the agency's programs on the same file never meet them. One call a row checks all columns.

use std::fmt::Write;

use rusqlite::functions::Context;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Error};

use super::charset::Charset;
use super::errors::OraError;
use crate::sql::catalog::Catalog;

/// SQLite takes 127 arguments; a table of more limited columns goes unchecked beyond.
const COLUMNS_MAX: usize = 60;

/// Kind and bounds of a declared type: `V12`, `N6,2`, or none.
fn rule(declared: &str) -> Option<String> {
    let (name, rest) = declared.split_once('(')?;
    let bounds = rest.trim_end_matches(')').replace(' ', "");
    let bounds = bounds.trim_end_matches("BYTE").trim_end_matches("CHAR");
    match name.trim() {
        "VARCHAR2" | "CHAR" | "VARCHAR" => Some(format!("V{bounds}")),
        "NUMBER" => Some(format!("N{bounds}")),
        _ => None,
    }
}

pub fn install(connection: &Connection, catalog: &Catalog, owner: &str, charset: Charset) -> Result<(), OraError> {
    let mut sql = String::new();
    for (table, entry) in catalog.tables.iter().filter(|(_, entry)| !entry.key.is_empty()) {
        let limits = entry.columns.iter().filter_map(|(name, declared)| Some((name, rule(declared)?)));
        let limits: Vec<(&String, String)> = limits.take(COLUMNS_MAX).collect();
        if limits.is_empty() {
            continue;
        }
        let rules: Vec<String> = limits.iter().map(|(name, rule)| format!("{name}:{rule}")).collect();
        let values: Vec<String> = limits.iter().map(|(name, _)| format!("NEW.[{name}]")).collect();
        let utf8 = u8::from(charset == Charset::Utf8);
        let (rules, values) = (rules.join(";"), values.join(", "));
        for event in ["INSERT", "UPDATE"] {
            write!(
                sql,
                "DROP TRIGGER IF EXISTS temp.[check_{event}_{table}];
                 CREATE TEMP TRIGGER [check_{event}_{table}] BEFORE {event} ON main.[{table}] BEGIN
                   SELECT ora_check('{owner}', '{table}', {utf8}, '{rules}', {values}); END;"
            )
            .ok();
        }
    }
    Ok(connection.execute_batch(&sql)?)
}

/// `ora_check(owner, table, utf8, rules, values…)`.
pub fn check(c: &Context<'_>) -> rusqlite::Result<Value> {
    let (owner, table): (String, String) = (c.get(0)?, c.get(1)?);
    let charset = if c.get::<i64>(2)? == 1 { Charset::Utf8 } else { Charset::Korean };
    let rules = c.get_raw(3).as_str().map_err(|e| Error::UserFunctionError(e.into()))?;
    for (at, rule) in rules.split(';').enumerate() {
        let Some((column, rule)) = rule.split_once(':') else { continue };
        let (kind, bounds) = rule.split_at(1);
        let refused = match (kind, c.get_raw(4 + at)) {
            (_, ValueRef::Null) => None,
            ("V", ValueRef::Text(text)) => {
                let has = charset.length(&String::from_utf8_lossy(text));
                let most: usize = bounds.parse().unwrap_or(usize::MAX);
                let place = format!("\"{owner}\".\"{table}\".\"{column}\"");
                let say = || format!("value too large for column {place} (actual: {has}, maximum: {most})");
                (has > most).then(|| OraError::new(12899, say()))
            }
            ("N", value) => number(value, bounds),
            _ => None,
        };
        if let Some(refused) = refused {
            return Err(Error::UserFunctionError(Box::new(refused)));
        }
    }
    Ok(Value::Null)
}

fn number(value: ValueRef<'_>, bounds: &str) -> Option<OraError> {
    let (precision, scale) = bounds.split_once(',').unwrap_or((bounds, "0"));
    let (precision, scale): (i32, i32) = (precision.parse().unwrap_or(38), scale.parse().unwrap_or(0));
    let size = match value {
        ValueRef::Integer(n) => n as f64,
        ValueRef::Real(n) => n,
        ValueRef::Text(text) => match String::from_utf8_lossy(text).trim().parse() {
            Ok(n) => n,
            Err(_) => return Some(OraError::new(1722, "invalid number")),
        },
        _ => return Some(OraError::new(932, "inconsistent datatypes: expected NUMBER got BINARY")),
    };
    let too_large = size.abs() >= 10f64.powi(precision - scale);
    too_large.then(|| OraError::new(1438, "value larger than specified precision allowed for this column"))
}
