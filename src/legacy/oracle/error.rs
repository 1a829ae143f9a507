//! The one table of errors: code → class → what to do. Nothing else in the adapter looks at a code to decide.
//!
//! Invariants: every class has exactly one policy (the match is exhaustive); a code that is not listed halts and is never
//! repeated; an error holds a code and our own words. The server's text is never kept: it may hold a row value
//! (ORA-00001 names a constraint, ORA-01722 a column's content, ODPI-C may append bytes of its heap).

use std::fmt;

use crate::legacy::{LegacyError, LegacyErrorKind};

/// Where in a session's life an error happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    Logon,
    Execute,
    Fetch,
    Commit,
    Rollback,
}

impl Step {
    pub fn code(self) -> &'static str {
        match self {
            Step::Logon => "logon",
            Step::Execute => "execute",
            Step::Fetch => "fetch",
            Step::Commit => "commit",
            Step::Rollback => "rollback",
        }
    }
}

/// What the server, the client library or the driver called the error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// `ORA-nnnnn`, of the server or of the network layer.
    Ora(u32),
    /// `DPI-nnnn`, of the layer between driver and client library.
    Dpi(u32),
    /// The driver itself: a value of another type than asked for, or a text without a code.
    Driver(&'static str),
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Code::Ora(number) => write!(f, "ORA-{number:05}"),
            Code::Dpi(number) => write!(f, "DPI-{number:04}"),
            Code::Driver(what) => write!(f, "driver: {what}"),
        }
    }
}

/// What a code means to the bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// The data says no: a constraint, a value that does not fit.
    Business,
    /// A rule of the agency: its trigger or procedure refused.
    LegacyRule,
    /// Deadlock, lock timeout, changed package: the whole transaction may be tried again.
    Retry,
    /// ORA-01555: the snapshot is older than the undo that is kept; the same in smaller ranges may pass.
    SnapshotTooOld,
    ConnectionLost,
    Timeout,
    /// Sessions, processes or resource limits of a profile.
    Limits,
    /// A person must act.
    Operator,
    /// The server refused the account itself: every further attempt may lock it.
    Credentials,
    /// The interface schema is not as declared.
    Schema,
    StandbyLate,
    /// Space.
    Resource,
    /// A code that this table does not have.
    Unlisted,
}

impl ErrorClass {
    pub const ALL: [ErrorClass; 13] = [
        ErrorClass::Business,
        ErrorClass::LegacyRule,
        ErrorClass::Retry,
        ErrorClass::SnapshotTooOld,
        ErrorClass::ConnectionLost,
        ErrorClass::Timeout,
        ErrorClass::Limits,
        ErrorClass::Operator,
        ErrorClass::Credentials,
        ErrorClass::Schema,
        ErrorClass::StandbyLate,
        ErrorClass::Resource,
        ErrorClass::Unlisted,
    ];
}

/// What happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Roll back to the savepoint and answer; never try again.
    Answer,
    /// Roll back, pause, and run the whole transaction again, a few times.
    RetryTransaction,
    /// Begin the cut again in smaller ranges.
    ShrinkAndRetry,
    Reconnect,
    /// Roll back; the session may be used again if it lives.
    RollBack,
    /// Long pause, and somebody is told.
    BackOff,
    /// No thread logs on with this secret again.
    BlockAccount,
    AskOperator,
    HaltFeed,
    HaltOp,
    /// Wait until the standby has caught up.
    WaitForStandby,
}

/// The row of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    pub kind: LegacyErrorKind,
    pub action: Action,
    /// Metric label, and the error's class in logs.
    pub label: &'static str,
    /// What an operator can do, where the code has no hint of its own.
    pub hint: Option<&'static str>,
}

/// The table by class.
pub fn policy(class: ErrorClass) -> Policy {
    use LegacyErrorKind as Kind;
    let row = |kind, action, label, hint| Policy { kind, action, label, hint };
    match class {
        ErrorClass::Business => row(Kind::Halt, Action::Answer, "business", None),
        ErrorClass::LegacyRule => row(Kind::Halt, Action::Answer, "legacy_rule", None),
        ErrorClass::Retry => row(Kind::Retry, Action::RetryTransaction, "retry", None),
        ErrorClass::SnapshotTooOld => row(
            Kind::Retry,
            Action::ShrinkAndRetry,
            "snapshot_too_old",
            Some("cuts outlive undo_retention: they shrink by themselves; a longer undo_retention makes them rarer"),
        ),
        ErrorClass::ConnectionLost => row(Kind::Lost, Action::Reconnect, "connection_lost", None),
        ErrorClass::Timeout => row(Kind::Retry, Action::RollBack, "timeout", None),
        ErrorClass::Limits => row(
            Kind::Wait,
            Action::BackOff,
            "limits",
            Some(
                "raise the limit: SESSIONS_PER_USER, IDLE_TIME, CPU of the accounts' profile, or processes of the instance",
            ),
        ),
        ErrorClass::Operator => row(Kind::Operator, Action::AskOperator, "operator", None),
        ErrorClass::Credentials => row(Kind::Credentials, Action::BlockAccount, "credentials", None),
        ErrorClass::Schema => row(
            Kind::Schema,
            Action::HaltFeed,
            "schema",
            Some(
                "compare the interface views and grants with deploy/oracle and catalog.toml, then run `slotbridge check`",
            ),
        ),
        ErrorClass::StandbyLate => row(
            Kind::Wait,
            Action::WaitForStandby,
            "standby_late",
            Some(
                "the standby applies redo too late, see V$DATAGUARD_STATS; remove oracle.read_connect to read the primary",
            ),
        ),
        ErrorClass::Resource => row(
            Kind::Wait,
            Action::BackOff,
            "resource",
            Some("the database is out of space: add to the tablespace, quota, undo or archive destination"),
        ),
        ErrorClass::Unlisted => row(
            Kind::Halt,
            Action::HaltOp,
            "unlisted",
            Some("the bridge does not know this error and will not repeat what led to it: look it up, then resume"),
        ),
    }
}

