//! Puts stored rows into a new order of columns when the fetched columns of an object changed (a new mapping).
//!
//! Their hash becomes 0, which no content has, so the next cut takes every row anew.

use std::sync::Arc;

use rusqlite::{Connection, params};

use super::CaptureError;
use super::convert::Plan;
use super::mirror::stored_fact;
use crate::domain::{Fact, Row, Value};

/// `before` is the `columns_text` that the rows were stored under.
pub fn rows(file: &Connection, plan: &Plan, before: &str) -> Result<(), CaptureError> {
    let names: Vec<&str> = before.lines().filter_map(|line| line.split(' ').next()).collect();
    let from: Vec<Option<usize>> =
        plan.layout.columns.iter().map(|column| names.iter().position(|name| *name == &*column.name)).collect();
    let object = plan.layout.object.as_str();
    let mut select =
        file.prepare("SELECT key, body FROM fact WHERE object = ?1 AND gone = 0 AND key > ?2 ORDER BY key LIMIT 2000")?;
    let mut update = file.prepare("UPDATE fact SET hash = 0, body = ?3 WHERE object = ?1 AND key = ?2")?;
    let mut after = String::new();
    loop {
        let page: Vec<(String, Vec<u8>)> = select
            .query_map(params![object, after], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after.clone_from(last);
        for (key, body) in page {
            let fact = reordered(stored_fact(plan, &key, false, &body)?, &from);
            let body =
                postcard::to_stdvec(&fact).map_err(|_| CaptureError::Stored { object: plan.layout.object.clone() })?;
            update.execute(params![object, key, body])?;
        }
    }
}

fn reordered(mut fact: Fact, from: &[Option<usize>]) -> Fact {
    let order = |row: &mut Arc<Row>| {
        let values = from.iter().map(|at| at.map_or(Value::Null, |at| row.get(at).clone())).collect();
        *row = Arc::new(Row(values));
    };
    match &mut fact {
        Fact::Site(site) => order(&mut site.row),
        Fact::Slot(slot) => order(&mut slot.row),
        Fact::Item { row: Some(row), .. } => order(row),
        _ => {}
    }
    fact
}
