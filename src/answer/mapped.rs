//! `Project` over compiled mappings.

use std::sync::Arc;

use crate::domain::{BookingView, SlotKey, SlotView, Timestamp};
use crate::mapping::FeedKind;
use crate::privacy::{Projector, Record, Subject};

use super::{Object, Project};

/// A partner's compiled mappings of slots and bookings; a partner without one of them sees nothing of it.
///
/// The projector of bookings must have no `Seal`: a mapping that puts a person token into bookings then yields an issue
/// here, and the body falls back to id and cursor, so no token is stored with a reply.
#[derive(Clone)]
pub struct Mapped {
    pub slots: Option<Arc<Projector>>,
    pub bookings: Option<Arc<Projector>>,
}

impl Project for Mapped {
    fn slot_key(&self, public_id: &str) -> Option<SlotKey> {
        self.slots.as_ref()?.slot_key(public_id)
    }

    fn slot(&self, slot: &SlotView, now: Timestamp) -> Option<Record> {
        self.slots.as_ref()?.record(Subject::Slot(slot), now).ok().flatten()
    }

    fn booking(&self, booking: &BookingView) -> Option<Record> {
        self.bookings.as_ref()?.record(Subject::Booking(booking), booking.changed_at).ok().flatten()
    }

    fn passes(&self, kind: FeedKind, record: &Record, object: &Object) -> bool {
        let (projector, around): (_, &[&str]) = match kind {
            FeedKind::Slots => (&self.slots, &["slot_id", "distance_m", "cursor"]),
            FeedKind::Bookings => (&self.bookings, &["id", "committed_cursor"]),
            FeedKind::Sites | FeedKind::Eligibility => return false,
        };
        let Some(guard) = projector.as_ref().map(|projector| projector.guard()) else { return false };
        guard.record(record).is_ok() && guard.answer(object.members(), around).is_ok()
    }

    fn passes_token(&self, token: &str) -> bool {
        let projector = self.bookings.as_ref().or(self.slots.as_ref());
        projector.is_some_and(|projector| projector.guard().token(token).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::{Answers, Place};
    use crate::domain::{BookingId, BookingStatus, PartnerId, PersonNo, Position, SeriesId, SlotVersion, Sync};
    use crate::mapping::FeedKind;
    use crate::mapping::testing::shipped;

    #[test]
    fn a_booking_reads_through_the_shipped_mapping_and_names_nobody() {
        let (set, naver) = (shipped(), PartnerId::new("naver").unwrap());
        let compile = |kind| Some(Arc::new(Projector::compile(&set, &naver, kind).unwrap()));
        let mapped = Mapped { slots: compile(FeedKind::Slots), bookings: compile(FeedKind::Bookings) };
        let key = SlotKey::new("90812").unwrap();
        assert_eq!(mapped.slot_key("s-90812"), Some(key.clone()));
        assert_eq!(mapped.slot_key("90812"), None);
        let booking = BookingView {
            id: BookingId(Position(771)),
            partner: naver.clone(),
            person: PersonNo(4_242_424),
            series: SeriesId::new("covid19-1").unwrap(),
            slot: key,
            slot_version: SlotVersion(0xab),
            status: BookingStatus::Booked,
            sync: Sync::Queued,
            legacy_ref: None,
            partner_ref: Some(Arc::from("K-1")),
            reason: None,
            booked_at: Timestamp(1_795_345_201_000),
            changed_at: Timestamp(1_795_345_201_000),
            position: Position(771),
        };
        let place = Place { problems_url: "https://bridge.example/problems".into(), help_url: String::new() };
        let answers = Answers { place, partners: [(naver.clone(), Arc::new(mapped) as Arc<dyn Project>)].into() };
        let text = String::from_utf8(answers.booking(&naver, &booking, Position(772)).bytes().to_vec()).unwrap();
        assert!(text.starts_with(r#"{"id":"b-r3","#) && text.ends_with(r#","committed_cursor":772}"#), "{text}");
        assert!(text.contains(r#""status":"booked""#) && text.contains(r#""slot_id":"s-90812""#), "{text}");
        assert!(!text.contains("4242424"), "{text}");
    }
}
