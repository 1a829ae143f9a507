//! The key folder: 0700, files 0600, owned by the service user. Anything else is refused.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ring::rand::{SecureRandom, SystemRandom};

use crate::domain::Secret;

/// Bound of a file in the folder: a key is 64 bytes, the list of API keys some 150 bytes a key.
const FILE_BYTES_MAX: u64 = 256 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("{path}: cannot be read or written")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{path}: others may read it (mode {mode:03o}); try: chmod {wanted} {path}")]
    Exposed { path: PathBuf, mode: u32, wanted: &'static str },
    #[error("{path}: belongs to another user (uid {owner}); try: chown it to the service user")]
    Owner { path: PathBuf, owner: u32 },
    #[error("{path}: not a plain {wanted}")]
    Special { path: PathBuf, wanted: &'static str },
    #[error("{path}: not a key of {expected} bytes; restore it from escrow, or move it away to lose what it opens")]
    Length { path: PathBuf, expected: usize },
    #[error("{path}: this key was destroyed and cannot be made again; use a new epoch")]
    Destroyed { path: PathBuf },
    #[error("{name:?} is not the name of a key file")]
    Name { name: String },
    #[error("{path}: this key was destroyed and is back; what it opens must not be opened again: remove it")]
    BroughtBack { path: PathBuf },
    #[error("{name}: {cause}")]
    List { name: &'static str, cause: String },
    #[error("the system gives no random numbers")]
    Random,
}

impl KeyError {
    pub fn code(&self) -> &'static str {
        match self {
            KeyError::Io { .. } => "key_io",
            KeyError::Exposed { .. } => "key_exposed",
            KeyError::Owner { .. } => "key_owner",
            KeyError::Special { .. } => "key_special",
            KeyError::Length { .. } => "key_length",
            KeyError::Destroyed { .. } => "key_destroyed",
            KeyError::Name { .. } => "key_name",
            KeyError::BroughtBack { .. } => "key_brought_back",
            KeyError::List { .. } => "key_list",
            KeyError::Random => "key_random",
        }
    }
}

/// A folder of key files.
#[derive(Debug, Clone)]
pub struct KeyFolder {
    path: PathBuf,
}

impl KeyFolder {
    /// Opens the folder; makes it if it is missing (its parent must exist).
    pub fn open(path: &Path) -> Result<KeyFolder, KeyError> {
        match DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(KeyError::Io { path: path.to_owned(), source }),
        }
        let meta = fs::symlink_metadata(path).map_err(io(path))?;
        if !meta.is_dir() {
            return Err(KeyError::Special { path: path.to_owned(), wanted: "folder" });
        }
        refuse_exposed(path, &meta, "700")?;
        Ok(KeyFolder { path: path.to_owned() })
    }

    /// A key of exactly `len` bytes; `None` if the file is not there.
    pub fn key(&self, name: &str, len: usize) -> Result<Option<Secret>, KeyError> {
        let Some(bytes) = self.read(name)? else { return Ok(None) };
        if self.is_destroyed(name)? {
            return Err(KeyError::BroughtBack { path: self.at(name)? });
        }
        if bytes.expose().len() != len {
            return Err(KeyError::Length { path: self.at(name)?, expected: len });
        }
        Ok(Some(bytes))
    }

    /// A key of `len` random bytes, made if it is not there. Two who make it at once get the same one.
    pub fn key_or_new(&self, name: &str, len: usize) -> Result<Secret, KeyError> {
        if let Some(key) = self.key(name, len)? {
            return Ok(key);
        }
        let marker = self.at(&destroyed(name))?;
        if marker.exists() {
            return Err(KeyError::Destroyed { path: marker });
        }
        let mut bytes = zeroize::Zeroizing::new(vec![0u8; len]);
        SystemRandom::new().fill(&mut bytes).map_err(|_| KeyError::Random)?;
        let (path, staged) = (self.at(name)?, self.stage(&bytes)?);
        // A hard link, unlike a rename, fails if somebody else was first.
        let linked = fs::hard_link(&staged, &path);
        fs::remove_file(&staged).map_err(io(&staged))?;
        match linked {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(KeyError::Io { path, source }),
        }
        self.sync()?;
        self.key(name, len)?.ok_or(KeyError::Length { path, expected: len })
    }

    /// Destroys a key: whatever it sealed cannot be opened any more. Leaves a marker, so that it is never made again.
    pub fn destroy(&self, name: &str) -> Result<(), KeyError> {
        let (path, marker) = (self.at(name)?, self.at(&destroyed(name))?);
        let staged = self.stage(b"")?;
        fs::rename(&staged, &marker).map_err(io(&marker))?;
        self.sync()?;
        if path.exists() {
            let len = fs::metadata(&path).map_err(io(&path))?.len();
            let mut file = OpenOptions::new().write(true).open(&path).map_err(io(&path))?;
            // Journals and flash may keep the old bytes; the escrow copies are destroyed by hand anyway.
            file.write_all(&vec![0; usize::try_from(len.min(FILE_BYTES_MAX)).unwrap_or(0)]).map_err(io(&path))?;
            file.sync_all().map_err(io(&path))?;
            fs::remove_file(&path).map_err(io(&path))?;
        }
        self.sync()
    }

    /// Was the key destroyed here?
    pub fn is_destroyed(&self, name: &str) -> Result<bool, KeyError> {
        Ok(self.at(&destroyed(name))?.exists())
    }

    /// Names of the files, in order; staged ones are left out.
    pub fn names(&self) -> Result<Vec<String>, KeyError> {
        let entries = fs::read_dir(&self.path).map_err(io(&self.path))?;
        let names = entries.map(|entry| entry.map(|entry| entry.file_name().into_string().ok()));
        let names: Vec<Option<String>> = names.collect::<Result<_, _>>().map_err(io(&self.path))?;
        let mut names: Vec<String> = names.into_iter().flatten().filter(|name| self.at(name).is_ok()).collect();
        names.sort();
        Ok(names)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Content of a file of the folder; `None` if it is not there.
    pub fn read(&self, name: &str) -> Result<Option<Secret>, KeyError> {
        let path = self.at(name)?;
        let meta = match fs::symlink_metadata(&path) {
            Ok(meta) => meta,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(KeyError::Io { path, source }),
        };
        if !meta.is_file() || meta.len() > FILE_BYTES_MAX {
            return Err(KeyError::Special { path, wanted: "file of at most 256 KiB" });
        }
        refuse_exposed(&path, &meta, "600")?;
        let file = fs::File::open(&path).map_err(io(&path))?;
        let mut bytes = Vec::with_capacity(usize::try_from(meta.len()).unwrap_or(0) + 1);
        file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(io(&path))?;
        Ok(Some(Secret::new(bytes)))
    }

    /// Replaces a file whole.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), KeyError> {
        let (path, staged) = (self.at(name)?, self.stage(bytes)?);
        fs::rename(&staged, &path).map_err(io(&path))?;
        self.sync()
    }

    fn stage(&self, bytes: &[u8]) -> Result<PathBuf, KeyError> {
        let mut random = [0u8; 8];
        SystemRandom::new().fill(&mut random).map_err(|_| KeyError::Random)?;
        let path = self.path.join(format!(".new-{:016x}", u64::from_be_bytes(random)));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(io(&path))?;
        file.write_all(bytes).map_err(io(&path))?;
        file.sync_all().map_err(io(&path))?;
        Ok(path)
    }

    fn sync(&self) -> Result<(), KeyError> {
        fs::File::open(&self.path).and_then(|folder| folder.sync_all()).map_err(io(&self.path))
    }

    fn at(&self, name: &str) -> Result<PathBuf, KeyError> {
        let plain = !name.is_empty()
            && name.len() <= 120
            && !name.starts_with('.')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
        if plain { Ok(self.path.join(name)) } else { Err(KeyError::Name { name: name.to_owned() }) }
    }
}

