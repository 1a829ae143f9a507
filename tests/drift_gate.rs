//! The drift gate over a daemon that runs: a column of an interface view is added, renamed and retyped, over the
//! embedded system and over the Oracle double.

mod daemon_kit;
#[allow(dead_code, reason = "the tests of the off switch use the rest")]
mod oracle_daemon_parts;
mod oracle_kit;
#[path = "deploy_oracle_parts/script.rs"]
#[allow(dead_code, reason = "the linter of the scripts uses the rest")]
mod script;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use daemon_kit::{PATIENCE, Process, Scene};
use oracle_daemon_parts::bridge::Bridge;
use rusqlite::Connection;
use serde_json::Value;
use slotbridge::domain::AllotmentMode;

/// Stands in the new column of every row.
const MARK: &str = "QzPw7-new-column";
const NEW_COLUMN: &str = "QZPW_NEW";

struct Change {
    /// In the text of the view, and what is written there.
    from: &'static str,
    to: &'static str,
    says: &'static str,
}

const ADDED: Change = Change {
    from: "T.UPD_DT AS UPD_DT\nFROM",
    to: "T.UPD_DT AS UPD_DT, 'QzPw7-new-column' AS QZPW_NEW\nFROM",
    says: "SB_SITE: QZPW_NEW is not in the catalogue",
};
/// Withheld from everybody, so it is never fetched.
const RENAMED: Change = Change {
    from: "T.RMK AS MEMO",
    to: "T.RMK AS MEMO2",
    says: "SB_SITE: MEMO is missing; MEMO2 is not in the catalogue",
};
const RETYPED: Change = Change {
    from: "T.CHRG_TEL AS MANAGER_TEL",
    to: "O.V AS MANAGER_TEL",
    says: "SB_SITE: MANAGER_TEL is declared text and is",
};

struct Legacy {
    connection: Connection,
    /// As the view was made.
    view: String,
}

impl Legacy {
    fn open(path: &Path) -> Legacy {
        let connection = Connection::open(path).unwrap();
        connection.busy_timeout(PATIENCE).unwrap();
        connection.execute_batch("CREATE TABLE TB_ODD (V CLOB)").unwrap();
        let sql = "SELECT sql FROM sqlite_master WHERE name = 'SB_SITE'";
        let view = connection.query_row(sql, [], |row| row.get(0)).unwrap();
        Legacy { connection, view }
    }

    fn replace(&self, view: &str) {
        self.connection.execute_batch(&format!("BEGIN IMMEDIATE; DROP VIEW SB_SITE; {view}; COMMIT;")).unwrap();
    }

    fn change(&self, change: &Change) {
        assert!(self.view.contains(change.from), "{}", self.view);
        // The join is only used by what is retyped.
        self.replace(&format!("{} LEFT JOIN TB_ODD O ON 1 = 1", self.view.replace(change.from, change.to)));
    }

    fn put_back(&self) {
        self.replace(&self.view);
    }

    /// Another name of every site, and another state of every slot.
    fn go_on(&self, word: &str, state: char) {
        let now = "strftime('%Y-%m-%d %H:%M:%S', 'now', '+9 hours')";
        let sql = format!(
            "BEGIN IMMEDIATE; UPDATE TB_SITE SET SITE_NM = '{word}', UPD_DT = {now};
             UPDATE TB_SLOT SET STAT_CD = '{state}', UPD_DT = {now}; COMMIT;"
        );
        self.connection.execute_batch(&sql).unwrap();
    }
}

/// Feeds that stand still and why, of each partner.
async fn halted(scene: &Scene) -> BTreeMap<(usize, String), String> {
    let mut found = BTreeMap::new();
    for partner in 0..2 {
        let (status, list) = scene.client(partner).get("/v1/feeds").await;
        assert_eq!(status, 200, "{list}");
        for feed in list["feeds"].as_array().unwrap() {
            let reasons = feed["halted"].as_array().into_iter().flatten();
            let reasons: Vec<&str> = reasons.map(|halt| halt["reason"].as_str().unwrap()).collect();
            if !reasons.is_empty() {
                found.insert((partner, feed["name"].as_str().unwrap().to_owned()), reasons.join(" "));
            }
        }
    }
    found
}

async fn until<T>(scene: &Scene, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    let mut pause = tokio::time::interval(Duration::from_millis(20));
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < until, "{what}: not within {PATIENCE:?}\n{}", scene.log());
        pause.tick().await;
    }
}

fn all(items: &daemon_kit::Items, field: &str, wanted: &str) -> bool {
    !items.is_empty() && items.values().all(|item| item[field] == wanted)
}

async fn text(scene: &Scene, path: &str) -> String {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.get(format!("http://{}{path}", scene.observe)).send().await.unwrap().text().await.unwrap()
}

