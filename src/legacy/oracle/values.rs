//! Values between driver and bridge: cells as they arrive, binds as they leave.
//!
//! A cell says how the server typed it; `value` says what the declared column makes of it. DATE is Korean wall clock on
//! both ways. Text binds are VARCHAR2 and never the driver's default NVARCHAR2, and instants bind as DATE and never as
//! TIMESTAMP: either would make 11.2 convert the column and leave the index.

use std::sync::Arc;

use oracle::sql_type::{InnerValue, OracleType, ToSql};
use oracle::{Connection, Row, RowValue, SqlValue};

use super::charset::decode_cp949;
use crate::domain::time::{HOUR_MS, MINUTE_MS, SECOND_MS};
use crate::domain::{Timestamp, Value};
use crate::legacy::sqlite::wall;
use crate::mapping::catalogue::ColumnType;

const SEOUL_OFFSET_MS: i64 = 9 * HOUR_MS;

/// One value as the server types it.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Null,
    Int(i64),
    /// NUMBER as decimal text, all 38 digits.
    Number(Arc<str>),
    Float(f64),
    /// VARCHAR2, or CHAR without its padding.
    Text(Arc<str>),
    Time(Timestamp),
    Bytes(Vec<u8>),
    /// A type that the bridge never reads (LOB, interval, object).
    Other,
}

impl Cell {
    pub fn is_null(&self) -> bool {
        *self == Cell::Null
    }

