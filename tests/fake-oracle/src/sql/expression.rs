//! Words and operators of one level: functions by their SQLite names, NULL-safe `||`, dates under `+` and `-`.
//!
//! A date is text. Where an operand may be one, the operator becomes a function that looks at its values; everywhere
//! else it stays SQLite's.

use super::tree::{Node, render};
use super::{Context, Refusal, refuse};
use crate::lex::Token;

pub const ROWNUM: &str = "row_number() OVER ()";

/// Oracle's functions that SQLite lacks or means otherwise.
const FUNCTIONS: &[(&str, &str)] = &[
    ("NVL", "ifnull"),
    ("NVL2", "ora_nvl2"),
    ("DECODE", "ora_decode"),
    ("GREATEST", "ora_greatest"),
    ("LEAST", "ora_least"),
    ("TO_CHAR", "ora_to_char"),
    ("TO_DATE", "ora_to_date"),
    ("TO_TIMESTAMP", "ora_to_timestamp"),
    ("TO_NUMBER", "ora_to_number"),
    ("TRUNC", "ora_trunc"),
    ("SUBSTR", "ora_substr"),
    ("LENGTHB", "ora_lengthb"),
    ("LPAD", "ora_lpad"),
    ("RPAD", "ora_rpad"),
    ("MOD", "ora_mod"),
    ("FLOOR", "ora_floor"),
    ("CEIL", "ora_ceil"),
    ("ADD_MONTHS", "ora_add_months"),
    ("LAST_DAY", "ora_last_day"),
    ("NUMTODSINTERVAL", "ora_interval"),
    ("RAWTOHEX", "ora_rawtohex"),
    ("HEXTORAW", "ora_hextoraw"),
    ("SYS_CONTEXT", "ora_sys_context"),
    ("ORA_HASH", "ora_hash"),
];
/// Of these a value may be a date.
const TIMELY: &[&str] =
    &["TO_DATE", "TO_TIMESTAMP", "TRUNC", "ADD_MONTHS", "LAST_DAY", "NUMTODSINTERVAL", "CAST", "MAX", "MIN", "NVL"];
/// Words after which no operand has ended.
const NO_OPERAND: &[&str] = &[
    "SELECT",
    "DISTINCT",
    "WHERE",
    "AND",
    "OR",
    "NOT",
    "BETWEEN",
    "IN",
    "LIKE",
    "WHEN",
    "THEN",
    "ELSE",
    "CASE",
    "BY",
    "VALUES",
    "SET",
    "FROM",
    "ON",
    "HAVING",
    "RETURNING",
    "INTO",
    "LIMIT",
    "AS",
    "IS",
    "ALL",
    "UNION",
];

fn timely(text: impl Into<String>) -> Node {
    Node::Raw { text: text.into(), timely: true }
}

pub fn level(nodes: Vec<Node>, context: &mut Context<'_>) -> Result<Vec<Node>, Refusal> {
    let nodes = words(nodes, context)?;
    operators(nodes, context)
}

