//! A closure and what is known beside it, as the officer's page.

use std::collections::BTreeSet;

use crate::lint::{Change, Verdict};
use crate::mapping::catalogue::{Column, Derived};
use crate::mapping::feed_mapping::{Field, Filter, Waiver};
use crate::mapping::korean::{Particle, with};
use crate::mapping::{MappingSet, Op, Severity, Text2};
use crate::privacy::{Closure, sha256_hex};

use super::model::{
    Because, Carries, ChangeNote, ColumnNote, ConsentNote, Difference, DifferenceRow, Example, FindingNote, Headline,
    Internal, Leaves, Previous, Published, RiskPart, Signing, Statement, Terms, WaiverNote, Withheld,
};
use super::plain::plain;
use super::samples::{Sampling, samples};
use super::sentence::said;
use super::words::{self, both};
use super::{limits, note, promise};

/// What stands beside a version when an officer reads it.
#[derive(Debug, Clone, Default)]
pub struct Situation<'a> {
    /// The version that `change` compares with.
    pub before: Option<&'a Closure>,
    /// None: the linter was not run.
    pub findings: Option<Vec<FindingNote>>,
}

/// Seed of the examples in the table.
const EXAMPLE_SEED: u64 = 1;

impl Statement {
    pub fn of(closure: &Closure, change: &Change, situation: Situation<'_>) -> Statement {
        let mut statement = Statement::without_examples(closure, change);
        add_examples(&mut statement, closure);
        let findings = situation.findings.map(|found| found.into_iter().map(plain_finding).collect::<Vec<_>>());
        let count = |severity| findings.as_ref().map(|all| all.iter().filter(|f| f.severity == severity).count());
        statement.headline.denials = count(Severity::Deny);
        statement.headline.warnings = count(Severity::Warn);
        statement.difference.previous =
            situation.before.map(|before| Previous { version: before.mapping.version, digest: before.digest() });
        statement.headline.line = headline(&statement.headline);
        statement.findings = findings;
        statement.signing.text = note::body(&statement);
        statement
    }

    /// Whatever follows from closure and change alone; what is signed is rendered from this.
    pub(super) fn without_examples(closure: &Closure, change: &Change) -> Statement {
        let parts = Parts { closure, change, set: closure.to_set(), leaving: leaving(closure) };
        let mapping = &closure.mapping;
        let (published, withheld) = (parts.published(), parts.withheld());
        let rows = |verdict| change.rows.iter().filter(|row| row.verdict == verdict).count();
        let headline = Headline {
            published: published.len(),
            withheld: withheld.len(),
            wider: rows(Verdict::Wider),
            narrower: rows(Verdict::Narrower),
            same: rows(Verdict::Same),
            denials: None,
            warnings: None,
            line: both("", ""),
        };
        let digest = closure.digest();
        Statement {
            mapping: plain(closure.id()),
            version: mapping.version,
            status: words::status(mapping.status),
            title: plain2(&mapping.title),
            headline: Headline { line: self::headline(&headline), ..headline },
            terms: parts.terms(),
            filters: mapping.filters.iter().map(|filter| parts.filter(filter)).collect(),
            cannot: promise::cannot(closure, &published, &withheld),
            remains: promise::remains(closure, &published),
            published,
            withheld,
            internal: parts.internal(),
            difference: difference(change),
            risk: risk(closure),
            limits: limits::limits(closure),
            findings: None,
            waivers: mapping.waivers.iter().map(waiver).collect(),
            signing: Signing { digest_groups: in_fours(&digest), digest, text: String::new() },
        }
    }
}

/// Columns of which something leaves.
pub(super) fn leaving(closure: &Closure) -> BTreeSet<String> {
    let mapping = &closure.mapping;
    let fields = mapping.fields.iter().filter(|f| f.transform.op() != Op::Drop);
    let sources = fields.filter_map(|f| f.source.as_ref()).map(|s| s.get_ref().clone());
    sources.chain([mapping.feed.id.source.get_ref().clone()]).collect()
}

struct Parts<'a> {
    closure: &'a Closure,
    change: &'a Change,
    set: MappingSet,
    leaving: BTreeSet<String>,
}

