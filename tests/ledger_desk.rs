//! The real desk over the real ledger: a restart ends in the same state, with a snapshot, without one, and past bad
//! ones.

mod ledger_kit;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use ledger_kit::{open, partner, small_segments, submission};
use slotbridge::app::{self, Files};
use slotbridge::decide::{
    Ask, BookAsk, CohortSet, Desk, Entry, Event, Op, OpResult, OpWhat, Outcome, Policy, SeriesPolicy, Snapshot,
};
use slotbridge::domain::{
    BodyMac, BookingId, CohortNo, Fact, KeyMac, PartnerId, PersonFact, PersonNo, PersonRef, Position, Row, SeriesId,
    SiteKey, SlotFact, SlotKey, SlotStatus, SlotVersion, Timestamp,
};
use slotbridge::durable::{Answer, Render, Rendered};
use slotbridge::ledger::snapshot::{self, Header};
use slotbridge::ledger::{Committer, Ledger, LedgerStore};

const NOW: Timestamp = Timestamp(1_795_345_200_000);
const PEOPLE: u32 = 40;

struct Shown;

impl Render for Shown {
    fn render(&self, _: &PartnerId, outcome: &Outcome) -> Rendered {
        let status = if matches!(outcome, Outcome::Booked { .. }) { 201 } else { 409 };
        Rendered { status, body: format!("{outcome:?}").into() }
    }
}

fn series() -> SeriesId {
    SeriesId::new("covid19-1").expect("a series")
}

fn policy() -> Policy {
    let mut cohorts = CohortSet::default();
    cohorts.insert(CohortNo(1));
    Policy { series: [(series(), SeriesPolicy { cohorts, opens_at: None })].into(), ..Policy::default() }
}

fn known_facts() -> Vec<Fact> {
    let slot = |n: u32| {
        Fact::Slot(SlotFact {
            key: SlotKey::new(&n.to_string()).expect("a slot key"),
            site: SiteKey::new("H1").expect("a site key"),
            series: series(),
            start: NOW.plus_ms(86_400_000),
            status: SlotStatus::Open,
            capacity: 20,
            native: 0,
            counter: Some(0),
            escrow_units: 0,
            last_op: None,
            opens_at: None,
            class: None,
            version: SlotVersion(1),
            row: Arc::new(Row(Box::new([]))),
        })
    };
    let person = |n| Fact::Person(PersonFact { person: PersonNo(n), cohort: CohortNo(1), bookable: true });
    (1..=3).map(slot).chain((0..PEOPLE).map(person)).collect()
}

struct Running {
    committer: Committer<Desk, Ledger>,
    now: Timestamp,
    keys: u64,
}

impl Running {
    fn begin(dir: &Path) -> Running {
        let desk = Desk::new(policy());
        let committer = Committer::new(desk, open(dir, small_segments(60)), Box::new(Shown), Vec::new());
        let mut running = Running { committer, now: NOW, keys: 0 };
        let taken = running.tell(Event::Facts { ticket: 0, facts: known_facts() });
        assert!(matches!(taken, Answer::Facts { first: Position(1), .. }));
        running
    }

    fn tell(&mut self, event: Event) -> Answer {
        let (submission, mut answer) = submission(event);
        self.now = self.now.plus_ms(10);
        self.committer.run_batch(self.now, vec![submission]).expect("the batch is durable");
        answer.try_recv().expect("an answer")
    }

    fn book(&mut self, who: u32, slot: u32) -> Answer {
        self.keys += 1;
        let ask = Ask::Book(BookAsk {
            key: KeyMac(u128::from(self.keys).to_le_bytes()),
            body: BodyMac([1; 8]),
            slot: SlotKey::new(&slot.to_string()).expect("a slot key"),
            person: PersonRef::Known(PersonNo(who)),
            series: series(),
            first_sent_at: self.now,
            seen_cursor: None,
            accept_version: None,
            partner_ref: who.is_multiple_of(2).then(|| Arc::from("ref")),
            alternatives_max: 5,
            within_m: 5_000,
        });
        self.tell(Event::Request { ticket: 0, partner: partner("naver"), ask })
    }

    /// Asks for bookings, cancels some, and does what the write-back would.
    fn work(&mut self, people: std::ops::Range<u32>) {
        for who in people {
            let answer = self.book(who, who % 3 + 1);
            if let Answer::Reply { status: 201, entry: Some(entry), .. } = answer
                && who % 5 == 0
            {
                let ask = Ask::Cancel { booking: BookingId(entry), if_match: None };
                self.tell(Event::Request { ticket: 0, partner: partner("naver"), ask });
            }
            self.tell(Event::Tick);
            let Answer::Claimed { ops } = self.tell(Event::Claim { ticket: 0, max: 10 }) else { panic!("no ops") };
            for op in ops.into_iter().map(|given| given.op).filter(|op| op.position.0 % 7 != 0) {
                let (op, result) = done(op);
                self.tell(Event::OpDone { op, result });
            }
        }
    }
}

