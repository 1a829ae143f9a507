//! The closed catalogue: every statement that the bridge sends, with a stable id that database access control and logs
//! can name. Here: of sessions and of reading. `select` builds the lists and pages from the mapping's catalogue.
//!
//! Invariant: 11.2 syntax only (`later_than_11g`); identifiers are unqualified, the session's CURRENT_SCHEMA says whose.

/// One statement. `id` is stable; `text` has positional binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statement<'a> {
    pub id: &'static str,
    pub text: &'a str,
}

const fn statement(id: &'static str, text: &'static str) -> Statement<'static> {
    Statement { id, text }
}

/// Bytes as the server counts them, numbers with a point, comparison by bytes as the indexes have it.
pub const SESSION_NLS: Statement<'static> = statement(
    "session.nls",
    "ALTER SESSION SET NLS_DATE_FORMAT = 'YYYY-MM-DD HH24:MI:SS' \
     NLS_TIMESTAMP_FORMAT = 'YYYY-MM-DD HH24:MI:SS.FF3' NLS_NUMERIC_CHARACTERS = '.,' NLS_SORT = BINARY \
     NLS_COMP = BINARY",
);

pub const SESSION_TIME_ZONE: Statement<'static> =
    statement("session.time_zone", "ALTER SESSION SET TIME_ZONE = '+09:00'");

/// The schema's name is checked to be a plain identifier before it is appended.
pub const SESSION_SCHEMA: Statement<'static> = statement("session.schema", "ALTER SESSION SET CURRENT_SCHEMA = ");

/// Which session this is; another answer later means that the client library has moved it.
pub const SESSION_IDENTITY: Statement<'static> = statement(
    "session.identity",
    "SELECT SYS_CONTEXT('USERENV', 'INSTANCE'), SYS_CONTEXT('USERENV', 'SID'), SYS_CONTEXT('USERENV', 'SESSIONID') \
     FROM DUAL",
);

pub const SESSION_ROLE: Statement<'static> =
    statement("session.role", "SELECT SYS_CONTEXT('USERENV', 'DATABASE_ROLE') FROM DUAL");

pub const SESSION_CHARSET: Statement<'static> =
    statement("session.charset", "SELECT VALUE FROM NLS_DATABASE_PARAMETERS WHERE PARAMETER = 'NLS_CHARACTERSET'");

pub const SESSION_EXPIRY: Statement<'static> =
    statement("session.expiry", "SELECT EXPIRY_DATE, SYSDATE FROM USER_USERS");

/// The host's wall clock, the one that stamps rows; the same with milliseconds and its offset; and which session this
/// is: one round trip before each read-only transaction.
pub const READ_CLOCK: Statement<'static> = statement(
    "read.clock",
    "SELECT SYSDATE, SYSTIMESTAMP, SYS_CONTEXT('USERENV', 'INSTANCE'), SYS_CONTEXT('USERENV', 'SID'), \
     SYS_CONTEXT('USERENV', 'SESSIONID') FROM DUAL",
);

pub const READ_ONLY: Statement<'static> = statement("read.begin", "SET TRANSACTION READ ONLY");

pub const READ_COLUMNS: Statement<'static> = statement(
    "read.columns",
    "SELECT COLUMN_NAME, DATA_TYPE, DATA_LENGTH, DATA_PRECISION, DATA_SCALE, CHAR_LENGTH, CHAR_USED \
     FROM ALL_TAB_COLUMNS WHERE OWNER = :1 AND TABLE_NAME = :2 ORDER BY COLUMN_ID",
);

/// How old the heartbeat is where it is read: how far the standby lags.
pub const READ_LAG: Statement<'static> =
    statement("read.lag", "SELECT BEAT_AT, SYSDATE FROM SB_HEARTBEAT WHERE ONE = 1");

pub const SAVEPOINT: Statement<'static> = statement("tx.savepoint", "SAVEPOINT SB_OP");
pub const TO_SAVEPOINT: Statement<'static> = statement("tx.to_savepoint", "ROLLBACK TO SAVEPOINT SB_OP");

