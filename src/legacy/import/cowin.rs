//! CoWIN `calendarByDistrict`: centers and sessions to drafts.

use std::collections::BTreeMap;

use serde_json::Value;

use super::draft::{Drafts, Product, SiteDraft, SlotDraft};
use super::source::{Publication, RawRecord, RecordKind};
use super::{NoteCode, Notes, clock};
use crate::domain::Timestamp;

pub(super) fn drafts(publication: &Publication, notes: &mut Notes) -> Drafts {
    let mut drafts = Drafts::default();
    // Center record → draft; a center repeated word for word shares the draft of the first.
    let mut site_of: BTreeMap<usize, usize> = BTreeMap::new();
    let mut centers: BTreeMap<String, Vec<(&Value, usize)>> = BTreeMap::new();
    let mut sessions: BTreeMap<String, Vec<(&Value, usize)>> = BTreeMap::new();
    for (at, record) in publication.records.iter().enumerate() {
        if record.kind == RecordKind::Site {
            let Some(id) = scalar(&record.json, "center_id") else {
                notes.add(NoteCode::RequiredMissing, &record.place, None, "no center_id");
                continue;
            };
            let had = centers.entry(id.clone()).or_default();
            if let Some((_, site)) = had.iter().find(|(json, _)| **json == record.json) {
                notes.add(
                    NoteCode::Repeated,
                    &record.place,
                    Some(&id),
                    "the same center again: its sessions are added",
                );
                site_of.insert(at, *site);
                continue;
            }
            had.push((&record.json, drafts.sites.len()));
            site_of.insert(at, drafts.sites.len());
            drafts.sites.push(center(at, record, id, notes));
            continue;
        }
        let Some(site) = record.within.and_then(|center| site_of.get(&center)).copied() else {
            notes.add(NoteCode::ReferenceMissing, &record.place, None, "its center cannot be used");
            continue;
        };
        let Some(id) = scalar(&record.json, "session_id") else {
            notes.add(NoteCode::RequiredMissing, &record.place, None, "no session_id");
            continue;
        };
        let had = sessions.entry(id.clone()).or_default();
        if had.contains(&(&record.json, site)) {
            notes.add(NoteCode::Repeated, &record.place, Some(&id), "the same session again: used once");
            continue;
        }
        had.push((&record.json, site));
        session(at, record, id, site, &mut drafts, notes);
    }
    drafts
}

fn center(at: usize, record: &RawRecord, id: String, notes: &mut Notes) -> SiteDraft {
    let json = &record.json;
    let mut hour = |member: &str| {
        let stated = scalar(json, member)?;
        let minute = clock::minute_of_day(&stated);
        if minute.is_none() {
            notes.add(NoteCode::ValueChanged, &record.place, Some(&id), format!("{member} is not a time: left empty"));
        }
        minute.map(clock::hour_minute)
    };
    let (opens, closes) = (hour("from"), hour("to"));
    let mut degrees = |member: &str| {
        let stated = scalar(json, member)?;
        let degrees = stated.parse::<f64>().ok().filter(|d| d.is_finite());
        if degrees.is_none() {
            notes.add(
                NoteCode::ValueChanged,
                &record.place,
                Some(&id),
                format!("{member} is not a number: left empty"),
            );
        }
        degrees
    };
    let (lat, lon) = (degrees("lat"), degrees("long"));
    let address: Vec<String> = ["address", "pincode"].iter().filter_map(|m| scalar(json, m)).collect();
    let name = scalar(json, "name").unwrap_or_else(|| {
        notes.add(NoteCode::DefaultUsed, &record.place, Some(&id), "no name: the id stands for it");
        id.clone()
    });
    SiteDraft {
        record: at,
        name,
        address: (!address.is_empty()).then(|| address.join(", ")),
        tel: None,
        lat,
        lon,
        opens,
        closes,
        province: scalar(json, "state_name"),
        district: scalar(json, "district_name"),
        id,
    }
}

