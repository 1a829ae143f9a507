//! The chain of rosters: from the pinned first one, each signed by a quorum of the one before.

use std::collections::BTreeMap;

use super::flaw::{Flaw, short};
use super::note::Note;
use super::quorum::{Gathered, Need};
use super::roster::Roster;
use super::signed::{Signed, Verifier};
use super::subject::{Compare, OFFICERS, Subject};
use super::{Found, Trust, folder, note_stem};

#[derive(Debug, Clone, Default)]
pub(super) struct Rosters {
    /// From the first to the one in force.
    pub chain: Vec<String>,
    pub by_digest: BTreeMap<String, Roster>,
    /// Well-formed ones that are not on the chain, and what they lack.
    pub waiting: BTreeMap<String, Flaw>,
    pub notes: Vec<Signed>,
    pub found: Vec<Found>,
}

/// Files of `approvals/officers/` sorted out.
struct Folder<'a> {
    /// By digest.
    rosters: BTreeMap<String, Roster>,
    /// By the twelve characters that their files are named by, with the path.
    notes: BTreeMap<&'a str, Vec<(&'a str, Note)>>,
    /// Digest of `officers.toml`.
    current: Option<String>,
}

impl Rosters {
    pub fn head(&self) -> Option<&Roster> {
        self.by_digest.get(self.chain.last()?)
    }

    pub fn walk(files: &BTreeMap<String, Vec<u8>>, trust: &Trust, compare: Compare) -> Rosters {
        let mut rosters = Rosters::default();
        let kept = rosters.sort_out(files, trust);
        let Some(genesis) = &trust.genesis else {
            rosters.found.push(Found::new("officers.toml", Flaw::NoGenesis));
            return rosters;
        };
        let Some(first) = kept.rosters.get(genesis).filter(|roster| roster.previous.is_none()) else {
            rosters.found.push(Found::new("officers.toml", Flaw::GenesisMissing { digest: short(genesis) }));
            return rosters;
        };
        rosters.chain.push(genesis.clone());
        rosters.by_digest.insert(genesis.clone(), first.clone());
        while rosters.step(&kept, trust, compare) {}
        rosters.judge_current(&kept);
        rosters
    }

