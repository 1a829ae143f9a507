//! One seeded world: desk and committer as shipped; disk, legacy system, capture, write-back and partners simulated.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use slotbridge::decide::{
    AllotmentMode, Ask, BookAsk, CohortSet, Desk, Effects, Event, Op, OpResult, Outcome, Policy, RefillPolicy,
    Rejection, SeriesPolicy, Snapshot, What,
};
use slotbridge::domain::*;
use slotbridge::durable::{Answer, Consumer, Durable, KnownKey, Render, Rendered, Submission};
use slotbridge::ledger::{Committer, Decide};
use tokio::sync::oneshot;

use crate::disk::{Disk, Fault};
use crate::legacy::{Legacy, LegacySlot};
use crate::naive::{Naive, Verdict};

pub const MUST_BE_EXERCISED: [&str; 24] = [
    "booked",
    "replayed",
    "slot_full",
    "slot_closed",
    "slot_changed",
    "not_bookable",
    "person_already_booked",
    "idempotency_key_reused",
    "request_too_old",
    "unknown_slot",
    "cancelled",
    "cancel_coalesced",
    "cancelling",
    "displaced",
    "legacy_cancelled",
    "in_doubt",
    "crash",
    "lost_batch",
    "lost_reply",
    "snapshot_restart",
    "take",
    "return",
    "cut_off",
    "redefined",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    KeepReturned,
    ForgetAnAppend,
}

#[derive(Clone, Debug)]
pub struct Options {
    pub slots: u64,
    pub persons: u64,
    pub steps: u64,
    pub faults_percent: u64,
    pub native_percent: u64,
    pub mode: AllotmentMode,
    pub plant: Option<Plant>,
}

impl Options {
    /// Each seed its own mix (swarm testing), so that rare combinations meet.
    pub fn swarm(seed: u64) -> Options {
        let mut rng = Rng(seed ^ 0x5eed);
        Options {
            slots: 1 + rng.below(8),
            persons: 4 + rng.below(40),
            steps: 150 + rng.below(250),
            faults_percent: [0, 3, 10, 25][rng.below(4) as usize],
            native_percent: [5, 20, 50][rng.below(3) as usize],
            mode: if rng.below(8) == 0 { AllotmentMode::Quota } else { AllotmentMode::Counter },
            plant: None,
        }
    }
}

/// SplitMix64: one seed draws everything.
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub fn percent(&mut self, p: u64) -> bool {
        self.below(100) < p
    }
}

/// The desk beside the reference: every verdict on a booking request is compared.
pub struct Judge {
    pub desk: Desk,
    naive: Naive,
    policy: Policy,
    complaint: Arc<Mutex<Option<String>>>,
}

impl Judge {
    fn complain(&self, text: String) {
        self.complaint.lock().unwrap().get_or_insert(text);
    }
}

fn verdict_of(outcome: &Outcome) -> Option<Verdict> {
    match outcome {
        Outcome::Booked { .. } => Some(Verdict::Booked),
        Outcome::Replay { entry } => Some(Verdict::Replay(*entry)),
        Outcome::Refused(refused) => Some(Verdict::Refused(refused.code)),
        Outcome::Cancelled { .. } | Outcome::TokenGiven => None,
    }
}

