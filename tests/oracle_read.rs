//! The Oracle reader through the unmodified driver against the double. What the double cannot show (plans, locks, real
//! conversion of character sets) is not claimed here.
#![cfg(feature = "oracle")]

mod oracle_kit;
#[path = "oracle_read_parts/stage.rs"]
mod stage;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use oracle_kit::Fault;
use slotbridge::domain::{Timestamp, Value};
use slotbridge::legacy::oracle::charset::Charset;
use slotbridge::legacy::oracle::{Account, Oracle, OracleRead};
use slotbridge::legacy::sqlite::SqliteRead;
use slotbridge::legacy::sqlite::native::{NativeSeller, Selling};
use slotbridge::legacy::{Hint, LegacyErrorKind, LegacyRead};
use slotbridge::mapping::catalogue::{ColumnType, Role};
use stage::{READER, Seconds, Stage, cut, layout, layouts, open, own_layout, refusal, rows};

const DEADLINE: Duration = Duration::from_secs(30);

#[test]
fn a_cut_is_what_the_file_holds() {
    let stage = Stage::new();
    let mut reader = stage.reader();
    let seen = cut(&mut reader, &layouts()).unwrap();
    let held = cut(&mut Seconds(SqliteRead::open(&stage.file).unwrap()), &layouts()).unwrap();
    for ((layout, seen), held) in layouts().iter().zip(&seen).zip(&held) {
        assert!(seen == held, "{}: {:?} is not in the file", layout.view, seen.difference(held).next());
        assert!(!held.is_empty(), "{}", layout.view);
    }
    let server = reader.server().unwrap();
    assert_eq!((server.version.as_str(), server.charset), ("11.2.0.4.0", Charset::Cp949));
    assert_eq!(server.notes, Vec::<String>::new());
}

#[test]
fn a_session_shows_itself_without_personal_data() {
    let stage = Stage::new();
    let reader = stage.reader();
    let shown = |word: &str| Some(word.to_owned());
    assert_eq!(stage.server.sessions(), [(READER.to_owned(), shown("slotbridge"), shown("read"), shown("slotbridge"))]);
    drop(reader);
    assert_eq!(stage.server.sessions(), []);
}

#[test]
fn the_time_of_a_cut_is_the_servers() {
    let stage = Stage::new();
    stage.server.param("skew_s", "-3600");
    let mut reader = stage.reader();
    let before = now();
    let info = reader.cut(&[&layout("SB_SITE")], &mut |_, _| Ok(())).unwrap();
    let ahead = info.as_of.since_ms(before.plus_ms(-3_600_000));
    assert!((-1_000..60_000).contains(&ahead), "{ahead} ms");
    assert!(info.rows > 0);
}

fn now() -> Timestamp {
    use slotbridge::clock::Clock;
    slotbridge::clock::SystemClock.now()
}

#[test]
fn pages_and_hints_find_what_the_embedded_reader_finds() {
    let stage = Stage::new();
    let (mut reader, mut held) = (stage.reader(), Seconds(SqliteRead::open(&stage.file).unwrap()));
    let persons = layout("SB_PERSON");
    let pages = |reader: &mut dyn LegacyRead| {
        let at = persons.at_role(Role::Key).unwrap();
        let (mut all, mut after) = (Vec::new(), None::<String>);
        loop {
            let had = all.len();
            reader
                .page(&persons, after.as_deref(), 70, &mut |row| {
                    all.push(row);
                    Ok(())
                })
                .unwrap();
            if all.len() - had < 70 {
                return all;
            }
            after = all[all.len() - 1][at].as_text().map(str::to_owned);
        }
    };
    let seen = pages(&mut reader);
    assert_eq!(seen.len(), 400);
    assert_eq!(seen, pages(&mut held));
    let slots = layout("SB_SLOT");
    let all = rows(&slots, &mut held, &Hint::Tail("")).unwrap();
    let key = |row: &Vec<Value>| row[slots.at_role(Role::Key).unwrap()].as_text().unwrap().to_owned();
    let start = |row: &Vec<Value>| row[slots.at_role(Role::Start).unwrap()].as_time().unwrap();
    let keys: Vec<String> = all.iter().step_by(7).map(key).chain(["none".to_owned()]).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let (from, last) = (all.iter().map(start).min().unwrap(), all.iter().map(start).max().unwrap());
    for (window, slots_in) in [
        (Hint::Window { from, until: from.plus_ms(1) }, all.iter().filter(|row| start(row) == from).count()),
        (Hint::Window { from, until: last }, all.iter().filter(|row| start(row) < last).count()),
    ] {
        assert_eq!(rows(&slots, &mut held, &window).unwrap().len(), slots_in, "{window:?}");
    }
    let middle = key(&all[all.len() / 2]);
    for hint in [
        Hint::Keys(&keys),
        Hint::Tail(&middle),
        Hint::Since(Timestamp(0)),
        Hint::Since(now().plus_ms(86_400_000)),
        Hint::Window { from, until: from.plus_ms(86_400_000) },
        Hint::Window { from: from.plus_ms(1_000), until: last },
        Hint::Window { from: last, until: last.plus_ms(1_000) },
        Hint::Window { from, until: from },
        Hint::Keys(&[]),
    ] {
        let found = rows(&slots, &mut reader, &hint).unwrap();
        assert_eq!(found, rows(&slots, &mut held, &hint).unwrap(), "{hint:?}");
    }
    assert_eq!(rows(&slots, &mut reader, &Hint::Keys(&keys)).unwrap().len(), keys.len() - 1);
}

