//! A problem in a mapping file: where, what, and what to do. Renders with miette as an underlined snippet.
//!
//! A message may quote a name that stands in the file (a column, a table); files hold no personal values.

use std::{fmt, ops::Range, sync::Arc};

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};

/// What loading refuses, by the ids of the linter's list; their texts stand there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RuleId {
    /// Too large, not UTF-8, hidden characters or not TOML.
    Unreadable,
    /// A key that does not exist, a missing key, or a value of the wrong shape.
    Shape,
    /// The same name twice.
    Duplicate,
    /// A column of the object that the mapping does not decide about.
    Undecided,
    /// A table, hierarchy or one of its columns that does not exist.
    MissingTable,
    /// A file that has no place in the folder, or whose name contradicts its content.
    Place,
    /// An object, column, partner or purpose that is not declared.
    Unknown,
    /// A catalogue entry that contradicts itself.
    Catalogue,
    /// A base table, the dictionary, `*`, a database link or a function where a view should be named.
    View,
    /// A transform that the column's class, its type or the policy forbids.
    Forbidden,
    /// A key column of a class that may not name things in public.
    KeyClass,
    /// A mode or transform that is not built.
    NotBuilt,
    /// A number outside the policy's limits.
    Limit,
    /// A retention outside what the feed's protocol or the policy needs.
    Retention,
}

impl RuleId {
    pub const ALL: [RuleId; 14] = [
        RuleId::Unreadable,
        RuleId::Shape,
        RuleId::Duplicate,
        RuleId::Undecided,
        RuleId::MissingTable,
        RuleId::Place,
        RuleId::Unknown,
        RuleId::Catalogue,
        RuleId::Limit,
        RuleId::NotBuilt,
        RuleId::View,
        RuleId::Forbidden,
        RuleId::KeyClass,
        RuleId::Retention,
    ];

    pub fn code(self) -> &'static str {
        match self {
            RuleId::Unreadable => "L100",
            RuleId::Shape => "L101",
            RuleId::Duplicate => "L102",
            RuleId::Undecided => "L103",
            RuleId::MissingTable => "L104",
            RuleId::Place => "L105",
            RuleId::Unknown => "L106",
            RuleId::Catalogue => "L107",
            RuleId::Limit => "L108",
            RuleId::NotBuilt => "L109",
            RuleId::View => "L110",
            RuleId::Forbidden => "L201",
            RuleId::KeyClass => "L202",
            RuleId::Retention => "L601",
        }
    }
}

#[derive(Debug, Clone, thiserror::Error)]
#[error("{}:{line}:{column}: {what}", source_text.name())]
pub struct MappingError {
    pub rule: RuleId,
    /// Bytes of the file that are underlined.
    pub span: Range<usize>,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    pub what: String,
    pub help: String,
    source_text: NamedSource<Arc<str>>,
}

impl MappingError {
    pub fn new(
        file: &str,
        text: &Arc<str>,
        span: Range<usize>,
        rule: RuleId,
        what: impl Into<String>,
        help: impl Into<String>,
    ) -> MappingError {
        let (start, end) = (span.start.min(text.len()), span.end.min(text.len()));
        let before = &text.as_bytes()[..start];
        let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        MappingError {
            rule,
            span: start..end.max(start),
            line: before.iter().filter(|b| **b == b'\n').count() + 1,
            column: String::from_utf8_lossy(&before[line_start..]).chars().count() + 1,
            what: what.into(),
            help: help.into(),
            source_text: NamedSource::new(file, text.clone()),
        }
    }

    pub fn file(&self) -> &str {
        self.source_text.name()
    }
}

impl Diagnostic for MappingError {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.rule.code()))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(&self.help))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source_text)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = LabeledSpan::at(self.span.clone(), "here");
        Some(Box::new(std::iter::once(label)))
    }
}
