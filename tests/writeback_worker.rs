//! Write-back over a legacy system in memory that loses requests and replies.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, mpsc};

use slotbridge::clock::Clock;
use slotbridge::decide::{Agreement, Event, Given, Op, OpResult, OpWhat, Rejection};
use slotbridge::domain::{
    AllotmentMode, BookingId, Incarnation, OpId, PersonNo, Position, SeriesId, SlotKey, Timestamp,
};
use slotbridge::durable::{Answer, Submission};
use slotbridge::intake::{Bounds, Intake};
use slotbridge::legacy::{
    Agency, Control, Fence, Heartbeat, LegacyError, LegacyErrorKind, LegacyOp, LegacyWrite, MAX_OPS, OpReply,
    OpRequest, ReleaseRequest, UNLISTED,
};
use slotbridge::register::{IfMissing, Register};
use slotbridge::writeback::{self, Around, Lives, Order, Orders, Settings, Status, Turn, Wake, Worker};

#[path = "writeback_worker/agency.rs"]
mod agency;
#[path = "writeback_worker/errors.rs"]
mod errors;

const LIFE: Incarnation = Incarnation(0xabc);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The ops never arrived, and nobody can tell.
    LostRequest,
    /// The ops were applied, and nobody can tell.
    LostReply,
    /// Nothing happened, and that is known.
    Busy,
    /// A person must act.
    Password,
    /// The switch was turned to STOP between question and write.
    Stopped,
    /// Nothing happened, and the error is of this kind and class.
    Error(LegacyErrorKind, &'static str),
}

#[derive(Default)]
struct Books {
    faults: VecDeque<Fault>,
    applied: BTreeMap<u64, (OpRequest, OpReply)>,
    /// Ops in the order in which they took effect.
    order: Vec<u64>,
    transactions: Vec<usize>,
    reservations: u32,
    refuses: BTreeMap<u64, OpReply>,
    control: Option<Control>,
    /// Positions of ops that fail with a code that no table lists, as often as they run.
    unlisted: BTreeSet<u64>,
    fenced: bool,
    last_op: Option<OpId>,
    releases: Vec<ReleaseRequest>,
    released: Vec<u64>,
    agency_faults: VecDeque<LegacyErrorKind>,
    agency_asked: u64,
    /// What each transaction takes of the clock.
    slow: Option<(Arc<Hand>, i64)>,
    statements: u64,
    beats: Vec<Heartbeat>,
    beat_faults: VecDeque<LegacyErrorKind>,
}

#[derive(Clone, Default)]
struct Legacy(Arc<Mutex<Books>>);

fn error(kind: LegacyErrorKind, in_doubt: bool) -> LegacyError {
    LegacyError { in_doubt, ..LegacyError::new(kind, String::from("ORA-03113")) }
}

impl Books {
    fn apply(&mut self, ops: &[OpRequest]) -> Vec<OpReply> {
        ops.iter().map(|op| self.once(op)).collect()
    }

    fn once(&mut self, op: &OpRequest) -> OpReply {
        assert_eq!(op.id.incarnation, LIFE);
        if let Some((known, reply)) = self.applied.get(&op.id.position.0) {
            assert_eq!(known, op, "an op is repeated unchanged");
            return reply.clone();
        }
        let reply = match self.refuses.get(&op.id.position.0) {
            Some(reply) => reply.clone(),
            None => self.effect(&op.what),
        };
        self.order.push(op.id.position.0);
        self.applied.insert(op.id.position.0, (op.clone(), reply.clone()));
        reply
    }

