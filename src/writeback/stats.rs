//! What write-back did, in numbers.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::{Position, SlotKey, Timestamp};
use crate::legacy::{Control, LegacyErrorKind};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Status {
    #[default]
    Running,
    /// The agency's switch says DRAIN: takes are answered with no units by the legacy side; all else goes on.
    Draining,
    /// The agency's switch says STOP: nothing is written.
    StoppedByAgency,
    /// The agency has fenced the bridge off (script 94): nothing is written until the fence is open again.
    Fenced,
    /// The legacy system cannot be reached; ops wait.
    Unreachable,
    /// The legacy system is out of something (space, sessions); it is tried again after a long pause.
    Waiting,
    /// Somebody must act; it is tried again once something may have changed.
    Halted { kind: LegacyErrorKind, message: String },
}

impl Status {
    pub const CODES: [&str; 7] =
        ["running", "draining", "stopped_by_agency", "fenced", "unreachable", "waiting", "halted"];

    pub fn code(&self) -> &'static str {
        match self {
            Status::Running => "running",
            Status::Draining => "draining",
            Status::StoppedByAgency => "stopped_by_agency",
            Status::Fenced => "fenced",
            Status::Unreachable => "unreachable",
            Status::Waiting => "waiting",
            Status::Halted { .. } => "halted",
        }
    }
}

/// An op that runs no more by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    pub op: Position,
    /// As the legacy system knows it.
    pub id: String,
    pub slot: SlotKey,
    /// `take`, `return`, `convert`, `place`, `cancel`, `mend`.
    pub kind: &'static str,
    pub why: Arc<str>,
    pub since: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    pub status: Status,
    /// The agency's switch as it was last read.
    pub control: Control,
    pub fence_open: bool,
    /// Transactions that were tried.
    pub transactions: u64,
    pub failures: u64,
    pub statements: u64,
    /// Ops by outcome: `taken`, `returned`, `converted`, `turned_back`, `already_cancelled` or a rejection's code.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// How often ledger and legacy system disagreed at a connect: `legacy_behind`, `ledger_behind`, `foreign`.
    pub disagreements: BTreeMap<&'static str, u64>,
    /// Ops that the next transaction may hold.
    pub batch_max: usize,
    /// Claimed ops without an outcome.
    pub waiting: usize,
    pub in_doubt: usize,
    pub aside: Vec<Aside>,
    /// Release requests of the agency that are being carried out.
    pub releases: usize,
    /// When the oldest of them was claimed; now − it is the lag.
    pub oldest_at: Option<Timestamp>,
}

impl Default for Stats {
    fn default() -> Stats {
        Stats {
            status: Status::default(),
            control: Control::Run,
            fence_open: true,
            transactions: 0,
            failures: 0,
            statements: 0,
            outcomes: BTreeMap::new(),
            disagreements: BTreeMap::new(),
            batch_max: 0,
            waiting: 0,
            in_doubt: 0,
            aside: Vec::new(),
            releases: 0,
            oldest_at: None,
        }
    }
}
