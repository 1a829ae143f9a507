//! Copies of what cannot be rebuilt, taken while the daemon runs.
//!
//! Never copies keys. The mirror, the feed store and the snapshots are rebuilt from legacy and ledger, so they are
//! not in it either. The ledger is copied first: register and evidence only grow, so what is copied after it knows
//! at least what the ledger refers to.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::backup::StepResult;
use serde::{Deserialize, Serialize};

use super::sqlite::{HEAD_FILE, HeadFile};
use super::verify::verify_segments;
use super::{Hash, Head, LedgerError, files, segment};
use crate::domain::Timestamp;

/// Name of the ledger's directory in a data directory and in a backup.
pub(super) const LEDGER_DIR: &str = "ledger";

/// Written last: a directory without it is no backup.
pub const MANIFEST: &str = "manifest.json";

const FORMAT: u32 = 1;

/// A copy runs in one piece under one read lock, so that a busy writer cannot make it start again for ever; only the
/// moment of opening can find the database locked.
const ALL_PAGES: i32 = -1;
const TRIES: u32 = 100;
const TRY_AGAIN: Duration = Duration::from_millis(50);

/// Directories below a copied one.
const DEPTH_MAX: usize = 4;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRecord {
    /// Relative, with `/`.
    pub path: String,
    pub size: u64,
    pub sha256: Hash,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub format: u32,
    /// RFC 3339.
    pub made_at: String,
    /// The ledger's last batch in the copy.
    pub head: Head,
    pub files: Vec<FileRecord>,
}

impl Manifest {
    pub(super) fn read(dir: &Path) -> Result<Manifest, LedgerError> {
        let path = dir.join(MANIFEST);
        let bytes = files::read_if_there(&path).map_err(LedgerError::file("cannot read", &path))?;
        let broken = |what: String| LedgerError::BackupDamaged { dir: dir.to_owned(), what };
        let bytes = bytes.ok_or_else(|| broken(format!("{MANIFEST} is missing")))?;
        let manifest: Manifest =
            serde_json::from_slice(&bytes).map_err(|error| broken(format!("{MANIFEST}: {error}")))?;
        if manifest.format != FORMAT {
            return Err(LedgerError::Format { segment: MANIFEST.to_owned(), found: manifest.format, known: FORMAT });
        }
        match manifest.files.iter().find(|file| !is_inside(Path::new(&file.path))) {
            Some(file) => Err(broken(format!("{} leads out of the backup", file.path))),
            None => Ok(manifest),
        }
    }
}

fn is_inside(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_))) && path.components().next().is_some()
}

/// What is copied, and where to.
#[derive(Debug, Clone)]
pub struct Backup<'a> {
    pub data_dir: &'a Path,
    /// Files and directories beside the ledger, relative to the data directory (register, evidence). One that does
    /// not exist is an error.
    pub also: &'a [&'a str],
    /// Must be empty or not exist.
    pub to: &'a Path,
}

/// Copies, reads the copied ledger whole, and states in the manifest what is there.
pub fn backup(what: &Backup<'_>, now: Timestamp) -> Result<Manifest, LedgerError> {
    must_be_empty(what.to)?;
    let ledger = what.to.join(LEDGER_DIR);
    files::create_dir(&ledger).map_err(LedgerError::file("cannot create", &ledger))?;
    let mut copied = Vec::new();
    for first in segment::list(&what.data_dir.join(LEDGER_DIR))? {
        copy(what, &format!("{LEDGER_DIR}/{}", segment::file_name(first)), 0, &mut copied)?;
    }
    let report = verify_segments(&ledger, None)?;
    if let Some(damage) = report.damage {
        return Err(LedgerError::Damaged(damage));
    }
    let head_file = HeadFile { format: segment::FORMAT, segments: segment::list(&ledger)?, reached: report.head };
    write_json(&ledger.join(HEAD_FILE), &head_file)?;
    copied.push(record(what.to, &format!("{LEDGER_DIR}/{HEAD_FILE}"))?);
    for path in what.also {
        copy(what, path, 0, &mut copied)?;
    }
    files::sync_dir(&ledger).map_err(LedgerError::file("cannot sync", &ledger))?;
    let manifest = Manifest { format: FORMAT, made_at: now.rfc3339(), head: report.head, files: copied };
    write_json(&what.to.join(MANIFEST), &manifest)?;
    Ok(manifest)
}

