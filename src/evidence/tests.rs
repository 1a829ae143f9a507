//! The log from inside: what is written stays, what is changed is named, a crash at any step leaves a whole log.

use std::fs;

use proptest::prelude::*;
use rusqlite::{Connection, params};

use super::*;
use crate::domain::{PartnerId, PersonNo, PersonRef, Position};
use crate::keys::KeyFolder;

fn access(n: u64) -> Access {
    Access {
        at: Timestamp(1_000 + n as i64),
        actor: Actor::Partner(PartnerId::new("naver").unwrap()),
        action: Action::TokenGiven,
        subject: Some(PersonRef::Known(PersonNo(4_711))),
        from: Some(String::from("10.0.0.1")),
        basis: String::from("receipt:issuer"),
        count: 1,
        position: Position(n),
    }
}

fn activated(n: u64) -> Access {
    Access { action: Action::MappingActivated, subject: None, actor: Actor::Bridge, from: None, ..access(n) }
}

fn entry(n: u64) -> Entry {
    if n % 3 == 1 { activated(n).into() } else { access(n).into() }
}

fn filled(path: &Path, entries: u64) -> Evidence {
    let evidence = Evidence::open(path, IfMissing::Create).unwrap();
    for n in 0..entries {
        assert_eq!(evidence.record_blocking(entry(n)).unwrap(), n);
    }
    evidence
}

fn log() -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("evidence.sqlite");
    (dir, path)
}

fn key(dir: &Path) -> LogKey {
    LogKey::open(&KeyFolder::open(&dir.join("keys")).unwrap(), LogKey::FILE).unwrap()
}

fn rule(before: i64) -> Rule {
    Rule { name: "access_days=730".to_owned(), kind: Kind::Access, before: Timestamp(before) }
}

fn damage(path: &Path) -> Vec<Damage> {
    examine(path, &Against::default()).unwrap().damage
}

/// Lets the caller write what no program writes.
fn forge(path: &Path, text: &str) {
    let file = Connection::open(path).unwrap();
    let triggers = "DROP TRIGGER IF EXISTS leaf_kept; DROP TRIGGER IF EXISTS leaf_stays;
        DROP TRIGGER IF EXISTS checkpoint_kept; DROP TRIGGER IF EXISTS checkpoint_stays;";
    file.execute_batch(&format!("{triggers}\n{text}")).unwrap();
}

#[test]
fn what_is_recorded_is_there_after_a_restart_and_fits_the_head() {
    let (_dir, path) = log();
    let head = filled(&path, 5).head();
    let again = Evidence::open(&path, IfMissing::Refuse).unwrap();
    assert_eq!((again.head(), head.size), (head, 5));
    assert_eq!(again.verify(), Ok(head));
    assert_eq!(again.record_blocking(entry(5)).unwrap(), 5);
    assert_eq!(again.verify().unwrap().size, 6);
    assert_eq!(again.entries(4, 10).unwrap(), [(4, Some(entry(4))), (5, Some(entry(5)))]);
    assert_eq!(again.of_mappings().unwrap(), [activated(1), activated(4)]);
    let (after, proof) = again.consistency(5).unwrap();
    assert!(is_consistent((5, head.root), (6, after.root), &proof));
    let shown = again.inclusion(3).unwrap();
    assert!(is_included(shown.leaf, 3, 6, shown.head.root, &shown.proof));
    assert_eq!(again.inclusion(6), Err(EvidenceError::Unknown { index: 6 }));
}

