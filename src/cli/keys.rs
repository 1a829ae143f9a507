//! `keys`: epochs of person tokens and the copies of their keys.

use std::path::PathBuf;

use clap::Subcommand;
use comfy_table::{Table, presets};
use serde_json::{Value, json};

use super::status::{ask_daemon, plain};
use super::{ConfigFile, Exit, Failed, Out};
use crate::admin::Ask;
use crate::app::Files;
use crate::clock::{Clock, SystemClock};
use crate::config::{self, Config};
use crate::keys::{Destroyed, EpochList, Escrow, EscrowError, KeyError, KeyFolder, epoch_of};

#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Epochs of person tokens, their keys, and the copies that are kept elsewhere.
    List(ConfigFile),
    /// Have the running daemon open the next epoch now; tokens of the open one are accepted while the two overlap.
    Rotate {
        #[command(flatten)]
        file: ConfigFile,
        /// Hours for which tokens of the epoch that gives way are still accepted.
        #[arg(long, default_value_t = 720, value_parser = clap::value_parser!(u32).range(1..=1_488))]
        overlap_hours: u32,
        /// Who does it; goes into the evidence log.
        #[arg(long)]
        by: String,
    },
    /// Have the running daemon destroy the keys of an epoch that gave way: no token of it opens any more.
    Destroy {
        #[command(flatten)]
        file: ConfigFile,
        /// Number of the epoch, as `keys list` shows it.
        epoch: u32,
        /// Who does it; goes into the evidence log.
        #[arg(long)]
        by: String,
    },
    /// Copy the token keys into a new folder, to be kept elsewhere, and list the copy.
    Escrow {
        #[command(flatten)]
        file: ConfigFile,
        /// Folder to write into; must not be there.
        to: PathBuf,
        /// Who keeps it, and where.
        #[arg(long)]
        holder: String,
    },
    /// Note that a copy was destroyed, and who confirms it.
    EscrowDestroyed {
        #[command(flatten)]
        file: ConfigFile,
        /// Number of the copy, as `keys list` shows it.
        copy: u32,
        /// Who confirms it.
        #[arg(long)]
        by: String,
    },
    /// Copy keys back that were lost. A destroyed one is refused. Takes effect at the next start.
    Restore {
        #[command(flatten)]
        file: ConfigFile,
        /// Folder that `keys escrow` wrote.
        from: PathBuf,
    },
}

pub fn keys(command: &KeysCommand, out: &mut Out) -> Result<Exit, Failed> {
    match command {
        KeysCommand::List(file) => list(file, out),
        KeysCommand::Rotate { file, overlap_hours, by } => {
            let value = ask_daemon(file, None, &Ask::Rotate { overlap_h: *overlap_hours, by: by.clone() })?;
            let line = format!("person tokens are made in epoch {} from now on", value["epoch"]);
            say(out, &value, &[line, "next: `slotbridge keys list` shows when the one before closes".to_owned()])
        }
        KeysCommand::Destroy { file, epoch, by } => {
            let value = ask_daemon(file, None, &Ask::DestroyEpoch { epoch: *epoch, by: by.clone() })?;
            let escrow = Escrow::read(&folder(&loaded(file)?)?).map_err(|error| failed(&error))?;
            let mut lines = vec![format!("{} keys of epoch {epoch} are destroyed", value["keys"])];
            lines.extend(escrow.of_epoch(*epoch).map(|copy| {
                format!("still to be destroyed by hand: copy {} of {}, kept by {}", copy.id, copy.made_at, copy.holder)
            }));
            say(out, &value, &lines)
        }
        KeysCommand::Escrow { file, to, holder } => {
            let folder = folder(&loaded(file)?)?;
            let mut escrow = Escrow::read(&folder).map_err(|error| failed(&error))?;
            let copy = escrow.make(&folder, to, holder, SystemClock.now()).map_err(|error| escrow_failed(&error))?;
            let value = json!({ "copy": copy.id, "epochs": copy.epochs, "to": to });
            let line = format!("copy {} holds the keys of {} epoch(s) in {}", copy.id, copy.epochs.len(), to.display());
            say(out, &value, &[line, "next: take it off this machine; whoever has it can open tokens".to_owned()])
        }
        KeysCommand::EscrowDestroyed { file, copy, by } => {
            let folder = folder(&loaded(file)?)?;
            let mut escrow = Escrow::read(&folder).map_err(|error| failed(&error))?;
            escrow.confirm(&folder, *copy, by, SystemClock.now()).map_err(|error| escrow_failed(&error))?;
            say(out, &json!({ "copy": copy, "destroyed_by": by }), &[format!("copy {copy} is noted as destroyed")])
        }
        KeysCommand::Restore { file, from } => {
            let config = loaded(file)?;
            let (folder, files) = (folder(&config)?, Files::of(&config.daemon.data_dir));
            let destroyed = Destroyed::read(&files.destroyed_keys).map_err(|error| failed(&error))?;
            let from = KeyFolder::open(from).map_err(|error| failed(&error))?;
            let back = destroyed.bring_back(&folder, &from).map_err(|error| escrow_failed(&error))?;
            say(out, &json!({ "restored": back }), &[format!("{} key(s) copied back", back.len())])
        }
    }
}

