//! The desk: the one writer. Numbers entries, decides, and says what follows once they are durable.
//!
//! No clock, no I/O, no randomness: time is an argument, and ledger time never goes back whatever it is told.
//! Decisions read facts and outcomes together; everything they change goes through `Book::apply` as an entry, so a
//! replay of the entries over the newest facts ends in the same book.

use std::collections::BTreeSet;
use std::sync::Arc;

use ring::digest;

use crate::domain::{
    BookingId, BookingStatus, Fact, KeyMac, Position, ReservationFact, ReservationKey, SlotFact, SlotKey, SlotStatus,
    Sync, Timestamp, Touched,
};

use super::alternatives::Nearby;
use super::book::{Book, Mark, SlotNo};
use super::entry::{Entry, Op, OpResult, OpWhat, What};
use super::event::{After, Agreement, Effects, Event, Given, KnownKey};
use super::policy::Policy;

pub struct Desk {
    pub(super) policy: Policy,
    pub(super) book: Book,
    pub(super) nearby: Nearby,
    /// Number of the next entry.
    pub(super) next: Position,
    pub(super) now: Timestamp,
    /// When positions were reached, sparsely; tells how old a caller's screen is.
    pub(super) reached: Vec<(Position, Timestamp)>,
    /// Open slots by the instant at which their cutoff passes.
    pub(super) cutoffs: BTreeSet<(Timestamp, SlotNo)>,
    /// Slots with free units by the instant at which these go back if nobody asks.
    pub(super) idle: BTreeSet<(Timestamp, SlotNo)>,
    /// Open slots by start that were not given their first units yet.
    pub(super) cold: BTreeSet<(Timestamp, SlotNo)>,
    pub(super) prewarmed_at: Timestamp,
    /// Keys of granted requests in order; lets a snapshot list them without iterating a hash map.
    pub(super) accepted: Vec<KeyMac>,
    /// The ledger was not empty when the desk began.
    pub(super) resumed: bool,
}

impl Desk {
    /// A desk over an empty ledger.
    pub fn new(policy: Policy) -> Desk {
        Desk {
            policy,
            book: Book::default(),
            nearby: Nearby::default(),
            next: Position(1),
            now: Timestamp(0),
            reached: Vec::new(),
            cutoffs: BTreeSet::new(),
            idle: BTreeSet::new(),
            cold: BTreeSet::new(),
            prewarmed_at: Timestamp(0),
            accepted: Vec::new(),
            resumed: false,
        }
    }

    /// Last position given out.
    pub fn position(&self) -> Position {
        Position(self.next.0 - 1)
    }

    pub fn step(&mut self, now: Timestamp, event: Event, effects: &mut Effects) {
        self.now = self.now.max(now);
        match event {
            Event::Facts { ticket, facts } => self.take_facts(ticket, facts, effects),
            Event::Request { ticket, partner, ask } => self.request(ticket, partner, ask, effects),
            Event::Reserve { ticket, count } => {
                let first = self.persist(What::Reserve { count: count.max(1) }, effects);
                effects.after_durable.push(After::Reserved { ticket, first, count: count.max(1) });
            }
            Event::Claim { ticket, max } => {
                let mode = self.policy.mode;
                let ops = self.claim(max).into_iter().map(|op| Given { op, mode, honour: false }).collect();
                effects.after_durable.push(After::Claimed { ticket, ops });
            }
            Event::OpDone { op, result } => self.op_done(op, result, effects),
            Event::OpInDoubt { op } => {
                let known = self.book.ops.get(&op).is_some_and(|pending| match &pending.op.what {
                    OpWhat::Convert { booking, .. } => {
                        self.book.bookings.get(booking).is_some_and(|b| b.sync != Sync::InDoubt)
                    }
                    _ => false,
                });
                if known {
                    self.persist(What::OpInDoubt { op }, effects);
                }
            }
            Event::Release { slots } => {
                for key in slots {
                    if let Some(no) = self.book.slot_no(&key) {
                        self.give_back(no, effects);
                    }
                }
            }
            Event::Switch { .. } => {}
            Event::GiveBack { ticket, .. } => effects.after_durable.push(After::GivenBack { ticket, left: 0 }),
            Event::Fence { ticket, .. } => {
                effects.after_durable.push(After::Fenced { ticket, agreement: Agreement::Level });
            }
            Event::Tick => self.tick(effects),
        }
        self.note_reached();
    }

