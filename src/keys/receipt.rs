//! Consent receipts: who consented to what, signed, bound to one CI without holding it.
//!
//! Text form `<base64url payload>.<base64url signature>`; the payload is JSON, the signature is Ed25519 over
//! `slotbridge-receipt-v1.` and the payload's text. The commitment is SHA-256(salt ‖ CI).
//! A guardian who consents for a child is committed to beside the child, under the same salt.
//! That a receipt is used once is the desk's to see to, by a MAC over who signed it and its id: the same id signed
//! anew is the same receipt.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::digest::{SHA256, digest};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use crate::domain::{PartnerId, Secret, SeriesId, Timestamp};

use super::is_same;

const DOMAIN: &str = "slotbridge-receipt-v1.";
/// A receipt is some 600 characters.
const TEXT_CHARS_MAX: usize = 2_048;
/// An issuer's clock may be this far ahead of ours.
const AHEAD_MS_MAX: i64 = 60_000;
const SALT_BYTES: usize = 16;

/// Ed25519 public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptKey([u8; 32]);

impl std::fmt::Display for ReceiptKey {
    /// As policy and partners' entries write it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

/// Reads a public key as policy and partners' entries write it: base64url without padding.
pub fn parse_receipt_key(text: &str) -> Option<ReceiptKey> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    Some(ReceiptKey(bytes.try_into().ok()?))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignedBy {
    /// One that the partner does not control.
    Issuer,
    /// The partner itself, stating the digest of the consent text.
    Partner,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    signed_by: SignedBy,
    issuer: String,
    id: String,
    partner: PartnerId,
    purpose: String,
    series: SeriesId,
    salt: String,
    commitment: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    consent_sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    guardian_commitment: Option<String>,
    issued_at: String,
}

/// A receipt whose signature, binding and age hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    pub signed_by: SignedBy,
    pub issuer: String,
    pub id: String,
    pub series: SeriesId,
    /// Text form, as it stood there. Without the salt, which stays with whoever holds the receipt, it fits every CI.
    pub commitment: String,
    pub issued_at: Timestamp,
}

impl Receipt {
    /// What makes it one: whatever else a second text says, it is the same receipt.
    pub fn single(&self) -> String {
        let by = match self.signed_by {
            SignedBy::Issuer => "issuer",
            SignedBy::Partner => "partner",
        };
        format!("{by} {} {}", self.issuer, self.id)
    }
}

/// Why a receipt does not serve. Codes may be told to the partner; they say nothing about the register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ReceiptError {
    #[error("not a consent receipt")]
    Malformed,
    #[error("signed by nobody whose receipts this partner may use")]
    Issuer,
    #[error("the signature does not fit")]
    Signature,
    #[error("older than receipts may be")]
    Expired,
    #[error("issued in the future")]
    Future,
    #[error("made for another partner, purpose or person")]
    Binding,
    #[error("the consent text is not the one that was approved")]
    Consent,
}

impl ReceiptError {
    pub fn code(self) -> &'static str {
        match self {
            ReceiptError::Malformed => "receipt_malformed",
            ReceiptError::Issuer => "receipt_issuer",
            ReceiptError::Signature => "receipt_signature",
            ReceiptError::Expired => "receipt_expired",
            ReceiptError::Future => "receipt_future",
            ReceiptError::Binding => "receipt_binding",
            ReceiptError::Consent => "receipt_consent",
        }
    }
}

/// Whose receipts are believed, and for how long.
pub struct ReceiptRules {
    age_ms_max: i64,
    issuers: BTreeMap<String, ReceiptKey>,
    partners: BTreeMap<PartnerId, ReceiptKey>,
    /// Hex SHA-256 of the texts approved for a partner. Where there are any, a receipt must state one of them.
    consents: BTreeMap<PartnerId, BTreeSet<String>>,
    compare: hmac::Key,
}

/// What a receipt must have been made for.
#[derive(Clone, Copy)]
pub struct Expected<'a> {
    pub partner: &'a PartnerId,
    pub purpose: &'a str,
    pub ci: &'a [u8],
    /// Of the guardian who acts for a child.
    pub guardian: Option<&'a [u8]>,
    pub now: Timestamp,
}

