//! What the admin socket can do. Whatever changes something goes to the desk as an event.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::admin::{Ask, Commands, Peer, Told};
use crate::decide::{Conflict, ConflictKind, Event};
use crate::domain::time::HOUR_MS;
use crate::domain::{BookingId, BookingStatus, EndReason, Incarnation, ObjectName, PartnerId};
use crate::durable::Answer;
use crate::evidence::Actor;
use crate::intake::{Bounds, Declined, Intake};
use crate::ledger::{Hash, Head, LedgerReader, snapshot};
use crate::legacy::stored;
use crate::publish::Jump;
use crate::writeback::{self, Order, Orders};

use super::Poller;
use super::conflicts;
use super::desk::Window;
use super::meter::Condition;
use super::reload::Reloader;
use super::tokens::EpochFailed;

/// Taking a snapshot copies the desk's state: seconds at 15 M bookings.
const SNAPSHOT_WAIT: Duration = Duration::from_secs(30);

/// A way to the desk that the stop can shut: the committer ends once nobody can submit any more, and jobs and
/// measurements may outlive the threads that they look at.
#[derive(Clone, Default)]
pub struct Door(Arc<Mutex<Option<Intake>>>);

impl Door {
    pub fn new(intake: Intake) -> Door {
        Door(Arc::new(Mutex::new(Some(intake))))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Intake>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub fn shut(&self) {
        *self.lock() = None;
    }

    /// Waits for the answer; must not be called on a tokio worker.
    pub fn submit(&self, event: Event) -> Result<Answer, Declined> {
        let intake = self.lock().clone().ok_or(Declined::Stopped)?;
        intake.submit_blocking(event)
    }

    /// Requests that wait or are being decided.
    pub fn waiting(&self, bounds: Bounds) -> usize {
        self.lock().as_ref().map_or(0, |intake| intake.requests_waiting(bounds))
    }
}

pub struct Control {
    pub condition: Arc<Condition>,
    pub door: Door,
    pub snapshots: Snapshots,
    pub orders: Orders,
    pub poller: Poller,
    pub reloader: Arc<Reloader>,
}

impl Control {
    /// Only ops that are set aside can be ordered; anything else would be decided behind the worker's back.
    fn order(&self, orders: Vec<Order>) -> Told {
        let aside = self.condition.writeback().aside;
        for order in &orders {
            let (Order::Retry { op } | Order::Settle { op, .. }) = order;
            if !aside.iter().any(|aside| aside.op == *op) {
                let detail = format!("op {op} is not set aside; `slotbridge status` lists those that are");
                return Told::Error { code: "not_set_aside".to_owned(), detail };
            }
        }
        let count = orders.len();
        for order in orders {
            if !self.orders.give(order) {
                let detail = "too many orders wait already; try again in a second".to_owned();
                return Told::Error { code: "too_many_orders".to_owned(), detail };
            }
        }
        Told::Ok(serde_json::json!({ "ordered": count }))
    }
}

/// Writes the desk's state beside the ledger.
#[derive(Clone)]
pub struct Snapshots {
    pub dir: PathBuf,
    pub incarnation: Incarnation,
    pub window: Window,
    pub reader: Arc<LedgerReader>,
    pub door: Door,
}

impl Snapshots {
    /// Blocks until it is written; must not be called on a tokio worker. Returns the file.
    pub fn write(&self) -> Result<PathBuf, String> {
        let waiting = self.window.snapshot().ok_or("too many snapshots are being taken already")?;
        // A batch makes the desk show itself, also when nobody books.
        self.door.submit(Event::Reserve { ticket: 0, count: 1 }).map_err(|error| error.to_string())?;
        let state = waiting.recv_timeout(SNAPSHOT_WAIT).map_err(|_| "the desk did not answer in time".to_owned())?;
        let hash: Option<Hash> = self.reader.hash_at(state.position).map_err(|error| error.to_string())?;
        let hash = hash.ok_or("the snapshot does not end where a batch ends")?;
        let header = snapshot::Header { incarnation: self.incarnation, head: Head { position: state.position, hash } };
        snapshot::save(&self.dir, &header, &state).map_err(|error| error.to_string())
    }
}

impl Commands for Control {
    fn answer(&self, ask: Ask, _: Peer) -> Told {
        match ask {
            Ask::Status => Told::Ok(self.condition.status()),
            Ask::Snapshot => match self.snapshots.write() {
                Ok(path) => Told::Ok(serde_json::json!({ "written": path })),
                Err(detail) => Told::Error { code: "snapshot_failed".to_owned(), detail },
            },
            Ask::Retry { ops } => self.order(ops.into_iter().map(|op| Order::Retry { op }).collect()),
            Ask::Settle { op, result } => {
                let reply = match result.as_deref() {
                    None => Some(writeback::not_applied()),
                    Some(text) => stored::decode(text),
                };
                match reply {
                    Some(reply) => self.order(vec![Order::Settle { op, reply }]),
                    None => Told::Error {
                        code: "not_a_result".to_owned(),
                        detail: "that is no text as SB_APPLIED.RESULT holds it, such as `converted R0000000001`"
                            .to_owned(),
                    },
                }
            }
            Ask::Release { slots } => {
                let count = slots.len();
                tracing::info!(slots = count, "free units of slots are released on request");
                match self.door.submit(Event::Release { slots }) {
                    Ok(_) => Told::Ok(serde_json::json!({ "released": count })),
                    Err(error) => Told::Error { code: "not_released".to_owned(), detail: error.to_string() },
                }
            }
            Ask::Conflicts => {
                let all = self.conflicts();
                Told::Ok(serde_json::json!({ "conflicts": all.iter().map(conflicts::told).collect::<Vec<_>>() }))
            }
            Ask::Redrive { booking } => self.redrive(booking),
            Ask::Rotate { overlap_h, by } => {
                let done = self.reloader.tokens().rotate(i64::from(overlap_h) * HOUR_MS, Actor::Operator(by));
                epoch_told(done.map(|epoch| serde_json::json!({ "epoch": epoch })))
            }
            Ask::DestroyEpoch { epoch, by } => {
                let done = self.reloader.tokens().destroy(epoch, Actor::Operator(by));
                epoch_told(done.map(|keys| serde_json::json!({ "epoch": epoch, "keys": keys })))
            }
            Ask::Confirm { object } => self.confirm(&object),
            Ask::Reload => match self.reloader.reload() {
                Ok(done) => Told::Ok(serde_json::to_value(done).unwrap_or_default()),
                Err(error) => Told::Error { code: error.code.to_owned(), detail: error.to_string() },
            },
            Ask::ConfirmRows { partner, feed } => self.confirm_rows(&partner, &feed),
            Ask::RetryFeed { partner, feed } => self.retry_feed(&partner, &feed),
        }
    }
}

fn epoch_told(done: Result<serde_json::Value, EpochFailed>) -> Told {
    match done {
        Ok(value) => Told::Ok(value),
        Err(error) => Told::Error { code: error.code().to_owned(), detail: error.to_string() },
    }
}

impl Control {
    /// As of now: a batch makes the desk show itself, also when nobody books. Without one, what was seen last.
    fn conflicts(&self) -> Arc<[Conflict]> {
        self.condition.window.want();
        if let Err(error) = self.door.submit(Event::Reserve { ticket: 0, count: 1 }) {
            tracing::debug!(%error, "the desk is not asked any more");
        }
        self.condition.window.seen().conflicts
    }

