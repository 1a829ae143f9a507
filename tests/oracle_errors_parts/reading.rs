//! The read side: the adapter under the turns of capture.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use slotbridge::capture::{Settings as Capturing, Turns};
use slotbridge::domain::{Fact, ObjectName, Value};
use slotbridge::legacy::oracle::write::Body;
use slotbridge::legacy::oracle::{Oracle, OracleRead, Settings};
use slotbridge::legacy::{CutInfo, Hint, LegacyError, LegacyErrorKind, LegacyRead, RowSink};
use slotbridge::mapping::Layout;

use crate::capture_support::{Setup, setup_with};
use crate::codes::{self, CLASSES, Class};
use crate::harness::{Harness, Legacy, SETTINGS, SLOTS};
use crate::kit::Fault;
use crate::oracle::OnOracle;

type Seen = Arc<Mutex<Vec<(&'static str, LegacyErrorKind, String)>>>;

/// Tells the test what the lane is told.
struct Watched {
    inner: OracleRead,
    seen: Seen,
}

fn told<T>(seen: &Seen, done: Result<T, LegacyError>) -> Result<T, LegacyError> {
    done.inspect_err(|error| seen.lock().unwrap().push((error.class, error.kind, error.to_string())))
}

impl LegacyRead for Watched {
    fn columns(&mut self, view: &str) -> Result<Vec<(String, String)>, LegacyError> {
        told(&self.seen, self.inner.columns(view))
    }
    fn cut(
        &mut self,
        layouts: &[&Layout],
        sink: &mut dyn FnMut(usize, Vec<Value>) -> Result<(), LegacyError>,
    ) -> Result<CutInfo, LegacyError> {
        told(&self.seen, self.inner.cut(layouts, sink))
    }
    fn page(
        &mut self,
        layout: &Layout,
        after: Option<&str>,
        rows_max: u32,
        sink: &mut RowSink<'_>,
    ) -> Result<CutInfo, LegacyError> {
        told(&self.seen, self.inner.page(layout, after, rows_max, sink))
    }
    fn hinted(&mut self, layout: &Layout, hint: &Hint<'_>, sink: &mut RowSink<'_>) -> Result<CutInfo, LegacyError> {
        told(&self.seen, self.inner.hinted(layout, hint, sink))
    }
    fn lag_ms(&mut self) -> Result<u64, LegacyError> {
        told(&self.seen, self.inner.lag_ms())
    }
    fn statements(&self) -> u64 {
        self.inner.statements()
    }
}

/// Full cuts over the double; the test says what time it is.
struct Day {
    setup: Setup,
    full: Turns,
    begun: Instant,
    seen: Seen,
    connects: Arc<AtomicU32>,
    _dir: tempfile::TempDir,
}

fn shipped() -> Vec<Layout> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings");
    let files = slotbridge::mapping_files::read_folder(&folder).unwrap();
    slotbridge::mapping::load(&files).unwrap().layouts().into_iter().collect()
}

impl Day {
    fn new(on: &OnOracle) -> Day {
        let dir = tempfile::tempdir().unwrap();
        let setup = setup_with(dir.path(), shipped(), Capturing { duty_percent_max: 100, ..Capturing::default() });
        let (seen, connects): (Seen, Arc<AtomicU32>) = Default::default();
        // Few rows a fetch, so that there is a second one.
        let settings = Settings { fetch_array: 10, ..on.oracle.settings().clone() };
        let connect: slotbridge::capture::Connect = Arc::new({
            let (seen, connects) = (seen.clone(), connects.clone());
            move || {
                connects.fetch_add(1, Ordering::Relaxed);
                // A process of its own each time: the breaker is tested elsewhere.
                let opened = Oracle::new(settings.clone()).and_then(OracleRead::open);
                let inner = told(&seen, opened)?;
                Ok(Box::new(Watched { inner, seen: seen.clone() }))
            }
        });
        let begun = Instant::now();
        let full = setup.capture.turns(&connect, begun).unwrap().swap_remove(0);
        Day { setup, full, begun, seen, connects, _dir: dir }
    }

    fn turn(&mut self, at_ms: u64) {
        let now = self.begun + Duration::from_millis(at_ms);
        self.full.turn(&|| now).unwrap();
    }

    fn due_ms(&self) -> u64 {
        u64::try_from((self.full.due().unwrap() - self.begun).as_millis()).unwrap()
    }

    fn halted(&self) -> Vec<String> {
        self.setup.capture.stats().halted.keys().map(ObjectName::to_string).collect()
    }

    fn failed(&self) -> u64 {
        self.setup.capture.stats().polls.values().map(|poll| poll.failed).sum()
    }

    /// Slots that the desk was told, and how often each.
    fn slots(&self) -> BTreeMap<String, u32> {
        let mut told = BTreeMap::new();
        for fact in self.setup.desk.facts.lock().unwrap().iter() {
            if let Fact::Slot(slot) = fact {
                *told.entry(slot.key.to_string()).or_default() += 1;
            }
        }
        told
    }
}

/// Milliseconds until the lane goes on, and whether over another connection.
fn pause(kind: LegacyErrorKind) -> (u64, bool) {
    match kind {
        LegacyErrorKind::Retry => (500, false),
        LegacyErrorKind::Lost | LegacyErrorKind::Halt => (500, true),
        LegacyErrorKind::Wait => (10_000, true),
        LegacyErrorKind::Operator | LegacyErrorKind::Credentials => (60_000, true),
        LegacyErrorKind::Schema => (60_000, false),
    }
}

