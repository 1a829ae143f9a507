//! The daemon put together: who is opened when, who is told what, and in which order everything ends.
//!
//! Owns no rule. Invariants: the ledger, the register and the mirror are opened under one lock; nothing is served
//! before the desk has replayed; nothing is published before rows without a position were sent again; an answer that a
//! partner holds is durable, so a stop may be as short as it likes.

mod activation;
mod approving;
mod audit;
mod backend;
mod compiled;
mod conflicts;
mod control;
mod counting;
mod desk;
mod doctor;
mod evident;
mod examine;
mod files;
mod guards;
mod harden;
mod in_force;
mod jobs;
mod measuring;
mod meter;
mod observe;
mod open;
mod outside;
mod proofs;
mod prove;
mod registers;
mod reload;
mod settings;
mod standings;
mod systemd;
mod threads;
mod tokens;
mod unapplied;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_cron_scheduler::JobScheduler;

use crate::admin::{DataLock, Locked};
use crate::capture::{Capture, CaptureError};
use crate::config::{Config, Problems};
use crate::decide::ReplayError;
use crate::ledger::{LedgerError, LedgerReader};
use crate::publish::PublishError;
use crate::register::RegisterError;
use crate::serve::TlsError;
use crate::{capture, ledger};

use threads::Threads;

pub use approving::Approving;
pub use audit::{AuditFailed, SetAside, set_aside};
pub use compiled::{Compiled, compile, judge as judge_mappings, load as load_mappings, read as read_mappings, today};
pub use doctor::doctor;
pub use examine::examine;
pub use files::Files;
pub use harden::harden;
pub use in_force::{code as standing_code, told as standing_told};
pub use measuring::{MeasureFailed, Measured, Measuring, measure};
pub use meter::Condition;
pub use proofs::{Proof, ProofFailed, Proofs, Verdict};
pub use prove::{Canary, ProveFailed, Proving};
pub use registers::{Register, access_csv};
pub use reload::{NotReloaded, Reloaded, Reloader, Source};
pub use settings::{logs, person_constraint};
pub use systemd::{alive, ready, stopping, watchdog};
pub use tokens::environment;
pub use unapplied::{Unapplied, UnappliedFailed, unapplied};

/// A daemon that runs.
pub struct Daemon {
    pub condition: Arc<Condition>,
    pub capture: Arc<Capture>,
    /// Addresses that were bound: partners over plain HTTP, over TLS, observers.
    pub partners_http: Option<SocketAddr>,
    pub partners_tls: Option<SocketAddr>,
    pub observe: SocketAddr,
    pub entries: Arc<LedgerReader>,
    /// Lives of the ledger: op ids carry the one of their position.
    pub epochs: Vec<ledger::Epoch>,
    reloader: Arc<Reloader>,
    signing: Arc<evident::Signing>,
    running: Running,
    stop_within: Duration,
    _lock: Arc<DataLock>,
}

struct Running {
    threads: Threads,
    jobs: Option<JobScheduler>,
    /// Becomes true when the ledger cannot be written any more.
    failed: watch::Receiver<bool>,
}

/// The capture threads, until the stop takes them.
struct Capturing(Mutex<Option<capture::Running>>);

impl Capturing {
    fn new(running: capture::Running) -> Capturing {
        Capturing(Mutex::new(Some(running)))
    }

    fn lock(&self) -> MutexGuard<'_, Option<capture::Running>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn poll_now(&self) {
        if let Some(running) = &*self.lock() {
            running.poll_now();
        }
    }

    fn stop(&self) {
        let running = self.lock().take();
        if let Some(running) = running {
            running.stop();
        }
    }
}

/// Asks capture for full cuts of every group, persons included.
pub struct Poller(Option<Arc<Capturing>>);

