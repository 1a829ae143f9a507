//! Words that every other module uses: identifiers, instants, rows, facts, bookings and refusals.
//!
//! Owns no rule and no I/O. Invariants: every id is a newtype; a `Position` fits in 53 bits; an instant is
//! milliseconds since the Unix epoch and is shown in Asia/Seoul; a `Secret` never prints its content.
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::iter_over_hash_type))]

pub mod allotment;
pub mod booking;
pub mod fact;
pub mod geo;
pub mod ids;
pub mod refusal;
pub mod row;
pub mod secret;
pub mod time;

pub use allotment::{AllotmentMode, Control};
pub use booking::{BookingStatus, BookingView, EndReason, Sync};
pub use fact::{Fact, PersonFact, ReservationFact, SiteFact, SlotFact, SlotStatus, SlotView, Touched};
pub use ids::{
    BodyMac, BookingId, CohortNo, IdError, Incarnation, ItemKey, KeyMac, ObjectName, OpId, PartnerId, PersonNo,
    PersonRef, Position, ReceiptMac, ReservationKey, SeriesId, SiteKey, SlotKey, SlotVersion,
};
pub use refusal::{Refusal, Retry};
pub use row::{Row, Value};
pub use secret::Secret;
pub use time::Timestamp;
