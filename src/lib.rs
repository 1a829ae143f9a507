//! slotbridge: takes bookings from partners for a legacy system that cannot take the load, and writes them back.
//!
//! # Data flow
//! ```text
//!  legacy ──cuts──> capture ──facts──> intake ──> DESK (decide) ──entries──> ledger ──once durable──┐
//!    ▲              mirror             ▲   ▲      one thread                  fsync                  │
//!    │              register           │   └ requests ── serve <── partners   before any answer      │
//!    │                                 └ outcomes                     ▲                              │
//!    └──take, convert, return── writeback <───ops──────────────┐      │                              │
//!                                                              │      ├── publish <── privacy <──────┤
//!                                                              └──────┴── view <────────────────────┘
//! ```
//! One sequence: the desk numbers entries, and that number (`Position`) is the cursor of requests, feeds and lookups.
//!
//! # Two zones
//! Pure: time, keys and seeds are arguments; no I/O, no logging, no walk over a hash map. Shell: everything else.
//!
//! | module | owns |
//! |---|---|
//! | `domain` | words: ids, instants, rows, facts, bookings, refusals |
//! | `mapping` | catalogue, policy, partners and mappings as types; whether they load |
//! | `privacy` | row → record; transforms; digests |
//! | `lint` | the linter's rules; what a change of a mapping means: 확대, 축소, 동일 |
//! | `statement` | what an officer reads about a mapping version; the Korean text that is signed |
//! | `approval` | rosters, signed notes, quorum; where a mapping version stands |
//! | `decide` | the desk: rules, units, keys, who is booked; entries and replay |
//! | `schedule` | backoff, order and batches of the outbox |
//! | `feed` | how a page looks: items, cursors, `next` |
//! | `answer` | outcome → status and body; every problem code |
//! | `clock`, `config`, `mapping_files`, `telemetry` | shell: what time it is; the configuration; the mappings folder as files; logs and metrics |
//! | `durable` | the ports between the one writer and all readers |
//! | `legacy` | ports to the legacy system; `legacy::sqlite`, the embedded one, with its native seller |
//! | `register` | person numbers ↔ legacy person keys |
//! | `capture` | polls, diff, mirror |
//! | `intake` | the one bounded door to the desk; parsing of requests |
//! | `ledger` | segments, committer thread, snapshots, verify, backup, restore |
//! | `view` | durable state for readers; CI → person number, in memory |
//! | `publish` | feed store, ticks, tombstones, watermarks |
//! | `writeback` | the worker that owes the legacy system its ops |
//! | `keys` | secrets: person tokens, receipts, API keys |
//! | `evidence` | the record of what was looked up |
//! | `serve` | routes, identity, limits, headers |
//! | `app`, `admin`, `cli` | wiring of the daemon and its stop; lock and local socket; commands |
//! | `partner` | the reference client of the partner API: feeds into a store, receipts, tokens, bookings |
//! | `demo` | the demonstration: traffic and verdict |
//!
//! Who may name whom is a table in `tests/tidy/arrows.rs`.
//!
//! # What is not there
//! - No answer leaves before the transaction that holds its entry and its bytes is synced.
//! - No second writer: nothing but `Desk::step` decides, nothing but `Book::apply` changes the book.
//! - No clock, disk or dice in a rule, so replay, simulation and service end the same.
//! - No CI, resident number, name or legacy person key in the desk or the ledger: their types have `PersonNo`. No
//!   person token in a stored body. No CI in any file of the bridge.
//! - No partner-visible byte that is not a mapping's: `feed` and `answer` get records, never rows.
//! - No legacy column in a SELECT that no mapping and no operational role names.
//! - No path from `serve` to `ledger`, `legacy` or `capture`: what it needs passes intake, view and publish, which a
//!   link between two network zones can carry.
//! - No uniqueness index on the path of an acknowledgement: keys and persons are unique in memory.
//! - No queue, body, page, batch, retry or loop without a named bound.
//! - No sale that is not backed by a unit drawn beforehand, so write-back cannot fail for lack of room.
//!
//! # Memory, counted from the types (64-bit, with hash tables two thirds full)
//! | structure | bytes an item | grows with |
//! |---|---|---|
//! | desk: slot and its number | 300 | slots |
//! | row, shared by desk, view and publisher | 24 a fetched column, and its texts: 600 for a slot | slots, sites |
//! | view: slot | 170 | slots |
//! | publisher: item with its bytes | 470 a partner that has the feed | published items, tombstones of 7 days |
//! | desk: person | 3 | highest person number |
//! | register: person | 24 | persons |
//! | CI table | 20 (twice while it is rebuilt) | persons with a CI |
//! | desk and view: booking, engagement, reservation | 900 | bookings |
//! | desk and view: request key | 2 × 96 | accepted keys; refused ones of 24 h, bounded a partner |
//! | desk: receipt | 60 | receipts of 60 min |
//! | queue to the desk | bounded: 4,096 requests, 1,024 others | |
//!
//! With 200 k slots, 1 M persons and three partners that is about 0.6 GB. At 4 M slots rows and items dominate: texts
//! that repeat are not shared yet.

pub mod admin;
pub mod answer;
pub mod app;
pub mod approval;
pub mod capture;
pub mod cli;
pub mod clock;
pub mod config;
pub mod decide;
pub mod demo;
pub mod domain;
pub mod durable;
pub mod evidence;
pub mod feed;
pub mod intake;
pub mod keys;
pub mod ledger;
pub mod legacy;
pub mod lint;
pub mod mapping;
pub mod mapping_files;
pub mod partner;
pub mod privacy;
pub mod publish;
pub mod register;
pub mod schedule;
pub mod serve;
pub mod statement;
pub mod telemetry;
pub mod view;
pub mod writeback;
