//! Proofs that a mode keeps native selling out of what the bridge has taken, and whether one is missing.
//!
//! A proof holds for a mode and for who keeps the counter; it says nothing about another database, so it stands in the
//! data folder of the bridge that made it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files::Files;
use crate::config::{Config, LegacyKind, Maintained};
use crate::domain::{AllotmentMode, SlotKey, Timestamp};

/// Proofs kept; the oldest go.
const PROOFS_MAX: usize = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything was taken, native bookings were tried, and all were refused.
    Proved,
    /// Native selling got through: the mode must not be used.
    Refuted,
    /// Nobody tried, or not everything could be taken: nothing follows.
    Untried,
}

impl Verdict {
    pub fn code(self) -> &'static str {
        match self {
            Verdict::Proved => "proved",
            Verdict::Refuted => "refuted",
            Verdict::Untried => "untried",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    pub mode: AllotmentMode,
    pub maintained_by: Maintained,
    pub slot: SlotKey,
    pub units: u32,
    /// Native bookings that were tried and refused, as the operator says.
    pub refused: u32,
    pub native_before: i64,
    pub native_after: i64,
    pub verdict: Verdict,
    pub at: Timestamp,
}

#[derive(Debug, thiserror::Error)]
pub enum ProofFailed {
    #[error("{path} cannot be read or written")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{path} does not hold proofs")]
    Shape { path: PathBuf, source: serde_json::Error },
    #[error("{}", missing.join("; "))]
    Missing { missing: Vec<String> },
}

impl ProofFailed {
    pub fn code(&self) -> &'static str {
        match self {
            ProofFailed::Io { .. } => "proofs_io",
            ProofFailed::Shape { .. } => "proofs_shape",
            ProofFailed::Missing { .. } => "mode_not_proved",
        }
    }

    pub fn next_step(&self) -> &'static str {
        match self {
            ProofFailed::Io { .. } => "check the owner and the mode of the file",
            ProofFailed::Shape { .. } => "move the file away and prove the modes anew",
            ProofFailed::Missing { .. } => {
                "`slotbridge allotment prove --slot S` on a canary slot, or set allotment.mode to \"on_request\" or \"quota\""
            }
        }
    }
}

/// All proofs of a data folder, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proofs(pub Vec<Proof>);

impl Proofs {
    /// In the data folder.
    pub const FILE: &str = "allotment-proofs.json";

    pub fn read(files: &Files) -> Result<Proofs, ProofFailed> {
        let path = files.dir.join(Proofs::FILE);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Proofs::default()),
            Err(source) => return Err(ProofFailed::Io { path, source }),
        };
        serde_json::from_slice(&bytes).map(Proofs).map_err(|source| ProofFailed::Shape { path, source })
    }

    pub fn add(files: &Files, proof: Proof) -> Result<(), ProofFailed> {
        let mut proofs = Proofs::read(files)?.0;
        proofs.push(proof);
        let from = proofs.len().saturating_sub(PROOFS_MAX);
        write_whole(&files.dir.join(Proofs::FILE), &proofs[from..])
    }

    /// The newest word on a mode. Who keeps the counter matters only where a counter is written.
    pub fn verdict(&self, mode: AllotmentMode, maintained_by: Maintained) -> Option<&Proof> {
        let by_counter = matches!(mode, AllotmentMode::Counter | AllotmentMode::Remaining);
        let fits = |proof: &&Proof| proof.mode == mode && (!by_counter || proof.maintained_by == maintained_by);
        self.0.iter().filter(fits).rfind(|proof| proof.verdict != Verdict::Untried)
    }
}

/// A mode that takes units needs a proof on Oracle; the embedded system is known.
pub fn judge(config: &Config, files: &Files) -> Result<(), ProofFailed> {
    let taking: Vec<_> = config.allotment.modes().into_iter().filter(|(_, mode)| mode.takes()).collect();
    if config.legacy.kind != LegacyKind::Oracle || taking.is_empty() {
        return Ok(());
    }
    let (proofs, by) = (Proofs::read(files)?, config.allotment.maintained_by);
    let unproved = taking.into_iter().filter_map(|(key, mode)| {
        let why = match proofs.verdict(mode, by) {
            Some(Proof { verdict: Verdict::Proved, .. }) => return None,
            Some(proof) => format!("refuted on slot {} at {}", proof.slot, proof.at.rfc3339()),
            None => "not proved".to_owned(),
        };
        Some(format!("{key}: mode {} with maintained_by = \"{}\" is {why}", mode.code(), by.code()))
    });
    let missing: Vec<String> = unproved.collect();
    if missing.is_empty() { Ok(()) } else { Err(ProofFailed::Missing { missing }) }
}

/// Beside it first, then in its place: a crash leaves the old content or the new.
pub(super) fn write_whole<T: Serialize + ?Sized>(path: &Path, value: &T) -> Result<(), ProofFailed> {
    let io = |source| ProofFailed::Io { path: path.to_owned(), source };
    let shape = |source| ProofFailed::Shape { path: path.to_owned(), source };
    let beside = path.with_extension("new");
    let bytes = serde_json::to_vec_pretty(value).map_err(shape)?;
    let mut file = std::fs::File::create(&beside).map_err(io)?;
    std::io::Write::write_all(&mut file, &bytes).and_then(|()| file.sync_all()).map_err(io)?;
    std::fs::rename(&beside, path).map_err(io)?;
    let folder =
        path.parent().map_or(Ok(()), |folder| std::fs::File::open(folder).and_then(|folder| folder.sync_all()));
    folder.map_err(io)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof(mode: AllotmentMode, maintained_by: Maintained, verdict: Verdict) -> Proof {
        let slot = SlotKey::new("S1").unwrap();
        let (units, refused, native_before, native_after) = (3, 1, 2, 2);
        Proof { mode, maintained_by, slot, units, refused, native_before, native_after, verdict, at: Timestamp(0) }
    }

    #[test]
    fn a_taking_mode_on_oracle_needs_the_newest_proof_of_its_kind_to_hold() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::of(dir.path());
        let mut config = Config::default();
        assert!(judge(&config, &files).is_ok(), "the embedded system needs none");
        config.legacy.kind = LegacyKind::Oracle;
        config
            .allotment
            .class
            .insert("leftover".to_owned(), crate::config::AllotmentClass { mode: Some(AllotmentMode::Capacity) });
        let missing = judge(&config, &files).unwrap_err().to_string();
        assert!(missing.contains("allotment.mode: mode counter") && missing.contains("leftover.mode: mode capacity"));
        for (mode, by) in
            [(AllotmentMode::Counter, Maintained::Trigger), (AllotmentMode::Capacity, Maintained::Trigger)]
        {
            Proofs::add(&files, proof(mode, by, Verdict::Proved)).unwrap();
        }
        let missing = judge(&config, &files).unwrap_err().to_string();
        assert!(missing.contains("mode counter") && !missing.contains("capacity"), "{missing}");
        Proofs::add(&files, proof(AllotmentMode::Counter, Maintained::Application, Verdict::Proved)).unwrap();
        Proofs::add(&files, proof(AllotmentMode::Counter, Maintained::Application, Verdict::Untried)).unwrap();
        judge(&config, &files).unwrap();
        Proofs::add(&files, proof(AllotmentMode::Counter, Maintained::Application, Verdict::Refuted)).unwrap();
        assert!(judge(&config, &files).unwrap_err().to_string().contains("refuted on slot S1"));
        (config.allotment.mode, config.allotment.class) = (AllotmentMode::Quota, Default::default());
        judge(&config, &files).unwrap();
    }
}
