//! Records as partners see them, through the shipped mappings and edited ones.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::domain::{
    BookingId, BookingStatus, BookingView, EndReason, PartnerId, PersonNo, PersonRef, Position, SeriesId, SiteKey,
    SlotKey, SlotVersion, SlotView, Sync, Timestamp, Value,
};
use crate::mapping::testing::{edited_files, load_edited, row, shipped};
use crate::mapping::{FeedKind, MappingSet, load};

use super::{AssignToken, IssueKind, NotAssigned, Ports, Projector, Record, Seal, Subject};

fn partner(id: &str) -> PartnerId {
    PartnerId::new(id).unwrap()
}

fn projector(set: &MappingSet, id: &str, kind: FeedKind) -> Projector {
    Projector::compile(set, &partner(id), kind).unwrap()
}

const START: Timestamp = Timestamp(1_796_083_800_000);
pub(super) const NOW: Timestamp = Timestamp(1_795_345_200_000);

pub(super) fn slot_with(set: &MappingSet, capacity: i64, remaining: u32, more: &[(&str, Value)]) -> SlotView {
    let mut values = vec![
        ("SLOT_ID", Value::text("90812")),
        ("SITE_ID", Value::text("11001")),
        ("SERIES_CD", Value::text("covid19-1")),
        ("SLOT_DT", Value::Time(START)),
        ("DUR_MIN", Value::Int(10)),
        ("VACCINE_CD", Value::text("mRNA-1")),
        ("DOSE_NO", Value::Int(1)),
        ("STATUS", Value::text("OPEN")),
        ("CAPACITY", Value::Int(capacity)),
        ("NATIVE_CNT", Value::Int(2)),
    ];
    values.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
    values.extend_from_slice(more);
    SlotView {
        key: SlotKey::new("90812").unwrap(),
        site: SiteKey::new("11001").unwrap(),
        series: SeriesId::new("covid19-1").unwrap(),
        start: START,
        version: SlotVersion(0xab),
        remaining,
        open: true,
        row: row(set, "slot", &values),
        position: Position(7),
    }
}

fn record(projector: &Projector, subject: Subject<'_>) -> Record {
    projector.record(subject, NOW).unwrap().unwrap()
}

#[test]
fn a_slot_is_what_its_partner_may_see() {
    let set = shipped();
    let slot = slot_with(&set, 20, 4, &[]);
    let seen = |id: &str| record(&projector(&set, id, FeedKind::Slots), Subject::Slot(&slot)).to_json();
    let common = "\"slot_id\":\"s-90812\",\"site_id\":\"site-11001\",\"series\":\"covid19-1\",\"start\":\"2026-12-01T09:10:00+09:00\",\
                  \"duration_min\":10,\"vaccine\":\"mRNA-1\",\"dose\":1,\"min_age\":null,";
    assert_eq!(seen("naver"), format!("{{{common}\"remaining_bucket\":\"1-4\",\"status\":\"open\"}}"));
    assert_eq!(seen("kakao"), format!("{{{common}\"remaining_bucket\":\"1-9\",\"status\":\"open\"}}"));
    assert_eq!(seen("audit"), format!("{{{common}\"capacity\":20,\"remaining\":4,\"status\":\"open\"}}"));
    let naver = projector(&set, "naver", FeedKind::Slots);
    assert_eq!(&*record(&naver, Subject::Slot(&slot)).id, "s-90812");
    assert_eq!(naver.public_id(&slot.key), "s-90812");
    assert_eq!(naver.slot_key("s-90812"), Some(slot.key.clone()));
    assert_eq!(naver.slot_key("90812"), None);
    assert_eq!(naver.slot_key("s-9/1"), None);
}

