//! Chooses a slot from what the store holds of `sites` and `slots`: the API has no search by place.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{PartnerError, Store};
use crate::domain::Timestamp;
use crate::domain::geo::Place;

/// What a user asks for.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    pub series: Option<String>,
    pub slot_id: Option<String>,
    /// Province, or district, as the sites feed spells them.
    pub region: Option<String>,
    /// Nearest first, at most so many metres away.
    pub near: Option<(Place, u32)>,
    pub from: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Site {
    #[serde(default)]
    name: String,
    #[serde(default)]
    region: String,
    #[serde(default)]
    district: String,
    lat: Option<f64>,
    lon: Option<f64>,
}

#[derive(Deserialize)]
struct Slot {
    site_id: String,
    series: String,
    start: String,
    #[serde(default)]
    remaining_bucket: String,
    #[serde(default)]
    status: String,
}

/// A slot that looked bookable when it was last pulled. Whether it is, the booking tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Offer {
    pub slot_id: String,
    pub series: String,
    pub start: String,
    pub site_id: String,
    pub site: String,
    pub region: String,
    pub district: String,
    pub remaining_bucket: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distance_m: Option<u32>,
}

/// The best `max` offers: nearest where a place is given, then soonest.
pub fn offers(store: &Store, wanted: &Wanted, max: usize) -> Result<Vec<Offer>, PartnerError> {
    let mut sites: BTreeMap<String, (Site, Option<u32>)> = BTreeMap::new();
    store.each("sites", |id, site: Site| {
        let named = |region: &String| site.region == *region || site.district == *region;
        if let Some(distance_m) = distance(&site, wanted).filter(|_| wanted.region.as_ref().is_none_or(named)) {
            sites.insert(id.to_owned(), (site, distance_m));
        }
    })?;
    let mut found = Vec::new();
    store.each("slots", |id, slot: Slot| {
        let Some((site, distance_m)) = sites.get(&slot.site_id) else { return };
        if !is_wanted(id, &slot, wanted) {
            return;
        }
        let Slot { site_id, series, start, remaining_bucket, .. } = slot;
        found.push(Offer {
            slot_id: id.to_owned(),
            series,
            start,
            site_id,
            site: site.name.clone(),
            region: site.region.clone(),
            district: site.district.clone(),
            remaining_bucket,
            distance_m: *distance_m,
        });
        // Keeps memory small over millions of slots.
        if found.len() >= max.saturating_mul(2).max(1_000) {
            best(&mut found, max);
        }
    })?;
    best(&mut found, max);
    Ok(found)
}

fn best(found: &mut Vec<Offer>, max: usize) {
    found.sort_by(|a, b| (a.distance_m, &a.start, &a.slot_id).cmp(&(b.distance_m, &b.start, &b.slot_id)));
    found.truncate(max);
}

/// `None`: too far away. `Some(None)`: no place is asked for.
fn distance(site: &Site, wanted: &Wanted) -> Option<Option<u32>> {
    let Some((here, within_m)) = wanted.near else { return Some(None) };
    let there = Place::from_degrees(site.lat?, site.lon?)?;
    Some(here.distance_m(there)).filter(|distance| *distance <= within_m).map(Some)
}

fn is_wanted(id: &str, slot: &Slot, wanted: &Wanted) -> bool {
    let starts = Timestamp::parse_rfc3339(&slot.start);
    slot.status == "open"
        && slot.remaining_bucket != "0"
        && wanted.slot_id.as_ref().is_none_or(|only| only == id)
        && wanted.series.as_ref().is_none_or(|series| *series == slot.series)
        && starts.is_ok_and(|starts| wanted.from.is_none_or(|from| starts >= from))
}
