//! `allotment`, `ledger export --unapplied`, and what `run` says without an Oracle client.

use std::path::Path;
use std::process::{Command, Stdio};

use rusqlite::Connection;

struct Folder(tempfile::TempDir);

impl Folder {
    /// `init`, and an example database.
    fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        assert_eq!(folder.run(&["init", "."]).0, Some(0));
        let (code, _, errors) = folder.run(&["legacy", "generate", "--slots", "40", "--people", "50"]);
        assert_eq!(code, Some(0), "{errors}");
        folder
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn run(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_slotbridge"));
        command.args(args).current_dir(self.path()).stdin(Stdio::null());
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    fn legacy(&self) -> Connection {
        Connection::open(self.path().join("legacy.db")).unwrap()
    }

    /// An open slot with places left, and how many.
    fn canary(&self) -> (String, i64) {
        let sql = "SELECT SLOT_NO, CAPA_CNT - BOOKED_CNT FROM TB_SLOT WHERE STAT_CD = '1' AND CAPA_CNT > BOOKED_CNT + 1 LIMIT 1";
        self.legacy().query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    }

    fn left(&self, slot: &str) -> (i64, i64) {
        let sql = "SELECT T.CAPA_CNT - T.BOOKED_CNT, COALESCE((SELECT UNITS FROM SB_ESCROW WHERE SLOT_ID = T.SLOT_NO), 0) \
                   FROM TB_SLOT T WHERE T.SLOT_NO = ?1";
        self.legacy().query_row(sql, [slot], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    }
}

#[test]
fn a_canary_is_taken_returned_and_recorded_and_the_fence_stays() {
    let folder = Folder::new();
    let (slot, left) = folder.canary();
    let prove = ["allotment", "prove", "--slot", &slot, "--minutes", "0", "--json"];
    let (code, text, errors) = folder.run(&[&prove[..], &["--expect-refused", "2"]].concat());
    assert_eq!(code, Some(0), "{text}{errors}");
    let proof: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&proof["verdict"], &proof["units"], &proof["refused"]), (&"proved".into(), &left.into(), &2.into()));
    assert_eq!(folder.left(&slot), (left, 0), "every unit is back");
    let last_op = "SELECT LAST_OP FROM SB_FENCE";
    assert_eq!(folder.legacy().query_row(last_op, [], |row| row.get::<_, Option<String>>(0)).unwrap(), None);
    let applied = "SELECT COUNT(*) FROM SB_APPLIED";
    assert_eq!(folder.legacy().query_row(applied, [], |row| row.get::<_, i64>(0)).unwrap(), 2);
    let (code, text, _) = folder.run(&prove);
    assert_eq!(code, Some(1), "nobody tried: {text}");
    let (_, text, _) = folder.run(&["allotment", "show", "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(shown["modes"][0]["standing"], "proved", "{shown:#}");
    assert_eq!(shown["proofs"].as_array().map(Vec::len), Some(2));
    let (code, _, errors) = folder.run(&["allotment", "prove", "--slot", "nowhere", "--minutes", "0"]);
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains("error[no_canary]"), "{errors}");
}

#[test]
fn a_run_that_was_cut_short_is_finished_by_the_next() {
    let folder = Folder::new();
    let (slot, left) = folder.canary();
    let mut command = Command::new(env!("CARGO_BIN_EXE_slotbridge"));
    let args = ["allotment", "prove", "--slot", &slot];
    let mut child =
        command.args(args).current_dir(folder.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    assert!(lines.any(|line| line.unwrap().contains("How many native bookings")));
    assert_eq!(folder.left(&slot), (0, left), "everything is taken while it waits");
    child.kill().unwrap();
    child.wait().unwrap();
    let args = ["allotment", "prove", "--slot", &slot, "--minutes", "0", "--expect-refused", "1"];
    let (code, text, errors) = folder.run(&args);
    assert_eq!(code, Some(0), "{text}{errors}");
    assert!(text.contains(&format!("its {left} unit(s) are returned")), "{text}");
    assert_eq!(folder.left(&slot), (left, 0));
    assert!(!folder.path().join("data/allotment-prove.json").exists());
}

#[test]
fn a_native_booking_that_gets_through_refutes_the_mode() {
    let folder = Folder::new();
    let (slot, left) = folder.canary();
    let args = ["allotment", "prove", "--slot", &slot];
    let mut child = Command::new(env!("CARGO_BIN_EXE_slotbridge"))
        .args(args)
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    assert!(lines.any(|line| line.unwrap().contains("How many native bookings")));
    // A legacy system that counts rows and does not look at the counter.
    let sql = "INSERT INTO TB_RESV (RESV_NO, SLOT_NO, PSN_NO, SERIES_CD, STAT_CD, REG_DT, UPD_DT) \
               SELECT 'X1', T.SLOT_NO, (SELECT PSN_NO FROM TB_PSN P WHERE NOT EXISTS (SELECT 1 FROM TB_RESV R \
               WHERE R.PSN_NO = P.PSN_NO) LIMIT 1), T.SERIES_CD, 'A', T.UPD_DT, T.UPD_DT FROM TB_SLOT T WHERE T.SLOT_NO = ?1";
    assert_eq!(folder.legacy().execute(sql, [&slot]).unwrap(), 1);
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"3\n").unwrap();
    let rest: Vec<String> = lines.map(|line| line.unwrap()).collect();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{rest:?}");
    let (_, text, _) = folder.run(&["allotment", "show", "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(shown["modes"][0]["standing"], "refuted", "{shown:#} {left}");
}

#[test]
fn a_folder_without_a_booking_exports_an_end_and_nothing_before_it() {
    let folder = Folder::new();
    let (code, _, errors) = folder.run(&["ledger", "export", "--unapplied"]);
    assert_ne!(code, Some(0), "without a ledger there is no list: {errors}");
}

#[test]
fn oracle_is_refused_unproved_and_then_for_what_is_missing() {
    let folder = Folder::new();
    let file = folder.path().join("slotbridge.toml");
    let oracle = "[legacy]\nkind = \"oracle\"\n[oracle]\nconnect = \"//db.invalid/x\"\nclient_dir = \"/nonexistent\"\n\
                  read_accounts = [{ name = \"R\", secret_file = \"r\" }]\nwrite_accounts = [{ name = \"W\", secret_file = \"w\" }]\n";
    let text = format!("[listen]\npartners_http = \"127.0.0.1:8080\"\n{oracle}");
    std::fs::write(&file, &text).unwrap();
    let (code, _, errors) = folder.run(&["run"]);
    assert_eq!(code, Some(78), "{errors}");
    assert!(errors.contains("error[mode_not_proved]") && errors.contains("allotment prove"), "{errors}");
    std::fs::write(&file, format!("{text}[allotment]\nmode = \"on_request\"\n")).unwrap();
    let (code, _, errors) = folder.run(&["run"]);
    assert_eq!(code, Some(78), "{errors}");
    assert!(errors.contains("error[oracle_client]"), "{errors}");
    assert!(errors.lines().count() <= 24, "one screen: {errors}");
    assert!(!folder.path().join("data/ledger").exists(), "nothing is begun");
}
