//! Who may say yes, and whether they did: rosters, signed notes, quorum, standing of a mapping version.
//!
//! Pure: files, keys and instants are arguments; signatures are verified here and made elsewhere.
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::iter_over_hash_type))]

use std::collections::BTreeMap;

use crate::domain::Timestamp;
use crate::privacy::Closure;

/// What a deployment trusts from the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// First line of every note: `[daemon] origin`.
    pub origin: String,
    /// Digest of the first roster: `[mappings] genesis`.
    pub genesis: Option<String>,
    /// Only the demonstration: are officers marked as demonstration believed?
    pub demonstration: Demonstration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demonstration {
    Accepted,
    Refused,
}

/// Where a mapping version stands at an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    InForce {
        /// Digest of the note that completed the quorum.
        note: String,
        /// First instant at which it no longer is.
        until: Timestamp,
    },
    /// Signed; takes effect later (24 h after the last needed signature of a wider mapping).
    Delayed {
        from: Timestamp,
    },
    /// Signatures are missing: how many are there and needed.
    Waiting {
        have: u32,
        need: u32,
        why: String,
    },
    Expired {
        at: Timestamp,
    },
    /// 제공 중지.
    Stopped {
        by: String,
        at: Timestamp,
    },
    /// 보완 요구 or 반려.
    Refused {
        by: String,
        at: Timestamp,
    },
    /// Something is not as signed; one line that says what.
    Broken {
        why: String,
    },
}

/// `officers.toml` and `approvals/`, read and verified as far as they go by themselves.
#[derive(Debug, Clone)]
pub struct Approvals {
    trust: Trust,
}

impl Approvals {
    /// From the bytes of a mappings folder. Never fails: what cannot be read or verified breaks the standing of what it
    /// is about, with its reason.
    pub fn read(files: &BTreeMap<String, Vec<u8>>, trust: &Trust) -> Approvals {
        let _ = files;
        Approvals { trust: trust.clone() }
    }

    /// Digest of the roster in force, which closures cover.
    pub fn roster_head(&self) -> Option<String> {
        None
    }

    /// Where this version stands.
    pub fn standing(&self, closure: &Closure, now: Timestamp) -> Standing {
        let _ = (closure, now, &self.trust);
        Standing::Waiting { have: 0, need: 2, why: String::from("not built") }
    }

    /// The newest version of the mapping that is in force, out of the closures kept under `approvals/<mapping>/`.
    pub fn in_force(&self, mapping: &str, now: Timestamp) -> Option<(Closure, Standing)> {
        let _ = (mapping, now);
        None
    }
}
