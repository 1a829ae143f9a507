//! Headers that stand on every authenticated response.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::domain::{Position, Timestamp};
use crate::publish::api::Freshness;
use crate::view::View;

use super::rate::{Buckets, Taken};
use super::{API_VERSION, Api};

/// What a handler knows better than the gate; travels in the response's extensions.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct About {
    pub(super) cursor: Option<Position>,
    pub(super) freshness: Option<Freshness>,
}

pub(super) fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    // Our own numbers and words; a value that were none would be left out rather than break the response.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

pub(super) fn stamp(api: &Api, about: About, request_id: &str, taken: Taken, headers: &mut HeaderMap) {
    let now = api.parts.clock.now();
    let cursor = about.cursor.unwrap_or_else(|| api.parts.view.durable());
    let freshness =
        about.freshness.unwrap_or_else(|| of_view(&api.parts.view, api.parts.settings.freshness_slo_ms, now));
    set(headers, "sync-cursor", &cursor.to_string());
    set(headers, "sync-freshness", &dictionary(freshness));
    set(headers, "api-version", API_VERSION);
    set(headers, "sync-environment", api.parts.settings.environment.code());
    set(headers, "x-request-id", request_id);
    let policy = |buckets: &Buckets| format!("\"{}\";q={};w=1", buckets.class, buckets.rate.per_s);
    set(headers, "ratelimit-policy", &format!("{}, {}", policy(&api.reads), policy(&api.books)));
    let left = match taken {
        Taken::Left(left) => left,
        Taken::Empty => 0,
    };
    set(headers, "ratelimit", &format!("\"{}\";r={left};t=1", api.reads.class));
}

/// Age of what the desk knows, from the last poll whose facts are durable.
fn of_view(view: &View, slo_ms: u64, now: Timestamp) -> Freshness {
    let mark = view.mark();
    let age = |since: Timestamp| u64::try_from(now.since_ms(since)).unwrap_or(0);
    Freshness { lag_ms: age(mark.started_at), slo_ms, as_of: mark.started_at, full_age_s: age(mark.full_at) / 1_000 }
}

/// RFC 9651 dictionary.
fn dictionary(freshness: Freshness) -> String {
    // Structured-field integers have at most 15 digits.
    let bound = |n: u64| n.min(999_999_999_999_999);
    let mut text = format!(
        "lag={}, slo={}, as-of=@{}, full-age={}",
        bound(freshness.lag_ms),
        bound(freshness.slo_ms),
        freshness.as_of.0.div_euclid(1_000),
        bound(freshness.full_age_s)
    );
    if freshness.lag_ms > freshness.slo_ms {
        text.push_str(", delayed");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_behind_its_promise_says_delayed() {
        let fresh = Freshness { lag_ms: 1_000, slo_ms: 1_000, as_of: Timestamp(1_795_334_400_999), full_age_s: 312 };
        assert_eq!(dictionary(fresh), "lag=1000, slo=1000, as-of=@1795334400, full-age=312");
        let late = Freshness { lag_ms: 1_001, ..fresh };
        assert_eq!(dictionary(late), "lag=1001, slo=1000, as-of=@1795334400, full-age=312, delayed");
    }
}
