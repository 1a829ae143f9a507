//! Reads the durable ledger from any thread, over read-only connections of its own.
//!
//! SQLite shows a commit to readers only after its sync, so nothing seen here can be lost.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, TryLockError};

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};

use super::segment::{self, StoredBatch, position, sql};
use super::{Hash, Head, LedgerError, walk};
use crate::decide::{Entry, What};
use crate::domain::{Position, Timestamp};
use crate::durable::{EntryLog, ReadFailed, Replies, StoredReply};

/// Readers at the same time: replays of keys come from HTTP workers, of which there are about as many as cores.
const READERS: usize = 4;

/// Open segments of one reader; a replay reads old ones in order and never comes back.
const OPEN_MAX: usize = 4;

type Connections = BTreeMap<Position, Connection>;

pub struct LedgerReader {
    dir: PathBuf,
    segments: Arc<RwLock<Vec<Position>>>,
    pool: [Mutex<Connections>; READERS],
    turn: AtomicUsize,
}

impl LedgerReader {
    pub(super) fn new(dir: PathBuf, segments: Arc<RwLock<Vec<Position>>>) -> LedgerReader {
        LedgerReader { dir, segments, pool: Default::default(), turn: AtomicUsize::new(0) }
    }

    /// For commands that look at a ledger without writing it.
    pub fn open(dir: &Path) -> Result<LedgerReader, LedgerError> {
        Ok(LedgerReader::new(dir.to_owned(), Arc::new(RwLock::new(segment::list(dir)?))))
    }

    /// Builds something from every entry after `after` (the end of a batch; `None`: from the beginning), while the
    /// chain is checked. Returns what was built and the last batch; an error means that nothing may be used.
    pub fn replay<T>(
        &self,
        after: Option<Head>,
        build: impl FnOnce(&mut dyn Iterator<Item = Entry>) -> T,
    ) -> Result<(T, Head), LedgerError> {
        walk::replay_into(self, after, build)
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// First positions of the segments that may hold entries from `position` on, ascending.
    pub(super) fn segments_from(&self, position: Position) -> Vec<Position> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let after = segments.partition_point(|first| *first <= position);
        segments[after.saturating_sub(1)..].to_vec()
    }

    fn connections(&self) -> MutexGuard<'_, Connections> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        for at in 0..READERS {
            match self.pool[(turn + at) % READERS].try_lock() {
                Ok(connections) => return connections,
                Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        self.pool[turn % READERS].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `read` over the segment that begins at `first`.
    pub(super) fn with_segment<T>(
        &self,
        first: Position,
        read: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>,
    ) -> Result<T, LedgerError> {
        let name = segment::file_name(first);
        let failed = |error| LedgerError::read(&name, error);
        let mut connections = self.connections();
        if !connections.contains_key(&first) {
            if connections.len() >= OPEN_MAX {
                connections.pop_first();
            }
            connections.insert(first, segment::open_reader(&self.dir.join(&name)).map_err(failed)?);
        }
        read(&connections[&first]).map_err(failed)
    }

    /// The last batch that begins at or before `position`.
    pub(super) fn batch_before(&self, position: Position) -> Result<Option<StoredBatch>, LedgerError> {
        match self.segments_from(position).first() {
            Some(first) => self.with_segment(*first, |connection| segment::batch_before(connection, position)),
            None => Ok(None),
        }
    }

    /// Hash of the batch that ends at `position`; `None` when none does.
    pub fn hash_at(&self, position: Position) -> Result<Option<Hash>, LedgerError> {
        let batch = self.batch_before(position)?;
        Ok(batch.filter(|batch| batch.head.last == position).map(|batch| batch.hash))
    }

    pub(super) fn read_entries(&self, after: Position, max: usize) -> Result<Vec<Entry>, LedgerError> {
        let mut entries = Vec::new();
        for first in self.segments_from(after.next()) {
            let left = i64::try_from(max - entries.len()).unwrap_or(i64::MAX);
            let found = self.with_segment(first, |connection| {
                connection
                    .prepare_cached(
                        "SELECT position, at, body FROM entries WHERE position > ?1 ORDER BY position LIMIT ?2",
                    )?
                    .query_map(params![sql(after), left], entry_of)?
                    .collect::<Result<Vec<Entry>, _>>()
            })?;
            entries.extend(found);
            if entries.len() >= max {
                break;
            }
        }
        Ok(entries)
    }
}

impl EntryLog for LedgerReader {
    fn entries_after(&self, after: Position, max: usize) -> Result<Vec<Entry>, ReadFailed> {
        self.read_entries(after, max).map_err(|error| ReadFailed { cause: error.to_string() })
    }
}

impl Replies for LedgerReader {
    fn reply(&self, entry: Position) -> Result<Option<StoredReply>, ReadFailed> {
        let Some(first) = self.segments_from(entry).first().copied() else { return Ok(None) };
        self.with_segment(first, |connection| {
            connection
                .prepare_cached("SELECT status, body FROM replies WHERE position = ?1")?
                .query_row([sql(entry)], |row| {
                    Ok(StoredReply { entry, status: row.get(0)?, body: Bytes::from(row.get::<_, Vec<u8>>(1)?) })
                })
                .optional()
        })
        .map_err(|error| ReadFailed { cause: error.to_string() })
    }
}

pub(super) fn entry_of(row: &rusqlite::Row<'_>) -> Result<Entry, rusqlite::Error> {
    let what: What = serde_json::from_slice(row.get_ref(2)?.as_bytes()?)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(2, rusqlite::types::Type::Text, error.into()))?;
    Ok(Entry { position: position(row, 0)?, at: Timestamp(row.get(1)?), what })
}
