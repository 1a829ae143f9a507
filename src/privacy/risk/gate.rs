//! Decides on every cell: publish, generalise, suppress; and whether the build may leave at all.
//!
//! A cell under `k_min` goes up one level at a time, finest cells first, so that siblings that are small meet in the
//! level above; what is still small at the top is left out. A label that tells its reason is never helped by leaving
//! rows out: it is a fault of the vocabulary, not of a rare cell, and halts the build.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::cube::Cube;
use super::report::{LABELS_REPORTED_MAX, LabelRisk, RiskReport, share_is_over};
use super::shape::{Row, Shape};
use super::{Cells, Difference};
use crate::mapping::feed_mapping::{Risk, SmallCell};
use crate::mapping::policy::RiskLimits;

/// Fate of a cell that is left out.
const SUPPRESSED: u32 = u32::MAX;

/// What the mapping asks for within what the policy allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    pub k_min: u32,
    pub small_cell: SmallCell,
    pub homogeneity_percent_max: u32,
    pub suppressed_percent_max: u32,
}

/// What becomes of the rows of one cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Publish,
    /// Published under this coarser combination; `Shape::codes` says which values.
    Generalise {
        label: u32,
    },
    Suppress,
}

/// Why a build may not leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Halt {
    /// `small_cell = "halt"` and there are some.
    SmallCells { cells: u64, rows: u64 },
    /// More than the policy lets be left out.
    Suppressed { rows: u64, of: u64, percent_max: u32 },
    /// Of `values` label values that tell their reason, the first.
    Homogeneous { field: String, value: String, values: u64 },
}

impl Rule {
    /// A mapping may ask for a larger group than the policy, never for a smaller one.
    pub fn of(risk: Option<&Risk>, limits: &RiskLimits) -> Rule {
        Rule {
            k_min: risk.map_or(0, |risk| *risk.k_min.get_ref()).max(limits.k_min),
            small_cell: risk.map_or(SmallCell::default(), |risk| risk.small_cell),
            homogeneity_percent_max: limits.homogeneity_percent_max.min(80),
            suppressed_percent_max: limits.suppressed_percent_max,
        }
    }
}

impl Halt {
    pub fn code(&self) -> &'static str {
        match self {
            Halt::SmallCells { .. } => "small_cells",
            Halt::Suppressed { .. } => "suppressed",
            Halt::Homogeneous { .. } => "homogeneous",
        }
    }
}

impl std::fmt::Display for Halt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Halt::SmallCells { cells, rows } => write!(f, "{rows} rows stand in {cells} groups under k_min"),
            Halt::Suppressed { rows, of, percent_max } => {
                write!(f, "{rows} of {of} rows would be left out, the policy allows {percent_max} %")
            }
            Halt::Homogeneous { field, value, values } => {
                write!(f, "{values} label value(s) tell their reason, the first is {field} = ‘{value}’")
            }
        }
    }
}

pub struct Gate {
    shape: Arc<Shape>,
    rule: Rule,
    /// Label that each label × quasi leaves under.
    fate: Vec<u32>,
    cells: Cells,
    counted: u64,
    suppressed: u64,
    generalised: u64,
    small: Small,
    labels: Vec<LabelRisk>,
    halts: Vec<Halt>,
}

/// Cells under `k_min` that nothing was done about.
#[derive(Debug, Clone, Copy, Default)]
struct Small {
    cells: u64,
    rows: u64,
}

impl Gate {
    pub(super) fn over(cube: &Cube, rule: &Rule) -> Gate {
        let shape = cube.shape().clone();
        let quasi = shape.quasi_cells() as usize;
        let mut cells = vec![0u32; shape.label_cells() as usize * quasi];
        for (at, pair) in cube.pairs.iter().enumerate() {
            let start = pair.label as usize * quasi;
            for (cell, count) in cells[start..start + quasi].iter_mut().zip(cube.stretch(at)) {
                *cell += count;
            }
        }
        let fate = (0..shape.label_cells()).flat_map(|label| std::iter::repeat_n(label, quasi)).collect();
        let mut gate = Gate {
            cells: Cells::new(shape.clone(), cells),
            shape,
            rule: *rule,
            fate,
            counted: u64::from(cube.rows()),
            suppressed: 0,
            generalised: 0,
            small: Small::default(),
            labels: Vec::new(),
            halts: Vec::new(),
        };
        if rule.small_cell == SmallCell::Generalize {
            gate.generalise();
        }
        gate.leave_out();
        gate.weigh(cube);
        gate.judge();
        gate
    }

