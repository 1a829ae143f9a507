//! Reads the positioned facts of the mirror page by page, so that a start over millions of rows holds one page.

use std::collections::VecDeque;

use rusqlite::{Connection, params};

use super::CaptureError;
use super::convert::{Kind, Plan};
use super::mirror::{person_fact, person_of, stored_fact};
use crate::domain::{Fact, Position};

/// Rows in memory at a time.
const PAGE_ROWS: i64 = 2_000;

pub struct PositionedFacts {
    file: Connection,
    /// Objects still to be read, in order; the first is being read.
    plans: VecDeque<Plan>,
    /// Last key of the first object that was read; a person number as text for persons.
    after: Option<String>,
    page: VecDeque<(Position, Fact)>,
}

impl PositionedFacts {
    pub(super) fn new(file: Connection, plans: Vec<Plan>) -> PositionedFacts {
        PositionedFacts { file, plans: plans.into(), after: None, page: VecDeque::new() }
    }

    fn fill(&mut self) -> Result<(), CaptureError> {
        while self.page.is_empty() {
            let Some(plan) = self.plans.front() else { return Ok(()) };
            let last = match plan.kind {
                Kind::Person => persons(&self.file, self.after.as_deref(), &mut self.page)?,
                _ => rows(&self.file, plan, self.after.as_deref(), &mut self.page)?,
            };
            if last.is_none() {
                self.plans.pop_front();
            }
            self.after = last;
        }
        Ok(())
    }
}

impl Iterator for PositionedFacts {
    type Item = Result<(Position, Fact), CaptureError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.fill() {
            Ok(()) => self.page.pop_front().map(Ok),
            Err(error) => {
                self.plans.clear();
                Some(Err(error))
            }
        }
    }
}

fn rows(
    file: &Connection,
    plan: &Plan,
    after: Option<&str>,
    page: &mut VecDeque<(Position, Fact)>,
) -> Result<Option<String>, CaptureError> {
    let mut select = file.prepare_cached(
        "SELECT key, position, gone, body FROM fact
         WHERE object = ?1 AND key > ?2 AND position IS NOT NULL ORDER BY key LIMIT ?3",
    )?;
    let mut rows = select.query(params![plan.layout.object.as_str(), after.unwrap_or(""), PAGE_ROWS])?;
    let mut last = None;
    while let Some(row) = rows.next()? {
        let key: String = row.get(0)?;
        let body = row.get_ref(3)?.as_blob().unwrap_or_default();
        let fact = stored_fact(plan, &key, row.get(2)?, body)?;
        page.push_back((Position(row.get::<_, i64>(1)?.unsigned_abs()), fact));
        last = Some(key);
    }
    Ok(last)
}

fn persons(
    file: &Connection,
    after: Option<&str>,
    page: &mut VecDeque<(Position, Fact)>,
) -> Result<Option<String>, CaptureError> {
    let after: i64 = after.and_then(|number| number.parse().ok()).unwrap_or(-1);
    let mut select = file.prepare_cached(
        "SELECT person_no, cohort, bookable, gone, position FROM person
         WHERE person_no > ?1 AND position IS NOT NULL ORDER BY person_no LIMIT ?2",
    )?;
    let mut rows = select.query(params![after, PAGE_ROWS])?;
    let mut last = None;
    while let Some(row) = rows.next()? {
        let (fact, gone) = person_of(row)?;
        page.push_back((Position(row.get::<_, i64>(4)?.unsigned_abs()), person_fact(fact, gone)));
        last = Some(fact.person.0.to_string());
    }
    Ok(last)
}
