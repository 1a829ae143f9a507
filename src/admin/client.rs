//! The socket's asking side, for the command line.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Ask, Told};

/// A snapshot of a large ledger takes seconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
const ANSWER_BYTES_MAX: u64 = 4 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum AskFailed {
    #[error("no daemon answers at {path}: {source}")]
    Unreachable { path: PathBuf, source: io::Error },
    #[error("the daemon's answer is not understood: {source}")]
    Garbled { source: serde_json::Error },
    #[error("the daemon refused: {detail} ({code})")]
    Refused { code: String, detail: String },
}

pub fn ask(path: &Path, ask: &Ask) -> Result<serde_json::Value, AskFailed> {
    let line = talk(path, ask).map_err(|source| AskFailed::Unreachable { path: path.to_owned(), source })?;
    match serde_json::from_str(&line).map_err(|source| AskFailed::Garbled { source })? {
        Told::Ok(value) => Ok(value),
        Told::Error { code, detail } => Err(AskFailed::Refused { code, detail }),
    }
}

fn talk(path: &Path, ask: &Ask) -> io::Result<String> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
    let mut line = serde_json::to_vec(ask)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = String::new();
    BufReader::new(stream.take(ANSWER_BYTES_MAX)).read_line(&mut answer)?;
    Ok(answer)
}
