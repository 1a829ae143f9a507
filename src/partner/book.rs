//! Books, with the rules of repetition.
//!
//! A request is one key, one body, one `first_sent_at`, on disk before it is sent. While its fate is unknown (no
//! answer, 429, 503, `request_in_progress`) exactly that request is sent again, also after a restart of the partner:
//! the bridge answers a key that it knows with its first reply. Only a decided refusal that says `new_key` leads to a
//! new request, for an alternative or, where the bridge says when, for the same slot. `never` ends it.

use std::time::Duration;

use reqwest::Method;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::store::Open;
use super::wire::{Call, Reply, pause};
use super::{Bridge, Next, PartnerError, Problem, Store};
use crate::clock::{Clock, SystemClock};
use crate::domain::{Retry, Timestamp};

pub const BOOKINGS: &str = "/v1/bookings";
/// The bridge decides an unknown key no later than this after `first_sent_at`.
const AGE_MS_MAX: i64 = 24 * 60 * 60 * 1_000;

/// What a user confirmed.
#[derive(Debug, Clone)]
pub struct Order {
    pub slot_id: String,
    /// Person token.
    pub person: String,
    pub series: String,
    /// `cursor` of the slots feed when it was shown.
    pub seen_cursor: Option<u64>,
    pub partner_ref: Option<String>,
    pub within_km: u8,
}

/// How far to go.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Times that one request is sent.
    pub tries_max: u32,
    /// Further requests after refusals that allow a new key. 0: the user chooses.
    pub new_keys_max: u32,
    /// Longest wait for more units of a slot.
    pub wait_max: Duration,
}

/// Few, and then the user is told: the request stays open and can be taken up again.
pub const TRIES_MAX: u32 = 8;
const ALTERNATIVES_MAX: u8 = 5;

/// What became of an order.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Booked {
    /// Durable at the bridge. `status` is `booked`, or `pending` until the agency's system has answered.
    Accepted {
        booking: Value,
        key: String,
        /// Requests sent with keys of their own before this one.
        refused_before: u32,
    },
    /// Decided, and not to be repeated as it is.
    Refused { code: String, retry: &'static str, key: String, problem: Value },
    /// No decision was heard. Take it up again with the same key: `partner book --resume`.
    Unknown { key: String, code: String },
}

/// Books for a user: the order's slot first, then what refusals offer, as far as the effort goes.
pub async fn book(bridge: &Bridge, store: &Store, order: &Order, effort: Effort) -> Result<Booked, PartnerError> {
    let mut slot = order.slot_id.clone();
    let mut refused_before = 0;
    loop {
        let open = request(order, &slot, SystemClock.now())?;
        store.ask(&open)?;
        let problem = match settle(bridge, store, &open, effort.tries_max).await? {
            Settled::Accepted(booking) => return Ok(Booked::Accepted { booking, key: open.key, refused_before }),
            Settled::Unknown(code) => return Ok(Booked::Unknown { key: open.key, code }),
            Settled::Refused(problem) => problem,
        };
        match further(&problem, &slot, effort).filter(|_| refused_before < effort.new_keys_max) {
            Some((wait, next)) => {
                tokio::time::sleep(wait).await;
                slot = next;
                refused_before += 1;
            }
            None => return Ok(refused(open.key, *problem)),
        }
    }
}

/// Takes up requests whose answer was never heard.
pub async fn resume(bridge: &Bridge, store: &Store, tries_max: u32) -> Result<Vec<Booked>, PartnerError> {
    let mut done = Vec::new();
    for open in store.unanswered()? {
        let age_ms = SystemClock.now().since_ms(Timestamp(open.first_sent_at));
        let settled = settle(bridge, store, &open, tries_max).await?;
        done.push(match settled {
            Settled::Accepted(booking) => Booked::Accepted { booking, key: open.key, refused_before: 0 },
            Settled::Refused(problem) => refused(open.key, *problem),
            Settled::Unknown(code) => {
                // Too old to be decided any more: `request_too_old` would have said so, had the bridge been there.
                tracing::warn!(age_ms, is_old = age_ms > AGE_MS_MAX, %code, "a request stays open");
                Booked::Unknown { key: open.key, code }
            }
        });
    }
    Ok(done)
}

fn refused(key: String, problem: Problem) -> Booked {
    Booked::Refused { code: problem.code, retry: problem.retry.code(), key, problem: problem.body }
}

fn request(order: &Order, slot: &str, now: Timestamp) -> Result<Open, PartnerError> {
    let mut body = json!({
        "slot_id": slot,
        "person": order.person,
        "series": order.series,
        "first_sent_at": now.rfc3339(),
        "alternatives": { "max": ALTERNATIVES_MAX, "within_km": order.within_km },
    });
    if let Some(cursor) = order.seen_cursor {
        body["seen_cursor"] = cursor.into();
    }
    if let Some(partner_ref) = &order.partner_ref {
        body["partner_ref"] = partner_ref.as_str().into();
    }
    let body = serde_json::to_vec(&body).map_err(|_| PartnerError::Answer { of: "order", what: "no JSON" })?;
    Ok(Open { key: Uuid::now_v7().to_string(), body, first_sent_at: now.0 })
}

enum Settled {
    Accepted(Value),
    Refused(Box<Problem>),
    /// With the code of the last failure.
    Unknown(String),
}

