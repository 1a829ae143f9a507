//! Polls over one connection: full cuts and hints. Plain functions over a reader, so that tests need no thread.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::convert::{Kind, Plan};
use super::mirror::Scope;
use super::stage::{Intaking, Seen, Stage};
use super::stats::{Poll, RefusedCut};
use super::{Capture, CaptureError, SIGHTINGS_MAX, Sightings, locked};
use crate::domain::{ObjectName, SlotKey, Timestamp, Value};
use crate::legacy::{CutInfo, Hint, LegacyError, LegacyErrorKind, LegacyRead};
use crate::mapping::{Layout, Role};

/// What a poll did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    pub rows: u64,
    pub changed: u64,
    pub gone: u64,
    pub bad: u64,
    /// How long the legacy system was kept busy.
    pub read_us: u64,
    /// The legacy system's clock when the poll began to read.
    pub as_of: Timestamp,
    /// Why nothing was applied: the cut was not believed.
    pub refused: Option<RefusedCut>,
}

/// Keys of one `Hint::Keys` statement and statements of one round.
const KEYS_MAX: usize = 500;
const KEY_ROUNDS_MAX: usize = 4;

/// One thread's place of work: its stage and how far its hints have read.
pub struct Lane {
    pub(super) capture: Arc<Capture>,
    pub(super) stage: Stage,
    /// Per object: `as_of` of the latest fast poll.
    fast: BTreeMap<ObjectName, Timestamp>,
    sweep: BTreeMap<ObjectName, Timestamp>,
}

type Sink<'a> = dyn FnMut(usize, Vec<Value>) -> Result<(), LegacyError> + 'a;

impl Lane {
    pub fn new(capture: &Arc<Capture>) -> Result<Lane, CaptureError> {
        let stage = Stage::new(&capture.mirror)?;
        Ok(Lane { capture: capture.clone(), stage, fast: BTreeMap::new(), sweep: BTreeMap::new() })
    }

    /// Cut groups: what must agree is read in one transaction.
    pub fn groups(capture: &Capture) -> Vec<Vec<ObjectName>> {
        let name = |plan: &Plan| plan.layout.object.clone();
        let of = |kinds: &[Kind]| -> Vec<ObjectName> {
            capture.plans.iter().filter(|plan| kinds.contains(&plan.kind)).map(name).collect()
        };
        let single = |kind| of(&[kind]).into_iter().map(|object| vec![object]).collect::<Vec<_>>();
        let mut groups = single(Kind::Site);
        groups.push(of(&[Kind::Slot, Kind::Reservation]));
        groups.extend(single(Kind::Item));
        groups.retain(|group| !group.is_empty());
        groups
    }

    /// Reads all rows of the group's objects in one cut. A reader's error leaves everything as it was.
    pub fn full(&mut self, group: &[ObjectName], reader: &mut dyn LegacyRead) -> Result<Report, CaptureError> {
        let capture = self.capture.clone();
        let begun = (capture.clock.now(), Instant::now());
        let plans = self.plans(group)?;
        let offers = plans.iter().any(|plan| plan.kind == Kind::Slot);
        if offers {
            *locked(&capture.sightings) = Some(Sightings::default());
        }
        let report = self.full_applied(&plans, reader);
        if offers {
            *locked(&capture.sightings) = None;
        }
        let report = report.inspect_err(|_| capture.count_failure(Poll::Full))?;
        if report.refused.is_none() {
            let (_, last) = capture.deliver(Scope::Rows)?;
            if offers {
                capture.mark(begun.0, last, true);
                for plan in &plans {
                    self.fast.entry(plan.layout.object.clone()).or_insert(report.as_of);
                    self.sweep.entry(plan.layout.object.clone()).or_insert(report.as_of);
                }
            }
        }
        capture.count(Poll::Full, &report, begun.1);
        Ok(report)
    }

    fn full_applied(&mut self, plans: &[Plan], reader: &mut dyn LegacyRead) -> Result<Report, CaptureError> {
        let capture = self.capture.clone();
        let (info, mut report, missing) = {
            let mut intaking = self.intaking(plans)?;
            intaking.seen = Some(vec![Seen::default(); plans.len()]);
            let layouts: Vec<&Layout> = plans.iter().map(|plan| &plan.layout).collect();
            let info = read(&capture, &mut intaking, |sink| reader.cut(&layouts, sink))?;
            let seen = intaking.seen.take().unwrap_or_default();
            let report = finish(&capture, Poll::Full, plans, intaking);
            let mut missing = Vec::new();
            for (plan, seen) in plans.iter().zip(&seen) {
                missing.push(self.stage.offer_missing(&plan.layout.object, seen)?);
            }
            (info, report, missing)
        };
        report.as_of = info.as_of;
        for ((plan, missing), tally) in plans.iter().zip(missing).zip(&report.tallies) {
            let object = &plan.layout.object;
            if let Err(refused) = self.capture.believe(object, missing.live, missing.lost, tally.rows) {
                self.stage.discard()?;
                return Ok(Report { refused: Some(refused), ..report.told() });
            }
        }
        self.stage.end()?;
        let _writer = capture.mirror.writer();
        self.drop_sighted(plans, info.as_of)?;
        let (changed, gone) = self.stage.apply(info.as_of)?;
        capture.believed(plans.iter().map(|plan| &plan.layout.object));
        Ok(Report { changed, gone, ..report.told() })
    }

