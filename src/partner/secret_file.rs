//! Keys and CIs come from files that only their owner may read: arguments and the environment show in process lists.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::PartnerError;
use crate::domain::Secret;

/// A chain of certificates with its key is the longest.
const BYTES_MAX: u64 = 64 * 1024;

/// Content without white space at its ends. Refuses what group or others may read.
pub fn read(path: &Path) -> Result<Secret, PartnerError> {
    let io = |source| PartnerError::File { path: path.to_owned(), source };
    let file = File::open(path).map_err(io)?;
    // Of the file that was opened, not of the name, which may lead elsewhere by now.
    let meta = file.metadata().map_err(io)?;
    if !meta.is_file() {
        return Err(PartnerError::Content { path: path.to_owned(), what: "not a plain file" });
    }
    if meta.mode() & 0o077 != 0 {
        return Err(PartnerError::Exposed { path: path.to_owned(), mode: meta.mode() & 0o777 });
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(io)?;
    let trimmed = bytes.trim_ascii();
    if trimmed.is_empty() || bytes.len() as u64 > BYTES_MAX {
        return Err(PartnerError::Content { path: path.to_owned(), what: "empty, or longer than 64 KiB" });
    }
    Ok(Secret::new(trimmed.to_vec()))
}

/// As `read`, for what travels as text.
pub fn text(path: &Path) -> Result<Zeroizing<String>, PartnerError> {
    let bytes = read(path)?;
    let text = std::str::from_utf8(bytes.expose()).ok().filter(|text| !text.contains(char::is_control));
    let text = text.ok_or(PartnerError::Content { path: path.to_owned(), what: "not one line of text" })?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// An Ed25519 private key: its 32 bytes, base64url without padding.
pub fn seed(path: &Path) -> Result<Zeroizing<[u8; 32]>, PartnerError> {
    let text = text(path)?;
    let bytes = URL_SAFE_NO_PAD.decode(text.as_bytes()).map(Zeroizing::new).ok();
    let seed = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok());
    let what = "not 32 bytes in base64url without padding";
    seed.map(Zeroizing::new).ok_or(PartnerError::Content { path: path.to_owned(), what })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_others_may_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        std::fs::write(&path, "test_key\n").unwrap();
        for (mode, is_fine) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            match text(&path) {
                Ok(text) => assert!(is_fine && *text == "test_key"),
                Err(error) => assert!(!is_fine && error.code() == "key_exposed", "{error}"),
            }
        }
    }
}
