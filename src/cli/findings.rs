//! `doctor` and `check --connect`: findings as text or JSON.

use std::path::PathBuf;

use super::{Exit, Failed, Out};
use crate::app;
use crate::config::{self, Config};
use crate::legacy::finding::{Finding, Level};
use crate::privacy::Ports;

#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// Configuration file; without one, the program and the machine are looked at.
    #[arg(long, value_name = "FILE", env = "SLOTBRIDGE_CONFIG")]
    config: Option<PathBuf>,
    /// Only what is not in order.
    #[arg(long)]
    quiet: bool,
}

pub fn doctor(args: &DoctorArgs, out: &mut Out) -> Result<Exit, Failed> {
    let by_default = PathBuf::from("slotbridge.toml");
    let file = args.config.clone().or_else(|| by_default.exists().then_some(by_default));
    let loaded = file.map(|file| config::load(&file)).transpose()?;
    let found = app::doctor(loaded.as_ref().map(|loaded| &loaded.config));
    Ok(tell(&found, args.quiet, out))
}

/// Everything of `check`, and then the legacy system itself.
pub fn connect(config: &Config, out: &mut Out) -> Result<Exit, Failed> {
    let compiled = app::compile(&config.mappings.dir, &Ports::default())?;
    // First: a logon that succeeds takes back what is remembered of a refused secret.
    let legacy = app::examine(config, compiled.set());
    let mut found = app::doctor(Some(config));
    found.retain(|finding| !finding.check.starts_with("oracle.client"));
    found.extend(legacy);
    Ok(tell(&found, false, out))
}

fn tell(found: &[Finding], quiet: bool, out: &mut Out) -> Exit {
    let failures = found.iter().filter(|finding| finding.level.is_failure()).count();
    let shown: Vec<&Finding> = found.iter().filter(|finding| !quiet || finding.level != Level::Fine).collect();
    if out.is_json() {
        out.value(&serde_json::json!({ "ok": failures == 0, "failures": failures, "findings": shown }));
    } else {
        for finding in shown {
            out.text(&text(finding));
        }
        out.line(&format!("{} looked at, {failures} not in order", found.len()));
    }
    if failures == 0 { Exit::Done } else { Exit::Config }
}

fn text(finding: &Finding) -> String {
    let mut text = format!("{:<8} {:<24} {}\n", finding.level.word(), finding.check, indented(&finding.found));
    if !finding.cause.is_empty() {
        text.push_str(&format!("{:>33} cause: {}\n", "", indented(&finding.cause)));
    }
    if !finding.fix.is_empty() {
        text.push_str(&format!("{:>33} try:   {}\n", "", indented(&finding.fix)));
    }
    text
}

/// Further lines stand below the first.
fn indented(text: &str) -> String {
    text.lines().collect::<Vec<_>>().join(&format!("\n{:>34}", ""))
}
