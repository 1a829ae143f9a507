//! SMART Scheduling Links: Location, Schedule and Slot resources to drafts.

use std::collections::BTreeMap;

use serde_json::Value;

use super::draft::{Drafts, Product, SiteDraft, SlotDraft};
use super::source::{Publication, RawRecord, RecordKind};
use super::{NoteCode, Notes};
use crate::domain::Timestamp;
use crate::domain::time::MINUTE_MS;

/// Minutes of a slot that states no end.
const MINUTES_ASSUMED: u32 = 30;

struct Schedule<'a> {
    id: &'a str,
    json: &'a Value,
    /// Index into the drafts' sites.
    site: usize,
}

pub(super) fn drafts(publication: &Publication, notes: &mut Notes) -> Drafts {
    let mut drafts = Drafts::default();
    let sites = sites(publication, &mut drafts, notes);
    let schedules = schedules(publication, &sites, notes);
    let mut seen: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for (at, record) in publication.records.iter().enumerate() {
        match record.kind {
            RecordKind::Slot => {}
            RecordKind::Other => {
                notes.add(NoteCode::UnknownKind, &record.place, id(&record.json), "not Location, Schedule or Slot");
                continue;
            }
            RecordKind::Site | RecordKind::Schedule => continue,
        }
        if let Some(slot) = slot(at, record, &schedules, notes)
            && !is_repeated(&mut seen, record, notes)
        {
            drafts.slots.push(slot);
        }
    }
    drafts
}

/// Makes the sites; returns for every id the draft that references to it mean: the first.
fn sites<'a>(publication: &'a Publication, drafts: &mut Drafts, notes: &mut Notes) -> BTreeMap<&'a str, usize> {
    let mut by_id = BTreeMap::new();
    let mut seen = BTreeMap::new();
    for (at, record) in of_kind(publication, RecordKind::Site) {
        let json = &record.json;
        let Some(id) = new_id(&mut seen, record, notes) else { continue };
        let name = text(json, "/name").unwrap_or_else(|| {
            notes.add(NoteCode::DefaultUsed, &record.place, Some(id), "no name: the id stands for it");
            id
        });
        let lines: Vec<&str> = json
            .pointer("/address/line")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let parts = [lines.join(" ")].into_iter().filter(|l| !l.is_empty());
        let place_parts = ["/address/city", "/address/state", "/address/postalCode"];
        let address: Vec<String> =
            parts.chain(place_parts.iter().filter_map(|p| text(json, p)).map(str::to_owned)).collect();
        drafts.sites.push(SiteDraft {
            record: at,
            id: id.to_owned(),
            name: name.to_owned(),
            address: (!address.is_empty()).then(|| address.join(", ")),
            tel: telecom(json, "phone"),
            lat: json.pointer("/position/latitude").and_then(Value::as_f64),
            lon: json.pointer("/position/longitude").and_then(Value::as_f64),
            opens: None,
            closes: None,
            province: text(json, "/address/state").map(str::to_owned),
            district: text(json, "/address/district").or_else(|| text(json, "/address/city")).map(str::to_owned),
        });
        by_id.entry(id).or_insert(drafts.sites.len() - 1);
    }
    by_id
}

fn schedules<'a>(
    publication: &'a Publication,
    sites: &BTreeMap<&str, usize>,
    notes: &mut Notes,
) -> BTreeMap<&'a str, Vec<Schedule<'a>>> {
    let mut by_id: BTreeMap<&str, Vec<Schedule<'_>>> = BTreeMap::new();
    let mut seen = BTreeMap::new();
    for (_, record) in of_kind(publication, RecordKind::Schedule) {
        let json = &record.json;
        let Some(id) = new_id(&mut seen, record, notes) else { continue };
        let actors = json.pointer("/actor").and_then(Value::as_array).into_iter().flatten();
        let wanted: Vec<&str> = actors.filter_map(|a| reference(a, "Location")).collect();
        match wanted.iter().find_map(|location| sites.get(location)) {
            Some(site) => by_id.entry(id).or_default().push(Schedule { id, json, site: *site }),
            None => notes.add(
                NoteCode::ReferenceMissing,
                &record.place,
                Some(id),
                format!("no Location of actor {wanted:?} is in the publication"),
            ),
        }
    }
    by_id
}

