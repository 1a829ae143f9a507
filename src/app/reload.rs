//! Another configuration and other mappings for a running daemon: all of it or nothing.
//!
//! Everything that can fail is done first, with nothing changed: read, load, choose what is in force, compile, make
//! keys ready, compare with what was in force before. Then the publisher builds what is new while partners read what
//! is old; only when that stands do answers, partners, limits and the gate change, which cannot fail.
//!
//! Rows in memory keep the columns that they were fetched with. A mapping that needs a column that is not fetched is
//! refused with a word about the restart that it takes: the alternative, to fetch and send every row anew beside
//! readers of the old order, risks that a value is read under another column's name. A column that is needed no longer
//! is fetched until then.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use ring::digest;
use serde::Serialize;
use serde_json::Value;

use super::activation::{self, History};
use super::approving::Approving;
use super::compiled::{self, Compiled};
use super::evident::{self, Leaving};
use super::in_force::{InForce, choose, short};
use super::meter::Condition;
use super::open::known_partners;
use super::standings::Standings;
use super::tokens::Tokens;
use super::{StartFailed, systemd};
use crate::answer::Answers;
use crate::config::{self, Config, Problems};
use crate::evidence::{Evidence, EvidenceError};
use crate::lint;
use crate::privacy::Ports;
use crate::publish;
use crate::serve::Partners;

/// From one look at the approvals to the next: an officer's stop takes effect within it.
pub const LOOK: Duration = Duration::from_secs(5);
/// Keys of the configuration that take effect at once. All others need a restart.
const LIVE: [&str; 4] = ["daemon.help_url", "daemon.origin", "mappings.dir", "mappings.genesis"];

/// Where the configuration comes from, and whose signatures count under it.
#[derive(Clone)]
pub struct Source {
    /// None: it is always the one of the start.
    pub file: Option<PathBuf>,
    pub approving: fn(&Config) -> Approving,
}

/// What a reload changes, and what it asks.
pub struct Live {
    pub source: Source,
    pub ports: Ports,
    pub answers: Arc<ArcSwap<Answers>>,
    pub partners: Arc<ArcSwap<Partners>>,
    pub tokens: Arc<Tokens>,
    pub control: publish::Control,
    pub condition: Arc<Condition>,
    pub standings: Arc<Standings>,
    pub evidence: Arc<Evidence>,
    pub leaving: Arc<Leaving>,
}

pub struct Reloader {
    live: Live,
    state: Mutex<State>,
}

struct State {
    /// With the live keys of the last reload.
    config: Config,
    in_force: InForce,
    layouts: Vec<crate::mapping::Layout>,
    /// Of the folder's files when they were looked at last.
    looked: Option<[u8; 32]>,
}

/// What a mapping was and is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Changed {
    pub mapping: String,
    /// `same`, `narrower`, `wider`; `ended` where nothing is in force any more.
    pub verdict: &'static str,
    pub from: Option<String>,
    pub to: Option<String>,
    pub why: Option<String>,
}

/// What a reload did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Reloaded {
    /// Mappings whose version in force changed, and those that wait.
    pub mappings: Vec<Changed>,
    pub remarks: Vec<String>,
    /// Keys of the configuration that changed and are in effect.
    pub in_effect: Vec<String>,
    /// Keys that changed and need a restart.
    pub need_restart: Vec<String>,
    pub feeds_made: usize,
    pub items_changed: u64,
    pub numbers_reserved: u64,
}

/// Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", problems.join("\n"))]
pub struct NotReloaded {
    pub code: &'static str,
    pub problems: Vec<String>,
}

impl NotReloaded {
    fn one(code: &'static str, problem: impl ToString) -> NotReloaded {
        NotReloaded { code, problems: vec![problem.to_string()] }
    }
}

impl From<Problems> for NotReloaded {
    fn from(problems: Problems) -> NotReloaded {
        let code = problems.0.first().map_or("config", |problem| problem.code);
        NotReloaded { code, problems: lines(&problems) }
    }
}

impl From<EvidenceError> for NotReloaded {
    fn from(error: EvidenceError) -> NotReloaded {
        NotReloaded::one(error.code(), error)
    }
}

impl From<StartFailed> for NotReloaded {
    fn from(error: StartFailed) -> NotReloaded {
        NotReloaded::one(error.code(), error)
    }
}

