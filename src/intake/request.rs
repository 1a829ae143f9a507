//! Bodies of the operations that reach the desk or name a person, and their way to an `Ask`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::decide::{Ask, BookAsk};
use crate::domain::{
    BodyMac, BookingId, KeyMac, PartnerId, PersonRef, Position, Secret, SeriesId, SlotKey, SlotVersion, Timestamp,
};

use super::body::optional_members;
use super::{Fault, FaultKind, OpenToken, Opened};

/// Bound of a request body, bytes.
pub const BODY_MAX: usize = 64 * 1024;
/// Bound of `ids` in a search and a lookup.
pub const IDS_MAX: usize = 100;
/// Bound of a person token's text; a genuine one has about 80 characters.
const TOKEN_MAX: usize = 200;
const ALTERNATIVES: AlternativesWanted = AlternativesWanted { max: 5, within_km: 5 };

/// `POST /v1/bookings`
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BookBody {
    /// As in the slots feed.
    #[schema(example = "s-90812")]
    pub slot_id: String,
    /// Person token; never repeated in an answer.
    #[schema(example = "pp1.naver.booking.2611.c2FtcGxl", max_length = 200)]
    pub person: String,
    #[schema(example = "covid19-1")]
    pub series: String,
    /// When the caller first sent this request; the same over retries. RFC 3339.
    #[schema(format = "date-time", example = "2026-11-22T20:00:00+09:00")]
    pub first_sent_at: String,
    /// `Sync-Cursor` of what the user saw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 9007199254740991u64)]
    pub seen_cursor: Option<u64>,
    /// Version of the slot (8 hex digits) that the user accepted after `slot_changed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9a-f]{8}$")]
    pub accept_version: Option<String>,
    /// The caller's own reference; never a personal number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z0-9_-]{1,64}$", example = "K-1")]
    pub partner_ref: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "optional_members")]
    pub alternatives: Option<AlternativesWanted>,
}

/// How many free slots nearby a refusal should list.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AlternativesWanted {
    #[schema(maximum = 10)]
    pub max: u8,
    #[schema(minimum = 1, maximum = 20)]
    pub within_km: u8,
}

/// `POST /v1/bookings/search`: exactly one member.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchBody {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z0-9_-]{1,64}$")]
    pub partner_ref: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 100)]
    pub ids: Option<Vec<String>>,
}

/// `POST /v1/persons/token`
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenBody {
    /// Linkage information (CI), base64.
    #[schema(max_length = 200)]
    pub ci: String,
    /// Signed consent receipt.
    #[schema(max_length = 4096)]
    pub receipt: String,
    /// CI of the guardian who acts for a child.
    #[serde(default)]
    pub guardian: Option<String>,
}

/// A booking request whose members hold; not yet whether the caller may name its person and slot.
#[derive(Debug, Clone)]
pub struct Booking {
    pub slot_id: String,
    pub person: String,
    series: SeriesId,
    first_sent_at: Timestamp,
    seen_cursor: Option<Position>,
    accept_version: Option<SlotVersion>,
    partner_ref: Option<Arc<str>>,
    alternatives: AlternativesWanted,
}

impl Booking {
    pub fn check(body: &BookBody) -> Result<Booking, Fault> {
        if body.slot_id.is_empty() || body.slot_id.len() > 80 {
            return Err(Fault::invalid("slot_id", "1 to 80 characters"));
        }
        let series = SeriesId::new(&body.series).map_err(|_| Fault::invalid("series", "[a-z0-9_-]{1,32}"))?;
        let first_sent_at = Timestamp::parse_rfc3339(&body.first_sent_at)
            .map_err(|_| Fault::invalid("first_sent_at", "an RFC 3339 instant with an offset"))?;
        if body.seen_cursor.is_some_and(|cursor| cursor > Position::MAX.0) {
            return Err(Fault::invalid("seen_cursor", "0 to 2^53 - 1"));
        }
        let alternatives = body.alternatives.unwrap_or(ALTERNATIVES);
        if alternatives.max > 10 {
            return Err(Fault::invalid("alternatives.max", "0 to 10"));
        }
        if !(1..=20).contains(&alternatives.within_km) {
            return Err(Fault::invalid("alternatives.within_km", "1 to 20"));
        }
        Ok(Booking {
            slot_id: body.slot_id.clone(),
            person: body.person.clone(),
            series,
            first_sent_at,
            seen_cursor: body.seen_cursor.map(Position),
            accept_version: body.accept_version.as_deref().map(version).transpose()?,
            partner_ref: body.partner_ref.as_deref().map(partner_ref).transpose()?,
            alternatives,
        })
    }

    pub fn ask(self, key: KeyMac, body: BodyMac, slot: SlotKey, person: PersonRef) -> Ask {
        Ask::Book(BookAsk {
            key,
            body,
            slot,
            person,
            series: self.series,
            first_sent_at: self.first_sent_at,
            seen_cursor: self.seen_cursor,
            accept_version: self.accept_version,
            partner_ref: self.partner_ref,
            alternatives_max: self.alternatives.max,
            within_m: u32::from(self.alternatives.within_km) * 1_000,
        })
    }
}

fn version(text: &str) -> Result<SlotVersion, Fault> {
    let plain = text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let number = plain.then(|| u32::from_str_radix(text, 16).ok()).flatten();
    number.map(SlotVersion).ok_or(Fault::invalid("accept_version", "8 lower-case hex digits"))
}

