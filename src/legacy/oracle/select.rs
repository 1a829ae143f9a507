//! The SELECT statements over the interface views: lists from the mapping's catalogue, conditions from a closed set.
//!
//! Invariants: only the columns of a layout are named; a name that is not a plain upper-case identifier is refused, not
//! escaped; values are bound, never written into the text. So the number of texts is bounded: ten shapes a view.

use super::charset::Charset;
use super::error::{ErrorClass, Failure, Step};
use super::settings::is_name;
use super::values::Bind;
use crate::domain::Timestamp;
use crate::domain::time::SECOND_MS;
use crate::legacy::{Hint, KEYS_MAX};
use crate::mapping::catalogue::{ColumnType, Layout, Role};

/// Lists of keys are padded to one of these sizes, so that there are three statements to parse.
const KEY_LIST_SIZES: [usize; 3] = [20, 100, KEYS_MAX];

/// A statement over one view. Kept as text: the client caches its cursor by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Select {
    pub id: &'static str,
    pub text: String,
}

/// Builds the statements of one layout.
#[derive(Debug, Clone)]
pub struct Selects<'a> {
    layout: &'a Layout,
    /// `"A", "B" FROM "VIEW"`.
    list: String,
    charset: Charset,
    /// The key column is CHAR: binds compare as padded.
    padded_key: bool,
}

impl<'a> Selects<'a> {
    pub fn new(layout: &'a Layout, charset: Charset, padded_key: bool) -> Result<Selects<'a>, Failure> {
        let columns: Vec<String> = layout
            .columns
            .iter()
            .map(|column| {
                let name = quoted(&column.name)?;
                // CAST_TO_RAW takes at most 2,000 bytes in SQL of 11.2: longer texts fail as ORA-06502, never cut off.
                let is_raw = charset == Charset::RawCp949 && column.kind == ColumnType::Text;
                Ok(if is_raw { format!("UTL_RAW.CAST_TO_RAW({name}) AS {name}") } else { name })
            })
            .collect::<Result<_, Failure>>()?;
        if columns.is_empty() {
            return Err(wrong(format!("{} has no columns to fetch", printable(&layout.view))));
        }
        let view = quoted(&layout.view)?;
        let view = if charset == Charset::RawCp949 { format!("{view} V") } else { view };
        let list = format!("{} FROM {view}", columns.join(", "));
        Ok(Selects { layout, list, charset, padded_key })
    }

    /// All rows, in no order: sorting a full cut is the reader's business, not the server's.
    pub fn cut(&self) -> Select {
        Select { id: "read.cut", text: format!("SELECT {}", self.list) }
    }

    /// Up to so many rows after a key, in order of the key, which must be an index's. Read as raw bytes the key goes by
    /// its column's name, and ORDER BY would take that for the RAW while WHERE takes it for the column: other order, no
    /// index. So both say whose column they mean.
    pub fn page<'b>(&self, after: Option<&'b str>, rows_max: u32) -> Result<(Select, Vec<Bind<'b>>), Failure> {
        let key = self.role(Role::Key)?;
        let key = if self.charset == Charset::RawCp949 { format!("V.{key}") } else { key };
        let rows_max = Bind::Int(rows_max.into());
        Ok(match after {
            None => {
                let text = format!("SELECT * FROM (SELECT {} ORDER BY {key}) WHERE ROWNUM <= :1", self.list);
                (Select { id: "read.first_page", text }, vec![rows_max])
            }
            Some(after) => {
                let text =
                    format!("SELECT * FROM (SELECT {} WHERE {key} > :1 ORDER BY {key}) WHERE ROWNUM <= :2", self.list);
                (Select { id: "read.page", text }, vec![self.key(after)?, rows_max])
            }
        })
    }

