//! The privacy canary: a mark in every column that no mapping publishes comes out nowhere but where the design says.
//!
//! A real daemon at its most talkative runs over a marked legacy system while partners, strangers and an operator do
//! all they can. Then every answer, log line, command's output and file is searched, as bytes and row by row.

#[path = "canary_parts/marks.rs"]
mod marks;
#[path = "canary_parts/scan.rs"]
mod scan;
#[path = "canary_parts/tour.rs"]
mod tour;

mod daemon_kit;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Instant;

use daemon_kit::{PATIENCE, Scene};
use reqwest::Method;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use scan::{Hit, Scanner};
use serde_json::{Value, json};
use tour::{Tour, now};

const SLOTS: u32 = 60;
const PEOPLE: u32 = 400;

/// Where a mark may be, and why: mark, beginning of the place, reason.
const ALLOWED: &[(&str, &str, &str)] = &[
    ("person.PERSON_ID", "file data/register.sqlite", "the register is what ties person numbers to legacy keys"),
    ("person.PERSON_ID", "file backup/register.sqlite", "without the register a backup could not be used"),
    ("reservation.RESV_NO", "file data/mirror.sqlite", "the key by which a row that is gone is noticed"),
    (
        "person.PERSON_ID",
        "http GET /v1/slots/lookup?ids=CnryPsnKey",
        "the ids asked for that name no slot are repeated",
    ),
    ("person.TEL", "http GET /v1/slots/lookup?ids=010-", "the ids asked for that name no slot are repeated"),
    ("person token", "http POST /v1/persons/token", "this is where a partner gets it"),
];

#[test]
fn every_unpublished_column_has_a_mark_or_a_reason_why_not() {
    let of_views: BTreeSet<String> = marks::MARKS
        .iter()
        .map(|(column, _)| (*column).to_owned())
        .filter(|column| !column.starts_with("TB_"))
        .chain(marks::UNMARKED.iter().map(|(column, _)| (*column).to_owned()))
        .collect();
    let unpublished = marks::unpublished();
    assert_eq!(of_views, unpublished, "left: marked or excused, right: published to nobody");
}

