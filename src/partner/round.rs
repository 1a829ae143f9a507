//! One round of everything against a bridge that runs, each step told with the `curl` that does the same.
//!
//! It books and cancels for real: for test environments, and for the first minute in a live one.

use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};

use super::book::{self, Effort, Order};
use super::choose::{self, Wanted};
use super::eligible::{self, Birth};
use super::person::{self, Wish};
use super::pull::{self, Wait};
use super::{Booked, Bridge, Issuer, PartnerError, Store};
use crate::clock::{Clock, SystemClock};

/// A step that was done.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    pub step: &'static str,
    pub curl: String,
    pub found: Value,
}

/// For whom, and with what.
pub struct Round<'a> {
    pub bridge: &'a Bridge,
    pub store: &'a Store,
    /// Files as `curl` would read them.
    pub key_file: &'a Path,
    pub ci_file: &'a Path,
    pub partner: &'a str,
    pub ci: &'a str,
    pub issuer: &'a Issuer,
    pub birth: Option<Birth>,
    pub wanted: Wanted,
    pub effort: Effort,
}

/// Slots that are looked at before one is tried.
const OFFERS: usize = 5;

impl Round<'_> {
    fn curl(&self, rest: &str) -> String {
        format!("curl -s -H \"Authorization: Bearer $(cat '{}')\" {rest}", self.key_file.display())
    }

    fn url(&self, path: &str) -> String {
        format!("'{}{path}'", self.bridge.base())
    }

    /// Every step in order; the first that fails ends the round.
    pub async fn run(&self, mut tell: impl FnMut(&Step)) -> Result<(), PartnerError> {
        let mut done = |step, curl, found| tell(&Step { step, curl, found });
        let feeds = pull::listed(self.bridge).await?;
        done("feeds", self.curl(&self.url("/v1/feeds")), json!(feeds.keys().collect::<Vec<_>>()));
        for feed in feeds.values() {
            let pulled = pull::pull(self.bridge, self.store, feed, Wait::No).await?;
            let path = format!("-L {}", self.url(&format!("/v1/feeds/{}/snapshot", feed.name)));
            done("pull", self.curl(&path), json!(pulled));
        }
        let nothing = || PartnerError::Nothing {
            what: "no bookable slot is published".to_owned(),
            try_: "name another region or series, or wait",
        };
        let offer = choose::offers(self.store, &self.wanted, OFFERS)?.into_iter().next().ok_or_else(nothing)?;
        done("choose", "nothing: sites and slots are in the store".to_owned(), json!(offer));
        let person = self.person(&offer.series, &mut done).await?;
        let seen_cursor = self.store.standing("slots")?.map(|standing| standing.cursor);
        let order = Order {
            slot_id: offer.slot_id,
            person,
            series: offer.series,
            seen_cursor,
            partner_ref: None,
            within_km: 20,
        };
        let id = self.book(&order, &mut done).await?;
        let read = book::settled(self.bridge, &id, book::TRIES_MAX).await?;
        done("status", self.curl(&self.url(&format!("{}/{id}", book::BOOKINGS))), read);
        let cancelled = book::cancel(self.bridge, &id).await?;
        let path = self.url(&format!("{}/{id}", book::BOOKINGS));
        done("cancel", self.curl(&format!("-X DELETE {path}")), cancelled);
        Ok(())
    }

    /// Receipt, token, and what the partner itself knows about eligibility.
    async fn person(
        &self,
        series: &str,
        done: &mut impl FnMut(&'static str, String, Value),
    ) -> Result<String, PartnerError> {
        let wish = Wish { partner: self.partner, series, ci: self.ci, guardian: None, issuer: self.issuer };
        let token = person::token(self.bridge, &wish).await?;
        let body = format!(
            "-H 'Content-Type: application/json' --data @- {} <<< \"{{\\\"ci\\\":\\\"$(cat '{}')\\\",\\\"receipt\\\":\\\"$RECEIPT\\\"}}\"",
            self.url("/v1/persons/token"),
            self.ci_file.display()
        );
        done("token", self.curl(&body), json!({ "epoch": token.epoch, "expires_at": token.expires_at }));
        let now = SystemClock.now();
        let cohorts = eligible::cohorts(self.store, series, self.birth, Some(&token.person), now)?;
        done("eligible", "nothing: it is decided here".to_owned(), json!(cohorts));
        Ok(token.person)
    }

    async fn book(
        &self,
        order: &Order,
        done: &mut impl FnMut(&'static str, String, Value),
    ) -> Result<String, PartnerError> {
        let booked = book::book(self.bridge, self.store, order, self.effort).await?;
        let (booking, key) = match booked {
            Booked::Accepted { booking, key, .. } => (booking, key),
            Booked::Refused { code, problem, .. } => {
                let what = format!("the booking was refused: {code}");
                let body = problem["user_message"]["ko"].as_str().unwrap_or_default();
                return Err(PartnerError::Nothing {
                    what: if body.is_empty() { what } else { format!("{what} ({body})") },
                    try_: "take another person or slot; the code is explained at /docs",
                });
            }
            Booked::Unknown { code, .. } => {
                let what = format!("the booking was not decided: {code}");
                return Err(PartnerError::Nothing { what, try_: "run `partner book --resume`" });
            }
        };
        let id = booking["id"].as_str().map(str::to_owned);
        let id = id.ok_or(PartnerError::Answer { of: "booking", what: "no id" })?;
        let body = "-H 'Content-Type: application/json'";
        let path = self.url(book::BOOKINGS);
        done("book", self.curl(&format!("{body} -H 'Idempotency-Key: \"{key}\"' --data \"$BODY\" {path}")), booking);
        Ok(id)
    }
}
