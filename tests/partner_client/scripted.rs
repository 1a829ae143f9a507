//! A bridge that answers as scripted: what a real one does only after days, or to few.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use serde_json::{Value, json};
use slotbridge::partner::pull::{self, Began, Wait};
use slotbridge::partner::{Booked, Effort, Order, PartnerError, Pulled, book};

type Seen = Arc<Mutex<Vec<(String, String, String)>>>;

/// Status, headers, body; `BASE` stands for the address.
type Answer = (u16, Vec<(&'static str, &'static str)>, String);

struct Scripted {
    base: String,
    /// Method and path, Idempotency-Key or If-None-Match, body.
    seen: Seen,
    dir: tempfile::TempDir,
}

async fn scripted(answers: Vec<Answer>) -> Scripted {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let (seen, answers): (Seen, _) = (Seen::default(), Arc::new(Mutex::new(VecDeque::from(answers))));
    let (log, place) = (seen.clone(), base.clone());
    let answer = move |request: Request| {
        let (log, answers, place) = (log.clone(), answers.clone(), place.clone());
        async move {
            let (parts, body) = request.into_parts();
            let tag = parts.headers.get("idempotency-key").or(parts.headers.get("if-none-match"));
            let tag = tag.map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
            let asked = format!("{} {}", parts.method, parts.uri);
            let body = to_bytes(body, 1 << 20).await.unwrap();
            log.lock().unwrap().push((asked, tag, String::from_utf8(body.to_vec()).unwrap()));
            let next = answers.lock().unwrap().pop_front();
            let (status, headers, body) =
                next.unwrap_or((500, vec![], "{\"code\":\"script_over\",\"retry\":\"never\"}".into()));
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value.replace("BASE", &place));
            }
            response.body(Body::from(body.replace("BASE", &place))).unwrap()
        }
    };
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    Scripted { base, seen, dir: tempfile::tempdir().unwrap() }
}

fn feeds() -> Answer {
    (200, vec![], json!({ "feeds": [{ "name": "slots", "mapping": { "id": "naver.slots" } }] }).to_string())
}

fn newest(cursor: &'static str) -> [Answer; 2] {
    let line =
        |id: &str| json!({ "id": id, "state": "updated", "kind": "slot", "modified": 1, "data": {} }).to_string();
    let location = if cursor == "7" { "BASE/v1/feeds/slots/snapshots/7" } else { "BASE/v1/feeds/slots/snapshots/90" };
    let lines =
        if cursor == "7" { format!("{}\n{}\n", line("s-1"), line("s-2")) } else { format!("{}\n", line("s-3")) };
    [(307, vec![("location", location)], String::new()), (200, vec![("sync-cursor", cursor)], lines)]
}

fn page(next: &str, items: Value) -> Answer {
    let body = json!({ "next": next, "items": items, "license": "x" }).to_string();
    (200, vec![("etag", "\"tag\""), ("sync-cursor", "50")], body)
}

fn problem(status: u16, code: &str, retry: &str, after_ms: u64) -> Answer {
    (status, vec![], json!({ "code": code, "retry": retry, "retry_after_ms": after_ms }).to_string())
}

const AT_7: &str = "BASE/v1/feeds/slots?afterChangeNumber=7&limit=5000";
const AT_9: &str = "BASE/v1/feeds/slots?afterChangeNumber=9&limit=5000&walk=7";
const AT_90: &str = "BASE/v1/feeds/slots?afterChangeNumber=90&limit=5000";

async fn pulled(scripted: &Scripted) -> Result<Pulled, PartnerError> {
    let (bridge, store) = crate::bridge(scripted.dir.path(), &scripted.base);
    let listed = pull::listed(&bridge).await?;
    pull::pull(&bridge, &store, &listed["slots"], Wait::No).await
}

fn ids(scripted: &Scripted) -> Vec<String> {
    let (_, store) = crate::bridge(scripted.dir.path(), &scripted.base);
    let mut ids = Vec::new();
    store.each("slots", |id, _: Value| ids.push(id.to_owned())).unwrap();
    ids
}

#[tokio::test]
async fn an_expired_cursor_begins_again_and_what_is_gone_is_gone() {
    let gone = json!([{ "state": "deleted", "kind": "slot", "id": "s-2", "modified": 9 }]);
    let mut answers = vec![feeds()];
    answers.extend(newest("7"));
    answers.extend([page(AT_9, gone), page(AT_9, json!([]))]);
    answers.extend([feeds(), (304, vec![], String::new())]);
    answers.extend([feeds(), problem(410, "cursor_expired", "never", 0)]);
    answers.extend(newest("90"));
    answers.push(page(AT_90, json!([])));
    let scripted = scripted(answers).await;
    let first = pulled(&scripted).await.unwrap();
    assert_eq!((first.began, first.updated, first.deleted, first.items), (Began::Snapshot, 2, 1, 1));
    assert_eq!(ids(&scripted), ["s-1"]);
    let second = pulled(&scripted).await.unwrap();
    assert!(second.not_modified && second.began == Began::AtCursor);
    let asked = scripted.seen.lock().unwrap().last().cloned().unwrap();
    assert_eq!(
        (asked.0.as_str(), asked.1.as_str()),
        ("GET /v1/feeds/slots?afterChangeNumber=9&limit=5000&walk=7", "\"tag\"")
    );
    let third = pulled(&scripted).await.unwrap();
    assert_eq!((third.began, third.items), (Began::SnapshotAfterExpiry, 1));
    assert_eq!(ids(&scripted), ["s-3"]);
}

