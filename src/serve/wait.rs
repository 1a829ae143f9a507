//! `Prefer: wait=N` (RFC 7240): a page without items is held until the feed moves or the wait is over.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use crate::answer::{Code, Problem};
use crate::domain::PartnerId;
use crate::publish::api::{Page, PageQuery};

use super::Api;
use super::feeds::{read, whole};

/// Longest wait that is granted, seconds.
pub(super) const WAIT_S_MAX: u64 = 30;
/// Long polls a partner may hold at once; whoever comes on top is answered at once.
const POLLS_MAX: usize = 64;

/// Places of each partner.
#[derive(Default)]
pub(super) struct Polls(Mutex<BTreeMap<PartnerId, Arc<Semaphore>>>);

impl Polls {
    fn place(&self, partner: &PartnerId) -> Option<OwnedSemaphorePermit> {
        let mut polls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let places = polls.entry(partner.clone()).or_insert_with(|| Arc::new(Semaphore::new(POLLS_MAX)));
        places.clone().try_acquire_owned().ok()
    }
}

/// Seconds that the caller prefers to wait, bounded; `None` without a preference.
pub(super) fn wanted(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let values = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let mut parts = values.flat_map(|value| value.split([',', ';'])).map(str::trim);
    let Some(wait) = parts.find_map(|part| part.strip_prefix("wait=")) else { return Ok(None) };
    let seconds =
        whole(wait).ok_or_else(|| Problem::new(Code::BadParameter).member("Prefer").detail("wait=N, seconds"))?;
    Ok(Some(seconds.min(WAIT_S_MAX)))
}

/// The page, and how many seconds were granted.
pub(super) async fn page(
    api: &Arc<Api>,
    partner: &PartnerId,
    feed: &str,
    query: PageQuery,
    wait_s: u64,
) -> Result<(Page, Option<u64>), Problem> {
    let Some(_place) = api.polls.place(partner) else {
        return Ok((read(api, partner, feed, query).await?, None));
    };
    // Subscribed before reading, so that a tick between the two wakes us.
    let Some(mut moved) = api.parts.feeds.moved(partner, feed) else {
        return Ok((read(api, partner, feed, query).await?, None));
    };
    // Up to a tenth shorter, so that pollers that came together do not return together.
    let short_ms = wait_s * 100 * u64::from(Uuid::now_v7().as_bytes()[15]) / 255;
    let until = Instant::now() + Duration::from_millis(wait_s * 1_000 - short_ms);
    loop {
        moved.borrow_and_update();
        let page = read(api, partner, feed, query).await?;
        if !page.is_last {
            return Ok((page, Some(wait_s)));
        }
        let moved = tokio::select! {
            moved = timeout_at(until, moved.changed()) => moved,
            () = api.ending.cancelled() => return Ok((page, Some(wait_s))),
        };
        match moved {
            Ok(Ok(())) => {}
            // Time is up, or the feed is gone with its publisher.
            _ => return Ok((page, Some(wait_s))),
        }
    }
}
