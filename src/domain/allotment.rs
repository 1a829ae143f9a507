//! Where units come from (booking rules, allotment modes): chosen by the agency a slot class.

use serde::{Deserialize, Serialize};

/// How the bridge comes to units that it may sell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AllotmentMode {
    /// Feeds only: nothing is sold.
    None,
    /// Each booking asks the legacy system: unit and reservation in one transaction, answered later.
    OnRequest,
    /// The agency assigns units; the bridge never takes.
    Quota,
    /// The bridge raises the legacy system's booked counter.
    Counter,
    /// The bridge lowers the legacy system's counter of what is left.
    Remaining,
    /// The bridge lowers the capacity: for legacy systems that count reservations.
    Capacity,
    /// The bridge writes placeholder reservations; the last resort.
    CountRows,
}

impl AllotmentMode {
    pub const ALL: [AllotmentMode; 7] = [
        AllotmentMode::None,
        AllotmentMode::OnRequest,
        AllotmentMode::Quota,
        AllotmentMode::Counter,
        AllotmentMode::Remaining,
        AllotmentMode::Capacity,
        AllotmentMode::CountRows,
    ];

    pub fn code(self) -> &'static str {
        match self {
            AllotmentMode::None => "none",
            AllotmentMode::OnRequest => "on_request",
            AllotmentMode::Quota => "quota",
            AllotmentMode::Counter => "counter",
            AllotmentMode::Remaining => "remaining",
            AllotmentMode::Capacity => "capacity",
            AllotmentMode::CountRows => "count_rows",
        }
    }

    /// Does the bridge take units ahead of demand and give them back?
    pub fn takes(self) -> bool {
        match self {
            AllotmentMode::None | AllotmentMode::OnRequest | AllotmentMode::Quota => false,
            AllotmentMode::Counter | AllotmentMode::Remaining | AllotmentMode::Capacity | AllotmentMode::CountRows => {
                true
            }
        }
    }
}

/// The agency's switch for the bridge (`SB_CONTROL`, rule 33).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Control {
    #[default]
    Run,
    /// No takes; free units are returned.
    Drain,
    /// No writes at all; requests are refused.
    Stop,
}

impl Control {
    pub fn code(self) -> &'static str {
        match self {
            Control::Run => "run",
            Control::Drain => "drain",
            Control::Stop => "stop",
        }
    }
}
