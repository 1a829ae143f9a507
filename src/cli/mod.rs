//! Commands, a file a group. Parses, calls, prints; rules live elsewhere.
//!
//! Invariants: exit codes are stable (`Exit`); output survives a closed pipe; no escape sequences when not a terminal;
//! an error has a stable code, a cause and a next step.

mod allotment;
mod capture;
mod check;
mod config;
mod conflicts;
mod demo;
mod docs;
mod evidence;
mod feed;
mod findings;
mod init;
mod keys;
mod ledger;
mod legacy;
mod mappings;
mod officer;
mod out;
mod partner;
mod passphrase;
mod persons;
mod plans;
mod reload;
mod run;
mod shipped;
mod shipped_approvals;
#[cfg(feature = "oracle")]
mod sql;
mod status;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

pub use out::{Failed, Out};
pub use shipped::MAPPINGS;
pub use shipped_approvals::APPROVALS;

/// Lets private platforms take bookings for a public system that cannot take the load itself.
#[derive(Debug, Parser)]
#[command(name = "slotbridge", version, after_help = EXITS, max_term_width = 110)]
struct Cli {
    /// Print JSON instead of text.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

const EXITS: &str = "Exit codes:
  0   done
  1   what was looked at is wrong (a verdict, a broken ledger, a refused command)
  2   the command line is wrong, or mappings cannot be read
  69  no daemon answers
  70  a defect of slotbridge
  73  something is there already and is not overwritten
  74  reading or writing failed
  75  the data folder is in use
  78  the configuration is wrong";

/// Stable exit codes; the numbers of sysexits.h where one fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Done = 0,
    Wrong = 1,
    /// Of `mappings lint`: not everything could be read. The same number as a wrong command line has.
    Unreadable = 2,
    Unreachable = 69,
    Defect = 70,
    Exists = 73,
    Io = 74,
    Busy = 75,
    Config = 78,
}

/// Which configuration file.
#[derive(Debug, Clone, clap::Args)]
pub struct ConfigFile {
    /// Configuration file.
    #[arg(long, value_name = "FILE", default_value = "slotbridge.toml", env = "SLOTBRIDGE_CONFIG")]
    config: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everything at once on an example legacy system: feeds, two partners that book, a native counter, a verdict.
    Demo(demo::DemoArgs),
    /// Write a commented configuration, mappings, a development CA and a unit file into DIR; overwrites nothing.
    Init(init::InitArgs),
    /// Judge configuration and mappings, then the environment: all problems at once.
    Check(check::CheckArgs),
    /// Versions, clock, certificates, permissions, disk, Oracle client: each with its fix.
    Doctor(findings::DoctorArgs),
    /// The daemon. SIGTERM and SIGINT stop it within 5 s, SIGHUP reloads.
    Run(ConfigFile),
    /// Have the running daemon take over configuration and mappings, all of it or nothing; SIGHUP does the same.
    Reload(reload::ReloadArgs),
    /// How the running daemon is doing; staleness first.
    Status(status::StatusArgs),
    /// Show the configuration in force, or what every key means.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Where units come from: modes in use, and proofs that they keep native selling out.
    #[command(subcommand)]
    Allotment(allotment::AllotmentCommand),
    /// What is read of the legacy system.
    #[command(subcommand)]
    Capture(capture::CaptureCommand),
    /// A feed that the bridge has stopped by itself: say that its rows are right, or try again.
    #[command(subcommand)]
    Feed(feed::FeedCommand),
    /// What an operator must know: bookings that were displaced, slots over-run, units lost; with what to do.
    Conflicts(conflicts::ConflictsArgs),
    /// The ledger: check it, read it, shorten the next start.
    #[command(subcommand)]
    Ledger(ledger::LedgerCommand),
    /// The evidence log: check it, sign its head, print registers and the access log.
    #[command(subcommand)]
    Evidence(evidence::EvidenceCommand),
    /// Copy ledger, register and evidence, also beside a running daemon.
    Backup(ledger::BackupArgs),
    /// Check a backup, or begin a new life from it.
    Restore(ledger::RestoreArgs),
    /// The example legacy system.
    #[command(subcommand)]
    Legacy(legacy::LegacyCommand),
    /// What may leave, and as what: judge, compare, show and approve mappings.
    #[command(subcommand)]
    Mappings(mappings::MappingsCommand),
    /// Officers' keys, and the roster of who may sign.
    #[command(subcommand)]
    Officer(officer::OfficerCommand),
    /// Write one page that shows the way of every column: its class, how it is transformed, to whom it goes.
    Docs(docs::DocsArgs),
    /// Epochs of person tokens: list, rotate, destroy; copies of their keys.
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Persons, without naming any.
    #[command(subcommand)]
    Persons(persons::PersonsCommand),
    /// Partners' keys; and a partner's side of the API: pull feeds, get tokens, book.
    #[command(subcommand)]
    Partner(partner::PartnerCommand),
    /// The SQL that the bridge sends to Oracle.
    #[cfg(feature = "oracle")]
    Sql(sql::SqlArgs),
    /// Print the OpenAPI 3.1 document of the partner API.
    Openapi,
    /// Print completions for a shell.
    Completions { shell: clap_complete::Shell },
}

/// Parses the command line and does it.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = u8::try_from(error.exit_code()).unwrap_or(2);
            // A closed pipe under `--help` is not worth a word.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let mut out = Out::new(cli.json);
    let done = run(cli.command, &mut out);
    let exit = match done {
        Ok(exit) => exit,
        Err(failed) => {
            out.failed(&failed);
            failed.exit
        }
    };
    ExitCode::from(exit as u8)
}

fn run(command: Command, out: &mut Out) -> Result<Exit, Failed> {
    match command {
        Command::Demo(args) => demo::demo(args, out),
        Command::Run(args) => run::run(&args, out),
        Command::Init(args) => init::init(&args, out),
        Command::Doctor(args) => findings::doctor(&args, out),
        Command::Check(args) => check::check(&args, out),
        Command::Reload(args) => reload::reload(&args, out),
        Command::Status(args) => status::status(&args, out),
        Command::Config(command) => config::config(&command, out),
        Command::Allotment(command) => allotment::allotment(&command, out),
        Command::Capture(command) => capture::capture(&command, out),
        Command::Feed(command) => feed::feed(&command, out),
        Command::Conflicts(args) => conflicts::conflicts(&args, out),
        Command::Ledger(command) => ledger::ledger(&command, out),
        Command::Evidence(command) => evidence::evidence(&command, out),
        Command::Backup(args) => ledger::backup(&args, out),
        Command::Restore(args) => ledger::restore(&args, out),
        Command::Legacy(command) => legacy::legacy(&command, out),
        Command::Mappings(command) => mappings::mappings(&command, out),
        Command::Officer(command) => officer::officer(&command, out),
        Command::Docs(args) => docs::docs(&args, out),
        Command::Keys(command) => keys::keys(&command, out),
        Command::Persons(command) => persons::persons(&command, out),
        Command::Partner(command) => partner::partner(command, out),
        #[cfg(feature = "oracle")]
        Command::Sql(args) => sql::sql(&args, out),
        Command::Openapi => {
            out.text(&crate::serve::openapi_json());
            Ok(Exit::Done)
        }
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "slotbridge", &mut text);
            out.text(&String::from_utf8_lossy(&text));
            Ok(Exit::Done)
        }
    }
}
