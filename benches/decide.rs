//! Durable decisions a second, without HTTP: desk and ledger against PostgreSQL deciding the same in batches of 100.
//!
//! Both sides take the same requests (all keys new, one person each), refuse a person or key that is known, take a
//! unit of the slot, and store a 300-byte reply before they answer, with a synced log. `cargo bench --bench decide`
//! prints both in one run. PostgreSQL comes from the Debian package, on loopback, in a temporary folder.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use slotbridge::decide::*;
use slotbridge::domain::*;
use slotbridge::durable::{Answer, Render, Rendered, Submission};
use slotbridge::ledger::{Committer, Expected, Ledger, Settings};

const BATCH: usize = 100;
const REPLY_BYTES: usize = 300;

struct Words;

impl Render for Words {
    fn render(&self, _: &PartnerId, outcome: &Outcome) -> Rendered {
        let status = if matches!(outcome, Outcome::Booked { .. }) { 201 } else { 409 };
        Rendered { status, body: Bytes::from(vec![b'x'; REPLY_BYTES]) }
    }
}

fn series() -> SeriesId {
    SeriesId::new("covid19-1").expect("a valid series")
}

fn slot_key(n: usize) -> SlotKey {
    SlotKey::new(&format!("S{n}")).expect("a valid key")
}

fn policy() -> Policy {
    let refill = RefillPolicy {
        high_water: u32::MAX,
        take_max: u32::MAX,
        share_max_percent: 100,
        prewarm_units: 0,
        ..RefillPolicy::default()
    };
    Policy {
        series: [(series(), SeriesPolicy { cohorts: CohortSet::ALL, opens_at: None })].into(),
        refill,
        ..Policy::default()
    }
}

fn run(committer: &mut Committer<Desk, Ledger>, now: Timestamp, events: Vec<Event>) {
    let submissions = events.into_iter().map(|event| Submission { event, answer: None }).collect();
    committer.run_batch(now, submissions).expect("the ledger takes the batch");
}

/// Persons, slots and their units, through the same desk and ledger, before the clock starts.
fn stock(committer: &mut Committer<Desk, Ledger>, slots: usize, requests: usize, now: Timestamp) {
    for from in (0..requests).step_by(MAX_FACTS) {
        let facts = (from..requests.min(from + MAX_FACTS))
            .map(|n| Fact::Person(PersonFact { person: PersonNo(n as u32), cohort: CohortNo(0), bookable: true }));
        run(committer, now, vec![Event::Facts { ticket: 0, facts: facts.collect() }]);
    }
    let partner = PartnerId::new("naver").expect("a valid partner");
    for from in (0..slots).step_by(BATCH) {
        let mut events = Vec::new();
        for n in from..slots.min(from + BATCH) {
            let fact = SlotFact {
                key: slot_key(n),
                site: SiteKey::new("H1").expect("a valid key"),
                series: series(),
                start: now.plus_ms(86_400_000),
                status: SlotStatus::Open,
                capacity: (requests / slots + 2) as u32,
                native: 0,
                counter: Some(0),
                escrow_units: 0,
                last_op: None,
                opens_at: None,
                class: None,
                version: SlotVersion(1),
                row: Arc::new(Row(Box::new([]))),
            };
            events.push(Event::Facts { ticket: 0, facts: vec![Fact::Slot(fact)] });
            // A refused request makes the desk ask for the slot's units.
            let ask = Ask::Book(book(n, usize::MAX - n, now, slots, PersonRef::Nobody(1)));
            events.push(Event::Request { ticket: 0, partner: partner.clone(), ask });
        }
        run(committer, now, events);
    }
    let takes: Vec<Event> = committer
        .desk()
        .pending_ops()
        .filter_map(|op| match op.what {
            OpWhat::Take { units } => Some(Event::OpDone { op: op.position, result: OpResult::Taken { units } }),
            _ => None,
        })
        .collect();
    run(committer, now, takes);
}

