//! A partner as it would be out there: it knows an address, a key and its own members, and nothing else.
//!
//! Harvests the slots feed, asks for person tokens, books, repeats requests, cancels. Whatever it learns, it learns
//! from answers over HTTP.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::dice::Dice;
use super::shelf::{Offer, Shelf};
use super::tally::{Acknowledged, Tally};
use crate::domain::{BookingId, Timestamp};
use crate::legacy::sqlite::generate;

/// Where the API is and with which key.
#[derive(Clone)]
pub struct Access {
    pub partner: String,
    pub base: String,
    pub key: String,
    pub http: Client,
}

/// Those who use the partner's service. They come from the same people as the register's, and some use both partners.
#[derive(Clone)]
pub struct Members {
    pub seed: u64,
    pub born: Timestamp,
    /// Last digits of the numbers of those who use this partner.
    pub digits: std::ops::Range<u32>,
    /// How many people the agency's register holds so far.
    pub reach: Arc<AtomicU32>,
}

/// People that traffic leaves alone, for whoever tries the `curl` lines.
pub const SPARED: u32 = 20;

impl Members {
    /// A member, by number in the register; `None` while there are too few.
    fn draw(&self, dice: &mut Dice) -> Option<u32> {
        let reach = self.reach.load(Ordering::Relaxed);
        let wide = reach.checked_sub(SPARED + 10)?;
        let number = SPARED + 1 + dice.below(wide as usize) as u32;
        let digit = self.digits.start + dice.below(self.digits.len()) as u32;
        Some(number - number % 10 + digit).filter(|number| *number > SPARED)
    }

    pub fn ci(&self, number: u32) -> String {
        generate::person(self.seed, number, self.born).ci
    }
}

/// Signs a consent receipt for a partner, a series and a CI, as the issuer's consent page does.
pub type Consent = dyn Fn(&str, &str, &str) -> Option<String> + Send + Sync;

pub struct Partner {
    pub access: Access,
    pub members: Members,
    pub consent: Arc<Consent>,
    pub tally: Arc<Tally>,
    shelf: Mutex<Shelf>,
    /// Tokens by member's number.
    tokens: Mutex<BTreeMap<u32, String>>,
    /// Slots to try again, and when.
    again: Mutex<VecDeque<(Instant, Offer)>>,
    /// Bookings held, with the member's number: for cancels and second bookings.
    held: Mutex<Vec<(BookingId, u32)>>,
    /// Bookings answered 202, oldest first, with the member's number.
    pending: Mutex<VecDeque<(BookingId, u32)>>,
}

/// Bookings that a partner keeps in mind for later cancels.
const HELD_MAX: usize = 50_000;
/// Pause of a harvester at the end of a feed.
const FEED_PAUSE: Duration = Duration::from_millis(100);
/// Slots that a partner's users come back to after a refusal that says when to. Few: the others look elsewhere.
const AGAIN_MAX: usize = 12;

impl Partner {
    pub fn new(access: Access, members: Members, consent: Arc<Consent>, tally: Arc<Tally>) -> Partner {
        Partner {
            access,
            members,
            consent,
            tally,
            shelf: Mutex::default(),
            tokens: Mutex::default(),
            again: Mutex::default(),
            held: Mutex::default(),
            pending: Mutex::default(),
        }
    }

    pub fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn held(&self) -> MutexGuard<'_, Vec<(BookingId, u32)>> {
        self.held.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn pending(&self) -> MutexGuard<'_, VecDeque<(BookingId, u32)>> {
        self.pending.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
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
            let done = match (dice.one_in(12), dice.one_in(2)) {
                (true, _) => self.cancel_one(&mut dice).await,
                // As often as it books: whoever waits is told.
                (false, true) => match self.poll_one().await {
                    Ok(true) => Ok(()),
                    Ok(false) => self.book_one(&mut dice).await,
                    Err(error) => Err(error),
                },
                (false, false) => self.book_one(&mut dice).await,
            };
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
        let Some((offer, cursor)) = self.choose_slot(dice) else {
            tokio::time::sleep(FEED_PAUSE).await;
            return Ok(());
        };
        // A member who has a booking already tries to get another now and then.
        let again = dice.one_in(10).then(|| self.held().last().map(|(_, member)| *member)).flatten();
        let Some(member) = again.or_else(|| self.members.draw(dice)) else {
            tokio::time::sleep(FEED_PAUSE).await;
            return Ok(());
        };
        let Some(person) = self.token(member, &offer.series).await? else {
            tokio::time::sleep(FEED_PAUSE).await;
            return Ok(());
        };
        let order = Order { offer, person, cursor };
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

