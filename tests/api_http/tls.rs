//! The network listener: client certificates, no keys, no plain HTTP.

use std::path::Path;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use slotbridge::domain::PartnerId;
use slotbridge::serve::certs::{DevCerts, make};
use slotbridge::serve::{Door, Partners, server_config};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;

use crate::bookings::{KEY, wish};
use crate::doubles::{Bridge, start};
use crate::wire::{Got, request};

fn certificates(directory: &Path) -> DevCerts {
    let partners = ["naver", "kakao", "stranger"].map(|name| PartnerId::new(name).unwrap());
    make(directory, &["127.0.0.1".to_owned(), "localhost".to_owned()], &partners).unwrap()
}

async fn network(certificates: &DevCerts) -> Bridge {
    let config = server_config(&certificates.server).unwrap();
    let door = Door::network("127.0.0.1:0".parse().unwrap(), config).await.unwrap();
    start(|_| (), Some(door)).await
}

fn client(certificates: &DevCerts, who: Option<usize>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&certificates.ca).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    match who {
        None => builder.with_no_client_auth(),
        Some(at) => {
            let issued = &certificates.partners[at];
            let chain = vec![CertificateDer::from_pem_file(&issued.certificate).unwrap()];
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(&issued.key).unwrap()).unwrap()
        }
    }
}

async fn call(bridge: &Bridge, certificates: &DevCerts, who: Option<usize>, headers: &[(&str, &str)]) -> Option<Got> {
    let config = client(certificates, who);
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, bridge.connect().await).await.ok()?;
    let mut bytes = request("GET", "/v1/feeds", headers, b"");
    if !headers.iter().any(|(name, _)| *name == "authorization") {
        let text = String::from_utf8(bytes).unwrap();
        bytes = text.replace("authorization: Bearer test_naver\r\n", "").into_bytes();
    }
    read(stream, &bytes).await
}

/// `None` when the other side breaks the handshake off (TLS 1.3 tells a client only when it reads).
async fn read(mut stream: tokio_rustls::client::TlsStream<tokio::net::TcpStream>, bytes: &[u8]) -> Option<Got> {
    stream.write_all(bytes).await.ok()?;
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all).await;
    (!all.is_empty()).then(|| crate::wire::parse(&all))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_names_its_partner_and_a_bearer_key_is_401() {
    let directory = tempfile::tempdir().unwrap();
    let certificates = certificates(directory.path());
    let bridge = network(&certificates).await;
    let got = call(&bridge, &certificates, Some(0), &[]).await.unwrap();
    assert_eq!((got.status, got.header("sync-cursor")), (200, Some("5")));
    let key = [("authorization", "Bearer test_naver")];
    let got = call(&bridge, &certificates, Some(0), &key).await.unwrap();
    assert_eq!(got.status_and_code(), (401, "unauthenticated".into()));
    assert_eq!((got.header("sync-cursor"), got.header("www-authenticate")), (None, None));
    // Our authority issued it, but nobody has named it as a partner's.
    let got = call(&bridge, &certificates, Some(2), &[]).await.unwrap();
    assert_eq!(got.status, 401);
    assert!(call(&bridge, &certificates, None, &[]).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_partner_is_refused_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let certificates = certificates(directory.path());
    let bridge = network(&certificates).await;
    assert_eq!(call(&bridge, &certificates, Some(1), &[]).await.unwrap().status, 200);
    bridge.partners.store(Arc::new(Partners::default()));
    assert_eq!(call(&bridge, &certificates, Some(1), &[]).await.unwrap().status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_gets_no_answer_on_the_network_and_no_listener_beyond_loopback() {
    let directory = tempfile::tempdir().unwrap();
    let certificates = certificates(directory.path());
    let bridge = network(&certificates).await;
    let mut stream = bridge.connect().await;
    stream.write_all(&request("GET", "/v1/feeds", &[], b"")).await.unwrap();
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all).await;
    assert!(!all.starts_with(b"HTTP"));
    let refused = Door::loopback("0.0.0.0:0".parse().unwrap()).await;
    assert_eq!(refused.err().map(|error| error.code()), Some("plain_on_network"));
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_gets_the_same_answers() {
    let directory = tempfile::tempdir().unwrap();
    let certificates = certificates(directory.path());
    let bridge = network(&certificates).await;
    let mut config = client(&certificates, Some(0));
    config.alpn_protocols = vec![b"h2".to_vec()];
    let client = reqwest::Client::builder().tls_backend_preconfigured(config).resolve("localhost", bridge.address);
    let client = client.build().unwrap();
    let url = format!("https://localhost:{}/v1/bookings", bridge.address.port());
    let book = client.post(&url).header("idempotency-key", KEY).json(&wish("s-1")).send().await.unwrap();
    assert_eq!((book.version(), book.status().as_u16()), (reqwest::Version::HTTP_2, 201));
    assert_eq!(book.headers()["location"], "https://bridge.example/v1/bookings/b-6");
    let wrong = client.put(&url).send().await.unwrap();
    assert_eq!((wrong.status().as_u16(), wrong.headers()["allow"].to_str().unwrap()), (405, "POST"));
    let host = client.get(&url).header("host", "evil.example").send().await.unwrap();
    assert_eq!(host.status().as_u16(), 421);
}

#[cfg(unix)]
#[test]
fn private_keys_are_readable_by_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let certificates = certificates(directory.path());
    for key in certificates.partners.iter().map(|issued| &issued.key).chain([&certificates.server.key]) {
        assert_eq!(std::fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
