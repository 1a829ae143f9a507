//! Binds partners to the feeds of the store when the daemon starts.
//!
//! Partners with the same content digest read one feed. When a partner's mapping changed since the last start, the
//! partner comes with cursors into another feed: that feed's items, tombstones included, are carried over, so that
//! whatever the reader holds is either replaced or deleted.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{OptionalExtension, Transaction, params};

use super::fork::FORK_OF;
use super::plan::FeedPlan;
use super::store::{Due, Store, StoreError};
use crate::domain::Incarnation;

/// Name, content digest and owner: what makes two partners' feeds one.
type FeedKey = (String, String, String);

fn key_of(plan: &FeedPlan) -> FeedKey {
    (plan.name.clone(), plan.content_digest.clone(), plan.owner().to_owned())
}

/// The store's feed of each plan, in the order of the plans. Feeds that nobody reads any more are dropped.
pub(super) fn attach(store: &mut Store, plans: &[FeedPlan], incarnation: Incarnation) -> Result<Vec<i64>, StoreError> {
    let known = store.incarnation()?;
    let tx = store.db.transaction()?;
    let mut groups: BTreeMap<FeedKey, Vec<&FeedPlan>> = BTreeMap::new();
    for plan in plans {
        groups.entry(key_of(plan)).or_default().push(plan);
    }
    let mut sources = Vec::new();
    for (key, group) in &groups {
        sources.push((key, group, sources_of(&tx, key, group)?));
    }
    let mut ids = BTreeMap::new();
    let mut readers = Vec::new();
    for (key, group, sources) in sources {
        let id = bind(&tx, key, &sources)?;
        ids.insert(key.clone(), id);
        readers.extend(group.iter().map(|plan| (plan.partner.as_str(), plan.name.as_str(), id)));
    }
    tx.execute("DELETE FROM reader", [])?;
    for (partner, name, id) in readers {
        tx.execute("INSERT INTO reader (partner, name, feed) VALUES (?1, ?2, ?3)", params![partner, name, id])?;
    }
    if known.is_some_and(|known| known != incarnation) {
        let (first, republish) = (Due::First.code(), Due::Republish.code());
        tx.execute("UPDATE feed SET due = ?1 WHERE due <> ?2", [republish, first])?;
    }
    drop_unread(&tx)?;
    tx.execute("INSERT OR REPLACE INTO life (only, incarnation) VALUES (1, ?1)", [incarnation.0 as i64])?;
    tx.commit()?;
    Ok(plans.iter().filter_map(|plan| ids.get(&key_of(plan)).copied()).collect())
}

/// Drops what nobody reads. A fork stays while its reader's feed is the one that it was made of, and goes on as it was:
/// of a feed that is compared or republished, and so may have got other readers' items, it would show a wrong past.
fn drop_unread(tx: &Transaction<'_>) -> Result<(), StoreError> {
    tx.execute(
        "DELETE FROM feed WHERE id NOT IN (SELECT feed FROM reader) AND NOT EXISTS (
           SELECT 1 FROM reader JOIN feed AS home ON home.id = reader.feed
           WHERE feed.owner = ?1 || reader.partner AND feed.name = reader.name
             AND home.digest = feed.digest AND home.due = ?2)",
        [FORK_OF, Due::Resume.code()],
    )?;
    tx.execute("DELETE FROM item WHERE feed NOT IN (SELECT id FROM feed)", [])?;
    Ok(())
}

/// Feeds that the group's readers hold cursors into.
fn sources_of(tx: &Transaction<'_>, key: &FeedKey, group: &[&FeedPlan]) -> Result<BTreeSet<i64>, StoreError> {
    let mut sources = BTreeSet::new();
    sources.extend(same_key(tx, key)?);
    for plan in group {
        let text = "SELECT feed FROM reader WHERE partner = ?1 AND name = ?2";
        let read: Option<i64> = tx.query_row(text, [plan.partner.as_str(), &plan.name], |row| row.get(0)).optional()?;
        sources.extend(read);
    }
    Ok(sources)
}

fn same_key(tx: &Transaction<'_>, key: &FeedKey) -> Result<Option<i64>, StoreError> {
    let text = "SELECT id FROM feed WHERE name = ?1 AND digest = ?2 AND owner = ?3";
    Ok(tx.query_row(text, [&key.0, &key.1, &key.2], |row| row.get(0)).optional()?)
}

/// The feed with this key, made of its sources if it is not there.
fn bind(tx: &Transaction<'_>, key: &FeedKey, sources: &BTreeSet<i64>) -> Result<i64, StoreError> {
    let same = same_key(tx, key)?;
    if let Some(same) = same
        && sources.iter().all(|source| *source == same)
    {
        return Ok(same);
    }
    let target = match same {
        Some(same) => same,
        None => insert(tx, key)?,
    };
    for source in sources.iter().filter(|source| **source != target) {
        carry(tx, *source, target)?;
    }
    let due = match (same, sources.len()) {
        (_, 0) => Due::First,
        (None, 1) => Due::Compare,
        _ => Due::Republish,
    };
    tx.execute("UPDATE feed SET due = ?2 WHERE id = ?1", params![target, due.code()])?;
    Ok(target)
}

fn insert(tx: &Transaction<'_>, key: &FeedKey) -> Result<i64, StoreError> {
    tx.execute(
        "INSERT INTO feed (name, digest, owner, due, watermark, horizon, walk, walk_hour, as_of)
         VALUES (?1, ?2, ?3, 'first', 0, 0, 0, 0, 0)",
        [&key.0, &key.1, &key.2],
    )?;
    Ok(tx.last_insert_rowid())
}

/// Carries items and marks of `source` over: what both hold stays `target`'s. Bytes are not shown before they are
/// rendered again. Of a feed that was made just now all marks are the source's; else the cautious one of both.
fn carry(tx: &Transaction<'_>, source: i64, target: i64) -> Result<(), StoreError> {
    tx.execute(
        "INSERT OR IGNORE INTO item (feed, number, key, id, data, at)
         SELECT ?2, number, key, id, data, at FROM item
         WHERE feed = ?1 AND key NOT IN (SELECT key FROM item WHERE feed = ?2)",
        [source, target],
    )?;
    tx.execute(
        "UPDATE feed SET
           watermark = CASE WHEN f.walk_hour = 0 THEN s.watermark ELSE min(f.watermark, s.watermark) END,
           horizon = max(f.horizon, s.horizon),
           walk = CASE WHEN f.walk_hour = 0 THEN s.walk ELSE min(f.walk, s.walk) END,
           walk_hour = max(f.walk_hour, s.walk_hour),
           as_of = CASE WHEN f.walk_hour = 0 THEN s.as_of ELSE min(f.as_of, s.as_of) END
         FROM feed AS f, feed AS s WHERE feed.id = ?2 AND f.id = ?2 AND s.id = ?1",
        [source, target],
    )?;
    Ok(())
}
