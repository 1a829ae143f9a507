//! What the desk remembers: slots with their units, bookings, who is booked, keys, ops.
//!
//! Two halves in one place: facts (re-read from the mirror at start) and outcomes (applied from the ledger).
//! Hash maps are only looked up; whatever is iterated is a vector or a tree. The hasher is fixed: every key is a
//! keyed MAC, a number, or a legacy key that no partner can choose.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use foldhash::fast::FixedState;
use serde::{Deserialize, Serialize};

use crate::domain::{
    AllotmentMode, BookingId, Control, EndReason, KeyMac, ObjectName, PartnerId, PersonNo, PersonRef, Position,
    ReceiptMac, ReservationKey, Row, SeriesId, SiteFact, SiteKey, SlotFact, SlotKey, SlotStatus, SlotVersion, SlotView,
    Timestamp,
};

pub(super) use super::booking::Booking;
use super::conflicts::Conflict;
use super::entry::{Op, OpWhat};
use super::event::KnownKey;
pub(super) use super::tokens::TokenCalls;

pub(super) type Map<K, V> = HashMap<K, V, FixedState>;

/// Place of a slot in `Book::slots`; stable while the process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SlotNo(pub u32);

/// Units of one slot. `granted` is net: what was taken and neither returned nor given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Units {
    pub granted: u32,
    /// Sold, not yet a named booking.
    pub booked: u32,
    /// Named bookings in the legacy system.
    pub converted: u32,
    /// On their way back to the native seller.
    pub returning: u32,
    /// Asked for, outcome unknown.
    pub taking: u32,
    /// On-request bookings that wait for the legacy system; they hold no unit yet.
    pub pending: u32,
}

impl Units {
    /// What may be sold now. Never negative: `Book` changes units only through checked steps.
    pub fn free(&self) -> u32 {
        self.granted - self.booked - self.converted - self.returning
    }

    /// Bridge bookings that occupy a place.
    pub fn active(&self) -> u32 {
        self.booked + self.converted
    }

    /// Units that something refers to: fewer cannot be granted.
    pub fn in_use(&self) -> u32 {
        self.booked + self.converted + self.returning
    }

    /// Does the account balance?
    pub fn holds(&self) -> bool {
        u64::from(self.booked) + u64::from(self.converted) + u64::from(self.returning) <= u64::from(self.granted)
    }
}

#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub key: SlotKey,
    pub fact: Option<SlotFact>,
    pub units: Units,
    /// Definition that the slot had when it vanished, should it come back.
    pub version_before: Option<SlotVersion>,
    /// Position since which the definition is what it is; zero before any change was seen.
    pub version_since: Position,
    /// Start for which the cutoff has passed.
    pub cut_off: Option<Timestamp>,
    /// Op that changed the escrow last, as far as we were told; tells facts that are older than our own ops.
    pub last_op: Option<Position>,
    /// A later mend that found nothing to do: the legacy system may name it or `last_op`, both mean the same content.
    pub idle_op: Option<Position>,
    /// Entry that told an op's outcome last.
    pub done: Position,
    /// Ops without an outcome.
    pub ops: u32,
    /// Class of the slot, kept when its row is gone.
    pub class: Option<Arc<str>>,
    /// How its units were taken.
    pub taken_as: Option<AllotmentMode>,
    /// Active reservations by ops of a lost life of the ledger (rule 32) or of another ledger. From facts.
    pub strangers: u32,
    /// The newest op that the fact names is of another ledger.
    pub named_strange: bool,
    /// Rule 30: frozen until a mend has an outcome.
    pub eroded: bool,
    pub mending: Option<Position>,
    pub mend_tries: u32,
    pub mended_at: Timestamp,
    /// The legacy system was restored, or the ledger was and an op from before was told since; what the legacy system
    /// holds for the slot has not been seen since: frozen.
    pub unsettled: bool,
    /// Entry that told of a restore of the legacy system or began a life of the ledger, until an op asked later changed the escrow: whatever op a fact
    /// names is its newest. Ops driven again do not count: one that was not lost only repeats its answer.
    pub rewound: Option<Position>,
    /// A fact of the slot was taken since.
    pub seen: bool,
    /// Bookings above the room there is, as stated last (rule 12).
    pub overrun: u32,
    /// The agency asked for the units back: none is taken before.
    pub held_until: Timestamp,
    pub touched: Position,
    /// Requests for the slot since its last take; sizes the next one.
    pub demand: u32,
    pub no_take_before: Timestamp,
    pub idle_at: Option<Timestamp>,
    /// Its part of `Desk::unreturned`, and whether it is to be counted anew.
    pub unreturned: u64,
    pub is_changed: bool,
}

