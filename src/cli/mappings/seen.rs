//! What an officer's own machine remembers beside the key: which deployment the key signs for, the newest of what was
//! seen there, and the officer's own last note about each thing. So a server can neither show another deployment nor an
//! older state, nor claim that the officer signed something else the last time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::over::write_whole;
use crate::approval::{Approvals, Head, Note, Subject, Trust};
use crate::cli::{Exit, Failed};
use crate::privacy::Closure;

pub struct Seen {
    dir: PathBuf,
    pinned: Option<Pinned>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pinned {
    origin: String,
    genesis: Option<String>,
    heads: BTreeMap<String, Head>,
}

impl Seen {
    /// `<key>.seen`, or the folder named.
    pub fn open(key: &Path, named: Option<&Path>, trust: &Trust) -> Result<Seen, Failed> {
        let dir = named.map_or_else(|| key.with_added_extension("seen"), Path::to_owned);
        let file = dir.join("pinned.json");
        let pinned: Option<Pinned> = match std::fs::read(&file) {
            Ok(bytes) => Some(serde_json::from_slice(&bytes).map_err(|error| {
                let message = format!("{} cannot be read", file.display());
                Failed::new(Exit::Config, "seen", message, "restore it from a backup of this machine").because(&error)
            })?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(Failed::io(file.display(), &error)),
        };
        if let Some(pinned) = &pinned
            && (pinned.origin != trust.origin || pinned.genesis != trust.genesis)
        {
            let first = pinned.genesis.as_deref().unwrap_or("none");
            let message =
                format!("this key signs for {} with the first roster {first}; this is another", pinned.origin);
            let try_ = "ask whoever sent it; for another deployment make a key of its own";
            return Err(Failed::new(Exit::Wrong, "other_deployment", message, try_));
        }
        Ok(Seen { dir, pinned })
    }

    pub fn is_new(&self) -> bool {
        self.pinned.is_none()
    }

    /// Of the subject and of the roster: a bundle need not hold more.
    pub fn heads(&self, subject: &str) -> BTreeMap<String, Head> {
        let all = self.pinned.iter().flat_map(|pinned| &pinned.heads);
        all.filter(|(id, _)| *id == subject || *id == "officers").map(|(id, head)| (id.clone(), head.clone())).collect()
    }

    /// The officer's own last note about the subject, and the version that it was about.
    pub fn last(&self, subject: &str) -> Option<(Note, Option<Closure>)> {
        let note = Note::parse(&std::fs::read(self.dir.join(format!("{subject}.note"))).ok()?).ok()?;
        let closure = std::fs::read(self.dir.join(format!("{subject}.json"))).ok();
        Some((note, closure.and_then(|bytes| Closure::from_json(&bytes).ok())))
    }

    /// After a signature. The officer's own new note is not among the heads: it may never be taken over.
    pub fn keep(&self, trust: &Trust, approvals: &Approvals, subject: &Subject<'_>, note: &Note) -> Result<(), Failed> {
        let mut heads = self.pinned.as_ref().map(|pinned| pinned.heads.clone()).unwrap_or_default();
        heads.extend(approvals.heads());
        let pinned = Pinned { origin: trust.origin.clone(), genesis: trust.genesis.clone(), heads };
        let text = serde_json::to_vec_pretty(&pinned).unwrap_or_default();
        let id = subject.id();
        if let Subject::Mapping(closure) = subject {
            write_whole(&self.dir.join(format!("{id}.json")), closure.to_json().as_bytes())?;
        }
        write_whole(&self.dir.join(format!("{id}.note")), note.to_string().as_bytes())?;
        write_whole(&self.dir.join("pinned.json"), &text)
    }
}
