//! A partner's picture of the bookable slots, as its harvest of the slots feed draws it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::dice::Dice;
use super::partner::FeedPage;

/// Slots that everybody wants, and those that most look at: the soonest ones.
const HOT_SLOTS: usize = 24;
const NEAR_SLOTS: usize = 2_000;

/// Slots as harvested, bookable ones only.
#[derive(Default)]
pub struct Shelf {
    slots: Vec<Offer>,
    /// Place in `slots`, by id.
    at: BTreeMap<String, usize>,
    /// Soonest first: what everybody wants.
    soonest: BTreeSet<(String, String)>,
    /// `Sync-Cursor` of the last page read.
    pub cursor: u64,
    /// The first item ever read, as it came.
    pub first_item: Option<Value>,
}

/// A bookable slot as the feed shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    pub id: String,
    pub start: String,
    pub series: String,
}

impl Shelf {
    /// Takes a page in; returns how many items it had.
    pub fn take(&mut self, page: &FeedPage) -> usize {
        let items = page.body["items"].as_array().map_or(&[][..], Vec::as_slice);
        if self.first_item.is_none() {
            self.first_item = items.first().cloned();
        }
        for item in items {
            let Some(id) = item["id"].as_str() else { continue };
            let is_bookable = item["state"] == "updated" && bookable(&item["data"]);
            match (is_bookable, self.at.contains_key(id)) {
                (true, false) => {
                    let text = |name: &str| item["data"][name].as_str().unwrap_or_default().to_owned();
                    self.put(Offer { id: id.to_owned(), start: text("start"), series: text("series") });
                }
                (false, true) => self.drop(id),
                _ => {}
            }
        }
        if let Some(cursor) = page.cursor {
            self.cursor = cursor;
        }
        items.len()
    }

    fn put(&mut self, offer: Offer) {
        self.at.insert(offer.id.clone(), self.slots.len());
        self.soonest.insert((offer.start.clone(), offer.id.clone()));
        self.slots.push(offer);
    }

    fn drop(&mut self, id: &str) {
        let Some(at) = self.at.remove(id) else { return };
        let gone = self.slots.swap_remove(at);
        self.soonest.remove(&(gone.start, gone.id));
        if let Some(place) = self.slots.get(at).and_then(|moved| self.at.get_mut(&moved.id)) {
            *place = at;
        }
    }

    /// One of the soonest, now and then one of the very soonest.
    pub fn choose(&self, dice: &mut Dice) -> Option<Offer> {
        let reach = if dice.one_in(5) { HOT_SLOTS } else { NEAR_SLOTS };
        let (_, id) = self.soonest.iter().nth(dice.below(reach.min(self.slots.len())))?;
        self.slots.get(*self.at.get(id)?).cloned()
    }

    /// One to try by hand: just behind the slots that everybody wants, so among the first that are given units.
    pub fn to_try(&self) -> Option<Offer> {
        let (_, id) = self.soonest.iter().nth(HOT_SLOTS + 8).or_else(|| self.soonest.last())?;
        self.slots.get(*self.at.get(id)?).cloned()
    }
}

/// A slot that the feed calls bookable, whichever of the two forms the partner's mapping has.
fn bookable(data: &Value) -> bool {
    data["status"] == "open" && data["remaining_bucket"].as_str().is_none_or(|left| left != "0")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_slot_that_is_not_bookable_any_more_leaves_the_shelf() {
        let page = |items: Value| FeedPage { body: json!({ "items": items }), cursor: Some(9), lag_ms: None };
        let mut shelf = Shelf::default();
        let slot = |id: &str, bookable: bool| {
            let left = if bookable { "1-4" } else { "0" };
            json!({ "id": id, "state": "updated", "data": { "status": "open", "remaining_bucket": left } })
        };
        shelf.take(&page(json!([slot("s-1", true), slot("s-2", true), slot("s-3", false)])));
        assert_eq!((shelf.slots.len(), shelf.cursor), (2, 9));
        shelf.take(&page(json!([slot("s-1", false), { "id": "s-9", "state": "deleted" }])));
        assert_eq!(shelf.to_try().map(|offer| offer.id).as_deref(), Some("s-2"));
        shelf.take(&page(json!([{ "id": "s-2", "state": "deleted" }])));
        assert!(shelf.slots.is_empty() && shelf.at.is_empty() && shelf.soonest.is_empty());
    }
}
