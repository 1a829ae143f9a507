//! Proves that what was published is what came in: every published record against its source record, and every
//! source record against what was published, the shift undone.
//!
//! The values expected are read from the source JSON again, here, by other means than the import's: instants are
//! compared as instants, CoWIN times by writing the published start in CoWIN's own way. The publication must be idle:
//! bookings change what remains.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::source::{Publication, RawRecord, RecordKind};
use super::store::{WEEK_MS, digest};
use super::{ImportError, NoteCode, Report, Source, clock};
use crate::domain::Timestamp;
use crate::legacy::sqlite::failure;

/// Most differences listed; all are counted.
pub const MAX_DIFFERENCES: usize = 1_000;

/// Members of the published records. A field whose name is `None` is not compared, and the result says so.
#[derive(Debug, Clone)]
pub struct FieldNames {
    pub slot_prefix: String,
    pub site_prefix: String,
    pub site_id: Option<String>,
    pub start: Option<String>,
    pub duration_min: Option<String>,
    pub vaccine: Option<String>,
    pub dose: Option<String>,
    pub min_age: Option<String>,
    pub remaining: Option<String>,
    pub name: Option<String>,
    pub lat: Option<String>,
    pub lon: Option<String>,
    pub telephone: Option<String>,
    pub opens: Option<String>,
    pub closes: Option<String>,
}

