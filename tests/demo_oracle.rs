//! The demonstration through the Oracle adapter and its double: each mode, with the agency's vices and with faults all
//! the while; the verdict must be right, and there must have been something to be right about.

mod oracle_kit;

use std::process::Command;

const SECONDS: &str = "6";
/// Kinds of faults that there are; a run in which only some struck shows less.
const KINDS_MIN: usize = 5;

struct Ran {
    verdict: serde_json::Value,
    errors: String,
}

/// Runs it to its end, which must be the verdict and exit 0: a daemon that had exited would be another.
fn ran(args: &[&str]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_slotbridge"))
        .args(["demo", "--json", "--for", SECONDS, "--slots", "300", "--people", "3000", "--vices"])
        .args(args)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    let verdict: serde_json::Value =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{errors}"));
    assert_eq!((output.status.code(), &verdict["right"]), (Some(0), &true.into()), "{args:?}: {verdict:#}{errors}");
    Ran { verdict, errors }
}

impl Ran {
    fn count(&self, what: &str) -> u64 {
        let findings = self.verdict["findings"].as_array().unwrap();
        let finding = findings.iter().find(|finding| finding["what"].as_str().unwrap().starts_with(what));
        finding.unwrap_or_else(|| panic!("{what}: {:#}", self.verdict))["count"].as_u64().unwrap()
    }

    /// Bookings were made, the agency edited, and nothing of what must not be is there.
    fn is_worth_something(&self) {
        for what in ["bookings acknowledged", "legacy: reservations made by", "agency: slots that it edited"] {
            assert!(self.count(what) > 0, "{what}: {:#}", self.verdict);
        }
        for what in ["legacy: slots oversold", "legacy: persons with two", "answers outside", "write-backs still"] {
            assert_eq!(self.count(what), 0, "{what}: {:#}", self.verdict);
        }
    }
}

fn through_the_double(args: &[&str]) -> Ran {
    oracle_kit::artefacts();
    let run = ran(&[&["--legacy", "oracle-double", "--faults"], args].concat());
    run.is_worth_something();
    let kinds = run.verdict["faults"].as_object().unwrap();
    assert!(kinds.len() >= KINDS_MIN, "{kinds:?}");
    assert_eq!(kinds.values().map(|count| count.as_u64().unwrap()).sum::<u64>(), run.count("faults injected"));
    run
}

#[test]
fn a_counter_that_the_application_keeps_is_right_through_the_double() {
    let run = through_the_double(&["--mode", "counter", "--seed", "11"]);
    assert!(run.count("desk: slots mended") > 0, "a recount forgot the escrow: {:#}", run.verdict);
}

#[test]
fn a_counter_that_a_trigger_keeps_is_right_through_the_double() {
    let run = through_the_double(&["--mode", "counter", "--maintained", "trigger", "--seed", "12"]);
    assert!(run.count("desk: slots mended") > 0, "{:#}", run.verdict);
}

#[test]
fn a_lowered_capacity_is_right_through_the_double() {
    through_the_double(&["--mode", "capacity", "--seed", "13"]);
}

#[test]
fn assigned_quota_is_right_through_the_double_by_the_agencys_package() {
    let run = through_the_double(&["--mode", "quota", "--body", "procedure", "--seed", "14"]);
    assert!(run.count("agency: units assigned") > 0, "{:#}", run.verdict);
}

#[test]
fn bookings_on_request_come_to_an_end_through_the_double() {
    let run = through_the_double(&["--mode", "on_request", "--seed", "15"]);
    assert!(run.count("pending, then booked") > 0, "{:#}", run.verdict);
    assert_eq!(run.count("pending without an end"), 0);
}

#[test]
fn a_lowered_capacity_is_right_on_the_embedded_system() {
    let run = ran(&["--mode", "capacity", "--seed", "16"]);
    run.is_worth_something();
    assert!(!run.errors.contains("ERROR"), "{}", run.errors);
}

#[test]
fn faults_without_the_double_are_refused() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_slotbridge"));
    let output = command.args(["demo", "--json", "--faults", "--for", "1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["error"]["code"], "faults", "{json}");
}
