//! What the notes about one mapping amount to: its approvals in order, what is pending, refused and stopped.
//!
//! The line of notes is read once, from the first on. The verdict of an approval is found anew against the version
//! that was in force when it was signed; a note that compares with another one counts for nothing.

use std::collections::BTreeMap;

use crate::domain::Timestamp;
use crate::domain::time::{DAY_MS, HOUR_MS};
use crate::lint::Verdict;
use crate::mapping::Policy;
use crate::privacy::Closure;

use super::flaw::{Flaw, short};
use super::header::{Header, Opinion};
use super::policies::Policies;
use super::quorum::{Gathered, Need};
use super::roster::OfficerRole;
use super::signed::Signed;
use super::subject::{Compare, policy_digest};
use super::versions::Versions;

#[derive(Debug, Clone, Default)]
pub(super) struct Timeline {
    /// Approvals whose quorum is complete, in the order in which it became so.
    pub approved: Vec<Approved>,
    /// Signatures gathered for a version, by digest.
    pub pending: BTreeMap<String, Pending>,
    pub refused: BTreeMap<String, Refusal>,
}

#[derive(Debug, Clone)]
pub(super) struct Approved {
    /// Of the version.
    pub digest: String,
    /// Of the note that completed the quorum.
    pub note: String,
    pub from: Timestamp,
    pub until: Timestamp,
    pub lifts: Vec<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub by: String,
    pub at: Timestamp,
}

#[derive(Debug, Clone)]
pub(super) struct Pending {
    base: Option<String>,
    lifts: Vec<String>,
    verdict: Verdict,
    gathered: Gathered,
    pub need: Need,
    conditions: Vec<(String, OfficerRole)>,
    from: Timestamp,
    until: Timestamp,
    signed_at: Timestamp,
    /// What is missing, and signatures that do not count.
    pub why: Vec<Flaw>,
}

impl Pending {
    pub fn have(&self) -> u32 {
        self.gathered.have()
    }
}

impl Timeline {
    pub fn read(versions: &mut Versions, policies: &Policies, compare: Compare) -> Timeline {
        let mut timeline = Timeline::default();
        let mut last_at = Timestamp(i64::MIN);
        let Versions { closures, line, .. } = versions;
        for note in line {
            let at = note.header.signed_at;
            if at < last_at {
                discount(note, &Flaw::TimeBackwards);
                continue;
            }
            last_at = at;
            let digest = note.header.digest.clone();
            if note.header.decision.is_refusal() {
                if let Some(by) = note.counted().next() {
                    timeline.refused.insert(digest.clone(), Refusal { by: by.name.officer.clone(), at });
                    timeline.pending.remove(&digest);
                }
                continue;
            }
            let Some(closure) = closures.get(&digest) else { continue };
            if let Err(flaw) = timeline.admits(&note.header, closure) {
                discount(note, &flaw);
                timeline.note_flaw(&digest, closure, flaw);
                continue;
            }
            let base = note.header.base.as_ref().and_then(|base| closures.get(base));
            timeline.add(note, closure, base, policies, compare);
        }
        timeline
    }

    /// The approval that took effect last, whether or not it has ended since: what it replaced does not come back.
    pub fn current(&self, at: Timestamp) -> Option<&Approved> {
        self.approved.iter().rev().find(|approved| approved.from <= at)
    }

    /// Digest of the version in force, for whoever signs at that instant.
    pub fn base(&self, at: Timestamp) -> Option<&str> {
        self.current(at).filter(|approved| at < approved.until).map(|approved| approved.digest.as_str())
    }

    pub fn lifted(&self, stop: &str, now: Timestamp) -> bool {
        self.approved.iter().any(|approved| approved.from <= now && approved.lifts.iter().any(|lift| lift == stop))
    }

    /// May a note with this header count at all?
    fn admits(&self, header: &Header, closure: &Closure) -> Result<(), Flaw> {
        let expected = if header.lifts.is_empty() { self.base(header.signed_at) } else { None };
        if header.base.as_deref() != expected {
            let name = |digest: Option<&str>| digest.map_or("none".to_owned(), short);
            return Err(Flaw::Compared { named: name(header.base.as_deref()), in_force: name(expected) });
        }
        if closure.roster.as_ref() != Some(&header.roster) {
            return Err(Flaw::OtherRoster);
        }
        if closure.mapping.author.as_ref().is_some_and(|author| *author.get_ref() != header.author) {
            return Err(Flaw::OtherAuthor);
        }
        let days = closure.policy.approval.validity_days_max;
        let (from, until) = header.validity.ok_or(Flaw::Validity { days })?;
        if until.since_ms(from) > i64::from(days) * DAY_MS
            || until.since_ms(header.signed_at) > i64::from(days) * DAY_MS
        {
            return Err(Flaw::Validity { days });
        }
        Ok(())
    }

