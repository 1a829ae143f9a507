//! Before → after on made-up rows, through the real projector, so that the page shows what the code does.
//!
//! Nobody real can be meant: resident numbers have month 13, mobile numbers begin with 010-0, names say that they are
//! made up. Person tokens and random numbers come from a key that stands in this file: worthless, and said to be so.
//! The last row is a rare combination, the one before it lies outside the filter, where there is one.

mod ports;
mod values;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::domain::{
    BookingId, BookingStatus, BookingView, EndReason, PersonNo, Position, Row, SeriesId, SiteKey, SlotKey, SlotVersion,
    SlotView, Sync, Timestamp, Value,
};
use crate::mapping::catalogue::Derived;
use crate::mapping::{FeedKind, MappingSet, MappingStatus, Op, Role, Text2};
use crate::privacy::{Closure, Projector, Subject};

use super::plain::plain;
use super::words::{self, both};
use values::{Made, Rarity, Source};

pub const SAMPLE_ROWS_MAX: u32 = 100;
/// 2026-11-02 09:00 in Seoul: samples do not depend on the day they are looked at.
const NOW: Timestamp = Timestamp(1_793_577_600_000);
const HOUR_MS: i64 = 3_600_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    /// At most `SAMPLE_ROWS_MAX`.
    pub rows: u32,
    pub seed: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Samples {
    pub mapping: String,
    pub version: u32,
    pub seed: u64,
    pub watermark: Text2,
    /// Said where a field is a number made with a key.
    pub keys: Option<Text2>,
    pub rows: Vec<SampleRow>,
    /// Why nothing could be run.
    pub failed: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SampleRow {
    pub number: u32,
    /// What makes the row a rare combination.
    pub rare: Option<Text2>,
    pub outcome: Outcome,
    pub told: Text2,
    /// The item's id, where it is published.
    pub id: Option<String>,
    pub cells: Vec<SampleCell>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Published,
    /// By the filter, or past its cutoff.
    LeftOut,
    /// A transform could not handle a value, so nothing of the row leaves.
    HeldBack,
}

/// One column and what became of it; a column that two fields read stands twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SampleCell {
    /// None: a constant.
    pub column: Option<String>,
    pub label: Text2,
    pub class: Option<Text2>,
    pub before: String,
    pub field: Option<String>,
    /// 「제외」 where nothing leaves.
    pub after: String,
}

impl SampleRow {
    pub fn is_published(&self) -> bool {
        self.outcome == Outcome::Published
    }
}

/// Seeded: the same closure and seed give the same rows.
pub fn samples(closure: &Closure, sampling: &Sampling) -> Samples {
    let mut samples = Samples {
        mapping: plain(closure.id()),
        version: closure.mapping.version,
        seed: sampling.seed,
        watermark: both("가상 데이터(실제 정보 아님)", "Made-up data, about nobody"),
        keys: keys_note(closure),
        rows: Vec::new(),
        failed: None,
    };
    // A draft is shown as if it were in force.
    let mut active = closure.clone();
    active.mapping.status = MappingStatus::Active;
    let set = active.to_set();
    let projector = match Projector::compile(&set, closure.partner_id(), closure.kind()) {
        Ok(projector) => projector.with_ports(ports::throw_away()),
        Err(error) => {
            samples.failed = Some(plain(&error.to_string()));
            return samples;
        }
    };
    let rows = sampling.rows.min(SAMPLE_ROWS_MAX);
    for number in 1..=rows {
        let is_outside = rows >= 3 && number == rows - 1 && !closure.mapping.filters.is_empty();
        let rarity = if number == rows { Rarity::Rare } else { Rarity::Usual };
        let source = Source { closure, set: &set, seed: sampling.seed, number, rarity, is_outside };
        samples.rows.push(row(&source, &projector));
    }
    samples
}

fn keys_note(closure: &Closure) -> Option<Text2> {
    let keyed = |op| matches!(op, Op::PersonToken | Op::TokenRandom | Op::OprfIndex);
    closure.mapping.fields.iter().any(|field| keyed(field.transform.op())).then(|| {
        both(
            "대상자 번호와 임의 번호는 공개된 시험용 키로 만든 것으로, 실제 번호와 아무 관계가 없습니다.",
            "Tokens and random numbers are made with a published throw-away key and have nothing to do with real ones.",
        )
    })
}

