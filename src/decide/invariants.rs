//! What must hold after every step (booking rules, Invariants). Slow and complete: for the simulation and tests.

use std::collections::BTreeMap;

use crate::domain::{BookingId, BookingStatus, PersonNo, SeriesId, SlotKey, Sync};

use super::desk::Desk;
use super::entry::OpWhat;

/// A broken invariant, by its name in the booking rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    pub invariant: &'static str,
    pub detail: String,
}

impl Desk {
    /// Every invariant that the desk can check alone.
    pub fn broken(&self) -> Vec<Broken> {
        let mut broken = Vec::new();
        self.check_units(&mut broken);
        self.check_persons(&mut broken);
        self.check_ops(&mut broken);
        broken
    }

    /// I1 and I8: units of a slot add up to what its bookings and ops say.
    fn check_units(&self, broken: &mut Vec<Broken>) {
        let mut counted: BTreeMap<&SlotKey, (u32, u32)> = BTreeMap::new();
        for booking in self.book.bookings.values() {
            let of_slot = counted.entry(&booking.slot).or_default();
            match (booking.status, booking.sync) {
                (BookingStatus::Booked | BookingStatus::Cancelling, Sync::Queued | Sync::InDoubt) => of_slot.0 += 1,
                (BookingStatus::Booked | BookingStatus::Cancelling, Sync::Applied) => of_slot.1 += 1,
                _ => {}
            }
        }
        let mut pending: BTreeMap<&SlotKey, (u32, u32)> = BTreeMap::new();
        for op in self.pending_ops() {
            let of_slot = pending.entry(&op.slot).or_default();
            match op.what {
                OpWhat::Take { units } => of_slot.0 += units,
                OpWhat::Return { units } => of_slot.1 += units,
                OpWhat::Convert { .. } | OpWhat::Place { .. } | OpWhat::Cancel { .. } | OpWhat::Mend { .. } => {}
            }
        }
        for slot in &self.book.slots {
            let units = slot.units;
            let (booked, converted) = counted.get(&slot.key).copied().unwrap_or_default();
            let (taking, returning) = pending.get(&slot.key).copied().unwrap_or_default();
            if !units.holds() {
                broken.push(Broken { invariant: "I1", detail: format!("slot {}: {units:?}", slot.key) });
            }
            if (units.booked, units.converted, units.taking, units.returning) != (booked, converted, taking, returning)
            {
                let detail = format!(
                    "slot {}: {units:?} but booked {booked}, converted {converted}, taking {taking}, returning {returning}",
                    slot.key
                );
                broken.push(Broken { invariant: "I8", detail });
            }
        }
    }

    /// I2: at most one active booking a person and series, and the index says which.
    fn check_persons(&self, broken: &mut Vec<Broken>) {
        let mut active: BTreeMap<(PersonNo, &SeriesId), Vec<BookingId>> = BTreeMap::new();
        for (id, booking) in &self.book.bookings {
            if booking.status.is_active() {
                active.entry((booking.person, &booking.series)).or_default().push(*id);
            }
        }
        for ((person, series), ids) in active {
            let indexed = self.book.engagement(person, series).bridge;
            if ids.len() != 1 || indexed != ids.first().copied() {
                let detail = format!("a person of series {series} has bookings {ids:?}, indexed {indexed:?}");
                broken.push(Broken { invariant: "I2", detail });
            }
        }
    }

    /// I4: every booking whose outcome is open has exactly one pending op, and none other has.
    fn check_ops(&self, broken: &mut Vec<Broken>) {
        let mut converts: BTreeMap<BookingId, u32> = BTreeMap::new();
        let mut cancels: BTreeMap<BookingId, u32> = BTreeMap::new();
        for op in self.pending_ops() {
            match op.what {
                OpWhat::Convert { booking, .. } | OpWhat::Place { booking, .. } => {
                    *converts.entry(booking).or_default() += 1
                }
                OpWhat::Cancel { booking, .. } => *cancels.entry(booking).or_default() += 1,
                OpWhat::Take { .. } | OpWhat::Return { .. } | OpWhat::Mend { .. } => {}
            }
        }
        for (id, booking) in &self.book.bookings {
            let open = matches!(booking.sync, Sync::Queued | Sync::InDoubt);
            let cancelling = booking.status == BookingStatus::Cancelling;
            let found = (converts.get(id).copied().unwrap_or(0), cancels.get(id).copied().unwrap_or(0));
            if found != (u32::from(open), u32::from(cancelling)) {
                let detail = format!("booking {id} ({:?}, {:?}) has ops {found:?}", booking.status, booking.sync);
                broken.push(Broken { invariant: "I4", detail });
            }
        }
    }
}
