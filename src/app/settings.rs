//! Configuration into the settings of each module.

use std::time::Duration;

use crate::config::{self, Config};
use crate::decide::{CohortSet, NativeBeside, OnOverrun, Policy, QuietWindow, RefillPolicy, SeriesPolicy};
use crate::domain::{ObjectName, Timestamp, time::MINUTE_MS, time::SECOND_MS};
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

pub fn sqlite(config: &Config) -> legacy::sqlite::Settings {
    let legacy = &config.legacy;
    legacy::sqlite::Settings {
        path: legacy.path.clone(),
        allotment: config.allotment.mode,
        maintained: maintained(config.allotment.maintained_by),
        person_constraint: person_constraint(legacy.person_constraint),
        busy_timeout_ms: legacy.busy_ms_max,
    }
}

pub fn person_constraint(constraint: config::PersonConstraint) -> legacy::sqlite::PersonConstraint {
    match constraint {
        config::PersonConstraint::Unique => legacy::sqlite::PersonConstraint::UniqueIndex,
        config::PersonConstraint::RowLock => legacy::sqlite::PersonConstraint::RowLock,
        config::PersonConstraint::Recheck => legacy::sqlite::PersonConstraint::None,
    }
}

fn maintained(by: config::Maintained) -> legacy::sqlite::Maintained {
    match by {
        config::Maintained::Application => legacy::sqlite::Maintained::Application,
        config::Maintained::Trigger => legacy::sqlite::Maintained::Trigger,
    }
}

/// What all sessions share, and what the writer needs beside it.
#[cfg(feature = "oracle")]
pub fn oracle(config: &Config) -> (legacy::oracle::Settings, legacy::oracle::write::Settings) {
    use legacy::oracle::{Login, TextMode, write};
    let oracle = &config.oracle;
    let logins = |accounts: &[config::Account]| {
        let login = |a: &config::Account| Login { user: a.name.clone(), secret_file: a.secret_file.clone() };
        accounts.iter().map(login).collect()
    };
    let shared = legacy::oracle::Settings {
        connect_string: oracle.connect.clone(),
        read_connect_string: oracle.read_connect.clone(),
        schema: oracle.schema.clone(),
        read_accounts: logins(&oracle.read_accounts),
        write_accounts: logins(&oracle.write_accounts),
        client_dir: oracle.client_dir.clone(),
        config_dir: oracle.tns_admin.clone(),
        data_dir: config.daemon.data_dir.clone(),
        call_timeout_ms: oracle.call_timeout_ms,
        fetch_array: oracle.fetch_rows,
        text: match oracle.charset {
            config::Charset::Auto => TextMode::Auto,
            config::Charset::Server => TextMode::Server,
            config::Charset::RawCp949 => TextMode::RawCp949,
        },
    };
    let write = write::Settings {
        body: match oracle.body {
            config::Body::Sql => write::Body::Sql,
            config::Body::Procedure => write::Body::Procedure,
        },
        maintained: maintained(config.allotment.maintained_by),
        person_constraint: person_constraint(config.legacy.person_constraint),
        ..write::Settings::default()
    };
    (shared, write)
}

pub fn capture(config: &Config) -> capture::Settings {
    let (c, usual) = (&config.capture, capture::Settings::default());
    capture::Settings {
        fast_interval_ms: c.fast_interval_ms,
        fast_overlap_ms: i64::from(c.fast_overlap_ms),
        sweep_interval_ms: c.sweep_interval_s * 1_000,
        sweep_overlap_ms: i64::from(c.sweep_overlap_s) * SECOND_MS,
        hot_interval_ms: c.hot_interval_ms,
        hints: hints(c),
        tail_interval_ms: c.tail_interval_ms,
        tail_overlap: c.tail_overlap_keys,
        scn_interval_ms: c.rowscn_interval_ms,
        near_days: c.window_near_days,
        near_interval_ms: c.window_near_interval_s * 1_000,
        far_days: c.window_far_days,
        far_interval_ms: c.window_far_interval_s * 1_000,
        persons_hours: c.persons_hours.as_deref().and_then(hours),
        page_rows_max: c.persons_page_rows,
        read_lag_ms_max: config.oracle.max_read_lag_ms.unwrap_or(usual.read_lag_ms_max),
        full_interval_ms: c.full_cut_interval_s * 1_000,
        columns_interval_ms: c.drift_interval_s * 1_000,
        persons_interval_ms: c.persons_interval_h * 3_600_000,
        duty_percent_max: c.duty_percent_max,
        loss_percent_max: c.loss_percent_max,
        ..usual
    }
}

/// As usual, but for the objects that are named.
fn hints(config: &config::Capture) -> capture::Hints {
    let mut hints = capture::Settings::default().hints;
    for (object, kinds) in &config.hints {
        // Judged when the file was read.
        let Ok(object) = ObjectName::new(object) else { continue };
        hints.insert(object, kinds.iter().copied().map(hint).collect());
    }
    hints
}

fn hint(kind: config::HintKind) -> capture::HintKind {
    match kind {
        config::HintKind::Timestamp => capture::HintKind::Timestamp,
        config::HintKind::HotSet => capture::HintKind::HotSet,
        config::HintKind::PkTail => capture::HintKind::PkTail,
        config::HintKind::Window => capture::HintKind::Window,
        config::HintKind::Rowscn => capture::HintKind::RowScn,
    }
}

