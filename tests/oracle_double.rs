//! The Oracle double behaves as Oracle 11.2 where slotbridge relies on it: through the real driver and ODPI-C.

mod oracle_kit;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use oracle::Connection;
use oracle::sql_type::{OracleType, Timestamp};
use oracle_kit::{Fault, Server};
use slotbridge::legacy::sqlite::{PersonConstraint, schema};

/// Views for writing, as the interface schema has them; made here where the file's version lacks them.
const WRITE_VIEWS: &str = "
CREATE VIEW IF NOT EXISTS SB_SLOT_W AS SELECT T.SLOT_NO AS SLOT_ID, T.SERIES_CD AS SERIES_CD,
  CASE T.STAT_CD WHEN '1' THEN 'OPEN' ELSE 'CLOSED' END AS STATUS, T.CAPA_CNT AS CAPACITY,
  T.BOOKED_CNT AS BOOKED_CNT, T.UPD_DT AS UPD_DT FROM TB_SLOT T;
CREATE VIEW IF NOT EXISTS SB_BOOKING_W AS SELECT T.RESV_NO AS RESV_NO, T.SLOT_NO AS SLOT_ID, T.PSN_NO AS PERSON_ID,
  T.SERIES_CD AS SERIES_CD, T.STAT_CD AS STATUS, T.IF_OP_ID AS OP_ID, T.RMK AS MEMO, T.REG_DT AS REG_DT,
  T.UPD_DT AS UPD_DT FROM TB_RESV T;
CREATE VIEW IF NOT EXISTS SB_PERSON_W AS SELECT PSN_NO AS PERSON_ID FROM TB_PSN;
INSERT OR IGNORE INTO TB_SITE(SITE_NO, SITE_NM, REG_DT, UPD_DT) VALUES ('H1', '보건소', '2026-01-01', '2026-01-01');
";

struct Place {
    folder: tempfile::TempDir,
    server: Server,
}

impl Place {
    fn new() -> Place {
        Place::with(&[])
    }

    fn with(arguments: &[&str]) -> Place {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("legacy.db");
        let legacy = schema::create(&file, PersonConstraint::UniqueIndex).expect("the legacy schema");
        legacy.execute_batch(WRITE_VIEWS).expect("the views for writing");
        for number in 1..=5 {
            let slot = "INSERT INTO TB_SLOT(SLOT_NO, SITE_NO, SERIES_CD, RSV_DT, DUR_MI, CAPA_CNT, REG_DT, UPD_DT)
                VALUES (?1, 'H1', 'flu', '2026-12-01 09:00:00', 30, 3, '2026-11-01 00:00:00', '2026-11-01 00:00:00.500')";
            legacy.execute(slot, [format!("S{number}")]).expect("a slot");
            let person = "INSERT INTO TB_PSN(PSN_NO, JUMIN_NO, PSN_NM, BIRTH_DT, SEX_CD, REG_DT, UPD_DT)
                VALUES (?1, '000000-0000000', '홍길동', '1957-02-28', 'M', '2026-11-01 00:00:00', '2026-11-01 00:00:00.000')";
            legacy.execute(person, [format!("P{number}")]).expect("a person");
        }
        legacy
            .execute_batch(
                "CREATE TABLE SLOT(SLOT_ID NUMBER(12) PRIMARY KEY, CLINIC_CD CHAR(5), NAME VARCHAR2(100),
                   STARTS_AT DATE, CAP NUMBER(4), USED NUMBER(4), UPD TIMESTAMP(6), PRICE NUMBER(10,2),
                   CONSTRAINT SLOT_CAP_CK CHECK (USED BETWEEN 0 AND CAP));
                 CREATE TABLE REQ(REQ_KEY VARCHAR2(64) NOT NULL CONSTRAINT REQ_PK PRIMARY KEY,
                   SLOT_ID NUMBER(12) REFERENCES SLOT(SLOT_ID));",
            )
            .expect("tables of the probe");
        drop(legacy);
        let server = Server::start_with(&file, arguments);
        Place { folder, server }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("legacy.db")
    }

    fn connect(&self) -> Connection {
        self.server.connect("slotbridge", "secret")
    }
}