const DIGITS: &str = "1234567.891";
/// All that a NUMBER holds.
const BIG: &str = "99999999999999999999999999999999999999";

fn types() -> Stage {
    Stage::with(prepare_types)
}

fn prepare_types(connection: &mut rusqlite::Connection) {
    let ddl = format!(
        // TEXT: the double keeps all digits of this one.
            "CREATE TABLE TB_TYPES (ID VARCHAR2(6) NOT NULL PRIMARY KEY, PD CHAR(6), NM VARCHAR2(200), N NUMBER, N6 NUMBER(6),
               LAT NUMBER(9,6), D DATE, TS TIMESTAMP(3), ROW_SCN NUMBER(15), BIG NUMBER TEXT);
             CREATE VIEW SB_TYPES AS SELECT ID AS ID, PD AS PD, NM AS NM, N AS N, N6 AS N6, LAT AS LAT, D AS D, TS AS TS,
               ROW_SCN AS ROW_SCN, BIG AS BIG FROM TB_TYPES;
             INSERT INTO TB_TYPES VALUES
               ('A', 'x y   ', '똠방각하 강남구', {DIGITS}, -999999, -37.566535, '2026-11-22 00:00:00',
                '2026-11-22 20:00:00.250', 7, '{BIG}'),
               ('B', NULL, '', 0.5, 0, 127, '1957-02-28 23:59:59', '2026-11-22 20:00:00.000', NULL, '-{BIG}'),
               ('C', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 3, NULL);"
        );
    connection.execute_batch(&ddl).unwrap();
}

fn types_layout() -> slotbridge::mapping::Layout {
    use ColumnType::{Decimal, Integer, Text, Time};
    own_layout(
        "SB_TYPES",
        &[
            ("ID", Text, Some(Role::Key)),
            ("PD", Text, None),
            ("NM", Text, None),
            ("N", Decimal, None),
            ("N6", Integer, None),
            ("LAT", Decimal, None),
            ("D", Time, None),
            ("TS", Time, None),
            ("ROW_SCN", Integer, Some(Role::RowScn)),
            ("BIG", Decimal, None),
        ],
    )
}

#[test]
fn each_type_arrives_as_it_was_stored() {
    let stage = types();
    let mut reader = stage.reader();
    let at = |text: &str| Value::Time(Timestamp::parse_seoul(text).unwrap());
    let mut found = rows(&types_layout(), &mut reader, &Hint::Keys(&["A", "B", "C"])).unwrap();
    found.sort_by_key(|row| row[0].as_text().map(str::to_owned));
    let decimal = |text: &str| Value::Decimal(text.into());
    assert_eq!(found.len(), 3);
    assert_eq!(
        found[0],
        [
            Value::text("A"),
            Value::text("x y"),
            Value::text("똠방각하 강남구"),
            decimal(DIGITS),
            Value::Int(-999_999),
            decimal("-37.566535"),
            at("2026-11-22 00:00:00"),
            Value::Time(Timestamp::parse_seoul("2026-11-22 20:00:00").unwrap().plus_ms(250)),
            Value::Int(7),
            decimal(BIG),
        ]
    );
    assert_eq!(found[1][9], decimal(&format!("-{BIG}")));
    let plain = [Value::text("B"), Value::Null, Value::Null, decimal("0.5"), Value::Int(0), decimal("127")];
    assert_eq!(found[1][..6], plain);
    assert_eq!(found[1][6], at("1957-02-28 23:59:59"));
    assert_eq!(found[2][1..8], vec![Value::Null; 7]);
}

