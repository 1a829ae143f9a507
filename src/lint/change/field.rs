//! A field on its three axes, and the columns that several fields read.
//!
//! - Attribute: what can be told of the column's value (`partition`); nothing < a constant < whatever reads it.
//! - Linkability: does a number stand for the same person or value again, for how long, for whom, how guessable.
//!   A kept value links too, but that is the whole value on the attribute axis already; counted here it would make
//!   keep → token_random narrower, which puts a number for ever where there was none.
//! - Testability: can somebody who knows a person's value or CI find out whether a row is theirs. Of values told
//!   exactly: offline; it moves with the attribute and never against it.
//!
//! Fields are matched by name: another name is another field. One less is narrower, even if its table held rows of
//! unknown codes back that leave now: an unknown code is a fault of the table, what selects rows is a filter.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::mapping::catalogue::Derived;
use crate::mapping::feed_mapping::Filter;
use crate::mapping::transform::{Scalar, TokenScope};
use crate::mapping::{FeedKind, Field, MappingSet, Op, Transform};
use crate::privacy::{Closure, sha256_hex};

use super::partition::{Cuts, Told, View};
use super::rows::{Rows, words};
use super::{Axis, Verdict};

/// A closure with what its fields mean.
pub(super) struct Side<'a> {
    pub closure: &'a Closure,
    pub fields: Vec<Reading<'a>>,
    filters: BTreeMap<&'a str, BTreeSet<Arc<str>>>,
}

pub(super) struct Reading<'a> {
    pub field: &'a Field,
    /// Column that it reads and tells something of.
    source: Option<&'a str>,
    told: Attribute,
    link: Link,
    test: Test,
    /// Tables and labels, so that the text differs where they do.
    detail: String,
}

#[derive(Debug, PartialEq)]
enum Attribute {
    Nothing,
    Constant(Scalar),
    Told(View),
    /// Parameters that no version of ours understands.
    Unknown,
}

/// Larger in any member is wider. `days`: 0 nothing, 1 renewed with each release, `n + 1` an epoch of n days, the most for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Link {
    days: u32,
    all_partners: bool,
    /// 128 less the bits of a random number.
    guessable_bits: u32,
}

const FOR_EVER: u32 = u32::MAX;
const NO_LINK: Link = Link { days: 0, all_partners: false, guessable_bits: 0 };

