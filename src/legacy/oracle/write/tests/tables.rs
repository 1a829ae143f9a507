//! Tables with the names and columns of the interface schema, and the agency's side of them.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql};

use super::*;
use crate::legacy::oracle::charset::Charset;
use crate::legacy::oracle::values::{Bind, Cell};
use crate::legacy::oracle::write::link::{Row, in_order};

pub const SERIES: &str = "covid19-1";

pub struct Tables {
    connection: Connection,
    maintained: Maintained,
    mode: AllotmentMode,
    pub sent: u64,
    ids: Vec<&'static str>,
    fail: Option<(&'static str, Code)>,
    before: Option<(&'static str, &'static str)>,
    in_sqlite: fn(&str) -> String,
}

const SCHEMA: &str = "
CREATE TABLE SB_SLOT_W (SLOT_ID PRIMARY KEY, SERIES_CD, STATUS, CAPACITY, BOOKED_CNT, REMAIN_CNT, QUOTA_CNT, UPD_DT);
CREATE TABLE SB_BOOKING_W (RESV_NO PRIMARY KEY, SLOT_ID, PERSON_ID, SERIES_CD, STATUS, OP_ID UNIQUE, MEMO, REG_DT, UPD_DT);
CREATE TABLE SB_PERSON_W (PERSON_ID PRIMARY KEY);
CREATE TABLE SB_PLACEHOLDER (PERSON_ID PRIMARY KEY);
CREATE TABLE SB_ESCROW (SLOT_ID PRIMARY KEY, UNITS CHECK (UNITS >= 0), LAST_OP, SEEN_CNT);
CREATE TABLE SB_APPLIED (OP_ID PRIMARY KEY, BODY_HASH, RESULT, APPLIED_AT);
CREATE TABLE SB_CONTROL (ONE, STATE);
CREATE TABLE SB_FENCE (ONE, INCARNATION, LAST_OP, TOKEN, APPLIED_CNT);
CREATE TABLE SB_RELEASE_REQUEST (REQUEST_ID, SLOT_ID, REQUESTED_AT, DONE_AT);
INSERT INTO SB_CONTROL VALUES (1, 'RUN');
INSERT INTO SB_FENCE VALUES (1, NULL, NULL, 'OPEN', 0);
INSERT INTO SB_PERSON_W VALUES ('P1'), ('P2'), ('P3'), ('N1'), ('N2'), ('N3');
INSERT INTO SB_PLACEHOLDER VALUES ('X1'), ('X2'), ('X3'), ('X4'), ('X5'), ('X6'), ('X7'), ('X8'), ('X9'), ('XA'), ('XB');
";

impl Tables {
    pub fn new(mode: AllotmentMode, maintained: Maintained, constraint: PersonConstraint, capacity: i64) -> Tables {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(SCHEMA).unwrap();
        if constraint == PersonConstraint::UniqueIndex {
            let index = "CREATE UNIQUE INDEX UX ON SB_BOOKING_W (PERSON_ID, SERIES_CD) WHERE STATUS = 'A'";
            connection.execute_batch(index).unwrap();
        }
        let tables =
            Tables { connection, maintained, mode, sent: 0, ids: Vec::new(), fail: None, before: None, in_sqlite };
        if maintained == Maintained::Trigger {
            let (sold, freed) = tables.columns();
            tables.sql(&format!(
                "CREATE TRIGGER T1 AFTER INSERT ON SB_BOOKING_W BEGIN UPDATE SB_SLOT_W SET {sold} WHERE SLOT_ID = NEW.SLOT_ID; END"
            ));
            tables.sql(&format!(
                "CREATE TRIGGER T2 AFTER UPDATE ON SB_BOOKING_W WHEN NEW.STATUS = 'C' BEGIN UPDATE SB_SLOT_W SET {freed} \
                 WHERE SLOT_ID = NEW.SLOT_ID; END"
            ));
        }
        tables.sql(&format!(
            "INSERT INTO SB_SLOT_W VALUES ('S1', '{SERIES}', 'OPEN', {capacity}, 0, {capacity}, 0, 'x')"
        ));
        if matches!(mode, AllotmentMode::Capacity | AllotmentMode::CountRows) {
            tables.sql("UPDATE SB_SLOT_W SET BOOKED_CNT = NULL, REMAIN_CNT = 0");
        }
        tables
    }

    /// The embedded legacy system: its views are read, and its tables written as an Oracle server would by the views.
    pub fn embedded(path: &std::path::Path, mode: AllotmentMode, maintained: Maintained) -> Tables {
        let connection = Connection::open(path).unwrap();
        connection.execute_batch("PRAGMA synchronous = OFF").unwrap();
        let in_sqlite = in_embedded;
        Tables { connection, maintained, mode, sent: 0, ids: Vec::new(), fail: None, before: None, in_sqlite }
    }