/// Sends one request until it is decided, and writes down that it was.
async fn settle(bridge: &Bridge, store: &Store, open: &Open, tries_max: u32) -> Result<Settled, PartnerError> {
    let mut tries = 1;
    loop {
        let error = match once(bridge, open).await {
            Ok(reply) => {
                let booking: Value = reply.json("booking")?;
                store.answered(&open.key, reply.status, booking["id"].as_str())?;
                return Ok(Settled::Accepted(booking));
            }
            Err(error) => error,
        };
        match (error.next(), error) {
            (Next::Again(wait), error) if tries < tries_max => {
                tracing::debug!(code = error.code(), tries, "the same request again");
                tokio::time::sleep(wait.unwrap_or_else(|| pause(tries))).await;
                tries += 1;
            }
            (Next::Again(_), error) => return Ok(Settled::Unknown(error.code().to_owned())),
            (_, PartnerError::Refused { problem }) if problem.status == 401 || problem.status == 421 => {
                // Says nothing about the request: with the right key it may be sent again.
                return Err(PartnerError::Refused { problem });
            }
            (_, PartnerError::Refused { problem }) => {
                store.answered(&open.key, problem.status, None)?;
                return Ok(Settled::Refused(problem));
            }
            (_, error) => return Err(error),
        }
    }
}

/// One sending.
pub async fn once(bridge: &Bridge, open: &Open) -> Result<Reply, PartnerError> {
    let call = Call { method: Method::POST, url: BOOKINGS, headers: Vec::new(), body: Some(&open.body) };
    bridge.send(&call.with("idempotency-key", format!("\"{}\"", open.key))).await?.done()
}

/// What a refusal allows next: another slot at once, or the same one after a while. Whether the user agrees to another
/// slot is the caller's to know; a slot that changed, or is not open yet, is the user's to look at first.
fn further(problem: &Problem, slot: &str, effort: Effort) -> Option<(Duration, String)> {
    if problem.retry != Retry::NewKey || matches!(problem.code.as_str(), "slot_changed" | "not_open_yet") {
        return None;
    }
    let offered = problem.body["alternatives"].as_array().and_then(|list| list.first());
    if let Some(other) = offered.and_then(|other| other["slot_id"].as_str()) {
        return Some((Duration::ZERO, other.to_owned()));
    }
    problem.wait.filter(|wait| *wait <= effort.wait_max).map(|wait| (wait, slot.to_owned()))
}

/// The booking as it is now.
pub async fn status(bridge: &Bridge, id: &str) -> Result<Value, PartnerError> {
    bridge.patiently(&Call::get(&address(id)?), TRIES_MAX).await?.json("booking")
}

/// Reads until the agency's system has answered, at most so often.
pub async fn settled(bridge: &Bridge, id: &str, reads_max: u32) -> Result<Value, PartnerError> {
    let mut reads = 1;
    loop {
        let booking = status(bridge, id).await?;
        if booking["status"] != "pending" || reads >= reads_max {
            return Ok(booking);
        }
        tokio::time::sleep(pause(reads)).await;
        reads += 1;
    }
}

/// Cancels. A repeat is harmless: a cancelled booking answers 200 again.
pub async fn cancel(bridge: &Bridge, id: &str) -> Result<Value, PartnerError> {
    let address = address(id)?;
    let call = Call { method: Method::DELETE, ..Call::get(&address) };
    bridge.patiently(&call, TRIES_MAX).await?.json("booking")
}

/// An id becomes part of a path, so it is one that the bridge could have given.
fn address(id: &str) -> Result<String, PartnerError> {
    let is_id = (1..=40).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let wrong = || PartnerError::Nothing { what: "no booking id".to_owned(), try_: "give an id such as b-771" };
    if is_id { Ok(format!("{BOOKINGS}/{id}")) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(body: Value) -> Problem {
        Problem::read(409, None, None, body.to_string().as_bytes())
    }

    #[test]
    fn a_refusal_leads_to_what_it_allows_and_no_further() {
        let effort = Effort { tries_max: 1, new_keys_max: 3, wait_max: Duration::from_secs(5) };
        let next = |body| further(&problem(body), "s-1", effort).map(|(wait, slot)| (wait.as_millis(), slot));
        let full = |more: Value| {
            let mut body = json!({ "code": "slot_full", "retry": "new_key" });
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            body
        };
        assert_eq!(next(full(json!({ "alternatives": [{ "slot_id": "s-2" }] }))), Some((0, "s-2".into())));
        assert_eq!(next(full(json!({ "retry_after_ms": 800 }))), Some((800, "s-1".into())));
        assert_eq!(next(full(json!({ "retry_after_ms": 5_001 }))), None);
        assert_eq!(next(full(json!({}))), None);
        assert_eq!(next(json!({ "code": "slot_changed", "retry": "new_key", "retry_after_ms": 1 })), None);
        assert_eq!(next(json!({ "code": "not_bookable", "retry": "never", "retry_after_ms": 1 })), None);
    }

    #[test]
    fn an_id_cannot_lead_elsewhere() {
        assert_eq!(address("b-771").unwrap(), "/v1/bookings/b-771");
        for id in ["", "../feeds", "b-1?x", "b/1", &"b".repeat(41)] {
            assert!(address(id).is_err(), "{id}");
        }
    }
}