    fn effect(&mut self, what: &LegacyOp) -> OpReply {
        match what {
            LegacyOp::Take { .. } if self.control == Some(Control::Drain) => OpReply::Taken { units: 0 },
            LegacyOp::Take { units } => OpReply::Taken { units: *units },
            LegacyOp::Return { units } => OpReply::Returned { units: *units },
            LegacyOp::Mend { .. } => OpReply::Mended { added: 0, lost: 0, over: 0 },
            LegacyOp::Convert { .. } | LegacyOp::Place { .. } => {
                self.reservations += 1;
                OpReply::Converted { legacy_ref: Arc::from(format!("R{}", self.reservations)), over: false }
            }
            LegacyOp::Cancel { convert } => {
                let made = self.applied.get(&convert.position.0);
                assert!(matches!(made, Some((_, OpReply::Converted { .. }))), "a cancel never passes its convert");
                self.reservations -= 1;
                OpReply::TurnedBack
            }
        }
    }
}

impl LegacyWrite for Legacy {
    fn apply(&mut self, ops: &[OpRequest]) -> Result<Vec<OpReply>, LegacyError> {
        assert!(!ops.is_empty() && ops.len() <= MAX_OPS);
        assert!(ops.is_sorted_by_key(|op| (op.slot.clone(), op.id.position)), "locked in slot order");
        let mut books = self.0.lock().unwrap();
        books.statements += ops.len() as u64;
        books.transactions.push(ops.len());
        if let Some((clock, ms)) = &books.slow {
            *clock.0.lock().unwrap() += ms;
        }
        if ops.iter().any(|op| books.unlisted.contains(&op.id.position.0)) {
            return Err(LegacyError { class: UNLISTED, ..error(LegacyErrorKind::Halt, false) });
        }
        match books.faults.pop_front() {
            None => Ok(books.apply(ops)),
            Some(Fault::LostRequest) => Err(error(LegacyErrorKind::Lost, true)),
            Some(Fault::LostReply) => {
                books.apply(ops);
                Err(error(LegacyErrorKind::Lost, true))
            }
            Some(Fault::Busy) => Err(error(LegacyErrorKind::Retry, false)),
            Some(Fault::Password) => Err(error(LegacyErrorKind::Operator, false)),
            Some(Fault::Stopped) => {
                books.control = Some(Control::Stop);
                Err(error(LegacyErrorKind::Operator, false))
            }
            Some(Fault::Error(kind, class)) => Err(LegacyError { class, ..error(kind, false) }),
        }
    }

    fn agency(&mut self) -> Result<Agency, LegacyError> {
        let mut books = self.0.lock().unwrap();
        books.agency_asked += 1;
        if let Some(kind) = books.agency_faults.pop_front() {
            return Err(error(kind, false));
        }
        let control = books.control.unwrap_or(Control::Run);
        let fence = Fence { last_op: books.last_op, applied: 0, open: !books.fenced };
        Ok(Agency { control, fence, releases: books.releases.clone() })
    }

    fn released(&mut self, request: u64) -> Result<(), LegacyError> {
        let mut books = self.0.lock().unwrap();
        books.released.push(request);
        books.releases.retain(|open| open.id != request);
        Ok(())
    }

    fn heartbeat(&mut self, beat: Heartbeat) -> Result<(), LegacyError> {
        let mut books = self.0.lock().unwrap();
        books.beats.push(beat);
        books.beat_faults.pop_front().map_or(Ok(()), |kind| Err(error(kind, false)))
    }

    fn statements(&self) -> u64 {
        self.0.lock().unwrap().statements
    }
}

/// What the desk has durably: ops, results, doubts. Survives workers.
#[derive(Default)]
struct Ledger {
    open: BTreeMap<u64, Op>,
    claimed: Vec<u64>,
    results: Vec<(u64, OpResult)>,
    doubts: Vec<u64>,
    switches: Vec<Control>,
    fences: Vec<(Option<OpId>, bool)>,
    /// What the next comparisons come to; level when none is left.
    agreements: VecDeque<Agreement>,
    /// Slots whose units were wanted back, and what is left of them at each asking; nothing when none is left.
    given_back: Vec<Option<SlotKey>>,
    left: VecDeque<u64>,
}

struct Hand(Mutex<i64>);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp(*self.0.lock().unwrap())
    }
}

