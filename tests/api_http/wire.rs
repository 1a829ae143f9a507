//! HTTP/1.1 by hand: tests say exactly which bytes go out.

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::doubles::Bridge;

#[derive(Debug, Clone)]
pub struct Got {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Got {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn code(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{} {}", self.status, self.text());
        self.json()["code"].as_str().unwrap().to_owned()
    }

    pub fn status_and_code(&self) -> (u16, String) {
        (self.status, self.code())
    }
}

/// A request as bytes: `naver`'s key, JSON, its length and one answer only, unless `headers` say otherwise.
pub fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let has = |name: &str| headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
    let mut text = format!("{method} {target} HTTP/1.1\r\nconnection: close\r\n");
    let length = body.len().to_string();
    let usual = [
        ("host", "127.0.0.1"),
        ("authorization", "Bearer test_naver"),
        ("content-type", "application/json"),
        ("content-length", length.as_str()),
    ];
    let usual = usual.into_iter().filter(|(name, _)| !has(name) && (*name != "content-length" || !body.is_empty()));
    for (name, value) in usual.chain(headers.iter().copied()).filter(|(_, value)| *value != "-") {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    [text.as_bytes(), body].concat()
}

pub async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, bytes: &[u8]) -> Got {
    // A server that has seen enough may close before all is written; its answer counts.
    let _ = stream.write_all(bytes).await;
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all).await;
    parse(&all)
}

pub fn parse(all: &[u8]) -> Got {
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or_else(|| panic!("no header: {all:?}"));
    let head = std::str::from_utf8(&all[..end]).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.map(|line| line.split_once(": ").unwrap()).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    Got { status, headers, body: all[end + 4..].to_vec() }
}

impl Bridge {
    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    pub async fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Got {
        exchange(self.connect().await, &request(method, target, headers, body)).await
    }

    pub async fn get(&self, target: &str) -> Got {
        self.send("GET", target, &[], b"").await
    }

    pub async fn book(&self, key: &str, body: &Value) -> Got {
        self.send("POST", "/v1/bookings", &[("idempotency-key", key)], body.to_string().as_bytes()).await
    }
}
