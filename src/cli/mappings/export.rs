//! `mappings export`: a bundle for an officer's own machine. `mappings import`: the note that comes back.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::json;

use super::Folder;
use super::over::{About, Bundle, Over, Target, TrustArgs, refused, write_whole};
use crate::app;
use crate::approval::{Approvals, Header, Note, Subject};
use crate::cli::{Exit, Failed, Out};
use crate::clock::{Clock, SystemClock};

#[derive(Debug, clap::Args)]
pub struct ExportArgs {
    /// Mapping, for instance naver.slots; without one, the whole folder.
    #[arg(value_name = "MAPPING")]
    mapping: Option<String>,
    #[command(flatten)]
    folder: Folder,
    #[command(flatten)]
    trust: TrustArgs,
    /// File to write; replaced where it is there.
    #[arg(long, value_name = "BUNDLE")]
    out: PathBuf,
}

pub fn export(args: &ExportArgs, out: &mut Out) -> Result<Exit, Failed> {
    let over = Over::of_folder(&args.folder.dir, args.trust.trust()?)?;
    let bundle = Bundle::of(&over, args.mapping.as_deref())?;
    let text = serde_json::to_vec(&bundle).map_err(|error| {
        Failed::new(Exit::Defect, "bundle", "the bundle could not be written", "report it").because(&error)
    })?;
    write_whole(&args.out, &text)?;
    if out.is_json() {
        out.value(&json!({ "written": args.out, "files": bundle.files.len(), "digests": bundle.digests }));
    } else {
        out.line(&format!("wrote {} ({} files)", args.out.display(), bundle.files.len()));
        for (id, digest) in &bundle.digests {
            out.line(&format!("  {digest} {id}"));
        }
    }
    Ok(Exit::Done)
}

#[derive(Debug, clap::Args)]
pub struct ImportArgs {
    /// Notes that officers sent back.
    #[arg(value_name = "NOTE", required = true)]
    notes: Vec<PathBuf>,
    #[command(flatten)]
    folder: Folder,
    #[command(flatten)]
    trust: TrustArgs,
}

pub fn import(args: &ImportArgs, out: &mut Out) -> Result<Exit, Failed> {
    let mut over = Over::of_folder(&args.folder.dir, args.trust.trust()?)?;
    let mut told = Vec::new();
    for path in &args.notes {
        let bytes = std::fs::read(path).map_err(|error| Failed::io(path.display(), &error))?;
        let note = Note::parse(&bytes).map_err(|flaw| refused(&flaw))?;
        let header = Header::parse(&note.text).map_err(|flaw| refused(&flaw))?;
        let approvals = over.approvals(&BTreeMap::new());
        let about = named(&header, &over, &approvals)?;
        let placed = place(&over, &approvals, &about.subject(), &note)?;
        placed.write(&args.folder.dir)?;
        told.push((path.clone(), placed.note.0.clone(), placed.standing.clone()));
        over.files = placed.files;
    }
    if out.is_json() {
        let notes: Vec<_> =
            told.iter().map(|(from, to, standing)| json!({ "from": from, "note": to, "standing": standing })).collect();
        out.value(&json!({ "imported": notes }));
    } else {
        for (from, to, standing) in &told {
            out.line(&format!("{} -> {to}: {standing}", from.display()));
        }
    }
    Ok(Exit::Done)
}

/// What a note says that it is about, as the folder has it.
fn named(header: &Header, over: &Over, approvals: &Approvals) -> Result<About, Failed> {
    let target = Target {
        mapping: Some(header.subject.clone()).filter(|id| id.contains('.')),
        policy: header.subject == "policy",
        roster: header.subject == "officers",
    };
    // A version that is kept already, whatever the folder holds by now.
    if let Some(kept) = approvals.version(&header.subject, &header.digest) {
        return Ok(About::Mapping(Box::new(kept.clone())));
    }
    let about = About::of(&target, over, approvals)?;
    let is = about.subject().digest();
    if is != header.digest {
        let message = format!("the note is about {} of {}, the folder holds {is}", header.digest, header.subject);
        let try_ = "the folder was changed after the export: put it back, or export again and have that signed";
        return Err(Failed::new(Exit::Wrong, "other_version", message, try_));
    }
    Ok(about)
}

/// A note in its place, with what it is about beside it, and what the folder amounts to then.
pub struct Placed {
    pub note: (String, Vec<u8>),
    pub content: (String, Vec<u8>),
    pub files: BTreeMap<String, Vec<u8>>,
    /// One line: where the subject stands now.
    pub standing: String,
}

impl Placed {
    /// What a note is about first: a note alone would break the standing.
    pub fn write(&self, dir: &std::path::Path) -> Result<(), Failed> {
        for (path, bytes) in [&self.content, &self.note] {
            write_whole(&dir.join(path), bytes)?;
        }
        Ok(())
    }
}

/// Puts a note where it belongs, and sees that nothing is broken by it.
pub fn place(over: &Over, before: &Approvals, subject: &Subject<'_>, note: &Note) -> Result<Placed, Failed> {
    before.verify(note, subject).map_err(|flaw| refused(&flaw))?;
    let mut files = over.files.clone();
    let path = subject.note_path(&files, &note.text);
    let mut whole = note.clone();
    if let Some(there) = files.get(&path).and_then(|bytes| Note::parse(bytes).ok()) {
        // The same text with other signatures under it.
        whole = there;
        let names: BTreeSet<String> = whole.signatures.iter().map(|signature| signature.name.clone()).collect();
        whole.signatures.extend(note.signatures.iter().filter(|signature| !names.contains(&signature.name)).cloned());
    }
    let content = subject.content();
    let bytes = whole.to_string().into_bytes();
    files.insert(content.0.clone(), content.1.clone());
    files.insert(path.clone(), bytes.clone());
    let after = Approvals::read(&files, &over.trust);
    let known: BTreeSet<String> = before.found().iter().map(|found| found.to_string()).collect();
    let broken = after.found().into_iter().find(|found| {
        !known.contains(&found.to_string()) && !matches!(found.flaw, crate::approval::Flaw::RosterNotInForce { .. })
    });
    if let Some(found) = broken {
        let message = format!("it does not fit what is there: {found}");
        let try_ = "another note came in between: export again and have that signed, or add to that note with --note";
        let failed = Failed::new(Exit::Wrong, "note_does_not_fit", message, try_);
        return Err(Failed { causes: vec![found.flaw.ko()], ..failed });
    }
    let standing = standing(&after, subject);
    Ok(Placed { note: (path, bytes), content, files, standing })
}

fn standing(approvals: &Approvals, subject: &Subject<'_>) -> String {
    match subject {
        Subject::Mapping(closure) => app::standing_told(&approvals.standing(closure, SystemClock.now())),
        Subject::Roster(roster) => {
            approvals.roster_standing(roster).map_or_else(|flaw| flaw.to_string(), |()| "in force".to_owned())
        }
        Subject::Policy(policy) => approvals
            .policy_standing(policy)
            .map_or_else(|flaw| flaw.to_string(), |at| format!("approved since {}", at.rfc3339())),
    }
}
