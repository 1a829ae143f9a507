//! Which placeholders meet a CHAR column: `COLUMN = :1`, `:1 = COLUMN`, `COLUMN IN (:1, …)`, or a column of an INSERT.

use super::catalog::Catalog;
use super::types;
use crate::lex::Token;

const COMPARES: [&str; 6] = ["=", "<>", "<", ">", "<=", ">="];

/// By placeholder, in order.
pub fn of(tokens: &[Token], catalog: &Catalog) -> Vec<Option<usize>> {
    let inserted = inserted(tokens, catalog);
    let sources = sources(tokens, catalog);
    let places = tokens.iter().enumerate().filter(|(_, token)| matches!(token, Token::Bind(_)));
    let found = places.map(|(at, _)| {
        if let Some((_, kind)) = inserted.iter().find(|(place, _)| *place == at) {
            return bytes(kind);
        }
        column(tokens, at, &sources, catalog).and_then(|kind| bytes(&kind))
    });
    found.collect()
}

/// `CHAR(6)` to 6.
fn bytes(kind: &str) -> Option<usize> {
    let rest = kind.strip_prefix("CHAR(")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Alias and table of each table named.
fn sources(tokens: &[Token], catalog: &Catalog) -> Vec<(String, String)> {
    let mut sources = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let Some(table) = token.name().filter(|name| catalog.table(name).is_some()) else { continue };
        let begins = at > 0 && ["FROM", "JOIN", "UPDATE", "INTO"].iter().any(|word| tokens[at - 1].is(word));
        if !begins && !(at > 0 && tokens[at - 1].is_sym(",")) {
            continue;
        }
        let words = ["WHERE", "SET", "ON", "JOIN", "LEFT", "INNER", "ORDER", "GROUP", "FOR", "VALUES"];
        let alias = tokens.get(at + 1).filter(|token| !words.iter().any(|word| token.is(word)));
        sources.push((alias.and_then(Token::name).unwrap_or_else(|| table.clone()), table));
    }
    sources
}

/// The type of the column that the placeholder at this token is compared with.
fn column(tokens: &[Token], at: usize, sources: &[(String, String)], catalog: &Catalog) -> Option<String> {
    let compares = |token: &Token| COMPARES.iter().any(|sym| token.is_sym(sym));
    if at > 0 && compares(&tokens[at - 1]) {
        return before(tokens, at - 1, sources, catalog);
    }
    if tokens.get(at + 1).is_some_and(compares) {
        let end = if tokens.get(at + 3).is_some_and(|token| token.is_sym(".")) { at + 5 } else { at + 3 };
        return before(tokens, end, sources, catalog);
    }
    let is_item = |token: &&Token| matches!(token, Token::Bind(_)) || token.is_sym(",");
    let items = tokens[..at].iter().rev().take_while(is_item).count();
    let open = (at - items).checked_sub(1)?;
    if tokens[open].is_sym("(") && open > 0 && tokens[open - 1].is("IN") {
        return before(tokens, open - 1, sources, catalog);
    }
    None
}

/// The type of the column whose name ends before this token.
fn before(tokens: &[Token], end: usize, sources: &[(String, String)], catalog: &Catalog) -> Option<String> {
    let name = tokens.get(end.checked_sub(1)?)?.name()?;
    let qualifier = match end.checked_sub(3).and_then(|at| tokens.get(at..end - 1)) {
        Some([source, dot]) if dot.is_sym(".") => source.name(),
        _ => None,
    };
    let mut of = sources.iter().filter(|(alias, _)| qualifier.as_ref().is_none_or(|q| q == alias));
    let (_, table) = of.find(|(_, table)| catalog.declared(table, &name).is_some())?;
    Some(types::of_column(catalog, table, &name, 0))
}

/// Token and column type of each placeholder that is a whole value of `INSERT INTO t (…) VALUES (…)`.
fn inserted(tokens: &[Token], catalog: &Catalog) -> Vec<(usize, String)> {
    let Some(values) = tokens.iter().position(|token| token.is("VALUES")) else { return Vec::new() };
    if !tokens[0].is("INSERT") || tokens.len() < 4 {
        return Vec::new();
    }
    let Some(table) = tokens[2].name() else { return Vec::new() };
    let columns: Vec<String> = tokens[3..values].iter().filter_map(Token::name).collect();
    let (mut level, mut nth, mut found) = (0, 0, Vec::new());
    for (at, token) in tokens.iter().enumerate().skip(values + 1) {
        level += i32::from(token.is_sym("(")) - i32::from(token.is_sym(")"));
        if level == 1 && token.is_sym(",") {
            nth += 1;
        }
        let whole = level == 1 && matches!(token, Token::Bind(_));
        if let (true, Some(column)) = (whole, columns.get(nth)) {
            found.push((at, types::of_column(catalog, &table, column, 0)));
        }
    }
    found
}