fn book(n: usize, key: usize, now: Timestamp, slots: usize, person: PersonRef) -> BookAsk {
    BookAsk {
        key: KeyMac((key as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834).to_le_bytes()),
        body: BodyMac([1; 8]),
        slot: slot_key(n % slots),
        person,
        series: series(),
        first_sent_at: now,
        seen_cursor: None,
        accept_version: None,
        partner_ref: None,
        alternatives_max: 0,
        within_m: 0,
    }
}

fn ours(dir: &Path, slots: usize, requests: usize) -> f64 {
    let now = Timestamp(1_795_345_200_000);
    let ledger = Ledger::open(dir, Settings::default(), Expected::MayBeNew).expect("a new ledger");
    let mut committer = Committer::new(Desk::new(policy()), ledger, Box::new(Words), Vec::new());
    stock(&mut committer, slots, requests, now);
    let partner = PartnerId::new("naver").expect("a valid partner");
    let started = Instant::now();
    let mut booked = 0;
    for from in (0..requests).step_by(BATCH) {
        let mut answers = Vec::with_capacity(BATCH);
        let submissions = (from..requests.min(from + BATCH))
            .map(|n| {
                let (answer, receiver) = tokio::sync::oneshot::channel();
                answers.push(receiver);
                let ask = Ask::Book(book(n, n, now, slots, PersonRef::Known(PersonNo(n as u32))));
                let event = Event::Request { ticket: 0, partner: partner.clone(), ask };
                Submission { event, answer: Some(answer) }
            })
            .collect();
        committer.run_batch(now, submissions).expect("the ledger takes the batch");
        for mut answer in answers {
            match answer.try_recv() {
                Ok(Answer::Reply { status: 201, .. }) => booked += 1,
                other => panic!("not booked: {other:?}"),
            }
        }
    }
    let took = started.elapsed();
    assert_eq!(booked, requests);
    requests as f64 / took.as_secs_f64()
}

