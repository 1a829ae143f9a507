//! The Oracle type of a result column that is no plain table column: read off its expression.

use super::catalog::Catalog;
use crate::lex::Token;

const TEXT: &str = "VARCHAR2(4000)";
/// Views over views; a chain longer than this is a circle.
const DEPTH_MAX: u32 = 8;

/// The type of a table's or view's column, through views.
pub fn of_column(catalog: &Catalog, table: &str, column: &str, depth: u32) -> String {
    let Some(entry) = catalog.table(table) else { return TEXT.to_owned() };
    let declared = || entry.columns.iter().find(|(name, _)| name == column).map(|(_, kind)| kind.clone());
    let Some(view) = &entry.view else {
        return declared().filter(|k| !k.is_empty()).unwrap_or_else(|| TEXT.to_owned());
    };
    if depth > DEPTH_MAX {
        return TEXT.to_owned();
    }
    match view.expression(column) {
        Some(tokens) => of_expression(catalog, tokens, &view.sources, depth + 1).unwrap_or_else(|| TEXT.to_owned()),
        None => declared().filter(|kind| !kind.is_empty()).unwrap_or_else(|| TEXT.to_owned()),
    }
}

/// `None`: only the values can tell (a placeholder, an unknown function).
pub fn of_expression(catalog: &Catalog, tokens: &[Token], sources: &[(String, String)], depth: u32) -> Option<String> {
    let column = |source: Option<&str>, name: &str| {
        let mut of = sources.iter().filter(|(alias, table)| source.is_none_or(|s| s == alias || s == table));
        let (_, table) = of.find(|(_, table)| catalog.declared(table, name).is_some())?;
        Some(of_column(catalog, table, name, depth))
    };
    match tokens {
        [Token::Number(_)] => return Some("NUMBER".to_owned()),
        [Token::Text(text)] => return Some(format!("CHAR({})", text.len().max(1))),
        [one] if one.is("SYSDATE") => return Some("DATE".to_owned()),
        [one] if one.is("SYSTIMESTAMP") => return Some("TIMESTAMP(6)".to_owned()),
        [one] if one.is("ROWNUM") => return Some("NUMBER".to_owned()),
        [one] => return column(None, &one.name()?),
        [source, dot, name] if dot.is_sym(".") => {
            if name.is("NEXTVAL") || name.is("CURRVAL") {
                return Some("NUMBER".to_owned());
            }
            return column(Some(&source.name()?), &name.name()?);
        }
        _ => {}
    }
    if top_level(tokens).any(|token| token.is_sym("||")) {
        return Some(TEXT.to_owned());
    }
    if tokens[0].is("CASE") {
        let then = tokens.iter().position(|token| token.is("THEN"))? + 1;
        let end = tokens[then..].iter().position(|token| token.is("WHEN") || token.is("ELSE") || token.is("END"))?;
        let kind = of_expression(catalog, &tokens[then..then + end], sources, depth)?;
        return Some(if kind.starts_with("CHAR") { TEXT.to_owned() } else { kind });
    }
    if top_level(tokens).skip(1).any(|token| ["+", "-", "*", "/"].iter().any(|sym| token.is_sym(sym))) {
        return arithmetic(catalog, tokens, sources, depth);
    }
    if tokens[0].is_sym("(") && !tokens.get(1).is_some_and(|token| token.is("SELECT")) {
        return of_expression(catalog, &tokens[1..tokens.len() - 1], sources, depth);
    }
    if tokens[0].is_sym("(") {
        let items = super::query::items(&tokens[1..tokens.len() - 1])?;
        return of_expression(catalog, &items.first()?.tokens, sources, depth);
    }
    of_call(catalog, tokens, sources, depth)
}

/// DATE ± n is a date; a difference of dates and the rest are numbers.
fn arithmetic(catalog: &Catalog, tokens: &[Token], sources: &[(String, String)], depth: u32) -> Option<String> {
    let mut level = 0;
    let at = tokens.iter().enumerate().skip(1).find(|(_, token)| {
        level += i32::from(token.is_sym("(")) - i32::from(token.is_sym(")"));
        level == 0 && ["+", "-", "*", "/"].iter().any(|sym| token.is_sym(sym))
    });
    let is_date = |part: &[Token]| {
        !part.is_empty()
            && of_expression(catalog, part, sources, depth).is_some_and(|kind| super::catalog::is_time(&kind))
    };
    let (at, _) = at?;
    let dates = [is_date(&tokens[..at]), is_date(&tokens[at + 1..])];
    Some(if dates == [true, false] { "DATE" } else { "NUMBER" }.to_owned())
}

fn of_call(catalog: &Catalog, tokens: &[Token], sources: &[(String, String)], depth: u32) -> Option<String> {
    let open = tokens.iter().position(|token| token.is_sym("("))?;
    let name = tokens[open.checked_sub(1)?].name()?;
    let first_argument = || {
        let mut level = 0;
        let end = tokens[open + 1..].iter().position(|token| {
            level += i32::from(token.is_sym("(")) - i32::from(token.is_sym(")"));
            level < 0 || level == 0 && token.is_sym(",")
        })?;
        of_expression(catalog, &tokens[open + 1..open + 1 + end], sources, depth)
    };
    match name.as_str() {
        "COUNT" | "SUM" | "AVG" | "LENGTH" | "LENGTHB" | "INSTR" | "TO_NUMBER" | "MOD" | "ABS" | "SIGN" | "FLOOR"
        | "CEIL" | "ROUND" | "EXTRACT" => Some("NUMBER".to_owned()),
        "TO_CHAR" | "SUBSTR" | "LPAD" | "RPAD" | "UPPER" | "LOWER" | "TRIM" | "RTRIM" | "LTRIM" | "REPLACE"
        | "RAWTOHEX" | "SYS_CONTEXT" | "CAST_TO_VARCHAR2" => Some(TEXT.to_owned()),
        "TO_DATE" | "ADD_MONTHS" | "LAST_DAY" => Some("DATE".to_owned()),
        "TO_TIMESTAMP" => Some("TIMESTAMP(6)".to_owned()),
        "CAST_TO_RAW" | "HEXTORAW" => Some("RAW(2000)".to_owned()),
        "TRUNC" | "MAX" | "MIN" | "NVL" | "COALESCE" | "GREATEST" | "LEAST" | "NULLIF" => first_argument(),
        "CAST" => {
            let at = tokens.iter().rposition(|token| token.is("AS"))?;
            let kind: String = tokens[at + 1..tokens.len() - 1].iter().filter_map(plain).collect();
            Some(match kind.as_str() {
                "TEXT" => TEXT.to_owned(),
                "INTEGER" | "INT" | "REAL" | "NUMERIC" => "NUMBER".to_owned(),
                _ => kind,
            })
        }
        _ => None,
    }
}

fn plain(token: &Token) -> Option<String> {
    match token {
        Token::Word(w) | Token::Number(w) | Token::Sym(w) => Some(w.clone()),
        _ => None,
    }
}

fn top_level(tokens: &[Token]) -> impl Iterator<Item = &Token> {
    let mut level = 0;
    tokens.iter().filter(move |token| {
        level += i32::from(token.is_sym("("));
        let here = level == 0;
        level -= i32::from(token.is_sym(")"));
        here
    })
}
