//! Hints: polls between full cuts, each of one object, and how far each has read.
//!
//! A hint only points; what it finds goes through the same comparison as a full cut's rows. None begins before a full
//! cut of this process has covered its object, because only that says from where on.

use std::time::Instant;

use super::convert::Plan;
use super::lane::{Lane, Report, sum};
use super::mirror::Scope;
use super::settings::of_day_ms;
use super::stage::Counts;
use super::stats::Poll;
use super::{Capture, CaptureError, Settings, locked};
use crate::domain::time::DAY_MS;
use crate::domain::{ObjectName, SlotKey, Timestamp};
use crate::legacy::{Hint, KEYS_MAX, LegacyRead};

/// Statements of one round of the `hot_set` hint.
const KEY_ROUNDS_MAX: usize = 4;
/// Digits of a key that count as its number.
const DIGITS_MAX: usize = 18;
/// At or before every key that an agency numbers.
const KEY_FIRST: &str = "0";

/// What a full cut saw of an object.
#[derive(Debug, Clone)]
pub(super) struct First {
    pub as_of: Timestamp,
    pub highest: Option<Box<str>>,
    pub scn_max: Option<u64>,
}

/// How far one lane's hints of one object have read.
#[derive(Debug, Clone)]
pub(super) struct Reach {
    fast: Timestamp,
    sweep: Timestamp,
    tail: Tail,
    scn: u64,
    /// Next day of each window.
    near: u32,
    far: u32,
}

impl Reach {
    fn new(first: &First) -> Reach {
        let tail = Tail { highest: first.highest.clone(), before: None };
        let scn = first.scn_max.unwrap_or(0);
        Reach { fast: first.as_of, sweep: first.as_of, tail, scn, near: 0, far: 0 }
    }

    /// What to ask; `None`: nothing.
    fn ask(&self, poll: Poll, settings: &Settings, now: Timestamp) -> Option<Ask> {
        let day = |day: u32| {
            let from = now.plus_ms(i64::from(day) * DAY_MS - of_day_ms(now));
            Ask::Window { from, until: from.plus_ms(DAY_MS) }
        };
        let far_days = settings.far_days.saturating_sub(settings.near_days);
        match poll {
            Poll::Fast => Some(Ask::Since(self.fast.plus_ms(-settings.fast_overlap_ms))),
            Poll::Sweep => Some(Ask::Since(self.sweep.plus_ms(-settings.sweep_overlap_ms))),
            Poll::Tail => Some(Ask::Tail(self.tail.from(settings.tail_overlap))),
            Poll::Scn => Some(Ask::Scn(self.scn)),
            Poll::Near => self.near.checked_rem(settings.near_days).map(day),
            Poll::Far => self.far.checked_rem(far_days).map(|far| day(settings.near_days + far)),
            Poll::Full | Poll::Hot | Poll::Persons => None,
        }
    }

    fn advance(&mut self, poll: Poll, report: &Report) {
        match poll {
            Poll::Fast => self.fast = report.as_of,
            Poll::Sweep => self.sweep = report.as_of,
            Poll::Tail => report.highest.iter().for_each(|key| self.tail.see(key)),
            Poll::Scn => self.scn = self.scn.max(report.scn_max.unwrap_or(0)),
            Poll::Near => self.near = self.near.wrapping_add(1),
            Poll::Far => self.far = self.far.wrapping_add(1),
            Poll::Full | Poll::Hot | Poll::Persons => {}
        }
    }
}

enum Ask {
    Since(Timestamp),
    Tail(String),
    Window { from: Timestamp, until: Timestamp },
    Scn(u64),
}

impl Ask {
    fn hint(&self) -> Hint<'_> {
        match self {
            Ask::Since(since) => Hint::Since(*since),
            Ask::Tail(from) => Hint::Tail(from),
            Ask::Window { from, until } => Hint::Window { from: *from, until: *until },
            Ask::Scn(mark) => Hint::Scn(*mark),
        }
    }
}

/// The end of a sequence of keys that end in a number of constant width.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Tail {
    highest: Option<Box<str>>,
    /// The highest of the prefix before: where numbers begin anew each day, late ones of yesterday are below all of
    /// today's.
    before: Option<Box<str>>,
}

