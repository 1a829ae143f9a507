//! What an officer reads about one version of a mapping: as data for pages, and as the Korean text that is signed.
//!
//! Pure and deterministic: the same closures give the same text byte for byte, so that whoever verifies a signature
//! renders the text anew and compares. One model (`Statement`) feeds page, terminal and note, so that what is signed is
//! what was read. Does not judge: verdicts and findings are arguments.
//!
//! Invariants: every column of the object either leaves or stands among the withheld, with a reason; a text of a
//! mapping never begins a line, ends one, or hides a character.
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::iter_over_hash_type))]

mod build;
mod kept;
mod limits;
mod lineage;
mod model;
mod note;
mod plain;
mod promise;
mod samples;
mod sentence;
#[cfg(test)]
mod tests;
mod words;

use crate::lint::Change;
use crate::privacy::Closure;

pub use build::Situation;
pub use kept::{KeptVersion, kept_versions, newest_kept};
pub use lineage::{ApprovalRow, Lineage, LineageColumn, LineageMapping, LineageObject, Use, WithheldFrom};
pub use model::{
    Because, Carries, ChangeNote, ColumnNote, ConsentNote, Difference, DifferenceRow, Example, FindingNote, Headline,
    Internal, Leaves, Previous, Published, RiskPart, Signing, Statement, Terms, WaiverNote, Withheld,
};
pub use plain::{is_treacherous, plain};
pub use samples::{Outcome, SAMPLE_ROWS_MAX, SampleCell, SampleRow, Samples, Sampling, samples};
pub use words::severity as severity_words;

/// The body of a note: one line a statement, Korean, without a line that starts with `— `, ends with a newline.
pub fn note_body(closure: &Closure, change: &Change) -> String {
    note::body(&Statement::without_examples(closure, change))
}
