//! What a seed draws: how big the world is, how often it fails, and what its seeds must meet between them.

use slotbridge::domain::AllotmentMode;

pub const MUST_BE_EXERCISED: [&str; 41] = [
    "outage",
    "booked_in_outage",
    "booked",
    "replayed",
    "slot_full",
    "slot_closed",
    "slot_changed",
    "not_bookable",
    "person_already_booked",
    "idempotency_key_reused",
    "request_too_old",
    "unknown_slot",
    "cancelled",
    "cancel_coalesced",
    "cancelling",
    "displaced",
    "legacy_cancelled",
    "in_doubt",
    "crash",
    "lost_batch",
    "lost_reply",
    "snapshot_restart",
    "take",
    "return",
    "cut_off",
    "redefined",
    "pending",
    "slot_not_offered",
    "too_many_pending",
    "stopped_by_agency",
    "placed",
    "given_up",
    "refused_on_request",
    "eroded",
    "mended",
    "units_lost",
    "redriven",
    "overrun",
    "switched",
    "legacy_restored",
    "ledger_restored",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    LoseTurnedBack,
    ForgetAnAppend,
    IgnoreLost,
}

#[derive(Clone, Debug)]
pub struct Options {
    pub slots: u64,
    pub persons: u64,
    pub steps: u64,
    pub faults_percent: u64,
    pub native_percent: u64,
    pub mode: AllotmentMode,
    pub plant: Option<Plant>,
    /// Share of native activity that is a recount, a stale row saved, or a counter written by hand.
    pub tamper_percent: u64,
    /// Share of slots of the classes `rare` (on request) and `walk_in` (not offered).
    pub classes_percent: u64,
    /// Turns of the agency's switch and requests for units, a thousand steps.
    pub agency_per_mille: u64,
    pub restores: Restores,
    pub displaces: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restores {
    None,
    Legacy,
    Ledger,
}

impl Options {
    /// Each seed its own mix (swarm testing), so that rare combinations meet.
    pub fn swarm(seed: u64) -> Options {
        let mut rng = Rng(seed ^ 0x5eed);
        Options {
            slots: 1 + rng.below(8),
            persons: 4 + rng.below(40),
            steps: 150 + rng.below(250),
            faults_percent: [0, 3, 10, 25][rng.below(4) as usize],
            native_percent: [5, 20, 50][rng.below(3) as usize],
            mode: match rng.below(8) {
                0 => AllotmentMode::Quota,
                1 => AllotmentMode::Remaining,
                2 => AllotmentMode::Capacity,
                3 => AllotmentMode::CountRows,
                _ => AllotmentMode::Counter,
            },
            plant: None,
            tamper_percent: [0, 0, 5, 25][rng.below(4) as usize],
            classes_percent: [0, 20, 60][rng.below(3) as usize],
            agency_per_mille: [0, 20, 60][rng.below(3) as usize],
            restores: [Restores::None, Restores::None, Restores::Legacy, Restores::Ledger][rng.below(4) as usize],
            displaces: rng.below(4) == 0,
        }
    }
}

/// SplitMix64: one seed draws everything.
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub fn percent(&mut self, p: u64) -> bool {
        self.below(100) < p
    }
}
