//! The register: bridge-assigned numbers of persons and cohorts, and random numbers given to mapped values.
//!
//! Nothing rebuilds it: the ledger holds person numbers only, so without the register nobody knows whose they are.
//! Invariants: a number is given once and never again, also after its row was unlinked; a number is durable before
//! it is handed out; a legacy person key is in this file and nowhere else of the bridge.
//!
//! Lookup is a table in memory (17 bytes a bucket, 15 M persons: 570 MB, 1 M: 36 MB), because a cut asks for every
//! person and a million lookups in SQLite take seconds. It holds 96 bits of SHA-256 of the key; two of 52 M keys
//! agree in them with probability 2e-14.

mod random;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};

use ring::digest;
use rusqlite::{Connection, OptionalExtension, params};

use crate::domain::{CohortNo, PersonNo};

/// Longest legacy person key, in bytes.
pub const KEY_MAX: usize = 120;
/// Cohort numbers are one byte; 0 means "none".
pub const COHORTS_MAX: usize = 255;

#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    #[error(
        "the register {path} is missing while other state exists; restore it from a backup: without it nobody can \
         tell whose the bookings are"
    )]
    Missing { path: PathBuf },
    #[error("the register could not be read or written")]
    Store {
        #[source]
        source: rusqlite::Error,
    },
    #[error("a person key is empty or longer than {KEY_MAX} bytes")]
    Key,
    #[error("more than {COHORTS_MAX} cohort codes")]
    Cohorts,
    #[error("all person numbers are used up")]
    Full,
    #[error("the random numbers of {bits} bits in scope {scope} are used up")]
    Random { scope: String, bits: u32 },
}

impl From<rusqlite::Error> for RegisterError {
    fn from(source: rusqlite::Error) -> RegisterError {
        RegisterError::Store { source }
    }
}

impl RegisterError {
    pub fn code(&self) -> &'static str {
        match self {
            RegisterError::Missing { .. } => "register_missing",
            RegisterError::Store { .. } => "register_store",
            RegisterError::Key => "register_key",
            RegisterError::Cohorts => "register_cohorts",
            RegisterError::Full => "register_full",
            RegisterError::Random { .. } => "register_random",
        }
    }
}

/// What to do when the file does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfMissing {
    Create,
    /// Ledger, mirror or feeds exist already: starting anew would unlink every booking.
    Refuse,
}

type Print = [u32; 3];

#[derive(Default)]
struct Numbers {
    persons: HashMap<Print, PersonNo, foldhash::fast::FixedState>,
    cohorts: HashMap<Arc<str>, CohortNo, foldhash::fast::FixedState>,
}