/// A slot for each time window that can be read; the capacity is split by the stated rule.
fn session(at: usize, record: &RawRecord, id: String, site: usize, drafts: &mut Drafts, notes: &mut Notes) {
    let (json, place) = (&record.json, record.place.as_str());
    let day = scalar(json, "date").as_deref().and_then(clock::date);
    let midnight = day.and_then(|(y, m, d)| Timestamp::parse_seoul(&format!("{y:04}-{m:02}-{d:02} 00:00:00")).ok());
    let Some(midnight) = midnight else {
        notes.add(NoteCode::ValueInvalid, place, Some(&id), "date is missing or not a date");
        return;
    };
    let mut windows = Vec::new();
    for (part, window) in json.get("slots").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let stated = window.as_str().or_else(|| window.get("time").and_then(Value::as_str));
        match stated.and_then(clock::window) {
            Some(times) => windows.push((part, times, window.get("seats").and_then(Value::as_u64))),
            None => notes.add(NoteCode::WindowUnusable, place, Some(&id), format!("window {part} is not two times")),
        }
    }
    if windows.is_empty() {
        let hours = drafts.sites.get(site).and_then(|s| {
            let (from, to) = (clock::minute_of_day(s.opens.as_deref()?)?, clock::minute_of_day(s.closes.as_deref()?)?);
            (from < to).then_some((from, to))
        });
        let Some(hours) = hours else {
            notes.add(NoteCode::RequiredMissing, place, Some(&id), "neither windows nor opening hours");
            return;
        };
        notes.add(NoteCode::DefaultUsed, place, Some(&id), "no windows: the center's opening hours are one");
        windows.push((0, hours, None));
    }
    let Some(capacity) = capacity(json, place, &id, notes) else { return };
    let vaccine = scalar(json, "vaccine").map(|name| Product { code: name.clone(), name });
    let min_age = json.get("min_age_limit").and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
    let doses: Vec<Option<u64>> = ["available_capacity_dose1", "available_capacity_dose2"]
        .iter()
        .map(|m| json.get(m).and_then(Value::as_u64))
        .collect();
    let shares = shares(capacity, &windows.iter().map(|(_, _, seats)| *seats).collect::<Vec<_>>());
    for ((part, (from, to), _), share) in windows.into_iter().zip(shares) {
        drafts.slots.push(SlotDraft {
            record: at,
            id: id.clone(),
            part: Some(part),
            site,
            start: midnight.plus_ms(i64::from(from) * 60_000),
            minutes: to - from,
            vaccine: vaccine.clone(),
            dose: match doses[..] {
                [Some(1..), Some(0)] => Some(1),
                [Some(0), Some(1..)] => Some(2),
                _ => None,
            },
            min_age,
            open: true,
            capacity: share,
            remark: doses.iter().any(Option::is_some).then(|| format!("dose1={:?} dose2={:?}", doses[0], doses[1])),
        });
    }
}

/// The session's capacity; below 0 or with a fraction it is brought into range, omitted it is 0, and both are noted.
fn capacity(json: &Value, place: &str, id: &str, notes: &mut Notes) -> Option<u32> {
    const MAX: f64 = 999_999.0;
    match json.get("available_capacity") {
        None | Some(Value::Null) => {
            notes.add(NoteCode::DefaultUsed, place, Some(id), "no available_capacity: 0");
            Some(0)
        }
        Some(value) => match value.as_f64().or_else(|| value.as_str()?.trim().parse().ok()) {
            Some(n) if n.is_finite() => {
                let used = n.floor().clamp(0.0, MAX);
                if used != n {
                    notes.add(
                        NoteCode::ValueChanged,
                        place,
                        Some(id),
                        format!("available_capacity {n} is used as {used}"),
                    );
                }
                Some(used as u32)
            }
            _ => {
                notes.add(NoteCode::ValueInvalid, place, Some(id), "available_capacity is not a number");
                None
            }
        },
    }
}

/// Seats as stated where they add up to the capacity, else c div n each and one more to the first c mod n.
fn shares(capacity: u32, seats: &[Option<u64>]) -> Vec<u32> {
    let stated: Option<Vec<u64>> = seats.iter().copied().collect();
    if let Some(stated) = stated
        && stated.iter().try_fold(0u64, |sum, n| sum.checked_add(*n)) == Some(u64::from(capacity))
    {
        return stated.into_iter().map(|n| n as u32).collect();
    }
    let n = seats.len().max(1) as u32;
    (0..n).map(|i| capacity / n + u32::from(i < capacity % n)).collect()
}

/// A text or a number as text; empty is none.
fn scalar(json: &Value, member: &str) -> Option<String> {
    match json.get(member)? {
        Value::String(text) => Some(text.trim().to_owned()).filter(|t| !t.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_to_the_capacity() {
        for capacity in [0, 1, 3, 4, 197, 999_999] {
            for n in 1..9 {
                let shares = shares(capacity, &vec![None; n]);
                assert_eq!((shares.len(), shares.iter().sum::<u32>()), (n, capacity));
            }
        }
        assert_eq!(shares(10, &[Some(7), Some(3)]), [7, 3]);
        assert_eq!(shares(10, &[Some(7), Some(4)]), [5, 5]);
        assert_eq!(shares(10, &[Some(7), None]), [5, 5]);
    }
}
