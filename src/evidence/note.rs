//! Heads of the log as signed notes: C2SP tlog-checkpoint in a C2SP signed-note.
//!
//! ```text
//! slotbridge/dev/evidence
//! 1234
//! <base64 of the root>
//!
//! — slotbridge/dev/evidence <base64 of key id ‖ signature>
//! — naver <base64 of key id ‖ time ‖ signature>
//! ```
//! Whoever keeps such a note can prove that the log was longer, or another, than it is now. Partners sign heads that
//! they have seen (`cosignature/v1`), so that the agency alone cannot show two histories. As C2SP asks, signatures of
//! names that are not asked about are passed over; one of a known name must verify.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::digest;

use super::Head;
use super::tree::Hash;
use crate::domain::Timestamp;
use crate::keys::{LogKey, is_signed};

/// A note with all its signatures.
pub const NOTE_BYTES_MAX: usize = 16 * 1024;
const SIGNATURES_MAX: usize = 16;
const DASH: &str = "— ";
/// C2SP signature types.
const PLAIN: u8 = 0x01;
const COSIGNATURE: u8 = 0x04;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    #[error("not a checkpoint: {what}")]
    Shape { what: &'static str },
    #[error("not a verifier key: name+hash+base64")]
    Key,
    #[error("the checkpoint has no signature of {name}")]
    Unsigned { name: String },
    #[error("the signature of {name} does not fit the checkpoint")]
    Signature { name: String },
    #[error("the checkpoint is of another log: {origin}")]
    Origin { origin: String },
}

/// What a name signs with, as others pin it: `name+<hex key id>+<base64 of type ‖ key>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verifier {
    pub name: String,
    kind: u8,
    key: [u8; 32],
}

fn key_id(name: &str, kind: u8, key: &[u8; 32]) -> [u8; 4] {
    let hash = digest::digest(&digest::SHA256, &[name.as_bytes(), b"\n", &[kind], key].concat());
    let mut id = [0; 4];
    id.copy_from_slice(&hash.as_ref()[..4]);
    id
}

/// A name that a note can hold: without blanks and plus signs, which C2SP gives a meaning.
pub fn note_name(text: &str) -> String {
    text.trim().chars().map(|c| if c.is_whitespace() || c.is_control() || c == '+' { '-' } else { c }).collect()
}

/// Name of the log of a deployment.
pub fn origin(deployment: &str) -> String {
    format!("{}/evidence", note_name(deployment))
}

impl Verifier {
    /// Of the log itself.
    pub fn log(name: &str, key: &LogKey) -> Verifier {
        Verifier { name: name.to_owned(), kind: PLAIN, key: key.public() }
    }

    pub fn cosigner(name: &str, key: &LogKey) -> Verifier {
        Verifier { name: name.to_owned(), kind: COSIGNATURE, key: key.public() }
    }

    pub fn parse(text: &str) -> Result<Verifier, NoteError> {
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::Key);
        };
        let bytes = STANDARD.decode(key).map_err(|_| NoteError::Key)?;
        let [kind @ (PLAIN | COSIGNATURE), key @ ..] = bytes.as_slice() else { return Err(NoteError::Key) };
        let (kind, key) = (*kind, <[u8; 32]>::try_from(key).map_err(|_| NoteError::Key)?);
        let verifier = Verifier { name: name.to_owned(), kind, key };
        let is_it = verifier.to_string() == format!("{name}+{id}+{}", STANDARD.encode(&bytes)) && is_name(name);
        if is_it { Ok(verifier) } else { Err(NoteError::Key) }
    }

    fn verifies(&self, text: &str, signature: &[u8]) -> bool {
        if self.kind == PLAIN {
            return is_signed(&self.key, text.as_bytes(), signature);
        }
        let Some((time, signature)) = signature.split_first_chunk::<8>() else { return false };
        is_signed(&self.key, cosigned(text, u64::from_be_bytes(*time)).as_bytes(), signature)
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = u32::from_be_bytes(key_id(&self.name, self.kind, &self.key));
        write!(f, "{}+{id:08x}+{}", self.name, STANDARD.encode([&[self.kind][..], &self.key].concat()))
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && note_name(name) == name
}

