//! Bookings a second over HTTP, acknowledged after the sync, beside a bare axum POST that answers the same bytes.
//!
//! One process holds servers and load generator, on the same cores; rounds alternate and medians are compared.
//! `cargo bench --bench http` prints both. `BENCH_SECONDS` is the length of a round (3 s by default).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use slotbridge::app::{Approving, Daemon, Source, install_crypto};
use slotbridge::config::PersonConstraint;
use slotbridge::demo::{Options, TrafficWanted, stage};
use slotbridge::domain::{PartnerId, PersonNo, PersonRef, Timestamp};
use slotbridge::keys::{Environment, Epochs, KeyFolder, PersonTokens};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const SLOTS: u32 = 2_000;
const PEOPLE: u32 = 300_000;
const ROUNDS: usize = 3;
/// Answers of the bare server: as long as a booking's.
const BODY_BYTES: usize = 300;

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock after 1970");
    Timestamp(since.as_millis() as i64)
}

/// What one connection sends next.
type Next = dyn Fn() -> Vec<u8> + Send + Sync;

/// Sends requests one after the other over `connections` for the time given; returns answers by status class.
async fn load(address: SocketAddr, connections: usize, seconds: u64, next: Arc<Next>) -> (u64, u64, f64) {
    let (made, other) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let began = Instant::now();
    let until = began + Duration::from_secs(seconds);
    let tasks: Vec<_> = (0..connections)
        .map(|_| {
            let (made, other, next) = (made.clone(), other.clone(), next.clone());
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(address).await.expect("a connection");
                stream.set_nodelay(true).expect("an option");
                let mut buffer = Vec::with_capacity(4096);
                while Instant::now() < until {
                    stream.write_all(&next()).await.expect("a request is sent");
                    let status = answer(&mut stream, &mut buffer).await;
                    let class = if status == 201 { &made } else { &other };
                    class.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a connection ends");
    }
    (made.load(Ordering::Relaxed), other.load(Ordering::Relaxed), began.elapsed().as_secs_f64())
}

/// Reads one answer with a Content-Length; returns its status.
async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> u16 {
    buffer.clear();
    loop {
        let read = stream.read_buf(buffer).await.expect("an answer");
        assert!(read > 0, "the server closed the connection");
        let Some(head) = buffer.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
        let text = std::str::from_utf8(&buffer[..head]).expect("ASCII headers").to_ascii_lowercase();
        let length = text.split("content-length:").nth(1).and_then(|rest| rest.lines().next()).map(str::trim);
        let length: usize = length.and_then(|l| l.parse().ok()).expect("a Content-Length");
        while buffer.len() < head + 4 + length {
            assert!(stream.read_buf(buffer).await.expect("a body") > 0);
        }
        return text[9..12].parse().expect("a status");
    }
}

async fn bare() -> SocketAddr {
    let body = "x".repeat(BODY_BYTES);
    let app = axum::Router::new().route(
        "/v1/bookings",
        axum::routing::post(move |request: axum::body::Bytes| async move {
            assert!(!request.is_empty());
            (http::StatusCode::CREATED, body)
        }),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

fn scene() -> stage::Stage {
    let options = Options {
        dir: None,
        slots: SLOTS,
        people: PEOPLE,
        seed: 7,
        seconds: None,
        traffic: TrafficWanted::No,
        import: None,
        person_constraint: PersonConstraint::Unique,
        legacy: slotbridge::demo::Legacy::Sqlite,
        mode: slotbridge::domain::AllotmentMode::Counter,
        maintained: slotbridge::config::Maintained::Application,
        body: slotbridge::config::Body::Sql,
        vices: false,
        faults: false,
        port: 0,
    };
    let mut stage = stage::set(&options).expect("a scene");
    stage::load_people(&stage.legacy, stage.design, &stage.plan, PEOPLE).expect("persons");
    let legacy = rusqlite::Connection::open(&stage.legacy).expect("the legacy database");
    // Room for everybody: the decision is measured, not the refill.
    legacy.execute_batch("UPDATE TB_SLOT SET CAPA_CNT = 900, STAT_CD = '1', SERIES_CD = 'covid19-1'").expect("room");
    let desk = &mut stage.config.desk;
    (desk.prewarm_units, desk.prewarm_per_s_max, desk.refill_high) = (64, 2_000, 64);
    desk.refill_low = 32;
    stage.config.intake.requests_per_s_max = 10_000_000;
    stage
}

fn main() {
    install_crypto();
    let seconds: u64 = std::env::var("BENCH_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(3);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let stage = scene();
    let began = Instant::now();
    let daemon = Daemon::start_from(
        &stage.config,
        Source { file: None, approving: Approving::of_demonstration },
        runtime.handle(),
    )
    .expect("the daemon starts");
    while daemon.condition.view.ci().is_none_or(|table| table.len() < PEOPLE as usize) {
        std::thread::sleep(Duration::from_millis(50));
    }
    println!("daemon with {SLOTS} slots and {PEOPLE} persons ready after {:.1} s", began.elapsed().as_secs_f64());
    std::thread::sleep(Duration::from_secs(5));
    let address = daemon.partners_http.expect("a listener");
    let requests = requests(&stage, address);
    let plain = runtime.block_on(bare());
    let fixed: Arc<Next> = {
        let sample = requests();
        Arc::new(move || sample.clone())
    };
    for connections in [64, 256] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let (made, other, took) = runtime.block_on(load(plain, connections, seconds, fixed.clone()));
            assert_eq!(other, 0, "the bare server always answers 201");
            theirs.push(made as f64 / took);
            let (made, other, took) = runtime.block_on(load(address, connections, seconds, requests.clone()));
            ours.push((made as f64 / took, other as f64 / took));
        }
        theirs.sort_by(f64::total_cmp);
        ours.sort_by(|a, b| a.0.total_cmp(&b.0));
        let ((booked, refused), peer) = (ours[ROUNDS / 2], theirs[ROUNDS / 2]);
        println!(
            "{connections} connections: {booked:.0} bookings/s (+ {refused:.0} refused/s), bare axum {peer:.0}/s, ratio {:.2}",
            booked / peer
        );
    }
    daemon.stop(runtime.handle());
}

/// Bookings of one person each, spread over all slots, with new keys.
fn requests(stage: &stage::Stage, address: SocketAddr) -> Arc<Next> {
    let folder = KeyFolder::open(&stage.config.secrets.key_dir).expect("the key folder");
    let naver = PartnerId::new("naver").expect("a partner");
    let text = now().rfc3339();
    let current: u32 = format!("{}{}", &text[2..4], &text[5..7]).parse().expect("a month");
    let epochs = Epochs { current, previous: None };
    let tokens = PersonTokens::open(&folder, Environment::Test, "booking", epochs, std::slice::from_ref(&naver))
        .expect("token keys");
    let legacy = rusqlite::Connection::open(&stage.legacy).expect("the legacy database");
    let mut select = legacy.prepare("SELECT SLOT_NO FROM TB_SLOT").expect("slots");
    let slots: Vec<String> =
        select.query_map([], |row| row.get(0)).expect("slots").collect::<Result<_, _>>().expect("slots");
    let key = stage.keys[0].clone();
    let counter = AtomicUsize::new(0);
    Arc::new(move || {
        let n = counter.fetch_add(1, Ordering::Relaxed);
        let person = PersonRef::Known(PersonNo(1 + (n as u32 % PEOPLE)));
        let token = tokens.token(&naver, person).expect("a token");
        let slot = &slots[n % slots.len()];
        let body = format!(
            "{{\"slot_id\":\"s-{slot}\",\"person\":\"{token}\",\"series\":\"covid19-1\",\"first_sent_at\":\"{}\",\"partner_ref\":\"K-{n}\"}}",
            now().rfc3339()
        );
        format!(
            "POST /v1/bookings HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\nIdempotency-Key: bench-{n:016}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    })
}
