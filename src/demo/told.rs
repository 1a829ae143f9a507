//! Bookings as the ledger's entries tell them, read in a way of its own: nothing of the desk is used.

use std::collections::{BTreeMap, BTreeSet};

use crate::decide::{Entry, OpResult, Rejection, What};
use crate::domain::{BookingId, EndReason, PartnerId, PersonNo, Position, SeriesId, SlotKey};

/// A booking as the ledger's entries tell it.
#[derive(Debug, Clone)]
pub struct Told {
    pub partner: PartnerId,
    pub person: PersonNo,
    pub series: SeriesId,
    pub slot: SlotKey,
    /// The op that wrote it, or was to.
    pub op: Position,
    pub in_legacy: InLegacy,
    pub ended: Option<EndReason>,
    /// Converts that found the escrow eroded.
    eroded: u8,
}

/// So many converts of a booking may find the escrow eroded and are driven again; the next one ends it.
const ERODED_MAX: u8 = 3;

/// What the entries say that the legacy system holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InLegacy {
    /// The write-back has no outcome yet.
    Waiting,
    /// Never written.
    Absent,
    Active,
    Cancelled,
}

/// Applies the entries, in a way of its own: nothing of the desk is used.
pub fn replay(entries: &[Entry]) -> BTreeMap<BookingId, Told> {
    let mut bookings: BTreeMap<BookingId, Told> = BTreeMap::new();
    let mut cancels: BTreeMap<Position, BookingId> = BTreeMap::new();
    let mut again: BTreeMap<Position, BookingId> = BTreeMap::new();
    for entry in entries {
        match &entry.what {
            What::Booked(b) | What::Requested(b) => {
                let told = Told {
                    partner: b.partner.clone(),
                    person: b.person,
                    series: b.series.clone(),
                    slot: b.slot.clone(),
                    op: entry.position,
                    in_legacy: InLegacy::Waiting,
                    ended: None,
                    eroded: 0,
                };
                bookings.insert(BookingId(entry.position), told);
            }
            What::Cancelled { booking, coalesced } => {
                cancels.insert(entry.position, *booking);
                if let Some(told) = bookings.get_mut(booking) {
                    told.ended.get_or_insert(EndReason::PartnerCancelled);
                    if *coalesced {
                        told.in_legacy = InLegacy::Absent;
                    }
                }
            }
            What::Redriven { booking } => {
                again.insert(entry.position, *booking);
                if let Some(told) = bookings.get_mut(booking) {
                    let by_partner = told.ended == Some(EndReason::PartnerCancelled);
                    (told.op, told.in_legacy) = (entry.position, InLegacy::Waiting);
                    if told.ended.is_some() && !by_partner {
                        told.eroded = 0;
                    }
                    told.ended = told.ended.filter(|_| by_partner);
                }
            }
            What::Displaced { booking, reason, cancel } => {
                cancels.insert(entry.position, *booking);
                if let Some(told) = bookings.get_mut(booking) {
                    told.ended.get_or_insert(*reason);
                    if !*cancel {
                        told.in_legacy = InLegacy::Absent;
                    }
                }
            }
            What::LegacyCancelled { booking } => {
                if let Some(told) = bookings.get_mut(booking) {
                    told.ended.get_or_insert(EndReason::LegacyCancelled);
                    told.in_legacy = InLegacy::Cancelled;
                }
            }
            What::OpDone { op, result } => {
                let written = again.get(op).copied().unwrap_or(BookingId(*op));
                if let Some(told) = bookings.get_mut(&written) {
                    converted(told, result);
                } else if let Some(told) = cancels.get(op).and_then(|booking| bookings.get_mut(booking)) {
                    turned_back(told, result);
                }
            }
            _ => {}
        }
    }
    bookings
}

/// Bookings and cancels that wait for their outcome in the legacy system, each with its booking.
#[derive(Debug, Default)]
pub struct Unfinished {
    ops: BTreeMap<Position, BookingId>,
    /// Found the escrow eroded, and wait to be driven again.
    stalled: BTreeSet<BookingId>,
    eroded: BTreeMap<BookingId, u8>,
}

