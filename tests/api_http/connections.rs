//! Slow and idle callers are cut by deadlines, and the others do not notice.

use std::sync::atomic::Ordering;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::bookings::{KEY, wish};
use crate::doubles::bridge;
use crate::wire::{parse, request};

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_drips_is_answered_408_and_the_connection_closed() {
    let bridge = bridge(|settings| settings.body_ms_max = 100).await;
    let body = wish("s-1").to_string();
    let whole = request("POST", "/v1/bookings", &[("idempotency-key", KEY)], body.as_bytes());
    let mut stream = bridge.connect().await;
    stream.write_all(&whole[..whole.len() - 5]).await.unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.unwrap();
    let got = parse(&all);
    assert_eq!(got.status_and_code(), (408, "request_timeout".into()));
    assert_eq!(got.header("connection"), Some("close"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_never_ends_is_cut() {
    let bridge = bridge(|settings| settings.header_ms_max = 100).await;
    let mut stream = bridge.connect().await;
    stream.write_all(b"GET /v1/feeds HTTP/1.1\r\nhost: 127.0").await.unwrap();
    assert_eq!(rest(&mut stream).await, b"");
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_are_bounded_in_number_and_size() {
    let bridge = bridge(|_| ()).await;
    let many: Vec<(String, &str)> = (0..100).map(|n| (format!("x-{n}"), "1")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    assert_eq!(bridge.send("GET", "/v1/feeds", &many, b"").await.status, 431);
    let long = "x".repeat(20_000);
    assert_eq!(bridge.send("GET", "/v1/feeds", &[("x-long", &long)], b"").await.status, 431);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_idle_connections_are_closed_and_a_caller_is_still_served() {
    let bridge = bridge(|settings| {
        settings.header_ms_max = 50;
        settings.connections_max = 512;
    })
    .await;
    let mut idle = Vec::new();
    for _ in 0..2_000 {
        idle.push(TcpStream::connect(bridge.address).await.unwrap());
    }
    assert_eq!(bridge.get("/v1/feeds").await.status, 200);
    for mut stream in idle {
        assert_eq!(rest(&mut stream).await, b"");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_connection_is_used_again_and_closed_when_idle() {
    let bridge = bridge(|settings| settings.header_ms_max = 100).await;
    let mut stream = bridge.connect().await;
    for _ in 0..2 {
        let whole = request("GET", "/healthz", &[], b"");
        let text = String::from_utf8(whole).unwrap().replace("connection: close\r\n", "");
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut got = Vec::new();
        while !got.ends_with(b"\r\n\r\nok\n") {
            assert_ne!(stream.read_buf(&mut got).await.unwrap(), 0);
        }
    }
    assert_eq!(rest(&mut stream).await, b"");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lets_an_open_request_finish_and_closes_what_is_idle() {
    let mut bridge = bridge(|settings| settings.reply_ms_max = 300).await;
    let mut idle = bridge.connect().await;
    let wish = wish("s-late");
    let open = bridge.book(KEY, &wish);
    let stop = async {
        while bridge.asked.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        bridge.stop.cancel();
    };
    let (got, ()) = tokio::join!(open, stop);
    assert_eq!(got.status_and_code(), (409, "request_in_progress".into()));
    assert_eq!(rest(&mut idle).await, b"");
    bridge.running.take().unwrap().await.unwrap();
    assert!(TcpStream::connect(bridge.address).await.is_err());
}

/// What still comes until the other side closes; a reset is a close.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all).await;
    all
}
