//! The ops of body `sql` against tables that bear the interface schema's names, in SQLite: what they leave behind in each
//! mode, what they refuse, and how many statements they take. Locks, the driver and the wire are not here.

mod beside;
mod tables;

use tables::{SERIES, Tables};

use super::*;
use crate::domain::{AllotmentMode, Incarnation, OpId, Position, SeriesId};
use crate::legacy::oracle::error::{Code, Failure, Step};
use crate::legacy::{LegacyOp, PersonKey, Unbacked};
use AllotmentMode::{Capacity, CountRows, Counter, OnRequest, Quota, Remaining};
use Maintained::{Application, Trigger};

/// Modes that hold units, with who keeps the counter.
const HOLDING: [(AllotmentMode, Maintained); 8] = [
    (Counter, Application),
    (Counter, Trigger),
    (Remaining, Application),
    (Remaining, Trigger),
    (Quota, Application),
    (Quota, Trigger),
    (Capacity, Application),
    (CountRows, Application),
];

fn op(position: u64) -> OpId {
    OpId { incarnation: Incarnation(0xfeed), position: Position(position) }
}

fn convert(person: &str) -> LegacyOp {
    as_convert(person, Unbacked::Refuse)
}

fn as_convert(person: &str, unbacked: Unbacked) -> LegacyOp {
    LegacyOp::Convert { person: PersonKey(person.into()), series: SeriesId::new(SERIES).unwrap(), unbacked }
}

fn place(person: &str) -> LegacyOp {
    LegacyOp::Place { person: PersonKey(person.into()), series: SeriesId::new(SERIES).unwrap() }
}

/// One slot in a mode, and the bridge's writer without a session.
struct World {
    tables: Tables,
    mode: AllotmentMode,
    settings: Settings,
    next: u64,
}

impl World {
    fn new(mode: AllotmentMode, maintained: Maintained, capacity: i64) -> World {
        World::with(mode, maintained, PersonConstraint::UniqueIndex, capacity)
    }

    fn with(mode: AllotmentMode, maintained: Maintained, person_constraint: PersonConstraint, capacity: i64) -> World {
        let settings = Settings { maintained, person_constraint, ..Settings::default() };
        World { tables: Tables::new(mode, maintained, person_constraint, capacity), mode, settings, next: 1 }
    }

    /// Units in escrow, taken or assigned.
    fn holding(mode: AllotmentMode, maintained: Maintained, capacity: i64, units: u32) -> World {
        let mut world = World::new(mode, maintained, capacity);
        if mode == Quota {
            world.tables.assign(i64::from(units));
        } else {
            assert_eq!(world.answer(LegacyOp::Take { units }), OpReply::Taken { units });
        }
        world
    }

    fn request(&mut self, what: LegacyOp) -> OpRequest {
        self.next += 1;
        OpRequest { id: op(self.next), slot: SlotKey::new("S1").unwrap(), mode: self.mode, what }
    }

    fn run(&mut self, ops: &[OpRequest]) -> Result<Vec<OpReply>, LegacyError> {
        self.tables.sql("BEGIN");
        let done = Batch { link: &mut self.tables, settings: &self.settings, draining: false, fresh: 0 }.run(ops);
        self.tables.sql(if done.is_ok() { "COMMIT" } else { "ROLLBACK" });
        done.map(|(replies, _)| replies).map_err(Trouble::into)
    }

    fn answer(&mut self, what: LegacyOp) -> OpReply {
        let request = self.request(what);
        self.run(&[request]).unwrap().remove(0)
    }

    /// The id of the last op.
    fn last(&self) -> OpId {
        op(self.next)
    }

    /// What native selling has left, and the escrow; the legacy system's own arithmetic.
    fn left_and_held(&self) -> (i64, i64) {
        (self.tables.left(self.mode), self.tables.number("SELECT COALESCE(SUM(UNITS), 0) FROM SB_ESCROW"))
    }
}

fn is_converted(reply: &OpReply) -> bool {
    matches!(reply, OpReply::Converted { over: false, .. })
}

