//! `mappings`: what may leave, judged, compared, shown, signed. A file a group of commands.

mod approve;
mod diff;
mod digest;
mod export;
mod lint;
pub(super) mod over;
mod seen;
pub(super) mod show;
mod verify;

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::{Exit, Failed, Out};
use crate::app;
use crate::approval::Roster;
use crate::mapping::MappingSet;

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
    /// Write a bundle for an officer's own machine: what is to be signed, and everything signed before.
    Export(export::ExportArgs),
    /// Read the exact text about a mapping, the policy or the roster, and sign it.
    Approve(approve::ApproveArgs),
    /// 제공 중지: stop a mapping at once; one officer is enough.
    Stop(approve::StopArgs),
    /// Put notes that officers sent back into the folder.
    Import(export::ImportArgs),
    /// Check every signature and every signed text of a folder; where each mapping stands, by whom, until when.
    Verify(verify::VerifyArgs),
    /// Judge a folder by every rule: findings with their place, in Korean and English.
    Lint(lint::LintArgs),
    /// List the rules of the linter.
    Rules(lint::RulesArgs),
    /// Put files into their normal form: NFC, LF, no blanks at the ends of lines. Words and order stay.
    Fmt(lint::FmtArgs),
}

/// The folder's mappings under the roster that stands in `officers.toml`, so that digests are those that an approval
/// names. Whether that roster is in force is not looked at: `verify` does.
pub(super) fn loaded(dir: &Path) -> Result<MappingSet, Failed> {
    let files = app::read_mappings(dir)?;
    let text = files.get("officers.toml").and_then(|bytes| std::str::from_utf8(bytes).ok());
    let roster: Option<Roster> = text.and_then(|text| toml::from_str(text).ok());
    Ok(app::judge_mappings(dir, &files)?.with_roster(roster.map(|roster| roster.digest())))
}

pub fn mappings(command: &MappingsCommand, out: &mut Out) -> Result<Exit, Failed> {
    match command {
        MappingsCommand::Digest(args) => digest::digest(args, out),
        MappingsCommand::Diff(args) => diff::diff(args, out),
        MappingsCommand::Show(args) => show::show(args, out),
        MappingsCommand::Sample(args) => show::sample(args, out),
        MappingsCommand::Export(args) => export::export(args, out),
        MappingsCommand::Approve(args) => approve::approve(args, out),
        MappingsCommand::Stop(args) => approve::stop(args, out),
        MappingsCommand::Import(args) => export::import(args, out),
        MappingsCommand::Verify(args) => verify::verify(args, out),
        MappingsCommand::Lint(args) => lint::lint(args, out),
        MappingsCommand::Rules(args) => lint::list(args, out),
        MappingsCommand::Fmt(args) => lint::fmt(args, out),
    }
}
