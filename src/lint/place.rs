//! Where things stand in a TOML file. A path that is not there is answered by the nearest thing above it.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step<'a> {
    Key(&'a str),
    At(usize),
}

#[derive(Debug)]
pub(super) struct Places<'t> {
    root: Option<Spanned<DeTable<'t>>>,
}

impl<'t> Places<'t> {
    pub fn of(text: &'t str) -> Places<'t> {
        Places { root: DeTable::parse(text).ok() }
    }

    /// Of the value at the path.
    pub fn span(&self, path: &[Step<'_>]) -> Range<usize> {
        let Some(root) = &self.root else { return 0..0 };
        let mut span = 0..0;
        let mut table = Some(root.get_ref());
        let mut array: Option<&[Spanned<DeValue<'t>>]> = None;
        for step in path {
            let value = match step {
                Step::Key(key) => {
                    table.and_then(|table| table.get_key_value(*key)).map(|(key, value)| (key.span(), value))
                }
                Step::At(at) => array.and_then(|array| array.get(*at)).map(|value| (value.span(), value)),
            };
            let Some((key, value)) = value else { break };
            // A table that is written under a header is named by its key; its own place may be the header only.
            span = if matches!(value.get_ref(), DeValue::Table(_) | DeValue::Array(_)) { key } else { value.span() };
            (table, array) = match value.get_ref() {
                DeValue::Table(inner) => (Some(inner), None),
                DeValue::Array(inner) => (None, Some(&inner[..])),
                _ => (None, None),
            };
        }
        span
    }
}
