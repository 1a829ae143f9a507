//! Person tokens: pairwise pseudonyms by deterministic authenticated encryption (AES-256-SIV, RFC 5297).
//!
//! A token is `pp1.<partner>.<purpose>.<epoch>.<base64url>` (`ppt1.` in the test environment) over
//! `kind byte ‖ 7-byte number` under a key of its own per partner, purpose and epoch, with associated data
//! {algorithm, partner, purpose, epoch}. Two partners' tokens of one person have nothing in common.

use std::collections::BTreeMap;

use aes_siv::{KeyInit, siv::Aes256Siv};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::hmac;

use crate::domain::{PartnerId, PersonNo, PersonRef, Secret};
use crate::privacy::{NotAssigned, Seal};

use super::folder::{KeyError, KeyFolder};

const ALGORITHM: &str = "AES-256-SIV";
const KEY_BYTES: usize = 64;
/// 16 bytes of synthetic IV and 8 of content, as base64url.
const SEALED_CHARS: usize = 32;
/// Longer than any token: 5 + 32 + 32 + 10 + 32 characters and 4 dots.
const TOKEN_CHARS_MAX: usize = 120;
const KIND_KNOWN: u8 = 0;
const KIND_NOBODY: u8 = 1;
const NUMBER_MAX: u64 = (1 << 56) - 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    Live,
    Test,
}

impl Environment {
    fn prefix(self) -> &'static str {
        match self {
            Environment::Live => "pp1",
            Environment::Test => "ppt1",
        }
    }
}

/// Epochs whose tokens are accepted. Tokens are made in `current`; `previous` is set while they overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epochs {
    /// By convention year and month of its begin, `2611`.
    pub current: u32,
    pub previous: Option<u32>,
}

/// What a token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    Known(PersonNo),
    /// Well-formed, of no person in the register.
    Nobody(u64),
    /// Names an epoch that is over; the partner must ask for a new token.
    Expired,
    /// Forged, another partner's, another purpose's, another environment's or not a token: one answer.
    Unknown,
}

impl Opened {
    pub fn person(self) -> Option<PersonRef> {
        match self {
            Opened::Known(no) => Some(PersonRef::Known(no)),
            Opened::Nobody(number) => Some(PersonRef::Nobody(number)),
            Opened::Expired | Opened::Unknown => None,
        }
    }
}

struct EpochKey {
    siv: Secret,
    /// Derived from the epoch's key; numbers the CIs that are in no register.
    nobody: hmac::Key,
}

/// Seals and opens the tokens of every partner for one purpose.
pub struct PersonTokens {
    environment: Environment,
    purpose: String,
    epochs: Epochs,
    keys: BTreeMap<(PartnerId, u32), EpochKey>,
}

impl PersonTokens {
    /// Reads the keys of the epochs. The current epoch's are made where missing; a missing previous one is not accepted.
    pub fn open(
        folder: &KeyFolder,
        environment: Environment,
        purpose: &str,
        epochs: Epochs,
        partners: &[PartnerId],
    ) -> Result<PersonTokens, KeyError> {
        let mut keys = BTreeMap::new();
        for partner in partners {
            let name = |epoch: u32| format!("person.{partner}.{purpose}.{epoch}.key");
            let current = folder.key_or_new(&name(epochs.current), KEY_BYTES)?;
            keys.insert((partner.clone(), epochs.current), EpochKey::new(current));
            if let Some(previous) = epochs.previous.filter(|previous| *previous != epochs.current) {
                let found = folder.key(&name(previous), KEY_BYTES)?;
                keys.extend(found.map(|key| ((partner.clone(), previous), EpochKey::new(key))));
            }
        }
        Ok(PersonTokens { environment, purpose: purpose.to_owned(), epochs, keys })
    }

    pub fn epochs(&self) -> Epochs {
        self.epochs
    }

    /// What is left of these keys where only those epochs are accepted. Tokens go on being made in the same epoch.
    pub fn without_all_but(&self, accepted: Epochs) -> PersonTokens {
        let epochs = Epochs { current: self.epochs.current, previous: accepted.previous };
        let is_left = |epoch: u32| epoch == epochs.current || Some(epoch) == epochs.previous;
        let left = self.keys.iter().filter(|((_, epoch), _)| is_left(*epoch));
        let keys = left.map(|(of, key)| (of.clone(), EpochKey::new(Secret::new(key.siv.expose().to_vec())))).collect();
        PersonTokens { environment: self.environment, purpose: self.purpose.clone(), epochs, keys }
    }

