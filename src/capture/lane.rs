//! Polls over one connection: full cuts and hints. Plain functions over a reader, so that tests need no thread.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use super::convert::{Kind, Plan};
use super::hints::{First, Reach};
use super::mirror::Scope;
use super::stage::{Counts, Intaking, Seen, Stage};
use super::stats::{Poll, PollStats, RefusedCut};
use super::{Capture, CaptureError, SIGHTINGS_MAX, Sightings, locked};
use crate::domain::{ObjectName, Timestamp, Value};
use crate::legacy::{CutInfo, LegacyError, LegacyErrorKind, LegacyRead};
use crate::mapping::Layout;

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
    /// Highest key and largest commit number that a hint read.
    pub(super) highest: Option<Box<str>>,
    pub(super) scn_max: Option<u64>,
}

/// Cuts in a row that the undo did not reach back for, before it is said to be too short.
const TOO_OLD_MAX: u32 = 2;
/// Class of the error that says so (ORA-01555).
pub(super) const TOO_OLD: &str = "snapshot_too_old";

/// One thread's place of work: its stage and how far its hints have read.
pub struct Lane {
    pub(super) capture: Arc<Capture>,
    pub(super) stage: Stage,
    pub(super) reach: BTreeMap<ObjectName, Reach>,
}

type Sink<'a> = dyn FnMut(usize, Vec<Value>) -> Result<(), LegacyError> + 'a;

/// What a full cut did, or would have done.
struct Applied {
    report: Report,
    counts: Vec<Counts>,
    firsts: Vec<(ObjectName, First)>,
}

impl Lane {
    pub fn new(capture: &Arc<Capture>) -> Result<Lane, CaptureError> {
        let stage = Stage::new(&capture.mirror)?;
        Ok(Lane { capture: capture.clone(), stage, reach: BTreeMap::new() })
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
        let sightings = Sightings { objects: group.to_vec(), rows: HashMap::new(), overflown: false };
        *locked(&capture.sightings) = Some(sightings);
        let applied = capture.read_lag(reader).and_then(|()| self.full_applied(&plans, reader));
        *locked(&capture.sightings) = None;
        let applied = applied.inspect_err(|error| capture.cut_failed(group, error))?;
        let report = applied.report;
        if report.refused.is_none() {
            let (_, last) = capture.deliver(Scope::Rows)?;
            capture.mark(group, begun.0, last, Poll::Full);
        }
        capture.count(Poll::Full, &report, &applied.counts, begun.1);
        // Also of a cut that is not believed: what changes from now on is not in doubt.
        capture.cut_through(applied.firsts);
        capture.reached_back(group);
        Ok(report)
    }

    fn full_applied(&mut self, plans: &[Plan], reader: &mut dyn LegacyRead) -> Result<Applied, CaptureError> {
        let capture = self.capture.clone();
        let (info, done, missing) = {
            let mut intaking = self.intaking(plans)?;
            intaking.seen = Some(vec![Seen::default(); plans.len()]);
            let layouts: Vec<&Layout> = plans.iter().map(|plan| &plan.layout).collect();
            let info = read(&capture, &mut intaking, |sink| reader.cut(&layouts, sink))?;
            let seen = intaking.seen.take().unwrap_or_default();
            let done = finish(&capture, Poll::Full, plans, intaking);
            let mut missing = Vec::new();
            for (plan, seen) in plans.iter().zip(&seen) {
                missing.push(self.stage.offer_missing(&plan.layout.object, seen)?);
            }
            (info, done, missing)
        };
        let first = |(plan, highest): (&Plan, &Option<Box<str>>)| {
            let first = First { as_of: info.as_of, highest: highest.clone(), scn_max: info.scn_max };
            (plan.layout.object.clone(), first)
        };
        let firsts = plans.iter().zip(&done.highest).map(first).collect();
        let report = Report { as_of: info.as_of, ..done.report };
        for ((plan, missing), tally) in plans.iter().zip(missing).zip(&done.tallies) {
            let object = &plan.layout.object;
            if let Err(refused) = self.capture.believe(object, missing.live, missing.lost, tally.rows) {
                self.stage.discard()?;
                let report = Report { refused: Some(refused), ..report };
                return Ok(Applied { report, counts: Vec::new(), firsts });
            }
        }
        self.stage.end()?;
        let _writer = capture.mirror.writer();
        self.drop_sighted(plans, info.as_of)?;
        let objects: Vec<&ObjectName> = plans.iter().map(|plan| &plan.layout.object).collect();
        let counts = self.stage.apply(info.as_of, &objects)?;
        capture.believed(objects.into_iter());
        let (changed, gone) = counts.iter().fold((0, 0), |(c, g), of| (c + of.changed, g + of.gone));
        Ok(Applied { report: Report { changed, gone, ..report }, counts, firsts })
    }

