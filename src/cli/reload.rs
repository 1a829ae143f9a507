//! `reload`: the running daemon takes over configuration and mappings, or says why it does not.

use std::path::PathBuf;

use serde_json::Value;

use super::status::{ask_daemon, plain};
use super::{ConfigFile, Exit, Failed, Out};
use crate::admin::Ask;

#[derive(Debug, clap::Args)]
pub struct ReloadArgs {
    #[command(flatten)]
    file: ConfigFile,
    /// Data folder of the daemon, instead of reading the configuration.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

pub fn reload(args: &ReloadArgs, out: &mut Out) -> Result<Exit, Failed> {
    let value = ask_daemon(&args.file, args.data_dir.as_ref(), &Ask::Reload)?;
    if out.is_json() {
        out.value(&value);
    } else {
        out.text(&told(&value));
    }
    Ok(Exit::Done)
}

/// A line a mapping that changed or waits, then what else there is to know.
fn told(value: &Value) -> String {
    let mut text = String::new();
    for mapping in rows(value, "mappings") {
        let of = |name: &str| plain(&mapping[name]);
        text.push_str(&format!("{:<20} {:<10} {} -> {}", of("mapping"), of("verdict"), of("from"), of("to")));
        match mapping["why"].as_str() {
            Some(why) => text.push_str(&format!("  ({why})\n")),
            None => text.push('\n'),
        }
    }
    if text.is_empty() {
        text.push_str("no mapping changed\n");
    }
    for remark in rows(value, "remarks") {
        text.push_str(&format!("{}\n", plain(remark)));
    }
    for key in rows(value, "in_effect") {
        text.push_str(&format!("{} is in effect\n", plain(key)));
    }
    for key in rows(value, "need_restart") {
        text.push_str(&format!("{} changed and needs a restart\n", plain(key)));
    }
    let of = |name: &str| plain(&value[name]);
    text.push_str(&format!("{} feeds were made, {} items changed\n", of("feeds_made"), of("items_changed")));
    text
}

fn rows<'a>(value: &'a Value, name: &str) -> std::slice::Iter<'a, Value> {
    value[name].as_array().map_or([].iter(), |rows| rows.iter())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_comes_first_and_a_restart_is_named() {
        let value = serde_json::json!({
            "mappings": [
                { "mapping": "naver.slots", "verdict": "wider", "from": "0123456789ab", "to": "ba9876543210", "why": null },
                { "mapping": "kakao.slots", "verdict": "waiting", "from": null, "to": null, "why": "1 of 2 signatures" },
            ],
            "remarks": [], "in_effect": ["daemon.help_url"], "need_restart": ["desk.cutoff_min"],
            "feeds_made": 1, "items_changed": 200, "numbers_reserved": 200,
        });
        insta::assert_snapshot!(told(&value));
    }
}
