//! Passwords, and which of them the server has refused.
//!
//! A wrong password that is tried again locks the account, and a locked account stops the agency's help desk as well as
//! the bridge. So a refused secret is written down (`oracle-blocked.json`: account, salted digest, code, since when) and
//! no thread of any process over the same data folder logs on with it again, until the secret file holds another one or
//! the operator deletes the entry. The file is the truth and is read before each logon: logons are rare.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use super::error::{Code, ErrorClass, Failure, Step};
use super::settings::Login;
use crate::domain::{Secret, Timestamp};

const FILE: &str = "oracle-blocked.json";
/// A secret file holds one password; Oracle's end at 30 bytes, others may not.
const SECRET_BYTES_MAX: u64 = 1_024;
const BLOCKED_BYTES_MAX: u64 = 64 * 1_024;

/// Reads secrets and remembers refused ones.
#[derive(Debug)]
pub struct Vault {
    file: PathBuf,
    /// One logon an account at a time: two threads must not both find out that a password is wrong.
    turns: Mutex<BTreeMap<String, Arc<Mutex<()>>>>,
    /// Guards the file.
    writing: Mutex<()>,
}

/// A secret that the server refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blocked {
    pub account: String,
    salt: String,
    /// SHA-256 over salt and secret: recognises the secret, does not give it away.
    digest: String,
    /// The server's code.
    pub code: String,
    /// RFC 3339.
    pub since: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: u32,
    blocked: Vec<Blocked>,
}

impl Vault {
    pub fn new(data_dir: &Path) -> Vault {
        Vault { file: data_dir.join(FILE), turns: Mutex::default(), writing: Mutex::default() }
    }

    /// Waits until no other thread of this process logs on with the account.
    pub fn turn(&self, account: &str) -> Arc<Mutex<()>> {
        locked(&self.turns).entry(account.to_owned()).or_default().clone()
    }

    /// The account's secret as its file says now.
    pub fn secret(&self, login: &Login) -> Result<Secret, Failure> {
        let wrong = |words: String| Failure::own(ErrorClass::Operator, Step::Logon, "secret", words);
        let path = &login.secret_file;
        let shown = path.display();
        let about = std::fs::metadata(path)
            .map_err(|e| wrong(format!("the secret file {shown} cannot be read: {}", e.kind())))?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            if about.permissions().mode() & 0o077 != 0 {
                return Err(wrong(format!("the secret file {shown} is open to others: chmod 600")));
            }
        }
        if about.len() > SECRET_BYTES_MAX {
            return Err(wrong(format!("the secret file {shown} is longer than {SECRET_BYTES_MAX} bytes")));
        }
        let mut bytes =
            std::fs::read(path).map_err(|e| wrong(format!("the secret file {shown} cannot be read: {}", e.kind())))?;
        while matches!(bytes.last(), Some(b'\n' | b'\r')) {
            bytes.pop();
        }
        if bytes.is_empty() || std::str::from_utf8(&bytes).is_err() {
            return Err(wrong(format!("the secret file {shown} is empty or not UTF-8")));
        }
        Ok(Secret::new(bytes))
    }

    /// The entry that forbids this secret. An entry of an older secret of the account does not.
    pub fn blocked(&self, account: &str, secret: &Secret) -> Result<Option<Blocked>, Failure> {
        let _one = locked(&self.writing);
        let found = self.read()?.blocked.into_iter().find(|entry| entry.account == account);
        Ok(found.filter(|entry| digest(&entry.salt, secret) == entry.digest))
    }

    /// Every entry, also of secrets that have been changed since.
    pub fn entries(&self) -> Result<Vec<Blocked>, Failure> {
        let _one = locked(&self.writing);
        Ok(self.read()?.blocked)
    }

    /// Writes down that the server refused this secret.
    pub fn block(&self, account: &str, secret: &Secret, code: Code, now: Timestamp) -> Result<(), Failure> {
        let _one = locked(&self.writing);
        let mut salt = [0u8; 16];
        SystemRandom::new().fill(&mut salt).map_err(|_| self.wrong("no random numbers for a salt".to_owned()))?;
        let salt = hex(&salt);
        let mut file = self.read()?;
        file.format = 1;
        file.blocked.retain(|entry| entry.account != account);
        file.blocked.push(Blocked {
            account: account.to_owned(),
            digest: digest(&salt, secret),
            salt,
            code: code.to_string(),
            since: now.rfc3339(),
        });
        self.write(&file)
    }

    /// Another secret of the account was accepted.
    pub fn accepted(&self, account: &str) -> Result<(), Failure> {
        let _one = locked(&self.writing);
        let mut file = self.read()?;
        let before = file.blocked.len();
        file.blocked.retain(|entry| entry.account != account);
        if file.blocked.len() == before { Ok(()) } else { self.write(&file) }
    }

    fn read(&self) -> Result<File, Failure> {
        match std::fs::metadata(&self.file) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(File::default()),
            Ok(about) if about.len() <= BLOCKED_BYTES_MAX => {}
            _ => return Err(self.unreadable()),
        }
        let bytes = std::fs::read(&self.file).map_err(|_| self.unreadable())?;
        // What cannot be read might forbid this very secret: nobody logs on before an operator has looked.
        serde_json::from_slice::<File>(&bytes).ok().filter(|file| file.format == 1).ok_or_else(|| self.unreadable())
    }

    fn write(&self, file: &File) -> Result<(), Failure> {
        let wrong = |e: std::io::Error| self.wrong(format!("{} cannot be written: {}", self.file.display(), e.kind()));
        let text = serde_json::to_vec_pretty(file).map_err(|_| self.wrong("an entry is not JSON".to_owned()))?;
        let draft = self.file.with_extension("json.new");
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            options.mode(0o600);
        }
        let mut out = options.open(&draft).map_err(wrong)?;
        out.write_all(&text).and_then(|()| out.sync_all()).map_err(wrong)?;
        std::fs::rename(&draft, &self.file).map_err(wrong)?;
        let dir = self.file.parent().map(std::fs::File::open).transpose().map_err(wrong)?;
        dir.map_or(Ok(()), |dir| dir.sync_all()).map_err(wrong)
    }

    fn unreadable(&self) -> Failure {
        self.wrong(format!("{} cannot be read: repair or delete it, then logons go on", self.file.display()))
    }

    fn wrong(&self, words: String) -> Failure {
        Failure::own(ErrorClass::Operator, Step::Logon, "secret", words)
    }
}