#[test]
fn a_unit_goes_round_and_native_selling_sees_the_same_in_each_mode() {
    for (mode, maintained) in HOLDING {
        let mut w = World::holding(mode, maintained, 10, 4);
        let what = format!("{mode:?} {maintained:?}");
        assert_eq!(w.left_and_held(), (6, 4), "{what}: taken");
        assert!(is_converted(&w.answer(convert("P1"))), "{what}");
        let first = w.last();
        assert_eq!(w.left_and_held(), (6, 3), "{what}: converted");
        assert!(is_converted(&w.answer(convert("P2"))), "{what}");
        assert_eq!(w.answer(LegacyOp::Cancel { convert: first }), OpReply::TurnedBack, "{what}");
        assert_eq!(w.left_and_held(), (6, 3), "{what}: turned back");
        assert_eq!(w.answer(LegacyOp::Cancel { convert: first }), OpReply::AlreadyCancelled, "{what}");
        assert_eq!(w.answer(LegacyOp::Return { units: 3 }), OpReply::Returned { units: 3 }, "{what}");
        assert_eq!(w.left_and_held(), (9, 0), "{what}: returned");
        assert_eq!(w.answer(LegacyOp::Return { units: 1 }), OpReply::EscrowEroded, "{what}");
        assert_eq!(w.answer(convert("P3")), OpReply::EscrowEroded, "{what}");
        assert_eq!(w.tables.number("SELECT COUNT(*) FROM SB_BOOKING_W WHERE STATUS = 'A'"), 1, "{what}");
    }
}

#[test]
fn a_take_gets_what_is_left_and_nothing_of_a_closed_slot() {
    for (mode, maintained) in HOLDING.into_iter().filter(|(mode, _)| mode.takes()) {
        let mut w = World::new(mode, maintained, 5);
        w.tables.native("N1");
        w.tables.native("N2");
        assert_eq!(w.answer(LegacyOp::Take { units: 50 }), OpReply::Taken { units: 3 }, "{mode:?}");
        assert_eq!(w.answer(LegacyOp::Take { units: 1 }), OpReply::Taken { units: 0 }, "{mode:?}");
        assert_eq!(w.left_and_held(), (0, 3), "{mode:?}");
        assert_eq!(w.answer(LegacyOp::Return { units: 1 }), OpReply::Returned { units: 1 }, "{mode:?}");
        w.tables.sql("UPDATE SB_SLOT_W SET STATUS = 'CLOSED'");
        assert_eq!(w.answer(LegacyOp::Take { units: 1 }), OpReply::Taken { units: 0 }, "{mode:?}");
        assert!(is_converted(&w.answer(convert("P1"))), "{mode:?}");
        assert_eq!(w.answer(LegacyOp::Return { units: 1 }), OpReply::Returned { units: 1 }, "{mode:?}");
    }
    for mode in [AllotmentMode::None, OnRequest, Quota] {
        assert_eq!(World::new(mode, Application, 5).answer(LegacyOp::Take { units: 1 }), OpReply::Taken { units: 0 });
    }
}

#[test]
fn what_the_book_keeping_forgot_is_mended_as_far_as_it_fits() {
    for (mode, maintained) in HOLDING {
        let what = format!("{mode:?} {maintained:?}");
        let mut w = World::holding(mode, maintained, 6, 4);
        assert_eq!(w.answer(LegacyOp::Mend { sold: 0 }), OpReply::Mended { added: 0, lost: 0, over: 0 }, "{what}");
        assert!(is_converted(&w.answer(convert("P1"))), "{what}");
        let missing = w.tables.forget(mode);
        assert_eq!(w.answer(LegacyOp::Return { units: 1 }), OpReply::EscrowEroded, "{what}");
        let wanted = if mode == Quota { OpReply::Taken { units: 0 } } else { OpReply::EscrowEroded };
        assert_eq!(w.answer(LegacyOp::Take { units: 1 }), wanted, "{what}");
        for person in ["N1", "N2", "N3"] {
            w.tables.native(person);
        }
        // 6 places, 4 reserved, 3 held.
        assert_eq!(
            w.answer(LegacyOp::Mend { sold: 0 }),
            OpReply::Mended { added: missing - 1, lost: 1, over: 0 },
            "{what}"
        );
        assert_eq!(w.left_and_held(), (0, 2), "{what}");
        assert_eq!(w.answer(LegacyOp::Return { units: 2 }), OpReply::Returned { units: 2 }, "{what}");
        assert_eq!(w.left_and_held(), (2, 0), "{what}");
    }
}

