//! The deciding core: pure, one writer.
//!
//! `Desk::step` orders facts of the legacy system and requests of partners into one sequence and decides each.
//! Entries are outcomes; `apply` is the only code that changes the book, in `step` and at replay alike.
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::iter_over_hash_type))]

mod agency;
mod alternatives;
mod apply;
mod book;
mod booking;
mod claim;
mod conflicts;
mod desk;
mod done;
pub mod entry;
mod erosion;
pub mod event;
mod facts;
pub mod invariants;
mod policy;
mod request;
mod rewind;
mod snapshot;
mod taken;
mod tokens;
mod upkeep;

pub use apply::ReplayError;
pub use book::Units;
pub use conflicts::{CONFLICTS_MAX, Conflict, ConflictKind, Totals};
pub use desk::Desk;
pub use entry::{Booked, Entry, Op, OpResult, OpWhat, Rejection, What};
pub use event::{
    After, Agreement, Alternative, Ask, BookAsk, Effects, Event, Given, KnownKey, MAX_FACTS, MAX_RESERVE, Outcome,
    Refused, TokenAsk,
};
pub use policy::{CohortSet, NativeBeside, OnOverrun, Policy, QuietWindow, RefillPolicy, SeriesPolicy};
pub use snapshot::Snapshot;

use crate::domain::ObjectName;

/// Sites are published items as well as what distances are measured to.
fn site_object() -> ObjectName {
    ObjectName::new("site").expect("a valid object name")
}
