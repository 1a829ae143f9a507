//! The ops of body `sql` beside the embedded adapter: the same ops on two copies of one legacy system, with the agency's
//! own application selling, cancelling, recounting and editing on both. Every answer and every row must be the same.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use rusqlite::OptionalExtension;
use rusqlite::types::ValueRef;

use super::*;
use crate::domain::{Control, Timestamp};
use crate::legacy::sqlite::native::{NativeOutcome, NativeSeller, Selling};
use crate::legacy::sqlite::{self, Design, SqliteWrite, generate, schema};

const SLOT: &str = "T1";
const SEED: u64 = 11;
const PLACEHOLDERS: u32 = 6;

#[derive(Debug, Clone)]
enum Move {
    Take(u32),
    Return(u32),
    Mend(u32),
    Convert(usize, bool),
    Place(usize),
    /// The op so many before.
    Cancel(u64),
    NativeBook(usize),
    NativeCancel(usize),
    Close,
    Reopen,
    Recount,
    Capacity(u32),
    /// Somebody cancels one of the bridge's reservations, or a placeholder.
    CancelOurs,
    Control(bool),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let person = 0..6usize;
    let one = prop_oneof![
        3 => (1..4u32).prop_map(Move::Take),
        2 => (1..3u32).prop_map(Move::Return),
        2 => (0..3u32).prop_map(Move::Mend),
        5 => (person.clone(), prop::bool::weighted(0.2)).prop_map(|(p, honour)| Move::Convert(p, honour)),
        3 => person.clone().prop_map(Move::Place),
        3 => (1..6u64).prop_map(Move::Cancel),
        2 => person.clone().prop_map(Move::NativeBook),
        1 => person.prop_map(Move::NativeCancel),
        1 => Just(Move::Close),
        2 => Just(Move::Reopen),
        1 => Just(Move::Recount),
        1 => (0..8u32).prop_map(Move::Capacity),
        1 => Just(Move::CancelOurs),
        1 => prop::bool::ANY.prop_map(Move::Control),
    ];
    prop::collection::vec(one, 4..40)
}

#[derive(Debug, Clone, Copy)]
struct Setting {
    design: Design,
    /// The application counts reservations where it could keep a counter.
    counts_rows: bool,
}

fn settings() -> Vec<Setting> {
    use PersonConstraint::{None, RowLock, UniqueIndex};
    let mut all = Vec::new();
    for (mode, maintained) in HOLDING.into_iter().chain([(OnRequest, Application), (OnRequest, Trigger)]) {
        for person_constraint in [UniqueIndex, RowLock, None] {
            let design = Design { mode, maintained, person_constraint };
            all.push(Setting { design, counts_rows: false });
            if mode == OnRequest && maintained == Application {
                all.push(Setting { design, counts_rows: true });
            }
        }
    }
    all
}

fn make(path: &Path, setting: Setting) {
    let mut connection = schema::create(path, setting.design).unwrap();
    let now = Timestamp(1_795_345_200_000);
    let plan = generate::Plan { sites: 1, slots: 1, people: 60, ..generate::Plan::new(SEED, now) };
    generate::sites_and_slots(&mut connection, &plan).unwrap();
    generate::persons(&mut connection, &plan, &mut |_, _| {}).unwrap();
    generate::placeholders(&mut connection, now, PLACEHOLDERS).unwrap();
    let mode = setting.design.mode;
    let booked = (!setting.counts_rows && !matches!(mode, Capacity | CountRows)).then_some(0);
    let remain = if mode == Remaining { 6 } else { 0 };
    connection
        .execute(
            "INSERT INTO TB_SLOT SELECT ?1, SITE_NO, ?2, RSV_DT, DUR_MI, VCN_CD, DOSE_NO, MIN_AGE, '1', 6, ?3, 0, NULL, \
             CHRG_NM, RMK, REG_DT, UPD_DT, ?4 FROM TB_SLOT LIMIT 1",
            rusqlite::params![SLOT, SERIES, booked, remain],
        )
        .unwrap();
}