fn native(file: &Path) -> rusqlite::Connection {
    let native = rusqlite::Connection::open(file).expect("the agency's own connection");
    native.busy_timeout(Duration::from_secs(10)).expect("a timeout");
    native
}

#[track_caller]
fn code<T>(result: oracle::Result<T>) -> i32 {
    match result {
        Ok(_) => panic!("an error was expected"),
        Err(e) => e.oci_code().or_else(|| e.db_error().map(|d| d.code())).unwrap_or(0),
    }
}

fn one<T: oracle::sql_type::FromSql>(connection: &Connection, sql: &str) -> T {
    connection.query_row_as::<T>(sql, &[]).unwrap_or_else(|e| panic!("{sql}: {e}"))
}

fn fill(connection: &Connection) {
    let sql = "insert into slot(slot_id, clinic_cd, name, starts_at, cap, used, upd) values (:1,:2,:3,:4,:5,:6,:7)";
    let mut batch = connection.batch(sql, 200).build().expect("a batch");
    batch.set_type(4, &OracleType::Date).expect("a type");
    batch.set_type(7, &OracleType::Timestamp(6)).expect("a type");
    for id in 0..500i64 {
        let at = Timestamp::new(2026, 11, 22, 9, (id % 60) as u32, 0, 0).expect("a time");
        let upd = Timestamp::new(2026, 11, 22, 9, 0, 1, 123_456_000).expect("a time");
        batch.append_row(&[&id, &"A1   ", &format!("진료실 {id}"), &at, &3i64, &0i64, &upd]).expect("a row");
    }
    batch.execute().expect("500 rows");
    connection.commit().expect("a commit");
}

#[test]
fn a_session_reads_and_writes_typed_arrays() {
    let place = Place::new();
    let connection = place.connect();
    assert!(connection.server_version().expect("a version").1.contains("11.2.0.4"));
    connection.ping().expect("a ping");
    fill(&connection);
    let sql = "select slot_id, clinic_cd, name, starts_at, cap - used as left_cap, upd, price from slot
               where slot_id >= :lo and clinic_cd = :cc order by slot_id";
    let mut statement = connection.statement(sql).fetch_array_size(64).build().expect("a statement");
    assert_eq!(statement.bind_names(), ["LO", "CC"]);
    let rows = statement
        .query_as_named::<(i64, String, String, Timestamp, i32, Timestamp, Option<String>)>(&[
            ("lo", &0i64),
            ("cc", &"A1   "),
        ])
        .expect("rows");
    let names: Vec<String> = rows.column_info().iter().map(|column| column.name().to_owned()).collect();
    assert_eq!(names, ["SLOT_ID", "CLINIC_CD", "NAME", "STARTS_AT", "LEFT_CAP", "UPD", "PRICE"]);
    let rows: Vec<_> = rows.collect::<Result<_, _>>().expect("500 rows");
    assert_eq!(rows.len(), 500);
    let last = &rows[499];
    assert_eq!((last.0, last.1.as_str(), last.2.as_str(), last.4), (499, "A1   ", "진료실 499", 3));
    assert_eq!((last.3.minute(), last.5.nanosecond()), (19, 123_456_000));
    assert_eq!(last.6, None);
    let batch: i64 = one(&connection, "SELECT COUNT(*) FROM SLOT WHERE ROWNUM <= 7");
    assert_eq!(batch, 7);
}

