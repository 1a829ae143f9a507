//! Drafts into the legacy tables: keys, regions, shift, and the map back to the source records.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, Transaction, params};

use super::draft::{Drafts, SiteDraft, SlotDraft};
use super::source::{Publication, RawRecord, RecordKind};
use super::{ImportError, NoteCode, Notes, Report};
use crate::domain::time::DAY_MS;
use crate::domain::{SlotKey, Timestamp};
use crate::legacy::sqlite::{failure, generate, schema, wall};

pub(super) const WEEK_MS: i64 = 7 * DAY_MS;

pub(super) struct Stored {
    pub(super) sites: u64,
    pub(super) slots: u64,
    pub(super) units: u64,
}

pub(super) fn store(
    connection: &mut Connection,
    publication: &Publication,
    drafts: &Drafts,
    shift_weeks: i64,
    now: Timestamp,
    notes: &mut Notes,
) -> Result<Stored, ImportError> {
    let tx = connection.transaction().map_err(failure)?;
    let rows: i64 = tx
        .query_row("SELECT (SELECT COUNT(*) FROM TB_SITE) + (SELECT COUNT(*) FROM TB_SLOT)", [], |r| r.get(0))
        .map_err(failure)?;
    if rows != 0 {
        return Err(ImportError::Shape {
            what: "the legacy database".to_owned(),
            detail: "it holds sites or slots already; import into a new file".to_owned(),
        });
    }
    generate::cohorts(&tx, now)?;
    keep_records(&tx, publication)?;
    let stamp = wall::stamp(now.plus_ms(-DAY_MS));
    let mut regions = Regions::default();
    let mut keys = Keys::default();
    let mut site_keys = Vec::with_capacity(drafts.sites.len());
    for site in &drafts.sites {
        let record = &publication.records[site.record];
        let key = keys.take(&site.id, record, notes);
        let district = regions.district(&tx, site)?;
        insert_site(&tx, site, &key, district.as_deref(), &stamp)?;
        map_back(&tx, record, &site.id, None, &key)?;
        site_keys.push(key);
    }
    let mut keys = Keys::default();
    let mut base = (usize::MAX, String::new());
    let mut units = 0;
    for slot in &drafts.slots {
        let record = &publication.records[slot.record];
        if base.0 != slot.record {
            base = (slot.record, keys.take(&slot.id, record, notes));
        }
        let key = match slot.part {
            None => base.1.clone(),
            Some(part) => keys.part(&base.1, part),
        };
        insert_slot(&tx, slot, &key, &site_keys[slot.site], shift_weeks, &stamp)?;
        map_back(&tx, record, &slot.id, slot.part, &key)?;
        units += u64::from(slot.capacity);
    }
    tx.commit().map_err(failure)?;
    Ok(Stored { sites: drafts.sites.len() as u64, slots: drafts.slots.len() as u64, units })
}

/// The publication as it was read, from the database: `compare` can be run without the files.
pub fn stored(connection: &Connection) -> Result<Publication, ImportError> {
    let mut statement = connection
        .prepare("SELECT SRC_KIND, SRC_WHERE, WITHIN_NO, SRC_JSON FROM TB_IMP_SRC ORDER BY SRC_NO")
        .map_err(failure)?;
    let mut rows = statement.query([]).map_err(failure)?;
    let mut records = Vec::new();
    while let Some(row) = rows.next().map_err(failure)? {
        let (kind, place): (String, String) = (row.get(0).map_err(failure)?, row.get(1).map_err(failure)?);
        let (within, text): (Option<i64>, String) = (row.get(2).map_err(failure)?, row.get(3).map_err(failure)?);
        let json = serde_json::from_str(&text)
            .map_err(|e| ImportError::Shape { what: format!("the kept record {place}"), detail: e.to_string() })?;
        let kind = RecordKind::ALL.into_iter().find(|k| k.code() == kind).unwrap_or(RecordKind::Other);
        records.push(RawRecord { kind, place, json, within: within.map(|n| n as usize) });
    }
    let report = super::compare::report(connection)?;
    let lost = report.notes.into_iter().filter(|n| n.code == NoteCode::Unreadable).map(|n| (n.place, n.detail));
    Ok(Publication { source: report.source, records, unreadable: lost.collect() })
}

fn keep_records(tx: &Transaction<'_>, publication: &Publication) -> Result<(), ImportError> {
    let mut insert = tx.prepare("INSERT INTO TB_IMP_SRC VALUES (?1, ?2, ?3, ?4, ?5)").map_err(failure)?;
    for (at, record) in publication.records.iter().enumerate() {
        let within = record.within.map(|n| n as i64);
        insert
            .execute(params![at as i64, record.kind.code(), record.place, within, record.json.to_string()])
            .map_err(failure)?;
    }
    Ok(())
}

/// Keeps the report in the database, so that it can be asked later what was imported and how.
pub(super) fn keep_report(connection: &Connection, report: &Report) -> Result<(), ImportError> {
    let text = serde_json::to_string(report)
        .map_err(|e| ImportError::Shape { what: "the report".to_owned(), detail: e.to_string() })?;
    connection
        .execute("INSERT OR REPLACE INTO TB_IMP_RUN VALUES (?1, ?2, ?3)", params!["import", report.shift_weeks, text])
        .map_err(failure)?;
    Ok(())
}

/// SHA-256 of the record as parsed, members in order, hexadecimal.
pub(super) fn digest(json: &serde_json::Value) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, json.to_string().as_bytes());
    digest.as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