impl Slot {
    pub fn new(key: SlotKey) -> Slot {
        Slot {
            key,
            fact: None,
            units: Units::default(),
            version_before: None,
            version_since: Position::ZERO,
            cut_off: None,
            last_op: None,
            idle_op: None,
            done: Position::ZERO,
            ops: 0,
            class: None,
            taken_as: None,
            strangers: 0,
            named_strange: false,
            eroded: false,
            mending: None,
            mend_tries: 0,
            mended_at: Timestamp(i64::MIN),
            unsettled: false,
            rewound: None,
            seen: true,
            overrun: 0,
            held_until: Timestamp(i64::MIN),
            touched: Position::ZERO,
            demand: 0,
            no_take_before: Timestamp(i64::MIN),
            idle_at: None,
            unreturned: 0,
            is_changed: false,
        }
    }

    pub fn is_open(&self) -> bool {
        self.fact.as_ref().is_some_and(|f| f.status == SlotStatus::Open && self.cut_off != Some(f.start))
    }

    /// capacity − native − active and pending bridge bookings, never below 0.
    pub fn remaining(&self) -> u32 {
        let used = |native: u32| native.saturating_add(self.strangers) + self.units.active() + self.units.pending;
        self.fact.as_ref().map_or(0, |f| f.capacity.saturating_sub(used(f.native)))
    }

    /// Does the fact show the escrow as our own newest op left it? One that does not is older, and says nothing.
    pub fn is_level(&self) -> bool {
        let Some(fact) = self.fact.as_ref().filter(|_| !self.named_strange) else { return false };
        let named = fact.last_op.map(|op| op.position);
        named == self.last_op
            || (self.idle_op.is_some() && named == self.idle_op)
            || (self.rewound.is_some() && self.seen && self.ops == 0)
    }

    /// What the native seller has left to give, as far as the last cut and our own account tell.
    pub fn legacy_left(&self) -> u32 {
        let Some(fact) = &self.fact else { return 0 };
        let ours = self.units.granted + self.units.taking + self.units.pending;
        let known = fact.native.saturating_add(self.strangers).saturating_add(ours);
        fact.capacity.saturating_sub(known.max(fact.counter.unwrap_or(0)))
    }

    pub fn view(&self) -> Option<SlotView> {
        let fact = self.fact.as_ref()?;
        Some(SlotView {
            key: self.key.clone(),
            site: fact.site.clone(),
            series: fact.series.clone(),
            start: fact.start,
            version: fact.version,
            remaining: self.remaining(),
            open: self.is_open(),
            row: fact.row.clone(),
            position: self.touched,
        })
    }
}

/// A person as facts tell: absent until a fact was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Standing {
    pub cohort: u8,
    pub known: bool,
    pub bookable: bool,
}

/// What bars a person from another booking in a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Engagement {
    pub bridge: Option<BookingId>,
    pub native: u16,
}

#[derive(Debug, Clone)]
pub(super) struct Reservation {
    pub person: PersonNo,
    pub series: SeriesId,
    pub slot: SlotKey,
    pub active: bool,
    /// Position of the op that wrote it, on rows of this ledger.
    pub op: Option<Position>,
    /// Written by a bridge, but by another ledger or in a life that was lost (rule 32): a booking that only the row tells
    /// of.
    pub is_strange: bool,
}

#[derive(Debug, Clone)]
pub(super) struct PendingOp {
    pub op: Op,
    /// The worker may have run it: set when it is given out, and for every op found at replay.
    pub claimed: bool,
    /// The worker of this process has it.
    pub given: bool,
}

/// Refusals about persons and remembered refusals, a partner.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Refusals {
    pub remembered: u32,
    pub day: i32,
    pub of_person: BTreeMap<PersonRef, u32>,
}

/// Thing to show anew.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mark {
    Slot(SlotNo),
    Booking(BookingId),
    Item(ObjectName, Arc<str>),
}

/// An object of the catalogue and the key of its row.
type ItemKey = (ObjectName, Arc<str>);

/// Counts since the ledger began.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counters {
    pub mended: u64,
    /// Units that a mend gave up.
    pub lost: u64,
    /// Bookings honoured above what the legacy system had room for.
    pub honoured: u64,
    pub displaced: BTreeMap<EndReason, u64>,
    pub rechecked: u64,
    pub redriven: u64,
    pub rewound: u64,
}

