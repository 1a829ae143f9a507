//! How many distinct persons a partner asked for: absolute limits over a day and over the epochs that are accepted.
//!
//! A CI that nobody knows has another synthetic number in each epoch. It is counted as one person all the same: if an
//! unknown CI counted twice across a rotation and a registered one once, a partner at its limit could tell them apart.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::domain::PersonRef;

use super::event::TokenAsk;

/// Persons a partner named, by day and by epoch.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct TokenCalls {
    day: i32,
    of_day: BTreeSet<PersonRef>,
    of_epoch: BTreeMap<u32, BTreeSet<PersonRef>>,
}

impl TokenCalls {
    /// A person is counted once, in the newest epoch that named it, under its newest number.
    pub fn count(&mut self, day: i32, epoch: u32, person: PersonRef, before: Option<PersonRef>) {
        if self.day != day {
            self.day = day;
            self.of_day.clear();
        }
        for older in self.of_epoch.range_mut(..epoch).map(|(_, persons)| persons) {
            older.remove(&person);
            before.map(|before| older.remove(&before));
        }
        before.map(|before| self.of_day.remove(&before));
        self.of_day.insert(person);
        self.of_epoch.entry(epoch).or_default().insert(person);
        // Tokens of two epochs are accepted at a time; of older ones nothing is counted any more.
        while self.of_epoch.len() > 2 {
            self.of_epoch.pop_first();
        }
    }

    /// Would one more call go beyond what the partner may ask for?
    pub fn is_over(&self, today: i32, ask: &TokenAsk) -> bool {
        let holds = |persons: &BTreeSet<PersonRef>| {
            persons.contains(&ask.person) || ask.before.is_some_and(|before| persons.contains(&before))
        };
        let accepted = || [Some(ask.epoch), ask.overlap].into_iter().flatten().filter_map(|e| self.of_epoch.get(&e));
        let of_epochs: usize = accepted().map(BTreeSet::len).sum();
        let of_day = if self.day == today { self.of_day.len() } else { 0 };
        let is_new_today = self.day != today || !holds(&self.of_day);
        (is_new_today && of_day >= ask.day_max as usize)
            || (!accepted().any(holds) && of_epochs >= ask.epoch_max as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{PersonNo, ReceiptMac};

    fn ask(person: PersonRef, before: Option<PersonRef>, epoch: u32, overlap: Option<u32>, epoch_max: u32) -> TokenAsk {
        TokenAsk { person, before, receipt: ReceiptMac([0; 16]), epoch, overlap, day_max: 100, epoch_max }
    }

    #[test]
    fn registered_and_unknown_persons_are_counted_alike_across_a_rotation() {
        let known = |n| (PersonRef::Known(PersonNo(n)), None);
        let unknown = |n| (PersonRef::Nobody(100 + n), Some(PersonRef::Nobody(n)));
        for (again, other) in [(known(1), known(2)), (unknown(1), unknown(2))] {
            let mut calls = TokenCalls::default();
            let old = again.1.unwrap_or(again.0);
            calls.count(0, 2611, old, None);
            assert!(!calls.is_over(0, &ask(again.0, again.1, 2612, Some(2611), 1)), "the same person again");
            assert!(calls.is_over(0, &ask(other.0, other.1, 2612, Some(2611), 1)), "both epochs count together");
            assert!(!calls.is_over(0, &ask(other.0, other.1, 2612, None, 1)), "a closed epoch counts no more");
            calls.count(0, 2612, again.0, again.1);
            assert_eq!(calls.of_epoch.values().map(BTreeSet::len).collect::<Vec<_>>(), [0, 1]);
            assert_eq!(calls.of_day.len(), 1, "once a day, whatever its number");
            assert!(calls.is_over(0, &ask(other.0, other.1, 2612, Some(2611), 1)));
            assert!(!calls.is_over(0, &ask(other.0, other.1, 2612, Some(2611), 2)));
        }
    }

    #[test]
    fn a_partner_that_may_ask_for_none_is_refused_the_first() {
        let none = TokenAsk { day_max: 0, ..ask(PersonRef::Nobody(1), None, 1, None, 9) };
        assert!(TokenCalls::default().is_over(0, &none));
        assert!(TokenCalls::default().is_over(0, &ask(PersonRef::Nobody(1), None, 1, None, 0)));
    }
}
