//! API keys of partners for loopback and tests: kept as SHA-256 digests, compared in constant time.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::digest::{SHA256, digest};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use crate::domain::{PartnerId, Secret};

use super::folder::{KeyError, KeyFolder};
use super::is_same;
use super::token::Environment;

const FILE: &str = "api-keys.toml";
/// Every key is compared at every request: 1,000 comparisons take some 2 ms.
const KEYS_MAX: usize = 1_000;
const KEY_CHARS_MAX: usize = 200;

#[derive(Debug, thiserror::Error)]
pub enum ApiKeysError {
    #[error(transparent)]
    Folder(#[from] KeyError),
    #[error("{FILE}: not a list of API keys: {cause}")]
    Shape { cause: String },
    #[error("{FILE}: the key id {id} stands twice")]
    Duplicate { id: String },
    #[error("{FILE}: more than {KEYS_MAX} keys")]
    Many,
    #[error("the system gives no random numbers")]
    Random,
}

/// An entry of `api-keys.toml`. The key itself is nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    pub id: String,
    pub partner: PartnerId,
    /// Hex SHA-256 of the key's text.
    pub sha256: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "key", default)]
    keys: Vec<ApiKey>,
}

/// A key just made: the only moment its text exists here.
#[derive(Debug)]
pub struct NewApiKey {
    pub id: String,
    pub text: Secret,
}

pub struct ApiKeys {
    keys: Vec<ApiKey>,
    compare: hmac::Key,
}

impl ApiKeys {
    /// The keys of the folder; none if the file is not there.
    pub fn open(folder: &KeyFolder) -> Result<ApiKeys, ApiKeysError> {
        let text = folder.read(FILE)?;
        let text = text.as_ref().map_or(&[][..], Secret::expose);
        let shape = |cause: String| ApiKeysError::Shape { cause };
        let text = std::str::from_utf8(text).map_err(|error| shape(error.to_string()))?;
        let file: File = toml::from_str(text).map_err(|error| shape(error.message().to_owned()))?;
        let mut compare = [0u8; 32];
        SystemRandom::new().fill(&mut compare).map_err(|_| ApiKeysError::Random)?;
        let mut keys = ApiKeys { keys: Vec::new(), compare: hmac::Key::new(hmac::HMAC_SHA256, &compare) };
        for key in file.keys {
            keys.add(key)?;
        }
        Ok(keys)
    }

    /// Makes a key for a partner and writes its digest to the folder.
    pub fn make(
        &mut self,
        folder: &KeyFolder,
        environment: Environment,
        partner: &PartnerId,
    ) -> Result<NewApiKey, ApiKeysError> {
        let mut random = [0u8; 32];
        SystemRandom::new().fill(&mut random).map_err(|_| ApiKeysError::Random)?;
        let prefix = match environment {
            Environment::Live => "live_",
            Environment::Test => "test_",
        };
        let text = format!("{prefix}{}", URL_SAFE_NO_PAD.encode(random));
        let used = |id: &str| self.keys.iter().any(|k| k.id == id);
        let id = (1..=KEYS_MAX + 1).map(|n| format!("{partner}-{n}")).find(|id| !used(id)).ok_or(ApiKeysError::Many)?;
        let sha256 = hex(digest(&SHA256, text.as_bytes()).as_ref());
        self.add(ApiKey { id: id.clone(), partner: partner.clone(), sha256 })?;
        let file = toml::to_string(&File { keys: self.keys.clone() });
        let file = file.map_err(|error| ApiKeysError::Shape { cause: error.to_string() })?;
        folder.write(FILE, file.as_bytes())?;
        Ok(NewApiKey { id, text: Secret::new(text.into_bytes()) })
    }

    /// All keys, in the file's order.
    pub fn iter(&self) -> impl Iterator<Item = &ApiKey> {
        self.keys.iter()
    }

    /// Whose key was presented. Every key is compared, whichever fits.
    pub fn holder(&self, presented: &str) -> Option<&ApiKey> {
        if presented.len() > KEY_CHARS_MAX {
            return None;
        }
        let wanted = hex(digest(&SHA256, presented.as_bytes()).as_ref());
        let mut found = None;
        for key in &self.keys {
            if is_same(&self.compare, key.sha256.as_bytes(), wanted.as_bytes()) {
                found = Some(key);
            }
        }
        found
    }

    fn add(&mut self, key: ApiKey) -> Result<(), ApiKeysError> {
        let is_digest = key.sha256.len() == 64 && key.sha256.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !is_digest {
            return Err(ApiKeysError::Shape { cause: format!("sha256 of {} is not 64 hex digits", key.id) });
        }
        if self.keys.iter().any(|k| k.id == key.id) {
            return Err(ApiKeysError::Duplicate { id: key.id });
        }
        if self.keys.len() == KEYS_MAX {
            return Err(ApiKeysError::Many);
        }
        self.keys.push(key);
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String cannot fail");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_tells_its_partner_and_its_text_is_kept_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let folder = KeyFolder::open(&dir.path().join("keys")).unwrap();
        let mut keys = ApiKeys::open(&folder).unwrap();
        let (naver, kakao) = (PartnerId::new("naver").unwrap(), PartnerId::new("kakao").unwrap());
        let first = keys.make(&folder, Environment::Test, &naver).unwrap();
        let second = keys.make(&folder, Environment::Test, &naver).unwrap();
        let other = keys.make(&folder, Environment::Test, &kakao).unwrap();
        assert_eq!((first.id.as_str(), second.id.as_str(), other.id.as_str()), ("naver-1", "naver-2", "kakao-1"));
        let keys = ApiKeys::open(&folder).unwrap();
        let text = |key: &NewApiKey| String::from_utf8(key.text.expose().to_vec()).unwrap();
        assert!(text(&first).starts_with("test_"));
        assert_eq!(keys.holder(&text(&second)).map(|k| &k.partner), Some(&naver));
        assert_eq!(keys.holder(&text(&other)).map(|k| k.id.as_str()), Some("kakao-1"));
        for wrong in ["", "test_", &text(&first)[..40], &"x".repeat(10_000)] {
            assert!(keys.holder(wrong).is_none());
        }
        let file = folder.read(FILE).unwrap().unwrap();
        assert!(!String::from_utf8_lossy(file.expose()).contains(&text(&first)[5..]));
        assert!(!format!("{first:?}").contains(&text(&first)));
    }

    #[test]
    fn a_crooked_list_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let folder = KeyFolder::open(&dir.path().join("keys")).unwrap();
        let entry =
            |id: &str, digest: &str| format!("[[key]]\nid = \"{id}\"\npartner = \"naver\"\nsha256 = \"{digest}\"\n");
        let digest = "0".repeat(64);
        for text in [
            "key = 1".to_owned(),
            entry("a", "00"),
            entry("a", &digest) + &entry("a", &digest),
            entry("a", &digest) + "secret = \"x\"\n",
        ] {
            folder.write(FILE, text.as_bytes()).unwrap();
            assert!(ApiKeys::open(&folder).is_err(), "{text}");
        }
        let many: String = (0..=KEYS_MAX).map(|n| entry(&format!("k{n}"), &digest)).collect();
        folder.write(FILE, many.as_bytes()).unwrap();
        assert!(matches!(ApiKeys::open(&folder), Err(ApiKeysError::Many)));
    }
}
