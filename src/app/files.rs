//! What stands where in the data folder.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone)]
pub struct Files {
    pub dir: PathBuf,
    pub ledger: PathBuf,
    pub snapshots: PathBuf,
    pub register: PathBuf,
    pub mirror: PathBuf,
    pub feeds: PathBuf,
    pub evidence: PathBuf,
    pub jobs: PathBuf,
    pub socket: PathBuf,
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
            jobs: dir.join("jobs"),
            socket: dir.join(crate::admin::SOCKET),
        }
    }

    /// Makes the folder where it is missing, for the service user only.
    pub fn make(&self) -> io::Result<()> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)
    }

    /// Does anything speak of an earlier life of this folder?
    pub fn hold_state(&self) -> bool {
        [&self.ledger, &self.register, &self.mirror, &self.feeds].iter().any(|path| path.exists())
    }
}
