//! What an observer can tell apart: the partition of a column's values that its fields make together.
//!
//! Two values are in one class if no field and no filter tells them apart. A version tells at most as much as another
//! when it lets no further value through and every value that it lets through hides among at least the same others.
//! Tables let only their keys through (another value keeps its row back); so a key less can tell more: those that are
//! left may stand alone.
//!
//! Not compared value by value where values are without end: whole numbers and instants are told apart by cuts, and one
//! set of cuts holds another or not. Where the answer would need more work than a table is long it is no, which makes a
//! change 확대.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::mapping::Transform;

type Pairs = BTreeMap<Arc<str>, Arc<str>>;
type Values = BTreeSet<Arc<str>>;

/// How one field tells the values of its column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum View {
    Exact,
    Cuts(Cuts),
    /// Keys of a table and what they become; other values keep their row back.
    Pairs(Pairs),
}

/// Places on a number line between `n − 1` and `n`, named by `n`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cuts {
    /// At every multiple.
    steps: BTreeSet<i64>,
    /// At every number of these, both ends in.
    ranges: Vec<(i64, i64)>,
}

/// How long an uncovered stretch of cuts is looked at, number by number.
const STRETCH_MAX: i128 = 10_000;

impl View {
    /// Of a transform that tells something about the value itself; tokens and constants do not.
    pub fn of(transform: &Transform, pairs: Option<Pairs>) -> Option<View> {
        Some(match transform {
            Transform::Keep { .. } => View::Exact,
            Transform::Enum { .. } | Transform::Lookup { .. } | Transform::Generalize { .. } => View::Pairs(pairs?),
            // Below the first edge stands the first label: that edge cuts nothing.
            Transform::Bucket { edges, .. } => View::Cuts(Cuts::at(edges.get(1..).unwrap_or_default())),
            Transform::RoundTime { step_ms: step } | Transform::RoundNum { step } if *step > 1 => {
                View::Cuts(Cuts { steps: BTreeSet::from([*step]), ranges: Vec::new() })
            }
            Transform::RoundTime { .. } | Transform::RoundNum { .. } => View::Exact,
            Transform::TopBottom { low, high } => {
                View::Cuts(Cuts { steps: BTreeSet::new(), ranges: vec![(low.saturating_add(1), *high)] })
            }
            Transform::Drop | Transform::Const { .. } | Transform::TokenRandom { .. } | Transform::PersonToken => {
                return None;
            }
        })
    }
}

impl Cuts {
    pub fn at(places: &[i64]) -> Cuts {
        Cuts { steps: BTreeSet::new(), ranges: places.iter().map(|n| (*n, *n)).collect() }
    }

    fn has(&self, n: i64) -> bool {
        self.steps.iter().any(|step| n % step == 0) || self.ranges.iter().any(|(low, high)| (*low..=*high).contains(&n))
    }

    /// Is there a cut between the two, `low < high`?
    fn separates(&self, low: i64, high: i64) -> bool {
        self.steps.iter().any(|step| low.div_euclid(*step) != high.div_euclid(*step))
            || self.ranges.iter().any(|(from, to)| *from <= high && *to > low && from <= to)
    }

    fn holds(&self, other: &Cuts) -> bool {
        other.steps.iter().all(|step| self.steps.iter().any(|own| step % own == 0))
            && other.ranges.iter().all(|(low, high)| self.covers(*low, *high))
    }

    fn covers(&self, low: i64, high: i64) -> bool {
        let (mut at, high) = (i128::from(low), i128::from(high));
        let mut looked = 0;
        while at <= high {
            let Ok(n) = i64::try_from(at) else { return false };
            let reach = self.ranges.iter().filter(|(from, to)| (*from..=*to).contains(&n)).map(|(_, to)| *to).max();
            match reach {
                Some(to) => at = i128::from(to) + 1,
                None if looked < STRETCH_MAX && self.has(n) => {
                    at += 1;
                    looked += 1;
                }
                None => return false,
            }
        }
        true
    }

    fn join(&mut self, other: &Cuts) {
        self.steps.extend(&other.steps);
        self.ranges.extend(&other.ranges);
    }
}

/// What is told of one column: every view of it, among the values that filters let pass.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    exact: bool,
    cuts: Cuts,
    pairs: Vec<Pairs>,
    is_told: bool,
    /// None: every value.
    passing: Option<Values>,
}

