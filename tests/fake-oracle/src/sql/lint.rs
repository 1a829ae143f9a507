//! What a server of 11.2 refuses and SQLite, or a later Oracle, would accept.

use super::{Refusal, refuse};
use crate::lex::Token;
use crate::shape;

const IDENTIFIER_BYTES_MAX: usize = 30;
const VARCHAR2_BYTES_MAX: u32 = 4_000;
/// Functions of SQLite, and of Oracle after 11.2.
const LATER_FUNCTIONS: &[&str] = &[
    "STRFTIME",
    "DATETIME",
    "JULIANDAY",
    "UNIXEPOCH",
    "GROUP_CONCAT",
    "STRING_AGG",
    "IFNULL",
    "IIF",
    "PRINTF",
    "FORMAT",
    "TOTAL",
    "RANDOM",
    "HEX",
    "UNHEX",
    "TYPEOF",
    "LAST_INSERT_ROWID",
    "CHANGES",
    "JSON_VALUE",
    "JSON_OBJECT",
    "JSON_TABLE",
    "JSON_EXTRACT",
    "STANDARD_HASH",
    "APPROX_COUNT_DISTINCT",
    "VALIDATE_CONVERSION",
];

fn not_ended<T>() -> Result<T, Refusal> {
    refuse(933, "SQL command not properly ended")
}

fn pair(tokens: &[Token], first: &str, second: &str) -> bool {
    tokens.windows(2).any(|pair| pair[0].is(first) && pair[1].is(second))
}

pub fn check(tokens: &[Token], kind: u16) -> Result<(), Refusal> {
    if tokens.iter().filter_map(Token::name).any(|name| name.len() > IDENTIFIER_BYTES_MAX) {
        return refuse(972, "identifier is too long");
    }
    if shape::is_block(kind) {
        return Ok(());
    }
    if tokens.last().is_some_and(|last| last.is_sym(";")) || tokens.iter().any(|token| token.is_sym("%")) {
        return refuse(911, "invalid character");
    }
    clauses(tokens, kind)?;
    if let Some(word) = tokens.iter().find(|token| token.is("TRUE") || token.is("FALSE")) {
        return refuse(904, format!("\"{}\": invalid identifier", word.name().unwrap_or_default()));
    }
    for call in tokens.windows(2).filter(|pair| pair[1].is_sym("(")) {
        if let Some(name) = call[0].name().filter(|name| LATER_FUNCTIONS.contains(&name.as_str())) {
            return refuse(904, format!("\"{name}\": invalid identifier"));
        }
    }
    if matches!(kind, shape::SELECT | shape::INSERT | shape::UPDATE | shape::DELETE | shape::MERGE) {
        from_everywhere(tokens)?;
    }
    if kind == shape::CREATE || kind == shape::ALTER {
        types(tokens)?;
    }
    Ok(())
}

fn clauses(tokens: &[Token], kind: u16) -> Result<(), Refusal> {
    let later = [("FETCH", "FIRST"), ("FETCH", "NEXT"), ("ON", "CONFLICT"), ("CROSS", "APPLY"), ("OUTER", "APPLY")];
    if later.iter().any(|(first, second)| pair(tokens, first, second)) {
        return not_ended();
    }
    let limits = tokens.windows(2).any(|pair| {
        let limit = pair[0].is("LIMIT") || pair[0].is("OFFSET");
        limit && (matches!(pair[1], Token::Number(_) | Token::Bind(_)) || pair[1].is_sym("("))
    });
    if limits {
        return not_ended();
    }
    if pair(tokens, "IF", "EXISTS") || pair(tokens, "IF", "NOT") {
        return not_ended();
    }
    if kind == shape::INSERT {
        if !tokens.get(1).is_some_and(|token| token.is("INTO")) {
            return refuse(925, "missing INTO keyword");
        }
        if pair(tokens, "DEFAULT", "VALUES") {
            return refuse(926, "missing VALUES keyword");
        }
        let values = tokens.iter().position(|token| token.is("VALUES"));
        let rows = values.is_some_and(|at| {
            let mut level = 0;
            tokens[at..].windows(2).any(|pair| {
                level += i32::from(pair[0].is_sym("(")) - i32::from(pair[0].is_sym(")"));
                level == 0 && pair[0].is_sym(")") && pair[1].is_sym(",")
            })
        });
        // RETURNING has commas of its own, but none after a closing parenthesis of VALUES.
        if rows && !tokens.iter().any(|token| token.is("RETURNING")) {
            return not_ended();
        }
    }
    if kind == shape::UPDATE {
        let mut level = 0;
        let from = tokens.iter().any(|token| {
            level += i32::from(token.is_sym("(")) - i32::from(token.is_sym(")"));
            level == 0 && token.is("FROM")
        });
        if from {
            return not_ended();
        }
    }
    if kind == 0 {
        let known = ["SET", "SAVEPOINT", "LOCK", "TRUNCATE", "GRANT", "REVOKE", "EXPLAIN", "COMMENT"];
        if !tokens.first().is_some_and(|first| known.iter().any(|word| first.is(word))) {
            return refuse(900, "invalid SQL statement");
        }
    }
    Ok(())
}

/// Every SELECT has its FROM, and no table alias has AS.
fn from_everywhere(tokens: &[Token]) -> Result<(), Refusal> {
    // A level: whether a SELECT waits for its FROM, and whether we are in a FROM clause.
    let mut levels = vec![(false, false)];
    let ends = ["WHERE", "GROUP", "ORDER", "HAVING", "CONNECT", "START", "SET", "ON", "USING", "WHEN"];
    for (at, token) in tokens.iter().enumerate() {
        let here = levels.last_mut().expect("the outermost level stays");
        let missing = || refuse(923, "FROM keyword not found where expected");
        if token.is_sym("(") {
            levels.push((false, false));
        } else if token.is_sym(")") {
            if here.0 {
                return missing();
            }
            if levels.len() > 1 {
                levels.pop();
            }
        } else if token.is("SELECT") {
            if here.0 {
                return missing();
            }
            *here = (true, false);
        } else if token.is("FROM") {
            *here = (false, true);
        } else if token.is("UNION") || token.is("MINUS") || token.is("INTERSECT") {
            if here.0 {
                return missing();
            }
            *here = (false, false);
        } else if token.is("JOIN") {
            here.1 = true;
        } else if ends.iter().any(|word| token.is(word)) {
            here.1 = false;
        } else if token.is("AS") && here.1 && !tokens.get(at + 1).is_some_and(|next| next.is("OF")) {
            return not_ended();
        }
    }
    if levels.first().is_some_and(|level| level.0) {
        return refuse(923, "FROM keyword not found where expected");
    }
    Ok(())
}

fn types(tokens: &[Token]) -> Result<(), Refusal> {
    if tokens.iter().any(|token| token.is("IDENTITY") || token.is("AUTOINCREMENT")) {
        return refuse(907, "missing right parenthesis");
    }
    if tokens.iter().any(|token| token.is("BOOLEAN") || token.is("TEXT")) {
        return refuse(902, "invalid datatype");
    }
    let long = tokens.windows(3).any(|three| {
        let length = if let Token::Number(n) = &three[2] { n.parse::<u32>().unwrap_or(0) } else { 0 };
        three[0].is("VARCHAR2") && three[1].is_sym("(") && length > VARCHAR2_BYTES_MAX
    });
    if long {
        return refuse(910, "specified length too long for its datatype");
    }
    Ok(())
}