fn cosigned(text: &str, seconds: u64) -> String {
    format!("cosignature/v1\ntime {seconds}\n{text}")
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    name: String,
    key_id: [u8; 4],
    signature: Vec<u8>,
}

/// A head and who signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    pub origin: String,
    pub head: Head,
    /// Exactly what is signed.
    text: String,
    lines: Vec<Line>,
}

impl Checkpoint {
    /// The head, signed by the log's key.
    pub fn sign(origin: &str, head: Head, key: &LogKey) -> Checkpoint {
        let text = format!("{origin}\n{}\n{}\n", head.size, STANDARD.encode(head.root.0));
        let signature = key.sign(text.as_bytes());
        let line = Line { name: origin.to_owned(), key_id: key_id(origin, PLAIN, &key.public()), signature };
        Checkpoint { origin: origin.to_owned(), head, text, lines: vec![line] }
    }

    /// Adds the signature of somebody who has seen this head. A second one of the same name and key is the newer one.
    pub fn cosign(&mut self, name: &str, key: &LogKey, at: Timestamp) {
        let seconds = u64::try_from(at.0 / 1_000).unwrap_or(0);
        let signed = key.sign(cosigned(&self.text, seconds).as_bytes());
        let key_id = key_id(name, COSIGNATURE, &key.public());
        self.lines.retain(|line| line.name != name || line.key_id != key_id);
        let signature = [&seconds.to_be_bytes()[..], &signed].concat();
        self.lines.push(Line { name: name.to_owned(), key_id, signature });
    }

    pub fn parse(bytes: &[u8]) -> Result<Checkpoint, NoteError> {
        let bad = |what| NoteError::Shape { what };
        if bytes.len() > NOTE_BYTES_MAX {
            return Err(bad("larger than 16 KiB"));
        }
        let whole = std::str::from_utf8(bytes).map_err(|_| bad("not UTF-8"))?;
        if whole.chars().any(|c| c.is_control() && c != '\n') {
            return Err(bad("control characters"));
        }
        let at = whole.rfind("\n\n").ok_or(bad("no blank line before the signatures"))?;
        let (text, signatures) = (&whole[..=at], &whole[at + 2..]);
        let mut lines = text.lines();
        let origin = lines.next().filter(|origin| !origin.is_empty()).ok_or(bad("no origin"))?;
        let size = lines.next().and_then(|size| size.parse::<u64>().ok().filter(|n| n.to_string() == size));
        let size = size.ok_or(bad("no size"))?;
        let root = lines.next().and_then(|root| STANDARD.decode(root).ok()?.try_into().ok());
        let root = Hash(root.ok_or(bad("no root"))?);
        if lines.any(str::is_empty) {
            return Err(bad("an empty line"));
        }
        let signatures = signatures.strip_suffix('\n').ok_or(bad("no newline at the end"))?;
        let lines = signatures.split('\n').map(Line::parse).collect::<Option<Vec<_>>>();
        let lines = lines.ok_or(bad("a signature line of another form"))?;
        if lines.len() > SIGNATURES_MAX {
            return Err(bad("too many signatures"));
        }
        Ok(Checkpoint { origin: origin.to_owned(), head: Head { size, root }, text: text.to_owned(), lines })
    }

    /// Is this head signed by that key?
    ///
    /// # Errors
    /// There is no signature of the name and key, or one that does not fit.
    pub fn verify(&self, by: &Verifier) -> Result<(), NoteError> {
        let id = key_id(&by.name, by.kind, &by.key);
        let mut of = self.lines.iter().filter(|line| line.name == by.name && line.key_id == id).peekable();
        if of.peek().is_none() {
            return Err(NoteError::Unsigned { name: by.name.clone() });
        }
        match of.all(|line| by.verifies(&self.text, &line.signature)) {
            true => Ok(()),
            false => Err(NoteError::Signature { name: by.name.clone() }),
        }
    }

    /// Is this a head of the log of that key, and signed by it?
    ///
    /// # Errors
    /// Another log's, or as `verify`.
    pub fn verify_log(&self, log: &Verifier) -> Result<(), NoteError> {
        match self.origin == log.name {
            true => self.verify(log),
            false => Err(NoteError::Origin { origin: self.origin.clone() }),
        }
    }

