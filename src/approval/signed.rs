//! A note held against what it is about: text rendered again, signers found in their roster, signatures verified.
//!
//! Two kinds of doubt are kept apart. A note that is not exactly what its signers signed is refused whole. A genuine
//! note may have a signer who may not sign it, for instance its author: then it stands in the history, and that
//! signature does not count.

use std::collections::BTreeMap;

use crate::privacy::Closure;

use super::flaw::{Flaw, short};
use super::header::{Decision, Header};
use super::key::SignerName;
use super::note::Note;
use super::roster::{Officer, OfficerRole, Place, Roster, day_of};
use super::subject::{Compare, Subject};
use super::text::refuse_unsignable;
use super::{Demonstration, Trust};

/// A genuine note.
#[derive(Debug, Clone)]
pub struct Signed {
    /// Path in the folder.
    pub path: String,
    /// Names the note.
    pub digest: String,
    pub header: Header,
    pub text: String,
    pub signers: Vec<Signer>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    pub name: SignerName,
    /// Korean and English name of the officer.
    pub officer_ko: String,
    pub officer_en: String,
    /// The role acted in: of the delegator with 대결.
    pub role: OfficerRole,
    pub place: Place,
    /// 대결: the officer in whose place this one signed.
    pub deputy_of: Option<String>,
    /// Why the signature does not count, where it does not.
    pub uncounted: Option<Flaw>,
}

impl Signed {
    /// Signatures that count so far.
    pub fn counted(&self) -> impl Iterator<Item = &Signer> {
        self.signers.iter().filter(|signer| signer.uncounted.is_none())
    }

    /// Of the signers, for one line of text.
    pub fn by(&self) -> String {
        let names: Vec<String> = self.signers.iter().map(|signer| signer.name.officer.clone()).collect();
        names.join(", ")
    }
}

/// What every note of a deployment is verified with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Verifier<'a> {
    pub trust: &'a Trust,
    /// Every roster of the chain, by digest.
    pub rosters: &'a BTreeMap<String, Roster>,
    /// The roster in force: keys that it no longer has are withdrawn.
    pub head: Option<&'a Roster>,
    pub compare: Compare,
}

/// The exact text of a note.
///
/// # Errors
/// Values that do not fit or cannot be signed.
pub(super) fn render(
    origin: &str,
    header: &Header,
    subject: &Subject<'_>,
    base: Option<&Closure>,
    compare: Compare,
) -> Result<String, Flaw> {
    header.check()?;
    let (body, verdict) = subject.body(base, header.decision, compare);
    let text = format!("{origin}\n{}\n{body}", header.render(verdict.map(|verdict| verdict.ko())));
    refuse_unsignable(&text)?;
    Ok(text)
}

