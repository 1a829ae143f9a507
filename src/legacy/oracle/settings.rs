//! What an operator says about the Oracle server. Owns no default for what only the site can know.

use std::path::{Path, PathBuf};

use super::error::{ErrorClass, Failure, Step};

/// Most sessions of one process, all roles together (documented to the DBA).
pub const SESSIONS_MAX: usize = 6;
/// Rows of one array fetch. Above 1,000 a round trip no longer costs less, and buffers grow: a VARCHAR2(4000) column
/// takes 16 kB a row.
pub const FETCH_ARRAY: u32 = 1_000;

#[derive(Debug, Clone)]
pub struct Settings {
    /// Where bookings are written: `//host:1521/service`, a descriptor or a name of tnsnames.ora.
    pub connect_string: String,
    /// Where is read, if that is a standby; else the same.
    pub read_connect_string: Option<String>,
    /// Owner of the interface views and of the bridge's tables.
    pub schema: String,
    /// One account or two that alternate, so that a password can be changed while the other serves.
    pub read_accounts: Vec<Login>,
    pub write_accounts: Vec<Login>,
    /// Folder of the Oracle client library; none: where the system's loader looks.
    pub client_dir: Option<PathBuf>,
    /// Folder of sqlnet.ora (connect timeouts) and tnsnames.ora; none: the client library's own.
    pub config_dir: Option<PathBuf>,
    /// Folder that `oracle-blocked.json` stands in.
    pub data_dir: PathBuf,
    /// Longest call of a session: one execute, one fetch, one commit.
    pub call_timeout_ms: u32,
    pub fetch_array: u32,
    pub text: TextMode,
}

/// An account by name and by where its secret stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    pub user: String,
    /// Holds the password and nothing else; mode 0600.
    pub secret_file: PathBuf,
}

/// How text arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextMode {
    /// `RawCp949` where the server says US7ASCII, else `Server`.
    Auto,
    /// The server converts from its character set.
    Server,
    /// The server's columns hold CP949 bytes that it believes to be US7ASCII: read as RAW, decoded here.
    RawCp949,
}

/// Which of the two sets of privileges a session has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Account {
    Read,
    Write,
}

impl Account {
    pub fn code(self) -> &'static str {
        match self {
            Account::Read => "read",
            Account::Write => "write",
        }
    }
}

impl Settings {
    /// With what a site usually leaves alone.
    pub fn new(connect_string: &str, schema: &str, data_dir: &Path) -> Settings {
        Settings {
            connect_string: connect_string.to_owned(),
            read_connect_string: None,
            schema: schema.to_owned(),
            read_accounts: Vec::new(),
            write_accounts: Vec::new(),
            client_dir: None,
            config_dir: None,
            data_dir: data_dir.to_owned(),
            call_timeout_ms: 30_000,
            fetch_array: FETCH_ARRAY,
            text: TextMode::Auto,
        }
    }

    pub fn logins(&self, account: Account) -> &[Login] {
        match account {
            Account::Read => &self.read_accounts,
            Account::Write => &self.write_accounts,
        }
    }

    /// The connect string of the account's sessions.
    pub fn target(&self, account: Account) -> &str {
        match (account, &self.read_connect_string) {
            (Account::Read, Some(standby)) => standby,
            _ => &self.connect_string,
        }
    }

    /// What can be known to be wrong before anything is connected to.
    pub fn check(&self) -> Result<(), Failure> {
        let wrong = |words: String| Err(Failure::own(ErrorClass::Operator, Step::Logon, "settings", words));
        if !is_name(&self.schema) {
            return wrong("oracle.schema is not a plain upper-case name of at most 30 bytes".to_owned());
        }
        for account in [Account::Read, Account::Write] {
            let logins = self.logins(account);
            if logins.len() > 2 {
                return wrong(format!("more than two accounts for role {}", account.code()));
            }
            if logins.iter().any(|login| login.user.is_empty() || login.user.len() > 30) {
                return wrong(format!("an account name of role {} is empty or over 30 bytes", account.code()));
            }
            if fails_over(self.target(account), self.config_dir.as_deref()) {
                return wrong(
                    "the connect string has FAILOVER_MODE: a session that moves by itself tears a cut and hides \
                     whether a commit happened; use a service without it"
                        .to_owned(),
                );
            }
        }
        if self.call_timeout_ms == 0 || self.fetch_array == 0 || self.fetch_array > 10_000 {
            return wrong("call_timeout_ms and fetch_array must be above 0, fetch_array at most 10000".to_owned());
        }
        Ok(())
    }
}

