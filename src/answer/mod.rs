//! Outcome → status and body. The only maker of problem bodies and of booking bodies.
//!
//! Pure: the same outcome under the same mappings gives the same bytes, because the bytes are stored with the ledger
//! entry and replayed for ever. Invariants: the list of codes is closed and every code stands in the documentation;
//! no body holds a person token or repeats a value that the caller sent; whatever a body says about a slot or a booking went
//! through the partner's own mapping and past its guard; `not_bookable` is one constant body.
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::iter_over_hash_type))]

mod code;
mod docs;
mod mapped;
mod object;
mod problem;
mod render;

pub use code::Code;
pub use docs::codes_markdown;
pub use mapped::Mapped;
pub use object::{Node, Object};
pub use problem::{Place, Problem};
pub use render::{Answers, BookingRecord, Project, Shown, SlotRecord, Withheld};
