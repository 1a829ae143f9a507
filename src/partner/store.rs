//! The partner's own copy of its feeds, where it stands in each, and the requests whose answer it does not know yet.

use std::fs::{DirBuilder, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::PartnerError;

const FILE: &str = "partner.db";
/// Another command may be storing a snapshot.
const BUSY_MAX: Duration = Duration::from_secs(60);
const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    CREATE TABLE IF NOT EXISTS bridge (base TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS feed (
        name TEXT PRIMARY KEY, mapping TEXT NOT NULL, next TEXT NOT NULL, etag TEXT, cursor INTEGER NOT NULL
    );
    CREATE TABLE IF NOT EXISTS item (
        feed TEXT NOT NULL, id TEXT NOT NULL, modified INTEGER NOT NULL, data TEXT NOT NULL, PRIMARY KEY (feed, id)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS request (
        key TEXT PRIMARY KEY, body BLOB, first_sent_at INTEGER NOT NULL, status INTEGER, booking TEXT
    );";

/// Shared by those who follow several feeds at once.
#[derive(Clone)]
pub struct Store {
    path: PathBuf,
    connection: Arc<Mutex<Connection>>,
}

/// Where the partner stands in a feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Whose mapping the feed was rendered by: another one begins anew.
    pub mapping: String,
    /// The page to ask for.
    pub next: String,
    /// Of that page, where it was the last and had no items.
    pub etag: Option<String>,
    pub cursor: u64,
}

/// An RPDE page. Data stay the bytes that came.
#[derive(Deserialize)]
pub struct Page<'a> {
    pub next: String,
    #[serde(borrow)]
    pub items: Vec<Item<'a>>,
}

#[derive(Deserialize)]
pub struct Item<'a> {
    pub state: String,
    pub id: String,
    pub modified: u64,
    #[serde(borrow)]
    pub data: Option<&'a RawValue>,
}

/// What a page changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    Page {
        updated: u64,
        deleted: u64,
    },
    /// Somebody else stored this page first.
    Overtaken,
}

/// A request whose answer is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    pub key: String,
    pub body: Vec<u8>,
    pub first_sent_at: i64,
}

impl Store {
    /// Opens the folder, or makes it, private: person tokens stand in open requests. It belongs to one bridge.
    pub fn open(dir: &Path, base: &str) -> Result<Store, PartnerError> {
        let io = |source| PartnerError::File { path: dir.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io)?;
        let path = dir.join(FILE);
        File::options().create(true).truncate(false).write(true).mode(0o600).open(&path).map_err(io)?;
        let failed = |source| PartnerError::Store { path: path.clone(), source };
        let connection = Connection::open(&path).map_err(failed)?;
        connection.busy_timeout(BUSY_MAX).map_err(failed)?;
        connection.execute_batch(SCHEMA).map_err(failed)?;
        let filled: Option<String> =
            connection.query_row("SELECT base FROM bridge", [], |row| row.get(0)).optional().map_err(failed)?;
        match filled {
            None => drop(connection.execute("INSERT INTO bridge VALUES (?1)", [base]).map_err(failed)?),
            Some(filled) if filled == base => {}
            Some(filled) => return Err(PartnerError::OtherBridge { path, filled, asked: base.to_owned() }),
        }
        Ok(Store { path, connection: Arc::new(Mutex::new(connection)) })
    }

    pub fn dir(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self) -> impl Fn(rusqlite::Error) -> PartnerError {
        let path = self.path.clone();
        move |source| PartnerError::Store { path: path.clone(), source }
    }

    /// All of `work` or nothing.
    fn change<T>(&self, work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Result<T, PartnerError> {
        let mut connection = self.connection();
        let changed = connection.transaction_with_behavior(TransactionBehavior::Immediate).and_then(|tx| {
            let done = work(&tx)?;
            tx.commit()?;
            Ok(done)
        });
        changed.map_err(self.failed())
    }

    pub fn standing(&self, feed: &str) -> Result<Option<Standing>, PartnerError> {
        let sql = "SELECT mapping, next, etag, cursor FROM feed WHERE name = ?1";
        let read = |row: &rusqlite::Row<'_>| {
            Ok(Standing { mapping: row.get(0)?, next: row.get(1)?, etag: row.get(2)?, cursor: number(row.get(3)?) })
        };
        self.connection().query_row(sql, [feed], read).optional().map_err(self.failed())
    }

    /// Stores a page and the link after it together, if the feed still stands where the page was asked for.
    pub fn apply(
        &self,
        feed: &str,
        asked: &str,
        page: &Page<'_>,
        etag: Option<&str>,
        cursor: u64,
    ) -> Result<Applied, PartnerError> {
        self.change(|tx| {
            let sql = "UPDATE feed SET next = ?3, etag = ?4, cursor = ?5 WHERE name = ?1 AND next = ?2";
            if tx.execute(sql, params![feed, asked, page.next, etag, whole(cursor)])? == 0 {
                return Ok(Applied::Overtaken);
            }
            let (mut updated, mut deleted) = (0, 0);
            for item in &page.items {
                match item.data.filter(|_| item.state != "deleted") {
                    Some(data) => {
                        put(tx, feed, item, data)?;
                        updated += 1;
                    }
                    None => {
                        tx.prepare_cached("DELETE FROM item WHERE feed = ?1 AND id = ?2")?.execute([feed, &item.id])?;
                        deleted += 1;
                    }
                }
            }
            Ok(Applied::Page { updated, deleted })
        })
    }

