//! Bookings that were acknowledged and are not in the legacy system yet, by slot: what script 94 must leave standing.
//!
//! Read from the ledger's files, so it works beside a running daemon and on the folder of one that will not start.

use crate::decide::{Desk, Policy, ReplayError, Snapshot};
use crate::domain::{Position, SlotKey, Touched};
use crate::ledger::{LedgerError, LedgerReader, snapshot};

use super::files::Files;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unapplied {
    /// The ledger was read up to here.
    pub position: Position,
    /// What a heartbeat at this position states.
    pub unapplied: u64,
    pub free_units: u64,
    /// Units sold and not yet converted, by slot; no slot with none.
    pub slots: Vec<(SlotKey, u32)>,
}

#[derive(Debug, thiserror::Error)]
pub enum UnappliedFailed {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("the ledger's entries do not follow from each other")]
    Replay(#[from] ReplayError),
}

/// Replays outcomes without facts: units are a matter of entries alone.
pub fn unapplied(files: &Files) -> Result<Unapplied, UnappliedFailed> {
    let reader = LedgerReader::open(&files.ledger)?;
    let loaded = snapshot::load::<Snapshot>(&files.snapshots, |header| {
        Ok(reader.hash_at(header.head.position)? == Some(header.head.hash))
    })?;
    let (head, state) = loaded.found.map_or((None, None), |(header, state)| (Some(header.head), Some(state)));
    let replayed =
        reader.replay(head, |entries| Desk::replay(Policy::default(), state, std::iter::empty(), entries))?;
    let (desk, reached) = replayed;
    let mut desk = desk?;
    let totals = desk.totals();
    let slots = desk.everything().0.into_iter().filter_map(|touched| match touched {
        Touched::SlotGone(key, _) => Some(key),
        Touched::Slot(view) => Some(view.key.clone()),
        _ => None,
    });
    let slots: Vec<SlotKey> = slots.collect();
    let sold = slots.into_iter().filter_map(|key| {
        let units = desk.units(&key)?.booked;
        (units > 0).then_some((key, units))
    });
    let mut slots: Vec<(SlotKey, u32)> = sold.collect();
    slots.sort();
    Ok(Unapplied { position: reached.position, unapplied: totals.unapplied, free_units: totals.free, slots })
}
