//! The whole way of a booking over the double: a real desk over a real ledger, the write-back worker, the Oracle adapter.
//! The clock is the test's hand; the worker's loop is here, without its thread.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use slotbridge::clock::Clock;
use slotbridge::decide::{Ask, BookAsk, CohortSet, Desk, Event, OpResult, Outcome, Policy, SeriesPolicy, Units};
use slotbridge::domain::{
    BodyMac, CohortNo, Fact, KeyMac, PartnerId, PersonFact, PersonNo, PersonRef, Position, Row, SiteKey, SlotFact,
    SlotKey, SlotStatus, SlotVersion, Timestamp,
};
use slotbridge::durable::{Answer, Render, Rendered, Submission};
use slotbridge::intake::{Bounds, Intake};
use slotbridge::ledger::{Committer, Expected, Ledger};
use slotbridge::legacy::oracle::write::{Body, Settings as Writing};
use slotbridge::legacy::oracle::{Login, Oracle, OracleWrite, Settings};
use slotbridge::legacy::sqlite::recount::{Recount, recount};
use slotbridge::legacy::{Agency, Heartbeat, LegacyError, LegacyErrorKind, LegacyWrite, OpReply, OpRequest};
use slotbridge::register::{IfMissing, Register};
use slotbridge::writeback::{self, Around, Lives, Orders, Stats, Turn, Worker};

use crate::harness::{Harness, Legacy, SETTINGS};
use crate::kit::Server;
use crate::oracle::OnOracle;
use crate::shorthand::series;

const NOW: Timestamp = Timestamp(1_795_345_200_000);
const CAPACITY: u32 = 400;
const SLOTS: usize = 3;

pub struct Hand(Mutex<i64>);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp(*self.0.lock().unwrap())
    }
}

struct Shown;

impl Render for Shown {
    fn render(&self, _: &PartnerId, outcome: &Outcome) -> Rendered {
        let status = if matches!(outcome, Outcome::Booked { .. }) { 201 } else { 409 };
        Rendered { status, body: format!("{outcome:?}").into() }
    }
}

type Core = Arc<Mutex<Committer<Desk, Ledger>>>;

/// Agency, desk and worker.
pub struct Bridge {
    on: OnOracle,
    pub oracle: Arc<Oracle>,
    body: Body,
    clock: Arc<Hand>,
    core: Core,
    intake: Intake,
    register: Arc<Register>,
    pub worker: Worker,
    pub orders: Orders,
    port: Option<Box<dyn LegacyWrite>>,
    /// Errors that the worker met, oldest first.
    pub seen: Arc<Mutex<Vec<Met>>>,
    /// Outcomes that the desk was told, by op.
    outcomes: Arc<Mutex<BTreeMap<u64, OpResult>>>,
    /// The legacy system has lost ops, which are driven again.
    restored: Arc<AtomicBool>,
    /// Connections that were opened.
    pub connects: u32,
    /// What the worker takes for the state of the secret files.
    pub secrets: Arc<AtomicU64>,
    slots: Vec<SlotKey>,
    persons: u32,
    booked: usize,
    _dir: tempfile::TempDir,
}

/// An error as the worker was told.
#[derive(Debug, Clone)]
pub struct Met {
    pub class: &'static str,
    pub kind: LegacyErrorKind,
    pub in_doubt: bool,
    pub text: String,
}

impl Met {
    fn of(error: &LegacyError) -> Met {
        Met { class: error.class, kind: error.kind, in_doubt: error.in_doubt, text: error.to_string() }
    }
}

/// Tells the test what the worker is told.
struct Watched {
    inner: OracleWrite,
    seen: Arc<Mutex<Vec<Met>>>,
}

impl Watched {
    fn told<T>(&self, done: Result<T, LegacyError>) -> Result<T, LegacyError> {
        done.inspect_err(|error| self.seen.lock().unwrap().push(Met::of(error)))
    }
}

