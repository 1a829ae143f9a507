//! The DBA: the shipped scripts, statement by statement, in a session of its own on the double.

use oracle::Connection;

use super::bridge::Bridge;
use crate::script::{settings, statements};

/// The list must have been made at least 5 s after the stop: the DBA's sessions are as much later as one would be.
const LATER_S: &str = "60";

/// Rows of a query, as text.
pub type Rows = Vec<Vec<Option<String>>>;

impl Bridge {
    /// Makes the tables of script 41 as script 40 does.
    pub fn install_off_switch(&self) {
        self.script("41_offswitch_tables.sql", &[]).unwrap();
    }

    /// Runs a script; the first error rolls back and ends it, as `WHENEVER SQLERROR EXIT FAILURE ROLLBACK` does.
    /// Returns what its queries show.
    pub fn script(&self, name: &str, changed: &[(&str, &str)]) -> Result<Vec<Rows>, String> {
        let mut all = vec![("SB_MODE", self.design.mode.code())];
        all.extend(changed);
        let session = self.server.connect("SLOTBRIDGE_DBA", "tiger");
        let mut shown = Vec::new();
        for sql in statements(name, &settings(&all)) {
            match one(&session, &sql) {
                Ok(rows) => shown.extend(rows),
                Err(error) => {
                    session.rollback().unwrap();
                    return Err(format!("{error}: {sql}"));
                }
            }
        }
        session.commit().unwrap();
        Ok(shown)
    }

    /// As `script`, by a session that begins a minute later.
    pub fn later(&self, name: &str) -> Result<Vec<Rows>, String> {
        self.server.param("skew_s", LATER_S);
        let ran = self.script(name, &[]);
        self.server.param("skew_s", "0");
        ran
    }

    /// `ledger export --unapplied` on the daemon's folder: units by slot, and the last line.
    pub fn exported(&self) -> (Vec<(String, i64)>, String) {
        let (code, text, errors) = self.cli(&["ledger", "export", "--unapplied"]);
        assert_eq!(code, Some(0), "{errors}");
        let mut lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.remove(0), "slot_id,units");
        let end = lines.pop().unwrap().to_owned();
        let slots = lines.iter().map(|line| line.split_once(',').unwrap());
        (slots.map(|(slot, units)| (slot.to_owned(), units.parse().unwrap())).collect(), end)
    }

    /// Loads the list as `94_unapplied.ctl` has SQL*Loader do it, a minute later.
    pub fn load(&self, slots: &[(String, i64)], end: &str) {
        self.server.param("skew_s", LATER_S);
        let session = self.server.connect("SLOTBRIDGE_DBA", "tiger");
        let sql = "INSERT INTO SB_UNAPPLIED (SLOT_ID, UNITS, NOTE, LOADED_AT, SOURCE_CD)
                   VALUES (:1, :2, :3, SYSDATE, 'LEDGER')";
        for (slot, units) in slots {
            session.execute(sql, &[slot, units, &None::<String>]).unwrap();
        }
        let mut fields = end.split(',');
        assert_eq!(fields.next(), Some("*"));
        let sum: i64 = fields.next().unwrap().parse().unwrap();
        session.execute(sql, &[&"*", &sum, &fields.next()]).unwrap();
        session.commit().unwrap();
        self.server.param("skew_s", "0");
    }

    pub fn token(&self) -> String {
        self.legacy().query_row("SELECT TOKEN FROM SB_FENCE", [], |row| row.get(0)).unwrap()
    }
}

fn one(session: &Connection, sql: &str) -> oracle::Result<Option<Rows>> {
    if sql.trim() == "COMMIT" {
        return session.commit().map(|()| None);
    }
    let mut statement = session.statement(sql).build()?;
    if !statement.is_query() {
        return statement.execute(&[]).map(|()| None);
    }
    let mut rows = Rows::new();
    for row in statement.query(&[])? {
        let row = row?;
        let values = row.sql_values().iter().map(|value| value.get::<Option<String>>());
        rows.push(values.collect::<oracle::Result<_>>()?);
    }
    Ok(Some(rows))
}
