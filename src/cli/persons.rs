//! `persons audit`: consent receipts that are set aside for the agency to open.

use clap::Subcommand;

use super::{ConfigFile, Exit, Failed, Out};
use crate::app::{self, Files};
use crate::config;
use crate::domain::{PartnerId, Timestamp};

#[derive(Debug, Subcommand)]
pub enum PersonsCommand {
    /// List the sample of receipts that partners signed themselves: id, partner, time, commitment, as CSV. To open one,
    /// ask the partner for the receipt and its record of the consent: the receipt's salt shows whose it is.
    Audit {
        #[command(flatten)]
        file: ConfigFile,
        /// Of this partner only.
        #[arg(long)]
        partner: Option<PartnerId>,
        /// From then on; RFC 3339.
        #[arg(long, value_name = "INSTANT", value_parser = instant)]
        since: Option<Timestamp>,
    },
}

fn instant(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse_rfc3339(text).map_err(|_| "write it as 2026-11-22T20:00:00+09:00".to_owned())
}

pub fn persons(command: &PersonsCommand, out: &mut Out) -> Result<Exit, Failed> {
    let PersonsCommand::Audit { file, partner, since } = command;
    let files = Files::of(&config::load(&file.config)?.config.daemon.data_dir);
    let is_json = out.is_json();
    if !is_json {
        out.line("receipt,partner,at,commitment");
    }
    app::set_aside(&files.audit, partner.as_ref(), since.unwrap_or_default(), |row| {
        if is_json {
            out.value(&serde_json::to_value(&row).unwrap_or_default());
        } else {
            out.line(&format!("{},{},{},{}", row.receipt, row.partner, row.at, row.commitment));
        }
    })
    .map_err(|error| {
        Failed::new(Exit::Io, "audit_book", &error, "restore audit.sqlite from a backup").because(&error)
    })?;
    Ok(Exit::Done)
}
