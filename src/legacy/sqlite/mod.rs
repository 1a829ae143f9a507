//! The embedded legacy system: an example agency database in SQLite, its native seller, and the adapter to it.
//!
//! `read` and `write` are the adapter and see only what an adapter may: the interface views, the bridge's tables and
//! the reservation and slot tables it is granted. `native` is the agency's own application. `recount` judges both and
//! shares no logic with either. None of it is simulated: the same SQL transactions contend for the same rows.
//!
//! The clock of the legacy system is SQLite's, read in the statement that stamps a row.

pub mod generate;
pub mod native;
mod people;
mod places;
pub mod read;
pub mod recount;
mod regions;
mod rng;
pub mod schema;
pub(in crate::legacy) mod wall;
pub mod write;

use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode};

pub use read::SqliteRead;
pub use schema::Design;
pub use write::SqliteWrite;

use super::{LegacyError, LegacyErrorKind};
use crate::domain::AllotmentMode;

/// How long a statement waits for another writer. The longest native transaction (a recount) takes about 1 s.
pub const BUSY_TIMEOUT_MS: u32 = 10_000;

/// Now, as `UPD_DT` columns hold it: Korean wall clock with milliseconds.
pub(crate) const NOW_SQL: &str = "strftime('%Y-%m-%d %H:%M:%f', 'now', '+9 hours')";

/// What keeps a person from two active reservations in a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PersonConstraint {
    /// A unique index over the active reservations.
    UniqueIndex,
    /// Native code locks the person's row when it books; so does the bridge.
    RowLock,
    /// Nothing in the schema: the bridge looks again inside its transaction.
    None,
}

impl PersonConstraint {
    pub fn code(self) -> &'static str {
        match self {
            PersonConstraint::UniqueIndex => "unique_index",
            PersonConstraint::RowLock => "row_lock",
            PersonConstraint::None => "none",
        }
    }
}

/// Who keeps the legacy system's counter (`BOOKED_CNT`, `REMAIN_CNT`) when a reservation is made or cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Maintained {
    /// The application's own code; the bridge does as that code does.
    #[default]
    Application,
    /// A trigger on the reservations, which fires for the bridge's rows too.
    Trigger,
}

impl Maintained {
    pub fn code(self) -> &'static str {
        match self {
            Maintained::Application => "application",
            Maintained::Trigger => "trigger",
        }
    }
}

#[derive(Debug, Clone)]
pub struct Settings {
    pub path: PathBuf,
    /// Mode of most slots; each op says its own.
    pub allotment: AllotmentMode,
    pub maintained: Maintained,
    pub person_constraint: PersonConstraint,
    pub busy_timeout_ms: u32,
}

impl Settings {
    pub fn new(path: &Path) -> Settings {
        Settings {
            path: path.to_owned(),
            allotment: AllotmentMode::Counter,
            maintained: Maintained::Application,
            person_constraint: PersonConstraint::UniqueIndex,
            busy_timeout_ms: BUSY_TIMEOUT_MS,
        }
    }
}

/// One connection with the settings that all users of the file share.
pub(crate) fn open_connection(path: &Path, busy_timeout_ms: u32) -> Result<Connection, LegacyError> {
    let connection = Connection::open(path).map_err(failure)?;
    connection.busy_timeout(std::time::Duration::from_millis(u64::from(busy_timeout_ms))).map_err(failure)?;
    connection.set_prepared_statement_cache_capacity(64);
    // NORMAL: the example database survives a killed process, not a power cut. 16 MiB of cache a connection; more was
    // not measurably faster at a million persons.
    connection.execute_batch("PRAGMA synchronous = NORMAL; PRAGMA cache_size = -16384").map_err(failure)?;
    Ok(connection)
}

/// What SQLite's error means to the bridge. The text is SQLite's code and never its message, which may hold a value.
pub(crate) fn failure(error: rusqlite::Error) -> LegacyError {
    let (kind, message) = match &error {
        rusqlite::Error::SqliteFailure(e, text) => {
            let missing = text.as_deref().is_some_and(|t| t.starts_with("no such "));
            let kind = match e.code {
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::OperationInterrupted => {
                    LegacyErrorKind::Retry
                }
                ErrorCode::CannotOpen | ErrorCode::SystemIoFailure | ErrorCode::FileLockingProtocolFailed => {
                    LegacyErrorKind::Lost
                }
                ErrorCode::ReadOnly
                | ErrorCode::DiskFull
                | ErrorCode::PermissionDenied
                | ErrorCode::AuthorizationForStatementDenied
                | ErrorCode::NotADatabase
                | ErrorCode::DatabaseCorrupt => LegacyErrorKind::Operator,
                ErrorCode::SchemaChanged => LegacyErrorKind::Schema,
                _ if missing => LegacyErrorKind::Schema,
                _ => LegacyErrorKind::Halt,
            };
            (kind, format!("SQLite {} ({:?})", e.extended_code, e.code))
        }
        rusqlite::Error::SqlInputError { error: e, .. } => {
            (LegacyErrorKind::Schema, format!("SQLite {}: the statement does not fit the schema", e.extended_code))
        }
        rusqlite::Error::InvalidColumnType(at, ..) | rusqlite::Error::FromSqlConversionFailure(at, ..) => {
            (LegacyErrorKind::Schema, format!("column {at} has another type than declared"))
        }
        rusqlite::Error::QueryReturnedNoRows => (LegacyErrorKind::Halt, "a row that must exist is missing".to_owned()),
        _ => (LegacyErrorKind::Halt, "SQLite refused the call".to_owned()),
    };
    LegacyError::new(kind, message)
}