    /// Numbers an entry, applies it to the book and lays it out for the ledger.
    pub(super) fn persist(&mut self, what: What, effects: &mut Effects) -> Position {
        let entry = Entry { position: self.next, at: self.now, what };
        self.next = entry.last().next();
        self.book.apply(&entry).expect("the desk persists only what fits its own book");
        let position = entry.position;
        effects.persist.push(entry);
        position
    }

    /// Keeps the list of granted keys in step with the book; called after every applied entry of a replay.
    pub(super) fn note_accepted(&mut self) {
        let known = self.book.new_keys.drain(..);
        self.accepted.extend(known.filter(|k| k.accepted).map(|k| k.key));
    }

    pub(super) fn note_reached(&mut self) {
        /// A mark each 50 ms at most, for 2^16 marks: the newest hour of a busy day.
        const MARKS_MAX: usize = 1 << 16;
        let reached = (self.position(), self.now);
        match self.reached.last() {
            Some((position, at)) if *position == reached.0 || reached.1.since_ms(*at) < 50 => {}
            _ => self.reached.push(reached),
        }
        if self.reached.len() > MARKS_MAX {
            self.reached.drain(..MARKS_MAX / 2);
        }
    }

    /// When `position` was the newest, as far as is remembered.
    pub(super) fn reached_at(&self, position: Position) -> Option<Timestamp> {
        let after = self.reached.partition_point(|(p, _)| *p <= position);
        after.checked_sub(1).map(|at| self.reached[at].1)
    }

