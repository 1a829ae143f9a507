//! What a fact changes in the book: the newest content of its row, and what is counted from rows.
//!
//! A fact alone never changes units or bookings.

use crate::domain::{Fact, Position, ReservationFact, ReservationKey, SlotKey};

use super::book::{Book, Engagement, Mark, Reservation};

impl Book {
    /// Takes a fact as the newest content of its row. `ours`: the op that it names was asked by this ledger.
    pub(super) fn take_fact(&mut self, position: Position, fact: Fact, ours: bool) {
        match fact {
            Fact::Site(site) => {
                let key = site.key.clone();
                self.mark_site(&key, position, Some(site.row.clone()));
                self.sites.insert(key, site);
            }
            Fact::SiteGone(key) => {
                self.sites.remove(&key);
                self.mark_site(&key, position, None);
            }
            Fact::Slot(slot) => {
                let no = self.slot_no_or_new(&slot.key);
                self.slot_mut(no).seen = true;
                self.slot_mut(no).named_strange = !ours;
                self.slot_mut(no).class = slot.class.clone();
                self.slot_mut(no).fact = Some(slot);
                self.touch_slot(no, position);
            }
            Fact::SlotGone(key) => self.slot_gone(position, &key),
            Fact::Person(person) => {
                let standing = self.standing_mut(person.person);
                standing.known = true;
                standing.cohort = person.cohort.0;
                standing.bookable = person.bookable;
            }
            Fact::PersonGone(person) => *self.standing_mut(person) = Default::default(),
            Fact::Reservation(reservation) => self.take_reservation(reservation, ours),
            Fact::ReservationGone(key) => self.reservation_gone(&key),
            Fact::Item { object, key, row } => {
                let key: std::sync::Arc<str> = key.as_str().into();
                self.items.insert((object.clone(), key.clone()), (row, position));
                self.marks.insert(Mark::Item(object, key));
            }
        }
    }

    fn mark_site(
        &mut self,
        key: &crate::domain::SiteKey,
        position: Position,
        row: Option<std::sync::Arc<crate::domain::Row>>,
    ) {
        let object = super::site_object();
        let key: std::sync::Arc<str> = key.as_str().into();
        self.items.insert((object.clone(), key.clone()), (row, position));
        self.marks.insert(Mark::Item(object, key));
    }

    fn slot_gone(&mut self, position: Position, key: &SlotKey) {
        if let Some(no) = self.slot_no(key) {
            let slot = self.slot_mut(no);
            slot.version_before = slot.fact.as_ref().map(|fact| fact.version).or(slot.version_before);
            slot.fact = None;
            self.touch_slot(no, position);
        }
    }

    fn take_reservation(&mut self, fact: ReservationFact, ours: bool) {
        self.reservation_gone(&fact.key);
        let op = fact.op.map(|op| op.position).filter(|_| ours);
        let is_strange = !ours || op.is_some_and(|op| self.is_given_up(op));
        let kept = Reservation {
            person: fact.person,
            series: fact.series,
            slot: fact.slot,
            active: fact.active,
            op,
            is_strange,
        };
        if let Some(op) = op {
            self.by_op.insert(op, (fact.key.clone(), fact.active));
        }
        if fact.active && kept.bars() {
            self.engage(kept.person, &kept.series, |e| e.native += 1);
        }
        if fact.active && kept.is_strange {
            let no = self.slot_no_or_new(&kept.slot);
            self.slot_mut(no).strangers += 1;
        }
        self.reservations.insert(fact.key, kept);
    }

    fn reservation_gone(&mut self, key: &ReservationKey) {
        let Some(before) = self.reservations.remove(key) else { return };
        if let Some((_, active)) = before.op.and_then(|op| self.by_op.get_mut(&op)).filter(|(row, _)| row == key) {
            *active = false;
        }
        if before.active && before.bars() {
            let lower = |e: &mut Engagement| e.native = e.native.saturating_sub(1);
            self.engage(before.person, &before.series, lower);
        }
        if before.active && before.is_strange {
            let no = self.slot_no_or_new(&before.slot);
            let slot = self.slot_mut(no);
            slot.strangers = slot.strangers.saturating_sub(1);
        }
    }
}

impl Reservation {
    fn bars(&self) -> bool {
        self.op.is_none() || self.is_strange
    }
}