impl Default for FieldNames {
    /// The names of the shipped mappings.
    fn default() -> FieldNames {
        let name = |text: &str| Some(text.to_owned());
        FieldNames {
            slot_prefix: "s-".to_owned(),
            site_prefix: "site-".to_owned(),
            site_id: name("site_id"),
            start: name("start"),
            duration_min: name("duration_min"),
            vaccine: name("vaccine"),
            dose: name("dose"),
            min_age: name("min_age"),
            remaining: name("remaining"),
            name: name("name"),
            lat: name("lat"),
            lon: name("lon"),
            telephone: name("telephone"),
            opens: name("opens"),
            closes: name("closes"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Comparison {
    pub shift_weeks: i64,
    /// Source records of sites and slots in the publication.
    pub records: u64,
    /// Of those: found published and equal in every field compared.
    pub records_equal: u64,
    /// Of those: repetitions and records that could not be used, as the report of the import names them.
    pub records_noted: u64,
    pub sites_published: u64,
    pub slots_published: u64,
    /// Values compared.
    pub values: u64,
    pub not_compared: Vec<String>,
    pub differences: Vec<Difference>,
    pub differences_count: u64,
}

impl Comparison {
    /// Is everything accounted for and equal?
    pub fn is_equal(&self) -> bool {
        self.differences_count == 0 && self.records == self.records_equal + self.records_noted
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Where the source record stands, or the published id.
    pub place: String,
    pub field: String,
    pub published: String,
    pub source: String,
}

/// A row of the import's map.
struct Made {
    place: String,
    part: Option<usize>,
    key: String,
    digest: String,
}

/// Compares what the feeds hold (`sites` and `slots`: records as published, or feed items with the record in `data`)
/// with the publication read again. The database tells which row came from which record.
pub fn compare(
    connection: &Connection,
    publication: &Publication,
    sites: &[Value],
    slots: &[Value],
    names: &FieldNames,
) -> Result<Comparison, ImportError> {
    let report = report(connection)?;
    let locations = locations(publication);
    let mut check = Check {
        names,
        source: publication.source,
        shift_ms: report.shift_weeks * WEEK_MS,
        found: Comparison { shift_weeks: report.shift_weeks, ..Comparison::default() },
        sites: by_id(sites),
        slots: by_id(slots),
        key_of_site: BTreeMap::new(),
        schedules: schedules(publication, &locations),
        locations,
    };
    check.found.sites_published = check.sites.len() as u64;
    check.found.slots_published = check.slots.len() as u64;
    check.found.not_compared = not_compared(names);
    let mut made = made(connection)?;
    let noted: BTreeSet<&str> = report
        .notes
        .iter()
        .filter(|n| n.code == NoteCode::Repeated || n.code.is_loss())
        .map(|n| n.place.as_str())
        .collect();
    for kind in [RecordKind::Site, RecordKind::Slot] {
        for record in publication.records.iter().filter(|r| r.kind == kind) {
            check.found.records += 1;
            match made.remove(record.place.as_str()) {
                Some(rows) => check.record(record, publication, &rows),
                None if noted.contains(record.place.as_str()) => {
                    check.found.records_noted += 1;
                    check.stands_for(record, publication);
                }
                None => check.differ(&record.place, "record", "nothing", "a record that the report does not name"),
            }
        }
    }
    for (place, _) in made {
        check.differ(&place, "record", "a row", "no such record in the publication");
    }
    check.leftovers();
    Ok(check.found)
}

struct Check<'a> {
    names: &'a FieldNames,
    source: Source,
    shift_ms: i64,
    found: Comparison,
    /// Published and not yet accounted for.
    sites: BTreeMap<String, &'a Value>,
    slots: BTreeMap<String, &'a Value>,
    /// Place of a site record → its published id.
    key_of_site: BTreeMap<String, String>,
    /// SMART: id of a Location → place of the first record of that id.
    locations: BTreeMap<&'a str, &'a str>,
    schedules: BTreeMap<&'a str, &'a Value>,
}

impl<'a> Check<'a> {
    fn record(&mut self, record: &RawRecord, publication: &Publication, rows: &[Made]) {
        let before = self.found.differences_count;
        let now = digest(&record.json);
        if rows.iter().any(|row| row.digest != now) {
            self.differ(&record.place, "record", "imported from other content", "the record as it is now");
        }
        let site = record.kind == RecordKind::Site;
        let (mut remaining, mut whole) = (Some(0), true);
        for row in rows {
            let prefix = if site { &self.names.site_prefix } else { &self.names.slot_prefix };
            let id = format!("{prefix}{}", row.key);
            let published = if site { self.sites.remove(&id) } else { self.slots.remove(&id) };
            let Some(published) = published else {
                self.differ(&record.place, "record", &format!("no {id}"), "a record");
                whole = false;
                continue;
            };
            if site {
                self.key_of_site.insert(record.place.clone(), id);
                self.site(record, published);
                continue;
            }
            match self.source {
                Source::Smart => self.smart_slot(record, published),
                Source::Cowin => self.cowin_slot(record, row.part, publication, published),
            }
            let left = self.names.remaining.as_ref().and_then(|name| published.get(name)).and_then(Value::as_i64);
            remaining = remaining.and_then(|sum: i64| Some(sum + left?));
        }
        if !site && whole && self.names.remaining.is_some() {
            let wanted = match self.source {
                Source::Smart => smart_remaining(&record.json),
                Source::Cowin => cowin_capacity(&record.json),
            };
            self.equal(record, "remaining", remaining.map_or(Value::Null, Value::from), Value::from(wanted));
        }
        if self.found.differences_count == before {
            self.found.records_equal += 1;
        }
    }

    /// A site repeated word for word was used once: what refers to the repetition means the first.
    fn stands_for(&mut self, record: &RawRecord, publication: &Publication) {
        let first = publication.records.iter().find(|r| r.kind == RecordKind::Site && r.json == record.json);
        if let Some(id) = first.and_then(|r| self.key_of_site.get(&r.place)).cloned() {
            self.key_of_site.insert(record.place.clone(), id);
        }
    }

    fn site(&mut self, record: &RawRecord, published: &Value) {
        let json = &record.json;
        let names = self.names;
        let (lat, lon, phone) = match self.source {
            Source::Smart => {
                let all = json.get("telecom").and_then(Value::as_array).into_iter().flatten();
                let phone = all.filter(|t| t["system"] == "phone").map(|t| t["value"].clone()).next();
                (json.pointer("/position/latitude"), json.pointer("/position/longitude"), phone)
            }
            Source::Cowin => (json.get("lat"), json.get("long"), None),
        };
        let id = if self.source == Source::Smart { "id" } else { "center_id" };
        let name = [json.get("name"), json.get(id)].into_iter().flatten().map(plain).find(|n| !n.is_empty());
        self.field(record, &names.name, published, name.map_or(Value::Null, Value::from));
        self.number(record, &names.lat, published, lat);
        self.number(record, &names.lon, published, lon);
        self.field(record, &names.telephone, published, phone.unwrap_or(Value::Null));
        for (name, member) in [(&names.opens, "from"), (&names.closes, "to")] {
            let stated = json.get(member).map(plain).filter(|_| self.source == Source::Cowin);
            let minute = stated.as_deref().and_then(clock::minute_of_day);
            self.field(record, name, published, minute.map_or(Value::Null, |m| clock::hour_minute(m).into()));
        }
    }

    fn smart_slot(&mut self, record: &RawRecord, published: &Value) {
        let (json, names) = (&record.json, self.names);
        let instant = |member: &str| Timestamp::parse_rfc3339(json.get(member)?.as_str()?).ok();
        let start = self.start(published);
        self.same(record, "start", start.map(|t| t.0), instant("start").map(|t| t.0));
        if let (Some(start), Some(end)) = (instant("start"), instant("end")) {
            let minutes = end.since_ms(start) / 60_000;
            self.field(record, &names.duration_min, published, minutes.into());
        }
        let reference = json.pointer("/schedule/reference").and_then(Value::as_str).unwrap_or_default();
        let schedule = reference.rsplit('/').next().and_then(|id| self.schedules.get(id)).copied();
        let one = |name: &str, pointer: &str| {
            let all = schedule.and_then(|s| s.get("extension")).and_then(Value::as_array).into_iter().flatten();
            let mut values =
                all.filter(|e| e["url"].as_str().is_some_and(|u| u.ends_with(name))).filter_map(|e| e.pointer(pointer));
            let first = values.next().cloned().unwrap_or(Value::Null);
            if values.next().is_some() { Value::Null } else { first }
        };
        let (vaccine, dose) = (one("/vaccine-product", "/valueCoding/code"), one("/vaccine-dose", "/valueInteger"));
        self.field(record, &names.vaccine, published, vaccine);
        self.field(record, &names.dose, published, dose);
        let site = schedule.and_then(|s| location(s, &self.locations)).and_then(|place| self.key_of_site.get(place));
        let site = site.cloned().map_or(Value::Null, Value::from);
        self.field(record, &names.site_id, published, site);
    }

    fn cowin_slot(&mut self, record: &RawRecord, part: Option<usize>, publication: &Publication, published: &Value) {
        let (json, names) = (&record.json, self.names);
        let wall = self.start(published).map(Timestamp::seoul_text).unwrap_or_default();
        let date = json.get("date").map(plain).unwrap_or_default();
        let same_day = wall.len() == 19
            && [format!("{}-{}-{}", &wall[8..10], &wall[5..7], &wall[..4]), wall[..10].to_owned()].contains(&date);
        self.same(record, "date", Some(same_day), Some(true));
        let center = record.within.and_then(|at| publication.records.get(at));
        let minutes = names.duration_min.as_ref().and_then(|n| published.get(n)).and_then(Value::as_u64);
        let window = json.get("slots").and_then(|s| s.get(part.unwrap_or(0)));
        let stated = window.and_then(|w| w.as_str().or_else(|| w.get("time")?.as_str()));
        let begins = wall.get(11..16).and_then(clock::minute_of_day);
        if let (Some(begins), Some(minutes)) = (begins, minutes) {
            let ends = begins + minutes as u32;
            let as_cowin_writes = format!("{}-{}", twelve_hours(begins), twelve_hours(ends));
            let times = || {
                Some((
                    clock::minute_of_day(&plain(center?.json.get("from")?))?,
                    clock::minute_of_day(&plain(center?.json.get("to")?))?,
                ))
            };
            let equal = match stated.and_then(|s| Some((s, clock::window(s)?))) {
                Some((text, read)) => text == as_cowin_writes || read == (begins, ends),
                None => times() == Some((begins, ends)),
            };
            self.same(record, "window", Some(equal), Some(true));
        } else {
            self.differ(&record.place, "window", "no start or duration", "a window");
        }
        self.field(record, &names.vaccine, published, json.get("vaccine").cloned().unwrap_or(Value::Null));
        self.field(record, &names.min_age, published, json.get("min_age_limit").cloned().unwrap_or(Value::Null));
        let site = center.and_then(|c| self.key_of_site.get(&c.place)).cloned().map_or(Value::Null, Value::from);
        self.field(record, &names.site_id, published, site);
    }

    /// The published start, the shift undone.
    fn start(&self, published: &Value) -> Option<Timestamp> {
        let text = published.get(self.names.start.as_ref()?)?.as_str()?;
        Some(Timestamp::parse_rfc3339(text).ok()?.plus_ms(-self.shift_ms))
    }

    fn field(&mut self, record: &RawRecord, name: &Option<String>, published: &Value, wanted: Value) {
        if let Some(name) = name {
            self.equal(record, name, published.get(name).cloned().unwrap_or(Value::Null), wanted);
        }
    }

    fn number(&mut self, record: &RawRecord, name: &Option<String>, published: &Value, wanted: Option<&Value>) {
        let Some(name) = name else { return };
        let number = |value: Option<&Value>| value.and_then(|v| v.as_f64().or_else(|| v.as_str()?.parse().ok()));
        let (is, wanted) = (number(published.get(name)), number(wanted));
        self.same(record, name, is, wanted);
    }

    fn equal(&mut self, record: &RawRecord, field: &str, is: Value, wanted: Value) {
        self.found.values += 1;
        if is != wanted && plain(&is) != plain(&wanted) {
            self.differ(&record.place, field, &is.to_string(), &wanted.to_string());
        }
    }

    fn same<T: PartialEq + std::fmt::Debug>(&mut self, record: &RawRecord, field: &str, is: T, wanted: T) {
        self.found.values += 1;
        if is != wanted {
            self.differ(&record.place, field, &format!("{is:?}"), &format!("{wanted:?}"));
        }
    }

    fn differ(&mut self, place: &str, field: &str, published: &str, source: &str) {
        self.found.differences_count += 1;
        if self.found.differences.len() < MAX_DIFFERENCES {
            let [place, field, published, source] = [place, field, published, source].map(str::to_owned);
            self.found.differences.push(Difference { place, field, published, source });
        }
    }

    /// What was published without a source record.
    fn leftovers(&mut self) {
        let left: Vec<String> =
            std::mem::take(&mut self.sites).into_keys().chain(std::mem::take(&mut self.slots).into_keys()).collect();
        for id in left {
            self.differ(&id, "record", "a record", "nothing");
        }
    }
}

/// SMART: a slot that is not free has nothing left; capacity omitted is 1.
fn smart_remaining(json: &Value) -> i64 {
    if json["status"] != "free" {
        return 0;
    }
    let all = json.get("extension").and_then(Value::as_array).into_iter().flatten();
    let stated =
        all.filter(|e| e["url"].as_str().is_some_and(|u| u.ends_with("/slot-capacity"))).map(|e| &e["valueInteger"]);
    stated.filter_map(Value::as_i64).next().unwrap_or(1)
}

/// CoWIN: the whole places of a session.
fn cowin_capacity(json: &Value) -> i64 {
    let stated = json.get("available_capacity");
    let number = stated.and_then(|v| v.as_f64().or_else(|| v.as_str()?.trim().parse().ok())).unwrap_or(0.0);
    number.floor().clamp(0.0, 999_999.0) as i64
}

/// `09:00AM`.
fn twelve_hours(minute: u32) -> String {
    let (hour, half) = (minute / 60 % 24, if (minute / 60) % 24 < 12 { "AM" } else { "PM" });
    format!("{:02}:{:02}{half}", if hour % 12 == 0 { 12 } else { hour % 12 }, minute % 60)
}

/// Text without its quotes; a whole number without a fraction.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.trim().to_owned(),
        other => other.to_string(),
    }
}

fn by_id(records: &[Value]) -> BTreeMap<String, &Value> {
    records
        .iter()
        .filter(|item| item.get("state").is_none_or(|s| s != "deleted"))
        .filter_map(|item| {
            let inner = item.get("data").filter(|d| d.is_object()).unwrap_or(item);
            let id = item.get("id").or_else(|| inner.get("slot_id")).or_else(|| inner.get("site_id"))?;
            Some((plain(id), inner))
        })
        .collect()
}

fn locations(publication: &Publication) -> BTreeMap<&str, &str> {
    let mut first = BTreeMap::new();
    for record in publication.records.iter().filter(|r| r.kind == RecordKind::Site) {
        if let Some(id) = record.json.get("id").and_then(Value::as_str) {
            first.entry(id).or_insert(record.place.as_str());
        }
    }
    first
}

/// Of an id that stands for several schedules the first is meant whose site is there.
fn schedules<'a>(publication: &'a Publication, locations: &BTreeMap<&str, &str>) -> BTreeMap<&'a str, &'a Value> {
    let mut first = BTreeMap::new();
    for record in publication.records.iter().filter(|r| r.kind == RecordKind::Schedule) {
        if let (Some(id), Some(_)) = (record.json.get("id").and_then(Value::as_str), location(&record.json, locations))
        {
            first.entry(id).or_insert(&record.json);
        }
    }
    first
}

fn location<'a>(schedule: &Value, locations: &BTreeMap<&str, &'a str>) -> Option<&'a str> {
    let actors = schedule.get("actor").and_then(Value::as_array).into_iter().flatten();
    let ids = actors.filter_map(|a| a.get("reference")?.as_str()?.rsplit_once("Location/").map(|(_, id)| id));
    ids.filter_map(|id| locations.get(id).copied()).next()
}