    /// What a hint read at or after the cut's own moment is newer than the cut.
    fn drop_sighted(&mut self, plans: &[Plan], as_of: Timestamp) -> Result<(), CaptureError> {
        let sightings = locked(&self.capture.sightings);
        let Some(sightings) = sightings.as_ref().filter(|_| plans.iter().any(|plan| plan.kind == Kind::Slot)) else {
            return Ok(());
        };
        if sightings.overflown {
            self.stage.discard()?;
            return Err(CaptureError::Legacy(LegacyError::new(
                LegacyErrorKind::Retry,
                String::from("too many rows changed while the cut ran; it is read again"),
            )));
        }
        for ((object, key), _) in sightings.rows.iter().filter(|(_, seen)| **seen >= as_of) {
            self.stage.forget(object, key)?;
        }
        Ok(())
    }

    /// The `timestamp` hint over slots and reservations: `Poll::Fast` or `Poll::Sweep`. Objects that no full cut of
    /// this process has covered yet are left to it. `None`: nothing to read yet.
    pub fn changes(&mut self, poll: Poll, reader: &mut dyn LegacyRead) -> Result<Option<Report>, CaptureError> {
        let capture = self.capture.clone();
        let begun = (capture.clock.now(), Instant::now());
        let mut total: Option<Report> = None;
        for plan in capture.plans.iter().filter(|plan| matches!(plan.kind, Kind::Slot | Kind::Reservation)) {
            let Some(since) = self.since(poll, plan) else { continue };
            let plans = std::slice::from_ref(plan);
            let applied = self.hinted(poll, plans, |layout, sink| reader.hinted(layout, &Hint::Since(since), sink));
            let report = applied.inspect_err(|_| capture.count_failure(poll))?;
            let marks = if poll == Poll::Sweep { &mut self.sweep } else { &mut self.fast };
            marks.insert(plan.layout.object.clone(), report.as_of);
            total = Some(sum(total, report));
        }
        let Some(report) = total else { return Ok(None) };
        let (_, last) = capture.deliver(Scope::Rows)?;
        if poll == Poll::Fast {
            capture.mark(begun.0, last, false);
        }
        capture.count(poll, &report, begun.1);
        Ok(Some(report))
    }

    /// From when on this lane's hints may read: the moment of a full cut that is applied.
    pub fn follow(&mut self, as_of: Timestamp) {
        for plan in self.capture.plans.iter().filter(|plan| plan.layout.at_role(Role::UpdatedAt).is_some()) {
            self.fast.entry(plan.layout.object.clone()).or_insert(as_of);
            self.sweep.entry(plan.layout.object.clone()).or_insert(as_of);
        }
    }

    fn since(&self, poll: Poll, plan: &Plan) -> Option<Timestamp> {
        plan.layout.at_role(Role::UpdatedAt)?;
        let settings = &self.capture.settings;
        let (marks, overlap_ms) = match poll {
            Poll::Sweep => (&self.sweep, settings.sweep_overlap_ms),
            _ => (&self.fast, settings.fast_overlap_ms),
        };
        marks.get(&plan.layout.object).map(|mark| mark.plus_ms(-overlap_ms))
    }

    /// The `hot_set` hint: slots by key. A key without a row is left to the next full cut.
    pub fn hot(&mut self, keys: &[SlotKey], reader: &mut dyn LegacyRead) -> Result<Report, CaptureError> {
        let capture = self.capture.clone();
        let begun = Instant::now();
        let plan = capture.plan("slot").ok_or_else(|| CaptureError::Unknown { object: String::from("slot") })?;
        let mut total = None;
        for keys in keys.chunks(KEYS_MAX).take(KEY_ROUNDS_MAX) {
            let keys: Vec<&str> = keys.iter().map(SlotKey::as_str).collect();
            let plans = std::slice::from_ref(plan);
            let applied = self.hinted(Poll::Hot, plans, |layout, sink| reader.hinted(layout, &Hint::Keys(&keys), sink));
            let report = applied.inspect_err(|_| capture.count_failure(Poll::Hot))?;
            total = Some(sum(total, report));
        }
        capture.deliver(Scope::Rows)?;
        let report = total.unwrap_or_default();
        capture.count(Poll::Hot, &report, begun);
        Ok(report)
    }

