//! The real daemon in front of the Oracle double: how it is configured, booked with, watched and asked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use reqwest::Method;
use rusqlite::Connection;
use serde_json::{Value, json};
use slotbridge::app::{Files, Proof, Proofs, Verdict};
use slotbridge::config::{Account, Config, LegacyKind, Maintained};
use slotbridge::demo::stage::{self, Stage};
use slotbridge::domain::{AllotmentMode, SlotKey, Timestamp};
use slotbridge::legacy::sqlite::native::{NativeSeller, Selling};
use slotbridge::legacy::sqlite::recount::{Recount, ReservationStatus, recount};
use slotbridge::legacy::sqlite::{self, PersonConstraint, generate, schema};

use crate::daemon_kit::{PATIENCE, Partner, Process, Scene};
use crate::oracle_kit::{Fault, Server, artefacts};

/// Places of a slot that nobody has at the beginning.
pub const ROOM: i64 = 6;
/// Units of a slot that the agency assigns in mode `quota`.
const ASSIGNED: u32 = 3;

pub struct Bridge {
    pub scene: Scene,
    pub server: Server,
    pub design: schema::Design,
    next_person: AtomicU32,
}

/// A booking that the bridge has acknowledged.
#[derive(Debug, Clone)]
pub struct Acked {
    pub id: String,
    /// The legacy system's keys.
    pub slot: String,
    pub person: String,
    pub number: u32,
    pub series: String,
}

/// What one slot looks like to the agency: places that native selling finds, units of the bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    pub native: i64,
    pub escrow: i64,
}

pub fn now() -> Timestamp {
    Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64)
}

impl Bridge {
    /// `adjust` gets the configuration before it is written.
    pub fn new(mode: AllotmentMode, seed: u64, slots: u32, people: u32, adjust: impl FnOnce(&mut Config)) -> Bridge {
        let design = schema::Design {
            mode,
            maintained: sqlite::Maintained::Application,
            person_constraint: PersonConstraint::UniqueIndex,
        };
        let scene = Scene::with(seed, slots, people, |stage| {
            remake(stage, design, people);
            to_double(&mut stage.config, &stage.legacy, mode);
            adjust(&mut stage.config);
            prove(&stage.config, mode);
        });
        let server = Server::start(&scene.stage.legacy);
        Bridge { scene, server, design, next_person: AtomicU32::new(1) }
    }

    pub async fn start(&self) -> Process {
        let mut process = self.scene.spawn();
        self.scene.ready(&mut process).await;
        process
    }

    /// Writes the configuration anew; the next start reads it.
    pub fn configure(&mut self, change: impl FnOnce(&mut Config)) {
        change(&mut self.scene.stage.config);
        std::fs::write(&self.scene.config_file, toml::to_string(&self.scene.stage.config).unwrap()).unwrap();
    }