fn lines(problems: &Problems) -> Vec<String> {
    let line = |problem: &config::Problem| match problem.place() {
        Some((line, column)) => format!("{}:{line}:{column}: {}", problem.file.display(), problem.message),
        None => format!("{}: {}", problem.file.display(), problem.message),
    };
    problems.0.iter().map(line).collect()
}

impl Reloader {
    pub fn new(live: Live, config: Config, compiled: &Compiled) -> Reloader {
        let (in_force, layouts) = (compiled.in_force.clone(), compiled.layouts());
        Reloader { live, state: Mutex::new(State { config, in_force, layouts, looked: None }) }
    }

    pub fn tokens(&self) -> &Tokens {
        &self.live.tokens
    }

    /// Blocks until everything is in effect, or nothing is; must not be called on a tokio worker.
    pub fn reload(&self) -> Result<Reloaded, NotReloaded> {
        let Ok(mut state) = self.state.try_lock() else {
            return Err(NotReloaded::one("busy", "a reload, or a look at the approvals, is going on: try again"));
        };
        systemd::reloading();
        let done = self.reload_with(&mut state);
        systemd::ready();
        match &done {
            Ok(done) => tracing::info!(
                mappings = done.mappings.iter().map(Changed::line).collect::<Vec<_>>().join("; "),
                items_changed = done.items_changed,
                need_restart = done.need_restart.join(" "),
                "reloaded"
            ),
            Err(error) => tracing::warn!(code = error.code, %error, "not reloaded; everything is as it was"),
        }
        done
    }

    fn reload_with(&self, state: &mut State) -> Result<Reloaded, NotReloaded> {
        let now = self.live.condition.clock.now();
        let wanted = match &self.live.source.file {
            Some(file) => config::load(file)?.config,
            None => state.config.clone(),
        };
        let (in_effect, need_restart) = differences(&state.config, &wanted);
        let mut config = state.config.clone();
        (config.daemon.help_url, config.daemon.origin) = (wanted.daemon.help_url, wanted.daemon.origin);
        config.mappings = wanted.mappings;
        let dir = config.mappings.dir.clone();
        let files = compiled::read(&dir)?;
        let judge = (self.live.source.approving)(&config).judge(&files);
        let in_force = choose(compiled::judge(&dir, &files)?, &*judge, now);
        let history = History::read(&self.live.evidence.of_mappings()?);
        let back = history.goes_back(&in_force);
        if !back.is_empty() {
            let problems = back.iter().map(|(id, why)| format!("{id}: {why}")).collect();
            return Err(NotReloaded { code: "rolled_back", problems });
        }
        let compiled = Compiled::of(in_force, &dir, &self.live.ports, Some(&state.layouts))?;
        let prepared = self.live.tokens.prepare(compiled.set(), now);
        let prepared = prepared.map_err(|error| NotReloaded::one(error.code(), error))?;
        let known = known_partners(&config, compiled.set())?;
        let answers = compiled.answers(&config);
        for entry in history.missing(&compiled.in_force, now, self.live.condition.view.durable()) {
            self.live.evidence.record_blocking(entry)?;
        }
        self.note(&*judge)?;
        let plans = compiled.plans();
        self.live.leaving.in_force(&compiled.in_force, plans.iter());
        let rebound = self.live.control.rebind(plans);
        let rebound = rebound.map_err(|error| NotReloaded::one(error.code(), error))?;
        // Nothing fails from here on.
        self.live.standings.set(&compiled.in_force);
        self.live.condition.capture.set_catalogue(&compiled.set().catalogue().objects);
        self.live.answers.store(Arc::new(answers));
        self.live.partners.store(Arc::new(known));
        self.live.tokens.apply(prepared);
        self.live.condition.partners.store(Arc::new(compiled.set().partners().cloned().collect()));
        let reloaded = Reloaded {
            mappings: changes(&state.in_force, &compiled.in_force),
            remarks: compiled.in_force.remarks.clone(),
            in_effect,
            need_restart,
            feeds_made: rebound.made,
            items_changed: rebound.changed,
            numbers_reserved: rebound.reserved,
        };
        (state.config, state.in_force, state.looked) = (config, compiled.in_force, Some(hash(&files)));
        Ok(reloaded)
    }

    /// Writes down what officers signed since.
    fn note(&self, judge: &dyn super::in_force::Judge) -> Result<(), EvidenceError> {
        let evidence = &self.live.evidence;
        evidence.record_all_blocking(evident::new_notes(judge, evidence, self.live.condition.clock.now())?)
    }