    fn hinted(
        &mut self,
        poll: Poll,
        plans: &[Plan],
        ask: impl FnOnce(&Layout, &mut crate::legacy::RowSink<'_>) -> Result<CutInfo, LegacyError>,
    ) -> Result<Report, CaptureError> {
        let capture = self.capture.clone();
        let mut intaking = self.intaking(plans)?;
        intaking.sighted = Some(Vec::new());
        let layout = &plans[0].layout;
        let info = read(&capture, &mut intaking, |sink| ask(layout, &mut |row| sink(0, row)))?;
        let sighted = intaking.sighted.take().unwrap_or_default();
        let report = finish(&capture, poll, plans, intaking);
        self.stage.end()?;
        let _writer = capture.mirror.writer();
        if let Some(sightings) = locked(&capture.sightings).as_mut() {
            let rows = sighted.into_iter().map(|(_, key)| ((layout.object.clone(), key), info.as_of));
            sightings.rows.extend(rows);
            sightings.overflown |= sightings.rows.len() > SIGHTINGS_MAX;
        }
        let (changed, gone) = self.stage.apply(info.as_of)?;
        Ok(Report { changed, gone, as_of: info.as_of, ..report.told() })
    }

    fn plans(&self, group: &[ObjectName]) -> Result<Vec<Plan>, CaptureError> {
        let plan = |object: &ObjectName| {
            let plan = self.capture.plan(object.as_str()).cloned();
            plan.ok_or_else(|| CaptureError::Unknown { object: object.to_string() })
        };
        group.iter().map(plan).collect()
    }

    fn intaking<'a>(&'a mut self, plans: &'a [Plan]) -> Result<Intaking<'a>, CaptureError> {
        self.stage.begin()?;
        Ok(Intaking::new(plans, &self.capture.register, &mut self.stage))
    }
}

/// Runs a read into the stage. A failure of ours ends the read and is told instead of the reader's.
fn read(
    capture: &Capture,
    intaking: &mut Intaking<'_>,
    ask: impl FnOnce(&mut Sink<'_>) -> Result<CutInfo, LegacyError>,
) -> Result<CutInfo, CaptureError> {
    let mut own = None;
    let mut sink = |plan: usize, row: Vec<Value>| {
        capture.go_on().and_then(|()| intaking.row(plan, row)).map_err(|error| {
            own = Some(error);
            row_not_taken()
        })
    };
    let begun = Instant::now();
    let info = ask(&mut sink);
    intaking.read_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
    let result = match (own, info) {
        (Some(own), _) => Err(own),
        (None, Err(error)) => Err(error.into()),
        (None, Ok(info)) => intaking.flush().map(|()| info),
    };
    if result.is_err() {
        intaking.stage.discard()?;
    }
    result
}

/// Tells the reader to stop; the failure itself is ours and is told instead.
pub(super) fn row_not_taken() -> LegacyError {
    LegacyError::new(LegacyErrorKind::Halt, String::from("the bridge could not take the row"))
}

struct Read {
    report: Report,
    tallies: Vec<super::stage::Tally>,
    as_of: Timestamp,
}

impl Read {
    fn told(&self) -> Report {
        Report { as_of: self.as_of, ..self.report.clone() }
    }
}

fn finish(capture: &Capture, poll: Poll, plans: &[Plan], intaking: Intaking<'_>) -> Read {
    let mut stats = locked(&capture.stats);
    let mut report = Report { read_us: intaking.read_us, ..Report::default() };
    for (plan, tally) in plans.iter().zip(&intaking.tally) {
        stats.tally(poll, &plan.layout.object, *tally);
        report.rows += tally.rows;
        report.bad += tally.bad;
    }
    for (plan, bad) in intaking.bad {
        stats.bad(&plans[plan].layout.object, bad);
    }
    Read { report, tallies: intaking.tally, as_of: Timestamp::default() }
}

fn sum(total: Option<Report>, next: Report) -> Report {
    let Some(total) = total else { return next };
    Report {
        rows: total.rows + next.rows,
        changed: total.changed + next.changed,
        gone: total.gone + next.gone,
        bad: total.bad + next.bad,
        read_us: total.read_us + next.read_us,
        as_of: total.as_of.min(next.as_of),
        refused: None,
    }
}

impl Capture {
    pub(super) fn count(&self, poll: Poll, report: &Report, begun: Instant) {
        let mut stats = locked(&self.stats);
        let entry = stats.polls.entry(poll).or_default();
        entry.polls += 1;
        entry.changed += report.changed;
        entry.gone += report.gone;
        entry.last_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    }

    pub(super) fn count_failure(&self, poll: Poll) {
        locked(&self.stats).polls.entry(poll).or_default().failed += 1;
    }
}
