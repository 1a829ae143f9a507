//! The legacy system behind two ports. `oracle` is the real one, `sqlite` the embedded example; every adapter passes
//! the contract suite.
//!
//! Invariants: a cut is consistent or it is nothing; only the columns of a `Layout` are fetched; an op takes effect
//! at most once whatever is repeated, because its id is inserted in the same transaction as its effect.

pub mod finding;
pub mod import;
#[cfg(feature = "oracle")]
pub mod oracle;
#[cfg(not(feature = "oracle"))]
#[path = "oracle_absent.rs"]
pub mod oracle;
pub mod sqlite;
pub mod stored;

use std::sync::Arc;

pub use crate::domain::Control;
use crate::domain::{AllotmentMode, OpId, SeriesId, SlotKey, Timestamp, Value};
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

    /// One page of a cut by key ranges: up to `rows_max` rows whose key is after `after`, in order of the key, in a
    /// read-only transaction of its own. Fewer rows than asked for end the cut.
    fn page(
        &mut self,
        layout: &Layout,
        after: Option<&str>,
        rows_max: u32,
        sink: &mut RowSink<'_>,
    ) -> Result<CutInfo, LegacyError>;

    /// Rows that a hint points at, in one read-only transaction.
    fn hinted(&mut self, layout: &Layout, hint: &Hint<'_>, sink: &mut RowSink<'_>) -> Result<CutInfo, LegacyError>;

    /// Whole days until the password of the account in use expires; `None`: it does not, or there is none.
    fn password_days(&mut self) -> Result<Option<i64>, LegacyError> {
        Ok(None)
    }

    /// How far behind the written side this connection reads (a standby); 0 where both are one database.
    fn lag_ms(&mut self) -> Result<u64, LegacyError>;

    /// Statements sent since the connection was opened.
    fn statements(&self) -> u64;
}

/// About one cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CutInfo {
    /// The legacy system's clock when the read-only transaction began.
    pub as_of: Timestamp,
    pub rows: u64,
    /// Largest `row_scn` that the rows had, where the layout has one.
    pub scn_max: Option<u64>,
}

/// Which rows may have changed. A hint never decides: its rows go through the same comparison as those of a full cut.
#[derive(Debug, Clone, Copy)]
pub enum Hint<'a> {
    /// Rows whose `UpdatedAt` column is at or after this instant.
    Since(Timestamp),
    /// Rows whose key is in the list, at most `KEYS_MAX`; a key without a row yields nothing.
    Keys(&'a [&'a str]),
    /// Rows whose key is at or after this one, in the order of the legacy system's index (keys that only grow).
    Tail(&'a str),
    /// Rows whose `Start` column is in `[from, until)`.
    Window { from: Timestamp, until: Timestamp },
    /// Rows whose `RowScn` column is at or after the mark, or NULL.
    Scn(u64),
}

/// Bound of one `Hint::Keys`.
pub const KEYS_MAX: usize = 500;

/// Writes of the legacy system: the bridge's own tables and named reservations.
pub trait LegacyWrite: Send {
    /// Runs ops in one transaction, in order; at most `MAX_OPS`. `Ok` = committed, with one reply an op. An op whose id
    /// is known already answers what it answered then. `Err` with `in_doubt` = the commit's outcome is unknown.
    fn apply(&mut self, ops: &[OpRequest]) -> Result<Vec<OpReply>, LegacyError>;

    /// How many ops of the ledger the legacy system has applied, as of this connection's newest commit of `apply`; 0
    /// before the first. A legacy system that does not count answers 0: then a restore shows by the newest op alone.
    fn applied(&self) -> u64 {
        0
    }

    /// What the agency says to the bridge, and how far the legacy system says the bridge has come. One statement or two.
    fn agency(&mut self) -> Result<Agency, LegacyError>;

    /// The release request is carried out.
    fn released(&mut self, request: u64) -> Result<(), LegacyError>;

    /// States that the bridge lives: position reached, bookings not yet applied, free units (`SB_HEARTBEAT`).
    fn heartbeat(&mut self, beat: Heartbeat) -> Result<(), LegacyError>;

    /// Forgets up to `rows_max` answers of ops that were applied more than `days` ago; answers how many. An adapter
    /// whose tables somebody else tidies forgets none.
    fn forget_applied(&mut self, days: u32, rows_max: u32) -> Result<u64, LegacyError> {
        let _ = (days, rows_max);
        Ok(0)
    }

    /// Whole days until the password of the account in use expires; `None`: it does not, or there is none.
    fn password_days(&mut self) -> Result<Option<i64>, LegacyError> {
        Ok(None)
    }

    /// From now on this connection's ops leave `SB_FENCE` as it is: they are a test of the legacy system and no part of
    /// the ledger. False: the adapter cannot, and no test may be run through it.
    fn leave_fence(&mut self) -> bool {
        false
    }

    /// Statements sent since the connection was opened.
    fn statements(&self) -> u64;
}

