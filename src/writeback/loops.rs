//! The write-back thread: owns the connection, sleeps until woken, opens a new connection when one is lost.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Settings, Stats, Stopped, Turn, Wake, Worker};
use crate::legacy::{Heartbeat, LegacyError, LegacyWrite};

/// Opens a connection to the legacy system, on the thread that will use it.
pub type Connect = Box<dyn Fn() -> Result<Box<dyn LegacyWrite>, LegacyError> + Send>;
/// What the heartbeat states.
pub type Beat = Box<dyn Fn() -> Heartbeat + Send>;

pub struct Running {
    wake: Wake,
    stop: Arc<AtomicBool>,
    stats: Arc<Mutex<Stats>>,
    thread: JoinHandle<Result<(), Stopped>>,
}

impl Running {
    pub fn stats(&self) -> Stats {
        self.stats.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// Stops after the transaction that runs. What is left is claimed again at the next start.
    pub fn stop(self) -> Result<(), Stopped> {
        self.stop.store(true, Ordering::Release);
        self.wake.notify();
        self.thread.join().unwrap_or_else(|_| {
            tracing::error!("the write-back thread panicked");
            Ok(())
        })
    }
}

/// Starts the thread. `wake` is notified whenever ops wait.
pub fn start(
    worker: Worker,
    settings: &Settings,
    connect: Connect,
    beat: Beat,
    wake: Wake,
) -> Result<Running, std::io::Error> {
    let (stop, stats) = (Arc::new(AtomicBool::new(false)), worker.stats());
    let heart = Heart { interval: Duration::from_millis(settings.heartbeat_interval_ms), due: Instant::now(), beat };
    let mut state = Loop { worker, connect, heart, wake: wake.clone(), stop: stop.clone() };
    let thread = std::thread::Builder::new().name(String::from("writeback")).spawn(move || state.run())?;
    Ok(Running { wake, stop, stats, thread })
}

struct Heart {
    interval: Duration,
    due: Instant,
    beat: Beat,
}

struct Loop {
    worker: Worker,
    connect: Connect,
    heart: Heart,
    wake: Wake,
    stop: Arc<AtomicBool>,
}

impl Loop {
    fn run(&mut self) -> Result<(), Stopped> {
        let mut port: Option<Box<dyn LegacyWrite>> = None;
        while !self.stop.load(Ordering::Acquire) {
            let turn = match &mut port {
                Some(open) => {
                    if self.worker.may_beat() {
                        self.heart.beat(&mut **open);
                    }
                    self.worker.turn(&mut **open)?
                }
                None => match self.worker.may_connect() {
                    Some(wait_ms) => Turn::Lost { wait_ms },
                    None => match (self.connect)() {
                        Ok(open) => {
                            self.worker.connected();
                            port = Some(open);
                            continue;
                        }
                        Err(error) => self.worker.unreachable(&error),
                    },
                },
            };
            match turn {
                Turn::Worked => {}
                Turn::Idle { wait_ms } => {
                    self.wake.wait(wait_ms);
                }
                Turn::Lost { wait_ms } => {
                    port = None;
                    self.pause(wait_ms);
                }
            }
        }
        Ok(())
    }

    /// New ops do not shorten the wait for a legacy system that is away; only a stop does.
    fn pause(&self, wait_ms: u64) {
        let until = Instant::now() + Duration::from_millis(wait_ms);
        while !self.stop.load(Ordering::Acquire) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            self.wake.wait(u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1));
        }
    }
}

impl Heart {
    /// A beat that fails is a matter of the connection, which the next turn notices by itself.
    fn beat(&mut self, port: &mut dyn LegacyWrite) {
        if self.due > Instant::now() {
            return;
        }
        self.due = Instant::now() + self.interval;
        if let Err(error) = port.heartbeat((self.beat)()) {
            tracing::warn!(kind = error.kind.code(), %error, "the heartbeat could not be written");
        }
    }
}
