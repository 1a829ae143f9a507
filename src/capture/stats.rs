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
    Persons,
}

impl Poll {
    pub fn code(self) -> &'static str {
        match self {
            Poll::Full => "full",
            Poll::Fast => "fast",
            Poll::Sweep => "sweep",
            Poll::Hot => "hot",
            Poll::Persons => "persons",
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
    /// How long the latest took, reading to durable.
    pub last_ms: u64,
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
}

const BAD_KEPT_MAX: usize = 100;

impl Stats {
    pub(super) fn tally(&mut self, poll: Poll, object: &ObjectName, tally: Tally) {
        let stats = self.polls.entry(poll).or_default();
        stats.rows += tally.rows;
        if tally.bad > 0 {
            *self.bad_rows.entry(object.clone()).or_default() += tally.bad;
        }
        if tally.blanked > 0 {
            *self.blanked_values.entry(object.clone()).or_default() += tally.blanked;
        }
    }

    pub(super) fn bad(&mut self, object: &ObjectName, bad: BadRow) {
        if self.bad_latest.len() >= BAD_KEPT_MAX {
            self.bad_latest.pop_front();
        }
        self.bad_latest.push_back((object.clone(), bad));
    }
}