impl ReceiptRules {
    /// `issuers` of the policy; `partners` only those that may sign for themselves. `compare` is any random key.
    pub fn new(
        age_ms_max: i64,
        issuers: BTreeMap<String, ReceiptKey>,
        partners: BTreeMap<PartnerId, ReceiptKey>,
        compare: &Secret,
    ) -> ReceiptRules {
        let compare = hmac::Key::new(hmac::HMAC_SHA256, compare.expose());
        ReceiptRules { age_ms_max, issuers, partners, consents: BTreeMap::new(), compare }
    }

    /// The texts that were approved, by partner.
    pub fn with_consents(self, consents: BTreeMap<PartnerId, BTreeSet<String>>) -> ReceiptRules {
        ReceiptRules { consents, ..self }
    }

    /// Checks signature, binding and age, in this order: nothing of an unsigned payload is acted upon.
    pub fn verify(&self, text: &str, expected: Expected<'_>) -> Result<Receipt, ReceiptError> {
        if text.len() > TEXT_CHARS_MAX {
            return Err(ReceiptError::Malformed);
        }
        let (payload_text, signature) = text.split_once('.').ok_or(ReceiptError::Malformed)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| ReceiptError::Malformed)?;
        let payload = URL_SAFE_NO_PAD.decode(payload_text).map_err(|_| ReceiptError::Malformed)?;
        let payload: Payload = serde_json::from_slice(&payload).map_err(|_| ReceiptError::Malformed)?;
        let key = match payload.signed_by {
            SignedBy::Issuer => self.issuers.get(&payload.issuer),
            SignedBy::Partner if payload.issuer == expected.partner.as_str() => self.partners.get(expected.partner),
            SignedBy::Partner => None,
        };
        let key = key.ok_or(ReceiptError::Issuer)?;
        UnparsedPublicKey::new(&ED25519, &key.0)
            .verify(format!("{DOMAIN}{payload_text}").as_bytes(), &signature)
            .map_err(|_| ReceiptError::Signature)?;
        self.check(payload, expected)
    }

    fn check(&self, payload: Payload, expected: Expected<'_>) -> Result<Receipt, ReceiptError> {
        let salt = URL_SAFE_NO_PAD.decode(&payload.salt).map_err(|_| ReceiptError::Malformed)?;
        let commitment = URL_SAFE_NO_PAD.decode(&payload.commitment).map_err(|_| ReceiptError::Malformed)?;
        let issued_at = Timestamp::parse_rfc3339(&payload.issued_at).map_err(|_| ReceiptError::Malformed)?;
        let id_fits = (16..=64).contains(&payload.id.len())
            && payload.id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        let consent_fits = match (payload.signed_by, &payload.consent_sha256) {
            (SignedBy::Partner, None) => false,
            (_, Some(hex)) => hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()),
            (SignedBy::Issuer, None) => true,
        };
        if salt.len() < SALT_BYTES || !id_fits || !consent_fits {
            return Err(ReceiptError::Malformed);
        }
        let is_of_this_ci = is_same(&self.compare, &commitment, &commitment_of(&salt, expected.ci));
        let is_of_this_guardian = match (&payload.guardian_commitment, expected.guardian) {
            (None, None) => true,
            (Some(text), Some(guardian)) => {
                let commitment = URL_SAFE_NO_PAD.decode(text).map_err(|_| ReceiptError::Malformed)?;
                is_same(&self.compare, &commitment, &guardian_commitment_of(&salt, guardian))
            }
            _ => false,
        };
        let is_of_this_call = payload.partner == *expected.partner && payload.purpose == expected.purpose;
        if !is_of_this_call || !is_of_this_ci || !is_of_this_guardian {
            return Err(ReceiptError::Binding);
        }
        self.check_consent(&payload, expected.partner)?;
        let age_ms = expected.now.since_ms(issued_at);
        if age_ms > self.age_ms_max {
            return Err(ReceiptError::Expired);
        }
        if age_ms < -AHEAD_MS_MAX {
            return Err(ReceiptError::Future);
        }
        let Payload { signed_by, issuer, id, series, commitment, .. } = payload;
        Ok(Receipt { signed_by, issuer, id, series, commitment, issued_at })
    }

    /// What a partner signs must name the approved text; an issuer need not, but must not name another one.
    fn check_consent(&self, payload: &Payload, partner: &PartnerId) -> Result<(), ReceiptError> {
        let Some(approved) = self.consents.get(partner).filter(|texts| !texts.is_empty()) else { return Ok(()) };
        match &payload.consent_sha256 {
            Some(stated) if !approved.contains(&stated.to_ascii_lowercase()) => Err(ReceiptError::Consent),
            _ => Ok(()),
        }
    }
}

