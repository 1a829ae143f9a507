//! What left, who looked, who approved: an append-only log whose head commits to all of it.
//!
//! First form: a Merkle tree (RFC 9162) in SQLite. Never rebuilt from anything; never changed: an entry that is
//! altered, dropped or moved no longer fits the head. Invariants: `record` returns only when the entry is durable;
//! leaf and head are one transaction; a failed write is never tried again, because the disk may or may not have it.
//!
//! A leaf is content ‖ 16 random bytes: whoever gets hashes in a proof cannot find out contents by trying. It names a
//! person by number, which only the register can resolve, and never shows it.
//!
//! Entries are written by one thread that takes what waits (group commit), so that many callers share a wait for the
//! disk. The door is bounded; beyond it callers are declined.

mod store;
mod tree;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::domain::{PartnerId, PersonRef, Position, Timestamp};

use store::Store;

pub use tree::{Frontier, Hash, consistency_proof, inclusion_proof, is_consistent, is_included, leaf_hash};

/// Entries that may wait; at 200 commits/s of 256 each this is 20 ms of work.
const WAITING_MAX: usize = 1_024;
/// Entries of one transaction.
const BATCH_MAX: usize = 256;
/// Bytes of a name or a basis.
pub const TEXT_MAX: usize = 200;

/// One record.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    pub at: Timestamp,
    pub actor: Actor,
    pub action: Action,
    /// Whom it is about, where it is about one person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<PersonRef>,
    /// On what ground: kind of receipt, digest of an approval, number of an order. Never a personal value.
    pub basis: String,
    /// Persons or records concerned.
    pub count: u64,
    /// Position that the ledger had reached.
    pub position: Position,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("at", &self.at)
            .field("actor", &self.actor)
            .field("action", &self.action)
            .field("subject", &self.subject.map(|_| "…"))
            .field("basis", &self.basis)
            .field("count", &self.count)
            .field("position", &self.position)
            .finish()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    Partner(PartnerId),
    /// An operator or officer, by account name.
    Operator(String),
    /// The bridge itself.
    Bridge,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A person token was given out.
    TokenGiven,
    /// The same, asked for by a guardian.
    TokenGivenToGuardian,
    /// A mapping version came into force.
    MappingActivated,
    /// An officer stopped one (제공 중지).
    MappingStopped,
    /// Somebody looked at a person's record.
    PersonShown,
    PersonUnlinked,
    CutConfirmed,
    /// Tokens are made in a new epoch from now on.
    KeyRotated,
    KeyDestroyed,
    LedgerSealed,
    BackupMade,
    Restored,
}

/// What the log commits to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub size: u64,
    pub root: Hash,
}

/// A leaf and the way from it to the head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inclusion {
    pub index: u64,
    pub head: Head,
    pub leaf: Hash,
    pub proof: Vec<Hash>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    #[error("the evidence log could not be read or written: {cause}")]
    Store { cause: String },
    #[error("entry {index} of the evidence log does not fit its hash")]
    Altered { index: u64 },
    #[error("the entries of the evidence log do not fit its head")]
    Head,
    #[error("the evidence log is missing while other state exists")]
    Missing,
    #[error("{what} is longer than {TEXT_MAX} bytes")]
    TooLong { what: &'static str },
    /// Too many entries wait: nothing was recorded, and what it would record must not happen.
    #[error("too many entries wait for the evidence log")]
    Overloaded,
    /// An earlier write failed; the log takes nothing until the next start.
    #[error("the evidence log has stopped")]
    Stopped,
    #[error("there is no entry or head {index}")]
    Unknown { index: u64 },
}

impl EvidenceError {
    pub fn code(&self) -> &'static str {
        match self {
            EvidenceError::Store { .. } => "evidence_store",
            EvidenceError::Altered { .. } => "evidence_altered",
            EvidenceError::Head => "evidence_head",
            EvidenceError::Missing => "evidence_missing",
            EvidenceError::TooLong { .. } => "evidence_too_long",
            EvidenceError::Overloaded => "evidence_overloaded",
            EvidenceError::Stopped => "evidence_stopped",
            EvidenceError::Unknown { .. } => "evidence_unknown",
        }
    }
}

impl From<rusqlite::Error> for EvidenceError {
    fn from(error: rusqlite::Error) -> EvidenceError {
        EvidenceError::Store { cause: error.to_string() }
    }
}

/// What to do when the file does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfMissing {
    Create,
    Refuse,
}

struct Job {
    access: Access,
    reply: oneshot::Sender<Result<u64, EvidenceError>>,
}

/// The log, for everyone. Its thread ends when the last handle is gone.
pub struct Evidence {
    door: mpsc::Sender<Job>,
    head: Arc<Mutex<Head>>,
    path: std::path::PathBuf,
}

