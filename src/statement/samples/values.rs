//! Made-up values of a column: by its filter or table, its role, what its label speaks of, its class, its type.

use std::collections::BTreeMap;

use crate::domain::{Timestamp, Value};
use crate::mapping::{Class, Column, ColumnType, MappingSet, Role};
use crate::privacy::Closure;

use super::{HOUR_MS, NOW};

pub type Made = BTreeMap<String, Value>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rarity {
    Usual,
    Rare,
}

/// One row to be made.
pub struct Source<'a> {
    pub closure: &'a Closure,
    pub set: &'a MappingSet,
    pub seed: u64,
    pub number: u32,
    pub rarity: Rarity,
    pub is_outside: bool,
}

/// SplitMix64: the same on every machine. Not for secrets.
pub struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Both ends included.
    pub fn between(&mut self, low: u32, high: u32) -> u32 {
        low + (self.next() % u64::from(high - low + 1)) as u32
    }

    fn pick<'t, T: ?Sized>(&mut self, of: &[&'t T]) -> &'t T {
        of[(self.next() % of.len() as u64) as usize]
    }
}

struct Place {
    province: (&'static str, &'static str),
    district: (&'static str, &'static str),
    at: (&'static str, &'static str),
    area_code: &'static str,
}

const PLACES: [Place; 4] = [
    Place {
        province: ("11", "서울특별시"),
        district: ("11110", "종로구"),
        at: ("37.5730", "126.9794"),
        area_code: "02",
    },
    Place {
        province: ("26", "부산광역시"),
        district: ("26230", "부산진구"),
        at: ("35.1629", "129.0532"),
        area_code: "051",
    },
    Place {
        province: ("30", "대전광역시"),
        district: ("30170", "서구"),
        at: ("36.3555", "127.3838"),
        area_code: "042",
    },
    Place {
        province: ("50", "제주특별자치도"),
        district: ("50110", "제주시"),
        at: ("33.4996", "126.5312"),
        area_code: "064",
    },
];
/// Where one site serves everybody.
const ISLAND: Place = Place {
    province: ("47", "경상북도"),
    district: ("47940", "울릉군"),
    at: ("37.4844", "130.9057"),
    area_code: "054",
};
const CLINICS: [&str; 5] = ["가상내과의원", "가상소아청소년과의원", "예시의원", "견본병원", "모의보건지소"];
const NAMES: [&str; 4] = ["김가상", "이예시", "박견본", "최모의"];
/// Days ahead at which sample slots start.
const AHEAD_DAYS: (u32, u32) = (3, 20);

