//! A simulated disk: batches that were synced, and faults at the sync.

use std::sync::{Arc, Mutex};

use slotbridge::decide::Entry;
use slotbridge::domain::{Position, Timestamp};
use slotbridge::durable::StoredReply;
use slotbridge::ledger::{Batch, LedgerError, LedgerStore};

#[derive(Default)]
pub struct Platter {
    pub entries: Vec<Entry>,
    pub replies: Vec<StoredReply>,
    /// What the next append does.
    pub fault: Option<Fault>,
    pub forget_next: bool,
}

impl Platter {
    pub fn disarm(&mut self) {
        self.fault = None;
        self.forget_next = false;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The sync fails and nothing of the batch survives.
    LostBatch,
    /// The sync fails, yet the batch is there after the restart.
    LostReply,
}

#[derive(Clone, Default)]
pub struct Disk(pub Arc<Mutex<Platter>>);

impl LedgerStore for Disk {
    fn append(&mut self, batch: &Batch) -> Result<(), LedgerError> {
        let mut platter = self.0.lock().unwrap();
        let fault = platter.fault.take();
        let forgotten = std::mem::take(&mut platter.forget_next);
        if fault != Some(Fault::LostBatch) && !forgotten {
            platter.entries.extend(batch.entries.iter().cloned());
            platter.replies.extend(batch.replies.iter().cloned());
        }
        if fault.is_some() { Err(LedgerError::Stopped) } else { Ok(()) }
    }

    fn position(&self) -> Position {
        self.0.lock().unwrap().entries.last().map_or(Position::ZERO, Entry::last)
    }

    fn at(&self) -> Timestamp {
        self.0.lock().unwrap().entries.last().map_or(Timestamp(0), |entry| entry.at)
    }
}

impl Disk {
    pub fn entries(&self) -> Vec<Entry> {
        self.0.lock().unwrap().entries.clone()
    }

    pub fn reply(&self, entry: Position) -> Option<StoredReply> {
        self.0.lock().unwrap().replies.iter().find(|reply| reply.entry == entry).cloned()
    }
}
