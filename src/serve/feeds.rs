//! Published feeds: list, pages, snapshots.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{HeaderMap, StatusCode, header};

use crate::answer::{Code, Problem};
use crate::domain::{PartnerId, Position, Timestamp};
use crate::publish::api::{FeedError, FeedInfo, Freshness, Page, PageQuery};
use crate::publish::{Hold, Served};

use super::Api;
use super::gate::Caller;
use super::headers::{self, About};
use super::schema::{FeedAnswer, FeedList, FreshnessAnswer, HaltAnswer, MappingAnswer, ProblemAnswer, RpdePage};
use super::wait;

/// Page sizes: few, so that pages are shared.
pub(super) const LIMITS: [u32; 3] = [500, 1_000, 5_000];
/// The one order of parameters: pages are shared, so each has one address.
const PARAMETERS: [&str; 3] = ["afterChangeNumber", "limit", "walk"];
impl From<FeedError> for Problem {
    fn from(error: FeedError) -> Problem {
        match error {
            FeedError::UnknownFeed => Problem::new(Code::UnknownFeed),
            FeedError::CursorExpired => Problem::new(Code::CursorExpired),
            FeedError::Held { reason } => Problem::feed_held(reason.code()),
            FeedError::Store { cause } => {
                tracing::error!(%cause, "the feed store could not be read");
                Problem::new(Code::Internal)
            }
        }
    }
}

/// Runs what may touch a disk off the workers.
pub(super) async fn off_worker<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Problem::new(Code::Internal))
}

/// The caller's feeds
#[utoipa::path(get, path = "/v1/feeds", tag = "feeds", operation_id = "listFeeds", responses(
    (status = 200, description = "Name, cursor, mapping and freshness of each", body = FeedList),
    (status = "4XX", description = "Problem", body = ProblemAnswer, content_type = "application/problem+json"),
    (status = "5XX", description = "Problem", body = ProblemAnswer, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Problem> {
    let now = api.parts.clock.now();
    let work = api.clone();
    let feeds = off_worker(move || {
        let source = &work.parts.feeds;
        let about = |info: FeedInfo| {
            let fresh = source.freshness(&caller.partner, &info.name, now);
            described(&work.parts.settings.public_url, info, fresh)
        };
        source.feeds(&caller.partner).into_iter().map(about).collect::<Vec<_>>()
    })
    .await?;
    Ok(feed_response(Json(FeedList { feeds }).into_response(), "list"))
}

fn described(public_url: &str, info: FeedInfo, fresh: Option<Freshness>) -> FeedAnswer {
    let url = format!("{public_url}/v1/feeds/{}", info.name);
    FeedAnswer {
        snapshot: format!("{url}/snapshot"),
        url,
        name: info.name,
        cursor: info.cursor.0,
        items: info.items,
        mapping: MappingAnswer { id: info.mapping_id, version: info.mapping_version, digest: info.content_digest },
        retention_days: info.retention_days,
        freshness: fresh.map(|fresh| FreshnessAnswer {
            lag_ms: fresh.lag_ms,
            slo_ms: fresh.slo_ms,
            as_of: fresh.as_of.rfc3339(),
            full_age_s: fresh.full_age_s,
        }),
        halted: halted(&info.holds),
    }
}

fn halted(holds: &[Hold]) -> Option<Vec<HaltAnswer>> {
    let told = |hold: &Hold| HaltAnswer {
        reason: hold.reason.code().to_owned(),
        text: hold.reason.told().to_owned(),
        since: hold.since.rfc3339(),
        served: hold.served == Served::LastState,
    };
    (!holds.is_empty()).then(|| holds.iter().map(told).collect())
}

/// A page of a feed (RPDE 1.0)
#[utoipa::path(get, path = "/v1/feeds/{feed}", tag = "feeds", operation_id = "readFeed", params(
    ("feed" = String, Path, description = "`sites`, `slots`, `eligibility` or `bookings`"),
    ("afterChangeNumber" = Option<u64>, Query, description = "Follow `next`; absent: from the beginning"),
    ("limit" = Option<u32>, Query, description = "500, 1000 (default) or 5000"),
    ("walk" = Option<u64>, Query, description = "Part of `next`; never made up"),
    ("If-None-Match" = Option<String>, Header, description = "ETag of the page held"),
    ("Prefer" = Option<String>, Header, description = "`wait=N`: an empty page is held up to N (30) seconds"),
), responses(
    (status = 200, description = "Items in order of change number", body = RpdePage),
    (status = 304, description = "The page held is still the page"),
    (status = "4XX", description = "Problem", body = ProblemAnswer, content_type = "application/problem+json"),
    (status = "5XX", description = "Problem", body = ProblemAnswer, content_type = "application/problem+json"),
))]
pub(super) async fn page(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Path(feed): Path<String>,
    RawQuery(query): RawQuery,
    request_headers: HeaderMap,
) -> Result<Response, Problem> {
    let query = page_query(query.as_deref())?;
    let (page, waited) = match wait::wanted(&request_headers)? {
        Some(wanted) => wait::page(&api, &caller.partner, &feed, query, wanted).await?,
        None => (read(&api, &caller.partner, &feed, query).await?, None),
    };
    let freshness = api.parts.feeds.freshness(&caller.partner, &feed, api.parts.clock.now());
    let mut response = if is_held(&request_headers, &page.etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = Body::from(page.body).into_response();
        headers::set(response.headers_mut(), "content-type", "application/json");
        response
    };
    headers::set(response.headers_mut(), "etag", &page.etag);
    if let Some(granted) = waited {
        headers::set(response.headers_mut(), "preference-applied", &format!("wait={granted}"));
    }
    response.extensions_mut().insert(About { cursor: Some(page.cursor), freshness });
    Ok(feed_response(response, &feed))
}

