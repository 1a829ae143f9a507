//! A desk with a site and ten persons, and short words for what partners, the legacy system and the worker do to it.
#![allow(dead_code)] // every test binary uses a part of it

use std::sync::Arc;

use slotbridge::decide::*;
use slotbridge::domain::geo::Place;
use slotbridge::domain::*;

pub const NOW: Timestamp = Timestamp(1_795_345_200_000);

pub struct Table {
    pub desk: Desk,
    pub now: Timestamp,
    keys: u64,
    pub entries: Vec<Entry>,
}

pub fn series() -> SeriesId {
    SeriesId::new("covid19-1").unwrap()
}

pub fn naver() -> PartnerId {
    PartnerId::new("naver").unwrap()
}

pub fn kakao() -> PartnerId {
    PartnerId::new("kakao").unwrap()
}

pub fn key(name: &str) -> SlotKey {
    SlotKey::new(name).unwrap()
}

pub fn slot(name: &str, capacity: u32) -> SlotFact {
    SlotFact {
        key: key(name),
        site: SiteKey::new("H1").unwrap(),
        series: series(),
        start: NOW.plus_ms(86_400_000),
        status: SlotStatus::Open,
        capacity,
        native: 0,
        counter: Some(0),
        escrow_units: 0,
        last_op: None,
        opens_at: None,
        class: None,
        version: SlotVersion(1),
        row: Arc::new(Row(Box::new([]))),
    }
}

pub fn person(no: u32) -> PersonRef {
    PersonRef::Known(PersonNo(no))
}

pub fn policy() -> Policy {
    let mut cohorts = CohortSet::default();
    cohorts.insert(CohortNo(1));
    Policy {
        series: [(series(), SeriesPolicy { cohorts, opens_at: None })].into(),
        refill: RefillPolicy { prewarm_units: 0, ..RefillPolicy::default() },
        ..Policy::default()
    }
}

impl Table {
    pub fn new() -> Table {
        Table::with(policy())
    }

    pub fn with(policy: Policy) -> Table {
        let mut table = Table { desk: Desk::new(policy), now: NOW, keys: 0, entries: Vec::new() };
        let site = SiteFact {
            key: SiteKey::new("H1").unwrap(),
            place: Place::from_degrees(37.5, 127.0),
            row: Arc::new(Row(Box::new([]))),
        };
        table.facts(vec![Fact::Site(site)]);
        table.facts(
            (0..10)
                .map(|n| Fact::Person(PersonFact { person: PersonNo(n), cohort: CohortNo(1), bookable: true }))
                .collect(),
        );
        table
    }

    pub fn step(&mut self, event: Event) -> Vec<After> {
        let mut effects = Effects::default();
        self.desk.step(self.now, event, &mut effects);
        assert_eq!(self.desk.broken(), [], "an invariant broke");
        self.entries.extend(effects.persist);
        effects.after_durable
    }

    pub fn facts(&mut self, facts: Vec<Fact>) {
        self.step(Event::Facts { ticket: 0, facts });
    }

    pub fn ask(&mut self, name: &str, who: PersonRef) -> BookAsk {
        self.keys += 1;
        BookAsk {
            key: KeyMac(u128::from(self.keys).to_le_bytes()),
            body: BodyMac([1; 8]),
            slot: key(name),
            person: who,
            series: series(),
            first_sent_at: self.now,
            seen_cursor: None,
            accept_version: None,
            partner_ref: None,
            alternatives_max: 5,
            within_m: 5_000,
        }
    }

    pub fn request(&mut self, partner: PartnerId, ask: Ask) -> Outcome {
        let after = self.step(Event::Request { ticket: 0, partner, ask });
        let reply =
            after.into_iter().find_map(|a| if let After::Reply { outcome, .. } = a { Some(outcome) } else { None });
        reply.expect("every request is answered")
    }

    pub fn book(&mut self, partner: PartnerId, ask: BookAsk) -> Outcome {
        self.request(partner, Ask::Book(ask))
    }

