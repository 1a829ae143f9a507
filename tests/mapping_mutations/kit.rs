//! Dice, the shipped closures, and richer ones.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use slotbridge::mapping::feed_mapping::{Erasure, Filter, Inside, LookupRule, Membership, Risk, SmallCell, Waiver};
use slotbridge::mapping::transform::TransformSpec;
use slotbridge::mapping::{self, Field, MappingSet, MappingStatus, Mode, Op, Severity, Table};
use slotbridge::mapping_files::read_folder;
use slotbridge::privacy::Closure;
use toml::Spanned;

pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n.max(1) as u64) as usize
    }

    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    pub fn number(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low + 1) as usize) as i64
    }
}

/// A way to weaken. `weaken` answers whether it found something to weaken.
pub struct Kind {
    pub name: &'static str,
    pub weaken: fn(&mut Dice, &mut Closure) -> bool,
    /// Is taking it back 축소? Where two things cannot be ordered both directions are 확대.
    pub has_inverse: bool,
}

pub fn kind(name: &'static str, weaken: fn(&mut Dice, &mut Closure) -> bool) -> Kind {
    Kind { name, weaken, has_inverse: true }
}

pub fn one_way(name: &'static str, weaken: fn(&mut Dice, &mut Closure) -> bool) -> Kind {
    Kind { name, weaken, has_inverse: false }
}

pub fn at<T>(value: T) -> Spanned<T> {
    Spanned::new(0..0, value)
}

pub fn files() -> BTreeMap<String, Vec<u8>> {
    read_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings")).unwrap()
}

pub fn of_set(set: &MappingSet) -> Vec<Closure> {
    set.mappings().map(|(partner, kind, _)| Closure::of(set, partner, kind).unwrap()).collect()
}

pub fn shipped() -> Vec<Closure> {
    of_set(&mapping::load(&files()).unwrap_or_else(|problems| panic!("{problems:?}")))
}

/// `op = "…", …` as it stands in a file.
pub fn transform(text: &str) -> TransformSpec {
    #[derive(Deserialize)]
    struct One {
        transform: TransformSpec,
    }
    toml::from_str::<One>(&format!("transform = {{ {text} }}")).unwrap_or_else(|e| panic!("{text}: {e}")).transform
}

pub fn field(name: &str, source: &str, text: &str) -> Field {
    let why = slotbridge::mapping::Text2 { ko: "필요".into(), en: "needed".into() };
    let source = (!source.is_empty()).then(|| at(source.to_owned()));
    Field { name: at(name.to_owned()), source, transform: transform(text), inside: None, why }
}

pub fn op(field: &Field) -> Op {
    field.transform.op()
}

pub const NUMBERS: [&str; 3] = ["DUR_MIN", "DOSE_NO", "MIN_AGE"];
pub const TEXTS: [&str; 3] = ["VACCINE_CD", "SERIES_CD", "STATUS"];
pub const LETTERS: [&str; 6] = ["A", "B", "C", "D", "E", "F"];

/// A table of letters, or of the numbers 0 to 5, whose second column is coarser than the third.
pub fn table(dice: &mut Dice, of_numbers: bool) -> Table {
    let rows = (0..6).map(|n| {
        let key = if of_numbers { n.to_string() } else { LETTERS[n].to_owned() };
        let fine = n / (1 + dice.below(2));
        vec![key, format!("t{}", fine / 3), format!("f{fine}")]
    });
    let rows = rows.collect();
    Table { columns: ["code", "coarse", "fine"].map(str::to_owned).to_vec(), rows }
}

pub fn number_op(dice: &mut Dice) -> String {
    match dice.below(6) {
        0 => "op = \"keep\"".into(),
        1 => format!("op = \"round_num\", to = {}", dice.pick(&[2, 3, 4, 5, 6, 10, 12])),
        2 => {
            let low = dice.number(-5, 10);
            format!("op = \"top_bottom\", low = {low}, high = {}", low + dice.number(2, 12))
        }
        3 => "op = \"enum\", table = \"numbers\"".into(),
        _ => bucket(dice),
    }
}

fn bucket(dice: &mut Dice) -> String {
    let mut edges: Vec<i64> = (0..=dice.number(1, 4)).map(|_| dice.number(-3, 14)).collect();
    edges.sort_unstable();
    edges.dedup();
    let labels: Vec<String> = edges.iter().map(|edge| format!("from {edge}")).collect();
    format!("op = \"bucket\", edges = {edges:?}, labels = {labels:?}")
}

