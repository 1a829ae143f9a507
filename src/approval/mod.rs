//! Who may say yes, and whether they did: rosters, signed notes, quorum, standing of a mapping version.
//!
//! Pure: files, keys and instants are arguments; signatures are verified here and made elsewhere.
//!
//! # Files
//! ```text
//! officers.toml                             the roster as it is written; in force only once it is chained
//! approvals/officers/<digest12>.toml        every roster since the first one
//! approvals/officers/<digest12>.note        signatures of the one before; further notes <digest12>-2.note, -3 …
//! approvals/policy/<digest12>.{json,note}   policies that replaced another one
//! approvals/<mapping>/<digest12>.json       a version: its closure, RFC 8785
//! approvals/<mapping>/<digest12>.note       what officers signed about it; -2, -3 …
//! ```
//! `<digest12>` is where to look, never what to believe: every byte of a version, a note and a roster's typed model is
//! held against a digest or a signature.
//!
//! # Invariants
//! - A note counts only if its text is, byte for byte, what is rendered from the version, the version before and the
//!   values in its head. The verdict is found anew, never read.
//! - Notes about a mapping form one line; what is not on it breaks the standing of the mapping, for what is broken may
//!   have been a stop. A stop holds from beside the line until an approval names it.
//! - What an approval replaced does not come back when the approval ends.
//! - A key that the roster in force no longer has is withdrawn: nothing that it ever signed counts, and what was
//!   compared with such an approval does not count either. Who leaves in good standing is `retired` and keeps the past.
//! - A deletion of the newest notes cannot be seen in the files: `read_after` takes the heads that were seen before.
//!
//! # What is not believed but cannot be refuted here
//! The time of a signature is stated by whoever signs. Notes of a line may not go back in time, and a wider mapping
//! waits for its delay from the stated time; officers who state a false time together are not found out.
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::iter_over_hash_type))]

mod chain;
mod draft;
mod flaw;
mod header;
mod key;
mod note;
mod policies;
mod quorum;
mod roster;
mod signed;
mod subject;
#[cfg(test)]
mod tests;
mod text;
mod timeline;
mod versions;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::Timestamp;
use crate::lint::{self, Verdict};
use crate::mapping::Policy;
use crate::privacy::Closure;

use chain::Rosters;
use flaw::short;
use policies::Policies;
use quorum::Need;
use signed::Verifier;
use subject::{Compare, OFFICERS};
use timeline::Timeline;
use versions::Versions;

pub use draft::{Choice, Draft};
pub use flaw::Flaw;
pub use header::{Decision, Deputy, Header, Opinion, in_fours};
pub use key::{NotAKey, PublicKey, SignerName, possession_text};
pub use note::{Note, NoteSignature};
pub use roster::{Delegation, KeyEntry, Officer, OfficerRole, Place, Roster, delegation_text};
pub use signed::{Signed, Signer};
pub use subject::{Subject, policy_digest};

/// What a deployment trusts from the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// First line of every note: `[daemon] origin`.
    pub origin: String,
    /// Digest of the first roster: `[mappings] genesis`.
    pub genesis: Option<String>,
    /// Only the demonstration: are officers marked as demonstration believed?
    pub demonstration: Demonstration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demonstration {
    Accepted,
    Refused,
}

/// Where a mapping version stands at an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    InForce {
        /// Digest of the note that completed the quorum.
        note: String,
        /// First instant at which it no longer is.
        until: Timestamp,
    },
    /// Signed; takes effect later (24 h after the last needed signature of a wider mapping).
    Delayed {
        from: Timestamp,
    },
    /// Signatures are missing: how many are there and needed.
    Waiting {
        have: u32,
        need: u32,
        why: String,
    },
    Expired {
        at: Timestamp,
    },
    /// 제공 중지.
    Stopped {
        by: String,
        at: Timestamp,
    },
    /// 보완 요구 or 반려.
    Refused {
        by: String,
        at: Timestamp,
    },
    /// Something is not as signed; one line that says what.
    Broken {
        why: String,
    },
}

/// Something in the folder that is not believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub path: String,
    pub flaw: Flaw,
}

impl Found {
    fn new(path: &str, flaw: Flaw) -> Found {
        Found { path: path.to_owned(), flaw }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.flaw)
    }
}

