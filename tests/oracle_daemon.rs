//! The real daemon over the Oracle double: off switch, fence, orphans, restores, as the agency and its DBA see them.
//!
//! What the double cannot show: row locks of a real server (its writers are serial) and the time that they take.

mod daemon_kit;
mod oracle_daemon_parts;
mod oracle_kit;
#[path = "deploy_oracle_parts/script.rs"]
#[allow(dead_code, reason = "the linter of the scripts uses the rest")]
mod script;

use std::collections::BTreeMap;

use oracle_daemon_parts::bridge::{Acked, Bridge, Left};
use slotbridge::domain::AllotmentMode;

fn by_slot(acked: &[Acked]) -> BTreeMap<String, i64> {
    let mut units = BTreeMap::new();
    for one in acked {
        *units.entry(one.slot.clone()).or_default() += 1;
    }
    units
}

/// Killed for good, its units given back, started again.
async fn killed_for_good(mode: AllotmentMode, seed: u64) {
    println!("{}: seed {seed}", mode.code());
    let bridge = Bridge::new(mode, seed, 14, 700, |_| ());
    bridge.install_off_switch();
    let process = bridge.start().await;
    bridge.until("units in escrow", || (bridge.escrow() >= 20).then_some(())).await;
    let applied = bridge.book(4).await;
    bridge.applied_once(&applied).await;
    bridge.hold_converts();
    let held = bridge.book(8).await;
    process.kill();
    assert_eq!(bridge.standing(), applied.len(), "what is held back is not applied");

    // What a DBA does.
    bridge.script("91_stop.sql", &[]).unwrap();
    let before = bridge.left();
    let refused = bridge.later("94_return_orphans.sql").unwrap_err();
    assert!(refused.contains("SB_94_UNAPPLIED_LIST_MISSING"), "{refused}");
    assert_eq!((bridge.left(), bridge.token()), (before.clone(), "CLOSED".to_owned()), "only the fence is closed");
    let (listed, end) = bridge.exported();
    let kept = by_slot(&held);
    assert_eq!(listed.iter().cloned().collect::<BTreeMap<_, _>>(), kept);
    bridge.load(&listed, &end);
    let report = bridge.later("93_orphans_report.sql").unwrap();
    let held_units: i64 = before.values().map(|left| left.escrow).sum();
    assert!(report.iter().flatten().any(|row| row.get(1) == Some(&Some(held_units.to_string()))), "{report:?}");
    let returned = bridge.later("94_return_orphans.sql").unwrap();
    let given = held_units - held.len() as i64;
    assert!(given > 0, "no orphan unit proves anything");
    let last = |n: i64| Some(n.to_string());
    assert!(
        returned.iter().flatten().any(|row| row[1..] == [last(given), last(held.len() as i64)]),
        "{given} of {held_units} units: {returned:?}"
    );
    let after = bridge.left();
    for (slot, was) in &before {
        let keep = kept.get(slot).copied().unwrap_or(0);
        let wanted = Left { native: was.native + was.escrow - keep, escrow: keep };
        assert_eq!(after[slot], wanted, "{slot} was {was:?}");
    }
    assert_eq!(bridge.assert_sound().miscounted, 0);

    // The agency sells what it has got; the units of acknowledged bookings are none of it.
    let sold = bridge.sell_out();
    let found = bridge.assert_sound();
    assert_eq!((found.miscounted, found.escrow), (0, held.len() as u64));
    started_again(&bridge, &applied, &held).await;
    let (by, kept) = (mode.code(), held.len());
    println!("{by}: {held_units} units held, {given} given back, {kept} kept, {sold} sold natively");
}

/// After 94: behind the fence nothing is written, and after 95 nothing is sold that was given back.
async fn started_again(bridge: &Bridge, applied: &[Acked], held: &[Acked]) {
    bridge.server.no_faults();
    let (writes, readings) = (writes(bridge), bridge.switch_readings());
    let process = bridge.start().await;
    let status = bridge.status_is("fenced").await;
    assert_eq!((&status["writeback"]["fence_open"], &status["writeback"]["switch"]), (&false.into(), &"stop".into()));
    bridge.until("readings of the switch", || (bridge.switch_readings() >= readings + 3).then_some(())).await;
    assert_eq!(self::writes(bridge), writes, "nothing is written behind the fence");
    let (number, _) = bridge.somebody();
    let partner = bridge.scene.client(0);
    let answer = bridge.ask(&partner, number, &held[0].slot, &held[0].series).await;
    assert_eq!((answer.0, &answer.1["code"]), (503, &"stopped_by_agency".into()), "{answer:?}");

    let refused = bridge.script("95_run.sql", &[]).unwrap_err();
    assert!(refused.contains("SB_95_UNITS_WERE_RETURNED"), "{refused}");
    assert_eq!(self::writes(bridge), writes);
    bridge.script("95_run.sql", &[("SB_RECONCILED", "YES")]).unwrap();
    // Everything that was given back was sold natively since: nobody gets a place any more.
    bridge.until("the switch to be read", || (bridge.status()["writeback"]["switch"] == "run").then_some(())).await;
    for (slot, series) in all_slots(bridge) {
        let (number, _) = bridge.somebody();
        let (status, answer) = bridge.ask(&partner, number, &slot, &series).await;
        assert!(matches!(status, 403 | 409), "{slot} is full: {status} {answer}");
    }
    bridge.applied_once(held).await;
    bridge.told_applied(held).await;
    bridge.told_applied(applied).await;
    let found = bridge.assert_sound();
    assert_eq!((found.miscounted, found.escrow, found.bridge), (0, 0, (applied.len() + held.len()) as u64));
    assert_eq!(process.stop(), Some(0), "{}", bridge.scene.log());
}