#[test]
fn a_small_slot_tells_only_whether_it_is_bookable() {
    let set = shipped();
    let naver = projector(&set, "naver", FeedKind::Slots);
    let audit = projector(&set, "audit", FeedKind::Slots);
    for (capacity, remaining, told) in [(3, 3, "1+"), (3, 1, "1+"), (1, 0, "0"), (4, 3, "1-4"), (4, 0, "0")] {
        let slot = slot_with(&set, capacity, remaining, &[]);
        let seen = record(&naver, Subject::Slot(&slot));
        assert_eq!(seen.get("remaining_bucket").unwrap(), told, "{remaining} of {capacity}");
        assert_eq!(record(&audit, Subject::Slot(&slot)).get("remaining").unwrap(), remaining);
        let tick_ms = if capacity <= 3 { 10_000 } else { 200 };
        assert_eq!(naver.tick_ms_of(Subject::Slot(&slot)), tick_ms);
        assert_eq!(audit.tick_ms_of(Subject::Slot(&slot)), 200);
    }
    let unknown = slot_with(&set, 0, 9, &[("CAPACITY", Value::Null)]);
    assert!(naver.is_small(Subject::Slot(&unknown)), "a slot of unknown capacity is taken for a small one");
}

#[test]
fn a_slot_that_is_not_open_has_nothing_left() {
    let set = shipped();
    let mut slot = slot_with(&set, 20, 4, &[("STATUS", Value::text("CLOSED"))]);
    slot.open = false;
    let seen = record(&projector(&set, "naver", FeedKind::Slots), Subject::Slot(&slot));
    assert_eq!((seen.get("remaining_bucket").unwrap(), seen.get("status").unwrap()), (&"0".into(), &"closed".into()));
}

#[test]
fn a_slot_leaves_at_its_cutoff_and_where_the_filter_leaves_it_out() {
    let set = shipped();
    let naver = projector(&set, "naver", FeedKind::Slots);
    let slot = slot_with(&set, 20, 4, &[]);
    let leaves_at = START.plus_ms(-30 * 60_000);
    assert_eq!(naver.leaves_at(Subject::Slot(&slot)), Some(leaves_at));
    assert!(naver.record(Subject::Slot(&slot), leaves_at.plus_ms(-1)).unwrap().is_some());
    assert!(naver.record(Subject::Slot(&slot), leaves_at).unwrap().is_none());
    for status in [Value::text("DELETED"), Value::Null] {
        let hidden = slot_with(&set, 20, 4, &[("STATUS", status)]);
        assert!(naver.record(Subject::Slot(&hidden), NOW).unwrap().is_none());
    }
}

#[test]
fn a_site_shows_what_the_agency_publishes_and_nobody() {
    let set = shipped();
    let values = [
        ("SITE_ID", Value::text("11001")),
        ("SITE_NM", Value::text("서울 \"중앙\" 의원")),
        ("SIDO_NM", Value::text("서울특별시")),
        ("ADDR", Value::text("세종대로 110")),
        ("TEL", Value::text("02-120-0000")),
        ("LAT", Value::Decimal("37.5665".into())),
        ("LON", Value::Decimal("126.978".into())),
        ("SAT_YN", Value::text("Y")),
    ];
    let site = row(&set, "site", &values);
    let naver = projector(&set, "naver", FeedKind::Sites);
    let seen = record(&naver, Subject::Item { key: "11001", row: &site }).to_json();
    assert_eq!(
        seen,
        "{\"site_id\":\"site-11001\",\"name\":\"서울 \\\"중앙\\\" 의원\",\"region\":\"서울특별시\",\"district\":null,\
         \"address\":\"세종대로 110\",\"telephone\":\"02-120-0000\",\"lat\":37.5665,\"lon\":126.978,\"opens\":null,\
         \"closes\":null,\"saturday\":\"yes\"}"
    );
    let issue = |name: &str, value: Value| {
        let mut values = values.to_vec();
        values.retain(|(n, _)| *n != name);
        values.push((if name == "SITE_ID" { "SITE_ID" } else { name }, value));
        let values: Vec<(&str, Value)> = values.iter().map(|(n, v)| (*n, v.clone())).collect();
        let site = row(&set, "site", &values);
        let issue = naver.record(Subject::Item { key: "11001", row: &site }, NOW).unwrap_err();
        assert!(!issue.to_string().contains("5678"), "{issue}");
        (issue.field.to_string(), issue.kind)
    };
    assert_eq!(issue("TEL", Value::text("010-1234-5678")), ("telephone".to_owned(), IssueKind::MobileNumber));
    assert_eq!(issue("SAT_YN", Value::text("5678")), ("saturday".to_owned(), IssueKind::UnknownCode));
    assert_eq!(issue("SITE_NM", Value::Int(5678)), ("name".to_owned(), IssueKind::WrongType));
    assert_eq!(issue("SITE_ID", Value::text("5678/1")), ("id".to_owned(), IssueKind::BadKey));
    assert_eq!(issue("SITE_ID", Value::Null), ("id".to_owned(), IssueKind::BadKey));
}

