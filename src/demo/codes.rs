//! Problem codes as the demonstration shows them: only words of the closed list, so that nothing else can be printed.

use crate::answer::Code;
use crate::domain::Refusal;

/// The refusals that are a conflict over a place or a person, not a mistake of the caller.
pub const CONFLICTS: [Refusal; 6] = [
    Refusal::SlotFull,
    Refusal::SlotClosed,
    Refusal::SlotChanged,
    Refusal::PersonAlreadyBooked,
    Refusal::NotBookable,
    Refusal::UnknownSlot,
];

pub fn known(code: &str) -> &'static str {
    Code::ALL.iter().map(|known| known.code()).find(|known| *known == code).unwrap_or("another_code")
}

pub fn is_conflict(code: &str) -> bool {
    CONFLICTS.iter().any(|refusal| refusal.code() == code)
}
