//! Tables and hierarchies: CSV with a header line (RFC 4180 without line breaks inside a value).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Bound of one table; the largest code table of the field (districts of Korea) has about 260 rows.
pub const ROWS_MAX: usize = 10_000;
pub const COLUMNS_MAX: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

/// What is wrong with a table, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadTable {
    pub span: Range<usize>,
    pub what: String,
}

impl Table {
    pub fn parse(text: &str) -> Result<Table, BadTable> {
        let mut columns: Vec<String> = Vec::new();
        let mut rows: Vec<Vec<String>> = Vec::new();
        let mut firsts: BTreeSet<String> = BTreeSet::new();
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            let bare = line.trim_end_matches(['\n', '\r']);
            let span = start..start + bare.len();
            start += line.len();
            if bare.is_empty() {
                continue;
            }
            let bad = |what: String| BadTable { span: span.clone(), what };
            let values = values(bare).map_err(|what| bad(what.to_owned()))?;
            if columns.is_empty() {
                let repeated = values.iter().enumerate().any(|(at, v)| v.is_empty() || values[..at].contains(v));
                if values.len() < 2 || values.len() > COLUMNS_MAX || repeated {
                    return Err(bad(format!("the header must be 2 to {COLUMNS_MAX} different names")));
                }
                columns = values;
            } else if values.len() != columns.len() {
                return Err(bad(format!("{} values where the header has {}", values.len(), columns.len())));
            } else if rows.len() == ROWS_MAX {
                return Err(bad(format!("more than {ROWS_MAX} rows")));
            } else if !firsts.insert(values[0].clone()) {
                return Err(bad(format!("‘{}’ stands twice in the first column", values[0])));
            } else {
                rows.push(values);
            }
        }
        if columns.is_empty() {
            return Err(BadTable { span: 0..0, what: "the table is empty".to_owned() });
        }
        Ok(Table { columns, rows })
    }

    /// Values of column `from` to values of column `to`; `None` when one does not exist. Of equal keys the first row counts.
    pub fn pairs(&self, from: &str, to: &str) -> Option<BTreeMap<Arc<str>, Arc<str>>> {
        let at = |name: &str| self.columns.iter().position(|c| c == name);
        let (from, to) = (at(from)?, at(to)?);
        let mut pairs = BTreeMap::new();
        for row in &self.rows {
            pairs.entry(Arc::from(row[from].as_str())).or_insert_with(|| Arc::from(row[to].as_str()));
        }
        Some(pairs)
    }
}

fn values(line: &str) -> Result<Vec<String>, &'static str> {
    let mut values = Vec::new();
    let mut rest = line;
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (value, after) = quoted_value(quoted)?;
            values.push(value);
            match after.strip_prefix(',') {
                Some(next) => rest = next,
                None if after.is_empty() => return Ok(values),
                None => return Err("a closing quote must be followed by a comma"),
            }
        } else if let Some((value, next)) = rest.split_once(',') {
            values.push(plain_value(value)?);
            rest = next;
        } else {
            values.push(plain_value(rest)?);
            return Ok(values);
        }
    }
}

fn plain_value(value: &str) -> Result<String, &'static str> {
    if value.contains('"') { Err("a quote inside a value that does not begin with one") } else { Ok(value.to_owned()) }
}

fn quoted_value(text: &str) -> Result<(String, &str), &'static str> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let at = rest.find('"').ok_or("a quote is not closed on its line")?;
        value.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        match rest.strip_prefix('"') {
            Some(next) => {
                value.push('"');
                rest = next;
            }
            None => return Ok((value, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_quoted_comma_is_part_of_the_value() {
        let table = Table::parse("code,ko\nA,\"가, \"\"나\"\"\"\r\n\nB,다\n").unwrap();
        assert_eq!(table.rows, [["A", "가, \"나\""], ["B", "다"]]);
        assert_eq!(table.pairs("code", "ko").unwrap().get("B").unwrap().as_ref(), "다");
        assert!(table.pairs("code", "en").is_none());
    }

    #[test]
    fn a_crooked_table_is_refused_at_its_line() {
        for (text, at) in
            [("", 0), ("a\n", 0), ("a,a\n", 0), ("a,b\n1\n", 4), ("a,b\n1,2\n1,3\n", 8), ("a,b\n\"1,2\n", 4)]
        {
            assert_eq!(Table::parse(text).unwrap_err().span.start, at, "{text:?}");
        }
        let rows: String = (0..=ROWS_MAX).map(|n| format!("{n},x\n")).collect();
        assert!(Table::parse(&format!("a,b\n{rows}")).unwrap_err().what.contains("more than"));
    }

    proptest! {
        #[test]
        fn no_text_makes_a_table_panic(text in "[a\",\n\r가]{0,40}") {
            let _ = Table::parse(&text);
        }
    }
}
