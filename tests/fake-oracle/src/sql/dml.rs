//! INSERT, UPDATE and DELETE, on tables and on simple views.
//!
//! A view's rows are found through the view itself, so that conditions and right sides mean what they mean in the
//! view; only the target and the assigned columns become the base table's. SQLite's own INSTEAD OF triggers would
//! write all columns of a row back and count no rows.

use super::tree::{Node, render};
use super::{Context, Refusal, query, refuse, split};

/// The target of a statement: what it is called, and what is written.
struct Target {
    name: String,
    alias: Option<String>,
    base: String,
    /// Columns of the view that are the base's key, and that key.
    key: Vec<(String, String)>,
    is_view: bool,
}

impl Target {
    fn of(name: &str, alias: Option<String>, context: &Context<'_>) -> Result<Target, Refusal> {
        let own = |key: Vec<(String, String)>| Target {
            name: name.to_owned(),
            alias: alias.clone(),
            base: name.to_owned(),
            key,
            is_view: false,
        };
        let Some(table) = context.catalog.table(name) else { return Ok(own(Vec::new())) };
        let plain = |key: &[String]| key.iter().map(|column| (column.clone(), column.clone())).collect();
        let Some(view) = &table.view else { return Ok(own(plain(&table.key))) };
        if !view.simple {
            return refuse(1732, "data manipulation operation not legal on this view");
        }
        let (base, mut key) = (view.sources[0].1.clone(), Vec::new());
        for column in context.catalog.table(&base).map(|base| base.key.as_slice()).unwrap_or_default() {
            let shown = view.columns.iter().find(|(name, _)| view.base_column(name).as_deref() == Some(column));
            let Some((shown, _)) = shown else {
                return refuse(1779, "cannot modify a column which maps to a non key-preserved table");
            };
            key.push((shown.clone(), column.clone()));
        }
        Ok(Target { name: name.to_owned(), alias, base, key, is_view: true })
    }

    fn called(&self) -> &str {
        self.alias.as_deref().unwrap_or(&self.name)
    }

    fn source(&self) -> String {
        self.alias.as_ref().map_or_else(|| self.name.clone(), |alias| format!("{} {alias}", self.name))
    }

    /// The written column of an assignment: the last part of its name.
    fn column(&self, nodes: &[Node], context: &Context<'_>) -> Result<String, Refusal> {
        let Some(name) = nodes.last().and_then(Node::name) else { return refuse(1747, "invalid user.table.column") };
        let unknown = || (904, format!("\"{name}\": invalid identifier"));
        let Some(table) = context.catalog.table(&self.name) else { return Ok(name) };
        let Some(view) = &table.view else {
            let known = table.columns.iter().any(|(column, _)| *column == name);
            return if known { Ok(name) } else { Err(unknown()) };
        };
        if view.expression(&name).is_none() {
            return Err(unknown());
        }
        view.base_column(&name).ok_or_else(|| (1733, "virtual column not allowed here".to_owned()))
    }

    fn keys(&self, base: bool) -> String {
        let names: Vec<&str> = self.key.iter().map(|(shown, own)| if base { own } else { shown }.as_str()).collect();
        if names.len() == 1 { names[0].to_owned() } else { format!("({})", names.join(", ")) }
    }
}

/// `name [alias]`, owner stripped; leaves `at` behind it.
fn target(nodes: &[Node], at: &mut usize, stop: &[&str]) -> Result<(String, Option<String>), Refusal> {
    let missing = || (903, "invalid table name".to_owned());
    let mut name = nodes.get(*at).and_then(Node::name).ok_or_else(missing)?;
    *at += 1;
    if nodes.get(*at).is_some_and(|node| node.is_sym(".")) {
        name = nodes.get(*at + 1).and_then(Node::name).ok_or_else(missing)?;
        *at += 2;
    }
    let alias = nodes.get(*at).and_then(Node::name).filter(|word| !stop.contains(&word.as_str()));
    *at += usize::from(alias.is_some());
    Ok((name, alias))
}

fn position(nodes: &[Node], word: &str) -> usize {
    nodes.iter().position(|node| node.is(word)).unwrap_or(nodes.len())
}

/// Without `INTO …`: what SQLite's RETURNING gives the session hands out.
fn returning(nodes: &[Node], target: &Target, context: &mut Context<'_>) -> Result<String, Refusal> {
    if nodes.is_empty() {
        return Ok(String::new());
    }
    let into = position(nodes, "INTO");
    let mut items = Vec::new();
    for item in split(&nodes[1..into]) {
        let mapped = match item.as_slice() {
            [one] if one.name().is_some() => vec![Node::raw(target.column(&item, context)?)],
            _ => query::block(item, context)?,
        };
        items.push(render(&mapped));
    }
    Ok(format!(" RETURNING {}", items.join(", ")))
}

/// The condition, and a key list where it is of a view or counts rows.
fn condition(nodes: &[Node], target: &Target, context: &mut Context<'_>) -> Result<String, Refusal> {
    let nodes = query::block(nodes.to_vec(), context)?;
    let (nodes, limit) = query::take_rownum(nodes, 0)?;
    let text = render(&nodes);
    if !target.is_view && limit.is_none() {
        return Ok(if text.is_empty() { text } else { format!(" {text}") });
    }
    if target.key.is_empty() {
        return refuse(1779, "cannot modify a column which maps to a non key-preserved table");
    }
    let limit = limit.map_or_else(String::new, |limit| format!(" LIMIT {limit}"));
    let (keys, shown, source) = (target.keys(true), target.keys(false), target.source());
    let shown = shown.trim_start_matches('(').trim_end_matches(')').to_owned();
    Ok(format!(" WHERE {keys} IN (SELECT {shown} FROM {source} {text}{limit})"))
}

