//! `mappings lint`, `mappings rules`, `mappings fmt`.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::app;
use crate::cli::{Exit, Failed, Out};
use crate::lint::risk::RISK_BYTES_MAX;
use crate::lint::{Beside, Report, RiskReports, lint as judge, normal_form, render, rules};
use crate::mapping_files::read_folder;

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people, with the source underlined.
    Text,
    Json,
    /// SARIF 2.1.0, as code hosts and editors read it.
    Sarif,
}

/// Exits with 1 if anything denies, with 2 if not everything could be read.
#[derive(Debug, clap::Args)]
pub struct LintArgs {
    /// Mappings folder.
    #[arg(value_name = "DIR", default_value = "mappings", env = "SLOTBRIDGE_MAPPINGS_DIR")]
    dir: PathBuf,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Risk reports (JSON) of the feeds with persons in them; without them, rules that need a measurement are not judged.
    #[arg(long, value_name = "FILE")]
    risk: Option<PathBuf>,
}

pub fn lint(args: &LintArgs, out: &mut Out) -> Result<Exit, Failed> {
    let files = read(&args.dir)?;
    let risk = args.risk.as_deref().map(risk).transpose()?;
    let report = judge(&files, Beside { risk: risk.as_ref(), standings: None, today: app::today() });
    match args.format {
        Format::Sarif => out.value(&render::sarif(&report)),
        Format::Json => out.value(&render::json(&report)),
        Format::Text if out.is_json() => out.value(&render::json(&report)),
        Format::Text => out.text(&render::text(&report, out.is_terminal())),
    }
    Ok(exit(&report))
}

fn exit(report: &Report) -> Exit {
    if report.is_incomplete {
        Exit::Unreadable
    } else if report.denials > 0 {
        Exit::Wrong
    } else {
        Exit::Done
    }
}

fn read(dir: &Path) -> Result<BTreeMap<String, Vec<u8>>, Failed> {
    read_folder(dir).map_err(|error| {
        let try_ = "name a folder of plain files: `slotbridge init DIR` writes the shipped mappings";
        Failed::new(Exit::Unreadable, "mappings.unreadable", "the mappings cannot be read", try_).because(&error)
    })
}

fn risk(file: &Path) -> Result<RiskReports, Failed> {
    let bad = |cause: String| {
        let message = format!("{} is no risk report: {cause}", file.display());
        Failed::new(Exit::Unreadable, "mappings.risk", message, "`slotbridge mappings risk` writes one")
    };
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).map_err(|error| bad(error.to_string()))?;
    let most = u64::try_from(RISK_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    opened.take(most).read_to_end(&mut bytes).map_err(|error| bad(error.to_string()))?;
    RiskReports::parse(&bytes).map_err(bad)
}

#[derive(Debug, clap::Args)]
pub struct RulesArgs {
    /// As mappings/RULES.md holds them, with reasons and citations.
    #[arg(long)]
    markdown: bool,
}

pub fn list(args: &RulesArgs, out: &mut Out) -> Result<Exit, Failed> {
    if out.is_json() {
        out.value(&json!({ "rules": rules::rules().map(render::rule_json).collect::<Vec<_>>() }));
    } else if args.markdown {
        out.text(&rules::markdown());
    } else {
        for rule in rules::rules() {
            let severity = rules::severity_code(rule.floor);
            out.line(&format!("{} {severity} {:<11} {}", rule.id, rule.needs.code(), rule.en.what));
            out.line(&format!("{:22} {}", "", rule.ko.what));
        }
    }
    Ok(Exit::Done)
}

#[derive(Debug, clap::Args)]
pub struct FmtArgs {
    /// Mappings folder.
    #[arg(value_name = "DIR", default_value = "mappings", env = "SLOTBRIDGE_MAPPINGS_DIR")]
    dir: PathBuf,
    /// Change nothing; exit with 1 if a file is not in normal form.
    #[arg(long)]
    check: bool,
}

pub fn fmt(args: &FmtArgs, out: &mut Out) -> Result<Exit, Failed> {
    let mut changed = Vec::new();
    for (name, bytes) in read(&args.dir)?.iter().filter(|(name, _)| !name.starts_with("approvals/")) {
        let Ok(text) = std::str::from_utf8(bytes) else {
            let message = format!("{name} is not UTF-8");
            return Err(Failed::new(Exit::Unreadable, "mappings.not_utf8", message, "save it as UTF-8"));
        };
        let normal = normal_form(text);
        if normal == text {
            continue;
        }
        if !args.check {
            write(&args.dir.join(name), &normal)?;
        }
        changed.push(name.clone());
    }
    if out.is_json() {
        out.value(&json!({ "changed": changed, "written": !args.check }));
    } else {
        changed.iter().for_each(|name| out.line(name));
    }
    Ok(if args.check && !changed.is_empty() { Exit::Wrong } else { Exit::Done })
}

/// Whole or not at all.
fn write(path: &Path, text: &str) -> Result<(), Failed> {
    let beside = path.with_extension("part");
    let failed = |error: std::io::Error| Failed::io(format!("{} cannot be written", path.display()), &error);
    std::fs::write(&beside, text).map_err(failed)?;
    std::fs::rename(&beside, path).map_err(failed)
}
