//! Measuring and readiness: hooks that count what passes, and what is asked of the daemon from outside.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::watch;

use crate::answer::Answers;
use crate::capture::Capture;
use crate::clock::Clock;
use crate::decide::{Outcome, Totals};
use crate::domain::PartnerId;
use crate::durable::{Consumer, Durable, Render, Rendered};
use crate::intake::Bounds;
use crate::ledger;
use crate::legacy::Control as LegacyControl;
use crate::publish::api::FeedSource;
use crate::publish::{Hold, HoldReason, Served};
use crate::serve::{self, Answered, Health};
use crate::telemetry::metrics::{Feed, Held, How, Legacy, Metrics, Reason, State};
use crate::view::View;
use crate::writeback;

use super::control::Door;
use super::desk::Window;

/// Renders through the mappings, without what is held, and counts what was decided.
pub struct Counting {
    pub answers: Arc<arc_swap::ArcSwap<Answers>>,
    pub feeds: Arc<dyn FeedSource>,
    pub metrics: Arc<Metrics>,
}

impl Render for Counting {
    fn render(&self, partner: &PartnerId, outcome: &Outcome) -> Rendered {
        let code = match outcome {
            Outcome::Booked { .. } => "booked",
            Outcome::Pending { .. } => "pending",
            Outcome::Cancelled { .. } => "cancelled",
            Outcome::TokenGiven => "token_given",
            Outcome::Replay { .. } => "replayed",
            Outcome::Refused(refused) => refused.code.code(),
        };
        self.metrics.decided(partner.as_str(), code);
        let withheld = serve::withheld(&*self.feeds, partner);
        self.answers.load().render_without(partner, outcome, withheld)
    }
}

/// Counts durable batches.
pub struct Meter(pub Arc<Metrics>);

impl Consumer for Meter {
    fn durable(&mut self, batch: &Arc<Durable>) {
        self.0.durable(batch.last.0 + 1 - batch.first.0, batch.last.0);
    }
}

/// What the daemon's condition is read from. Parts that start later are set later.
pub struct Condition {
    pub metrics: Arc<Metrics>,
    pub view: Arc<View>,
    pub clock: Arc<dyn Clock>,
    pub door: Door,
    pub bounds: Bounds,
    pub window: Window,
    pub capture: Arc<Capture>,
    pub feeds: Arc<crate::publish::Feeds>,
    pub partners: Vec<PartnerId>,
    pub committer: Arc<ledger::Status>,
    pub resent: watch::Receiver<bool>,
    pub writeback: OnceLock<Arc<std::sync::Mutex<writeback::Stats>>>,
    pub stopping: AtomicBool,
}

impl Condition {
    pub fn writeback(&self) -> writeback::Stats {
        let stats = self.writeback.get();
        stats.map(|stats| stats.lock().unwrap_or_else(|p| p.into_inner()).clone()).unwrap_or_default()
    }

    /// Milliseconds that the oldest claimed op waits; 0 when none does.
    pub fn writeback_lag_ms(&self) -> i64 {
        self.writeback().oldest_at.map_or(0, |at| self.clock.now().since_ms(at).max(0))
    }

    /// Statements sent to the legacy system so far: by capture, by write-back.
    pub fn statements(&self) -> (u64, u64) {
        (self.capture.stats().statements, self.writeback().statements)
    }

    fn refresh(&self) {
        let (now, counted) = (self.clock.now(), &self.metrics.counted);
        let (slots, bookings, _) = self.view.counts();
        counted.slots.set(whole(slots as u64));
        counted.bookings.set(whole(bookings as u64));
        counted.requests_waiting.set(whole(self.door.waiting(self.bounds) as u64));
        let mark = self.view.mark();
        counted.poll_age_ms.set(now.since_ms(mark.started_at));
        counted.full_cut_age_s.set(now.since_ms(mark.full_at) / 1_000);
        let (capture, writeback) = self.statements();
        counted.legacy_statements.get_or_create(&Legacy { by: "capture".to_owned() }).set(whole(capture));
        counted.legacy_statements.get_or_create(&Legacy { by: "writeback".to_owned() }).set(whole(writeback));
        let seen = self.window.seen();
        counted.writeback_pending.set(whole(seen.pending_ops));
        counted.writeback_lag_ms.set(self.writeback_lag_ms());
        self.refresh_writeback();
        self.refresh_desk();
        self.refresh_holds();
        for partner in &self.partners {
            for feed in self.feeds.feeds(partner) {
                let labels = Feed { partner: partner.to_string(), feed: feed.name.clone() };
                counted.feed_cursor.get_or_create(&labels).set(whole(feed.cursor.0));
                if let Some(freshness) = self.feeds.freshness(partner, &feed.name, now) {
                    counted.feed_lag_ms.get_or_create(&labels).set(whole(freshness.lag_ms));
                    self.metrics.freshness.get_or_create(&labels).observe(freshness.lag_ms as f64 / 1_000.0);
                }
            }
        }
    }

