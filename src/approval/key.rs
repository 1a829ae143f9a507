//! Public keys of officers, and the names that they sign by.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::digest::{SHA256, digest};
use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

/// C2SP signature type of Ed25519.
const ED25519_TYPE: &[u8] = &[0x01];
/// C2SP has no type for P-256 over a note's text (0x02 is historic and names its keys otherwise): 0xff and a name of
/// our own, as the specification asks of types that it does not assign.
const P256_TYPE: &[u8] = b"\xffslotbridge.p256-sha256";
/// Bound of an officer's id and of a key's name.
const NAME_CHARS_MAX: usize = 32;

/// `ed25519:<base64url>` or `p256:<base64url of the uncompressed point>`. A P-256 signature is r and s, 64 bytes, as
/// browsers make it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum PublicKey {
    Ed25519([u8; 32]),
    P256([u8; 65]),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a public key is ed25519:<base64url of 32 bytes> or p256:<base64url of 65 bytes>")]
pub struct NotAKey;

impl PublicKey {
    pub fn parse(text: &str) -> Result<PublicKey, NotAKey> {
        let (algorithm, key) = text.split_once(':').ok_or(NotAKey)?;
        let bytes = URL_SAFE_NO_PAD.decode(key).map_err(|_| NotAKey)?;
        match algorithm {
            "ed25519" => Ok(PublicKey::Ed25519(bytes.try_into().map_err(|_| NotAKey)?)),
            "p256" => {
                let point: [u8; 65] = bytes.try_into().map_err(|_| NotAKey)?;
                if point[0] == 0x04 { Ok(PublicKey::P256(point)) } else { Err(NotAKey) }
            }
            _ => Err(NotAKey),
        }
    }

    pub fn verifies(&self, text: &str, signature: &[u8]) -> bool {
        let verified = match self {
            PublicKey::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(text.as_bytes(), signature),
            PublicKey::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(text.as_bytes(), signature)
            }
        };
        verified.is_ok()
    }

    /// C2SP key id: binds the name, the algorithm and the key.
    pub fn id(&self, name: &str) -> [u8; 4] {
        let (kind, key): (&[u8], &[u8]) = match self {
            PublicKey::Ed25519(key) => (ED25519_TYPE, key),
            PublicKey::P256(point) => (P256_TYPE, point),
        };
        let hash = digest(&SHA256, &[name.as_bytes(), b"\n", kind, key].concat());
        let mut id = [0; 4];
        id.copy_from_slice(&hash.as_ref()[..4]);
        id
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PublicKey::Ed25519(key) => write!(f, "ed25519:{}", URL_SAFE_NO_PAD.encode(key)),
            PublicKey::P256(point) => write!(f, "p256:{}", URL_SAFE_NO_PAD.encode(point)),
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl TryFrom<String> for PublicKey {
    type Error = NotAKey;
    fn try_from(text: String) -> Result<PublicKey, NotAKey> {
        PublicKey::parse(&text)
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> String {
        key.to_string()
    }
}

/// `kim/laptop`: an officer and one of the officer's keys.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct SignerName {
    pub officer: String,
    pub key: String,
}

impl SignerName {
    pub fn parse(text: &str) -> Option<SignerName> {
        let (officer, key) = text.split_once('/')?;
        let named = is_name(officer) && is_name(key);
        named.then(|| SignerName { officer: officer.to_owned(), key: key.to_owned() })
    }
}

impl fmt::Display for SignerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.officer, self.key)
    }
}

/// Lower-case letters, digits and `-`, a letter first.
pub(super) fn is_name(text: &str) -> bool {
    text.len() <= NAME_CHARS_MAX
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// What whoever registers a key signs with it: proof that the private half is theirs.
pub fn possession_text(signer: &SignerName, public: &PublicKey) -> String {
    format!("slotbridge-officer-key-v1\n{signer}\n{public}\n")
}
