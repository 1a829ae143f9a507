//! What stands against a slot, and what follows from it in each mode. Arithmetic only: nothing is sent from here.

use crate::domain::AllotmentMode;

/// A slot row, its escrow row and a count of its reservations, read under the slot row's lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SlotState {
    pub(super) open: bool,
    /// The legacy system's column; in mode `capacity` lower than the agency's total.
    pub(super) capacity: i64,
    pub(super) booked: Option<i64>,
    pub(super) remain: Option<i64>,
    pub(super) series: String,
    /// `None`: the slot has no escrow row yet.
    pub(super) units: Option<i64>,
    /// Mode `capacity`: the capacity that the bridge left behind.
    pub(super) seen: Option<i64>,
    /// Reservations that are not cancelled, placeholders excluded.
    pub(super) reserved: i64,
    pub(super) placeholders: i64,
}

/// What `mend` does (rule 30).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mending {
    /// Units that stay in escrow.
    pub(super) keep: i64,
    pub(super) missing: i64,
    pub(super) over: i64,
}

impl SlotState {
    pub(super) fn escrow(&self) -> i64 {
        self.units.unwrap_or(0)
    }

    /// Mode `capacity`: somebody has written the capacity since the bridge did. Without units it does not matter.
    pub(super) fn edited(&self) -> bool {
        self.escrow() > 0 && self.seen.is_some_and(|seen| seen != self.capacity)
    }

    /// How many places the agency wants the slot to have.
    pub(super) fn total(&self, mode: AllotmentMode) -> i64 {
        match mode {
            AllotmentMode::Capacity if !self.edited() => self.capacity + self.escrow(),
            _ => self.capacity,
        }
    }

    /// What the legacy system's own book-keeping says is sold, escrow included; `None`: it does not say.
    pub(super) fn sold(&self, mode: AllotmentMode) -> Option<i64> {
        match mode {
            AllotmentMode::None | AllotmentMode::OnRequest | AllotmentMode::Quota | AllotmentMode::Counter => {
                self.booked
            }
            AllotmentMode::Remaining => self.remain.map(|remain| self.capacity - remain),
            AllotmentMode::Capacity if self.edited() => Some(self.reserved),
            AllotmentMode::Capacity => Some(self.reserved + self.escrow()),
            AllotmentMode::CountRows => Some(self.reserved + self.placeholders),
        }
    }

    /// Does a counter stand in the slot row that the mode goes by?
    pub(super) fn counted(&self, mode: AllotmentMode) -> bool {
        match mode {
            AllotmentMode::None | AllotmentMode::Capacity | AllotmentMode::CountRows => false,
            AllotmentMode::OnRequest | AllotmentMode::Quota | AllotmentMode::Counter => self.booked.is_some(),
            AllotmentMode::Remaining => self.remain.is_some(),
        }
    }

    /// Units that the book-keeping does not cover; rule 30 if positive.
    pub(super) fn missing(&self, mode: AllotmentMode) -> i64 {
        self.sold(mode).map_or(0, |sold| self.reserved + self.escrow() - sold)
    }

    /// Units that a take may have at most.
    pub(super) fn room(&self, mode: AllotmentMode) -> i64 {
        let left = match mode {
            AllotmentMode::None | AllotmentMode::OnRequest | AllotmentMode::Quota => return 0,
            AllotmentMode::Counter => self.capacity - self.booked.unwrap_or(self.capacity),
            AllotmentMode::Remaining => self.remain.unwrap_or(0),
            AllotmentMode::Capacity => self.capacity - self.reserved,
            AllotmentMode::CountRows => self.capacity - self.reserved - self.placeholders,
        };
        left.max(0)
    }

    /// Keeps what fits beside the reservations, and never less than what is sold.
    pub(super) fn mending(&self, mode: AllotmentMode, sold: u32) -> Mending {
        let (escrow, total) = (self.escrow(), self.total(mode));
        let room = (total - self.reserved).max(0);
        let keep = escrow.min(room.max(escrow.min(i64::from(sold))));
        Mending { keep, missing: self.missing(mode), over: (self.reserved + keep - total).max(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use AllotmentMode::{Capacity, CountRows, Counter, OnRequest, Remaining};

    fn slot(capacity: i64, reserved: i64, units: i64) -> SlotState {
        SlotState {
            open: true,
            capacity,
            booked: Some(reserved + units),
            remain: Some(capacity - reserved - units),
            series: "covid19-1".to_owned(),
            units: Some(units),
            seen: None,
            reserved,
            placeholders: units,
        }
    }

    #[test]
    fn what_is_in_order_misses_nothing_in_any_mode() {
        for mode in AllotmentMode::ALL {
            assert_eq!(slot(10, 3, 4).missing(mode), 0, "{mode:?}");
        }
        assert_eq!([Counter, Remaining, CountRows].map(|mode| slot(10, 3, 4).room(mode)), [3, 3, 3]);
        // Capacity was 14 before the bridge lowered it by 4.
        assert_eq!((slot(10, 3, 4).room(Capacity), slot(10, 3, 4).total(Capacity)), (7, 14));
        assert_eq!(slot(10, 3, 0).room(OnRequest), 0);
    }

    #[test]
    fn an_edited_capacity_is_the_new_total_and_erodes_what_is_held() {
        let edited = SlotState { seen: Some(9), ..slot(10, 3, 4) };
        assert_eq!((edited.total(Capacity), edited.missing(Capacity)), (10, 4));
        let seen = SlotState { seen: Some(10), ..slot(10, 3, 4) };
        assert_eq!((seen.total(Capacity), seen.missing(Capacity)), (14, 0));
        let none_held = SlotState { seen: Some(9), ..slot(10, 3, 0) };
        assert_eq!((none_held.total(Capacity), none_held.missing(Capacity)), (10, 0));
    }

    #[test]
    fn mending_keeps_what_fits_and_what_is_sold() {
        // A recount forgot 4 units: (capacity, reserved, escrow, sold) and (keep, over).
        for (given, wanted) in [
            ((10, 3, 4, 0), (4, 0)),
            ((5, 3, 4, 0), (2, 0)),
            ((5, 3, 4, 3), (3, 1)),
            ((5, 3, 4, 9), (4, 2)),
            ((3, 5, 4, 0), (0, 2)),
            ((3, 5, 4, 1), (1, 3)),
        ] {
            let (capacity, reserved, units, sold) = given;
            let eroded = SlotState { booked: Some(reserved), ..slot(capacity, reserved, units) };
            let mending = eroded.mending(Counter, sold);
            assert_eq!((mending.keep, mending.over, mending.missing), (wanted.0, wanted.1, units), "{given:?}");
        }
    }
}