/// Each by itself: another value of its row and every other row arrive.
#[test]
fn a_value_that_cannot_be_read_is_one_that_its_column_cannot_hold() {
    use slotbridge::capture::{Fault, Plan};
    let stage = Stage::with(|connection| {
        prepare_types(connection);
        connection.execute_batch("UPDATE TB_TYPES SET N = 7 WHERE ID = 'A'").unwrap();
    });
    let mut reader = stage.reader();
    let mut layout = types_layout();
    layout.columns[3].kind = ColumnType::Integer;
    layout.object = slotbridge::domain::ObjectName::new("thing").unwrap();
    let mut found = rows(&layout, &mut reader, &Hint::Keys(&["A", "B", "C"])).unwrap();
    found.sort_by_key(|row| row[0].as_text().map(str::to_owned));
    let (mut cut, mut bad) = (0, Vec::new());
    let plan = Plan::new(&layout).unwrap();
    reader
        .cut(&[&layout], &mut |_, row| {
            cut += 1;
            bad.extend(plan.fact(row, &|_| None).err());
            Ok(())
        })
        .unwrap();
    assert_eq!((cut, bad.len(), bad[0].key.as_deref()), (3, 1, Some("B")));
    assert_eq!(bad[0].fault, Fault { column: "N".into(), why: "not of the declared type" });
    assert_eq!(found[0][3], Value::Int(7));
    assert!(matches!(found[1][3], Value::Time(_)));
    assert_eq!(found[1][5], Value::Decimal("127".into()));
}

#[test]
fn a_row_without_a_commit_number_counts_as_changed() {
    let stage = types();
    let mut reader = stage.reader();
    let found = rows(&types_layout(), &mut reader, &Hint::Scn(5)).unwrap();
    let mut keys: Vec<&str> = found.iter().map(|row| row[0].as_text().unwrap()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["A", "B"]);
    let info = reader.cut(&[&types_layout()], &mut |_, _| Ok(())).unwrap();
    assert_eq!((info.rows, info.scn_max), (3, Some(7)));
}

#[test]
fn types_are_stated_and_a_missing_view_is_drift() {
    let stage = types();
    let mut reader = stage.reader();
    let stated = reader.columns("SB_TYPES").unwrap();
    let stated: Vec<(&str, &str)> = stated.iter().map(|(name, kind)| (name.as_str(), kind.as_str())).collect();
    assert_eq!(
        stated,
        [
            ("ID", "VARCHAR2(6)"),
            ("PD", "CHAR(6)"),
            ("NM", "VARCHAR2(200)"),
            ("N", "NUMBER"),
            ("N6", "NUMBER(6,0)"),
            ("LAT", "NUMBER(9,6)"),
            ("D", "DATE"),
            ("TS", "TIMESTAMP(3)"),
            ("ROW_SCN", "NUMBER(15,0)"),
            ("BIG", "NUMBER"),
        ]
    );
    for view in ["SB_NONE", "sb_types", "SB_TYPES\" --"] {
        assert_eq!(reader.columns(view).unwrap_err().kind, LegacyErrorKind::Schema, "{view}");
    }
    let wrong = own_layout("SB_TYPES", &[("NM", ColumnType::Integer, None)]);
    let error = reader.cut(&[&wrong], &mut |_, _| Ok(())).unwrap_err();
    assert_eq!(error.kind, LegacyErrorKind::Schema);
    assert!(error.message.contains("NM") && !error.message.contains('똠'), "{}", error.message);
    assert!(reader.cut(&[&types_layout()], &mut |_, _| Ok(())).is_ok(), "the session is unusable after drift");
}

