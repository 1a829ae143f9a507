//! Anonymous blocks: calls of known procedures, one after another, by registered handlers. No PL/SQL beyond that.

use std::sync::Arc;

use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, Error, OptionalExtension};

use super::errors::{self, OraError};
use super::execute::cells_of;
use super::raw::Statement;
use super::session::{Fail, Session};
use super::{Shared, lock, sb_api};
use crate::lex::Token;
use crate::shape;
use crate::sql;
use crate::wire::{Cell, Reply};

/// Functions that draw numbers: they write, so their statement holds the write lock.
pub fn install(connection: &Connection, shared: &Arc<Shared>) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8;
    let sequences = shared.clone();
    connection.create_scalar_function("ora_nextval", 1, flags, move |c| {
        let name: String = c.get(0)?;
        // SAFETY: the connection is the one that runs this function and stays open meanwhile.
        let own = unsafe { c.get_connection() }?;
        let of_agency = next_of_agency(&own, &name)?;
        of_agency
            .or_else(|| lock(&sequences.ctl).next_in_sequence(&name))
            .ok_or_else(|| Error::UserFunctionError(Box::new(OraError::new(2289, "sequence does not exist"))))
    })?;
    connection.create_scalar_function("sb_next_resv_no", 0, flags, move |c| {
        // SAFETY: as above.
        let own = unsafe { c.get_connection() }?;
        let number = next_of_agency(&own, "SQ_RESV")?.unwrap_or(0);
        Ok(format!("R{number:010}"))
    })
}

fn next_of_agency(connection: &Connection, name: &str) -> rusqlite::Result<Option<i64>> {
    let sql = "UPDATE TB_SEQ SET LAST_NO = LAST_NO + 1 WHERE SEQ_NM = ?1 RETURNING LAST_NO";
    match connection.query_row(sql, [name], |row| row.get(0)).optional() {
        Err(e) if e.to_string().contains("no such table") => Ok(None),
        other => other,
    }
}

pub fn run(session: &mut Session, text: &str, row: Option<&Vec<Cell>>) -> Result<(Reply, Vec<u8>), Fail> {
    let tokens = sql::tokens(text).map_err(|(code, text)| OraError { code, text })?;
    let names = shape::binds(&tokens, shape::BEGIN);
    let mut values: Vec<Cell> = row.cloned().unwrap_or_default();
    values.resize(names.len(), Cell::Null);
    for call in calls(&tokens)? {
        one(session, call, &names, &mut values)?;
    }
    let reply = Reply::Changed { rows: 0, counts: Vec::new(), errors: Vec::new(), returned: Vec::new() };
    Ok((reply, cells_of(&values)))
}

/// The statements of a block, without their semicolons.
fn calls(tokens: &[Token]) -> Result<impl Iterator<Item = &[Token]>, OraError> {
    let body: &[Token] = match tokens {
        [first, inner @ .., end, semicolon] if first.is("BEGIN") && end.is("END") && semicolon.is_sym(";") => inner,
        [first, inner @ ..] if first.is("CALL") => inner,
        _ => return Err(OraError::new(6550, "line 1, column 1:\nPLS-00103: not a block that this server knows")),
    };
    Ok(body.split(|token| token.is_sym(";")).filter(|call| !call.is_empty()))
}

/// `package.procedure` of a call, without an owner, and where its arguments begin.
fn path(call: &[Token]) -> (String, usize) {
    let open = call.iter().position(|token| token.is_sym("(")).unwrap_or(call.len());
    let mut path: Vec<String> = call[..open].iter().filter_map(Token::name).collect();
    if path.len() > 2 {
        path.remove(0);
    }
    (path.join("."), open)
}