fn guardian_commitment_of(salt: &[u8], ci: &[u8]) -> Vec<u8> {
    let mut bytes = zeroize::Zeroizing::new(b"guardian ".to_vec());
    bytes.extend_from_slice(ci);
    commitment_of(salt, &bytes)
}

fn commitment_of(salt: &[u8], ci: &[u8]) -> Vec<u8> {
    let mut bytes = zeroize::Zeroizing::new(Vec::with_capacity(salt.len() + ci.len()));
    bytes.extend_from_slice(salt);
    bytes.extend_from_slice(ci);
    digest(&SHA256, &bytes).as_ref().to_vec()
}

/// What a receipt is to say.
#[derive(Clone, Copy)]
pub struct ReceiptRequest<'a> {
    pub partner: &'a PartnerId,
    pub purpose: &'a str,
    pub series: &'a SeriesId,
    pub ci: &'a [u8],
    pub issued_at: Timestamp,
    /// Hex SHA-256 of the consent text; needed where the partner signs.
    pub consent_sha256: Option<&'a str>,
}

/// Signs receipts for demonstrations and tests, as an agency's consent page or a partner would.
pub struct DemoIssuer {
    id: String,
    signed_by: SignedBy,
    pair: Ed25519KeyPair,
}

impl DemoIssuer {
    /// `id` names the issuer; with `SignedBy::Partner` it is the partner's id. The seed is the private key.
    pub fn new(id: &str, signed_by: SignedBy, seed: &[u8; 32]) -> DemoIssuer {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).expect("every 32 bytes are a seed");
        DemoIssuer { id: id.to_owned(), signed_by, pair }
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn public_key(&self) -> ReceiptKey {
        let mut key = [0; 32];
        key.copy_from_slice(self.pair.public_key().as_ref());
        ReceiptKey(key)
    }

    /// A receipt with a random id and salt. `None` if the system gives no random numbers.
    pub fn receipt(&self, request: ReceiptRequest<'_>) -> Option<String> {
        self.signed(request, None)
    }

    /// The same, consented to by the guardian of the child that `request` names.
    pub fn receipt_by_guardian(&self, request: ReceiptRequest<'_>, guardian: &[u8]) -> Option<String> {
        self.signed(request, Some(guardian))
    }

