//! Ledger entries: outcomes, never intentions. Replay applies them and decides nothing.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::{
    AllotmentMode, BodyMac, BookingId, Control, EndReason, KeyMac, PartnerId, PersonRef, Position, ReceiptMac, Refusal,
    SeriesId, SlotKey, SlotVersion, Timestamp,
};

/// One entry. `Facts` and `Reserve` cover the positions [position, position + count).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub position: Position,
    pub at: Timestamp,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum What {
    /// Facts were taken; their content is in the mirror. `digest` is the hex SHA-256 over their serialised form.
    Facts { count: u32, digest: String },
    /// Positions set aside for a wide republication.
    Reserve { count: u32 },
    /// A unit was sold. The booking's id and its convert op are named by this position.
    Booked(Booked),
    /// Mode `on_request`: a booking was asked of the legacy system. Booking and place op are named by this position.
    Requested(Booked),
    /// A request was refused and the refusal is remembered for its key. Touches no slot.
    Refused {
        partner: PartnerId,
        key: KeyMac,
        body: BodyMac,
        code: Refusal,
        person: Option<PersonRef>,
        evaluated: bool,
    },
    /// The partner cancelled. `coalesced`: the convert was not claimed yet and is dropped with it; else this position names a cancel op.
    Cancelled { booking: BookingId, coalesced: bool },
    /// A take op: up to `units` are wanted.
    TakeAsked {
        slot: SlotKey,
        units: u32,
        /// How the units are taken, and whatever becomes of them is written.
        mode: AllotmentMode,
    },
    /// A return op: `units` go back to the native seller.
    ReturnAsked { slot: SlotKey, units: u32 },
    /// The agency assigned units (mode `quota`): `granted` is the slot's account from now on.
    Assigned { slot: SlotKey, granted: u32 },
    /// What became of the op named by position `op`.
    OpDone { op: Position, result: OpResult },
    /// The outcome of the commit that held the op is not known; it runs again.
    OpInDoubt { op: Position },
    /// The legacy system cancelled a booking that was applied (rule 14).
    LegacyCancelled { booking: BookingId },
    /// The row of a booking vanished from the legacy system.
    Vanished { booking: BookingId },
    /// The desk ends a booking. `cancel`: it stands in the legacy system
    /// and this position names the op that cancels it there; else its convert was not claimed yet and is dropped.
    Displaced { booking: BookingId, reason: EndReason, cancel: bool },
    /// A booking is written back once more: this position names its new convert op.
    Redriven { booking: BookingId },
    /// A reservation of an ended booking stands in a restored legacy system, or its cancel op was refused or came too
    /// early: this position names a new cancel op.
    CancelAgain { booking: BookingId },
    /// A native booking of the same person stands beside this one, which is kept (rule 10, `earliest_wins`).
    NativeBeside { booking: BookingId },
    /// The legacy system no longer covers the slot's escrow (rule 30): nothing is taken, returned or sold until mended.
    Eroded { slot: SlotKey },
    /// A mend op; `sold` units of the escrow are sold and wait to be converted.
    MendAsked { slot: SlotKey, sold: u32 },
    /// So many bookings stand above what the legacy system says it has room for (rule 12); 0 = it is over.
    Overrun { slot: SlotKey, units: u32 },
    /// The slot's account after a restore: units as the legacy system has them, as of its op `last_op`.
    Settled { slot: SlotKey, granted: u32, last_op: Option<Position> },
    /// The legacy system was restored to where op `after` was its newest: what came later is driven again (rule 28).
    LegacyRewound { after: Position },
    /// So many ops the legacy system had applied when it told of the ones whose outcomes follow. A restore that loses
    /// any of them is behind this count, whichever ids it loses.
    Applied { count: u64 },
    /// The agency's switch was turned (rule 33).
    Switched { control: Control },
    /// The agency asked for units: none of the slot (or of any) is taken before `until`.
    HeldBack { slot: Option<SlotKey>, until: Timestamp },
    /// The slot's definition changed materially.
    Redefined { slot: SlotKey, version: SlotVersion },
    /// The slot that begins at `start` passed its cutoff: it is no longer bookable.
    CutOff { slot: SlotKey, start: Timestamp },
    /// A person token was given out (or a synthetic one; nobody can tell).
    TokenGiven {
        partner: PartnerId,
        person: PersonRef,
        /// Its number in the overlapping epoch, where that is another one.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        before: Option<PersonRef>,
        receipt: ReceiptMac,
        epoch: u32,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Booked {
    pub partner: PartnerId,
    pub person: crate::domain::PersonNo,
    pub series: SeriesId,
    pub slot: SlotKey,
    pub version: SlotVersion,
    pub key: KeyMac,
    pub body: BodyMac,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub partner_ref: Option<Arc<str>>,
}

/// Outcome of a write-back, as the legacy system remembers it for the op id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum OpResult {
    /// So many units are ours now (0: none were left).
    Taken {
        units: u32,
    },
    Returned {
        units: u32,
    },
    Converted {
        legacy_ref: Arc<str>,
        /// The slot holds more than its total: an overrun that honouring a booking caused (rule 28).
        #[serde(default)]
        over: bool,
    },
    /// The named booking is cancelled and its unit is back in the escrow.
    TurnedBack,
    /// The named booking is cancelled and its unit is native's again (mode `on_request`).
    GivenUp,
    /// The named booking had already been cancelled by the legacy side; its unit was native's again.
    AlreadyCancelled,
    /// The escrow is covered again (rule 30): `added` units were taken once more, `lost` are gone, and by `over` the
    /// legacy system itself has sold too much.
    Mended {
        added: u32,
        lost: u32,
        over: u32,
    },
    Rejected {
        reason: Rejection,
    },
}

impl OpResult {
    /// Did the op change the escrow?
    pub fn moved_units(&self) -> bool {
        match self {
            OpResult::Taken { units } | OpResult::Returned { units } => *units > 0,
            OpResult::Converted { .. } | OpResult::TurnedBack | OpResult::Mended { .. } => true,
            OpResult::GivenUp | OpResult::AlreadyCancelled | OpResult::Rejected { .. } => false,
        }
    }
}

/// Why the legacy system refused a write-back for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rejection {
    /// The person has an active native booking in the series (rule 10). The unit went back to escrow in the same transaction.
    PersonBooked,
    /// The slot row does not exist any more.
    SlotMissing,
    /// The escrow row does not hold the units (rule 30).
    EscrowEroded,
    /// A rule of the legacy system (rule 15).
    LegacyRule,
    /// Mode `on_request`: the slot had no place left, or is closed.
    NoPlace,
    /// The legacy system was not asked: a take while reads lag, a place op that came too late.
    NotAsked,
    /// The op to be cancelled made no reservation there.
    ReservationMissing,
    /// The reservation is done: it cannot be cancelled any more.
    ReservationDone,
}