#[test]
fn values_are_oracles() {
    let place = Place::new();
    let connection = place.connect();
    for text in ["-12345678901234567890.5", "0.000123", "99999999999999999999999999999999999999"] {
        assert_eq!(connection.query_row_as::<String>("select :1 from dual", &[&text]).expect("a number"), text);
    }
    let empty = connection.query_row_as::<String>("select nvl(:1, 'was null') from dual", &[&""]);
    assert_eq!(empty.expect("a text"), "was null");
    let is_null: i64 = one(&connection, "SELECT COUNT(*) FROM DUAL WHERE '' IS NULL");
    assert_eq!(is_null, 1);
    assert_eq!(one::<i64>(&connection, "select -9223372036854775808 from dual"), i64::MIN);
    assert_eq!(one::<String>(&connection, "SELECT 'a' || NULL || 1 FROM DUAL"), "a1");
    assert_eq!(
        one::<String>(&connection, "SELECT TO_CHAR(TO_DATE('20261122', 'YYYYMMDD') - 1/24, 'DD HH24') FROM DUAL"),
        "21 23"
    );
    assert_eq!(one::<String>(&connection, "SELECT LPAD(DECODE(2, 1, 'x', 2, 'y', 'z'), 3, '0') FROM DUAL"), "00y");
    let age: f64 = one(&connection, "SELECT SYSDATE - (SYSDATE - 2) FROM DUAL");
    assert_eq!(age, 2.0);
    assert!(one::<Timestamp>(&connection, "SELECT SYSDATE FROM DUAL").year() >= 2024);
    assert!(one::<Timestamp>(&connection, "SELECT SYSTIMESTAMP FROM DUAL").year() >= 2024);
    let since = Timestamp::new(2026, 11, 1, 0, 0, 0, 0).expect("a time");
    let sql = "SELECT COUNT(*) FROM SB_SLOT WHERE UPD_DT >= :1 AND SLOT_DT > :2";
    let mut statement = connection.statement(sql).build().expect("a statement");
    statement.bind(1, &(&since, &OracleType::Date)).expect("a bind");
    statement.bind(2, &(&since, &OracleType::Date)).expect("a bind");
    assert_eq!(statement.query_row_as::<i64>(&[]).expect("a count"), 5);
}

#[test]
fn errors_are_oracles() {
    let place = Place::new();
    let connection = place.connect();
    fill(&connection);
    let run = |sql: &str| connection.execute(sql, &[]);
    for (sql, expected) in [
        ("select * from nope", 942),
        ("select nope from dual", 904),
        ("select 1", 923),
        ("select slot_id from slot limit 1", 933),
        ("select slot_id from slot fetch first 1 rows only", 933),
        ("select slot_id from slot s where rownum <= 1 order by 1", 3001),
        ("select 1 from dual;", 911),
        ("select strftime('%Y') from dual", 904),
        ("select a_name_that_has_more_than_thirty_bytes from dual", 972),
        ("insert into req(req_key) values ('a'), ('b')", 933),
        ("insert or replace into req(req_key) values ('a')", 925),
        ("insert into req(req_key) values (NULL)", 1400),
        ("insert into req(req_key, slot_id) values ('fk', 99999)", 2291),
        ("update slot set used = 9 where slot_id = 1", 2290),
        ("update slot set cap = 10000 where slot_id = 1", 1438),
        ("update slot set name = lpad('x', 101, 'x') where slot_id = 1", 12899),
        ("update slot set cap = to_number('x') where slot_id = 1", 1722),
        ("begin nothing_known(1); end;", 6550),
    ] {
        let result =
            if sql.starts_with("select") { connection.query(sql, &[]).map(|_| ()) } else { run(sql).map(|_| ()) };
        assert_eq!(code(result), expected, "{sql}");
    }
    run("insert into req(req_key) values ('k1')").expect("a row");
    let twice = run("insert into req(req_key) values ('k1')").expect_err("twice");
    let first = twice.to_string();
    assert!(first.contains("ORA-00001: unique constraint (SLOTBRIDGE.REQ_PK) violated"), "{first}");
    // The statement failed, the transaction goes on.
    assert_eq!(one::<i64>(&connection, "select count(*) from req"), 1);
    let hangul = "홍".repeat(50);
    connection.execute("update slot set name = :1 where slot_id = 1", &[&hangul]).expect("100 bytes fit");
    assert_eq!(
        code(connection.execute("update slot set name = :1 where slot_id = 1", &[&format!("{hangul}a")])),
        12899
    );
    let mut batch =
        connection.batch("update slot set used = 0 where slot_id < :1", 4).with_row_counts().build().expect("a batch");
    batch.append_row(&[&3i64]).expect("a row");
    assert_eq!(code(batch.execute()), 24349);
}

