//! Pauses that double, with jitter, so that many waiters do not come back at once.

/// Pauses from `first_ms` on, doubled each time up to `last_ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    pub first_ms: u64,
    pub last_ms: u64,
}

impl Backoff {
    /// Pause after failure number `failures` (1 = the first): between half and the whole of the doubled pause.
    pub fn pause_ms(self, failures: u32, seed: u64) -> u64 {
        let doublings = failures.saturating_sub(1).min(32);
        let whole = self.first_ms.saturating_mul(1 << doublings).clamp(1, self.last_ms.max(1));
        let half = whole / 2;
        half + mixed(seed ^ u64::from(failures)) % (whole - half + 1)
    }
}

/// SplitMix64: spreads neighbouring seeds over all values.
fn mixed(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_pause_stays_between_half_and_whole(failures in 1u32..100, seed in any::<u64>()) {
            let backoff = Backoff { first_ms: 100, last_ms: 60_000 };
            let whole = (100u64 << u64::from((failures - 1).min(32))).min(60_000);
            let pause = backoff.pause_ms(failures, seed);
            prop_assert!((whole / 2..=whole).contains(&pause), "{pause} of {whole}");
        }
    }

    #[test]
    fn two_seeds_do_not_wait_alike() {
        let backoff = Backoff { first_ms: 1_000, last_ms: 60_000 };
        let pauses: Vec<u64> = (0..8).map(|seed| backoff.pause_ms(3, seed)).collect();
        assert!(pauses.windows(2).any(|pair| pair[0] != pair[1]));
        assert_eq!(backoff.pause_ms(3, 5), backoff.pause_ms(3, 5));
    }
}
