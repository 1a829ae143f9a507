//! Every metric: name, labels, unit. Labels are closed sets or configured names, never a value of a row.

use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Of a decision: who asked and what was decided (`booked`, `cancelled`, `replayed` or a refusal's code).
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Decision {
    pub partner: String,
    pub code: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Feed {
    pub partner: String,
    pub feed: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Mapping {
    pub mapping: String,
}

/// Why a feed is held: `approval`, `drift`, `guard`, `row_jump`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Held {
    pub partner: String,
    pub feed: String,
    pub reason: String,
}

/// What a guard stopped: the linter's rule and the kind of feed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct GuardHit {
    pub rule: String,
    pub feed: String,
}

/// A job: `full_cut`, `ledger_snapshot`, `purge`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Job {
    pub job: String,
}

/// An error of the legacy system: class of the adapter's table, and which side met it: `read`, `write`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Failure {
    pub class: String,
    pub side: String,
}

/// One of a closed set of states; the one that holds is 1, the others 0.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct State {
    pub state: String,
}

/// How ledger and legacy system disagreed: `legacy_behind`, `ledger_behind`, `foreign`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct How {
    pub how: String,
}

/// Why bookings were displaced: codes of `EndReason`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Reason {
    pub reason: String,
}

/// Which connection: `capture`, `writeback`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Legacy {
    pub by: String,
}

/// What each refers to stands in its help text below.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    pub decisions: Family<Decision, Counter>,
    pub batches: Counter,
    pub entries: Counter,
    pub error_lines: Gauge,
    pub durable_position: Gauge,
    pub requests_waiting: Gauge,
    pub slots: Gauge,
    pub bookings: Gauge,
    pub feed_lag_ms: Family<Feed, Gauge>,
    pub feed_cursor: Family<Feed, Gauge>,
    pub feed_held: Family<Held, Gauge>,
    pub poll_age_ms: Gauge,
    pub full_cut_age_s: Gauge,
    pub legacy_statements: Family<Legacy, Gauge>,
    pub writeback_pending: Gauge,
    pub writeback_lag_ms: Gauge,
    pub in_doubt: Gauge,
    pub set_aside: Gauge,
    pub writeback_transactions: Gauge,
    pub writeback_failures: Gauge,
    pub writeback_batch_max: Gauge,
    pub writeback_state: Family<State, Gauge>,
    pub agency_switch: Family<State, Gauge>,
    pub fence_open: Gauge,
    pub releases_open: Gauge,
    pub disagreements: Family<How, Gauge>,
    pub units: Family<State, Gauge>,
    pub slots_eroded: Gauge,
    pub slots_unsettled: Gauge,
    pub overrun_units: Gauge,
    pub lost_units: Gauge,
    pub mended_slots: Gauge,
    pub honoured: Gauge,
    pub displaced: Family<Reason, Gauge>,
    pub rechecked: Gauge,
    pub redriven: Gauge,
    pub rewound: Gauge,
    pub conflicts: Gauge,
    pub legacy_errors: Family<Failure, Counter>,
    pub guard_hits: Family<GuardHit, Counter>,
    pub read_lag_ms: Gauge,
    pub password_days: Gauge,
    pub approval_days_left: Family<Mapping, Gauge>,
    pub job_success_at: Family<Job, Gauge<f64, AtomicU64>>,
}

pub struct Metrics {
    pub counted: Counted,
    /// Entries in a batch: 1, 2, 4 … 4,096.
    pub batch_entries: Histogram,
    /// Lag of a published feed when asked, in seconds: 1 ms doubling to 65 s.
    pub freshness: Family<Feed, Histogram, fn() -> Histogram>,
    registry: Mutex<Registry>,
}

fn lag_histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 17))
}

