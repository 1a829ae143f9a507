//! `doctor`: the machine and the installation, without connecting to partners or changing anything: versions, clock,
//! certificates, permissions, disk, limits. What only the legacy system can tell is `examine`'s.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::clock::{Clock, SystemClock};
use crate::config::{Config, LegacyKind};
use crate::domain::{Timestamp, time::DAY_MS};
use crate::legacy::finding::{Finding, Level};

use super::files::Files;
use super::harden;

/// Free space below which a busy day's ledger may not fit: 15 M bookings at 1 kB, twice.
const DISK_FREE_MIN: u64 = 32 << 30;
/// Open files: two a connection at the default bound, and some.
const FILES_MIN: u64 = 20_480;
const CERTIFICATE_DAYS_MIN: i64 = 30;

/// Looks at everything that needs no connection. Without a configuration, at the program alone.
pub fn doctor(config: Option<&Config>) -> Vec<Finding> {
    let mut found = vec![
        Finding::fine("program.version", format!("slotbridge {}", env!("CARGO_PKG_VERSION"))),
        Finding::fine("program.sqlite", format!("SQLite {} (built in)", rusqlite::version())),
        clock(),
        files_max(),
        harden::dumps(),
        harden::swap(),
    ];
    let Some(config) = config else { return found };
    let files = Files::of(&config.daemon.data_dir);
    found.push(folder("data folder", &files.dir));
    found.push(folder("keys", &config.secrets.key_dir));
    found.push(disk(&files.dir));
    found.extend(certificates(config));
    if config.legacy.kind == LegacyKind::Oracle {
        found.extend(oracle(config));
    }
    found
}

/// A clock that nobody corrects drifts; decisions and hints compare it with the legacy system's.
fn clock() -> Finding {
    let now = SystemClock.now();
    let shown = now.rfc3339();
    // The year this was built for; a board without a battery wakes up in 1970.
    if now < Timestamp::parse_rfc3339("2026-01-01T00:00:00+09:00").unwrap_or_default() {
        let fix = "set the clock and enable NTP (timedatectl set-ntp true)";
        return Finding::of("machine.clock", Level::Wrong, format!("it is {shown}"), "the clock was never set", fix);
    }
    match std::path::Path::new("/run/systemd/timesync/synchronized").exists() || chrony_runs() {
        true => Finding::fine("machine.clock", format!("{shown}, synchronised")),
        false => Finding::of(
            "machine.clock",
            Level::Note,
            format!("{shown}; no sign of synchronisation"),
            "neither systemd-timesyncd nor chrony says that it has synchronised the clock",
            "enable NTP (timedatectl set-ntp true); `check --connect` compares with the database's clock",
        ),
    }
}

fn chrony_runs() -> bool {
    Path::new("/run/chrony/chronyd.pid").exists() || Path::new("/var/run/chrony/chronyd.pid").exists()
}

/// `Max open files` of this process, as the kernel states it.
fn files_max() -> Finding {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().nth(3)).and_then(|word| word.parse::<u64>().ok());
    match soft {
        Some(soft) if soft >= FILES_MIN => Finding::fine("machine.files", format!("{soft} open files allowed")),
        Some(soft) => Finding::of(
            "machine.files",
            Level::Note,
            format!("{soft} open files allowed"),
            format!("listen.connections_max connections need up to {FILES_MIN}"),
            "set LimitNOFILE in the unit file, or lower listen.connections_max",
        ),
        None => Finding::of(
            "machine.files",
            Level::Unknown,
            "the limit of open files is not readable",
            "/proc/self/limits could not be read",
            "look with `ulimit -n`",
        ),
    }
}