#[test]
fn every_record_that_is_edited_dropped_or_moved_is_named() {
    let (_dir, path) = log();
    let entries = 9;
    drop(filled(&path, entries));
    let whole = fs::read(&path).unwrap();
    assert!(!path.with_extension("sqlite-wal").exists(), "all of it is in the file");
    let with = |text: &str| {
        fs::write(&path, &whole).unwrap();
        forge(&path, text);
        damage(&path)
    };
    assert_eq!(with(""), []);
    for n in 0..entries {
        let edited = vec![Damage::Edited { index: n }];
        assert_eq!(with(&format!("UPDATE leaf SET content = replace(content, 'at', 'ta') WHERE seq = {n}")), edited);
        assert_eq!(with(&format!("UPDATE leaf SET salt = randomblob(16) WHERE seq = {n}")), edited);
        assert_eq!(with(&format!("UPDATE leaf SET content = NULL WHERE seq = {n}")), edited);
        assert_eq!(with(&format!("UPDATE leaf SET form = 0 WHERE seq = {n}")), edited);
        let found = with(&format!("UPDATE leaf SET hash = randomblob(32) WHERE seq = {n}"));
        assert_eq!(found[0], Damage::Edited { index: n });
        let found = with(&format!("UPDATE leaf SET kind = 2 WHERE seq = {n}"));
        assert_eq!(found, [Damage::Misfiled { index: n }]);
        let found = with(&format!("UPDATE leaf SET content = NULL, salt = NULL WHERE seq = {n}"));
        assert_eq!(found, [Damage::Unexplained { index: n }]);
        // Dropped, and dropped with the rest moved up into its place.
        let found = with(&format!("DELETE FROM leaf WHERE seq = {n}"));
        let named = if n + 1 == entries { Damage::Truncated { has: n, head: 9 } } else { Damage::Missing { index: n } };
        assert_eq!(found[0], named, "{found:?}");
        let found = with(&format!(
            "DELETE FROM leaf WHERE seq = {n}; UPDATE leaf SET seq = -seq WHERE seq > {n};
             UPDATE leaf SET seq = -seq - 1 WHERE seq < 0"
        ));
        let named = if n + 1 == entries { Damage::Truncated { has: n, head: 9 } } else { Damage::Moved { index: n } };
        assert_eq!(found[0], named, "{found:?}");
        for other in n + 1..entries {
            let found = with(&format!(
                "UPDATE leaf SET seq = -1 WHERE seq = {n}; UPDATE leaf SET seq = {n} WHERE seq = {other};
                 UPDATE leaf SET seq = {other} WHERE seq = -1"
            ));
            assert_eq!(found[0], Damage::Moved { index: n }, "{n} and {other}: {found:?}");
        }
    }
}

#[test]
fn every_cut_of_the_end_is_seen_and_one_with_its_head_set_back_by_a_checkpoint() {
    let (dir, path) = log();
    let key = key(dir.path());
    let evidence = filled(&path, 9);
    let kept = evidence.checkpoint_blocking("o/evidence", &key, Timestamp(5)).unwrap();
    drop(evidence);
    let whole = fs::read(&path).unwrap();
    let against = Against {
        key: Some(Verifier::log("o/evidence", &key)),
        checkpoints: vec![kept.clone()],
        cosigners: Vec::new(),
    };
    assert_eq!(examine(&path, &against).unwrap().damage, []);
    for has in 0..9u64 {
        fs::write(&path, &whole).unwrap();
        forge(&path, &format!("DELETE FROM leaf WHERE seq >= {has}"));
        assert_eq!(damage(&path)[0], Damage::Truncated { has, head: 9 });
        assert!(matches!(Evidence::open(&path, IfMissing::Refuse), Err(EvidenceError::Head)));
        // The head is set back to what is left: only what was signed tells.
        let mut frontier = Frontier::default();
        leaves(&path, has).unwrap().into_iter().for_each(|leaf| frontier.push(leaf));
        let peaks: Vec<u8> = frontier.peaks().iter().flat_map(|peak| peak.0).collect();
        let file = Connection::open(&path).unwrap();
        let values = params![has as i64, frontier.root().0, peaks];
        file.execute("UPDATE head SET size = ?1, root = ?2, peaks = ?3", values).unwrap();
        drop(file);
        assert_eq!(damage(&path), [Damage::Shorter { has, checkpoint: 9 }]);
        forge(&path, "DELETE FROM checkpoint");
        assert_eq!(damage(&path), [], "the file alone cannot tell");
        assert_eq!(examine(&path, &against).unwrap().damage, [Damage::Shorter { has, checkpoint: 9 }]);
    }
}

