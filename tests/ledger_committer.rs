//! The committer over a real ledger: who is told what, and when.

mod ledger_kit;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use bytes::Bytes;
use ledger_kit::{Plain, Told, ToldDesk, cancel, cancels, open, small_segments, submission};
use slotbridge::decide::{Ask, Event, Outcome, TokenAsk};
use slotbridge::domain::{BookingId, PartnerId, PersonNo, PersonRef, Position, ReceiptMac, Timestamp};
use slotbridge::durable::{Answer, Render, Rendered, Replies, StoredReply, Submission};
use slotbridge::ledger::{BATCH_MAX, Batch, Committer, Ledger, LedgerError, LedgerStore, Settings, verify};
use tokio::sync::mpsc;
use tokio::sync::oneshot::Receiver;

/// A ledger whose appends are watched, and may be told to fail before or after they are durable.
struct Watched {
    ledger: Ledger,
    before_append: Box<dyn FnMut() + Send>,
    lost_reply: bool,
    failing: bool,
}

impl Watched {
    fn over(dir: &Path) -> Watched {
        let ledger = open(dir, Settings::default());
        Watched { ledger, before_append: Box::new(|| ()), lost_reply: false, failing: false }
    }
}

impl LedgerStore for Watched {
    fn append(&mut self, batch: &Batch) -> Result<(), LedgerError> {
        (self.before_append)();
        if self.failing {
            return Err(LedgerError::Stopped);
        }
        self.ledger.append(batch)?;
        if self.lost_reply { Err(LedgerError::Stopped) } else { Ok(()) }
    }

    fn position(&self) -> Position {
        self.ledger.position()
    }

    fn at(&self) -> Timestamp {
        self.ledger.at()
    }
}

fn committer<S: LedgerStore>(store: S, told: &Told) -> Committer<ToldDesk, S> {
    let desk = ToldDesk { last: store.position().0, ..ToldDesk::default() };
    Committer::new(desk, store, Box::new(Plain), vec![Box::new(told.clone())])
}

fn answers(receivers: &mut [Receiver<Answer>]) -> Vec<Option<Answer>> {
    receivers.iter_mut().map(|receiver| receiver.try_recv().ok()).collect()
}

fn stored(answer: &Answer) -> StoredReply {
    match answer {
        Answer::Reply { status, body, entry: Some(entry), .. } => {
            StoredReply { entry: *entry, status: *status, body: body.clone() }
        }
        other => panic!("not a reply that was stored: {other:?}"),
    }
}

#[test]
fn an_answer_waits_for_the_append_and_equals_what_is_stored() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut store = Watched::over(dir.path());
    let (submissions, receivers) = cancels(5);
    let receivers = Arc::new(Mutex::new(receivers));
    let early = Arc::new(Mutex::new(Vec::new()));
    let (seen, found) = (receivers.clone(), early.clone());
    store.before_append = Box::new(move || found.lock().unwrap().extend(answers(&mut seen.lock().unwrap())));
    let told = Told::default();
    let mut committer = committer(store, &told);
    committer.run_batch(Timestamp(10), submissions).expect("the batch is durable");
    assert_eq!(early.lock().unwrap().iter().flatten().count(), 0);
    assert_eq!(early.lock().unwrap().len(), 5);
    let reader = committer.store().ledger.reader();
    for (at, answer) in answers(&mut receivers.lock().unwrap()).into_iter().enumerate() {
        let answer = answer.expect("everybody is answered");
        assert_eq!(stored(&answer).entry, Position(at as u64 + 1));
        assert_eq!(reader.reply(stored(&answer).entry).expect("a read"), Some(stored(&answer)));
        assert!(matches!(answer, Answer::Reply { durable: Position(5), replay_of: None, .. }));
    }
    let told = told.0.lock().unwrap();
    assert_eq!((told.len(), told[0].first, told[0].last, told[0].touched.len()), (1, Position(1), Position(5), 5));
    assert_eq!(committer.status().durable(), Position(5));
}

