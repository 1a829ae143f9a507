//! The sections of `slotbridge.toml`. A doc comment here is what `slotbridge config reference` prints.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::allotment::{Allotment, AllotmentClass};
use super::oracle::Oracle;
use super::section::{KeyDoc, SectionDoc, section};
use crate::domain::SeriesId;

section! {
    /// The process itself.
    Daemon at "daemon" {
        /// Folder of everything durable: ledger, register, mirror, feed store, evidence, admin socket. Mode 0700.
        data_dir: PathBuf = "data".into();
        /// `test` gives out `ppt1.` tokens, `live` gives out `pp1.`; the two never accept each other's.
        environment: Environment = Environment::Test;
        /// What `next`, `Location` and signatures are built from. Never taken from a request.
        public_url: String = "http://127.0.0.1:8080".to_owned();
        /// Names this deployment; stands on the first line of every approval.
        origin: String = "slotbridge/dev".to_owned();
        /// The agency's page where a person signs in and reads why a booking was not possible; stands in `not_bookable` answers.
        help_url: String = "https://example.go.kr/booking/help".to_owned();
        /// How long a stop waits for answers in flight, in milliseconds. At most 5000.
        stop_ms_max: u64 = 5_000;
    }
}

section! {
    /// Where the daemon listens. At least one of `partners_http` and `partners_tls` is set.
    Listen at "listen" {
        /// Plain HTTP with bearer keys; loopback addresses only. Remove it where partners use certificates.
        partners_http: Option<SocketAddr> = None, eg "\"127.0.0.1:8080\"";
        /// TLS with client certificates.
        partners_tls: Option<SocketAddr> = None, eg "\"0.0.0.0:8443\"";
        /// PEM chain of the server certificate; needed with `partners_tls`.
        tls_certificate_file: Option<PathBuf> = None, eg "\"certs/server.pem\"";
        /// PEM key of the server certificate; mode 0600; needed with `partners_tls`.
        tls_key_file: Option<PathBuf> = None, eg "\"certs/server.key\"";
        /// PEM bundle of the authorities that sign partners' certificates; needed with `partners_tls`.
        client_ca_file: Option<PathBuf> = None, eg "\"certs/ca.pem\"";
        /// Health and metrics: `/healthz`, `/readyz`, `/metrics`. Keep it off the partners' network.
        observe: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 9464));
        /// Connections that may be open at once, all listeners together.
        connections_max: usize = 10_000;
    }
}

section! {
    /// The legacy system.
    Legacy at "legacy" {
        /// `sqlite` is the embedded example system; `oracle` is an Oracle 11.2 server, described in `[oracle]`.
        kind: LegacyKind = LegacyKind::Sqlite;
        /// Database file of the embedded system; not used with `oracle`.
        path: PathBuf = "legacy.db".into();
        /// What keeps a person from two active reservations in a series: `unique` is a constraint of the reservation table; `row_lock` is a row that native code locks when it books; `recheck` is nothing, and write-back looks again.
        person_constraint: PersonConstraint = PersonConstraint::Unique;
        /// How long a statement of the embedded system may wait for a lock, in milliseconds.
        busy_ms_max: u32 = 10_000;
    }
}

section! {
    /// How the legacy system is read.
    Capture at "capture" {
        /// From one poll of changed rows to the next, in milliseconds. 200 is the publishing tick: faster would not be seen.
        fast_interval_ms: u64 = 200;
        /// How far a fast poll reaches back, in milliseconds: covers native transactions that commit late. Each changed row is read once a poll in this time.
        fast_overlap_ms: u32 = 3_000;
        /// From one slow sweep to the next, in seconds.
        sweep_interval_s: u64 = 60;
        /// How far a slow sweep reaches back, in seconds: longer than any native transaction.
        sweep_overlap_s: u32 = 900;
        /// From one look at slots with units of ours to the next, in milliseconds.
        hot_interval_ms: u64 = 1_000;
        /// From one look at the newest keys to the next, in milliseconds (hint `pk_tail`).
        tail_interval_ms: u64 = 1_000;
        /// How many keys before the newest known one are read again: at least the cache of the number sequence times the instances.
        tail_overlap_keys: u64 = 2_000;
        /// Days from today that count as near (hint `window`).
        window_near_days: u32 = 3;
        /// From one look at the near days to the next, in seconds.
        window_near_interval_s: u64 = 5;
        /// Days from today that are looked at all (hint `window`).
        window_far_days: u32 = 60;
        /// From one look at all days after the near ones to the next, in seconds.
        window_far_interval_s: u64 = 120;
        /// From one look at changed blocks to the next, in milliseconds (hint `rowscn`; only tables under 2,000 blocks).
        rowscn_interval_ms: u64 = 1_000;
        /// From one full cut of sites, slots and reservations to the next, in seconds.
        full_cut_interval_s: u64 = 600;
        /// From one comparison of the interface views with mappings/catalog.toml to the next, in seconds; one is made at the start. A view with a new, renamed or retyped column halts the feeds that read it.
        drift_interval_s: u64 = 3_600;
        /// From one full cut of the person register to the next, in hours.
        persons_interval_h: u64 = 24;
        /// When a cut of the person register may begin, in Korean time; the first of a process begins at once.
        persons_hours: Option<String> = None, eg "\"01:00-05:00\"";
        /// Persons that one read-only transaction reads; fewer where undo_retention is short.
        persons_page_rows: u32 = 50_000;
        /// Share of the time that one connection may keep the legacy system busy, in percent.
        duty_percent_max: u32 = 5;
        /// A cut that lost more than this share of a group's rows is not believed until an operator confirms, in percent.
        loss_percent_max: u32 = 20;
    } tables {
        /// Hints by object.
        hints: BTreeMap<String, Vec<HintKind>>;
    }
}

