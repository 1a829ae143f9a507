//! Bytes of the folder to a checked set, or every problem at once.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use unicode_normalization::{UnicodeNormalization, is_nfc};

use crate::domain::PartnerId;

use super::catalogue::Catalogue;
use super::check::{Context, check_mapping};
use super::check_across::check_across;
use super::check_catalogue::{check_catalogue, check_partners, check_policy};
use super::error::{MappingError, RuleId};
use super::feed_mapping::{FeedKind, FeedMapping};
use super::policy::{Partner, Partners, Policy};
use super::set::MappingSet;
use super::table::Table;

/// Bound of one file; the largest shipped one is a tenth of it.
pub const FILE_BYTES_MAX: usize = 256 * 1024;
/// Bound of the folder: four mappings for each of 100 partners, and tables.
pub const FILES_MAX: usize = 500;

/// Gathers problems with their place.
pub(super) struct Problems<'a> {
    texts: &'a BTreeMap<String, Arc<str>>,
    pub found: Vec<MappingError>,
}

impl<'a> Problems<'a> {
    pub fn text(&self, file: &str) -> Option<&'a Arc<str>> {
        self.texts.get(file)
    }

    pub fn add(
        &mut self,
        file: &str,
        span: Range<usize>,
        rule: RuleId,
        what: impl Into<String>,
        help: impl Into<String>,
    ) {
        let text = self.texts.get(file).cloned().unwrap_or_else(|| Arc::from(""));
        self.found.push(MappingError::new(file, &text, span, rule, what, help));
    }
}

/// One mapping with where it stands.
#[derive(Debug, Clone)]
pub struct Drawn {
    pub file: String,
    pub partner: PartnerId,
    pub kind: FeedKind,
    pub mapping: FeedMapping,
}

/// All of a folder that could be read, whatever is wrong with the rest: what the linter judges.
#[derive(Debug, Clone, Default)]
pub struct Parts {
    /// Of every file that is UTF-8 and within bounds.
    pub texts: BTreeMap<String, Arc<str>>,
    pub catalogue: Option<Catalogue>,
    pub policy: Option<Policy>,
    pub partners: Option<Partners>,
    pub mappings: Vec<Drawn>,
    pub tables: BTreeMap<String, Table>,
    /// By file and place.
    pub problems: Vec<MappingError>,
}

/// Reads a mappings folder given as path → bytes (`catalog.toml`, `naver/slots.toml`, `tables/slot_status.csv`).
/// `officers.toml`, `approvals/` and Markdown files outside `consents/` are not this loader's and are passed over.
///
/// # Errors
/// Every problem found, by file and place. Of a file that is not TOML, or of the wrong shape, unknown keys and the first
/// other problem are known.
pub fn load(files: &BTreeMap<String, Vec<u8>>) -> Result<MappingSet, Vec<MappingError>> {
    let parts = read(files);
    let (Some(catalogue), Some(policy), Some(partners), true) =
        (parts.catalogue, parts.policy, parts.partners, parts.problems.is_empty())
    else {
        return Err(parts.problems);
    };
    let partners = partners.partners.into_iter().map(|p| (p.id.get_ref().clone(), p)).collect();
    let feeds = parts.mappings.into_iter().map(|drawn| ((drawn.partner, drawn.kind), drawn.mapping)).collect();
    let consents = parts.texts.into_iter().filter(|(name, _)| name.starts_with("consents/")).collect();
    Ok(MappingSet {
        catalogue,
        policy,
        partners,
        feeds,
        tables: parts.tables,
        consents,
        roster: None,
        pinned: BTreeMap::new(),
    })
}

