//! Units between demand and the native seller: refill, prewarm, idle return, cutoff.

use crate::domain::{AllotmentMode, Control, Refusal, Timestamp};

use super::book::SlotNo;
use super::desk::Desk;
use super::entry::What;
use super::event::{After, Effects};

/// Slots that one tick handles of each kind; what is left waits for the next tick.
const PER_TICK_MAX: usize = 500;

impl Desk {
    /// A request named the slot: it is in demand, its units are not idle.
    pub(super) fn asked_for(&mut self, no: SlotNo) {
        let slot = self.book.slot_mut(no);
        slot.demand = slot.demand.saturating_add(1);
        self.await_idle(no);
    }

    /// Sets the instant at which the slot's free units go back if nobody asks until then.
    pub(super) fn await_idle(&mut self, no: SlotNo) {
        let slot = self.book.slot(no);
        // What cannot go back now is looked at again like units that stand idle.
        let goes = self.holds_none(no) && self.mode_of_units(no).takes() && !self.book.is_frozen(no);
        let wait_ms = if goes { 0 } else { self.policy.refill.idle_return_ms };
        let due = (slot.units.free() > 0 && slot.fact.is_some()).then(|| self.now.plus_ms(wait_ms));
        self.set_idle(no, due);
    }

    fn set_idle(&mut self, no: SlotNo, due: Option<Timestamp>) {
        let before = std::mem::replace(&mut self.book.slot_mut(no).idle_at, due);
        if let Some(before) = before {
            self.idle.remove(&(before, no));
        }
        if let Some(due) = due {
            self.idle.insert((due, no));
        }
    }

    pub(super) fn refill_after_sale(&mut self, no: SlotNo, effects: &mut Effects) {
        if self.book.sellable(no) < self.policy.refill.low_water {
            let high = self.policy.refill.high_water;
            self.take(no, high, effects);
        }
    }

    /// Rule 2: escrow empty. Returns how long the client should wait if a refill is coming.
    pub(super) fn refill_after_refusal(&mut self, code: Refusal, no: SlotNo, effects: &mut Effects) -> Option<u32> {
        if code != Refusal::SlotFull {
            return None;
        }
        let wanted = self.policy.refill.high_water.max(self.book.slot(no).demand);
        self.take(no, wanted, effects);
        let sells = self.mode(no) != AllotmentMode::OnRequest;
        (self.book.slot(no).units.taking > 0 || (sells && self.book.is_frozen(no)))
            .then_some(self.policy.refill_wait_ms)
    }

    /// Asks for units if the mode lets us, none are on their way, and the native seller has some left.
    fn take(&mut self, no: SlotNo, wanted: u32, effects: &mut Effects) {
        let refill = &self.policy.refill;
        let slot = self.book.slot(no);
        let left = slot.legacy_left();
        let takes = self.mode(no).takes()
            && self.book.control == Control::Run
            && !self.holds_none(no)
            && !self.book.is_frozen(no)
            && slot.is_open()
            && slot.units.taking == 0
            && self.now >= slot.no_take_before
            && left > 0;
        if !takes {
            return;
        }
        let share = (u64::from(left) * u64::from(refill.share_max_percent)).div_ceil(100) as u32;
        let units = wanted.saturating_sub(slot.units.free()).min(share).min(refill.take_max);
        if units == 0 {
            return;
        }
        let slot = slot.key.clone();
        let mode = self.mode_of_units(no);
        self.persist(What::TakeAsked { slot, units, mode }, effects);
        effects.after_durable.push(After::OpsWaiting);
    }

    /// Every free unit of the slot goes back to the native seller.
    pub(super) fn give_back(&mut self, no: SlotNo, effects: &mut Effects) {
        let slot = self.book.slot(no);
        let units = slot.units.free();
        if units == 0 || !self.mode_of_units(no).takes() || self.book.is_frozen(no) {
            return;
        }
        let slot = slot.key.clone();
        self.persist(What::ReturnAsked { slot, units }, effects);
        self.await_idle(no);
        effects.after_durable.push(After::OpsWaiting);
    }

