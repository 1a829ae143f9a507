//! What a change of a mapping means for the persons in the data: 확대, 축소 or 동일.
//!
//! Owns the comparison of two closures, part by part. Does not decide who must sign what (`approval`) and does not
//! judge a version by itself (the linter).
//!
//! Invariants: every member of every type in a closure is compared, by destructuring without `..`, so that a new one
//! does not compile until somebody decides about its direction; what cannot be ordered is 확대, also in both directions;
//! 축소 is transitive, and its opposite is 확대.
//!
//! A field is compared on three axes (`field`). Its attribute axis is a real order: what an observer can tell apart
//! (`partition`), not the name of the transform, because two buckets differ more than a bucket and a rounding may.
//! The cost is that the same partition under other labels has no order and is 확대: labels may say what a code did not.
//!
//! Texts for people (title, why, labels, version, author) are 동일: they change a signed text and nothing that leaves.

mod field;
mod mapping;
mod partition;
mod policy;
mod rows;
mod surroundings;

use serde::Serialize;

use crate::privacy::Closure;

use rows::Rows;

/// Of the whole change and of each row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// 동일
    Same,
    /// 축소
    Narrower,
    /// 확대: more leaves, or the two cannot be compared, or there is nothing to compare with.
    Wider,
}

impl Verdict {
    pub fn ko(self) -> &'static str {
        match self {
            Verdict::Same => "동일",
            Verdict::Narrower => "축소",
            Verdict::Wider => "확대",
        }
    }

    pub fn code(self) -> &'static str {
        match self {
            Verdict::Same => "same",
            Verdict::Narrower => "narrower",
            Verdict::Wider => "wider",
        }
    }
}

/// Which of the three axes of a field moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Axis {
    Attribute,
    Linkability,
    Testability,
}

impl Axis {
    pub fn ko(self) -> &'static str {
        match self {
            Axis::Attribute => "속성 정보",
            Axis::Linkability => "연결 가능성",
            Axis::Testability => "확인 가능성",
        }
    }

    pub fn code(self) -> &'static str {
        match self {
            Axis::Attribute => "attribute",
            Axis::Linkability => "linkability",
            Axis::Testability => "testability",
        }
    }
}

/// One thing that a change compares: a field, a filter, a limit, a class of a column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangeRow {
    /// `field remaining_bucket`, `column slot.FREE class`, `retention partner_max`.
    pub subject: String,
    /// Korean name of the subject for people.
    pub label_ko: String,
    /// What stood there; none where it is new.
    pub before: Option<String>,
    /// What stands there now; none where it was removed.
    pub after: Option<String>,
    pub verdict: Verdict,
    /// Axes that moved, with a field.
    pub axes: Vec<Axis>,
}

impl ChangeRow {
    /// Did anything of it change, words included? Texts of changed things always differ.
    pub fn has_moved(&self) -> bool {
        self.before != self.after
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    pub verdict: Verdict,
    /// The mapping in its own order, then what stands around it; unchanged rows too, so that a page can fold them.
    pub rows: Vec<ChangeRow>,
}

impl Change {
    /// Rows of which something changed.
    pub fn moved(&self) -> impl Iterator<Item = &ChangeRow> {
        self.rows.iter().filter(|row| row.has_moved())
    }

    /// Is the policy among what changed, other than in words? It is approved as a wider mapping is, whatever its direction.
    pub fn has_policy(&self) -> bool {
        self.moved().any(|row| row.subject.starts_with("policy ") && row.verdict != Verdict::Same)
    }
}

/// Compares an approved version with a new one. Without a version before, everything is new: 확대.
pub fn compare(before: Option<&Closure>, after: &Closure) -> Change {
    let Some(before) = before else {
        let mut rows = rows_of(after, after).into_rows();
        for row in &mut rows {
            row.before = None;
            row.verdict = Verdict::Wider;
            row.axes = field::axes_of_new(after, &row.subject);
        }
        return Change { verdict: Verdict::Wider, rows };
    };
    let mut rows = rows_of(before, after);
    rows.nothing_is_lost(before, after);
    let rows = rows.into_rows();
    let verdict = rows.iter().map(|row| row.verdict).max().unwrap_or(Verdict::Same);
    Change { verdict, rows }
}

fn rows_of(before: &Closure, after: &Closure) -> Rows {
    let Closure { mapping, object, policy, partner, tables, consents, roster } = before;
    let mut rows = Rows::default();
    mapping::compare(&mut rows, before, after, mapping);
    surroundings::object(&mut rows, object, &after.object);
    policy::compare(&mut rows, before, after, policy);
    surroundings::partner(&mut rows, partner, &after.partner);
    surroundings::tables(&mut rows, tables, &after.tables);
    rows.set("consents", "동의서", consents.keys(), after.consents.keys());
    for (path, text) in consents {
        if let Some(now) = after.consents.get(path) {
            rows.part(&format!("consent {path}"), "동의서 내용", (text, now), rows::wider);
        }
    }
    // Who may sign is not what leaves; approvals judge rosters by themselves.
    rows.part("roster", "담당자 명부", (roster, &after.roster), rows::words);
    rows
}

#[cfg(test)]
mod tests;
