//! Watches the disk below SQLite: every answer follows the sync of the WAL that contains its entry and its reply,
//! and a failed sync or write is never tried again.
//!
//! A recording VFS hands every call on to the system's and notes writes and syncs of WAL files in one list with the
//! release of answers.
#![allow(unsafe_code)] // a VFS is a table of C functions

mod ledger_kit;

use std::collections::BTreeMap;
use std::ffi::{CStr, OsStr, c_int, c_void};
use std::future::Future;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Wake, Waker};

use ledger_kit::{Plain, Told, ToldDesk, cancels, open, reply};
use rusqlite::ffi;
use slotbridge::domain::{Position, Timestamp};
use slotbridge::durable::{Answer, Replies};
use slotbridge::ledger::{Committer, Ledger, LedgerStore, Settings, SyncMode, verify};
use tokio::sync::oneshot::Receiver;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Call {
    Write(Vec<u8>),
    Sync,
    Failed,
    /// The answer with this number was handed over.
    Released(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Write,
    Sync,
}

struct Opened {
    path: PathBuf,
    methods: &'static ffi::sqlite3_io_methods,
}

/// What happened, in order: the WAL file (or the directory, for releases) and the call.
static LOG: Mutex<Vec<(PathBuf, Call)>> = Mutex::new(Vec::new());
/// Open WAL files by the address of SQLite's file object.
static OPENED: Mutex<BTreeMap<usize, Opened>> = Mutex::new(BTreeMap::new());
/// The next such call on a WAL in the directory fails.
static FAULTS: Mutex<BTreeMap<PathBuf, Fault>> = Mutex::new(BTreeMap::new());
/// Address of the system's VFS; the recording one is registered as the default when this is first asked for.
static SYSTEM: LazyLock<usize> = LazyLock::new(register);

fn lock<T>(mutex: &'static Mutex<T>) -> MutexGuard<'static, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn note(path: &Path, call: Call) {
    lock(&LOG).push((path.to_owned(), call));
}

fn register() -> usize {
    // SAFETY: SQLite's default VFS lives as long as the process; the copy is leaked, so it does too, and keeps every
    // method of the original but the opening of files.
    unsafe {
        assert_eq!(ffi::sqlite3_initialize(), ffi::SQLITE_OK);
        let system = ffi::sqlite3_vfs_find(std::ptr::null());
        assert!(!system.is_null());
        let recording = Box::leak(Box::new(*system));
        recording.zName = c"recording".as_ptr();
        recording.xOpen = Some(open_file);
        assert_eq!(ffi::sqlite3_vfs_register(recording, 1), ffi::SQLITE_OK);
        system as usize
    }
}

unsafe extern "C" fn open_file(
    _: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    flags_out: *mut c_int,
) -> c_int {
    let system = *SYSTEM as *mut ffi::sqlite3_vfs;
    // SAFETY: `system` is the default VFS, whose file objects are as large as the copy says; SQLite passes a file
    // object of that size and a name that is null or ends with a zero byte. After a successful opening the file has a
    // table of methods, which is static; a changed copy of it, leaked, takes its place.
    unsafe {
        let code = ((*system).xOpen.expect("a VFS opens files"))(system, name, file, flags, flags_out);
        if code == ffi::SQLITE_OK && flags & ffi::SQLITE_OPEN_WAL != 0 && !name.is_null() {
            let path = PathBuf::from(OsStr::from_bytes(CStr::from_ptr(name).to_bytes()));
            let methods: &'static ffi::sqlite3_io_methods = &*(*file).pMethods;
            let recording = ffi::sqlite3_io_methods {
                xClose: Some(close_file),
                xWrite: Some(write_file),
                xSync: Some(sync_file),
                ..*methods
            };
            lock(&OPENED).insert(file as usize, Opened { path, methods });
            (*file).pMethods = Box::leak(Box::new(recording));
        }
        code
    }
}

/// Path and methods of a WAL that `open_file` opened.
fn opened(file: *mut ffi::sqlite3_file) -> (PathBuf, &'static ffi::sqlite3_io_methods) {
    let opened = lock(&OPENED);
    let found = &opened[&(file as usize)];
    (found.path.clone(), found.methods)
}

fn faulty(path: &Path, fault: Fault) -> bool {
    let dir = path.parent().expect("a WAL lies in a directory");
    let mut faults = lock(&FAULTS);
    let fails = faults.get(dir) == Some(&fault);
    if fails {
        faults.remove(dir);
        note(path, Call::Failed);
    }
    fails
}

unsafe extern "C" fn close_file(file: *mut ffi::sqlite3_file) -> c_int {
    let (_, methods) = opened(file);
    lock(&OPENED).remove(&(file as usize));
    // SAFETY: `methods` is the table that the system's VFS gave to this very file.
    unsafe { methods.xClose.expect("a file closes")(file) }
}

unsafe extern "C" fn write_file(file: *mut ffi::sqlite3_file, from: *const c_void, size: c_int, at: i64) -> c_int {
    let (path, methods) = opened(file);
    if faulty(&path, Fault::Write) {
        return ffi::SQLITE_IOERR_WRITE;
    }
    // SAFETY: SQLite passes `size` readable bytes at `from`.
    let bytes = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), size as usize) };
    note(&path, Call::Write(bytes.to_owned()));
    // SAFETY: `methods` is the table that the system's VFS gave to this very file.
    unsafe { methods.xWrite.expect("a file is written")(file, from, size, at) }
}

