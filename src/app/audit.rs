//! Receipts set aside for audit: of those that partners signed themselves, a random sample that the agency opens.
//!
//! To open one the agency asks the partner for the receipt and its record of the consent: the receipt holds the salt,
//! with which the commitment fits one CI. Kept here are receipt id, partner, time and commitment; never a CI, a salt or
//! whether the person is known. A call whose receipt is not drawn costs the same write, so that a partner cannot tell
//! by its time which of its records will be asked for.

use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use rusqlite::{Connection, OpenFlags, params};

use crate::domain::{PartnerId, Timestamp, time::DAY_MS};
use crate::serve::Audit;

/// As long as a consent may be disputed; at 10,000 a day this is 3.7 M rows, some 600 MB.
const KEEP_DAYS: i64 = 366;
/// Rows that leave at a time, so that no call waits long.
const PURGE_MAX: u32 = 200;

pub struct AuditBook(Mutex<Connection>);

/// One receipt of the sample.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SetAside {
    pub receipt: String,
    pub partner: String,
    /// RFC 3339.
    pub at: String,
    /// SHA-256 of salt and CI, base64url.
    pub commitment: String,
}

#[derive(Debug, thiserror::Error)]
#[error("the receipts set aside for audit could not be read or written")]
pub struct AuditFailed(#[from] rusqlite::Error);

impl AuditBook {
    pub fn open(path: &Path) -> Result<AuditBook, AuditFailed> {
        let file = Connection::open(path)?;
        file.busy_timeout(std::time::Duration::from_secs(5))?;
        file.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE IF NOT EXISTS receipt (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, partner TEXT NOT NULL,
               id TEXT NOT NULL, commitment TEXT NOT NULL) STRICT;
             CREATE TABLE IF NOT EXISTS passed (one INTEGER PRIMARY KEY CHECK (one = 1), at INTEGER NOT NULL) STRICT;",
        )?;
        Ok(AuditBook(Mutex::new(file)))
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Keeps a receipt that was drawn. Durable when it returns.
    pub fn note(&self, partner: &PartnerId, audit: &Audit, at: Timestamp) -> Result<(), AuditFailed> {
        let mut file = self.lock();
        let turn = file.transaction()?;
        if audit.is_drawn {
            turn.execute(
                "INSERT INTO receipt (at, partner, id, commitment) VALUES (?, ?, ?, ?)",
                params![at.0, partner.as_str(), audit.receipt, audit.commitment],
            )?;
        } else {
            turn.execute("INSERT OR REPLACE INTO passed (one, at) VALUES (1, ?)", params![at.0])?;
        }
        // Rows come in the order of time.
        turn.execute(
            "DELETE FROM receipt WHERE seq IN (SELECT seq FROM receipt ORDER BY seq LIMIT ?) AND at < ?",
            params![PURGE_MAX, at.plus_ms(-KEEP_DAYS * DAY_MS).0],
        )?;
        turn.commit()?;
        Ok(())
    }
}

/// Every receipt set aside since `since`, oldest first; of one partner or of all. Works beside a running daemon.
pub fn set_aside(
    path: &Path,
    partner: Option<&PartnerId>,
    since: Timestamp,
    mut each: impl FnMut(SetAside),
) -> Result<(), AuditFailed> {
    if !path.exists() {
        return Ok(());
    }
    let file = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    file.pragma_update(None, "query_only", "ON")?;
    let mut select = file.prepare(
        "SELECT id, partner, at, commitment FROM receipt WHERE at >= ?1 AND (?2 IS NULL OR partner = ?2) ORDER BY seq",
    )?;
    let mut rows = select.query(params![since.0, partner.map(PartnerId::as_str)])?;
    while let Some(row) = rows.next()? {
        let at = Timestamp(row.get(2)?).rfc3339();
        each(SetAside { receipt: row.get(0)?, partner: row.get(1)?, at, commitment: row.get(3)? });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_is_kept_for_a_year_and_nothing_else_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.sqlite");
        let book = AuditBook::open(&path).unwrap();
        let (naver, kakao) = (PartnerId::new("naver").unwrap(), PartnerId::new("kakao").unwrap());
        let audit = |receipt: &str, is_drawn| Audit { receipt: receipt.into(), commitment: "c".into(), is_drawn };
        let day = |n: i64| Timestamp(n * DAY_MS);
        book.note(&naver, &audit("r-1", true), day(0)).unwrap();
        book.note(&naver, &audit("r-2", false), day(1)).unwrap();
        book.note(&kakao, &audit("r-3", true), day(2)).unwrap();
        let kept = |partner: Option<&PartnerId>, since| {
            let mut kept = Vec::new();
            set_aside(&path, partner, since, |row| kept.push(row.receipt)).unwrap();
            kept
        };
        assert_eq!(kept(None, day(0)), ["r-1", "r-3"]);
        assert_eq!(kept(Some(&kakao), day(0)), ["r-3"]);
        assert_eq!(kept(None, day(1)), ["r-3"]);
        book.note(&naver, &audit("r-4", false), day(367)).unwrap();
        assert_eq!(kept(None, day(0)), ["r-3"], "a year and a day");
        set_aside(&dir.path().join("none"), None, day(0), |_| panic!("nothing is there")).unwrap();
    }
}
