//! The key that signs heads of the evidence log: an Ed25519 seed in the key folder.
//!
//! Partners pin its public half. Losing it loses no evidence: heads signed so far stay verifiable, and a new key signs
//! the next one.

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use super::folder::{KeyError, KeyFolder};

const SEED_BYTES: usize = 32;

pub struct LogKey(Ed25519KeyPair);

impl std::fmt::Debug for LogKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LogKey(…)")
    }
}

impl LogKey {
    pub const FILE: &str = "evidence.key";

    /// Opens the key of that name; makes it if it is not there.
    pub fn open(folder: &KeyFolder, name: &str) -> Result<LogKey, KeyError> {
        LogKey::of(folder.key_or_new(name, SEED_BYTES)?.expose())
    }

    /// `None`: there is no such key.
    pub fn existing(folder: &KeyFolder, name: &str) -> Result<Option<LogKey>, KeyError> {
        folder.key(name, SEED_BYTES)?.map(|seed| LogKey::of(seed.expose())).transpose()
    }

    fn of(seed: &[u8]) -> Result<LogKey, KeyError> {
        Ed25519KeyPair::from_seed_unchecked(seed).map(LogKey).map_err(|_| KeyError::Random)
    }

    pub fn public(&self) -> [u8; 32] {
        let mut public = [0; 32];
        public.copy_from_slice(self.0.public_key().as_ref());
        public
    }

    /// 64 bytes.
    pub fn sign(&self, text: &[u8]) -> Vec<u8> {
        self.0.sign(text).as_ref().to_vec()
    }
}

/// Did the holder of the key sign exactly these bytes?
pub fn is_signed(public: &[u8; 32], text: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, public).verify(text, signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_signs_what_its_public_half_verifies() {
        let dir = tempfile::tempdir().unwrap();
        let folder = KeyFolder::open(&dir.path().join("keys")).unwrap();
        assert!(LogKey::existing(&folder, LogKey::FILE).unwrap().is_none());
        let key = LogKey::open(&folder, LogKey::FILE).unwrap();
        let again = LogKey::existing(&folder, LogKey::FILE).unwrap().unwrap();
        assert_eq!(key.public(), again.public());
        let signature = again.sign(b"text");
        assert!(is_signed(&key.public(), b"text", &signature));
        assert!(!is_signed(&key.public(), b"texs", &signature));
    }
}