/// Judged when the file was read.
fn hours(text: &str) -> Option<capture::Hours> {
    let window = text.parse::<config::QuietWindow>().ok()?;
    Some(capture::Hours { from_min: window.from_min, until_min: window.until_min })
}

pub fn writeback(config: &config::Writeback) -> writeback::Settings {
    writeback::Settings {
        batch_max: config.ops_per_transaction_max as usize,
        transaction_ms_max: config.transaction_ms_max,
        control_interval_ms: config.control_interval_ms,
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
        mode: config.allotment.mode,
        series,
        cutoff_ms: i64::from(desk.cutoff_min) * MINUTE_MS,
        refill,
        not_bookable_per_day: desk.person_refusals_per_day_max,
        refused_keys_max: desk.refused_keys_max,
        ..allotment(config)
    })
}

/// What the agency chose about units; the rest as it is.
fn allotment(config: &Config) -> Policy {
    let allotment = &config.allotment;
    let classes = allotment.class.iter().filter_map(|(code, class)| Some((code.clone(), class.mode?)));
    // Judged when the file was read.
    let windows = allotment.quiet_windows.iter().filter_map(|text| text.parse::<config::QuietWindow>().ok());
    let quiet = windows.map(|window| QuietWindow {
        from_min: window.from_min,
        until_min: window.until_min,
        weekdays: window.days,
    });
    let longest_native_ms = i64::try_from(config.oracle.longest_native_ms).unwrap_or(i64::MAX);
    Policy {
        classes: classes.collect(),
        quiet: quiet.collect(),
        pending_max: allotment.pending_max,
        on_request_per_s: allotment.on_request_per_s_max,
        release_hold_ms: i64::try_from(allotment.release_hold_s).unwrap_or(i64::MAX / SECOND_MS) * SECOND_MS,
        overrun: match allotment.capacity_cut {
            config::CapacityCut::Honour => OnOverrun::Honour,
            config::CapacityCut::DisplaceNewest => OnOverrun::DisplaceNewest,
        },
        native_beside: match allotment.native_conflict {
            config::NativeConflict::LegacyWins => NativeBeside::LegacyWins,
            config::NativeConflict::EarliestWins => NativeBeside::EarliestWins,
        },
        recheck_ms: (config.legacy.person_constraint == config::PersonConstraint::Recheck).then_some(longest_native_ms),
        ..Policy::default()
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::AllotmentMode;

    #[test]
    fn how_to_read_reaches_capture() {
        let text = "[listen]\npartners_http = \"127.0.0.1:1\"\n[capture]\ntail_overlap_keys = 7\nwindow_far_days = 9\n\
                    window_near_interval_s = 2\nrowscn_interval_ms = 300\npersons_hours = \"22:00-05:00\"\n\
                    persons_page_rows = 1000\n[capture.hints]\nsite = [\"window\", \"rowscn\"]\nslot = [\"pk_tail\"]\n\
                    [oracle]\nread_connect = \"//standby/x\"\nmax_read_lag_ms = 700\n";
        let loaded = config::load_text(std::path::Path::new("a.toml"), text, &|_| None).unwrap();
        let of =
            |object, kinds: &[capture::HintKind]| (ObjectName::new(object).unwrap(), kinds.iter().copied().collect());
        let wanted = capture::Settings {
            hints: [
                of("site", &[capture::HintKind::Window, capture::HintKind::RowScn]),
                of("slot", &[capture::HintKind::PkTail]),
                of("reservation", &[capture::HintKind::Timestamp]),
            ]
            .into(),
            tail_overlap: 7,
            far_days: 9,
            near_interval_ms: 2_000,
            scn_interval_ms: 300,
            persons_hours: Some(capture::Hours { from_min: 1_320, until_min: 300 }),
            page_rows_max: 1_000,
            read_lag_ms_max: 700,
            ..capture::Settings::default()
        };
        assert_eq!(capture(&loaded.config), wanted);
        assert_eq!(capture(&Config::default()), capture::Settings::default(), "the defaults of both agree");
    }

    #[test]
    fn what_the_agency_chose_reaches_the_desk() {
        let text = "[listen]\npartners_http = \"127.0.0.1:1\"\n[legacy]\nperson_constraint = \"recheck\"\n[oracle]\n\
                    longest_native_ms = 7000\n[allotment]\nmode = \"quota\"\nquiet_windows = [\"sun 23:50-00:40\"]\n\
                    release_hold_s = 60\ncapacity_cut = \"displace_newest\"\nnative_conflict = \"earliest_wins\"\n\
                    [allotment.class.leftover]\nmode = \"on_request\"\n";
        let loaded = config::load_text(std::path::Path::new("a.toml"), text, &|_| None).unwrap();
        let policy = allotment(&loaded.config);
        assert_eq!(policy.classes, [("leftover".to_owned(), AllotmentMode::OnRequest)].into());
        let weekdays = [false, false, false, false, false, false, true];
        assert_eq!(policy.quiet, [QuietWindow { from_min: 1_430, until_min: 40, weekdays }]);
        assert_eq!((policy.release_hold_ms, policy.recheck_ms), (60_000, Some(7_000)));
        assert_eq!((policy.overrun, policy.native_beside), (OnOverrun::DisplaceNewest, NativeBeside::EarliestWins));
        assert_eq!(allotment(&Config::default()), Policy::default(), "the defaults of both agree");
    }
}