fn row(source: &Source<'_>, projector: &Projector) -> SampleRow {
    let made = source.make();
    let outcome = match subject_of(source, &made) {
        Ok(Projected::Slot(slot)) => projector.record(Subject::Slot(&slot), NOW),
        Ok(Projected::Booking(booking)) => projector.record(Subject::Booking(&booking), NOW),
        Ok(Projected::Item(key, row)) => projector.record(Subject::Item { key: &key, row: &row }, NOW),
        Err(what) => return told(source, &made, Outcome::HeldBack, both(what, "not a row of this object"), None),
    };
    match outcome {
        Ok(Some(record)) => told(source, &made, Outcome::Published, both("내보냄", "published"), Some(&record)),
        Ok(None) => {
            let why = both("선별 조건 밖이라 내보내지 않음", "outside the filter: left out");
            told(source, &made, Outcome::LeftOut, why, None)
        }
        Err(issue) => {
            let issue = plain(&issue.to_string());
            let why =
                both(format!("문제가 있어 건 전체를 내보내지 않음: {issue}"), format!("held back whole: {issue}"));
            told(source, &made, Outcome::HeldBack, why, None)
        }
    }
}

fn told(
    source: &Source<'_>,
    made: &Made,
    outcome: Outcome,
    why: Text2,
    record: Option<&crate::privacy::Record>,
) -> SampleRow {
    let closure = source.closure;
    let mapping = &closure.mapping;
    let mut cells = Vec::new();
    let nothing = || "제외".to_owned();
    let after = |name: &str| record.and_then(|record| record.get(name)).map_or_else(nothing, shown_json);
    let id = record.map(|record| plain(&record.id));
    for column in &closure.object.columns {
        let cell = |field: Option<String>, after: String| SampleCell {
            column: Some(plain(&column.name)),
            label: both(plain(&column.label.ko), plain(&column.label.en)),
            class: Some(words::class(column.class)),
            before: made.get(&column.name).map_or_else(|| "–".to_owned(), shown),
            field,
            after,
        };
        let readers = mapping
            .fields
            .iter()
            .filter(|f| f.transform.op() != Op::Drop && f.source.as_ref().is_some_and(|s| *s.get_ref() == column.name));
        let before = cells.len();
        cells.extend(readers.map(|f| cell(Some(plain(f.name.get_ref())), after(f.name.get_ref()))));
        if cells.len() == before && *mapping.feed.id.source.get_ref() == column.name {
            cells.push(cell(Some("id".to_owned()), id.clone().unwrap_or_else(nothing)));
        } else if cells.len() == before {
            cells.push(cell(None, nothing()));
        }
    }
    for field in mapping.fields.iter().filter(|f| f.transform.op() == Op::Const) {
        cells.push(SampleCell {
            column: None,
            label: both("원천 없음", "no source"),
            class: None,
            before: "–".to_owned(),
            field: Some(plain(field.name.get_ref())),
            after: after(field.name.get_ref()),
        });
    }
    let rare = (source.rarity == Rarity::Rare).then(|| rare(closure));
    SampleRow { number: source.number, rare, outcome, told: why, id, cells }
}

fn rare(closure: &Closure) -> Text2 {
    match closure.kind() {
        FeedKind::Slots => both("드문 조합: 정원이 1명인 회차", "rare: a slot of one place"),
        FeedKind::Sites => both("드문 조합: 그 지역에 하나뿐인 섬의 기관", "rare: the only site of an island"),
        FeedKind::Eligibility => {
            both("드문 조합: 해당자가 거의 없는 출생연도", "rare: birth years that hardly anybody has")
        }
        FeedKind::Bookings => both("드문 조합: 기관이 거둔 예약", "rare: a booking that the agency took back"),
    }
}

/// A value as people read it.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "(빈 값)".to_owned(),
        Value::Int(number) => number.to_string(),
        Value::Decimal(text) | Value::Text(text) => plain(text),
        Value::Time(at) => at.seoul_text(),
    }
}

fn shown_json(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Null => "(빈 값)".to_owned(),
        serde_json::Value::String(text) => plain(text),
        other => other.to_string(),
    }
}

/// What the projector is given.
enum Projected {
    Slot(Box<SlotView>),
    Booking(Box<BookingView>),
    Item(String, Row),
}

fn subject_of(source: &Source<'_>, made: &Made) -> Result<Projected, &'static str> {
    match source.closure.kind() {
        FeedKind::Slots => Ok(Projected::Slot(Box::new(slot(source, made)?))),
        FeedKind::Bookings => Ok(Projected::Booking(Box::new(source.booking()))),
        FeedKind::Sites | FeedKind::Eligibility => {
            let key = source.at_role(made, Role::Key).and_then(Value::as_text).unwrap_or_default().to_owned();
            Ok(Projected::Item(key, fetched(source.set, source.closure, made)?))
        }
    }
}

/// The columns that are fetched, in the order of the layout: what is withheld never comes near the projector.
fn fetched(set: &MappingSet, closure: &Closure, made: &Made) -> Result<Row, &'static str> {
    let layout = set.layout(closure.object.name.as_str()).ok_or("읽는 뷰가 없음")?;
    let value = |name: &str| made.get(name).cloned().unwrap_or(Value::Null);
    Ok(Row(layout.columns.iter().map(|column| value(&column.name)).collect()))
}