#[test]
fn raw_bytes_of_an_ascii_database_are_read_as_korean() {
    let stage = types();
    stage.server.param("charset", "US7ASCII");
    let mut reader = stage.reader();
    assert_eq!(reader.server().unwrap().charset, Charset::RawCp949);
    let seen = rows(&types_layout(), &mut reader, &Hint::Keys(&["A"])).unwrap();
    assert_eq!(seen[0][..3], [Value::text("A"), Value::text("x y"), Value::text("똠방각하 강남구")]);
    // Pages go on after the key itself, not after its bytes as they are fetched. The double does not know the type of a
    // subquery's RAW column, so what the keys read as is not looked at here.
    let mut page = |after: Option<&str>| {
        let mut keys = Vec::new();
        reader.page(&types_layout(), after, 2, &mut |row| {
            keys.push(row[0].clone());
            Ok(())
        })?;
        Ok::<_, slotbridge::legacy::LegacyError>(keys)
    };
    let (first, rest) = (page(None).unwrap(), page(Some("B")).unwrap());
    assert_eq!((first.len(), rest.len()), (2, 1));
    assert!(first.iter().all(|key| !rest.contains(key)));
}

#[test]
fn a_wrong_password_is_tried_once_until_it_changes() {
    let stage = Stage::new();
    stage.server.user(READER, "tiger");
    let mut settings = stage.settings();
    settings.read_accounts = vec![stage.login(READER, "wrong")];
    let first = open(settings.clone()).err().unwrap();
    assert_eq!((first.kind, first.class), (LegacyErrorKind::Credentials, "credentials"));
    assert!(first.message.contains("ORA-01017") && first.message.contains(READER), "{}", first.message);
    // A logon that were tried would meet this.
    stage.server.fault(Fault::at("logon").code(12541, "no listener").times(99));
    let oracle = Oracle::new(settings.clone()).unwrap();
    for _ in 0..3 {
        let again = refusal(&oracle, Account::Read);
        assert_eq!(again.kind, LegacyErrorKind::Credentials);
        assert!(again.message.contains("not tried") && !again.message.contains("wrong"), "{}", again.message);
    }
    stage.server.no_faults();
    stage.login(READER, "tiger");
    assert!(OracleRead::open(oracle.clone()).is_ok());
    assert_eq!(oracle.vault().entries().unwrap(), []);
}

#[test]
fn the_second_account_serves_while_the_first_is_locked() {
    let stage = Stage::new();
    stage.server.user("SB_READ1", "one");
    stage.server.user("SB_READ2", "two");
    stage.server.lock_user("SB_READ1");
    let mut settings = stage.settings();
    settings.read_accounts = vec![stage.login("SB_READ1", "one"), stage.login("SB_READ2", "two")];
    let oracle = Oracle::new(settings).unwrap();
    assert_eq!(OracleRead::open(oracle.clone()).unwrap().user(), Some("SB_READ2"));
    let blocked: Vec<String> = oracle.vault().entries().unwrap().into_iter().map(|entry| entry.code).collect();
    assert_eq!(blocked, ["ORA-28000"]);
    stage.server.lock_user("SB_READ2");
    assert_eq!(refusal(&oracle, Account::Read).kind, LegacyErrorKind::Credentials);
}

#[test]
fn days_to_expiry_are_told() {
    let stage = Stage::new();
    stage.server.user(READER, "tiger");
    assert_eq!(stage.reader().expiry_days().unwrap(), None);
    stage.server.expire_user(READER, &now().plus_ms(30 * 86_400_000 + 3_600_000).seoul_text());
    assert_eq!(stage.reader().expiry_days().unwrap(), Some(30));
}