    /// Looks until there is an answer.
    pub async fn until<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        let mut pause = tokio::time::interval(Duration::from_millis(5));
        loop {
            if let Some(found) = look() {
                return found;
            }
            if Instant::now() > until {
                let (_, status, _) = self.cli(&["status", "--json"]);
                panic!("{what}: not within {PATIENCE:?}\n{}\n{status}", self.scene.log());
            }
            pause.tick().await;
        }
    }

    /// The program on the daemon's configuration: exit code, output, errors.
    pub fn cli(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_slotbridge"))
            .args(args)
            .arg("--config")
            .arg(&self.scene.config_file)
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    pub fn status(&self) -> Value {
        let (code, text, errors) = self.cli(&["status", "--json"]);
        assert_eq!(code, Some(0), "{errors}");
        serde_json::from_str(&text).unwrap()
    }

    pub async fn status_is(&self, wanted: &str) -> Value {
        self.until(wanted, || Some(self.status()).filter(|status| status["writeback"]["status"] == wanted)).await
    }

    pub async fn metric(&self, name: &str) -> Option<f64> {
        let text = reqwest::get(format!("http://{}/metrics", self.scene.observe)).await.unwrap().text().await.unwrap();
        let line = text.lines().find(|line| line.starts_with(name) && line[name.len()..].starts_with(' '))?;
        line[name.len() + 1..].trim().parse().ok()
    }

    /// The agency's own look at its database.
    pub fn legacy(&self) -> Connection {
        let connection = Connection::open(&self.scene.stage.legacy).unwrap();
        connection.busy_timeout(PATIENCE).unwrap();
        connection
    }

    pub fn number(&self, sql: &str) -> i64 {
        self.legacy().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    pub fn seller(&self) -> NativeSeller {
        NativeSeller::open(&self.scene.stage.legacy, Selling::of(self.design)).unwrap()
    }

    pub fn recount(&self) -> Recount {
        recount(&self.scene.stage.legacy).unwrap()
    }

    /// Nothing is sold twice and nobody booked twice.
    pub fn assert_sound(&self) -> Recount {
        let found = self.recount();
        assert_eq!(found.oversold, [], "{}", self.scene.log());
        assert_eq!(found.booked_twice, [], "{}", self.scene.log());
        found
    }

    pub fn escrow(&self) -> i64 {
        self.number("SELECT COALESCE(SUM(UNITS), 0) FROM SB_ESCROW")
    }

    pub fn escrow_of(&self, slot: &str) -> i64 {
        let sql = "SELECT COALESCE((SELECT UNITS FROM SB_ESCROW WHERE SLOT_ID = ?1), 0)";
        self.legacy().query_row(sql, [slot], |row| row.get(0)).unwrap()
    }

    pub fn applied(&self) -> i64 {
        self.number("SELECT COUNT(*) FROM SB_APPLIED")
    }

    pub fn left(&self) -> BTreeMap<String, Left> {
        let free = match self.design.mode {
            AllotmentMode::Capacity => {
                "S.CAPA_CNT - (SELECT COUNT(*) FROM TB_RESV R WHERE R.SLOT_NO = S.SLOT_NO AND R.STAT_CD <> 'C')"
            }
            _ => "S.CAPA_CNT - S.BOOKED_CNT",
        };
        let sql = format!(
            "SELECT S.SLOT_NO, {free}, COALESCE(E.UNITS, 0) FROM TB_SLOT S LEFT JOIN SB_ESCROW E ON E.SLOT_ID = S.SLOT_NO"
        );
        let connection = self.legacy();
        let mut select = connection.prepare(&sql).unwrap();
        let rows =
            select.query_map([], |row| Ok((row.get(0)?, Left { native: row.get(1)?, escrow: row.get(2)? }))).unwrap();
        rows.map(Result::unwrap).collect()
    }

    /// Open slots with units in escrow, and their series; those with most units first.
    pub fn stocked(&self) -> Vec<(String, String)> {
        let connection = self.legacy();
        let mut select = connection
            .prepare(
                "SELECT S.SLOT_NO, S.SERIES_CD FROM TB_SLOT S JOIN SB_ESCROW E ON E.SLOT_ID = S.SLOT_NO
                 WHERE S.STAT_CD = '1' AND S.OPEN_DT IS NULL AND E.UNITS > 0 ORDER BY E.UNITS DESC, S.SLOT_NO",
            )
            .unwrap();
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    }

    /// Somebody active without any reservation whom no other call gets: the register's number and key.
    pub fn somebody(&self) -> (u32, String) {
        let connection = self.legacy();
        loop {
            let number = self.next_person.fetch_add(1, Ordering::Relaxed);
            assert!(number <= self.scene.people, "everybody has booked");
            let person = generate::person(self.scene.stage.plan.seed, number, stage::born(&self.scene.stage.plan));
            let sql = "SELECT COUNT(*) FROM TB_RESV WHERE PSN_NO = ?1";
            let reserved: i64 = connection.query_row(sql, [&person.key], |row| row.get(0)).unwrap();
            if reserved == 0 && person.standing == generate::Standing::Active {
                return (number, person.key);
            }
        }
    }

    /// Asks for a booking: status and body.
    pub async fn ask(&self, partner: &Partner, number: u32, slot: &str, series: &str) -> (u16, Value) {
        let token = self.scene.token(partner, number, series).await;
        let body = json!({
            "slot_id": format!("s-{slot}"), "person": token, "series": series, "first_sent_at": now().rfc3339(),
        });
        let key = format!("oracle-daemon-{number:08}-{slot}-{}", now().0);
        let until = Instant::now() + PATIENCE;
        loop {
            let (status, bytes) = partner.send(Method::POST, "/v1/bookings", Some(&key), Some(&body)).await.unwrap();
            let answer: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
            // As the answer says: the same key again, until the bridge has read what the legacy system holds.
            if answer["code"] != "settling" || Instant::now() > until {
                return (status, answer);
            }
            tokio::task::yield_now().await;
        }
    }

    /// Books so many persons, in turn in each of the stocked slots.
    pub async fn book(&self, count: usize) -> Vec<Acked> {
        let partner = self.scene.client(0);
        let mut acked = Vec::new();
        let until = Instant::now() + PATIENCE;
        while acked.len() < count {
            for (slot, series) in self.stocked() {
                assert!(Instant::now() < until, "no bookings come about:\n{}", self.scene.log());
                if acked.len() == count {
                    break;
                }
                let (number, person) = self.somebody();
                let (status, answer) = self.ask(&partner, number, &slot, &series).await;
                match status {
                    201 => {
                        let id = answer["id"].as_str().unwrap().to_owned();
                        acked.push(Acked { id, slot, person, number, series });
                    }
                    409 => {}
                    // Some of the register's persons are in no cohort of the series.
                    403 => {}
                    _ => panic!("{status} {answer}"),
                }
            }
        }
        acked
    }

    /// The reservation numbers, not cancelled, of this person in this slot that the bridge made.
    pub fn rows_of(&self, acked: &Acked) -> i64 {
        let sql = "SELECT COUNT(*) FROM TB_RESV WHERE SLOT_NO = ?1 AND PSN_NO = ?2 AND STAT_CD = 'A' \
                   AND IF_OP_ID IS NOT NULL";
        self.legacy().query_row(sql, [&acked.slot, &acked.person], |row| row.get(0)).unwrap()
    }

    /// Waits until every one of them is a reservation, and sees that it is one only.
    pub async fn applied_once(&self, acked: &[Acked]) {
        for one in acked {
            self.until("an acknowledged booking in the legacy system", || (self.rows_of(one) > 0).then_some(())).await;
        }
        for one in acked {
            assert_eq!(self.rows_of(one), 1, "{one:?}");
        }
    }

    /// Every one of them is `booked` and `applied` for its partner.
    pub async fn told_applied(&self, acked: &[Acked]) {
        let partner = self.scene.client(0);
        for one in acked {
            let until = Instant::now() + PATIENCE;
            loop {
                let (status, booking) = partner.get(&format!("/v1/bookings/{}", one.id)).await;
                if status == 200 && booking["status"] == "booked" && booking["sync"] == "applied" {
                    break;
                }
                assert_eq!((status, booking["status"].as_str()), (200, Some("booked")), "{booking}");
                assert!(Instant::now() < until, "{booking}\n{}", self.scene.log());
                tokio::task::yield_now().await;
            }
        }
    }

    /// From now on a reservation of the bridge finds its rows locked.
    pub fn hold_converts(&self) {
        let busy = "ORA-00054: resource busy and acquire with NOWAIT specified or timeout expired";
        self.server.fault(Fault::at("execute").on("%INTO SB_BOOKING_W%").code(54, busy).times(1_000_000));
    }

    /// From now on a commit of the bridge takes effect, and the bridge never hears of it.
    pub fn hush_commits(&self) {
        self.server.fault(Fault::at("commit").session("SB_WRITE_A").kill().after().times(1_000_000));
    }

    pub fn heartbeats(&self) -> Beats {
        Beats { last: self.beat(), seen: 0 }
    }

    fn beat(&self) -> Option<String> {
        let sql = "SELECT BEAT_AT || POSITION FROM SB_HEARTBEAT";
        self.legacy().query_row(sql, [], |row| row.get(0)).ok()
    }

    /// True once the daemon has beaten so many times since `beats`.
    pub fn has_beaten(&self, beats: &mut Beats, times: u32) -> bool {
        let beat = self.beat();
        if beat != beats.last {
            (beats.last, beats.seen) = (beat, beats.seen + 1);
        }
        beats.seen >= times
    }

    /// Readings of the agency's switch by the bridge since the double started.
    pub fn switch_readings(&self) -> u64 {
        self.server.counts("%FROM SB_CONTROL%").calls
    }

    /// Whoever is left books natively until every slot is full; returns how many did.
    pub fn sell_out(&self) -> i64 {
        let mut seller = self.seller();
        let mut sold = 0;
        for (slot, left) in self.left() {
            for _ in 0..left.native {
                let (_, person) = self.somebody();
                match seller.book(&slot, &person).unwrap() {
                    sqlite::native::NativeOutcome::Booked { .. } => sold += 1,
                    sqlite::native::NativeOutcome::Closed => break,
                    other => panic!("{slot}: {other:?}"),
                }
            }
        }
        sold
    }

    pub fn standing(&self) -> usize {
        self.recount().by_op.values().filter(|row| row.status == ReservationStatus::Active).count()
    }
}

/// Heartbeats seen.
pub struct Beats {
    last: Option<String>,
    seen: u32,
}

/// The scene's legacy system in another design, with `ROOM` places left in each slot.
fn remake(stage: &mut Stage, design: schema::Design, people: u32) {
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{end}", stage.legacy.display()));
    }
    let mut connection = schema::create(&stage.legacy, design).unwrap();
    generate::sites_and_slots(&mut connection, &stage.plan).unwrap();
    let plan = generate::Plan { people, ..stage.plan };
    generate::persons_from(&mut connection, &plan, 1, &mut |_, _| ()).unwrap();
    let reserved = "(SELECT COUNT(*) FROM TB_RESV R WHERE R.SLOT_NO = TB_SLOT.SLOT_NO AND R.STAT_CD <> 'C')";
    let sql = format!(
        "UPDATE TB_SLOT SET CAPA_CNT = {reserved} + {ROOM}, BOOKED_CNT = {reserved}, STAT_CD = '1', OPEN_DT = NULL"
    );
    connection.execute(&sql, []).unwrap();
    if design.mode == AllotmentMode::Quota {
        let mut seller = NativeSeller::open(&stage.legacy, Selling::of(design)).unwrap();
        let slots: Vec<String> = connection
            .prepare("SELECT SLOT_NO FROM TB_SLOT")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        for slot in slots {
            assert_eq!(seller.assign_quota(&slot, ASSIGNED).unwrap(), ASSIGNED);
        }
    }
}

