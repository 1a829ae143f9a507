//! What the guard stops, and what it lets through: everything that the shipped mappings give.

use std::sync::{Arc, Mutex};

use serde_json::{Value as Json, json};

use crate::domain::{PartnerId, SlotView, Value};
use crate::mapping::testing::{load_edited, row, shipped};
use crate::mapping::{FeedKind, MappingSet};

use super::guard::{Alarm, Canaries, GuardRule, Hit, Watch};
use super::{Ports, Projector, Record, Subject, tests};

fn naver() -> PartnerId {
    PartnerId::new("naver").unwrap()
}

fn guarded(set: &MappingSet, kind: FeedKind) -> Projector {
    Projector::compile(set, &naver(), kind).unwrap()
}

/// The rendered form, as feeds write it.
fn rendered(record: &Record) -> Vec<u8> {
    record.to_json().into_bytes()
}

fn site(set: &MappingSet, values: &[(&str, Value)]) -> Record {
    let mut all = vec![
        ("SITE_ID", Value::text("11001")),
        ("SITE_NM", Value::text("서울한빛내과의원")),
        ("SIDO_NM", Value::text("서울특별시")),
        ("ADDR", Value::text("서울특별시 중구 세종대로 110, 3층")),
        ("TEL", Value::text("02-120-1234")),
        ("LAT", Value::Decimal("37.5665".into())),
        ("LON", Value::Decimal("126.978".into())),
        ("OPEN_TM", Value::text("09:00")),
        ("SAT_YN", Value::text("Y")),
    ];
    all.retain(|(name, _)| !values.iter().any(|(other, _)| other == name));
    all.extend_from_slice(values);
    let row = row(set, "site", &all);
    guarded(set, FeedKind::Sites).record(Subject::Item { key: "11001", row: &row }, tests::NOW).unwrap().unwrap()
}

fn slot(set: &MappingSet, slot: &SlotView) -> Record {
    guarded(set, FeedKind::Slots).record(Subject::Slot(slot), tests::NOW).unwrap().unwrap()
}

#[test]
fn what_the_shipped_mappings_give_passes_on_both_sides_of_rendering() {
    let set = shipped();
    let of_sites = guarded(&set, FeedKind::Sites);
    let every_null = site(&set, &[("SITE_NM", Value::Null), ("TEL", Value::Null), ("LAT", Value::Null)]);
    for record in [site(&set, &[]), every_null] {
        assert_eq!(of_sites.guard().record(&record), Ok(()));
        assert_eq!(of_sites.guard().item(&rendered(&record)), Ok(()), "{}", record.to_json());
    }
    let of_slots = guarded(&set, FeedKind::Slots);
    for (capacity, remaining) in [(20, 4), (20, 0), (3, 1), (1, 0)] {
        let record = slot(&set, &tests::slot_with(&set, capacity, remaining, &[]));
        assert_eq!(of_slots.guard().record(&record), Ok(()));
        assert_eq!(of_slots.guard().item(&rendered(&record)), Ok(()), "{}", record.to_json());
    }
    let of_bookings = guarded(&set, FeedKind::Bookings);
    let record = of_bookings.record(Subject::Booking(&tests::booking()), tests::NOW).unwrap().unwrap();
    assert_eq!(of_bookings.guard().record(&record), Ok(()));
    assert_eq!(of_bookings.guard().item(&rendered(&record)), Ok(()), "{}", record.to_json());
}

#[test]
fn a_personal_shape_in_a_public_column_is_a_hit_that_names_field_and_rule_only() {
    let set = shipped();
    let projector = guarded(&set, FeedKind::Sites);
    let ci = format!("{}==", &"aB3+/".repeat(18)[..86]);
    let planted = [
        "한빛내과 010-1234-5678",
        "한빛내과(02-123-4567)",
        "900101-2234567",
        "홍길동 9001012234567",
        "hong@example.com",
        "4111 1111 1111 1111",
        &ci,
    ];
    for text in planted {
        for (column, field) in [("SITE_NM", "name"), ("SIDO_NM", "region"), ("OPEN_TM", "opens")] {
            let hit = projector.guard().record(&site(&set, &[(column, Value::text(text))])).unwrap_err();
            assert_eq!((hit.rule, &*hit.field), (GuardRule::Pattern, field), "{text}");
            assert!(!hit.to_string().contains(text) && hit.to_string().starts_with("L801: field "), "{hit}");
        }
    }
    // A site's published telephone is what the column is for; everything else is not.
    for (text, passes) in [("02-123-4567", true), ("02-123-4567, 031-123-4567", true), ("a@example.com", false)] {
        assert_eq!(projector.guard().record(&site(&set, &[("TEL", Value::text(text))])).is_ok(), passes, "{text}");
    }
    let both = site(&set, &[("TEL", Value::text("02-123-4567, 010-1234-5678"))]);
    assert_eq!(projector.guard().record(&both).unwrap_err().what, "is shaped like a mobile number");
    let number = site(&set, &[("LAT", Value::Decimal("9001012234567".into()))]);
    assert_eq!(projector.guard().record(&number).unwrap_err().what, "is shaped like a resident registration number");
    let slots = guarded(&set, FeedKind::Slots);
    let aged = tests::slot_with(&set, 20, 4, &[("MIN_AGE", Value::Int(9_001_012_234_567))]);
    assert_eq!(&*slots.guard().record(&slot(&set, &aged)).unwrap_err().field, "min_age");
}

