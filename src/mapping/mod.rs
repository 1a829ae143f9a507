//! Mapping files as types: catalogue, policy, partners and mappings. Data only; applying them is `privacy`.
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::iter_over_hash_type))]

pub mod catalogue;

pub use catalogue::{Catalogue, Class, Column, ColumnType, Layout, Object, Role};
