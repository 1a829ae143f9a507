//! What the bridge costs an Oracle server, and how fast it reads one, through the driver and the double of the tests.
//!
//! Counts are the double's, which counts what reaches it. Speeds are of driver, double and machine together: only their
//! ratios say something. `cargo bench --bench oracle` prints all; `BENCH_ONLY` names some of `ops`, `polls`, `cut` and
//! `pressure`. It also runs unoptimised, as `cargo test --bench oracle`.

#[path = "../tests/oracle_kit/mod.rs"]
mod oracle_kit;
#[path = "../tests/oracle_load_parts/mod.rs"]
mod parts;

use parts::ops::Cost;
use parts::polls::Plan;
use parts::pressure::{Pressure, Rates, Window};
use parts::{Town, cut, ops, polls};
use slotbridge::capture::{HintKind, Poll, Settings};
use slotbridge::legacy::oracle::write::Body;

fn main() {
    slotbridge::app::install_crypto();
    let only = std::env::var("BENCH_ONLY").unwrap_or_default();
    let parts: [(&str, fn()); 4] = [("ops", ops), ("polls", polls), ("cut", cut), ("pressure", pressure)];
    for (name, run) in parts {
        if only.is_empty() || only.split(',').any(|word| word == name) {
            run();
        }
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn ops() {
    let town = Town::new(200, 2_000, &[]);
    println!("write-back, by the double: statements + commits, round trips; by the bridge's own counter");
    let mut first = 0;
    for (name, body) in [("sql", Body::Sql), ("procedure", Body::Procedure)] {
        for bookings in [1, 10, 50] {
            let costs = ops::measure(&town, body, bookings, first);
            first += 100;
            let line = |what: &str, cost: Cost, of: usize| {
                let per = |n: u64| n as f64 / of as f64;
                println!(
                    "  {name:9} {bookings:2} a transaction, {what:9}: {:5.2} + {:.2}, {:5.2} trips; own {:5.2}; inside the package {:5.2}",
                    per(cost.statements),
                    per(cost.commits),
                    per(cost.trips),
                    per(cost.own),
                    per(cost.inner)
                );
            };
            line("take 4", costs.take, bookings);
            line("convert", costs.convert, bookings);
            line("cancel", costs.cancel, bookings);
            line("return 4", costs.give_back, bookings);
            line("heartbeat", costs.heartbeat, 1);
            line("agency", costs.agency, 1);
            let whole =
                |of: fn(Cost) -> u64| (of(costs.take) as f64 / 4.0 + of(costs.convert) as f64) / bookings as f64;
            println!(
                "  {name:9} {bookings:2} a transaction, a booking with a quarter of a take: {:.2} statements and commits, {:.2} trips",
                whole(|cost| cost.statements + cost.commits),
                whole(|cost| cost.trips)
            );
        }
    }
}

fn polls() {
    let rate = number("BENCH_CHANGES", 2_000);
    let seconds = number("BENCH_SECONDS", 12);
    let near = Settings { near_days: 7, near_interval_ms: 10_000, ..Settings::default() };
    let of = |name, kind, poll, interval_ms, slots| Plan {
        name,
        kind,
        poll,
        interval_ms,
        keeps_duty: false,
        changes_per_s: rate,
        warm_up_s: 5,
        seconds,
        slots,
    };
    println!("rows read for each changed one, {rate} native changes/s wanted");
    let town = Town::new(200_000, 0, &[]);
    let overlap = Settings::default().fast_overlap_ms;
    let near_ms = near.near_interval_ms / u64::from(near.near_days);
    let all = [
        (of("timestamp fast, every 200 ms", HintKind::Timestamp, Poll::Fast, 200, 200_000), Settings::default()),
        (
            of("the same, overlap 4 s", HintKind::Timestamp, Poll::Fast, 200, 200_000),
            Settings { fast_overlap_ms: 4_000, ..Settings::default() },
        ),
        (
            Plan { keeps_duty: true, ..of("timestamp fast, 5 % duty", HintKind::Timestamp, Poll::Fast, 200, 200_000) },
            Settings::default(),
        ),
        (of("hot_set, 2,000 keys, all changes there", HintKind::HotSet, Poll::Hot, 1_000, 2_000), Settings::default()),
        (
            Plan {
                changes_per_s: 100,
                ..of("hot_set, 2,000 keys, 100 changes/s", HintKind::HotSet, Poll::Hot, 1_000, 2_000)
            },
            Settings::default(),
        ),
        (of("pk_tail, overlap 2,000", HintKind::PkTail, Poll::Tail, 1_000, 200_000), Settings::default()),
        (
            Plan {
                changes_per_s: 100,
                ..of("pk_tail, overlap 2,000, 100 new/s", HintKind::PkTail, Poll::Tail, 1_000, 200_000)
            },
            Settings::default(),
        ),
        (
            Plan {
                seconds: seconds.max(12),
                ..of("window, 7 near days in 10 s", HintKind::Window, Poll::Near, near_ms, 100_000)
            },
            near,
        ),
    ];
    for (plan, settings) in all {
        println!("{}", told(&town, &plan, settings));
    }
    println!("  (overlap of timestamp fast: {overlap} ms; 200,000 slots on 14 days)");
    drop(town);
    for (name, arguments) in [
        ("rowscn, a number a row", &["--rowscn"][..]),
        ("rowscn, a number for 50 rows", &["--rowscn", "--rowscn-block", "50"][..]),
    ] {
        let town = Town::new(20_000, 0, arguments);
        let plan = of(name, HintKind::RowScn, Poll::Scn, 1_000, 20_000);
        println!("{} (20,000 slots)", told(&town, &plan, Settings::default()));
    }
}

fn told(town: &Town, plan: &Plan, settings: Settings) -> String {
    let found = polls::measure(town, plan, settings);
    format!(
        "  {}: {:.1} ({} rows read, {} changed; {:.0} written/s, {} polls in {:.1} s)",
        plan.name,
        found.rows_per_change(),
        found.read,
        found.changed,
        found.written as f64 / found.seconds,
        found.polls,
        found.seconds
    )
}

fn cut() {
    let rows = u32::try_from(number("BENCH_ROWS", 1_000_000)).expect("a count of rows");
    let town = Town::with(20_000, 0, &[], |native| cut::multiply_slots(native, rows));
    let speeds = cut::measure(&town);
    println!("full cut of SB_SLOT, {} columns", speeds.columns);
    for (name, speed) in [
        ("driver, rows dropped", speeds.driver),
        ("OracleRead, rows dropped", speeds.adapter),
        ("OracleRead into an empty mirror", speeds.capture_first),
        ("OracleRead into a mirror that has all", speeds.capture_again),
        ("SqliteRead, rows dropped", speeds.sqlite_adapter),
        ("SqliteRead into an empty mirror", speeds.sqlite_capture_first),
        ("SqliteRead into a mirror that has all", speeds.sqlite_capture_again),
    ] {
        println!(
            "  {name}: {:.0} rows/s ({} rows, {:.1} s; processor {:.2} us a row here, {:.1} s at the double)",
            speed.per_s(),
            speed.rows,
            speed.seconds,
            speed.own_us_per_row(),
            speed.server_ms as f64 / 1_000.0
        );
    }
}

fn pressure() {
    let seconds = number("BENCH_SECONDS", 12);
    let pressure = Pressure::new(40_000);
    println!("statements at the double, commits and rollbacks included; the whole daemon, defaults");
    let told = |name: &str, window: &Window, idle_per_s: f64| {
        let more = window.per_s() - idle_per_s;
        println!(
            "  {name}: {:.1}/s ({:.1} SQL + {:.1} ends; own counter {:.1}/s) at {:.0} requests/s without effect and {:.1} bookings/s; \
             {} converts and {} takes in {} transactions; {:.2} a booking above idle",
            window.per_s(),
            window.statements as f64 / window.seconds,
            window.ends as f64 / window.seconds,
            window.own as f64 / window.seconds,
            window.requests_per_s(),
            window.booked as f64 / window.seconds,
            window.converts,
            window.takes,
            window.transactions,
            more / (window.booked.max(1) as f64 / window.seconds)
        );
    };
    let idle = pressure.window(Rates { idle_each: 0, bookings: 0 }, seconds);
    told("nobody", &idle, idle.per_s());
    let windows: Vec<Window> = [1, 10, 1_000, 1]
        .into_iter()
        .map(|times| {
            let window = pressure.window(Rates { idle_each: times, bookings: 50 }, seconds);
            told(&format!("x {times}"), &window, idle.per_s());
            window
        })
        .collect();
    for (at, times) in [(1, 10), (2, 1_000)] {
        let ratio = windows[at].per_s() / windows[0].per_s();
        println!("  x {times} against x 1: {ratio:.3}");
    }
    let many = pressure.window(Rates { idle_each: 1, bookings: 556 }, seconds);
    told("556 bookings/s", &many, idle.per_s());
}
