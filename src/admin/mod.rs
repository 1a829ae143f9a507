//! The local door: a lock on the data folder and a Unix socket with one JSON line asked, one JSON line answered.
//!
//! Owns the lock file and the socket. Decides nothing: a command that changes something goes through the intake as an
//! event of the desk. Invariants: a data folder has at most one owner; the socket is for the service user only (0600).

mod client;
mod lock;
mod server;

pub use client::{AskFailed, ask};
pub use lock::{DataLock, Locked};
pub use server::{Commands, serve};

use serde::{Deserialize, Serialize};

use crate::domain::{ObjectName, SlotKey};

/// Name of the socket in the data folder.
pub const SOCKET: &str = "admin.sock";
/// Longest line asked, newline included.
pub const LINE_BYTES_MAX: usize = 64 * 1024;
/// Slots that one release may name.
pub const RELEASE_MAX: usize = 1_000;

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
    /// A refused cut of this object is believed: its rows are really gone.
    Confirm {
        object: ObjectName,
    },
}

/// `{"ok":…}` or `{"error":{"code":…,"detail":…}}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    Ok(serde_json::Value),
    Error { code: String, detail: String },
}
