//! Shapes of answers, for the OpenAPI document. What stands in a slot or a booking is the mapping's business.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// A booking through the caller's mapping.
#[derive(Serialize, ToSchema)]
pub struct BookingAnswer {
    #[schema(example = "b-771")]
    pub id: String,
    /// Position of the last entry of the request, or that touched the booking.
    pub committed_cursor: u64,
    /// The fields that the caller's mapping of bookings declares.
    #[serde(flatten)]
    pub fields: BTreeMap<String, Value>,
}

#[derive(Serialize, ToSchema)]
pub struct BookingList {
    pub cursor: u64,
    pub bookings: Vec<BookingAnswer>,
}

/// A slot through the caller's mapping.
#[derive(Serialize, ToSchema)]
pub struct SlotAnswer {
    #[schema(example = "s-90812")]
    pub slot_id: String,
    /// Position of the last entry that touched the slot.
    pub cursor: u64,
    /// The fields that the caller's mapping of slots declares.
    #[serde(flatten)]
    pub fields: BTreeMap<String, Value>,
}

#[derive(Serialize, ToSchema)]
pub struct SlotList {
    pub cursor: u64,
    pub slots: Vec<SlotAnswer>,
    /// Ids that name no slot published to the caller.
    pub unknown: Vec<String>,
}

/// What became of a request.
#[derive(Serialize, ToSchema)]
pub struct RequestAnswer {
    /// `committed` or `rejected`.
    pub state: String,
    /// Status of the reply first sent.
    pub status: u16,
    /// Body of the reply first sent.
    pub reply: Value,
}

#[derive(Serialize, ToSchema)]
pub struct TokenAnswer {
    /// Person token.
    pub person: String,
    pub epoch: u32,
    #[schema(format = "date-time")]
    pub expires_at: String,
}

#[derive(Serialize, ToSchema)]
pub struct FeedList {
    pub feeds: Vec<FeedAnswer>,
}

#[derive(Serialize, ToSchema)]
pub struct FeedAnswer {
    #[schema(example = "slots")]
    pub name: String,
    pub url: String,
    pub snapshot: String,
    /// The feed's watermark.
    pub cursor: u64,
    pub items: u64,
    pub mapping: MappingAnswer,
    /// Tombstones are kept at least so long.
    pub retention_days: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freshness: Option<FreshnessAnswer>,
    /// Why the feed stands still, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub halted: Option<Vec<HaltAnswer>>,
}

/// One reason why a feed stands still. It goes on when none is left.
#[derive(Serialize, ToSchema)]
pub struct HaltAnswer {
    /// `approval`, `drift`, `guard` or `row_jump`.
    #[schema(example = "drift")]
    pub reason: String,
    pub text: String,
    #[schema(format = "date-time")]
    pub since: String,
    /// Whether the last published state is served meanwhile; else 503 `feed_held`.
    pub served: bool,
}

#[derive(Serialize, ToSchema)]
pub struct MappingAnswer {
    pub id: String,
    pub version: u32,
    /// Digest that the officers approved, hex SHA-256.
    pub digest: String,
}

#[derive(Serialize, ToSchema)]
pub struct FreshnessAnswer {
    pub lag_ms: u64,
    pub slo_ms: u64,
    #[schema(format = "date-time")]
    pub as_of: String,
    pub full_age_s: u64,
}

/// Realtime Paged Data Exchange 1.0.
#[derive(Serialize, ToSchema)]
pub struct RpdePage {
    pub next: String,
    pub items: Vec<RpdeItem>,
    pub license: String,
}

#[derive(Serialize, ToSchema)]
pub struct RpdeItem {
    /// `updated` or `deleted`.
    pub state: String,
    pub kind: String,
    pub id: String,
    pub modified: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

/// RFC 9457.
#[derive(Serialize, ToSchema)]
pub struct ProblemAnswer {
    #[serde(rename = "type")]
    #[schema(format = "uri")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    /// One of the closed list in `/docs`.
    #[schema(example = "slot_full")]
    pub code: String,
    pub detail: String,
    pub user_message: UserMessage,
    /// `same_key`, `new_key` or `never`.
    pub retry: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opens_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub booking_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen_age_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<SlotAnswer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alternatives: Option<Vec<SlotAnswer>>,
}

/// May be shown to users.
#[derive(Serialize, ToSchema)]
pub struct UserMessage {
    pub ko: String,
    pub en: String,
}
