//! Statements: queries, changes, and the words around transactions.

use std::rc::Rc;
use std::sync::atomic::Ordering;

use super::errors::{self, OraError};
use super::raw::{Failure, Statement};
use super::session::{Cursor, Fail, Planned, Session, State};
use super::{block, dictionary, lock};
use crate::lex::Token;
use crate::shape;
use crate::sql::{self, Wait, types};
use crate::wire::{Cell, Column, Reply, View, put, take};

pub struct Execute<'a> {
    pub cursor: u32,
    pub sql: &'a str,
    pub rows: Vec<Vec<Cell>>,
    pub batch_errors: bool,
    pub prefetch: u32,
}

type Answer = Result<(Reply, Vec<u8>), Fail>;

fn changed(rows: u64) -> Answer {
    Ok((Reply::Changed { rows, counts: vec![rows], errors: Vec::new(), returned: Vec::new() }, Vec::new()))
}

impl Session {
    pub fn execute(&mut self, ask: &Execute<'_>) -> Answer {
        self.move_away(ask.sql)?;
        self.meet("execute", ask.sql, false, None)?;
        let answer = self.run(ask);
        if answer.is_err() {
            self.shared.count(ask.sql).errors.fetch_add(1, Ordering::Relaxed);
        }
        let answer = answer?;
        self.meet("execute", ask.sql, true, None)?;
        Ok(answer)
    }

    pub fn run(&mut self, ask: &Execute<'_>) -> Answer {
        self.close(ask.cursor);
        let planned = self.planned(ask.sql)?;
        planned.count.calls.fetch_add(ask.rows.len().max(1) as u64, Ordering::Relaxed);
        let plan = &planned.plan;
        if let Some(row) = ask.rows.first()
            && !shape::is_block(plan.kind)
            && row.len() != plan.binds
        {
            return Err(OraError::new(1008, "not all variables bound").into());
        }
        self.check_grants(plan)?;
        match plan.kind {
            shape::SELECT => self.query(ask, planned),
            shape::UPDATE | shape::DELETE | shape::INSERT | shape::MERGE => self.change(ask, &planned),
            shape::COMMIT => {
                self.commit()?;
                changed(0)
            }
            shape::BEGIN | shape::DECLARE | shape::CALL => block::run(self, ask.sql, ask.rows.first()),
            shape::CREATE | shape::DROP | shape::ALTER | shape::ROLLBACK | 0 => self.word(ask.sql),
            _ => Err(OraError::new(900, "invalid SQL statement").into()),
        }
    }

    fn query(&mut self, ask: &Execute<'_>, planned: Rc<Planned>) -> Answer {
        let plan = &planned.plan;
        dictionary::fill(self, plan)?;
        // A number from a sequence is no transaction's.
        let own_transaction = plan.draws && self.state == State::None && plan.lock.is_none();
        if plan.lock.is_some() || plan.draws {
            self.begin_write(plan.lock.unwrap_or(Wait::Forever))?;
        } else if self.state == State::None {
            self.drain()?;
        }
        let mut statement = self.statement(&planned, 0)?;
        let mut binds: &[Cell] = &[];
        if let Some(row) = ask.rows.first() {
            binds = row;
            self.bind(&mut statement, row, &plan.chars)?;
        }
        let standing = if ask.rows.is_empty() { false } else { self.step(&mut statement)? };
        let columns = self.columns(&planned, &statement, standing, binds);
        let cursor = Cursor {
            planned: planned.clone(),
            statement: Some(statement),
            standing,
            rows: Vec::new(),
            at: 0,
            rows_left: 0,
            width: columns.len(),
        };
        self.cursors.insert(ask.cursor, cursor);
        if own_transaction {
            self.commit()?;
        }
        // Cursor 0 is the server's own, inside a package: no client fetches from it, so no fault of a fetch meets it.
        let reads_ahead = ask.cursor == 0 || !lock(&self.shared.ctl).awaits("fetch");
        let first = if reads_ahead { ask.prefetch } else { 0 };
        let (rows, end, cells) =
            if standing || !reads_ahead { self.rows(ask.cursor, first)? } else { (0, true, Vec::new()) };
        if end && reads_ahead {
            self.close(ask.cursor);
        }
        Ok((Reply::Rows { columns, rows, end }, cells))
    }

