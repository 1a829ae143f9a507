//! A partner as it would be out there: it knows an address, a key and its own members, and nothing else.
//!
//! Harvests the slots feed, asks for person tokens, books, repeats requests, cancels. Whatever it learns, it learns
//! from answers over HTTP.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::dice::Dice;
use super::tally::{Acknowledged, Tally};
use crate::domain::{BookingId, Timestamp};

/// Where the API is and with which key.
#[derive(Clone)]
pub struct Access {
    pub partner: String,
    pub base: String,
    pub key: String,
    pub http: Client,
}

/// Someone who uses the partner's service.
pub struct Member {
    pub ci: String,
    pub token: Mutex<Option<String>>,
}

/// Signs a consent receipt for a partner and a CI, as the issuer's consent page does.
pub type Consent = dyn Fn(&str, &str) -> String + Send + Sync;

/// Slots as harvested, bookable ones only.
#[derive(Default)]
pub struct Shelf {
    slots: Vec<String>,
    /// Place in `slots` and start, by id.
    at: BTreeMap<String, (usize, String)>,
    /// Soonest first: what everybody wants.
    soonest: BTreeSet<(String, String)>,
    /// `Sync-Cursor` of the last page read.
    pub cursor: u64,
}

pub struct Partner {
    pub access: Access,
    pub members: Vec<Member>,
    pub consent: Arc<Consent>,
    pub series: String,
    pub tally: Arc<Tally>,
    pub shelf: Mutex<Shelf>,
    /// Bookings held, with the member's place: for cancels and second bookings.
    held: Mutex<Vec<(BookingId, usize)>>,
}

/// Bookings that a partner keeps in mind for later cancels.
const HELD_MAX: usize = 50_000;
/// Pause of a harvester at the end of a feed.
const FEED_PAUSE: Duration = Duration::from_millis(100);
/// Slots that everybody wants: the soonest ones.
const HOT_SLOTS: usize = 24;

