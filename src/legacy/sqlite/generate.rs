//! The seeded generator: sites where people live, slots on the coming days, persons, reservations made natively.
//!
//! Same plan, same rows. Sites and slots come first and persons afterwards in batches, because feeds can be published
//! before the register is loaded. Rows are stamped as changed days before `now`, so loading a register does not look
//! like a million changes: whoever loads persons behind a running capture asks it for a full cut of them.

use rusqlite::{Connection, Transaction, params};

use super::people::{COHORTS, memo, staff};
pub use super::people::{MARKS, Person, Standing, person, person_key, standing};
use super::places::{Site, Slot, SlotShare};
use super::regions::PROVINCES;
use super::rng::Rng;
use super::write::reservation_no;
use super::{failure, wall};
use crate::domain::Timestamp;
use crate::domain::time::DAY_MS;
use crate::legacy::LegacyError;

/// What to make. `Default` is the demo's size.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub seed: u64,
    pub now: Timestamp,
    pub sites: u32,
    pub slots: u32,
    /// Reservations are made natively for one person in 25; 0 makes none.
    pub people: u32,
    /// Slots lie on days 1 to `days` from `now`.
    pub days: u32,
}

impl Plan {
    pub fn new(seed: u64, now: Timestamp) -> Plan {
        Plan { seed, now, sites: 15_000, slots: 200_000, people: 1_000_000, days: 14 }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Made {
    pub sites: u64,
    pub slots: u64,
    /// Places in all slots.
    pub units: u64,
    pub reservations: u64,
}

/// Rows of one transaction: large enough to be fast, small enough that sellers do not wait long.
const PERSONS_PER_BATCH: u32 = 10_000;
/// One person in so many has a reservation made natively.
const PERSONS_PER_RESERVATION: u32 = 25;

/// Makes regions, cohorts, sites, slots and native reservations in one transaction; about 1 s at the default size.
pub fn sites_and_slots(connection: &mut Connection, plan: &Plan) -> Result<Made, LegacyError> {
    let tx = connection.transaction().map_err(failure)?;
    regions(&tx)?;
    cohorts(&tx, plan.now)?;
    let mut made = Made::default();
    let mut reservations = Reservations { plan, next: 0, number: 0 };
    let people_k: u64 = PROVINCES.iter().flat_map(|p| p.districts).map(|d| u64::from(d.people_k)).sum();
    let mut passed_k = 0;
    let mut slots = SlotShare::new(plan);
    for province in &PROVINCES {
        for district in province.districts {
            passed_k += u64::from(district.people_k);
            let until = u64::from(plan.sites) * passed_k / people_k;
            while made.sites < until {
                let site = Site::make(plan, made.sites, province, district);
                site.insert(&tx, plan)?;
                made.sites += 1;
                for slot in slots.of_site(&site, plan, made.sites == u64::from(plan.sites)) {
                    let booked = reservations.for_slot(&tx, &slot)?;
                    slot.insert(&tx, booked)?;
                    made.slots += 1;
                    made.units += u64::from(slot.capacity);
                }
            }
        }
    }
    made.reservations = u64::from(reservations.number);
    tx.execute("UPDATE TB_SEQ SET LAST_NO = MAX(LAST_NO, ?1) WHERE SEQ_NM = 'SQ_RESV'", [reservations.number])
        .map_err(failure)?;
    tx.commit().map_err(failure)?;
    Ok(made)
}

/// Loads persons 1 to `plan.people` in batches, each its own transaction; `progress` gets (done, total) after each.
/// Persons that are there already are left alone, so an interrupted load can be run again.
pub fn persons(
    connection: &mut Connection,
    plan: &Plan,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<u64, LegacyError> {
    persons_from(connection, plan, 1, progress)
}

/// As `persons`, beginning at number `first`: those before are there already.
pub fn persons_from(
    connection: &mut Connection,
    plan: &Plan,
    first: u32,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<u64, LegacyError> {
    let mut next = first.max(1);
    let registered = wall::stamp(plan.now.plus_ms(-200 * DAY_MS));
    while next <= plan.people {
        let until = plan.people.min(next + PERSONS_PER_BATCH - 1);
        let tx = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(failure)?;
        if next == 1 {
            cohorts(&tx, plan.now)?;
        }
        // A batch shares its stamp: the index on UPD_DT grows at its end.
        let stamp = wall::stamp(plan.now.plus_ms(-100 * DAY_MS + i64::from(next)));
        {
            let mut insert = tx
                .prepare_cached("INSERT OR IGNORE INTO TB_PSN VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13)")
                .map_err(failure)?;
            for number in next..=until {
                let p = person(plan.seed, number, plan.now);
                let remark = (number % 50 == 0).then(|| memo(&mut Rng::of(plan.seed ^ 0x3E30, u64::from(number))));
                insert
                    .execute(params![
                        p.key,
                        p.resident_no,
                        p.ci,
                        p.name,
                        p.birth,
                        p.sex,
                        p.mobile,
                        p.address,
                        p.cohort,
                        p.standing.code(),
                        remark,
                        registered,
                        stamp
                    ])
                    .map_err(failure)?;
            }
        }
        tx.commit().map_err(failure)?;
        next = until + 1;
        progress(u64::from(until), u64::from(plan.people));
    }
    Ok(u64::from(plan.people))
}

/// Makes persons number 1 to `count` of the placeholder pool (mode `count_rows`), as a DBA would. They are in no list.
pub fn placeholders(connection: &mut Connection, now: Timestamp, count: u32) -> Result<(), LegacyError> {
    let tx = connection.transaction().map_err(failure)?;
    for number in 1..=count {
        tx.prepare_cached(
            "INSERT OR IGNORE INTO TB_PSN VALUES (?1, '000000-0000000', NULL, '예약대체', '1900-01-01', 'M', NULL, NULL, \
             NULL, '8', NULL, ?2, ?2)",
        )
        .and_then(|mut s| s.execute(params![format!("PX{number:06}"), wall::stamp(now.plus_ms(-100 * DAY_MS))]))
        .map_err(failure)?;
    }
    tx.commit().map_err(failure)
}

fn regions(tx: &Transaction<'_>) -> Result<(), LegacyError> {
    for province in &PROVINCES {
        tx.execute("INSERT OR IGNORE INTO TB_SIDO VALUES (?1, ?2)", params![province.code, province.name])
            .map_err(failure)?;
        for district in province.districts {
            tx.execute(
                "INSERT OR IGNORE INTO TB_SIGUNGU VALUES (?1, ?2, ?3)",
                params![district.code, province.code, district.name],
            )
            .map_err(failure)?;
        }
    }
    Ok(())
}

/// The cohort rules, opened and closed relative to `now`.
pub(crate) fn cohorts(tx: &Transaction<'_>, now: Timestamp) -> Result<(), LegacyError> {
    let (year, _, _) = wall::civil(now.seoul_day());
    let day = |days: i64| wall::stamp(now.plus_ms(days * DAY_MS))[..10].to_owned();
    for cohort in &COHORTS {
        tx.execute(
            "INSERT OR IGNORE INTO TB_COHORT VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                cohort.code,
                cohort.name,
                year - i64::from(cohort.ages.1),
                year - i64::from(cohort.ages.0),
                cohort.series,
                format!("{} 20:00:00", day(cohort.opens_in_days)),
                format!("{} 18:00:00", day(60)),
                cohort.last_digits,
                wall::stamp(now.plus_ms(-40 * DAY_MS))
            ],
        )
        .map_err(failure)?;
    }
    Ok(())
}

/// Reservations made before the bridge came: each person has one at most; one in twenty was cancelled.
struct Reservations<'a> {
    plan: &'a Plan,
    /// Persons considered so far.
    next: u32,
    number: u32,
}

impl Reservations<'_> {
    fn for_slot(&mut self, tx: &Transaction<'_>, slot: &Slot) -> Result<u32, LegacyError> {
        let mut active = 0;
        let mut rng = Rng::of(self.plan.seed ^ 0x2E5F, u64::from(self.number));
        for _ in 0..slot.sold {
            let Some(person) = self.next_person() else { break };
            self.number += 1;
            let cancelled = self.number.is_multiple_of(20);
            active += u32::from(!cancelled);
            tx.prepare_cached("INSERT INTO TB_RESV VALUES (?1, ?2, ?3, ?4, ?5, NULL, ?6, ?7, ?8, ?8)")
                .and_then(|mut s| {
                    s.execute(params![
                        reservation_no(i64::from(self.number)),
                        slot.number,
                        person_key(person),
                        slot.series,
                        if cancelled { "C" } else { "A" },
                        staff(&mut rng),
                        rng.one_in(10).then(|| memo(&mut rng)),
                        slot.changed
                    ])
                })
                .map_err(failure)?;
        }
        Ok(active)
    }

    fn next_person(&mut self) -> Option<u32> {
        loop {
            let person = self.next.checked_mul(PERSONS_PER_RESERVATION)?.checked_add(1)?;
            if person > self.plan.people {
                return None;
            }
            self.next += 1;
            if standing(self.plan.seed, person) == Standing::Active {
                return Some(person);
            }
        }
    }
}
