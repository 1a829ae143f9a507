//! Passphrases of officers' keys: typed without an echo, or out of a file that nobody else may read. Never an argument,
//! never the environment: other users of the machine can read both.

use std::path::{Path, PathBuf};

use super::{Exit, Failed};
use crate::domain::Secret;
use crate::keys::{OfficerKey, OfficerKeyError, passphrase_in};

#[derive(Debug, Clone, clap::Args)]
pub struct PassphraseArgs {
    /// File (mode 600) whose first line is the passphrase, for scripts; otherwise it is asked for.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl PassphraseArgs {
    /// Of a key that is there.
    pub fn known(&self) -> Result<Secret, Failed> {
        match &self.passphrase_file {
            Some(file) => passphrase_in(file).map_err(|error| failed(&error)),
            None => typed("암호문 / passphrase: "),
        }
    }

    /// Of a new key: typed twice.
    pub fn new_one(&self) -> Result<Secret, Failed> {
        if self.passphrase_file.is_some() {
            return self.known();
        }
        let first = typed("새 암호문 / new passphrase: ")?;
        let again = typed("한 번 더 / again: ")?;
        if first.expose() != again.expose() {
            return Err(Failed::new(Exit::Wrong, "passphrases_differ", "the two differ", "type the same twice"));
        }
        Ok(first)
    }

    pub fn open(&self, key: &Path) -> Result<OfficerKey, Failed> {
        OfficerKey::open(key, &self.known()?).map_err(|error| failed(&error))
    }
}

fn typed(prompt: &str) -> Result<Secret, Failed> {
    let typed = rpassword::prompt_password(prompt).map_err(|error| {
        let message = "there is no terminal to type a passphrase at";
        Failed::new(Exit::Wrong, "no_terminal", message, "name a file of mode 600 with --passphrase-file")
            .because(&error)
    })?;
    Ok(Secret::new(typed.into_bytes()))
}

pub fn failed(error: &OfficerKeyError) -> Failed {
    let (exit, try_) = match error {
        OfficerKeyError::File(_) => (Exit::Io, "correct the file's path, owner or mode (chmod 600)"),
        OfficerKeyError::Exists { .. } => (Exit::Exists, "choose another file"),
        OfficerKeyError::Shape { .. } => (Exit::Wrong, "name a file that `slotbridge officer keygen` made"),
        OfficerKeyError::Passphrase { .. } => (Exit::Wrong, "type it again, or restore the file from a backup"),
        OfficerKeyError::Short => (Exit::Wrong, "choose a longer one: several words are easy to remember"),
    };
    Failed::new(exit, error.code(), error, try_).because(error)
}