    pub fn fetch(&mut self, cursor: u32, rows: u32) -> Answer {
        let Some(sql) = self.cursors.get(&cursor).map(|c| Rc::clone(&c.planned)) else {
            return Err(OraError::new(1002, "fetch out of sequence").into());
        };
        if lock(&self.shared.ctl).awaits("fetch") {
            let text = self.plans.iter().find(|(_, planned)| Rc::ptr_eq(planned, &sql)).map(|(text, _)| text.clone());
            if let Err(fail) = self.meet("fetch", &text.unwrap_or_default(), false, None) {
                self.close(cursor);
                return Err(fail);
            }
        }
        let (rows, end, cells) = self.rows(cursor, rows)?;
        if end {
            self.close(cursor);
        }
        Ok((Reply::Rows { columns: Vec::new(), rows, end }, cells))
    }

    /// Up to so many rows of a cursor, and whether they are the last.
    fn rows(&mut self, cursor: u32, most: u32) -> Result<(u32, bool, Vec<u8>), OraError> {
        let charset = self.charset;
        let Some(mut open) = self.cursors.remove(&cursor) else { return Ok((0, true, Vec::new())) };
        let mut cells = Vec::new();
        let mut got = 0;
        let mut ended = false;
        if let Some(statement) = open.statement.as_mut() {
            cells.reserve(64 * most as usize);
            while got < most {
                if !open.standing && !self.step(statement)? {
                    ended = true;
                    break;
                }
                open.standing = false;
                statement.put_row(&mut cells, charset);
                got += 1;
            }
        } else {
            let width = open.width;
            let start = open.at;
            while got < most && open.rows_left > 0 {
                for _ in 0..width {
                    take(&open.rows, &mut open.at);
                }
                open.rows_left -= 1;
                got += 1;
            }
            cells.extend_from_slice(&open.rows[start..open.at]);
            ended = open.rows_left == 0;
        }
        open.planned.count.rows.fetch_add(u64::from(got), Ordering::Relaxed);
        self.cursors.insert(cursor, open);
        Ok((got, ended, cells))
    }

    fn step(&self, statement: &mut Statement) -> Result<bool, OraError> {
        self.check_cancelled()?;
        self.cancel.stepping.store(true, Ordering::SeqCst);
        let stepped = statement.step();
        self.cancel.stepping.store(false, Ordering::SeqCst);
        stepped.map_err(|failure| errors::plain(&failure))
    }

    fn statement(&self, planned: &Planned, which: usize) -> Result<Statement, OraError> {
        if which == 0
            && let Some(idle) = planned.idle.borrow_mut().pop()
        {
            return Ok(idle);
        }
        Statement::prepare(&self.connection, &planned.plan.statements[which]).map_err(|f| errors::plain(&f))
    }

    /// A CHAR is padded to the CHAR column that it meets: the file holds those columns padded.
    fn bind(&self, statement: &mut Statement, row: &[Cell], chars: &[Option<usize>]) -> Result<(), OraError> {
        for (at, cell) in row.iter().enumerate() {
            let padded = match (cell, chars.get(at).copied().flatten()) {
                (Cell::Char(text), None) => Some(Cell::Text(text.clone())),
                (Cell::Char(text), Some(bytes)) => {
                    let fill = bytes.saturating_sub(self.charset.length(text));
                    Some(Cell::Text(format!("{text}{}", " ".repeat(fill))))
                }
                _ => None,
            };
            let cell = padded.as_ref().unwrap_or(cell);
            let bound = match cell {
                Cell::Text(text) if text.is_empty() => statement.bind(at + 1, &Cell::Null),
                Cell::Text(text) if !text.is_ascii() => {
                    statement.bind(at + 1, &Cell::Text(self.charset.stored(text).into_owned()))
                }
                other => statement.bind(at + 1, other),
            };
            // A placeholder that only RETURNING fills is none of SQLite's.
            match bound {
                Err(Failure { code: 25, .. }) => {}
                other => other.map_err(|f| errors::plain(&f))?,
            }
        }
        Ok(())
    }

