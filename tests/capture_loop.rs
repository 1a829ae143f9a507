//! The inner loop with real parts: embedded legacy system, capture, desk, ledger, write-back, and back to capture.

mod capture_support;

use std::path::Path;
use std::sync::{Arc, Mutex};

use capture_support::object;
use slotbridge::capture::{Capture, Lane, Parts, Poll, Settings};
use slotbridge::clock::{Clock, SystemClock};
use slotbridge::decide::{Ask, BookAsk, CohortSet, Desk, Event, Outcome, Policy, SeriesPolicy};
use slotbridge::domain::{
    BodyMac, BookingId, BookingStatus, Fact, KeyMac, PartnerId, PersonNo, PersonRef, Position, SeriesId, SlotKey,
    SlotStatus, Sync, Timestamp,
};
use slotbridge::durable::{Answer, Render, Rendered};
use slotbridge::intake::{Bounds, Intake};
use slotbridge::ledger::{self, Committer, Expected, Ledger};
use slotbridge::legacy::sqlite::native::{NativeOutcome, NativeSeller, Selling};
use slotbridge::legacy::sqlite::recount::recount;
use slotbridge::legacy::sqlite::{PersonConstraint, SqliteRead, SqliteWrite, generate, schema};
use slotbridge::register::{IfMissing, Register};
use slotbridge::view::{Fill, View};
use slotbridge::writeback::{self, Turn, Worker};

struct Shown;

impl Render for Shown {
    fn render(&self, _: &PartnerId, outcome: &Outcome) -> Rendered {
        let status = match outcome {
            Outcome::Booked { .. } => 201,
            Outcome::Refused(_) => 409,
            _ => 200,
        };
        Rendered { status, body: format!("{outcome:?}").into() }
    }
}

struct World {
    dir: tempfile::TempDir,
    capture: Arc<Capture>,
    register: Arc<Register>,
    intake: Intake,
    view: Arc<View>,
    worker: Mutex<Worker>,
    keys: Mutex<u128>,
}

fn naver() -> PartnerId {
    PartnerId::new("naver").unwrap()
}

fn series() -> SeriesId {
    SeriesId::new("covid19-1").unwrap()
}

impl World {
    fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let mut connection = schema::create(&dir.path().join("legacy.db"), PersonConstraint::UniqueIndex).unwrap();
        let plan = generate::Plan { sites: 20, slots: 60, people: 300, ..generate::Plan::new(9, SystemClock.now()) };
        generate::sites_and_slots(&mut connection, &plan).unwrap();
        generate::persons(&mut connection, &plan, &mut |_, _| {}).unwrap();
        let (intake, receiver) = Intake::new(Bounds::default());
        let view = Arc::new(View::default());
        let register = Arc::new(Register::open(&dir.path().join("register.sqlite"), IfMissing::Create).unwrap());
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings");
        let files = slotbridge::mapping_files::read_folder(&folder).unwrap();
        let capture = Capture::new(Parts {
            mirror_path: dir.path().join("mirror.sqlite"),
            register: register.clone(),
            intake: intake.clone(),
            view: view.clone(),
            clock: Arc::new(SystemClock),
            layouts: slotbridge::mapping::load(&files).unwrap().layouts(),
            settings: Settings::default(),
            hot_keys: None,
        })
        .unwrap();
        let ledger = Ledger::open(&dir.path().join("ledger"), ledger::Settings::default(), Expected::MayBeNew).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let settings = writeback::Settings::default();
        let lives = ledger.epochs().iter().map(|life| (life.from, life.incarnation)).collect();
        let lives = writeback::Lives::new(lives).unwrap();
        let worker = Worker::new(intake.clone(), register.clone(), clock, lives, settings);
        let policy = Policy {
            series: [(series(), SeriesPolicy { cohorts: CohortSet::ALL, opens_at: None })].into(),
            ..Policy::default()
        };
        let mut committer =
            Committer::new(Desk::new(policy), ledger, Box::new(Shown), vec![Box::new(Fill(view.clone()))]);
        std::thread::spawn(move || committer.run(receiver, || SystemClock.now()));
        World { dir, capture, register, intake, view, worker: Mutex::new(worker), keys: Mutex::new(0) }
    }

    fn legacy(&self) -> std::path::PathBuf {
        self.dir.path().join("legacy.db")
    }

    fn book(&self, person: PersonNo, slot: &SlotKey) -> Answer {
        let mut keys = self.keys.lock().unwrap();
        *keys += 1;
        let ask = Ask::Book(BookAsk {
            key: KeyMac(keys.to_le_bytes()),
            body: BodyMac([1; 8]),
            slot: slot.clone(),
            person: PersonRef::Known(person),
            series: series(),
            first_sent_at: SystemClock.now(),
            seen_cursor: None,
            accept_version: None,
            partner_ref: None,
            alternatives_max: 0,
            within_m: 0,
        });
        self.intake.submit_blocking(Event::Request { ticket: 0, partner: naver(), ask }).unwrap()
    }

    /// Books; a slot without free units gets some by the next turn.
    fn booked(&self, person: PersonNo, slot: &SlotKey) -> Position {
        let mut last = None;
        for _ in 0..5 {
            match self.book(person, slot) {
                Answer::Reply { status: 201, entry: Some(entry), .. } => return entry,
                refused => last = Some(refused),
            }
            self.write_back();
        }
        panic!("never booked: {last:?}");
    }

    fn write_back(&self) {
        let settings = slotbridge::legacy::sqlite::Settings::new(&self.legacy());
        let mut port = SqliteWrite::open(&settings).unwrap();
        let mut worker = self.worker.lock().unwrap();
        while worker.turn(&mut port).unwrap() == Turn::Worked {}
    }
}