#[test]
fn a_batch_reports_its_errors_by_row() {
    let place = Place::new();
    let connection = place.connect();
    fill(&connection);
    connection.execute("update slot set used = 3 where slot_id in (2, 4)", &[]).expect("full slots");
    let sql = "update slot set used = used + :n where slot_id = :id";
    let mut batch = connection.batch(sql, 10).with_batch_errors().build().expect("a batch");
    for id in [1i64, 2, 3, 4] {
        batch.append_row_named(&[("n", &1i64), ("id", &id)]).expect("a row");
    }
    let error = batch.execute().expect_err("two rows");
    let errors: Vec<_> = error.batch_errors().expect("errors").iter().map(|e| (e.offset(), e.code())).collect();
    assert_eq!(errors, [(1, 2290), (3, 2290)]);
    let used: Vec<i64> = connection
        .query_as("select used from slot where slot_id between 1 and 4 order by slot_id", &[])
        .and_then(|rows| rows.collect())
        .expect("counts");
    assert_eq!(used, [1, 3, 1, 3]);
}

#[test]
fn views_are_written_through_their_own_definition() {
    let place = Place::new();
    let connection = place.connect();
    let take = "UPDATE SB_SLOT_W SET BOOKED_CNT = BOOKED_CNT + :g, UPD_DT = SYSDATE
                WHERE SLOT_ID = :s AND STATUS = 'OPEN' AND BOOKED_CNT + :g <= CAPACITY";
    let changed = connection.execute_named(take, &[("g", &2i64), ("s", &"S1")]).expect("a take");
    assert_eq!(changed.row_count().expect("a count"), 1);
    let changed = connection.execute_named(take, &[("g", &2i64), ("s", &"S1")]).expect("no take");
    assert_eq!(changed.row_count().expect("a count"), 0);
    let locked: i64 = one(&connection, "SELECT BOOKED_CNT FROM SB_SLOT_W WHERE SLOT_ID = 'S1' FOR UPDATE WAIT 1");
    assert_eq!(locked, 2);
    let number: String = one(&connection, "SELECT SB_NEXT_RESV_NO FROM DUAL");
    let insert = "INSERT INTO SB_BOOKING_W (RESV_NO, SLOT_ID, PERSON_ID, SERIES_CD, STATUS, OP_ID, REG_DT, UPD_DT)
                  VALUES (:1, 'S1', 'P1', 'flu', 'A', 'op1', SYSDATE, SYSDATE)";
    connection.execute(insert, &[&number]).expect("a reservation");
    let again = connection.execute(insert, &[&"R0000000099"]).expect_err("the person is booked");
    assert!(again.to_string().contains("UX_RESV_ACTIVE"), "{again}");
    assert_eq!(code(connection.execute("UPDATE SB_SLOT_W SET STATUS = 'OPEN' WHERE SLOT_ID = 'S1'", &[])), 1733);
    let statement = "UPDATE SB_BOOKING_W SET STATUS = 'C' WHERE OP_ID = 'op1' RETURNING RESV_NO INTO :1";
    let mut statement = connection.statement(statement).build().expect("a statement");
    statement.execute(&[&OracleType::Varchar2(20)]).expect("a cancel");
    assert_eq!(statement.returned_values::<_, String>(1).expect("a number"), [number]);
    connection.commit().expect("a commit");
    let status: String = native(&place.file())
        .query_row("SELECT STAT_CD FROM TB_RESV WHERE IF_OP_ID = 'op1'", [], |row| row.get(0))
        .expect("the reservation");
    assert_eq!(status, "C");
}

