//! `mappings risk` from outside: over the example legacy system, and back into the linter.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use slotbridge::privacy::risk::RiskReports;

fn run(dir: &Path, args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_slotbridge"));
    let output = command.env_clear().args(args).current_dir(dir).output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap())
}

/// A folder as `init` writes it.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let (code, text) = run(dir.path(), &["init", "."]);
    assert_eq!(code, Some(0), "{text}");
    dir
}

fn with_legacy() -> tempfile::TempDir {
    let dir = folder();
    let (code, text) = run(dir.path(), &["legacy", "generate", "--slots", "400", "--people", "300"]);
    assert_eq!(code, Some(0), "{text}");
    dir
}

#[test]
fn small_slots_are_counted_and_tell_only_whether_they_are_bookable() {
    let dir = with_legacy();
    let (code, text) = run(dir.path(), &["mappings", "risk"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("no feed with persons in it was measured"), "{text}");
    assert!(text.contains("naver.sites: 사람과 회차가 없어"), "{text}");
    assert!(text.contains("all tell only bookable or full, on ticks of 10000 ms"), "{text}");
    assert!(text.contains("the partner's role is exempt"), "{text}");
    let (_, json) = run(dir.path(), &["mappings", "risk", "naver.slots", "--json"]);
    let told: Value = serde_json::from_str(&json).unwrap();
    let slots = &told["slots"][0];
    assert_eq!((&told["reports"], told["slots"].as_array().unwrap().len()), (&serde_json::json!([]), 1));
    assert!(slots["small"].as_u64().unwrap() > 0 && slots["small"].as_u64() < slots["slots"].as_u64(), "{slots}");
    assert_eq!((&slots["telling"], &slots["capacity_max"]), (&Value::from(0), &Value::from(3)));
}

/// What a feed with persons in it must say.
const PERSONS: &str = r#"
[risk]
k_min = 20
small_cell = "halt"
quasi = []
[lookup]
persons_per_day_max = 100
persons_per_epoch_max = 1000
[erasure]
acknowledge_hours_max = 24
"#;

#[test]
fn what_was_measured_is_what_the_linter_takes() {
    let dir = with_legacy();
    // Cohorts told as if they were persons: eight rows, each a group of its own.
    let file = dir.path().join("mappings/naver/eligibility.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let edits = [
        ("name = \"name\"\n", "name = \"name\"\ninside = \"label\"\n"),
        ("mode = \"rules\"", "mode = \"rules\"\nmembership = \"sticky\""),
        ("none-not-personal", "pipa-26"),
    ];
    let text = edits.iter().fold(text, |text, (from, to)| text.replacen(from, to, 1));
    std::fs::write(&file, format!("{text}{PERSONS}")).unwrap();
    let (code, text) = run(dir.path(), &["mappings", "risk", "naver.eligibility", "--out", "risk.json"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("may not be built: small_cells, homogeneous"), "{text}");
    assert!(text.contains("1 (k_min 20)") && text.contains("1.0000"), "{text}");
    std::fs::write(dir.path().join("empty.json"), "{\"reports\": []}").unwrap();
    let bytes = std::fs::read(dir.path().join("risk.json")).unwrap();
    let reports = RiskReports::parse(&bytes).unwrap();
    let report = reports.of("naver.eligibility", 1).unwrap();
    assert_eq!((report.rows, report.rows_under_k, report.k_smallest), (8, 8, Some(1)));
    assert_eq!(report.histogram, [(1, 8)].into());
    let lint = |more: &[&str]| run(dir.path(), &[&["mappings", "lint", "mappings"], more].concat());
    let judged = ["L404", "L408"];
    let (code, text) = lint(&["--risk", "risk.json"]);
    assert!(code == Some(1) && judged.iter().all(|rule| text.contains(rule)), "{text}");
    assert!(!text.contains("L403"), "this version was measured: {text}");
    let (_, text) = lint(&[]);
    assert!(!judged.iter().any(|rule| text.contains(rule)), "{text}");
    let (_, text) = lint(&["--risk", "empty.json"]);
    assert!(text.contains("L403") && !text.contains("L408"), "{text}");
    std::fs::write(dir.path().join("broken.json"), &bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(run(dir.path(), &["mappings", "lint", "mappings", "--risk", "broken.json"]).0, Some(2));
}

#[test]
fn small_slots_that_were_seen_to_tell_more_are_a_finding() {
    let dir = with_legacy();
    let (_, json) = run(dir.path(), &["mappings", "risk", "naver.slots", "--json"]);
    let mut reports: RiskReports = serde_json::from_str(&json).unwrap();
    let lint = |reports: &RiskReports| {
        std::fs::write(dir.path().join("risk.json"), serde_json::to_vec(reports).unwrap()).unwrap();
        run(dir.path(), &["mappings", "lint", "mappings", "--risk", "risk.json"]).1
    };
    assert!(!lint(&reports).contains("L412"));
    reports.slots[0].telling = 1;
    assert!(lint(&reports).contains("L412"));
}

#[test]
fn nothing_is_read_where_there_is_nothing_to_count() {
    let dir = folder();
    let (code, text) = run(dir.path(), &["mappings", "risk", "naver.sites"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("no persons and no slots in it"), "{text}");
    let (code, text) = run(dir.path(), &["mappings", "risk", "naver.slots"]);
    assert_eq!(code, Some(74), "{text}");
    assert!(text.contains("is not there"), "{text}");
    assert!(!std::fs::read_dir(dir.path()).unwrap().any(|e| e.unwrap().path().extension().is_some_and(|e| e == "db")));
    let (code, text) = run(dir.path(), &["mappings", "risk", "naver.nothing"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("choose one of: audit.sites"), "{text}");
}
