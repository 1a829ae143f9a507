//! One mapping version as an officer reads it: plain data for pages, terminals and programs.
//!
//! Every text that comes out of a mapping has passed `plain`: nothing in it is hidden or turns the direction.

use serde::Serialize;

use crate::mapping::{Severity, Text2};

/// In the order of the page.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Statement {
    pub mapping: String,
    pub version: u32,
    pub status: Text2,
    pub title: Text2,
    pub headline: Headline,
    pub terms: Terms,
    /// Which rows are in the feed at all.
    pub filters: Vec<Text2>,
    pub published: Vec<Published>,
    pub withheld: Vec<Withheld>,
    pub internal: Vec<Internal>,
    pub difference: Difference,
    pub risk: RiskPart,
    pub limits: Vec<Text2>,
    /// None: the linter was not run.
    pub findings: Option<Vec<FindingNote>>,
    pub waivers: Vec<WaiverNote>,
    pub cannot: Vec<Text2>,
    pub remains: Vec<Text2>,
    pub signing: Signing,
}

/// The verdict in one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Headline {
    pub published: usize,
    pub withheld: usize,
    pub wider: usize,
    pub narrower: usize,
    pub same: usize,
    /// None: the linter was not run.
    pub denials: Option<usize>,
    /// With a waiver or without.
    pub warnings: Option<usize>,
    pub line: Text2,
}

/// To whom, for what, on what basis, until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Terms {
    pub partner: String,
    pub partner_name: Text2,
    pub role: Text2,
    pub contract: String,
    pub contract_starts: String,
    /// Last day.
    pub contract_ends: String,
    pub purpose_code: String,
    pub purpose_label: Text2,
    pub purpose: Text2,
    pub basis_code: String,
    pub basis: Text2,
    /// 처리위탁, 제3자 제공 or a neutral word.
    pub act: Text2,
    pub citations: Vec<String>,
    /// Path and SHA-256 of the consent text.
    pub consent: Option<ConsentNote>,
    pub object: String,
    pub object_label: Text2,
    /// None: known to the desk only.
    pub view: Option<String>,
    pub feed: Text2,
    pub partner_days_max: u32,
    pub bridge_days_max: u32,
    pub retention: Vec<Text2>,
    /// From the source to the partner, one step each.
    pub flow: Vec<Text2>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConsentNote {
    pub path: String,
    /// None: the text is not there.
    pub sha256: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ColumnNote {
    pub column: String,
    pub label: Text2,
    pub class_code: &'static str,
    pub class: Text2,
    /// Where the agency publishes it itself.
    pub public_source: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Carries {
    /// A field of the item.
    Field,
    /// The item's own id, where no field tells the same column.
    ItemId,
}

/// One thing that leaves.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Published {
    pub name: String,
    pub carries: Carries,
    /// None: a constant.
    pub source: Option<ColumnNote>,
    pub op_code: &'static str,
    pub op: Text2,
    pub sentence: Text2,
    pub details: Vec<Text2>,
    pub example: Option<Example>,
    pub why: Text2,
    pub change: Option<ChangeNote>,
}

/// Synthetic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Example {
    pub before: String,
    pub after: String,
}

/// A column of which nothing leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Withheld {
    pub column: ColumnNote,
    pub because: Because,
    /// Written by the author, or what the bridge needs it for.
    pub reason: Text2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// The author says so, in `withheld` or with `drop`.
    Withheld,
    /// Used inside and not published.
    InternalOnly,
    /// Rows are chosen by it.
    FilterOnly,
    /// Nothing is said, so nothing leaves.
    Undecided,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Internal {
    pub column: ColumnNote,
    /// Does (something of) it leave as well?
    pub leaves: Leaves,
    pub purpose: Text2,
    pub place: Text2,
    pub kept: Text2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Leaves {
    Yes,
    No,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangeNote {
    pub code: &'static str,
    pub verdict: Text2,
    pub axes: Vec<Text2>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub previous: Option<Previous>,
    pub verdict: ChangeNote,
    pub rows: Vec<DifferenceRow>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Previous {
    pub version: u32,
    pub digest: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DifferenceRow {
    pub subject: String,
    pub label: String,
    pub before: Option<String>,
    pub after: Option<String>,
    pub verdict: ChangeNote,
}

/// Figures are computed out of the data elsewhere; here stands what the mapping asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RiskPart {
    pub k_min: Option<u32>,
    pub small_cell: Option<Text2>,
    pub quasi: Vec<String>,
    pub line: Text2,
}

/// What the linter found, in the words of its rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FindingNote {
    pub rule: String,
    pub severity: Severity,
    pub text: Text2,
    /// Field or place in the file.
    pub place: Option<String>,
    pub waiver: Option<WaiverNote>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WaiverNote {
    pub rule: String,
    pub field: Option<String>,
    pub reason: Text2,
    /// Last day, Seoul.
    pub until: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Signing {
    /// Hex.
    pub digest: String,
    /// The same in groups of four, for comparing by eye.
    pub digest_groups: String,
    /// Body of the note.
    pub text: String,
}
