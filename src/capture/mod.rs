//! Reads the legacy system into the mirror and tells the desk what changed.
//!
//! Owns the mirror. Never decides about units or bookings, and never holds a CI, a resident number, a birth date or
//! a name beyond the row it stands in: a CI goes into the table in memory and nowhere else.
//!
//! Invariants: a poll that did not end well changes nothing; a change is committed to the mirror before the desk
//! hears of it and counts as taken only when it is durable in the ledger, so a crash repeats and never loses; a cut
//! that would end too many rows is not believed until somebody confirms it; a view that is not as declared halts its
//! own cut group and nothing else; bookings cost no statement here.
//!
//! Three lanes, each a thread with a connection: full cuts, hints between them, persons. `lane` and `hints` read,
//! `turns` says what is due and what a failure means, `pace` how often, `fresh` how fresh the outcome is, `drift`
//! whether the views still fit.
//!
//! A poll goes stage → mirror (position empty) → desk → position. The alternative, diffing in memory, needs 200 MB
//! for 4 M slots and a rebuild at each start; this one costs a lookup in SQLite a row (2 µs).

mod convert;
mod drift;
mod facts;
mod fresh;
mod hints;
mod lane;
mod lanes;
mod mirror;
mod pace;
mod persons;
mod remap;
mod settings;
mod stage;
mod stats;
mod turns;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use tokio::sync::watch;

use crate::clock::Clock;
use crate::domain::{ObjectName, Position, SlotKey, Timestamp};
use crate::durable::Answer;
use crate::intake::{FACTS_MAX, Intake};
use crate::legacy::LegacyError;
use crate::mapping::{Layout, Role};
use crate::register::{Register, RegisterError};
use crate::view::{PollMark, View};

pub use convert::{BadRow, Fault, Kind, Plan};
pub use drift::{TellDrift, drift};
pub use facts::PositionedFacts;
pub use lane::{Lane, Report};
pub use lanes::Running;
use mirror::Waiting;
pub use mirror::{Mirror, Scope};
pub use pace::BRAKED_MS;
pub use settings::{HintKind, Hints, Hours, Settings};
pub use stats::{Poll, PollStats, RefusedCut, Stats};
pub use turns::{Connect, Turns};

