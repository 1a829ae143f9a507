//! `mappings verify`: every version, note and roster of a folder held against what was signed. Needs no network.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::over::{Over, Place, closures};
use crate::app;
use crate::approval::{Approvals, Flaw, Signed, Standing};
use crate::cli::{Exit, Failed, Out};
use crate::clock::{Clock, SystemClock};
use crate::demo::officers;
use crate::privacy::Closure;

/// Every text is rendered again and must be, byte for byte, what was signed. Exits with 1 if anything is not.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// Mapping, for instance naver.slots; without one, all.
    #[arg(value_name = "MAPPING")]
    mapping: Option<String>,
    #[command(flatten)]
    place: Place,
    /// Believe the demonstration's officers, whose keys everybody knows: for the shipped mappings.
    #[arg(long, conflicts_with_all = ["config", "origin", "genesis", "bundle"])]
    demonstration: bool,
}

pub fn verify(args: &VerifyArgs, out: &mut Out) -> Result<Exit, Failed> {
    let over = match args.demonstration {
        true => Over::of_folder(&args.place.folder.dir, officers::trust())?,
        false => args.place.open()?,
    };
    let approvals = over.approvals(&BTreeMap::new());
    let set = over.set(&approvals)?;
    if let Some(id) = &args.mapping {
        super::show::closure_of(&set, id)?;
    }
    let is_wanted = |id: &str| args.mapping.as_ref().is_none_or(|wanted| wanted == id);
    let now = SystemClock.now();
    let lines: Vec<(Closure, Standing)> = closures(&set)
        .filter(|closure| is_wanted(closure.id()))
        .map(|closure| {
            let standing = approvals.standing(&closure, now);
            (closure, standing)
        })
        .collect();
    let (waiting, broken): (Vec<_>, Vec<_>) =
        approvals.found().into_iter().partition(|found| matches!(found.flaw, Flaw::RosterNotInForce { .. }));
    let is_broken = !broken.is_empty() || lines.iter().any(|(_, standing)| matches!(standing, Standing::Broken { .. }));
    if out.is_json() {
        let text = |found: &&crate::approval::Found| json!({ "path": found.path, "why": found.flaw.to_string(), "why_ko": found.flaw.ko() });
        let mappings: Vec<Value> =
            lines.iter().map(|(closure, standing)| to_json(&approvals, closure, standing)).collect();
        out.value(&json!({
            "ok": !is_broken, "origin": over.trust.origin, "roster": approvals.roster_head(), "mappings": mappings,
            "broken": broken.iter().map(text).collect::<Vec<_>>(), "waiting": waiting.iter().map(text).collect::<Vec<_>>(),
        }));
    } else {
        out.text(&head(&over, &approvals));
        for (closure, standing) in &lines {
            out.text(&told(&approvals, closure, standing));
        }
        waiting.iter().for_each(|found| out.line(&format!("waiting: {found}")));
        broken.iter().for_each(|found| out.line(&format!("broken: {found}\n  {}", found.flaw.ko())));
        out.line(if is_broken { "not everything is as signed" } else { "everything is as signed" });
    }
    Ok(if is_broken { Exit::Wrong } else { Exit::Done })
}

fn head(over: &Over, approvals: &Approvals) -> String {
    let roster = approvals.roster().map_or_else(
        || "no roster is in force".to_owned(),
        |roster| format!("roster {} ({}), {} officers", roster.version, &roster.digest()[..12], roster.officers.len()),
    );
    format!("{}: {roster}\n", over.trust.origin)
}

fn told(approvals: &Approvals, closure: &Closure, standing: &Standing) -> String {
    let (version, digest) = (closure.mapping.version, closure.digest());
    let mut text = format!("{} v{version} #{}: {}\n", closure.id(), &digest[..12], app::standing_told(standing));
    for note in approvals.history(closure.id()) {
        let which = if note.header.digest == digest { "this version" } else { &note.header.digest[..12] };
        let decision = format!("{} ({})", note.header.decision.ko(), note.header.opinion.ko());
        text.push_str(&format!("  {} {decision} {which}, {}\n", note.header.signed_at.rfc3339(), signers(note)));
    }
    text
}

fn signers(note: &Signed) -> String {
    let told = |signer: &crate::approval::Signer| {
        let why = signer.uncounted.as_ref().map_or_else(String::new, |flaw| format!(" (does not count: {flaw})"));
        format!("{} {} [{}]{why}", signer.name, signer.role.ko(), signer.place.ko())
    };
    note.signers.iter().map(told).collect::<Vec<_>>().join(", ")
}

fn to_json(approvals: &Approvals, closure: &Closure, standing: &Standing) -> Value {
    let digest = closure.digest();
    let until = match standing {
        Standing::InForce { until, .. } => Some(until.rfc3339()),
        _ => None,
    };
    let notes = approvals.history(closure.id()).into_iter().map(|note| {
        let signers = note.signers.iter().map(|signer| {
            json!({
                "signer": signer.name.to_string(), "role": signer.role.code(), "place": signer.place,
                "counts": signer.uncounted.is_none(), "why_not": signer.uncounted.as_ref().map(Flaw::to_string),
            })
        });
        json!({
            "note": note.digest, "path": note.path, "decision": note.header.decision.code(), "digest": note.header.digest,
            "signed_at": note.header.signed_at.rfc3339(), "signers": signers.collect::<Vec<_>>(),
        })
    });
    json!({
        "mapping": closure.id(), "version": closure.mapping.version, "digest": digest, "until": until,
        "standing": app::standing_code(standing), "told": app::standing_told(standing), "notes": notes.collect::<Vec<_>>(),
    })
}
