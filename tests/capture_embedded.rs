//! Capture and write-back over the embedded legacy system, with the layouts of the shipped mappings.

mod capture_support;

use std::path::Path;
use std::sync::Arc;

use capture_support::{object, setup_with};
use slotbridge::capture::{Lane, Poll, Report, Settings};
use slotbridge::domain::{Fact, Incarnation, OpId, Position, SeriesId, SlotKey, SlotStatus, Timestamp};
use slotbridge::legacy::sqlite::native::{NativeOutcome, NativeSeller, Selling};
use slotbridge::legacy::sqlite::{PersonConstraint, SqliteRead, SqliteWrite, generate, schema};
use slotbridge::legacy::{LegacyOp, LegacyRead, LegacyWrite, OpReply, OpRequest, PersonKey};
use slotbridge::mapping::Layout;

const PEOPLE: u32 = 500;
const SLOTS: u32 = 120;

fn layouts() -> Vec<Layout> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings");
    let files = slotbridge::mapping_files::read_folder(&folder).unwrap();
    slotbridge::mapping::load(&files).unwrap().layouts()
}

struct Embedded {
    dir: tempfile::TempDir,
}

impl Embedded {
    fn new() -> Embedded {
        let dir = tempfile::tempdir().unwrap();
        let embedded = Embedded { dir };
        let mut connection = schema::create(&embedded.path(), PersonConstraint::UniqueIndex).unwrap();
        let now = Timestamp(1_795_345_200_000);
        let plan = generate::Plan { sites: 30, slots: SLOTS, people: PEOPLE, ..generate::Plan::new(5, now) };
        generate::sites_and_slots(&mut connection, &plan).unwrap();
        generate::persons(&mut connection, &plan, &mut |_, _| {}).unwrap();
        embedded
    }

    fn path(&self) -> std::path::PathBuf {
        self.dir.path().join("legacy.db")
    }

    fn reader(&self) -> SqliteRead {
        SqliteRead::open(&self.path()).unwrap()
    }
}

fn cut(lane: &mut Lane, groups: &[Vec<slotbridge::domain::ObjectName>], reader: &mut dyn LegacyRead) -> Vec<Report> {
    let mut reports: Vec<Report> = groups.iter().map(|group| lane.full(group, reader).unwrap()).collect();
    reports.push(lane.persons(reader).unwrap());
    reports
}

#[test]
fn the_embedded_system_is_captured_whole_and_a_restart_republishes_nothing() {
    let embedded = Embedded::new();
    let setup = setup_with(embedded.dir.path(), layouts(), Settings::default());
    let groups = Lane::groups(&setup.capture);
    let mut reader = embedded.reader();
    let mut lane = Lane::new(&setup.capture).unwrap();
    let reports = cut(&mut lane, &groups, &mut reader);
    assert_eq!(reports.iter().map(|report| report.bad).sum::<u64>(), 0, "{:?}", setup.capture.stats().bad_latest);
    let facts = setup.desk.take();
    let count = |wanted: fn(&Fact) -> bool| facts.iter().filter(|fact| wanted(fact)).count();
    assert_eq!(count(|f| matches!(f, Fact::Site(_))), 30);
    assert_eq!(count(|f| matches!(f, Fact::Slot(_))), SLOTS as usize);
    assert_eq!(count(|f| matches!(f, Fact::Person(_))), PEOPLE as usize);
    assert!(count(|f| matches!(f, Fact::Item { object, .. } if object.as_str() == "cohort_rule")) > 0);
    assert!(count(|f| matches!(f, Fact::Reservation(r) if r.active)) > 0);
    assert!(count(|f| matches!(f, Fact::Slot(s) if s.counter == Some(s.native))) == SLOTS as usize);
    drop((lane, setup));
    let again = setup_with(embedded.dir.path(), layouts(), Settings::default());
    assert_eq!(again.capture.positioned_facts().unwrap().count(), facts.len());
    cut(&mut Lane::new(&again.capture).unwrap(), &groups, &mut reader);
    assert_eq!(again.desk.take(), []);
}

