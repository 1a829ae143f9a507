//! `ledger verify|export|snapshot`, `backup`, `restore`.

use std::io::Write;
use std::path::PathBuf;

use clap::Subcommand;

use super::status::ask_daemon;
use super::{ConfigFile, Exit, Failed, Out};
use crate::admin::Ask;
use crate::app::{self, Files, Proofs, UnappliedFailed};
use crate::clock::{Clock, SystemClock};
use crate::config;
use crate::domain::Position;
use crate::keys::{Destroyed, KeyError, KeyFolder};
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
        #[arg(long, default_value_t = 0, conflicts_with = "unapplied")]
        after: u64,
        /// Instead: how many bookings a slot were acknowledged and are not in the legacy system yet, as CSV for script
        /// 94. Works on the folder of a daemon that will not start.
        #[arg(long)]
        unapplied: bool,
    },
    /// Have write-back run ops again that it set aside, once their cause is mended.
    Retry {
        #[command(flatten)]
        data: DataDir,
        /// Numbers of the ops, as `status` lists them.
        #[arg(required = true, num_args = 1..=100)]
        ops: Vec<u64>,
    },
    /// Say what became of an op that was set aside and must not run again.
    #[command(group = clap::ArgGroup::new("outcome").required(true))]
    Settle {
        #[command(flatten)]
        data: DataDir,
        /// Number of the op, as `status` lists it.
        op: u64,
        /// RESULT of its row in SB_APPLIED, such as "converted R0000000001".
        #[arg(long, value_name = "TEXT", group = "outcome")]
        result: Option<String>,
        /// SB_APPLIED has no row of its id: it was never applied, and never will be.
        #[arg(long, group = "outcome")]
        not_applied: bool,
    },
    /// Have the running daemon write a snapshot, which shortens its next start.
    Snapshot(DataDir),
}

pub fn ledger(command: &LedgerCommand, out: &mut Out) -> Result<Exit, Failed> {
    match command {
        LedgerCommand::Verify(data) => verify(data, out),
        LedgerCommand::Export { data, unapplied: true, .. } => unapplied(data, out),
        LedgerCommand::Retry { data, ops } => {
            let ops = ops.iter().map(|op| Position(*op)).collect();
            ordered(data, &Ask::Retry { ops }, out)
        }
        LedgerCommand::Settle { data, op, result, .. } => {
            ordered(data, &Ask::Settle { op: Position(*op), result: result.clone() }, out)
        }
        LedgerCommand::Export { data, after, .. } => {
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

fn ordered(data: &DataDir, ask: &Ask, out: &mut Out) -> Result<Exit, Failed> {
    let value = ask_daemon(&data.file, data.data_dir.as_ref(), ask)?;
    if out.is_json() {
        out.value(&value);
    } else {
        out.line("ordered; `slotbridge status` shows what comes of it");
    }
    Ok(Exit::Done)
}

/// A line a slot, then one with what the whole must add up to.
fn unapplied(data: &DataDir, out: &mut Out) -> Result<Exit, Failed> {
    let left = app::unapplied(&data.files()?).map_err(|error| match &error {
        UnappliedFailed::Ledger(error) => failed(error),
        UnappliedFailed::Replay(_) => {
            let try_ = "`slotbridge ledger verify` names the damage; restore from a backup";
            Failed::new(Exit::Io, "ledger_replay", &error, try_).because(&error)
        }
    })?;
    if out.is_json() {
        let slots: Vec<_> =
            left.slots.iter().map(|(slot, units)| serde_json::json!({ "slot_id": slot, "units": units })).collect();
        out.value(&serde_json::json!({
            "slots": slots, "position": left.position,
            "heartbeat": { "position": left.position, "unapplied": left.unapplied, "free_units": left.free_units },
        }));
        return Ok(Exit::Done);
    }
    let mut text = String::from("slot_id,units\n");
    for (slot, units) in &left.slots {
        text.push_str(&format!("{slot},{units}\n"));
    }
    let sum: u64 = left.slots.iter().map(|(_, units)| u64::from(*units)).sum();
    let (position, unapplied, free) = (left.position, left.unapplied, left.free_units);
    // SQL*Loader reads the first two fields of the last line; the rest is for whoever compares it with SB_HEARTBEAT.
    text.push_str(&format!("*,{sum},position={position},unapplied={unapplied},free_units={free}\n"));
    out.text(&text);
    Ok(Exit::Done)
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

/// Copies ledger, register, evidence and proofs of modes, also beside a running daemon. Keys and personal data stay behind: token keys
/// are backed up apart, and mirror and feeds are rebuilt.
pub fn backup(args: &BackupArgs, out: &mut Out) -> Result<Exit, Failed> {
    let files = args.data.files()?;
    let mut also = vec!["register.sqlite", "evidence.sqlite"];
    // Made by `allotment prove`, where the mode wants it: without it a restored bridge would not start.
    if files.dir.join(Proofs::FILE).exists() {
        also.push(Proofs::FILE);
    }
    // Receipts set aside for audit, and what a restored bridge must not bring back.
    let optional = [(&files.audit, "audit.sqlite"), (&files.destroyed_keys, Destroyed::FILE)];
    also.extend(optional.iter().filter(|(path, _)| path.exists()).map(|(_, name)| *name));
    let what = ledger::Backup { data_dir: &files.dir, also: &also, to: &args.to };
    let now = SystemClock.now();
    let manifest = ledger::backup(&what, now).map_err(|error| failed(&error))?;
    // Old answers in the legacy system are forgotten only from a backup on.
    files.note_backup(now).map_err(|error| Failed::io(format!("{}", files.backed_up.display()), &error))?;
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
    /// The key folder that it will run with: refused if it holds a key that was destroyed before the backup.
    #[arg(long, value_name = "DIR")]
    key_dir: Option<PathBuf>,
}

pub fn restore(args: &RestoreArgs, out: &mut Out) -> Result<Exit, Failed> {
    if let Some(dir) = &args.key_dir {
        let keys = |error: &KeyError| {
            let try_ = "take the key away: what was destroyed stays destroyed";
            Failed::new(Exit::Wrong, error.code(), error, try_).because(error)
        };
        let destroyed = Destroyed::read(&args.from.join(Destroyed::FILE)).map_err(|error| keys(&error))?;
        KeyFolder::open(dir).and_then(|folder| destroyed.refuse(&folder)).map_err(|error| keys(&error))?;
    }
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
