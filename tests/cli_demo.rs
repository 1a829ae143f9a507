//! The demonstration from outside: both kinds of legacy system, and a real publication's shape.

use std::process::Command;

fn demo(args: &[&str]) -> (Option<i32>, serde_json::Value, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_slotbridge"))
        .args(["demo", "--json", "--for", "3", "--people", "3000"])
        .args(args)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    let json = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{errors}"));
    (output.status.code(), json, errors)
}

fn count(verdict: &serde_json::Value, what: &str) -> u64 {
    let findings = verdict["findings"].as_array().unwrap();
    let finding = findings.iter().find(|finding| finding["what"].as_str().unwrap().starts_with(what)).unwrap();
    finding["count"].as_u64().unwrap()
}

fn is_right(args: &[&str]) {
    let (code, verdict, errors) = demo(args);
    assert_eq!(code, Some(0), "{verdict:#}{errors}");
    assert_eq!(verdict["right"], true, "{verdict:#}");
    assert!(count(&verdict, "bookings acknowledged") > 0, "{verdict:#}");
    assert_eq!(count(&verdict, "legacy: slots oversold"), 0);
    assert_eq!(count(&verdict, "bookings on which ledger and legacy differ"), 0);
    assert!(!errors.contains("ERROR"), "{errors}");
}

#[test]
fn the_whole_loop_is_right_where_the_legacy_system_refuses_a_second_booking() {
    is_right(&["--slots", "400", "--person-constraint", "unique"]);
}

#[test]
fn the_whole_loop_is_right_where_nothing_in_the_legacy_system_refuses_a_second_booking() {
    is_right(&["--slots", "400", "--person-constraint", "none"]);
}

#[test]
fn a_publication_is_published_as_it_came() {
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/legacy");
    for input in ["smart", "cowin.json"] {
        let (code, verdict, errors) = demo(&["--no-traffic", "--import", fixtures.join(input).to_str().unwrap()]);
        assert_eq!(code, Some(0), "{input}: {verdict:#}{errors}");
        assert!(count(&verdict, "imported: published and equal") > 0, "{input}: {verdict:#}");
        assert!(
            count(&verdict, "imported: not usable or repeated") > 0,
            "{input} holds what cannot be used: {verdict:#}"
        );
        assert_eq!(count(&verdict, "imported: differences between published and input"), 0, "{input}");
    }
}

#[test]
fn an_input_that_cannot_be_used_is_named_and_exits_1() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("not.json");
    std::fs::write(&file, "{\"centers\":7}").unwrap();
    let (code, json, _) = demo(&["--import", file.to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert_eq!(json["error"]["code"], "import", "{json}");
}

#[test]
fn a_folder_that_is_not_empty_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("mine"), "").unwrap();
    let (code, json, _) = demo(&["--dir", dir.path().to_str().unwrap()]);
    assert_eq!((code, &json["error"]["code"]), (Some(73), &"not_empty".into()), "{json}");
}
