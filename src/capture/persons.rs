//! The person register of the legacy system: who may book, in which cohort, and the CI table in memory.
//!
//! Standing is compared in memory (2 bytes a person) because nearly every row of 52 M is unchanged each night.

use std::time::Instant;

use super::convert::{Fault, PersonRow, Plan};
use super::lane::{Lane, Report, TOO_OLD, row_not_taken};
use super::mirror::{PersonChange, Scope};
use super::stage::{Counts, Tally};
use super::stats::Poll;
use super::{Capture, CaptureError, locked};
use crate::domain::{CohortNo, PersonFact, PersonNo, Timestamp, Value};
use crate::legacy::LegacyRead;
use crate::mapping::Role;
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

/// Smallest page: below it, a second of undo would have to be missing.
const PAGE_ROWS_MIN: u32 = 500;
/// Tries of a page that cannot get smaller.
const PAGE_TRIES_MAX: u32 = 3;

impl Lane {
    /// Reads all persons, page by page, each page in a transaction of its own. CIs go into a new table, which replaces
    /// the old one when the cut as a whole is believed.
    pub fn persons(&mut self, reader: &mut dyn LegacyRead) -> Result<Report, CaptureError> {
        let capture = self.capture.clone();
        let begun = (capture.clock.now(), Instant::now());
        let plan = capture.plan("person").ok_or_else(|| CaptureError::Unknown { object: String::from("person") })?;
        let object = std::slice::from_ref(&plan.layout.object);
        let read = capture.read_lag(reader).and_then(|()| cut(&capture, plan, reader));
        let (report, table) = read.inspect_err(|_| capture.count_failure(Poll::Persons, object))?;
        if let Some((table, twice)) = table {
            let (_, last) = capture.deliver(Scope::Persons)?;
            capture.mark(object, begun.0, last, Poll::Persons);
            // Last: whoever gets a token by this table is known to the desk.
            publish(&capture, table, twice);
        }
        let counts = Counts { object: plan.layout.object.clone(), changed: report.changed, gone: report.gone };
        capture.count(Poll::Persons, &report, &[counts], begun.1);
        Ok(report)
    }
}

/// A table comes with a cut that is believed.
type Cut = (Report, Option<(CiTable, usize)>);

fn cut(capture: &Capture, plan: &Plan, reader: &mut dyn LegacyRead) -> Result<Cut, CaptureError> {
    let mut persons = Persons::new(capture, plan)?;
    let (mut after, mut rows_max) = (None::<Box<str>>, capture.settings.page_rows_max.max(PAGE_ROWS_MIN));
    loop {
        let page = page_tried(capture, plan, reader, after.as_deref(), &mut rows_max)?;
        let is_last = page.rows.len() < page.asked as usize;
        let Some(last) = persons.page(page)? else { break };
        // Pages are in the order of the key; one that does not go on would go on for ever.
        if is_last || after.as_ref() == Some(&last) {
            break;
        }
        after = Some(last);
    }
    persons.flush()?;
    let lost = persons.lost();
    let mut report = persons.report.clone();
    let tally = Tally { rows: report.rows, ..Tally::default() };
    locked(&capture.stats).tally(Poll::Persons, &plan.layout.object, tally);
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

/// The rows of one transaction. Kept until it ended well, so that a page that is read again counts once.
struct Page {
    rows: Vec<Vec<Value>>,
    asked: u32,
    as_of: Timestamp,
    read_us: u64,
}

/// Reads a page; in halves where the undo does not reach back to its beginning.
fn page_tried(
    capture: &Capture,
    plan: &Plan,
    reader: &mut dyn LegacyRead,
    after: Option<&str>,
    rows_max: &mut u32,
) -> Result<Page, CaptureError> {
    let mut tries = 0;
    loop {
        match page(capture, plan, reader, after, *rows_max) {
            Err(CaptureError::Legacy(error)) if error.class == TOO_OLD && tries < PAGE_TRIES_MAX => {
                if *rows_max == PAGE_ROWS_MIN {
                    tries += 1;
                }
                *rows_max = (*rows_max / 2).max(PAGE_ROWS_MIN);
                locked(&capture.stats).pages_halved += 1;
                tracing::warn!(
                    rows_max = *rows_max,
                    "the undo did not reach back for a page of persons; it is read again"
                );
            }
            done => return done,
        }
    }
}

fn page(
    capture: &Capture,
    plan: &Plan,
    reader: &mut dyn LegacyRead,
    after: Option<&str>,
    asked: u32,
) -> Result<Page, CaptureError> {
    let (mut rows, mut stopped) = (Vec::new(), None);
    let mut sink = |row: Vec<Value>| {
        capture.go_on().map_err(|error| {
            stopped = Some(error);
            row_not_taken()
        })?;
        rows.push(row);
        Ok(())
    };
    let begun = Instant::now();
    let info = reader.page(&plan.layout, after, asked, &mut sink);
    let read_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
    match (stopped, info) {
        (Some(stopped), _) => Err(stopped),
        (None, info) => Ok(Page { asked, as_of: info?.as_of, read_us, rows }),
    }
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

    /// Takes a page over and returns its last key, if it has one.
    fn page(&mut self, page: Page) -> Result<Option<Box<str>>, CaptureError> {
        if self.report.rows == 0 {
            self.report.as_of = page.as_of;
        }
        self.report.read_us += page.read_us;
        let at = self.plan.layout.at_role(Role::Key);
        let key = |row: &Vec<Value>| match row.get(at?)? {
            Value::Int(number) => Some(number.to_string().into_boxed_str()),
            value => value.as_text().map(Box::from),
        };
        let last = page.rows.iter().rev().find_map(key);
        for row in page.rows {
            self.capture.go_on()?;
            self.row(row)?;
        }
        Ok(last)
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
