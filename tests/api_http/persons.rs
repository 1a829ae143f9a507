//! Person tokens.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use slotbridge::domain::{PersonNo, PersonRef};
use slotbridge::view::CiTableBuilder;

use crate::doubles::{Bridge, NOW, bridge, naver};
use crate::wire::Got;

const CI: &str = "Y2ktb2Ytc29tZWJvZHktd2hvLWlzLXJlZ2lzdGVyZWQ=";
const STRANGER: &str = "Y2ktb2Ytc29tZWJvZHktd2hvLWlzLW5vdC1rbm93bg==";

async fn ask(bridge: &Bridge, body: Value) -> Got {
    bridge.send("POST", "/v1/persons/token", &[], body.to_string().as_bytes()).await
}

fn load(bridge: &Bridge) {
    let mut table = CiTableBuilder::new().unwrap();
    table.add(CI.as_bytes(), PersonNo(7));
    bridge.view.set_ci(table.build().0);
}

#[tokio::test(flavor = "multi_thread")]
async fn known_and_unknown_persons_get_answers_of_one_shape() {
    let bridge = bridge(|_| ()).await;
    load(&bridge);
    let known = ask(&bridge, json!({"ci": CI, "receipt": "r-1"})).await;
    let unknown = ask(&bridge, json!({"ci": STRANGER, "receipt": "r-2", "guardian": CI})).await;
    assert_eq!(known.status, 200, "{}", known.text());
    let body =
        json!({"person": "ppt1.naver.booking.2611.person", "epoch": 2611, "expires_at": "2026-11-23T20:00:01+09:00"});
    assert_eq!(known.json(), body);
    let keys = |got: &Got| got.json().as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!((unknown.status, keys(&unknown)), (200, keys(&known)));
    assert_eq!(known.body.len(), unknown.body.len());
    assert_eq!(known.header("cache-control"), Some("private, no-store"));
    assert!(![known.text(), unknown.text()].iter().any(|text| text.contains(CI)));
    let records = bridge.evidence.records.lock().unwrap();
    let persons: Vec<PersonRef> = records.iter().map(|record| record.person).collect();
    assert_eq!(persons, [PersonRef::Known(PersonNo(7)), PersonRef::Nobody(99)]);
    assert!(records.iter().all(|record| record.partner == naver() && record.at == NOW && record.epoch == 2611));
}

#[tokio::test(flavor = "multi_thread")]
async fn until_the_table_is_loaded_the_route_is_not_ready() {
    let bridge = bridge(|_| ()).await;
    let early = ask(&bridge, json!({"ci": CI, "receipt": "r-1"})).await;
    assert_eq!(early.status_and_code(), (503, "not_ready".into()));
    assert!(early.header("retry-after").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_does_not_hold_is_refused_before_the_desk() {
    let bridge = bridge(|_| ()).await;
    load(&bridge);
    for (body, status, code) in [
        (json!({"ci": CI, "receipt": "forged"}), 403, "receipt_invalid"),
        (json!({"ci": CI, "receipt": "old"}), 403, "receipt_expired"),
        (json!({"ci": "short", "receipt": "r"}), 400, "invalid_value"),
        (json!({"ci": CI, "receipt": ""}), 400, "invalid_value"),
        (json!({"ci": CI, "receipt": "r", "guardian": "x"}), 400, "invalid_value"),
        (json!({"ci": CI, "receipt": "r", "guardian": CI}), 400, "invalid_value"),
        (json!({"ci": CI}), 400, "missing_member"),
        (json!({"ci": CI, "receipt": "r", "name": "x"}), 400, "unknown_member"),
        (json!({"ci": 7, "receipt": "r"}), 400, "wrong_type"),
    ] {
        assert_eq!(ask(&bridge, body).await.status_and_code(), (status, code.to_owned()));
    }
    assert_eq!(bridge.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_access_record_no_token_is_given_out() {
    let bridge = bridge(|_| ()).await;
    load(&bridge);
    bridge.evidence.is_broken.store(true, Ordering::SeqCst);
    let got = ask(&bridge, json!({"ci": CI, "receipt": "r-1"})).await;
    assert_eq!(got.status_and_code(), (503, "not_durable".into()));
    assert!(!got.text().contains("ppt1"));
}