impl Default for Metrics {
    fn default() -> Metrics {
        let counted = Counted::default();
        let batch_entries = Histogram::new(exponential_buckets(1.0, 2.0, 13));
        let freshness = Family::<Feed, Histogram, fn() -> Histogram>::new_with_constructor(lag_histogram);
        let mut registry = Registry::with_prefix("slotbridge");
        let c = &counted;
        registry.register("decisions", "Outcomes of partners' requests by code", c.decisions.clone());
        registry.register("batches", "Batches made durable", c.batches.clone());
        registry.register("entries", "Positions made durable", c.entries.clone());
        registry.register("batch_entries", "Positions in a batch", batch_entries.clone());
        registry.register("log_error_lines", "Log lines at ERROR; each wants a person", c.error_lines.clone());
        registry.register("durable_position", "Position that the ledger has reached", c.durable_position.clone());
        registry.register("requests_waiting", "Partners' requests in the intake", c.requests_waiting.clone());
        registry.register("slots", "Slots in the view", c.slots.clone());
        registry.register("bookings", "Bookings in the view, ended ones included", c.bookings.clone());
        registry.register("feed_lag_ms", "Now minus the feed's as-of, milliseconds", c.feed_lag_ms.clone());
        registry.register("feed_cursor", "Watermark of the feed", c.feed_cursor.clone());
        registry.register("feed_held", "1 where the feed stands still for that reason", c.feed_held.clone());
        registry.register("freshness_seconds", "Lag of the feed when observed", freshness.clone());
        registry.register("poll_age_ms", "Age of the latest poll that is durable", c.poll_age_ms.clone());
        registry.register("full_cut_age_seconds", "Age of the latest full cut", c.full_cut_age_s.clone());
        registry.register("legacy_statements", "Statements sent to the legacy system", c.legacy_statements.clone());
        registry.register("writeback_pending", "Ops without a result", c.writeback_pending.clone());
        registry.register("writeback_lag_ms", "Age of the oldest op without a result", c.writeback_lag_ms.clone());
        registry.register("writeback_in_doubt", "Ops whose commit is unknown", c.in_doubt.clone());
        registry.register("writeback_set_aside", "Ops that wait for an operator", c.set_aside.clone());
        registry.register(
            "writeback_transactions",
            "Transactions tried since the start",
            c.writeback_transactions.clone(),
        );
        registry.register(
            "writeback_failures",
            "Transactions that failed since the start",
            c.writeback_failures.clone(),
        );
        registry.register(
            "writeback_batch_max",
            "Ops that the next transaction may hold",
            c.writeback_batch_max.clone(),
        );
        registry.register("writeback_state", "1 for the state that write-back is in", c.writeback_state.clone());
        registry.register("agency_switch", "1 for what the agency's switch says", c.agency_switch.clone());
        registry.register("fence_open", "0 where the agency has fenced the bridge off", c.fence_open.clone());
        registry.register("releases_open", "Release requests being carried out", c.releases_open.clone());
        let help = "Connects since the start at which ledger and legacy system disagreed";
        registry.register("disagreements", help, c.disagreements.clone());
        register_desk(&mut registry, c);
        let help = "What was stopped before it left, by rule and kind of feed; each holds the feed";
        registry.register("guard_hits", help, c.guard_hits.clone());
        registry.register("legacy_errors", "Errors of the legacy system by class", c.legacy_errors.clone());
        registry.register(
            "password_days",
            "Days until the password of the account that writes expires; 36500: never",
            c.password_days.clone(),
        );
        registry.register("read_lag_ms", "How far a standby that is read lags, milliseconds", c.read_lag_ms.clone());
        let help = "Days until the approval of the mapping in force ends; -1: none is in force";
        registry.register("approval_days_left", help, c.approval_days_left.clone());
        let help = "Unix time of the job's last success";
        registry.register("job_success_timestamp_seconds", help, c.job_success_at.clone());
        Metrics { counted, batch_entries, freshness, registry: Mutex::new(registry) }
    }
}

/// The desk's sums; those that only grow are counted since the ledger began, across restarts.
fn register_desk(registry: &mut Registry, c: &Counted) {
    let help = "Units by state; free ones are held unused. pending: bookings that wait for one";
    registry.register("units", help, c.units.clone());
    registry.register("slots_eroded", "Slots frozen until they are mended", c.slots_eroded.clone());
    registry.register("slots_unsettled", "Slots in question after a restore", c.slots_unsettled.clone());
    registry.register("overrun_units", "Bookings above the room there is", c.overrun_units.clone());
    registry.register("lost_units", "Units that mends gave up, since the ledger began", c.lost_units.clone());
    registry.register("mended_slots", "Mends since the ledger began", c.mended_slots.clone());
    registry.register("honoured", "Bookings honoured without a unit", c.honoured.clone());
    registry.register("displaced", "Bookings displaced, by reason", c.displaced.clone());
    registry.register("rechecked", "Persons looked for again after write-back", c.rechecked.clone());
    registry.register("redriven", "Bookings sent again", c.redriven.clone());
    registry.register("rewound", "Ops undone by a restore of the legacy system", c.rewound.clone());
    registry.register("conflicts", "Lines of `slotbridge conflicts`", c.conflicts.clone());
}

impl Metrics {
    /// The OpenMetrics text. Gauges that follow others' state are set by the caller before.
    pub fn text(&self) -> String {
        self.counted.error_lines.set(i64::try_from(super::error_lines()).unwrap_or(i64::MAX));
        let registry = self.registry.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut text = String::new();
        match encode(&mut text, &registry) {
            Ok(()) => text,
            // Writing to a String cannot fail; an encoder's refusal is an empty scrape, which alerts.
            Err(_) => String::new(),
        }
    }

    pub fn decided(&self, partner: &str, code: &str) {
        let labels = Decision { partner: partner.to_owned(), code: code.to_owned() };
        self.counted.decisions.get_or_create(&labels).inc();
    }

    pub fn legacy_failed(&self, class: &str, side: &str) {
        let labels = Failure { class: class.to_owned(), side: side.to_owned() };
        self.counted.legacy_errors.get_or_create(&labels).inc();
    }

    pub fn guard_hit(&self, rule: &str, feed: &str) {
        let labels = GuardHit { rule: rule.to_owned(), feed: feed.to_owned() };
        self.counted.guard_hits.get_or_create(&labels).inc();
    }

    /// A batch of `entries` positions is durable up to `last`.
    pub fn durable(&self, entries: u64, last: u64) {
        self.counted.batches.inc();
        self.counted.entries.inc_by(entries);
        self.batch_entries.observe(entries as f64);
        self.counted.durable_position.set(last as i64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_and_labels_are_these() {
        let metrics = Metrics::default();
        metrics.decided("naver", "slot_full");
        metrics.durable(3, 7);
        metrics.legacy_failed("resource", "write");
        let feed = Feed { partner: "naver".to_owned(), feed: "slots".to_owned() };
        metrics.counted.feed_lag_ms.get_or_create(&feed).set(12);
        metrics.freshness.get_or_create(&feed).observe(0.012);
        let text = metrics.text();
        let names: Vec<&str> = text.lines().filter(|line| line.starts_with("# TYPE")).collect();
        insta::assert_snapshot!(names.join("\n"));
        assert!(text.contains("slotbridge_decisions_total{partner=\"naver\",code=\"slot_full\"} 1"), "{text}");
        assert!(text.contains("slotbridge_legacy_errors_total{class=\"resource\",side=\"write\"} 1"), "{text}");
    }
}
