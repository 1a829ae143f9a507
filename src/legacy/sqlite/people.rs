//! Persons and cohorts of the example: made up, and made so that nobody real can be meant.
//!
//! Resident numbers have month 13, mobile numbers begin with 010-0, which nobody is given, and staff names, remarks
//! and home addresses carry the words in `MARKS`, so that a leak is found by looking for them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::regions::{District, PROVINCES, Province};
use super::rng::Rng;
use super::wall;
use crate::domain::Timestamp;

/// Words in every staff name, remark, mobile number and home address that the generator makes, and in nothing that
/// may be published.
pub const MARKS: [&str; 4] = [STAFF_MARK, MEMO_MARK, MOBILE_MARK, HOME_MARK];
pub(crate) const STAFF_MARK: &str = "담당자";
pub(crate) const MEMO_MARK: &str = "내부메모";
pub(crate) const MOBILE_MARK: &str = "010-0";
pub(crate) const HOME_MARK: &str = "가상아파트";

const SURNAMES: [&str; 20] = [
    "김", "이", "박", "최", "정", "강", "조", "윤", "장", "임", "한", "오", "서", "신", "권", "황", "안", "송", "전",
    "홍",
];
const FIRST_SYLLABLES: [&str; 20] = [
    "민", "서", "지", "도", "하", "예", "준", "현", "수", "은", "재", "유", "태", "승", "정", "영", "미", "경", "상",
    "성",
];
const LAST_SYLLABLES: [&str; 20] = [
    "준", "연", "우", "윤", "은", "원", "호", "진", "아", "희", "수", "영", "현", "철", "숙", "자", "민", "훈", "석",
    "경",
];

/// A row of the person register.
pub struct Person {
    pub key: String,
    pub resident_no: String,
    /// 88 base64 characters.
    pub ci: String,
    pub name: String,
    pub birth: String,
    pub sex: &'static str,
    pub mobile: String,
    pub address: String,
    pub cohort: &'static str,
    pub standing: Standing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Active,
    Deceased,
    Done,
    Withdrawn,
}

impl Standing {
    pub(crate) fn code(self) -> &'static str {
        match self {
            Standing::Active => "0",
            Standing::Deceased => "1",
            Standing::Done => "2",
            Standing::Withdrawn => "3",
        }
    }
}

/// An age cohort; ages as of the year of `now`.
pub(crate) struct Cohort {
    pub(crate) code: &'static str,
    pub(crate) name: &'static str,
    pub(crate) ages: (u32, u32),
    /// Of 1,000 persons.
    pub(crate) share: u32,
    pub(crate) series: &'static str,
    /// Days before (−) or after `now` that its booking opens.
    pub(crate) opens_in_days: i64,
    pub(crate) last_digits: Option<&'static str>,
}

/// Those who have had a first dose are a cohort of their own, for the second series.
const SECOND_DOSE: &str = "D2";
pub(crate) const FIRST_SERIES: &str = "covid19-1";
pub(crate) const SECOND_SERIES: &str = "covid19-2";

pub(crate) const COHORTS: [Cohort; 8] = [
    cohort("A75", "75세 이상", (75, 99), 85, -28, None),
    cohort("A65", "65~74세", (65, 74), 125, -21, None),
    cohort("A60", "60~64세", (60, 64), 85, -14, None),
    cohort("A55", "55~59세", (55, 59), 90, -7, None),
    cohort("A50", "50~54세", (50, 54), 95, -5, None),
    cohort("A18", "18~49세 (10부제)", (18, 49), 460, -3, Some("0,1,2,3,4,5,6,7,8,9")),
    cohort("A12", "12~17세", (12, 17), 60, 7, None),
    Cohort {
        code: SECOND_DOSE,
        name: "2차 접종 대상",
        ages: (18, 99),
        share: 0,
        series: SECOND_SERIES,
        opens_in_days: -14,
        last_digits: None,
    },
];

const fn cohort(
    code: &'static str,
    name: &'static str,
    ages: (u32, u32),
    share: u32,
    opens_in_days: i64,
    last_digits: Option<&'static str>,
) -> Cohort {
    Cohort { code, name, ages, share, series: FIRST_SERIES, opens_in_days, last_digits }
}

/// Legacy key of the person with that number (1, 2, …).
pub fn person_key(number: u32) -> String {
    format!("P{number:08}")
}

