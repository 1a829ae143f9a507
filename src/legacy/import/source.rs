//! Reads a publication into raw records: what stands where, word for word. It interprets nothing.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::{ImportError, MAX_FILE_BYTES, MAX_FILES, MAX_RECORDS, Source};

/// Gets the bytes at a URL; the caller brings the HTTP client and its timeouts.
pub type Fetch<'a> = dyn FnMut(&str) -> Result<Vec<u8>, String> + 'a;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordKind {
    Site,
    Schedule,
    Slot,
    Other,
}

impl RecordKind {
    pub const ALL: [RecordKind; 4] = [RecordKind::Site, RecordKind::Schedule, RecordKind::Slot, RecordKind::Other];

    pub fn code(self) -> &'static str {
        match self {
            RecordKind::Site => "site",
            RecordKind::Schedule => "schedule",
            RecordKind::Slot => "slot",
            RecordKind::Other => "other",
        }
    }
}

pub struct RawRecord {
    pub kind: RecordKind,
    /// `locations.ndjson:3`, `centers[2].sessions[0]`.
    pub place: String,
    pub json: Value,
    /// Index of the record that it stands in (a CoWIN session stands in a center).
    pub within: Option<usize>,
}

pub struct Publication {
    pub source: Source,
    pub records: Vec<RawRecord>,
    /// Lines that are not JSON objects: place and why.
    pub unreadable: Vec<(String, String)>,
}

#[derive(Deserialize)]
struct Manifest {
    output: Vec<ManifestFile>,
}

#[derive(Deserialize)]
struct ManifestFile {
    #[serde(rename = "type")]
    kind: String,
    url: String,
}

/// Reads what a path names: a folder is SMART Scheduling Links, a file is a CoWIN response.
pub fn read_path(path: &Path) -> Result<Publication, ImportError> {
    if path.is_dir() { read_smart_dir(path) } else { read_cowin_file(path) }
}

/// Reads a publication saved to a folder: the manifest (`$bulk-publish` or `manifest.json`) and, for each URL in it,
/// the file with the URL's last segment.
pub fn read_smart_dir(folder: &Path) -> Result<Publication, ImportError> {
    let manifest = ["$bulk-publish", "manifest.json"].iter().map(|name| folder.join(name)).find(|p| p.is_file());
    let manifest = manifest.ok_or_else(|| ImportError::Read {
        what: folder.display().to_string(),
        detail: "no manifest: neither $bulk-publish nor manifest.json is there".to_owned(),
    })?;
    let text = read_file(&manifest)?;
    smart(&text, &mut |url| {
        let name = last_segment(url);
        if name.is_empty() || name.starts_with('.') || name.contains('\\') {
            return Err(ImportError::Shape { what: "manifest".to_owned(), detail: "a URL names no file".to_owned() });
        }
        read_file(&folder.join(name))
    })
}

/// Reads a publication from its manifest's URL. URLs in the manifest may be relative to it.
pub fn read_smart_url(manifest_url: &str, fetch: &mut Fetch<'_>) -> Result<Publication, ImportError> {
    let mut get = |url: &str| {
        let bytes = fetch(url).map_err(|detail| ImportError::Read { what: url.to_owned(), detail })?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(ImportError::TooLarge { what: url.to_owned(), max: MAX_FILE_BYTES });
        }
        Ok(bytes)
    };
    let manifest = get(manifest_url)?;
    let folder = manifest_url.rsplit_once('/').map_or("", |(folder, _)| folder);
    smart(&manifest, &mut |url| if url.contains("://") { get(url) } else { get(&format!("{folder}/{url}")) })
}