#[test]
fn another_history_under_the_same_number_is_found_by_a_checkpoint() {
    let (dir, path) = log();
    let key = key(dir.path());
    let kept = filled(&path, 6).checkpoint_blocking("o/evidence", &key, Timestamp(5)).unwrap();
    let other = dir.path().join("other.sqlite");
    drop(filled(&other, 8));
    let by = |checkpoint: Checkpoint, log: &LogKey| {
        let key = Some(Verifier::log("o/evidence", log));
        examine(&other, &Against { key, checkpoints: vec![checkpoint], cosigners: Vec::new() }).unwrap().damage
    };
    // Equal contents: the salts differ.
    assert_eq!(by(kept.clone(), &key), [Damage::History { checkpoint: 6 }]);
    let stranger = LogKey::open(&KeyFolder::open(&dir.path().join("keys")).unwrap(), "stranger").unwrap();
    let unsigned = NoteError::Unsigned { name: "o/evidence".to_owned() };
    assert_eq!(by(kept, &stranger), [Damage::Checkpoint { checkpoint: 6, why: unsigned }]);
}

#[test]
fn deletion_by_retention_is_told_apart_from_every_other() {
    let (_dir, path) = log();
    let evidence = filled(&path, 12);
    // Entries 0, 2, 3, 5, 6, 8: 1, 4 and 7 are mapping versions.
    let before = evidence.head();
    assert_eq!(evidence.purge_blocking(&rule(1_009), Timestamp(2_000)), Ok(6));
    assert_eq!(evidence.purge_blocking(&rule(1_009), Timestamp(2_001)), Ok(0));
    let (after, proof) = evidence.consistency(12).unwrap();
    assert!(is_consistent((12, before.root), (after.size, after.root), &proof), "hashes stay");
    let report = examine(&path, &Against::default()).unwrap();
    assert_eq!((report.deleted, report.deletions, report.damage), (6, 1, vec![]));
    assert_eq!(evidence.of_mappings().unwrap().len(), 4, "mapping versions stay for ever");
    let entries = evidence.entries(0, 100).unwrap();
    assert_eq!(entries.iter().filter(|(_, entry)| entry.is_none()).count(), 6);
    let Some(Entry::Deleted { deleted }) = &entries[12].1 else { panic!("{:?}", entries[12]) };
    assert_eq!((&*deleted.rule, deleted.count), ("access_days=730", 6));
    assert_eq!(deleted.runs, [(0, 0), (2, 3), (5, 6), (8, 8)]);
    drop(evidence);
    let bytes = fs::read(&path).unwrap();
    let needle = serde_json::to_string(&entry(2)).unwrap();
    assert!(!bytes.windows(needle.len()).any(|window| window == needle.as_bytes()), "the bytes are gone as well");
    for n in [1, 4, 7, 9, 10, 11] {
        fs::write(&path, &bytes).unwrap();
        forge(&path, &format!("UPDATE leaf SET content = NULL, salt = NULL WHERE seq = {n}"));
        assert_eq!(damage(&path), [Damage::Unexplained { index: n }]);
    }
    // The deletion that explains the others goes itself.
    fs::write(&path, &bytes).unwrap();
    forge(&path, "UPDATE leaf SET content = NULL, salt = NULL WHERE seq = 12");
    let found = damage(&path);
    assert_eq!(found.len(), 7);
    assert!(found.iter().all(|damage| matches!(damage, Damage::Unexplained { .. })), "{found:?}");
}

