//! Bytes of the folder to a checked set, or every problem at once.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use serde::de::DeserializeOwned;

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

/// Reads a mappings folder given as path → bytes (`catalog.toml`, `naver/slots.toml`, `tables/slot_status.csv`).
/// `officers.toml`, `approvals/` and Markdown files outside `consents/` are not this loader's and are passed over.
///
/// # Errors
/// Every problem found, by file and place. Of a file that is not TOML, or of the wrong shape, only the first is known.
pub fn load(files: &BTreeMap<String, Vec<u8>>) -> Result<MappingSet, Vec<MappingError>> {
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
    let mut mappings: Vec<(String, PartnerId, FeedKind, FeedMapping)> = Vec::new();
    for name in texts.keys() {
        match place(name) {
            Place::Known | Place::Passed => {}
            Place::Table => read_table(&mut problems, name, &mut tables, &mut broken),
            Place::Mapping(partner, kind) => {
                mappings.extend(parse(&mut problems, name).map(|m| (name.clone(), partner, kind, m)));
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
    let (Some(catalogue), Some(policy), Some(partners)) = (catalogue, policy, partners) else {
        return Err(sorted(problems.found));
    };
    check_catalogue(&mut problems, &catalogue);
    check_policy(&mut problems, &catalogue, &policy);
    check_partners(&mut problems, &policy, &partners);
    let partners: BTreeMap<PartnerId, Partner> =
        partners.partners.into_iter().map(|p| (p.id.get_ref().clone(), p)).collect();
    let context =
        Context { catalogue: &catalogue, policy: &policy, partners: &partners, tables: &tables, broken: &broken };
    for (file, partner, kind, mapping) in &mappings {
        check_mapping(&mut problems, &context, file, partner, *kind, mapping);
    }
    check_across(&mut problems, &mappings);
    if !problems.found.is_empty() {
        return Err(sorted(problems.found));
    }
    let feeds = mappings.into_iter().map(|(_, partner, kind, mapping)| ((partner, kind), mapping)).collect();
    let consents = texts.iter().filter(|(name, _)| name.starts_with("consents/"));
    let consents = consents.map(|(name, text)| (name.clone(), text.clone())).collect();
    Ok(MappingSet { catalogue, policy, partners, feeds, tables, consents, roster: None, pinned: BTreeMap::new() })
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
        for (at, bad) in text.char_indices().filter(|(_, c)| is_hidden(*c)).take(1) {
            let what = format!("hidden or decomposed character U+{:04X}", u32::from(bad));
            let help = "remove it, or save the file in normal form C (NFC)";
            let span = at..at + bad.len_utf8();
            problems.push(MappingError::new(name, &text, span, RuleId::Unreadable, what, help));
        }
        texts.insert(name.clone(), text);
    }
    texts
}

/// Characters that make a text read differently from what it says: controls, bidirectional and zero-width ones, and
/// conjoining Hangul letters or combining accents, which is what Korean and Latin text decomposes into (a full check
/// of NFC would need Unicode's tables).
fn is_hidden(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
        || matches!(c,
            '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}'
            | '\u{0300}'..='\u{036F}' | '\u{1100}'..='\u{11FF}')
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

fn parse<T: DeserializeOwned>(problems: &mut Problems<'_>, name: &str) -> Option<T> {
    let text = problems.texts.get(name)?;
    match toml::from_str(text) {
        Ok(value) => Some(value),
        Err(error) => {
            let help = if error.message().starts_with("unknown field") {
                "remove the key or correct its name: unknown keys are refused, so that a misspelt rule is never ignored"
            } else {
                "mappings/README.md describes the keys of each file"
            };
            problems.add(name, error.span().unwrap_or(0..0), RuleId::Shape, error.message(), help);
            None
        }
    }
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
