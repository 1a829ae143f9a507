//! The ledger in SQLite: the one writer over the newest segment.
//!
//! WAL, `synchronous=FULL`: a commit returns after its frames are synced, and readers see it only then.
//! Checkpoints are explicit and their errors stop the ledger. On opening, what the WAL holds is copied into the file
//! and synced before anything is read from it: after a failed sync the page cache can show frames that the disk does
//! not have.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use ring::rand::{SecureRandom, SystemRandom};
use rusqlite::{Connection, TransactionBehavior, params};
use serde::{Deserialize, Serialize};

use super::chain::{BatchHasher, BatchHead, Hash};
use super::segment::{self, Epoch, Meta, StoredBatch, sql};
use super::{Batch, LedgerError, LedgerReader, LedgerStore, files};
use crate::decide::{Entry, What};
use crate::domain::{Incarnation, Position, Secret, Timestamp};

/// States that a ledger exists and how far it had come at least. Written when a segment begins and at a clean stop.
pub(super) const HEAD_FILE: &str = "HEAD";

/// A batch is at most `BATCH_MAX` events; this is far above what they yield and stops a runaway.
pub const ENTRIES_MAX: usize = 100_000;

/// What a commit writes beyond its payload: the last page of each of three tables, and their parents now and then.
const COMMIT_BYTES: u64 = 16 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncMode {
    Full,
    /// Loses acknowledged bookings in a power cut. For measuring what the sync costs and for the test that must
    /// notice its absence; no configuration leads here.
    Off,
}

#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Entries after which a new segment begins: about 1 GB, so that one can be copied and dropped by itself.
    pub segment_entries_max: u64,
    /// Pages of 4 KiB in one segment; the default is SQLite's own limit. A write beyond fails like a full disk.
    pub pages_max: u32,
    /// Bytes after which the WAL is copied into the file: a checkpoint costs two syncs, so about 1 % of batches pay.
    pub checkpoint_bytes: u64,
    pub sync: SyncMode,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            segment_entries_max: 2_000_000,
            pages_max: 4_294_967_294,
            checkpoint_bytes: 16 << 20,
            sync: SyncMode::Full,
        }
    }
}

/// What the rest of the data directory says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Nothing speaks of an earlier ledger: an empty directory becomes a new one.
    MayBeNew,
    /// The register or the mirror hold what only a ledger can have led to.
    MustExist,
}

/// How far the ledger is: the end of its last batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    pub position: Position,
    pub hash: Hash,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HeadFile {
    pub format: u32,
    /// First positions of the segments.
    pub segments: Vec<Position>,
    pub reached: Head,
}

impl HeadFile {
    pub fn read(dir: &Path) -> Result<Option<HeadFile>, LedgerError> {
        let path = dir.join(HEAD_FILE);
        let bytes = files::read_if_there(&path).map_err(LedgerError::file("cannot read", &path))?;
        bytes
            .map(|bytes| {
                serde_json::from_slice(&bytes)
                    .map_err(|error| segment::damage(HEAD_FILE, None, format!("not a head record: {error}")))
            })
            .transpose()
    }
}

pub struct Ledger {
    dir: PathBuf,
    settings: Settings,
    connection: Connection,
    /// File name of the segment that is written.
    segment: String,
    meta: Meta,
    /// Entries in the segment that is written.
    segment_entries: u64,
    /// The last batch.
    head: Head,
    /// What the next batch names as previous: the last batch's hash, or the anchor of a new segment.
    link: Hash,
    at: Timestamp,
    /// First positions of all segments, shared with the readers.
    segments: Arc<RwLock<Vec<Position>>>,
    wal_bytes: u64,
    failed: bool,
    text: Vec<u8>,
}

