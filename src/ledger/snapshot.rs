//! Snapshots of the desk's state: files that shorten a restart. Losing them all costs time, nothing else.
//!
//! Layout: magic, format, position, incarnation, head hash, payload (postcard), SHA-256 over all of it. A snapshot
//! counts only if its head is a batch of the ledger at hand, so one from before a restore is never used.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use ring::digest::{Context, SHA256};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::chain::Hash;
use super::{Head, LedgerError, files};
use crate::domain::{Incarnation, Position};

/// Changes whenever the payload's type does.
pub const FORMAT: u32 = 2;

const MAGIC: [u8; 8] = *b"SBDESK\r\n";
const HEADER_BYTES: usize = 8 + 4 + 8 + 8 + 32;
const DIGEST_BYTES: u64 = 32;

/// The newest may turn out to be unreadable; two older than that help nobody.
const KEPT: usize = 2;

/// Longest single text or byte string in the payload.
const SCRATCH_BYTES: usize = 1 << 20;

/// Where in which ledger the state was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub incarnation: Incarnation,
    pub head: Head,
}

/// A snapshot that was passed over, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    pub file: String,
    pub why: String,
}

/// The newest usable snapshot, if any, and those passed over.
#[derive(Debug)]
pub struct Loaded<T> {
    pub found: Option<(Header, T)>,
    pub skipped: Vec<Skipped>,
}

/// Writes the snapshot and drops all but the newest two.
pub fn save<T: Serialize>(dir: &Path, header: &Header, state: &T) -> Result<PathBuf, LedgerError> {
    files::create_dir(dir).map_err(LedgerError::file("cannot create", dir))?;
    let path = dir.join(file_name(header.head.position));
    let failed = || LedgerError::file("cannot write the snapshot", &path);
    write(&path, header, state).map_err(failed())?;
    files::finish(&path).map_err(failed())?;
    for (_, old) in list(dir)?.iter().rev().skip(KEPT) {
        files::remove_if_there(old).map_err(LedgerError::file("cannot remove", old))?;
    }
    Ok(path)
}

/// Newest first, the first that is whole and that `is_of_ledger` accepts. No snapshot at all is no error.
pub fn load<T: DeserializeOwned>(
    dir: &Path,
    is_of_ledger: impl Fn(&Header) -> Result<bool, LedgerError>,
) -> Result<Loaded<T>, LedgerError> {
    let mut loaded = Loaded { found: None, skipped: Vec::new() };
    if !dir.exists() {
        return Ok(loaded);
    }
    for (position, path) in list(dir)?.into_iter().rev() {
        let mut skip = |why: String| loaded.skipped.push(Skipped { file: file_name(position), why });
        let header = match check(&path) {
            Ok(header) if header.head.position == position => header,
            Ok(_) => {
                skip("its name and its header differ".to_owned());
                continue;
            }
            Err(error) => {
                skip(error.to_string());
                continue;
            }
        };
        if !is_of_ledger(&header)? {
            skip("it belongs to another ledger".to_owned());
            continue;
        }
        match decode(&path) {
            Ok(state) => {
                loaded.found = Some((header, state));
                break;
            }
            Err(error) => skip(error.to_string()),
        }
    }
    Ok(loaded)
}

fn file_name(position: Position) -> String {
    format!("snap-{:016}.bin", position.0)
}

