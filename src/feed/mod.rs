//! Feeds as bytes: items, RPDE 1.0 pages, `next` URLs, cursors, snapshots.
//!
//! Owns how a feed looks; never what is in it (that is `publish`) nor who may read it (that is `serve`).
//! Invariants: an item is named by one change number for ever; a page is a function of its query, its items and the
//! feed's walk mark, so equal pages have equal bytes and equal tags; nothing here has a field that could hold a
//! direct identifier, for a record has only what a mapping declares.
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::iter_over_hash_type))]

pub mod cursor;
pub mod item;
pub mod page;

pub use cursor::{LIMIT_DEFAULT, LIMITS, is_expired};
pub use item::{Item, data_of};
pub use page::{PageUrl, etag, render, snapshot};
