//! What can go wrong on a partner's side, and what to do about it.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::domain::Retry;

/// A problem body (RFC 9457) as the bridge sends it. Says nothing that the partner did not send or may not know.
#[derive(Debug, Clone)]
pub struct Problem {
    pub status: u16,
    /// One of the closed list at `/docs`.
    pub code: String,
    pub detail: String,
    pub retry: Retry,
    /// From the body, else from `Retry-After`.
    pub wait: Option<Duration>,
    /// The whole body: alternatives, `opens_at`, `booking_id`, texts for users.
    pub body: Value,
    /// Finds the request in the bridge's log.
    pub request_id: Option<String>,
}

#[derive(Deserialize)]
struct Told {
    code: String,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    retry: String,
    retry_after_ms: Option<u64>,
}

/// Longest wait that an answer can ask for and be believed.
const WAIT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

impl Problem {
    /// Reads a refusal. What is no problem body, say of a proxy, is judged by its status.
    pub fn read(status: u16, retry_after_s: Option<u64>, request_id: Option<String>, bytes: &[u8]) -> Problem {
        let body: Value = serde_json::from_slice(bytes).unwrap_or_default();
        let told = Told::deserialize(&body).ok().filter(|told| is_code(&told.code));
        let by_status = if matches!(status, 408 | 429 | 500..) { Retry::SameKey } else { Retry::Never };
        let wait_ms = told.as_ref().and_then(|told| told.retry_after_ms);
        let wait_ms = wait_ms.or(retry_after_s.map(|seconds| seconds.saturating_mul(1_000)));
        let (code, detail, retry) = match told {
            Some(told) => {
                let named = [Retry::SameKey, Retry::NewKey, Retry::Never].into_iter();
                let retry = named.into_iter().find(|retry| retry.code() == told.retry);
                (told.code, told.detail, retry.unwrap_or(by_status))
            }
            None => (format!("http_{status}"), "not a problem body: is this the bridge?".to_owned(), by_status),
        };
        let wait = wait_ms.map(|ms| Duration::from_millis(ms).min(WAIT_MAX));
        Problem { status, code, detail, retry, wait, body, request_id }
    }

    /// The text for users, in Korean where there is one.
    pub fn for_users(&self) -> Option<&str> {
        self.body["user_message"]["ko"].as_str()
    }
}