/// A thread that panicked while it held the lock left nothing half done that the next one would not redo.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|broken| broken.into_inner())
}

fn digest(salt: &str, secret: &Secret) -> String {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    context.update(salt.as_bytes());
    context.update(secret.expose());
    hex(context.finish().as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_795_345_200_000);

    fn secret(text: &str) -> Secret {
        Secret::new(text.as_bytes().to_vec())
    }

    fn login(dir: &Path, text: &str) -> Login {
        let path = dir.join("read.secret");
        std::fs::write(&path, text).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        Login { user: "SB_READ".to_owned(), secret_file: path }
    }

    #[test]
    fn a_refused_secret_stays_blocked_across_restarts_until_it_changes() {
        let dir = tempfile::tempdir().unwrap();
        Vault::new(dir.path()).block("SB_READ", &secret("tiger"), Code::Ora(1017), NOW).unwrap();
        let restarted = Vault::new(dir.path());
        let entry = restarted.blocked("SB_READ", &secret("tiger")).unwrap().expect("an entry");
        assert_eq!((entry.code.as_str(), entry.since.as_str()), ("ORA-01017", "2026-11-22T20:00:00+09:00"));
        assert_eq!(restarted.blocked("SB_READ", &secret("lion")).unwrap(), None);
        assert_eq!(restarted.blocked("SB_WRITE", &secret("tiger")).unwrap(), None);
        restarted.accepted("SB_READ").unwrap();
        assert_eq!(restarted.entries().unwrap(), []);
    }

    #[test]
    fn the_file_does_not_hold_the_secret() {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::new(dir.path());
        vault.block("SB_READ", &secret("tiger"), Code::Ora(28_000), NOW).unwrap();
        let first = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
        assert!(!first.contains("tiger") && !first.contains(&hex(b"tiger")));
        vault.block("SB_READ", &secret("tiger"), Code::Ora(28_000), NOW).unwrap();
        assert_ne!(first, std::fs::read_to_string(dir.path().join(FILE)).unwrap(), "the salt is not random");
        assert_eq!(vault.entries().unwrap().len(), 1);
    }

    #[test]
    fn a_damaged_file_lets_nobody_log_on() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["", "{", "{\"format\":2,\"blocked\":[]}"] {
            std::fs::write(dir.path().join(FILE), text).unwrap();
            let refused = Vault::new(dir.path()).blocked("SB_READ", &secret("tiger")).unwrap_err();
            assert_eq!(refused.class, ErrorClass::Operator, "{text}");
        }
    }

    #[test]
    fn a_secret_is_its_file_without_the_line_end() {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::new(dir.path());
        assert_eq!(vault.secret(&login(dir.path(), "tiger \r\n")).unwrap().expose(), b"tiger ");
        for text in ["", "\n", &"x".repeat(2_000)] {
            assert!(vault.secret(&login(dir.path(), text)).is_err());
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_secret_file_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let login = login(dir.path(), "tiger");
        std::fs::set_permissions(&login.secret_file, std::fs::Permissions::from_mode(0o640)).unwrap();
        let refused = Vault::new(dir.path()).secret(&login).unwrap_err();
        assert!(refused.words.unwrap().contains("chmod 600"));
    }
}
