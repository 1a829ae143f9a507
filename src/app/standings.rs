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
        let of_feed = |line: &&Line| line.partner.as_ref() == Some(partner) && line.kind.is_some_and(|k| k.code() == feed);
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
