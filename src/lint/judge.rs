//! Runs every rule over a folder.
//!
//! Pure: the caller brings bytes, measurements, what the approvals say, and the day. What loading refuses is reported
//! first and does not keep the other rules from judging whatever could be read.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use jiff::civil::Date;

use super::checks;
use super::finding::{FINDINGS_MAX, FINDINGS_OF_RULE_MAX, Finding, Report, place};
use super::place::{Places, Step};
use super::risk::RiskReports;
use super::rules::{self, Rule};
use super::waiver;
use crate::mapping::{Class, Column, Drawn, FeedKind, Field, Mode, Object, Op, Partner, Parts, RuleId, Severity, read};

/// What the approvals say of a mapping, in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub state: StandingState,
    /// Officers who signed the folder's version.
    pub signers: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StandingState {
    Missing,
    Waiting,
    InForce,
    Expired,
    Rejected,
    Stopped,
}

/// By mapping id.
pub type Standings = BTreeMap<String, Standing>;

/// What is judged besides the files.
#[derive(Debug, Clone, Copy)]
pub struct Beside<'a> {
    /// None: rules that need measurements are not judged.
    pub risk: Option<&'a RiskReports>,
    /// None: rules that need the approvals' state are not judged.
    pub standings: Option<&'a Standings>,
    /// In Seoul.
    pub today: Date,
}

/// Judges a folder given as path → bytes.
pub fn lint(files: &BTreeMap<String, Vec<u8>>, beside: Beside<'_>) -> Report {
    let parts = read(files);
    let mut judge = Judge::new(&parts, beside);
    judge.refusals();
    let refused = judge.findings.len();
    checks::complete::check(&mut judge);
    checks::names::check(&mut judge);
    checks::identifiers::check(&mut judge);
    checks::crypto::check(&mut judge);
    checks::statistics::check(&mut judge);
    checks::legal::check(&mut judge);
    checks::approvals::check(&mut judge, files);
    waiver::apply(&mut judge);
    judge.report(refused)
}

pub(super) struct Judge<'a> {
    pub parts: &'a Parts,
    pub beside: Beside<'a>,
    pub findings: Vec<Finding>,
    places: BTreeMap<&'a str, Places<'a>>,
    said: BTreeMap<(&'static str, String), usize>,
    cut: usize,
    cut_denials: usize,
}

