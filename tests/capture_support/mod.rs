//! A legacy system and a desk in memory, for tests of capture.
#![allow(dead_code)]

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};

use slotbridge::capture::{Capture, CaptureError, HintKind, HotKeys, Parts, Settings};
use slotbridge::clock::Clock;
use slotbridge::decide::{Event, MAX_FACTS};
use slotbridge::domain::{Fact, ObjectName, Position, Timestamp, Value};
use slotbridge::durable::{Answer, Submission};
use slotbridge::intake::{Bounds, Intake};
use slotbridge::legacy::{CutInfo, Hint, LegacyError, LegacyErrorKind, LegacyRead, RowSink};
use slotbridge::mapping::catalogue::LayoutColumn;
use slotbridge::mapping::{ColumnType, Layout, Role};
use slotbridge::register::{IfMissing, Register};
use slotbridge::view::View;

pub type Hook = Box<dyn FnMut() + Send>;

#[derive(Default)]
pub struct Tables {
    pub rows: BTreeMap<String, BTreeMap<String, Vec<Value>>>,
    pub now: i64,
    /// The reader fails after so many rows.
    pub fails_after: Option<u64>,
    /// Runs once inside the next cut, after its snapshot was taken.
    pub amid: Option<Hook>,
    pub statements: u64,
    /// What was asked for beside cuts: object and question.
    pub asked: Vec<(String, String)>,
    /// Errors that the next reads of an object meet, first to last.
    pub errors: BTreeMap<String, VecDeque<(LegacyErrorKind, &'static str)>>,
    /// A page larger than this is older than the undo.
    pub undo_rows: Option<u32>,
    /// Every hint reads everything, as if its index were gone.
    pub scans: bool,
    /// Runs once after so many more pages.
    pub after_pages: Option<(u32, Hook)>,
    pub lag_ms: u64,
    /// A live dictionary other than `layouts()` declares.
    pub dictionary: BTreeMap<String, Vec<(String, String)>>,
    pub connects: u64,
    pub refuses: Option<LegacyErrorKind>,
}

#[derive(Clone, Default)]
pub struct Legacy(pub Arc<Mutex<Tables>>);

impl Legacy {
    pub fn put(&self, object: &str, row: Vec<Value>) {
        let key = row[0].as_text().unwrap().to_owned();
        self.0.lock().unwrap().rows.entry(object.to_owned()).or_default().insert(key, row);
    }

    pub fn remove(&self, object: &str, key: &str) {
        self.0.lock().unwrap().rows.get_mut(object).unwrap().remove(key);
    }

    pub fn set_now(&self, now: i64) {
        self.0.lock().unwrap().now = now;
    }

    pub fn amid(&self, hook: Hook) {
        self.0.lock().unwrap().amid = Some(hook);
    }

    /// The next read of the object fails.
    pub fn fail(&self, object: &str, kind: LegacyErrorKind, class: &'static str) {
        self.0.lock().unwrap().errors.entry(object.to_owned()).or_default().push_back((kind, class));
    }

    /// Questions asked since the last call.
    pub fn asked(&self) -> Vec<(String, String)> {
        std::mem::take(&mut self.0.lock().unwrap().asked)
    }

    /// Connections that are refused as `refuses` says.
    pub fn connect(&self) -> slotbridge::capture::Connect {
        let source = self.clone();
        Arc::new(move || {
            let mut tables = source.0.lock().unwrap();
            tables.connects += 1;
            match tables.refuses {
                Some(kind) => Err(LegacyError::new(kind, String::from("ORA-01017"))),
                None => Ok(Box::new(source.clone())),
            }
        })
    }

    fn met(&self, layouts: &[&Layout], question: String) -> Result<(), LegacyError> {
        let mut tables = self.0.lock().unwrap();
        for layout in layouts {
            let object = layout.object.to_string();
            tables.asked.push((object.clone(), question.clone()));
            if let Some((kind, class)) = tables.errors.get_mut(&object).and_then(VecDeque::pop_front) {
                return Err(LegacyError { class, ..LegacyError::new(kind, String::from("as the test wants")) });
            }
        }
        Ok(())
    }

    fn scn_max(&self, layouts: &[&Layout], rows: &[Vec<Value>]) -> Option<u64> {
        let at = layouts.iter().find_map(|layout| layout.at_role(Role::RowScn))?;
        rows.iter().filter_map(|row| row.get(at)?.as_int()).max().map(i64::unsigned_abs)
    }

    fn select(&self, layout: &Layout, keep: impl Fn(&[Value]) -> bool) -> (Timestamp, Vec<Vec<Value>>) {
        let mut tables = self.0.lock().unwrap();
        tables.statements += 1;
        let rows = tables.rows.get(layout.object.as_str()).into_iter().flat_map(|rows| rows.values());
        (Timestamp(tables.now), rows.filter(|row| keep(row)).cloned().collect())
    }

