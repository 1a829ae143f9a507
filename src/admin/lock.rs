//! One owner a data folder: an advisory lock on `lock`, held as long as the value lives.

use std::fs::{File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

const LOCK_FILE: &str = "lock";

#[derive(Debug)]
pub struct DataLock {
    _file: File,
}

#[derive(Debug, thiserror::Error)]
pub enum Locked {
    #[error("{dir} is in use by another slotbridge process{by}")]
    InUse { dir: PathBuf, by: String },
    #[error("{path} cannot be locked")]
    Io { path: PathBuf, source: std::io::Error },
}

impl DataLock {
    /// Takes the lock at once or says who has it. The folder exists.
    pub fn take(dir: &Path) -> Result<DataLock, Locked> {
        let path = dir.join(LOCK_FILE);
        let failed = |source| Locked::Io { path: path.clone(), source };
        // Not truncated before the lock is ours: the owner's process id stands in it.
        let mut file =
            File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let owner = std::fs::read_to_string(&path).unwrap_or_default();
                let by = owner.trim().parse::<u32>().map_or(String::new(), |id| format!(" (process {id})"));
                return Err(Locked::InUse { dir: dir.to_owned(), by });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        file.set_len(0).map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(DataLock { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_folder_has_one_owner() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataLock::take(dir.path()).unwrap();
        let error = DataLock::take(dir.path()).unwrap_err().to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        drop(first);
        DataLock::take(dir.path()).unwrap();
    }
}
