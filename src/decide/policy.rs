//! The agency's choices that the desk decides by. Defaults say how they were chosen.

use std::collections::BTreeMap;

use crate::domain::{AllotmentMode, CohortNo, SeriesId, Timestamp, time::DAY_MS, time::MINUTE_MS};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    pub mode: AllotmentMode,
    pub series: BTreeMap<SeriesId, SeriesPolicy>,
    /// A slot is bookable until so long before its start; then its free units go back.
    pub cutoff_ms: i64,
    pub refill: RefillPolicy,
    /// `not_bookable` answers that are evaluated a person, partner and day (booking rules, Order of checks).
    pub not_bookable_per_day: u32,
    /// Refused keys kept a partner; over it requests are refused before deciding. 24 h at 2 a second.
    pub refused_keys_max: u32,
    /// A refused key is forgotten after so long.
    pub refused_keep_ms: i64,
    /// An unknown key whose request was first sent longer ago is not decided.
    pub first_sent_age_max_ms: i64,
    pub first_sent_ahead_max_ms: i64,
    /// What a refused client should wait for a refill: a few write-back rounds.
    pub refill_wait_ms: u32,
    /// A consent receipt is remembered so long; longer than it is valid (10 min).
    pub receipt_keep_ms: i64,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            mode: AllotmentMode::Counter,
            series: BTreeMap::new(),
            cutoff_ms: 30 * MINUTE_MS,
            refill: RefillPolicy::default(),
            not_bookable_per_day: 5,
            refused_keys_max: 172_800,
            refused_keep_ms: DAY_MS,
            first_sent_age_max_ms: DAY_MS,
            first_sent_ahead_max_ms: MINUTE_MS,
            refill_wait_ms: 800,
            receipt_keep_ms: 60 * MINUTE_MS,
        }
    }
}

/// One vaccination series.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SeriesPolicy {
    /// Cohorts that may book; a person of another cohort is `not_bookable`.
    pub cohorts: CohortSet,
    pub opens_at: Option<Timestamp>,
}

/// A set of the 256 possible cohort numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CohortSet([u64; 4]);

impl CohortSet {
    pub const ALL: CohortSet = CohortSet([u64::MAX; 4]);

    pub fn insert(&mut self, cohort: CohortNo) {
        self.0[usize::from(cohort.0 >> 6)] |= 1 << (cohort.0 & 63);
    }

    pub fn holds(&self, cohort: CohortNo) -> bool {
        self.0[usize::from(cohort.0 >> 6)] & (1 << (cohort.0 & 63)) != 0
    }
}

/// How many units are drawn from the native seller, and when they go back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefillPolicy {
    /// Refill when fewer free units than this are left after a sale.
    pub low_water: u32,
    /// Refill up to this many free units; more when demand since the last take was higher.
    pub high_water: u32,
    /// Bound of one take.
    pub take_max: u32,
    /// Largest share of what the native seller has left that one take may draw, in percent; at least one unit.
    pub share_max_percent: u32,
    /// Units given to an open slot before anybody asks, in order of start. 0 = none.
    pub prewarm_units: u32,
    /// Slots prewarmed a second; keeps the statement rate on the legacy system small and constant.
    pub prewarm_per_s: u32,
    /// Free units go back when nobody asked for the slot this long.
    pub idle_return_ms: i64,
    /// After a take found nothing, none is tried for so long.
    pub empty_wait_ms: i64,
}

impl Default for RefillPolicy {
    fn default() -> RefillPolicy {
        RefillPolicy {
            low_water: 1,
            high_water: 4,
            take_max: 64,
            share_max_percent: 50,
            prewarm_units: 1,
            prewarm_per_s: 100,
            idle_return_ms: 30 * MINUTE_MS,
            empty_wait_ms: 2_000,
        }
    }
}
