//! Other slots to offer with a refusal: near, soon, and not the same ones to everybody.
//!
//! Sites lie in a grid of cells, a site's open slots stand by start. The search is bounded, so a refusal costs the
//! same in the densest district as elsewhere; what lies beyond the bounds is not offered.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::geo::Place;
use crate::domain::{KeyMac, SeriesId, SiteKey, Timestamp};

use super::book::{Book, SlotNo};
use super::event::Alternative;
use std::sync::Arc;

/// 0.05 degrees: about 5.5 km north to south and 4.4 km east to west at 37° N.
const CELL_E6: i32 = 50_000;
/// Sites looked at: the nearest ones of the cells within reach.
const SITES_MAX: usize = 64;
/// Slots looked at in a site.
const SLOTS_OF_SITE_MAX: usize = 24;
/// Cells in each direction: at most 9 × 9 cells, about 20 km.
const REACH_MAX: i32 = 4;

type Cell = (i32, i32);

#[derive(Debug, Default)]
pub(super) struct Nearby {
    cells: BTreeMap<Cell, BTreeSet<SiteKey>>,
    cell_of: BTreeMap<SiteKey, Cell>,
    open: BTreeMap<(SiteKey, SeriesId), BTreeSet<(Timestamp, SlotNo)>>,
}

fn cell(place: Place) -> Cell {
    (place.lat_e6.div_euclid(CELL_E6), place.lon_e6.div_euclid(CELL_E6))
}

impl Nearby {
    pub fn place_site(&mut self, site: &SiteKey, place: Option<Place>) {
        if let Some(old) = self.cell_of.remove(site)
            && let Some(sites) = self.cells.get_mut(&old)
        {
            sites.remove(site);
            if sites.is_empty() {
                self.cells.remove(&old);
            }
        }
        if let Some(place) = place {
            self.cells.entry(cell(place)).or_default().insert(site.clone());
            self.cell_of.insert(site.clone(), cell(place));
        }
    }

    pub fn forget_slots(&mut self) {
        self.open.clear();
    }

    pub fn insert(&mut self, site: &SiteKey, series: &SeriesId, start: Timestamp, no: SlotNo) {
        self.open.entry((site.clone(), series.clone())).or_default().insert((start, no));
    }

    pub fn remove(&mut self, site: &SiteKey, series: &SeriesId, start: Timestamp, no: SlotNo) {
        let key = (site.clone(), series.clone());
        if let Some(slots) = self.open.get_mut(&key) {
            slots.remove(&(start, no));
            if slots.is_empty() {
                self.open.remove(&key);
            }
        }
    }

    /// Sites within `within_m` of `from`, nearest first; the site itself always, even without a place.
    fn sites(&self, book: &Book, from: &SiteKey, within_m: u32) -> Vec<(u32, SiteKey)> {
        let mut found = vec![(0, from.clone())];
        let Some(place) = book.sites.get(from).and_then(|s| s.place) else { return found };
        let reach = (within_m as i32 / 4_000 + 1).min(REACH_MAX);
        let (x, y) = cell(place);
        for lat in x - reach..=x + reach {
            for (_, sites) in self.cells.range((lat, y - reach)..=(lat, y + reach)) {
                for site in sites.iter().filter(|site| *site != from) {
                    let Some(other) = book.sites.get(site).and_then(|s| s.place) else { continue };
                    let distance = place.distance_m(other);
                    if distance <= within_m {
                        found.push((distance, site.clone()));
                    }
                }
            }
        }
        found.sort();
        found.truncate(SITES_MAX);
        found
    }
}

pub(super) struct Wanted<'a> {
    pub site: &'a SiteKey,
    pub series: &'a SeriesId,
    pub start: Timestamp,
    /// The refused slot.
    pub not: SlotNo,
    pub within_m: u32,
    pub max: usize,
    /// Spreads losers over the candidates.
    pub key: KeyMac,
}

struct Candidate {
    no: SlotNo,
    distance_m: u32,
    free: u32,
    /// Distance and time as one number: 1 km weighs as much as an hour.
    rank: u64,
}

/// At most `wanted.max` open slots with free units, best first.
pub(super) fn find(book: &Book, nearby: &Nearby, wanted: &Wanted<'_>) -> Vec<Alternative> {
    if wanted.max == 0 {
        return Vec::new();
    }
    let mut candidates = Vec::new();
    for (distance_m, site) in nearby.sites(book, wanted.site, wanted.within_m) {
        let Some(slots) = nearby.open.get(&(site, wanted.series.clone())) else { continue };
        let first = slots.range((wanted.start, SlotNo(0))..).take(SLOTS_OF_SITE_MAX / 2);
        let before = slots.range(..(wanted.start, SlotNo(0))).rev().take(SLOTS_OF_SITE_MAX / 2);
        for (start, no) in first.chain(before) {
            let free = book.sellable(*no);
            if *no == wanted.not || free == 0 {
                continue;
            }
            let minutes = start.since_ms(wanted.start).unsigned_abs() / 60_000;
            candidates.push(Candidate {
                no: *no,
                distance_m,
                free,
                rank: u64::from(distance_m) * 60 / 1_000 + minutes,
            });
        }
    }
    candidates.sort_by_key(|c| (c.rank, c.no));
    candidates.truncate(wanted.max * 3);
    pick(candidates, wanted)
        .into_iter()
        .filter_map(|c| {
            let slot = book.slot(c.no).view()?;
            let place = book.sites.get(&slot.site).and_then(|s| s.place);
            Some(Alternative { slot: Arc::new(slot), distance_m: place.map(|_| c.distance_m), place })
        })
        .collect()
}

/// Draws `max` of the candidates, weighted by free units, by a generator that the request key seeds.
fn pick(mut candidates: Vec<Candidate>, wanted: &Wanted<'_>) -> Vec<Candidate> {
    let mut seed = u64::from_le_bytes(wanted.key.0[..8].try_into().expect("16 bytes hold 8"));
    let mut picked = Vec::new();
    while picked.len() < wanted.max && !candidates.is_empty() {
        let total: u64 = candidates.iter().map(|c| u64::from(c.free)).sum();
        let mut draw = splitmix(&mut seed) % total.max(1);
        let mut at = 0;
        while at + 1 < candidates.len() && draw >= u64::from(candidates[at].free) {
            draw -= u64::from(candidates[at].free);
            at += 1;
        }
        picked.push(candidates.remove(at));
    }
    picked.sort_by_key(|c| (c.rank, c.no));
    picked
}

/// SplitMix64 (Steele, Lea, Flood 2014).
fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
