//! The durable truth: what the desk decided, and the bytes that were answered.
//!
//! Owns the ledger segments, the snapshots of the desk and the thread that drives it. Decides nothing and renders
//! nothing. Invariants:
//! - no answer leaves the committer before the transaction that holds its entry and its reply is synced;
//! - a write that failed is never tried again: the committer stops, and a restart replays what is there;
//! - batches are hash-linked across segments, so damage is named and never silently replayed past;
//! - positions ascend without gaps; a restore advances them by an entry like any other.
//!
//! Tables are append-only and have no index but the position: two random unique indexes cost a factor of 20 once
//! half a million rows are in. Uniqueness is the desk's, in memory. The price is that a restart reads every entry
//! after the newest snapshot.

mod backup;
mod chain;
mod committer;
mod error;
mod export;
mod files;
mod queue;
mod reader;
mod restore;
mod segment;
pub mod snapshot;
mod sqlite;
mod turns;
mod verify;
mod walk;

use crate::decide::Entry;
use crate::domain::{Position, Timestamp};
use crate::durable::StoredReply;

pub use backup::{Backup, FileRecord, MANIFEST, Manifest, backup};
pub use chain::Hash;
pub use committer::{BATCH_MAX, Committer, Decide, Status};
pub use error::{Damage, LedgerError, Remedy};
pub use export::export;
pub use reader::LedgerReader;
pub use restore::{JUMP, Restored, check_backup, restore};
pub use segment::Epoch;
pub use sqlite::{ENTRIES_MAX, Expected, Head, Ledger, Settings, SyncMode};
pub use verify::{Report, verify};

/// Entries and replies of one batch: durable as a whole or not at all.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    pub at: Timestamp,
    /// Ascending, without gaps, beginning right after the store's last position.
    pub entries: Vec<Entry>,
    /// Replies to requests whose outcome is one of `entries`, each entry at most once.
    pub replies: Vec<StoredReply>,
}

/// Where the committer appends. After an error nothing may be assumed about the batch, and the store must not be
/// used again: the pages of a failed fsync may be marked clean, so that a second one would succeed without writing.
pub trait LedgerStore: Send {
    /// Returns once the batch is durable.
    fn append(&mut self, batch: &Batch) -> Result<(), LedgerError>;

    /// Work that can wait until the answers are out, such as checkpoints and new segments.
    fn tidy(&mut self) -> Result<(), LedgerError> {
        Ok(())
    }

    /// Last durable position.
    fn position(&self) -> Position;

    /// Time of the last durable batch.
    fn at(&self) -> Timestamp;
}
