//! The demonstration: an example legacy system, the real daemon, two partners over real HTTP, a native counter, and a
//! verdict computed at the end.
//!
//! Owns the traffic and the judging. Adds nothing to the daemon: it starts what `run` starts, in this process.
//! Invariants: partners know only what HTTP answers told them; the verdict is computed from the ledger's entries, a
//! recount of the legacy database and the partners' own records, never assumed.

mod codes;
mod dice;
mod native;
mod partner;
mod tally;
mod verdict;