impl Evidence {
    /// Opens the log and its thread. Checks that the newest entry is the head's; `verify` checks everything.
    pub fn open(path: &Path, missing: IfMissing) -> Result<Evidence, EvidenceError> {
        if missing == IfMissing::Refuse && !path.exists() {
            return Err(EvidenceError::Missing);
        }
        let mut store = Store::open(path)?;
        let head = Arc::new(Mutex::new(store.head()));
        let (door, mut jobs) = mpsc::channel::<Job>(WAITING_MAX);
        let shown = head.clone();
        std::thread::Builder::new()
            .name(String::from("evidence"))
            .spawn(move || {
                while let Some(first) = jobs.blocking_recv() {
                    if !write(&mut store, first, &mut jobs, &shown) {
                        return;
                    }
                }
            })
            .map_err(|error| EvidenceError::Store { cause: error.to_string() })?;
        Ok(Evidence { door, head, path: path.to_path_buf() })
    }

    /// Appends; returns the entry's index once it is durable.
    pub async fn record(&self, access: Access) -> Result<u64, EvidenceError> {
        self.submit(access)?.await.map_err(|_| EvidenceError::Stopped)?
    }

    /// As `record`, for plain threads. Must not be called on a tokio worker.
    pub fn record_blocking(&self, access: Access) -> Result<u64, EvidenceError> {
        self.submit(access)?.blocking_recv().map_err(|_| EvidenceError::Stopped)?
    }

    /// Appends without waiting; what fails later is logged by the writer.
    pub fn record_later(&self, access: Access) -> Result<(), EvidenceError> {
        self.submit(access).map(drop)
    }

    fn submit(&self, access: Access) -> Result<oneshot::Receiver<Result<u64, EvidenceError>>, EvidenceError> {
        if access.basis.len() > TEXT_MAX {
            return Err(EvidenceError::TooLong { what: "a basis" });
        }
        if matches!(&access.actor, Actor::Operator(name) if name.len() > TEXT_MAX) {
            return Err(EvidenceError::TooLong { what: "an operator's name" });
        }
        let (reply, answer) = oneshot::channel();
        self.door.try_send(Job { access, reply }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => EvidenceError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => EvidenceError::Stopped,
        })?;
        Ok(answer)
    }

    /// The durable head.
    pub fn head(&self) -> Head {
        *self.head.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Hashes every entry anew and compares with its stored hash and with the head.
    pub fn verify(&self) -> Result<Head, EvidenceError> {
        verify(&self.path)
    }

    /// Shows that entry `index` is in the log as of the present head. Reads all hashes (32 bytes an entry).
    pub fn inclusion(&self, index: u64) -> Result<Inclusion, EvidenceError> {
        let head = self.head();
        let leaves = store::leaves(&self.path, head.size)?;
        let proof = inclusion_proof(&leaves, index).ok_or(EvidenceError::Unknown { index })?;
        let leaf = usize::try_from(index).ok().and_then(|at| leaves.get(at).copied());
        let leaf = leaf.ok_or(EvidenceError::Unknown { index })?;
        Ok(Inclusion { index, head, leaf, proof })
    }

    /// Shows that the present head continues the head of `size` entries. Reads all hashes.
    pub fn consistency(&self, size: u64) -> Result<(Head, Vec<Hash>), EvidenceError> {
        let head = self.head();
        let leaves = store::leaves(&self.path, head.size)?;
        let proof = consistency_proof(&leaves, size).ok_or(EvidenceError::Unknown { index: size })?;
        Ok((head, proof))
    }

    /// Every entry about mapping versions, oldest first. Reads all entries.
    pub fn of_mappings(&self) -> Result<Vec<Access>, EvidenceError> {
        store::of_mappings(&self.path)
    }

    /// Entries from `from` on, at most `max`.
    pub fn entries(&self, from: u64, max: u32) -> Result<Vec<(u64, Access)>, EvidenceError> {
        store::entries(&self.path, from, max)
    }
}

/// Checks a log that nobody needs to have open.
pub fn verify(path: &Path) -> Result<Head, EvidenceError> {
    store::verify(path)
}

