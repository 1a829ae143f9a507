//! `mappings`: what may leave, judged, compared, shown, signed. A file a group of commands.

mod diff;
mod digest;
mod lint;
mod risk;
pub(super) mod show;

use std::path::PathBuf;

use clap::Subcommand;

use super::{Exit, Failed, Out};

/// Which folder.
#[derive(Debug, Clone, clap::Args)]
pub struct Folder {
    /// Mappings folder.
    #[arg(long, value_name = "DIR", default_value = "mappings", env = "SLOTBRIDGE_MAPPINGS_DIR")]
    pub(super) dir: PathBuf,
}

#[derive(Debug, Subcommand)]
pub enum MappingsCommand {
    /// Print the digest of every mapping: the number that an approval names.
    Digest(digest::DigestArgs),
    /// Compare two versions: 확대, 축소 or 동일, part by part.
    Diff(diff::DiffArgs),
    /// Show a mapping as an officer reads it: what leaves, to whom, why, for how long, what stays, what can go wrong.
    Show(show::ShowArgs),
    /// Show made-up rows before and after the mapping.
    Sample(show::SampleArgs),
    /// Judge a folder by every rule: findings with their place, in Korean and English.
    Lint(lint::LintArgs),
    /// Count what the legacy system's rows, put through the mappings, let others infer: group sizes, reasons behind
    /// labels, small slots. Reads only.
    Risk(risk::RiskArgs),
    /// List the rules of the linter.
    Rules(lint::RulesArgs),
    /// Put files into their normal form: NFC, LF, no blanks at the ends of lines. Words and order stay.
    Fmt(lint::FmtArgs),
}

pub fn mappings(command: &MappingsCommand, out: &mut Out) -> Result<Exit, Failed> {
    match command {
        MappingsCommand::Digest(args) => digest::digest(args, out),
        MappingsCommand::Diff(args) => diff::diff(args, out),
        MappingsCommand::Show(args) => show::show(args, out),
        MappingsCommand::Sample(args) => show::sample(args, out),
        MappingsCommand::Lint(args) => lint::lint(args, out),
        MappingsCommand::Risk(args) => risk::risk(args, out),
        MappingsCommand::Rules(args) => lint::list(args, out),
        MappingsCommand::Fmt(args) => lint::fmt(args, out),
    }
}