pub(super) fn booking() -> BookingView {
    BookingView {
        id: BookingId(Position(771)),
        partner: partner("naver"),
        person: PersonNo(4_242_424),
        series: SeriesId::new("covid19-1").unwrap(),
        slot: SlotKey::new("90812").unwrap(),
        slot_version: SlotVersion(0xab),
        status: BookingStatus::Displaced,
        sync: Sync::Rejected,
        legacy_ref: None,
        partner_ref: Some("K-1".into()),
        reason: Some(EndReason::PersonBookedNatively),
        booked_at: NOW,
        changed_at: NOW.plus_ms(1_500),
        position: Position(900),
    }
}

#[test]
fn a_booking_shows_its_state_and_not_its_person() {
    let set = shipped();
    let seen = record(&projector(&set, "naver", FeedKind::Bookings), Subject::Booking(&booking())).to_json();
    assert_eq!(
        seen,
        "{\"id\":\"b-r3\",\"status\":\"displaced\",\"sync\":\"rejected\",\"slot_id\":\"s-90812\",\"series\":\"covid19-1\",\
         \"slot_version\":\"000000ab\",\"partner_ref\":\"K-1\",\"legacy_ref\":null,\"reason\":\"agency_cancelled\",\
         \"booked_at\":\"2026-11-22T20:00:00+09:00\",\"changed_at\":\"2026-11-22T20:00:01.500+09:00\",\
         \"committed_cursor\":900}"
    );
    assert!(!seen.contains("4242424"));
}

#[test]
fn a_projector_refuses_a_subject_of_another_object() {
    let set = shipped();
    let booking = booking();
    let wrong = projector(&set, "naver", FeedKind::Slots).record(Subject::Booking(&booking), NOW).unwrap_err();
    assert_eq!(wrong.kind, IssueKind::WrongSubject);
    let slot = slot_with(&set, 20, 4, &[]);
    let wrong = projector(&set, "naver", FeedKind::Bookings).record(Subject::Slot(&slot), NOW).unwrap_err();
    assert_eq!(wrong.kind, IssueKind::WrongSubject);
    assert!(Projector::compile(&set, &partner("audit"), FeedKind::Bookings).is_err());
    assert!(Projector::compile(&set, &partner("line"), FeedKind::Slots).is_err());
}

const SERIES: &str = "source = \"SERIES_CD\"\ntransform = { op = \"keep\" }";
const VACCINE: &str = "source = \"VACCINE_CD\"\ntransform = { op = \"keep\" }";
const TIME: &str = "source = \"SLOT_DT\"\ntransform = { op = \"keep\" }";
const DURATION: &str = "source = \"DUR_MIN\"\ntransform = { op = \"keep\" }";
const DOSE: &str = "source = \"DOSE_NO\"\ntransform = { op = \"keep\" }";
const AGE: &str = "source = \"MIN_AGE\"\ntransform = { op = \"keep\" }";

