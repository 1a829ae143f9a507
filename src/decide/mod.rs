//! The deciding core: pure, one writer. See `desk`.

pub mod entry;
pub mod event;

pub use entry::{Booked, Entry, Op, OpResult, OpWhat, Rejection, What};
pub use event::{After, Alternative, Ask, BookAsk, Effects, Event, MAX_FACTS, MAX_RESERVE, Outcome, Refused};
