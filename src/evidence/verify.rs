//! What is wrong with a log, record by record. Needs only the file, and for what a file cannot prove about itself,
//! heads that somebody kept.
//!
//! Whoever can write the file can cut its end and set the head back, or begin another history and compute every hash
//! anew. Against that stand signed heads: those in the file, and those that partners or officers have.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use rusqlite::Connection;

use super::entry::{Deleted, Entry};
use super::note::{Checkpoint, NoteError, Verifier};
use super::store::{Row, checkpoints, frontier, reading, walk};
use super::tree::{Frontier, Hash};
use super::{EvidenceError, Head};

/// Findings that a report lists.
const DAMAGE_MAX: usize = 100;

/// What is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    /// The content does not fit the hash.
    Edited { index: u64 },
    /// The row is not there, and later ones are.
    Missing { index: u64 },
    /// Whole in itself, and not what stood there: entries were moved, dropped, added or exchanged from here on.
    Moved { index: u64 },
    /// What stands beside the content to find it by does not fit it.
    Misfiled { index: u64 },
    /// The content is gone, and no deletion says so.
    Unexplained { index: u64 },
    /// A deletion says that the content is gone, and there is one.
    Undeleted { index: u64 },
    /// A deletion entry states another number than its runs have, or runs that were not yet written.
    Deletion { index: u64 },
    /// The log ends before its head.
    Truncated { has: u64, head: u64 },
    /// Entries beyond the head.
    Beyond { has: u64, head: u64 },
    /// The head is not that of the entries, or not one at all.
    Head,
    /// A signed head knows more entries than there are.
    Shorter { has: u64, checkpoint: u64 },
    /// A signed head is not a head of these entries.
    History { checkpoint: u64 },
    /// A signed head that cannot be believed.
    Checkpoint { checkpoint: u64, why: NoteError },
}

impl Damage {
    pub fn code(&self) -> &'static str {
        match self {
            Damage::Edited { .. } => "edited",
            Damage::Missing { .. } => "missing",
            Damage::Moved { .. } => "moved",
            Damage::Misfiled { .. } => "misfiled",
            Damage::Unexplained { .. } => "content_missing",
            Damage::Undeleted { .. } => "undeleted",
            Damage::Deletion { .. } => "deletion_wrong",
            Damage::Truncated { .. } => "truncated",
            Damage::Beyond { .. } => "beyond_head",
            Damage::Head => "head",
            Damage::Shorter { .. } => "shorter_than_checkpoint",
            Damage::History { .. } => "other_history",
            Damage::Checkpoint { .. } => "checkpoint",
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Damage::Edited { index } => write!(f, "entry {index} was edited: its content does not fit its hash"),
            Damage::Missing { index } => write!(f, "entry {index} was dropped: its row is missing"),
            Damage::Moved { index } => write!(
                f,
                "entry {index} is not what stood there: entries were reordered, dropped or exchanged from here on"
            ),
            Damage::Misfiled { index } => write!(f, "entry {index} is filed under another kind or time than its own"),
            Damage::Unexplained { index } => {
                write!(f, "the content of entry {index} is gone, and no deletion by retention covers it")
            }
            Damage::Undeleted { index } => write!(f, "entry {index} has a content that retention had deleted"),
            Damage::Deletion { index } => write!(f, "the deletion of entry {index} does not add up"),
            Damage::Truncated { has, head } => write!(f, "the log was cut: {has} entries, its head says {head}"),
            Damage::Beyond { has, head } => write!(f, "{has} entries, and the head says {head}"),
            Damage::Head => f.write_str("the head is not that of the entries"),
            Damage::Shorter { has, checkpoint } => {
                write!(f, "the log was cut: {has} entries, and a signed checkpoint knows {checkpoint}")
            }
            Damage::History { checkpoint } => {
                write!(f, "the first {checkpoint} entries are not those of the checkpoint of that size")
            }
            Damage::Checkpoint { checkpoint, why } => write!(f, "checkpoint of {checkpoint} entries: {why}"),
        }
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Of the entries that are there.
    pub head: Head,
    /// Contents removed by retention, and the deletions that say so.
    pub deleted: u64,
    pub deletions: u64,
    /// Checkpoints that fit, those in the file included.
    pub checkpoints: u64,
    pub damage: Vec<Damage>,
    /// Was there a key to verify signatures with? Without one, checkpoints in the file are only as good as the file.
    pub is_signed: bool,
}

