//! A reference client of the partner API: what a partner's engineer reads and copies.
//!
//! Owns the partner's side of the contract: following feeds into a store of its own, consent receipts, person tokens,
//! deciding locally who may book, choosing a slot, booking with keys that survive a crash, reading and cancelling.
//! Does not know the bridge from inside: it imports nothing of `serve`, and what it believes about an answer it reads
//! from the answer.
//!
//! Invariants: a page's items and the link after it are stored in one transaction, so a stop at any moment resumes
//! without gap or repeat; a request's key and body are on disk before they are first sent, so a retry after a crash is
//! the same request; credentials go to the configured address only, whatever a link or a redirect says; a CI is in no
//! error, file or argument.
//!
//! One SQLite file is the store, rather than a file of lines a feed: replacing a feed by its snapshot and storing a
//! page with its link must each be all or nothing, and a slot is looked up by id. It costs a copy of each item on disk.

pub mod access;
pub mod book;
pub mod choose;
pub mod consent;
pub mod eligible;
pub mod error;
pub mod person;
pub mod pull;
pub mod round;
pub mod secret_file;
pub mod store;
pub mod wire;

pub use access::Access;
pub use book::{Booked, Effort, Order};
pub use consent::{Consent, Issuer};
pub use error::{Next, PartnerError, Problem};
pub use pull::{Pulled, Wait};
pub use store::Store;
pub use wire::Bridge;
