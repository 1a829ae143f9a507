//! The bridge's load on an Oracle server, in short runs against the double; `benches/oracle.rs` has the long ones.
#![cfg(feature = "oracle")]

mod oracle_kit;
#[path = "oracle_load_parts/mod.rs"]
mod parts;

use parts::polls::Plan;
use parts::pressure::{Pressure, Rates};
use parts::{Town, cut, ops, polls};
use slotbridge::capture::{HintKind, Poll, Settings};
use slotbridge::legacy::oracle::write::Body;

/// A stall of the machine lowers what a window counts: the quiet window is the busier of two, and once is enough.
const ROUNDS: u32 = 3;

#[test]
fn a_hundred_times_the_reads_lookups_and_refusals_cost_oracle_nothing() {
    let pressure = Pressure::new(4_000);
    let window = |idle_each| pressure.window(Rates { idle_each, bookings: 50 }, 3);
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        let (quiet, loud, again) = (window(1), window(100), window(1));
        assert!(loud.refused > 50 && loud.reads > 50 && loud.lookups > 50, "{loud:?}");
        for window in [&quiet, &loud, &again] {
            assert_eq!(window.converts, window.booked, "{window:?}");
        }
        ratios.push(loud.per_s() / quiet.per_s().max(again.per_s()));
        if ratios.iter().any(|ratio| *ratio <= 1.05) {
            return;
        }
    }
    panic!("statements grow with requests that change nothing: {ratios:?}");
}

#[test]
fn a_fast_poll_reads_at_most_twenty_rows_for_each_changed_one() {
    let town = Town::new(4_000, 0, &[]);
    let plan = Plan {
        name: "timestamp",
        kind: HintKind::Timestamp,
        poll: Poll::Fast,
        interval_ms: 200,
        keeps_duty: false,
        changes_per_s: 200,
        warm_up_s: 4,
        seconds: 3,
        slots: 4_000,
    };
    let found = polls::measure(&town, &plan, Settings::default());
    assert!(found.changed > 100, "{found:?}");
    assert!(found.rows_per_change() <= 20.0, "{:.1}: {found:?}", found.rows_per_change());
}

#[test]
fn the_numbers_of_commits_point_at_little_more_than_what_changed() {
    let town = Town::new(2_000, 0, &["--rowscn"]);
    let plan = Plan {
        name: "rowscn",
        kind: HintKind::RowScn,
        poll: Poll::Scn,
        interval_ms: 200,
        keeps_duty: false,
        changes_per_s: 200,
        warm_up_s: 1,
        seconds: 2,
        slots: 2_000,
    };
    let found = polls::measure(&town, &plan, Settings::default());
    assert!(found.changed > 50 && found.rows_per_change() <= 2.0, "{found:?}");
}

#[test]
fn statements_of_a_booking_are_those_that_the_design_names() {
    let town = Town::new(200, 500, &[]);
    let costs = ops::measure(&town, Body::Sql, 10, 0);
    for cost in [costs.take, costs.convert, costs.cancel, costs.give_back, costs.heartbeat, costs.agency] {
        assert_eq!(cost.own, cost.statements + cost.commits, "the bridge counts as the server does: {cost:?}");
    }
    assert_eq!((costs.convert.statements, costs.convert.commits), (2 + 8 * 10, 1));
    let costs = ops::measure(&town, Body::Procedure, 10, 100);
    assert_eq!((costs.convert.statements, costs.convert.commits), (2 + 10, 1));
    assert_eq!((costs.heartbeat.statements, costs.agency.statements), (1, 1));
}

#[test]
fn a_cut_through_every_layer_has_every_row() {
    let town = Town::with(200, 0, &[], |native| cut::multiply_slots(native, 4_000));
    let speeds = cut::measure(&town);
    for speed in
        [speeds.driver, speeds.adapter, speeds.capture_again, speeds.sqlite_adapter, speeds.sqlite_capture_first]
    {
        assert_eq!(speed.rows, 4_000);
    }
}
