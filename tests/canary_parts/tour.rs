//! Everything a partner, a stranger and an operator can ask, with personal values where they do not belong; every answer is kept.

use std::process::Command;
use std::time::{Duration, Instant};

use reqwest::{Client, Method};
use serde_json::{Value, json};
use slotbridge::domain::Timestamp;

use super::marks;
use crate::daemon_kit::{PATIENCE, Scene};

/// An answer as it came, headers included.
pub struct Kept {
    pub place: String,
    pub bytes: Vec<u8>,
    pub body: Value,
}

pub struct Tour<'a> {
    pub scene: &'a Scene,
    pub kept: Vec<Kept>,
    /// Person tokens of both partners.
    pub tokens: Vec<String>,
    pub receipts: Vec<String>,
    http: Client,
}

const PAUSE: Duration = Duration::from_millis(20);

pub fn now() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    Timestamp(since.as_millis() as i64).rfc3339()
}

impl<'a> Tour<'a> {
    pub fn new(scene: &'a Scene) -> Tour<'a> {
        let http = Client::builder().no_proxy().timeout(PATIENCE).build().expect("a client");
        Tour { scene, kept: Vec::new(), tokens: Vec::new(), receipts: Vec::new(), http }
    }

    /// Asks as partner 0 or 1, or as nobody, and keeps the answer. The place names method and path.
    pub async fn ask(
        &mut self,
        partner: Option<usize>,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Vec<u8>>,
    ) -> (u16, Value) {
        let base = if path.starts_with("http") { "" } else { self.scene.stage.base.as_str() };
        let mut request = self.http.request(method.clone(), format!("{base}{path}"));
        if let Some(partner) = partner {
            request = request.bearer_auth(&self.scene.stage.keys[partner]);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        let response = request.send().await.expect("an answer");
        let status = response.status().as_u16();
        let mut bytes = Vec::new();
        for (name, value) in response.headers() {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.push(b'\n');
        }
        let body = response.bytes().await.expect("a body");
        bytes.extend_from_slice(&body);
        let value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        self.kept.push(Kept { place: format!("http {method} {path}"), bytes, body: value.clone() });
        (status, value)
    }

    pub async fn get(&mut self, partner: usize, path: &str) -> (u16, Value) {
        self.ask(Some(partner), Method::GET, path, &[], None).await
    }

    pub async fn post(&mut self, partner: usize, path: &str, key: &str, body: &Value) -> (u16, Value) {
        let body = serde_json::to_vec(body).expect("JSON");
        self.ask(Some(partner), Method::POST, path, &[("idempotency-key", key)], Some(body)).await
    }

    /// A person token; `ci` need not be anybody's.
    pub async fn token(&mut self, partner: usize, ci: &str, series: &str) -> String {
        let until = Instant::now() + PATIENCE;
        let mut pause = tokio::time::interval(PAUSE);
        loop {
            let name = slotbridge::demo::stage::PARTNERS[partner];
            let receipt = (self.scene.stage.consent)(name, series, ci).expect("a receipt");
            let body = json!({ "ci": ci, "receipt": receipt });
            self.receipts.push(receipt);
            let (status, answer) = self.post(partner, "/v1/persons/token", "none-is-needed-0", &body).await;
            if let Some(token) = answer["person"].as_str() {
                self.tokens.push(token.to_owned());
                return token.to_owned();
            }
            assert!(status == 503 && Instant::now() < until, "no token: {status} {answer}");
            pause.tick().await;
        }
    }

    /// All pages of all feeds and their snapshots; the items of `slots`.
    pub async fn feeds(&mut self, partner: usize) -> Vec<Value> {
        let mut slots = Vec::new();
        let (status, list) = self.get(partner, "/v1/feeds").await;
        assert_eq!(status, 200, "{list}");
        for feed in ["sites", "slots", "eligibility", "bookings"] {
            let mut path = format!("/v1/feeds/{feed}?limit=500");
            loop {
                let (status, page) = self.get(partner, &path).await;
                assert_eq!(status, 200, "{page}");
                let items = page["items"].as_array().expect("items").clone();
                if items.is_empty() {
                    break;
                }
                if feed == "slots" {
                    slots.extend(items);
                }
                let next = page["next"].as_str().expect("a next link");
                path = next.strip_prefix(&self.scene.stage.base).expect("a link of this service").to_owned();
            }
            let (status, _) = self.get(partner, &format!("/v1/feeds/{feed}/snapshot")).await;
            assert_eq!(status, 200, "{feed}");
        }
        slots
    }

    /// What needs no partner, and what strangers get.
    pub async fn open_doors(&mut self) {
        let observe = self.scene.observe;
        for path in ["/healthz", "/readyz", "/metrics"] {
            self.ask(None, Method::GET, &format!("http://{observe}{path}"), &[], None).await;
            self.get(0, path).await;
        }
        let ci = marks::ci(7);
        for path in ["/openapi.json", "/docs", "/problems/slot-full", "/v1/feeds", "/v1/bookings/b-1", "/nothing"] {
            self.ask(None, Method::GET, path, &[("authorization", &format!("Bearer {ci}")), ("x-user", &ci)], None)
                .await;
            self.get(0, path).await;
        }
        let call = json!({ "ci": ci, "receipt": "x" }).to_string().into_bytes();
        self.ask(None, Method::POST, "/v1/persons/token", &[], Some(call)).await;
    }

    /// Values where they do not belong: wrong members, keys, paths, queries, headers.
    pub async fn misuse(&mut self, slot: &str, series: &str, token: &str) {
        let (ci, phone, name, number) = (marks::ci(9), "010-0913-7264", "카나리환자성명", "901231-7123009");
        let good = json!({ "slot_id": slot, "person": token, "series": series, "first_sent_at": now() });
        let wrong = [ci.as_str(), phone, "01009137264", name, number, "CnryPsnKey00000009", "CnryPsnAddress"];
        for (n, value) in wrong.into_iter().enumerate() {
            let key = format!("misuse-{n:010}");
            for member in
                ["slot_id", "person", "series", "first_sent_at", "seen_cursor", "accept_version", "alternatives"]
            {
                let mut body = good.clone();
                body[member] = json!(value);
                let (status, answer) = self.post(0, "/v1/bookings", &key, &body).await;
                assert!((400..500).contains(&status), "{member}: {status} {answer}");
            }
            for (path, body) in [
                ("/v1/bookings", json!({ value: 1 })),
                ("/v1/bookings", json!({ "name": value, "slot_id": slot })),
                ("/v1/bookings", json!(value)),
                ("/v1/bookings/search", json!({ "person": value })),
                ("/v1/bookings/search", json!({ "ids": [value] })),
                ("/v1/persons/token", json!({ "ci": ci, "receipt": value })),
                ("/v1/persons/token", json!({ "ci": value, "receipt": "x", "guardian": value })),
                ("/v1/persons/token", json!({ "ci": [value], "receipt": { "name": value } })),
            ] {
                let (status, answer) = self.post(0, path, &key, &body).await;
                assert!((400..500).contains(&status), "{path}: {status} {answer}");
            }
            let broken = format!("{{\"slot_id\": \"{value}\", {value}").into_bytes();
            self.ask(Some(0), Method::POST, "/v1/bookings", &[("idempotency-key", &key)], Some(broken)).await;
        }
        for reference in [phone, "01009137264", number] {
            let mut body = good.clone();
            body["partner_ref"] = json!(reference);
            let (status, answer) = self.post(0, "/v1/bookings", "misuse-reference-1", &body).await;
            assert_eq!((status, answer["code"].as_str()), (400, Some("partner_ref_personal")), "{answer}");
            self.post(0, "/v1/bookings/search", "-", &json!({ "partner_ref": reference })).await;
        }
        // Paths, queries and headers are not repeated either, nor logged.
        for path in
            ["/v1/bookings/", "/v1/booking-requests/", "/v1/slots/lookup?ids=", "/v1/feeds/slots?limit=", "/v1/"]
        {
            for value in
                [phone, "CnryPsnKey00000009", "%EC%B9%B4%EB%82%98%EB%A6%AC%ED%99%98%EC%9E%90%EC%84%B1%EB%AA%85"]
            {
                self.get(0, &format!("{path}{value}")).await;
                self.ask(
                    Some(1),
                    Method::DELETE,
                    &format!("{path}{value}"),
                    &[("if-match", "\"010-0913-7264\"")],
                    None,
                )
                .await;
            }
        }
        let body = serde_json::to_vec(&good).expect("JSON");
        self.ask(Some(0), Method::POST, "/v1/bookings", &[("idempotency-key", &ci)], Some(body)).await;
        let huge = format!("{{\"ci\":\"{}\"}}", ci.repeat(2_000)).into_bytes();
        self.ask(Some(0), Method::POST, "/v1/persons/token", &[], Some(huge)).await;
        self.ask(Some(0), Method::POST, "/v1/persons/token", &[], Some(b"\xff\xfe901231-7123009".to_vec())).await;
    }

    /// A command of an operator, beside the daemon or without it.
    pub fn command(&mut self, args: &[&str], expect: i32) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_slotbridge"));
        let output = command.args(args).arg("--config").arg(&self.scene.config_file).output().expect("it runs");
        let mut bytes = output.stdout;
        bytes.extend_from_slice(&output.stderr);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert_eq!(output.status.code(), Some(expect), "{args:?}: {text}");
        self.kept.push(Kept {
            place: format!("command {}", args[..2.min(args.len())].join(" ")),
            bytes,
            body: Value::Null,
        });
    }
}
