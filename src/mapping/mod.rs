//! Mapping files as types: catalogue, policy, partners and mappings. Data only; applying them is `privacy`.
//!
//! `load` turns the bytes of the folder into a `MappingSet` or into every problem found, each with its place in its
//! file. Reading the folder is the shell's (`mapping_files`).
//!
//! Invariants of a loaded set: every column of a mapped object is in a field, a filter, an operational role or
//! `withheld`; no field reads a column by a transform that its class, its type or the policy forbids; a layout holds
//! columns of active mappings and operational columns, nothing else.
//!
//! Approvals, the full linter and the drift gate are not here.
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::iter_over_hash_type))]

pub mod catalogue;
mod check;
mod check_across;
mod check_catalogue;
pub mod error;
pub mod feed_mapping;
pub mod korean;
pub mod load;
pub mod pattern;
pub mod policy;
mod set;
pub mod table;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
pub mod transform;

pub use catalogue::{Catalogue, Class, Column, ColumnType, Layout, Object, Role, Text2};
pub use error::{MappingError, RuleId};
pub use feed_mapping::{Basis, FeedKind, FeedMapping, Field, MappingStatus, Mode};
pub use load::{Drawn, Parts, load, read};
pub use policy::{Partner, PartnerRole, Partners, Policy, ReceiptKind, Severity};
pub use set::MappingSet;
pub use table::Table;
pub use transform::{Op, Transform};