/// The newest of what was seen about a mapping: recorded elsewhere, so that a deletion is found. Of the rosters
/// (`officers`), `note` is the digest of the one in force.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    pub note: Option<String>,
    pub stops: BTreeSet<String>,
}

/// `officers.toml` and `approvals/`, read and verified as far as they go by themselves.
#[derive(Debug, Clone)]
pub struct Approvals {
    trust: Trust,
    compare: Compare,
    rosters: Rosters,
    policies: Policies,
    mappings: BTreeMap<String, Kept>,
}

#[derive(Debug, Clone)]
struct Kept {
    versions: Versions,
    timeline: Timeline,
}

impl Approvals {
    /// From the bytes of a mappings folder. Never fails: what cannot be read or verified breaks the standing of what it
    /// is about, with its reason.
    pub fn read(files: &BTreeMap<String, Vec<u8>>, trust: &Trust) -> Approvals {
        Approvals::read_after(files, trust, &BTreeMap::new())
    }

    /// As `read`; what was seen before (`heads`) and is no longer there breaks what it is about.
    pub fn read_after(
        files: &BTreeMap<String, Vec<u8>>,
        trust: &Trust,
        recorded: &BTreeMap<String, Head>,
    ) -> Approvals {
        Approvals::read_with(files, trust, recorded, lint::compare)
    }

    fn read_with(
        files: &BTreeMap<String, Vec<u8>>,
        trust: &Trust,
        recorded: &BTreeMap<String, Head>,
        compare: Compare,
    ) -> Approvals {
        let rosters = Rosters::walk(files, trust, compare);
        let verifier = Verifier { trust, rosters: &rosters.by_digest, head: rosters.head(), compare };
        let policies = Policies::read(files, &verifier);
        let mut ids: BTreeSet<&str> = recorded.keys().map(String::as_str).collect();
        ids.extend(files.keys().filter_map(|path| path.strip_prefix("approvals/")?.split_once('/')).map(|(id, _)| id));
        ids.retain(|id| *id != OFFICERS && *id != subject::POLICY);
        let lost = recorded.get(OFFICERS).and_then(|head| head.note.as_ref());
        let lost = lost.filter(|digest| !rosters.chain.contains(digest));
        let mut mappings = BTreeMap::new();
        for id in ids {
            let mut versions = Versions::read(files, id, &verifier);
            if let Some(head) = recorded.get(id) {
                versions.after(id, head);
            }
            if let Some(digest) = lost {
                let what = format!("roster {}", short(digest));
                versions.found.push(Found::new("approvals/officers", Flaw::RolledBack { what }));
            }
            let timeline = Timeline::read(&mut versions, &policies, compare);
            mappings.insert(id.to_owned(), Kept { versions, timeline });
        }
        Approvals { trust: trust.clone(), compare, rosters, policies, mappings }
    }

    /// Digest of the roster in force, which closures cover.
    pub fn roster_head(&self) -> Option<String> {
        self.rosters.chain.last().cloned()
    }

    /// The roster in force.
    pub fn roster(&self) -> Option<&Roster> {
        self.rosters.head()
    }

    /// A roster of the chain, for instance the one that a note was signed under.
    pub fn roster_of(&self, digest: &str) -> Option<&Roster> {
        self.rosters.by_digest.get(digest)
    }

    /// Where this version stands.
    pub fn standing(&self, closure: &Closure, now: Timestamp) -> Standing {
        self.judge(closure, now).0
    }

    /// The standing and, for pages, its reasons in Korean.
    pub fn standing_ko(&self, closure: &Closure, now: Timestamp) -> (Standing, Vec<String>) {
        let (standing, why) = self.judge(closure, now);
        (standing, why.iter().map(Flaw::ko).collect())
    }

    /// The newest version of the mapping that is in force, out of the closures kept under `approvals/<mapping>/`.
    pub fn in_force(&self, mapping: &str, now: Timestamp) -> Option<(Closure, Standing)> {
        let kept = self.mappings.get(mapping)?;
        let current = kept.timeline.current(now)?;
        let closure = kept.versions.closures.get(&current.digest)?;
        match self.standing(closure, now) {
            standing @ Standing::InForce { .. } => Some((closure.clone(), standing)),
            _ => None,
        }
    }

