//! The Oracle client library: loaded once a process, from the configured folder, and only a version that reaches 11.2.

use std::path::Path;
use std::sync::Mutex;

use oracle::{InitParams, Version};

use super::error::{Code, ErrorClass, Failure, Step};
use super::settings::Settings;

/// What is known of the loaded library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    pub major: i32,
    pub minor: i32,
}

impl Client {
    /// From client 18 on, the library itself ends a call that takes too long.
    pub fn has_call_timeout(self) -> bool {
        self.major >= 18
    }

    /// What an operator should know about this version, if anything.
    pub fn note(self) -> Option<&'static str> {
        match judge(self.major, self.minor) {
            Judgement::Doubtful(note) => Some(note),
            Judgement::Fine | Judgement::Refused(_) => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Judgement {
    Fine,
    Doubtful(&'static str),
    Refused(&'static str),
}

/// Which client versions reach a server 11.2.
fn judge(major: i32, minor: i32) -> Judgement {
    match (major, minor) {
        (..=11, _) => Judgement::Refused("older than 12: the driver does not support it with this server"),
        (12, ..=1) => Judgement::Doubtful("Oracle client 12.1 was never tried with the bridge: use Instant Client 19"),
        (12 | 18 | 19, _) => Judgement::Fine,
        (20..=22, _) => {
            Judgement::Doubtful("Oracle client 21 reaches 11.2 without Oracle's support for it: use Instant Client 19")
        }
        (23.., _) => Judgement::Refused("23 and later cannot log on to a server 11.2"),
        _ => Judgement::Refused("unknown"),
    }
}

/// Loads the library if that was not done before. The folder of the first call holds for the whole process.
pub fn load(settings: &Settings) -> Result<Client, Failure> {
    // The driver keeps a success for ever; a failure may be tried again after the library was installed.
    static LOADING: Mutex<()> = Mutex::new(());
    let _one = LOADING.lock().unwrap_or_else(|broken| broken.into_inner());
    let mut params = InitParams::new();
    let wrong = |error: &oracle::Error| {
        let mut failure = Failure::of(error, Step::Logon, "client");
        if failure.code == Code::Dpi(1047) {
            failure.words = Some(missing(settings.client_dir.as_deref()));
        }
        failure
    };
    params.default_driver_name(concat!("slotbridge : ", env!("CARGO_PKG_VERSION"))).map_err(|e| wrong(&e))?;
    if let Some(dir) = &settings.client_dir {
        params.oracle_client_lib_dir(dir).map_err(|e| wrong(&e))?;
    }
    if let Some(dir) = &settings.config_dir {
        params.oracle_client_config_dir(dir).map_err(|e| wrong(&e))?;
    }
    params.init().map_err(|e| wrong(&e))?;
    let version = Version::client().map_err(|e| wrong(&e))?;
    let client = Client { major: version.major(), minor: version.minor() };
    match judge(client.major, client.minor) {
        Judgement::Refused(why) => Err(refused(client, why)),
        Judgement::Fine | Judgement::Doubtful(_) => Ok(client),
    }
}

fn refused(client: Client, why: &str) -> Failure {
    let words = format!("Oracle client {}.{} is refused: {why}; install Instant Client 19", client.major, client.minor);
    Failure::own(ErrorClass::Operator, Step::Logon, "client", words)
}

/// DPI-1047 in words that end with what to do; one screen.
pub fn missing(client_dir: Option<&Path>) -> String {
    let looked = match client_dir {
        Some(dir) => format!("in {} (oracle.client_dir)", dir.display()),
        None => "where the system's loader looks (oracle.client_dir is not set)".to_owned(),
    };
    format!(
        "DPI-1047: the Oracle client library (libclntsh.so) could not be loaded.
  Looked {looked}.

  What is missing: Oracle Instant Client 19, Basic Light. It is Oracle's, so it is not shipped with slotbridge.
  Where to get it: https://www.oracle.com/database/technologies/instant-client/downloads.html
                   Linux x86-64 or ARM64, version 19, package \"Basic Light\"; 21 is doubtful, 23 cannot reach 11.2.
  Where to put it: unpack the zip, for example to /opt/oracle/instantclient_19_25, readable by the service user, and say so
                   in slotbridge.toml:
                     [oracle]
                     client_dir = \"/opt/oracle/instantclient_19_25\"
  It also needs:   libaio (package libaio or libaio1; on systems with libaio1t64, link libaio.so.1 to libaio.so.1t64).
  Is it there but not found? The folder must hold libclntsh.so itself and the libraries beside it; 64 bits like slotbridge:
                     ldd <client_dir>/libclntsh.so | grep 'not found'
  How to check:    slotbridge doctor"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_clients_that_reach_11_2_are_taken() {
        let fine = [(12, 2), (18, 0), (18, 5), (19, 0), (19, 25)];
        assert!(fine.iter().all(|(major, minor)| judge(*major, *minor) == Judgement::Fine));
        for (major, minor) in [(12, 1), (21, 0), (21, 13)] {
            assert!(matches!(judge(major, minor), Judgement::Doubtful(_)), "{major}.{minor}");
            assert!(Client { major, minor }.note().is_some());
        }
        for (major, minor) in [(11, 2), (10, 2), (23, 0), (23, 5), (26, 1)] {
            assert!(matches!(judge(major, minor), Judgement::Refused(_)), "{major}.{minor}");
        }
        assert!(refused(Client { major: 23, minor: 5 }, "x").words.is_some_and(|w| w.contains("23.5")));
    }

    #[test]
    fn a_missing_client_is_explained_on_one_screen() {
        let text = missing(Some(Path::new("/opt/ic")));
        for word in
            ["DPI-1047", "/opt/ic", "Instant Client 19", "Basic Light", "client_dir", "libaio", "slotbridge doctor"]
        {
            assert!(text.contains(word), "{word}");
        }
        assert!(text.lines().count() <= 24 && text.lines().all(|line| line.chars().count() <= 130));
        assert!(missing(None).contains("oracle.client_dir is not set"));
    }

    #[test]
    fn a_folder_without_the_library_is_an_error_that_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = Settings::new("//host/service", "SLOTBRIDGE", dir.path());
        settings.client_dir = Some(dir.path().to_owned());
        let failure = load(&settings).unwrap_err();
        assert_eq!((failure.code, failure.class), (Code::Dpi(1047), ErrorClass::Operator));
        let told = crate::legacy::LegacyError::from(failure);
        assert_eq!(told.message, missing(Some(dir.path())));
        assert_eq!(told.kind, crate::legacy::LegacyErrorKind::Operator);
    }
}
