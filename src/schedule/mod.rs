//! When something runs again: pauses after failures, and the outbox of write-backs.
//!
//! Pure. Knows neither the legacy system nor the ledger; time and seeds are arguments.
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::iter_over_hash_type))]

pub mod backoff;
pub mod outbox;

pub use backoff::Backoff;
pub use outbox::{Outbox, Waiting};
