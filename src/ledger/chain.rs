//! What is hashed, byte for byte. Every batch names the hash of the one before, across segments.
//!
//! The chain shows damage and careless edits. Against someone who rewrites the whole ledger it helps only together
//! with a head that is kept elsewhere (evidence, a backup's manifest, a snapshot).

use std::fmt;

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

use crate::domain::{Position, Timestamp};

/// SHA-256; shown and stored in text as 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hash(pub [u8; 32]);

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> String {
        hash.to_string()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("not a SHA-256 in hex")]
pub struct NotAHash;

impl TryFrom<String> for Hash {
    type Error = NotAHash;
    fn try_from(text: String) -> Result<Hash, NotAHash> {
        if text.len() != 64 || !text.is_ascii() {
            return Err(NotAHash);
        }
        let mut bytes = [0u8; 32];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).map_err(|_| NotAHash)?;
        }
        Ok(Hash(bytes))
    }
}

/// SHA-256 of anything that is fed piece by piece. Variable pieces carry their length.
pub(super) struct Hasher(Context);

impl Hasher {
    pub fn new(domain: &str) -> Hasher {
        let mut hasher = Hasher(Context::new(&SHA256));
        hasher.bytes(domain.as_bytes());
        hasher
    }

    pub fn number(&mut self, n: u64) {
        self.0.update(&n.to_be_bytes());
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }

    pub fn hash(&mut self, hash: &Hash) {
        self.0.update(&hash.0);
    }

    pub fn finish(self) -> Hash {
        Hash(self.0.finish().as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }
}

/// Head of a batch; begins its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BatchHead {
    pub first: Position,
    pub last: Position,
    pub at: Timestamp,
    pub previous: Hash,
}

/// Hash of a batch under construction: head, then every entry, then every reply, then how many of each.
pub(super) struct BatchHasher {
    hasher: Hasher,
    entries: u64,
    replies: u64,
}

impl BatchHasher {
    pub fn new(head: &BatchHead) -> BatchHasher {
        let mut hasher = Hasher::new("slotbridge batch 1");
        hasher.hash(&head.previous);
        hasher.number(head.first.0);
        hasher.number(head.last.0);
        hasher.number(head.at.0 as u64);
        BatchHasher { hasher, entries: 0, replies: 0 }
    }

    pub fn entry(&mut self, position: Position, at: Timestamp, body: &[u8]) {
        self.hasher.number(position.0);
        self.hasher.number(at.0 as u64);
        self.hasher.bytes(body);
        self.entries += 1;
    }

    pub fn reply(&mut self, entry: Position, status: u16, body: &[u8]) {
        self.hasher.number(entry.0);
        self.hasher.number(u64::from(status));
        self.hasher.bytes(body);
        self.replies += 1;
    }

    pub fn finish(mut self) -> Hash {
        self.hasher.number(self.entries);
        self.hasher.number(self.replies);
        self.hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_reads_back() {
        let hash = Hasher::new("x").finish();
        assert_eq!(Hash::try_from(hash.to_string()).map(|h| h.0).ok(), Some(hash.0));
        assert!(Hash::try_from("00".to_owned()).is_err());
        assert!(Hash::try_from("zz".repeat(32)).is_err());
    }

    #[test]
    fn bytes_that_move_from_one_entry_to_the_next_change_the_hash() {
        let head = BatchHead { first: Position(1), last: Position(2), at: Timestamp(0), previous: Hash::default() };
        let of = |a: &[u8], b: &[u8]| {
            let mut hasher = BatchHasher::new(&head);
            hasher.entry(Position(1), Timestamp(0), a);
            hasher.entry(Position(2), Timestamp(0), b);
            hasher.finish()
        };
        assert_ne!(of(b"ab", b"c"), of(b"a", b"bc"));
    }
}