struct Setup {
    ledger: Arc<Mutex<Ledger>>,
    legacy: Legacy,
    clock: Arc<Hand>,
    register: Arc<Register>,
    intake: Intake,
    told: mpsc::Receiver<u64>,
    _dir: tempfile::TempDir,
}

fn setup() -> Setup {
    let dir = tempfile::tempdir().unwrap();
    let register = Arc::new(Register::open(&dir.path().join("register.sqlite"), IfMissing::Create).unwrap());
    register.assign(&["P1", "P2", "P3"]).unwrap();
    let (intake, mut queue) = Intake::new(Bounds::default());
    let ledger: Arc<Mutex<Ledger>> = Arc::default();
    let (tell, told) = mpsc::channel();
    let desk = ledger.clone();
    std::thread::spawn(move || {
        while let Some(Submission { event, answer }) = queue.blocking_recv() {
            let mut ledger = desk.lock().unwrap();
            let reply = match event {
                Event::Claim { max, .. } => {
                    let mut ops: Vec<Op> = ledger.open.values().cloned().collect();
                    ops.retain(|op| !ledger.claimed.contains(&op.position.0));
                    ops.truncate(max);
                    ledger.claimed.extend(ops.iter().map(|op| op.position.0));
                    let mode = AllotmentMode::Counter;
                    let ops = ops.into_iter().map(|op| Given { op, mode, honour: false }).collect();
                    Answer::Claimed { ops }
                }
                Event::OpDone { op, result } => {
                    assert!(ledger.open.remove(&op.0).is_some(), "an outcome is told once");
                    ledger.results.push((op.0, result));
                    let _ = tell.send(op.0);
                    Answer::Done { durable: op }
                }
                Event::OpInDoubt { op } => {
                    ledger.doubts.push(op.0);
                    Answer::Done { durable: op }
                }
                Event::Switch { control } => {
                    ledger.switches.push(control);
                    Answer::Done { durable: Position(1) }
                }
                Event::Fence { last_op, ours, .. } => {
                    ledger.fences.push((last_op, ours));
                    Answer::Fenced { agreement: ledger.agreements.pop_front().unwrap_or(Agreement::Level) }
                }
                Event::GiveBack { slot, .. } => {
                    ledger.given_back.push(slot);
                    Answer::GivenBack { left: ledger.left.pop_front().unwrap_or(0) }
                }
                other => panic!("write-back never sends {other:?}"),
            };
            drop(ledger);
            let _ = answer.unwrap().send(reply);
        }
    });
    let clock = Arc::new(Hand(Mutex::new(1_000_000)));
    Setup { ledger, legacy: Legacy::default(), clock, register, intake, told, _dir: dir }
}

fn lives(life: Incarnation) -> Lives {
    Lives::new(vec![(Position(1), life)]).unwrap()
}

impl Setup {
    fn worker(&self) -> Worker {
        self.ledger.lock().unwrap().claimed.clear();
        let clock: Arc<dyn Clock> = self.clock.clone();
        Worker::new(self.intake.clone(), self.register.clone(), clock, lives(LIFE), Settings::default())
    }

    fn pass(&self, ms: i64) {
        *self.clock.0.lock().unwrap() += ms;
    }

    fn turn(&self, worker: &mut Worker) -> Turn {
        worker.turn(&mut self.legacy.clone()).unwrap()
    }

