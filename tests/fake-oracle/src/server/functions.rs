//! Oracle's functions as SQLite functions of a connection.

use std::sync::{Arc, Mutex};

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Error};

use super::charset::Charset;
use super::dates::{self, Time};
use super::errors::OraError;
use super::{lock, to_char};

/// What functions know of their session.
#[derive(Debug, Clone)]
pub struct Facts {
    pub session: u32,
    pub user: String,
    pub schema: String,
    pub instance: String,
    pub host: String,
    pub role: String,
    pub client_identifier: String,
    pub module: String,
    pub action: String,
    pub date_format: String,
    pub charset: Charset,
    pub skew_s: i64,
    /// The client library has carried the session to another instance.
    pub moved: bool,
}

type Made = rusqlite::Result<Value>;

fn refuse(code: i32, text: &str) -> Error {
    own(OraError::new(code, text))
}

fn own(error: OraError) -> Error {
    Error::UserFunctionError(Box::new(error))
}

fn value(of: ValueRef<'_>) -> Value {
    match of {
        ValueRef::Null | ValueRef::Text([]) => Value::Null,
        ValueRef::Integer(n) => Value::Integer(n),
        ValueRef::Real(n) => Value::Real(n),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    }
}

fn words(of: ValueRef<'_>) -> Option<String> {
    match of {
        ValueRef::Null | ValueRef::Text([]) => None,
        ValueRef::Integer(n) => Some(n.to_string()),
        ValueRef::Real(n) => Some(n.to_string()),
        ValueRef::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Some(bytes.iter().map(|b| format!("{b:02X}")).collect()),
    }
}

fn real(of: ValueRef<'_>) -> Result<Option<f64>, Error> {
    match of {
        ValueRef::Integer(n) => Ok(Some(n as f64)),
        ValueRef::Real(n) => Ok(Some(n)),
        other => match words(other) {
            None => Ok(None),
            Some(text) => text.trim().parse().map(Some).map_err(|_| refuse(1722, "invalid number")),
        },
    }
}

fn time(of: ValueRef<'_>) -> Option<Time> {
    match of {
        ValueRef::Text(text) => dates::parse(std::str::from_utf8(text).ok()?),
        _ => None,
    }
}

fn number(n: f64) -> Value {
    if n.fract() == 0.0 && n.abs() < 9e15 { Value::Integer(n as i64) } else { Value::Real(n) }
}

fn text(of: impl Into<String>) -> Value {
    let of = of.into();
    if of.is_empty() { Value::Null } else { Value::Text(of) }
}

