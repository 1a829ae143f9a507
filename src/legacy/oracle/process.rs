//! What the Oracle sessions of one process share.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use super::breaker::Breaker;
use super::client::{self, Client};
use super::error::{ErrorClass, Failure, Step};
use super::secret::Vault;
use super::settings::{Account, Settings};
use super::watchdog::Watchdog;
use crate::legacy::LegacyError;

/// What all sessions of a process share. One value a process; `open` may be called from every thread.
pub struct Oracle {
    settings: Settings,
    client: Client,
    vault: Vault,
    watchdog: Watchdog,
    read_breaker: Breaker,
    write_breaker: Breaker,
    /// Index of the login that last worked, by role.
    preferred: [AtomicU32; 2],
}

impl Oracle {
    /// Loads the client library; connects to nothing.
    pub fn new(settings: Settings) -> Result<Arc<Oracle>, LegacyError> {
        settings.check()?;
        let client = client::load(&settings)?;
        let watchdog = Watchdog::start().map_err(|e| {
            let words = format!("the watchdog thread could not be started: {}", e.kind());
            Failure::own(ErrorClass::Operator, Step::Logon, "watchdog", words)
        })?;
        let vault = Vault::new(&settings.data_dir);
        Ok(Arc::new(Oracle {
            settings,
            client,
            vault,
            watchdog,
            read_breaker: Breaker::default(),
            write_breaker: Breaker::default(),
            preferred: Default::default(),
        }))
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub fn client(&self) -> Client {
        self.client
    }

    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    pub(super) fn watchdog(&self) -> &Watchdog {
        &self.watchdog
    }

    pub(super) fn breaker(&self, account: Account) -> &Breaker {
        match account {
            Account::Read => &self.read_breaker,
            Account::Write => &self.write_breaker,
        }
    }

    pub(super) fn preferred(&self, account: Account) -> &AtomicU32 {
        let [read, write] = &self.preferred;
        match account {
            Account::Read => read,
            Account::Write => write,
        }
    }
}
