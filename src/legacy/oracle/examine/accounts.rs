//! Accounts: each logs on, and none may do more than it needs.

use super::super::error::Code;
use super::super::sql::Statement;
use super::super::{Account, Failure, Oracle, Session};
use super::{Look, hint, told, undo};
use crate::legacy::finding::{Finding, Level};

/// Days before the end of a password from which on somebody should act.
const EXPIRY_DAYS_MIN: i64 = 14;

/// System privileges that an account of the bridge may have.
const MAY: [&str; 2] = ["CREATE SESSION", "ALTER SESSION"];

const SYSTEM_PRIVILEGES: Statement<'static> =
    Statement { id: "check.session_privs", text: "SELECT PRIVILEGE FROM SESSION_PRIVS ORDER BY PRIVILEGE" };

/// What a read account must not be able to do. No row fits, so that even a server that allows it changes nothing.
const WRITES: [Statement<'static>; 4] = [
    Statement { id: "check.write.heartbeat", text: "UPDATE SB_HEARTBEAT SET POSITION = POSITION WHERE 1 = 0" },
    Statement { id: "check.write.escrow", text: "UPDATE SB_ESCROW SET UNITS = UNITS WHERE 1 = 0" },
    Statement { id: "check.write.slot", text: "UPDATE SB_SLOT_W SET CAPACITY = CAPACITY WHERE 1 = 0" },
    Statement { id: "check.write.booking", text: "DELETE FROM SB_BOOKING_W WHERE 1 = 0" },
];

/// What the write account of body `procedure` must not be able to see.
const READS: [Statement<'static>; 2] = [
    Statement { id: "check.read.person", text: "SELECT 1 FROM SB_PERSON WHERE 1 = 0" },
    Statement { id: "check.read.booking", text: "SELECT 1 FROM SB_BOOKING WHERE 1 = 0" },
];

/// Logs on with every account of the role; at most two.
pub(super) fn logons(oracle: &Oracle, account: Account, found: &mut Vec<Finding>) -> Vec<Session> {
    let logins = oracle.settings().logins(account).to_vec();
    let mut open = Vec::new();
    for login in &logins {
        match Session::open_with(oracle, account, login) {
            Ok(mut session) => {
                let (server, identity) = (session.server().clone(), session.identity().clone());
                let seen = format!(
                    "{} ({}): instance {}, server {}, role {}, character set {:?}",
                    login.user,
                    account.code(),
                    identity.instance,
                    server.version,
                    server.role,
                    server.charset
                );
                found.push(Finding::fine("oracle.logon", seen));
                found.extend(server.notes.iter().map(|note| {
                    let (cause, fix) = ("the server said so at logon", "see the worksheet of the DBA's guide");
                    Finding::of("oracle.server", Level::Note, note.clone(), cause, fix)
                }));
                found.push(expiry(&mut session));
                open.push(session);
            }
            Err(failure) => found.push(Finding::of(
                "oracle.logon",
                Level::Wrong,
                format!("{} ({}): {}", login.user, account.code(), told(&failure)),
                "the account could not log on",
                hint(&failure),
            )),
        }
    }
    match logins.len() {
        0 => found.push(Finding::of(
            "oracle.logon",
            Level::Wrong,
            format!("role {} has no account", account.code()),
            "the configuration names none",
            format!("set oracle.{}_accounts", account.code()),
        )),
        1 => found.push(Finding::of(
            "oracle.accounts",
            Level::Note,
            format!("role {} has one account", account.code()),
            "its password cannot be changed without the bridge losing its sessions for a moment",
            "add the second account of deploy/oracle/10_accounts.sql",
        )),
        _ => {}
    }
    open
}

fn expiry(session: &mut Session) -> Finding {
    let user = session.user().to_owned();
    match session.expiry_days() {
        Ok(None) => Finding::fine("oracle.expiry", format!("{user}: password does not expire")),
        Ok(Some(days)) if days >= EXPIRY_DAYS_MIN => {
            Finding::fine("oracle.expiry", format!("{user}: password for {days} days"))
        }
        Ok(Some(days)) => Finding::of(
            "oracle.expiry",
            Level::Note,
            format!("{user}: password expires in {days} days"),
            "after it no session opens with this account (ORA-28001)",
            "rotate it: the other account of the role serves meanwhile",
        ),
        Err(failure) => {
            Finding::of("oracle.expiry", Level::Unknown, told(&failure), "USER_USERS could not be read", hint(&failure))
        }
    }
}

impl Look<'_> {
    /// The read account must fail to write.
    pub(super) fn may_not_write(&mut self, session: &mut Session) {
        self.system_privileges(session);
        let fix = "run deploy/oracle/51_grants.sql anew and revoke what is too much";
        self.must_fail(session, &WRITES, "the read account may write", fix);
    }

    /// The write account of body `procedure` has EXECUTE on SB_API and nothing else.
    pub(super) fn may_not_read(&mut self, session: &mut Session) {
        self.system_privileges(session);
        self.must_fail(session, &READS, "the write account may read persons", "grant it EXECUTE on SB_API only");
    }

    fn must_fail(&mut self, session: &mut Session, attempts: &[Statement<'static>], what: &str, fix: &str) {
        let mut refused = 0;
        for attempt in attempts {
            let done = tried(session, *attempt);
            undo(session);
            match done {
                // No such privilege (ORA-41900 is its later name), or the object is not even visible.
                Err(failure) if matches!(failure.code, Code::Ora(942 | 1031 | 41_900)) => refused += 1,
                Err(failure) => self.add(Finding::of(
                    "oracle.privileges",
                    Level::Unknown,
                    format!("{}: {}", attempt.id, told(&failure)),
                    "the attempt ended otherwise than by a missing privilege",
                    hint(&failure),
                )),
                Ok(()) => self.add(Finding::of(
                    "oracle.privileges",
                    Level::Wrong,
                    format!("{}: {what}: `{}` went through", session.user(), attempt.text),
                    "least privilege is the last line against a mistake of ours",
                    fix,
                )),
            }
        }
        if refused == attempts.len() {
            let seen = format!("{}: the server refused {refused} attempts beyond its task", session.user());
            self.add(Finding::fine("oracle.privileges", seen));
        }
    }

    fn system_privileges(&mut self, session: &mut Session) {
        let user = session.user().to_owned();
        let finding = match session.rows(SYSTEM_PRIVILEGES, &[]) {
            Ok(rows) => {
                let names = rows.iter().filter_map(|row| row.first().and_then(|cell| cell.text()));
                let beyond: Vec<&str> = names.filter(|name| !MAY.contains(name)).collect();
                if beyond.is_empty() {
                    let seen = format!("{user}: no system privilege beyond {}", MAY.join(", "));
                    Finding::fine("oracle.privileges", seen)
                } else {
                    Finding::of(
                        "oracle.privileges",
                        Level::Wrong,
                        format!("{user} has {}", beyond.join(", ")),
                        "the bridge needs CREATE SESSION only",
                        "revoke them, also from roles of the account",
                    )
                }
            }
            Err(failure) => Finding::of(
                "oracle.privileges",
                Level::Unknown,
                format!("SESSION_PRIVS: {}", told(&failure)),
                "the account's privileges could not be read",
                hint(&failure),
            ),
        };
        self.add(finding);
    }
}

fn tried(session: &mut Session, attempt: Statement<'static>) -> Result<(), Failure> {
    if attempt.text.starts_with("SELECT") {
        session.rows(attempt, &[]).map(|_| ())
    } else {
        session.execute(attempt, &[]).map(|_| ())
    }
}
