//! Copies of token keys that are kept elsewhere, and the list of keys that were destroyed.
//!
//! A copy is made, listed and, when its epoch ends, destroyed by hand and confirmed by name. Invariants: a destroyed
//! key is never copied back; the two lists hold names and never a key.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::domain::Timestamp;

use super::epochs::epoch_of;
use super::folder::{KeyError, KeyFolder};

const FILE: &str = "escrow.toml";
const COPIES_MAX: usize = 1_000;
/// A name is some 40 bytes; partners × months of two centuries stay below it.
const DESTROYED_BYTES_MAX: u64 = 4 << 20;

/// One copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Copy {
    pub id: u32,
    /// Who keeps it, and where.
    pub holder: String,
    /// RFC 3339.
    pub made_at: String,
    pub epochs: BTreeSet<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destroyed_at: Option<String>,
    /// Who confirmed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destroyed_by: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum EscrowError {
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("{path}: cannot be written")]
    Write { path: PathBuf, source: std::io::Error },
    #[error("there is no copy {id}, or it is destroyed already")]
    Unknown { id: u32 },
    #[error("more than {COPIES_MAX} copies")]
    Many,
    #[error("{name} was destroyed and is not brought back")]
    Destroyed { name: String },
}

/// The list of copies.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Escrow {
    #[serde(rename = "copy", default)]
    copies: Vec<Copy>,
}

impl Escrow {
    pub fn read(folder: &KeyFolder) -> Result<Escrow, KeyError> {
        let Some(text) = folder.read(FILE)? else { return Ok(Escrow::default()) };
        let wrong = |cause: String| KeyError::List { name: FILE, cause };
        let text = std::str::from_utf8(text.expose()).map_err(|error| wrong(error.to_string()))?;
        toml::from_str(text).map_err(|error| wrong(error.message().to_owned()))
    }

    fn write(&self, folder: &KeyFolder) -> Result<(), KeyError> {
        let text = toml::to_string(self).map_err(|error| KeyError::List { name: FILE, cause: error.to_string() })?;
        folder.write(FILE, text.as_bytes())
    }

    pub fn copies(&self) -> &[Copy] {
        &self.copies
    }

    /// Copies that still hold keys of the epoch.
    pub fn of_epoch(&self, epoch: u32) -> impl Iterator<Item = &Copy> {
        self.copies.iter().filter(move |copy| copy.destroyed_at.is_none() && copy.epochs.contains(&epoch))
    }

    /// Copies every token key of the folder into `to`, which must not exist, and lists the copy first: one that is not
    /// listed is worse than a listed one that was not made.
    pub fn make(&mut self, folder: &KeyFolder, to: &Path, holder: &str, now: Timestamp) -> Result<&Copy, EscrowError> {
        if self.copies.len() >= COPIES_MAX {
            return Err(EscrowError::Many);
        }
        let names: Vec<String> = folder.names()?.into_iter().filter(|name| epoch_of(name).is_some()).collect();
        let write = |path: &Path| {
            let path = path.to_owned();
            move |source| EscrowError::Write { path, source }
        };
        DirBuilder::new().mode(0o700).create(to).map_err(write(to))?;
        let id = self.copies.last().map_or(1, |copy| copy.id + 1);
        let epochs = names.iter().filter_map(|name| epoch_of(name)).collect();
        let made_at = now.rfc3339();
        let copy = Copy { id, holder: holder.to_owned(), made_at, epochs, destroyed_at: None, destroyed_by: None };
        self.copies.push(copy);
        self.write(folder)?;
        for name in &names {
            let Some(key) = folder.read(name)? else { continue };
            let path = to.join(name);
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(write(&path))?;
            file.write_all(key.expose()).and_then(|()| file.sync_all()).map_err(write(&path))?;
        }
        Ok(&self.copies[self.copies.len() - 1])
    }

    /// Somebody confirms that a copy is destroyed.
    pub fn confirm(&mut self, folder: &KeyFolder, id: u32, by: &str, now: Timestamp) -> Result<(), EscrowError> {
        let copy = self.copies.iter_mut().find(|copy| copy.id == id && copy.destroyed_at.is_none());
        let copy = copy.ok_or(EscrowError::Unknown { id })?;
        (copy.destroyed_at, copy.destroyed_by) = (Some(now.rfc3339()), Some(by.to_owned()));
        Ok(self.write(folder)?)
    }
}

/// Names of destroyed keys, as the data folder and its backups keep them: a line each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Destroyed(BTreeSet<String>);

impl Destroyed {
    /// Name of the file in a data folder and in a backup.
    pub const FILE: &str = "destroyed-keys";

