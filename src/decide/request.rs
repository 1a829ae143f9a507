//! Decides partners' requests. The order of checks is the booking rules': key, age, slot, person. A person fact is
//! answered only where a booking would otherwise be made.

use std::sync::Arc;

use crate::domain::{AllotmentMode, BookingId, Control, PartnerId, PersonNo, PersonRef, Refusal, SeriesId, Timestamp};

use super::alternatives::{self, Wanted};
use super::book::{SlotNo, TokenCalls};
use super::desk::Desk;
use super::entry::{Booked, What};
use super::event::{After, Ask, BookAsk, Effects, Outcome, Refused, TokenAsk};

/// Alternatives a refusal carries at most, whatever was asked.
const ALTERNATIVES_MAX: usize = 10;
/// Radius of alternatives at most.
const WITHIN_M_MAX: u32 = 20_000;

/// Why a person cannot book; only the caller's own booking is told apart in the answer.
enum Bar {
    Own,
    Other,
}

impl Desk {
    pub(super) fn request(&mut self, ticket: u64, partner: PartnerId, ask: Ask, effects: &mut Effects) {
        match ask {
            Ask::Book(book) => self.book_request(ticket, partner, book, effects),
            Ask::Cancel { booking, if_match } => {
                let outcome = self.cancel(&partner, booking, if_match.as_deref(), effects);
                effects.after_durable.push(After::Reply { ticket, partner, entry: None, outcome });
            }
            Ask::Token(ask) => {
                let outcome = self.token(&partner, &ask, effects);
                effects.after_durable.push(After::Reply { ticket, partner, entry: None, outcome });
            }
        }
    }

    fn book_request(&mut self, ticket: u64, partner: PartnerId, ask: BookAsk, effects: &mut Effects) {
        self.forget_old_refusals();
        let reply = |entry, outcome| After::Reply { ticket, partner: partner.clone(), entry, outcome };
        if let Some(known) = self.book.keys.get(&ask.key) {
            let outcome = if known.body == ask.body {
                Outcome::Replay { entry: known.entry }
            } else {
                Outcome::Refused(Refused::plain(Refusal::IdempotencyKeyReused))
            };
            effects.after_durable.push(reply(None, outcome));
            return;
        }
        let age = self.now.since_ms(ask.first_sent_at);
        if age > self.policy.first_sent_age_max_ms || age < -self.policy.first_sent_ahead_max_ms {
            effects.after_durable.push(reply(None, Outcome::Refused(Refused::plain(Refusal::RequestTooOld))));
            return;
        }
        if self.book.control == Control::Stop {
            effects.after_durable.push(reply(None, Outcome::Refused(Refused::plain(Refusal::StoppedByAgency))));
            return;
        }
        if self.is_settling() {
            effects.after_durable.push(reply(None, Outcome::Refused(Refused::plain(Refusal::Settling))));
            return;
        }
        let remembered = self.book.refusals.get(&partner).map_or(0, |r| r.remembered);
        let (entry, outcome) = match self.judge(&partner, &ask) {
            Ok((no, person)) => self.sell(no, person, partner.clone(), &ask, effects),
            Err((code, _)) if !code.is_remembered() => {
                effects.after_durable.push(reply(None, Outcome::Refused(Refused::plain(code))));
                return;
            }
            // No room to remember another refusal: nothing is stored, and the reason stays unsaid.
            Err(_) if remembered >= self.policy.refused_keys_max => {
                let outcome = Outcome::Refused(Refused::plain(Refusal::TooManyRefusals));
                effects.after_durable.push(reply(None, outcome));
                return;
            }
            Err((code, no)) => self.refuse(code, no, &partner, &ask, effects),
        };
        effects.after_durable.push(reply(Some(entry), outcome));
        self.wake_worker(effects);
    }

    /// May the request be granted? `Err` names the first check that fails.
    fn judge(&self, partner: &PartnerId, ask: &BookAsk) -> Result<(SlotNo, PersonNo), (Refusal, Option<SlotNo>)> {
        let no = self.book.slot_no(&ask.slot).ok_or((Refusal::UnknownSlot, None))?;
        let slot = self.book.slot(no);
        let fact = slot.fact.as_ref().ok_or((Refusal::UnknownSlot, None))?;
        let refuse = |code| Err((code, Some(no)));
        if fact.series != ask.series {
            return refuse(Refusal::SeriesMismatch);
        }
        let mode = self.policy.mode_of_fact(fact);
        if mode == AllotmentMode::None {
            return refuse(Refusal::SlotNotOffered);
        }
        if self.opens_at(no).is_some() {
            return refuse(Refusal::NotOpenYet);
        }
        if !slot.is_open() || self.now >= fact.start.plus_ms(-self.policy.cutoff_ms) {
            return refuse(Refusal::SlotClosed);
        }
        let changed = match ask.accept_version {
            Some(accepted) => accepted != fact.version,
            None => ask.seen_cursor.is_some_and(|seen| seen < slot.version_since),
        };
        if changed {
            return refuse(Refusal::SlotChanged);
        }
        let on_request = mode == AllotmentMode::OnRequest;
        if (if on_request { slot.remaining() } else { self.book.sellable(no) }) == 0 {
            return refuse(Refusal::SlotFull);
        }
        let person = match ask.person {
            PersonRef::Nobody(_) => refuse(Refusal::NotBookable),
            PersonRef::Known(person) => match self.bar(partner, person, &ask.series) {
                None => Ok((no, person)),
                Some(Bar::Own) => refuse(Refusal::PersonAlreadyBooked),
                Some(Bar::Other) => refuse(Refusal::NotBookable),
            },
        };
        if on_request && person.is_ok() && self.book.pending >= self.policy.pending_max {
            return refuse(Refusal::TooManyPending);
        }
        person
    }

