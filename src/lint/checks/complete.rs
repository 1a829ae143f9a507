//! L111 to L119: what is written, whether it can be read and judged.

use std::collections::BTreeSet;

use super::words::is_boilerplate;
use crate::lint::judge::Judge;
use crate::lint::place::Step::{At, Key};
use crate::lint::rules;
use crate::mapping::{Drawn, FeedKind, MappingStatus, Text2, Transform};

const COLUMNS_MAX: usize = 200;
const FIELDS_MAX: usize = 100;

pub(in crate::lint) fn check(judge: &mut Judge<'_>) {
    for drawn in &judge.parts.mappings {
        texts(judge, drawn);
        filters(judge, drawn);
        sites(judge, drawn);
        if drawn.mapping.fields.len() > FIELDS_MAX {
            let count = drawn.mapping.fields.len();
            let (ko, en) = (format!("필드가 {count}개입니다."), format!("{count} fields"));
            judge.say("L117", &drawn.file, &[Key("field")], ko, en);
        }
        for (at, withheld) in drawn.mapping.withheld.iter().enumerate() {
            if is_boilerplate(&withheld.reason.ko) || is_boilerplate(&withheld.reason.en) {
                let path = [Key("withheld"), At(at), Key("reason")];
                judge.say(
                    "L115",
                    &drawn.file,
                    &path,
                    "미제공 사유가 형식적입니다.",
                    "the reason for withholding says nothing",
                );
            }
        }
    }
    catalogue(judge);
    unused(judge);
    severities(judge);
}

fn is_blank(text: &Text2) -> bool {
    text.ko.trim().is_empty() || text.en.trim().is_empty()
}

fn texts(judge: &mut Judge<'_>, drawn: &Drawn) {
    let mapping = &drawn.mapping;
    if is_blank(&mapping.title) {
        judge.say("L113", &drawn.file, &[Key("title")], "제목이 비어 있습니다.", "the title is blank");
    }
    let purpose = Text2 { ko: mapping.purpose.ko.clone(), en: mapping.purpose.en.clone() };
    if is_blank(&purpose) {
        judge.say("L113", &drawn.file, &[Key("purpose"), Key("ko")], "목적이 비어 있습니다.", "the purpose is blank");
    } else if is_boilerplate(&purpose.ko) || is_boilerplate(&purpose.en) {
        judge.say(
            "L513",
            &drawn.file,
            &[Key("purpose"), Key("ko")],
            "목적이 형식적입니다.",
            "the purpose says nothing",
        );
    }
}

fn filters(judge: &mut Judge<'_>, drawn: &Drawn) {
    let filters = &drawn.mapping.filters;
    for (at, filter) in filters.iter().enumerate() {
        let column = filter.column.get_ref();
        let earlier = filters[..at].iter().filter(|other| other.column.get_ref() == column);
        let mut values: BTreeSet<&str> = filter.allowed().into_iter().collect();
        let mut is_second = false;
        for other in earlier {
            is_second = true;
            let allowed: BTreeSet<&str> = other.allowed().into_iter().collect();
            values.retain(|value| allowed.contains(value));
        }
        if is_second && values.is_empty() {
            let ko = format!("{column} 조건들에 공통된 값이 없습니다.");
            let en = format!("the filters on {column} have no value in common");
            judge.say("L114", &drawn.file, &[Key("filter"), At(at), Key("column")], ko, en);
        }
    }
}

fn sites(judge: &mut Judge<'_>, drawn: &Drawn) {
    let is_active = |d: &Drawn| d.mapping.status == MappingStatus::Active;
    if drawn.kind != FeedKind::Slots || !is_active(drawn) {
        return;
    }
    let mappings = &judge.parts.mappings;
    if !mappings.iter().any(|d| d.partner == drawn.partner && d.kind == FeedKind::Sites && is_active(d)) {
        let ko = format!("{}에 기관 피드가 없습니다.", drawn.partner);
        let en = format!("{} sees slots and no sites", drawn.partner);
        judge.say("L116", &drawn.file, &[Key("feed"), Key("kind")], ko, en);
    }
}

fn catalogue(judge: &mut Judge<'_>) {
    let file = "catalog.toml";
    let Some(catalogue) = &judge.parts.catalogue else { return };
    for (at, object) in catalogue.objects.iter().enumerate() {
        if is_blank(&object.label) {
            let en = format!("the label of {} is blank", object.name);
            judge.say("L113", file, &[Key("object"), At(at), Key("label")], "명칭이 비어 있습니다.", en);
        }
        if object.columns.len() > COLUMNS_MAX {
            let count = object.columns.len();
            let ko = format!("{}의 항목이 {count}개입니다.", object.name);
            judge.say(
                "L117",
                file,
                &[Key("object"), At(at), Key("name")],
                ko,
                format!("{} has {count} columns", object.name),
            );
        }
        for (n, column) in object.columns.iter().enumerate().filter(|(_, column)| is_blank(&column.label)) {
            let path = [Key("object"), At(at), Key("column"), At(n), Key("label")];
            let en = format!("the label of {}.{} is blank", object.name, column.name);
            judge.say("L113", file, &path, "항목 명칭이 비어 있습니다.", en);
        }
    }
}

fn unused(judge: &mut Judge<'_>) {
    let parts = judge.parts;
    let mut used: BTreeSet<String> = BTreeSet::new();
    for drawn in &parts.mappings {
        used.extend(drawn.mapping.legal.consent.iter().map(|name| format!("consents/{}.ko.md", name.get_ref())));
        let meanings = drawn.mapping.fields.iter().filter_map(|field| field.transform.meaning().ok());
        used.extend(meanings.filter_map(|meaning| match meaning {
            Transform::Enum { table } | Transform::Lookup { table, .. } => Some(format!("tables/{table}.csv")),
            Transform::Generalize { hierarchy, .. } => Some(format!("hierarchies/{hierarchy}.csv")),
            _ => None,
        }));
    }
    for name in parts.texts.keys().filter(|name| name.ends_with(".csv") || name.starts_with("consents/")) {
        if !used.contains(name) {
            judge.say_at(
                "L112",
                name,
                0..0,
                format!("{name}을(를) 쓰는 매핑이 없습니다."),
                format!("no mapping uses {name}"),
            );
        }
    }
}

fn severities(judge: &mut Judge<'_>) {
    let Some(policy) = &judge.parts.policy else { return };
    for (id, severity) in &policy.severity {
        let path = [Key("severity"), Key(id)];
        match rules::find(id) {
            None => {
                let ko = format!("‘{id}’라는 규칙은 없습니다.");
                judge.say("L119", "policy.toml", &path, ko, format!("there is no rule ‘{id}’"));
            }
            Some(rule) if *severity.get_ref() < rule.floor => {
                let floor = rules::severity_code(rule.floor);
                let ko = format!("{id}의 하한은 {floor}입니다.");
                judge.say("L118", "policy.toml", &path, ko, format!("{id} is at least {floor}"));
            }
            Some(_) => {}
        }
    }
}
