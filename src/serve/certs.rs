//! A development CA on demand: authority, server and partner certificates in one directory. Never for production and
//! never committed.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};

use crate::domain::PartnerId;

use super::access::sha256;
use super::{ServerFiles, TlsError};

/// A partner's certificate as issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    pub partner: PartnerId,
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Subject alternative name (URI).
    pub name: String,
    pub spki_sha256: [u8; 32],
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevCerts {
    pub ca: PathBuf,
    pub server: ServerFiles,
    pub partners: Vec<Issued>,
}

/// Makes an authority, a certificate for `hosts` (names or addresses) and one for each partner, into `directory`.
/// Whatever stood there under the same names is replaced: the old authority's certificates end with it.
pub fn make(directory: &Path, hosts: &[String], partners: &[PartnerId]) -> Result<DevCerts, TlsError> {
    fs::create_dir_all(directory).map_err(|source| TlsError::Write { path: directory.to_owned(), source })?;
    let (ca, issuer) = authority()?;
    let ca_path = write(directory, "ca.pem", &ca, Access::Public)?;
    let mut params = CertificateParams::new(hosts.to_vec()).map_err(made)?;
    name(&mut params, "slotbridge development server");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let (certificate, key, _) = leaf(&params, &issuer)?;
    let server = ServerFiles {
        certificate: write(directory, "server.pem", &certificate, Access::Public)?,
        key: write(directory, "server.key", &key, Access::Owner)?,
        client_ca: ca_path.clone(),
    };
    let issued: Result<Vec<Issued>, TlsError> = partners.iter().map(|p| client(directory, p, &issuer)).collect();
    Ok(DevCerts { ca: ca_path, server, partners: issued? })
}

fn authority() -> Result<(String, Issuer<'static, KeyPair>), TlsError> {
    let key = KeyPair::generate().map_err(made)?;
    let mut params = CertificateParams::default();
    name(&mut params, "slotbridge development CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key).map_err(made)?;
    Ok((certificate.pem(), Issuer::new(params, key)))
}

fn client(directory: &Path, partner: &PartnerId, issuer: &Issuer<'_, KeyPair>) -> Result<Issued, TlsError> {
    let uri = format!("urn:slotbridge:partner:{partner}");
    let mut params = CertificateParams::default();
    name(&mut params, &format!("slotbridge partner {partner}"));
    params.subject_alt_names = vec![SanType::URI(uri.clone().try_into().map_err(made)?)];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let (certificate, key, spki_sha256) = leaf(&params, issuer)?;
    Ok(Issued {
        partner: partner.clone(),
        certificate: write(directory, &format!("{partner}.pem"), &certificate, Access::Public)?,
        key: write(directory, &format!("{partner}.key"), &key, Access::Owner)?,
        name: uri,
        spki_sha256,
    })
}

fn leaf(params: &CertificateParams, issuer: &Issuer<'_, KeyPair>) -> Result<(String, String, [u8; 32]), TlsError> {
    let key = KeyPair::generate().map_err(made)?;
    let certificate = params.signed_by(&key, issuer).map_err(made)?;
    let identity = super::tls::peer_certificate(certificate.der());
    let spki = identity.map(|identity| identity.spki_sha256).unwrap_or_else(|| sha256(key.public_key_raw()));
    Ok((certificate.pem(), key.serialize_pem(), spki))
}

fn name(params: &mut CertificateParams, common_name: &str) {
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
}

fn made(error: rcgen::Error) -> TlsError {
    TlsError::Make { cause: error.to_string() }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Public,
    /// Mode 0600 from the first byte.
    Owner,
}

fn write(directory: &Path, file: &str, text: &str, access: Access) -> Result<PathBuf, TlsError> {
    let path = directory.join(file);
    let failed = |source| TlsError::Write { path: path.clone(), source };
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    if access == Access::Owner {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    let mut opened = options.open(&path).map_err(failed)?;
    opened.write_all(text.as_bytes()).map_err(failed)?;
    Ok(path)
}
