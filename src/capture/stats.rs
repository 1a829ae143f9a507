//! What capture did, in numbers. Reading only; nothing is decided by them.

use std::collections::{BTreeMap, VecDeque};

use super::convert::BadRow;
use super::stage::Tally;
use crate::domain::{ObjectName, Timestamp};

/// How rows were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Poll {
    Full,
    Fast,
    Sweep,
    Hot,
    Tail,
    Near,
    Far,
    Scn,
    Persons,
}

impl Poll {
    pub fn code(self) -> &'static str {
        match self {
            Poll::Full => "full",
            Poll::Fast => "fast",
            Poll::Sweep => "sweep",
            Poll::Hot => "hot",
            Poll::Tail => "pk_tail",
            Poll::Near => "window_near",
            Poll::Far => "window_far",
            Poll::Scn => "rowscn",
            Poll::Persons => "persons",
        }
    }

    /// Does a poll of this kind see every committed change of its object since the one before? Only then is the object
    /// as fresh as the poll. The ends of rows are seen by full cuts alone, whose age is stated beside.
    pub fn sees_all_changes(self) -> bool {
        match self {
            Poll::Full | Poll::Fast | Poll::Sweep | Poll::Scn | Poll::Persons => true,
            Poll::Hot | Poll::Tail | Poll::Near | Poll::Far => false,
        }
    }
}

/// Numbers of one kind of poll.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PollStats {
    pub polls: u64,
    pub failed: u64,
    pub rows: u64,
    pub changed: u64,
    pub gone: u64,
    /// Changes among these that a quicker poll of the object should have seen and did not.
    pub late: u64,
    /// How long the latest took, reading to durable.
    pub last_ms: u64,
}

impl PollStats {
    /// Rows read for each that had changed; all of them while none has.
    pub fn rows_per_change(&self) -> f64 {
        self.rows as f64 / (self.changed + self.gone).max(1) as f64
    }
}

/// A cut that was not believed: it would have ended too many rows at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedCut {
    pub object: ObjectName,
    pub at: Timestamp,
    /// Rows known before.
    pub live: u64,
    /// Rows of them that the cut did not have.
    pub lost: u64,
}

#[derive(Debug, Clone, Default)]
pub struct Stats {
    pub polls: BTreeMap<Poll, PollStats>,
    /// The same by object. `failed` and `last_ms` are of the poll as a whole.
    pub objects: BTreeMap<(Poll, ObjectName), PollStats>,
    pub refused_cuts: u64,
    pub bad_rows: BTreeMap<ObjectName, u64>,
    pub blanked_values: BTreeMap<ObjectName, u64>,
    /// The latest bad rows, oldest first.
    pub bad_latest: VecDeque<(ObjectName, BadRow)>,
    pub statements: u64,
    /// Facts that the desk has taken.
    pub facts: u64,
    pub persons: u64,
    pub ci_rows: u64,
    /// CIs that stood at two persons; the lower number keeps it.
    pub ci_twice: u64,
    /// Hints whose interval is raised because they look like scans of whole tables, and why.
    pub braked: BTreeMap<(Poll, ObjectName), &'static str>,
    /// Objects that are not polled because their view is not as declared, and how it differs.
    pub halted: BTreeMap<ObjectName, String>,
    /// Objects whose view is not as the catalogue says, fetched or not, and how: their feeds are held.
    pub drifted: BTreeMap<ObjectName, String>,
    /// Objects whose cut failed twice in a row because the undo did not reach back to its beginning.
    pub undo_too_short: Vec<ObjectName>,
    /// Pages of the person register that were read again in smaller pieces.
    pub pages_halved: u64,
    /// How far the connection that is read is behind the one that is written.
    pub read_lag_ms: u64,
    /// Further than is allowed.
    pub reads_lag: bool,
}

const BAD_KEPT_MAX: usize = 100;

impl Stats {
    pub(super) fn tally(&mut self, poll: Poll, object: &ObjectName, tally: Tally) {
        self.polls.entry(poll).or_default().rows += tally.rows;
        self.of(poll, object).rows += tally.rows;
        if tally.bad > 0 {
            *self.bad_rows.entry(object.clone()).or_default() += tally.bad;
        }
        if tally.blanked > 0 {
            *self.blanked_values.entry(object.clone()).or_default() += tally.blanked;
        }
    }

    pub(super) fn of(&mut self, poll: Poll, object: &ObjectName) -> &mut PollStats {
        self.objects.entry((poll, object.clone())).or_default()
    }

    pub(super) fn bad(&mut self, object: &ObjectName, bad: BadRow) {
        if self.bad_latest.len() >= BAD_KEPT_MAX {
            self.bad_latest.pop_front();
        }
        self.bad_latest.push_back((object.clone(), bad));
    }
}