impl<'a> Judge<'a> {
    fn new(parts: &'a Parts, beside: Beside<'a>) -> Judge<'a> {
        let texts = parts.texts.iter().filter(|(name, _)| name.ends_with(".toml"));
        let places = texts.map(|(name, text)| (name.as_str(), Places::of(text))).collect();
        Judge { parts, beside, findings: Vec::new(), places, said: BTreeMap::new(), cut: 0, cut_denials: 0 }
    }

    fn refusals(&mut self) {
        let parts = self.parts;
        for problem in &parts.problems {
            let rule = rules::find(problem.rule.code()).expect("every refusal stands in the list");
            let before = self.findings.len();
            self.add(rule, problem.file(), problem.span.clone(), rule.ko.what.to_owned(), problem.what.clone(), None);
            if let Some(finding) = self.findings.get_mut(before) {
                finding.hint = Some(problem.help.clone());
            }
        }
    }

    /// Says something about the value at a path of a TOML file.
    pub fn say(&mut self, id: &str, file: &str, path: &[Step<'_>], ko: impl Into<String>, en: impl Into<String>) {
        let rule = rules::find(id).expect("a rule of the list");
        let span = self.places.get(file).map_or(0..0, |places| places.span(path));
        let field = self.field_of(file, path);
        self.add(rule, file, span, ko.into(), en.into(), field);
    }

    /// Says something about bytes of a file.
    pub fn say_at(&mut self, id: &str, file: &str, span: Range<usize>, ko: impl Into<String>, en: impl Into<String>) {
        let rule = rules::find(id).expect("a rule of the list");
        self.add(rule, file, span, ko.into(), en.into(), None);
    }

    fn field_of(&self, file: &str, path: &[Step<'_>]) -> Option<String> {
        let [Step::Key("field"), Step::At(at), ..] = path else { return None };
        let drawn = self.parts.mappings.iter().find(|drawn| drawn.file == file)?;
        drawn.mapping.fields.get(*at).map(|field| field.name.get_ref().clone())
    }

    pub fn severity(&self, rule: &Rule) -> Severity {
        let raised = self.parts.policy.as_ref().and_then(|policy| policy.severity.get(rule.id));
        raised.map_or(rule.floor, |raised| rule.floor.max(*raised.get_ref()))
    }

    fn add(
        &mut self,
        rule: &'static Rule,
        file: &str,
        span: Range<usize>,
        ko: String,
        en: String,
        field: Option<String>,
    ) {
        let severity = self.severity(rule);
        let said = self.said.entry((rule.id, file.to_owned())).or_default();
        *said += 1;
        if *said > FINDINGS_OF_RULE_MAX || self.findings.len() >= FINDINGS_MAX {
            self.cut += 1;
            self.cut_denials += usize::from(severity == Severity::Deny);
            return;
        }
        let text = self.parts.texts.get(file).cloned().unwrap_or_else(|| Arc::from(""));
        let span = span.start.min(text.len())..span.end.clamp(span.start.min(text.len()), text.len());
        let (line, column) = place(&text, span.start);
        let file = file.to_owned();
        self.findings.push(Finding {
            rule,
            severity,
            file,
            span,
            line,
            column,
            ko,
            en,
            hint: None,
            field,
            waived: None,
            text,
        });
    }

    fn report(mut self, refused: usize) -> Report {
        let by_place = |a: &Finding, b: &Finding| {
            (&a.file, a.span.start, a.rule.id, &a.en).cmp(&(&b.file, b.span.start, b.rule.id, &b.en))
        };
        self.findings[refused..].sort_by(by_place);
        let unread = |id: RuleId| self.parts.problems.iter().any(|problem| problem.rule == id);
        let is_incomplete = self.parts.catalogue.is_none()
            || self.parts.policy.is_none()
            || self.parts.partners.is_none()
            || unread(RuleId::Unreadable);
        let denials = self.findings.iter().filter(|f| f.is_denial()).count() + self.cut_denials;
        Report { findings: self.findings, cut: self.cut, denials, is_incomplete }
    }

    pub fn object(&self, drawn: &Drawn) -> Option<&'a Object> {
        self.parts.catalogue.as_ref()?.object(drawn.mapping.source.object.get_ref().as_str())
    }

    pub fn partner(&self, drawn: &Drawn) -> Option<&'a Partner> {
        self.parts.partners.as_ref()?.partners.iter().find(|partner| *partner.id.get_ref() == drawn.partner)
    }

    /// Fields that tell something of a column, with their place in the mapping.
    pub fn published(&self, drawn: &'a Drawn) -> Vec<(usize, &'a Field, &'a Column)> {
        let Some(object) = self.object(drawn) else { return Vec::new() };
        let fields = drawn.mapping.fields.iter().enumerate().filter(|(_, field)| field.transform.op() != Op::Drop);
        fields.filter_map(|(at, field)| Some((at, field, object.column(field.source.as_ref()?.get_ref())?))).collect()
    }

    /// Is every item about one person, so that the feed's statistics matter?
    pub fn holds_persons(&self, drawn: &'a Drawn) -> bool {
        let mode = drawn.mapping.feed.mode.as_ref().map(|mode| *mode.get_ref());
        let told = self.published(drawn);
        matches!(mode, Some(Mode::Tokens | Mode::Sealed))
            || told.iter().any(|(_, _, column)| matches!(column.class, Class::Quasi | Class::SensitiveInferable))
            || drawn.mapping.fields.iter().any(|field| field.inside.is_some())
    }

    /// Do personal data leave? Bookings are about those who booked, whatever their columns are.
    pub fn is_personal(&self, drawn: &'a Drawn) -> bool {
        let plain = [Class::Public, Class::Operational, Class::OrgPublic];
        drawn.kind == FeedKind::Bookings
            || self.holds_persons(drawn)
            || self.published(drawn).iter().any(|(_, _, column)| !plain.contains(&column.class))
    }

    pub fn ids(&self) -> BTreeSet<&'a str> {
        self.parts.mappings.iter().map(|drawn| drawn.mapping.id.get_ref().as_str()).collect()
    }
}
