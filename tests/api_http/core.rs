//! The same routes over the real desk and the real ledger.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};
use slotbridge::decide::{CohortSet, Desk, Event, OpResult, OpWhat, Policy, RefillPolicy, SeriesPolicy};
use slotbridge::domain::{
    CohortNo, Fact, PersonFact, PersonNo, Row, SeriesId, SiteKey, SlotFact, SlotKey, SlotStatus, SlotVersion,
};
use slotbridge::durable::{Answer, Replies};
use slotbridge::ledger::{self, Committer, Ledger};
use slotbridge::view::Fill;

use crate::bookings::{KEY, all, wish};
use crate::doubles::{Bridge, CoreParts, NOW, start_over};

fn series() -> SeriesId {
    SeriesId::new("covid19-1").unwrap()
}

fn real(dir: PathBuf) -> impl FnOnce(CoreParts) -> Arc<dyn Replies> {
    move |parts| {
        let mut cohorts = CohortSet::default();
        cohorts.insert(CohortNo(1));
        let series = [(series(), SeriesPolicy { cohorts, opens_at: None })].into();
        let refill = RefillPolicy { prewarm_units: 10, share_max_percent: 100, ..RefillPolicy::default() };
        let desk = Desk::new(Policy { series, refill, ..Policy::default() });
        let ledger = Ledger::open(&dir, ledger::Settings::default(), ledger::Expected::MayBeNew).unwrap();
        let replies = Arc::new(ledger.reader());
        let consumers: Vec<Box<dyn slotbridge::durable::Consumer>> = vec![Box::new(Fill(parts.view))];
        let mut committer = Committer::new(desk, ledger, Box::new(parts.answers), consumers);
        std::thread::spawn(move || committer.run(parts.queue, || NOW).unwrap());
        replies
    }
}

/// A bridge with one slot of `capacity`, all of it taken from the legacy system, and persons 0 to 99.
async fn stocked(dir: &tempfile::TempDir, capacity: u32) -> Bridge {
    let bridge = start_over(|_| (), None, real(dir.path().to_owned())).await;
    let slot = SlotFact {
        key: SlotKey::new("1").unwrap(),
        site: SiteKey::new("11").unwrap(),
        series: series(),
        start: NOW.plus_ms(86_400_000),
        status: SlotStatus::Open,
        capacity,
        native: 0,
        counter: Some(0),
        escrow_units: 0,
        last_op: None,
        opens_at: None,
        class: None,
        version: SlotVersion(0xab),
        row: Arc::new(Row(Box::new([]))),
    };
    let person = |n| Fact::Person(PersonFact { person: PersonNo(n), cohort: CohortNo(1), bookable: true });
    let facts = (0..100).map(person).chain([Fact::Slot(slot)]).collect();
    bridge.intake.submit(Event::Facts { ticket: 0, facts }).await.unwrap();
    for _ in 0..3 {
        bridge.intake.submit(Event::Tick).await.unwrap();
        let claimed = bridge.intake.submit(Event::Claim { ticket: 0, max: 50 }).await.unwrap();
        let Answer::Claimed { ops } = claimed else { panic!("{claimed:?}") };
        for op in ops.into_iter().map(|given| given.op) {
            let OpWhat::Take { units } = op.what else { continue };
            bridge.intake.submit(Event::OpDone { op: op.position, result: OpResult::Taken { units } }).await.unwrap();
        }
    }
    bridge
}

fn by(partner: &str, person: u32) -> Value {
    let mut body = wish("s-1");
    body["person"] = json!(format!("ppt1.{partner}.booking.2611.p{person}"));
    body["seen_cursor"] = json!(200);
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_sent_thirty_times_at_once_books_once() {
    let dir = tempfile::tempdir().unwrap();
    let bridge = stocked(&dir, 10).await;
    let body = by("naver", 1);
    let got = all((0..30).map(|_| bridge.book(KEY, &body))).await;
    let bodies: BTreeSet<(u16, String)> = got.iter().map(|got| (got.status, got.text())).collect();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    assert_eq!(bodies.first().unwrap().0, 201, "{bodies:?}");
    let first = got.iter().filter(|got| got.header("idempotency-replayed").is_none()).count();
    assert_eq!(first, 1);
    let other = bridge.book(KEY, &by("naver", 2)).await;
    assert_eq!(other.status_and_code(), (422, "idempotency_key_reused".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn never_more_is_sold_than_was_taken_and_losers_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let bridge = stocked(&dir, 4).await;
    let got = all((0..30).map(|person| {
        let bridge = &bridge;
        async move { bridge.book(&format!("{KEY}-{person}"), &by("naver", person)).await }
    }))
    .await;
    let booked = got.iter().filter(|got| got.status == 201).count();
    assert_eq!(booked, 4);
    assert!(got.iter().filter(|got| got.status != 201).all(|got| got.status_and_code() == (409, "slot_full".into())));
    let ids: BTreeSet<String> = got.iter().filter_map(|got| got.header("location").map(str::to_owned)).collect();
    assert_eq!(ids.len(), booked);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_books_once_whoever_asks_and_again_after_cancelling() {
    let dir = tempfile::tempdir().unwrap();
    let bridge = stocked(&dir, 10).await;
    let booked = bridge.book(KEY, &by("naver", 1)).await;
    assert_eq!(booked.status, 201, "{}", booked.text());
    let own = bridge.book("own-again-0123456789", &by("naver", 1)).await;
    assert_eq!(own.status_and_code(), (409, "person_already_booked".into()));
    assert_eq!(own.json()["booking_id"], booked.json()["id"]);
    let kakao = [("idempotency-key", KEY), ("authorization", "Bearer test_kakao")];
    let theirs = bridge.send("POST", "/v1/bookings", &kakao, by("kakao", 1).to_string().as_bytes()).await;
    assert_eq!(theirs.status_and_code(), (403, "not_bookable".into()));
    let mut nobody = by("naver", 1);
    nobody["person"] = json!("ppt1.naver.booking.2611.nobody");
    let nobody = bridge.book("nobody-0123456789", &nobody).await;
    assert_eq!(nobody.body, theirs.body, "a reason can be told from the body");
    let path = format!("/v1/bookings/{}", booked.json()["id"].as_str().unwrap());
    let tag = booked.header("etag").unwrap().to_owned();
    let cancelled = bridge.send("DELETE", &path, &[("if-match", &tag)], b"").await;
    assert_eq!(cancelled.status, 200, "{}", cancelled.text());
    assert_eq!(bridge.book("once-more-0123456789", &by("naver", 1)).await.status, 201);
    // The first reply stays what it was.
    assert_eq!(bridge.book(KEY, &by("naver", 1)).await.body, booked.body);
}
