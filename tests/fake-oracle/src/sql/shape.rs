//! What a client must know of a statement before it is sent: its kind, its placeholders, and which receive values.
#![allow(dead_code)] // compiled into library and server: each uses its half

use crate::lex::Token;

/// Statement types as OCI numbers them.
pub const SELECT: u16 = 1;
pub const UPDATE: u16 = 2;
pub const DELETE: u16 = 3;
pub const INSERT: u16 = 4;
pub const CREATE: u16 = 5;
pub const DROP: u16 = 6;
pub const ALTER: u16 = 7;
pub const BEGIN: u16 = 8;
pub const DECLARE: u16 = 9;
pub const CALL: u16 = 10;
pub const MERGE: u16 = 16;
pub const ROLLBACK: u16 = 17;
pub const COMMIT: u16 = 21;

pub fn kind(tokens: &[Token]) -> u16 {
    let first = tokens.iter().find(|token| !token.is_sym("("));
    let Some(Token::Word(word)) = first else { return 0 };
    match word.as_str() {
        "SELECT" | "WITH" => SELECT,
        "UPDATE" => UPDATE,
        "DELETE" => DELETE,
        "INSERT" => INSERT,
        "CREATE" => CREATE,
        "DROP" => DROP,
        "ALTER" => ALTER,
        "BEGIN" => BEGIN,
        "DECLARE" => DECLARE,
        "CALL" => CALL,
        "MERGE" => MERGE,
        "ROLLBACK" => ROLLBACK,
        "COMMIT" => COMMIT,
        _ => 0,
    }
}

pub fn is_block(kind: u16) -> bool {
    matches!(kind, BEGIN | DECLARE | CALL)
}

/// Names of the placeholders as OCI counts them: each occurrence in SQL, each name once in PL/SQL.
pub fn binds(tokens: &[Token], kind: u16) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for token in tokens {
        if let Token::Bind(name) = token
            && !(is_block(kind) && names.contains(name))
        {
            names.push(name.clone());
        }
    }
    names
}

/// How many of the last placeholders receive what RETURNING gives.
pub fn returned(tokens: &[Token], kind: u16) -> usize {
    if !matches!(kind, UPDATE | DELETE | INSERT | MERGE) {
        return 0;
    }
    let Some(returning) = tokens.iter().rposition(|token| token.is("RETURNING") || token.is("RETURN")) else {
        return 0;
    };
    let Some(into) = tokens[returning..].iter().position(|token| token.is("INTO")) else { return 0 };
    tokens[returning + into..].iter().filter(|token| matches!(token, Token::Bind(_))).count()
}