pub fn text_op(dice: &mut Dice) -> String {
    match dice.below(6) {
        0 => "op = \"keep\"".into(),
        1 => "op = \"enum\", table = \"letters\"".into(),
        2 => "op = \"lookup\", table = \"letters\", key = \"code\", value = \"coarse\"".into(),
        3 => "op = \"generalize\", hierarchy = \"letters\", level = \"coarse\"".into(),
        4 => "op = \"generalize\", hierarchy = \"letters\", level = \"fine\"".into(),
        _ => "op = \"lookup\", table = \"letters\", key = \"code\", value = \"fine\"".into(),
    }
}

pub fn time_op(dice: &mut Dice) -> String {
    let step = dice.pick(&["1m", "5m", "10m", "15m", "30m", "1h", "1d"]);
    if dice.below(5) == 0 { "op = \"keep\"".into() } else { format!("op = \"round_time\", to = \"{step}\"") }
}

/// A slots mapping with one or two random fields a column.
pub fn slots(dice: &mut Dice, shipped: &[Closure], fields_max: usize) -> Closure {
    let mut closure = shipped.iter().find(|c| c.id() == "naver.slots").unwrap().clone();
    closure.mapping.filters.clear();
    let mut fields = Vec::new();
    for column in NUMBERS.iter().chain(&TEXTS).chain(&["SLOT_DT"]) {
        for n in 0..1 + dice.below(fields_max) {
            let text = match *column {
                "SLOT_DT" => time_op(dice),
                column if NUMBERS.contains(&column) => number_op(dice),
                _ => text_op(dice),
            };
            fields.push(field(&format!("{}_{n}", column.to_lowercase()), column, &text));
        }
    }
    closure.mapping.fields = fields;
    closure.tables = BTreeMap::from([
        ("tables/letters".to_owned(), table(dice, false)),
        ("tables/numbers".to_owned(), table(dice, true)),
        ("hierarchies/letters".to_owned(), table(dice, false)),
    ]);
    closure
}

/// Everything that a mapping can hold, whether a loader of today takes it or not.
pub fn rich(dice: &mut Dice, shipped: &[Closure]) -> Closure {
    let mut closure = slots(dice, shipped, 2);
    let mapping = &mut closure.mapping;
    let mut remaining = field("remaining_bucket", "FREE", &bucket(dice));
    remaining.inside = Some(Inside::Label);
    mapping.fields.push(remaining);
    let values = LETTERS[..3].iter().map(|l| (*l).to_owned()).collect();
    mapping.filters = vec![Filter { column: at("STATUS".to_owned()), equals: None, one_of: Some(values) }];
    if dice.below(4) == 0 {
        mapping.status = MappingStatus::Retired;
    }
    closure.policy.severity.insert("L401".into(), at(Severity::Deny));
    mapping.fields.push(field("flag", "", "op = \"const\", value = \"x\""));
    mapping.fields.push(field("dropped", "BOOKED_CNT", "op = \"drop\""));
    mapping.fields.push(field("number", "SLOT_ID", "op = \"token_random\", bits = 96, scope = \"partner\""));
    mapping.fields.push(field("person", "NATIVE_CNT", "op = \"person_token\""));
    mapping.feed.mode = Some(at(*dice.pick(&[Mode::Rules, Mode::Sealed, Mode::Tokens])));
    mapping.feed.epoch = Some(at(mapping::feed_mapping::Days(dice.number(0, 90) as u32)));
    mapping.feed.membership = Some(at(Membership::Sticky));
    let quasi = vec![at("BIRTH_DT".to_owned()), at("SEX_CD".to_owned())];
    let small_cell = *dice.pick(&[SmallCell::Halt, SmallCell::Suppress, SmallCell::Generalize]);
    mapping.risk = Some(Risk { k_min: at(dice.number(5, 50) as u32), small_cell, quasi });
    mapping.lookup = Some(LookupRule { persons_per_day_max: at(100), persons_per_epoch_max: at(1_000) });
    mapping.erasure = Some(Erasure { acknowledge_hours_max: at(24) });
    mapping.legal.consent = Some(at("booking".to_owned()));
    let reason = mapping::Text2 { ko: "사유".into(), en: "reason".into() };
    let until = at("2027-01-31".parse().unwrap());
    mapping.waivers = vec![Waiver { rule: at("L401".to_owned()), field: None, reason, until }];
    closure.consents = BTreeMap::from([("consents/booking.ko.md".to_owned(), Arc::from("동의합니다"))]);
    closure.partner.certificate_pins = vec!["aa".into(), "bb".into()];
    closure.roster = Some(format!("{:08x}", dice.below(1 << 20)));
    closure
}
