//! MACs that stand for request keys, bodies and receipts in memory and ledger, so that partners' strings never do.

use ring::hmac;

use crate::domain::{BodyMac, KeyMac, PartnerId, ReceiptMac, Secret};

use super::frame;
use super::receipt::{Receipt, SignedBy};

/// The key stands in the ledger's first record: it lives as long as the ledger does.
#[derive(Clone)]
pub struct RequestMacs {
    key: hmac::Key,
}

impl RequestMacs {
    /// At least 32 random bytes.
    pub fn new(key: &Secret) -> RequestMacs {
        RequestMacs { key: hmac::Key::new(hmac::HMAC_SHA256, key.expose()) }
    }

    /// Request key of a partner; the same text of another partner is another key.
    pub fn key(&self, partner: &PartnerId, request_key: &str) -> KeyMac {
        KeyMac(self.mac("request-key", &[partner.as_str().as_bytes(), request_key.as_bytes()]))
    }

    /// A request's meaning. `members` is the parsed body in one canonical spelling.
    pub fn body(&self, method: &str, path: &str, members: &[u8]) -> BodyMac {
        BodyMac(self.mac("request-body", &[method.as_bytes(), path.as_bytes(), members]))
    }

    /// A consent receipt, by who signed it and its id: signing it again does not make it another.
    pub fn receipt(&self, partner: &PartnerId, receipt: &Receipt) -> ReceiptMac {
        let signed_by: &[u8] = match receipt.signed_by {
            SignedBy::Issuer => b"issuer",
            SignedBy::Partner => b"partner",
        };
        let parts = [partner.as_str().as_bytes(), signed_by, receipt.issuer.as_bytes(), receipt.id.as_bytes()];
        ReceiptMac(self.mac("receipt", &parts))
    }

    fn mac<const N: usize>(&self, label: &str, components: &[&[u8]]) -> [u8; N] {
        let mut context = hmac::Context::with_key(&self.key);
        frame(&mut context, label.as_bytes());
        for component in components {
            frame(&mut context, component);
        }
        let mut short = [0; N];
        short.copy_from_slice(&context.sign().as_ref()[..N]);
        short
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partners_keys_and_bodies_do_not_meet() {
        let macs = RequestMacs::new(&Secret::new(vec![1; 32]));
        let other = RequestMacs::new(&Secret::new(vec![2; 32]));
        let (naver, kakao) = (PartnerId::new("naver").unwrap(), PartnerId::new("kakao").unwrap());
        assert_eq!(macs.key(&naver, "k"), macs.key(&naver, "k"));
        assert_ne!(macs.key(&naver, "k"), macs.key(&kakao, "k"));
        assert_ne!(macs.key(&naver, "k"), other.key(&naver, "k"));
        assert_eq!(macs.body("POST", "/v1/bookings", b"{}"), macs.body("POST", "/v1/bookings", b"{}"));
        assert_ne!(macs.body("POST", "/v1/bookings", b"{}"), macs.body("POST", "/v1/booking", b"s{}"));
    }
}
