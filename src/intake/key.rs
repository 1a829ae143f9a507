//! The Idempotency-Key and the MACs that stand for request keys, bodies and receipts.

use http::{HeaderMap, Method};
use ring::hmac;
use serde::Serialize;

use crate::domain::{BodyMac, KeyMac, PartnerId, ReceiptMac, Secret};

use super::{Fault, FaultKind};

pub const HEADER: &str = "idempotency-key";
const KEY_RANGE: std::ops::RangeInclusive<usize> = 16..=64;

/// An idempotency key as a partner chose it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestKey(String);

impl RequestKey {
    /// Exactly one header: a structured-field string (RFC 9651) or bare.
    pub fn from_headers(headers: &HeaderMap) -> Result<RequestKey, Fault> {
        let mut values = headers.get_all(HEADER).iter();
        let value = values.next().ok_or(Fault::new(FaultKind::MissingKey))?;
        if values.next().is_some() {
            return Err(Fault::new(FaultKind::BadKey));
        }
        let text = value.to_str().map_err(|_| Fault::new(FaultKind::BadKey))?.trim_matches(' ');
        let bare = match text.strip_prefix('"') {
            Some(rest) => rest.strip_suffix('"').ok_or(Fault::new(FaultKind::BadKey))?,
            None => text,
        };
        RequestKey::new(bare)
    }

    pub fn new(text: &str) -> Result<RequestKey, Fault> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._~-".contains(&b);
        if !KEY_RANGE.contains(&text.len()) || !text.bytes().all(allowed) {
            return Err(Fault::new(FaultKind::BadKey));
        }
        Ok(RequestKey(text.to_owned()))
    }
}

/// Computes MACs under the key that stands in the ledger's first record.
#[derive(Clone)]
pub struct Macs {
    key: hmac::Key,
}

impl Macs {
    pub fn new(key: &Secret) -> Macs {
        Macs { key: hmac::Key::new(hmac::HMAC_SHA256, key.expose()) }
    }

    /// Each part is preceded by its length, so no two lists of parts give the same bytes.
    fn sign<const N: usize>(&self, purpose: &str, parts: &[&[u8]]) -> [u8; N] {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(purpose.as_bytes());
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let tag = context.sign();
        let mut short = [0; N];
        short.copy_from_slice(&tag.as_ref()[..N]);
        short
    }

    pub fn key(&self, partner: &PartnerId, key: &RequestKey) -> KeyMac {
        KeyMac(self.sign("key", &[partner.as_str().as_bytes(), key.0.as_bytes()]))
    }

    /// Over the parsed members in the order of their type, so spacing and order in the body do not matter.
    pub fn body(&self, method: &Method, path: &str, members: &impl Serialize) -> BodyMac {
        let members = serde_json::to_vec(members).expect("members are text and numbers");
        BodyMac(self.sign("body", &[method.as_str().as_bytes(), path.as_bytes(), &members]))
    }

    pub fn receipt(&self, receipt: &str) -> ReceiptMac {
        ReceiptMac(self.sign("receipt", &[receipt.as_bytes()]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(values: &[&str]) -> Result<RequestKey, FaultKind> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HEADER, value.parse().unwrap());
        }
        RequestKey::from_headers(&headers).map_err(|fault| fault.kind)
    }

    #[test]
    fn a_quoted_key_is_the_bare_key() {
        let uuid = "8e03978e-40d5-43dd-bc93-6894a57f9324";
        assert_eq!(key(&[uuid]), key(&[&format!("\"{uuid}\"")]));
        assert!(key(&[uuid]).is_ok());
    }

    #[test]
    fn other_spellings_of_a_key_are_refused() {
        assert_eq!(key(&[]), Err(FaultKind::MissingKey));
        for bad in ["", "short", "\"8e03978e-40d5-43dd", "8e03978e-40d5-43dd\"", "8e03978e 40d5 43dd", &"x".repeat(65)]
        {
            assert_eq!(key(&[bad]), Err(FaultKind::BadKey), "{bad}");
        }
        assert_eq!(key(&["8e03978e-40d5-43dd", "8e03978e-40d5-43dd"]), Err(FaultKind::BadKey));
    }

    #[test]
    fn a_mac_depends_on_every_part() {
        let macs = Macs::new(&Secret::new(vec![7; 32]));
        let (naver, kakao) = (PartnerId::new("naver").unwrap(), PartnerId::new("kakao").unwrap());
        let one = RequestKey::new("0123456789abcdef").unwrap();
        assert_ne!(macs.key(&naver, &one), macs.key(&kakao, &one));
        let body = |method: Method, path: &str, n: u32| macs.body(&method, path, &[n]);
        let first = body(Method::POST, "/v1/bookings", 1);
        assert_eq!(first, body(Method::POST, "/v1/bookings", 1));
        assert_ne!(first, body(Method::PUT, "/v1/bookings", 1));
        assert_ne!(first, body(Method::POST, "/v1/holds", 1));
        assert_ne!(first, body(Method::POST, "/v1/bookings", 2));
    }
}
