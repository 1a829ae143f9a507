//! Opening of person tokens, as intake needs it.

use crate::domain::{PartnerId, PersonRef};

/// What a person token turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    Person(PersonRef),
    /// Genuine, of an epoch that has ended.
    Expired,
    /// Forged, damaged, of another purpose or another partner: nobody is told which.
    Unknown,
}

/// `keys` implements it: one authenticated decryption, no table.
pub trait OpenToken: Send + Sync {
    fn open(&self, partner: &PartnerId, text: &str) -> Opened;
}