/// Secrets and personal data are for the service user only.
fn folder(what: &str, path: &Path) -> Finding {
    let shown = path.display();
    match std::fs::metadata(path) {
        Ok(about) if about.permissions().mode() & 0o077 != 0 => Finding::of(
            "files.private",
            Level::Wrong,
            format!("{what} {shown}: mode {:04o}", about.permissions().mode() & 0o7777),
            "others on this machine may read it",
            format!("chmod 0700 {shown}"),
        ),
        Ok(_) => Finding::fine("files.private", format!("{what} {shown}: for its owner only")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Finding::of(
            "files.private",
            Level::Note,
            format!("{what} {shown}: not there yet"),
            "the first start makes it",
            "nothing, before the first start",
        ),
        Err(error) => Finding::of(
            "files.private",
            Level::Unknown,
            format!("{what} {shown}: {}", error.kind()),
            "it cannot be looked at",
            "run this as the service user",
        ),
    }
}

fn disk(dir: &Path) -> Finding {
    // The nearest folder that is there: the first start makes the rest.
    let mut above = dir.ancestors().map(|dir| if dir == Path::new("") { Path::new(".") } else { dir });
    let Some(there) = above.find(|dir| dir.exists()) else {
        return Finding::of(
            "machine.disk",
            Level::Unknown,
            dir.display().to_string(),
            "no such path",
            "correct daemon.data_dir",
        );
    };
    match rustix::fs::statvfs(there) {
        Ok(about) => {
            let free = about.f_bavail.saturating_mul(about.f_frsize);
            let shown = format!("{}: {} GiB free", there.display(), free >> 30);
            if free >= DISK_FREE_MIN {
                Finding::fine("machine.disk", shown)
            } else {
                Finding::of(
                    "machine.disk",
                    Level::Note,
                    shown,
                    "the ledger of a national campaign takes up to 30 GiB; a full disk stops intake, never loses a booking",
                    "give daemon.data_dir a larger volume",
                )
            }
        }
        Err(error) => Finding::of(
            "machine.disk",
            Level::Unknown,
            there.display().to_string(),
            error.to_string(),
            "look with `df`",
        ),
    }
}

fn certificates(config: &Config) -> Vec<Finding> {
    let listen = &config.listen;
    let files = [("server certificate", &listen.tls_certificate_file), ("client authorities", &listen.client_ca_file)];
    let mut found = Vec::new();
    for (what, path) in files {
        let Some(path) = path else { continue };
        found.push(certificate(what, path));
    }
    found
}

/// The certificate of the file that ends first.
fn certificate(what: &str, path: &Path) -> Finding {
    let shown = path.display();
    let unreadable = |cause: String| {
        Finding::of(
            "tls.certificate",
            Level::Wrong,
            format!("{what} {shown}"),
            cause,
            "name a PEM file with certificates",
        )
    };
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => return unreadable(format!("it cannot be read: {}", error.kind())),
    };
    let ends = x509_parser::pem::Pem::iter_from_buffer(&bytes)
        .filter_map(|pem| pem.ok())
        .filter_map(|pem| pem.parse_x509().ok().map(|certificate| certificate.validity().not_after.timestamp()))
        .min();
    let Some(ends) = ends else { return unreadable("it holds no certificate".to_owned()) };
    let days = Timestamp(ends * 1_000).since_ms(SystemClock.now()).div_euclid(DAY_MS);
    if days >= CERTIFICATE_DAYS_MIN {
        return Finding::fine("tls.certificate", format!("{what} {shown}: {days} days left"));
    }
    let level = if days < 0 { Level::Wrong } else { Level::Note };
    let cause = if days < 0 { "it has ended: no partner gets through" } else { "it ends soon" };
    Finding::of("tls.certificate", level, format!("{what} {shown}: {days} days left"), cause, "renew it")
}