    /// What becomes of a row of the build that was counted.
    pub fn decision(&self, row: Row) -> Decision {
        match self.fate.get(row.label as usize * self.shape.quasi_cells() as usize + row.quasi as usize) {
            Some(label) if *label == row.label => Decision::Publish,
            Some(label) if *label != SUPPRESSED => Decision::Generalise { label: *label },
            _ => Decision::Suppress,
        }
    }

    /// Empty: the build may leave.
    pub fn halts(&self) -> &[Halt] {
        &self.halts
    }

    /// What leaves, by cell: kept to compare the next build with.
    pub fn cells(&self) -> &Cells {
        &self.cells
    }

    pub fn shape(&self) -> &Arc<Shape> {
        &self.shape
    }

    /// `after`: how this build differs from the one before, where there was one.
    pub fn report(&self, mapping: &str, version: u32, after: Option<&Difference>) -> RiskReport {
        let mut histogram = BTreeMap::new();
        for count in self.cells.counts().iter().filter(|count| **count > 0) {
            *histogram.entry(u64::from(*count)).or_default() += 1;
        }
        let quasi = self.shape.quasi_cells().max(1) as usize;
        let of_labels = self.cells.counts().chunks(quasi).map(|cells| cells.iter().map(|n| u64::from(*n)).sum::<u64>());
        RiskReport {
            mapping: mapping.to_owned(),
            version,
            persons: self.counted,
            rows: self.counted - self.suppressed,
            k_smallest: histogram.first_key_value().map(|(size, _)| *size),
            k_label: of_labels.filter(|sum| *sum > 0).min(),
            rows_under_k: self.small.rows,
            suppressed: self.suppressed,
            generalised: self.generalised,
            unreadable: 0,
            held: after.map_or(0, Difference::held_rows),
            changed_under_k: after.map_or(0, |after| after.changes().len() as u64),
            labels: self.labels.clone(),
            histogram,
            halts: self.halts.iter().map(|halt| halt.code().to_owned()).collect(),
        }
    }

    /// Combinations so that a finer one comes before every coarser one that it can go to.
    fn finest_first(&self) -> Vec<u32> {
        let levels = |label| std::iter::successors(Some(label), |at| self.shape.coarser(*at)).count();
        let mut order: Vec<(usize, u32)> = (0..self.shape.label_cells()).map(|label| (levels(label), label)).collect();
        order.sort_unstable_by_key(|(levels, label)| (std::cmp::Reverse(*levels), *label));
        order.into_iter().map(|(_, label)| label).collect()
    }

    fn generalise(&mut self) {
        let (quasi, order) = (self.shape.quasi_cells() as usize, self.finest_first());
        for label in &order {
            let Some(up) = self.shape.coarser(*label) else { continue };
            let (from, to) = (*label as usize * quasi, up as usize * quasi);
            for at in 0..quasi {
                let count = self.cells.counts()[from + at];
                if count > 0 && count < self.rule.k_min {
                    self.cells.put(from + at, 0);
                    self.cells.put(to + at, self.cells.counts()[to + at] + count);
                    self.fate[from + at] = up;
                }
            }
        }
        // Coarsest first: where the level above went is known.
        for label in order.iter().rev() {
            let Some(up) = self.shape.coarser(*label) else { continue };
            let (from, to) = (*label as usize * quasi, up as usize * quasi);
            for at in 0..quasi {
                if self.fate[from + at] == up {
                    self.fate[from + at] = self.fate[to + at];
                }
            }
        }
    }

