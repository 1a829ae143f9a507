//! What the ledger's tests share: batches, a desk that does as it is told, and a renderer.
#![allow(dead_code)] // every test binary uses a part of it

use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use slotbridge::decide::{After, Ask, Effects, Entry, Event, KnownKey, Outcome, Refused, TokenAsk, What};
use slotbridge::domain::{
    BookingId, BookingStatus, BookingView, PartnerId, PersonNo, Position, Refusal, SeriesId, SlotKey, SlotVersion,
    Sync, Timestamp, Touched,
};
use slotbridge::durable::{Answer, Consumer, Durable, Render, Rendered, StoredReply, Submission};
use slotbridge::ledger::{Batch, Decide, Expected, Ledger, LedgerStore, Settings};
use tokio::sync::oneshot;

pub fn partner(name: &str) -> PartnerId {
    PartnerId::new(name).expect("a partner id")
}

pub fn cancelled(position: u64, at: i64) -> Entry {
    let what = What::Cancelled { booking: BookingId(Position(position)), coalesced: true };
    Entry { position: Position(position), at: Timestamp(at), what }
}

pub fn facts(position: u64, at: i64, count: u32) -> Entry {
    Entry { position: Position(position), at: Timestamp(at), what: What::Facts { count, digest: "0".repeat(64) } }
}

pub fn reply(entry: u64) -> StoredReply {
    let body = format!("{{\"booking\":\"{}\",\"status\":\"cancelled\"}}", BookingId(Position(entry)));
    StoredReply { entry: Position(entry), status: 200, body: Bytes::from(body) }
}

/// One batch after the ledger's last position: cancellations with replies, led by facts that cover three positions.
pub fn next_batch(ledger: &Ledger, cancellations: u64) -> Batch {
    let first = ledger.position().0 + 1;
    let at = ledger.at().0 + 1;
    let mut batch = Batch { at: Timestamp(at), entries: vec![facts(first, at, 3)], replies: Vec::new() };
    for position in first + 3..first + 3 + cancellations {
        batch.entries.push(cancelled(position, at));
        batch.replies.push(reply(position));
    }
    batch
}

pub fn small_segments(entries: u64) -> Settings {
    Settings { segment_entries_max: entries, ..Settings::default() }
}

pub fn open(dir: &Path, settings: Settings) -> Ledger {
    Ledger::open(dir, settings, Expected::MayBeNew).expect("the ledger opens")
}

/// Appends `batches` batches of four entries over six positions.
pub fn fill(ledger: &mut Ledger, batches: usize) {
    for _ in 0..batches {
        let batch = next_batch(ledger, 3);
        ledger.append(&batch).expect("the batch is appended");
        ledger.tidy().expect("the ledger is tidied");
    }
}

pub fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

/// Gives every cancel one entry and one reply; a cancel with `if_match` is refused without an entry; a token call
/// asks for the reply of entry `epoch` again.
#[derive(Default)]
pub struct ToldDesk {
    pub last: u64,
    pub touched: Vec<Touched>,
    pub deadline: Option<Timestamp>,
    pub ticks: Arc<Mutex<Vec<Timestamp>>>,
    pub times: Vec<Timestamp>,
}

fn booking(position: Position, at: Timestamp) -> BookingView {
    BookingView {
        id: BookingId(position),
        partner: partner("naver"),
        person: PersonNo(1),
        series: SeriesId::new("covid").expect("a series"),
        slot: SlotKey::new("1").expect("a slot key"),
        slot_version: SlotVersion(1),
        status: BookingStatus::Cancelled,
        sync: Sync::None,
        legacy_ref: None,
        partner_ref: None,
        reason: None,
        booked_at: at,
        changed_at: at,
        position,
    }
}

impl ToldDesk {
    fn persist(&mut self, entry: Entry, effects: &mut Effects) -> Position {
        let position = entry.position;
        self.last = entry.last().0;
        effects.persist.push(entry);
        position
    }
}

impl Decide for ToldDesk {
    fn step(&mut self, now: Timestamp, event: Event, effects: &mut Effects) {
        self.times.push(now);
        match event {
            Event::Request { ticket, partner, ask: Ask::Cancel { if_match: None, .. } } => {
                let position = self.persist(cancelled(self.last + 1, now.0), effects);
                let view = booking(position, now);
                self.touched.push(Touched::Booking(Arc::new(view.clone())));
                let outcome = Outcome::Cancelled { booking: view };
                effects.after_durable.push(After::Reply { ticket, partner, entry: Some(position), outcome });
            }
            Event::Request { ticket, partner, ask: Ask::Token(TokenAsk { epoch, .. }) } => {
                let outcome = Outcome::Replay { entry: Position(u64::from(epoch)) };
                effects.after_durable.push(After::Reply { ticket, partner, entry: None, outcome });
            }
            Event::Request { ticket, partner, .. } => {
                let refused = Refused {
                    code: Refusal::PreconditionFailed,
                    slot: None,
                    seen_age_ms: None,
                    retry_after_ms: None,
                    opens_at: None,
                    own_booking: None,
                    alternatives: Vec::new(),
                };
                let outcome = Outcome::Refused(refused);
                effects.after_durable.push(After::Reply { ticket, partner, entry: None, outcome });
            }
            Event::Reserve { ticket, count } => {
                let what = What::Reserve { count };
                let first = self.persist(Entry { position: Position(self.last + 1), at: now, what }, effects);
                effects.after_durable.push(After::Reserved { ticket, first, count });
                effects.after_durable.push(After::OpsWaiting);
            }
            Event::Tick => {
                self.ticks.lock().expect("nobody panics").push(now);
                self.deadline = None;
            }
            _ => {}
        }
    }

    fn take_touched(&mut self) -> Vec<Touched> {
        std::mem::take(&mut self.touched)
    }

    fn take_known_keys(&mut self) -> Vec<KnownKey> {
        Vec::new()
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.deadline
    }
}

/// Names the booking in the body, so that a body belongs to one entry.
pub struct Plain;

impl Render for Plain {
    fn render(&self, _: &PartnerId, outcome: &Outcome) -> Rendered {
        match outcome {
            Outcome::Cancelled { booking } => {
                let stored = reply(booking.id.0.0);
                Rendered { status: stored.status, body: stored.body }
            }
            _ => Rendered { status: 412, body: Bytes::from_static(b"{}") },
        }
    }
}

/// Keeps what it was told.
#[derive(Clone, Default)]
pub struct Told(pub Arc<Mutex<Vec<Arc<Durable>>>>);

impl Consumer for Told {
    fn durable(&mut self, batch: &Arc<Durable>) {
        self.0.lock().expect("nobody panics").push(batch.clone());
    }
}

pub fn submission(event: Event) -> (Submission, oneshot::Receiver<Answer>) {
    let (answer, receiver) = oneshot::channel();
    (Submission { event, answer: Some(answer) }, receiver)
}

pub fn cancel(partner_name: &str) -> (Submission, oneshot::Receiver<Answer>) {
    let ask = Ask::Cancel { booking: BookingId(Position(1)), if_match: None };
    submission(Event::Request { ticket: 0, partner: partner(partner_name), ask })
}

/// A batch of `count` cancels, and where their answers arrive.
pub fn cancels(count: usize) -> (Vec<Submission>, Vec<oneshot::Receiver<Answer>>) {
    (0..count).map(|_| cancel("naver")).unzip()
}
