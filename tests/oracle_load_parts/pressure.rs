//! The whole daemon over the double, under partners' traffic: what reads, lookups, refusals and bookings cost.

use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use slotbridge::app::{Approving, Daemon, Source, install_crypto};
use slotbridge::config::{Account, LegacyKind, PersonConstraint};
use slotbridge::demo::{Options, TrafficWanted, stage};
use slotbridge::domain::{PartnerId, PersonNo, PersonRef};
use slotbridge::keys::{Environment, Epochs, KeyFolder, PersonTokens};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use super::{now, secret, wait_until};
use crate::oracle_kit::{Server, artefacts};

const SLOTS: u32 = 2_000;
/// Slots that native selling has sold out.
const FULL: usize = 100;
const CONNECTIONS: u32 = 24;
/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// Requests a second.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// Each of feed reads, slot lookups and refused bookings.
    pub idle_each: u32,
    pub bookings: u32,
}

/// Of one stretch of time.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    pub seconds: f64,
    pub reads: u64,
    pub lookups: u64,
    pub refused: u64,
    pub booked: u64,
    /// By the double: SQL statements, commits and rollbacks.
    pub statements: u64,
    pub ends: u64,
    /// By the bridge's own counter, which counts commits and rollbacks too.
    pub own: u64,
    pub converts: u64,
    pub takes: u64,
    pub transactions: u64,
}

impl Window {
    pub fn per_s(&self) -> f64 {
        (self.statements + self.ends) as f64 / self.seconds
    }

    pub fn requests_per_s(&self) -> f64 {
        (self.reads + self.lookups + self.refused) as f64 / self.seconds
    }
}

pub struct Pressure {
    runtime: Runtime,
    daemon: Option<Daemon>,
    stage: stage::Stage,
    pub server: Server,
    tokens: Arc<PersonTokens>,
    slots: Arc<[String]>,
    full: Arc<[String]>,
    people: u32,
    /// Numbers bookings: a person and a key each.
    next: Arc<AtomicU64>,
    /// Numbers refused requests.
    refused: Arc<AtomicU64>,
}

impl Pressure {
    /// Ready to book for so many persons.
    pub fn new(people: u32) -> Pressure {
        install_crypto();
        let mut stage = scene(people);
        let (slots, full) = prepare(&stage);
        let server = Server::start(&stage.legacy);
        point_at(&mut stage, &server);
        let runtime = Runtime::new().expect("a runtime");
        let daemon = Daemon::start_from(
            &stage.config,
            Source { file: None, approving: Approving::of_demonstration },
            runtime.handle(),
        )
        .expect("the daemon starts");
        let folder = KeyFolder::open(&stage.config.secrets.key_dir).expect("the key folder");
        let text = now().rfc3339();
        let current: u32 = format!("{}{}", &text[2..4], &text[5..7]).parse().expect("a month");
        let epochs = Epochs { current, previous: None };
        let naver = PartnerId::new(stage::PARTNERS[0]).expect("a partner");
        let tokens = PersonTokens::open(&folder, Environment::Test, "booking", epochs, &[naver]).expect("token keys");
        let pressure = Pressure {
            runtime,
            daemon: Some(daemon),
            stage,
            server,
            tokens: Arc::new(tokens),
            slots: slots.into(),
            full: full.into(),
            people,
            next: Arc::default(),
            refused: Arc::default(),
        };
        pressure.warm_up();
        pressure
    }

    fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().expect("it runs until it is dropped")
    }

    /// Until everybody is known and every slot has its first units.
    fn warm_up(&self) {
        let until = Instant::now() + PATIENCE;
        while self.daemon().condition.view.ci().is_none_or(|table| table.len() < self.people as usize) {
            assert!(Instant::now() < until, "the persons are not read");
            wait_until(Instant::now() + Duration::from_millis(50));
        }
        self.quiet(until);
    }

    /// Until write-back has nothing to do.
    fn quiet(&self, until: Instant) {
        let applied = || self.server.counts("INSERT INTO SB_APPLIED%").calls;
        let mut last = (applied(), Instant::now());
        while last.0 == 0 || last.1.elapsed() < Duration::from_millis(1_500) {
            assert!(Instant::now() < until, "write-back does not come to rest");
            wait_until(Instant::now() + Duration::from_millis(50));
            let now = applied();
            if now != last.0 {
                last = (now, Instant::now());
            }
        }
    }

    /// The bridge's own counter: capture's by now, write-back's as its metrics say.
    fn own(&self) -> u64 {
        self.daemon().capture.stats().statements + self.runtime.block_on(written(self.daemon().observe))
    }

    /// Traffic for so long, and then until every booking stands in the legacy system.
    pub fn window(&self, rates: Rates, seconds: u64) -> Window {
        let count = |text: &str| self.server.counts(text).calls;
        let converts = || count("INSERT INTO SB_BOOKING_W%");
        let sent = |kind| self.server.trips(kind);
        let all = || {
            let ends = sent("commit") + sent("rollback");
            let takes = count("UPDATE SB_SLOT_W SET BOOKED_CNT = BOOKED_CNT + %");
            [sent("execute"), ends, self.own(), converts(), takes, count("%FROM SB_FENCE F FOR UPDATE%")]
        };
        let (before, began) = (all(), Instant::now());
        let tally = self.runtime.block_on(self.drive(rates, seconds));
        wait_until(began + Duration::from_secs(seconds));
        let until = Instant::now() + PATIENCE;
        while converts() < before[3] + tally[3] {
            assert!(Instant::now() < until, "bookings are not written back");
            wait_until(Instant::now() + Duration::from_millis(5));
        }
        let (after, seconds) = (all(), began.elapsed().as_secs_f64());
        let [statements, ends, own, converts, takes, transactions] = std::array::from_fn(|i| after[i] - before[i]);
        let [reads, lookups, refused, booked] = tally;
        Window { seconds, reads, lookups, refused, booked, statements, ends, own, converts, takes, transactions }
    }

    async fn drive(&self, rates: Rates, seconds: u64) -> [u64; 4] {
        let tally: Arc<[AtomicU64; 4]> = Arc::default();
        let address = self.daemon().partners_http.expect("a listener");
        let until = Instant::now() + Duration::from_secs(seconds);
        let mut tasks = Vec::new();
        for (kind, rate) in [rates.idle_each, rates.idle_each, rates.idle_each, rates.bookings].into_iter().enumerate()
        {
            let connections = rate.min(CONNECTIONS);
            for _ in 0..connections {
                let next = self.requests(kind, address);
                let every = Duration::from_secs_f64(f64::from(connections) / f64::from(rate));
                tasks.push(tokio::spawn(paced(address, every, until, next, kind, tally.clone())));
            }
        }
        for task in tasks {
            task.await.expect("a connection ends");
        }
        std::array::from_fn(|kind| tally[kind].load(Ordering::Relaxed))
    }

    /// 0 a feed's page or the list of feeds, 1 a slot lookup, 2 a booking that is refused, 3 a booking.
    fn requests(&self, kind: usize, address: SocketAddr) -> impl Fn() -> Vec<u8> + Send + 'static {
        let (key, tokens) = (self.stage.keys[0].clone(), self.tokens.clone());
        let (slots, full, people) = (self.slots.clone(), self.full.clone(), self.people);
        let (next, refused) = (self.next.clone(), self.refused.clone());
        let naver = PartnerId::new(stage::PARTNERS[0]).expect("a partner");
        let book = move |slot: &str, person: u32, name: &str| {
            let token = tokens.token(&naver, PersonRef::Known(PersonNo(person))).expect("a token");
            let body = format!(
                "{{\"slot_id\":\"s-{slot}\",\"person\":\"{token}\",\"series\":\"covid19-1\",\"first_sent_at\":\"{}\"}}",
                now().rfc3339()
            );
            let length = body.len();
            (
                "POST",
                "/v1/bookings".to_owned(),
                format!(
                    "Idempotency-Key: {name}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
                ),
            )
        };
        move || {
            let (method, path, rest) = match kind {
                0 => {
                    // One in ten is a whole page, which is large; the others look whether there is a new one.
                    let n = refused.fetch_add(1, Ordering::Relaxed);
                    let path = if n % 10 == 0 { "/v1/feeds/slots?limit=500" } else { "/v1/feeds" };
                    ("GET", path.to_owned(), "\r\n".to_owned())
                }
                1 => {
                    let n = refused.fetch_add(1, Ordering::Relaxed) as usize;
                    ("GET", format!("/v1/slots/lookup?ids=s-{}", slots[n % slots.len()]), "\r\n".to_owned())
                }
                2 => {
                    // Half want a slot that is full, half are persons who have a booking.
                    let n = refused.fetch_add(1, Ordering::Relaxed);
                    let booked = next.load(Ordering::Relaxed).saturating_sub(200).max(1);
                    match n % 2 {
                        0 => book(&full[n as usize / 2 % full.len()], people, &format!("refused-{n:016}")),
                        _ => {
                            book(&slots[n as usize % slots.len()], 1 + (n % booked) as u32, &format!("refused-{n:016}"))
                        }
                    }
                }
                _ => {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    assert!(n + 1 < u64::from(people), "more bookings than persons");
                    book(&slots[n as usize % slots.len()], 1 + n as u32, &format!("booking-{n:016}"))
                }
            };
            format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {key}\r\n{rest}").into_bytes()
        }
    }
}

