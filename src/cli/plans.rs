//! `check --plans FILE`: judges the plans that the DBA spooled with `deploy/oracle/60_explain.sql`.
//!
//! A pure function over the file's text: nothing is asked of a database, because EXPLAIN PLAN through a view needs rights
//! that the bridge must not have. Invariants: a file that is cut short, holds an Oracle error or misses statistics is a
//! problem, never "in order"; only names of tables, indexes and statements are told, since plans hold nothing else.
//!
//! It judges what a plan cannot hide: a big table read whole where an index is due, a join without a condition. Whether an
//! index is the best one it leaves to the DBA: costs of another server's data mean nothing here.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::config::{Problem, Problems};

/// From so many blocks on a table is big: 16 MB of 8 KB blocks, the bound that hints by `ora_rowscn` have.
const BIG_BLOCKS: u64 = 2_000;
const HEAD: &str = "slotbridge-plans|1|";

/// What was judged, where nothing is wrong.
#[derive(Debug, PartialEq, Eq)]
pub struct Judged {
    pub statements: usize,
}

/// All that is wrong with the plans in `text`, or how much was looked at.
pub fn judge(file: &Path, text: &str) -> Result<Judged, Problems> {
    let mut told = Told { file, text: Arc::from(text), problems: Problems::default() };
    let spool = Spool::read(text, &mut told);
    for statement in &spool.statements {
        spool.judge(statement, &mut told);
    }
    if told.problems.is_empty() { Ok(Judged { statements: spool.statements.len() }) } else { Err(told.problems) }
}

/// The spool as read. Sizes are in blocks; `None`: the server has no statistics.
#[derive(Default)]
struct Spool<'a> {
    tables: BTreeMap<&'a str, Option<u64>>,
    indexes: BTreeMap<&'a str, (&'a str, Option<u64>)>,
    statements: Vec<Statement<'a>>,
}

struct Statement<'a> {
    id: &'a str,
    at: Range<usize>,
    steps: Vec<Step<'a>>,
}

struct Step<'a> {
    operation: &'a str,
    options: &'a str,
    object: &'a str,
    at: Range<usize>,
}

impl Statement<'_> {
    /// Only full cuts may read a big table from end to end.
    fn may_scan(&self) -> bool {
        self.id.starts_with("R.CUT.")
    }
}

impl<'a> Spool<'a> {
    fn read(text: &'a str, told: &mut Told<'_>) -> Spool<'a> {
        let mut spool = Spool::default();
        let mut ended = None;
        let mut headed = false;
        let mut start = 0;
        for raw in text.split_inclusive('\n') {
            let line = raw.trim_end();
            let at = start..start + line.len();
            start += raw.len();
            let fields: Vec<&str> = line.split('|').map(str::trim).collect();
            match *fields.as_slice() {
                [""] => {}
                _ if line.starts_with(HEAD) => headed = true,
                ["table", name, blocks, _] => {
                    spool.tables.insert(name, blocks.parse().ok());
                }
                ["index", name, table, leaves] => {
                    spool.indexes.insert(name, (table, leaves.parse().ok()));
                }
                ["stmt", id] => spool.statements.push(Statement { id, at, steps: Vec::new() }),
                ["end", count] => ended = count.parse::<usize>().ok(),
                [id, operation, options, object, _, _] if id.parse::<u32>().is_ok() => {
                    match spool.statements.last_mut() {
                        Some(statement) => statement.steps.push(Step { operation, options, object, at }),
                        None => told.unreadable(at),
                    }
                }
                _ if line.contains("ORA-") || line.contains("SP2-") => told.add(
                    Some(at),
                    "plans.server_error",
                    "the server refused something while the plans were made".to_owned(),
                    "a plan is missing",
                    "correct what the error names (often 30 or 40 was not run), then run 60_explain.sql again",
                ),
                _ => told.unreadable(at),
            }
        }
        if !headed {
            let try_ = "run deploy/oracle/60_explain.sql and give the file sb_60_plans.txt";
            told.add(None, "plans.format", "this is not a file of 60_explain.sql".to_owned(), "no head line", try_);
        } else if ended != Some(spool.statements.len()) {
            let message = match ended {
                Some(count) => format!("{} of {count} plans are here", spool.statements.len()),
                None => "the file has no end line: it is cut short".to_owned(),
            };
            let try_ = "look for errors on the screen of 60_explain.sql, then run it again";
            told.add(None, "plans.incomplete", message, "statements without a plan were not judged", try_);
        }
        spool
    }

    fn judge(&self, statement: &Statement<'a>, told: &mut Told<'_>) {
        if statement.steps.is_empty() {
            let message = format!("{} has no plan", statement.id);
            told.add(
                Some(statement.at.clone()),
                "plans.incomplete",
                message,
                "no line follows",
                "run 60_explain.sql again",
            );
        }
        let mut unknown = BTreeSet::new();
        for step in &statement.steps {
            if let Some(table) = self.table_of(step)
                && self.blocks(table).is_none()
                && unknown.insert(table)
            {
                told.no_statistics(step, statement.id, table);
            }
            if !statement.may_scan() {
                self.judge_scan(statement, step, told);
            }
            if step.operation == "MERGE JOIN" && step.options.contains("CARTESIAN") && self.touches_big(statement) {
                told.add(
                    Some(step.at.clone()),
                    "plans.cartesian",
                    format!("{} joins without a condition", statement.id),
                    "each row of one side meets each row of the other",
                    "look for a missing join condition in the view's body (30), or for stale statistics",
                );
            }
        }
    }

    fn judge_scan(&self, statement: &Statement<'a>, step: &Step<'a>, told: &mut Told<'_>) {
        let table_read_whole =
            step.operation == "TABLE ACCESS" && step.options.contains("FULL") && self.is_big(step.object);
        let index_read_whole = step.operation == "INDEX"
            && step.options.contains("FULL")
            && self.indexes.get(step.object).is_none_or(|(_, leaves)| leaves.is_none_or(|n| n >= BIG_BLOCKS));
        if table_read_whole || index_read_whole {
            let (kind, try_) = due(statement.id);
            told.add(
                Some(step.at.clone()),
                "plans.full_scan",
                format!("{} reads {} from end to end", statement.id, step.object),
                kind,
                try_,
            );
        }
    }

    fn table_of(&self, step: &Step<'a>) -> Option<&'a str> {
        match step.operation {
            "TABLE ACCESS" => Some(step.object),
            "INDEX" => self.indexes.get(step.object).map(|(table, _)| *table),
            _ => None,
        }
    }

    fn blocks(&self, table: &str) -> Option<u64> {
        self.tables.get(table).copied().flatten()
    }

    /// A table without statistics may be big.
    fn is_big(&self, table: &str) -> bool {
        self.blocks(table).is_none_or(|blocks| blocks >= BIG_BLOCKS)
    }

    fn touches_big(&self, statement: &Statement<'a>) -> bool {
        statement.steps.iter().filter_map(|step| self.table_of(step)).any(|table| self.is_big(table))
    }
}

