//! The real process is killed at random moments under load: nothing that was acknowledged is lost or doubled.

mod daemon_kit;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use daemon_kit::{Reply, Scene};
use reqwest::Method;
use serde_json::{Value, json};
use slotbridge::domain::Timestamp;
use slotbridge::legacy::sqlite::recount::{ReservationStatus, recount};

const KILLS: usize = 20;
const CLIENTS: u64 = 12;
const PEOPLE: u32 = 12_000;
const SLOTS: u32 = 400;

struct Asked {
    partner: usize,
    key: String,
    body: Value,
    reply: Option<Reply>,
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

fn now() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp(since.as_millis() as i64).rfc3339()
}

/// Slots as (id, series), bookable ones, soonest first: few enough that clients meet.
async fn slots(scene: &Scene) -> Vec<(String, String)> {
    let mut found: Vec<(String, String, String)> = scene
        .published("slots", |slots| slots.len() > SLOTS as usize / 2)
        .await
        .into_iter()
        .filter(|(_, data)| data["status"] == "open")
        .map(|(id, data)| {
            let text = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
            (text("start"), id, text("series"))
        })
        .collect();
    found.sort();
    found.into_iter().take(60).map(|(_, id, series)| (id, series)).collect()
}

/// One client: asks until the process is gone; what got no answer stays in the list for a retry with the same key.
async fn trade(
    scene: Arc<Scene>,
    partner_no: usize,
    mut dice: Dice,
    slots: Arc<Vec<(String, String)>>,
    asked: Arc<Mutex<Vec<Asked>>>,
    done: Arc<AtomicU64>,
    gone: Arc<AtomicBool>,
) {
    let partner = scene.client(partner_no);
    while !gone.load(Ordering::Relaxed) {
        let (slot, series) = &slots[dice.below(slots.len() as u64) as usize];
        let person = 1 + dice.below(u64::from(PEOPLE)) as u32;
        let ci = scene.ci(person);
        let receipt = (scene.stage.consent)(&partner.name, series, &ci).expect("a receipt");
        let call = json!({ "ci": ci, "receipt": receipt });
        let Ok((200 | 201, bytes)) = partner.send(Method::POST, "/v1/persons/token", None, Some(&call)).await else {
            tokio::task::yield_now().await;
            continue;
        };
        let token: Value = serde_json::from_slice(&bytes).expect("JSON");
        let body = json!({
            "slot_id": slot, "person": token["person"], "series": series, "first_sent_at": now(),
        });
        let key = format!("kill-{:016x}-{:016x}", dice.below(u64::MAX), dice.below(u64::MAX));
        let at = {
            let mut asked = asked.lock().unwrap();
            asked.push(Asked { partner: partner_no, key: key.clone(), body: body.clone(), reply: None });
            asked.len() - 1
        };
        if let Ok(reply) = partner.send(Method::POST, "/v1/bookings", Some(&key), Some(&body)).await
            && !matches!(reply.0, 429 | 503)
        {
            asked.lock().unwrap()[at].reply = Some(reply);
            done.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Asks everything of `from..` again with its key: the answer must be the one that was given, byte for byte.
async fn ask_again(scene: &Scene, asked: &Mutex<Vec<Asked>>, from: usize) -> usize {
    let count = asked.lock().unwrap().len();
    let mut compared = 0;
    for at in from..count {
        let (partner, key, body, before) = {
            let asked = asked.lock().unwrap();
            (asked[at].partner, asked[at].key.clone(), asked[at].body.clone(), asked[at].reply.clone())
        };
        let client = scene.client(partner);
        let again = client.send(Method::POST, "/v1/bookings", Some(&key), Some(&body)).await.expect("an answer");
        match before {
            Some(before) => {
                assert_eq!(again, before, "key {key} got another answer after a kill");
                compared += 1;
            }
            None => asked.lock().unwrap()[at].reply = Some(again),
        }
    }
    compared
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_or_doubled_by_kill_9() {
    let seed =
        std::env::var("KILL_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| u64::from(std::process::id()));
    println!("kill9: seed {seed} (KILL_SEED={seed} replays the dice, not the scheduler)");
    let mut dice = Dice(seed);
    let scene = Arc::new(Scene::new(seed, SLOTS, PEOPLE));
    let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
    let mut process = scene.spawn();
    scene.ready(&mut process).await;
    scene.token(&scene.client(0), 1, "covid19-1").await;
    let slots = Arc::new(slots(&scene).await);
    assert!(!slots.is_empty(), "no slots are published");
    let mut compared = 0;
    for kill in 0..KILLS {
        let from = asked.lock().unwrap().len();
        let (done, gone): (Arc<AtomicU64>, Arc<AtomicBool>) = Default::default();
        let clients: Vec<_> = (0..CLIENTS)
            .map(|n| {
                let dice = Dice(seed ^ (kill as u64 * 1_000 + n).wrapping_mul(0x9e37_79b9));
                let parts = (scene.clone(), slots.clone(), asked.clone(), done.clone(), gone.clone());
                tokio::spawn(trade(parts.0, (n % 2) as usize, dice, parts.1, parts.2, parts.3, parts.4))
            })
            .collect();
        let enough = 15 + dice.below(120);
        let until = std::time::Instant::now() + daemon_kit::PATIENCE;
        while done.load(Ordering::Relaxed) < enough {
            assert!(std::time::Instant::now() < until, "no answers come:\n{}", scene.log());
            tokio::task::yield_now().await;
        }
        process.kill();
        gone.store(true, Ordering::Relaxed);
        for client in clients {
            client.await.expect("a client ends");
        }
        process = scene.spawn();
        scene.ready(&mut process).await;
        compared += ask_again(&scene, &asked, from).await;
    }
    // Everything ever answered, once more, over all twenty lives.
    compared += ask_again(&scene, &asked, 0).await;
    let booked: BTreeMap<String, usize> = asked
        .lock()
        .unwrap()
        .iter()
        .filter(|a| a.reply.as_ref().is_some_and(|r| r.0 == 201))
        .map(|a| {
            let value: Value = serde_json::from_slice(&a.reply.as_ref().unwrap().1).unwrap();
            (value["id"].as_str().unwrap().to_owned(), a.partner)
        })
        .collect();
    let refused = asked.lock().unwrap().iter().filter(|a| a.reply.as_ref().is_some_and(|r| r.0 == 409)).count();
    println!("kill9: {KILLS} kills, {} booked, {refused} refused with 409, {compared} answers compared", booked.len());
    assert!(booked.len() >= KILLS, "too few bookings to prove anything");
    assert!(refused > 0, "no request was ever in conflict");
    let ended = settle(&scene, &booked).await;
    assert_eq!(process.stop(), Some(0), "a stop after all that is an ordinary stop:\n{}", scene.log());
    let found = recount(&scene.stage.legacy).expect("a recount");
    assert_eq!(
        (found.oversold.len(), found.booked_twice.len()),
        (0, 0),
        "{:?} {:?}",
        found.oversold,
        found.booked_twice
    );
    let active = found.by_op.values().filter(|row| row.status == ReservationStatus::Active).count();
    assert_eq!(active + ended, booked.len(), "each booking stands once in the legacy database, or ended for a reason");
    let errors: Vec<String> = scene.log().lines().filter(|line| line.contains("ERROR")).map(str::to_owned).collect();
    assert_eq!(errors, Vec::<String>::new());
}

/// Waits until write-back is through; returns how many bookings ended for a recorded reason.
async fn settle(scene: &Scene, booked: &BTreeMap<String, usize>) -> usize {
    let until = std::time::Instant::now() + daemon_kit::PATIENCE;
    let mut ended = 0;
    for (id, partner) in booked {
        let client = scene.client(*partner);
        loop {
            let (status, booking) = client.get(&format!("/v1/bookings/{id}")).await;
            assert_eq!(status, 200, "acknowledged booking {id} is gone: {booking}");
            match (booking["status"].as_str(), booking["sync"].as_str()) {
                (Some("booked"), Some("applied")) => break,
                (Some("booked"), _) => {}
                (Some(_), _) => {
                    assert!(booking["reason"].is_string(), "{id} ended without a reason: {booking}");
                    ended += 1;
                    break;
                }
                (None, _) => panic!("a booking without a status: {booking}"),
            }
            assert!(std::time::Instant::now() < until, "{id} is never written back:\n{}", scene.log());
            tokio::task::yield_now().await;
        }
    }
    ended
}
