//! The outcome half of the book as one value, and the way back: snapshot, newest facts, later entries.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::{
    AllotmentMode, BookingId, Control, Fact, KeyMac, PartnerId, Position, ReceiptMac, SlotKey, Timestamp, Touched,
};

use super::apply::ReplayError;
use super::book::{Booking, Counters, Mark, Refusals, SlotNo, TokenCalls, Units};
use super::conflicts::Conflict;
use super::desk::Desk;
use super::entry::{Entry, Op, OpWhat};
use super::event::KnownKey;
use super::policy::Policy;

/// Everything that entries up to `position` made; facts are not in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Snapshot {
    pub position: Position,
    pub at: Timestamp,
    slots: Vec<SlotOutcome>,
    bookings: Vec<(BookingId, Booking)>,
    keys: Vec<KnownKey>,
    refused: Vec<(Timestamp, KeyMac, PartnerId)>,
    refusals: Vec<(PartnerId, Refusals)>,
    receipts: Vec<(Timestamp, ReceiptMac)>,
    tokens: Vec<(PartnerId, TokenCalls)>,
    ops: Vec<Op>,
    reached: Vec<(Position, Timestamp)>,
    newest: Position,
    applied: u64,
    control: Control,
    held_until: Timestamp,
    conflicts: Vec<Conflict>,
    counters: Counters,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct SlotOutcome {
    key: SlotKey,
    units: Units,
    version_since: Position,
    cut_off: Option<Timestamp>,
    last_op: Option<Position>,
    idle_op: Option<Position>,
    taken_as: Option<AllotmentMode>,
    done: Position,
    eroded: bool,
    mend_tries: u32,
    mended_at: Timestamp,
    unsettled: bool,
    rewound: Option<Position>,
    overrun: u32,
    held_until: Timestamp,
    touched: Position,
}

impl Desk {
    pub fn snapshot(&self) -> Snapshot {
        let slots = self.book.slots.iter().map(|slot| SlotOutcome {
            key: slot.key.clone(),
            units: slot.units,
            version_since: slot.version_since,
            cut_off: slot.cut_off,
            last_op: slot.last_op,
            idle_op: slot.idle_op,
            taken_as: slot.taken_as,
            done: slot.done,
            eroded: slot.eroded,
            mend_tries: slot.mend_tries,
            mended_at: slot.mended_at,
            unsettled: slot.unsettled,
            rewound: slot.rewound,
            overrun: slot.overrun,
            held_until: slot.held_until,
            touched: slot.touched,
        });
        let bookings = self.book.bookings.iter().map(|(id, booking)| (*id, booking.clone()));
        Snapshot {
            position: self.position(),
            at: self.now,
            slots: slots.collect(),
            bookings: bookings.collect(),
            keys: self.snapshot_keys(),
            refused: self.book.refused.iter().cloned().collect(),
            refusals: self.book.refusals.iter().map(|(p, r)| (p.clone(), r.clone())).collect(),
            receipts: self.book.receipts_by_age.iter().copied().collect(),
            tokens: self.book.tokens.iter().map(|(p, t)| (p.clone(), t.clone())).collect(),
            ops: self.book.ops.values().map(|pending| pending.op.clone()).collect(),
            reached: self.reached.clone(),
            newest: self.book.newest,
            applied: self.book.applied,
            control: self.book.control,
            held_until: self.book.held_until,
            conflicts: self.book.conflicts.iter().cloned().collect(),
            counters: self.book.counters.clone(),
        }
    }

    /// The desk as it was: the newest facts with their positions, then what entries made. Decides nothing.
    ///
    /// Every pending op counts as claimed: the worker of the ended process may have run it.
    pub fn replay(
        policy: Policy,
        snapshot: Option<Snapshot>,
        facts: impl Iterator<Item = (Position, Fact)>,
        entries: impl Iterator<Item = Entry>,
    ) -> Result<Desk, ReplayError> {
        let mut desk = Desk::new(policy);
        if let Some(snapshot) = snapshot {
            desk.restore(snapshot);
        }
        for (position, fact) in facts {
            desk.take_fact(position, fact, None);
        }
        for entry in entries {
            if entry.position < desk.next {
                return Err(ReplayError::OutOfOrder { last: desk.position(), found: entry.position });
            }
            desk.book.apply(&entry)?;
            desk.now = desk.now.max(entry.at);
            desk.next = entry.last().next();
            desk.note_reached();
            desk.note_accepted();
        }
        desk.resumed = desk.position() > Position::ZERO;
        for pending in desk.book.ops.values_mut() {
            pending.claimed = true;
        }
        desk.reindex();
        Ok(desk)
    }

