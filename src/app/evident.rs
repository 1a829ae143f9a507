//! Everything that the daemon writes into the evidence log by itself: what left, notes that it saw, operators'
//! commands, signed heads, deletion by retention.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use super::in_force::{InForce, Judge};
use crate::admin::{Ask, Commands, Peer, Told};
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::time::DAY_MS;
use crate::domain::{PartnerId, Position, Timestamp};
use crate::evidence::{Access, Action, Actor, Approved, Entry, Evidence, EvidenceError, Kind, Left, Rule, origin};
use crate::keys::LogKey;
use crate::publish::{self, NotTold, TellLeft};

/// What was approved, for what left under it.
#[derive(Debug, Clone)]
struct Ground {
    digest: String,
    note: String,
    basis: String,
}

/// What left, in the log's words.
pub struct Leaving {
    evidence: Arc<Evidence>,
    /// By mapping id and digest of what shapes its items. Grows by a row a version while the daemon runs.
    grounds: Mutex<BTreeMap<(String, String), Ground>>,
    told: Mutex<BTreeMap<(PartnerId, String), Position>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Leaving {
    /// Reads up to where each feed was told.
    pub fn open(evidence: Arc<Evidence>) -> Result<Leaving, EvidenceError> {
        let mut told = BTreeMap::new();
        for (_, entry) in evidence.of_kind(Kind::Record)? {
            if let Entry::Left { left } = entry {
                told.insert((left.partner, left.feed), left.position);
            }
        }
        Ok(Leaving { evidence, grounds: Mutex::default(), told: Mutex::new(told) })
    }

    /// Before anything of it is published. `plans` say which mapping shapes which items.
    pub fn in_force<'a>(&self, in_force: &InForce, plans: impl Iterator<Item = &'a publish::FeedPlan>) {
        let mut grounds = locked(&self.grounds);
        for plan in plans {
            let Some(running) = in_force.running.get(&plan.mapping_id) else { continue };
            let basis = serde_json::to_value(running.closure.mapping.legal.basis).ok();
            let basis = basis.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
            let ground = Ground { digest: running.digest.clone(), note: running.note.clone(), basis };
            grounds.insert((plan.mapping_id.clone(), plan.content_digest.clone()), ground);
        }
    }

    fn entry(&self, left: &publish::Left) -> Entry {
        let key = (left.mapping_id.clone(), left.content_digest.clone());
        let ground = locked(&self.grounds).get(&key).cloned();
        // A feed that stays as it was published last: nothing new leaves, and whose mapping it was is not known here.
        let unknown = || Ground { digest: left.content_digest.clone(), note: String::new(), basis: String::new() };
        let Ground { digest, note, basis } = ground.unwrap_or_else(unknown);
        let sha256 = left.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
        let left = Left {
            since: left.since,
            at: left.at,
            partner: left.partner.clone(),
            feed: left.feed.clone(),
            mapping: left.mapping_id.clone(),
            version: left.mapping_version,
            digest,
            note,
            basis,
            rows: left.rows,
            updated: left.updated,
            deleted: left.deleted,
            k: left.k,
            after: left.after,
            position: left.position,
            sha256,
            is_state: left.is_state,
        };
        left.into()
    }
}

impl TellLeft for Leaving {
    fn told_up_to(&self, partner: &PartnerId, feed: &str) -> Option<Position> {
        locked(&self.told).get(&(partner.clone(), feed.to_owned())).copied()
    }

    fn tell(&self, all: Vec<publish::Left>) -> Result<(), NotTold> {
        let recorded = self.evidence.record_all_blocking(all.iter().map(|left| self.entry(left)));
        recorded.map_err(|error| NotTold { cause: error.to_string() })?;
        let mut told = locked(&self.told);
        told.extend(all.into_iter().map(|left| ((left.partner, left.feed), left.position)));
        Ok(())
    }
}

