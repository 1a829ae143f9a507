//! `conflicts`: what an operator must know of bookings and units, and the order to drive a displaced booking again.

use std::path::PathBuf;

use clap::Subcommand;
use comfy_table::{Table, presets};
use serde_json::Value;

use super::status::{ask_daemon, plain};
use super::{ConfigFile, Exit, Failed, Out};
use crate::admin::Ask;
use crate::domain::BookingId;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct ConflictsArgs {
    #[command(flatten)]
    daemon: WhichDaemon,
    #[command(subcommand)]
    command: Option<ConflictsCommand>,
}

#[derive(Debug, clap::Args)]
struct WhichDaemon {
    #[command(flatten)]
    file: ConfigFile,
    /// Data folder of the daemon, instead of reading the configuration.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum ConflictsCommand {
    /// Send a booking to the legacy system once more that a rule of it refused, if person and place are free.
    Redrive {
        #[command(flatten)]
        daemon: WhichDaemon,
        /// The booking, as `slotbridge conflicts` lists it: b-….
        booking: BookingId,
    },
}

pub fn conflicts(args: &ConflictsArgs, out: &mut Out) -> Result<Exit, Failed> {
    match &args.command {
        None => list(&args.daemon, out),
        Some(ConflictsCommand::Redrive { daemon, booking }) => {
            let ask = Ask::Redrive { booking: *booking };
            let value = ask_daemon(&daemon.file, daemon.data_dir.as_ref(), &ask)?;
            if out.is_json() {
                out.value(&value);
            } else {
                out.line(&format!("booking {booking} is sent again; `slotbridge conflicts` lists it if it is refused"));
            }
            Ok(Exit::Done)
        }
    }
}

fn list(daemon: &WhichDaemon, out: &mut Out) -> Result<Exit, Failed> {
    let value = ask_daemon(&daemon.file, daemon.data_dir.as_ref(), &Ask::Conflicts)?;
    if out.is_json() {
        out.value(&value);
        return Ok(Exit::Done);
    }
    let rows = value["conflicts"].as_array().map(Vec::as_slice).unwrap_or_default();
    if rows.is_empty() {
        out.line("no conflicts");
    } else {
        out.line(&table(rows).to_string());
    }
    Ok(Exit::Done)
}

fn table(rows: &[Value]) -> Table {
    let columns = ["at", "kind", "reason", "units", "slot", "booking", "to_do"];
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(columns);
    for row in rows {
        table.add_row(columns.map(|column| plain(&row[column])));
    }
    table
}
