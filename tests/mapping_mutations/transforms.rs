//! Weakenings of what fields, tables, hierarchies and filters tell.

use std::collections::BTreeSet;

use slotbridge::mapping::feed_mapping::Filter;
use slotbridge::mapping::{Op, Table};
use slotbridge::privacy::Closure;

use super::kit::{Dice, Kind, at, field, kind, one_way, op, transform};

const TABLE_OPS: [Op; 3] = [Op::Enum, Op::Lookup, Op::Generalize];

pub fn kinds() -> Vec<Kind> {
    vec![
        one_way("bucket_to_person_token", |d, c| replace(d, c, &[Op::Bucket], "op = \"person_token\"")),
        one_way("bucket_to_token_random", |d, c| replace(d, c, &[Op::Bucket], TOKEN)),
        one_way("enum_to_token_random", |d, c| replace(d, c, &[Op::Enum], TOKEN)),
        one_way("lookup_to_token_random", |d, c| replace(d, c, &[Op::Lookup, Op::Generalize], TOKEN)),
        one_way("rounding_to_oprf_index", |d, c| {
            replace(d, c, &[Op::RoundNum, Op::TopBottom], "op = \"oprf_index\", bits = 64")
        }),
        one_way("token_random_to_person_token", |d, c| replace(d, c, &[Op::TokenRandom], "op = \"person_token\"")),
        one_way("keep_to_token_random", |d, c| replace(d, c, &[Op::Keep], TOKEN)),
        kind("bucket_to_keep", |d, c| replace(d, c, &[Op::Bucket], "op = \"keep\"")),
        kind("rounding_to_keep", |d, c| replace(d, c, &[Op::TopBottom, Op::RoundNum, Op::RoundTime], "op = \"keep\"")),
        kind("table_to_keep", |d, c| replace(d, c, &TABLE_OPS, "op = \"keep\"")),
        kind("drop_to_keep", |d, c| replace(d, c, &[Op::Drop], "op = \"keep\"")),
        kind("drop_to_token", |d, c| replace(d, c, &[Op::Drop], TOKEN)),
        kind("const_to_column", const_to_column),
        one_way("const_changed", |d, c| replace(d, c, &[Op::Const], "op = \"const\", value = \"y\"")),
        kind("bucket_finer", bucket_finer),
        one_way("bucket_shifted", bucket_shifted),
        one_way("bucket_relabelled", bucket_relabelled),
        kind("round_finer", round_finer),
        one_way("round_other", round_other),
        kind("round_time_finer", |d, c| {
            replace_where(d, c, "op = \"round_time\", to = \"1m\"", |text| {
                text.contains("\"round_time\"") && !text.contains("\"1m\"")
            })
        }),
        kind("clamp_wider", clamp_wider),
        kind("token_of_fewer_bits", |_, c| edit_token(c, |spec| *spec.bits.as_mut().unwrap().as_mut() -= 8)),
        kind("token_of_all_partners", |_, c| {
            use slotbridge::mapping::transform::TokenScope;
            edit_token(c, |spec| spec.scope = Some(at(TokenScope::All)))
        }),
        kind("field_added", field_added),
        one_way("field_renamed", field_renamed),
        one_way("field_of_another_column", field_of_another_column),
        one_way("key_prefix", |d, c| replace(d, c, &[Op::Keep], "op = \"keep\", prefix = \"q-\"")),
        kind("out_of_the_sealed_part", |_, c| {
            let sealed = c.mapping.fields.iter_mut().find(|f| f.inside.is_some());
            sealed.is_some_and(|f| f.inside.take().is_some())
        }),
        kind("table_split", |d, c| split(d, c, &[Op::Enum, Op::Lookup])),
        kind("hierarchy_split", |d, c| split(d, c, &[Op::Generalize])),
        kind("table_value_let_through", |d, c| let_through(d, c, &[Op::Enum, Op::Lookup])),
        kind("hierarchy_value_let_through", |d, c| let_through(d, c, &[Op::Generalize])),
        one_way("table_value_left_alone", left_alone),
        one_way("table_relabelled", table_relabelled),
        kind("level_finer", level_finer),
        one_way("filter_value_added", filter_value_added),
        kind("filter_value_added_to_what_is_kept", |d, c| is_filtered_kept(c) && filter_value_added(d, c)),
        one_way("filter_removed", |_, c| c.mapping.filters.pop().is_some()),
        one_way("filter_on_what_was_not_told", filter_on_untold),
        one_way("filter_moved", |_, c| {
            let Some(filter) = c.mapping.filters.first_mut() else { return false };
            (filter.equals, filter.one_of) = (Some("ELSE".to_owned()), None);
            true
        }),
    ]
}

const TOKEN: &str = "op = \"token_random\", bits = 64, scope = \"partner\"";

fn fields_of(closure: &Closure, ops: &[Op]) -> Vec<usize> {
    (0..closure.mapping.fields.len()).filter(|at| ops.contains(&op(&closure.mapping.fields[*at]))).collect()
}

fn any_of(dice: &mut Dice, closure: &Closure, ops: &[Op]) -> Option<usize> {
    let found = fields_of(closure, ops);
    (!found.is_empty()).then(|| *dice.pick(&found))
}

