//! What only the embedded legacy system has: its file, its constraint, its seller's vices.

use rusqlite::Connection;
use slotbridge::domain::{Incarnation, OpId, Position, SlotKey, Timestamp};
use slotbridge::legacy::sqlite::native::{NativeOutcome, NativeSeller, Selling};
use slotbridge::legacy::sqlite::recount::recount;
use slotbridge::legacy::sqlite::{PersonConstraint, Settings, SqliteRead, SqliteWrite, generate, schema};
use slotbridge::legacy::{LegacyErrorKind, LegacyOp, LegacyRead, LegacyWrite, OpReply, OpRequest};

struct Legacy {
    folder: tempfile::TempDir,
    connection: Connection,
}

impl Legacy {
    fn new(constraint: PersonConstraint) -> Legacy {
        let folder = tempfile::tempdir().unwrap();
        let mut connection = schema::create(&folder.path().join("l.db"), constraint).unwrap();
        let now = Timestamp::parse_rfc3339("2026-11-22T20:00:00+09:00").unwrap();
        let plan = generate::Plan { sites: 5, slots: 20, people: 200, ..generate::Plan::new(1, now) };
        generate::sites_and_slots(&mut connection, &plan).unwrap();
        generate::persons(&mut connection, &plan, &mut |_, _| {}).unwrap();
        connection
            .execute_batch(
                "UPDATE TB_RESV SET STAT_CD = 'C'; UPDATE TB_SLOT SET BOOKED_CNT = 0, CAPA_CNT = 3, STAT_CD = '1'",
            )
            .unwrap();
        Legacy { folder, connection }
    }

    fn settings(&self) -> Settings {
        Settings::new(&self.folder.path().join("l.db"))
    }

    fn slot(&self) -> SlotKey {
        let key: String = self.connection.query_row("SELECT MIN(SLOT_NO) FROM TB_SLOT", [], |r| r.get(0)).unwrap();
        SlotKey::new(&key).unwrap()
    }

    fn persons(&self) -> Vec<String> {
        (1..200).filter(|n| generate::standing(1, *n) == generate::Standing::Active).map(generate::person_key).collect()
    }
}

fn take(position: u64, slot: &SlotKey, units: u32) -> OpRequest {
    let id = OpId { incarnation: Incarnation(7), position: Position(position) };
    OpRequest {
        id,
        slot: slot.clone(),
        mode: slotbridge::domain::AllotmentMode::Counter,
        what: LegacyOp::Take { units },
    }
}

#[test]
fn a_constraint_that_is_not_there_is_not_relied_on() {
    let legacy = Legacy::new(PersonConstraint::None);
    let error = SqliteWrite::open(&legacy.settings()).err().unwrap();
    assert_eq!(error.kind, LegacyErrorKind::Operator);
    let path = legacy.settings().path;
    assert_eq!(schema::create(&path, PersonConstraint::UniqueIndex).err().unwrap().kind, LegacyErrorKind::Operator);
    assert!(schema::create(&path, PersonConstraint::None).is_ok(), "an existing file is opened as it is");
}

#[test]
fn the_reading_account_cannot_write() {
    let legacy = Legacy::new(PersonConstraint::UniqueIndex);
    let mut reader = SqliteRead::open(&legacy.settings().path).unwrap();
    assert!(reader.columns("SB_SLOT").is_ok());
    let connection = Connection::open(legacy.settings().path).unwrap();
    connection.execute_batch("PRAGMA query_only = ON").unwrap();
    assert!(connection.execute("DELETE FROM TB_RESV", []).is_err(), "as the reader's connection is set");
}

