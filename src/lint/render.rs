//! A report as text with the source underlined, as JSON, and as SARIF 2.1.0.

use std::fmt;
use std::sync::Arc;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};
use serde_json::{Value, json};

use super::finding::{Finding, Report};
use super::rules::{self, Rule, severity_code};
use crate::mapping::Severity;

const WIDTH: usize = 110;

pub fn text(report: &Report, is_coloured: bool) -> String {
    let theme = if is_coloured { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_width(WIDTH).with_context_lines(1);
    let mut text = String::new();
    for finding in &report.findings {
        text.push_str(&one(finding, &handler));
        text.push('\n');
    }
    if report.cut > 0 {
        text.push_str(&format!("{} more are not shown\n", report.cut));
    }
    if report.is_incomplete {
        text.push_str("not everything could be read, so not everything was judged\n");
    }
    let (denials, warnings, waived) = (report.denials, report.warnings(), report.waived());
    text.push_str(&format!("{denials} deny, {warnings} warn, {waived} waived\n"));
    text
}

fn place(finding: &Finding) -> String {
    format!("{}:{}:{}", finding.file, finding.line, finding.column)
}

fn state(finding: &Finding) -> &'static str {
    if finding.waived.is_some() { "waived" } else { severity_code(finding.severity) }
}

fn one(finding: &Finding, handler: &GraphicalReportHandler) -> String {
    let rule = finding.rule;
    let mut text = format!("{} {} {}\n", place(finding), state(finding), rule.id);
    if let Some(waived) = &finding.waived {
        text.push_str(&format!("  {} ({})\n  until {}: {}\n", finding.en, finding.ko, waived.until, waived.en));
        return text;
    }
    let mut snippet = String::new();
    if handler.render_report(&mut snippet, &Shown::of(finding)).is_err() {
        snippet = format!("{}: {}", rule.id, finding.en);
    }
    text.push_str(snippet.trim_end());
    text.push_str(&format!("\n  {}\n    {}\n    조치: {}\n", finding.ko, rule.ko.why, rule.ko.fix));
    text.push_str(&format!("  {}\n    {}\n    fix: {}\n", rule.en.what, rule.en.why, rule.en.fix));
    if let Some(hint) = &finding.hint {
        text.push_str(&format!("    here: {hint}\n"));
    }
    text.push_str(&format!("  근거: {}\n", rule.citation));
    text
}

/// What miette draws.
#[derive(Debug)]
struct Shown {
    code: &'static str,
    message: String,
    severity: Severity,
    source: Option<NamedSource<Arc<str>>>,
    label: LabeledSpan,
}

impl Shown {
    fn of(finding: &Finding) -> Shown {
        let source = (!finding.text.is_empty() && !finding.span.is_empty())
            .then(|| NamedSource::new(&finding.file, finding.text.clone()));
        Shown {
            code: finding.rule.id,
            message: finding.en.clone(),
            severity: finding.severity,
            source,
            label: LabeledSpan::at(finding.span.clone(), "here"),
        }
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Shown {}

impl Diagnostic for Shown {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.severity {
            Severity::Warn => miette::Severity::Warning,
            Severity::Deny => miette::Severity::Error,
        })
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.source
            .as_ref()
            .map(|_| Box::new(std::iter::once(self.label.clone())) as Box<dyn Iterator<Item = LabeledSpan>>)
    }
}

pub fn json(report: &Report) -> Value {
    let findings = report.findings.iter().map(|finding| {
        let (end_line, end_column) = finding.end();
        json!({
            "rule": finding.rule.id,
            "severity": severity_code(finding.severity),
            "file": finding.file,
            "line": finding.line,
            "column": finding.column,
            "end_line": end_line,
            "end_column": end_column,
            "field": finding.field,
            "ko": finding.ko,
            "en": finding.en,
            "hint": finding.hint,
            "waived": finding.waived.as_ref().map(|w| json!({ "until": w.until.to_string(), "ko": w.ko, "en": w.en })),
        })
    });
    json!({
        "deny": report.denials,
        "warn": report.warnings(),
        "waived": report.waived(),
        "not_shown": report.cut,
        "incomplete": report.is_incomplete,
        "findings": findings.collect::<Vec<_>>(),
    })
}

pub fn rule_json(rule: &Rule) -> Value {
    json!({
        "id": rule.id,
        "severity": severity_code(rule.floor),
        "needs": rule.needs.code(),
        "ko": { "what": rule.ko.what, "why": rule.ko.why, "fix": rule.ko.fix },
        "en": { "what": rule.en.what, "why": rule.en.why, "fix": rule.en.fix },
        "citation": rule.citation,
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Warn => "warning",
        Severity::Deny => "error",
    }
}

/// OASIS SARIF 2.1.0.
pub fn sarif(report: &Report) -> Value {
    let listed = rules::rules().map(|rule| {
        json!({
            "id": rule.id,
            "shortDescription": { "text": rule.en.what },
            "fullDescription": { "text": format!("{} {}", rule.en.what, rule.en.why) },
            "help": { "text": format!("{}\n{}\n{}", rule.en.fix, rule.ko.what, rule.ko.fix) },
            "defaultConfiguration": { "level": level(rule.floor) },
            "properties": { "citation": rule.citation },
        })
    });
    let results = report.findings.iter().map(|finding| {
        let (end_line, end_column) = finding.end();
        let mut result = json!({
            "ruleId": finding.rule.id,
            "ruleIndex": rules::rules().position(|rule| rule.id == finding.rule.id),
            "level": level(finding.severity),
            "message": { "text": format!("{} ({})", finding.en, finding.ko) },
            "locations": [{ "physicalLocation": {
                "artifactLocation": { "uri": uri(&finding.file), "uriBaseId": "MAPPINGS" },
                "region": {
                    "startLine": finding.line, "startColumn": finding.column,
                    "endLine": end_line, "endColumn": end_column,
                },
            }}],
        });
        if let Some(waived) = &finding.waived {
            result["suppressions"] = json!([{ "kind": "inSource", "justification": waived.en }]);
        }
        result
    });
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "slotbridge",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": listed.collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results.collect::<Vec<_>>(),
        }],
    })
}

/// RFC 3986: everything but what a path may hold is escaped.
fn uri(file: &str) -> String {
    let mut uri = String::with_capacity(file.len());
    for byte in file.bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-~".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}