impl LegacyWrite for Watched {
    fn apply(&mut self, ops: &[OpRequest]) -> Result<Vec<OpReply>, LegacyError> {
        let done = self.inner.apply(ops);
        self.told(done)
    }
    fn agency(&mut self) -> Result<Agency, LegacyError> {
        let done = self.inner.agency();
        self.told(done)
    }
    fn released(&mut self, request: u64) -> Result<(), LegacyError> {
        let done = self.inner.released(request);
        self.told(done)
    }
    fn heartbeat(&mut self, beat: Heartbeat) -> Result<(), LegacyError> {
        let done = self.inner.heartbeat(beat);
        self.told(done)
    }
    fn statements(&self) -> u64 {
        self.inner.statements()
    }
}

fn policy() -> Policy {
    let mut cohorts = CohortSet::default();
    cohorts.insert(CohortNo(1));
    Policy { series: [(series(), SeriesPolicy { cohorts, opens_at: None })].into(), ..Policy::default() }
}

fn slot_fact(key: &SlotKey) -> Fact {
    Fact::Slot(SlotFact {
        key: key.clone(),
        site: SiteKey::new("H1").unwrap(),
        series: series(),
        start: NOW.plus_ms(40 * 86_400_000),
        status: SlotStatus::Open,
        capacity: CAPACITY,
        native: 0,
        counter: Some(0),
        escrow_units: 0,
        last_op: None,
        opens_at: None,
        class: None,
        version: SlotVersion(1),
        row: Arc::new(Row(Box::new([]))),
    })
}

impl Bridge {
    /// Three slots of which each has a unit.
    pub fn new(body: Body) -> Bridge {
        let on = OnOracle::new(Legacy::new(SETTINGS[0]), body);
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(dir.path(), slotbridge::ledger::Settings::default(), Expected::MayBeNew).unwrap();
        let lives = Lives::new(vec![(Position(1), ledger.incarnation())]).unwrap();
        let core = Arc::new(Mutex::new(Committer::new(Desk::new(policy()), ledger, Box::new(Shown), Vec::new())));
        let clock = Arc::new(Hand(Mutex::new(NOW.0)));
        let (intake, mut queue) = Intake::new(Bounds::default());
        let outcomes: Arc<Mutex<BTreeMap<u64, OpResult>>> = Arc::default();
        let restored: Arc<AtomicBool> = Arc::default();
        std::thread::spawn({
            let (core, clock, outcomes) = (core.clone(), clock.clone(), outcomes.clone());
            let restored = restored.clone();
            move || {
                while let Some(submission) = queue.blocking_recv() {
                    if let Submission { event: Event::OpDone { op, result }, .. } = &submission {
                        let before = outcomes.lock().unwrap().insert(op.0, result.clone());
                        let is_again = restored.load(Ordering::Relaxed);
                        assert!(before.is_none() || is_again, "an outcome is told once");
                    }
                    core.lock().unwrap().run_batch(clock.now(), vec![submission]).unwrap();
                }
            }
        });
        let register = Arc::new(Register::open(&dir.path().join("register.sqlite"), IfMissing::Create).unwrap());
        let (orders, secrets) = (Orders::default(), Arc::default());
        let worker = worker(&intake, &register, &clock, &lives, &orders, &secrets);
        let slots: Vec<SlotKey> = (0..SLOTS).map(|_| (&on as &dyn Harness).empty_slot(CAPACITY)).collect();
        let mut bridge = Bridge {
            oracle: on.oracle.clone(),
            on,
            body,
            clock,
            core,
            intake,
            register,
            worker,
            orders,
            port: None,
            seen: Arc::default(),
            outcomes,
            restored,
            connects: 0,
            secrets,
            slots,
            persons: 0,
            booked: 0,
            _dir: dir,
        };
        bridge.tell(Event::Facts { ticket: 0, facts: bridge.slots.iter().map(slot_fact).collect() });
        bridge.settle();
        bridge
    }

    pub fn server(&self) -> &Server {
        &self.on.server
    }

    pub fn legacy_file(&self) -> &PathBuf {
        &self.on.legacy().path
    }

    fn tell(&self, event: Event) -> Answer {
        *self.clock.0.lock().unwrap() += 10;
        self.intake.submit_all_blocking(vec![event]).unwrap().pop().unwrap()
    }

    /// A booking by somebody who has none, in a slot that has a unit for it.
    pub fn book(&mut self, slot: usize) {
        self.persons += 1;
        let h: &dyn Harness = &self.on;
        let person = self.register.assign(&[&*h.free_person(self.persons).0]).unwrap()[0];
        self.book_as(slot, person);
    }