    fn books(&self) -> std::sync::MutexGuard<'_, Books> {
        self.legacy.0.lock().unwrap()
    }

    fn status(&self, worker: &Worker) -> &'static str {
        worker.stats().lock().unwrap().status.code()
    }

    fn ask(&self, position: u64, slot: &str, what: OpWhat) {
        let op = Op { position: Position(position), slot: SlotKey::new(slot).unwrap(), what };
        self.ledger.lock().unwrap().open.insert(position, op);
    }

    fn faults(&self, faults: &[Fault]) {
        self.legacy.0.lock().unwrap().faults.extend(faults);
    }

    /// Turns until nothing is open, the clock jumping over every pause.
    fn run(&self, worker: &mut Worker) {
        for _ in 0..1_000 {
            if self.ledger.lock().unwrap().open.is_empty() {
                return;
            }
            if let Turn::Idle { wait_ms } | Turn::Lost { wait_ms } = worker.turn(&mut self.legacy.clone()).unwrap() {
                *self.clock.0.lock().unwrap() += i64::try_from(wait_ms).unwrap();
            }
        }
        panic!("ops are left");
    }

    fn results(&self) -> Vec<(u64, OpResult)> {
        self.ledger.lock().unwrap().results.clone()
    }
}

fn convert(person: u32) -> OpWhat {
    let series = SeriesId::new("covid").unwrap();
    OpWhat::Convert { booking: BookingId(Position(1)), person: PersonNo(person), series }
}

fn cancel(convert: u64) -> OpWhat {
    OpWhat::Cancel { booking: BookingId(Position(convert)), convert: Position(convert) }
}

fn day(setup: &Setup) {
    setup.ask(1, "b", OpWhat::Take { units: 5 });
    setup.ask(2, "a", OpWhat::Take { units: 3 });
    setup.ask(3, "b", convert(1));
    setup.ask(4, "a", convert(2));
    setup.ask(5, "b", cancel(3));
    setup.ask(6, "a", OpWhat::Return { units: 2 });
    setup.ask(7, "b", convert(3));
}

#[test]
fn every_op_takes_effect_once_whatever_is_lost() {
    use Fault::{Busy, LostReply, LostRequest};
    for faults in [
        &[][..],
        &[LostRequest],
        &[LostReply],
        &[Busy, Busy, LostReply, LostReply, LostRequest, Busy],
        &[LostReply, LostRequest, LostRequest, LostReply],
    ] {
        let setup = setup();
        day(&setup);
        setup.faults(faults);
        setup.run(&mut setup.worker());
        let books = setup.legacy.0.lock().unwrap();
        assert_eq!(books.order, [2, 4, 6, 1, 3, 5, 7], "{faults:?}");
        assert_eq!(books.reservations, 2);
        let told: BTreeMap<u64, OpResult> = setup.results().into_iter().collect();
        assert_eq!(told[&1], OpResult::Taken { units: 5 });
        assert_eq!(told[&5], OpResult::TurnedBack);
        assert_eq!(told[&6], OpResult::Returned { units: 2 });
        assert!(matches!(told[&7], OpResult::Converted { .. }));
        let doubts = setup.ledger.lock().unwrap().doubts.len();
        let in_doubt = faults.iter().any(|fault| *fault != Busy);
        assert_eq!(doubts, if in_doubt { 7 } else { 0 }, "each op is told to be in doubt once");
    }
}

#[test]
fn a_worker_that_died_after_the_commit_leaves_nothing_undone_or_done_twice() {
    let setup = setup();
    day(&setup);
    setup.faults(&[Fault::LostReply]);
    let mut first = setup.worker();
    assert!(matches!(first.turn(&mut setup.legacy.clone()), Ok(Turn::Lost { .. })));
    drop(first);
    setup.run(&mut setup.worker());
    assert_eq!(setup.legacy.0.lock().unwrap().order.len(), 7);
    assert_eq!(setup.results().len(), 7);
}

#[test]
fn an_op_after_one_in_doubt_waits_on_the_same_slot_only() {
    let setup = setup();
    setup.ask(1, "a", convert(1));
    setup.faults(&[Fault::LostRequest]);
    let mut worker = setup.worker();
    worker.turn(&mut setup.legacy.clone()).unwrap();
    setup.ask(2, "a", cancel(1));
    setup.ask(3, "b", convert(2));
    assert_eq!(worker.turn(&mut setup.legacy.clone()), Ok(Turn::Worked));
    assert_eq!(setup.legacy.0.lock().unwrap().order, [3]);
    assert_eq!(worker.stats().lock().unwrap().in_doubt, 1);
    setup.run(&mut worker);
    assert_eq!(setup.legacy.0.lock().unwrap().order, [3, 1, 2]);
    assert_eq!(worker.stats().lock().unwrap().in_doubt, 0);
}

