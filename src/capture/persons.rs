//! The person register of the legacy system: who may book, in which cohort, and the CI table in memory.
//!
//! Standing is compared in memory (2 bytes a person) because nearly every row of 52 M is unchanged each night.

use std::time::Instant;

use super::convert::{Fault, PersonRow, Plan};
use super::lane::{Lane, Report, row_not_taken};
use super::mirror::{PersonChange, Scope};
use super::stats::Poll;
use super::{Capture, CaptureError, locked};
use crate::domain::{CohortNo, PersonFact, PersonNo, Value};
use crate::legacy::LegacyRead;
use crate::view::{CiTable, CiTableBuilder};

/// Persons that get their numbers in one transaction of the register.
const BATCH_PERSONS: usize = 5_000;
/// Cohort of persons without one.
const NO_COHORT: CohortNo = CohortNo(0);

/// Cohort and flags of one person number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Standing {
    cohort: u8,
    flags: u8,
}

const KNOWN: u8 = 1;
const BOOKABLE: u8 = 2;
const SEEN: u8 = 4;

struct Persons<'a> {
    capture: &'a Capture,
    plan: &'a Plan,
    /// At the person number.
    standing: Vec<Standing>,
    batch: Vec<PersonRow>,
    changes: Vec<PersonChange>,
    ci: CiTableBuilder,
    report: Report,
    live: u64,
}

impl Lane {
    /// Reads all persons in one cut. CIs go into a new table, which replaces the old one when the cut is believed.
    pub fn persons(&mut self, reader: &mut dyn LegacyRead) -> Result<Report, CaptureError> {
        let capture = self.capture.clone();
        let begun = Instant::now();
        let (report, table) = cut(&capture, reader).inspect_err(|_| capture.count_failure(Poll::Persons))?;
        if let Some((table, twice)) = table {
            capture.deliver(Scope::Persons)?;
            // Last: whoever gets a token by this table is known to the desk.
            publish(&capture, table, twice);
        }
        capture.count(Poll::Persons, &report, begun);
        Ok(report)
    }
}

/// A table comes with a cut that is believed.
type Cut = (Report, Option<(CiTable, usize)>);

fn cut(capture: &Capture, reader: &mut dyn LegacyRead) -> Result<Cut, CaptureError> {
    let plan = capture.plan("person").ok_or_else(|| CaptureError::Unknown { object: String::from("person") })?;
    let mut persons = Persons::new(capture, plan)?;
    let mut own = None;
    let mut sink = |_: usize, row: Vec<Value>| {
        capture.go_on().and_then(|()| persons.row(row)).map_err(|error| {
            own = Some(error);
            row_not_taken()
        })
    };
    let begun = Instant::now();
    let info = reader.cut(&[&plan.layout], &mut sink);
    let read_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
    if let Some(own) = own {
        return Err(own);
    }
    let info = info?;
    persons.flush()?;
    let lost = persons.lost();
    let mut report = Report { as_of: info.as_of, read_us, ..persons.report.clone() };
    if let Err(refused) = capture.believe(&plan.layout.object, persons.live, lost.len() as u64, report.rows) {
        return Ok((Report { refused: Some(refused), ..report }, None));
    }
    report.changed = persons.changes.len() as u64;
    report.gone = lost.len() as u64;
    persons.changes.extend(lost);
    capture.mirror.apply_persons(&persons.changes)?;
    capture.believed(std::iter::once(&plan.layout.object));
    Ok((report, Some(persons.ci.build())))
}

fn publish(capture: &Capture, table: CiTable, twice: usize) {
    let mut stats = locked(&capture.stats);
    stats.ci_rows = table.len() as u64;
    stats.ci_twice = twice as u64;
    stats.persons = capture.register.persons() as u64;
    drop(stats);
    capture.view.set_ci(table);
}

impl<'a> Persons<'a> {
    fn new(capture: &'a Capture, plan: &'a Plan) -> Result<Persons<'a>, CaptureError> {
        let known = capture.mirror.persons()?;
        let mut standing =
            vec![Standing::default(); known.iter().map(|p| p.fact.person.0 as usize + 1).max().unwrap_or(0)];
        let mut live = 0;
        for person in known.iter().filter(|person| !person.gone) {
            let flags = KNOWN | if person.fact.bookable { BOOKABLE } else { 0 };
            standing[person.fact.person.0 as usize] = Standing { cohort: person.fact.cohort.0, flags };
            live += 1;
        }
        let ci = CiTableBuilder::new().map_err(|_| CaptureError::Random)?;
        let report = Report::default();
        Ok(Persons { capture, plan, standing, batch: Vec::new(), changes: Vec::new(), ci, report, live })
    }

    fn row(&mut self, row: Vec<Value>) -> Result<(), CaptureError> {
        self.report.rows += 1;
        match self.plan.person(row) {
            Ok(person) => self.batch.push(person),
            Err(fault) => self.bad(&fault),
        }
        if self.batch.len() >= BATCH_PERSONS { self.flush() } else { Ok(()) }
    }

    /// Never says whose row it is.
    fn bad(&mut self, fault: &Fault) {
        self.report.bad += 1;
        *locked(&self.capture.stats).bad_rows.entry(self.plan.layout.object.clone()).or_default() += 1;
        tracing::warn!(
            object = "person", row = self.report.rows, column = %fault.column, why = fault.why,
            "a legacy row could not be used"
        );
    }

    fn flush(&mut self) -> Result<(), CaptureError> {
        let batch = std::mem::take(&mut self.batch);
        let keys: Vec<&str> = batch.iter().map(|person| &*person.key).collect();
        let numbers = self.capture.register.assign(&keys)?;
        for (person, number) in batch.iter().zip(numbers) {
            let cohort = match &person.cohort {
                Some(code) => self.capture.register.cohort(code)?,
                None => NO_COHORT,
            };
            if let Some(ci) = &person.ci {
                self.ci.add(ci.as_bytes(), number);
            }
            self.compare(PersonFact { person: number, cohort, bookable: person.bookable });
        }
        Ok(())
    }

    fn compare(&mut self, fact: PersonFact) {
        let at = fact.person.0 as usize;
        if at >= self.standing.len() {
            self.standing.resize(at + 1, Standing::default());
        }
        let flags = KNOWN | SEEN | if fact.bookable { BOOKABLE } else { 0 };
        let now = Standing { cohort: fact.cohort.0, flags };
        let before = std::mem::replace(&mut self.standing[at], now);
        if before.cohort != now.cohort || before.flags & (KNOWN | BOOKABLE) != flags & (KNOWN | BOOKABLE) {
            self.changes.push(PersonChange { fact, gone: false });
        }
    }

    fn lost(&self) -> Vec<PersonChange> {
        let gone = |(at, standing): (usize, &Standing)| PersonChange {
            fact: PersonFact {
                person: PersonNo(u32::try_from(at).unwrap_or(u32::MAX)),
                cohort: CohortNo(standing.cohort),
                bookable: standing.flags & BOOKABLE != 0,
            },
            gone: true,
        };
        let unseen = |(_, standing): &(usize, &Standing)| standing.flags & (KNOWN | SEEN) == KNOWN;
        self.standing.iter().enumerate().filter(unseen).map(gone).collect()
    }
}