    /// Who signed, verified or not.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(|line| line.name.as_str())
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.lines.iter().try_for_each(|line| {
            writeln!(f, "{DASH}{} {}", line.name, STANDARD.encode([&line.key_id[..], &line.signature].concat()))
        })
    }
}

impl Line {
    fn parse(line: &str) -> Option<Line> {
        let (name, encoded) = line.strip_prefix(DASH)?.split_once(' ')?;
        let bytes = STANDARD.decode(encoded).ok()?;
        let (key_id, signature) = bytes.split_first_chunk::<4>()?;
        is_name(name).then(|| Line { name: name.to_owned(), key_id: *key_id, signature: signature.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::leaf_hash;
    use super::*;
    use crate::keys::KeyFolder;

    fn keys() -> (tempfile::TempDir, LogKey, LogKey) {
        let dir = tempfile::tempdir().unwrap();
        let folder = KeyFolder::open(&dir.path().join("keys")).unwrap();
        let keys = (LogKey::open(&folder, "log").unwrap(), LogKey::open(&folder, "naver").unwrap());
        (dir, keys.0, keys.1)
    }

    #[test]
    fn the_example_of_another_implementation_verifies() {
        // golang.org/x/mod/sumdb/note: type 0x01 over a text of more lines.
        let key = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let verifier = Verifier::parse(key).unwrap();
        assert_eq!(verifier.to_string(), key);
        let text =
            "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
        let encoded = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";
        let bytes = STANDARD.decode(encoded).unwrap();
        assert!(verifier.verifies(text, &bytes[4..]));
        assert!(!verifier.verifies(&text[1..], &bytes[4..]));
        assert_eq!(key_id("PeterNeumann", PLAIN, &verifier.key), bytes[..4]);
    }

    #[test]
    fn a_checkpoint_is_signed_cosigned_and_read_back() {
        let (_dir, log, naver) = keys();
        let head = Head { size: 12, root: leaf_hash(&[b"root"]) };
        let name = origin("질병청 예약+중계");
        assert_eq!(name, "질병청-예약-중계/evidence");
        let mut signed = Checkpoint::sign(&name, head, &log);
        signed.cosign("naver", &naver, Timestamp(1_795_345_200_000));
        signed.cosign("naver", &naver, Timestamp(1_795_345_201_000));
        let read = Checkpoint::parse(signed.to_string().as_bytes()).unwrap();
        assert_eq!(read, signed);
        assert_eq!(read.names().collect::<Vec<_>>(), [&name, "naver"]);
        read.verify(&Verifier::log(&name, &log)).unwrap();
        read.verify(&Verifier::cosigner("naver", &naver)).unwrap();
        let stranger = read.verify(&Verifier::cosigner("kakao", &naver)).unwrap_err();
        assert_eq!(stranger, NoteError::Unsigned { name: "kakao".to_owned() });
        // A cosignature is no plain signature of the same key.
        assert!(read.verify(&Verifier::log("naver", &naver)).is_err());
        let forged = signed.to_string().replace("\n12\n", "\n13\n");
        let forged = Checkpoint::parse(forged.as_bytes()).unwrap();
        assert_eq!(forged.verify(&Verifier::log(&name, &log)), Err(NoteError::Signature { name: name.clone() }));
        assert!(forged.verify(&Verifier::cosigner("naver", &naver)).is_err());
        for bad in ["\n012\n", "\n-1\n", "\n\n", "\n12 \n", "\n1\u{7}2\n"] {
            assert!(Checkpoint::parse(signed.to_string().replace("\n12\n", bad).as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_verifier_key_has_one_form() {
        let (_dir, log, _) = keys();
        let text = Verifier::log("a/evidence", &log).to_string();
        assert_eq!(Verifier::parse(&text).unwrap(), Verifier::log("a/evidence", &log));
        let id = text.split('+').nth(1).unwrap();
        for bad in
            [text.replace(id, "00000000"), text.replacen('a', "b", 1), text.replace("a/", "a "), text[..20].into()]
        {
            assert_eq!(Verifier::parse(&bad), Err(NoteError::Key), "{bad}");
        }
    }
}