/// `package.procedure(arguments)`, `NULL`, or `:out := literal`.
fn one(session: &mut Session, call: &[Token], names: &[String], values: &mut [Cell]) -> Result<(), Fail> {
    if call[0].is("NULL") {
        return Ok(());
    }
    let place = |token: &Token| if let Token::Bind(name) = token { names.iter().position(|n| n == name) } else { None };
    if call.len() == 3 && call[1].is_sym(":=") {
        if let (Some(to), Some(value)) = (place(&call[0]), literal(&call[2])) {
            values[to] = value;
            return Ok(());
        }
    }
    let (path, open) = path(call);
    let mut arguments = Vec::new();
    let mut targets = Vec::new();
    let inner = call.get(open + 1..call.len().saturating_sub(1)).unwrap_or_default();
    for argument in inner.split(|token| token.is_sym(",")).filter(|argument| !argument.is_empty()) {
        // Named notation keeps the declared order in the statements that we know.
        let token = argument.last().unwrap_or(&argument[0]);
        let target = place(token);
        arguments.push(match target {
            Some(at) => values[at].clone(),
            None => literal(token).unwrap_or(Cell::Null),
        });
        targets.push(target);
    }
    procedure(session, &path, &mut arguments)?;
    for (argument, target) in arguments.into_iter().zip(targets) {
        if let Some(at) = target {
            values[at] = argument;
        }
    }
    Ok(())
}

fn procedure(session: &mut Session, path: &str, arguments: &mut [Cell]) -> Result<(), Fail> {
    let word = |at: usize| match arguments.get(at) {
        Some(Cell::Text(text)) => text.clone(),
        _ => String::new(),
    };
    match path {
        "DBMS_APPLICATION_INFO.SET_MODULE" => {
            let (module, action) = (word(0), word(1));
            session.attribute("MODULE", &module)?;
            session.attribute("ACTION", &action)?;
        }
        "DBMS_APPLICATION_INFO.SET_ACTION" => session.attribute("ACTION", &word(0))?,
        "DBMS_APPLICATION_INFO.SET_CLIENT_INFO" => session.attribute("CLIENT_INFO", &word(0))?,
        "DBMS_SESSION.SET_IDENTIFIER" => session.attribute("CLIENT_IDENTIFIER", &word(0))?,
        "DBMS_SQL.PARSE" => parse(session, &word(1))?,
        "COMMIT" => session.commit()?,
        "ROLLBACK" => session.rollback(),
        _ => match path.strip_prefix("SB_API.") {
            Some(name) if may_execute(session) => sb_api::call(session, name, arguments)?,
            _ => return Err(undeclared(path).into()),
        },
    }
    Ok(())
}

fn undeclared(path: &str) -> OraError {
    let name = path.split('.').next().unwrap_or("");
    OraError::new(6550, format!("line 1, column 7:\nPLS-00201: identifier '{name}' must be declared"))
}

/// Syntax, names and rights of a text as running it would meet them; nothing runs.
fn parse(session: &mut Session, text: &str) -> Result<(), Fail> {
    let planned = session.planned(text)?;
    session.check_grants(&planned.plan)?;
    if shape::is_block(planned.plan.kind) {
        let tokens = sql::tokens(text).map_err(|(code, text)| OraError { code, text })?;
        let mut paths = calls(&tokens)?.map(|call| path(call).0);
        let known = |path: &String| path.starts_with("DBMS_") || path.starts_with("SB_API.") && may_execute(session);
        return paths.find(|path| !known(path)).map_or(Ok(()), |path| Err(undeclared(&path).into()));
    }
    for statement in &planned.plan.statements {
        Statement::prepare(&session.connection, statement).map_err(|failure| errors::plain(&failure))?;
    }
    Ok(())
}

fn may_execute(session: &Session) -> bool {
    session.grants.is_empty() || session.grants.iter().any(|(on, what)| on == "SB_API" && what == "EXECUTE")
}

fn literal(token: &Token) -> Option<Cell> {
    match token {
        Token::Number(n) => Some(n.parse().map_or_else(|_| Cell::Decimal(n.clone()), Cell::Int)),
        Token::Text(text) if text.is_empty() => Some(Cell::Null),
        Token::Text(text) => Some(Cell::Text(text.clone())),
        word if word.is("NULL") => Some(Cell::Null),
        _ => None,
    }
}
