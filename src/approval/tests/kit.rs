//! Officers with known keys, a folder of approvals in memory, and a comparison that these tests decide.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::civil::date;
use ring::signature::{Ed25519KeyPair, KeyPair};

use crate::approval::*;
use crate::domain::time::{DAY_MS, HOUR_MS};
use crate::domain::{PartnerId, Timestamp};
use crate::lint::{Change, Verdict};
use crate::mapping::testing::load_edited;
use crate::mapping::{FeedKind, Text2};
use crate::privacy::Closure;

pub const ORIGIN: &str = "booking.example.go.kr/slotbridge";
pub const HOUR: i64 = HOUR_MS;
pub const DAY: i64 = DAY_MS;

/// 2026-06-01 09:00 in Seoul.
pub fn start() -> Timestamp {
    Timestamp::parse_rfc3339("2026-06-01T09:00:00+09:00").unwrap()
}

pub fn key(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

pub fn public(seed: u8) -> PublicKey {
    PublicKey::Ed25519(key(seed).public_key().as_ref().try_into().unwrap())
}

pub fn encoded(seed: u8, text: &str) -> String {
    URL_SAFE_NO_PAD.encode(key(seed).sign(text.as_bytes()).as_ref())
}

/// An officer with a key on the own machine (`<id>/device`, this seed) and one in a browser (seed + 100).
pub fn officer(id: &str, role: OfficerRole, seed: u8) -> Officer {
    let entry = |name: &str, seed: u8, place: Place| {
        let signer = SignerName { officer: id.to_owned(), key: name.to_owned() };
        let proof = encoded(seed, &possession_text(&signer, &public(seed)));
        KeyEntry { name: name.to_owned(), public: public(seed), place, proof }
    };
    Officer {
        id: id.to_owned(),
        name: Text2 { ko: format!("담당 {id}"), en: id.to_owned() },
        role,
        from: date(2026, 1, 1),
        until: date(2029, 12, 31),
        retired: None,
        demonstration: false,
        keys: vec![entry("device", seed, Place::Device), entry("browser", seed + 100, Place::Browser)],
    }
}

pub fn seed(signer: &str) -> u8 {
    let (officer, place) = signer.split_once('/').unwrap();
    let seed = match officer {
        "kim" => 1,
        "lee" => 2,
        "park" => 3,
        "choi" => 4,
        "jung" => 5,
        "kang" => 6,
        other => panic!("no officer {other}"),
    };
    if place == "browser" { seed + 100 } else { seed }
}

/// kim 보호책임자, lee 보호담당자, park 운영자, choi 감사, jung a second 보호책임자, kang who draws up.
pub fn genesis() -> Roster {
    let officers = [
        ("kim", OfficerRole::PrivacyLead),
        ("lee", OfficerRole::PrivacyOfficer),
        ("park", OfficerRole::Operator),
        ("choi", OfficerRole::Auditor),
        ("jung", OfficerRole::PrivacyLead),
        ("kang", OfficerRole::PrivacyOfficer),
    ];
    Roster {
        format: 1,
        version: 1,
        previous: None,
        quorum: 2,
        officers: officers.map(|(id, role)| officer(id, role, seed(&format!("{id}/device")))).into(),
        delegations: Vec::new(),
    }
}

/// Same where only the roster differs, narrower with fewer fields, wider otherwise.
pub fn compare(before: Option<&Closure>, after: &Closure) -> Change {
    let plain = |closure: &Closure| Closure { roster: None, ..closure.clone() };
    let verdict = match before {
        Some(before) if plain(before).digest() == plain(after).digest() => Verdict::Same,
        Some(before) if before.mapping.fields.len() > after.mapping.fields.len() => Verdict::Narrower,
        _ => Verdict::Wider,
    };
    Change { verdict, rows: Vec::new() }
}

/// `naver.slots` as shipped, drawn up by kang, with the edits.
pub fn version(roster: &str, edits: &[(&str, &str, &str)]) -> Closure {
    let author = [("naver/slots.toml", "author = \"demo-drafter\"", "author = \"kang\"")];
    let edits: Vec<_> = author.iter().chain(edits).copied().collect();
    let set = load_edited(&edits).unwrap().with_roster(Some(roster.to_owned()));
    Closure::of(&set, &PartnerId::new("naver").unwrap(), FeedKind::Slots).unwrap()
}

const DOSE: &str = "[[field]]\nname = \"dose\"\nsource = \"DOSE_NO\"\ntransform = { op = \"keep\" }\nwhy = { ko = \"접종 차수 확인\", en = \"Which dose\" }\n";
const NO_DOSE: &str =
    "[[withheld]]\ncolumns = [\"DOSE_NO\"]\nreason = { ko = \"필요 없음\", en = \"Not needed here\" }\n";
/// One field less.
pub const NARROWER: (&str, &str, &str) = ("naver/slots.toml", DOSE, NO_DOSE);
pub const OTHER: (&str, &str, &str) = ("naver/slots.toml", "cutoff_min = 30", "cutoff_min = 20");
pub const OTHER_POLICY: (&str, &str, &str) = ("policy.toml", "age_s_max = 600", "age_s_max = 900");

pub struct Desk {
    pub files: BTreeMap<String, Vec<u8>>,
    pub trust: Trust,
    pub recorded: BTreeMap<String, Head>,
}

impl Desk {
    pub fn new() -> Desk {
        Desk::with(&genesis())
    }

    pub fn with(roster: &Roster) -> Desk {
        let toml = roster.to_toml().into_bytes();
        let digest = roster.digest();
        let files = BTreeMap::from([
            ("officers.toml".to_owned(), toml.clone()),
            (format!("approvals/officers/{}.toml", &digest[..12]), toml),
        ]);
        let trust = Trust { origin: ORIGIN.to_owned(), genesis: Some(digest), demonstration: Demonstration::Refused };
        Desk { files, trust, recorded: BTreeMap::new() }
    }

    pub fn read(&self) -> Approvals {
        Approvals::read_with(&self.files, &self.trust, &self.recorded, compare)
    }

    pub fn head(&self) -> String {
        self.read().roster_head().unwrap()
    }

    pub fn version(&self, edits: &[(&str, &str, &str)]) -> Closure {
        version(&self.head(), edits)
    }

    pub fn standing(&self, closure: &Closure, at: Timestamp) -> Standing {
        self.read().standing(closure, at)
    }

    /// Drafts, has it signed by all of them on one text, and puts it into the folder whatever it is worth. The note's
    /// path.
    pub fn sign(&mut self, subject: &Subject<'_>, choice: &Choice, at: Timestamp, signers: &[&str]) -> String {
        let draft = self.read().draft(&self.files, subject, choice, at).unwrap();
        self.put(&draft, signers)
    }

    pub fn put(&mut self, draft: &Draft, signers: &[&str]) -> String {
        let lines = signers.iter().map(|signer| line(signer, &draft.text)).collect();
        let note = Note { text: draft.text.clone(), signatures: lines };
        self.files.insert(draft.content.0.clone(), draft.content.1.clone());
        self.files.insert(draft.note_path.clone(), note.to_string().into_bytes());
        draft.note_path.clone()
    }

    pub fn approve(&mut self, closure: &Closure, at: Timestamp, signers: &[&str]) -> String {
        self.sign(&Subject::Mapping(closure), &approval(at), at, signers)
    }

    /// kim and lee on their own machines, an hour apart; in force a day after.
    pub fn approved(&mut self, closure: &Closure, at: Timestamp) {
        self.approve(closure, at, &["kim/device"]);
        self.approve(closure, at.plus_ms(HOUR), &["lee/device"]);
    }
}

pub fn line(signer: &str, text: &str) -> NoteSignature {
    let seed = seed(signer);
    NoteSignature {
        name: signer.to_owned(),
        key_id: public(seed).id(signer),
        signature: key(seed).sign(text.as_bytes()).as_ref().to_vec(),
    }
}

/// 승인, 적합, for a year.
pub fn approval(at: Timestamp) -> Choice {
    Choice {
        decision: Decision::Approve,
        opinion: Opinion::Fit,
        reason: None,
        author: "kang".to_owned(),
        review_no: "검토-2026-001".to_owned(),
        document_no: Some("개인정보보호과-1234".to_owned()),
        validity: Some((at, at.plus_ms(365 * DAY))),
        deputy: None,
    }
}

pub fn refusal(decision: Decision) -> Choice {
    let opinion = Opinion::Unfit;
    Choice { decision, opinion, reason: Some("근거가 부족함".to_owned()), validity: None, ..approval(start()) }
}

/// Yes to a roster or a policy.
pub fn yes(decision: Decision) -> Choice {
    Choice { decision, validity: None, ..approval(start()) }
}

pub fn in_force(standing: &Standing) -> bool {
    matches!(standing, Standing::InForce { .. })
}

#[track_caller]
pub fn waits(standing: &Standing, have: u32, need: u32, says: &str) {
    let Standing::Waiting { have: is, need: of, why } = standing else { panic!("{standing:?}") };
    assert_eq!((*is, *of), (have, need), "{why}");
    assert!(why.contains(says), "{why} does not say {says}");
}
