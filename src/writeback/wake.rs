//! Wakes a thread that sleeps until a deadline. A wake-up that comes too early is not lost.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

#[derive(Debug, Clone, Default)]
pub struct Wake(Arc<(Mutex<bool>, Condvar)>);

impl Wake {
    pub fn new() -> Wake {
        Wake::default()
    }

    /// Never blocks for long; may be called from anywhere.
    pub fn notify(&self) {
        let (woken, bell) = &*self.0;
        *woken.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = true;
        bell.notify_one();
    }

    /// Until notified, or for `wait_ms`. Returns whether it was notified.
    pub fn wait(&self, wait_ms: u64) -> bool {
        let (woken, bell) = &*self.0;
        let woken = woken.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let waited = bell.wait_timeout_while(woken, Duration::from_millis(wait_ms), |woken| !*woken);
        let (mut woken, _) = waited.unwrap_or_else(|poisoned| poisoned.into_inner());
        std::mem::replace(&mut woken, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wake_up_before_the_wait_is_not_lost() {
        let wake = Wake::new();
        wake.clone().notify();
        assert!(wake.wait(60_000));
        assert!(!wake.wait(0));
    }
}
