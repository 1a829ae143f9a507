//! Query blocks: tables, ROWNUM, and the SELECT list.

use super::tree::{Node, render};
use super::{Context, Item, Refusal, expression, refuse};
use crate::lex::Token;

/// Words that end a FROM clause or a condition of a block.
const CLAUSES: &[&str] = &["WHERE", "GROUP", "ORDER", "HAVING", "UNION", "MINUS", "INTERSECT", "CONNECT", "START"];

/// Rewrites one level and those below it.
pub fn block(nodes: Vec<Node>, context: &mut Context<'_>) -> Result<Vec<Node>, Refusal> {
    let mut out = Vec::new();
    for node in nodes {
        out.push(match node {
            Node::Group(inner) => Node::Group(block(inner, context)?),
            other => other,
        });
    }
    let is_query = out.iter().any(|node| node.is("SELECT"));
    if is_query {
        out = tables(out, context);
    }
    out = expression::level(out, context)?;
    if is_query {
        let mut done = Vec::new();
        for part in union_parts(out) {
            done.extend(if part.iter().any(|node| node.is("SELECT")) { rownum(part)? } else { part });
        }
        out = done;
    }
    Ok(out)
}

fn union_parts(nodes: Vec<Node>) -> Vec<Vec<Node>> {
    let mut parts = vec![Vec::new()];
    for node in nodes {
        let splits = node.is("UNION") || node.is("EXCEPT") || node.is("INTERSECT");
        if splits {
            parts.push(vec![node]);
            parts.push(Vec::new());
        } else if node.is("ALL") && parts.len() > 1 && parts.last().is_some_and(Vec::is_empty) {
            let set = parts.len() - 2;
            parts[set].push(node);
        } else {
            parts.last_mut().expect("one part at least").push(node);
        }
    }
    parts
}

/// Strips owners, and notes what is read.
fn tables(nodes: Vec<Node>, context: &mut Context<'_>) -> Vec<Node> {
    let mut out: Vec<Node> = Vec::new();
    let mut expects = false;
    let mut in_from = false;
    let mut nodes = nodes.into_iter().peekable();
    while let Some(node) = nodes.next() {
        if node.is("FROM") || node.is("JOIN") {
            (expects, in_from) = (true, true);
        } else if CLAUSES.iter().any(|word| node.is(word)) || node.is("SELECT") {
            (expects, in_from) = (false, false);
        } else if in_from && node.is_sym(",") {
            expects = true;
        } else if expects && let Some(mut name) = node.name() {
            let mut table = node;
            if nodes.peek().is_some_and(|next| next.is_sym(".")) {
                nodes.next();
                if let Some(last) = nodes.next() {
                    name = last.name().unwrap_or_default();
                    table = last;
                }
            }
            context.need(&name, "SELECT");
            expects = false;
            out.push(table);
            continue;
        } else if expects {
            expects = false;
        }
        out.push(node);
    }
    out
}

/// `ROWNUM <= n` as a LIMIT of its block. In Oracle it counts before the block's own ORDER BY, which nobody wants:
/// such a block is refused rather than given a meaning that the real server would not.
fn rownum(nodes: Vec<Node>) -> Result<Vec<Node>, Refusal> {
    let Some(found) = nodes.iter().position(|node| node.is("WHERE")) else { return Ok(nodes) };
    let (out, limit) = take_rownum(nodes, found + 1)?;
    let Some(limit) = limit else { return Ok(out) };
    if out.iter().any(|node| node.is("ORDER") || node.is("GROUP")) {
        return refuse(3001, "unimplemented feature: ROWNUM beside ORDER BY or GROUP BY; order in an inline view");
    }
    let mut out = out;
    out.push(Node::raw(format!("LIMIT {limit}")));
    Ok(out)
}

/// Replaces the condition on ROWNUM after `from` by a true one; gives the limit.
pub fn take_rownum(nodes: Vec<Node>, from: usize) -> Result<(Vec<Node>, Option<String>), Refusal> {
    let at = nodes.iter().skip(from).position(is_rownum).map(|at| at + from);
    let Some(at) = at else { return Ok((nodes, None)) };
    let end = nodes[at..].iter().position(|n| n.is("AND") || CLAUSES.iter().any(|word| n.is(word)));
    let end = end.map_or(nodes.len(), |end| end + at);
    if nodes.iter().any(|node| node.is("OR")) || end < at + 3 {
        return refuse(3001, "unimplemented feature: ROWNUM in this condition");
    }
    let value = render(&nodes[at + 2..end]);
    let limit = match &nodes[at + 1] {
        op if op.is_sym("<=") => value,
        op if op.is_sym("<") => format!("({value}) - 1"),
        op if op.is_sym("=") && value == "1" => value,
        _ => return refuse(3001, "unimplemented feature: ROWNUM in this comparison"),
    };
    let mut out = nodes[..at].to_vec();
    out.push(Node::raw("1 = 1"));
    out.extend_from_slice(&nodes[end..]);
    Ok((out, Some(limit)))
}

fn is_rownum(node: &Node) -> bool {
    matches!(node, Node::Raw { text, .. } if text == expression::ROWNUM)
}

/// The outermost SELECT list, named as Oracle names columns; `None` with a star in it.
pub fn items(tokens: &[Token]) -> Option<Vec<Item>> {
    let start = outer(tokens, 0, "SELECT")? + 1;
    let start = start + usize::from(tokens.get(start).is_some_and(|t| t.is("DISTINCT") || t.is("ALL")));
    let end = outer(tokens, start, "FROM").unwrap_or(tokens.len());
    let mut level = 0;
    let mut parts: Vec<Vec<Token>> = vec![Vec::new()];
    for token in &tokens[start..end] {
        level += i32::from(token.is_sym("(")) - i32::from(token.is_sym(")"));
        if level == 0 && token.is_sym(",") {
            parts.push(Vec::new());
        } else {
            parts.last_mut()?.push(token.clone());
        }
    }
    parts.into_iter().map(item).collect()
}

fn outer(tokens: &[Token], from: usize, word: &str) -> Option<usize> {
    let mut level = 0;
    tokens[from..]
        .iter()
        .position(|token| {
            level += i32::from(token.is_sym("(")) - i32::from(token.is_sym(")"));
            level == 0 && token.is(word)
        })
        .map(|at| at + from)
}

fn item(tokens: Vec<Token>) -> Option<Item> {
    let last = tokens.last()?;
    if last.is_sym("*") {
        return None;
    }
    let before = tokens.len().checked_sub(2).map(|at| &tokens[at]);
    if let (Some(name), Some(before)) = (last.name(), before) {
        if before.is("AS") {
            return Some(Item { name, tokens: tokens[..tokens.len() - 2].to_vec() });
        }
        if before.is_sym(".") {
            return Some(Item { name, tokens });
        }
        let ends_operand = match before {
            Token::Sym(s) => s == ")",
            _ => true,
        };
        if ends_operand && !last.is("END") {
            return Some(Item { name, tokens: tokens[..tokens.len() - 1].to_vec() });
        }
    }
    if tokens.len() == 1
        && let Some(name) = last.name()
    {
        return Some(Item { name, tokens });
    }
    let words = tokens.iter().map(|token| match token {
        Token::Word(w) | Token::Number(w) | Token::Sym(w) | Token::Quoted(w) => w.clone(),
        Token::Text(t) => format!("'{t}'"),
        Token::Bind(b) => format!(":{b}"),
    });
    Some(Item { name: words.collect(), tokens })
}
