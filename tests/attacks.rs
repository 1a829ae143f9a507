//! What a partner could try in order to learn whether a person is registered, eligible, booked or vaccinated.
//!
//! Each test is one channel, and says at its end what remains. A partner here has its own key, feeds, tokens and
//! receipts, and a receipt is what it needs to ask about anybody at all.

#[path = "attack_parts/numbers.rs"]
mod numbers;

mod daemon_kit;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;

use daemon_kit::{PATIENCE, Partner, Process, Scene};
use reqwest::Method;
use serde_json::{Value, json};
use slotbridge::domain::{PartnerId, SeriesId, Timestamp};
use slotbridge::evidence::{Action, Evidence, IfMissing};
use slotbridge::keys::{DemoIssuer, ReceiptRequest, SignedBy};

const SERIES: &str = "covid19-1";

fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    Timestamp(since.as_millis() as i64)
}

/// Kakao signs its own receipts, all of which are set aside; naver may ask for few persons.
fn self_signing(scene: &mut slotbridge::demo::stage::Stage, own: &DemoIssuer) {
    let edit = |file: &str, changes: &[(&str, &str)]| {
        let path = scene.config.mappings.dir.join(file);
        let mut text = std::fs::read_to_string(&path).expect("a file");
        for (from, to) in changes {
            assert!(text.contains(from), "{file} has no {from}");
            text = text.replace(from, to);
        }
        std::fs::write(&path, text).expect("it can be written");
    };
    let key = own.public_key();
    let kakao = "id = \"kakao\"";
    let before = "lookup = { persons_per_day_max = 2000000, persons_per_epoch_max = 15000000, receipts = \"issuer\" }";
    let after = format!(
        "lookup = {{ persons_per_day_max = 100000, persons_per_epoch_max = 12, receipts = \"partner\", \
         receipt_public_key = \"{key}\" }}"
    );
    let path = scene.config.mappings.dir.join("partners.toml");
    let text = std::fs::read_to_string(&path).expect("partners");
    let at = text.find(kakao).expect("kakao is a partner");
    let changed = format!("{}{}", &text[..at], text[at..].replacen(before, &after, 1));
    assert_ne!(changed, text);
    std::fs::write(&path, changed).expect("it can be written");
    edit("policy.toml", &[("age_s_max = 600", "age_s_max = 600\naudit_sample_percent = 100")]);
}

fn own_receipt(own: &DemoIssuer, partner: &str, purpose: &str, ci: &str) -> String {
    let (partner, series) = (PartnerId::new(partner).expect("an id"), SeriesId::new(SERIES).expect("a series"));
    let consent = "c".repeat(64);
    let request = ReceiptRequest {
        partner: &partner,
        purpose,
        series: &series,
        ci: ci.as_bytes(),
        issued_at: now(),
        consent_sha256: Some(&consent),
    };
    own.receipt(request).expect("a receipt")
}

async fn ask(partner: &Partner, ci: &str, receipt: &str) -> (u16, Value) {
    let body = json!({ "ci": ci, "receipt": receipt });
    let (status, bytes) = partner.send(Method::POST, "/v1/persons/token", None, Some(&body)).await.expect("an answer");
    (status, serde_json::from_slice(&bytes).expect("JSON"))
}

async fn book(partner: &Partner, key: &str, slot: &str, token: &str) -> (u16, Value) {
    let body = json!({ "slot_id": slot, "person": token, "series": SERIES, "first_sent_at": now().rfc3339() });
    let reply = partner.send(Method::POST, "/v1/bookings", Some(key), Some(&body)).await;
    let (status, bytes) = reply.expect("an answer");
    (status, serde_json::from_slice(&bytes).expect("JSON"))
}

fn stranger(n: u32) -> String {
    format!("{:A<86}==", format!("Nobody{n:08}"))
}

/// An open slot of the series, and one that is closed if there is any.
async fn slots(scene: &Scene) -> (Vec<String>, Vec<String>) {
    let items = scene.published("slots", |slots| slots.len() > 30).await;
    let of = |status: &str| {
        let fits = |data: &Value| data["status"] == status && data["series"] == SERIES;
        items.iter().filter(|(_, data)| fits(data)).map(|(id, _)| id.clone()).collect::<Vec<String>>()
    };
    (of("open"), of("closed"))
}

