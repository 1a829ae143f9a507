//! TLS of the network listener: ring only, client certificates required.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::PeerCertificate;
use super::access::sha256;

/// PEM files of the listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFiles {
    /// Chain, the server's certificate first.
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Authorities that issue client certificates.
    pub client_ca: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("plain HTTP is for loopback addresses only; {address} is not one: configure certificates for it")]
    PlainOnNetwork { address: SocketAddr },
    #[error("cannot listen on {address}")]
    Bind { address: SocketAddr, source: io::Error },
    #[error("cannot read {}: {cause}", path.display())]
    File { path: PathBuf, cause: String },
    #[error("the certificates do not make a server: {cause}")]
    Config { cause: String },
    #[error("a certificate could not be made: {cause}")]
    Make { cause: String },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

impl TlsError {
    pub fn code(&self) -> &'static str {
        match self {
            TlsError::PlainOnNetwork { .. } => "plain_on_network",
            TlsError::Bind { .. } => "bind",
            TlsError::File { .. } => "tls_file",
            TlsError::Config { .. } => "tls_config",
            TlsError::Make { .. } => "certificate",
            TlsError::Write { .. } => "certificate_write",
        }
    }
}

pub fn server_config(files: &ServerFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let config = |cause: String| TlsError::Config { cause };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&files.client_ca)? {
        roots.add(certificate).map_err(|error| config(error.to_string()))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|error| config(error.to_string()))?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| TlsError::File { path: files.key.clone(), cause: error.to_string() })?;
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| config(error.to_string()))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates(&files.certificate)?, key)
        .map_err(|error| config(error.to_string()))?;
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(server))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let file = |cause: String| TlsError::File { path: path.to_owned(), cause };
    let read = CertificateDer::pem_file_iter(path).map_err(|error| file(error.to_string()))?;
    let all: Result<Vec<_>, _> = read.collect();
    let all = all.map_err(|error| file(error.to_string()))?;
    if all.is_empty() { Err(file("no certificate in the file".to_owned())) } else { Ok(all) }
}

/// What identifies a partner in its verified certificate.
pub(super) fn peer_certificate(der: &CertificateDer<'_>) -> Option<PeerCertificate> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let names = certificate.subject_alternative_name().ok()?;
    let names = names.map(|names| names.value.general_names.iter().filter_map(name).collect()).unwrap_or_default();
    Some(PeerCertificate { names, spki_sha256: sha256(certificate.public_key().raw) })
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) | GeneralName::URI(name) => Some((*name).to_owned()),
        _ => None,
    }
}
