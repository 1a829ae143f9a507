//! The gate against a slow oracle that groups rows in maps, on random data; differencing build by build.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::mapping::Table;
use crate::mapping::feed_mapping::SmallCell;

/// A row as the oracle has it.
#[derive(Debug, Clone)]
struct Plain {
    labels: Vec<u32>,
    quasi: Vec<u32>,
    reason: u32,
}

#[derive(Debug, Clone)]
struct Data {
    axes: Vec<LabelAxis>,
    quasi: Vec<u32>,
    reasons: u32,
    rows: Vec<Plain>,
    rule: Rule,
}

impl Data {
    fn shape(&self) -> Arc<Shape> {
        Arc::new(Shape::new(self.axes.clone(), self.quasi.clone(), self.reasons).unwrap())
    }

    fn rows(&self, shape: &Shape) -> Vec<Row> {
        self.rows.iter().map(|row| shape.row(&row.labels, &row.quasi, row.reason).unwrap()).collect()
    }

    fn gate(&self) -> Gate {
        let shape = self.shape();
        let mut cube = Cube::new(shape.clone());
        cube.count(self.rows(&shape)).unwrap();
        cube.gate(&self.rule)
    }
}

fn axis(name: &'static str) -> impl Strategy<Value = LabelAxis> {
    // A coarser value stands after its finer ones: no value goes round.
    prop::collection::vec(prop::option::of(1u32..4), 1..7).prop_map(move |ups| {
        let size = ups.len() as u32;
        let up = |(at, up): (u32, &Option<u32>)| up.map(|up| at + up).filter(|up| *up < size);
        LabelAxis {
            field: name.to_owned(),
            values: (0..size).map(|at| format!("{name}{at}")).collect(),
            coarser: (0..size).zip(&ups).map(up).collect(),
        }
    })
}

fn rule() -> impl Strategy<Value = Rule> {
    let small = prop::sample::select(vec![SmallCell::Suppress, SmallCell::Generalize, SmallCell::Halt]);
    (1u32..9, small, 40u32..=80, 0u32..=100).prop_map(|(k_min, small_cell, homogeneity, suppressed)| Rule {
        k_min,
        small_cell,
        homogeneity_percent_max: homogeneity,
        suppressed_percent_max: suppressed,
    })
}

fn data() -> impl Strategy<Value = Data> {
    let axes = prop_oneof![
        Just(Vec::new()),
        axis("a").prop_map(|a| vec![a]),
        (axis("a"), axis("b")).prop_map(|(a, b)| vec![a, b]),
    ];
    (axes, prop::collection::vec(1u32..4, 0..3), 1u32..5).prop_flat_map(|(axes, quasi, reasons)| {
        let labels: Vec<_> = axes.iter().map(|axis| 0..axis.values.len() as u32).collect();
        let known: Vec<_> = quasi.iter().map(|size| 0..*size).collect();
        let row = (labels, known, 0..reasons).prop_map(|(labels, quasi, reason)| Plain { labels, quasi, reason });
        (prop::collection::vec(row, 0..200), rule()).prop_map(move |(rows, rule)| Data {
            axes: axes.clone(),
            quasi: quasi.clone(),
            reasons,
            rows,
            rule,
        })
    })
}

/// What should have come out, by maps and by rows.
struct Oracle {
    /// Label that each row leaves under.
    labels: Vec<Option<Vec<u32>>>,
    groups: BTreeMap<(Vec<u32>, Vec<u32>), u64>,
}

impl Oracle {
    fn of(data: &Data) -> Oracle {
        let mut labels: Vec<Option<Vec<u32>>> = data.rows.iter().map(|row| Some(row.labels.clone())).collect();
        let k_min = u64::from(data.rule.k_min);
        if data.rule.small_cell == SmallCell::Generalize {
            for left in (1..=LADDER_MAX).rev() {
                let groups = Oracle::groups(data, &labels);
                for (row, label) in data.rows.iter().zip(&mut labels) {
                    let is_small = label.as_ref().is_some_and(|label| {
                        Oracle::left(data, label) == left && groups[&(label.clone(), row.quasi.clone())] < k_min
                    });
                    if is_small {
                        *label = label.take().map(|label| Oracle::up(data, &label));
                    }
                }
            }
        }
        if data.rule.small_cell != SmallCell::Halt {
            let groups = Oracle::groups(data, &labels);
            for (row, label) in data.rows.iter().zip(&mut labels) {
                *label = label.take().filter(|label| groups[&(label.clone(), row.quasi.clone())] >= k_min);
            }
        }
        Oracle { groups: Oracle::groups(data, &labels), labels }
    }