#[test]
fn a_native_booking_and_a_write_back_are_seen_by_the_next_fast_poll() {
    let embedded = Embedded::new();
    let setup = setup_with(embedded.dir.path(), layouts(), Settings::default());
    let mut reader = embedded.reader();
    let mut lane = Lane::new(&setup.capture).unwrap();
    cut(&mut lane, &Lane::groups(&setup.capture), &mut reader);
    let facts = setup.desk.take();
    let free = facts.iter().find_map(|fact| match fact {
        Fact::Slot(slot) if slot.status == SlotStatus::Open && slot.capacity >= slot.native + 3 => Some(slot.clone()),
        _ => None,
    });
    let slot = free.unwrap();
    let reserved: Vec<_> = facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::Reservation(reservation) => Some(reservation.person),
            _ => None,
        })
        .collect();
    let mut persons = facts.iter().filter_map(|fact| match fact {
        Fact::Person(person) if person.bookable && !reserved.contains(&person.person) => Some(person.person),
        _ => None,
    });
    let mut key = || setup.register.person_key(persons.next().unwrap()).unwrap().unwrap();
    let booked = NativeSeller::open(&embedded.path(), Selling::Counter).unwrap().book(slot.key.as_str(), &key());
    assert!(matches!(booked, Ok(NativeOutcome::Booked { .. })), "{booked:?}");
    let settings = slotbridge::legacy::sqlite::Settings::new(&embedded.path());
    let id = |position| OpId { incarnation: Incarnation(7), position: Position(position) };
    let op = |position, what| OpRequest {
        id: id(position),
        slot: slot.key.clone(),
        mode: slotbridge::domain::AllotmentMode::Counter,
        what,
    };
    let series: SeriesId = slot.series.clone();
    let convert = LegacyOp::Convert {
        person: PersonKey(Arc::clone(&key())),
        series,
        unbacked: slotbridge::legacy::Unbacked::Refuse,
    };
    let replies =
        SqliteWrite::open(&settings).unwrap().apply(&[op(1, LegacyOp::Take { units: 2 }), op(2, convert)]).unwrap();
    assert!(matches!(&replies[..], [OpReply::Taken { units: 2 }, OpReply::Converted { .. }]), "{replies:?}");
    lane.changes(Poll::Fast, &mut reader).unwrap();
    let facts = setup.desk.take();
    let Some(Fact::Slot(seen)) = facts.first() else { panic!("{facts:?}") };
    assert_eq!((seen.native, seen.escrow_units, seen.last_op), (slot.native + 1, 1, Some(id(2))));
    assert_eq!(seen.counter, Some(slot.native + 3));
    assert_eq!(seen.version, slot.version, "a sale is no material change");
    let made = facts.iter().filter(|f| matches!(f, Fact::Reservation(r) if r.active)).count();
    let ours = facts.iter().filter(|f| matches!(f, Fact::Reservation(r) if r.op == Some(id(2)))).count();
    assert_eq!((made, ours, facts.len()), (2, 1, 3));
}

#[test]
fn a_moved_slot_has_another_version() {
    let embedded = Embedded::new();
    let setup = setup_with(embedded.dir.path(), layouts(), Settings::default());
    let mut lane = Lane::new(&setup.capture).unwrap();
    let group = [object("slot"), object("reservation")];
    lane.full(&group, &mut embedded.reader()).unwrap();
    let Some(Fact::Slot(before)) = setup.desk.take().into_iter().next() else { panic!("slots come first") };
    let mut native = NativeSeller::open(&embedded.path(), Selling::Counter).unwrap();
    let key: &SlotKey = &before.key;
    assert!(native.move_slot(key.as_str(), before.start.plus_ms(3_600_000)).unwrap());
    lane.changes(Poll::Fast, &mut embedded.reader()).unwrap();
    let facts = setup.desk.take();
    let [Fact::Slot(after)] = &facts[..] else { panic!("{facts:?}") };
    assert_eq!((after.start, &after.key), (before.start.plus_ms(3_600_000), key));
    assert_ne!(after.version, before.version);
}
