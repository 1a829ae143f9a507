//! Officers of the demonstration and what they sign.
//!
//! Their keys are made of texts that stand here for everybody to read, so their signatures prove nothing: the roster
//! marks them as demonstration, `run` refuses them even where a configuration pins their roster, and only `demo`
//! believes them. The shipped approvals are theirs, over the folder as it is shipped. A demonstration changes that
//! folder (its consent page issues receipts) and outlives the approvals' validity, so it has them sign again what is
//! not in force: the alternative, approvals that never end, would have needed another rule for them than for all.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::civil::date;
use ring::digest::{SHA256, digest};
use ring::signature::{Ed25519KeyPair, KeyPair};

use crate::approval::{
    Approvals, Choice, Decision, Demonstration, Flaw, KeyEntry, Officer, OfficerRole, Opinion, Place, PublicKey,
    Roster, SignerName, Standing, Subject, Trust, possession_text,
};
use crate::domain::Timestamp;
use crate::domain::time::{DAY_MS, HOUR_MS, SECOND_MS};
use crate::mapping::{self, MappingSet, Text2};
use crate::privacy::Closure;

pub const ORIGIN: &str = "slotbridge/demo";
/// Who draws up every shipped mapping.
pub const DRAFTER: &str = "demo-drafter";
/// Who sign: distinct roles, neither the author.
const SIGNERS: [&str; 2] = ["demo-lead", "demo-officer"];
const KEY: &str = "device";
/// A wider mapping takes effect 24 hours after it was signed.
const SIGNED_BEFORE_MS: i64 = 25 * HOUR_MS;
/// As long as the shipped policy allows.
const VALID_DAYS: i64 = 366;

