//! The command line from outside: help, exit codes, problems, closed pipes.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

fn slotbridge() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_slotbridge"));
    command.env_clear().env("COLUMNS", "110");
    command
}

fn run(dir: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let output = slotbridge().args(args).current_dir(dir).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

// Without the adapter there is no command `sql`.
#[cfg(feature = "oracle")]
#[test]
fn help_is_as_documented() {
    let dir = tempfile::tempdir().unwrap();
    let (code, text, _) = run(dir.path(), &["--help"]);
    assert_eq!(code, Some(0));
    insta::assert_snapshot!(text);
}

#[cfg(feature = "oracle")]
#[test]
fn the_statements_sent_to_oracle_are_as_documented() {
    let dir = tempfile::tempdir().unwrap();
    let (code, text, _) = run(dir.path(), &["sql", "--list"]);
    assert_eq!(code, Some(0));
    insta::assert_snapshot!(text);
    let (code, json, _) = run(dir.path(), &["sql", "--list", "--json"]);
    assert_eq!(code, Some(0));
    let json: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
    let told = text.lines().filter(|line| line.starts_with("  who ")).count();
    assert_eq!(json.len(), told);
    for row in &json {
        assert!(text.contains(row["id"].as_str().unwrap()) && row["text"].is_string(), "{row}");
    }
    assert_eq!(run(dir.path(), &["sql"]).0, Some(2));
}

#[test]
fn init_writes_a_valid_folder_and_overwrites_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (code, text, _) = run(dir.path(), &["init", "bridge"]);
    assert_eq!(code, Some(0), "{text}");
    let bridge = dir.path().join("bridge");
    let (code, text, errors) = run(&bridge, &["check", "--offline"]);
    assert_eq!(code, Some(0), "{text}{errors}");
    std::fs::write(bridge.join("slotbridge.toml"), "# mine\n").unwrap();
    std::fs::remove_file(bridge.join("certs/server.key")).unwrap();
    let (code, _, errors) = run(dir.path(), &["init", "bridge"]);
    assert_eq!(code, Some(73));
    assert!(errors.contains("error[exists]"), "{errors}");
    assert_eq!(std::fs::read_to_string(bridge.join("slotbridge.toml")).unwrap(), "# mine\n");
    assert!(!bridge.join("certs/server.key").exists());
}

#[test]
fn secrets_written_by_init_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), &["init", "bridge"]);
    for key in ["server.key", "naver.key", "kakao.key"] {
        let mode = std::fs::metadata(dir.path().join("bridge/certs").join(key)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{key}");
    }
}

#[test]
fn a_wrong_configuration_exits_78_with_every_problem_and_no_colour() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("slotbridge.toml"), "[daemon]\ndata_dri = 1\n[listen]\nobserve = 7\n").unwrap();
    let (code, _, errors) = run(dir.path(), &["check", "--offline"]);
    assert_eq!(code, Some(78));
    assert!(errors.contains("did you mean `data_dir`?"), "{errors}");
    assert!(errors.contains("slotbridge.toml:2:1") && errors.contains("slotbridge.toml:4:11"), "{errors}");
    assert!(!errors.contains('\u{1b}'), "{errors}");
    let (code, json, _) = run(dir.path(), &["check", "--offline", "--json"]);
    assert_eq!(code, Some(78));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["error"]["problems"].as_array().map(Vec::len), Some(3), "{json}");
}

#[test]
fn no_daemon_exits_69() {
    let dir = tempfile::tempdir().unwrap();
    let (code, _, errors) = run(dir.path(), &["status", "--data-dir", "."]);
    assert_eq!(code, Some(69), "{errors}");
    assert!(errors.contains("error[no_daemon]"), "{errors}");
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let mut child =
        slotbridge().args(["config", "reference"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{errors}");
    assert_eq!(errors, "");
}
