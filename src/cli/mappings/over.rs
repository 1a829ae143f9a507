//! What officers' commands work over: a mappings folder, or a bundle that was exported from one; and what is trusted.
//!
//! A bundle is one JSON file, so that it can be carried by mail or on a stick. Nothing in it is believed for being in
//! it: digests are computed again, signatures verified again, and its origin and first roster are held against those
//! that the officer's own machine remembers.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Folder;
use crate::app;
use crate::approval::{Approvals, Demonstration, Head, Roster, Subject, Trust};
use crate::cli::{Exit, Failed};
use crate::config;
use crate::mapping::{MappingSet, Policy};
use crate::privacy::Closure;

/// Three levels of a folder of 500 files, of which most are some KiB.
const BUNDLE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// As a folder is bounded.
const FILES_MAX: usize = 500;
const FILE_BYTES_MAX: usize = 256 * 1024;
const DEPTH_MAX: usize = 3;

/// Whose signatures count: of a configuration, or said.
#[derive(Debug, Clone, clap::Args)]
pub struct TrustArgs {
    /// Configuration that names the deployment and its first roster; slotbridge.toml where it is there.
    #[arg(long, value_name = "FILE", env = "SLOTBRIDGE_CONFIG")]
    config: Option<PathBuf>,
    /// Name of the deployment, as `[daemon] origin` has it.
    #[arg(long, value_name = "NAME")]
    origin: Option<String>,
    /// Digest of the first roster, as `[mappings] genesis` has it.
    #[arg(long, value_name = "HEX")]
    genesis: Option<String>,
}

impl TrustArgs {
    pub fn trust(&self) -> Result<Trust, Failed> {
        let (mut origin, mut genesis) = (self.origin.clone(), self.genesis.clone());
        let by_default = PathBuf::from("slotbridge.toml");
        let file = self.config.clone().or_else(|| by_default.exists().then_some(by_default));
        if let Some(file) = file.filter(|_| origin.is_none() || genesis.is_none()) {
            let config = config::load(&file)?.config;
            origin = origin.or(Some(config.daemon.origin));
            genesis = genesis.or(config.mappings.genesis);
        }
        let (Some(origin), Some(genesis)) = (origin, genesis) else {
            let message = "it is not known whose signatures count: no first roster is pinned";
            let try_ =
                "set [mappings] genesis in slotbridge.toml and name it with --config, or give --origin and --genesis";
            return Err(Failed::new(Exit::Config, "no_genesis", message, try_));
        };
        Ok(Trust { origin, genesis: Some(genesis), demonstration: Demonstration::Refused })
    }

    /// Of the bundle, which must not contradict what was said.
    fn of_bundle(&self, bundle: &Bundle) -> Result<Trust, Failed> {
        let said = [("origin", &self.origin, &bundle.origin), ("genesis", &self.genesis, &bundle.genesis)];
        for (what, said, is) in said {
            if let Some(said) = said.as_ref().filter(|said| *said != is) {
                let message = format!("the bundle has the {what} {is}, not {said}");
                return Err(Failed::new(
                    Exit::Wrong,
                    "other_deployment",
                    message,
                    "ask whoever sent it which is right",
                ));
            }
        }
        let genesis = Some(bundle.genesis.clone());
        Ok(Trust { origin: bundle.origin.clone(), genesis, demonstration: Demonstration::Refused })
    }
}

/// A folder or a bundle.
#[derive(Debug, Clone, clap::Args)]
pub struct Place {
    #[command(flatten)]
    pub folder: Folder,
    /// A bundle made by `mappings export`, instead of a folder.
    #[arg(long, value_name = "FILE")]
    pub bundle: Option<PathBuf>,
    #[command(flatten)]
    pub trust: TrustArgs,
}

/// The files, and whose signatures count over them.
pub struct Over {
    pub files: BTreeMap<String, Vec<u8>>,
    pub trust: Trust,
    /// None: a bundle.
    pub dir: Option<PathBuf>,
    /// For messages.
    pub name: PathBuf,
}

impl Place {
    pub fn open(&self) -> Result<Over, Failed> {
        let Some(path) = &self.bundle else { return Over::of_folder(&self.folder.dir, self.trust.trust()?) };
        let bundle = Bundle::read(path)?;
        let trust = self.trust.of_bundle(&bundle)?;
        let files = bundle.files.iter().map(|(path, text)| (path.clone(), text.clone().into_bytes())).collect();
        let over = Over { files, trust, dir: None, name: path.clone() };
        over.holds(&bundle)?;
        Ok(over)
    }
}