#[test]
fn what_is_sold_is_kept_even_where_it_no_longer_fits() {
    for (mode, maintained) in HOLDING {
        let what = format!("{mode:?} {maintained:?}");
        let mut w = World::holding(mode, maintained, 3, 3);
        w.tables.forget(mode);
        for person in ["N1", "N2"] {
            w.tables.native(person);
        }
        let reply = w.answer(LegacyOp::Mend { sold: 2 });
        assert_eq!(reply, OpReply::Mended { added: 2, lost: 1, over: 1 }, "{what}");
        assert_eq!(w.left_and_held().1, 2, "{what}");
        assert!(is_converted(&w.answer(convert("P1"))) && is_converted(&w.answer(convert("P2"))), "{what}");
        assert!(w.left_and_held().0 <= 0, "{what}");
    }
}

#[test]
fn a_booking_that_the_legacy_system_lost_is_honoured_without_a_unit() {
    for (mode, maintained) in HOLDING {
        let what = format!("{mode:?} {maintained:?}");
        let mut w = World::new(mode, maintained, 1);
        let OpReply::Converted { over, .. } = w.answer(as_convert("P1", Unbacked::Honour)) else { panic!("{what}") };
        assert!(!over, "{what}");
        assert_eq!(w.left_and_held(), (0, 0), "{what}");
        let OpReply::Converted { over, .. } = w.answer(as_convert("P2", Unbacked::Honour)) else { panic!("{what}") };
        assert!(over, "{what}");
    }
}

#[test]
fn a_place_is_found_and_given_up_in_one_transaction() {
    for (maintained, counted) in [(Application, true), (Trigger, true), (Application, false)] {
        let mut w = World::new(OnRequest, maintained, 2);
        if !counted {
            w.tables.sql("UPDATE SB_SLOT_W SET BOOKED_CNT = NULL");
        }
        let what = format!("{maintained:?} {counted}");
        assert_eq!(w.answer(place("NOBODY")), rule(RULE_PERSON_MISSING), "{what}");
        assert!(is_converted(&w.answer(place("P1"))), "{what}");
        let first = w.last();
        assert_eq!(w.answer(place("P1")), OpReply::PersonBooked, "{what}");
        assert!(is_converted(&w.answer(place("P2"))), "{what}");
        assert_eq!(w.answer(place("P3")), OpReply::NoPlace, "{what}");
        assert_eq!(w.left_and_held(), (0, 0), "{what}");
        assert_eq!(w.answer(LegacyOp::Cancel { convert: first }), OpReply::GivenUp, "{what}");
        assert_eq!(w.left_and_held(), (1, 0), "{what}");
        w.tables.sql("UPDATE SB_SLOT_W SET STATUS = 'CLOSED'");
        assert_eq!(w.answer(place("P3")), OpReply::NoPlace, "{what}");
    }
}

fn rule(code: &str) -> OpReply {
    OpReply::LegacyRule { code: code.to_owned() }
}

#[test]
fn a_person_with_a_reservation_keeps_the_unit_in_escrow() {
    use PersonConstraint::{None, RowLock, UniqueIndex};
    for constraint in [UniqueIndex, RowLock, None] {
        let mut w = World::with(Counter, Application, constraint, 5);
        w.answer(LegacyOp::Take { units: 2 });
        w.tables.native("P1");
        assert_eq!(w.answer(convert("P1")), OpReply::PersonBooked);
        assert_eq!(w.answer(convert("NOBODY")), rule(RULE_PERSON_MISSING));
        assert_eq!(w.left_and_held(), (2, 2));
        assert_eq!(w.tables.sent(&sql::PERSON_LOCK) > 0, constraint == RowLock);
    }
}

