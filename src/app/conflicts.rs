//! What an operator must know of bookings and units, told so that it can be acted upon.

use crate::decide::{Conflict, ConflictKind};
use crate::domain::{BookingId, BookingStatus, EndReason};

use super::meter::Condition;

/// One line of `slotbridge conflicts`.
pub fn told(conflict: &Conflict) -> serde_json::Value {
    let (kind, reason, units) = match conflict.kind {
        ConflictKind::Displaced { reason } => ("displaced", Some(reason.code()), None),
        ConflictKind::Overrun { units } => ("overrun", None, Some(units)),
        ConflictKind::Lost { units } => ("lost", None, Some(units)),
        ConflictKind::NativeBeside => ("native_beside", None, None),
        ConflictKind::CancelRefused { reason } => ("cancel_refused", Some(reason.code()), None),
    };
    serde_json::json!({
        "at": conflict.at.rfc3339(), "position": conflict.position, "kind": kind, "reason": reason, "units": units,
        "slot": conflict.slot, "booking": conflict.booking.map(|id| id.to_string()),
        "to_do": to_do(conflict.kind),
    })
}

fn to_do(kind: ConflictKind) -> &'static str {
    match kind {
        ConflictKind::Displaced { reason: EndReason::LegacyRefused } => {
            "correct what the legacy system's rule names, then `slotbridge conflicts redrive BOOKING`"
        }
        ConflictKind::Displaced { reason: EndReason::PersonBookedNatively } => {
            "nothing: the person keeps the native booking, and the partner was told"
        }
        ConflictKind::Displaced { reason: EndReason::CapacityCut } => {
            "nothing: the partner was told; see allotment.capacity_cut"
        }
        ConflictKind::Displaced { .. } => "nothing: the partner was told",
        ConflictKind::Overrun { .. } => "raise the slot's capacity, or have the site move people",
        ConflictKind::Lost { .. } => {
            "find what sold or recounted past the bridge's units (counter jobs, screens that save whole rows)"
        }
        ConflictKind::CancelRefused { .. } => {
            "the reservation stands: correct what the legacy system's rule names, then `slotbridge conflicts redrive BOOKING`"
        }
        ConflictKind::NativeBeside => "have the site or the person cancel one of the two bookings",
    }
}

impl Condition {
    /// As any partner has it.
    pub(super) fn status_of(&self, id: BookingId) -> Option<BookingStatus> {
        self.partners.load().iter().find_map(|partner| self.view.booking(partner, id)).map(|booking| booking.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Position, SlotKey, Timestamp};

    #[test]
    fn each_kind_says_what_to_do_and_names_no_person() {
        let kinds = [
            ConflictKind::Displaced { reason: EndReason::LegacyRefused },
            ConflictKind::Displaced { reason: EndReason::PersonBookedNatively },
            ConflictKind::Displaced { reason: EndReason::CapacityCut },
            ConflictKind::Displaced { reason: EndReason::LegacyCancelled },
            ConflictKind::Overrun { units: 2 },
            ConflictKind::Lost { units: 1 },
            ConflictKind::NativeBeside,
        ];
        let all = kinds.map(|kind| {
            let slot = SlotKey::new("S1").unwrap();
            let booking = matches!(kind, ConflictKind::Displaced { .. }).then_some(BookingId(Position(9)));
            told(&Conflict { position: Position(12), at: Timestamp(0), slot, booking, kind })
        });
        insta::assert_json_snapshot!(all);
    }
}
