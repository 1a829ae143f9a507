//! Where the committer leaves what became dirty, and how the publisher's thread is told to begin and to stop.

use std::collections::HashMap;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use super::plan::FeedPlan;
use super::rebind::{NotRebound, Rebound};
use crate::domain::{BookingId, ObjectName, Position, SlotKey, Touched};
use crate::durable::{Consumer, Durable};

/// Names a subject without copying its text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum SubjectKey {
    Slot(SlotKey),
    Booking(BookingId),
    Item(ObjectName, Arc<str>),
}

fn subject_key(touched: &Touched) -> SubjectKey {
    match touched {
        Touched::Slot(slot) => SubjectKey::Slot(slot.key.clone()),
        Touched::SlotGone(key, _) => SubjectKey::Slot(key.clone()),
        Touched::Booking(booking) => SubjectKey::Booking(booking.id),
        Touched::Item { object, key, .. } => SubjectKey::Item(object.clone(), key.clone()),
    }
}

/// Plans that are to take the place of all others, and where the answer goes.
pub(super) struct Rebind {
    pub plans: Vec<FeedPlan>,
    pub reply: Sender<Result<Rebound, NotRebound>>,
}

#[derive(Default)]
struct State {
    dirty: HashMap<SubjectKey, Touched, foldhash::fast::FixedState>,
    /// End of the last durable batch.
    durable: Position,
    ready: bool,
    stopping: bool,
    rebind: Option<Rebind>,
}

#[derive(Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
    /// The publisher was told to begin or to stop.
    told: Condvar,
    /// The durable end moved. Apart from `told`, so that a batch does not wake a publisher that waits for its tick.
    moved: Condvar,
}

/// What was dirty up to the end of a batch.
pub(super) struct Taken {
    pub touched: Vec<Touched>,
    pub durable: Position,
}

impl Inbox {
    pub(super) fn new(durable: Position) -> Inbox {
        Inbox { state: Mutex::new(State { durable, ..State::default() }), ..Inbox::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(super) fn take(&self) -> Taken {
        let mut state = self.lock();
        let dirty = std::mem::take(&mut state.dirty);
        let durable = state.durable;
        drop(state);
        Taken { touched: dirty.into_values().collect(), durable }
    }

    /// Waits until the batch that holds `position` was handed over; false when the publisher is to stop.
    pub(super) fn wait_durable(&self, position: Position) -> bool {
        let state = self.lock();
        let state = self.moved.wait_while(state, |state| !state.stopping && state.durable < position);
        !state.unwrap_or_else(|poisoned| poisoned.into_inner()).stopping
    }

    /// Waits for the word that NULL rows were sent again; false when the publisher is to stop.
    pub(super) fn wait_ready(&self) -> bool {
        let state = self.lock();
        let state = self.told.wait_while(state, |state| !state.stopping && !state.ready);
        !state.unwrap_or_else(|poisoned| poisoned.into_inner()).stopping
    }

    /// Waits out the time to the next tick or for a rebind; false when the publisher is to stop.
    pub(super) fn wait_tick(&self, pause: Duration) -> bool {
        let state = self.lock();
        let waited = self.told.wait_timeout_while(state, pause, |state| !state.stopping && state.rebind.is_none());
        !waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0.stopping
    }

    pub(super) fn take_rebind(&self) -> Option<Rebind> {
        self.lock().rebind.take()
    }

    /// The thread ends: whoever waits for it, or comes later, is told so.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        (state.stopping, state.rebind) = (true, None);
    }
}

/// The publisher as the committer's consumer. Merges and returns; never waits for the publisher.
pub struct Dirty(pub(super) Arc<Inbox>);

impl Consumer for Dirty {
    fn durable(&mut self, batch: &Arc<Durable>) {
        let mut state = self.0.lock();
        for touched in &batch.touched {
            state.dirty.insert(subject_key(touched), touched.clone());
        }
        state.durable = state.durable.max(batch.last);
        drop(state);
        self.0.moved.notify_all();
    }
}

/// Tells the publisher's thread when to begin and when to end.
#[derive(Clone)]
pub struct Control(pub(super) Arc<Inbox>);

impl Control {
    /// Capture's rows with position NULL were sent again and are durable: publishing may begin.
    pub fn ready(&self) {
        self.0.lock().ready = true;
        self.0.told.notify_all();
    }

    /// Has all feeds published by these plans and by no others. All or nothing; partners read what they read until the
    /// first complete state under the new plans is there. Blocks for as long as that takes: rendering everything, about
    /// 10 s a million items.
    ///
    /// # Errors
    /// Nothing has changed then.
    pub fn rebind(&self, plans: Vec<FeedPlan>) -> Result<Rebound, NotRebound> {
        let (reply, answer) = channel();
        {
            let mut state = self.0.lock();
            if state.stopping {
                return Err(NotRebound::Stopped);
            }
            if !state.ready {
                return Err(NotRebound::NotReady);
            }
            if state.rebind.is_some() {
                return Err(NotRebound::Busy);
            }
            state.rebind = Some(Rebind { plans, reply });
        }
        self.0.told.notify_all();
        answer.recv().unwrap_or(Err(NotRebound::Stopped))
    }

    /// Ends the thread before its next tick. What was not published is published after the next start.
    pub fn stop(&self) {
        self.0.lock().stopping = true;
        self.0.told.notify_all();
        self.0.moved.notify_all();
    }
}