fn strikes(on: &OnOracle, class: &Class, fault: Fault, at_logon: bool, what: &str) {
    let mut day = Day::new(on);
    on.server.fault(fault);
    day.turn(0);
    let seen = day.seen.lock().unwrap().clone();
    assert_eq!(seen.len(), 1, "{what}: {seen:?}");
    assert_eq!((seen[0].0, seen[0].1), (class.label, class.kind), "{what}: {}", seen[0].2);
    let (pause_ms, mut anew) = pause(class.kind);
    let drift = class.kind == LegacyErrorKind::Schema;
    if at_logon {
        // Nothing was read over this connection, and an error of the schema is about no view yet.
        anew = class.kind != LegacyErrorKind::Retry;
        assert_eq!((day.failed(), day.halted().len()), (0, 0), "{what}");
    } else {
        assert_eq!(day.halted(), if drift { vec!["reservation", "slot"] } else { vec![] }, "{what}");
    }
    // A logon that may be tried again at once puts off the poll that wanted it; the next poll's is had.
    let is_next = at_logon && class.kind == LegacyErrorKind::Retry;
    let first = if is_next { SLOTS as usize } else { 0 };
    assert_eq!(day.slots().len(), first, "{what}: a cut that is not whole is not told");
    let connects = day.connects.load(Ordering::Relaxed);
    let (soon, late) = (pause_ms - 1, pause_ms.max(day.due_ms()));
    if pause_ms > 500 {
        day.turn(soon);
        assert_eq!(day.slots().len(), 0, "{what}: it waits");
    }
    assert!(late <= pause_ms + 1_000, "{what}: {late} ms");
    day.turn(late);
    assert_eq!(day.connects.load(Ordering::Relaxed) - connects, u32::from(anew), "{what}: connections");
    let slots = day.slots();
    assert_eq!(slots.len(), SLOTS as usize, "{what}: every slot");
    assert!(slots.values().all(|times| *times == 1), "{what}: {slots:?}");
    assert_eq!((day.seen.lock().unwrap().len(), day.halted().len()), (1, 0), "{what}");
    on.server.no_faults();
}

fn world() -> OnOracle {
    OnOracle::new(Legacy::new(SETTINGS[0]), Body::Sql)
}

#[test]
fn each_class_at_the_logon_of_a_reader() {
    let on = world();
    for class in CLASSES {
        let what = format!("{} at the logon", class.label);
        let fault = Fault::at("logon").on("BRIDGE_R").code(class.codes[0], "of the test");
        if class.label == codes::CREDENTIALS.label {
            continue;
        }
        strikes(&on, class, fault, true, &what);
    }
}

#[test]
fn each_class_at_the_first_statement_and_at_a_fetch_of_a_cut() {
    let on = world();
    for class in CLASSES {
        let code = class.codes[0];
        let executed = Fault::at("execute").on("%FROM \"SB_SLOT\"%").code(code, "of the test");
        strikes(&on, class, executed, false, &format!("{} at the statement", class.label));
        let second = Fault::at("execute").on("%FROM \"SB_BOOKING\"%").code(code, "of the test");
        strikes(&on, class, second, false, &format!("{} at the second statement", class.label));
        let fetched = Fault::at("fetch").on("%FROM \"SB_SLOT\"%").skip(1).code(code, "of the test");
        strikes(&on, class, fetched, false, &format!("{} at the second fetch", class.label));
    }
}

#[test]
fn each_class_at_the_begin_and_the_end_of_a_read_only_transaction() {
    let on = world();
    for class in CLASSES {
        let code = class.codes[0];
        let begins = Fault::at("execute").on("SET TRANSACTION READ ONLY%").skip(1).code(code, "of the test");
        strikes(&on, class, begins, false, &format!("{} at the begin", class.label));
        let ends = Fault::at("rollback").skip(1).code(code, "of the test");
        strikes(&on, class, ends, false, &format!("{} at the end", class.label));
    }
}

/// Each code, at the statement of a cut.
#[test]
fn each_code_is_told_as_its_class_to_a_reader() {
    let on = world();
    let slots = crate::shorthand::slots();
    let mut reader = on.reader();
    let whole = |reader: &mut dyn LegacyRead| {
        let mut rows = 0;
        reader
            .cut(&[&slots], &mut |_, _| {
                rows += 1;
                Ok(())
            })
            .map(|_| rows)
    };
    assert_eq!(whole(&mut *reader).unwrap(), SLOTS);
    for class in CLASSES {
        for code in class.codes {
            on.server.fault(Fault::at("execute").on("%FROM \"SB_SLOT\"%").code(*code, "of the test").times(2));
            let error = whole(&mut *reader).unwrap_err();
            assert_eq!((error.class, error.kind), (class.label, class.kind), "ORA-{code:05}: {error}");
            assert!(!error.in_doubt && !error.to_string().contains("of the test"), "ORA-{code:05}: {error}");
            on.server.no_faults();
            assert_eq!(whole(&mut *reader).unwrap(), SLOTS, "ORA-{code:05}: the next cut is whole");
        }
    }
}

/// Where the client library moves a session inside a cut, one half is of another snapshot: none of it is used.
#[test]
fn a_cut_over_two_sessions_is_discarded() {
    let on = world();
    for view in ["%FROM \"SB_SLOT\"%", "%FROM \"SB_BOOKING\"%"] {
        strikes(&on, &codes::LOST, Fault::at("move").on(view), false, view);
    }
}
