//! What an operator orders from a running daemon: conflicts, sending a booking again, believing a refused cut.

mod daemon_kit;

use std::process::Command;
use std::time::{Duration, Instant};

use daemon_kit::{PATIENCE, Scene};
use reqwest::Method;
use rusqlite::Connection;
use serde_json::{Value, json};
use slotbridge::clock::{Clock, SystemClock};

fn cli(scene: &Scene, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_slotbridge"));
    let output = command.args(args).arg("--config").arg(&scene.config_file).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn json_of(scene: &Scene, args: &[&str]) -> Value {
    let (code, text, errors) = cli(scene, &[args, &["--json"]].concat());
    assert_eq!(code, Some(0), "{args:?}: {text}{errors}");
    serde_json::from_str(&text).unwrap()
}

/// Asks the daemon until the answer is as wanted.
async fn until(scene: &Scene, args: &[&str], wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + PATIENCE;
    let mut pause = tokio::time::interval(Duration::from_millis(100));
    loop {
        let value = json_of(scene, args);
        if wanted(&value) {
            return value;
        }
        assert!(Instant::now() < deadline, "{value:#}\n{}", scene.log());
        pause.tick().await;
    }
}

fn legacy(scene: &Scene) -> Connection {
    let legacy = Connection::open(&scene.stage.legacy).unwrap();
    legacy.busy_timeout(Duration::from_secs(30)).unwrap();
    legacy
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_booking_that_a_rule_refused_is_listed_and_sent_again() {
    let scene = Scene::new(3, 80, 300);
    let rule = "CREATE TRIGGER TR_RULE BEFORE INSERT ON TB_RESV WHEN NEW.IF_OP_ID IS NOT NULL
                BEGIN SELECT RAISE(ABORT, 'ORA-20001: closed for stocktaking'); END";
    legacy(&scene).execute_batch(rule).unwrap();
    let mut process = scene.spawn();
    scene.ready(&mut process).await;
    let (code, text, _) = cli(&scene, &["conflicts"]);
    assert_eq!((code, text.as_str()), (Some(0), "no conflicts\n"));
    let slots = scene.published("slots", |slots| slots.values().any(|slot| slot["status"] == "open")).await;
    let (slot, data) = slots.iter().find(|(_, slot)| slot["status"] == "open").unwrap();
    let series = data["series"].as_str().unwrap();
    let (client, person) =
        (scene.client(0), slotbridge::demo::stage::someone_free(&scene.stage, scene.people).unwrap());
    let token = scene.token(&client, person, series).await;
    let body =
        json!({ "slot_id": slot, "person": token, "series": series, "first_sent_at": SystemClock.now().rfc3339() });
    let (status, bytes) =
        client.send(Method::POST, "/v1/bookings", Some("conflict-test-key-1"), Some(&body)).await.unwrap();
    let booked: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(status, 201, "{booked:#}");
    let booking = booked["id"].as_str().unwrap();

    let all = until(&scene, &["conflicts"], |all| all["conflicts"] != json!([])).await;
    let conflict = &all["conflicts"][0];
    let told = (&conflict["kind"], &conflict["reason"], &conflict["booking"], conflict["slot"].as_str());
    assert_eq!(
        told,
        (&json!("displaced"), &json!("legacy_refused"), &json!(booking), slot.strip_prefix("s-")),
        "{all:#}"
    );
    let (code, text, _) = cli(&scene, &["conflicts"]);
    assert!(code == Some(0) && text.contains(booking) && text.contains("redrive"), "{text}");
    let desk = until(&scene, &["status"], |all| all["desk"]["conflicts"] == 1).await["desk"].clone();
    assert_eq!(desk["displaced"], json!({ "legacy_refused": 1 }), "{desk:#}");

    let (code, _, errors) = cli(&scene, &["conflicts", "redrive", "b-zz"]);
    assert!(code == Some(1) && errors.contains("not_displaced"), "{errors}");
    legacy(&scene).execute_batch("DROP TRIGGER TR_RULE").unwrap();
    let redriven = json_of(&scene, &["conflicts", "redrive", booking]);
    assert_eq!(redriven, json!({ "redriven": booking }));
    let is_named = |_: &Value| {
        let desk = json_of(&scene, &["status"])["desk"].clone();
        desk["units"]["named"] == 1 && desk["redriven"] == 1
    };
    // Listing has the desk show itself, which it does not while nothing happens.
    until(&scene, &["conflicts"], is_named).await;
    let written: i64 = legacy(&scene)
        .query_row("SELECT COUNT(*) FROM TB_RESV WHERE IF_OP_ID IS NOT NULL AND STAT_CD <> 'C'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(written, 1);
    let metrics = reqwest::get(format!("http://{}/metrics", scene.observe)).await.unwrap().text().await.unwrap();
    for line in ["slotbridge_displaced{reason=\"legacy_refused\"} 1", "slotbridge_units{state=\"named\"} 1"] {
        assert!(metrics.contains(line), "{line}:\n{metrics}");
    }
    assert_eq!(process.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_cut_is_believed_once_an_operator_confirms_it() {
    let scene = Scene::with(4, 80, 100, |stage| {
        stage.config.capture.full_cut_interval_s = 1;
        // Nothing is held: a slot with units of the bridge is not deleted.
        stage.config.desk.prewarm_units = 0;
    });
    let mut process = scene.spawn();
    scene.ready(&mut process).await;
    let (code, _, errors) = cli(&scene, &["capture", "confirm", "slot"]);
    assert!(code == Some(1) && errors.contains("not_refused"), "{errors}");
    assert_eq!(json_of(&scene, &["status"])["daemon"]["slots"], 80);
    let gone = "DELETE FROM TB_SLOT WHERE SLOT_NO IN (SELECT SLOT_NO FROM TB_SLOT LIMIT 30)";
    let gone = legacy(&scene).execute(gone, []).unwrap();
    assert!(gone > 16, "{gone} of 80 is no suspicious loss");
    let refused = |all: &Value| all["freshness"]["refused_cuts"] != json!([]);
    let status = until(&scene, &["status"], refused).await;
    assert_eq!(status["freshness"]["refused_cuts"], json!([format!("slot: {gone} of 80 rows lost")]));
    let confirmed = json_of(&scene, &["capture", "confirm", "slot"]);
    assert_eq!(confirmed, json!({ "confirmed": "slot", "known_rows": 80, "lost_rows": gone }));
    until(&scene, &["status"], |all| !refused(all) && all["daemon"]["slots"] == 80 - gone).await;
    assert_eq!(process.stop(), Some(0));
}
