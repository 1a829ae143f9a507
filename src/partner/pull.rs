//! Follows a feed (RPDE 1.0) into the store: a snapshot first, then page after page along `next`.
//!
//! A cursor that has expired begins again with a snapshot, and so does a feed whose mapping is another one. While a
//! snapshot loads, readers of the store see the old state. Nothing here counts on having been first: two who pull into
//! one store at once store each page once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use super::store::{Applied, Page, Standing};
use super::wire::Call;
use super::{Bridge, PartnerError, Store};

/// Largest page; fewer exchanges while catching up.
const LIMIT: u32 = 5_000;
/// Tries of one exchange: with pauses of up to 10 s that is some minutes, longer than a restart of the bridge.
const TRIES_MAX: u32 = 30;
/// Pages of one pull: 5,000 items each are more than any feed has.
const PAGES_MAX: u32 = 100_000;
/// A snapshot may be replaced while it is asked for, and a cursor may expire while it is used; not again and again.
const BEGINNINGS_MAX: u32 = 3;

/// How long an empty last page may be held by the bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    No,
    /// Seconds, at most 30.
    UpTo(u32),
}

/// What one pull did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pulled {
    pub feed: String,
    pub began: Began,
    pub pages: u32,
    pub updated: u64,
    pub deleted: u64,
    /// Answered 304: the page held is still the page.
    pub not_modified: bool,
    /// Items held now.
    pub items: u64,
    pub cursor: u64,
    /// Why the feed stands still at the bridge, if it does. What is held here is its last published state.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub halted: Vec<Value>,
}

/// Where a pull began; the last beginning, where there were several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Began {
    Snapshot,
    AtCursor,
    /// The cursor had expired.
    SnapshotAfterExpiry,
    /// The feed is rendered by another mapping than before.
    SnapshotOfOtherMapping,
}

/// A feed as the bridge lists it.
pub struct Listed {
    pub name: String,
    mapping: String,
    halted: Vec<Value>,
}

/// This partner's feeds by name.
pub async fn listed(bridge: &Bridge) -> Result<BTreeMap<String, Listed>, PartnerError> {
    let mut found = BTreeMap::new();
    for feed in bridge.feeds(TRIES_MAX).await? {
        let wrong = || PartnerError::Answer { of: "feeds", what: "a feed without name or mapping" };
        let name = feed["name"].as_str().filter(|name| is_name(name)).ok_or_else(wrong)?.to_owned();
        let mapping = feed["mapping"]["id"].as_str().ok_or_else(wrong)?.to_owned();
        let halted = feed["halted"].as_array().cloned().unwrap_or_default();
        found.insert(name.clone(), Listed { name, mapping, halted });
    }
    Ok(found)
}

/// Names become parts of paths and of file names.
fn is_name(text: &str) -> bool {
    (1..=40).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// Follows the feed to its last page.
pub async fn pull(bridge: &Bridge, store: &Store, feed: &Listed, wait: Wait) -> Result<Pulled, PartnerError> {
    let mut pull =
        Pull { bridge, store, feed, began: Began::AtCursor, beginnings: 0, pages: 0, updated: 0, deleted: 0 };
    let mut standing = match store.standing(&feed.name)? {
        Some(standing) if standing.mapping == feed.mapping => standing,
        Some(_) => pull.begin(Began::SnapshotOfOtherMapping).await?,
        None => pull.begin(Began::Snapshot).await?,
    };
    let not_modified = loop {
        match pull.turn(&standing, wait).await? {
            Turn::More => {}
            Turn::End => break false,
            Turn::NotModified => break true,
            Turn::Expired => {
                pull.begin(Began::SnapshotAfterExpiry).await?;
            }
        }
        let gone = PartnerError::Nothing { what: "the store was emptied".to_owned(), try_: "pull again" };
        standing = store.standing(&feed.name)?.ok_or(gone)?;
    };
    let cursor = store.standing(&feed.name)?.map_or(standing.cursor, |standing| standing.cursor);
    let Pull { began, pages, updated, deleted, .. } = pull;
    let (items, halted) = (store.count(&feed.name)?, feed.halted.clone());
    Ok(Pulled { feed: feed.name.clone(), began, pages, updated, deleted, not_modified, items, cursor, halted })
}

struct Pull<'a> {
    bridge: &'a Bridge,
    store: &'a Store,
    feed: &'a Listed,
    began: Began,
    beginnings: u32,
    pages: u32,
    updated: u64,
    deleted: u64,
}

enum Turn {
    More,
    End,
    NotModified,
    Expired,
}