    /// What a hint read at or after the cut's own moment is newer than the cut.
    fn drop_sighted(&mut self, plans: &[Plan], as_of: Timestamp) -> Result<(), CaptureError> {
        let sightings = locked(&self.capture.sightings);
        let is_of = |object: &ObjectName| plans.iter().any(|plan| plan.layout.object == *object);
        let Some(sightings) = sightings.as_ref().filter(|sightings| sightings.objects.iter().all(is_of)) else {
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

    /// Reads what a hint points at, and takes over what of it is new.
    pub(super) fn hinted(
        &mut self,
        poll: Poll,
        plan: &Plan,
        ask: impl FnOnce(&Layout, &mut crate::legacy::RowSink<'_>) -> Result<CutInfo, LegacyError>,
    ) -> Result<Report, CaptureError> {
        let capture = self.capture.clone();
        let plans = std::slice::from_ref(plan);
        let mut intaking = self.intaking(plans)?;
        intaking.sighted = Some(Vec::new());
        let layout = &plan.layout;
        let info = read(&capture, &mut intaking, |sink| ask(layout, &mut |row| sink(0, row)))?;
        let sighted = intaking.sighted.take().unwrap_or_default();
        let mut done = finish(&capture, poll, plans, intaking);
        self.stage.end()?;
        let _writer = capture.mirror.writer();
        let mut running = locked(&capture.sightings);
        if let Some(sightings) = running.as_mut().filter(|running| running.objects.contains(&layout.object)) {
            let rows = sighted.into_iter().map(|(_, key)| ((layout.object.clone(), key), info.as_of));
            sightings.rows.extend(rows);
            sightings.overflown |= sightings.rows.len() > SIGHTINGS_MAX;
        }
        drop(running);
        let counts = self.stage.apply(info.as_of, &[&layout.object])?;
        let (changed, gone) = counts.first().map_or((0, 0), |of| (of.changed, of.gone));
        let highest = done.highest.pop().flatten();
        Ok(Report { changed, gone, as_of: info.as_of, highest, scn_max: info.scn_max, ..done.report })
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
    highest: Vec<Option<Box<str>>>,
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
    Read { report, tallies: intaking.tally, highest: intaking.highest }
}

pub(super) fn sum(total: Option<Report>, next: Report) -> Report {
    let Some(total) = total else { return next };
    Report {
        rows: total.rows + next.rows,
        changed: total.changed + next.changed,
        gone: total.gone + next.gone,
        bad: total.bad + next.bad,
        read_us: total.read_us + next.read_us,
        as_of: total.as_of.min(next.as_of),
        ..Report::default()
    }
}

impl Capture {
    pub(super) fn count(&self, poll: Poll, report: &Report, counts: &[Counts], begun: Instant) {
        let last_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let late: Vec<u64> =
            counts.iter().map(|of| if self.is_late(poll, &of.object) { of.changed } else { 0 }).collect();
        let mut stats = locked(&self.stats);
        let add = |to: &mut PollStats, changed, gone, late: u64| {
            to.polls += 1;
            to.changed += changed;
            to.gone += gone;
            to.late += late;
            to.last_ms = last_ms;
        };
        add(stats.polls.entry(poll).or_default(), report.changed, report.gone, late.iter().sum());
        for (of, late) in counts.iter().zip(late) {
            add(stats.of(poll, &of.object), of.changed, of.gone, late);
        }
    }

    pub(super) fn count_failure(&self, poll: Poll, objects: &[ObjectName]) {
        let mut stats = locked(&self.stats);
        stats.polls.entry(poll).or_default().failed += 1;
        for object in objects {
            stats.of(poll, object).failed += 1;
        }
    }

    /// A cut of objects that must agree cannot be read in pieces: all that helps is more undo.
    fn cut_failed(&self, group: &[ObjectName], error: &CaptureError) {
        self.count_failure(Poll::Full, group);
        if !matches!(error, CaptureError::Legacy(error) if error.class == TOO_OLD) {
            return;
        }
        let Some(object) = group.first() else { return };
        let times = {
            let mut too_old = locked(&self.too_old);
            let times = too_old.entry(object.clone()).or_default();
            *times += 1;
            *times
        };
        if times == TOO_OLD_MAX {
            locked(&self.stats).undo_too_short.extend_from_slice(group);
            let objects: Vec<&str> = group.iter().map(ObjectName::as_str).collect();
            tracing::error!(
                objects = objects.join(" "),
                times,
                "undo_retention is shorter than one cut takes: raise it, or have a standby with its own undo read"
            );
        }
    }

    fn reached_back(&self, group: &[ObjectName]) {
        locked(&self.too_old).retain(|object, _| !group.contains(object));
        locked(&self.stats).undo_too_short.retain(|object| !group.contains(object));
    }
}