/// The table by code.
pub fn class_of(code: Code) -> ErrorClass {
    match code {
        Code::Ora(number) => class_of_ora(number),
        Code::Dpi(1010 | 1080) => ErrorClass::ConnectionLost,
        Code::Dpi(1067) => ErrorClass::Timeout,
        Code::Dpi(1047 | 1072) => ErrorClass::Operator,
        Code::Dpi(_) => ErrorClass::Unlisted,
        // A value that is not of the declared type.
        Code::Driver(TYPE) => ErrorClass::Schema,
        Code::Driver(_) => ErrorClass::Unlisted,
    }
}

fn class_of_ora(number: u32) -> ErrorClass {
    match number {
        1 | 2290 | 2291 | 2292 | 1400 | 1438 | 12899 => ErrorClass::Business,
        20_000..=20_999 | 4088 | 4091 => ErrorClass::LegacyRule,
        60 | 8177 | 54 | 30_006 | 4020 | 4021 | 4068 | 4061 | 4065 | 2049 => ErrorClass::Retry,
        1555 => ErrorClass::SnapshotTooOld,
        3113 | 3114 | 3135 | 28 | 1012 | 12170 | 12537 | 12541 | 12543 | 12545 | 12547 | 12514 | 12516 | 12519
        | 12528 | 12520 | 1033 | 1034 | 1089 | 1090 | 27101 | 25401 | 25402 | 25405 | 25408 | 25409 => {
            ErrorClass::ConnectionLost
        }
        3136 | 3156 | 1013 => ErrorClass::Timeout,
        2391 | 2392 | 2393 | 2396 | 40 | 18 | 20 => ErrorClass::Limits,
        1017 | 28_000 | 28_001 => ErrorClass::Credentials,
        28_002 | 1045 | 28_040 | 3134 | 12154 | 16_000 => ErrorClass::Operator,
        900..=936 | 942 | 1031 | 1007 | 4098 => ErrorClass::Schema,
        3172 => ErrorClass::StandbyLate,
        1652 | 1653 | 1654 | 1688 | 1536 | 30_036 | 257 => ErrorClass::Resource,
        _ => ErrorClass::Unlisted,
    }
}

/// What an operator does about exactly this code.
pub fn hint_of(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::Ora(1017) => {
            "user or password is wrong: write the right password into the account's secret file; \
             nobody tries again before the file changes"
        }
        Code::Ora(28_000) => {
            "the account is locked: unlock it (ALTER USER … ACCOUNT UNLOCK), then write a new secret or delete \
             oracle-blocked.json in the data folder"
        }
        Code::Ora(28_001) => "the password has expired: set a new one and write it into the account's secret file",
        Code::Ora(28_002) => "the password expires soon: rotate it; the second account of the role serves meanwhile",
        Code::Ora(1045) => "the account lacks CREATE SESSION: run deploy/oracle/10_accounts.sql",
        Code::Ora(28_040) => {
            "server and client share no logon protocol: use Instant Client 19, or set \
             SQLNET.ALLOWED_LOGON_VERSION_CLIENT in the sqlnet.ora of oracle.tns_admin"
        }
        Code::Ora(3134) => "the server is older than 11.2, or the client too new for it: use Instant Client 19",
        Code::Ora(12154) => "the connect string names nothing: check oracle.connect and tnsnames.ora",
        Code::Ora(16_000) => "this database is open for reading only: point oracle.connect at the primary",
        Code::Dpi(1047) => "no Oracle client library was found: `slotbridge doctor` says where it was looked for",
        Code::Dpi(1072) => "this Oracle client is not supported: use Instant Client 19",
        Code::Ora(1033 | 1034 | 1089 | 1090 | 27_101) => "the instance is starting, stopping or down",
        Code::Ora(12514 | 12516 | 12519 | 12520 | 12528) => {
            "the listener does not offer the service now: see `lsnrctl services`"
        }
        Code::Ora(12541 | 12543 | 12545 | 12170) => "the listener is not reached: host, port, firewall",
        Code::Ora(1031) => "a grant is missing: compare with deploy/oracle/10_accounts.sql",
        _ => return None,
    })
}

