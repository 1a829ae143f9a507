//! What only the embedded legacy system has: its file, its constraint, its seller's vices.

use rusqlite::Connection;
use slotbridge::domain::{AllotmentMode, Incarnation, OpId, Position, SlotKey, Timestamp};
use slotbridge::legacy::sqlite::native::{NativeOutcome, NativeSeller, Selling};
use slotbridge::legacy::sqlite::recount::recount;
use slotbridge::legacy::sqlite::{
    Design, Maintained, PersonConstraint, Settings, SqliteRead, SqliteWrite, generate, schema,
};
use slotbridge::legacy::{LegacyErrorKind, LegacyOp, LegacyRead, LegacyWrite, OpReply, OpRequest};

struct Legacy {
    folder: tempfile::TempDir,
    connection: Connection,
}

impl Legacy {
    fn new(design: impl Into<Design>) -> Legacy {
        let folder = tempfile::tempdir().unwrap();
        let mut connection = schema::create(&folder.path().join("l.db"), design).unwrap();
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

    fn series(&self, slot: &SlotKey) -> slotbridge::domain::SeriesId {
        let sql = "SELECT SERIES_CD FROM TB_SLOT WHERE SLOT_NO = ?1";
        let series: String = self.connection.query_row(sql, [slot.as_str()], |r| r.get(0)).unwrap();
        slotbridge::domain::SeriesId::new(&series).unwrap()
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

const KEPT: [Maintained; 2] = [Maintained::Application, Maintained::Trigger];

#[test]
fn a_file_is_opened_only_for_what_it_was_made_for() {
    let design = Design {
        mode: AllotmentMode::Remaining,
        maintained: Maintained::Application,
        person_constraint: PersonConstraint::UniqueIndex,
    };
    let legacy = Legacy::new(design);
    let open = |allotment, maintained| {
        SqliteWrite::open(&Settings { allotment, maintained, ..legacy.settings() }).map(|_| ()).map_err(|e| e.kind)
    };
    for mode in AllotmentMode::ALL {
        let fits = matches!(mode, AllotmentMode::Remaining | AllotmentMode::None);
        assert_eq!(open(mode, Maintained::Application).is_ok(), fits, "{mode:?}");
    }
    assert_eq!(open(AllotmentMode::Remaining, Maintained::Trigger), Err(LegacyErrorKind::Operator));
    for maintained in KEPT {
        let same = schema::create(&legacy.settings().path, Design { maintained, ..design });
        assert_eq!(same.is_ok(), maintained == Maintained::Application);
    }
}

#[test]
fn an_op_of_a_mode_that_the_file_cannot_do_halts() {
    for mode in AllotmentMode::ALL {
        let design =
            Design { mode, maintained: Maintained::Application, person_constraint: PersonConstraint::UniqueIndex };
        let mut legacy = Legacy::new(design);
        generate::placeholders(&mut legacy.connection, Timestamp(0), 5).unwrap();
        let settings = Settings { allotment: mode, ..legacy.settings() };
        let mut writer = SqliteWrite::open(&settings).unwrap();
        let can: Vec<&str> = AllotmentMode::ALL
            .into_iter()
            .enumerate()
            .filter(|(at, mode)| {
                let op = OpRequest { mode: *mode, ..take(*at as u64 + 1, &legacy.slot(), 1) };
                match writer.apply(&[op]) {
                    Ok(_) => true,
                    Err(error) => {
                        assert_eq!(error.kind, LegacyErrorKind::Halt);
                        false
                    }
                }
            })
            .map(|(_, mode)| mode.code())
            .collect();
        let expected: &[&str] = match mode {
            AllotmentMode::Remaining => &["remaining"],
            AllotmentMode::Capacity => &["on_request", "capacity"],
            AllotmentMode::CountRows => &["on_request", "count_rows"],
            _ => &["on_request", "quota", "counter"],
        };
        assert_eq!(can, expected, "{mode:?}");
    }
}

#[test]
fn placeholders_need_persons_who_are_in_no_list() {
    let design = Design {
        mode: AllotmentMode::CountRows,
        maintained: Maintained::Application,
        person_constraint: PersonConstraint::UniqueIndex,
    };
    let mut legacy = Legacy::new(design);
    let settings = Settings { allotment: AllotmentMode::CountRows, ..legacy.settings() };
    assert_eq!(SqliteWrite::open(&settings).err().unwrap().kind, LegacyErrorKind::Operator);
    generate::placeholders(&mut legacy.connection, Timestamp(0), 2).unwrap();
    assert!(SqliteWrite::open(&settings).is_ok());
    let count = |sql: &str| -> i64 { legacy.connection.query_row(sql, [], |r| r.get(0)).unwrap() };
    assert_eq!(count("SELECT COUNT(*) FROM SB_PLACEHOLDER"), 2);
    let listed = "SELECT COUNT(*) FROM SB_PERSON WHERE PERSON_ID IN (SELECT PERSON_ID FROM SB_PLACEHOLDER)";
    assert_eq!(count(listed), 0);
    let mut native = NativeSeller::open(&settings.path, Selling::CountReservations).unwrap();
    assert_eq!(native.book(legacy.slot().as_str(), "PX000001").unwrap(), NativeOutcome::NoPerson);
}

#[test]
fn what_a_rule_of_the_legacy_system_forbids_is_answered_and_undone() {
    let legacy = Legacy::new(PersonConstraint::UniqueIndex);
    let slot = legacy.slot();
    legacy
        .connection
        .execute_batch("CREATE TRIGGER TR_RULE BEFORE INSERT ON SB_ESCROW BEGIN SELECT RAISE(ABORT, 'ORA-20001'); END")
        .unwrap();
    let mut writer = SqliteWrite::open(&legacy.settings()).unwrap();
    let first = writer.apply(&[take(1, &slot, 2)]).unwrap();
    assert!(matches!(&first[..], [OpReply::LegacyRule { code }] if code.starts_with("sqlite_")), "{first:?}");
    let counter = || -> i64 {
        legacy
            .connection
            .query_row("SELECT BOOKED_CNT FROM TB_SLOT WHERE SLOT_NO = ?1", [slot.as_str()], |r| r.get(0))
            .unwrap()
    };
    assert_eq!(counter(), 0, "the counter that was raised before is as it was");
    legacy.connection.execute_batch("DROP TRIGGER TR_RULE").unwrap();
    assert_eq!(writer.apply(&[take(1, &slot, 2)]).unwrap(), first, "the answer is remembered");
    assert_eq!(writer.apply(&[take(2, &slot, 2)]).unwrap(), [OpReply::Taken { units: 2 }]);
    assert_eq!(counter(), 2);
}

#[test]
fn the_help_desk_sees_where_the_units_are() {
    for mode in [AllotmentMode::Counter, AllotmentMode::Remaining, AllotmentMode::Capacity] {
        for maintained in KEPT {
            let design = Design { mode, maintained, person_constraint: PersonConstraint::UniqueIndex };
            let legacy = Legacy::new(design);
            let (slot, persons) = (legacy.slot(), legacy.persons());
            legacy.connection.execute("UPDATE TB_SLOT SET REMAIN_CNT = CAPA_CNT", []).unwrap();
            let settings = Settings { allotment: mode, maintained, ..legacy.settings() };
            let mut writer = SqliteWrite::open(&settings).unwrap();
            let convert = LegacyOp::Convert {
                person: slotbridge::legacy::PersonKey(persons[0].as_str().into()),
                series: legacy.series(&slot),
                unbacked: slotbridge::legacy::Unbacked::Refuse,
            };
            let ops = [take(1, &slot, 2), OpRequest { what: convert, ..take(2, &slot, 0) }];
            let replies = writer.apply(&ops.map(|op| OpRequest { mode, ..op })).unwrap();
            assert!(matches!(replies[..], [OpReply::Taken { units: 2 }, OpReply::Converted { .. }]), "{replies:?}");
            let seen: (i64, i64, i64) = legacy
                .connection
                .query_row("SELECT HELD_UNITS, NAMED_BOOKINGS, TOTAL FROM SB_ESCROW_V", [], |r| {
                    Ok((r.get(0)?, r.get(1)?, r.get(2)?))
                })
                .unwrap();
            assert_eq!(seen, (1, 1, 3), "{design:?}");
        }
    }
}
