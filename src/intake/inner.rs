//! The bridge's own events: facts from capture, outcomes from write-back.

use tokio::sync::oneshot;

use super::{Declined, Intake};
use crate::decide::{Event, MAX_FACTS};
use crate::domain::Fact;
use crate::durable::{Answer, Submission};

/// Bound of one chunk of `Intake::facts`.
pub const FACTS_MAX: usize = MAX_FACTS;

impl Intake {
    /// Facts in their order, at most `FACTS_MAX` a chunk; waits until all are durable, with an answer a chunk.
    /// Must not be called on a tokio worker.
    pub fn facts(&self, chunks: Vec<Vec<Fact>>) -> Result<Vec<Answer>, Declined> {
        self.submit_all_blocking(chunks.into_iter().map(|facts| Event::Facts { ticket: 0, facts }).collect())
    }

    /// Submits all events, then waits for all answers: one wait for the disk instead of one an event.
    /// Must not be called on a tokio worker.
    pub fn submit_all_blocking(&self, events: Vec<Event>) -> Result<Vec<Answer>, Declined> {
        let mut replies = Vec::with_capacity(events.len());
        for event in events {
            let (answer, reply) = oneshot::channel();
            self.queue.blocking_send(Submission { event, answer: Some(answer) }).map_err(|_| Declined::Stopped)?;
            replies.push(reply);
        }
        replies.into_iter().map(|reply| reply.blocking_recv().map_err(|_| Declined::Stopped)).collect()
    }
}