    pub fn read(path: &Path) -> Result<Destroyed, KeyError> {
        let io = |source| KeyError::Io { path: path.to_owned(), source };
        match std::fs::metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Destroyed::default()),
            Err(error) => return Err(io(error)),
            Ok(about) if about.len() > DESTROYED_BYTES_MAX => {
                return Err(KeyError::Special { path: path.to_owned(), wanted: "list of destroyed keys" });
            }
            Ok(_) => {}
        }
        let text = std::fs::read_to_string(path).map_err(io)?;
        Ok(Destroyed(text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()))
    }

    /// Adds names and waits for the disk.
    pub fn add(path: &Path, names: &[String]) -> Result<(), KeyError> {
        let io = |source| KeyError::Io { path: path.to_owned(), source };
        let known = Destroyed::read(path)?;
        let new: String =
            names.iter().filter(|name| !known.0.contains(*name)).map(|name| format!("{name}\n")).collect();
        let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(io)?;
        file.write_all(new.as_bytes()).and_then(|()| file.sync_all()).map_err(io)
    }

    /// Refuses a key folder that holds what was destroyed, by this list or by the folder's own marks.
    pub fn refuse(&self, folder: &KeyFolder) -> Result<(), KeyError> {
        for name in folder.names()?.into_iter().filter(|name| epoch_of(name).is_some()) {
            if self.0.contains(&name) || folder.is_destroyed(&name)? {
                return Err(KeyError::BroughtBack { path: folder.path().join(name) });
            }
        }
        Ok(())
    }

    /// Copies keys back that the folder does not have. All are judged before the first is written. Returns their names.
    pub fn bring_back(&self, folder: &KeyFolder, from: &KeyFolder) -> Result<Vec<String>, EscrowError> {
        let names: Vec<String> = from.names()?.into_iter().filter(|name| epoch_of(name).is_some()).collect();
        for name in &names {
            if self.0.contains(name) || folder.is_destroyed(name)? || from.is_destroyed(name)? {
                return Err(EscrowError::Destroyed { name: name.clone() });
            }
        }
        let mut back = Vec::new();
        for name in names {
            if folder.read(&name)?.is_none()
                && let Some(key) = from.read(&name)?
            {
                folder.write(&name, key.expose())?;
                back.push(name);
            }
        }
        Ok(back)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "person.naver.booking.2611.key";
    const NOW: Timestamp = Timestamp(1_795_345_200_000);

    fn folder(dir: &Path, name: &str) -> KeyFolder {
        KeyFolder::open(&dir.join(name)).unwrap()
    }

    #[test]
    fn a_copy_is_listed_until_somebody_confirms_that_it_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let keys = folder(dir.path(), "keys");
        let key = keys.key_or_new(KEY, 64).unwrap();
        keys.write("api-keys.toml", b"").unwrap();
        let mut escrow = Escrow::read(&keys).unwrap();
        escrow.make(&keys, &dir.path().join("safe"), "safe of the agency", NOW).unwrap();
        let safe = folder(dir.path(), "safe");
        assert_eq!(safe.key(KEY, 64).unwrap().unwrap().expose(), key.expose());
        assert_eq!(safe.names().unwrap(), [KEY], "token keys alone");
        let mut escrow = Escrow::read(&keys).unwrap();
        assert_eq!(escrow.of_epoch(2611).count(), 1);
        assert!(matches!(escrow.confirm(&keys, 2, "kim", NOW), Err(EscrowError::Unknown { id: 2 })));
        escrow.confirm(&keys, 1, "kim", NOW).unwrap();
        let escrow = Escrow::read(&keys).unwrap();
        assert_eq!((escrow.of_epoch(2611).count(), escrow.copies().len()), (0, 1));
    }

    #[test]
    fn what_was_destroyed_is_brought_back_by_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let (keys, list) = (folder(dir.path(), "keys"), dir.path().join(Destroyed::FILE));
        keys.key_or_new(KEY, 64).unwrap();
        Escrow::default().make(&keys, &dir.path().join("safe"), "safe", NOW).unwrap();
        let (safe, lost) = (folder(dir.path(), "safe"), folder(dir.path(), "lost"));
        assert_eq!(Destroyed::default().bring_back(&lost, &safe).unwrap(), [KEY]);
        keys.destroy(KEY).unwrap();
        Destroyed::add(&list, &[KEY.to_owned()]).unwrap();
        Destroyed::add(&list, &[KEY.to_owned()]).unwrap();
        let destroyed = Destroyed::read(&list).unwrap();
        assert_eq!(destroyed.0.len(), 1);
        assert!(matches!(destroyed.bring_back(&keys, &safe), Err(EscrowError::Destroyed { .. })));
        // The folder as it was before, without its own marks: the list of the data folder knows.
        assert!(matches!(destroyed.refuse(&lost), Err(KeyError::BroughtBack { .. })));
        destroyed.refuse(&keys).unwrap();
        // The data folder as it was before: the marks of the key folder know.
        keys.write(KEY, &[1; 64]).unwrap();
        assert!(matches!(Destroyed::default().refuse(&keys), Err(KeyError::BroughtBack { .. })));
    }
}
