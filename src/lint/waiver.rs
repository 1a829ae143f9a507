//! Waivers: what they cover, and what is wrong with them. Judged after everything else.

use jiff::ToSpan;

use super::checks::words::is_boilerplate;
use super::finding::Waived;
use super::judge::Judge;
use super::place::Step::{At, Key};
use super::rules;
use crate::mapping::{Drawn, FeedMapping, Severity, feed_mapping::Waiver};

pub(super) fn apply(judge: &mut Judge<'_>) {
    for drawn in &judge.parts.mappings {
        for (at, waiver) in drawn.mapping.waivers.iter().enumerate() {
            judge_one(judge, drawn, at, waiver);
        }
    }
}

fn judge_one(judge: &mut Judge<'_>, drawn: &Drawn, at: usize, waiver: &Waiver) {
    let file = drawn.file.as_str();
    let path = |key: &'static str| [Key("waiver"), At(at), Key(key)];
    let id = waiver.rule.get_ref();
    let Some(rule) = rules::find(id) else {
        let (ko, en) = (format!("‘{id}’라는 규칙은 없습니다."), format!("there is no rule ‘{id}’"));
        return judge.say("L122", file, &path("rule"), ko, en);
    };
    if judge.severity(rule) == Severity::Deny {
        let (ko, en) =
            (format!("{id}은(는) deny이므로 면제되지 않습니다."), format!("{id} denies and cannot be waived"));
        return judge.say("L120", file, &path("rule"), ko, en);
    }
    if let Some(field) = waiver.field.as_ref().filter(|field| !has_field(&drawn.mapping, field.get_ref())) {
        let name = field.get_ref();
        let (ko, en) = (format!("‘{name}’라는 필드는 없습니다."), format!("there is no field ‘{name}’"));
        return judge.say("L122", file, &path("field"), ko, en);
    }
    if is_boilerplate(&waiver.reason.ko) || is_boilerplate(&waiver.reason.en) {
        let ko = format!("{id} 면제의 사유가 형식적입니다.");
        judge.say("L124", file, &path("reason"), ko, format!("the waiver of {id} gives no reason to go by"));
    }
    let (until, today) = (*waiver.until.get_ref(), judge.beside.today);
    if until < today {
        let ko = format!("{id} 면제는 {until}에 끝났습니다.");
        return judge.say("L121", file, &path("until"), ko, format!("the waiver of {id} ended on {until}"));
    }
    if today.checked_add(366.days()).is_ok_and(|latest| until > latest) {
        let ko = format!("{id} 면제가 {until}까지입니다.");
        judge.say("L125", file, &path("until"), ko, format!("the waiver of {id} runs until {until}"));
    }
    let waived = Waived { ko: waiver.reason.ko.clone(), en: waiver.reason.en.clone(), until };
    let mut is_used = false;
    for finding in judge.findings.iter_mut().filter(|f| f.file == file && f.rule.id == rule.id && !f.is_denial()) {
        if waiver.field.as_ref().is_none_or(|field| finding.field.as_ref() == Some(field.get_ref())) {
            finding.waived = Some(waived.clone());
            is_used = true;
        }
    }
    if !is_used {
        let ko = format!("{id}에 해당하는 경고가 없습니다.");
        judge.say("L123", file, &path("rule"), ko, format!("nothing is found that the waiver of {id} would cover"));
    }
}

fn has_field(mapping: &FeedMapping, name: &str) -> bool {
    mapping.fields.iter().any(|field| field.name.get_ref() == name)
}