#[test]
fn readers_are_told_before_anyone_is_answered() {
    struct Peek(Arc<Mutex<Vec<Receiver<Answer>>>>, Arc<Mutex<usize>>);
    impl slotbridge::durable::Consumer for Peek {
        fn durable(&mut self, _: &Arc<slotbridge::durable::Durable>) {
            *self.1.lock().unwrap() += answers(&mut self.0.lock().unwrap()).iter().flatten().count();
        }
    }
    let dir = tempfile::tempdir().expect("a directory");
    let (submissions, receivers) = cancels(3);
    let (receivers, early) = (Arc::new(Mutex::new(receivers)), Arc::new(Mutex::new(0)));
    let peek = Peek(receivers.clone(), early.clone());
    let store = open(dir.path(), Settings::default());
    let mut committer = Committer::new(ToldDesk::default(), store, Box::new(Plain), vec![Box::new(peek)]);
    committer.run_batch(Timestamp(1), submissions).expect("the batch is durable");
    assert_eq!(*early.lock().unwrap(), 0);
    assert_eq!(answers(&mut receivers.lock().unwrap()).iter().flatten().count(), 3);
}

#[test]
fn a_repeated_key_and_a_forgotten_refusal_are_answered_without_an_entry() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut committer = committer(open(dir.path(), Settings::default()), &Told::default());
    let (first, first_answer) = cancel("naver");
    let receipt = ReceiptMac([0; 16]);
    let person = PersonRef::Known(PersonNo(1));
    let again =
        Ask::Token(TokenAsk { person, before: None, receipt, epoch: 1, overlap: None, day_max: 1, epoch_max: 1 });
    let ask = Ask::Cancel { booking: BookingId(Position(1)), if_match: Some("x".to_owned()) };
    let of = |ask| Event::Request { ticket: 99, partner: ledger_kit::partner("naver"), ask };
    let (again, again_answer) = submission(of(again));
    let (refused, refused_answer) = submission(of(ask));
    let (tick, tick_answer) = submission(Event::Tick);
    committer.run_batch(Timestamp(1), vec![first, again, refused, tick]).expect("the batch is durable");
    let got = answers(&mut [first_answer, again_answer, refused_answer, tick_answer]);
    assert!(matches!(&got[0], Some(Answer::Reply { entry: Some(Position(1)), .. })));
    assert!(matches!(&got[1], Some(Answer::Reply { entry: None, replay_of: Some(Position(1)), .. })));
    assert!(matches!(&got[2], Some(Answer::Reply { status: 412, entry: None, replay_of: None, .. })));
    assert!(matches!(&got[3], Some(Answer::Done { durable: Position(1) })));
}

#[test]
fn ops_wake_the_worker_once_they_are_durable() {
    let dir = tempfile::tempdir().expect("a directory");
    let woken = Arc::new(Mutex::new(Vec::new()));
    let (waker, reader) = (woken.clone(), Mutex::new(None));
    let ledger = open(dir.path(), Settings::default());
    *reader.lock().unwrap() = Some(ledger.reader());
    let wake = move || {
        use slotbridge::durable::EntryLog;
        let reader = reader.lock().unwrap();
        let durable = reader.as_ref().expect("a reader").entries_after(Position::ZERO, 10).expect("entries");
        waker.lock().unwrap().push(durable.len());
    };
    let mut committer = committer(ledger, &Told::default()).on_ops_waiting(wake);
    let (reserve, mut answer) = submission(Event::Reserve { ticket: 0, count: 7 });
    committer.run_batch(Timestamp(1), vec![reserve]).expect("the batch is durable");
    assert!(matches!(answer.try_recv(), Ok(Answer::Reserved { first: Position(1), count: 7 })));
    assert_eq!(*woken.lock().unwrap(), [1]);
    assert_eq!(committer.status().durable(), Position(7));
}

#[test]
fn ledger_time_never_goes_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut first = committer(open(dir.path(), Settings::default()), &Told::default());
    for now in [100, 50, 101] {
        first.run_batch(Timestamp(now), cancels(1).0).expect("the batch is durable");
    }
    assert_eq!(first.desk().times, [Timestamp(100), Timestamp(100), Timestamp(101)]);
    drop(first);
    let mut again = committer(open(dir.path(), Settings::default()), &Told::default());
    again.run_batch(Timestamp(7), cancels(1).0).expect("the batch is durable");
    assert_eq!(again.desk().times, [Timestamp(101)]);
    assert_eq!(verify(dir.path()).expect("a report").damage, None);
}

