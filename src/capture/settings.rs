//! What can be set about reading the legacy system. Defaults say how they were chosen.

use std::collections::{BTreeMap, BTreeSet};

use super::convert::{Kind, Plan};
use super::stats::Poll;
use crate::domain::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use crate::domain::{ObjectName, Timestamp};
use crate::mapping::Role;

/// Bounds and paces. Intervals run from start to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Which hints look at which object between full cuts. An object that is not named has full cuts only.
    pub hints: Hints,
    /// Pace of the `timestamp` hint. 200 ms is the publishing tick: faster would not be seen.
    pub fast_interval_ms: u64,
    /// How far the fast poll reaches back. Native transactions commit within 3 s in all but rare cases, and a row is read
    /// again by every poll of that time: 19 times at 3 s, 24 at 4 s (of 20 that may be). The sweep finds later ones.
    pub fast_overlap_ms: i64,
    pub sweep_interval_ms: u64,
    /// How far the slow sweep reaches back: longer than any native transaction.
    pub sweep_overlap_ms: i64,
    pub hot_interval_ms: u64,
    /// Pace of the `pk_tail` hint.
    pub tail_interval_ms: u64,
    /// Numbers that a sequence may give out of order: its cache times the instances of the database.
    pub tail_overlap: u64,
    /// Pace of the `rowscn` hint.
    pub scn_interval_ms: u64,
    /// The `window` hint looks at days from today on: at all near ones within one interval, at the others, up to
    /// `far_days` from today, within another. One statement reads one day.
    pub near_days: u32,
    pub near_interval_ms: u64,
    pub far_days: u32,
    pub far_interval_ms: u64,
    pub full_interval_ms: u64,
    pub persons_interval_ms: u64,
    /// From one comparison of whole views with the catalogue to the next. One small query of the dictionary a view.
    pub columns_interval_ms: u64,
    /// When a cut of the person register may begin. The first of a process begins at once: the table of CIs lives in
    /// memory, and without it nobody gets a token.
    pub persons_hours: Option<Hours>,
    /// Persons that one read-only transaction reads. 50,000 take a second or two, far below any undo retention.
    pub page_rows_max: u32,
    /// Share of the time that one connection may keep the legacy system busy.
    pub duty_percent_max: u32,
    /// A standby further behind than this says so, and refills stop: native sales are seen too late.
    pub read_lag_ms_max: u64,
    /// A cut that loses more of an object's rows than this is not believed. Nightly purges take a fortnight's day: 7 %.
    pub loss_percent_max: u32,
    /// Objects with fewer rows are only guarded against becoming empty.
    pub loss_rows_min: u64,
    /// How long the end of a row is remembered; longer than the feeds keep tombstones (7 days).
    pub gone_kept_ms: i64,
}

pub type Hints = BTreeMap<ObjectName, BTreeSet<HintKind>>;

impl Default for Settings {
    fn default() -> Settings {
        let of = |object, kinds: &[HintKind]| {
            (ObjectName::new(object).expect("a plain name"), kinds.iter().copied().collect::<BTreeSet<_>>())
        };
        Settings {
            hints: BTreeMap::from([
                of("slot", &[HintKind::Timestamp, HintKind::HotSet]),
                of("reservation", &[HintKind::Timestamp]),
            ]),
            fast_interval_ms: 200,
            fast_overlap_ms: 3_000,
            sweep_interval_ms: 60_000,
            sweep_overlap_ms: 900_000,
            hot_interval_ms: 1_000,
            tail_interval_ms: 1_000,
            // A cache of 1,000 on two instances.
            tail_overlap: 2_000,
            scn_interval_ms: 1_000,
            near_days: 3,
            near_interval_ms: 5_000,
            far_days: 60,
            far_interval_ms: 120_000,
            full_interval_ms: 600_000,
            persons_interval_ms: 86_400_000,
            columns_interval_ms: 3_600_000,
            persons_hours: None,
            page_rows_max: 50_000,
            duty_percent_max: 5,
            read_lag_ms_max: 10_000,
            loss_percent_max: 20,
            loss_rows_min: 20,
            gone_kept_ms: 8 * 86_400_000,
        }
    }
}

/// What points at rows that may have changed (`legacy::Hint`). Each must be driven by an index of the legacy system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HintKind {
    /// The column of role `updated_at`: a fast poll and a slow sweep.
    Timestamp,
    /// Slots with escrow or recent demand, by key.
    HotSet,
    /// Keys that only grow and end in a number of constant width.
    PkTail,
    /// The column of role `start`, a day at a time.
    Window,
    /// The column of role `row_scn`. Only for tables of fewer than 2,000 blocks: there is no index on it.
    RowScn,
}