fn say(out: &mut Out, value: &Value, lines: &[String]) -> Result<Exit, Failed> {
    if out.is_json() {
        out.value(value);
    } else {
        lines.iter().for_each(|line| out.line(line));
    }
    Ok(Exit::Done)
}

fn list(file: &ConfigFile, out: &mut Out) -> Result<Exit, Failed> {
    let (folder, now) = (folder(&loaded(file)?)?, SystemClock.now());
    let epochs = EpochList::read(&folder, now).map_err(|error| failed(&error))?;
    let escrow = Escrow::read(&folder).map_err(|error| failed(&error))?;
    let names = folder.names().map_err(|error| failed(&error))?;
    let keys = |number: u32| names.iter().filter(|name| epoch_of(name) == Some(number)).count();
    let epochs: Vec<Value> = epochs
        .epochs()
        .iter()
        .map(|epoch| {
            let mut row = serde_json::to_value(epoch).unwrap_or_default();
            row["standing"] = epoch.standing(now).into();
            row["keys"] = keys(epoch.number).into();
            row["copies"] = escrow.of_epoch(epoch.number).count().into();
            row
        })
        .collect();
    if out.is_json() {
        out.value(&json!({ "epochs": epochs, "copies": escrow.copies() }));
        return Ok(Exit::Done);
    }
    let columns = ["number", "standing", "keys", "copies", "began_at", "closes_at", "destroyed_at"];
    out.line(&table(&columns, &epochs).to_string());
    if !escrow.copies().is_empty() {
        let copies: Vec<Value> =
            escrow.copies().iter().map(|copy| serde_json::to_value(copy).unwrap_or_default()).collect();
        let columns = ["id", "holder", "made_at", "epochs", "destroyed_at", "destroyed_by"];
        out.line(&table(&columns, &copies).to_string());
    }
    Ok(Exit::Done)
}

fn table(columns: &[&str], rows: &[Value]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(columns);
    for row in rows {
        table.add_row(columns.iter().map(|column| plain(&row[*column])));
    }
    table
}

fn loaded(file: &ConfigFile) -> Result<Config, Failed> {
    Ok(config::load(&file.config)?.config)
}

fn folder(config: &Config) -> Result<KeyFolder, Failed> {
    KeyFolder::open(&config.secrets.key_dir).map_err(|error| failed(&error))
}

fn failed(error: &KeyError) -> Failed {
    Failed::new(Exit::Config, error.code(), error, "correct the files in secrets.key_dir").because(error)
}

fn escrow_failed(error: &EscrowError) -> Failed {
    let (exit, code, try_) = match error {
        EscrowError::Key(error) => return failed(error),
        EscrowError::Write { .. } => (Exit::Io, "escrow_write", "name a folder that is not there yet, in one that is"),
        EscrowError::Unknown { .. } => (Exit::Wrong, "unknown_copy", "`slotbridge keys list` shows the copies"),
        EscrowError::Many => (Exit::Wrong, "many_copies", "note which copies are destroyed"),
        EscrowError::Destroyed { .. } => {
            (Exit::Wrong, "key_destroyed", "destroy that copy too, and note it with `keys escrow-destroyed`")
        }
    };
    Failed::new(exit, code, error, try_).because(error)
}
