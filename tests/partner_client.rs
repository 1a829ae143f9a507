//! The reference client: against the real daemon, and against a bridge that answers as scripted.

mod daemon_kit;
#[path = "partner_client/scripted.rs"]
mod scripted;

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use daemon_kit::{Items, PATIENCE, Process, Scene};
use serde_json::Value;
use slotbridge::partner::{Access, Bridge, Store};

pub fn private(path: &Path, text: &str) {
    let file = std::fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.expect("a file").write_all(text.as_bytes()).expect("written");
}

/// The command line of the first partner.
struct Cli {
    dir: PathBuf,
    base: String,
}

impl Cli {
    fn new(scene: &Scene) -> Cli {
        let dir = scene.dir().join("partner");
        std::fs::create_dir(&dir).expect("a folder");
        private(&dir.join("key"), &scene.stage.keys[0]);
        Cli { dir, base: scene.stage.base.clone() }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_slotbridge"));
        command.args(["--json", "partner"]).args(args).current_dir(&self.dir).stdin(Stdio::null());
        command.env("SLOTBRIDGE_PARTNER_URL", &self.base).env("SLOTBRIDGE_PARTNER_KEY_FILE", "key");
        command.env("SLOTBRIDGE_PARTNER_STORE", "store");
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("it runs")
    }

    fn done(&self, args: &[&str]) -> Value {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    fn code(&self, args: &[&str]) -> (Option<i32>, String) {
        let output = self.run(args);
        let json: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (output.status.code(), json["error"]["code"].as_str().unwrap_or_default().to_owned())
    }

    fn held(&self, feed: &str) -> Items {
        let store = Store::open(&self.dir.join("store"), &self.base).expect("the store");
        let mut items = Items::new();
        store.each(feed, |id, data: Value| drop(items.insert(id.to_owned(), data))).expect("items");
        items
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_killed_at_any_moment_ends_with_exactly_what_is_published() {
    let scene = Scene::new(51, 300, 200);
    let mut process = scene.spawn();
    scene.ready(&mut process).await;
    scene.published("slots", |items| items.len() >= 200).await;
    let cli = Cli::new(&scene);
    let legacy = rusqlite::Connection::open(&scene.stage.legacy).expect("the legacy system");
    legacy.busy_timeout(PATIENCE).expect("a timeout");
    let mut random = 0x9E37_79B9_u64;
    for turn in 0..8 {
        let follower = cli.command(&["pull", "all", "--follow"]).stdout(Stdio::null()).spawn().expect("it runs");
        // Ends with the test too.
        let follower = Process(follower);
        let state = if turn % 2 == 0 { '2' } else { '1' };
        let sql = format!(
            "UPDATE TB_SLOT SET STAT_CD = '{state}', UPD_DT = strftime('%Y-%m-%d %H:%M:%S', 'now', '+9 hours')
             WHERE CAST(substr(SLOT_NO, -3) AS INTEGER) % 3 = {}",
            turn % 3
        );
        legacy.execute(&sql, []).expect("the agency edits");
        if turn == 4 {
            process.kill();
            process = scene.spawn();
            scene.ready(&mut process).await;
        }
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let moment = Instant::now() + std::time::Duration::from_millis(random >> 55);
        tokio::time::timeout_at(moment.into(), std::future::pending::<()>()).await.expect_err("nothing else happens");
        follower.kill();
    }
    let until = Instant::now() + PATIENCE;
    loop {
        assert!(cli.run(&["pull", "all"]).status.success());
        let mut same = BTreeMap::new();
        for feed in ["slots", "sites", "eligibility", "bookings"] {
            let published = scene.client(0).harvest(feed).await;
            same.insert(feed, published == cli.held(feed) && (feed == "bookings" || !published.is_empty()));
        }
        // The feed may move between the two readings, but not for ever: nobody edits any more.
        if same.values().all(|same| *same) {
            break;
        }
        assert!(Instant::now() < until, "{same:?}\n{}", scene.log());
    }
    assert!(!scene.log().contains("ERROR"), "{}", scene.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_loop_books_once_and_a_wrong_key_is_told() {
    let scene = Scene::new(52, 200, 200);
    let mut process = scene.spawn();
    scene.ready(&mut process).await;
    scene.published("sites", |items| !items.is_empty()).await;
    let bookable =
        |slot: &Value| slot["series"] == "covid19-1" && slot["status"] == "open" && slot["remaining_bucket"] != "0";
    scene.published("slots", |items| items.values().any(bookable)).await;
    let cli = Cli::new(&scene);
    let free = slotbridge::demo::stage::those_free(&scene.stage, 200).expect("persons");
    let ci = scene.ci(free[0]);
    private(&cli.dir.join("ci"), &ci);
    let receipt = |file: &str| {
        let receipt = (scene.stage.consent)("naver", "covid19-1", &ci).expect("a receipt");
        private(&cli.dir.join(file), &receipt);
    };
    assert!(cli.run(&["pull", "all"]).status.success());
    receipt("receipt");
    let token = ["token", "--partner", "naver", "--ci-file", "ci", "--receipt-file", "receipt"];
    let given = cli.done(&token);
    private(&cli.dir.join("token"), given["person"].as_str().expect("a token"));
    assert_eq!(cli.code(&token), (Some(1), "receipt_used".to_owned()));
    let book = ["book", "--token-file", "token", "--series", "covid19-1"];
    let booked = cli.done(&book);
    assert_eq!((&booked["outcome"], &booked["refused_before"]), (&"accepted".into(), &0.into()), "{booked}");
    let id = booked["booking"]["id"].as_str().expect("an id");
    let again: Value = serde_json::from_slice(&cli.run(&book).stdout).expect("JSON");
    assert_eq!((&again["outcome"], &again["code"]), (&"refused".into(), &"person_already_booked".into()));
    assert_eq!(cli.done(&["status", id])["id"], id);
    assert!(cli.done(&["cancel", id])["status"].as_str().is_some_and(|status| status.starts_with("cancel")));
    assert_eq!(cli.done(&["book", "--resume"])["requests"], serde_json::json!([]), "nothing is open");
    private(&cli.dir.join("key"), "test_nobody-knows-this-key");
    assert_eq!(cli.code(&["pull", "slots"]), (Some(1), "unauthenticated".to_owned()));
    assert_eq!(cli.code(&["pull", "slots", "--url", "http://127.0.0.1:1"]).1, "other_bridge");
    let store = std::fs::read(cli.dir.join("store/partner.db")).expect("the store");
    assert!(!store.windows(ci.len()).any(|part| part == ci.as_bytes()), "a CI is in the store");
}

pub fn bridge(dir: &Path, base: &str) -> (Bridge, Store) {
    slotbridge::app::install_crypto();
    private(&dir.join("key"), "test_key");
    let access = Access::read(base, &dir.join("key"), None).expect("an access");
    (Bridge::new(&access).expect("a client"), Store::open(&dir.join("store"), base).expect("a store"))
}
