//! Keys and what is done with them: person tokens, consent receipts, partners' API keys; on an officer's own machine the
//! key that officers sign with.
//!
//! Owns the key folder. Does not decide anything: who may ask for a token, and how often, is the desk's. MACs of
//! requests are `intake`'s.
//!
//! Invariants: a key is never logged, never in an error, never in the environment or an argument; key files are 0600
//! in a 0700 folder or are refused; secrets are compared in constant time; a destroyed key is never made again.
//!
//! The SIV implementation is not a validated cryptographic module (검증필 암호모듈이 아님); `seal`, `open`, `mac` and
//! `sign` are the whole surface that one would replace, and every header names its algorithm.

mod bearer;
mod epochs;
mod escrow;
mod folder;
mod log_key;
mod officer;
mod receipt;
mod token;

use ring::hmac;

pub use bearer::{ApiKey, ApiKeys, ApiKeysError, NewApiKey};
pub use epochs::{Epoch, EpochList, EpochRefused, epoch_of};
pub use escrow::{Copy, Destroyed, Escrow, EscrowError};
pub use folder::{KeyError, KeyFolder};
pub use log_key::{LogKey, is_signed};
pub use officer::{OfficerKey, OfficerKeyError, PASSPHRASE_CHARS_MIN, passphrase_in};
pub use receipt::{
    DemoIssuer, Expected, Receipt, ReceiptError, ReceiptKey, ReceiptRequest, ReceiptRules, SignedBy, parse_receipt_key,
};
pub use token::{Environment, Epochs, Opened, PersonTokens};

/// Are the two equal? Takes the same time wherever they differ: what is compared are MACs under `key`.
fn is_same(key: &hmac::Key, a: &[u8], b: &[u8]) -> bool {
    hmac::verify(key, a, hmac::sign(key, b).as_ref()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_equal_bytes_are_the_same() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"k");
        assert!(is_same(&key, b"abc", b"abc"));
        assert!(!is_same(&key, b"abc", b"abd"));
        assert!(!is_same(&key, b"abc", b"ab"));
    }
}
