//! A backup becomes a data directory again, in a new life of the ledger.
//!
//! What was decided after the backup is lost here but may be known to the legacy system and to partners. So the
//! restored ledger gets a new incarnation and jumps far ahead: no op id, booking id or cursor that was given out
//! after the backup is ever given out again. The jump is entries like any others (`Reserve`), so replay and `verify`
//! need no exception for it.

use std::fs::File;
use std::io;
use std::path::Path;

use super::backup::{LEDGER_DIR, Manifest, must_be_empty};
use super::sqlite::HEAD_FILE;
use super::{Head, Ledger, LedgerError, Settings, files, verify};
use crate::domain::Incarnation;

/// How far positions jump: more than a ledger grows between two backups.
pub const JUMP: u64 = 1 << 32;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Where the backup ended.
    pub backup: Head,
    /// Where the restored ledger goes on from.
    pub head: Head,
    pub incarnation: Incarnation,
}

/// Checks the backup in `from` whole: files against the manifest, then the chain of the ledger.
pub fn check_backup(from: &Path) -> Result<Manifest, LedgerError> {
    let manifest = Manifest::read(from)?;
    let broken = |what: String| Err(LedgerError::BackupDamaged { dir: from.to_owned(), what });
    for file in &manifest.files {
        let path = from.join(&file.path);
        match files::digest(&path) {
            Ok((size, sha256)) if size == file.size && sha256 == file.sha256 => {}
            Ok(_) => return broken(format!("{} is not what was copied", file.path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return broken(format!("{} is missing", file.path));
            }
            Err(error) => return Err(LedgerError::file("cannot read", &path)(error)),
        }
    }
    let report = verify(&from.join(LEDGER_DIR))?;
    match report.damage {
        Some(damage) => Err(LedgerError::Damaged(damage)),
        None if report.head != manifest.head => broken("the ledger ends elsewhere than the manifest says".to_owned()),
        None => Ok(manifest),
    }
}

/// Checks the backup, copies it into `to`, which must be empty or not exist, and begins the new life. Until that is
/// done `to` has no HEAD, and the daemon refuses it.
pub fn restore(from: &Path, to: &Path) -> Result<Restored, LedgerError> {
    let manifest = check_backup(from)?;
    must_be_empty(to)?;
    let ledger = to.join(LEDGER_DIR);
    files::create_dir(&ledger).map_err(LedgerError::file("cannot create", &ledger))?;
    let head_file = format!("{LEDGER_DIR}/{HEAD_FILE}");
    for file in manifest.files.iter().filter(|file| file.path != head_file) {
        copy(&from.join(&file.path), &to.join(&file.path))
            .map_err(LedgerError::file("cannot copy", &to.join(&file.path)))?;
    }
    let segments = super::segment::list(&ledger)?;
    if segments.is_empty() {
        return Err(LedgerError::BackupDamaged { dir: from.to_owned(), what: "it holds no ledger".to_owned() });
    }
    let mut ledger = Ledger::open_last(&ledger, Settings::default(), segments)?;
    let incarnation = ledger.begin_epoch(JUMP)?;
    let head = ledger.head();
    ledger.close()?;
    Ok(Restored { backup: manifest.head, head, incarnation })
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let dir = to.parent().unwrap_or(Path::new("."));
    files::create_dir(dir)?;
    let mut out = files::create_file(to)?;
    io::copy(&mut File::open(from)?, &mut out)?;
    out.sync_all()?;
    files::sync_dir(dir)
}