    /// When the slot opens, if that is still to come.
    fn opens_at(&self, no: SlotNo) -> Option<Timestamp> {
        let fact = self.book.slot(no).fact.as_ref()?;
        let series = self.policy.series.get(&fact.series).and_then(|s| s.opens_at);
        fact.opens_at.max(series).filter(|at| *at > self.now)
    }

    fn bar(&self, partner: &PartnerId, person: PersonNo, series: &SeriesId) -> Option<Bar> {
        let engagement = self.book.engagement(person, series);
        let bridge = engagement.bridge.and_then(|id| self.book.bookings.get(&id));
        if bridge.is_some_and(|booking| booking.partner == *partner) {
            return Some(Bar::Own);
        }
        // Asked too often today: the same answer without looking.
        if bridge.is_some() || self.spent(partner, PersonRef::Known(person)) >= self.policy.not_bookable_per_day {
            return Some(Bar::Other);
        }
        let standing = self.book.standing(person);
        let cohorts = self.policy.series.get(series).map(|s| s.cohorts).unwrap_or_default();
        let eligible = standing.known && standing.bookable && cohorts.holds(crate::domain::CohortNo(standing.cohort));
        (engagement.native > 0 || !eligible).then_some(Bar::Other)
    }

    /// Evaluated refusals about the person today.
    fn spent(&self, partner: &PartnerId, person: PersonRef) -> u32 {
        let of_partner = self.book.refusals.get(partner).filter(|r| r.day == self.now.seoul_day());
        of_partner.and_then(|r| r.of_person.get(&person).copied()).unwrap_or(0)
    }

    fn sell(
        &mut self,
        no: SlotNo,
        person: PersonNo,
        partner: PartnerId,
        ask: &BookAsk,
        effects: &mut Effects,
    ) -> (crate::domain::Position, Outcome) {
        let version = self.book.slot(no).fact.as_ref().map_or(crate::domain::SlotVersion(0), |f| f.version);
        let booked = Booked {
            partner,
            person,
            series: ask.series.clone(),
            slot: ask.slot.clone(),
            version,
            key: ask.key,
            body: ask.body,
            partner_ref: ask.partner_ref.clone(),
        };
        let on_request = self.mode(no) == AllotmentMode::OnRequest;
        let what = if on_request { What::Requested(booked) } else { What::Booked(booked) };
        let entry = self.persist(what, effects);
        let id = BookingId(entry);
        let booking = self.book.bookings[&id].view(id);
        let slot = Arc::new(self.book.slot(no).view().expect("a slot that is sold has a fact"));
        if on_request {
            return (entry, Outcome::Pending { booking, slot });
        }
        self.asked_for(no);
        self.refill_after_sale(no, effects);
        (entry, Outcome::Booked { booking, slot })
    }

    fn refuse(
        &mut self,
        code: Refusal,
        no: Option<SlotNo>,
        partner: &PartnerId,
        ask: &BookAsk,
        effects: &mut Effects,
    ) -> (crate::domain::Position, Outcome) {
        let about_person = matches!(code, Refusal::NotBookable | Refusal::PersonAlreadyBooked);
        let spent = self.spent(partner, ask.person);
        let evaluated = code == Refusal::NotBookable && spent < self.policy.not_bookable_per_day;
        let mut refused = Refused::plain(code);
        if let PersonRef::Known(person) = ask.person
            && code == Refusal::PersonAlreadyBooked
        {
            refused.own_booking = self.book.engagement(person, &ask.series).bridge;
        }
        if let Some(no) = no.filter(|_| !about_person) {
            self.asked_for(no);
            refused.retry_after_ms = self.refill_after_refusal(code, no, effects);
            refused.slot = self.book.slot(no).view().map(Arc::new);
            refused.opens_at = self.opens_at(no);
            refused.alternatives = self.alternatives(code, no, ask);
        }
        if let Some(seen) = ask.seen_cursor.filter(|_| !about_person) {
            refused.seen_age_ms =
                self.reached_at(seen).map(|at| u64::try_from(self.now.since_ms(at)).unwrap_or_default());
        }
        let what = What::Refused {
            partner: partner.clone(),
            key: ask.key,
            body: ask.body,
            code,
            person: about_person.then_some(ask.person),
            evaluated,
        };
        let entry = self.persist(what, effects);
        (entry, Outcome::Refused(refused))
    }