fn account(folder: &Path, name: &str) -> Account {
    use std::os::unix::fs::PermissionsExt;
    let secret_file: PathBuf = folder.join(format!("{name}.secret"));
    std::fs::write(&secret_file, "tiger").unwrap();
    std::fs::set_permissions(&secret_file, std::fs::Permissions::from_mode(0o600)).unwrap();
    Account { name: name.to_owned(), secret_file }
}

fn to_double(config: &mut Config, legacy: &Path, mode: AllotmentMode) {
    let folder = legacy.parent().unwrap();
    config.legacy.kind = LegacyKind::Oracle;
    config.oracle.connect = format!("//localhost/fake:{}", legacy.display());
    config.oracle.client_dir = Some(artefacts().to_owned());
    config.oracle.read_accounts = vec![account(folder, "SB_READ_A")];
    config.oracle.write_accounts = vec![account(folder, "SB_WRITE_A")];
    config.allotment.mode = mode;
    config.writeback.backoff_ms_min = 20;
    config.writeback.backoff_ms_max = 200;
}

/// As `allotment prove` leaves it.
fn prove(config: &Config, mode: AllotmentMode) {
    if !mode.takes() {
        return;
    }
    use std::os::unix::fs::DirBuilderExt;
    let files = Files::of(&config.daemon.data_dir);
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&files.dir).unwrap();
    let proof = Proof {
        mode,
        maintained_by: Maintained::Application,
        slot: SlotKey::new("canary").unwrap(),
        units: 3,
        refused: 1,
        native_before: 0,
        native_after: 0,
        verdict: Verdict::Proved,
        at: now(),
    };
    Proofs::add(&files, proof).unwrap();
}
