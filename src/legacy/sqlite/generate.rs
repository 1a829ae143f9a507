//! The seeded generator: sites where people live, slots on the coming days, persons, reservations made natively.
//!
//! Same plan, same rows. Sites and slots come first and persons afterwards in batches, because feeds can be published
//! before the register is loaded. Rows are stamped as changed days before `now`, so loading a register does not look
//! like a million changes: whoever loads persons behind a running capture asks it for a full cut of them.

use rusqlite::{Connection, Transaction, params};

use super::people::{COHORTS, FIRST_SERIES, SECOND_SERIES, memo, mobile, staff};
pub use super::people::{MARKS, Person, Standing, person, person_key, standing};
use super::regions::{District, PROVINCES, Province};
use super::rng::Rng;
use super::write::reservation_no;
use super::{failure, wall};
use crate::domain::Timestamp;
use crate::domain::time::{DAY_MS, HOUR_MS, MINUTE_MS};
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
const SLOT_MINUTES: u32 = 30;
const VACCINES: [&str; 5] = ["PF", "MD", "AZ", "JS", "NV"];

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
    let mut next = 1;
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

#[derive(Clone, Copy, PartialEq, Eq)]
enum SiteKind {
    Clinic,
    Hospital,
    Centre,
}

impl SiteKind {
    fn weight(self) -> u32 {
        match self {
            SiteKind::Clinic => 2,
            SiteKind::Hospital => 4,
            SiteKind::Centre => 10,
        }
    }
}

/// Of 100 sites 82 are clinics, 14 hospitals, 4 centres: mean weight × 100.
const WEIGHT_OF_100: u64 = 82 * 2 + 14 * 4 + 4 * 10;

struct Site<'a> {
    number: String,
    kind: SiteKind,
    name: String,
    district: &'a District,
    address: String,
    tel: String,
    lat: f64,
    lon: f64,
    open_hour: u32,
    close_hour: u32,
    saturday: bool,
}

impl<'a> Site<'a> {
    fn make(plan: &Plan, index: u64, province: &Province, district: &'a District) -> Site<'a> {
        const PREFIXES: [&str; 24] = [
            "연세",
            "서울",
            "우리",
            "한마음",
            "미래",
            "하나",
            "참",
            "현대",
            "성모",
            "푸른",
            "밝은",
            "새봄",
            "행복한",
            "누리",
            "열린",
            "든든한",
            "다나은",
            "고운",
            "튼튼",
            "사랑",
            "중앙",
            "한빛",
            "온누리",
            "소망",
        ];
        const CLINICS: [&str; 6] =
            ["내과의원", "가정의학과의원", "소아청소년과의원", "이비인후과의원", "의원", "정형외과의원"];
        const HOSPITALS: [&str; 3] = ["병원", "종합병원", "요양병원"];
        const CENTRES: [&str; 3] = ["보건소", "예방접종센터", "보건지소"];
        const ROADS: [&str; 16] = [
            "중앙로",
            "시청로",
            "평화로",
            "대학로",
            "역전로",
            "새마을로",
            "번영로",
            "문화로",
            "산업로",
            "강변로",
            "학교길",
            "시장길",
            "은행나무길",
            "벚꽃로",
            "해맞이길",
            "한밭대로",
        ];
        let mut rng = Rng::of(plan.seed ^ 0x517E, index);
        let kind = match rng.below(100) {
            0..82 => SiteKind::Clinic,
            82..96 => SiteKind::Hospital,
            _ => SiteKind::Centre,
        };
        let stem = district.name.strip_suffix(['구', '군', '시']).filter(|s| s.chars().count() > 1);
        let stem = stem.unwrap_or(district.name);
        let name = match kind {
            SiteKind::Clinic => format!("{stem}{}{}", rng.pick(&PREFIXES), rng.pick(&CLINICS)),
            SiteKind::Hospital => format!("{stem}{}{}", rng.pick(&PREFIXES), rng.pick(&HOSPITALS)),
            SiteKind::Centre => format!("{} {}", district.name, rng.pick(&CENTRES)),
        };
        // A city district is about 3 km across, a county's settlements lie within about 8 km of its office.
        let reach = if district.name.ends_with('구') { 0.018 } else { 0.05 };
        let place = |centre: f64, rng: &mut Rng| ((centre + rng.spread() * reach) * 1e6).round() / 1e6;
        Site {
            number: (11_000_001 + index).to_string(),
            kind,
            name,
            district,
            address: format!("{} {} {} {}", province.name, district.name, rng.pick(&ROADS), rng.between(1, 320)),
            tel: format!("{}-{}{:02}-{:04}", province.area_code, rng.between(2, 8), rng.below(100), rng.below(10_000)),
            lat: place(district.lat, &mut rng),
            lon: place(district.lon, &mut rng),
            open_hour: rng.between(8, 9),
            close_hour: rng.between(17, 19),
            saturday: rng.below(100) < 55,
        }
    }

    fn insert(&self, tx: &Transaction<'_>, plan: &Plan) -> Result<(), LegacyError> {
        let mut rng = Rng::of(plan.seed ^ 0x57AF, self.rng_key());
        let changed = plan.now.plus_ms(-DAY_MS * i64::from(rng.between(2, 90)) - i64::from(rng.below(80_000_000)));
        tx.prepare_cached("INSERT INTO TB_SITE VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,'Y',?14,?15)")
            .and_then(|mut s| {
                s.execute(params![
                    self.number,
                    self.name,
                    self.district.code,
                    self.address,
                    self.tel,
                    self.lat,
                    self.lon,
                    format!("{:02}:00", self.open_hour),
                    format!("{:02}:00", self.close_hour),
                    if self.saturday { "Y" } else { "N" },
                    staff(&mut rng),
                    mobile(&mut rng),
                    rng.one_in(3).then(|| memo(&mut rng)),
                    wall::stamp(plan.now.plus_ms(-300 * DAY_MS)),
                    wall::stamp(changed)
                ])
            })
            .map_err(failure)?;
        Ok(())
    }

    fn rng_key(&self) -> u64 {
        self.number.parse().unwrap_or_default()
    }
}

struct Slot {
    number: String,
    site: String,
    series: &'static str,
    start: Timestamp,
    vaccine: &'static str,
    dose: u32,
    min_age: Option<u32>,
    closed: bool,
    capacity: u32,
    opens_at: Option<String>,
    staff: String,
    remark: Option<String>,
    changed: String,
    /// Places sold natively, wanted.
    sold: u32,
}

/// Hands the plan's slots out to sites by weight.
struct SlotShare {
    next: u64,
    owed: u64,
    left: u64,
    /// Slots × 100 per weight × site.
    per_weight: u64,
}

impl SlotShare {
    fn new(plan: &Plan) -> SlotShare {
        let weight = (u64::from(plan.sites) * WEIGHT_OF_100).max(1);
        SlotShare {
            next: 0,
            owed: 0,
            left: u64::from(plan.slots),
            per_weight: u64::from(plan.slots) * 100_000 / weight,
        }
    }

