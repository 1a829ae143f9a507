//! `config show`, `config reference`.

use clap::Subcommand;

use super::{ConfigFile, Exit, Failed, Out};
use crate::config;

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// The configuration in force, defaults and environment included. It names secret files and holds no secret.
    Show(ConfigFile),
    /// Every key with its default and what it means, as Markdown.
    Reference,
}

pub fn config(command: &ConfigCommand, out: &mut Out) -> Result<Exit, Failed> {
    match command {
        ConfigCommand::Show(file) => {
            let loaded = config::load(&file.config)?;
            if out.is_json() {
                let value = serde_json::to_value(&loaded.config).map_err(|error| defect(&error))?;
                out.value(&value);
            } else {
                let text = toml::to_string(&loaded.config).map_err(|error| defect(&error))?;
                out.text(&format!("# {} with defaults and environment\n{text}", loaded.file.display()));
            }
        }
        ConfigCommand::Reference => out.text(&config::reference()),
    }
    Ok(Exit::Done)
}

fn defect(error: &dyn std::error::Error) -> Failed {
    Failed::new(Exit::Defect, "defect", "the configuration could not be shown", "report it").because(error)
}
