//! The one door to the desk: a bounded queue. Whoever wants something decided submits an event here.
//!
//! Invariants: requests of partners take at most `requests_max` places, so facts, outcomes of write-backs and ticks
//! always find room; nothing is decided here; an answer arrives only after its batch is durable.

mod body;
mod inner;
mod key;
mod request;
mod token;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot};

pub use crate::decide::Ask;
use crate::decide::Event;
use crate::domain::PartnerId;
use crate::durable::{Answer, Submission};

pub use body::{Fault, FaultKind, parse};
pub use inner::FACTS_MAX;
pub use key::{Macs, RequestKey};
pub use request::{
    AlternativesWanted, BODY_MAX, BookBody, Booking, IDS_MAX, SearchBody, SearchFor, TokenBody, TokenCall, cancel,
    person,
};
pub use token::{OpenToken, Opened};

/// Bounds of the queue. 4,096 requests at 20 k decisions/s wait 0.2 s, below any client's patience.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub requests_max: usize,
    /// Places for everything that is not a partner's request.
    pub inner_max: usize,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { requests_max: 4_096, inner_max: 1_024 }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Declined {
    /// Too many requests wait already: 503, nothing decided.
    #[error("the intake queue is full")]
    Overloaded,
    /// The desk has stopped: 503; whether the request was decided is known once it is back.
    #[error("the desk has stopped")]
    Stopped,
    /// No durable answer in time; the request may still be decided.
    #[error("no durable answer in time")]
    Late,
}

#[derive(Debug, Clone)]
pub struct Intake {
    queue: mpsc::Sender<Submission>,
    places: Arc<Semaphore>,
}

impl Intake {
    pub fn new(bounds: Bounds) -> (Intake, mpsc::Receiver<Submission>) {
        let (queue, receiver) = mpsc::channel(bounds.requests_max + bounds.inner_max);
        (Intake { queue, places: Arc::new(Semaphore::new(bounds.requests_max)) }, receiver)
    }

    /// A partner's request. Declined at once when the queue is full.
    pub async fn request(&self, event: Event) -> Result<Answer, Declined> {
        let _place = self.places.try_acquire().map_err(|_| Declined::Overloaded)?;
        let (answer, reply) = oneshot::channel();
        self.queue.try_send(Submission { event, answer: Some(answer) }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Declined::Overloaded,
            mpsc::error::TrySendError::Closed(_) => Declined::Stopped,
        })?;
        reply.await.map_err(|_| Declined::Stopped)
    }

    /// As `request`, with a bound on the wait. Whoever stops waiting leaves the request its place in the queue, so
    /// callers that give up cannot crowd out facts and outcomes.
    pub async fn ask(&self, partner: PartnerId, ask: Ask, wait_max: Duration) -> Result<Answer, Declined> {
        let intake = self.clone();
        // The committer names the ticket.
        let event = Event::Request { ticket: 0, partner, ask };
        let waiting = tokio::spawn(async move { intake.request(event).await });
        match tokio::time::timeout(wait_max, waiting).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Declined::Stopped),
            Err(_) => Err(Declined::Late),
        }
    }

    /// From the bridge's own threads (capture, write-back, ticks): waits for room and for the answer.
    /// Must not be called on a tokio worker.
    pub fn submit_blocking(&self, event: Event) -> Result<Answer, Declined> {
        let (answer, reply) = oneshot::channel();
        self.queue.blocking_send(Submission { event, answer: Some(answer) }).map_err(|_| Declined::Stopped)?;
        reply.blocking_recv().map_err(|_| Declined::Stopped)
    }

    /// As `submit_blocking`, for async callers inside the bridge.
    pub async fn submit(&self, event: Event) -> Result<Answer, Declined> {
        let (answer, reply) = oneshot::channel();
        self.queue.send(Submission { event, answer: Some(answer) }).await.map_err(|_| Declined::Stopped)?;
        reply.await.map_err(|_| Declined::Stopped)
    }

    /// Requests that wait or are being decided.
    pub fn requests_waiting(&self, bounds: Bounds) -> usize {
        bounds.requests_max.saturating_sub(self.places.available_permits())
    }
}
