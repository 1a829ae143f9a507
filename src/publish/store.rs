//! The feed store: one SQLite file. Rebuilt from mirror and ledger if it is lost; then older cursors are refused.

use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use super::index::{Index, Marks, Shown};
use super::plan::Change;
use crate::domain::{Incarnation, Position, Timestamp};
use crate::feed::Item;

/// Raised when the tables change.
const SCHEMA_VERSION: i64 = 1;

const SCHEMA: &str = "
CREATE TABLE life (only INTEGER PRIMARY KEY CHECK (only = 1), incarnation INTEGER NOT NULL) STRICT;
CREATE TABLE feed (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL, digest TEXT NOT NULL, owner TEXT NOT NULL,
  due TEXT NOT NULL,
  watermark INTEGER NOT NULL, horizon INTEGER NOT NULL, walk INTEGER NOT NULL, walk_hour INTEGER NOT NULL,
  as_of INTEGER NOT NULL,
  UNIQUE (name, digest, owner)
) STRICT;
CREATE TABLE reader (
  partner TEXT NOT NULL, name TEXT NOT NULL, feed INTEGER NOT NULL, PRIMARY KEY (partner, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE item (
  feed INTEGER NOT NULL, number INTEGER NOT NULL, key TEXT NOT NULL, id TEXT NOT NULL, data BLOB, at INTEGER NOT NULL,
  PRIMARY KEY (feed, number)
) STRICT, WITHOUT ROWID;
";

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the feed store could not be used: {0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("the feed store has schema {found}, this program knows {SCHEMA_VERSION}")]
    Schema { found: i64 },
}

/// What a feed owes before it may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Made now; nobody has a cursor into it.
    First,
    /// What changed since its watermark.
    Resume,
    /// Everything, because the mapping changed.
    Compare,
    /// Everything under new numbers, because readers hold cursors of another life or of another feed.
    Republish,
}

impl Due {
    pub(super) fn code(self) -> &'static str {
        match self {
            Due::First => "first",
            Due::Resume => "resume",
            Due::Compare => "compare",
            Due::Republish => "republish",
        }
    }

    fn parse(code: &str) -> Due {
        match code {
            "first" => Due::First,
            "resume" => Due::Resume,
            "compare" => Due::Compare,
            // also what this version cannot read: the widest debt is always right
            _ => Due::Republish,
        }
    }
}

/// A feed's row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub id: i64,
    pub due: Due,
    pub marks: Marks,
    pub as_of: Timestamp,
}

/// What one tick saves.
pub(super) struct Save<'a> {
    pub feed: i64,
    /// Forks and how far each shows the feed: what the tick takes away below that moves there.
    pub forks: &'a [(i64, Position)],
    pub changes: &'a [(Position, Change)],
    /// Numbers that the changed keys had.
    pub replaced: &'a [Position],
    pub purged: &'a [Position],
    pub marks: Marks,
    pub as_of: Timestamp,
    pub at: Timestamp,
}

pub(super) struct Store {
    pub(super) db: Connection,
}

pub(super) fn sql(position: Position) -> i64 {
    // positions stay below 2^53
    position.0 as i64
}

pub(super) fn position(value: i64) -> Position {
    Position(value.max(0) as u64)
}

impl Store {
    pub(super) fn open(path: &Path) -> Result<Store, StoreError> {
        let db = Connection::open(path)?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", "NORMAL")?;
        db.set_prepared_statement_cache_capacity(16);
        let found: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
        match found {
            0 => {
                let version = SCHEMA_VERSION;
                db.execute_batch(&format!("BEGIN; {SCHEMA} PRAGMA user_version = {version}; COMMIT;"))?;
            }
            SCHEMA_VERSION => {}
            found => return Err(StoreError::Schema { found }),
        }
        Ok(Store { db })
    }

    /// Life of the ledger that the feeds were last published from.
    pub(super) fn incarnation(&self) -> Result<Option<Incarnation>, StoreError> {
        let found = self.db.query_row("SELECT incarnation FROM life", [], |row| row.get::<_, i64>(0)).optional()?;
        Ok(found.map(|n| Incarnation(n as u64)))
    }

    pub(super) fn row(&self, feed: i64) -> Result<Row, StoreError> {
        let text = "SELECT due, watermark, horizon, walk, walk_hour, as_of FROM feed WHERE id = ?1";
        Ok(self.db.query_row(text, [feed], |row| {
            let due: String = row.get(0)?;
            let marks = Marks {
                watermark: position(row.get(1)?),
                horizon: position(row.get(2)?),
                walk: position(row.get(3)?),
                walk_hour: row.get(4)?,
            };
            Ok(Row { id: feed, due: Due::parse(&due), marks, as_of: Timestamp(row.get(5)?) })
        })?)
    }

    /// Reads a feed into memory. When its items leave by time is filled in by the first tick.
    pub(super) fn load(&self, row: &Row) -> Result<Index, StoreError> {
        let mut index = Index::new(row.marks, row.due == Due::Resume);
        let mut read = self.db.prepare("SELECT number, key, id, data, at FROM item WHERE feed = ?1 ORDER BY number")?;
        let mut rows = read.query([row.id])?;
        while let Some(row) = rows.next()? {
            let data: Option<Vec<u8>> = row.get(3)?;
            let item = Item {
                number: position(row.get(0)?),
                id: Arc::from(row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?),
                data: data.map(Vec::into_boxed_slice),
            };
            let key = Arc::from(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?);
            index.put(Shown { item: Arc::new(item), key, at: Timestamp(row.get(4)?), leaves_at: None });
        }
        Ok(index)
    }

    /// Items and marks in one transaction; the feed owes nothing afterwards.
    pub(super) fn save(&mut self, save: &Save<'_>) -> Result<(), StoreError> {
        let tx = self.db.transaction()?;
        {
            let mut keep = tx.prepare_cached(
                "INSERT OR IGNORE INTO item (feed, number, key, id, data, at)
                 SELECT ?3, number, key, id, data, at FROM item WHERE feed = ?1 AND number = ?2",
            )?;
            let mut delete = tx.prepare_cached("DELETE FROM item WHERE feed = ?1 AND number = ?2")?;
            for number in save.replaced.iter().chain(save.purged) {
                for (fork, _) in save.forks.iter().filter(|(_, until)| number <= until) {
                    keep.execute(params![save.feed, sql(*number), fork])?;
                }
                delete.execute(params![save.feed, sql(*number)])?;
            }
            let mut insert = tx
                .prepare_cached("INSERT INTO item (feed, number, key, id, data, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
            for (number, change) in save.changes {
                let data = change.data.as_deref();
                insert.execute(params![save.feed, sql(*number), &*change.key, &*change.id, data, save.at.0])?;
            }
            let mut mark = tx.prepare_cached(
                "UPDATE feed SET due = 'resume', watermark = ?2, horizon = ?3, walk = ?4, walk_hour = ?5, as_of = ?6
                 WHERE id = ?1",
            )?;
            let m = save.marks;
            let (watermark, horizon, walk) = (sql(m.watermark), sql(m.horizon), sql(m.walk));
            mark.execute(params![save.feed, watermark, horizon, walk, m.walk_hour, save.as_of.0])?;
        }
        tx.commit()?;
        Ok(())
    }
}
