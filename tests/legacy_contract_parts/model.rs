//! Random ops, native sales and edits against a small model of how each kind of legacy system counts.
//!
//! The model keeps one slot's numbers; the judge of overruns and conserved units is the file's own recount.

use std::cell::Cell;
use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use slotbridge::domain::{AllotmentMode, SlotKey};
use slotbridge::legacy::sqlite::Maintained;
use slotbridge::legacy::sqlite::native::{MadeBy, NativeOutcome, NativeSeller, Screen};
use slotbridge::legacy::{LegacyOp, LegacyRead, OpReply};

use crate::harness::{Bridge, Harness, Setting, on_every_adapter};
use crate::shorthand::{cancel, convert, honour, place, row_of};

/// Persons who want the slot.
const PERSONS: u32 = 8;
const STEPS_MAX: usize = 40;
/// Over all settings about 10,000 steps.
const CASES: u32 = 24;

#[derive(Debug, Clone, Copy)]
enum Step {
    Take(u32),
    Return(u32),
    Convert(u32),
    Honour(u32),
    Place(u32),
    Cancel(u32),
    Mend(u32),
    Assign(u32),
    Book(u32),
    NativeCancel(u32),
    SetCapacity(u32),
    Close,
    Reopen,
    OpenScreen,
    SaveScreen,
    Recount,
    DropPlaceholder,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    use Step::*;
    let person = 0..PERSONS;
    let step = prop_oneof![
        4 => (1..5u32).prop_map(Take),
        2 => (1..4u32).prop_map(Return),
        4 => person.clone().prop_map(Convert),
        1 => person.clone().prop_map(Honour),
        3 => person.clone().prop_map(Place),
        3 => person.clone().prop_map(Cancel),
        3 => (0..4u32).prop_map(Mend),
        2 => (1..4u32).prop_map(Assign),
        4 => person.clone().prop_map(Book),
        2 => person.prop_map(NativeCancel),
        1 => (0..8u32).prop_map(SetCapacity),
        1 => Just(Close),
        2 => Just(Reopen),
        1 => Just(OpenScreen),
        1 => Just(SaveScreen),
        1 => Just(Recount),
        1 => Just(DropPlaceholder),
    ];
    proptest::collection::vec(step, 1..STEPS_MAX)
}

/// A person's reservation in the slot: its number, and the op that made it.
#[derive(Clone, Debug)]
struct Reserved {
    resv_no: String,
    op: Option<u64>,
}

/// One slot as the agency's rules have it.
#[derive(Clone, Debug)]
struct Model {
    mode: AllotmentMode,
    maintained: Maintained,
    /// Reservations are counted; no column says what is sold.
    counts: bool,
    open: bool,
    capacity: i64,
    /// What a column says is sold: booked, or capacity less remaining.
    column: i64,
    /// The capacity is as the bridge left it.
    seen: Option<i64>,
    escrow: i64,
    placeholders: i64,
    reserved: BTreeMap<u32, Reserved>,
    /// Reservations that ops made and that are cancelled since, by person.
    gone: BTreeMap<u32, u64>,
}

impl Model {
    fn new(setting: Setting, capacity: i64) -> Model {
        Model {
            mode: setting.mode,
            maintained: setting.maintained,
            counts: !setting.row_changes(),
            open: true,
            capacity,
            column: 0,
            seen: None,
            escrow: 0,
            placeholders: 0,
            reserved: BTreeMap::new(),
            gone: BTreeMap::new(),
        }
    }

    fn lowers(&self) -> bool {
        self.mode == AllotmentMode::Capacity
    }

    fn out(&self) -> i64 {
        let untouched = self.seen.is_none_or(|seen| seen == self.capacity);
        if self.lowers() && untouched { self.escrow } else { 0 }
    }

    fn total(&self) -> i64 {
        self.capacity + self.out()
    }

    fn rows(&self) -> i64 {
        self.reserved.len() as i64
    }

    fn booked(&self) -> i64 {
        if self.counts { self.rows() + self.placeholders + self.out() } else { self.column }
    }

    fn eroded(&self) -> bool {
        self.booked() < self.rows() + self.escrow
    }

    /// Native selling sees `units` more sold, in whatever way.
    fn hold(&mut self, units: i64) {
        match self.mode {
            AllotmentMode::Capacity => self.capacity -= units,
            AllotmentMode::CountRows => self.placeholders += units,
            _ => self.column += units,
        }
    }

