//! The axes that rows are counted on: label fields with their coarser values, external knowledge, reasons.

use std::collections::BTreeMap;

use super::RiskError;
use crate::mapping::Table;

/// Bound of a dense array of cells: 64 MiB of counters, where a birth year, a sex and 250 regions take 55,000 a label.
pub const CELLS_MAX: u64 = 1 << 24;
/// Bound of label combinations × reasons; a list cohort has one reason, an age cohort a few.
pub const PAIRS_MAX: u64 = 1 << 20;
/// Levels of a hierarchy, as many as a table has columns.
pub const LADDER_MAX: usize = 16;
/// No coarser combination.
pub(super) const TOP: u32 = u32::MAX;

/// One label field: the texts that it may publish, and for each the text of the next level, where there is one.
/// A code is the place of a text in `values`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelAxis {
    pub field: String,
    pub values: Vec<String>,
    pub coarser: Vec<Option<u32>>,
}

impl LabelAxis {
    /// A field without levels.
    pub fn plain(field: &str, values: Vec<String>) -> LabelAxis {
        LabelAxis { field: field.to_owned(), coarser: vec![None; values.len()], values }
    }

    /// A field that is generalised to `level` of a hierarchy: the values that occur and every coarser one above them.
    ///
    /// # Errors
    /// A text that stands under two different coarser ones: what it goes up to is not said.
    pub fn generalised<'a>(
        field: &str,
        occur: impl IntoIterator<Item = &'a str>,
        hierarchy: &'a Table,
        level: &str,
    ) -> Result<LabelAxis, RiskError> {
        let broken = || RiskError::Ladder { field: field.to_owned() };
        let first = hierarchy.columns.iter().position(|column| column == level).ok_or_else(broken)?;
        let mut above: BTreeMap<&str, &str> = BTreeMap::new();
        for row in &hierarchy.rows {
            for at in first..row.len() {
                // A text that stays the same on the next level goes up with the level after.
                let Some(up) = row[at + 1..].iter().find(|up| **up != row[at]) else { continue };
                if *above.entry(&row[at]).or_insert(up) != up.as_str() {
                    return Err(broken());
                }
            }
        }
        let mut values: Vec<&str> = Vec::new();
        let mut places: BTreeMap<&str, u32> = BTreeMap::new();
        let mut waiting: Vec<&str> = occur.into_iter().collect();
        while let Some(value) = waiting.pop() {
            if !places.contains_key(value) {
                places.insert(value, values.len() as u32);
                values.push(value);
                waiting.extend(above.get(value));
            }
        }
        let coarser = values.iter().map(|value| above.get(value).map(|up| places[up])).collect();
        let axis =
            LabelAxis { field: field.to_owned(), coarser, values: values.into_iter().map(str::to_owned).collect() };
        axis.check().map(|()| axis)
    }

    /// Code of a text.
    pub fn code(&self, value: &str) -> Option<u32> {
        self.values.iter().position(|known| known == value).map(|at| at as u32)
    }

    fn check(&self) -> Result<(), RiskError> {
        let broken = || RiskError::Ladder { field: self.field.clone() };
        if self.coarser.len() != self.values.len() {
            return Err(broken());
        }
        for start in 0..self.values.len() {
            let (mut at, mut steps) = (start, 0);
            while let Some(up) = self.coarser[at] {
                at = up as usize;
                steps += 1;
                if at >= self.values.len() || steps > LADDER_MAX {
                    return Err(broken());
                }
            }
        }
        Ok(())
    }
}

/// One person: places in the three groups of axes, each group as one number. `Shape::row` makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    pub label: u32,
    pub quasi: u32,
    pub reason: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    labels: Vec<LabelAxis>,
    /// Combinations by number; none: every value with every other.
    listed: Option<Listed>,
    quasi: Vec<u32>,
    reasons: u32,
    label_cells: u32,
    quasi_cells: u32,
    /// The next coarser combination of each combination of labels.
    up: Vec<u32>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Listed {
    codes: Vec<Vec<u32>>,
    places: BTreeMap<Vec<u32>, u32>,
}

impl Shape {
    /// Every value of a label field with every value of the others. `quasi`: size of each axis of external knowledge; none: only labels count. `reasons`: how many there are.
    ///
    /// # Errors
    /// More cells than are counted, or a hierarchy that goes round.
    pub fn new(labels: Vec<LabelAxis>, quasi: Vec<u32>, reasons: u32) -> Result<Shape, RiskError> {
        labels.iter().try_for_each(LabelAxis::check)?;
        let combinations = product(labels.iter().map(|axis| axis.values.len() as u64));
        Shape::sized(labels, None, combinations, quasi, reasons)
    }

    /// Of these combinations of labels alone and the coarser ones above them: fields that follow from one another (a
    /// cohort and its window) have few, where every value with every other would be too many.
    ///
    /// # Errors
    /// As `new`, and a combination with a code outside its axis.
    pub fn of_combinations(
        labels: Vec<LabelAxis>,
        combinations: impl IntoIterator<Item = Vec<u32>>,
        quasi: Vec<u32>,
        reasons: u32,
    ) -> Result<Shape, RiskError> {
        labels.iter().try_for_each(LabelAxis::check)?;
        let mut listed = Listed::default();
        for mut codes in combinations {
            let outside = |(code, axis): (&u32, &LabelAxis)| *code as usize >= axis.values.len();
            if codes.len() != labels.len() || codes.iter().zip(&labels).any(outside) {
                return Err(RiskError::OutOfRange { axis: "label".to_owned() });
            }
            while listed.add(&codes) {
                let Some(up) = up(&labels, &codes) else { break };
                codes = up;
            }
        }
        let count = listed.codes.len() as u64;
        Shape::sized(labels, Some(listed), count, quasi, reasons)
    }