    fn columns(&self, planned: &Planned, statement: &Statement, standing: bool, binds: &[Cell]) -> Vec<Column> {
        if let Some(known) = planned.columns.borrow().as_ref() {
            return known.clone();
        }
        let plan = &planned.plan;
        let sources: Vec<(String, String)> =
            plan.needs.iter().map(|(object, _)| (object.clone(), object.clone())).collect();
        let mut certain = true;
        let columns: Vec<Column> = (0..statement.width())
            .map(|at| {
                let item = plan.items.as_ref().and_then(|items| items.get(at));
                let name = item.map_or_else(|| statement.name(at).to_uppercase(), |item| item.name.clone());
                let declared = statement.declared(at).filter(|d| !d.is_empty()).map(|d| d.to_uppercase());
                let read = || {
                    let plain = [Token::Word(name.clone())];
                    let tokens = item.map_or(&plain[..], |item| &item.tokens);
                    // An alias before the dot is not known here: the column's own name finds it.
                    let tokens = match tokens {
                        [_, dot, last] if dot.is_sym(".") => std::slice::from_ref(last),
                        other => other,
                    };
                    types::of_expression(&self.catalog, tokens, &sources, 0)
                };
                let kind = declared.or_else(read).unwrap_or_else(|| {
                    certain = false;
                    guess(standing.then(|| statement.value(at)), binds)
                });
                described(name, &kind)
            })
            .collect();
        // What only values told, the next execution's values may tell otherwise.
        if certain {
            *planned.columns.borrow_mut() = Some(columns.clone());
        }
        columns
    }

    fn change(&mut self, ask: &Execute<'_>, planned: &Planned) -> Answer {
        self.begin_write(Wait::Forever)?;
        let (mut total, mut counts, mut errors) = (0, Vec::new(), Vec::new());
        let (mut returned, mut cells) = (Vec::new(), Vec::new());
        for (at, row) in ask.rows.iter().enumerate() {
            let met = self.meet("execute", ask.sql, false, Some(at as i64));
            let done = match met {
                Err(fail) if fail.dead => return Err(fail),
                Err(fail) => Err(fail.error),
                Ok(()) => self.change_once(planned, row, &mut cells),
            };
            match done {
                Ok((rows, given)) => {
                    total += rows;
                    counts.push(rows);
                    returned.push(given);
                }
                Err(e) if ask.batch_errors => {
                    counts.push(0);
                    errors.push((at as u32, e.code, e.text));
                }
                Err(e) => return Err(e.into()),
            }
        }
        planned.count.rows.fetch_add(total, Ordering::Relaxed);
        Ok((Reply::Changed { rows: total, counts, errors, returned }, cells))
    }

    /// Rows changed, and rows returned.
    fn change_once(&mut self, planned: &Planned, row: &[Cell], cells: &mut Vec<u8>) -> Result<(u64, u32), OraError> {
        let several = planned.plan.statements.len() > 1;
        if several {
            self.connection.execute_batch("SAVEPOINT fake_statement")?;
        }
        let mut sum = (0, 0);
        for which in 0..planned.plan.statements.len() {
            match self.change_part(planned, which, row, cells) {
                Ok((rows, given)) => sum = (sum.0 + rows, sum.1 + given),
                Err(e) => {
                    if several {
                        self.connection.execute_batch("ROLLBACK TO fake_statement; RELEASE fake_statement")?;
                    }
                    if self.connection.is_autocommit() {
                        self.state = State::None;
                    }
                    return Err(e);
                }
            }
        }
        if several {
            self.connection.execute_batch("RELEASE fake_statement")?;
        }
        Ok(sum)
    }