#[test]
fn every_transform_does_what_its_sentence_says() {
    let naver = "naver/slots.toml";
    let mut files = edited_files(&[
        (naver, SERIES, "transform = { op = \"const\", value = \"autumn\" }"),
        (naver, "columns = [\"BOOKABLE\", \"VERSION\"]", "columns = [\"BOOKABLE\", \"VERSION\", \"SERIES_CD\"]"),
        (
            naver,
            VACCINE,
            "source = \"VACCINE_CD\"\ntransform = { op = \"lookup\", table = \"vaccine\", key = \"code\", value = \"en\" }",
        ),
        (naver, TIME, "source = \"SLOT_DT\"\ntransform = { op = \"round_time\", to = \"1h\" }"),
        (naver, DURATION, "source = \"DUR_MIN\"\ntransform = { op = \"round_num\", to = 15 }"),
        (naver, DOSE, "source = \"DOSE_NO\"\ntransform = { op = \"top_bottom\", low = 1, high = 3 }"),
        (
            naver,
            AGE,
            "source = \"MIN_AGE\"\ntransform = { op = \"generalize\", hierarchy = \"age\", level = \"group\" }",
        ),
    ]);
    files.insert("tables/vaccine.csv".to_owned(), b"code,ko,en\nmRNA-1,x,First\n".to_vec());
    files.insert("hierarchies/age.csv".to_owned(), b"age,decade,group\n65,60s,older\n".to_vec());
    let set = load(&files).unwrap_or_else(|found| panic!("{found:#?}"));
    let more = [("DUR_MIN", Value::Int(44)), ("DOSE_NO", Value::Int(9)), ("MIN_AGE", Value::Decimal("65".into()))];
    let slot = slot_with(&set, 20, 4, &more);
    let seen = record(&projector(&set, "naver", FeedKind::Slots), Subject::Slot(&slot)).to_json();
    assert_eq!(
        seen,
        "{\"slot_id\":\"s-90812\",\"site_id\":\"site-11001\",\"series\":\"autumn\",\"start\":\"2026-12-01T09:00:00+09:00\",\
         \"duration_min\":30,\"vaccine\":\"First\",\"dose\":3,\"min_age\":\"older\",\"remaining_bucket\":\"1-4\",\
         \"status\":\"open\"}"
    );
    let unlisted = slot_with(&set, 20, 4, &[("VACCINE_CD", Value::text("other"))]);
    let issue = projector(&set, "naver", FeedKind::Slots).record(Subject::Slot(&unlisted), NOW).unwrap_err();
    assert_eq!((&*issue.field, issue.kind), ("vaccine", IssueKind::UnknownCode));
}

/// Numbers values in the order they come.
#[derive(Default)]
struct InOrder(Mutex<BTreeMap<(String, String), usize>>);

impl AssignToken for InOrder {
    fn assigned(&self, scope: &str, value: &str, bits: u32) -> Result<String, NotAssigned> {
        let mut given = self.0.lock().unwrap();
        let next = given.len() + 1;
        let number = *given.entry((scope.to_owned(), value.to_owned())).or_insert(next);
        Ok(format!("{number:0width$x}", width = bits as usize / 4))
    }
}

struct Spelled;

impl Seal for Spelled {
    fn seal(&self, partner: &PartnerId, purpose: &str, person: PersonRef) -> Result<String, NotAssigned> {
        Ok(format!("{partner}.{purpose}.{person:?}"))
    }
}

#[test]
fn assigned_numbers_are_shared_as_their_scope_says() {
    let random = |scope: &str| {
        format!("source = \"SERIES_CD\"\ntransform = {{ op = \"token_random\", bits = 64, scope = \"{scope}\" }}")
    };
    let policy =
        ("policy.toml", "\"top_bottom\", \"generalize\"]", "\"top_bottom\", \"generalize\", \"token_random\"]");
    for (scope, is_shared) in [("partner", false), ("all", true)] {
        let set = load_edited(&[
            policy,
            ("naver/slots.toml", SERIES, &random(scope)),
            ("kakao/slots.toml", SERIES, &random(scope)),
        ]);
        let set = set.unwrap_or_else(|found| panic!("{found:#?}"));
        let slot = slot_with(&set, 20, 4, &[]);
        let tokens: Arc<InOrder> = Arc::default();
        let seen = |id: &str| {
            let ports = Ports { tokens: Some(tokens.clone()), ..Ports::default() };
            let projector = projector(&set, id, FeedKind::Slots).with_ports(ports);
            record(&projector, Subject::Slot(&slot)).get("series").unwrap().clone()
        };
        assert_eq!(seen("naver"), "0000000000000001");
        assert_eq!(seen("naver") == seen("kakao"), is_shared);
        let without = projector(&set, "naver", FeedKind::Slots).record(Subject::Slot(&slot), NOW).unwrap_err();
        assert_eq!(without.kind, IssueKind::Port);
    }
}

