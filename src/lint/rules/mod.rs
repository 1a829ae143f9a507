//! The list of rules: one table for the loader's refusals, the linter's findings and the runtime's halts.
//!
//! An id is never given twice and never changes its meaning. A floor is the least severity that a policy may give.

mod complete;
mod crypto;
mod identifiers;
mod legal;
mod runtime;
mod statistics;

use crate::mapping::Severity;

/// What a rule needs to be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// The files and nothing else.
    Files,
    /// Files, and what day it is: a folder that was in order may break it without a change.
    Today,
    /// A risk report.
    Risk,
    /// What the approvals say.
    Standings,
    /// Judged by the running bridge, on what it is about to publish.
    Runtime,
}

impl Needs {
    pub fn code(self) -> &'static str {
        match self {
            Needs::Files => "files",
            Needs::Today => "today",
            Needs::Risk => "risk_report",
            Needs::Standings => "approvals",
            Needs::Runtime => "runtime",
        }
    }
}

/// In one language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Words {
    /// What is wrong.
    pub what: &'static str,
    /// Why it matters.
    pub why: &'static str,
    /// How to put it right.
    pub fix: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// `L203`.
    pub id: &'static str,
    pub floor: Severity,
    pub needs: Needs,
    pub ko: Words,
    pub en: Words,
    /// Statute, notice or RFC.
    pub citation: &'static str,
}

const fn rule(
    id: &'static str,
    floor: Severity,
    needs: Needs,
    ko: [&'static str; 3],
    en: [&'static str; 3],
    citation: &'static str,
) -> Rule {
    let ko = Words { what: ko[0], why: ko[1], fix: ko[2] };
    let en = Words { what: en[0], why: en[1], fix: en[2] };
    Rule { id, floor, needs, ko, en, citation }
}

/// Every rule, in order of id.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    let groups: [&'static [Rule]; 6] =
        [complete::RULES, identifiers::RULES, crypto::RULES, statistics::RULES, legal::RULES, runtime::RULES];
    groups.into_iter().flatten()
}

pub fn find(id: &str) -> Option<&'static Rule> {
    rules().find(|rule| rule.id == id)
}

/// What the groups are about, by the digit after `L`.
pub const GROUPS: [(char, &str, &str); 8] = [
    ('1', "완결성과 정합성", "completeness and drift"),
    ('2', "분류와 식별자", "class and identifiers"),
    ('3', "암호와 토큰", "cryptography and tokens"),
    ('4', "통계적 위험", "statistical risk"),
    ('5', "법적 근거", "legal basis"),
    ('6', "보유 기간", "retention"),
    ('7', "승인", "approvals"),
    ('8', "운영 중 정지", "runtime halt"),
];

/// `mappings/RULES.md`.
pub fn markdown() -> String {
    let mut text = String::from(
        "# 검사 규칙 / Rules of the linter\n\n`slotbridge mappings rules --markdown > mappings/RULES.md` 로 만든 파일입니다. \
         직접 고치지 마십시오. Generated: do not edit.\n\n**deny** 는 게시를 막고 면제할 수 없습니다. **warn** 은 사유와 기한을 적은 \
         `[[waiver]]` 가 승인되어야 합니다. 정책의 `[severity]` 는 올릴 수만 있습니다. A deny blocks publishing and cannot be \
         waived; a warn needs a waiver with reasons and an end; a policy may raise a severity, never lower it.\n",
    );
    for (digit, ko, en) in GROUPS {
        text.push_str(&format!("\n## L{digit}xx {ko} / {en}\n"));
        for rule in rules().filter(|rule| rule.id[1..].starts_with(digit)) {
            let severity = severity_code(rule.floor);
            text.push_str(&format!(
                "\n### {} · {severity} · {}\n\n- {}\n  {}\n  **조치:** {}\n- {}\n  {}\n  **Fix:** {}\n- 근거 / citation: {}\n",
                rule.id,
                rule.needs.code(),
                rule.ko.what,
                rule.ko.why,
                rule.ko.fix,
                rule.en.what,
                rule.en.why,
                rule.en.fix,
                rule.citation
            ));
        }
    }
    text
}

pub fn severity_code(severity: Severity) -> &'static str {
    match severity {
        Severity::Warn => "warn",
        Severity::Deny => "deny",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::RuleId;

    #[test]
    fn ids_are_in_order_and_each_is_given_once() {
        let ids: Vec<&str> = rules().map(|rule| rule.id).collect();
        assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
        assert!(ids.len() >= 50, "{}", ids.len());
        for (digit, ..) in GROUPS {
            assert!(ids.iter().any(|id| id[1..].starts_with(digit)), "L{digit}xx is empty");
        }
    }

    #[test]
    fn what_loading_refuses_stands_in_the_list_and_denies() {
        for refusal in RuleId::ALL {
            assert_eq!(find(refusal.code()).map(|rule| rule.floor), Some(Severity::Deny), "{}", refusal.code());
        }
    }

    #[test]
    fn every_rule_says_all_in_both_languages() {
        let is_korean = |text: &str| text.chars().any(|c| ('가'..='힣').contains(&c));
        for rule in rules() {
            for text in [rule.ko.what, rule.ko.why, rule.ko.fix] {
                assert!(is_korean(text) && text.ends_with('.'), "{}: {text}", rule.id);
            }
            for text in [rule.en.what, rule.en.why, rule.en.fix] {
                assert!(!is_korean(text) && text.ends_with('.'), "{}: {text}", rule.id);
            }
            assert!(rule.citation.chars().count() > 5, "{}", rule.id);
        }
    }

    #[test]
    fn the_shipped_list_of_rules_is_up_to_date() {
        let shipped = include_str!("../../../mappings/RULES.md");
        assert!(shipped == markdown(), "run `slotbridge mappings rules --markdown > mappings/RULES.md`");
    }
}