/// Notes that officers signed and the log does not have yet.
pub fn new_notes(judge: &dyn Judge, evidence: &Evidence, at: Timestamp) -> Result<Vec<Entry>, EvidenceError> {
    let notes = judge.notes();
    if notes.is_empty() {
        return Ok(Vec::new());
    }
    let mut known: BTreeSet<(String, usize)> = BTreeSet::new();
    for (_, entry) in evidence.of_kind(Kind::Approved)? {
        if let Entry::Approved { approved } = entry {
            known.insert((approved.note, approved.signers.len()));
        }
    }
    let new = notes.into_iter().filter(|note| !known.contains(&(note.note.clone(), note.signers.len())));
    Ok(new.map(|note| Approved { at, ..note }.into()).collect())
}

/// Commands over the admin socket: written down first, then done.
pub struct Witnessed<C> {
    pub commands: C,
    pub evidence: Arc<Evidence>,
    pub clock: Arc<dyn Clock>,
    pub position: Box<dyn Fn() -> Position + Send + Sync>,
}

/// What an ask is written down as: code and number of what it names. `None`: it is about no person and changes
/// nothing.
fn told(ask: &Ask) -> Option<(String, u64)> {
    let count = match ask {
        Ask::Status => return None,
        Ask::Release { slots } => slots.len(),
        Ask::Retry { ops } => ops.len(),
        _ => 1,
    };
    let code = serde_json::to_value(ask).ok()?.get("ask")?.as_str()?.to_owned();
    Some((code, count as u64))
}

impl<C: Commands> Commands for Witnessed<C> {
    fn answer(&self, ask: Ask, peer: Peer) -> Told {
        if let Some((code, count)) = told(&ask) {
            let access = Access {
                at: self.clock.now(),
                actor: Actor::Operator(peer.account()),
                action: Action::CommandGiven,
                subject: None,
                from: Some("admin socket".to_owned()),
                basis: code,
                count,
                position: (self.position)(),
            };
            if let Err(error) = self.evidence.record_blocking(access) {
                tracing::error!(code = error.code(), %error, "a command was refused, because it could not be recorded");
                let detail = format!("the command was not done, because it could not be recorded: {error}");
                return Told::Error { code: "not_recorded".to_owned(), detail };
            }
        }
        self.commands.answer(ask, peer)
    }
}

/// Signs heads.
pub struct Signing {
    pub evidence: Arc<Evidence>,
    pub key: LogKey,
    pub origin: String,
    pub clock: Arc<dyn Clock>,
}

impl Signing {
    pub fn of(config: &Config, evidence: &Arc<Evidence>, key: LogKey, clock: &Arc<dyn Clock>) -> Signing {
        let origin = origin(&config.daemon.origin);
        Signing { evidence: evidence.clone(), key, origin, clock: clock.clone() }
    }

    /// Must not be called on a tokio worker.
    pub fn sign(&self) -> Result<(), String> {
        let signed = self.evidence.checkpoint_blocking(&self.origin, &self.key, self.clock.now());
        signed.map(|_| ()).map_err(|error| format!("the head of the evidence log could not be signed: {error}"))
    }
}

/// What the configuration keeps no longer at `now`.
fn rules(config: &Config, now: Timestamp) -> [Rule; 2] {
    let rule = |name: &str, days: u32, kind| Rule {
        name: format!("{name}={days}"),
        kind,
        before: now.plus_ms(-i64::from(days) * DAY_MS),
    };
    let kept = &config.evidence;
    [rule("access_days", kept.access_days, Kind::Access), rule("record_days", kept.record_days, Kind::Record)]
}