    /// Looks whether the approvals still say what they said. Cheap while the folder's files stay as they are.
    pub fn look(&self) {
        let Ok(mut state) = self.state.try_lock() else { return };
        let (now, standings) = (self.live.condition.clock.now(), &self.live.standings);
        let approving = (self.live.source.approving)(&state.config);
        let dir = state.config.mappings.dir.clone();
        let files = match compiled::read(&dir) {
            Ok(files) => files,
            Err(problems) => {
                state.looked = None;
                standings.rejudge(&Unreadable, now);
                return standings.folder(Err(lines(&problems).join("; ")));
            }
        };
        let hash = hash(&files);
        if state.looked == Some(hash) {
            return;
        }
        let judge = approving.judge(&files);
        if let Err(error) = self.note(&*judge) {
            tracing::error!(code = error.code(), %error, "what officers signed could not be recorded");
        }
        for running in standings.rejudge(&*judge, now) {
            let entry = activation::stopped(&running, now, self.live.condition.view.durable());
            if let Err(error) = self.live.evidence.record_blocking(entry) {
                tracing::error!(code = error.code(), %error, "that a mapping was stopped could not be recorded");
            }
        }
        match compiled::judge(&dir, &files) {
            Ok(set) => standings.folder(Ok(&choose(set, &*judge, now))),
            Err(problems) => standings.folder(Err(lines(&problems).into_iter().next().unwrap_or_default())),
        }
        state.looked = Some(hash);
    }
}

/// Stands for approvals that cannot be read.
struct Unreadable;

impl super::in_force::Judge for Unreadable {
    fn roster_head(&self) -> Option<String> {
        None
    }

    fn standing(&self, _: &crate::privacy::Closure, _: crate::domain::Timestamp) -> crate::approval::Standing {
        crate::approval::Standing::Broken { why: "the mappings folder cannot be read".to_owned() }
    }

    fn in_force(
        &self,
        _: &str,
        _: crate::domain::Timestamp,
    ) -> Option<(crate::privacy::Closure, crate::approval::Standing)> {
        None
    }
}

impl Changed {
    fn line(&self) -> String {
        let text = |digest: &Option<String>| digest.clone().unwrap_or_else(|| "nothing".to_owned());
        format!("{} {}: {} -> {}", self.mapping, self.verdict, text(&self.from), text(&self.to))
    }
}

fn changes(before: &InForce, after: &InForce) -> Vec<Changed> {
    let ids = before.lines.keys().chain(after.lines.keys()).collect::<std::collections::BTreeSet<_>>();
    let of = |id: &String| {
        let (was, is) = (before.running.get(id), after.running.get(id));
        let line = after.lines.get(id);
        let why = line.and_then(|line| line.why.clone());
        let digest = |running: Option<&super::in_force::Running>| running.map(|r| short(&r.digest).to_owned());
        if was.map(|was| &was.digest) == is.map(|is| &is.digest) && why.is_none() {
            return None;
        }
        let verdict = match is {
            Some(is) => lint::compare(was.map(|was| &was.closure), &is.closure).verdict.code(),
            None if was.is_some() => "ended",
            None => "waiting",
        };
        Some(Changed { mapping: id.clone(), verdict, from: digest(was), to: digest(is), why })
    };
    ids.into_iter().filter_map(of).collect()
}

/// Keys that differ, as `section.key`: those in effect at once, and the others.
fn differences(before: &Config, after: &Config) -> (Vec<String>, Vec<String>) {
    let value = |config: &Config| serde_json::to_value(config).unwrap_or_default();
    let (before, after) = (value(before), value(after));
    let mut keys = Vec::new();
    let none = Value::Null;
    let sections = |value: &Value| value.as_object().map(|o| o.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
    let mut names = sections(&before);
    names.extend(sections(&after));
    names.sort();
    names.dedup();
    for section in names {
        let (was, is) = (before.get(&section).unwrap_or(&none), after.get(&section).unwrap_or(&none));
        let mut within = sections(was);
        within.extend(sections(is));
        within.sort();
        within.dedup();
        keys.extend(within.into_iter().filter(|key| was.get(key) != is.get(key)).map(|key| format!("{section}.{key}")));
    }
    keys.into_iter().partition(|key| LIVE.contains(&key.as_str()))
}

fn hash(files: &std::collections::BTreeMap<String, Vec<u8>>) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for (name, bytes) in files {
        for part in [name.as_bytes(), bytes] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}
