//! The local door: a lock on the data folder and a Unix socket with one JSON line asked, one JSON line answered.
//!
//! Owns the lock file and the socket. Decides nothing: a command that changes something goes through the intake as an
//! event of the desk. Invariants: a data folder has at most one owner; the socket is for the service user only (0600).

mod client;
mod lock;
mod server;

pub use client::{AskFailed, ask};
pub use lock::{DataLock, Locked};
pub use server::{Commands, Peer, serve};

use serde::{Deserialize, Serialize};

use crate::domain::{BookingId, ObjectName, PartnerId, Position, SlotKey};

/// Name of the socket in the data folder.
pub const SOCKET: &str = "admin.sock";
/// Longest line asked, newline included.
pub const LINE_BYTES_MAX: usize = 64 * 1024;
/// Slots that one release may name.
pub const RELEASE_MAX: usize = 1_000;
/// Ops that one retry may name.
pub const RETRY_MAX: usize = 100;

/// What may be asked: `{"ask":"status"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
pub enum Ask {
    Status,
    /// Writes a snapshot of the ledger now.
    Snapshot,
    /// Gives every free unit of these slots back to the legacy system.
    Release {
        slots: Vec<SlotKey>,
    },
    /// Has write-back run ops again that it set aside.
    Retry {
        ops: Vec<Position>,
    },
    /// Says what became of an op that was set aside: the RESULT of `SB_APPLIED`; without one, it was never applied.
    Settle {
        op: Position,
        result: Option<String>,
    },
    /// What an operator must know of bookings and units.
    Conflicts,
    /// Has a booking driven again that a rule of the legacy system displaced.
    Redrive {
        booking: BookingId,
    },
    /// A refused cut of this object is believed: its rows are really gone.
    Confirm {
        object: ObjectName,
    },
    /// Opens the next epoch of person tokens; the open one's are accepted so much longer.
    Rotate {
        overlap_h: u32,
        by: String,
    },
    /// Destroys the keys of an epoch that gave way.
    DestroyEpoch {
        epoch: u32,
        by: String,
    },
    /// Configuration and mappings anew, all or nothing.
    Reload,
    /// The rows that this feed is held for are right.
    ConfirmRows {
        partner: PartnerId,
        feed: String,
    },
    /// A feed that a guard stopped is built again; what still must not leave stops it again.
    RetryFeed {
        partner: PartnerId,
        feed: String,
    },
}

/// `{"ok":…}` or `{"error":{"code":…,"detail":…}}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    Ok(serde_json::Value),
    Error { code: String, detail: String },
}
