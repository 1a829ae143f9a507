//! The account that the entries make, read from the first to the last each time it is asked for: plain lists, no index.

use std::collections::BTreeMap;

use slotbridge::decide::{Booked, Entry, OpResult, Policy, Rejection, What};
use slotbridge::domain::{Control, PartnerId, PersonNo, Position, SeriesId, SlotFact, SlotKey};

/// Was the position given up by a restore of the ledger?
pub fn is_lost(policy: &Policy, position: Position) -> bool {
    policy.given_up.iter().any(|(from, until)| (*from..*until).contains(&position))
}

#[derive(Default)]
struct SlotAccount {
    granted: i64,
    returning: i64,
    eroded: bool,
    unsettled: bool,
    last_op: Option<Position>,
    done: Position,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Waits to be written.
    Open,
    Written,
    /// Nowhere.
    Gone,
}

struct BookingAccount {
    partner: PartnerId,
    person: PersonNo,
    series: SeriesId,
    slot: SlotKey,
    on_request: bool,
    place: Place,
    bars: bool,
    cancelling: bool,
    tries: u32,
    cancelled: bool,
    convert: Position,
    cancel: Option<Position>,
    written: Position,
    ended: Position,
}

#[derive(Clone, Copy)]
enum Asked {
    Take,
    Return(u32),
    Mend,
    Convert(Position),
    Cancel(Position),
}

#[derive(Default)]
pub struct Account {
    slots: BTreeMap<SlotKey, SlotAccount>,
    bookings: BTreeMap<Position, BookingAccount>,
    asked: BTreeMap<Position, (SlotKey, Asked)>,
    pub control: Control,
    given_up: Vec<(Position, Position)>,
}

impl Account {
    pub fn read(entries: &[Entry], policy: &Policy) -> Account {
        let mut account = Account { given_up: policy.given_up.clone(), ..Account::default() };
        for entry in entries {
            account.take(entry);
        }
        account
    }

    fn at(&self, slot: &SlotKey, place: Place) -> i64 {
        let of_slot = self.bookings.values().filter(|b| b.slot == *slot && b.place == place);
        of_slot.filter(|b| place == Place::Written || !b.on_request).count() as i64
    }

    pub fn free(&self, slot: &SlotKey) -> i64 {
        let Some(of) = self.slots.get(slot) else { return 0 };
        of.granted - of.returning - self.at(slot, Place::Open) - self.at(slot, Place::Written)
    }

    /// Places that bookings of the bridge take of what is published.
    pub fn occupied(&self, slot: &SlotKey) -> i64 {
        self.bookings.values().filter(|b| b.slot == *slot && b.place != Place::Gone).count() as i64
    }

    pub fn pending(&self) -> usize {
        self.bookings.values().filter(|b| b.on_request && b.place == Place::Open).count()
    }

    pub fn booking_of(&self, person: PersonNo, series: &SeriesId) -> Option<&PartnerId> {
        self.bookings.values().find(|b| b.bars && b.person == person && b.series == *series).map(|b| &b.partner)
    }

    pub fn is_frozen(&self, policy: &Policy, fact: &SlotFact) -> bool {
        let nothing = SlotAccount::default();
        let of = self.slots.get(&fact.key).unwrap_or(&nothing);
        let named = fact.last_op.map(|op| op.position);
        of.eroded || of.unsettled || named.is_some_and(|op| Some(op) > of.last_op && is_lost(policy, op))
    }

    fn slot(&mut self, key: &SlotKey) -> &mut SlotAccount {
        self.slots.entry(key.clone()).or_default()
    }

    fn add(&mut self, position: Position, b: &Booked, on_request: bool) {
        let booking = BookingAccount {
            partner: b.partner.clone(),
            person: b.person,
            series: b.series.clone(),
            slot: b.slot.clone(),
            on_request,
            place: Place::Open,
            bars: true,
            cancelling: false,
            tries: 0,
            cancelled: false,
            convert: position,
            cancel: None,
            written: Position::ZERO,
            ended: Position::ZERO,
        };
        self.asked.insert(position, (b.slot.clone(), Asked::Convert(position)));
        self.bookings.insert(position, booking);
    }

    fn take(&mut self, entry: &Entry) {
        let position = entry.position;
        match &entry.what {
            What::Booked(b) => self.add(position, b, false),
            What::Requested(b) => self.add(position, b, true),
            What::TakeAsked { slot, .. } => drop(self.asked.insert(position, (slot.clone(), Asked::Take))),
            What::ReturnAsked { slot, units } => {
                self.slot(slot).returning += i64::from(*units);
                self.asked.insert(position, (slot.clone(), Asked::Return(*units)));
            }
            What::MendAsked { slot, .. } => drop(self.asked.insert(position, (slot.clone(), Asked::Mend))),
            What::Eroded { slot } => self.slot(slot).eroded = true,
            What::Assigned { slot, granted } => self.slot(slot).granted = i64::from(*granted),
            What::Settled { slot, granted, last_op } => {
                let of = self.slot(slot);
                (of.granted, of.last_op, of.unsettled) = (i64::from(*granted), *last_op, false);
            }
            What::Switched { control } => self.control = *control,
            What::Cancelled { booking, coalesced } => {
                self.end(position, booking.0, *coalesced);
                self.bookings.get_mut(&booking.0).unwrap().cancelled = true;
            }
            What::Displaced { booking, cancel, .. } => self.end(position, booking.0, !cancel),
            What::CancelAgain { booking } => {
                self.bookings.get_mut(&booking.0).unwrap().cancel = Some(position);
                self.stands_again(booking.0);
            }
            What::LegacyCancelled { booking } => {
                let b = self.bookings.get_mut(&booking.0).unwrap();
                (b.place, b.bars, b.ended) = (Place::Gone, false, position);
                let slot = b.slot.clone();
                self.slot(&slot).granted -= 1;
            }
            What::Redriven { booking } => {
                let b = self.bookings.get_mut(&booking.0).unwrap();
                if b.place == Place::Gone {
                    (b.place, b.bars, b.tries) = (Place::Open, true, 0);
                }
                b.convert = position;
                self.asked.insert(position, (b.slot.clone(), Asked::Convert(booking.0)));
            }
            What::LegacyRewound { after } => self.rewind(*after),
            What::OpDone { op, result } => self.done(position, *op, result),
            _ => {}
        }
    }