fn smart(
    manifest: &[u8],
    get: &mut dyn FnMut(&str) -> Result<Vec<u8>, ImportError>,
) -> Result<Publication, ImportError> {
    let manifest: Manifest = serde_json::from_slice(manifest)
        .map_err(|e| ImportError::Shape { what: "manifest".to_owned(), detail: e.to_string() })?;
    if manifest.output.len() > MAX_FILES {
        return Err(ImportError::TooLarge { what: "list of files".to_owned(), max: MAX_FILES as u64 });
    }
    let mut publication = Publication { source: Source::Smart, records: Vec::new(), unreadable: Vec::new() };
    for file in &manifest.output {
        let kind = match file.kind.as_str() {
            "Location" => RecordKind::Site,
            "Schedule" => RecordKind::Schedule,
            "Slot" => RecordKind::Slot,
            _ => RecordKind::Other,
        };
        ndjson(&get(&file.url)?, last_segment(&file.url), kind, &mut publication)?;
    }
    Ok(publication)
}

fn ndjson(bytes: &[u8], name: &str, kind: RecordKind, into: &mut Publication) -> Result<(), ImportError> {
    for (at, line) in bytes.split(|b| *b == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        let place = format!("{name}:{}", at + 1);
        match serde_json::from_slice::<Value>(line) {
            Ok(json) if json.is_object() => push(into, RawRecord { kind, place, json, within: None })?,
            Ok(_) => into.unreadable.push((place, "not a JSON object".to_owned())),
            Err(error) => into.unreadable.push((place, format!("not JSON ({:?})", error.classify()))),
        }
    }
    Ok(())
}

pub fn read_cowin_file(path: &Path) -> Result<Publication, ImportError> {
    read_cowin(&read_file(path)?)
}

/// Reads a `calendarByDistrict` response: centers, and the sessions in them.
pub fn read_cowin(bytes: &[u8]) -> Result<Publication, ImportError> {
    let shape = |detail: String| ImportError::Shape { what: "calendarByDistrict".to_owned(), detail };
    let mut document: Value = serde_json::from_slice(bytes).map_err(|e| shape(e.to_string()))?;
    let centers = match document.get_mut("centers").map(Value::take) {
        Some(Value::Array(centers)) => centers,
        _ => return Err(shape("member centers is missing or not a list".to_owned())),
    };
    let mut publication = Publication { source: Source::Cowin, records: Vec::new(), unreadable: Vec::new() };
    for (at, mut center) in centers.into_iter().enumerate() {
        let place = format!("centers[{at}]");
        if !center.is_object() {
            publication.unreadable.push((place, "not a JSON object".to_owned()));
            continue;
        }
        let sessions = center.as_object_mut().and_then(|c| c.remove("sessions"));
        let within = Some(publication.records.len());
        push(&mut publication, RawRecord { kind: RecordKind::Site, place: place.clone(), json: center, within: None })?;
        let Some(Value::Array(sessions)) = sessions else {
            publication.unreadable.push((format!("{place}.sessions"), "missing or not a list".to_owned()));
            continue;
        };
        for (n, json) in sessions.into_iter().enumerate() {
            let place = format!("{place}.sessions[{n}]");
            if json.is_object() {
                push(&mut publication, RawRecord { kind: RecordKind::Slot, place, json, within })?;
            } else {
                publication.unreadable.push((place, "not a JSON object".to_owned()));
            }
        }
    }
    Ok(publication)
}

fn push(into: &mut Publication, record: RawRecord) -> Result<(), ImportError> {
    if into.records.len() >= MAX_RECORDS {
        return Err(ImportError::TooLarge { what: "number of records".to_owned(), max: MAX_RECORDS as u64 });
    }
    into.records.push(record);
    Ok(())
}

fn last_segment(url: &str) -> &str {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    path.rsplit('/').next().unwrap_or(path)
}

fn read_file(path: &Path) -> Result<Vec<u8>, ImportError> {
    let what = || path.display().to_string();
    let failed = |e: std::io::Error| ImportError::Read { what: what(), detail: e.to_string() };
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(ImportError::TooLarge { what: what(), max: MAX_FILE_BYTES });
    }
    Ok(bytes)
}
