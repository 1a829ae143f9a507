//! Which version of every mapping the daemon runs on.
//!
//! Owns the choice and nothing else: it reads no file, verifies no signature (`approval` does) and swaps nothing
//! (`reload` does). Invariants: what an approved version covers is taken from that version and never from the folder
//! (fields, catalogue rows, policy, tables, partner, consent); a mapping without a version in force is not compiled, so
//! nothing is fetched for it and nothing rendered; what no version in force covers adds operational columns alone.
//!
//! Closures are independent, a daemon has one catalogue: where versions in force disagree about the rows of an object,
//! the ones that differ from the choice are held. The alternative, a layout a mapping, would read a view once for each.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::approval::{Approvals, Signed, Standing};
use crate::domain::{ObjectName, PartnerId, Timestamp};
use crate::evidence::Approved;
use crate::mapping::{Catalogue, FeedKind, MappingSet, MappingStatus, Object, Partner, Policy};
use crate::privacy::Closure;

/// Says where versions stand. `Approvals`; tests have simpler ones.
pub trait Judge {
    fn roster_head(&self) -> Option<String>;
    fn standing(&self, closure: &Closure, now: Timestamp) -> Standing;
    /// The newest kept version that is in force.
    fn in_force(&self, mapping: &str, now: Timestamp) -> Option<(Closure, Standing)>;
    /// Every genuine note, for the evidence log.
    fn notes(&self) -> Vec<Approved> {
        Vec::new()
    }
}

impl Judge for Approvals {
    fn roster_head(&self) -> Option<String> {
        Approvals::roster_head(self)
    }

    fn standing(&self, closure: &Closure, now: Timestamp) -> Standing {
        Approvals::standing(self, closure, now)
    }

    fn in_force(&self, mapping: &str, now: Timestamp) -> Option<(Closure, Standing)> {
        Approvals::in_force(self, mapping, now)
    }

    fn notes(&self) -> Vec<Approved> {
        let subjects = ["officers", "policy"].into_iter().chain(self.mappings());
        let of = |signed: &Signed| Approved {
            at: Timestamp::default(),
            subject: signed.header.subject.clone(),
            note: signed.digest.clone(),
            decision: signed.header.decision.code().to_owned(),
            signed_at: signed.header.signed_at,
            signers: signed.signers.iter().map(|signer| signer.name.to_string()).collect(),
        };
        subjects.flat_map(|subject| self.history(subject)).map(of).collect()
    }
}

/// Finds everything in force that stands in the folder.
pub struct Unjudged;

/// A version is in force by itself, and does not fit the others or what was in force before.
const HELD: &str = "held";
/// What stands for the note where there is none.
pub const NO_NOTE: &str = "none";

impl Judge for Unjudged {
    fn roster_head(&self) -> Option<String> {
        None
    }

    fn standing(&self, _: &Closure, _: Timestamp) -> Standing {
        Standing::InForce { note: NO_NOTE.to_owned(), until: Timestamp(i64::MAX) }
    }

    fn in_force(&self, _: &str, _: Timestamp) -> Option<(Closure, Standing)> {
        None
    }
}

/// A version that the daemon runs on.
#[derive(Debug, Clone)]
pub struct Running {
    pub closure: Closure,
    pub digest: String,
    /// Digest of the note that completed its quorum.
    pub note: String,
    pub until: Timestamp,
}

impl Running {
    pub fn partner(&self) -> &PartnerId {
        self.closure.partner_id()
    }

    pub fn kind(&self) -> FeedKind {
        self.closure.kind()
    }
}

