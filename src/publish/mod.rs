//! Renders feeds after durability and keeps them: feed store, ticks, tombstones, pages.

pub mod api;
