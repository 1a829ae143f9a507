//! MERGE as an UPDATE of what matches and an INSERT of what does not.
//!
//! The conditions may not be changed by the update; Oracle forbids it (ORA-38104).

use super::tree::{Node, render};
use super::{Context, Refusal, query, refuse, split};

fn at(nodes: &[Node], from: usize, word: &str) -> Option<usize> {
    nodes[from..].iter().position(|node| node.is(word)).map(|found| found + from)
}

fn named(nodes: &[Node]) -> (Vec<Node>, String) {
    // `name`, `name alias`, `(query) alias`, `owner.name alias`
    let nodes = if nodes.get(1).is_some_and(|n| n.is_sym(".")) { &nodes[2..] } else { nodes };
    let alias = nodes.get(1).and_then(Node::name);
    let own = nodes.first().and_then(Node::name).unwrap_or_else(|| "source".to_owned());
    (nodes[..1.min(nodes.len())].to_vec(), alias.unwrap_or(own))
}

pub fn merge(nodes: Vec<Node>, context: &mut Context<'_>) -> Result<Vec<String>, Refusal> {
    let keyword = || (905, "missing keyword".to_owned());
    let using = at(&nodes, 0, "USING").ok_or_else(keyword)?;
    let on = at(&nodes, using, "ON").ok_or_else(keyword)?;
    let (target, alias) = named(&nodes[2..using]);
    let table = target.first().and_then(Node::name).ok_or((903, "invalid table name".to_owned()))?;
    if context.catalog.table(&table).is_some_and(|table| table.view.is_some()) {
        return refuse(38106, "MERGE not supported on join view or view with INSTEAD OF trigger");
    }
    let (source, source_alias) = named(&nodes[using + 1..on]);
    let source = match source.first() {
        Some(Node::Group(_)) => render(&query::block(source, context)?),
        Some(name) => {
            context.need(&name.name().unwrap_or_default(), "SELECT");
            render(&source)
        }
        None => return refuse(903, "invalid table name"),
    };
    let condition = render(&query::block(vec![nodes.get(on + 1).cloned().ok_or_else(keyword)?], context)?);
    let mut out = Vec::new();
    let mut from = on + 2;
    while let Some(when) = at(&nodes, from, "WHEN") {
        let end = at(&nodes, when + 1, "WHEN").unwrap_or(nodes.len());
        let then = at(&nodes[..end], when, "THEN").ok_or_else(keyword)?;
        let part = &nodes[then + 1..end];
        let filter = at(part, 0, "WHERE").unwrap_or(part.len());
        let also = match part.get(filter + 1..) {
            Some(extra) if !extra.is_empty() => {
                format!(" AND ({})", render(&query::block(extra.to_vec(), context)?))
            }
            _ => String::new(),
        };
        if nodes.get(when + 1).is_some_and(|node| node.is("NOT")) {
            context.need(&table, "INSERT");
            let (Some(Node::Group(columns)), Some(Node::Group(values))) = (part.get(1), part.get(3)) else {
                return refuse(926, "missing VALUES keyword");
            };
            let columns: Vec<String> =
                split(columns).iter().map(|one| one.last().and_then(Node::name).unwrap_or_default()).collect();
            let values = render(&query::block(values.clone(), context)?);
            out.push(format!(
                "INSERT INTO {table} ({}) SELECT {values} FROM {source} AS {source_alias} WHERE NOT EXISTS \
                 (SELECT 1 FROM {table} AS {alias} WHERE {condition}){also}",
                columns.join(", ")
            ));
        } else {
            context.need(&table, "UPDATE");
            let mut pairs = Vec::new();
            for assignment in split(&part[2..filter]) {
                let Some(equals) = assignment.iter().position(|node| node.is_sym("=")) else {
                    return refuse(927, "missing equal sign");
                };
                let column = assignment[..equals].last().and_then(Node::name).unwrap_or_default();
                let value = render(&query::block(assignment[equals + 1..].to_vec(), context)?);
                pairs.push(format!("{column} = {value}"));
            }
            out.push(format!(
                "UPDATE {table} AS {alias} SET {} FROM {source} AS {source_alias} WHERE {condition}{also}",
                pairs.join(", ")
            ));
        }
        from = end;
    }
    Ok(out)
}
