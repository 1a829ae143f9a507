//! The text to sign, before anybody did; and a signature put under it.

use std::collections::BTreeMap;

use crate::domain::Timestamp;
use crate::lint::Verdict;
use crate::privacy::Closure;

use super::flaw::{Flaw, short};
use super::header::{Decision, Deputy, Header, Opinion};
use super::key::SignerName;
use super::note::{Note, NoteSignature, SIGNATURES_MAX};
use super::roster::Roster;
use super::signed::{Signed, Verifier, render};
use super::subject::{Subject, policy_json};
use super::{Approvals, note_stem};

/// What an officer chooses; everything else in the head follows from what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    pub decision: Decision,
    pub opinion: Opinion,
    pub reason: Option<String>,
    /// Of a mapping that names its author, the same.
    pub author: String,
    pub review_no: String,
    pub document_no: Option<String>,
    /// Of an approval: first instant, and the first at which it no longer holds.
    pub validity: Option<(Timestamp, Timestamp)>,
    pub deputy: Option<Deputy>,
}

/// A text to sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    pub header: Header,
    /// Of a mapping version that is approved or refused.
    pub verdict: Option<Verdict>,
    pub text: String,
    /// Where the note belongs.
    pub note_path: String,
    /// What the note is about, to be kept beside it: path and bytes.
    pub content: (String, Vec<u8>),
}

impl Approvals {
    /// The exact text to sign at `signed_at`, after what is there.
    ///
    /// # Errors
    /// Values that do not fit, a mapping whose notes are broken, no roster.
    pub fn draft(
        &self,
        files: &BTreeMap<String, Vec<u8>>,
        subject: &Subject<'_>,
        choice: &Choice,
        signed_at: Timestamp,
    ) -> Result<Draft, Flaw> {
        if !subject.may_be(choice.decision) {
            return Err(Flaw::Incomplete { what: "a decision that fits what is decided" });
        }
        let digest = subject.digest();
        // Notes state whole seconds.
        let signed_at = Timestamp(signed_at.0.div_euclid(1_000) * 1_000);
        let roster = match subject {
            Subject::Roster(roster) => roster.previous.clone(),
            _ => self.roster_head(),
        };
        let roster = roster.filter(|roster| self.rosters.by_digest.contains_key(roster));
        let mut header = Header {
            decision: choice.decision,
            opinion: choice.opinion,
            subject: subject.id().to_owned(),
            version: subject.version(),
            digest: digest.clone(),
            base: None,
            roster: roster.ok_or(Flaw::NoGenesis)?,
            signed_at,
            validity: choice.validity,
            previous: None,
            lifts: Vec::new(),
            author: choice.author.clone(),
            deputy: choice.deputy.clone(),
            review_no: choice.review_no.clone(),
            document_no: choice.document_no.clone(),
            reason: choice.reason.clone(),
        };
        let base = match subject {
            Subject::Mapping(closure) => self.place(closure, &mut header)?,
            _ => None,
        };
        let (_, verdict) = subject.body(base, choice.decision, self.compare);
        let text = render(&self.trust.origin, &header, subject, base, self.compare)?;
        let note_path = subject.note_path(files, &text);
        Ok(Draft { header, verdict, text, note_path, content: subject.content() })
    }

    /// Fills in what follows from the notes that are there; the version that the verdict is against.
    fn place(&self, closure: &Closure, header: &mut Header) -> Result<Option<&Closure>, Flaw> {
        let approves = header.decision == Decision::Approve;
        if approves && closure.roster.as_deref() != Some(header.roster.as_str()) {
            return Err(Flaw::OtherRoster);
        }
        let author = closure.mapping.author.as_ref().map(|author| author.get_ref());
        if author.is_some_and(|author| *author != header.author) {
            return Err(Flaw::OtherAuthor);
        }
        let days = closure.policy.approval.validity_days_max;
        let longest = i64::from(days) * crate::domain::time::DAY_MS;
        if header.validity.is_some_and(|(from, until)| until.since_ms(from.min(header.signed_at)) > longest) {
            return Err(Flaw::Validity { days });
        }
        let Some(kept) = self.mappings.get(closure.id()) else { return Ok(None) };
        if let Some(found) = kept.versions.found.first()
            && header.decision != Decision::Stop
        {
            return Err(found.flaw.clone());
        }
        header.previous = kept.versions.line.last().map(|note| note.digest.clone());
        if kept.versions.line.last().is_some_and(|note| header.signed_at < note.header.signed_at) {
            return Err(Flaw::TimeBackwards);
        }
        if header.decision == Decision::Stop {
            return Ok(None);
        }
        if approves {
            let standing = kept.versions.stops.iter().filter(|s| !kept.timeline.lifted(&s.digest, header.signed_at));
            header.lifts = standing.map(|stop| stop.digest.clone()).collect();
        }
        if header.lifts.is_empty() {
            header.base = kept.timeline.base(header.signed_at).map(str::to_owned);
        }
        Ok(header.base.as_ref().and_then(|base| kept.versions.closures.get(base)))
    }

