//! `policy.toml` and `partners.toml`: what the privacy office allows at most, and who the partners are.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::domain::{ObjectName, PartnerId, Timestamp};

use super::catalogue::{Class, Text2};
use super::transform::Op;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    pub format: Spanned<u32>,
    pub version: u32,
    /// Transforms that a class allows; a class that does not stand here allows `drop` only.
    pub class: BTreeMap<Class, Spanned<ClassRule>>,
    #[serde(rename = "purpose")]
    pub purposes: Vec<PurposeRule>,
    #[serde(rename = "restrict", default)]
    pub restrictions: Vec<Restriction>,
    pub small_slots: SmallSlots,
    pub limits: Limits,
    pub receipts: Receipts,
    /// Severity of linter rules, by id; raised above the rule's own, never lowered.
    #[serde(default)]
    pub severity: BTreeMap<String, Spanned<Severity>>,
    #[serde(default)]
    pub approval: ApprovalRule,
    #[serde(default)]
    pub risk: RiskLimits,
    #[serde(default)]
    pub guards: GuardLimits,
    #[serde(default)]
    pub thresholds: Thresholds,
}

/// What a finding of the linter does: a warning needs a waiver, a denial blocks publishing and cannot be waived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Warn,
    Deny,
}

/// How many distinct officers, in distinct roles and never the author, must sign what, and when it takes effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApprovalRule {
    pub narrower_quorum: u32,
    /// Wider, a new partner, the policy, the roster.
    pub wider_quorum: u32,
    /// From the last needed signature until a wider mapping may publish.
    pub wider_delay_hours: u32,
    pub validity_days_max: u32,
}

impl Default for ApprovalRule {
    fn default() -> ApprovalRule {
        ApprovalRule { narrower_quorum: 1, wider_quorum: 2, wider_delay_hours: 24, validity_days_max: 366 }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RiskLimits {
    /// A mapping may ask for more, never for less.
    pub k_min: u32,
    /// Share of rows, in percent, that one underlying reason of a label value may make up.
    pub homogeneity_percent_max: u32,
    /// Share of rows, in percent, that may be left out.
    pub suppressed_percent_max: u32,
    pub epoch_days_max: u32,
}

impl Default for RiskLimits {
    fn default() -> RiskLimits {
        RiskLimits { k_min: 20, homogeneity_percent_max: 80, suppressed_percent_max: 5, epoch_days_max: 92 }
    }
}

/// When the bridge stops a feed by itself and asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GuardLimits {
    /// A feed that grows or shrinks by more than this share between two builds waits for confirmation.
    pub row_jump_percent_max: u32,
    /// Jumps of fewer rows are never asked about.
    pub row_jump_rows_min: u32,
}

impl Default for GuardLimits {
    fn default() -> GuardLimits {
        GuardLimits { row_jump_percent_max: 30, row_jump_rows_min: 1_000 }
    }
}

/// From how many persons on the law asks for more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Thresholds {
    /// 개인정보 보호법 제33조, 시행령 제35조: 100만 명.
    pub impact_assessment_persons: u32,
    /// The same, of files linked with others: 50만 명.
    pub impact_assessment_linked_persons: u32,
}

