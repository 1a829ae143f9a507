//! What can go wrong with the ledger, and who must act.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::domain::Position;

/// The first place where the ledger is not what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// File name of the segment.
    pub segment: String,
    /// First position of the batch, where the damage lies in one.
    pub batch: Option<Position>,
    /// The entry, where it is known.
    pub position: Option<Position>,
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.segment)?;
        if let Some(batch) = self.batch {
            write!(f, ", batch {batch}")?;
        }
        if let Some(position) = self.position {
            write!(f, ", position {position}")?;
        }
        write!(f, ": {}", self.what)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("the ledger could not be written ({segment}): {source}")]
    Write { segment: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("the ledger could not be read ({segment}): {source}")]
    Read { segment: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("{doing} {}: {source}", path.display())]
    File { doing: &'static str, path: PathBuf, source: std::io::Error },
    #[error("the ledger is damaged: {0}")]
    Damaged(Damage),
    #[error("a ledger existed here, but {} holds {found}", dir.display())]
    Lost { dir: PathBuf, found: String },
    #[error("{segment} has ledger format {found}, this version reads {known}")]
    Format { segment: String, found: u32, known: u32 },
    #[error("a batch begins at position {found}, but {expected} is next")]
    OutOfOrder { expected: Position, found: Position },
    #[error("a batch of {entries} entries is over the bound of {max}")]
    TooLarge { entries: usize, max: usize },
    #[error("an earlier write failed; the ledger takes no more")]
    Stopped,
    #[error("{} is not empty", dir.display())]
    NotEmpty { dir: PathBuf },
    #[error("the backup at {} is not whole: {what}", dir.display())]
    BackupDamaged { dir: PathBuf, what: String },
}

/// Who must act on an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// The process must exit; a restart replays what is durable.
    Stop,
    /// A person must act; the hint says how.
    Operator(&'static str),
}

impl LedgerError {
    pub fn code(&self) -> &'static str {
        match self {
            LedgerError::Write { .. } => "ledger_write_failed",
            LedgerError::Read { .. } => "ledger_read_failed",
            LedgerError::File { .. } => "ledger_file_failed",
            LedgerError::Damaged(_) => "ledger_damaged",
            LedgerError::Lost { .. } => "ledger_lost",
            LedgerError::Format { .. } => "ledger_format",
            LedgerError::OutOfOrder { .. } => "ledger_out_of_order",
            LedgerError::TooLarge { .. } => "ledger_batch_too_large",
            LedgerError::Stopped => "ledger_stopped",
            LedgerError::NotEmpty { .. } => "target_not_empty",
            LedgerError::BackupDamaged { .. } => "backup_damaged",
        }
    }

    pub fn remedy(&self) -> Remedy {
        match self {
            LedgerError::Write { .. }
            | LedgerError::Stopped
            | LedgerError::OutOfOrder { .. }
            | LedgerError::TooLarge { .. } => Remedy::Stop,
            LedgerError::Read { .. } | LedgerError::File { .. } => {
                Remedy::Operator("check the disk, its free space and the rights on the data directory")
            }
            LedgerError::Damaged(_) => {
                Remedy::Operator("run `slotbridge ledger verify`; keep the files and restore the newest whole backup")
            }
            LedgerError::Lost { .. } => Remedy::Operator(
                "mount the data directory that holds the ledger, or restore a backup; a fresh ledger would sell sold units again",
            ),
            LedgerError::Format { .. } => Remedy::Operator("start the version that wrote this ledger"),
            LedgerError::NotEmpty { .. } => Remedy::Operator("restore into an empty directory"),
            LedgerError::BackupDamaged { .. } => Remedy::Operator("use another backup"),
        }
    }

    pub(super) fn write(segment: &str, source: rusqlite::Error) -> LedgerError {
        LedgerError::Write { segment: segment.to_owned(), source: source.into() }
    }

    /// A failed read. What only a damaged file can lead to becomes `Damaged`.
    pub(super) fn read(segment: &str, source: rusqlite::Error) -> LedgerError {
        use rusqlite::{Error, ErrorCode};
        let is_damage = match &source {
            // `Unknown` is SQLite's plain error: a table or column is missing.
            Error::SqliteFailure(error, _) | Error::SqlInputError { error, .. } => {
                matches!(error.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown)
            }
            Error::InvalidColumnType(..)
            | Error::IntegralValueOutOfRange(..)
            | Error::FromSqlConversionFailure(..)
            | Error::QueryReturnedNoRows => true,
            _ => false,
        };
        if !is_damage {
            return LedgerError::Read { segment: segment.to_owned(), source: source.into() };
        }
        let what = format!("the file is damaged: {source}");
        LedgerError::Damaged(Damage { segment: segment.to_owned(), batch: None, position: None, what })
    }

    pub(super) fn file(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> LedgerError {
        let path = path.to_owned();
        move |source| LedgerError::File { doing, path, source }
    }
}
