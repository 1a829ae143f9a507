//! What a change of a mapping means for the persons in the data: 확대, 축소 or 동일.

use serde::Serialize;

use crate::privacy::Closure;

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

/// One thing that a change compares: a field, a filter, a limit, a class of a column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangeRow {
    /// `field remaining_bucket`, `column slot.FREE class`, `retention partner_max`.
    pub subject: String,
    /// Korean and English name of the subject for people.
    pub label_ko: String,
    /// What stood there; none where it is new.
    pub before: Option<String>,
    /// What stands there now; none where it was removed.
    pub after: Option<String>,
    pub verdict: Verdict,
    /// Axes that moved, with a field.
    pub axes: Vec<Axis>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    pub verdict: Verdict,
    /// In the mapping's order; unchanged ones too, so that a page can fold them.
    pub rows: Vec<ChangeRow>,
}

/// Compares an approved version with a new one. Without a version before, everything is new: 확대.
pub fn compare(before: Option<&Closure>, after: &Closure) -> Change {
    let same = before.is_some_and(|before| before.digest() == after.digest());
    Change { verdict: if same { Verdict::Same } else { Verdict::Wider }, rows: Vec::new() }
}