#[derive(Debug, Default)]
pub(super) struct Book {
    pub slots: Vec<Slot>,
    slot_numbers: Map<SlotKey, SlotNo>,
    pub sites: Map<SiteKey, SiteFact>,
    pub items: BTreeMap<ItemKey, (Option<Arc<Row>>, Position)>,
    pub persons: Vec<Standing>,
    pub engaged: Map<(PersonNo, SeriesId), Engagement>,
    pub reservations: Map<ReservationKey, Reservation>,
    /// Rows that the bridge wrote, by op: are they still active?
    pub by_op: Map<Position, (ReservationKey, bool)>,
    pub bookings: BTreeMap<BookingId, Booking>,
    pub keys: Map<KeyMac, KnownKey>,
    /// Remembered refusals, oldest first.
    pub refused: VecDeque<(Timestamp, KeyMac, PartnerId)>,
    pub refusals: BTreeMap<PartnerId, Refusals>,
    pub receipts: Map<ReceiptMac, Timestamp>,
    pub receipts_by_age: VecDeque<(Timestamp, ReceiptMac)>,
    pub tokens: BTreeMap<PartnerId, TokenCalls>,
    pub ops: BTreeMap<Position, PendingOp>,
    /// Ops that the worker of this process does not have.
    pub waiting: BTreeSet<Position>,
    /// Pending ops of a person in a series: they run one after the other.
    pub ops_of_person: BTreeMap<(PersonNo, SeriesId), BTreeSet<Position>>,
    /// Place ops that the worker does not have: they are given out at a capped rate.
    pub places: BTreeSet<Position>,
    /// Bookings whose convert found the escrow eroded; driven again once the slot is mended.
    pub stalled: BTreeMap<SlotNo, BTreeSet<BookingId>>,
    /// Bookings by convert op, where the op is not the booking's own position.
    pub redriven: BTreeMap<Position, BookingId>,
    /// On-request bookings that wait.
    pub pending: u32,
    /// Newest op that the legacy system has applied.
    pub newest: Position,
    /// Ops that the legacy system had applied, as far as it told.
    pub applied: u64,
    /// Positions [from, until) of lives that a restore of the ledger gave up.
    pub given_up: Vec<(Position, Position)>,
    pub control: Control,
    /// No take of any slot before.
    pub held_until: Timestamp,
    pub conflicts: VecDeque<Conflict>,
    pub counters: Counters,
    pub marks: BTreeSet<Mark>,
    /// Slots that this step changed, each once.
    pub changed: Vec<SlotNo>,
    pub new_keys: Vec<KnownKey>,
}

impl Book {
    pub fn slot_no(&self, key: &SlotKey) -> Option<SlotNo> {
        self.slot_numbers.get(key).copied()
    }

    /// The slot's place, made if it is new.
    pub fn slot_no_or_new(&mut self, key: &SlotKey) -> SlotNo {
        if let Some(no) = self.slot_numbers.get(key) {
            return *no;
        }
        let no = SlotNo(u32::try_from(self.slots.len()).expect("fewer than 2^32 slots"));
        self.slots.push(Slot::new(key.clone()));
        self.slot_numbers.insert(key.clone(), no);
        no
    }

    pub fn slot(&self, no: SlotNo) -> &Slot {
        &self.slots[no.0 as usize]
    }

    pub fn slot_mut(&mut self, no: SlotNo) -> &mut Slot {
        let slot = &mut self.slots[no.0 as usize];
        if !std::mem::replace(&mut slot.is_changed, true) {
            self.changed.push(no);
        }
        slot
    }

    pub fn touch_slot(&mut self, no: SlotNo, position: Position) {
        let slot = &mut self.slots[no.0 as usize];
        slot.touched = slot.touched.max(position);
        self.marks.insert(Mark::Slot(no));
    }

    pub fn touch_booking(&mut self, id: BookingId, position: Position, at: Timestamp) {
        if let Some(booking) = self.bookings.get_mut(&id) {
            booking.touched = position;
            booking.changed_at = at;
            self.marks.insert(Mark::Booking(id));
        }
    }

    pub fn standing(&self, person: PersonNo) -> Standing {
        self.persons.get(person.0 as usize).copied().unwrap_or_default()
    }

    pub fn standing_mut(&mut self, person: PersonNo) -> &mut Standing {
        let at = person.0 as usize;
        if self.persons.len() <= at {
            self.persons.resize(at + 1, Standing::default());
        }
        &mut self.persons[at]
    }

    pub fn engagement(&self, person: PersonNo, series: &SeriesId) -> Engagement {
        self.engaged.get(&(person, series.clone())).copied().unwrap_or_default()
    }

    /// Changes what bars a person; an engagement that bars nothing is dropped.
    pub fn engage(&mut self, person: PersonNo, series: &SeriesId, change: impl FnOnce(&mut Engagement)) {
        let entry = self.engaged.entry((person, series.clone())).or_default();
        change(entry);
        if *entry == Engagement::default() {
            self.engaged.remove(&(person, series.clone()));
        }
    }

