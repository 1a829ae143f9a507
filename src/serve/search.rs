//! Finding bookings and the fate of requests.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::answer::{Code, Object, Problem};
use crate::domain::{BookingView, PartnerId, PersonRef};
use crate::intake::{self, RequestKey, SearchBody, SearchFor};

use super::bookings::first_reply;
use super::gate::Caller;
use super::headers::{self, About};
use super::held;
use super::schema::{BookingList, ProblemAnswer, RequestAnswer};
use super::{Api, read};

/// Bound of an answer: the newest of a person's or a reference's bookings.
const FOUND_MAX: usize = 100;

/// Find the caller's own bookings
#[utoipa::path(post, path = "/v1/bookings/search", tag = "bookings", operation_id = "searchBookings",
    request_body = SearchBody, responses(
    (status = 200, description = "At most 100, oldest first; ids that name none of the caller's are left out", body = BookingList),
    (status = "4XX", description = "Problem", body = ProblemAnswer, content_type = "application/problem+json"),
    (status = "5XX", description = "Problem", body = ProblemAnswer, content_type = "application/problem+json"),
))]
pub(super) async fn search(
    State(api): State<Arc<Api>>,
    Extension(Caller { partner }): Extension<Caller>,
    request: Request,
) -> Result<Response, Problem> {
    let bytes = read::body(&api, request).await?;
    let wanted = SearchFor::check(intake::parse::<SearchBody>(&bytes)?)?;
    held::refuse(&api, &partner, "bookings")?;
    let durable = api.parts.view.durable();
    let mut found = find(&api, &partner, wanted)?;
    found.drain(..found.len().saturating_sub(FOUND_MAX));
    let answers = api.parts.answers.load();
    let shown: Vec<Object> = found.iter().map(|b| answers.booking(&partner, b, b.position)).collect();
    let mut body = Object::default();
    body.put("cursor", durable.0);
    body.put("bookings", shown);
    let mut response = Body::from(body.bytes()).into_response();
    headers::set(response.headers_mut(), "content-type", "application/json");
    response.extensions_mut().insert(About { cursor: Some(durable), freshness: None });
    Ok(response)
}

fn find(api: &Api, partner: &PartnerId, wanted: SearchFor) -> Result<Vec<Arc<BookingView>>, Problem> {
    let view = &api.parts.view;
    Ok(match wanted {
        SearchFor::Person(token) => match intake::person(&*api.parts.tokens, partner, &token)? {
            PersonRef::Known(person) => view.bookings_of_person(partner, person),
            PersonRef::Nobody(_) => Vec::new(),
        },
        SearchFor::PartnerRef(text) => view.bookings_of_ref(partner, &text),
        SearchFor::Ids(ids) => ids.into_iter().filter_map(|id| view.booking(partner, id)).collect(),
    })
}

#[derive(Serialize)]
struct Fate<'a> {
    state: &'static str,
    status: u16,
    reply: &'a RawValue,
}

/// What became of a booking request
#[utoipa::path(get, path = "/v1/booking-requests/{key}", tag = "bookings", operation_id = "readBookingRequest", params(
    ("key" = String, Path, description = "Idempotency-Key of the request"),
), responses(
    (status = 200, description = "With the reply first sent", body = RequestAnswer),
    (status = "4XX", description = "404 is no proof: repeat with the same key", body = ProblemAnswer, content_type = "application/problem+json"),
    (status = "5XX", description = "Problem", body = ProblemAnswer, content_type = "application/problem+json"),
))]
pub(super) async fn fate(
    State(api): State<Arc<Api>>,
    Extension(Caller { partner }): Extension<Caller>,
    Path(key): Path<String>,
) -> Result<Response, Problem> {
    let key = RequestKey::new(&key)?;
    let known = api.parts.view.key(&api.parts.macs.key(&partner, &key));
    let known = known.ok_or(Problem::new(Code::UnknownRequest))?;
    let decided = first_reply(&api, known).await?.ok_or(Problem::new(Code::UnknownRequest))?;
    let state = if known.accepted { "committed" } else { "rejected" };
    let reply: &RawValue = serde_json::from_slice(&decided.body).map_err(|_| Problem::new(Code::Internal))?;
    let body = serde_json::to_vec(&Fate { state, status: decided.status, reply });
    let mut response = Body::from(body.map_err(|_| Problem::new(Code::Internal))?).into_response();
    headers::set(response.headers_mut(), "content-type", "application/json");
    response.extensions_mut().insert(About { cursor: Some(decided.durable), freshness: None });
    Ok(response)
}
