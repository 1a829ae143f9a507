//! What `serve` may ask of the published feeds.

use bytes::Bytes;
use tokio::sync::watch;

use super::hold::{Hold, HoldReason};
use crate::domain::{PartnerId, Position, Timestamp};

/// Published feeds, for reading.
pub trait FeedSource: Send + Sync {
    fn feeds(&self, partner: &PartnerId) -> Vec<FeedInfo>;
    fn page(&self, partner: &PartnerId, feed: &str, query: PageQuery) -> Result<Page, FeedError>;
    /// Newest snapshot: NDJSON of all live items, one `{"id","state","kind","modified","data"}` a line.
    fn snapshot(&self, partner: &PartnerId, feed: &str) -> Result<Snapshot, FeedError>;
    /// The snapshot of exactly this cursor, while it is kept.
    fn snapshot_at(&self, partner: &PartnerId, feed: &str, cursor: Position) -> Result<Option<Snapshot>, FeedError> {
        Ok(Some(self.snapshot(partner, feed)?).filter(|snapshot| snapshot.cursor == cursor))
    }
    fn freshness(&self, partner: &PartnerId, feed: &str, now: Timestamp) -> Option<Freshness>;
    /// Why the feed is held, a reason at a time; empty: it is not.
    fn holds(&self, partner: &PartnerId, feed: &str) -> Vec<Hold>;
    /// Wakes whoever waits for the feed's watermark to move.
    fn moved(&self, _partner: &PartnerId, _feed: &str) -> Option<watch::Receiver<Position>> {
        None
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedInfo {
    pub name: String,
    pub cursor: Position,
    pub items: u64,
    pub mapping_id: String,
    pub mapping_version: u32,
    pub content_digest: String,
    pub retention_days: u32,
    /// Why the feed stands still, if it does.
    pub holds: Vec<Hold>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageQuery {
    /// `None`: from the beginning.
    pub after: Option<u64>,
    /// 500, 1000 or 5000, if the request names one: a last page repeats its own URL byte for byte.
    pub limit: Option<u32>,
    pub walk: Option<u64>,
}

/// A rendered RPDE page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub body: Bytes,
    /// Strong validator, quoted.
    pub etag: String,
    /// `Sync-Cursor`: last item's number, or the feed's watermark on a last page.
    pub cursor: Position,
    /// Without items: its `next` is its own address.
    pub is_last: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    pub cursor: Position,
    pub body: Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// now − as_of.
    pub lag_ms: u64,
    pub slo_ms: u64,
    pub as_of: Timestamp,
    /// Age of the latest full cycle, seconds.
    pub full_age_s: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FeedError {
    #[error("no such feed")]
    UnknownFeed,
    #[error("the cursor is behind purged tombstones: start again without afterChangeNumber")]
    CursorExpired,
    #[error("the feed is held: {}", reason.code())]
    Held { reason: HoldReason },
    #[error("the feed store could not be read: {cause}")]
    Store { cause: String },
}
