//! `capture confirm`: an operator says that rows are really gone.

use std::path::PathBuf;

use clap::Subcommand;

use super::status::ask_daemon;
use super::{ConfigFile, Exit, Failed, Out};
use crate::admin::Ask;
use crate::domain::ObjectName;

#[derive(Debug, Subcommand)]
pub enum CaptureCommand {
    /// Believe a refused cut (`status` names its object) and read again at once. A larger loss is refused again.
    Confirm {
        #[command(flatten)]
        file: ConfigFile,
        /// Data folder of the daemon, instead of reading the configuration.
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
        /// Object of the catalogue: slot, site, person, …
        object: ObjectName,
    },
}

pub fn capture(command: &CaptureCommand, out: &mut Out) -> Result<Exit, Failed> {
    let CaptureCommand::Confirm { file, data_dir, object } = command;
    let value = ask_daemon(file, data_dir.as_ref(), &Ask::Confirm { object: object.clone() })?;
    if out.is_json() {
        out.value(&value);
    } else {
        let of = |name: &str| value[name].to_string();
        let (lost, known) = (of("lost_rows"), of("known_rows"));
        out.text(&format!("{object}: the end of {lost} of {known} known rows is confirmed; they are read again now\n"));
    }
    Ok(Exit::Done)
}