/// `Code::Driver` of a value that has another type than declared.
pub(super) const TYPE: &str = "a column has another type than declared";

/// An error with its place in the table. Becomes a `LegacyError` where the adapter ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub class: ErrorClass,
    pub code: Code,
    pub step: Step,
    /// Id of the statement, or what else was done (`logon`).
    pub what: &'static str,
    /// Our own words, where the code does not say enough. Never a row value.
    pub words: Option<String>,
}

impl Failure {
    pub fn of_code(code: Code, step: Step, what: &'static str) -> Failure {
        Failure { class: class_of(code), code, step, what, words: None }
    }

    pub fn of(error: &oracle::Error, step: Step, what: &'static str) -> Failure {
        Failure::of_code(code_of(error), step, what)
    }

    /// Something that only the adapter can tell.
    pub fn own(class: ErrorClass, step: Step, what: &'static str, words: impl Into<String>) -> Failure {
        Failure { class, code: Code::Driver("refused by the bridge"), step, what, words: Some(words.into()) }
    }

    pub fn policy(&self) -> Policy {
        policy(self.class)
    }

    /// The commit may have happened: run the same ops again.
    pub fn in_doubt(&self) -> bool {
        self.step == Step::Commit && matches!(self.class, ErrorClass::ConnectionLost | ErrorClass::Timeout)
    }

    /// Is it this ORA code?
    pub fn is_ora(&self, number: u32) -> bool {
        self.code == Code::Ora(number)
    }

    /// Must the session be thrown away? After a timeout its state is unknown: a cancelled call may still answer.
    pub fn ends_session(&self) -> bool {
        match self.class {
            ErrorClass::ConnectionLost | ErrorClass::Timeout | ErrorClass::Limits => true,
            _ => matches!(self.step, Step::Commit | Step::Rollback),
        }
    }
}

impl From<Failure> for LegacyError {
    fn from(failure: Failure) -> LegacyError {
        let policy = failure.policy();
        let place = match failure.what {
            what if what == failure.step.code() => what.to_owned(),
            what => format!("{} of {what}", failure.step.code()),
        };
        let message = match &failure.words {
            // A screen of text says itself where it belongs.
            Some(words) if words.contains('\n') => words.clone(),
            Some(words) => format!("{words} ({place})"),
            None => format!("{} ({place})", failure.code),
        };
        LegacyError {
            kind: policy.kind,
            in_doubt: failure.in_doubt(),
            class: policy.label,
            message,
            hint: hint_of(failure.code).or(policy.hint),
        }
    }
}

/// The code of a driver's error: the client library's own number first, then `ORA-` of the first line.
pub fn code_of(error: &oracle::Error) -> Code {
    if let Some(number) = error.dpi_code().and_then(|number| u32::try_from(number).ok()) {
        return Code::Dpi(number);
    }
    if let Some(db) = error.db_error() {
        let by_number = u32::try_from(db.code()).ok().filter(|number| *number > 0);
        return ora_of(db.message()).or(by_number).map_or(Code::Driver("an error without a code"), Code::Ora);
    }
    use oracle::ErrorKind as Kind;
    match error.kind() {
        Kind::NullValue | Kind::ParseError | Kind::OutOfRange | Kind::InvalidTypeConversion => Code::Driver(TYPE),
        Kind::InvalidColumnIndex | Kind::InvalidColumnName => Code::Driver(TYPE),
        Kind::InvalidBindIndex | Kind::InvalidBindName => Code::Driver("a statement has other binds than it is given"),
        Kind::InvalidOperation => Code::Driver("a statement of another sort than it is used as"),
        _ => Code::Driver("an internal error"),
    }
}

/// `ORA-nnnnn` of the first line. ORA-00604 only says that a recursive statement failed: the code of the next line
/// that begins with one says how.
fn ora_of(message: &str) -> Option<u32> {
    let mut lines = message.lines();
    let first = ora_in(lines.next()?)?;
    if first != 604 {
        return Some(first);
    }
    lines
        .filter(|line| line.starts_with("ORA-"))
        .find_map(|line| ora_in(line).filter(|inner| *inner != 604))
        .or(Some(604))
}

fn ora_in(line: &str) -> Option<u32> {
    let at = line.find("ORA-")? + "ORA-".len();
    let digits = line.as_bytes().get(at..at + 5)?;
    digits.iter().try_fold(0u32, |n, b| b.is_ascii_digit().then(|| n * 10 + u32::from(b - b'0')))
}

#[cfg(test)]
mod tests;
