//! What a publication says, in the words of the legacy schema, before keys and shift.

use crate::domain::Timestamp;

#[derive(Default)]
pub(super) struct Drafts {
    pub(super) sites: Vec<SiteDraft>,
    pub(super) slots: Vec<SlotDraft>,
}

pub(super) struct SiteDraft {
    /// Index into the publication's records.
    pub(super) record: usize,
    pub(super) id: String,
    pub(super) name: String,
    pub(super) address: Option<String>,
    pub(super) tel: Option<String>,
    pub(super) lat: Option<f64>,
    pub(super) lon: Option<f64>,
    /// `HH:MM`.
    pub(super) opens: Option<String>,
    pub(super) closes: Option<String>,
    pub(super) province: Option<String>,
    pub(super) district: Option<String>,
}

pub(super) struct SlotDraft {
    pub(super) record: usize,
    /// Id as published, and which part of the record it is where one record makes several slots.
    pub(super) id: String,
    pub(super) part: Option<usize>,
    /// Index into `Drafts::sites`.
    pub(super) site: usize,
    pub(super) start: Timestamp,
    pub(super) minutes: u32,
    pub(super) vaccine: Option<Product>,
    pub(super) dose: Option<u32>,
    pub(super) min_age: Option<u32>,
    pub(super) open: bool,
    pub(super) capacity: u32,
    pub(super) remark: Option<String>,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Product {
    pub(super) code: String,
    pub(super) name: String,
}
