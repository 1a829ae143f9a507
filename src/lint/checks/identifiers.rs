//! L203, L205 to L213: what a column is by its name, and what its field makes of it.

use std::collections::BTreeSet;

use super::words::{self, Term, is_boilerplate, may_name_a_person, term};
use crate::lint::judge::Judge;
use crate::lint::place::Step::{At, Key};
use crate::mapping::{Class, Column, ColumnType, Drawn, Object, Op, PartnerRole, Role, Table, Transform};

pub(in crate::lint) fn check(judge: &mut Judge<'_>) {
    catalogue(judge);
    for drawn in &judge.parts.mappings {
        reasons(judge, drawn);
        needed(judge, drawn);
        transforms(judge, drawn);
    }
}

fn catalogue(judge: &mut Judge<'_>) {
    let Some(catalogue) = &judge.parts.catalogue else { return };
    for (at, object) in catalogue.objects.iter().enumerate() {
        for (n, column) in object.columns.iter().enumerate() {
            let named = format!("{}.{}", object.name, column.name);
            let path = [Key("object"), At(at), Key("column"), At(n), Key("class")];
            for (rule, terms) in [("L203", words::IDENTIFIERS), ("L210", words::FREE_TEXTS), ("L211", words::SENSITIVE)]
            {
                if let Some(term) = misfit(terms, object, column) {
                    let class = column.class.code();
                    let ko = format!("{named}은(는) 이름으로 보아 {}이나 분류가 {class}입니다.", term.what_ko);
                    let en = format!("{named} is {} by its name and classed {class}", term.what_en);
                    judge.say(rule, "catalog.toml", &path, ko, en);
                }
            }
            if column.class == Class::OrgPublic && term(words::MOBILES, column).is_some() {
                let ko = format!("{named}은(는) 이름으로 보아 개인의 연락처입니다.");
                judge.say("L209", "catalog.toml", &path, ko, format!("{named} is a person's number by its name"));
            }
            let never = [Class::UniqueId, Class::Direct, Class::LinkageId, Class::Sensitive];
            if column.role == Some(Role::Key) && never.contains(&column.class) {
                let ko = format!("{named}이(가) 키입니다.");
                let en = format!("rows are named by {named}, which is {}", column.class.code());
                judge.say("L207", "catalog.toml", &path, ko, en);
            }
        }
    }
}

fn misfit<'t>(terms: &'t [Term], object: &Object, column: &Column) -> Option<&'t Term> {
    term(terms, column).filter(|term| !term.fits(column.class) && !is_criterion(object, column))
}

/// `BIRTH_FROM` of an object that tells nothing of persons is a rule's bound, not somebody's birth.
fn is_criterion(object: &Object, column: &Column) -> bool {
    let bound = ["_FROM", "_TO", "_MIN", "_MAX"].iter().any(|end| column.name.ends_with(end));
    let plain = [Class::Public, Class::Operational];
    bound && column.kind == ColumnType::Integer && object.columns.iter().all(|c| plain.contains(&c.class))
}

fn reasons(judge: &mut Judge<'_>, drawn: &Drawn) {
    let labels: BTreeSet<&str> =
        judge.object(drawn).iter().flat_map(|o| &o.columns).map(|c| c.label.ko.as_str()).collect();
    for (at, field) in drawn.mapping.fields.iter().enumerate() {
        let repeats_label = labels.contains(field.why.ko.trim());
        if repeats_label || is_boilerplate(&field.why.ko) || is_boilerplate(&field.why.en) {
            let name = field.name.get_ref();
            let ko = format!("‘{name}’이(가) 필요한 이유가 형식적입니다.");
            let en = format!("why ‘{name}’ is needed says nothing");
            judge.say("L205", &drawn.file, &[Key("field"), At(at), Key("why")], ko, en);
        }
    }
}

/// Bookkeeping of the legacy system and the bridge, which no purpose of a partner needs.
const NEVER_NEEDED: [Role; 9] = [
    Role::Native,
    Role::Counter,
    Role::EscrowUnits,
    Role::LastOp,
    Role::Ci,
    Role::Person,
    Role::Op,
    Role::Class,
    Role::UpdatedAt,
];

fn needed(judge: &mut Judge<'_>, drawn: &Drawn) {
    let is_agency = judge.partner(drawn).is_some_and(|partner| partner.role == PartnerRole::Agency);
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for (at, field, column) in judge.published(drawn) {
        let path = [Key("field"), At(at), Key("source")];
        let name = field.name.get_ref();
        if !seen.insert(&column.name) {
            let ko = format!("{}을(를) ‘{name}’으로 다시 내보냅니다.", column.name);
            judge.say("L206", &drawn.file, &path, ko, format!("{} leaves a second time, as ‘{name}’", column.name));
        } else if !is_agency && column.role.is_some_and(|role| NEVER_NEEDED.contains(&role)) {
            let ko = format!("{}은(는) 기관 내부에서만 쓰는 항목입니다.", column.name);
            judge.say("L206", &drawn.file, &path, ko, format!("{} is the agency's own bookkeeping", column.name));
        }
        let keeps = matches!(field.transform.op(), Op::Keep | Op::Enum | Op::Lookup);
        if keeps && may_name_a_person(&column.name) {
            let ko = format!("{}에 사람 이름이 있을 수 있습니다.", column.name);
            judge.say("L208", &drawn.file, &path, ko, format!("{} may hold names of people", column.name));
        }
    }
}

fn transforms(judge: &mut Judge<'_>, drawn: &Drawn) {
    for (at, field, column) in judge.published(drawn) {
        let path = [Key("field"), At(at), Key("transform"), Key("op")];
        match field.transform.meaning() {
            Ok(Transform::Bucket { edges, .. })
                if edges.len() > 2 && edges.windows(2).all(|pair| pair[1] - pair[0] == 1) =>
            {
                let ko = format!("{}의 구간이 모두 값 하나입니다.", column.name);
                judge.say("L212", &drawn.file, &path, ko, format!("every bucket of {} is one value", column.name));
            }
            Ok(Transform::Enum { table }) if is_close(column.class) => {
                let table = judge.parts.tables.get(&format!("tables/{table}"));
                one_to_one(judge, drawn, &path, column, table, 0, 1);
            }
            Ok(Transform::Lookup { table, key, value }) if is_close(column.class) => {
                let table = judge.parts.tables.get(&format!("tables/{table}"));
                let position = |name: &str| table.and_then(|table| table.columns.iter().position(|c| c == name));
                if let (Some(key), Some(value)) = (position(&key), position(&value)) {
                    one_to_one(judge, drawn, &path, column, table, key, value);
                }
            }
            _ => {}
        }
    }
}

/// Told of a person rather than of a thing.
fn is_close(class: Class) -> bool {
    !matches!(class, Class::Public | Class::Operational | Class::OrgPublic)
}

fn one_to_one(
    judge: &mut Judge<'_>,
    drawn: &Drawn,
    path: &[crate::lint::place::Step<'_>],
    column: &Column,
    table: Option<&Table>,
    key: usize,
    value: usize,
) {
    let Some(table) = table.filter(|table| table.columns.len() > value.max(key) && !table.rows.is_empty()) else {
        return;
    };
    let keys: BTreeSet<&String> = table.rows.iter().map(|row| &row[key]).collect();
    let values: BTreeSet<&String> = table.rows.iter().map(|row| &row[value]).collect();
    if keys.len() == values.len() {
        let ko = format!("{}의 변환표가 일대일입니다.", column.name);
        judge.say("L213", &drawn.file, path, ko, format!("the table of {} is one to one", column.name));
    }
}