fn done(op: Op) -> (Position, OpResult) {
    let result = match op.what {
        OpWhat::Take { units } => OpResult::Taken { units },
        OpWhat::Return { units } => OpResult::Returned { units },
        OpWhat::Convert { .. } => {
            OpResult::Converted { legacy_ref: Arc::from(format!("R{}", op.position)), over: false }
        }
        OpWhat::Cancel { .. } => OpResult::TurnedBack,
        OpWhat::Place { .. } | OpWhat::Mend { .. } => unreachable!("nothing here asks for it"),
    };
    (op.position, result)
}

fn facts_as_captured() -> Vec<(Position, Fact)> {
    known_facts().into_iter().enumerate().map(|(at, fact)| (Position(at as u64 + 1), fact)).collect()
}

/// Starts as the daemon does. Returns the desk and which snapshot it began from.
fn restart(ledger: &Ledger, snapshots: &Path) -> (Desk, Option<Position>) {
    let of_ledger = |header: &Header| {
        let same_life = header.incarnation == ledger.incarnation();
        Ok(same_life && ledger.hash_at(header.head.position)? == Some(header.head.hash))
    };
    let loaded = snapshot::load::<Snapshot>(snapshots, of_ledger).expect("snapshots can be read");
    let (head, state) = loaded.found.map(|(header, state)| (header.head, state)).unzip();
    let build = |entries: &mut dyn Iterator<Item = Entry>| {
        Desk::replay(policy(), state, facts_as_captured().into_iter(), entries)
    };
    let (desk, end) = ledger.reader().replay(head, build).expect("the chain is whole");
    assert_eq!(end, ledger.head());
    (desk.expect("the entries fit"), head.map(|head| head.position))
}

fn state(desk: &Desk) -> serde_json::Value {
    let mut state = serde_json::to_value(desk.snapshot()).expect("a state");
    // When positions were reached is told by entries alone at replay, by every step before: close, not equal.
    state.as_object_mut().expect("an object").remove("reached");
    state
}

fn save(ledger: &Ledger, desk: &Desk, snapshots: &Path) -> Position {
    let header = Header { incarnation: ledger.incarnation(), head: ledger.head() };
    snapshot::save(snapshots, &header, &desk.snapshot()).expect("a snapshot");
    header.head.position
}

#[test]
fn a_restart_ends_in_the_same_state_whatever_became_of_the_snapshots() {
    let (dir, snapshots) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let mut running = Running::begin(dir.path());
    running.work(0..15);
    let first = save(running.committer.store(), running.committer.desk(), snapshots.path());
    running.work(15..25);
    let second = save(running.committer.store(), running.committer.desk(), snapshots.path());
    running.work(25..PEOPLE);
    let before = state(running.committer.desk());
    let booked = before["bookings"].as_array().map_or(0, Vec::len);
    assert!(booked > 10, "{booked} bookings");
    drop(running);

    let ledger = open(dir.path(), small_segments(60));
    let mut began_from = Vec::new();
    for file in [None, Some(second), Some(first)] {
        if let Some(position) = file {
            let path = snapshots.path().join(format!("snap-{:016}.bin", position.0));
            let mut bytes = fs::read(&path).expect("a snapshot");
            let at = bytes.len() / 2;
            bytes[at] ^= 1;
            fs::write(&path, bytes).expect("a snapshot");
        }
        let (desk, began) = restart(&ledger, snapshots.path());
        assert_eq!(state(&desk), before, "{began:?}");
        assert_eq!(desk.position(), ledger.position());
        began_from.push(began);
    }
    assert_eq!(began_from, [Some(second), Some(first), None]);
}

#[test]
fn what_is_sold_and_not_applied_is_told_by_slot_from_the_files_alone() {
    let (dir, snapshots) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let mut running = Running::begin(dir.path());
    let mut files = Files::of(dir.path());
    (files.ledger, files.snapshots) = (dir.path().to_owned(), snapshots.path().to_owned());
    running.work(0..15);
    save(running.committer.store(), running.committer.desk(), snapshots.path());
    running.work(15..PEOPLE);
    // Beside the ledger's owner, as an operator would while the daemon runs.
    let told = app::unapplied(&files).expect("a list");
    let desk = running.committer.desk();
    let slots = ["1", "2", "3"].map(|slot| SlotKey::new(slot).expect("a slot key"));
    let sold = slots.into_iter().filter_map(|slot| Some((slot.clone(), desk.units(&slot)?.booked)));
    let sold: Vec<(SlotKey, u32)> = sold.filter(|(_, units)| *units > 0).collect();
    let free: u64 =
        ["1", "2", "3"].iter().filter_map(|s| desk.units(&SlotKey::new(s).ok()?)).map(|u| u64::from(u.free())).sum();
    assert_eq!(told.slots, sold);
    assert!(told.unapplied > 0 && told.unapplied == sold.iter().map(|(_, units)| u64::from(*units)).sum::<u64>());
    assert_eq!((told.free_units, told.position), (free, running.committer.store().position()));
}