    /// Positions below `first` are given up: a restored ledger continues far ahead.
    pub fn advance_to(&mut self, first: Position) {
        self.next = self.next.max(first);
    }

    /// Everything that readers may see, in order of position; for filling views at start. Clears what was touched.
    pub fn everything(&mut self) -> (Vec<Touched>, Vec<KnownKey>) {
        self.book.marks.clear();
        self.book.new_keys.clear();
        let slots = (0..self.book.slots.len() as u32).map(|no| Mark::Slot(SlotNo(no)));
        let bookings = self.book.bookings.keys().map(|id| Mark::Booking(*id));
        let items = self.book.items.keys().map(|(object, key)| Mark::Item(object.clone(), Arc::clone(key)));
        let mut all: Vec<Touched> = slots.chain(bookings).chain(items).filter_map(|mark| self.touched(&mark)).collect();
        all.sort_by_key(Touched::position);
        let keys = self.snapshot_keys();
        (all, keys)
    }

    fn snapshot_keys(&self) -> Vec<KnownKey> {
        let accepted = self.accepted.iter().filter_map(|key| self.book.keys.get(key).copied());
        let refused = self.book.refused.iter().filter_map(|(_, key, _)| self.book.keys.get(key).copied());
        accepted.chain(refused).collect()
    }

    fn restore(&mut self, snapshot: Snapshot) {
        let book = &mut self.book;
        for outcome in snapshot.slots {
            let no = book.slot_no_or_new(&outcome.key);
            let slot = book.slot_mut(no);
            slot.units = outcome.units;
            slot.version_since = outcome.version_since;
            slot.cut_off = outcome.cut_off;
            slot.last_op = outcome.last_op;
            slot.idle_op = outcome.idle_op;
            slot.taken_as = outcome.taken_as;
            slot.done = outcome.done;
            slot.eroded = outcome.eroded;
            slot.mend_tries = outcome.mend_tries;
            slot.mended_at = outcome.mended_at;
            slot.unsettled = outcome.unsettled;
            slot.rewound = outcome.rewound;
            slot.seen = false;
            slot.overrun = outcome.overrun;
            slot.held_until = outcome.held_until;
            slot.touched = outcome.touched;
            let pending = slot.units.pending;
            book.pending += pending;
        }
        for (id, booking) in snapshot.bookings {
            if booking.status.is_active() {
                let series = booking.series.clone();
                book.engage(booking.person, &series, |e| e.bridge = Some(id));
            }
            book.bookings.insert(id, booking);
        }
        for known in snapshot.keys {
            book.keys.insert(known.key, known);
            if known.accepted {
                self.accepted.push(known.key);
            }
        }
        book.refused = snapshot.refused.into();
        book.refusals = snapshot.refusals.into_iter().collect();
        for (at, receipt) in snapshot.receipts {
            book.receipts.insert(receipt, at);
            book.receipts_by_age.push_back((at, receipt));
        }
        book.tokens = snapshot.tokens.into_iter().collect();
        for op in snapshot.ops {
            if matches!(op.what, OpWhat::Mend { .. }) {
                let no = book.slot_no_or_new(&op.slot);
                book.slot_mut(no).mending = Some(op.position);
            }
            let person = book.person_of(&op.what);
            book.add_op(op, person);
        }
        book.index_converts();
        book.newest = snapshot.newest;
        book.applied = snapshot.applied;
        book.control = snapshot.control;
        book.held_until = snapshot.held_until;
        book.conflicts = snapshot.conflicts.into();
        book.counters = snapshot.counters;
        self.reached = snapshot.reached;
        self.now = snapshot.at;
        self.next = snapshot.position.next();
    }
}
