//! The statements that write. Texts only: who sends them in which order is in `write`.
//!
//! Names are those of the interface schema; `ALTER SESSION SET CURRENT_SCHEMA` says whose. The words of the contract
//! (`OPEN`, `A`, `C`, the placeholders' `#`) are literals, so that the optimiser sees what they select; everything else
//! is bound. A count of reservations stands in a subquery of the locking statement only where the legacy system changes
//! the slot row whenever it changes the count: Oracle runs a locking statement again after a wait only if the row that
//! it waited for has changed. The bridge's own tables are never compared with the agency's columns, only with binds: an
//! agency's key may be CHAR, and a padded column is not equal to a VARCHAR2 one.

use super::catalogue::{Entry, Sender};
use super::sql::Statement;

const fn sql(id: &'static str, when: &'static str, text: &'static str) -> Entry {
    Entry { statement: Statement { id, text }, who: Sender::Write, when }
}

const fn call(id: &'static str, when: &'static str, text: &'static str) -> Entry {
    Entry { statement: Statement { id, text }, who: Sender::WriteProcedure, when }
}

// The transaction.

/// Also the lock that keeps script 94 and a second bridge out.
pub static BATCH_LOCK: Entry = sql(
    "W.BATCH.LOCK",
    "first in each transaction of ops: switch and fence",
    "SELECT (SELECT C.STATE FROM SB_CONTROL C), F.TOKEN, F.INCARNATION, F.LAST_OP, F.APPLIED_CNT FROM SB_FENCE F \
     FOR UPDATE WAIT 1",
);
pub static BATCH_FENCE: Entry = sql(
    "W.BATCH.FENCE",
    "last in each transaction of ops",
    "UPDATE SB_FENCE SET INCARNATION = :P_INCARNATION, LAST_OP = :P_OP_ID, APPLIED_CNT = :P_APPLIED_CNT",
);
pub static OP_BEGIN: Entry = sql(
    "W.OP.BEGIN",
    "first of each op: its id can be inserted once",
    "INSERT INTO SB_APPLIED (OP_ID, BODY_HASH, RESULT, APPLIED_AT) VALUES (:P_OP_ID, :P_BODY_HASH, NULL, SYSDATE)",
);
pub static OP_KNOWN: Entry = sql(
    "W.OP.KNOWN",
    "an op whose id is there already",
    "SELECT BODY_HASH, RESULT FROM SB_APPLIED WHERE OP_ID = :P_OP_ID",
);
pub static OP_SAVEPOINT: Entry = sql("W.OP.SAVEPOINT", "each new op", "SAVEPOINT SB_OP");
pub static OP_UNDO: Entry =
    sql("W.OP.UNDO", "an op that the legacy system or a guard refused", "ROLLBACK TO SAVEPOINT SB_OP");
pub static OP_END: Entry = sql(
    "W.OP.END",
    "last of each new op: its answer",
    "UPDATE SB_APPLIED SET RESULT = :P_RESULT WHERE OP_ID = :P_OP_ID",
);

// The slot row.

