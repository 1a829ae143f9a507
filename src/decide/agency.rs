//! What the agency says: its switch (rule 33), requests for units, and the hours at which none are held.
//!
//! Draining is bounded: a tick handles so many slots. Slots with free units stand in `idle` by the instant at which
//! these go back; while units are wanted back, all that stood there until `drain_until` are due now.

use crate::domain::{AllotmentMode, Control, SlotKey};

use super::book::SlotNo;
use super::desk::Desk;
use super::entry::What;
use super::event::{After, Effects};

/// A repeated request for units prolongs the hold no more often than this.
const HOLD_AGAIN_MS: i64 = 60_000;

impl Desk {
    pub(super) fn mode(&self, no: SlotNo) -> AllotmentMode {
        self.policy.mode_of(self.book.slot(no).class.as_deref())
    }

    /// As `mode`, but a slot that has units keeps the mode that they were taken in, whatever its class says since: it
    /// tells which columns hold them.
    pub(super) fn mode_of_units(&self, no: SlotNo) -> AllotmentMode {
        let slot = self.book.slot(no);
        let holds = slot.units.granted + slot.units.taking > 0;
        slot.taken_as.filter(|_| holds).unwrap_or_else(|| self.mode(no))
    }

    pub(super) fn switch(&mut self, control: Control, effects: &mut Effects) {
        if control == self.book.control {
            return;
        }
        self.persist(What::Switched { control }, effects);
        match control {
            Control::Drain => self.drain(effects),
            Control::Run => self.wake_worker(effects),
            Control::Stop => {}
        }
    }

    /// Is the slot to hold no free units now?
    pub(super) fn holds_none(&self, no: SlotNo) -> bool {
        let held_until = self.book.held_until.max(self.book.slot(no).held_until);
        self.book.control == Control::Drain || self.now < held_until || self.policy.is_quiet(self.now)
    }

    /// Every free unit that stands idle now goes back.
    pub(super) fn drain(&mut self, effects: &mut Effects) {
        self.drain_until = Some(self.now.plus_ms(self.policy.refill.idle_return_ms));
        self.return_idle(effects);
    }

    /// The agency wants units back. Answers how many of them are not back yet.
    pub(super) fn give_back_asked(&mut self, ticket: u64, slot: Option<SlotKey>, effects: &mut Effects) {
        let until = self.now.plus_ms(self.policy.release_hold_ms);
        let wanted = slot.as_ref().map(|key| self.book.slot_no(key));
        let held = match wanted {
            None => Some(self.book.held_until),
            Some(Some(no)) => Some(self.book.slot(no).held_until),
            // A slot that was never seen has no units.
            Some(None) => None,
        };
        if let Some(held) = held.filter(|held| until.since_ms(*held) >= HOLD_AGAIN_MS) {
            self.persist(What::HeldBack { slot, until }, effects);
            if wanted.is_none() && self.now >= held {
                self.drain_until = Some(self.now.plus_ms(self.policy.refill.idle_return_ms));
            }
        }
        let left = match wanted {
            Some(Some(no)) => {
                self.give_back(no, effects);
                self.left_to_return(no)
            }
            Some(None) => 0,
            None => {
                self.return_idle(effects);
                self.count_unreturned();
                self.unreturned
            }
        };
        effects.after_durable.push(After::GivenBack { ticket, left });
    }

    /// Units that are to go back and are not back. What the agency assigned itself stays; of a slot that is gone none
    /// can be returned.
    pub(super) fn left_to_return(&self, no: SlotNo) -> u64 {
        let slot = self.book.slot(no);
        if slot.fact.is_none() || !self.mode_of_units(no).takes() {
            return 0;
        }
        u64::from(slot.units.free()) + u64::from(slot.units.returning)
    }

    /// Keeps the sum over all slots in step with those that changed: a pass over all of them would hold up requests.
    pub(super) fn count_unreturned(&mut self) {
        for no in std::mem::take(&mut self.book.changed) {
            let left = self.left_to_return(no);
            let slot = &mut self.book.slots[no.0 as usize];
            slot.is_changed = false;
            self.unreturned = self.unreturned - std::mem::replace(&mut slot.unreturned, left) + left;
        }
    }

    /// At the beginning of a quiet window everything goes back.
    pub(super) fn mind_quiet(&mut self, effects: &mut Effects) {
        let is_quiet = self.policy.is_quiet(self.now);
        if is_quiet && !self.was_quiet {
            self.drain(effects);
        }
        self.was_quiet = is_quiet;
        self.quiet_edge = self.policy.next_quiet_edge(self.now);
    }
}
