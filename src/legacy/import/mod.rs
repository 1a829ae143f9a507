//! Loads a real publication (SMART Scheduling Links, CoWIN) into the example legacy schema.
//!
//! Invariants: nothing is dropped silently: every record that is not used, and every value that is not taken as it
//! stands, is a `Note`, and the counts are exact even where the list of notes is cut. Dates move by one stated number
//! of whole weeks, so weekdays and times of day stay. Every row made knows its source record, so `compare` can prove
//! later that what was published is what came in.
//!
//! Instants with an offset are kept as instants. CoWIN states wall clock times without a zone; they are kept as wall
//! clock times of the legacy system (Asia/Seoul), so 09:00AM stays 09:00.

mod clock;
pub mod compare;
mod cowin;
mod draft;
mod smart;
mod source;
mod store;

use std::collections::BTreeMap;

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

pub use compare::{Comparison, Difference, FieldNames, compare};
pub use source::{
    Fetch, Publication, RawRecord, RecordKind, read_cowin, read_cowin_file, read_path, read_smart_dir, read_smart_url,
};
pub use store::stored;

use crate::domain::Timestamp;
use crate::legacy::LegacyError;
use draft::Drafts;

/// Most bytes of one file: a state's week of slots is about 100 MB.
pub const MAX_FILE_BYTES: u64 = 512 << 20;
/// Most files of one publication.
pub const MAX_FILES: usize = 2_000;
/// Most records of one publication.
pub const MAX_RECORDS: usize = 5_000_000;
/// Most notes kept; all are counted.
pub const MAX_NOTES: usize = 50_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    Smart,
    Cowin,
}

/// What was made of a publication, for people and for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    pub source: Source,
    /// Every date has been moved by so many weeks.
    pub shift_weeks: i64,
    /// Rules by which values were made that the publication does not state as such.
    pub rules: Vec<String>,
    pub records_read: u64,
    pub sites_made: u64,
    pub slots_made: u64,
    /// Places in all slots.
    pub units_made: u64,
    /// How often each kind of note occurred.
    pub counts: BTreeMap<NoteCode, u64>,
    pub notes: Vec<Note>,
    /// Notes beyond `MAX_NOTES`, counted above but not listed.
    pub notes_left_out: u64,
}

impl std::fmt::Display for Report {
    /// For people: counts, shift, rules and how often each kind of note occurred; the notes themselves are in the JSON.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let source = match self.source {
            Source::Smart => "SMART Scheduling Links",
            Source::Cowin => "CoWIN calendarByDistrict",
        };
        writeln!(
            f,
            "{source}: {} records read; made {} sites, {} slots with {} places; dates moved by {} weeks",
            self.records_read, self.sites_made, self.slots_made, self.units_made, self.shift_weeks
        )?;
        for rule in &self.rules {
            writeln!(f, "  rule: {rule}")?;
        }
        for (code, times) in &self.counts {
            let fate = if code.is_loss() { "not used" } else { "used, changed" };
            writeln!(f, "  {times} × {} ({fate})", code.code())?;
        }
        if self.counts.is_empty() {
            writeln!(f, "  every record was used as it stands")?;
        }
        Ok(())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// File and line, or path inside the document: `locations.ndjson:3`, `centers[2].sessions[0]`.
    pub place: String,
    pub id: Option<String>,
    pub code: NoteCode,
    pub detail: String,
}

/// What happened to a record. Codes of `is_loss` mean that the record, or a part of it, is not in the legacy system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoteCode {
    /// Not JSON, or not an object.
    Unreadable,
    UnknownKind,
    /// No id, no start, no site: the record cannot be used.
    RequiredMissing,
    /// A time or a number that cannot be read: the record cannot be used.
    ValueInvalid,
    /// What it refers to is not in the publication.
    ReferenceMissing,
    /// Withdrawn by its publisher (`entered-in-error`).
    Withdrawn,
    /// A time window of a session that cannot be read; its share goes to the other windows.
    WindowUnusable,
    /// The same record again, word for word: used once.
    Repeated,
    /// Another record under an id that is taken: used under a key of its own.
    Rekeyed,
    /// An id with characters that a legacy key cannot have: used under a key of its own.
    IdReplaced,
    /// An id stands for several records and something refers to it: the first is meant.
    ReferenceAmbiguous,
    /// A field is omitted and a stated default stands for it.
    DefaultUsed,
    /// A value was brought into range or shortened.
    ValueChanged,
}