    fn leave_out(&mut self) {
        let is_kept = self.rule.small_cell == SmallCell::Halt;
        for at in 0..self.fate.len() {
            let count = self.cells.counts()[at];
            if count == 0 || count >= self.rule.k_min {
                continue;
            }
            if is_kept {
                self.small = Small { cells: self.small.cells + 1, rows: self.small.rows + u64::from(count) };
            } else {
                self.cells.put(at, 0);
                self.suppressed += u64::from(count);
                self.fate[at] = SUPPRESSED;
            }
        }
        // A cell that went up is left out with the one that it went to.
        let quasi = self.shape.quasi_cells() as usize;
        for at in 0..self.fate.len() {
            let label = self.fate[at];
            if label != SUPPRESSED && self.fate[label as usize * quasi + at % quasi] == SUPPRESSED {
                self.fate[at] = SUPPRESSED;
            }
        }
    }

    /// What stands behind each label as it leaves.
    fn weigh(&mut self, cube: &Cube) {
        let (quasi, reasons) = (self.shape.quasi_cells() as usize, self.shape.reasons() as usize);
        let mut behind = vec![0u64; self.shape.label_cells() as usize * reasons];
        for (pair_at, pair) in cube.pairs.iter().enumerate() {
            let start = pair.label as usize * quasi;
            for (at, count) in cube.stretch(pair_at).iter().enumerate().filter(|(_, count)| **count > 0) {
                let label = self.fate[start + at];
                if label == SUPPRESSED {
                    continue;
                }
                behind[label as usize * reasons + pair.reason as usize] += u64::from(*count);
                if label != pair.label {
                    self.generalised += u64::from(*count);
                }
            }
        }
        let axes = self.shape.labels();
        let mut fields: Vec<Vec<u64>> = axes.iter().map(|axis| vec![0; axis.values.len() * reasons]).collect();
        for (label, counts) in behind.chunks(reasons.max(1)).enumerate().filter(|(_, c)| c.iter().any(|n| *n > 0)) {
            let codes = self.shape.codes(label as u32);
            for (field, code) in fields.iter_mut().zip(&codes) {
                let start = *code as usize * reasons;
                field[start..start + reasons].iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
            }
            if axes.len() > 1 {
                let join = |parts: Vec<&str>| parts.join(" + ");
                let field = join(axes.iter().map(|axis| axis.field.as_str()).collect());
                let texts = codes.iter().zip(axes).map(|(code, axis)| axis.values[*code as usize].as_str());
                self.labels.push(LabelRisk::of(&field, &join(texts.collect()), counts));
            }
        }
        for (axis, counts) in axes.iter().zip(&fields) {
            let of_values = axis.values.iter().zip(counts.chunks(reasons.max(1)));
            let met = of_values.filter(|(_, counts)| counts.iter().any(|count| *count > 0));
            self.labels.extend(met.map(|(value, counts)| LabelRisk::of(&axis.field, value, counts)));
        }
    }

    fn judge(&mut self) {
        if self.small.cells > 0 {
            self.halts.push(Halt::SmallCells { cells: self.small.cells, rows: self.small.rows });
        }
        let percent_max = self.rule.suppressed_percent_max;
        if share_is_over(self.suppressed, self.counted, percent_max) {
            self.halts.push(Halt::Suppressed { rows: self.suppressed, of: self.counted, percent_max });
        }
        let percent_max = self.rule.homogeneity_percent_max;
        // Those that halt first, so that the bound of the report cuts none of them off while others stay.
        self.labels.sort_by_key(|label| !label.tells_its_reason(percent_max));
        let telling = self.labels.iter().take_while(|label| label.tells_its_reason(percent_max));
        let values = telling.count() as u64;
        if let Some(first) = self.labels.first().filter(|_| values > 0) {
            let (field, value) = (first.field.clone(), first.value.clone());
            self.halts.push(Halt::Homogeneous { field, value, values });
        }
        self.labels.truncate(LABELS_REPORTED_MAX);
    }
}
