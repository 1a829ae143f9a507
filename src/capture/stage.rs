//! Where the changes of one poll wait until the poll has ended well: a temporary table beside the mirror.
//!
//! Invariants: nothing reaches the mirror before `apply`; `apply` is one transaction. The stage is a file that dies
//! with the connection, because a first cut of 4 M slots does not fit in memory.

use std::collections::HashSet;

use ring::digest;
use rusqlite::{Connection, OptionalExtension, params};

use super::CaptureError;
use super::convert::Plan;
use super::hints::is_later;
use super::mirror::Mirror;
use crate::domain::{ObjectName, Timestamp};

/// 64 bits of SHA-256 of each key seen in a cut: 4 M slots take about 70 MB while the cut runs. Should two of 4 M keys
/// ever agree in them (4e-7), the end of one row would be noticed only when the other ends too.
pub type Seen = HashSet<u64, foldhash::fast::FixedState>;

pub fn seen_key(key: &str) -> u64 {
    let hash = digest::digest(&digest::SHA256, key.as_bytes());
    hash.as_ref()[..8].iter().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// Against what was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    pub live: u64,
    pub lost: u64,
}

/// What one poll changed of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    pub object: ObjectName,
    pub changed: u64,
    pub gone: u64,
}

pub struct Stage {
    file: Connection,
}

impl Stage {
    pub fn new(mirror: &Mirror) -> Result<Stage, CaptureError> {
        let file = mirror.connect()?;
        file.execute_batch(
            "CREATE TEMP TABLE stage (
                 object TEXT NOT NULL, key TEXT NOT NULL, hash INTEGER NOT NULL, gone INTEGER NOT NULL,
                 body BLOB NOT NULL, PRIMARY KEY (object, key)) STRICT, WITHOUT ROWID;",
        )?;
        Ok(Stage { file })
    }

    /// Begins a poll; whatever an earlier one left is forgotten.
    pub fn begin(&mut self) -> Result<(), CaptureError> {
        if !self.file.is_autocommit() {
            self.file.execute_batch("ROLLBACK")?;
        }
        self.file.execute_batch("DELETE FROM temp.stage; BEGIN DEFERRED")?;
        Ok(())
    }

    /// Stages the row if its content is new. Returns whether it was.
    pub fn offer(&mut self, object: &ObjectName, key: &str, hash: i64, body: &[u8]) -> Result<bool, CaptureError> {
        let mut select =
            self.file.prepare_cached("SELECT hash FROM main.fact WHERE object = ?1 AND key = ?2 AND gone = 0")?;
        let known: Option<i64> = select.query_row(params![object.as_str(), key], |row| row.get(0)).optional()?;
        if known == Some(hash) {
            return Ok(false);
        }
        let mut insert = self.file.prepare_cached("INSERT OR REPLACE INTO temp.stage VALUES (?1, ?2, ?3, 0, ?4)")?;
        insert.execute(params![object.as_str(), key, hash, body])?;
        Ok(true)
    }

    /// Stages the end of every row of a full cut's object that the cut did not have.
    pub fn offer_missing(&mut self, object: &ObjectName, seen: &Seen) -> Result<Missing, CaptureError> {
        let mut missing = Missing { live: 0, lost: 0 };
        let mut select = self.file.prepare_cached("SELECT key FROM main.fact WHERE object = ?1 AND gone = 0")?;
        let mut insert = self.file.prepare_cached("INSERT OR REPLACE INTO temp.stage VALUES (?1, ?2, 0, 1, x'')")?;
        let mut rows = select.query([object.as_str()])?;
        while let Some(row) = rows.next()? {
            missing.live += 1;
            let key = row.get_ref(0)?.as_str().map_err(|_| CaptureError::Stored { object: object.clone() })?;
            if !seen.contains(&seen_key(key)) {
                missing.lost += 1;
                insert.execute(params![object.as_str(), key])?;
            }
        }
        Ok(missing)
    }

    /// Rows that a quicker poll has read from a later state of the legacy system stay as they are.
    pub fn forget(&mut self, object: &ObjectName, key: &str) -> Result<(), CaptureError> {
        let mut delete = self.file.prepare_cached("DELETE FROM temp.stage WHERE object = ?1 AND key = ?2")?;
        delete.execute(params![object.as_str(), key])?;
        Ok(())
    }

    /// Moves what is staged into the mirror, without positions, in one transaction. The caller holds the mirror's
    /// writer. Returns rows changed and rows gone of each of the objects, which are all that were offered.
    pub fn apply(&mut self, as_of: Timestamp, objects: &[&ObjectName]) -> Result<Vec<Counts>, CaptureError> {
        self.end()?;
        let transaction = self.file.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let mut counts = Vec::with_capacity(objects.len());
        for object in objects {
            let mut moved = [0u64; 2];
            for gone in [0usize, 1] {
                let changed = transaction.execute(
                    "INSERT INTO main.fact (object, key, hash, gone, position, at, body)
                     SELECT object, key, hash, gone, NULL, ?1, body FROM temp.stage WHERE gone = ?2 AND object = ?3
                     ON CONFLICT (object, key) DO UPDATE SET hash = excluded.hash, gone = excluded.gone,
                         position = NULL, at = excluded.at, body = excluded.body
                     WHERE fact.hash <> excluded.hash OR fact.gone <> excluded.gone",
                    params![as_of.0, gone as i64, object.as_str()],
                )?;
                moved[gone] = changed as u64;
            }
            counts.push(Counts { object: (*object).clone(), changed: moved[0], gone: moved[1] });
        }
        transaction.execute("DELETE FROM temp.stage", [])?;
        transaction.commit()?;
        Ok(counts)
    }

    /// Ends the reading half of a poll.
    pub fn end(&mut self) -> Result<(), CaptureError> {
        if !self.file.is_autocommit() {
            self.file.execute_batch("COMMIT")?;
        }
        Ok(())
    }

    /// Drops a poll.
    pub fn discard(&mut self) -> Result<(), CaptureError> {
        if !self.file.is_autocommit() {
            self.file.execute_batch("ROLLBACK")?;
        }
        Ok(())
    }
}