    fn signed(&self, request: ReceiptRequest<'_>, guardian: Option<&[u8]>) -> Option<String> {
        let mut random = [0u8; 16 + SALT_BYTES];
        SystemRandom::new().fill(&mut random).ok()?;
        let (id, salt) = random.split_at(16);
        let payload = Payload {
            signed_by: self.signed_by,
            issuer: self.id.clone(),
            id: URL_SAFE_NO_PAD.encode(id),
            partner: request.partner.clone(),
            purpose: request.purpose.to_owned(),
            series: request.series.clone(),
            salt: URL_SAFE_NO_PAD.encode(salt),
            commitment: URL_SAFE_NO_PAD.encode(commitment_of(salt, request.ci)),
            consent_sha256: request.consent_sha256.map(str::to_owned),
            guardian_commitment: guardian.map(|ci| URL_SAFE_NO_PAD.encode(guardian_commitment_of(salt, ci))),
            issued_at: request.issued_at.rfc3339(),
        };
        let payload = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&payload).ok()?);
        let signature = self.pair.sign(format!("{DOMAIN}{payload}").as_bytes());
        Some(format!("{payload}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp(1_795_345_200_000);
    const CI: &[u8] = b"a-ci";

    fn partner(id: &str) -> PartnerId {
        PartnerId::new(id).unwrap()
    }

    fn agency() -> DemoIssuer {
        DemoIssuer::new("agency-consent", SignedBy::Issuer, &[1; 32])
    }

    fn own() -> DemoIssuer {
        DemoIssuer::new("kakao", SignedBy::Partner, &[2; 32])
    }

    fn rules() -> ReceiptRules {
        let issuers = BTreeMap::from([(agency().id().to_owned(), agency().public_key())]);
        let partners = BTreeMap::from([(partner("kakao"), own().public_key())]);
        ReceiptRules::new(600_000, issuers, partners, &Secret::new(vec![3; 32]))
    }

    fn made(issuer: &DemoIssuer, by: &str, at: Timestamp, consent: Option<&str>) -> String {
        let (partner, series) = (partner(by), SeriesId::new("covid19-1").unwrap());
        let request = ReceiptRequest {
            partner: &partner,
            purpose: "booking",
            series: &series,
            ci: CI,
            issued_at: at,
            consent_sha256: consent,
        };
        issuer.receipt(request).unwrap()
    }

    fn verdict(text: &str, by: &str, ci: &[u8], now: Timestamp) -> Result<Receipt, ReceiptError> {
        let partner = partner(by);
        rules().verify(text, Expected { partner: &partner, purpose: "booking", ci, guardian: None, now })
    }

    #[test]
    fn a_receipt_serves_its_partner_and_person_within_its_time() {
        let text = made(&agency(), "naver", NOW, None);
        let receipt = verdict(&text, "naver", CI, NOW).unwrap();
        assert_eq!((receipt.signed_by, receipt.series.as_str()), (SignedBy::Issuer, "covid19-1"));
        assert!(verdict(&text, "naver", CI, NOW.plus_ms(600_000)).is_ok());
        assert_eq!(verdict(&text, "naver", CI, NOW.plus_ms(600_001)), Err(ReceiptError::Expired));
        assert!(verdict(&text, "naver", CI, NOW.plus_ms(-60_000)).is_ok());
        assert_eq!(verdict(&text, "naver", CI, NOW.plus_ms(-60_001)), Err(ReceiptError::Future));
        assert_eq!(verdict(&text, "kakao", CI, NOW), Err(ReceiptError::Binding));
        assert_eq!(verdict(&text, "naver", b"another-ci", NOW), Err(ReceiptError::Binding));
        assert!(!text.contains("a-ci"));
    }

    #[test]
    fn only_a_listed_partner_may_sign_for_itself_and_states_the_consent() {
        let consent = "0".repeat(64);
        let text = made(&own(), "kakao", NOW, Some(&consent));
        assert_eq!(verdict(&text, "kakao", CI, NOW).map(|r| r.signed_by), Ok(SignedBy::Partner));
        assert_eq!(verdict(&made(&own(), "kakao", NOW, None), "kakao", CI, NOW), Err(ReceiptError::Malformed));
        let naver = DemoIssuer::new("naver", SignedBy::Partner, &[4; 32]);
        assert_eq!(verdict(&made(&naver, "naver", NOW, Some(&consent)), "naver", CI, NOW), Err(ReceiptError::Issuer));
        let as_agency = DemoIssuer::new("agency-consent", SignedBy::Issuer, &[2; 32]);
        assert_eq!(verdict(&made(&as_agency, "kakao", NOW, None), "kakao", CI, NOW), Err(ReceiptError::Signature));
    }

    #[test]
    fn a_stated_consent_is_the_approved_one() {
        let (approved, other) = ("a".repeat(64), "b".repeat(64));
        let texts = BTreeSet::from([approved.clone()]);
        let consents = BTreeMap::from([(partner("kakao"), texts.clone()), (partner("naver"), texts)]);
        let rules = rules().with_consents(consents);
        let verdict = |text: &str, by: &str| {
            let partner = partner(by);
            let expected = Expected { partner: &partner, purpose: "booking", ci: CI, guardian: None, now: NOW };
            rules.verify(text, expected).map(|_| ())
        };
        assert_eq!(verdict(&made(&own(), "kakao", NOW, Some(&approved)), "kakao"), Ok(()));
        assert_eq!(verdict(&made(&own(), "kakao", NOW, Some(&approved.to_uppercase())), "kakao"), Ok(()));
        assert_eq!(verdict(&made(&own(), "kakao", NOW, Some(&other)), "kakao"), Err(ReceiptError::Consent));
        assert_eq!(verdict(&made(&agency(), "naver", NOW, None), "naver"), Ok(()), "the issuer asks by its own page");
        assert_eq!(verdict(&made(&agency(), "naver", NOW, Some(&other)), "naver"), Err(ReceiptError::Consent));
    }

    #[test]
    fn a_guardians_receipt_serves_that_guardian_for_that_child_only() {
        let (naver, series) = (partner("naver"), SeriesId::new("covid19-1").unwrap());
        let request = ReceiptRequest {
            partner: &naver,
            purpose: "booking",
            series: &series,
            ci: CI,
            issued_at: NOW,
            consent_sha256: None,
        };
        let text = agency().receipt_by_guardian(request, b"mother").unwrap();
        let verdict = |text: &str, ci: &[u8], guardian: Option<&[u8]>| {
            rules().verify(text, Expected { partner: &naver, purpose: "booking", ci, guardian, now: NOW }).map(|_| ())
        };
        assert_eq!(verdict(&text, CI, Some(b"mother")), Ok(()));
        for (ci, guardian) in [(CI, None), (CI, Some(b"father".as_slice())), (b"mother".as_slice(), Some(CI))] {
            assert_eq!(verdict(&text, ci, guardian), Err(ReceiptError::Binding));
        }
        let own = agency().receipt(request).unwrap();
        assert_eq!(verdict(&own, CI, Some(b"mother")), Err(ReceiptError::Binding), "nobody's guardian");
    }

    #[test]
    fn the_same_id_signed_anew_is_the_same_receipt() {
        let text = made(&agency(), "naver", NOW, None);
        let (payload, _) = text.split_once('.').unwrap();
        let json = String::from_utf8(URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
        let later = json.replace(&NOW.rfc3339(), &NOW.plus_ms(1_000).rfc3339());
        let payload = URL_SAFE_NO_PAD.encode(&later);
        let signature = agency().pair.sign(format!("{DOMAIN}{payload}").as_bytes());
        let again = format!("{payload}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()));
        let (first, again) = (verdict(&text, "naver", CI, NOW).unwrap(), verdict(&again, "naver", CI, NOW).unwrap());
        assert_ne!(first, again);
        assert_eq!(first.single(), again.single());
    }

    #[test]
    fn a_changed_receipt_is_refused() {
        let text = made(&agency(), "naver", NOW, None);
        let (payload, signature) = text.split_once('.').unwrap();
        let json = String::from_utf8(URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
        let moved = URL_SAFE_NO_PAD.encode(json.replace("naver", "kakao"));
        assert_eq!(verdict(&format!("{moved}.{signature}"), "kakao", CI, NOW), Err(ReceiptError::Signature));
        let extra = URL_SAFE_NO_PAD.encode(json.replacen('{', "{\"more\":1,", 1));
        assert_eq!(verdict(&format!("{extra}.{signature}"), "naver", CI, NOW), Err(ReceiptError::Malformed));
        for text in ["", ".", "a.b", payload, &"x".repeat(3_000)] {
            assert_eq!(verdict(text, "naver", CI, NOW), Err(ReceiptError::Malformed), "{text}");
        }
    }

    #[test]
    fn public_keys_read_back() {
        let key = agency().public_key();
        assert_eq!(parse_receipt_key(&URL_SAFE_NO_PAD.encode(key.0)), Some(key));
        assert_eq!(parse_receipt_key("AAAA"), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_a_receipt_panic(text in "[A-Za-z0-9._-]{0,80}") {
            prop_assert!(verdict(&text, "naver", CI, NOW).is_err());
        }
    }
}
