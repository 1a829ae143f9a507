//! What an operator must know: bookings that were displaced, slots that are over-run, units that were lost, persons
//! booked twice; and the one thing that an operator may order, to drive a displaced booking again (rules 10 and 15).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::{
    AllotmentMode, BookingId, BookingStatus, EndReason, PersonNo, Position, SeriesId, SlotKey, Timestamp,
};

use super::book::Book;
use super::desk::Desk;
use super::entry::{Rejection, What};
use super::event::{After, Effects};
use super::policy::NativeBeside;

/// Kept: the newest. The ledger has them all.
pub const CONFLICTS_MAX: usize = 1_000;
/// Rechecks that one tick makes.
const RECHECKS_MAX: usize = 500;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// Entry that told it.
    pub position: Position,
    pub at: Timestamp,
    pub slot: SlotKey,
    pub booking: Option<BookingId>,
    pub kind: ConflictKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConflictKind {
    Displaced {
        reason: EndReason,
    },
    /// So many bookings above the slot's room.
    Overrun {
        units: u32,
    },
    /// So many units that a mend gave up.
    Lost {
        units: u32,
    },
    /// The person has a native booking too, and ours was kept.
    NativeBeside,
    /// The legacy system refused to cancel the booking, which stands there.
    CancelRefused {
        reason: Rejection,
    },
}

/// Sums over all slots, and counts since the ledger began.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Totals {
    pub free: u64,
    /// Bookings not yet applied.
    pub unapplied: u64,
    /// Named bookings in the legacy system.
    pub converted: u64,
    /// Units on their way back, and units asked for.
    pub returning: u64,
    pub taking: u64,
    /// On-request bookings that wait.
    pub pending: u64,
    /// Slots that are frozen until they are mended.
    pub eroded: u64,
    /// Slots that wait for their content after a restore.
    pub unsettled: u64,
    /// Bookings above the room there is, now.
    pub overrun: u64,
    pub mended: u64,
    pub lost: u64,
    pub honoured: u64,
    pub displaced: BTreeMap<EndReason, u64>,
    pub rechecked: u64,
    pub redriven: u64,
    pub rewound: u64,
    /// Rows that vanished wait until write-back has compared the fence once more.
    pub wants_fence: bool,
}

impl Book {
    /// Puts it on the operator's list. Of a slot's overrun only the newest statement stands.
    pub(super) fn note(
        &mut self,
        position: Position,
        at: Timestamp,
        slot: &SlotKey,
        booking: Option<BookingId>,
        kind: ConflictKind,
    ) {
        if booking.is_none() && matches!(kind, ConflictKind::Overrun { .. }) {
            let is_stale =
                |c: &Conflict| c.booking.is_none() && c.slot == *slot && matches!(c.kind, ConflictKind::Overrun { .. });
            self.conflicts.retain(|conflict| !is_stale(conflict));
        }
        if kind == (ConflictKind::Overrun { units: 0 }) {
            return;
        }
        self.conflicts.push_back(Conflict { position, at, slot: slot.clone(), booking, kind });
        while self.conflicts.len() > CONFLICTS_MAX {
            self.conflicts.pop_front();
        }
    }

    pub(super) fn displaced(&mut self, position: Position, at: Timestamp, id: BookingId, reason: EndReason) {
        *self.counters.displaced.entry(reason).or_default() += 1;
        if let Some(slot) = self.bookings.get(&id).map(|booking| booking.slot.clone()) {
            self.note(position, at, &slot, Some(id), ConflictKind::Displaced { reason });
        }
    }
}

impl Desk {
    /// For an operator, oldest first, at most `CONFLICTS_MAX`.
    pub fn conflicts(&self) -> impl Iterator<Item = &Conflict> {
        self.book.conflicts.iter()
    }

    /// A pass over all slots.
    pub fn totals(&self) -> Totals {
        let counters = self.book.counters.clone();
        let mut totals = Totals {
            pending: u64::from(self.book.pending),
            mended: counters.mended,
            lost: counters.lost,
            honoured: counters.honoured,
            displaced: counters.displaced,
            rechecked: counters.rechecked,
            redriven: counters.redriven,
            rewound: counters.rewound,
            wants_fence: self.wants_fence(),
            ..Totals::default()
        };
        for slot in &self.book.slots {
            totals.free += u64::from(slot.units.free());
            totals.unapplied += u64::from(slot.units.booked);
            totals.converted += u64::from(slot.units.converted);
            totals.returning += u64::from(slot.units.returning);
            totals.taking += u64::from(slot.units.taking);
            totals.eroded += u64::from(slot.eroded);
            totals.unsettled += u64::from(slot.unsettled && slot.fact.is_some());
            totals.overrun += u64::from(slot.overrun);
        }
        totals
    }

    /// Rule 15: an operator has a displaced booking driven again, if the person and a unit are free; or a cancel that was
    /// refused.
    pub(super) fn redrive(&mut self, id: BookingId, effects: &mut Effects) {
        let Some(booking) = self.book.bookings.get(&id) else { return };
        if booking.stands && booking.waits_for_cancel() {
            self.persist(What::CancelAgain { booking: id }, effects);
            effects.after_durable.push(After::OpsWaiting);
            return;
        }
        let was_refused = booking.status == BookingStatus::Displaced
            && booking.reason == Some(EndReason::LegacyRefused)
            && !booking.on_request;
        let engaged = self.book.engagement(booking.person, &booking.series);
        let Some(no) = self.book.slot_no(&booking.slot) else { return };
        let mode = self.mode(no);
        let sells = mode.takes() || mode == AllotmentMode::Quota;
        let is_free = engaged.bridge.is_none() && engaged.native == 0;
        if was_refused && is_free && sells && self.book.sellable(no) > 0 && self.book.slot(no).is_open() {
            self.persist(What::Redriven { booking: id }, effects);
            self.await_idle(no);
            effects.after_durable.push(After::OpsWaiting);
        }
    }

    /// Rule 10 without a constraint: a native booking stands beside ours. What one side has not committed or capture
    /// has not seen yet may say otherwise, so it is looked at again later.
    pub(super) fn recheck_later(&mut self, person: PersonNo, series: &SeriesId) {
        let Some(wait_ms) = self.policy.recheck_ms else { return };
        let engaged = self.book.engagement(person, series);
        if let Some(booking) = engaged.bridge.filter(|_| engaged.native > 0) {
            self.rechecks.insert((self.now.plus_ms(wait_ms), booking));
        }
    }

    pub(super) fn recheck_due(&mut self, effects: &mut Effects) {
        let due: Vec<_> =
            self.rechecks.iter().take_while(|(at, _)| *at <= self.now).take(RECHECKS_MAX).copied().collect();
        for (at, id) in due {
            self.rechecks.remove(&(at, id));
            let Some(booking) = self.book.bookings.get(&id) else { continue };
            let native = self.book.engagement(booking.person, &booking.series).native;
            if native == 0 || booking.status != BookingStatus::Booked || !booking.stands {
                continue;
            }
            let listed =
                self.book.conflicts.iter().any(|c| c.booking == Some(id) && c.kind == ConflictKind::NativeBeside);
            match self.policy.native_beside {
                NativeBeside::LegacyWins => {
                    let reason = EndReason::PersonBookedNatively;
                    self.persist(What::Displaced { booking: id, reason, cancel: true }, effects);
                    effects.after_durable.push(After::OpsWaiting);
                }
                NativeBeside::EarliestWins if listed => {}
                NativeBeside::EarliestWins => drop(self.persist(What::NativeBeside { booking: id }, effects)),
            }
        }
    }
}
