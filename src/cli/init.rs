//! `init DIR`: everything a first start needs, each file commented. Overwrites nothing.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::shipped::MAPPINGS;
use super::{Exit, Failed, Out};
use crate::config;
use crate::domain::PartnerId;
use crate::serve::certs;

#[derive(Debug, clap::Args)]
pub struct InitArgs {
    /// Folder to write into; made where it is missing.
    dir: PathBuf,
}

/// Partners of the shipped mappings; each gets a development certificate.
const PARTNERS: [&str; 2] = ["naver", "kakao"];
/// What `certs::make` writes; it would replace them.
const CERTIFICATES: [&str; 7] =
    ["ca.pem", "server.pem", "server.key", "naver.pem", "naver.key", "kakao.pem", "kakao.key"];

struct Draft {
    path: PathBuf,
    content: String,
}

pub fn init(args: &InitArgs, out: &mut Out) -> Result<Exit, Failed> {
    let drafts = drafts();
    let certificates = CERTIFICATES.iter().map(|name| args.dir.join("certs").join(name));
    let paths = drafts.iter().map(|draft| args.dir.join(&draft.path)).chain(certificates);
    let taken: Vec<String> = paths.filter(|path| path.symlink_metadata().is_ok()).map(show).collect();
    if !taken.is_empty() {
        let message = format!("{} file(s) are there already: {}", taken.len(), taken.join(", "));
        return Err(Failed::new(Exit::Exists, "exists", message, "choose an empty folder; nothing was written"));
    }
    for draft in &drafts {
        let path = args.dir.join(&draft.path);
        write_new(&path, draft)
            .map_err(|error| Failed::io(format!("{} could not be written", path.display()), &error))?;
    }
    let hosts = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let partners: Vec<PartnerId> = PARTNERS.iter().filter_map(|name| PartnerId::new(name).ok()).collect();
    certs::make(&args.dir.join("certs"), &hosts, &partners).map_err(|error| {
        Failed::new(Exit::Io, error.code(), "development certificates could not be made", "check the folder")
            .because(&error)
    })?;
    report(args, &drafts, out);
    Ok(Exit::Done)
}

fn report(args: &InitArgs, drafts: &[Draft], out: &mut Out) {
    let certificates = CERTIFICATES.iter().map(|name| args.dir.join("certs").join(name));
    let paths = drafts.iter().map(|draft| args.dir.join(&draft.path)).chain(certificates);
    let paths: Vec<String> = paths.map(show).collect();
    if out.is_json() {
        return out.value(&serde_json::json!({ "written": paths }));
    }
    for path in &paths {
        out.line(&format!("wrote {path}"));
    }
    let file = args.dir.join("slotbridge.toml");
    out.line(&format!(
        "\nnext: slotbridge legacy generate --config {0}   (an example legacy database)\n      \
         slotbridge partner add --config {0} naver\n      slotbridge check --config {0}\n      slotbridge run --config {0}",
        file.display()
    ));
}

fn show(path: PathBuf) -> String {
    path.display().to_string()
}

fn drafts() -> Vec<Draft> {
    let open = |path: &str, content: String| Draft { path: path.into(), content };
    let set = [("listen.partners_http", "\"127.0.0.1:8080\""), ("series.covid19-1.cohorts", "[]")];
    let mut drafts = vec![
        open("slotbridge.toml", config::commented_file(&set)),
        open("slotbridge.service", UNIT.to_owned()),
        open("certs/README.md", CERTS.to_owned()),
    ];
    drafts.extend(MAPPINGS.iter().map(|(path, text)| open(&format!("mappings/{path}"), (*text).to_owned())));
    drafts
}

fn write_new(path: &Path, draft: &Draft) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    }
    let mut file = File::options().write(true).create_new(true).mode(0o644).open(path)?;
    file.write_all(draft.content.as_bytes())?;
    file.sync_all()
}

const UNIT: &str = "# systemd unit of slotbridge. Copy to /etc/systemd/system/, adapt the paths.
[Unit]
Description=slotbridge
After=network-online.target
Wants=network-online.target

[Service]
Type=notify-reload
NotifyAccess=main
WatchdogSec=30
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
# Linkage information and keys in memory are never written to a swap area.
MemorySwapMax=0
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

- `ca.pem`: a development authority; its key is kept nowhere
- `server.pem`, `server.key`: for `listen.partners_tls` on localhost
- `naver.*`, `kakao.*`: client certificates of the shipped partners

To use them: set `listen.partners_tls`, `tls_certificate_file = \"certs/server.pem\"`,
`tls_key_file = \"certs/server.key\"` and `client_ca_file = \"certs/ca.pem\"` in slotbridge.toml.
";
