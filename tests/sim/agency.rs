//! The legacy side of the world: what people do there natively, what capture sees of it, what write-back does to it.

use std::collections::{BTreeMap, BTreeSet};

use slotbridge::decide::{Event, OpResult};
use slotbridge::domain::*;
use slotbridge::durable::Answer;

use crate::legacy::LegacySlot;
use crate::options::Plant;

use super::{RowId, World, no_row, series};

impl World {
    fn facts_now(&self) -> BTreeMap<RowId, Fact> {
        let mut facts = BTreeMap::new();
        for (key, slot) in self.legacy.slots.iter().filter(|(_, slot)| slot.exists) {
            let fact = SlotFact {
                key: key.clone(),
                site: SiteKey::new("H1").unwrap(),
                series: series(),
                start: slot.start,
                status: slot.status,
                capacity: slot.capacity,
                native: self.legacy.native_of(key),
                counter: Some(slot.counter),
                escrow_units: slot.escrow,
                last_op: slot.last_op.map(|position| OpId { incarnation: Incarnation(1), position }),
                opens_at: None,
                class: None,
                version: SlotVersion(slot.version),
                row: no_row(),
            };
            facts.insert(format!("slot {key}"), Fact::Slot(fact));
        }
        for n in 0..self.options.persons {
            let fact = PersonFact {
                person: PersonNo(n as u32),
                cohort: CohortNo(u8::from(n % 9 != 0)),
                bookable: n % 11 != 0,
            };
            facts.insert(format!("person {n}"), Fact::Person(fact));
        }
        for (key, row) in &self.legacy.reservations {
            let op = row.op.map(|position| OpId { incarnation: Incarnation(1), position });
            let fact = ReservationFact {
                key: ReservationKey::new(key).unwrap(),
                person: row.person,
                slot: row.slot.clone(),
                series: row.series.clone(),
                active: row.active,
                op,
            };
            facts.insert(format!("reservation {key}"), Fact::Reservation(fact));
        }
        facts
    }

    /// One poll: some of the changed rows (a hint may miss some), sometimes an unchanged one twice.
    pub(super) fn poll(&mut self, full: bool) {
        let now = self.facts_now();
        let mut changed: Vec<RowId> = Vec::new();
        for (id, fact) in &now {
            let same = self.mirror.get(id).is_some_and(|(old, _)| old == fact);
            if (!same && (full || self.rng.percent(70))) || (same && self.rng.below(200) == 0) {
                self.mirror.insert(id.clone(), (fact.clone(), None));
                changed.push(id.clone());
            }
        }
        let vanished = self.legacy.slots.iter().filter(|(_, slot)| !slot.exists).map(|(key, _)| key.clone());
        for key in vanished.collect::<Vec<_>>() {
            let id = format!("slot {key}");
            let gone = Fact::SlotGone(key);
            if self.mirror.get(&id).is_some_and(|(old, _)| *old != gone) && (full || self.rng.percent(50)) {
                self.mirror.insert(id.clone(), (gone, None));
                changed.push(id);
            }
        }
        self.send_facts(changed);
    }

    pub(super) fn send_facts(&mut self, ids: Vec<RowId>) {
        if ids.is_empty() {
            return;
        }
        let facts = ids.iter().map(|id| self.mirror[id].0.clone()).collect();
        let Some(answers) = self.batch(vec![Event::Facts { ticket: 0, facts }]) else { return };
        let Some(Some(Answer::Facts { first, .. })) = answers.into_iter().next() else { return };
        if self.faults && self.rng.below(1000) < self.options.faults_percent {
            // Killed between the ledger and the mirror: the rows stay NULL and are sent again.
            self.crash();
            return;
        }
        for (index, id) in ids.iter().enumerate() {
            if let Some(row) = self.mirror.get_mut(id) {
                row.1 = Some(first.plus(index as u64));
            }
        }
    }

