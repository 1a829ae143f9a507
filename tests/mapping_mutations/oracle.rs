//! What an observer can tell apart, by looking: every value of a small domain goes through the projector.

use std::collections::BTreeMap;
use std::sync::Arc;

use slotbridge::domain::{Position, Row, SeriesId, SiteKey, SlotKey, SlotVersion, SlotView, Timestamp, Value};
use slotbridge::mapping::feed_mapping::Filter;
use slotbridge::mapping::{MappingSet, Op};
use slotbridge::privacy::{Closure, Projector, Subject};

use super::kit::{Dice, LETTERS, NUMBERS, TEXTS, at, number_op, slots, table, text_op, time_op, transform};

const START: i64 = 1_800_000_000_000 - 1_800_000_000_000 % 86_400_000 - 9 * 3_600_000;

/// Two versions of one mapping: some fields anew, a table anew, a filter, a field less.
pub fn pair(dice: &mut Dice, shipped: &[Closure]) -> (Closure, Closure) {
    let fields_max = 1 + dice.below(2);
    let mut before = slots(dice, shipped, fields_max);
    if dice.below(4) == 0 {
        before.mapping.filters.push(filter(dice));
    }
    let mut after = before.clone();
    match dice.below(8) {
        0 => after.mapping.filters = vec![filter(dice)],
        1 => after.mapping.filters.clear(),
        2 => {
            after.tables.insert("tables/letters".into(), table(dice, false));
        }
        3 => {
            let rows = &mut after.tables.get_mut("tables/letters").unwrap().rows;
            rows.remove(1 + dice.below(4));
        }
        4 => {
            let at = dice.below(after.mapping.fields.len());
            after.mapping.fields.remove(at);
        }
        5 => {
            anew(dice, &mut after);
            anew(dice, &mut after);
        }
        _ => anew(dice, &mut after),
    }
    (before, after)
}

pub fn triple(dice: &mut Dice, shipped: &[Closure]) -> [Closure; 3] {
    let first = slots(dice, shipped, 1);
    let at = dice.below(first.mapping.fields.len());
    let mut other = || {
        let mut closure = first.clone();
        anew_at(dice, &mut closure, at);
        closure
    };
    let (second, third) = (other(), other());
    [first, second, third]
}

fn filter(dice: &mut Dice) -> Filter {
    // With A, which rows of other columns have.
    let values: Vec<String> =
        LETTERS.iter().filter(|l| **l == "A" || dice.below(2) == 0).map(|l| (*l).to_owned()).collect();
    Filter { column: at((*dice.pick(&TEXTS)).to_owned()), equals: None, one_of: Some(values) }
}

fn anew(dice: &mut Dice, closure: &mut Closure) {
    let at = dice.below(closure.mapping.fields.len());
    anew_at(dice, closure, at);
}

fn anew_at(dice: &mut Dice, closure: &mut Closure, at: usize) {
    let field = &mut closure.mapping.fields[at];
    let column = field.source.as_ref().unwrap().get_ref().as_str();
    let text = match column {
        "SLOT_DT" => time_op(dice),
        column if NUMBERS.contains(&column) => number_op(dice),
        _ => text_op(dice),
    };
    field.transform = transform(&text);
}

/// One field a column, nothing filtered, the same tables, one field changed.
pub fn is_plain(before: &Closure, after: &Closure) -> bool {
    let (old, new) = (&before.mapping, &after.mapping);
    let columns = NUMBERS.len() + TEXTS.len() + 1;
    old.filters.is_empty()
        && new.filters.is_empty()
        && before.tables == after.tables
        && old.fields.len() == columns
        && new.fields.len() == columns
        && old.fields.iter().zip(&new.fields).filter(|(old, new)| old != new).count() == 1
}

/// Does an observer of `after` learn of every row at most what one of `before` does, and see no further row?
pub fn tells_at_most(after: &Closure, before: &Closure) -> bool {
    let (seen_after, seen_before) = (Eye::of(after), Eye::of(before));
    let columns = NUMBERS.iter().chain(&TEXTS).chain(&["SLOT_DT"]);
    columns.into_iter().all(|column| {
        let values = domain(column);
        let look = |eye: &Eye| values.iter().map(|value| eye.sees(column, value)).collect::<Vec<Option<String>>>();
        let (now, then) = (look(&seen_after), look(&seen_before));
        // Of a column that is no longer read nothing is told; that a table no longer holds rows of unknown codes back is
        // what removing its field means.
        let is_silent = now.iter().all(|seen| seen.is_some() && *seen == now[0]);
        is_silent
            || (0..values.len()).filter(|v| now[*v].is_some()).all(|v| {
                then[v].is_some() && (0..values.len()).filter(|w| then[*w] == then[v]).all(|w| now[w] == now[v])
            })
    })
}

fn domain(column: &str) -> Vec<Value> {
    let mut values: Vec<Value> = match column {
        "SLOT_DT" => {
            let minutes = [
                0.0, 0.5, 1.0, 2.0, 4.0, 5.0, 7.0, 10.0, 12.0, 15.0, 20.0, 29.0, 30.0, 45.0, 60.0, 90.0, 1_440.0,
                1_500.0,
            ];
            minutes.iter().map(|m| Value::Time(Timestamp(START + (m * 60_000.0) as i64))).collect()
        }
        column if NUMBERS.contains(&column) => (-20..=40).map(Value::Int).collect(),
        _ => LETTERS.iter().chain(&["G", "H"]).map(|text| Value::text(text)).collect(),
    };
    values.push(Value::Null);
    values
}

struct Eye {
    set: MappingSet,
    projector: Projector,
}

impl Eye {
    fn of(closure: &Closure) -> Eye {
        assert!(closure.mapping.fields.iter().all(|f| !matches!(f.transform.op(), Op::PersonToken | Op::TokenRandom)));
        let set = closure.to_set();
        let projector = Projector::compile(&set, closure.partner_id(), closure.kind()).unwrap();
        Eye { set, projector }
    }

    /// What a partner gets of a row with that value.
    fn sees(&self, column: &str, value: &Value) -> Option<String> {
        let mut values: BTreeMap<&str, Value> =
            BTreeMap::from([("SLOT_ID", Value::text("s1")), ("CAPACITY", Value::Int(100))]);
        values.extend(NUMBERS.map(|name| (name, Value::Int(2))));
        values.extend(TEXTS.map(|name| (name, Value::text("A"))));
        values.insert("SLOT_DT", Value::Time(Timestamp(START)));
        values.insert(column, value.clone());
        let layout = self.set.layout("slot").unwrap();
        let row = layout.columns.iter().map(|c| values.get(&*c.name).cloned().unwrap_or(Value::Null)).collect();
        let slot = SlotView {
            key: SlotKey::new("s1").unwrap(),
            site: SiteKey::new("t1").unwrap(),
            series: SeriesId::new("flu").unwrap(),
            start: Timestamp(START),
            version: SlotVersion(1),
            remaining: 5,
            open: true,
            row: Arc::new(Row(row)),
            position: Position(1),
        };
        let record = self.projector.record(Subject::Slot(&slot), Timestamp(0)).ok().flatten()?;
        Some(record.to_json())
    }
}
