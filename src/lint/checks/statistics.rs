//! L4xx: groups, hierarchies, differencing; and what a risk report says.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::lint::judge::Judge;
use crate::lint::place::Step::{At, Key};
use crate::lint::risk::{RiskReport, share_is_over};
use crate::mapping::{Class, Drawn, FeedKind, MappingStatus, PartnerRole, Transform};

pub(in crate::lint) fn check(judge: &mut Judge<'_>) {
    for drawn in &judge.parts.mappings {
        groups(judge, drawn);
        small_slots(judge, drawn);
        measured(judge, drawn);
    }
    hierarchies(judge);
    differencing(judge);
}

fn groups(judge: &mut Judge<'_>, drawn: &Drawn) {
    if !judge.holds_persons(drawn) {
        return;
    }
    let file = drawn.file.as_str();
    if drawn.kind == FeedKind::Eligibility && drawn.mapping.feed.membership.is_none() {
        let en = "a person who books leaves the feed at once";
        judge.say("L410", file, &[Key("feed"), Key("mode")], "예약하면 바로 사라집니다.", en);
    }
    let Some(risk) = &drawn.mapping.risk else {
        return judge.say("L401", file, &[Key("feed"), Key("kind")], "[risk]가 없습니다.", "there is no [risk]");
    };
    let (asked, least) = (*risk.k_min.get_ref(), judge.parts.policy.as_ref().map_or(0, |policy| policy.risk.k_min));
    if asked < least {
        let (ko, en) =
            (format!("{asked}이며 정책의 최소는 {least}입니다."), format!("{asked}, the policy asks for {least}"));
        judge.say("L402", file, &[Key("risk"), Key("k_min")], ko, en);
    }
    for (_, field, column) in judge.published(drawn) {
        if column.class == Class::Quasi && !risk.quasi.iter().any(|name| *name.get_ref() == column.name) {
            let ko = format!("{}이(가) quasi에 없습니다.", column.name);
            let en = format!("{} leaves as ‘{}’ and does not stand in quasi", column.name, field.name.get_ref());
            judge.say("L413", file, &[Key("risk"), Key("quasi")], ko, en);
        }
    }
}

fn small_slots(judge: &mut Judge<'_>, drawn: &Drawn) {
    measured_slots(judge, drawn);
    let is_off = judge.parts.policy.as_ref().is_some_and(|policy| policy.small_slots.capacity_max == 0);
    let is_partner = judge.partner(drawn).is_some_and(|partner| partner.role != PartnerRole::Agency);
    if !is_off || !is_partner || drawn.kind != FeedKind::Slots {
        return;
    }
    for (at, _, _) in judge.published(drawn).into_iter().filter(|(_, _, column)| column.name == "FREE") {
        let path = [Key("field"), At(at), Key("source")];
        judge.say(
            "L412",
            &drawn.file,
            &path,
            "소규모 회차 보호가 꺼져 있습니다.",
            "small slots tell how many are left",
        );
    }
}

/// What was seen counts whatever the policy says.
fn measured_slots(judge: &mut Judge<'_>, drawn: &Drawn) {
    let (id, version) = (drawn.mapping.id.get_ref().as_str(), drawn.mapping.version);
    let measured = judge.beside.risk.and_then(|reports| reports.of_slots(id, version));
    let Some(slots) = measured.filter(|slots| slots.telling > 0 && !slots.is_exempt) else { return };
    let (telling, small) = (slots.telling, slots.small);
    let ko = format!("소규모 회차 {small}건 중 {telling}건이 예약 가능 여부보다 많은 것을 알려 줍니다.");
    let en = format!("{telling} of {small} small slots tell more than that they are bookable");
    judge.say("L412", &drawn.file, &[Key("feed"), Key("kind")], ko, en);
}

fn measured(judge: &mut Judge<'_>, drawn: &Drawn) {
    let Some(reports) = judge.beside.risk.filter(|_| judge.holds_persons(drawn)) else { return };
    let (file, mapping) = (drawn.file.as_str(), &drawn.mapping);
    let Some(report) = reports.of(mapping.id.get_ref(), mapping.version) else {
        let (ko, en) = (
            format!("{}판의 보고서가 없습니다.", mapping.version),
            format!("version {} was not measured", mapping.version),
        );
        return judge.say("L403", file, &[Key("version")], ko, en);
    };
    labels(judge, drawn, report);
    let k_min = mapping.risk.as_ref().map_or(0, |risk| u64::from(*risk.k_min.get_ref()));
    if report.rows_under_k > 0 || report.k_smallest.is_some_and(|k| k < k_min) {
        let k = report.k_smallest.unwrap_or(0);
        let ko = format!("가장 작은 집단이 {k}명, k_min 미만 {}건입니다.", report.rows_under_k);
        let en = format!("the smallest group has {k}, {} rows are in groups under {k_min}", report.rows_under_k);
        judge.say("L408", file, &[Key("risk"), Key("k_min")], ko, en);
    }
    let Some(limits) = judge.parts.policy.as_ref().map(|policy| &policy.risk) else { return };
    let all = report.rows.saturating_add(report.suppressed);
    if share_is_over(report.suppressed, all, limits.suppressed_percent_max) {
        let ko = format!("{all}건 중 {}건이 빠집니다.", report.suppressed);
        judge.say("L409", file, &[Key("risk")], ko, format!("{} of {all} rows are left out", report.suppressed));
    }
}