/// `[capture.hints]`, whose keys are names of objects.
pub(super) const HINTS_DOC: SectionDoc = SectionDoc {
    path: "capture.hints",
    doc: &[
        "What points at changed rows between full cuts, by object of the catalogue. Where nothing is named, slots have",
        "`timestamp` and `hot_set`, reservations `timestamp`, and the others only full cuts. `timestamp`: an indexed instant of the last change; `hot_set`: keys of slots with",
        "units of ours; `pk_tail`: keys that only grow; `window`: an indexed day; `rowscn`: changed blocks.",
    ],
    keys: &[
        KeyDoc { name: "slot", doc: &["Hints of slots."], example: Some("[\"timestamp\", \"hot_set\"]") },
        KeyDoc { name: "reservation", doc: &["Hints of reservations."], example: Some("[\"timestamp\"]") },
        KeyDoc { name: "site", doc: &["Hints of sites."], example: Some("[\"timestamp\"]") },
    ],
};

section! {
    /// Deciding.
    Desk at "desk" {
        /// A slot is no longer bookable this long before its start, in minutes.
        cutoff_min: u32 = 30;
        /// When fewer free units than this are left after a sale, more are taken.
        refill_low: u32 = 1;
        /// A refill asks for so many units that this many are free; for more when demand was higher.
        refill_high: u32 = 4;
        /// Largest share of what the legacy system has left that one take may draw, in percent; at least one unit.
        refill_share_percent_max: u32 = 50;
        /// Units given to an open slot before anybody asks; 0: none.
        prewarm_units: u32 = 1;
        /// Slots that get their first units, a second; keeps the load on the legacy system small and constant.
        prewarm_per_s_max: u32 = 100;
        /// Free units go back when nobody asked for the slot for this long, in seconds.
        idle_return_s: u64 = 1_800;
        /// Evaluated refusals about one person, partner and day; after that the same answer without evaluation.
        person_refusals_per_day_max: u32 = 5;
        /// Refused keys remembered a partner; over it requests are declined before deciding. 24 h at two a second.
        refused_keys_max: u32 = 172_800;
    }
}

section! {
    /// Bounds of the queue to the desk.
    Intake at "intake" {
        /// Requests of partners that may wait. One more is answered 503 `overloaded` with nothing decided.
        requests_max: usize = 4_096;
        /// Places for facts, outcomes of write-backs and ticks.
        inner_max: usize = 1_024;
        /// Requests a second and partner that change something.
        requests_per_s_max: u32 = 2_000;
    }
}

section! {
    /// Feeds.
    Publish at "publish" {
        /// Promise stated in `Sync-Freshness`, in milliseconds.
        freshness_slo_ms: u64 = 1_000;
    }
}

section! {
    /// Writing bookings back into the legacy system.
    Writeback at "writeback" {
        /// Operations in one legacy transaction. At most 50.
        ops_per_transaction_max: u32 = 50;
        /// A transaction that takes longer halves the number of operations of the next, in milliseconds; quick ones raise it one by one.
        transaction_ms_max: u64 = 200;
        /// From one look at the agency's switch, fence and release requests to the next, in milliseconds. At most 1000.
        control_interval_ms: u64 = 1_000;
        /// First pause after a failed transaction, in milliseconds; doubles up to `backoff_ms_max`.
        backoff_ms_min: u64 = 100;
        /// Longest pause after a failed transaction, in milliseconds.
        backoff_ms_max: u64 = 60_000;
        /// From one heartbeat to the next, in milliseconds.
        heartbeat_ms: u64 = 1_000;
    }
}

