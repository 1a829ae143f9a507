//! A simulated legacy system: slots with a counter, reservations, the bridge's tables, a native seller, and faults.

use std::collections::BTreeMap;

use slotbridge::decide::{Given, Op, OpResult, OpWhat, Rejection};
use slotbridge::domain::{AllotmentMode, PersonNo, Position, SeriesId, SlotKey, SlotStatus, Timestamp};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacySlot {
    pub capacity: u32,
    pub counter: u32,
    pub escrow: u32,
    pub status: SlotStatus,
    pub start: Timestamp,
    pub version: u32,
    pub exists: bool,
    pub last_op: Option<Position>,
    pub class: Option<&'static str>,
    /// The agency's own jobs and screens wrote the counter, or the database was restored: what native selling does
    /// afterwards is theirs.
    pub tampered: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacyReservation {
    pub person: PersonNo,
    pub slot: SlotKey,
    pub series: SeriesId,
    pub active: bool,
    pub op: Option<Position>,
}

#[derive(Default, Clone)]
pub struct Legacy {
    pub slots: BTreeMap<SlotKey, LegacySlot>,
    pub reservations: BTreeMap<String, LegacyReservation>,
    pub applied: BTreeMap<Position, (Op, OpResult)>,
    /// Units that the legacy side itself sold over capacity or took away by a cut, a slot.
    pub own_overrun: BTreeMap<SlotKey, u32>,
    pub next: u64,
    /// `SB_FENCE`: the newest op.
    pub newest: Option<Position>,
    pub grown_by_us: Option<String>,
}

impl Legacy {
    pub fn active_of(&self, slot: &SlotKey) -> u32 {
        self.reservations.values().filter(|r| r.slot == *slot && r.active).count() as u32
    }

    pub fn native_of(&self, slot: &SlotKey) -> u32 {
        self.reservations.values().filter(|r| r.slot == *slot && r.active && r.op.is_none()).count() as u32
    }

    pub fn active_of_person(&self, person: PersonNo, series: &SeriesId) -> usize {
        self.reservations.values().filter(|r| r.person == person && r.series == *series && r.active).count()
    }

    fn insert(&mut self, person: PersonNo, slot: &SlotKey, series: &SeriesId, op: Option<Position>) -> String {
        self.next += 1;
        let key = format!("R{}", self.next);
        let row = LegacyReservation { person, slot: slot.clone(), series: series.clone(), active: true, op };
        self.reservations.insert(key.clone(), row);
        key
    }

    /// The native seller: one person, one slot, as the web site does it.
    pub fn book_natively(&mut self, person: PersonNo, slot: &SlotKey, series: &SeriesId) -> bool {
        let taken = self.active_of_person(person, series) > 0;
        let Some(row) = self.slots.get_mut(slot) else { return false };
        if taken || !row.exists || row.status != SlotStatus::Open || row.counter >= row.capacity {
            return false;
        }
        row.counter += 1;
        self.insert(person, slot, series, None);
        true
    }

    /// Cancels any active reservation; the unit is native's again.
    pub fn cancel(&mut self, key: &str) {
        let Some(row) = self.reservations.get_mut(key).filter(|row| row.active) else { return };
        row.active = false;
        let slot = row.slot.clone();
        if let Some(slot) = self.slots.get_mut(&slot) {
            slot.counter = slot.counter.saturating_sub(1);
        }
    }

    pub fn cut_capacity(&mut self, slot: &SlotKey, capacity: u32) {
        if let Some(row) = self.slots.get_mut(slot) {
            row.capacity = capacity;
            let over = row.counter.saturating_sub(capacity);
            self.own_overrun.insert(slot.clone(), over);
        }
    }

    /// Runs one op in one transaction; a known id answers as before.
    pub fn apply(&mut self, given: &Given) -> OpResult {
        let op = &given.op;
        if let Some((before, result)) = self.applied.get(&op.position) {
            assert_eq!(before, op, "an op id was used for two different ops");
            return result.clone();
        }
        let before = self.overrun(&op.slot);
        let result = self.effect(given);
        let after = self.overrun(&op.slot);
        let honoured = matches!(result, OpResult::Converted { over: true, .. });
        let places_blindly = matches!(op.what, OpWhat::Place { .. }) && self.slots[&op.slot].tampered;
        if after > before && !honoured && !places_blindly {
            self.grown_by_us.get_or_insert(format!("I1: slot {}: {op:?} grew the overrun to {after}", op.slot));
        }
        self.newest = self.newest.max(Some(op.position));
        let idle = matches!(result, OpResult::Mended { added: 0, lost: 0, .. });
        let moved = result.moved_units() && !idle && !matches!(op.what, OpWhat::Place { .. });
        if let Some(row) = self.slots.get_mut(&op.slot).filter(|_| moved) {
            row.last_op = Some(op.position);
        }
        self.applied.insert(op.position, (op.clone(), result.clone()));
        result
    }

    fn overrun(&self, slot: &SlotKey) -> u32 {
        let Some(row) = self.slots.get(slot).filter(|row| row.exists) else { return 0 };
        (self.active_of(slot) + row.escrow).saturating_sub(row.capacity)
    }

    fn effect(&mut self, given: &Given) -> OpResult {
        let op = &given.op;
        let rejected = |reason| OpResult::Rejected { reason };
        let reserved = self.active_of(&op.slot);
        let Some(row) = self.slots.get_mut(&op.slot).filter(|row| row.exists) else {
            return rejected(Rejection::SlotMissing);
        };
        let eroded = row.counter < reserved + row.escrow;
        match &op.what {
            OpWhat::Take { .. } | OpWhat::Return { .. } if eroded => rejected(Rejection::EscrowEroded),
            OpWhat::Take { units } => {
                assert!(given.mode.takes(), "nothing is taken in mode {:?}", given.mode);
                let left = if row.status == SlotStatus::Open { row.capacity.saturating_sub(row.counter) } else { 0 };
                let units = left.min(*units);
                row.counter += units;
                row.escrow += units;
                OpResult::Taken { units }
            }
            OpWhat::Return { units } => {
                if row.escrow < *units {
                    return rejected(Rejection::EscrowEroded);
                }
                row.escrow -= units;
                row.counter -= units;
                OpResult::Returned { units: *units }
            }
            OpWhat::Convert { person, series, .. } => {
                if row.escrow == 0 && !given.honour {
                    return rejected(Rejection::EscrowEroded);
                }
                if self.active_of_person(*person, series) > 0 {
                    return rejected(Rejection::PersonBooked);
                }
                let mut over = false;
                if let Some(row) = self.slots.get_mut(&op.slot) {
                    match row.escrow {
                        0 => (row.counter, over) = (row.counter + 1, reserved + 1 > row.capacity),
                        _ => row.escrow -= 1,
                    }
                }
                let key = self.insert(*person, &op.slot, series, Some(op.position));
                OpResult::Converted { legacy_ref: key.into(), over }
            }
            OpWhat::Place { person, series, .. } => {
                if row.counter >= row.capacity || row.status != SlotStatus::Open {
                    return rejected(Rejection::NoPlace);
                }
                if self.active_of_person(*person, series) > 0 {
                    return rejected(Rejection::PersonBooked);
                }
                if let Some(row) = self.slots.get_mut(&op.slot) {
                    row.counter += 1;
                }
                let key = self.insert(*person, &op.slot, series, Some(op.position));
                OpResult::Converted { legacy_ref: key.into(), over: false }
            }
            OpWhat::Mend { sold } => {
                let missing = (reserved + row.escrow).saturating_sub(row.counter);
                if missing == 0 {
                    return OpResult::Mended { added: 0, lost: 0, over: 0 };
                }
                let room = row.capacity.saturating_sub(reserved);
                let keep = row.escrow.min(room.max(*sold));
                let lost = row.escrow - keep;
                (row.escrow, row.counter) = (keep, reserved + keep);
                OpResult::Mended {
                    added: missing.saturating_sub(lost),
                    lost,
                    over: (reserved + keep).saturating_sub(row.capacity),
                }
            }
            OpWhat::Cancel { convert, .. } => {
                let found = self.reservations.values_mut().find(|r| r.op == Some(*convert));
                let Some(reservation) = found else { return rejected(Rejection::ReservationMissing) };
                if !reservation.active {
                    return OpResult::AlreadyCancelled;
                }
                reservation.active = false;
                let Some(row) = self.slots.get_mut(&op.slot) else { return OpResult::AlreadyCancelled };
                if given.mode == AllotmentMode::OnRequest {
                    row.counter = row.counter.saturating_sub(1);
                    return OpResult::GivenUp;
                }
                row.escrow += 1;
                OpResult::TurnedBack
            }
        }
    }

    /// What must hold in the legacy system whatever happened.
    pub fn broken(&self) -> Option<String> {
        if let Some(grown) = &self.grown_by_us {
            return Some(grown.clone());
        }
        for (key, slot) in self.slots.iter().filter(|(_, slot)| slot.exists && !slot.tampered) {
            let used = self.active_of(key) + slot.escrow;
            let excused = self.own_overrun.get(key).copied().unwrap_or(0);
            if used > slot.capacity + excused {
                return Some(format!("I1: slot {key}: {used} used of {} (+{excused} cut by legacy)", slot.capacity));
            }
            if used != slot.counter {
                return Some(format!("I8: slot {key}: counter {} but {used} used", slot.counter));
            }
        }
        let mut active: BTreeMap<(PersonNo, &SeriesId), u32> = BTreeMap::new();
        for row in self.reservations.values().filter(|row| row.active) {
            let of_person = active.entry((row.person, &row.series)).or_default();
            *of_person += 1;
            if *of_person > 1 {
                return Some(format!("I2: a person has {of_person} active reservations in {}", row.series));
            }
        }
        let mut by_op: BTreeMap<Position, u32> = BTreeMap::new();
        for op in self.reservations.values().filter_map(|row| row.op) {
            let of_op = by_op.entry(op).or_default();
            *of_op += 1;
            if *of_op > 1 {
                return Some(format!("I4: op {op} wrote {of_op} reservations"));
            }
        }
        None
    }
}
