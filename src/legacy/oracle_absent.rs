//! Stands in where slotbridge was built without feature `oracle`.

use super::{LegacyError, LegacyErrorKind};

/// What whoever configures Oracle gets from such a build.
pub fn absent() -> LegacyError {
    let mut error =
        LegacyError::new(LegacyErrorKind::Operator, "this build has no Oracle adapter: cargo feature `oracle` is off");
    error.hint = Some("use a build with the default features");
    error
}
