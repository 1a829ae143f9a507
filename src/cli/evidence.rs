//! `evidence verify|checkpoint|cosign|key|export|access`: the log of what left and who looked, without the daemon.

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::{ConfigFile, Exit, Failed, Out};
use crate::app::{self, Files, Register};
use crate::approval::{Approvals, Demonstration, Trust};
use crate::clock::{Clock, SystemClock};
use crate::config::{self, Config};
use crate::evidence::{
    self, Against, Checkpoint, Entry, EvidenceError, Kind, Report, Verifier, consistency_proof, is_consistent,
    note_name, origin,
};
use crate::keys::{KeyFolder, LogKey};

/// Which log: a file, a data folder, or the configuration's.
#[derive(Debug, Clone, clap::Args)]
pub struct Log {
    #[command(flatten)]
    file: ConfigFile,
    /// Data folder, or the log's file, instead of the configuration's.
    #[arg(long, value_name = "DIR|FILE")]
    data_dir: Option<PathBuf>,
}

impl Log {
    fn path(&self) -> Result<PathBuf, Failed> {
        match &self.data_dir {
            Some(path) if path.is_file() => Ok(path.clone()),
            Some(dir) => Ok(Files::of(dir).evidence),
            None => Ok(Files::of(&self.config()?.daemon.data_dir).evidence),
        }
    }

    fn config(&self) -> Result<Config, Failed> {
        Ok(config::load(&self.file.config)?.config)
    }
}

#[derive(Debug, Subcommand)]
pub enum EvidenceCommand {
    /// Hash every entry anew and name what was edited, dropped, moved or cut. Exit 1 if anything was. Works offline.
    Verify {
        #[command(flatten)]
        log: Log,
        /// Signed head that somebody kept; several are held against each other as well.
        #[arg(long, value_name = "FILE")]
        checkpoint: Vec<PathBuf>,
        /// Key of the log, as `evidence key` prints it, or a file with it.
        #[arg(long, value_name = "KEY")]
        key: Option<String>,
        /// Key of a partner that must have signed each checkpoint as well.
        #[arg(long, value_name = "KEY")]
        cosigner: Vec<String>,
    },
    /// Print the present head, signed with the log's key: to be given to partners and officers.
    Checkpoint {
        #[command(flatten)]
        log: Log,
    },
    /// Add a partner's signature to a checkpoint and print it. With `--seen`, only if the log has gone on from there.
    Cosign {
        /// Checkpoint to sign.
        #[arg(required_unless_present = "show_key")]
        checkpoint: Option<PathBuf>,
        /// Folder of the partner's key; the key is made if it is not there.
        #[arg(long, value_name = "DIR")]
        key_dir: PathBuf,
        /// Name to sign by.
        #[arg(long)]
        name: String,
        /// Key of the log.
        #[arg(long, value_name = "KEY", required_unless_present = "show_key")]
        log_key: Option<String>,
        /// Instead: print the key that the signature is verified with.
        #[arg(long)]
        show_key: bool,
        /// Checkpoint that was signed last, and the log that both are of.
        #[arg(long, value_name = "FILE", requires = "seen_log")]
        seen: Option<PathBuf>,
        /// Copy of the log that proves that one head continues the other.
        #[arg(long, value_name = "FILE")]
        seen_log: Option<PathBuf>,
    },
    /// Print the key that checkpoints are verified with.
    Key {
        #[command(flatten)]
        file: ConfigFile,
    },
    /// Print a register by legal basis: `18-2` (목적 외 이용 및 제3자 제공 대장), `17` (제3자 제공 현황), `26` (처리위탁 현황).
    Export {
        #[command(flatten)]
        log: Log,
        #[arg(long, value_parser = ["18-2", "17", "26"])]
        register: String,
        #[arg(long, value_parser = ["csv"], default_value = "csv")]
        format: String,
    },
    /// Print the access log (접속기록); persons are masked.
    Access {
        #[command(flatten)]
        log: Log,
        /// As CSV, which is the one form there is.
        #[arg(long)]
        csv: bool,
    },
}