#[test]
fn a_failed_append_is_not_durable_for_everyone_and_for_good() {
    let dir = tempfile::tempdir().expect("a directory");
    let told = Told::default();
    let mut store = Watched::over(dir.path());
    store.failing = true;
    let mut committer = committer(store, &told);
    for _ in 0..2 {
        let (submissions, mut receivers) = cancels(3);
        assert!(committer.run_batch(Timestamp(1), submissions).is_err());
        assert!(answers(&mut receivers).iter().all(|answer| matches!(answer, Some(Answer::NotDurable))));
    }
    assert!(committer.status().has_failed());
    assert!(told.0.lock().unwrap().is_empty());
    assert_eq!(committer.status().durable(), Position::ZERO);
}

#[test]
fn on_a_full_disk_nothing_is_acknowledged_that_is_not_there() {
    let dir = tempfile::tempdir().expect("a directory");
    let told = Told::default();
    let mut committer = committer(open(dir.path(), Settings { pages_max: 40, ..Settings::default() }), &told);
    let mut acknowledged = Vec::new();
    loop {
        let (submissions, mut receivers) = cancels(100);
        let ended = committer.run_batch(Timestamp(1), submissions);
        let got = answers(&mut receivers);
        if ended.is_err() {
            assert!(got.iter().all(|answer| matches!(answer, Some(Answer::NotDurable))));
            break;
        }
        acknowledged.extend(got.into_iter().map(|answer| stored(&answer.expect("an answer"))));
    }
    assert!(!acknowledged.is_empty());
    assert_eq!(told.0.lock().unwrap().last().map(|batch| batch.last.0), Some(acknowledged.len() as u64));
    drop(committer);
    all_are_there(dir.path(), &acknowledged);
}

#[test]
fn a_crash_between_append_and_release_loses_no_reply() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut store = Watched::over(dir.path());
    store.lost_reply = true;
    let mut committer = committer(store, &Told::default());
    let (submissions, receivers) = cancels(4);
    assert!(committer.run_batch(Timestamp(1), submissions).is_err());
    drop((committer, receivers));
    let expected: Vec<StoredReply> = (1..=4).map(ledger_kit::reply).collect();
    all_are_there(dir.path(), &expected);
}

fn all_are_there(dir: &Path, replies: &[StoredReply]) {
    let ledger = open(dir, small_segments(500));
    let reader = ledger.reader();
    for expected in replies {
        assert_eq!(reader.reply(expected.entry).expect("a read").as_ref(), Some(expected));
    }
    assert!(ledger.position().0 >= replies.len() as u64);
    assert_eq!(verify(dir).expect("a report").damage, None);
}

#[test]
fn a_failure_answers_those_who_still_wait_in_the_queue() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut store = Watched::over(dir.path());
    store.failing = true;
    let mut committer = committer(store, &Told::default());
    let (sender, receiver) = mpsc::channel(BATCH_MAX * 3);
    let (submissions, mut receivers) = cancels(BATCH_MAX * 2 + 7);
    for submission in submissions {
        sender.try_send(submission).expect("there is room");
    }
    assert!(committer.run(receiver, || Timestamp(1)).is_err());
    assert!(answers(&mut receivers).iter().all(|answer| matches!(answer, Some(Answer::NotDurable))));
    assert!(sender.is_closed());
}

#[test]
fn a_batch_takes_at_most_its_maximum_and_the_rest_follows() {
    let dir = tempfile::tempdir().expect("a directory");
    let told = Told::default();
    let mut committer = committer(open(dir.path(), Settings::default()), &told);
    let (sender, receiver) = mpsc::channel(BATCH_MAX * 3);
    let (submissions, mut receivers) = cancels(BATCH_MAX * 2 + 7);
    for submission in submissions {
        sender.try_send(submission).expect("there is room");
    }
    drop(sender);
    committer.run(receiver, || Timestamp(1)).expect("every batch is durable");
    let sizes: Vec<u64> = told.0.lock().unwrap().iter().map(|batch| batch.last.0 - batch.first.0 + 1).collect();
    assert_eq!(sizes, [BATCH_MAX as u64, BATCH_MAX as u64, 7]);
    assert!(answers(&mut receivers).iter().all(|answer| matches!(answer, Some(Answer::Reply { .. }))));
}

