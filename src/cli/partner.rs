//! `partner add`: a key for a partner of the mappings, and a line to try it with.

use clap::Subcommand;

use super::{ConfigFile, Exit, Failed, Out};
use crate::app;
use crate::config;
use crate::domain::PartnerId;
use crate::keys::{ApiKeys, KeyFolder};

#[derive(Debug, Subcommand)]
pub enum PartnerCommand {
    /// Make a bearer key for loopback. It is printed once; only its digest is kept. Takes effect at the next start.
    Add {
        #[command(flatten)]
        file: ConfigFile,
        /// Id as in partners.toml.
        partner: PartnerId,
    },
}

pub fn partner(command: &PartnerCommand, out: &mut Out) -> Result<Exit, Failed> {
    let PartnerCommand::Add { file, partner } = command;
    let config = config::load(&file.config)?.config;
    let set = app::load_mappings(&config.mappings.dir)?;
    if set.partner(partner).is_none() {
        let known: Vec<&str> = set.partners().map(PartnerId::as_str).collect();
        let try_ = format!("use one of {}, or write its entry and its mappings first", known.join(", "));
        return Err(Failed::new(Exit::Wrong, "unknown_partner", format!("{partner} is not in partners.toml"), &try_));
    }
    let keys = |error: &dyn std::error::Error| {
        Failed::new(Exit::Config, "keys", "the key could not be made", "correct the files in secrets.key_dir")
            .because(error)
    };
    let folder = KeyFolder::open(&config.secrets.key_dir).map_err(|error| keys(&error))?;
    let mut all = ApiKeys::open(&folder).map_err(|error| keys(&error))?;
    let environment = app::environment(config.daemon.environment);
    let made = all.make(&folder, environment, partner).map_err(|error| keys(&error))?;
    let text = String::from_utf8_lossy(made.text.expose()).into_owned();
    if out.is_json() {
        out.value(&serde_json::json!({ "partner": partner, "key_id": made.id, "key": text }));
    } else {
        out.line(&format!("key {} of {partner}, shown once:\n  {text}\n", made.id));
        if let Some(address) = config.listen.partners_http {
            out.line(&format!("  curl -s -H 'Authorization: Bearer {text}' 'http://{address}/v1/feeds'"));
        }
    }
    Ok(Exit::Done)
}