    fn columns(&self) -> (&'static str, &'static str) {
        match self.mode {
            AllotmentMode::Remaining => ("REMAIN_CNT = REMAIN_CNT - 1", "REMAIN_CNT = REMAIN_CNT + 1"),
            _ => ("BOOKED_CNT = BOOKED_CNT + 1", "BOOKED_CNT = BOOKED_CNT - 1"),
        }
    }

    pub fn sql(&self, sql: &str) {
        self.connection.execute_batch(sql).unwrap();
    }

    pub fn number(&self, sql: &str) -> i64 {
        self.connection.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    pub fn text(&self, sql: &str) -> String {
        self.connection.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// The agency assigns units (mode `quota`).
    pub fn assign(&self, units: i64) {
        self.sql(&format!("UPDATE SB_SLOT_W SET BOOKED_CNT = BOOKED_CNT + {units}, QUOTA_CNT = {units}"));
        self.sql(&format!("INSERT INTO SB_ESCROW VALUES ('S1', {units}, NULL, NULL)"));
    }

    /// A native reservation, whatever there is room for.
    pub fn native(&self, person: &str) {
        let number = self.number("SELECT COUNT(*) + 100 FROM SB_BOOKING_W");
        self.sql(&format!(
            "INSERT INTO SB_BOOKING_W VALUES ('N{number}', 'S1', '{person}', '{SERIES}', 'A', NULL, NULL, 'x', 'x')"
        ));
        if self.maintained == Maintained::Application {
            self.sql(&format!("UPDATE SB_SLOT_W SET {}", self.columns().0));
        }
    }

    /// What native selling believes that it may sell.
    pub fn left(&self, mode: AllotmentMode) -> i64 {
        self.number(match mode {
            AllotmentMode::Remaining => "SELECT REMAIN_CNT FROM SB_SLOT_W WHERE SLOT_ID = 'S1'",
            AllotmentMode::Capacity | AllotmentMode::CountRows => {
                "SELECT CAPACITY - (SELECT COUNT(*) FROM SB_BOOKING_W WHERE SLOT_ID = 'S1' AND STATUS <> 'C') \
                 FROM SB_SLOT_W WHERE SLOT_ID = 'S1'"
            }
            _ => {
                "SELECT CAPACITY - COALESCE(BOOKED_CNT, (SELECT COUNT(*) FROM SB_BOOKING_W WHERE SLOT_ID = 'S1' AND \
                 STATUS <> 'C')) FROM SB_SLOT_W WHERE SLOT_ID = 'S1'"
            }
        })
    }

    /// The book-keeping forgets the escrow: a recount, an edited capacity, placeholders deleted. How many are missing.
    pub fn forget(&self, mode: AllotmentMode) -> u32 {
        let held = self.number("SELECT UNITS FROM SB_ESCROW");
        let reserved = "(SELECT COUNT(*) FROM SB_BOOKING_W WHERE STATUS <> 'C')";
        match mode {
            AllotmentMode::Remaining => self.sql(&format!("UPDATE SB_SLOT_W SET REMAIN_CNT = CAPACITY - {reserved}")),
            AllotmentMode::Capacity => self.sql(&format!("UPDATE SB_SLOT_W SET CAPACITY = CAPACITY + {held}")),
            AllotmentMode::CountRows => self.sql("UPDATE SB_BOOKING_W SET STATUS = 'C' WHERE OP_ID LIKE '%#%'"),
            _ => self.sql(&format!("UPDATE SB_SLOT_W SET BOOKED_CNT = {reserved}")),
        }
        u32::try_from(held).unwrap()
    }

    /// The next such statement fails.
    pub fn fail(&mut self, entry: &'static Entry, code: Code) {
        self.fail = Some((entry.id(), code));
    }

    /// Somebody else is faster than the next such statement.
    pub fn before(&mut self, entry: &'static Entry, sql: &'static str) {
        self.before = Some((entry.id(), sql));
    }

    pub fn sent(&self, entry: &'static Entry) -> usize {
        self.ids.iter().filter(|id| **id == entry.id()).count()
    }

    fn begin(&mut self, entry: &'static Entry) -> Result<String, Failure> {
        self.sent += 1;
        self.ids.push(entry.id());
        if let Some((_, sql)) = self.before.take_if(|(id, _)| *id == entry.id()) {
            // What somebody else has committed outlives the op's savepoint; here both share a connection.
            if entry.id() == sql::OP_UNDO.id() {
                self.sql(&format!("ROLLBACK TO SAVEPOINT SB_OP; {sql}; SAVEPOINT SB_OP"));
            } else {
                self.sql(sql);
            }
        }
        if let Some((_, code)) = self.fail.take_if(|(id, _)| *id == entry.id()) {
            return Err(Failure::of_code(code, Step::Execute, entry.id()));
        }
        Ok((self.in_sqlite)(entry.statement.text))
    }
}

fn in_sqlite(text: &str) -> String {
    text.replace(" FOR UPDATE WAIT 1", "")
        .replace("SYSDATE", "'x'")
        .replace("SB_NEXT_RESV_NO FROM DUAL", "'R' || (COUNT(*) + 1) FROM SB_BOOKING_W")
        .replace(" AND ROWNUM <=", " LIMIT")
        .replace(" WHERE ROWNUM <=", " LIMIT")
}

fn in_embedded(text: &str) -> String {
    let number = "UPDATE TB_SEQ SET LAST_NO = LAST_NO + 1 WHERE SEQ_NM = 'SQ_RESV' RETURNING printf('R%010d', LAST_NO)";
    let text = text
        .replace(" FOR UPDATE WAIT 1", "")
        .replace("SYSDATE", crate::legacy::sqlite::NOW_SQL)
        .replace("SELECT SB_NEXT_RESV_NO FROM DUAL", number)
        .replace(" AND ROWNUM <=", " LIMIT");
    let renamed = |pairs: &[(&str, &str)]| pairs.iter().fold(text.clone(), |text, (from, to)| text.replace(from, to));
    if text.starts_with("UPDATE SB_SLOT_W") {
        return renamed(&[
            ("SB_SLOT_W", "TB_SLOT"),
            ("QUOTA_CNT", "EXT_QUOTA_CNT"),
            ("CAPACITY", "CAPA_CNT"),
            (" STATUS = 'OPEN'", " STAT_CD = '1'"),
            (" SLOT_ID =", " SLOT_NO ="),
        ]);
    }
    if text.starts_with("INSERT INTO SB_BOOKING_W") || text.starts_with("UPDATE SB_BOOKING_W") {
        return renamed(&[
            ("SB_BOOKING_W", "TB_RESV"),
            (" SLOT_ID,", " SLOT_NO,"),
            (" PERSON_ID,", " PSN_NO,"),
            (" STATUS", " STAT_CD"),
            (" OP_ID,", " IF_OP_ID,"),
            (" MEMO,", " RMK,"),
        ]);
    }
    text
}

struct Bound<'a>(Bind<'a>);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.0 {
            Bind::Text(text) | Bind::Padded(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Bind::Int(n) => n.into(),
            Bind::NoText | Bind::NoInt => ToSqlOutput::Borrowed(ValueRef::Null),
            _ => panic!("no statement binds this"),
        })
    }
}