impl Over {
    pub fn of_folder(dir: &Path, trust: Trust) -> Result<Over, Failed> {
        let files = app::read_mappings(dir)?;
        Ok(Over { files, trust, dir: Some(dir.to_owned()), name: dir.to_owned() })
    }

    pub fn approvals(&self, seen: &BTreeMap<String, Head>) -> Approvals {
        Approvals::read_after(&self.files, &self.trust, seen)
    }

    /// The mappings under the roster in force.
    pub fn set(&self, approvals: &Approvals) -> Result<MappingSet, Failed> {
        Ok(app::judge_mappings(&self.name, &self.files)?.with_roster(approvals.roster_head()))
    }

    /// Is what the bundle says about itself so?
    fn holds(&self, bundle: &Bundle) -> Result<(), Failed> {
        let set = self.set(&self.approvals(&BTreeMap::new()))?;
        let found: BTreeMap<String, String> = closures(&set).map(|c| (c.id().to_owned(), c.digest())).collect();
        if found == bundle.digests {
            return Ok(());
        }
        let wrong: Vec<&str> =
            bundle.digests.iter().filter(|(id, d)| found.get(*id) != Some(d)).map(|d| d.0.as_str()).collect();
        let message = format!("the bundle does not hold what it says it does: {}", wrong.join(", "));
        Err(Failed::new(Exit::Wrong, "bundle_changed", message, "have it exported and sent again"))
    }
}

pub fn closures(set: &MappingSet) -> impl Iterator<Item = Closure> {
    set.mappings().filter_map(|(partner, kind, _)| Closure::of(set, partner, kind))
}

/// What is decided about.
#[derive(Debug, Clone, clap::Args)]
#[group(required = true, multiple = false)]
pub struct Target {
    /// Mapping, for instance naver.slots.
    #[arg(value_name = "MAPPING")]
    pub mapping: Option<String>,
    /// policy.toml.
    #[arg(long)]
    pub policy: bool,
    /// officers.toml.
    #[arg(long)]
    pub roster: bool,
}

pub enum About {
    Mapping(Box<Closure>),
    Roster(Box<Roster>),
    Policy(Box<Policy>),
}

impl About {
    pub fn of(target: &Target, over: &Over, approvals: &Approvals) -> Result<About, Failed> {
        if target.roster {
            let bytes = over.files.get("officers.toml").map_or(&[][..], Vec::as_slice);
            let roster = Roster::parse(bytes, &over.trust.origin).map_err(|flaw| refused(&flaw))?;
            return Ok(About::Roster(Box::new(roster)));
        }
        let set = over.set(approvals)?;
        match &target.mapping {
            Some(id) => Ok(About::Mapping(Box::new(super::show::closure_of(&set, id)?))),
            None => Ok(About::Policy(Box::new(set.policy().clone()))),
        }
    }

    pub fn subject(&self) -> Subject<'_> {
        match self {
            About::Mapping(closure) => Subject::Mapping(closure),
            About::Roster(roster) => Subject::Roster(roster),
            About::Policy(policy) => Subject::Policy(policy),
        }
    }
}

/// Something is not believed or not possible; the reason says which.
pub fn refused(flaw: &crate::approval::Flaw) -> Failed {
    use crate::approval::Flaw;
    let (code, try_) = match flaw {
        Flaw::NoGenesis | Flaw::GenesisMissing { .. } => {
            ("no_genesis", "pin the first roster that `slotbridge officer genesis` printed")
        }
        Flaw::UnknownSigner { .. } => ("unknown_officer", "register the key: `slotbridge officer register`"),
        Flaw::Author { .. } => ("author_may_not_sign", "have another officer sign"),
        Flaw::SameRole { .. } | Flaw::SamePerson { .. } | Flaw::SignedTwice { .. } => {
            ("signed_already", "have an officer in another role sign")
        }
        Flaw::Incomplete { .. } | Flaw::Opinion { .. } | Flaw::Hidden { .. } | Flaw::Validity { .. } => {
            ("choice_refused", "see `slotbridge mappings approve --help`")
        }
        Flaw::OutOfTerm { .. } | Flaw::RoleMayNot { .. } | Flaw::KeyWithdrawn { .. } | Flaw::NoDelegation { .. } => {
            ("officer_may_not_sign", "have an officer in office sign")
        }
        Flaw::NotANote { .. } | Flaw::OtherOrigin { .. } | Flaw::OtherText { .. } | Flaw::BadSignature { .. } => {
            ("note_refused", "do not sign it; ask whoever sent it")
        }
        _ => ("not_as_signed", "run `slotbridge mappings verify` and restore what it names from a backup"),
    };
    let failed = Failed::new(Exit::Wrong, code, flaw, try_);
    Failed { causes: vec![flaw.ko()], ..failed }
}