#[test]
fn transactions_are_oracles() {
    let place = Place::new();
    let (one_session, other) = (place.connect(), place.connect());
    one_session.execute("insert into req(req_key) values ('a')", &[]).expect("a row");
    one_session.execute("savepoint sb_op", &[]).expect("a savepoint");
    one_session.execute("insert into req(req_key) values ('b')", &[]).expect("a row");
    one_session.execute("rollback to sb_op", &[]).expect("a rollback");
    assert_eq!(one::<i64>(&one_session, "select count(*) from req"), 1);
    assert_eq!(one::<i64>(&other, "select count(*) from req"), 0, "not committed, not seen");
    assert_eq!(code(other.query("select booked_cnt from sb_slot_w for update nowait", &[])), 54);
    let waited = Instant::now();
    assert_eq!(code(other.query("select booked_cnt from sb_slot_w for update wait 1", &[])), 30006);
    assert!(waited.elapsed() >= Duration::from_secs(1));
    one_session.commit().expect("a commit");
    other.execute("set transaction read only", &[]).expect("a snapshot");
    one_session.execute("insert into req(req_key) values ('c')", &[]).expect("a row");
    one_session.commit().expect("a commit");
    assert_eq!(one::<i64>(&other, "select count(*) from req"), 1, "the snapshot stays");
    assert_eq!(code(other.execute("delete from req", &[])), 1456);
    other.commit().expect("the end of the snapshot");
    assert_eq!(one::<i64>(&other, "select count(*) from req"), 2);
    other.execute("delete from req", &[]).expect("gone");
    drop(other);
    assert_eq!(one::<i64>(&one_session, "select count(*) from req"), 2, "a session that ends rolls back");
}

#[test]
fn merge_and_limits_and_dictionary() {
    let place = Place::new();
    let connection = place.connect();
    let merge =
        "MERGE INTO SB_ESCROW E USING (SELECT :s AS SLOT_ID, :u AS UNITS FROM DUAL) N ON (E.SLOT_ID = N.SLOT_ID)
                 WHEN MATCHED THEN UPDATE SET E.UNITS = E.UNITS + N.UNITS
                 WHEN NOT MATCHED THEN INSERT (SLOT_ID, UNITS) VALUES (N.SLOT_ID, N.UNITS)";
    for _ in 0..2 {
        let merged = connection.execute_named(merge, &[("s", &"S1"), ("u", &2i64)]).expect("a merge");
        assert_eq!(merged.row_count().expect("a count"), 1);
    }
    assert_eq!(one::<i64>(&connection, "SELECT UNITS FROM SB_ESCROW"), 4);
    let purged = connection.execute("DELETE FROM TB_SLOT WHERE CAPA_CNT = 3 AND ROWNUM <= 2", &[]).expect("a purge");
    assert_eq!(purged.row_count().expect("a count"), 2);
    connection.rollback().expect("a rollback");
    let newest: Vec<String> = connection
        .query_as("SELECT SLOT_ID FROM (SELECT SLOT_ID FROM SB_SLOT ORDER BY SLOT_ID DESC) WHERE ROWNUM <= 2", &[])
        .and_then(|rows| rows.collect())
        .expect("rows");
    assert_eq!(newest, ["S5", "S4"]);
    connection.execute("ALTER SESSION SET CURRENT_SCHEMA = AGENCY", &[]).expect("a schema");
    let sql =
        "SELECT COLUMN_NAME, DATA_TYPE FROM ALL_TAB_COLUMNS WHERE OWNER = SYS_CONTEXT('USERENV', 'CURRENT_SCHEMA')
               AND TABLE_NAME = :1 ORDER BY COLUMN_ID";
    let columns: Vec<(String, String)> =
        connection.query_as(sql, &[&"SB_SLOT"]).and_then(|rows| rows.collect()).expect("columns");
    for (name, kind) in [
        ("SLOT_ID", "VARCHAR2"),
        ("SLOT_DT", "DATE"),
        ("STATUS", "VARCHAR2"),
        ("NATIVE_CNT", "NUMBER"),
        ("CAPACITY", "NUMBER"),
    ] {
        assert!(columns.contains(&(name.to_owned(), kind.to_owned())), "{name} {kind}: {columns:?}");
    }
    let charset: String =
        one(&connection, "SELECT VALUE FROM NLS_DATABASE_PARAMETERS WHERE PARAMETER = 'NLS_CHARACTERSET'");
    assert_eq!(charset, "KO16MSWIN949");
    connection.set_module("slotbridge").expect("a module");
    connection.execute("BEGIN DBMS_SESSION.SET_IDENTIFIER('writer'); END;", &[]).expect("an identifier");
    assert_eq!(one::<String>(&connection, "SELECT SYS_CONTEXT('USERENV', 'MODULE') FROM DUAL"), "slotbridge");
    let sessions = place.server.sessions();
    assert_eq!(sessions[0].1.as_deref(), Some("slotbridge"));
    assert_eq!(sessions[0].3.as_deref(), Some("writer"));
}

