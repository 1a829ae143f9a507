//! Restores on either side (rules 28 and 32), with the real files and the real program.

use slotbridge::domain::AllotmentMode;
use slotbridge::legacy::sqlite::native::NativeOutcome;

use super::bridge::Bridge;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_ledger_takes_nothing_for_its_own_that_a_lost_life_did() {
    println!("restored ledger: seed 51");
    let mut bridge = Bridge::new(AllotmentMode::Counter, 51, 40, 600, |_| ());
    let process = bridge.start().await;
    bridge.until("units in escrow", || (bridge.escrow() >= 60).then_some(())).await;
    let known = bridge.book(5).await;
    bridge.applied_once(&known).await;
    let copy = bridge.scene.dir().join("copy");
    let (code, _, errors) = bridge.cli(&["backup", copy.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{errors}");
    let lost = bridge.book(7).await;
    bridge.applied_once(&lost).await;
    process.kill();
    let before = bridge.assert_sound();
    assert_eq!(before.bridge, 12);

    let to = bridge.scene.dir().join("restored");
    let mut restore = std::process::Command::new(env!("CARGO_BIN_EXE_slotbridge"));
    let restored = restore.arg("restore").arg(&copy).arg(&to).output().unwrap();
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    bridge.configure(|config| config.daemon.data_dir = to);
    let process = bridge.start().await;
    // The bookings of the lost life are seen as what they are, and their persons are taken.
    bridge
        .until("the lost life to be noticed", || {
            (bridge.status()["writeback"]["disagreements"]["ledger_behind"] == 1).then_some(())
        })
        .await;
    let partner = bridge.scene.client(0);
    for one in &lost {
        let (status, answer) = bridge.ask(&partner, one.number, &known[0].slot, &one.series).await;
        assert!(status == 403 || status == 409, "{one:?}: {status} {answer}");
        let (status, _) = partner.get(&format!("/v1/bookings/{}", one.id)).await;
        assert_eq!(status, 404, "a booking of the lost life is none of this one");
    }
    for one in &known {
        let (status, answer) = bridge.ask(&partner, one.number, &lost[0].slot, &one.series).await;
        assert!(status == 409 || status == 403, "{one:?}: {status} {answer}");
    }
    bridge.told_applied(&known).await;
    // New ops are new: each has its effect, and none of the old ones is repeated or undone.
    let new = bridge.book(9).await;
    bridge.applied_once(&new).await;
    bridge.told_applied(&new).await;
    let after = bridge.assert_sound();
    assert_eq!((after.bridge, after.miscounted), (21, 0));
    for (op, row) in &before.by_op {
        assert_eq!(after.by_op.get(op), Some(row), "a reservation of before changed");
    }
    // Units that the lost life had taken are sold, or go back; none is forgotten.
    let account = |bridge: &Bridge| {
        let status = bridge.status();
        let of = |name: &str| status["writeback"][name].as_i64().unwrap();
        (of("free_units") + of("unapplied"), of("pending_ops"))
    };
    bridge.until("ledger and escrow to agree", || (account(&bridge) == (bridge.escrow(), 0)).then_some(())).await;
    let escrow = bridge.escrow();
    bridge.seller().set_control(slotbridge::legacy::Control::Drain).unwrap();
    bridge.until("all units to go back", || (bridge.escrow() == 0).then_some(())).await;
    let found = bridge.assert_sound();
    assert_eq!((found.bridge, found.miscounted), (21, 0));
    assert_eq!(process.stop(), Some(0), "{}", bridge.scene.log());
    println!("restored ledger: 5 known, 7 of the lost life, 9 new; escrow of {escrow} units adopted and drained to 0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_legacy_system_gets_every_acknowledged_booking_again_once() {
    println!("restored legacy system: seed 52");
    let mut bridge = Bridge::new(AllotmentMode::Counter, 52, 30, 900, |_| ());
    let process = bridge.start().await;
    bridge.until("units in escrow", || (bridge.escrow() >= 50).then_some(())).await;
    let mut all = bridge.book(5).await;
    bridge.applied_once(&all).await;
    let copy = bridge.scene.dir().join("legacy-copy.db");
    bridge.seller().back_up(&copy).unwrap();
    let lost = bridge.book(8).await;
    bridge.applied_once(&lost).await;
    bridge.hold_converts();
    let held = bridge.book(4).await;

    bridge.server.kill();
    bridge.seller().restore_from(&copy).unwrap();
    assert!(lost.iter().all(|one| bridge.rows_of(one) == 0), "the copy is older");
    // Before the bridge comes back, native selling sells what it finds: places in two slots that the bridge had sold.
    let mut seller = bridge.seller();
    let mut full = Vec::new();
    for slot in [&lost[0].slot, &lost[1].slot] {
        let taken = bridge.escrow_of(slot);
        bridge.legacy().execute("UPDATE SB_ESCROW SET UNITS = 0 WHERE SLOT_ID = ?1", [slot]).unwrap();
        let given = "UPDATE TB_SLOT SET BOOKED_CNT = BOOKED_CNT - ?2 WHERE SLOT_NO = ?1";
        bridge.legacy().execute(given, rusqlite::params![slot, taken]).unwrap();
        for _ in 0..bridge.left()[slot].native {
            let (_, person) = bridge.somebody();
            assert!(matches!(seller.book(slot, &person).unwrap(), NativeOutcome::Booked { .. }));
        }
        full.push(slot.clone());
    }
    bridge.server.no_faults();
    bridge.server.restart();
    bridge
        .until("the restore to be noticed", || {
            (bridge.status()["writeback"]["disagreements"]["legacy_behind"] == 1).then_some(())
        })
        .await;
    assert!(bridge.scene.log().contains("restored to an earlier point"), "{}", bridge.scene.log());
    assert_eq!(bridge.metric("slotbridge_disagreements{how=\"legacy_behind\"}").await, Some(1.0));
    all.extend(lost);
    all.extend(held);
    bridge.applied_once(&all).await;
    bridge.told_applied(&all).await;
    let found = bridge.recount();
    assert_eq!((found.booked_twice.len(), found.bridge), (0, all.len() as u64));
    // Above the total are those two slots alone, by what was acknowledged.
    let over: Vec<String> = found.oversold.iter().map(|slot| slot.slot.clone()).collect();
    assert!(!over.is_empty() && over.iter().all(|slot| full.contains(slot)), "{:?}", found.oversold);
    let beyond: i64 = found.oversold.iter().map(|slot| slot.reserved + slot.escrow - slot.capacity).sum();
    bridge
        .until("the overrun to be reported", || (bridge.status()["desk"]["overrun_units"] == beyond).then_some(()))
        .await;
    assert_eq!(bridge.metric("slotbridge_overrun_units").await, Some(beyond as f64));
    assert_eq!(process.stop(), Some(0), "{}", bridge.scene.log());
    println!(
        "restored legacy system: 17 acknowledged, each there once again; {beyond} over the total of {over:?}, reported"
    );
}
