//! A booking as readers see it once it is durable.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{BookingId, PartnerId, PersonNo, Position, SeriesId, SlotKey, SlotVersion, Timestamp};

/// Life of a booking. HELD and EXPIRED exist once holds do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BookingStatus {
    /// Asked of the legacy system (mode `on_request`); nothing is promised yet.
    Pending,
    /// Durable and acknowledged; `Sync` says whether the legacy system has it.
    Booked,
    /// Cancelled by the partner; the unit is free once the legacy system has turned it back.
    Cancelling,
    Cancelled,
    /// Cannot be honoured any more; the partner sees a reason class.
    Displaced,
    /// A pending booking that the legacy system did not take.
    Refused,
}

impl BookingStatus {
    pub fn code(self) -> &'static str {
        match self {
            BookingStatus::Pending => "pending",
            BookingStatus::Booked => "booked",
            BookingStatus::Cancelling => "cancelling",
            BookingStatus::Cancelled => "cancelled",
            BookingStatus::Displaced => "displaced",
            BookingStatus::Refused => "refused",
        }
    }

    /// Does the booking bar its person from another one in the series?
    pub fn is_active(self) -> bool {
        matches!(self, BookingStatus::Booked | BookingStatus::Pending)
    }
}

/// How far the write-back of a booking is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sync {
    /// Nothing is to be written (a booking cancelled before it was claimed).
    None,
    Queued,
    /// A commit's outcome is unknown; the same op runs again.
    InDoubt,
    Applied,
    Rejected,
}

impl Sync {
    pub fn code(self) -> &'static str {
        match self {
            Sync::None => "none",
            Sync::Queued => "queued",
            Sync::InDoubt => "in_doubt",
            Sync::Applied => "applied",
            Sync::Rejected => "rejected",
        }
    }
}

/// Why a booking ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    PartnerCancelled,
    /// The legacy system cancelled the named booking (rule 14).
    LegacyCancelled,
    /// The person had booked natively; found at write-back (rule 10).
    PersonBookedNatively,
    /// The write-back was rejected for another reason (rule 15).
    LegacyRefused,
    /// An on-request booking found no place.
    NoPlace,
    /// The agency cut the slot below what was sold, and has chosen not to honour the newest (rule 12).
    CapacityCut,
}

impl EndReason {
    /// The class that a partner is told: everything that the agency's side did is one word.
    pub fn public_code(self) -> &'static str {
        match self {
            EndReason::PartnerCancelled => "partner_cancelled",
            EndReason::NoPlace => "no_place",
            EndReason::LegacyCancelled
            | EndReason::PersonBookedNatively
            | EndReason::LegacyRefused
            | EndReason::CapacityCut => "agency_cancelled",
        }
    }

    /// For operators and metrics; partners read `public_code`.
    pub fn code(self) -> &'static str {
        match self {
            EndReason::PartnerCancelled => "partner_cancelled",
            EndReason::LegacyCancelled => "legacy_cancelled",
            EndReason::PersonBookedNatively => "person_booked_natively",
            EndReason::LegacyRefused => "legacy_refused",
            EndReason::NoPlace => "no_place",
            EndReason::CapacityCut => "capacity_cut",
        }
    }
}

/// A durable booking, for readers. Holds a person number for search, never a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookingView {
    pub id: BookingId,
    pub partner: PartnerId,
    pub person: PersonNo,
    pub series: SeriesId,
    pub slot: SlotKey,
    pub slot_version: SlotVersion,
    pub status: BookingStatus,
    pub sync: Sync,
    /// Number of the reservation in the legacy system, once known.
    pub legacy_ref: Option<Arc<str>>,
    pub partner_ref: Option<Arc<str>>,
    pub reason: Option<EndReason>,
    pub booked_at: Timestamp,
    pub changed_at: Timestamp,
    /// Position of the last entry that touched it.
    pub position: Position,
}

impl BookingView {
    /// Covers status, slot and slot version, not `sync` (partner API). Quoted, ready for an `ETag` header.
    pub fn etag(&self) -> String {
        format!("\"{}-{}-{:08x}\"", self.status.code(), self.slot, self.slot_version.0)
    }
}
