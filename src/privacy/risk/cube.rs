//! Counts rows: one addition a row into a dense array.
//!
//! The array is pair of label and reason × external knowledge, so that one pass answers both k and homogeneity whatever
//! the gate later moves. A label is mostly a function of the reason: pairs that occur are about as many as reasons, and
//! only those get their stretch of the array.

use std::sync::Arc;

use super::shape::{CELLS_MAX, Row, Shape};
use super::{Gate, RiskError, Rule};

/// No stretch yet.
const NONE: u32 = u32::MAX;

pub struct Cube {
    shape: Arc<Shape>,
    /// Start of the stretch of each label × reason.
    starts: Vec<u32>,
    pub(super) pairs: Vec<Pair>,
    counts: Vec<u32>,
    rows: u32,
}

/// A label and a reason that occur together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair {
    pub label: u32,
    pub reason: u32,
}

impl Cube {
    pub fn new(shape: Arc<Shape>) -> Cube {
        let pairs = shape.label_cells() as usize * shape.reasons() as usize;
        Cube { shape, starts: vec![NONE; pairs], pairs: Vec::new(), counts: Vec::new(), rows: 0 }
    }

    /// # Errors
    /// A row outside the shape, or more than can be counted; what was counted until then stays.
    pub fn count(&mut self, rows: impl IntoIterator<Item = Row>) -> Result<(), RiskError> {
        let (labels, quasi, reasons) = (self.shape.label_cells(), self.shape.quasi_cells(), self.shape.reasons());
        for row in rows {
            if row.label >= labels || row.quasi >= quasi || row.reason >= reasons {
                return Err(outside(row, labels, quasi));
            }
            let pair = (row.label * reasons + row.reason) as usize;
            let mut start = self.starts[pair];
            if start == NONE {
                start = self.begin(pair, row)?;
            }
            self.rows = self.rows.checked_add(1).ok_or(RiskError::TooManyRows)?;
            self.counts[(start + row.quasi) as usize] += 1;
        }
        Ok(())
    }

    /// Many rows of one kind, as a caller has them who met the same combination before.
    ///
    /// # Errors
    /// As `count`.
    pub fn add(&mut self, row: Row, rows: u32) -> Result<(), RiskError> {
        if rows == 0 {
            return Ok(());
        }
        let total = self.rows.checked_add(rows).ok_or(RiskError::TooManyRows)?;
        self.count(std::iter::once(row))?;
        let start = self.starts[(row.label * self.shape.reasons() + row.reason) as usize];
        self.counts[(start + row.quasi) as usize] += rows - 1;
        self.rows = total;
        Ok(())
    }

    pub fn rows(&self) -> u32 {
        self.rows
    }

    pub fn shape(&self) -> &Arc<Shape> {
        &self.shape
    }

    /// Decides on every cell. Rows counted later are not in it.
    pub fn gate(&self, rule: &Rule) -> Gate {
        Gate::over(self, rule)
    }

    /// Counts of one pair, by external knowledge.
    pub(super) fn stretch(&self, at: usize) -> &[u32] {
        let quasi = self.shape.quasi_cells() as usize;
        &self.counts[at * quasi..(at + 1) * quasi]
    }

    #[cold]
    fn begin(&mut self, pair: usize, row: Row) -> Result<u32, RiskError> {
        let quasi = u64::from(self.shape.quasi_cells());
        let origins = self.pairs.len() as u64 + 1;
        if origins.saturating_mul(quasi) > CELLS_MAX {
            return Err(RiskError::TooManyOrigins { origins, quasi });
        }
        let start = self.counts.len() as u32;
        self.counts.resize(self.counts.len() + quasi as usize, 0);
        self.pairs.push(Pair { label: row.label, reason: row.reason });
        self.starts[pair] = start;
        Ok(start)
    }
}

#[cold]
fn outside(row: Row, labels: u32, quasi: u32) -> RiskError {
    let axis = if row.label >= labels {
        "label"
    } else if row.quasi >= quasi {
        "quasi"
    } else {
        "reason"
    };
    RiskError::OutOfRange { axis: axis.to_owned() }
}