impl Ledger {
    /// Opens the ledger in `dir`, or makes one where there never was any. Checks the last batch and everything that
    /// HEAD says; `replay` checks the rest as it reads.
    pub fn open(dir: &Path, settings: Settings, expected: Expected) -> Result<Ledger, LedgerError> {
        files::create_dir(dir).map_err(LedgerError::file("cannot create", dir))?;
        let mut segments = segment::list(dir)?;
        let said = HeadFile::read(dir)?;
        let lost = |found: String| Err(LedgerError::Lost { dir: dir.to_owned(), found });
        match (&said, segments.is_empty()) {
            (Some(_), true) => return lost("no segment".to_owned()),
            (None, true) if expected == Expected::MustExist => return lost("no segment".to_owned()),
            (None, true) => {
                segment::create(dir, &new_meta()?)?;
                segments = segment::list(dir)?;
            }
            (Some(said), false) => {
                if let Some(missing) = said.segments.iter().find(|first| !segments.contains(first)) {
                    return lost(format!("no {}", segment::file_name(*missing)));
                }
            }
            (None, false) => {}
        }
        let ledger = Ledger::open_last(dir, settings, segments)?;
        match said {
            Some(said) => ledger.check_reached(&said.reached)?,
            // A first start that ended between segment and HEAD leaves one empty segment, nothing else does.
            None if ledger.head.position != Position::ZERO => return lost("segments, but no HEAD".to_owned()),
            None => ledger.note_head()?,
        }
        Ok(ledger)
    }

    /// Opens the newest segment, whatever HEAD says.
    pub(super) fn open_last(dir: &Path, settings: Settings, segments: Vec<Position>) -> Result<Ledger, LedgerError> {
        let first = *segments.last().expect("the caller lists at least one segment");
        let name = segment::file_name(first);
        let read = |error| LedgerError::read(&name, error);
        let connection = segment::open_writer(&dir.join(&name), &settings).map_err(read)?;
        segment::checkpoint(&connection, "TRUNCATE").map_err(|error| LedgerError::write(&name, error))?;
        let meta = segment::read_meta(&connection, &name)?;
        let before = match segments.len().checked_sub(2) {
            Some(at) => Some(last_of_closed(dir, segments[at])?),
            None => None,
        };
        if let Some(before) = &before
            && (before.hash != meta.previous || before.head.last.next() != first)
        {
            return Err(segment::damage(&name, None, "it does not continue the segment before it"));
        }
        let last = last_of(&connection, &name, &meta)?;
        let segment_entries = connection
            .query_row("SELECT count(*) FROM entries", [], |row| row.get::<_, i64>(0))
            .map_err(read)?
            .unsigned_abs();
        let (head, link, at) = match last {
            Some(last) => (Head { position: last.head.last, hash: last.hash }, last.hash, last.head.at),
            None => {
                let at = before.map_or(Timestamp::default(), |before| before.head.at);
                (Head { position: Position(first.0 - 1), hash: meta.previous }, meta.anchor(), at)
            }
        };
        let segments = Arc::new(RwLock::new(segments));
        Ok(Ledger {
            dir: dir.to_owned(),
            settings,
            connection,
            segment: name,
            meta,
            segment_entries,
            head,
            link,
            at,
            segments,
            wal_bytes: 0,
            failed: false,
            text: Vec::new(),
        })
    }

    pub fn head(&self) -> Head {
        self.head
    }

    pub fn incarnation(&self) -> Incarnation {
        self.meta.epochs.last().expect("a segment without incarnation is not opened").incarnation
    }

    /// Lives of the ledger, oldest first; ops keep the incarnation of their position.
    pub fn epochs(&self) -> &[Epoch] {
        &self.meta.epochs
    }

    /// Key of the MACs by which request keys and bodies are known.
    pub fn mac_key(&self) -> Secret {
        Secret::new(self.meta.mac_key.to_vec())
    }

    /// For readers on other threads; sees new segments as they begin.
    pub fn reader(&self) -> LedgerReader {
        LedgerReader::new(self.dir.clone(), self.segments.clone())
    }

    /// Hash of the batch that ends at `position`; `None` when none does. For snapshots: theirs must be the same.
    pub fn hash_at(&self, position: Position) -> Result<Option<Hash>, LedgerError> {
        self.reader().hash_at(position)
    }

    /// Moves the WAL into the file and notes how far the ledger came.
    pub fn close(self) -> Result<(), LedgerError> {
        segment::checkpoint(&self.connection, "TRUNCATE").map_err(|error| LedgerError::write(&self.segment, error))?;
        self.note_head()?;
        self.connection.close().map_err(|(_, error)| LedgerError::write(&self.segment, error))
    }

    /// Begins a new life: a new incarnation and positions from `last + jump` on, so that no op id ever repeats.
    pub(super) fn begin_epoch(&mut self, jump: u64) -> Result<Incarnation, LedgerError> {
        if self.segment_entries == 0 {
            self.reserve(1)?;
        }
        let incarnation = new_incarnation()?;
        let mut epochs = self.meta.epochs.clone();
        epochs.push(Epoch { from: self.head.position.next(), incarnation });
        self.begin_segment(epochs)?;
        self.reserve(jump)?;
        self.note_head()?;
        Ok(incarnation)
    }

