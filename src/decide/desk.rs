//! The desk: the one writer. Numbers entries, decides, and says what follows once they are durable.
//!
//! No clock, no I/O, no randomness: time is an argument, and ledger time never goes back whatever it is told.
//! Decisions read facts and outcomes together; everything they change goes through `Book::apply` as an entry, so a
//! replay of the entries over the newest facts ends in the same book.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::domain::{
    BookingId, BookingStatus, Control, KeyMac, Position, SlotKey, SlotStatus, Sync, Timestamp, Touched,
};

use super::alternatives::Nearby;
use super::book::{Book, Mark, SlotNo};
use super::claim::Pace;
use super::entry::{Entry, Op, OpResult, OpWhat, Rejection, What};
use super::event::{After, Effects, Event, KnownKey};
use super::policy::Policy;
use super::rewind::LegacyPoint;

pub struct Desk {
    pub(super) policy: Policy,
    pub(super) book: Book,
    pub(super) nearby: Nearby,
    /// Number of the next entry.
    pub(super) next: Position,
    pub(super) now: Timestamp,
    /// When positions were reached, sparsely; tells how old a caller's screen is.
    pub(super) reached: Vec<(Position, Timestamp)>,
    /// Units that are to go back when the agency wants all, and are not back.
    pub(super) unreturned: u64,
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
    /// Eroded slots by the instant of their next mend.
    pub(super) mends: BTreeSet<(Timestamp, SlotNo)>,
    /// Bookings beside a native one, by the instant at which to look again.
    pub(super) rechecks: BTreeSet<(Timestamp, BookingId)>,
    /// Bookings whose row vanished, by the instant at which they count as cancelled.
    pub(super) vanishing: BTreeSet<(Timestamp, BookingId)>,
    /// When write-back last compared both sides and found neither restored; not known over a restart.
    pub(super) level_at: Option<Timestamp>,
    pub(super) pace: Pace,
    /// Place ops that wait for the agency are looked at again.
    pub(super) places_held: Option<Timestamp>,
    /// Free units that stand idle until then are wanted back now.
    pub(super) drain_until: Option<Timestamp>,
    pub(super) was_quiet: bool,
    pub(super) quiet_edge: Option<Timestamp>,
    /// First slot to look at for being settled, and when to begin.
    pub(super) settle_from: Option<usize>,
    pub(super) settle_at: Option<Timestamp>,
    /// Since this process began: a full cut was taken, write-back compared the fence, and when the first event came.
    pub(super) full_cut: bool,
    pub(super) fenced: bool,
    pub(super) began_at: Option<Timestamp>,
    /// Slots of the facts at hand, to be held against their accounts once all facts are taken.
    pub(super) seen: BTreeSet<SlotNo>,
}

impl Desk {
    /// A desk over an empty ledger.
    pub fn new(policy: Policy) -> Desk {
        let mut book = Book::default();
        book.given_up = policy.given_up.clone();
        Desk {
            // Looked at by the first tick.
            quiet_edge: (!policy.quiet.is_empty()).then_some(Timestamp(0)),
            policy,
            book,
            nearby: Nearby::default(),
            next: Position(1),
            now: Timestamp(0),
            reached: Vec::new(),
            unreturned: 0,
            cutoffs: BTreeSet::new(),
            idle: BTreeSet::new(),
            cold: BTreeSet::new(),
            prewarmed_at: Timestamp(0),
            accepted: Vec::new(),
            resumed: false,
            mends: BTreeSet::new(),
            rechecks: BTreeSet::new(),
            vanishing: BTreeSet::new(),
            level_at: None,
            pace: Pace::default(),
            places_held: None,
            drain_until: None,
            was_quiet: false,
            settle_from: None,
            settle_at: None,
            full_cut: false,
            fenced: false,
            began_at: None,
            seen: BTreeSet::new(),
        }
    }

    /// Last position given out.
    pub fn position(&self) -> Position {
        Position(self.next.0 - 1)
    }