    pub(super) fn native_activity(&mut self) {
        let slots: Vec<SlotKey> = self.legacy.slots.keys().cloned().collect();
        let slot = slots[self.rng.below(slots.len() as u64) as usize].clone();
        let active: Vec<String> =
            self.legacy.reservations.iter().filter(|(_, r)| r.active).map(|(key, _)| key.clone()).collect();
        match self.rng.below(24) {
            0..=12 => {
                let person = PersonNo(self.rng.below(self.options.persons) as u32);
                if self.legacy.book_natively(person, &slot, &series()) {
                    self.count("native_booked");
                }
            }
            13..=17 if !active.is_empty() => {
                let key = active[self.rng.below(active.len() as u64) as usize].clone();
                self.legacy.cancel(&key);
            }
            18 => self.change(&slot, |row| row.status = SlotStatus::Closed),
            19 => self.change(&slot, |row| row.status = SlotStatus::Open),
            21 => self.change(&slot, |row| {
                row.version += 1;
                row.start = row.start.plus_ms(600_000);
            }),
            22 => {
                let capacity = 1 + self.rng.below(9) as u32;
                self.legacy.cut_capacity(&slot, capacity);
            }
            20 if self.options.mode == AllotmentMode::Quota => self.change(&slot, |row| {
                let more = (row.capacity - row.counter.min(row.capacity)).min(2);
                row.escrow += more;
                row.counter += more;
            }),
            23 if self.rng.percent(10) => {
                let of_slot: Vec<String> = self
                    .legacy
                    .reservations
                    .iter()
                    .filter(|(_, r)| r.slot == slot)
                    .map(|(key, _)| key.clone())
                    .collect();
                of_slot.iter().for_each(|key| self.legacy.cancel(key));
                self.change(&slot, |row| (row.exists, row.escrow, row.counter) = (false, 0, 0));
                self.count("slot_gone");
            }
            _ => {}
        }
    }

    fn change(&mut self, slot: &SlotKey, change: impl FnOnce(&mut LegacySlot)) {
        if let Some(row) = self.legacy.slots.get_mut(slot) {
            change(row);
        }
    }

    pub(super) fn write_back(&mut self) {
        if self.worker.len() < 5 {
            let Some(answers) = self.batch(vec![Event::Claim { ticket: 0, max: 5 }]) else { return };
            if let Some(Some(Answer::Claimed { ops })) = answers.into_iter().next() {
                self.worker.extend(ops.into_iter().map(|given| given.op));
            }
        }
        let mut left = Vec::new();
        let mut outcomes = Vec::new();
        // As the outbox does: any slot may come first, but no op passes an earlier one of its slot.
        let mut held_up = BTreeSet::new();
        while !self.worker.is_empty() {
            let slot = self.worker[self.rng.below(self.worker.len() as u64) as usize].slot.clone();
            let of_slot = self.worker.iter().enumerate().filter(|(_, op)| op.slot == slot);
            let first = of_slot.min_by_key(|(_, op)| op.position).map_or(0, |(at, _)| at);
            let op = self.worker.remove(first);
            if held_up.contains(&slot) {
                left.push(op);
                continue;
            }
            let fault = self.faults && self.rng.percent(self.options.faults_percent);
            if fault && self.rng.percent(50) {
                held_up.insert(slot);
                left.push(op);
                continue;
            }
            let result = self.legacy.apply(&op);
            if fault {
                outcomes.push(Event::OpInDoubt { op: op.position });
                held_up.insert(slot);
                left.push(op);
                continue;
            }
            let result = match (self.options.plant, result) {
                (Some(Plant::LoseTurnedBack), OpResult::TurnedBack) => OpResult::AlreadyCancelled,
                (_, result) => result,
            };
            outcomes.push(Event::OpDone { op: op.position, result });
        }
        self.worker = left;
        if !outcomes.is_empty() {
            self.batch(outcomes);
        }
    }
}
