//! What can be judged from the file alone, beyond its structure.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::problem::{Problem, Problems};
use super::sections::{Config, Environment};
use super::validate_legacy;
use crate::domain::Timestamp;

/// Longest stop that operators are promised.
const STOP_MS_MAX: u64 = 5_000;
/// Bound of one write-back transaction (`legacy::MAX_OPS`).
const OPS_MAX: u32 = 50;

pub(super) struct Judge<'a> {
    file: &'a Path,
    text: &'a Arc<str>,
    place: &'a dyn Fn(&str) -> Option<Range<usize>>,
    problems: &'a mut Problems,
}

impl Judge<'_> {
    pub(super) fn say(&mut self, key: &str, message: String, cause: &str, try_: &str) {
        let section = key.split_once('.').map_or(key, |(section, _)| section);
        self.problems.push(Problem {
            code: "config.invalid",
            file: self.file.to_owned(),
            text: Some(self.text.clone()),
            span: (self.place)(key).or_else(|| (self.place)(section)),
            message: format!("`{key}`: {message}"),
            cause: cause.to_owned(),
            try_: try_.to_owned(),
        });
    }

    pub(super) fn between(&mut self, key: &str, value: u64, range: std::ops::RangeInclusive<u64>) {
        if !range.contains(&value) {
            let message = format!("{value} is outside {} to {}", range.start(), range.end());
            self.say(key, message, "out of range", &format!("set {key} between {} and {}", range.start(), range.end()));
        }
    }
}

/// Adds what is wrong with `config` to `problems`. `place` tells where a dotted key stands in `text`.
pub(super) fn validate(
    config: &Config,
    file: &Path,
    text: &Arc<str>,
    place: &dyn Fn(&str) -> Option<Range<usize>>,
    problems: &mut Problems,
) {
    let mut judge = Judge { file, text, place, problems };
    listeners(config, &mut judge);
    validate_legacy::legacy(config, &mut judge);
    numbers(config, &mut judge);
    series(config, &mut judge);
    jobs(config, &mut judge);
}

fn listeners(config: &Config, judge: &mut Judge<'_>) {
    let listen = &config.listen;
    if let Some(address) = listen.partners_http
        && !address.ip().is_loopback()
    {
        let message = format!("{address} is not a loopback address");
        judge.say("listen.partners_http", message, "bearer keys would cross a network", "use partners_tls");
    }
    if listen.partners_http.is_none() && listen.partners_tls.is_none() {
        let try_ = "set listen.partners_http = \"127.0.0.1:8080\" or partners_tls";
        judge.say("listen", "no listener for partners".to_owned(), "nobody could book", try_);
    }
    if listen.partners_tls.is_some() {
        let files = [
            ("listen.tls_certificate_file", &listen.tls_certificate_file),
            ("listen.tls_key_file", &listen.tls_key_file),
            ("listen.client_ca_file", &listen.client_ca_file),
        ];
        for (key, value) in files {
            if value.is_none() {
                judge.say(
                    key,
                    "missing".to_owned(),
                    "partners_tls needs it",
                    "name the file; `init` makes development ones",
                );
            }
        }
    }
    let url = &config.daemon.public_url;
    let scheme = url.starts_with("https://") || url.starts_with("http://");
    if !scheme || url.ends_with('/') || url.contains(['?', '#', ' ']) {
        let cause = "http or https, host, optional port; no slash at the end";
        judge.say(
            "daemon.public_url",
            "not a base URL".to_owned(),
            cause,
            "for example \"https://booking.example.go.kr\"",
        );
    }
    if config.daemon.environment == Environment::Live && url.starts_with("http://") {
        let cause = "partners would follow links over plain HTTP";
        judge.say("daemon.public_url", "live needs https".to_owned(), cause, "use an https:// address");
    }
    if config.daemon.origin.trim().is_empty() {
        judge.say("daemon.origin", "empty".to_owned(), "approvals are bound to it", "name the deployment");
    }
}

