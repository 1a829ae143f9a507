//! What of a partner's data is held, as routes ask it.

use crate::answer::{Problem, Withheld};
use crate::domain::PartnerId;
use crate::publish::api::FeedSource;
use crate::publish::{HoldReason, Served};

use super::Api;

/// Feeds that are, or may be, about persons: while the approval of one does not stand, no token is given out.
const PERSON_FEEDS: [&str; 2] = ["eligibility", "bookings"];

/// Lookup and search of a held feed stop, also where its last state is still served: they would show the present.
pub(super) fn refuse(api: &Api, partner: &PartnerId, feed: &str) -> Result<(), Problem> {
    match api.parts.feeds.holds(partner, feed).first() {
        Some(hold) => Err(problem(hold.reason)),
        None => Ok(()),
    }
}

/// A token opens what a person feed tells: it is refused while such a feed is not served at all.
pub(super) fn refuse_token(api: &Api, partner: &PartnerId) -> Result<(), Problem> {
    let holds = PERSON_FEEDS.iter().flat_map(|feed| api.parts.feeds.holds(partner, feed));
    match holds.into_iter().find(|hold| hold.served == Served::NotAtAll) {
        Some(hold) => Err(problem(hold.reason)),
        None => Ok(()),
    }
}

/// What answers to the partner may not show now. Slots of a held feed would be looked up by way of refusals. A booking
/// is the partner's own and is told, unless nothing of its feed may be served.
pub fn withheld(feeds: &dyn FeedSource, partner: &PartnerId) -> Withheld {
    let bookings = feeds.holds(partner, "bookings");
    Withheld {
        slots: !feeds.holds(partner, "slots").is_empty(),
        bookings: bookings.iter().any(|hold| hold.served == Served::NotAtAll),
    }
}

fn problem(reason: HoldReason) -> Problem {
    Problem::feed_held(reason.code())
}
