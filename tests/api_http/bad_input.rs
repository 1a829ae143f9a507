//! Whatever is wrong with a request has its own documented code, reaches no desk and repeats no value.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use slotbridge::answer::Code;
use slotbridge::serve::Rate;

use crate::bookings::{KEY, wish};
use crate::doubles::bridge;

fn with(member: &str, value: Value) -> Vec<u8> {
    let mut body = wish("s-1");
    body[member] = value;
    body.to_string().into_bytes()
}

fn without(member: &str) -> Vec<u8> {
    let mut body = wish("s-1");
    body.as_object_mut().unwrap().remove(member);
    body.to_string().into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_body_has_its_code() {
    let bridge = bridge(|_| ()).await;
    let good = wish("s-1").to_string();
    let token = |text: &str| with("person", json!(text));
    let table: Vec<(&str, Vec<u8>, u16, &str)> = vec![
        ("malformed", b"{\"slot_id\":".to_vec(), 400, "malformed_json"),
        ("empty", Vec::new(), 400, "malformed_json"),
        ("two values", format!("{good}{good}").into_bytes(), 400, "malformed_json"),
        ("nested deeply", vec![b'['; 10_000], 400, "wrong_type"),
        ("a byte order mark", format!("\u{feff}{good}").into_bytes(), 400, "malformed_json"),
        (
            "bad UTF-8",
            good.replace("K-1", "K-\u{fffd}").into_bytes().into_iter().map(latin).collect(),
            400,
            "invalid_utf8",
        ),
        ("unknown member", with("surplus", json!(1)), 400, "unknown_member"),
        (
            "unknown inner member",
            with("alternatives", json!({"max": 1, "within_km": 1, "x": 1})),
            400,
            "unknown_member",
        ),
        ("member twice", good.replacen('{', "{\"series\":\"x\",", 1).into_bytes(), 400, "duplicate_member"),
        ("no slot", without("slot_id"), 400, "missing_member"),
        ("no first_sent_at", without("first_sent_at"), 400, "missing_member"),
        ("number for text", with("series", json!(1)), 400, "wrong_type"),
        ("text for number", with("seen_cursor", json!("5")), 400, "wrong_type"),
        ("array", b"[\"s-1\"]".to_vec(), 400, "wrong_type"),
        ("inner array", with("alternatives", json!([5, 5])), 400, "wrong_type"),
        ("no object", b"null".to_vec(), 400, "wrong_type"),
        ("negative cursor", with("seen_cursor", json!(-1)), 400, "invalid_value"),
        ("huge cursor", with("seen_cursor", json!(1u64 << 53)), 400, "invalid_value"),
        ("bad instant", with("first_sent_at", json!("2026-11-22")), 400, "invalid_value"),
        ("bad series", with("series", json!("가")), 400, "invalid_value"),
        ("bad version", with("accept_version", json!("XY")), 400, "invalid_value"),
        ("too many alternatives", with("alternatives", json!({"max": 11, "within_km": 1})), 400, "invalid_value"),
        ("too wide", with("alternatives", json!({"max": 1, "within_km": 21})), 400, "invalid_value"),
        ("bad reference", with("partner_ref", json!("a b")), 400, "invalid_value"),
        ("telephone number", with("partner_ref", json!("010-1234-5678")), 400, "partner_ref_personal"),
        ("resident number", with("partner_ref", json!("900101-1234567")), 400, "partner_ref_personal"),
        ("unknown slot", with("slot_id", json!("s-none")), 404, "unknown_slot"),
        ("foreign slot id", with("slot_id", json!("90812")), 404, "unknown_slot"),
        ("unpublished slot", with("slot_id", json!("s-hidden")), 404, "unknown_slot"),
        ("forged token", token("ppt1.naver.booking.2611.forged"), 404, "unknown_person_token"),
        ("foreign token", token("ppt1.kakao.booking.2611.person"), 404, "unknown_person_token"),
        ("endless token", token(&"x".repeat(10_000)), 404, "unknown_person_token"),
        ("expired token", token("ppt1.naver.booking.2611.old"), 410, "person_token_expired"),
        ("huge body", with("series", json!("x".repeat(70_000))), 413, "body_too_large"),
    ];
    for (what, body, status, code) in table {
        let got = bridge.send("POST", "/v1/bookings", &[("idempotency-key", KEY)], &body).await;
        assert_eq!(got.status_and_code(), (status, code.to_owned()), "{what}");
    }
    assert_eq!(bridge.asked.load(Ordering::SeqCst), 0, "a bad request reached the desk");
}

/// Breaks the UTF-8 of the replacement character and leaves ASCII alone.
fn latin(byte: u8) -> u8 {
    if byte == 0xbf { 0xff } else { byte }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_sent_at_out_of_range_is_refused_and_not_remembered() {
    let bridge = bridge(|_| ()).await;
    for at in ["2026-11-21T19:59:00+09:00", "2026-11-22T20:02:00+09:00"] {
        for _ in 0..2 {
            let got = bridge
                .send("POST", "/v1/bookings", &[("idempotency-key", KEY)], &with("first_sent_at", json!(at)))
                .await;
            assert_eq!(got.status_and_code(), (422, "request_too_old".into()));
            assert_eq!(got.header("idempotency-replayed"), None);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_header_has_its_code() {
    let bridge = bridge(|_| ()).await;
    let body = wish("s-1").to_string().into_bytes();
    let key = ("idempotency-key", KEY);
    type Row<'a> = (&'a [(&'a str, &'a str)], u16, &'static str);
    let table: [Row<'_>; 16] = [
        (&[], 400, "missing_idempotency_key"),
        (&[("idempotency-key", "short")], 400, "bad_idempotency_key"),
        (&[("idempotency-key", "\"8e03978e-40d5-43dd-bc93")], 400, "bad_idempotency_key"),
        (&[key, key], 400, "bad_idempotency_key"),
        (&[key, ("content-type", "text/plain")], 415, "unsupported_media_type"),
        (&[key, ("content-type", "-")], 415, "unsupported_media_type"),
        (&[key, ("content-type", "application/json; charset=euc-kr")], 415, "unsupported_media_type"),
        (&[key, ("content-encoding", "gzip")], 415, "unsupported_media_type"),
        (&[key, ("content-length", "70000")], 413, "body_too_large"),
        (&[key, ("authorization", "-")], 401, "unauthenticated"),
        (&[key, ("authorization", "Bearer test_nobody")], 401, "unauthenticated"),
        (&[key, ("authorization", "Basic test_naver")], 401, "unauthenticated"),
        (&[key, ("host", "evil.example")], 421, "misdirected_request"),
        (&[key, ("host", "-")], 421, "misdirected_request"),
        (&[key, ("host", "127.0.0.1.evil.example:80")], 421, "misdirected_request"),
        (&[key, ("host", "127.0.0.1"), ("host", "evil.example")], 421, "misdirected_request"),
    ];
    for (headers, status, code) in table {
        let got = bridge.send("POST", "/v1/bookings", headers, &body).await;
        assert_eq!(got.status_and_code(), (status, code.to_owned()), "{headers:?}");
    }
    assert_eq!(bridge.asked.load(Ordering::SeqCst), 0);
    let charset = [key, ("content-type", "application/json; charset=UTF-8")];
    assert_eq!(bridge.send("POST", "/v1/bookings", &charset, &body).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunked_body_is_bounded_too() {
    let bridge = bridge(|_| ()).await;
    let chunk = format!("8000\r\n{}\r\n", "x".repeat(0x8000)).repeat(3);
    let huge = format!("{chunk}0\r\n\r\n");
    let head = [("idempotency-key", KEY), ("content-length", "-"), ("transfer-encoding", "chunked")];
    let got = bridge.send("POST", "/v1/bookings", &head, huge.as_bytes()).await;
    assert_eq!(got.status_and_code(), (413, "body_too_large".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_method_is_told_what_is_allowed() {
    let bridge = bridge(|_| ()).await;
    for (method, path, allow) in [
        ("PUT", "/v1/bookings", "POST"),
        ("GET", "/v1/bookings", "POST"),
        ("POST", "/v1/bookings/b-6", "GET,HEAD,DELETE"),
        ("DELETE", "/v1/feeds/slots", "GET,HEAD"),
        ("PATCH", "/v1/feeds", "GET,HEAD"),
        ("GET", "/v1/persons/token", "POST"),
        ("OPTIONS", "/v1/bookings/search", "POST"),
    ] {
        let got = bridge.send(method, path, &[], b"").await;
        assert_eq!(got.status_and_code(), (405, "method_not_allowed".into()), "{method} {path}");
        assert_eq!(got.header("allow"), Some(allow), "{method} {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_names_nothing_is_a_problem_too() {
    let bridge = bridge(|_| ()).await;
    for (path, code) in [
        ("/", "not_found"),
        ("/v1", "not_found"),
        ("/v1/bookings/", "not_found"),
        ("/v2/feeds", "not_found"),
        ("/v1/feeds/persons", "unknown_feed"),
        ("/v1/feeds/slots/snapshots/x", "unknown_snapshot"),
        ("/v1/feeds/slots/snapshots/51", "unknown_snapshot"),
        ("/problems/none", "not_found"),
    ] {
        assert_eq!(bridge.get(path).await.status_and_code(), (404, code.to_owned()), "{path}");
    }
    assert_eq!(bridge.get("/v1/bookings/%ff").await.status_and_code(), (400, "invalid_utf8".into()));
    // Without a key the path is not even looked up.
    let nobody = bridge.send("GET", "/v1/none", &[("authorization", "-")], b"").await;
    assert_eq!(nobody.status_and_code(), (401, "unauthenticated".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_401_and_a_421_say_nothing_of_our_state() {
    let bridge = bridge(|_| ()).await;
    for headers in [[("authorization", "-")], [("host", "evil.example")]] {
        let got = bridge.send("GET", "/v1/feeds", &headers, b"").await;
        for name in ["sync-cursor", "sync-freshness", "api-version", "sync-environment", "x-request-id", "ratelimit"] {
            assert_eq!(got.header(name), None, "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_authenticated_answer_states_cursor_freshness_version_and_environment() {
    let bridge = bridge(|_| ()).await;
    for (method, path) in [("GET", "/v1/feeds"), ("GET", "/v1/none"), ("PUT", "/v1/feeds"), ("POST", "/v1/bookings")] {
        let got = bridge.send(method, path, &[], b"").await;
        assert_eq!(got.header("sync-cursor"), Some("5"), "{method} {path}");
        let fresh = "lag=140, slo=1000, as-of=@1795345200, full-age=312";
        assert_eq!(got.header("sync-freshness"), Some(fresh), "{method} {path}");
        assert_eq!(got.header("api-version"), Some("2026-11-01"));
        assert_eq!(got.header("sync-environment"), Some("test"));
        assert_eq!(got.header("x-request-id").map(str::len), Some(36));
        assert!(got.header("ratelimit-policy").is_some());
    }
    bridge.clock.0.fetch_add(2_000, Ordering::SeqCst);
    let late = bridge.get("/v1/none").await;
    assert!(late.header("sync-freshness").unwrap().ends_with(", delayed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn over_the_rate_is_429_and_another_partner_is_not_touched() {
    let slow = |settings: &mut slotbridge::serve::Settings| {
        settings.read_rate = Rate { per_s: 1, burst: 3 };
        settings.book_rate = Rate { per_s: 1, burst: 1 };
    };
    let bridge = bridge(slow).await;
    assert_eq!(bridge.book(KEY, &wish("s-1")).await.status, 201);
    // A replay does not reach the desk and costs no booking.
    assert_eq!(bridge.book(KEY, &wish("s-1")).await.status, 201);
    let over = bridge.book("another-0123456789", &wish("s-1")).await;
    assert_eq!(over.status_and_code(), (429, "rate_limited".into()));
    assert_eq!(bridge.get("/v1/feeds/slots").await.status_and_code(), (429, "rate_limited".into()));
    assert!((1..=4).contains(&over.header("retry-after").unwrap().parse::<u32>().unwrap()));
    assert!(over.json()["retry_after_ms"].is_u64());
    let kakao = bridge.send("GET", "/v1/feeds", &[("authorization", "Bearer test_kakao")], b"").await;
    assert_eq!(kakao.status, 200);
    assert_eq!(bridge.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_problem_repeats_what_was_sent() {
    let bridge = bridge(|_| ()).await;
    let canary = "9001011234567";
    for member in ["slot_id", "person", "first_sent_at", "accept_version", "partner_ref"] {
        let got = bridge.send("POST", "/v1/bookings", &[("idempotency-key", KEY)], &with(member, json!(canary))).await;
        assert!(got.status >= 400 && !got.text().contains(canary), "{member}: {}", got.text());
    }
    for member in ["seen_cursor", "alternatives", canary] {
        let got = bridge.send("POST", "/v1/bookings", &[("idempotency-key", KEY)], &with(member, json!(canary))).await;
        assert!(got.status >= 400 && !got.text().contains(canary), "{member}: {}", got.text());
    }
    for path in
        [format!("/v1/feeds/{canary}"), format!("/v1/bookings/{canary}"), format!("/v1/feeds/slots?walk={canary}x")]
    {
        let got = bridge.get(&path).await;
        assert!(got.status >= 400 && !got.text().contains(canary), "{path}: {}", got.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_problem_has_a_page_and_the_type_leads_to_it() {
    let bridge = bridge(|_| ()).await;
    let problem = bridge.get("/v1/none").await.json();
    assert_eq!(problem["type"], json!("https://bridge.example/problems/not-found"));
    for code in Code::ALL {
        let page = bridge.send("GET", &format!("/problems/{}", code.slug()), &[("authorization", "-")], b"").await;
        assert!(page.status == 200 && page.text().contains(code.text_ko()), "{code:?}");
    }
    let docs = bridge.send("GET", "/docs", &[("authorization", "-")], b"").await.text();
    assert!(docs.contains("/v1/bookings/{id}") && Code::ALL.iter().all(|code| docs.contains(code.code())));
    assert!(!docs.contains("http://") && !docs.contains("https://"), "the page fetches something");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_of_a_handler_is_one_500() {
    let bridge = bridge(|_| ()).await;
    assert_eq!(bridge.get("/v1/feeds/panics").await.status_and_code(), (500, "internal".into()));
    assert_eq!(bridge.get("/v1/feeds/broken").await.status_and_code(), (500, "internal".into()));
    assert_eq!(bridge.get("/v1/feeds").await.status, 200);
    let routes: BTreeSet<Option<String>> = bridge.seen.0.lock().unwrap().iter().map(|seen| seen.0.clone()).collect();
    assert_eq!(routes, BTreeSet::from([Some("/v1/feeds/{feed}".into()), Some("/v1/feeds".into())]));
}