/// One mapping, as `status` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    #[serde(rename = "mapping")]
    pub id: String,
    #[serde(skip)]
    pub partner: Option<PartnerId>,
    #[serde(skip)]
    pub kind: Option<FeedKind>,
    /// Version in force; none: the feed is held.
    pub version: Option<u32>,
    /// The folder's version, whatever is in force.
    #[serde(skip)]
    pub version_told: u32,
    pub digest: Option<String>,
    pub standing: &'static str,
    /// Is the feed about persons?
    #[serde(skip)]
    pub is_personal: bool,
    #[serde(skip)]
    pub until_at: Option<Timestamp>,
    pub until: Option<String>,
    /// Version in the folder that is not in force, with its digest.
    pub waiting: Option<String>,
    /// One line: why nothing is in force, or what the folder's version waits for.
    pub why: Option<String>,
}

/// What the daemon is to run on.
#[derive(Debug, Clone)]
pub struct InForce {
    /// Catalogue, partners and policy as far as they are in force, and all running mappings.
    pub set: MappingSet,
    /// By mapping id; active ones only.
    pub running: BTreeMap<String, Running>,
    /// By mapping id, every mapping of the folder.
    pub lines: BTreeMap<String, Line>,
    /// What concerns no single mapping: one line each.
    pub remarks: Vec<String>,
    /// Digest of the officers' roster.
    pub roster: Option<String>,
}

/// Twelve hex digits name a version to people, as in `approvals/`.
pub fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

pub fn code(standing: &Standing) -> &'static str {
    match standing {
        Standing::InForce { .. } => "in_force",
        Standing::Delayed { .. } => "delayed",
        Standing::Waiting { .. } => "waiting",
        Standing::Expired { .. } => "expired",
        Standing::Stopped { .. } => "stopped",
        Standing::Refused { .. } => "refused",
        Standing::Broken { .. } => "broken",
    }
}

/// One line, without digests.
pub fn told(standing: &Standing) -> String {
    match standing {
        Standing::InForce { until, .. } if until.0 == i64::MAX => "in force".to_owned(),
        Standing::InForce { until, .. } => format!("in force until {}", until.rfc3339()),
        Standing::Delayed { from } => format!("signed; takes effect at {}", from.rfc3339()),
        Standing::Waiting { have, need, why } => format!("{have} of {need} signatures: {why}"),
        Standing::Expired { at } => format!("the approval ended at {}", at.rfc3339()),
        Standing::Stopped { by, at } => format!("stopped by {by} at {}", at.rfc3339()),
        Standing::Refused { by, at } => format!("refused by {by} at {}", at.rfc3339()),
        Standing::Broken { why } => format!("not as signed: {why}"),
    }
}

/// Chooses among the folder's versions and those kept under `approvals/`.
pub fn choose(folder: MappingSet, judge: &dyn Judge, now: Timestamp) -> InForce {
    let roster = judge.roster_head();
    let folder = folder.with_roster(roster.clone());
    let mut choice = Choice { folder: &folder, running: BTreeMap::new(), lines: BTreeMap::new(), remarks: Vec::new() };
    for (partner, kind, mapping) in folder.mappings() {
        choice.mapping(judge, partner, kind, mapping.id.get_ref(), now);
    }
    let objects = choice.objects();
    let policy = choice.policy();
    let partners = choice.partners();
    let Choice { running, lines, remarks, .. } = choice;
    let (mut tables, mut consents, mut feeds) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for chosen in running.values() {
        tables.extend(chosen.closure.tables.clone());
        consents.extend(chosen.closure.consents.clone());
        feeds.insert((chosen.partner().clone(), chosen.kind()), chosen.closure.mapping.clone());
    }
    let set = MappingSet::assemble(objects, policy, partners, feeds, tables, consents, roster.clone());
    InForce { set, running, lines, remarks, roster }
}

struct Choice<'a> {
    folder: &'a MappingSet,
    running: BTreeMap<String, Running>,
    lines: BTreeMap<String, Line>,
    remarks: Vec<String>,
}