impl Verifier<'_> {
    /// Holds a note against its subject.
    ///
    /// # Errors
    /// Why the note is refused whole.
    pub fn verify(
        &self,
        path: &str,
        note: Note,
        subject: &Subject<'_>,
        closures: &BTreeMap<String, Closure>,
    ) -> Result<Signed, Flaw> {
        let origin = note.text.lines().next().unwrap_or("");
        if origin != self.trust.origin {
            return Err(Flaw::OtherOrigin { origin: origin.to_owned() });
        }
        let header = Header::parse(&note.text)?;
        if !subject.may_be(header.decision) || header.subject != subject.id() || header.version != subject.version() {
            return Err(Flaw::OtherText { line: 2 });
        }
        let missing = |digest: &String| Flaw::VersionMissing { digest: short(digest) };
        let base = header.base.as_ref().map(|digest| closures.get(digest).ok_or_else(|| missing(digest)));
        let expected = render(&self.trust.origin, &header, subject, base.transpose()?, self.compare)?;
        if expected != note.text || header.digest != subject.digest() {
            let same = expected.lines().zip(note.text.lines()).take_while(|(a, b)| a == b).count();
            return Err(Flaw::OtherText { line: same + 1 });
        }
        let roster = self.rosters.get(&header.roster);
        let roster = roster.ok_or_else(|| Flaw::UnknownRoster { digest: short(&header.roster) })?;
        let signers = self.signers(&note, &header, roster)?;
        Ok(Signed { path: path.to_owned(), digest: note.digest(), header, text: note.text, signers })
    }

    fn signers(&self, note: &Note, header: &Header, roster: &Roster) -> Result<Vec<Signer>, Flaw> {
        let mut signers: Vec<Signer> = Vec::new();
        for line in &note.signatures {
            let signer = || line.name.clone();
            let unknown = || Flaw::UnknownSigner { signer: signer(), roster: short(&header.roster) };
            let name = SignerName::parse(&line.name).ok_or_else(unknown)?;
            let (officer, key) = roster.key(&name).ok_or_else(unknown)?;
            if key.public.id(&line.name) != line.key_id || !key.public.verifies(&note.text, &line.signature) {
                return Err(Flaw::BadSignature { signer: signer() });
            }
            if signers.iter().any(|before| before.name == name) {
                return Err(Flaw::SignedTwice { signer: signer() });
            }
            let acting = self.acting(header, roster, officer, &name);
            let (role, deputy_of, uncounted) = match acting {
                Ok((role, deputy_of)) => (role, deputy_of, None),
                Err(flaw) => (officer.role, None, Some(flaw)),
            };
            signers.push(Signer {
                place: key.place,
                officer_ko: officer.name.ko.clone(),
                officer_en: officer.name.en.clone(),
                name,
                role,
                deputy_of,
                uncounted,
            });
        }
        Ok(signers)
    }

    /// In which role the officer signs this note.
    fn acting(
        &self,
        header: &Header,
        roster: &Roster,
        officer: &Officer,
        name: &SignerName,
    ) -> Result<(OfficerRole, Option<String>), Flaw> {
        if officer.demonstration && self.trust.demonstration == Demonstration::Refused {
            return Err(Flaw::Demonstration { officer: officer.id.clone() });
        }
        let day = day_of(header.signed_at);
        let out = |officer: &Officer| Flaw::OutOfTerm { officer: officer.id.clone(), day: day.to_string() };
        if !officer.in_office(day) {
            return Err(out(officer));
        }
        if header.decision == Decision::Stop {
            return Ok((officer.role, None));
        }
        if let Some(head) = self.head {
            let now = head.key(name).filter(|(_, key)| Some(key.public) == roster.key(name).map(|(_, k)| k.public));
            let Some((now, _)) = now else { return Err(Flaw::KeyWithdrawn { signer: name.to_string() }) };
            // Whoever retires later does so in the roster in force, not in the one that was signed under.
            if now.retired.is_some_and(|retired| retired <= day) {
                return Err(out(officer));
            }
        }
        if !officer.role.may_approve() {
            return Err(Flaw::RoleMayNot { officer: officer.id.clone(), role: officer.role.code() });
        }
        if header.decision.is_yes() && officer.id == header.author {
            return Err(Flaw::Author { officer: officer.id.clone() });
        }
        let Some(deputy) = header.deputy.as_ref().filter(|deputy| deputy.delegate == officer.id) else {
            return Ok((officer.role, None));
        };
        let delegator = roster.officer(&deputy.delegator).filter(|delegator| {
            delegator.in_office(day) && roster.delegation(&deputy.delegator, &officer.id, day).is_some()
        });
        let delegator = delegator.ok_or_else(|| Flaw::NoDelegation {
            delegator: deputy.delegator.clone(),
            delegate: officer.id.clone(),
            day: day.to_string(),
        })?;
        if delegator.demonstration && self.trust.demonstration == Demonstration::Refused {
            return Err(Flaw::Demonstration { officer: delegator.id.clone() });
        }
        Ok((delegator.role, Some(delegator.id.clone())))
    }
}
