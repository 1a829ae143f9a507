//! Problem codes as the demonstration shows them: only words of the closed list, so that nothing else can be printed.

use crate::answer::Code;
use crate::domain::Refusal;

/// The refusals that are a conflict over a place or a person, not a mistake of the caller.
pub const CONFLICTS: [Refusal; 5] =
    [Refusal::SlotFull, Refusal::SlotClosed, Refusal::SlotChanged, Refusal::PersonAlreadyBooked, Refusal::NotBookable];

/// `slot_full` of a slot whose refill is under way: the legacy system has places left, the bridge has none yet.
pub const REFILLED: &str = "slot_full_refilling";

pub fn known(code: &str) -> &'static str {
    Code::ALL.iter().map(|known| known.code()).find(|known| *known == code).unwrap_or("another_code")
}

pub fn is_conflict(code: &str) -> bool {
    CONFLICTS.iter().any(|refusal| refusal.code() == code)
}