impl Unfinished {
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty() && self.stalled.is_empty()
    }

    pub fn take(&mut self, entry: &Entry) {
        match &entry.what {
            What::Booked(_) | What::Requested(_) => {
                self.ops.insert(entry.position, BookingId(entry.position));
            }
            What::Cancelled { booking, coalesced: false }
            | What::Displaced { booking, cancel: true, .. }
            | What::CancelAgain { booking } => {
                self.ops.insert(entry.position, *booking);
            }
            What::Redriven { booking } => {
                self.stalled.remove(booking);
                self.ops.insert(entry.position, *booking);
            }
            What::Cancelled { booking, coalesced: true } | What::Displaced { booking, cancel: false, .. } => {
                self.forget(*booking);
            }
            What::OpDone { op, result: OpResult::Rejected { reason } } => {
                let Some(booking) = self.ops.get(op).copied() else { return };
                let eroded = self.eroded.entry(booking).or_default();
                if *reason == Rejection::EscrowEroded && *eroded < ERODED_MAX {
                    *eroded += 1;
                    self.ops.remove(op);
                    self.stalled.insert(booking);
                } else {
                    // A convert that is refused leaves a cancel of its booking nothing to do: the desk drops it.
                    self.forget(booking);
                }
            }
            What::OpDone { op, .. } => {
                self.ops.remove(op);
            }
            _ => {}
        }
    }

    fn forget(&mut self, gone: BookingId) {
        self.ops.retain(|_, booking| *booking != gone);
        self.stalled.remove(&gone);
    }
}

/// Bookings that were sold while the ledger said that their slot was overrun or frozen: an overrun that the bridge
/// itself made larger.
pub fn sold_into_overruns(entries: &[Entry]) -> Vec<BookingId> {
    let (mut barred, mut sold) = (BTreeMap::<&SlotKey, (bool, u32)>::new(), Vec::new());
    let mut mends: BTreeMap<Position, &SlotKey> = BTreeMap::new();
    for entry in entries {
        match &entry.what {
            What::Eroded { slot } => barred.entry(slot).or_default().0 = true,
            What::MendAsked { slot, .. } => {
                barred.entry(slot).or_default().0 = true;
                mends.insert(entry.position, slot);
            }
            What::OpDone { op, result } => {
                let is_over =
                    matches!(result, OpResult::Mended { .. } | OpResult::Rejected { reason: Rejection::SlotMissing });
                if let Some(slot) = mends.get(op).filter(|_| is_over) {
                    barred.entry(slot).or_default().0 = false;
                }
            }
            What::Overrun { slot, units } => barred.entry(slot).or_default().1 = *units,
            What::Booked(booked)
                if barred.get(&booked.slot).is_some_and(|(is_frozen, over)| *is_frozen || *over > 0) =>
            {
                sold.push(BookingId(entry.position));
            }
            _ => {}
        }
    }
    sold
}

/// Slots that the ledger leaves frozen. The daemon's own window shows an older state once nothing is decided any more.
pub fn frozen(entries: &[Entry]) -> usize {
    let (mut frozen, mut mends) = (BTreeSet::<&SlotKey>::new(), BTreeMap::<Position, &SlotKey>::new());
    for entry in entries {
        match &entry.what {
            What::Eroded { slot } => drop(frozen.insert(slot)),
            What::MendAsked { slot, .. } => {
                frozen.insert(slot);
                mends.insert(entry.position, slot);
            }
            What::OpDone {
                op,
                result: OpResult::Mended { .. } | OpResult::Rejected { reason: Rejection::SlotMissing },
            } => {
                if let Some(slot) = mends.get(op) {
                    frozen.remove(slot);
                }
            }
            _ => {}
        }
    }
    frozen.len()
}

fn converted(told: &mut Told, result: &OpResult) {
    match result {
        OpResult::Converted { .. } if told.in_legacy == InLegacy::Waiting => told.in_legacy = InLegacy::Active,
        // It stands still until the slot is mended, and is driven again.
        OpResult::Rejected { reason: Rejection::EscrowEroded } if told.eroded < ERODED_MAX => told.eroded += 1,
        OpResult::Rejected { reason } => {
            told.ended.get_or_insert(reason.end_reason());
            told.in_legacy = InLegacy::Absent;
        }
        _ => {}
    }
}

fn turned_back(told: &mut Told, result: &OpResult) {
    if matches!(result, OpResult::TurnedBack | OpResult::GivenUp | OpResult::AlreadyCancelled)
        && told.in_legacy != InLegacy::Absent
    {
        told.in_legacy = InLegacy::Cancelled;
    }
}
