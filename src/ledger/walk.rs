//! Reads batches in order and recomputes everything: positions, times, links and hashes. Replay and `verify` share it.

use std::sync::mpsc;

use rusqlite::fallible_streaming_iterator::FallibleStreamingIterator;
use rusqlite::{Connection, Rows};

use super::chain::{BatchHasher, Hash};
use super::error::Damage;
use super::reader::entry_of;
use super::segment::{self, Meta, StoredBatch, batch_of, damage, position, sql};
use super::{Head, LedgerError, LedgerReader};
use crate::decide::Entry;
use crate::domain::{Position, Timestamp};

/// What the next batch must continue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    pub next: Position,
    pub hash: Hash,
    pub at: Timestamp,
    /// The last batch that was read.
    pub head: Head,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub batches: u64,
    pub entries: u64,
    pub replies: u64,
}

/// Goes from the end of one segment to the beginning of the next.
pub(super) fn enter(meta: &Meta, name: &str, before: Option<&(Meta, Link)>) -> Result<Link, LedgerError> {
    let head = Head { position: Position(meta.first.0.saturating_sub(1)), hash: meta.previous };
    let mut link = Link { next: meta.first, hash: meta.anchor(), at: Timestamp(i64::MIN), head };
    let Some((meta_before, end)) = before else { return Ok(link) };
    if meta.first != end.next {
        let what = format!("it begins at {}, but {} is next: a segment is missing or cut short", meta.first, end.next);
        return Err(damage(name, None, what));
    }
    if meta.previous != end.head.hash {
        return Err(damage(name, None, "it does not continue the segment before it"));
    }
    let added = meta.epochs.strip_prefix(meta_before.epochs.as_slice());
    if meta.mac_key != meta_before.mac_key || added.is_none_or(|added| added.iter().any(|a| a.from != meta.first)) {
        return Err(damage(name, None, "its first record contradicts the segment before it"));
    }
    link.at = end.at;
    Ok(link)
}

/// Reads the batches of one segment from `link.next` on, in one view of the database.
pub(super) fn segment(
    connection: &Connection,
    name: &str,
    link: &mut Link,
    visit: &mut dyn FnMut(Entry),
) -> Result<Counts, LedgerError> {
    let read = |error| LedgerError::read(name, error);
    let transaction = connection.unchecked_transaction().map_err(read)?;
    let from = [sql(link.next)];
    let prepare = |text| transaction.prepare(text).map_err(read);
    let mut batches = prepare("SELECT first, last, at, hash, previous FROM batches WHERE first >= ?1 ORDER BY first")?;
    let mut entries = prepare("SELECT position, at, body FROM entries WHERE position >= ?1 ORDER BY position")?;
    let mut replies = prepare("SELECT position, status, body FROM replies WHERE position >= ?1 ORDER BY position")?;
    let mut batches = batches.query(from).map_err(read)?;
    let mut walk = Walk {
        name,
        batch: None,
        entries: entries.query(from).map_err(read)?,
        replies: replies.query(from).map_err(read)?,
        visit,
        counts: Counts::default(),
    };
    walk.entries.advance().map_err(read)?;
    walk.replies.advance().map_err(read)?;
    loop {
        // The batch that should come: the place to name when its own row cannot be read.
        walk.batch = Some(link.next);
        let failed = |error| walk.at(None, LedgerError::read(name, error));
        let Some(row) = batches.next().map_err(failed)? else { break };
        let batch = batch_of(row).map_err(failed)?;
        walk.batch(&batch, link)?;
    }
    walk.end()?;
    Ok(walk.counts)
}

/// Cursors over the three tables. Those over entries and replies stand on the first row not read yet.
struct Walk<'a, 'v> {
    name: &'a str,
    /// First position of the batch that is read.
    batch: Option<Position>,
    entries: Rows<'a>,
    replies: Rows<'a>,
    visit: &'v mut dyn FnMut(Entry),
    counts: Counts,
}

impl Walk<'_, '_> {
    fn batch(&mut self, batch: &StoredBatch, link: &mut Link) -> Result<(), LedgerError> {
        let head = &batch.head;
        self.batch = Some(head.first);
        if head.first != link.next {
            let what = format!("it begins at {}, but {} is next", head.first, link.next);
            return Err(self.damaged(Some(link.next), what));
        }
        if head.previous != link.hash {
            return Err(self.damaged(None, "it does not continue the batch before it"));
        }
        if head.at < link.at {
            return Err(self.damaged(None, "its time lies before the batch before it"));
        }
        let mut hasher = BatchHasher::new(head);
        let positions = self.entries(batch, link.at, &mut hasher)?;
        self.replies(batch, &positions, &mut hasher)?;
        if hasher.finish() != batch.hash {
            let what = format!("the hash does not match what positions {} to {} hold", head.first, head.last);
            return Err(self.damaged(None, what));
        }
        self.counts.batches += 1;
        self.counts.entries += positions.len() as u64;
        *link = Link {
            next: head.last.next(),
            hash: batch.hash,
            at: head.at,
            head: Head { position: head.last, hash: batch.hash },
        };
        Ok(())
    }