/// How the person stands in the register; 2.5 % cannot book.
pub fn standing(seed: u64, number: u32) -> Standing {
    match Rng::of(seed ^ 0x57A4, u64::from(number)).below(1_000) {
        0..5 => Standing::Deceased,
        5..20 => Standing::Done,
        20..25 => Standing::Withdrawn,
        _ => Standing::Active,
    }
}

/// The person with that number: a function of seed, number and the year of `now`.
pub fn person(seed: u64, number: u32, now: Timestamp) -> Person {
    let mut rng = Rng::of(seed ^ 0x9E45, u64::from(number));
    let (year, _, _) = wall::civil(now.seoul_day());
    let mut at = rng.below(1_000);
    let of_age = COHORTS.iter().find(|c| {
        let found = at < c.share;
        at = at.saturating_sub(c.share);
        found
    });
    let of_age = of_age.unwrap_or(&COHORTS[5]);
    let born = year - i64::from(rng.between(of_age.ages.0, of_age.ages.1));
    let month = i64::from(rng.between(1, 12));
    let day = i64::from(rng.below(wall::days_in(born, month) as u32)) + 1;
    let second_dose = of_age.ages.0 >= 18 && rng.one_in(10);
    let female = rng.one_in(2);
    let gender_digit = match (born < 2000, female) {
        (true, false) => 1,
        (true, true) => 2,
        (false, false) => 3,
        (false, true) => 4,
    };
    let mut secret = [0u8; 64];
    for part in secret.chunks_exact_mut(8) {
        part.copy_from_slice(&rng.next().to_le_bytes());
    }
    let province: &Province = rng.pick(&PROVINCES);
    let district: &District = rng.pick(province.districts);
    Person {
        key: person_key(number),
        resident_no: format!("{:02}13{day:02}-{gender_digit}{:06}", born % 100, rng.below(1_000_000)),
        ci: STANDARD.encode(secret),
        name: name(&mut rng),
        birth: format!("{born:04}-{month:02}-{day:02} 00:00:00"),
        sex: if female { "F" } else { "M" },
        mobile: mobile(&mut rng),
        address: format!(
            "{} {} {HOME_MARK} {}동 {}호",
            province.name,
            district.name,
            rng.between(101, 120),
            rng.between(1, 25) * 100 + rng.between(1, 8)
        ),
        cohort: if second_dose { SECOND_DOSE } else { of_age.code },
        standing: standing(seed, number),
    }
}

pub(crate) fn name(rng: &mut Rng) -> String {
    let (surname, first) = (rng.pick(&SURNAMES), rng.pick(&FIRST_SYLLABLES));
    format!("{surname}{first}{}", rng.pick(&LAST_SYLLABLES))
}

pub(crate) fn mobile(rng: &mut Rng) -> String {
    format!("{MOBILE_MARK}{:03}-{:04}", rng.below(1_000), rng.below(10_000))
}

pub(crate) fn staff(rng: &mut Rng) -> String {
    format!("{STAFF_MARK} {}", name(rng))
}

pub(crate) fn memo(rng: &mut Rng) -> String {
    const NOTES: [&str; 6] = [
        "냉장고 점검 요망",
        "오후 인력 부족",
        "백신 추가 요청함",
        "민원 재발 주의",
        "주차 공간 협소",
        "연락은 휴대전화로",
    ];
    format!("{MEMO_MARK} {:08x} {} {}", rng.next() as u32, rng.pick(&NOTES), mobile(rng))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_can_be_nobody_real() {
        let now = Timestamp(1_795_345_200_000);
        for number in 1..2_000 {
            let person = person(7, number, now);
            assert_eq!(&person.resident_no[2..4], "13");
            assert_eq!((person.resident_no.len(), person.ci.len()), (14, 88));
            assert!(person.mobile.starts_with("010-0") && person.mobile.len() == 13);
            assert!(wall::parse(&person.birth).is_some());
            assert!(COHORTS.iter().any(|c| c.code == person.cohort));
        }
        assert_eq!(person(7, 1, now).ci, person(7, 1, now).ci);
        assert_ne!(person(7, 1, now).ci, person(8, 1, now).ci);
    }

    #[test]
    fn the_shares_of_the_cohorts_are_whole() {
        assert_eq!(COHORTS.iter().map(|c| c.share).sum::<u32>(), 1_000);
    }
}
