//! `officer`: keys on officers' own machines, and the roster of who may sign.
//!
//! A roster is in force only by a quorum of the one before: what these commands write is a proposal, signed with
//! `mappings approve --roster`. The first one is believed because its digest is pinned in the configuration.

use std::path::{Path, PathBuf};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use clap::{Subcommand, ValueEnum};
use jiff::civil::Date;
use serde_json::json;

use super::mappings::Folder;
use super::mappings::over::{Over, TrustArgs, refused, write_whole};
use super::passphrase::{PassphraseArgs, failed};
use super::{Exit, Failed, Out};
use crate::approval::{KeyEntry, Officer, OfficerRole, Place, PublicKey, Roster, SignerName, Subject, possession_text};
use crate::clock::{Clock, SystemClock};
use crate::keys::OfficerKey;
use crate::mapping::Text2;

/// Years in office where no last day is given.
const TERM_YEARS: i16 = 2;
/// An entry has some 500 bytes.
const ENTRY_BYTES_MAX: u64 = 64 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// 보호책임자
    #[value(alias = "보호책임자")]
    PrivacyLead,
    /// 보호담당자
    #[value(alias = "보호담당자")]
    PrivacyOfficer,
    /// 감사
    #[value(alias = "감사")]
    Auditor,
    /// 운영자: draws up and may stop, does not approve.
    #[value(alias = "운영자")]
    Operator,
}