impl Choice<'_> {
    fn mapping(&mut self, judge: &dyn Judge, partner: &PartnerId, kind: FeedKind, id: &str, now: Timestamp) {
        let Some(own) = Closure::of(self.folder, partner, kind) else { return };
        let standing = judge.standing(&own, now);
        let mut line = Line {
            id: id.to_owned(),
            partner: Some(partner.clone()),
            kind: Some(kind),
            version: None,
            version_told: own.mapping.version,
            digest: None,
            is_personal: own.is_personal(),
            standing: code(&standing),
            until_at: None,
            until: None,
            waiting: None,
            why: None,
        };
        let is_in_force = matches!(standing, Standing::InForce { .. });
        if !is_in_force {
            line.waiting = Some(format!("v{} {}", own.mapping.version, short(&own.digest())));
            line.why = Some(told(&standing));
        }
        let chosen = match standing {
            Standing::InForce { note, until } => Some((own, note, until)),
            // 제공 중지 is about the data and not about the wording of one version.
            Standing::Stopped { .. } => None,
            _ => older(judge, partner, kind, id, now),
        };
        if let Some((closure, note, until)) = chosen {
            if closure.mapping.status == MappingStatus::Active {
                let digest = closure.digest();
                (line.version, line.digest) = (Some(closure.mapping.version), Some(short(&digest).to_owned()));
                (line.until_at, line.until) =
                    (Some(until), Some(until).filter(|at| at.0 != i64::MAX).map(Timestamp::rfc3339));
                line.standing = "in_force";
                self.running.insert(id.to_owned(), Running { closure, digest, note, until });
            } else {
                line.standing = status(closure.mapping.status);
            }
        }
        self.lines.insert(id.to_owned(), line);
    }

    fn hold(&mut self, ids: &[String], why: &str) {
        for id in ids {
            if let (Some(chosen), Some(line)) = (self.running.remove(id), self.lines.get_mut(id)) {
                (line.version, line.digest, line.until, line.until_at) = (None, None, None, None);
                line.standing = HELD;
                line.waiting = Some(format!("v{} {}", chosen.closure.mapping.version, short(&chosen.digest)));
                line.why = Some(why.to_owned());
            }
        }
    }

    /// The rows of every object: approved ones where a running mapping reads it, else the folder's.
    fn objects(&mut self) -> Catalogue {
        let mut by_object: BTreeMap<ObjectName, Vec<(String, Object)>> = BTreeMap::new();
        for (id, chosen) in &self.running {
            let object = chosen.closure.object.clone();
            by_object.entry(object.name.clone()).or_default().push((id.clone(), object));
        }
        let own = self.folder.catalogue();
        let mut rows: BTreeMap<ObjectName, Object> = BTreeMap::new();
        for (name, versions) in by_object {
            let wanted = own.object(name.as_str()).filter(|own| versions.iter().any(|(_, rows)| same(rows, *own)));
            let wanted = wanted.cloned().unwrap_or_else(|| versions[0].1.clone());
            let others = versions.iter().filter(|(_, rows)| !same(rows, &wanted)).map(|(id, _)| id.clone());
            let others: Vec<String> = others.collect();
            self.hold(&others, &format!("approved over other catalogue rows of {name} than those in force"));
            rows.insert(name, wanted);
        }
        let mut objects: Vec<Object> =
            own.objects.iter().map(|object| rows.remove(&object.name).unwrap_or_else(|| object.clone())).collect();
        objects.extend(rows.into_values());
        Catalogue { format: own.format, objects }
    }

    fn policy(&mut self) -> Policy {
        let own = self.folder.policy();
        let policies = self.running.values().map(|chosen| &chosen.closure.policy);
        let (agreed, chosen) = agreed(own, policies);
        let is_own = same(&chosen, own);
        if !agreed {
            let what = "mappings in force were approved under different policies: the folder's is not in force";
            self.remarks.push(what.to_owned());
        } else if !is_own {
            self.remarks.push("the folder's policy is not in force: an approved older one is".to_owned());
        }
        chosen
    }

    /// Partners with a mapping in force: who has none is not known, because nothing approved says how.
    fn partners(&mut self) -> BTreeMap<PartnerId, Partner> {
        let mut partners = BTreeMap::new();
        for id in self.folder.partners() {
            let Some(own) = self.folder.partner(id) else { continue };
            let of = self.running.values().filter(|chosen| chosen.partner() == id);
            let entries: Vec<&Partner> = of.map(|chosen| &chosen.closure.partner).collect();
            if entries.is_empty() {
                self.remarks.push(format!("{id} has no mapping in force: its calls are refused"));
                continue;
            }
            let (agreed, chosen) = agreed(own, entries.into_iter());
            if !agreed || !same(&chosen, own) {
                self.remarks.push(format!(
                    "the folder's entry of {id} in partners.toml is not in force: an approved older one is"
                ));
            }
            partners.insert(id.clone(), chosen);
        }
        partners
    }
}