    /// Every genuine note about a mapping (or `officers`, or `policy`): the line from the first on, then stops.
    pub fn history(&self, subject: &str) -> Vec<&Signed> {
        match subject {
            OFFICERS => self.rosters.notes.iter().collect(),
            subject::POLICY => self.policies.notes.iter().collect(),
            mapping => {
                let versions = self.mappings.get(mapping).map(|kept| &kept.versions);
                versions.map_or_else(Vec::new, |kept| kept.line.iter().chain(&kept.stops).collect())
            }
        }
    }

    /// A version kept under `approvals/`.
    pub fn version(&self, mapping: &str, digest: &str) -> Option<&Closure> {
        self.mappings.get(mapping)?.versions.closures.get(digest)
    }

    /// Ids of the mappings about which anything is kept or recorded.
    pub fn mappings(&self) -> impl Iterator<Item = &str> {
        self.mappings.keys().map(String::as_str)
    }

    /// Everything that is not believed, each in one line.
    pub fn found(&self) -> Vec<&Found> {
        let kept = self.mappings.values().flat_map(|kept| &kept.versions.found);
        self.rosters.found.iter().chain(&self.policies.found).chain(kept).collect()
    }

    /// What to record of a mapping, so that `read_after` finds what is missing later.
    pub fn head(&self, mapping: &str) -> Option<Head> {
        self.mappings.get(mapping).map(|kept| kept.versions.head())
    }

    /// `head` of every mapping whose notes hold together, and of `officers`.
    pub fn heads(&self) -> BTreeMap<String, Head> {
        let whole = self.mappings.iter().filter(|(_, kept)| kept.versions.found.is_empty());
        let mut heads: BTreeMap<String, Head> = whole.map(|(id, kept)| (id.clone(), kept.versions.head())).collect();
        if let Some(roster) = self.roster_head() {
            heads.insert(OFFICERS.to_owned(), Head { note: Some(roster), stops: BTreeSet::new() });
        }
        heads
    }

    /// Is this the roster in force?
    ///
    /// # Errors
    /// What it lacks.
    pub fn roster_standing(&self, roster: &Roster) -> Result<(), Flaw> {
        let digest = roster.digest();
        if self.rosters.chain.last() == Some(&digest) {
            return Ok(());
        }
        if self.rosters.chain.contains(&digest) {
            let head = self.roster_head().unwrap_or_default();
            return Err(Flaw::Superseded { digest: short(&head) });
        }
        Err(self.rosters.waiting.get(&digest).cloned().unwrap_or(Flaw::UnknownRoster { digest: short(&digest) }))
    }

    /// Since when a policy is approved by notes of its own.
    ///
    /// # Errors
    /// What it lacks.
    pub fn policy_standing(&self, policy: &Policy) -> Result<Timestamp, Flaw> {
        let digest = policy_digest(policy);
        let unsigned = Flaw::PolicyUnsigned { digest: short(&digest) };
        self.policies.standing.get(&digest).cloned().unwrap_or(Err(unsigned))
    }

    fn judge(&self, closure: &Closure, now: Timestamp) -> (Standing, Vec<Flaw>) {
        let broken = |flaw: Flaw| (Standing::Broken { why: flaw.to_string() }, vec![flaw]);
        if self.rosters.chain.is_empty() {
            let mut found = self.rosters.found.iter().map(|found| &found.flaw);
            let flaw = found.rfind(|f| matches!(f, Flaw::NoGenesis | Flaw::GenesisMissing { .. }));
            return broken(flaw.cloned().unwrap_or(Flaw::NoGenesis));
        }
        let Some(kept) = self.mappings.get(closure.id()) else {
            return self.unsigned(closure, None, Flaw::Missing { have: 0, need: self.need(closure, None).signatures });
        };
        if let Some(found) = kept.versions.found.first() {
            let flaw = found.flaw.clone();
            return (Standing::Broken { why: found.to_string() }, vec![flaw]);
        }
        let stop = kept.versions.stops.iter().rev().find(|stop| {
            !stop.signers.iter().all(|signer| signer.uncounted.is_some()) && !kept.timeline.lifted(&stop.digest, now)
        });
        if let Some(stop) = stop {
            let by = stop.by();
            return (
                Standing::Stopped { by: by.clone(), at: stop.header.signed_at },
                vec![Flaw::Refused { officer: by }],
            );
        }
        self.approved(kept, closure, now).unwrap_or_else(|| self.not_yet(kept, closure, now))
    }

