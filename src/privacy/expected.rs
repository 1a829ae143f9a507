//! What an approved closure lets a field's value be: the guard's expectation, derived by other code than the projector's.

use std::sync::Arc;

use serde_json::Value as Json;

use super::Closure;
use crate::mapping::catalogue::Derived;
use crate::mapping::feed_mapping::Field;
use crate::mapping::transform::Scalar;
use crate::mapping::{Class, Column, ColumnType, Role, Table, Transform};

/// Which shapes of personal data a text is searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    All,
    /// Published telephones of sites: every shape but that one.
    SitePhone,
    /// Made by the bridge, or the reader's own.
    None,
}

/// What a value of a field may be.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    /// One value, and its JSON.
    Exact(Json, Box<[u8]>),
    Text {
        prefix: Arc<str>,
        look: Look,
    },
    /// The bridge's own codes: lower-case letters and `_`.
    Word,
    /// Sorted, with the JSON of each.
    OneOf(Vec<(Arc<str>, Box<[u8]>)>),
    Whole {
        step: i64,
        low: i64,
        high: i64,
        look: Look,
    },
    Decimal,
    /// RFC 3339 with `+09:00`, a multiple of this since midnight in Seoul.
    Instant {
        step_ms: i64,
    },
    /// So many lower-case hex digits.
    Hex(usize),
    PersonToken,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Expected {
    pub name: Arc<str>,
    /// `"name":`
    pub key: Box<[u8]>,
    pub shape: Shape,
    pub may_be_null: bool,
    /// What a slot of few places shows instead, as a JSON text.
    pub small: &'static [&'static str],
}

/// What small slots show where `FREE` is published, whatever the transform.
const SMALL: &[&str] = &["0", "1+"];

impl Expected {
    /// `None` where the closure lacks a column or a table that the field names.
    pub(super) fn of(closure: &Closure, field: &Field) -> Option<Expected> {
        let meaning = field.transform.meaning().ok()?;
        let column = match &field.source {
            Some(source) => Some(closure.object.column(source.get_ref())?),
            None => None,
        };
        let name: Arc<str> = Arc::from(field.name.get_ref().as_str());
        let is_free = column.is_some_and(|column| derived(closure, column) == Some(Derived::Free));
        Some(Expected {
            key: format!("\"{name}\":").into_bytes().into_boxed_slice(),
            name,
            shape: shape(closure, &meaning, column)?,
            may_be_null: may_be_null(closure, &meaning, column),
            small: if is_free && has_small(closure) { SMALL } else { &[] },
        })
    }
}

fn derived(closure: &Closure, column: &Column) -> Option<Derived> {
    let found = column.derived.then(|| Derived::find(closure.object.name.as_str(), &column.name));
    found.flatten().map(|(derived, _)| derived)
}

/// Do slots of few places show less than the mapping says?
fn has_small(closure: &Closure) -> bool {
    let rule = &closure.policy.small_slots;
    rule.capacity_max > 0 && !rule.exempt_roles.contains(&closure.partner.role)
}

pub(super) fn look(closure: &Closure, column: &Column) -> Look {
    match derived(closure, column) {
        Some(Derived::BookingSlot | Derived::BookingSeries | Derived::LegacyRef) => Look::All,
        Some(_) => Look::None,
        None if column.class == Class::OrgPublic => Look::SitePhone,
        None => Look::All,
    }
}

fn may_be_null(closure: &Closure, meaning: &Transform, column: Option<&Column>) -> bool {
    let Some(column) = column else { return false };
    match (meaning, derived(closure, column)) {
        (Transform::Const { .. } | Transform::PersonToken, _) => false,
        (_, Some(derived)) => matches!(derived, Derived::PartnerRef | Derived::LegacyRef | Derived::EndReason),
        (_, None) => column.role != Some(Role::Key),
    }
}

fn encoded(text: &str) -> Box<[u8]> {
    Json::from(text).to_string().into_bytes().into_boxed_slice()
}

fn one_of<'t>(texts: impl IntoIterator<Item = &'t str>) -> Shape {
    let mut set: Vec<(Arc<str>, Box<[u8]>)> = texts.into_iter().map(|text| (Arc::from(text), encoded(text))).collect();
    set.sort();
    set.dedup();
    Shape::OneOf(set)
}

/// The values that a table can give; `None` where the closure lacks it.
fn values(table: Option<&Table>, from: impl Fn(&Table) -> Option<(String, String)>) -> Option<Shape> {
    let table = table?;
    let (key, value) = from(table)?;
    let pairs = table.pairs(&key, &value)?;
    Some(one_of(pairs.values().map(|value| &**value)))
}

fn whole(step: i64, low: i64, high: i64, look: Look) -> Shape {
    Shape::Whole { step: step.max(1), low, high, look }
}

fn shape(closure: &Closure, meaning: &Transform, column: Option<&Column>) -> Option<Shape> {
    let first = |table: &Table, at: usize| table.columns.get(at).cloned();
    Some(match meaning {
        Transform::Drop => return None,
        Transform::Const { value } => {
            let value = match value {
                Scalar::Bool(b) => Json::from(*b),
                Scalar::Int(n) => Json::from(*n),
                Scalar::Text(text) => Json::from(text.as_str()),
            };
            let bytes = value.to_string().into_bytes().into_boxed_slice();
            Shape::Exact(value, bytes)
        }
        Transform::Keep { prefix } => kept(closure, column?, prefix),
        Transform::Enum { table } => {
            values(closure.tables.get(&format!("tables/{table}")), |table| Some((first(table, 0)?, first(table, 1)?)))?
        }
        Transform::Lookup { table, key, value } => {
            values(closure.tables.get(&format!("tables/{table}")), |_| Some((key.clone(), value.clone())))?
        }
        Transform::Generalize { hierarchy, level } => {
            values(closure.tables.get(&format!("hierarchies/{hierarchy}")), |table| {
                Some((first(table, 0)?, level.clone()))
            })?
        }
        Transform::Bucket { labels, .. } => one_of(labels.iter().map(String::as_str)),
        Transform::RoundTime { step_ms } => Shape::Instant { step_ms: *step_ms },
        Transform::RoundNum { step } => whole(*step, i64::MIN, i64::MAX, look(closure, column?)),
        Transform::TopBottom { low, high } => whole(1, *low, *high, look(closure, column?)),
        Transform::TokenRandom { bits, .. } => Shape::Hex((*bits as usize).div_ceil(4)),
        Transform::PersonToken => Shape::PersonToken,
    })
}

fn kept(closure: &Closure, column: &Column, prefix: &str) -> Shape {
    match (derived(closure, column), column.kind) {
        (Some(Derived::BookingStatus | Derived::BookingSync | Derived::EndReason), _) => Shape::Word,
        (Some(Derived::Bookable), _) => one_of(["Y", "N"]),
        (Some(Derived::SlotVersion | Derived::BookingSlotVersion), _) if prefix.is_empty() => Shape::Hex(8),
        (_, ColumnType::Text) => Shape::Text { prefix: Arc::from(prefix), look: look(closure, column) },
        (_, ColumnType::Integer) => whole(1, i64::MIN, i64::MAX, look(closure, column)),
        (_, ColumnType::Decimal) => Shape::Decimal,
        (_, ColumnType::Time) => Shape::Instant { step_ms: 1 },
    }
}