fn persons() -> Vec<String> {
    let fits = |number: &u32| number % 25 != 1 && generate::standing(SEED, *number) == generate::Standing::Active;
    (1..=60).filter(fits).take(6).map(generate::person_key).collect()
}

/// The agency's side of one copy.
struct Agency {
    native: NativeSeller,
    connection: rusqlite::Connection,
}

impl Agency {
    fn new(path: &Path, setting: Setting) -> Agency {
        let selling = if setting.counts_rows { Selling::CountReservations } else { Selling::of(setting.design) };
        Agency {
            native: NativeSeller::open(path, selling).unwrap(),
            connection: rusqlite::Connection::open(path).unwrap(),
        }
    }

    fn number_of(&self, condition: &str) -> Option<String> {
        let sql = format!("SELECT RESV_NO FROM TB_RESV WHERE STAT_CD = 'A' AND {condition} ORDER BY RESV_NO LIMIT 1");
        self.connection.query_row(&sql, [], |row| row.get(0)).optional().unwrap()
    }

    fn cancel(&mut self, condition: &str) -> Option<NativeOutcome> {
        let number = self.number_of(condition)?;
        Some(self.native.cancel(&number).unwrap())
    }

    /// What the application answered, without numbers.
    fn act(&mut self, what: &Move, persons: &[String]) -> String {
        match what {
            Move::NativeBook(p) => match self.native.book(SLOT, &persons[*p]).unwrap() {
                NativeOutcome::Booked { .. } => "booked".to_owned(),
                other => format!("{other:?}"),
            },
            Move::NativeCancel(p) => {
                format!("{:?}", self.cancel(&format!("PSN_NO = '{}' AND IF_OP_ID IS NULL", persons[*p])))
            }
            Move::CancelOurs => format!("{:?}", self.cancel("SLOT_NO = 'T1' AND IF_OP_ID IS NOT NULL")),
            Move::Close => format!("{}", self.native.close_slot(SLOT).unwrap()),
            Move::Reopen => format!("{}", self.native.reopen_slot(SLOT).unwrap()),
            Move::Recount => format!("{}", self.native.nightly_recount().unwrap()),
            Move::Capacity(to) => {
                let sql = "UPDATE TB_SLOT SET CAPA_CNT = ?1 WHERE SLOT_NO = 'T1'";
                format!("{}", self.connection.execute(sql, [to]).unwrap())
            }
            Move::Control(run) => {
                self.native.set_control(if *run { Control::Run } else { Control::Drain }).unwrap();
                String::new()
            }
            _ => unreachable!("an op of the bridge"),
        }
    }

    /// Everything that both must have the same of, a line a row.
    fn rows(&self) -> Vec<String> {
        let mut rows = Vec::new();
        for sql in [
            "SELECT 'slot', CAPA_CNT, BOOKED_CNT, REMAIN_CNT, EXT_QUOTA_CNT, STAT_CD FROM TB_SLOT WHERE SLOT_NO = 'T1'",
            "SELECT 'view', CAPACITY, BOOKED_CNT, NATIVE_CNT, ESCROW_UNITS, ESCROW_LAST_OP FROM SB_SLOT WHERE SLOT_ID = 'T1'",
            "SELECT 'escrow', SLOT_ID, UNITS, LAST_OP, SEEN_CNT, 0 FROM SB_ESCROW",
            "SELECT 'fence', INCARNATION, LAST_OP, TOKEN, APPLIED_CNT, 0 FROM SB_FENCE",
            "SELECT 'reservation', CASE WHEN IF_OP_ID LIKE '%#%' THEN 'X' ELSE PSN_NO END, SERIES_CD, STAT_CD, \
             CASE WHEN IF_OP_ID LIKE '%#%' THEN 'X' ELSE IF_OP_ID END, RMK FROM TB_RESV ORDER BY 2, 4, 5",
        ] {
            let mut statement = self.connection.prepare(sql).unwrap();
            let found = statement.query_map([], |row| {
                Ok((0..6).map(|at| shown(row.get_ref(at).unwrap())).collect::<Vec<_>>().join(" "))
            });
            rows.extend(found.unwrap().map(Result::unwrap));
        }
        rows
    }
}

