//! `feed`: an operator's word about a feed that the bridge has stopped by itself.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::status::ask_daemon;
use super::{ConfigFile, Exit, Failed, Out};
use crate::admin::Ask;
use crate::domain::PartnerId;

#[derive(Debug, Subcommand)]
pub enum FeedCommand {
    /// The rows are right: publish a feed that is held for a row jump (L804). As much again is asked about again.
    Confirm(Which),
    /// Build a feed again that a guard stopped (L801 to L803), once the cause is mended; what still must not leave stops it
    /// again.
    Retry(Which),
}

/// `status` names held feeds and why.
#[derive(Debug, Args)]
pub struct Which {
    #[command(flatten)]
    file: ConfigFile,
    /// Data folder of the daemon, instead of reading the configuration.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    partner: PartnerId,
    /// sites, slots, eligibility or bookings.
    feed: String,
}

pub fn feed(command: &FeedCommand, out: &mut Out) -> Result<Exit, Failed> {
    let (FeedCommand::Confirm(which) | FeedCommand::Retry(which)) = command;
    let (partner, feed) = (which.partner.clone(), which.feed.clone());
    let ask = match command {
        FeedCommand::Confirm(_) => Ask::ConfirmRows { partner, feed },
        FeedCommand::Retry(_) => Ask::RetryFeed { partner, feed },
    };
    let value = ask_daemon(&which.file, which.data_dir.as_ref(), &ask)?;
    let Which { partner, feed, .. } = which;
    match command {
        _ if out.is_json() => out.value(&value),
        FeedCommand::Confirm(_) => {
            let (before, after) = (&value["rows_before"], &value["rows_after"]);
            out.text(&format!(
                "{partner} {feed}: {before} rows before, {after} now, confirmed; published with the next build\n"
            ));
        }
        FeedCommand::Retry(_) => {
            out.text(&format!("{partner} {feed}: built again now; `slotbridge status` says whether it went through\n"))
        }
    }
    Ok(Exit::Done)
}