fn numbers(config: &Config, judge: &mut Judge<'_>) {
    judge.between("daemon.stop_ms_max", config.daemon.stop_ms_max, 100..=STOP_MS_MAX);
    judge.between("listen.connections_max", config.listen.connections_max as u64, 1..=100_000);
    judge.between("legacy.busy_ms_max", u64::from(config.legacy.busy_ms_max), 1..=60_000);
    judge.between("evidence.access_days", u64::from(config.evidence.access_days), 365..=36_500);
    let least = u64::from(config.evidence.access_days.min(36_500));
    judge.between("evidence.record_days", u64::from(config.evidence.record_days), least..=36_500);
    judge.between("capture.fast_interval_ms", config.capture.fast_interval_ms, 20..=60_000);
    judge.between("capture.fast_overlap_ms", u64::from(config.capture.fast_overlap_ms), 0..=3_600_000);
    judge.between("capture.sweep_interval_s", config.capture.sweep_interval_s, 1..=86_400);
    judge.between("capture.sweep_overlap_s", u64::from(config.capture.sweep_overlap_s), 0..=86_400);
    judge.between("capture.hot_interval_ms", config.capture.hot_interval_ms, 20..=60_000);
    judge.between("capture.tail_interval_ms", config.capture.tail_interval_ms, 20..=3_600_000);
    judge.between("capture.tail_overlap_keys", config.capture.tail_overlap_keys, 0..=1_000_000);
    judge.between("capture.window_near_days", u64::from(config.capture.window_near_days), 1..=366);
    judge.between("capture.window_near_interval_s", config.capture.window_near_interval_s, 1..=86_400);
    judge.between("capture.window_far_interval_s", config.capture.window_far_interval_s, 1..=86_400);
    judge.between("capture.rowscn_interval_ms", config.capture.rowscn_interval_ms, 20..=3_600_000);
    judge.between("capture.full_cut_interval_s", config.capture.full_cut_interval_s, 1..=86_400);
    judge.between("capture.drift_interval_s", config.capture.drift_interval_s, 1..=86_400);
    judge.between("capture.persons_interval_h", config.capture.persons_interval_h, 1..=720);
    judge.between("capture.duty_percent_max", u64::from(config.capture.duty_percent_max), 1..=100);
    judge.between("capture.loss_percent_max", u64::from(config.capture.loss_percent_max), 1..=100);
    judge.between("desk.cutoff_min", u64::from(config.desk.cutoff_min), 0..=10_080);
    judge.between("desk.refill_high", u64::from(config.desk.refill_high), 1..=10_000);
    judge.between("desk.refill_share_percent_max", u64::from(config.desk.refill_share_percent_max), 1..=100);
    judge.between("desk.prewarm_per_s_max", u64::from(config.desk.prewarm_per_s_max), 0..=100_000);
    judge.between("desk.person_refusals_per_day_max", u64::from(config.desk.person_refusals_per_day_max), 1..=1_000);
    judge.between("intake.requests_max", config.intake.requests_max as u64, 1..=1_000_000);
    judge.between("intake.inner_max", config.intake.inner_max as u64, 16..=1_000_000);
    judge.between("intake.requests_per_s_max", u64::from(config.intake.requests_per_s_max), 1..=1_000_000);
    judge.between("publish.freshness_slo_ms", config.publish.freshness_slo_ms, 1..=3_600_000);
    let ops = u64::from(config.writeback.ops_per_transaction_max);
    judge.between("writeback.ops_per_transaction_max", ops, 1..=u64::from(OPS_MAX));
    judge.between("writeback.transaction_ms_max", config.writeback.transaction_ms_max, 10..=10_000);
    judge.between("writeback.control_interval_ms", config.writeback.control_interval_ms, 10..=1_000);
    judge.between("writeback.heartbeat_ms", config.writeback.heartbeat_ms, 10..=60_000);
    if config.desk.refill_low >= config.desk.refill_high {
        let message = format!("{} is not below refill_high {}", config.desk.refill_low, config.desk.refill_high);
        judge.say("desk.refill_low", message, "a refill would never end", "set refill_low below refill_high");
    }
    if config.writeback.backoff_ms_min > config.writeback.backoff_ms_max || config.writeback.backoff_ms_min == 0 {
        let cause = "the first pause is at least 1 and at most the longest";
        judge.say(
            "writeback.backoff_ms_min",
            "does not fit backoff_ms_max".to_owned(),
            cause,
            "set it below backoff_ms_max",
        );
    }
}

fn series(config: &Config, judge: &mut Judge<'_>) {
    for (code, series) in &config.series {
        let mut instants = [None, None];
        let keys = [("opens_at", &series.opens_at), ("ends_at", &series.ends_at)];
        for (at, (key, value)) in instants.iter_mut().zip(keys) {
            let Some(text) = value else { continue };
            match Timestamp::parse_rfc3339(text) {
                Ok(instant) => *at = Some(instant),
                Err(error) => {
                    let path = format!("series.{code}.{key}");
                    judge.say(&path, error.to_string(), "no instant", "for example \"2026-11-22T20:00:00+09:00\"");
                }
            }
        }
        if let [Some(opens), Some(ends)] = instants
            && opens >= ends
        {
            let path = format!("series.{code}.ends_at");
            judge.say(&path, "before the series opens".to_owned(), "nothing could be booked", "set it after opens_at");
        }
    }
}

fn jobs(config: &Config, judge: &mut Judge<'_>) {
    let jobs = [
        ("jobs.full_cut", &config.jobs.full_cut),
        ("jobs.ledger_snapshot", &config.jobs.ledger_snapshot),
        ("jobs.purge", &config.jobs.purge),
        ("jobs.evidence_checkpoint", &config.jobs.evidence_checkpoint),
        ("jobs.evidence_retention", &config.jobs.evidence_retention),
    ];
    for (key, text) in jobs {
        let fields = text.split_whitespace().count();
        let known = text.bytes().all(|b| b.is_ascii_alphanumeric() || b" */,-?#".contains(&b));
        if fields != 6 || !known {
            judge.say(key, "not a cron line".to_owned(), "six fields, seconds first", "for example \"0 10 18 * * *\"");
        }
    }
}
