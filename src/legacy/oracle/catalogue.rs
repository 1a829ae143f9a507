//! Everything that the bridge sends to Oracle, with who sends it and when: for database access control, for plans, and
//! for the DBA who has to allow it.
//!
//! Invariants: ids are stable and unique; values are always bound; the syntax is that of 11.2. Lists and pages of the
//! views are made from the mapping's catalogue and so stand here as templates.

use super::sql::{self, Statement};
use super::sql_write;

/// A statement with who sends it and when.
#[derive(Debug)]
pub struct Entry {
    pub statement: Statement<'static>,
    pub who: Sender,
    pub when: &'static str,
}

impl Entry {
    pub fn id(&self) -> &'static str {
        self.statement.id
    }
}

/// Which account sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    Both,
    Read,
    /// The write account, with body `sql`.
    Write,
    /// The write account, with body `procedure`: it then sends nothing else.
    WriteProcedure,
}

impl Sender {
    pub fn code(self) -> &'static str {
        match self {
            Sender::Both => "read, write",
            Sender::Read => "read",
            Sender::Write => "write (body sql)",
            Sender::WriteProcedure => "write (body procedure)",
        }
    }
}

const fn entry(statement: Statement<'static>, who: Sender, when: &'static str) -> Entry {
    Entry { statement, who, when }
}

/// `<columns>` are those that a mapping names, and no other; they and the view are quoted names, never values.
const fn template(id: &'static str, when: &'static str, text: &'static str) -> Entry {
    entry(Statement { id, text }, Sender::Read, when)
}

static SESSION_AND_READ: &[Entry] = &[
    entry(sql::SESSION_SCHEMA, Sender::Both, "at logon, followed by the schema's name"),
    entry(sql::SESSION_NLS, Sender::Both, "at logon"),
    entry(sql::SESSION_TIME_ZONE, Sender::Both, "at logon"),
    entry(sql::SESSION_IDENTITY, Sender::Both, "at logon; before and after a cut"),
    entry(sql::SESSION_ROLE, Sender::Both, "at logon"),
    entry(sql::SESSION_CHARSET, Sender::Both, "at logon"),
    entry(sql::SESSION_EXPIRY, Sender::Both, "daily: when the password expires"),
    entry(sql::READ_CLOCK, Sender::Both, "at logon; first in each cut"),
    entry(sql::READ_ONLY, Sender::Read, "first in each cut"),
    entry(sql::READ_COLUMNS, Sender::Read, "before the first cut of a view"),
    entry(sql::READ_LAG, Sender::Read, "where read and write connections differ"),
    template("read.cut", "each full cycle", "SELECT <columns> FROM <view>"),
    template(
        "read.first_page",
        "a cut by key ranges begins",
        "SELECT * FROM (SELECT <columns> FROM <view> ORDER BY <key>) WHERE ROWNUM <= :1",
    ),
    template(
        "read.page",
        "a cut by key ranges goes on",
        "SELECT * FROM (SELECT <columns> FROM <view> WHERE <key> > :1 ORDER BY <key>) WHERE ROWNUM <= :2",
    ),
    template("read.since", "each fast poll by stamp", "SELECT <columns> FROM <view> WHERE <updated> >= :1"),
    template(
        "read.keys",
        "slots in demand; lists of fixed lengths",
        "SELECT <columns> FROM <view> WHERE <key> IN (:1, …)",
    ),
    template("read.tail", "new reservations", "SELECT <columns> FROM <view> WHERE <key> >= :1"),
    template("read.window", "slots of near days", "SELECT <columns> FROM <view> WHERE <start> >= :1 AND <start> < :2"),
    template(
        "read.scn",
        "small tables by change number",
        "SELECT <columns> FROM <view> WHERE <scn> >= :1 OR <scn> IS NULL",
    ),
    // Calls of the client library, not texts; access control sees them as these.
    entry(Statement { id: "tx.end", text: "COMMIT" }, Sender::Both, "last in each transaction"),
    entry(Statement { id: "tx.undo", text: "ROLLBACK" }, Sender::Both, "a transaction that failed"),
];

/// Reading first.
pub fn catalogue() -> Vec<&'static Entry> {
    SESSION_AND_READ.iter().chain(sql_write::ALL.iter().copied()).collect()
}

#[cfg(test)]
mod tests;