#[cfg(feature = "oracle")]
fn oracle(config: &Config) -> Vec<Finding> {
    use crate::legacy::oracle::{client, secret::Vault};
    let (shared, _) = super::settings::oracle(config);
    let mut found = Vec::new();
    found.push(match shared.check().and_then(|()| client::load(&shared)) {
        Ok(client) => match client.note() {
            None => Finding::fine("oracle.client", format!("client {}.{}", client.major, client.minor)),
            Some(note) => Finding::of(
                "oracle.client",
                Level::Note,
                format!("client {}.{}: {note}", client.major, client.minor),
                "12.2, 18 and 19 are known to reach 11.2",
                "install Instant Client 19",
            ),
        },
        Err(failure) => {
            let error = crate::legacy::LegacyError::from(failure);
            let fix = error.hint.unwrap_or("mend what the message names");
            Finding::of("oracle.client", Level::Wrong, error.message, "no session can be opened", fix)
        }
    });
    let accounts = config.oracle.read_accounts.iter().chain(&config.oracle.write_accounts);
    found.extend(accounts.map(|account| secret_file(&account.name, &account.secret_file)));
    let vault = Vault::new(&config.daemon.data_dir);
    match vault.entries() {
        Ok(entries) => found.extend(entries.into_iter().map(|entry| {
            Finding::of(
                "oracle.blocked",
                Level::Wrong,
                format!("account {}: {} since {}", entry.account, entry.code, entry.since),
                "the server refused its secret; nobody tries it again, so that the account is not locked",
                "write the right password into the account's secret file",
            )
        })),
        Err(failure) => {
            let error = crate::legacy::LegacyError::from(failure);
            found.push(Finding::of(
                "oracle.blocked",
                Level::Unknown,
                error.message,
                "the list of refused secrets",
                "move the file away",
            ));
        }
    }
    found
}

#[cfg(not(feature = "oracle"))]
fn oracle(_: &Config) -> Vec<Finding> {
    let cause = "the feature `oracle` was left out when it was built";
    vec![Finding::of(
        "oracle.client",
        Level::Wrong,
        "this build has no Oracle adapter",
        cause,
        "build with default features",
    )]
}

#[cfg(feature = "oracle")]
fn secret_file(account: &str, path: &Path) -> Finding {
    let shown = path.display();
    match std::fs::metadata(path) {
        Ok(about) if about.permissions().mode() & 0o077 != 0 => Finding::of(
            "oracle.secret",
            Level::Wrong,
            format!("{account}: {shown} has mode {:04o}", about.permissions().mode() & 0o7777),
            "others on this machine may read the password; it is refused",
            format!("chmod 0600 {shown}"),
        ),
        Ok(_) => Finding::fine("oracle.secret", format!("{account}: {shown}")),
        Err(error) => Finding::of(
            "oracle.secret",
            Level::Wrong,
            format!("{account}: {shown}: {}", error.kind()),
            "the password file cannot be read",
            "write the password into it, mode 0600",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_others_may_read_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let at = |mode| {
            std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            folder("keys", dir.path()).level
        };
        assert_eq!((at(0o700), at(0o750)), (Level::Fine, Level::Wrong));
        assert_eq!(folder("keys", &dir.path().join("none")).level, Level::Note);
    }

    #[test]
    fn a_certificate_is_judged_by_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cert.pem");
        let made = |year| {
            let mut about = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            about.not_before = rcgen::date_time_ymd(2020, 1, 1);
            about.not_after = rcgen::date_time_ymd(year, 1, 1);
            let key = rcgen::KeyPair::generate().unwrap();
            std::fs::write(&path, about.self_signed(&key).unwrap().pem()).unwrap();
            certificate("server certificate", &path).level
        };
        assert_eq!((made(2099), made(2021)), (Level::Fine, Level::Wrong));
        std::fs::write(&path, "no certificate").unwrap();
        assert_eq!(certificate("server certificate", &path).level, Level::Wrong);
    }

    #[test]
    fn the_disk_of_a_folder_that_is_not_there_yet_is_that_of_the_one_above() {
        assert!(matches!(disk(Path::new("no-such-folder/data")).level, Level::Fine | Level::Note));
    }

    #[test]
    fn without_a_configuration_the_program_itself_is_looked_at() {
        let found = doctor(None);
        assert!(found.iter().any(|finding| finding.check == "program.sqlite"));
        assert!(found.iter().all(|finding| finding.level == Level::Fine || !finding.fix.is_empty()));
    }
}
