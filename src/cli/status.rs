//! `status`: asks the daemon over its socket.

use std::path::PathBuf;

use comfy_table::{Table, presets};
use serde_json::Value;

use super::{ConfigFile, Exit, Failed, Out};
use crate::{admin, config};

#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    #[command(flatten)]
    file: ConfigFile,
    /// Data folder of the daemon, instead of reading the configuration.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

pub fn status(args: &StatusArgs, out: &mut Out) -> Result<Exit, Failed> {
    let value = ask_daemon(&args.file, args.data_dir.as_ref(), &admin::Ask::Status)?;
    if out.is_json() {
        out.value(&value);
    } else {
        out.text(&tables(&value));
    }
    Ok(Exit::Done)
}

/// Asks the daemon whose data folder the configuration names.
pub fn ask_daemon(file: &ConfigFile, data_dir: Option<&PathBuf>, ask: &admin::Ask) -> Result<Value, Failed> {
    let dir = match data_dir {
        Some(dir) => dir.clone(),
        None => config::load(&file.config)?.config.daemon.data_dir,
    };
    admin::ask(&dir.join(admin::SOCKET), ask).map_err(|error| {
        let (exit, code, try_) = match &error {
            admin::AskFailed::Unreachable { .. } => {
                (Exit::Unreachable, "no_daemon", "start it with `slotbridge run`, or name its folder with --data-dir")
            }
            admin::AskFailed::Garbled { .. } => (Exit::Defect, "garbled", "are both sides the same version?"),
            admin::AskFailed::Refused { .. } => (Exit::Wrong, "refused", "the daemon's log says more"),
        };
        Failed::new(exit, code, error, try_)
    })
}

/// Sections in the daemon's order, staleness first.
fn tables(value: &Value) -> String {
    let mut text = String::new();
    let Value::Object(sections) = value else { return format!("{value}\n") };
    let order =
        ["freshness", "capture", "daemon", "writeback", "desk", "set_aside", "legacy", "feeds", "polls", "decisions"];
    let known = order.iter().filter_map(|name| sections.get(*name).map(|section| (*name, section)));
    let rest = sections.iter().filter(|(name, _)| !order.contains(&name.as_str())).map(|(n, s)| (n.as_str(), s));
    for (name, section) in known.chain(rest) {
        text.push_str(&format!("{name}\n{}\n\n", table(section)));
    }
    text
}

fn table(section: &Value) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    match section {
        Value::Array(rows) => {
            let columns: Vec<String> = match rows.first() {
                Some(Value::Object(row)) => row.keys().cloned().collect(),
                _ => Vec::new(),
            };
            table.set_header(columns.clone());
            for row in rows {
                table.add_row(columns.iter().map(|column| plain(&row[column.as_str()])));
            }
        }
        Value::Object(row) => {
            for (key, value) in row {
                table.add_row([key.clone(), plain(value)]);
            }
        }
        other => {
            table.add_row([plain(other)]);
        }
    }
    table
}

pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn staleness_comes_first() {
        let value = serde_json::json!({
            "daemon": { "position": 12 }, "freshness": { "poll_age_ms": 140 },
            "feeds": [{ "feed": "slots", "lag_ms": 140, "held": null }],
        });
        insta::assert_snapshot!(tables(&value));
    }
}