impl HintKind {
    pub fn code(self) -> &'static str {
        match self {
            HintKind::Timestamp => "timestamp",
            HintKind::HotSet => "hot_set",
            HintKind::PkTail => "pk_tail",
            HintKind::Window => "window",
            HintKind::RowScn => "rowscn",
        }
    }

    pub(super) fn polls(self) -> &'static [Poll] {
        match self {
            HintKind::Timestamp => &[Poll::Fast, Poll::Sweep],
            HintKind::HotSet => &[Poll::Hot],
            HintKind::PkTail => &[Poll::Tail],
            HintKind::Window => &[Poll::Near, Poll::Far],
            HintKind::RowScn => &[Poll::Scn],
        }
    }

    /// Can the hint look at the object at all? A layout without `updated_at` is left to full cuts, because the
    /// defaults name the hint without knowing the layout.
    pub(super) fn fits(self, plan: &Plan) -> bool {
        let has = |role| plan.layout.at_role(role).is_some();
        match (self, plan.kind) {
            (_, Kind::Person) => false,
            (HintKind::Timestamp | HintKind::PkTail, _) => true,
            (HintKind::HotSet, kind) => kind == Kind::Slot,
            (HintKind::Window, _) => has(Role::Start),
            (HintKind::RowScn, _) => has(Role::RowScn),
        }
    }
}

impl Settings {
    /// Polls between full cuts that look at the object.
    pub(super) fn polls_of<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = Poll> + 'a {
        let kinds = self.hints.get(&plan.layout.object).into_iter().flatten();
        let usable = |kind: &&HintKind| **kind != HintKind::Timestamp || plan.layout.at_role(Role::UpdatedAt).is_some();
        kinds.filter(usable).flat_map(|kind| kind.polls().iter().copied())
    }

    /// From one statement of that poll to the next.
    pub(super) fn interval_ms(&self, poll: Poll) -> u64 {
        let step = |interval_ms: u64, days: u32| (interval_ms / u64::from(days.max(1))).max(1);
        match poll {
            Poll::Full => self.full_interval_ms,
            Poll::Fast => self.fast_interval_ms,
            Poll::Sweep => self.sweep_interval_ms,
            Poll::Hot => self.hot_interval_ms,
            Poll::Tail => self.tail_interval_ms,
            Poll::Near => step(self.near_interval_ms, self.near_days),
            Poll::Far => step(self.far_interval_ms, self.far_days.saturating_sub(self.near_days)),
            Poll::Scn => self.scn_interval_ms,
            Poll::Persons => self.persons_interval_ms,
        }
    }

    /// From one poll that sees every change of the object to the next.
    pub(super) fn pace_ms(&self, plan: &Plan) -> u64 {
        let full = if plan.kind == Kind::Person { Poll::Persons } else { Poll::Full };
        let whole = self.polls_of(plan).filter(|poll| poll.sees_all_changes());
        whole.chain([full]).map(|poll| self.interval_ms(poll)).min().unwrap_or(0)
    }
}

/// Hours of a day by the wall clock of Seoul, in minutes after midnight. `from_min` later than `until_min` passes
/// midnight; both alike are the whole day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    pub from_min: u16,
    pub until_min: u16,
}

/// Asia/Seoul has been UTC+9 without daylight saving since 1988.
const SEOUL_OFFSET_MS: i64 = 9 * HOUR_MS;

/// Milliseconds since midnight in Seoul.
pub(super) fn of_day_ms(at: Timestamp) -> i64 {
    at.0.saturating_add(SEOUL_OFFSET_MS).rem_euclid(DAY_MS)
}

impl Hours {
    /// Milliseconds until they begin; 0 within them.
    pub fn wait_ms(&self, now: Timestamp) -> u64 {
        let (from, until) = (i64::from(self.from_min) * MINUTE_MS, i64::from(self.until_min) * MINUTE_MS);
        let at = of_day_ms(now);
        let is_open = if from < until { from <= at && at < until } else { at >= from || at < until };
        if is_open { 0 } else { (from - at).rem_euclid(DAY_MS).unsigned_abs() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allowed_hours_may_pass_midnight() {
        let at = |text: &str| Timestamp::parse_rfc3339(&format!("2026-11-22T{text}:00+09:00")).unwrap();
        let minutes = |hours: Hours, text: &str| hours.wait_ms(at(text)) / 60_000;
        let night = Hours { from_min: 22 * 60, until_min: 5 * 60 };
        for (text, wait) in [("21:59", 1), ("22:00", 0), ("23:59", 0), ("00:00", 0), ("04:59", 0), ("05:00", 17 * 60)] {
            assert_eq!(minutes(night, text), wait, "{text}");
        }
        let early = Hours { from_min: 60, until_min: 300 };
        for (text, wait) in [("00:30", 30), ("01:00", 0), ("05:00", 20 * 60), ("23:00", 120)] {
            assert_eq!(minutes(early, text), wait, "{text}");
        }
        assert_eq!(minutes(Hours { from_min: 60, until_min: 60 }, "13:00"), 0);
    }
}