/// Oldest first.
fn list(dir: &Path) -> Result<Vec<(Position, PathBuf)>, LedgerError> {
    let failed = || LedgerError::file("cannot list", dir);
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed())? {
        let path = entry.map_err(failed())?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let digits = name.and_then(|name| name.strip_prefix("snap-")?.strip_suffix(".bin"));
        if let Some(position) = digits.and_then(|digits| digits.parse().ok()) {
            found.push((Position(position), path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Hashes what passes through.
struct Hashed<W> {
    inner: W,
    context: Context,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.context.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Streams, so that the state is never in memory twice.
fn write<T: Serialize>(path: &Path, header: &Header, state: &T) -> io::Result<()> {
    let file = files::create_file(&files::unfinished(path))?;
    let hashed = Hashed { inner: file, context: Context::new(&SHA256) };
    let mut out = BufWriter::with_capacity(1 << 18, hashed);
    out.write_all(&MAGIC)?;
    out.write_all(&FORMAT.to_be_bytes())?;
    out.write_all(&header.head.position.0.to_be_bytes())?;
    out.write_all(&header.incarnation.0.to_be_bytes())?;
    out.write_all(&header.head.hash.0)?;
    postcard::to_io(state, &mut out).map_err(io::Error::other)?;
    let Hashed { mut inner, context } = out.into_inner().map_err(|error| error.into_error())?;
    inner.write_all(context.finish().as_ref())?;
    inner.sync_all()
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Reads the whole file against its digest.
fn check(path: &Path) -> io::Result<Header> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let hashed = size.checked_sub(DIGEST_BYTES).filter(|size| *size >= HEADER_BYTES as u64);
    let hashed = hashed.ok_or_else(|| invalid("it is cut short"))?;
    let mut header = [0u8; HEADER_BYTES];
    file.read_exact(&mut header)?;
    if header[..8] != MAGIC {
        return Err(invalid("it is no snapshot"));
    }
    if header[8..12] != FORMAT.to_be_bytes() {
        return Err(invalid("another version wrote it"));
    }
    let mut context = Context::new(&SHA256);
    context.update(&header);
    let mut left = hashed - HEADER_BYTES as u64;
    let mut piece = vec![0u8; 1 << 18];
    while left > 0 {
        let wanted = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        file.read_exact(&mut piece[..wanted])?;
        context.update(&piece[..wanted]);
        left -= wanted as u64;
    }
    let mut digest = [0u8; 32];
    file.read_exact(&mut digest)?;
    if context.finish().as_ref() != digest {
        return Err(invalid("its digest does not match"));
    }
    let number = |at: usize| u64::from_be_bytes(header[at..at + 8].try_into().expect("8 bytes"));
    let hash = Hash(header[28..60].try_into().expect("32 bytes"));
    Ok(Header { incarnation: Incarnation(number(20)), head: Head { position: Position(number(12)), hash } })
}

fn decode<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(HEADER_BYTES as u64))?;
    let mut scratch = vec![0u8; SCRATCH_BYTES];
    let reader = BufReader::with_capacity(1 << 18, file);
    let (state, _) = postcard::from_io((reader, &mut scratch[..])).map_err(io::Error::other)?;
    Ok(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(position: u64) -> Header {
        Header {
            incarnation: Incarnation(7),
            head: Head { position: Position(position), hash: Hash([position as u8; 32]) },
        }
    }

    fn states(dir: &Path, positions: &[u64]) {
        for position in positions {
            save(dir, &header(*position), &vec![format!("state {position}"); 1_000]).expect("a snapshot");
        }
    }

    fn newest(dir: &Path) -> (Option<u64>, Vec<String>) {
        let loaded: Loaded<Vec<String>> = load(dir, |_| Ok(true)).expect("a directory that can be read");
        let found = loaded.found.map(|(found, state)| {
            assert_eq!(found, header(found.head.position.0));
            assert_eq!(state, vec![format!("state {}", found.head.position); 1_000]);
            found.head.position.0
        });
        (found, loaded.skipped.into_iter().map(|skipped| skipped.why).collect())
    }

    #[test]
    fn the_newest_two_snapshots_are_kept() {
        let dir = tempfile::tempdir().expect("a directory");
        assert_eq!(newest(&dir.path().join("none")), (None, vec![]));
        states(dir.path(), &[5, 9, 12]);
        assert_eq!(newest(dir.path()), (Some(12), vec![]));
        assert_eq!(list(dir.path()).map(|found| found.len()).ok(), Some(2));
    }

    #[test]
    fn a_damaged_snapshot_is_passed_over_for_the_older_one() {
        let dir = tempfile::tempdir().expect("a directory");
        states(dir.path(), &[5, 9]);
        let path = dir.path().join(file_name(Position(9)));
        let whole = fs::read(&path).expect("the snapshot");
        for at in [0, 10, 15, 25, 40, 70, whole.len() - 1] {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            fs::write(&path, &bytes).expect("the snapshot");
            let (found, skipped) = newest(dir.path());
            assert_eq!((found, skipped.len()), (Some(5), 1), "byte {at}");
        }
        fs::write(&path, &whole[..whole.len() / 2]).expect("the snapshot");
        assert_eq!(newest(dir.path()).0, Some(5));
        fs::write(&path, b"").expect("the snapshot");
        assert_eq!(newest(dir.path()), (Some(5), vec!["it is cut short".to_owned()]));
        fs::write(dir.path().join(file_name(Position(5))), b"").expect("the snapshot");
        assert_eq!(newest(dir.path()).0, None);
    }

    #[test]
    fn a_snapshot_of_another_ledger_is_passed_over() {
        let dir = tempfile::tempdir().expect("a directory");
        states(dir.path(), &[5, 9]);
        let loaded: Loaded<Vec<String>> = load(dir.path(), |found| Ok(found.head.position.0 < 9)).expect("read");
        assert_eq!(loaded.found.map(|(found, _)| found), Some(header(5)));
        assert_eq!(loaded.skipped[0].why, "it belongs to another ledger");
    }

    #[test]
    fn a_snapshot_that_was_being_written_is_not_seen() {
        let dir = tempfile::tempdir().expect("a directory");
        states(dir.path(), &[5]);
        write(&dir.path().join(file_name(Position(9))), &header(9), &vec![0u8; 100]).expect("an unfinished file");
        assert_eq!(newest(dir.path()), (Some(5), vec![]));
    }
}