pub(super) async fn read(api: &Arc<Api>, partner: &PartnerId, feed: &str, query: PageQuery) -> Result<Page, Problem> {
    let (work, partner, feed) = (api.clone(), partner.clone(), feed.to_owned());
    Ok(off_worker(move || work.parts.feeds.page(&partner, &feed, query)).await??)
}

fn page_query(raw: Option<&str>) -> Result<PageQuery, Problem> {
    let mut values: [Option<u64>; 3] = [None; 3];
    let mut from = 0;
    for pair in raw.unwrap_or_default().split('&').filter(|_| raw.is_some_and(|raw| !raw.is_empty())) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let at = PARAMETERS.iter().position(|known| *known == name);
        let at = at.filter(|at| *at >= from).ok_or_else(|| {
            Problem::new(Code::BadParameter)
                .detail("the parameters are afterChangeNumber, limit and walk, each once and in this order")
        })?;
        values[at] = Some(whole(value).ok_or_else(|| {
            Problem::new(Code::BadParameter)
                .member(PARAMETERS[at])
                .detail("a decimal number below 2^64 without sign or leading zeros")
        })?);
        from = at + 1;
    }
    let [after, limit, walk] = values;
    let known = |limit: u64| LIMITS.into_iter().find(|known| u64::from(*known) == limit);
    let refused = || Problem::new(Code::BadParameter).member("limit").detail("500, 1000 or 5000");
    let limit = limit.map(|limit| known(limit).ok_or_else(refused)).transpose()?;
    Ok(PageQuery { after, limit, walk })
}