    fn touched(&mut self, was_eroded: bool) {
        if self.lowers() && !was_eroded {
            self.seen = Some(self.capacity);
        }
    }

    fn take(&mut self, units: i64) -> OpReply {
        if !self.mode.takes() || !self.open {
            return OpReply::Taken { units: 0 };
        }
        if self.eroded() {
            return OpReply::EscrowEroded;
        }
        let units = units.min(self.total() - self.booked()).max(0);
        if units > 0 {
            self.hold(units);
            self.escrow += units;
            self.touched(false);
        }
        OpReply::Taken { units: units as u32 }
    }

    fn give_back(&mut self, units: i64) -> OpReply {
        if self.escrow < units || self.eroded() {
            return OpReply::EscrowEroded;
        }
        self.hold(-units);
        self.escrow -= units;
        self.touched(false);
        OpReply::Returned { units: units as u32 }
    }

    /// `Ok(over)`: converted; the number is learnt from the answer.
    fn convert(&mut self, person: u32, honoured: bool) -> Result<bool, OpReply> {
        let (backed, eroded) = (self.escrow > 0, self.eroded());
        if !backed && !honoured {
            return Err(OpReply::EscrowEroded);
        }
        if self.reserved.contains_key(&person) {
            return Err(OpReply::PersonBooked);
        }
        let over = !backed && self.rows() + 1 > self.total();
        if backed {
            match self.mode {
                AllotmentMode::Capacity if !eroded => self.capacity += 1,
                AllotmentMode::CountRows => self.placeholders = (self.placeholders - 1).max(0),
                _ => {}
            }
            self.escrow -= 1;
        } else if !self.counts {
            self.column += 1;
        }
        self.touched(eroded);
        Ok(over)
    }

    fn place(&mut self, person: u32) -> Result<bool, OpReply> {
        if !self.open || self.booked().max(self.rows()) >= self.capacity {
            return Err(OpReply::NoPlace);
        }
        if self.reserved.contains_key(&person) {
            return Err(OpReply::PersonBooked);
        }
        if !self.counts {
            self.column += 1;
        }
        Ok(false)
    }

    fn cancel(&mut self, person: u32) -> OpReply {
        let eroded = self.eroded();
        self.reserved.remove(&person);
        if self.mode == AllotmentMode::OnRequest {
            if !self.counts && (self.column > 0 || self.maintained == Maintained::Trigger) {
                self.column -= 1;
            }
            return OpReply::GivenUp;
        }
        self.escrow += 1;
        match self.mode {
            AllotmentMode::Capacity if !eroded => self.capacity -= 1,
            AllotmentMode::CountRows => self.placeholders += 1,
            _ => {}
        }
        self.touched(eroded);
        OpReply::TurnedBack
    }

    fn mend(&mut self, sold: i64) -> OpReply {
        let (rows, total) = (self.rows(), self.total());
        let missing = rows + self.escrow - self.booked();
        if missing <= 0 {
            return OpReply::Mended { added: 0, lost: 0, over: 0 };
        }
        let keep = (total - rows).max(sold).clamp(0, self.escrow);
        let lost = self.escrow - keep;
        match self.mode {
            AllotmentMode::Capacity => self.capacity = (total - keep).max(rows),
            AllotmentMode::CountRows => self.placeholders = keep,
            _ => self.column = rows + keep,
        }
        self.escrow = keep;
        self.touched(false);
        let over = (rows + keep - total).max(0);
        OpReply::Mended { added: (missing - lost).max(0) as u32, lost: lost as u32, over: over as u32 }
    }

    fn native_room(&self) -> bool {
        let counted = if self.counts { self.rows() + self.placeholders } else { self.column };
        counted < self.capacity
    }

    /// One reservation fewer, as the application or its trigger counts it.
    fn native_cancelled(&mut self) {
        if !self.counts && (self.column > 0 || self.maintained == Maintained::Trigger) {
            self.column -= 1;
        }
    }
}

