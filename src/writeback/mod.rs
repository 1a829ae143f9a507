//! Applies durable decisions to the legacy system: claims ops from the desk, runs them, tells the outcomes.
//!
//! Owns nothing durable: what has no outcome in the ledger is claimed again after a restart, and the legacy system
//! answers a known op id as it answered before. Invariants: an op runs only after its entry is durable; every op is
//! run until its outcome is known, unchanged; ops of a slot keep their order; the agency's switch and fence are asked
//! at least every `control_interval_ms` and before the first write, and the fence is compared with the ledger at every
//! connect; no error of the legacy system ends the thread, so that nothing that is mended needs a restart.
//!
//! What an error leads to: `retry` repeats the transaction, and its ops alone once they failed too often · `wait`
//! pauses longer · `lost` reconnects, up to `pause_last_ms` apart · `credentials` waits for another secret ·
//! `operator` and `schema` try again every `operator_retry_ms` · `halt` with an unlisted code sets the op aside that it
//! struck; any other `halt` is a contradiction and stops all writing as `operator` does.

mod agency;
mod lives;
mod loops;
mod orders;
mod pace;
mod request;
mod stats;
mod trouble;
mod wake;
mod worker;

pub use lives::Lives;
pub use loops::{Beat, Connect, Running, Surroundings, start};
pub use orders::{ORDERS_MAX, Order, Orders};
pub use stats::{Aside, Stats, Status};
pub use trouble::ASIDE_MAX;
pub use wake::Wake;
pub use worker::{Around, Turn, Worker, not_applied};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Ops of one transaction, at most `legacy::MAX_OPS`.
    pub batch_max: usize,
    /// A transaction that takes longer makes the next ones smaller.
    pub transaction_ms_max: u64,
    /// The switch is asked this often: obeyed within 2 s.
    pub control_interval_ms: u64,
    pub heartbeat_interval_ms: u64,
    /// Longest wait without a wake-up: a lost wake-up costs this much, no more.
    pub idle_ms: u64,
    pub pause_first_ms: u64,
    pub pause_last_ms: u64,
    /// First pause when the legacy system is out of something.
    pub scarce_first_ms: u64,
    /// What a person must mend is tried again this often.
    pub operator_retry_ms: u64,
    /// An op that failed more often runs alone, so that it cannot hold up the rest.
    pub together_failures_max: u32,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            batch_max: crate::legacy::MAX_OPS,
            transaction_ms_max: 200,
            control_interval_ms: 1_000,
            heartbeat_interval_ms: 1_000,
            idle_ms: 1_000,
            pause_first_ms: 100,
            pause_last_ms: 60_000,
            scarce_first_ms: 5_000,
            operator_retry_ms: 60_000,
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
}
