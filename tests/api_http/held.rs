//! What partners read while data is held.

use serde_json::json;
use slotbridge::domain::Timestamp;
use slotbridge::publish::{Hold, HoldReason, Served};

use crate::bookings::{KEY, wish};
use crate::doubles::{Bridge, NOW, bridge};
use crate::golden::check;

fn hold(bridge: &Bridge, feed: &str, reason: HoldReason, served: Served) {
    let hold =
        Hold { reason, text: "SB_SLOT: SECRET_COL is not in the catalogue".into(), since: Timestamp(NOW.0), served };
    bridge.feeds.held.lock().unwrap().insert(feed.to_owned(), hold);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_that_is_not_served_is_refused_on_every_route_of_it() {
    let bridge = bridge(|_| ()).await;
    hold(&bridge, "slots", HoldReason::Approval, Served::NotAtAll);
    let page = bridge.get("/v1/feeds/slots").await;
    assert_eq!((page.status, page.header("retry-after")), (503, Some("60")));
    assert_eq!(page.header("content-type"), Some("application/problem+json"));
    check("feed_held.json", &format!("{}\n", page.text()));
    for path in ["/v1/feeds/slots?afterChangeNumber=41", "/v1/slots/lookup?ids=s-1"] {
        let got = bridge.get(path).await;
        assert_eq!(got.status_and_code(), (503, "feed_held".into()), "{path}");
        assert_eq!(got.json()["reason"], "approval");
    }
    let bookings = bridge.get("/v1/feeds/bookings").await;
    assert_eq!(bookings.status, 200, "another feed goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_that_stands_still_is_served_and_says_why_and_nothing_is_looked_up() {
    let bridge = bridge(|_| ()).await;
    hold(&bridge, "slots", HoldReason::Drift, Served::LastState);
    assert_eq!(bridge.get("/v1/feeds/slots").await.status, 200);
    let list = bridge.get("/v1/feeds").await;
    check("feeds_held.json", &format!("{}\n", list.text()));
    assert!(!list.text().contains("SECRET_COL"), "partners learn nothing about the view");
    let looked = bridge.get("/v1/slots/lookup?ids=s-1").await;
    assert_eq!(
        (looked.status_and_code(), looked.json()["reason"].clone()),
        ((503, "feed_held".into()), json!("drift"))
    );
    let booked = bridge.book(KEY, &wish("s-1")).await;
    assert_eq!(booked.status, 201, "bookings go on: {}", booked.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn bookings_that_are_held_are_not_searched_and_give_no_tokens_but_can_be_cancelled() {
    let bridge = bridge(|_| ()).await;
    let booked = bridge.book(KEY, &wish("s-1")).await;
    let id = booked.json()["id"].as_str().unwrap().to_owned();
    let (path, search) = (format!("/v1/bookings/{id}"), json!({ "ids": [id] }).to_string());
    let token = json!({ "ci": "Y2ktb2Ytc29tZWJvZHktd2hvLWlzLXJlZ2lzdGVyZWQ=", "receipt": "r-1" }).to_string();
    for (served, tokens) in [(Served::LastState, "not_ready"), (Served::NotAtAll, "feed_held")] {
        hold(&bridge, "bookings", HoldReason::Approval, served);
        let found = bridge.send("POST", "/v1/bookings/search", &[], search.as_bytes()).await;
        assert_eq!(found.status_and_code(), (503, "feed_held".into()));
        let given = bridge.send("POST", "/v1/persons/token", &[], token.as_bytes()).await;
        assert_eq!(given.status_and_code(), (503, tokens.into()), "{served:?}");
        let read = bridge.get(&path).await;
        assert_eq!(read.status, 200);
        assert_eq!(read.json()["status"].is_null(), served == Served::NotAtAll, "{}", read.text());
        assert_eq!((read.json()["id"].clone(), read.json()["committed_cursor"].is_null()), (json!(id), false));
    }
    assert_eq!(bridge.send("DELETE", &path, &[], b"").await.status, 200);
}
