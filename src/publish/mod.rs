//! Renders feeds after durability and keeps them: feed store, ticks, tombstones, pages.
//!
//! Owns the published state of every feed and its durable watermark. Does not decide, does not read the legacy system
//! and does not know HTTP. The committer hands over what each durable batch touched (`Dirty`); one thread
//! (`Publisher`) renders what is dirty in (w0, w1] on each feed's own tick; readers (`Feeds`) read memory.
//!
//! Invariants:
//! - A feed's watermark is the end of a durable batch. Every change up to it is in the feed, none beyond it is.
//! - An item's number is the position of the last entry that touched it, or one that a `Reserve` entry set aside.
//!   Numbers published by a tick lie in (w0, w1]; of one feed no two items share a number.
//! - Items and watermark are saved in one transaction; only then do readers see them, only then are they woken.
//! - Nothing is published before capture has sent again the rows that it held with position NULL. Such a row was
//!   overwritten in the mirror before the crash, so the replayed desk lacks its last durable content: a tick would
//!   count the row as gone, and its watermark would claim a change that the feed does not show.
//! - A feed whose mapping changed shows nothing until it is compared whole.
//! - New plans take the place of old ones all at once, and only when every feed that they need is complete (`rebind`).
//! - A held feed (`hold`) is not built. What became dirty meanwhile is kept, so its release catches up with all of it.
//!   Where partners share a feed and one of them is held, the feed goes on for the others, and the held one reads it
//!   as it was (`fork`), across restarts too.
//! - A subject with a slower pace (a slot of few places) is shown as it was at the latest full multiple of its pace,
//!   under a reserved number: neither moment nor order of its changes can be read off. For these the watermark claims
//!   no more than that, which is the one exception to the first rule; a partner's own booking is in `bookings` at once.
//! - What a guard stops is in no item, and holds the feed; so does a row jump until somebody confirms it.
//!
//! What is dirty is kept once a subject, not as a queue of batches: a committer that waited for room in a queue while
//! the publisher waits for the committer's answer to a `Reserve` would never move again. The bound is the number of
//! subjects, which the view holds anyway; the cost is one map insertion a change on the committer's thread.
//!
//! The store runs with `synchronous=NORMAL`: a power cut may take back the last ticks but never tears one. They are
//! published again from the ledger under the same or higher numbers, so a reader's cursor stays good.

pub mod api;
mod attach;
mod feeds;
mod fork;
mod hold;
mod inbox;
mod index;
mod jump;
mod plan;
mod planner;
mod publisher;
mod rebind;
mod run;
mod stop;
mod store;
#[cfg(test)]
mod tests;
mod tick;

pub use feeds::{Feeds, Stats};
pub use hold::{Gate, Held, Hold, HoldReason, OpenGate, Served};
pub use inbox::{Control, Dirty};
pub use jump::Jump;
pub use plan::{FeedPlan, NotRendered, RenderItem};
pub use publisher::{Opened, PublishError, Publisher, ReserveNumbers, Settings, Stopped, open};
pub use rebind::{NotRebound, Rebound};
pub use run::{Running, run};
