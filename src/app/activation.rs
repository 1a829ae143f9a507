//! What the evidence log knows of mapping versions, so that approvals never go back.
//!
//! An attacker, or a careless restore, may put an older `approvals/` folder in place: everything in it is well signed.
//! The log remembers which note put which version into force. What was in force before the last one is not believed
//! again under its old note; whoever wants an older content approves it anew under a higher version.

use std::collections::BTreeMap;

use super::in_force::{InForce, NO_NOTE, Running};
use crate::domain::{Position, Timestamp};
use crate::evidence::{Access, Action, Actor};

/// Hex digits of a note's digest that are written down: a basis is short.
const NOTE_HEX: usize = 40;

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    version: u32,
    digest: String,
    note: String,
    is_stop: bool,
}

/// What came into force, by mapping, and the rosters, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    mappings: BTreeMap<String, Vec<Known>>,
    rosters: Vec<String>,
}

fn note(text: &str) -> &str {
    text.get(..NOTE_HEX).unwrap_or(text)
}

/// `naver.slots v3 <digest> <note>`; `roster <digest>`.
fn basis(running: &Running) -> String {
    let (id, version) = (running.closure.id(), running.closure.mapping.version);
    format!("{id} v{version} {} {}", running.digest, note(&running.note))
}

impl History {
    pub fn read(entries: &[Access]) -> History {
        let mut history = History::default();
        for entry in entries {
            let is_stop = entry.action == Action::MappingStopped;
            match entry.basis.split(' ').collect::<Vec<_>>().as_slice() {
                ["roster", digest] => history.rosters.push((*digest).to_owned()),
                [id, version, digest, note] => {
                    let version = version.strip_prefix('v').and_then(|v| v.parse().ok()).unwrap_or(0);
                    let (digest, note) = ((*digest).to_owned(), (*note).to_owned());
                    let known = Known { version, digest, note, is_stop };
                    history.mappings.entry((*id).to_owned()).or_default().push(known);
                }
                _ => {}
            }
        }
        history
    }

    /// One line a mapping that would go back, by id.
    pub fn goes_back(&self, in_force: &InForce) -> BTreeMap<String, String> {
        let mut back = BTreeMap::new();
        if let Some(line) = self.roster_goes_back(in_force) {
            back.extend(in_force.running.keys().map(|id| (id.clone(), line.clone())));
            return back;
        }
        for (id, running) in &in_force.running {
            back.extend(self.mapping_goes_back(id, running).map(|line| (id.clone(), line)));
        }
        back
    }

    fn roster_goes_back(&self, in_force: &InForce) -> Option<String> {
        let last = self.rosters.last()?;
        let is_older = match &in_force.roster {
            None => true,
            Some(roster) => roster != last && self.rosters.contains(roster),
        };
        is_older.then(|| "officers.toml is older than the roster that was in force: rosters never go back".to_owned())
    }

    fn mapping_goes_back(&self, id: &str, running: &Running) -> Option<String> {
        let known = self.mappings.get(id)?;
        let last = known.last()?;
        let own = note(&running.note);
        let is_last = last.digest == running.digest && last.note == own && !last.is_stop;
        // Without signatures there is nothing that could be replayed.
        if is_last || own == NO_NOTE {
            return None;
        }
        let version = running.closure.mapping.version;
        let was_before = known.iter().any(|known| known.note == own && known.digest == running.digest);
        if was_before && last.is_stop {
            return Some(format!("v{version} was stopped, and the note that says so is gone: approve it anew"));
        }
        (was_before || version < last.version)
            .then(|| format!("v{version} is older than v{}, which was in force: approvals never go back", last.version))
    }

    /// What is to be written down before `in_force` takes effect.
    pub fn missing(&self, in_force: &InForce, at: Timestamp, position: Position) -> Vec<Access> {
        let entry = |basis: String| entry(Action::MappingActivated, basis, at, position);
        let mut all = Vec::new();
        if let Some(roster) = in_force.roster.as_ref().filter(|roster| self.rosters.last() != Some(*roster)) {
            all.push(entry(format!("roster {roster}")));
        }
        for (id, running) in &in_force.running {
            let last = self.mappings.get(id).and_then(|known| known.last());
            let is_last = last
                .is_some_and(|last| last.digest == running.digest && last.note == note(&running.note) && !last.is_stop);
            if !is_last {
                all.push(entry(basis(running)));
            }
        }
        all
    }
}

/// An officer stopped what runs.
pub fn stopped(running: &Running, at: Timestamp, position: Position) -> Access {
    entry(Action::MappingStopped, basis(running), at, position)
}

fn entry(action: Action, basis: String, at: Timestamp, position: Position) -> Access {
    Access { at, actor: Actor::Bridge, action, subject: None, from: None, basis, count: 1, position }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::in_force::{choose, tests::Known};
    use crate::approval::Standing;
    use crate::mapping::testing::{load_edited, shipped};

    fn run(version: u32, note: &str) -> InForce {
        let to = format!("version = {version}");
        let set = load_edited(&[("naver/slots.toml", "version = 1", &to)]).unwrap();
        let mut known = Known::all(&set);
        for standing in known.standing.values_mut() {
            *standing = Standing::InForce { note: note.to_owned(), until: Timestamp(i64::MAX) };
        }
        choose(set, &known, Timestamp(0))
    }

    fn activated(log: &mut Vec<Access>, in_force: &InForce) {
        log.extend(History::read(log).missing(in_force, Timestamp(0), Position(1)));
    }

    #[test]
    fn an_older_approval_is_not_believed_again_and_a_new_one_of_a_higher_version_is() {
        let mut log = Vec::new();
        activated(&mut log, &run(1, "n1"));
        let entries = log.len();
        activated(&mut log, &run(1, "n1"));
        assert_eq!(log.len(), entries, "once");
        activated(&mut log, &run(2, "n2"));
        let back = |log: &[Access], version, note| {
            History::read(log).goes_back(&run(version, note)).get("naver.slots").cloned()
        };
        assert_eq!(back(&log, 2, "n2"), None);
        assert_eq!(back(&log, 3, "n3"), None);
        let why = back(&log, 1, "n1").unwrap();
        assert_eq!(why, "v1 is older than v2, which was in force: approvals never go back");
        assert!(back(&log, 1, "n9").is_some(), "a note that was never used, of a lower version");
        assert!(log.iter().all(|entry| entry.basis.len() <= crate::evidence::TEXT_MAX));
    }

    #[test]
    fn a_stop_whose_note_is_gone_is_remembered() {
        let mut log = Vec::new();
        let one = run(1, "n1");
        activated(&mut log, &one);
        log.push(stopped(&one.running["naver.slots"], Timestamp(0), Position(2)));
        let why = History::read(&log).goes_back(&run(1, "n1"))["naver.slots"].clone();
        assert!(why.contains("was stopped"), "{why}");
        assert!(!History::read(&log).goes_back(&run(2, "n2")).contains_key("naver.slots"));
    }

    #[test]
    fn an_older_roster_holds_everything() {
        let roster = |digest: &str| InForce { roster: Some(digest.to_owned()), ..run(1, "n1") };
        let mut log = Vec::new();
        activated(&mut log, &roster("aa"));
        activated(&mut log, &roster("bb"));
        assert!(History::read(&log).goes_back(&roster("bb")).is_empty());
        assert_eq!(History::read(&log).goes_back(&roster("aa")).len(), shipped().feeds().count());
        assert_eq!(History::read(&log).goes_back(&run(1, "n1")).len(), shipped().feeds().count());
    }
}
