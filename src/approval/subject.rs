//! What is decided: a mapping version, a roster or a policy; and the body of the text that is signed about it.

use std::fmt::Write as _;

use serde_json::Value;

use crate::lint::{Change, Verdict};
use crate::mapping::Policy;
use crate::privacy::{Closure, canonical_json, sha256_hex};
use crate::statement::note_body;

use super::header::{Decision, in_fours};
use super::roster::Roster;

const POLICY_PREFIX: &str = "slotbridge-policy-v1\n";
/// Subjects that are no mapping; ids of mappings have a dot.
pub const OFFICERS: &str = "officers";
pub const POLICY: &str = "policy";

/// `lint::compare`; an argument, so that what follows from a verdict is tested apart from how it is found.
pub(super) type Compare = fn(Option<&Closure>, &Closure) -> Change;

#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    Mapping(&'a Closure),
    Roster(&'a Roster),
    Policy(&'a Policy),
}

/// Hex SHA-256 over the RFC 8785 form of the policy, behind a prefix of its own.
pub fn policy_digest(policy: &Policy) -> String {
    sha256_hex(format!("{POLICY_PREFIX}{}", canonical_json(&policy_value(policy))).as_bytes())
}

/// As it is kept under `approvals/policy/`.
pub(super) fn policy_json(policy: &Policy) -> String {
    canonical_json(&policy_value(policy))
}

fn policy_value(policy: &Policy) -> Value {
    serde_json::to_value(policy).expect("a policy has only text keys")
}

impl Subject<'_> {
    pub fn id(&self) -> &str {
        match self {
            Subject::Mapping(closure) => closure.id(),
            Subject::Roster(_) => OFFICERS,
            Subject::Policy(_) => POLICY,
        }
    }

    pub fn version(&self) -> u32 {
        match self {
            Subject::Mapping(closure) => closure.mapping.version,
            Subject::Roster(roster) => roster.version,
            Subject::Policy(policy) => policy.version,
        }
    }

    pub fn digest(&self) -> String {
        match self {
            Subject::Mapping(closure) => closure.digest(),
            Subject::Roster(roster) => roster.digest(),
            Subject::Policy(policy) => policy_digest(policy),
        }
    }

    /// What a note about it decides when it says yes.
    pub fn yes(&self) -> Decision {
        match self {
            Subject::Mapping(_) => Decision::Approve,
            Subject::Roster(_) => Decision::Roster,
            Subject::Policy(_) => Decision::Policy,
        }
    }

    pub fn may_be(&self, decision: Decision) -> bool {
        let is_mapping = matches!(self, Subject::Mapping(_));
        decision == self.yes() || decision.is_refusal() || (decision == Decision::Stop && is_mapping)
    }

    /// Body and, of a decision about a mapping version, the verdict. A stop is about the version as it is.
    pub(super) fn body(
        &self,
        base: Option<&Closure>,
        decision: Decision,
        compare: Compare,
    ) -> (String, Option<Verdict>) {
        match self {
            Subject::Mapping(closure) if decision == Decision::Stop => {
                let change = compare(Some(closure), closure);
                (format!("지금부터 제공을 중지합니다.\n{}", note_body(closure, &change)), None)
            }
            Subject::Mapping(closure) => {
                let change = compare(base, closure);
                (note_body(closure, &change), Some(change.verdict))
            }
            Subject::Roster(roster) => (roster_body(roster), None),
            Subject::Policy(policy) => (policy_body(policy), None),
        }
    }
}

fn roster_body(roster: &Roster) -> String {
    let mut text = format!("개인정보 보호 담당자 명부 제{}판\n", roster.version);
    let mut line = |line: std::fmt::Arguments<'_>| {
        text.write_fmt(line).and_then(|()| text.write_char('\n')).expect("writing to a String cannot fail");
    };
    line(format_args!("직전 명부: {}", roster.previous.as_deref().map_or("없음".to_owned(), in_fours)));
    line(format_args!("다음 명부에 필요한 서명: {}건", roster.quorum));
    for officer in &roster.officers {
        line(format_args!("담당자 {}: {} ({}), {}", officer.id, officer.name.ko, officer.name.en, officer.role.ko()));
        line(format_args!("  임기: {} ~ {}", officer.from, officer.until));
        if let Some(retired) = officer.retired {
            line(format_args!("  퇴직: {retired}"));
        }
        if officer.demonstration {
            line(format_args!("  시연용"));
        }
        for key in &officer.keys {
            line(format_args!("  키 {}/{} ({}): {}", officer.id, key.name, key.place.ko(), key.public));
        }
    }
    for delegation in &roster.delegations {
        let super::roster::Delegation { delegator, delegate, from, until, .. } = delegation;
        line(format_args!("대결: {delegator} → {delegate}, {from} ~ {until}"));
    }
    text
}

/// Every value of the policy on a line of its own, by its path as `policy.toml` has it.
fn policy_body(policy: &Policy) -> String {
    let mut text = format!("개인정보 처리 정책 제{}판\n", policy.version);
    let body = canonical_json(&policy_value(policy));
    let sorted: Value = serde_json::from_str(&body).unwrap_or(Value::Null);
    write_value(&mut text, "", &sorted);
    text
}

fn write_value(text: &mut String, path: &str, value: &Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                write_value(text, &path, member);
            }
        }
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            for (at, item) in items.iter().enumerate() {
                write_value(text, &format!("{path}[{}]", at + 1), item);
            }
        }
        Value::Null => {}
        // Texts in quotes with escapes: a newline in one cannot start a line.
        scalar_or_list => writeln!(text, "{path} = {scalar_or_list}").expect("writing to a String cannot fail"),
    }
}
