//! Runtime guards over the real daemon: what is planted in a public column leaves by no route, a jump of rows waits for
//! a word, and nothing of the example data is stopped by mistake.

mod daemon_kit;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use daemon_kit::{PATIENCE, Scene};
use reqwest::Method;
use rusqlite::Connection;
use serde_json::{Value as Json, json};
use slotbridge::clock::{Clock, SystemClock};
use slotbridge::domain::{Position, Row, SeriesId, SiteKey, SlotKey, SlotVersion, SlotView, Timestamp, Value};
use slotbridge::feed::data_of;
use slotbridge::legacy::import;
use slotbridge::legacy::sqlite::{PersonConstraint, generate, schema};
use slotbridge::mapping::{ColumnType, Layout, MappingSet, load};
use slotbridge::mapping_files::read_folder;
use slotbridge::privacy::{Projector, Subject};

const CANARY: &str = "CNRY-GUARD-0001";

fn legacy(scene: &Scene) -> Connection {
    let legacy = Connection::open(&scene.stage.legacy).unwrap();
    legacy.busy_timeout(Duration::from_secs(30)).unwrap();
    legacy
}

fn cli(scene: &Scene, args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_slotbridge"));
    let output = command.args(args).arg("--config").arg(&scene.config_file).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

/// Reads a feed's line of `status` until it is as wanted.
async fn feed_until(scene: &Scene, name: &str, wanted: impl Fn(&Json) -> bool) -> Json {
    let deadline = Instant::now() + PATIENCE;
    let mut pause = tokio::time::interval(Duration::from_millis(100));
    loop {
        let (code, text) = cli(scene, &["status", "--json"]);
        assert_eq!(code, Some(0), "{text}");
        let status: Json = serde_json::from_str(&text).unwrap();
        let feeds = status["feeds"].as_array().unwrap();
        let feed = feeds.iter().find(|feed| feed["feed"] == name && feed["partner"] == "naver").unwrap();
        if wanted(feed) {
            return feed.clone();
        }
        assert!(Instant::now() < deadline, "{feed:#}\n{}", scene.log());
        pause.tick().await;
    }
}

fn is_held(feed: &Json, reason: &str) -> bool {
    feed["held"].as_array().is_some_and(|holds| holds.iter().any(|hold| hold["reason"] == reason))
}

async fn metrics(scene: &Scene) -> String {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    http.get(format!("http://{}/metrics", scene.observe)).send().await.unwrap().text().await.unwrap()
}

const NOW: &str = "strftime('%Y-%m-%d %H:%M:%f', 'now', '+9 hours')";

/// Books for the first person from `from` on whom no rule keeps from booking at all.
async fn book(scene: &Scene, slot: &str, series: &str, more: &Json, from: u32) -> (u16, Vec<u8>) {
    let client = scene.client(0);
    for person in from..from + 60 {
        let token = scene.token(&client, person, series).await;
        let first_sent_at = SystemClock.now().rfc3339();
        let mut ask = json!({ "slot_id": slot, "person": token, "series": series, "first_sent_at": first_sent_at });
        ask.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let key = format!("guards-{person:010}");
        let answer = client.send(Method::POST, "/v1/bookings", Some(&key), Some(&ask)).await.unwrap();
        if answer.0 != 403 {
            return answer;
        }
    }
    panic!("nobody may book");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_planted_in_a_public_column_leaves_by_no_route() {
    let scene = Scene::with(11, 80, 300, |stage| {
        let file = stage.config.daemon.data_dir.with_file_name("canaries.txt");
        std::fs::write(&file, format!("# planted by the agency\n{CANARY}\n")).unwrap();
        stage.config.mappings.canary_file = Some(file);
        stage.config.capture.full_cut_interval_s = 1;
    });
    let mut process = scene.spawn();
    scene.ready(&mut process).await;
    let is_open = |slot: &Json| slot["status"] == "open";
    let slots = scene.published("slots", |slots| slots.values().filter(|slot| is_open(slot)).count() > 3).await;
    scene.published("sites", |sites| !sites.is_empty()).await;
    assert!(!metrics(&scene).await.contains("slotbridge_guard_hits_total{"), "nothing is stopped by mistake");
    let mut open = slots.iter().filter(|(_, slot)| is_open(slot));
    let ((bad, data), (good, other)) = (open.next().unwrap(), open.next().unwrap());
    let client = scene.client(0);
    let series = data["series"].as_str().unwrap().to_owned();
    let good_series = other["series"].as_str().unwrap();

    let key = bad.strip_prefix("s-").unwrap();
    let plant = format!("UPDATE TB_SLOT SET VCN_CD = '010-1234-5678', UPD_DT = {NOW} WHERE SLOT_NO = ?1");
    legacy(&scene).execute(&plant, [key]).unwrap();
    legacy(&scene)
        .execute(&format!("UPDATE TB_SITE SET SITE_NM = SITE_NM || ' {CANARY}', UPD_DT = {NOW}"), [])
        .unwrap();
    let held = feed_until(&scene, "slots", |feed| is_held(feed, "guard")).await;
    assert_eq!(held["held"][0]["text"], "L801: field vaccine: is shaped like a mobile number");
    let held = feed_until(&scene, "sites", |feed| is_held(feed, "guard")).await;
    assert_eq!(held["held"][0]["text"], "L802: field name: holds a canary");

    let mut told = Vec::new();
    for path in ["/v1/feeds", "/v1/feeds/slots?limit=5000", "/v1/feeds/sites?limit=5000"] {
        told.push(client.send(Method::GET, path, None, None).await.unwrap());
    }
    for feed in ["slots", "sites"] {
        let path = format!("/v1/feeds/{feed}/snapshot");
        told.push(client.send(Method::GET, &path, None, None).await.unwrap());
    }
    let (status, body) = client.get(&format!("/v1/slots/lookup?ids={good},{bad}")).await;
    assert_eq!((status, &body["code"], &body["reason"]), (503, &json!("feed_held"), &json!("guard")), "{body}");
    let more = json!({ "alternatives": { "max": 5, "within_km": 20 } });
    let mismatched = if series == "covid19-1" { "covid19-2" } else { "covid19-1" };
    let (status, bytes) = book(&scene, bad, mismatched, &more, 1).await;
    let refused: Json = serde_json::from_slice(&bytes).unwrap();
    assert_eq!((status, &refused["code"]), (409, &json!("series_mismatch")), "{refused}");
    assert!(refused["slot"].is_null() && refused["alternatives"].is_null(), "{refused}");
    told.push((status, bytes));
    // Bookings go on. A reference that holds a canary comes back in no field, and the booking is acknowledged.
    let (status, bytes) = book(&scene, good, good_series, &json!({ "partner_ref": CANARY }), 100).await;
    let booked: Json = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(status, 201, "{booked}");
    let members: Vec<&String> = booked.as_object().unwrap().keys().collect();
    assert_eq!(members, ["committed_cursor", "id"], "{booked}");
    let id = booked["id"].as_str().unwrap();
    told.push(client.send(Method::GET, &format!("/v1/bookings/{id}"), None, None).await.unwrap());
    feed_until(&scene, "bookings", |feed| is_held(feed, "guard")).await;
    told.push(client.send(Method::GET, "/v1/feeds/bookings?limit=5000", None, None).await.unwrap());
    for (status, bytes) in &told {
        let text = String::from_utf8_lossy(bytes);
        assert!(!text.contains("010-1234-5678") && !text.contains(CANARY), "{status} {text}");
    }
    let metrics = metrics(&scene).await;
    for line in
        ["{rule=\"L801\",feed=\"slots\"}", "{rule=\"L802\",feed=\"sites\"}", "{rule=\"L802\",feed=\"bookings\"}"]
    {
        assert!(metrics.contains(&format!("slotbridge_guard_hits_total{line}")), "{line}");
    }
    let log = scene.log();
    assert!(!log.contains("010-1234-5678") && !log.contains(CANARY), "a value is in the log");

    // Mended, and tried again.
    let mend = format!("UPDATE TB_SLOT SET VCN_CD = 'mended', UPD_DT = {NOW} WHERE SLOT_NO = ?1");
    legacy(&scene).execute(&mend, [key]).unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        // Until the mended row was captured, it stops again.
        cli(&scene, &["feed", "retry", "naver", "slots"]);
        let items = client.harvest("slots").await;
        if items.get(bad.as_str()).is_some_and(|slot| slot["vaccine"] == "mended") {
            break;
        }
        assert!(Instant::now() < deadline, "{}", scene.log());
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jump_of_rows_waits_until_an_operator_confirms() {
    let scene = Scene::new(12, 4_000, 100);
    let mut process = scene.spawn();
    scene.ready(&mut process).await;
    let fed = feed_until(&scene, "slots", |feed| feed["items"].as_u64() > Some(3_000) && feed["held"].is_null()).await;
    let before = fed["items"].as_u64().unwrap();
    let (code, text) = cli(&scene, &["feed", "confirm", "naver", "slots"]);
    assert_eq!(code, Some(1), "{text}");
    // A load that ran twice.
    let twice = format!(
        "INSERT INTO TB_SLOT SELECT 'J' || SLOT_NO, SITE_NO, SERIES_CD, RSV_DT, DUR_MI, VCN_CD, DOSE_NO, MIN_AGE, STAT_CD, \
         CAPA_CNT, 0, EXT_QUOTA_CNT, OPEN_DT, CHRG_NM, RMK, REG_DT, {NOW}, REMAIN_CNT FROM TB_SLOT"
    );
    let rows = legacy(&scene).execute(&twice, []).unwrap() as u64;
    assert!(rows > 3_000, "{rows}");
    let held = feed_until(&scene, "slots", |feed| is_held(feed, "row_jump")).await;
    assert!(held["held"][0]["text"].as_str().unwrap().starts_with("L804: "), "{held}");
    assert!(held["items"].as_u64().unwrap() * 100 <= before * 131, "{held}");
    let deadline = Instant::now() + PATIENCE;
    let mut pause = tokio::time::interval(Duration::from_millis(100));
    // What comes while it waits may go as far again, and is then asked about again.
    loop {
        let (code, text) = cli(&scene, &["feed", "confirm", "naver", "slots"]);
        assert!(code == Some(0) || text.contains("not_asked"), "{text}");
        let (_, feeds) = scene.client(0).get("/v1/feeds").await;
        let feed = feeds["feeds"].as_array().unwrap().iter().find(|feed| feed["name"] == "slots").unwrap().clone();
        if feed["items"].as_u64().unwrap() > before + rows * 9 / 10 && feed["halted"].is_null() {
            break;
        }
        assert!(Instant::now() < deadline, "{feed}\n{}", scene.log());
        pause.tick().await;
    }
}

/// Rows of an object as capture reads them: the layout's columns of its view.
fn rows(legacy: &Connection, layout: &Layout) -> Vec<Arc<Row>> {
    let names: Vec<&str> = layout.columns.iter().map(|column| &*column.name).collect();
    let mut select = legacy.prepare(&format!("SELECT {} FROM {}", names.join(", "), layout.view)).unwrap();
    let value = |row: &rusqlite::Row<'_>, at: usize| {
        let text: Option<String> = match row.get_ref(at).unwrap() {
            rusqlite::types::ValueRef::Null => None,
            rusqlite::types::ValueRef::Integer(n) => Some(n.to_string()),
            rusqlite::types::ValueRef::Real(n) => Some(n.to_string()),
            other => Some(other.as_str().unwrap().to_owned()),
        };
        let Some(text) = text else { return Value::Null };
        match layout.columns[at].kind {
            ColumnType::Text => Value::text(&text),
            ColumnType::Integer => Value::Int(text.parse().unwrap()),
            ColumnType::Decimal => Value::Decimal(text.into()),
            ColumnType::Time => Value::Time(Timestamp::parse_seoul(&text).unwrap()),
        }
    };
    let read = |row: &rusqlite::Row<'_>| Ok(Arc::new(Row((0..names.len()).map(|at| value(row, at)).collect())));
    select.query_map([], read).unwrap().map(Result::unwrap).collect()
}

fn slot(layout: &Layout, row: &Arc<Row>) -> SlotView {
    let text = |name: &str| row.get(layout.at_name(name).unwrap()).as_text().unwrap().to_owned();
    SlotView {
        key: SlotKey::new(&text("SLOT_ID")).unwrap(),
        site: SiteKey::new(&text("SITE_ID")).unwrap(),
        series: SeriesId::new(&text("SERIES_CD")).unwrap(),
        start: row.get(layout.at_name("SLOT_DT").unwrap()).as_time().unwrap(),
        version: SlotVersion(1),
        remaining: 3,
        open: true,
        row: row.clone(),
        position: Position(1),
    }
}

/// Items judged and items stopped, of all feeds of all partners over the rows of a database.
fn judged(set: &MappingSet, legacy: &Connection) -> (usize, Vec<String>, Duration) {
    let (mut items, mut stopped, mut took) = (0, Vec::new(), Duration::ZERO);
    for (partner, kind, mapping) in set.feeds() {
        let Some(layout) = set.layout(mapping.source.object.get_ref().as_str()) else { continue };
        let projector = Projector::compile(set, partner, kind).unwrap();
        for row in rows(legacy, &layout) {
            let view = (kind.object() == "slot").then(|| slot(&layout, &row));
            let subject = view.as_ref().map_or(Subject::Item { key: "k", row: &row }, Subject::Slot);
            let Ok(Some(record)) = projector.record(subject, Timestamp(0)) else { continue };
            let data = data_of(&record);
            let begun = Instant::now();
            let judged = projector.guard().record(&record).and_then(|()| projector.guard().item(&data));
            took += begun.elapsed();
            items += 1;
            stopped.extend(judged.err().map(|hit| format!("{partner}.{}: {hit}", kind.code())));
        }
    }
    (items, stopped, took)
}

#[test]
fn nothing_of_the_example_data_and_of_real_publications_is_stopped_by_mistake() {
    let set = load(&read_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings")).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let create = |name: &str| schema::create(&folder.path().join(name), PersonConstraint::UniqueIndex).unwrap();
    let now = Timestamp::parse_rfc3339("2026-11-22T20:00:00+09:00").unwrap();
    let mut demo = create("demo.db");
    let plan = generate::Plan { sites: 15_000, slots: 20_000, people: 0, ..generate::Plan::new(2_611, now) };
    generate::sites_and_slots(&mut demo, &plan).unwrap();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/legacy");
    let (mut smart, mut cowin) = (create("smart.db"), create("cowin.db"));
    import::load(&mut smart, &import::read_path(&fixtures.join("smart")).unwrap(), now).unwrap();
    import::load(&mut cowin, &import::read_cowin_file(&fixtures.join("cowin.json")).unwrap(), now).unwrap();
    for (name, legacy) in [("demo", &demo), ("smart", &smart), ("cowin", &cowin)] {
        let (items, stopped, took) = judged(&set, legacy);
        let each = took.as_nanos() / items.max(1) as u128;
        println!("guards: {name}: {} of {items} items stopped, {each} ns an item", stopped.len());
        assert!(items > 0 && stopped.is_empty(), "{name}: {stopped:#?}");
    }
}
