//! `run`: the daemon.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::{ConfigFile, Exit, Failed, Out};
use crate::app::{self, Approving, Daemon, Source, StartFailed};
use crate::{config, telemetry};

/// A ledger that cannot be written ends the process within a second; answers that say so leave before.
const EXIT_AFTER: Duration = Duration::from_millis(500);

/// Nobody listens then.
const NO_WATCHDOG: Duration = Duration::from_secs(3_600);

enum End {
    Stopped,
    NotDurable,
}

pub fn run(args: &ConfigFile, out: &mut Out) -> Result<Exit, Failed> {
    // Before a key or a person is read.
    app::harden().map_err(|error| Failed::io("core dumps could not be switched off", &error))?;
    app::install_crypto();
    let loaded = config::load(&args.config)?;
    telemetry::start_logs(&app::logs(&loaded.config.log))
        .map_err(|error| Failed::new(Exit::Config, "log", error, "correct log.filter"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failed::io("the runtime could not be started", &error))?;
    let source = Source { file: Some(args.config.clone()), approving: Approving::of_service };
    let started = Daemon::start_from(&loaded.config, source, runtime.handle());
    let daemon = started.map_err(|error| start_failed(&error))?;
    app::ready();
    tracing::info!(
        partners_http = daemon.partners_http.map(|address| address.to_string()),
        partners_tls = daemon.partners_tls.map(|address| address.to_string()),
        observe = %daemon.observe,
        position = daemon.condition.view.durable().0,
        "serving"
    );
    let end =
        runtime.block_on(until_end(&daemon)).map_err(|error| Failed::io("signals cannot be listened for", &error))?;
    match end {
        End::Stopped => {
            app::stopping();
            tracing::info!("stopping");
            daemon.stop(runtime.handle());
            tracing::info!("stopped");
            runtime.shutdown_timeout(Duration::from_millis(100));
            Ok(Exit::Done)
        }
        End::NotDurable => {
            std::thread::sleep(EXIT_AFTER);
            let failed = Failed::new(
                Exit::Io,
                "not_durable",
                "the ledger could not be written",
                "look at the disk (the log names the cause), then start again: the ledger is replayed",
            );
            out.failed(&failed);
            // Nothing is waited for: what was acknowledged is durable, and nothing else may be.
            std::process::exit(Exit::Io as i32)
        }
    }
}

async fn until_end(daemon: &Daemon) -> std::io::Result<End> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut hang_up = signal(SignalKind::hangup())?;
    // Half of what the service manager waits, as it recommends.
    let mut alive = tokio::time::interval(app::watchdog().map_or(NO_WATCHDOG, |within| within / 2));
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(End::Stopped),
            _ = interrupt.recv() => return Ok(End::Stopped),
            () = daemon.failed() => return Ok(End::NotDurable),
            _ = hang_up.recv() => {
                let reloader = daemon.reloader();
                // What came of it is logged. A stop does not wait for it.
                tokio::task::spawn_blocking(move || drop(reloader.reload()));
            }
            _ = alive.tick() => app::alive(),
        }
    }
}

/// Each failure with a next step.
pub fn start_failed(error: &StartFailed) -> Failed {
    let (exit, try_) = match error {
        StartFailed::Config(problems) => return problems.clone().into(),
        StartFailed::Locked(_) => (Exit::Busy, "stop the other process, or use another daemon.data_dir"),
        StartFailed::Folder { .. } => (Exit::Io, "make daemon.data_dir writable for the service user"),
        StartFailed::Evidence(_) => (Exit::Io, "restore the evidence log from a backup"),
        StartFailed::Register(_) => (Exit::Io, "restore the register from a backup; never start without it"),
        StartFailed::Capture(_) => (Exit::Io, "check legacy.path; the mirror can be deleted and is rebuilt"),
        StartFailed::Ledger(error) => (Exit::Io, super::ledger::next_step(error)),
        StartFailed::Lives | StartFailed::Replay(_) => {
            (Exit::Io, "`slotbridge ledger verify` names the damage; restore from a backup")
        }
        StartFailed::Audit(_) => (Exit::Io, "restore audit.sqlite from a backup, or move it away to lose the sample"),
        StartFailed::Publish(_) => (Exit::Io, "the feed store can be deleted and is rebuilt"),
        StartFailed::Keys(_) | StartFailed::Epochs(_) | StartFailed::ApiKeys(_) => {
            (Exit::Config, "correct the files in secrets.key_dir")
        }
        StartFailed::Canaries { .. } => (Exit::Config, "correct the file, or remove mappings.canary_file"),
        StartFailed::Listen(_) | StartFailed::Observe { .. } => {
            (Exit::Io, "choose another address in [listen], or stop who has it")
        }
        StartFailed::Socket { .. } => (Exit::Io, "use a shorter daemon.data_dir"),
        StartFailed::Thread { .. } => (Exit::Io, "raise the limit of threads"),
        StartFailed::OracleClient { .. } => {
            let try_ = "put the client in place, then `slotbridge check`; `slotbridge demo` needs none";
            return Failed::new(Exit::Config, error.code(), error, try_);
        }
        StartFailed::Proofs(error) => (Exit::Config, error.next_step()),
        StartFailed::Jobs(_) => (Exit::Config, "correct the cron lines in [jobs]"),
    };
    Failed::new(exit, error.code(), error, try_).because(error)
}