#[test]
fn a_deadline_makes_a_tick_without_any_request() {
    let dir = tempfile::tempdir().expect("a directory");
    let ticks = Arc::new(Mutex::new(Vec::new()));
    let desk = ToldDesk { deadline: Some(Timestamp(50)), ticks: ticks.clone(), ..ToldDesk::default() };
    let store = open(dir.path(), Settings::default());
    let mut committer = Committer::new(desk, store, Box::new(Plain), Vec::new());
    let (sender, receiver) = mpsc::channel::<Submission>(1);
    let clock = AtomicI64::new(47);
    let running = thread::spawn(move || committer.run(receiver, || Timestamp(clock.fetch_add(1, Ordering::Relaxed))));
    while ticks.lock().unwrap().is_empty() {
        thread::yield_now();
    }
    drop(sender);
    running.join().expect("no panic").expect("no failure");
    assert!(ticks.lock().unwrap()[0] >= Timestamp(50));
}

/// Names the directory that a child of this test binary writes to until it is killed.
const CHILD_DIR: &str = "SLOTBRIDGE_TEST_LEDGER_DIR";

/// Runs only as the child of the next test.
#[test]
fn a_child_acknowledges_until_it_is_killed() {
    let Some(dir) = std::env::var_os(CHILD_DIR) else { return };
    let mut committer = committer(open(Path::new(&dir), small_segments(500)), &Told::default());
    let mut out = std::io::stdout().lock();
    loop {
        let (submissions, mut receivers) = cancels(20);
        committer.run_batch(Timestamp(1), submissions).expect("the batch is durable");
        for answer in answers(&mut receivers).into_iter().flatten() {
            let StoredReply { entry, status, body } = stored(&answer);
            writeln!(out, "acknowledged {entry} {status} {}", String::from_utf8_lossy(&body)).expect("a pipe");
        }
    }
}

#[test]
fn what_was_acknowledged_before_a_kill_is_there_after_it() {
    if std::env::var_os(CHILD_DIR).is_some() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let mut acknowledged = Vec::new();
    for round in 0..20usize {
        let mut child = child("a_child_acknowledges_until_it_is_killed", dir.path());
        let mut child = child.stdout(Stdio::piped()).spawn().expect("a child");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
        let mut acknowledgements = lines.filter_map(|line| read_acknowledgement(&line));
        acknowledged.extend(acknowledgements.by_ref().take(1 + 37 * round % 211));
        child.kill().expect("the child runs");
        // What it wrote before it died was acknowledged too.
        acknowledged.extend(acknowledgements);
        child.wait().expect("the child is gone");
    }
    assert!(acknowledged.len() > 20, "{}", acknowledged.len());
    all_are_there(dir.path(), &acknowledged);
}

/// Runs only as the child of the next test.
#[test]
fn a_child_panics_while_it_decides() {
    struct Panicking;
    impl Render for Panicking {
        fn render(&self, _: &PartnerId, _: &Outcome) -> Rendered {
            panic!("half decided")
        }
    }
    let Some(dir) = std::env::var_os(CHILD_DIR) else { return };
    let ledger = open(Path::new(&dir), Settings::default());
    let mut committer = Committer::new(ToldDesk::default(), ledger, Box::new(Panicking), Vec::new());
    let (sender, receiver) = mpsc::channel(1);
    sender.try_send(cancel("naver").0).expect("there is room");
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| committer.run(receiver, || Timestamp(1))));
}

#[test]
fn a_panic_while_deciding_ends_the_process() {
    use std::os::unix::process::ExitStatusExt;
    const ABORT: i32 = 6;
    if std::env::var_os(CHILD_DIR).is_some() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let mut child = child("a_child_panics_while_it_decides", dir.path());
    let ended = child.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("a child");
    assert_eq!(ended.signal(), Some(ABORT));
}

fn child(test: &str, dir: &Path) -> Command {
    let mut child = Command::new(std::env::current_exe().expect("this binary"));
    child.args(["--exact", test, "--nocapture"]).env(CHILD_DIR, dir);
    child
}

fn read_acknowledgement(line: &str) -> Option<StoredReply> {
    let (_, line) = line.split_once("acknowledged ")?;
    let mut parts = line.splitn(3, ' ');
    let entry = Position(parts.next()?.parse().ok()?);
    let status = parts.next()?.parse().ok()?;
    let body = parts.next().filter(|body| body.ends_with('}'))?;
    Some(StoredReply { entry, status, body: Bytes::from(body.to_owned()) })
}
