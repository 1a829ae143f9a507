//! The agency's choices that the desk decides by. Defaults say how they were chosen.

use std::collections::BTreeMap;

use crate::domain::time::{DAY_MS, MINUTE_MS, SECOND_MS};
use crate::domain::{AllotmentMode, CohortNo, Incarnation, OpId, Position, SeriesId, SlotFact, Timestamp};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Of slots whose class is not in `classes`, or that have none.
    pub mode: AllotmentMode,
    pub classes: BTreeMap<String, AllotmentMode>,
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
    /// On-request bookings that may wait for the legacy system; ten minutes' worth at the default rate.
    pub pending_max: u32,
    /// Place ops given to write-back a second; 0 = none. Each locks a slot row that native booking wants.
    pub on_request_per_s: u32,
    /// After the agency asked for units none is taken for so long.
    pub release_hold_ms: i64,
    /// When the agency wants every free unit back each day.
    pub quiet: Vec<QuietWindow>,
    /// First pause after a mend that did not last; it doubles up to `mend_pause_max_ms`.
    pub mend_pause_ms: i64,
    pub mend_pause_max_ms: i64,
    /// Rule 12.
    pub overrun: OnOverrun,
    /// Rule 10, for legacy systems without a constraint: so long after both bookings were seen, look again. Longer than
    /// the longest native transaction.
    pub recheck_ms: Option<i64>,
    pub native_beside: NativeBeside,
    /// After a restore of the legacy system a slot whose row did not change since counts as seen after so long: a full
    /// cut and some.
    pub settle_ms: i64,
    /// A row of ours that vanishes counts as cancelled after so long, if the fence was level since: time to notice that
    /// it was a restore.
    pub vanish_ms: i64,
    /// Positions [from, until) of lives that restores of the ledger gave up (rule 32).
    pub given_up: Vec<(Position, Position)>,
    /// Lives of the ledger with the position at which each began; an op of any other ledger is a stranger's. Empty: every
    /// op is taken for this ledger's.
    pub lives: Vec<(Position, Incarnation)>,
}

/// What becomes of bookings when the agency cuts a slot below what was sold (rule 12).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnOverrun {
    Honour,
    /// The newest that are not in the legacy system yet are displaced.
    DisplaceNewest,
}

/// Who keeps the place when a person turns out to be booked natively as well (rule 10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NativeBeside {
    LegacyWins,
    EarliestWins,
}

/// Times of day in Seoul at which no units are held. Ends on the next day where `until_min` is not after `from_min`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuietWindow {
    /// Minutes after midnight, below 1,440.
    pub from_min: u16,
    pub until_min: u16,
    /// Days of the week on which it begins, Monday first; none set = never.
    pub weekdays: [bool; 7],
}

impl QuietWindow {
    /// Milliseconds that it lasts.
    fn lasts_ms(&self) -> i64 {
        let minutes = i64::from(self.until_min) - i64::from(self.from_min);
        (if minutes <= 0 { minutes + 24 * 60 } else { minutes }) * MINUTE_MS
    }

    /// Its beginning on a day in Seoul, if it begins on that one. 1970-01-01 was a Thursday.
    fn begins(&self, day: i64) -> Option<Timestamp> {
        let begins = self.weekdays[(day + 3).rem_euclid(7) as usize];
        begins.then(|| Timestamp::seoul_midnight(day as i32).plus_ms(i64::from(self.from_min) * MINUTE_MS))
    }
}

impl Policy {
    /// How the slot's class comes to units.
    pub fn mode_of(&self, class: Option<&str>) -> AllotmentMode {
        let of_class = class.filter(|_| !self.classes.is_empty()).and_then(|class| self.classes.get(class));
        of_class.copied().unwrap_or(self.mode)
    }

    /// Was the op asked by this ledger, in whichever of its lives?
    pub fn is_of_ledger(&self, op: OpId) -> bool {
        let holds = |(from, life): &(Position, Incarnation)| *life == op.incarnation && *from <= op.position;
        self.lives.is_empty() || self.lives.iter().any(holds)
    }

    pub fn mode_of_fact(&self, fact: &SlotFact) -> AllotmentMode {
        self.mode_of(fact.class.as_deref())
    }

    pub fn is_quiet(&self, now: Timestamp) -> bool {
        let day = i64::from(now.seoul_day());
        let began = |window: &QuietWindow, day| {
            window.begins(day).is_some_and(|at| at <= now && now < at.plus_ms(window.lasts_ms()))
        };
        self.quiet.iter().any(|window| began(window, day) || began(window, day - 1))
    }

    /// When a quiet window begins or ends next.
    pub fn next_quiet_edge(&self, now: Timestamp) -> Option<Timestamp> {
        let today = i64::from(now.seoul_day());
        let edges = self.quiet.iter().flat_map(|window| {
            // A week and a day back: the window that is open now, and every weekday ahead.
            (today - 1..=today + 7)
                .filter_map(|day| window.begins(day))
                .flat_map(|at| [at, at.plus_ms(window.lasts_ms())])
        });
        edges.filter(|at| *at > now).min()
    }
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            mode: AllotmentMode::Counter,
            classes: BTreeMap::new(),
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
            pending_max: 3_000,
            on_request_per_s: 5,
            release_hold_ms: 10 * MINUTE_MS,
            quiet: Vec::new(),
            mend_pause_ms: SECOND_MS,
            mend_pause_max_ms: 5 * MINUTE_MS,
            overrun: OnOverrun::Honour,
            recheck_ms: None,
            native_beside: NativeBeside::LegacyWins,
            settle_ms: 15 * MINUTE_MS,
            vanish_ms: 30 * SECOND_MS,
            given_up: Vec::new(),
            lives: Vec::new(),
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
