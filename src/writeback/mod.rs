//! Applies durable decisions to the legacy system: claims ops from the desk, runs them, tells the outcomes.
//!
//! Owns nothing durable: what has no outcome in the ledger is claimed again after a restart, and the legacy system
//! answers a known op id as it answered before. Invariants: an op runs only after its entry is durable; every op is
//! run until its outcome is known, unchanged; ops of a slot keep their order; the agency's switch is asked at least
//! every `control_interval_ms` and before the first write.

mod loops;
mod stats;
mod wake;
mod worker;

pub use loops::{Beat, Connect, Running, start};
pub use stats::{Stats, Status};
pub use wake::Wake;
pub use worker::{Lives, Turn, Worker};

use crate::legacy::LegacyErrorKind;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Ops of one transaction, at most `legacy::MAX_OPS`.
    pub batch_max: usize,
    /// The switch is asked this often: obeyed within 2 s.
    pub control_interval_ms: u64,
    pub heartbeat_interval_ms: u64,
    /// Longest wait without a wake-up: a lost wake-up costs this much, no more.
    pub idle_ms: u64,
    pub pause_first_ms: u64,
    pub pause_last_ms: u64,
    /// An op that failed more often runs alone, so that it cannot hold up the rest.
    pub together_failures_max: u32,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            batch_max: crate::legacy::MAX_OPS,
            control_interval_ms: 1_000,
            heartbeat_interval_ms: 1_000,
            idle_ms: 1_000,
            pause_first_ms: 100,
            pause_last_ms: 60_000,
            together_failures_max: 5,
        }
    }
}

/// Why write-back came to an end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    /// The process ends; nothing is lost.
    #[error("the desk has stopped")]
    Desk,
    /// Somebody must act: a password, a privilege, a contradiction.
    #[error("write-back stands still until somebody acts: {message}")]
    Halted { kind: LegacyErrorKind, message: String },
}