    /// The standing by an approval that is complete, of this version or of one that says the same.
    fn approved(&self, kept: &Kept, closure: &Closure, now: Timestamp) -> Option<(Standing, Vec<Flaw>)> {
        let digest = closure.digest();
        let current = kept.timeline.current(now);
        let ahead =
            kept.timeline.approved.iter().rev().find(|a| a.digest == digest && now < a.from && a.from < a.until);
        let delayed = ahead.map(|ahead| (Standing::Delayed { from: ahead.from }, Vec::new()));
        let Some(current) = current else { return delayed };
        let is_same = current.digest == digest || self.is_same(kept, &current.digest, closure);
        if !is_same {
            return delayed;
        }
        if now < current.until {
            return Some((Standing::InForce { note: current.note.clone(), until: current.until }, Vec::new()));
        }
        delayed.or_else(|| {
            let is_pending = kept.timeline.pending.get(&digest).is_some_and(|pending| pending.have() > 0);
            let ended = Flaw::Ended { at: current.until };
            (!is_pending).then(|| (Standing::Expired { at: current.until }, vec![ended]))
        })
    }

    /// Says the version the same as the approved one? Then it needs no signature; a changed policy needs its own.
    fn is_same(&self, kept: &Kept, approved: &str, closure: &Closure) -> bool {
        let Some(approved) = kept.versions.closures.get(approved) else { return false };
        (self.compare)(Some(approved), closure).verdict == Verdict::Same
            && timeline::policy_since(Some(&approved.policy), &closure.policy, &self.policies).is_ok()
    }

    fn not_yet(&self, kept: &Kept, closure: &Closure, now: Timestamp) -> (Standing, Vec<Flaw>) {
        let digest = closure.digest();
        if let Some(refusal) = kept.timeline.refused.get(&digest) {
            let why = vec![Flaw::Refused { officer: refusal.by.clone() }];
            return (Standing::Refused { by: refusal.by.clone(), at: refusal.at }, why);
        }
        if let Some(pending) = kept.timeline.pending.get(&digest) {
            let lines: Vec<String> = pending.why.iter().map(Flaw::to_string).collect();
            let (have, need) = (pending.have(), pending.need.signatures);
            return (Standing::Waiting { have, need, why: lines.join("; ") }, pending.why.clone());
        }
        let before = kept.timeline.base(now).and_then(|base| kept.versions.closures.get(base));
        if let Some(before) = before
            && let Err(flaw) = timeline::policy_since(Some(&before.policy), &closure.policy, &self.policies)
        {
            return self.unsigned(closure, Some(before), flaw);
        }
        let was_approved = kept.timeline.approved.iter().any(|approved| approved.digest == digest);
        let flaw = match kept.timeline.current(now).filter(|_| was_approved) {
            Some(current) => Flaw::Superseded { digest: short(&current.digest) },
            None => Flaw::Missing { have: 0, need: self.need(closure, before).signatures },
        };
        self.unsigned(closure, before, flaw)
    }

    fn unsigned(&self, closure: &Closure, before: Option<&Closure>, why: Flaw) -> (Standing, Vec<Flaw>) {
        let need = self.need(closure, before).signatures;
        (Standing::Waiting { have: 0, need, why: why.to_string() }, vec![why])
    }

    fn need(&self, closure: &Closure, before: Option<&Closure>) -> Need {
        let verdict = (self.compare)(before, closure).verdict;
        Need::of(verdict, before.map(|before| &before.policy), &closure.policy)
    }
}

/// Files of `approvals/<name>/`: path, name in the folder, bytes. Markdown is for people.
fn folder<'a>(files: &'a BTreeMap<String, Vec<u8>>, name: &str) -> impl Iterator<Item = (&'a str, &'a str, &'a [u8])> {
    let prefix = format!("approvals/{name}/");
    files.iter().filter_map(move |(path, bytes)| {
        let file = path.strip_prefix(&prefix)?;
        (!file.ends_with(".md")).then_some((path.as_str(), file, bytes.as_slice()))
    })
}

/// `1a2b3c4d5e6f` of `1a2b3c4d5e6f.note` and `1a2b3c4d5e6f-2.note`.
fn note_stem(file: &str) -> Option<&str> {
    let stem = file.strip_suffix(".note")?;
    match stem.split_once('-') {
        Some((stem, number)) => (!number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())).then_some(stem),
        None => Some(stem),
    }
}
