//! The agency's switch, fence, release requests and quiet hours: obeyed how fast, and what is kept meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use slotbridge::domain::AllotmentMode;
use slotbridge::legacy::Control;

use super::bridge::{Acked, Bridge, now};

/// The switch and the fence are obeyed within this.
const OBEYED: Duration = Duration::from_secs(2);
/// A release request is carried out within this.
const RELEASED: Duration = Duration::from_secs(5);
const MINUTES_OF_DAY: i64 = 24 * 60;

/// Books without a pause until told to stop, so that there is always something to write.
async fn trade(bridge: Arc<Bridge>, acked: Arc<Mutex<Vec<Acked>>>, stop: Arc<AtomicBool>) -> Vec<(Instant, Value)> {
    let partner = bridge.scene.client(0);
    let mut refusals = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        for (slot, series) in bridge.stocked() {
            let (number, person) = bridge.somebody();
            let (status, answer) = bridge.ask(&partner, number, &slot, &series).await;
            match status {
                201 => {
                    let id = answer["id"].as_str().unwrap().to_owned();
                    acked.lock().unwrap().push(Acked { id, slot, person, number, series });
                }
                503 => refusals.push((Instant::now(), answer["code"].clone())),
                _ => {}
            }
            if stop.load(Ordering::Relaxed) || status == 503 {
                break;
            }
        }
        tokio::task::yield_now().await;
    }
    refusals
}

/// Turns something by `turn` amid trade, and measures how long after it the bridge still wrote. `enough` says when the
/// bridge has had all the time that it may want to write.
async fn last_write_after(
    bridge: &Arc<Bridge>,
    acked: &Arc<Mutex<Vec<Acked>>>,
    turn: impl FnOnce(&Bridge),
) -> (Duration, Vec<(Instant, Value)>, Instant) {
    let stop = Arc::new(AtomicBool::new(false));
    let trading = tokio::spawn(trade(bridge.clone(), acked.clone(), stop.clone()));
    let from = bridge.applied();
    bridge.until("trade", || (bridge.applied() >= from + 12 && acked.lock().unwrap().len() >= 10).then_some(())).await;
    turn(bridge);
    let turned = Instant::now();
    let (mut known, mut last) = (bridge.applied(), turned);
    // Three readings of the switch after the time in which the turn is to be obeyed.
    let mut readings = None;
    bridge
        .until("the end of writing", || {
            let applied = bridge.applied();
            if applied != known {
                (known, last) = (applied, Instant::now());
            }
            if turned.elapsed() > OBEYED {
                let now = bridge.switch_readings();
                return (now >= *readings.get_or_insert(now) + 3).then_some(());
            }
            None
        })
        .await;
    stop.store(true, Ordering::Relaxed);
    let refusals = trading.await.unwrap();
    (last - turned, refusals, turned)
}