fn insert_site(
    tx: &Transaction<'_>,
    site: &SiteDraft,
    key: &str,
    district: Option<&str>,
    stamp: &str,
) -> Result<(), ImportError> {
    tx.prepare_cached(
        "INSERT INTO TB_SITE VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, NULL, NULL, NULL, NULL, 'Y', ?10, ?10)",
    )
    .and_then(|mut s| {
        s.execute(params![
            key,
            site.name,
            district,
            site.address,
            site.tel,
            site.lat,
            site.lon,
            site.opens,
            site.closes,
            stamp
        ])
    })
    .map_err(failure)?;
    Ok(())
}

fn insert_slot(
    tx: &Transaction<'_>,
    slot: &SlotDraft,
    key: &str,
    site: &str,
    shift_weeks: i64,
    stamp: &str,
) -> Result<(), ImportError> {
    if let Some(product) = &slot.vaccine {
        tx.prepare_cached("INSERT OR IGNORE INTO TB_CODE VALUES ('VCN', substr(?1, 1, 20), ?2, 99, 'Y')")
            .and_then(|mut s| s.execute(params![product.code, product.name]))
            .map_err(failure)?;
    }
    let (sold, left) = schema::counts_sql("?10", "0");
    tx.prepare_cached(&format!(
        "INSERT INTO TB_SLOT VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,{sold},0,NULL,NULL,?11,?12,?12,{left})"
    ))
    .and_then(|mut s| {
        s.execute(params![
            key,
            site,
            if slot.dose == Some(2) { "covid19-2" } else { "covid19-1" },
            slot.start.plus_ms(shift_weeks * WEEK_MS).seoul_text(),
            slot.minutes,
            slot.vaccine.as_ref().map(|p| &p.code),
            slot.dose,
            slot.min_age,
            if slot.open { "1" } else { "9" },
            slot.capacity,
            slot.remark,
            stamp
        ])
    })
    .map_err(failure)?;
    Ok(())
}

fn map_back(
    tx: &Transaction<'_>,
    record: &RawRecord,
    id: &str,
    part: Option<usize>,
    key: &str,
) -> Result<(), ImportError> {
    let kind = if record.kind == RecordKind::Site { RecordKind::Site } else { RecordKind::Slot };
    tx.prepare_cached("INSERT INTO TB_IMP_MAP VALUES (?1, ?2, ?3, ?4, ?5, ?6)")
        .and_then(|mut s| {
            s.execute(params![kind.code(), record.place, id, part.map(|p| p as i64), key, digest(&record.json)])
        })
        .map_err(failure)?;
    Ok(())
}

/// Gives every record a key of its own, the publisher's id where that is possible.
#[derive(Default)]
struct Keys {
    taken: BTreeSet<String>,
    made: u64,
}

/// Room behind a key for `.2` or `-12`, within the 60 characters of a key.
const KEY_LEN_MAX: usize = 50;

impl Keys {
    fn take(&mut self, id: &str, record: &RawRecord, notes: &mut Notes) -> String {
        if id.len() > KEY_LEN_MAX || SlotKey::new(id).is_err() {
            let key = self.fresh();
            notes.add(NoteCode::IdReplaced, &record.place, Some(id), format!("used under key {key}"));
            return key;
        }
        if self.taken.insert(id.to_owned()) {
            return id.to_owned();
        }
        let behind = (2..1_000).map(|n| format!("{id}.{n}")).find(|key| !self.taken.contains(key));
        let key = behind.unwrap_or_else(|| self.fresh());
        self.taken.insert(key.clone());
        notes.add(NoteCode::Rekeyed, &record.place, Some(id), format!("the id is taken; used under key {key}"));
        key
    }

    fn part(&mut self, base: &str, part: usize) -> String {
        let key = format!("{base}-{part}");
        if self.taken.insert(key.clone()) { key } else { self.fresh() }
    }

    fn fresh(&mut self) -> String {
        loop {
            self.made += 1;
            let key = format!("import-{}", self.made);
            if self.taken.insert(key.clone()) {
                return key;
            }
        }
    }
}

/// Provinces and districts get codes of their own; names are kept.
#[derive(Default)]
struct Regions {
    provinces: BTreeMap<String, String>,
    districts: BTreeMap<(String, String), String>,
}

impl Regions {
    fn district(&mut self, tx: &Transaction<'_>, site: &SiteDraft) -> Result<Option<String>, ImportError> {
        if site.province.is_none() && site.district.is_none() {
            return Ok(None);
        }
        let province = site.province.clone().unwrap_or_else(|| "-".to_owned());
        let district = site.district.clone().unwrap_or_else(|| "-".to_owned());
        if let Some(code) = self.districts.get(&(province.clone(), district.clone())) {
            return Ok(Some(code.clone()));
        }
        let province_code = match self.provinces.get(&province) {
            Some(code) => code.clone(),
            None => {
                let code = format!("X{:02}", self.provinces.len() + 1);
                tx.execute("INSERT INTO TB_SIDO VALUES (?1, ?2)", params![code, province]).map_err(failure)?;
                self.provinces.insert(province.clone(), code.clone());
                code
            }
        };
        let code = format!("{province_code}{:04}", self.districts.len() + 1);
        tx.execute("INSERT INTO TB_SIGUNGU VALUES (?1, ?2, ?3)", params![code, province_code, district])
            .map_err(failure)?;
        self.districts.insert((province, district), code.clone());
        Ok(Some(code))
    }
}