pub struct Register {
    file: Mutex<Connection>,
    numbers: RwLock<Numbers>,
}

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS person (person_no INTEGER PRIMARY KEY, key TEXT NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS cohort (cohort_no INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE) STRICT;
    CREATE TABLE IF NOT EXISTS counter (name TEXT PRIMARY KEY, next INTEGER NOT NULL) STRICT;
    INSERT OR IGNORE INTO counter VALUES ('person', 1);
    CREATE TABLE IF NOT EXISTS token_random (
        scope TEXT NOT NULL, value TEXT NOT NULL, number BLOB NOT NULL,
        PRIMARY KEY (scope, value), UNIQUE (scope, number)) STRICT, WITHOUT ROWID;
";

impl Register {
    /// Opens the file and loads the numbers: about 1 s a million persons.
    pub fn open(path: &Path, missing: IfMissing) -> Result<Register, RegisterError> {
        if missing == IfMissing::Refuse && !path.exists() {
            return Err(RegisterError::Missing { path: path.to_path_buf() });
        }
        let file = Connection::open(path)?;
        file.pragma_update(None, "journal_mode", "WAL")?;
        file.pragma_update(None, "synchronous", "FULL")?;
        file.busy_timeout(std::time::Duration::from_secs(30))?;
        file.execute_batch(SCHEMA)?;
        let numbers = load(&file)?;
        Ok(Register { file: Mutex::new(file), numbers: RwLock::new(numbers) })
    }

    fn file(&self) -> MutexGuard<'_, Connection> {
        self.file.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The number of a known person.
    pub fn person(&self, key: &str) -> Option<PersonNo> {
        let numbers = self.numbers.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        numbers.persons.get(&print(key)).copied()
    }

    /// The numbers of these persons, in their order; new ones get the next free numbers in one durable transaction.
    pub fn assign(&self, keys: &[&str]) -> Result<Vec<PersonNo>, RegisterError> {
        let prints: Vec<Print> = keys.iter().map(|key| print(key)).collect();
        let known = self.known(&prints);
        if let Some(all) = known.iter().copied().collect::<Option<Vec<_>>>() {
            return Ok(all);
        }
        let mut file = self.file();
        let transaction = file.transaction()?;
        let mut next: i64 =
            transaction.query_row("SELECT next FROM counter WHERE name = 'person'", [], |row| row.get(0))?;
        // Someone else may have assigned the same keys meanwhile; only the holder of `file` adds numbers.
        let mut fresh: HashMap<Print, PersonNo> = HashMap::new();
        let mut all = Vec::with_capacity(keys.len());
        {
            let mut insert = transaction.prepare_cached("INSERT INTO person (person_no, key) VALUES (?1, ?2)")?;
            for ((print, key), known) in prints.iter().zip(keys).zip(self.known(&prints)) {
                if let Some(number) = known.or_else(|| fresh.get(print).copied()) {
                    all.push(number);
                    continue;
                }
                if key.is_empty() || key.len() > KEY_MAX {
                    return Err(RegisterError::Key);
                }
                let number = PersonNo(u32::try_from(next).map_err(|_| RegisterError::Full)?);
                insert.execute(params![next, key])?;
                next += 1;
                fresh.insert(*print, number);
                all.push(number);
            }
        }
        transaction.execute("UPDATE counter SET next = ?1 WHERE name = 'person'", [next])?;
        transaction.commit()?;
        let mut numbers = self.numbers.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        numbers.persons.extend(fresh);
        Ok(all)
    }

    fn known(&self, prints: &[Print]) -> Vec<Option<PersonNo>> {
        let numbers = self.numbers.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        prints.iter().map(|print| numbers.persons.get(print).copied()).collect()
    }

    /// Legacy key of a person, for write-back; `None` when the person was unlinked or the number was never given.
    pub fn person_key(&self, person: PersonNo) -> Result<Option<Arc<str>>, RegisterError> {
        let file = self.file();
        let mut select = file.prepare_cached("SELECT key FROM person WHERE person_no = ?1")?;
        let key = select.query_row([person.0], |row| row.get::<_, String>(0)).optional()?;
        Ok(key.map(Arc::from))
    }

    /// Forgets whose the number is. The number is never given again; the person would get a new one.
    pub fn unlink(&self, person: PersonNo) -> Result<bool, RegisterError> {
        let Some(key) = self.person_key(person)? else { return Ok(false) };
        self.file().execute("DELETE FROM person WHERE person_no = ?1", [person.0])?;
        let mut numbers = self.numbers.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        numbers.persons.remove(&print(&key));
        Ok(true)
    }

    /// The number of a cohort code, given now if it is new. Numbers start at 1.
    pub fn cohort(&self, code: &str) -> Result<CohortNo, RegisterError> {
        let known = |register: &Register| {
            let numbers = register.numbers.read().unwrap_or_else(|poisoned| poisoned.into_inner());
            (numbers.cohorts.get(code).copied(), numbers.cohorts.len())
        };
        if let (Some(number), _) = known(self) {
            return Ok(number);
        }
        let file = self.file();
        let (again, count) = known(self);
        if let Some(number) = again {
            return Ok(number);
        }
        let number = u8::try_from(count + 1).map_err(|_| RegisterError::Cohorts)?;
        file.execute("INSERT INTO cohort (cohort_no, code) VALUES (?1, ?2)", params![number, code])?;
        let mut numbers = self.numbers.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        numbers.cohorts.insert(Arc::from(code), CohortNo(number));
        Ok(CohortNo(number))
    }

    /// Persons that have a number and are linked.
    pub fn persons(&self) -> usize {
        self.numbers.read().unwrap_or_else(|poisoned| poisoned.into_inner()).persons.len()
    }

    /// Copies the register into a new file, consistently, while it is in use.
    pub fn backup(&self, to: &Path) -> Result<(), RegisterError> {
        self.file().backup("main", to, None)?;
        Ok(())
    }
}

fn print(key: &str) -> Print {
    let hash = digest::digest(&digest::SHA256, key.as_bytes());
    let word = |at: usize| hash.as_ref()[at..at + 4].iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte));
    [word(0), word(4), word(8)]
}

