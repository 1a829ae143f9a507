//! Logs and metrics. Owns the subscriber and the registry; decides nothing.
//!
//! Invariants: names and labels of metrics stand in `metrics` and nowhere else; a line at ERROR means that a person
//! must act, so such lines are counted; no row value reaches a log line or a label.

mod logs;
pub mod metrics;

pub use logs::{Format, LogSettings, LogsFailed, error_lines, start_logs};
pub use metrics::Metrics;