/// A file as it was written before entries had kinds.
fn first_form(path: &Path, entries: u64) -> Head {
    let file = Connection::open(path).unwrap();
    file.execute_batch(
        "CREATE TABLE leaf (
            seq INTEGER PRIMARY KEY, content TEXT NOT NULL, salt BLOB NOT NULL, hash BLOB NOT NULL) STRICT;
        CREATE TABLE head (
            one INTEGER PRIMARY KEY CHECK (one = 1), size INTEGER NOT NULL, root BLOB NOT NULL, peaks BLOB NOT NULL) STRICT;
        CREATE TRIGGER leaf_kept BEFORE UPDATE ON leaf BEGIN SELECT RAISE(ABORT, 'append-only'); END;
        CREATE TRIGGER leaf_stays BEFORE DELETE ON leaf BEGIN SELECT RAISE(ABORT, 'append-only'); END;",
    )
    .unwrap();
    let mut frontier = Frontier::default();
    for n in 0..entries {
        let (action, salt) = (if n % 3 == 1 { "mapping_activated" } else { "token_given" }, [n as u8; 16]);
        let content = format!(
            "{{\"at\":{n},\"actor\":{{\"partner\":\"naver\"}},\"action\":\"{action}\",\"subject\":{{\"Known\":7}},\
             \"basis\":\"consent_receipt\",\"count\":1,\"position\":{n}}}"
        );
        let hash = leaf_hash(&[content.as_bytes(), &salt]);
        file.execute("INSERT INTO leaf VALUES (?1, ?2, ?3, ?4)", params![n as i64, content, salt, hash.0]).unwrap();
        frontier.push(hash);
    }
    let peaks: Vec<u8> = frontier.peaks().iter().flat_map(|peak| peak.0).collect();
    let values = params![entries as i64, frontier.root().0, peaks];
    file.execute("INSERT INTO head VALUES (1, ?1, ?2, ?3)", values).unwrap();
    Head { size: entries, root: frontier.root() }
}

#[test]
fn a_file_of_the_first_form_verifies_opens_and_goes_on() {
    let (_dir, path) = log();
    let head = first_form(&path, 7);
    assert_eq!(verify(&path), Ok(head), "without being changed");
    assert_eq!(of_kind(&path, Kind::Mapping).unwrap().len(), 2);
    let evidence = Evidence::open(&path, IfMissing::Refuse).unwrap();
    assert_eq!(evidence.head(), head);
    assert_eq!(evidence.of_mappings().unwrap().len(), 2);
    assert_eq!(evidence.record_blocking(access(9)), Ok(7));
    assert_eq!(evidence.purge_blocking(&rule(3), Timestamp(10)), Ok(2));
    assert_eq!(evidence.verify().unwrap().size, 9);
    drop(evidence);
    let (_dir, path) = log();
    first_form(&path, 7);
    forge(&path, "UPDATE leaf SET content = replace(content, 'naver', 'kakao') WHERE seq = 2");
    assert_eq!(verify(&path), Err(EvidenceError::Damaged { damage: Damage::Edited { index: 2 } }));
    assert!(matches!(Evidence::open(&path, IfMissing::Refuse), Err(EvidenceError::Altered { index: 2 })));
}

/// Copies file and write-ahead log, as a crash at this instant leaves them.
fn copied(path: &Path, to: &Path) {
    for suffix in ["", "-wal"] {
        let (from, to) = (format!("{}{suffix}", path.display()), format!("{}{suffix}", to.display()));
        if Path::new(&from).exists() {
            fs::copy(from, to).unwrap();
        }
    }
}