impl Partner {
    pub fn new(
        access: Access,
        members: Vec<Member>,
        consent: Arc<Consent>,
        series: String,
        tally: Arc<Tally>,
    ) -> Partner {
        Partner { access, members, consent, series, tally, shelf: Mutex::default(), held: Mutex::default() }
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn held(&self) -> MutexGuard<'_, Vec<(BookingId, usize)>> {
        self.held.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Follows the slots feed until `stop`.
    pub async fn harvest(self: Arc<Self>, stop: CancellationToken) {
        let mut url = format!("{}/v1/feeds/slots?limit=5000", self.access.base);
        while !stop.is_cancelled() {
            let page = tokio::select! {
                page = self.access.get(&url) => page,
                () = stop.cancelled() => return,
            };
            let pause = match page {
                Ok(page) => {
                    self.tally.page(page.lag_ms);
                    let taken = self.shelf().take(&page);
                    if let Some(next) = page.body["next"].as_str() {
                        next.clone_into(&mut url);
                    }
                    if taken == 0 { FEED_PAUSE } else { Duration::ZERO }
                }
                Err(error) => {
                    if !stop.is_cancelled() {
                        self.tally.fault(format!("{}: slots feed: {error}", self.access.partner));
                    }
                    Duration::from_secs(1)
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Books, repeats and cancels until `stop`, one request after the other.
    pub async fn trade(self: Arc<Self>, mut dice: Dice, pace: Duration, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let began = Instant::now();
            // A request in flight is always waited for: a partner knows what it was answered.
            let done = if dice.one_in(12) { self.cancel_one(&mut dice).await } else { self.book_one(&mut dice).await };
            if let Err(error) = done {
                self.tally.fault(format!("{}: {error}", self.access.partner));
            }
            let left = pace.saturating_sub(began.elapsed());
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn book_one(&self, dice: &mut Dice) -> Result<(), Unexpected> {
        let Some((slot_id, cursor)) = self.choose_slot(dice) else {
            tokio::time::sleep(FEED_PAUSE).await;
            return Ok(());
        };
        // A member who has a booking already tries again now and then.
        let again = dice.one_in(25).then(|| self.held().last().map(|(_, member)| *member)).flatten();
        let member = again.unwrap_or_else(|| dice.below(self.members.len()));
        let Some(person) = self.token(member).await? else { return Ok(()) };
        let order = Order { slot_id, person, cursor, series: &self.series };
        let key = Uuid::now_v7().to_string();
        let body = order.body();
        let began = Instant::now();
        let first = self.access.send(Method::POST, "/v1/bookings", Some(&key), Some(&body)).await?;
        let repeat = dice.one_in(20);
        self.took_in(&order, member, &first, began.elapsed())?;
        if repeat && first.is_decided() {
            let second = self.access.send(Method::POST, "/v1/bookings", Some(&key), Some(&body)).await?;
            if second.is_decided() {
                if (second.status, &second.bytes) != (first.status, &first.bytes) {
                    return Err(Unexpected::Differs { first: first.status, second: second.status });
                }
                self.tally.repeated();
            }
        }
        Ok(())
    }

    fn took_in(&self, order: &Order<'_>, member: usize, reply: &Reply, took: Duration) -> Result<(), Unexpected> {
        match reply.status {
            StatusCode::CREATED => {
                let id = reply.booking_id()?;
                let partner = self.access.partner.clone();
                self.tally.booked(Acknowledged { partner, id, slot_id: order.slot_id.clone() }, took);
                let mut held = self.held();
                if held.len() < HELD_MAX {
                    held.push((id, member));
                }
                Ok(())
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                self.tally.declined();
                Ok(())
            }
            StatusCode::CONFLICT | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {
                self.tally.refused(reply.code()?, took);
                Ok(())
            }
            status => Err(Unexpected::Status { of: "booking", status, code: reply.code().unwrap_or("–").to_owned() }),
        }
    }

    async fn cancel_one(&self, dice: &mut Dice) -> Result<(), Unexpected> {
        let booking = {
            let mut held = self.held();
            if held.is_empty() {
                return Ok(());
            }
            let at = dice.below(held.len());
            held.swap_remove(at).0
        };
        let reply = self.access.send(Method::DELETE, &format!("/v1/bookings/{booking}"), None, None).await?;
        match reply.status {
            StatusCode::OK => self.tally.cancelled(booking),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => self.tally.declined(),
            status => {
                let code = reply.code().unwrap_or("–").to_owned();
                return Err(Unexpected::Status { of: "cancel", status, code });
            }
        }
        Ok(())
    }

    fn choose_slot(&self, dice: &mut Dice) -> Option<(String, u64)> {
        let shelf = self.shelf();
        let count = shelf.slots.len();
        if count == 0 {
            return None;
        }
        let slot_id = if dice.one_in(3) {
            shelf.soonest.iter().nth(dice.below(HOT_SLOTS.min(count))).map(|(_, id)| id.clone())?
        } else {
            shelf.slots[dice.below(count)].clone()
        };
        Some((slot_id, shelf.cursor))
    }

    /// The member's token, asked for once. `None`: the limit is reached or the bridge is not ready.
    pub async fn token(&self, member: usize) -> Result<Option<String>, Unexpected> {
        let member = &self.members[member];
        let known = member.token.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
        if known.is_some() {
            return Ok(known);
        }
        let receipt = (self.consent)(&self.access.partner, &member.ci);
        let body = json!({ "ci": member.ci, "receipt": receipt });
        let reply = self.access.send(Method::POST, "/v1/persons/token", None, Some(&body)).await?;
        match reply.status {
            StatusCode::OK | StatusCode::CREATED => {
                let token = reply.json()?["person"].as_str().map(str::to_owned).ok_or(Unexpected::Body)?;
                *member.token.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(token.clone());
                self.tally.token();
                Ok(Some(token))
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                self.tally.declined();
                Ok(None)
            }
            status => {
                let code = reply.code().unwrap_or("–").to_owned();
                Err(Unexpected::Status { of: "person token", status, code })
            }
        }
    }
}

struct Order<'a> {
    slot_id: String,
    person: String,
    cursor: u64,
    series: &'a str,
}

impl Order<'_> {
    fn body(&self) -> Value {
        json!({
            "slot_id": self.slot_id,
            "person": self.person,
            "series": self.series,
            "first_sent_at": now().rfc3339(),
            "seen_cursor": self.cursor,
            "alternatives": { "max": 3, "within_km": 5 },
        })
    }
}

impl Shelf {
    /// Takes a page in; returns how many items it had.
    fn take(&mut self, page: &FeedPage) -> usize {
        let items = page.body["items"].as_array().map_or(&[][..], Vec::as_slice);
        for item in items {
            let Some(id) = item["id"].as_str() else { continue };
            let is_bookable = item["state"] == "updated" && bookable(&item["data"]);
            match (is_bookable, self.at.contains_key(id)) {
                (true, false) => self.put(id, item["data"]["start"].as_str().unwrap_or_default()),
                (false, true) => self.drop(id),
                _ => {}
            }
        }
        if let Some(cursor) = page.cursor {
            self.cursor = cursor;
        }
        items.len()
    }

    fn put(&mut self, id: &str, start: &str) {
        self.at.insert(id.to_owned(), (self.slots.len(), start.to_owned()));
        self.slots.push(id.to_owned());
        self.soonest.insert((start.to_owned(), id.to_owned()));
    }

    fn drop(&mut self, id: &str) {
        let Some((at, start)) = self.at.remove(id) else { return };
        self.soonest.remove(&(start, id.to_owned()));
        self.slots.swap_remove(at);
        if let Some(moved) = self.slots.get(at).and_then(|moved| self.at.get_mut(moved)) {
            moved.0 = at;
        }
    }

    pub fn first(&self) -> Option<String> {
        self.soonest.first().map(|(_, id)| id.clone())
    }

    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}

/// A slot that the feed calls bookable, whichever of the two forms the partner's mapping has.
fn bookable(data: &Value) -> bool {
    data["status"] == "open" && data["remaining_bucket"].as_str().is_none_or(|left| left != "0")
}

pub fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// A page of a feed as a partner sees it.
pub struct FeedPage {
    pub body: Value,
    pub cursor: Option<u64>,
    pub lag_ms: Option<u64>,
}

pub struct Reply {
    pub status: StatusCode,
    pub bytes: bytes::Bytes,
}

impl Reply {
    pub fn json(&self) -> Result<Value, Unexpected> {
        serde_json::from_slice(&self.bytes).map_err(|_| Unexpected::Body)
    }

    fn booking_id(&self) -> Result<BookingId, Unexpected> {
        self.json()?["id"].as_str().and_then(|id| id.parse().ok()).ok_or(Unexpected::Body)
    }

    /// A problem's code; one of a closed list, so it is safe to show.
    pub fn code(&self) -> Result<&'static str, Unexpected> {
        let body = self.json()?;
        let code = body["code"].as_str().ok_or(Unexpected::Body)?;
        Ok(crate::demo::codes::known(code))
    }

    fn is_decided(&self) -> bool {
        !matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
    }
}

/// An answer that the contract does not allow here.
#[derive(Debug, thiserror::Error)]
pub enum Unexpected {
    #[error("no answer: {cause}")]
    NoAnswer { cause: String },
    #[error("{of} was answered {status} {code}")]
    Status { of: &'static str, status: StatusCode, code: String },
    #[error("a body is not as documented")]
    Body,
    #[error("a repeated key was answered {second}, at first {first}, or with other bytes")]
    Differs { first: StatusCode, second: StatusCode },
}

impl Access {
    pub async fn get(&self, url: &str) -> Result<FeedPage, Unexpected> {
        let response = self.http.get(url).bearer_auth(&self.key).send().await.map_err(no_answer)?;
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let cursor = header("sync-cursor").and_then(|text| text.parse().ok());
        let lag_ms = header("sync-freshness").and_then(lag);
        let status = response.status();
        let bytes = response.bytes().await.map_err(no_answer)?;
        if status != StatusCode::OK {
            let reply = Reply { status, bytes };
            return Err(Unexpected::Status { of: "feed", status, code: reply.code().unwrap_or("–").to_owned() });
        }
        let body = serde_json::from_slice(&bytes).map_err(|_| Unexpected::Body)?;
        Ok(FeedPage { body, cursor, lag_ms })
    }

    pub async fn send(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Reply, Unexpected> {
        let mut request = self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.key);
        if let Some(key) = key {
            request = request.header("idempotency-key", format!("\"{key}\""));
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(no_answer)?;
        let status = response.status();
        Ok(Reply { status, bytes: response.bytes().await.map_err(no_answer)? })
    }
}

/// The URL may hold nothing personal, but a message is enough.
fn no_answer(error: reqwest::Error) -> Unexpected {
    Unexpected::NoAnswer { cause: error.without_url().to_string() }
}

/// `lag=140` of `Sync-Freshness`.
fn lag(freshness: &str) -> Option<u64> {
    freshness.split([',', ';']).find_map(|part| part.trim().strip_prefix("lag=")?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lag_is_read_from_sync_freshness() {
        assert_eq!(lag("lag=140, slo=1000, as-of=@1795334400, full-age=312"), Some(140));
        assert_eq!(lag("delayed, slo=1000"), None);
    }

    #[test]
    fn a_slot_that_is_not_bookable_any_more_leaves_the_shelf() {
        let page = |items: Value| FeedPage { body: json!({ "items": items }), cursor: Some(9), lag_ms: None };
        let mut shelf = Shelf::default();
        let slot = |id: &str, bookable: bool| json!({ "id": id, "state": "updated", "data": { "bookable": bookable } });
        shelf.take(&page(json!([slot("s-1", true), slot("s-2", true), slot("s-3", false)])));
        assert_eq!((shelf.len(), shelf.cursor), (2, 9));
        shelf.take(&page(json!([slot("s-1", false), { "id": "s-9", "state": "deleted" }])));
        assert_eq!(shelf.slots, ["s-2"]);
        shelf.take(&page(json!([{ "id": "s-2", "state": "deleted" }])));
        assert!(shelf.is_empty() && shelf.at.is_empty() && shelf.soonest.is_empty());
    }
}