impl Poller {
    pub fn now(&self) {
        if let Some(capturing) = &self.0 {
            capturing.poll_now();
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum StartFailed {
    #[error(transparent)]
    Config(#[from] Problems),
    #[error(transparent)]
    Locked(#[from] Locked),
    #[error("{path} cannot be made or read")]
    Folder { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Register(#[from] RegisterError),
    #[error(transparent)]
    Capture(#[from] CaptureError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("the ledger's entries do not follow from each other")]
    Replay(#[from] ReplayError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Keys(#[from] crate::keys::KeyError),
    #[error(transparent)]
    Epochs(#[from] tokens::EpochFailed),
    #[error(transparent)]
    Audit(#[from] AuditFailed),
    #[error(transparent)]
    ApiKeys(#[from] crate::keys::ApiKeysError),
    #[error(transparent)]
    Evidence(#[from] crate::evidence::EvidenceError),
    #[error(transparent)]
    Listen(#[from] TlsError),
    #[error("{address} cannot be listened on")]
    Observe { address: SocketAddr, source: std::io::Error },
    #[error("the admin socket {path} cannot be made; a path of more than 107 bytes is too long for one")]
    Socket { path: PathBuf, source: std::io::Error },
    #[error("the ledger does not say in which life its first entries were written")]
    Lives,
    #[error("the canaries of {path} cannot be used: {cause}")]
    Canaries { path: PathBuf, cause: String },
    #[error("a thread could not be started")]
    Thread { source: std::io::Error },
    /// One screen: what is missing and where to put it.
    #[error("{missing}")]
    OracleClient { missing: String },
    #[error(transparent)]
    Proofs(#[from] ProofFailed),
    #[error("the jobs could not be scheduled")]
    Jobs(#[from] tokio_cron_scheduler::JobSchedulerError),
}

impl StartFailed {
    pub fn code(&self) -> &'static str {
        match self {
            StartFailed::Config(_) => "config",
            StartFailed::Locked(_) => "data_dir_in_use",
            StartFailed::Folder { .. } => "folder",
            StartFailed::Register(error) => error.code(),
            StartFailed::Capture(error) => error.code(),
            StartFailed::Ledger(error) => error.code(),
            StartFailed::Replay(_) => "ledger_replay",
            StartFailed::Publish(error) => error.code(),
            StartFailed::Keys(error) => error.code(),
            StartFailed::Epochs(error) => error.code(),
            StartFailed::Audit(_) => "audit_book",
            StartFailed::ApiKeys(_) => "api_keys",
            StartFailed::Evidence(error) => error.code(),
            StartFailed::Listen(error) => error.code(),
            StartFailed::Observe { .. } => "observe_address",
            StartFailed::Socket { .. } => "admin_socket",
            StartFailed::Canaries { .. } => "canaries",
            StartFailed::Lives => "ledger_lives",
            StartFailed::Thread { .. } => "thread",
            StartFailed::OracleClient { .. } => "oracle_client",
            StartFailed::Proofs(error) => error.code(),
            StartFailed::Jobs(_) => "jobs",
        }
    }
}

/// The TLS provider of the process; before anything that could use one. A second call changes nothing.
pub fn install_crypto() {
    // An error says that one is installed already: ours, from an earlier call.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

impl Daemon {
    /// As a service whose configuration stays.
    pub fn start(config: &Config, runtime: &Handle) -> Result<Daemon, StartFailed> {
        Daemon::start_from(config, Source { file: None, approving: Approving::of_service }, runtime)
    }

    /// Opens everything and serves. Blocks for as long as the replay takes; must not be called on a tokio worker.
    pub fn start_from(config: &Config, source: Source, runtime: &Handle) -> Result<Daemon, StartFailed> {
        install_crypto();
        open::Opening::begin(config, source)?.start(runtime)
    }

    /// To be let go of before the stop.
    pub fn reloader(&self) -> Arc<Reloader> {
        self.reloader.clone()
    }

    /// Waits until the ledger cannot be written any more; then the process is to exit within a second.
    pub async fn failed(&self) {
        let mut failed = self.running.failed.clone();
        let _ = failed.wait_for(|failed| *failed).await;
    }

    pub fn poller(&self) -> Poller {
        Poller(self.running.threads.capturing.clone())
    }

    /// Takes no more requests, lets open ones finish, writes up, and lets go of the data folder. Within
    /// `stop_ms_max`; what takes longer is cut, which loses nothing that was acknowledged.
    pub fn stop(self, runtime: &Handle) {
        // A twentieth is left for the process to end in.
        let until = Instant::now() + self.stop_within * 19 / 20;
        self.condition.stopping.store(true, Ordering::Relaxed);
        let Running { mut threads, jobs, .. } = self.running;
        threads.close(runtime, until);
        if let Some(mut jobs) = jobs
            && let Err(error) = runtime.block_on(jobs.shutdown())
        {
            tracing::warn!(%error, "the jobs did not end well");
        }
        // The committer ends once nobody can submit: these hold ways in.
        drop((self.condition, self.capture, self.reloader));
        threads.finish(until);
        if let Err(why) = self.signing.sign() {
            tracing::warn!(why, "the next head that is signed is the next start's");
        }
    }
}