struct Postgres {
    child: Child,
    _dir: tempfile::TempDir,
    port: u16,
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGTERM to the wrapper does not reach the server: ask it to stop through its own pid file.
        let _ = Command::new("pkill").args(["-INT", "-P", &self.child.id().to_string()]).status();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn postgres_bin() -> Option<PathBuf> {
    ["15", "16", "17", "14"].iter().map(|v| PathBuf::from(format!("/usr/lib/postgresql/{v}/bin"))).find(|p| p.is_dir())
}

fn start_postgres() -> Option<Postgres> {
    let bin = postgres_bin()?;
    let dir = tempfile::tempdir().ok()?;
    let data = dir.path().join("data");
    let as_postgres = |program: &str| {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(bin.join(program));
        command
    };
    Command::new("chown").arg("postgres").arg(dir.path()).status().ok()?;
    let made =
        as_postgres("initdb").arg("-D").arg(&data).args(["-A", "trust", "-E", "UTF8"]).stdout(Stdio::null()).status();
    if !made.ok()?.success() {
        return None;
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?.port();
    let child = as_postgres("postgres")
        .arg("-D")
        .arg(&data)
        .args(["-p", &port.to_string(), "-h", "127.0.0.1", "-k"])
        .arg(dir.path())
        .args(["-c", "shared_buffers=512MB", "-c", "synchronous_commit=on", "-c", "max_wal_size=8GB"])
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    Some(Postgres { child, _dir: dir, port })
}

const SCHEMA: &str = "
CREATE TABLE slot (id int PRIMARY KEY, free int NOT NULL);
CREATE TABLE booking (id bigserial PRIMARY KEY, key bytea NOT NULL UNIQUE, person int NOT NULL UNIQUE, slot int NOT NULL, status int NOT NULL, body text NOT NULL);
CREATE FUNCTION decide(keys bytea[], persons int[], slots int[], body text) RETURNS int[] LANGUAGE plpgsql AS $$
DECLARE answers int[] := '{}'; i int;
BEGIN
  FOR i IN 1 .. array_length(keys, 1) LOOP
    IF EXISTS (SELECT 1 FROM booking WHERE key = keys[i]) THEN answers := answers || 200; CONTINUE; END IF;
    IF EXISTS (SELECT 1 FROM booking WHERE person = persons[i]) THEN answers := answers || 403; CONTINUE; END IF;
    UPDATE slot SET free = free - 1 WHERE id = slots[i] AND free > 0;
    IF NOT FOUND THEN answers := answers || 409; CONTINUE; END IF;
    INSERT INTO booking (key, person, slot, status, body) VALUES (keys[i], persons[i], slots[i], 201, body);
    answers := answers || 201;
  END LOOP;
  RETURN answers;
END $$;";

async fn peer(port: u16, slots: usize, requests: usize) -> f64 {
    let config = format!("host=127.0.0.1 port={port} user=postgres dbname=postgres");
    let deadline = Instant::now() + Duration::from_secs(30);
    let (client, connection) = loop {
        match tokio_postgres::connect(&config, tokio_postgres::NoTls).await {
            Ok(pair) => break pair,
            Err(error) if Instant::now() > deadline => panic!("PostgreSQL does not answer: {error}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    tokio::spawn(connection);
    client.batch_execute("DROP TABLE IF EXISTS slot, booking; DROP FUNCTION IF EXISTS decide").await.expect("clean");
    client.batch_execute(SCHEMA).await.expect("the schema");
    let fill = "INSERT INTO slot SELECT n, $1 FROM generate_series(0, $2) n";
    client.execute(fill, &[&((requests / slots + 2) as i32), &(slots as i32 - 1)]).await.expect("the slots");
    client.batch_execute("CHECKPOINT").await.expect("a checkpoint");
    let statement = client.prepare("SELECT decide($1, $2, $3, $4)").await.expect("the statement");
    let body = "x".repeat(REPLY_BYTES);
    let started = Instant::now();
    for from in (0..requests).step_by(BATCH) {
        let to = requests.min(from + BATCH);
        let keys: Vec<Vec<u8>> = (from..to)
            .map(|n| (n as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834).to_le_bytes().to_vec())
            .collect();
        let persons: Vec<i32> = (from..to).map(|n| n as i32).collect();
        let wanted: Vec<i32> = (from..to).map(|n| (n % slots) as i32).collect();
        let row = client.query_one(&statement, &[&keys, &persons, &wanted, &body]).await.expect("a decided batch");
        let answers: Vec<i32> = row.get(0);
        assert!(answers.len() == to - from && answers.iter().all(|a| *a == 201), "not all booked");
    }
    requests as f64 / started.elapsed().as_secs_f64()
}

fn main() {
    let requests: usize = std::env::var("BENCH_REQUESTS").ok().and_then(|n| n.parse().ok()).unwrap_or(200_000);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let postgres = start_postgres();
    println!("durable decisions/s, batches of {BATCH}, {requests} requests, {REPLY_BYTES}-byte replies");
    for (name, slots) in [("one hot slot", 1), ("10,000 slots", 10_000)] {
        let mut rounds: Vec<(f64, Option<f64>)> = Vec::new();
        for _ in 0..3 {
            let dir = tempfile::tempdir().expect("a folder");
            let own = ours(dir.path(), slots, requests);
            let theirs = postgres.as_ref().map(|p| runtime.block_on(peer(p.port, slots, requests / 4)));
            rounds.push((own, theirs));
        }
        rounds.sort_by(|a, b| a.0.total_cmp(&b.0));
        let own = rounds[1].0;
        let mut theirs: Vec<f64> = rounds.iter().filter_map(|r| r.1).collect();
        theirs.sort_by(f64::total_cmp);
        match theirs.get(1) {
            Some(peer) => println!("{name}: slotbridge {own:.0}/s, PostgreSQL {peer:.0}/s, ratio {:.1}", own / peer),
            None => println!("{name}: slotbridge {own:.0}/s; PostgreSQL could not be started: no comparison"),
        }
    }
}
