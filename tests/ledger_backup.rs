//! Backups of a ledger in use, and what a restore makes of them.

mod ledger_kit;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use ledger_kit::{copy_dir, fill, open, small_segments};
use rusqlite::Connection;
use slotbridge::decide::{Entry, What};
use slotbridge::domain::{Position, Timestamp};
use slotbridge::durable::{EntryLog, Replies};
use slotbridge::ledger::{
    Backup, JUMP, Ledger, LedgerError, LedgerReader, LedgerStore, MANIFEST, Manifest, Settings, backup, check_backup,
    export, restore, verify,
};

const NOW: Timestamp = Timestamp(1_795_345_200_000);
const ALSO: &[&str] = &["register.sqlite", "evidence"];

/// A data directory with a register, evidence, and what does not belong into a backup.
fn data_dir() -> tempfile::TempDir {
    let data = tempfile::tempdir().expect("a directory");
    let register = Connection::open(data.path().join("register.sqlite")).expect("a register");
    register
        .execute_batch(
            "PRAGMA journal_mode=WAL; CREATE TABLE person(no INTEGER PRIMARY KEY); INSERT INTO person VALUES (41)",
        )
        .expect("a register");
    fs::create_dir_all(data.path().join("evidence")).expect("a directory");
    fs::write(data.path().join("evidence/leaves"), b"leaf").expect("a file");
    for rebuilt in ["keys", "mirror.sqlite", "feeds.sqlite"] {
        fs::write(data.path().join(rebuilt), b"not for a backup").expect("a file");
    }
    data
}

fn take(data: &Path, to: &Path) -> Result<Manifest, LedgerError> {
    backup(&Backup { data_dir: data, also: ALSO, to }, NOW)
}

/// A data directory and a backup of seven batches over two segments.
fn backed_up() -> (tempfile::TempDir, tempfile::TempDir, Manifest) {
    let (data, to) = (data_dir(), tempfile::tempdir().expect("a directory"));
    let mut ledger = open(&data.path().join("ledger"), small_segments(16));
    fill(&mut ledger, 7);
    let manifest = take(data.path(), to.path()).expect("a backup");
    assert_eq!(manifest.head, ledger.head());
    (data, to, manifest)
}

fn all_entries(dir: &Path) -> Vec<Entry> {
    let reader = LedgerReader::open(dir).expect("a reader");
    reader.replay(None, |entries| entries.collect::<Vec<Entry>>()).expect("a whole ledger").0
}

#[test]
fn a_backup_holds_what_cannot_be_rebuilt_and_nothing_else() {
    let (_, to, manifest) = backed_up();
    let mut found: Vec<&str> = manifest.files.iter().map(|file| file.path.as_str()).collect();
    found.sort_unstable();
    let expected = [
        "evidence/leaves",
        "ledger/HEAD",
        "ledger/seg-0000000000000001.sqlite",
        "ledger/seg-0000000000000025.sqlite",
        "register.sqlite",
    ];
    assert_eq!(found, expected);
    assert_eq!(manifest.made_at, "2026-11-22T20:00:00+09:00");
    assert_eq!(check_backup(to.path()).expect("a whole backup"), manifest);
    let register = Connection::open(to.path().join("register.sqlite")).expect("a register");
    let no: i64 = register.query_row("SELECT no FROM person", [], |row| row.get(0)).expect("a person");
    assert_eq!(no, 41);
}

#[test]
fn a_backup_under_load_is_a_whole_ledger_up_to_some_batch() {
    let data = data_dir();
    let stop = AtomicBool::new(false);
    let mut ledger = open(&data.path().join("ledger"), small_segments(400));
    fill(&mut ledger, 10);
    thread::scope(|scope| {
        let writing = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                fill(&mut ledger, 1);
            }
        });
        for _ in 0..5 {
            let to = tempfile::tempdir().expect("a directory");
            let manifest = take(data.path(), to.path()).expect("a backup");
            let report = verify(&to.path().join("ledger")).expect("a report");
            assert_eq!((report.damage, report.head), (None, manifest.head));
            assert_eq!(report.entries, report.batches * 4);
            let target = tempfile::tempdir().expect("a directory");
            let restored = restore(to.path(), target.path()).expect("a restore");
            assert_eq!(restored.backup, manifest.head);
        }
        stop.store(true, Ordering::Relaxed);
        writing.join().expect("the writer does not panic");
    });
    assert_eq!(verify(&data.path().join("ledger")).expect("a report").damage, None);
}

#[test]
fn a_restored_ledger_begins_a_new_life_far_ahead() {
    let (data, to, manifest) = backed_up();
    let before = all_entries(&data.path().join("ledger"));
    let target = tempfile::tempdir().expect("a directory");
    let restored = restore(to.path(), target.path()).expect("a restore");
    assert_eq!(restored.backup, manifest.head);
    assert_eq!(restored.head.position, Position(manifest.head.position.0 + JUMP));

    let dir = target.path().join("ledger");
    let report = verify(&dir).expect("a report");
    assert_eq!((report.damage, report.head), (None, restored.head));
    let mut ledger = open(&dir, small_segments(16));
    let old = open(&data.path().join("ledger"), small_segments(16));
    assert_ne!(ledger.incarnation(), old.incarnation());
    assert_eq!(ledger.incarnation(), restored.incarnation);
    assert_eq!(ledger.epochs()[0], old.epochs()[0]);
    assert_eq!(ledger.epochs()[1].from, manifest.head.position.next());
    assert_eq!(ledger.mac_key().expose(), old.mac_key().expose());
    let all = all_entries(&dir);
    assert_eq!(all[..before.len()], before);
    assert!(all[before.len()..].iter().all(|entry| matches!(entry.what, What::Reserve { .. })));
    assert_eq!(ledger.reader().reply(Position(4)).expect("a read"), Some(ledger_kit::reply(4)));
    fill(&mut ledger, 5);
    let rest = ledger.reader().entries_after(restored.head.position, 100).expect("entries");
    assert_eq!((rest.len(), rest[0].position), (20, restored.head.position.next()));
    drop(ledger);
    assert_eq!(verify(&dir).expect("a report").damage, None);
    assert!(target.path().join("register.sqlite").exists() && target.path().join("evidence/leaves").exists());
}