    fn pass(&self, as_of: Timestamp, rows: Vec<Vec<Value>>, sink: &mut RowSink<'_>) -> Result<CutInfo, LegacyError> {
        let count = rows.len() as u64;
        for (told, row) in rows.into_iter().enumerate() {
            self.fails(told as u64)?;
            sink(row)?;
        }
        self.fails(count)?;
        Ok(CutInfo { as_of, rows: count, scn_max: None })
    }

    fn fails(&self, told: u64) -> Result<(), LegacyError> {
        match self.0.lock().unwrap().fails_after {
            Some(after) if told >= after => Err(LegacyError::new(LegacyErrorKind::Lost, String::from("ORA-03113"))),
            _ => Ok(()),
        }
    }
}

impl LegacyRead for Legacy {
    fn columns(&mut self, view: &str) -> Result<Vec<(String, String)>, LegacyError> {
        let mut tables = self.0.lock().unwrap();
        tables.asked.push((view.to_owned(), String::from("columns")));
        Ok(tables.dictionary.get(view).cloned().unwrap_or_else(|| dictionary(view)))
    }

    fn cut(
        &mut self,
        layouts: &[&Layout],
        sink: &mut dyn FnMut(usize, Vec<Value>) -> Result<(), LegacyError>,
    ) -> Result<CutInfo, LegacyError> {
        self.met(layouts, String::from("cut"))?;
        let cuts: Vec<_> = layouts.iter().map(|layout| self.select(layout, |_| true)).collect();
        let amid = self.0.lock().unwrap().amid.take();
        if let Some(mut amid) = amid {
            amid();
        }
        let mut told = 0;
        for (at, (_, rows)) in cuts.iter().enumerate() {
            for row in rows {
                self.fails(told)?;
                sink(at, row.clone())?;
                told += 1;
            }
        }
        self.fails(told)?;
        let scns = layouts.iter().zip(&cuts).filter_map(|(layout, (_, rows))| self.scn_max(&[layout], rows));
        Ok(CutInfo { as_of: cuts[0].0, rows: told, scn_max: scns.max() })
    }

    fn page(
        &mut self,
        layout: &Layout,
        after: Option<&str>,
        rows_max: u32,
        sink: &mut RowSink<'_>,
    ) -> Result<CutInfo, LegacyError> {
        self.met(&[layout], format!("page of {rows_max} after {}", after.unwrap_or("-")))?;
        if self.0.lock().unwrap().undo_rows.is_some_and(|undo| rows_max > undo) {
            // Some rows have passed by then.
            self.pass(Timestamp(0), self.select(layout, |_| true).1.into_iter().take(3).collect(), sink)?;
            let error = LegacyError::new(LegacyErrorKind::Retry, String::from("ORA-01555"));
            return Err(LegacyError { class: "snapshot_too_old", ..error });
        }
        let at = layout.at_role(Role::Key).unwrap();
        let key = |row: &[Value]| row[at].as_text().unwrap_or_default().to_owned();
        let (as_of, mut rows) = self.select(layout, |row| after.is_none_or(|after| key(row).as_str() > after));
        rows.sort_by_key(|row| key(row));
        rows.truncate(rows_max as usize);
        let info = self.pass(as_of, rows, sink)?;
        let after = self.0.lock().unwrap().after_pages.take();
        match after {
            Some((1, mut hook)) => hook(),
            Some((pages, hook)) => self.0.lock().unwrap().after_pages = Some((pages - 1, hook)),
            None => {}
        }
        Ok(info)
    }

    fn hinted(&mut self, layout: &Layout, hint: &Hint<'_>, sink: &mut RowSink<'_>) -> Result<CutInfo, LegacyError> {
        self.met(&[layout], format!("{hint:?}"))?;
        let at = |role| layout.at_role(role).unwrap();
        let scans = self.0.lock().unwrap().scans;
        let (as_of, rows) = match hint {
            _ if scans => self.select(layout, |_| true),
            Hint::Since(since) => {
                let at = at(Role::UpdatedAt);
                self.select(layout, |row| row[at].as_time().is_some_and(|time| time >= *since))
            }
            Hint::Keys(keys) => {
                assert!(keys.len() <= 500);
                self.select(layout, |row| keys.contains(&row[0].as_text().unwrap()))
            }
            Hint::Tail(from) => self.select(layout, |row| row[0].as_text().unwrap() >= *from),
            Hint::Window { from, until } => {
                let at = at(Role::Start);
                self.select(layout, |row| row[at].as_time().is_some_and(|time| *from <= time && time < *until))
            }
            Hint::Scn(mark) => {
                let at = at(Role::RowScn);
                let is_new = |row: &[Value]| row[at].as_int().is_none_or(|scn| scn.unsigned_abs() >= *mark);
                self.select(layout, is_new)
            }
        };
        let scn_max = self.scn_max(&[layout], &rows);
        Ok(CutInfo { scn_max, ..self.pass(as_of, rows, sink)? })
    }

