//! Sites and slots of the example: clinics, hospitals and centres where people live, open when such places are.

use rusqlite::{Transaction, params};

use super::generate::Plan;
use super::people::{FIRST_SERIES, SECOND_SERIES, memo, mobile, staff};
use super::regions::{District, Province};
use super::rng::Rng;
use super::schema::counts_sql;
use super::{failure, wall};
use crate::domain::Timestamp;
use crate::domain::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use crate::legacy::LegacyError;

const SLOT_MINUTES: u32 = 30;
const VACCINES: [&str; 5] = ["PF", "MD", "AZ", "JS", "NV"];

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

pub(super) struct Site<'a> {
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
    pub(super) fn make(plan: &Plan, index: u64, province: &Province, district: &'a District) -> Site<'a> {
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

    pub(super) fn insert(&self, tx: &Transaction<'_>, plan: &Plan) -> Result<(), LegacyError> {
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

pub(super) struct Slot {
    pub(super) number: String,
    site: String,
    pub(super) series: &'static str,
    start: Timestamp,
    vaccine: &'static str,
    dose: u32,
    min_age: Option<u32>,
    closed: bool,
    pub(super) capacity: u32,
    opens_at: Option<String>,
    staff: String,
    remark: Option<String>,
    pub(super) changed: String,
    /// Places sold natively, wanted.
    pub(super) sold: u32,
}

/// Hands the plan's slots out to sites by weight.
pub(super) struct SlotShare {
    next: u64,
    owed: u64,
    left: u64,
    /// Slots × 100 per weight × site.
    per_weight: u64,
}

impl SlotShare {
    pub(super) fn new(plan: &Plan) -> SlotShare {
        let weight = (u64::from(plan.sites) * WEIGHT_OF_100).max(1);
        SlotShare {
            next: 0,
            owed: 0,
            left: u64::from(plan.slots),
            per_weight: u64::from(plan.slots) * 100_000 / weight,
        }
    }

    pub(super) fn of_site(&mut self, site: &Site<'_>, plan: &Plan, last: bool) -> Vec<Slot> {
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

    pub(super) fn insert(&self, tx: &Transaction<'_>, booked: u32) -> Result<(), LegacyError> {
        let (sold, left) = counts_sql("?10", "?11");
        let columns = format!("?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,{sold},0,?12,?13,?14,?15,?15,{left}");
        tx.prepare_cached(&format!("INSERT INTO TB_SLOT VALUES ({columns})"))
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
