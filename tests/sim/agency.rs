//! The legacy side of the world: what people do there natively, what capture sees of it, what write-back does to it.

use std::collections::{BTreeMap, BTreeSet};

use slotbridge::decide::{Agreement, Event, OpResult};
use slotbridge::domain::*;
use slotbridge::durable::Answer;

use crate::legacy::LegacySlot;
use crate::options::{Plant, Restores};

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
                class: slot.class.map(Into::into),
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
        let lost =
            self.mirror.iter().filter(|(id, (fact, _))| matches!(fact, Fact::Reservation(_)) && !now.contains_key(*id));
        for (id, key) in
            lost.map(|(id, _)| (id.clone(), id.trim_start_matches("reservation ").to_owned())).collect::<Vec<_>>()
        {
            if full || self.rng.percent(50) {
                let gone = Fact::ReservationGone(ReservationKey::new(&key).unwrap());
                self.mirror.insert(id.clone(), (gone, None));
                changed.push(id);
            }
        }
        self.send_facts(changed);
        if full && !self.policy.given_up.is_empty() {
            self.batch(vec![Event::Settled]);
        }
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

    /// A recount job, a stale screen saved, a counter written by hand: whoever wrote the row does not know of us.
    fn tamper(&mut self, slot: &SlotKey) {
        let (active, native) = (self.legacy.active_of(slot), self.legacy.native_of(slot));
        let stale = self.rng.below(10) as u32;
        let kind = self.rng.below(4);
        self.change(slot, |row| {
            row.tampered = true;
            row.counter = match kind {
                0 => native,
                1 => stale.min(row.counter),
                2 => row.counter.saturating_sub(1),
                _ => active,
            };
        });
        self.count("tampered");
    }

    /// The agency's switch, requests for units, an operator who has something driven again.
    pub(super) fn agency_activity(&mut self) {
        match self.rng.below(6) {
            0..=2 => {
                let control = [Control::Run, Control::Run, Control::Drain, Control::Stop][self.rng.below(4) as usize];
                self.control = control;
                self.batch(vec![Event::Switch { control }]);
            }
            3 => drop(self.batch(vec![Event::GiveBack { ticket: 0, slot: None }])),
            4 => {
                let slot = self.legacy.slots.keys().next().cloned();
                self.batch(vec![Event::GiveBack { ticket: 0, slot }]);
            }
            _ => {
                let booking = self.acknowledged.keys().next_back().copied();
                let events = booking.into_iter().map(|booking| Event::Redrive { booking }).collect();
                self.batch(events);
            }
        }
    }

    /// The legacy system as it was some time ago (rule 28). Sequences do not go back.
    pub(super) fn restore_legacy(&mut self) {
        let Some(backup) = self.legacy_backup.take() else { return };
        let next = self.legacy.next;
        self.legacy = backup;
        self.legacy.next = next;
        self.legacy.slots.values_mut().for_each(|slot| slot.tampered = true);
        self.reconnects = true;
        self.count("legacy_restored");
    }

    /// The worker compares at a reconnect, and when the desk wants it.
    fn asks_fence(&self) -> bool {
        self.reconnects || self.committer.as_ref().is_some_and(|c| c.desk().desk.wants_fence())
    }

    /// The worker reconnects: which side is ahead?
    fn fence(&mut self) -> Option<()> {
        let last_op = self.legacy.newest.map(|position| OpId { incarnation: Incarnation(1), position });
        let applied = self.legacy.applied.len() as u64;
        let answers = self.batch(vec![Event::Fence { ticket: 0, last_op, applied, ours: true }])?;
        if let Some(Some(Answer::Fenced { agreement })) = answers.into_iter().next() {
            match agreement {
                Agreement::Foreign => self.complain("the fence names an op that nobody knows"),
                Agreement::LegacyBehind { .. } if self.options.restores != Restores::Legacy => {
                    self.complain("the legacy system is said to be behind, and was not restored");
                }
                _ => {}
            }
        }
        self.reconnects = false;
        Some(())
    }

    pub(super) fn native_activity(&mut self) {
        let slots: Vec<SlotKey> = self.legacy.slots.keys().cloned().collect();
        let slot = slots[self.rng.below(slots.len() as u64) as usize].clone();
        let active: Vec<String> =
            self.legacy.reservations.iter().filter(|(_, r)| r.active).map(|(key, _)| key.clone()).collect();
        if self.rng.percent(self.options.tamper_percent) {
            return self.tamper(&slot);
        }
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
            20 if self.options.mode == AllotmentMode::Quota && self.legacy.slots[&slot].class.is_none() => {
                self.change(&slot, |row| {
                    let more = (row.capacity - row.counter.min(row.capacity)).min(2);
                    row.escrow += more;
                    row.counter += more;
                })
            }
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
        if self.control == Control::Stop || (self.asks_fence() && self.fence().is_none()) {
            return;
        }
        if self.worker.len() < 5 {
            let Some(answers) = self.batch(vec![Event::Claim { ticket: 0, max: 5 }]) else { return };
            if let Some(Some(Answer::Claimed { ops })) = answers.into_iter().next() {
                self.worker.extend(ops);
            }
        }
        let mut left = Vec::new();
        let mut outcomes = Vec::new();
        // As the outbox does: any slot may come first, but no op passes an earlier one of its slot.
        let mut held_up = BTreeSet::new();
        while !self.worker.is_empty() {
            let slot = self.worker[self.rng.below(self.worker.len() as u64) as usize].op.slot.clone();
            let of_slot = self.worker.iter().enumerate().filter(|(_, given)| given.op.slot == slot);
            let first = of_slot.min_by_key(|(_, given)| given.op.position).map_or(0, |(at, _)| at);
            let given = self.worker.remove(first);
            let op = given.op.clone();
            if held_up.contains(&slot) {
                left.push(given);
                continue;
            }
            let fault = self.faults && self.rng.percent(self.options.faults_percent);
            if fault && self.rng.percent(50) {
                held_up.insert(slot);
                left.push(given);
                continue;
            }
            let result = self.legacy.apply(&given);
            if fault {
                outcomes.push(Event::OpInDoubt { op: op.position });
                held_up.insert(slot);
                left.push(given);
                continue;
            }
            let result = match (self.options.plant, result) {
                (Some(Plant::LoseTurnedBack), OpResult::TurnedBack) => OpResult::AlreadyCancelled,
                (Some(Plant::IgnoreLost), OpResult::Mended { added, over, .. }) => {
                    OpResult::Mended { added, lost: 0, over }
                }
                (_, result) => result,
            };
            outcomes.push(Event::OpDone { op: op.position, result });
        }
        self.worker = left;
        if !outcomes.is_empty() {
            outcomes.insert(0, Event::Applied { count: self.legacy.applied.len() as u64 });
            self.batch(outcomes);
        }
    }
}