fn labels(judge: &mut Judge<'_>, drawn: &Drawn, report: &RiskReport) {
    let most = judge.parts.policy.as_ref().map_or(80, |policy| policy.risk.homogeneity_percent_max.min(80));
    for label in &report.labels {
        let at = drawn.mapping.fields.iter().position(|field| *field.name.get_ref() == label.field);
        let path = [Key("field"), At(at.unwrap_or(usize::MAX)), Key("name")];
        let named = format!("{} = ‘{}’", label.field, label.value);
        if label.reasons < 2 {
            let ko = format!("{named}의 실제 사유가 {}가지입니다.", label.reasons);
            judge.say("L404", &drawn.file, &path, ko, format!("{named} has {} underlying reason(s)", label.reasons));
        } else if share_is_over(label.largest_reason_rows, label.rows, most) {
            let ko = format!("{named}의 한 사유가 {most}%를 넘습니다.");
            judge.say("L405", &drawn.file, &path, ko, format!("one reason makes up more than {most} % of {named}"));
        }
    }
}

/// Bytes of the data lines of a table, in order.
fn lines(text: &str) -> Vec<Range<usize>> {
    let mut start = 0;
    let mut lines = Vec::new();
    for line in text.split_inclusive('\n') {
        let bare = line.trim_end_matches(['\n', '\r']);
        if !bare.is_empty() {
            lines.push(start..start + bare.len());
        }
        start += line.len();
    }
    lines
}

fn hierarchies(judge: &mut Judge<'_>) {
    let parts = judge.parts;
    for (path, table) in parts.tables.iter().filter(|(path, _)| path.starts_with("hierarchies/")) {
        let file = format!("{path}.csv");
        let lines = parts.texts.get(&file).map(|text| lines(text)).unwrap_or_default();
        let span = |row: usize| lines.get(row + 1).cloned().unwrap_or(0..0);
        for (at, row) in table.rows.iter().enumerate().filter(|(_, row)| row.iter().any(|cell| cell.trim().is_empty()))
        {
            let ko = format!("‘{}’의 단계가 비어 있습니다.", row[0]);
            judge.say_at("L406", &file, span(at), ko, format!("‘{}’ lacks a level", row[0]));
        }
        for level in 1..table.columns.len().saturating_sub(1) {
            let mut above: BTreeMap<&str, &str> = BTreeMap::new();
            for (at, row) in table.rows.iter().enumerate() {
                if *above.entry(&row[level]).or_insert(&row[level + 1]) != row[level + 1] {
                    let ko = format!("‘{}’이(가) {} 단계에서 갈라집니다.", row[level], table.columns[level + 1]);
                    let en = format!("‘{}’ is split at the coarser level {}", row[level], table.columns[level + 1]);
                    judge.say_at("L407", &file, span(at), ko, en);
                }
            }
        }
    }
}

/// Two cuts of which one refines the other tell together what the finer one tells.
fn tell_more_together(a: &Transform, b: &Transform) -> bool {
    match (a, b) {
        (Transform::Bucket { edges: a, .. }, Transform::Bucket { edges: b, .. }) => {
            let within = |few: &[i64], many: &[i64]| few.iter().skip(1).all(|edge| many[1..].contains(edge));
            !within(a, b) && !within(b, a)
        }
        _ => a != b,
    }
}

/// The same column cut differently for two partners.
fn differencing(judge: &mut Judge<'_>) {
    let mut first: BTreeMap<(&str, &str), (&Drawn, Transform)> = BTreeMap::new();
    for drawn in judge.parts.mappings.iter().filter(|drawn| drawn.mapping.status == MappingStatus::Active) {
        if judge.partner(drawn).is_none_or(|partner| partner.role == PartnerRole::Agency) {
            continue;
        }
        for (at, field, column) in judge.published(drawn) {
            let Ok(meaning) = field.transform.meaning() else { continue };
            let cuts = matches!(
                meaning,
                Transform::Bucket { .. }
                    | Transform::RoundNum { .. }
                    | Transform::RoundTime { .. }
                    | Transform::TopBottom { .. }
                    | Transform::Generalize { .. }
            );
            if !cuts {
                continue;
            }
            let key = (drawn.mapping.source.object.get_ref().as_str(), column.name.as_str());
            let (other, expected) = first.entry(key).or_insert_with(|| (drawn, meaning.clone()));
            if other.partner != drawn.partner && tell_more_together(expected, &meaning) {
                let other = other.mapping.id.get_ref().clone();
                let ko = format!("{}의 구간이 {other}와 다릅니다.", column.name);
                let path = [Key("field"), At(at), Key("transform"), Key("op")];
                judge.say("L411", &drawn.file, &path, ko, format!("{} is cut otherwise than in {other}", column.name));
            }
        }
    }
}
