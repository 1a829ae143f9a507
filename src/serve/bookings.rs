//! Booking, reading and cancelling.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};

use crate::answer::{Code, Problem};
use crate::domain::{BodyMac, BookingId, PartnerId, Position, SlotKey};
use crate::durable::{Answer, KnownKey, StoredReply};
use crate::intake::{self, Ask, BookBody, Booking, Declined, RequestKey};

use super::feeds::{is_held, off_worker};
use super::gate::Caller;
use super::headers::{self, About};
use super::held;
use super::rate::Taken;
use super::schema::{BookingAnswer, ProblemAnswer};
use super::{Api, read};

pub(super) const BOOKINGS: &str = "/v1/bookings";

/// A durable answer of the desk.
pub(super) struct Decided {
    pub(super) status: u16,
    pub(super) body: Bytes,
    pub(super) entry: Option<Position>,
    pub(super) durable: Position,
    pub(super) told: Told,
}

/// Is the answer told for the first time?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    First,
    Again,
}

/// Book a slot for a person
#[utoipa::path(post, path = "/v1/bookings", tag = "bookings", operation_id = "book", request_body = BookBody, params(
    ("Idempotency-Key" = String, Header, description = "`[A-Za-z0-9._~-]{16,64}`, a structured-field string or bare"),
), responses(
    (status = 201, description = "Booked and durable; `Location` names the booking", body = BookingAnswer),
    (status = 202, description = "Durable and asked of the agency's system (status `pending`); `Location` names the booking", body = BookingAnswer),
    (status = "4XX", description = "Problem", body = ProblemAnswer, content_type = "application/problem+json"),
    (status = "5XX", description = "Problem", body = ProblemAnswer, content_type = "application/problem+json"),
))]
pub(super) async fn book(
    State(api): State<Arc<Api>>,
    Extension(Caller { partner }): Extension<Caller>,
    request: Request,
) -> Result<Response, Problem> {
    let key = RequestKey::from_headers(request.headers())?;
    let bytes = read::body(&api, request).await?;
    let body: BookBody = intake::parse(&bytes)?;
    let booking = Booking::check(&body)?;
    let key = api.parts.macs.key(&partner, &key);
    let mac = api.parts.macs.body(&Method::POST, BOOKINGS, &body);
    // A known key is answered before anything else is looked at, and without the desk.
    if let Some(known) = api.parts.view.key(&key)
        && let Some(decided) = replay(&api, known, mac).await?
    {
        return Ok(booked(&api, &partner, decided));
    }
    let person = intake::person(&*api.parts.tokens, &partner, &booking.person)?;
    let slot = published_slot(&api, &partner, &booking.slot_id)?;
    let decided = decide(&api, &partner, booking.ask(key, mac, slot, person)).await?;
    Ok(booked(&api, &partner, decided))
}

/// The slot behind a public id, if the caller's mapping publishes it.
fn published_slot(api: &Api, partner: &PartnerId, public_id: &str) -> Result<SlotKey, Problem> {
    let answers = api.parts.answers.load();
    let key = answers.project(partner).and_then(|project| project.slot_key(public_id));
    let slot = key.and_then(|key| api.parts.view.slot(&key));
    let slot = slot.filter(|slot| answers.publishes(partner, slot));
    slot.map(|slot| slot.key.clone()).ok_or(Problem::new(Code::UnknownSlot))
}

/// The reply first sent for a known key, bit for bit. `None` for a refusal that the ledger has forgotten already: the
/// desk decides anew.
async fn replay(api: &Arc<Api>, known: KnownKey, mac: BodyMac) -> Result<Option<Decided>, Problem> {
    if known.body != mac {
        return Err(Problem::new(Code::IdempotencyKeyReused));
    }
    first_reply(api, known).await
}

/// What was first answered to a known key; `None` as in `replay`.
pub(super) async fn first_reply(api: &Arc<Api>, known: KnownKey) -> Result<Option<Decided>, Problem> {
    let durable = api.parts.view.durable();
    let found = stored(api, known.entry, durable).await?;
    if found.is_none() && known.accepted {
        return Err(lost(known.entry));
    }
    Ok(found)
}

async fn stored(api: &Arc<Api>, entry: Position, durable: Position) -> Result<Option<Decided>, Problem> {
    let work = api.clone();
    let reply = off_worker(move || work.parts.replies.reply(entry)).await?;
    let reply = reply.map_err(|error| {
        tracing::error!(%error, "a stored reply could not be read");
        Problem::new(Code::Internal)
    })?;
    let told = |reply: StoredReply| Decided {
        status: reply.status,
        body: reply.body,
        entry: Some(reply.entry),
        durable,
        told: Told::Again,
    };
    Ok(reply.map(told))
}

fn lost(entry: Position) -> Problem {
    tracing::error!(%entry, "a known key has no stored reply");
    Problem::new(Code::Internal)
}