#[tokio::test]
async fn a_limited_page_is_asked_for_again_and_a_held_one_is_not() {
    let mut answers = vec![feeds()];
    answers.extend(newest("7"));
    answers.extend([problem(429, "rate_limited", "same_key", 5), page(AT_7, json!([]))]);
    answers.extend([feeds(), problem(503, "feed_held", "same_key", 60_000)]);
    let scripted = scripted(answers).await;
    assert_eq!(pulled(&scripted).await.unwrap().items, 2);
    let error = pulled(&scripted).await.unwrap_err();
    assert_eq!(error.code(), "feed_held");
    assert_eq!(ids(&scripted).len(), 2, "what was published last stays");
}

#[tokio::test]
async fn a_link_that_leads_elsewhere_is_not_followed_and_a_damaged_snapshot_changes_nothing() {
    let mut answers = vec![feeds()];
    answers.extend(newest("7"));
    answers.push(page(
        "http://127.0.0.1:1/v1/feeds/slots?afterChangeNumber=9",
        json!([{ "state": "deleted", "id": "s-2", "modified": 9 }]),
    ));
    answers.extend([feeds(), problem(410, "cursor_expired", "never", 0)]);
    let [redirect, (status, headers, _)] = newest("90");
    answers.extend([redirect, (status, headers, "{\"id\":\"s-9\",\"state\":\"upd".into())]);
    let scripted = scripted(answers).await;
    assert_eq!(pulled(&scripted).await.unwrap_err().code(), "foreign_link");
    assert_eq!(pulled(&scripted).await.unwrap_err().code(), "answer");
    assert_eq!(ids(&scripted), ["s-1", "s-2"]);
}

#[tokio::test]
async fn one_key_until_it_is_decided_then_another_for_the_alternative() {
    let full = json!({ "code": "slot_full", "retry": "new_key", "alternatives": [{ "slot_id": "s-2" }] }).to_string();
    let scripted = scripted(vec![
        problem(503, "overloaded", "same_key", 5),
        problem(409, "request_in_progress", "same_key", 5),
        (409, vec![], full),
        problem(429, "rate_limited", "same_key", 5),
        problem(429, "rate_limited", "same_key", 5),
        (201, vec![], json!({ "id": "b-9", "status": "booked" }).to_string()),
    ])
    .await;
    let (bridge, store) = crate::bridge(scripted.dir.path(), &scripted.base);
    let order = Order {
        slot_id: "s-1".into(),
        person: "ppt1.x".into(),
        series: "covid19-1".into(),
        seen_cursor: Some(7),
        partner_ref: None,
        within_km: 5,
    };
    let effort = Effort { tries_max: 3, new_keys_max: 2, wait_max: Duration::from_secs(1) };
    let booked = book::book(&bridge, &store, &order, effort).await.unwrap();
    assert!(matches!(booked, Booked::Accepted { refused_before: 1, .. }), "{booked:?}");
    let seen = scripted.seen.lock().unwrap().clone();
    let sent = |at: usize| (seen[at].1.clone(), seen[at].2.clone());
    assert_eq!((sent(0), sent(0)), (sent(1), sent(2)), "byte for byte");
    assert_eq!((sent(3), sent(3)), (sent(4), sent(5)), "byte for byte");
    assert_ne!(sent(0).0, sent(3).0, "a new key");
    assert!(sent(3).1.contains("s-2"));
    assert_eq!(store.unanswered().unwrap(), []);
}

#[tokio::test]
async fn a_request_without_an_answer_is_taken_up_with_its_key() {
    let lost = problem(503, "not_durable", "same_key", 1);
    let booked = (201, vec![], json!({ "id": "b-9", "status": "booked" }).to_string());
    let scripted = scripted(vec![lost, booked]).await;
    let (bridge, store) = crate::bridge(scripted.dir.path(), &scripted.base);
    let order = Order {
        slot_id: "s-1".into(),
        person: "ppt1.x".into(),
        series: "covid19-1".into(),
        seen_cursor: None,
        partner_ref: None,
        within_km: 5,
    };
    let effort = Effort { tries_max: 1, new_keys_max: 0, wait_max: Duration::ZERO };
    let unknown = book::book(&bridge, &store, &order, effort).await.unwrap();
    assert!(matches!(unknown, Booked::Unknown { .. }), "{unknown:?}");
    drop((bridge, store));
    let (bridge, store) = crate::bridge(scripted.dir.path(), &scripted.base);
    let resumed = book::resume(&bridge, &store, 1).await.unwrap();
    assert!(matches!(resumed.as_slice(), [Booked::Accepted { .. }]), "{resumed:?}");
    let seen = scripted.seen.lock().unwrap().clone();
    assert_eq!((&seen[0].1, &seen[0].2), (&seen[1].1, &seen[1].2));
    assert_eq!(store.unanswered().unwrap(), []);
}