impl Default for Thresholds {
    fn default() -> Thresholds {
        Thresholds { impact_assessment_persons: 1_000_000, impact_assessment_linked_persons: 500_000 }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassRule {
    pub transforms: Vec<Op>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PurposeRule {
    pub code: String,
    pub label: Text2,
}

/// Columns that allow less than their class does, except to partners of some roles.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restriction {
    pub object: Spanned<ObjectName>,
    pub columns: Vec<Spanned<String>>,
    pub transforms: Vec<Op>,
    #[serde(default)]
    pub except_roles: Vec<PartnerRole>,
    pub reason: Text2,
}

/// Slots of so few places that a number would tell when one person booked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmallSlots {
    /// Up to this capacity a slot is small; 0: none is.
    pub capacity_max: u32,
    /// Small slots are published on ticks this far apart.
    pub tick_ms: u32,
    #[serde(default)]
    pub exempt_roles: Vec<PartnerRole>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    pub tick_ms_min: u32,
    pub tick_ms_max: u32,
    pub partner_retention_days_max: u32,
    /// Ceilings of what `partners.toml` may give.
    pub persons_per_day_max: u32,
    pub persons_per_epoch_max: u32,
    /// As above, for partners that sign consent receipts themselves.
    pub self_signed_persons_per_day_max: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipts {
    pub age_s_max: u32,
    /// Of the receipts that a partner signed itself, so many in a hundred are set aside for the agency to open.
    /// Left unsaid where it is the usual share, so that policies approved before it existed keep their digests.
    #[serde(default = "audit_sample", skip_serializing_if = "is_usual_sample")]
    pub audit_sample_percent: u32,
    /// Those who sign receipts and are not the partner.
    #[serde(rename = "issuer", default)]
    pub issuers: Vec<ReceiptIssuer>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptIssuer {
    pub id: String,
    pub name: Text2,
    /// Ed25519, base64url without padding.
    pub public_key: String,
}

/// One in ten: of a thousand invented consents a hundred are asked about.
fn audit_sample() -> u32 {
    10
}

fn is_usual_sample(percent: &u32) -> bool {
    *percent == audit_sample()
}

/// Ed25519 public keys are 32 bytes: 43 characters of base64url.
pub(super) fn is_public_key(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

impl Partner {
    /// Does the contract run on the day, in Seoul, of `now`?
    pub fn has_contract(&self, now: Timestamp) -> bool {
        let day = i64::from(now.seoul_day());
        day_number(self.contract.starts) <= day && day <= day_number(self.contract.ends)
    }
}

/// Days since 1970-01-01.
fn day_number(date: Date) -> i64 {
    jiff::civil::date(1970, 1, 1).until(date).map_or(0, |span| i64::from(span.get_days()))
}

impl Policy {
    /// Transforms that the policy and the class together allow.
    pub fn allows(&self, class: Class, op: Op) -> bool {
        let listed = self.class.get(&class).is_some_and(|rule| rule.get_ref().transforms.contains(&op));
        (listed || op == Op::Drop) && Op::allowed_at_most(class).contains(&op)
    }

    /// The restriction that forbids `op` on a column to a partner of this role.
    pub fn restriction(&self, object: &str, column: &str, op: Op, role: PartnerRole) -> Option<&Restriction> {
        self.restrictions.iter().find(|r| {
            r.object.get_ref().as_str() == object
                && r.columns.iter().any(|c| c.get_ref() == column)
                && !r.except_roles.contains(&role)
                && !r.transforms.contains(&op)
                && op != Op::Drop
        })
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partners {
    pub format: Spanned<u32>,
    #[serde(rename = "partner")]
    pub partners: Vec<Partner>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partner {
    pub id: Spanned<PartnerId>,
    pub name: Text2,
    pub role: PartnerRole,
    pub contract: Contract,
    /// Ids of the keys that sign requests; the keys themselves are kept apart.
    #[serde(default)]
    pub key_ids: Vec<String>,
    /// Hex SHA-256 of the subject public key info of client certificates.
    #[serde(default)]
    pub certificate_pins: Vec<String>,
    pub lookup: Spanned<Lookup>,
    pub requests: Requests,
    /// Number of the privacy impact assessment (개인정보 보호법 제33조).
    #[serde(default)]
    pub impact_assessment: Option<String>,
    /// Number of the registered personal information file (개인정보 보호법 제32조).
    #[serde(default)]
    pub file_registration: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartnerRole {
    /// 수탁자.
    Trustee,
    /// 제3자.
    ThirdParty,
    /// The agency itself, checking what it publishes.
    Agency,
}

impl PartnerRole {
    pub fn code(self) -> &'static str {
        match self {
            PartnerRole::Trustee => "trustee",
            PartnerRole::ThirdParty => "third_party",
            PartnerRole::Agency => "agency",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    pub number: String,
    pub starts: Date,
    /// Last day, Seoul.
    pub ends: Date,
}

/// Absolute limits on distinct persons whose token a partner may ask for. 0: it may ask for none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lookup {
    pub persons_per_day_max: u32,
    pub persons_per_epoch_max: u32,
    /// Whose signature a consent receipt needs.
    pub receipts: ReceiptKind,
    /// Ed25519, base64url without padding; needed for `partner`.
    #[serde(default)]
    pub receipt_public_key: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptKind {
    /// An issuer that the partner does not control.
    Issuer,
    /// The partner itself.
    Partner,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requests {
    /// Bookings and cancellations a second.
    pub book_per_s_max: u32,
    /// Feed pages and other reads a second.
    pub read_per_s_max: u32,
}
