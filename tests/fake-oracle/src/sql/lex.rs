//! Oracle's tokens. Comments and optimizer hints vanish here; a plus join or a label is not known.
#![allow(dead_code)] // compiled into library and server: each uses its half

#[derive(Debug, Clone, PartialEq)]
pub enum Token {
    /// Unquoted, in upper case.
    Word(String),
    /// Between double quotes, as written.
    Quoted(String),
    Number(String),
    /// A string literal without its quotes, doubled quotes undone.
    Text(String),
    /// A placeholder's name in upper case, without the colon.
    Bind(String),
    /// `<=`, `||`, `=>` or one character.
    Sym(String),
}

impl Token {
    pub fn is(&self, word: &str) -> bool {
        matches!(self, Token::Word(w) if w == word)
    }

    pub fn is_sym(&self, sym: &str) -> bool {
        matches!(self, Token::Sym(s) if s == sym)
    }

    /// The name, if it can be one.
    pub fn name(&self) -> Option<String> {
        match self {
            Token::Word(w) => Some(w.clone()),
            Token::Quoted(q) => Some(q.clone()),
            _ => None,
        }
    }
}

/// What the lexer cannot make sense of is `ORA-00911` (a character) or `ORA-01756` (an open quote).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LexError {
    Character,
    OpenQuote,
}

pub fn lex(sql: &str) -> Result<Vec<Token>, LexError> {
    let mut out = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        if first.is_whitespace() {
            rest = rest.trim_start();
        } else if rest.starts_with("--") {
            rest = rest.split_once('\n').map_or("", |(_, after)| after);
        } else if rest.starts_with("/*") {
            rest = rest[2..].split_once("*/").map_or("", |(_, after)| after);
        } else {
            let (token, length) = one(rest, first)?;
            out.push(token);
            rest = &rest[length..];
        }
    }
    Ok(out)
}

fn is_name_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$' | '#')
}

fn one(rest: &str, first: char) -> Result<(Token, usize), LexError> {
    let run = |from: usize, ok: fn(char) -> bool| rest[from..].find(|c| !ok(c)).map_or(rest.len(), |n| n + from);
    match first {
        '\'' => text_literal(rest),
        '"' => {
            let end = rest[1..].find('"').ok_or(LexError::OpenQuote)? + 1;
            Ok((Token::Quoted(rest[1..end].to_owned()), end + 1))
        }
        ':' if rest[1..].starts_with(is_name_char) => {
            let end = run(1, is_name_char);
            Ok((Token::Bind(rest[1..end].to_uppercase()), end))
        }
        c if c.is_alphabetic() || c == '_' => {
            let end = run(0, is_name_char);
            Ok((Token::Word(rest[..end].to_uppercase()), end))
        }
        c if c.is_ascii_digit() || c == '.' && rest[1..].starts_with(|d: char| d.is_ascii_digit()) => {
            let mut end = run(0, |c| c.is_ascii_digit() || c == '.');
            if let Some(exponent) = rest[end..].strip_prefix(['e', 'E']) {
                let sign = usize::from(exponent.starts_with(['+', '-']));
                if exponent[sign..].starts_with(|d: char| d.is_ascii_digit()) {
                    end = run(end + 1 + sign, |c| c.is_ascii_digit());
                }
            }
            Ok((Token::Number(rest[..end].to_owned()), end))
        }
        _ => {
            let known = ["||", "<=", ">=", "<>", "!=", "^=", ":=", "=>", "**"];
            if let Some(sym) = known.iter().find(|sym| rest.starts_with(**sym)) {
                let sym = if matches!(*sym, "!=" | "^=") { "<>" } else { sym };
                return Ok((Token::Sym(sym.to_owned()), 2));
            }
            if "+-*/=<>(),.;%@:".contains(first) {
                return Ok((Token::Sym(first.to_string()), first.len_utf8()));
            }
            Err(LexError::Character)
        }
    }
}

fn text_literal(rest: &str) -> Result<(Token, usize), LexError> {
    let mut text = String::new();
    let mut at = 1;
    loop {
        let end = rest[at..].find('\'').ok_or(LexError::OpenQuote)? + at;
        text.push_str(&rest[at..end]);
        if !rest[end + 1..].starts_with('\'') {
            return Ok((Token::Text(text), end + 1));
        }
        text.push('\'');
        at = end + 2;
    }
}
