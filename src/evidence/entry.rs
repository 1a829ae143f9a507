//! What is written down: who looked, what left, who approved, what was deleted.
//!
//! An entry names a person by number, which only the register can resolve, and never shows it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::{PartnerId, PersonRef, Position, Timestamp};

use super::{EvidenceError, TEXT_MAX};

/// One entry, in its stored form. Accesses stand bare, as they did before there were others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Entry {
    Left { left: Left },
    Approved { approved: Approved },
    Deleted { deleted: Deleted },
    Access(Access),
}

/// Who did what, when, from where, about whom: the five items of 접속기록, and what it rests on.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    pub at: Timestamp,
    pub actor: Actor,
    pub action: Action,
    /// Whom it is about, where it is about one person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<PersonRef>,
    /// Network address, or `admin socket`; none where the bridge acts by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// On what ground: kind of receipt, digest of an approval, number of an order. Never a personal value.
    pub basis: String,
    /// Persons or records concerned.
    pub count: u64,
    /// Position that the ledger had reached.
    pub position: Position,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("at", &self.at)
            .field("actor", &self.actor)
            .field("action", &self.action)
            .field("subject", &self.subject.map(|_| "…"))
            .field("from", &self.from)
            .field("basis", &self.basis)
            .field("count", &self.count)
            .field("position", &self.position)
            .finish()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    Partner(PartnerId),
    /// An operator or officer, by account name.
    Operator(String),
    /// The bridge itself.
    Bridge,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Actor::Partner(partner) => write!(f, "partner:{partner}"),
            Actor::Operator(name) => f.write_str(name),
            Actor::Bridge => f.write_str("slotbridge"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A person token was given out.
    TokenGiven,
    /// The same, asked for by a guardian.
    TokenGivenToGuardian,
    /// A mapping version came into force.
    MappingActivated,
    /// An officer stopped one (제공 중지).
    MappingStopped,
    /// Somebody looked at a person's record.
    PersonShown,
    PersonUnlinked,
    /// 열람, 삭제, 처리정지 or 동의 철회 was asked for or done; the basis says which.
    RightExercised,
    /// A leak was recorded (제34조).
    IncidentRecorded,
    /// An operator's command over the admin socket.
    CommandGiven,
    /// Records were written to a file or printed.
    Exported,
    CutConfirmed,
    KeyMade,
    /// Tokens are made in a new epoch from now on.
    KeyRotated,
    KeyDestroyed,
    LedgerSealed,
    BackupMade,
    Restored,
}

impl Action {
    /// 수행업무.
    pub fn ko(self) -> &'static str {
        match self {
            Action::TokenGiven => "이용자 식별 토큰 발급",
            Action::TokenGivenToGuardian => "이용자 식별 토큰 발급(보호자)",
            Action::MappingActivated => "제공 기준 적용",
            Action::MappingStopped => "제공 중지",
            Action::PersonShown => "개인정보 조회",
            Action::PersonUnlinked => "개인정보 연결 삭제",
            Action::RightExercised => "정보주체 권리 행사 처리",
            Action::IncidentRecorded => "유출 사고 기록",
            Action::CommandGiven => "운영 명령",
            Action::Exported => "기록 출력",
            Action::CutConfirmed => "대량 변경 확인",
            Action::KeyMade => "암호키 생성",
            Action::KeyRotated => "암호키 교체",
            Action::KeyDestroyed => "암호키 파기",
            Action::LedgerSealed => "원장 봉인",
            Action::BackupMade => "백업",
            Action::Restored => "복구",
        }
    }
}