    /// The desk passes over what it cannot do without a word: what came of it is read from the booking.
    fn redrive(&self, booking: BookingId) -> Told {
        let refused = ConflictKind::Displaced { reason: EndReason::LegacyRefused };
        if !self.conflicts().iter().any(|conflict| conflict.booking == Some(booking) && conflict.kind == refused) {
            let detail =
                format!("no rule of the legacy system displaced {booking}; `slotbridge conflicts` lists those");
            return Told::Error { code: "not_displaced".to_owned(), detail };
        }
        if let Err(error) = self.door.submit(Event::Redrive { booking }) {
            return Told::Error { code: "not_redriven".to_owned(), detail: error.to_string() };
        }
        if self.condition.status_of(booking) == Some(BookingStatus::Displaced) {
            let detail = "the slot has no free unit, or the person has another booking by now".to_owned();
            return Told::Error { code: "not_redriven".to_owned(), detail };
        }
        tracing::info!(%booking, "a displaced booking is driven again on request");
        Told::Ok(serde_json::json!({ "redriven": booking.to_string() }))
    }

    fn confirm(&self, object: &ObjectName) -> Told {
        let capture = &self.condition.capture;
        let refused = capture.refused().into_iter().find(|cut| cut.object == *object);
        match refused.filter(|_| capture.confirm(object)) {
            Some(cut) => {
                tracing::warn!(object = %object, live = cut.live, lost = cut.lost, "a refused cut is confirmed");
                self.poller.now();
                Told::Ok(serde_json::json!({ "confirmed": object, "known_rows": cut.live, "lost_rows": cut.lost }))
            }
            None => Told::Error { code: "not_refused".to_owned(), detail: format!("no cut of {object} is refused") },
        }
    }

    fn confirm_rows(&self, partner: &PartnerId, feed: &str) -> Told {
        match self.condition.feeds.confirm(partner, feed) {
            Some(Jump { before, after }) => {
                tracing::warn!(partner = partner.as_str(), feed, before, after, "a row jump is confirmed");
                Told::Ok(serde_json::json!({ "confirmed": feed, "rows_before": before, "rows_after": after }))
            }
            None => Told::Error {
                code: "not_asked".to_owned(),
                detail: format!("no change of rows of {partner}'s {feed} waits for confirmation"),
            },
        }
    }

    fn retry_feed(&self, partner: &PartnerId, feed: &str) -> Told {
        if self.condition.feeds.retry(partner, feed) {
            tracing::warn!(partner = partner.as_str(), feed, "a feed that a guard stopped is tried again");
            return Told::Ok(serde_json::json!({ "retried": feed }));
        }
        let detail = format!("no guard holds {partner}'s {feed}");
        Told::Error { code: "not_stopped".to_owned(), detail }
    }
}