pub static SLOT_LOCK_STATE: Entry = sql(
    "W.SLOT.LOCK_STATE",
    "each op: locks the slot row and reads what stands against it",
    "SELECT CASE S.STATUS WHEN 'OPEN' THEN 1 ELSE 0 END, S.CAPACITY, S.BOOKED_CNT, S.REMAIN_CNT, S.SERIES_CD, \
     (SELECT E.UNITS FROM SB_ESCROW E WHERE E.SLOT_ID = :P_SLOT_ID), \
     (SELECT E.SEEN_CNT FROM SB_ESCROW E WHERE E.SLOT_ID = :P_SLOT_ID2), \
     (SELECT COUNT(*) FROM SB_BOOKING_W B WHERE B.SLOT_ID = S.SLOT_ID AND B.STATUS <> 'C'), 0 \
     FROM SB_SLOT_W S WHERE S.SLOT_ID = :P_SLOT_ID3 FOR UPDATE WAIT 1",
);
pub static SLOT_LOCK: Entry = sql(
    "W.SLOT.LOCK",
    "ops that decide by a count of reservations: locks the slot row before they count",
    "SELECT S.SLOT_ID FROM SB_SLOT_W S WHERE S.SLOT_ID = :P_SLOT_ID FOR UPDATE WAIT 1",
);
pub static SLOT_COUNTED: Entry = sql(
    "W.SLOT.COUNTED",
    "after W.SLOT.LOCK: what stands against the slot, placeholders apart",
    "SELECT CASE S.STATUS WHEN 'OPEN' THEN 1 ELSE 0 END, S.CAPACITY, S.BOOKED_CNT, S.REMAIN_CNT, S.SERIES_CD, \
     (SELECT E.UNITS FROM SB_ESCROW E WHERE E.SLOT_ID = :P_SLOT_ID), \
     (SELECT E.SEEN_CNT FROM SB_ESCROW E WHERE E.SLOT_ID = :P_SLOT_ID2), \
     (SELECT COUNT(*) FROM SB_BOOKING_W B WHERE B.SLOT_ID = S.SLOT_ID AND B.STATUS <> 'C'), \
     (SELECT COUNT(*) FROM SB_BOOKING_W B WHERE B.SLOT_ID = S.SLOT_ID AND B.STATUS <> 'C' AND B.OP_ID LIKE '%#%') \
     FROM SB_SLOT_W S WHERE S.SLOT_ID = :P_SLOT_ID3",
);

// Units.