impl Source<'_> {
    pub fn rng(&self, stream: &str) -> Rng {
        // FNV-1a of the stream's name, so that a column's values do not depend on the columns before it.
        let name = stream
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        let mut rng = Rng(self.seed ^ name ^ (u64::from(self.number) << 32));
        rng.next();
        rng
    }

    fn is_rare(&self) -> bool {
        self.rarity == Rarity::Rare
    }

    fn place(&self) -> &'static Place {
        if self.is_rare() {
            return &ISLAND;
        }
        &PLACES[self.rng("place").between(0, PLACES.len() as u32 - 1) as usize]
    }

    fn capacity(&self) -> u32 {
        if self.is_rare() { 1 } else { self.rng("capacity").between(2, 10) * 5 }
    }

    /// What is left of the slot.
    pub fn remaining(&self) -> u32 {
        if self.is_rare() { 1 } else { self.rng("remaining").between(0, self.capacity().min(15)) }
    }

    pub fn value(&self, column: &Column) -> Value {
        if let Some(value) = self.by_filter(column).or_else(|| self.by_table(column)) {
            return value;
        }
        let value = match column.role {
            Some(role) => self.by_role(role, column),
            None => self.by_label(column),
        };
        // Whatever the name suggests, a value has the column's type.
        match (column.kind, &value) {
            (_, Value::Null)
            | (ColumnType::Text, Value::Text(_))
            | (ColumnType::Integer, Value::Int(_))
            | (ColumnType::Decimal, Value::Decimal(_))
            | (ColumnType::Time, Value::Time(_)) => value,
            _ => self.by_type(column),
        }
    }

    fn by_filter(&self, column: &Column) -> Option<Value> {
        let filter = self.closure.mapping.filters.iter().find(|f| *f.column.get_ref() == column.name)?;
        let allowed = filter.allowed();
        let first_filter = self.closure.mapping.filters.first().is_some_and(|f| f.column.get_ref() == &column.name);
        if self.is_outside && first_filter {
            let outside = ["DELETED", "9999"].into_iter().find(|value| {
                !allowed.contains(value) && (column.kind != ColumnType::Integer || value.parse::<i64>().is_ok())
            });
            return Some(typed(outside.unwrap_or("SAMPLE-OUTSIDE"), column.kind));
        }
        // The first value is the usual one, and the rare row shows what is rare and nothing else.
        let at = if self.is_rare() || self.number == 1 { 0 } else { self.rng(&column.name).next() as usize };
        Some(typed(allowed.get(at % allowed.len().max(1))?, column.kind))
    }

    fn by_table(&self, column: &Column) -> Option<Value> {
        let fields = self.closure.mapping.fields.iter();
        let mut readers = fields.filter(|f| f.source.as_ref().is_some_and(|s| *s.get_ref() == column.name));
        let pairs = readers.find_map(|f| self.set.pairs(&f.transform.meaning().ok()?))?;
        let keys: Vec<&str> = pairs.keys().map(|key| &**key).collect();
        (!keys.is_empty()).then(|| typed(self.rng(&column.name).pick(&keys), column.kind))
    }

    fn by_role(&self, role: Role, column: &Column) -> Value {
        let mut rng = self.rng(&column.name);
        let object = self.closure.object.name.as_str();
        let text = |text: String| Value::text(&text);
        match role {
            Role::Key => match object {
                "slot" => text(format!("{}", 90_000 + self.number)),
                "site" => text(format!("{}{:03}", self.place().province.0, self.number)),
                "cohort_rule" => text(if self.is_rare() { "AGE115".into() } else { format!("AGE{}", self.cohort()) }),
                _ => text(format!("SAMPLE{:06}", self.number)),
            },
            Role::Site => text(format!("{}{:03}", self.place().province.0, rng.between(1, 400))),
            Role::Series => Value::text("covid19-1"),
            Role::Start => Value::Time(self.start()),
            Role::Status => Value::text("OPEN"),
            Role::Capacity => Value::Int(i64::from(self.capacity())),
            Role::Native | Role::Counter => {
                Value::Int(i64::from(self.capacity() - self.remaining().min(self.capacity())))
            }
            Role::EscrowUnits => Value::Int(i64::from(self.remaining() / 2)),
            Role::LastOp | Role::Op => text(format!("{:016x}{:016x}", 1, 9_000 + self.number)),
            Role::OpensAt => Value::Time(NOW.plus_ms(-24 * HOUR_MS)),
            Role::UpdatedAt => Value::Time(NOW.plus_ms(-i64::from(rng.between(1, 600)) * 60_000)),
            Role::Latitude => Value::Decimal(self.place().at.0.into()),
            Role::Longitude => Value::Decimal(self.place().at.1.into()),
            Role::Ci => text(linkage(&mut rng)),
            Role::Cohort => text(format!("AGE{}", self.cohort())),
            Role::Person => text(format!("SAMPLE{:06}", self.number)),
            Role::Slot => text(format!("{}", 90_000 + self.number)),
            Role::Class => Value::text("A"),
            Role::RowScn => Value::Int(i64::from(rng.between(1_000_000, 9_000_000))),
        }
    }

    fn cohort(&self) -> u32 {
        if self.is_rare() { 115 } else { self.rng("cohort").between(4, 8) * 10 }
    }

    fn start(&self) -> Timestamp {
        let mut rng = self.rng("start");
        let minutes = rng.between(0, 47) * 10;
        let days = i64::from(rng.between(AHEAD_DAYS.0, AHEAD_DAYS.1));
        NOW.plus_ms(days * 24 * HOUR_MS + i64::from(minutes) * 60_000)
    }

    fn by_label(&self, column: &Column) -> Value {
        let mut rng = self.rng(&column.name);
        let label = column.label.ko.as_str();
        let has = |words: &[&str]| words.iter().any(|word| label.contains(word));
        let place = self.place();
        let text = |text: String| Value::text(&text);
        if column.class == Class::UniqueId || has(&["주민"]) {
            text(resident_number(&mut rng))
        } else if column.class == Class::LinkageId || has(&["연계정보", "중복가입"]) {
            text(linkage(&mut rng))
        } else if has(&["성명", "이름"]) {
            text(format!("{}(가상)", rng.pick(&NAMES)))
        } else if has(&["전화", "연락처"]) && column.class == Class::OrgPublic {
            // No exchange begins with 0.
            text(format!("{}-0{:02}-{:04}", place.area_code, rng.between(0, 99), rng.between(0, 9_999)))
        } else if has(&["전화", "연락처"]) {
            text(format!("010-0{:03}-{:04}", rng.between(0, 999), rng.between(0, 9_999)))
        } else if has(&["주소"]) {
            let home = if column.class == Class::OrgPublic { "" } else { " 가상아파트 101동 101호" };
            text(format!("{} {} 가상로 {}{home}", place.province.1, place.district.1, rng.between(1, 300)))
        } else if has(&["기관명"]) {
            text(format!("{} {}", place.district.1, rng.pick(&CLINICS)))
        } else if has(&["시군구"]) {
            Value::text(if has(&["코드"]) { place.district.0 } else { place.district.1 })
        } else if has(&["시도"]) {
            Value::text(if has(&["코드"]) { place.province.0 } else { place.province.1 })
        } else {
            self.by_other_label(column, &mut rng)
        }
    }

    fn by_other_label(&self, column: &Column, rng: &mut Rng) -> Value {
        let label = column.label.ko.as_str();
        let has = |words: &[&str]| words.iter().any(|word| label.contains(word));
        let number = |n: u32| Value::Int(i64::from(n));
        if has(&["출생연도"]) && column.kind == ColumnType::Integer {
            let born = if self.is_rare() { 1911 } else { 2026 - self.cohort() };
            number(if has(&["끝"]) { born } else { born - if self.is_rare() { 1 } else { 9 } })
        } else if has(&["생년월일"]) {
            let days = if self.is_rare() { 41_000 } else { i64::from(rng.between(12_000, 26_000)) };
            Value::Time(NOW.plus_ms(-days * 24 * HOUR_MS))
        } else if has(&["성별"]) {
            Value::text(rng.pick(&["M", "F"]))
        } else if has(&["끝자리"]) {
            Value::text(rng.pick(&["1,6", "2,7", "3,8", "4,9", "5,0"]))
        } else if has(&["명칭"]) {
            Value::text(&format!("{}세 이상", self.cohort()))
        } else if has(&["시각"]) {
            Value::text(if has(&["종료", "끝"]) {
                rng.pick(&["17:00", "18:00"])
            } else {
                rng.pick(&["09:00", "09:30"])
            })
        } else if has(&["여부"]) {
            Value::text(rng.pick(&["Y", "N"]))
        } else if has(&["백신"]) {
            Value::text(rng.pick(&["mRNA-1", "mRNA-2", "VEC-1"]))
        } else if has(&["사업"]) {
            Value::text("covid19-1")
        } else if has(&["(분)", "소요"]) {
            number(10)
        } else if has(&["차수"]) {
            number(rng.between(1, 2))
        } else if has(&["연령"]) {
            if rng.between(0, 2) == 0 { Value::Null } else { number(12) }
        } else if has(&["마감"]) && column.kind == ColumnType::Time {
            Value::Time(NOW.plus_ms(60 * 24 * HOUR_MS))
        } else if column.class == Class::FreeText {
            Value::text("가상 메모: 내용 없음")
        } else {
            self.by_type(column)
        }
    }

    fn by_type(&self, column: &Column) -> Value {
        let mut rng = self.rng(&column.name);
        match column.kind {
            ColumnType::Text => Value::text(&format!("SAMPLE{}", rng.between(100, 999))),
            ColumnType::Integer => Value::Int(i64::from(rng.between(0, 99))),
            ColumnType::Decimal => Value::Decimal(format!("{}.5", rng.between(0, 99)).into()),
            ColumnType::Time => Value::Time(NOW.plus_ms(i64::from(rng.between(1, 200)) * HOUR_MS)),
        }
    }
}

fn typed(text: &str, kind: ColumnType) -> Value {
    match kind {
        ColumnType::Integer => text.parse().map_or(Value::Null, Value::Int),
        _ => Value::text(text),
    }
}

/// Month 13: nobody was ever born in it, whatever the other digits.
fn resident_number(rng: &mut Rng) -> String {
    let (year, day, tail) = (rng.between(40, 99), rng.between(1, 28), rng.between(0, 999_999));
    format!("{year:02}13{day:02}-{}{tail:06}", rng.between(1, 2))
}

/// 88 characters as a CI has, saying what it is.
fn linkage(rng: &mut Rng) -> String {
    let mut text = String::from("SAMPLE0NOT0A0REAL0CI");
    while text.len() < 86 {
        text.push(char::from(b'A' + rng.between(0, 25) as u8));
    }
    text + "=="
}