impl Decide for Judge {
    fn step(&mut self, now: Timestamp, event: Event, effects: &mut Effects) {
        let (entries, replies) = (effects.persist.len(), effects.after_durable.len());
        let before = self.desk.position();
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
                slotbridge::decide::After::Reply { outcome, .. } => verdict_of(outcome),
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

struct Words;

impl Render for Words {
    fn render(&self, partner: &PartnerId, outcome: &Outcome) -> Rendered {
        let (status, text) = match outcome {
            Outcome::Booked { booking, .. } => (201, format!("{} {partner}", booking.id)),
            Outcome::Refused(refused) => (409, format!("{} {:?}", refused.code.code(), refused.retry_after_ms)),
            Outcome::Cancelled { booking } => (200, format!("{} {}", booking.id, booking.status.code())),
            Outcome::TokenGiven => (200, "token".to_owned()),
            Outcome::Replay { .. } => (500, "a replay is not rendered".to_owned()),
        };
        Rendered { status, body: Bytes::from(text) }
    }
}

/// I6 and I9: a consumer sees batches in order, none lost, time never going back.
struct Witness {
    last: Position,
    at: Timestamp,
    complaint: Arc<Mutex<Option<String>>>,
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

type Reply = (u16, Bytes);

struct Sent {
    partner: PartnerId,
    ask: BookAsk,
    answered: bool,
    /// The newest answer that the ledger keeps, and when it was given.
    stored: Option<(Reply, Timestamp)>,
}

type RowId = String;

pub struct World {
    rng: Rng,
    options: Options,
    now: Timestamp,
    /// The latest time the desk was told: ledger time, or ahead of it where nothing was written since.
    latest: Timestamp,
    policy: Policy,
    disk: Disk,
    committer: Option<Committer<Judge, Disk>>,
    legacy: Legacy,
    mirror: BTreeMap<RowId, (Fact, Option<Position>)>,
    worker: Vec<Op>,
    sent: Vec<Sent>,
    acknowledged: BTreeMap<BookingId, PartnerId>,
    snapshot: Option<Vec<u8>>,
    complaint: Arc<Mutex<Option<String>>>,
    faults: bool,
    pub exercised: BTreeMap<&'static str, u64>,
}

fn series() -> SeriesId {
    SeriesId::new("covid19-1").unwrap()
}

fn no_row() -> Arc<Row> {
    Arc::new(Row(Box::new([])))
}

const START: i64 = 1_795_345_200_000;

impl World {
    pub fn new(seed: u64, options: Options) -> World {
        let mut rng = Rng(seed);
        let mut cohorts = CohortSet::default();
        cohorts.insert(CohortNo(1));
        let policy = Policy {
            mode: options.mode,
            series: [(series(), SeriesPolicy { cohorts, opens_at: None })].into(),
            refill: RefillPolicy { prewarm_per_s: rng.below(20) as u32, idle_return_ms: 60_000, ..Default::default() },
            ..Policy::default()
        };
        let mut legacy = Legacy::default();
        for n in 0..options.slots {
            let escrow = if options.mode == AllotmentMode::Quota { 2 } else { 0 };
            let slot = LegacySlot {
                capacity: 2 + rng.below(8) as u32,
                counter: escrow,
                escrow,
                status: SlotStatus::Open,
                start: Timestamp(START + (1 + rng.below(48) as i64) * 1_800_000),
                version: 1,
                exists: true,
                last_op: None,
            };
            legacy.slots.insert(SlotKey::new(&format!("S{n}")).unwrap(), slot);
        }
        let mut world = World {
            rng,
            options,
            now: Timestamp(START),
            latest: Timestamp(START),
            policy,
            disk: Disk::default(),
            committer: None,
            legacy,
            mirror: BTreeMap::new(),
            worker: Vec::new(),
            sent: Vec::new(),
            acknowledged: BTreeMap::new(),
            snapshot: None,
            complaint: Arc::default(),
            faults: true,
            exercised: BTreeMap::new(),
        };
        world.start();
        world
    }

    fn count(&mut self, what: &'static str) {
        *self.exercised.entry(what).or_default() += 1;
    }

    /// The process starts: snapshot if there is one, newest positioned facts, entries; then NULL rows are sent again.
    fn start(&mut self) {
        let entries = self.disk.entries();
        let mut facts: Vec<(Position, Fact)> =
            self.mirror.values().filter_map(|(fact, at)| at.map(|at| (at, fact.clone()))).collect();
        facts.sort_by_key(|(at, _)| *at);
        let snapshot: Option<Snapshot> = self
            .snapshot
            .as_ref()
            .filter(|_| self.rng.0 & 1 == 0)
            .map(|bytes| postcard::from_bytes(bytes).expect("a snapshot reads back"));
        if snapshot.is_some() {
            self.count("snapshot_restart");
        }
        let after = snapshot.as_ref().map_or(Position::ZERO, |s| s.position);
        let later = entries.iter().filter(|e| e.position > after).cloned();
        let desk = Desk::replay(self.policy.clone(), snapshot, facts.clone().into_iter(), later)
            .expect("the ledger replays over its own mirror");
        let naive = Naive { entries, facts };
        for key in self.legacy.slots.keys() {
            let free = desk.units(key).map_or(0, |units| i64::from(units.free()));
            if free != naive.free(key) {
                let text = format!("after a restart slot {key} has {free} free, the reference {}", naive.free(key));
                self.complaint.lock().unwrap().get_or_insert(text);
            }
        }
        let last = desk.position();
        let judge = Judge { desk, naive, policy: self.policy.clone(), complaint: self.complaint.clone() };
        let witness = Witness { last, at: Timestamp(0), complaint: self.complaint.clone() };
        self.committer = Some(Committer::new(judge, self.disk.clone(), Box::new(Words), vec![Box::new(witness)]));
        self.worker.clear();
        let unsent: Vec<RowId> =
            self.mirror.iter().filter(|(_, (_, at))| at.is_none()).map(|(id, _)| id.clone()).collect();
        self.send_facts(unsent);
    }

    fn crash(&mut self) {
        self.count("crash");
        self.committer = None;
        self.start();
    }

    /// Runs one batch; `None` when the process crashed.
    fn batch(&mut self, events: Vec<Event>) -> Option<Vec<Option<Answer>>> {
        let faulty = self.faults && self.rng.below(1000) < self.options.faults_percent;
        let fault = faulty.then(|| if self.rng.percent(50) { Fault::LostBatch } else { Fault::LostReply });
        self.disk.0.lock().unwrap().fault = fault;
        if self.options.plant == Some(Plant::ForgetAnAppend) && self.faults && self.rng.percent(5) {
            self.disk.0.lock().unwrap().forget_next = true;
        }
        let mut answers = Vec::new();
        let submissions = events
            .into_iter()
            .map(|event| {
                let (answer, receiver) = oneshot::channel();
                answers.push(receiver);
                Submission { event, answer: Some(answer) }
            })
            .collect();
        self.latest = self.latest.max(self.now);
        let ran = self.committer.as_mut().unwrap().run_batch(self.now, submissions);
        // A batch without entries is not appended: its fault is not kept for a later one.
        self.disk.0.lock().unwrap().disarm();
        let answers: Vec<Option<Answer>> = answers.iter_mut().map(|receiver| receiver.try_recv().ok()).collect();
        if ran.is_err() {
            self.count(if fault == Some(Fault::LostBatch) { "lost_batch" } else { "lost_reply" });
            let told = answers.iter().all(|a| matches!(a, Some(Answer::NotDurable)));
            if !told {
                self.complaint.lock().unwrap().get_or_insert("I3: an answer left a failed batch".to_owned());
            }
            self.crash();
            return None;
        }
        Some(answers)
    }

    fn facts_now(&self) -> BTreeMap<RowId, Fact> {
        let mut facts = BTreeMap::new();
        for (key, slot) in self.legacy.slots.iter().filter(|(_, slot)| slot.exists) {
            let fact = SlotFact {
                key: key.clone(),
                site: SiteKey::new("H1").unwrap(),
                series: series(),
                start: slot.start,
                status: slot.status,
                capacity: slot.capacity,
                native: self.legacy.native_of(key),
                counter: Some(slot.counter),
                escrow_units: slot.escrow,
                last_op: slot.last_op.map(|position| OpId { incarnation: Incarnation(1), position }),
                opens_at: None,
                version: SlotVersion(slot.version),
                row: no_row(),
            };
            facts.insert(format!("slot {key}"), Fact::Slot(fact));
        }
        for n in 0..self.options.persons {
            let fact = PersonFact {
                person: PersonNo(n as u32),
                cohort: CohortNo(u8::from(n % 9 != 0)),
                bookable: n % 11 != 0,
            };
            facts.insert(format!("person {n}"), Fact::Person(fact));
        }
        for (key, row) in &self.legacy.reservations {
            let op = row.op.map(|position| OpId { incarnation: Incarnation(1), position });
            let fact = ReservationFact {
                key: ReservationKey::new(key).unwrap(),
                person: row.person,
                slot: row.slot.clone(),
                series: row.series.clone(),
                active: row.active,
                op,
            };
            facts.insert(format!("reservation {key}"), Fact::Reservation(fact));
        }
        facts
    }

    /// One poll: some of the changed rows (a hint may miss some), sometimes an unchanged one twice.
    fn poll(&mut self, full: bool) {
        let now = self.facts_now();
        let mut changed: Vec<RowId> = Vec::new();
        for (id, fact) in &now {
            let same = self.mirror.get(id).is_some_and(|(old, _)| old == fact);
            if (!same && (full || self.rng.percent(70))) || (same && self.rng.below(200) == 0) {
                self.mirror.insert(id.clone(), (fact.clone(), None));
                changed.push(id.clone());
            }
        }
        let vanished = self.legacy.slots.iter().filter(|(_, slot)| !slot.exists).map(|(key, _)| key.clone());
        for key in vanished.collect::<Vec<_>>() {
            let id = format!("slot {key}");
            let gone = Fact::SlotGone(key);
            if self.mirror.get(&id).is_some_and(|(old, _)| *old != gone) && (full || self.rng.percent(50)) {
                self.mirror.insert(id.clone(), (gone, None));
                changed.push(id);
            }
        }
        self.send_facts(changed);
    }

    fn send_facts(&mut self, ids: Vec<RowId>) {
        if ids.is_empty() {
            return;
        }
        let facts = ids.iter().map(|id| self.mirror[id].0.clone()).collect();
        let Some(answers) = self.batch(vec![Event::Facts { ticket: 0, facts }]) else { return };
        let Some(Some(Answer::Facts { first, .. })) = answers.into_iter().next() else { return };
        if self.faults && self.rng.below(1000) < self.options.faults_percent {
            // Killed between the ledger and the mirror: the rows stay NULL and are sent again.
            self.crash();
            return;
        }
        for (index, id) in ids.iter().enumerate() {
            if let Some(row) = self.mirror.get_mut(id) {
                row.1 = Some(first.plus(index as u64));
            }
        }
    }

    fn native_activity(&mut self) {
        let slots: Vec<SlotKey> = self.legacy.slots.keys().cloned().collect();
        let slot = slots[self.rng.below(slots.len() as u64) as usize].clone();
        let active: Vec<String> =
            self.legacy.reservations.iter().filter(|(_, r)| r.active).map(|(key, _)| key.clone()).collect();
        match self.rng.below(24) {
            0..=12 => {
                let person = PersonNo(self.rng.below(self.options.persons) as u32);
                if self.legacy.book_natively(person, &slot, &series()) {
                    self.count("native_booked");
                }
            }
            13..=17 if !active.is_empty() => {
                let key = active[self.rng.below(active.len() as u64) as usize].clone();
                self.legacy.cancel(&key);
            }
            18 => self.change(&slot, |row| row.status = SlotStatus::Closed),
            19 => self.change(&slot, |row| row.status = SlotStatus::Open),
            21 => self.change(&slot, |row| {
                row.version += 1;
                row.start = row.start.plus_ms(600_000);
            }),
            22 => {
                let capacity = 1 + self.rng.below(9) as u32;
                self.legacy.cut_capacity(&slot, capacity);
            }
            20 if self.options.mode == AllotmentMode::Quota => self.change(&slot, |row| {
                let more = (row.capacity - row.counter.min(row.capacity)).min(2);
                row.escrow += more;
                row.counter += more;
            }),
            23 if self.rng.percent(10) => {
                let of_slot: Vec<String> = self
                    .legacy
                    .reservations
                    .iter()
                    .filter(|(_, r)| r.slot == slot)
                    .map(|(key, _)| key.clone())
                    .collect();
                of_slot.iter().for_each(|key| self.legacy.cancel(key));
                self.change(&slot, |row| (row.exists, row.escrow, row.counter) = (false, 0, 0));
                self.count("slot_gone");
            }
            _ => {}
        }
    }

    fn change(&mut self, slot: &SlotKey, change: impl FnOnce(&mut LegacySlot)) {
        if let Some(row) = self.legacy.slots.get_mut(slot) {
            change(row);
        }
    }

    fn new_ask(&mut self) -> (PartnerId, BookAsk) {
        let partner = PartnerId::new(["naver", "kakao"][self.rng.below(2) as usize]).unwrap();
        let slot = if self.rng.below(40) == 0 { 99 } else { self.rng.below(self.options.slots) };
        let person = match self.rng.below(15) {
            0 => PersonRef::Nobody(self.rng.below(3)),
            _ => PersonRef::Known(PersonNo(self.rng.below(self.options.persons) as u32)),
        };
        let reached = self.disk.entries().last().map_or(0, |e| e.position.0);
        let ask = BookAsk {
            key: KeyMac(u128::from(self.rng.next()).to_le_bytes()),
            body: BodyMac(self.rng.next().to_le_bytes()),
            slot: SlotKey::new(&format!("S{slot}")).unwrap(),
            person,
            series: series(),
            first_sent_at: self.now.plus_ms(match self.rng.below(60) {
                0 => -90_000_000,
                1 => 120_000,
                _ => -(self.rng.below(5_000) as i64),
            }),
            seen_cursor: self.rng.percent(60).then(|| Position(reached.saturating_sub(self.rng.below(60)))),
            accept_version: self.rng.percent(5).then(|| SlotVersion(1 + self.rng.below(3) as u32)),
            partner_ref: None,
            alternatives_max: self.rng.below(4) as u8,
            within_m: 5_000,
        };
        (partner, ask)
    }

    /// A burst of booking requests in one batch: new ones, retries, keys used again for something else.
    fn requests(&mut self) {
        let mut asked: Vec<usize> = Vec::new();
        for _ in 0..1 + self.rng.below(5) {
            let again = !self.sent.is_empty() && self.rng.percent(25);
            if again {
                let at = self.rng.below(self.sent.len() as u64) as usize;
                asked.push(at);
            } else {
                let (partner, ask) = self.new_ask();
                self.sent.push(Sent { partner, ask, answered: false, stored: None });
                asked.push(self.sent.len() - 1);
            }
        }
        let reused = !self.sent.is_empty() && self.rng.percent(10);
        let mut events: Vec<Event> = asked.iter().map(|at| self.book_event(*at)).collect();
        if reused {
            let at = self.rng.below(self.sent.len() as u64) as usize;
            let Event::Request { ticket, partner, ask: Ask::Book(mut ask) } = self.book_event(at) else { return };
            ask.body = BodyMac([7; 8]);
            events.push(Event::Request { ticket, partner, ask: Ask::Book(ask) });
        }
        let Some(answers) = self.batch(events) else { return };
        for (at, answer) in asked.iter().zip(&answers) {
            self.received(*at, answer.as_ref());
        }
        if let Some(Some(Answer::Reply { body, .. })) = answers.get(asked.len()).filter(|_| reused)
            && body.starts_with(b"idempotency_key_reused")
        {
            self.count("idempotency_key_reused");
        }
    }

    fn book_event(&self, at: usize) -> Event {
        let sent = &self.sent[at];
        Event::Request { ticket: 0, partner: sent.partner.clone(), ask: Ask::Book(sent.ask.clone()) }
    }

    /// I3 and I5: what is answered is stored, and it is answered the same for ever.
    fn received(&mut self, at: usize, answer: Option<&Answer>) {
        let Some(Answer::Reply { status, body, entry, replay_of, .. }) = answer else { return };
        let stored = entry.or(*replay_of).and_then(|entry| self.disk.reply(entry));
        let reply: Reply = match replay_of {
            Some(_) => {
                self.count("replayed");
                let Some(stored) = stored else { return self.complain("I3: a replay has no stored reply") };
                (stored.status, stored.body)
            }
            None => {
                let kept = stored.map(|s| (s.status, s.body));
                if entry.is_some() && kept.as_ref() != Some(&(*status, body.clone())) {
                    return self.complain("I3: the answer is not what is stored");
                }
                (*status, body.clone())
            }
        };
        let text = String::from_utf8_lossy(&reply.1).into_owned();
        let word = text.split(' ').next().unwrap_or_default().to_owned();
        if replay_of.is_none() {
            self.count_word(&word);
        }
        if reply.0 == 201 {
            let id: BookingId = word.parse().expect("a booking id");
            self.acknowledged.insert(id, self.sent[at].partner.clone());
        }
        // Kept for ever when it booked, for 24 h of ledger time when it refused; what was not stored may be decided anew.
        let ledger_at = self.latest;
        let keep = self.policy.refused_keep_ms;
        if let Some((before, at)) = &self.sent[at].stored
            && (before.0 == 201 || ledger_at.since_ms(*at) <= keep)
            && *before != reply
        {
            return self.complain("I5: a repeated key got another answer");
        }
        if entry.is_some() {
            self.sent[at].stored = Some((reply.clone(), ledger_at));
        }
        self.sent[at].answered = true;
    }

    fn count_word(&mut self, word: &str) {
        let known = Refusal::ALL.iter().map(|r| r.code()).find(|code| *code == word);
        self.count(known.unwrap_or("booked"));
    }

    fn complain(&self, text: &str) {
        self.complaint.lock().unwrap().get_or_insert(text.to_owned());
    }

    fn cancel_some(&mut self) {
        let ids: Vec<(BookingId, PartnerId)> = self.acknowledged.iter().map(|(id, p)| (*id, p.clone())).collect();
        if ids.is_empty() {
            return;
        }
        let (booking, partner) = ids[self.rng.below(ids.len() as u64) as usize].clone();
        let ask = Ask::Cancel { booking, if_match: None };
        self.batch(vec![Event::Request { ticket: 0, partner, ask }]);
    }

    fn write_back(&mut self) {
        if self.worker.len() < 5 {
            let Some(answers) = self.batch(vec![Event::Claim { ticket: 0, max: 5 }]) else { return };
            if let Some(Some(Answer::Claimed { ops })) = answers.into_iter().next() {
                self.worker.extend(ops);
            }
        }
        let mut left = Vec::new();
        let mut outcomes = Vec::new();
        while !self.worker.is_empty() {
            let op = self.worker.remove(self.rng.below(self.worker.len() as u64) as usize);
            let fault = self.faults && self.rng.percent(self.options.faults_percent);
            if fault && self.rng.percent(50) {
                left.push(op);
                continue;
            }
            let result = self.legacy.apply(&op);
            if fault {
                outcomes.push(Event::OpInDoubt { op: op.position });
                left.push(op);
                continue;
            }
            let result = match (self.options.plant, result) {
                (Some(Plant::KeepReturned), OpResult::Returned { .. }) => {
                    OpResult::Rejected { reason: Rejection::LegacyRule }
                }
                (_, result) => result,
            };
            outcomes.push(Event::OpDone { op: op.position, result });
        }
        self.worker = left;
        if !outcomes.is_empty() {
            self.batch(outcomes);
        }
    }

    fn advance(&mut self) {
        let step = match self.rng.below(40) {
            0 => -3_600_000,
            1 => 1_800_000,
            2 if self.rng.percent(10) => 90_000_000,
            _ => self.rng.below(2_000) as i64,
        };
        self.now = self.now.plus_ms(step);
    }

    fn verdict(&self) -> Result<(), String> {
        if let Some(text) = self.complaint.lock().unwrap().clone() {
            return Err(text);
        }
        self.legacy.broken().map_or(Ok(()), Err)
    }

    pub fn safety_phase(&mut self) -> Result<(), String> {
        self.poll(true);
        for _ in 0..self.options.steps {
            self.advance();
            match self.rng.below(100) {
                0..=39 => self.requests(),
                40..=47 => self.cancel_some(),
                48..=67 => self.write_back(),
                68..=79 => self.poll(false),
                80..=85 => drop(self.batch(vec![Event::Tick])),
                86 if self.faults && self.options.faults_percent > 0 => self.crash(),
                87 => self.take_snapshot(),
                _ => {}
            }
            if self.rng.percent(self.options.native_percent) {
                self.native_activity();
            }
            self.verdict()?;
        }
        Ok(())
    }

    fn take_snapshot(&mut self) {
        let snapshot = self.committer.as_ref().unwrap().desk().desk.snapshot();
        self.snapshot = Some(postcard::to_allocvec(&snapshot).expect("a snapshot is serialisable"));
    }

    /// Faults stop: everything converges and every request is answered (I13, I14).
    pub fn liveness_phase(&mut self) -> Result<(), String> {
        self.faults = false;
        for at in 0..self.sent.len() {
            if !self.sent[at].answered {
                let event = self.book_event(at);
                let answers = self.batch(vec![event]).ok_or("a batch failed without a fault")?;
                self.received(at, answers[0].as_ref());
            }
        }
        for _ in 0..200 {
            self.now = self.now.plus_ms(500);
            self.poll(true);
            self.write_back();
            self.verdict()?;
        }
        self.count_entries();
        if let Some(at) = self.sent.iter().position(|sent| !sent.answered) {
            return Err(format!("I14: request {at} was never answered"));
        }
        self.converged()
    }

    fn count_entries(&mut self) {
        for entry in self.disk.entries() {
            let what = match &entry.what {
                What::Cancelled { coalesced: true, .. } => "cancel_coalesced",
                What::Cancelled { .. } => "cancelling",
                What::TakeAsked { .. } => "take",
                What::ReturnAsked { .. } => "return",
                What::OpInDoubt { .. } => "in_doubt",
                What::LegacyCancelled { .. } => "legacy_cancelled",
                What::Redefined { .. } => "redefined",
                What::CutOff { .. } => "cut_off",
                _ => continue,
            };
            self.count(what);
            if matches!(what, "cancel_coalesced" | "cancelling") {
                self.count("cancelled");
            }
        }
    }

    fn converged(&mut self) -> Result<(), String> {
        let (mut judge, _) = self.committer.take().unwrap().into_parts();
        if let Some(op) = judge.desk.pending_ops().next() {
            return Err(format!("I13: op {} is still pending", op.position));
        }
        for (key, slot) in self.legacy.slots.iter().filter(|(_, slot)| slot.exists) {
            let units = judge.desk.units(key).unwrap_or_default();
            if units.granted - units.converted != slot.escrow {
                return Err(format!("I13: slot {key}: {units:?} but escrow {}", slot.escrow));
            }
        }
        let (touched, _) = judge.desk.everything();
        let mut seen = BTreeSet::new();
        for booking in touched.iter().filter_map(|t| if let Touched::Booking(b) = t { Some(b) } else { None }) {
            seen.insert(booking.id);
            let row = self.legacy.reservations.values().find(|r| r.op == Some(booking.id.0));
            let active = row.is_some_and(|r| r.active);
            if active != (booking.status == BookingStatus::Booked) {
                return Err(format!("I13: {} is {:?} here, active {active} in legacy", booking.id, booking.status));
            }
            if booking.status == BookingStatus::Displaced {
                *self.exercised.entry("displaced").or_default() += 1;
            }
            if booking.status != BookingStatus::Booked && booking.reason.is_none() {
                return Err(format!("{} ended without a reason", booking.id));
            }
        }
        match self.acknowledged.keys().find(|id| !seen.contains(id)) {
            Some(lost) => Err(format!("I3: acknowledged booking {lost} is gone")),
            None => Ok(()),
        }
    }
}