#[test]
fn what_is_booked_here_is_reserved_there_once_and_what_is_booked_there_is_known_here() {
    let world = World::new();
    let mut reader = SqliteRead::open(&world.legacy()).unwrap();
    let mut lane = Lane::new(&world.capture).unwrap();
    assert_eq!(world.capture.resend().unwrap(), 0);
    for group in Lane::groups(&world.capture) {
        assert!(lane.full(&group, &mut reader).unwrap().changed > 0);
    }
    lane.persons(&mut reader).unwrap();
    let facts: Vec<Fact> = world.capture.positioned_facts().unwrap().map(|fact| fact.unwrap().1).collect();
    let soon = SystemClock.now().plus_ms(86_400_000);
    let slot = facts.iter().find_map(|fact| match fact {
        Fact::Slot(s) if s.status == SlotStatus::Open && s.series == series() && s.start > soon => {
            (s.capacity >= s.native + 4).then_some(s)
        }
        _ => None,
    });
    let slot = slot.unwrap();
    let reserved: Vec<PersonNo> =
        facts.iter().filter_map(|f| if let Fact::Reservation(r) = f { Some(r.person) } else { None }).collect();
    let free = facts.iter().filter_map(|fact| match fact {
        Fact::Person(p) if p.bookable && !reserved.contains(&p.person) => Some(p.person),
        _ => None,
    });
    let free: Vec<PersonNo> = free.take(4).collect();
    // Nothing is ours yet: the refusal asks for units, the next turn takes them.
    let refused = world.book(free[0], &slot.key);
    assert!(matches!(refused, Answer::Reply { status: 409, .. }), "{refused:?}");
    world.write_back();
    let (kept, ended) = (world.booked(free[0], &slot.key), world.booked(free[1], &slot.key));
    world.write_back();
    let cancel = Ask::Cancel { booking: BookingId(ended), if_match: None };
    world.intake.submit_blocking(Event::Request { ticket: 0, partner: naver(), ask: cancel }).unwrap();
    world.write_back();
    let booking = |id| world.view.booking(&naver(), BookingId(id)).unwrap();
    assert_eq!((booking(kept).status, booking(kept).sync), (BookingStatus::Booked, Sync::Applied));
    assert_eq!(booking(ended).status, BookingStatus::Cancelled);
    // A person who books natively is known here after the next fast poll.
    let key = world.register.person_key(free[2]).unwrap().unwrap();
    let mut native = NativeSeller::open(&world.legacy(), Selling::Counter).unwrap();
    assert!(matches!(native.book(slot.key.as_str(), &key), Ok(NativeOutcome::Booked { .. })));
    let before = lane.changes(Poll::Fast, &mut reader).unwrap().unwrap();
    assert!(before.changed >= 3, "the slot, our two reservations and the native one: {before:?}");
    assert!(matches!(world.book(free[2], &slot.key), Answer::Reply { status: 409, .. }));
    // The legacy side cancels ours: the bridge follows.
    assert_eq!(native.cancel(booking(kept).legacy_ref.as_deref().unwrap()).unwrap(), NativeOutcome::Cancelled);
    lane.changes(Poll::Fast, &mut reader).unwrap();
    assert_eq!(booking(kept).status, BookingStatus::Cancelled);
    let seen = world.view.slot(&slot.key).unwrap();
    assert_eq!(seen.remaining, slot.capacity - slot.native - 1);
    let recount = recount(&world.legacy()).unwrap();
    assert_eq!(recount.booked_twice, []);
    assert_eq!(recount.by_op.len(), 2);
    assert_eq!(lane.full(&[object("slot"), object("reservation")], &mut reader).unwrap().changed, 0);
    assert!(world.view.mark().started_at > Timestamp(0));
}