fn words(nodes: Vec<Node>, context: &mut Context<'_>) -> Result<Vec<Node>, Refusal> {
    let mut out: Vec<Node> = Vec::with_capacity(nodes.len());
    let mut at = 0;
    while at < nodes.len() {
        let next = nodes.get(at + 1);
        let after_dot = out.last().is_some_and(|last| last.is_sym("."));
        let Node::Token(Token::Word(word)) = &nodes[at] else {
            out.push(nodes[at].clone());
            at += 1;
            continue;
        };
        let called = matches!(next, Some(Node::Group(_)));
        let text_next = match next {
            Some(Node::Token(Token::Text(text))) => Some(text.clone()),
            _ => None,
        };
        let is_dot = next.is_some_and(|next| next.is_sym("."));
        let member = nodes.get(at + 2).and_then(Node::name);
        match (word.as_str(), member.as_deref()) {
            (sequence, Some("NEXTVAL" | "CURRVAL")) if is_dot => {
                context.draws = true;
                out.push(Node::raw(format!("ora_{}('{sequence}')", member.unwrap_or_default().to_lowercase())));
                at += 3;
                continue;
            }
            ("UTL_RAW", Some(function)) if is_dot => {
                out.push(Node::raw(format!("ora_{}", function.to_lowercase())));
                at += 3;
                continue;
            }
            _ if after_dot => out.push(nodes[at].clone()),
            ("SYSDATE", _) => out.push(timely("ora_sysdate()")),
            ("SYSTIMESTAMP" | "LOCALTIMESTAMP" | "CURRENT_TIMESTAMP", _) => out.push(timely("ora_systimestamp()")),
            ("CURRENT_DATE", _) => out.push(timely("ora_sysdate()")),
            ("USER", _) if !called => out.push(Node::raw("ora_user()")),
            ("ROWNUM", _) => out.push(Node::raw(ROWNUM)),
            ("MINUS", _) => out.push(Node::Token(Token::Word("EXCEPT".to_owned()))),
            ("SYS_GUID", _) if called => out.push(Node::raw("randomblob(16)")),
            ("SYS_GUID", _) => out.push(Node::raw("randomblob(16)")),
            ("SB_NEXT_RESV_NO", _) => {
                context.need("SB_NEXT_RESV_NO", "EXECUTE");
                context.draws = true;
                out.push(Node::raw("sb_next_resv_no()"));
                at += usize::from(called);
            }
            ("DATE" | "TIMESTAMP", _) if text_next.is_some() => {
                out.push(timely(format!("'{}'", text_next.unwrap_or_default())));
                at += 1;
            }
            ("INTERVAL", _) if text_next.is_some() => {
                let unit = nodes.get(at + 2).and_then(Node::name).unwrap_or_default();
                out.push(timely(format!("ora_interval({}, '{unit}')", text_next.unwrap_or_default())));
                at += 2;
            }
            ("CAST", _) if called => {
                out.push(cast(next)?);
                at += 1;
            }
            (name, _) if called => {
                let known = FUNCTIONS.iter().find(|(oracle, _)| *oracle == name);
                let text = known.map_or(name, |(_, sqlite)| sqlite);
                out.push(Node::Raw { text: text.to_owned(), timely: TIMELY.contains(&name) });
                // A name before a group that is no function (IN, VALUES, a table in INSERT) stays a word.
                if known.is_none() {
                    out.pop();
                    out.push(nodes[at].clone());
                }
            }
            _ => out.push(nodes[at].clone()),
        }
        at += 1;
    }
    Ok(out)
}

fn cast(group: Option<&Node>) -> Result<Node, Refusal> {
    let Some(Node::Group(inner)) = group else { return refuse(906, "missing left parenthesis") };
    let Some(at) = inner.iter().rposition(|node| node.is("AS")) else { return refuse(905, "missing keyword") };
    let value = render(&inner[..at]);
    let kind = inner.get(at + 1).and_then(Node::name).unwrap_or_default();
    Ok(match kind.as_str() {
        "DATE" => timely(format!("ora_to_date({value})")),
        "TIMESTAMP" => timely(format!("ora_to_timestamp({value})")),
        "NUMBER" | "INTEGER" => Node::raw(format!("ora_to_number({value})")),
        "VARCHAR2" | "CHAR" => Node::raw(format!("ora_to_char({value})")),
        _ => return refuse(902, "invalid datatype"),
    })
}

fn is_additive(node: &Node) -> bool {
    node.is_sym("+") || node.is_sym("-") || node.is_sym("||")
}

fn is_multiplicative(node: &Node) -> bool {
    node.is_sym("*") || node.is_sym("/")
}

fn ends_operand(node: &Node) -> bool {
    match node {
        Node::Token(Token::Word(word)) => !NO_OPERAND.contains(&word.as_str()),
        Node::Token(Token::Sym(_)) => false,
        _ => true,
    }
}

