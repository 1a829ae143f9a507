//! Pages, snapshots, cursors.

use serde_json::json;
use slotbridge::domain::Position;

use crate::doubles::bridge;

#[tokio::test(flavor = "multi_thread")]
async fn a_page_carries_its_cursor_and_its_validator() {
    let bridge = bridge(|_| ()).await;
    let page = bridge.get("/v1/feeds/slots").await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("application/json")));
    assert_eq!(page.header("sync-cursor"), Some("41"));
    assert_eq!(page.header("sync-freshness"), Some("lag=140, slo=1000, as-of=@1795345200, full-age=312"));
    assert_eq!(page.header("etag"), Some("\"first\""));
    assert_eq!(page.header("cache-control"), Some("private, no-cache"));
    assert_eq!(page.header("vary"), Some("Accept-Encoding, Prefer"));
    for tag in ["\"first\"", "\"x\", \"first\"", "W/\"first\"", "*"] {
        let held = bridge.send("GET", "/v1/feeds/slots", &[("if-none-match", tag)], b"").await;
        assert_eq!((held.status, held.body.len()), (304, 0), "{tag}");
        assert_eq!((held.header("sync-cursor"), held.header("etag")), (Some("41"), Some("\"first\"")));
    }
    let other = bridge.send("GET", "/v1/feeds/slots", &[("if-none-match", "\"x\"")], b"").await;
    assert_eq!(other.status, 200);
    assert_eq!(bridge.get("/v1/feeds/bookings").await.header("cache-control"), Some("private, no-store"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_future_cursor_gets_the_last_page_and_an_ancient_one_410() {
    let bridge = bridge(|_| ()).await;
    let last = bridge.get("/v1/feeds/slots?afterChangeNumber=9007199254740991&limit=500").await;
    assert_eq!((last.status, &last.json()["items"]), (200, &json!([])));
    assert_eq!(last.header("sync-cursor"), Some("50"));
    let ancient = bridge.get("/v1/feeds/slots?afterChangeNumber=3&limit=500").await;
    assert_eq!(ancient.status_and_code(), (410, "cursor_expired".into()));
    for bad in ["?limit=10", "?limit=500&afterChangeNumber=1", "?afterChangeNumber=01", "?x=1"] {
        let got = bridge.get(&format!("/v1/feeds/slots{bad}")).await;
        assert_eq!(got.status_and_code(), (400, "bad_parameter".into()), "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_has_an_address_of_its_own() {
    let bridge = bridge(|_| ()).await;
    let there = bridge.get("/v1/feeds/slots/snapshot").await;
    assert_eq!(there.status, 307);
    assert_eq!(there.header("location"), Some("https://bridge.example/v1/feeds/slots/snapshots/50"));
    let snapshot = bridge.get("/v1/feeds/slots/snapshots/50").await;
    assert_eq!((snapshot.status, snapshot.header("content-type")), (200, Some("application/x-ndjson")));
    assert_eq!((snapshot.text().as_str(), snapshot.header("sync-cursor")), ("{\"id\":\"s-1\"}\n", Some("50")));
    assert!(snapshot.header("cache-control").unwrap().contains("immutable"));
    let gone = bridge.get("/v1/feeds/slots/snapshots/49").await;
    assert_eq!(gone.status_and_code(), (404, "unknown_snapshot".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_and_metrics_answer_on_loopback_without_a_key() {
    let bridge = bridge(|_| ()).await;
    let ready = bridge.send("GET", "/readyz", &[("authorization", "-")], b"").await;
    assert_eq!((ready.status, ready.text().as_str()), (503, "feeds: first tick\n"));
    assert_eq!(bridge.send("GET", "/metrics", &[("authorization", "-")], b"").await.text(), "# EOF\n");
    assert_eq!(
        bridge.send("GET", "/openapi.json", &[("authorization", "-")], b"").await.json()["openapi"],
        json!("3.1.0")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_page_is_held_until_the_feed_moves() {
    let bridge = bridge(|_| ()).await;
    let target = "/v1/feeds/slots?afterChangeNumber=50&limit=500";
    let prefer = |wait| [("prefer", wait)];
    let at_once = bridge.send("GET", target, &prefer("wait=0"), b"").await;
    assert_eq!((at_once.header("preference-applied"), &at_once.json()["items"]), (Some("wait=0"), &json!([])));
    let wait = prefer("respond-async, wait=99");
    let waiting = bridge.send("GET", target, &wait, b"");
    let moving = async {
        // Moves once somebody listens.
        while bridge.feeds.tick.receiver_count() == 0 {
            tokio::task::yield_now().await;
        }
        bridge.feeds.tick.send_replace(Position(55));
        bridge.feeds.tick.send_replace(Position(60));
    };
    let (got, ()) = tokio::join!(waiting, moving);
    assert_eq!((got.header("preference-applied"), got.header("sync-cursor")), (Some("wait=30"), Some("60")));
    let bad = bridge.send("GET", target, &prefer("wait=soon"), b"").await;
    assert_eq!(bad.status_and_code(), (400, "bad_parameter".into()));
}
