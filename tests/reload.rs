//! Other mappings for a daemon that runs as a process of its own, under readers that go on.

mod daemon_kit;

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Instant;

use daemon_kit::{Items, PATIENCE, Partner, Process, Scene};
use serde_json::Value;

/// Edits a file of the scene's mappings; `from` must stand there.
fn edit(scene: &Scene, file: &str, from: &str, to: &str) -> (PathBuf, String) {
    let path = scene.stage.config.mappings.dir.join(file);
    let before = std::fs::read_to_string(&path).expect("a shipped file");
    assert!(before.contains(from), "{file} holds {from}");
    std::fs::write(&path, before.replacen(from, to, 1)).expect("a file that can be written");
    (path, before)
}

fn slotbridge(scene: &Scene, args: &[&str]) -> Output {
    let config = scene.config_file.to_str().expect("a path");
    let mut command = Command::new(env!("CARGO_BIN_EXE_slotbridge"));
    command.args(args).args(["--config", config, "--json"]).output().expect("it runs")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

/// A partner that keeps its cursor.
struct Follower {
    partner: Partner,
    next: String,
    held: Items,
}

impl Follower {
    fn new(partner: Partner) -> Follower {
        Follower { partner, next: "/v1/feeds/slots?limit=500".to_owned(), held: Items::new() }
    }

    /// Follows to a last page.
    async fn follow(&mut self) {
        loop {
            let (status, page) = self.partner.get(&self.next).await;
            assert_eq!(status, 200, "{page}");
            let items = page["items"].as_array().expect("items");
            for item in items {
                let id = item["id"].as_str().expect("an id").to_owned();
                match item["state"] == "deleted" {
                    true => drop(self.held.remove(&id)),
                    false => drop(self.held.insert(id, item["data"].clone())),
                }
            }
            let next = page["next"].as_str().expect("a next link");
            self.next = next.strip_prefix(&self.partner.base).expect("a link of this service").to_owned();
            if items.is_empty() {
                return;
            }
        }
    }

    fn labels(&self) -> std::collections::BTreeSet<String> {
        self.held.values().filter_map(|data| data["remaining_bucket"].as_str()).map(str::to_owned).collect()
    }
}

/// Until what a new reader gets has the label.
async fn shown(scene: &Scene, label: &str) -> Items {
    let has = |items: &Items| items.values().any(|data| data["remaining_bucket"] == label);
    scene.published("slots", has).await
}

fn hang_up(process: &Process) {
    let sent = Command::new("kill").args(["-HUP", &process.0.id().to_string()]).status().expect("kill is there");
    assert!(sent.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partners_read_on_while_mappings_change_and_a_failed_reload_changes_nothing() {
    let scene = Scene::new(11, 400, 20);
    let mut process = scene.spawn();
    scene.ready(&mut process).await;
    shown(&scene, "10+").await;
    let mut follower = Follower::new(scene.client(0));
    follower.follow().await;
    let before = follower.labels();

    // By command: kakao's mapping stays, naver's changes.
    edit(&scene, "naver/slots.toml", "\"10+\"", "\"10 or more\"");
    scene.approve();
    let done = slotbridge(&scene, &["reload"]);
    assert_eq!(done.status.code(), Some(0), "{done:?}\n{}", scene.log());
    let done = json(&done);
    let changed = &done["mappings"][0];
    assert_eq!(
        (changed["mapping"].as_str(), done["mappings"].as_array().map(Vec::len)),
        (Some("naver.slots"), Some(1))
    );
    assert!(changed["from"] != changed["to"] && done["items_changed"].as_u64() > Some(0), "{done}");
    follower.follow().await;
    assert_eq!(follower.held, scene.client(0).harvest("slots").await, "nothing missed, nothing come back");
    assert!(follower.labels().contains("10 or more") && !follower.labels().contains("10+"), "{before:?}");
    assert!(shown_to_kakao(&scene).await.contains("10+"));

    // A mapping that does not load, one that needs another column, and a configuration with a mistake.
    let same = follower.held.clone();
    for (file, from, to, code) in [
        ("naver/slots.toml", "format = 1", "format = 1\nfromat = 1", "mappings"),
        ("naver/sites.toml", "op = \"", "op = \"un", "mappings"),
    ] {
        let (path, text) = edit(&scene, file, from, to);
        let failed = slotbridge(&scene, &["reload"]);
        assert_eq!(failed.status.code(), Some(1), "{failed:?}");
        let told = String::from_utf8_lossy(&failed.stderr).into_owned() + &String::from_utf8_lossy(&failed.stdout);
        assert!(told.contains(file) && told.contains(code), "{told}");
        std::fs::write(&path, text).expect("as it was");
    }
    follower.follow().await;
    assert_eq!(follower.held, same);

    // By signal.
    edit(&scene, "naver/slots.toml", "\"10 or more\"", "\"many\"");
    scene.approve();
    hang_up(&process);
    shown(&scene, "many").await;
    follower.follow().await;
    assert_eq!(follower.held, scene.client(0).harvest("slots").await);

    let status = json(&slotbridge(&scene, &["status"]));
    let lines = status["mappings"].as_array().expect("a section");
    assert!(lines.iter().any(|line| line["mapping"] == "naver.slots" && line["standing"] == "in_force"), "{status}");
    let last = follower.held.clone();
    assert_eq!(process.stop(), Some(0));

    // What was reloaded is what the next start publishes.
    let mut process = scene.spawn();
    scene.ready(&mut process).await;
    let until = Instant::now() + PATIENCE;
    follower.follow().await;
    assert_eq!(follower.held.len(), last.len(), "{}", scene.log());
    assert!(follower.labels().contains("many") && Instant::now() < until);
    assert_eq!(process.stop(), Some(0));
}

async fn shown_to_kakao(scene: &Scene) -> std::collections::BTreeSet<String> {
    let mut kakao = Follower::new(scene.client(1));
    kakao.follow().await;
    kakao.labels()
}
