//! Rendered data against the approved fields, byte by byte: a reader of one form of JSON, and of no other.
//!
//! Not a JSON parser: the renderer writes without white space and in order, so whatever else stands there is wrong.
//! It reads each byte once, which is why every item can be looked at.

use super::expected::{Expected, Shape};
use super::guard::is_instant;

/// Is `data` an object of exactly these fields? `Err`: the field at which it is not; `None`: its frame.
pub(super) fn object<'f>(data: &[u8], fields: &'f [Expected]) -> Result<(), Option<&'f Expected>> {
    let mut rest = data.strip_prefix(b"{").ok_or(None)?;
    for (at, field) in fields.iter().enumerate() {
        if at > 0 {
            rest = rest.strip_prefix(b",").ok_or(Some(field))?;
        }
        rest = rest.strip_prefix(&*field.key).ok_or(Some(field))?;
        rest = value(rest, field).ok_or(Some(field))?;
    }
    if rest == b"}" { Ok(()) } else { Err(None) }
}

/// What follows a value of the field's shape.
fn value<'d>(data: &'d [u8], field: &Expected) -> Option<&'d [u8]> {
    if let Some(rest) = data.strip_prefix(b"null") {
        return field.may_be_null.then_some(rest);
    }
    if let Some(rest) = field.small.iter().find_map(|text| quoted(data, text.as_bytes())) {
        return Some(rest);
    }
    match &field.shape {
        Shape::Exact(_, json) => data.strip_prefix(&**json),
        Shape::OneOf(set) => set.iter().find_map(|(_, json)| data.strip_prefix(&**json)),
        Shape::Whole { .. } => number(data, |b| b.is_ascii_digit()),
        Shape::Decimal => number(data, |b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-')),
        Shape::Instant { .. } => {
            let (text, rest) = text(data)?;
            is_instant(text).then_some(rest)
        }
        Shape::Text { .. } | Shape::Word | Shape::Hex(_) | Shape::PersonToken => text(data).map(|(_, rest)| rest),
    }
}

fn quoted<'d>(data: &'d [u8], text: &[u8]) -> Option<&'d [u8]> {
    data.strip_prefix(b"\"")?.strip_prefix(text)?.strip_prefix(b"\"")
}

fn number(data: &[u8], of: impl Fn(u8) -> bool) -> Option<&[u8]> {
    let digits = data.strip_prefix(b"-").unwrap_or(data);
    let end = digits.iter().position(|b| !of(*b)).unwrap_or(digits.len());
    (end > 0).then(|| &digits[end..])
}

/// A text as it is written between its quotes, and what follows it.
fn text(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = data.strip_prefix(b"\"")?;
    let mut at = 0;
    loop {
        match text.get(at)? {
            b'"' => return Some((&text[..at], &text[at + 1..])),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}