fn load(file: &Connection) -> Result<Numbers, RegisterError> {
    let mut numbers = Numbers::default();
    let count: i64 = file.query_row("SELECT count(*) FROM person", [], |row| row.get(0))?;
    numbers.persons.reserve(usize::try_from(count).unwrap_or(0));
    let mut select = file.prepare("SELECT person_no, key FROM person")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let key = row.get_ref(1)?.as_str().map_err(|_| rusqlite::Error::InvalidQuery)?;
        numbers.persons.insert(print(key), PersonNo(row.get(0)?));
    }
    let mut select = file.prepare("SELECT cohort_no, code FROM cohort")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        numbers.cohorts.insert(Arc::from(row.get::<_, String>(1)?), CohortNo(row.get(0)?));
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn register(dir: &tempfile::TempDir) -> Register {
        Register::open(&dir.path().join("register.sqlite"), IfMissing::Create).unwrap()
    }

    #[test]
    fn a_person_keeps_its_number_over_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let given = register(&dir).assign(&["P1", "P2", "P1"]).unwrap();
        assert_eq!(given, [PersonNo(1), PersonNo(2), PersonNo(1)]);
        let again = register(&dir);
        assert_eq!(again.assign(&["P3", "P2"]).unwrap(), [PersonNo(3), PersonNo(2)]);
        assert_eq!(again.person("P1"), Some(PersonNo(1)));
        assert_eq!(again.person("P9"), None);
        assert_eq!(again.person_key(PersonNo(2)).unwrap().as_deref(), Some("P2"));
        assert_eq!(again.person_key(PersonNo(9)).unwrap(), None);
    }

    #[test]
    fn an_unlinked_number_is_never_given_again() {
        let dir = tempfile::tempdir().unwrap();
        let first = register(&dir);
        first.assign(&["P1", "P2"]).unwrap();
        assert!(first.unlink(PersonNo(2)).unwrap());
        assert!(!first.unlink(PersonNo(2)).unwrap());
        drop(first);
        let again = register(&dir);
        assert_eq!(again.person("P2"), None);
        assert_eq!(again.assign(&["P2"]).unwrap(), [PersonNo(3)]);
    }

    #[test]
    fn without_the_register_the_bridge_does_not_start_over_other_state() {
        let dir = tempfile::tempdir().unwrap();
        let missing = Register::open(&dir.path().join("none.sqlite"), IfMissing::Refuse);
        assert!(matches!(missing, Err(RegisterError::Missing { .. })));
        assert!(!dir.path().join("none.sqlite").exists());
    }

    #[test]
    fn a_key_that_cannot_be_one_gives_nobody_a_number() {
        let dir = tempfile::tempdir().unwrap();
        let register = register(&dir);
        assert!(matches!(register.assign(&["P1", ""]), Err(RegisterError::Key)));
        assert!(matches!(register.assign(&[&"x".repeat(KEY_MAX + 1)]), Err(RegisterError::Key)));
        assert_eq!(register.persons(), 0);
        assert_eq!(register.assign(&["P1"]).unwrap(), [PersonNo(1)]);
    }

    #[test]
    fn cohorts_end_at_255_and_keep_their_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let first = register(&dir);
        for n in 1..=COHORTS_MAX {
            assert_eq!(first.cohort(&format!("C{n}")).unwrap(), CohortNo(n as u8));
        }
        assert!(matches!(first.cohort("C256"), Err(RegisterError::Cohorts)));
        drop(first);
        assert_eq!(register(&dir).cohort("C7").unwrap(), CohortNo(7));
    }
}
