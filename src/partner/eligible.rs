//! Who may book, decided by the partner itself: nothing about the user is sent anywhere.
//!
//! Age cohorts are rules (feed `eligibility`), applied to the birth year that the partner knows of a verified user.
//! Other cohorts are lists of person tokens (feed `eligibility_tokens`, where the partner has it). Either is advice: a
//! person who stands in neither may still book, for small groups are left out of feeds, so nobody is kept from trying.

use serde::{Deserialize, Serialize};

use super::{PartnerError, Store};
use crate::domain::Timestamp;

pub const RULES: &str = "eligibility";
pub const TOKENS: &str = "eligibility_tokens";

/// A cohort as the rules feed publishes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Rule {
    pub cohort_id: String,
    #[serde(default)]
    pub name: Option<String>,
    pub series: String,
    /// Birth years, both included; open where absent.
    #[serde(default)]
    pub born_from: Option<u16>,
    #[serde(default)]
    pub born_to: Option<u16>,
    /// Last digits of the birth year that may book, with commas between; all where absent.
    #[serde(default)]
    pub last_digits: Option<String>,
    #[serde(default)]
    pub opens_at: Option<String>,
    #[serde(default)]
    pub closes_at: Option<String>,
}

/// What a rule looks at.
#[derive(Debug, Clone, Copy)]
pub struct Birth {
    pub year: u16,
}

/// A cohort that the person belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cohort {
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub by: By,
    pub window: Window,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opens_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closes_at: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    Rule,
    Token,
}

/// Where an instant lies in a window that includes its first and not its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    Open,
    Later,
    Over,
}

impl Window {
    fn at(now: Timestamp, opens_at: Option<&str>, closes_at: Option<&str>) -> Window {
        let instant = |text: Option<&str>| text.and_then(|text| Timestamp::parse_rfc3339(text).ok());
        match (instant(opens_at), instant(closes_at)) {
            (Some(opens), _) if now < opens => Window::Later,
            (_, Some(closes)) if now >= closes => Window::Over,
            _ => Window::Open,
        }
    }
}

impl Rule {
    pub fn fits(&self, birth: Birth) -> bool {
        let digit = char::from(b'0' + (birth.year % 10) as u8);
        self.born_from.is_none_or(|from| from <= birth.year)
            && self.born_to.is_none_or(|to| birth.year <= to)
            && self.last_digits.as_deref().is_none_or(|list| list.split(',').any(|one| one.trim().chars().eq([digit])))
    }
}

/// Window of a person in the tokens feed. Its item's id is the token.
#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    cohort: Option<String>,
    #[serde(default)]
    opens_at: Option<String>,
    #[serde(default)]
    closes_at: Option<String>,
}

/// Cohorts of a person in a series: open ones first.
pub fn cohorts(
    store: &Store,
    series: &str,
    birth: Option<Birth>,
    token: Option<&str>,
    now: Timestamp,
) -> Result<Vec<Cohort>, PartnerError> {
    let mut found = Vec::new();
    if let Some(birth) = birth {
        store.each(RULES, |_, rule: Rule| {
            if rule.series == series && rule.fits(birth) {
                let window = Window::at(now, rule.opens_at.as_deref(), rule.closes_at.as_deref());
                let Rule { cohort_id: id, name, opens_at, closes_at, .. } = rule;
                found.push(Cohort { id, name, by: By::Rule, window, opens_at, closes_at });
            }
        })?;
    }
    if let Some(data) = token.map(|token| store.item(TOKENS, token)).transpose()?.flatten() {
        let listed: Listed = serde_json::from_str(&data)
            .map_err(|_| PartnerError::Answer { of: "eligibility_tokens", what: "an item is no window" })?;
        let window = Window::at(now, listed.opens_at.as_deref(), listed.closes_at.as_deref());
        let Listed { cohort, opens_at, closes_at } = listed;
        let id = cohort.unwrap_or_else(|| "listed".to_owned());
        found.push(Cohort { id, name: None, by: By::Token, window, opens_at, closes_at });
    }
    found.sort_by_key(|cohort| cohort.window);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(from: u16, to: u16, digits: Option<&str>) -> Rule {
        Rule {
            cohort_id: "c-1".into(),
            name: None,
            series: "covid19-1".into(),
            born_from: Some(from),
            born_to: Some(to),
            last_digits: digits.map(str::to_owned),
            opens_at: None,
            closes_at: None,
        }
    }

    #[test]
    fn a_rule_is_birth_years_and_last_digits() {
        let fits = |rule: &Rule, year| rule.fits(Birth { year });
        let ages = rule(1961, 1965, None);
        assert_eq!([1960, 1961, 1965, 1966].map(|year| fits(&ages, year)), [false, true, true, false]);
        let tenth = rule(1977, 2008, Some("1, 6"));
        assert_eq!([1981, 1986, 1985, 2001].map(|year| fits(&tenth, year)), [true, true, false, true]);
    }

    #[test]
    fn a_window_begins_with_its_first_instant_and_ends_before_its_last() {
        let (opens, closes) = ("2026-11-22T20:00:00+09:00", "2026-11-22T20:00:01+09:00");
        let at = |ms: i64| Window::at(Timestamp(1_795_345_200_000 + ms), Some(opens), Some(closes));
        assert_eq!([-1, 0, 999, 1_000].map(at), [Window::Later, Window::Open, Window::Open, Window::Over]);
    }
}