impl Drop for Pressure {
    fn drop(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            daemon.stop(self.runtime.handle());
        }
    }
}

fn scene(people: u32) -> stage::Stage {
    let options = Options {
        dir: None,
        slots: SLOTS,
        people,
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
    let stage = stage::set(&options).expect("a scene");
    stage::load_people(&stage.legacy, stage.design, &stage.plan, people).expect("persons");
    stage
}

/// Everybody may book everywhere but where native selling has sold out. Slots with room, and those without.
fn prepare(stage: &stage::Stage) -> (Vec<String>, Vec<String>) {
    let legacy = rusqlite::Connection::open(&stage.legacy).expect("the legacy database");
    legacy
        .execute_batch(
            "DELETE FROM TB_RESV; UPDATE TB_PSN SET STAT_CD = '0';
             UPDATE TB_SLOT SET CAPA_CNT = 900, BOOKED_CNT = 0, STAT_CD = '1', SERIES_CD = 'covid19-1', OPEN_DT = NULL",
        )
        .expect("room");
    let mut select = legacy.prepare("SELECT SLOT_NO FROM TB_SLOT ORDER BY SLOT_NO").expect("slots");
    let slots: Vec<String> =
        select.query_map([], |row| row.get(0)).expect("slots").collect::<Result<_, _>>().expect("slots");
    let full = slots[..FULL].to_vec();
    for slot in &full {
        let sold_out = "UPDATE TB_SLOT SET CAPA_CNT = 5, BOOKED_CNT = 5 WHERE SLOT_NO = ?1";
        legacy.execute(sold_out, [slot]).expect("a full slot");
    }
    (slots[FULL..].to_vec(), full)
}

/// Settings of the shipped defaults where the demonstration has its own, and the double.
fn point_at(stage: &mut stage::Stage, server: &Server) {
    let (secret_file, slot) = (secret(&stage.folder.path), "S1");
    let config = &mut stage.config;
    let data = &config.daemon.data_dir;
    std::fs::DirBuilder::new().mode(0o700).create(data).expect("the data folder");
    let proof = serde_json::json!([{
        "mode": "counter", "maintained_by": "application", "slot": slot, "units": 1, "refused": 1,
        "native_before": 0, "native_after": 0, "verdict": "proved", "at": now().0
    }]);
    std::fs::write(data.join("allotment-proofs.json"), proof.to_string()).expect("a proof of the mode");
    config.legacy.kind = LegacyKind::Oracle;
    config.oracle.connect = server.connect_string();
    config.oracle.client_dir = Some(artefacts().to_owned());
    let account = |name: &str| vec![Account { name: name.to_owned(), secret_file: secret_file.clone() }];
    config.oracle.read_accounts = account("SB_READ");
    config.oracle.write_accounts = account("SB_WRITE");
    // No full cut falls into a window.
    config.capture.full_cut_interval_s = 3_600;
    config.capture.sweep_interval_s = 3_600;
}

/// Sends one request after the other at its pace; what was missed is caught up.
async fn paced(
    address: SocketAddr,
    every: Duration,
    until: Instant,
    next: impl Fn() -> Vec<u8>,
    kind: usize,
    tally: Arc<[AtomicU64; 4]>,
) {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.set_nodelay(true).expect("an option");
    let mut buffer = Vec::with_capacity(1 << 16);
    let mut pace = tokio::time::interval(every);
    loop {
        pace.tick().await;
        if Instant::now() >= until {
            return;
        }
        stream.write_all(&next()).await.expect("a request is sent");
        let status = answer(&mut stream, &mut buffer).await;
        let wanted = [200, 200, 409, 201][kind];
        let is_own = kind == 2 && (400..500).contains(&status) && status != 429;
        assert!(status == wanted || is_own, "kind {kind}: {status} {}", String::from_utf8_lossy(&buffer));
        tally[kind].fetch_add(1, Ordering::Relaxed);
    }
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

/// Statements of write-back as the metrics state them.
async fn written(observe: SocketAddr) -> u64 {
    let mut stream = TcpStream::connect(observe).await.expect("a connection");
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {observe}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("a request is sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("the metrics");
    let line = text.lines().find(|line| line.contains("legacy_statements{by=\"writeback\"}"));
    line.and_then(|line| line.rsplit(' ').next()?.trim().parse().ok()).expect("a counter of statements")
}
