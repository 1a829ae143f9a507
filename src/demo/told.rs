//! Bookings as the ledger's entries tell them, read in a way of its own: nothing of the desk is used.

use std::collections::BTreeMap;

use crate::decide::{Entry, OpResult, What};
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
}

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
pub struct Unfinished(BTreeMap<Position, BookingId>);

impl Unfinished {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn take(&mut self, entry: &Entry) {
        match &entry.what {
            What::Booked(_) | What::Requested(_) => {
                self.0.insert(entry.position, BookingId(entry.position));
            }
            What::Cancelled { booking, coalesced: false } => {
                self.0.insert(entry.position, *booking);
            }
            What::Cancelled { booking, coalesced: true } => {
                self.0.remove(&booking.0);
            }
            // A convert that is refused leaves a cancel of its booking nothing to do: the desk drops it.
            What::OpDone { op, result: OpResult::Rejected { .. } } => {
                self.0.retain(|_, booking| booking.0 != *op);
                self.0.remove(op);
            }
            What::OpDone { op, .. } => {
                self.0.remove(op);
            }
            _ => {}
        }
    }
}

fn converted(told: &mut Told, result: &OpResult) {
    match result {
        OpResult::Converted { .. } if told.in_legacy == InLegacy::Waiting => told.in_legacy = InLegacy::Active,
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
