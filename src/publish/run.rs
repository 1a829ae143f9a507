//! The publisher's thread.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::inbox::{Control, Inbox};
use super::publisher::{PublishError, Publisher, ReserveNumbers};
use crate::domain::Timestamp;

/// Longest and shortest pause between ticks, ms: how soon a resumed feed is looked at, and a bound on the rate.
const PAUSE_MS: (i64, i64) = (10, 1_000);
/// After a failed tick. The feeds stand still meanwhile; what is dirty is kept.
const RETRY_MS: u64 = 1_000;

/// The running thread.
pub struct Running {
    thread: JoinHandle<()>,
    control: Control,
}

impl Running {
    /// Ends the thread and waits for it.
    pub fn stop(self) {
        self.control.stop();
        if self.thread.join().is_err() {
            tracing::error!("the publisher's thread panicked");
        }
    }

    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }
}

/// Also where the thread panics.
struct Closing(Arc<Inbox>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Starts publishing on a thread of its own once `control` is told that it is ready.
pub fn run(
    mut publisher: Publisher,
    control: Control,
    mut numbers: Box<dyn ReserveNumbers>,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
) -> std::io::Result<Running> {
    let inbox = control.0.clone();
    let thread = std::thread::Builder::new().name("publish".to_owned()).spawn(move || {
        let _closing = Closing(inbox.clone());
        let mut going = inbox.wait_ready();
        while going {
            if let Some(rebind) = inbox.take_rebind() {
                // Whoever gave up waiting has its feeds all the same.
                let _ = rebind.reply.send(publisher.rebind(rebind.plans, clock(), &mut *numbers));
            }
            let pause = match publisher.tick(clock(), &mut *numbers) {
                Ok(()) => {
                    let until = publisher.next_tick().map_or(PAUSE_MS.1, |at| at.since_ms(clock()));
                    until.clamp(PAUSE_MS.0, PAUSE_MS.1) as u64
                }
                Err(PublishError::Stopped(_)) => break,
                Err(error) => {
                    publisher.count_failure();
                    tracing::error!(code = error.code(), %error, "a feed could not be published; it is tried again");
                    RETRY_MS
                }
            };
            going = inbox.wait_tick(Duration::from_millis(pause));
        }
        if let Err(error) = publisher.tell_all_left(clock()) {
            tracing::error!(code = error.code(), %error, "what left last is recorded at the next start");
        }
    })?;
    Ok(Running { thread, control })
}