/// Changes the view, sees its feeds held and the others go on, puts it back and sees them catch up.
async fn drift(scene: &Scene, legacy: &Legacy, change: &Change, turn: usize) {
    let before = scene.client(0).harvest("sites").await;
    legacy.change(change);
    until(scene, "the feeds that read the view are held", async || {
        let found = halted(scene).await;
        let wanted = [((0, "sites".to_owned()), "drift".to_owned()), ((1, "sites".to_owned()), "drift".to_owned())];
        (found == wanted.into()).then_some(())
    })
    .await;
    let (name, state) = (format!("name {turn}"), if turn.is_multiple_of(2) { '2' } else { '1' });
    let shown = if turn.is_multiple_of(2) { "closed" } else { "open" };
    legacy.go_on(&name, state);
    scene.published("slots", |slots| all(slots, "status", shown)).await;
    assert_eq!(scene.client(0).harvest("sites").await, before, "the last published state");
    let metrics = text(scene, "/metrics").await;
    for (feed, value) in [("sites", 1), ("slots", 0)] {
        let line = format!("slotbridge_feed_held{{partner=\"kakao\",feed=\"{feed}\",reason=\"drift\"}} {value}");
        assert!(metrics.contains(&line), "{line}\n{metrics}");
    }
    let log = scene.log();
    let said = log.lines().filter(|line| line.contains("ERROR") && line.contains(change.says)).count();
    assert_eq!(said, 1, "{log}");
    legacy.put_back();
    scene.published("sites", |sites| all(sites, "name", &name)).await;
    assert_eq!(halted(scene).await, BTreeMap::new());
}

fn adjust(config: &mut slotbridge::config::Config) {
    config.log.filter = "debug".to_owned();
    config.capture.drift_interval_s = 1;
    // Sites are read by full cuts only.
    config.capture.full_cut_interval_s = 1;
}

async fn all_changes(scene: &Scene, mut process: Process) {
    scene.ready(&mut process).await;
    scene.published("sites", |sites| !sites.is_empty()).await;
    scene.published("slots", |slots| !slots.is_empty()).await;
    let legacy = Legacy::open(&scene.stage.legacy);
    for (turn, change) in [ADDED, RENAMED, RETYPED].iter().enumerate() {
        drift(scene, &legacy, change, turn).await;
    }
    assert_eq!(process.stop(), Some(0), "{}", scene.log());
    let errors: Vec<String> = scene.log().lines().filter(|line| line.contains("ERROR")).map(str::to_owned).collect();
    assert_eq!(errors.len(), 3, "{errors:#?}");
    assert!(!scene.log().contains(MARK), "the log holds a value of the new column");
    let mut files = 0;
    for entry in walk(&scene.stage.config.daemon.data_dir) {
        let bytes = std::fs::read(&entry).unwrap();
        assert!(!bytes.windows(MARK.len()).any(|part| part == MARK.as_bytes()), "{}", entry.display());
        files += 1;
    }
    assert!(files > 3, "{files} files looked at");
}

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] })
        .filter(|path| path.is_file())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_that_changed_halts_just_the_feeds_that_read_it_embedded() {
    let scene = Scene::with(2_701, 30, 60, |stage| adjust(&mut stage.config));
    let process = scene.spawn();
    all_changes(&scene, process).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_that_changed_halts_just_the_feeds_that_read_it_oracle() {
    let bridge = Bridge::new(AllotmentMode::Counter, 2_702, 30, 60, adjust);
    let process = bridge.scene.spawn();
    all_changes(&bridge.scene, process).await;
    assert!(bridge.server.counts("%SB_SITE%").calls > 0);
    assert_eq!(bridge.server.counts(&format!("%{NEW_COLUMN}%")).calls, 0, "the new column is in no statement");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_starts_over_a_changed_view_publishes_nothing_of_it() {
    let scene = Scene::with(2_703, 30, 60, |stage| adjust(&mut stage.config));
    let mut process = scene.spawn();
    scene.ready(&mut process).await;
    let before = scene.published("sites", |sites| !sites.is_empty()).await;
    assert_eq!(process.stop(), Some(0), "{}", scene.log());
    let legacy = Legacy::open(&scene.stage.legacy);
    legacy.change(&RENAMED);
    legacy.go_on("unseen", '2');
    process = scene.spawn();
    scene.ready(&mut process).await;
    scene.published("slots", |slots| all(slots, "status", "closed")).await;
    assert_eq!(halted(&scene).await.len(), 2);
    assert_eq!(scene.client(0).harvest("sites").await, before);
    let (code, status) = status(&scene);
    assert_eq!((code, &status["capture"]["drifted"]["site"]), (Some(0), &Value::from(RENAMED.says)), "{status}");
    process.stop();
    let (code, text, errors) = run(&scene, &["check", "--connect"]);
    assert!(code != Some(0) && text.contains(RENAMED.says), "{text}{errors}");
}

/// Exit code, output, errors.
fn run(scene: &Scene, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_slotbridge"));
    let output = command.args(args).arg("--config").arg(&scene.config_file).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn status(scene: &Scene) -> (Option<i32>, Value) {
    let (code, text, _) = run(scene, &["status", "--json"]);
    (code, serde_json::from_str(&text).unwrap())
}