    fn sized(
        labels: Vec<LabelAxis>,
        listed: Option<Listed>,
        label_cells: u64,
        quasi: Vec<u32>,
        reasons: u32,
    ) -> Result<Shape, RiskError> {
        let quasi_cells = product(quasi.iter().map(|size| u64::from(*size)));
        if label_cells.saturating_mul(quasi_cells) > CELLS_MAX || label_cells.max(quasi_cells) > CELLS_MAX {
            return Err(RiskError::TooManyCells { labels: label_cells, quasi: quasi_cells });
        }
        if label_cells.saturating_mul(u64::from(reasons)) > PAIRS_MAX {
            return Err(RiskError::TooManyPairs { labels: label_cells, reasons: u64::from(reasons) });
        }
        let (label_cells, quasi_cells) = (label_cells as u32, quasi_cells as u32);
        let mut shape = Shape { labels, listed, quasi, reasons, label_cells, quasi_cells, up: Vec::new() };
        let above = |label| up(&shape.labels, &shape.codes(label)).and_then(|codes| shape.label(&codes)).unwrap_or(TOP);
        shape.up = (0..label_cells).map(above).collect();
        Ok(shape)
    }

    /// Number of a combination of labels.
    pub fn label(&self, codes: &[u32]) -> Option<u32> {
        if let Some(listed) = &self.listed {
            return listed.places.get(codes).copied();
        }
        let mut label = 0;
        for (code, axis) in codes.iter().zip(&self.labels) {
            if *code as usize >= axis.values.len() {
                return None;
            }
            label = label * axis.values.len() as u32 + code;
        }
        (codes.len() == self.labels.len()).then_some(label)
    }

    /// # Errors
    /// A code outside its axis, or not one code an axis.
    pub fn row(&self, labels: &[u32], quasi: &[u32], reason: u32) -> Result<Row, RiskError> {
        if labels.len() != self.labels.len() || quasi.len() != self.quasi.len() {
            return Err(RiskError::OtherShape);
        }
        if reason >= self.reasons {
            return Err(RiskError::OutOfRange { axis: "reason".to_owned() });
        }
        let label = self.label(labels).ok_or_else(|| RiskError::OutOfRange { axis: "label".to_owned() })?;
        let mut known = 0;
        for (at, (code, size)) in quasi.iter().zip(&self.quasi).enumerate() {
            if code >= size {
                return Err(RiskError::OutOfRange { axis: format!("quasi {at}") });
            }
            known = known * size + code;
        }
        Ok(Row { label, quasi: known, reason })
    }

    pub fn labels(&self) -> &[LabelAxis] {
        &self.labels
    }

    pub fn label_cells(&self) -> u32 {
        self.label_cells
    }

    pub fn quasi_cells(&self) -> u32 {
        self.quasi_cells
    }

    pub fn reasons(&self) -> u32 {
        self.reasons
    }

    /// Codes of a combination of labels, one a field.
    pub fn codes(&self, label: u32) -> Vec<u32> {
        if let Some(listed) = &self.listed {
            return listed.codes.get(label as usize).cloned().unwrap_or_default();
        }
        let sizes: Vec<u32> = self.labels.iter().map(|axis| axis.values.len() as u32).collect();
        digits(label, &sizes)
    }

    /// The next coarser combination.
    pub fn coarser(&self, label: u32) -> Option<u32> {
        self.up.get(label as usize).copied().filter(|up| *up != TOP)
    }

    pub(super) fn quasi_codes(&self, quasi: u32) -> Vec<u32> {
        digits(quasi, &self.quasi)
    }
}

impl Listed {
    /// False: it was known, and what is above it too.
    fn add(&mut self, codes: &[u32]) -> bool {
        if self.places.contains_key(codes) {
            return false;
        }
        self.places.insert(codes.to_owned(), self.codes.len() as u32);
        self.codes.push(codes.to_owned());
        true
    }
}

/// The next coarser combination: every field that has a next level goes up one.
fn up(labels: &[LabelAxis], codes: &[u32]) -> Option<Vec<u32>> {
    let coarser = |(code, axis): (&u32, &LabelAxis)| axis.coarser[*code as usize];
    let ups: Vec<Option<u32>> = codes.iter().zip(labels).map(coarser).collect();
    let has_moved = ups.iter().any(Option::is_some);
    has_moved.then(|| ups.iter().zip(codes).map(|(up, code)| up.unwrap_or(*code)).collect())
}

fn product(sizes: impl Iterator<Item = u64>) -> u64 {
    sizes.fold(1, u64::saturating_mul)
}

/// Mixed radix, the last axis fastest.
fn digits(mut number: u32, sizes: &[u32]) -> Vec<u32> {
    let mut digits = vec![0; sizes.len()];
    for (digit, size) in digits.iter_mut().zip(sizes).rev() {
        *digit = number % size.max(&1);
        number /= size.max(&1);
    }
    digits
}