    /// Of every feed and reason; also of feeds that are held and not bound, which leave once they are free.
    fn refresh_holds(&self) {
        let gauges = &self.metrics.counted.feed_held;
        let set = |partner: &PartnerId, feed: &str, holds: &[Hold]| {
            for reason in HoldReason::ALL {
                let (partner, feed, is_held) =
                    (partner.to_string(), feed.to_owned(), holds.iter().any(|h| h.reason == reason));
                let labels = Held { partner, feed, reason: reason.code().to_owned() };
                gauges.get_or_create(&labels).set(i64::from(is_held));
            }
        };
        gauges.clear();
        for partner in &self.partners {
            self.feeds.feeds(partner).iter().for_each(|feed| set(partner, &feed.name, &feed.holds));
        }
        self.feeds.held().iter().for_each(|((partner, feed), holds)| set(partner, feed, holds));
    }

    fn refresh_desk(&self) {
        let (seen, counted) = (self.window.seen(), &self.metrics.counted);
        let totals = &seen.totals;
        for (state, units) in units(totals) {
            counted.units.get_or_create(&State { state: state.to_owned() }).set(whole(units));
        }
        counted.slots_eroded.set(whole(totals.eroded));
        counted.slots_unsettled.set(whole(totals.unsettled));
        counted.overrun_units.set(whole(totals.overrun));
        counted.lost_units.set(whole(totals.lost));
        counted.mended_slots.set(whole(totals.mended));
        counted.honoured.set(whole(totals.honoured));
        counted.rechecked.set(whole(totals.rechecked));
        counted.redriven.set(whole(totals.redriven));
        counted.rewound.set(whole(totals.rewound));
        counted.conflicts.set(whole(seen.conflicts.len() as u64));
        for (reason, times) in &totals.displaced {
            counted.displaced.get_or_create(&Reason { reason: reason.code().to_owned() }).set(whole(*times));
        }
        counted.read_lag_ms.set(whole(self.capture.stats().read_lag_ms));
    }

    fn refresh_writeback(&self) {
        let (stats, counted) = (self.writeback(), &self.metrics.counted);
        counted.in_doubt.set(whole(stats.in_doubt as u64));
        counted.set_aside.set(whole(stats.aside.len() as u64));
        counted.writeback_transactions.set(whole(stats.transactions));
        counted.writeback_failures.set(whole(stats.failures));
        counted.writeback_batch_max.set(whole(stats.batch_max as u64));
        counted.fence_open.set(i64::from(stats.fence_open));
        counted.releases_open.set(whole(stats.releases as u64));
        for state in writeback::Status::CODES {
            let labels = State { state: state.to_owned() };
            counted.writeback_state.get_or_create(&labels).set(i64::from(stats.status.code() == state));
        }
        for control in [LegacyControl::Run, LegacyControl::Drain, LegacyControl::Stop] {
            let labels = State { state: control.code().to_owned() };
            counted.agency_switch.get_or_create(&labels).set(i64::from(stats.control == control));
        }
        for (how, times) in &stats.disagreements {
            counted.disagreements.get_or_create(&How { how: (*how).to_owned() }).set(whole(*times));
        }
    }

    /// For `status`: staleness first.
    pub fn status(&self) -> serde_json::Value {
        let now = self.clock.now();
        let mark = self.view.mark();
        let (slots, bookings, items) = self.view.counts();
        let seen = self.window.seen();
        let writeback = self.writeback();
        let (capture_statements, writeback_statements) = self.statements();
        let mut feeds = Vec::new();
        for partner in &self.partners {
            for feed in self.feeds.feeds(partner) {
                let lag_ms = self.feeds.freshness(partner, &feed.name, now).map(|freshness| freshness.lag_ms);
                feeds.push(serde_json::json!({
                    "partner": partner, "feed": feed.name, "lag_ms": lag_ms, "cursor": feed.cursor,
                    "items": feed.items, "mapping": format!("{} v{}", feed.mapping_id, feed.mapping_version),
                    "held": held(&feed.holds),
                }));
            }
        }
        for ((partner, feed), holds) in self.feeds.held() {
            // Held before it was ever bound: what is listed above is bound.
            if !self.feeds.feeds(&partner).iter().any(|bound| bound.name == feed) {
                feeds.push(serde_json::json!({ "partner": partner, "feed": feed, "held": held(&holds) }));
            }
        }
        let aside = writeback.aside.iter().map(|aside| {
            serde_json::json!({
                "op": aside.op, "kind": aside.kind, "slot": aside.slot, "id": aside.id, "why": aside.why,
                "waits_s": now.since_ms(aside.since).max(0) / 1_000,
            })
        });
        let aside: Vec<serde_json::Value> = aside.collect();
        let halted_by = match &writeback.status {
            writeback::Status::Halted { message, .. } => Some(message.as_str()),
            _ => None,
        };
        serde_json::json!({
            "freshness": {
                "poll_age_ms": now.since_ms(mark.started_at), "full_cut_age_s": now.since_ms(mark.full_at) / 1_000,
                "refused_cuts": self.refused_cuts(),
            },
            "capture": self.capturing(),
            "polls": self.polls(),
            "daemon": {
                "not_ready": self.not_ready(), "position": self.view.durable(), "slots": slots, "bookings": bookings,
                "other_items": items, "requests_waiting": self.door.waiting(self.bounds),
                "persons": self.view.ci().map(|table| table.len()), "error_lines": crate::telemetry::error_lines(),
            },
            "writeback": {
                "status": writeback.status.code(), "pending_ops": seen.pending_ops, "in_doubt": writeback.in_doubt,
                "lag_ms": self.writeback_lag_ms(), "free_units": seen.totals.free, "unapplied": seen.totals.unapplied,
                "failures": writeback.failures, "halted_by": halted_by, "switch": writeback.control.code(),
                "fence_open": writeback.fence_open, "transactions": writeback.transactions,
                "statements": writeback.statements, "batch_max": writeback.batch_max,
                "releases_open": writeback.releases, "disagreements": writeback.disagreements,
            },
            "desk": desk(&seen.totals, seen.conflicts.len()),
            "set_aside": aside,
            "legacy": { "statements_capture": capture_statements, "statements_writeback": writeback_statements },
            "feeds": feeds,
        })
    }
}

