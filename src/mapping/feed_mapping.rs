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
    /// Id of the officer who drew the mapping up (기안자) and therefore may not sign it.
    #[serde(default)]
    pub author: Option<Spanned<String>>,
    pub title: Text2,
    pub partner: PartnerSection,
    pub purpose: PurposeSection,
    pub legal: Legal,
    pub source: Source,
    #[serde(rename = "filter", default)]
    pub filters: Vec<Filter>,
    pub feed: Feed,
    pub retention: Retention,
    /// Needed by a feed with persons in it.
    #[serde(default)]
    pub risk: Option<Risk>,
    /// Limits on asking for persons, where this mapping allows less than the partner's entry.
    #[serde(default)]
    pub lookup: Option<LookupRule>,
    #[serde(default)]
    pub erasure: Option<Erasure>,
    /// Warnings of the linter that this mapping is approved with.
    #[serde(rename = "waiver", default)]
    pub waivers: Vec<Waiver>,
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
    /// `consents/<name>.ko.md`, where the basis is consent.
    #[serde(default)]
    pub consent: Option<Spanned<String>>,
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
    /// How long one epoch of person tokens lasts; of an eligibility feed that names persons.
    #[serde(default)]
    pub epoch: Option<Spanned<Days>>,
    #[serde(default)]
    pub membership: Option<Spanned<Membership>>,
}

/// When it is decided who is in the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Membership {
    /// Once a window: who books stays in, so that leaving tells nothing.
    Sticky,
}

/// Bounds of what the feed may tell about a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Risk {
    /// A combination of labels that fewer persons share is not published.
    pub k_min: Spanned<u32>,
    #[serde(default)]
    pub small_cell: SmallCell,
    /// Columns that others may know of a person; `k` is counted over them too.
    #[serde(default)]
    pub quasi: Vec<Spanned<String>>,
}

/// What is done with a combination below `k_min`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SmallCell {
    /// Left out and counted.
    #[default]
    Suppress,
    /// Put on the next level of its hierarchy; left out if that is not enough.
    Generalize,
    /// The feed is not built.
    Halt,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookupRule {
    pub persons_per_day_max: Spanned<u32>,
    pub persons_per_epoch_max: Spanned<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Erasure {
    /// Within so many hours the partner must acknowledge that an erased person is gone.
    pub acknowledge_hours_max: Spanned<u32>,
}

/// A warning that officers accept, with its reason, until a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiver {
    /// Id of the rule, `L204`.
    pub rule: Spanned<String>,
    /// Name of the field that it is about; the whole mapping without one.
    #[serde(default)]
    pub field: Option<Spanned<String>>,
    pub reason: Text2,
    /// Last day, Seoul.
    pub until: Spanned<jiff::civil::Date>,
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
    /// Stands in the sealed part of an eligibility row.
    #[serde(default)]
    pub inside: Option<Inside>,
    pub why: Text2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Inside {
    Label,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Withheld {
    pub columns: Vec<Spanned<String>>,
    pub reason: Text2,
}