/// Removes contents whose time is over. Must not be called on a tokio worker.
pub fn retain(evidence: &Evidence, config: &Config, now: Timestamp) -> Result<(), String> {
    for rule in rules(config, now) {
        let deleted = evidence.purge_blocking(&rule, now);
        let deleted = deleted.map_err(|error| format!("retention of the evidence log stopped: {error}"))?;
        if deleted > 0 {
            tracing::info!(rule = rule.name, deleted, "contents of the evidence log were deleted; their hashes stay");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{IfMissing, verify};

    struct Done;

    impl Commands for Done {
        fn answer(&self, _: Ask, _: Peer) -> Told {
            Told::Ok(serde_json::json!("done"))
        }
    }

    struct At(i64);

    impl Clock for At {
        fn now(&self) -> Timestamp {
            Timestamp(self.0)
        }
    }

    fn log() -> (tempfile::TempDir, Arc<Evidence>) {
        let dir = tempfile::tempdir().unwrap();
        let evidence = Evidence::open(&dir.path().join("evidence.sqlite"), IfMissing::Create).unwrap();
        (dir, Arc::new(evidence))
    }

    #[test]
    fn a_command_is_written_down_with_its_account_and_looking_at_the_status_is_not() {
        let (_dir, evidence) = log();
        let clock: Arc<dyn Clock> = Arc::new(At(7));
        let position = Box::new(|| Position(3));
        let commands = Witnessed { commands: Done, evidence: evidence.clone(), clock, position };
        let peer = Peer { uid: Some(1_000) };
        assert_eq!(commands.answer(Ask::Status, peer), Told::Ok(serde_json::json!("done")));
        assert_eq!(evidence.head().size, 0);
        commands.answer(Ask::Retry { ops: vec![Position(1), Position(2)] }, peer);
        let (_, Entry::Access(access)) = evidence.of_kind(Kind::Access).unwrap().remove(0) else { panic!() };
        assert_eq!(access.actor, Actor::Operator("uid 1000".to_owned()));
        assert_eq!((&*access.basis, access.count, access.at), ("retry", 2, Timestamp(7)));
        assert_eq!(access.from.as_deref(), Some("admin socket"));
    }

    fn left(position: u64) -> publish::Left {
        publish::Left {
            partner: PartnerId::new("naver").unwrap(),
            feed: "slots".to_owned(),
            mapping_id: "naver.slots".to_owned(),
            mapping_version: 1,
            content_digest: "c".to_owned(),
            since: Timestamp(1),
            at: Timestamp(2),
            rows: 10,
            updated: 2,
            deleted: 1,
            k: None,
            after: Position(1),
            position: Position(position),
            sha256: [7; 32],
            is_state: false,
        }
    }

    #[test]
    fn up_to_where_a_feed_was_told_is_known_after_a_restart() {
        let (_dir, evidence) = log();
        let naver = PartnerId::new("naver").unwrap();
        let leaving = Leaving::open(evidence.clone()).unwrap();
        assert_eq!(leaving.told_up_to(&naver, "slots"), None);
        leaving.tell(vec![left(9), left(12)]).unwrap();
        assert_eq!(leaving.told_up_to(&naver, "slots"), Some(Position(12)));
        assert_eq!(Leaving::open(evidence).unwrap().told_up_to(&naver, "slots"), Some(Position(12)));
    }

    #[test]
    fn retention_keeps_each_kind_for_its_own_time() {
        let (dir, evidence) = log();
        Leaving::open(evidence.clone()).unwrap().tell(vec![left(9)]).unwrap();
        let access = |at, action| Access {
            at: Timestamp(at),
            actor: Actor::Bridge,
            action,
            subject: None,
            from: None,
            basis: String::new(),
            count: 1,
            position: Position(1),
        };
        evidence.record_blocking(access(0, Action::TokenGiven)).unwrap();
        evidence.record_blocking(access(0, Action::MappingActivated)).unwrap();
        let config = Config::default();
        let days = |days: u32| Timestamp(i64::from(days) * DAY_MS + 3);
        retain(&evidence, &config, days(config.evidence.access_days)).unwrap();
        let there = || -> Vec<u64> {
            let entries = evidence.entries(0, 9).unwrap();
            entries.into_iter().filter(|(_, entry)| entry.is_some()).map(|(index, _)| index).collect()
        };
        assert_eq!(there(), [0, 2, 3]);
        retain(&evidence, &config, days(config.evidence.record_days)).unwrap();
        assert_eq!(there(), [2, 3, 4]);
        assert!(verify(&dir.path().join("evidence.sqlite")).is_ok());
    }
}
