//! `sql --list`: every statement that the bridge sends to Oracle, for whoever has to allow it.

use std::fmt::Write;

use super::{Exit, Failed, Out};
use crate::legacy::oracle;

#[derive(Debug, clap::Args)]
pub struct SqlArgs {
    /// All statements: id, who sends it, when, text.
    #[arg(long, required = true)]
    list: bool,
}

pub fn sql(args: &SqlArgs, out: &mut Out) -> Result<Exit, Failed> {
    debug_assert!(args.list, "the only thing that it does");
    let entries = oracle::catalogue();
    if out.is_json() {
        let rows = entries.iter().map(|entry| {
            serde_json::json!({
                "id": entry.id(), "who": entry.who.code(), "when": entry.when, "text": entry.statement.text,
            })
        });
        out.value(&rows.collect());
        return Ok(Exit::Done);
    }
    let mut text = String::new();
    for entry in entries {
        // Writing to a String cannot fail.
        let _ = write!(text, "{}\n  who   {}\n  when  {}\n", entry.id(), entry.who.code(), entry.when);
        for line in textwrap(entry.statement.text) {
            let _ = writeln!(text, "    {line}");
        }
        text.push('\n');
    }
    out.text(&text);
    Ok(Exit::Done)
}

/// Lines of at most 110 characters, cut at blanks.
fn textwrap(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_inclusive(' ') {
        match lines.last_mut() {
            Some(line) if line.len() + word.trim_end().len() <= 110 => line.push_str(word),
            _ => lines.push(word.to_owned()),
        }
    }
    lines.iter().map(|line| line.trim_end().to_owned()).collect()
}