    /// The number of a CI that is in no register: stable to the end of the epoch, with nothing stored.
    /// `None`: the partner has no key.
    pub fn nobody(&self, partner: &PartnerId, ci: &[u8]) -> Option<PersonRef> {
        self.nobody_in(self.epochs.current, partner, ci)
    }

    /// The number of the same CI in the epoch that overlaps, with that epoch.
    pub fn nobody_before(&self, partner: &PartnerId, ci: &[u8]) -> Option<(u32, PersonRef)> {
        let epoch = self.epochs.previous?;
        Some((epoch, self.nobody_in(epoch, partner, ci)?))
    }

    fn nobody_in(&self, epoch: u32, partner: &PartnerId, ci: &[u8]) -> Option<PersonRef> {
        let key = self.keys.get(&(partner.clone(), epoch))?;
        let tag = hmac::sign(&key.nobody, ci);
        Some(PersonRef::Nobody(number_of(&tag.as_ref()[..7])))
    }

    /// The token of a person for this partner in the current epoch.
    pub fn token(&self, partner: &PartnerId, person: PersonRef) -> Option<String> {
        let epoch = self.epochs.current;
        let key = self.keys.get(&(partner.clone(), epoch))?;
        let (kind, number) = match person {
            PersonRef::Known(no) => (KIND_KNOWN, u64::from(no.0)),
            PersonRef::Nobody(number) => (KIND_NOBODY, number & NUMBER_MAX),
        };
        let mut content = number.to_be_bytes();
        content[0] = kind;
        let epoch_text = epoch.to_string();
        let sealed = cipher(&key.siv)
            .encrypt(associated(partner.as_str(), &self.purpose, &epoch_text), &content)
            .expect("four components and eight bytes are within the cipher's bounds");
        let prefix = self.environment.prefix();
        Some(format!("{prefix}.{partner}.{}.{epoch_text}.{}", self.purpose, URL_SAFE_NO_PAD.encode(sealed)))
    }

    /// Opens a token that `caller` presents. Never says why a token is unknown.
    pub fn opened(&self, caller: &PartnerId, token: &str) -> Opened {
        let Some((partner, epoch_text, sealed)) = self.parts(token) else { return Opened::Unknown };
        if partner != caller.as_str() {
            return Opened::Unknown;
        }
        let Ok(epoch) = epoch_text.parse::<u32>() else { return Opened::Unknown };
        let Some(key) = self.keys.get(&(caller.clone(), epoch)) else {
            let is_over = self.keys.contains_key(&(caller.clone(), self.epochs.current)) && epoch < self.epochs.current;
            return if is_over { Opened::Expired } else { Opened::Unknown };
        };
        let Ok(sealed) = URL_SAFE_NO_PAD.decode(sealed) else { return Opened::Unknown };
        let opened = cipher(&key.siv).decrypt(associated(partner, &self.purpose, epoch_text), &sealed);
        match opened.as_deref() {
            Ok([KIND_KNOWN, number @ ..]) if number.len() == 7 => {
                u32::try_from(number_of(number)).map_or(Opened::Unknown, |no| Opened::Known(PersonNo(no)))
            }
            Ok([KIND_NOBODY, number @ ..]) if number.len() == 7 => Opened::Nobody(number_of(number)),
            _ => Opened::Unknown,
        }
    }

    /// Partner, epoch and sealed part of a text that is spelled like one of our tokens.
    fn parts<'t>(&self, token: &'t str) -> Option<(&'t str, &'t str, &'t str)> {
        if token.len() > TOKEN_CHARS_MAX {
            return None;
        }
        let mut parts = token.split('.');
        let (prefix, partner, purpose) = (parts.next()?, parts.next()?, parts.next()?);
        let (epoch, sealed) = (parts.next()?, parts.next()?);
        let is_plain = !epoch.is_empty() && epoch.bytes().all(|b| b.is_ascii_digit()) && !epoch.starts_with('0');
        let is_ours = prefix == self.environment.prefix() && purpose == self.purpose && parts.next().is_none();
        (is_ours && is_plain && sealed.len() == SEALED_CHARS).then_some((partner, epoch, sealed))
    }
}

