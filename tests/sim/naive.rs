//! The reference: the same verdicts from plain lists, by scanning everything each time. No index, no running totals.

use slotbridge::decide::{BookAsk, Entry, Policy, What};
use slotbridge::domain::{
    AllotmentMode, BookingId, Control, Fact, PartnerId, PersonNo, PersonRef, Position, Refusal, ReservationFact,
    SlotFact, SlotKey, SlotStatus, Timestamp,
};

use crate::account::{Account, is_lost};

#[derive(Default, Clone)]
pub struct Naive {
    pub entries: Vec<Entry>,
    /// Newest last.
    pub facts: Vec<(Position, Fact)>,
    /// Since the process began: its first instant, and whether the fence was compared and a full cut was told of.
    pub began_at: Option<Timestamp>,
    pub fenced: bool,
    pub full_cut: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Booked,
    Pending,
    Replay(Position),
    Refused(Refusal),
}

impl Naive {
    fn slot(&self, key: &SlotKey) -> Option<&SlotFact> {
        let newest = self.facts.iter().rev().find(|(_, fact)| match fact {
            Fact::Slot(slot) => slot.key == *key,
            Fact::SlotGone(gone) => gone == key,
            _ => false,
        });
        match newest {
            Some((_, Fact::Slot(slot))) => Some(slot),
            _ => None,
        }
    }

    pub fn was_requested(&self, booking: BookingId) -> bool {
        self.entries.iter().any(|e| e.position == booking.0 && matches!(e.what, What::Requested(_)))
    }

    /// Free units of a slot, by the account that the entries make.
    /// Bookings above the slot's room, as stated last.
    fn overrun(&self, key: &SlotKey) -> u32 {
        let stated = self.entries.iter().rev().find_map(|entry| match &entry.what {
            What::Overrun { slot, units } if slot == key => Some(*units),
            _ => None,
        });
        stated.unwrap_or(0)
    }

    pub fn free(&self, policy: &Policy, key: &SlotKey) -> i64 {
        Account::read(&self.entries, policy).free(key)
    }

    /// Newest content of every reservation row.
    fn reservations(&self) -> Vec<&ReservationFact> {
        let mut newest: Vec<&ReservationFact> = Vec::new();
        for (_, fact) in &self.facts {
            match fact {
                Fact::Reservation(r) => {
                    newest.retain(|n| n.key != r.key);
                    newest.push(r);
                }
                Fact::ReservationGone(key) => newest.retain(|n| n.key != *key),
                _ => {}
            }
        }
        newest
    }

    /// A booking that the desk did not make, as far as its own ledger tells.
    fn is_strange(policy: &Policy, row: &ReservationFact) -> bool {
        row.active && row.op.is_none_or(|op| is_lost(policy, op.position))
    }

    fn settles(&self, policy: &Policy, now: Timestamp) -> bool {
        let waited = self.began_at.is_some_and(|began| now >= began.plus_ms(policy.settle_ms));
        !self.fenced || !(self.full_cut || waited)
    }

    fn standing(&self, person: PersonNo) -> Option<(slotbridge::domain::CohortNo, bool)> {
        self.facts.iter().rev().find_map(|(_, fact)| match fact {
            Fact::Person(p) if p.person == person => Some((p.cohort, p.bookable)),
            _ => None,
        })
    }