impl Tail {
    fn see(&mut self, key: &str) {
        let Some(highest) = &self.highest else {
            self.highest = Some(Box::from(key));
            return;
        };
        if is_later(key, highest) {
            let is_new_prefix = parts(key).0 != parts(highest).0;
            let before = self.highest.replace(Box::from(key));
            if is_new_prefix {
                self.before = before;
            }
        }
    }

    /// The key that is `overlap` numbers below the highest.
    fn from(&self, overlap: u64) -> String {
        let Some(highest) = &self.highest else { return KEY_FIRST.to_owned() };
        match (lowered(highest, overlap), &self.before) {
            (Ok(key), _) => key,
            (Err((_, missing)), Some(before)) => lowered(before, missing).unwrap_or_else(|(lowest, _)| lowest),
            (Err((lowest, _)), None) => lowest,
        }
    }
}

/// `key` less `by`; where its number is smaller, the lowest key of its prefix and what is missing.
fn lowered(key: &str, by: u64) -> Result<String, (String, u64)> {
    let (prefix, digits) = parts(key);
    let Ok(number) = digits.parse::<u64>() else { return Ok(key.to_owned()) };
    let width = digits.len();
    match number.checked_sub(by) {
        Some(number) => Ok(format!("{prefix}{number:0width$}")),
        None => Err((format!("{prefix}{:0width$}", 0), by - number)),
    }
}

fn parts(key: &str) -> (&str, &str) {
    let digits = key.bytes().rev().take(DIGITS_MAX).take_while(u8::is_ascii_digit).count();
    key.split_at(key.len() - digits)
}

/// In the order in which keys are given out. Texts compare as they stand; plain numbers of other lengths by value.
pub(super) fn is_later(key: &str, than: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match key.len() == than.len() || !(is_number(key) && is_number(than)) {
        true => key > than,
        false => key.len() > than.len(),
    }
}

impl Lane {
    /// One poll of one hint. `None`: nothing to read yet, because no full cut of this process covered the object.
    pub fn hint(
        &mut self,
        poll: Poll,
        object: &ObjectName,
        reader: &mut dyn LegacyRead,
    ) -> Result<Option<Report>, CaptureError> {
        let capture = self.capture.clone();
        let begun = (capture.clock.now(), Instant::now());
        let plan = capture.plan(object.as_str()).ok_or_else(|| CaptureError::Unknown { object: object.to_string() })?;
        if poll == Poll::Hot {
            let keys = capture.hot_keys.as_ref().map(|keys| keys()).unwrap_or_default();
            let is_ready = !keys.is_empty() && locked(&capture.firsts).contains_key(object);
            return if is_ready { self.hot(&keys, reader).map(Some) } else { Ok(None) };
        }
        let Some(ask) = self.reach(object).and_then(|reach| reach.ask(poll, &capture.settings, begun.0)) else {
            return Ok(None);
        };
        let lag = if poll.sees_all_changes() { capture.read_lag(reader) } else { Ok(()) };
        let asked = |layout: &crate::mapping::Layout, sink: &mut crate::legacy::RowSink<'_>| {
            reader.hinted(layout, &ask.hint(), sink)
        };
        let applied = lag.and_then(|()| self.hinted(poll, plan, asked));
        let report = applied.inspect_err(|_| capture.count_failure(poll, std::slice::from_ref(object)))?;
        if let Some(reach) = self.reach(object) {
            reach.advance(poll, &report);
        }
        let (_, last) = capture.deliver(Scope::Rows)?;
        capture.mark(std::slice::from_ref(object), begun.0, last, poll);
        capture.count(poll, &report, &[counts(object, &report)], begun.1);
        Ok(Some(report))
    }

    /// The hint over every object that it is set for. `None`: nothing to read yet.
    pub fn changes(&mut self, poll: Poll, reader: &mut dyn LegacyRead) -> Result<Option<Report>, CaptureError> {
        let capture = self.capture.clone();
        let mut total = None;
        for plan in capture.plans.iter().filter(|plan| capture.settings.polls_of(plan).any(|of| of == poll)) {
            if let Some(report) = self.hint(poll, &plan.layout.object, reader)? {
                total = Some(sum(total, report));
            }
        }
        Ok(total)
    }

    /// The `hot_set` hint: slots by key. A key without a row is left to the next full cut.
    pub fn hot(&mut self, keys: &[SlotKey], reader: &mut dyn LegacyRead) -> Result<Report, CaptureError> {
        let capture = self.capture.clone();
        let begun = Instant::now();
        let plan = capture.plan("slot").ok_or_else(|| CaptureError::Unknown { object: String::from("slot") })?;
        let object = &plan.layout.object;
        let mut total = None;
        for keys in keys.chunks(KEYS_MAX).take(KEY_ROUNDS_MAX) {
            let keys: Vec<&str> = keys.iter().map(SlotKey::as_str).collect();
            let applied = self.hinted(Poll::Hot, plan, |layout, sink| reader.hinted(layout, &Hint::Keys(&keys), sink));
            let report = applied.inspect_err(|_| capture.count_failure(Poll::Hot, std::slice::from_ref(object)))?;
            total = Some(sum(total, report));
        }
        capture.deliver(Scope::Rows)?;
        let report = total.unwrap_or_default();
        capture.count(Poll::Hot, &report, &[counts(object, &report)], begun);
        Ok(report)
    }

    fn reach(&mut self, object: &ObjectName) -> Option<&mut Reach> {
        if !self.reach.contains_key(object) {
            let first = Reach::new(locked(&self.capture.firsts).get(object)?);
            self.reach.insert(object.clone(), first);
        }
        self.reach.get_mut(object)
    }
}