impl Rejection {
    pub fn end_reason(self) -> EndReason {
        match self {
            Rejection::PersonBooked => EndReason::PersonBookedNatively,
            Rejection::NoPlace | Rejection::NotAsked => EndReason::NoPlace,
            Rejection::SlotMissing
            | Rejection::EscrowEroded
            | Rejection::LegacyRule
            | Rejection::ReservationMissing
            | Rejection::ReservationDone => EndReason::LegacyRefused,
        }
    }

    /// Did the legacy system certainly answer? A rejection by a rule may be the worker's own.
    pub fn is_of_legacy(self) -> bool {
        !matches!(self, Rejection::LegacyRule | Rejection::NotAsked)
    }

    /// Is the unit (or are the units) still in the bridge's account?
    pub fn keeps_units(self) -> bool {
        match self {
            // Eroded: nothing moved; what the escrow really holds, the next level fact says.
            Rejection::PersonBooked
            | Rejection::LegacyRule
            | Rejection::NoPlace
            | Rejection::EscrowEroded
            | Rejection::NotAsked
            | Rejection::ReservationMissing
            | Rejection::ReservationDone => true,
            Rejection::SlotMissing => false,
        }
    }

    pub fn code(self) -> &'static str {
        match self {
            Rejection::PersonBooked => "person_booked",
            Rejection::SlotMissing => "slot_missing",
            Rejection::EscrowEroded => "escrow_eroded",
            Rejection::LegacyRule => "legacy_rule",
            Rejection::NoPlace => "no_place",
            Rejection::NotAsked => "not_asked",
            Rejection::ReservationMissing => "reservation_missing",
            Rejection::ReservationDone => "reservation_done",
        }
    }
}

/// A write-back that the ledger asked for and that has no `OpDone` yet. Its number is the position of the asking entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Op {
    pub position: Position,
    pub slot: SlotKey,
    pub what: OpWhat,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum OpWhat {
    /// Take up to so many units.
    Take {
        units: u32,
    },
    Return {
        units: u32,
    },
    /// Turn one unit into a named booking.
    Convert {
        booking: BookingId,
        person: crate::domain::PersonNo,
        series: SeriesId,
    },
    /// Mode `on_request`: take a unit and make it a named booking, or nothing.
    Place {
        booking: BookingId,
        person: crate::domain::PersonNo,
        series: SeriesId,
    },
    /// Turn the named booking that op `convert` made back into a unit.
    Cancel {
        booking: BookingId,
        convert: Position,
    },
    /// Rule 30: cover the escrow again; `sold` of its units are sold and wait to be converted.
    Mend {
        sold: u32,
    },
}

impl What {
    /// How many positions the entry covers.
    pub fn span(&self) -> u64 {
        match self {
            What::Facts { count, .. } | What::Reserve { count } => u64::from((*count).max(1)),
            _ => 1,
        }
    }
}

impl Entry {
    /// Last position that the entry covers.
    pub fn last(&self) -> Position {
        Position(self.position.0 + self.what.span() - 1)
    }
}