    fn took_in(&self, order: &Order, member: u32, reply: &Reply, took: Duration) -> Result<(), Unexpected> {
        match reply.status {
            StatusCode::CREATED => {
                let id = reply.booking_id()?;
                let partner = self.access.partner.clone();
                self.tally.booked(Acknowledged { partner, id, slot_id: order.offer.id.clone() }, took);
                let mut held = self.held();
                if held.len() < HELD_MAX {
                    held.push((id, member));
                }
                Ok(())
            }
            StatusCode::ACCEPTED => {
                let id = reply.booking_id()?;
                let partner = self.access.partner.clone();
                self.tally.asked(Acknowledged { partner, id, slot_id: order.offer.id.clone() }, took);
                self.pending().push_back((id, member));
                Ok(())
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                self.tally.declined();
                Ok(())
            }
            StatusCode::CONFLICT | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {
                self.tally.refused(reply.refusal()?, took);
                self.come_back(order, reply);
                Ok(())
            }
            status => Err(Unexpected::Status { of: "booking", status, code: reply.code().unwrap_or("–").to_owned() }),
        }
    }

    /// Asks for the booking that waits longest. False: none waits.
    pub async fn poll_one(&self) -> Result<bool, Unexpected> {
        let Some((id, member)) = self.pending().pop_front() else { return Ok(false) };
        let reply = self.access.send(Method::GET, &format!("/v1/bookings/{id}"), None, None).await;
        let status = match reply {
            Ok(reply) if reply.status == StatusCode::OK => reply.json()?["status"].as_str().map(str::to_owned),
            Ok(reply) if !reply.is_decided() => None,
            Ok(reply) => {
                let code = reply.code().unwrap_or("–").to_owned();
                return Err(Unexpected::Status { of: "booking read", status: reply.status, code });
            }
            Err(error) => {
                self.pending().push_back((id, member));
                return Err(error);
            }
        };
        match status.as_deref() {
            None | Some("pending") => self.pending().push_back((id, member)),
            Some(status) => {
                if self.tally.polled(id, status) {
                    let mut held = self.held();
                    if held.len() < HELD_MAX {
                        held.push((id, member));
                    }
                }
            }
        }
        Ok(true)
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

    fn choose_slot(&self, dice: &mut Dice) -> Option<(Offer, u64)> {
        let shelf = self.shelf();
        let mut again = self.again.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if again.front().is_some_and(|(at, _)| *at <= Instant::now())
            && let Some((_, offer)) = again.pop_front()
        {
            return Some((offer, shelf.cursor));
        }
        Some((shelf.choose(dice)?, shelf.cursor))
    }

    /// Remembers to come back where the refusal says that more places may be free by then.
    fn come_back(&self, order: &Order, reply: &Reply) {
        let body = reply.json().unwrap_or_default();
        let Some(wait_ms) = body["retry_after_ms"].as_u64().filter(|_| body["retry"] == "new_key") else { return };
        let mut again = self.again.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if again.len() < AGAIN_MAX {
            again.push_back((Instant::now() + Duration::from_millis(wait_ms), order.offer.clone()));
        }
    }

    /// The member's token, asked for once. `None`: the limit is reached or the bridge is not ready.
    pub async fn token(&self, member: u32, series: &str) -> Result<Option<String>, Unexpected> {
        let tokens = || self.tokens.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let known = tokens().get(&member).cloned();
        if known.is_some() {
            return Ok(known);
        }
        let ci = self.members.ci(member);
        let receipt = (self.consent)(&self.access.partner, series, &ci).ok_or(Unexpected::NoConsent)?;
        let body = json!({ "ci": ci, "receipt": receipt });
        let reply = self.access.send(Method::POST, "/v1/persons/token", None, Some(&body)).await?;
        match reply.status {
            StatusCode::OK | StatusCode::CREATED => {
                let token = reply.json()?["person"].as_str().map(str::to_owned).ok_or(Unexpected::Body)?;
                tokens().insert(member, token.clone());
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

pub struct Order {
    pub offer: Offer,
    pub person: String,
    pub cursor: u64,
}

impl Order {
    pub fn body(&self) -> Value {
        json!({
            "slot_id": self.offer.id,
            "person": self.person,
            "series": self.offer.series,
            "first_sent_at": now().rfc3339(),
            "seen_cursor": self.cursor,
            "alternatives": { "max": 3, "within_km": 5 },
        })
    }
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

    /// As `code`, with a full slot that is being refilled told apart: waiting for units is no conflict over a place.
    fn refusal(&self) -> Result<&'static str, Unexpected> {
        let is_refilled = self.json()?["retry_after_ms"].is_number();
        Ok(match self.code()? {
            "slot_full" if is_refilled => crate::demo::codes::REFILLED,
            code => code,
        })
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
    #[error("no consent receipt could be signed")]
    NoConsent,
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
        // Before the first poll a feed is as of 1970, which is no sample of how fast it is.
        let polled = header("sync-freshness").filter(|text| !text.contains("as-of=@0,"));
        let lag_ms = polled.and_then(lag);
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
}