impl Seal for PersonTokens {
    fn seal(&self, partner: &PartnerId, purpose: &str, person: PersonRef) -> Result<String, NotAssigned> {
        if purpose != self.purpose {
            return Err(NotAssigned);
        }
        self.token(partner, person).ok_or(NotAssigned)
    }
}

impl EpochKey {
    fn new(siv: Secret) -> EpochKey {
        let root = hmac::Key::new(hmac::HMAC_SHA256, siv.expose());
        let derived = hmac::sign(&root, b"slotbridge synthetic person number v1");
        EpochKey { nobody: hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()), siv }
    }
}

fn cipher(key: &Secret) -> Aes256Siv {
    Aes256Siv::new_from_slice(key.expose()).expect("epoch keys are read as 64 bytes")
}

fn associated<'a>(partner: &'a str, purpose: &'a str, epoch: &'a str) -> [&'a [u8]; 4] {
    [ALGORITHM.as_bytes(), partner.as_bytes(), purpose.as_bytes(), epoch.as_bytes()]
}

fn number_of(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn partner(id: &str) -> PartnerId {
        PartnerId::new(id).unwrap()
    }

    fn tokens(folder: &KeyFolder, current: u32, previous: Option<u32>) -> PersonTokens {
        let partners = [partner("naver"), partner("kakao")];
        let epochs = Epochs { current, previous };
        PersonTokens::open(folder, Environment::Test, "booking", epochs, &partners).unwrap()
    }

    fn fresh() -> (tempfile::TempDir, KeyFolder, PersonTokens) {
        let dir = tempfile::tempdir().unwrap();
        let folder = KeyFolder::open(&dir.path().join("keys")).unwrap();
        let tokens = tokens(&folder, 2611, None);
        (dir, folder, tokens)
    }

    fn unhex(hex: &str) -> Vec<u8> {
        (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect()
    }

    #[test]
    fn the_cipher_gives_the_published_vectors() {
        // RFC 5297 A.1 (AES-128-SIV), and its extension to 64-byte keys that implementations exchange.
        let ad = unhex("101112131415161718191a1b1c1d1e1f2021222324252627");
        let plain = unhex("112233445566778899aabbccddee");
        let key = unhex("fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");
        let sealed = aes_siv::siv::Aes128Siv::new_from_slice(&key).unwrap().encrypt([&ad], &plain).unwrap();
        assert_eq!(sealed, unhex("85632d07c6e8f37f950acd320a2ecc9340c02b9690c4dc04daef7f6afe5c"));
        let key = Secret::new(unhex(concat!(
            "fffefdfcfbfaf9f8f7f6f5f4f3f2f1f06f6e6d6c6b6a69686766656463626160",
            "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff000102030405060708090a0b0c0d0e0f"
        )));
        let sealed = cipher(&key).encrypt([&ad], &plain).unwrap();
        assert_eq!(sealed, unhex("f125274c598065cfc26b0e71575029088b035217e380cac8919ee800c126"));
    }

    #[test]
    fn a_token_names_its_person_to_its_partner_only() {
        let (_dir, folder, tokens) = fresh();
        let (naver, kakao) = (partner("naver"), partner("kakao"));
        let person = PersonRef::Known(PersonNo(u32::MAX));
        let token = tokens.token(&naver, person).unwrap();
        assert!(token.starts_with("ppt1.naver.booking.2611."), "{token}");
        assert_eq!(tokens.opened(&naver, &token), Opened::Known(PersonNo(u32::MAX)));
        assert_eq!(tokens.opened(&kakao, &token), Opened::Unknown);
        let renamed = token.replacen("naver", "kakao", 1);
        assert_eq!(tokens.opened(&kakao, &renamed), Opened::Unknown);
        let others = tokens.token(&kakao, person).unwrap();
        assert_ne!(token.rsplit('.').next(), others.rsplit('.').next());
        assert_eq!(tokens.token(&naver, person).as_ref(), Some(&token), "sealing is deterministic");
        let live = token.replacen("ppt1", "pp1", 1);
        assert_eq!(tokens.opened(&naver, &live), Opened::Unknown);
        assert_eq!(tokens.seal(&naver, "statistics", person), Err(NotAssigned));
        let reopened = super::tests::tokens(&folder, 2611, None);
        assert_eq!(reopened.token(&naver, person).as_ref(), Some(&token));
    }

    #[test]
    fn unknown_cis_get_stable_tokens_that_name_nobody() {
        let (_dir, folder, tokens) = fresh();
        let naver = partner("naver");
        let nobody = tokens.nobody(&naver, b"ci-1").unwrap();
        assert_eq!(tokens.nobody(&naver, b"ci-1"), Some(nobody));
        assert_ne!(tokens.nobody(&naver, b"ci-2"), Some(nobody));
        assert_ne!(tokens.nobody(&partner("kakao"), b"ci-1"), Some(nobody));
        assert_eq!(tokens.nobody(&partner("line"), b"ci-1"), None);
        let token = tokens.token(&naver, nobody).unwrap();
        let known = tokens.token(&naver, PersonRef::Known(PersonNo(1))).unwrap();
        assert_eq!(token.len(), known.len(), "nobody can tell them apart by their length");
        assert_eq!(tokens.opened(&naver, &token).person(), Some(nobody));
        assert_ne!(super::tests::tokens(&folder, 2612, None).nobody(&naver, b"ci-1"), Some(nobody));
    }

    #[test]
    fn two_epochs_overlap_and_then_the_older_expires() {
        let (_dir, folder, first) = fresh();
        let naver = partner("naver");
        let old = first.token(&naver, PersonRef::Known(PersonNo(7))).unwrap();
        let both = tokens(&folder, 2612, Some(2611));
        let new = both.token(&naver, PersonRef::Known(PersonNo(7))).unwrap();
        assert_ne!(old, new);
        assert_eq!(both.opened(&naver, &old), Opened::Known(PersonNo(7)));
        assert_eq!(both.opened(&naver, &new), Opened::Known(PersonNo(7)));
        let after = tokens(&folder, 2612, None);
        assert_eq!(after.opened(&naver, &old), Opened::Expired);
        assert_eq!(first.opened(&naver, &new), Opened::Unknown, "an epoch to come is not ours yet");
        folder.destroy("person.naver.booking.2611.key").unwrap();
        assert_eq!(tokens(&folder, 2612, Some(2611)).opened(&naver, &old), Opened::Expired);
    }

    #[test]
    fn every_single_changed_character_makes_a_token_unknown() {
        let (_dir, _folder, tokens) = fresh();
        let naver = partner("naver");
        let token = tokens.token(&naver, PersonRef::Known(PersonNo(123_456))).unwrap();
        let sealed_at = token.rfind('.').unwrap() + 1;
        for at in sealed_at..token.len() {
            let mut forged = token.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).unwrap();
            assert_eq!(tokens.opened(&naver, &forged), Opened::Unknown, "{at}");
        }
        for spelled in [format!("{token}A"), format!("{token}."), token.replacen("2611", "02611", 1), String::new()] {
            assert_eq!(tokens.opened(&naver, &spelled), Opened::Unknown, "{spelled}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_person_and_nobody_reads_back(no in any::<u32>(), number in 0..=NUMBER_MAX, text in ".{0,60}") {
            let key = EpochKey::new(Secret::new(vec![7; KEY_BYTES]));
            let naver = partner("naver");
            let tokens = PersonTokens {
                environment: Environment::Live,
                purpose: "booking".to_owned(),
                epochs: Epochs { current: 2611, previous: None },
                keys: BTreeMap::from([((naver.clone(), 2611), key)]),
            };
            for person in [PersonRef::Known(PersonNo(no)), PersonRef::Nobody(number)] {
                let token = tokens.token(&naver, person).unwrap();
                prop_assert_eq!(tokens.opened(&naver, &token).person(), Some(person));
            }
            prop_assert_eq!(tokens.opened(&naver, &text), Opened::Unknown);
        }
    }
}