#[test]
fn a_duplicate_reservation_is_the_persons_only_if_it_is_seen() {
    let mut w = World::holding(Counter, Application, 5, 2);
    let native = "INSERT INTO SB_BOOKING_W VALUES ('R9', 'S9', 'P1', 'covid19-1', 'A', NULL, NULL, 'x', 'x')";
    w.tables.before(&sql::OP_UNDO, native);
    w.tables.fail(&sql::RESV_INSERT, Code::Ora(1));
    assert_eq!(w.answer(convert("P1")), OpReply::PersonBooked);
    assert_eq!(w.left_and_held(), (3, 2));
    // Of another index of the agency's, or of a trigger's own table: its rule, and nobody else waits for it.
    for entry in [&sql::RESV_INSERT, &sql::SLOT_LOCK_STATE] {
        w.tables.fail(entry, Code::Ora(1));
        let request = w.request(convert("P2"));
        let told = w.run(std::slice::from_ref(&request)).unwrap();
        assert_eq!(told, [rule("ORA-00001")]);
        assert_eq!(w.run(&[request]).unwrap(), told, "the answer is stored");
        assert_eq!(w.left_and_held(), (3, 2), "nothing of it was left behind");
    }
    // An index that also keeps what is done.
    w.tables.sql("INSERT INTO SB_BOOKING_W VALUES ('R8', 'S9', 'P3', 'covid19-1', 'D', NULL, NULL, 'x', 'x')");
    w.tables.fail(&sql::RESV_INSERT, Code::Ora(1));
    assert_eq!(w.answer(convert("P3")), OpReply::PersonBooked);
    assert!(is_converted(&w.answer(convert("P2"))));
}

#[test]
fn what_the_legacy_system_refuses_is_an_answer_and_leaves_nothing_else() {
    for code in [20_001, 20_999, 4_088, 4_091, 2_290, 2_291, 1_400, 1_438, 12_899] {
        let mut w = World::holding(Capacity, Application, 5, 2);
        w.tables.fail(&sql::RESV_INSERT, Code::Ora(code));
        let what = w.request(convert("P1"));
        let told = w.run(std::slice::from_ref(&what)).unwrap();
        assert_eq!(told, [rule(&format!("ORA-{code:05}"))]);
        assert_eq!(w.left_and_held(), (3, 2), "the capacity was raised before the insert and is lowered again");
        assert_eq!(w.run(&[what]).unwrap(), told, "the answer is stored");
        assert!(is_converted(&w.answer(convert("P1"))));
    }
}

#[test]
fn what_is_no_answer_ends_the_transaction() {
    use LegacyErrorKind::{Halt, Lost, Retry, Schema, Wait};
    for (code, kind) in [
        (60, Retry),
        (54, Retry),
        (30_006, Retry),
        (8_177, Retry),
        (3_113, Lost),
        (1_653, Wait),
        (942, Schema),
        (600, Halt),
    ] {
        let mut w = World::holding(Counter, Application, 5, 2);
        let ops = [w.request(convert("P1")), w.request(LegacyOp::Return { units: 1 })];
        for entry in [&sql::BATCH_LOCK, &sql::OP_BEGIN, &sql::SLOT_LOCK_STATE, &sql::RESV_INSERT, &sql::OP_END] {
            w.tables.fail(entry, Code::Ora(code));
            let error = w.run(&ops).unwrap_err();
            assert_eq!((error.kind, error.in_doubt), (kind, false), "ORA-{code:05} at {}", entry.id());
            assert_eq!(w.left_and_held(), (3, 2));
        }
        assert!(is_converted(&w.run(&ops).unwrap()[0]));
    }
}

#[test]
fn what_the_bridges_own_tables_refuse_is_a_contradiction() {
    for entry in [&sql::ESCROW_MOVE, &sql::OP_END, &sql::BATCH_FENCE] {
        let mut w = World::holding(Counter, Application, 5, 2);
        w.tables.fail(entry, Code::Ora(2_290));
        let request = w.request(convert("P1"));
        assert_eq!(w.run(&[request]).unwrap_err().kind, LegacyErrorKind::Halt, "{}", entry.id());
        assert_eq!(w.left_and_held(), (3, 2));
    }
}

