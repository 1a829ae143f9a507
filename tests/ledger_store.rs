//! Segments, the chain through them, and that no damage passes unnoticed.

mod ledger_kit;

use std::fs;
use std::path::{Path, PathBuf};

use ledger_kit::{cancelled, copy_dir, fill, next_batch, open, small_segments};
use rusqlite::Connection;
use slotbridge::decide::{Entry, What};
use slotbridge::domain::{Position, Timestamp};
use slotbridge::durable::{EntryLog, Replies};
use slotbridge::ledger::{
    Batch, ENTRIES_MAX, Expected, Head, Ledger, LedgerError, LedgerReader, LedgerStore, Settings, verify,
};

/// Three segments of four batches, then a fourth with one; a batch is four entries over six positions.
const BATCHES: usize = 13;

fn ledger_of_four_segments() -> (tempfile::TempDir, Head) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut ledger = open(dir.path(), small_segments(16));
    fill(&mut ledger, BATCHES);
    let head = ledger.head();
    ledger.close().expect("the ledger closes");
    (dir, head)
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path());
    let mut found: Vec<PathBuf> = names.filter(|path| path.extension().is_some_and(|e| e == "sqlite")).collect();
    found.sort();
    found
}

fn entries(ledger: &LedgerReader, after: Option<Head>) -> Result<Vec<Entry>, LedgerError> {
    ledger.replay(after, |entries| entries.collect::<Vec<Entry>>()).map(|(entries, _)| entries)
}

#[test]
fn what_was_appended_is_read_back_across_segments() {
    let (dir, head) = ledger_of_four_segments();
    let ledger = open(dir.path(), small_segments(16));
    assert_eq!(ledger.head(), head);
    assert_eq!(ledger.position(), Position(6 * BATCHES as u64));
    assert_eq!(ledger.at(), Timestamp(BATCHES as i64));
    let names: Vec<_> = segments(dir.path()).iter().map(|p| p.file_name().map(|n| n.to_owned())).collect();
    assert_eq!(names.len(), 4);
    assert_eq!(names[1].as_deref().and_then(|n| n.to_str()), Some("seg-0000000000000025.sqlite"));
    let all = entries(&ledger.reader(), None).expect("a whole ledger");
    assert_eq!(all.len(), 4 * BATCHES);
    assert_eq!(all[5], cancelled(10, 2));
    assert_eq!(ledger.reader().entries_after(Position::ZERO, usize::MAX).expect("entries"), all);
    assert_eq!(ledger.reader().entries_after(Position(22), 3).expect("entries"), all[14..17]);
    for entry in &all {
        let stored = ledger.reader().reply(entry.position).expect("a read");
        let expected = matches!(entry.what, What::Cancelled { .. }).then(|| ledger_kit::reply(entry.position.0));
        assert_eq!(stored, expected);
    }
    assert_eq!(ledger.reader().reply(Position(1_000)).expect("a read"), None);
}

#[test]
fn a_replay_goes_on_after_any_batch() {
    let (dir, _) = ledger_of_four_segments();
    let ledger = open(dir.path(), small_segments(16));
    let all = entries(&ledger.reader(), None).expect("a whole ledger");
    for batch in 1..=BATCHES {
        let position = Position(6 * batch as u64);
        let hash = ledger.hash_at(position).expect("a read").expect("a batch ends here");
        let after = Head { position, hash };
        assert_eq!(entries(&ledger.reader(), Some(after)).expect("a whole rest"), all[4 * batch..]);
        assert_eq!(ledger.hash_at(Position(position.0 - 1)).expect("a read"), None);
        if batch < BATCHES {
            let other = Head { hash: Default::default(), ..after };
            assert!(matches!(entries(&ledger.reader(), Some(other)), Err(LedgerError::Damaged(_))), "batch {batch}");
        }
    }
}

#[test]
fn a_reader_sees_segments_that_begin_later() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut ledger = open(dir.path(), small_segments(8));
    let reader = ledger.reader();
    fill(&mut ledger, 7);
    assert_eq!(reader.entries_after(Position::ZERO, 1_000).expect("entries").len(), 28);
}