fn operators(mut nodes: Vec<Node>, context: &Context<'_>) -> Result<Vec<Node>, Refusal> {
    let mut at = 1;
    while at + 1 < nodes.len() {
        if nodes[at].is_sym("/") && ends_operand(&nodes[at - 1]) {
            // 1/24 is no whole number in Oracle.
            nodes[at] = Node::raw("* 1.0 /");
            at += 1;
            continue;
        }
        if !is_additive(&nodes[at]) || !ends_operand(&nodes[at - 1]) {
            at += 1;
            continue;
        }
        let start = chain_start(&nodes, at);
        let end = term_end(&nodes, at + 1);
        if end <= at + 1 {
            return refuse(936, "missing expression");
        }
        let (left, right) = (&nodes[start..at], &nodes[at + 1..end]);
        let may_be_date = |part: &[Node], first: bool| part.iter().any(|node| is_timely(node, context, first));
        let made = if nodes[at].is_sym("||") {
            Some(Node::raw(format!("(ifnull({}, '') || ifnull({}, ''))", render(left), render(right))))
        } else if may_be_date(left, true) || may_be_date(right, false) {
            let function = if nodes[at].is_sym("+") { "ora_add" } else { "ora_sub" };
            Some(timely(format!("{function}({}, {})", render(left), render(right))))
        } else {
            None
        };
        match made {
            Some(node) => {
                nodes.splice(start..end, [node]);
                at = start + 1;
            }
            None => at += 1,
        }
    }
    Ok(nodes)
}

/// Where the sum begins that ends before `at`: factors and operators, leftwards.
fn chain_start(nodes: &[Node], at: usize) -> usize {
    let mut start = factor_start(nodes, at - 1);
    while start >= 2 {
        let operator = &nodes[start - 1];
        let is_division = matches!(operator, Node::Raw { text, .. } if text == "* 1.0 /");
        if !(is_additive(operator) || is_multiplicative(operator) || is_division) || !ends_operand(&nodes[start - 2]) {
            break;
        }
        start = factor_start(nodes, start - 2);
    }
    start
}

/// A factor ends at `last`: a name with its owners, a call, a group, CASE … END.
fn factor_start(nodes: &[Node], last: usize) -> usize {
    if nodes[last].is("END") {
        let mut depth = 0;
        for at in (0..=last).rev() {
            depth += i32::from(nodes[at].is("END")) - i32::from(nodes[at].is("CASE"));
            if depth == 0 {
                return at;
            }
        }
    }
    let mut start = last;
    if matches!(nodes[last], Node::Group(_)) && last > 0 && is_function(&nodes[last - 1]) {
        start = last - 1;
    }
    while start >= 2 && nodes[start - 1].is_sym(".") {
        start -= 2;
    }
    start
}

fn is_function(node: &Node) -> bool {
    match node {
        Node::Token(Token::Word(word)) => !NO_OPERAND.contains(&word.as_str()),
        Node::Raw { text, .. } => text.chars().all(|c| c.is_alphanumeric() || c == '_'),
        _ => false,
    }
}

/// Where the product ends that begins at `from`.
fn term_end(nodes: &[Node], from: usize) -> usize {
    let mut at = from;
    loop {
        while at < nodes.len() && (nodes[at].is_sym("-") || nodes[at].is_sym("+")) {
            at += 1;
        }
        if at >= nodes.len() || !ends_operand(&nodes[at]) && !nodes[at].is("CASE") {
            return at.min(nodes.len()).max(from);
        }
        if nodes[at].is("CASE") {
            let mut depth = 0;
            while at < nodes.len() {
                depth += i32::from(nodes[at].is("CASE")) - i32::from(nodes[at].is("END"));
                at += 1;
                if depth == 0 {
                    break;
                }
            }
        } else {
            at += 1;
            while at + 1 < nodes.len() && nodes[at].is_sym(".") {
                at += 2;
            }
            if matches!(nodes.get(at), Some(Node::Group(_))) && is_function(&nodes[at - 1]) {
                at += 1;
            }
        }
        match nodes.get(at) {
            Some(node) if is_multiplicative(node) => at += 1,
            _ => return at,
        }
    }
}

/// `first`: on the left, where a placeholder may be a date.
fn is_timely(node: &Node, context: &Context<'_>, first: bool) -> bool {
    match node {
        Node::Raw { text, timely } => *timely || first && text.starts_with('?'),
        Node::Group(inner) => {
            !inner.iter().any(|node| node.is("SELECT")) && inner.iter().any(|node| is_timely(node, context, false))
        }
        Node::Token(token) => token.name().is_some_and(|name| context.catalog.dates.contains(&name)),
    }
}
