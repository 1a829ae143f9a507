//! `check --connect` and `doctor`, the real binary against the double: what is in order, and each mistake that a DBA or
//! an operator can make. Grants are those of deploy/oracle.
#![cfg(feature = "oracle")]

mod daemon_kit;
mod oracle_kit;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use daemon_kit::Scene;
use oracle_kit::{Server, artefacts};
use rusqlite::Connection;
use serde_json::Value;
use slotbridge::app::{Files, Proof, Proofs, Verdict};
use slotbridge::clock::{Clock, SystemClock};
use slotbridge::config::{Account, Body, Config, LegacyKind, Maintained};
use slotbridge::domain::{AllotmentMode, SlotKey, Timestamp};

const READERS: [&str; 2] = ["SB_READ_A", "SB_READ_B"];
const WRITERS: [&str; 2] = ["SB_WRITE_A", "SB_WRITE_B"];
const PASSWORD: &str = "tiger";

/// An installation over a legacy file, and the server of that file.
struct House {
    scene: Scene,
    server: Server,
}

impl House {
    fn new() -> House {
        House::with(|_| ())
    }

    fn with(adjust: impl FnOnce(&mut Config)) -> House {
        let mut server = None;
        let scene = Scene::with(5, 60, 50, |stage| {
            let double = Server::start(&stage.legacy);
            let config = &mut stage.config;
            config.legacy.kind = LegacyKind::Oracle;
            config.oracle.connect = double.connect_string();
            config.oracle.client_dir = Some(artefacts().to_owned());
            std::fs::create_dir(&config.daemon.data_dir).unwrap();
            std::fs::set_permissions(&config.daemon.data_dir, std::fs::Permissions::from_mode(0o700)).unwrap();
            let account = |name: &str| {
                double.user(name, PASSWORD);
                Account { name: name.to_owned(), secret_file: secret(&config.daemon.data_dir, name, PASSWORD) }
            };
            config.oracle.read_accounts = READERS.map(&account).to_vec();
            config.oracle.write_accounts = WRITERS.map(&account).to_vec();
            prove(&Files::of(&config.daemon.data_dir));
            adjust(config);
            READERS.iter().for_each(|user| grant(&double, user, "read"));
            let write = if config.oracle.body == Body::Sql { "write_sql" } else { "write_procedure" };
            WRITERS.iter().for_each(|user| grant(&double, user, write));
            READERS.iter().for_each(|user| double.grant(user, "V$PARAMETER", "SELECT"));
            server = Some(double);
        });
        House { scene, server: server.unwrap() }
    }

    fn legacy(&self) -> Connection {
        Connection::open(&self.scene.stage.legacy).unwrap()
    }

    fn legacy_does(&self, sql: &str) {
        self.legacy().execute_batch(sql).unwrap();
    }

    fn run(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_slotbridge"));
        let output = command.args(args).arg("--config").arg(&self.scene.config_file).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    /// What is not fine, as `check level found`, of Oracle and of proofs; and the exit code.
    fn found(&self) -> (Option<i32>, Vec<String>) {
        let (code, text, errors) = self.run(&["check", "--connect", "--json"]);
        let value: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}{errors}"));
        assert_eq!(value["ok"], code == Some(0), "{value:#}");
        let findings = value["findings"].as_array().unwrap().iter();
        let told = findings.filter(|f| f["level"] != "fine").map(|f| {
            assert!(!f["fix"].as_str().unwrap().is_empty() && !f["cause"].as_str().unwrap().is_empty(), "{f}");
            let of = |name: &str| f[name].as_str().unwrap().to_owned();
            format!("{} {} {}", of("check"), of("level"), of("found"))
        });
        (code, told.filter(|line| !line.starts_with("machine.")).collect())
    }

    /// Everything that is not fine begins with one of these, and each of these begins something.
    fn finds(&self, code: i32, wanted: &[&str]) {
        let (exit, found) = self.found();
        assert_eq!(exit, Some(code), "{found:#?}");
        for line in &found {
            assert!(wanted.iter().any(|wanted| line.starts_with(wanted)), "not expected: {line}\n{found:#?}");
        }
        for wanted in wanted {
            assert!(found.iter().any(|line| line.starts_with(wanted)), "not found: {wanted}\n{found:#?}");
        }
    }
}