pub fn evidence(command: &EvidenceCommand, out: &mut Out) -> Result<Exit, Failed> {
    match command {
        EvidenceCommand::Verify { log, checkpoint, key, cosigner } => verify(log, checkpoint, key, cosigner, out),
        EvidenceCommand::Checkpoint { log } => {
            let config = log.config()?;
            let path = log.path()?;
            let key = own_key(&config)?;
            let head = evidence::verify(&path).map_err(|error| failed(&error))?;
            out.text(&Checkpoint::sign(&origin(&config.daemon.origin), head, &key).to_string());
            Ok(Exit::Done)
        }
        EvidenceCommand::Cosign { checkpoint, key_dir, name, log_key, show_key, seen, seen_log } => {
            let key = cosigner(key_dir, name)?;
            let (Some(path), Some(log_key), false) = (checkpoint, log_key, show_key) else {
                out.line(&Verifier::cosigner(name, &key).to_string());
                return Ok(Exit::Done);
            };
            let mut signed = seen_before(path, log_key, seen.as_deref().zip(seen_log.as_deref()))?;
            signed.cosign(name, &key, SystemClock.now());
            out.text(&signed.to_string());
            Ok(Exit::Done)
        }
        EvidenceCommand::Key { file } => {
            let config = config::load(&file.config)?.config;
            let verifier = Verifier::log(&origin(&config.daemon.origin), &own_key(&config)?);
            out.line(&verifier.to_string());
            Ok(Exit::Done)
        }
        EvidenceCommand::Export { log, register, .. } => export(log, register, out),
        EvidenceCommand::Access { log, .. } => {
            let kept = evidence::of_kind(&log.path()?, Kind::Access).map_err(|error| failed(&error))?;
            let accesses: Vec<_> = kept
                .into_iter()
                .filter_map(|(index, entry)| match entry {
                    Entry::Access(access) => Some((index, access)),
                    _ => None,
                })
                .collect();
            out.text(&app::access_csv(&accesses));
            Ok(Exit::Done)
        }
    }
}

fn own_key(config: &Config) -> Result<LogKey, Failed> {
    let missing = || {
        let try_ = "start the daemon once: it makes the key; or put it back from escrow";
        Failed::new(Exit::Io, "evidence_key_missing", "the key folder has no evidence.key", try_)
    };
    let folder = KeyFolder::open(&config.secrets.key_dir).map_err(|error| key_failed(&error))?;
    LogKey::existing(&folder, LogKey::FILE).map_err(|error| key_failed(&error))?.ok_or_else(missing)
}

fn key_failed(error: &crate::keys::KeyError) -> Failed {
    Failed::new(Exit::Io, error.code(), error, "look at the key folder").because(error)
}

fn failed(error: &EvidenceError) -> Failed {
    let exit = if matches!(error, EvidenceError::Damaged { .. }) { Exit::Wrong } else { Exit::Io };
    let try_ = match error {
        EvidenceError::Missing => "name the folder with --data-dir; a log that is lost comes back from a backup",
        _ => "`slotbridge evidence verify` names all damage; keep the file as it is",
    };
    Failed::new(exit, error.code(), error, try_).because(error)
}

fn verifier(text: &str) -> Result<Verifier, Failed> {
    let file = Path::new(text);
    let text = if file.is_file() {
        std::fs::read_to_string(file).map_err(|error| Failed::io(file.display(), &error))?
    } else {
        text.to_owned()
    };
    let try_ = "`slotbridge evidence key` prints the log's; a partner's stands beside its cosignature";
    Verifier::parse(&text).map_err(|error| Failed::new(Exit::Unreadable, "verifier_key", error, try_))
}

fn checkpoint(path: &Path) -> Result<Checkpoint, Failed> {
    let bytes = std::fs::read(path).map_err(|error| Failed::io(path.display(), &error))?;
    let try_ = "`slotbridge evidence checkpoint` prints one";
    let told = |error| Failed::new(Exit::Wrong, "not_a_checkpoint", format!("{}: {error}", path.display()), try_);
    Checkpoint::parse(&bytes).map_err(told)
}

fn verify(
    log: &Log,
    checkpoints: &[PathBuf],
    key: &Option<String>,
    cosigners: &[String],
    out: &mut Out,
) -> Result<Exit, Failed> {
    let against = Against {
        key: key.as_deref().map(verifier).transpose()?,
        checkpoints: checkpoints.iter().map(|path| checkpoint(path)).collect::<Result<_, _>>()?,
        cosigners: cosigners.iter().map(|text| verifier(text)).collect::<Result<_, _>>()?,
    };
    let report = evidence::examine(&log.path()?, &against).map_err(|error| failed(&error))?;
    tell(&report, out);
    match report.damage.first() {
        None => Ok(Exit::Done),
        Some(_) if out.is_json() => Ok(Exit::Wrong),
        Some(damage) => {
            let try_ = "keep the file as it is, compare with a backup, and record an incident";
            let message = format!("{damage}; {} finding(s)", report.damage.len());
            Err(Failed::new(Exit::Wrong, "evidence_damaged", message, try_))
        }
    }
}

