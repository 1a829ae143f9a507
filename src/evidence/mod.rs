//! What left, who looked, who approved: an append-only log whose head commits to all of it.
//!
//! A Merkle tree (RFC 9162) in SQLite. Never rebuilt from anything; no entry is ever changed: one that is altered,
//! dropped or moved no longer fits the head. Invariants: `record` returns only when the entry is durable; leaf and head
//! are one transaction; a failed write is never tried again, because the disk may or may not have it.
//!
//! A leaf is 16 random bytes ‖ content: whoever gets hashes in a proof cannot find out contents by trying. Retention
//! removes content and salt and keeps the hash, so that the log still verifies and nothing of what was written can be
//! found out; an entry of its own, in the same transaction, says which contents went by which rule. Kept for ever are
//! mapping versions, approvals, deletions, keys, backups: an approval must never go back.
//!
//! Heads are signed (`note`) every hour and at the stop, and kept in the file and by whoever fetched one.
//!
//! Entries are written by one thread that takes what waits (group commit), so that many callers share a wait for the
//! disk. The door is bounded; beyond it callers are declined.

pub mod csv;
mod entry;
mod note;
mod store;
#[cfg(test)]
mod tests;
mod tree;
mod verify;

use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::sync::{mpsc, oneshot};

use crate::domain::Timestamp;
use crate::keys::LogKey;

use store::Store;

pub use entry::{Access, Action, Actor, Approved, Deleted, Entry, Kind, Left};
pub use note::{Checkpoint, NoteError, Verifier, note_name, origin};
pub use tree::{Frontier, Hash, consistency_proof, inclusion_proof, is_consistent, is_included, leaf_hash};
pub use verify::{Against, Damage, Report, examine};

/// Entries that may wait; at 200 commits/s of 256 each this is 20 ms of work.
const WAITING_MAX: usize = 1_024;
/// Entries of one transaction.
const BATCH_MAX: usize = 256;
/// Bytes of a name or a basis.
pub const TEXT_MAX: usize = 200;

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
    #[error("{damage}")]
    Damaged { damage: Damage },
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
            EvidenceError::Damaged { .. } => "evidence_damaged",
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

/// How long contents of a kind are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// As it is written down with what it deleted: `access_days=730`.
    pub name: String,
    pub kind: Kind,
    /// Contents of entries before this go.
    pub before: Timestamp,
}

type Reply<T> = oneshot::Sender<Result<T, EvidenceError>>;

enum Job {
    Record { entry: Entry, reply: Reply<u64> },
    Purge { rule: Rule, now: Timestamp, reply: Reply<u64> },
    Keep { size: u64, at: Timestamp, note: String, reply: Reply<()> },
}

/// The log, for everyone. Its thread ends when the last handle is gone.
pub struct Evidence {
    /// Taken by the end alone.
    door: Option<mpsc::Sender<Job>>,
    thread: Option<std::thread::JoinHandle<()>>,
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
        let thread = std::thread::Builder::new()
            .name(String::from("evidence"))
            .spawn(move || {
                let mut waiting = None;
                while let Some(job) = waiting.take().or_else(|| jobs.blocking_recv()) {
                    if !work(&mut store, job, &mut jobs, &mut waiting, &shown) {
                        return;
                    }
                }
            })
            .map_err(|error| EvidenceError::Store { cause: error.to_string() })?;
        Ok(Evidence { door: Some(door), thread: Some(thread), head, path: path.to_path_buf() })
    }

    /// Appends; returns the entry's index once it is durable.
    pub async fn record(&self, entry: impl Into<Entry>) -> Result<u64, EvidenceError> {
        self.submit(entry.into())?.await.map_err(|_| EvidenceError::Stopped)?
    }

    /// As `record`, for plain threads. Must not be called on a tokio worker.
    pub fn record_blocking(&self, entry: impl Into<Entry>) -> Result<u64, EvidenceError> {
        self.submit(entry.into())?.blocking_recv().map_err(|_| EvidenceError::Stopped)?
    }

    /// Appends without waiting; what fails later is logged by the writer.
    pub fn record_later(&self, entry: impl Into<Entry>) -> Result<(), EvidenceError> {
        self.submit(entry.into()).map(drop)
    }

    /// Appends all, in this order; they share a wait for the disk. Some may be durable where an error is returned.
    pub fn record_all_blocking(&self, entries: impl IntoIterator<Item = Entry>) -> Result<(), EvidenceError> {
        let mut waiting = Vec::new();
        for entry in entries {
            if waiting.len() == BATCH_MAX {
                waiting.drain(..).try_for_each(settled)?;
            }
            waiting.push(self.submit(entry)?);
        }
        waiting.into_iter().try_for_each(settled)
    }

    /// Removes what the rule keeps no longer; returns how many contents. Must not be called on a tokio worker.
    pub fn purge_blocking(&self, rule: &Rule, now: Timestamp) -> Result<u64, EvidenceError> {
        let mut all = 0;
        loop {
            let (reply, answer) = oneshot::channel();
            self.send(Job::Purge { rule: rule.clone(), now, reply })?;
            match answer.blocking_recv().map_err(|_| EvidenceError::Stopped)?? {
                0 => return Ok(all),
                some => all += some,
            }
        }
    }

    /// Signs the durable head and keeps it in the file. Must not be called on a tokio worker.
    pub fn checkpoint_blocking(&self, origin: &str, key: &LogKey, now: Timestamp) -> Result<Checkpoint, EvidenceError> {
        let signed = Checkpoint::sign(origin, self.head(), key);
        let (reply, answer) = oneshot::channel();
        self.send(Job::Keep { size: signed.head.size, at: now, note: signed.to_string(), reply })?;
        answer.blocking_recv().map_err(|_| EvidenceError::Stopped)??;
        Ok(signed)
    }

    fn submit(&self, entry: Entry) -> Result<oneshot::Receiver<Result<u64, EvidenceError>>, EvidenceError> {
        entry.check()?;
        let (reply, answer) = oneshot::channel();
        self.send(Job::Record { entry, reply })?;
        Ok(answer)
    }

    fn send(&self, job: Job) -> Result<(), EvidenceError> {
        let door = self.door.as_ref().ok_or(EvidenceError::Stopped)?;
        door.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => EvidenceError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => EvidenceError::Stopped,
        })
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

    /// Every entry about mapping versions, oldest first.
    pub fn of_mappings(&self) -> Result<Vec<Access>, EvidenceError> {
        store::of_mappings(&self.path)
    }

    /// Entries of a kind whose content is still there, oldest first.
    pub fn of_kind(&self, kind: Kind) -> Result<Vec<(u64, Entry)>, EvidenceError> {
        store::of_kind(&self.path, kind)
    }

    /// Entries from `from` on, at most `max`; without content where retention deleted it.
    pub fn entries(&self, from: u64, max: u32) -> Result<Vec<(u64, Option<Entry>)>, EvidenceError> {
        store::entries(&self.path, from, max)
    }
}