/// What a log is held against.
#[derive(Debug, Clone, Default)]
pub struct Against {
    /// Key of the log. Without it signatures are not looked at.
    pub key: Option<Verifier>,
    /// Heads that somebody kept.
    pub checkpoints: Vec<Checkpoint>,
    /// Whoever must have signed each of them as well.
    pub cosigners: Vec<Verifier>,
}

/// Reads the whole log.
pub fn examine(path: &Path, against: &Against) -> Result<Report, EvidenceError> {
    let file = reading(path)?;
    // One transaction: the writer may go on meanwhile.
    file.execute_batch("BEGIN DEFERRED")?;
    let mut walked = Walked { sizes: sizes(&file, against)?, ..Walked::default() };
    walked.sizes.insert(0);
    walked.passed(0);
    walk(&file, &mut |row| {
        walked.row(row);
        Ok(())
    })?;
    walked.deletions();
    walked.head(&file);
    let fitting = walked.checkpoints(&file, against)?;
    let Walked { found, deleted, mut damage, explained, .. } = walked;
    damage.truncate(DAMAGE_MAX);
    Ok(Report {
        head: Head { size: found.size(), root: found.root() },
        deleted: deleted.len() as u64,
        deletions: explained.len() as u64,
        checkpoints: fitting,
        damage,
        is_signed: against.key.is_some(),
    })
}

fn sizes(file: &Connection, against: &Against) -> Result<BTreeSet<u64>, EvidenceError> {
    let own = checkpoints(file)?;
    Ok(own.iter().map(|(size, _)| *size).chain(against.checkpoints.iter().map(|c| c.head.size)).collect())
}

#[derive(Default)]
struct Walked {
    found: Frontier,
    /// Rows that should have come before the present one and did not.
    next: u64,
    is_moved: bool,
    /// Sizes whose root is wanted, and the roots.
    sizes: BTreeSet<u64>,
    roots: BTreeMap<u64, Hash>,
    /// Leaves without content.
    deleted: BTreeSet<u64>,
    explained: Vec<(u64, Deleted)>,
    damage: Vec<Damage>,
}

impl Walked {
    fn say(&mut self, damage: Damage) {
        if self.damage.len() < DAMAGE_MAX {
            self.damage.push(damage);
        }
    }

    fn passed(&mut self, size: u64) {
        if self.sizes.contains(&size) {
            self.roots.insert(size, self.found.root());
        }
    }

    fn row(&mut self, row: Row) {
        let index = u64::try_from(row.seq).unwrap_or(u64::MAX);
        if index != self.next {
            let missing = self.next..index.min(self.next.saturating_add(DAMAGE_MAX as u64));
            missing.for_each(|index| self.say(Damage::Missing { index }));
            // What follows cannot fit any more, which has its reason already.
            self.is_moved = true;
        }
        self.next = index.saturating_add(1);
        self.found.push(row.hash);
        if !row.is_itself() {
            self.say(Damage::Edited { index });
        } else if !self.is_moved && row.root.is_some_and(|root| root != self.found.root()) {
            self.is_moved = true;
            self.say(Damage::Moved { index });
        }
        self.passed(self.found.size());
        match &row.content {
            None => {
                self.deleted.insert(index);
            }
            Some((content, _)) => self.content(index, content, row.kind),
        }
    }