/// Has the desk decide, within the caller's rate.
pub(super) async fn decide(api: &Arc<Api>, partner: &PartnerId, ask: Ask) -> Result<Decided, Problem> {
    if api.books.take(partner, api.parts.clock.now()) == Taken::Empty {
        return Err(Problem::new(Code::RateLimited));
    }
    let wait_max = Duration::from_millis(api.parts.settings.reply_ms_max);
    match api.parts.intake.ask(partner.clone(), ask, wait_max).await {
        Ok(Answer::Reply { replay_of: Some(entry), durable, .. }) => {
            stored(api, entry, durable).await?.ok_or_else(|| lost(entry))
        }
        Ok(Answer::Reply { status, body, entry, durable, replay_of: None }) => {
            Ok(Decided { status, body, entry, durable, told: Told::First })
        }
        Ok(Answer::NotDurable) | Err(Declined::Stopped) => Err(Problem::new(Code::NotDurable)),
        Err(Declined::Overloaded) => Err(Problem::new(Code::Overloaded)),
        Err(Declined::Late) => Err(Problem::new(Code::RequestInProgress)),
        Ok(_) => Err(Problem::new(Code::Internal)),
    }
}

pub(super) fn answered(decided: Decided) -> Response {
    let status = StatusCode::from_u16(decided.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = if status.is_success() { "application/json" } else { "application/problem+json" };
    let mut response = (status, Body::from(decided.body)).into_response();
    headers::set(response.headers_mut(), "content-type", kind);
    if decided.told == Told::Again {
        headers::set(response.headers_mut(), "idempotency-replayed", "?1");
    }
    response.extensions_mut().insert(About { cursor: Some(decided.durable), freshness: None });
    response
}

/// The answer to a booking request: a 201 or 202 names the booking, whose id is the position of its entry.
fn booked(api: &Api, partner: &PartnerId, decided: Decided) -> Response {
    let made = decided.entry.filter(|_| matches!(decided.status, 201 | 202)).map(BookingId);
    let mut response = answered(decided);
    if let Some(id) = made {
        let address = format!("{}{BOOKINGS}/{id}", api.parts.settings.public_url);
        headers::set(response.headers_mut(), "location", &address);
        if let Some(booking) = api.parts.view.booking(partner, id) {
            headers::set(response.headers_mut(), "etag", &booking.etag());
        }
    }
    response
}

/// A booking as it is now
#[utoipa::path(get, path = "/v1/bookings/{id}", tag = "bookings", operation_id = "readBooking", params(
    ("id" = String, Path, description = "Booking id"),
    ("If-None-Match" = Option<String>, Header, description = "ETag of the booking held"),
), responses(
    (status = 200, description = "ETag covers status, slot and slot version", body = BookingAnswer),
    (status = 304, description = "Status, slot and slot version are unchanged"),
    (status = "4XX", description = "Problem", body = ProblemAnswer, content_type = "application/problem+json"),
    (status = "5XX", description = "Problem", body = ProblemAnswer, content_type = "application/problem+json"),
))]
pub(super) async fn status(
    State(api): State<Arc<Api>>,
    Extension(Caller { partner }): Extension<Caller>,
    Path(id): Path<String>,
    request_headers: HeaderMap,
) -> Result<Response, Problem> {
    let durable = api.parts.view.durable();
    let booking = id.parse().ok().and_then(|id| api.parts.view.booking(&partner, id));
    let booking = booking.ok_or(Problem::new(Code::UnknownBooking))?;
    let etag = booking.etag();
    let mut response = if is_held(&request_headers, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let withheld = held::withheld(&*api.parts.feeds, &partner);
        let answers = api.parts.answers.load();
        let body = answers.booking_without(&partner, &booking, booking.position, withheld);
        let mut response = Body::from(body.bytes()).into_response();
        headers::set(response.headers_mut(), "content-type", "application/json");
        response
    };
    headers::set(response.headers_mut(), "etag", &etag);
    response.extensions_mut().insert(About { cursor: Some(durable), freshness: None });
    Ok(response)
}

/// Cancel a booking
#[utoipa::path(delete, path = "/v1/bookings/{id}", tag = "bookings", operation_id = "cancelBooking", params(
    ("id" = String, Path, description = "Booking id"),
    ("If-Match" = Option<String>, Header, description = "Cancel only this state of the booking"),
), responses(
    (status = 200, description = "Cancelling or cancelled, now or earlier", body = BookingAnswer),
    (status = "4XX", description = "Problem", body = ProblemAnswer, content_type = "application/problem+json"),
    (status = "5XX", description = "Problem", body = ProblemAnswer, content_type = "application/problem+json"),
))]
pub(super) async fn cancel(
    State(api): State<Arc<Api>>,
    Extension(Caller { partner }): Extension<Caller>,
    Path(id): Path<String>,
    request_headers: HeaderMap,
) -> Result<Response, Problem> {
    let id: BookingId = id.parse().map_err(|_| Problem::new(Code::UnknownBooking))?;
    let if_match = if_match(&request_headers)?;
    let decided = decide(&api, &partner, intake::cancel(id, if_match)).await?;
    let is_done = decided.status == 200;
    let mut response = answered(decided);
    if let Some(booking) = api.parts.view.booking(&partner, id).filter(|_| is_done) {
        headers::set(response.headers_mut(), "etag", &booking.etag());
    }
    Ok(response)
}

/// One strong tag, or none; `*` asks for nothing beyond existence, which is checked anyway.
fn if_match(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(header::IF_MATCH).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let failed = || Problem::new(Code::PreconditionFailed);
    let text = value.to_str().map_err(|_| failed())?.trim();
    if values.next().is_some() {
        return Err(failed());
    }
    Ok((text != "*").then(|| text.to_owned()))
}
