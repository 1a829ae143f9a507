//! The envelope of a signed note as C2SP has it: text, blank line, signature lines. Knows nothing of what the text says.
//!
//! Stricter than C2SP, which lets readers pass over signatures that they do not know: here one unknown or broken line
//! refuses the note, so that every byte of a note is either verified or refused.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::privacy::sha256_hex;

use super::flaw::Flaw;
use super::text::{SIGNATURE, refuse_unsignable};

/// A mapping with 300 columns makes some 100 KiB of text.
pub const NOTE_BYTES_MAX: usize = 256 * 1024;
/// Officers who sign the same text.
pub const SIGNATURES_MAX: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Exactly what is signed; ends with a newline.
    pub text: String,
    pub signatures: Vec<NoteSignature>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    pub name: String,
    pub key_id: [u8; 4],
    pub signature: Vec<u8>,
}

impl Note {
    /// # Errors
    /// Not the one form that `to_string` writes.
    pub fn parse(bytes: &[u8]) -> Result<Note, Flaw> {
        let bad = |why: &str| Flaw::NotANote { what: "the file".to_owned(), why: why.to_owned() };
        if bytes.len() > NOTE_BYTES_MAX {
            return Err(bad("larger than 256 KiB"));
        }
        let whole = std::str::from_utf8(bytes).map_err(|_| bad("not UTF-8"))?;
        let at = whole.rfind("\n\n").ok_or_else(|| bad("no blank line before the signatures"))?;
        let (text, lines) = (&whole[..=at], &whole[at + 2..]);
        refuse_unsignable(text)?;
        let lines = lines.strip_suffix('\n').ok_or_else(|| bad("no newline at the end"))?;
        let mut signatures = Vec::new();
        for line in lines.split('\n') {
            if signatures.len() >= SIGNATURES_MAX {
                return Err(bad("too many signatures"));
            }
            signatures.push(NoteSignature::parse(line).ok_or_else(|| bad("a signature line of another form"))?);
        }
        Ok(Note { text: text.to_owned(), signatures })
    }

    /// Names the note, whoever signs it as well: SHA-256 of the text.
    pub fn digest(&self) -> String {
        sha256_hex(self.text.as_bytes())
    }
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| {
            let bytes = [&signature.key_id[..], &signature.signature].concat();
            writeln!(f, "{SIGNATURE}{} {}", signature.name, STANDARD.encode(bytes))
        })
    }
}

impl NoteSignature {
    fn parse(line: &str) -> Option<NoteSignature> {
        let (name, encoded) = line.strip_prefix(SIGNATURE)?.split_once(' ')?;
        // Without padding bits and in one alphabet: one signature has one form.
        let bytes = STANDARD.decode(encoded).ok()?;
        let (key_id, signature) = bytes.split_first_chunk::<4>()?;
        let named = !name.is_empty() && !name.contains('+') && !name.contains(char::is_whitespace);
        named.then(|| NoteSignature { name: name.to_owned(), key_id: *key_id, signature: signature.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::PublicKey;
    use super::*;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    /// The example of golang.org/x/mod/sumdb/note: text, key and signature made by another implementation.
    const GO: &str = "If you think cryptography is the answer to your problem,\n\
                      then you don't know what your problem is.\n\n\
                      — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    const GO_KEY: &str = "ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

    #[test]
    fn a_note_that_another_implementation_signed_verifies() {
        let note = Note::parse(GO.as_bytes()).unwrap();
        assert_eq!(note.to_string(), GO);
        let vkey = STANDARD.decode(GO_KEY).unwrap();
        assert_eq!(vkey[0], 1);
        let key = PublicKey::parse(&format!("ed25519:{}", URL_SAFE_NO_PAD.encode(&vkey[1..]))).unwrap();
        let signature = &note.signatures[0];
        assert_eq!((signature.key_id, key.id("PeterNeumann")), ([0xc7, 0x4f, 0x20, 0xa3], [0xc7, 0x4f, 0x20, 0xa3]));
        assert!(key.verifies(&note.text, &signature.signature));
        assert!(!key.verifies(&note.text[1..], &signature.signature));
    }

    #[test]
    fn what_is_not_exactly_a_note_is_refused() {
        let line = GO.lines().last().unwrap();
        for (why, text) in [
            ("no blank line", GO.replace("\n\n", "\n")),
            ("no newline at the end", GO.trim_end().to_owned()),
            ("no signature", GO.replace(line, "")),
            ("another dash", GO.replace("— ", "- ")),
            ("padding bits", GO.replace("nAM=", "nAN=")),
            ("a signature in the text", GO.replacen("If", &format!("{line}\nIf"), 1)),
            ("carriage return", GO.replace('\n', "\r\n")),
            ("bidirectional", GO.replacen("If", "\u{202e}If", 1)),
            ("zero width", GO.replacen("If", "I\u{200b}f", 1)),
            ("Hangul filler", GO.replacen("If", "I\u{3164}f", 1)),
            ("control", GO.replacen("If", "I\u{7}f", 1)),
            ("not NFC", GO.replacen("If", "\u{1100}\u{1161}If", 1)),
            ("17 signatures", GO.replace(line, vec![line; 17].join("\n").as_str())),
        ] {
            assert!(Note::parse(text.as_bytes()).is_err(), "{why}");
        }
    }
}