    fn of_site(&mut self, site: &Site<'_>, plan: &Plan, last: bool) -> Vec<Slot> {
        self.owed += self.per_weight * u64::from(site.kind.weight());
        let count = if last { self.left } else { (self.owed / 1_000).min(self.left) };
        self.owed -= (count * 1_000).min(self.owed);
        self.left -= count;
        let first = self.next;
        self.next += count;
        let today = i64::from(plan.now.seoul_day());
        // 1970-01-01 was a Thursday.
        let open_days: Vec<i64> = (1..=i64::from(plan.days.max(7)))
            .map(|d| today + d)
            .filter(|day| match (day + 4).rem_euclid(7) {
                0 => site.kind == SiteKind::Centre,
                6 => site.saturday,
                _ => true,
            })
            .collect();
        let per_day = (site.close_hour - site.open_hour) * 60 / SLOT_MINUTES;
        let grid = open_days.len() as u64 * u64::from(per_day);
        (0..count)
            .map(|i| {
                // Evenly over the grid; more slots than the grid has means another vaccine at the same time.
                let cell = if count <= grid { i * grid / count } else { i % grid };
                let (day, step) = (open_days[(cell / u64::from(per_day)) as usize], cell % u64::from(per_day));
                let minute = i64::from(site.open_hour) * 60 + step as i64 * i64::from(SLOT_MINUTES);
                let start = Timestamp(day * DAY_MS - 9 * HOUR_MS + minute * MINUTE_MS);
                Slot::make(plan, first + i, site, start, (i / grid) as usize)
            })
            .collect()
    }
}

impl Slot {
    fn make(plan: &Plan, index: u64, site: &Site<'_>, start: Timestamp, round: usize) -> Slot {
        let mut rng = Rng::of(plan.seed ^ 0x5107, index);
        let capacity = match site.kind {
            SiteKind::Clinic => rng.between(3, 10),
            SiteKind::Hospital => rng.between(8, 24),
            SiteKind::Centre => rng.between(30, 96),
        };
        let second = rng.below(100) < 20;
        let vaccine = VACCINES[(site.rng_key() as usize + round + usize::from(rng.one_in(10))) % VACCINES.len()];
        let changed = plan.now.plus_ms(-DAY_MS * i64::from(rng.between(1, 20)) - i64::from(rng.below(80_000_000)));
        let opens_at =
            rng.one_in(100).then(|| wall::stamp(plan.now.plus_ms(2 * DAY_MS))[..10].to_owned() + " 20:00:00");
        let sold = match rng.below(200) {
            0 => capacity,
            1..40 => rng.between(1, 3.min(capacity)),
            _ => 0,
        };
        Slot {
            number: (100_000_001 + index).to_string(),
            site: site.number.clone(),
            series: if second { SECOND_SERIES } else { FIRST_SERIES },
            start,
            vaccine,
            dose: if second { 2 } else { 1 },
            min_age: match vaccine {
                "AZ" => Some(50),
                "JS" => Some(30),
                _ => rng.one_in(4).then_some(18),
            },
            closed: rng.one_in(40),
            capacity,
            opens_at,
            staff: staff(&mut rng),
            remark: rng.one_in(20).then(|| memo(&mut rng)),
            changed: wall::stamp(changed),
            sold,
        }
    }

    fn insert(&self, tx: &Transaction<'_>, booked: u32) -> Result<(), LegacyError> {
        tx.prepare_cached("INSERT INTO TB_SLOT VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,0,?12,?13,?14,?15,?15)")
            .and_then(|mut s| {
                s.execute(params![
                    self.number,
                    self.site,
                    self.series,
                    self.start.seoul_text(),
                    SLOT_MINUTES,
                    self.vaccine,
                    self.dose,
                    self.min_age,
                    if self.closed { "9" } else { "1" },
                    self.capacity,
                    booked,
                    self.opens_at,
                    self.staff,
                    self.remark,
                    self.changed
                ])
            })
            .map_err(failure)?;
        Ok(())
    }
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