    /// Puts a signature under a text, or under a note that others signed already. Verifies it, and that it is one that
    /// counts by itself: whether the quorum is complete is the standing's.
    ///
    /// # Errors
    /// Why the signature is refused.
    pub fn add_signature(
        &self,
        note: &str,
        subject: &Subject<'_>,
        signer: &SignerName,
        signature: &[u8],
    ) -> Result<Note, Flaw> {
        let mut note = match Note::parse(note.as_bytes()) {
            Ok(note) => note,
            Err(_) => Note { text: note.to_owned(), signatures: Vec::new() },
        };
        let header = Header::parse(&note.text)?;
        let unknown = || Flaw::UnknownSigner { signer: signer.to_string(), roster: short(&header.roster) };
        let roster = self.rosters.by_digest.get(&header.roster).ok_or_else(unknown)?;
        let (_, key) = roster.key(signer).ok_or_else(unknown)?;
        if note.signatures.len() >= SIGNATURES_MAX {
            return Err(Flaw::SignedTwice { signer: signer.to_string() });
        }
        let name = signer.to_string();
        note.signatures.push(NoteSignature { key_id: key.public.id(&name), name, signature: signature.to_vec() });
        let signed = self.verify(&note, subject)?;
        let mut roles = Vec::new();
        for signer in &signed.signers {
            if let Some(flaw) = &signer.uncounted {
                return Err(flaw.clone());
            }
            if roles.iter().any(|(officer, _)| *officer == &signer.name.officer) {
                return Err(Flaw::SamePerson { officer: signer.name.officer.clone() });
            }
            if header.decision.is_yes() && roles.iter().any(|(_, role)| *role == signer.role) {
                return Err(Flaw::SameRole { role: signer.role.code() });
            }
            roles.push((&signer.name.officer, signer.role));
        }
        Ok(note)
    }

    /// Holds a note against its subject, as it is or as it is about to be written.
    ///
    /// # Errors
    /// Why the note is refused whole.
    pub fn verify(&self, note: &Note, subject: &Subject<'_>) -> Result<Signed, Flaw> {
        // A roster is signed by those of the one before: keys that it withdraws are still theirs.
        let is_roster = matches!(subject, Subject::Roster(_));
        let head: Option<&Roster> = self.rosters.head().filter(|_| !is_roster);
        let verifier = Verifier { trust: &self.trust, rosters: &self.rosters.by_digest, head, compare: self.compare };
        let none = BTreeMap::new();
        let kept = self.mappings.get(subject.id());
        let signed = verifier.verify("", note.clone(), subject, kept.map_or(&none, |kept| &kept.versions.closures))?;
        Ok(signed)
    }
}

impl Subject<'_> {
    /// What a note about it is kept beside: path and bytes.
    pub fn content(&self) -> (String, Vec<u8>) {
        let stem = format!("approvals/{}/{}", self.id(), short(&self.digest()));
        let (path, text) = match self {
            Subject::Mapping(closure) => (format!("{stem}.json"), closure.to_json()),
            Subject::Roster(roster) => (format!("{stem}.toml"), roster.to_toml()),
            Subject::Policy(policy) => (format!("{stem}.json"), policy_json(policy)),
        };
        (path, text.into_bytes())
    }

    /// Where a note of this text belongs: in the place of one with fewer signatures, or in a free one.
    pub fn note_path(&self, files: &BTreeMap<String, Vec<u8>>, text: &str) -> String {
        let folder = format!("approvals/{}", self.id());
        let is_same = |bytes: &[u8]| Note::parse(bytes).is_ok_and(|note| note.text == text);
        let prefix = format!("{folder}/");
        let mut notes = files.iter().filter(|(path, _)| path.starts_with(&prefix) && path.ends_with(".note"));
        let same = notes.find(|(_, bytes)| is_same(bytes));
        same.map_or_else(|| free_path(files, &folder, &short(&self.digest())), |(path, _)| path.clone())
    }
}

/// The first free name: `<stem>.note`, `<stem>-2.note`, …
fn free_path(files: &BTreeMap<String, Vec<u8>>, folder: &str, stem: &str) -> String {
    let prefix = format!("{folder}/");
    let in_folder = files.keys().filter_map(|path| path.strip_prefix(&prefix));
    let count = in_folder.filter(|file| note_stem(file) == Some(stem)).count();
    let mut number = count + 1;
    loop {
        let name = if number == 1 { format!("{prefix}{stem}.note") } else { format!("{prefix}{stem}-{number}.note") };
        if !files.contains_key(&name) {
            return name;
        }
        number += 1;
    }
}
