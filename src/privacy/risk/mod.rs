//! What a feed with persons in it lets others infer: counted over all rows of every build, and who may leave by it.
//!
//! Owns the figures (k over the label fields and over external knowledge × label, homogeneity, suppression, histogram,
//! differencing between builds), the decision on each row, and the report that the linter and the pages read. It sees
//! small integers, never a person, a key or a value of a person; texts are those of labels, which leave anyway.
//!
//! A cell is one combination of labels and external knowledge. Cells are counted in dense arrays rather than in maps:
//! one addition a row, at the cost of memory for cells that nobody is in. That cost is bounded (`CELLS_MAX`), and a
//! shape beyond it is an error that names the number, before anything is allocated.
//!
//! Invariants: no decision but `Suppress` puts a row into a cell of fewer than `k_min` rows unless the gate halts; a
//! person is one row; the same rows in any order give the same gate.

mod cube;
mod difference;
mod gate;
mod report;
mod shape;
#[cfg(test)]
mod tests;

pub use cube::Cube;
pub use difference::{Cells, Change, Difference};
pub use gate::{Decision, Gate, Halt, Rule};
pub use report::{LABELS_REPORTED_MAX, LabelRisk, RISK_BYTES_MAX, RiskReport, RiskReports, SlotRisk, share_is_over};
pub use shape::{CELLS_MAX, LADDER_MAX, LabelAxis, PAIRS_MAX, Row, Shape};

/// Why nothing could be counted. Never holds a value of a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RiskError {
    #[error(
        "{labels} label combinations × {quasi} combinations of external knowledge are more than {CELLS_MAX} cells; \
         publish coarser labels or name fewer columns in quasi"
    )]
    TooManyCells { labels: u64, quasi: u64 },
    #[error("{labels} label combinations × {reasons} reasons are more than {PAIRS_MAX}; publish coarser labels")]
    TooManyPairs { labels: u64, reasons: u64 },
    #[error(
        "{origins} pairs of label and reason × {quasi} combinations of external knowledge are more than {CELLS_MAX} \
         cells; publish coarser labels or name fewer columns in quasi"
    )]
    TooManyOrigins { origins: u64, quasi: u64 },
    #[error("more than {} rows", u32::MAX)]
    TooManyRows,
    #[error("{axis}: a code is outside its axis")]
    OutOfRange { axis: String },
    #[error("{field}: its coarser values do not end within {LADDER_MAX} levels")]
    Ladder { field: String },
    #[error("two builds have labels or external knowledge of other columns and cannot be compared")]
    OtherShape,
}
