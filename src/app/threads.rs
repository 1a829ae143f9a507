//! What the daemon has started, and how all of it ends: also after a start that failed half way.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::Capturing;
use super::control::Door;
use super::reload::{LOOK, Reloader};
use crate::{publish, writeback};

/// The thread that looks whether the approvals still stand.
pub struct Looking {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Looking {
    pub fn start(reloader: Arc<Reloader>) -> std::io::Result<Looking> {
        let (stop, stopped) = channel();
        let look = move || {
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(LOOK) {
                reloader.look();
                reloader.tokens().tick();
            }
        };
        Ok(Looking { stop, thread: std::thread::Builder::new().name("approvals".to_owned()).spawn(look)? })
    }

    fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the thread that looks at approvals panicked");
        }
    }
}

/// How long a start that failed waits for what it has started.
const UNDO: Duration = Duration::from_secs(5);

/// In the order in which they were started; they end the other way round, the committer last.
#[derive(Default)]
pub struct Threads {
    pub door: Door,
    pub committing: Option<JoinHandle<()>>,
    pub publishing: Option<publish::Running>,
    pub capturing: Option<Arc<Capturing>>,
    pub writing: Option<writeback::Running>,
    pub looking: Option<Looking>,
    pub serving: Vec<tokio::task::JoinHandle<()>>,
    pub stop: CancellationToken,
}

impl Threads {
    pub fn new(door: Door) -> Threads {
        Threads { door, ..Threads::default() }
    }

    /// After a start that failed: nothing was acknowledged that is not durable, so nothing is waited for but the ends.
    pub fn stop(&mut self, runtime: &Handle) {
        let until = Instant::now() + UNDO;
        self.close(runtime, until);
        self.finish(until);
    }

    /// Listeners take no more; open requests finish.
    pub fn close(&mut self, runtime: &Handle, until: Instant) {
        self.stop.cancel();
        runtime.block_on(async {
            for served in self.serving.drain(..) {
                let left = until.saturating_duration_since(Instant::now());
                if tokio::time::timeout(left, served).await.is_err() {
                    tracing::warn!("a listener did not end in time and was cut");
                }
            }
        });
    }

    /// Capture, write-back and publishing end; then the committer does, because the last ways to it are shut.
    pub fn finish(&mut self, until: Instant) {
        let (capturing, writing, publishing) = (self.capturing.take(), self.writing.take(), self.publishing.take());
        let looking = self.looking.take();
        let ended = std::thread::spawn(move || {
            if let Some(looking) = looking {
                looking.stop();
            }
            if let Some(capturing) = capturing {
                capturing.stop();
            }
            if let Some(Err(error)) = writing.map(writeback::Running::stop) {
                tracing::warn!(%error, "write-back had ended before");
            }
            if let Some(publishing) = publishing {
                publishing.stop();
            }
        });
        wait_for(&ended, until, "capture, write-back or publishing");
        self.door.shut();
        if let Some(committing) = &self.committing {
            wait_for(committing, until, "the committer");
        }
    }
}

fn wait_for(thread: &JoinHandle<()>, until: Instant, what: &str) {
    while !thread.is_finished() {
        if Instant::now() >= until {
            return tracing::warn!("{what} did not end in time and is cut; nothing acknowledged is lost");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
