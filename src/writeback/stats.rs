//! What write-back did, in numbers.

use std::collections::BTreeMap;

use crate::domain::Timestamp;
use crate::legacy::LegacyErrorKind;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Status {
    #[default]
    Running,
    /// The agency's switch says DRAIN: takes are answered with no units by the legacy side; all else goes on.
    Draining,
    /// The agency's switch says STOP: nothing is written.
    StoppedByAgency,
    /// The legacy system cannot be reached; ops wait.
    Unreachable,
    Halted {
        kind: LegacyErrorKind,
        message: String,
    },
}

impl Status {
    pub fn code(&self) -> &'static str {
        match self {
            Status::Running => "running",
            Status::Draining => "draining",
            Status::StoppedByAgency => "stopped_by_agency",
            Status::Unreachable => "unreachable",
            Status::Halted { .. } => "halted",
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    pub status: Status,
    /// Transactions that were tried.
    pub transactions: u64,
    pub failures: u64,
    pub statements: u64,
    /// Ops by outcome: `taken`, `returned`, `converted`, `turned_back`, `already_cancelled` or a rejection's code.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// Claimed ops without an outcome.
    pub waiting: usize,
    pub in_doubt: usize,
    /// When the oldest of them was claimed; now − it is the lag.
    pub oldest_at: Option<Timestamp>,
}
