//! Facts: what capture saw in the legacy system, freed of direct identifiers.
//!
//! A fact states the newest content of one row. A fact alone never changes units or bookings; what follows from
//! it are ledger entries, so replay may load the newest facts first and then the entries.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::geo::Place;
use super::{
    BookingView, CohortNo, ItemKey, ObjectName, OpId, PersonNo, Position, ReservationKey, Row, SeriesId, SiteKey,
    SlotKey, SlotVersion, Timestamp,
};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fact {
    Site(SiteFact),
    SiteGone(SiteKey),
    Slot(SlotFact),
    SlotGone(SlotKey),
    Person(PersonFact),
    PersonGone(PersonNo),
    Reservation(ReservationFact),
    ReservationGone(ReservationKey),
    /// A published row without meaning to the desk; `None` = gone.
    Item {
        object: ObjectName,
        key: ItemKey,
        row: Option<Arc<Row>>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteFact {
    pub key: SiteKey,
    pub place: Option<Place>,
    pub row: Arc<Row>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SlotStatus {
    Open,
    Closed,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotFact {
    pub key: SlotKey,
    pub site: SiteKey,
    pub series: SeriesId,
    pub start: Timestamp,
    pub status: SlotStatus,
    /// Places in the slot, native and bridge together.
    pub capacity: u32,
    /// Active reservations that the bridge did not make, read in the same cut as the escrow.
    pub native: u32,
    /// What the legacy seller believes is sold: native + converted + escrow, where a counter is kept.
    pub counter: Option<u32>,
    pub escrow_units: u32,
    pub last_op: Option<OpId>,
    pub opens_at: Option<Timestamp>,
    /// Code of the slot's class, which says where its units come from; `None` where the legacy system has no classes.
    pub class: Option<Arc<str>>,
    pub version: SlotVersion,
    pub row: Arc<Row>,
}

/// A person, without anything that says who: a number, a cohort and whether the register lets them book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonFact {
    pub person: PersonNo,
    pub cohort: CohortNo,
    /// False for the deceased, the already vaccinated and the withdrawn.
    pub bookable: bool,
}

/// A reservation row of the legacy system; `op` is set on rows that the bridge wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReservationFact {
    pub key: ReservationKey,
    pub person: PersonNo,
    pub slot: SlotKey,
    pub series: SeriesId,
    pub active: bool,
    pub op: Option<OpId>,
}

/// A slot as readers see it: the legacy row as of `position` and what the desk derives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotView {
    pub key: SlotKey,
    pub site: SiteKey,
    pub series: SeriesId,
    pub start: Timestamp,
    pub version: SlotVersion,
    /// capacity − native − active and pending bridge bookings, never below 0 (booking rules, Published remaining).
    pub remaining: u32,
    /// Open in the legacy system, before its cutoff and already opened.
    pub open: bool,
    pub row: Arc<Row>,
    /// Position of the last entry or fact that touched it.
    pub position: Position,
}

/// Something that readers and feeds must show anew.
#[derive(Debug, Clone)]
pub enum Touched {
    Slot(Arc<SlotView>),
    SlotGone(SlotKey, Position),
    Booking(Arc<BookingView>),
    /// Row of any other published object (`site`, `cohort_rule`); `row` is `None` when it is gone.
    Item {
        object: ObjectName,
        key: Arc<str>,
        row: Option<Arc<Row>>,
        position: Position,
    },
}

impl Touched {
    pub fn position(&self) -> Position {
        match self {
            Touched::Slot(slot) => slot.position,
            Touched::SlotGone(_, position) | Touched::Item { position, .. } => *position,
            Touched::Booking(booking) => booking.position,
        }
    }
}