    fn change_part(
        &mut self,
        planned: &Planned,
        which: usize,
        row: &[Cell],
        cells: &mut Vec<u8>,
    ) -> Result<(u64, u32), OraError> {
        let is_insert = planned.plan.statements[which].starts_with("INSERT");
        let mut statement = self.statement(planned, which)?;
        self.bind(&mut statement, row, &planned.plan.chars)?;
        let mut given = 0;
        loop {
            match statement.step() {
                Ok(true) => {
                    statement.put_row(cells, self.charset);
                    given += 1;
                }
                Ok(false) => break,
                Err(failure) => {
                    let error = errors::translate(&self.connection, &self.schema, &failure, is_insert);
                    planned.idle.borrow_mut().truncate(8);
                    return Err(error);
                }
            }
        }
        let rows = statement.changes();
        statement.reset();
        if which == 0 {
            planned.idle.borrow_mut().push(statement);
        }
        Ok((rows, given))
    }

    /// Statements that are neither query nor change.
    fn word(&mut self, sql: &str) -> Answer {
        let tokens = sql::tokens(sql).map_err(|(code, text)| OraError { code, text })?;
        let names: Vec<String> = tokens.iter().filter_map(Token::name).collect();
        let words: Vec<&str> = names.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["SET", "TRANSACTION", "READ", "ONLY", ..] => self.begin_read_only()?,
            ["SET", "TRANSACTION", ..] | ["SET", "ROLE", ..] => {}
            ["SAVEPOINT", name] => self.savepoint(name)?,
            ["ROLLBACK"] | ["ROLLBACK", "WORK"] => self.rollback(),
            ["ROLLBACK", .., name] => self.rollback_to(name)?,
            ["ALTER", "SESSION", "SET", name, ..] => self.alter_session(name, &tokens)?,
            ["ALTER", "SESSION", ..] => {}
            ["LOCK", "TABLE", .., "NOWAIT"] => self.begin_write(Wait::NoWait)?,
            ["LOCK", "TABLE", ..] => self.begin_write(Wait::Forever)?,
            ["CREATE", "SEQUENCE", name, rest @ ..] => {
                self.commit()?;
                let start = rest.contains(&"START").then(|| tokens.iter().rev().find_map(number)).flatten();
                lock(&self.shared.ctl).create_sequence(name, start.unwrap_or(1))?;
            }
            ["TRUNCATE", "TABLE", name, ..] => self.ddl(&format!("DELETE FROM main.[{name}]"))?,
            ["GRANT" | "REVOKE" | "COMMENT" | "EXPLAIN", ..] => self.commit()?,
            ["CREATE" | "DROP" | "ALTER", ..] => {
                let nodes = sql::tree::build(&tokens).map_err(|(code, text)| OraError { code, text })?;
                self.ddl(&sql::tree::render(&nodes))?;
            }
            _ => return Err(OraError::new(900, "invalid SQL statement").into()),
        }
        changed(0)
    }

    fn ddl(&mut self, sql: &str) -> Result<(), OraError> {
        self.commit()?;
        if !self.grants.is_empty() {
            return Err(OraError::new(1031, "insufficient privileges"));
        }
        self.begin_write(Wait::Forever)?;
        let done = self.connection.execute_batch(sql).map_err(OraError::from);
        if done.is_err() {
            self.rollback();
            return done;
        }
        self.commit()
    }

    fn alter_session(&mut self, name: &str, tokens: &[Token]) -> Result<(), OraError> {
        let value = match tokens.last() {
            Some(Token::Text(text)) => text.clone(),
            Some(other) => other.name().unwrap_or_default(),
            None => String::new(),
        };
        match name {
            "CURRENT_SCHEMA" => self.attribute("CURRENT_SCHEMA", &value)?,
            "NLS_DATE_FORMAT" => lock(&self.facts).date_format = value,
            "TIME_ZONE" | "SQL_TRACE" | "OPTIMIZER_MODE" | "STATISTICS_LEVEL" => {}
            other if other.starts_with("NLS_") => {}
            _ => return Err(OraError::new(2248, "invalid option for ALTER SESSION")),
        }
        Ok(())
    }

    /// Module, action and the like; visible in `fake_sessions`.
    pub fn attribute(&mut self, name: &str, value: &str) -> Result<(), OraError> {
        {
            let mut facts = lock(&self.facts);
            match name {
                "MODULE" => facts.module = value.to_owned(),
                "ACTION" => facts.action = value.to_owned(),
                "CLIENT_IDENTIFIER" => facts.client_identifier = value.to_owned(),
                "CURRENT_SCHEMA" => facts.schema = value.to_uppercase(),
                _ => {}
            }
            self.schema = facts.schema.clone();
        }
        lock(&self.shared.ctl).session_has(self.id, name, value)
    }
}