#[test]
fn a_ledger_that_was_not_closed_goes_on_where_it_stopped() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut ledger = open(dir.path(), small_segments(16));
    fill(&mut ledger, 6);
    let (head, key, incarnation) = (ledger.head(), ledger.mac_key(), ledger.incarnation());
    drop(ledger);
    let mut ledger = open(dir.path(), small_segments(16));
    assert_eq!((ledger.head(), ledger.incarnation()), (head, incarnation));
    assert_eq!(ledger.mac_key().expose(), key.expose());
    fill(&mut ledger, 6);
    assert_eq!(verify(dir.path()).expect("a report").damage, None);
}

#[test]
fn a_segment_that_was_begun_but_is_empty_is_gone_on_with() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut ledger = open(dir.path(), small_segments(16));
    fill(&mut ledger, 4);
    let head = ledger.head();
    drop(ledger);
    assert_eq!(segments(dir.path()).len(), 2);
    let mut ledger = open(dir.path(), small_segments(16));
    assert_eq!((ledger.head(), ledger.at()), (head, Timestamp(4)));
    assert_eq!(ledger.hash_at(head.position).expect("a read"), Some(head.hash));
    fill(&mut ledger, 1);
    assert_eq!(entries(&ledger.reader(), Some(head)).expect("a whole rest").len(), 4);
    assert_eq!(verify(dir.path()).expect("a report").damage, None);
}

#[test]
fn a_half_made_segment_is_made_anew() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut ledger = open(dir.path(), small_segments(16));
    fs::write(dir.path().join("seg-0000000000000025.sqlite.new"), b"half").expect("a file");
    fill(&mut ledger, 5);
    assert_eq!(verify(dir.path()).expect("a report").damage, None);
}

#[test]
fn a_batch_out_of_order_is_refused_and_leaves_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut ledger = open(dir.path(), Settings::default());
    fill(&mut ledger, 1);
    for positions in [vec![6, 7], vec![8, 9], vec![7, 9], vec![7, 7]] {
        let entries = positions.iter().map(|position| cancelled(*position, 2)).collect();
        let batch = Batch { at: Timestamp(2), entries, replies: Vec::new() };
        assert!(matches!(ledger.append(&batch), Err(LedgerError::OutOfOrder { .. })), "{positions:?}");
    }
    fill(&mut ledger, 1);
    assert_eq!(verify(dir.path()).expect("a report").damage, None);
}

#[test]
fn a_batch_over_the_bound_is_refused_and_leaves_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut ledger = open(dir.path(), Settings::default());
    let of = |count: usize| {
        let entries = (1..=count as u64).map(|position| cancelled(position, 1)).collect();
        Batch { at: Timestamp(1), entries, replies: Vec::new() }
    };
    assert!(matches!(ledger.append(&of(ENTRIES_MAX + 1)), Err(LedgerError::TooLarge { .. })));
    ledger.append(&of(ENTRIES_MAX)).expect("the bound itself is allowed");
    assert_eq!(ledger.position(), Position(ENTRIES_MAX as u64));
}

#[test]
fn a_lost_ledger_is_never_replaced_by_a_fresh_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let fresh = Ledger::open(dir.path(), Settings::default(), Expected::MustExist);
    assert!(matches!(fresh, Err(LedgerError::Lost { .. })));
    let (dir, _) = ledger_of_four_segments();
    let reopened = |dir: &Path| Ledger::open(dir, small_segments(16), Expected::MayBeNew).map(|ledger| ledger.head());
    let all = segments(dir.path());
    for lost in [&all[..], &all[..1], &all[3..]] {
        let copy = tempfile::tempdir().expect("a directory");
        copy_dir(dir.path(), copy.path());
        for path in lost {
            fs::remove_file(copy.path().join(path.file_name().expect("a name"))).expect("a segment");
        }
        let error = reopened(copy.path()).expect_err("segments are missing");
        assert_eq!(error.code(), "ledger_lost", "{error}");
    }
    fs::remove_file(dir.path().join("HEAD")).expect("HEAD");
    assert_eq!(reopened(dir.path()).expect_err("HEAD is missing").code(), "ledger_lost");
}

struct Tampering {
    what: &'static str,
    /// Which segment, from 0.
    segment: usize,
    sql: &'static str,
    batch: Option<u64>,
    position: Option<u64>,
}

fn tampering(what: &'static str, segment: usize, sql: &'static str, batch: u64, position: u64) -> Tampering {
    let some = |n| (n > 0).then_some(n);
    Tampering { what, segment, sql, batch: some(batch), position: some(position) }
}

