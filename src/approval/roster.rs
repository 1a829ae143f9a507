//! Who the officers are: the roster as a type, what makes one well-formed, and its digest.
//!
//! A roster says itself how many signatures its successor needs (`quorum`, at least two): the policy in the folder is
//! not yet believed when the chain of rosters is walked.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::domain::Timestamp;
use crate::mapping::Text2;
use crate::privacy::{canonical_json, sha256_hex};

use super::flaw::Flaw;
use super::key::{PublicKey, SignerName, is_name, possession_text};
use super::text::refuse_hidden;

const PREFIX: &str = "slotbridge-roster-v1\n";
/// A privacy office has a handful of officers; departments and deputies make some tens.
pub const OFFICERS_MAX: usize = 100;
const KEYS_MAX: usize = 8;
const DELEGATIONS_MAX: usize = 100;
/// Fewest signatures that a roster, a policy or a wider mapping may be approved with, whatever a file says.
pub const WIDER_QUORUM_MIN: u32 = 2;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Roster {
    pub format: u32,
    pub version: u32,
    /// Digest of the roster before; the first has none.
    #[serde(default)]
    pub previous: Option<String>,
    /// Signatures that the next roster needs from this one.
    #[serde(default = "wider_quorum_min")]
    pub quorum: u32,
    #[serde(rename = "officer", default)]
    pub officers: Vec<Officer>,
    #[serde(rename = "delegation", default)]
    pub delegations: Vec<Delegation>,
}

fn wider_quorum_min() -> u32 {
    WIDER_QUORUM_MIN
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Officer {
    pub id: String,
    pub name: Text2,
    pub role: OfficerRole,
    /// First and last day in office, Seoul.
    pub from: Date,
    pub until: Date,
    /// From this day on nothing that the officer signs counts; what was signed before does.
    #[serde(default)]
    pub retired: Option<Date>,
    /// Believed by the demonstration only.
    #[serde(default)]
    pub demonstration: bool,
    #[serde(rename = "key", default)]
    pub keys: Vec<KeyEntry>,
}

/// One key of an officer. A key that leaves the roster is withdrawn: what it signed no longer counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyEntry {
    /// Signs as `<officer>/<name>`.
    pub name: String,
    pub public: PublicKey,
    pub place: Place,
    /// Signature over `possession_text`, base64url.
    pub proof: String,
}

/// Where a key is kept. The roster decides it, never a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// The officer's own machine, over an exported bundle.
    Device,
    /// A page of the daemon, which could show one text and sign another: counts for one only.
    Browser,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OfficerRole {
    PrivacyLead,
    PrivacyOfficer,
    Operator,
    Auditor,
}

impl OfficerRole {
    pub const ALL: [OfficerRole; 4] =
        [OfficerRole::PrivacyLead, OfficerRole::PrivacyOfficer, OfficerRole::Operator, OfficerRole::Auditor];

    /// Operators run what is approved: they draw up and may stop, they do not approve. Auditors sign as 협조.
    pub fn may_approve(self) -> bool {
        self != OfficerRole::Operator
    }

    pub fn ko(self) -> &'static str {
        match self {
            OfficerRole::PrivacyLead => "보호책임자",
            OfficerRole::PrivacyOfficer => "보호담당자",
            OfficerRole::Operator => "운영자",
            OfficerRole::Auditor => "감사",
        }
    }

    pub fn code(self) -> &'static str {
        match self {
            OfficerRole::PrivacyLead => "privacy_lead",
            OfficerRole::PrivacyOfficer => "privacy_officer",
            OfficerRole::Operator => "operator",
            OfficerRole::Auditor => "auditor",
        }
    }
}

impl Place {
    pub fn ko(self) -> &'static str {
        match self {
            Place::Device => "본인 기기",
            Place::Browser => "브라우저",
        }
    }
}

/// 대결: from the first to the last day the delegate may sign in the delegator's role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delegation {
    pub delegator: String,
    pub delegate: String,
    pub from: Date,
    pub until: Date,
    /// Name of the delegator's key that signed `delegation_text`.
    pub key: String,
    /// base64url.
    pub signature: String,
}

/// What the delegator signs.
pub fn delegation_text(origin: &str, delegation: &Delegation) -> String {
    let Delegation { delegator, delegate, from, until, .. } = delegation;
    format!("slotbridge-delegation-v1\n{origin}\n대결: {delegator} → {delegate}\n기간: {from} ~ {until}\n")
}

impl Officer {
    pub fn key(&self, name: &str) -> Option<&KeyEntry> {
        self.keys.iter().find(|key| key.name == name)
    }

    pub fn in_office(&self, day: Date) -> bool {
        self.from <= day && day <= self.until && self.retired.is_none_or(|retired| day < retired)
    }
}