fn destroyed(name: &str) -> String {
    format!("{name}.destroyed")
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> KeyError {
    let path = path.to_owned();
    move |source| KeyError::Io { path, source }
}

pub(super) fn refuse_exposed(path: &Path, meta: &fs::Metadata, wanted: &'static str) -> Result<(), KeyError> {
    if meta.mode() & 0o077 != 0 {
        return Err(KeyError::Exposed { path: path.to_owned(), mode: meta.mode() & 0o777, wanted });
    }
    // Not the owner of /proc/self: a process that allows no core dump may find root there.
    if rustix::process::geteuid().as_raw() != meta.uid() {
        return Err(KeyError::Owner { path: path.to_owned(), owner: meta.uid() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn folder() -> (tempfile::TempDir, KeyFolder) {
        let dir = tempfile::tempdir().unwrap();
        let folder = KeyFolder::open(&dir.path().join("keys")).unwrap();
        (dir, folder)
    }

    #[test]
    fn a_key_is_made_once_and_private() {
        let (dir, folder) = folder();
        let first = folder.key_or_new("naver.booking.2611.key", 64).unwrap();
        let again = folder.key_or_new("naver.booking.2611.key", 64).unwrap();
        assert_eq!(first.expose(), again.expose());
        assert_eq!(first.expose().len(), 64);
        assert_ne!(first.expose(), folder.key_or_new("kakao.booking.2611.key", 64).unwrap().expose());
        let path = dir.path().join("keys");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(path.join("naver.booking.2611.key")).unwrap().mode() & 0o777, 0o600);
        let left: Vec<_> = fs::read_dir(&path).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "{left:?}");
    }

    #[test]
    fn what_others_may_read_is_refused() {
        let (dir, folder) = folder();
        folder.key_or_new("a.key", 32).unwrap();
        let path = dir.path().join("keys");
        fs::set_permissions(path.join("a.key"), fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(folder.key("a.key", 32), Err(KeyError::Exposed { mode: 0o640, .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let error = KeyFolder::open(&path).unwrap_err();
        assert!(error.to_string().contains("try: chmod 700"), "{error}");
    }

    #[test]
    fn a_destroyed_key_is_not_made_again() {
        let (_dir, folder) = folder();
        folder.key_or_new("a.key", 32).unwrap();
        folder.destroy("a.key").unwrap();
        assert!(folder.key("a.key", 32).unwrap().is_none());
        assert!(matches!(folder.key_or_new("a.key", 32), Err(KeyError::Destroyed { .. })));
        folder.write("a.key", &[7; 32]).unwrap();
        assert!(matches!(folder.key("a.key", 32), Err(KeyError::BroughtBack { .. })), "out of an old copy");
        assert!(matches!(folder.key_or_new("a.key", 32), Err(KeyError::BroughtBack { .. })));
        assert_eq!(folder.names().unwrap(), ["a.key", "a.key.destroyed"]);
    }

    #[test]
    fn a_damaged_key_and_a_link_are_refused() {
        let (dir, folder) = folder();
        folder.write("a.key", b"short").unwrap();
        assert!(matches!(folder.key_or_new("a.key", 32), Err(KeyError::Length { expected: 32, .. })));
        std::os::unix::fs::symlink("/etc/hostname", dir.path().join("keys/b.key")).unwrap();
        assert!(matches!(folder.key("b.key", 32), Err(KeyError::Special { .. })));
        for name in ["", ".", "..", "../a", "a/b", ".hidden"] {
            assert!(matches!(folder.read(name), Err(KeyError::Name { .. })), "{name}");
        }
    }
}
