//! Where the bridge is and who the partner is to it.

use std::path::{Path, PathBuf};

use super::{PartnerError, secret_file};
use crate::domain::Secret;

/// What a partner was given by whoever runs the bridge.
#[derive(Debug, Clone)]
pub struct Access {
    /// The bridge's own address, without a slash at the end.
    pub base: String,
    pub identity: Identity,
    /// Roots to believe instead of the system's, PEM.
    pub ca: Option<Vec<u8>>,
}

#[derive(Debug, Clone)]
pub enum Identity {
    /// A bearer key: loopback only, over plain HTTP.
    Key(Secret),
    /// Certificate chain and private key, PEM: everywhere else.
    Certificate(Secret),
}

impl Access {
    /// `key_file` holds a bearer key, or certificate and key as PEM.
    pub fn read(url: &str, key_file: &Path, ca_file: Option<&PathBuf>) -> Result<Access, PartnerError> {
        let base = url.trim_end_matches('/').to_owned();
        let wrong = |what| PartnerError::Address { url: base.clone(), what };
        let parsed = reqwest::Url::parse(&base).map_err(|_| wrong("not a URL"))?;
        if parsed.path() != "/" || parsed.query().is_some() || !parsed.username().is_empty() {
            return Err(wrong("more than scheme, host and port"));
        }
        let secret = secret_file::read(key_file)?;
        let is_pem = secret.expose().starts_with(b"-----BEGIN");
        let is_loopback = matches!(parsed.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        let identity = match (parsed.scheme(), is_pem) {
            ("https", true) => Identity::Certificate(secret),
            ("http", false) if is_loopback => Identity::Key(secret),
            ("http", false) => return Err(wrong("a key goes over plain HTTP to this machine only")),
            ("http", true) => return Err(wrong("a certificate needs https")),
            ("https", false) => return Err(wrong("over https the partner is known by a certificate, not by a key")),
            _ => return Err(wrong("neither http nor https")),
        };
        let read =
            |path: &PathBuf| std::fs::read(path).map_err(|source| PartnerError::File { path: path.clone(), source });
        Ok(Access { base, identity, ca: ca_file.map(read).transpose()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;

    #[test]
    fn a_key_leaves_this_machine_in_no_clear_text() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let mut file = std::fs::File::options().write(true).create_new(true).mode(0o600).open(&path).unwrap();
        file.write_all(b"test_abc\n").unwrap();
        assert!(Access::read("http://127.0.0.1:8400/", &path, None).is_ok());
        for url in ["http://bridge.example", "https://bridge.example", "http://127.0.0.1/v1", "ftp://127.0.0.1", "x"] {
            let error = Access::read(url, &path, None).unwrap_err();
            assert_eq!(error.code(), "address", "{url}");
            assert!(!format!("{error} {error:?}").contains("test_abc"));
        }
    }
}
