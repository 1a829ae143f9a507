//! `ledger verify|export|snapshot`, `backup`, `restore`.

use std::io::Write;
use std::path::PathBuf;

use clap::Subcommand;

use super::status::ask_daemon;
use super::{ConfigFile, Exit, Failed, Out};
use crate::admin::Ask;
use crate::app::Files;
use crate::clock::{Clock, SystemClock};
use crate::config;
use crate::domain::Position;
use crate::ledger::{self, LedgerError, Remedy};

/// Which data folder: named, or the configuration's.
#[derive(Debug, Clone, clap::Args)]
pub struct DataDir {
    #[command(flatten)]
    file: ConfigFile,
    /// Data folder, instead of the configuration's.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl DataDir {
    fn files(&self) -> Result<Files, Failed> {
        let dir = match &self.data_dir {
            Some(dir) => dir.clone(),
            None => config::load(&self.file.config)?.config.daemon.data_dir,
        };
        Ok(Files::of(&dir))
    }
}

#[derive(Debug, Subcommand)]
pub enum LedgerCommand {
    /// Compute every hash anew and name the first damage. Works beside a running daemon.
    Verify(DataDir),
    /// Print every entry as a line of JSON. Entries hold person numbers and never a token, CI or name.
    Export {
        #[command(flatten)]
        data: DataDir,
        /// Begin after this position.
        #[arg(long, default_value_t = 0)]
        after: u64,
    },
    /// Have the running daemon write a snapshot, which shortens its next start.
    Snapshot(DataDir),
}

pub fn ledger(command: &LedgerCommand, out: &mut Out) -> Result<Exit, Failed> {
    match command {
        LedgerCommand::Verify(data) => verify(data, out),
        LedgerCommand::Export { data, after } => {
            let files = data.files()?;
            match ledger::export(&files.ledger, Position(*after), &mut Pipe(out)) {
                Ok(_) => Ok(Exit::Done),
                // The reader has seen enough.
                Err(_) if out.is_closed() => Ok(Exit::Done),
                Err(error) => Err(failed(&error)),
            }
        }
        LedgerCommand::Snapshot(data) => {
            let value = ask_daemon(&data.file, data.data_dir.as_ref(), &Ask::Snapshot)?;
            if out.is_json() {
                out.value(&value);
            } else {
                out.line(&format!("wrote {}", value["written"].as_str().unwrap_or("a snapshot")));
            }
            Ok(Exit::Done)
        }
    }
}

/// `Out` as a writer; a closed pipe is an error here, so that an export ends.
struct Pipe<'a>(&'a mut Out);

impl Write for Pipe<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.bytes(bytes);
        if self.0.is_closed() { Err(std::io::ErrorKind::BrokenPipe.into()) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn verify(data: &DataDir, out: &mut Out) -> Result<Exit, Failed> {
    let files = data.files()?;
    let report = ledger::verify(&files.ledger).map_err(|error| failed(&error))?;
    if out.is_json() {
        out.value(&serde_json::json!({
            "whole": report.damage.is_none(), "segments": report.segments, "batches": report.batches,
            "entries": report.entries, "replies": report.replies, "first": report.first,
            "position": report.head.position, "hash": report.head.hash,
            "damage": report.damage.as_ref().map(ToString::to_string),
        }));
    } else {
        out.line(&format!(
            "{} segments, {} batches, {} entries, {} replies; up to position {}",
            report.segments, report.batches, report.entries, report.replies, report.head.position
        ));
    }
    match report.damage {
        None => {
            if !out.is_json() {
                out.line("the ledger is whole");
            }
            Ok(Exit::Done)
        }
        Some(damage) if out.is_json() => {
            tracing::debug!(%damage, "damaged");
            Ok(Exit::Wrong)
        }
        Some(damage) => {
            let try_ = "keep the files as they are, and `slotbridge restore` a backup into a new folder";
            Err(Failed::new(Exit::Wrong, "ledger_damaged", damage, try_))
        }
    }
}

#[derive(Debug, clap::Args)]
pub struct BackupArgs {
    #[command(flatten)]
    data: DataDir,
    /// Folder to write into; empty or not there.
    to: PathBuf,
}

/// Copies ledger, register and evidence, also beside a running daemon. Keys and personal data stay behind: token keys
/// are backed up apart, and mirror and feeds are rebuilt.
pub fn backup(args: &BackupArgs, out: &mut Out) -> Result<Exit, Failed> {
    let files = args.data.files()?;
    let also = ["register.sqlite", "evidence.sqlite"];
    let what = ledger::Backup { data_dir: &files.dir, also: &also, to: &args.to };
    let manifest = ledger::backup(&what, SystemClock.now()).map_err(|error| failed(&error))?;
    if out.is_json() {
        out.value(
            &serde_json::json!({ "to": args.to, "position": manifest.head.position, "files": manifest.files.len() }),
        );
    } else {
        out.line(&format!(
            "{} files up to position {} in {}",
            manifest.files.len(),
            manifest.head.position,
            args.to.display()
        ));
        out.line("next: keep it apart from this machine, and try `slotbridge restore --verify` on it");
    }
    Ok(Exit::Done)
}

#[derive(Debug, clap::Args)]
pub struct RestoreArgs {
    /// Folder that `backup` wrote.
    from: PathBuf,
    /// Only check that the backup is whole.
    #[arg(long)]
    verify: bool,
    /// Folder to restore into; empty or not there.
    #[arg(required_unless_present = "verify")]
    to: Option<PathBuf>,
}

pub fn restore(args: &RestoreArgs, out: &mut Out) -> Result<Exit, Failed> {
    let Some(to) = args.to.as_ref().filter(|_| !args.verify) else {
        let manifest = ledger::check_backup(&args.from).map_err(|error| failed(&error))?;
        let (files, position) = (manifest.files.len(), manifest.head.position);
        if out.is_json() {
            out.value(&serde_json::json!({ "whole": true, "files": files, "position": position, "made_at": manifest.made_at }));
        } else {
            out.line(&format!("the backup of {} is whole: {files} files up to position {position}", manifest.made_at));
        }
        return Ok(Exit::Done);
    };
    let restored = ledger::restore(&args.from, to).map_err(|error| failed(&error))?;
    if out.is_json() {
        let incarnation = format!("{:016x}", restored.incarnation.0);
        out.value(&serde_json::json!({
            "to": to, "position": restored.head.position, "backup_position": restored.backup.position, "incarnation": incarnation,
        }));
    } else {
        out.line(&format!(
            "restored into {} up to position {}; a new life begins after {}",
            to.display(),
            restored.backup.position,
            restored.head.position
        ));
        out.line(
            "next: set daemon.data_dir to it, put the key folder back, then `slotbridge check` and `slotbridge run`",
        );
    }
    Ok(Exit::Done)
}

pub fn next_step(error: &LedgerError) -> &'static str {
    match error.remedy() {
        Remedy::Operator(hint) => hint,
        Remedy::Stop => "look at the disk, then start again: the ledger is replayed",
    }
}

fn failed(error: &LedgerError) -> Failed {
    Failed::new(Exit::Io, error.code(), error, next_step(error)).because(error)
}
