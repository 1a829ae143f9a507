//! Consent receipts: proof towards the bridge that a user who is present agreed.
//!
//! Text form `<base64url payload>.<base64url signature>`: the payload is JSON, the signature Ed25519 over
//! `slotbridge-receipt-v1.` and the payload's text; the CI is committed to as SHA-256(salt ‖ CI) and stands nowhere.
//! Kind (a) is signed by an issuer that the partner does not control; only in a test environment does a partner hold
//! such a key. Kind (b) is signed by the partner's own key and names the digest of the text that the user agreed to.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::Ed25519KeyPair;
use serde::Serialize;
use zeroize::Zeroizing;

use super::PartnerError;
use crate::domain::Timestamp;

const SIGNED: &str = "slotbridge-receipt-v1.";
const PURPOSE: &str = "booking";
const SALT_BYTES: usize = 16;
const ID_BYTES: usize = 16;

/// Who signs.
pub enum Issuer {
    /// (a) Of a test environment: stands for the agency's consent page. Its id as in the bridge's policy.
    Test { id: String, key: Ed25519KeyPair },
    /// (b) The partner. Hex SHA-256 of the consent text as shown.
    Own { consent_sha256: String, key: Ed25519KeyPair },
    /// Obtained elsewhere, for one call.
    Given(String),
}

/// What the user agreed to.
pub struct Consent<'a> {
    pub partner: &'a str,
    pub series: &'a str,
    pub ci: &'a str,
    pub at: Timestamp,
}

#[derive(Serialize)]
struct Payload<'a> {
    signed_by: &'static str,
    issuer: &'a str,
    id: String,
    partner: &'a str,
    purpose: &'static str,
    series: &'a str,
    salt: String,
    commitment: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    consent_sha256: Option<&'a str>,
    issued_at: String,
}

impl Issuer {
    pub fn test(id: &str, seed: &[u8; 32]) -> Result<Issuer, PartnerError> {
        Ok(Issuer::Test { id: id.to_owned(), key: pair(seed)? })
    }

    /// `text` is what was shown to the user, byte for byte.
    pub fn own(seed: &[u8; 32], text: &[u8]) -> Result<Issuer, PartnerError> {
        let consent_sha256 = digest(&SHA256, text).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Issuer::Own { consent_sha256, key: pair(seed)? })
    }

    /// May the same consent have another receipt? One that was given is good for one call.
    pub fn can_repeat(&self) -> bool {
        !matches!(self, Issuer::Given(_))
    }

    /// A receipt of its own for every call: one is good once, and for 10 minutes.
    pub fn receipt(&self, consent: &Consent<'_>) -> Result<String, PartnerError> {
        let (signed_by, issuer, consent_sha256, key) = match self {
            Issuer::Given(text) => return Ok(text.clone()),
            Issuer::Test { id, key } => ("issuer", id.as_str(), None, key),
            Issuer::Own { consent_sha256, key } => ("partner", consent.partner, Some(consent_sha256.as_str()), key),
        };
        let mut random = [0; ID_BYTES + SALT_BYTES];
        SystemRandom::new().fill(&mut random).map_err(|_| PartnerError::Random)?;
        let (id, salt) = random.split_at(ID_BYTES);
        let committed = Zeroizing::new([salt, consent.ci.as_bytes()].concat());
        let payload = Payload {
            signed_by,
            issuer,
            id: URL_SAFE_NO_PAD.encode(id),
            partner: consent.partner,
            purpose: PURPOSE,
            series: consent.series,
            salt: URL_SAFE_NO_PAD.encode(salt),
            commitment: URL_SAFE_NO_PAD.encode(digest(&SHA256, &committed)),
            consent_sha256,
            issued_at: consent.at.rfc3339(),
        };
        let payload = serde_json::to_vec(&payload).map_err(|_| PartnerError::Random)?;
        let payload = URL_SAFE_NO_PAD.encode(payload);
        let signature = key.sign(format!("{SIGNED}{payload}").as_bytes());
        Ok(format!("{payload}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

fn pair(seed: &[u8; 32]) -> Result<Ed25519KeyPair, PartnerError> {
    let wrong = PartnerError::Answer { of: "signing key", what: "not an Ed25519 private key" };
    Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| wrong)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::{PartnerId, Secret};
    use crate::keys::{DemoIssuer, Expected, ReceiptError, ReceiptRules, SignedBy};

    const CI: &str = "a-ci";
    const NOW: Timestamp = Timestamp(1_795_345_200_000);

    /// As the bridge judges, with keys of both kinds.
    fn judged(receipt: &str, ci: &str) -> Result<SignedBy, ReceiptError> {
        let key = |seed| DemoIssuer::new("x", SignedBy::Issuer, &[seed; 32]).public_key();
        let kakao = PartnerId::new("kakao").unwrap();
        let issuers = BTreeMap::from([("consent-page".to_owned(), key(1))]);
        let rules = ReceiptRules::new(600_000, issuers, [(kakao.clone(), key(2))].into(), &Secret::new(vec![3; 32]));
        let expected = Expected { partner: &kakao, purpose: "booking", ci: ci.as_bytes(), guardian: None, now: NOW };
        rules.verify(receipt, expected).map(|receipt| receipt.signed_by)
    }

    #[test]
    fn the_bridge_believes_receipts_of_both_kinds() {
        let consent = Consent { partner: "kakao", series: "covid19-1", ci: CI, at: NOW };
        let agency = Issuer::test("consent-page", &[1; 32]).unwrap();
        let own = Issuer::own(&[2; 32], "동의합니다".as_bytes()).unwrap();
        for (issuer, kind) in [(agency, SignedBy::Issuer), (own, SignedBy::Partner)] {
            let receipt = issuer.receipt(&consent).unwrap();
            assert_eq!(judged(&receipt, CI), Ok(kind));
            assert_eq!(judged(&receipt, "another"), Err(ReceiptError::Binding));
            assert_ne!(receipt, issuer.receipt(&consent).unwrap(), "each is good once");
        }
        let forged = Issuer::test("consent-page", &[2; 32]).unwrap().receipt(&consent).unwrap();
        assert_eq!(judged(&forged, CI), Err(ReceiptError::Signature));
    }
}