    fn content(&mut self, index: u64, content: &str, filed: Option<(i64, Option<i64>)>) {
        let entry: Option<Entry> = serde_json::from_str(content).ok();
        // Later programs may write what this one cannot read: its hash fits all the same.
        let Some(entry) = entry else { return };
        if filed.is_some_and(|filed| filed != (i64::from(entry.kind() as u8), Some(entry.at().0))) {
            self.say(Damage::Misfiled { index });
        }
        if let Entry::Deleted { deleted } = entry {
            self.explained.push((index, deleted));
        }
    }

    /// Every leaf without content is in a deletion that was written after it, and none with content is.
    fn deletions(&mut self) {
        let mut covered: BTreeSet<u64> = BTreeSet::new();
        let size = self.found.size();
        for (index, deletion) in self.explained.clone() {
            let is_ordered = deletion.runs.iter().all(|(first, last)| first <= last && *last < index);
            let before = covered.len() as u64;
            for (first, last) in deletion.runs.iter().filter(|_| is_ordered) {
                covered.extend(*first..=(*last).min(size));
            }
            if !is_ordered || covered.len() as u64 - before != deletion.count {
                self.say(Damage::Deletion { index });
            }
        }
        let unexplained: Vec<u64> = self.deleted.difference(&covered).copied().collect();
        unexplained.into_iter().for_each(|index| self.say(Damage::Unexplained { index }));
        let undeleted: Vec<u64> = covered.difference(&self.deleted).copied().filter(|index| *index < size).collect();
        undeleted.into_iter().for_each(|index| self.say(Damage::Undeleted { index }));
    }

    fn head(&mut self, file: &Connection) {
        let has = self.found.size();
        match frontier(file) {
            Ok(stated) if stated == self.found => {}
            Ok(stated) if stated.size() > has => self.say(Damage::Truncated { has, head: stated.size() }),
            Ok(stated) if stated.size() < has => self.say(Damage::Beyond { has, head: stated.size() }),
            Ok(_) | Err(_) => self.say(Damage::Head),
        }
    }

    /// How many of the signed heads fit.
    fn checkpoints(&mut self, file: &Connection, against: &Against) -> Result<u64, EvidenceError> {
        let mut fitting = 0;
        for (size, text) in checkpoints(file)? {
            let parsed = Checkpoint::parse(text.as_bytes());
            let parsed = parsed.and_then(|checkpoint| match checkpoint.head.size == size {
                true => Ok(checkpoint),
                false => Err(NoteError::Shape { what: "kept under another size" }),
            });
            match parsed {
                // A key that was replaced since signed older ones: only a signature of this key that is wrong counts.
                Ok(checkpoint) => match against.key.as_ref().map(|key| checkpoint.verify_log(key)) {
                    Some(Err(why @ NoteError::Signature { .. })) => {
                        self.say(Damage::Checkpoint { checkpoint: size, why })
                    }
                    _ => fitting += u64::from(self.fits(&checkpoint)),
                },
                Err(why) => self.say(Damage::Checkpoint { checkpoint: size, why }),
            }
        }
        for checkpoint in &against.checkpoints {
            let signed = against.key.iter().try_for_each(|key| checkpoint.verify_log(key));
            let signed = signed.and_then(|()| against.cosigners.iter().try_for_each(|by| checkpoint.verify(by)));
            match signed {
                Ok(()) => fitting += u64::from(self.fits(checkpoint)),
                Err(why) => self.say(Damage::Checkpoint { checkpoint: checkpoint.head.size, why }),
            }
        }
        Ok(fitting)
    }

    fn fits(&mut self, checkpoint: &Checkpoint) -> bool {
        let (has, size) = (self.found.size(), checkpoint.head.size);
        match self.roots.get(&size) {
            None => self.say(Damage::Shorter { has, checkpoint: size }),
            Some(root) if *root == checkpoint.head.root => return true,
            Some(_) => self.say(Damage::History { checkpoint: size }),
        }
        false
    }
}