    pub fn add_op(&mut self, op: Op, person: Option<(PersonNo, SeriesId)>) {
        let position = op.position;
        if let Some(person) = person {
            self.ops_of_person.entry(person).or_default().insert(position);
        }
        let no = self.slot_no_or_new(&op.slot);
        self.slot_mut(no).ops += 1;
        let queue = if matches!(op.what, OpWhat::Place { .. }) { &mut self.places } else { &mut self.waiting };
        queue.insert(position);
        self.ops.insert(position, PendingOp { op, claimed: false, given: false });
    }

    pub fn drop_op(&mut self, position: Position, person: Option<(PersonNo, SeriesId)>) {
        if let Some(dropped) = self.ops.remove(&position) {
            let no = self.slot_no_or_new(&dropped.op.slot);
            self.slot_mut(no).ops -= 1;
        }
        self.waiting.remove(&position);
        self.places.remove(&position);
        if let Some(person) = person
            && let Some(of_person) = self.ops_of_person.get_mut(&person)
        {
            of_person.remove(&position);
            if of_person.is_empty() {
                self.ops_of_person.remove(&person);
            }
        }
    }

    /// Was the op asked in a life of the ledger that was lost?
    pub fn is_given_up(&self, op: Position) -> bool {
        self.given_up.iter().any(|(from, until)| (*from..*until).contains(&op))
    }

    /// Is the row that the op wrote active? `None` before a fact told.
    pub fn row_of(&self, op: Position) -> Option<bool> {
        self.by_op.get(&op).map(|(_, active)| *active)
    }

    /// Whose reservation the op wrote.
    pub fn booking_of(&self, convert: Position) -> BookingId {
        self.redriven.get(&convert).copied().unwrap_or(BookingId(convert))
    }

    /// Nothing is taken, returned or sold: what the legacy system holds for the slot is in question.
    pub fn is_frozen(&self, no: SlotNo) -> bool {
        let slot = self.slot(no);
        slot.eroded || slot.unsettled || self.is_beyond(slot)
    }

    /// Was the slot's escrow changed by an op of a lost life, which was not settled yet?
    pub fn is_beyond(&self, slot: &Slot) -> bool {
        let fact = slot.fact.as_ref().filter(|_| !slot.named_strange);
        let named = fact.and_then(|fact| fact.last_op).map(|op| op.position);
        // An op of ours that came after it makes the fact an old one.
        named.is_some_and(|op| Some(op) > slot.last_op && self.is_given_up(op))
    }

    /// What may be sold now. Nothing while bookings stand above the room there is, even where the agency assigned units:
    /// one more would make the overrun larger.
    pub fn sellable(&self, no: SlotNo) -> u32 {
        let slot = self.slot(no);
        if self.is_frozen(no) || slot.overrun > 0 { 0 } else { slot.units.free() }
    }

    /// Makes the indexes over bookings anew: converts that are not the booking's own position, and bookings that wait for
    /// one.
    pub fn index_converts(&mut self) {
        let (mut redriven, mut stalled) = (BTreeMap::new(), Vec::new());
        for (id, booking) in &self.bookings {
            if booking.convert != id.0 {
                redriven.insert(booking.convert, *id);
            }
            if booking.is_open() && !self.ops.contains_key(&booking.convert) {
                stalled.push((booking.slot.clone(), *id));
            }
        }
        self.redriven = redriven;
        for (slot, id) in stalled {
            let no = self.slot_no_or_new(&slot);
            self.stall(no, id);
        }
    }

    pub fn stall(&mut self, no: SlotNo, booking: BookingId) {
        self.stalled.entry(no).or_default().insert(booking);
    }

    /// Takes the booking off the stalled ones; was it one?
    pub fn unstall(&mut self, no: SlotNo, booking: BookingId) -> bool {
        let Some(of_slot) = self.stalled.get_mut(&no) else { return false };
        let was = of_slot.remove(&booking);
        if of_slot.is_empty() {
            self.stalled.remove(&no);
        }
        was
    }

    /// The person whose ops must keep their order with this one.
    pub fn person_of(&self, what: &OpWhat) -> Option<(PersonNo, SeriesId)> {
        match what {
            OpWhat::Convert { person, series, .. } | OpWhat::Place { person, series, .. } => {
                Some((*person, series.clone()))
            }
            OpWhat::Cancel { booking, .. } => self.bookings.get(booking).map(|b| (b.person, b.series.clone())),
            OpWhat::Take { .. } | OpWhat::Return { .. } | OpWhat::Mend { .. } => None,
        }
    }
}