    fn entries(
        &mut self,
        batch: &StoredBatch,
        mut at: Timestamp,
        hasher: &mut BatchHasher,
    ) -> Result<Vec<Position>, LedgerError> {
        let (mut next, last) = (batch.head.first, batch.head.last);
        let mut positions = Vec::new();
        while next <= last {
            let Some(row) = self.entries.get() else { return Err(self.damaged(Some(next), "the entry is missing")) };
            let found = position(row, 0).map_err(|error| self.at(Some(next), LedgerError::read(self.name, error)))?;
            if found != next {
                return Err(self.damaged(Some(next), format!("the entry is missing; {found} comes instead")));
            }
            let failed = |error| self.at(Some(next), LedgerError::read(self.name, error));
            let entry = entry_of(row).map_err(failed)?;
            let body = row.get_ref(2).and_then(|body| Ok(body.as_bytes()?)).map_err(failed)?;
            if entry.at < at || entry.at > batch.head.at {
                return Err(self.damaged(Some(next), "its time does not lie between its neighbours"));
            }
            hasher.entry(entry.position, entry.at, body);
            positions.push(next);
            at = entry.at;
            next = entry.last().next();
            (self.visit)(entry);
            let moved = self.entries.advance();
            moved.map_err(|error| self.at(Some(next), LedgerError::read(self.name, error)))?;
        }
        if next != last.next() {
            return Err(self.damaged(Some(next), "an entry covers positions beyond its batch"));
        }
        Ok(positions)
    }

    fn replies(
        &mut self,
        batch: &StoredBatch,
        entries: &[Position],
        hasher: &mut BatchHasher,
    ) -> Result<(), LedgerError> {
        while let Some(row) = self.replies.get() {
            let failed = |error| self.at(None, LedgerError::read(self.name, error));
            let entry = position(row, 0).map_err(failed)?;
            if entry > batch.head.last {
                break;
            }
            if entries.binary_search(&entry).is_err() {
                return Err(self.damaged(Some(entry), "a reply belongs to no entry"));
            }
            let status: u16 = row.get(1).map_err(failed)?;
            let body = row.get_ref(2).and_then(|body| Ok(body.as_bytes()?)).map_err(failed)?;
            hasher.reply(entry, status, body);
            self.counts.replies += 1;
            let moved = self.replies.advance();
            moved.map_err(|error| self.at(Some(entry), LedgerError::read(self.name, error)))?;
        }
        Ok(())
    }

    /// After the last batch nothing may be left.
    fn end(&mut self) -> Result<(), LedgerError> {
        self.batch = None;
        let left = |row: &rusqlite::Row<'_>| position(row, 0).unwrap_or(Position::MAX);
        if let Some(row) = self.entries.get() {
            return Err(self.damaged(Some(left(row)), "an entry belongs to no batch"));
        }
        if let Some(row) = self.replies.get() {
            return Err(self.damaged(Some(left(row)), "a reply belongs to no batch"));
        }
        Ok(())
    }

    fn damaged(&self, position: Option<Position>, what: impl Into<String>) -> LedgerError {
        let segment = self.name.to_owned();
        LedgerError::Damaged(Damage { segment, batch: self.batch, position, what: what.into() })
    }

    /// Names the place where reading failed.
    fn at(&self, position: Option<Position>, error: LedgerError) -> LedgerError {
        match error {
            LedgerError::Damaged(damage) => {
                LedgerError::Damaged(Damage { batch: damage.batch.or(self.batch), position, ..damage })
            }
            other => other,
        }
    }
}

/// Every entry after `after`, segment by segment. Returns the last batch.
pub(super) fn replay(
    reader: &LedgerReader,
    after: Option<Head>,
    visit: &mut dyn FnMut(Entry),
) -> Result<Head, LedgerError> {
    let from = after.map_or(Position(1), |head| head.position.next());
    let mut before: Option<(Meta, Link)> = None;
    for first in reader.segments_from(from) {
        let name = segment::file_name(first);
        let connection =
            segment::open_reader(&reader.dir().join(&name)).map_err(|error| LedgerError::read(&name, error))?;
        let meta = segment::read_meta(&connection, &name)?;
        let mut link = enter(&meta, &name, before.as_ref())?;
        if let (None, Some(head)) = (&before, after) {
            link = resume(&meta, &name, head)?;
        }
        if before.is_none() && link.next != from {
            let what = format!("positions {from} to {} are in no segment; a snapshot must cover them", link.next.0 - 1);
            return Err(damage(&name, None, what));
        }
        segment(&connection, &name, &mut link, visit)?;
        before = Some((meta, link));
    }
    Ok(before.map_or(after.unwrap_or_default(), |(_, end)| end.head))
}

/// Entries that a replay's reading thread may be ahead, in pieces of `PIECE`.
const PIECES_AHEAD: usize = 8;
const PIECE: usize = 4_096;

/// Reads and checks on a thread of its own while `build` takes the entries. What `build` made counts only if the
/// chain was whole to its end.
pub(super) fn replay_into<T>(
    reader: &LedgerReader,
    after: Option<Head>,
    build: impl FnOnce(&mut dyn Iterator<Item = Entry>) -> T,
) -> Result<(T, Head), LedgerError> {
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel::<Vec<Entry>>(PIECES_AHEAD);
        let reading = scope.spawn(move || {
            let mut piece = Vec::with_capacity(PIECE);
            let head = replay(reader, after, &mut |entry| {
                piece.push(entry);
                if piece.len() == PIECE {
                    // Nobody takes any more: `build` gave up, and what is read does not matter.
                    let _ = sender.send(std::mem::replace(&mut piece, Vec::with_capacity(PIECE)));
                }
            })?;
            let _ = sender.send(piece);
            Ok(head)
        });
        let mut entries = receiver.into_iter().flatten();
        let built = build(&mut entries);
        drop(entries);
        let head = reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok((built, head))
    })
}

/// Begins inside a segment, after the batch that ends at `head`.
fn resume(meta: &Meta, name: &str, head: Head) -> Result<Link, LedgerError> {
    let next = head.position.next();
    if next > meta.first {
        return Ok(Link { next, hash: head.hash, at: Timestamp(i64::MIN), head });
    }
    if next == meta.first && meta.previous != head.hash {
        return Err(damage(name, None, format!("it does not continue the batch that ends at {}", head.position)));
    }
    enter(meta, name, None)
}