fn not_compared(names: &FieldNames) -> Vec<String> {
    let all = [
        ("site_id", &names.site_id),
        ("start", &names.start),
        ("duration_min", &names.duration_min),
        ("vaccine", &names.vaccine),
        ("dose", &names.dose),
        ("min_age", &names.min_age),
        ("remaining", &names.remaining),
        ("name", &names.name),
        ("lat", &names.lat),
        ("lon", &names.lon),
        ("telephone", &names.telephone),
        ("opens", &names.opens),
        ("closes", &names.closes),
    ];
    all.iter().filter(|(_, name)| name.is_none()).map(|(field, _)| (*field).to_owned()).collect()
}

/// The report kept by the import.
pub fn report(connection: &Connection) -> Result<Report, ImportError> {
    let text: String = connection.query_row("SELECT REPORT FROM TB_IMP_RUN", [], |row| row.get(0)).map_err(failure)?;
    serde_json::from_str(&text)
        .map_err(|e| ImportError::Shape { what: "the kept report".to_owned(), detail: e.to_string() })
}

/// Rows made, by place of their source record.
fn made(connection: &Connection) -> Result<BTreeMap<String, Vec<Made>>, ImportError> {
    let mut statement = connection
        .prepare("SELECT SRC_WHERE, SRC_PART, LEGACY_KEY, SRC_SHA256 FROM TB_IMP_MAP ORDER BY SRC_WHERE, SRC_PART")
        .map_err(failure)?;
    let rows = statement
        .query_map([], |row| {
            let part: Option<i64> = row.get(1)?;
            Ok(Made { place: row.get(0)?, part: part.map(|p| p as usize), key: row.get(2)?, digest: row.get(3)? })
        })
        .map_err(failure)?;
    let mut by_place: BTreeMap<String, Vec<Made>> = BTreeMap::new();
    for row in rows {
        let row = row.map_err(failure)?;
        by_place.entry(row.place.clone()).or_default().push(row);
    }
    Ok(by_place)
}
