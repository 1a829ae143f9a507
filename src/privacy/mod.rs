//! Applies mappings: row in, record out. A record has only what a mapping declares.
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::iter_over_hash_type))]

use std::sync::Arc;

use crate::domain::{BookingView, Row, SlotView};

/// What a mapping is applied to.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    Slot(&'a SlotView),
    Booking(&'a BookingView),
    /// Any other published object.
    Item {
        key: &'a str,
        row: &'a Row,
    },
}

/// What a partner sees of one subject: its public id and the declared fields, in the mapping's order.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub id: Arc<str>,
    pub fields: Vec<(Arc<str>, serde_json::Value)>,
}
