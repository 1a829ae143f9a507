//! The evidence log of a daemon that ran, looked at from outside: what left and who looked is in it, a killed process
//! leaves a log that verifies, damage ends with exit 1, partners sign heads.

use std::fs;
use std::path::Path;
use std::process::Command;

#[path = "daemon_kit/mod.rs"]
mod daemon_kit;

use daemon_kit::Scene;
use slotbridge::evidence;

impl Scene {
    fn data(&self) -> &Path {
        &self.stage.config.daemon.data_dir
    }

    fn run(&self, args: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_slotbridge"));
        let output = command.args(args).env("SLOTBRIDGE_CONFIG", &self.config_file).output().expect("it runs");
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).expect("UTF-8"))
    }

    fn done(&self, args: &[&str]) -> String {
        let (code, text) = self.run(args);
        assert_eq!(code, Some(0), "{args:?}: {text}");
        text
    }

    /// Writes what a command prints into a file.
    fn kept(&self, name: &str, args: &[&str]) -> String {
        let path = self.dir().join(name);
        fs::write(&path, self.done(args)).expect("a file");
        path.display().to_string()
    }
}

#[test]
fn a_daemon_writes_down_what_left_and_who_looked_and_damage_is_named() {
    let scene = Scene::new(7, 60, 200);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut process = scene.spawn();
    let slots = runtime.block_on(async {
        scene.ready(&mut process).await;
        let slots = scene.published("slots", |items| items.len() > 10).await;
        scene.token(&scene.client(0), 3, "covid19-1").await;
        slots.len()
    });
    let data = scene.data().display().to_string();
    scene.done(&["conflicts", "--data-dir", &data]);
    let early = scene.kept("early.note", &["evidence", "checkpoint"]);
    process.kill();
    assert!(scene.done(&["evidence", "verify"]).contains("the evidence log is whole"), "after SIGKILL");
    let mut process = scene.spawn();
    runtime.block_on(scene.ready(&mut process));
    assert_eq!(process.stop(), Some(0));

    // What the first run published is told by the second at the latest.
    let log = evidence::left(&scene.data().join("evidence.sqlite")).expect("a log");
    let naver: Vec<_> = log.iter().map(|(_, left)| left).filter(|left| left.mapping == "naver.slots").collect();
    assert!(!naver.is_empty() && log.iter().any(|(_, left)| left.mapping == "kakao.slots"), "{log:?}");
    assert!(naver.iter().any(|left| left.rows as usize >= slots && left.sha256.len() == 64), "{naver:?}");
    assert!(naver.iter().all(|left| left.digest.len() == 64 && left.basis == "none-not-personal"), "{naver:?}");
    assert!(naver.windows(2).all(|pair| pair[0].position <= pair[1].after), "each item once: {naver:?}");

    let access = scene.done(&["evidence", "access", "--csv"]);
    assert!(access.contains("partner:naver") && access.contains("이용자 식별 토큰 발급"), "{access}");
    assert!(access.contains("uid ") && access.contains("admin socket") && access.contains("conflicts"), "{access}");
    let register = scene.done(&["evidence", "export", "--register", "26", "--format", "csv"]);
    assert!(register.starts_with("수탁자,") && register.contains("위탁-2026-001"), "{register}");
    assert_eq!(scene.done(&["evidence", "export", "--register", "17"]).lines().count(), 1, "nothing by 제17조");

    let key = scene.kept("log.key", &["evidence", "key"]);
    let late = scene.kept("late.note", &["evidence", "checkpoint"]);
    let keys = scene.dir().join("naver-keys").display().to_string();
    let by = ["evidence", "cosign", "--key-dir", &keys, "--name", "naver"];
    let naver_key = scene.kept("naver.key", &[&by[..], &["--show-key"]].concat());
    let copy = scene.data().join("evidence.sqlite").display().to_string();
    let seen = ["--log-key", &key, "--seen", &early, "--seen-log", &copy, &late];
    let cosigned = scene.kept("cosigned.note", &[&by[..], &seen].concat());
    let verify = ["evidence", "verify", "--key", &key, "--checkpoint", &early, "--checkpoint"];
    scene.done(&[&verify[..], &[&late]].concat());
    let by_naver = ["evidence", "verify", "--key", &key, "--cosigner", &naver_key, "--checkpoint"];
    scene.done(&[&by_naver[..], &[&cosigned]].concat());
    let (code, text) = scene.run(&[&by_naver[..], &[&late]].concat());
    assert!(code == Some(1) && text.contains("no signature of naver"), "{text}");

    let file = rusqlite::Connection::open(&copy).expect("the log");
    file.execute_batch("DROP TRIGGER leaf_kept; UPDATE leaf SET content = content || ' ' WHERE seq = 1")
        .expect("damage");
    drop(file);
    let (code, text) = scene.run(&["--json", "evidence", "verify"]);
    assert!(code == Some(1) && text.contains("\"edited\""), "{text}");
    let (code, _) = scene.run(&["evidence", "verify", "--data-dir", "/nowhere"]);
    assert_eq!(code, Some(74));
}