fn slot(
    at: usize,
    record: &RawRecord,
    schedules: &BTreeMap<&str, Vec<Schedule<'_>>>,
    notes: &mut Notes,
) -> Option<SlotDraft> {
    let (json, place) = (&record.json, record.place.as_str());
    let id = needed_id(record, notes)?;
    let mut unusable = |code: NoteCode, detail: String| {
        notes.add(code, place, Some(id), detail);
        None
    };
    let Some(wanted) = json.get("schedule").and_then(|r| reference(r, "Schedule")) else {
        return unusable(NoteCode::RequiredMissing, "no schedule".to_owned());
    };
    let Some(candidates) = schedules.get(wanted) else {
        return unusable(NoteCode::ReferenceMissing, format!("Schedule/{wanted} cannot be used or is not there"));
    };
    let start = match text(json, "/start").map(Timestamp::parse_rfc3339) {
        Some(Ok(start)) => start,
        Some(Err(_)) => return unusable(NoteCode::ValueInvalid, "start is not an instant with an offset".to_owned()),
        None => return unusable(NoteCode::RequiredMissing, "no start".to_owned()),
    };
    let minutes = match text(json, "/end").map(Timestamp::parse_rfc3339) {
        Some(Ok(end)) if end > start && end.since_ms(start) % MINUTE_MS == 0 => {
            (end.since_ms(start) / MINUTE_MS) as u32
        }
        Some(_) => return unusable(NoteCode::ValueInvalid, "end is not whole minutes after start".to_owned()),
        None => MINUTES_ASSUMED,
    };
    let open = match text(json, "/status") {
        Some("free") => true,
        Some("busy" | "busy-unavailable" | "busy-tentative") => false,
        Some("entered-in-error") => return unusable(NoteCode::Withdrawn, "entered in error".to_owned()),
        Some(_) => return unusable(NoteCode::ValueInvalid, "status is none that the specification knows".to_owned()),
        None => return unusable(NoteCode::RequiredMissing, "no status".to_owned()),
    };
    let capacity = match extensions(json, "slot-capacity").next() {
        None => 1,
        Some(e) => match whole(e.get("valueInteger")) {
            Some(capacity) => capacity,
            None => return unusable(NoteCode::ValueInvalid, "slot-capacity is not a count".to_owned()),
        },
    };
    if json.get("end").is_none() {
        notes.add(NoteCode::DefaultUsed, place, Some(id), format!("no end: {MINUTES_ASSUMED} minutes"));
    }
    if candidates.len() > 1 {
        notes.add(NoteCode::ReferenceAmbiguous, place, Some(id), format!("several schedules are Schedule/{wanted}"));
    }
    let schedule = &candidates[0];
    let (vaccine, dose) = offered(schedule, place, id, notes);
    Some(SlotDraft {
        record: at,
        id: id.to_owned(),
        part: None,
        site: schedule.site,
        start,
        minutes,
        vaccine,
        dose,
        min_age: None,
        open,
        capacity,
        remark: None,
    })
}

/// Product and dose of a schedule; several of one are noted and none is taken.
fn offered(schedule: &Schedule<'_>, place: &str, id: &str, notes: &mut Notes) -> (Option<Product>, Option<u32>) {
    let products: Vec<Product> = extensions(schedule.json, "vaccine-product")
        .filter_map(|e| {
            let code = text(e, "/valueCoding/code")?;
            Some(Product { code: code.to_owned(), name: text(e, "/valueCoding/display").unwrap_or(code).to_owned() })
        })
        .collect();
    let doses: Vec<u32> =
        extensions(schedule.json, "vaccine-dose").filter_map(|e| whole(e.get("valueInteger"))).collect();
    if products.len() > 1 || doses.len() > 1 {
        let detail = format!("Schedule/{} offers several products or doses: that field is empty", schedule.id);
        notes.add(NoteCode::ValueChanged, place, Some(id), detail);
    }
    let one = |count: usize| count == 1;
    (products.first().filter(|_| one(products.len())).cloned(), doses.first().filter(|_| one(doses.len())).copied())
}

/// Id of a record that is not a repetition.
fn new_id<'a>(
    seen: &mut BTreeMap<&'a str, Vec<&'a Value>>,
    record: &'a RawRecord,
    notes: &mut Notes,
) -> Option<&'a str> {
    let id = needed_id(record, notes)?;
    (!is_repeated(seen, record, notes)).then_some(id)
}

fn needed_id<'a>(record: &'a RawRecord, notes: &mut Notes) -> Option<&'a str> {
    let id = id(&record.json);
    if id.is_none() {
        notes.add(NoteCode::RequiredMissing, &record.place, None, "no id");
    }
    id
}

/// A record that stands there word for word already; another one under its id is not a repetition.
fn is_repeated<'a>(seen: &mut BTreeMap<&'a str, Vec<&'a Value>>, record: &'a RawRecord, notes: &mut Notes) -> bool {
    let Some(id) = id(&record.json) else { return false };
    let had = seen.entry(id).or_default();
    if had.contains(&&record.json) {
        notes.add(NoteCode::Repeated, &record.place, Some(id), "the same record again: used once");
        return true;
    }
    had.push(&record.json);
    false
}

fn of_kind(publication: &Publication, kind: RecordKind) -> impl Iterator<Item = (usize, &RawRecord)> {
    publication.records.iter().enumerate().filter(move |(_, record)| record.kind == kind)
}

fn id(json: &Value) -> Option<&str> {
    text(json, "/id")
}

fn text<'a>(json: &'a Value, pointer: &str) -> Option<&'a str> {
    json.pointer(pointer).and_then(Value::as_str).filter(|t| !t.is_empty())
}

fn whole(value: Option<&Value>) -> Option<u32> {
    value.and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok()).filter(|n| *n <= 999_999)
}

fn telecom(json: &Value, system: &str) -> Option<String> {
    let all = json.get("telecom")?.as_array()?;
    all.iter().find(|t| text(t, "/system") == Some(system)).and_then(|t| text(t, "/value")).map(str::to_owned)
}

fn extensions<'a>(json: &'a Value, name: &'a str) -> impl Iterator<Item = &'a Value> {
    json.get("extension")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter(move |e| text(e, "/url").is_some_and(|url| url.rsplit('/').next() == Some(name)))
}

/// `10` of `Schedule/10`, also where the reference is a whole URL.
fn reference<'a>(json: &'a Value, kind: &str) -> Option<&'a str> {
    let mut parts = text(json, "/reference")?.rsplit('/');
    let id = parts.next()?;
    (parts.next() == Some(kind)).then_some(id)
}