impl Roster {
    /// # Errors
    /// Not TOML of this shape, or not well-formed: two officers of one id, a key without proof, a delegation that its
    /// delegator did not sign.
    pub fn parse(bytes: &[u8], origin: &str) -> Result<Roster, Flaw> {
        let bad = |what: String| Flaw::NotARoster { what };
        let text = std::str::from_utf8(bytes).map_err(|_| bad("not UTF-8".to_owned()))?;
        let roster: Roster =
            toml::from_str(text).map_err(|error| bad(error.message().lines().next().unwrap_or("").to_owned()))?;
        roster.check(origin)?;
        Ok(roster)
    }

    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a roster has only text keys")
    }

    /// Hex SHA-256 over the RFC 8785 form of the typed model, behind a prefix of its own.
    pub fn digest(&self) -> String {
        let value = serde_json::to_value(self).expect("a roster has only text keys");
        sha256_hex(format!("{PREFIX}{}", canonical_json(&value)).as_bytes())
    }

    pub fn officer(&self, id: &str) -> Option<&Officer> {
        self.officers.iter().find(|officer| officer.id == id)
    }

    pub fn key(&self, signer: &SignerName) -> Option<(&Officer, &KeyEntry)> {
        let officer = self.officer(&signer.officer)?;
        Some((officer, officer.key(&signer.key)?))
    }

    pub fn delegation(&self, delegator: &str, delegate: &str, day: Date) -> Option<&Delegation> {
        let covers = |d: &&Delegation| d.from <= day && day <= d.until;
        self.delegations.iter().filter(covers).find(|d| d.delegator == delegator && d.delegate == delegate)
    }

    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self, origin: &str) -> Result<(), Flaw> {
        let bad = |what: String| Err(Flaw::NotARoster { what });
        if self.format != 1 {
            return bad(format!("format {} is not known", self.format));
        }
        if self.officers.is_empty() || self.officers.len() > OFFICERS_MAX || self.delegations.len() > DELEGATIONS_MAX {
            return bad(format!("1 to {OFFICERS_MAX} officers, at most {DELEGATIONS_MAX} delegations"));
        }
        if self.quorum < WIDER_QUORUM_MIN {
            return bad(format!("quorum under {WIDER_QUORUM_MIN}"));
        }
        let (mut ids, mut publics) = (BTreeSet::new(), BTreeSet::new());
        for officer in &self.officers {
            if !is_name(&officer.id) || !ids.insert(&officer.id) {
                return bad(format!("{:?} is no id of an officer or stands twice", officer.id));
            }
            refuse_hidden(&officer.name.ko, "officers.toml")?;
            refuse_hidden(&officer.name.en, "officers.toml")?;
            if officer.name.ko.contains('\n') || officer.name.en.contains('\n') {
                return bad(format!("the name of {} has two lines", officer.id));
            }
            if officer.from > officer.until {
                return bad(format!("the term of {} ends before it begins", officer.id));
            }
            if officer.keys.is_empty() || officer.keys.len() > KEYS_MAX {
                return bad(format!("{} has no key or more than {KEYS_MAX}", officer.id));
            }
            let mut names = BTreeSet::new();
            for key in &officer.keys {
                let signer = SignerName { officer: officer.id.clone(), key: key.name.clone() };
                if !is_name(&key.name) || !names.insert(&key.name) || !publics.insert(key.public) {
                    return bad(format!("the key {signer} has no good name or stands twice"));
                }
                let proof = URL_SAFE_NO_PAD.decode(&key.proof).unwrap_or_default();
                if !key.public.verifies(&possession_text(&signer, &key.public), &proof) {
                    return bad(format!("the proof of {signer} does not verify"));
                }
            }
        }
        self.delegations.iter().try_for_each(|delegation| self.check_delegation(delegation, origin))
    }

    fn check_delegation(&self, delegation: &Delegation, origin: &str) -> Result<(), Flaw> {
        let Delegation { delegator, delegate, key, .. } = delegation;
        let bad = |why: &str| Err(Flaw::NotARoster { what: format!("delegation of {delegator} to {delegate}: {why}") });
        let (Some(from), Some(to)) = (self.officer(delegator), self.officer(delegate)) else {
            return bad("not both are officers");
        };
        if from.id == to.id || !from.role.may_approve() || !to.role.may_approve() {
            return bad("both must be officers who approve");
        }
        let Some(key) = from.key(key) else { return bad("signed by no key of the delegator") };
        let signature = URL_SAFE_NO_PAD.decode(&delegation.signature).unwrap_or_default();
        if !key.public.verifies(&delegation_text(origin, delegation), &signature) {
            return bad("the delegator's signature does not verify");
        }
        Ok(())
    }
}

/// The calendar day in Seoul.
pub(super) fn day_of(at: Timestamp) -> Date {
    at.rfc3339()[..10].parse().unwrap_or(Date::MIN)
}