/// Waits until what was submitted is written and the file is closed.
impl Drop for Evidence {
    fn drop(&mut self) {
        self.door = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the evidence log's thread panicked");
        }
    }
}

/// Entries of a kind, of a log that nobody needs to have open.
pub fn of_kind(path: &Path, kind: Kind) -> Result<Vec<(u64, Entry)>, EvidenceError> {
    store::of_kind(path, kind)
}

/// What left, oldest first, of a log that nobody needs to have open.
pub fn left(path: &Path) -> Result<Vec<(u64, Left)>, EvidenceError> {
    store::left(path)
}

/// Leaf hashes of the first `size` entries, for proofs.
pub fn leaves(path: &Path, size: u64) -> Result<Vec<Hash>, EvidenceError> {
    store::leaves(path, size)
}

/// Checks a log that nobody needs to have open. The first damage is the error.
pub fn verify(path: &Path) -> Result<Head, EvidenceError> {
    let report = examine(path, &Against::default())?;
    match report.damage.into_iter().next() {
        None => Ok(report.head),
        Some(damage) => Err(EvidenceError::Damaged { damage }),
    }
}

fn settled(waiting: oneshot::Receiver<Result<u64, EvidenceError>>) -> Result<(), EvidenceError> {
    waiting.blocking_recv().map_err(|_| EvidenceError::Stopped)?.map(|_| ())
}

/// Does one job, and with an entry all that wait behind it up to the first job of another kind. False when the log
/// takes nothing any more.
fn work(
    store: &mut Store,
    job: Job,
    jobs: &mut mpsc::Receiver<Job>,
    waiting: &mut Option<Job>,
    head: &Mutex<Head>,
) -> bool {
    let failed = match job {
        Job::Record { entry, reply } => {
            let (mut entries, mut replies) = (vec![entry], vec![reply]);
            while entries.len() < BATCH_MAX
                && let Ok(job) = jobs.try_recv()
            {
                match job {
                    Job::Record { entry, reply } => {
                        entries.push(entry);
                        replies.push(reply);
                    }
                    other => {
                        *waiting = Some(other);
                        break;
                    }
                }
            }
            let result = store.append(&entries);
            show(store, head);
            for (at, reply) in (0..).zip(replies) {
                // Whoever gave up waiting has its entry all the same.
                let _ = reply.send(result.clone().map(|first| first + at));
            }
            result.err()
        }
        Job::Purge { rule, now, reply } => {
            let result = store.purge(&rule, now);
            show(store, head);
            let _ = reply.send(result.clone());
            result.err()
        }
        Job::Keep { size, at, note, reply } => {
            let result = store.keep(size, at, &note);
            let _ = reply.send(result.clone());
            result.err()
        }
    };
    if let Some(error) = &failed {
        tracing::error!(code = error.code(), %error, "the evidence log takes nothing until the next start");
    }
    failed.is_none()
}

/// Before anybody is told: whoever has an answer finds its entry in the head.
fn show(store: &Store, head: &Mutex<Head>) {
    *head.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = store.head();
}
