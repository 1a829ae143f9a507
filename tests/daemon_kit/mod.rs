//! The real daemon as a process of its own, over a small example legacy system, and a partner's client.
#![allow(dead_code)] // each test uses its own part

#[path = "../approval_kit/mod.rs"]
pub mod approval_kit;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use slotbridge::config::PersonConstraint;
use slotbridge::demo::{Options, TrafficWanted, stage};
use slotbridge::legacy::sqlite::generate;

/// How long anything may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Scene {
    pub stage: stage::Stage,
    pub config_file: PathBuf,
    pub log_file: PathBuf,
    pub observe: SocketAddr,
    pub people: u32,
    /// `run` does not believe the demonstration's officers: these signed the folder.
    pub office: approval_kit::Office,
    _dir: tempfile::TempDir,
}

fn free_port() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("its address")
}

impl Scene {
    pub fn new(seed: u64, slots: u32, people: u32) -> Scene {
        Scene::with(seed, slots, people, |_| ())
    }

    /// As `new`; `adjust` may change configuration and legacy database before either is first read.
    pub fn with(seed: u64, slots: u32, people: u32, adjust: impl FnOnce(&mut stage::Stage)) -> Scene {
        slotbridge::app::install_crypto();
        let dir = tempfile::tempdir().expect("a folder");
        let options = Options {
            dir: Some(dir.path().join("scene")),
            slots,
            people,
            seed,
            seconds: None,
            traffic: TrafficWanted::No,
            import: None,
            person_constraint: PersonConstraint::Unique,
            legacy: slotbridge::demo::Legacy::Sqlite,
            mode: slotbridge::domain::AllotmentMode::Counter,
            maintained: slotbridge::config::Maintained::Application,
            body: slotbridge::config::Body::Sql,
            vices: false,
            faults: false,
            port: 0,
        };
        let mut stage = stage::set(&options).expect("a scene");
        stage::load_people(&stage.legacy, stage.design, &stage.plan, people).expect("persons");
        stage.config.listen.observe = free_port();
        // Several processes of one test may run at once on a small machine: no writer waits for the other for long.
        stage.config.legacy.busy_ms_max = 30_000;
        adjust(&mut stage);
        let office = approval_kit::Office::new(&stage.config.daemon.origin);
        office.found(&stage.config.mappings.dir);
        office.approve(&stage.config.mappings.dir, approval_kit::now().plus_ms(-3 * approval_kit::DAY_MS));
        stage.config.mappings.genesis = Some(office.genesis());
        let config_file = dir.path().join("slotbridge.toml");
        let text = toml::to_string(&stage.config).expect("a configuration that can be written");
        std::fs::write(&config_file, text).expect("a configuration file");
        let log_file = dir.path().join("log.txt");
        Scene { observe: stage.config.listen.observe, stage, config_file, log_file, people, office, _dir: dir }
    }

    pub fn dir(&self) -> &Path {
        self._dir.path()
    }

    /// Has the folder's mappings signed after an edit, long enough ago for a wider one to be in force.
    pub fn approve(&self) {
        let at = approval_kit::now().plus_ms(-approval_kit::DAY_MS - 3_600_000);
        self.office.approve(&self.stage.config.mappings.dir, at);
    }

