//! Interface views against the catalogue, and every statement parsed by the customer's own server.

use super::super::catalogue::{Sender, catalogue};
use super::super::select::Selects;
use super::super::sql::Statement;
use super::super::values::Bind;
use super::super::{Account, Failure, OracleRead, Session};
use super::{Body, Look, hint, told, undo};
use crate::legacy::LegacyRead;
use crate::legacy::finding::{Finding, Level};
use crate::mapping::{Layout, Object};

/// Parses with the privileges of the account and runs nothing. The cursor goes with the session.
const PARSE: Statement<'static> =
    Statement { id: "check.parse", text: "BEGIN DBMS_SQL.PARSE(DBMS_SQL.OPEN_CURSOR, :P_TEXT, DBMS_SQL.NATIVE); END;" };

impl Look<'_> {
    /// Each view has the columns that are fetched, of types that fit, and may be read.
    pub(super) fn views(&mut self) {
        let mut reader = match OracleRead::open(self.oracle.clone()) {
            Ok(reader) => reader,
            Err(error) => {
                let fix = error.hint.unwrap_or("mend the logon first");
                return self.add(Finding::of("oracle.view", Level::Unknown, error.message, "no reader opened", fix));
            }
        };
        for layout in &self.expected.layouts {
            match reader.columns(&layout.view) {
                Ok(columns) => {
                    let object = self.expected.objects.iter().find(|object| object.name == layout.object);
                    self.found.push(judge(layout, object, &columns));
                }
                Err(error) => self.found.push(Finding::of(
                    "oracle.view",
                    Level::Wrong,
                    format!("{}: {}", layout.view, error.message),
                    "the view is not there or not granted",
                    "run deploy/oracle/30_interface_views.sql and 51_grants.sql",
                )),
            }
        }
    }

    /// Every statement of the role, parsed by this server.
    pub(super) fn statements(&mut self, session: &mut Session, account: Account) {
        let sender = match (account, self.expected.body) {
            (Account::Read, _) => Sender::Read,
            (Account::Write, Body::Sql) => Sender::Write,
            (Account::Write, Body::Procedure) => Sender::WriteProcedure,
        };
        let (mut parsed, mut refused) = (0, 0);
        let mine = catalogue().into_iter().filter(|entry| entry.who == sender || entry.who == Sender::Both);
        for entry in mine.filter(|entry| is_parsed(entry.statement.text)) {
            match parse(session, entry.statement.text) {
                Ok(()) => parsed += 1,
                Err(failure) => {
                    refused += 1;
                    self.refused(session, entry.id(), &failure);
                }
            }
        }
        let layouts = if account == Account::Read { &*self.expected.layouts } else { &[] };
        for layout in layouts {
            match selects(session, layout) {
                Ok(count) => parsed += count,
                Err((id, failure)) => {
                    refused += 1;
                    self.refused(session, &format!("{} of {}", id, layout.view), &failure);
                }
            }
        }
        if refused == 0 {
            let user = session.user();
            let seen = format!("{user}: {parsed} statements of role {} parsed by the server", account.code());
            self.add(Finding::fine("oracle.statement", seen));
        }
    }

    fn refused(&mut self, session: &Session, what: &str, failure: &Failure) {
        self.add(Finding::of(
            "oracle.statement",
            Level::Wrong,
            format!("{}: {what}: {}", session.user(), told(failure)),
            "the server does not accept this statement of the catalogue from this account",
            format!("{}; its text: slotbridge sql --list", hint(failure)),
        ));
    }
}

fn parse(session: &mut Session, text: &str) -> Result<(), Failure> {
    let done = session.execute(PARSE, &[Bind::Text(text)]);
    undo(session);
    done.map(|_| ())
}

/// Every text that the view may be read by: how many, or the first that is refused.
fn selects(session: &mut Session, layout: &Layout) -> Result<usize, (&'static str, Failure)> {
    let charset = session.server().charset;
    let selects = Selects::new(layout, charset, false).map_err(|failure| ("read.cut", failure))?;
    let all = selects.all();
    for select in &all {
        parse(session, &select.text).map_err(|failure| (select.id, failure))?;
    }
    Ok(all.len())
}

/// Parsing an ALTER SESSION would run it; transaction control is no text that DBMS_SQL takes; a template with
/// `<columns>` is parsed as what a layout makes of it.
fn is_parsed(text: &str) -> bool {
    !text.contains("<columns>")
        && ["SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "BEGIN"].iter().any(|word| text.starts_with(word))
}

fn judge(layout: &Layout, object: Option<&Object>, columns: &[(String, String)]) -> Finding {
    let wrong =
        layout.columns.iter().filter_map(|wanted| match columns.iter().find(|(name, _)| **name == *wanted.name) {
            None => Some(format!("{} is missing", wanted.name)),
            Some((_, kind)) if !wanted.kind.fits(kind) => {
                Some(format!("{} is {kind}, declared {:?}", wanted.name, wanted.kind))
            }
            Some(_) => None,
        });
    let wrong: Vec<String> = wrong.collect();
    // What is never fetched counts as well: over a view that differs no feed is published.
    let drift = object.and_then(|object| object.drift(columns));
    if wrong.is_empty() && drift.is_none() {
        return Finding::fine("oracle.view", format!("{}: {} columns as declared", layout.view, layout.columns.len()));
    }
    Finding::of(
        "oracle.view",
        Level::Wrong,
        drift.filter(|_| wrong.is_empty()).unwrap_or_else(|| format!("{}: {}", layout.view, wrong.join("; "))),
        "the view is not as mappings/catalog.toml declares it",
        "correct the view, or change the catalogue",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_statements_of_their_own_are_parsed() {
        assert!(is_parsed("SELECT 1 FROM DUAL") && !is_parsed("ALTER SESSION SET A = 1"));
        assert!(!is_parsed("SELECT <columns> FROM <view>"));
    }
}