unsafe extern "C" fn sync_file(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    let (path, methods) = opened(file);
    if faulty(&path, Fault::Sync) {
        return ffi::SQLITE_IOERR_FSYNC;
    }
    // SAFETY: `methods` is the table that the system's VFS gave to this very file.
    let code = unsafe { methods.xSync.expect("a file is synced")(file, flags) };
    // Noted after it returned: only then is anything on the disk.
    note(&path, Call::Sync);
    code
}

/// Notes the moment at which an answer is handed over.
struct Release {
    dir: PathBuf,
    number: usize,
}

impl Wake for Release {
    fn wake(self: Arc<Self>) {
        note(&self.dir, Call::Released(self.number));
    }
}

struct Setup {
    dir: tempfile::TempDir,
    committer: Committer<ToldDesk, Ledger>,
    /// Answers by number.
    answers: Vec<Answer>,
}

impl Setup {
    fn new(sync: SyncMode) -> Setup {
        assert_ne!(*SYSTEM, 0);
        let dir = tempfile::tempdir().expect("a directory");
        // Small, so that checkpoints and new segments come in between.
        let settings = Settings { segment_entries_max: 150, checkpoint_bytes: 1 << 18, sync, ..Settings::default() };
        let store = open(dir.path(), settings);
        let desk = ToldDesk { last: store.position().0, ..ToldDesk::default() };
        let committer = Committer::new(desk, store, Box::new(Plain), vec![Box::new(Told::default())]);
        Setup { dir, committer, answers: Vec::new() }
    }

    fn batch(&mut self, size: usize) -> bool {
        let (submissions, mut receivers) = cancels(size);
        for (at, receiver) in receivers.iter_mut().enumerate() {
            let release = Release { dir: self.dir.path().to_owned(), number: self.answers.len() + at };
            let waker = Waker::from(Arc::new(release));
            let polled = <Receiver<Answer> as Future>::poll(Pin::new(receiver), &mut Context::from_waker(&waker));
            assert!(polled.is_pending());
        }
        let ended = self.committer.run_batch(Timestamp(1), submissions);
        let released = receivers.iter_mut().map(|receiver| receiver.try_recv().expect("everybody is answered"));
        self.answers.extend(released);
        ended.is_ok()
    }

    fn log(&self) -> Vec<(PathBuf, Call)> {
        lock(&LOG).iter().filter(|(path, _)| path.starts_with(self.dir.path())).cloned().collect()
    }

