//! The partner API over HTTP: routes, identity, limits, headers. Decides nothing.
//!
//! Invariants: every byte about a slot or a booking comes from `answer` or from a rendered feed; a request reaches the desk only
//! through `Intake`; no handler names the ledger or the legacy system; the partner is known before anything of a
//! request is read, and a 401 says nothing of our state; every wait and every body has a bound.
//! Bodies of problems are rendered in one place, the gate, so that no error escapes undocumented.

mod access;
mod bookings;
pub mod certs;
mod feeds;
mod gate;
mod headers;
mod held;
mod listen;
mod open;
mod persons;
mod ports;
mod rate;
mod read;
mod router;
mod schema;
mod search;
mod slots;
mod tls;
mod wait;

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;

use crate::answer::Answers;
use crate::clock::Clock;
use crate::durable::Replies;
use crate::intake::{Intake, Macs};
use crate::publish::api::FeedSource;
use crate::view::View;

pub use access::{Access, Partners, Peer, PeerCertificate, bearer_digest};
pub use held::withheld;
pub use listen::{Door, run};
pub use ports::{
    About, Acting, Answered, Audit, Consent, Health, PersonTokens, ReceiptFault, RecordAccess, RecordFailed,
    SealFailed, SealedToken, SignedConsent, Synthetic, TokenAccess, TokenLimits,
};
pub use rate::Rate;
pub use router::{openapi_json, router};
pub use tls::{ServerFiles, TlsError, server_config};

/// Version of the API, as stated on every response.
pub const API_VERSION: &str = "2026-11-01";

#[derive(Debug, Clone)]
pub struct Settings {
    /// Base of `Location` and of redirects, without a slash at the end. Never taken from a request.
    pub public_url: String,
    /// Hosts that are answered to. With a port: only that port.
    pub hosts: Vec<String>,
    pub environment: Environment,
    /// Freshness promised, where a response is not about one feed.
    pub freshness_slo_ms: u64,
    /// From accept or from the last response until the whole header is there; also bounds idle connections and handshakes.
    pub header_ms_max: u64,
    /// From the header until the whole body is there.
    pub body_ms_max: u64,
    /// How long a handler waits for the desk before it answers `request_in_progress`.
    pub reply_ms_max: u64,
    pub connection_age_ms_max: u64,
    /// How long open requests may take once the daemon stops.
    pub grace_ms_max: u64,
    pub connections_max: usize,
    pub header_bytes_max: usize,
    /// Per partner, every request.
    pub read_rate: Rate,
    /// Per partner, requests that reach the desk.
    pub book_rate: Rate,
    /// A snapshot younger than this is given again instead of a new one.
    pub snapshot_age_ms_max: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    Live,
    Test,
}

impl Environment {
    pub fn code(self) -> &'static str {
        match self {
            Environment::Live => "live",
            Environment::Test => "test",
        }
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            public_url: "http://127.0.0.1:8080".to_owned(),
            hosts: vec!["127.0.0.1".to_owned(), "localhost".to_owned(), "[::1]".to_owned()],
            environment: Environment::Test,
            freshness_slo_ms: 1_000,
            // A phone network's worst round trips fit in; a thousand idle connections are gone after it.
            header_ms_max: 10_000,
            body_ms_max: 10_000,
            reply_ms_max: 5_000,
            connection_age_ms_max: 10 * 60_000,
            grace_ms_max: 4_000,
            // Partners are servers with pooled connections; 40 kB each bounds memory at 400 MB.
            connections_max: 10_000,
            header_bytes_max: 16 * 1024,
            // National peak is 556 bookings/s; one partner may bring four times that.
            read_rate: Rate { per_s: 4_000, burst: 8_000 },
            book_rate: Rate { per_s: 2_000, burst: 4_000 },
            snapshot_age_ms_max: 60_000,
        }
    }
}

/// What the routes work with.
pub struct Parts {
    pub settings: Settings,
    pub view: Arc<View>,
    pub intake: Intake,
    pub feeds: Arc<dyn FeedSource>,
    pub replies: Arc<dyn Replies>,
    pub answers: Arc<ArcSwap<Answers>>,
    pub macs: Macs,
    pub tokens: Arc<dyn PersonTokens>,
    pub evidence: Arc<dyn RecordAccess>,
    pub health: Arc<dyn Health>,
    pub clock: Arc<dyn Clock>,
    pub partners: Arc<ArcSwap<Partners>>,
}

/// State of the router.
pub struct Api {
    pub(crate) parts: Parts,
    reads: rate::Buckets,
    books: rate::Buckets,
    shelf: feeds::Shelf,
    polls: wait::Polls,
    /// Set once no connection is accepted any more: whoever is held is answered at once.
    ending: CancellationToken,
}

impl Api {
    pub fn new(parts: Parts) -> Arc<Api> {
        let (reads, books) = (parts.settings.read_rate, parts.settings.book_rate);
        Arc::new(Api {
            parts,
            reads: rate::Buckets::new("read", reads),
            books: rate::Buckets::new("book", books),
            shelf: feeds::Shelf::default(),
            polls: wait::Polls::default(),
            ending: CancellationToken::new(),
        })
    }
}