#[test]
fn a_key_that_is_shaped_like_a_resident_number_is_a_hit() {
    let set = shipped();
    let row = row(&set, "site", &[("SITE_ID", Value::text("9001012234567"))]);
    let projector = guarded(&set, FeedKind::Sites);
    let record = projector.record(Subject::Item { key: "k", row: &row }, tests::NOW).unwrap().unwrap();
    assert_eq!(&*projector.guard().record(&record).unwrap_err().field, "id");
}

#[test]
fn another_schema_than_the_approved_one_is_a_hit_before_and_after_rendering() {
    let set = shipped();
    let slot_view = tests::slot_with(&set, 20, 4, &[]);
    let good = slot(&set, &slot_view);
    let projector = guarded(&set, FeedKind::Slots);
    type Change<'a> = &'a dyn Fn(&mut Vec<(Arc<str>, Json)>);
    let with = |change: Change<'_>| {
        let mut record = good.clone();
        change(&mut record.fields);
        record
    };
    let put = |name: &'static str, value: Json| {
        with(&move |fields| fields.iter_mut().find(|(n, _)| &**n == name).unwrap().1 = value.clone())
    };
    let tampered = [
        with(&|fields| fields.push(("manager".into(), json!("kim")))),
        with(&|fields| fields.insert(0, ("manager".into(), json!("kim")))),
        with(&|fields| fields.swap(0, 1)),
        with(&|fields| drop(fields.pop())),
        with(&|fields| fields[0].0 = "slot".into()),
        put("remaining_bucket", json!("3")),
        put("remaining_bucket", json!(3)),
        put("status", json!("OPEN")),
        put("start", json!("2026-12-01")),
        put("start", json!("2026-12-01T09:10:00Z")),
        put("dose", json!("1")),
        put("dose", json!({ "n": 1 })),
        put("vaccine", json!(["mRNA-1"])),
        put("vaccine", json!(true)),
        put("slot_id", Json::Null),
        put("slot_id", json!("90812")),
    ];
    for record in tampered {
        let hit = projector.guard().record(&record).unwrap_err();
        assert_eq!(hit.rule, GuardRule::Schema, "{}", record.to_json());
        assert!(!hit.to_string().contains("manager") && !hit.to_string().contains("kim"), "{hit}");
        // Sets and prefixes of texts are the business of the typed side, where they are not a frame of bytes.
        if record.get("slot_id") != Some(&json!("90812")) {
            assert!(projector.guard().item(&rendered(&record)).is_err(), "{}", record.to_json());
        }
    }
    let json = good.to_json();
    let without_end = &json[..json.len() - 1];
    for text in [
        format!("{without_end},\"x\":1}}"),
        format!("{json} "),
        format!("{json}{json}"),
        json.replace("\"dose\":1", "\"dose\": 1"),
        json.replace("\"dose\":1", "\"dose\":1,\"dose\":1"),
        json.replace("\"dose\":1", "\"dose\":[1]"),
        json.replace("\"status\":\"open\"", "\"status\":\"open\\\",\\\"x\\\":\\\"y\""),
        without_end.to_owned(),
        String::new(),
    ] {
        assert!(projector.guard().item(text.as_bytes()).is_err(), "{text}");
    }
}

#[test]
fn a_canary_is_a_hit_wherever_texts_leave() {
    let set = shipped();
    let canaries = Canaries::parse("# planted by the agency\n\n카나리아-7\nCNRY-0001\n").unwrap();
    assert_eq!(canaries.len(), 2);
    let watch = Watch { canaries: Arc::new(canaries), alarm: None };
    let projector = guarded(&set, FeedKind::Sites).with_ports(Ports { watch, ..Ports::default() });
    for text in ["카나리아-7", "서울카나리아-7의원", "xCNRY-0001"] {
        let hit = projector.guard().record(&site(&set, &[("ADDR", Value::text(text))])).unwrap_err();
        assert_eq!((hit.rule, &*hit.field, hit.what), (GuardRule::Canary, "address", "holds a canary"));
    }
    assert_eq!(projector.guard().record(&site(&set, &[("ADDR", Value::text("카나리아-8 CNRY-000"))])), Ok(()));
    assert!(Canaries::parse("short").is_err() && Canaries::new(vec!["long enough"; 257]).is_err());
}

