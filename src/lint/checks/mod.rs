//! The checks behind the rules, a file a subject.

pub(super) mod approvals;
pub(super) mod complete;
pub(super) mod crypto;
pub(super) mod identifiers;
pub(super) mod legal;
pub(super) mod names;
pub(super) mod statistics;
pub(super) mod words;