fn failed(error: &rusqlite::Error, entry: &'static Entry) -> Failure {
    let rusqlite::Error::SqliteFailure(e, _) = error else { panic!("{}: {error}", entry.id()) };
    let number = match e.extended_code {
        1_555 | 2_067 => 1,
        275 => 2_290,
        1_299 => 1_400,
        _ => panic!("{}: {error}", entry.id()),
    };
    Failure::of_code(Code::Ora(number), Step::Execute, entry.id())
}

impl Link for Tables {
    fn rows(&mut self, entry: &'static Entry, binds: Binds<'_>) -> Result<Vec<Row>, Failure> {
        let text = self.begin(entry)?;
        let bound: Vec<Bound<'_>> = in_order(entry, binds).into_iter().map(Bound).collect();
        let mut statement = self.connection.prepare(&text).unwrap();
        let width = statement.column_count();
        let rows = statement.query_map(rusqlite::params_from_iter(bound), |row| {
            let cell = |at| match row.get_ref(at).unwrap() {
                ValueRef::Null => Cell::Null,
                ValueRef::Integer(n) => Cell::Int(n),
                ValueRef::Text(text) => Cell::Text(std::str::from_utf8(text).unwrap().into()),
                _ => Cell::Other,
            };
            Ok(Row((0..width).map(cell).collect()))
        });
        Ok(rows.unwrap().map(Result::unwrap).collect())
    }

    fn change(&mut self, entry: &'static Entry, binds: Binds<'_>) -> Result<u64, Failure> {
        let text = self.begin(entry)?;
        let bound: Vec<Bound<'_>> = in_order(entry, binds).into_iter().map(Bound).collect();
        let changed = self.connection.execute(&text, rusqlite::params_from_iter(bound));
        changed.map(|rows| rows as u64).map_err(|error| failed(&error, entry))
    }

    fn call(&mut self, entry: &'static Entry, _binds: Binds<'_>) -> Result<Vec<Option<String>>, Failure> {
        panic!("body sql does not call {}", entry.id())
    }

    fn bytes(&self, text: &str) -> Option<usize> {
        Charset::of_server("KO16MSWIN949").bytes(text)
    }
}
