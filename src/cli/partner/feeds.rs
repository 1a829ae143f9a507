//! `partner feeds` and `partner pull`.

use std::collections::BTreeMap;

use serde_json::json;
use tokio::task::JoinSet;

use super::args::{Link, StoreDir};
use super::{Exit, Failed, Out, run};
use crate::partner::pull::{self, Listed, Pulled, Wait};
use crate::partner::{Bridge, Next, PartnerError, Store};

/// As long as one exchange may be held, less than what it may take.
const FOLLOW: Wait = Wait::UpTo(20);
/// After an error that may pass, where the bridge names no time.
const FOLLOW_PAUSE: std::time::Duration = std::time::Duration::from_secs(2);

#[derive(Debug, clap::Args)]
pub struct PullArgs {
    /// Name of a feed, or `all`.
    pub feed: String,
    #[command(flatten)]
    pub link: Link,
    #[command(flatten)]
    pub store: StoreDir,
    /// Go on as the feed moves, until interrupted.
    #[arg(long)]
    pub follow: bool,
}

pub fn feeds(link: &Link, out: &mut Out) -> Result<Exit, Failed> {
    let feeds = run(async { link.bridge()?.feeds(1).await })?;
    if out.is_json() {
        out.value(&json!({ "feeds": feeds }));
        return Ok(Exit::Done);
    }
    for feed in &feeds {
        let text = |of: &serde_json::Value| of.as_str().unwrap_or("–").to_owned();
        let lag = &feed["freshness"]["lag_ms"];
        out.line(&format!(
            "{:<20} {:>9} items  cursor {}  lag {lag} ms",
            text(&feed["name"]),
            feed["items"],
            feed["cursor"]
        ));
        for halt in feed["halted"].as_array().into_iter().flatten() {
            let served = if halt["served"] == true { "last state served" } else { "not served" };
            out.line(&format!("  held since {}: {} ({served})", text(&halt["since"]), text(&halt["text"])));
        }
    }
    Ok(Exit::Done)
}

pub fn pull(args: &PullArgs, out: &mut Out) -> Result<Exit, Failed> {
    let work = async {
        let (bridge, store) = (args.link.bridge()?, args.store.open(&args.link.url)?);
        let mut listed = pull::listed(&bridge).await?;
        if args.feed != "all" {
            let known: Vec<&str> = listed.keys().map(String::as_str).collect();
            let what = format!("no feed {}: there are {}", args.feed, known.join(", "));
            let one = listed.remove(&args.feed);
            let one = one.ok_or(PartnerError::Nothing { what, try_: "name one of them, or `all`" })?;
            listed = BTreeMap::from([(args.feed.clone(), one)]);
        }
        if args.follow { follow(&bridge, &store, listed, out).await } else { all(&bridge, &store, &listed, out).await }
    };
    run(work)
}

/// Every feed once. One that is not served does not keep the others from being pulled.
async fn all(
    bridge: &Bridge,
    store: &Store,
    listed: &BTreeMap<String, Listed>,
    out: &mut Out,
) -> Result<Exit, PartnerError> {
    let mut held = None;
    for feed in listed.values() {
        match pull::pull(bridge, store, feed, Wait::No).await {
            Ok(pulled) => told(&pulled, out),
            Err(error) if error.is("feed_held") => {
                not_served(&feed.name, &error, out);
                held = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    match held {
        Some(error) => Err(error),
        None => Ok(Exit::Done),
    }
}

/// Each feed in a task of its own: a held poll of one keeps no other waiting.
async fn follow(
    bridge: &Bridge,
    store: &Store,
    listed: BTreeMap<String, Listed>,
    out: &mut Out,
) -> Result<Exit, PartnerError> {
    let (told_by, mut tell) = tokio::sync::mpsc::channel(16);
    let mut tasks = JoinSet::new();
    for feed in listed.into_values() {
        let (bridge, store, told_by) = (bridge.clone(), store.clone(), told_by.clone());
        tasks.spawn(async move {
            loop {
                let pulled = pull::pull(&bridge, &store, &feed, FOLLOW).await;
                let wait = match &pulled {
                    Ok(_) => None,
                    Err(error) => Some(passes(error).ok_or(())),
                };
                let is_over = matches!(wait, Some(Err(())));
                if told_by.send((feed.name.clone(), pulled)).await.is_err() || is_over {
                    return;
                }
                if let Some(Ok(wait)) = wait {
                    tokio::time::sleep(wait).await;
                }
            }
        });
    }
    drop(told_by);
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    loop {
        let next = tokio::select! {
            next = tell.recv() => next,
            _ = &mut interrupted => return Ok(Exit::Done),
        };
        match next {
            Some((_, Ok(pulled))) if pulled.pages > 1 || pulled.updated + pulled.deleted > 0 => told(&pulled, out),
            Some((_, Ok(_))) => {}
            Some((name, Err(error))) if passes(&error).is_some() => not_served(&name, &error, out),
            Some((_, Err(error))) => return Err(error),
            None => return Ok(Exit::Done),
        }
        if out.is_closed() {
            return Ok(Exit::Done);
        }
    }
}

/// How long to wait where waiting may help; a hold is lifted by people, and then the feed goes on.
fn passes(error: &PartnerError) -> Option<std::time::Duration> {
    let named = error.problem().and_then(|problem| problem.wait);
    match error.next() {
        Next::Again(wait) => Some(wait.unwrap_or(FOLLOW_PAUSE)),
        _ if error.is("feed_held") => Some(named.unwrap_or(FOLLOW_PAUSE)),
        _ => None,
    }
}

fn told(pulled: &Pulled, out: &mut Out) {
    if out.is_json() {
        // A line a pull, so that a follower can be read by a program.
        out.line(&json!(pulled).to_string());
        return;
    }
    let Pulled { feed, updated, deleted, items, cursor, pages, .. } = pulled;
    let how = if pulled.not_modified { ", not modified" } else { "" };
    out.line(&format!("{feed:<20} {items:>9} items  +{updated} -{deleted} in {pages} pages{how}  cursor {cursor}"));
    for halt in &pulled.halted {
        out.line(&format!("  stands still: {}", halt["text"].as_str().unwrap_or("held")));
    }
}

fn not_served(feed: &str, error: &PartnerError, out: &mut Out) {
    let reason = error.problem().and_then(|problem| problem.body["reason"].as_str());
    if out.is_json() {
        out.line(&json!({ "feed": feed, "error": error.code(), "reason": reason }).to_string());
    } else {
        out.line(&format!("{feed:<20} not now: {} ({})", error.code(), reason.unwrap_or("it may pass")));
    }
}
