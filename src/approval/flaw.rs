//! Why something is not believed: one line in English for logs, one in Korean for pages.

use crate::domain::Timestamp;

use super::roster::OfficerRole;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    #[error("{what} is not a signed note: {why}")]
    NotANote { what: String, why: String },
    #[error("{what}: {character} may hide or reorder what is read")]
    Hidden { what: String, character: String },
    #[error("a line of the text starts as a signature does")]
    FalseSignature,
    #[error("the note is of another deployment: {origin}")]
    OtherOrigin { origin: String },
    #[error("the text is not what is rendered from the version that it names (line {line})")]
    OtherText { line: usize },
    #[error("{signer} is not in the roster {roster}")]
    UnknownSigner { signer: String, roster: String },
    #[error("the signature of {signer} does not verify")]
    BadSignature { signer: String },
    #[error("{signer} signed twice")]
    SignedTwice { signer: String },
    #[error("the roster {digest} is not chained to the first one")]
    UnknownRoster { digest: String },
    #[error("no first roster is pinned: [mappings] genesis")]
    NoGenesis,
    #[error("the first roster {digest} is pinned and not there")]
    GenesisMissing { digest: String },
    #[error("the roster {digest} has {have} of {need} signatures of the one before{why}")]
    RosterUnsigned { digest: String, have: u32, need: u32, why: String },
    #[error("officers.toml is not the roster in force: {why}")]
    RosterNotInForce { why: String },
    #[error("two rosters follow {digest}")]
    RosterFork { digest: String },
    #[error("not a roster: {what}")]
    NotARoster { what: String },
    #[error("{what}")]
    Misplaced { what: String },
    #[error("not a version: {what}")]
    NotAVersion { what: String },
    #[error("the version {digest} that the note is about is not there")]
    VersionMissing { digest: String },
    #[error("the note before, {digest}, is not there")]
    PreviousMissing { digest: String },
    #[error("two notes follow {after}")]
    NoteFork { after: String },
    #[error("rolled back: {what} is recorded and not there")]
    RolledBack { what: String },
    #[error("{officer} is a demonstration officer")]
    Demonstration { officer: String },
    #[error("{officer} was not in office on {day}")]
    OutOfTerm { officer: String, day: String },
    #[error("{signer} is withdrawn: the roster in force has no such key")]
    KeyWithdrawn { signer: String },
    #[error("{officer} has the role {role}, which does not approve")]
    RoleMayNot { officer: String, role: &'static str },
    #[error("{officer} drew it up and may not sign it")]
    Author { officer: String },
    #[error("{delegate} has no delegation of {delegator} on {day}")]
    NoDelegation { delegator: String, delegate: String, day: String },
    #[error("{officer} signed already")]
    SamePerson { officer: String },
    #[error("the role {role} signed already")]
    SameRole { role: &'static str },
    #[error("compared with {named}, in force is {in_force}")]
    Compared { named: String, in_force: String },
    #[error("stated before the note that it follows")]
    TimeBackwards,
    #[error("valid for more than {days} days or not at all")]
    Validity { days: u32 },
    #[error("signed under another roster than the version names")]
    OtherRoster,
    #[error("names another author than the mapping")]
    OtherAuthor,
    #[error("{have} of {need} signatures")]
    Missing { have: u32, need: u32 },
    #[error("needs a signature made on an officer's own machine (device)")]
    NoDevice,
    #[error("the condition of {officer} is open")]
    Condition { officer: String },
    #[error("the policy changed and {digest} is not approved")]
    PolicyUnsigned { digest: String },
    #[error("replaced by the version {digest}")]
    Superseded { digest: String },
    #[error("{what} is missing")]
    Incomplete { what: &'static str },
    #[error("an opinion of {opinion} does not go with the decision {decision}")]
    Opinion { opinion: &'static str, decision: &'static str },
    #[error("it stopped at {}", .at.rfc3339())]
    Ended { at: Timestamp },
    #[error("refused by {officer}")]
    Refused { officer: String },
}

impl Flaw {
    pub fn ko(&self) -> String {
        match self {
            Flaw::NotANote { what, why } => format!("{what}: 서명 기록의 형식이 아닙니다. ({why})"),
            Flaw::Hidden { what, character } => {
                format!("{what}: 보이지 않거나 읽는 순서를 바꾸는 문자({character})가 있습니다.")
            }
            Flaw::FalseSignature => "본문에 서명처럼 시작하는 줄이 있습니다.".to_owned(),
            Flaw::OtherOrigin { origin } => format!("다른 기관 시스템({origin})의 기록입니다."),
            Flaw::OtherText { line } => format!("서명된 글이 이 판에서 만들어지는 글과 다릅니다. ({line}번째 줄)"),
            Flaw::UnknownSigner { signer, roster } => format!("서명자 {signer}: 명부 {roster}에 없습니다."),
            Flaw::BadSignature { signer } => format!("{signer}의 서명이 맞지 않습니다."),
            Flaw::SignedTwice { signer } => format!("{signer}의 서명이 두 번 있습니다."),
            Flaw::UnknownRoster { digest } => format!("명부 {digest}: 최초 명부에서 이어지지 않습니다."),
            Flaw::NoGenesis => "최초 명부가 설정에 정해져 있지 않습니다.".to_owned(),
            Flaw::GenesisMissing { digest } => format!("설정에 정해진 최초 명부 {digest}: 파일이 없습니다."),
            Flaw::RosterUnsigned { digest, have, need, .. } => {
                format!("명부 {digest}: 직전 명부의 서명 {need}건 가운데 {have}건만 있습니다.")
            }
            Flaw::RosterNotInForce { why } => format!("officers.toml은 시행 중인 명부가 아닙니다. ({why})"),
            Flaw::RosterFork { digest } => format!("명부 {digest} 다음에 명부가 둘 있습니다."),
            Flaw::NotARoster { what } => format!("명부의 형식이 아닙니다. ({what})"),
            Flaw::Misplaced { what } => format!("승인 폴더에 맞지 않는 파일입니다. ({what})"),
            Flaw::NotAVersion { what } => format!("승인 대상 판의 형식이 아닙니다. ({what})"),
            Flaw::VersionMissing { digest } => format!("기록이 가리키는 판 {digest}: 파일이 없습니다."),
            Flaw::PreviousMissing { digest } => format!("이전 기록 {digest}: 파일이 없습니다."),
            Flaw::NoteFork { after } => format!("{after} 다음에 기록이 둘 있습니다."),
            Flaw::RolledBack { what } => format!("이미 확인한 기록이 사라졌습니다. ({what})"),
            Flaw::Demonstration { officer } => format!("{officer}: 시연용 담당자입니다."),
            Flaw::OutOfTerm { officer, day } => format!("{officer}: {day}에 임기 중이 아닙니다."),
            Flaw::KeyWithdrawn { signer } => format!("{signer}: 시행 중인 명부에서 폐지된 키입니다."),
            Flaw::RoleMayNot { officer, role } => {
                format!("{officer}: {} 역할은 승인 서명을 할 수 없습니다.", role_ko(role))
            }
            Flaw::Author { officer } => format!("{officer}: 기안자는 서명할 수 없습니다."),
            Flaw::NoDelegation { delegator, delegate, day } => {
                format!("{delegate}: {day}에 {delegator}의 대결 위임이 없습니다.")
            }
            Flaw::SamePerson { officer } => format!("{officer}: 이미 서명했습니다."),
            Flaw::SameRole { role } => format!("{}: 같은 역할의 서명이 이미 있습니다.", role_ko(role)),
            Flaw::Compared { named, in_force } => {
                format!("비교 대상이 {named}이나, 시행 중인 판은 {in_force}입니다.")
            }
            Flaw::TimeBackwards => "서명 시각이 이전 기록보다 이릅니다.".to_owned(),
            Flaw::Validity { days } => format!("유효 기간이 없거나 {days}일을 넘습니다."),
            Flaw::OtherRoster => "판에 적힌 명부와 다른 명부로 서명했습니다.".to_owned(),
            Flaw::OtherAuthor => "기안자가 매핑에 적힌 기안자와 다릅니다.".to_owned(),
            Flaw::Missing { have, need } => format!("서명 {need}건 가운데 {have}건이 있습니다."),
            Flaw::NoDevice => "담당자 본인의 기기에서 한 서명이 1건 이상 있어야 합니다.".to_owned(),
            Flaw::Condition { officer } => format!("{officer}의 조건이 아직 해소되지 않았습니다."),
            Flaw::PolicyUnsigned { digest } => format!("정책이 바뀌었으나 정책 {digest}: 승인되지 않았습니다."),
            Flaw::Superseded { digest } => format!("이후 승인된 판 {digest}: 이 판을 대체했습니다."),
            Flaw::Incomplete { what } => format!("빠진 항목이 있습니다. ({what})"),
            Flaw::Opinion { .. } => "의견과 결정이 서로 맞지 않습니다.".to_owned(),
            Flaw::Ended { at } => format!("{}에 끝났습니다.", at.seoul_text()),
            Flaw::Refused { officer } => format!("{officer}: 승인하지 않았습니다."),
        }
    }
}

fn role_ko(code: &'static str) -> &'static str {
    OfficerRole::ALL.into_iter().find(|role| role.code() == code).map_or(code, OfficerRole::ko)
}

/// Digests in a line of text: their first 12 characters, as files are named.
pub(super) fn short(digest: &str) -> String {
    digest.chars().take(12).collect()
}