/// Opens a person token for this partner.
pub fn person(tokens: &dyn OpenToken, partner: &PartnerId, text: &str) -> Result<PersonRef, Fault> {
    if text.len() > TOKEN_MAX {
        return Err(Fault::new(FaultKind::UnknownPersonToken));
    }
    match tokens.open(partner, text) {
        Opened::Person(person) => Ok(person),
        Opened::Expired => Err(Fault::new(FaultKind::PersonTokenExpired)),
        Opened::Unknown => Err(Fault::new(FaultKind::UnknownPersonToken)),
    }
}

pub fn cancel(booking: BookingId, if_match: Option<String>) -> Ask {
    Ask::Cancel { booking, if_match }
}

/// What a search looks for.
#[derive(Debug, Clone)]
pub enum SearchFor {
    Person(String),
    PartnerRef(Arc<str>),
    Ids(Vec<BookingId>),
}

impl SearchFor {
    pub fn check(body: SearchBody) -> Result<SearchFor, Fault> {
        match (body.person, body.partner_ref, body.ids) {
            (Some(person), None, None) => Ok(SearchFor::Person(person)),
            (None, Some(text), None) => partner_ref(&text).map(SearchFor::PartnerRef),
            (None, None, Some(ids)) => {
                if ids.is_empty() || ids.len() > IDS_MAX {
                    return Err(Fault::invalid("ids", "1 to 100 booking ids"));
                }
                let parsed: Result<Vec<BookingId>, _> = ids.iter().map(|id| id.parse()).collect();
                parsed.map(SearchFor::Ids).map_err(|_| Fault::invalid("ids", "booking ids"))
            }
            _ => Err(Fault::invalid("person", "exactly one of person, partner_ref and ids")),
        }
    }
}

/// A partner's reference, unless it could be the number of a person.
fn partner_ref(text: &str) -> Result<Arc<str>, Fault> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if text.is_empty() || text.len() > 64 || !text.bytes().all(allowed) {
        return Err(Fault::invalid("partner_ref", "[A-Za-z0-9_-]{1,64}"));
    }
    if looks_personal(text) {
        return Err(Fault::at(FaultKind::PartnerRefPersonal, "partner_ref"));
    }
    Ok(Arc::from(text))
}

/// Runs of digits, `-` and `_` between them ignored: 13 that begin with a date are a resident number, 9 to 11 that
/// begin with 0, or 11 to 12 that begin with 82, a telephone number.
fn looks_personal(text: &str) -> bool {
    let joined: String = text.chars().filter(|c| !matches!(c, '-' | '_')).collect();
    joined.split(|c: char| !c.is_ascii_digit()).any(|run| {
        let two = |at: usize| run.get(at..at + 2).and_then(|d| d.parse::<u8>().ok()).unwrap_or(0);
        match run.len() {
            13 => (1..=12).contains(&two(2)) && (1..=31).contains(&two(4)),
            9..=11 if run.starts_with('0') => true,
            11 | 12 => run.starts_with("82"),
            _ => false,
        }
    })
}

/// A token call whose members hold. Neither printed nor stored.
pub struct TokenCall {
    pub ci: Secret,
    pub receipt: String,
    pub guardian: Option<Secret>,
}

impl TokenCall {
    pub fn check(body: TokenBody) -> Result<TokenCall, Fault> {
        let base64 = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
        let is_ci = |text: &str| (16..=200).contains(&text.len()) && text.bytes().all(base64);
        if !is_ci(&body.ci) {
            return Err(Fault::invalid("ci", "base64, 16 to 200 characters"));
        }
        if body.guardian.as_deref().is_some_and(|ci| !is_ci(ci)) {
            return Err(Fault::invalid("guardian", "base64, 16 to 200 characters"));
        }
        if body.receipt.is_empty() || body.receipt.len() > 4_096 {
            return Err(Fault::invalid("receipt", "1 to 4096 characters"));
        }
        if body.guardian.as_ref() == Some(&body.ci) {
            return Err(Fault::invalid("guardian", "another person than the child"));
        }
        let secret = |text: String| Secret::new(text.into_bytes());
        Ok(TokenCall { ci: secret(body.ci), receipt: body.receipt, guardian: body.guardian.map(secret) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_that_could_be_the_number_of_a_person_is_refused() {
        for bad in ["010-1234-5678", "01012345678", "K_01012345678", "821012345678", "900101-1234567", "02-123-4567"] {
            assert_eq!(partner_ref(bad).unwrap_err().kind, FaultKind::PartnerRefPersonal, "{bad}");
        }
        for good in ["K-1", "order-2026-11-22", "12345678", "9001321234567", "a1b2c3d4-e5f6"] {
            assert!(partner_ref(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "가", &"x".repeat(65)] {
            assert_eq!(partner_ref(bad).unwrap_err().kind, FaultKind::InvalidValue, "{bad}");
        }
    }

    #[test]
    fn a_version_has_one_spelling() {
        assert_eq!(version("0000ab12"), Ok(SlotVersion(0xab12)));
        for bad in ["", "ab12", "0000AB12", "+000ab12", "0000ab123"] {
            assert!(version(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_search_looks_for_exactly_one_thing() {
        let none = SearchBody { person: None, partner_ref: None, ids: None };
        assert!(SearchFor::check(none.clone()).is_err());
        let two = SearchBody { person: Some("x".into()), ids: Some(vec!["b-1".into()]), ..none.clone() };
        assert!(SearchFor::check(two).is_err());
        let many = SearchBody { ids: Some(vec!["b-1".into(); IDS_MAX + 1]), ..none.clone() };
        assert!(SearchFor::check(many).is_err());
        let full = SearchBody { ids: Some(vec!["b-1".into(); IDS_MAX]), ..none };
        assert!(matches!(SearchFor::check(full), Ok(SearchFor::Ids(ids)) if ids.len() == IDS_MAX));
    }
}
