//! One HTTP exchange, and repeating it while the bridge says that it may be repeated.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::AsyncWriteExt;

use super::access::Identity;
use super::{Access, Next, PartnerError, Problem};
use crate::domain::Secret;

/// A page of 5,000 items has some 3 MB.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Longer than the longest poll (30 s).
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// First and longest pause where the bridge names none: after a few tries it has most likely restarted.
const PAUSE: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// The partner's end of a bridge.
#[derive(Clone)]
pub struct Bridge {
    http: Client,
    base: String,
    key: Option<Secret>,
}

/// A request as the contract writes it. Sent again, it is the same.
#[derive(Clone)]
pub struct Call<'a> {
    pub method: Method,
    /// Absolute of this bridge, or from the root.
    pub url: &'a str,
    pub headers: Vec<(&'static str, String)>,
    /// JSON, byte for byte.
    pub body: Option<&'a [u8]>,
}

impl<'a> Call<'a> {
    pub fn get(url: &'a str) -> Call<'a> {
        Call { method: Method::GET, url, headers: Vec::new(), body: None }
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Call<'a> {
        self.headers.push((name, value.into()));
        self
    }
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// `Sync-Cursor`: how far this answer knows.
    pub fn cursor(&self) -> Option<u64> {
        self.header("sync-cursor")?.parse().ok()
    }

    pub fn json<T: DeserializeOwned>(&self, of: &'static str) -> Result<T, PartnerError> {
        serde_json::from_slice(&self.body).map_err(|_| PartnerError::Answer { of, what: "not the JSON expected" })
    }

    fn problem(&self) -> Problem {
        let after_s = self.header("retry-after").and_then(|text| text.parse().ok());
        Problem::read(self.status, after_s, self.header("x-request-id").map(str::to_owned), &self.body)
    }

    /// 2xx and 3xx pass; else the problem.
    pub fn done(self) -> Result<Reply, PartnerError> {
        if self.status < 400 { Ok(self) } else { Err(PartnerError::Refused { problem: Box::new(self.problem()) }) }
    }
}

impl Bridge {
    pub fn new(access: &Access) -> Result<Bridge, PartnerError> {
        let failed = |source| PartnerError::Client { source };
        // A redirect is followed by hand, after a look at where it leads: it would carry the key.
        let mut http = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(10))
            .timeout(ANSWER_MAX);
        if let Some(pem) = &access.ca {
            http = http.tls_certs_only(reqwest::Certificate::from_pem_bundle(pem).map_err(failed)?);
        }
        let key = match &access.identity {
            Identity::Key(key) => Some(key.clone()),
            Identity::Certificate(pem) => {
                http = http.identity(reqwest::Identity::from_pem(pem.expose()).map_err(failed)?);
                None
            }
        };
        Ok(Bridge { http: http.build().map_err(failed)?, base: access.base.clone(), key })
    }

    pub fn base(&self) -> &str {
        &self.base
    }

    /// A link of an answer, if it leads to this bridge.
    pub fn own_link<'l>(&self, link: &'l str) -> Result<&'l str, PartnerError> {
        let rest = link.strip_prefix(&self.base).filter(|rest| rest.starts_with('/'));
        rest.map(|_| link).ok_or_else(|| PartnerError::ForeignLink { base: self.base.clone() })
    }

    async fn exchange(&self, call: &Call<'_>) -> Result<reqwest::Response, PartnerError> {
        let url = match call.url.strip_prefix('/') {
            Some(path) => format!("{}/{path}", self.base),
            None => self.own_link(call.url)?.to_owned(),
        };
        let mut request = self.http.request(call.method.clone(), url);
        if let Some(key) = &self.key {
            let mut value = HeaderValue::from_bytes(&[b"Bearer ", key.expose()].concat())
                .map_err(|_| PartnerError::Answer { of: "key file", what: "the key is not one line of text" })?;
            value.set_sensitive(true);
            request = request.header("authorization", value);
        }
        for (name, value) in &call.headers {
            request = request.header(HeaderName::from_static(name), value);
        }
        if let Some(body) = call.body {
            request = request.header("content-type", "application/json").body(body.to_vec());
        }
        request.send().await.map_err(|error| self.no_answer(error))
    }

    /// The URL of an error may hold more than an address: it is left out.
    fn no_answer(&self, error: reqwest::Error) -> PartnerError {
        PartnerError::NoAnswer { base: self.base.clone(), source: error.without_url() }
    }

    /// Any answer, refusals too.
    pub async fn send(&self, call: &Call<'_>) -> Result<Reply, PartnerError> {
        let mut response = self.exchange(call).await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(|error| self.no_answer(error))? {
            if body.len() + part.len() > BODY_BYTES_MAX {
                return Err(PartnerError::Answer { of: "body", what: "longer than 64 MiB" });
            }
            body.extend_from_slice(&part);
        }
        Ok(Reply { status, headers, body })
    }

    /// Writes the body of a 200 into a file, however long it is. The reply comes without its body.
    pub async fn download(&self, call: &Call<'_>, to: &mut tokio::fs::File) -> Result<Reply, PartnerError> {
        let mut response = self.exchange(call).await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(|error| self.no_answer(error))? {
            if status != 200 {
                body.extend_from_slice(&part[..part.len().min(BODY_BYTES_MAX - body.len())]);
                continue;
            }
            let written = to.write_all(&part).await;
            written.map_err(|source| PartnerError::File { path: "snapshot".into(), source })?;
        }
        to.flush().await.map_err(|source| PartnerError::File { path: "snapshot".into(), source })?;
        Ok(Reply { status, headers, body })
    }

    /// Sends until it is answered otherwise than "again": at most `tries_max` times.
    pub async fn patiently(&self, call: &Call<'_>, tries_max: u32) -> Result<Reply, PartnerError> {
        let mut tries = 1;
        loop {
            let error = match self.send(call).await.and_then(Reply::done) {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            let Next::Again(wait) = error.next() else { return Err(error) };
            if tries >= tries_max {
                return Err(error);
            }
            tokio::time::sleep(wait.unwrap_or_else(|| pause(tries))).await;
            tries += 1;
        }
    }

    /// This partner's feeds, as the bridge lists them.
    pub async fn feeds(&self, tries_max: u32) -> Result<Vec<Value>, PartnerError> {
        let reply = self.patiently(&Call::get("/v1/feeds"), tries_max).await?;
        let mut list: Value = reply.json("feeds")?;
        match list["feeds"].take() {
            Value::Array(feeds) => Ok(feeds),
            _ => Err(PartnerError::Answer { of: "feeds", what: "no list of feeds" }),
        }
    }
}

/// Doubles from the first pause to the longest.
pub fn pause(tries: u32) -> Duration {
    PAUSE.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(PAUSE_MAX)
}