#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Alarm for Heard {
    fn raised(&self, partner: &PartnerId, feed: Option<FeedKind>, hit: &Hit) {
        self.0.lock().unwrap().push(format!("{partner}.{} {hit}", feed.map_or("token", FeedKind::code)));
    }
}

#[test]
fn the_alarm_is_told_of_every_hit_and_of_nothing_else() {
    let set = shipped();
    let heard: Arc<Heard> = Arc::default();
    let watch = Watch { alarm: Some(heard.clone()), ..Watch::default() };
    let projector = guarded(&set, FeedKind::Slots).with_ports(Ports { watch, ..Ports::default() });
    let good = slot(&set, &tests::slot_with(&set, 20, 4, &[]));
    projector.guard().record(&good).unwrap();
    projector.guard().item(b"{}").unwrap_err();
    projector.guard().token("pp1.naver.booking.2611.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa").unwrap();
    projector.guard().token("aB3+/==").unwrap_err();
    let heard = heard.0.lock().unwrap();
    assert_eq!(
        *heard,
        ["naver.slots L803: field slot_id: not as approved", "naver.token L803: field person: not a person token"]
    );
}

#[test]
fn closed_shapes_follow_the_transforms_of_the_closure() {
    let edits = [
        (
            "naver/slots.toml",
            "source = \"SLOT_DT\"\ntransform = { op = \"keep\" }",
            "source = \"SLOT_DT\"\ntransform = { op = \"round_time\", to = \"1h\" }",
        ),
        (
            "naver/slots.toml",
            "source = \"DUR_MIN\"\ntransform = { op = \"keep\" }",
            "source = \"DUR_MIN\"\ntransform = { op = \"round_num\", to = 10 }",
        ),
        (
            "naver/slots.toml",
            "source = \"MIN_AGE\"\ntransform = { op = \"keep\" }",
            "source = \"MIN_AGE\"\ntransform = { op = \"top_bottom\", low = 12, high = 65 }",
        ),
        (
            "naver/slots.toml",
            "source = \"DOSE_NO\"\ntransform = { op = \"keep\" }",
            "transform = { op = \"const\", value = 1 }",
        ),
        (
            "naver/slots.toml",
            "columns = [\"BOOKABLE\", \"VERSION\"]",
            "columns = [\"BOOKABLE\", \"VERSION\", \"DOSE_NO\"]",
        ),
    ];
    let set = load_edited(&edits).unwrap_or_else(|found| panic!("{found:#?}"));
    let projector = guarded(&set, FeedKind::Slots);
    let good = slot(&set, &tests::slot_with(&set, 20, 4, &[("DUR_MIN", Value::Int(17)), ("MIN_AGE", Value::Int(99))]));
    assert_eq!(projector.guard().record(&good), Ok(()), "{}", good.to_json());
    assert_eq!(projector.guard().item(&rendered(&good)), Ok(()));
    for (name, value) in [
        ("start", json!("2026-12-01T09:10:00+09:00")),
        ("duration_min", json!(17)),
        ("min_age", json!(99)),
        ("dose", json!(2)),
    ] {
        let mut record = good.clone();
        record.fields.iter_mut().find(|(n, _)| &**n == name).unwrap().1 = value;
        assert_eq!(&*projector.guard().record(&record).unwrap_err().field, name);
    }
}

/// Not a benchmark of the machine, only of the order: a guard that took microseconds an item would be felt at a start.
#[test]
fn the_cost_of_an_item_is_printed_and_stays_small() {
    let set = shipped();
    let slots = guarded(&set, FeedKind::Slots);
    let sites = guarded(&set, FeedKind::Sites);
    let of_slot = slot(&set, &tests::slot_with(&set, 20, 4, &[]));
    let of_site = site(&set, &[]);
    for (name, projector, record) in [("slot", &slots, &of_slot), ("site", &sites, &of_site)] {
        let data = rendered(record);
        let rounds = 20_000_u32;
        let begun = std::time::Instant::now();
        for _ in 0..rounds {
            projector.guard().record(std::hint::black_box(record)).unwrap();
        }
        let typed = begun.elapsed() / rounds;
        let begun = std::time::Instant::now();
        for _ in 0..rounds {
            projector.guard().item(std::hint::black_box(&data)).unwrap();
        }
        println!("guard: a {name} takes {typed:?} typed and {:?} rendered", begun.elapsed() / rounds);
        assert!(typed.as_micros() < 500, "{typed:?}");
    }
}
