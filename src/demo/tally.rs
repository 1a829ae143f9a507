//! What the demonstration's partners saw with their own eyes: their HTTP answers, nothing of the daemon's state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use crate::domain::BookingId;

/// Samples of a second that percentiles are taken over; more is thinned by dropping the newest.
const SAMPLES_MAX: usize = 100_000;
/// Faults that are kept in words; the rest is only counted.
const FAULTS_MAX: usize = 20;

/// A booking that a partner holds a 201 for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledged {
    pub partner: String,
    pub id: BookingId,
    pub slot_id: String,
}

#[derive(Debug, Default)]
pub struct Seen {
    /// Answered booking requests, repeats not counted.
    pub requests: u64,
    pub booked: BTreeMap<String, u64>,
    /// Refusals of booking requests by code.
    pub refused: BTreeMap<String, u64>,
    pub cancels: BTreeSet<BookingId>,
    pub acknowledged: Vec<Acknowledged>,
    /// Accepted with 202, and not final yet as far as the partner knows.
    pub pending: BTreeMap<BookingId, Acknowledged>,
    /// How those ended that were accepted with 202, by the status that the partner read.
    pub pending_ended: BTreeMap<String, u64>,
    /// Those that the legacy system did not take.
    pub not_taken: Vec<Acknowledged>,
    /// Repeated keys whose answer was the same, byte for byte.
    pub repeats: u64,
    pub tokens: u64,
    /// Declined before anything was decided (429, 503).
    pub declined: u64,
    pub faults: Vec<String>,
    pub fault_count: u64,
    freshness_ms: Vec<u64>,
    freshness_all: BTreeMap<u64, u64>,
    reply_us: Vec<u64>,
}

#[derive(Debug, Default)]
pub struct Tally(Mutex<Seen>);

/// Lower and upper of a set of samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Percentiles {
    pub p50: u64,
    pub p99: u64,
}

/// Numbers of the last second and totals, for the live table.
#[derive(Debug, Clone, Default)]
pub struct Moment {
    pub requests: u64,
    pub booked: BTreeMap<String, u64>,
    pub refused: BTreeMap<String, u64>,
    pub cancelled: u64,
    pub declined: u64,
    pub faults: u64,
    /// `None` when nothing was seen.
    pub freshness_ms: Option<Percentiles>,
    pub reply_us: Option<Percentiles>,
}

impl Tally {
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub fn booked(&self, booking: Acknowledged, took: Duration) {
        let mut seen = self.seen();
        seen.requests += 1;
        *seen.booked.entry(booking.partner.clone()).or_default() += 1;
        seen.acknowledged.push(booking);
        seen.took(took);
    }

    pub fn asked(&self, booking: Acknowledged, took: Duration) {
        let mut seen = self.seen();
        seen.requests += 1;
        seen.pending.insert(booking.id, booking);
        seen.took(took);
    }

    /// What a partner reads of a booking that it was told is pending. True: it is now booked for the first time.
    pub fn polled(&self, id: BookingId, status: &str) -> bool {
        let mut seen = self.seen();
        if status == "pending" {
            return false;
        }
        let Some(booking) = seen.pending.remove(&id) else { return false };
        *seen.pending_ended.entry(status.to_owned()).or_default() += 1;
        if status == "refused" {
            seen.not_taken.push(booking);
            return false;
        }
        // Booked, and whatever came after that.
        *seen.booked.entry(booking.partner.clone()).or_default() += 1;
        seen.acknowledged.push(booking);
        status == "booked"
    }

    pub fn refused(&self, code: &str, took: Duration) {
        let mut seen = self.seen();
        seen.requests += 1;
        *seen.refused.entry(code.to_owned()).or_default() += 1;
        seen.took(took);
    }

    pub fn declined(&self) {
        self.seen().declined += 1;
    }

    pub fn cancelled(&self, booking: BookingId) {
        self.seen().cancels.insert(booking);
    }

    pub fn repeated(&self) {
        self.seen().repeats += 1;
    }

    pub fn token(&self) {
        self.seen().tokens += 1;
    }

    pub fn page(&self, lag_ms: Option<u64>) {
        let mut seen = self.seen();
        let Some(lag_ms) = lag_ms else { return };
        *seen.freshness_all.entry(lag_ms).or_default() += 1;
        if seen.freshness_ms.len() < SAMPLES_MAX {
            seen.freshness_ms.push(lag_ms);
        }
    }

    /// Something that must not happen; the verdict is spoiled by it. Holds no personal value.
    pub fn fault(&self, what: String) {
        let mut seen = self.seen();
        seen.fault_count += 1;
        if seen.faults.len() < FAULTS_MAX {
            seen.faults.push(what);
        }
    }

    /// Takes the samples of the second that ends now.
    pub fn moment(&self) -> Moment {
        let mut seen = self.seen();
        let freshness = percentiles(&mut std::mem::take(&mut seen.freshness_ms));
        let reply = percentiles(&mut std::mem::take(&mut seen.reply_us));
        Moment {
            requests: seen.requests,
            booked: seen.booked.clone(),
            refused: seen.refused.clone(),
            cancelled: seen.cancels.len() as u64,
            declined: seen.declined,
            faults: seen.fault_count,
            freshness_ms: freshness,
            reply_us: reply,
        }
    }

    /// Over the whole run.
    pub fn freshness(&self) -> Option<Percentiles> {
        let seen = self.seen();
        let total: u64 = seen.freshness_all.values().sum();
        let at = |share: u64| {
            let mut left = (total * share).div_ceil(100);
            let mut found = 0;
            for (lag, count) in &seen.freshness_all {
                found = *lag;
                if left <= *count {
                    break;
                }
                left -= count;
            }
            found
        };
        (total > 0).then(|| Percentiles { p50: at(50), p99: at(99) })
    }
}

impl Seen {
    fn took(&mut self, took: Duration) {
        if self.reply_us.len() < SAMPLES_MAX {
            self.reply_us.push(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        }
    }
}

fn percentiles(samples: &mut [u64]) -> Option<Percentiles> {
    samples.sort_unstable();
    let at = |share: usize| samples.get((samples.len() * share).div_ceil(100).max(1) - 1).copied();
    Some(Percentiles { p50: at(50)?, p99: at(99)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_last_second_and_of_the_whole_run() {
        let tally = Tally::default();
        assert_eq!(tally.moment().freshness_ms, None);
        for lag in 1..=100 {
            tally.page(Some(lag));
        }
        let whole = Percentiles { p50: 50, p99: 99 };
        assert_eq!(tally.moment().freshness_ms, Some(whole));
        assert_eq!(tally.moment().freshness_ms, None);
        assert_eq!(tally.freshness(), Some(whole));
    }
}
