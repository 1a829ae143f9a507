//! Mapping files as types: catalogue, policy, partners and mappings. Data only; applying them is `privacy`.

pub mod catalogue;

pub use catalogue::{Catalogue, Class, Column, ColumnType, Layout, Object, Role};