    fn groups(data: &Data, labels: &[Option<Vec<u32>>]) -> BTreeMap<(Vec<u32>, Vec<u32>), u64> {
        let mut groups = BTreeMap::new();
        for (row, label) in data.rows.iter().zip(labels) {
            if let Some(label) = label {
                *groups.entry((label.clone(), row.quasi.clone())).or_default() += 1;
            }
        }
        groups
    }

    /// Levels above: of the field that has most.
    fn left(data: &Data, label: &[u32]) -> usize {
        let above = |(code, axis): (&u32, &LabelAxis)| {
            std::iter::successors(Some(*code), |at| axis.coarser[*at as usize]).count() - 1
        };
        label.iter().zip(&data.axes).map(above).max().unwrap_or(0)
    }

    fn up(data: &Data, label: &[u32]) -> Vec<u32> {
        label.iter().zip(&data.axes).map(|(code, axis)| axis.coarser[*code as usize].unwrap_or(*code)).collect()
    }

    fn histogram(&self) -> BTreeMap<u64, u64> {
        let mut histogram = BTreeMap::new();
        self.groups.values().for_each(|size| *histogram.entry(*size).or_default() += 1);
        histogram
    }

    fn k_label(&self) -> Option<u64> {
        let mut sums: BTreeMap<&Vec<u32>, u64> = BTreeMap::new();
        self.groups.iter().for_each(|((label, _), size)| *sums.entry(label).or_default() += size);
        sums.into_values().min()
    }

    /// Field and value → rows, distinct reasons, rows of the largest.
    fn reasons(&self, data: &Data) -> BTreeMap<(String, String), (u64, u32, u64)> {
        let mut behind: BTreeMap<(String, String), BTreeMap<u32, u64>> = BTreeMap::new();
        for (row, label) in data.rows.iter().zip(&self.labels) {
            let Some(label) = label else { continue };
            let texts: Vec<&str> =
                label.iter().zip(&data.axes).map(|(code, axis)| axis.values[*code as usize].as_str()).collect();
            let fields: Vec<&str> = data.axes.iter().map(|axis| axis.field.as_str()).collect();
            let mut names: BTreeSet<(String, String)> =
                fields.iter().zip(&texts).map(|(field, text)| ((*field).to_owned(), (*text).to_owned())).collect();
            if fields.len() > 1 {
                names.insert((fields.join(" + "), texts.join(" + ")));
            }
            for name in names {
                *behind.entry(name).or_default().entry(row.reason).or_default() += 1;
            }
        }
        let figures = |reasons: BTreeMap<u32, u64>| {
            (reasons.values().sum(), reasons.len() as u32, reasons.values().copied().max().unwrap_or(0))
        };
        behind.into_iter().map(|(name, reasons)| (name, figures(reasons))).collect()
    }
}