#[test]
fn a_cut_is_consistent_while_others_write() {
    let stage = Stage::new();
    let stops = AtomicBool::new(false);
    let file = &stage.file;
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut seller = NativeSeller::open(file, Selling::Counter).unwrap();
            let slots = seller.open_slots(50).unwrap();
            let mut booked = 0u32;
            for number in 0u32.. {
                if stops.load(Ordering::Relaxed) {
                    break;
                }
                let person = slotbridge::legacy::sqlite::generate::person_key(1 + number % 400);
                let slot = &slots[number as usize % slots.len()];
                let outcome = seller.book(slot, &person).unwrap();
                booked +=
                    u32::from(matches!(outcome, slotbridge::legacy::sqlite::native::NativeOutcome::Booked { .. }));
            }
            booked
        });
        let (slots, bookings) = (layout("SB_SLOT"), layout("SB_BOOKING"));
        // Whatever ends this, the writer ends too.
        let _ends = Ends(&stops);
        let mut reader = stage.reader();
        let (key, native) = (slots.at_role(Role::Key).unwrap(), slots.at_role(Role::Native).unwrap());
        let (slot, status) = (bookings.at_role(Role::Slot).unwrap(), bookings.at_role(Role::Status).unwrap());
        let mut totals = std::collections::BTreeSet::new();
        let started = Instant::now();
        while totals.len() < 4 {
            assert!(started.elapsed() < DEADLINE, "nobody wrote: {totals:?}");
            let mut counts = std::collections::BTreeMap::<String, i64>::new();
            let info = reader.cut(&[&slots, &bookings], &mut |at, row| {
                match at {
                    0 => {
                        *counts.entry(row[key].as_text().unwrap().to_owned()).or_default() +=
                            row[native].as_int().unwrap()
                    }
                    _ if row[status].as_text() == Some("C") => {}
                    _ => *counts.entry(row[slot].as_text().unwrap().to_owned()).or_default() -= 1,
                }
                Ok(())
            });
            totals.insert(info.unwrap().rows);
            let torn: Vec<_> = counts.iter().filter(|(_, left)| **left != 0).collect();
            assert!(torn.is_empty(), "slots and reservations of two moments: {torn:?}");
        }
        stops.store(true, Ordering::Relaxed);
        assert!(writer.join().unwrap() > 0);
    });
}

#[test]
fn a_snapshot_that_is_too_old_says_so_and_the_next_cut_goes_on() {
    let stage = Stage::new();
    let mut settings = stage.settings();
    settings.fetch_array = 50;
    let mut reader = open(settings).unwrap();
    stage.server.fault(Fault::at("fetch").on("%SB_PERSON%").skip(1).code(1555, "snapshot too old"));
    let mut seen = 0;
    let error = reader
        .cut(&[&layout("SB_PERSON")], &mut |_, _| {
            seen += 1;
            Ok(())
        })
        .unwrap_err();
    assert_eq!((error.kind, error.class), (LegacyErrorKind::Retry, "snapshot_too_old"));
    assert!((50..400).contains(&seen), "{seen} rows");
    let before = reader.identity().cloned();
    assert_eq!(reader.cut(&[&layout("SB_PERSON")], &mut |_, _| Ok(())).unwrap().rows, 400);
    assert_eq!(reader.identity().cloned(), before);
}

#[test]
fn a_session_that_dies_in_a_fetch_is_replaced() {
    let stage = Stage::new();
    let mut settings = stage.settings();
    settings.fetch_array = 50;
    let mut reader = open(settings).unwrap();
    let before = reader.identity().cloned().unwrap();
    let statements = reader.statements();
    stage.server.fault(Fault::at("fetch").on("%SB_PERSON%").skip(1).kill());
    let error = reader.cut(&[&layout("SB_PERSON")], &mut |_, _| Ok(())).unwrap_err();
    assert_eq!((error.kind, error.class, error.in_doubt), (LegacyErrorKind::Lost, "connection_lost", false));
    assert_eq!(reader.cut(&[&layout("SB_PERSON")], &mut |_, _| Ok(())).unwrap().rows, 400);
    assert_ne!(reader.identity().cloned().unwrap(), before);
    assert!(reader.statements() > statements);
}

#[test]
fn an_error_of_the_sink_discards_the_cut() {
    let stage = Stage::new();
    let mut reader = stage.reader();
    let error = reader.cut(&[&layout("SB_SITE")], &mut |_, _| {
        Err(slotbridge::legacy::LegacyError::new(LegacyErrorKind::Halt, "the mirror is full"))
    });
    assert_eq!(error.unwrap_err().message, "the mirror is full");
    assert!(reader.cut(&[&layout("SB_SITE")], &mut |_, _| Ok(())).unwrap().rows > 0);
}

struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A call that would take a minute ends at its limit.
fn a_slow_call_ends(stage: &Stage) {
    let mut settings = stage.settings();
    settings.call_timeout_ms = 300;
    let mut reader = open(settings).unwrap();
    stage.server.fault(Fault::at("execute").on("%SB_SITE%").delay_ms(60_000));
    // The first use asks the dictionary; the delay is for the view itself.
    let started = Instant::now();
    let error = reader.cut(&[&layout("SB_SITE")], &mut |_, _| Ok(())).unwrap_err();
    assert_eq!((error.kind, error.class), (LegacyErrorKind::Retry, "timeout"), "{error}");
    assert!(started.elapsed() < DEADLINE);
    stage.server.no_faults();
    assert!(reader.cut(&[&layout("SB_SITE")], &mut |_, _| Ok(())).unwrap().rows > 0);
}

