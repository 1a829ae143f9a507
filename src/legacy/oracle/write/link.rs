//! The conversation with the server, as narrow as writing needs it: entries of the catalogue, values by name.
//! `SessionLink` speaks through the session; the tests of the ops speak to tables of their own.
//!
//! Every placeholder occurs once in a statement, so that its position is the same to whoever counts; a value that a
//! statement needs again is `:P_UNITS2`, and means what `P_UNITS` means.

use crate::legacy::oracle::catalogue::{Entry, Sender};
use crate::legacy::oracle::charset::Charset;
use crate::legacy::oracle::error::Failure;
use crate::legacy::oracle::session::Session;
use crate::legacy::oracle::values::{Bind, Cell};

/// Names are written without the colon.
pub(super) type Binds<'a> = &'a [(&'static str, Bind<'a>)];

impl<'a> From<&'a str> for Bind<'a> {
    fn from(text: &'a str) -> Bind<'a> {
        Bind::Text(text)
    }
}

impl From<i64> for Bind<'_> {
    fn from(number: i64) -> Self {
        Bind::Int(number)
    }
}

impl From<Option<i64>> for Bind<'_> {
    fn from(number: Option<i64>) -> Self {
        number.map_or(Bind::NoInt, Bind::Int)
    }
}

impl<'a> From<Option<&'a str>> for Bind<'a> {
    fn from(text: Option<&'a str>) -> Bind<'a> {
        text.map_or(Bind::NoText, Bind::Text)
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Row(pub(super) Vec<Cell>);

impl Row {
    /// `None` for NULL.
    pub(super) fn text(&self, at: usize) -> Option<&str> {
        self.0.get(at)?.text()
    }

    /// `None` for NULL and for what is not a whole number.
    pub(super) fn int(&self, at: usize) -> Option<i64> {
        self.0.get(at)?.int()
    }
}

pub(super) trait Link {
    /// A query, all its rows: the statements that may yield many bind how many.
    fn rows(&mut self, entry: &'static Entry, binds: Binds<'_>) -> Result<Vec<Row>, Failure>;

    /// Any other statement; how many rows it changed.
    fn change(&mut self, entry: &'static Entry, binds: Binds<'_>) -> Result<u64, Failure>;

    /// A call of `SB_API`; the values of its OUT parameters in the order of the call.
    fn call(&mut self, entry: &'static Entry, binds: Binds<'_>) -> Result<Vec<Option<String>>, Failure>;

    /// Bytes that the text takes on the server; `None`: its character set does not have it.
    fn bytes(&self, text: &str) -> Option<usize>;
}

pub(super) struct SessionLink<'a>(pub(super) &'a mut Session);

impl Link for SessionLink<'_> {
    fn rows(&mut self, entry: &'static Entry, binds: Binds<'_>) -> Result<Vec<Row>, Failure> {
        let rows = self.0.rows(entry.statement, &in_order(entry, binds))?;
        Ok(rows.into_iter().map(Row).collect())
    }

    fn change(&mut self, entry: &'static Entry, binds: Binds<'_>) -> Result<u64, Failure> {
        self.0.execute(entry.statement, &in_order(entry, binds))
    }

    fn call(&mut self, entry: &'static Entry, binds: Binds<'_>) -> Result<Vec<Option<String>>, Failure> {
        self.0.call(entry.statement, &in_order(entry, binds))
    }

    fn bytes(&self, text: &str) -> Option<usize> {
        match self.0.server().charset {
            // The server would take the client's UTF-8 for ASCII.
            Charset::RawCp949 => text.is_ascii().then_some(text.len()),
            charset => charset.bytes(text),
        }
    }
}

/// Values that columns of the agency's are compared with. A CHAR column is equal to a bind of type CHAR whatever its
/// padding, and to a shorter VARCHAR2 never; a VARCHAR2 column is equal to both. So keys are CHAR wherever they go, and
/// no dictionary has to be asked how the agency declared them.
const KEYS: [&str; 5] = ["P_SLOT_ID", "P_PERSON_ID", "P_SERIES_CD", "P_RESV_NO", "P_OP_ID"];

/// The values in the order of the statement's placeholders. One that is not given stays out, and the driver refuses.
pub(super) fn in_order<'a>(entry: &Entry, binds: Binds<'a>) -> Vec<Bind<'a>> {
    // A package's parameters are VARCHAR2.
    let is_call = matches!(entry.who, Sender::WriteProcedure);
    let value = |name: &str| {
        let name = name.trim_end_matches(|c: char| c.is_ascii_digit());
        let bind = binds.iter().find(|(given, _)| *given == name).map(|(_, bind)| *bind)?;
        Some(match bind {
            Bind::Text(text) if !is_call && KEYS.contains(&name) => Bind::Padded(text),
            bind => bind,
        })
    };
    placeholders(entry.statement.text).filter_map(value).collect()
}

/// `P_UNITS` of each `:P_UNITS`.
pub(in crate::legacy::oracle) fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(':').skip(1).map(move |rest| &rest[..rest.find(|c| !is_name(c)).unwrap_or(rest.len())])
}
