//! Where what runs stands right now: the gate that the publisher asks before every build, and what `status` shows.
//!
//! Owns the judgement of running versions between two reloads. Invariants: it only ever holds or lets go on what runs;
//! another version takes effect by a reload alone. An approval that ends by the clock is noticed by the clock, so a
//! folder that cannot be looked at does not keep it alive. What cannot be verified any more is held.

use std::collections::BTreeMap;
use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::in_force::{InForce, Judge, Line, Running, code, short, told};
use crate::approval::Standing;
use crate::domain::{PartnerId, Timestamp};
use crate::publish::{Gate, Hold, HoldReason, Served};

#[derive(Default)]
struct State {
    running: BTreeMap<String, Running>,
    lines: BTreeMap<String, Line>,
    remarks: Vec<String>,
    /// Why a running mapping is held, by id: one line.
    broken: BTreeMap<String, String>,
    /// Why the folder as a whole is no help: one line.
    folder: Option<String>,
}

impl State {
    /// Why this is held at `now`; `None`: it is not, or nothing is known of it.
    fn why(&self, partner: &PartnerId, feed: &str, now: Timestamp) -> Option<(String, bool)> {
        let of_feed =
            |line: &&Line| line.partner.as_ref() == Some(partner) && line.kind.is_some_and(|k| k.code() == feed);
        let line = self.lines.values().find(of_feed)?;
        let Some(running) = self.running.get(&line.id) else {
            let why = line.why.as_deref().unwrap_or("no version is in force");
            return Some((format!("{}: {why}", line.id), line.is_personal));
        };
        let version = format!("{} v{} {}", line.id, running.closure.mapping.version, short(&running.digest));
        let why = match self.broken.get(&line.id) {
            Some(why) => why.clone(),
            None if running.until <= now => format!("the approval ended at {}", running.until.rfc3339()),
            None if !running.closure.partner.has_contract(now) => {
                format!("contract {} does not run today", running.closure.partner.contract.number)
            }
            None => return None,
        };
        Some((format!("{version}: {why}"), running.closure.is_personal()))
    }
}

#[derive(Default)]
pub struct Standings(RwLock<State>);

impl Standings {
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.0.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.0.write().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// This runs from now on.
    pub fn set(&self, in_force: &InForce) {
        let (running, lines) = (in_force.running.clone(), in_force.lines.clone());
        let (broken, remarks) = (BTreeMap::new(), in_force.remarks.clone());
        *self.write() = State { running, lines, remarks, broken, folder: None };
    }

    pub fn running(&self) -> Vec<Running> {
        self.read().running.values().cloned().collect()
    }

    /// The approvals changed. Returns the running versions that an officer stopped since.
    pub fn rejudge(&self, judge: &dyn Judge, now: Timestamp) -> Vec<Running> {
        let running = self.running();
        let judged: Vec<(Running, Standing)> = running
            .into_iter()
            .map(|running| {
                let standing = judge.standing(&running.closure, now);
                (running, standing)
            })
            .collect();
        let mut state = self.write();
        let mut stopped = Vec::new();
        for (running, standing) in judged {
            let id = running.closure.id().to_owned();
            match &standing {
                Standing::InForce { until, .. } => {
                    state.broken.remove(&id);
                    if let Some(running) = state.running.get_mut(&id) {
                        running.until = *until;
                    }
                    if let Some(line) = state.lines.get_mut(&id) {
                        (line.standing, line.until_at) = (code(&standing), Some(*until));
                        line.until = Some(*until).filter(|at| at.0 != i64::MAX).map(Timestamp::rfc3339);
                    }
                }
                _ => {
                    if let Some(line) = state.lines.get_mut(&id) {
                        line.standing = code(&standing);
                    }
                    let was = state.broken.insert(id, told(&standing));
                    if matches!(standing, Standing::Stopped { .. }) && was.is_none() {
                        stopped.push(running);
                    }
                }
            }
        }
        stopped
    }

    /// What the folder holds beside what runs; `Err`: it does not load, and why.
    pub fn folder(&self, folder: Result<&InForce, String>) {
        let mut state = self.write();
        let folder = match folder {
            Ok(folder) => folder,
            Err(why) => {
                let line = format!("{why}; the daemon goes on with what it runs");
                if state.folder.as_ref() != Some(&line) {
                    tracing::warn!(why = line, "the mappings folder is not as it was");
                }
                state.folder = Some(line);
                return;
            }
        };
        state.folder = None;
        for (id, new) in &folder.lines {
            let running = state.running.get(id).map(|running| running.digest.clone());
            let found = folder.running.get(id).filter(|found| Some(&found.digest) != running.as_ref());
            let Some(line) = state.lines.get_mut(id) else { continue };
            let (waiting, why) = match found {
                Some(found) => {
                    let version = format!("v{} {}", found.closure.mapping.version, short(&found.digest));
                    (Some(version), Some("approved; `slotbridge reload` puts it into force".to_owned()))
                }
                None => (new.waiting.clone(), new.why.clone()),
            };
            if line.waiting != waiting && waiting.is_some() {
                tracing::info!(mapping = id, waiting, why, "a version waits; the daemon goes on with what it runs");
            }
            // Of what was held at the start the reason stays with it.
            if running.is_some() || found.is_some() {
                (line.waiting, line.why) = (waiting, why);
            }
        }
    }