pub(super) fn must_be_empty(dir: &Path) -> Result<(), LedgerError> {
    match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(LedgerError::file("cannot list", dir)(error)),
        Ok(mut found) => match found.next() {
            None => Ok(()),
            Some(_) => Err(LedgerError::NotEmpty { dir: dir.to_owned() }),
        },
    }
}

fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), LedgerError> {
    let text = serde_json::to_vec_pretty(value).expect("plain data becomes JSON");
    files::write_whole(path, &text).map_err(LedgerError::file("cannot write", path))
}

fn record(dir: &Path, path: &str) -> Result<FileRecord, LedgerError> {
    let (size, sha256) = files::digest(&dir.join(path)).map_err(LedgerError::file("cannot read", &dir.join(path)))?;
    Ok(FileRecord { path: path.to_owned(), size, sha256 })
}

/// Copies a file, a database or a directory of them.
fn copy(what: &Backup<'_>, path: &str, depth: usize, copied: &mut Vec<FileRecord>) -> Result<(), LedgerError> {
    let (from, to) = (what.data_dir.join(path), what.to.join(path));
    let failed = || LedgerError::file("cannot copy", &from);
    if !fs::metadata(&from).map_err(failed())?.is_dir() {
        if is_database(&from).map_err(failed())? {
            copy_database(&from, &to).map_err(|error| LedgerError::read(path, error))?;
        } else {
            files::create_file(&to).and_then(|mut out| io::copy(&mut File::open(&from)?, &mut out)).map_err(failed())?;
        }
        File::open(&to).and_then(|file| file.sync_all()).map_err(failed())?;
        copied.push(record(what.to, path)?);
        return Ok(());
    }
    if depth == DEPTH_MAX {
        return Err(failed()(io::Error::other("directories are nested too deeply")));
    }
    files::create_dir(&to).map_err(failed())?;
    let mut names = Vec::new();
    for entry in fs::read_dir(&from).map_err(failed())? {
        let name = entry.map_err(failed())?.file_name();
        let name = name.into_string().map_err(|_| failed()(io::Error::other("a file name is not UTF-8")))?;
        if !["-wal", "-shm", "-journal"].iter().any(|suffix| name.ends_with(suffix)) {
            names.push(name);
        }
    }
    names.sort_unstable();
    for name in names {
        copy(what, &format!("{path}/{name}"), depth + 1, copied)?;
    }
    files::sync_dir(&to).map_err(failed())
}

fn is_database(path: &Path) -> io::Result<bool> {
    let mut magic = Vec::new();
    File::open(path)?.take(16).read_to_end(&mut magic)?;
    Ok(magic == b"SQLite format 3\0")
}

/// One consistent state of a database that may be written meanwhile, as one file without a WAL.
fn copy_database(from: &Path, to: &PathBuf) -> Result<(), rusqlite::Error> {
    let unwritable = |error: io::Error| rusqlite::Error::ToSqlConversionFailure(error.into());
    files::create_file(to).map_err(unwritable)?;
    let source = segment::open_reader(from)?;
    let mut target = Connection::open(to)?;
    {
        let copying = rusqlite::backup::Backup::new(&source, &mut target)?;
        let mut tries = 0;
        while copying.step(ALL_PAGES)? != StepResult::Done {
            tries += 1;
            if tries == TRIES {
                let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
                return Err(rusqlite::Error::SqliteFailure(busy, None));
            }
            std::thread::sleep(TRY_AGAIN);
        }
    }
    target.pragma_update(None, "journal_mode", "DELETE")?;
    target.close().map_err(|(_, error)| error)
}
