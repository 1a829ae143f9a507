//! Reads a mappings folder for `mapping::load`. The only place that knows the folder as files.
//!
//! Invariants: nothing outside the folder is read (no symbolic link is followed); what is read is bounded in number,
//! depth and size before it is read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// As `mapping::load` bounds them; one more is read so that `load` can report the excess.
const FILES_MAX: usize = 501;
const FILE_BYTES_MAX: u64 = 256 * 1024;
/// `naver/slots.toml` is 2 deep, `approvals/naver.slots/1a2b.note` 3.
const DEPTH_MAX: usize = 3;

#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error("{path}: cannot be read")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{path}: a symbolic link has no place in a mappings folder")]
    Link { path: PathBuf },
    #[error("{path}: not a file and not a folder")]
    Special { path: PathBuf },
    #[error("{path}: larger than 256 KiB")]
    Large { path: PathBuf },
    #[error("{path}: more than 500 files or more than 3 levels")]
    Many { path: PathBuf },
    #[error("{path}: the name is not UTF-8")]
    Name { path: PathBuf },
}

/// Every file of the folder, by its path in it with `/`. Hidden files (`.git`, editors' leavings) are passed over.
pub fn read_folder(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>, FolderError> {
    let mut files = BTreeMap::new();
    read_level(folder, "", 1, &mut files)?;
    Ok(files)
}

fn read_level(
    folder: &Path,
    prefix: &str,
    depth: usize,
    files: &mut BTreeMap<String, Vec<u8>>,
) -> Result<(), FolderError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| FolderError::Io { path, source }
    };
    if depth > DEPTH_MAX {
        return Err(FolderError::Many { path: folder.to_owned() });
    }
    for entry in std::fs::read_dir(folder).map_err(io(folder))? {
        let entry = entry.map_err(io(folder))?;
        let path = entry.path();
        let name = entry.file_name().into_string().map_err(|_| FolderError::Name { path: path.clone() })?;
        if name.starts_with('.') {
            continue;
        }
        let meta = std::fs::symlink_metadata(&path).map_err(io(&path))?;
        let name = format!("{prefix}{name}");
        if meta.is_symlink() {
            return Err(FolderError::Link { path });
        } else if meta.is_dir() {
            read_level(&path, &format!("{name}/"), depth + 1, files)?;
        } else if !meta.is_file() {
            return Err(FolderError::Special { path });
        } else if meta.len() > FILE_BYTES_MAX {
            return Err(FolderError::Large { path });
        } else if files.len() >= FILES_MAX {
            return Err(FolderError::Many { path });
        } else {
            let bytes = std::fs::read(&path).map_err(io(&path))?;
            files.insert(name, bytes);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_folder_loads() {
        let files = read_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings")).unwrap();
        assert!(files.contains_key("naver/slots.toml"));
        let set = crate::mapping::load(&files).unwrap_or_else(|problems| {
            let lines: Vec<String> = problems.iter().map(|p| format!("{p}\n  help: {}", p.help)).collect();
            panic!("{}", lines.join("\n"))
        });
        assert_eq!(set.partners().map(|p| p.as_str()).collect::<Vec<_>>(), ["audit", "kakao", "naver"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_out_of_the_folder_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/hostname", dir.path().join("catalog.toml")).unwrap();
        assert!(matches!(read_folder(dir.path()), Err(FolderError::Link { .. })));
    }

    #[test]
    fn a_large_file_and_a_deep_folder_are_refused_unread() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("policy.toml"), vec![b'#'; 256 * 1024 + 1]).unwrap();
        assert!(matches!(read_folder(dir.path()), Err(FolderError::Large { .. })));
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("a/b/c/d")).unwrap();
        assert!(matches!(read_folder(dir.path()), Err(FolderError::Many { .. })));
    }
}
