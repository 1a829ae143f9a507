//! Applies mappings: row in, record out. A record has only what a mapping declares.
//!
//! Owns `Projector` (a compiled mapping), the transforms, the digests that name what is published, the ports that
//! assign numbers to persons and values, and `Guard`, the last look at what a projector gave. Does not read files and does not judge mappings: `mapping` did.
//!
//! Invariants: a field that the mapping does not name cannot appear; a value that a transform cannot handle is an
//! `Issue` and publishes nothing; an issue names a field and never holds a value.
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::iter_over_hash_type))]

mod canaries;
mod closure;
mod digest;
mod expected;
pub mod guard;
mod guard_bytes;
#[cfg(test)]
mod guard_tests;
mod projector;
#[cfg(test)]
mod tests;
mod transform;

use std::fmt::Write as _;
use std::sync::Arc;

use crate::domain::{BookingView, PartnerId, PersonRef, Row, SlotView};

pub use closure::{BadClosure, Closure};
pub use digest::{canonical_json, sha256_hex};
pub use guard::{Alarm, Canaries, Guard, GuardRule, Hit, Watch};
pub use projector::{CompileError, Ports, Projector};

/// What a mapping is applied to.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    Slot(&'a SlotView),
    Booking(&'a BookingView),
    /// Any other published object.
    Item {
        key: &'a str,
        row: &'a Row,
    },
}

/// What a partner sees of one subject: its public id and the declared fields, in the mapping's order.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub id: Arc<str>,
    pub fields: Vec<(Arc<str>, serde_json::Value)>,
}

impl Record {
    pub fn get(&self, field: &str) -> Option<&serde_json::Value> {
        self.fields.iter().find(|(name, _)| &**name == field).map(|(_, value)| value)
    }

    /// One JSON object, members in the mapping's order, without white space: the same record gives the same bytes.
    pub fn to_json(&self) -> String {
        let mut json = String::with_capacity(32 * self.fields.len() + 2);
        json.push('{');
        for (at, (name, value)) in self.fields.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            // Names are lower-case letters, digits and _: nothing to escape.
            write!(json, "{comma}\"{name}\":{value}").expect("writing to a String cannot fail");
        }
        json.push('}');
        json
    }
}

/// Why a subject could not be published. Never holds a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("field {field}: {}", kind.text())]
pub struct Issue {
    /// Name of the field, `id`, or the column of a filter.
    pub field: Arc<str>,
    pub kind: IssueKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IssueKind {
    /// The mapping is about another object.
    WrongSubject,
    /// The value is not of the column's declared type.
    WrongType,
    /// The table or hierarchy has no such value.
    UnknownCode,
    /// A number that JSON readers could not hold exactly.
    OutOfRange,
    /// The key is empty or holds a character that has no place in an id.
    BadKey,
    /// A public telephone column holds what looks like somebody's mobile number.
    MobileNumber,
    /// The port that assigns numbers is not there or failed.
    Port,
}

impl IssueKind {
    pub fn code(self) -> &'static str {
        match self {
            IssueKind::WrongSubject => "wrong_subject",
            IssueKind::WrongType => "wrong_type",
            IssueKind::UnknownCode => "unknown_code",
            IssueKind::OutOfRange => "out_of_range",
            IssueKind::BadKey => "bad_key",
            IssueKind::MobileNumber => "mobile_number",
            IssueKind::Port => "port",
        }
    }

    pub fn text(self) -> &'static str {
        match self {
            IssueKind::WrongSubject => "the mapping is about another object",
            IssueKind::WrongType => "the value is not of the declared type",
            IssueKind::UnknownCode => "the value does not stand in the table",
            IssueKind::OutOfRange => "the number is too large",
            IssueKind::BadKey => "the key is empty or holds a character that ids do not have",
            IssueKind::MobileNumber => "the value looks like a mobile number",
            IssueKind::Port => "no number could be assigned",
        }
    }
}

/// Names a person to one partner for one purpose; `keys` implements it. Deterministic within an epoch.
pub trait Seal: Send + Sync {
    fn seal(&self, partner: &PartnerId, purpose: &str, person: PersonRef) -> Result<String, NotAssigned>;
}

/// Gives a value its random number and remembers it: the same scope and value get the same number for ever.
/// The register implements it.
pub trait AssignToken: Send + Sync {
    /// `scope` says who shares the number (`naver/site.SITE_ID`, `*/site.SITE_ID`); answers lower-case hex of `bits` bits.
    fn assigned(&self, scope: &str, value: &str, bits: u32) -> Result<String, NotAssigned>;
}

/// The port has no key or no room. Says nothing about the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no number could be assigned")]
pub struct NotAssigned;
