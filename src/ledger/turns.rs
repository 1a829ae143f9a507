//! Fairness inside a batch: partners take turns.
//!
//! Every request costs one place, so round robin is all there is to deficit round robin here. Whose turn is first
//! moves on from batch to batch. Facts, outcomes of write-backs and ticks keep their places.

use std::collections::{BTreeMap, VecDeque};

use crate::decide::Event;
use crate::domain::PartnerId;
use crate::durable::Submission;

#[derive(Default)]
pub(super) struct Turns {
    batches: usize,
}

impl Turns {
    /// A partner's own requests keep their order.
    pub fn order(&mut self, submissions: Vec<Submission>) -> Vec<Submission> {
        self.batches = self.batches.wrapping_add(1);
        if !asked_by_several(&submissions) {
            return submissions;
        }
        let mut places = Vec::with_capacity(submissions.len());
        let mut waiting: BTreeMap<PartnerId, VecDeque<Submission>> = BTreeMap::new();
        for submission in submissions {
            match &submission.event {
                Event::Request { partner, .. } => {
                    waiting.entry(partner.clone()).or_default().push_back(submission);
                    places.push(None);
                }
                _ => places.push(Some(submission)),
            }
        }
        let mut turns: VecDeque<VecDeque<Submission>> = waiting.into_values().collect();
        let first = self.batches % turns.len();
        turns.rotate_left(first);
        let mut next = || {
            let mut queue = turns.pop_front()?;
            let submission = queue.pop_front();
            if !queue.is_empty() {
                turns.push_back(queue);
            }
            submission
        };
        places.into_iter().filter_map(|place| place.or_else(&mut next)).collect()
    }
}

fn asked_by_several(submissions: &[Submission]) -> bool {
    let mut partners = submissions.iter().filter_map(|submission| match &submission.event {
        Event::Request { partner, .. } => Some(partner),
        _ => None,
    });
    let first = partners.next();
    partners.any(|partner| Some(partner) != first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::Ask;
    use crate::domain::{BookingId, Position};

    fn request(partner: &str, n: u64) -> Submission {
        let ask = Ask::Cancel { booking: BookingId(Position(n)), if_match: None };
        let partner = PartnerId::new(partner).expect("a partner id");
        Submission { event: Event::Request { ticket: 0, partner, ask }, answer: None }
    }

    fn tick() -> Submission {
        Submission { event: Event::Tick, answer: None }
    }

    fn shown(submissions: Vec<Submission>) -> Vec<String> {
        let text = |submission: Submission| match submission.event {
            Event::Request { partner, ask: Ask::Cancel { booking, .. }, .. } => format!("{partner}{}", booking.0),
            _ => "tick".to_owned(),
        };
        submissions.into_iter().map(text).collect()
    }

    fn crowd() -> Vec<Submission> {
        vec![
            request("a", 1),
            request("a", 2),
            tick(),
            request("a", 3),
            request("b", 1),
            request("c", 1),
            request("b", 2),
        ]
    }

    #[test]
    fn a_partner_with_many_requests_waits_for_the_others_in_between() {
        let mut turns = Turns::default();
        assert_eq!(shown(turns.order(crowd())), ["b1", "c1", "tick", "a1", "b2", "a2", "a3"]);
        assert_eq!(shown(turns.order(crowd())), ["c1", "a1", "tick", "b1", "a2", "b2", "a3"]);
        assert_eq!(shown(turns.order(crowd())), ["a1", "b1", "tick", "c1", "a2", "b2", "a3"]);
    }

    #[test]
    fn one_partner_alone_keeps_the_order_it_sent() {
        let batch = vec![request("a", 2), tick(), request("a", 1)];
        assert_eq!(shown(Turns::default().order(batch)), ["a2", "tick", "a1"]);
    }
}
