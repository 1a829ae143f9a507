//! What the desk decided, as a partner reads it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::decide::{Alternative, Outcome, Refused};
use crate::domain::{BookingView, PartnerId, Position, SlotKey, SlotView, Timestamp};
use crate::durable::{Render, Rendered};
use crate::mapping::FeedKind;
use crate::privacy::Record;

use super::{Code, Object, Place, Problem};

/// A partner's compiled mapping, as far as answers need it.
pub trait Project: Send + Sync {
    /// The slot key behind a public slot id; `None` for a text that no slot of this partner can have.
    fn slot_key(&self, public_id: &str) -> Option<SlotKey>;
    /// The published record; `None` when the slot is not published to the partner at `now`.
    fn slot(&self, slot: &SlotView, now: Timestamp) -> Option<Record>;
    fn booking(&self, booking: &BookingView) -> Option<Record>;
    /// May this leave, the record as the mapping gave it and the object that was made of it? Whoever says no has told
    /// the alarm. What is judged by nobody has no mapping, as in tests of answers.
    fn passes(&self, _: FeedKind, _: &Record, _: &Object) -> bool {
        true
    }
    /// May this be given out as a person token?
    fn passes_token(&self, _: &str) -> bool {
        true
    }
}

/// What of a slot may stand in an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Shown {
    Slot(Object),
    /// Reads as unknown.
    Unpublished,
    /// A guard has stopped it, and the slots of the partner are held from now on.
    Stopped,
}

impl Shown {
    fn slot(self) -> Option<Object> {
        match self {
            Shown::Slot(object) => Some(object),
            Shown::Unpublished | Shown::Stopped => None,
        }
    }
}

/// What of a partner's data no answer may show now, because its feed is held. The decision itself is always told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Withheld {
    /// Refusals carry neither the slot nor alternatives.
    pub slots: bool,
    /// Bookings read as id and cursor only.
    pub bookings: bool,
}

impl Withheld {
    pub const NOTHING: Withheld = Withheld { slots: false, bookings: false };
}

/// Stands where the desk has judged time already: no slot is past its cutoff then.
const JUDGED: Timestamp = Timestamp(0);
/// Bound of `alternatives`, whatever was asked.
const ALTERNATIVES_MAX: usize = 10;

/// A slot as it stands in an answer.
pub struct SlotRecord;

impl SlotRecord {
    /// `slot_id`, the mapping's fields, `cursor`.
    pub fn members(record: &Record, position: Position, distance_m: Option<u32>) -> Object {
        let mut object = Object::default();
        object.put("slot_id", &*record.id);
        if let Some(metres) = distance_m {
            object.put("distance_m", u64::from(metres));
        }
        object.put("cursor", position.0);
        for (name, value) in &record.fields {
            object.put(name.clone(), value.clone());
        }
        object
    }
}

/// A booking as it stands in an answer.
pub struct BookingRecord;

impl BookingRecord {
    /// `id`, the mapping's fields, `committed_cursor`.
    pub fn members(record: &Record, committed: Position) -> Object {
        let mut object = Object::default();
        object.put("id", &*record.id);
        for (name, value) in &record.fields {
            if &**name != "committed_cursor" {
                object.put(name.clone(), value.clone());
            }
        }
        object.put("committed_cursor", committed.0);
        object
    }
}

/// Renders outcomes through the mapping of each partner. A new set of mappings is a new value.
#[derive(Clone)]
pub struct Answers {
    pub place: Place,
    pub partners: BTreeMap<PartnerId, Arc<dyn Project>>,
}

impl Answers {
    pub fn project(&self, partner: &PartnerId) -> Option<&Arc<dyn Project>> {
        self.partners.get(partner)
    }

    /// A booking of the partner; a partner without a mapping of bookings reads its id and cursor only.
    pub fn booking(&self, partner: &PartnerId, booking: &BookingView, committed: Position) -> Object {
        self.booking_without(partner, booking, committed, Withheld::NOTHING)
    }

