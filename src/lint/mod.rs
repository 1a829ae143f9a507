//! Judges mappings: the linter with its rules, and what a change from one version to the next means.
//!
//! Pure: bytes and days in, findings and verdicts out.
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::iter_over_hash_type))]

pub mod change;

pub use change::{Axis, Change, ChangeRow, Verdict, compare};
