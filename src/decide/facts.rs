//! Takes facts: the book first, then what follows from them as entries.

use ring::digest;

use crate::domain::{
    BookingId, BookingStatus, EndReason, Fact, Position, ReservationFact, ReservationKey, SlotFact, Timestamp,
};

use super::desk::Desk;
use super::entry::What;
use super::event::{After, Effects};

impl Desk {
    pub(super) fn take_facts(&mut self, ticket: u64, facts: Vec<Fact>, effects: &mut Effects) {
        let Ok(count) = u32::try_from(facts.len()) else { return };
        if count == 0 {
            effects.after_durable.push(After::FactsTaken { ticket, first: self.next, count });
            return;
        }
        let digest = digest_of(&facts);
        let first = self.persist(What::Facts { count, digest }, effects);
        for (index, fact) in facts.into_iter().enumerate() {
            self.take_fact(first.plus(index as u64), fact, Some(effects));
        }
        for no in std::mem::take(&mut self.seen) {
            self.reconcile(no, effects);
            // Units of a slot that had no fact when the desk resumed stand idle from now on.
            if self.book.slot(no).idle_at.is_none() {
                self.await_idle(no);
            }
            if !self.book.slot(no).is_open() || self.holds_none(no) {
                self.give_back(no, effects);
            }
        }
        effects.after_durable.push(After::FactsTaken { ticket, first, count });
    }

    /// Takes one fact; what follows from it are entries, unless the ledger is being replayed.
    pub(super) fn take_fact(&mut self, position: Position, fact: Fact, effects: Option<&mut Effects>) {
        match fact {
            Fact::Slot(slot) => self.take_slot(position, slot, effects),
            Fact::SlotGone(key) => {
                if let Some(no) = self.book.slot_no(&key) {
                    self.unindex(no);
                }
                self.book.take_fact(position, Fact::SlotGone(key), true);
            }
            Fact::Reservation(reservation) => self.take_reservation(position, reservation, effects),
            Fact::ReservationGone(key) => self.lose_reservation(position, key, effects),
            Fact::Site(site) => {
                self.nearby.place_site(&site.key, site.place);
                self.book.take_fact(position, Fact::Site(site), true);
            }
            Fact::SiteGone(key) => {
                self.nearby.place_site(&key, None);
                self.book.take_fact(position, Fact::SiteGone(key), true);
            }
            other => self.book.take_fact(position, other, true),
        }
    }

    fn take_slot(&mut self, position: Position, fact: SlotFact, effects: Option<&mut Effects>) {
        let no = self.book.slot_no_or_new(&fact.key);
        self.unindex(no);
        let slot = self.book.slot(no);
        let before = slot.fact.as_ref().map(|f| f.version).or(slot.version_before);
        let (version, key) = (fact.version, fact.key.clone());
        let raised = self.book.slot(no).fact.as_ref().is_some_and(|f| f.capacity < fact.capacity);
        let ours = fact.last_op.is_none_or(|op| self.policy.is_of_ledger(op));
        self.book.take_fact(position, Fact::Slot(fact), ours);
        if raised {
            self.book.slot_mut(no).no_take_before = Timestamp(i64::MIN);
        }
        self.index(no);
        let Some(effects) = effects else { return };
        // A slot without a past, seen by a desk that resumed, may have changed while nobody looked: its row was
        // overwritten in the mirror before a crash, or the mirror was lost. Said once too often is safe.
        if before.map_or(self.resumed, |before| before != version) {
            self.persist(What::Redefined { slot: key, version }, effects);
        }
        self.pass_cutoff(no, effects);
        self.seen.insert(no);
    }

    fn take_reservation(&mut self, position: Position, fact: ReservationFact, effects: Option<&mut Effects>) {
        let (person, series, active) = (fact.person, fact.series.clone(), fact.active);
        let ours = fact.op.is_none_or(|op| self.policy.is_of_ledger(op));
        let op = fact.op.map(|op| op.position).filter(|_| ours);
        self.book.take_fact(position, Fact::Reservation(fact), ours);
        let Some(effects) = effects else { return };
        match op.filter(|op| !self.book.is_given_up(*op)) {
            Some(op) if active => self.cancel_revived(self.book.booking_of(op), effects),
            Some(op) => self.follow_legacy_cancel(self.book.booking_of(op), effects),
            None if active => self.recheck_later(person, &series),
            None => {}
        }
    }