    fn note_flaw(&mut self, digest: &str, closure: &Closure, flaw: Flaw) {
        let need = Need::of(Verdict::Wider, None, &closure.policy);
        let pending = self.pending.entry(digest.to_owned()).or_insert_with(|| Pending::none(need));
        pending.why.push(flaw);
    }

    fn add(
        &mut self,
        note: &mut Signed,
        closure: &Closure,
        base: Option<&Closure>,
        policies: &Policies,
        compare: Compare,
    ) {
        let Header { digest, lifts, .. } = note.header.clone();
        let base_digest = note.header.base.clone();
        let verdict = compare(base, closure).verdict;
        let need = Need::of(verdict, base.map(|base| &base.policy), &closure.policy);
        let pending = self.pending.entry(digest.clone()).or_insert_with(|| Pending::none(need));
        if pending.base != base_digest || pending.lifts != lifts {
            *pending = Pending::none(need);
        }
        (pending.base, pending.lifts, pending.verdict, pending.need) = (base_digest, lifts, verdict, need);
        pending.count(note);
        if note.counted().next().is_some() {
            self.refused.remove(&digest);
        }
        let before = base.map(|base| &base.policy);
        if let Some((from, until)) = pending.complete(closure, before, policies) {
            let lifts = std::mem::take(&mut pending.lifts);
            self.pending.remove(&digest);
            self.approved.push(Approved { digest, note: note.digest.clone(), from, until, lifts });
        }
    }
}

impl Pending {
    fn none(need: Need) -> Pending {
        Pending {
            base: None,
            lifts: Vec::new(),
            verdict: Verdict::Wider,
            gathered: Gathered::default(),
            need,
            conditions: Vec::new(),
            from: Timestamp(i64::MIN),
            until: Timestamp(i64::MAX),
            signed_at: Timestamp(i64::MIN),
            why: Vec::new(),
        }
    }

    fn count(&mut self, note: &mut Signed) {
        let header = &note.header;
        self.gathered.exclude(&header.author);
        self.why.clear();
        let mut counts = false;
        for signer in note.signers.iter_mut().filter(|signer| signer.uncounted.is_none()) {
            let (officer, role) = (&signer.name.officer, signer.role);
            if header.opinion == Opinion::Conditional {
                self.conditions.push((officer.clone(), role));
                continue;
            }
            let open = self.conditions.len();
            self.conditions.retain(|(of, in_role)| of != officer && *in_role != role);
            signer.uncounted = self.gathered.add(signer).err();
            counts |= signer.uncounted.is_none() || self.conditions.len() < open;
        }
        self.why.extend(note.signers.iter().filter_map(|signer| signer.uncounted.clone()));
        if let Some((from, until)) = header.validity.filter(|_| counts) {
            self.from = self.from.max(from);
            self.until = self.until.min(until);
            self.signed_at = self.signed_at.max(header.signed_at);
        }
    }

    /// From when until when it holds, once nothing is missing.
    fn complete(
        &mut self,
        closure: &Closure,
        before: Option<&Policy>,
        policies: &Policies,
    ) -> Option<(Timestamp, Timestamp)> {
        let mut missing: Vec<Flaw> = self.gathered.meets(self.need).err().into_iter().collect();
        missing.extend(self.conditions.first().map(|(officer, _)| Flaw::Condition { officer: officer.clone() }));
        let mut signed_at = self.signed_at;
        match policy_since(before, &closure.policy, policies) {
            Ok(at) => signed_at = signed_at.max(at),
            Err(flaw) => missing.push(flaw),
        }
        if !missing.is_empty() {
            missing.append(&mut self.why);
            self.why = missing;
            return None;
        }
        let hours = before.map_or(0, |policy| policy.approval.wider_delay_hours);
        let hours = hours.max(closure.policy.approval.wider_delay_hours);
        let delay = if self.verdict == Verdict::Wider { i64::from(hours) * HOUR_MS } else { 0 };
        let contract = &closure.partner.contract;
        let from = self.from.max(signed_at.plus_ms(delay)).max(midnight(contract.starts));
        Some((from, self.until.min(midnight(contract.ends).plus_ms(DAY_MS))))
    }
}

/// Since when the policy of a version may be used: as it was before, or as approved by a note of its own.
pub(super) fn policy_since(before: Option<&Policy>, after: &Policy, policies: &Policies) -> Result<Timestamp, Flaw> {
    match before {
        Some(before) if policy_digest(before) != policy_digest(after) => policies.since(after),
        _ => Ok(Timestamp(i64::MIN)),
    }
}

fn midnight(day: jiff::civil::Date) -> Timestamp {
    let days = jiff::civil::date(1970, 1, 1).until(day).map_or(0, |span| span.get_days());
    Timestamp::seoul_midnight(days)
}

fn discount(note: &mut Signed, flaw: &Flaw) {
    for signer in &mut note.signers {
        signer.uncounted = Some(flaw.clone());
    }
}