impl Link {
    fn is_at_most(self, other: Link) -> bool {
        let Link { days, all_partners, guessable_bits } = self;
        days <= other.days && all_partners <= other.all_partners && guessable_bits <= other.guessable_bits
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Test {
    Nobody,
    ByCall,
    Offline,
}

impl<'a> Side<'a> {
    pub fn of(closure: &'a Closure) -> Side<'a> {
        let set = closure.to_set();
        let fields = closure.mapping.fields.iter().map(|field| Reading::of(closure, &set, field)).collect();
        let mut filters: BTreeMap<&str, BTreeSet<Arc<str>>> = BTreeMap::new();
        for filter in &closure.mapping.filters {
            let Filter { column, equals: _, one_of: _ } = filter;
            let allowed: BTreeSet<Arc<str>> = filter.allowed().into_iter().map(Arc::from).collect();
            let all = filters.entry(column.get_ref()).or_insert_with(|| allowed.clone());
            all.retain(|value| allowed.contains(value));
        }
        Side { closure, fields, filters }
    }

    fn told(&self, column: &str) -> Told {
        let views = self.fields.iter().filter(|f| f.source == Some(column)).filter_map(|f| match &f.told {
            Attribute::Told(view) => Some(view),
            _ => None,
        });
        Told::by(views, self.filters.get(column))
    }

    fn readers(&self, column: &str) -> usize {
        self.fields.iter().filter(|f| f.source == Some(column)).count() + usize::from(self.filters.contains_key(column))
    }
}

impl<'a> Reading<'a> {
    fn of(closure: &Closure, set: &MappingSet, field: &'a Field) -> Reading<'a> {
        let source = field.source.as_ref().map(|s| s.get_ref().as_str());
        let epoch = closure.mapping.feed.epoch.as_ref().map(|days| days.get_ref().0.saturating_add(1));
        let by_call = Link { days: epoch.unwrap_or(FOR_EVER), ..NO_LINK };
        let mut reading = Reading {
            field,
            source,
            told: Attribute::Nothing,
            link: NO_LINK,
            test: Test::Nobody,
            detail: String::new(),
        };
        let Ok(meaning) = field.transform.meaning() else {
            if field.transform.op() == Op::OprfIndex {
                (reading.link, reading.test) = (by_call, Test::ByCall);
            }
            reading.told = Attribute::Unknown;
            reading.detail = serde_json::to_string(&field.transform).unwrap_or_default();
            return reading;
        };
        let pairs = set.pairs(&meaning);
        reading.detail = detail(&meaning, pairs.as_ref());
        match &meaning {
            Transform::Const { value } => reading.told = Attribute::Constant(value.clone()),
            Transform::TokenRandom { bits, scope } => {
                let all_partners = *scope == TokenScope::All;
                let guessable_bits = 128_u32.saturating_sub(*bits);
                reading.link = Link { days: FOR_EVER, all_partners, guessable_bits };
            }
            Transform::PersonToken => (reading.link, reading.test) = (by_call, Test::ByCall),
            Transform::Drop => {}
            told => {
                reading.told = View::of(told, pairs).map_or(Attribute::Unknown, Attribute::Told);
            }
        }
        reading
    }

    fn is_published(&self) -> bool {
        self.field.transform.op() != Op::Drop
    }

    /// Alone, without filters: what a field may say must not depend on what others let pass.
    fn alone(&self) -> Option<Told> {
        match &self.told {
            Attribute::Told(view) => Some(Told::by([view], None)),
            _ => None,
        }
    }

    fn test(&self) -> Test {
        if self.alone().is_some_and(|told| told.is_exact()) { Test::Offline } else { self.test }
    }

    fn text(&self) -> String {
        let Field { name: _, source, transform, inside, why: _ } = self.field;
        let column = source.as_ref().map(|s| format!("{} → ", s.get_ref())).unwrap_or_default();
        let inside = if inside.is_some() { " [봉인 영역]" } else { "" };
        format!("{column}{} {}{}{inside}", op_ko(transform.op()), transform.op().code(), self.detail)
    }
}

fn op_ko(op: Op) -> &'static str {
    match op {
        Op::Drop => "제외",
        Op::Const => "고정값",
        Op::Keep => "원값",
        Op::Enum => "코드 변환",
        Op::Lookup => "대체 코드",
        Op::Bucket => "구간화",
        Op::RoundTime | Op::RoundNum => "라운딩",
        Op::TopBottom => "상하단코딩",
        Op::Generalize => "범주화",
        Op::TokenRandom => "임의 번호",
        Op::PersonToken => "암호키 토큰화",
        Op::OprfIndex => "조회형 색인",
    }
}

fn detail(meaning: &Transform, pairs: Option<&BTreeMap<Arc<str>, Arc<str>>>) -> String {
    let table = |name: String| match pairs {
        None => format!(" {name} (없음)"),
        Some(pairs) => {
            let json = serde_json::to_string(pairs).unwrap_or_default();
            format!(" {name} ({}개 값 #{})", pairs.len(), &sha256_hex(json.as_bytes())[..8])
        }
    };
    match meaning {
        Transform::Drop | Transform::PersonToken => String::new(),
        Transform::Const { value } => format!(" {}", serde_json::to_string(value).unwrap_or_default()),
        Transform::Keep { prefix } if prefix.is_empty() => String::new(),
        Transform::Keep { prefix } => format!(" ‘{prefix}’+"),
        Transform::Enum { table: name } => table(name.clone()),
        Transform::Lookup { table: name, key, value } => table(format!("{name}.{key}→{value}")),
        Transform::Generalize { hierarchy, level } => table(format!("{hierarchy}.{level}")),
        Transform::Bucket { edges, labels } => {
            let parts: Vec<String> = edges.iter().zip(labels).map(|(edge, label)| format!("{edge}≤ {label}")).collect();
            format!(" {}", parts.join(" / "))
        }
        Transform::RoundTime { step_ms } => format!(" {}분", step_ms / 60_000),
        Transform::RoundNum { step } => format!(" {step}"),
        Transform::TopBottom { low, high } => format!(" {low} 이하 ~ {high} 이상"),
        Transform::TokenRandom { bits, scope } => {
            let scope = if *scope == TokenScope::All { "제휴사 공통" } else { "제휴사별" };
            format!(" {bits}비트 {scope}")
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Move {
    Stays,
    Falls,
    /// Or cannot be compared.
    Rises,
}

fn order(is_at_most: bool, is_at_least: bool) -> Move {
    match (is_at_most, is_at_least) {
        (true, true) => Move::Stays,
        (true, false) => Move::Falls,
        (false, _) => Move::Rises,
    }
}

fn attribute(before: &Reading<'_>, after: &Reading<'_>) -> Move {
    use Attribute::{Constant, Nothing, Told, Unknown};
    match (&before.told, &after.told) {
        (Unknown, _) | (_, Unknown) => {
            if before.field.transform == after.field.transform {
                Move::Stays
            } else {
                Move::Rises
            }
        }
        (Nothing, Nothing) => Move::Stays,
        (_, Nothing) => Move::Falls,
        (Nothing, _) => Move::Rises,
        (Constant(before), Constant(after)) if before == after => Move::Stays,
        (Constant(_), _) => Move::Rises,
        (Told(_), Constant(_)) => Move::Falls,
        (Told(_), Told(_)) => match (before.alone(), after.alone()) {
            // The same classes in other words have no order.
            (Some(old), Some(new)) => match order(new.is_at_most(&old), old.is_at_most(&new)) {
                Move::Stays if !has_same_values(before, after) => Move::Rises,
                moved => moved,
            },
            _ => Move::Rises,
        },
    }
}

/// Does every value become the same text? Names of tables and levels are no part of it.
fn has_same_values(before: &Reading<'_>, after: &Reading<'_>) -> bool {
    let (old, new) = (before.field.transform.meaning(), after.field.transform.meaning());
    match (&before.told, &after.told, old, new) {
        (Attribute::Told(View::Pairs(old)), Attribute::Told(View::Pairs(new)), ..) => old == new,
        (.., Ok(Transform::Bucket { edges: old, labels: was }), Ok(Transform::Bucket { edges: new, labels: is })) => {
            old.get(1..) == new.get(1..) && was == is
        }
        (.., old, new) => old == new,
    }
}

/// Axes that moved, and the verdict that they make.
fn axes(before: &Reading<'_>, after: &Reading<'_>) -> (Verdict, Vec<Axis>) {
    let told = match (before.source, after.source) {
        // Another column cannot be compared, whatever is told of it.
        (Some(old), Some(new)) if old != new && after.is_published() => Move::Rises,
        _ => attribute(before, after),
    };
    let link = order(after.link.is_at_most(before.link), before.link.is_at_most(after.link));
    let mut test = order(after.test() <= before.test(), before.test() <= after.test());
    if test == Move::Rises && before.test == after.test && told != Move::Rises {
        // Values that stood together are gone together, and those that are left stood alone before.
        test = Move::Stays;
    }
    let moves = [(Axis::Attribute, told), (Axis::Linkability, link), (Axis::Testability, test)];
    let moved: Vec<Axis> = moves.iter().filter(|(_, moved)| *moved != Move::Stays).map(|(axis, _)| *axis).collect();
    let mut verdict = Verdict::Same;
    for (_, moved) in moves {
        verdict = verdict.max(match moved {
            Move::Stays => Verdict::Same,
            Move::Falls => Verdict::Narrower,
            Move::Rises => Verdict::Wider,
        });
    }
    match (before.field.inside, after.field.inside) {
        (before, after) if before == after => {}
        // Out of the sealed part, where everybody reads it; or into it.
        (Some(_), None) => verdict = Verdict::Wider,
        _ => verdict = verdict.max(Verdict::Narrower),
    }
    (verdict, moved)
}

/// Axes of a field that was not there.
fn axes_alone(field: &Reading<'_>) -> Vec<Axis> {
    let mut axes = Vec::new();
    if field.is_published() && field.told != Attribute::Nothing {
        axes.push(Axis::Attribute);
    }
    if field.link != NO_LINK {
        axes.push(Axis::Linkability);
    }
    if field.test() != Test::Nobody {
        axes.push(Axis::Testability);
    }
    axes
}

pub(super) fn axes_of_new(after: &Closure, subject: &str) -> Vec<Axis> {
    let Some(name) = subject.strip_prefix("field ") else { return Vec::new() };
    let side = Side::of(after);
    side.fields.iter().find(|f| f.field.name.get_ref() == name).map(axes_alone).unwrap_or_default()
}

pub(super) fn compare(rows: &mut Rows, before: &Side<'_>, after: &Side<'_>) {
    let named = |side: &Side<'_>, name: &str| side.fields.iter().position(|f| f.field.name.get_ref() == name);
    let mut kept_of = BTreeSet::new();
    for (at, new) in after.fields.iter().enumerate() {
        let name = new.field.name.get_ref();
        let (subject, ko) = (format!("field {name}"), label(after.closure, new.field));
        // A name that stands twice is refused by the loader; here each one after the first is new.
        let old = named(before, name).filter(|_| named(after, name) == Some(at));
        let Some(old) = old.map(|at| (at, &before.fields[at])) else {
            let verdict = if new.is_published() { Verdict::Wider } else { Verdict::Same };
            rows.field(subject, &ko, (None, Some(new.text())), (verdict, axes_alone(new)));
            continue;
        };
        kept_of.insert(old.0);
        rows.field(subject, &ko, (Some(old.1.text()), Some(new.text())), axes(old.1, new));
        if old.1.field.why != new.field.why {
            rows.part(&format!("field {name} why"), "제공 사유", (&old.1.field.why, &new.field.why), words);
        }
    }
    for (_, old) in before.fields.iter().enumerate().filter(|(at, _)| !kept_of.contains(at)) {
        let (subject, ko) = (format!("field {}", old.field.name.get_ref()), label(before.closure, old.field));
        let verdict = if old.is_published() { Verdict::Narrower } else { Verdict::Same };
        rows.field(subject, &ko, (Some(old.text()), None), (verdict, axes_alone(old)));
    }
    // Of the names on both sides: what comes and goes has its own row.
    let order = |side: &Side<'_>, other: &Side<'_>| {
        let names = side.fields.iter().map(|f| f.field.name.get_ref().clone());
        names.filter(|name| named(other, name).is_some()).collect::<Vec<String>>()
    };
    let (old, new) = (order(before, after), order(after, before));
    if old != new {
        rows.part("fields order", "항목 순서", (&old, &new), words);
    }
    columns(rows, before, after);
}

fn label(closure: &Closure, field: &Field) -> String {
    let column = field.source.as_ref().and_then(|s| closure.object.column(s.get_ref()));
    match column {
        Some(column) => format!("항목 {} ({})", field.name.get_ref(), column.label.ko),
        None => format!("항목 {}", field.name.get_ref()),
    }
}

/// What several fields and filters tell of one column together.
fn columns(rows: &mut Rows, before: &Side<'_>, after: &Side<'_>) {
    let read = |side: &Side<'_>| {
        let sources = side.fields.iter().filter_map(|f| f.source).map(str::to_owned);
        sources.chain(side.filters.keys().map(|c| (*c).to_owned())).collect::<BTreeSet<String>>()
    };
    for column in read(before).union(&read(after)) {
        if before.readers(column).max(after.readers(column)) < 2 {
            continue;
        }
        let verdict = column_verdict(before, after, column);
        let axes = if verdict == Verdict::Same { Vec::new() } else { vec![Axis::Attribute] };
        let names = |side: &Side<'_>| {
            let fields = side.fields.iter().filter(|f| f.source == Some(column)).map(Reading::text);
            let filter = side.filters.get(column.as_str()).map(|f| format!("선별 {f:?}"));
            let all: Vec<String> = fields.chain(filter).collect();
            (!all.is_empty()).then(|| all.join(" + "))
        };
        let subject = format!("column {}.{column} together", after.closure.object.name);
        rows.field(
            subject,
            &format!("{column}에 대해 함께 알 수 있는 것"),
            (names(before), names(after)),
            (verdict, axes),
        );
    }
}

fn column_verdict(before: &Side<'_>, after: &Side<'_>, column: &str) -> Verdict {
    let (old, new) = (before.told(column), after.told(column));
    match order(new.is_at_most(&old), old.is_at_most(&new)) {
        Move::Stays => Verdict::Same,
        Move::Falls => Verdict::Narrower,
        Move::Rises => Verdict::Wider,
    }
}

/// A row of each filtered column. A filter tells of every row in the feed that its value is one of these.
pub(super) fn filters(rows: &mut Rows, before: &Side<'_>, after: &Side<'_>) {
    let columns: BTreeSet<&str> = before.filters.keys().chain(after.filters.keys()).copied().collect();
    for column in columns {
        let (old, new) = (before.filters.get(column), after.filters.get(column));
        let lets_more_in = match (old, new) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(old), Some(new)) => !new.is_subset(old),
        };
        let verdict = match (old == new, lets_more_in) {
            (true, _) => Verdict::Same,
            (false, true) => Verdict::Wider,
            // Fewer rows, but those that stay may tell more of the column.
            (false, false) => column_verdict(before, after, column).max(Verdict::Narrower),
        };
        let text = |values: Option<&BTreeSet<Arc<str>>>| {
            values.map(|values| values.iter().map(|v| &**v).collect::<Vec<_>>().join(" | "))
        };
        rows.field(
            format!("filter {column}"),
            &format!("선별 조건 {column}"),
            (text(old), text(new)),
            (verdict, Vec::new()),
        );
    }
}

/// Would slots that become small tell at most what they told as large ones? Small ones tell whether any place is left.
pub(super) fn small_tells_less(before: &Closure) -> bool {
    let side = Side::of(before);
    let is_free = |column: &str| {
        side.closure.kind() == FeedKind::Slots
            && Derived::find(side.closure.object.name.as_str(), column).is_some_and(|(d, _)| d == Derived::Free)
    };
    let mut readers = side.fields.iter().filter(|f| f.source.is_some_and(is_free) && f.is_published()).peekable();
    let some_left = Told::by([&View::Cuts(Cuts::at(&[1]))], None);
    readers.peek().is_none() || readers.any(|f| f.alone().is_some_and(|told| some_left.is_at_most(&told)))
}
