//! Finds marks in bytes, however they are written: UTF-8, UTF-16, base64 at every alignment, hexadecimal, escaped.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

struct Pattern {
    bytes: Vec<u8>,
    mark: String,
    written: &'static str,
}

/// Many patterns at once: the first two bytes choose the candidates.
#[derive(Default)]
pub struct Scanner {
    patterns: Vec<Pattern>,
    by_start: HashMap<[u8; 2], Vec<usize>>,
}

/// What was found: the mark's name, how it was written, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    pub mark: String,
    pub place: String,
    pub written: &'static str,
}

/// Shorter than this, chance finds a pattern in a few megabytes of random text.
const PATTERN_BYTES_MIN: usize = 8;

impl Scanner {
    /// Looks for `value` in every spelling, under the name `mark`.
    pub fn add(&mut self, mark: &str, value: &str) {
        let bytes = value.as_bytes();
        self.raw(mark, "as it is", bytes);
        self.raw(mark, "UTF-16LE", &value.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>());
        let hex = hex(bytes);
        self.raw(mark, "hexadecimal", hex.as_bytes());
        self.raw(mark, "hexadecimal", hex.to_uppercase().as_bytes());
        for alignment in 0..3 {
            self.raw(mark, "base64", &base64_at(&STANDARD, alignment, bytes));
            self.raw(mark, "base64url", &base64_at(&URL_SAFE, alignment, bytes));
        }
        if !value.is_ascii() {
            self.raw(mark, "JSON escapes", json_escaped(value).as_bytes());
            let percent = percent(bytes);
            self.raw(mark, "percent escapes", percent.as_bytes());
            self.raw(mark, "percent escapes", percent.to_lowercase().as_bytes());
        }
    }

    /// Looks for these bytes only.
    pub fn raw(&mut self, mark: &str, written: &'static str, bytes: &[u8]) {
        assert!(bytes.len() >= PATTERN_BYTES_MIN, "{mark}: {bytes:?} would be found by chance");
        self.by_start.entry([bytes[0], bytes[1]]).or_default().push(self.patterns.len());
        self.patterns.push(Pattern { bytes: bytes.to_vec(), mark: mark.to_owned(), written });
    }

    pub fn scan(&self, place: &str, text: &[u8], hits: &mut BTreeSet<Hit>) {
        let mut starts = vec![false; 1 << 16];
        for start in self.by_start.keys() {
            starts[usize::from(u16::from_le_bytes(*start))] = true;
        }
        for (at, pair) in text.windows(2).enumerate() {
            let start = [pair[0], pair[1]];
            if !starts[usize::from(u16::from_le_bytes(start))] {
                continue;
            }
            for pattern in self.by_start[&start].iter().map(|index| &self.patterns[*index]) {
                if text[at..].starts_with(&pattern.bytes) {
                    let (mark, place) = (pattern.mark.clone(), place.to_owned());
                    hits.insert(Hit { mark, place, written: pattern.written });
                }
            }
        }
    }

    pub fn hits(&self, place: &str, text: &[u8]) -> BTreeSet<Hit> {
        let mut hits = BTreeSet::new();
        self.scan(place, text, &mut hits);
        hits
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes text");
        text
    })
}

/// The characters that depend on `bytes` alone when it begins `alignment` bytes into a group of three.
fn base64_at(engine: &impl Engine, alignment: usize, bytes: &[u8]) -> Vec<u8> {
    let mut padded = vec![0; alignment];
    padded.extend_from_slice(bytes);
    let text = engine.encode(&padded).into_bytes();
    text[(alignment * 8).div_ceil(6)..padded.len() * 8 / 6].to_vec()
}

fn json_escaped(value: &str) -> String {
    value.encode_utf16().fold(String::new(), |mut text, unit| {
        match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii() => text.push(char::from(byte)),
            _ => write!(text, "\\u{unit:04x}").expect("a string takes text"),
        }
        text
    })
}

fn percent(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() {
            text.push(char::from(*byte));
        } else {
            write!(text, "%{byte:02X}").expect("a string takes text");
        }
        text
    })
}
