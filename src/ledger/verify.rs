//! `slotbridge ledger verify`: recomputes every hash of every segment and names the first damage.

use std::path::Path;

use super::segment::{self, Epoch, Meta};
use super::sqlite::{HEAD_FILE, HeadFile};
use super::walk::{self, Counts, Link};
use super::{Damage, Head, LedgerError};
use crate::domain::{Position, Timestamp};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    pub segments: usize,
    pub batches: u64,
    pub entries: u64,
    pub replies: u64,
    /// First position that is still kept.
    pub first: Position,
    /// The last batch that is whole.
    pub head: Head,
    pub at: Timestamp,
    pub epochs: Vec<Epoch>,
    /// Nothing after it was looked at.
    pub damage: Option<Damage>,
}

/// Reads the whole ledger in `dir`. Damage is a finding, not an error; `Err` means that it could not be looked at.
pub fn verify(dir: &Path) -> Result<Report, LedgerError> {
    let said = match HeadFile::read(dir) {
        Err(LedgerError::Damaged(damage)) => return Ok(Report { damage: Some(damage), ..Report::default() }),
        other => other?,
    };
    let mut report = verify_segments(dir, said.as_ref())?;
    if said.is_none() && report.damage.is_none() && report.batches > 0 {
        let (segment, what) = (HEAD_FILE.to_owned(), "the file is missing".to_owned());
        report.damage = Some(Damage { segment, batch: None, position: None, what });
    }
    Ok(report)
}

/// As `verify`, against what a HEAD says that may be elsewhere or nowhere.
pub(super) fn verify_segments(dir: &Path, said: Option<&HeadFile>) -> Result<Report, LedgerError> {
    let segments = segment::list(dir)?;
    let first = segments.first().copied().unwrap_or_default();
    let mut report = Report { first, ..Report::default() };
    match look(dir, &segments, said, &mut report) {
        Err(LedgerError::Damaged(damage)) => report.damage = Some(damage),
        other => other?,
    }
    Ok(report)
}

fn look(dir: &Path, segments: &[Position], said: Option<&HeadFile>, report: &mut Report) -> Result<(), LedgerError> {
    if let Some(missing) = said.and_then(|said| absent(said, segments)) {
        return Err(segment::damage(&segment::file_name(missing), None, "the segment is missing"));
    }
    let mut reached = said.is_none_or(|said| said.reached.position == Position::ZERO);
    let mut before: Option<(Meta, Link)> = None;
    for first in segments {
        let name = segment::file_name(*first);
        let connection = segment::open_reader(&dir.join(&name)).map_err(|error| LedgerError::read(&name, error))?;
        let meta = segment::read_meta(&connection, &name)?;
        let mut link = walk::enter(&meta, &name, before.as_ref())?;
        let counts = walk::segment(&connection, &name, &mut link, &mut |_| ())?;
        if let Some(said) = said {
            reached = reached || holds(&connection, &said.reached).map_err(|error| LedgerError::read(&name, error))?;
        }
        add(report, &meta, &link, counts);
        before = Some((meta, link));
    }
    match said {
        Some(said) if !reached => {
            let what = format!("the batch that ended at {} is missing or another", said.reached.position);
            Err(segment::damage(HEAD_FILE, None, what))
        }
        _ => Ok(()),
    }
}

fn absent(said: &HeadFile, segments: &[Position]) -> Option<Position> {
    said.segments.iter().find(|first| !segments.contains(first)).copied()
}

/// Is there a batch that ends at the head, with its hash?
fn holds(connection: &rusqlite::Connection, head: &Head) -> Result<bool, rusqlite::Error> {
    let batch = segment::batch_before(connection, head.position)?;
    Ok(batch.is_some_and(|batch| batch.head.last == head.position && batch.hash == head.hash))
}

fn add(report: &mut Report, meta: &Meta, link: &Link, counts: Counts) {
    report.segments += 1;
    report.batches += counts.batches;
    report.entries += counts.entries;
    report.replies += counts.replies;
    report.head = link.head;
    report.at = link.at;
    report.epochs.clone_from(&meta.epochs);
}