impl From<Role> for OfficerRole {
    fn from(role: Role) -> OfficerRole {
        match role {
            Role::PrivacyLead => OfficerRole::PrivacyLead,
            Role::PrivacyOfficer => OfficerRole::PrivacyOfficer,
            Role::Auditor => OfficerRole::Auditor,
            Role::Operator => OfficerRole::Operator,
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum OfficerCommand {
    /// Make a key on your own machine; prints the entry to hand over: public key and proof that the private one is yours.
    Keygen(KeygenArgs),
    /// Make the first roster out of officers' entries; prints the digest to pin as [mappings] genesis.
    Genesis(GenesisArgs),
    /// Propose a roster with another officer, or with another key of one who is in it.
    Register(RegisterArgs),
    /// Propose a roster in which an officer has left, or a key is withdrawn.
    Retire(RetireArgs),
    /// Who may sign, and what is proposed.
    List(ListArgs),
}

#[derive(Debug, clap::Args)]
pub struct KeygenArgs {
    /// Your id in the roster: lower-case letters, digits, `-`.
    #[arg(value_name = "ID")]
    id: String,
    /// Key file to write; never overwritten, never handed over.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Name in Korean, as it stands on what you sign.
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Name in Latin letters; the id where it is not given.
    #[arg(long, value_name = "NAME")]
    name_en: Option<String>,
    #[arg(long, value_enum)]
    role: Role,
    /// First day in office; today where it is not given.
    #[arg(long, value_name = "DATE")]
    from: Option<Date>,
    /// Last day in office; two years later where it is not given.
    #[arg(long, value_name = "DATE")]
    until: Option<Date>,
    /// What to call this key.
    #[arg(long, value_name = "NAME", default_value = "device")]
    key_name: String,
    /// File for the entry, instead of standard output.
    #[arg(long, value_name = "FILE")]
    entry: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

#[derive(Debug, clap::Args)]
pub struct GenesisArgs {
    /// Entries that `officer keygen` printed.
    #[arg(value_name = "ENTRY", required = true)]
    entries: Vec<PathBuf>,
    #[command(flatten)]
    folder: Folder,
    /// Name of the deployment, as [daemon] origin has it.
    #[arg(long, value_name = "NAME")]
    origin: String,
    /// Signatures that the next roster needs.
    #[arg(long, value_name = "N", default_value_t = 2)]
    quorum: u32,
}

#[derive(Debug, clap::Args)]
pub struct RegisterArgs {
    /// Entry that `officer keygen` printed.
    #[arg(value_name = "ENTRY")]
    entry: PathBuf,
    #[command(flatten)]
    folder: Folder,
    #[command(flatten)]
    trust: TrustArgs,
}

#[derive(Debug, clap::Args)]
pub struct RetireArgs {
    #[arg(value_name = "ID")]
    id: String,
    /// First day on which nothing that the officer signs counts; what was signed before does. Today by default.
    #[arg(long, value_name = "DATE")]
    day: Option<Date>,
    /// Withdraw this key instead, for one that was lost: nothing that it ever signed counts any more.
    #[arg(long, value_name = "KEY", conflicts_with = "day")]
    withdraw_key: Option<String>,
    #[command(flatten)]
    folder: Folder,
    #[command(flatten)]
    trust: TrustArgs,
}

#[derive(Debug, clap::Args)]
pub struct ListArgs {
    #[command(flatten)]
    folder: Folder,
    #[command(flatten)]
    trust: TrustArgs,
}

pub fn officer(command: &OfficerCommand, out: &mut Out) -> Result<Exit, Failed> {
    match command {
        OfficerCommand::Keygen(args) => keygen(args, out),
        OfficerCommand::Genesis(args) => genesis(args, out),
        OfficerCommand::Register(args) => register(args, out),
        OfficerCommand::Retire(args) => retire(args, out),
        OfficerCommand::List(args) => list(args, out),
    }
}

fn keygen(args: &KeygenArgs, out: &mut Out) -> Result<Exit, Failed> {
    let name = format!("{}/{}", args.id, args.key_name);
    let signer = SignerName::parse(&name).ok_or_else(|| {
        let try_ = "use lower-case letters, digits and `-`, a letter first";
        Failed::new(Exit::Wrong, "officer_id", format!("{name} is no name of an officer's key"), try_)
    })?;
    let from = args.from.unwrap_or_else(today);
    let until = args.until.unwrap_or_else(|| from.saturating_add(jiff::Span::new().years(TERM_YEARS)));
    let key = OfficerKey::generate(&args.out, &args.passphrase.new_one()?).map_err(|error| failed(&error))?;
    let public = PublicKey::parse(&key.public()).map_err(|error| {
        Failed::new(Exit::Defect, "officer_key", "the new key cannot be read", "report it").because(&error)
    })?;
    let proof = URL_SAFE_NO_PAD.encode(key.sign(&possession_text(&signer, &public)));
    let officer = Officer {
        id: args.id.clone(),
        name: Text2 { ko: args.name.clone(), en: args.name_en.clone().unwrap_or_else(|| args.id.clone()) },
        role: args.role.into(),
        from,
        until,
        retired: None,
        demonstration: false,
        keys: vec![KeyEntry { name: args.key_name.clone(), public, place: Place::Device, proof }],
    };
    let entry = toml::to_string(&officer).unwrap_or_default();
    if let Some(file) = &args.entry {
        write_whole(file, entry.as_bytes())?;
    }
    if out.is_json() {
        let entry_file = args.entry.as_ref();
        out.value(&json!({ "key_file": args.out, "signer": name, "public": public, "entry": entry, "entry_file": entry_file }));
        return Ok(Exit::Done);
    }
    if args.entry.is_none() {
        out.text(&entry);
    }
    // Not on standard output, which may be the entry's file.
    let told = format!(
        "wrote {}: keep it, and a copy of it, where only you can reach it\npublic key {public}\n",
        args.out.display()
    );
    let to = args.entry.as_ref().map_or_else(|| "what was printed".to_owned(), |file| file.display().to_string());
    eprintln!("{told}hand over {to}: it holds nothing secret");
    Ok(Exit::Done)
}

fn today() -> Date {
    SystemClock.now().rfc3339()[..10].parse().unwrap_or(Date::MIN)
}

fn entry(path: &Path) -> Result<Officer, Failed> {
    let bad = |what: String| {
        let message = format!("{} is no entry of an officer: {what}", path.display());
        Failed::new(Exit::Wrong, "bad_entry", message, "name the file that `slotbridge officer keygen` printed")
    };
    let meta = std::fs::metadata(path).map_err(|error| Failed::io(path.display(), &error))?;
    if meta.len() > ENTRY_BYTES_MAX {
        return Err(bad("larger than 64 KiB".to_owned()));
    }
    let text = std::fs::read_to_string(path).map_err(|error| Failed::io(path.display(), &error))?;
    let officer: Officer = toml::from_str(&text).map_err(|error| bad(error.message().to_owned()))?;
    if officer.demonstration {
        return Err(bad("an officer of the demonstration".to_owned()));
    }
    Ok(officer)
}

fn genesis(args: &GenesisArgs, out: &mut Out) -> Result<Exit, Failed> {
    let path = args.folder.dir.join("officers.toml");
    if path.exists() {
        let message = format!("{} is there already", path.display());
        return Err(Failed::new(
            Exit::Exists,
            "exists",
            message,
            "propose changes with `slotbridge officer register` or `retire`",
        ));
    }
    let officers = args.entries.iter().map(|path| entry(path)).collect::<Result<Vec<_>, _>>()?;
    let mut roles: Vec<OfficerRole> =
        officers.iter().map(|officer| officer.role).filter(|role| role.may_approve()).collect();
    roles.sort_unstable();
    roles.dedup();
    if (roles.len() as u64) < u64::from(args.quorum) {
        let message = format!("{} roles that approve, and {} must sign in distinct ones", roles.len(), args.quorum);
        let try_ = "nothing could ever be approved: add officers, for instance a privacy lead and a privacy officer";
        return Err(Failed::new(Exit::Wrong, "quorum_impossible", message, try_));
    }
    let roster =
        Roster { format: 1, version: 1, previous: None, quorum: args.quorum, officers, delegations: Vec::new() };
    roster.check(&args.origin).map_err(|flaw| refused(&flaw))?;
    let (kept, bytes) = Subject::Roster(&roster).content();
    write_whole(&args.folder.dir.join(kept), &bytes)?;
    write_whole(&path, &bytes)?;
    let digest = roster.digest();
    if out.is_json() {
        out.value(&json!({ "written": path, "genesis": digest, "officers": roster.officers.len() }));
    } else {
        out.line(&format!("wrote {}\n\npin it in slotbridge.toml, and tell it to every officer:\n", path.display()));
        out.line(&format!("[daemon]\norigin = {:?}\n[mappings]\ngenesis = \"{digest}\"", args.origin));
    }
    Ok(Exit::Done)
}

/// The roster to go on from: what is proposed already, or the one in force.
fn next(over: &Over) -> Result<Roster, Failed> {
    let approvals = over.approvals(&Default::default());
    let head = approvals.roster().cloned().ok_or_else(|| {
        let found = approvals.found();
        let flaw = found.first().map_or(crate::approval::Flaw::NoGenesis, |found| found.flaw.clone());
        refused(&flaw)
    })?;
    let written = over.files.get("officers.toml").and_then(|bytes| Roster::parse(bytes, &over.trust.origin).ok());
    let digest = head.digest();
    if let Some(proposed) = written.filter(|written| written.previous.as_ref() == Some(&digest)) {
        return Ok(proposed);
    }
    Ok(Roster { version: head.version + 1, previous: Some(digest), ..head })
}

fn propose(over: &Over, roster: &Roster, dir: &Path, out: &mut Out) -> Result<Exit, Failed> {
    roster.check(&over.trust.origin).map_err(|flaw| refused(&flaw))?;
    let path = dir.join("officers.toml");
    write_whole(&path, roster.to_toml().as_bytes())?;
    let (digest, need) = (roster.digest(), over.approvals(&Default::default()).roster().map_or(2, |head| head.quorum));
    if out.is_json() {
        out.value(&json!({ "written": path, "digest": digest, "version": roster.version, "signatures_needed": need }));
    } else {
        out.line(&format!("wrote {}: roster {} ({}), proposed", path.display(), roster.version, &digest[..12]));
        out.line(&format!(
            "it is in force once {need} officers of the one before sign: slotbridge mappings approve --roster"
        ));
    }
    Ok(Exit::Done)
}

fn register(args: &RegisterArgs, out: &mut Out) -> Result<Exit, Failed> {
    let over = Over::of_folder(&args.folder.dir, args.trust.trust()?)?;
    let new = entry(&args.entry)?;
    let mut roster = next(&over)?;
    match roster.officers.iter_mut().find(|officer| officer.id == new.id) {
        Some(known) => known.keys.extend(new.keys),
        None => roster.officers.push(new),
    }
    propose(&over, &roster, &args.folder.dir, out)
}

fn retire(args: &RetireArgs, out: &mut Out) -> Result<Exit, Failed> {
    let over = Over::of_folder(&args.folder.dir, args.trust.trust()?)?;
    let mut roster = next(&over)?;
    let unknown = |what: String| Failed::new(Exit::Wrong, "unknown_officer", what, "see `slotbridge officer list`");
    let officer = roster.officers.iter_mut().find(|officer| officer.id == args.id);
    let officer = officer.ok_or_else(|| unknown(format!("no officer {} is in the roster", args.id)))?;
    match &args.withdraw_key {
        Some(name) => {
            let before = officer.keys.len();
            officer.keys.retain(|key| key.name != *name);
            if officer.keys.len() == before {
                return Err(unknown(format!("{} has no key {name}", args.id)));
            }
        }
        None => officer.retired = Some(args.day.unwrap_or_else(today)),
    }
    // Whose last key is withdrawn is no officer any more.
    roster.officers.retain(|officer| !officer.keys.is_empty());
    let kept: Vec<String> = roster.officers.iter().map(|officer| officer.id.clone()).collect();
    roster.delegations.retain(|d| kept.contains(&d.delegator) && kept.contains(&d.delegate));
    propose(&over, &roster, &args.folder.dir, out)
}

fn list(args: &ListArgs, out: &mut Out) -> Result<Exit, Failed> {
    let over = Over::of_folder(&args.folder.dir, args.trust.trust()?)?;
    let approvals = over.approvals(&Default::default());
    let written = over.files.get("officers.toml").and_then(|bytes| Roster::parse(bytes, &over.trust.origin).ok());
    let head = approvals.roster();
    let proposed = written.filter(|written| head.is_none_or(|head| head.digest() != written.digest()));
    let why = proposed.as_ref().and_then(|roster| approvals.roster_standing(roster).err());
    if out.is_json() {
        let side =
            |roster: Option<&Roster>| roster.map(|roster| json!({ "digest": roster.digest(), "roster": roster }));
        let why = why.map(|flaw| flaw.to_string());
        out.value(&json!({ "in_force": side(head), "proposed": side(proposed.as_ref()), "why": why }));
        return Ok(Exit::Done);
    }
    match head {
        Some(roster) => out.text(&told("in force", roster)),
        None => out.line("no roster is in force"),
    }
    if let Some(roster) = &proposed {
        out.text(&format!("\n{}", told("proposed", roster)));
        why.iter().for_each(|flaw| out.line(&format!("  {flaw}")));
    }
    Ok(Exit::Done)
}

fn told(what: &str, roster: &Roster) -> String {
    let mut text =
        format!("{what}: roster {} ({}), the next needs {}\n", roster.version, &roster.digest()[..12], roster.quorum);
    for officer in &roster.officers {
        let left = officer.retired.map_or_else(String::new, |day| format!(", left {day}"));
        let (name, role) = (&officer.name.ko, officer.role.ko());
        text.push_str(&format!("  {:<16} {name} {role}, {} ~ {}{left}\n", officer.id, officer.from, officer.until));
        for key in &officer.keys {
            text.push_str(&format!("    {:<14} {} {}\n", key.name, key.place.ko(), key.public));
        }
    }
    text
}