    fn end(&mut self, position: Position, id: Position, at_once: bool) {
        let b = self.bookings.get_mut(&id).unwrap();
        b.bars = false;
        if at_once {
            b.place = Place::Gone;
        } else {
            (b.cancelling, b.cancel) = (true, Some(position));
            self.asked.insert(position, (b.slot.clone(), Asked::Cancel(id)));
        }
    }

    fn stands_again(&mut self, id: Position) {
        let b = self.bookings.get_mut(&id).unwrap();
        b.place = Place::Written;
        let (slot, cancel) = (b.slot.clone(), b.cancel.unwrap());
        self.asked.insert(cancel, (slot.clone(), Asked::Cancel(id)));
        self.slot(&slot).granted += 1;
    }

    fn rewind(&mut self, after: Position) {
        for id in self.bookings.keys().copied().collect::<Vec<_>>() {
            let b = self.bookings.get_mut(&id).unwrap();
            let (slot, lives) = (b.slot.clone(), b.bars || (b.cancelling && b.ended == Position::ZERO));
            if b.place == Place::Written && lives && b.written > after {
                let b = self.bookings.get_mut(&id).unwrap();
                b.place = Place::Open;
                let asks = b.on_request;
                if asks {
                    self.slot(&slot).granted -= 1;
                }
            } else if b.place == Place::Gone && b.ended > after && b.cancel.is_some() {
                self.stands_again(id);
            }
        }
        for slot in self.slots.values_mut().filter(|slot| slot.done > after) {
            slot.unsettled = true;
        }
    }

    fn done(&mut self, position: Position, op: Position, result: &OpResult) {
        let (key, asked) = self.asked[&op].clone();
        let on_request = matches!(asked, Asked::Convert(id) if self.bookings[&id].on_request);
        let outlived = self.given_up.iter().any(|(from, until)| op < *from && *until <= position);
        let slot = self.slot(&key);
        slot.done = position;
        let idle = matches!(result, OpResult::Mended { added: 0, lost: 0, .. });
        if result.moved_units() && !idle && !on_request {
            slot.last_op = Some(op);
            slot.unsettled |= outlived;
        }
        let missing = matches!(result, OpResult::Rejected { reason: Rejection::SlotMissing });
        match (asked, result) {
            (Asked::Take, OpResult::Taken { units }) => slot.granted += i64::from(*units),
            (Asked::Take, _) => {}
            (Asked::Return(units), result) => {
                slot.returning -= i64::from(units);
                if missing || matches!(result, OpResult::Returned { .. }) {
                    slot.granted -= i64::from(units);
                }
            }
            (Asked::Mend, OpResult::Mended { lost, .. }) => {
                slot.eroded = false;
                let (granted, returning) = (slot.granted, slot.returning);
                let used = returning + self.at(&key, Place::Open) + self.at(&key, Place::Written);
                self.slot(&key).granted = (granted - i64::from(*lost)).max(used);
            }
            (Asked::Mend, _) => slot.eroded &= !missing,
            (Asked::Convert(id), result) => self.written(position, id, result),
            (Asked::Cancel(id), result) => {
                if *result != OpResult::TurnedBack {
                    slot.granted -= 1;
                }
                let b = self.bookings.get_mut(&id).unwrap();
                (b.place, b.ended) = (Place::Gone, position);
            }
        }
    }

    fn written(&mut self, position: Position, id: Position, result: &OpResult) {
        let b = self.bookings.get_mut(&id).unwrap();
        let slot = b.slot.clone();
        match result {
            OpResult::Converted { .. } => {
                (b.place, b.written) = (Place::Written, position);
                if b.on_request {
                    self.slot(&slot).granted += 1;
                }
            }
            OpResult::Rejected { reason: Rejection::EscrowEroded } if b.tries < 3 && !b.on_request && !b.cancelled => {
                b.tries += 1
            }
            OpResult::Rejected { reason } => {
                (b.place, b.bars) = (Place::Gone, false);
                let asks = b.on_request;
                if !asks && matches!(reason, Rejection::SlotMissing | Rejection::EscrowEroded) {
                    self.slot(&slot).granted -= 1;
                }
            }
            other => panic!("a convert ended with {other:?}"),
        }
    }
}