    fn alternatives(&self, code: Refusal, no: SlotNo, ask: &BookAsk) -> Vec<super::event::Alternative> {
        let helps = matches!(code, Refusal::SlotFull | Refusal::SlotClosed | Refusal::SlotChanged);
        let Some(fact) = self.book.slot(no).fact.as_ref().filter(|_| helps) else { return Vec::new() };
        let wanted = Wanted {
            site: &fact.site,
            series: &fact.series,
            start: fact.start,
            not: no,
            within_m: ask.within_m.min(WITHIN_M_MAX),
            max: usize::from(ask.alternatives_max).min(ALTERNATIVES_MAX),
            key: ask.key,
        };
        let mut found = alternatives::find(&self.book, &self.nearby, &wanted);
        found.retain(|a| {
            self.now < a.slot.start.plus_ms(-self.policy.cutoff_ms)
                && self.book.slot_no(&a.slot.key).is_some_and(|no| self.opens_at(no).is_none())
        });
        found
    }

    fn cancel(&mut self, partner: &PartnerId, id: BookingId, if_match: Option<&str>, effects: &mut Effects) -> Outcome {
        let Some(booking) = self.book.bookings.get(&id).filter(|b| b.partner == *partner) else {
            return Outcome::Refused(Refused::plain(Refusal::UnknownBooking));
        };
        if !booking.status.is_active() {
            return Outcome::Cancelled { booking: booking.view(id) };
        }
        if self.book.control == Control::Stop {
            return Outcome::Refused(Refused::plain(Refusal::StoppedByAgency));
        }
        if if_match.is_some_and(|wanted| wanted != "*" && wanted != booking.view(id).etag()) {
            return Outcome::Refused(Refused::plain(Refusal::PreconditionFailed));
        }
        let slot = booking.slot.clone();
        // An appointment that has begun may have been kept: ending it is the agency's.
        let fact = self.book.slot_no(&slot).and_then(|no| self.book.slot(no).fact.as_ref());
        if fact.is_some_and(|fact| self.now >= fact.start) {
            return Outcome::Refused(Refused::plain(Refusal::SlotClosed));
        }
        // One that stands still between two converts has none that could have been run.
        let unclaimed = |op: &super::book::PendingOp| !op.claimed;
        let coalesced = booking.is_open() && self.book.ops.get(&booking.convert).is_none_or(unclaimed);
        self.persist(What::Cancelled { booking: id, coalesced }, effects);
        if let Some(no) = self.book.slot_no(&slot) {
            self.await_idle(no);
            if !self.book.slot(no).is_open() || self.holds_none(no) {
                self.give_back(no, effects);
            }
        }
        self.wake_worker(effects);
        Outcome::Cancelled { booking: self.book.bookings[&id].view(id) }
    }

    /// Absolute limits on distinct persons a day, and over the epochs that are accepted; a receipt counts once.
    fn token(&mut self, partner: &PartnerId, ask: &TokenAsk, effects: &mut Effects) -> Outcome {
        while let Some((at, old)) = self.book.receipts_by_age.front().copied() {
            if self.now.since_ms(at) <= self.policy.receipt_keep_ms {
                break;
            }
            self.book.receipts_by_age.pop_front();
            self.book.receipts.remove(&old);
        }
        if self.book.receipts.contains_key(&ask.receipt) {
            return Outcome::Refused(Refused::plain(Refusal::ReceiptUsed));
        }
        let none = TokenCalls::default();
        let calls = self.book.tokens.get(partner).unwrap_or(&none);
        if calls.is_over(self.now.seoul_day(), ask) {
            return Outcome::Refused(Refused::plain(Refusal::TokenLimitReached));
        }
        let &TokenAsk { person, before, receipt, epoch, .. } = ask;
        let before = before.filter(|before| *before != person);
        self.persist(What::TokenGiven { partner: partner.clone(), person, before, receipt, epoch }, effects);
        Outcome::TokenGiven
    }

    /// A refused key is unknown again after 24 h.
    pub(super) fn forget_old_refusals(&mut self) {
        while let Some((at, _, _)) = self.book.refused.front() {
            if self.now.since_ms(*at) <= self.policy.refused_keep_ms {
                break;
            }
            if let Some((at, key, partner)) = self.book.refused.pop_front() {
                // The key may have been used again since, and granted.
                if self.book.keys.get(&key).is_some_and(|known| known.at == at && !known.accepted) {
                    self.book.keys.remove(&key);
                }
                if let Some(of_partner) = self.book.refusals.get_mut(&partner) {
                    of_partner.remembered = of_partner.remembered.saturating_sub(1);
                }
            }
        }
    }
}

impl Refused {
    /// A refusal that says nothing but its code.
    pub fn plain(code: Refusal) -> Refused {
        Refused {
            code,
            slot: None,
            seen_age_ms: None,
            retry_after_ms: None,
            opens_at: None,
            own_booking: None,
            alternatives: Vec::new(),
        }
    }
}