fn codes(halts: &[Halt]) -> Vec<&'static str> {
    halts.iter().map(Halt::code).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn decisions_and_figures_are_those_of_a_count_in_maps(data in data()) {
        let (gate, oracle, shape) = (data.gate(), Oracle::of(&data), data.shape());
        for ((row, plain), label) in data.rows(&shape).into_iter().zip(&data.rows).zip(&oracle.labels) {
            let expected = match label {
                None => Decision::Suppress,
                Some(label) if *label == plain.labels => Decision::Publish,
                Some(label) => Decision::Generalise { label: shape.row(label, &plain.quasi, 0).unwrap().label },
            };
            prop_assert_eq!(gate.decision(row), expected, "{:?}", plain);
        }
        let report = gate.report("p.x", 3, None);
        let left = oracle.labels.iter().flatten().count() as u64;
        let all = data.rows.len() as u64;
        let moved = data.rows.iter().zip(&oracle.labels).filter(|(row, label)| {
            label.as_ref().is_some_and(|label| *label != row.labels)
        });
        prop_assert_eq!((report.persons, report.rows, report.suppressed), (all, left, all - left));
        prop_assert_eq!(report.generalised, moved.count() as u64);
        prop_assert_eq!(&report.histogram, &oracle.histogram());
        prop_assert_eq!(report.k_smallest, oracle.groups.values().copied().min());
        prop_assert_eq!(report.k_label, oracle.k_label());
        let under = oracle.groups.values().filter(|size| **size < u64::from(data.rule.k_min));
        prop_assert_eq!(report.rows_under_k, under.sum::<u64>());
        let told: BTreeMap<(String, String), (u64, u32, u64)> = report.labels.iter()
            .map(|label| ((label.field.clone(), label.value.clone()), (label.rows, label.reasons, label.largest_reason_rows)))
            .collect();
        prop_assert_eq!(told.len(), report.labels.len());
        let reasons = oracle.reasons(&data);
        prop_assert_eq!(&told, &reasons);
        let most = u64::from(data.rule.homogeneity_percent_max);
        let mut halts = Vec::new();
        if report.rows_under_k > 0 {
            halts.push("small_cells");
        }
        if (all - left) * 100 > all * u64::from(data.rule.suppressed_percent_max) {
            halts.push("suppressed");
        }
        if reasons.values().any(|(rows, reasons, largest)| *reasons < 2 || largest * 100 > rows * most) {
            halts.push("homogeneous");
        }
        prop_assert_eq!(codes(gate.halts()), halts);
    }

    #[test]
    fn nobody_leaves_in_a_group_under_k_min_unless_the_gate_halts(data in data()) {
        let (gate, shape) = (data.gate(), data.shape());
        let mut groups: BTreeMap<(u32, u32), u32> = BTreeMap::new();
        for row in data.rows(&shape) {
            match gate.decision(row) {
                Decision::Publish => *groups.entry((row.label, row.quasi)).or_default() += 1,
                Decision::Generalise { label } => *groups.entry((label, row.quasi)).or_default() += 1,
                Decision::Suppress => {}
            }
        }
        let has_small = groups.values().any(|size| *size < data.rule.k_min);
        prop_assert_eq!(has_small, codes(gate.halts()).contains(&"small_cells"));
        let left: Vec<u32> = gate.cells().counts().iter().copied().filter(|count| *count > 0).collect();
        prop_assert_eq!(left.len(), groups.len());
    }

    #[test]
    fn the_order_of_rows_and_counting_them_in_heaps_change_nothing(data in data()) {
        let shape = data.shape();
        let mut heaps: BTreeMap<(u32, u32, u32), u32> = BTreeMap::new();
        for row in data.rows(&shape).iter().rev() {
            *heaps.entry((row.label, row.quasi, row.reason)).or_default() += 1;
        }
        let mut cube = Cube::new(shape);
        for ((label, quasi, reason), rows) in heaps {
            cube.add(Row { label, quasi, reason }, rows).unwrap();
        }
        let (one, other) = (data.gate(), cube.gate(&data.rule));
        prop_assert_eq!(one.report("p.x", 1, None), other.report("p.x", 1, None));
        prop_assert_eq!(one.cells(), other.cells());
    }

    #[test]
    fn listing_the_combinations_that_occur_changes_no_figure(data in data()) {
        let combinations: Vec<Vec<u32>> = data.rows.iter().map(|row| row.labels.clone()).collect();
        let listed = Shape::of_combinations(data.axes.clone(), combinations, data.quasi.clone(), data.reasons).unwrap();
        let listed = Arc::new(listed);
        let mut cube = Cube::new(listed.clone());
        cube.count(data.rows(&listed)).unwrap();
        let (one, other) = (data.gate(), cube.gate(&data.rule));
        let sorted = |gate: &Gate| {
            let mut report = gate.report("p.x", 1, None);
            report.labels.sort_by(|a, b| (&a.field, &a.value).cmp(&(&b.field, &b.value)));
            report
        };
        prop_assert_eq!(sorted(&one), sorted(&other));
        let difference = Difference::between(one.cells(), other.cells(), 1_000).unwrap();
        prop_assert!(difference.changes().is_empty() && difference.vanished() == 0);
    }

    #[test]
    fn only_changes_of_nobody_or_of_enough_pass(
        builds in prop::collection::vec(prop::collection::vec(0u32..30, 6), 1..8),
        k_min in 1u32..12,
    ) {
        let shape = plain_shape(&["x", "y", "z"], 2);
        let mut standing = Cells::empty(shape.clone());
        for counts in builds {
            let after = Cells::new(shape.clone(), counts.clone());
            let difference = Difference::between(&standing, &after, k_min).unwrap();
            for (at, (was, is)) in standing.counts().iter().zip(&counts).enumerate() {
                let (label, quasi) = (at as u32 / 2, at as u32 % 2);
                let grew_little = is > was && is - was < k_min;
                let shrank_little = was > is && was - is < k_min;
                prop_assert_eq!(difference.is_held(label, quasi), grew_little);
                prop_assert_eq!(difference.changes().contains_key(&(at as u32)), grew_little || shrank_little);
                let stands = difference.settled().counts()[at];
                prop_assert_eq!(stands, if grew_little { *was } else { *is });
                prop_assert!(stands <= *was || stands - was >= k_min, "few came to light");
            }
            standing = difference.settled().clone();
        }
    }
}

