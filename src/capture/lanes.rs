//! The threads: each takes the turns of one lane until it is told to stop.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Capture;
use super::turns::{Connect, Turns};

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

impl Capture {
    /// Starts the threads. `resend` comes first.
    pub fn start(self: &Arc<Self>, connect: &Connect) -> Result<Running, std::io::Error> {
        let mut running = Running { capture: self.clone(), doors: Vec::new(), threads: Vec::new() };
        let lanes = self.turns(connect, Instant::now()).map_err(std::io::Error::other)?;
        for mut turns in lanes {
            let (door, calls) = channel();
            let name = turns.name().to_owned();
            let run = move || while turns.turn(&Instant::now).is_ok() && wait(&mut turns, &calls) {};
            running.threads.push(std::thread::Builder::new().name(name).spawn(run)?);
            running.doors.push(door);
        }
        Ok(running)
    }
}

/// Waits for the next poll or a call; false when it is time to stop.
fn wait(turns: &mut Turns, calls: &Receiver<Call>) -> bool {
    let due = turns.due().map_or(Duration::MAX, |due| due.saturating_duration_since(Instant::now()));
    match calls.recv_timeout(due) {
        Ok(Call::Now) => {
            turns.call(Instant::now());
            true
        }
        Err(RecvTimeoutError::Timeout) => true,
        Ok(Call::Stop) | Err(RecvTimeoutError::Disconnected) => false,
    }
}
