//! Officers of a test, with keys of their own on their own machines, who approve a folder for real.
#![allow(dead_code)] // each test uses its own part

use std::collections::BTreeMap;
use std::path::Path;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::{Ed25519KeyPair, KeyPair};
use slotbridge::approval::{
    Approvals, Choice, Decision, Demonstration, KeyEntry, Officer, OfficerRole, Opinion, Place, PublicKey, Roster,
    SignerName, Standing, Subject, Trust, possession_text,
};
use slotbridge::clock::{Clock, SystemClock};
use slotbridge::domain::Timestamp;
use slotbridge::mapping_files::read_folder;
use slotbridge::privacy::Closure;

pub const DAY_MS: i64 = 86_400_000;

pub type Sign = Box<dyn Fn(&str) -> Vec<u8> + Send + Sync>;

/// Two officers in distinct roles, and the deployment that they sign for.
pub struct Office {
    pub origin: String,
    pub roster: Roster,
    keys: Vec<(SignerName, Sign)>,
}

pub fn now() -> Timestamp {
    SystemClock.now()
}

fn name(officer: &str) -> SignerName {
    SignerName { officer: officer.to_owned(), key: "device".to_owned() }
}

fn generated(id: &str, role: OfficerRole) -> (Officer, Sign) {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).expect("random numbers");
    let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("a key");
    let public = PublicKey::Ed25519(pair.public_key().as_ref().try_into().expect("32 bytes"));
    let proof = URL_SAFE_NO_PAD.encode(pair.sign(possession_text(&name(id), &public).as_bytes()).as_ref());
    let officer = Officer {
        id: id.to_owned(),
        name: slotbridge::mapping::Text2 { ko: format!("담당 {id}"), en: id.to_owned() },
        role,
        from: "2020-01-01".parse().expect("a date"),
        until: "2099-12-31".parse().expect("a date"),
        retired: None,
        demonstration: false,
        keys: vec![KeyEntry { name: "device".to_owned(), public, place: Place::Device, proof }],
    };
    (officer, Box::new(move |text: &str| pair.sign(text.as_bytes()).as_ref().to_vec()))
}

impl Office {
    /// kim 보호책임자 and lee 보호담당자.
    pub fn new(origin: &str) -> Office {
        let (kim, kim_signs) = generated("kim", OfficerRole::PrivacyLead);
        let (lee, lee_signs) = generated("lee", OfficerRole::PrivacyOfficer);
        let officers = vec![kim, lee];
        let roster = Roster { format: 1, version: 1, previous: None, quorum: 2, officers, delegations: Vec::new() };
        Office::of(origin, roster, vec![("kim", kim_signs), ("lee", lee_signs)])
    }

    /// Over a roster that is there; keys by officer.
    pub fn of(origin: &str, roster: Roster, keys: Vec<(&str, Sign)>) -> Office {
        let keys = keys.into_iter().map(|(officer, sign)| (name(officer), sign)).collect();
        Office { origin: origin.to_owned(), roster, keys }
    }

    pub fn genesis(&self) -> String {
        self.roster.digest()
    }

    pub fn trust(&self) -> Trust {
        let genesis = Some(self.genesis());
        Trust { origin: self.origin.clone(), genesis, demonstration: Demonstration::Refused }
    }

    /// Names the officers in the folder, in the place of whoever was named there.
    pub fn found(&self, dir: &Path) {
        let _ = std::fs::remove_dir_all(dir.join("approvals"));
        let (path, bytes) = Subject::Roster(&self.roster).content();
        put(dir, &path, &bytes);
        put(dir, "officers.toml", &bytes);
    }

    /// Everything active in the folder that is not in force, signed by all officers at that instant.
    pub fn approve(&self, dir: &Path, signed_at: Timestamp) {
        let files = read_folder(dir).expect("a folder");
        let approvals = Approvals::read(&files, &self.trust());
        let set = slotbridge::mapping::load(&files).expect("mappings that load").with_roster(approvals.roster_head());
        for (partner, kind, _) in set.feeds() {
            let closure = Closure::of(&set, partner, kind).expect("a closure");
            if !matches!(approvals.standing(&closure, now()), Standing::InForce { .. }) {
                self.sign(dir, &files, &approvals, &Subject::Mapping(&closure), signed_at);
            }
        }
    }

    fn sign(
        &self,
        dir: &Path,
        files: &BTreeMap<String, Vec<u8>>,
        approvals: &Approvals,
        subject: &Subject<'_>,
        at: Timestamp,
    ) {
        let author = match subject {
            Subject::Mapping(closure) => closure.mapping.author.as_ref().map(|author| author.get_ref().clone()),
            _ => None,
        };
        let choice = Choice {
            decision: subject.yes(),
            opinion: Opinion::Fit,
            reason: None,
            author: author.unwrap_or_else(|| "drafter".to_owned()),
            review_no: "1".to_owned(),
            document_no: None,
            validity: (subject.yes() == Decision::Approve).then(|| (at, at.plus_ms(365 * DAY_MS))),
            deputy: None,
        };
        let draft = approvals.draft(files, subject, &choice, at).expect("a text to sign");
        let mut note = draft.text.clone();
        for (name, sign) in &self.keys {
            let signed = approvals.add_signature(&note, subject, name, &sign(&draft.text));
            note = signed.expect("a signature that counts").to_string();
        }
        put(dir, &draft.content.0, &draft.content.1);
        put(dir, &draft.note_path, note.as_bytes());
    }
}

/// Officers made for the folder approve all of it, two days ago: in force now. Their roster's digest, to pin.
pub fn approve_folder(dir: &Path, origin: &str) -> String {
    let office = Office::new(origin);
    office.found(dir);
    office.approve(dir, now().plus_ms(-2 * DAY_MS));
    office.genesis()
}

fn put(dir: &Path, path: &str, bytes: &[u8]) {
    let path = dir.join(path);
    std::fs::create_dir_all(path.parent().expect("a folder above")).expect("a folder");
    std::fs::write(path, bytes).expect("a file");
}
