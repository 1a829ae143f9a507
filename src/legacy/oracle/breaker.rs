//! Keeps a role's threads from hammering a server that cannot be reached.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::secret::locked;
use crate::schedule::Backoff;

/// Pauses between logons that fail: short enough not to delay a restart of the listener, long enough for a dead server.
const PAUSES: Backoff = Backoff { first_ms: 500, last_ms: 60_000 };

/// Shared by the threads of one role.
#[derive(Debug, Default)]
pub struct Breaker {
    state: Mutex<State>,
}

#[derive(Debug, Default, Clone, Copy)]
struct State {
    failures: u32,
    open_until: Option<Instant>,
}

/// Nobody tries before that much time has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Open {
    pub failures: u32,
    pub pause: Duration,
}

impl Breaker {
    pub fn may_try(&self, now: Instant) -> Result<(), Open> {
        let state = *locked(&self.state);
        match state.open_until {
            Some(at) if at > now => Err(Open { failures: state.failures, pause: at - now }),
            _ => Ok(()),
        }
    }

    pub fn failed(&self, now: Instant) {
        let mut state = locked(&self.state);
        state.failures = state.failures.saturating_add(1);
        let pause = PAUSES.pause_ms(state.failures, u64::from(std::process::id()));
        state.open_until = Some(now + Duration::from_millis(pause));
    }

    pub fn succeeded(&self) {
        *locked(&self.state) = State::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_waits_longer_up_to_a_minute() {
        let breaker = Breaker::default();
        let now = Instant::now();
        assert_eq!(breaker.may_try(now), Ok(()));
        let mut pauses = Vec::new();
        for failures in 1..=12 {
            breaker.failed(now);
            let open = breaker.may_try(now).unwrap_err();
            assert_eq!(open.failures, failures);
            assert_eq!(breaker.may_try(now + open.pause), Ok(()));
            pauses.push(open.pause);
        }
        assert!(pauses[0] <= Duration::from_millis(500) && pauses[3] > pauses[0]);
        assert!(pauses[11] >= Duration::from_secs(30) && pauses[11] <= Duration::from_secs(60));
        breaker.succeeded();
        assert_eq!(breaker.may_try(now), Ok(()));
    }
}