    pub fn booking_without(
        &self,
        partner: &PartnerId,
        booking: &BookingView,
        committed: Position,
        withheld: Withheld,
    ) -> Object {
        let project = self.project(partner).filter(|_| !withheld.bookings);
        let judged = project.and_then(|project| {
            let record = project.booking(booking)?;
            let object = BookingRecord::members(&record, committed);
            project.passes(FeedKind::Bookings, &record, &object).then_some(object)
        });
        // What is durable is acknowledged, whatever became of its fields: a number of ours and a position say nothing.
        let bare = || Record { id: Arc::from(booking.id.to_string()), fields: Vec::new() };
        judged.unwrap_or_else(|| BookingRecord::members(&bare(), committed))
    }

    /// A slot as the partner may see it at `now`.
    pub fn slot(&self, partner: &PartnerId, slot: &SlotView, now: Timestamp) -> Shown {
        self.slot_at(partner, slot, now, None)
    }

    fn slot_at(&self, partner: &PartnerId, slot: &SlotView, now: Timestamp, distance_m: Option<u32>) -> Shown {
        let Some(project) = self.project(partner) else { return Shown::Unpublished };
        let Some(record) = project.slot(slot, now) else { return Shown::Unpublished };
        let object = SlotRecord::members(&record, slot.position, distance_m);
        if project.passes(FeedKind::Slots, &record, &object) { Shown::Slot(object) } else { Shown::Stopped }
    }

    /// Is the slot one that the partner's mapping lets through, whatever the time?
    pub fn publishes(&self, partner: &PartnerId, slot: &SlotView) -> bool {
        self.project(partner).is_some_and(|project| project.slot(slot, JUDGED).is_some())
    }

    /// May this be given out as a person token?
    pub fn passes_token(&self, partner: &PartnerId, token: &str) -> bool {
        self.project(partner).is_none_or(|project| project.passes_token(token))
    }

    fn alternative(&self, partner: &PartnerId, alternative: &Alternative) -> Option<Object> {
        self.slot_at(partner, &alternative.slot, JUDGED, alternative.distance_m).slot()
    }

    fn refused(&self, partner: &PartnerId, refused: &Refused, withheld: Withheld) -> Problem {
        let code = Code::from(refused.code);
        // One constant body: nothing about the slot, the time or the person may be read from it.
        if code == Code::NotBookable {
            return Problem::new(code);
        }
        // A slot that is not published to the caller is unknown, whatever became of the request.
        if refused.slot.as_ref().is_some_and(|slot| !self.publishes(partner, slot)) {
            return Problem::new(Code::UnknownSlot);
        }
        let slot = refused.slot.as_ref().filter(|_| !withheld.slots);
        let slot = slot.and_then(|slot| self.slot(partner, slot, JUDGED).slot());
        let mut problem = Problem::new(code);
        problem.retry_after_ms = refused.retry_after_ms;
        if let Some(slot) = slot {
            problem = problem.with("slot", slot);
        }
        if let Some(opens_at) = refused.opens_at {
            problem = problem.with("opens_at", opens_at.rfc3339());
        }
        if let Some(id) = refused.own_booking {
            problem = problem.with("booking_id", id.to_string());
        }
        if let Some(ms) = refused.seen_age_ms {
            problem = problem.with("seen_age_ms", ms);
        }
        let seen = refused.alternatives.iter().filter_map(|a| self.alternative(partner, a));
        let most = if withheld.slots { 0 } else { ALTERNATIVES_MAX };
        let alternatives: Vec<Object> = seen.take(most).collect();
        if !alternatives.is_empty() {
            problem = problem.with("alternatives", alternatives);
        }
        problem
    }

    /// `render` while some of the partner's data is withheld.
    pub fn render_without(&self, partner: &PartnerId, outcome: &Outcome, withheld: Withheld) -> Rendered {
        let booked = |booking: &BookingView, at| self.booking_without(partner, booking, at, withheld).bytes();
        match outcome {
            Outcome::Booked { booking, slot } => {
                let committed = booking.position.max(slot.position);
                Rendered { status: 201, body: booked(booking, committed) }
            }
            Outcome::Pending { booking, slot } => {
                let committed = booking.position.max(slot.position);
                Rendered { status: 202, body: booked(booking, committed) }
            }
            Outcome::Cancelled { booking } => Rendered { status: 200, body: booked(booking, booking.position) },
            // What a token call answers is made after durability and stored nowhere.
            Outcome::TokenGiven => Rendered { status: 200, body: Bytes::from_static(b"{}") },
            // Whoever waits reads the stored reply; these bytes reach nobody.
            Outcome::Replay { .. } => Rendered { status: 200, body: Bytes::from_static(b"{}") },
            Outcome::Refused(refused) => {
                let problem = self.refused(partner, refused, withheld);
                Rendered { status: problem.status(), body: problem.body(&self.place) }
            }
        }
    }
}