/// A booking in any open slot; slots fill their allotment when first asked. `None`: the person cannot book.
async fn booked(partner: &Partner, open: &[String], token: &str, key: &str) -> Option<String> {
    let until = Instant::now() + PATIENCE;
    for n in 0.. {
        let (status, answer) = book(partner, &format!("{key}-{n:010}"), &open[n % open.len()], token).await;
        if status == 201 {
            return answer["id"].as_str().map(str::to_owned);
        }
        if answer["code"] == "not_bookable" {
            return None;
        }
        assert!(answer["code"] == "slot_full" && Instant::now() < until, "{status} {answer}");
    }
    None
}

/// The first of these who can book, does: person and token.
async fn first_booked(partner: &Partner, open: &[String], tokens: &[(u32, String)], key: &str) -> (u32, String) {
    for (person, token) in tokens {
        if booked(partner, open, token, &format!("{key}-{person}")).await.is_some() {
            return (*person, token.clone());
        }
    }
    panic!("none of {} persons can book", tokens.len());
}

async fn tokens(scene: &Scene, partner: &Partner, persons: std::ops::Range<u32>) -> Vec<(u32, String)> {
    let mut tokens = Vec::new();
    for person in persons {
        tokens.push((person, scene.token(partner, person, SERIES).await));
    }
    tokens
}