/// What all agree on; else, and that is said, one that is not the folder's. Without any the folder's.
fn agreed<'a, T: Serialize + Clone + 'a>(own: &T, all: impl Iterator<Item = &'a T>) -> (bool, T) {
    let mut all: Vec<&T> = all.collect();
    let Some(first) = all.first().copied() else { return (true, own.clone()) };
    if all.iter().all(|one| same(*one, first)) {
        return (true, first.clone());
    }
    all.retain(|one| !same(*one, own));
    (false, all.first().map_or_else(|| own.clone(), |one| (*one).clone()))
}

/// As closures are compared: by content, not by where it stands in a file.
fn same<T: Serialize>(a: &T, b: &T) -> bool {
    serde_json::to_value(a).ok() == serde_json::to_value(b).ok()
}

fn older(
    judge: &dyn Judge,
    partner: &PartnerId,
    kind: FeedKind,
    id: &str,
    now: Timestamp,
) -> Option<(Closure, String, Timestamp)> {
    let (closure, standing) = judge.in_force(id, now)?;
    let is_it = closure.id() == id && closure.partner_id() == partner && closure.kind() == kind;
    match standing {
        Standing::InForce { note, until } if is_it => Some((closure, note, until)),
        _ => None,
    }
}

fn status(status: MappingStatus) -> &'static str {
    match status {
        MappingStatus::Draft => "draft",
        MappingStatus::Active => "active",
        MappingStatus::Retired => "retired",
    }
}

impl InForce {
    /// Takes a running mapping out, with a reason. Its partner stays known.
    pub fn hold(&mut self, id: &str, why: &str) {
        if let (Some(chosen), Some(line)) = (self.running.remove(id), self.lines.get_mut(id)) {
            (line.version, line.digest, line.until, line.until_at) = (None, None, None, None);
            (line.standing, line.why) = (HELD, Some(why.to_owned()));
            line.waiting = Some(format!("v{} {}", chosen.closure.mapping.version, short(&chosen.digest)));
        }
    }

    /// The set that one mapping is compiled from: its own policy, partner, tables and consents, over the rows that all
    /// share, so that its columns stand where capture puts them.
    pub fn set_of(&self, chosen: &Running) -> MappingSet {
        let closure = &chosen.closure;
        let feeds = self.running.values().map(|r| ((r.partner().clone(), r.kind()), r.closure.mapping.clone()));
        MappingSet::assemble(
            self.set.catalogue().clone(),
            closure.policy.clone(),
            BTreeMap::from([(chosen.partner().clone(), closure.partner.clone())]),
            feeds.collect(),
            closure.tables.clone(),
            closure.consents.clone(),
            closure.roster.clone(),
        )
    }

    /// Mappings that publish nothing because no version is in force: partner, kind, line.
    pub fn held(&self) -> impl Iterator<Item = (&PartnerId, FeedKind, &Line)> {
        let is_held = |line: &&Line| line.version.is_none() && !matches!(line.standing, "draft" | "retired");
        self.lines.values().filter(is_held).filter_map(|line| Some((line.partner.as_ref()?, line.kind?, line)))
    }
}

#[cfg(test)]
pub mod tests;