impl Parts<'_> {
    fn terms(&self) -> Terms {
        let (closure, mapping) = (self.closure, &self.closure.mapping);
        let partner = &closure.partner;
        let basis = words::basis(mapping.legal.basis);
        let purpose_code = mapping.purpose.code.get_ref();
        let listed = closure.policy.purposes.iter().find(|rule| rule.code == *purpose_code);
        let consent = mapping.legal.consent.as_ref().map(|name| {
            let path = format!("consents/{}.ko.md", name.get_ref());
            let sha256 = closure.consents.get(&path).map(|text| sha256_hex(text.as_bytes()));
            ConsentNote { path: plain(&path), sha256 }
        });
        let (partner_days, bridge_days) =
            (mapping.retention.partner_max.get_ref().0, mapping.retention.bridge_max.get_ref().0);
        let partner_name = plain2(&partner.name);
        let feed = words::feed(closure.kind());
        let object_label = plain2(&closure.object.label);
        let view = closure.object.view.as_deref().map(plain);
        let source = match &view {
            Some(view) => both(format!("기존 시스템 뷰 {view}"), format!("legacy view {view}")),
            None => both("연계 서버의 예약 장부", "the bridge's ledger"),
        };
        let done = both("연계 서버에서 선별·가공", "chosen and transformed by the bridge");
        let reached = both(format!("{} → {}", feed.ko, partner_name.ko), format!("{} to {}", feed.en, partner_name.en));
        Terms {
            partner: partner.id.get_ref().to_string(),
            role: words::role(partner.role),
            contract: plain(&partner.contract.number),
            contract_starts: partner.contract.starts.to_string(),
            contract_ends: partner.contract.ends.to_string(),
            purpose_code: plain(purpose_code),
            purpose_label: listed
                .map_or_else(|| both("목록에 없는 목적", "not in the policy"), |rule| plain2(&rule.label)),
            purpose: both(plain(&mapping.purpose.ko), plain(&mapping.purpose.en)),
            basis_code: basis.code.to_owned(),
            basis: basis.law,
            act: basis.act,
            citations: mapping.legal.citation.iter().map(|text| plain(text)).collect(),
            consent,
            object: closure.object.name.to_string(),
            object_label,
            view,
            feed,
            partner_days_max: partner_days,
            bridge_days_max: bridge_days,
            retention: retention(&partner_name, partner_days, bridge_days),
            partner_name,
            flow: vec![source, done, reached],
        }
    }

    fn filter(&self, filter: &Filter) -> Text2 {
        let label = self.label(filter.column.get_ref());
        let values: Vec<String> = filter.allowed().into_iter().map(|value| format!("‘{}’", plain(value))).collect();
        let column = plain(filter.column.get_ref());
        both(
            format!("{}({column}) 값이 {} 가운데 하나인 건만 내보냅니다.", label.ko, values.join(", ")),
            format!("Only where {} ({column}) is one of {}.", label.en, values.join(", ")),
        )
    }

    fn label(&self, column: &str) -> Text2 {
        self.closure.object.column(column).map_or_else(|| both(plain(column), plain(column)), |c| plain2(&c.label))
    }

    fn published(&self) -> Vec<Published> {
        let mapping = &self.closure.mapping;
        let fields = mapping.fields.iter().filter(|f| f.transform.op() != Op::Drop);
        let fields: Vec<Published> = fields.map(|field| self.field(field)).collect();
        let key = mapping.feed.id.source.get_ref();
        let told = fields.iter().any(|f| f.source.as_ref().is_some_and(|s| s.column == plain(key)));
        let id = (!told).then(|| self.item_id(key));
        id.into_iter().chain(fields).collect()
    }

    /// The key of the row names the item, also where no field says so.
    fn item_id(&self, key: &str) -> Published {
        let label = self.label(key);
        let prefix = plain(self.closure.mapping.feed.id.prefix());
        let quoted = format!("‘{prefix}’");
        let details = match prefix.is_empty() {
            true => Vec::new(),
            false => {
                vec![both(format!("앞에 {} 붙입니다.", with(&quoted, Particle::Object)), format!("Behind {quoted}."))]
            }
        };
        Published {
            name: "id".to_owned(),
            carries: Carries::ItemId,
            source: self.closure.object.column(key).map(column_note),
            op_code: Op::Keep.code(),
            op: words::op(Op::Keep),
            sentence: both(format!("{} 값을 그대로 내보냅니다.", label.ko), format!("{} as it is.", label.en)),
            details,
            example: None,
            why: both("피드의 건을 가리키는 번호", "names the item"),
            change: None,
        }
    }

    fn field(&self, field: &Field) -> Published {
        let column = field.source.as_ref().map(|s| s.get_ref().as_str());
        let label = column.map_or_else(|| both("", ""), |column| self.label(column));
        let said = said(field, &label, &self.set);
        let subject = format!("field {}", field.name.get_ref());
        let change = self.change.rows.iter().find(|row| row.subject == subject);
        let mut details = said.details;
        if column == Some("FREE") && self.closure.object.name.as_str() == "slot" {
            details.extend(limits::small_slots(self.closure));
        }
        Published {
            name: plain(field.name.get_ref()),
            carries: Carries::Field,
            source: column.and_then(|c| self.closure.object.column(c)).map(column_note),
            op_code: field.transform.op().code(),
            op: words::op(field.transform.op()),
            sentence: said.sentence,
            details,
            example: None,
            why: plain2(&field.why),
            change: change.map(|row| change_note(row.verdict, &row.axes)),
        }
    }

    /// Every column of the object of which nothing leaves.
    fn withheld(&self) -> Vec<Withheld> {
        let columns = self.closure.object.columns.iter().filter(|c| !self.leaving.contains(&c.name));
        columns
            .map(|column| {
                let (because, reason) = self.reason(column);
                Withheld { column: column_note(column), because, reason }
            })
            .collect()
    }

    fn reason(&self, column: &Column) -> (Because, Text2) {
        let mapping = &self.closure.mapping;
        let listed = mapping.withheld.iter().find(|w| w.columns.iter().any(|c| *c.get_ref() == column.name));
        let dropped = mapping.fields.iter().find(|f| f.source.as_ref().is_some_and(|s| *s.get_ref() == column.name));
        let is_filter = mapping.filters.iter().any(|f| *f.column.get_ref() == column.name);
        if let Some(reason) = listed.map(|w| &w.reason).or(dropped.map(|f| &f.why)) {
            (Because::Withheld, plain2(reason))
        } else if is_filter {
            let reason = both(
                "내보낼 건을 고르는 데만 씀. 나간 건은 모두 선별 조건에 맞음을 알 수 있음",
                "Only chooses rows; whoever sees a row knows that it fits the filter",
            );
            (Because::FilterOnly, reason)
        } else if let Some(purpose) = purpose(&self.closure.object.name.to_string(), column) {
            let reason =
                both(format!("기관 내부에서만 씀: {}", purpose.ko), format!("Used inside only: {}", purpose.en));
            (Because::InternalOnly, reason)
        } else {
            (Because::Undecided, both("정한 것이 없어 내보내지 않음", "Nothing is decided, so nothing leaves"))
        }
    }

    fn internal(&self) -> Vec<Internal> {
        let object = self.closure.object.name.to_string();
        let columns = self.closure.object.columns.iter();
        let used = columns.filter_map(|column| purpose(&object, column).map(|purpose| (column, purpose)));
        used.map(|(column, purpose)| {
            let (place, kept) = whereabouts(&object, column);
            let leaves = if self.leaving.contains(&column.name) { Leaves::Yes } else { Leaves::No };
            Internal { column: column_note(column), leaves, purpose, place, kept }
        })
        .collect()
    }
}