#[test]
fn a_fenced_bridge_writes_nothing_and_the_fence_knows_the_last_op() {
    let legacy = Legacy::new(PersonConstraint::UniqueIndex);
    let slot = legacy.slot();
    let mut writer = SqliteWrite::open(&legacy.settings()).unwrap();
    writer.apply(&[take(9, &slot, 1)]).unwrap();
    writer.apply(&[take(4, &slot, 1)]).unwrap();
    let (incarnation, last): (String, String) = legacy
        .connection
        .query_row("SELECT INCARNATION, LAST_OP FROM SB_FENCE", [], |r| Ok((r.get(0)?, r.get(1)?)))
        .unwrap();
    assert_eq!(incarnation, "0000000000000007");
    assert_eq!(last, take(9, &slot, 1).id.to_string(), "an older op does not turn it back");
    legacy.connection.execute("UPDATE SB_FENCE SET TOKEN = 'CLOSED'", []).unwrap();
    assert_eq!(writer.apply(&[take(10, &slot, 1)]).unwrap_err().kind, LegacyErrorKind::Operator);
    assert_eq!(recount(&legacy.settings().path).unwrap().escrow, 2);
}

#[test]
fn a_seller_that_counts_reservations_does_not_see_the_escrow() {
    let legacy = Legacy::new(PersonConstraint::UniqueIndex);
    let (slot, persons) = (legacy.slot(), legacy.persons());
    let mut writer = SqliteWrite::open(&legacy.settings()).unwrap();
    assert_eq!(writer.apply(&[take(1, &slot, 2)]).unwrap(), [OpReply::Taken { units: 2 }]);
    let mut native = NativeSeller::open(&legacy.settings().path, Selling::CountReservations).unwrap();
    for person in &persons[..3] {
        let outcome = native.book(slot.as_str(), person).unwrap();
        assert!(matches!(outcome, NativeOutcome::Booked { .. }), "{outcome:?}");
    }
    assert_eq!(native.book(slot.as_str(), &persons[3]).unwrap(), NativeOutcome::Full);
    // The recount says so, and the adapter takes no more from a counter that is not kept.
    let found = recount(&legacy.settings().path).unwrap();
    assert_eq!((found.oversold.len(), found.oversold[0].reserved, found.oversold[0].escrow), (1, 3, 2));
    assert_eq!(writer.apply(&[take(2, &slot, 1)]).unwrap(), [OpReply::EscrowEroded]);
}

#[test]
fn a_clerks_edits_change_the_row_and_its_stamp() {
    let legacy = Legacy::new(PersonConstraint::UniqueIndex);
    let slot = legacy.slot();
    let stamp = || -> String {
        legacy
            .connection
            .query_row("SELECT UPD_DT FROM SB_SLOT WHERE SLOT_ID = ?1", [slot.as_str()], |r| r.get(0))
            .unwrap()
    };
    let mut native = NativeSeller::open(&legacy.settings().path, Selling::Counter).unwrap();
    let before = stamp();
    assert!(native.move_slot(slot.as_str(), Timestamp::parse_seoul("2026-12-24 10:30:00").unwrap()).unwrap());
    assert!(native.set_capacity(slot.as_str(), 1).unwrap());
    assert!(stamp() > before);
    assert!(native.close_slot(slot.as_str()).unwrap());
    assert_eq!(native.book(slot.as_str(), &legacy.persons()[0]).unwrap(), NativeOutcome::Closed);
    assert!(native.reopen_slot(slot.as_str()).unwrap());
    assert!(!native.close_slot("nowhere").unwrap());
    assert!(native.open_slots(100).unwrap().contains(&slot.to_string()));
    let row: (String, i64) = legacy
        .connection
        .query_row("SELECT SLOT_DT, CAPACITY FROM SB_SLOT WHERE SLOT_ID = ?1", [slot.as_str()], |r| {
            Ok((r.get(0)?, r.get(1)?))
        })
        .unwrap();
    assert_eq!(row, ("2026-12-24 10:30:00".to_owned(), 1));
    let deceased = (1..200).find(|n| generate::standing(1, *n) != generate::Standing::Active).unwrap();
    let outcome = native.book(slot.as_str(), &generate::person_key(deceased)).unwrap();
    assert_eq!(outcome, NativeOutcome::NoPerson);
}
