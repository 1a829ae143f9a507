//! A real publication as the demonstration's legacy system, and the proof that what the feeds publish is what it says.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use super::DemoFailed;
use super::partner::{Access, Unexpected};
use crate::domain::Timestamp;
use crate::legacy::import::{self, Comparison, FieldNames, ImportError, Publication, Report};

/// Bound of a walk through a feed, pages.
const PAGES_MAX: usize = 10_000;
/// Empty last pages in a row after which a feed counts as read whole: it publishes in ticks of 200 ms.
const QUIET_PAGES: u32 = 10;
const QUIET_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);
const NOTES_SHOWN: usize = 5;

/// What was loaded, kept for the comparison.
pub struct Imported {
    pub publication: Publication,
    pub report: Report,
}

fn failed(error: ImportError) -> DemoFailed {
    DemoFailed::Import { cause: error.to_string() }
}

/// A folder is SMART Scheduling Links, a file is a CoWIN answer.
pub fn read(source: &Path) -> Result<Publication, ImportError> {
    if source.is_dir() { import::read_smart_dir(source) } else { import::read_cowin_file(source) }
}

pub fn load(connection: &mut Connection, source: &Path, now: Timestamp) -> Result<Imported, DemoFailed> {
    let publication = read(source).map_err(failed)?;
    let report = import::load(connection, &publication, now).map_err(failed)?;
    Ok(Imported { publication, report })
}

/// The report in words.
pub fn words(report: &Report) -> String {
    let mut text = format!(
        "imported {} records: {} sites, {} slots, {} places; dates moved by {} weeks\n",
        report.records_read, report.sites_made, report.slots_made, report.units_made, report.shift_weeks
    );
    for rule in &report.rules {
        text.push_str(&format!("  rule: {rule}\n"));
    }
    for (code, count) in &report.counts {
        text.push_str(&format!("  {code:?}: {count}{}\n", if code.is_loss() { " (not used)" } else { "" }));
    }
    for note in report.notes.iter().filter(|note| note.code.is_loss()).take(NOTES_SHOWN) {
        text.push_str(&format!("  {}: {}\n", note.place, note.detail));
    }
    text
}

/// Reads sites and slots as the agency's own check does, and holds them against the publication.
pub async fn compare(imported: &Imported, access: &Access, legacy: &Path) -> Result<Comparison, DemoFailed> {
    let read = |error: Unexpected| DemoFailed::Import { cause: format!("the feeds could not be read back: {error}") };
    let sites = whole(access, "sites").await.map_err(read)?;
    let slots = whole(access, "slots").await.map_err(read)?;
    let opened = Connection::open_with_flags(legacy, OpenFlags::SQLITE_OPEN_READ_ONLY);
    let connection = opened.map_err(|error| DemoFailed::Legacy { cause: error.to_string() })?;
    import::compare(&connection, &imported.publication, &sites, &slots, &FieldNames::default()).map_err(failed)
}

/// All items of a feed that are there, the newest state of each.
async fn whole(access: &Access, feed: &str) -> Result<Vec<Value>, Unexpected> {
    let mut items = std::collections::BTreeMap::new();
    let mut url = format!("{}/v1/feeds/{feed}?limit=5000", access.base);
    let mut quiet = 0;
    for _ in 0..PAGES_MAX {
        let page = access.get(&url).await?;
        let found = page.body["items"].as_array().map_or(&[][..], Vec::as_slice);
        for item in found {
            let Some(id) = item["id"].as_str() else { continue };
            match item["state"] == "updated" {
                true => items.insert(id.to_owned(), item.clone()),
                false => items.remove(id),
            };
        }
        quiet = if found.is_empty() { quiet + 1 } else { 0 };
        if quiet > QUIET_PAGES {
            break;
        }
        if found.is_empty() {
            tokio::time::sleep(QUIET_PAUSE).await;
        }
        if let Some(next) = page.body["next"].as_str() {
            next.clone_into(&mut url);
        }
    }
    Ok(items.into_values().collect())
}

/// The comparison in words.
pub fn compared(comparison: &Comparison) -> String {
    let mut text = format!(
        "published equals input: {}; {} records of the input, {} equal, {} noted as not usable or repeated; \
         {} sites and {} slots published, {} values compared\n",
        if comparison.is_equal() { "yes" } else { "NO" },
        comparison.records,
        comparison.records_equal,
        comparison.records_noted,
        comparison.sites_published,
        comparison.slots_published,
        comparison.values,
    );
    for difference in comparison.differences.iter().take(NOTES_SHOWN) {
        text.push_str(&format!("  {} {}\n", difference.place, difference.field));
    }
    text
}