    pub fn text(&self) -> Option<&str> {
        match self {
            Cell::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn int(&self) -> Option<i64> {
        match self {
            Cell::Int(n) => Some(*n),
            Cell::Number(text) | Cell::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    pub fn time(&self) -> Option<Timestamp> {
        match self {
            Cell::Time(at) => Some(*at),
            Cell::Text(text) => wall::parse(text),
            _ => None,
        }
    }

    /// The value of a column declared so; `None`: it holds something else.
    pub fn value(self, kind: ColumnType) -> Option<Value> {
        Some(match (kind, self) {
            (_, Cell::Null) => Value::Null,
            (_, Cell::Text(text)) if text.is_empty() => Value::Null,
            (ColumnType::Text, Cell::Text(text) | Cell::Number(text)) => Value::Text(text),
            (ColumnType::Text, Cell::Int(n)) => Value::Text(n.to_string().into()),
            (ColumnType::Integer, Cell::Int(n)) => Value::Int(n),
            (ColumnType::Integer, cell @ (Cell::Number(_) | Cell::Text(_))) => Value::Int(cell.int()?),
            (ColumnType::Decimal, Cell::Int(n)) => Value::Decimal(n.to_string().into()),
            (ColumnType::Decimal, Cell::Number(text)) => Value::Decimal(text),
            (ColumnType::Decimal, Cell::Float(n)) if n.is_finite() => Value::Decimal(n.to_string().into()),
            (ColumnType::Decimal, Cell::Text(text)) if is_decimal(&text) => Value::Decimal(text),
            (ColumnType::Time, cell) => Value::Time(cell.time()?),
            _ => return None,
        })
    }

    /// Raw CP949 bytes become text; `None`: they are not CP949.
    pub fn decoded(self) -> Option<Cell> {
        match self {
            Cell::Bytes(bytes) => decode_cp949(&bytes).map(|text| Cell::Text(text.as_ref().into())),
            other => Some(other),
        }
    }

    /// A CHAR's padding goes.
    pub fn unpadded(self) -> Cell {
        match self {
            Cell::Text(text) if text.ends_with(' ') => Cell::Text(text.trim_end_matches(' ').into()),
            other => other,
        }
    }
}

fn is_decimal(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'+' | b'.'))
        && text.parse::<f64>().is_ok_and(f64::is_finite)
}

/// A fetched row, decoded in the fetch buffer: the driver's own row type copies each column's state a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Cells(pub Vec<Cell>);

impl RowValue for Cells {
    fn get(row: &Row) -> oracle::Result<Cells> {
        row.sql_values().iter().map(cell).collect::<oracle::Result<_>>().map(Cells)
    }
}

fn cell(value: &SqlValue<'_>) -> oracle::Result<Cell> {
    if value.is_null()? {
        return Ok(Cell::Null);
    }
    Ok(match value.as_inner_value()? {
        InnerValue::Int64(n) => Cell::Int(n),
        InnerValue::UInt64(n) => i64::try_from(n).map_or_else(|_| Cell::Number(n.to_string().into()), Cell::Int),
        InnerValue::Number(text) => Cell::Number(text.into()),
        InnerValue::Float(n) => Cell::Float(f64::from(n)),
        InnerValue::Double(n) => Cell::Float(n),
        // The client library has converted it to UTF-8; what it could not convert is replaced already.
        InnerValue::Char(bytes) => {
            let text = Cell::Text(String::from_utf8_lossy(bytes).as_ref().into());
            match value.oracle_type()? {
                OracleType::Char(_) | OracleType::NChar(_) => text.unpadded(),
                _ => text,
            }
        }
        InnerValue::Raw(bytes) => Cell::Bytes(bytes.to_vec()),
        InnerValue::Timestamp(at) => {
            let read = Wall {
                year: at.year.into(),
                month: at.month.into(),
                day: at.day.into(),
                hour: at.hour.into(),
                minute: at.minute.into(),
                second: at.second.into(),
                nanosecond: at.fsecond.into(),
            };
            match value.oracle_type()? {
                OracleType::Date | OracleType::Timestamp(_) => read.in_seoul(),
                _ => read.at_offset(i64::from(at.tzHourOffset), i64::from(at.tzMinuteOffset)),
            }
            .map_or(Cell::Other, Cell::Time)
        }
        // LOBs, intervals, objects, and what a later driver may add.
        _ => Cell::Other,
    })
}

/// A calendar reading.
#[derive(Debug, Clone, Copy)]
struct Wall {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    nanosecond: i64,
}

impl Wall {
    /// `None`: no day of the years 1 to 9999.
    fn in_utc(self) -> Option<i64> {
        let is_day = (1..=9_999).contains(&self.year)
            && (1..=12).contains(&self.month)
            && (1..=wall::days_in(self.year, self.month)).contains(&self.day);
        let is_time = (0..24).contains(&self.hour) && (0..60).contains(&self.minute) && (0..60).contains(&self.second);
        (is_day && is_time).then(|| {
            wall::days_from_civil(self.year, self.month, self.day) * crate::domain::time::DAY_MS
                + self.hour * HOUR_MS
                + self.minute * MINUTE_MS
                + self.second * SECOND_MS
                + self.nanosecond / 1_000_000
        })
    }

    fn in_seoul(self) -> Option<Timestamp> {
        self.in_utc().map(|ms| Timestamp(ms - SEOUL_OFFSET_MS))
    }

    fn at_offset(self, hours: i64, minutes: i64) -> Option<Timestamp> {
        self.in_utc().map(|ms| Timestamp(ms - hours * HOUR_MS - minutes * MINUTE_MS))
    }
}

/// A value on its way to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bind<'a> {
    /// VARCHAR2; the empty text is NULL there.
    Text(&'a str),
    /// CHAR: compares with a padded column as the column does with itself.
    Padded(&'a str),
    NoText,
    /// RAW: bytes that the server must not convert.
    Raw(&'a [u8]),
    Int(i64),
    NoInt,
    /// DATE, Korean wall clock, whole seconds (what is finer is cut off).
    Date(Timestamp),
    /// OUT parameter of a procedure, VARCHAR2 of so many bytes.
    Out(u32),
}

impl Bind<'_> {
    pub fn is_out(&self) -> bool {
        matches!(self, Bind::Out(_))
    }
}

/// Sizes step up so that one statement keeps one cursor: 11.2 makes another child cursor when a bind's buffer passes
/// 32, 128, 2000 bytes, and a client buffer has four bytes a character.
fn stepped(chars: usize) -> u32 {
    match chars {
        0..=32 => 32,
        33..=500 => 500,
        501..=1_000 => 1_000,
        more => u32::try_from(more).unwrap_or(u32::MAX),
    }
}

impl ToSql for Bind<'_> {
    fn oratype(&self, _: &Connection) -> oracle::Result<OracleType> {
        Ok(match self {
            Bind::Text(text) => OracleType::Varchar2(stepped(text.len())),
            Bind::Padded(text) => OracleType::Char(stepped(text.len())),
            Bind::NoText => OracleType::Varchar2(32),
            Bind::Raw(bytes) => OracleType::Raw(stepped(bytes.len())),
            Bind::Int(_) | Bind::NoInt => OracleType::Number(0, 0),
            Bind::Date(_) => OracleType::Date,
            Bind::Out(bytes) => OracleType::Varchar2(*bytes),
        })
    }

    fn to_sql(&self, to: &mut SqlValue<'_>) -> oracle::Result<()> {
        match self {
            Bind::Text("") | Bind::Padded("") | Bind::NoText | Bind::NoInt | Bind::Out(_) => to.set_null(),
            Bind::Text(text) | Bind::Padded(text) => to.set(text),
            Bind::Raw(bytes) => to.set(bytes),
            Bind::Int(n) => to.set(n),
            Bind::Date(at) => to.set(&wall_of(*at)?),
        }
    }
}

fn wall_of(at: Timestamp) -> oracle::Result<oracle::sql_type::Timestamp> {
    let (year, month, day) = wall::civil(at.seoul_day());
    let of_day = (at.0 + SEOUL_OFFSET_MS).rem_euclid(crate::domain::time::DAY_MS);
    let part = |ms: i64, of: i64| (of_day / ms % of) as u32;
    oracle::sql_type::Timestamp::new(
        year as i32,
        month as u32,
        day as u32,
        part(HOUR_MS, 24),
        part(MINUTE_MS, 60),
        part(SECOND_MS, 60),
        0,
    )
}

#[cfg(test)]
mod tests;