pub fn update(nodes: Vec<Node>, context: &mut Context<'_>) -> Result<String, Refusal> {
    let mut at = 1;
    let (name, alias) = target(&nodes, &mut at, &["SET"])?;
    context.need(&name, "UPDATE");
    let target = Target::of(&name, alias, context)?;
    if !nodes.get(at).is_some_and(|node| node.is("SET")) {
        return refuse(971, "missing SET keyword");
    }
    let end = position(&nodes, "RETURNING");
    let filter = position(&nodes[..end], "WHERE");
    let (mut columns, mut values) = (Vec::new(), Vec::new());
    for assignment in split(&nodes[at + 1..filter]) {
        let Some(equals) = assignment.iter().position(|node| node.is_sym("=")) else {
            return refuse(927, "missing equal sign");
        };
        let (left, right) = (&assignment[..equals], &assignment[equals + 1..]);
        let written = match left {
            [Node::Group(inner)] => {
                let each: Result<Vec<_>, _> = split(inner).iter().map(|one| target.column(one, context)).collect();
                format!("({})", each?.join(", "))
            }
            one => target.column(one, context)?,
        };
        columns.push(written);
        values.push(render(&query::block(right.to_vec(), context)?));
    }
    let condition = condition(&nodes[filter..end], &target, context)?;
    let returned = returning(&nodes[end..], &target, context)?;
    let assigned = if target.is_view {
        let (base, called) = (&target.base, target.called());
        let same: Vec<String> =
            target.key.iter().map(|(shown, own)| format!("{called}.{shown} = {base}.{own}")).collect();
        let row = format!("SELECT {} FROM {} WHERE {}", values.join(", "), target.source(), same.join(" AND "));
        format!("({}) = ({row})", columns.join(", "))
    } else {
        let pairs: Vec<String> = columns.iter().zip(&values).map(|(c, v)| format!("{c} = {v}")).collect();
        pairs.join(", ")
    };
    let alias = target.alias.as_ref().filter(|_| !target.is_view);
    let alias = alias.map_or_else(String::new, |alias| format!(" AS {alias}"));
    Ok(format!("UPDATE {}{alias} SET {assigned}{condition}{returned}", target.base))
}

pub fn delete(nodes: Vec<Node>, context: &mut Context<'_>) -> Result<String, Refusal> {
    let mut at = 1 + usize::from(nodes.get(1).is_some_and(|node| node.is("FROM")));
    let (name, alias) = target(&nodes, &mut at, &["WHERE", "RETURNING"])?;
    context.need(&name, "DELETE");
    let target = Target::of(&name, alias, context)?;
    let end = position(&nodes, "RETURNING");
    let filter = position(&nodes[..end], "WHERE");
    if filter != at.min(end) {
        return refuse(933, "SQL command not properly ended");
    }
    let condition = condition(&nodes[filter..end], &target, context)?;
    let returned = returning(&nodes[end..], &target, context)?;
    let alias = target.alias.as_ref().filter(|_| !target.is_view);
    let alias = alias.map_or_else(String::new, |alias| format!(" AS {alias}"));
    Ok(format!("DELETE FROM {}{alias}{condition}{returned}", target.base))
}

pub fn insert(nodes: Vec<Node>, context: &mut Context<'_>) -> Result<String, Refusal> {
    let mut at = 2;
    let (name, alias) = target(&nodes, &mut at, &["VALUES", "SELECT", "WITH"])?;
    context.need(&name, "INSERT");
    let target = Target::of(&name, alias, context)?;
    let listed = match nodes.get(at) {
        Some(Node::Group(inner)) if !inner.first().is_some_and(|first| first.is("SELECT")) => {
            at += 1;
            split(inner).iter().map(|one| target.column(one, context)).collect::<Result<Vec<_>, _>>()?
        }
        _ => {
            let all = context.catalog.table(&name).map(|table| table.columns.as_slice()).unwrap_or_default();
            let word = |name: &str| vec![Node::Token(crate::lex::Token::Word(name.to_owned()))];
            all.iter().map(|(name, _)| target.column(&word(name), context)).collect::<Result<Vec<_>, _>>()?
        }
    };
    let end = position(&nodes, "RETURNING");
    if !nodes[at..end].iter().any(|node| node.is("VALUES") || node.is("SELECT") || matches!(node, Node::Group(_))) {
        return refuse(926, "missing VALUES keyword");
    }
    if let (Some(values), Some(Node::Group(given))) = (nodes.get(at).filter(|n| n.is("VALUES")), nodes.get(at + 1)) {
        debug_assert!(values.is("VALUES"));
        let (has, wants) = (split(given).len(), listed.len());
        if has < wants {
            return refuse(947, "not enough values");
        }
        if has > wants && wants > 0 {
            return refuse(913, "too many values");
        }
    }
    let rows = render(&query::block(nodes[at..end].to_vec(), context)?);
    let returned = returning(&nodes[end..], &target, context)?;
    let columns = if listed.is_empty() { String::new() } else { format!(" ({})", listed.join(", ")) };
    Ok(format!("INSERT INTO {}{columns} {rows}{returned}", target.base))
}