    fn lag_ms(&mut self) -> Result<u64, LegacyError> {
        let mut tables = self.0.lock().unwrap();
        tables.asked.push((String::from("lag"), String::new()));
        Ok(tables.lag_ms)
    }

    fn statements(&self) -> u64 {
        self.0.lock().unwrap().statements
    }
}

pub fn object(name: &str) -> ObjectName {
    ObjectName::new(name).unwrap()
}

pub fn layout(name: &str, columns: &[(&str, ColumnType, Option<Role>, bool)]) -> Layout {
    let column = |(name, kind, role, material): &(&str, ColumnType, Option<Role>, bool)| LayoutColumn {
        name: Arc::from(*name),
        kind: *kind,
        role: *role,
        material: *material,
    };
    let view = format!("SB_{}", name.to_uppercase());
    Layout { object: object(name), view, columns: columns.iter().map(column).collect() }
}

pub fn layouts() -> Vec<Layout> {
    use ColumnType::{Decimal, Integer, Text, Time};
    vec![
        layout(
            "site",
            &[
                ("SITE_ID", Text, Some(Role::Key), false),
                ("SITE_NM", Text, None, false),
                ("LAT", Decimal, Some(Role::Latitude), false),
                ("LON", Decimal, Some(Role::Longitude), false),
            ],
        ),
        layout(
            "slot",
            &[
                ("SLOT_ID", Text, Some(Role::Key), false),
                ("SITE_ID", Text, Some(Role::Site), true),
                ("SERIES_CD", Text, Some(Role::Series), true),
                ("SLOT_DT", Time, Some(Role::Start), true),
                ("STATUS", Text, Some(Role::Status), false),
                ("CAPACITY", Integer, Some(Role::Capacity), false),
                ("BOOKED_CNT", Integer, Some(Role::Counter), false),
                ("NATIVE_CNT", Integer, Some(Role::Native), false),
                ("UPD_DT", Time, Some(Role::UpdatedAt), false),
            ],
        ),
        layout(
            "reservation",
            &[
                ("RESV_NO", Text, Some(Role::Key), false),
                ("SLOT_ID", Text, Some(Role::Slot), false),
                ("PERSON_ID", Text, Some(Role::Person), false),
                ("SERIES_CD", Text, Some(Role::Series), false),
                ("STATUS", Text, Some(Role::Status), false),
                ("OP_ID", Text, Some(Role::Op), false),
                ("UPD_DT", Time, Some(Role::UpdatedAt), false),
            ],
        ),
        layout(
            "person",
            &[
                ("PERSON_ID", Text, Some(Role::Key), false),
                ("CI", Text, Some(Role::Ci), false),
                ("COHORT_CD", Text, Some(Role::Cohort), false),
                ("STATUS", Text, Some(Role::Status), false),
            ],
        ),
        layout("cohort_rule", &[("COHORT_CD", Text, Some(Role::Key), false), ("COHORT_NM", Text, None, false)]),
    ]
}

/// What the legacy system would say of a view as `layouts()` declares it.
pub fn dictionary(view: &str) -> Vec<(String, String)> {
    let layouts = layouts();
    let columns = layouts.iter().find(|layout| layout.view == view).into_iter().flat_map(|layout| &layout.columns);
    let stated = |column: &LayoutColumn| match column.kind {
        ColumnType::Text => "VARCHAR2",
        ColumnType::Integer | ColumnType::Decimal => "NUMBER",
        ColumnType::Time => "DATE",
    };
    columns.map(|column| (column.name.to_string(), stated(column).to_owned())).collect()
}

pub fn text(text: &str) -> Value {
    Value::text(text)
}

pub fn site(key: &str) -> Vec<Value> {
    vec![text(key), text("보건소"), Value::Decimal(Arc::from("37.5")), Value::Decimal(Arc::from("127.1"))]
}

pub fn slot(key: &str, native: i64, updated: i64) -> Vec<Value> {
    vec![
        text(key),
        text("S1"),
        text("covid"),
        Value::Time(Timestamp(9_000_000_000)),
        text("OPEN"),
        Value::Int(10),
        Value::Int(native),
        Value::Int(native),
        Value::Time(Timestamp(updated)),
    ]
}

pub fn reservation(key: &str, slot: &str, person: &str, status: &str, updated: i64) -> Vec<Value> {
    let person = text(person);
    vec![text(key), text(slot), person, text("covid"), text(status), Value::Null, Value::Time(Timestamp(updated))]
}

pub fn person(key: &str, ci: &str, cohort: &str, status: &str) -> Vec<Value> {
    vec![text(key), text(ci), text(cohort), text(status)]
}

pub fn filled() -> Legacy {
    let legacy = Legacy::default();
    legacy.set_now(1_000_000);
    legacy.put("site", site("S1"));
    for n in 0..40 {
        legacy.put("slot", slot(&format!("L{n:02}"), 0, 900_000));
    }
    legacy.put("reservation", reservation("R1", "L01", "P000001", "A", 900_000));
    legacy.put("cohort_rule", vec![text("50s"), text("50대")]);
    for n in 0..30 {
        legacy.put("person", person(&format!("P{n:06}"), &format!("canary-ci-{n:03}"), "50s", "ACTIVE"));
    }
    legacy
}

pub struct Hand(pub Mutex<i64>);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp(*self.0.lock().unwrap())
    }
}