pub static TAKE_COUNTER: Entry = sql(
    "W.TAKE.COUNTER",
    "take in mode counter; place in mode on_request",
    "UPDATE SB_SLOT_W SET BOOKED_CNT = BOOKED_CNT + :P_UNITS, UPD_DT = SYSDATE \
     WHERE SLOT_ID = :P_SLOT_ID AND STATUS = 'OPEN' AND BOOKED_CNT + :P_UNITS2 <= CAPACITY",
);
pub static TAKE_REMAINING: Entry = sql(
    "W.TAKE.REMAINING",
    "take in mode remaining",
    "UPDATE SB_SLOT_W SET REMAIN_CNT = REMAIN_CNT - :P_UNITS, UPD_DT = SYSDATE \
     WHERE SLOT_ID = :P_SLOT_ID AND STATUS = 'OPEN' AND REMAIN_CNT >= :P_UNITS2",
);
pub static TAKE_CAPACITY: Entry = sql(
    "W.TAKE.CAPACITY",
    "take in mode capacity",
    "UPDATE SB_SLOT_W SET CAPACITY = CAPACITY - :P_UNITS, UPD_DT = SYSDATE \
     WHERE SLOT_ID = :P_SLOT_ID AND STATUS = 'OPEN' AND CAPACITY - :P_UNITS2 >= \
     (SELECT COUNT(*) FROM SB_BOOKING_W B WHERE B.SLOT_ID = :P_SLOT_ID2 AND B.STATUS <> 'C')",
);
pub static GIVE_COUNTER: Entry = sql(
    "W.GIVE.COUNTER",
    "return in mode counter; cancel in mode on_request",
    "UPDATE SB_SLOT_W SET BOOKED_CNT = BOOKED_CNT - :P_UNITS, UPD_DT = SYSDATE \
     WHERE SLOT_ID = :P_SLOT_ID AND BOOKED_CNT >= :P_UNITS2",
);
pub static GIVE_REMAINING: Entry = sql(
    "W.GIVE.REMAINING",
    "return in mode remaining; convert where a trigger counts the reservation",
    "UPDATE SB_SLOT_W SET REMAIN_CNT = REMAIN_CNT + :P_UNITS, UPD_DT = SYSDATE \
     WHERE SLOT_ID = :P_SLOT_ID",
);
pub static GIVE_CAPACITY: Entry = sql(
    "W.GIVE.CAPACITY",
    "return and convert in mode capacity",
    "UPDATE SB_SLOT_W SET CAPACITY = CAPACITY + :P_UNITS, UPD_DT = SYSDATE WHERE SLOT_ID = :P_SLOT_ID",
);
pub static GIVE_QUOTA: Entry = sql(
    "W.GIVE.QUOTA",
    "return in mode quota",
    "UPDATE SB_SLOT_W SET BOOKED_CNT = BOOKED_CNT - :P_UNITS, \
     QUOTA_CNT = CASE WHEN QUOTA_CNT > :P_UNITS2 THEN QUOTA_CNT - :P_UNITS3 ELSE 0 END, UPD_DT = SYSDATE \
     WHERE SLOT_ID = :P_SLOT_ID AND BOOKED_CNT >= :P_UNITS4",
);
pub static KEEP_COUNTER: Entry = sql(
    "W.KEEP.COUNTER",
    "convert and cancel where a trigger counts the reservation; an honoured booking without a unit",
    "UPDATE SB_SLOT_W SET BOOKED_CNT = BOOKED_CNT + :P_UNITS, UPD_DT = SYSDATE WHERE SLOT_ID = :P_SLOT_ID",
);
pub static KEEP_REMAINING: Entry = sql(
    "W.KEEP.REMAINING",
    "cancel where a trigger gave the unit back; an honoured booking without a unit",
    "UPDATE SB_SLOT_W SET REMAIN_CNT = REMAIN_CNT - :P_UNITS, UPD_DT = SYSDATE WHERE SLOT_ID = :P_SLOT_ID",
);
pub static KEEP_CAPACITY: Entry = sql(
    "W.KEEP.CAPACITY",
    "cancel in mode capacity",
    "UPDATE SB_SLOT_W SET CAPACITY = CAPACITY - :P_UNITS, UPD_DT = SYSDATE WHERE SLOT_ID = :P_SLOT_ID",
);
pub static MEND_COUNTER: Entry = sql(
    "W.MEND.COUNTER",
    "mend in modes counter and quota",
    "UPDATE SB_SLOT_W SET BOOKED_CNT = :P_COUNT, UPD_DT = SYSDATE WHERE SLOT_ID = :P_SLOT_ID",
);
pub static MEND_REMAINING: Entry = sql(
    "W.MEND.REMAINING",
    "mend in mode remaining",
    "UPDATE SB_SLOT_W SET REMAIN_CNT = :P_COUNT, UPD_DT = SYSDATE WHERE SLOT_ID = :P_SLOT_ID",
);
pub static MEND_CAPACITY: Entry = sql(
    "W.MEND.CAPACITY",
    "mend in mode capacity",
    "UPDATE SB_SLOT_W SET CAPACITY = :P_COUNT, UPD_DT = SYSDATE WHERE SLOT_ID = :P_SLOT_ID",
);
pub static ESCROW_MOVE: Entry = sql(
    "W.ESCROW.MOVE",
    "each op that moves a unit",
    "UPDATE SB_ESCROW SET UNITS = UNITS + :P_UNITS, LAST_OP = :P_OP_ID, SEEN_CNT = :P_SEEN_CNT \
     WHERE SLOT_ID = :P_SLOT_ID",
);
pub static ESCROW_FIRST: Entry = sql(
    "W.ESCROW.FIRST",
    "the first unit of a slot",
    "INSERT INTO SB_ESCROW (SLOT_ID, UNITS, LAST_OP, SEEN_CNT) VALUES (:P_SLOT_ID, :P_UNITS, :P_OP_ID, :P_SEEN_CNT)",
);

// Reservations.