fn tell(report: &Report, out: &mut Out) {
    let Report { head, deleted, deletions, checkpoints, damage, is_signed } = report;
    if out.is_json() {
        let damage: Vec<_> = damage
            .iter()
            .map(|damage| serde_json::json!({ "code": damage.code(), "what": damage.to_string() }))
            .collect();
        let whole = damage.is_empty();
        out.value(&serde_json::json!({
            "whole": whole, "entries": head.size, "root": head.root.to_string(), "deleted_by_retention": deleted,
            "deletions": deletions, "checkpoints": checkpoints, "signatures_verified": is_signed, "damage": damage,
        }));
        return;
    }
    out.line(&format!("{} entries, root {}", head.size, head.root));
    out.line(&format!("{deleted} contents were deleted by retention, in {deletions} recorded deletions"));
    let signed = if *is_signed { "" } else { "; without --key their signatures are not looked at" };
    out.line(&format!("{checkpoints} checkpoints fit{signed}"));
    damage.iter().for_each(|damage| out.line(&format!("{:<24} {damage}", damage.code())));
    if damage.is_empty() {
        out.line("the evidence log is whole");
    }
}

fn cosigner(key_dir: &Path, name: &str) -> Result<LogKey, Failed> {
    if note_name(name) != name || name.is_empty() {
        let message = format!("{name:?} is no name to sign by");
        return Err(Failed::new(Exit::Unreadable, "not_a_name", message, "use one without blanks and plus signs"));
    }
    let folder = KeyFolder::open(key_dir).map_err(|error| key_failed(&error))?;
    LogKey::open(&folder, "cosigner.key").map_err(|error| key_failed(&error))
}

/// The checkpoint, if it is the log's and continues what was seen before.
fn seen_before(path: &Path, log_key: &str, seen: Option<(&Path, &Path)>) -> Result<Checkpoint, Failed> {
    let wrong = |code, message: String| {
        Failed::new(Exit::Wrong, code, message, "sign nothing, and ask the agency for an explanation")
    };
    let (signed, log) = (checkpoint(path)?, verifier(log_key)?);
    signed.verify_log(&log).map_err(|error| wrong("not_the_log", error.to_string()))?;
    let Some((before, file)) = seen else { return Ok(signed) };
    let before = checkpoint(before)?;
    before.verify_log(&log).map_err(|error| wrong("not_the_log", error.to_string()))?;
    let leaves = evidence::leaves(file, signed.head.size).map_err(|error| failed(&error))?;
    let (old, new) = (before.head, signed.head);
    let proof = consistency_proof(&leaves, old.size).unwrap_or_default();
    if old.size > 0 && !is_consistent((old.size, old.root), (new.size, new.root), &proof) {
        let message = format!("{} entries do not continue the {} that were seen", new.size, old.size);
        return Err(wrong("other_history", message));
    }
    Ok(signed)
}

fn export(log: &Log, register: &str, out: &mut Out) -> Result<Exit, Failed> {
    let config = log.config()?;
    let dir = &config.mappings.dir;
    let files = app::read_mappings(dir)?;
    let trust = Trust {
        origin: config.daemon.origin.clone(),
        genesis: config.mappings.genesis.clone(),
        demonstration: Demonstration::Accepted,
    };
    let approvals = Approvals::read(&files, &trust);
    // Digests of versions cover the roster that they were approved under.
    let set = app::load_mappings(dir)?.with_roster(approvals.roster_head());
    let left = evidence::left(&log.path()?).map_err(|error| failed(&error))?;
    let left: Vec<_> = left.into_iter().map(|(_, left)| left).collect();
    // The values are a closed list of the command line.
    let Some(register) = Register::parse(register) else { return Ok(Exit::Unreadable) };
    out.text(&register.csv(&set, &left, &|mapping, digest| approvals.version(mapping, digest).cloned()));
    Ok(Exit::Done)
}