    pub fn verdict(&self, policy: &Policy, now: Timestamp, partner: &PartnerId, ask: &BookAsk) -> Verdict {
        let known = self.entries.iter().rev().find_map(|entry| match &entry.what {
            What::Booked(b) | What::Requested(b) if b.key == ask.key => Some((entry.position, b.body)),
            What::Refused { key, body, .. } if *key == ask.key && now.since_ms(entry.at) <= policy.refused_keep_ms => {
                Some((entry.position, *body))
            }
            _ => None,
        });
        if let Some((position, body)) = known {
            return if body == ask.body {
                Verdict::Replay(position)
            } else {
                Verdict::Refused(Refusal::IdempotencyKeyReused)
            };
        }
        let age = now.since_ms(ask.first_sent_at);
        if age > policy.first_sent_age_max_ms || age < -policy.first_sent_ahead_max_ms {
            return Verdict::Refused(Refusal::RequestTooOld);
        }
        let account = Account::read(&self.entries, policy);
        if account.control == Control::Stop {
            return Verdict::Refused(Refusal::StoppedByAgency);
        }
        if !policy.given_up.is_empty() && self.settles(policy, now) {
            return Verdict::Refused(Refusal::Settling);
        }
        let asks = self.slot(&ask.slot).is_some_and(|slot| policy.mode_of_fact(slot) == AllotmentMode::OnRequest);
        match self.refusal(policy, &account, now, partner, ask) {
            Some(refusal) => Verdict::Refused(refusal),
            None if asks && account.pending() >= policy.pending_max as usize => {
                Verdict::Refused(Refusal::TooManyPending)
            }
            None if asks => Verdict::Pending,
            None => Verdict::Booked,
        }
    }

    fn refusal(
        &self,
        policy: &Policy,
        account: &Account,
        now: Timestamp,
        partner: &PartnerId,
        ask: &BookAsk,
    ) -> Option<Refusal> {
        let Some(slot) = self.slot(&ask.slot) else { return Some(Refusal::UnknownSlot) };
        if slot.series != ask.series {
            return Some(Refusal::SeriesMismatch);
        }
        let mode = policy.mode_of_fact(slot);
        if mode == AllotmentMode::None {
            return Some(Refusal::SlotNotOffered);
        }
        let series = policy.series.get(&slot.series);
        if slot.opens_at.is_some_and(|at| at > now) || series.is_some_and(|s| s.opens_at.is_some_and(|at| at > now)) {
            return Some(Refusal::NotOpenYet);
        }
        if slot.status == SlotStatus::Closed || now >= slot.start.plus_ms(-policy.cutoff_ms) {
            return Some(Refusal::SlotClosed);
        }
        let since = self.entries.iter().rev().find_map(|entry| match &entry.what {
            What::Redefined { slot, .. } if *slot == ask.slot => Some(entry.position),
            _ => None,
        });
        let stale = ask.seen_cursor.is_some_and(|seen| since.is_some_and(|since| seen < since));
        if ask.accept_version.map_or(stale, |accepted| accepted != slot.version) {
            return Some(Refusal::SlotChanged);
        }
        let rows = self.reservations();
        let is_ours = |row: &&&ReservationFact| row.slot == ask.slot && row.op.is_some();
        let strangers = rows.iter().filter(is_ours).filter(|row| Self::is_strange(policy, row)).count();
        let free = match mode {
            AllotmentMode::OnRequest => {
                i64::from(slot.capacity) - i64::from(slot.native) - strangers as i64 - account.occupied(&ask.slot)
            }
            _ if account.is_frozen(policy, slot) || self.overrun(&ask.slot) > 0 => 0,
            _ => account.free(&ask.slot),
        };
        if free <= 0 {
            return Some(Refusal::SlotFull);
        }
        let PersonRef::Known(person) = ask.person else { return Some(Refusal::NotBookable) };
        match account.booking_of(person, &ask.series) {
            Some(owner) if owner == partner => return Some(Refusal::PersonAlreadyBooked),
            Some(_) => return Some(Refusal::NotBookable),
            None => {}
        }
        let today = self.entries.iter().filter(|entry| entry.at.seoul_day() == now.seoul_day());
        let spent = today.filter(|entry| {
            matches!(&entry.what, What::Refused { partner: p, person: Some(who), evaluated: true, .. }
                if p == partner && *who == ask.person)
        });
        if spent.count() >= policy.not_bookable_per_day as usize {
            return Some(Refusal::NotBookable);
        }
        let eligible = self
            .standing(person)
            .is_some_and(|(cohort, bookable)| bookable && series.is_some_and(|series| series.cohorts.holds(cohort)));
        let elsewhere = |row: &&ReservationFact| row.person == person && row.series == ask.series;
        let native = rows.into_iter().filter(elsewhere).any(|row| Self::is_strange(policy, row));
        (native || !eligible).then_some(Refusal::NotBookable)
    }
}
