//! What is kept about one mapping: its versions and notes, held against each other and put in order.
//!
//! Notes but stops form one line, each naming the one before. A stop stands beside the line: it holds from whatever
//! folder it was signed over, until an approval names it.

use std::collections::{BTreeMap, BTreeSet};

use crate::privacy::Closure;

use super::flaw::{Flaw, short};
use super::header::Decision;
use super::note::Note;
use super::signed::{Signed, Verifier};
use super::subject::Subject;
use super::{Found, Head, folder, note_stem};

#[derive(Debug, Clone, Default)]
pub(super) struct Versions {
    /// By approval digest.
    pub closures: BTreeMap<String, Closure>,
    /// From the first to the newest.
    pub line: Vec<Signed>,
    pub stops: Vec<Signed>,
    /// Anything that is not as signed: then nothing about the mapping is believed, for what is broken may have been a
    /// stop or a refusal.
    pub found: Vec<Found>,
}

impl Versions {
    pub fn read(files: &BTreeMap<String, Vec<u8>>, mapping: &str, verifier: &Verifier<'_>) -> Versions {
        let mut versions = Versions::default();
        let mut notes = Vec::new();
        for (path, name, bytes) in folder(files, mapping) {
            let read = if let Some(stem) = name.strip_suffix(".json") {
                closure(bytes, mapping, stem).map(|(digest, closure)| {
                    versions.closures.insert(digest, closure);
                })
            } else if let Some(stem) = note_stem(name) {
                Note::parse(bytes).map(|note| notes.push((path, stem, note)))
            } else {
                Err(Flaw::Misplaced { what: format!("{name} is neither a version nor a note") })
            };
            if let Err(flaw) = read {
                versions.found.push(Found::new(path, flaw));
            }
        }
        let mut signed = Vec::new();
        for (path, stem, note) in notes {
            let about = versions.closures.iter().find(|(digest, _)| short(digest) == stem);
            let verified = match about {
                Some((_, closure)) => verifier.verify(path, note, &Subject::Mapping(closure), &versions.closures),
                None => Err(Flaw::VersionMissing { digest: stem.to_owned() }),
            };
            match verified {
                Ok(note) => signed.push(note),
                Err(flaw) => versions.found.push(Found::new(path, flaw)),
            }
        }
        versions.put_in_order(signed);
        versions
    }

    fn put_in_order(&mut self, signed: Vec<Signed>) {
        let (mut stops, line): (Vec<Signed>, Vec<Signed>) =
            signed.into_iter().partition(|note| note.header.decision == Decision::Stop);
        stops.sort_by(|a, b| (a.header.signed_at, &a.digest).cmp(&(b.header.signed_at, &b.digest)));
        stops.dedup_by(|a, b| a.digest == b.digest);
        self.stops = stops;
        let mut following: BTreeMap<Option<String>, Vec<Signed>> = BTreeMap::new();
        for note in line {
            following.entry(note.header.previous.clone()).or_default().push(note);
        }
        let mut last = None;
        while let Some(mut next) = following.remove(&last) {
            if next.len() > 1 {
                let after = last.as_deref().map_or("no note".to_owned(), short);
                self.found.push(Found::new(&next[1].path, Flaw::NoteFork { after }));
                return;
            }
            last = next.first().map(|note| note.digest.clone());
            self.line.append(&mut next);
        }
        for (previous, orphans) in following {
            let digest = previous.as_deref().map_or_else(String::new, short);
            for orphan in orphans {
                self.found.push(Found::new(&orphan.path, Flaw::PreviousMissing { digest: digest.clone() }));
            }
        }
    }

    pub fn head(&self) -> Head {
        Head {
            note: self.line.last().map(|note| note.digest.clone()),
            stops: self.stops.iter().map(|stop| stop.digest.clone()).collect(),
        }
    }

    /// Is everything there that was recorded?
    pub fn after(&mut self, mapping: &str, recorded: &Head) {
        let stops: BTreeSet<&String> = self.stops.iter().map(|stop| &stop.digest).collect();
        let lost = |digest: &&String| !self.line.iter().any(|note| note.digest == **digest);
        let note = recorded.note.iter().find(lost);
        let lost = note.or_else(|| recorded.stops.iter().find(|stop| !stops.contains(stop)));
        if let Some(lost) = lost {
            let what = format!("note {} of {mapping}", short(lost));
            self.found.push(Found::new(&format!("approvals/{mapping}"), Flaw::RolledBack { what }));
        }
    }
}

/// A version as it was written, byte for byte.
fn closure(bytes: &[u8], mapping: &str, stem: &str) -> Result<(String, Closure), Flaw> {
    let bad = |what: String| Flaw::NotAVersion { what };
    let closure = Closure::from_json(bytes).map_err(|error| bad(error.what))?;
    let digest = closure.digest();
    if closure.to_json().as_bytes() != bytes {
        return Err(bad("not in canonical form".to_owned()));
    }
    if short(&digest) != stem {
        return Err(bad(format!("the file holds the version {}", short(&digest))));
    }
    if closure.id() != mapping {
        return Err(bad(format!("the file holds a version of {}", closure.id())));
    }
    Ok((digest, closure))
}