#[test]
fn a_person_token_is_sealed_for_the_mappings_partner_and_purpose() {
    let field = "[[field]]\nname = \"person\"\nsource = \"PERSON_NO\"\ntransform = { op = \"person_token\" }\nwhy = { ko = \"가\", en = \"a\" }\n";
    let withheld = "[[withheld]]\ncolumns = [\"PERSON_NO\"]\nreason = { ko = \"사람을 가리키는 번호는 제공하지 않음\", en = \"Nothing that names a person is in the feed\" }\n";
    let set = load_edited(&[
        (
            "policy.toml",
            "[class.internal_id]\ntransforms = [\"drop\"]",
            "[class.internal_id]\ntransforms = [\"person_token\"]",
        ),
        ("naver/bookings.toml", withheld, field),
    ]);
    let set = set.unwrap_or_else(|found| panic!("{found:#?}"));
    let naver = projector(&set, "naver", FeedKind::Bookings);
    let booking = booking();
    assert_eq!(naver.record(Subject::Booking(&booking), NOW).unwrap_err().kind, IssueKind::Port);
    let naver = naver.with_ports(Ports { seal: Some(Arc::new(Spelled)), ..Ports::default() });
    let seen = record(&naver, Subject::Booking(&booking));
    assert_eq!(seen.get("person").unwrap(), "naver.booking.Known(PersonNo(4242424))");
}

#[test]
fn partners_of_the_same_content_share_a_digest_and_others_do_not() {
    let set = shipped();
    let content = |id: &str, kind: FeedKind| projector(&set, id, kind).content_digest().to_owned();
    assert_eq!(content("naver", FeedKind::Sites), content("kakao", FeedKind::Sites));
    assert_eq!(content("naver", FeedKind::Sites), content("audit", FeedKind::Sites));
    assert_eq!(content("naver", FeedKind::Eligibility), content("kakao", FeedKind::Eligibility));
    let slots = ["naver", "kakao", "audit"].map(|id| content(id, FeedKind::Slots));
    assert!(slots[0] != slots[1] && slots[1] != slots[2] && slots[0] != slots[2]);
    let approval = |id: &str| projector(&set, id, FeedKind::Sites).approval_digest().to_owned();
    assert_ne!(approval("naver"), approval("kakao"));
}

#[test]
fn digests_move_with_what_they_cover() {
    let digests = |edits: &[(&str, &str, &str)]| {
        let set = load_edited(edits).unwrap_or_else(|found| panic!("{found:#?}"));
        let naver = projector(&set, "naver", FeedKind::Slots);
        (naver.content_digest().to_owned(), naver.approval_digest().to_owned())
    };
    let (content, approval) = digests(&[]);
    assert_eq!((&content, &approval), (&digests(&[]).0, &digests(&[]).1));
    let naver = "naver/slots.toml";
    let in_both = [
        (naver, "tick_ms = 200", "tick_ms = 300"),
        (naver, "cutoff_min = 30", "cutoff_min = 60"),
        (naver, "[\"OPEN\", \"CLOSED\"]", "[\"OPEN\"]"),
        (naver, "\"1-4\"", "\"1–4\""),
        ("tables/slot_status.csv", "OPEN,open", "OPEN,bookable"),
        ("policy.toml", "capacity_max = 3", "capacity_max = 4"),
    ];
    for edit in in_both {
        let (c, a) = digests(&[edit]);
        assert!(c != content && a != approval, "{edit:?}");
    }
    let (s, t) = ("prefix = \"s-\"", "prefix = \"t-\"");
    let files = [naver, "kakao/slots.toml", "audit/slots.toml", "naver/bookings.toml", "kakao/bookings.toml"];
    assert_ne!(digests(&files.map(|file| (file, s, t))).0, content);
    let in_approval = [
        (naver, "Which dose", "The dose"),
        (naver, "partner_max = \"P1D\"", "partner_max = \"P2D\""),
        ("partners.toml", "위탁-2026-001", "위탁-2026-009"),
        ("catalog.toml", "\"접종 일시\"", "\"접종 시각\""),
    ];
    for edit in in_approval {
        let (c, a) = digests(&[edit]);
        assert!(c == content && a != approval, "{edit:?}");
    }
    let (c, a) = digests(&[(naver, "[\"OPEN\", \"CLOSED\"]", "[\"CLOSED\", \"OPEN\"]")]);
    assert!(c == content && a != approval, "the order of a filter's values changes no byte");
}