fn ms(time: Duration) -> u128 {
    time.as_millis()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stop_is_obeyed_within_two_seconds_and_what_is_acknowledged_waits() {
    println!("stop: seed 41");
    let bridge = Arc::new(Bridge::new(AllotmentMode::Counter, 41, 120, 3_000, |_| ()));
    let process = bridge.start().await;
    let acked: Arc<Mutex<Vec<Acked>>> = Arc::default();
    let stop = |bridge: &Bridge| bridge.seller().set_control(Control::Stop).unwrap();
    let (last, refusals, turned) = last_write_after(&bridge, &acked, stop).await;
    assert!(last < OBEYED, "the last write came {} ms after STOP", ms(last));
    let (refused_at, code) = refusals.first().expect("a refusal of the intake");
    assert_eq!(code, "stopped_by_agency");
    let refused = refused_at.saturating_duration_since(turned);
    assert!(refused < OBEYED, "the intake was open {} ms after STOP", ms(refused));
    let status = bridge.status_is("stopped_by_agency").await;
    assert_eq!(status["writeback"]["switch"], "stop");
    bridge.seller().set_control(Control::Run).unwrap();
    let all = acked.lock().unwrap().clone();
    bridge.applied_once(&all).await;

    // What is acknowledged when the switch is turned waits as long as it stands, and is written once.
    bridge.until("run", || (bridge.status()["writeback"]["status"] == "running").then_some(())).await;
    bridge.hold_converts();
    let held = bridge.book(6).await;
    bridge.seller().set_control(Control::Stop).unwrap();
    bridge.status_is("stopped_by_agency").await;
    bridge.server.no_faults();
    let (applied, readings, mut beats) = (bridge.applied(), bridge.switch_readings(), bridge.heartbeats());
    bridge
        .until("readings of the switch", || {
            (bridge.has_beaten(&mut beats, 2) && bridge.switch_readings() >= readings + 2).then_some(())
        })
        .await;
    assert_eq!(bridge.applied(), applied, "something was written under STOP");
    assert!(held.iter().all(|one| bridge.rows_of(one) == 0));
    assert_eq!(bridge.status()["writeback"]["unapplied"], 6);
    assert_eq!(bridge.number("SELECT UNAPPLIED FROM SB_HEARTBEAT"), 6);
    let began = Instant::now();
    bridge.seller().set_control(Control::Run).unwrap();
    bridge.applied_once(&held).await;
    let took = began.elapsed();
    bridge.told_applied(&held).await;
    bridge.told_applied(&all).await;
    bridge.assert_sound();
    assert_eq!(bridge.standing(), all.len() + held.len());
    assert_eq!(process.stop(), Some(0), "{}", bridge.scene.log());
    println!(
        "stop: last write {} ms, 503 {} ms after STOP; {} acknowledged, all applied once; 6 held ones {} ms after RUN",
        ms(last),
        ms(refused),
        all.len() + held.len(),
        ms(took)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_fence_ends_the_writes_of_a_running_daemon_within_two_seconds() {
    println!("fence: seed 42");
    let bridge = Arc::new(Bridge::new(AllotmentMode::Counter, 42, 120, 3_000, |_| ()));
    let process = bridge.start().await;
    let acked: Arc<Mutex<Vec<Acked>>> = Arc::default();
    let (last, _, _) = last_write_after(&bridge, &acked, |bridge| bridge.seller().close_fence().unwrap()).await;
    assert!(last < OBEYED, "the last write came {} ms after the fence was closed", ms(last));
    let status = bridge.status_is("fenced").await;
    assert_eq!(status["writeback"]["fence_open"], false);
    assert_eq!(bridge.metric("slotbridge_fence_open").await, Some(0.0));
    let beat = "SELECT BEAT_AT || POSITION FROM SB_HEARTBEAT";
    let beat = |bridge: &Bridge| bridge.legacy().query_row(beat, [], |row| row.get::<_, String>(0)).unwrap();
    let (before, applied, readings) = (beat(&bridge), bridge.applied(), bridge.switch_readings());
    bridge.until("readings of the switch", || (bridge.switch_readings() >= readings + 3).then_some(())).await;
    assert_eq!((beat(&bridge), bridge.applied()), (before, applied), "not even a heartbeat is written");
    bridge.legacy().execute("UPDATE SB_FENCE SET TOKEN = 'OPEN'", []).unwrap();
    let all = acked.lock().unwrap().clone();
    bridge.applied_once(&all).await;
    bridge.told_applied(&all).await;
    bridge.assert_sound();
    assert_eq!(bridge.standing(), all.len());
    assert_eq!(process.stop(), Some(0), "{}", bridge.scene.log());
    println!("fence: last write {} ms after it closed; {} acknowledged, all applied once", ms(last), all.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn units_go_back_when_one_slot_is_asked_for_when_drained_and_in_quiet_hours() {
    println!("units: seed 43");
    let mut bridge = Bridge::new(AllotmentMode::Counter, 43, 60, 600, |_| ());
    let process = bridge.start().await;
    bridge.until("units in escrow", || (bridge.escrow() >= 100).then_some(())).await;

    // One slot.
    let (slot, _) = bridge.stocked().remove(0);
    let (began, others) = (Instant::now(), bridge.escrow() - bridge.escrow_of(&slot));
    let request = bridge.seller().request_release(Some(&slot)).unwrap();
    let done = format!("SELECT COUNT(*) FROM SB_RELEASE_REQUEST WHERE REQUEST_ID = {request} AND DONE_AT IS NOT NULL");
    bridge.until("the request to be carried out", || (bridge.number(&done) == 1).then_some(())).await;
    let released = began.elapsed();
    assert!(released < RELEASED, "{} ms", ms(released));
    assert_eq!(bridge.escrow_of(&slot), 0, "done is said when it is done");
    assert!(bridge.escrow() >= others, "of that slot alone");

    // All of them, but those of slots with something sold: its converts fail again and again, which keeps returns of
    // their own slot behind them and of no other.
    bridge.hold_converts();
    let held = bridge.book(3).await;
    let (began, units) = (Instant::now(), bridge.escrow());
    bridge.seller().set_control(Control::Drain).unwrap();
    let others = || {
        bridge
            .left()
            .iter()
            .filter(|(slot, _)| held.iter().all(|one| one.slot != **slot))
            .map(|(_, left)| left.escrow)
            .sum::<i64>()
    };
    bridge.until("the units of all other slots to go back", || (others() == 0).then_some(())).await;
    let drained = began.elapsed();
    assert!(held.iter().all(|one| bridge.escrow_of(&one.slot) > 0), "what is sold stays");
    assert_eq!(bridge.status_is("draining").await["writeback"]["free_units"], 0);
    bridge.server.no_faults();
    bridge.applied_once(&held).await;
    bridge.until("nothing in escrow", || (bridge.escrow() == 0).then_some(())).await;
    assert_eq!(bridge.assert_sound().miscounted, 0);

    // Quiet hours.
    bridge.seller().set_control(Control::Run).unwrap();
    bridge.until("units in escrow", || (bridge.escrow() >= 100).then_some(())).await;
    assert_eq!(process.stop(), Some(0), "{}", bridge.scene.log());
    let minute = (now().0 / 60_000 + 9 * 60) % MINUTES_OF_DAY;
    let clock = |minute: i64| {
        let minute = minute.rem_euclid(MINUTES_OF_DAY);
        format!("{:02}:{:02}", minute / 60, minute % 60)
    };
    let window = format!("{}-{}", clock(minute - 2), clock(minute + 30));
    bridge.configure(|config| config.allotment.quiet_windows = vec![window.clone()]);
    let began = Instant::now();
    let process = bridge.start().await;
    bridge.until("units to go back", || (bridge.escrow() == 0).then_some(())).await;
    let quiet = began.elapsed();
    // A request of a partner draws none either.
    let (slot, series) = (held[0].slot.clone(), held[0].series.clone());
    let (number, _) = bridge.somebody();
    let partner = bridge.scene.client(0);
    let (status, answer) = bridge.ask(&partner, number, &slot, &series).await;
    assert!(matches!(status, 403 | 409), "{status} {answer}");
    let mut beats = bridge.heartbeats();
    bridge.until("heartbeats", || bridge.has_beaten(&mut beats, 2).then_some(())).await;
    assert_eq!(bridge.escrow(), 0, "nothing is taken in {window}");
    assert_eq!(bridge.assert_sound().miscounted, 0);
    assert_eq!(process.stop(), Some(0), "{}", bridge.scene.log());
    println!(
        "units: release of a slot {} ms; {units} units drained but for 3 slots in {} ms; quiet hours {} ms after the start",
        ms(released),
        ms(drained),
        ms(quiet)
    );
}
