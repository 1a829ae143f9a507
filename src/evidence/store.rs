//! The log in SQLite: leaves and one row for the head.

use std::path::Path;

use ring::rand::{SecureRandom, SystemRandom};
use rusqlite::{Connection, OptionalExtension, params};

use super::tree::{Frontier, Hash, leaf_hash};
use super::{Access, Action, EvidenceError, Head};

const SALT_BYTES: usize = 16;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS leaf (
        seq INTEGER PRIMARY KEY, content TEXT NOT NULL, salt BLOB NOT NULL, hash BLOB NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS head (
        one INTEGER PRIMARY KEY CHECK (one = 1), size INTEGER NOT NULL, root BLOB NOT NULL, peaks BLOB NOT NULL) STRICT;
    CREATE TRIGGER IF NOT EXISTS leaf_kept BEFORE UPDATE ON leaf BEGIN SELECT RAISE(ABORT, 'append-only'); END;
    CREATE TRIGGER IF NOT EXISTS leaf_stays BEFORE DELETE ON leaf BEGIN SELECT RAISE(ABORT, 'append-only'); END;
";

pub struct Store {
    file: Connection,
    frontier: Frontier,
}

impl Store {
    pub fn open(path: &Path) -> Result<Store, EvidenceError> {
        let file = Connection::open(path)?;
        file.pragma_update(None, "journal_mode", "WAL")?;
        file.pragma_update(None, "synchronous", "FULL")?;
        file.busy_timeout(std::time::Duration::from_secs(30))?;
        file.execute_batch(SCHEMA)?;
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
    pub fn append(&mut self, entries: &[Access]) -> Result<u64, EvidenceError> {
        let (first, mut frontier) = (self.frontier.size(), self.frontier.clone());
        let transaction = self.file.transaction()?;
        {
            let mut insert = transaction.prepare_cached("INSERT INTO leaf VALUES (?1, ?2, ?3, ?4)")?;
            for entry in entries {
                let content = serde_json::to_string(entry).map_err(cause)?;
                let mut salt = [0u8; SALT_BYTES];
                SystemRandom::new().fill(&mut salt).map_err(cause)?;
                let hash = leaf_hash(&[content.as_bytes(), &salt]);
                insert.execute(params![frontier.size() as i64, content, salt, hash.0])?;
                frontier.push(hash);
            }
            let peaks: Vec<u8> = frontier.peaks().iter().flat_map(|peak| peak.0).collect();
            transaction.execute(
                "INSERT OR REPLACE INTO head VALUES (1, ?1, ?2, ?3)",
                params![frontier.size() as i64, frontier.root().0, peaks],
            )?;
        }
        transaction.commit()?;
        self.frontier = frontier;
        Ok(first)
    }
}

fn cause(error: impl std::fmt::Display) -> EvidenceError {
    EvidenceError::Store { cause: error.to_string() }
}

fn frontier(file: &Connection) -> Result<Frontier, EvidenceError> {
    let head: Option<(i64, [u8; 32], Vec<u8>)> = file
        .query_row("SELECT size, root, peaks FROM head", [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((size, root, peaks)) = head else { return Ok(Frontier::default()) };
    let peaks = peaks.chunks_exact(32).filter_map(|peak| peak.try_into().ok()).map(Hash).collect();
    let frontier = Frontier::new(size.unsigned_abs(), peaks).ok_or(EvidenceError::Head)?;
    if frontier.root().0 == root { Ok(frontier) } else { Err(EvidenceError::Head) }
}

pub fn verify(path: &Path) -> Result<Head, EvidenceError> {
    let file = reading(path)?;
    // One transaction: the writer may go on meanwhile.
    file.execute_batch("BEGIN DEFERRED")?;
    let stated = frontier(&file)?;
    let mut found = Frontier::default();
    let mut select = file.prepare("SELECT seq, content, salt, hash FROM leaf ORDER BY seq")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let index = found.size();
        let (seq, hash): (i64, [u8; 32]) = (row.get(0)?, row.get(3)?);
        let content = row.get_ref(1)?.as_str().map_err(cause)?;
        let salt = row.get_ref(2)?.as_blob().map_err(cause)?;
        let leaf = leaf_hash(&[content.as_bytes(), salt]);
        if seq.unsigned_abs() != index || leaf.0 != hash {
            return Err(EvidenceError::Altered { index });
        }
        found.push(leaf);
    }
    if found != stated {
        return Err(EvidenceError::Head);
    }
    Ok(Head { size: found.size(), root: found.root() })
}

pub fn leaves(path: &Path, size: u64) -> Result<Vec<Hash>, EvidenceError> {
    let file = reading(path)?;
    let mut select = file.prepare("SELECT hash FROM leaf WHERE seq < ?1 ORDER BY seq")?;
    let leaves = select.query_map([size as i64], |row| row.get(0).map(Hash))?.collect::<Result<_, _>>()?;
    Ok(leaves)
}

pub fn entries(path: &Path, from: u64, max: u32) -> Result<Vec<(u64, Access)>, EvidenceError> {
    let file = reading(path)?;
    let mut select = file.prepare("SELECT seq, content FROM leaf WHERE seq >= ?1 ORDER BY seq LIMIT ?2")?;
    let mut rows = select.query(params![from as i64, max])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let index = row.get::<_, i64>(0)?.unsigned_abs();
        let content: String = row.get(1)?;
        all.push((index, serde_json::from_str(&content).map_err(|_| EvidenceError::Altered { index })?));
    }
    Ok(all)
}

pub fn of_mappings(path: &Path) -> Result<Vec<Access>, EvidenceError> {
    let file = reading(path)?;
    let mut select = file.prepare("SELECT seq, content FROM leaf WHERE content LIKE '%\"mapping_%' ORDER BY seq")?;
    let mut rows = select.query([])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let index = row.get::<_, i64>(0)?.unsigned_abs();
        let content: String = row.get(1)?;
        let access: Access = serde_json::from_str(&content).map_err(|_| EvidenceError::Altered { index })?;
        if matches!(access.action, Action::MappingActivated | Action::MappingStopped) {
            all.push(access);
        }
    }
    Ok(all)
}

fn reading(path: &Path) -> Result<Connection, EvidenceError> {
    if !path.exists() {
        return Err(EvidenceError::Missing);
    }
    let file = Connection::open(path)?;
    file.pragma_update(None, "query_only", "ON")?;
    file.busy_timeout(std::time::Duration::from_secs(30))?;
    Ok(file)
}