impl NoteCode {
    pub fn code(self) -> &'static str {
        match self {
            NoteCode::Unreadable => "unreadable",
            NoteCode::UnknownKind => "unknown_kind",
            NoteCode::RequiredMissing => "required_missing",
            NoteCode::ValueInvalid => "value_invalid",
            NoteCode::ReferenceMissing => "reference_missing",
            NoteCode::Withdrawn => "withdrawn",
            NoteCode::WindowUnusable => "window_unusable",
            NoteCode::Repeated => "repeated",
            NoteCode::Rekeyed => "rekeyed",
            NoteCode::IdReplaced => "id_replaced",
            NoteCode::ReferenceAmbiguous => "reference_ambiguous",
            NoteCode::DefaultUsed => "default_used",
            NoteCode::ValueChanged => "value_changed",
        }
    }

    pub fn is_loss(self) -> bool {
        match self {
            NoteCode::Unreadable
            | NoteCode::UnknownKind
            | NoteCode::RequiredMissing
            | NoteCode::ValueInvalid
            | NoteCode::ReferenceMissing
            | NoteCode::Withdrawn
            | NoteCode::WindowUnusable => true,
            NoteCode::Repeated
            | NoteCode::Rekeyed
            | NoteCode::IdReplaced
            | NoteCode::ReferenceAmbiguous
            | NoteCode::DefaultUsed
            | NoteCode::ValueChanged => false,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("cannot read {what}: {detail}")]
    Read { what: String, detail: String },
    #[error("{what} is larger than {max}")]
    TooLarge { what: String, max: u64 },
    #[error("{what} is not as it should be: {detail}")]
    Shape { what: String, detail: String },
    #[error("the publication holds no slot that can be used")]
    NothingUsable,
    #[error(transparent)]
    Legacy(#[from] LegacyError),
}

impl ImportError {
    pub fn code(&self) -> &'static str {
        match self {
            ImportError::Read { .. } => "import_read",
            ImportError::TooLarge { .. } => "import_too_large",
            ImportError::Shape { .. } => "import_shape",
            ImportError::NothingUsable => "import_nothing_usable",
            ImportError::Legacy(_) => "import_legacy",
        }
    }
}

/// Collects notes within the bound.
#[derive(Default)]
pub(crate) struct Notes {
    counts: BTreeMap<NoteCode, u64>,
    list: Vec<Note>,
    left_out: u64,
}

impl Notes {
    pub(crate) fn add(&mut self, code: NoteCode, place: &str, id: Option<&str>, detail: impl Into<String>) {
        *self.counts.entry(code).or_default() += 1;
        if self.list.len() < MAX_NOTES {
            let note = Note { place: place.to_owned(), id: id.map(str::to_owned), code, detail: detail.into() };
            self.list.push(note);
        } else {
            self.left_out += 1;
        }
    }
}

/// Loads a publication into an empty example schema, in one transaction, with the cohort rules beside it so that
/// generated persons can book. The first day lies after the day of `now`.
pub fn load(connection: &mut Connection, publication: &Publication, now: Timestamp) -> Result<Report, ImportError> {
    let mut notes = Notes::default();
    for (place, detail) in &publication.unreadable {
        notes.add(NoteCode::Unreadable, place, None, detail.clone());
    }
    let drafts: Drafts = match publication.source {
        Source::Smart => smart::drafts(publication, &mut notes),
        Source::Cowin => cowin::drafts(publication, &mut notes),
    };
    let first = drafts.slots.iter().map(|s| s.start).min().ok_or(ImportError::NothingUsable)?;
    let shift_weeks = weeks_ahead(first, now);
    let made = store::store(connection, publication, &drafts, shift_weeks, now, &mut notes)?;
    let report = Report {
        source: publication.source,
        shift_weeks,
        rules: rules(publication.source),
        records_read: publication.records.len() as u64 + publication.unreadable.len() as u64,
        sites_made: made.sites,
        slots_made: made.slots,
        units_made: made.units,
        counts: notes.counts,
        notes: notes.list,
        notes_left_out: notes.left_out,
    };
    store::keep_report(connection, &report)?;
    Ok(report)
}

/// The least number of whole weeks that brings `first` onto a day after the day of `now`; 0 when it is there already.
fn weeks_ahead(first: Timestamp, now: Timestamp) -> i64 {
    let behind = i64::from(now.seoul_day()) + 1 - i64::from(first.seoul_day());
    if behind <= 0 { 0 } else { (behind + 6) / 7 }
}

fn rules(source: Source) -> Vec<String> {
    let own: &[&str] = match source {
        Source::Smart => &[
            "a Slot is one slot; its site, product and dose are those of its Schedule",
            "status busy is a closed slot; slot-capacity omitted means 1, as the specification says",
            "instants are kept as instants",
        ],
        Source::Cowin => &[
            "a session and a time window of it are one slot; available_capacity c over n windows gives each c div n, \
             and one more to each of the first c mod n, so the sum over a session's slots is c",
            "where windows state seats whose sum is available_capacity, each window has its seats",
            "wall clock times are kept as wall clock times",
        ],
    };
    let all = ["dates are moved by shift_weeks whole weeks", "a repeated id gets .2, .3 … behind it"];
    own.iter().chain(&all).map(|r| (*r).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_day_lies_ahead_by_less_than_a_week_and_a_day() {
        let now = Timestamp::parse_seoul("2026-11-22 20:00:00").unwrap();
        let weeks = |text: &str| weeks_ahead(Timestamp::parse_seoul(text).unwrap(), now);
        assert_eq!(weeks("2026-11-23 00:00:00"), 0);
        assert_eq!(weeks("2026-11-22 23:59:59"), 1);
        assert_eq!(weeks("2026-11-15 09:00:00"), 2);
        assert_eq!(weeks("2026-11-16 09:00:00"), 1);
        assert_eq!(weeks("2027-01-01 09:00:00"), 0);
    }
}