/// The slot under test, in both worlds.
struct World<'h> {
    h: &'h dyn Harness,
    slot: SlotKey,
    bridge: Bridge,
    native: NativeSeller,
    model: Model,
    screen: Option<(Screen, Model)>,
    /// Units that ops and the agency have brought to the escrow, less those that left it.
    units: i64,
    op: &'h Cell<u64>,
    reader: Box<dyn LegacyRead>,
    /// By how many units more than its total was reserved and in escrow, as the recount judged after the last step.
    overrun: i64,
    /// The last step may have made it larger: the agency's own, or an honoured convert without a unit.
    excused: bool,
}

impl World<'_> {
    /// Applies an op twice and returns its answer.
    fn apply(&mut self, what: LegacyOp) -> (u64, OpReply) {
        let op = self.op.get() + 1;
        self.op.set(op);
        let backed = self.units > 0;
        self.excused = !backed && matches!(what, LegacyOp::Convert { .. });
        let reply = self.bridge.apply(op, &self.slot, what.clone());
        let after = self.row();
        assert_eq!(self.bridge.apply(op, &self.slot, what), reply, "repeated");
        assert_eq!(self.row(), after, "a repeated op changes nothing");
        self.units += match &reply {
            OpReply::Taken { units } => i64::from(*units),
            OpReply::Returned { units } => -i64::from(*units),
            OpReply::TurnedBack => 1,
            OpReply::Mended { lost, .. } => -i64::from(*lost),
            OpReply::Converted { .. } => -i64::from(backed),
            _ => 0,
        };
        (op, reply)
    }

    fn row(&mut self) -> Vec<slotbridge::domain::Value> {
        row_of(&mut *self.reader, &self.slot)
    }

    fn step(&mut self, step: Step) {
        self.excused = true;
        match step {
            Step::Take(k) => {
                let expected = self.model.take(i64::from(k));
                assert_eq!(self.apply(LegacyOp::Take { units: k }).1, expected);
            }
            Step::Return(k) => {
                let expected = self.model.give_back(i64::from(k));
                assert_eq!(self.apply(LegacyOp::Return { units: k }).1, expected);
            }
            Step::Mend(sold) => {
                let before = self.model.clone();
                let expected = self.model.mend(i64::from(sold));
                assert_eq!(self.apply(LegacyOp::Mend { sold }).1, expected, "{before:?}");
                assert!(!self.model.eroded());
            }
            Step::Convert(person) => self.named(person, convert(&self.h.free_person(person)), false),
            Step::Honour(person) => self.named(person, honour(&self.h.free_person(person)), true),
            Step::Place(person) if self.model.mode == AllotmentMode::OnRequest => {
                self.named(person, place(&self.h.free_person(person)), false);
            }
            Step::Place(_) => {}
            Step::Cancel(person) => self.cancel(person),
            Step::Assign(k) if self.model.mode == AllotmentMode::Quota => {
                let units = self.native.assign_quota(self.slot.as_str(), k).unwrap();
                assert_eq!(i64::from(units), i64::from(k).min(self.model.capacity - self.model.column).max(0));
                self.model.column += i64::from(units);
                self.model.escrow += i64::from(units);
                self.units += i64::from(units);
            }
            Step::Assign(_) => {}
            agency => self.agency(agency),
        }
    }

    /// Convert or place.
    fn named(&mut self, person: u32, what: LegacyOp, honoured: bool) {
        if self.model.mode == AllotmentMode::OnRequest && !matches!(what, LegacyOp::Place { .. }) {
            return;
        }
        let before = self.model.clone();
        let expected = match what {
            LegacyOp::Place { .. } => self.model.place(person),
            _ => self.model.convert(person, honoured),
        };
        let (op, reply) = self.apply(what);
        match (expected, reply) {
            (Ok(over), OpReply::Converted { legacy_ref, over: said }) => {
                assert_eq!(said, over, "{before:?}");
                let made = Reserved { resv_no: legacy_ref.to_string(), op: Some(op) };
                self.model.reserved.insert(person, made);
            }
            (Err(expected), reply) => assert_eq!(reply, expected, "{before:?}"),
            (Ok(_), reply) => panic!("{reply:?} of {before:?}"),
        }
    }

    fn cancel(&mut self, person: u32) {
        let made = self.model.reserved.get(&person).and_then(|r| r.op);
        let (Some(op), expected) = (match made {
            Some(op) => {
                self.model.gone.insert(person, op);
                (Some(op), self.model.cancel(person))
            }
            None => (self.model.gone.get(&person).copied(), OpReply::AlreadyCancelled),
        }) else {
            return;
        };
        assert_eq!(self.apply(cancel(op)).1, expected);
    }

    fn agency(&mut self, step: Step) {
        let slot = self.slot.to_string();
        match step {
            Step::Book(person) => {
                let outcome = self.native.book(&slot, &self.h.free_person(person).0).unwrap();
                let model = &mut self.model;
                match outcome {
                    NativeOutcome::Booked { resv_no } => {
                        assert!(model.open && model.native_room() && !model.reserved.contains_key(&person));
                        model.reserved.insert(person, Reserved { resv_no, op: None });
                        model.column += i64::from(!model.counts);
                    }
                    NativeOutcome::Full => assert!(!model.native_room(), "{model:?}"),
                    NativeOutcome::Closed => assert!(!model.open),
                    other => assert_eq!(other, NativeOutcome::PersonBooked),
                }
            }
            Step::NativeCancel(person) => {
                let Some(reserved) = self.model.reserved.remove(&person) else { return };
                assert_eq!(self.native.cancel(&reserved.resv_no).unwrap(), NativeOutcome::Cancelled);
                self.model.gone.extend(reserved.op.map(|op| (person, op)));
                self.model.native_cancelled();
            }
            Step::SetCapacity(capacity) => {
                assert!(self.native.set_capacity(&slot, capacity).unwrap());
                self.model.capacity = i64::from(capacity);
            }
            Step::Close => self.model.open = !self.native.close_slot(&slot).unwrap(),
            Step::Reopen => self.model.open = self.native.reopen_slot(&slot).unwrap(),
            Step::OpenScreen => {
                let screen = self.native.open_screen(&slot).unwrap().unwrap();
                self.screen = Some((screen, self.model.clone()));
            }
            Step::SaveScreen => {
                let Some((screen, then)) = self.screen.take() else { return };
                assert!(self.native.save_screen(&screen).unwrap());
                (self.model.open, self.model.capacity) = (then.open, then.capacity);
                self.model.column = then.column;
            }
            Step::Recount => {
                self.native.nightly_recount().unwrap();
                self.model.column = self.model.rows();
            }
            Step::DropPlaceholder if self.model.placeholders > 0 => {
                let row = self.native.active(MadeBy::Placeholder, "", 1).unwrap().remove(0);
                assert_eq!(self.native.cancel(&row).unwrap(), NativeOutcome::Cancelled);
                self.model.placeholders -= 1;
            }
            _ => {}
        }
    }

    fn check(&mut self) {
        let row = self.row();
        let model = &self.model;
        let number = |at: usize| row[at].as_int();
        let natively = model.reserved.values().filter(|r| r.op.is_none()).count() as i64;
        assert_eq!(number(1), Some(model.total()), "{model:?}");
        if !(model.counts && model.mode == AllotmentMode::OnRequest) {
            assert_eq!(number(2), Some(model.booked()), "{model:?}");
        }
        assert_eq!((number(3), number(4)), (Some(natively), Some(model.escrow)), "{model:?}");
        let found = self.h.recount();
        assert_eq!((found.escrow as i64, model.escrow), (self.units, self.units), "units are conserved");
        assert_eq!(found.booked_twice, []);
        let over = found.oversold.iter().find(|o| o.slot == self.slot.as_str());
        let overrun = over.map_or(0, |o| o.reserved + o.escrow - o.capacity);
        assert!(self.excused || overrun <= self.overrun, "an overrun never grows by the bridge: {model:?}");
        self.overrun = overrun;
    }
}

#[test]
fn whatever_happens_the_legacy_system_is_as_the_rules_say() {
    on_every_adapter(|h| {
        let op = Cell::new(0);
        let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
        let outcome = runner.run(&(1..8u32, steps()), |(capacity, steps)| {
            h.legacy().clear();
            let mut world = World {
                h,
                slot: h.empty_slot(capacity),
                bridge: h.bridge(),
                native: h.native(),
                model: Model::new(h.legacy().setting, i64::from(capacity)),
                screen: None,
                units: 0,
                op: &op,
                reader: h.reader(),
                overrun: 0,
                excused: false,
            };
            for step in steps {
                world.step(step);
                world.check();
            }
            Ok(())
        });
        if let Err(failed) = outcome {
            panic!("{failed}");
        }
    });
}
