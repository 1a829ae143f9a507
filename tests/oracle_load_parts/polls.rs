//! Rows read at the legacy system for each changed one, by hint.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use slotbridge::capture::{HintKind, Lane, Poll, Settings, next_poll_ms};
use slotbridge::domain::SlotKey;
use slotbridge::legacy::LegacyRead;
use slotbridge::mapping::Layout;
use slotbridge::mapping::catalogue::{ColumnType, LayoutColumn, Role};

use super::{Town, layout, layouts, now, object, wait_until};

/// What is asked how often, and what changes meanwhile.
pub struct Plan {
    pub name: &'static str,
    pub kind: HintKind,
    pub poll: Poll,
    pub interval_ms: u64,
    /// As the daemon does: a poll that takes long is followed by a pause of twenty times as long.
    pub keeps_duty: bool,
    pub changes_per_s: u64,
    /// Before anything is counted: until a poll reads as many rows as the next.
    pub warm_up_s: u64,
    pub seconds: u64,
    /// Changes are spread over so many slots; the hint `hot_set` asks for these.
    pub slots: usize,
}

#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// Written natively in the time.
    pub written: u64,
    /// Rows that a poll found different.
    pub changed: u64,
    /// Rows that the server handed out.
    pub read: u64,
    pub polls: u64,
    pub seconds: f64,
}

impl Measured {
    pub fn rows_per_change(&self) -> f64 {
        self.read as f64 / self.changed.max(1) as f64
    }
}

/// The slots' layout with the commit number that a server started with `--rowscn` has.
fn numbered(mut slots: Layout) -> Layout {
    let (name, kind) = ("ROW_SCN".into(), ColumnType::Integer);
    slots.columns.push(LayoutColumn { name, kind, role: Some(Role::RowScn), material: false });
    slots
}

fn slot_keys(native: &Connection, count: usize) -> Vec<SlotKey> {
    // Near days first, because windows look there more often.
    let mut select = native.prepare("SELECT SLOT_NO FROM TB_SLOT ORDER BY RSV_DT LIMIT ?1").expect("slots");
    let keys = select.query_map([count as i64], |row| row.get::<_, String>(0)).expect("slots");
    keys.map(|key| SlotKey::new(&key.expect("a key")).expect("a slot key")).collect()
}

/// One native transaction of so many changes, stamped as native code stamps them.
fn change(native: &mut Connection, tail: bool, keys: &[SlotKey], from: u64, count: u64) {
    let stamp = now().seoul_text();
    let tx = native.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).expect("a transaction");
    for n in from..from + count {
        // A step that is prime to any count of slots here: spread, and each once before any twice.
        let key = keys[(n as usize).wrapping_mul(7_919) % keys.len()].as_str();
        let done = if tail {
            tx.prepare_cached(
                "INSERT INTO TB_RESV (RESV_NO, SLOT_NO, PSN_NO, SERIES_CD, STAT_CD, REG_DT, UPD_DT)
                 SELECT ?1, SLOT_NO, ?2, SERIES_CD, 'A', ?3, ?3 FROM TB_SLOT WHERE SLOT_NO = ?4",
            )
            .and_then(|mut insert| {
                insert.execute(params![format!("R{:010}", 1_000_000 + n), format!("N{n:08}"), stamp, key])
            })
        } else {
            tx.prepare_cached("UPDATE TB_SLOT SET CAPA_CNT = CAPA_CNT + 1, UPD_DT = ?1 WHERE SLOT_NO = ?2")
                .and_then(|mut update| update.execute(params![stamp, key]))
        };
        assert_eq!(done.expect("a change"), 1);
    }
    tx.commit().expect("a commit");
}

/// Transactions of a hundredth of a second each, until told to stop.
fn keep_changing(mut native: Connection, plan: &Plan, keys: &[SlotKey], written: &AtomicU64, stop: &AtomicBool) {
    let tail = plan.kind == HintKind::PkTail;
    // Persons book once in a town, also over several plans.
    let before = native.query_row("SELECT COUNT(*) FROM TB_RESV", [], |row| row.get::<_, i64>(0));
    let before = before.expect("reservations are counted") as u64;
    let began = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let wanted = began.elapsed().as_millis() as u64 * plan.changes_per_s / 1_000;
        let done = written.load(Ordering::Relaxed);
        // What the machine could not do is left out: bursts would flatter the ratio.
        let count = wanted.saturating_sub(done).min(plan.changes_per_s / 20 + 1);
        if count > 0 {
            change(&mut native, tail, keys, before + done, count);
            written.fetch_add(count, Ordering::Relaxed);
        }
        wait_until(Instant::now() + Duration::from_millis(10));
    }
}

pub fn measure(town: &Town, plan: &Plan, settings: Settings) -> Measured {
    let name = if plan.kind == HintKind::PkTail { "reservation" } else { "slot" };
    let object = object(name);
    let settings = Settings { hints: BTreeMap::from([(object.clone(), BTreeSet::from([plan.kind]))]), ..settings };
    let mut read = layouts();
    read.retain(|layout| matches!(layout.object.as_str(), "slot" | "reservation"));
    if plan.kind == HintKind::RowScn {
        read.iter_mut().filter(|layout| layout.object.as_str() == "slot").for_each(|layout| {
            *layout = numbered(layout.clone());
        });
    }
    let keys = slot_keys(&town.native(), plan.slots);
    let (_folder, capture) = town.capture(read, settings);
    let mut reader = town.reader();
    let mut lane = Lane::new(&capture).expect("a lane");
    for group in Lane::groups(&capture) {
        lane.full(&group, &mut reader).expect("a full cut");
    }
    let (written, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let native = town.native();
    std::thread::scope(|scope| {
        let changer = scope.spawn(|| keep_changing(native, plan, &keys, &written, &stop));
        let mut next = Instant::now();
        let mut poll_until = |until: Instant, reader: &mut dyn LegacyRead| {
            let (mut changed, mut polls) = (0, 0);
            while Instant::now() < until {
                wait_until(next);
                let begun = Instant::now();
                let report = match plan.poll {
                    Poll::Hot => lane.hot(&keys, reader).expect("a poll"),
                    poll => lane.hint(poll, &object, reader).expect("a poll").expect("a full cut went before"),
                };
                changed += report.changed;
                polls += 1;
                let duty = if plan.keeps_duty { 5 } else { 100 };
                let pause = next_poll_ms(plan.interval_ms, report.read_us / 1_000, duty);
                next = (begun + Duration::from_millis(pause)).max(Instant::now());
            }
            (changed, polls)
        };
        poll_until(Instant::now() + Duration::from_secs(plan.warm_up_s), &mut reader);
        let view = layout(name).view;
        let rows = || town.server.counts(&format!("SELECT%FROM \"{view}\" WHERE%")).rows;
        let (read_before, written_before, began) = (rows(), written.load(Ordering::Relaxed), Instant::now());
        let (changed, polls) = poll_until(began + Duration::from_secs(plan.seconds), &mut reader);
        let measured = Measured {
            written: written.load(Ordering::Relaxed) - written_before,
            changed,
            read: rows() - read_before,
            polls,
            seconds: began.elapsed().as_secs_f64(),
        };
        stop.store(true, Ordering::Relaxed);
        changer.join().expect("the changes end well");
        measured
    })
}