    pub fn spawn(&self) -> Process {
        let log = std::fs::File::options().create(true).append(true).open(&self.log_file).expect("a log file");
        let child = Command::new(env!("CARGO_BIN_EXE_slotbridge"))
            .arg("run")
            .arg("--config")
            .arg(&self.config_file)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log file"))
            .stderr(log)
            .spawn()
            .expect("the daemon starts");
        Process(child)
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log_file).unwrap_or_default()
    }

    pub fn client(&self, partner: usize) -> Partner {
        let http = Client::builder().no_proxy().timeout(PATIENCE).build().expect("a client");
        Partner {
            name: stage::PARTNERS[partner].to_owned(),
            base: self.stage.base.clone(),
            key: self.stage.keys[partner].clone(),
            http,
        }
    }

    pub fn ci(&self, person: u32) -> String {
        generate::person(self.stage.plan.seed, person, stage::born(&self.stage.plan)).ci
    }

    /// Waits until `/readyz` says so and the CI table is loaded.
    pub async fn ready(&self, process: &mut Process) {
        let http = Client::builder().no_proxy().timeout(Duration::from_secs(2)).build().expect("a client");
        let until = Instant::now() + PATIENCE;
        let mut pause = tokio::time::interval(Duration::from_millis(20));
        loop {
            if let Some(status) = process.0.try_wait().expect("a process can be asked") {
                panic!("the daemon ended with {status}:\n{}", self.log());
            }
            let ready = http.get(format!("http://{}/readyz", self.observe)).send().await;
            if ready.is_ok_and(|response| response.status() == StatusCode::OK) {
                return;
            }
            assert!(Instant::now() < until, "not ready:\n{}", self.log());
            pause.tick().await;
        }
    }

    /// Waits until what the first partner sees of a feed is enough: readiness does not wait for a first tick.
    pub async fn published(&self, feed: &str, enough: impl Fn(&Items) -> bool) -> Items {
        let (until, client) = (Instant::now() + PATIENCE, self.client(0));
        let mut pause = tokio::time::interval(Duration::from_millis(20));
        loop {
            let items = client.harvest(feed).await;
            if enough(&items) {
                return items;
            }
            assert!(Instant::now() < until, "{feed} are not published:\n{}", self.log());
            pause.tick().await;
        }
    }

    /// A token for a person of the register, through consent receipt and API.
    pub async fn token(&self, partner: &Partner, person: u32, series: &str) -> String {
        let ci = self.ci(person);
        let until = Instant::now() + PATIENCE;
        let mut pause = tokio::time::interval(Duration::from_millis(20));
        loop {
            let receipt = (self.stage.consent)(&partner.name, series, &ci).expect("a receipt");
            let body = json!({ "ci": ci, "receipt": receipt });
            let answer = partner.send(Method::POST, "/v1/persons/token", None, Some(&body)).await;
            if let Ok((200 | 201, bytes)) = &answer {
                let value: Value = serde_json::from_slice(bytes).expect("JSON");
                return value["person"].as_str().expect("a token").to_owned();
            }
            // 503 until the table is loaded, nothing while the process is down.
            assert!(Instant::now() < until, "no token: {answer:?}\n{}", self.log());
            pause.tick().await;
        }
    }
}

pub struct Process(pub Child);

impl Process {
    /// SIGKILL: nothing of the process runs after this.
    pub fn kill(mut self) {
        self.0.kill().expect("it can be killed");
        self.0.wait().expect("it ends");
    }

    /// SIGTERM, and the exit code.
    pub fn stop(mut self) -> Option<i32> {
        let killed = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status().expect("kill is there");
        assert!(killed.success());
        self.0.wait().expect("it ends").code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[derive(Clone)]
pub struct Partner {
    pub name: String,
    pub base: String,
    pub key: String,
    pub http: Client,
}

/// Data of live items by id.
pub type Items = std::collections::BTreeMap<String, Value>;
/// Status and body bytes.
pub type Reply = (u16, Vec<u8>);

impl Partner {
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Reply, reqwest::Error> {
        let mut request = self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.key);
        if let Some(key) = key {
            request = request.header("idempotency-key", format!("\"{key}\""));
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        Ok((status, response.bytes().await?.to_vec()))
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        let (status, bytes) = self.send(Method::GET, path, None, None).await.expect("an answer");
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    /// Every live item of a feed, walked to its last page.
    pub async fn harvest(&self, feed: &str) -> Items {
        let mut items = Items::new();
        let mut path = format!("/v1/feeds/{feed}?limit=500");
        loop {
            let (status, page) = self.get(&path).await;
            assert_eq!(status, 200, "{page}");
            let next = page["next"].as_str().expect("a next link").to_owned();
            let of_page = page["items"].as_array().expect("items");
            if of_page.is_empty() {
                return items;
            }
            for item in of_page {
                let id = item["id"].as_str().expect("an id").to_owned();
                if item["state"] == "deleted" {
                    items.remove(&id);
                } else {
                    items.insert(id, item["data"].clone());
                }
            }
            path = next.strip_prefix(&self.base).expect("a link of this service").to_owned();
        }
    }
}
