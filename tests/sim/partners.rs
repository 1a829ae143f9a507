//! The partners of the world: bookings, retries, keys used again, cancels, and whether the answers hold.

use bytes::Bytes;
use slotbridge::decide::{Ask, BookAsk, Event};
use slotbridge::domain::*;
use slotbridge::durable::Answer;

use super::{World, series};

type Reply = (u16, Bytes);

pub(super) struct Sent {
    partner: PartnerId,
    ask: BookAsk,
    pub(super) answered: bool,
    /// The newest answer that the ledger keeps, and when it was given.
    pub(super) stored: Option<(Reply, Timestamp, Position)>,
}

impl World {
    fn new_ask(&mut self) -> (PartnerId, BookAsk) {
        let partner = PartnerId::new(["naver", "kakao"][self.rng.below(2) as usize]).unwrap();
        let slot = if self.rng.below(40) == 0 { 99 } else { self.rng.below(self.options.slots) };
        let person = match self.rng.below(15) {
            0 => PersonRef::Nobody(self.rng.below(3)),
            _ => PersonRef::Known(PersonNo(self.rng.below(self.options.persons) as u32)),
        };
        let reached = self.disk.entries().last().map_or(0, |e| e.position.0);
        let ask = BookAsk {
            key: KeyMac(u128::from(self.rng.next()).to_le_bytes()),
            body: BodyMac(self.rng.next().to_le_bytes()),
            slot: SlotKey::new(&format!("S{slot}")).unwrap(),
            person,
            series: series(),
            first_sent_at: self.now.plus_ms(match self.rng.below(60) {
                0 => -90_000_000,
                1 => 120_000,
                _ => -(self.rng.below(5_000) as i64),
            }),
            seen_cursor: self.rng.percent(60).then(|| Position(reached.saturating_sub(self.rng.below(60)))),
            accept_version: self.rng.percent(5).then(|| SlotVersion(1 + self.rng.below(3) as u32)),
            partner_ref: None,
            alternatives_max: self.rng.below(4) as u8,
            within_m: 5_000,
        };
        (partner, ask)
    }

    /// A burst of booking requests in one batch: new ones, retries, keys used again for something else.
    pub(super) fn requests(&mut self) {
        let mut asked: Vec<usize> = Vec::new();
        for _ in 0..1 + self.rng.below(5) {
            let again = !self.sent.is_empty() && self.rng.percent(25);
            if again {
                let at = self.rng.below(self.sent.len() as u64) as usize;
                asked.push(at);
            } else {
                let (partner, ask) = self.new_ask();
                self.sent.push(Sent { partner, ask, answered: false, stored: None });
                asked.push(self.sent.len() - 1);
            }
        }
        let reused = !self.sent.is_empty() && self.rng.percent(10);
        let mut events: Vec<Event> = asked.iter().map(|at| self.book_event(*at)).collect();
        if reused {
            let at = self.rng.below(self.sent.len() as u64) as usize;
            let Event::Request { ticket, partner, ask: Ask::Book(mut ask) } = self.book_event(at) else { return };
            ask.body = BodyMac([7; 8]);
            events.push(Event::Request { ticket, partner, ask: Ask::Book(ask) });
        }
        let Some(answers) = self.batch(events) else { return };
        for (at, answer) in asked.iter().zip(&answers) {
            self.received(*at, answer.as_ref());
        }
        if let Some(Some(Answer::Reply { body, .. })) = answers.get(asked.len()).filter(|_| reused)
            && body.starts_with(b"idempotency_key_reused")
        {
            self.count("idempotency_key_reused");
        }
    }

    pub(super) fn book_event(&self, at: usize) -> Event {
        let sent = &self.sent[at];
        Event::Request { ticket: 0, partner: sent.partner.clone(), ask: Ask::Book(sent.ask.clone()) }
    }

    /// I3 and I5: what is answered is stored, and it is answered the same for ever.
    pub(super) fn received(&mut self, at: usize, answer: Option<&Answer>) {
        let Some(Answer::Reply { status, body, entry, replay_of, .. }) = answer else { return };
        let stored = entry.or(*replay_of).and_then(|entry| self.disk.reply(entry));
        let reply: Reply = match replay_of {
            Some(_) => {
                self.count("replayed");
                let Some(stored) = stored else { return self.complain("I3: a replay has no stored reply") };
                (stored.status, stored.body)
            }
            None => {
                let kept = stored.map(|s| (s.status, s.body));
                if entry.is_some() && kept.as_ref() != Some(&(*status, body.clone())) {
                    return self.complain("I3: the answer is not what is stored");
                }
                (*status, body.clone())
            }
        };
        let text = String::from_utf8_lossy(&reply.1).into_owned();
        let word = text.split(' ').next().unwrap_or_default().to_owned();
        if replay_of.is_none() {
            self.count_word(&word, reply.0);
        }
        if matches!(reply.0, 201 | 202) {
            let id: BookingId = word.parse().expect("a booking id");
            self.acknowledged.insert(id, self.sent[at].partner.clone());
        }
        // Kept for ever when it booked, for 24 h of ledger time when it refused; what was not stored may be decided anew.
        let ledger_at = self.latest;
        let keep = self.policy.refused_keep_ms;
        if let Some((before, at, _)) = &self.sent[at].stored
            && (matches!(before.0, 201 | 202) || ledger_at.since_ms(*at) <= keep)
            && *before != reply
        {
            return self.complain("I5: a repeated key got another answer");
        }
        if let Some(entry) = entry {
            self.sent[at].stored = Some((reply.clone(), ledger_at, *entry));
        }
        self.sent[at].answered = true;
    }

    fn count_word(&mut self, word: &str, status: u16) {
        let known = Refusal::ALL.iter().map(|r| r.code()).find(|code| *code == word);
        self.count(known.unwrap_or(if status == 202 { "pending" } else { "booked" }));
        if known.is_none() && self.outage > 0 {
            self.count("booked_in_outage");
        }
    }

    pub(super) fn cancel_some(&mut self) {
        let ids: Vec<(BookingId, PartnerId)> = self.acknowledged.iter().map(|(id, p)| (*id, p.clone())).collect();
        if ids.is_empty() {
            return;
        }
        let (booking, partner) = ids[self.rng.below(ids.len() as u64) as usize].clone();
        let ask = Ask::Cancel { booking, if_match: None };
        self.batch(vec![Event::Request { ticket: 0, partner, ask }]);
    }
}
