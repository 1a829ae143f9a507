//! `check`: everything that can be judged before a start, all problems at once.

use std::path::{Path, PathBuf};

use super::{ConfigFile, Exit, Failed, Out, findings, plans};
use crate::app;
use crate::config::{self, Config, LegacyKind, Problem, Problems};
use crate::privacy::Ports;

#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    #[command(flatten)]
    file: ConfigFile,
    /// Judge files only; do not look at the environment (legacy system, permissions, ports).
    #[arg(long)]
    offline: bool,
    /// Connect to the legacy system and look at it as well: accounts and what they may not do, views, every statement
    /// parsed by the server, clocks, undo, the switch, proofs. Changes nothing.
    #[arg(long, conflicts_with = "offline")]
    connect: bool,
    /// Judge only the execution plans that deploy/oracle/60_explain.sql wrote into FILE; no configuration is read.
    #[arg(long, value_name = "FILE", conflicts_with = "offline")]
    plans: Option<PathBuf>,
}

pub fn check(args: &CheckArgs, out: &mut Out) -> Result<Exit, Failed> {
    if let Some(file) = &args.plans {
        return check_plans(file, out);
    }
    let loaded = match config::load(&args.file.config) {
        Ok(loaded) => loaded,
        Err(mut problems) => {
            // The shipped place of the mappings is looked at all the same: all problems at once.
            let dir = args.file.config.parent().unwrap_or(Path::new("")).join("mappings");
            if dir.is_dir()
                && let Err(found) = app::load_mappings(&dir)
            {
                problems.extend(found);
            }
            return Err(problems.into());
        }
    };
    let mut problems = Problems::default();
    if let Err(found) = app::compile(&loaded.config.mappings.dir, &Ports::default()) {
        problems.extend(found);
    }
    if !args.offline {
        environment(&loaded.config, &args.file.config, &mut problems);
    }
    if !problems.is_empty() {
        return Err(problems.into());
    }
    if args.connect {
        return findings::connect(&loaded.config, out);
    }
    if out.is_json() {
        out.value(&serde_json::json!({ "ok": true, "offline": args.offline }));
    } else {
        out.line(if args.offline {
            "configuration and mappings are in order (environment not looked at)"
        } else {
            "all in order"
        });
        if loaded.config.mappings.genesis.is_none() {
            out.line("but no officers are pinned ([mappings] genesis): `run` will publish nothing and know no partner");
            out.line("  try: `slotbridge officer genesis`, as in mappings/README.md");
        }
    }
    Ok(Exit::Done)
}

fn check_plans(file: &Path, out: &mut Out) -> Result<Exit, Failed> {
    let bytes =
        std::fs::read(file).map_err(|error| Failed::io(format!("{} cannot be read", file.display()), &error))?;
    // SQL*Plus writes in the client's character set; names and numbers are ASCII in all of them.
    let judged = plans::judge(file, &String::from_utf8_lossy(&bytes))?;
    if out.is_json() {
        out.value(&serde_json::json!({ "ok": true, "statements": judged.statements }));
    } else {
        out.line(&format!("the plans of {} statements are in order", judged.statements));
    }
    Ok(Exit::Done)
}

/// Files that must be there, secrets that must be private, the legacy system that must answer.
fn environment(config: &Config, file: &Path, problems: &mut Problems) {
    let listen = &config.listen;
    let readable = [&listen.tls_certificate_file, &listen.client_ca_file];
    for path in readable.into_iter().flatten() {
        if let Err(error) = std::fs::File::open(path) {
            problems.push(about(path, "check.unreadable", format!("cannot be read: {error}"), "name a readable file"));
        }
    }
    if let Some(path) = &listen.tls_key_file {
        private(path, problems);
    }
    if config.secrets.key_dir.exists() {
        private(&config.secrets.key_dir, problems);
    }
    if config.legacy.kind == LegacyKind::Oracle {
        for account in config.oracle.read_accounts.iter().chain(&config.oracle.write_accounts) {
            private(&account.secret_file, problems);
        }
    } else if !config.legacy.path.exists() {
        let try_ = format!("`slotbridge legacy generate --config {}` makes an example", file.display());
        problems.push(about(
            &config.legacy.path,
            "check.no_legacy",
            "the legacy database is not there".to_owned(),
            &try_,
        ));
    }
    for address in [listen.partners_http, listen.partners_tls, Some(listen.observe)].into_iter().flatten() {
        if let Err(error) = std::net::TcpListener::bind(address) {
            let message = format!("{address} cannot be listened on: {error}");
            problems.push(about(file, "check.address", message, "stop who listens there, or choose another port"));
        }
    }
}

/// A secret is for its owner only.
fn private(path: &Path, problems: &mut Problems) {
    use std::os::unix::fs::PermissionsExt;
    match std::fs::metadata(path) {
        Ok(meta) if meta.permissions().mode() & 0o077 != 0 => {
            let mode = meta.permissions().mode() & 0o777;
            let wanted = if meta.is_dir() { "0700" } else { "0600" };
            let message = format!("others may read it (mode {mode:04o})");
            problems.push(about(path, "check.not_private", message, &format!("chmod {wanted} {}", path.display())));
        }
        Ok(_) => {}
        Err(error) => {
            problems.push(about(path, "check.unreadable", format!("cannot be read: {error}"), "name a readable file"));
        }
    }
}

fn about(path: &Path, code: &'static str, message: String, try_: &str) -> Problem {
    Problem {
        code,
        file: path.to_owned(),
        text: None,
        span: None,
        cause: "found in the environment, not in a file's text".to_owned(),
        message,
        try_: try_.to_owned(),
    }
}