fn number(token: &Token) -> Option<i64> {
    if let Token::Number(n) = token { n.parse().ok() } else { None }
}

fn guess(first: Option<View<'_>>, binds: &[Cell]) -> String {
    let by_bind = || match binds.first() {
        Some(Cell::Int(_) | Cell::Real(_) | Cell::Decimal(_)) => "NUMBER",
        Some(Cell::Date(_)) => "DATE",
        Some(Cell::Timestamp(_)) => "TIMESTAMP(6)",
        _ => "VARCHAR2(4000)",
    };
    match first {
        Some(View::Int(_) | View::Real(_)) => "NUMBER",
        Some(View::Bytes(_)) => "RAW(2000)",
        Some(View::Text(_)) if matches!(binds, [Cell::Date(_) | Cell::Timestamp(_) | Cell::Decimal(_)]) => by_bind(),
        Some(View::Text(_)) => "VARCHAR2(4000)",
        _ => by_bind(),
    }
    .to_owned()
}

/// A column as OCI describes it.
pub fn described(name: String, declared: &str) -> Column {
    let numbers: Vec<i32> = declared.split(['(', ')', ',', ' ']).filter_map(|part| part.parse().ok()).collect();
    let first = numbers.first().copied();
    let mut column = Column { name, oci_type: 1, bytes: 4000, precision: 0, scale: 0, nullable: true };
    if declared.starts_with("NUMBER") || declared.starts_with("INT") {
        (column.oci_type, column.bytes) = (2, 22);
        column.precision = first.unwrap_or(0) as i16;
        column.scale = if numbers.is_empty() { -127 } else { numbers.get(1).copied().unwrap_or(0) as i8 };
    } else if declared.starts_with("DATE") {
        (column.oci_type, column.bytes) = (12, 7);
    } else if declared.starts_with("TIMESTAMP") {
        column.oci_type = if declared.contains("LOCAL") {
            232
        } else if declared.contains("ZONE") {
            188
        } else {
            187
        };
        (column.bytes, column.scale) = (11, first.unwrap_or(6) as i8);
    } else if declared.starts_with("RAW") {
        (column.oci_type, column.bytes) = (23, first.unwrap_or(2000) as u16);
    } else if declared.starts_with("CHAR") {
        (column.oci_type, column.bytes) = (96, first.unwrap_or(1) as u16);
    } else {
        column.bytes = first.unwrap_or(4000) as u16;
    }
    column
}

/// The cells of an execute: rows of one value a bind.
pub fn rows_of(cells: &[u8], iters: u32) -> Vec<Vec<Cell>> {
    let mut all = Vec::new();
    let mut at = 0;
    while let Some(view) = take(cells, &mut at) {
        all.push(view.owned());
    }
    let width = all.len() / iters.max(1) as usize;
    if width == 0 {
        return vec![Vec::new(); iters as usize];
    }
    all.chunks(width).map(<[Cell]>::to_vec).collect()
}

pub fn cells_of(values: &[Cell]) -> Vec<u8> {
    let mut out = Vec::new();
    for value in values {
        put(&mut out, value.view());
    }
    out
}
