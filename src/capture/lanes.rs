//! The threads: full cuts, hints and persons, each with a connection of its own, so that a long cut never holds up
//! the fast poll.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::lane::{Lane, Report};
use super::stats::Poll;
use super::{Capture, CaptureError, locked, next_poll_ms};
use crate::domain::{ObjectName, Timestamp};
use crate::legacy::{LegacyError, LegacyRead};

/// Opens a connection to the legacy system, on the thread that will use it.
pub type Connect = Arc<dyn Fn() -> Result<Box<dyn LegacyRead>, LegacyError> + Send + Sync>;

/// Pause after a failure: doubled from the first to the last.
const PAUSE_FIRST_MS: u64 = 500;
const PAUSE_LAST_MS: u64 = 60_000;

/// The running threads. Dropping it stops them without waiting.
pub struct Running {
    capture: Arc<Capture>,
    doors: Vec<Sender<Call>>,
    threads: Vec<JoinHandle<()>>,
}

enum Call {
    /// A full cut now, whatever its interval says.
    Now,
    Stop,
}

impl Running {
    /// Asks for full cuts now: after a confirmation, or when an operator wants them.
    pub fn poll_now(&self) {
        for door in &self.doors {
            let _ = door.send(Call::Now);
        }
    }

    /// Breaks off the polls that run, which then change nothing, and waits for the threads.
    pub fn stop(mut self) {
        self.capture.stopping.store(true, Ordering::Release);
        for door in &self.doors {
            let _ = door.send(Call::Stop);
        }
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a capture thread panicked");
            }
        }
    }
}

type Run = Box<dyn FnMut(&mut Lane, &mut dyn LegacyRead) -> Result<Report, CaptureError> + Send>;

/// What a lane does when its turn comes.
struct Job {
    name: &'static str,
    interval_ms: u64,
    run: Run,
    due: Instant,
    /// Full cuts obey `poll_now`.
    full: bool,
}

impl Capture {
    /// Starts the threads. `resend` comes first.
    pub fn start(self: &Arc<Self>, connect: &Connect) -> Result<Running, std::io::Error> {
        let followed: Arc<Mutex<Option<Timestamp>>> = Arc::default();
        let mut running = Running { capture: self.clone(), doors: Vec::new(), threads: Vec::new() };
        let lanes: [(&str, Vec<Job>); 3] = [
            ("capture-full", self.full_jobs(&followed)),
            ("capture-hints", self.hint_jobs(&followed)),
            ("capture-persons", self.person_jobs()),
        ];
        for (name, jobs) in lanes {
            if jobs.is_empty() {
                continue;
            }
            let (door, calls) = channel();
            let (capture, connect) = (self.clone(), connect.clone());
            let thread = std::thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || Loop { capture, connect, calls, jobs, pause_ms: PAUSE_FIRST_MS }.run())?;
            running.doors.push(door);
            running.threads.push(thread);
        }
        Ok(running)
    }

    fn full_jobs(&self, followed: &Arc<Mutex<Option<Timestamp>>>) -> Vec<Job> {
        let job = |group: Vec<ObjectName>| {
            let offers = group.iter().any(|object| object.as_str() == "slot");
            let followed = followed.clone();
            let run = move |lane: &mut Lane, reader: &mut dyn LegacyRead| {
                let report = lane.full(&group, reader)?;
                if offers {
                    // Also of a cut that is not believed: what changes from now on is not in doubt.
                    locked(&followed).get_or_insert(report.as_of);
                    lane.purge()?;
                }
                Ok(report)
            };
            Job {
                name: "full",
                interval_ms: self.settings.full_interval_ms,
                run: Box::new(run),
                due: Instant::now(),
                full: true,
            }
        };
        Lane::groups(self).into_iter().map(job).collect()
    }

    fn hint_jobs(&self, followed: &Arc<Mutex<Option<Timestamp>>>) -> Vec<Job> {
        let hint = |name, interval_ms, poll: Poll| {
            let followed = followed.clone();
            let run = move |lane: &mut Lane, reader: &mut dyn LegacyRead| {
                let Some(as_of) = *locked(&followed) else { return Ok(Report::default()) };
                lane.follow(as_of);
                Ok(lane.changes(poll, reader)?.unwrap_or_default())
            };
            Job { name, interval_ms, run: Box::new(run), due: Instant::now(), full: false }
        };
        let settings = &self.settings;
        let mut jobs = vec![
            hint("fast", settings.fast_interval_ms, Poll::Fast),
            hint("sweep", settings.sweep_interval_ms, Poll::Sweep),
        ];
        if self.hot_keys.is_some() {
            let followed = followed.clone();
            let run = move |lane: &mut Lane, reader: &mut dyn LegacyRead| {
                let capture = lane.capture.clone();
                let keys = capture.hot_keys.as_ref().map(|keys| keys()).unwrap_or_default();
                if keys.is_empty() || locked(&followed).is_none() {
                    return Ok(Report::default());
                }
                lane.hot(&keys, reader)
            };
            jobs.push(Job {
                name: "hot",
                interval_ms: settings.hot_interval_ms,
                run: Box::new(run),
                due: Instant::now(),
                full: false,
            });
        }
        jobs
    }

    fn person_jobs(&self) -> Vec<Job> {
        if self.plan("person").is_none() {
            return Vec::new();
        }
        let run = |lane: &mut Lane, reader: &mut dyn LegacyRead| lane.persons(reader);
        let interval_ms = self.settings.persons_interval_ms;
        vec![Job { name: "persons", interval_ms, run: Box::new(run), due: Instant::now(), full: true }]
    }
}

