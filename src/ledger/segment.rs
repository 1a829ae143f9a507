//! One segment: a SQLite file that holds consecutive batches, and what must be known before the first of them.
//!
//! A segment can be read without the ones before it: it carries the key, the incarnations and the head it continues.
//! Its anchor, the hash over all that, is what its first batch names as previous.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::chain::{BatchHasher, BatchHead, Hash, Hasher};
use super::error::Damage;
use super::sqlite::{Settings, SyncMode};
use super::{LedgerError, files};
use crate::domain::{Incarnation, Position, Timestamp};

pub(super) const FORMAT: u32 = 1;

/// Readers never make the writer wait in WAL mode; this covers the moments of opening and recovery.
const BUSY_WAIT: Duration = Duration::from_secs(5);

const TABLES: &str = "
    CREATE TABLE meta(format INTEGER NOT NULL, first INTEGER NOT NULL, previous BLOB NOT NULL, mac_key BLOB NOT NULL);
    CREATE TABLE incarnations(from_position INTEGER PRIMARY KEY, incarnation INTEGER NOT NULL);
    CREATE TABLE entries(position INTEGER PRIMARY KEY, at INTEGER NOT NULL, body TEXT NOT NULL);
    CREATE TABLE replies(position INTEGER PRIMARY KEY, status INTEGER NOT NULL, body BLOB NOT NULL);
    CREATE TABLE batches(first INTEGER PRIMARY KEY, last INTEGER NOT NULL, at INTEGER NOT NULL,
                         hash BLOB NOT NULL, previous BLOB NOT NULL);";

/// A life of the ledger: positions from `from` on belong to `incarnation`, until the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Epoch {
    pub from: Position,
    pub incarnation: Incarnation,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Meta {
    pub first: Position,
    /// Head of the segment before, zeros in the first.
    pub previous: Hash,
    pub mac_key: [u8; 32],
    pub epochs: Vec<Epoch>,
}

impl Meta {
    pub fn anchor(&self) -> Hash {
        let mut hasher = Hasher::new("slotbridge segment 1");
        hasher.number(u64::from(FORMAT));
        hasher.number(self.first.0);
        hasher.hash(&self.previous);
        hasher.bytes(&self.mac_key);
        for epoch in &self.epochs {
            hasher.number(epoch.from.0);
            hasher.number(epoch.incarnation.0);
        }
        hasher.finish()
    }
}

pub(super) fn file_name(first: Position) -> String {
    format!("seg-{:016}.sqlite", first.0)
}

/// First positions of the segments in `dir`, ascending.
pub(super) fn list(dir: &Path) -> Result<Vec<Position>, LedgerError> {
    let failed = || LedgerError::file("cannot list", dir);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed())? {
        let name = entry.map_err(failed())?.file_name();
        let digits = name.to_str().and_then(|name| name.strip_prefix("seg-")?.strip_suffix(".sqlite"));
        found.extend(digits.and_then(|digits| digits.parse().ok()).map(Position));
    }
    found.sort_unstable();
    Ok(found)
}

/// Makes an empty segment. It has its name only once it is whole.
pub(super) fn create(dir: &Path, meta: &Meta) -> Result<(), LedgerError> {
    let name = file_name(meta.first);
    let path = dir.join(&name);
    let unfinished = files::unfinished(&path);
    for suffix in ["", "-journal", "-wal", "-shm"] {
        let mut leftover = unfinished.clone().into_os_string();
        leftover.push(suffix);
        let leftover = PathBuf::from(leftover);
        files::remove_if_there(&leftover).map_err(LedgerError::file("cannot remove", &leftover))?;
    }
    files::create_file(&unfinished).map_err(LedgerError::file("cannot create", &unfinished))?;
    write_meta(&unfinished, meta).map_err(|error| LedgerError::write(&name, error))?;
    files::finish(&path).map_err(LedgerError::file("cannot name", &path))
}

fn write_meta(path: &Path, meta: &Meta) -> Result<(), rusqlite::Error> {
    let mut connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    let transaction = connection.transaction()?;
    transaction.execute_batch(TABLES)?;
    transaction.execute(
        "INSERT INTO meta(format, first, previous, mac_key) VALUES (?1, ?2, ?3, ?4)",
        params![FORMAT, sql(meta.first), meta.previous.0, meta.mac_key],
    )?;
    for epoch in &meta.epochs {
        transaction.execute(
            "INSERT INTO incarnations(from_position, incarnation) VALUES (?1, ?2)",
            params![sql(epoch.from), epoch.incarnation.0 as i64],
        )?;
    }
    transaction.commit()?;
    connection.close().map_err(|(_, error)| error)
}

