//! `check --connect`: the legacy system as it answers now, whichever it is, and whether its modes are proved.

use std::time::Duration;

use crate::config::{Config, LegacyKind};
use crate::legacy::finding::{Finding, Level};
use crate::legacy::{LegacyError, LegacyRead, LegacyWrite};
use crate::mapping::{Layout, MappingSet};

use super::backend::Backend;
use super::files::Files;
use super::proofs::{Proofs, Verdict};

/// Connects, looks, and changes nothing. The set says what is fetched, and what the views must be as wholes.
pub fn examine(config: &Config, set: &MappingSet) -> Vec<Finding> {
    let mut found = match config.legacy.kind {
        LegacyKind::Sqlite => embedded(config, set),
        LegacyKind::Oracle => oracle(config, set),
    };
    found.extend(proved(config));
    found
}

#[cfg(feature = "oracle")]
fn oracle(config: &Config, set: &MappingSet) -> Vec<Finding> {
    use crate::legacy::oracle::examine::{Body, Expected, examine};
    let (shared, write) = super::settings::oracle(config);
    let body = match config.oracle.body {
        crate::config::Body::Sql => Body::Sql,
        crate::config::Body::Procedure => Body::Procedure,
    };
    let person_constraint = write.person_constraint.code();
    let (layouts, objects) = (set.layouts(), set.catalogue().objects.clone());
    examine(shared, &Expected { layouts, objects, body, person_constraint, cut_max: cut_max(config) })
}

#[cfg(not(feature = "oracle"))]
fn oracle(_: &Config, _: &MappingSet) -> Vec<Finding> {
    let cause = "the feature `oracle` was left out when it was built";
    vec![Finding::of(
        "oracle.client",
        Level::Wrong,
        "this build has no Oracle adapter",
        cause,
        "build with default features",
    )]
}

/// A cut that keeps the server busy for its whole share until the next one begins.
#[cfg(feature = "oracle")]
fn cut_max(config: &Config) -> Duration {
    let capture = &config.capture;
    Duration::from_secs(capture.full_cut_interval_s * u64::from(capture.duty_percent_max.min(100)) / 100)
}

fn embedded(config: &Config, set: &MappingSet) -> Vec<Finding> {
    let fix = "make it with `slotbridge legacy generate`, or correct legacy.path";
    let wrong = |check, error: LegacyError| {
        Finding::of(
            check,
            Level::Wrong,
            error.message,
            "the embedded legacy database refused it",
            error.hint.unwrap_or(fix),
        )
    };
    // Opening would make an empty file.
    if !config.legacy.path.exists() {
        let seen = format!("{} is not there", config.legacy.path.display());
        return vec![Finding::of("legacy.file", Level::Wrong, seen, "nothing was generated yet", fix)];
    }
    let backend = match Backend::of(config) {
        Ok(backend) => backend,
        Err(error) => {
            return vec![Finding::of("legacy.open", Level::Wrong, error.to_string(), "it cannot be used", fix)];
        }
    };
    let mut found = Vec::new();
    match (backend.read)() {
        Ok(mut reader) => found.extend(set.layouts().iter().map(|layout| view(&mut *reader, layout, set))),
        Err(error) => found.push(wrong("legacy.read", error)),
    }
    match (backend.write)().and_then(|mut writer| switch(&mut *writer)) {
        Ok(finding) => found.push(finding),
        Err(error) => found.push(wrong("legacy.write", error)),
    }
    found
}

fn view(reader: &mut dyn LegacyRead, layout: &Layout, set: &MappingSet) -> Finding {
    let columns = match reader.columns(&layout.view) {
        Ok(columns) => columns,
        Err(error) => {
            let fix = "the catalogue and the interface views must agree";
            return Finding::of("legacy.view", Level::Wrong, error.message, "the view cannot be read", fix);
        }
    };
    let object = set.catalogue().object(layout.object.as_str());
    let Some(drift) = object.and_then(|object| object.drift(&columns)) else {
        return Finding::fine("legacy.view", format!("{}: {} columns as declared", layout.view, layout.columns.len()));
    };
    Finding::of(
        "legacy.view",
        Level::Wrong,
        drift,
        "the view is not as mappings/catalog.toml declares it",
        "correct the view, or change the catalogue",
    )
}

fn switch(writer: &mut dyn LegacyWrite) -> Result<Finding, LegacyError> {
    let agency = writer.agency()?;
    let seen = format!("the agency's switch says {}", agency.control.code());
    Ok(if agency.fence.open {
        Finding::fine("legacy.switch", seen)
    } else {
        Finding::of("legacy.switch", Level::Wrong, "the fence is closed", "script 94 was run", "see the DBA's guide")
    })
}

/// On Oracle a mode that takes units ahead needs a proof; the embedded system is known.
fn proved(config: &Config) -> Vec<Finding> {
    if config.legacy.kind != LegacyKind::Oracle {
        return Vec::new();
    }
    let files = Files::of(&config.daemon.data_dir);
    let next = "stop the daemon and run: slotbridge allotment prove --slot CANARY";
    let proofs = match Proofs::read(&files) {
        Ok(proofs) => proofs,
        Err(error) => {
            let seen = error.to_string();
            return vec![Finding::of(
                "allotment.proof",
                Level::Unknown,
                seen,
                "the proofs cannot be read",
                error.next_step(),
            )];
        }
    };
    let by = config.allotment.maintained_by;
    let taking = config.allotment.modes().into_iter().filter(|(_, mode)| mode.takes());
    let judged = taking.map(|(key, mode)| match proofs.verdict(mode, by) {
        Some(proof) if proof.verdict == Verdict::Proved => {
            let seen = format!("{key}: mode {} proved on slot {} at {}", mode.code(), proof.slot, proof.at.rfc3339());
            Finding::fine("allotment.proof", seen)
        }
        Some(proof) => Finding::of(
            "allotment.proof",
            Level::Wrong,
            format!("{key}: mode {} was refuted on slot {}", mode.code(), proof.slot),
            "native selling sold places that the bridge had taken",
            "choose another mode; see the decision table of the DBA's guide",
        ),
        None => Finding::of(
            "allotment.proof",
            Level::Wrong,
            format!("{key}: mode {} is not proved on this database", mode.code()),
            "nobody has seen that the native seller respects units of the bridge",
            next,
        ),
    });
    judged.collect()
}