    /// Replaces a feed by a snapshot: one item a line. Until this returns, the old state is what is read.
    pub fn replace(&self, feed: &str, snapshot: &Path, standing: &Standing) -> Result<u64, PartnerError> {
        let io = |source| PartnerError::File { path: snapshot.to_owned(), source };
        let lines = BufReader::new(File::open(snapshot).map_err(io)?);
        let mut wrong = None;
        let done = self.change(|tx| {
            tx.execute("DELETE FROM item WHERE feed = ?1", [feed])?;
            let mut count = 0;
            for line in lines.lines() {
                let read = line.map_err(io).and_then(|line| {
                    let item: Item<'_> = serde_json::from_str(&line)
                        .map_err(|_| PartnerError::Answer { of: "snapshot", what: "a line is not an item" })?;
                    let data =
                        item.data.ok_or(PartnerError::Answer { of: "snapshot", what: "an item without data" })?;
                    put(tx, feed, &item, data).map_err(self.failed())
                });
                if let Err(error) = read {
                    wrong = Some(error);
                    // Rolls back.
                    return Err(rusqlite::Error::InvalidQuery);
                }
                count += 1;
            }
            let Standing { mapping, next, etag, cursor } = standing;
            let sql = "INSERT OR REPLACE INTO feed VALUES (?1, ?2, ?3, ?4, ?5)";
            tx.execute(sql, params![feed, mapping, next, etag, whole(*cursor)])?;
            Ok(count)
        });
        done.map_err(|error| wrong.unwrap_or(error))
    }

    pub fn count(&self, feed: &str) -> Result<u64, PartnerError> {
        let sql = "SELECT COUNT(*) FROM item WHERE feed = ?1";
        self.connection().query_row(sql, [feed], |row| row.get(0).map(number)).map_err(self.failed())
    }

    /// Data of an item, as they came.
    pub fn item(&self, feed: &str, id: &str) -> Result<Option<String>, PartnerError> {
        let sql = "SELECT data FROM item WHERE feed = ?1 AND id = ?2";
        self.connection().query_row(sql, [feed, id], |row| row.get(0)).optional().map_err(self.failed())
    }

    /// Data of every item of a feed that can be read as `T`, by id.
    pub fn each<T: serde::de::DeserializeOwned>(
        &self,
        feed: &str,
        mut take: impl FnMut(&str, T),
    ) -> Result<(), PartnerError> {
        let connection = self.connection();
        let mut walk = || {
            let mut select = connection.prepare("SELECT id, data FROM item WHERE feed = ?1 ORDER BY id")?;
            let mut rows = select.query([feed])?;
            while let Some(row) = rows.next()? {
                if let Ok(data) = serde_json::from_str(row.get_ref(1)?.as_str()?) {
                    take(row.get_ref(0)?.as_str()?, data);
                }
            }
            Ok(())
        };
        walk().map_err(self.failed())
    }

    /// Before a request is first sent.
    pub fn ask(&self, open: &Open) -> Result<(), PartnerError> {
        let sql = "INSERT INTO request (key, body, first_sent_at) VALUES (?1, ?2, ?3)";
        self.change(|tx| tx.execute(sql, params![open.key, open.body, open.first_sent_at]).map(drop))
    }

    /// Once it is decided. The body goes: it holds the person token.
    pub fn answered(&self, key: &str, status: u16, booking: Option<&str>) -> Result<(), PartnerError> {
        let sql = "UPDATE request SET body = NULL, status = ?2, booking = ?3 WHERE key = ?1";
        self.change(|tx| tx.execute(sql, params![key, status, booking]).map(drop))
    }

    /// Requests that may or may not have taken effect, oldest first.
    pub fn unanswered(&self) -> Result<Vec<Open>, PartnerError> {
        let connection = self.connection();
        let read = || {
            let sql = "SELECT key, body, first_sent_at FROM request WHERE body IS NOT NULL ORDER BY first_sent_at, key";
            let mut select = connection.prepare(sql)?;
            let rows = select
                .query_map([], |row| Ok(Open { key: row.get(0)?, body: row.get(1)?, first_sent_at: row.get(2)? }))?;
            rows.collect::<rusqlite::Result<Vec<Open>>>()
        };
        read().map_err(self.failed())
    }
}

fn put(tx: &Transaction<'_>, feed: &str, item: &Item<'_>, data: &RawValue) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO item VALUES (?1, ?2, ?3, ?4)";
    tx.prepare_cached(sql)?.execute(params![feed, item.id, whole(item.modified), data.get()]).map(drop)
}

/// Change numbers fit in 53 bits.
fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn number(whole: i64) -> u64 {
    u64::try_from(whole).unwrap_or(0)
}