/// What a statement is for, and what to do where it misses its index.
fn due(id: &str) -> (&'static str, &'static str) {
    let kind = id.split('.').take(2).collect::<Vec<_>>().join(".");
    match kind.as_str() {
        "R.SINCE" => (
            "a poll by timestamp runs several times a second and must use an index on the date column",
            "index the column behind UPD_DT, or turn this hint off and use hot_set or window",
        ),
        "R.KEYS" => (
            "a poll of single rows must use the primary key",
            "let the view's key column be the bare primary key: no function and no conversion around it",
        ),
        "R.TAIL" => (
            "a poll of new reservations must use the index on their number",
            "index the number, or turn the hint pk_tail off",
        ),
        "R.WINDOW" => (
            "a poll by slot date must use an index on the date",
            "index the column behind SLOT_DT, or turn the hint window off",
        ),
        "R.SCN" => (
            "ORA_ROWSCN has no index: each poll reads the table",
            "turn the hint rowscn off for this view; it is for tables under 2,000 blocks",
        ),
        "R.PAGE" => (
            "a page of persons must begin at its key in the index",
            "let the view's key column be the bare primary key, so that ORDER BY needs no sort",
        ),
        _ => (
            "a write holds locks meanwhile and must find its rows by index",
            "index the column that the statement looks up (slot, person and series, op id), see 20_example_legacy.sql",
        ),
    }
}

/// Problems of one file, each with its line.
struct Told<'a> {
    file: &'a Path,
    text: Arc<str>,
    problems: Problems,
}

impl Told<'_> {
    fn add(&mut self, at: Option<Range<usize>>, code: &'static str, message: String, cause: &str, try_: &str) {
        self.problems.0.push(Problem {
            code,
            file: self.file.to_owned(),
            text: at.as_ref().map(|_| self.text.clone()),
            span: at,
            message,
            cause: cause.to_owned(),
            try_: try_.to_owned(),
        });
    }

    fn unreadable(&mut self, at: Range<usize>) {
        let try_ = "give the file as 60_explain.sql wrote it";
        self.add(Some(at), "plans.format", "this line is of no known kind".to_owned(), "not judged", try_);
    }

    fn no_statistics(&mut self, step: &Step<'_>, id: &str, table: &str) {
        self.add(
            Some(step.at.clone()),
            "plans.no_statistics",
            format!("{id} uses {table}, of which the server has no statistics"),
            "its size is unknown, and so is whether the plan stays",
            "gather statistics (DBMS_STATS.GATHER_TABLE_STATS), then run 60_explain.sql again",
        );
    }
}
