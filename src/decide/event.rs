//! What the desk is told, and what follows from it.

use std::sync::Arc;

use crate::domain::{
    AllotmentMode, BodyMac, BookingId, BookingView, Control, Fact, KeyMac, OpId, PartnerId, PersonRef, Position,
    ReceiptMac, Refusal, SeriesId, SlotKey, SlotVersion, SlotView, Timestamp, geo::Place,
};

use super::entry::{Entry, Op, OpResult};

/// One input of the desk. `ticket` is the shell's handle for the answer; the desk only hands it back.
#[derive(Debug, Clone)]
pub enum Event {
    /// Rows of one cut or hint, at most `MAX_FACTS` of them.
    Facts {
        ticket: u64,
        facts: Vec<Fact>,
    },
    Request {
        ticket: u64,
        partner: PartnerId,
        ask: Ask,
    },
    /// Positions for a wide republication, at most `MAX_RESERVE`.
    Reserve {
        ticket: u64,
        count: u32,
    },
    /// The write-back worker wants up to `max` durable ops; those given count as claimed.
    Claim {
        ticket: u64,
        max: usize,
    },
    OpDone {
        op: Position,
        result: OpResult,
    },
    OpInDoubt {
        op: Position,
    },
    /// Give back every free unit of these slots (the agency asked, or the bridge drains).
    Release {
        slots: Vec<SlotKey>,
    },
    /// What the agency's switch says (rule 33).
    Switch {
        control: Control,
    },
    /// The agency wants free units back: of a slot, or of all.
    GiveBack {
        ticket: u64,
        slot: Option<SlotKey>,
    },
    /// So many ops the legacy system has applied, as of the transaction whose outcomes follow.
    Applied {
        count: u64,
    },
    /// The newest op that the legacy system says it has applied and how many, asked at every reconnect (rules 28 and
    /// 32). `ours`: its id belongs to a life of this ledger.
    Fence {
        ticket: u64,
        last_op: Option<OpId>,
        applied: u64,
        ours: bool,
    },
    /// An operator has a booking that a rule of the legacy system displaced tried once more (rule 15).
    Redrive {
        booking: BookingId,
    },
    /// A full cut of slots and reservations was taken since the process began (rule 32).
    Settled,
    Tick,
}

/// Bound of one `Event::Facts`.
pub const MAX_FACTS: usize = 2_000;
/// Bound of one `Event::Reserve`.
pub const MAX_RESERVE: u32 = 5_000_000;

/// A partner's request, parsed and with its person token opened.
#[derive(Debug, Clone)]
pub enum Ask {
    Book(BookAsk),
    Cancel { booking: BookingId, if_match: Option<String> },
    Token(TokenAsk),
}

/// A token for a person who is present, in `epoch`.
#[derive(Debug, Clone)]
pub struct TokenAsk {
    pub person: PersonRef,
    /// The number by which the overlapping epoch knows the same CI, where that is another one: a synthetic number is
    /// an epoch's. Whoever was counted under it is not counted again.
    pub before: Option<PersonRef>,
    pub receipt: ReceiptMac,
    pub epoch: u32,
    /// The epoch whose tokens are accepted too; its persons count towards the same limit.
    pub overlap: Option<u32>,
    pub day_max: u32,
    pub epoch_max: u32,
}

#[derive(Debug, Clone)]
pub struct BookAsk {
    pub key: KeyMac,
    pub body: BodyMac,
    pub slot: SlotKey,
    pub person: PersonRef,
    pub series: SeriesId,
    pub first_sent_at: Timestamp,
    pub seen_cursor: Option<Position>,
    pub accept_version: Option<SlotVersion>,
    pub partner_ref: Option<Arc<str>>,
    pub alternatives_max: u8,
    pub within_m: u32,
}

/// What a step does: entries to append in one transaction, and what may be released once they are durable.
#[derive(Debug, Default)]
pub struct Effects {
    pub persist: Vec<Entry>,
    pub after_durable: Vec<After>,
}

#[derive(Debug)]
pub enum After {
    /// Answer the request; `entry` is where its reply is stored, if it is.
    Reply {
        ticket: u64,
        partner: PartnerId,
        entry: Option<Position>,
        outcome: Outcome,
    },
    /// The facts of `ticket` cover [first, first + count).
    FactsTaken {
        ticket: u64,
        first: Position,
        count: u32,
    },
    Reserved {
        ticket: u64,
        first: Position,
        count: u32,
    },
    Claimed {
        ticket: u64,
        ops: Vec<Given>,
    },
    /// So many units of the scope are free still or on their way back.
    GivenBack {
        ticket: u64,
        left: u64,
    },
    Fenced {
        ticket: u64,
        agreement: Agreement,
    },
    /// Ops wait for the write-back worker.
    OpsWaiting,
}

/// An op as the write-back worker gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    pub op: Op,
    /// How the slot's class comes to units.
    pub mode: AllotmentMode,
    /// The convert is honoured even without a unit in escrow (rule 28).
    pub honour: bool,
}

/// How the legacy system's newest op compares with the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agreement {
    Level,
    /// The legacy system was restored to an earlier point: so many ops are driven again (rule 28).
    LegacyBehind {
        again: u64,
    },
    /// The ledger was restored: the legacy system has applied ops that this ledger does not know (rule 32).
    LedgerBehind,
    /// The legacy system was written to by a ledger that is not this one.
    Foreign,
}

#[derive(Debug, Clone)]
pub enum Outcome {
    Booked {
        booking: BookingView,
        slot: Arc<SlotView>,
    },
    /// Asked of the legacy system (mode `on_request`); the outcome follows.
    Pending {
        booking: BookingView,
        slot: Arc<SlotView>,
    },
    /// A cancel that took effect now or earlier.
    Cancelled {
        booking: BookingView,
    },
    TokenGiven,
    /// The key is known: the reply stored at `entry` answers.
    Replay {
        entry: Position,
    },
    Refused(Refused),
}

#[derive(Debug, Clone)]
pub struct Refused {
    pub code: Refusal,
    /// The slot as it is now, where the refusal is about a slot that exists.
    pub slot: Option<Arc<SlotView>>,
    /// How old the caller's screen was: ledger time now − time of `seen_cursor`, where it is known.
    pub seen_age_ms: Option<u64>,
    pub retry_after_ms: Option<u32>,
    pub opens_at: Option<Timestamp>,
    /// The caller's own booking for `person_already_booked`.
    pub own_booking: Option<BookingId>,
    pub alternatives: Vec<Alternative>,
}

#[derive(Debug, Clone)]
pub struct Alternative {
    pub slot: Arc<SlotView>,
    pub distance_m: Option<u32>,
    pub place: Option<Place>,
}

/// A request key that the ledger knows, and the entry whose stored reply answers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct KnownKey {
    pub key: KeyMac,
    pub body: BodyMac,
    pub entry: Position,
    pub at: Timestamp,
    /// False for a refusal, which is forgotten after 24 h.
    pub accepted: bool,
}