fn plain_shape(values: &[&str], quasi: u32) -> Arc<Shape> {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    Arc::new(Shape::new(vec![LabelAxis::plain("window", values)], vec![quasi], 3).unwrap())
}

const RULE: Rule =
    Rule { k_min: 20, small_cell: SmallCell::Suppress, homogeneity_percent_max: 80, suppressed_percent_max: 5 };

fn gate(shape: &Arc<Shape>, rule: &Rule, rows: &[(u32, u32, u32, u32)]) -> Gate {
    let mut cube = Cube::new(shape.clone());
    for (label, quasi, reason, rows) in rows {
        cube.add(Row { label: *label, quasi: *quasi, reason: *reason }, *rows).unwrap();
    }
    cube.gate(rule)
}

#[test]
fn additions_too_few_wait_until_they_are_enough_together() {
    let shape = plain_shape(&["x"], 1);
    let of = |rows: u32| gate(&shape, &RULE, &[(0, 0, 0, rows / 2), (0, 0, 1, rows - rows / 2)]).cells().clone();
    let first = Difference::between(&Cells::empty(shape.clone()), &of(100), 20).unwrap();
    assert!(first.changes().is_empty());
    let second = Difference::between(first.settled(), &of(112), 20).unwrap();
    assert_eq!((second.is_held(0, 0), second.held_rows()), (true, 12));
    assert_eq!(second.changes()[&0], Change::Held { rows: 12 });
    let third = Difference::between(second.settled(), &of(121), 20).unwrap();
    assert_eq!((third.is_held(0, 0), third.held_rows()), (false, 0), "12 and 9 are 21");
    let fourth = Difference::between(third.settled(), &of(120), 20).unwrap();
    assert_eq!(fourth.changes()[&0], Change::Flagged { rows: 1 });
    assert!(!fourth.is_held(0, 0), "who goes does not wait");
    let report = gate(&shape, &RULE, &[(0, 0, 0, 60), (0, 0, 1, 60)]).report("p.x", 1, Some(&second));
    assert_eq!((report.held, report.changed_under_k), (12, 1));
}

#[test]
fn a_later_build_finds_its_labels_by_their_text() {
    let (old, new) = (plain_shape(&["x", "y", "gone"], 1), plain_shape(&["y", "new", "x"], 2));
    let before = Cells::new(old, vec![30, 40, 5]);
    let after = Cells::new(new, vec![40, 0, 25, 0, 31, 0]);
    let difference = Difference::between(&before, &after, 20).unwrap();
    assert_eq!(difference.changes().iter().collect::<Vec<_>>(), [(&4, &Change::Held { rows: 1 })]);
    assert_eq!(difference.vanished(), 1);
    let other = Arc::new(Shape::new(vec![LabelAxis::plain("cohort", vec![])], vec![1], 1).unwrap());
    assert_eq!(
        Difference::between(&before, &Cells::empty(other), 20).err(),
        Some(RiskError::OtherShape),
        "a field that is another one is nothing to compare with"
    );
}

