//! Ends calls that take too long, from another thread.
//!
//! The second line behind the client library's call timeout, and the only one with clients below 18. One thread for all
//! sessions. It breaks a call only while the session says that one is running, under the same lock: a break can hit the
//! watched call or find it just ended, never a later call unnoticed, because `ended` tells that it was broken and the
//! session is then thrown away.

use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::secret::locked;

/// Most sessions watched at once: those that a process may have, twice, because a session that is being replaced may
/// still be there.
pub const WATCHED_MAX: usize = 2 * super::settings::SESSIONS_MAX;

/// A connection whose running call another thread can end.
pub trait Interrupt: Send + Sync {
    fn interrupt(&self);
}

impl Interrupt for oracle::Connection {
    fn interrupt(&self) {
        if let Err(error) = self.break_execution() {
            tracing::warn!(code = %super::error::code_of(&error), "an Oracle call that took too long could not be ended");
        }
    }
}

pub struct Watchdog {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    watched: Vec<Watched>,
    next_id: u64,
    /// When the thread looks next by itself; an earlier deadline must wake it.
    looks_at: Option<Instant>,
    stops: bool,
}

struct Watched {
    id: u64,
    connection: Arc<dyn Interrupt>,
    deadline: Option<Instant>,
    broken: bool,
}

/// A session's place with the watchdog; dropped with the session.
pub struct Watch {
    shared: Arc<Shared>,
    id: u64,
}

impl Watchdog {
    pub fn start() -> std::io::Result<Watchdog> {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        let thread = std::thread::Builder::new().name("oracle-watchdog".to_owned()).spawn({
            let shared = shared.clone();
            move || shared.run()
        })?;
        Ok(Watchdog { shared, thread: Some(thread) })
    }

    /// `None`: `WATCHED_MAX` sessions are open.
    pub fn watch(&self, connection: Arc<dyn Interrupt>) -> Option<Watch> {
        let mut state = locked(&self.shared.state);
        if state.watched.len() >= WATCHED_MAX {
            return None;
        }
        let id = state.next_id;
        state.next_id += 1;
        state.watched.push(Watched { id, connection, deadline: None, broken: false });
        Some(Watch { shared: self.shared.clone(), id })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        locked(&self.shared.state).stops = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the Oracle watchdog had panicked");
        }
    }
}

impl Watch {
    /// A call begins that may take until `limit` from now.
    pub fn begins(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut state = locked(&self.shared.state);
        if let Some(watched) = state.watched.iter_mut().find(|watched| watched.id == self.id) {
            watched.deadline = Some(deadline);
        }
        // Only a deadline before the next look wakes the thread: a steady session costs no switch a call.
        if state.looks_at.is_none_or(|looks_at| deadline < looks_at) {
            state.looks_at = Some(deadline);
            self.shared.changed.notify_all();
        }
    }

    /// The call has returned. Was it, or the moment after it, broken?
    pub fn ended(&self) -> bool {
        let mut state = locked(&self.shared.state);
        let watched = state.watched.iter_mut().find(|watched| watched.id == self.id);
        watched.is_some_and(|watched| {
            watched.deadline = None;
            watched.broken
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        locked(&self.shared.state).watched.retain(|watched| watched.id != self.id);
    }
}

impl Shared {
    fn run(&self) {
        let mut state = locked(&self.state);
        while !state.stops {
            let now = Instant::now();
            for watched in state.watched.iter_mut().filter(|w| w.deadline.is_some_and(|deadline| deadline <= now)) {
                watched.deadline = None;
                watched.broken = true;
                watched.connection.interrupt();
            }
            state.looks_at = state.watched.iter().filter_map(|watched| watched.deadline).min();
            state = match state.looks_at {
                Some(looks_at) => {
                    let pause = looks_at.saturating_duration_since(now);
                    self.changed.wait_timeout(state, pause).unwrap_or_else(|broken| broken.into_inner()).0
                }
                None => self.changed.wait(state).unwrap_or_else(|broken| broken.into_inner()),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    struct Bell(Mutex<mpsc::Sender<()>>);

    impl Interrupt for Bell {
        fn interrupt(&self) {
            locked(&self.0).send(()).unwrap();
        }
    }

    fn bell() -> (Arc<Bell>, mpsc::Receiver<()>) {
        let (ring, heard) = mpsc::channel();
        (Arc::new(Bell(Mutex::new(ring))), heard)
    }

    const SOON: Duration = Duration::from_millis(20);
    const NEVER: Duration = Duration::from_secs(3_600);
    const DEADLINE: Duration = Duration::from_secs(20);

    #[test]
    fn a_call_over_its_limit_is_broken_once() {
        let dog = Watchdog::start().unwrap();
        let (connection, heard) = bell();
        let watch = dog.watch(connection).unwrap();
        watch.begins(SOON);
        heard.recv_timeout(DEADLINE).expect("a break");
        assert!(watch.ended(), "the session is not told");
        drop(dog);
        assert!(heard.try_recv().is_err());
    }

    #[test]
    fn a_short_limit_is_kept_beside_a_long_one() {
        let dog = Watchdog::start().unwrap();
        let (long, long_heard) = bell();
        let (short, short_heard) = bell();
        let (long, short) = (dog.watch(long).unwrap(), dog.watch(short).unwrap());
        long.begins(NEVER);
        short.begins(SOON);
        short_heard.recv_timeout(DEADLINE).expect("a break");
        assert!(short.ended() && !long.ended());
        assert!(long_heard.try_recv().is_err());
    }

    #[test]
    fn a_call_that_ended_is_not_broken() {
        let dog = Watchdog::start().unwrap();
        let (done, done_heard) = bell();
        let (running, running_heard) = bell();
        let (done, running) = (dog.watch(done).unwrap(), dog.watch(running).unwrap());
        done.begins(NEVER);
        assert!(!done.ended());
        done.begins(SOON);
        let broken = done.ended();
        running.begins(SOON);
        running_heard.recv_timeout(DEADLINE).expect("a break");
        assert_eq!(done_heard.try_recv().is_ok(), broken);
        drop(dog);
    }

    #[test]
    fn no_more_sessions_are_watched_than_the_bound() {
        let dog = Watchdog::start().unwrap();
        let mut watches: Vec<Watch> = (0..WATCHED_MAX).map(|_| dog.watch(bell().0).unwrap()).collect();
        assert!(dog.watch(bell().0).is_none());
        watches.pop();
        assert!(dog.watch(bell().0).is_some());
    }
}
