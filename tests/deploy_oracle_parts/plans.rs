//! `check --plans` on good and bad spools, from outside.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::script::text;

fn judged(file: &Path) -> (Option<i32>, serde_json::Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_slotbridge"))
        .env_clear()
        .args(["check", "--json", "--plans"])
        .arg(file)
        .output()
        .unwrap();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/plans").join(name)
}

/// `code message` of each problem.
fn problems(value: &serde_json::Value) -> Vec<String> {
    let list = value["error"]["problems"].as_array().expect("problems");
    list.iter().map(|p| format!("{} {}", p["code"].as_str().unwrap(), p["message"].as_str().unwrap())).collect()
}

#[test]
fn good_plans_are_in_order() {
    let (exit, value) = judged(&fixture("good.txt"));
    assert_eq!(exit, Some(0), "{value}");
    let explained = text("60_explain.sql").matches("EXPLAIN PLAN SET STATEMENT_ID").count();
    assert_eq!(value["statements"], explained);
    assert!(text("60_explain.sql").contains(&format!("PROMPT end|{explained}\n")));
}

#[test]
fn bad_plans_exit_78_and_say_which_statement_and_why() {
    let (exit, value) = judged(&fixture("bad.txt"));
    assert_eq!(exit, Some(78));
    let told = problems(&value);
    for expected in [
        "plans.full_scan R.SINCE.SB_BOOKING reads TB_RESV from end to end",
        "plans.full_scan R.KEYS.SB_PERSON reads PK_PSN from end to end",
        "plans.full_scan W.RESV.FIND reads TB_RESV from end to end",
        "plans.cartesian R.CUT.SB_SLOT joins without a condition",
        "plans.no_statistics R.KEYS.SB_SLOT uses SB_ESCROW, of which the server has no statistics",
    ] {
        assert!(told.iter().any(|told| told == expected), "{expected} is not among {told:#?}");
    }
    let others = told.iter().filter(|told| !told.starts_with("plans.no_statistics")).count();
    assert_eq!(others, 4, "{told:#?}");
    assert!(value["error"]["problems"][0]["line"].as_u64().is_some_and(|line| line > 30), "{value}");
}

#[test]
fn a_spool_that_is_cut_short_or_holds_an_error_is_refused() {
    let (exit, value) = judged(&fixture("short.txt"));
    assert_eq!(exit, Some(78));
    let told = problems(&value);
    assert!(told.iter().any(|told| told.starts_with("plans.incomplete 5 of ")), "{told:#?}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plans.txt");
    let good = std::fs::read_to_string(fixture("good.txt")).unwrap();
    for (text, code) in [
        (good.lines().take(60).collect::<Vec<_>>().join("\n"), "plans.incomplete"),
        (good.replace("stmt|R.TAIL", "ORA-00942: table or view does not exist\nstmt|R.TAIL"), "plans.server_error"),
        (good.replace("slotbridge-plans|1|", "slotbridge-plans|9|"), "plans.format"),
        (String::new(), "plans.format"),
    ] {
        std::fs::write(&file, text).unwrap();
        let (exit, value) = judged(&file);
        assert_eq!(exit, Some(78), "{code}");
        assert!(problems(&value).iter().any(|told| told.starts_with(code)), "{code}: {value}");
    }
}
