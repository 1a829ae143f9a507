//! One seeded world: desk and committer as shipped; disk, legacy system, capture, write-back and partners simulated.

#[path = "agency.rs"]
mod agency;
#[path = "partners.rs"]
mod partners;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use slotbridge::decide::{
    CohortSet, Desk, Entry, Event, Given, OnOverrun, OpResult, Policy, RefillPolicy, Rejection, SeriesPolicy, Snapshot,
    What,
};
use slotbridge::domain::*;
use slotbridge::durable::{Answer, Submission};
use slotbridge::ledger::Committer;
use tokio::sync::oneshot;

use crate::disk::{Disk, Fault};
use crate::judge::{Judge, Witness, Words};
use crate::legacy::{Legacy, LegacySlot};
use crate::naive::Naive;
use crate::options::{Options, Plant, Restores, Rng};

use partners::Sent;

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
    worker: Vec<Given>,
    sent: Vec<Sent>,
    acknowledged: BTreeMap<BookingId, PartnerId>,
    snapshot: Option<Vec<u8>>,
    complaint: Arc<Mutex<Option<String>>>,
    faults: bool,
    /// Steps for which the legacy system cannot be reached: neither read nor written (rule 27).
    outage: u64,
    /// What the agency's switch says.
    control: Control,
    legacy_backup: Option<Legacy>,
    /// Entries of the ledger's backup.
    ledger_backup: Option<usize>,
    /// The worker asks which side is ahead before it writes again.
    reconnects: bool,
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
            classes: [("rare", AllotmentMode::OnRequest), ("walk_in", AllotmentMode::None)]
                .map(|(class, mode)| (class.to_owned(), mode))
                .into(),
            pending_max: 3,
            on_request_per_s: 3,
            release_hold_ms: 20_000,
            mend_pause_ms: 500,
            mend_pause_max_ms: 4_000,
            settle_ms: 10_000,
            vanish_ms: 5_000,
            overrun: if options.displaces { OnOverrun::DisplaceNewest } else { OnOverrun::Honour },
            series: [(series(), SeriesPolicy { cohorts, opens_at: None })].into(),
            refill: RefillPolicy { prewarm_per_s: rng.below(20) as u32, idle_return_ms: 60_000, ..Default::default() },
            ..Policy::default()
        };
        let mut legacy = Legacy::default();
        for n in 0..options.slots {
            let class = match rng.below(100) < options.classes_percent {
                true if rng.percent(20) => Some("walk_in"),
                true => Some("rare"),
                false => None,
            };
            let escrow = if options.mode == AllotmentMode::Quota && class.is_none() { 2 } else { 0 };
            let slot = LegacySlot {
                capacity: 2 + rng.below(8) as u32,
                counter: escrow,
                escrow,
                status: SlotStatus::Open,
                start: Timestamp(START + (1 + rng.below(48) as i64) * 1_800_000),
                version: 1,
                exists: true,
                last_op: None,
                class,
                tampered: false,
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
            outage: 0,
            control: Control::Run,
            legacy_backup: None,
            ledger_backup: None,
            reconnects: true,
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
        let naive = Naive { entries, facts, began_at: None, fenced: false, full_cut: false };
        for key in self.legacy.slots.keys() {
            let free = desk.units(key).map_or(0, |units| i64::from(units.free()));
            if free != naive.free(&self.policy, key) {
                let text = format!(
                    "after a restart slot {key} has {free} free, the reference {}",
                    naive.free(&self.policy, key)
                );
                self.complaint.lock().unwrap().get_or_insert(text);
            }
        }
        let last = desk.position();
        let judge = Judge { desk, naive, policy: self.policy.clone(), complaint: self.complaint.clone() };
        let witness = Witness { last, at: Timestamp(0), complaint: self.complaint.clone() };
        self.committer = Some(Committer::new(judge, self.disk.clone(), Box::new(Words), vec![Box::new(witness)]));
        self.worker.clear();
        self.reconnects = true;
        let unsent: Vec<RowId> =
            self.mirror.iter().filter(|(_, (_, at))| at.is_none()).map(|(id, _)| id.clone()).collect();
        self.send_facts(unsent);
    }

    fn crash(&mut self) {
        self.count("crash");
        self.committer = None;
        self.start();
    }

    /// The ledger as it was at its backup, in a new life (rule 32): far ahead, so that nothing is named twice.
    fn restore_ledger(&mut self) {
        let Some(kept) = self.ledger_backup.take() else { return };
        self.committer = None;
        {
            let mut platter = self.disk.0.lock().unwrap();
            platter.entries.truncate(kept);
            let last = platter.entries.last().map_or(Position::ZERO, Entry::last);
            let at = platter.entries.last().map_or(Timestamp(0), |entry| entry.at);
            self.latest = at;
            platter.replies.retain(|reply| reply.entry <= last);
            let jump = 1 << 20;
            platter.entries.push(Entry { position: last.next(), at, what: What::Reserve { count: jump } });
            self.policy.given_up.push((last.next(), last.next().plus(u64::from(jump))));
            self.acknowledged.retain(|id, _| id.0 <= last);
            for sent in &mut self.sent {
                sent.stored = sent.stored.take().filter(|(_, _, entry)| *entry <= last);
            }
            self.mirror.values_mut().for_each(|(_, at)| *at = at.filter(|at| *at <= last));
        }
        self.snapshot = None;
        self.count("ledger_restored");
        self.start();
    }

    /// Backups are made once, and used once, some time after.
    fn back_up_and_restore(&mut self) {
        if self.rng.below(60) != 0 {
            return;
        }
        match self.options.restores {
            Restores::None => {}
            Restores::Legacy if self.legacy_backup.is_some() => self.restore_legacy(),
            Restores::Legacy => self.legacy_backup = Some(self.legacy.clone()),
            Restores::Ledger if self.ledger_backup.is_some() => self.restore_ledger(),
            Restores::Ledger => self.ledger_backup = Some(self.disk.entries().len()),
        }
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

    fn complain(&self, text: &str) {
        self.complaint.lock().unwrap().get_or_insert(text.to_owned());
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
            self.outage = match self.outage {
                0 if self.options.faults_percent > 0 && self.rng.below(80) == 0 => {
                    self.count("outage");
                    20 + self.rng.below(60)
                }
                left => left.saturating_sub(1),
            };
            match self.rng.below(100) {
                0..=39 => self.requests(),
                40..=47 => self.cancel_some(),
                48..=67 if self.outage == 0 => self.write_back(),
                68..=79 if self.outage == 0 => self.poll(false),
                80..=85 => drop(self.batch(vec![Event::Tick])),
                86 if self.faults && self.options.faults_percent > 0 => self.crash(),
                87 => self.take_snapshot(),
                _ => {}
            }
            if self.rng.percent(self.options.native_percent) {
                self.native_activity();
            }
            if self.rng.below(1000) < self.options.agency_per_mille {
                self.agency_activity();
            }
            self.back_up_and_restore();
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
        // Ledger time stands still while the clock is behind it.
        self.now = self.now.max(self.latest);
        self.control = Control::Run;
        self.batch(vec![Event::Switch { control: Control::Run }]);
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
            self.batch(vec![Event::Tick]);
            self.verdict()?;
        }
        // What the last tick asked for is still to be written.
        for _ in 0..10 {
            self.write_back();
            self.poll(true);
        }
        self.verdict()?;
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
                What::Eroded { .. } => "eroded",
                What::Redriven { .. } => "redriven",
                What::Overrun { units: 1.., .. } => "overrun",
                What::Switched { .. } => "switched",
                What::LegacyRewound { .. } => "rewound",
                What::Settled { .. } => "settled",
                What::CancelAgain { .. } => "cancel_again",
                What::Displaced { .. } => "displaced_newest",
                What::OpDone { result: OpResult::GivenUp, .. } => "given_up",
                What::OpDone { result: OpResult::Mended { lost: 1.., .. }, .. } => "units_lost",
                What::OpDone { result: OpResult::Mended { .. }, .. } => "mended",
                What::OpDone { result: OpResult::Converted { over: true, .. }, .. } => "honoured_above",
                What::OpDone { result: OpResult::Rejected { reason: Rejection::NoPlace }, .. } => "refused_on_request",
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
            return Err(format!("I13: {op:?} is still pending"));
        }
        for (key, slot) in self.legacy.slots.iter().filter(|(_, slot)| slot.exists) {
            let units = judge.desk.units(key).unwrap_or_default();
            if units.granted - units.converted != slot.escrow {
                return Err(format!(
                    "I13: slot {key}: {units:?} but {slot:?}, given up {:?}, mirror {:?}, entries {}",
                    self.policy.given_up,
                    self.mirror.get(&format!("slot {key}")),
                    judge
                        .naive
                        .entries
                        .iter()
                        .filter(|e| {
                            let t = format!("{e:?}");
                            t.contains(&format!("{key}\""))
                                || ["OpDone", "Rewound", "Applied"].iter().any(|word| t.contains(word))
                        })
                        .map(|e| format!("\n{e:?}"))
                        .collect::<String>()
                ));
            }
            let used = self.legacy.active_of(key) + slot.escrow;
            if slot.class.is_none() && slot.counter < used {
                return Err(format!("I13: slot {key} is still eroded: {used} used of {slot:?}"));
            }
        }
        let totals = judge.desk.totals();
        if totals.eroded + totals.unsettled > 0 {
            return Err(format!("I13: slots are still frozen: {totals:?}"));
        }
        let (touched, _) = judge.desk.everything();
        let (mut seen, mut active_here) = (BTreeSet::new(), 0);
        for booking in touched.iter().filter_map(|t| if let Touched::Booking(b) = t { Some(b) } else { None }) {
            seen.insert(booking.id);
            let row = booking.legacy_ref.as_ref().and_then(|number| self.legacy.reservations.get(&**number));
            let active = row.is_some_and(|r| r.active && r.person == booking.person);
            if active != (booking.status == BookingStatus::Booked) {
                return Err(format!("I13: {} is {:?} here, active {active} in legacy", booking.id, booking.status));
            }
            active_here += usize::from(active);
            let what = match (booking.status, booking.sync) {
                (BookingStatus::Displaced, _) => "displaced",
                (BookingStatus::Booked, _) if judge.naive.was_requested(booking.id) => "placed",
                _ => "ended",
            };
            *self.exercised.entry(what).or_default() += 1;
            if booking.status != BookingStatus::Booked && booking.reason.is_none() {
                return Err(format!("{} ended without a reason", booking.id));
            }
        }
        let is_lost = |op| crate::account::is_lost(&self.policy, op);
        let rows =
            self.legacy.reservations.values().filter(|r| r.active && r.op.is_some_and(|op| !is_lost(op))).count();
        if rows != active_here {
            return Err(format!("I13: {rows} reservations of ours stand in legacy, {active_here} bookings here"));
        }
        match self.acknowledged.keys().find(|id| !seen.contains(id)) {
            Some(lost) => Err(format!("I3: acknowledged booking {lost} is gone")),
            None => Ok(()),
        }
    }
}