fn command(scene: &Scene, args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_slotbridge"));
    let output = command.args(args).arg("--config").arg(&scene.config_file).output().expect("it runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

/// Receipts that do not serve. What remains: a partner that signs for itself can invent consents, up to its absolute
/// limit; the sample finds them afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_serves_once_and_what_a_partner_signs_itself_can_be_opened() {
    let own = DemoIssuer::new("kakao", SignedBy::Partner, &[7; 32]);
    let scene = Scene::with(51, 60, 300, |stage| self_signing(stage, &own));
    let mut process = scene.spawn();
    scene.ready(&mut process).await;
    let (naver, kakao) = (scene.client(0), scene.client(1));
    scene.token(&naver, 30, SERIES).await;
    let code = |(status, answer): (u16, Value)| (status, answer["code"].as_str().unwrap_or_default().to_owned());
    let ci = scene.ci(31);
    let receipt = (scene.stage.consent)("naver", SERIES, &ci).expect("a receipt");
    assert_eq!(ask(&naver, &ci, &receipt).await.0, 200);
    assert_eq!(code(ask(&naver, &ci, &receipt).await).1, "receipt_used", "a second time");
    let fresh = (scene.stage.consent)("naver", SERIES, &ci).expect("a receipt");
    for (partner, ci, receipt) in [
        (&kakao, ci.clone(), fresh.clone()),
        (&naver, scene.ci(32), fresh.clone()),
        (&naver, stranger(1), fresh.clone()),
        (&naver, ci.clone(), own_receipt(&own, "naver", "booking", &ci)),
        (&kakao, ci.clone(), own_receipt(&own, "kakao", "statistics", &ci)),
        (&kakao, ci.clone(), own_receipt(&own, "naver", "booking", &ci)),
    ] {
        let (status, answer) = code(ask(partner, &ci, &receipt).await);
        assert_eq!((status, answer.as_str()), (403, "receipt_invalid"));
    }
    // Absolute: registered and unknown persons alike, whatever the receipts say.
    let mut refused = BTreeSet::new();
    for n in 0..8 {
        for ci in [scene.ci(40 + n), stranger(n)] {
            let answer = ask(&kakao, &ci, &own_receipt(&own, "kakao", "booking", &ci)).await;
            if answer.0 != 200 {
                assert!(refused.insert(code(answer).1) || n > 5, "the first twelve are given");
                assert!(n >= 6, "the first twelve are given");
            }
        }
    }
    assert_eq!(refused, BTreeSet::from(["token_limit_reached".to_owned()]));
    let (exit, listed) = command(&scene, &["persons", "audit"]);
    assert_eq!((exit, listed.lines().count()), (Some(0), 13), "{listed}");
    assert!(listed.lines().skip(1).all(|line| line.contains(",kakao,")), "issuers' receipts are not sampled");
    for n in 0..8 {
        assert!(!listed.contains(&scene.ci(40 + n)) && !listed.contains(&stranger(n)));
    }
    assert_eq!(process.stop(), Some(0));
}

/// Refusals, feeds and times. What remains: of a person whom it has a receipt for, a partner learns by one refusal
/// that it is not bookable, never why; the change of a token within an epoch tells that a registration changed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_and_feeds_tell_nothing_about_a_person() {
    let scene = Scene::new(52, 120, 300);
    let mut process = scene.spawn();
    scene.ready(&mut process).await;
    let (naver, kakao) = (scene.client(0), scene.client(1));
    let members = tokens(&scene, &kakao, 21..41).await;
    let (open, closed) = slots(&scene).await;
    assert!(open.len() > 5, "{open:?}");
    let before = scene.published("eligibility", |items| !items.is_empty()).await;
    let (person, elsewhere) = first_booked(&kakao, &open, &members, "attack-k").await;
    // The other partner's token is unknown here, and no token is nobody's.
    assert_eq!(book(&naver, "attack-theft-0001", &open[0], &elsewhere).await.0, 404);
    let other = scene.token(&naver, person, SERIES).await;
    let ci = stranger(1);
    let receipt = (scene.stage.consent)("naver", SERIES, &ci).expect("a receipt");
    let nobody = ask(&naver, &ci, &receipt).await.1["person"].as_str().expect("a token").to_owned();
    let fine = scene.token(&naver, 45, SERIES).await;
    let mut places = vec!["s-nothing".to_owned()];
    places.extend(closed.into_iter().take(2));
    for (n, slot) in places.iter().enumerate() {
        // A place that cannot be had is refused before anybody is looked at.
        let mut answers = Vec::new();
        for (who, token) in [("a", &other), ("b", &nobody), ("c", &fine)] {
            let answer = book(&naver, &format!("attack-place-{n:06}-{who}"), slot, token).await;
            answers.push((answer.0, answer.1["code"].clone()));
        }
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{slot}: {answers:?}");
        assert!(answers[0].0 != 403, "{answers:?}");
    }
    // Where a booking could be had: booked elsewhere and unknown get one answer, byte for byte.
    let refusal = async |token: &str, who: &str| {
        let until = Instant::now() + PATIENCE;
        for n in 0.. {
            let (status, answer) = book(&naver, &format!("attack-{who}-{n:010}"), &open[n % open.len()], token).await;
            if status == 403 {
                return answer;
            }
            assert!(answer["code"] == "slot_full" && Instant::now() < until, "{status} {answer}");
        }
        unreachable!("it returns or fails")
    };
    let (booked_elsewhere, unknown) = (refusal(&other, "elsewhere").await, refusal(&nobody, "nobody").await);
    assert_eq!(booked_elsewhere, unknown);
    assert_eq!(booked_elsewhere["code"], "not_bookable");
    // Nobody leaves a feed by booking, and the other partner's booking is in none of this partner's feeds.
    assert_eq!(naver.harvest("eligibility").await, before);
    assert!(naver.harvest("bookings").await.is_empty());
    for (id, data) in scene.published("slots", |_| true).await {
        let numbers = data.as_object().expect("an object").iter().filter(|(_, value)| value.is_u64());
        let counts: Vec<&String> = numbers.map(|(name, _)| name).filter(|name| name.contains("remaining")).collect();
        assert!(counts.is_empty(), "{id} tells a count: {data}");
    }
    as_fast_and_alike(&scene, &naver).await;
    assert_eq!(process.stop(), Some(0));
}

/// Over HTTP, 200 calls a kind, interleaved: medians within half of the smaller. Waits for the disk are in both; that
/// the work is the same is measured apart from the disk, in `numbers`, with a closer bound.
async fn as_fast_and_alike(scene: &Scene, naver: &Partner) {
    let mut took = [Vec::new(), Vec::new()];
    let mut shapes = BTreeSet::new();
    for n in 0..200 {
        for (kind, ci) in [scene.ci(60 + n), stranger(100 + n)].into_iter().enumerate() {
            let receipt = (scene.stage.consent)("naver", SERIES, &ci).expect("a receipt");
            let began = Instant::now();
            let (status, answer) = ask(naver, &ci, &receipt).await;
            took[kind].push(began.elapsed());
            assert_eq!(status, 200, "{answer}");
            let members: Vec<&String> = answer.as_object().expect("an object").keys().collect();
            shapes.insert(format!("{members:?} {}", answer.to_string().len()));
        }
    }
    assert_eq!(shapes.len(), 1, "{shapes:?}");
    let [known, unknown] = took.map(|mut all| {
        all.sort();
        all[all.len() / 2]
    });
    println!("attacks: median of a registered CI {known:?}, of an unknown one {unknown:?}");
    assert!(known.abs_diff(unknown) < known.min(unknown) / 2, "{known:?} {unknown:?}");
}

