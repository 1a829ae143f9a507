//! The legacy system behind two ports. `sqlite` is the embedded example; every adapter passes the contract suite.
//!
//! Invariants: a cut is consistent or it is nothing; only the columns of a `Layout` are fetched; an op takes effect
//! at most once whatever is repeated, because its id is inserted in the same transaction as its effect.

pub mod import;
pub mod sqlite;

use std::sync::Arc;

use crate::domain::{OpId, SeriesId, SlotKey, Timestamp, Value};
use crate::mapping::Layout;

/// A row as it arrives: values in the order of the layout's columns.
pub type RowSink<'a> = dyn FnMut(Vec<Value>) -> Result<(), LegacyError> + 'a;

/// Reads of the legacy system. One value owns one connection and lives on one thread.
pub trait LegacyRead: Send {
    /// The live dictionary of an interface view: column name and type as the legacy system states it, in order.
    fn columns(&mut self, view: &str) -> Result<Vec<(String, String)>, LegacyError>;

    /// All rows of the given layouts in one read-only transaction: rows of `layouts[i]` arrive as `sink(i, row)`,
    /// layout after layout. An error discards the cut: the caller must not use what it has got.
    fn cut(
        &mut self,
        layouts: &[&Layout],
        sink: &mut dyn FnMut(usize, Vec<Value>) -> Result<(), LegacyError>,
    ) -> Result<CutInfo, LegacyError>;

    /// Rows whose `UpdatedAt` column is at or after `since` (hint `timestamp`), in one read-only transaction.
    fn changed_since(
        &mut self,
        layout: &Layout,
        since: Timestamp,
        sink: &mut RowSink<'_>,
    ) -> Result<CutInfo, LegacyError>;

    /// Rows whose key is in `keys` (hint `hot_set`), at most 500 keys; a key without a row yields nothing.
    fn by_keys(&mut self, layout: &Layout, keys: &[&str], sink: &mut RowSink<'_>) -> Result<CutInfo, LegacyError>;

    /// Statements sent since the connection was opened.
    fn statements(&self) -> u64;
}

/// About one cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CutInfo {
    /// The legacy system's clock when the read-only transaction began.
    pub as_of: Timestamp,
    pub rows: u64,
}

/// Writes of the legacy system: the bridge's own tables and named reservations.
pub trait LegacyWrite: Send {
    /// Runs ops in one transaction, in order; at most `MAX_OPS`. `Ok` = committed, with one reply an op. An op whose id
    /// is known already answers what it answered then. `Err` with `in_doubt` = the commit's outcome is unknown.
    fn apply(&mut self, ops: &[OpRequest]) -> Result<Vec<OpReply>, LegacyError>;

    /// The agency's switch (`SB_CONTROL`).
    fn control(&mut self) -> Result<Control, LegacyError>;

    /// States that the bridge lives: position reached, bookings not yet applied, free units (`SB_HEARTBEAT`).
    fn heartbeat(&mut self, beat: Heartbeat) -> Result<(), LegacyError>;

    /// Statements sent since the connection was opened.
    fn statements(&self) -> u64;
}

/// Bound of one `apply`.
pub const MAX_OPS: usize = 50;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpRequest {
    pub id: OpId,
    pub slot: SlotKey,
    pub what: LegacyOp,
}

/// A write-back in the legacy system's own words: the person by legacy key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LegacyOp {
    /// Take up to so many units of what native selling has left; guarded by the counter and by the slot being open.
    Take { units: u32 },
    /// Give units back, whatever the slot's status.
    Return { units: u32 },
    /// One escrow unit becomes a reservation of this person, marked with the op id.
    Convert { person: PersonKey, series: SeriesId },
    /// The reservation that op `convert` made is cancelled and its unit returns to escrow.
    Cancel { convert: OpId },
}

/// Legacy key of a person (`P000123`): internal to bridge and legacy system, never logged, never published.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PersonKey(pub Arc<str>);

impl std::fmt::Debug for PersonKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PersonKey(…)")
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpReply {
    Taken {
        units: u32,
    },
    Returned {
        units: u32,
    },
    Converted {
        legacy_ref: Arc<str>,
    },
    TurnedBack,
    AlreadyCancelled,
    /// Rule 10: the person has an active native reservation in the series; the unit stays in escrow.
    PersonBooked,
    SlotMissing,
    EscrowEroded,
    /// A rule of the legacy system; `code` is its error code, never a value.
    LegacyRule {
        code: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    Run,
    Drain,
    Stop,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeat {
    pub position: u64,
    pub unapplied: u64,
    pub free_units: u64,
}

/// What went wrong with the legacy system; the kind says what to do.
#[derive(Debug, thiserror::Error)]
#[error("legacy system: {kind:?}: {message}")]
pub struct LegacyError {
    pub kind: LegacyErrorKind,
    /// The commit's outcome is unknown: run the same ops again.
    pub in_doubt: bool,
    /// Error code and our own words; never a row value.
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LegacyErrorKind {
    /// Busy, deadlocked, timed out: the same transaction may be tried again.
    Retry,
    /// The connection is gone: reconnect, with backoff.
    Lost,
    /// A person must act: password, privileges, missing client.
    Operator,
    /// The view is not as declared: halt the feeds that read it.
    Schema,
    /// A body-hash mismatch or another contradiction: write-back stops.
    Halt,
}

impl LegacyErrorKind {
    pub fn code(self) -> &'static str {
        match self {
            LegacyErrorKind::Retry => "retry",
            LegacyErrorKind::Lost => "lost",
            LegacyErrorKind::Operator => "operator",
            LegacyErrorKind::Schema => "schema",
            LegacyErrorKind::Halt => "halt",
        }
    }
}