#[test]
fn a_known_op_answers_as_it_did_and_another_body_halts() {
    let mut w = World::holding(Counter, Application, 5, 2);
    let request = w.request(convert("P1"));
    let first = w.run(std::slice::from_ref(&request)).unwrap();
    let fence = w.tables.text("SELECT LAST_OP FROM SB_FENCE");
    assert_eq!(fence, request.id.to_string());
    let old = OpRequest { id: op(2), ..w.request(LegacyOp::Take { units: 2 }) };
    assert_eq!(w.run(&[old, request.clone()]).unwrap(), [OpReply::Taken { units: 2 }, first[0].clone()]);
    assert_eq!(w.left_and_held(), (3, 1));
    assert_eq!(w.tables.text("SELECT LAST_OP FROM SB_FENCE"), fence);
    let other = OpRequest { what: convert("P2"), ..request };
    let error = w.run(&[other]).unwrap_err();
    assert_eq!(error.kind, LegacyErrorKind::Halt);
    assert!(!error.to_string().contains("P2"));
}

#[test]
fn the_fence_never_goes_back_whichever_life_an_op_is_of() {
    let mut w = World::holding(Counter, Application, 5, 2);
    let of = |life, position| OpId { incarnation: Incarnation(life), position: Position(position) };
    for (id, fence) in [
        (of(0xaaaa, 100), of(0xaaaa, 100)),
        (of(0xbbbb, 90), of(0xaaaa, 100)),
        (of(0x1, 99), of(0xaaaa, 100)),
        (of(0x1, 101), of(0x1, 101)),
    ] {
        let request = OpRequest { id, ..w.request(LegacyOp::Mend { sold: 0 }) };
        w.run(&[request]).unwrap();
        assert_eq!(w.tables.text("SELECT LAST_OP FROM SB_FENCE"), fence.to_string());
        let life = format!("{:016x}", fence.incarnation.0);
        assert_eq!(w.tables.text("SELECT INCARNATION FROM SB_FENCE"), life);
    }
}

#[test]
fn the_switch_and_the_fence_are_obeyed() {
    let mut w = World::holding(Counter, Application, 5, 2);
    w.tables.sql("UPDATE SB_CONTROL SET STATE = 'DRAIN'");
    assert_eq!(w.answer(LegacyOp::Take { units: 1 }), OpReply::Taken { units: 0 });
    assert!(is_converted(&w.answer(convert("P1"))));
    w.tables.sql("UPDATE SB_CONTROL SET STATE = 'STOP'");
    let request = w.request(LegacyOp::Return { units: 1 });
    assert_eq!(w.run(std::slice::from_ref(&request)).unwrap_err().kind, LegacyErrorKind::Operator);
    w.tables.sql("UPDATE SB_CONTROL SET STATE = 'RUN'");
    w.tables.sql("UPDATE SB_FENCE SET TOKEN = 'CLOSED'");
    assert_eq!(w.run(&[request]).unwrap_err().kind, LegacyErrorKind::Operator);
    assert_eq!(w.left_and_held(), (3, 1));
}

#[test]
fn text_that_the_server_cannot_hold_is_refused_before_it_is_bound() {
    let mut w = World::holding(Counter, Application, 5, 2);
    for person in ["😀", "가".repeat(101).as_str()] {
        assert_eq!(w.answer(convert(person)), rule(RULE_CHARSET));
        assert_eq!(w.answer(place(person)), rule(RULE_CHARSET));
    }
    assert_eq!(w.left_and_held(), (3, 2));
    assert_eq!(w.tables.sent(&sql::PERSON_STATE), 0);
}

