//! Ports between the one writer (desk, committer, ledger) and everyone who reads after durability.
//!
//! Owns no data. Invariant: whatever passes here is durable already; positions ascend from call to call.

use std::sync::Arc;

use bytes::Bytes;

use crate::decide::{After, Entry};
use crate::domain::{PartnerId, Position, Timestamp, Touched};

pub use crate::decide::KnownKey;

/// A reply as stored and replayed bit for bit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredReply {
    /// Entry that the reply belongs to.
    pub entry: Position,
    pub status: u16,
    pub body: Bytes,
}

/// One batch, durable as a whole.
#[derive(Debug, Clone)]
pub struct Durable {
    pub first: Position,
    pub last: Position,
    pub at: Timestamp,
    /// Every slot, booking and item that the batch touched, each once, in order of position.
    pub touched: Vec<Touched>,
    /// Request keys that became known.
    pub keys: Vec<KnownKey>,
}

/// Someone who must see every durable batch, in order. Called on the committer's thread: hand over and return.
pub trait Consumer: Send {
    fn durable(&mut self, batch: &Arc<Durable>);
}

/// Reads entries of the durable ledger.
pub trait EntryLog: Send + Sync {
    /// Entries after `after`, ascending, at most `max`.
    fn entries_after(&self, after: Position, max: usize) -> Result<Vec<Entry>, ReadFailed>;
}

/// Reads stored replies of the durable ledger.
pub trait Replies: Send + Sync {
    fn reply(&self, entry: Position) -> Result<Option<StoredReply>, ReadFailed>;
}

#[derive(Debug, thiserror::Error)]
#[error("the ledger could not be read: {cause}")]
pub struct ReadFailed {
    pub cause: String,
}

/// Turns an outcome into the status and body that a partner gets. Deterministic: the same outcome under the same
/// mappings gives the same bytes. Called between `step` and append; the bytes are stored and replayed for ever.
pub trait Render: Send {
    fn render(&self, partner: &PartnerId, outcome: &crate::decide::Outcome) -> Rendered;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    pub status: u16,
    pub body: Bytes,
}

/// How the committer answers whoever submitted an event.
#[derive(Debug, Clone)]
pub enum Answer {
    /// To a partner's request. `durable` is the position the ledger has reached, `replay_of` names a stored reply to be read.
    Reply {
        status: u16,
        body: Bytes,
        entry: Option<Position>,
        durable: Position,
        replay_of: Option<Position>,
    },
    Facts {
        first: Position,
        count: u32,
    },
    Reserved {
        first: Position,
        count: u32,
    },
    Claimed {
        ops: Vec<crate::decide::Given>,
    },
    /// So many units are free still or on their way back.
    GivenBack {
        left: u64,
    },
    Fenced {
        agreement: crate::decide::Agreement,
    },
    /// Nothing to tell beyond: it is durable.
    Done {
        durable: Position,
    },
    /// The ledger could not be written; the process is about to exit.
    NotDurable,
}

/// The answer that an `After` leads to, without what only the committer knows.
pub fn ticket_of(after: &After) -> Option<u64> {
    match after {
        After::Reply { ticket, .. }
        | After::FactsTaken { ticket, .. }
        | After::Reserved { ticket, .. }
        | After::Claimed { ticket, .. }
        | After::GivenBack { ticket, .. }
        | After::Fenced { ticket, .. } => Some(*ticket),
        After::OpsWaiting => None,
    }
}

/// One event on its way to the desk.
#[derive(Debug)]
pub struct Submission {
    pub event: crate::decide::Event,
    /// Where the answer goes; nobody waits for a tick's.
    pub answer: Option<tokio::sync::oneshot::Sender<Answer>>,
}