impl Render for Answers {
    fn render(&self, partner: &PartnerId, outcome: &Outcome) -> Rendered {
        self.render_without(partner, outcome, Withheld::NOTHING)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        BookingId, BookingStatus, PersonNo, Refusal, Row, SeriesId, SiteKey, SlotVersion, Sync as Written,
    };

    struct Everything;

    impl Project for Everything {
        fn slot_key(&self, public_id: &str) -> Option<SlotKey> {
            SlotKey::new(public_id).ok()
        }

        fn slot(&self, slot: &SlotView, _: Timestamp) -> Option<Record> {
            Some(Record { id: Arc::from(slot.key.as_str()), fields: vec![("remaining".into(), 7.into())] })
        }

        fn booking(&self, booking: &BookingView) -> Option<Record> {
            Some(Record { id: Arc::from(booking.id.to_string()), fields: vec![("status".into(), "booked".into())] })
        }
    }

    fn slot() -> Arc<SlotView> {
        Arc::new(SlotView {
            key: SlotKey::new("1").unwrap(),
            site: SiteKey::new("1").unwrap(),
            series: SeriesId::new("covid19-1").unwrap(),
            start: Timestamp(0),
            version: SlotVersion(1),
            remaining: 7,
            open: true,
            row: Arc::new(Row(Box::new([]))),
            position: Position(5),
        })
    }

    fn booking() -> BookingView {
        BookingView {
            id: BookingId(Position(6)),
            partner: PartnerId::new("naver").unwrap(),
            person: PersonNo(1),
            series: SeriesId::new("covid19-1").unwrap(),
            slot: slot().key.clone(),
            slot_version: SlotVersion(1),
            status: BookingStatus::Booked,
            sync: Written::Queued,
            legacy_ref: None,
            partner_ref: None,
            reason: None,
            booked_at: Timestamp(0),
            changed_at: Timestamp(0),
            position: Position(6),
        }
    }

    #[test]
    fn what_is_withheld_is_in_no_answer_and_the_decision_is() {
        let naver = PartnerId::new("naver").unwrap();
        let place = Place { problems_url: "https://b/problems".into(), help_url: String::new() };
        let answers = Answers { place, partners: [(naver.clone(), Arc::new(Everything) as Arc<dyn Project>)].into() };
        let refused = Outcome::Refused(Refused {
            code: Refusal::SlotFull,
            slot: Some(slot()),
            seen_age_ms: Some(4),
            retry_after_ms: Some(800),
            opens_at: None,
            own_booking: None,
            alternatives: vec![Alternative { slot: slot(), distance_m: None, place: None }],
        });
        let booked = Outcome::Booked { booking: booking(), slot: slot() };
        let text = |outcome: &Outcome, withheld| {
            let rendered = answers.render_without(&naver, outcome, withheld);
            (rendered.status, String::from_utf8(rendered.body.to_vec()).unwrap())
        };
        let (slots, bookings) = (Withheld { slots: true, bookings: false }, Withheld { slots: false, bookings: true });
        let shown = text(&refused, bookings).1;
        assert!(shown.contains(r#""slot":{"#) && shown.contains(r#""alternatives":[{"#), "{shown}");
        let (status, bare) = text(&refused, slots);
        assert!(status == 409 && bare.contains(r#""code":"slot_full""#) && bare.contains("retry_after_ms"), "{bare}");
        assert!(!bare.contains("remaining") && !bare.contains("alternatives\":["), "{bare}");
        assert_eq!(text(&booked, slots).1, r#"{"id":"b-6","status":"booked","committed_cursor":6}"#);
        assert_eq!(text(&booked, bookings), (201, r#"{"id":"b-6","committed_cursor":6}"#.to_owned()));
    }
}