/// Rotation while both partners book, then the end of the older epoch. What remains: a partner that kept pairs of CI
/// and token must destroy them itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_loses_by_a_rotation_and_a_destroyed_epoch_stays_destroyed() {
    let scene = Arc::new(Scene::new(53, 200, 600));
    let mut process = scene.spawn();
    scene.ready(&mut process).await;
    let naver = scene.client(0);
    let members = tokens(&scene, &naver, 1..17).await;
    let later = tokens(&scene, &naver, 17..33).await;
    let (open, _) = slots(&scene).await;
    let (person, first) = first_booked(&naver, &open, &members, "rotate-1").await;
    let epoch = |token: &str| token.split('.').nth(3).expect("an epoch").parse::<u32>().expect("a number");
    let old = epoch(&first);
    let stop = Arc::new(AtomicBool::new(false));
    let trading = trade(&scene, &open, &stop);
    let (exit, text) = command(&scene, &["keys", "rotate", "--by", "kim", "--overlap-hours", "2"]);
    assert_eq!(exit, Some(0), "{text}");
    let anew = scene.token(&naver, person, SERIES).await;
    assert!(epoch(&anew) > old, "{anew}");
    // Old and new name one person: it cannot book twice, and both serve.
    for (token, key) in [(&anew, "rotate-twice-new-0001"), (&first, "rotate-twice-old-0001")] {
        let (status, answer) = book(&naver, key, &open[1], token).await;
        assert!(matches!(answer["code"].as_str(), Some("person_already_booked" | "slot_full")), "{status} {answer}");
    }
    // Who got a token before the rotation books with it after.
    first_booked(&naver, &open, &later, "rotate-2").await;
    let (exit, text) = command(&scene, &["keys", "rotate", "--by", "kim"]);
    assert_eq!(exit, Some(1), "two epochs at most: {text}");
    let counts = enough(&scene, trading, &stop).await;
    println!("attacks: answers during the rotation: {counts:?}");
    let (exit, text) = command(&scene, &["keys", "destroy", &old.to_string(), "--by", "kim"]);
    assert_eq!(exit, Some(0), "{text}");
    let (status, answer) = book(&naver, "rotate-after-000001", &open[0], &later[0].1).await;
    assert_eq!(answer["code"], "person_token_expired", "{status} {answer}");
    let renewed = tokens(&scene, &naver, 33..49).await;
    first_booked(&naver, &open, &renewed, "rotate-3").await;
    let backup = scene.dir().join("backup");
    assert_eq!(command(&scene, &["backup", backup.to_str().expect("text")]).0, Some(0));
    assert_eq!(process.stop(), Some(0), "{}", scene.log());
    let errors: Vec<String> = scene.log().lines().filter(|line| line.contains("ERROR")).map(str::to_owned).collect();
    assert_eq!(errors, Vec::<String>::new());
    stays_destroyed(&scene, &backup, old).await;
}

/// Both partners ask for tokens and book, in and after the rotation; returns how often each answer came.
fn trade(scene: &Arc<Scene>, open: &[String], stop: &Arc<AtomicBool>) -> (Arc<AtomicU32>, Vec<Trading>) {
    let done = Arc::new(AtomicU32::new(0));
    let start = |partner: usize| {
        let (scene, open, stop, done) = (scene.clone(), open.to_vec(), stop.clone(), done.clone());
        tokio::spawn(async move {
            let client = scene.client(partner);
            let mut counts = BTreeMap::<String, u32>::new();
            for n in 0u32.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let person = 50 + n * 2 % 500 + partner as u32;
                let ci = scene.ci(person);
                let receipt = (scene.stage.consent)(&client.name, SERIES, &ci).expect("a receipt");
                let (status, answer) = ask(&client, &ci, &receipt).await;
                assert_eq!(status, 200, "a token in the rotation: {answer}");
                let token = answer["person"].as_str().expect("a token");
                let key = format!("trade-{partner}-{n:010}");
                let (status, answer) = book(&client, &key, &open[n as usize % open.len()], token).await;
                assert!(matches!(status, 201 | 403 | 409), "a booking in the rotation: {status} {answer}");
                *counts.entry(format!("{status} {}", answer["code"].as_str().unwrap_or_default())).or_default() += 1;
                done.fetch_add(1, Ordering::Relaxed);
            }
            counts
        })
    };
    (done.clone(), vec![start(0), start(1)])
}

