//! The end: traffic stops, what was acknowledged is written back, one more cut is taken, and everything is recounted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::partner::Partner;
use super::told::{Unfinished, frozen};
use super::traffic::Traffic;
use super::verdict::{Beside, Evidence, FeedStates, Verdict, judge};
use super::{Demo, DemoFailed, Ended, TrafficWanted, say};
use crate::cli::Out;
use crate::decide::Entry;
use crate::domain::{AllotmentMode, Incarnation, OpId, Position};
use crate::durable::EntryLog;
use crate::ledger;
use crate::legacy::import::Comparison;
use crate::legacy::sqlite::recount::recount;

/// Longest wait for the write-back of what was acknowledged. At 50 ops a transaction, far more than it needs.
const DRAIN: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);
/// After the agency's edits, nothing must change for so long: capture sees the last edit, and the slot is mended.
const STILL: Duration = Duration::from_secs(2);
/// Entries read at once.
const CHUNK: usize = 10_000;
/// Bound of a walk through a feed, pages.
const PAGES_MAX: usize = 10_000;

pub struct End<'a> {
    pub demo: &'a Demo,
    pub traffic: Traffic,
    /// Of an import with what was published of it.
    pub comparison: Option<Comparison>,
}

impl End<'_> {
    /// Stops traffic, drains, recounts and prints the verdict.
    pub fn conclude(mut self, out: &mut Out) -> Result<Ended, DemoFailed> {
        self.traffic.stop(self.demo);
        if let Some(double) = &self.demo.stage.double {
            double.calm()?;
        }
        let began = Instant::now();
        let mut log = Log::new(self.demo.daemon.entries.clone());
        self.drain(&mut log)?;
        self.one_more_cut(&mut log)?;
        self.drain(&mut log)?;
        if self.traffic.habits.any() {
            self.settle(&mut log)?;
        }
        self.poll_pending();
        say(
            out,
            &format!(
                "traffic ended; write-back drained and one more cut taken in {:.1} s",
                began.elapsed().as_secs_f64()
            ),
        );
        let feeds = self.read_feeds(&mut log);
        log.read()?;
        let verdict = self.verdict(&log.entries, &feeds)?;
        if out.is_json() {
            out.value(&verdict.to_json());
        } else {
            out.text(&verdict.to_text());
            if let Some(freshness) = self.demo.tally.freshness() {
                out.line(&format!("freshness over the run: p50 {} ms, p99 {} ms", freshness.p50, freshness.p99));
            }
        }
        Ok(if verdict.is_right() { Ended::Right } else { Ended::Wrong })
    }

    /// Until no booking and no cancel of the ledger waits for the legacy system. What does not end in time is for the
    /// verdict to find.
    fn drain(&self, log: &mut Log) -> Result<(), DemoFailed> {
        let until = Instant::now() + DRAIN;
        loop {
            log.read()?;
            if log.unfinished.is_empty() || Instant::now() >= until {
                return Ok(());
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Until no slot is frozen and the legacy system's books stand still.
    fn settle(&self, log: &mut Log) -> Result<(), DemoFailed> {
        let until = Instant::now() + DRAIN;
        let (mut last, mut since) = (None, Instant::now());
        while Instant::now() < until {
            self.drain(log)?;
            let books = recount(&self.demo.stage.legacy)?.miscounted_slots;
            let totals = self.demo.daemon.condition.window.seen().totals;
            let now = (books, totals.mended);
            log.read()?;
            if last.as_ref() != Some(&now) || frozen(&log.entries) > 0 {
                (last, since) = (Some(now), Instant::now());
            } else if since.elapsed() > STILL {
                break;
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Partners ask for the last time how their pending bookings ended.
    fn poll_pending(&self) {
        let until = Instant::now() + DRAIN;
        for partner in &self.demo.partners {
            loop {
                match self.demo.runtime.block_on(partner.poll_one()) {
                    Ok(true) if Instant::now() < until => {}
                    Ok(_) => break,
                    Err(error) => {
                        self.demo.tally.fault(format!("{}: {error}", partner.access.partner));
                        break;
                    }
                }
            }
        }
    }

    fn beside(&self) -> Beside {
        let (traffic, condition) = (&self.traffic, &self.demo.daemon.condition);
        let edits = &traffic.edits;
        let told = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
        let double = self.demo.stage.double.as_ref();
        Beside {
            edited: edits.slots().clone(),
            mends: self.demo.stage.config.allotment.mode != AllotmentMode::OnRequest,
            edits: vec![
                ("agency: nightly recounts", told(&edits.recounts)),
                ("agency: counters that recounts changed", told(&edits.recounted)),
                ("agency: stale screens saved", told(&edits.stale_screens)),
                ("agency: capacities edited", told(&edits.capacities)),
                ("agency: units assigned while it sold", told(&edits.assigned)),
            ],
            totals: condition.window.seen().totals,
            faults: double.map(super::double::Double::struck).unwrap_or_default(),
            faults_expected: traffic.faults && double.is_some(),
            statements: condition.statements().1,
        }
    }

    fn one_more_cut(&self, log: &mut Log) -> Result<(), DemoFailed> {
        let since = super::partner::now();
        self.demo.daemon.poller().now();
        let condition = &self.demo.daemon.condition;
        self.demo.wait_for("one more cut", || condition.view.mark().full_at > since)?;
        log.read()
    }

    /// What every partner reads in its bookings feed, once the feed has reached the ledger's end.
    fn read_feeds(&self, log: &mut Log) -> BTreeMap<String, FeedStates> {
        let mut feeds = BTreeMap::new();
        for partner in &self.demo.partners {
            let walk = walk(partner.clone(), log.last());
            match self.demo.runtime.block_on(walk) {
                Ok(states) => {
                    feeds.insert(partner.access.partner.clone(), states);
                }
                Err(error) => {
                    self.demo.tally.fault(format!("{}: bookings feed: {error}", partner.access.partner));
                    feeds.insert(partner.access.partner.clone(), FeedStates::new());
                }
            }
        }
        feeds
    }

    fn verdict(&self, entries: &[Entry], feeds: &BTreeMap<String, FeedStates>) -> Result<Verdict, DemoFailed> {
        let recount = recount(&self.demo.stage.legacy)?;
        let ledger_dir = crate::app::Files::of(&self.demo.stage.config.daemon.data_dir).ledger;
        let chain = ledger::verify(&ledger_dir).map_err(|error| DemoFailed::Ledger { cause: error.to_string() })?;
        let epochs = &self.demo.daemon.epochs;
        let op_id = |position: Position| {
            let life = epochs.iter().rev().find(|epoch| epoch.from <= position).or(epochs.first());
            OpId { incarnation: life.map_or(Incarnation(0), |life| life.incarnation), position }.to_string()
        };
        let seen = self.demo.tally.seen();
        Ok(judge(&Evidence {
            entries,
            op_id: &op_id,
            recount: &recount,
            seen: &seen,
            feeds,
            chain: &chain,
            comparison: self.comparison.as_ref(),
            contention_expected: self.traffic.wanted == TrafficWanted::Yes,
            beside: &self.beside(),
        }))
    }
}

/// The ledger as read so far.
struct Log {
    reader: Arc<ledger::LedgerReader>,
    entries: Vec<Entry>,
    unfinished: Unfinished,
}

impl Log {
    fn new(reader: Arc<ledger::LedgerReader>) -> Log {
        Log { reader, entries: Vec::new(), unfinished: Unfinished::default() }
    }

    fn last(&self) -> Position {
        self.entries.last().map_or(Position::ZERO, Entry::last)
    }

    fn read(&mut self) -> Result<(), DemoFailed> {
        loop {
            let more = self.reader.entries_after(self.last(), CHUNK);
            let more = more.map_err(|error| DemoFailed::Ledger { cause: error.to_string() })?;
            let count = more.len();
            more.iter().for_each(|entry| self.unfinished.take(entry));
            self.entries.extend(more);
            if count < CHUNK {
                return Ok(());
            }
        }
    }
}

/// The whole bookings feed, read again from its beginning until its `Sync-Cursor` is at or past `until`.
async fn walk(partner: Arc<Partner>, until: Position) -> Result<FeedStates, super::partner::Unexpected> {
    let mut states = FeedStates::new();
    let mut url = format!("{}/v1/feeds/bookings?limit=5000", partner.access.base);
    for _ in 0..PAGES_MAX {
        let page = partner.access.get(&url).await?;
        let items = page.body["items"].as_array().map_or(&[][..], Vec::as_slice);
        for item in items {
            let id = item["id"].as_str().and_then(|id| id.parse().ok());
            if let (Some(id), Some(status)) = (id, item["data"]["status"].as_str()) {
                states.insert(id, status.to_owned());
            }
        }
        if items.is_empty() {
            if page.cursor.is_some_and(|cursor| cursor >= until.0) {
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
        if let Some(next) = page.body["next"].as_str() {
            next.clone_into(&mut url);
        }
    }
    Ok(states)
}
