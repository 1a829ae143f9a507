//! The reference: the same verdicts from plain lists, by scanning everything each time. No index, no running totals.

use slotbridge::decide::{BookAsk, Entry, OpResult, OpWhat, Policy, What};
use slotbridge::domain::{
    Fact, PartnerId, PersonNo, PersonRef, Position, Refusal, ReservationFact, SeriesId, SlotFact, SlotKey, SlotStatus,
    Timestamp,
};

#[derive(Default, Clone)]
pub struct Naive {
    pub entries: Vec<Entry>,
    /// Newest last.
    pub facts: Vec<(Position, Fact)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Booked,
    Replay(Position),
    Refused(Refusal),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    Active,
    Ended,
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

    fn op(&self, position: Position) -> Option<OpWhat> {
        let entry = self.entries.iter().find(|entry| entry.position == position)?;
        Some(match &entry.what {
            What::Booked(b) => OpWhat::Convert {
                booking: slotbridge::domain::BookingId(position),
                person: b.person,
                series: b.series.clone(),
            },
            What::Cancelled { booking, .. } => OpWhat::Cancel { booking: *booking, convert: booking.0 },
            What::TakeAsked { units, .. } => OpWhat::Take { units: *units },
            What::ReturnAsked { units, .. } => OpWhat::Return { units: *units },
            _ => return None,
        })
    }

    fn slot_of(&self, position: Position) -> Option<SlotKey> {
        let entry = self.entries.iter().find(|entry| entry.position == position)?;
        match &entry.what {
            What::Booked(b) => Some(b.slot.clone()),
            What::Cancelled { booking, .. } => self.slot_of(booking.0),
            What::TakeAsked { slot, .. } | What::ReturnAsked { slot, .. } => Some(slot.clone()),
            _ => None,
        }
    }

    /// Free units of a slot: every entry that ever touched them, added up.
    pub fn free(&self, key: &SlotKey) -> i64 {
        let of_slot = |position: Position| self.slot_of(position).as_ref() == Some(key);
        let mut free = 0;
        for entry in &self.entries {
            match &entry.what {
                What::Booked(b) if b.slot == *key => free -= 1,
                What::Cancelled { booking, coalesced: true } if of_slot(booking.0) => free += 1,
                What::Assigned { slot, granted } if slot == key => {
                    free = i64::from(*granted) - self.in_use(key, entry.position);
                }
                What::ReturnAsked { slot, units } if slot == key => free -= i64::from(*units),
                What::OpDone { op, result } if of_slot(*op) => {
                    free += match (self.op(*op), result) {
                        (Some(OpWhat::Take { .. }), OpResult::Taken { units }) => i64::from(*units),
                        (Some(OpWhat::Return { units }), OpResult::Rejected { reason }) if reason.keeps_units() => {
                            i64::from(units)
                        }
                        (Some(OpWhat::Convert { .. }), OpResult::Rejected { reason }) if reason.keeps_units() => 1,
                        (Some(OpWhat::Cancel { .. }), OpResult::TurnedBack) => 1,
                        _ => 0,
                    }
                }
                _ => {}
            }
        }
        free
    }

    /// Units of a slot that bookings before `until` use.
    fn in_use(&self, key: &SlotKey, until: Position) -> i64 {
        let earlier = || self.entries.iter().take_while(|entry| entry.position < until);
        let used = earlier().filter(|entry| matches!(&entry.what, What::Booked(b) if b.slot == *key)).count();
        let left = earlier().filter(|entry| match &entry.what {
            What::Cancelled { booking, coalesced: true } | What::LegacyCancelled { booking } => {
                self.slot_of(booking.0).as_ref() == Some(key)
            }
            What::OpDone { op, result } => {
                let rejected = matches!(result, OpResult::Rejected { .. });
                self.slot_of(*op).as_ref() == Some(key)
                    && match self.op(*op) {
                        Some(OpWhat::Convert { .. }) => rejected,
                        Some(OpWhat::Cancel { .. }) => true,
                        _ => false,
                    }
            }
            _ => false,
        });
        used as i64 - left.count() as i64
    }

    fn life(&self, booking: Position) -> Life {
        let ended = self.entries.iter().any(|entry| match &entry.what {
            What::Cancelled { booking: b, .. } | What::LegacyCancelled { booking: b } => b.0 == booking,
            What::OpDone { op, result: OpResult::Rejected { .. } } => *op == booking,
            _ => false,
        });
        if ended { Life::Ended } else { Life::Active }
    }

    fn bridge_booking(&self, person: PersonNo, series: &SeriesId) -> Option<&PartnerId> {
        self.entries.iter().find_map(|entry| match &entry.what {
            What::Booked(b)
                if b.person == person && b.series == *series && self.life(entry.position) == Life::Active =>
            {
                Some(&b.partner)
            }
            _ => None,
        })
    }

    fn native(&self, person: PersonNo, series: &SeriesId) -> bool {
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
        newest.iter().any(|r| r.person == person && r.series == *series && r.active && r.op.is_none())
    }

    fn standing(&self, person: PersonNo) -> Option<(slotbridge::domain::CohortNo, bool)> {
        self.facts.iter().rev().find_map(|(_, fact)| match fact {
            Fact::Person(p) if p.person == person => Some((p.cohort, p.bookable)),
            _ => None,
        })
    }

    pub fn verdict(&self, policy: &Policy, now: Timestamp, partner: &PartnerId, ask: &BookAsk) -> Verdict {
        let known = self.entries.iter().rev().find_map(|entry| match &entry.what {
            What::Booked(b) if b.key == ask.key => Some((entry.position, b.body)),
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
        match self.refusal(policy, now, partner, ask) {
            Some(refusal) => Verdict::Refused(refusal),
            None => Verdict::Booked,
        }
    }

    fn refusal(&self, policy: &Policy, now: Timestamp, partner: &PartnerId, ask: &BookAsk) -> Option<Refusal> {
        let Some(slot) = self.slot(&ask.slot) else { return Some(Refusal::UnknownSlot) };
        if slot.series != ask.series {
            return Some(Refusal::SeriesMismatch);
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
        if self.free(&ask.slot) <= 0 {
            return Some(Refusal::SlotFull);
        }
        let PersonRef::Known(person) = ask.person else { return Some(Refusal::NotBookable) };
        match self.bridge_booking(person, &ask.series) {
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
        (self.native(person, &ask.series) || !eligible).then_some(Refusal::NotBookable)
    }
}