    /// Section of `status`: a line a mapping.
    pub fn status(&self, now: Timestamp) -> serde_json::Value {
        let state = self.read();
        let rows = state.lines.values().map(|line| {
            let mut line = line.clone();
            if let (Some(partner), Some(kind), true) = (&line.partner, line.kind, line.version.is_some())
                && let Some((why, _)) = state.why(partner, kind.code(), now)
            {
                line.why = Some(why);
                if line.until_at.is_some_and(|until| until <= now) {
                    line.standing = "expired";
                }
            }
            serde_json::to_value(line).unwrap_or_default()
        });
        rows.collect()
    }

    /// Of no single mapping: one line each.
    pub fn remarks(&self) -> Vec<String> {
        let state = self.read();
        state.remarks.iter().chain(&state.folder).cloned().collect()
    }

    /// Days until each approval ends; -1 where none is in force.
    pub fn days_left(&self, now: Timestamp) -> Vec<(String, i64)> {
        let state = self.read();
        let days = |line: &Line| match (line.until_at, state.broken.get(&line.id)) {
            (Some(until), None) if until.0 == i64::MAX => NO_END_DAYS,
            (Some(until), None) if until > now => until.since_ms(now) / crate::domain::time::DAY_MS,
            _ => -1,
        };
        state.lines.values().map(|line| (line.id.clone(), days(line))).collect()
    }
}

/// What the metric says of what does not end.
const NO_END_DAYS: i64 = 36_500;

impl Gate for Standings {
    fn hold(&self, partner: &PartnerId, feed: &str, now: Timestamp) -> Option<Hold> {
        let (text, is_personal) = self.read().why(partner, feed, now)?;
        let served = if is_personal { Served::NotAtAll } else { Served::LastState };
        Some(Hold { reason: HoldReason::Approval, text, since: now, served })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::in_force::choose;
    use crate::app::in_force::tests::Known;
    use crate::mapping::testing::{load_edited, shipped};

    /// Within the contracts of the shipped partners.
    const NOW: Timestamp = Timestamp(1_795_000_000_000);

    fn standing(until: Timestamp) -> (Standings, Known) {
        let mut known = Known::all(&shipped());
        for standing in known.standing.values_mut() {
            *standing = Standing::InForce { note: "n1".to_owned(), until };
        }
        let standings = Standings::default();
        standings.set(&choose(shipped(), &known, NOW));
        (standings, known)
    }

    fn hold(standings: &Standings, feed: &str, now: Timestamp) -> Option<(String, Served)> {
        let hold = standings.hold(&PartnerId::new("naver").unwrap(), feed, now);
        hold.map(|hold| (hold.text, hold.served))
    }

    #[test]
    fn an_approval_that_ends_holds_at_that_moment_and_a_contract_on_its_last_day() {
        let until = NOW.plus_ms(1_000);
        let (standings, _) = standing(until);
        assert_eq!(hold(&standings, "slots", until.plus_ms(-1)), None);
        let (text, served) = hold(&standings, "slots", until).unwrap();
        assert!(text.starts_with("naver.slots v") && text.contains("the approval ended at"), "{text}");
        assert_eq!(served, Served::LastState);
        assert_eq!(hold(&standings, "bookings", until).unwrap().1, Served::NotAtAll, "about persons");
        let (standings, _) = standing(Timestamp(i64::MAX));
        let later = NOW.plus_ms(3 * 366 * crate::domain::time::DAY_MS);
        assert!(hold(&standings, "slots", later).unwrap().0.contains("does not run today"));
    }

    #[test]
    fn what_is_stopped_or_cannot_be_verified_is_held_until_it_can() {
        let (standings, mut known) = standing(Timestamp(i64::MAX));
        let digest = standings.running().into_iter().find(|r| r.closure.id() == "naver.slots").unwrap().digest;
        let good = known.standing[&digest].clone();
        known.standing.insert(digest.clone(), Standing::Stopped { by: "이영희".to_owned(), at: NOW });
        assert_eq!(standings.rejudge(&known, NOW).len(), 1);
        assert_eq!(standings.rejudge(&known, NOW).len(), 0, "written down once");
        assert!(hold(&standings, "slots", NOW).unwrap().0.contains("stopped by 이영희"));
        assert_eq!(hold(&standings, "sites", NOW), None);
        known.standing.insert(digest.clone(), Standing::Broken { why: "byte 7".to_owned() });
        standings.rejudge(&known, NOW);
        assert!(hold(&standings, "slots", NOW).unwrap().0.ends_with("not as signed: byte 7"));
        known.standing.insert(digest, good);
        standings.rejudge(&known, NOW);
        assert_eq!(hold(&standings, "slots", NOW), None);
    }

    #[test]
    fn a_changed_folder_holds_nothing_and_says_what_waits() {
        let (standings, known) = standing(Timestamp(i64::MAX));
        let new = load_edited(&[("naver/slots.toml", "\"5-9\"", "\"5-8\"")]).unwrap();
        standings.folder(Ok(&choose(new, &known, NOW)));
        assert_eq!(hold(&standings, "slots", NOW), None);
        let status = standings.status(NOW);
        let line = status.as_array().unwrap().iter().find(|line| line["mapping"] == "naver.slots").unwrap();
        assert_eq!(line["standing"], "in_force");
        assert!(line["waiting"].as_str().unwrap().starts_with('v'), "{line}");
        standings.folder(Err("naver/slots.toml:3:1: unknown field".to_owned()));
        assert_eq!(standings.remarks().len(), 1);
        assert_eq!(hold(&standings, "slots", NOW), None);
        assert_eq!(standings.days_left(NOW).len(), shipped().mappings().count());
    }
}