/// Segment 1 holds the batches that begin at 25, 31, 37 and 43.
fn tamperings() -> Vec<Tampering> {
    vec![
        tampering("entry", 1, "UPDATE entries SET body = replace(body, 'true', 'false') WHERE position = 35", 31, 0),
        tampering("entry unreadable", 1, "UPDATE entries SET body = '{' WHERE position = 35", 31, 35),
        tampering("time of an entry", 1, "UPDATE entries SET at = at - 1 WHERE position = 37", 37, 0),
        tampering("time of an entry, later", 1, "UPDATE entries SET at = at + 9 WHERE position = 41", 37, 41),
        tampering("reply", 1, "UPDATE replies SET body = replace(body, 'cancel', 'cancer') WHERE position = 41", 37, 0),
        tampering("status", 1, "UPDATE replies SET status = 201 WHERE position = 41", 37, 0),
        tampering("hash", 1, "UPDATE batches SET hash = zeroblob(32) WHERE first = 37", 37, 0),
        tampering("previous", 1, "UPDATE batches SET previous = zeroblob(32) WHERE first = 37", 37, 0),
        tampering("time of a batch", 1, "UPDATE batches SET at = 0 WHERE first = 37", 37, 0),
        tampering("end of a batch", 1, "UPDATE batches SET last = 41 WHERE first = 37", 37, 0),
        tampering("short hash", 1, "UPDATE batches SET hash = x'00' WHERE first = 37", 37, 0),
        tampering("entry deleted", 1, "DELETE FROM entries WHERE position = 35", 31, 35),
        tampering("last entry deleted", 3, "DELETE FROM entries WHERE position = 78", 73, 78),
        tampering("reply deleted", 1, "DELETE FROM replies WHERE position = 35", 31, 0),
        tampering("batch deleted", 1, "DELETE FROM batches WHERE first = 37", 43, 37),
        tampering("last batch deleted", 1, "DELETE FROM batches WHERE first = 43", 0, 43),
        tampering(
            "entries swapped",
            1,
            "UPDATE entries SET body = (SELECT body FROM entries e WHERE e.position = 75 - entries.position) \
             WHERE position IN (35, 40)",
            31,
            0,
        ),
        tampering(
            "batch renumbered",
            1,
            "UPDATE entries SET position = 1000 WHERE position = 35; UPDATE entries SET position = 35 WHERE position = 36; \
             UPDATE entries SET position = 36 WHERE position = 1000",
            31,
            0,
        ),
        tampering("reply moved", 1, "UPDATE replies SET position = 37 WHERE position = 40", 37, 0),
        tampering("reply without entry", 1, "UPDATE replies SET position = 38 WHERE position = 40", 37, 38),
        tampering("entry added", 3, "INSERT INTO entries SELECT 79, at, body FROM entries WHERE position = 78", 0, 79),
        tampering("reply added", 3, "INSERT INTO replies SELECT 79, 200, body FROM replies WHERE position = 78", 0, 79),
        tampering("key of the MACs", 1, "UPDATE meta SET mac_key = zeroblob(32)", 0, 0),
        tampering("key of the MACs at the beginning", 0, "UPDATE meta SET mac_key = zeroblob(32)", 1, 0),
        tampering("link of a segment", 1, "UPDATE meta SET previous = zeroblob(32)", 0, 0),
        tampering("incarnation", 0, "UPDATE incarnations SET incarnation = 7", 1, 0),
        tampering("incarnation added", 2, "INSERT INTO incarnations VALUES (30, 7)", 0, 0),
        tampering("table dropped", 1, "DROP TABLE replies", 0, 0),
    ]
}

fn change(path: &Path, sql: &str) {
    let connection = Connection::open(path).expect("a segment");
    connection.execute_batch(sql).expect("the tampering works");
}

#[test]
fn every_tampering_is_named_with_its_segment_and_batch() {
    let (dir, _) = ledger_of_four_segments();
    assert_eq!(verify(dir.path()).expect("a report").damage, None);
    for case in tamperings() {
        let copy = tempfile::tempdir().expect("a directory");
        copy_dir(dir.path(), copy.path());
        let path = segments(copy.path())[case.segment].clone();
        change(&path, case.sql);
        let damage = verify(copy.path()).expect("a report").damage.unwrap_or_else(|| panic!("{}", case.what));
        let name = path.file_name().and_then(|name| name.to_str());
        assert_eq!(Some(damage.segment.as_str()), name, "{}: {damage}", case.what);
        assert_eq!(damage.batch.map(|p| p.0), case.batch, "{}: {damage}", case.what);
        assert_eq!(damage.position.map(|p| p.0), case.position, "{}: {damage}", case.what);
        let reader = LedgerReader::open(copy.path()).expect("a reader");
        assert!(entries(&reader, None).is_err(), "{}: replayed past", case.what);
    }
}