impl Condition {
    fn refused_cuts(&self) -> Vec<String> {
        let told = |cut: &crate::capture::RefusedCut| format!("{}: {} of {} rows lost", cut.object, cut.lost, cut.live);
        self.capture.refused().iter().map(told).collect()
    }

    /// What keeps capture from reading as it should.
    fn capturing(&self) -> serde_json::Value {
        let stats = self.capture.stats();
        let braked: Vec<String> =
            stats.braked.iter().map(|((poll, object), why)| format!("{object} {}: {why}", poll.code())).collect();
        serde_json::json!({
            "halted": stats.halted, "braked": braked, "undo_too_short": stats.undo_too_short,
            "pages_halved": stats.pages_halved, "read_lag_ms": stats.read_lag_ms, "reads_lag": stats.reads_lag,
        })
    }

    /// Rows read for each that had changed, by kind of poll and object.
    fn polls(&self) -> Vec<serde_json::Value> {
        let stats = self.capture.stats();
        let told = |((poll, object), polls): (&(crate::capture::Poll, _), &crate::capture::PollStats)| {
            serde_json::json!({
                "poll": poll.code(), "object": object, "polls": polls.polls, "failed": polls.failed, "rows": polls.rows,
                "changed": polls.changed, "gone": polls.gone, "late": polls.late,
                "rows_per_change": (polls.rows_per_change() * 10.0).round() / 10.0, "last_ms": polls.last_ms,
            })
        };
        stats.objects.iter().map(told).collect()
    }
}

/// Reasons with the agency's own text; null where there is none.
fn held(holds: &[Hold]) -> Option<Vec<serde_json::Value>> {
    let told = |hold: &Hold| {
        let served = match hold.served {
            Served::LastState => "last_state",
            Served::NotAtAll => "not_at_all",
        };
        let (reason, since) = (hold.reason.code(), hold.since.rfc3339());
        serde_json::json!({ "reason": reason, "text": hold.text, "since": since, "served": served })
    };
    (!holds.is_empty()).then(|| holds.iter().map(told).collect())
}

/// Of a unit, and of a booking that waits for one.
fn units(totals: &Totals) -> [(&'static str, u64); 6] {
    [
        ("free", totals.free),
        ("sold", totals.unapplied),
        ("named", totals.converted),
        ("returning", totals.returning),
        ("taking", totals.taking),
        ("pending", totals.pending),
    ]
}

fn desk(totals: &Totals, conflicts: usize) -> serde_json::Value {
    let units: std::collections::BTreeMap<_, _> = units(totals).into();
    let displaced: std::collections::BTreeMap<_, _> =
        totals.displaced.iter().map(|(reason, times)| (reason.code(), *times)).collect();
    serde_json::json!({
        "units": units, "slots_eroded": totals.eroded, "slots_unsettled": totals.unsettled,
        "overrun_units": totals.overrun, "lost_units": totals.lost, "mended_slots": totals.mended,
        "honoured": totals.honoured, "displaced": displaced, "rechecked": totals.rechecked,
        "redriven": totals.redriven, "rewound": totals.rewound, "conflicts": conflicts,
    })
}

fn whole(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

impl Health for Condition {
    fn not_ready(&self) -> Vec<String> {
        let mut missing = Vec::new();
        if self.committer.has_failed() {
            missing.push("the ledger could not be written; the process is about to exit".to_owned());
        }
        if self.stopping.load(Ordering::Relaxed) {
            missing.push("the daemon is stopping".to_owned());
        }
        if !*self.resent.borrow() {
            missing.push("rows known before the restart are still being sent to the desk".to_owned());
        }
        if self.view.mark().full_at.0 == 0 {
            missing.push("the first full cut of the legacy system is not durable yet".to_owned());
        }
        missing
    }

    fn metrics(&self) -> String {
        self.refresh();
        self.metrics.text()
    }

    fn answered(&self, answered: &Answered<'_>) {
        tracing::debug!(
            partner = answered.partner.map(PartnerId::as_str),
            route = answered.route,
            status = answered.status,
            code = answered.code,
            took_us = answered.took_us,
            "answered"
        );
    }
}