#[test]
fn the_largest_reason_may_make_up_the_percentage_and_no_row_more() {
    let shape = plain_shape(&["x"], 1);
    let halts = |rows: &[(u32, u32, u32, u32)]| codes(gate(&shape, &RULE, rows).halts());
    assert_eq!(halts(&[(0, 0, 0, 80), (0, 0, 1, 20)]), Vec::<&str>::new());
    assert_eq!(halts(&[(0, 0, 0, 81), (0, 0, 1, 20)]), ["homogeneous"]);
    assert_eq!(halts(&[(0, 0, 2, 100)]), ["homogeneous"]);
}

#[test]
fn left_out_rows_halt_only_beyond_the_policy() {
    let shape = plain_shape(&["x", "y"], 1);
    let large = [(0, 0, 0, 190), (0, 0, 1, 171)];
    let with = |few: u32| codes(gate(&shape, &RULE, &[large[0], large[1], (1, 0, 0, few)]).halts());
    assert_eq!(with(19), Vec::<&str>::new(), "19 of 380 are 5 %");
    let less = gate(&shape, &RULE, &[(0, 0, 0, 189), (0, 0, 1, 171), (1, 0, 0, 19)]);
    assert_eq!(less.halts(), [Halt::Suppressed { rows: 19, of: 379, percent_max: 5 }]);
    assert!(less.halts()[0].to_string().contains("19 of 379"));
}

#[test]
fn a_small_cell_goes_up_only_as_far_as_it_needs() {
    let table = Table::parse("code,age,span,all\nA,60,60+,*\nB,65,60+,*\nC,50,50+,*\nD,55,50+,*\n").unwrap();
    let axis = LabelAxis::generalised("age", ["60", "65", "50", "55"], &table, "age").unwrap();
    let code = |text: &str| axis.code(text).unwrap();
    let shape = Arc::new(Shape::new(vec![axis.clone()], vec![], 2).unwrap());
    let rule = Rule { small_cell: SmallCell::Generalize, ..RULE };
    let rows = [("60", 12), ("65", 10), ("50", 15), ("55", 100)].map(|(age, rows)| (code(age), 0, 0, rows));
    let gate = gate(&shape, &rule, &rows);
    let decision = |age: &str| gate.decision(Row { label: code(age), quasi: 0, reason: 0 });
    assert_eq!(decision("60"), Decision::Generalise { label: code("60+") });
    assert_eq!(decision("65"), Decision::Generalise { label: code("60+") });
    assert_eq!(decision("50"), Decision::Suppress, "alone at every level");
    assert_eq!(decision("55"), Decision::Publish);
    assert_eq!(gate.report("p.x", 1, None).risk_max(), Some(1.0 / 22.0));
}

#[test]
fn a_hierarchy_that_contradicts_itself_is_refused() {
    let crooked = Table::parse("code,city,land\na,c,x\nb,c,y\n").unwrap();
    let ladder = RiskError::Ladder { field: "f".to_owned() };
    assert_eq!(LabelAxis::generalised("f", ["c"], &crooked, "city"), Err(ladder.clone()));
    assert_eq!(LabelAxis::generalised("f", ["c"], &crooked, "no such level"), Err(ladder.clone()));
    let round =
        LabelAxis { field: "f".to_owned(), values: vec!["a".into(), "b".into()], coarser: vec![Some(1), Some(0)] };
    assert_eq!(Shape::new(vec![round], vec![], 1), Err(ladder));
    let same = Table::parse("code,city,land\na,세종,세종\nb,수원,경기\n").unwrap();
    let axis = LabelAxis::generalised("f", ["세종", "수원"], &same, "city").unwrap();
    assert_eq!(axis.coarser[axis.code("세종").unwrap() as usize], None, "the same word is no coarser one");
}

#[test]
fn more_than_can_be_counted_is_refused_before_anything_is_allocated() {
    let values = |n: u32| LabelAxis::plain("f", (0..n).map(|at| at.to_string()).collect());
    let all = CELLS_MAX as u32;
    assert!(Shape::new(vec![values(16)], vec![all / 16], 1).is_ok());
    let error = Shape::new(vec![values(16)], vec![all / 16 + 1], 1).unwrap_err();
    assert_eq!(error, RiskError::TooManyCells { labels: 16, quasi: u64::from(all / 16 + 1) });
    assert!(error.to_string().contains("name fewer columns in quasi"));
    assert!(matches!(Shape::new(vec![], vec![u32::MAX; 9], 1), Err(RiskError::TooManyCells { .. })));
    let pairs = PAIRS_MAX as u32;
    assert!(matches!(Shape::new(vec![values(2)], vec![], pairs / 2 + 1), Err(RiskError::TooManyPairs { .. })));
    let shape = Arc::new(Shape::new(vec![values(1)], vec![all / 2], 3).unwrap());
    let mut cube = Cube::new(shape);
    let row = |reason| Row { label: 0, quasi: 0, reason };
    cube.count([row(0), row(1)]).unwrap();
    assert!(matches!(cube.count([row(2)]), Err(RiskError::TooManyOrigins { origins: 3, .. })));
    assert_eq!(cube.add(row(0), u32::MAX), Err(RiskError::TooManyRows));
    assert_eq!(cube.rows(), 2);
}

