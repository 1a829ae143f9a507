//! Row jumps (L804): a feed that grows or shrinks far more than it should waits until somebody says that it is right.
//!
//! Owns the measure and the question. Two builds lie 200 ms apart, and a cut of a legacy system arrives over many of
//! them, so a build is compared with the feed of an hour ago and not with the build before: a loss of half the rows in
//! a hundred small steps is a jump as well. What leaves because its time has come is no loss: it is taken out of the
//! account on both sides, or every evening would be a jump. Rows that come and rows that go are set off against each
//! other: a renewed key is not what this looks for.
//!
//! No jump is the first fill of a feed, up to its object's first full cut; nor the build after its mapping changed.
//! Bookings grow as partners sell, and are no rows of a cut: nobody asks about them. The account is kept in memory; a
//! restart begins a new one from the published rows, so a jump that nobody has confirmed is asked about again.

use std::collections::VecDeque;

use crate::domain::Timestamp;
use crate::domain::time::MINUTE_MS;
use crate::mapping::policy::GuardLimits;

/// The account's steps and how many of them make up the window: an hour. Shorter, and a slow loss is not noticed;
/// longer, and a season's opening is asked about for half a day.
const STEP_MS: i64 = 5 * MINUTE_MS;
const STEPS: i64 = 12;

/// Rows as they were and as they would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jump {
    pub before: u64,
    pub after: u64,
}

impl Jump {
    fn is_too_far(self, limits: &GuardLimits) -> bool {
        let (rows, least) = (self.before.abs_diff(self.after), u64::from(limits.row_jump_rows_min));
        // Of a small feed a share says nothing: it counts as one of the least number.
        let share = u64::from(limits.row_jump_percent_max).saturating_mul(self.before.max(least));
        rows >= least && rows.saturating_mul(100) > share
    }
}

#[derive(Debug, Default)]
pub(super) struct Jumps {
    /// Step since 1970, and rows that came less rows that went in it.
    steps: VecDeque<(i64, i64)>,
    /// What waits for a word.
    asked: Option<Jump>,
    /// Rows that somebody said are right.
    confirmed: Option<u64>,
}

impl Jumps {
    /// May a feed of `live` rows change by `net`? The answer is kept until `confirm`.
    pub(super) fn judge(&mut self, limits: &GuardLimits, live: u64, net: i64, now: Timestamp) -> Result<(), Jump> {
        let oldest = now.0.div_euclid(STEP_MS) - STEPS;
        self.steps.retain(|(step, _)| *step > oldest);
        let moved = self.steps.iter().fold(0_i64, |sum, (_, net)| sum.saturating_add(*net));
        let (before, after) = (apart(live, moved.saturating_neg()), apart(live, net));
        let is_right = |before: u64| !Jump { before, after }.is_too_far(limits);
        // What moves a feed back to where it was confirmed, or to where it came from, is no jump.
        if is_right(before) || self.confirmed.is_some_and(is_right) {
            self.asked = None;
            return Ok(());
        }
        let jump = Jump { before, after };
        self.asked = Some(jump);
        Err(jump)
    }

    /// A build was published.
    pub(super) fn published(&mut self, net: i64, now: Timestamp) {
        if self.confirmed.take().is_some() {
            self.steps.clear();
            return;
        }
        let step = now.0.div_euclid(STEP_MS);
        match self.steps.back_mut() {
            Some((last, sum)) if *last == step => *sum = sum.saturating_add(net),
            _ if net == 0 => {}
            _ => self.steps.push_back((step, net)),
        }
    }

    /// A new account from the rows as they are.
    pub(super) fn begin(&mut self) {
        *self = Jumps::default();
    }

    /// The rows asked about are right; a change that goes as far again is asked about again. `None`: nothing was asked.
    pub(super) fn confirm(&mut self) -> Option<Jump> {
        let jump = self.asked.take()?;
        self.confirmed = Some(jump.after);
        Some(jump)
    }
}

fn apart(rows: u64, by: i64) -> u64 {
    if by < 0 { rows.saturating_sub(by.unsigned_abs()) } else { rows.saturating_add(by.unsigned_abs()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: GuardLimits = GuardLimits { row_jump_percent_max: 30, row_jump_rows_min: 1_000 };

    fn at(minutes: i64) -> Timestamp {
        Timestamp(1_795_345_200_000 + minutes * MINUTE_MS)
    }

    /// A feed that is moved by `net` a minute; the minute in which it is asked about.
    fn asked_after(live: u64, net: i64, minutes: i64) -> Option<i64> {
        let (mut jumps, mut live) = (Jumps::default(), live);
        for minute in 0..minutes {
            if jumps.judge(&LIMITS, live, net, at(minute)).is_err() {
                return Some(minute);
            }
            jumps.published(net, at(minute));
            live = apart(live, net);
        }
        None
    }

    #[test]
    fn a_sudden_change_is_asked_about_both_ways_and_a_small_one_is_not() {
        for (live, net, is_jump) in [
            (10_000, -3_001, true),
            (10_000, -3_000, false),
            (10_000, 3_001, true),
            (2_000, -999, false),
            (2_000, -1_000, true),
            (0, 999, false),
            (0, 1_000, true),
            (200_000, -200_000, true),
        ] {
            assert_eq!(Jumps::default().judge(&LIMITS, live, net, at(0)).is_err(), is_jump, "{live} {net}");
        }
    }

    #[test]
    fn many_small_steps_within_an_hour_are_one_jump_and_a_slow_change_is_none() {
        assert_eq!(asked_after(10_000, -100, 60), Some(30));
        assert_eq!(asked_after(100_000, -300, 150), None);
    }

    #[test]
    fn what_was_confirmed_passes_once_and_as_much_again_is_asked_about_again() {
        let mut jumps = Jumps::default();
        assert_eq!(jumps.confirm(), None);
        let jump = Jump { before: 10_000, after: 5_000 };
        assert_eq!(jumps.judge(&LIMITS, 10_000, -5_000, at(0)), Err(jump));
        assert_eq!(jumps.judge(&LIMITS, 10_000, -5_000, at(1)), Err(jump), "nobody has said a word");
        assert_eq!(jumps.confirm(), Some(jump));
        // More has gone meanwhile than was confirmed.
        assert_eq!(jumps.judge(&LIMITS, 10_000, -9_000, at(2)), Err(Jump { before: 10_000, after: 1_000 }));
        jumps.confirm();
        assert_eq!(jumps.judge(&LIMITS, 10_000, -9_100, at(3)), Ok(()));
        jumps.published(-9_100, at(3));
        assert_eq!(jumps.judge(&LIMITS, 900, 0, at(4)), Ok(()), "the account begins anew");
        assert_eq!(jumps.judge(&LIMITS, 900, 5_000, at(4)), Err(Jump { before: 900, after: 5_900 }));
    }

    #[test]
    fn a_way_back_is_no_jump() {
        let mut jumps = Jumps::default();
        jumps.published(2_900, at(0));
        assert_eq!(jumps.judge(&LIMITS, 12_900, -2_900, at(10)), Ok(()));
        assert!(jumps.judge(&LIMITS, 12_900, -6_000, at(10)).is_err());
    }
}
