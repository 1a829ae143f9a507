//! `init DIR`: everything a first start needs, each file commented. Overwrites nothing.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

use super::shipped::MAPPINGS;
use super::{Exit, Failed, Out};
use crate::config;

#[derive(Debug, clap::Args)]
pub struct InitArgs {
    /// Folder to write into; made where it is missing.
    dir: PathBuf,
}

/// Partners of the shipped mappings; each gets a development certificate.
const PARTNERS: [&str; 2] = ["naver", "kakao"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    /// Readable by everyone.
    Open,
    /// Readable by the owner only.
    Secret,
}

struct Draft {
    path: PathBuf,
    content: String,
    kept: Kept,
}

pub fn init(args: &InitArgs, out: &mut Out) -> Result<Exit, Failed> {
    let drafts = drafts().map_err(|error| {
        Failed::new(Exit::Defect, "no_certificates", "development certificates could not be made", "report it")
            .because(&error)
    })?;
    let taken: Vec<String> =
        drafts.iter().map(|d| args.dir.join(&d.path)).filter(|p| p.symlink_metadata().is_ok()).map(show).collect();
    if !taken.is_empty() {
        let message = format!("{} file(s) are there already: {}", taken.len(), taken.join(", "));
        return Err(Failed::new(Exit::Exists, "exists", message, "choose an empty folder; nothing was written"));
    }
    for draft in &drafts {
        let path = args.dir.join(&draft.path);
        write_new(&path, draft)
            .map_err(|error| Failed::io(format!("{} could not be written", path.display()), &error))?;
    }
    report(args, &drafts, out);
    Ok(Exit::Done)
}

fn report(args: &InitArgs, drafts: &[Draft], out: &mut Out) {
    let paths: Vec<String> = drafts.iter().map(|draft| show(args.dir.join(&draft.path))).collect();
    if out.is_json() {
        return out.value(&serde_json::json!({ "written": paths }));
    }
    for path in &paths {
        out.line(&format!("wrote {path}"));
    }
    let file = args.dir.join("slotbridge.toml");
    out.line(&format!(
        "\nnext: slotbridge legacy generate --config {0}   (an example legacy database)\n      slotbridge check --config {0}\n      \
         slotbridge run --config {0}",
        file.display()
    ));
}

fn show(path: PathBuf) -> String {
    path.display().to_string()
}

fn drafts() -> Result<Vec<Draft>, rcgen::Error> {
    let open = |path: &str, content: String| Draft { path: path.into(), content, kept: Kept::Open };
    let set = [("listen.partners_http", "\"127.0.0.1:8080\"")];
    let mut drafts = vec![
        open("slotbridge.toml", config::commented_file(&set)),
        open("slotbridge.service", UNIT.to_owned()),
        open("certs/README.md", CERTS.to_owned()),
    ];
    drafts.extend(MAPPINGS.iter().map(|(path, text)| open(&format!("mappings/{path}"), (*text).to_owned())));
    drafts.extend(certificates()?);
    Ok(drafts)
}

/// A development authority, a server certificate for loopback and one certificate a partner.
fn certificates() -> Result<Vec<Draft>, rcgen::Error> {
    let ca_key = KeyPair::generate()?;
    let mut ca = CertificateParams::new(Vec::new())?;
    ca.distinguished_name.push(DnType::CommonName, "slotbridge development CA");
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca_pem = ca.self_signed(&ca_key)?.pem();
    let mut drafts = vec![
        Draft { path: "certs/ca.pem".into(), content: ca_pem, kept: Kept::Open },
        Draft { path: "certs/ca.key".into(), content: ca_key.serialize_pem(), kept: Kept::Secret },
    ];
    let issuer = Issuer::new(ca, ca_key);
    let server = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let mut leaf = |name: &str, names: Vec<String>, usage| -> Result<(), rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![usage];
        let pem = params.signed_by(&key, &issuer)?.pem();
        drafts.push(Draft { path: format!("certs/{name}.pem").into(), content: pem, kept: Kept::Open });
        let key = key.serialize_pem();
        drafts.push(Draft { path: format!("certs/{name}.key").into(), content: key, kept: Kept::Secret });
        Ok(())
    };
    leaf("server", server, ExtendedKeyUsagePurpose::ServerAuth)?;
    for partner in PARTNERS {
        leaf(partner, vec![partner.to_owned()], ExtendedKeyUsagePurpose::ClientAuth)?;
    }
    Ok(drafts)
}

fn write_new(path: &Path, draft: &Draft) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    }
    let mode = if draft.kept == Kept::Secret { 0o600 } else { 0o644 };
    let mut file: File = File::options().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(draft.content.as_bytes())?;
    file.sync_all()
}

const UNIT: &str = "# systemd unit of slotbridge. Copy to /etc/systemd/system/, adapt the paths.
[Unit]
Description=slotbridge
After=network-online.target
Wants=network-online.target

[Service]
ExecStart=/usr/bin/slotbridge run --config /etc/slotbridge/slotbridge.toml
User=slotbridge
StateDirectory=slotbridge
StateDirectoryMode=0700
Environment=SLOTBRIDGE_DATA_DIR=/var/lib/slotbridge/data SLOTBRIDGE_KEY_DIR=/var/lib/slotbridge/keys
Restart=on-failure
RestartSec=1
# 78: the configuration is wrong; starting again would not help.
RestartPreventExitStatus=78
TimeoutStopSec=10
LimitNOFILE=65536
LimitCORE=0
UMask=0077
NoNewPrivileges=true
ProtectSystem=strict
ProtectHome=true
PrivateTmp=true
PrivateDevices=true
ProtectClock=true
ProtectHostname=true
ProtectKernelLogs=true
ProtectKernelModules=true
ProtectKernelTunables=true
ProtectControlGroups=true
ProtectProc=invisible
ProcSubset=pid
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=true
RestrictRealtime=true
RestrictSUIDSGID=true
LockPersonality=true
MemoryDenyWriteExecute=true
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
CapabilityBoundingSet=
AmbientCapabilities=

[Install]
WantedBy=multi-user.target
";

const CERTS: &str = "# Development certificates

Made by `slotbridge init` for this folder only. Never use them in service, never commit them: `*.key` are private keys.

- `ca.pem`, `ca.key`: a development authority
- `server.pem`, `server.key`: for `listen.partners_tls` on localhost
- `naver.*`, `kakao.*`: client certificates of the shipped partners

To use them: set `listen.partners_tls`, `tls_certificate_file = \"certs/server.pem\"`,
`tls_key_file = \"certs/server.key\"` and `client_ca_file = \"certs/ca.pem\"` in slotbridge.toml.
";
