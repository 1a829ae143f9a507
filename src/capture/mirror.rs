//! The mirror: legacy rows as last applied, with the position the desk gave them.
//!
//! Can be rebuilt from the legacy system. Invariants: `position IS NULL` means "committed here, not yet known to be
//! durable in the ledger" and such a row is sent (again); a position is set only on the very content that was sent;
//! of persons it holds number, cohort and standing, nothing else.
//!
//! `synchronous=NORMAL`: a power cut may take the last commits, but never mixes them. Lost positions are sent again
//! and lost rows are read again, so waiting for the disk at each poll would buy nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use rusqlite::{Connection, OptionalExtension, params};

use super::CaptureError;
use super::convert::{Kind, Plan, columns_text};
use super::facts::PositionedFacts;
use super::remap;
use crate::domain::{CohortNo, Fact, ObjectName, PersonFact, PersonNo, Position, Timestamp};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS fact (
        object TEXT NOT NULL, key TEXT NOT NULL, hash INTEGER NOT NULL, gone INTEGER NOT NULL,
        position INTEGER, at INTEGER NOT NULL, body BLOB NOT NULL,
        PRIMARY KEY (object, key)) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS fact_waiting ON fact (object, key) WHERE position IS NULL;
    CREATE TABLE IF NOT EXISTS person (
        person_no INTEGER PRIMARY KEY, cohort INTEGER NOT NULL, bookable INTEGER NOT NULL,
        gone INTEGER NOT NULL, position INTEGER) STRICT;
    CREATE INDEX IF NOT EXISTS person_waiting ON person (person_no) WHERE position IS NULL;
    CREATE TABLE IF NOT EXISTS shape (object TEXT PRIMARY KEY, columns TEXT NOT NULL) STRICT;
";

/// What waits for its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All but persons, of whom a first load brings millions.
    Rows,
    /// Persons alone: whoever waits for them does not wait for the rows of a cut as well.
    Persons,
    Everything,
}

/// A committed change on its way to the desk.
#[derive(Debug, Clone)]
pub struct Waiting {
    pub fact: Fact,
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    Row { object: ObjectName, key: Box<str>, hash: i64, gone: bool },
    Person { fact: PersonFact, gone: bool },
}

/// A person's standing in the mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PersonChange {
    pub fact: PersonFact,
    pub gone: bool,
}

pub struct Mirror {
    path: PathBuf,
    pub(super) plans: BTreeMap<(u8, ObjectName), Plan>,
    /// Also the gate that applying passes through, so that no two lanes contend for the file.
    writer: Mutex<Connection>,
}

impl Mirror {
    /// Opens or makes the mirror. Rows of an object whose columns changed since are put into the new order, new
    /// columns empty, and count as changed at the next cut.
    pub fn open(path: &Path, plans: &[Plan]) -> Result<Mirror, CaptureError> {
        let mut writer = connect(path)?;
        writer.execute_batch(SCHEMA)?;
        for plan in plans.iter().filter(|plan| plan.kind != Kind::Person) {
            let columns = columns_text(&plan.layout);
            let object = plan.layout.object.as_str();
            let before: Option<String> = writer
                .query_row("SELECT columns FROM shape WHERE object = ?1", [object], |row| row.get(0))
                .optional()?;
            if before.as_ref() == Some(&columns) {
                continue;
            }
            let transaction = writer.transaction()?;
            if let Some(before) = before {
                remap::rows(&transaction, plan, &before)?;
            }
            transaction.execute("INSERT OR REPLACE INTO shape VALUES (?1, ?2)", params![object, columns])?;
            transaction.commit()?;
        }
        let plans = plans.iter().map(|plan| ((plan.kind.rank(), plan.layout.object.clone()), plan.clone())).collect();
        Ok(Mirror { path: path.to_path_buf(), plans, writer: Mutex::new(writer) })
    }

    pub(super) fn writer(&self) -> MutexGuard<'_, Connection> {
        self.writer.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(super) fn connect(&self) -> Result<Connection, CaptureError> {
        connect(&self.path)
    }

    /// Up to `max` changes without a position, what others name first.
    pub fn waiting(&self, scope: Scope, max: usize) -> Result<Vec<Waiting>, CaptureError> {
        let file = self.writer();
        let mut all = Vec::new();
        let is_wanted = |plan: &&Plan| plan.kind != Kind::Person && scope != Scope::Persons;
        for plan in self.plans.values().filter(is_wanted) {
            let left = max - all.len();
            if left == 0 {
                return Ok(all);
            }
            rows_waiting(&file, plan, left, &mut all)?;
        }
        if scope != Scope::Rows && all.len() < max {
            let mut select = file.prepare_cached(
                "SELECT person_no, cohort, bookable, gone FROM person
                 WHERE position IS NULL ORDER BY person_no LIMIT ?1",
            )?;
            let left = i64::try_from(max - all.len()).unwrap_or(i64::MAX);
            let mut rows = select.query([left])?;
            while let Some(row) = rows.next()? {
                let (fact, gone) = person_of(row)?;
                all.push(Waiting { fact: person_fact(fact, gone), place: Place::Person { fact, gone } });
            }
        }
        Ok(all)
    }

