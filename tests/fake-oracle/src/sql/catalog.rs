//! What rewriting knows of the schema: columns and their declared types, keys, and which views are simple.

use std::collections::{BTreeMap, BTreeSet};

use super::query;
use super::tokens;
use crate::lex::Token;

#[derive(Debug, Clone, Default)]
pub struct Table {
    /// Name and declared type.
    pub columns: Vec<(String, String)>,
    pub nullable: Vec<bool>,
    pub key: Vec<String>,
    pub view: Option<View>,
}

/// A view's own text: what each column is.
#[derive(Debug, Clone)]
pub struct View {
    /// Tables and views that it reads, by alias: the first is the base of a simple view.
    pub sources: Vec<(String, String)>,
    /// One source, no set operation, no grouping: rows are the base's rows.
    pub simple: bool,
    pub columns: Vec<(String, Vec<Token>)>,
}

impl View {
    /// The base column that a view column plainly is.
    pub fn base_column(&self, column: &str) -> Option<String> {
        let (_, tokens) = self.columns.iter().find(|(name, _)| name == column)?;
        match tokens.as_slice() {
            [one] => one.name(),
            [_, dot, last] if dot.is_sym(".") => last.name(),
            _ => None,
        }
    }

    pub fn expression(&self, column: &str) -> Option<&[Token]> {
        self.columns.iter().find(|(name, _)| name == column).map(|(_, tokens)| tokens.as_slice())
    }
}

#[derive(Debug, Clone, Default)]
pub struct Catalog {
    pub tables: BTreeMap<String, Table>,
    /// Names that some table declares as DATE or TIMESTAMP.
    pub dates: BTreeSet<String>,
}

impl Catalog {
    pub fn add_table(&mut self, name: &str, columns: Vec<(String, String)>, nullable: Vec<bool>, key: Vec<String>) {
        let timely = columns.iter().filter(|(_, declared)| is_time(declared));
        self.dates.extend(timely.map(|(name, _)| name.clone()));
        self.tables.insert(name.to_owned(), Table { columns, nullable, key, view: None });
    }

    pub fn add_view(&mut self, name: &str, columns: Vec<(String, String)>, sql: &str) {
        let nullable = columns.iter().map(|_| true).collect();
        let names: Vec<String> = columns.iter().map(|(name, _)| name.clone()).collect();
        let view = view(sql, &names);
        self.tables.insert(name.to_owned(), Table { columns, nullable, key: Vec::new(), view });
    }

    /// Once all views are known: the types of their columns, and which of those are dates.
    pub fn settle(&mut self) {
        let views: Vec<String> = self.tables.iter().filter(|(_, t)| t.view.is_some()).map(|(n, _)| n.clone()).collect();
        for name in views {
            let table = &self.tables[&name];
            let found: Vec<(String, String)> = table
                .columns
                .iter()
                .map(|(column, _)| (column.clone(), super::types::of_column(self, &name, column, 0)))
                .collect();
            self.dates.extend(found.iter().filter(|(_, kind)| is_time(kind)).map(|(column, _)| column.clone()));
            if let Some(table) = self.tables.get_mut(&name) {
                table.columns = found;
            }
        }
    }

    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.get(name)
    }

    pub fn declared(&self, table: &str, column: &str) -> Option<&str> {
        let table = self.tables.get(table)?;
        table.columns.iter().find(|(name, _)| name == column).map(|(_, declared)| declared.as_str())
    }
}

pub fn is_time(declared: &str) -> bool {
    declared.starts_with("DATE") || declared.starts_with("TIMESTAMP")
}

/// `CREATE VIEW name [(columns)] AS SELECT …`; `None` if its text is beyond us (a set operation, say).
fn view(sql: &str, names: &[String]) -> Option<View> {
    let all = tokens(sql).ok()?;
    let body = all.iter().position(|token| token.is("SELECT"))?;
    let body = &all[body..];
    let items = query::items(body)?;
    if items.len() != names.len() {
        return None;
    }
    let mut depth = 0;
    let mut outer: Vec<&Token> = Vec::new();
    for token in body {
        depth += i32::from(token.is_sym("("));
        if depth == 0 {
            outer.push(token);
        }
        depth -= i32::from(token.is_sym(")"));
    }
    let from = outer.iter().position(|token| token.is("FROM"))?;
    let mut sources = Vec::new();
    let mut at = from;
    while at < outer.len() && !outer[at].is("WHERE") {
        if outer[at].is("FROM") || outer[at].is("JOIN") || outer[at].is_sym(",") {
            let name = outer.get(at + 1)?.name()?;
            let after = outer.get(at + 2).filter(|token| !token.is("AS")).or(outer.get(at + 3));
            let keywords = ["LEFT", "JOIN", "INNER", "ON", "WHERE", "CROSS", "GROUP", "ORDER"];
            let alias = after.and_then(|token| token.name()).filter(|word| !keywords.contains(&word.as_str()));
            sources.push((alias.unwrap_or_else(|| name.clone()), name));
        }
        at += 1;
    }
    let complex = ["UNION", "GROUP", "DISTINCT", "JOIN", "MINUS", "INTERSECT", "HAVING"];
    let simple = sources.len() == 1 && !outer.iter().any(|token| complex.iter().any(|word| token.is(word)));
    let columns = names.iter().cloned().zip(items.into_iter().map(|item| item.tokens)).collect();
    Some(View { sources, simple, columns })
}
