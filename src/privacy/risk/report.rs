//! What was measured of a feed: counts only, no value of a person.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Bound of a report file.
pub const RISK_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Label values in one report, those that tell their reason first: at most 1 MiB of a file.
pub const LABELS_REPORTED_MAX: usize = 4_096;

/// `mappings risk --json`, `mappings lint --risk FILE`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RiskReports {
    pub reports: Vec<RiskReport>,
    /// Feeds of slots.
    #[serde(default)]
    pub slots: Vec<SlotRisk>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RiskReport {
    /// `naver.eligibility_tokens`.
    pub mapping: String,
    pub version: u32,
    /// Distinct persons.
    pub persons: u64,
    /// Rows that leave.
    pub rows: u64,
    /// Persons of the smallest combination of labels and external knowledge that leaves; none where nothing leaves.
    pub k_smallest: Option<u64>,
    /// The same of labels alone.
    #[serde(default)]
    pub k_label: Option<u64>,
    /// Rows in combinations under `k_min` that leave all the same.
    pub rows_under_k: u64,
    /// Rows left out.
    pub suppressed: u64,
    /// Rows that leave under a coarser label than their own.
    #[serde(default)]
    pub generalised: u64,
    /// Rows with a value that the mapping has no word for; they do not leave either.
    #[serde(default)]
    pub unreadable: u64,
    /// Rows that wait because too few came since the build before.
    #[serde(default)]
    pub held: u64,
    /// Combinations that changed by fewer than `k_min` rows since the build before.
    #[serde(default)]
    pub changed_under_k: u64,
    #[serde(default)]
    pub labels: Vec<LabelRisk>,
    /// Size of combination → how many there are.
    #[serde(default)]
    pub histogram: BTreeMap<u64, u64>,
    /// Codes of what keeps a build from leaving: small_cells, suppressed, homogeneous.
    #[serde(default)]
    pub halts: Vec<String>,
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

/// What a feed of slots tells about slots of few places.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlotRisk {
    pub mapping: String,
    pub version: u32,
    /// Slots that are published.
    pub slots: u64,
    /// Up to so many places a slot is small.
    pub capacity_max: u32,
    /// Published slots that are; those of an unknown capacity count as small.
    pub small: u64,
    /// Small slots whose bytes tell more than that they are bookable or full.
    pub telling: u64,
    /// Small slots change on ticks this far apart.
    pub tick_ms: u32,
    /// The policy exempts the partner's role.
    pub is_exempt: bool,
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

    pub fn of_slots(&self, mapping: &str, version: u32) -> Option<&SlotRisk> {
        self.slots.iter().find(|report| report.mapping == mapping && report.version == version)
    }
}

impl RiskReport {
    /// Of the person who is easiest to pick out: 1/k. `None`: nobody leaves.
    pub fn risk_max(&self) -> Option<f64> {
        self.k_smallest.filter(|k| *k > 0).map(|k| 1.0 / k as f64)
    }
}

impl LabelRisk {
    /// `counts`: rows of each reason.
    pub(super) fn of(field: &str, value: &str, counts: &[u64]) -> LabelRisk {
        LabelRisk {
            field: field.to_owned(),
            value: value.to_owned(),
            rows: counts.iter().sum(),
            reasons: counts.iter().filter(|count| **count > 0).count() as u32,
            largest_reason_rows: counts.iter().copied().max().unwrap_or(0),
        }
    }

    /// Fewer than two reasons behind it, or one that makes up more than the share.
    pub fn tells_its_reason(&self, percent_max: u32) -> bool {
        self.reasons < 2 || share_is_over(self.largest_reason_rows, self.rows, percent_max)
    }
}

/// Exactly, without rounding.
pub fn share_is_over(part: u64, whole: u64, percent: u32) -> bool {
    u128::from(part) * 100 > u128::from(whole) * u128::from(percent)
}
