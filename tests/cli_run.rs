//! The daemon from outside: start, readiness, status, stop, the lock, backup and restore.

mod approval_kit;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

struct Bridge {
    dir: tempfile::TempDir,
    partners: String,
    observe: String,
}

struct Daemon(Child, std::thread::JoinHandle<String>);

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

impl Bridge {
    /// `init`, and an example database.
    fn new() -> Bridge {
        let dir = tempfile::tempdir().unwrap();
        let bridge = Bridge { dir, partners: free_address(), observe: free_address() };
        let init = bridge.command(&["init", "."]).output().unwrap();
        assert!(init.status.success(), "{}", String::from_utf8_lossy(&init.stderr));
        let genesis = approval_kit::approve_folder(&bridge.path().join("mappings"), "slotbridge/dev");
        let file = bridge.path().join("slotbridge.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        let pinned = text.replacen("# genesis = \"3f1c…\"", &format!("genesis = \"{genesis}\""), 1);
        assert_ne!(text, pinned);
        std::fs::write(&file, pinned).unwrap();
        bridge.done(&["legacy", "generate", "--slots", "60", "--people", "200"]);
        bridge
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_slotbridge"));
        command.args(args).current_dir(self.path());
        command.env("SLOTBRIDGE_LISTEN_PARTNERS_HTTP", &self.partners);
        command.env("SLOTBRIDGE_LISTEN_OBSERVE", &self.observe);
        command
    }

    fn run(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let output = self.command(args).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    fn done(&self, args: &[&str]) -> String {
        let (code, text, errors) = self.run(args);
        assert_eq!(code, Some(0), "{args:?}: {text}{errors}");
        text
    }

    /// Starts the daemon and waits until it is ready.
    fn start(&self) -> Daemon {
        self.start_by(self.command(&["run"]))
    }

    fn start_by(&self, mut command: Command) -> Daemon {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("serving") {
            line.clear();
            assert!(errors.read_line(&mut line).unwrap() > 0, "the daemon ended");
        }
        let rest = std::thread::spawn(move || {
            let mut text = String::new();
            errors.read_to_string(&mut text).unwrap();
            text
        });
        let until = Instant::now() + PATIENCE;
        while !get(&self.observe, "/readyz", "").starts_with("HTTP/1.1 200") {
            assert!(Instant::now() < until, "not ready: {}", get(&self.observe, "/readyz", ""));
        }
        Daemon(child, rest)
    }
}

impl Daemon {
    /// SIGTERM; returns how long it took, and the log.
    fn stop(mut self) -> (Duration, String) {
        let began = Instant::now();
        assert!(Command::new("kill").arg(self.0.id().to_string()).status().unwrap().success());
        let status = self.0.wait().unwrap();
        let took = began.elapsed();
        let log = self.1.join().unwrap();
        assert_eq!(status.code(), Some(0), "{log}");
        (took, log)
    }
}

fn get(address: &str, path: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\r\n").unwrap();
    let mut text = Vec::new();
    stream.read_to_end(&mut text).unwrap();
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn init_check_run_status_stop_and_start_again() {
    let bridge = Bridge::new();
    bridge.done(&["check"]);
    let key: serde_json::Value = serde_json::from_str(&bridge.done(&["partner", "add", "naver", "--json"])).unwrap();
    let bearer = format!("Authorization: Bearer {}\r\n", key["key"].as_str().unwrap());
    let daemon = bridge.start();
    let feeds = get(&bridge.partners, "/v1/feeds", &bearer);
    assert!(feeds.starts_with("HTTP/1.1 200") && feeds.contains("\"slots\""), "{feeds}");
    assert!(get(&bridge.partners, "/v1/feeds", "").starts_with("HTTP/1.1 401"));
    assert!(get(&bridge.observe, "/metrics", "").contains("slotbridge_durable_position"));
    let status: serde_json::Value = serde_json::from_str(&bridge.done(&["status", "--json"])).unwrap();
    assert_eq!(status["daemon"]["slots"], 60, "{status:#}");
    assert_eq!(status["daemon"]["not_ready"], serde_json::json!([]));
    bridge.done(&["ledger", "snapshot"]);
    let (code, _, errors) = bridge.run(&["run"]);
    assert_eq!(code, Some(75), "{errors}");
    assert!(errors.contains("error[data_dir_in_use]"), "{errors}");
    let (took, log) = daemon.stop();
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(log.contains("stopped") && !log.contains("WARN") && !log.contains("ERROR"), "{log}");
    let position = status["daemon"]["position"].as_u64().unwrap();
    let daemon = bridge.start();
    let again: serde_json::Value = serde_json::from_str(&bridge.done(&["status", "--json"])).unwrap();
    assert!(again["daemon"]["position"].as_u64().unwrap() >= position);
    assert_eq!(again["daemon"]["slots"], 60);
    daemon.stop();
}

#[test]
fn a_backup_taken_beside_the_daemon_is_whole_and_restores_into_a_new_life() {
    let bridge = Bridge::new();
    let daemon = bridge.start();
    bridge.done(&["backup", "copy"]);
    daemon.stop();
    bridge.done(&["ledger", "verify"]);
    bridge.done(&["restore", "--verify", "copy"]);
    bridge.done(&["restore", "copy", "restored"]);
    let (code, _, errors) = bridge.run(&["restore", "copy", "restored"]);
    assert_eq!(code, Some(74), "{errors}");
    std::fs::rename(bridge.path().join("data"), bridge.path().join("lost")).unwrap();
    std::fs::rename(bridge.path().join("restored"), bridge.path().join("data")).unwrap();
    let (took, log) = bridge.start().stop();
    assert!(took < Duration::from_secs(5) && !log.contains("ERROR"), "{took:?} {log}");
}

#[test]
fn a_lost_register_is_not_started_over() {
    let bridge = Bridge::new();
    bridge.start().stop();
    std::fs::remove_file(bridge.path().join("data/register.sqlite")).unwrap();
    let (code, _, errors) = bridge.run(&["run"]);
    assert_eq!(code, Some(74), "{errors}");
    assert!(errors.contains("error[register_missing]"), "{errors}");
}

#[test]
fn a_mapping_that_leaks_is_refused_before_anything_starts() {
    let bridge = Bridge::new();
    let mapping: PathBuf = bridge.path().join("mappings/naver/slots.toml");
    let text = std::fs::read_to_string(&mapping).unwrap().replace("source = \"DUR_MIN\"", "source = \"MANAGER_NM\"");
    std::fs::write(&mapping, text).unwrap();
    for command in ["check", "run"] {
        let (code, _, errors) = bridge.run(&[command]);
        assert_eq!(code, Some(78), "{errors}");
        assert!(errors.contains("slots.toml:") && errors.contains("L201"), "{errors}");
    }
    assert!(!bridge.path().join("data/ledger").exists());
}

#[test]
fn check_connect_looks_at_the_embedded_system() {
    let bridge = Bridge::new();
    let wrong = |bridge: &Bridge| {
        let (code, text, errors) = bridge.run(&["check", "--connect", "--json"]);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}{errors}"));
        let findings = value["findings"].as_array().unwrap().iter();
        let failures = findings.filter(|f| matches!(f["level"].as_str(), Some("wrong" | "unknown")));
        let told: Vec<String> = failures.map(|f| f["found"].as_str().unwrap().to_owned()).collect();
        assert_eq!((value["ok"] == true, value["failures"].as_u64()), (code == Some(0), Some(told.len() as u64)));
        assert_eq!(code, Some(if told.is_empty() { 0 } else { 78 }), "{text}{errors}");
        told
    };
    assert_eq!(wrong(&bridge), Vec::<String>::new());
    let legacy = rusqlite::Connection::open(bridge.path().join("legacy.db")).unwrap();
    legacy.execute_batch("UPDATE SB_FENCE SET TOKEN = 'CLOSED'").unwrap();
    assert_eq!(wrong(&bridge), ["the fence is closed"]);
    let site = "SELECT sql FROM sqlite_master WHERE name = 'SB_SITE'";
    let site: String = legacy.query_row(site, [], |row| row.get(0)).unwrap();
    legacy.execute_batch(&format!("DROP VIEW SB_SITE; {}", site.replace(" AS ADDR,", " AS ADDRESS,"))).unwrap();
    assert_eq!(wrong(&bridge), ["SB_SITE: ADDR is missing; ADDRESS is not in the catalogue", "the fence is closed"]);
}
