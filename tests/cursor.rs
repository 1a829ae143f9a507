//! `committed_cursor`, from a real 201 to a real feed: whoever has followed `next` to a last page whose `Sync-Cursor`
//! has reached it holds the booking. Also after the process was killed.

mod daemon_kit;

use std::collections::BTreeSet;

use daemon_kit::{Partner, Scene};
use reqwest::Method;
use serde_json::{Value, json};
use slotbridge::domain::Timestamp;

const BOOKINGS: u32 = 12;

fn now() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp(since.as_millis() as i64).rfc3339()
}

/// Follows the bookings feed from its beginning until a last page has reached `cursor`; the ids it held by then.
async fn harvest_to(partner: &Partner, cursor: u64) -> BTreeSet<String> {
    let mut held = BTreeSet::new();
    let mut url = format!("{}/v1/feeds/bookings?limit=500", partner.base);
    let until = std::time::Instant::now() + daemon_kit::PATIENCE;
    loop {
        // A held request: the feed answers as soon as it moves.
        let request = partner.http.get(&url).bearer_auth(&partner.key).header("prefer", "wait=2");
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        let reached: u64 = response.headers()["sync-cursor"].to_str().unwrap().parse().unwrap();
        let page: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        let items = page["items"].as_array().unwrap();
        held.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        if items.is_empty() && reached >= cursor {
            return held;
        }
        assert!(std::time::Instant::now() < until, "the feed never reaches {cursor}, only {reached}");
        url = page["next"].as_str().unwrap().to_owned();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_last_page_that_reached_committed_cursor_holds_the_booking() {
    let scene = Scene::new(5, 200, 1_000);
    let partner = scene.client(0);
    let mut process = scene.spawn();
    scene.ready(&mut process).await;
    let slots = scene.published("slots", |items| items.len() > 20).await;
    let open: Vec<(&String, &Value)> = slots.iter().filter(|(_, data)| data["status"] == "open").collect();
    let mut booked = Vec::new();
    let mut tried = 0;
    while booked.len() < BOOKINGS as usize {
        tried += 1;
        assert!(tried < 900, "too few bookings are possible");
        let (slot, data) = open[tried % open.len()];
        let series = data["series"].as_str().unwrap();
        let person = scene.token(&partner, tried as u32, series).await;
        let body = json!({ "slot_id": slot, "person": person, "series": series, "first_sent_at": now() });
        let key = format!("cursor-test-{tried:08}");
        let (status, bytes) = partner.send(Method::POST, "/v1/bookings", Some(&key), Some(&body)).await.unwrap();
        if status != 201 {
            continue;
        }
        let booking: Value = serde_json::from_slice(&bytes).unwrap();
        let (id, cursor) = (booking["id"].as_str().unwrap().to_owned(), booking["committed_cursor"].as_u64().unwrap());
        let held = harvest_to(&partner, cursor).await;
        assert!(held.contains(&id), "a last page reached {cursor} without {id}");
        booked.push((id, cursor));
        if booked.len() == BOOKINGS as usize / 2 {
            process.kill();
            process = scene.spawn();
            scene.ready(&mut process).await;
        }
    }
    let newest = booked.iter().map(|(_, cursor)| *cursor).max().unwrap();
    let held = harvest_to(&partner, newest).await;
    assert!(booked.iter().all(|(id, _)| held.contains(id)), "a booking left the feed");
}