fn secret(dir: &std::path::Path, name: &str, password: &str) -> PathBuf {
    let path = dir.join(format!("{name}.secret"));
    std::fs::write(&path, password).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// As the script that the DBA runs; the double grants whole objects, not columns.
fn grant(server: &Server, user: &str, script: &str) {
    let path = format!("{}/deploy/oracle/51_grants_{script}.sql", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let grants = text.lines().filter_map(|line| line.strip_prefix("GRANT ")?.strip_suffix(" TO &1.;"));
    let mut granted = 0;
    for (privilege, object) in grants.filter_map(|words| words.split_once(" ON ")) {
        server.grant(user, object, privilege.split(' ').next().unwrap());
        granted += 1;
    }
    assert!(granted > 0, "{script}");
}

fn prove(files: &Files) {
    let (mode, slot) = (AllotmentMode::Counter, SlotKey::new("S1").unwrap());
    let (maintained_by, verdict, at) = (Maintained::Application, Verdict::Proved, Timestamp(0));
    let proof =
        Proof { mode, maintained_by, slot, units: 3, refused: 2, native_before: 1, native_after: 1, verdict, at };
    Proofs::add(files, proof).unwrap();
}

/// Without what differs from one run or machine to the next.
fn masked(house: &House, text: &str) -> String {
    let of_machine = |line: &&str| line.contains(" machine.") || line.contains(" program.");
    let mut lines: Vec<String> = Vec::new();
    let mut passed_over = false;
    for line in text.lines() {
        // Cause and fix stand below what they belong to.
        passed_over = if line.starts_with(' ') { passed_over } else { of_machine(&line) };
        if !passed_over {
            let line = match (line.split_once(" looked at, "), line.split_once("): ")) {
                (Some((_, rest)), _) => format!("N looked at, {rest}"),
                (_, Some((place, off))) if off.ends_with(" ms off ours") => format!("{place}): N ms off ours"),
                _ => line.split_once(" since ").map_or(line.to_owned(), |(what, _)| format!("{what} since THEN")),
            };
            lines.push(line.replace(&house.scene.dir().display().to_string(), "DIR"));
        }
    }
    lines.join("\n")
}

#[test]
fn an_installation_in_order_is_told_so() {
    let house = House::new();
    let (code, text, errors) = house.run(&["check", "--connect"]);
    assert_eq!(code, Some(0), "{text}{errors}");
    insta::assert_snapshot!(masked(&house, &text));
    house.finds(0, &[]);
    assert_eq!(house.server.sessions(), [], "nobody stays logged on");
    let changed: i64 = house.legacy().query_row("SELECT COUNT(*) FROM SB_APPLIED", [], |row| row.get(0)).unwrap();
    assert_eq!(changed, 0, "nothing was written");
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let house = House::new();
    house.server.param("undo_retention", "30");
    house.server.revoke("SB_APPLIED", "INSERT");
    house.server.grant(READERS[1], "SB_ESCROW", "UPDATE");
    house.legacy_does("UPDATE SB_FENCE SET TOKEN = 'CLOSED'; UPDATE SB_META SET PERSON_CONSTRAINT = 'row_lock'");
    secret(&house.scene.stage.config.daemon.data_dir, WRITERS[0], "lion");
    let (code, text, errors) = house.run(&["check", "--connect"]);
    assert_eq!(code, Some(78), "{text}{errors}");
    insta::assert_snapshot!(masked(&house, &text));
}

#[test]
fn a_read_account_that_may_write_is_found() {
    for (object, privilege, id) in [
        ("SB_HEARTBEAT", "UPDATE", "UPDATE SB_HEARTBEAT"),
        ("SB_SLOT_W", "UPDATE", "UPDATE SB_SLOT_W"),
        ("SB_BOOKING_W", "DELETE", "DELETE FROM SB_BOOKING_W"),
    ] {
        let house = House::new();
        house.server.grant(READERS[0], object, privilege);
        house.finds(78, &[&format!("oracle.privileges wrong SB_READ_A: the read account may write: `{id}")]);
    }
}

#[test]
fn a_view_that_is_not_as_declared_is_found() {
    let house = House::new();
    let text: String =
        house.legacy().query_row("SELECT sql FROM sqlite_master WHERE name = 'SB_SITE'", [], |row| row.get(0)).unwrap();
    let anew = |from: &str, to: &str| {
        assert!(text.contains(from), "{text}");
        house.legacy_does(&format!("DROP VIEW SB_SITE; {}", text.replace(from, to)));
    };
    anew(" AS ADDR,", " AS ADDRESS,");
    let refused = READERS.map(|user| format!("oracle.statement wrong {user}: read.cut of SB_SITE: ORA-00904"));
    house.finds(78, &["oracle.view wrong SB_SITE: ADDR is missing", &refused[0], &refused[1]]);
    anew("T.TEL_NO AS TEL,", "T.UPD_DT AS TEL,");
    house.finds(78, &["oracle.view wrong SB_SITE: TEL is DATE, declared Text"]);
    house.legacy_does("DROP VIEW SB_SITE");
    let refused = READERS.map(|user| format!("oracle.statement wrong {user}: read.cut of SB_SITE: ORA-00942"));
    house.finds(78, &["oracle.view wrong SB_SITE: ", &refused[0], &refused[1]]);
}

#[test]
fn a_statement_that_the_server_refuses_is_found_by_its_id() {
    let house = House::new();
    house.server.revoke("SB_NEXT_RESV_NO", "EXECUTE");
    let (code, found) = house.found();
    assert_eq!(code, Some(78));
    assert!(!found.is_empty() && found.iter().all(|line| line.contains("ORA-00904")), "{found:#?}");
    let house = House::new();
    house.server.revoke("SB_ESCROW", "UPDATE");
    let (code, found) = house.found();
    assert_eq!(code, Some(78));
    let of = |user: &str| {
        found.iter().filter(|line| line.starts_with(&format!("oracle.statement wrong {user}: W."))).count()
    };
    assert!(of(WRITERS[0]) > 0 && of(WRITERS[0]) == of(WRITERS[1]), "{found:#?}");
    assert_eq!(of(WRITERS[0]) + of(WRITERS[1]), found.len(), "{found:#?}");
    assert!(found.iter().all(|line| line.contains("ORA-01031")), "{found:#?}");
}

#[test]
fn clocks_that_differ_are_found_on_both_sides() {
    for skew in ["30", "-30"] {
        let house = House::new();
        house.server.param("skew_s", skew);
        house.finds(78, &["oracle.clock wrong instance 1 (read): ", "oracle.clock wrong instance 1 (write): "]);
    }
}

#[test]
fn a_wrong_password_is_tried_once_and_then_blocked() {
    let house = House::new();
    let data = house.scene.stage.config.daemon.data_dir.clone();
    secret(&data, WRITERS[0], "lion");
    let blocked = "oracle.blocked wrong account SB_WRITE_A: ORA-01017";
    house.finds(78, &["oracle.logon wrong SB_WRITE_A (write): ORA-01017", blocked]);
    let (code, found) = house.found();
    assert_eq!(code, Some(78));
    assert!(
        found.iter().any(|line| line.starts_with("oracle.blocked wrong account SB_WRITE_A: ORA-01017")),
        "{found:#?}"
    );
    let (code, text, _) = house.run(&["doctor"]);
    assert!(code == Some(78) && text.contains("account SB_WRITE_A: ORA-01017"), "{text}");
    secret(&data, WRITERS[0], PASSWORD);
    house.finds(0, &[]);
}

#[test]
fn one_account_of_a_role_is_worth_a_note() {
    let house = House::with(|config| config.oracle.read_accounts.truncate(1));
    house.finds(0, &["oracle.accounts note role read has one account"]);
}

#[test]
fn the_agencys_tables_are_looked_at() {
    let house = House::new();
    for (sql, code, wanted) in [
        ("UPDATE SB_CONTROL SET STATE = 'STOP'", 0, "oracle.switch note the switch says STOP"),
        ("UPDATE SB_FENCE SET TOKEN = 'CLOSED'", 78, "oracle.switch wrong the fence is closed"),
        (
            "UPDATE SB_META SET PERSON_CONSTRAINT = 'row_lock'",
            78,
            "oracle.person_constraint wrong SB_META says row_lock",
        ),
        ("UPDATE SB_META SET VERSION = 1", 78, "oracle.schema_version wrong SB_META says version 1"),
    ] {
        house.legacy_does(sql);
        house.finds(code, &[wanted]);
        house.legacy_does("UPDATE SB_CONTROL SET STATE = 'RUN'; UPDATE SB_FENCE SET TOKEN = 'OPEN'");
        house.legacy_does("UPDATE SB_META SET PERSON_CONSTRAINT = 'unique_index', VERSION = 3");
    }
    house.finds(0, &[]);
}

#[test]
fn a_password_that_expires_soon_is_worth_a_note() {
    let house = House::new();
    let at = |days: i64| format!("{} 00:00:00", &SystemClock.now().plus_ms(days * 86_400_000).rfc3339()[..10]);
    house.server.expire_user(READERS[0], &at(6));
    house.server.expire_user(READERS[1], &at(60));
    house.finds(0, &["oracle.expiry note SB_READ_A: password expires in "]);
}

#[test]
fn undo_that_is_too_short_or_cannot_be_read_is_found() {
    let house = House::new();
    house.server.param("undo_retention", "59");
    house.finds(78, &["oracle.undo wrong undo_retention is 59 s"]);
    house.server.param("undo_retention", "60");
    house.finds(0, &[]);
    house.server.revoke("V$PARAMETER", "SELECT");
    house.finds(78, &["oracle.undo unknown undo_retention: ORA-00942"]);
}

#[test]
fn the_write_account_of_body_procedure_may_execute_and_nothing_else() {
    let house = House::with(|config| config.oracle.body = Body::Procedure);
    house.finds(0, &[]);
    house.server.grant(WRITERS[1], "SB_PERSON", "SELECT");
    house.finds(78, &["oracle.privileges wrong SB_WRITE_B: the write account may read persons"]);
    // The double takes a user without any grant for one that may everything, so the other writer says nothing.
    house.server.revoke("SB_API", "EXECUTE");
    let (code, found) = house.found();
    assert_eq!(code, Some(78));
    assert!(found.iter().any(|line| line.starts_with("oracle.statement wrong SB_WRITE_B: P.OP.APPLY: ")), "{found:#?}");
}

#[test]
fn a_missing_client_is_told_with_the_fix_by_check_doctor_and_run() {
    let house = House::with(|config| {
        let empty = config.daemon.data_dir.join("client");
        std::fs::create_dir(&empty).unwrap();
        config.oracle.client_dir = Some(empty);
    });
    house.finds(78, &["oracle.client wrong "]);
    let (code, text, _) = house.run(&["doctor", "--quiet"]);
    assert!(code == Some(78) && text.contains("oracle.client"), "{text}");
    let (code, _, errors) = house.run(&["run"]);
    assert_eq!(code, Some(78), "{errors}");
    assert!(errors.contains("error[oracle_client]") && errors.contains("Instant Client 19"), "{errors}");
    assert!(errors.lines().count() <= 24, "one screen: {errors}");
    assert_eq!(house.server.counts("%").calls, 0, "nobody connected");
}

#[test]
fn a_mode_without_a_proof_is_found() {
    let house = House::with(|config| config.allotment.mode = AllotmentMode::Capacity);
    house.finds(78, &["allotment.proof wrong allotment.mode: mode capacity is not proved"]);
}

#[test]
fn a_server_that_is_down_leaves_nothing_unsaid() {
    let mut house = House::new();
    house.server.kill();
    house.finds(
        78,
        &[
            "oracle.logon wrong SB_READ_A",
            "oracle.logon wrong SB_READ_B",
            "oracle.logon wrong SB_WRITE_A",
            "oracle.logon wrong SB_WRITE_B",
            "oracle.session unknown not looked at: ",
        ],
    );
}
