//! The legacy system by kind: how connections to it are opened. At most six sessions on Oracle: capture's three, the
//! writer's one, and one of each role while an old session ends beside its successor.

use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use crate::config::{Account, Config, LegacyKind};
use crate::legacy::sqlite::{SqliteRead, SqliteWrite};
use crate::legacy::{LegacyError, LegacyRead, LegacyWrite};
use crate::telemetry::Metrics;
use crate::{capture, writeback};

use super::counting::{CountedRead, CountedWrite};
use super::{StartFailed, settings};

/// Where `legacy::oracle` writes down the secrets that the server refused.
const BLOCKED: &str = "oracle-blocked.json";

/// Opens connections that read; from any thread.
type OpenRead = Arc<dyn Fn() -> Result<Box<dyn LegacyRead>, LegacyError> + Send + Sync>;
/// Opens connections that write.
type OpenWrite = Arc<dyn Fn() -> Result<Box<dyn LegacyWrite>, LegacyError> + Send + Sync>;

/// Ways to the legacy system.
pub struct Backend {
    pub read: OpenRead,
    pub write: OpenWrite,
    write_accounts: Vec<Account>,
    /// Refused secrets: an operator deletes it once an account is unlocked.
    blocked: std::path::PathBuf,
}

impl Backend {
    /// Judges what can be judged without a connection; opens none.
    pub fn of(config: &Config) -> Result<Backend, StartFailed> {
        match config.legacy.kind {
            LegacyKind::Sqlite => Ok(sqlite(config)),
            LegacyKind::Oracle => oracle(config),
        }
    }

    pub fn capture(&self, metrics: &Arc<Metrics>) -> capture::Connect {
        let (read, metrics) = (self.read.clone(), metrics.clone());
        Arc::new(move || {
            let inner = read().inspect_err(|error| metrics.legacy_failed(error.class, "read"))?;
            Ok(Box::new(CountedRead { inner, metrics: metrics.clone() }) as Box<dyn LegacyRead>)
        })
    }

    pub fn writeback(&self, metrics: &Arc<Metrics>) -> writeback::Connect {
        let (write, metrics) = (self.write.clone(), metrics.clone());
        Box::new(move || {
            let inner = write().inspect_err(|error| metrics.legacy_failed(error.class, "write"))?;
            Ok(Box::new(CountedWrite { inner, metrics: metrics.clone() }) as Box<dyn LegacyWrite>)
        })
    }

    /// A number that changes with the content of the write accounts' secret files and of the file of refused secrets. It is kept in memory only, and made
    /// with a key of this process, so that it says nothing about a password.
    pub fn secrets(&self) -> Box<dyn Fn() -> u64 + Send> {
        let (accounts, keyed) = (self.write_accounts.clone(), std::hash::RandomState::new());
        let blocked = self.blocked.clone();
        Box::new(move || {
            let mut hasher = keyed.build_hasher();
            for account in &accounts {
                // A file that cannot be read is a state of its own: once it can, the secret has changed.
                std::fs::read(&account.secret_file).ok().hash(&mut hasher);
            }
            std::fs::read(&blocked).ok().hash(&mut hasher);
            hasher.finish()
        })
    }
}

fn sqlite(config: &Config) -> Backend {
    let (path, write) = (config.legacy.path.clone(), settings::sqlite(config));
    Backend {
        read: Arc::new(move || Ok(Box::new(SqliteRead::open(&path)?) as Box<dyn LegacyRead>)),
        write: Arc::new(move || Ok(Box::new(SqliteWrite::open(&write)?) as Box<dyn LegacyWrite>)),
        write_accounts: Vec::new(),
        blocked: config.daemon.data_dir.join(BLOCKED),
    }
}

/// Loads the client library and connects to nothing.
#[cfg(feature = "oracle")]
fn oracle(config: &Config) -> Result<Backend, StartFailed> {
    use crate::legacy::oracle::{Oracle, OracleRead, OracleWrite};
    let (shared, write) = settings::oracle(config);
    let shared = Oracle::new(shared).map_err(|error| StartFailed::OracleClient { missing: screen(config, &error) })?;
    let reads = shared.clone();
    Ok(Backend {
        read: Arc::new(move || Ok(Box::new(OracleRead::open(reads.clone())?) as Box<dyn LegacyRead>)),
        write: Arc::new(
            move || Ok(Box::new(OracleWrite::open(shared.clone(), write.clone())?) as Box<dyn LegacyWrite>),
        ),
        write_accounts: config.oracle.write_accounts.clone(),
        blocked: config.daemon.data_dir.join(BLOCKED),
    })
}

#[cfg(not(feature = "oracle"))]
fn oracle(_config: &Config) -> Result<Backend, StartFailed> {
    let missing =
        "this build has no Oracle adapter: build it with the feature `oracle`, which is on by default".to_owned();
    Err(StartFailed::OracleClient { missing })
}

/// What is missing and where to put it, on one screen.
#[cfg(feature = "oracle")]
fn screen(config: &Config, error: &LegacyError) -> String {
    let looked = match &config.oracle.client_dir {
        Some(dir) => format!("oracle.client_dir = {}", dir.display()),
        None => "where the system's loader looks (ldconfig, LD_LIBRARY_PATH); oracle.client_dir is not set".to_owned(),
    };
    format!(
        "the Oracle client cannot be used
  {error}

  needed      Oracle Instant Client 19, package Basic or Basic Light, for this machine's architecture (and libaio)
  looked in   {looked}
  to do       unpack it, for example into /opt/oracle/instantclient_19_25, so that libclntsh.so stands there,
              set oracle.client_dir to that folder, and let the service user read it
  not here    slotbridge ships no Oracle software; Oracle's licence has you download it yourself"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stamp_of_secrets_changes_with_their_content_and_with_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let secret_file = dir.path().join("secret");
        let write_accounts = vec![Account { name: "SB_WRITE_A".to_owned(), secret_file: secret_file.clone() }];
        let blocked = dir.path().join(BLOCKED);
        let backend = Backend { write_accounts, blocked: blocked.clone(), ..sqlite(&Config::default()) };
        let stamp = backend.secrets();
        let missing = stamp();
        std::fs::write(&secret_file, "one").unwrap();
        let one = stamp();
        assert_ne!(missing, one);
        std::fs::write(&secret_file, "one").unwrap();
        assert_eq!(stamp(), one);
        std::fs::write(&secret_file, "two").unwrap();
        let two = stamp();
        assert_ne!(two, one);
        std::fs::write(&blocked, "{}").unwrap();
        assert_ne!(stamp(), two);
        std::fs::remove_file(&blocked).unwrap();
        assert_eq!(stamp(), two);
    }
}
