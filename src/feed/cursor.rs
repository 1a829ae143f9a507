//! When a cursor may still be followed.

use crate::domain::Position;

/// Items a page may hold; other values are refused.
pub const LIMITS: [u32; 3] = [500, 1_000, 5_000];
/// Of a request that names none. The RPDE validator recommends at least 500.
pub const LIMIT_DEFAULT: u32 = 500;

/// May the reader have missed a deletion whose tombstone is purged? `horizon` is the highest change number among
/// purged tombstones.
///
/// Live items keep old numbers for ever, so a cursor's age says nothing. What is lost is a tombstone above the cursor
/// of an item that the reader had seen; a walk that began at `walk` ≥ `horizon` cannot have seen it, because the item
/// was gone by then. A reader without `walk` claims to hold the state as of its cursor.
pub fn is_expired(after: Option<u64>, walk: Option<u64>, horizon: Position) -> bool {
    after.is_some_and(|after| after < horizon.0 && walk.unwrap_or(after) < horizon.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_expires_only_behind_the_horizon_and_only_if_its_walk_is_older() {
        let horizon = Position(100);
        for (after, walk, expired) in [
            (None, None, false),
            (None, Some(1), false),
            (Some(99), None, true),
            (Some(100), None, false),
            (Some(5), Some(99), true),
            (Some(5), Some(100), false),
            (Some(u64::MAX), Some(0), false),
        ] {
            assert_eq!(is_expired(after, walk, horizon), expired, "after {after:?} walk {walk:?}");
        }
    }
}