#[test]
fn faults_reach_the_driver() {
    let mut place = Place::new();
    let connection = Arc::new(place.connect());
    fill(&connection);
    let unknown = Connection::connect("a", "b", "//localhost/OTHER");
    assert_eq!(code(unknown), 12154);
    assert_eq!(code(Connection::connect("a", "b", "//localhost/fake:/nowhere/x.db")), 12541);
    place.server.fault(Fault::at("fetch").on("%order by slot_id%").skip(1).code(1555, "snapshot too old"));
    let mut statement = connection
        .statement("select slot_id from slot order by slot_id")
        .fetch_array_size(100)
        .build()
        .expect("a statement");
    let rows: Result<Vec<_>, _> = statement.query_as::<i64>(&[]).expect("rows").collect();
    assert_eq!(code(rows), 1555);
    drop(statement);
    place.server.fault(Fault::at("execute").on("select 42%").delay_ms(20_000));
    let breaker = connection.clone();
    let ended = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = ended.clone();
    let thread = std::thread::spawn(move || {
        while !seen.load(std::sync::atomic::Ordering::SeqCst) {
            breaker.break_execution().expect("a break");
            std::thread::park_timeout(Duration::from_millis(50));
        }
    });
    assert_eq!(code(connection.query_row_as::<i64>("select 42 from dual", &[])), 1013);
    ended.store(true, std::sync::atomic::Ordering::SeqCst);
    thread.thread().unpark();
    thread.join().expect("the breaker ends");
    place.server.fault(Fault::at("execute").on("select 43%").delay_ms(20_000));
    connection.set_call_timeout(Some(Duration::from_millis(150))).expect("a limit");
    let late = connection.query_row_as::<i64>("select 43 from dual", &[]).expect_err("too late");
    assert_eq!(late.dpi_code(), Some(1067), "{late}");
    connection.set_call_timeout(None).expect("no limit");
    for (after, rows) in [(true, 1), (false, 0)] {
        let fault = Fault::at("commit").kill();
        place.server.fault(if after { fault.after() } else { fault });
        let doubtful = place.connect();
        doubtful.execute("insert into req(req_key) values (:1)", &[&format!("doubt {after}")]).expect("a row");
        assert_eq!(doubtful.commit().expect_err("in doubt").dpi_code(), Some(1080));
        let sql = "select count(*) from req where req_key = :1";
        let seen = connection.query_row_as::<i64>(sql, &[&format!("doubt {after}")]).expect("a count");
        assert_eq!(seen, rows);
    }
    place.server.kill();
    assert_eq!(connection.ping().expect_err("dead").dpi_code(), Some(1080));
    assert_eq!(code(place.server.try_connect("a", "b")), 12541);
    place.server.restart();
    assert_eq!(one::<i64>(&place.connect(), "select count(*) from slot"), 500);
}

#[test]
fn users_and_grants_are_enforced() {
    let place = Place::new();
    let server = &place.server;
    server.user("READER", "r");
    server.user("LOCKED", "l");
    server.lock_user("LOCKED");
    server.user("OLD", "o");
    server.expire_user("OLD", "2020-01-01 00:00:00");
    for object in ["SB_SLOT", "SB_ESCROW"] {
        server.grant("READER", object, "SELECT");
    }
    assert_eq!(code(server.try_connect("READER", "x")), 1017);
    assert_eq!(code(server.try_connect("NOBODY", "x")), 1017);
    assert_eq!(code(server.try_connect("LOCKED", "l")), 28000);
    assert_eq!(code(server.try_connect("OLD", "o")), 28001);
    let reader = server.connect("READER", "r");
    assert_eq!(one::<i64>(&reader, "SELECT COUNT(*) FROM SB_SLOT"), 5);
    assert_eq!(code(reader.query("SELECT COUNT(*) FROM SB_PERSON", &[])), 942);
    assert_eq!(code(reader.execute("DELETE FROM SB_ESCROW", &[])), 1031);
    assert_eq!(server.counts("SELECT COUNT(*) FROM SB_SLOT").calls, 1);
}

