//! One booking as the desk remembers it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::{
    BookingId, BookingStatus, BookingView, EndReason, PartnerId, PersonNo, Position, SeriesId, SlotKey, SlotVersion,
    Sync, Timestamp,
};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Booking {
    pub partner: PartnerId,
    pub person: PersonNo,
    pub series: SeriesId,
    pub slot: SlotKey,
    pub version: SlotVersion,
    pub partner_ref: Option<Arc<str>>,
    pub status: BookingStatus,
    pub sync: Sync,
    pub legacy_ref: Option<Arc<str>>,
    pub reason: Option<EndReason>,
    pub booked_at: Timestamp,
    pub changed_at: Timestamp,
    pub touched: Position,
    /// Mode `on_request`: placed without a unit of the escrow.
    pub on_request: bool,
    /// The op that writes it; the booking's own position but for one that was driven again as a new op.
    pub convert: Position,
    /// The op that cancels it, if one was asked and not refused.
    pub cancel: Option<Position>,
    /// Its named reservation stands in the legacy system, as far as we were told.
    pub stands: bool,
    /// Converts that found the escrow eroded.
    pub tries: u8,
    /// Honoured even without a unit in escrow: the legacy system lost what backed it (rule 28).
    pub honour: bool,
    /// Entries that told that it was written, and that it was ended there.
    pub written: Position,
    pub ended: Position,
    /// Its row vanished from the legacy system; cancelled there, unless that turns out to have been restored.
    pub vanished_at: Option<Timestamp>,
}

impl Booking {
    /// Waits to be written.
    pub fn is_open(&self) -> bool {
        matches!(self.sync, Sync::Queued | Sync::InDoubt)
    }

    /// Is to be cancelled in the legacy system, and no op does it: the last one was refused there, or came before the
    /// convert that a restore has run again.
    pub fn waits_for_cancel(&self) -> bool {
        let ends = matches!(self.status, BookingStatus::Cancelling | BookingStatus::Displaced);
        ends && self.cancel.is_none() && (self.stands || self.is_open())
    }

    pub fn view(&self, id: BookingId) -> BookingView {
        BookingView {
            id,
            partner: self.partner.clone(),
            person: self.person,
            series: self.series.clone(),
            slot: self.slot.clone(),
            slot_version: self.version,
            status: self.status,
            sync: self.sync,
            legacy_ref: self.legacy_ref.clone(),
            partner_ref: self.partner_ref.clone(),
            reason: self.reason,
            booked_at: self.booked_at,
            changed_at: self.changed_at,
            position: self.touched,
        }
    }
}