    pub fn book_as(&mut self, slot: usize, person: PersonNo) {
        let fact = Fact::Person(PersonFact { person, cohort: CohortNo(1), bookable: true });
        self.tell(Event::Facts { ticket: 0, facts: vec![fact] });
        let ask = Ask::Book(BookAsk {
            key: KeyMac(u128::from(person.0).to_le_bytes()),
            body: BodyMac([1; 8]),
            slot: self.slots[slot].clone(),
            person: PersonRef::Known(person),
            series: series(),
            first_sent_at: self.clock.now(),
            seen_cursor: None,
            accept_version: None,
            partner_ref: None,
            alternatives_max: 0,
            within_m: 5_000,
        });
        let answer = self.tell(Event::Request { ticket: 0, partner: PartnerId::new("naver").unwrap(), ask });
        let Answer::Reply { status: 201, .. } = answer else { panic!("not booked: {answer:?}") };
        self.booked += 1;
    }

    pub fn assign(&self, key: &str) -> PersonNo {
        self.register.assign(&[key]).unwrap()[0]
    }

    /// One turn of the worker's loop; the clock jumps over the wait that it ends with.
    pub fn turn(&mut self) -> Turn {
        let turn = match &mut self.port {
            Some(port) => self.worker.turn(&mut **port).unwrap(),
            None => self.connect(),
        };
        if let Turn::Lost { .. } = turn {
            self.port = None;
        }
        if let Turn::Idle { wait_ms } | Turn::Lost { wait_ms } = turn {
            *self.clock.0.lock().unwrap() += i64::try_from(wait_ms).unwrap();
        }
        turn
    }

    fn connect(&mut self) -> Turn {
        if let Some(wait_ms) = self.worker.may_connect() {
            return Turn::Lost { wait_ms };
        }
        let setting = self.on.legacy().setting;
        let settings = Writing {
            body: self.body,
            maintained: setting.maintained,
            person_constraint: setting.constraint,
            ..Writing::default()
        };
        match OracleWrite::open(self.oracle.clone(), settings) {
            Ok(inner) => {
                self.connects += 1;
                self.worker.connected();
                self.port = Some(Box::new(Watched { inner, seen: self.seen.clone() }));
                Turn::Worked
            }
            Err(error) => {
                // What the breaker says of itself is no error of the server, and its pause is of the real clock.
                if error.message.contains("not tried: ") && error.class == "connection_lost" {
                    std::thread::yield_now();
                } else {
                    self.seen.lock().unwrap().push(Met::of(&error));
                }
                self.worker.unreachable(&error)
            }
        }
    }

    /// The connection is given up, as at the start of the process.
    pub fn disconnect(&mut self) {
        self.port = None;
    }

    /// Another process over the same folders: nothing of the breaker and of the sessions is left.
    pub fn restart(&mut self) {
        self.port = None;
        self.oracle = Oracle::new(self.oracle.settings().clone()).unwrap();
        let lives = {
            let core = self.core.lock().unwrap();
            Lives::new(vec![(Position(1), core.store().incarnation())]).unwrap()
        };
        // What was claimed and not done is claimed again, as after a replay.
        self.worker = worker(&self.intake, &self.register, &self.clock, &lives, &self.orders, &self.secrets);
    }

    pub fn write_accounts(&mut self, logins: Vec<Login>) {
        let settings = Settings { write_accounts: logins, ..self.oracle.settings().clone() };
        self.oracle = Oracle::new(settings).unwrap();
    }

    pub fn units(&self) -> Vec<Units> {
        let core = self.core.lock().unwrap();
        self.slots.iter().map(|slot| core.desk().units(slot).unwrap()).collect()
    }