/// A desk that takes facts, numbers them and remembers them.
pub struct Desk {
    pub facts: Arc<Mutex<Vec<Fact>>>,
    /// Told the size of every batch.
    pub batches: mpsc::Receiver<usize>,
    pub deaf: Arc<Mutex<bool>>,
}

impl Desk {
    /// Takes what it has got since the last call.
    pub fn take(&self) -> Vec<Fact> {
        std::mem::take(&mut *self.facts.lock().unwrap())
    }
}

pub fn desk(first: u64) -> (Intake, Desk) {
    let (intake, mut queue) = Intake::new(Bounds::default());
    let (facts, deaf) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(false)));
    let (told, batches) = mpsc::channel();
    let desk = Desk { facts: facts.clone(), batches, deaf: deaf.clone() };
    std::thread::spawn(move || {
        let mut position = first;
        while let Some(Submission { event, answer }) = queue.blocking_recv() {
            let Event::Facts { facts: new, .. } = event else { panic!("capture sends facts only") };
            assert!(!new.is_empty() && new.len() <= MAX_FACTS);
            let count = new.len();
            facts.lock().unwrap().extend(new);
            if *deaf.lock().unwrap() {
                continue;
            }
            let reply = Answer::Facts { first: Position(position), count: count as u32 };
            position += count as u64;
            let _ = answer.unwrap().send(reply);
            let _ = told.send(count);
        }
    });
    (intake, desk)
}

pub struct Setup {
    pub capture: Arc<Capture>,
    pub desk: Desk,
    pub view: Arc<View>,
    pub register: Arc<Register>,
    pub clock: Arc<Hand>,
}

pub fn setup(dir: &Path) -> Setup {
    setup_with(dir, layouts(), Settings::default())
}

pub fn setup_with(dir: &Path, layouts: Vec<Layout>, settings: Settings) -> Setup {
    try_setup(dir, layouts, settings, None).unwrap()
}

pub fn try_setup(
    dir: &Path,
    layouts: Vec<Layout>,
    settings: Settings,
    hot_keys: Option<HotKeys>,
) -> Result<Setup, CaptureError> {
    let (intake, desk) = desk(1);
    let view = Arc::new(View::default());
    let register = Arc::new(Register::open(&dir.join("register.sqlite"), IfMissing::Create).unwrap());
    let clock = Arc::new(Hand(Mutex::new(5_000_000)));
    let capture = Capture::new(Parts {
        mirror_path: dir.join("mirror.sqlite"),
        register: register.clone(),
        intake,
        view: view.clone(),
        clock: clock.clone(),
        layouts,
        settings,
        hot_keys,
    })?;
    Ok(Setup { capture, desk, view, register, clock })
}

/// Settings with these hints and no others.
pub fn hints(of: &[(&str, &[HintKind])]) -> Settings {
    let hints = of.iter().map(|(name, kinds)| (object(name), kinds.iter().copied().collect())).collect();
    Settings { hints, ..Settings::default() }
}

/// `layouts()`, the slots with a commit number.
pub fn numbered_layouts() -> Vec<Layout> {
    let mut layouts = layouts();
    let (name, kind) = (Arc::from("ROW_SCN"), ColumnType::Integer);
    layouts[1].columns.push(LayoutColumn { name, kind, role: Some(Role::RowScn), material: false });
    layouts
}

pub fn numbered_slot(key: &str, native: i64, scn: Option<i64>) -> Vec<Value> {
    let mut row = slot(key, native, 900_000);
    row.push(scn.map_or(Value::Null, Value::Int));
    row
}
