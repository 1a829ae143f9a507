//! A look at the customer's own server before anything runs on it (`check --connect`): what a test double cannot show.
//!
//! Every step says what it found and goes on, so that one visit of the DBA mends everything. What needs an answer that an
//! earlier step did not get is `unknown`, which counts as a failure. Nothing is changed: attempts to write are made
//! to fail, touch no row (`WHERE 1 = 0`) and are rolled back.

mod accounts;
mod agency;
mod schema;
mod server;

use std::sync::Arc;
use std::time::Duration;

use super::{Account, Failure, Oracle, Session, Settings};
use crate::legacy::LegacyError;
use crate::legacy::finding::{Finding, Level};
use crate::mapping::{Layout, Object};

/// What the configuration says, to be held against what the server says.
#[derive(Debug, Clone)]
pub struct Expected {
    /// What is fetched.
    pub layouts: Vec<Layout>,
    /// What the views are declared to be, columns included that are never fetched.
    pub objects: Vec<Object>,
    pub body: Body,
    /// Code of the configured person constraint, as `SB_META` states it.
    pub person_constraint: &'static str,
    /// Longest cut that is to be expected: twice of it must fit into undo_retention.
    pub cut_max: Duration,
}

/// Which of the two bodies of the writing contract is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    Sql,
    Procedure,
}

/// Looks at everything.
pub fn examine(settings: Settings, expected: &Expected) -> Vec<Finding> {
    let mut found = Vec::new();
    let oracle = match Oracle::new(settings) {
        Ok(oracle) => oracle,
        Err(error) => {
            let fix = error.hint.unwrap_or("mend what the message names");
            found.push(Finding::of("oracle.client", Level::Wrong, error.message, "nothing else can be looked at", fix));
            return found;
        }
    };
    found.push(client(&oracle));
    let mut read = accounts::logons(&oracle, Account::Read, &mut found);
    let mut write = accounts::logons(&oracle, Account::Write, &mut found);
    let mut look = Look { oracle, expected, found };
    match read.first_mut() {
        Some(session) => {
            look.clock(session, Account::Read);
            look.views();
            look.undo_retention(session);
        }
        None => look.unseen("views, undo retention, privileges of the read account", Account::Read),
    }
    // Each account has grants of its own: what one may, the other may lack.
    for session in &mut read {
        look.statements(session, Account::Read);
        look.may_not_write(session);
    }
    match write.first_mut() {
        Some(session) => {
            look.clock(session, Account::Write);
            look.agency(session);
        }
        None => look.unseen("statements that write, switch, fence", Account::Write),
    }
    for session in &mut write {
        look.statements(session, Account::Write);
        if expected.body == Body::Procedure {
            look.may_not_read(session);
        }
    }
    look.found
}

fn client(oracle: &Oracle) -> Finding {
    let client = oracle.client();
    let version = format!("client {}.{}", client.major, client.minor);
    match client.note() {
        None => Finding::fine("oracle.client", version),
        Some(note) => Finding::of(
            "oracle.client",
            Level::Note,
            format!("{version}: {note}"),
            "12.2, 18 and 19 are known to reach 11.2",
            "install Instant Client 19",
        ),
    }
}

struct Look<'a> {
    oracle: Arc<Oracle>,
    expected: &'a Expected,
    found: Vec<Finding>,
}

impl Look<'_> {
    fn add(&mut self, finding: Finding) {
        self.found.push(finding);
    }

    fn unseen(&mut self, what: &str, account: Account) {
        self.add(Finding::of(
            "oracle.session",
            Level::Unknown,
            format!("not looked at: {what}"),
            format!("no session of role {} could be opened", account.code()),
            "mend the logon first, then check again",
        ));
    }
}

/// A failure in the words of a finding: code and our own words, never the server's text.
fn told(failure: &Failure) -> String {
    failure.words.clone().unwrap_or_else(|| failure.code.to_string())
}

fn hint(failure: &Failure) -> &'static str {
    LegacyError::from(failure.clone()).hint.unwrap_or("compare with deploy/oracle and its guide")
}

/// Leaves the session as it was; what fails here shows at its next use.
fn undo(session: &mut Session) {
    let _ = session.rollback();
}