    /// One batch of reservations that cover `count` positions.
    fn reserve(&mut self, mut count: u64) -> Result<(), LedgerError> {
        let mut batch = Batch { at: self.at, entries: Vec::new(), replies: Vec::new() };
        let mut position = self.head.position.next();
        while count > 0 {
            let part = u32::try_from(count).unwrap_or(u32::MAX);
            batch.entries.push(Entry { position, at: self.at, what: What::Reserve { count: part } });
            position = position.plus(u64::from(part));
            count -= u64::from(part);
        }
        self.append(&batch)
    }

    /// Ends the segment and begins the next. The caller notes the head when what it does is whole.
    fn begin_segment(&mut self, epochs: Vec<Epoch>) -> Result<(), LedgerError> {
        let write = |error| LedgerError::write(&self.segment, error);
        segment::checkpoint(&self.connection, "TRUNCATE").map_err(write)?;
        let first = self.head.position.next();
        let meta = Meta { first, previous: self.head.hash, mac_key: self.meta.mac_key, epochs };
        segment::create(&self.dir, &meta)?;
        let name = segment::file_name(first);
        self.connection = segment::open_writer(&self.dir.join(&name), &self.settings)
            .map_err(|error| LedgerError::write(&name, error))?;
        self.segment = name;
        self.link = meta.anchor();
        self.meta = meta;
        self.segment_entries = 0;
        self.wal_bytes = 0;
        self.segments.write().unwrap_or_else(PoisonError::into_inner).push(first);
        Ok(())
    }

    fn note_head(&self) -> Result<(), LedgerError> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner).clone();
        let said = HeadFile { format: segment::FORMAT, segments, reached: self.head };
        let path = self.dir.join(HEAD_FILE);
        let text = serde_json::to_vec_pretty(&said).expect("a head record is plain data");
        files::write_whole(&path, &text).map_err(LedgerError::file("cannot write", &path))
    }

    fn check_reached(&self, reached: &Head) -> Result<(), LedgerError> {
        if reached.position == Position::ZERO {
            return Ok(());
        }
        if reached.position > self.head.position {
            let found = format!("{} positions; it had reached {}", self.head.position, reached.position);
            return Err(LedgerError::Lost { dir: self.dir.clone(), found });
        }
        match self.hash_at(reached.position)? {
            Some(hash) if hash == reached.hash => Ok(()),
            _ => {
                Err(segment::damage(HEAD_FILE, None, format!("the batch that ends at {} is another", reached.position)))
            }
        }
    }

    /// Rows of one batch; returns the batch's hash.
    fn insert(&mut self, batch: &Batch, first: Position, last: Position) -> Result<Hash, rusqlite::Error> {
        let head = BatchHead { first, last, at: batch.at, previous: self.link };
        let mut hasher = BatchHasher::new(&head);
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let mut insert =
                transaction.prepare_cached("INSERT INTO entries(position, at, body) VALUES (?1, ?2, ?3)")?;
            for entry in &batch.entries {
                self.text.clear();
                serde_json::to_writer(&mut self.text, &entry.what)
                    .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
                let text = std::str::from_utf8(&self.text)?;
                hasher.entry(entry.position, entry.at, text.as_bytes());
                insert.execute(params![sql(entry.position), entry.at.0, text])?;
                self.wal_bytes += text.len() as u64;
            }
            let mut insert =
                transaction.prepare_cached("INSERT INTO replies(position, status, body) VALUES (?1, ?2, ?3)")?;
            let mut replies: Vec<_> = batch.replies.iter().collect();
            replies.sort_by_key(|reply| reply.entry);
            for reply in replies {
                hasher.reply(reply.entry, reply.status, &reply.body);
                insert.execute(params![sql(reply.entry), reply.status, &reply.body[..]])?;
                self.wal_bytes += reply.body.len() as u64;
            }
        }
        let hash = hasher.finish();
        transaction
            .prepare_cached("INSERT INTO batches(first, last, at, hash, previous) VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![sql(first), sql(last), batch.at.0, hash.0, head.previous.0])?;
        transaction.commit()?;
        Ok(hash)
    }
}

