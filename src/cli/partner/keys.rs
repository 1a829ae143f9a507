//! `partner add` and `partner list`: bearer keys of the mappings' partners, and a line to try one with.

use serde_json::json;

use super::{ConfigFile, Exit, Failed, Out};
use crate::app;
use crate::config;
use crate::domain::PartnerId;
use crate::keys::{ApiKeys, KeyFolder};

fn failed(error: &dyn std::error::Error) -> Failed {
    Failed::new(Exit::Config, "keys", "the keys cannot be used", "correct the files in secrets.key_dir").because(error)
}

pub fn add(file: &ConfigFile, partner: &PartnerId, out: &mut Out) -> Result<Exit, Failed> {
    let config = config::load(&file.config)?.config;
    let set = app::load_mappings(&config.mappings.dir)?;
    if set.partner(partner).is_none() {
        let known: Vec<&str> = set.partners().map(PartnerId::as_str).collect();
        let try_ = format!("use one of {}, or write its entry and its mappings first", known.join(", "));
        return Err(Failed::new(Exit::Wrong, "unknown_partner", format!("{partner} is not in partners.toml"), &try_));
    }
    let folder = KeyFolder::open(&config.secrets.key_dir).map_err(|error| failed(&error))?;
    let mut all = ApiKeys::open(&folder).map_err(|error| failed(&error))?;
    let environment = app::environment(config.daemon.environment);
    let made = all.make(&folder, environment, partner).map_err(|error| failed(&error))?;
    let text = String::from_utf8_lossy(made.text.expose()).into_owned();
    if out.is_json() {
        out.value(&json!({ "partner": partner, "key_id": made.id, "key": text }));
    } else {
        out.line(&format!("key {} of {partner}, shown once:\n  {text}\n", made.id));
        if let Some(address) = config.listen.partners_http {
            out.line(&format!("  curl -s -H 'Authorization: Bearer {text}' 'http://{address}/v1/feeds'"));
        }
    }
    Ok(Exit::Done)
}

pub fn list(file: &ConfigFile, out: &mut Out) -> Result<Exit, Failed> {
    let config = config::load(&file.config)?.config;
    let set = app::load_mappings(&config.mappings.dir)?;
    let folder = KeyFolder::open(&config.secrets.key_dir).map_err(|error| failed(&error))?;
    let keys = ApiKeys::open(&folder).map_err(|error| failed(&error))?;
    let ids = |partner: &PartnerId| -> Vec<&str> {
        keys.iter().filter(|key| key.partner == *partner).map(|key| key.id.as_str()).collect()
    };
    if out.is_json() {
        let all: Vec<_> = set.partners().map(|id| json!({ "partner": id, "key_ids": ids(id) })).collect();
        out.value(&json!({ "partners": all }));
        return Ok(Exit::Done);
    }
    for partner in set.partners() {
        let ids = ids(partner);
        out.line(&format!("{partner:<16} {}", if ids.is_empty() { "no bearer key".into() } else { ids.join(", ") }));
    }
    Ok(Exit::Done)
}
