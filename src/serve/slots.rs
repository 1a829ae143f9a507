//! The desk's durable state of single slots, through the caller's mapping.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::HeaderMap;

use crate::answer::{Code, Object, Problem, Shown};
use crate::domain::{PartnerId, Position};
use crate::intake::IDS_MAX;
use crate::publish::HoldReason;

use super::Api;
use super::feeds::whole;
use super::gate::Caller;
use super::headers::{self, About};
use super::held;
use super::schema::{ProblemAnswer, SlotList};
use super::wait;

/// Look up to 100 slots up
#[utoipa::path(get, path = "/v1/slots/lookup", tag = "slots", operation_id = "lookUpSlots", params(
    ("ids" = String, Query, description = "1 to 100 slot ids, separated by commas"),
    ("Min-Cursor" = Option<u64>, Header, description = "Answer only from this durable position on"),
    ("Prefer" = Option<String>, Header, description = "`wait=N`: wait up to N (30) seconds for `Min-Cursor`"),
), responses(
    (status = 200, description = "What the desk knows durably; a slot that is not published reads as unknown", body = SlotList),
    (status = "4XX", description = "Problem", body = ProblemAnswer, content_type = "application/problem+json"),
    (status = "5XX", description = "Problem", body = ProblemAnswer, content_type = "application/problem+json"),
))]
pub(super) async fn look_up(
    State(api): State<Arc<Api>>,
    Extension(Caller { partner }): Extension<Caller>,
    RawQuery(query): RawQuery,
    request_headers: HeaderMap,
) -> Result<Response, Problem> {
    let ids = ids(query.as_deref())?;
    held::refuse(&api, &partner, "slots")?;
    let waited = reach(&api, &request_headers).await?;
    // Again: the wait may have been long.
    held::refuse(&api, &partner, "slots")?;
    let durable = api.parts.view.durable();
    let (mut slots, mut unknown) = (Vec::new(), Vec::new());
    for id in ids {
        match shown(&api, &partner, id) {
            Shown::Slot(slot) => slots.push(slot),
            Shown::Unpublished => unknown.push(id),
            Shown::Stopped => return Err(Problem::feed_held(HoldReason::Guard.code())),
        }
    }
    let mut body = Object::default();
    body.put("cursor", durable.0);
    body.put("slots", slots);
    body.put("unknown", serde_json::Value::from(unknown));
    let mut response = Body::from(body.bytes()).into_response();
    headers::set(response.headers_mut(), "content-type", "application/json");
    if let Some(applied) = waited {
        headers::set(response.headers_mut(), "preference-applied", &format!("wait={applied}"));
    }
    response.extensions_mut().insert(About { cursor: Some(durable), freshness: None });
    Ok(response)
}

fn shown(api: &Api, partner: &PartnerId, public_id: &str) -> Shown {
    let answers = api.parts.answers.load();
    let key = answers.project(partner).and_then(|project| project.slot_key(public_id));
    match key.and_then(|key| api.parts.view.slot(&key)) {
        Some(slot) => answers.slot(partner, &slot, api.parts.clock.now()),
        None => Shown::Unpublished,
    }
}

fn ids(query: Option<&str>) -> Result<Vec<&str>, Problem> {
    let bad = || Problem::new(Code::BadParameter).member("ids").detail("1 to 100 slot ids, separated by commas");
    let list = query.and_then(|query| query.strip_prefix("ids=")).ok_or_else(bad)?;
    // What is repeated in the answer has an id's alphabet.
    let is_id = |id: &&str| {
        (1..=80).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-')
    };
    let ids: Vec<&str> = list.split(',').take(IDS_MAX + 1).collect();
    if ids.len() > IDS_MAX || !ids.iter().all(is_id) {
        return Err(bad());
    }
    Ok(ids)
}

/// Waits for `Min-Cursor` as long as `Prefer: wait` allows; the seconds that were granted.
async fn reach(api: &Api, headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(wanted) = headers.get("min-cursor") else { return Ok(None) };
    let wanted = wanted.to_str().ok().and_then(whole);
    let wanted = wanted.ok_or_else(|| Problem::new(Code::BadParameter).member("Min-Cursor").detail("a cursor"))?;
    if api.parts.view.durable() >= Position(wanted) {
        return Ok(None);
    }
    let wait_s = wait::wanted(headers)?.unwrap_or(0);
    let mut durable = api.parts.view.watch_durable();
    let reached = durable.wait_for(|position| position.0 >= wanted);
    let reached = tokio::time::timeout(Duration::from_secs(wait_s), reached);
    let reached = tokio::select! {
        reached = reached => reached,
        () = api.ending.cancelled() => return Err(Problem::new(Code::CursorNotReached)),
    };
    match reached {
        Ok(Ok(_)) => Ok(Some(wait_s)),
        _ => Err(Problem::new(Code::CursorNotReached)),
    }
}
