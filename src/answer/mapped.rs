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
    use crate::answer::{Answers, Place, Shown};
    use crate::decide::{Alternative, Outcome, Refused};
    use crate::domain::{
        BookingId, BookingStatus, PartnerId, PersonNo, Position, Refusal, SeriesId, SiteKey, SlotVersion, Sync, Value,
    };
    use crate::durable::Render;
    use crate::mapping::testing::{row, shipped};
    use crate::privacy::{Canaries, Ports, Watch};

    fn booking(of: &PartnerId) -> BookingView {
        BookingView {
            id: BookingId(Position(771)),
            partner: of.clone(),
            person: PersonNo(4_242_424),
            series: SeriesId::new("covid19-1").unwrap(),
            slot: SlotKey::new("90812").unwrap(),
            slot_version: SlotVersion(0xab),
            status: BookingStatus::Booked,
            sync: Sync::Queued,
            legacy_ref: None,
            partner_ref: Some(Arc::from("K-1")),
            reason: None,
            booked_at: Timestamp(1_795_345_201_000),
            changed_at: Timestamp(1_795_345_201_000),
            position: Position(771),
        }
    }

    #[test]
    fn a_booking_reads_through_the_shipped_mapping_and_names_nobody() {
        let (set, naver) = (shipped(), PartnerId::new("naver").unwrap());
        let compile = |kind| Some(Arc::new(Projector::compile(&set, &naver, kind).unwrap()));
        let mapped = Mapped { slots: compile(FeedKind::Slots), bookings: compile(FeedKind::Bookings) };
        assert_eq!(mapped.slot_key("s-90812"), Some(SlotKey::new("90812").unwrap()));
        assert_eq!(mapped.slot_key("90812"), None);
        let booking = booking(&naver);
        let place = Place { problems_url: "https://bridge.example/problems".into(), help_url: String::new() };
        let answers = Answers { place, partners: [(naver.clone(), Arc::new(mapped) as Arc<dyn Project>)].into() };
        let text = String::from_utf8(answers.booking(&naver, &booking, Position(772)).bytes().to_vec()).unwrap();
        assert!(text.starts_with(r#"{"id":"b-r3","#) && text.ends_with(r#","committed_cursor":772}"#), "{text}");
        assert!(text.contains(r#""status":"booked""#) && text.contains(r#""slot_id":"s-90812""#), "{text}");
        assert!(!text.contains("4242424"), "{text}");
    }

    #[test]
    fn what_a_guard_stops_is_in_no_answer_and_what_is_durable_is_acknowledged() {
        let (set, naver) = (shipped(), PartnerId::new("naver").unwrap());
        let watch = Watch { canaries: Arc::new(Canaries::new(["CNRY-0001"]).unwrap()), alarm: None };
        let ports = Ports { watch, ..Ports::default() };
        let compile = |kind| {
            Some(Arc::new(Projector::compile(&set, &naver, kind).unwrap().with_ports(ports.clone()).for_replies()))
        };
        let mapped = Mapped { slots: compile(FeedKind::Slots), bookings: compile(FeedKind::Bookings) };
        let place = Place { problems_url: "https://bridge.example/problems".into(), help_url: String::new() };
        let answers = Answers { place, partners: [(naver.clone(), Arc::new(mapped) as Arc<dyn Project>)].into() };
        let slot = |vaccine: &str, n: u64| {
            let values = [
                ("SLOT_ID", Value::text(&n.to_string())),
                ("SITE_ID", Value::text("11")),
                ("SERIES_CD", Value::text("covid19-1")),
                ("SLOT_DT", Value::Time(Timestamp(1_796_083_800_000))),
                ("VACCINE_CD", Value::text(vaccine)),
                ("STATUS", Value::text("OPEN")),
                ("CAPACITY", Value::Int(20)),
            ];
            Arc::new(SlotView {
                key: SlotKey::new(&n.to_string()).unwrap(),
                site: SiteKey::new("11").unwrap(),
                series: SeriesId::new("covid19-1").unwrap(),
                start: Timestamp(1_796_083_800_000),
                version: SlotVersion(1),
                remaining: 4,
                open: true,
                row: row(&set, "slot", &values),
                position: Position(n),
            })
        };
        let planted = [slot("900101-2234567", 1), slot("CNRY-0001", 2), slot("010-1234-5678", 3)];
        for bad in &planted {
            assert_eq!(answers.slot(&naver, bad, Timestamp(0)), Shown::Stopped);
            assert!(answers.publishes(&naver, bad), "it can still be booked");
        }
        let Shown::Slot(good) = answers.slot(&naver, &slot("mRNA-1", 4), Timestamp(0)) else { panic!("stopped") };
        assert!(String::from_utf8(good.bytes().to_vec()).unwrap().contains("mRNA-1"));
        let alternatives = planted.iter().cloned().chain([slot("mRNA-1", 4)]);
        let refused = Refused {
            slot: Some(planted[0].clone()),
            alternatives: alternatives.map(|slot| Alternative { slot, distance_m: Some(7), place: None }).collect(),
            ..Refused::plain(Refusal::SlotFull)
        };
        let text = |outcome: &Outcome| String::from_utf8(answers.render(&naver, outcome).body.to_vec()).unwrap();
        let told = text(&Outcome::Refused(refused));
        assert!(told.contains("slot_full") && told.contains("\"s-4\"") && !told.contains("\"slot\":"), "{told}");
        let mut booking = booking(&naver);
        booking.legacy_ref = Some(Arc::from("R-010-1234-5678"));
        let told = String::from_utf8(answers.booking(&naver, &booking, Position(772)).bytes().to_vec()).unwrap();
        assert_eq!(told, r#"{"id":"b-r3","committed_cursor":772}"#);
        booking.legacy_ref = None;
        booking.partner_ref = Some(Arc::from("CNRY-0001"));
        let told = String::from_utf8(answers.booking(&naver, &booking, Position(772)).bytes().to_vec()).unwrap();
        assert_eq!(told, r#"{"id":"b-r3","committed_cursor":772}"#);
        assert!(!answers.passes_token(&naver, "aB3+/aB3+/=="));
    }
}
