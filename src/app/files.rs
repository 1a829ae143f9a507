//! What stands where in the data folder.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::domain::Timestamp;

#[derive(Debug, Clone)]
pub struct Files {
    pub dir: PathBuf,
    pub ledger: PathBuf,
    pub snapshots: PathBuf,
    pub register: PathBuf,
    pub mirror: PathBuf,
    pub feeds: PathBuf,
    pub evidence: PathBuf,
    /// Receipts set aside for audit.
    pub audit: PathBuf,
    /// Names of destroyed token keys.
    pub destroyed_keys: PathBuf,
    pub jobs: PathBuf,
    pub socket: PathBuf,
    /// When the ledger was last backed up: RFC 3339, one line.
    pub backed_up: PathBuf,
}

impl Files {
    pub fn of(dir: &Path) -> Files {
        Files {
            dir: dir.to_owned(),
            ledger: dir.join("ledger"),
            snapshots: dir.join("snapshots"),
            register: dir.join("register.sqlite"),
            mirror: dir.join("mirror.sqlite"),
            feeds: dir.join("feeds.sqlite"),
            evidence: dir.join("evidence.sqlite"),
            audit: dir.join("audit.sqlite"),
            destroyed_keys: dir.join(crate::keys::Destroyed::FILE),
            jobs: dir.join("jobs"),
            socket: dir.join(crate::admin::SOCKET),
            backed_up: dir.join("backed-up-at"),
        }
    }

    /// Makes the folder where it is missing, for the service user only.
    pub fn make(&self) -> io::Result<()> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)
    }

    /// Writes down that a backup is whole.
    pub fn note_backup(&self, at: Timestamp) -> io::Result<()> {
        std::fs::write(&self.backed_up, format!("{}\n", at.rfc3339()))
    }

    /// `None`: no backup was made of this folder, or nobody can tell.
    pub fn backed_up_at(&self) -> Option<Timestamp> {
        let text = std::fs::read_to_string(&self.backed_up).ok()?;
        Timestamp::parse_rfc3339(text.trim()).ok()
    }

    /// Does anything speak of an earlier life of this folder?
    pub fn hold_state(&self) -> bool {
        [&self.ledger, &self.register, &self.mirror, &self.feeds].iter().any(|path| path.exists())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_is_remembered_and_a_damaged_note_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::of(dir.path());
        assert_eq!(files.backed_up_at(), None);
        files.note_backup(Timestamp(1_795_345_200_000)).unwrap();
        assert_eq!(files.backed_up_at(), Some(Timestamp(1_795_345_200_000)));
        std::fs::write(&files.backed_up, "yesterday").unwrap();
        assert_eq!(files.backed_up_at(), None);
    }
}