/// What the bridge itself uses the column for, if it does.
pub(super) fn purpose(object: &str, column: &Column) -> Option<Text2> {
    if let Some(role) = column.role {
        return Some(words::use_of(role));
    }
    if column.derived {
        return Derived::find(object, &column.name).map(|(derived, _)| words::use_of_derived(derived));
    }
    column.material.then(|| both("회차 조건이 바뀌었는지 확인", "tells whether the slot has changed"))
}

fn whereabouts(object: &str, column: &Column) -> (Text2, Text2) {
    if object == "booking" {
        return (
            both("연계 서버의 예약 장부", "the bridge's ledger"),
            both("예약 기록의 보존 기간", "as long as records of bookings are kept"),
        );
    }
    if column.derived {
        return (
            both("연계 서버의 메모리", "memory of the bridge"),
            both("계산할 때마다 새로 만듦", "computed anew each time"),
        );
    }
    if column.class == crate::mapping::Class::LinkageId {
        return (
            both("연계 서버의 메모리(암호값으로만)", "memory of the bridge, as a keyed hash"),
            both("연계 서버가 끝나면 사라지며 파일로 남지 않음", "gone when the bridge stops; in no file"),
        );
    }
    (
        both("연계 서버의 사본과 메모리", "copy and memory of the bridge"),
        both(
            "기존 시스템에 있는 동안. 없어지면 사본에서도 비우고 삭제 표시만 8일 보관",
            "while the legacy system has it; then only the mark of its deletion, for 8 days",
        ),
    )
}

fn retention(partner: &Text2, partner_days: u32, bridge_days: u32) -> Vec<Text2> {
    vec![
        both(
            format!("{} 더 필요하지 않은 건을 {partner_days}일 안에 지웁니다.", with(&partner.ko, Particle::Topic)),
            format!("{} deletes what it no longer needs within {partner_days} days.", partner.en),
        ),
        both(
            format!("연계 서버는 지운 건의 삭제 표시를 {bridge_days}일 보관합니다."),
            format!("The bridge keeps the mark of a deleted item for {bridge_days} days."),
        ),
    ]
}

