//! How often one hint of one object is polled: its interval, the duty that it keeps, and the brake.
//!
//! A hint that has lost its index shows in two ways: it reads far more rows than have changed, poll after poll, or it
//! takes far longer than its duty allows. Duty alone already spaces slow polls; the brake makes them rare, so that a
//! table that is read whole by mistake is read once a minute, and makes somebody look.

use super::Settings;
use super::lane::Report;
use super::stats::Poll;

/// Interval of a hint that behaves as if it read whole tables.
pub const BRAKED_MS: u64 = 60_000;
/// Rows of one poll that are never too many: a day's busiest second brings fewer changes.
const ROWS_FLOOR: u64 = 5_000;
/// Rows read per changed row that are too many. A fast poll reads a change some 21 times (4 s of overlap at 200 ms).
const ROWS_RATIO: u64 = 50;
/// A poll shorter than this is never too slow: no scan of a table that matters is as quick.
const SLOW_MS_MIN: u64 = 500;
/// Polls in a row that must look like a scan. One may be chance: a batch, a cold cache.
const STRIKES: u32 = 3;
/// Polls in a row, a minute apart, that must look well before the brake is off again.
const GOOD_MIN: u32 = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    Rows,
    Slow,
}

impl Why {
    pub fn code(self) -> &'static str {
        match self {
            Why::Rows => "far more rows read than changed",
            Why::Slow => "slower than its duty allows",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turned {
    Same,
    Braked(Why),
    Released,
}

#[derive(Debug)]
pub struct Pace {
    poll: Poll,
    interval_ms: u64,
    duty_percent_max: u32,
    braked: bool,
    slow: u32,
    wasteful: u32,
    good: u32,
    /// Rows that the hint reads again by design.
    rows_overlap: u64,
    /// Polls that read the same change again by design.
    polls_overlap: u32,
}

impl Pace {
    pub fn new(poll: Poll, settings: &Settings) -> Pace {
        let interval_ms = settings.interval_ms(poll);
        let polls_overlap = match poll {
            // Instants of change may have whole seconds only: that much more is read again.
            Poll::Fast => (settings.fast_overlap_ms.unsigned_abs() + 1_000) / interval_ms.max(1),
            _ => 0,
        };
        Pace {
            poll,
            interval_ms,
            duty_percent_max: settings.duty_percent_max,
            braked: false,
            slow: 0,
            wasteful: 0,
            good: 0,
            rows_overlap: if poll == Poll::Tail { settings.tail_overlap } else { 0 },
            polls_overlap: u32::try_from(polls_overlap).unwrap_or(u32::MAX / 2),
        }
    }

    /// From the start of a poll that kept the legacy system busy for so long to the next.
    pub fn next_ms(&self, read_ms: u64) -> u64 {
        let interval_ms = if self.braked { self.interval_ms.max(BRAKED_MS) } else { self.interval_ms };
        super::next_poll_ms(interval_ms, read_ms, self.duty_percent_max)
    }

    /// Judges a poll. A full cut reads all rows by design, and what is rare anyway needs no brake.
    pub fn judge(&mut self, report: &Report) -> Turned {
        if matches!(self.poll, Poll::Full | Poll::Persons) || self.interval_ms >= BRAKED_MS {
            return Turned::Same;
        }
        let is_wasteful = self.is_wasteful(report);
        let is_slow = self.is_slow(report.read_us / 1_000);
        self.wasteful = if is_wasteful { self.wasteful + 1 } else { 0 };
        self.slow = if is_slow { self.slow + 1 } else { 0 };
        self.good = if is_wasteful || is_slow { 0 } else { self.good + 1 };
        if self.braked {
            self.braked = self.good < GOOD_MIN;
            return if self.braked { Turned::Same } else { Turned::Released };
        }
        let why = match (self.wasteful, self.slow) {
            (wasteful, _) if wasteful >= self.polls_overlap.saturating_add(STRIKES) => Why::Rows,
            (_, slow) if slow >= STRIKES => Why::Slow,
            _ => return Turned::Same,
        };
        (self.braked, self.good) = (true, 0);
        Turned::Braked(why)
    }

    /// Windows, hot slots and sweeps read what has not changed by design.
    fn is_wasteful(&self, report: &Report) -> bool {
        let changed = report.changed + report.gone;
        matches!(self.poll, Poll::Fast | Poll::Tail | Poll::Scn)
            && report.rows > self.rows_overlap.saturating_add(ROWS_FLOOR)
            && report.rows - self.rows_overlap > changed.saturating_mul(ROWS_RATIO)
    }

    fn is_slow(&self, read_ms: u64) -> bool {
        read_ms >= SLOW_MS_MIN && super::next_poll_ms(0, read_ms, self.duty_percent_max) > self.interval_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(rows: u64, changed: u64, read_ms: u64) -> Report {
        Report { rows, changed, read_us: read_ms * 1_000, ..Report::default() }
    }

    fn turns(pace: &mut Pace, report: &Report, polls: u32) -> Vec<(u32, Turned)> {
        (1..=polls).map(|n| (n, pace.judge(report))).filter(|(_, turned)| *turned != Turned::Same).collect()
    }

    #[test]
    fn a_hint_that_reads_whole_tables_is_braked_once_and_released_when_it_is_well() {
        let mut pace = Pace::new(Poll::Scn, &Settings::default());
        assert_eq!(pace.next_ms(0), 1_000);
        assert_eq!(turns(&mut pace, &report(100_000, 3, 20), 10), [(3, Turned::Braked(Why::Rows))]);
        assert_eq!((pace.next_ms(0), pace.next_ms(6_000)), (60_000, 120_000));
        assert_eq!(turns(&mut pace, &report(40, 3, 20), 4), []);
        assert_eq!(turns(&mut pace, &report(100_000, 3, 20), 1), [], "one bad poll begins the count anew");
        assert_eq!(turns(&mut pace, &report(40, 3, 20), 10), [(5, Turned::Released)]);
        assert_eq!(pace.next_ms(0), 1_000);
    }

    #[test]
    fn the_overlap_of_a_fast_poll_is_no_scan() {
        let mut pace = Pace::new(Poll::Fast, &Settings::default());
        // A batch of 20,000 rows is read once as changes and 20 times more as overlap.
        assert_eq!(pace.judge(&report(20_000, 20_000, 400)), Turned::Same);
        assert_eq!(turns(&mut pace, &report(20_000, 0, 400), 20), []);
        assert_eq!(turns(&mut pace, &report(10, 1, 2), 1), []);
        assert_eq!(turns(&mut pace, &report(20_000, 0, 400), 60), [(23, Turned::Braked(Why::Rows))]);
    }

    #[test]
    fn numbers_that_a_tail_reads_again_by_design_are_no_scan() {
        let mut pace = Pace::new(Poll::Tail, &Settings { tail_overlap: 40_000, ..Settings::default() });
        assert_eq!(turns(&mut pace, &report(44_000, 0, 20), 50), []);
        assert_eq!(turns(&mut pace, &report(46_000, 0, 20), 50), [(3, Turned::Braked(Why::Rows))]);
    }

    #[test]
    fn a_slow_hint_is_braked_after_several_in_a_row_only() {
        let mut pace = Pace::new(Poll::Hot, &Settings::default());
        assert_eq!(turns(&mut pace, &report(2_000, 0, 499), 50), [], "duty spaces it already");
        assert_eq!(turns(&mut pace, &report(2_000, 0, 900), 2), []);
        assert_eq!(turns(&mut pace, &report(2_000, 0, 10), 1), []);
        assert_eq!(turns(&mut pace, &report(2_000, 0, 900), 5), [(3, Turned::Braked(Why::Slow))]);
    }

    #[test]
    fn cuts_and_rare_polls_have_no_brake() {
        for poll in [Poll::Full, Poll::Sweep, Poll::Persons] {
            let mut pace = Pace::new(poll, &Settings::default());
            assert_eq!(turns(&mut pace, &report(4_000_000, 0, 60_000), 10), [], "{poll:?}");
        }
    }
}