/// A plain identifier as Oracle 11.2 has them: upper case, at most 30 bytes. Anything else is refused, never escaped.
pub(super) fn is_name(name: &str) -> bool {
    name.len() <= 30
        && name.as_bytes().first().is_some_and(u8::is_ascii_uppercase)
        && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// Does the descriptor ask for transparent application failover? A name is looked up in `config_dir`'s tnsnames.ora.
fn fails_over(connect_string: &str, config_dir: Option<&Path>) -> bool {
    let asks = |text: &str| text.to_ascii_uppercase().contains("FAILOVER_MODE");
    if asks(connect_string) {
        return true;
    }
    let is_alias = !connect_string.is_empty()
        && connect_string.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    let names = config_dir.filter(|_| is_alias).and_then(|dir| std::fs::read_to_string(dir.join("tnsnames.ora")).ok());
    names.is_some_and(|names| descriptor(&names, connect_string).is_some_and(asks))
}

/// The text of one entry of tnsnames.ora: from its name to the parenthesis that closes it.
fn descriptor<'a>(names: &'a str, alias: &str) -> Option<&'a str> {
    let mut at = 0;
    for line in names.split_inclusive('\n') {
        let rest =
            line.get(..alias.len()).filter(|name| name.eq_ignore_ascii_case(alias)).map(|_| &line[alias.len()..]);
        if rest.is_some_and(|rest| rest.trim_start().starts_with('=')) {
            let entry = &names[at..];
            let mut depth = 0usize;
            for (end, c) in entry.char_indices() {
                match c {
                    '(' => depth += 1,
                    ')' if depth <= 1 => return Some(&entry[..end]),
                    ')' => depth -= 1,
                    _ => {}
                }
            }
            return Some(entry);
        }
        at += line.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(connect_string: &str) -> Settings {
        Settings::new(connect_string, "SLOTBRIDGE", Path::new("data"))
    }

    #[test]
    fn a_descriptor_with_failover_is_refused() {
        let text = "(DESCRIPTION=(ADDRESS=(HOST=a))(CONNECT_DATA=(SERVICE_NAME=x)(failover_mode=(TYPE=SELECT))))";
        let refused = settings(text).check().unwrap_err();
        assert_eq!(refused.class, ErrorClass::Operator);
        assert!(refused.words.unwrap().contains("FAILOVER_MODE"));
        assert!(settings("//host:1521/x").check().is_ok());
        let mut standby = settings("//host:1521/x");
        standby.read_connect_string = Some(text.to_owned());
        assert!(standby.check().is_err());
    }

    #[test]
    fn a_name_is_looked_up_for_failover() {
        let dir = tempfile::tempdir().unwrap();
        let names = "# names\nPLAIN =\n  (DESCRIPTION = (ADDRESS = (HOST = a)))\nmoving = (DESCRIPTION =\n (CONNECT_DATA = \
                     (FAILOVER_MODE = (TYPE = SESSION))))\n";
        std::fs::write(dir.path().join("tnsnames.ora"), names).unwrap();
        for (alias, refused) in [("plain", false), ("MOVING", true), ("absent", false)] {
            let mut settings = settings(alias);
            settings.config_dir = Some(dir.path().to_owned());
            assert_eq!(settings.check().is_err(), refused, "{alias}");
        }
    }

    #[test]
    fn a_schema_that_is_no_plain_name_is_refused() {
        for schema in ["", "slotbridge", "A B", "A\"", "_A", "A23456789012345678901234567890X", "가"] {
            let mut settings = settings("//h/s");
            settings.schema = schema.to_owned();
            assert!(settings.check().is_err(), "{schema}");
        }
    }

    #[test]
    fn a_third_account_is_refused() {
        let mut settings = settings("//h/s");
        let login = Login { user: "SB_READ".to_owned(), secret_file: "x".into() };
        settings.read_accounts = vec![login.clone(), login.clone()];
        assert!(settings.check().is_ok());
        settings.read_accounts.push(login);
        assert!(settings.check().is_err());
    }
}