impl Told {
    pub fn by<'v>(views: impl IntoIterator<Item = &'v View>, filter: Option<&Values>) -> Told {
        let mut told = Told { passing: filter.cloned(), ..Told::default() };
        for view in views {
            told.is_told = true;
            match view {
                View::Exact => told.exact = true,
                View::Cuts(cuts) => told.cuts.join(cuts),
                View::Pairs(pairs) => {
                    told.pairs.push(pairs.clone());
                    let passes = |value: &Arc<str>| pairs.contains_key(value);
                    told.passing = Some(match told.passing.take() {
                        None => pairs.keys().cloned().collect(),
                        Some(passing) => passing.into_iter().filter(passes).collect(),
                    });
                }
            }
        }
        told
    }

    /// Does every value stand alone?
    pub fn is_exact(&self) -> bool {
        match &self.passing {
            _ if self.exact => true,
            None => false,
            Some(passing) => {
                let classes: BTreeSet<usize> = self.classes(passing).into_values().collect();
                self.is_told && classes.len() == passing.len()
            }
        }
    }

    /// Does it tell at most what `other` does?
    pub fn is_at_most(&self, other: &Told) -> bool {
        match (&self.passing, &other.passing) {
            (None, Some(_)) => false,
            (None, None) => self.has_no_further_cut(other),
            (Some(own), Some(wider)) => own.is_subset(wider) && self.hides_as_many(own, other, wider),
            (Some(own), None) => self.hides_all_neighbours(own, other),
        }
    }

    /// Both let every value pass, so neither has a table.
    fn has_no_further_cut(&self, other: &Told) -> bool {
        // Any view tells at least an empty value from a full one.
        let empties = !self.is_told || other.is_told;
        empties && (other.exact || (!self.exact && other.cuts.holds(&self.cuts)))
    }

    fn hides_as_many(&self, own: &Values, other: &Told, wider: &Values) -> bool {
        let (mine, theirs) = (self.classes(own), other.classes(wider));
        // Of every class of theirs: where its values are now. All gone or all together, never apart.
        let mut now: BTreeMap<usize, Option<usize>> = BTreeMap::new();
        theirs.iter().all(|(value, class)| {
            let here = mine.get(value).copied();
            *now.entry(*class).or_insert(here) == here
        })
    }

    fn hides_all_neighbours(&self, own: &Values, other: &Told) -> bool {
        if own.is_empty() || other.exact {
            return true;
        }
        if !other.is_told {
            return false;
        }
        let mine = self.classes(own);
        let stays = |value: i64, class: usize| mine.get(value.to_string().as_str()) == Some(&class);
        mine.iter().all(|(value, class)| {
            let Some(n) = number(value) else { return false };
            // Ends after at most as many steps as there are values: each must pass.
            let mut low = n;
            while !other.cuts.has(low) {
                low = low.saturating_sub(1);
                if low == i64::MIN || !stays(low, *class) {
                    return false;
                }
            }
            let mut next = n.saturating_add(1);
            while !other.cuts.has(next) {
                if next == i64::MAX || !stays(next, *class) {
                    return false;
                }
                next = next.saturating_add(1);
            }
            true
        })
    }

    /// The class of each value. Numbers compare as numbers, every other text stands for itself.
    fn classes(&self, values: &Values) -> BTreeMap<Arc<str>, usize> {
        let mut stretch: BTreeMap<i64, usize> = values.iter().filter_map(|v| Some((number(v)?, 0))).collect();
        let (mut last, mut at) = (None, 0);
        for (n, place) in &mut stretch {
            at += usize::from(last.is_some_and(|last| self.cuts.separates(last, *n)));
            (*place, last) = (at, Some(*n));
        }
        type Seen<'a> = (Option<usize>, Vec<Option<&'a Arc<str>>>);
        let mut known: BTreeMap<Seen<'_>, usize> = BTreeMap::new();
        let mut classes = BTreeMap::new();
        for value in values {
            let is_cut = number(value).is_none() && self.cuts != Cuts::default();
            let alone = (self.exact || is_cut).then_some(value);
            let signs: Vec<Option<&Arc<str>>> =
                std::iter::once(alone).chain(self.pairs.iter().map(|pairs| pairs.get(value))).collect();
            let place = number(value).and_then(|n| stretch.get(&n).copied());
            let next = known.len();
            classes.insert(value.clone(), *known.entry((place, signs)).or_insert(next));
        }
        classes
    }
}