pub fn install(connection: &Connection, facts: &Arc<Mutex<Facts>>) -> rusqlite::Result<()> {
    let pure: &[(&str, i32, fn(&Context<'_>) -> Made)] = &[
        ("ora_add", 2, |c| sum(c, 1.0)),
        ("ora_sub", 2, |c| sum(c, -1.0)),
        ("ora_nvl2", 3, |c| Ok(value(c.get_raw(if words(c.get_raw(0)).is_some() { 1 } else { 2 })))),
        ("ora_decode", -1, decode),
        ("ora_greatest", -1, |c| extreme(c, std::cmp::Ordering::Greater)),
        ("ora_least", -1, |c| extreme(c, std::cmp::Ordering::Less)),
        ("ora_to_number", -1, |c| match c.get_raw(0) {
            ValueRef::Integer(n) => Ok(Value::Integer(n)),
            other => Ok(real(other)?.map_or(Value::Null, number)),
        }),
        ("ora_trunc", -1, trunc),
        ("ora_substr", -1, substr),
        ("ora_lpad", -1, |c| pad(c, true)),
        ("ora_rpad", -1, |c| pad(c, false)),
        ("ora_mod", 2, |c| match (real(c.get_raw(0))?, real(c.get_raw(1))?) {
            (Some(a), Some(b)) => Ok(number(if b == 0.0 { a } else { a % b })),
            _ => Ok(Value::Null),
        }),
        ("ora_floor", 1, |c| Ok(real(c.get_raw(0))?.map_or(Value::Null, |n| number(n.floor())))),
        ("ora_ceil", 1, |c| Ok(real(c.get_raw(0))?.map_or(Value::Null, |n| number(n.ceil())))),
        ("ora_hash", -1, |c| {
            let text = words(c.get_raw(0)).unwrap_or_default();
            let hash = |h: i64, b: u8| ((h ^ i64::from(b)) * 0x0100_0193) & 0xffff_ffff;
            Ok(Value::Integer(text.bytes().fold(0x811c_9dc5, hash)))
        }),
        ("ora_add_months", 2, |c| match (time(c.get_raw(0)), real(c.get_raw(1))?) {
            (Some(at), Some(months)) => Ok(text(dates::text(dates::add_months(at, months as i64)))),
            _ => Ok(Value::Null),
        }),
        ("ora_last_day", 1, last_day),
        ("ora_interval", 2, interval),
        ("ora_rawtohex", 1, |c| Ok(words(c.get_raw(0)).map_or(Value::Null, text))),
        ("ora_hextoraw", 1, |c| {
            let hex = words(c.get_raw(0)).unwrap_or_default();
            let pairs = hex.as_bytes().chunks(2).map(|p| u8::from_str_radix(std::str::from_utf8(p).unwrap_or(""), 16));
            pairs.collect::<Result<Vec<_>, _>>().map(Value::Blob).map_err(|_| refuse(1465, "invalid hex number"))
        }),
        ("ora_check", -1, super::enforce::check),
    ];
    for (name, arguments, call) in pure {
        let (call, flags) = (*call, FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC);
        connection.create_scalar_function(*name, *arguments, flags, move |c| call(c))?;
    }
    type Told = fn(&Context<'_>, &Facts) -> Made;
    let told: &[(&str, i32, Told)] = &[
        ("ora_sysdate", 0, |_, f| Ok(text(dates::text(Time { micros: dates::now(f.skew_s), fraction: false })))),
        ("ora_systimestamp", 0, |_, f| {
            let micros = dates::now(f.skew_s) / 1_000 * 1_000;
            Ok(text(dates::text(Time { micros, fraction: true })))
        }),
        ("ora_user", 0, |_, f| Ok(text(f.user.clone()))),
        ("ora_sys_context", -1, sys_context),
        ("ora_to_char", -1, convert_to_char),
        ("ora_to_date", -1, |c, f| to_date(c, f, false)),
        ("ora_to_timestamp", -1, |c, f| to_date(c, f, true)),
        ("ora_lengthb", 1, |c, f| {
            Ok(words(c.get_raw(0)).map_or(Value::Null, |t| Value::Integer(f.charset.length(&t) as i64)))
        }),
        ("ora_cast_to_raw", 1, |c, f| {
            Ok(words(c.get_raw(0)).map_or(Value::Null, |t| Value::Blob(f.charset.bytes(&t).into_owned())))
        }),
        ("ora_cast_to_varchar2", 1, |c, f| match c.get_raw(0) {
            ValueRef::Blob(bytes) => Ok(text(f.charset.text(bytes))),
            other => Ok(words(other).map_or(Value::Null, text)),
        }),
    ];
    for (name, arguments, call) in told {
        let (call, facts) = (*call, facts.clone());
        let flags = FunctionFlags::SQLITE_UTF8;
        connection.create_scalar_function(*name, *arguments, flags, move |c| call(c, &lock(&facts)))?;
    }
    Ok(())
}

/// `a + sign * b`, where either may be a date.
fn sum(c: &Context<'_>, sign: f64) -> Made {
    let (a, b) = (c.get_raw(0), c.get_raw(1));
    if words(a).is_none() || words(b).is_none() {
        return Ok(Value::Null);
    }
    match (time(a), time(b)) {
        (Some(a), Some(b)) if sign < 0.0 => Ok(number((a.micros - b.micros) as f64 / dates::DAY as f64)),
        (Some(_), Some(_)) => Err(refuse(975, "date + date not allowed")),
        (Some(at), None) => Ok(text(dates::text(dates::add_days(at, sign * real(b)?.unwrap_or(0.0))))),
        (None, Some(at)) => Ok(text(dates::text(dates::add_days(at, real(a)?.unwrap_or(0.0))))),
        (None, None) => match (a, b) {
            (ValueRef::Integer(a), ValueRef::Integer(b)) => Ok(Value::Integer(a + sign as i64 * b)),
            _ => Ok(number(real(a)?.unwrap_or(0.0) + sign * real(b)?.unwrap_or(0.0))),
        },
    }
}

fn decode(c: &Context<'_>) -> Made {
    let mut at = 1;
    while at + 1 < c.len() {
        if words(c.get_raw(0)) == words(c.get_raw(at)) {
            return Ok(value(c.get_raw(at + 1)));
        }
        at += 2;
    }
    Ok(if at < c.len() { value(c.get_raw(at)) } else { Value::Null })
}

fn extreme(c: &Context<'_>, wanted: std::cmp::Ordering) -> Made {
    let mut best = 0;
    for at in 0..c.len() {
        let (one, other) = (c.get_raw(at), c.get_raw(best));
        if words(one).is_none() {
            return Ok(Value::Null);
        }
        let order = match (one, other) {
            (ValueRef::Text(a), ValueRef::Text(b)) => a.cmp(b),
            _ => real(one)?.partial_cmp(&real(other)?).unwrap_or(std::cmp::Ordering::Equal),
        };
        if order == wanted {
            best = at;
        }
    }
    Ok(value(c.get_raw(best)))
}

fn last_day(c: &Context<'_>) -> Made {
    let Some(at) = time(c.get_raw(0)) else { return Ok(Value::Null) };
    let p = dates::parts(at.micros);
    let micros = at.micros + (dates::days_in(p.year, p.month) - p.day) * dates::DAY;
    Ok(text(dates::text(Time { micros, ..at })))
}

fn trunc(c: &Context<'_>) -> Made {
    if let Some(at) = time(c.get_raw(0)) {
        let unit = if c.len() > 1 { words(c.get_raw(1)).unwrap_or_default().to_uppercase() } else { "DD".to_owned() };
        let p = dates::parts(at.micros);
        let down = |unit: i64| at.micros.div_euclid(unit) * unit;
        let micros = match unit.as_str() {
            "DD" | "DDD" | "J" => down(dates::DAY),
            "MM" | "MON" | "MONTH" => dates::days_from_civil(p.year, p.month, 1) * dates::DAY,
            "YYYY" | "YEAR" | "YY" => dates::days_from_civil(p.year, 1, 1) * dates::DAY,
            "HH24" | "HH" => down(3_600 * dates::SECOND),
            "MI" => down(60 * dates::SECOND),
            _ => return Err(refuse(1898, "too many precision specifiers")),
        };
        return Ok(text(dates::text(Time { micros, fraction: false })));
    }
    let places = if c.len() > 1 { real(c.get_raw(1))?.unwrap_or(0.0) } else { 0.0 };
    let scale = 10f64.powf(places);
    Ok(real(c.get_raw(0))?.map_or(Value::Null, |n| number((n * scale).trunc() / scale)))
}

fn substr(c: &Context<'_>) -> Made {
    let Some(of) = words(c.get_raw(0)) else { return Ok(Value::Null) };
    let chars: Vec<char> = of.chars().collect();
    let from = match real(c.get_raw(1))?.unwrap_or(1.0) as i64 {
        0 => 0,
        n if n > 0 => n as usize - 1,
        n => chars.len().saturating_sub(n.unsigned_abs() as usize),
    };
    let length = if c.len() > 2 { real(c.get_raw(2))?.unwrap_or(0.0).max(0.0) as usize } else { chars.len() };
    Ok(text(chars.iter().skip(from).take(length).collect::<String>()))
}

fn pad(c: &Context<'_>, left: bool) -> Made {
    let (Some(of), Some(width)) = (words(c.get_raw(0)), real(c.get_raw(1))?) else { return Ok(Value::Null) };
    let with = if c.len() > 2 { words(c.get_raw(2)).unwrap_or_default() } else { " ".to_owned() };
    let (width, has) = (width.max(0.0) as usize, of.chars().count());
    if has >= width {
        return Ok(text(of.chars().take(width).collect::<String>()));
    }
    let fill: String = with.chars().cycle().take(width - has).collect();
    Ok(text(if left { format!("{fill}{of}") } else { format!("{of}{fill}") }))
}

/// Days: what `date + INTERVAL '5' MINUTE` adds.
fn interval(c: &Context<'_>) -> Made {
    let Some(n) = real(c.get_raw(0))? else { return Ok(Value::Null) };
    let days = match words(c.get_raw(1)).unwrap_or_default().to_uppercase().as_str() {
        "DAY" => n,
        "HOUR" => n / 24.0,
        "MINUTE" => n / 1_440.0,
        "SECOND" => n / 86_400.0,
        _ => return Err(refuse(1760, "illegal argument for function")),
    };
    Ok(Value::Real(days))
}

fn sys_context(c: &Context<'_>, facts: &Facts) -> Made {
    let name = words(c.get_raw(1)).unwrap_or_default().to_uppercase();
    Ok(match name.as_str() {
        "SID" | "SESSIONID" => text(facts.session.to_string()),
        "INSTANCE" => text(if facts.moved { "2" } else { "1" }),
        "INSTANCE_NAME" => text(facts.instance.clone()),
        "SERVER_HOST" | "HOST" => text(facts.host.clone()),
        "SESSION_USER" | "CURRENT_USER" => text(facts.user.clone()),
        "CURRENT_SCHEMA" => text(facts.schema.clone()),
        "DATABASE_ROLE" => text(facts.role.clone()),
        "DB_NAME" | "DB_UNIQUE_NAME" | "SERVICE_NAME" => text("FAKE"),
        "CLIENT_IDENTIFIER" => text(facts.client_identifier.clone()),
        "MODULE" => text(facts.module.clone()),
        "ACTION" => text(facts.action.clone()),
        _ => return Err(refuse(2003, "invalid USERENV parameter")),
    })
}

fn convert_to_char(c: &Context<'_>, facts: &Facts) -> Made {
    let of = c.get_raw(0);
    let Some(plain) = words(of) else { return Ok(Value::Null) };
    let format = if c.len() > 1 { words(c.get_raw(1)) } else { None };
    if let Some(at) = time(of) {
        return to_char::date(at, format.as_deref().unwrap_or(&facts.date_format)).map(text).map_err(own);
    }
    match format {
        None => Ok(text(plain)),
        Some(format) => to_char::number(real(of)?.unwrap_or(0.0), &format).map(text).map_err(own),
    }
}

fn to_date(c: &Context<'_>, facts: &Facts, fraction: bool) -> Made {
    let of = c.get_raw(0);
    let Some(plain) = words(of) else { return Ok(Value::Null) };
    let made = match time(of) {
        Some(at) if c.len() == 1 => at,
        _ => {
            let format = if c.len() > 1 { words(c.get_raw(1)).unwrap_or_default() } else { facts.date_format.clone() };
            to_char::parse_date(&plain, &format).map_err(own)?
        }
    };
    let micros = if fraction { made.micros } else { made.micros.div_euclid(dates::SECOND) * dates::SECOND };
    Ok(text(dates::text(Time { micros, fraction })))
}
