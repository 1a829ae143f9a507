//! Why a feed is not published: the board of holds, and the gate that is asked before every build.
//!
//! Owns nothing of what a feed holds. Reasons are kept apart, so that the end of one does not end another. Holds are
//! of a partner's feed, or of every feed that is made of an object; the second kind also meets feeds that are bound
//! later. Two texts: the one of a hold is for the agency (status, log) and may name columns; partners read a constant
//! sentence a reason, so that nothing of a view that changed can reach them.

use std::collections::BTreeMap;
use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::domain::{ObjectName, PartnerId, Timestamp};

/// Closed, and in this order wherever holds are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HoldReason {
    /// The mapping's approval, contract or consent text is not in force.
    Approval,
    /// The legacy view is not as the catalogue declares it.
    Drift,
    /// Something that was about to be emitted must not leave.
    Guard,
    /// Far more or fewer rows than before; somebody must say that they are right.
    RowJump,
}

impl HoldReason {
    pub const ALL: [HoldReason; 4] = [HoldReason::Approval, HoldReason::Drift, HoldReason::Guard, HoldReason::RowJump];

    /// Stable, also the label of the metric.
    pub fn code(self) -> &'static str {
        match self {
            HoldReason::Approval => "approval",
            HoldReason::Drift => "drift",
            HoldReason::Guard => "guard",
            HoldReason::RowJump => "row_jump",
        }
    }

    /// What partners read.
    pub fn told(self) -> &'static str {
        match self {
            HoldReason::Approval => "the approval of this feed is not in force",
            HoldReason::Drift => "the agency's system changed, and the change waits for approval",
            HoldReason::Guard => "a safety check stopped this feed",
            HoldReason::RowJump => "an unusual number of changes waits for confirmation",
        }
    }
}

/// What a held feed still answers with. The stricter of several holds counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Served {
    /// What was published last.
    LastState,
    /// Nothing: 503. Feeds about persons whose approval is not in force.
    NotAtAll,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    pub reason: HoldReason,
    /// One line for the agency. The same for as long as the cause is the same, since a new text is logged.
    pub text: String,
    pub since: Timestamp,
    pub served: Served,
}

/// Asked before every build, for every feed of every partner: cheap, and never waits. The implementer keeps what it
/// computes. `Some` with reason `Approval` only; other reasons are put on the board by who finds them.
pub trait Gate: Send + Sync {
    fn hold(&self, partner: &PartnerId, feed: &str, now: Timestamp) -> Option<Hold>;
}

/// Lets everything through: where nobody approves, as in tests.
pub struct OpenGate;

impl Gate for OpenGate {
    fn hold(&self, _: &PartnerId, _: &str, _: Timestamp) -> Option<Hold> {
        None
    }
}

type Reasons = BTreeMap<HoldReason, Hold>;
/// A partner's feed.
pub type Held = (PartnerId, String);

#[derive(Debug, Default)]
struct State {
    feeds: BTreeMap<Held, Reasons>,
    objects: BTreeMap<ObjectName, Reasons>,
}

/// Every hold there is.
#[derive(Debug, Default)]
pub struct Board(RwLock<State>);

impl Board {
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.0.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.0.write().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Begins or renews a hold; one that stands keeps its beginning.
    pub(super) fn hold(&self, partner: &PartnerId, feed: &str, hold: Hold) {
        let key = (partner.clone(), feed.to_owned());
        let was = put(self.write().feeds.entry(key).or_default(), &hold);
        if was.as_deref() != Some(&*hold.text) {
            began(Some(partner), feed, &hold);
        }
    }

    pub(super) fn release(&self, partner: &PartnerId, feed: &str, reason: HoldReason) {
        let key = (partner.clone(), feed.to_owned());
        // Asked before every build, and nearly always there is nothing to do.
        if !self.read().feeds.get(&key).is_some_and(|reasons| reasons.contains_key(&reason)) {
            return;
        }
        let mut state = self.write();
        let ended = state.feeds.get_mut(&key).and_then(|reasons| reasons.remove(&reason));
        state.feeds.retain(|_, reasons| !reasons.is_empty());
        drop(state);
        if ended.is_some() {
            tracing::info!(partner = partner.as_str(), feed, reason = reason.code(), "a feed is held no longer");
        }
    }

    pub(super) fn hold_object(&self, object: &ObjectName, hold: Hold) {
        let was = put(self.write().objects.entry(object.clone()).or_default(), &hold);
        if was.as_deref() != Some(&*hold.text) {
            began(None, object.as_str(), &hold);
        }
    }

    pub(super) fn release_object(&self, object: &ObjectName, reason: HoldReason) {
        let mut state = self.write();
        let ended = state.objects.get_mut(object).and_then(|reasons| reasons.remove(&reason));
        state.objects.retain(|_, reasons| !reasons.is_empty());
        drop(state);
        if ended.is_some() {
            tracing::info!(
                object = object.as_str(),
                reason = reason.code(),
                "the feeds of an object are held no longer"
            );
        }
    }

    /// Holds of a feed that is made of `object`, by reason; where both kinds hold, the feed's own.
    pub(super) fn of(&self, partner: &PartnerId, feed: &str, object: Option<&ObjectName>) -> Vec<Hold> {
        let state = self.read();
        if state.feeds.is_empty() && state.objects.is_empty() {
            return Vec::new();
        }
        let mut found = object.and_then(|object| state.objects.get(object)).cloned().unwrap_or_default();
        found.extend(state.feeds.get(&(partner.clone(), feed.to_owned())).cloned().unwrap_or_default());
        found.into_values().collect()
    }

    /// Partners' feeds with holds of their own.
    pub(super) fn feeds(&self) -> Vec<Held> {
        self.read().feeds.keys().cloned().collect()
    }
}

/// The text that stood there.
fn put(reasons: &mut Reasons, hold: &Hold) -> Option<String> {
    let before = reasons.get(&hold.reason).map(|hold| (hold.since, hold.text.clone()));
    let since = before.as_ref().map_or(hold.since, |(since, _)| *since);
    reasons.insert(hold.reason, Hold { since, ..hold.clone() });
    before.map(|(_, text)| text)
}

fn began(partner: Option<&PartnerId>, what: &str, hold: &Hold) {
    let (partner, reason, why) = (partner.map(PartnerId::as_str), hold.reason.code(), &*hold.text);
    match (hold.reason, partner) {
        (HoldReason::RowJump, _) => {
            tracing::warn!(partner, feed = what, reason, why, "a feed is held until somebody confirms");
        }
        (_, Some(partner)) => tracing::error!(partner, feed = what, reason, why, "a feed is held"),
        (_, None) => tracing::error!(object = what, reason, why, "the feeds of an object are held"),
    }
}

/// Is something of these held feeds still served?
pub fn served(holds: &[Hold]) -> Option<Served> {
    holds.iter().map(|hold| hold.served).max()
}