    /// Entries that were answered for before the WAL that contains them was synced.
    fn too_early(&self) -> Vec<Position> {
        let log = self.log();
        let mut early = Vec::new();
        for (number, answer) in self.answers.iter().enumerate() {
            let Answer::Reply { entry: Some(entry), body, .. } = answer else { continue };
            let released = log.iter().position(|(_, call)| *call == Call::Released(number)).expect("it was released");
            let stored = format!("{{\"kind\":\"cancelled\",\"booking\":{entry},");
            if !synced_before(&log[..released], stored.as_bytes()) || !synced_before(&log[..released], body) {
                early.push(*entry);
            }
        }
        early
    }
}

/// Was the WAL to which `text` was first written synced after that?
fn synced_before(log: &[(PathBuf, Call)], text: &[u8]) -> bool {
    let holds = |call: &Call| match call {
        Call::Write(bytes) => bytes.windows(text.len()).any(|found| found == text),
        _ => false,
    };
    log.iter().position(|(_, call)| holds(call)).is_some_and(|written| {
        let wal = &log[written].0;
        log[written..].iter().any(|(path, call)| path == wal && *call == Call::Sync)
    })
}

#[test]
fn every_answer_follows_the_sync_of_the_wal_that_contains_its_entry() {
    let mut setup = Setup::new(SyncMode::Full);
    for size in 1..40 {
        assert!(setup.batch(size % 9 + 1));
    }
    assert_eq!(setup.too_early(), []);
    assert!(setup.answers.len() > 150, "more than one segment");
    assert!(setup.answers.iter().all(|answer| matches!(answer, Answer::Reply { entry: Some(_), .. })));
}

#[test]
fn without_the_sync_the_same_check_finds_every_answer_too_early() {
    let mut setup = Setup::new(SyncMode::Off);
    for size in 1..40 {
        assert!(setup.batch(size % 9 + 1));
    }
    assert_eq!(setup.too_early().len(), setup.answers.len());
}

#[test]
fn a_failed_write_or_sync_is_not_tried_again_and_nobody_is_told_yes() {
    for fault in [Fault::Write, Fault::Sync] {
        let mut setup = Setup::new(SyncMode::Full);
        assert!(setup.batch(5));
        lock(&FAULTS).insert(setup.dir.path().to_owned(), fault);
        assert!(!setup.batch(5));
        assert!(!setup.batch(5));
        assert!(setup.committer.status().has_failed());
        let (yes, no) = setup.answers.split_at(5);
        assert!(yes.iter().all(|answer| matches!(answer, Answer::Reply { .. })), "{fault:?}");
        assert!(no.iter().all(|answer| matches!(answer, Answer::NotDurable)), "{fault:?}");
        let Setup { dir, committer, .. } = setup;
        drop(committer);
        let log = lock(&LOG).clone();
        let of_dir: Vec<_> = log.iter().filter(|(path, _)| path.starts_with(dir.path())).collect();
        let failed = of_dir.iter().position(|(_, call)| *call == Call::Failed).expect("the fault came");
        let after: Vec<_> = of_dir[failed + 1..].iter().filter(|(_, c)| !matches!(c, Call::Released(_))).collect();
        assert_eq!(after.len(), 0, "{fault:?}: the WAL is touched after the failure");

        let ledger = open(dir.path(), Settings::default());
        for entry in 1..=5 {
            assert_eq!(ledger.reader().reply(Position(entry)).expect("a read"), Some(reply(entry)));
        }
        assert_eq!(verify(dir.path()).expect("a report").damage, None);
    }
}

#[test]
fn a_failed_checkpoint_stops_the_ledger_and_loses_nothing() {
    assert_ne!(*SYSTEM, 0);
    let dir = tempfile::tempdir().expect("a directory");
    let mut ledger = open(dir.path(), Settings { checkpoint_bytes: 0, ..Settings::default() });
    ledger_kit::fill(&mut ledger, 2);
    let batch = ledger_kit::next_batch(&ledger, 3);
    ledger.append(&batch).expect("the batch is durable");
    lock(&FAULTS).insert(dir.path().to_owned(), Fault::Sync);
    assert!(ledger.tidy().is_err());
    let (head, batch) = (ledger.head(), ledger_kit::next_batch(&ledger, 3));
    assert!(ledger.append(&batch).is_err());
    drop(ledger);
    assert_eq!(open(dir.path(), Settings::default()).head(), head);
}
