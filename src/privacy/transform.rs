//! The transforms, value by value. Every one is total: a value of the right type gives a result or an issue.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Number, Value as Json};

use crate::domain::{Timestamp, Value, time::HOUR_MS};
use crate::mapping::ColumnType;

use super::IssueKind;

/// Largest whole number that every JSON reader holds exactly (RFC 7493).
const EXACT_MAX: i64 = (1 << 53) - 1;
const SEOUL_OFFSET_MS: i64 = 9 * HOUR_MS;

/// The value as it stands, with texts behind `prefix`.
pub fn keep(value: &Value, kind: ColumnType, prefix: &str) -> Result<Json, IssueKind> {
    if matches!(value, Value::Null) {
        return Ok(Json::Null);
    }
    match kind {
        ColumnType::Text => match value {
            Value::Text(text) if prefix.is_empty() => Ok(Json::from(&**text)),
            Value::Text(text) => Ok(Json::from(format!("{prefix}{text}"))),
            _ => Err(IssueKind::WrongType),
        },
        ColumnType::Integer => whole(value).and_then(number),
        ColumnType::Decimal => {
            let degrees = value.as_degrees().and_then(Number::from_f64);
            degrees.map(Json::Number).ok_or(IssueKind::WrongType)
        }
        ColumnType::Time => Ok(Json::from(time(value)?.rfc3339())),
    }
}

/// Reads a whole number; NUMBER without a precision arrives as a decimal text.
pub fn whole(value: &Value) -> Result<i64, IssueKind> {
    value.as_int().ok_or(IssueKind::WrongType)
}

pub fn time(value: &Value) -> Result<Timestamp, IssueKind> {
    value.as_time().ok_or(IssueKind::WrongType)
}

pub fn number(n: i64) -> Result<Json, IssueKind> {
    if (-EXACT_MAX..=EXACT_MAX).contains(&n) { Ok(Json::from(n)) } else { Err(IssueKind::OutOfRange) }
}

/// Text form that tables and filters compare with: texts as they are, whole numbers in decimal.
pub fn plain(value: &Value) -> Option<Arc<str>> {
    match value {
        Value::Text(text) | Value::Decimal(text) => Some(text.clone()),
        Value::Int(n) => Some(Arc::from(n.to_string())),
        Value::Null | Value::Time(_) => None,
    }
}

pub fn by_table(value: &Value, pairs: &BTreeMap<Arc<str>, Arc<str>>) -> Result<Json, IssueKind> {
    if matches!(value, Value::Null) {
        return Ok(Json::Null);
    }
    let code = plain(value).ok_or(IssueKind::WrongType)?;
    pairs.get(&code).map(|to| Json::from(&**to)).ok_or(IssueKind::UnknownCode)
}

/// Label of the last edge that `n` reaches; below the first edge the first label.
pub fn bucket<'a>(n: i64, edges: &[i64], labels: &'a [Arc<str>]) -> Option<&'a Arc<str>> {
    let reached = edges.partition_point(|edge| *edge <= n);
    labels.get(reached.saturating_sub(1))
}

/// Down to a multiple of `step` (at least 1).
pub fn round_num(n: i64, step: i64) -> i64 {
    n.saturating_sub(n.rem_euclid(step.max(1)))
}

/// Down to a multiple of `step_ms` since midnight in Seoul.
pub fn round_time(at: Timestamp, step_ms: i64) -> Timestamp {
    Timestamp(round_num(at.0.saturating_add(SEOUL_OFFSET_MS), step_ms).saturating_sub(SEOUL_OFFSET_MS))
}

pub fn top_bottom(n: i64, low: i64, high: i64) -> i64 {
    n.max(low).min(high)
}