impl Pull<'_> {
    /// Asks for one page and stores it.
    async fn turn(&mut self, at: &Standing, wait: Wait) -> Result<Turn, PartnerError> {
        let mut call = Call::get(&at.next);
        if let Some(etag) = &at.etag {
            call = call.with("if-none-match", etag);
        }
        if let Wait::UpTo(seconds) = wait {
            call = call.with("prefer", format!("wait={seconds}"));
        }
        let reply = match self.bridge.patiently(&call, TRIES_MAX).await {
            Ok(reply) => reply,
            Err(error) if error.is("cursor_expired") => return Ok(Turn::Expired),
            Err(error) => return Err(error),
        };
        if reply.status == 304 {
            return Ok(Turn::NotModified);
        }
        let page: Page<'_> = serde_json::from_slice(&reply.body)
            .map_err(|_| PartnerError::Answer { of: "feed", what: "not an RPDE page" })?;
        self.bridge.own_link(&page.next)?;
        let is_last = page.items.is_empty();
        self.pages += 1;
        if (page.next == at.next) != is_last || self.pages > PAGES_MAX {
            return Err(PartnerError::Answer { of: "feed", what: "`next` goes on without items, or stays with items" });
        }
        // Of the page that will be asked for again, so only where that is this one.
        let etag = reply.header("etag").filter(|_| is_last);
        let cursor = reply.cursor().unwrap_or(at.cursor);
        match self.store.apply(&self.feed.name, &at.next, &page, etag, cursor)? {
            Applied::Page { updated, deleted } => {
                self.updated += updated;
                self.deleted += deleted;
            }
            Applied::Overtaken => return Ok(Turn::More),
        }
        Ok(if is_last { Turn::End } else { Turn::More })
    }

    /// Replaces what is held by the newest snapshot.
    async fn begin(&mut self, began: Began) -> Result<Standing, PartnerError> {
        self.began = began;
        let name = &self.feed.name;
        loop {
            self.beginnings += 1;
            if self.beginnings > BEGINNINGS_MAX {
                return Err(PartnerError::Answer { of: "snapshot", what: "expires faster than it can be used" });
            }
            let newest = format!("/v1/feeds/{name}/snapshot");
            let reply = self.bridge.patiently(&Call::get(&newest), TRIES_MAX).await?;
            let leads = reply.header("location").filter(|_| reply.status == 307);
            let leads = leads.ok_or(PartnerError::Answer { of: "snapshot", what: "no 307 with Location" })?;
            let file = Downloaded(self.store.dir().join(format!("{name}.{}.snapshot", uuid::Uuid::now_v7())));
            let reply = match self.fetch(self.bridge.own_link(leads)?, &file.0).await {
                // Replaced meanwhile.
                Err(error) if error.is("unknown_snapshot") => continue,
                reply => reply?,
            };
            let cursor = reply.ok_or(PartnerError::Answer { of: "snapshot", what: "no Sync-Cursor" })?;
            let next = format!("{}/v1/feeds/{name}?afterChangeNumber={cursor}&limit={LIMIT}", self.bridge.base());
            let standing = Standing { mapping: self.feed.mapping.clone(), next, etag: None, cursor };
            self.updated += self.store.replace(name, &file.0, &standing)?;
            return Ok(standing);
        }
    }

    /// Into a file: a snapshot may be larger than memory. Gives its cursor.
    async fn fetch(&self, url: &str, to: &Path) -> Result<Option<u64>, PartnerError> {
        let io = |source| PartnerError::File { path: to.to_owned(), source };
        let mut tries = 0;
        loop {
            let mut file = tokio::fs::OpenOptions::new();
            let file = file.write(true).create(true).truncate(true).mode(0o600);
            let mut file = file.open(to).await.map_err(io)?;
            let reply = self.bridge.download(&Call::get(url), &mut file).await.and_then(super::wire::Reply::done);
            tries += 1;
            match reply {
                Ok(reply) => return Ok(reply.cursor()),
                Err(error) => match error.next() {
                    super::Next::Again(wait) if tries < TRIES_MAX => {
                        tokio::time::sleep(wait.unwrap_or_else(|| super::wire::pause(tries))).await;
                    }
                    _ => return Err(error),
                },
            }
        }
    }
}

/// A file that goes with its owner.
struct Downloaded(PathBuf);

impl Drop for Downloaded {
    fn drop(&mut self) {
        // What stays is overwritten by nobody and read by nobody.
        let _ = std::fs::remove_file(&self.0);
    }
}
