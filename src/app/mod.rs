//! The daemon put together: who is opened when, who is told what, and in which order everything ends.
//!
//! Owns no rule. Invariants: the ledger, the register and the mirror are opened under one lock; nothing is served
//! before the desk has replayed; nothing is published before rows without a position were sent again; an answer that a
//! partner holds is durable, so a stop may be as short as it likes.

mod compiled;
mod control;
mod desk;
mod files;
mod jobs;
mod meter;
mod observe;
mod open;
mod settings;
mod tokens;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_cron_scheduler::JobScheduler;
use tokio_util::sync::CancellationToken;

use crate::admin::{DataLock, Locked};
use crate::capture::{Capture, CaptureError};
use crate::config::{Config, Problems};
use crate::decide::ReplayError;
use crate::ledger::{LedgerError, LedgerReader};
use crate::publish::PublishError;
use crate::register::RegisterError;
use crate::serve::TlsError;
use crate::{capture, ledger, publish, writeback};

pub use compiled::{Compiled, compile, load as load_mappings};
pub use files::Files;
pub use meter::Condition;
pub use settings::{logs, person_constraint};
pub use tokens::environment;

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
    running: Running,
    stop_within: Duration,
    _lock: DataLock,
}

struct Running {
    stop: CancellationToken,
    serving: Vec<tokio::task::JoinHandle<()>>,
    jobs: Option<JobScheduler>,
    capturing: Arc<Capturing>,
    writing: writeback::Running,
    publishing: publish::Running,
    committing: JoinHandle<()>,
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
pub struct Poller(Arc<Capturing>);

impl Poller {
    pub fn now(&self) {
        self.0.poll_now();
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
    #[error("a thread could not be started")]
    Thread { source: std::io::Error },
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
            StartFailed::ApiKeys(_) => "api_keys",
            StartFailed::Evidence(error) => error.code(),
            StartFailed::Listen(error) => error.code(),
            StartFailed::Observe { .. } => "observe_address",
            StartFailed::Socket { .. } => "admin_socket",
            StartFailed::Lives => "ledger_lives",
            StartFailed::Thread { .. } => "thread",
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
    /// Opens everything and serves. Blocks for as long as the replay takes; must not be called on a tokio worker.
    pub fn start(config: &Config, runtime: &Handle) -> Result<Daemon, StartFailed> {
        install_crypto();
        open::Opening::begin(config)?.start(runtime)
    }

    /// Waits until the ledger cannot be written any more; then the process is to exit within a second.
    pub async fn failed(&self) {
        let mut failed = self.running.failed.clone();
        let _ = failed.wait_for(|failed| *failed).await;
    }

    pub fn poller(&self) -> Poller {
        Poller(self.running.capturing.clone())
    }

    /// Takes no more requests, lets open ones finish, writes up, and lets go of the data folder. Within
    /// `stop_ms_max`; what takes longer is cut, which loses nothing that was acknowledged.
    pub fn stop(self, runtime: &Handle) {
        // A twentieth is left for the process to end in.
        let until = Instant::now() + self.stop_within * 19 / 20;
        self.condition.stopping.store(true, Ordering::Relaxed);
        let Running { stop, serving, jobs, capturing, writing, publishing, committing, .. } = self.running;
        stop.cancel();
        runtime.block_on(async {
            for served in serving {
                let left = until.saturating_duration_since(Instant::now());
                if tokio::time::timeout(left, served).await.is_err() {
                    tracing::warn!("a listener did not end in time and was cut");
                }
            }
            if let Some(mut jobs) = jobs
                && let Err(error) = jobs.shutdown().await
            {
                tracing::warn!(%error, "the jobs did not end well");
            }
        });
        let ended = std::thread::spawn(move || {
            capturing.stop();
            if let Err(error) = writing.stop() {
                tracing::warn!(%error, "write-back had ended before");
            }
            publishing.stop();
        });
        wait_for(&ended, until, "capture, write-back or publishing");
        // The committer ends once nobody can submit: the handles below hold the last ways in.
        self.condition.door.shut();
        drop((self.condition, self.capture));
        wait_for(&committing, until, "the committer");
    }
}

fn wait_for(thread: &JoinHandle<()>, until: Instant, what: &str) {
    while !thread.is_finished() {
        if Instant::now() >= until {
            return tracing::warn!("{what} did not end in time and is cut; nothing acknowledged is lost");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