    /// The facts are durable at `first`, `first + 1`, …. Content that changed meanwhile keeps waiting.
    pub fn set_positions(&self, sent: &[Waiting], first: Position) -> Result<(), CaptureError> {
        let mut file = self.writer();
        let transaction = file.transaction()?;
        {
            let mut row = transaction.prepare_cached(
                "UPDATE fact SET position = ?1
                 WHERE object = ?2 AND key = ?3 AND hash = ?4 AND gone = ?5 AND position IS NULL",
            )?;
            let mut person = transaction.prepare_cached(
                "UPDATE person SET position = ?1
                 WHERE person_no = ?2 AND cohort = ?3 AND bookable = ?4 AND gone = ?5 AND position IS NULL",
            )?;
            for (index, waiting) in sent.iter().enumerate() {
                let position = first.0 as i64 + index as i64;
                match &waiting.place {
                    Place::Row { object, key, hash, gone } => {
                        row.execute(params![position, object.as_str(), key, hash, gone])?
                    }
                    Place::Person { fact, gone } => {
                        person.execute(params![position, fact.person.0, fact.cohort.0, fact.bookable, gone])?
                    }
                };
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// Standing of every known person: what the person cut is compared with.
    pub fn persons(&self) -> Result<Vec<PersonChange>, CaptureError> {
        let file = self.writer();
        let mut select = file.prepare("SELECT person_no, cohort, bookable, gone FROM person")?;
        let mut rows = select.query([])?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            let (fact, gone) = person_of(row)?;
            all.push(PersonChange { fact, gone });
        }
        Ok(all)
    }

    pub fn apply_persons(&self, changes: &[PersonChange]) -> Result<(), CaptureError> {
        let mut file = self.writer();
        let transaction = file.transaction()?;
        {
            let mut upsert = transaction.prepare_cached(
                "INSERT INTO person (person_no, cohort, bookable, gone, position) VALUES (?1, ?2, ?3, ?4, NULL)
                 ON CONFLICT (person_no) DO UPDATE SET cohort = excluded.cohort, bookable = excluded.bookable,
                     gone = excluded.gone, position = NULL",
            )?;
            for change in changes {
                let fact = change.fact;
                upsert.execute(params![fact.person.0, fact.cohort.0, fact.bookable, change.gone])?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// Every fact that has a position, in the order sites, slots, items, persons, reservations; gone ones too, for
    /// feeds that have not published the end yet. For `Desk::replay`.
    pub fn positioned_facts(&self) -> Result<PositionedFacts, CaptureError> {
        Ok(PositionedFacts::new(self.connect()?, self.plans.values().cloned().collect()))
    }

    /// Forgets rows that were gone before `at` and are durable as such.
    pub fn purge_gone(&self, at: Timestamp) -> Result<usize, CaptureError> {
        let file = self.writer();
        Ok(file.execute("DELETE FROM fact WHERE gone = 1 AND position IS NOT NULL AND at < ?1", [at.0])?)
    }

    /// Rows of an object that are not gone.
    pub fn live(&self, object: &ObjectName) -> Result<u64, CaptureError> {
        let file = self.writer();
        let count: i64 = match Kind::Person.rank() == self.rank(object) {
            true => file.query_row("SELECT count(*) FROM person WHERE gone = 0", [], |row| row.get(0))?,
            false => {
                let sql = "SELECT count(*) FROM fact WHERE object = ?1 AND gone = 0";
                file.query_row(sql, [object.as_str()], |row| row.get(0))?
            }
        };
        Ok(count.unsigned_abs())
    }

    fn rank(&self, object: &ObjectName) -> u8 {
        self.plans.keys().find(|(_, name)| name == object).map_or(u8::MAX, |(rank, _)| *rank)
    }
}

fn rows_waiting(file: &Connection, plan: &Plan, max: usize, all: &mut Vec<Waiting>) -> Result<(), CaptureError> {
    let mut select = file.prepare_cached(
        "SELECT key, hash, gone, body FROM fact
         WHERE object = ?1 AND position IS NULL ORDER BY key LIMIT ?2",
    )?;
    let object = &plan.layout.object;
    let mut rows = select.query(params![object.as_str(), i64::try_from(max).unwrap_or(i64::MAX)])?;
    while let Some(row) = rows.next()? {
        let (key, gone): (String, bool) = (row.get(0)?, row.get(2)?);
        let body = row.get_ref(3)?.as_blob().unwrap_or_default();
        let fact = stored_fact(plan, &key, gone, body)?;
        let place = Place::Row { object: object.clone(), key: key.into_boxed_str(), hash: row.get(1)?, gone };
        all.push(Waiting { fact, place });
    }
    Ok(())
}

pub(super) fn stored_fact(plan: &Plan, key: &str, gone: bool, body: &[u8]) -> Result<Fact, CaptureError> {
    let broken = || CaptureError::Stored { object: plan.layout.object.clone() };
    if gone {
        return plan.gone(key).ok_or_else(broken);
    }
    postcard::from_bytes(body).map_err(|_| broken())
}

pub(super) fn person_of(row: &rusqlite::Row<'_>) -> Result<(PersonFact, bool), CaptureError> {
    let fact = PersonFact { person: PersonNo(row.get(0)?), cohort: CohortNo(row.get(1)?), bookable: row.get(2)? };
    Ok((fact, row.get(3)?))
}

pub(super) fn person_fact(fact: PersonFact, gone: bool) -> Fact {
    if gone { Fact::PersonGone(fact.person) } else { Fact::Person(fact) }
}

fn connect(path: &Path) -> Result<Connection, CaptureError> {
    let file = Connection::open(path)?;
    file.pragma_update(None, "journal_mode", "WAL")?;
    file.pragma_update(None, "synchronous", "NORMAL")?;
    file.busy_timeout(std::time::Duration::from_secs(30))?;
    file.set_prepared_statement_cache_capacity(32);
    Ok(file)
}