section! {
    /// What may leave, and as what.
    Mappings at "mappings" {
        /// Folder with catalog.toml, policy.toml, partners.toml and a folder a partner.
        dir: PathBuf = "mappings".into();
        /// Digest of the first roster of officers, as `slotbridge officer genesis` prints it: whoever it names, and whoever they let in later, may approve. Without it nothing is approved and nothing is published.
        genesis: Option<String> = None, eg "\"3f1c…\"";
        /// Texts that are planted in columns that nobody publishes, one a line: a feed or an answer that is about to hold one is stopped (L802). Absent: only shapes of personal data are looked for.
        canary_file: Option<PathBuf> = None, eg "\"canaries.txt\"";
    }
}

section! {
    /// Files with secrets. Each must be readable by the service user only (0600 in a 0700 folder).
    Secrets at "secrets" {
        /// Folder of the keys that the daemon makes and keeps: token keys by partner and epoch, keys of request MACs.
        key_dir: PathBuf = "keys".into();
    }
}

section! {
    /// Logs, on standard error.
    Log at "log" {
        /// `text` for people, `json` for machines.
        format: LogFormat = LogFormat::Text;
        /// Which lines: a level, or `level,module=level,…`.
        filter: String = "info".to_owned();
    }
}

section! {
    /// Jobs at set times: six cron fields, seconds first, in UTC (18:10 is 03:10 in Korea).
    Jobs at "jobs" {
        /// Full cut of every group, as a nightly reconciliation.
        full_cut: String = "0 10 18 * * *".to_owned();
        /// Snapshot of the ledger.
        ledger_snapshot: String = "0 40 18 * * *".to_owned();
        /// Refused keys past their retention leave the readers' memory.
        purge: String = "0 20 19 * * *".to_owned();
    }
}

section! {
    /// A series: who may book, and when. One section a series, named by its code (`[series.covid19-1]`).
    Series at "series.<code>" {
        /// Cohort codes whose members may book; empty: every cohort of the register.
        cohorts: Vec<String> = Vec::new(), eg "[\"50S\", \"60S\"]";
        /// Bookings before this instant are refused `not_open_yet`; RFC 3339 with an offset.
        opens_at: Option<String> = None, eg "\"2026-11-22T20:00:00+09:00\"";
        /// Last instant of the series; keys of accepted requests are kept 30 days longer.
        ends_at: Option<String> = None, eg "\"2027-06-30T23:59:59+09:00\"";
    }
}

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub daemon: Daemon,
    pub listen: Listen,
    pub legacy: Legacy,
    pub oracle: Oracle,
    pub allotment: Allotment,
    pub capture: Capture,
    pub desk: Desk,
    pub intake: Intake,
    pub publish: Publish,
    pub writeback: Writeback,
    pub mappings: Mappings,
    pub secrets: Secrets,
    pub log: Log,
    pub jobs: Jobs,
    pub series: BTreeMap<SeriesId, Series>,
}

impl Config {
    pub(super) const DOCS: [SectionDoc; 17] = [
        Daemon::DOC,
        Listen::DOC,
        Legacy::DOC,
        Oracle::DOC,
        Allotment::DOC,
        AllotmentClass::DOC,
        Capture::DOC,
        HINTS_DOC,
        Desk::DOC,
        Intake::DOC,
        Publish::DOC,
        Writeback::DOC,
        Mappings::DOC,
        Secrets::DOC,
        Log::DOC,
        Jobs::DOC,
        Series::DOC,
    ];
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Environment {
    Test,
    Live,
}

impl Environment {
    pub fn code(self) -> &'static str {
        match self {
            Environment::Test => "test",
            Environment::Live => "live",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LegacyKind {
    Sqlite,
    Oracle,
}

/// What points capture at changed rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HintKind {
    Timestamp,
    HotSet,
    PkTail,
    Window,
    Rowscn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum PersonConstraint {
    /// One active reservation a person and series, enforced by the legacy system.
    Unique,
    /// Native code locks a row of the person when it books; so does write-back.
    RowLock,
    /// Nothing enforces it; write-back looks again.
    #[serde(alias = "none")]
    #[value(alias = "none")]
    Recheck,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Text,
    Json,
}
