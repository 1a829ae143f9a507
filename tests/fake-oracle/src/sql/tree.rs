//! Tokens as a tree of parentheses. A placeholder gets its number here, before anything moves.

use super::{Refusal, refuse};
use crate::lex::Token;

#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    Token(Token),
    Group(Vec<Node>),
    /// SQLite text that is done; `timely`: its value may be a date.
    Raw {
        text: String,
        timely: bool,
    },
}

impl Node {
    pub fn raw(text: impl Into<String>) -> Node {
        Node::Raw { text: text.into(), timely: false }
    }

    pub fn is(&self, word: &str) -> bool {
        matches!(self, Node::Token(token) if token.is(word))
    }

    pub fn is_sym(&self, sym: &str) -> bool {
        matches!(self, Node::Token(token) if token.is_sym(sym))
    }

    pub fn name(&self) -> Option<String> {
        match self {
            Node::Token(token) => token.name(),
            _ => None,
        }
    }
}

pub fn build(tokens: &[Token]) -> Result<Vec<Node>, Refusal> {
    let mut open = vec![Vec::new()];
    let mut binds = 0;
    for token in tokens {
        let level = open.last_mut().expect("the outermost level stays");
        match token {
            Token::Sym(s) if s == "(" => open.push(Vec::new()),
            Token::Sym(s) if s == ")" => {
                let inner = open.pop().expect("the outermost level stays");
                match open.last_mut() {
                    Some(outer) => outer.push(Node::Group(inner)),
                    None => return refuse(933, "SQL command not properly ended"),
                }
            }
            Token::Bind(_) => {
                binds += 1;
                level.push(Node::raw(format!("?{binds}")));
            }
            other => level.push(Node::Token(other.clone())),
        }
    }
    match open.len() {
        1 => Ok(open.pop().expect("one level")),
        _ => refuse(907, "missing right parenthesis"),
    }
}

pub fn render(nodes: &[Node]) -> String {
    let mut out = String::new();
    for node in nodes {
        let tight = out.is_empty() || out.ends_with(['(', '.']) || node.is_sym(",") || node.is_sym(".");
        if !tight {
            out.push(' ');
        }
        match node {
            Node::Raw { text, .. } => out.push_str(text),
            Node::Group(inner) => {
                out.push('(');
                out.push_str(&render(inner));
                out.push(')');
            }
            Node::Token(token) => out.push_str(&text(token)),
        }
    }
    out
}

fn text(token: &Token) -> String {
    match token {
        Token::Word(w) => w.clone(),
        // In double quotes an unknown column would be a string to SQLite.
        Token::Quoted(q) => format!("[{q}]"),
        Token::Number(n) => n.clone(),
        Token::Text(t) if t.is_empty() => "NULL".to_owned(),
        Token::Text(t) => format!("'{}'", t.replace('\'', "''")),
        Token::Bind(name) => format!(":{name}"),
        Token::Sym(s) => s.clone(),
    }
}
