//! The deciding core: pure, one writer.
//!
//! `Desk::step` orders facts of the legacy system and requests of partners into one sequence and decides each.
//! Entries are outcomes; `apply` is the only code that changes the book, in `step` and at replay alike.
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::iter_over_hash_type))]

mod alternatives;
mod apply;
mod book;
mod desk;
pub mod entry;
pub mod event;
pub mod invariants;
mod policy;
mod request;
mod snapshot;
mod upkeep;

pub use apply::ReplayError;
pub use book::Units;
pub use desk::Desk;
pub use entry::{Booked, Entry, Op, OpResult, OpWhat, Rejection, What};
pub use event::{
    After, Agreement, Alternative, Ask, BookAsk, Effects, Event, Given, KnownKey, MAX_FACTS, MAX_RESERVE, Outcome,
    Refused,
};
pub use policy::{CohortSet, Policy, RefillPolicy, SeriesPolicy};
pub use snapshot::Snapshot;

use crate::domain::ObjectName;

/// Sites are published items as well as what distances are measured to.
fn site_object() -> ObjectName {
    ObjectName::new("site").expect("a valid object name")
}