fn all_slots(bridge: &Bridge) -> Vec<(String, String)> {
    let connection = bridge.legacy();
    let mut select = connection.prepare("SELECT SLOT_NO, SERIES_CD FROM TB_SLOT").unwrap();
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

/// Everything that the bridge may write, as a text that changes with any of it.
fn writes(bridge: &Bridge) -> String {
    let sql = "SELECT (SELECT COUNT(*) FROM SB_APPLIED) || '/' || (SELECT SUM(UNITS) FROM SB_ESCROW) || '/'
        || (SELECT COUNT(*) || MAX(UPD_DT) FROM TB_RESV) || '/' || (SELECT MAX(UPD_DT) || SUM(CAPA_CNT)
        || COALESCE(SUM(BOOKED_CNT), 0) FROM TB_SLOT) || '/' || (SELECT COALESCE(LAST_OP, '-') FROM SB_FENCE) || '/'
        || (SELECT BEAT_AT || POSITION FROM SB_HEARTBEAT)";
    bridge.legacy().query_row(sql, [], |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_that_is_gone_gives_its_orphans_back_and_keeps_what_is_sold_mode_counter() {
    killed_for_good(AllotmentMode::Counter, 31).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_that_is_gone_gives_its_orphans_back_and_keeps_what_is_sold_mode_capacity() {
    killed_for_good(AllotmentMode::Capacity, 32).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_that_is_gone_gives_its_orphans_back_and_keeps_what_is_sold_mode_quota() {
    killed_for_good(AllotmentMode::Quota, 33).await;
}

/// Everything happens while the bridge is down, and its last ops were applied without its hearing of it: it begins by
/// what the legacy system says, not by what it remembers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn units_given_back_while_the_bridge_was_down_are_not_sold_by_the_next_one() {
    println!("in doubt: seed 34");
    let bridge = Bridge::new(AllotmentMode::Counter, 34, 14, 700, |_| ());
    bridge.install_off_switch();
    let process = bridge.start().await;
    bridge.until("units in escrow", || (bridge.escrow() >= 20).then_some(())).await;
    bridge.hush_commits();
    let unheard = bridge.book(5).await;
    bridge.applied_once(&unheard).await;
    process.kill();
    bridge.server.no_faults();

    bridge.script("91_stop.sql", &[]).unwrap();
    let (listed, end) = bridge.exported();
    assert_eq!(listed.iter().cloned().collect::<BTreeMap<_, _>>(), by_slot(&unheard), "the ledger knows no better");
    bridge.load(&listed, &end);
    bridge.later("94_return_orphans.sql").unwrap();
    // Too many units are kept, where any are left; none is given away twice.
    let kept = bridge.escrow();
    assert!(kept <= unheard.len() as i64);
    assert_eq!(bridge.assert_sound().miscounted, 0);
    let sold = bridge.sell_out();
    bridge.script("95_run.sql", &[("SB_RECONCILED", "YES")]).unwrap();

    let process = bridge.start().await;
    let partner = bridge.scene.client(0);
    let mut booked = Vec::new();
    for (slot, series) in all_slots(&bridge) {
        let (number, person) = bridge.somebody();
        let (status, answer) = bridge.ask(&partner, number, &slot, &series).await;
        match status {
            201 => {
                let id = answer["id"].as_str().unwrap().to_owned();
                booked.push(Acked { id, slot, person, number, series });
            }
            403 | 409 => {}
            _ => panic!("{status} {answer}"),
        }
    }
    bridge.told_applied(&unheard).await;
    bridge.applied_once(&unheard).await;
    bridge.told_applied(&booked).await;
    bridge.applied_once(&booked).await;
    let found = bridge.assert_sound();
    assert_eq!((found.miscounted, found.bridge), (0, (unheard.len() + booked.len()) as u64));
    assert!(booked.len() as i64 <= kept, "{} were sold of {kept} units kept", booked.len());
    assert_eq!(process.stop(), Some(0), "{}", bridge.scene.log());
    let again = booked.len();
    println!("in doubt: 5 applied unheard, {kept} units kept too many, {sold} sold natively, {again} by the bridge");
}