    fn sort_out<'a>(&mut self, files: &'a BTreeMap<String, Vec<u8>>, trust: &Trust) -> Folder<'a> {
        let mut kept = Folder { rosters: BTreeMap::new(), notes: BTreeMap::new(), current: None };
        if let Some(bytes) = files.get("officers.toml") {
            match Roster::parse(bytes, &trust.origin) {
                Ok(roster) => {
                    let digest = roster.digest();
                    kept.rosters.insert(digest.clone(), roster);
                    kept.current = Some(digest);
                }
                Err(flaw) => {
                    let why = flaw.to_string();
                    self.found.push(Found::new("officers.toml", Flaw::RosterNotInForce { why }));
                }
            }
        }
        for (path, name, bytes) in folder(files, OFFICERS) {
            let read = if let Some(stem) = name.strip_suffix(".toml") {
                Roster::parse(bytes, &trust.origin).and_then(|roster| {
                    let digest = roster.digest();
                    if short(&digest) != stem {
                        return Err(Flaw::Misplaced { what: format!("{name} holds the roster {}", short(&digest)) });
                    }
                    kept.rosters.insert(digest, roster);
                    Ok(())
                })
            } else if let Some(stem) = note_stem(name) {
                Note::parse(bytes).map(|note| kept.notes.entry(stem).or_default().push((path, note)))
            } else {
                Err(Flaw::Misplaced { what: format!("{name} is neither a roster nor a note") })
            };
            if let Err(flaw) = read {
                self.found.push(Found::new(path, flaw));
            }
        }
        kept
    }

    /// Goes on to the one roster that a quorum of the last one signed. Bounded by the number of files: a digest cannot
    /// name itself as the one before.
    fn step(&mut self, kept: &Folder<'_>, trust: &Trust, compare: Compare) -> bool {
        let Some(last) = self.chain.last().cloned() else { return false };
        let mut signed: Vec<&String> = Vec::new();
        for (digest, roster) in kept.rosters.iter().filter(|(_, roster)| roster.previous.as_ref() == Some(&last)) {
            match self.quorum(kept, digest, roster, trust, compare) {
                Ok(()) => signed.push(digest),
                Err(flaw) => {
                    self.waiting.insert(digest.clone(), flaw);
                }
            }
        }
        match signed.as_slice() {
            [] => false,
            [one] => {
                self.by_digest.insert((*one).clone(), kept.rosters[*one].clone());
                self.chain.push((*one).clone());
                true
            }
            _ => {
                self.found.push(Found::new("approvals/officers", Flaw::RosterFork { digest: short(&last) }));
                false
            }
        }
    }

    fn quorum(
        &mut self,
        kept: &Folder<'_>,
        digest: &str,
        roster: &Roster,
        trust: &Trust,
        compare: Compare,
    ) -> Result<(), Flaw> {
        let before = self.chain.last().and_then(|last| self.by_digest.get(last));
        let before = before.ok_or_else(|| Flaw::UnknownRoster { digest: short(digest) })?;
        let verifier = Verifier { trust, rosters: &self.by_digest, head: None, compare };
        let none = BTreeMap::new();
        let need = Need::wider(before.quorum);
        let mut gathered = Gathered::default();
        let mut why: Vec<Flaw> = Vec::new();
        let mut notes = Vec::new();
        let mut refused = None;
        let of_it = kept.notes.get(short(digest).as_str());
        for (path, note) in of_it.into_iter().flatten() {
            let verified = verifier.verify(path, note.clone(), &Subject::Roster(roster), &none);
            let verified = verified.and_then(|note| match roster.previous.as_ref() == Some(&note.header.roster) {
                true => Ok(note),
                false => Err(Flaw::OtherRoster),
            });
            match verified {
                Ok(note) => notes.push(note),
                Err(flaw) => {
                    self.found.push(Found::new(path, flaw.clone()));
                    why.push(flaw);
                }
            }
        }
        for note in &mut notes {
            refused = refused.or(refusal(note));
            gather(&mut gathered, note, &mut why);
        }
        self.notes.extend(notes);
        if let Some(flaw) = refused {
            return Err(flaw);
        }
        gathered.meets(need).map_err(|flaw| {
            let why: String = std::iter::once(flaw).chain(why).map(|flaw| format!("; {flaw}")).collect();
            Flaw::RosterUnsigned { digest: short(digest), have: gathered.have(), need: need.signatures, why }
        })
    }

    /// `officers.toml` is where the next roster is written; what is in force does not hang on it.
    fn judge_current(&mut self, kept: &Folder<'_>) {
        let Some(current) = &kept.current else { return };
        let why = if Some(current) == self.chain.last() {
            return;
        } else if self.chain.contains(current) {
            format!("{} was replaced", short(current))
        } else if let Some(flaw) = self.waiting.get(current) {
            flaw.to_string()
        } else {
            format!("{} is not chained to the first one", short(current))
        };
        self.found.push(Found::new("officers.toml", Flaw::RosterNotInForce { why }));
    }
}

/// Counts the note's signatures; notes at each why it does not count.
pub(super) fn gather(gathered: &mut Gathered, note: &mut Signed, why: &mut Vec<Flaw>) {
    if note.header.decision.is_yes() {
        gathered.exclude(&note.header.author);
        for signer in note.signers.iter_mut().filter(|signer| signer.uncounted.is_none()) {
            signer.uncounted = gathered.add(signer).err();
        }
    }
    why.extend(note.signers.iter().filter_map(|signer| signer.uncounted.clone()));
}

/// Is the note a refusal by somebody who may refuse?
pub(super) fn refusal(note: &Signed) -> Option<Flaw> {
    let by = note.counted().next().filter(|_| note.header.decision.is_refusal())?;
    Some(Flaw::Refused { officer: by.name.officer.clone() })
}
