//! How many ops go into one transaction: rows are locked until its end, and native selling waits for them.

/// Halved when a transaction took longer than it may; one more after a full one that took less than half of that.
#[derive(Debug, Clone)]
pub struct Pace {
    most: usize,
    ops: usize,
    took_ms_max: i64,
}

impl Pace {
    pub fn new(most: usize, took_ms_max: u64) -> Pace {
        let most = most.max(1);
        Pace { most, ops: most, took_ms_max: i64::try_from(took_ms_max).unwrap_or(i64::MAX) }
    }

    /// Ops of the next transaction, at least one.
    pub fn ops(&self) -> usize {
        self.ops
    }

    /// A transaction of so many ops took so long. A time below zero is a clock that was set.
    pub fn took(&mut self, ops: usize, took_ms: i64) {
        if took_ms > self.took_ms_max {
            self.ops = (self.ops / 2).max(1);
        } else if ops >= self.ops && (0..=self.took_ms_max / 2).contains(&took_ms) {
            self.ops = (self.ops + 1).min(self.most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_transaction_halves_the_next_and_quick_full_ones_bring_it_back_one_by_one() {
        let mut pace = Pace::new(50, 200);
        pace.took(50, 200);
        assert_eq!(pace.ops(), 50);
        pace.took(50, 201);
        assert_eq!(pace.ops(), 25);
        pace.took(3, 10);
        assert_eq!(pace.ops(), 25, "a small transaction says nothing about a full one");
        pace.took(25, 101);
        assert_eq!(pace.ops(), 25);
        pace.took(25, 100);
        assert_eq!(pace.ops(), 26);
        (0..9).for_each(|_| pace.took(1, 5_000));
        assert_eq!(pace.ops(), 1);
        (0..99).for_each(|_| pace.took(50, 1));
        assert_eq!(pace.ops(), 50);
    }
}
