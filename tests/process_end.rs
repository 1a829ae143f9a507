//! How the process ends: a stop under load loses nothing acknowledged, and a data folder has one owner.

mod daemon_kit;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use daemon_kit::{PATIENCE, Partner, Reply, Scene};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use slotbridge::domain::Timestamp;
use slotbridge::legacy::sqlite::recount::recount;

const STOP_WITHIN: Duration = Duration::from_secs(5);
const SLOTS: u32 = 60;
const PEOPLE: u32 = 600;
const CLIENTS: usize = 8;
const POLLS: usize = 12;
const SERIES: &str = "covid19-1";
/// Answered bookings before the stop.
const ENOUGH: u64 = 40;

struct Asked {
    key: String,
    body: Value,
    reply: Reply,
}

fn now() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    Timestamp(since.as_millis() as i64).rfc3339()
}

/// Open slots of the series, once they are published.
async fn slots(scene: &Scene) -> Vec<String> {
    let found = scene.published("slots", |slots| slots.len() > SLOTS as usize / 2).await;
    let bookable = |data: &Value| data["status"] == "open" && data["series"] == SERIES;
    found.into_iter().filter(|(_, data)| bookable(data)).map(|(id, _)| id).collect()
}

/// Books for every eighth person until the daemon is gone; keeps what was answered.
async fn trade(
    scene: Arc<Scene>,
    number: usize,
    slots: Arc<Vec<String>>,
    asked: Arc<Mutex<Vec<Asked>>>,
    done: Arc<AtomicU64>,
    gone: Arc<AtomicBool>,
) {
    let partner = scene.client(0);
    for person in (1..=PEOPLE).skip(number).step_by(CLIENTS) {
        let ci = scene.ci(person);
        let receipt = (scene.stage.consent)(&partner.name, SERIES, &ci).expect("a receipt");
        let call = json!({ "ci": ci, "receipt": receipt });
        let Ok((200, bytes)) = partner.send(Method::POST, "/v1/persons/token", None, Some(&call)).await else {
            if gone.load(Ordering::Relaxed) {
                return;
            }
            continue;
        };
        let token: Value = serde_json::from_slice(&bytes).expect("JSON");
        let slot = &slots[person as usize % slots.len()];
        let body = json!({ "slot_id": slot, "person": token["person"], "series": SERIES, "first_sent_at": now() });
        let key = format!("stop-{person:012}");
        if let Ok(reply) = partner.send(Method::POST, "/v1/bookings", Some(&key), Some(&body)).await
            && !matches!(reply.0, 429 | 503)
        {
            asked.lock().expect("no one panicked").push(Asked { key, body, reply });
            done.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A read that is held for half a minute while nothing comes.
async fn poll(partner: Partner, path: String) -> Option<StatusCode> {
    let request = partner.http.get(format!("{}{path}", partner.base)).bearer_auth(&partner.key);
    let request = request.header("prefer", "wait=30").header("min-cursor", "9000000000");
    request.send().await.ok().map(|response| response.status())
}

/// A connection that never says the rest of its request.
fn half_said(scene: &Scene, text: &str) -> TcpStream {
    let address = scene.stage.base.strip_prefix("http://").expect("plain HTTP");
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.write_all(text.as_bytes()).expect("it is taken");
    stream.set_read_timeout(Some(PATIENCE)).expect("it can be set");
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_under_load_takes_5_s_at_most_and_loses_nothing_acknowledged() {
    let scene = Arc::new(Scene::new(75, SLOTS, PEOPLE));
    let mut process = scene.spawn();
    scene.ready(&mut process).await;
    scene.token(&scene.client(0), 1, SERIES).await;
    let slots = Arc::new(slots(&scene).await);
    assert!(slots.len() > 3, "{} slots are open", slots.len());
    let (asked, done, gone): (Arc<Mutex<Vec<Asked>>>, Arc<AtomicU64>, Arc<AtomicBool>) = Default::default();
    // Polls first: nothing is behind these cursors, so they are still held when the stop comes.
    let ids = slots[..2].join(",");
    let far = |n: usize| match n % 2 {
        0 => format!("/v1/feeds/slots?afterChangeNumber={}&limit=500", 9_000_000_000_u64 + n as u64),
        _ => format!("/v1/slots/lookup?ids={ids}"),
    };
    let polls: Vec<_> = (0..POLLS).map(|n| tokio::spawn(poll(scene.client(n % 2), far(n)))).collect();
    let mut half = vec![half_said(&scene, "GET /v1/feeds HTTP/1.1\r\nHost: 127"), half_said(&scene, "")];
    half.push(half_said(&scene, &format!(
        "POST /v1/bookings HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nIdempotency-Key: half-000000000001\r\n\
         Content-Type: application/json\r\nContent-Length: 500\r\n\r\n{{\"slot_id\":",
        scene.stage.base.trim_start_matches("http://"), scene.stage.keys[0]
    )));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| tokio::spawn(trade(scene.clone(), n, slots.clone(), asked.clone(), done.clone(), gone.clone())))
        .collect();
    let until = Instant::now() + PATIENCE;
    while done.load(Ordering::Relaxed) < ENOUGH {
        assert!(Instant::now() < until, "no answers come:\n{}", scene.log());
        tokio::task::yield_now().await;
    }
    assert!(polls.iter().all(|poll| !poll.is_finished()), "a poll was not held");
    let began = Instant::now();
    gone.store(true, Ordering::Relaxed);
    let code = tokio::task::spawn_blocking(move || process.stop()).await.expect("the wait ends");
    let took = began.elapsed();
    assert_eq!(code, Some(0), "{}", scene.log());
    assert!(took < STOP_WITHIN, "{took:?}\n{}", scene.log());
    for client in clients {
        client.await.expect("a client ends");
    }
    for poll in polls {
        let status = poll.await.expect("a poll ends");
        // Held reads are let go with an answer.
        assert!(matches!(status.map(|status| status.as_u16()), Some(200 | 412)), "{status:?}");
    }
    for mut stream in half {
        let mut rest = Vec::new();
        // Closed or reset, but not left open.
        let _ = stream.read_to_end(&mut rest);
        assert!(!rest.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&rest));
    }
    let acknowledged = asked_again(&scene, &asked).await;
    println!("process_end: stopped in {took:?}, {acknowledged} acknowledged bookings stand");
    let log = scene.log();
    assert!(!log.contains("ERROR") && !log.contains("not end in time"), "{log}");
}

/// Starts again and repeats every request that was answered: each gets the same answer, and what was booked stands.
async fn asked_again(scene: &Scene, asked: &Mutex<Vec<Asked>>) -> usize {
    let mut process = scene.spawn();
    scene.ready(&mut process).await;
    let client = scene.client(0);
    let asked = std::mem::take(&mut *asked.lock().expect("no one panicked"));
    let mut acknowledged = 0;
    for Asked { key, body, reply } in asked {
        let again = client.send(Method::POST, "/v1/bookings", Some(&key), Some(&body)).await.expect("an answer");
        assert_eq!(again, reply, "{key}");
        if reply.0 == 201 {
            acknowledged += 1;
            let booking: Value = serde_json::from_slice(&reply.1).expect("JSON");
            let id = booking["id"].as_str().expect("an id");
            let (status, booking) = client.get(&format!("/v1/bookings/{id}")).await;
            assert_eq!((status, &booking["status"]), (200, &json!("booked")), "{booking}");
        }
    }
    assert!(acknowledged > 0, "nothing was booked");
    assert_eq!(process.stop(), Some(0), "{}", scene.log());
    let found = recount(&scene.stage.legacy).expect("a recount");
    assert_eq!((found.oversold.len(), found.booked_twice.len()), (0, 0), "{:?}", found.oversold);
    acknowledged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_run_on_the_same_data_folder_exits_75_and_harms_nothing() {
    let scene = Scene::new(76, SLOTS, 50);
    let mut process = scene.spawn();
    scene.ready(&mut process).await;
    let mut second = scene.spawn();
    let status = tokio::task::spawn_blocking(move || second.0.wait().expect("it ends")).await.expect("the wait ends");
    assert_eq!(status.code(), Some(75), "{}", scene.log());
    assert!(scene.log().contains("data_dir_in_use"), "{}", scene.log());
    let (status, feeds) = scene.client(0).get("/v1/feeds").await;
    assert_eq!(status, 200, "{feeds}");
    assert_eq!(process.stop(), Some(0), "{}", scene.log());
}