fn shown(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        other => format!("{other:?}"),
    }
}

fn op_of(what: &Move, last: u64, persons: &[String]) -> Option<LegacyOp> {
    let person = |p: &usize| PersonKey(persons[*p].as_str().into());
    let series = SeriesId::new(SERIES).unwrap();
    Some(match what {
        Move::Take(units) => LegacyOp::Take { units: *units },
        Move::Return(units) => LegacyOp::Return { units: *units },
        Move::Mend(sold) => LegacyOp::Mend { sold: *sold },
        Move::Convert(p, honour) => LegacyOp::Convert {
            person: person(p),
            series,
            unbacked: if *honour { Unbacked::Honour } else { Unbacked::Refuse },
        },
        Move::Place(p) => LegacyOp::Place { person: person(p), series },
        Move::Cancel(before) => LegacyOp::Cancel { convert: op(last.saturating_sub(*before)) },
        _ => return None,
    })
}

/// Without the number that the legacy system gave: who asks first is not the same.
fn without_number(reply: OpReply) -> OpReply {
    match reply {
        OpReply::Converted { over, .. } => OpReply::Converted { legacy_ref: "R".into(), over },
        reply => reply,
    }
}

fn both(setting: Setting, made: &[u8], moves: &[Move]) {
    let folder = tempfile::tempdir().unwrap();
    let paths: [PathBuf; 2] = ["embedded.db", "oracle.db"].map(|name| folder.path().join(name));
    for path in &paths {
        std::fs::write(path, made).unwrap();
    }
    let Design { mode, maintained, person_constraint } = setting.design;
    let mut embedded = SqliteWrite::open(&sqlite::Settings {
        allotment: mode,
        maintained,
        person_constraint,
        ..sqlite::Settings::new(&paths[0])
    })
    .unwrap();
    let ours = Settings { maintained, person_constraint, ..Settings::default() };
    let mut world = World { tables: Tables::embedded(&paths[1], mode, maintained), mode, settings: ours, next: 0 };
    let mut agencies = [Agency::new(&paths[0], setting), Agency::new(&paths[1], setting)];
    if mode == Quota {
        for agency in &mut agencies {
            agency.native.assign_quota(SLOT, 3).unwrap();
        }
    }
    let persons = persons();
    for (at, what) in moves.iter().enumerate() {
        match op_of(what, world.next, &persons) {
            Some(LegacyOp::Place { .. }) if mode != OnRequest => {}
            Some(legacy_op) => {
                let request = OpRequest { slot: SlotKey::new(SLOT).unwrap(), ..world.request(legacy_op) };
                let answer = |done: Result<Vec<OpReply>, LegacyError>| {
                    done.map(|mut replies| without_number(replies.remove(0)))
                        .map_err(|error| (error.kind, error.in_doubt))
                };
                let wanted = answer(embedded.apply(std::slice::from_ref(&request)));
                let told = answer(world.run(&[request]));
                assert_eq!(told, wanted, "{setting:?}: answer {at} of {moves:?}");
            }
            None => {
                let [wanted, told] = agencies.each_mut().map(|agency| agency.act(what, &persons));
                assert_eq!(told, wanted, "{setting:?}: the application, {at} of {moves:?}");
            }
        }
        let [wanted, told] = agencies.each_ref().map(Agency::rows);
        assert_eq!(told, wanted, "{setting:?}: rows after {at} of {moves:?}");
    }
}

#[test]
fn whatever_happens_both_adapters_answer_and_leave_the_same() {
    for setting in settings() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made.db");
        make(&path, setting);
        let made = std::fs::read(&path).unwrap();
        let config = ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() };
        let mut runner = proptest::test_runner::TestRunner::new(config);
        let done = runner.run(&moves(), |moves| {
            both(setting, &made, &moves);
            Ok(())
        });
        done.unwrap_or_else(|failed| panic!("{failed}"));
    }
}