/// Codes are lower-case words: anything else is not shown.
fn is_code(text: &str) -> bool {
    (1..=40).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

#[derive(Debug, thiserror::Error)]
pub enum PartnerError {
    #[error("{path}: cannot be read or written")]
    File { path: PathBuf, source: std::io::Error },
    #[error("{path}: others may read it (mode {mode:03o})")]
    Exposed { path: PathBuf, mode: u32 },
    #[error("{path}: {what}")]
    Content { path: PathBuf, what: &'static str },
    #[error("{url}: not an address of a bridge: {what}")]
    Address { url: String, what: &'static str },
    #[error("the HTTP client could not be made")]
    Client { source: reqwest::Error },
    #[error("{base} did not answer")]
    NoAnswer { base: String, source: reqwest::Error },
    #[error("answered {} {}: {}", problem.status, problem.code, problem.detail)]
    Refused { problem: Box<Problem> },
    #[error("{of}: the answer is not as documented: {what}")]
    Answer { of: &'static str, what: &'static str },
    #[error("a link leads away from {base}")]
    ForeignLink { base: String },
    #[error("{path}: the store failed")]
    Store { path: PathBuf, source: rusqlite::Error },
    #[error("{path} was filled from {filled}, not from {asked}")]
    OtherBridge { path: PathBuf, filled: String, asked: String },
    #[error("the system gives no random numbers")]
    Random,
    #[error("{what}")]
    Nothing { what: String, try_: &'static str },
}

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The same request again, after this time if the bridge named one.
    Again(Option<Duration>),
    /// A person has to act.
    Operator(&'static str),
    /// The contract does not hold: report it.
    Stop(&'static str),
}

impl PartnerError {
    /// Stable, snake_case; the bridge's own code where it refused.
    pub fn code(&self) -> &str {
        match self {
            PartnerError::File { .. } => "file",
            PartnerError::Exposed { .. } => "key_exposed",
            PartnerError::Content { .. } => "file_content",
            PartnerError::Address { .. } => "address",
            PartnerError::Client { .. } => "client",
            PartnerError::NoAnswer { .. } => "no_answer",
            PartnerError::Refused { problem } => &problem.code,
            PartnerError::Answer { .. } => "answer",
            PartnerError::ForeignLink { .. } => "foreign_link",
            PartnerError::Store { .. } => "store",
            PartnerError::OtherBridge { .. } => "other_bridge",
            PartnerError::Random => "random",
            PartnerError::Nothing { .. } => "nothing",
        }
    }

    pub fn next(&self) -> Next {
        match self {
            PartnerError::File { .. } => Next::Operator("check the path, its owner and the space left"),
            PartnerError::Exposed { .. } => Next::Operator("chmod 600 the file; renew what it held if others read it"),
            PartnerError::Content { .. } => Next::Operator("correct the file"),
            PartnerError::Address { .. } => {
                Next::Operator("give the bridge's public address, such as https://HOST:PORT")
            }
            PartnerError::Client { .. } => Next::Operator("check certificate, key and CA file"),
            PartnerError::NoAnswer { .. } => Next::Again(None),
            PartnerError::Refused { problem } => of_problem(problem),
            PartnerError::Answer { .. } => Next::Stop("is this the bridge? if it is, report it with the time"),
            PartnerError::ForeignLink { .. } => {
                Next::Operator("use the address that the bridge calls its own in `next`")
            }
            PartnerError::Store { .. } => {
                Next::Operator("check the disk; a damaged store may be deleted and pulled again")
            }
            PartnerError::OtherBridge { .. } => Next::Operator("use a store of its own for each bridge"),
            PartnerError::Random => Next::Stop("look at the machine's random number source"),
            PartnerError::Nothing { try_, .. } => Next::Operator(try_),
        }
    }

    pub fn problem(&self) -> Option<&Problem> {
        match self {
            PartnerError::Refused { problem } => Some(problem),
            _ => None,
        }
    }

    pub fn is(&self, code: &str) -> bool {
        self.problem().is_some_and(|problem| problem.code == code)
    }
}

fn of_problem(problem: &Problem) -> Next {
    match (problem.retry, problem.code.as_str()) {
        // A person lifts it, not time.
        (_, "feed_held") => Next::Operator("wait: `partner feeds` says why and since when; bookings go on"),
        (_, "unauthenticated") => Next::Operator("check the key file: the bridge knows no such key or certificate"),
        (_, "misdirected_request") => Next::Operator("use the address that the bridge is configured with"),
        (_, "token_limit_reached") => Next::Operator("the approved limit of persons is used up: ask the agency"),
        (_, "receipt_invalid") => Next::Operator("check partner, series, CI and the key that signed the receipt"),
        (_, "receipt_expired" | "receipt_used") => Next::Operator("obtain a new receipt from the user's consent"),
        (_, "person_token_expired" | "unknown_person_token") => Next::Operator("get a new token, with a new receipt"),
        (_, "not_bookable") => Next::Operator("show the user `help_url`: the reason is told to the person only"),
        (Retry::SameKey, _) => Next::Again(problem.wait),
        (Retry::NewKey, _) => Next::Operator("choose again and send a new key; --retry does"),
        (Retry::Never, _) => Next::Operator("do not repeat it; the code is explained at /docs"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_says_what_may_be_repeated_and_the_status_where_there_is_no_body() {
        let read = |status, after, body: &str| Problem::read(status, after, None, body.as_bytes());
        let full = read(409, None, r#"{"code":"slot_full","detail":"d","retry":"new_key","retry_after_ms":800}"#);
        assert_eq!((full.retry, full.wait), (Retry::NewKey, Some(Duration::from_millis(800))));
        let limited = read(429, Some(3), r#"{"code":"rate_limited","retry":"same_key"}"#);
        assert_eq!((limited.retry, limited.wait), (Retry::SameKey, Some(Duration::from_secs(3))));
        for (status, retry) in [(502, Retry::SameKey), (429, Retry::SameKey), (404, Retry::Never)] {
            let proxy = read(status, None, "<html>홍길동</html>");
            assert_eq!((proxy.retry, proxy.code), (retry, format!("http_{status}")));
        }
        let odd = read(400, None, r#"{"code":"010-1234-5678"}"#);
        assert_eq!(odd.code, "http_400", "what is no code is not shown");
    }

    #[test]
    fn a_held_feed_is_not_asked_for_in_a_loop() {
        let body = br#"{"code":"feed_held","retry":"same_key","retry_after_ms":60000}"#;
        let error = PartnerError::Refused { problem: Box::new(Problem::read(503, Some(60), None, body)) };
        assert!(matches!(error.next(), Next::Operator(_)));
        let body = br#"{"code":"overloaded","retry":"same_key"}"#;
        let error = PartnerError::Refused { problem: Box::new(Problem::read(503, Some(2), None, body)) };
        assert_eq!(error.next(), Next::Again(Some(Duration::from_secs(2))));
    }
}
