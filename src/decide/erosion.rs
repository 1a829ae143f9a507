//! A slot's account against what the legacy system shows: adoption, erosion (rule 30) and cuts (rule 12).
//!
//! Only facts that are level with our own newest op on the slot are believed. A freeze ends by a mend op's outcome
//! alone, so that it is the same after a restart.

use crate::domain::{AllotmentMode, BookingStatus, EndReason, SlotFact, Timestamp};

use super::book::{Slot, SlotNo};
use super::desk::Desk;
use super::entry::{OpWhat, What};
use super::event::{After, Effects};
use super::policy::OnOverrun;

/// What the legacy system shows as taken, against what it should.
fn falls_short(slot: &Slot, fact: &SlotFact) -> bool {
    let escrow = u64::from(fact.escrow_units);
    let covered = u64::from(fact.native) + u64::from(slot.strangers) + u64::from(slot.units.converted) + escrow;
    let sold = u64::from(slot.units.booked) + u64::from(slot.units.returning);
    fact.counter.is_some_and(|counter| u64::from(counter) < covered) || escrow < sold
}

impl Desk {
    /// Holds the slot's newest fact against its account, if the fact is level with it.
    pub(super) fn reconcile(&mut self, no: SlotNo, effects: &mut Effects) {
        let slot = self.book.slot(no);
        let Some(fact) = &slot.fact else { return };
        let (key, mode) = (slot.key.clone(), self.policy.mode_of_fact(fact));
        let named = fact.last_op.map(|op| op.position);
        if !mode.takes() && mode != AllotmentMode::Quota {
            if slot.unsettled {
                let (granted, last_op) = (slot.units.granted, slot.last_op);
                self.persist(What::Settled { slot: key, granted, last_op }, effects);
            }
            return;
        }
        let beyond = self.book.is_beyond(slot);
        if !(slot.is_level() || (beyond && slot.ops == 0 && !slot.unsettled)) {
            return;
        }
        // Units that were sold meanwhile are honoured: their converts will find whether the escrow still has them.
        let granted = fact.escrow_units.saturating_add(slot.units.converted).max(slot.units.in_use());
        let moved = slot.rewound.is_some() && named != slot.last_op && named != slot.idle_op;
        if slot.unsettled || beyond || moved {
            self.persist(What::Settled { slot: key, granted, last_op: named }, effects);
            self.await_idle(no);
        } else if granted != slot.units.granted {
            self.persist(What::Assigned { slot: key, granted }, effects);
            self.await_idle(no);
        }
        self.check_erosion(no, effects);
        self.check_room(no, mode, effects);
    }

    fn check_erosion(&mut self, no: SlotNo, effects: &mut Effects) {
        let slot = self.book.slot(no);
        let Some(fact) = &slot.fact else { return };
        if falls_short(slot, fact) {
            self.erode(no, effects);
        } else if self.now.since_ms(slot.mended_at) > self.policy.mend_pause_max_ms {
            self.book.slot_mut(no).mend_tries = 0;
        }
    }

    /// Freezes the slot and has it mended, at once or after the pause that its last mends earned.
    pub(super) fn erode(&mut self, no: SlotNo, effects: &mut Effects) {
        if !self.book.slot(no).eroded {
            let slot = self.book.slot(no).key.clone();
            self.persist(What::Eroded { slot }, effects);
            self.await_idle(no);
        }
        if self.book.slot(no).mending.is_some() {
            return;
        }
        let due = self.mend_due(self.book.slot(no));
        if due <= self.now {
            self.mend(no, effects);
        } else {
            self.mends.insert((due, no));
        }
    }

    fn mend_due(&self, slot: &Slot) -> Timestamp {
        let Some(doublings) = slot.mend_tries.checked_sub(1) else { return self.now };
        let pause = self.policy.mend_pause_ms.saturating_mul(1 << doublings.min(20)).min(self.policy.mend_pause_max_ms);
        slot.mended_at.plus_ms(pause)
    }

    pub(super) fn mend(&mut self, no: SlotNo, effects: &mut Effects) {
        let slot = self.book.slot(no);
        if !slot.eroded || slot.mending.is_some() {
            return;
        }
        let (slot, sold) = (slot.key.clone(), slot.units.booked);
        self.persist(What::MendAsked { slot, sold }, effects);
        effects.after_durable.push(After::OpsWaiting);
    }

    /// After a mend: bookings that stood still are driven again, or the next mend waits.
    pub(super) fn mended(&mut self, no: SlotNo, effects: &mut Effects) {
        if self.book.slot(no).eroded {
            self.erode(no, effects);
            return;
        }
        let stalled = self.book.stalled.get(&no).cloned().unwrap_or_default();
        for booking in stalled {
            self.persist(What::Redriven { booking }, effects);
        }
    }

    /// Rule 12: more was granted than the slot has room for. Free units go first; what was sold is honoured, or the
    /// newest that is not written yet is displaced.
    fn check_room(&mut self, no: SlotNo, mode: AllotmentMode, effects: &mut Effects) {
        if mode.takes() {
            self.give_back_above(no, effects);
            while self.policy.overrun == OnOverrun::DisplaceNewest && self.above(no) > 0 {
                let Some(booking) = self.newest_unwritten(no) else { break };
                let what = What::Displaced { booking, reason: EndReason::CapacityCut, cancel: false };
                self.persist(what, effects);
            }
            self.give_back_above(no, effects);
        }
        let units = self.above(no);
        let slot = self.book.slot(no);
        if units != slot.overrun {
            let slot = slot.key.clone();
            self.persist(What::Overrun { slot, units }, effects);
        }
    }

    /// Bookings of ours above the room that native bookings leave.
    fn above(&self, no: SlotNo) -> u32 {
        let slot = self.book.slot(no);
        let Some(fact) = &slot.fact else { return 0 };
        let room = fact.capacity.saturating_sub(fact.native.saturating_add(slot.strangers));
        slot.units.active().saturating_sub(room)
    }

    fn give_back_above(&mut self, no: SlotNo, effects: &mut Effects) {
        let slot = self.book.slot(no);
        let Some(fact) = slot.fact.as_ref().filter(|_| !self.book.is_frozen(no)) else { return };
        let room = fact.capacity.saturating_sub(fact.native.saturating_add(slot.strangers));
        let above = slot.units.granted.saturating_sub(room.saturating_add(slot.units.returning));
        let units = above.min(slot.units.free());
        if units > 0 {
            let slot = slot.key.clone();
            self.persist(What::ReturnAsked { slot, units }, effects);
            self.await_idle(no);
            effects.after_durable.push(After::OpsWaiting);
        }
    }

    /// The slot's newest booking whose convert nobody has yet.
    fn newest_unwritten(&self, no: SlotNo) -> Option<crate::domain::BookingId> {
        let key = &self.book.slot(no).key;
        let of_slot = self.book.ops.values().rev().filter(|pending| pending.op.slot == *key && !pending.claimed);
        let converts = of_slot.filter_map(|pending| match pending.op.what {
            OpWhat::Convert { booking, .. } => Some(booking),
            _ => None,
        });
        let mut booked = converts
            .filter(|id| self.book.bookings.get(id).is_some_and(|booking| booking.status == BookingStatus::Booked));
        booked.next()
    }
}