#[test]
fn a_crash_at_any_step_leaves_a_log_that_verifies_with_all_of_a_transaction_or_nothing() {
    let (dir, path) = log();
    drop(filled(&path, 6));
    let mut store = Store::open(&path).unwrap();
    let before = store.head();
    let copies = Arc::new(Mutex::new(Vec::new()));
    let (kept, from) = (copies.clone(), path.clone());
    let folder = dir.path().to_path_buf();
    let crash = move || {
        let mut kept = kept.lock().unwrap();
        let to = folder.join(format!("crash-{}.sqlite", kept.len()));
        copied(&from, &to);
        kept.push(to);
        false
    };
    store.file.progress_handler(1, Some(crash)).unwrap();
    store.append(&[entry(6), entry(7), entry(8)]).unwrap();
    let appended = store.head();
    assert_eq!(store.purge(&rule(1_009), Timestamp(2_000)), Ok(6));
    store.keep(10, Timestamp(5), "not read here").unwrap();
    let purged = store.head();
    store.file.progress_handler(0, None::<fn() -> bool>).unwrap();
    let copies = copies.lock().unwrap();
    let mut seen = Vec::new();
    for copy in copies.iter() {
        let opened = Store::open(copy).unwrap();
        let report = examine(copy, &Against::default()).unwrap();
        let found: Vec<&Damage> = report.damage.iter().filter(|d| !matches!(d, Damage::Checkpoint { .. })).collect();
        assert!(found.is_empty(), "{}: {found:?}", copy.display());
        assert_eq!(report.head, opened.head());
        assert_eq!(report.deleted, if report.head == purged { 6 } else { 0 });
        seen.push(report.head);
    }
    seen.dedup();
    assert_eq!(seen, [before, appended, purged], "{} crashes", copies.len());
    assert!(copies.len() > 100, "{} crashes", copies.len());
}

#[test]
fn an_interrupted_statement_leaves_a_whole_log() {
    let (dir, path) = log();
    drop(filled(&path, 6));
    let mut interrupted = 0;
    for steps in 1.. {
        let copy = dir.path().join("copy.sqlite");
        copied(&path, &copy);
        let mut store = Store::open(&copy).unwrap();
        let before = store.head();
        let mut left = steps;
        let stop = move || {
            left -= 1;
            left <= 0
        };
        store.file.progress_handler(1, Some(stop)).unwrap();
        let done = store.purge(&rule(1_009), Timestamp(2_000)).and_then(|_| store.append(&[entry(6)]));
        drop(store);
        let report = examine(&copy, &Against::default()).unwrap();
        assert_eq!(report.damage, [], "after {steps} steps");
        assert_eq!(Store::open(&copy).unwrap().head(), report.head, "after {steps} steps");
        // An interrupt may come after the commit: then it is done, whatever the caller was told.
        let whole = [(6, 0), (7, 4), (8, 4)];
        assert!(whole.contains(&(report.head.size, report.deleted)), "after {steps} steps: {report:?}");
        if done.is_ok() {
            break;
        }
        assert!(report.head == before || report.deleted == 4);
        interrupted += 1;
    }
    assert!(interrupted > 50, "{interrupted}");
}

#[test]
fn a_migration_that_is_interrupted_leaves_the_first_form() {
    let (dir, path) = log();
    let head = first_form(&path, 7);
    let folder = dir.path().to_path_buf();
    // Migration sets its own connection up: what a crash leaves is seen from beside it.
    let seen = Connection::open(&path).unwrap();
    seen.pragma_update(None, "journal_mode", "WAL").unwrap();
    let mut file = Connection::open(&path).unwrap();
    let copies = Arc::new(Mutex::new(Vec::new()));
    let (kept, from) = (copies.clone(), path.clone());
    let crash = move || {
        let mut kept = kept.lock().unwrap();
        let to = folder.join(format!("crash-{}.sqlite", kept.len()));
        copied(&from, &to);
        kept.push(to);
        false
    };
    file.progress_handler(25, Some(crash)).unwrap();
    store::migrate(&mut file).unwrap();
    file.progress_handler(0, None::<fn() -> bool>).unwrap();
    let copies = copies.lock().unwrap();
    assert!(copies.len() > 20, "{}", copies.len());
    for copy in copies.iter() {
        assert_eq!(verify(copy), Ok(head));
        assert_eq!(Store::open(copy).unwrap().head(), head);
    }
}

#[test]
fn equal_records_have_unequal_leaves() {
    let (_dir, path) = log();
    let evidence = filled(&path, 0);
    for _ in 0..2 {
        evidence.record_blocking(access(1)).unwrap();
    }
    assert_ne!(evidence.inclusion(0).unwrap().leaf, evidence.inclusion(1).unwrap().leaf);
}