/// As `load`, and keeps what could be read.
pub fn read(files: &BTreeMap<String, Vec<u8>>) -> Parts {
    let mut unreadable = Vec::new();
    let texts = texts(files, &mut unreadable);
    let mut problems = Problems { texts: &texts, found: unreadable };
    if files.len() > FILES_MAX {
        let what = format!("the folder holds more than {FILES_MAX} files");
        problems.add("mappings", 0..0, RuleId::Unreadable, what, "move what is not a mapping out of the folder");
    }
    let catalogue: Option<Catalogue> = required(&mut problems, "catalog.toml");
    let policy: Option<Policy> = required(&mut problems, "policy.toml");
    let partners: Option<Partners> = required(&mut problems, "partners.toml");
    let mut tables = BTreeMap::new();
    let mut broken = BTreeSet::new();
    let mut mappings: Vec<Drawn> = Vec::new();
    for name in texts.keys() {
        match place(name) {
            Place::Known | Place::Passed => {}
            Place::Table => read_table(&mut problems, name, &mut tables, &mut broken),
            Place::Mapping(partner, kind) => {
                let drawn = |mapping| Drawn { file: name.clone(), partner, kind, mapping };
                mappings.extend(parse(&mut problems, name).map(drawn));
            }
            Place::Stray => problems.add(
                name,
                0..0,
                RuleId::Place,
                "the file has no place in a mappings folder",
                "mappings are <partner>/{sites,slots,eligibility,bookings}.toml, tables are tables/*.csv and hierarchies/*.csv",
            ),
        }
    }
    if let (Some(catalogue), Some(policy), Some(partners)) = (&catalogue, &policy, &partners) {
        check_catalogue(&mut problems, catalogue);
        check_policy(&mut problems, catalogue, policy);
        check_partners(&mut problems, policy, partners);
        let partners: BTreeMap<PartnerId, Partner> =
            partners.partners.iter().map(|p| (p.id.get_ref().clone(), p.clone())).collect();
        let context = Context { catalogue, policy, partners: &partners, tables: &tables, broken: &broken };
        for drawn in &mappings {
            check_mapping(&mut problems, &context, &drawn.file, &drawn.partner, drawn.kind, &drawn.mapping);
        }
        check_across(&mut problems, &mappings);
    }
    let problems = sorted(problems.found);
    Parts { texts, catalogue, policy, partners, mappings, tables, problems }
}

fn sorted(mut found: Vec<MappingError>) -> Vec<MappingError> {
    found.sort_by(|a, b| (a.file(), a.span.start).cmp(&(b.file(), b.span.start)));
    found
}

enum Place {
    Known,
    /// Belongs in the folder, but not to this loader.
    Passed,
    Table,
    Mapping(PartnerId, FeedKind),
    Stray,
}

fn place(name: &str) -> Place {
    let parts: Vec<&str> = name.split('/').collect();
    match parts.as_slice() {
        ["catalog.toml" | "policy.toml" | "partners.toml"] => Place::Known,
        ["officers.toml"] | ["approvals", ..] => Place::Passed,
        ["consents", file] if file.ends_with(".ko.md") => Place::Known,
        [.., file] if file.ends_with(".md") => Place::Passed,
        ["tables" | "hierarchies", file] if file.ends_with(".csv") => Place::Table,
        [partner, file] => {
            let kind = file.strip_suffix(".toml").and_then(FeedKind::from_code);
            match (PartnerId::new(partner), kind) {
                (Ok(partner), Some(kind)) => Place::Mapping(partner, kind),
                _ => Place::Stray,
            }
        }
        _ => Place::Stray,
    }
}

fn texts(files: &BTreeMap<String, Vec<u8>>, problems: &mut Vec<MappingError>) -> BTreeMap<String, Arc<str>> {
    let mut texts = BTreeMap::new();
    let nothing: Arc<str> = Arc::from("");
    for (name, bytes) in files.iter().take(FILES_MAX) {
        if matches!(place(name), Place::Passed) {
            continue;
        }
        if bytes.len() > FILE_BYTES_MAX {
            let what = format!("the file is larger than {} KiB", FILE_BYTES_MAX / 1024);
            problems.push(MappingError::new(name, &nothing, 0..0, RuleId::Unreadable, what, "split it"));
            continue;
        }
        let text: Arc<str> = match std::str::from_utf8(bytes) {
            Ok(text) => Arc::from(text),
            Err(error) => {
                let what = format!("byte {} is not UTF-8", error.valid_up_to());
                problems.push(MappingError::new(name, &nothing, 0..0, RuleId::Unreadable, what, "save it as UTF-8"));
                continue;
            }
        };
        if let Some((at, bad)) = text.char_indices().find(|(_, c)| is_hidden(*c)) {
            let what = format!("hidden character U+{:04X}", u32::from(bad));
            let span = at..at + bad.len_utf8();
            problems.push(MappingError::new(name, &text, span, RuleId::Unreadable, what, "remove it"));
        } else if let Some(at) = decomposed(&text) {
            let help = "save the file in normal form C: `slotbridge mappings fmt` does";
            let bad = text[at..].chars().next().map_or(0, char::len_utf8);
            let what = "not in normal form C (NFC)";
            problems.push(MappingError::new(name, &text, at..at + bad, RuleId::Unreadable, what, help));
        }
        texts.insert(name.clone(), text);
    }
    texts
}