fn counts(object: &ObjectName, report: &Report) -> Counts {
    Counts { object: object.clone(), changed: report.changed, gone: report.gone }
}

impl Capture {
    /// Should a quicker poll of the object have seen what this one found?
    pub(super) fn is_late(&self, poll: Poll, object: &ObjectName) -> bool {
        let Some(plan) = self.plan(object.as_str()) else { return false };
        let mut others = self.settings.polls_of(plan);
        match poll {
            Poll::Full => locked(&self.firsts).contains_key(object) && others.any(Poll::sees_all_changes),
            Poll::Sweep => others.any(|other| other == Poll::Fast),
            _ => false,
        }
    }

    pub(super) fn cut_through(&self, firsts: Vec<(ObjectName, First)>) {
        let mut known = locked(&self.firsts);
        for (object, first) in firsts {
            known.entry(object).or_insert(first);
        }
    }

    /// The plans that have hints, what others name first.
    pub(super) fn hinted_plans(&self) -> Vec<&Plan> {
        let mut plans: Vec<&Plan> = self.plans.iter().collect();
        plans.sort_by_key(|plan| plan.kind.rank());
        plans
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_begins_so_many_numbers_below_the_highest_key() {
        for (highest, overlap, from) in [
            ("R0000012345", 2_000, "R0000010345"),
            ("R0000012345", 12_345, "R0000000000"),
            ("R0000000045", 2_000, "R0000000000"),
            ("20261122000010", 2_000, "20261121998010"),
            ("R9999999999", 0, "R9999999999"),
            ("A-B", 10, "A-B"),
            ("R00000000000000000000000000001", 1, "R00000000000000000000000000000"),
        ] {
            let tail = Tail { highest: Some(Box::from(highest)), before: None };
            assert_eq!(tail.from(overlap), from, "{highest} less {overlap}");
        }
        assert_eq!(Tail::default().from(5), "0");
    }

    #[test]
    fn a_tail_reaches_into_the_prefix_before() {
        let mut tail = Tail::default();
        for key in ["D1122-0500", "D1122-0499", "D1123-0003"] {
            tail.see(key);
        }
        assert_eq!(tail.from(10), "D1122-0493");
        assert_eq!(tail.from(3), "D1123-0000");
        tail.see("D1123-0040");
        assert_eq!(tail.from(10), "D1123-0030");
    }

    #[test]
    fn keys_are_ordered_as_they_are_given_out() {
        assert!(is_later("R10", "R09") && is_later("10", "9") && !is_later("9", "10") && is_later("S1", "R999"));
    }
}