#[test]
fn a_missing_or_cut_segment_is_named() {
    let (dir, _) = ledger_of_four_segments();
    for lost in 0..4 {
        let copy = tempfile::tempdir().expect("a directory");
        copy_dir(dir.path(), copy.path());
        let path = segments(copy.path())[lost].clone();
        fs::remove_file(&path).expect("a segment");
        let damage = verify(copy.path()).expect("a report").damage.expect("a segment is missing");
        assert_eq!(Some(damage.segment.as_str()), path.file_name().and_then(|name| name.to_str()));
    }
    for cut in 0..4 {
        let copy = tempfile::tempdir().expect("a directory");
        copy_dir(dir.path(), copy.path());
        let path = segments(copy.path())[cut].clone();
        let bytes = fs::read(&path).expect("a segment");
        fs::write(&path, &bytes[..bytes.len() / 2]).expect("a segment");
        let damage = verify(copy.path()).expect("a report").damage.expect("a segment is cut");
        assert_eq!(Some(damage.segment.as_str()), path.file_name().and_then(|name| name.to_str()));
    }
}

#[test]
fn a_flipped_byte_in_a_stored_body_is_found() {
    let (dir, _) = ledger_of_four_segments();
    let path = segments(dir.path())[2].clone();
    let whole = fs::read(&path).expect("a segment");
    let marks = [&b"\"coalesced\""[..], b"\"status\":\"cancelled\"", b"\"digest\""];
    for mark in marks {
        let at = whole.windows(mark.len()).position(|found| found == mark).expect("the text stands in the file");
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[at + 3] ^= 1 << bit;
            fs::write(&path, &bytes).expect("a segment");
            let damage = verify(dir.path()).expect("a report").damage.expect("a byte is flipped");
            assert_eq!(damage.segment, "seg-0000000000000049.sqlite");
            assert!(damage.batch.is_some());
        }
    }
}

#[test]
fn a_tail_that_was_cut_off_after_a_clean_stop_is_missed() {
    let (dir, _) = ledger_of_four_segments();
    let path = segments(dir.path())[3].clone();
    change(&path, "DELETE FROM batches; DELETE FROM entries; DELETE FROM replies");
    let damage = verify(dir.path()).expect("a report").damage.expect("a batch is missing");
    assert_eq!((damage.segment.as_str(), damage.batch), ("HEAD", None));
    let error = Ledger::open(dir.path(), small_segments(16), Expected::MayBeNew).map(|ledger| ledger.head());
    assert_eq!(error.expect_err("a batch is missing").code(), "ledger_lost");
}

#[test]
fn a_damaged_last_batch_is_not_opened() {
    for sql in [
        "UPDATE entries SET body = replace(body, 'true', 'false') WHERE position = 77",
        "UPDATE replies SET status = 201 WHERE position = 77",
        "UPDATE batches SET previous = zeroblob(32)",
        "UPDATE meta SET previous = zeroblob(32)",
    ] {
        let (dir, _) = ledger_of_four_segments();
        change(&segments(dir.path())[3], sql);
        let error = Ledger::open(dir.path(), small_segments(16), Expected::MayBeNew).map(|ledger| ledger.head());
        assert_eq!(error.expect_err("it is damaged").code(), "ledger_damaged", "{sql}");
    }
}

#[test]
fn a_full_disk_fails_the_append_for_good() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut ledger = open(dir.path(), Settings { pages_max: 60, ..Settings::default() });
    let mut appended = 0;
    let error = loop {
        let batch = next_batch(&ledger, 200);
        match ledger.append(&batch) {
            Ok(()) => appended += 1,
            Err(error) => break error,
        }
    };
    assert!(appended > 0);
    assert_eq!(error.code(), "ledger_write_failed", "{error}");
    let head = ledger.head();
    let batch = next_batch(&ledger, 1);
    assert!(matches!(ledger.append(&batch), Err(LedgerError::Stopped)));
    drop(ledger);
    let mut ledger = open(dir.path(), Settings::default());
    assert_eq!(ledger.head(), head);
    fill(&mut ledger, 1);
    assert_eq!(verify(dir.path()).expect("a report").batches, appended + 1);
}