    /// A row of ours that vanishes before its appointment was cancelled; after it, the agency tidies up. It may also be
    /// that the legacy system was restored, so the booking is left for a while, and until the
    /// fence was compared.
    fn lose_reservation(&mut self, position: Position, key: ReservationKey, effects: Option<&mut Effects>) {
        let lost = self.book.reservations.get(&key).filter(|row| row.active).and_then(|row| row.op);
        // The op may have written another row since, after a restore.
        let lost = lost.filter(|op| self.book.by_op.get(op).is_some_and(|(row, _)| *row == key));
        self.book.take_fact(position, Fact::ReservationGone(key), true);
        let (Some(op), Some(effects)) = (lost, effects) else { return };
        let id = self.book.booking_of(op);
        let Some(booking) = self.book.bookings.get(&id) else { return };
        let follows = booking.status == BookingStatus::Booked && booking.stands;
        let slot = self.book.slot_no(&booking.slot);
        let fact = slot.and_then(|no| self.book.slot(no).fact.as_ref());
        if follows && fact.is_none_or(|fact| self.now < fact.start) {
            self.persist(What::Vanished { booking: id }, effects);
            self.vanishing.insert((self.now.plus_ms(self.policy.vanish_ms), id));
        }
    }

    /// Did write-back find both sides level since the row vanished that counts as cancelled at `due`? Until then it may
    /// have vanished by a restore that nobody has noticed.
    fn is_level_since(&self, due: Timestamp) -> bool {
        self.level_at.is_some_and(|level| level > due.plus_ms(-self.policy.vanish_ms))
    }

    /// Do rows that vanished wait for `Event::Fence`? Write-back asks the fence anew then.
    pub fn wants_fence(&self) -> bool {
        self.vanishing.last().is_some_and(|(due, _)| !self.is_level_since(*due))
    }

    pub(super) fn next_vanished(&self) -> Option<Timestamp> {
        self.vanishing.first().map(|(due, _)| *due).filter(|due| self.is_level_since(*due))
    }

    /// Bookings whose row is gone for good.
    pub(super) fn follow_vanished(&mut self, effects: &mut Effects) {
        /// Of one tick.
        const FOLLOWED_MAX: usize = 500;
        let is_due = |due: Timestamp| due <= self.now && self.is_level_since(due);
        let due: Vec<_> = self.vanishing.iter().take_while(|(at, _)| is_due(*at)).take(FOLLOWED_MAX).copied().collect();
        for (at, id) in due {
            self.vanishing.remove(&(at, id));
            let gone = self.book.bookings.get(&id).is_some_and(|booking| {
                booking.vanished_at.is_some() && self.book.row_of(booking.convert) != Some(true)
            });
            if gone {
                self.follow_legacy_cancel(id, effects);
            }
        }
    }

    /// Rule 14: the legacy system cancelled a booking that it had from us.
    pub(super) fn follow_legacy_cancel(&mut self, booking: BookingId, effects: &mut Effects) {
        let follows = self
            .book
            .bookings
            .get(&booking)
            .is_some_and(|b| b.stands && (b.status == BookingStatus::Booked || b.waits_for_cancel()));
        if follows {
            self.persist(What::LegacyCancelled { booking }, effects);
        }
    }

    /// The legacy system had cancelled the booking itself, and a restore brought the reservation back (rule 28). No op of
    /// ours need have been lost with it.
    pub(super) fn cancel_revived(&mut self, id: BookingId, effects: &mut Effects) {
        let revived = self.book.bookings.get(&id).is_some_and(|b| {
            b.status == BookingStatus::Cancelled && b.reason == Some(EndReason::LegacyCancelled) && !b.stands
        });
        if revived {
            self.persist(What::CancelAgain { booking: id }, effects);
            effects.after_durable.push(After::OpsWaiting);
        }
    }
}

fn digest_of(facts: &[Fact]) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for fact in facts {
        let bytes = postcard::to_allocvec(fact).expect("facts have no type that postcard refuses");
        context.update(&bytes);
    }
    context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