pub static PERSON_STATE: Entry = sql(
    "W.PERSON.STATE",
    "before a reservation: is there the person, and a reservation of theirs in the series",
    "SELECT (SELECT COUNT(*) FROM SB_BOOKING_W B WHERE B.PERSON_ID = P.PERSON_ID AND B.SERIES_CD = :P_SERIES_CD \
     AND B.STATUS = 'A'), (SELECT COUNT(*) FROM SB_BOOKING_W B WHERE B.PERSON_ID = P.PERSON_ID \
     AND B.SERIES_CD = :P_SERIES_CD2 AND B.STATUS <> 'C') FROM SB_PERSON_W P WHERE P.PERSON_ID = :P_PERSON_ID",
);
pub static PERSON_LOCK: Entry = sql(
    "W.PERSON.LOCK",
    "before W.PERSON.STATE with person_constraint = row_lock: the row that native code locks",
    "SELECT P.PERSON_ID FROM SB_PERSON_W P WHERE P.PERSON_ID = :P_PERSON_ID FOR UPDATE WAIT 1",
);
pub static RESV_NUMBER: Entry = sql("W.RESV.NUMBER", "each reservation", "SELECT SB_NEXT_RESV_NO FROM DUAL");
pub static RESV_INSERT: Entry = sql(
    "W.RESV.INSERT",
    "convert and place; placeholders in mode count_rows",
    "INSERT INTO SB_BOOKING_W (RESV_NO, SLOT_ID, PERSON_ID, SERIES_CD, STATUS, OP_ID, MEMO, REG_DT, UPD_DT) \
     VALUES (:P_RESV_NO, :P_SLOT_ID, :P_PERSON_ID, :P_SERIES_CD, 'A', :P_OP_ID, :P_MEMO, SYSDATE, SYSDATE)",
);
pub static RESV_FIND: Entry = sql(
    "W.RESV.FIND",
    "cancel: the reservation that an op made",
    "SELECT RESV_NO, STATUS, SLOT_ID FROM SB_BOOKING_W WHERE OP_ID = :P_OP_ID",
);
pub static RESV_CANCEL: Entry = sql(
    "W.RESV.CANCEL",
    "cancel; placeholders that are given back",
    "UPDATE SB_BOOKING_W SET STATUS = 'C', UPD_DT = SYSDATE WHERE RESV_NO = :P_RESV_NO AND STATUS = 'A'",
);
pub static PLACEHOLDER_FREE: Entry = sql(
    "W.PLACEHOLDER.FREE",
    "mode count_rows: placeholder persons without a reservation in the series",
    "SELECT P.PERSON_ID FROM SB_PLACEHOLDER P WHERE NOT EXISTS (SELECT 1 FROM SB_BOOKING_W B \
     WHERE B.PERSON_ID = P.PERSON_ID AND B.SERIES_CD = :P_SERIES_CD AND B.STATUS = 'A') AND ROWNUM <= :P_UNITS",
);
pub static PLACEHOLDER_HELD: Entry = sql(
    "W.PLACEHOLDER.HELD",
    "mode count_rows: placeholder reservations of a slot",
    "SELECT RESV_NO FROM SB_BOOKING_W WHERE SLOT_ID = :P_SLOT_ID AND STATUS = 'A' AND OP_ID LIKE '%#%' \
     AND ROWNUM <= :P_UNITS",
);

// The agency and the heartbeat.

pub static AGENCY_STATE: Entry = sql(
    "W.AGENCY.STATE",
    "every 2 s: switch and fence",
    "SELECT C.STATE, F.TOKEN, F.LAST_OP, F.APPLIED_CNT FROM SB_CONTROL C, SB_FENCE F",
);
pub static AGENCY_RELEASES: Entry = sql(
    "W.AGENCY.RELEASES",
    "every 2 s: units that the agency wants back",
    "SELECT REQUEST_ID, SLOT_ID FROM (SELECT REQUEST_ID, SLOT_ID FROM SB_RELEASE_REQUEST WHERE DONE_AT IS NULL \
     ORDER BY REQUESTED_AT, REQUEST_ID) WHERE ROWNUM <= :P_ROWS",
);
pub static RELEASE_DONE: Entry = sql(
    "W.RELEASE.DONE",
    "a release request is carried out",
    "UPDATE SB_RELEASE_REQUEST SET DONE_AT = SYSDATE WHERE REQUEST_ID = :P_REQUEST_ID AND DONE_AT IS NULL",
);
pub static BEAT_AGAIN: Entry = sql(
    "W.BEAT.AGAIN",
    "every second",
    "UPDATE SB_HEARTBEAT SET POSITION = :P_POSITION, UNAPPLIED = :P_UNAPPLIED, FREE_UNITS = :P_FREE_UNITS, \
     BEAT_AT = SYSDATE",
);
pub static BEAT_FIRST: Entry = sql(
    "W.BEAT.FIRST",
    "the first heartbeat there ever was",
    "INSERT INTO SB_HEARTBEAT (ONE, POSITION, UNAPPLIED, FREE_UNITS, BEAT_AT) \
     VALUES (1, :P_POSITION, :P_UNAPPLIED, :P_FREE_UNITS, SYSDATE)",
);
pub static APPLIED_FORGET: Entry = sql(
    "W.APPLIED.FORGET",
    "hourly, when nothing waits: answers of ops that no backup of the ledger could ask about again",
    "DELETE FROM SB_APPLIED WHERE OP_ID IN (SELECT A.OP_ID FROM SB_APPLIED A WHERE A.APPLIED_AT < SYSDATE - :P_DAYS \
     AND ROWNUM <= :P_ROWS)",
);