#[test]
fn many_callers_share_a_write_and_each_has_its_own_entry() {
    let (dir, path) = log();
    let evidence = Arc::new(filled(&path, 0));
    let key = key(dir.path());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut indexes: Vec<u64> = runtime.block_on(async {
        let mut calls = tokio::task::JoinSet::new();
        for n in 0..300 {
            let evidence = evidence.clone();
            calls.spawn(async move { evidence.record(access(n)).await.unwrap() });
        }
        calls.join_all().await
    });
    indexes.sort_unstable();
    assert_eq!(indexes, (0..300).collect::<Vec<u64>>());
    evidence.record_all_blocking((0..600).map(entry)).unwrap();
    let kept = evidence.checkpoint_blocking("o/evidence", &key, Timestamp(1)).unwrap();
    assert_eq!((kept.head, kept.head.size), (evidence.head(), 900));
    assert_eq!(evidence.verify().unwrap(), evidence.head());
}

#[test]
fn a_person_number_is_never_printed_and_a_long_text_is_refused() {
    assert!(!format!("{:?}", entry(0)).contains("4711"));
    let (_dir, path) = log();
    let evidence = filled(&path, 0);
    let long = Access { basis: "x".repeat(TEXT_MAX + 1), ..access(1) };
    assert_eq!(evidence.record_blocking(long), Err(EvidenceError::TooLong { what: "a basis" }));
    let long = Access { from: Some("x".repeat(TEXT_MAX + 1)), ..access(1) };
    assert_eq!(evidence.record_blocking(long), Err(EvidenceError::TooLong { what: "an origin" }));
    assert_eq!(evidence.head().size, 0);
}

#[test]
fn a_missing_log_is_not_begun_anew() {
    let (_dir, path) = log();
    assert!(matches!(Evidence::open(&path, IfMissing::Refuse), Err(EvidenceError::Missing)));
    assert_eq!(verify(&path), Err(EvidenceError::Missing));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Checkpoints taken while the log grows and shrinks by retention all fit it and each other, and none fits once a
    /// leaf before it is another one.
    #[test]
    fn checkpoints_of_one_log_are_consistent_and_of_another_are_not(
        grows in proptest::collection::vec((1u64..6, 0i64..1_040), 2..6), changed in 0u64..10,
    ) {
        let (dir, path) = log();
        let key = key(dir.path());
        let evidence = filled(&path, 0);
        let mut kept = Vec::new();
        for (more, before) in grows {
            let size = evidence.head().size;
            evidence.record_all_blocking((size..size + more).map(entry)).unwrap();
            kept.push(evidence.checkpoint_blocking("o/evidence", &key, Timestamp(1)).unwrap());
            evidence.purge_blocking(&rule(before), Timestamp(9_000)).unwrap();
        }
        let hashes = leaves(&path, evidence.head().size).unwrap();
        for pair in kept.windows(2) {
            let (old, new) = (pair[0].head, pair[1].head);
            let proof = consistency_proof(&hashes[..new.size as usize], old.size).unwrap();
            prop_assert!(is_consistent((old.size, old.root), (new.size, new.root), &proof));
        }
        drop(evidence);
        let against = Against { key: Some(Verifier::log("o/evidence", &key)), checkpoints: kept, cosigners: Vec::new() };
        let report = examine(&path, &against).unwrap();
        prop_assert_eq!(&report.damage, &vec![]);
        prop_assert_eq!(report.checkpoints, 2 * against.checkpoints.len() as u64);
        let first = against.checkpoints[0].head.size;
        let changed = changed.min(first - 1);
        forge(&path, &format!("UPDATE leaf SET hash = randomblob(32) WHERE seq = {changed}"));
        let report = examine(&path, &against).unwrap();
        prop_assert_eq!(report.checkpoints, 0);
    }
}
