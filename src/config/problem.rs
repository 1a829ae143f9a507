//! A problem in a file that a person wrote: where, what, why and what to try.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};

/// One problem. `code` is stable (`config.unknown_key`); `try_` is a next step.
#[derive(Debug, Clone)]
pub struct Problem {
    pub code: &'static str,
    pub file: PathBuf,
    /// Content of the file, where it could be read.
    pub text: Option<Arc<str>>,
    /// Bytes of `text` that are meant.
    pub span: Option<Range<usize>>,
    pub message: String,
    /// What stands under the line.
    pub cause: String,
    pub try_: String,
}

/// May the output hold escape sequences?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Plain,
    Coloured,
}

impl Problem {
    /// Line and column, from 1; `None` where the problem is about the whole file.
    pub fn place(&self) -> Option<(usize, usize)> {
        let (text, span) = (self.text.as_deref()?, self.span.as_ref()?);
        let before = text.get(..span.start.min(text.len()))?;
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        Some((line, column))
    }

    pub fn to_json(&self) -> serde_json::Value {
        let place = self.place();
        serde_json::json!({
            "code": self.code,
            "file": self.file.display().to_string(),
            "line": place.map(|p| p.0),
            "column": place.map(|p| p.1),
            "message": self.message,
            "cause": self.cause,
            "try": self.try_,
        })
    }

    fn render(&self, style: Style) -> String {
        let theme = match style {
            Style::Plain => GraphicalTheme::unicode_nocolor(),
            Style::Coloured => GraphicalTheme::unicode(),
        };
        let handler = GraphicalReportHandler::new_themed(theme).with_width(110).with_context_lines(1);
        let mut text = String::new();
        if handler.render_report(&mut text, &Report::new(self)).is_err() {
            text = format!("{}: {}", self.code, self.message);
        }
        let place = match self.place() {
            Some((line, column)) => format!("{}:{line}:{column}", self.file.display()),
            None => self.file.display().to_string(),
        };
        format!("{place}\n{}\n  try: {}\n", text.trim_end(), self.try_)
    }
}

/// All problems found, in the order of their files and places.
#[derive(Debug, Clone, Default)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    pub fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    pub fn extend(&mut self, other: Problems) {
        self.0.extend(other.0);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn render(&self, style: Style) -> String {
        let mut text: String = self.0.iter().map(|problem| problem.render(style) + "\n").collect();
        let count = self.0.len();
        text.push_str(&format!("{count} problem{}\n", if count == 1 { "" } else { "s" }));
        text
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(Style::Plain))
    }
}

impl std::error::Error for Problems {}

/// What miette draws. The source is cloned handles only.
#[derive(Debug)]
struct Report {
    code: &'static str,
    message: String,
    cause: String,
    source: Option<NamedSource<Arc<str>>>,
    span: Option<Range<usize>>,
}

impl Report {
    fn new(problem: &Problem) -> Report {
        let name = problem.file.display().to_string();
        Report {
            code: problem.code,
            message: problem.message.clone(),
            cause: problem.cause.clone(),
            source: problem.text.clone().map(|text| NamedSource::new(name, text)),
            span: problem.span.clone(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Report {}

impl Diagnostic for Report {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.code))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.span.clone()?;
        let label = LabeledSpan::at(span, self.cause.clone());
        Some(Box::new(std::iter::once(label)))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        // Without a place to underline, the cause would not be shown at all.
        (self.span.is_none() || self.source.is_none()).then(|| Box::new(&self.cause) as Box<dyn fmt::Display>)
    }
}