#[test]
fn fields_that_follow_from_one_another_are_few_combinations() {
    let axis = |name: &str| LabelAxis::plain(name, (0..300).map(|at| at.to_string()).collect());
    let axes = || vec![axis("cohort"), axis("opens_at"), axis("closes_at")];
    assert!(matches!(Shape::new(axes(), vec![], 2), Err(RiskError::TooManyCells { .. })));
    let shape = Shape::of_combinations(axes(), (0..300).map(|at| vec![at, at, at]), vec![110, 2], 2).unwrap();
    assert_eq!((shape.label_cells(), shape.codes(7)), (300, vec![7, 7, 7]));
    assert_eq!(shape.label(&[7, 7, 8]), None);
    assert!(Shape::of_combinations(axes(), [vec![300, 0, 0]], vec![], 2).is_err());
}

#[test]
fn a_code_outside_its_axis_is_refused() {
    let shape = plain_shape(&["x"], 2);
    assert_eq!(shape.row(&[0], &[1], 2), Ok(Row { label: 0, quasi: 1, reason: 2 }));
    for (labels, quasi, reason) in [([1], [0], 0), ([0], [2], 0), ([0], [0], 3)] {
        assert!(matches!(shape.row(&labels, &quasi, reason), Err(RiskError::OutOfRange { .. })));
        let row = Row { label: labels[0], quasi: quasi[0], reason };
        assert!(matches!(Cube::new(shape.clone()).count([row]), Err(RiskError::OutOfRange { .. })));
    }
    assert_eq!(shape.row(&[], &[0], 0), Err(RiskError::OtherShape));
}

#[test]
fn a_report_is_bounded_and_keeps_what_halts() {
    let values: Vec<String> = (0..LABELS_REPORTED_MAX as u32 + 10).map(|at| at.to_string()).collect();
    let last = values.len() as u32 - 1;
    let shape = Arc::new(Shape::new(vec![LabelAxis::plain("f", values)], vec![], 2).unwrap());
    let mut rows: Vec<_> = (0..last).flat_map(|label| [(label, 0, 0, 30), (label, 0, 1, 30)]).collect();
    rows.push((last, 0, 0, 60));
    let gate = gate(&shape, &RULE, &rows);
    let report = gate.report("p.x", 1, None);
    assert_eq!(report.labels.len(), LABELS_REPORTED_MAX);
    assert_eq!(report.labels[0].value, last.to_string());
    let (field, value) = ("f".to_owned(), last.to_string());
    assert_eq!(gate.halts(), [Halt::Homogeneous { field, value, values: 1 }]);
    let reports = RiskReports { reports: vec![report], slots: vec![SlotRisk::default()] };
    let bytes = serde_json::to_vec(&reports).unwrap();
    assert_eq!(RiskReports::parse(&bytes), Ok(reports));
}

#[test]
fn a_mapping_asks_for_more_than_the_policy_and_never_for_less() {
    use crate::mapping::feed_mapping::Risk;
    use crate::mapping::policy::RiskLimits;
    let limits = RiskLimits { homogeneity_percent_max: 95, ..RiskLimits::default() };
    let of = |text: &str| Rule::of(Some(&toml::from_str::<Risk>(text).unwrap()), &limits);
    assert_eq!(of("k_min = 5").k_min, 20);
    assert_eq!(of("k_min = 50").k_min, 50);
    assert_eq!(of("k_min = 5").homogeneity_percent_max, 80, "the law's own bound stays");
    assert_eq!(Rule::of(None, &limits).small_cell, SmallCell::Suppress);
}
