//! Booking, replay, status, cancel, search.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::doubles::bridge;

pub const KEY: &str = "8e03978e-40d5-43dd-bc93-6894a57f9324";

pub fn wish(slot: &str) -> Value {
    json!({
        "slot_id": slot,
        "person": "ppt1.naver.booking.2611.person",
        "series": "covid19-1",
        "first_sent_at": "2026-11-22T20:00:00+09:00",
        "seen_cursor": 5,
        "partner_ref": "K-1",
        "alternatives": {"max": 5, "within_km": 5},
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_booking_is_answered_with_its_address_and_its_cursor() {
    let bridge = bridge(|_| ()).await;
    let got = bridge.book(KEY, &wish("s-1")).await;
    assert_eq!(got.status, 201, "{}", got.text());
    assert_eq!(got.header("content-type"), Some("application/json"));
    assert_eq!(got.header("location"), Some("https://bridge.example/v1/bookings/b-6"));
    assert_eq!(got.header("etag"), Some("\"booked-1-000000ab\""));
    assert_eq!(got.header("sync-cursor"), Some("6"));
    assert_eq!(got.header("cache-control"), Some("private, no-store"));
    assert_eq!(got.header("idempotency-replayed"), None);
    let body = got.json();
    assert_eq!((&body["id"], &body["committed_cursor"]), (&json!("b-6"), &json!(6)));
    assert!(!got.text().contains("ppt1"), "a token stands in a body");

    let read = bridge.get("/v1/bookings/b-6").await;
    assert_eq!((read.status, read.body), (200, got.body));
    let held = bridge.send("GET", "/v1/bookings/b-6", &[("if-none-match", "\"booked-1-000000ab\"")], b"").await;
    assert_eq!((held.status, held.body.len(), held.header("sync-cursor")), (304, 0, Some("6")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_key_gets_the_same_answer_without_the_desk() {
    let bridge = bridge(|_| ()).await;
    for (slot, key) in [("s-1", KEY), ("s-full", "\"0123456789abcdef\"")] {
        let first = bridge.book(key, &wish(slot)).await;
        let asked = bridge.asked.load(Ordering::SeqCst);
        // Other spacing and another order of members are the same request.
        let spaced = serde_json::to_string_pretty(&wish(slot)).unwrap();
        let bare = key.trim_matches('"');
        let again = bridge.send("POST", "/v1/bookings", &[("idempotency-key", bare)], spaced.as_bytes()).await;
        assert_eq!((again.status, &again.body), (first.status, &first.body));
        assert_eq!(again.header("idempotency-replayed"), Some("?1"));
        assert_eq!(again.header("location"), first.header("location"));
        assert_eq!(again.header("content-type"), first.header("content-type"));
        assert_eq!(bridge.asked.load(Ordering::SeqCst), asked);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_key_is_replayed_whatever_its_age() {
    let bridge = bridge(|_| ()).await;
    let first = bridge.book(KEY, &wish("s-1")).await;
    bridge.clock.0.fetch_add(30 * 86_400_000, Ordering::SeqCst);
    let again = bridge.book(KEY, &wish("s-1")).await;
    assert_eq!((again.status, again.body), (201, first.body));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_belongs_to_one_partner_and_one_body() {
    let bridge = bridge(|_| ()).await;
    assert_eq!(bridge.book(KEY, &wish("s-1")).await.status, 201);
    let mut other = wish("s-1");
    other["partner_ref"] = json!("K-2");
    assert_eq!(bridge.book(KEY, &other).await.status_and_code(), (422, "idempotency_key_reused".into()));
    let mut theirs = wish("s-1");
    theirs["person"] = json!("ppt1.kakao.booking.2611.person");
    let headers = [("idempotency-key", KEY), ("authorization", "Bearer test_kakao")];
    let got = bridge.send("POST", "/v1/bookings", &headers, theirs.to_string().as_bytes()).await;
    assert_eq!((got.status, got.header("idempotency-replayed")), (201, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fate_of_a_request_is_told_with_the_reply_first_sent() {
    let bridge = bridge(|_| ()).await;
    let booked = bridge.book(KEY, &wish("s-1")).await;
    let refused = bridge.book("refused-0123456789", &wish("s-full")).await;
    let fate = bridge.get(&format!("/v1/booking-requests/{KEY}")).await.json();
    assert_eq!(fate, json!({"state": "committed", "status": 201, "reply": booked.json()}));
    let fate = bridge.get("/v1/booking-requests/refused-0123456789").await.json();
    assert_eq!(fate, json!({"state": "rejected", "status": 409, "reply": refused.json()}));
    let unknown = bridge.get("/v1/booking-requests/unknown-0123456789").await;
    assert_eq!(unknown.status_and_code(), (404, "unknown_request".into()));
    let bad = bridge.get("/v1/booking-requests/short").await;
    assert_eq!(bad.status_and_code(), (400, "bad_idempotency_key".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_respects_if_match_and_repeats_as_200() {
    let bridge = bridge(|_| ()).await;
    let etag = bridge.book(KEY, &wish("s-1")).await.header("etag").unwrap().to_owned();
    let cancel = async |tag: &str| bridge.send("DELETE", "/v1/bookings/b-6", &[("if-match", tag)], b"").await;
    assert_eq!(cancel("\"other\"").await.status_and_code(), (412, "precondition_failed".into()));
    let done = cancel(&etag).await;
    assert_eq!((done.status, &done.json()["status"]), (200, &json!("cancelled")));
    assert_eq!(done.header("etag"), Some("\"cancelled-1-000000ab\""));
    assert_eq!(cancel("*").await.status, 200);
    assert_eq!(bridge.send("DELETE", "/v1/bookings/b-6", &[], b"").await.body, done.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_partners_booking_is_unknown() {
    let bridge = bridge(|_| ()).await;
    assert_eq!(bridge.book(KEY, &wish("s-1")).await.status, 201);
    for method in ["GET", "DELETE"] {
        for id in ["b-6", "b-7", "b-0", "x", "h-6"] {
            let kakao = [("authorization", "Bearer test_kakao")];
            let got = bridge.send(method, &format!("/v1/bookings/{id}"), &kakao, b"").await;
            assert_eq!(got.status_and_code(), (404, "unknown_booking".into()), "{method} {id}");
        }
    }
    let body = br#"{"ids":["b-6"]}"#;
    let kakao = [("authorization", "Bearer test_kakao")];
    let found = bridge.send("POST", "/v1/bookings/search", &kakao, body).await;
    assert_eq!((found.status, &found.json()["bookings"]), (200, &json!([])));
}

#[tokio::test(flavor = "multi_thread")]
async fn own_bookings_are_found_by_person_reference_and_id() {
    let bridge = bridge(|_| ()).await;
    let booked = bridge.book(KEY, &wish("s-1")).await.json();
    let search = async |body: Value| bridge.send("POST", "/v1/bookings/search", &[], body.to_string().as_bytes()).await;
    for body in [
        json!({"person": "ppt1.naver.booking.2611.person"}),
        json!({"partner_ref": "K-1"}),
        json!({"ids": ["b-9", "b-6"]}),
    ] {
        assert_eq!(search(body).await.json()["bookings"], json!([booked]));
    }
    for body in [json!({"person": "ppt1.naver.booking.2611.nobody"}), json!({"partner_ref": "K-2"})] {
        assert_eq!(search(body).await.json()["bookings"], json!([]));
    }
    let code = async |body: Value| search(body).await.status_and_code();
    assert_eq!(code(json!({})).await, (400, "invalid_value".into()));
    assert_eq!(code(json!({"ids": []})).await, (400, "invalid_value".into()));
    assert_eq!(code(json!({"ids": vec!["b-1"; 101]})).await, (400, "invalid_value".into()));
    assert_eq!(code(json!({"ids": ["x"]})).await, (400, "invalid_value".into()));
    assert_eq!(code(json!({"person": "x"})).await, (404, "unknown_person_token".into()));
    assert_eq!(code(json!({"partner_ref": "010-1234-5678"})).await, (400, "partner_ref_personal".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lookup_shows_published_slots_only() {
    let bridge = bridge(|_| ()).await;
    let got = bridge.get("/v1/slots/lookup?ids=s-1,s-hidden,s-none").await;
    let body = got.json();
    assert_eq!((got.status, got.header("sync-cursor")), (200, Some("5")));
    assert_eq!(body["unknown"], json!(["s-hidden", "s-none"]));
    assert_eq!(body["slots"][0]["slot_id"], json!("s-1"));
    assert_eq!(body["slots"][0]["remaining_bucket"], json!("1-4"));
    for bad in ["", "?ids=", "?ids=a,,b", "?ids=%EA%B0%80", "?x=1", &format!("?ids={}", ["s-1"; 101].join(","))] {
        let got = bridge.get(&format!("/v1/slots/lookup{bad}")).await;
        assert_eq!(got.status_and_code(), (400, "bad_parameter".into()), "{bad}");
    }
    let ahead = bridge.send("GET", "/v1/slots/lookup?ids=s-1", &[("min-cursor", "6")], b"").await;
    assert_eq!(ahead.status_and_code(), (412, "cursor_not_reached".into()));
    let waiting = bridge.send("GET", "/v1/slots/lookup?ids=s-1", &[("min-cursor", "6"), ("prefer", "wait=30")], b"");
    let wish = wish("s-1");
    let (waited, booked) = tokio::join!(waiting, bridge.book(KEY, &wish));
    assert_eq!((waited.status, booked.status), (200, 201));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_desk_cannot_answer_is_told_apart() {
    let bridge = bridge(|settings| settings.reply_ms_max = 100).await;
    let broken = bridge.book(KEY, &wish("s-broken")).await;
    assert_eq!(broken.status_and_code(), (503, "not_durable".into()));
    assert!((1..=4).contains(&broken.header("retry-after").unwrap().parse::<u32>().unwrap()));
    assert_eq!(broken.json()["retry"], json!("same_key"));
    // The four places of the queue are taken by requests that are never answered.
    for n in 0..4 {
        let late = bridge.book(&format!("{KEY}-{n}"), &wish("s-late")).await;
        assert_eq!(late.status_and_code(), (409, "request_in_progress".into()));
    }
    let over = bridge.book(&format!("{KEY}-5"), &wish("s-1")).await;
    assert_eq!(over.status_and_code(), (503, "overloaded".into()));
    assert!(over.header("retry-after").is_some());
    // Health and reads answer all the same.
    assert_eq!(bridge.get("/healthz").await.status, 200);
    assert_eq!(bridge.get("/v1/slots/lookup?ids=s-1").await.status, 200);
}
