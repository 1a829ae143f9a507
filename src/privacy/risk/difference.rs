//! Two builds laid over each other: a cell that changes by fewer than `k_min` rows names those who came or went.
//!
//! Additions to such a cell wait until there are enough: the count that stands is carried on, so that additions of
//! several builds add up. Persons who go cannot wait (an erasure is due at once): they are flagged, and dummy
//! tombstones of the feed are what hides them. Only counts are compared: one who comes as another goes is not seen.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::RiskError;
use super::shape::Shape;

/// Rows of each label × quasi as they left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cells {
    shape: Arc<Shape>,
    counts: Vec<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// So many came, too few to be let out.
    Held { rows: u32 },
    /// So many went.
    Flagged { rows: u32 },
}

pub struct Difference {
    /// By cell of the later build; cells that changed by nothing or by enough are not here.
    changes: BTreeMap<u32, Change>,
    /// Cells of the earlier build that the later one has no place for, with fewer than `k_min` rows.
    vanished: u64,
    settled: Cells,
}

impl Cells {
    pub(super) fn new(shape: Arc<Shape>, counts: Vec<u32>) -> Cells {
        Cells { shape, counts }
    }

    /// Before the first build nobody is in.
    pub fn empty(shape: Arc<Shape>) -> Cells {
        let cells = shape.label_cells() as usize * shape.quasi_cells() as usize;
        Cells { shape, counts: vec![0; cells] }
    }

    /// Label × quasi, quasi fastest.
    pub fn counts(&self) -> &[u32] {
        &self.counts
    }

    pub(super) fn put(&mut self, at: usize, count: u32) {
        self.counts[at] = count;
    }

    /// The same counts on the axes of a later build, which may have more values; labels are found by their text.
    /// Rows of labels that are gone are answered beside it, cell by cell.
    fn on(&self, shape: &Arc<Shape>) -> Result<(Cells, Vec<u32>), RiskError> {
        let fields = |shape: &Shape| shape.labels().iter().map(|axis| axis.field.clone()).collect::<Vec<_>>();
        if fields(&self.shape) != fields(shape) {
            return Err(RiskError::OtherShape);
        }
        if self.shape == *shape {
            return Ok((self.clone(), Vec::new()));
        }
        let places = self.shape.labels().iter().zip(shape.labels()).map(|(old, new)| {
            let known: BTreeMap<&str, u32> = new.values.iter().map(String::as_str).zip(0..).collect();
            old.values.iter().map(|value| known.get(value.as_str()).copied()).collect::<Vec<_>>()
        });
        let places: Vec<Vec<Option<u32>>> = places.collect();
        let (mut cells, mut gone) = (Cells::empty(shape.clone()), Vec::new());
        let old_quasi = self.shape.quasi_cells();
        for (at, count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let at = at as u32;
            let codes = self.shape.codes(at / old_quasi);
            let moved: Option<Vec<u32>> =
                codes.iter().zip(&places).map(|(code, place)| place[*code as usize]).collect();
            match moved.filter(|codes| shape.label(codes).is_some()) {
                None => gone.push(*count),
                Some(codes) => {
                    let row = shape.row(&codes, &self.shape.quasi_codes(at % old_quasi), 0)?;
                    cells.counts[(row.label * shape.quasi_cells() + row.quasi) as usize] = *count;
                }
            }
        }
        Ok((cells, gone))
    }
}

impl Difference {
    /// # Errors
    /// The builds have labels of other fields, or external knowledge that the later one has no place for.
    pub fn between(before: &Cells, after: &Cells, k_min: u32) -> Result<Difference, RiskError> {
        let (before, gone) = before.on(&after.shape)?;
        let (mut changes, mut settled) = (BTreeMap::new(), after.clone());
        for (at, (was, is)) in before.counts.iter().zip(&after.counts).enumerate() {
            let rows = was.abs_diff(*is);
            if rows == 0 || rows >= k_min {
                continue;
            }
            let change = if is > was { Change::Held { rows } } else { Change::Flagged { rows } };
            if is > was {
                settled.counts[at] = *was;
            }
            changes.insert(at as u32, change);
        }
        let vanished = gone.iter().filter(|rows| **rows < k_min).count() as u64;
        Ok(Difference { changes, vanished, settled })
    }

    /// Must rows of this cell that were not in the earlier build wait?
    pub fn is_held(&self, label: u32, quasi: u32) -> bool {
        let cell = label.saturating_mul(self.settled.shape.quasi_cells()).saturating_add(quasi);
        matches!(self.changes.get(&cell), Some(Change::Held { .. }))
    }

    /// By cell: label × quasi cells + quasi.
    pub fn changes(&self) -> &BTreeMap<u32, Change> {
        &self.changes
    }

    /// Small cells whose label is gone altogether.
    pub fn vanished(&self) -> u64 {
        self.vanished
    }

    pub fn held_rows(&self) -> u64 {
        let held = self.changes.values().map(|change| match change {
            Change::Held { rows } => u64::from(*rows),
            Change::Flagged { .. } => 0,
        });
        held.sum()
    }

    /// What stands once held rows have been held: to be compared with next.
    pub fn settled(&self) -> &Cells {
        &self.settled
    }
}
