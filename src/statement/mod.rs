//! What an officer reads about one version of a mapping: as data for pages, and as the Korean text that is signed.
//!
//! Pure and deterministic: the same closures give the same text byte for byte, so that whoever verifies a signature
//! renders the text anew and compares.
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::iter_over_hash_type))]

use crate::lint::Change;
use crate::privacy::Closure;

/// The body of a note: one line a statement, Korean, without a line that starts with `— `, ends with a newline.
pub fn note_body(closure: &Closure, change: &Change) -> String {
    format!("{} {}\n", closure.id(), change.verdict.ko())
}
