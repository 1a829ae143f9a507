//! Token buckets, one a partner and class. Never per address: a partner is a few machines with many users.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::domain::{PartnerId, Timestamp};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub per_s: u32,
    pub burst: u32,
}

/// Buckets of one class. Levels are counted in thousandths of a request.
pub(super) struct Buckets {
    pub(super) class: &'static str,
    pub(super) rate: Rate,
    levels: Mutex<BTreeMap<PartnerId, Level>>,
}

#[derive(Debug, Clone, Copy)]
struct Level {
    milli: u64,
    at: Timestamp,
}

/// What is left after a request, or that nothing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    Left(u64),
    Empty,
}

impl Buckets {
    pub(super) fn new(class: &'static str, rate: Rate) -> Buckets {
        Buckets { class, rate, levels: Mutex::default() }
    }

    /// Only authenticated partners get here, so the map is as small as the partners' file.
    pub(super) fn take(&self, partner: &PartnerId, now: Timestamp) -> Taken {
        let full = u64::from(self.rate.burst) * 1_000;
        let mut levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        let level = levels.entry(partner.clone()).or_insert(Level { milli: full, at: now });
        // A clock that steps back refills nothing.
        let passed_ms = u64::try_from(now.since_ms(level.at)).unwrap_or(0);
        level.milli = level.milli.saturating_add(passed_ms.saturating_mul(u64::from(self.rate.per_s))).min(full);
        level.at = now;
        if level.milli < 1_000 {
            return Taken::Empty;
        }
        level.milli -= 1_000;
        Taken::Left(level.milli / 1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let buckets = Buckets::new("book", Rate { per_s: 10, burst: 3 });
        let (naver, kakao) = (PartnerId::new("naver").unwrap(), PartnerId::new("kakao").unwrap());
        let take = |partner: &PartnerId, ms: i64| buckets.take(partner, Timestamp(ms));
        assert_eq!(
            [take(&naver, 0), take(&naver, 0), take(&naver, 0)],
            [Taken::Left(2), Taken::Left(1), Taken::Left(0)]
        );
        assert_eq!(take(&naver, 0), Taken::Empty);
        assert_eq!(take(&kakao, 0), Taken::Left(2));
        assert_eq!(take(&naver, 99), Taken::Empty);
        assert_eq!(take(&naver, 100), Taken::Left(0));
        assert_eq!(take(&naver, 50), Taken::Empty);
        assert_eq!(take(&naver, 10_000), Taken::Left(2));
    }
}