fn risk(closure: &Closure) -> RiskPart {
    let Some(rule) = &closure.mapping.risk else {
        let line = if closure.is_personal() {
            both(
                "위험도 기준([risk])이 적혀 있지 않습니다. 사람에 관한 건의 수와 최소 k는 자료로 따로 계산합니다.",
                "No [risk] is declared; rows and smallest k are computed out of the data.",
            )
        } else {
            both(
                "사람에 관한 피드가 아니므로 k 익명성 수치가 없습니다.",
                "Not about persons, so there is no k to compute.",
            )
        };
        return RiskPart { k_min: None, small_cell: None, quasi: Vec::new(), line };
    };
    let k_min = *rule.k_min.get_ref();
    RiskPart {
        k_min: Some(k_min),
        small_cell: Some(words::small_cell(rule.small_cell)),
        quasi: rule.quasi.iter().map(|column| plain(column.get_ref())).collect(),
        line: both(
            format!("같은 조합의 사람이 {k_min}명보다 적으면: {}", words::small_cell(rule.small_cell).ko),
            format!("fewer than {k_min} persons with one combination: {}", words::small_cell(rule.small_cell).en),
        ),
    }
}

fn difference(change: &Change) -> Difference {
    let rows = change.rows.iter().map(|row| DifferenceRow {
        subject: plain(&row.subject),
        label: plain(&row.label_ko),
        before: row.before.as_deref().map(plain),
        after: row.after.as_deref().map(plain),
        verdict: change_note(row.verdict, &row.axes),
    });
    Difference { previous: None, verdict: change_note(change.verdict, &[]), rows: rows.collect() }
}

fn change_note(verdict: Verdict, axes: &[crate::lint::Axis]) -> ChangeNote {
    ChangeNote {
        code: verdict.code(),
        verdict: words::verdict(verdict),
        axes: axes.iter().map(|axis| words::axis(*axis)).collect(),
    }
}

fn headline(counts: &Headline) -> Text2 {
    let number = |count: Option<usize>| count.map_or_else(|| "–".to_owned(), |count| count.to_string());
    let (denials, warnings) = (number(counts.denials), number(counts.warnings));
    let Headline { published, withheld, wider, narrower, same, .. } = counts;
    both(
        format!(
            "내보내는 항목 {published} · 내보내지 않는 항목 {withheld} · 직전 승인 대비 확대 {wider} / 축소 {narrower} / \
             동일 {same} · 오류 {denials} / 경고 {warnings}"
        ),
        format!(
            "{published} published · {withheld} withheld · against the last approved: {wider} wider / {narrower} \
             narrower / {same} same · {denials} errors / {warnings} warnings"
        ),
    )
}

fn waiver(waiver: &Waiver) -> WaiverNote {
    WaiverNote {
        rule: plain(waiver.rule.get_ref()),
        field: waiver.field.as_ref().map(|field| plain(field.get_ref())),
        reason: plain2(&waiver.reason),
        until: waiver.until.get_ref().to_string(),
    }
}

fn plain_finding(found: FindingNote) -> FindingNote {
    FindingNote {
        rule: plain(&found.rule),
        severity: found.severity,
        text: plain2(&found.text),
        place: found.place.as_deref().map(plain),
        waiver: found.waiver.map(|w| WaiverNote {
            rule: plain(&w.rule),
            field: w.field.as_deref().map(plain),
            reason: plain2(&w.reason),
            until: plain(&w.until),
        }),
    }
}

pub(super) fn column_note(column: &Column) -> ColumnNote {
    ColumnNote {
        column: plain(&column.name),
        label: plain2(&column.label),
        class_code: column.class.code(),
        class: words::class(column.class),
        public_source: column.source.as_deref().map(plain),
    }
}

pub(super) fn plain2(text: &Text2) -> Text2 {
    both(plain(&text.ko), plain(&text.en))
}

fn in_fours(digest: &str) -> String {
    let mut grouped = String::with_capacity(digest.len() * 5 / 4);
    for (at, c) in digest.chars().enumerate() {
        if at > 0 && at % 4 == 0 {
            grouped.push(' ');
        }
        grouped.push(c);
    }
    grouped
}

/// The first sample that is published gives each field its example.
fn add_examples(statement: &mut Statement, closure: &Closure) {
    let samples = samples(closure, &Sampling { rows: 2, seed: EXAMPLE_SEED });
    let Some(row) = samples.rows.iter().find(|row| row.is_published()) else { return };
    for published in &mut statement.published {
        let cell = row.cells.iter().find(|cell| match published.carries {
            Carries::Field => cell.field.as_deref() == Some(published.name.as_str()),
            Carries::ItemId => cell.column.as_deref() == published.source.as_ref().map(|s| s.column.as_str()),
        });
        published.example = cell.map(|cell| Example {
            before: cell.before.clone(),
            after: match published.carries {
                Carries::Field => cell.after.clone(),
                Carries::ItemId => row.id.clone().unwrap_or_default(),
            },
        });
    }
}