    fn take_facts(&mut self, ticket: u64, facts: Vec<Fact>, effects: &mut Effects) {
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
                self.book.take_fact(position, Fact::SlotGone(key));
            }
            Fact::Reservation(reservation) => self.take_reservation(position, reservation, effects),
            Fact::ReservationGone(key) => self.lose_reservation(position, key, effects),
            Fact::Site(site) => {
                self.nearby.place_site(&site.key, site.place);
                self.book.take_fact(position, Fact::Site(site));
            }
            Fact::SiteGone(key) => {
                self.nearby.place_site(&key, None);
                self.book.take_fact(position, Fact::SiteGone(key));
            }
            other => self.book.take_fact(position, other),
        }
    }

    fn take_slot(&mut self, position: Position, fact: SlotFact, effects: Option<&mut Effects>) {
        let no = self.book.slot_no_or_new(&fact.key);
        self.unindex(no);
        let slot = self.book.slot(no);
        let before = slot.fact.as_ref().map(|f| f.version).or(slot.version_before);
        let (version, key) = (fact.version, fact.key.clone());
        let raised = self.book.slot(no).fact.as_ref().is_some_and(|f| f.capacity < fact.capacity);
        self.book.take_fact(position, Fact::Slot(fact));
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
        self.follow_assignment(no, effects);
        self.pass_cutoff(no, effects);
        if !self.book.slot(no).is_open() {
            self.give_back(no, effects);
        }
    }

    fn take_reservation(&mut self, position: Position, fact: ReservationFact, effects: Option<&mut Effects>) {
        let lost = fact.op.filter(|_| !fact.active).map(|op| op.position);
        self.book.take_fact(position, Fact::Reservation(fact));
        if let (Some(op), Some(effects)) = (lost, effects) {
            self.follow_legacy_cancel(op, effects);
        }
    }

    /// A row of ours that vanishes before its appointment was cancelled; after it, the agency tidies up.
    fn lose_reservation(&mut self, position: Position, key: ReservationKey, effects: Option<&mut Effects>) {
        let lost = self.book.reservations.get(&key).filter(|row| row.active).and_then(|row| row.op);
        self.book.take_fact(position, Fact::ReservationGone(key));
        let (Some(op), Some(effects)) = (lost, effects) else { return };
        let slot = self.book.bookings.get(&BookingId(op)).and_then(|booking| self.book.slot_no(&booking.slot));
        let fact = slot.and_then(|no| self.book.slot(no).fact.as_ref());
        if fact.is_none_or(|fact| self.now < fact.start) {
            self.follow_legacy_cancel(op, effects);
        }
    }

    /// Rule 14: the legacy system cancelled a booking that it had from us.
    fn follow_legacy_cancel(&mut self, convert: Position, effects: &mut Effects) {
        let booking = BookingId(convert);
        let follows = self
            .book
            .bookings
            .get(&booking)
            .is_some_and(|b| b.status == BookingStatus::Booked && b.sync == Sync::Applied);
        if follows {
            self.persist(What::LegacyCancelled { booking }, effects);
        }
    }

    fn op_done(&mut self, op: Position, result: OpResult, effects: &mut Effects) {
        let Some(pending) = self.book.ops.get(&op) else { return };
        let done = pending.op.clone();
        let result = fitting(&done, result);
        let emptied = matches!(result, OpResult::Taken { units: 0 } | OpResult::Rejected { .. });
        self.persist(What::OpDone { op, result }, effects);
        let no = self.book.slot_no_or_new(&done.slot);
        match done.what {
            OpWhat::Take { .. } if emptied => {
                let until = self.now.plus_ms(self.policy.refill.empty_wait_ms);
                self.book.slot_mut(no).no_take_before = until;
            }
            OpWhat::Convert { .. } if self.book.by_op.get(&op) == Some(&false) => {
                // Cancelled by the legacy side before we heard that it was applied.
                self.follow_legacy_cancel(op, effects);
            }
            _ => {}
        }
        self.follow_assignment(no, effects);
        self.await_idle(no);
        if !self.book.slot(no).is_open() {
            self.give_back(no, effects);
        }
        if !self.book.waiting.is_empty() {
            effects.after_durable.push(After::OpsWaiting);
        }
    }

    /// Gives the worker ops that it does not have, oldest first, at most one at a time a person and series: an op of
    /// a person must not overtake another. Given is claimed: a later cancel no longer coalesces with its convert.
    fn claim(&mut self, max: usize) -> Vec<Op> {
        let mut given = Vec::new();
        let candidates: Vec<Position> = self.book.waiting.iter().copied().take(max.saturating_mul(4)).collect();
        for position in candidates {
            if given.len() == max {
                break;
            }
            let Some(pending) = self.book.ops.get(&position) else { continue };
            let person = match &pending.op.what {
                OpWhat::Convert { person, series, .. } | OpWhat::Place { person, series, .. } => {
                    Some((*person, series.clone()))
                }
                OpWhat::Cancel { booking, .. } => self.book.bookings.get(booking).map(|b| (b.person, b.series.clone())),
                OpWhat::Take { .. } | OpWhat::Return { .. } | OpWhat::Mend { .. } => None,
            };
            let first_of_person = person
                .and_then(|person| self.book.ops_of_person.get(&person)?.first().copied())
                .is_none_or(|first| first == position);
            if !first_of_person {
                continue;
            }
            if let Some(pending) = self.book.ops.get_mut(&position) {
                pending.claimed = true;
                pending.given = true;
                given.push(pending.op.clone());
            }
            self.book.waiting.remove(&position);
        }
        given
    }

    /// What was touched since the last call, each once, in order of position.
    pub fn take_touched(&mut self) -> Vec<Touched> {
        let marks = std::mem::take(&mut self.book.marks);
        let mut touched: Vec<Touched> = marks.iter().filter_map(|mark| self.touched(mark)).collect();
        touched.sort_by_key(Touched::position);
        touched
    }

    pub(super) fn touched(&self, mark: &Mark) -> Option<Touched> {
        match mark {
            Mark::Slot(no) => {
                let slot = self.book.slot(*no);
                Some(match slot.view() {
                    Some(view) => Touched::Slot(Arc::new(view)),
                    None => Touched::SlotGone(slot.key.clone(), slot.touched),
                })
            }
            Mark::Booking(id) => self.book.bookings.get(id).map(|b| Touched::Booking(Arc::new(b.view(*id)))),
            Mark::Item(object, key) => self.book.items.get(&(object.clone(), key.clone())).map(|(row, position)| {
                Touched::Item { object: object.clone(), key: key.clone(), row: row.clone(), position: *position }
            }),
        }
    }

    /// Request keys that became known since the last call.
    pub fn take_known_keys(&mut self) -> Vec<KnownKey> {
        let known = std::mem::take(&mut self.book.new_keys);
        self.accepted.extend(known.iter().filter(|k| k.accepted).map(|k| k.key));
        known
    }

    /// Ops without an outcome, oldest first.
    pub fn pending_ops(&self) -> impl Iterator<Item = &Op> {
        self.book.ops.values().map(|pending| &pending.op)
    }

    pub fn units(&self, slot: &SlotKey) -> Option<super::Units> {
        self.book.slot_no(slot).map(|no| self.book.slot(no).units)
    }

    /// Slots whose row is worth reading often: units are held there. At most `max`.
    pub fn hot_slots(&self, max: usize) -> Vec<SlotKey> {
        self.idle.iter().rev().take(max).map(|(_, no)| self.book.slot(*no).key.clone()).collect()
    }

    /// Sums over all slots: free units, bookings not yet applied.
    pub fn totals(&self) -> (u64, u64) {
        let free = self.book.slots.iter().map(|s| u64::from(s.units.free())).sum();
        let unapplied = self.book.slots.iter().map(|s| u64::from(s.units.booked)).sum();
        (free, unapplied)
    }

    fn index(&mut self, no: SlotNo) {
        let slot = self.book.slot(no);
        let Some(fact) = &slot.fact else { return };
        if fact.status != SlotStatus::Open || !slot.is_open() {
            return;
        }
        let (start, series, site) = (fact.start, fact.series.clone(), fact.site.clone());
        self.cutoffs.insert((start.plus_ms(-self.policy.cutoff_ms), no));
        if slot.units == super::Units::default() {
            self.cold.insert((start, no));
        }
        self.nearby.insert(&site, &series, start, no);
    }

    pub(super) fn unindex(&mut self, no: SlotNo) {
        let Some(fact) = &self.book.slot(no).fact else { return };
        let (start, series, site) = (fact.start, fact.series.clone(), fact.site.clone());
        self.cutoffs.remove(&(start.plus_ms(-self.policy.cutoff_ms), no));
        self.cold.remove(&(start, no));
        self.nearby.remove(&site, &series, start, no);
    }

    /// Makes the indexes anew, after a replay.
    pub(super) fn reindex(&mut self) {
        for at in 0..self.book.slots.len() {
            let no = SlotNo(at as u32);
            self.index(no);
            self.await_idle(no);
        }
    }
}

/// An adapter that answers an op with another kind's result is treated as a rejection, never as success.
fn fitting(op: &Op, result: OpResult) -> OpResult {
    let fits = match (&op.what, &result) {
        (_, OpResult::Rejected { .. }) => true,
        (OpWhat::Take { units }, OpResult::Taken { units: taken }) => taken <= units,
        (OpWhat::Return { units }, OpResult::Returned { units: returned }) => units == returned,
        (OpWhat::Convert { .. } | OpWhat::Place { .. }, OpResult::Converted { .. }) => true,
        (OpWhat::Cancel { .. }, OpResult::TurnedBack | OpResult::AlreadyCancelled) => true,
        _ => false,
    };
    if fits { result } else { OpResult::Rejected { reason: super::Rejection::LegacyRule } }
}

fn digest_of(facts: &[Fact]) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for fact in facts {
        let bytes = postcard::to_allocvec(fact).expect("facts have no type that postcard refuses");
        context.update(&bytes);
    }
    context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