/// As the bridge writes a whole number.
fn number(text: &str) -> Option<i64> {
    text.parse::<i64>().ok().filter(|n| n.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(cuts: &[i64]) -> Told {
        Told::by([&View::Cuts(Cuts::at(cuts))], None)
    }

    fn table(pairs: &[(&str, &str)]) -> Told {
        let pairs = pairs.iter().map(|(from, to)| (Arc::from(*from), Arc::from(*to))).collect();
        Told::by([&View::Pairs(pairs)], None)
    }

    #[test]
    fn a_bucket_is_ordered_by_its_cuts() {
        assert!(bucket(&[5]).is_at_most(&bucket(&[1, 5])) && !bucket(&[1, 5]).is_at_most(&bucket(&[5])));
        assert!(!bucket(&[4]).is_at_most(&bucket(&[1, 5])) && !bucket(&[1, 5]).is_at_most(&bucket(&[4])));
    }

    #[test]
    fn rounding_refines_by_divisors_and_clamping_by_ranges() {
        let round = |step| Told::by([&View::of(&Transform::RoundNum { step }, None).unwrap()], None);
        let clamp = |low, high| Told::by([&View::of(&Transform::TopBottom { low, high }, None).unwrap()], None);
        assert!(
            round(10).is_at_most(&round(5)) && !round(5).is_at_most(&round(10)) && !round(10).is_at_most(&round(4))
        );
        assert!(clamp(2, 5).is_at_most(&clamp(0, 9)) && !clamp(2, 10).is_at_most(&clamp(0, 9)));
        assert!(bucket(&[10, 20]).is_at_most(&round(10)) && !round(10).is_at_most(&bucket(&[10, 20])));
        assert!(bucket(&[3, 4]).is_at_most(&clamp(2, 4)) && bucket(&[]).is_at_most(&round(7)));
        assert!(round(1).is_exact() && clamp(2, 4).is_at_most(&round(1)));
    }

    #[test]
    fn two_coarse_fields_refine_each_other() {
        let views = [View::Cuts(Cuts::at(&[5])), View::Cuts(Cuts::at(&[7]))];
        assert!(
            bucket(&[5, 7]).is_at_most(&Told::by(&views, None)) && !Told::by(&views, None).is_at_most(&bucket(&[5]))
        );
    }

    #[test]
    fn who_loses_its_company_is_told() {
        let both = table(&[("A", "x"), ("B", "x"), ("C", "y")]);
        assert!(!table(&[("A", "x"), ("C", "y")]).is_at_most(&both), "A stands alone now");
        assert!(table(&[("A", "x"), ("B", "x")]).is_at_most(&both), "a class left as a whole");
        assert!(!both.is_at_most(&table(&[("A", "x"), ("B", "x")])), "another value passes");
        assert!(table(&[("A", "z"), ("B", "z"), ("C", "z")]).is_at_most(&both));
        assert!(table(&[("A", "1"), ("B", "2")]).is_exact() && !both.is_exact());
    }

    #[test]
    fn a_filter_on_what_was_not_told_tells() {
        let some: Values = [Arc::from("A")].into();
        let untold = Told::by([], None);
        assert!(!Told::by([], Some(&some)).is_at_most(&untold) && !untold.is_at_most(&Told::by([], Some(&some))));
        assert!(Told::by([&View::Exact], Some(&some)).is_at_most(&Told::by([&View::Exact], None)));
        let (five, six): (Values, Values) = ([Arc::from("5")].into(), [Arc::from("5"), Arc::from("6")].into());
        assert!(
            Told::by([], Some(&six)).is_at_most(&bucket(&[5, 7]))
                && !Told::by([], Some(&five)).is_at_most(&bucket(&[5, 7]))
        );
    }

    #[test]
    fn the_ends_of_the_number_line_end() {
        let clamp = |low, high| Told::by([&View::of(&Transform::TopBottom { low, high }, None).unwrap()], None);
        assert!(
            !clamp(i64::MIN, i64::MAX).is_at_most(&clamp(0, 9)) && clamp(0, 9).is_at_most(&clamp(i64::MIN, i64::MAX))
        );
        let ends: Values = [Arc::from(i64::MAX.to_string()), Arc::from(i64::MIN.to_string())].into();
        assert!(!Told::by([], Some(&ends)).is_at_most(&bucket(&[0])));
    }
}
