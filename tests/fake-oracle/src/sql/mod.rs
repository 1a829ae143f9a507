//! Oracle 11.2 SQL to SQLite: lint, then a tree of parentheses, then rewriting level by level.
//!
//! It is no parser of Oracle: it knows what a daemon's closed catalogue of statements uses, and what it does not know
//! it leaves to SQLite, whose refusal comes back as an Oracle error. What 11.2 would refuse and SQLite would accept is
//! refused by `lint`.

pub mod catalog;
mod chars;
mod dml;
mod expression;
mod lint;
mod merge;
mod query;
pub mod tree;
pub mod types;

use crate::lex::{LexError, Token, lex};
use crate::shape;
use catalog::Catalog;
use tree::Node;

/// A refusal: Oracle's number and words.
pub type Refusal = (i32, String);

pub fn refuse<T>(code: i32, text: impl Into<String>) -> Result<T, Refusal> {
    Err((code, text.into()))
}

/// How long FOR UPDATE waits for a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    Forever,
    NoWait,
    Seconds(u32),
}

/// One item of a SELECT list, for its name and its type.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    pub name: String,
    pub tokens: Vec<Token>,
}

#[derive(Debug, Clone)]
pub struct Plan {
    pub kind: u16,
    /// SQLite's statements; more than one only for MERGE. Placeholders are `?n`, n the occurrence.
    pub statements: Vec<String>,
    /// Placeholders of the text, those that receive included.
    pub binds: usize,
    pub lock: Option<Wait>,
    /// By placeholder: bytes of the CHAR column that it is compared with or stored in.
    pub chars: Vec<Option<usize>>,
    /// Objects named, and the privilege needed on each.
    pub needs: Vec<(String, &'static str)>,
    /// The SELECT list, unless it has a star.
    pub items: Option<Vec<Item>>,
    /// It draws a number from a sequence.
    pub draws: bool,
}

/// What rewriting gathers on its way.
pub struct Context<'a> {
    pub catalog: &'a Catalog,
    pub needs: Vec<(String, &'static str)>,
    pub draws: bool,
}

impl Context<'_> {
    pub fn need(&mut self, object: &str, privilege: &'static str) {
        let pair = (object.to_owned(), privilege);
        if !self.needs.contains(&pair) {
            self.needs.push(pair);
        }
    }
}

pub fn tokens(sql: &str) -> Result<Vec<Token>, Refusal> {
    lex(sql).map_err(|e| match e {
        LexError::Character => (911, "invalid character".to_owned()),
        LexError::OpenQuote => (1756, "quoted string not properly terminated".to_owned()),
    })
}

pub fn plan(sql: &str, catalog: &Catalog) -> Result<Plan, Refusal> {
    let mut tokens = tokens(sql)?;
    let kind = shape::kind(&tokens);
    lint::check(&tokens, kind)?;
    let binds = tokens.iter().filter(|token| matches!(token, Token::Bind(_))).count();
    let lock = if kind == shape::SELECT { take_lock(&mut tokens) } else { None };
    let items = if kind == shape::SELECT { query::items(&tokens) } else { None };
    let chars = chars::of(&tokens, catalog);
    let nodes = tree::build(&tokens)?;
    let mut context = Context { catalog, needs: Vec::new(), draws: false };
    let statements = match kind {
        shape::SELECT => vec![tree::render(&query::block(nodes, &mut context)?)],
        shape::UPDATE => vec![dml::update(nodes, &mut context)?],
        shape::DELETE => vec![dml::delete(nodes, &mut context)?],
        shape::INSERT => vec![dml::insert(nodes, &mut context)?],
        shape::MERGE => merge::merge(nodes, &mut context)?,
        _ => vec![tree::render(&nodes)],
    };
    Ok(Plan { kind, statements, chars, binds, lock, needs: context.needs, items, draws: context.draws })
}

/// Cuts `FOR UPDATE [OF …] [NOWAIT | WAIT n | SKIP LOCKED]` off the end.
fn take_lock(tokens: &mut Vec<Token>) -> Option<Wait> {
    let at = tokens.windows(2).rposition(|pair| pair[0].is("FOR") && pair[1].is("UPDATE"))?;
    let tail = tokens.split_off(at);
    if tail.iter().any(|token| token.is("NOWAIT")) {
        return Some(Wait::NoWait);
    }
    let wait = tail.iter().position(|token| token.is("WAIT"));
    Some(match wait.and_then(|at| tail.get(at + 1)) {
        Some(Token::Number(seconds)) => Wait::Seconds(seconds.parse().unwrap_or(0)),
        _ => Wait::Forever,
    })
}

/// Splits at commas of this level.
pub fn split(nodes: &[Node]) -> Vec<Vec<Node>> {
    if nodes.is_empty() {
        return Vec::new();
    }
    nodes.split(|node| node.is_sym(",")).map(<[Node]>::to_vec).collect()
}

#[cfg(test)]
mod tests;