/// A number in its one spelling.
pub(super) fn whole(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// Does the caller hold this entity already?
pub(super) fn is_held(headers: &HeaderMap, etag: &str) -> bool {
    let values = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
}

fn feed_response(mut response: Response, feed: &str) -> Response {
    let caching = if feed == "bookings" { "private, no-store" } else { "private, no-cache" };
    headers::set(response.headers_mut(), "cache-control", caching);
    headers::set(response.headers_mut(), "vary", "Accept-Encoding, Prefer");
    response
}

/// The snapshot that callers were last sent to, so that a crowd does not have one made each.
#[derive(Default)]
pub(super) struct Shelf(Mutex<BTreeMap<(PartnerId, String), (Position, Timestamp)>>);

impl Shelf {
    fn newest(&self, partner: &PartnerId, feed: &str) -> Option<(Position, Timestamp)> {
        let shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.get(&(partner.clone(), feed.to_owned())).copied()
    }

    /// Feeds that exist only get here, so the map is as small as the partners' mappings.
    fn put(&self, partner: &PartnerId, feed: &str, cursor: Position, made_at: Timestamp) {
        let mut shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.insert((partner.clone(), feed.to_owned()), (cursor, made_at));
    }
}

/// The cursor of a snapshot that can be fetched now.
fn snapshot_cursor(api: &Api, partner: &PartnerId, feed: &str) -> Result<Position, FeedError> {
    let (source, now) = (&api.parts.feeds, api.parts.clock.now());
    if let Some((cursor, made_at)) = api.shelf.newest(partner, feed) {
        let is_young = now.since_ms(made_at) < api.parts.settings.snapshot_age_ms_max;
        if is_young && source.snapshot_at(partner, feed, cursor)?.is_some() {
            return Ok(cursor);
        }
    }
    let cursor = source.snapshot(partner, feed)?.cursor;
    api.shelf.put(partner, feed, cursor, now);
    Ok(cursor)
}

/// The newest snapshot of a feed
#[utoipa::path(get, path = "/v1/feeds/{feed}/snapshot", tag = "feeds", operation_id = "newestSnapshot", params(
    ("feed" = String, Path, description = "Name of the feed"),
), responses(
    (status = 307, description = "`Location` is the snapshot's own, immutable address"),
    (status = "4XX", description = "Problem", body = ProblemAnswer, content_type = "application/problem+json"),
    (status = "5XX", description = "Problem", body = ProblemAnswer, content_type = "application/problem+json"),
))]
pub(super) async fn newest_snapshot(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Path(feed): Path<String>,
) -> Result<Response, Problem> {
    let (work, name) = (api.clone(), feed.clone());
    let cursor = off_worker(move || snapshot_cursor(&work, &caller.partner, &name)).await??;
    let mut response = StatusCode::TEMPORARY_REDIRECT.into_response();
    let address = format!("{}/v1/feeds/{feed}/snapshots/{}", api.parts.settings.public_url, cursor);
    headers::set(response.headers_mut(), "location", &address);
    response.extensions_mut().insert(About { cursor: Some(cursor), freshness: None });
    Ok(feed_response(response, &feed))
}

/// A snapshot: NDJSON of all live items; continue with `afterChangeNumber={cursor}`
#[utoipa::path(get, path = "/v1/feeds/{feed}/snapshots/{cursor}", tag = "feeds", operation_id = "readSnapshot", params(
    ("feed" = String, Path, description = "Name of the feed"),
    ("cursor" = u64, Path, description = "From the redirect"),
), responses(
    (status = 200, description = "One item a line", content_type = "application/x-ndjson", body = String),
    (status = "4XX", description = "Problem", body = ProblemAnswer, content_type = "application/problem+json"),
    (status = "5XX", description = "Problem", body = ProblemAnswer, content_type = "application/problem+json"),
))]
pub(super) async fn snapshot(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Path((feed, cursor)): Path<(String, String)>,
    request_headers: HeaderMap,
) -> Result<Response, Problem> {
    let cursor = whole(&cursor).map(Position).ok_or(Problem::new(Code::UnknownSnapshot))?;
    let (work, name) = (api.clone(), feed.clone());
    let kept = off_worker(move || work.parts.feeds.snapshot_at(&caller.partner, &name, cursor)).await??;
    let kept = kept.ok_or(Problem::new(Code::UnknownSnapshot))?;
    let etag = format!("\"{cursor}\"");
    let mut response = if is_held(&request_headers, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = Body::from(kept.body).into_response();
        headers::set(response.headers_mut(), "content-type", "application/x-ndjson");
        response
    };
    headers::set(response.headers_mut(), "etag", &etag);
    response.extensions_mut().insert(About { cursor: Some(cursor), freshness: None });
    let mut response = feed_response(response, &feed);
    if feed != "bookings" {
        headers::set(response.headers_mut(), "cache-control", "private, max-age=3600, immutable");
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_one_address() {
        let query = |raw: &str| page_query(Some(raw)).map_err(|problem| problem.code);
        assert_eq!(page_query(None).unwrap(), PageQuery { after: None, limit: None, walk: None });
        let full = PageQuery { after: Some(7), limit: Some(500), walk: Some(3) };
        assert_eq!(query("afterChangeNumber=7&limit=500&walk=3"), Ok(full));
        assert_eq!(query("limit=5000"), Ok(PageQuery { after: None, limit: Some(5_000), walk: None }));
        for other in [
            "limit=499",
            "limit=0500",
            "limit=+500",
            "limit=500&limit=500",
            "limit=500&afterChangeNumber=7",
            "limit",
            "afterchangenumber=7",
            "afterChangeNumber=-1",
            "afterChangeNumber=",
            "afterChangeNumber=%37",
            "page=1",
            "&",
            "afterChangeNumber=18446744073709551616",
        ] {
            assert_eq!(query(other), Err(Code::BadParameter), "{other}");
        }
    }
}
