//! Judges mappings: the linter with its rules, and what a change from one version to the next means.
//!
//! Pure: bytes and days in, findings and verdicts out.
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::iter_over_hash_type))]

pub mod change;
mod checks;
mod finding;
mod judge;
mod normal;
mod place;
pub mod render;
pub mod rules;
#[cfg(test)]
mod tests;
mod waiver;

pub use crate::privacy::risk::{self, RiskReport, RiskReports};
pub use change::{Axis, Change, ChangeRow, Verdict, compare};
pub use finding::{Finding, Report, Waived};
pub use judge::{Beside, Standing, StandingState, Standings, lint};
pub use normal::normal_form;
pub use rules::{Needs, Rule};
