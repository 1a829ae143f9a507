//! What was measured of a feed with persons in it: counts only, no value of a person.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Bound of a report file.
pub const RISK_BYTES_MAX: usize = 4 * 1024 * 1024;

/// `mappings lint --risk FILE`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RiskReports {
    pub reports: Vec<RiskReport>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RiskReport {
    /// `naver.eligibility`.
    pub mapping: String,
    pub version: u32,
    /// Distinct persons.
    pub persons: u64,
    pub rows: u64,
    /// Persons of the smallest combination that leaves; none where nothing leaves.
    pub k_smallest: Option<u64>,
    /// Rows in combinations under `k_min` that leave all the same.
    pub rows_under_k: u64,
    /// Rows left out.
    pub suppressed: u64,
    #[serde(default)]
    pub labels: Vec<LabelRisk>,
    /// Size of combination → how many there are.
    #[serde(default)]
    pub histogram: BTreeMap<u64, u64>,
}

/// One value of a label, and what stands behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelRisk {
    pub field: String,
    pub value: String,
    pub rows: u64,
    /// Distinct underlying reasons.
    pub reasons: u32,
    /// Rows of the most frequent one.
    pub largest_reason_rows: u64,
}

impl RiskReports {
    /// # Errors
    /// Too large, not JSON, or of another shape.
    pub fn parse(bytes: &[u8]) -> Result<RiskReports, String> {
        if bytes.len() > RISK_BYTES_MAX {
            return Err(format!("larger than {RISK_BYTES_MAX} bytes"));
        }
        serde_json::from_slice(bytes).map_err(|error| error.to_string())
    }

    pub fn of(&self, mapping: &str, version: u32) -> Option<&RiskReport> {
        self.reports.iter().find(|report| report.mapping == mapping && report.version == version)
    }
}