#[test]
fn character_sets_lose_what_they_cannot_hold() {
    let place = Place::new();
    let connection = place.connect();
    connection.execute("insert into req(req_key) values (:1)", &[&"홍\u{1f600}"]).expect("a row");
    assert_eq!(one::<String>(&connection, "select req_key from req"), "홍?");
    connection.commit().expect("a commit");
    place.server.param("charset", "US7ASCII");
    let ascii = place.connect();
    assert_eq!(one::<String>(&ascii, "select req_key from req"), "???");
    assert_eq!(one::<Vec<u8>>(&ascii, "select utl_raw.cast_to_raw(req_key) from req"), [0xc8, 0xab, b'?']);
}

#[test]
fn a_row_scn_grows_with_every_commit() {
    let place = Place::with(&["--rowscn"]);
    let connection = place.connect();
    let scn = |slot: &str| {
        let sql = "SELECT ROW_SCN FROM SB_SLOT WHERE SLOT_ID = :1";
        connection.query_row_as::<i64>(sql, &[&slot]).expect("a number")
    };
    let before = scn("S1");
    native(&place.file())
        .execute("UPDATE TB_SLOT SET BOOKED_CNT = 1 WHERE SLOT_NO = 'S1'", [])
        .expect("a native change");
    assert!(scn("S1") > before);
    assert_eq!(scn("S2"), before);
}

#[test]
fn the_package_applies_an_op_once() {
    let place = Place::new();
    place.server.user("WRITER", "w");
    place.server.grant("WRITER", "SB_API", "EXECUTE");
    let writer = place.server.connect("WRITER", "w");
    let apply = |id: &str, kind: &str, units: i64, person: &str, convert: &str| {
        let sql =
            "BEGIN SB_API.APPLY_OP(:1, 'hash', 'counter', 'application', 'unique_index', :2, 'S1', :3, :4, 'flu', :5,
                   'refuse', :6, :7); END;";
        let mut statement = writer.statement(sql).build().expect("a block");
        let out = OracleType::Varchar2(200);
        statement.execute(&[&id, &kind, &units, &person, &convert, &out, &out]).expect("an op");
        let known: Option<String> = statement.bind_value(6).expect("a hash");
        let result: String = statement.bind_value(7).expect("a result");
        (known, result)
    };
    let mut open = writer.statement("BEGIN SB_API.OPEN_BATCH(:1, :2); END;").build().expect("a block");
    open.execute(&[&OracleType::Varchar2(10), &OracleType::Varchar2(20)]).expect("a batch");
    assert_eq!(open.bind_value::<_, String>(2).expect("a token"), "OPEN");
    assert_eq!(apply("op1", "TAKE", 2, "", ""), (None, "taken 2".to_owned()));
    assert_eq!(apply("op1", "TAKE", 2, "", ""), (Some("hash".to_owned()), "taken 2".to_owned()));
    assert_eq!(apply("op2", "CONVERT", 0, "P1", "").1, "converted R0000000001");
    assert_eq!(apply("op3", "CONVERT", 0, "P1", "").1, "person_booked");
    assert_eq!(apply("op4", "CANCEL", 0, "", "op2").1, "turned_back");
    assert_eq!(apply("op5", "RETURN", 1, "", "").1, "returned 1");
    writer.commit().expect("a commit");
    let legacy = native(&place.file());
    legacy.execute("UPDATE TB_SLOT SET BOOKED_CNT = 0 WHERE SLOT_NO = 'S1'", []).expect("a recount");
    assert_eq!(apply("op6", "RETURN", 1, "", "").1, "escrow_eroded");
    assert_eq!(apply("op7", "MEND", 0, "", "").1, "mended 1 0 0");
    writer.commit().expect("a commit");
    assert_eq!(code(writer.query("SELECT COUNT(*) FROM SB_ESCROW", &[])), 942);
    let state: (i64, i64) = legacy
        .query_row(
            "SELECT T.BOOKED_CNT, E.UNITS FROM TB_SLOT T, SB_ESCROW E WHERE T.SLOT_NO = 'S1' AND E.SLOT_ID = 'S1'",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .expect("the slot");
    assert_eq!(state, (1, 1));
}
