//! Gathers rows, and the directions that parts of a closure have.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use crate::privacy::{Closure, sha256_hex};

use super::{Axis, ChangeRow, Verdict};

/// Longer texts are cut and named by their digest: a page shows them elsewhere.
const TEXT_CHARS_MAX: usize = 160;
const TEXT_CHARS_CUT: usize = 100;

#[derive(Default)]
pub(super) struct Rows(Vec<ChangeRow>);

impl Rows {
    pub fn into_rows(self) -> Vec<ChangeRow> {
        self.0
    }

    /// A part that stands on both sides. Equal parts are 동일; of others `judge` says what the change means.
    pub fn part<T: PartialEq + Serialize>(
        &mut self,
        subject: &str,
        ko: &str,
        (before, after): (&T, &T),
        judge: impl FnOnce(&T, &T) -> Verdict,
    ) {
        let verdict = if before == after { Verdict::Same } else { judge(before, after) };
        let (mut old, new) = (shown(before), shown(after));
        if before != after && old == new {
            // Unlike values of one text (1 and "1"): the row must still be seen.
            old = Some(format!("{} (다른 값)", old.unwrap_or_default()));
        }
        self.add(ChangeRow {
            subject: subject.to_owned(),
            label_ko: ko.to_owned(),
            before: old,
            after: new,
            verdict,
            axes: Vec::new(),
        });
    }

    /// A set of which every element lets more leave.
    pub fn set<T: ToString>(
        &mut self,
        subject: &str,
        ko: &str,
        before: impl IntoIterator<Item = T>,
        after: impl IntoIterator<Item = T>,
    ) {
        self.sets(subject, ko, before, after, more_elements);
    }

    /// A set of which every element lets less leave.
    pub fn set_of_limits<T: ToString>(
        &mut self,
        subject: &str,
        ko: &str,
        before: impl IntoIterator<Item = T>,
        after: impl IntoIterator<Item = T>,
    ) {
        self.sets(subject, ko, before, after, |before, after| more_elements(after, before));
    }

    fn sets<T: ToString>(
        &mut self,
        subject: &str,
        ko: &str,
        before: impl IntoIterator<Item = T>,
        after: impl IntoIterator<Item = T>,
        judge: impl FnOnce(&BTreeSet<String>, &BTreeSet<String>) -> Verdict,
    ) {
        let before: Vec<String> = before.into_iter().map(|v| v.to_string()).collect();
        let after: Vec<String> = after.into_iter().map(|v| v.to_string()).collect();
        self.part(subject, ko, (&before, &after), |before, after| {
            let (old, new) = (before.iter().cloned().collect(), after.iter().cloned().collect());
            // Another order of the same.
            if old == new { Verdict::Same } else { judge(&old, &new) }
        });
    }

    pub fn add(&mut self, row: ChangeRow) {
        self.0.push(row);
    }

    pub fn field(
        &mut self,
        subject: String,
        ko: &str,
        (before, after): (Option<String>, Option<String>),
        (verdict, axes): (Verdict, Vec<Axis>),
    ) {
        let cut = |text: Option<String>| text.map(shortened);
        self.add(ChangeRow { subject, label_ko: ko.to_owned(), before: cut(before), after: cut(after), verdict, axes });
    }

    /// The last guard: two closures that differ have a row that says so, or the change is 확대.
    pub fn nothing_is_lost(&mut self, before: &Closure, after: &Closure) {
        if before != after && !self.0.iter().any(ChangeRow::has_moved) {
            self.add(ChangeRow {
                subject: "closure".to_owned(),
                label_ko: "그 밖의 변경".to_owned(),
                before: Some(before.digest()),
                after: Some(after.digest()),
                verdict: Verdict::Wider,
                axes: Vec::new(),
            });
        }
    }
}

/// Text of a part for people: none for what is not there.
fn shown<T: Serialize>(part: &T) -> Option<String> {
    let text = plain(&serde_json::to_value(part).ok()?)?;
    Some(shortened(text))
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => Some(if items.is_empty() {
            "없음".to_owned()
        } else {
            items.iter().filter_map(plain).collect::<Vec<_>>().join(", ")
        }),
        Value::Object(members) => match (members.get("ko"), members.get("en"), members.len()) {
            (Some(Value::String(ko)), Some(Value::String(en)), 2) => Some(format!("{ko} / {en}")),
            _ => Some(value.to_string()),
        },
        other => Some(other.to_string()),
    }
}

fn shortened(text: String) -> String {
    if text.chars().count() <= TEXT_CHARS_MAX {
        return text;
    }
    let head: String = text.chars().take(TEXT_CHARS_CUT).collect();
    format!("{head}… (#{})", &sha256_hex(text.as_bytes())[..12])
}

/// Any change is 확대: it has no order, or none that a program should guess.
pub(super) fn wider<T>(_: &T, _: &T) -> Verdict {
    Verdict::Wider
}

/// For people only.
pub(super) fn words<T>(_: &T, _: &T) -> Verdict {
    Verdict::Same
}

pub(super) fn more_is_wider<T: PartialOrd>(before: &T, after: &T) -> Verdict {
    if after < before { Verdict::Narrower } else { Verdict::Wider }
}

pub(super) fn more_is_narrower<T: PartialOrd>(before: &T, after: &T) -> Verdict {
    if after > before { Verdict::Narrower } else { Verdict::Wider }
}

/// A bound that may be missing: none bounds nothing.
pub(super) fn more_or_none_is_wider<T: PartialOrd>(before: &Option<T>, after: &Option<T>) -> Verdict {
    match (before, after) {
        (None, Some(_)) => Verdict::Narrower,
        (Some(before), Some(after)) => more_is_wider(before, after),
        (_, None) => Verdict::Wider,
    }
}

fn more_elements(before: &BTreeSet<String>, after: &BTreeSet<String>) -> Verdict {
    if after.is_subset(before) { Verdict::Narrower } else { Verdict::Wider }
}