#[test]
fn each_refusal_has_its_rejection() {
    let setup = setup();
    let replies = [
        (OpReply::PersonBooked, Rejection::PersonBooked),
        (OpReply::SlotMissing, Rejection::SlotMissing),
        (OpReply::EscrowEroded, Rejection::EscrowEroded),
        (OpReply::LegacyRule { code: String::from("20001") }, Rejection::LegacyRule),
    ];
    for (at, (reply, _)) in replies.iter().enumerate() {
        setup.ask(at as u64 + 1, "a", convert(1));
        setup.legacy.0.lock().unwrap().refuses.insert(at as u64 + 1, reply.clone());
    }
    let mut worker = setup.worker();
    setup.run(&mut worker);
    for ((_, told), (_, reason)) in setup.results().iter().zip(&replies) {
        assert_eq!(*told, OpResult::Rejected { reason: *reason });
    }
    let outcomes = worker.stats().lock().unwrap().outcomes.clone();
    assert_eq!(outcomes, [("escrow_eroded", 1), ("legacy_rule", 1), ("person_booked", 1), ("slot_missing", 1)].into());
}

#[test]
fn a_convert_of_an_unlinked_person_ends_without_touching_the_legacy_system() {
    let setup = setup();
    setup.ask(1, "a", convert(2));
    assert!(setup.register.unlink(PersonNo(2)).unwrap());
    setup.run(&mut setup.worker());
    assert_eq!(setup.results(), [(1, OpResult::Rejected { reason: Rejection::LegacyRule })]);
    assert!(setup.legacy.0.lock().unwrap().transactions.is_empty());
}

#[test]
fn under_stop_nothing_is_claimed_or_written_and_under_drain_nothing_is_taken() {
    let setup = setup();
    setup.ask(1, "a", OpWhat::Take { units: 5 });
    setup.ask(2, "a", OpWhat::Return { units: 1 });
    setup.legacy.0.lock().unwrap().control = Some(Control::Stop);
    let mut worker = setup.worker();
    assert!(matches!(worker.turn(&mut setup.legacy.clone()), Ok(Turn::Idle { wait_ms: 1..=2_000 })));
    assert!(setup.ledger.lock().unwrap().claimed.is_empty());
    assert_eq!(worker.stats().lock().unwrap().status, Status::StoppedByAgency);
    setup.legacy.0.lock().unwrap().control = Some(Control::Drain);
    setup.run(&mut worker);
    assert_eq!(setup.results(), [(1, OpResult::Taken { units: 0 }), (2, OpResult::Returned { units: 1 })]);
    assert_eq!(worker.stats().lock().unwrap().status, Status::Draining);
}

#[test]
fn a_switch_turned_amid_a_write_is_obeyed_and_is_no_fault() {
    let setup = setup();
    setup.ask(1, "a", convert(1));
    setup.faults(&[Fault::Stopped]);
    let mut worker = setup.worker();
    assert!(matches!(worker.turn(&mut setup.legacy.clone()), Ok(Turn::Idle { .. })));
    assert_eq!(worker.stats().lock().unwrap().status, Status::StoppedByAgency);
    setup.legacy.0.lock().unwrap().control = Some(Control::Run);
    *setup.clock.0.lock().unwrap() += 2_000;
    setup.run(&mut worker);
    assert_eq!(setup.results().len(), 1);
}