    /// Marks the slot as past its cutoff if it is.
    pub(super) fn pass_cutoff(&mut self, no: SlotNo, effects: &mut Effects) {
        let slot = self.book.slot(no);
        let Some(fact) = &slot.fact else { return };
        let due = fact.start.plus_ms(-self.policy.cutoff_ms);
        if !slot.is_open() {
            self.unindex(no);
            return;
        }
        if self.now < due {
            return;
        }
        let (slot, start) = (slot.key.clone(), fact.start);
        self.unindex(no);
        self.persist(What::CutOff { slot, start }, effects);
    }

    pub(super) fn tick(&mut self, effects: &mut Effects) {
        self.forget_old_refusals();
        let passed = due(&self.cutoffs, self.now);
        for no in &passed {
            self.pass_cutoff(*no, effects);
            self.give_back(*no, effects);
        }
        if !passed.is_empty() {
            self.end_late_places(effects);
        }
        self.mind_quiet(effects);
        self.mind_held_places(effects);
        self.return_idle(effects);
        for no in due(&self.mends, self.now) {
            self.mends.retain(|(_, of)| *of != no);
            self.mend(no, effects);
        }
        self.recheck_due(effects);
        self.follow_vanished(effects);
        self.settle_some(effects);
        if self.pace.due(self.policy.on_request_per_s).is_some_and(|due| due <= self.now) {
            self.pace.told();
            self.wake_worker(effects);
        }
        self.prewarm(effects);
    }

    /// Free units that nobody asked for go back; while the agency wants units back, all do.
    pub(super) fn return_idle(&mut self, effects: &mut Effects) {
        let until = self.drain_until.map_or(self.now, |until| until.max(self.now));
        let due = due(&self.idle, until);
        if due.len() < PER_TICK_MAX {
            self.drain_until = None;
        }
        for no in due {
            self.give_back(no, effects);
            self.await_idle(no);
            // What cannot go back must not stand in the way of what can.
            if self.book.slot(no).idle_at.is_some_and(|at| at <= until) {
                self.set_idle(no, Some(until.plus_ms(1)));
            }
        }
    }

    /// Gives open slots their first units, soonest first, at a bounded rate.
    fn prewarm(&mut self, effects: &mut Effects) {
        let refill = &self.policy.refill;
        let (units, rate) = (refill.prewarm_units, refill.prewarm_per_s);
        let held = self.now < self.book.held_until || self.policy.is_quiet(self.now);
        if units == 0 || rate == 0 || held || self.book.control != Control::Run {
            return;
        }
        // After a pause the rate is not made up for: at most one second's worth at once.
        let elapsed = self.now.since_ms(self.prewarmed_at).clamp(0, 1_000) as u64;
        let allowed = (elapsed * u64::from(rate) / 1_000) as usize;
        if allowed == 0 {
            return;
        }
        self.prewarmed_at = self.now;
        let due: Vec<(Timestamp, SlotNo)> = self.cold.iter().copied().take(allowed.min(PER_TICK_MAX)).collect();
        for (start, no) in due {
            self.cold.remove(&(start, no));
            if self.book.slot(no).units.granted == 0 {
                self.take(no, units, effects);
            }
        }
    }

    /// When the next tick has something to do.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let prewarm =
            (!self.cold.is_empty() && self.policy.refill.prewarm_units > 0 && self.policy.refill.prewarm_per_s > 0)
                .then(|| self.prewarmed_at.plus_ms(i64::from(1_000 / self.policy.refill.prewarm_per_s).max(20)));
        let prewarm = prewarm
            .filter(|_| self.book.control == Control::Run && !self.was_quiet)
            .map(|at| at.max(self.book.held_until));
        let at_once = (self.drain_until.is_some() || self.settle_from.is_some()).then_some(self.now);
        let firsts = [&self.cutoffs, &self.idle, &self.mends].map(|of| of.first().map(|(at, _)| *at));
        let of_bookings = [self.rechecks.first().map(|(at, _)| *at), self.next_vanished()];
        let pace = self.pace.due(self.policy.on_request_per_s);
        let others = [prewarm, at_once, self.quiet_edge, self.settle_at, self.places_held, pace];
        firsts.into_iter().chain(of_bookings).chain(others).flatten().min()
    }
}

fn due(of: &std::collections::BTreeSet<(Timestamp, SlotNo)>, now: Timestamp) -> Vec<SlotNo> {
    of.iter().take_while(|(at, _)| *at <= now).take(PER_TICK_MAX).map(|(_, no)| *no).collect()
}