#[test]
fn an_empty_ledger_is_restored_too() {
    let (data, to) = (data_dir(), tempfile::tempdir().expect("a directory"));
    drop(open(&data.path().join("ledger"), Settings::default()));
    take(data.path(), to.path()).expect("a backup");
    let target = tempfile::tempdir().expect("a directory");
    restore(to.path(), target.path()).expect("a restore");
    let mut ledger = open(&target.path().join("ledger"), Settings::default());
    assert!(ledger.position().0 > JUMP);
    fill(&mut ledger, 1);
    drop(ledger);
    assert_eq!(verify(&target.path().join("ledger")).expect("a report").damage, None);
}

#[test]
fn neither_backup_nor_restore_writes_over_anything() {
    let (data, to, _) = backed_up();
    assert!(matches!(take(data.path(), to.path()), Err(LedgerError::NotEmpty { .. })));
    let before = fs::read(data.path().join("ledger/HEAD")).expect("HEAD");
    assert!(matches!(restore(to.path(), data.path()), Err(LedgerError::NotEmpty { .. })));
    assert_eq!(fs::read(data.path().join("ledger/HEAD")).expect("HEAD"), before);
}

#[test]
fn a_backup_that_is_not_whole_is_refused_and_nothing_is_restored() {
    let (_, to, manifest) = backed_up();
    let refused = |change: &dyn Fn(&Path)| {
        let copy = tempfile::tempdir().expect("a directory");
        copy_dir(to.path(), copy.path());
        change(copy.path());
        let target = tempfile::tempdir().expect("a directory");
        let error = restore(copy.path(), &target.path().join("new")).expect_err("it is not whole");
        assert!(!target.path().join("new").exists(), "{error}");
        error.code()
    };
    for file in &manifest.files {
        assert_eq!(refused(&|dir| fs::remove_file(dir.join(&file.path)).expect("a file")), "backup_damaged");
        let flip = |dir: &Path| {
            let mut bytes = fs::read(dir.join(&file.path)).expect("a file");
            let at = bytes.len() / 2;
            bytes[at] ^= 1;
            fs::write(dir.join(&file.path), bytes).expect("a file");
        };
        assert_eq!(refused(&flip), "backup_damaged", "{}", file.path);
    }
    assert_eq!(refused(&|dir| fs::remove_file(dir.join(MANIFEST)).expect("a file")), "backup_damaged");
    assert_eq!(refused(&|dir| fs::write(dir.join(MANIFEST), b"{}").expect("a file")), "backup_damaged");
    let rewrite = |dir: &Path, from: &str, to: &str| {
        let text = fs::read_to_string(dir.join(MANIFEST)).expect("a manifest");
        fs::write(dir.join(MANIFEST), text.replace(from, to)).expect("a manifest");
    };
    assert_eq!(refused(&|dir| rewrite(dir, "evidence/leaves", "../../leaves")), "backup_damaged");
    assert_eq!(refused(&|dir| rewrite(dir, "evidence/leaves", "/etc/passwd")), "backup_damaged");
    assert_eq!(refused(&|dir| rewrite(dir, "\"position\": 42", "\"position\": 41")), "backup_damaged");
}

#[test]
fn a_restore_that_was_interrupted_is_not_opened_as_a_ledger() {
    let (_, to, _) = backed_up();
    let target = tempfile::tempdir().expect("a directory");
    copy_dir(&to.path().join("ledger"), &target.path().join("ledger"));
    fs::remove_file(target.path().join("ledger/HEAD")).expect("HEAD comes last");
    let opened =
        Ledger::open(&target.path().join("ledger"), Settings::default(), slotbridge::ledger::Expected::MayBeNew);
    assert_eq!(opened.map(|ledger| ledger.head()).expect_err("it has no HEAD").code(), "ledger_lost");
}

#[test]
fn the_export_is_one_entry_a_line() {
    let (data, _, _) = backed_up();
    let dir = data.path().join("ledger");
    let mut out = Vec::new();
    assert_eq!(export(&dir, Position::ZERO, &mut out).expect("an export"), 28);
    let lines: Vec<Entry> = out
        .split(|b| *b == b'\n')
        .filter(|l| !l.is_empty())
        .map(|l| serde_json::from_slice(l).expect("an entry"))
        .collect();
    assert_eq!(lines, all_entries(&dir));
    let mut rest = Vec::new();
    assert_eq!(export(&dir, Position(36), &mut rest).expect("an export"), 4);
    assert!(out.ends_with(&rest));
}