#[test]
fn a_transaction_holds_at_most_fifty_ops_and_one_op_once_batches_keep_failing() {
    let setup = setup();
    for n in 1..=120 {
        setup.ask(n, &format!("s{:03}", n % 40), OpWhat::Take { units: 1 });
    }
    let mut worker = setup.worker();
    setup.run(&mut worker);
    assert_eq!(setup.legacy.0.lock().unwrap().transactions, [50, 50, 20]);
    setup.legacy.0.lock().unwrap().transactions.clear();
    for n in 201..=203 {
        setup.ask(n, &format!("s{n}"), OpWhat::Take { units: 1 });
    }
    setup.faults(&[Fault::Busy; 6]);
    setup.run(&mut worker);
    assert_eq!(setup.legacy.0.lock().unwrap().transactions[..7], [3, 3, 3, 3, 3, 3, 1]);
}

fn surroundings() -> writeback::Surroundings {
    writeback::Surroundings {
        backed_up_at: Box::new(|| None),
        password_days: Box::new(|_| ()),
        clock: Arc::new(slotbridge::clock::SystemClock),
    }
}

#[test]
fn the_thread_works_when_woken_and_stops_when_told() {
    let setup = setup();
    let (worker, wake) = (setup.worker(), Wake::new());
    let (settings, legacy) = (Settings::default(), setup.legacy.clone());
    let connect: writeback::Connect = Box::new(move || Ok(Box::new(legacy.clone())));
    let beat: writeback::Beat = Box::new(|| Heartbeat { position: 9, unapplied: 0, free_units: 4 });
    let running = writeback::start(worker, &settings, connect, beat, surroundings(), wake.clone()).unwrap();
    day(&setup);
    wake.notify();
    for _ in 0..7 {
        setup.told.recv_timeout(std::time::Duration::from_secs(60)).unwrap();
    }
    let id = OpId { incarnation: LIFE, position: Position(5) };
    assert!(setup.legacy.0.lock().unwrap().applied.values().any(|(op, _)| op.id == id));
    // The first beat follows the first reading of the fence.
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while setup.legacy.0.lock().unwrap().beats.is_empty() {
        assert!(std::time::Instant::now() < until, "no heartbeat is written");
        std::thread::yield_now();
    }
    running.stop().unwrap();
}

#[test]
fn an_op_asked_before_a_restore_keeps_its_id() {
    let setup = setup();
    let (old, new) = (Incarnation(1), Incarnation(2));
    setup.ledger.lock().unwrap().claimed.clear();
    let clock: Arc<dyn Clock> = setup.clock.clone();
    let lives = Lives::new(vec![(Position(100), new), (Position(1), old)]).unwrap();
    let mut worker = Worker::new(setup.intake.clone(), setup.register.clone(), clock, lives, Settings::default());
    setup.ask(5, "S1", OpWhat::Take { units: 1 });
    setup.ask(105, "S1", OpWhat::Take { units: 1 });
    let mut seen = Vec::new();
    let mut port = Ids(&mut seen);
    worker.turn(&mut port).unwrap();
    seen.sort_by_key(|id: &OpId| id.position);
    assert_eq!(
        seen,
        [OpId { incarnation: old, position: Position(5) }, OpId { incarnation: new, position: Position(105) }]
    );
    assert!(Lives::new(vec![(Position(100), new)]).is_none());
}

/// Notes the ids it is asked to run.
struct Ids<'a>(&'a mut Vec<OpId>);

impl LegacyWrite for Ids<'_> {
    fn apply(&mut self, ops: &[OpRequest]) -> Result<Vec<OpReply>, LegacyError> {
        self.0.extend(ops.iter().map(|op| op.id));
        Ok(ops.iter().map(|_| OpReply::Taken { units: 1 }).collect())
    }

    fn agency(&mut self) -> Result<Agency, LegacyError> {
        let control = Control::Run;
        Ok(Agency { control, fence: Fence { last_op: None, applied: 0, open: true }, releases: Vec::new() })
    }

    fn released(&mut self, _: u64) -> Result<(), LegacyError> {
        Ok(())
    }

    fn heartbeat(&mut self, _: Heartbeat) -> Result<(), LegacyError> {
        Ok(())
    }

    fn statements(&self) -> u64 {
        0
    }
}