    pub fn step(&mut self, now: Timestamp, event: Event, effects: &mut Effects) {
        self.now = self.now.max(now);
        self.began_at.get_or_insert(self.now);
        match event {
            Event::Facts { ticket, facts } => self.take_facts(ticket, facts, effects),
            Event::Request { ticket, partner, ask } => self.request(ticket, partner, ask, effects),
            Event::Reserve { ticket, count } => {
                let first = self.persist(What::Reserve { count: count.max(1) }, effects);
                effects.after_durable.push(After::Reserved { ticket, first, count: count.max(1) });
            }
            Event::Claim { ticket, max } => self.claim(ticket, max, effects),
            Event::OpDone { op, result } => self.op_done(op, result, effects),
            Event::OpInDoubt { op } => {
                let known = self.book.ops.get(&op).is_some_and(|pending| match &pending.op.what {
                    OpWhat::Convert { booking, .. } | OpWhat::Place { booking, .. } => {
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
            Event::Switch { control } => self.switch(control, effects),
            Event::GiveBack { ticket, slot } => self.give_back_asked(ticket, slot, effects),
            Event::Applied { count } => {
                if count > self.book.applied {
                    self.persist(What::Applied { count }, effects);
                }
            }
            Event::Fence { ticket, last_op, applied, ours } => {
                self.fence(ticket, LegacyPoint { last_op, applied }, ours, effects);
            }
            Event::Redrive { booking } => self.redrive(booking, effects),
            Event::Settled => self.full_cut = true,
            Event::Tick => self.tick(effects),
        }
        self.count_unreturned();
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

    fn op_done(&mut self, op: Position, result: OpResult, effects: &mut Effects) {
        let Some(pending) = self.book.ops.get(&op) else { return };
        let done = pending.op.clone();
        let result = fitting(&done, result);
        let emptied = matches!(result, OpResult::Taken { units: 0 } | OpResult::Rejected { .. });
        let eroded = result == (OpResult::Rejected { reason: Rejection::EscrowEroded });
        self.persist(What::OpDone { op, result }, effects);
        let no = self.book.slot_no_or_new(&done.slot);
        if self.book.slot(no).unsettled {
            self.settle_at.get_or_insert(self.now.plus_ms(self.policy.settle_ms));
        }
        let mut is_told = true;
        match done.what {
            OpWhat::Take { .. } if emptied => {
                let until = self.now.plus_ms(self.policy.refill.empty_wait_ms);
                self.book.slot_mut(no).no_take_before = until;
            }
            OpWhat::Convert { booking, ref series, person } | OpWhat::Place { booking, ref series, person } => {
                if self.book.row_of(op) == Some(false) {
                    // Cancelled by the legacy side before we heard that it was applied.
                    self.follow_legacy_cancel(booking, effects);
                }
                self.recheck_later(person, series);
            }
            OpWhat::Cancel { booking, .. } => self.cancel_overtook(booking, effects),
            OpWhat::Mend { .. } => {
                self.mended(no, effects);
                // A mend that found nothing: the fact from before it would show the same erosion again.
                let slot = self.book.slot(no);
                let named = slot.fact.as_ref().and_then(|fact| fact.last_op).map(|named| named.position);
                is_told = slot.idle_op != Some(op) || named != slot.last_op;
            }
            _ => {}
        }
        if eroded && !matches!(done.what, OpWhat::Mend { .. } | OpWhat::Place { .. } | OpWhat::Cancel { .. }) {
            self.erode(no, effects);
        }
        if is_told {
            self.reconcile(no, effects);
        }
        self.await_idle(no);
        if !self.book.slot(no).is_open() || self.holds_none(no) {
            self.give_back(no, effects);
        }
        self.wake_worker(effects);
    }

    pub(super) fn wake_worker(&self, effects: &mut Effects) {
        if !self.book.waiting.is_empty() || !self.book.places.is_empty() {
            effects.after_durable.push(After::OpsWaiting);
        }
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

    pub(super) fn index(&mut self, no: SlotNo) {
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
        // Facts were indexed before the entries that close their slots.
        self.cutoffs.clear();
        self.cold.clear();
        self.nearby.forget_slots();
        for at in 0..self.book.slots.len() {
            let no = SlotNo(at as u32);
            self.index(no);
            self.await_idle(no);
            if self.book.slot(no).eroded && self.book.slot(no).mending.is_none() {
                self.mends.insert((self.now, no));
            }
            if self.book.slot(no).unsettled {
                self.settle_at = Some(self.now.plus_ms(self.policy.settle_ms));
            }
        }
        self.count_unreturned();
        if self.book.control == Control::Drain {
            self.drain_until = Some(self.now.plus_ms(self.policy.refill.idle_return_ms));
        }
        let beside: Vec<_> =
            self.book.bookings.values().filter(|b| b.stands && b.status == BookingStatus::Booked).collect();
        let beside: Vec<_> = beside.into_iter().map(|b| (b.person, b.series.clone())).collect();
        for (person, series) in beside {
            self.recheck_later(person, &series);
        }
        let vanished = self.book.bookings.iter().filter_map(|(id, b)| Some((b.vanished_at?, *id)));
        self.vanishing = vanished.map(|(at, id)| (at.plus_ms(self.policy.vanish_ms), id)).collect();
    }
}

/// An adapter that answers an op with another kind's result is treated as a rejection, never as success.
fn fitting(op: &Op, result: OpResult) -> OpResult {
    let fits = match (&op.what, &result) {
        (_, OpResult::Rejected { .. }) => true,
        (OpWhat::Take { units }, OpResult::Taken { units: taken }) => taken <= units,
        (OpWhat::Return { units }, OpResult::Returned { units: returned }) => units == returned,
        (OpWhat::Convert { .. } | OpWhat::Place { .. }, OpResult::Converted { .. }) => true,
        (OpWhat::Cancel { .. }, OpResult::TurnedBack | OpResult::AlreadyCancelled | OpResult::GivenUp) => true,
        (OpWhat::Mend { .. }, OpResult::Mended { .. }) => true,
        _ => false,
    };
    if fits { result } else { OpResult::Rejected { reason: super::Rejection::LegacyRule } }
}