fn slot(source: &Source<'_>, made: &Made) -> Result<SlotView, &'static str> {
    let text = |role| source.at_role(made, role).and_then(Value::as_text).unwrap_or_default();
    let bad = "회차의 번호가 번호의 모양이 아님";
    Ok(SlotView {
        key: SlotKey::new(text(Role::Key)).map_err(|_| bad)?,
        site: SiteKey::new(text(Role::Site)).map_err(|_| bad)?,
        series: SeriesId::new(text(Role::Series)).map_err(|_| bad)?,
        start: source.at_role(made, Role::Start).and_then(Value::as_time).unwrap_or(NOW.plus_ms(72 * HOUR_MS)),
        version: SlotVersion(0x1f00_0000 + source.number),
        remaining: source.remaining(),
        open: !source.is_closed(made),
        row: Arc::new(fetched(source.set, source.closure, made)?),
        position: Position(u64::from(source.number)),
    })
}

impl Source<'_> {
    /// Every column of the object, derived ones as the desk would compute them.
    fn make(&self) -> Made {
        let mut made: Made = BTreeMap::new();
        for column in self.closure.object.columns.iter().filter(|c| !c.derived) {
            made.insert(column.name.clone(), self.value(column));
        }
        let object = self.closure.object.name.to_string();
        let derived: Vec<(String, Value)> = self
            .closure
            .object
            .columns
            .iter()
            .filter(|c| c.derived)
            .filter_map(|c| Some((c.name.clone(), self.derived(Derived::find(&object, &c.name)?.0, &made))))
            .collect();
        made.extend(derived);
        made
    }

    fn at_role<'m>(&self, made: &'m Made, role: Role) -> Option<&'m Value> {
        let column = self.closure.object.columns.iter().find(|c| c.role == Some(role))?;
        made.get(&column.name)
    }

    /// Does the status say that nothing may be booked?
    fn is_closed(&self, made: &Made) -> bool {
        self.at_role(made, Role::Status).and_then(Value::as_text).is_some_and(|status| status != "OPEN")
    }

    fn booking(&self) -> BookingView {
        let is_rare = self.rarity == Rarity::Rare;
        let mut rng = self.rng("booking");
        let booked_at = NOW.plus_ms(-i64::from(rng.between(2, 300)) * HOUR_MS / 4);
        BookingView {
            id: BookingId(Position(40_000 + u64::from(self.number) * 37)),
            partner: self.closure.partner_id().clone(),
            person: PersonNo(700_000 + self.number),
            series: SeriesId::new("covid19-1").expect("a series by its shape"),
            slot: SlotKey::new(&format!("{}", 90_000 + rng.between(1, 9_999))).expect("digits are a key"),
            slot_version: SlotVersion(0x1f00_0000 + self.number),
            status: if is_rare { BookingStatus::Displaced } else { BookingStatus::Booked },
            sync: if is_rare { Sync::Rejected } else { Sync::Applied },
            legacy_ref: (!is_rare).then(|| Arc::from(format!("R{:08}", rng.between(1, 99_999_999)))),
            partner_ref: Some(Arc::from(format!("ref-{}", rng.between(1_000, 9_999)))),
            reason: is_rare.then_some(EndReason::CapacityCut),
            booked_at,
            changed_at: booked_at.plus_ms(if is_rare { HOUR_MS / 4 } else { 0 }),
            position: Position(50_000 + u64::from(self.number) * 53),
        }
    }

    fn derived(&self, derived: Derived, made: &Made) -> Value {
        let free = if self.is_closed(made) { 0 } else { self.remaining() };
        let booking = self.booking();
        let optional = |text: Option<&str>| text.map_or(Value::Null, Value::text);
        match derived {
            Derived::Free => Value::Int(i64::from(free)),
            Derived::Bookable => Value::text(if free > 0 { "Y" } else { "N" }),
            Derived::SlotVersion => Value::text(&format!("{:08x}", 0x1f00_0000 + self.number)),
            Derived::BookingId => Value::text(&booking.id.to_string()),
            Derived::BookingStatus => Value::text(booking.status.code()),
            Derived::BookingSync => Value::text(booking.sync.code()),
            Derived::BookingSlot => Value::text(booking.slot.as_str()),
            Derived::BookingSeries => Value::text(booking.series.as_str()),
            Derived::BookingSlotVersion => Value::text(&format!("{:08x}", booking.slot_version.0)),
            Derived::PartnerRef => optional(booking.partner_ref.as_deref()),
            Derived::LegacyRef => optional(booking.legacy_ref.as_deref()),
            Derived::EndReason => optional(booking.reason.map(EndReason::public_code)),
            Derived::BookedAt => Value::Time(booking.booked_at),
            Derived::ChangedAt => Value::Time(booking.changed_at),
            Derived::CommittedCursor => Value::Int(i64::try_from(booking.position.0).unwrap_or(i64::MAX)),
            Derived::BookingPerson => Value::Int(i64::from(booking.person.0)),
        }
    }
}