/// A Korean mobile number, however it is spaced: nobody's mobile is a site's public telephone.
pub fn is_mobile(text: &str) -> bool {
    if text.len() > 24 || text.chars().any(|c| !(c.is_ascii_digit() || " +-.()".contains(c))) {
        return false;
    }
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let national = match digits.strip_prefix("82") {
        Some(rest) if digits.len() >= 11 => format!("0{}", rest.trim_start_matches('0')),
        _ => digits,
    };
    (10..=11).contains(&national.len())
        && ["010", "011", "016", "017", "018", "019"].iter().any(|prefix| national.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(n: usize) -> Vec<Arc<str>> {
        (0..n).map(|i| Arc::from(format!("{i:03}"))).collect()
    }

    proptest! {
        #[test]
        fn every_number_has_a_bucket_and_order_is_kept(
            mut edges in prop::collection::btree_set(any::<i64>(), 1..20).prop_map(|s| s.into_iter().collect::<Vec<_>>()),
            a in any::<i64>(),
            b in any::<i64>(),
        ) {
            edges.sort_unstable();
            let labels = labels(edges.len());
            let (low, high) = (a.min(b), a.max(b));
            let (of_low, of_high) = (bucket(low, &edges, &labels), bucket(high, &edges, &labels));
            prop_assert!(of_low.is_some());
            prop_assert!(of_low <= of_high);
            // The slow way: the last edge not above the number.
            let slow = edges.iter().rposition(|edge| *edge <= a).unwrap_or(0);
            prop_assert_eq!(bucket(a, &edges, &labels), labels.get(slow));
        }

        #[test]
        fn rounding_never_rises_loses_less_than_a_step_and_keeps_order(
            a in -(1i64 << 60)..(1 << 60),
            b in -(1i64 << 60)..(1 << 60),
            step in 1i64..1_000_000,
        ) {
            let rounded = round_num(a, step);
            prop_assert!(rounded <= a && a - rounded < step && rounded % step == 0);
            prop_assert_eq!(round_num(rounded, step), rounded);
            prop_assert!(round_num(a.min(b), step) <= round_num(a.max(b), step));
        }

        #[test]
        fn rounded_times_are_whole_steps_of_the_day_in_seoul(
            at in 0i64..4_000_000_000_000,
            step in prop::sample::select(vec![60_000i64, 600_000, 3_600_000, 86_400_000]),
        ) {
            let rounded = round_time(Timestamp(at), step);
            prop_assert!(rounded.0 <= at && at - rounded.0 < step);
            prop_assert_eq!((rounded.0 + SEOUL_OFFSET_MS).rem_euclid(86_400_000) % step, 0);
        }

        #[test]
        fn top_and_bottom_are_bounds_and_keep_order(a in any::<i64>(), b in any::<i64>(), c in any::<i64>(), d in any::<i64>()) {
            let (low, high) = (c.min(d), c.max(d));
            let coded = top_bottom(a, low, high);
            prop_assert!((low..=high).contains(&coded));
            prop_assert!(coded == a || a < low || a > high);
            prop_assert!(top_bottom(a.min(b), low, high) <= top_bottom(a.max(b), low, high));
        }

        #[test]
        fn no_number_makes_rounding_panic(n in any::<i64>(), step in any::<i64>()) {
            round_num(n, step);
            round_time(Timestamp(n), step);
        }
    }

    #[test]
    fn a_day_begins_at_midnight_in_seoul() {
        let at = Timestamp::parse_rfc3339("2026-12-01T08:59:59+09:00").unwrap();
        assert_eq!(round_time(at, 86_400_000).rfc3339(), "2026-12-01T00:00:00+09:00");
        assert_eq!(round_time(at, 600_000).rfc3339(), "2026-12-01T08:50:00+09:00");
    }

    #[test]
    fn mobile_numbers_are_told_from_a_clinics() {
        for mobile in ["010-1234-5678", "01012345678", "+82 10-1234-5678", "82 (0)10 1234 5678", "011-123-4567"] {
            assert!(is_mobile(mobile), "{mobile}");
        }
        for other in
            ["02-123-4567", "031-123-4567", "1588-1234", "(617) 555-0101", "070-1234-5678", "서울 010-1234-5678", ""]
        {
            assert!(!is_mobile(other), "{other}");
        }
    }

    #[test]
    fn a_value_of_another_type_is_an_issue() {
        assert_eq!(keep(&Value::Int(1), ColumnType::Text, ""), Err(IssueKind::WrongType));
        assert_eq!(keep(&Value::text("1"), ColumnType::Integer, ""), Err(IssueKind::WrongType));
        assert_eq!(keep(&Value::Int(i64::MAX), ColumnType::Integer, ""), Err(IssueKind::OutOfRange));
        assert_eq!(keep(&Value::Decimal("37.5665".into()), ColumnType::Decimal, "").unwrap().to_string(), "37.5665");
        assert_eq!(keep(&Value::Decimal("NaN".into()), ColumnType::Decimal, ""), Err(IssueKind::WrongType));
        assert_eq!(keep(&Value::Null, ColumnType::Time, ""), Ok(Json::Null));
        assert_eq!(keep(&Value::text("7"), ColumnType::Text, "s-"), Ok(Json::from("s-7")));
    }
}