#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    #[error("object {object} has no column with role {role:?}")]
    Role { object: ObjectName, role: Role },
    #[error(transparent)]
    Legacy(#[from] LegacyError),
    #[error("the mirror could not be read or written")]
    Store {
        #[from]
        source: rusqlite::Error,
    },
    #[error("the mirror holds a row of object {object} that cannot be read; it can be deleted and is then rebuilt")]
    Stored { object: ObjectName },
    #[error(transparent)]
    Register(#[from] RegisterError),
    #[error("the desk has stopped")]
    DeskStopped,
    /// Whoever runs the threads wants them to end.
    #[error("capture is stopping")]
    Stopping,
    #[error("the desk answered {answered} of {sent} facts")]
    Answer { sent: usize, answered: u32 },
    #[error("hint {hint} cannot look at object {object}: its layout lacks the role, or no key is known")]
    Hint { object: ObjectName, hint: &'static str },
    #[error("object {object} has no layout")]
    Unknown { object: String },
    #[error("no random number for the CI table")]
    Random,
}

impl CaptureError {
    pub fn code(&self) -> &'static str {
        match self {
            CaptureError::Role { .. } => "capture_role",
            CaptureError::Legacy(error) => error.kind.code(),
            CaptureError::Store { .. } | CaptureError::Stored { .. } => "mirror_store",
            CaptureError::Register(error) => error.code(),
            CaptureError::DeskStopped => "desk_stopped",
            CaptureError::Stopping => "stopping",
            CaptureError::Answer { .. } => "desk_answer",
            CaptureError::Hint { .. } => "capture_hint",
            CaptureError::Unknown { .. } => "capture_object",
            CaptureError::Random => "random",
        }
    }
}

/// Keys of slots worth a look of their own: with escrow, or asked for lately.
pub type HotKeys = Box<dyn Fn() -> Vec<SlotKey> + Send + Sync>;

/// What capture works with.
pub struct Parts {
    pub mirror_path: PathBuf,
    pub register: Arc<Register>,
    pub intake: Intake,
    pub view: Arc<View>,
    pub clock: Arc<dyn Clock>,
    /// One layout an object that has a view.
    pub layouts: Vec<Layout>,
    pub settings: Settings,
    pub hot_keys: Option<HotKeys>,
}

pub struct Capture {
    pub(crate) mirror: Mirror,
    register: Arc<Register>,
    intake: Intake,
    view: Arc<View>,
    clock: Arc<dyn Clock>,
    plans: Vec<Plan>,
    settings: Settings,
    hot_keys: Option<HotKeys>,
    stats: Mutex<Stats>,
    marks: Mutex<BTreeMap<ObjectName, PollMark>>,
    lag: Mutex<fresh::Lag>,
    /// What the first full cut of this process saw of each object: from there on its hints read.
    firsts: Mutex<BTreeMap<ObjectName, hints::First>>,
    halts: Mutex<BTreeMap<ObjectName, drift::Halt>>,
    watch: Mutex<drift::Watch>,
    /// When the columns of an object were last found to fit.
    checks: Mutex<BTreeMap<ObjectName, Instant>>,
    /// Cuts of an object in a row for which the undo did not reach back.
    too_old: Mutex<BTreeMap<ObjectName, u32>>,
    guard: Mutex<Guard>,
    /// Held while a batch is with the desk: one batch at a time, so that no change is sent twice at once.
    delivery: Mutex<()>,
    /// Rows that hints read while a full cut of their object runs, and as of when.
    sightings: Mutex<Option<Sightings>>,
    resent: watch::Sender<bool>,
    stopping: AtomicBool,
}

#[derive(Default)]
struct Guard {
    refused: BTreeMap<ObjectName, RefusedCut>,
    /// Object → rows that the next cut may end.
    confirmed: BTreeMap<ObjectName, u64>,
}

/// Rows remembered beside a full cut; beyond it the cut is dropped and tried again.
const SIGHTINGS_MAX: usize = 1_000_000;
/// Chunks of facts that share one wait for the disk. 8,000 facts keep the desk busy for some 30 ms, so that bookings
/// of the same moment do not wait noticeably longer.
const CHUNKS_MAX: usize = 4;

struct Sightings {
    /// Objects of the cut that runs.
    objects: Vec<ObjectName>,
    rows: HashMap<(ObjectName, Box<str>), Timestamp>,
    overflown: bool,
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Capture {
    pub fn new(parts: Parts) -> Result<Arc<Capture>, CaptureError> {
        let plans = parts.layouts.iter().map(Plan::new).collect::<Result<Vec<_>, _>>()?;
        for plan in &plans {
            let object = &plan.layout.object;
            let hints = parts.settings.hints.get(object).into_iter().flatten();
            if let Some(hint) = hints.copied().find(|hint| !hint.fits(plan)) {
                return Err(CaptureError::Hint { object: object.clone(), hint: hint.code() });
            }
            parts.view.set_pace_of_ms(object, parts.settings.pace_ms(plan));
        }
        Ok(Arc::new(Capture {
            mirror: Mirror::open(&parts.mirror_path, &plans)?,
            register: parts.register,
            intake: parts.intake,
            view: parts.view,
            clock: parts.clock,
            plans,
            settings: parts.settings,
            hot_keys: parts.hot_keys,
            stats: Mutex::default(),
            marks: Mutex::default(),
            lag: Mutex::default(),
            firsts: Mutex::default(),
            halts: Mutex::default(),
            watch: Mutex::default(),
            checks: Mutex::default(),
            too_old: Mutex::default(),
            guard: Mutex::default(),
            delivery: Mutex::default(),
            sightings: Mutex::default(),
            resent: watch::channel(false).0,
            stopping: AtomicBool::new(false),
        }))
    }

    /// For `Desk::replay`, before anything is sent.
    pub fn positioned_facts(&self) -> Result<PositionedFacts, CaptureError> {
        self.mirror.positioned_facts()
    }

    /// Sends everything that has no position (again). Once, after replay and before intake opens.
    pub fn resend(&self) -> Result<u64, CaptureError> {
        let sent = self.deliver(Scope::Everything)?.0;
        self.resent.send_replace(true);
        Ok(sent)
    }

    /// True once `resend` is through: from then on the view holds everything that was known before the restart.
    pub fn resent(&self) -> watch::Receiver<bool> {
        self.resent.subscribe()
    }

    pub fn stats(&self) -> Stats {
        let mut stats = locked(&self.stats).clone();
        stats.drifted = self.drifted();
        stats.halted = locked(&self.halts).iter().map(|(object, halt)| (object.clone(), halt.why.clone())).collect();
        stats
    }

    /// Cuts that are not believed, an object at a time.
    pub fn refused(&self) -> Vec<RefusedCut> {
        locked(&self.guard).refused.values().cloned().collect()
    }

    /// Somebody says that the rows are really gone: the next cut may end as many as were refused and a tenth more.
    /// False when nothing is refused.
    pub fn confirm(&self, object: &ObjectName) -> bool {
        let mut guard = locked(&self.guard);
        let Some(lost) = guard.refused.get(object).map(|refused| refused.lost) else { return false };
        guard.confirmed.insert(object.clone(), lost + lost / 10);
        true
    }

    /// Is the loss believed? A confirmation is used up by a cut that it lets through.
    fn believe(&self, object: &ObjectName, live: u64, lost: u64, rows: u64) -> Result<(), RefusedCut> {
        let mut guard = locked(&self.guard);
        let emptied = live > 0 && rows == 0;
        let share = u64::from(self.settings.loss_percent_max);
        let too_many = live >= self.settings.loss_rows_min && lost * 100 > live * share;
        if !(emptied || too_many) || guard.confirmed.get(object).is_some_and(|most| lost <= *most) {
            return Ok(());
        }
        let refused = RefusedCut { object: object.clone(), at: self.clock.now(), live, lost };
        let first = guard.refused.insert(object.clone(), refused.clone()).is_none();
        drop(guard);
        locked(&self.stats).refused_cuts += 1;
        if first {
            tracing::warn!(
                object = %object, live, lost,
                "a cut would end too many rows at once; it is refused until confirmed"
            );
        }
        Err(refused)
    }

    /// The cut of these objects was believed and applied.
    fn believed<'a>(&self, objects: impl Iterator<Item = &'a ObjectName>) {
        let mut guard = locked(&self.guard);
        for object in objects {
            guard.refused.remove(object);
            guard.confirmed.remove(object);
        }
    }

    /// Sends what waits, a bounded batch at a time, until nothing in scope waits. Returns how many, and the position
    /// of the last one.
    fn deliver(&self, scope: Scope) -> Result<(u64, Option<Position>), CaptureError> {
        let (mut sent, mut last) = (0, None);
        loop {
            self.go_on()?;
            let _turn = locked(&self.delivery);
            let waiting = self.mirror.waiting(scope, FACTS_MAX * CHUNKS_MAX)?;
            if waiting.is_empty() {
                return Ok((sent, last));
            }
            let facts = |chunk: &[Waiting]| chunk.iter().map(|waiting| waiting.fact.clone()).collect();
            let chunks: Vec<&[Waiting]> = waiting.chunks(FACTS_MAX).collect();
            let answers = self.intake.facts(chunks.iter().map(|chunk| facts(chunk)).collect());
            for (chunk, answer) in chunks.iter().zip(answers.map_err(|_| CaptureError::DeskStopped)?) {
                let first = match answer {
                    Answer::Facts { first, count } if count as usize == chunk.len() => first,
                    Answer::Facts { count, .. } => {
                        return Err(CaptureError::Answer { sent: chunk.len(), answered: count });
                    }
                    Answer::NotDurable => return Err(CaptureError::DeskStopped),
                    _ => return Err(CaptureError::Answer { sent: chunk.len(), answered: 0 }),
                };
                self.mirror.set_positions(chunk, first)?;
                sent += chunk.len() as u64;
                last = Some(first.plus(chunk.len() as u64 - 1));
                locked(&self.stats).facts += chunk.len() as u64;
            }
        }
    }

    /// A long poll or delivery asks this at each step, so that a stop takes no longer than one.
    fn go_on(&self) -> Result<(), CaptureError> {
        if self.stopping.load(Ordering::Acquire) { Err(CaptureError::Stopping) } else { Ok(()) }
    }

    fn plan(&self, object: &str) -> Option<&Plan> {
        self.plans.iter().find(|plan| plan.layout.object.as_str() == object)
    }
}

/// Milliseconds from the start of a poll that kept the legacy system busy for `read_ms` to the next:
/// `max(interval, read / max duty)`.
pub fn next_poll_ms(interval_ms: u64, read_ms: u64, duty_percent_max: u32) -> u64 {
    let by_duty = read_ms.saturating_mul(100) / u64::from(duty_percent_max.clamp(1, 100));
    interval_ms.max(by_duty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_poll_waits_so_long_that_it_stays_within_its_duty() {
        for (interval, elapsed, duty, next) in
            [(200, 0, 5, 200), (200, 10, 5, 200), (200, 30, 5, 600), (600_000, 60_000, 5, 1_200_000), (1, 7, 0, 700)]
        {
            assert_eq!(next_poll_ms(interval, elapsed, duty), next);
        }
    }
}
