//! Versions that stand under `approvals/`, by their files alone: no signature is looked at here.

use std::collections::BTreeMap;

use crate::privacy::Closure;

/// One version whose closure or note is kept.
#[derive(Debug, Clone)]
pub struct KeptVersion {
    pub mapping: String,
    /// First 12 hex digits of the digest, out of the file's name.
    pub digest12: String,
    /// None: not there, not readable, or not of the digest and mapping that its name says.
    pub closure: Option<Closure>,
    pub notes: usize,
}

/// `approvals/<mapping>/<digest12>.json` and `….note`, in order of path.
pub fn kept_versions(files: &BTreeMap<String, Vec<u8>>) -> Vec<KeptVersion> {
    let mut kept: BTreeMap<(String, String), KeptVersion> = BTreeMap::new();
    for (path, bytes) in files {
        let ["approvals", mapping, file] = path.split('/').collect::<Vec<_>>()[..] else { continue };
        let Some((stem, ending)) = file.rsplit_once('.').filter(|(_, ending)| matches!(*ending, "json" | "note"))
        else {
            continue;
        };
        // A second note of a version may carry its number: `0a1b2c3d4e5f.2.note`.
        let digest12 = stem.split(['.', '-']).next().unwrap_or(stem);
        let version = kept.entry((mapping.to_owned(), digest12.to_owned())).or_insert_with(|| KeptVersion {
            mapping: mapping.to_owned(),
            digest12: digest12.to_owned(),
            closure: None,
            notes: 0,
        });
        match ending {
            "note" => version.notes += 1,
            _ => {
                let closure = Closure::from_json(bytes).ok();
                version.closure = closure.filter(|c| c.id() == mapping && c.digest().starts_with(digest12));
            }
        }
    }
    kept.into_values().collect()
}

/// The newest kept version of a mapping: of the highest version number, of equal ones the later name.
pub fn newest_kept<'a>(kept: &'a [KeptVersion], mapping: &str) -> Option<&'a Closure> {
    let closures = kept.iter().filter(|version| version.mapping == mapping).filter_map(|v| v.closure.as_ref());
    closures.max_by_key(|closure| closure.mapping.version)
}