impl LedgerStore for Ledger {
    fn append(&mut self, batch: &Batch) -> Result<(), LedgerError> {
        if self.failed {
            return Err(LedgerError::Stopped);
        }
        let Some((first, last)) = batch.entries.first().zip(batch.entries.last()) else { return Ok(()) };
        let (first, last) = (first.position, last.last());
        check_order(batch, self.head.position.next())?;
        match self.insert(batch, first, last) {
            Ok(hash) => {
                self.head = Head { position: last, hash };
                self.link = hash;
                self.at = batch.at;
                self.segment_entries += batch.entries.len() as u64;
                self.wal_bytes += COMMIT_BYTES;
                Ok(())
            }
            Err(error) => {
                self.failed = true;
                Err(LedgerError::write(&self.segment, error))
            }
        }
    }

    fn tidy(&mut self) -> Result<(), LedgerError> {
        if self.segment_entries >= self.settings.segment_entries_max {
            let begun = self.begin_segment(self.meta.epochs.clone()).and_then(|()| self.note_head());
            return begun.inspect_err(|_| self.failed = true);
        }
        if self.wal_bytes < self.settings.checkpoint_bytes {
            return Ok(());
        }
        // A reader in the middle of a page can leave a rest; the next checkpoint takes it.
        self.wal_bytes = 0;
        if let Err(error) = segment::checkpoint(&self.connection, "PASSIVE") {
            self.failed = true;
            return Err(LedgerError::write(&self.segment, error));
        }
        Ok(())
    }

    fn position(&self) -> Position {
        self.head.position
    }

    fn at(&self) -> Timestamp {
        self.at
    }
}

fn check_order(batch: &Batch, mut expected: Position) -> Result<(), LedgerError> {
    if batch.entries.len() > ENTRIES_MAX {
        return Err(LedgerError::TooLarge { entries: batch.entries.len(), max: ENTRIES_MAX });
    }
    for entry in &batch.entries {
        if entry.position != expected || entry.last() > Position::MAX {
            return Err(LedgerError::OutOfOrder { expected, found: entry.position });
        }
        expected = entry.last().next();
    }
    Ok(())
}

/// The last batch of an open segment, with its hash and its link recomputed.
fn last_of(connection: &Connection, name: &str, meta: &Meta) -> Result<Option<StoredBatch>, LedgerError> {
    let read = |error| LedgerError::read(name, error);
    let Some(last) = segment::batch_before(connection, Position::MAX).map_err(read)? else { return Ok(None) };
    let before = segment::batch_before(connection, Position(last.head.first.0 - 1)).map_err(read)?;
    let previous = before.map_or(meta.anchor(), |before| before.hash);
    if last.head.previous != previous {
        return Err(segment::damage(name, Some(last.head.first), "it does not continue the batch before it"));
    }
    if segment::rehash(connection, &last.head).map_err(read)? != last.hash {
        return Err(segment::damage(name, Some(last.head.first), "the hash does not match what the batch holds"));
    }
    Ok(Some(last))
}

fn last_of_closed(dir: &Path, first: Position) -> Result<StoredBatch, LedgerError> {
    let name = segment::file_name(first);
    let connection = segment::open_reader(&dir.join(&name)).map_err(|error| LedgerError::read(&name, error))?;
    let meta = segment::read_meta(&connection, &name)?;
    last_of(&connection, &name, &meta)?.ok_or_else(|| segment::damage(&name, None, "it ended without a batch"))
}

fn new_meta() -> Result<Meta, LedgerError> {
    let mut mac_key = [0u8; 32];
    random(&mut mac_key)?;
    let epochs = vec![Epoch { from: Position(1), incarnation: new_incarnation()? }];
    Ok(Meta { first: Position(1), previous: Hash::default(), mac_key, epochs })
}

fn new_incarnation() -> Result<Incarnation, LedgerError> {
    let mut bytes = [0u8; 8];
    random(&mut bytes)?;
    Ok(Incarnation(u64::from_be_bytes(bytes)))
}

fn random(bytes: &mut [u8]) -> Result<(), LedgerError> {
    SystemRandom::new().fill(bytes).map_err(|_| LedgerError::File {
        doing: "cannot draw random numbers for",
        path: PathBuf::from(HEAD_FILE),
        source: std::io::Error::other("the system's random generator failed"),
    })
}