/// Writes what waits. False when the log takes nothing any more.
fn write(store: &mut Store, first: Job, jobs: &mut mpsc::Receiver<Job>, head: &Mutex<Head>) -> bool {
    let mut batch = vec![first];
    while batch.len() < BATCH_MAX
        && let Ok(job) = jobs.try_recv()
    {
        batch.push(job);
    }
    let (entries, replies): (Vec<Access>, Vec<_>) = batch.into_iter().map(|job| (job.access, job.reply)).unzip();
    let result = store.append(&entries);
    match &result {
        Ok(_) => *head.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = store.head(),
        Err(error) => {
            tracing::error!(code = error.code(), %error, "the evidence log takes nothing until the next start")
        }
    }
    for (at, reply) in (0..).zip(replies) {
        // Whoever gave up waiting has its entry all the same.
        let _ = reply.send(result.clone().map(|first| first + at));
    }
    result.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::PersonNo;

    fn access(n: u64) -> Access {
        Access {
            at: Timestamp(1_000 + n as i64),
            actor: Actor::Partner(PartnerId::new("naver").unwrap()),
            action: Action::TokenGiven,
            subject: Some(PersonRef::Known(PersonNo(4_711))),
            basis: String::from("receipt:issuer"),
            count: 1,
            position: Position(n),
        }
    }

    fn filled(path: &Path, entries: u64) -> Evidence {
        let evidence = Evidence::open(path, IfMissing::Create).unwrap();
        for n in 0..entries {
            assert_eq!(evidence.record_blocking(access(n)).unwrap(), n);
        }
        evidence
    }

    #[test]
    fn what_is_recorded_is_there_after_a_restart_and_fits_the_head() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("evidence.sqlite");
        let head = filled(&path, 5).head();
        let again = Evidence::open(&path, IfMissing::Refuse).unwrap();
        assert_eq!((again.head(), head.size), (head, 5));
        assert_eq!(again.verify(), Ok(head));
        assert_eq!(again.record_blocking(access(5)).unwrap(), 5);
        assert_eq!(again.verify().unwrap().size, 6);
        assert_eq!(again.entries(4, 10).unwrap(), [(4, access(4)), (5, access(5))]);
        let (after, proof) = again.consistency(5).unwrap();
        assert!(is_consistent((5, head.root), (6, after.root), &proof));
        let shown = again.inclusion(3).unwrap();
        assert!(is_included(shown.leaf, 3, 6, shown.head.root, &shown.proof));
        assert_eq!(again.inclusion(6), Err(EvidenceError::Unknown { index: 6 }));
    }

    #[test]
    fn an_entry_cannot_be_changed_unseen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("evidence.sqlite");
        drop(filled(&path, 5));
        let file = rusqlite::Connection::open(&path).unwrap();
        assert!(file.execute("UPDATE leaf SET content = 'x' WHERE seq = 2", []).is_err(), "append-only");
        assert!(file.execute("DELETE FROM leaf WHERE seq = 4", []).is_err(), "append-only");
        file.execute_batch("DROP TRIGGER leaf_kept; DROP TRIGGER leaf_stays").unwrap();
        file.execute("UPDATE leaf SET content = replace(content, 'naver', 'kakao') WHERE seq = 2", []).unwrap();
        assert_eq!(verify(&path), Err(EvidenceError::Altered { index: 2 }));
        file.execute("DELETE FROM leaf WHERE seq >= 2", []).unwrap();
        assert_eq!(verify(&path), Err(EvidenceError::Head));
        assert!(matches!(Evidence::open(&path, IfMissing::Refuse), Err(EvidenceError::Head)));
    }

    #[test]
    fn equal_records_have_unequal_leaves() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("evidence.sqlite");
        let evidence = filled(&path, 0);
        for _ in 0..2 {
            evidence.record_blocking(access(1)).unwrap();
        }
        assert_ne!(evidence.inclusion(0).unwrap().leaf, evidence.inclusion(1).unwrap().leaf);
    }

    #[test]
    fn many_callers_share_a_write_and_each_has_its_own_entry() {
        let dir = tempfile::tempdir().unwrap();
        let evidence = Arc::new(filled(&dir.path().join("evidence.sqlite"), 0));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut indexes: Vec<u64> = runtime.block_on(async {
            let mut calls = tokio::task::JoinSet::new();
            for n in 0..300 {
                let evidence = evidence.clone();
                calls.spawn(async move { evidence.record(access(n)).await.unwrap() });
            }
            calls.join_all().await
        });
        indexes.sort_unstable();
        assert_eq!(indexes, (0..300).collect::<Vec<u64>>());
        assert_eq!(evidence.verify().unwrap(), evidence.head());
    }

    #[test]
    fn a_person_number_is_never_printed_and_a_long_text_is_refused() {
        assert!(!format!("{:?}", access(1)).contains("4711"));
        let dir = tempfile::tempdir().unwrap();
        let evidence = filled(&dir.path().join("e.sqlite"), 0);
        let long = Access { basis: "x".repeat(TEXT_MAX + 1), ..access(1) };
        assert_eq!(evidence.record_blocking(long), Err(EvidenceError::TooLong { what: "a basis" }));
        assert_eq!(evidence.head().size, 0);
        let missing = Evidence::open(&dir.path().join("none.sqlite"), IfMissing::Refuse);
        assert!(matches!(missing, Err(EvidenceError::Missing)));
    }
}
