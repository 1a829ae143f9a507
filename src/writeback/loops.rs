//! The write-back thread: owns the connection, sleeps until woken, opens a new connection when one is lost.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Settings, Stats, Stopped, Turn, Wake, Worker};
use crate::clock::Clock;
use crate::domain::{Timestamp, time::DAY_MS};
use crate::legacy::{Heartbeat, LegacyError, LegacyWrite};

/// Opens a connection to the legacy system, on the thread that will use it.
pub type Connect = Box<dyn Fn() -> Result<Box<dyn LegacyWrite>, LegacyError> + Send>;
/// What the heartbeat states.
pub type Beat = Box<dyn Fn() -> Heartbeat + Send>;
/// What the hourly upkeep needs of its surroundings.
pub struct Surroundings {
    /// When the ledger was last backed up; `None`: never, as far as anybody here knows.
    pub backed_up_at: Box<dyn Fn() -> Option<Timestamp> + Send>,
    /// Is told how many days the password of the account has left.
    pub password_days: Box<dyn Fn(Option<i64>) + Send>,
    pub clock: Arc<dyn Clock>,
}

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
    surroundings: Surroundings,
    wake: Wake,
) -> Result<Running, std::io::Error> {
    let (stop, stats) = (Arc::new(AtomicBool::new(false)), worker.stats());
    let heart = Heart { interval: Duration::from_millis(settings.heartbeat_interval_ms), due: Instant::now(), beat };
    let upkeep = Upkeep { due: Instant::now(), surroundings };
    let mut state = Loop { worker, connect, heart, upkeep, wake: wake.clone(), stop: stop.clone() };
    let thread = std::thread::Builder::new().name(String::from("writeback")).spawn(move || state.run())?;
    Ok(Running { wake, stop, stats, thread })
}

struct Heart {
    interval: Duration,
    due: Instant,
    beat: Beat,
}

/// What is done when nothing waits.
struct Upkeep {
    due: Instant,
    surroundings: Surroundings,
}

struct Loop {
    worker: Worker,
    connect: Connect,
    heart: Heart,
    upkeep: Upkeep,
    wake: Wake,
    stop: Arc<AtomicBool>,
}

impl Loop {
    fn run(&mut self) -> Result<(), Stopped> {
        let mut port: Option<Box<dyn LegacyWrite>> = None;
        while !self.stop.load(Ordering::Acquire) {
            let turn = match &mut port {
                Some(open) => {
                    let beaten = if self.worker.may_beat() { self.heart.beat(&mut **open) } else { Ok(()) };
                    match beaten.err().and_then(|error| self.worker.unbeaten(&error)) {
                        Some(lost) => lost,
                        None => self.worker.turn(&mut **open)?,
                    }
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
                    if self.worker.may_tidy()
                        && let Some(open) = &mut port
                    {
                        self.upkeep.turn(&mut **open);
                    }
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

const UPKEEP_EVERY: Duration = Duration::from_secs(3_600);
/// An answer may be asked for by a ledger restored from a backup, for as long as backups are kept.
const APPLIED_KEPT_DAYS: i64 = 35;
/// Rows of one delete: a few milliseconds of redo.
const FORGOTTEN_MAX: u32 = 500;

impl Upkeep {
    /// A failure here is told and tried again in an hour; the connection's own trouble shows at the next turn.
    fn turn(&mut self, port: &mut dyn LegacyWrite) {
        if self.due > Instant::now() {
            return;
        }
        self.due = Instant::now() + UPKEEP_EVERY;
        match port.password_days() {
            Ok(days) => (self.surroundings.password_days)(days),
            Err(error) => tracing::warn!(class = error.class, %error, "the password's end is not known"),
        }
        let Some(at) = (self.surroundings.backed_up_at)() else { return };
        match port.forget_applied(kept_days(self.surroundings.clock.now(), at), FORGOTTEN_MAX) {
            // There may be more: at the next idle moment.
            Ok(gone) if gone >= u64::from(FORGOTTEN_MAX) => self.due = Instant::now(),
            Ok(_) => {}
            Err(error) => tracing::warn!(class = error.class, %error, "old answers could not be forgotten"),
        }
    }
}

/// Days that answers are kept: since the backup, and as long again as backups are.
fn kept_days(now: Timestamp, backed_up_at: Timestamp) -> u32 {
    let since = now.since_ms(backed_up_at).max(0).div_euclid(DAY_MS) + 1;
    u32::try_from(since + APPLIED_KEPT_DAYS).unwrap_or(u32::MAX)
}

impl Heart {
    fn beat(&mut self, port: &mut dyn LegacyWrite) -> Result<(), LegacyError> {
        if self.due > Instant::now() {
            return Ok(());
        }
        self.due = Instant::now() + self.interval;
        port.heartbeat((self.beat)())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_kept_for_35_days_before_the_last_backup() {
        let backup = Timestamp(1_795_345_200_000);
        assert_eq!(kept_days(backup, backup), 36);
        assert_eq!(kept_days(backup.plus_ms(10 * DAY_MS), backup), 46);
        // A clock that was set back.
        assert_eq!(kept_days(backup.plus_ms(-DAY_MS), backup), 36);
    }
}