#[test]
fn a_slot_that_is_gone_and_an_op_of_another_slot_are_told_apart() {
    let mut w = World::holding(Counter, Application, 5, 2);
    assert!(is_converted(&w.answer(convert("P1"))));
    let convert_op = w.last();
    let nowhere = SlotKey::new("S9").unwrap();
    for what in [LegacyOp::Take { units: 1 }, LegacyOp::Return { units: 1 }, convert("P2"), LegacyOp::Mend { sold: 1 }]
    {
        let request = OpRequest { slot: nowhere.clone(), ..w.request(what) };
        assert_eq!(w.run(&[request]).unwrap(), [OpReply::SlotMissing]);
    }
    w.tables.sql("INSERT INTO SB_SLOT_W SELECT 'S9', SERIES_CD, STATUS, CAPACITY, 0, 0, 0, UPD_DT FROM SB_SLOT_W");
    let request = OpRequest { slot: nowhere, ..w.request(LegacyOp::Cancel { convert: convert_op }) };
    assert_eq!(w.run(&[request]).unwrap_err().kind, LegacyErrorKind::Halt);
    assert_eq!(w.answer(LegacyOp::Cancel { convert: op(77) }), rule(RULE_RESERVATION_MISSING));
    w.tables.sql("UPDATE SB_BOOKING_W SET STATUS = 'D'");
    assert_eq!(w.answer(LegacyOp::Cancel { convert: convert_op }), rule(RULE_RESERVATION_DONE));
}

/// Statements an op, without the transaction's own three (lock, fence, commit).
#[test]
fn an_op_takes_no_more_statements_than_these() {
    let ops = |mode, maintained| {
        let mut w = World::holding(mode, maintained, 50, 8);
        let mut counts = Vec::new();
        let mut count = |w: &mut World, what: LegacyOp| {
            let before = w.tables.sent;
            let reply = w.answer(what);
            assert!(!matches!(reply, OpReply::LegacyRule { .. } | OpReply::EscrowEroded), "{reply:?}");
            counts.push(w.tables.sent - before - 2);
        };
        if mode.takes() {
            count(&mut w, LegacyOp::Take { units: 2 });
        }
        count(&mut w, convert("P1"));
        let convert = w.last();
        count(&mut w, LegacyOp::Cancel { convert });
        count(&mut w, LegacyOp::Return { units: 2 });
        counts
    };
    // Take 2, convert, cancel, return 2.
    assert_eq!(ops(Counter, Application), [6, 8, 7, 6]);
    assert_eq!(ops(Counter, Trigger), [6, 9, 8, 6]);
    assert_eq!(ops(Remaining, Application), [6, 8, 7, 6]);
    assert_eq!(ops(Capacity, Application), [7, 9, 8, 6]);
    assert_eq!(ops(Quota, Application), [8, 7, 6]);
    assert_eq!(ops(CountRows, Application), [11, 11, 11, 9]);
    let mut w = World::new(OnRequest, Application, 5);
    let before = w.tables.sent;
    assert!(is_converted(&w.answer(place("P1"))));
    assert_eq!(w.tables.sent - before - 2, 9);
    let before = w.tables.sent;
    let request = w.request(LegacyOp::Mend { sold: 0 });
    w.run(std::slice::from_ref(&request)).unwrap();
    w.run(&[request]).unwrap();
    assert_eq!(w.tables.sent - before, 7 + 3, "an op that is known takes two, and the fence stays");
}

#[test]
fn the_agency_is_read_in_two_statements() {
    let mut w = World::new(Counter, Application, 5);
    w.tables
        .sql("INSERT INTO SB_RELEASE_REQUEST VALUES (7, 'S1', '2', NULL), (8, NULL, '1', NULL), (9, 'S1', '0', 'x')");
    let before = w.tables.sent;
    let told = agency(&mut w.tables).map_err(LegacyError::from).unwrap();
    assert_eq!(w.tables.sent - before, 2);
    assert_eq!(
        (told.control, told.fence),
        (crate::domain::Control::Run, Fence { last_op: None, applied: 0, open: true })
    );
    let slot = SlotKey::new("S1").unwrap();
    assert_eq!(told.releases, [ReleaseRequest { id: 8, slot: None }, ReleaseRequest { id: 7, slot: Some(slot) }]);
}