type Trading = tokio::task::JoinHandle<BTreeMap<String, u32>>;

async fn enough(
    scene: &Scene,
    (done, trading): (Arc<AtomicU32>, Vec<Trading>),
    stop: &AtomicBool,
) -> BTreeMap<String, u32> {
    let (from, until) = (done.load(Ordering::Relaxed), Instant::now() + PATIENCE);
    let mut pause = tokio::time::interval(std::time::Duration::from_millis(20));
    while done.load(Ordering::Relaxed) < from + 40 {
        assert!(Instant::now() < until && trading.iter().all(|t| !t.is_finished()), "{}", scene.log());
        pause.tick().await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut counts = BTreeMap::new();
    for of_partner in trading {
        for (answer, count) in of_partner.await.expect("no request failed") {
            *counts.entry(answer).or_default() += count;
        }
    }
    counts
}

/// Keys are in no backup; a key that comes back out of an old copy keeps the daemon from starting.
async fn stays_destroyed(scene: &Scene, backup: &std::path::Path, old: u32) {
    let keys = &scene.stage.config.secrets.key_dir;
    let held: Vec<Vec<u8>> = std::fs::read_dir(keys)
        .expect("a folder")
        .map(|entry| std::fs::read(entry.expect("an entry").path()).expect("a file"))
        .filter(|bytes| bytes.len() == 64)
        .collect();
    assert!(held.len() >= 2, "keys of the open epoch");
    let mut folders = vec![backup.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let entry = entry.expect("an entry");
            if entry.file_type().expect("a type").is_dir() {
                folders.push(entry.path());
                continue;
            }
            let bytes = std::fs::read(entry.path()).expect("a file");
            let has = |key: &Vec<u8>| bytes.windows(key.len()).any(|window| window == key);
            assert!(!held.iter().any(has), "{} holds a key", entry.path().display());
        }
    }
    let evidence = scene.stage.config.daemon.data_dir.join("evidence.sqlite");
    let entries = Evidence::open(&evidence, IfMissing::Refuse).expect("evidence").entries(0, 100_000).expect("entries");
    let entries: Vec<_> = entries
        .into_iter()
        .filter_map(|(index, entry)| match entry {
            Some(slotbridge::evidence::Entry::Access(access)) => Some((index, access)),
            _ => None,
        })
        .collect();
    let of = |action: Action| entries.iter().filter(|(_, entry)| entry.action == action).count();
    assert_eq!(of(Action::KeyRotated), 1);
    let gone = entries.iter().filter(|(_, entry)| entry.action == Action::KeyDestroyed);
    assert!(gone.clone().all(|(_, entry)| entry.basis.ends_with(&format!(".{old}.key"))) && gone.count() >= 2);
    // Out of an old copy: beside its mark, and into a folder that has no mark.
    let name = format!("person.naver.booking.{old}.key");
    let put = |path: std::path::PathBuf| {
        let mut file = std::fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(path);
        std::io::Write::write_all(file.as_mut().expect("a file"), &[9; 64]).expect("it can be written");
    };
    put(keys.join(&name));
    let refused = |scene: &Scene| {
        let Process(child) = &mut scene.spawn();
        child.wait().expect("it ends").code()
    };
    assert_eq!(refused(scene), Some(78), "{}", scene.log());
    std::fs::remove_file(keys.join(format!("{name}.destroyed"))).expect("a mark");
    assert_eq!(refused(scene), Some(78), "the data folder knows it too: {}", scene.log());
    let (from, to, keys) = (backup.to_str().expect("text"), scene.dir().join("restored"), keys.to_str().expect("text"));
    let restore = |keys: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_slotbridge"));
        command.args(["restore", from]).arg(&to).args(["--key-dir", keys]).output().expect("it runs").status.code()
    };
    assert_eq!(restore(keys), Some(1), "a backup is not restored beside a key that it says was destroyed");
    std::fs::remove_file(std::path::Path::new(keys).join(&name)).expect("the key");
    assert_eq!(restore(keys), Some(0));
    let mut process = scene.spawn();
    scene.ready(&mut process).await;
    assert_eq!(process.stop(), Some(0));
}