#[derive(Debug, thiserror::Error)]
pub enum NotApproved {
    #[error("the mappings do not load: {what}")]
    Mappings { what: String },
    #[error(transparent)]
    Flaw(#[from] Flaw),
    #[error("{mapping} is not in force: {standing:?}")]
    NotInForce { mapping: String, standing: Box<Standing> },
}

/// Of everybody's knowledge.
fn pair(officer: &str) -> Ed25519KeyPair {
    let seed = digest(&SHA256, format!("slotbridge demonstration officer, no secret: {officer}\n").as_bytes());
    Ed25519KeyPair::from_seed_unchecked(seed.as_ref()).expect("a SHA-256 is a seed")
}

fn signer(officer: &str) -> SignerName {
    SignerName { officer: officer.to_owned(), key: KEY.to_owned() }
}

fn officer(id: &str, ko: &str, en: &str, role: OfficerRole) -> Officer {
    let pair = pair(id);
    let public: [u8; 32] = pair.public_key().as_ref().try_into().expect("an Ed25519 key has 32 bytes");
    let public = PublicKey::Ed25519(public);
    let proof = URL_SAFE_NO_PAD.encode(pair.sign(possession_text(&signer(id), &public).as_bytes()).as_ref());
    Officer {
        id: id.to_owned(),
        name: Text2 { ko: ko.to_owned(), en: en.to_owned() },
        role,
        from: date(2020, 1, 1),
        until: date(2099, 12, 31),
        retired: None,
        demonstration: true,
        keys: vec![KeyEntry { name: KEY.to_owned(), public, place: Place::Device, proof }],
    }
}

pub fn roster() -> Roster {
    Roster {
        format: 1,
        version: 1,
        previous: None,
        quorum: 2,
        officers: vec![
            officer(SIGNERS[0], "시연용 보호책임자", "Demonstration privacy lead", OfficerRole::PrivacyLead),
            officer(SIGNERS[1], "시연용 보호담당자", "Demonstration privacy officer", OfficerRole::PrivacyOfficer),
            officer("demo-auditor", "시연용 감사", "Demonstration auditor", OfficerRole::Auditor),
            officer(DRAFTER, "시연용 기안자", "Demonstration drafter", OfficerRole::Operator),
        ],
        delegations: Vec::new(),
    }
}

/// What `demo` believes.
pub fn trust() -> Trust {
    let genesis = Some(roster().digest());
    Trust { origin: ORIGIN.to_owned(), genesis, demonstration: Demonstration::Accepted }
}

/// Adds the roster and what is missing to the folder's approvals, so that every active mapping is in force at `now`.
///
/// # Errors
/// The folder does not load, or is not in force after all, for instance because a contract has ended.
pub fn renew(files: &mut BTreeMap<String, Vec<u8>>, now: Timestamp) -> Result<(), NotApproved> {
    // Notes state whole seconds.
    let at = Timestamp((now.0 - SIGNED_BEFORE_MS).div_euclid(SECOND_MS) * SECOND_MS);
    if sign(files, at, now).is_ok() {
        return Ok(());
    }
    // A clock before the shipped approvals, or approvals that were changed: from the beginning.
    files.retain(|path, _| path != "officers.toml" && !path.starts_with("approvals/"));
    sign(files, at, now)
}

/// Signs, as of `at`, what is not in force at `now`.
///
/// # Errors
/// As of `renew`.
pub fn sign(files: &mut BTreeMap<String, Vec<u8>>, at: Timestamp, now: Timestamp) -> Result<(), NotApproved> {
    let unloaded = |found: Vec<mapping::MappingError>| NotApproved::Mappings {
        what: found.first().map_or_else(String::new, |problem| problem.to_string()),
    };
    let set = mapping::load(files).map_err(unloaded)?.with_roster(Some(roster().digest()));
    let first = roster();
    let (path, toml) = Subject::Roster(&first).content();
    files.entry("officers.toml".to_owned()).or_insert_with(|| toml.clone());
    files.entry(path).or_insert(toml);
    let trust = trust();
    let mut approvals = Approvals::read(files, &trust);
    let replaces = closures(&set).any(|closure| replaces_a_policy(&approvals, &closure, now));
    if replaces && approvals.policy_standing(set.policy()).is_err() {
        add(files, &approvals, &Subject::Policy(set.policy()), at)?;
        approvals = Approvals::read(files, &trust);
    }
    for closure in closures(&set).filter(|closure| !in_force(&approvals.standing(closure, now))) {
        add(files, &approvals, &Subject::Mapping(&closure), at)?;
    }
    let approvals = Approvals::read(files, &trust);
    let standings = closures(&set).map(|closure| (closure.id().to_owned(), approvals.standing(&closure, now)));
    match { standings }.find(|(_, standing)| !in_force(standing)) {
        Some((mapping, standing)) => Err(NotApproved::NotInForce { mapping, standing: Box::new(standing) }),
        None => Ok(()),
    }
}

fn closures(set: &MappingSet) -> impl Iterator<Item = Closure> {
    set.feeds().filter_map(|(partner, kind, _)| Closure::of(set, partner, kind))
}

fn in_force(standing: &Standing) -> bool {
    matches!(standing, Standing::InForce { .. })
}

fn replaces_a_policy(approvals: &Approvals, closure: &Closure, now: Timestamp) -> bool {
    let before = approvals.in_force(closure.id(), now);
    before.is_some_and(|(before, _)| before.policy != closure.policy)
}

fn add(
    files: &mut BTreeMap<String, Vec<u8>>,
    approvals: &Approvals,
    subject: &Subject<'_>,
    at: Timestamp,
) -> Result<(), Flaw> {
    let choice = Choice {
        decision: subject.yes(),
        opinion: Opinion::Fit,
        reason: None,
        author: DRAFTER.to_owned(),
        review_no: "시연".to_owned(),
        document_no: None,
        validity: (subject.yes() == Decision::Approve).then(|| (at, at.plus_ms(VALID_DAYS * DAY_MS))),
        deputy: None,
    };
    let draft = approvals.draft(files, subject, &choice, at)?;
    let mut note = draft.text.clone();
    for officer in SIGNERS {
        let signature = pair(officer).sign(draft.text.as_bytes());
        note = approvals.add_signature(&note, subject, &signer(officer), signature.as_ref())?.to_string();
    }
    files.insert(draft.content.0, draft.content.1);
    files.insert(draft.note_path, note.into_bytes());
    Ok(())
}