/// Bound of one `apply`.
pub const MAX_OPS: usize = 50;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpRequest {
    pub id: OpId,
    pub slot: SlotKey,
    /// How the slot's class comes to units; says which columns the op may change. Not part of the op's identity.
    pub mode: AllotmentMode,
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
    Convert { person: PersonKey, series: SeriesId, unbacked: Unbacked },
    /// Mode `on_request`: a unit is taken from native selling and becomes this person's reservation, or nothing happens.
    Place { person: PersonKey, series: SeriesId },
    /// The reservation that op `convert` made is cancelled and its unit returns to escrow; in mode `on_request` to
    /// native selling.
    Cancel { convert: OpId },
    /// Rule 30: the legacy system's own book-keeping no longer covers the escrow. Takes again what fits; gives up
    /// what does not, but never units that are sold (`sold`: units of the escrow that bookings wait to convert).
    Mend { sold: u32 },
}

/// What a convert does that finds no unit in escrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unbacked {
    Refuse,
    /// The booking was acknowledged and the legacy system lost its unit by being restored (rule 28): it is honoured.
    Honour,
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
        /// More is reserved than the slot's total: an overrun that an honoured convert caused.
        over: bool,
    },
    /// The reservation is cancelled and its unit is in escrow again.
    TurnedBack,
    /// The reservation is cancelled and its unit went back to native selling (mode `on_request`).
    GivenUp,
    AlreadyCancelled,
    /// A `Place` found no room, or the slot closed.
    NoPlace,
    /// The escrow is covered again: `added` units were taken once more, `lost` are no longer the bridge's, and by
    /// `over` units the legacy system itself has sold more than its total.
    Mended {
        added: u32,
        lost: u32,
        over: u32,
    },
    /// Rule 10: the person has an active native reservation in the series; the unit stays in escrow.
    PersonBooked,
    SlotMissing,
    EscrowEroded,
    /// A rule of the legacy system; `code` is its error code, never a value.
    LegacyRule {
        code: String,
    },
}

/// The agency's side of the bridge's tables, read at least every 2 s.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agency {
    pub control: Control,
    pub fence: Fence,
    /// Release requests that are not carried out yet, oldest first, at most `RELEASES_MAX`.
    pub releases: Vec<ReleaseRequest>,
}

/// Bound of `Agency::releases`; more wait for the next reading.
pub const RELEASES_MAX: usize = 50;

/// `SB_FENCE`: the newest op that the legacy system has applied, and whether the bridge may still write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// `None` before the first op.
    pub last_op: Option<OpId>,
    /// Ops applied since the tables were made. Never goes back but by a restore, of which it tells also where the
    /// newest op by id was not lost.
    pub applied: u64,
    /// False once script 94 has fenced the bridge off.
    pub open: bool,
}

/// `SB_RELEASE_REQUEST`: the agency wants free units back now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseRequest {
    pub id: u64,
    /// `None`: of every slot.
    pub slot: Option<SlotKey>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeat {
    pub position: u64,
    pub unapplied: u64,
    pub free_units: u64,
}

/// What went wrong with the legacy system; the kind says what to do.
#[derive(Debug, thiserror::Error)]
#[error("legacy system: {class}: {message}{}", hint.map(|hint| format!("; {hint}")).unwrap_or_default())]
pub struct LegacyError {
    pub kind: LegacyErrorKind,
    /// The commit's outcome is unknown: run the same ops again.
    pub in_doubt: bool,
    /// Class of the error in the adapter's error table: a stable word, also the metric label.
    pub class: &'static str,
    /// Error code and our own words; never a row value.
    pub message: String,
    /// What an operator can do about it.
    pub hint: Option<&'static str>,
}

/// Class of an error whose code no table lists: the op that it struck halts, the others go on.
pub const UNLISTED: &str = "unlisted";

impl LegacyError {
    /// An error of the kind's own class, with a known outcome.
    pub fn new(kind: LegacyErrorKind, message: impl Into<String>) -> LegacyError {
        LegacyError { kind, in_doubt: false, class: kind.code(), message: message.into(), hint: None }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LegacyErrorKind {
    /// Busy, deadlocked, timed out: the same transaction may be tried again.
    Retry,
    /// Limits, space, a standby that lags: the same may be tried again after a long pause; a person should look.
    Wait,
    /// The connection is gone: reconnect, with backoff.
    Lost,
    /// The account is refused: no thread tries again before the secret changes, so that no account gets locked.
    Credentials,
    /// A person must act: privileges, missing client, name of the service.
    Operator,
    /// The view is not as declared: halt the feeds that read it.
    Schema,
    /// A body-hash mismatch, an unlisted code or another contradiction: the op halts, write-back stops.
    Halt,
}

impl LegacyErrorKind {
    pub fn code(self) -> &'static str {
        match self {
            LegacyErrorKind::Retry => "retry",
            LegacyErrorKind::Wait => "wait",
            LegacyErrorKind::Lost => "lost",
            LegacyErrorKind::Credentials => "credentials",
            LegacyErrorKind::Operator => "operator",
            LegacyErrorKind::Schema => "schema",
            LegacyErrorKind::Halt => "halt",
        }
    }

    /// Does it pass without anybody acting?
    pub fn passes(self) -> bool {
        match self {
            LegacyErrorKind::Retry | LegacyErrorKind::Wait | LegacyErrorKind::Lost => true,
            LegacyErrorKind::Credentials
            | LegacyErrorKind::Operator
            | LegacyErrorKind::Schema
            | LegacyErrorKind::Halt => false,
        }
    }
}
