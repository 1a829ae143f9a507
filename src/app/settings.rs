//! Configuration into the settings of each module.

use std::time::Duration;

use crate::config::{self, Config};
use crate::decide::{CohortSet, Policy, RefillPolicy, SeriesPolicy};
use crate::domain::AllotmentMode;
use crate::domain::{Timestamp, time::MINUTE_MS, time::SECOND_MS};
use crate::register::{Register, RegisterError};
use crate::{capture, intake, legacy, publish, serve, telemetry, writeback};

pub fn logs(config: &config::Log) -> telemetry::LogSettings {
    let format = match config.format {
        config::LogFormat::Text => telemetry::Format::Text,
        config::LogFormat::Json => telemetry::Format::Json,
    };
    telemetry::LogSettings { format, filter: config.filter.clone() }
}

pub fn bounds(config: &config::Intake) -> intake::Bounds {
    intake::Bounds { requests_max: config.requests_max, inner_max: config.inner_max }
}

pub fn legacy(config: &config::Legacy) -> legacy::sqlite::Settings {
    let allotment = match config.mode {
        config::LegacyMode::Counter => AllotmentMode::Counter,
        config::LegacyMode::Quota => AllotmentMode::Quota,
    };
    legacy::sqlite::Settings {
        path: config.path.clone(),
        allotment,
        maintained: legacy::sqlite::Maintained::Application,
        person_constraint: person_constraint(config.person_constraint),
        busy_timeout_ms: config.busy_ms_max,
    }
}

pub fn person_constraint(constraint: config::PersonConstraint) -> legacy::sqlite::PersonConstraint {
    match constraint {
        config::PersonConstraint::Unique => legacy::sqlite::PersonConstraint::UniqueIndex,
        config::PersonConstraint::None => legacy::sqlite::PersonConstraint::None,
    }
}

pub fn capture(config: &Config) -> capture::Settings {
    let c = &config.capture;
    capture::Settings {
        fast_interval_ms: c.fast_interval_ms,
        fast_overlap_ms: i64::from(c.fast_overlap_ms),
        sweep_interval_ms: c.sweep_interval_s * 1_000,
        sweep_overlap_ms: i64::from(c.sweep_overlap_s) * SECOND_MS,
        hot_interval_ms: c.hot_interval_ms,
        full_interval_ms: c.full_cut_interval_s * 1_000,
        persons_interval_ms: c.persons_interval_h * 3_600_000,
        duty_percent_max: c.duty_percent_max,
        loss_percent_max: c.loss_percent_max,
        ..capture::Settings::default()
    }
}

pub fn writeback(config: &config::Writeback) -> writeback::Settings {
    writeback::Settings {
        batch_max: config.ops_per_transaction_max as usize,
        heartbeat_interval_ms: config.heartbeat_ms,
        pause_first_ms: config.backoff_ms_min,
        pause_last_ms: config.backoff_ms_max,
        ..writeback::Settings::default()
    }
}

pub fn publish(config: &Config) -> publish::Settings {
    publish::Settings {
        public_url: config.daemon.public_url.clone(),
        slo_ms: config.publish.freshness_slo_ms,
        ..publish::Settings::default()
    }
}

pub fn serve(config: &Config) -> serve::Settings {
    let rate = config.intake.requests_per_s_max;
    serve::Settings {
        public_url: config.daemon.public_url.clone(),
        hosts: hosts(config),
        environment: match config.daemon.environment {
            config::Environment::Test => serve::Environment::Test,
            config::Environment::Live => serve::Environment::Live,
        },
        freshness_slo_ms: config.publish.freshness_slo_ms,
        grace_ms_max: grace(config).as_millis() as u64,
        connections_max: config.listen.connections_max,
        book_rate: serve::Rate { per_s: rate, burst: rate.saturating_mul(2) },
        ..serve::Settings::default()
    }
}

/// Of the time that a stop may take, what open requests get; the rest is for writing up.
pub fn grace(config: &Config) -> Duration {
    Duration::from_millis(config.daemon.stop_ms_max * 3 / 5)
}

/// The public host, and loopback names where plain HTTP is spoken.
fn hosts(config: &Config) -> Vec<String> {
    let url = &config.daemon.public_url;
    let authority = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
    let authority = authority.split('/').next().unwrap_or_default();
    let mut hosts = vec![authority.to_owned()];
    if config.listen.partners_http.is_some() {
        hosts.extend(["127.0.0.1", "localhost", "[::1]"].map(str::to_owned));
    }
    hosts
}

/// What the desk decides by; cohort codes become the register's numbers.
pub fn policy(config: &Config, register: &Register) -> Result<Policy, RegisterError> {
    let desk = &config.desk;
    let mode = match config.legacy.mode {
        config::LegacyMode::Counter => AllotmentMode::Counter,
        config::LegacyMode::Quota => AllotmentMode::Quota,
    };
    let mut series = std::collections::BTreeMap::new();
    for (code, settings) in &config.series {
        series.insert(code.clone(), series_policy(settings, register)?);
    }
    let refill = RefillPolicy {
        low_water: desk.refill_low,
        high_water: desk.refill_high,
        share_max_percent: desk.refill_share_percent_max,
        prewarm_units: desk.prewarm_units,
        prewarm_per_s: desk.prewarm_per_s_max,
        idle_return_ms: i64::try_from(desk.idle_return_s).unwrap_or(i64::MAX / SECOND_MS) * SECOND_MS,
        ..RefillPolicy::default()
    };
    Ok(Policy {
        mode,
        series,
        cutoff_ms: i64::from(desk.cutoff_min) * MINUTE_MS,
        refill,
        not_bookable_per_day: desk.person_refusals_per_day_max,
        refused_keys_max: desk.refused_keys_max,
        ..Policy::default()
    })
}

fn series_policy(settings: &config::Series, register: &Register) -> Result<SeriesPolicy, RegisterError> {
    let mut cohorts = if settings.cohorts.is_empty() { CohortSet::ALL } else { CohortSet::default() };
    for code in &settings.cohorts {
        cohorts.insert(register.cohort(code)?);
    }
    // Validated when the file was read.
    let instant = |text: &Option<String>| text.as_ref().and_then(|text| Timestamp::parse_rfc3339(text).ok());
    Ok(SeriesPolicy { cohorts, opens_at: instant(&settings.opens_at) })
}