/// Characters that make a text read differently from what it says: controls, bidirectional, zero-width and blank ones.
pub fn is_hidden(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
        || matches!(c,
            '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{180E}' | '\u{200B}'..='\u{200F}'
            | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}'
            | '\u{FFA0}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E0FFF}')
}

/// Where the text first differs from its normal form C.
fn decomposed(text: &str) -> Option<usize> {
    if is_nfc(text) {
        return None;
    }
    let mut normal = text.nfc();
    let differs = text.char_indices().find(|(_, c)| normal.next() != Some(*c));
    Some(differs.map_or(0, |(at, _)| at))
}

fn required<T: DeserializeOwned>(problems: &mut Problems<'_>, name: &str) -> Option<T> {
    if problems.texts.contains_key(name) {
        return parse(problems, name);
    }
    if !problems.found.iter().any(|p| p.file() == name) {
        problems.add(name, 0..0, RuleId::Place, "the file is missing", "every mappings folder needs it");
    }
    None
}

/// Unknown keys are reported together; anything else that does not fit ends the reading of the file.
fn parse<T: DeserializeOwned>(problems: &mut Problems<'_>, name: &str) -> Option<T> {
    let text = problems.texts.get(name)?;
    let mut left = text.to_string();
    for _ in 0..UNKNOWN_KEYS_MAX {
        let error = match toml::from_str(&left) {
            Ok(value) if left == **text => return Some(value),
            Ok(_) => return None,
            Err(error) => error,
        };
        let span = error.span().unwrap_or(0..0);
        let is_unknown = error.message().starts_with("unknown field");
        let help = if is_unknown {
            "remove the key or correct its name: unknown keys are refused, so that a misspelt rule is never ignored"
        } else {
            "mappings/README.md describes the keys of each file"
        };
        problems.add(name, span.clone(), RuleId::Shape, error.message(), help);
        if !is_unknown || !blank_out(&mut left, &span) {
            return None;
        }
    }
    None
}

/// Of one file.
const UNKNOWN_KEYS_MAX: usize = 20;

/// Puts blanks over `key = value` of one line, so that the rest of the file can be looked at; false where the key
/// stands otherwise.
fn blank_out(text: &mut String, key: &Range<usize>) -> bool {
    let line_start = text[..key.start].rfind('\n').map_or(0, |at| at + 1);
    let line_end = text[key.start..].find('\n').map_or(text.len(), |at| key.start + at);
    let line = &text[line_start..line_end];
    let whole = line[..key.start - line_start].trim().is_empty()
        && line[key.end.min(line_end) - line_start..].trim_start().starts_with('=')
        && toml::from_str::<toml::Table>(line).is_ok();
    if whole {
        text.replace_range(line_start..line_end, &" ".repeat(line.len()));
    }
    whole
}

fn read_table(
    problems: &mut Problems<'_>,
    name: &str,
    tables: &mut BTreeMap<String, Table>,
    broken: &mut BTreeSet<String>,
) {
    let Some(text) = problems.texts.get(name) else { return };
    let path = name.trim_end_matches(".csv").to_owned();
    match Table::parse(text) {
        Ok(table) => {
            tables.insert(path, table);
        }
        Err(bad) => {
            broken.insert(path);
            problems.add(name, bad.span, RuleId::Shape, bad.what, "a table is CSV with a header line");
        }
    }
}
