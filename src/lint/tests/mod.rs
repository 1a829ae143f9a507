//! Every rule with a folder that breaks it and a near one that does not; how findings read; hostile files.

mod fixtures;
mod hostile;

use std::collections::BTreeMap;

use jiff::civil::date;

use super::rules::{Needs, rules};
use super::*;
use crate::mapping::Severity;
use crate::mapping::testing::{edited_files, shipped_files};

use fixtures::{Case, case, fixtures};

fn today() -> jiff::civil::Date {
    date(2026, 11, 22)
}

fn lint_files(files: &BTreeMap<String, Vec<u8>>) -> Report {
    lint(files, Beside { risk: None, standings: None, today: today() })
}

fn found(case: &Case) -> Vec<&'static str> {
    case.judged().findings.iter().map(|finding| finding.rule.id).collect()
}

#[test]
fn every_rule_has_a_folder_that_breaks_it_and_one_that_does_not() {
    let fixtures = fixtures();
    for rule in rules().filter(|rule| rule.needs != Needs::Runtime) {
        assert_eq!(fixtures.iter().filter(|f| f.rule == rule.id).count(), 1, "fixtures of {}", rule.id);
    }
    let mut wrong = Vec::new();
    for fixture in &fixtures {
        let (bad, good) = (found(&fixture.bad), found(&fixture.good));
        if !bad.contains(&fixture.rule) {
            wrong.push(format!("{} is not found: {bad:?}", fixture.rule));
        }
        if good.contains(&fixture.rule) {
            wrong.push(format!("{} is found where it is not: {good:?}", fixture.rule));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_finding_points_into_its_file() {
    for fixture in fixtures() {
        let report = fixture.bad.judged();
        for finding in report.findings {
            assert!(finding.text.get(finding.span.clone()).is_some(), "{} {:?}", finding.rule.id, finding.span);
            assert!(finding.line >= 1 && finding.column >= 1);
        }
    }
}

#[test]
fn the_shipped_mappings_have_no_finding() {
    let report = lint_files(&shipped_files());
    assert!(report.findings.is_empty(), "{}", render::text(&report, false));
    assert!(!report.is_incomplete);
}

/// A denial, a refusal of loading, a warning and a waived one.
fn some() -> Report {
    lint_files(&edited_files(&[
        ("naver/slots.toml", "tick_ms = 200", "tick_ms = 10"),
        ("naver/slots.toml", "소요 시간 안내", "필요"),
        ("naver/sites.toml", "지도 표시", "필요"),
        (
            "naver/sites.toml",
            "[[withheld]]",
            "[[waiver]]\nrule = \"L205\"\nfield = \"lat\"\nreason = { ko = \"다음 판에서 고침\", en = \"Mended in the next version\" }\nuntil = \"2026-12-31\"\n\n[[withheld]]",
        ),
        ("naver/bookings.toml", "\"개인정보 보호법 제26조\"", "\"개인정보 보호법 제28조의2\""),
    ]))
}

#[test]
fn findings_read_so() {
    insta::assert_snapshot!(render::text(&some(), false));
}

#[test]
fn findings_as_json() {
    insta::assert_json_snapshot!(render::json(&some()));
}

#[test]
fn findings_as_sarif() {
    let mut sarif = render::sarif(&some());
    let rules = sarif["runs"][0]["tool"]["driver"]["rules"].take();
    assert_eq!(rules.as_array().unwrap().len(), rules::rules().count());
    for result in sarif["runs"][0]["results"].as_array().unwrap() {
        let at = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[at]["id"], result["ruleId"]);
    }
    sarif["runs"][0]["tool"]["driver"]["version"] = "0".into();
    insta::assert_json_snapshot!(sarif);
}

#[test]
fn a_policy_raises_a_severity_and_then_no_waiver_helps() {
    let waiver = "[[waiver]]\nrule = \"L205\"\nreason = { ko = \"다음 판에서 고침\", en = \"Mended in the next version\" }\nuntil = \"2026-12-31\"\n";
    let boilerplate = ("naver/slots.toml", "소요 시간 안내", "필요");
    let waived = case(&[boilerplate, ("naver/slots.toml", "", waiver)]).judged();
    assert_eq!((waived.denials, waived.warnings(), waived.waived()), (0, 0, 1));
    let raised = ("policy.toml", "", "[severity]\nL205 = \"deny\"\n");
    let report = case(&[boilerplate, ("naver/slots.toml", "", waiver), raised]).judged();
    let denied: Vec<&str> = report.findings.iter().filter(|f| f.is_denial()).map(|f| f.rule.id).collect();
    assert_eq!(denied, ["L205", "L120"]);
    let lowered = ("policy.toml", "", "[severity]\nL204 = \"warn\"\n");
    let report = case(&[("naver/slots.toml", "", "# 010-1234-5678\n"), lowered]).judged();
    let severities: Vec<(&str, Severity)> = report.findings.iter().map(|f| (f.rule.id, f.severity)).collect();
    assert_eq!(severities, [("L204", Severity::Deny), ("L118", Severity::Deny)]);
}

#[test]
fn an_expired_waiver_covers_nothing() {
    let waiver = "[[waiver]]\nrule = \"L205\"\nreason = { ko = \"다음 판에서 고침\", en = \"Mended in the next version\" }\nuntil = \"2026-11-21\"\n";
    let report = case(&[("naver/slots.toml", "소요 시간 안내", "필요"), ("naver/slots.toml", "", waiver)]).judged();
    let ids: Vec<&str> = report.findings.iter().map(|f| f.rule.id).collect();
    assert_eq!((ids, report.waived()), (vec!["L205", "L121"], 0));
}

#[test]
fn what_loading_refuses_comes_first_and_hides_nothing() {
    let report = case(&[
        ("naver/slots.toml", "tick_ms = 200", "tick_ms = 10"),
        ("kakao/slots.toml", "format = 1", "format = = 1"),
        ("audit/sites.toml", "지도 표시", "필요"),
    ])
    .judged();
    let ids: Vec<&str> = report.findings.iter().map(|f| f.rule.id).collect();
    assert_eq!(ids, ["L101", "L108", "L205"]);
}

#[test]
fn unknown_keys_of_one_file_are_told_together() {
    let report = case(&[
        ("naver/slots.toml", "tick_ms = 200", "tick_msec = 200"),
        ("naver/slots.toml", "format = 1", "format = 1\nform = 2\ncolour = \"red\""),
    ])
    .judged();
    let told: Vec<(&str, usize)> = report.findings.iter().map(|f| (f.rule.id, f.line)).collect();
    assert_eq!(told.iter().filter(|(id, _)| *id == "L101").count(), 3, "{told:?}");
}

#[test]
fn a_day_does_not_stop_the_daemon_and_content_does() {
    let mut ended = case(&[]);
    ended.today = date(2028, 1, 1);
    let report = ended.judged();
    assert!(report.denials > 0);
    assert_eq!(report.denials_of_content().count(), 0);
    let report = case(&[("naver/slots.toml", "", "# 010-1234-5678\n")]).judged();
    assert_eq!(report.denials_of_content().count(), 1);
}
