//! Policies that were approved by notes of their own, kept under `approvals/policy/`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::domain::Timestamp;
use crate::mapping::Policy;

use super::chain::{gather, refusal};
use super::flaw::{Flaw, short};
use super::note::{NOTE_BYTES_MAX, Note};
use super::quorum::{Gathered, Need};
use super::signed::{Signed, Verifier};
use super::subject::{POLICY, Subject, policy_digest, policy_json};
use super::{Found, folder, note_stem};

#[derive(Debug, Clone, Default)]
pub(super) struct Policies {
    /// Since when a policy is approved, or what it lacks, by digest.
    pub standing: BTreeMap<String, Result<Timestamp, Flaw>>,
    pub notes: Vec<Signed>,
    pub found: Vec<Found>,
}

impl Policies {
    pub fn read(files: &BTreeMap<String, Vec<u8>>, verifier: &Verifier<'_>) -> Policies {
        let mut policies = Policies::default();
        let mut kept: BTreeMap<&str, Policy> = BTreeMap::new();
        let mut notes: BTreeMap<&str, Vec<(&str, Note)>> = BTreeMap::new();
        for (path, name, bytes) in folder(files, POLICY) {
            let read = if let Some(stem) = name.strip_suffix(".json") {
                policy(bytes, stem).map(|policy| {
                    kept.insert(stem, policy);
                })
            } else if let Some(stem) = note_stem(name) {
                Note::parse(bytes).map(|note| notes.entry(stem).or_default().push((path, note)))
            } else {
                Err(Flaw::Misplaced { what: format!("{name} is neither a policy nor a note") })
            };
            if let Err(flaw) = read {
                policies.found.push(Found::new(path, flaw));
            }
        }
        for (stem, notes) in notes {
            let Some(policy) = kept.get(stem) else {
                let flaw = Flaw::VersionMissing { digest: stem.to_owned() };
                policies.found.push(Found::new("approvals/policy", flaw));
                continue;
            };
            let standing = policies.quorum(policy, notes, verifier);
            policies.standing.insert(policy_digest(policy), standing);
        }
        policies
    }

    /// Since when the policy is approved.
    ///
    /// # Errors
    /// What it lacks.
    pub fn since(&self, policy: &Policy) -> Result<Timestamp, Flaw> {
        let digest = policy_digest(policy);
        match self.standing.get(&digest) {
            Some(Ok(at)) => Ok(*at),
            _ => Err(Flaw::PolicyUnsigned { digest: short(&digest) }),
        }
    }

    fn quorum(
        &mut self,
        policy: &Policy,
        notes: Vec<(&str, Note)>,
        verifier: &Verifier<'_>,
    ) -> Result<Timestamp, Flaw> {
        let mut signed = Vec::new();
        let mut broken = None;
        for (path, note) in notes {
            match verifier.verify(path, note, &Subject::Policy(policy), &BTreeMap::new()) {
                Ok(note) => signed.push(note),
                Err(flaw) => {
                    self.found.push(Found::new(path, flaw.clone()));
                    broken = Some(flaw);
                }
            }
        }
        signed.sort_by(|a, b| (a.header.signed_at, &a.digest).cmp(&(b.header.signed_at, &b.digest)));
        let mut gathered = Gathered::default();
        let need = Need::wider(policy.approval.wider_quorum);
        let mut since = None;
        for note in &mut signed {
            broken = broken.or(refusal(note));
            gather(&mut gathered, note, &mut Vec::new());
            if since.is_none() && gathered.meets(need).is_ok() {
                since = Some(note.header.signed_at);
            }
        }
        self.notes.append(&mut signed);
        // An author named by a later note may have been counted by an earlier one.
        gathered.meets(need)?;
        match (broken, since) {
            (Some(flaw), _) => Err(flaw),
            (None, Some(at)) => Ok(at),
            (None, None) => Err(Flaw::Missing { have: gathered.have(), need: need.signatures }),
        }
    }
}

fn policy(bytes: &[u8], stem: &str) -> Result<Policy, Flaw> {
    let bad = |what: &str| Flaw::NotAVersion { what: what.to_owned() };
    if bytes.len() > NOTE_BYTES_MAX {
        return Err(bad("larger than 256 KiB"));
    }
    let mut value: Value = serde_json::from_slice(bytes).map_err(|_| bad("not JSON"))?;
    drop_nulls(&mut value);
    // By way of TOML, whose places in the text the types keep.
    let text = toml::to_string(&value).map_err(|_| bad("not a policy"))?;
    let policy: Policy = toml::from_str(&text).map_err(|error| bad(error.message()))?;
    if policy_json(&policy).as_bytes() != bytes {
        return Err(bad("not in canonical form"));
    }
    if short(&policy_digest(&policy)) != stem {
        return Err(bad("the file holds another policy"));
    }
    Ok(policy)
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}