    pub fn booked(&mut self, partner: PartnerId, name: &str, who: u32) -> BookingId {
        let ask = self.ask(name, person(who));
        match self.book(partner, ask) {
            Outcome::Booked { booking, .. } => booking.id,
            other => panic!("not booked: {other:?}"),
        }
    }

    pub fn refused(&mut self, partner: PartnerId, ask: BookAsk) -> Refused {
        match self.book(partner, ask) {
            Outcome::Refused(refused) => refused,
            other => panic!("not refused: {other:?}"),
        }
    }

    /// A fact of the slot as it should be after our newest op `last_op`.
    pub fn level(&self, name: &str, capacity: u32, last_op: Option<Position>) -> SlotFact {
        let units = self.desk.units(&key(name)).unwrap();
        let last_op = last_op.map(|position| OpId { incarnation: Incarnation(1), position });
        let (escrow_units, counter) = (units.granted - units.converted, Some(units.granted));
        SlotFact { escrow_units, counter, last_op, ..slot(name, capacity) }
    }

    pub fn given(&mut self) -> Vec<Given> {
        let after = self.step(Event::Claim { ticket: 0, max: 50 });
        after.into_iter().find_map(|a| if let After::Claimed { ops, .. } = a { Some(ops) } else { None }).unwrap()
    }

    /// Ends the process: what a replay over the same facts makes of the entries.
    pub fn restarted(&mut self, facts: Vec<Fact>, policy: Policy) {
        let persons =
            (0..10).map(|n| Fact::Person(PersonFact { person: PersonNo(n), cohort: CohortNo(1), bookable: true }));
        let facts = persons.chain(facts).map(|fact| (Position(1), fact));
        self.desk = Desk::replay(policy, None, facts, self.entries.iter().cloned()).unwrap();
        assert_eq!(self.desk.broken(), [], "an invariant broke over a restart");
    }

    pub fn claim(&mut self) -> Vec<Op> {
        let after = self.step(Event::Claim { ticket: 0, max: 50 });
        after
            .into_iter()
            .find_map(|a| if let After::Claimed { ops, .. } = a { Some(ops) } else { None })
            .unwrap()
            .into_iter()
            .map(|given| given.op)
            .collect()
    }

    pub fn done(&mut self, op: &Op, result: OpResult) {
        self.step(Event::OpDone { op: op.position, result });
    }

    pub fn take_op(&self) -> Position {
        let takes = self.entries.iter().rev().find(|e| matches!(e.what, What::TakeAsked { .. }));
        takes.expect("a take was asked").position
    }

    /// Gives the slot units through a refused request and its take.
    pub fn stocked(&mut self, name: &str, capacity: u32) {
        self.facts(vec![Fact::Slot(slot(name, capacity))]);
        let ask = self.ask(name, person(9));
        let refused = self.refused(naver(), ask);
        assert_eq!(refused.code, Refusal::SlotFull);
        let take = self.claim().into_iter().find(|op| op.slot == key(name)).expect("a take was asked");
        let OpWhat::Take { units } = take.what else { panic!("not a take: {take:?}") };
        self.done(&take, OpResult::Taken { units });
    }

    pub fn applied(&mut self, partner: PartnerId, name: &str, who: u32) -> (BookingId, Op) {
        let id = self.booked(partner, name, who);
        let convert = self.claim().into_iter().find(|op| op.position == id.0).expect("a convert was asked");
        self.done(&convert, OpResult::Converted { legacy_ref: "R1".into(), over: false });
        (id, convert)
    }

    pub fn booking(&mut self, id: BookingId) -> Arc<BookingView> {
        let (all, _) = self.desk.everything();
        all.into_iter()
            .find_map(|t| if let Touched::Booking(b) = t { (b.id == id).then_some(b) } else { None })
            .expect("the booking is there")
    }

    pub fn reservation(&mut self, name: &str, who: u32, active: bool, op: Option<Position>) {
        let fact = ReservationFact {
            key: ReservationKey::new(&format!("R{who}")).unwrap(),
            person: PersonNo(who),
            slot: key(name),
            series: series(),
            active,
            op: op.map(|position| OpId { incarnation: Incarnation(1), position }),
        };
        self.facts(vec![Fact::Reservation(fact)]);
    }
}