/// What one partner could read of one feed in a window of time, once it was durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Left {
    /// The window: when its first change was published, and when it was closed.
    pub since: Timestamp,
    pub at: Timestamp,
    pub partner: PartnerId,
    pub feed: String,
    /// `naver.slots`, its version, what was approved, and the note that completed the quorum.
    pub mapping: String,
    pub version: u32,
    pub digest: String,
    pub note: String,
    /// Code of the legal basis.
    pub basis: String,
    /// Live items when the window closed.
    pub rows: u64,
    pub updated: u64,
    pub deleted: u64,
    /// Smallest number of persons that share a label, where the feed names persons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub k: Option<u32>,
    /// Items numbered in (after, position].
    pub after: Position,
    pub position: Position,
    /// Of the items' bytes, as `publish` hashes them.
    pub sha256: String,
    /// Of items as they stood when the window closed, not of every change: after a crash, or for a reader that came
    /// later.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_state: bool,
}

/// A note that officers signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approved {
    /// When the bridge saw it first.
    pub at: Timestamp,
    /// Id of the mapping; `officers`, `policy`.
    pub subject: String,
    /// Digest of the note's text.
    pub note: String,
    pub decision: String,
    /// Stated by the signers.
    pub signed_at: Timestamp,
    /// `kim/laptop`.
    pub signers: Vec<String>,
}

/// Contents that retention removed. Their hashes stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deleted {
    pub at: Timestamp,
    /// `access_days=730`.
    pub rule: String,
    /// Entries older than this.
    pub before: Timestamp,
    pub count: u64,
    /// First and last entry of each run, ascending.
    pub runs: Vec<(u64, u64)>,
}

/// What decides how long an entry's content is kept, and where it is looked for. Stored as a number beside the leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// Kept for ever: keys, backups, restores, confirmed cuts.
    Event = 0,
    /// 접속기록.
    Access = 1,
    /// What left, rights, incidents: what registers are made of.
    Record = 2,
    /// Kept for ever: an approval must never go back.
    Mapping = 3,
    /// Kept for ever.
    Approved = 4,
    /// Kept for ever: explains the leaves without content.
    Deleted = 5,
}

impl Entry {
    pub fn kind(&self) -> Kind {
        match self {
            Entry::Left { .. } => Kind::Record,
            Entry::Approved { .. } => Kind::Approved,
            Entry::Deleted { .. } => Kind::Deleted,
            Entry::Access(access) => match access.action {
                Action::TokenGiven
                | Action::TokenGivenToGuardian
                | Action::PersonShown
                | Action::CommandGiven
                | Action::Exported => Kind::Access,
                Action::PersonUnlinked | Action::RightExercised | Action::IncidentRecorded => Kind::Record,
                Action::MappingActivated | Action::MappingStopped => Kind::Mapping,
                Action::CutConfirmed
                | Action::KeyMade
                | Action::KeyRotated
                | Action::KeyDestroyed
                | Action::LedgerSealed
                | Action::BackupMade
                | Action::Restored => Kind::Event,
            },
        }
    }

    pub fn at(&self) -> Timestamp {
        match self {
            Entry::Left { left } => left.at,
            Entry::Approved { approved } => approved.at,
            Entry::Deleted { deleted } => deleted.at,
            Entry::Access(access) => access.at,
        }
    }

    pub(super) fn check(&self) -> Result<(), EvidenceError> {
        let Entry::Access(access) = self else { return Ok(()) };
        let operator = match &access.actor {
            Actor::Operator(name) => name.len(),
            Actor::Partner(_) | Actor::Bridge => 0,
        };
        let texts = [
            ("a basis", access.basis.len()),
            ("an operator's name", operator),
            ("an origin", access.from.as_ref().map_or(0, String::len)),
        ];
        match texts.into_iter().find(|(_, bytes)| *bytes > TEXT_MAX) {
            Some((what, _)) => Err(EvidenceError::TooLong { what }),
            None => Ok(()),
        }
    }
}

impl From<Access> for Entry {
    fn from(access: Access) -> Entry {
        Entry::Access(access)
    }
}

impl From<Left> for Entry {
    fn from(left: Left) -> Entry {
        Entry::Left { left }
    }
}

impl From<Approved> for Entry {
    fn from(approved: Approved) -> Entry {
        Entry::Approved { approved }
    }
}