    /// `None`: the hint names no row.
    pub fn hinted<'b>(&self, hint: &Hint<'b>) -> Result<Option<(Select, Vec<Bind<'b>>)>, Failure> {
        let (id, condition, binds) = match *hint {
            Hint::Since(since) => {
                ("read.since", format!("{} >= :1", self.role(Role::UpdatedAt)?), vec![Bind::Date(since)])
            }
            Hint::Keys([]) => return Ok(None),
            Hint::Keys(keys) => {
                if keys.len() > KEYS_MAX {
                    return Err(wrong(format!("{} keys asked for at once, at most {KEYS_MAX}", keys.len())));
                }
                let size = KEY_LIST_SIZES.into_iter().find(|size| *size >= keys.len()).unwrap_or(KEYS_MAX);
                let places: Vec<String> = (1..=size).map(|place| format!(":{place}")).collect();
                let condition = format!("{} IN ({})", self.role(Role::Key)?, places.join(", "));
                let padded = keys.iter().chain(std::iter::repeat(&keys[keys.len() - 1])).take(size);
                ("read.keys", condition, padded.map(|key| self.key(key)).collect::<Result<_, _>>()?)
            }
            Hint::Tail(from) => ("read.tail", format!("{} >= :1", self.role(Role::Key)?), vec![self.key(from)?]),
            Hint::Window { from, until } => {
                let start = self.role(Role::Start)?;
                let binds = vec![Bind::Date(from), Bind::Date(whole_second_up(until))];
                ("read.window", format!("{start} >= :1 AND {start} < :2"), binds)
            }
            Hint::Scn(mark) => {
                let scn = self.role(Role::RowScn)?;
                let mark = Bind::Int(i64::try_from(mark).unwrap_or(i64::MAX));
                ("read.scn", format!("{scn} >= :1 OR {scn} IS NULL"), vec![mark])
            }
        };
        Ok(Some((Select { id, text: format!("SELECT {} WHERE {condition}", self.list) }, binds)))
    }

    /// Every text that this layout may be read by, for lists and lints. Hints without their column are left out.
    pub fn all(&self) -> Vec<Select> {
        let (from, until) = (Timestamp(0), Timestamp(0));
        let hints = [Hint::Since(from), Hint::Tail("A"), Hint::Window { from, until }, Hint::Scn(0)];
        let mut all = vec![self.cut()];
        all.extend([None, Some("A")].iter().filter_map(|after| self.page(*after, 1).ok()).map(|(select, _)| select));
        all.extend(hints.iter().filter_map(|hint| self.hinted(hint).ok().flatten()).map(|(select, _)| select));
        for size in KEY_LIST_SIZES {
            all.extend(self.hinted(&Hint::Keys(&vec!["A"; size])).ok().flatten().map(|(select, _)| select));
        }
        all
    }

    fn role(&self, role: Role) -> Result<String, Failure> {
        match self.layout.at_role(role) {
            Some(at) => quoted(&self.layout.columns[at].name),
            None => Err(wrong(format!("{} has no column with role {role:?}", printable(&self.layout.view)))),
        }
    }

    fn key<'b>(&self, key: &'b str) -> Result<Bind<'b>, Failure> {
        let is_held = match self.charset {
            // The server would take the client's UTF-8 for ASCII.
            Charset::RawCp949 => key.is_ascii(),
            charset => charset.holds(key),
        };
        if !is_held {
            return Err(wrong("a key has characters that the server's character set does not have".to_owned()));
        }
        Ok(if self.padded_key { Bind::Padded(key) } else { Bind::Text(key) })
    }
}

/// DATE binds have whole seconds: an end is rounded up, so that nothing before it is left out.
fn whole_second_up(at: Timestamp) -> Timestamp {
    Timestamp(at.0.saturating_add(SECOND_MS - 1).div_euclid(SECOND_MS) * SECOND_MS)
}

/// A name from the catalogue as SQL.
fn quoted(name: &str) -> Result<String, Failure> {
    if is_name(name) { Ok(format!("\"{name}\"")) } else { Err(wrong(format!("{} is not a name", printable(name)))) }
}

pub(super) fn printable(name: &str) -> String {
    name.chars().take(30).flat_map(char::escape_default).collect()
}

fn wrong(words: String) -> Failure {
    Failure::own(ErrorClass::Schema, Step::Execute, "select", words)
}

#[cfg(test)]
mod tests;