// Body `procedure`.

pub static API_OPEN: Entry =
    call("P.BATCH.OPEN", "first in each transaction of ops", "BEGIN SB_API.OPEN_BATCH(:P_STATE, :P_TOKEN); END;");
pub static API_APPLY: Entry = call(
    "P.OP.APPLY",
    "each op",
    "BEGIN SB_API.APPLY_OP(:P_OP_ID, :P_BODY_HASH, :P_MODE, :P_MAINTAINED, :P_CONSTRAINT, :P_KIND, :P_SLOT_ID, \
     :P_UNITS, :P_PERSON_ID, :P_SERIES_CD, :P_CONVERT_OP, :P_UNBACKED, :P_KNOWN_HASH, :P_RESULT); END;",
);
pub static API_CLOSE: Entry = call(
    "P.BATCH.CLOSE",
    "last in each transaction of ops",
    "BEGIN SB_API.CLOSE_BATCH(:P_INCARNATION, :P_LAST_OP, :P_FRESH, :P_APPLIED_CNT); END;",
);
pub static API_AGENCY: Entry = call(
    "P.AGENCY",
    "every 2 s",
    "BEGIN SB_API.AGENCY(:P_STATE, :P_TOKEN, :P_INCARNATION, :P_LAST_OP, :P_APPLIED_CNT, :P_RELEASES); END;",
);
pub static API_RELEASED: Entry =
    call("P.RELEASED", "a release request is carried out", "BEGIN SB_API.RELEASED(:P_REQUEST_ID); END;");
pub static API_BEAT: Entry =
    call("P.BEAT", "every second", "BEGIN SB_API.HEARTBEAT(:P_POSITION, :P_UNAPPLIED, :P_FREE_UNITS); END;");

pub static ALL: &[&Entry] = &[
    &BATCH_LOCK,
    &BATCH_FENCE,
    &OP_BEGIN,
    &OP_KNOWN,
    &OP_SAVEPOINT,
    &OP_UNDO,
    &OP_END,
    &SLOT_LOCK_STATE,
    &SLOT_LOCK,
    &SLOT_COUNTED,
    &TAKE_COUNTER,
    &TAKE_REMAINING,
    &TAKE_CAPACITY,
    &GIVE_COUNTER,
    &GIVE_REMAINING,
    &GIVE_CAPACITY,
    &GIVE_QUOTA,
    &KEEP_COUNTER,
    &KEEP_REMAINING,
    &KEEP_CAPACITY,
    &MEND_COUNTER,
    &MEND_REMAINING,
    &MEND_CAPACITY,
    &ESCROW_MOVE,
    &ESCROW_FIRST,
    &PERSON_STATE,
    &PERSON_LOCK,
    &RESV_NUMBER,
    &RESV_INSERT,
    &RESV_FIND,
    &RESV_CANCEL,
    &PLACEHOLDER_FREE,
    &PLACEHOLDER_HELD,
    &AGENCY_STATE,
    &AGENCY_RELEASES,
    &RELEASE_DONE,
    &BEAT_AGAIN,
    &BEAT_FIRST,
    &APPLIED_FORGET,
    &API_OPEN,
    &API_APPLY,
    &API_CLOSE,
    &API_AGENCY,
    &API_RELEASED,
    &API_BEAT,
];
