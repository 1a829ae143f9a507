//! How many signatures there are and how many it takes: distinct persons in distinct roles, never the author.

use std::collections::BTreeSet;

use crate::lint::Verdict;
use crate::mapping::Policy;

use super::flaw::Flaw;
use super::roster::{OfficerRole, Place, WIDER_QUORUM_MIN};
use super::signed::Signer;

/// Signatures gathered for one thing. What a signature is counted as is fixed when it is added.
#[derive(Debug, Clone, Default)]
pub(super) struct Gathered {
    signatures: Vec<Counted>,
    authors: BTreeSet<String>,
}

#[derive(Debug, Clone)]
struct Counted {
    officer: String,
    role: OfficerRole,
    place: Place,
}

/// What it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Need {
    pub signatures: u32,
    pub devices: u32,
}

impl Need {
    /// Of a roster, a policy, and whatever widens.
    pub fn wider(quorum: u32) -> Need {
        Need { signatures: quorum.max(WIDER_QUORUM_MIN), devices: 1 }
    }

    /// Of an approval with this verdict, by the stricter of the policies. An approval of the same again renews its
    /// validity, which two officers gave: it takes as many.
    pub fn of(verdict: Verdict, before: Option<&Policy>, after: &Policy) -> Need {
        let rules = [before.unwrap_or(after), after];
        let most = |of: fn(&Policy) -> u32| rules.map(of).into_iter().max().unwrap_or(0);
        match verdict {
            Verdict::Narrower => Need { signatures: most(|p| p.approval.narrower_quorum).max(1), devices: 0 },
            Verdict::Same | Verdict::Wider => Need::wider(most(|p| p.approval.wider_quorum)),
        }
    }
}

impl Gathered {
    /// Nobody who is named as author counts, whenever the name appears.
    pub fn exclude(&mut self, author: &str) {
        self.authors.insert(author.to_owned());
        self.signatures.retain(|counted| counted.officer != author);
    }

    /// # Errors
    /// Why this signature adds nothing.
    pub fn add(&mut self, signer: &Signer) -> Result<(), Flaw> {
        let officer = &signer.name.officer;
        if self.authors.contains(officer) {
            return Err(Flaw::Author { officer: officer.clone() });
        }
        if let Some(before) = self.signatures.iter_mut().find(|before| before.officer == *officer) {
            // The same officer again, this time on the own machine.
            if before.role == signer.role && before.place == Place::Browser && signer.place == Place::Device {
                before.place = Place::Device;
                return Ok(());
            }
            return Err(Flaw::SamePerson { officer: officer.clone() });
        }
        if self.signatures.iter().any(|before| before.role == signer.role) {
            return Err(Flaw::SameRole { role: signer.role.code() });
        }
        self.signatures.push(Counted { officer: officer.clone(), role: signer.role, place: signer.place });
        Ok(())
    }

    /// All that were made in browsers count as one.
    pub fn have(&self) -> u32 {
        let devices = self.devices();
        let all = u32::try_from(self.signatures.len()).unwrap_or(u32::MAX);
        devices + u32::from(all > devices)
    }

    fn devices(&self) -> u32 {
        let devices = self.signatures.iter().filter(|counted| counted.place == Place::Device).count();
        u32::try_from(devices).unwrap_or(u32::MAX)
    }

    /// # Errors
    /// What is missing.
    pub fn meets(&self, need: Need) -> Result<(), Flaw> {
        if self.devices() < need.devices && !self.signatures.is_empty() {
            return Err(Flaw::NoDevice);
        }
        if self.have() < need.signatures {
            return Err(Flaw::Missing { have: self.have(), need: need.signatures });
        }
        Ok(())
    }
}