/// Reads the rows of one poll through conversion into the stage. Rows arrive one by one and are worked in batches,
/// because new persons of reservations get their numbers in one durable transaction a batch.
pub struct Intaking<'a> {
    pub plans: &'a [Plan],
    pub register: &'a crate::register::Register,
    pub stage: &'a mut Stage,
    pub batch: Vec<(usize, Vec<crate::domain::Value>)>,
    /// Per plan: keys seen; filled by full cuts only.
    pub seen: Option<Vec<Seen>>,
    /// Keys read, for a full cut that runs beside this poll.
    pub sighted: Option<Vec<(usize, Box<str>)>>,
    /// Per plan: the highest key read.
    pub highest: Vec<Option<Box<str>>>,
    /// How long the legacy system was kept busy.
    pub read_us: u64,
    pub tally: Vec<Tally>,
    pub bad: Vec<(usize, super::convert::BadRow)>,
}

/// Counts of one object in one poll.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub rows: u64,
    pub changed: u64,
    pub bad: u64,
    pub blanked: u64,
}

/// Rows worked at a time: the register's and the stage's statements stay warm, and memory small.
const BATCH_ROWS: usize = 1_000;
/// Bad rows of one poll that are reported singly; all are counted.
const BAD_REPORTED_MAX: usize = 100;

impl<'a> Intaking<'a> {
    pub fn new(plans: &'a [Plan], register: &'a crate::register::Register, stage: &'a mut Stage) -> Intaking<'a> {
        let tally = vec![Tally::default(); plans.len()];
        Intaking {
            plans,
            register,
            stage,
            batch: Vec::new(),
            seen: None,
            sighted: None,
            highest: vec![None; plans.len()],
            read_us: 0,
            tally,
            bad: Vec::new(),
        }
    }

    pub fn row(&mut self, plan: usize, row: Vec<crate::domain::Value>) -> Result<(), CaptureError> {
        self.batch.push((plan, row));
        if self.batch.len() >= BATCH_ROWS { self.flush() } else { Ok(()) }
    }

    pub fn flush(&mut self) -> Result<(), CaptureError> {
        let batch = std::mem::take(&mut self.batch);
        let persons: Vec<&str> = batch
            .iter()
            .filter_map(|(plan, row)| self.plans[*plan].person_key(row))
            .filter(|key| !key.is_empty() && key.len() <= crate::register::KEY_MAX)
            .collect();
        self.register.assign(&persons)?;
        for (plan, row) in batch {
            self.convert(plan, row)?;
        }
        Ok(())
    }

    fn convert(&mut self, at: usize, row: Vec<crate::domain::Value>) -> Result<(), CaptureError> {
        let plan = &self.plans[at];
        self.tally[at].rows += 1;
        let converted = match plan.fact(row, &|key| self.register.person(key)) {
            Ok(converted) => converted,
            Err(bad) => {
                if let Some(key) = &bad.key {
                    self.sight(at, key);
                }
                self.report(at, bad);
                return Ok(());
            }
        };
        self.sight(at, &converted.key);
        self.tally[at].blanked += converted.blanked.len() as u64;
        let body = postcard::to_stdvec(&converted.fact)
            .map_err(|_| CaptureError::Stored { object: plan.layout.object.clone() })?;
        let hash = plan.hash(&body);
        if self.stage.offer(&plan.layout.object, &converted.key, hash, &body)? {
            self.tally[at].changed += 1;
            for fault in converted.blanked {
                self.log(at, Some(&converted.key), &fault);
            }
        }
        Ok(())
    }

    fn sight(&mut self, at: usize, key: &str) {
        if let Some(seen) = &mut self.seen {
            seen[at].insert(seen_key(key));
        }
        if let Some(sighted) = &mut self.sighted {
            sighted.push((at, Box::from(key)));
        }
        if self.highest[at].as_ref().is_none_or(|highest| is_later(key, highest)) {
            self.highest[at] = Some(Box::from(key));
        }
    }

    fn report(&mut self, at: usize, bad: super::convert::BadRow) {
        self.tally[at].bad += 1;
        if self.bad.len() < BAD_REPORTED_MAX {
            self.log(at, bad.key.as_deref(), &bad.fault);
            self.bad.push((at, bad));
        }
    }

    /// A key is logged where it names a site, slot, reservation or rule; a person's never comes here.
    fn log(&self, at: usize, key: Option<&str>, fault: &super::convert::Fault) {
        tracing::warn!(
            object = %self.plans[at].layout.object,
            key = key.unwrap_or("unusable"),
            row = self.tally[at].rows,
            column = %fault.column,
            why = fault.why,
            "a legacy value could not be used"
        );
    }
}