fn replace(dice: &mut Dice, closure: &mut Closure, ops: &[Op], text: &str) -> bool {
    let Some(at) = any_of(dice, closure, ops) else { return false };
    let new = transform(text);
    let changed = closure.mapping.fields[at].transform != new;
    closure.mapping.fields[at].transform = new;
    changed
}

fn replace_where(dice: &mut Dice, closure: &mut Closure, text: &str, fits: fn(&str) -> bool) -> bool {
    let found: Vec<usize> = (0..closure.mapping.fields.len())
        .filter(|at| fits(&serde_json::to_string(&closure.mapping.fields[*at].transform).unwrap()))
        .collect();
    if found.is_empty() {
        return false;
    }
    let at = *dice.pick(&found);
    closure.mapping.fields[at].transform = transform(text);
    true
}

fn const_to_column(_: &mut Dice, closure: &mut Closure) -> bool {
    let Some(at) = fields_of(closure, &[Op::Const]).first().copied() else { return false };
    let name = closure.mapping.fields[at].name.get_ref().clone();
    closure.mapping.fields[at] = field(&name, "MIN_AGE", "op = \"keep\"");
    true
}

fn bucket_finer(dice: &mut Dice, closure: &mut Closure) -> bool {
    let Some(at_field) = any_of(dice, closure, &[Op::Bucket]) else { return false };
    let spec = &mut closure.mapping.fields[at_field].transform;
    let (edges, labels) = (spec.edges.as_mut().unwrap().as_mut(), spec.labels.as_mut().unwrap().as_mut());
    let edge = edges[0] + dice.number(1, 30);
    let Err(place) = edges.binary_search(&edge) else { return false };
    edges.insert(place, edge);
    labels.insert(place, format!("new {edge}"));
    true
}

fn bucket_shifted(dice: &mut Dice, closure: &mut Closure) -> bool {
    let Some(at_field) = any_of(dice, closure, &[Op::Bucket]) else { return false };
    let edges = closure.mapping.fields[at_field].transform.edges.as_mut().unwrap().as_mut();
    let by = dice.number(1, 3);
    edges.iter_mut().for_each(|edge| *edge += by);
    edges.len() > 1
}

fn bucket_relabelled(dice: &mut Dice, closure: &mut Closure) -> bool {
    let Some(at_field) = any_of(dice, closure, &[Op::Bucket]) else { return false };
    let labels = closure.mapping.fields[at_field].transform.labels.as_mut().unwrap().as_mut();
    let at = dice.below(labels.len());
    labels[at].push('!');
    true
}

fn step_of(closure: &Closure, at: usize) -> i64 {
    serde_json::to_value(&closure.mapping.fields[at].transform).unwrap()["to"].as_i64().unwrap()
}

fn round_finer(dice: &mut Dice, closure: &mut Closure) -> bool {
    let Some(at) = any_of(dice, closure, &[Op::RoundNum]) else { return false };
    let step = step_of(closure, at);
    let divisors: Vec<i64> = (1..step).filter(|d| step % d == 0).collect();
    if divisors.is_empty() {
        return false;
    }
    let to = dice.pick(&divisors);
    closure.mapping.fields[at].transform = transform(&format!("op = \"round_num\", to = {to}"));
    true
}

fn round_other(dice: &mut Dice, closure: &mut Closure) -> bool {
    let Some(at) = any_of(dice, closure, &[Op::RoundNum]) else { return false };
    let step = step_of(closure, at);
    closure.mapping.fields[at].transform = transform(&format!("op = \"round_num\", to = {}", step + 1));
    step > 1
}

fn clamp_wider(dice: &mut Dice, closure: &mut Closure) -> bool {
    let Some(at) = any_of(dice, closure, &[Op::TopBottom]) else { return false };
    let spec = &mut closure.mapping.fields[at].transform;
    if dice.below(2) == 0 {
        *spec.low.as_mut().unwrap().as_mut() -= 1;
    } else {
        *spec.high.as_mut().unwrap().as_mut() += 1;
    }
    true
}

fn edit_token(closure: &mut Closure, edit: fn(&mut slotbridge::mapping::transform::TransformSpec)) -> bool {
    let Some(at) = fields_of(closure, &[Op::TokenRandom]).first().copied() else { return false };
    let spec = &mut closure.mapping.fields[at].transform;
    let before = spec.clone();
    edit(spec);
    *spec != before && *spec.bits.as_ref().unwrap().get_ref() >= 64
}

fn field_added(dice: &mut Dice, closure: &mut Closure) -> bool {
    let column = dice.pick(&closure.object.columns).name.clone();
    let name = format!("extra_{}", closure.mapping.fields.len());
    let text = if dice.below(2) == 0 { "op = \"keep\"" } else { TOKEN };
    closure.mapping.fields.push(field(&name, &column, text));
    true
}

fn published(dice: &mut Dice, closure: &Closure) -> Option<usize> {
    let found: Vec<usize> = (0..closure.mapping.fields.len())
        .filter(|at| op(&closure.mapping.fields[*at]) != Op::Drop && closure.mapping.fields[*at].source.is_some())
        .collect();
    (!found.is_empty()).then(|| *dice.pick(&found))
}

