//! From the column to the partner: what becomes of every column of the catalogue, over all mappings.

use serde::Serialize;

use crate::lint::{Change, Verdict};
use crate::mapping::{FeedKind, MappingSet, Object, Text2};
use crate::privacy::Closure;

use super::build::{column_note, plain2};
use super::kept::KeptVersion;
use super::model::{ColumnNote, Statement};
use super::plain::plain;
use super::words;

#[derive(Debug, Clone, Serialize)]
pub struct Lineage {
    pub mappings: Vec<LineageMapping>,
    pub objects: Vec<LineageObject>,
    pub approvals: Vec<ApprovalRow>,
}

#[derive(Debug, Clone, Serialize)]
pub struct LineageMapping {
    pub mapping: String,
    pub version: u32,
    pub status: Text2,
    pub title: Text2,
    pub partner: Text2,
    pub role: Text2,
    pub basis: Text2,
    pub purpose: Text2,
    pub published: usize,
    pub withheld: usize,
    pub partner_days_max: u32,
    pub contract_ends: String,
    pub digest: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct LineageObject {
    pub object: String,
    pub label: Text2,
    pub view: Option<String>,
    pub columns: Vec<LineageColumn>,
}

#[derive(Debug, Clone, Serialize)]
pub struct LineageColumn {
    pub column: ColumnNote,
    /// What the bridge itself uses it for.
    pub internal: Option<Text2>,
    pub uses: Vec<Use>,
    pub withheld_from: Vec<WithheldFrom>,
}

/// One way out.
#[derive(Debug, Clone, Serialize)]
pub struct Use {
    pub mapping: String,
    pub status: Text2,
    pub partner: Text2,
    pub feed: Text2,
    pub field: String,
    pub op: Text2,
    pub sentence: Text2,
}

#[derive(Debug, Clone, Serialize)]
pub struct WithheldFrom {
    pub mapping: String,
    pub partner: Text2,
    pub reason: Text2,
}

/// A version under `approvals/`.
#[derive(Debug, Clone, Serialize)]
pub struct ApprovalRow {
    pub mapping: String,
    pub version: Option<u32>,
    pub digest12: String,
    pub notes: usize,
    /// Is it the version that the folder holds now?
    pub current: bool,
    pub state: Text2,
}

impl Lineage {
    /// `kept` as `kept_versions` found them. Signatures are not verified: `state` says so.
    pub fn of(set: &MappingSet, kept: &[KeptVersion]) -> Lineage {
        let unjudged = Change { verdict: Verdict::Same, rows: Vec::new() };
        let closures: Vec<Closure> =
            set.mappings().filter_map(|(partner, kind, _)| Closure::of(set, partner, kind)).collect();
        let statements: Vec<(FeedKind, Statement)> =
            closures.iter().map(|c| (c.kind(), Statement::without_examples(c, &unjudged))).collect();
        let approvals = kept.iter().map(|version| {
            let current = statements
                .iter()
                .any(|(_, s)| s.mapping == version.mapping && s.signing.digest.starts_with(&version.digest12));
            approval(version, current)
        });
        Lineage {
            mappings: statements.iter().map(|(_, statement)| mapping(statement)).collect(),
            objects: set.catalogue().objects.iter().map(|object| lines(object, &statements)).collect(),
            approvals: approvals.collect(),
        }
    }
}

fn mapping(statement: &Statement) -> LineageMapping {
    let terms = &statement.terms;
    LineageMapping {
        mapping: statement.mapping.clone(),
        version: statement.version,
        status: statement.status.clone(),
        title: statement.title.clone(),
        partner: terms.partner_name.clone(),
        role: terms.role.clone(),
        basis: terms.basis.clone(),
        purpose: terms.purpose.clone(),
        published: statement.headline.published,
        withheld: statement.headline.withheld,
        partner_days_max: terms.partner_days_max,
        contract_ends: terms.contract_ends.clone(),
        digest: statement.signing.digest.clone(),
    }
}

fn lines(object: &Object, statements: &[(FeedKind, Statement)]) -> LineageObject {
    let about = statements.iter().filter(|(_, statement)| statement.terms.object == object.name.as_str());
    let about: Vec<(FeedKind, &Statement)> = about.map(|(kind, statement)| (*kind, statement)).collect();
    let columns = object.columns.iter().map(|column| {
        let note = column_note(column);
        let mut line = LineageColumn {
            internal: super::build::purpose(object.name.as_str(), column),
            uses: Vec::new(),
            withheld_from: Vec::new(),
            column: note,
        };
        for (kind, statement) in &about {
            let fields = statement.published.iter();
            let fields = fields.filter(|p| p.source.as_ref().is_some_and(|s| s.column == line.column.column));
            line.uses.extend(fields.map(|field| Use {
                mapping: statement.mapping.clone(),
                status: statement.status.clone(),
                partner: statement.terms.partner_name.clone(),
                feed: words::feed(*kind),
                field: field.name.clone(),
                op: field.op.clone(),
                sentence: field.sentence.clone(),
            }));
            let withheld = statement.withheld.iter().filter(|w| w.column.column == line.column.column);
            line.withheld_from.extend(withheld.map(|w| WithheldFrom {
                mapping: statement.mapping.clone(),
                partner: statement.terms.partner_name.clone(),
                reason: w.reason.clone(),
            }));
        }
        line
    });
    LineageObject {
        object: object.name.to_string(),
        label: plain2(&object.label),
        view: object.view.as_deref().map(plain),
        columns: columns.collect(),
    }
}

fn approval(version: &KeptVersion, current: bool) -> ApprovalRow {
    let state = match (&version.closure, version.notes) {
        (None, _) => words::both("승인 대상을 읽을 수 없음", "what was approved cannot be read"),
        (Some(_), 0) => words::both("서명된 글 없음", "no signed note"),
        (Some(_), _) => words::both("서명된 글 있음(서명 확인은 verify)", "signed note present (verify checks it)"),
    };
    ApprovalRow {
        mapping: plain(&version.mapping),
        version: version.closure.as_ref().map(|closure| closure.mapping.version),
        digest12: plain(&version.digest12),
        notes: version.notes,
        current,
        state,
    }
}
