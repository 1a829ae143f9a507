//! The log in SQLite: leaves, one row for the head, signed heads.
//!
//! A leaf's row has its hash and the root of the tree that it completes, so that the first row that does not belong
//! where it stands is named. Its content and salt may go; the trigger lets nothing else of it change.

use std::path::Path;

use ring::rand::{SecureRandom, SystemRandom};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::entry::{Access, Action, Deleted, Entry, Kind, Left};
use super::tree::{Frontier, Hash, leaf_hash};
use super::{EvidenceError, Head, Rule};
use crate::domain::Timestamp;

const SALT_BYTES: usize = 16;
/// Contents that one deletion removes, so that entries do not wait long behind it: 50,000 take about a second.
const PURGE_MAX: usize = 50_000;
/// Runs that one deletion names: its content stays below 64 KiB.
const RUNS_MAX: usize = 2_000;
/// `user_version` of the present form. Files before it have 0.
const VERSION: i64 = 2;
/// How a leaf's hash covers its content: content ‖ salt in files before version 2, salt ‖ content since.
const SALT_LAST: i64 = 0;
const SALT_FIRST: i64 = 1;

const TABLES: &str = "
    CREATE TABLE leaf (
        seq INTEGER PRIMARY KEY, form INTEGER NOT NULL, kind INTEGER NOT NULL, at INTEGER, content TEXT, salt BLOB,
        hash BLOB NOT NULL, root BLOB NOT NULL) STRICT;
    CREATE INDEX leaf_kind ON leaf (kind, at) WHERE content IS NOT NULL;
    CREATE TABLE checkpoint (size INTEGER PRIMARY KEY, at INTEGER NOT NULL, note TEXT NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS head (
        one INTEGER PRIMARY KEY CHECK (one = 1), size INTEGER NOT NULL, root BLOB NOT NULL, peaks BLOB NOT NULL) STRICT;
    CREATE TRIGGER leaf_kept BEFORE UPDATE ON leaf WHEN NEW.content IS NOT NULL OR NEW.salt IS NOT NULL
        OR NEW.at IS NOT NULL OR NEW.seq <> OLD.seq OR NEW.form <> OLD.form OR NEW.kind <> OLD.kind
        OR NEW.hash <> OLD.hash OR NEW.root <> OLD.root BEGIN SELECT RAISE(ABORT, 'append-only'); END;
    CREATE TRIGGER leaf_stays BEFORE DELETE ON leaf BEGIN SELECT RAISE(ABORT, 'append-only'); END;
    CREATE TRIGGER checkpoint_kept BEFORE UPDATE ON checkpoint BEGIN SELECT RAISE(ABORT, 'append-only'); END;
    CREATE TRIGGER checkpoint_stays BEFORE DELETE ON checkpoint BEGIN SELECT RAISE(ABORT, 'append-only'); END;
";

pub struct Store {
    pub(super) file: Connection,
    frontier: Frontier,
}

impl Store {
    pub fn open(path: &Path) -> Result<Store, EvidenceError> {
        let mut file = Connection::open(path)?;
        file.pragma_update(None, "journal_mode", "WAL")?;
        file.pragma_update(None, "synchronous", "FULL")?;
        // What retention removed is not to be found in free pages.
        file.pragma_update(None, "secure_delete", "ON")?;
        file.busy_timeout(std::time::Duration::from_secs(30))?;
        migrate(&mut file)?;
        let frontier = frontier(&file)?;
        let newest: Option<i64> = file.query_row("SELECT max(seq) FROM leaf", [], |row| row.get(0))?;
        if newest.map_or(0, |newest| newest.unsigned_abs() + 1) != frontier.size() {
            return Err(EvidenceError::Head);
        }
        Ok(Store { file, frontier })
    }

    pub fn head(&self) -> Head {
        Head { size: self.frontier.size(), root: self.frontier.root() }
    }

    /// Appends all entries in one durable transaction; returns the index of the first.
    pub fn append(&mut self, entries: &[Entry]) -> Result<u64, EvidenceError> {
        let (first, mut frontier) = (self.frontier.size(), self.frontier.clone());
        let transaction = self.file.transaction()?;
        for entry in entries {
            insert(&transaction, &mut frontier, entry)?;
        }
        set_head(&transaction, &frontier)?;
        transaction.commit()?;
        self.frontier = frontier;
        Ok(first)
    }

    /// Removes contents that the rule keeps no longer, and writes down which, in one transaction. Returns how many: as
    /// long as there are any, there may be more.
    pub fn purge(&mut self, rule: &Rule, now: Timestamp) -> Result<u64, EvidenceError> {
        let mut frontier = self.frontier.clone();
        let transaction = self.file.transaction()?;
        let runs = due(&transaction, rule)?;
        let count = runs.iter().map(|(first, last)| last - first + 1).sum();
        if count == 0 {
            return Ok(0);
        }
        for (first, last) in &runs {
            transaction
                .prepare_cached("UPDATE leaf SET content = NULL, salt = NULL, at = NULL WHERE seq BETWEEN ?1 AND ?2")?
                .execute(params![*first as i64, *last as i64])?;
        }
        let deleted = Deleted { at: now, rule: rule.name.clone(), before: rule.before, count, runs };
        insert(&transaction, &mut frontier, &Entry::Deleted { deleted })?;
        set_head(&transaction, &frontier)?;
        transaction.commit()?;
        self.frontier = frontier;
        // The write-ahead log holds the old pages.
        self.file.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(count)
    }

    /// Keeps a signed head. One is kept a size.
    pub fn keep(&mut self, size: u64, at: Timestamp, note: &str) -> Result<(), EvidenceError> {
        self.file.execute("INSERT OR IGNORE INTO checkpoint VALUES (?1, ?2, ?3)", params![size as i64, at.0, note])?;
        Ok(())
    }
}

fn insert(transaction: &Transaction<'_>, frontier: &mut Frontier, entry: &Entry) -> Result<(), EvidenceError> {
    let content = serde_json::to_string(entry).map_err(cause)?;
    let mut salt = [0u8; SALT_BYTES];
    SystemRandom::new().fill(&mut salt).map_err(cause)?;
    let hash = leaf_hash(&[&salt, content.as_bytes()]);
    let seq = frontier.size() as i64;
    frontier.push(hash);
    let mut insert = transaction.prepare_cached("INSERT INTO leaf VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?;
    let (kind, at, root) = (entry.kind() as u8, entry.at().0, frontier.root().0);
    insert.execute(params![seq, SALT_FIRST, kind, at, content, salt, hash.0, root])?;
    Ok(())
}

fn set_head(transaction: &Transaction<'_>, frontier: &Frontier) -> Result<(), EvidenceError> {
    let peaks: Vec<u8> = frontier.peaks().iter().flat_map(|peak| peak.0).collect();
    transaction.execute(
        "INSERT OR REPLACE INTO head VALUES (1, ?1, ?2, ?3)",
        params![frontier.size() as i64, frontier.root().0, peaks],
    )?;
    Ok(())
}

/// Entries that the rule keeps no longer, as runs. What the kind beside the leaf says is held against the content.
fn due(transaction: &Transaction<'_>, rule: &Rule) -> Result<Vec<(u64, u64)>, EvidenceError> {
    let text =
        "SELECT seq, content FROM leaf WHERE content IS NOT NULL AND kind = ?1 AND at < ?2 ORDER BY seq LIMIT ?3";
    let mut select = transaction.prepare(text)?;
    let mut rows = select.query(params![rule.kind as u8, rule.before.0, PURGE_MAX as i64])?;
    let mut runs: Vec<(u64, u64)> = Vec::new();
    while let Some(row) = rows.next()? {
        let index = row.get::<_, i64>(0)?.unsigned_abs();
        let entry: Entry = read(index, row.get_ref(1)?.as_str().map_err(cause)?)?;
        if entry.kind() != rule.kind || entry.at() >= rule.before {
            return Err(EvidenceError::Altered { index });
        }
        let full = runs.len() == RUNS_MAX;
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == index => *last = index,
            _ if full => break,
            _ => runs.push((index, index)),
        }
    }
    Ok(runs)
}

/// Brings a file of the first form, or a new one, to the present form: all of it or nothing.
pub(super) fn migrate(file: &mut Connection) -> Result<(), EvidenceError> {
    let version = version(file)?;
    if version == VERSION {
        return Ok(());
    }
    if version > VERSION {
        return Err(EvidenceError::Store { cause: format!("the file has version {version}, of a later program") });
    }
    let transaction = file.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let is_new = !has_leaves(&transaction)?;
    if !is_new {
        transaction.execute_batch(
            "DROP TRIGGER IF EXISTS leaf_kept; DROP TRIGGER IF EXISTS leaf_stays; ALTER TABLE leaf RENAME TO leaf_1;",
        )?;
    }
    transaction.execute_batch(TABLES)?;
    if !is_new {
        copy(&transaction)?;
        transaction.execute_batch("DROP TABLE leaf_1")?;
    }
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()?;
    Ok(())
}

fn copy(transaction: &Transaction<'_>) -> Result<(), EvidenceError> {
    let stated = frontier(transaction)?;
    let mut found = Frontier::default();
    let mut select = transaction.prepare("SELECT seq, content, salt, hash FROM leaf_1 ORDER BY seq")?;
    let mut insert = transaction.prepare("INSERT INTO leaf VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let index = found.size();
        let (seq, content): (i64, String) = (row.get(0)?, row.get(1)?);
        let (salt, hash): (Vec<u8>, [u8; 32]) = (row.get(2)?, row.get(3)?);
        if seq.unsigned_abs() != index || leaf_hash(&[content.as_bytes(), &salt]).0 != hash {
            return Err(EvidenceError::Altered { index });
        }
        let entry: Entry = read(index, &content)?;
        found.push(Hash(hash));
        let (kind, at, root) = (entry.kind() as u8, entry.at().0, found.root().0);
        insert.execute(params![seq, SALT_LAST, kind, at, content, salt, hash, root])?;
    }
    if found == stated { Ok(()) } else { Err(EvidenceError::Head) }
}

fn version(file: &Connection) -> Result<i64, EvidenceError> {
    Ok(file.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

fn has_leaves(file: &Connection) -> Result<bool, EvidenceError> {
    let text = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'leaf'";
    Ok(file.query_row(text, [], |row| row.get::<_, i64>(0))? > 0)
}

pub(super) fn cause(error: impl std::fmt::Display) -> EvidenceError {
    EvidenceError::Store { cause: error.to_string() }
}

fn read(index: u64, content: &str) -> Result<Entry, EvidenceError> {
    serde_json::from_str(content).map_err(|_| EvidenceError::Altered { index })
}

pub(super) fn frontier(file: &Connection) -> Result<Frontier, EvidenceError> {
    let head: Option<(i64, [u8; 32], Vec<u8>)> = file
        .query_row("SELECT size, root, peaks FROM head", [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((size, root, peaks)) = head else { return Ok(Frontier::default()) };
    let peaks = peaks.chunks_exact(32).filter_map(|peak| peak.try_into().ok()).map(Hash).collect();
    let frontier = Frontier::new(size.unsigned_abs(), peaks).ok_or(EvidenceError::Head)?;
    if frontier.root().0 == root { Ok(frontier) } else { Err(EvidenceError::Head) }
}

/// A leaf as it stands in the file.
pub(super) struct Row {
    pub seq: i64,
    /// Content and salt; `None`: deleted.
    pub content: Option<(String, Vec<u8>)>,
    salt_first: bool,
    pub hash: Hash,
    /// Of the tree up to here; files of the first form have none.
    pub root: Option<Hash>,
    /// As `Kind`, and when; files of the first form have none.
    pub kind: Option<(i64, Option<i64>)>,
}

impl Row {
    pub fn is_itself(&self) -> bool {
        let Some((content, salt)) = &self.content else { return true };
        let parts: [&[u8]; 2] = if self.salt_first { [salt, content.as_bytes()] } else { [content.as_bytes(), salt] };
        leaf_hash(&parts) == self.hash
    }
}

/// Hands over every leaf in order, whatever form the file has.
pub(super) fn walk(
    file: &Connection,
    tell: &mut dyn FnMut(Row) -> Result<(), EvidenceError>,
) -> Result<(), EvidenceError> {
    let is_first = version(file)? < VERSION;
    let text = match is_first {
        true => "SELECT seq, content, salt, hash FROM leaf ORDER BY seq",
        false => "SELECT seq, content, salt, hash, root, form, kind, at FROM leaf ORDER BY seq",
    };
    if !has_leaves(file)? {
        return Ok(());
    }
    let mut select = file.prepare(text)?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (content, salt): (Option<String>, Option<Vec<u8>>) = (row.get(1)?, row.get(2)?);
        let content = match (content, salt) {
            (None, None) => None,
            // Half of the two is no deletion: the hash will not fit.
            (content, salt) => Some((content.unwrap_or_default(), salt.unwrap_or_default())),
        };
        let (root, salt_first, kind) = match is_first {
            true => (None, false, None),
            false => (Some(Hash(row.get(4)?)), row.get::<_, i64>(5)? == SALT_FIRST, Some((row.get(6)?, row.get(7)?))),
        };
        tell(Row { seq: row.get(0)?, content, salt_first, hash: Hash(row.get(3)?), root, kind })?;
    }
    Ok(())
}

/// Signed heads that the file keeps, oldest first, with the size under which each stands.
pub(super) fn checkpoints(file: &Connection) -> Result<Vec<(u64, String)>, EvidenceError> {
    if version(file)? < VERSION {
        return Ok(Vec::new());
    }
    let mut select = file.prepare("SELECT size, note FROM checkpoint ORDER BY size")?;
    let rows = select.query_map([], |row| Ok((row.get::<_, i64>(0)?.unsigned_abs(), row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub fn leaves(path: &Path, size: u64) -> Result<Vec<Hash>, EvidenceError> {
    let file = reading(path)?;
    let mut select = file.prepare("SELECT hash FROM leaf WHERE seq < ?1 ORDER BY seq")?;
    let leaves = select.query_map([size as i64], |row| row.get(0).map(Hash))?.collect::<Result<_, _>>()?;
    Ok(leaves)
}

/// `None`: the content was deleted.
pub fn entries(path: &Path, from: u64, max: u32) -> Result<Vec<(u64, Option<Entry>)>, EvidenceError> {
    let file = reading(path)?;
    let mut select = file.prepare("SELECT seq, content FROM leaf WHERE seq >= ?1 ORDER BY seq LIMIT ?2")?;
    let mut rows = select.query(params![from as i64, max])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let index = row.get::<_, i64>(0)?.unsigned_abs();
        let content: Option<String> = row.get(1)?;
        all.push((index, content.map(|content| read(index, &content)).transpose()?));
    }
    Ok(all)
}

/// Entries of a kind that are still there, oldest first.
pub fn of_kind(path: &Path, kind: Kind) -> Result<Vec<(u64, Entry)>, EvidenceError> {
    let file = reading(path)?;
    let is_first = version(&file)? < VERSION;
    // The order of the key and not of the index: times of several threads cross.
    let mut select = match is_first {
        true => file.prepare("SELECT seq, content FROM leaf WHERE ?1 >= 0 ORDER BY seq")?,
        false => file.prepare("SELECT seq, content FROM leaf WHERE kind = ?1 AND content IS NOT NULL ORDER BY seq")?,
    };
    let mut rows = select.query([kind as u8])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let index = row.get::<_, i64>(0)?.unsigned_abs();
        let entry = read(index, row.get_ref(1)?.as_str().map_err(cause)?)?;
        if entry.kind() == kind {
            all.push((index, entry));
        }
    }
    Ok(all)
}

pub fn of_mappings(path: &Path) -> Result<Vec<Access>, EvidenceError> {
    let all = of_kind(path, Kind::Mapping)?.into_iter();
    let accesses = all.filter_map(|(_, entry)| match entry {
        Entry::Access(access) => Some(access),
        _ => None,
    });
    Ok(accesses.filter(|a| matches!(a.action, Action::MappingActivated | Action::MappingStopped)).collect())
}

pub fn left(path: &Path) -> Result<Vec<(u64, Left)>, EvidenceError> {
    let all = of_kind(path, Kind::Record)?.into_iter();
    let left = all.filter_map(|(index, entry)| match entry {
        Entry::Left { left } => Some((index, left)),
        _ => None,
    });
    Ok(left.collect())
}

pub(super) fn reading(path: &Path) -> Result<Connection, EvidenceError> {
    if !path.exists() {
        return Err(EvidenceError::Missing);
    }
    let file = Connection::open(path)?;
    file.pragma_update(None, "query_only", "ON")?;
    file.busy_timeout(std::time::Duration::from_secs(30))?;
    Ok(file)
}
