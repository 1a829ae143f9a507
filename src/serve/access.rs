//! Who is calling: a bearer key on loopback, a client certificate on the network.

use http::{HeaderMap, header};
use ring::digest;

use crate::domain::PartnerId;

/// What a connection proved, before any request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// Came over loopback; each request brings a key.
    Loopback,
    /// A verified client certificate.
    Certificate(PeerCertificate),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerCertificate {
    /// DNS names and URIs of the subject alternative names.
    pub names: Vec<String>,
    pub spki_sha256: [u8; 32],
}

/// How one partner is recognised.
#[derive(Debug, Clone)]
pub struct Access {
    pub partner: PartnerId,
    /// Several at once for rotation.
    pub bearer_sha256: Vec<[u8; 32]>,
    pub names: Vec<String>,
    pub spki_sha256: Vec<[u8; 32]>,
}

/// All partners. Looked up on every request, so that a revoked one is refused on open connections too.
#[derive(Debug, Clone, Default)]
pub struct Partners(pub Vec<Access>);

/// SHA-256 of a bearer key; the key itself is kept nowhere.
pub fn bearer_digest(key: &str) -> [u8; 32] {
    sha256(key.as_bytes())
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

impl Partners {
    pub fn who(&self, peer: &Peer, headers: &HeaderMap) -> Option<&PartnerId> {
        match peer {
            Peer::Loopback => {
                let digest = bearer_digest(bearer(headers)?);
                self.only(|access| access.bearer_sha256.contains(&digest))
            }
            // A bearer key beside a certificate is refused, so that keys never travel where they are not wanted.
            Peer::Certificate(_) if headers.contains_key(header::AUTHORIZATION) => None,
            Peer::Certificate(certificate) => self.only(|access| {
                access.spki_sha256.contains(&certificate.spki_sha256)
                    || access.names.iter().any(|name| certificate.names.contains(name))
            }),
        }
    }

    /// The one partner that passes; nobody if two do.
    fn only(&self, test: impl Fn(&Access) -> bool) -> Option<&PartnerId> {
        let mut found = self.0.iter().filter(|access| test(access)).map(|access| &access.partner);
        let first = found.next()?;
        found.all(|other| other == first).then_some(first)
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (value, rest) = (values.next()?.to_str().ok()?, values.next());
    let (scheme, key) = value.split_once(' ')?;
    (rest.is_none() && scheme.eq_ignore_ascii_case("bearer") && !key.is_empty()).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partners() -> Partners {
        let access = |name: &str| Access {
            partner: PartnerId::new(name).unwrap(),
            bearer_sha256: vec![bearer_digest(&format!("test_{name}")), bearer_digest(&format!("test_{name}_2"))],
            names: vec![format!("{name}.example")],
            spki_sha256: vec![sha256(name.as_bytes())],
        };
        Partners(vec![access("naver"), access("kakao")])
    }

    fn who(peer: &Peer, authorization: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in authorization {
            headers.append(header::AUTHORIZATION, value.parse().unwrap());
        }
        partners().who(peer, &headers).map(|partner| partner.to_string())
    }

    #[test]
    fn a_key_names_its_partner_on_loopback_only() {
        assert_eq!(who(&Peer::Loopback, &["Bearer test_naver"]).as_deref(), Some("naver"));
        assert_eq!(who(&Peer::Loopback, &["bearer test_kakao_2"]).as_deref(), Some("kakao"));
        for wrong in [&["Bearer test_nobody"][..], &["Basic test_naver"], &["Bearer "], &[], &["Bearer test_naver"; 2]]
        {
            assert_eq!(who(&Peer::Loopback, wrong), None, "{wrong:?}");
        }
        let certificate =
            Peer::Certificate(PeerCertificate { names: vec!["naver.example".into()], spki_sha256: [0; 32] });
        assert_eq!(who(&certificate, &["Bearer test_naver"]), None);
    }

    #[test]
    fn a_certificate_that_fits_two_partners_is_nobody() {
        let peer = |names: &[&str], spki: [u8; 32]| {
            Peer::Certificate(PeerCertificate {
                names: names.iter().map(|n| n.to_string()).collect(),
                spki_sha256: spki,
            })
        };
        assert_eq!(who(&peer(&["naver.example"], [0; 32]), &[]).as_deref(), Some("naver"));
        assert_eq!(who(&peer(&[], sha256(b"kakao")), &[]).as_deref(), Some("kakao"));
        assert_eq!(who(&peer(&["naver.example"], sha256(b"kakao")), &[]), None);
        assert_eq!(who(&peer(&["x.naver.example"], [0; 32]), &[]), None);
    }
}