#[test]
fn the_scanner_finds_a_mark_however_it_is_written() {
    let scanner = marks::scanner();
    for (column, spellings) in marks::MARKS {
        for spelling in *spellings {
            let utf16: Vec<u8> = spelling.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let hex = scan::hex(spelling.as_bytes());
            let engine = &base64::engine::general_purpose::STANDARD;
            let coded = |before: &str| base64::Engine::encode(engine, format!("{before}{spelling}~~~"));
            let written = [spelling.as_bytes().to_vec(), utf16, hex.to_uppercase().into_bytes(), hex.into_bytes()];
            let written = written.into_iter().chain(["", "x", "yz", "abc"].map(|before| coded(before).into_bytes()));
            for bytes in written {
                let text = [b"some 0 bytes \0\0 before ".as_slice(), &bytes, b" and after"].concat();
                assert!(scanner.hits("here", &text).iter().any(|hit| hit.mark == *column), "{column} {spelling}");
                let cut = [b"some before ".as_slice(), &bytes[..bytes.len() / 2], b" and after"].concat();
                assert!(scanner.hits("here", &cut).iter().all(|hit| hit.mark != *column), "{column} {spelling}");
            }
        }
    }
    assert_eq!(scanner.hits("here", b"nothing to see, 2019-03-11 04:06, 010-0913-7265"), BTreeSet::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_unpublished_value_comes_out_anywhere() {
    let scene = Scene::with(2_611, SLOTS, PEOPLE, |stage| {
        stage.config.log.filter = "trace".to_owned();
        // Sites are read by full cuts only.
        stage.config.capture.full_cut_interval_s = 1;
        marks::plant(&Connection::open(&stage.legacy).expect("a legacy database"));
    });
    let mut tour = Tour::new(&scene);
    let mut process = scene.spawn();
    scene.ready(&mut process).await;
    do_everything(&mut tour).await;
    let mut found = Findings::new(&tour);
    // Once with the write-ahead logs full, once more as a stop leaves the files, and after a start from them.
    found.files("data", &scene.stage.config.daemon.data_dir);
    assert_eq!(process.stop(), Some(0), "{}", last_lines(&scene.log()));
    process = scene.spawn();
    scene.ready(&mut process).await;
    tour.feeds(0).await;
    assert_eq!(process.stop(), Some(0), "{}", last_lines(&scene.log()));
    tour.command(&["ledger", "verify"], 0);
    tour.command(&["ledger", "export"], 0);
    tour.command(&["status", "--json"], 69);
    tour.command(&["check"], 0);
    tour.command(&["keys", "list"], 0);
    tour.command(&["persons", "audit"], 0);
    crash(&mut tour).await;
    found.files("data", &scene.stage.config.daemon.data_dir);
    found.files("keys", &scene.stage.config.secrets.key_dir);
    found.files("backup", &scene.dir().join("backup"));
    for kept in &tour.kept {
        found.scanner.scan(&kept.place, &kept.bytes, &mut found.hits);
    }
    let log = scene.log();
    assert!(log.contains("DEBUG"), "the log is not talkative");
    found.scanner.scan("log", log.as_bytes(), &mut found.hits);
    self_test(&found, &scene);
    no_number_of_the_unusual_slot(&tour);
    let errors: Vec<&str> = log.lines().filter(|line| line.contains("ERROR")).collect();
    assert_eq!(errors, Vec::<&str>::new());
    println!("canary: {} answers, {} files, {} bytes of log", tour.kept.len(), found.files, log.len());
    found.judge();
}

/// The process dies as by a defect of its own, with a CI just asked about: no dump, here or where the kernel puts them.
async fn crash(tour: &mut Tour<'_>) {
    use std::os::unix::process::ExitStatusExt;
    let mut process = tour.scene.spawn();
    tour.scene.ready(&mut process).await;
    tour.token(0, &marks::ci(3), "covid19-1").await;
    let pid = process.0.id();
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("limits of a process");
    let line = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit of dumps");
    assert_eq!(line.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{line}");
    let sent = std::process::Command::new("kill").args(["-ABRT", &pid.to_string()]).status().expect("kill is there");
    assert!(sent.success());
    let ended = process.0.wait().expect("it ends");
    assert_eq!((ended.signal(), ended.core_dumped()), (Some(6), false), "{ended}");
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    let folder = Path::new(pattern.trim()).parent().filter(|folder| folder.is_absolute());
    for folder in [Some(Path::new(".")), folder].into_iter().flatten().filter(|folder| folder.is_dir()) {
        for entry in std::fs::read_dir(folder).expect("a folder").filter_map(Result::ok) {
            let name = entry.file_name().to_string_lossy().into_owned();
            assert!(!(name.starts_with("core") && name.contains(&pid.to_string())), "{name} was dumped");
            assert!(folder != Path::new(".") || name != "core", "a core dump");
        }
    }
}

async fn do_everything(tour: &mut Tour<'_>) {
    tour.token(0, &marks::ci(1), "covid19-1").await;
    tour.scene.published("slots", |slots| slots.len() > SLOTS as usize / 2).await;
    let slots = tour.feeds(0).await;
    tour.feeds(1).await;
    let open: Vec<(String, String)> = slots
        .iter()
        .filter(|item| item["data"]["status"] == "open" && item["data"]["series"] == "covid19-1")
        .map(|item| (item["id"].as_str().expect("an id").to_owned(), "covid19-1".to_owned()))
        .collect();
    assert!(open.len() > 3, "{} of {} slots are open", open.len(), slots.len());
    let (slot, series) = open[0].clone();
    let ids: Vec<&str> = open.iter().take(20).map(|(id, _)| id.as_str()).collect();
    tour.get(0, &format!("/v1/slots/lookup?ids={}", ids.join(","))).await;
    let booked = book_all(tour, &open).await;
    let unknown = tour.token(0, &base64_text(99), &series).await;
    let body = json!({ "slot_id": slot, "person": unknown, "series": series, "first_sent_at": now() });
    let (status, answer) = tour.post(0, "/v1/bookings", "nobody-0000000001", &body).await;
    assert_eq!(status, 409, "{answer}");
    let token = tour.tokens[0].clone();
    tour.misuse(&slot, &series, &token).await;
    search_and_cancel(tour, &booked, &token).await;
    tour.open_doors().await;
    let legacy = Connection::open(&tour.scene.stage.legacy).expect("the legacy database");
    legacy.busy_timeout(PATIENCE).expect("it can wait");
    marks::clerk(&legacy, 398);
    tour.scene.published("sites", |sites| sites.contains_key("site-LATE1")).await;
    for (partner, id) in &booked {
        wait_until_applied(tour, *partner, id).await;
    }
    for partner in [0, 1] {
        tour.feeds(partner).await;
    }
    for args in [["status", "--json"], ["ledger", "verify"], ["ledger", "export"], ["ledger", "snapshot"]] {
        tour.command(&args, 0);
    }
    tour.command(&["config", "show"], 0);
    let backup = tour.scene.dir().join("backup");
    tour.command(&["backup", backup.to_str().expect("a path of text")], 0);
    tour.open_doors().await;
}

fn base64_text(person: u32) -> String {
    // Nobody's, but with the mark of all CIs.
    marks::ci(90_000_000 + person)
}

/// Books as both partners, one slot until it is full, and repeats some requests. Partner and id of each booking.
async fn book_all(tour: &mut Tour<'_>, open: &[(String, String)]) -> Vec<(usize, String)> {
    let mut booked = Vec::new();
    let mut refused = BTreeMap::<String, u32>::new();
    for person in 2..42 {
        let partner = (person % 2) as usize;
        let (slot, series) = &open[if person < 22 { 0 } else { person as usize % open.len() }];
        let token = tour.token(partner, &marks::ci(person), series).await;
        let body = json!({
            "slot_id": slot, "person": token, "series": series, "first_sent_at": now(), "partner_ref": format!("K-{person}"),
        });
        let key = format!("canary-{person:010}");
        let first = tour.post(partner, "/v1/bookings", &key, &body).await;
        let again = tour.post(partner, "/v1/bookings", &key, &body).await;
        assert_eq!(first, again);
        let mut other = body.clone();
        other["series"] = json!("covid19-2");
        tour.post(partner, "/v1/bookings", &key, &other).await;
        tour.get(partner, &format!("/v1/booking-requests/{key}")).await;
        // Another's token, and a second booking of the same person.
        tour.post(1 - partner, "/v1/bookings", &format!("{key}-o"), &body).await;
        tour.post(partner, "/v1/bookings", &format!("{key}-2"), &body).await;
        match (first.0, first.1["id"].as_str()) {
            (201, Some(id)) => booked.push((partner, id.to_owned())),
            (status, _) => *refused.entry(format!("{status} {}", first.1["code"])).or_default() += 1,
        }
    }
    println!("canary: {} booked, refused: {refused:?}", booked.len());
    assert!(booked.len() >= 4 && !refused.is_empty(), "{} {refused:?}", booked.len());
    booked
}

async fn search_and_cancel(tour: &mut Tour<'_>, booked: &[(usize, String)], token: &str) {
    for body in [json!({ "person": token }), json!({ "partner_ref": "K-2" }), json!({ "ids": [booked[0].1] })] {
        let (status, answer) = tour.post(0, "/v1/bookings/search", "-", &body).await;
        assert_eq!(status, 200, "{answer}");
        tour.post(1, "/v1/bookings/search", "-", &body).await;
    }
    let (partner, id) = &booked[0];
    for partner in [1 - partner, *partner, *partner] {
        tour.ask(Some(partner), Method::DELETE, &format!("/v1/bookings/{id}"), &[], None).await;
        tour.get(partner, &format!("/v1/bookings/{id}")).await;
    }
}

async fn wait_until_applied(tour: &mut Tour<'_>, partner: usize, id: &str) {
    let until = Instant::now() + PATIENCE;
    let mut pause = tokio::time::interval(std::time::Duration::from_millis(20));
    loop {
        let (status, booking) = tour.get(partner, &format!("/v1/bookings/{id}")).await;
        assert_eq!(status, 200, "{booking}");
        match (booking["status"].as_str(), booking["sync"].as_str()) {
            (_, Some("applied")) => return,
            (Some("cancelled" | "displaced"), _) => return,
            _ => assert!(Instant::now() < until, "{id} is never written back: {booking}"),
        }
        pause.tick().await;
    }
}

struct Findings {
    scanner: Scanner,
    hits: BTreeSet<Hit>,
    files: usize,
}

impl Findings {
    /// Looks for the marks, and for every token, receipt and bearer key of the tour.
    fn new(tour: &Tour<'_>) -> Findings {
        let mut scanner = marks::scanner();
        let end = |text: &str| text[text.len() - 24..].to_owned();
        for token in &tour.tokens {
            scanner.raw("person token", "its end", end(token).as_bytes());
        }
        for receipt in &tour.receipts {
            scanner.raw("receipt", "its end", end(receipt).as_bytes());
        }
        for key in &tour.scene.stage.keys {
            scanner.add("bearer key", &end(key));
        }
        Findings { scanner, hits: BTreeSet::new(), files: 0 }
    }

    /// Searches every file of a folder as bytes, and databases row by row as well: a long value is split over pages.
    fn files(&mut self, name: &str, dir: &Path) {
        for entry in std::fs::read_dir(dir).expect("a folder") {
            let entry = entry.expect("a folder can be read");
            let place = format!("{name}/{}", entry.file_name().to_string_lossy());
            let kind = entry.file_type().expect("a type");
            if kind.is_dir() {
                self.files(&place, &entry.path());
            } else if kind.is_file() {
                self.files += 1;
                let bytes = std::fs::read(entry.path()).expect("a file");
                self.scanner.scan(&format!("file {place}"), &bytes, &mut self.hits);
                if bytes.starts_with(b"SQLite format 3\0") {
                    self.scanner.scan(&format!("file {place}"), &rows(&entry.path()), &mut self.hits);
                }
            }
        }
    }

    fn judge(&self) {
        let allows = |hit: &&Hit, rule: &(&str, &str, &str)| hit.mark == rule.0 && hit.place.starts_with(rule.1);
        let leaks: Vec<&Hit> = self.hits.iter().filter(|hit| !ALLOWED.iter().any(|rule| allows(hit, rule))).collect();
        assert!(leaks.is_empty(), "{} leaks: {leaks:#?}", leaks.len());
        for rule in ALLOWED {
            assert!(
                self.hits.iter().any(|hit| allows(&hit, rule)),
                "{} is no longer in {}: {}",
                rule.0,
                rule.1,
                rule.2
            );
        }
    }
}

/// Every value of every table, one after another.
fn rows(path: &Path) -> Vec<u8> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let file = Connection::open_with_flags(path, flags).expect("a database");
    let mut names = file.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").expect("a schema");
    let names: Vec<String> =
        names.query_map([], |row| row.get(0)).expect("names").map(|n| n.expect("a name")).collect();
    let mut text = Vec::new();
    for name in names {
        let mut select = file.prepare(&format!("SELECT * FROM \"{name}\"")).expect("a table");
        let columns = select.column_count();
        let mut found = select.query([]).expect("rows");
        while let Some(row) = found.next().expect("a row") {
            for column in 0..columns {
                match row.get_ref(column).expect("a value") {
                    ValueRef::Null => {}
                    ValueRef::Integer(number) => text.extend(number.to_string().bytes()),
                    ValueRef::Real(number) => text.extend(number.to_string().bytes()),
                    ValueRef::Text(bytes) | ValueRef::Blob(bytes) => text.extend_from_slice(bytes),
                }
                text.push(b'\n');
            }
        }
    }
    text
}

/// A mark planted in what was really searched is found: in a copy of a database, of an answer and of the log.
fn self_test(found: &Findings, scene: &Scene) {
    let copy = scene.dir().join("copy");
    std::fs::create_dir(&copy).expect("a folder");
    std::fs::copy(scene.stage.config.daemon.data_dir.join("feeds.sqlite"), copy.join("feeds.sqlite")).expect("a copy");
    let file = Connection::open(copy.join("feeds.sqlite")).expect("a database");
    let planted = file.execute(
        "UPDATE item SET data = CAST(data || 'CnrySlotMemo' AS BLOB) WHERE number = \
                                (SELECT max(number) FROM item)",
        [],
    );
    assert!(planted.expect("a row") > 0);
    drop(file);
    let mut again = Findings { scanner: marks::scanner(), hits: BTreeSet::new(), files: 0 };
    again.files("copy", &copy);
    assert!(again.hits.iter().any(|hit| hit.mark == "slot.MEMO"), "a planted mark was not found");
    let log = format!("{}\nperson {}\n", last_lines(&scene.log()), marks::ci(3));
    assert!(found.scanner.hits("log", log.as_bytes()).iter().any(|hit| hit.mark == "person.CI"));
}

/// Partners get buckets: the capacity of the unusual slot and what is free of it are in no answer.
fn no_number_of_the_unusual_slot(tour: &Tour<'_>) {
    fn numbers(value: &Value, found: &mut Vec<i64>) {
        match value {
            Value::Number(number) => found.extend(number.as_i64()),
            Value::String(text) => found.extend(text.parse::<i64>()),
            Value::Array(values) => values.iter().for_each(|value| numbers(value, found)),
            Value::Object(members) => members.values().for_each(|value| numbers(value, found)),
            Value::Null | Value::Bool(_) => {}
        }
    }
    let near = marks::UNUSUAL_CAPACITY - 1_000..=marks::UNUSUAL_CAPACITY;
    for kept in tour.kept.iter().filter(|kept| kept.place.starts_with("http")) {
        let mut found = Vec::new();
        numbers(&kept.body, &mut found);
        assert!(!found.iter().any(|n| near.contains(n)), "{} tells a capacity: {}", kept.place, kept.body);
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().rev().take(40).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}
