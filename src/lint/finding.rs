//! One finding, and all of them.

use std::ops::Range;
use std::sync::Arc;

use jiff::civil::Date;

use super::rules::{Needs, Rule};
use crate::mapping::Severity;

/// Bound of what one report shows; more are counted.
pub const FINDINGS_MAX: usize = 2_000;
/// Bound of what one rule says about one file, so that one mistake does not hide others.
pub const FINDINGS_OF_RULE_MAX: usize = 25;

#[derive(Debug, Clone)]
pub struct Finding {
    pub rule: &'static Rule,
    /// The rule's floor, or what the policy raised it to.
    pub severity: Severity,
    pub file: String,
    /// Bytes of the file that are underlined; empty where it is about the whole file.
    pub span: Range<usize>,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What was found, of this place.
    pub ko: String,
    pub en: String,
    /// How to put this very place right, where the rule's own text is not enough. English.
    pub hint: Option<String>,
    /// Field of the mapping that it is about.
    pub field: Option<String>,
    pub waived: Option<Waived>,
    /// Content of the file.
    pub text: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waived {
    pub ko: String,
    pub en: String,
    pub until: Date,
}

impl Finding {
    pub fn is_denial(&self) -> bool {
        self.severity == Severity::Deny
    }

    /// Line and column of where it ends, from 1.
    pub fn end(&self) -> (usize, usize) {
        place(&self.text, self.span.end)
    }
}

/// Line and column, from 1, in characters.
pub(super) fn place(text: &str, at: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..at.min(text.len())];
    let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    (line, String::from_utf8_lossy(&before[line_start..]).chars().count() + 1)
}

#[derive(Debug, Clone, Default)]
pub struct Report {
    /// What loading refuses first, then by file and place.
    pub findings: Vec<Finding>,
    /// Found beyond the bounds and not shown.
    pub cut: usize,
    /// Denials, shown or not.
    pub denials: usize,
    /// Something could not be read, so that not everything was judged.
    pub is_incomplete: bool,
}

impl Report {
    /// Warnings that no waiver covers.
    pub fn warnings(&self) -> usize {
        self.findings.iter().filter(|f| !f.is_denial() && f.waived.is_none()).count()
    }

    pub fn waived(&self) -> usize {
        self.findings.iter().filter(|f| f.waived.is_some()).count()
    }

    /// Denials that no day, measurement or approval brings about: a folder with one of them is not started with. The
    /// others stop single feeds, not the daemon.
    pub fn denials_of_content(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|f| f.is_denial() && f.rule.needs == Needs::Files)
    }
}