/// What every session and the reader send besides the lists of `select`.
pub const FIXED: [Statement<'static>; 14] = [
    SESSION_NLS,
    SESSION_TIME_ZONE,
    SESSION_SCHEMA,
    SESSION_IDENTITY,
    SESSION_ROLE,
    SESSION_CHARSET,
    SESSION_EXPIRY,
    READ_CLOCK,
    READ_ONLY,
    READ_COLUMNS,
    READ_LAG,
    SAVEPOINT,
    TO_SAVEPOINT,
    // Sent by calls of the client library, not as text; access control sees them as these.
    statement("tx.end", "COMMIT"),
];

/// Words that 11.2 does not know or that the bridge must never send.
const NEVER: &[(&str, &str)] = &[
    ("FETCH FIRST", "12.1"),
    ("FETCH NEXT", "12.1"),
    ("OFFSET", "12.1"),
    ("IDENTITY", "12.1"),
    ("LATERAL", "12.1"),
    ("CROSS APPLY", "12.1"),
    ("OUTER APPLY", "12.1"),
    ("MATCH_RECOGNIZE", "12.1"),
    ("JSON_VALUE", "12.1"),
    ("JSON_TABLE", "12.1"),
    ("STANDARD_HASH", "12.1"),
    ("APPROX_COUNT_DISTINCT", "12.1"),
    ("VALIDATE_CONVERSION", "12.2"),
    ("ON OVERFLOW", "12.2"),
    ("COLLATE", "12.2"),
    ("ANY_VALUE", "21"),
    ("BOOLEAN", "23"),
    ("IF EXISTS", "23"),
    ("IF NOT EXISTS", "23"),
    ("LIMIT", "no Oracle"),
    ("DROP", "never the bridge"),
    ("TRUNCATE", "never the bridge"),
    ("GRANT", "never the bridge"),
    ("CREATE", "never the bridge"),
];

/// Why a statement may not be sent to 11.2; `None`: nothing is known against it.
pub fn later_than_11g(text: &str) -> Option<String> {
    let words = outside_texts(text);
    if let Some((word, since)) = NEVER.iter().find(|(word, _)| has_word(&words, word)) {
        return Some(format!("{word} ({since})"));
    }
    if words.contains(';') && !words.trim_start().starts_with("BEGIN") {
        return Some("a semicolon".to_owned());
    }
    let mut names = words.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '$' | '#'));
    names.find(|name| name.len() > 30).map(|name| format!("{name} is longer than 30 bytes"))
}

/// Upper case, single blanks, without what stands between quotes.
fn outside_texts(text: &str) -> String {
    let outside: String = text.split('\'').step_by(2).collect::<Vec<_>>().join(" ");
    outside.split_whitespace().collect::<Vec<_>>().join(" ").to_ascii_uppercase()
}

fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].chars().next_back().is_some_and(is_part)
            && !text[at + word.len()..].chars().next().is_some_and(is_part)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_statement_is_one_that_11_2_knows() {
        for statement in FIXED {
            assert_eq!(later_than_11g(statement.text), None, "{}", statement.id);
        }
        let ids: BTreeSet<&str> = FIXED.iter().map(|statement| statement.id).collect();
        assert_eq!(ids.len(), FIXED.len());
    }

    #[test]
    fn later_syntax_is_found() {
        for text in [
            "select a from b fetch  first 3 rows only",
            "SELECT A FROM B OFFSET 3 ROWS",
            "SELECT A FROM A23456789012345678901234567890X",
            "SELECT A FROM B; DELETE FROM B",
            "SELECT A FROM B LIMIT 3",
            "DROP TABLE A",
        ] {
            assert!(later_than_11g(text).is_some(), "{text}");
        }
        assert_eq!(later_than_11g("SELECT 'FETCH FIRST; DROP' FROM LIMITS"), None);
        assert_eq!(later_than_11g("BEGIN SB_API.RELEASED(:1); END;"), None);
    }
}