impl Lane {
    /// Forgets ends of rows that no feed needs any more.
    fn purge(&mut self) -> Result<(), CaptureError> {
        let before = self.capture.clock.now().plus_ms(-self.capture.settings.gone_kept_ms);
        self.capture.mirror.purge_gone(before)?;
        Ok(())
    }
}

struct Loop {
    capture: Arc<Capture>,
    connect: Connect,
    calls: Receiver<Call>,
    jobs: Vec<Job>,
    pause_ms: u64,
}

impl Loop {
    fn run(mut self) {
        let mut lane = match Lane::new(&self.capture) {
            Ok(lane) => lane,
            Err(error) => return tracing::error!(code = error.code(), %error, "capture cannot work"),
        };
        let mut reader: Option<Box<dyn LegacyRead>> = None;
        loop {
            match self.turn(&mut lane, &mut reader) {
                Ok(()) => self.pause_ms = PAUSE_FIRST_MS,
                Err(CaptureError::DeskStopped | CaptureError::Stopping) => return,
                Err(error) => {
                    self.told(&error);
                    reader = None;
                    self.put_off();
                }
            }
            if !self.wait() {
                return;
            }
        }
    }

    /// Runs every job that is due.
    fn turn(&mut self, lane: &mut Lane, reader: &mut Option<Box<dyn LegacyRead>>) -> Result<(), CaptureError> {
        for job in &mut self.jobs {
            if job.due > Instant::now() {
                continue;
            }
            let open = match reader {
                Some(open) => open,
                None => reader.insert((self.connect)()?),
            };
            let (begun, before) = (Instant::now(), open.statements());
            let read_ms = (job.run)(lane, &mut **open)?.read_us / 1_000;
            let wait_ms = next_poll_ms(job.interval_ms, read_ms, self.capture.settings.duty_percent_max);
            job.due = begun + Duration::from_millis(wait_ms);
            locked(&self.capture.stats).statements += open.statements().saturating_sub(before);
            tracing::debug!(job = job.name, read_ms, wait_ms, "polled");
        }
        Ok(())
    }

    /// What a person must see to is an error; what passes by itself is a warning.
    fn told(&self, error: &CaptureError) {
        let passes = matches!(error, CaptureError::Legacy(error) if error.kind.passes());
        match passes {
            true => tracing::warn!(code = error.code(), %error, pause_ms = self.pause_ms, "a poll failed"),
            false => tracing::error!(code = error.code(), %error, pause_ms = self.pause_ms, "a poll failed"),
        }
    }

    fn put_off(&mut self) {
        let until = Instant::now() + Duration::from_millis(self.pause_ms);
        for job in &mut self.jobs {
            job.due = job.due.max(until);
        }
        self.pause_ms = (self.pause_ms * 2).min(PAUSE_LAST_MS);
    }

    /// Waits for the next job or a call; false when it is time to stop.
    fn wait(&mut self) -> bool {
        let next = self.jobs.iter().map(|job| job.due).min().unwrap_or_else(Instant::now);
        match self.calls.recv_timeout(next.saturating_duration_since(Instant::now())) {
            Ok(Call::Now) => {
                for job in self.jobs.iter_mut().filter(|job| job.full) {
                    job.due = Instant::now();
                }
                true
            }
            Err(RecvTimeoutError::Timeout) => true,
            Ok(Call::Stop) | Err(RecvTimeoutError::Disconnected) => false,
        }
    }
}