/// The one writing connection. Checkpoints are explicit: SQLite's automatic ones swallow a failed sync.
pub(super) fn open_writer(path: &Path, settings: &Settings) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(BUSY_WAIT)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    let synchronous = match settings.sync {
        SyncMode::Full => "FULL",
        SyncMode::Off => "OFF",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "max_page_count", settings.pages_max)?;
    Ok(connection)
}

pub(super) fn open_reader(path: &Path) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_WAIT)?;
    Ok(connection)
}

/// Moves what the WAL holds into the file and syncs it. Tells whether everything was moved.
pub(super) fn checkpoint(connection: &Connection, mode: &str) -> Result<bool, rusqlite::Error> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
        Ok(row.get::<_, i64>(0)? == 0 && row.get::<_, i64>(1)? == row.get::<_, i64>(2)?)
    })
}

pub(super) fn read_meta(connection: &Connection, name: &str) -> Result<Meta, LedgerError> {
    let read = |error| LedgerError::read(name, error);
    let (format, first, previous, mac_key) = connection
        .query_row("SELECT format, first, previous, mac_key FROM meta", [], |row| {
            Ok((row.get::<_, u32>(0)?, position(row, 1)?, row.get::<_, [u8; 32]>(2)?, row.get::<_, [u8; 32]>(3)?))
        })
        .map_err(read)?;
    if format != FORMAT {
        return Err(LedgerError::Format { segment: name.to_owned(), found: format, known: FORMAT });
    }
    let mut statement = connection
        .prepare("SELECT from_position, incarnation FROM incarnations ORDER BY from_position")
        .map_err(read)?;
    let epochs = statement
        .query_map([], |row| {
            Ok(Epoch { from: position(row, 0)?, incarnation: Incarnation(row.get::<_, i64>(1)? as u64) })
        })
        .and_then(Iterator::collect::<Result<Vec<Epoch>, _>>)
        .map_err(read)?;
    let meta = Meta { first, previous: Hash(previous), mac_key, epochs };
    if file_name(meta.first) != name || meta.epochs.is_empty() {
        return Err(damage(name, None, "its first record does not belong to a file of this name"));
    }
    Ok(meta)
}

/// Positions stay below 2^53.
pub(super) fn sql(position: Position) -> i64 {
    i64::try_from(position.0).unwrap_or(i64::MAX)
}

pub(super) fn position(row: &rusqlite::Row<'_>, column: usize) -> Result<Position, rusqlite::Error> {
    let number: i64 = row.get(column)?;
    u64::try_from(number)
        .ok()
        .map(Position)
        .filter(|position| *position <= Position::MAX)
        .ok_or(rusqlite::Error::IntegralValueOutOfRange(column, number))
}

/// A batch header as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StoredBatch {
    pub head: BatchHead,
    pub hash: Hash,
}

pub(super) fn batch_of(row: &rusqlite::Row<'_>) -> Result<StoredBatch, rusqlite::Error> {
    Ok(StoredBatch {
        head: BatchHead {
            first: position(row, 0)?,
            last: position(row, 1)?,
            at: Timestamp(row.get(2)?),
            previous: Hash(row.get(4)?),
        },
        hash: Hash(row.get(3)?),
    })
}

/// The last batch that begins at or before `position`.
pub(super) fn batch_before(
    connection: &Connection,
    position: Position,
) -> Result<Option<StoredBatch>, rusqlite::Error> {
    connection
        .prepare_cached(
            "SELECT first, last, at, hash, previous FROM batches WHERE first <= ?1 ORDER BY first DESC LIMIT 1",
        )?
        .query_row([sql(position)], batch_of)
        .optional()
}

/// Recomputes the hash of one stored batch.
pub(super) fn rehash(connection: &Connection, head: &BatchHead) -> Result<Hash, rusqlite::Error> {
    let mut hasher = BatchHasher::new(head);
    let range = [sql(head.first), sql(head.last)];
    let mut entries = connection
        .prepare_cached("SELECT position, at, body FROM entries WHERE position BETWEEN ?1 AND ?2 ORDER BY position")?;
    let mut rows = entries.query(range)?;
    while let Some(row) = rows.next()? {
        hasher.entry(position(row, 0)?, Timestamp(row.get(1)?), row.get_ref(2)?.as_bytes()?);
    }
    let mut replies = connection.prepare_cached(
        "SELECT position, status, body FROM replies WHERE position BETWEEN ?1 AND ?2 ORDER BY position",
    )?;
    let mut rows = replies.query(range)?;
    while let Some(row) = rows.next()? {
        hasher.reply(position(row, 0)?, row.get(1)?, row.get_ref(2)?.as_bytes()?);
    }
    Ok(hasher.finish())
}

pub(super) fn damage(segment: &str, batch: Option<Position>, what: impl Into<String>) -> LedgerError {
    LedgerError::Damaged(Damage { segment: segment.to_owned(), batch, position: None, what: what.into() })
}
