//! One mapping: what one partner sees of one object, as one feed. Data only.

use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::domain::{ObjectName, PartnerId};

use super::catalogue::Text2;
use super::transform::TransformSpec;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeedKind {
    Sites,
    Slots,
    Eligibility,
    Bookings,
}

impl FeedKind {
    pub const ALL: [FeedKind; 4] = [FeedKind::Sites, FeedKind::Slots, FeedKind::Eligibility, FeedKind::Bookings];

    pub fn code(self) -> &'static str {
        match self {
            FeedKind::Sites => "sites",
            FeedKind::Slots => "slots",
            FeedKind::Eligibility => "eligibility",
            FeedKind::Bookings => "bookings",
        }
    }

    pub fn from_code(code: &str) -> Option<FeedKind> {
        FeedKind::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// The one object that the kind is about.
    pub fn object(self) -> &'static str {
        match self {
            FeedKind::Sites => "site",
            FeedKind::Slots => "slot",
            FeedKind::Eligibility => "cohort_rule",
            FeedKind::Bookings => "booking",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedMapping {
    pub format: Spanned<u32>,
    pub id: Spanned<String>,
    pub version: u32,
    pub status: MappingStatus,
    pub title: Text2,
    pub partner: PartnerSection,
    pub purpose: PurposeSection,
    pub legal: Legal,
    pub source: Source,
    #[serde(rename = "filter", default)]
    pub filters: Vec<Filter>,
    pub feed: Feed,
    pub retention: Retention,
    #[serde(rename = "field", default)]
    pub fields: Vec<Field>,
    #[serde(rename = "withheld", default)]
    pub withheld: Vec<Withheld>,
}

/// Only an active mapping is published and fetched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MappingStatus {
    Draft,
    Active,
    Retired,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartnerSection {
    pub id: Spanned<PartnerId>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PurposeSection {
    /// Of the policy's closed list.
    pub code: Spanned<String>,
    pub ko: String,
    pub en: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Legal {
    pub basis: Basis,
    pub citation: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Basis {
    /// 개인정보 보호법 제26조 (처리위탁).
    #[serde(rename = "pipa-26")]
    Pipa26,
    #[serde(rename = "pipa-17-1-1")]
    Pipa17No1,
    #[serde(rename = "pipa-17-1-2")]
    Pipa17No2,
    #[serde(rename = "pipa-18-2-10")]
    Pipa18No10,
    /// 감염병의 예방 및 관리에 관한 법률 제76조의2 제3항.
    #[serde(rename = "idcpa-76-2-3")]
    Idcpa76No3,
    #[serde(rename = "none-not-personal")]
    NotPersonal,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    pub object: Spanned<ObjectName>,
}

/// Exactly one of the two is set; values are compared as text (numbers in decimal).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    pub column: Spanned<String>,
    #[serde(default)]
    pub equals: Option<String>,
    #[serde(rename = "in", default)]
    pub one_of: Option<Vec<String>>,
}

impl Filter {
    pub fn allowed(&self) -> Vec<&str> {
        self.equals.iter().chain(self.one_of.iter().flatten()).map(String::as_str).collect()
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feed {
    pub kind: Spanned<FeedKind>,
    pub id: IdRule,
    pub tick_ms: Spanned<u32>,
    /// A slot leaves this long before its start.
    #[serde(default)]
    pub cutoff_min: Option<Spanned<u32>>,
    /// Of an eligibility feed, where it must be set.
    #[serde(default)]
    pub mode: Option<Spanned<Mode>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Cohort rules; no person is in the feed.
    Rules,
    Tokens,
    Sealed,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdRule {
    pub source: Spanned<String>,
    #[serde(default)]
    pub prefix: Option<Spanned<String>>,
}

impl IdRule {
    pub fn prefix(&self) -> &str {
        self.prefix.as_ref().map_or("", |p| p.get_ref())
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// How long the partner may keep an item that it no longer needs.
    pub partner_max: Spanned<Days>,
    /// How long the bridge keeps a deleted item's tombstone.
    pub bridge_max: Spanned<Days>,
}

/// `P<n>D`, ISO 8601.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Days(pub u32);

impl TryFrom<String> for Days {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Days, &'static str> {
        let digits = text.strip_prefix('P').and_then(|t| t.strip_suffix('D'));
        let days =
            digits.filter(|d| d.len() <= 4 && d.bytes().all(|b| b.is_ascii_digit())).and_then(|d| d.parse().ok());
        days.map(Days).ok_or("a duration in days is written P<n>D, for instance P7D")
    }
}

impl From<Days> for String {
    fn from(days: Days) -> String {
        format!("P{}D", days.0)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    pub name: Spanned<String>,
    /// Every transform but `const` reads a column.
    #[serde(default)]
    pub source: Option<Spanned<String>>,
    pub transform: TransformSpec,
    pub why: Text2,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Withheld {
    pub columns: Vec<Spanned<String>>,
    pub reason: Text2,
}
