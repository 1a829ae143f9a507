//! Why the desk refuses. A refusal is a value, never an error.

use serde::{Deserialize, Serialize};

/// What a client may do about a refusal (partner API, Idempotency).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Retry {
    SameKey,
    NewKey,
    Never,
}

impl Retry {
    pub fn code(self) -> &'static str {
        match self {
            Retry::SameKey => "same_key",
            Retry::NewKey => "new_key",
            Retry::Never => "never",
        }
    }
}

/// The desk's refusals: a closed list. Those with `is_remembered` are ledger entries and are replayed for their key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    UnknownSlot,
    NotOpenYet,
    SlotClosed,
    SlotFull,
    SlotChanged,
    SeriesMismatch,
    /// The slot's class is published and not sold through partners.
    SlotNotOffered,
    /// The caller's own booking, with its id.
    PersonAlreadyBooked,
    /// Everything about a person that this partner did not itself cause: one answer.
    NotBookable,
    UnknownBooking,
    PreconditionFailed,
    IdempotencyKeyReused,
    RequestTooOld,
    ReceiptUsed,
    TokenLimitReached,
    TooManyRefusals,
    /// Too many on-request bookings wait for the legacy system.
    TooManyPending,
    /// The ledger was restored, and what the legacy system applied since its backup is still being read (rule 32).
    Settling,
    /// The agency's switch says STOP (rule 33).
    StoppedByAgency,
}

impl Refusal {
    pub const ALL: [Refusal; 19] = [
        Refusal::UnknownSlot,
        Refusal::NotOpenYet,
        Refusal::SlotClosed,
        Refusal::SlotFull,
        Refusal::SlotChanged,
        Refusal::SeriesMismatch,
        Refusal::SlotNotOffered,
        Refusal::PersonAlreadyBooked,
        Refusal::NotBookable,
        Refusal::UnknownBooking,
        Refusal::PreconditionFailed,
        Refusal::IdempotencyKeyReused,
        Refusal::RequestTooOld,
        Refusal::ReceiptUsed,
        Refusal::TokenLimitReached,
        Refusal::TooManyRefusals,
        Refusal::TooManyPending,
        Refusal::Settling,
        Refusal::StoppedByAgency,
    ];

    pub fn code(self) -> &'static str {
        match self {
            Refusal::UnknownSlot => "unknown_slot",
            Refusal::NotOpenYet => "not_open_yet",
            Refusal::SlotClosed => "slot_closed",
            Refusal::SlotFull => "slot_full",
            Refusal::SlotChanged => "slot_changed",
            Refusal::SeriesMismatch => "series_mismatch",
            Refusal::SlotNotOffered => "slot_not_offered",
            Refusal::PersonAlreadyBooked => "person_already_booked",
            Refusal::NotBookable => "not_bookable",
            Refusal::UnknownBooking => "unknown_booking",
            Refusal::PreconditionFailed => "precondition_failed",
            Refusal::IdempotencyKeyReused => "idempotency_key_reused",
            Refusal::RequestTooOld => "request_too_old",
            Refusal::ReceiptUsed => "receipt_used",
            Refusal::TokenLimitReached => "token_limit_reached",
            Refusal::TooManyRefusals => "too_many_refusals",
            Refusal::TooManyPending => "too_many_pending",
            Refusal::Settling => "settling",
            Refusal::StoppedByAgency => "stopped_by_agency",
        }
    }

    /// Is the refusal kept for its key for 24 h?
    pub fn is_remembered(self) -> bool {
        match self {
            Refusal::UnknownSlot
            | Refusal::NotOpenYet
            | Refusal::SlotClosed
            | Refusal::SlotFull
            | Refusal::SlotChanged
            | Refusal::SeriesMismatch
            | Refusal::SlotNotOffered
            | Refusal::PersonAlreadyBooked
            | Refusal::NotBookable => true,
            Refusal::UnknownBooking
            | Refusal::PreconditionFailed
            | Refusal::IdempotencyKeyReused
            | Refusal::RequestTooOld
            | Refusal::ReceiptUsed
            | Refusal::TokenLimitReached
            | Refusal::TooManyRefusals
            | Refusal::TooManyPending
            | Refusal::Settling
            | Refusal::StoppedByAgency => false,
        }
    }

    pub fn retry(self) -> Retry {
        match self {
            Refusal::SlotFull | Refusal::SlotChanged | Refusal::NotOpenYet => Retry::NewKey,
            Refusal::TooManyRefusals
            | Refusal::TokenLimitReached
            | Refusal::TooManyPending
            | Refusal::Settling
            | Refusal::StoppedByAgency => Retry::SameKey,
            _ => Retry::Never,
        }
    }
}
