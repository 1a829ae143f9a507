//! What a look at an installation found: one thing at a time, each with its cause and what to do.

use serde::Serialize;

/// How grave a finding is. What could not be looked at counts as wrong: nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    Fine,
    /// Works, and somebody should know.
    Note,
    Unknown,
    Wrong,
}

impl Level {
    pub fn is_failure(self) -> bool {
        matches!(self, Level::Unknown | Level::Wrong)
    }

    pub fn word(self) -> &'static str {
        match self {
            Level::Fine => "ok",
            Level::Note => "note",
            Level::Unknown => "unknown",
            Level::Wrong => "WRONG",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable id: `oracle.privileges`.
    pub check: &'static str,
    pub level: Level,
    /// What was looked at and what was seen; never a row value.
    pub found: String,
    /// Why it is so, or why it matters; empty for what is fine.
    pub cause: String,
    /// What to do; empty for what is fine.
    pub fix: String,
}

impl Finding {
    pub fn fine(check: &'static str, found: impl Into<String>) -> Finding {
        Finding { check, level: Level::Fine, found: found.into(), cause: String::new(), fix: String::new() }
    }

    pub fn of(
        check: &'static str,
        level: Level,
        found: impl Into<String>,
        cause: impl Into<String>,
        fix: impl Into<String>,
    ) -> Finding {
        Finding { check, level, found: found.into(), cause: cause.into(), fix: fix.into() }
    }
}