/// One file for an officer's own machine.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    pub format: u32,
    pub origin: String,
    pub genesis: String,
    /// Approval digests of the mappings in it: computed again when it is read.
    pub digests: BTreeMap<String, String>,
    pub files: BTreeMap<String, String>,
}

impl Bundle {
    /// Of one mapping, or of the whole folder: what its digest covers, and every note about it, policies and rosters.
    pub fn of(over: &Over, mapping: Option<&str>) -> Result<Bundle, Failed> {
        let approvals = over.approvals(&BTreeMap::new());
        let set = over.set(&approvals)?;
        let wanted = mapping.map(|id| super::show::closure_of(&set, id)).transpose()?;
        let is_needed = |path: &str| -> bool {
            let Some(closure) = &wanted else { return !path.ends_with(".md") || path.starts_with("consents/") };
            let parts: Vec<&str> = path.split('/').collect();
            let feed = format!("{}.toml", closure.kind().code());
            match parts.as_slice() {
                [file] => file.ends_with(".toml"),
                ["tables" | "hierarchies" | "consents", _] => true,
                ["approvals", about, _] => ["officers", "policy", closure.id()].contains(about),
                [partner, file] => *partner == closure.partner_id().as_str() && *file == feed,
                _ => false,
            }
        };
        let mut files = BTreeMap::new();
        for (path, bytes) in over.files.iter().filter(|(path, _)| is_needed(path)) {
            let text = String::from_utf8(bytes.clone()).map_err(|_| {
                Failed::new(Exit::Wrong, "not_utf8", format!("{path} is not UTF-8"), "save it as UTF-8")
            })?;
            files.insert(path.clone(), text);
        }
        let digests = closures(&set).filter(|c| wanted.as_ref().is_none_or(|wanted| wanted.id() == c.id()));
        let digests = digests.map(|closure| (closure.id().to_owned(), closure.digest())).collect();
        let genesis = over.trust.genesis.clone().unwrap_or_default();
        Ok(Bundle { format: 1, origin: over.trust.origin.clone(), genesis, digests, files })
    }

    pub fn read(path: &Path) -> Result<Bundle, Failed> {
        let bad = |what: String| {
            let message = format!("{} is not a bundle: {what}", path.display());
            Failed::new(Exit::Wrong, "bad_bundle", message, "have `slotbridge mappings export` make it again")
        };
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).map_err(|error| Failed::io(path.display(), &error))?;
        file.take(BUNDLE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| Failed::io(path.display(), &error))?;
        if bytes.len() as u64 > BUNDLE_BYTES_MAX {
            return Err(bad("larger than 64 MiB".to_owned()));
        }
        let bundle: Bundle = serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string()))?;
        if bundle.format != 1 {
            return Err(bad(format!("format {} is not known", bundle.format)));
        }
        if bundle.files.len() > FILES_MAX {
            return Err(bad(format!("more than {FILES_MAX} files")));
        }
        for (name, text) in &bundle.files {
            let parts: Vec<&str> = name.split('/').collect();
            let is_plain = parts.iter().all(|part| !part.is_empty() && !part.starts_with('.') && !part.contains('\\'));
            if !is_plain || parts.len() > DEPTH_MAX || text.len() > FILE_BYTES_MAX {
                return Err(bad(format!("{name:?} is no file of a mappings folder")));
            }
        }
        Ok(bundle)
    }
}

/// Whole or not at all; what is there is replaced.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Failed> {
    let failed = |error: std::io::Error| Failed::io(format!("{} could not be written", path.display()), &error);
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // Hidden: a reader of the folder passes over it.
    let beside = path.with_file_name(format!(".{name}.part"));
    let mut file = std::fs::File::create(&beside).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::rename(&beside, path).map_err(failed)
}
