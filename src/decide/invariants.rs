//! What must hold after every step (booking rules, Invariants). Slow and complete: for the simulation and tests.

use std::collections::BTreeMap;

use crate::domain::{BookingId, BookingStatus, PersonNo, SeriesId, SlotKey};

use super::book::SlotNo;
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
        let mut counted: BTreeMap<&SlotKey, (u32, u32, u32)> = BTreeMap::new();
        for booking in self.book.bookings.values() {
            let of_slot = counted.entry(&booking.slot).or_default();
            if booking.stands {
                of_slot.1 += 1;
            } else if booking.is_open() && booking.on_request {
                of_slot.2 += 1;
            } else if booking.is_open() {
                of_slot.0 += 1;
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
            let (booked, converted, asked) = counted.get(&slot.key).copied().unwrap_or_default();
            let (taking, returning) = pending.get(&slot.key).copied().unwrap_or_default();
            if !units.holds() {
                broken.push(Broken { invariant: "I1", detail: format!("slot {}: {units:?}", slot.key) });
            }
            let told = (units.booked, units.converted, units.taking, units.returning, units.pending);
            if told != (booked, converted, taking, returning, asked) {
                let detail = format!(
                    "slot {}: {units:?} but booked {booked}, converted {converted}, taking {taking}, returning {returning}, \
                     pending {asked}",
                    slot.key
                );
                broken.push(Broken { invariant: "I8", detail });
            }
        }
        let left: u64 = (0..self.book.slots.len() as u32).map(|no| self.left_to_return(SlotNo(no))).sum();
        if left != self.unreturned {
            let detail = format!("{} units are said to be unreturned, {left} are", self.unreturned);
            broken.push(Broken { invariant: "I8", detail });
        }
        let asked: u32 = self.book.slots.iter().map(|slot| slot.units.pending).sum();
        if asked != self.book.pending {
            let detail = format!("{} bookings are said to be pending, {asked} are", self.book.pending);
            broken.push(Broken { invariant: "I8", detail });
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

    /// I4: every booking whose outcome is open has exactly one pending op, and none other has; one that stands still
    /// waits for the mend of its slot. A slot has at most one mend, and the slot knows it.
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
        self.check_mends(broken);
        for (id, booking) in &self.book.bookings {
            let no = self.book.slot_no(&booking.slot);
            let stalled = no.and_then(|no| self.book.stalled.get(&no)).is_some_and(|of_slot| of_slot.contains(id));
            let open = booking.is_open() && !stalled;
            let ended = matches!(booking.status, BookingStatus::Cancelled | BookingStatus::Displaced);
            let cancelling = !booking.waits_for_cancel()
                && (booking.status == BookingStatus::Cancelling || (booking.stands && ended));
            let found = (converts.get(id).copied().unwrap_or(0), cancels.get(id).copied().unwrap_or(0));
            if found != (u32::from(open), u32::from(cancelling)) {
                let detail = format!("booking {id} ({:?}, {:?}) has ops {found:?}", booking.status, booking.sync);
                broken.push(Broken { invariant: "I4", detail });
            }
        }
    }

    fn check_mends(&self, broken: &mut Vec<Broken>) {
        for (at, slot) in self.book.slots.iter().enumerate() {
            let of_slot = || self.pending_ops().filter(|op| op.slot == slot.key);
            let mends: Vec<_> = of_slot().filter(|op| matches!(op.what, OpWhat::Mend { .. })).collect();
            let known = mends.iter().map(|op| op.position).eq(slot.mending);
            let stands_still = self.book.stalled.contains_key(&SlotNo(at as u32));
            let frozen = slot.eroded || !(stands_still || slot.mending.is_some());
            if !known || !frozen || of_slot().count() != slot.ops as usize {
                let detail = format!("slot {}: mends {mends:?}, bookings stand still: {stands_still}", slot.key);
                broken.push(Broken { invariant: "I4", detail });
            }
        }
    }
}