    pub fn stats(&self) -> Stats {
        self.worker.stats().lock().unwrap().clone()
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Nothing sold waits for the legacy system, and nothing is on its way.
    pub fn is_settled(&self) -> bool {
        let rests = |units: &Units| units.booked == 0 && units.taking == 0 && units.returning == 0;
        self.stats().waiting == 0 && self.units().iter().all(rests)
    }

    pub fn settle(&mut self) {
        let begun = std::time::Instant::now();
        self.tell(Event::Tick);
        loop {
            let turn = self.turn();
            if self.is_settled() && matches!(turn, Turn::Idle { .. }) {
                return;
            }
            assert!(begun.elapsed().as_secs() < 30, "{:?} {:?} {:?}", self.units(), self.stats(), self.errors());
        }
    }

    /// Turns until the worker has met an error.
    pub fn meet(&mut self) -> (Met, Turn) {
        let had = self.seen.lock().unwrap().len();
        for _ in 0..200 {
            let turn = self.turn();
            if let Some(error) = self.seen.lock().unwrap().get(had) {
                return (error.clone(), turn);
            }
        }
        panic!("the fault was not met: {:?}", self.stats());
    }

    fn errors(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|met| met.text.clone()).collect()
    }

    /// Bytes of the legacy system's file while nobody writes to it.
    pub fn backup(&self) -> Vec<u8> {
        let connection = rusqlite::Connection::open(self.legacy_file()).unwrap();
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        drop(connection);
        std::fs::read(self.legacy_file()).unwrap()
    }

    /// The agency restores its system; another server takes the place of the one that was there.
    pub fn restore(&mut self, bytes: &[u8]) {
        self.restored.store(true, Ordering::Relaxed);
        self.on.server.kill();
        for end in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{end}", self.legacy_file().display()));
        }
        std::fs::write(self.legacy_file(), bytes).unwrap();
        self.on.server.restart();
    }

    pub fn number_of_logons(&self) -> i64 {
        let side = rusqlite::Connection::open(format!("{}.ctl", self.legacy_file().display())).unwrap();
        side.query_row("SELECT COUNT(*) FROM fake_sessions", [], |row| row.get(0)).unwrap()
    }

    pub fn pass_ms(&self, ms: i64) {
        *self.clock.0.lock().unwrap() += ms;
    }

    /// The pause between logons that failed.
    pub fn forget_breaker(&mut self) {
        self.oracle = Oracle::new(self.oracle.settings().clone()).unwrap();
    }

    pub fn recount(&self) -> Recount {
        recount(self.legacy_file()).unwrap()
    }

    pub fn number(&self, sql: &str) -> i64 {
        let connection = rusqlite::Connection::open(self.legacy_file()).unwrap();
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// Every op that the desk was told of has its effect once: named bookings, units in escrow, the application's own
    /// counter, and one stored answer an op.
    pub fn exactly_once(&self, what: &str) {
        let told = self.recount();
        let (slots, outcomes) = (self.units(), self.outcomes.lock().unwrap());
        assert_eq!((told.miscounted, told.oversold.len(), told.booked_twice.len()), (0, 0, 0), "{what}");
        let converted = outcomes.iter().filter(|(_, result)| matches!(result, OpResult::Converted { .. }));
        let incarnation = self.core.lock().unwrap().store().incarnation();
        let wanted: Vec<String> = converted.map(|(op, _)| format!("{:016x}{op:016x}", incarnation.0)).collect();
        assert_eq!(told.by_op.keys().cloned().collect::<Vec<_>>(), wanted, "{what}: reservations by op");
        let escrow: u32 = slots.iter().map(|units| units.granted - units.converted).sum();
        assert_eq!(told.escrow, u64::from(escrow), "{what}: units in escrow");
        let converted: u32 = slots.iter().map(|units| units.converted).sum();
        assert_eq!(told.bridge, u64::from(converted), "{what}: named bookings");
        let applied = self.number("SELECT COUNT(*) FROM SB_APPLIED");
        let settled = outcomes.len() as i64;
        assert_eq!(applied, settled, "{what}: a stored answer an op");
        assert_eq!(self.number("SELECT COUNT(*) FROM SB_APPLIED WHERE RESULT IS NULL"), 0, "{what}");
    }
}

fn worker(
    intake: &Intake,
    register: &Arc<Register>,
    clock: &Arc<Hand>,
    lives: &Lives,
    orders: &Orders,
    secrets: &Arc<AtomicU64>,
) -> Worker {
    let secrets = secrets.clone();
    let around = Around {
        orders: orders.clone(),
        secrets: Box::new(move || secrets.load(Ordering::Relaxed)),
        ..Around::default()
    };
    let clock: Arc<dyn Clock> = clock.clone();
    Worker::new(intake.clone(), register.clone(), clock, lives.clone(), writeback::Settings::default()).with(around)
}
