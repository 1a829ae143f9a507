//! Who watches the world: the desk compared with the reference, and a consumer that checks what becomes durable.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use slotbridge::decide::{After, Ask, Desk, Effects, Event, Outcome, Policy};
use slotbridge::domain::*;
use slotbridge::durable::{Consumer, Durable, KnownKey, Render, Rendered};
use slotbridge::ledger::Decide;

use crate::naive::{Naive, Verdict};

/// The desk beside the reference: every verdict on a booking request is compared.
pub struct Judge {
    pub desk: Desk,
    pub naive: Naive,
    pub policy: Policy,
    pub complaint: Arc<Mutex<Option<String>>>,
}

impl Judge {
    fn complain(&self, text: String) {
        self.complaint.lock().unwrap().get_or_insert(text);
    }
}

fn verdict_of(outcome: &Outcome) -> Option<Verdict> {
    match outcome {
        Outcome::Booked { .. } => Some(Verdict::Booked),
        Outcome::Pending { .. } => Some(Verdict::Pending),
        Outcome::Replay { entry } => Some(Verdict::Replay(*entry)),
        Outcome::Refused(refused) => Some(Verdict::Refused(refused.code)),
        Outcome::Cancelled { .. } | Outcome::TokenGiven => None,
    }
}

impl Decide for Judge {
    fn step(&mut self, now: Timestamp, event: Event, effects: &mut Effects) {
        let (entries, replies) = (effects.persist.len(), effects.after_durable.len());
        let before = self.desk.position();
        self.naive.began_at.get_or_insert(now);
        self.naive.fenced |= matches!(event, Event::Fence { .. });
        self.naive.full_cut |= matches!(event, Event::Settled);
        let expected = match &event {
            Event::Request { partner, ask: Ask::Book(ask), .. } => {
                Some(self.naive.verdict(&self.policy, now, partner, ask))
            }
            _ => None,
        };
        let facts = if let Event::Facts { facts, .. } = &event { facts.clone() } else { Vec::new() };
        self.desk.step(now, event, effects);
        for (index, fact) in facts.into_iter().enumerate() {
            self.naive.facts.push((before.plus(1 + index as u64), fact));
        }
        self.naive.entries.extend(effects.persist[entries..].iter().cloned());
        if let Some(expected) = expected {
            let found = effects.after_durable[replies..].iter().find_map(|after| match after {
                After::Reply { outcome, .. } => verdict_of(outcome),
                _ => None,
            });
            if found.as_ref() != Some(&expected) {
                self.complain(format!("the desk says {found:?}, the reference {expected:?}"));
            }
        }
        if let Some(broken) = self.desk.broken().first() {
            self.complain(format!("{}: {}", broken.invariant, broken.detail));
        }
        let mut last = before;
        for entry in &effects.persist[entries..] {
            if entry.position <= last {
                self.complain(format!("positions do not ascend at {}", entry.position));
            }
            last = entry.last();
        }
    }

    fn take_touched(&mut self) -> Vec<Touched> {
        self.desk.take_touched()
    }

    fn take_known_keys(&mut self) -> Vec<KnownKey> {
        self.desk.take_known_keys()
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.desk.next_deadline()
    }
}

pub struct Words;

impl Render for Words {
    fn render(&self, partner: &PartnerId, outcome: &Outcome) -> Rendered {
        let (status, text) = match outcome {
            Outcome::Booked { booking, .. } => (201, format!("{} {partner}", booking.id)),
            Outcome::Pending { booking, .. } => (202, format!("{} {partner}", booking.id)),
            Outcome::Refused(refused) => (409, format!("{} {:?}", refused.code.code(), refused.retry_after_ms)),
            Outcome::Cancelled { booking } => (200, format!("{} {}", booking.id, booking.status.code())),
            Outcome::TokenGiven => (200, "token".to_owned()),
            Outcome::Replay { .. } => (500, "a replay is not rendered".to_owned()),
        };
        Rendered { status, body: Bytes::from(text) }
    }
}

/// I6 and I9: a consumer sees batches in order, none lost, time never going back.
pub struct Witness {
    pub last: Position,
    pub at: Timestamp,
    pub complaint: Arc<Mutex<Option<String>>>,
}

impl Consumer for Witness {
    fn durable(&mut self, batch: &Arc<Durable>) {
        if batch.first != self.last.next() || batch.at < self.at {
            let text = format!("I6: batch {}..{} follows {}", batch.first, batch.last, self.last);
            self.complaint.lock().unwrap().get_or_insert(text);
        }
        let mut before = Position::ZERO;
        for touched in &batch.touched {
            if touched.position() < before || touched.position() > batch.last {
                self.complaint.lock().unwrap().get_or_insert("I6: touched items out of order".to_owned());
            }
            before = touched.position();
        }
        (self.last, self.at) = (batch.last, batch.at);
    }
}