#[test]
fn a_call_over_its_limit_is_ended_by_the_client() {
    a_slow_call_ends(&Stage::new());
}

#[test]
fn a_call_over_its_limit_is_broken_where_the_client_has_no_limit() {
    in_another_process("12.2", "with_the_client_of_the_environment");
}

#[test]
fn a_listener_that_is_down_is_not_hammered_and_found_again() {
    let mut stage = Stage::new();
    let oracle = stage.oracle();
    stage.server.kill();
    let first = refusal(&oracle, Account::Read);
    assert_eq!((first.kind, first.class), (LegacyErrorKind::Lost, "connection_lost"));
    assert!(first.message.contains("ORA-12541"), "{}", first.message);
    assert!(refusal(&oracle, Account::Read).message.contains("not tried"));
    stage.server.restart();
    let started = Instant::now();
    while OracleRead::open(oracle.clone()).is_err() {
        assert!(started.elapsed() < DEADLINE, "the breaker does not let anybody try");
        std::thread::yield_now();
    }
}

#[test]
fn a_writer_does_not_accept_a_standby_and_a_reader_tells_its_lag() {
    let stage = Stage::with(|connection| {
        connection.execute("INSERT INTO SB_HEARTBEAT VALUES (1, 5, 0, 0, '2020-01-01 00:00:00')", []).unwrap();
    });
    assert_eq!(stage.reader().lag_ms().unwrap(), 0);
    stage.server.param("role", "PHYSICAL STANDBY");
    let refused = refusal(&stage.oracle(), Account::Write);
    assert_eq!(refused.kind, LegacyErrorKind::Operator);
    assert!(refused.message.contains("PHYSICAL STANDBY"), "{}", refused.message);
    let mut settings = stage.settings();
    settings.read_connect_string = Some(stage.server.connect_string());
    let lag = open(settings).unwrap().lag_ms().unwrap();
    assert!(lag > 365 * 86_400_000, "{lag}");
}

#[test]
fn a_descriptor_that_fails_over_is_refused() {
    let stage = Stage::new();
    let mut settings = stage.settings();
    settings.connect_string = "(DESCRIPTION=(CONNECT_DATA=(FAILOVER_MODE=(TYPE=SELECT))))".to_owned();
    assert_eq!(open(settings).err().unwrap().kind, LegacyErrorKind::Operator);
}

#[test]
fn a_server_before_11_2_is_refused() {
    let stage = Stage::new();
    stage.server.param("version", "10.2.0.5.0");
    stage.server.param("banner", "Oracle Database 10g Release 10.2.0.5.0");
    let refused = open(stage.settings()).err().unwrap();
    assert!(refused.message.contains("10.2"), "{}", refused.message);
}

#[test]
fn clients_that_do_not_reach_11_2_are_refused() {
    for version in ["19.28", "21.3", "23.5"] {
        in_another_process(version, "with_the_client_of_the_environment");
    }
}

/// The driver takes its client library once a process, so other versions need other processes.
fn in_another_process(version: &str, test: &str) {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env("FAKE_ORACLE_CLIENT", version)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("1 passed"), "client {version}: {told}");
}

/// Run by itself with the double's own version; `in_another_process` runs it with others.
#[test]
fn with_the_client_of_the_environment() {
    let stage = Stage::new();
    let made = Oracle::new(stage.settings());
    match std::env::var("FAKE_ORACLE_CLIENT").as_deref() {
        Ok("12.2") => {
            assert!(!made.unwrap().client().has_call_timeout());
            a_slow_call_ends(&stage);
        }
        Ok("21.3") => assert!(made.unwrap().client().note().is_some_and(|note| note.contains("21"))),
        Ok("23.5") => {
            let refused = made.err().unwrap();
            assert_eq!(refused.kind, LegacyErrorKind::Operator);
            assert!(refused.message.contains("23.5"), "{}", refused.message);
        }
        _ => assert_eq!(made.unwrap().client().note(), None),
    }
}