fn field_renamed(dice: &mut Dice, closure: &mut Closure) -> bool {
    let Some(at) = published(dice, closure) else { return false };
    closure.mapping.fields[at].name.as_mut().push_str("_x");
    true
}

fn field_of_another_column(dice: &mut Dice, closure: &mut Closure) -> bool {
    let Some(at_field) = published(dice, closure) else { return false };
    let column = dice.pick(&closure.object.columns).name.clone();
    let source = &mut closure.mapping.fields[at_field].source;
    let changed = source.as_ref().unwrap().get_ref() != &column;
    *source = Some(at(column));
    changed
}

/// The table that a field reads, and the place of the value that it shows.
fn table_of(closure: &mut Closure, at: usize) -> (&mut Table, usize) {
    let spec = serde_json::to_value(&closure.mapping.fields[at].transform).unwrap();
    let text = |name: &str| spec[name].as_str().map(str::to_owned);
    let path = match (text("table"), text("hierarchy")) {
        (Some(table), _) => format!("tables/{table}"),
        (_, hierarchy) => format!("hierarchies/{}", hierarchy.unwrap()),
    };
    let table = closure.tables.get_mut(&path).unwrap();
    let value = text("value").or(text("level"));
    let column = value.map_or(1, |name| table.columns.iter().position(|c| *c == name).unwrap());
    (table, column)
}

fn split(dice: &mut Dice, closure: &mut Closure, ops: &[Op]) -> bool {
    let Some(at) = any_of(dice, closure, ops) else { return false };
    let new = format!("split {}", dice.below(1 << 20));
    let (table, column) = table_of(closure, at);
    let shared = (0..table.rows.len())
        .find(|row| table.rows.iter().filter(|other| other[column] == table.rows[*row][column]).count() > 1);
    shared.is_some_and(|row| {
        table.rows[row][column] = new;
        true
    })
}

fn let_through(dice: &mut Dice, closure: &mut Closure, ops: &[Op]) -> bool {
    let Some(at) = any_of(dice, closure, ops) else { return false };
    let n = dice.below(1 << 20) + 100;
    let (table, _) = table_of(closure, at);
    let width = table.columns.len();
    let row = (0..width).map(|column| if column == 0 { n.to_string() } else { format!("only {n}") });
    table.rows.push(row.collect());
    true
}

fn left_alone(dice: &mut Dice, closure: &mut Closure) -> bool {
    let Some(at) = any_of(dice, closure, &TABLE_OPS) else { return false };
    let (table, column) = table_of(closure, at);
    let shared = (0..table.rows.len())
        .find(|row| table.rows.iter().filter(|other| other[column] == table.rows[*row][column]).count() > 1);
    shared.is_some_and(|row| {
        table.rows.remove(row);
        true
    })
}

fn table_relabelled(dice: &mut Dice, closure: &mut Closure) -> bool {
    let Some(at) = any_of(dice, closure, &TABLE_OPS) else { return false };
    let (table, column) = table_of(closure, at);
    let old = table.rows[0][column].clone();
    for row in table.rows.iter_mut().filter(|row| row[column] == old) {
        row[column].push('!');
    }
    true
}

fn level_finer(_: &mut Dice, closure: &mut Closure) -> bool {
    let coarse = |at: &usize| {
        let level = closure.mapping.fields[*at].transform.level.as_ref();
        level.is_some_and(|level| level.get_ref() == "coarse")
    };
    let Some(at_field) = fields_of(closure, &[Op::Generalize]).into_iter().find(coarse) else { return false };
    closure.mapping.fields[at_field].transform.level = Some(at("fine".to_owned()));
    let rows = &closure.tables["hierarchies/letters"].rows;
    let values = |column: usize| rows.iter().map(|row| &row[column]).collect::<BTreeSet<_>>().len();
    values(2) > values(1)
}

fn filter_value_added(_: &mut Dice, closure: &mut Closure) -> bool {
    let Some(filter) = closure.mapping.filters.first_mut() else { return false };
    let Some(values) = &mut filter.one_of else { return false };
    values.push(format!("MORE{}", values.len()));
    true
}

fn is_filtered_kept(closure: &Closure) -> bool {
    let Some(filter) = closure.mapping.filters.first() else { return false };
    let kept = closure.mapping.fields.iter().filter(|f| op(f) == Op::Keep);
    kept.filter_map(|f| f.source.as_ref()).any(|s| s.get_ref() == filter.column.get_ref())
}

fn filter_on_untold(dice: &mut Dice, closure: &mut Closure) -> bool {
    let column = dice.pick(&closure.object.columns).name.clone();
    let mapping = &mut closure.mapping;
    let is_read = mapping.fields.iter().filter_map(|f| f.source.as_ref()).any(|s| s.get_ref() == &column);
    if is_read || mapping.filters.iter().any(|f| f.column.get_ref() == &column) {
        return false;
    }
    mapping.filters.push(Filter { column: at(column), equals: Some("A".to_owned()), one_of: None });
    true
}
