//! Korean and English names of everything that a mapping chooses from a closed list.

use crate::lint::{Axis, Verdict};
use crate::mapping::catalogue::Derived;
use crate::mapping::feed_mapping::{Membership, SmallCell};
use crate::mapping::{Basis, Class, FeedKind, MappingStatus, Mode, Op, PartnerRole, Role, Severity, Text2};

pub fn both(ko: impl Into<String>, en: impl Into<String>) -> Text2 {
    Text2 { ko: ko.into(), en: en.into() }
}

pub fn class(class: Class) -> Text2 {
    let (ko, en) = match class {
        Class::UniqueId => ("고유식별정보", "unique identifier by law"),
        Class::Direct => ("식별정보", "direct identifier"),
        Class::LinkageId => ("연계정보·중복가입확인정보", "linkage information"),
        Class::InternalId => ("내부 식별번호", "internal number of a person"),
        Class::Sensitive => ("민감정보", "sensitive"),
        Class::SensitiveInferable => ("민감정보 추론 가능 정보", "sensitive by inference"),
        Class::Quasi => ("식별가능정보", "quasi-identifier"),
        Class::FreeText => ("자유 서술", "free text"),
        Class::OrgPublic => ("기관 공개정보", "published by the site"),
        Class::Operational => ("운영정보", "operational"),
        Class::Public => ("개인정보 아님", "not personal"),
    };
    both(ko, en)
}

/// Is a value of the class about a person?
pub fn is_about_persons(class: Class) -> bool {
    match class {
        Class::UniqueId
        | Class::Direct
        | Class::LinkageId
        | Class::InternalId
        | Class::Sensitive
        | Class::SensitiveInferable
        | Class::Quasi
        | Class::FreeText => true,
        Class::OrgPublic | Class::Operational | Class::Public => false,
    }
}

pub fn op(op: Op) -> Text2 {
    let (ko, en) = match op {
        Op::Drop => ("제외(미제공)", "left out"),
        Op::Const => ("고정값", "constant"),
        Op::Keep => ("원값", "as it is"),
        Op::Enum => ("코드 변환", "code"),
        Op::Lookup => ("대체 코드", "replacement code"),
        Op::Bucket => ("구간화", "bucket"),
        Op::RoundTime => ("시간 라운딩", "rounded time"),
        Op::RoundNum => ("숫자 라운딩", "rounded number"),
        Op::TopBottom => ("상하단코딩", "top and bottom coding"),
        Op::Generalize => ("범주화", "generalised"),
        Op::TokenRandom => ("임의 번호", "random number"),
        Op::PersonToken => ("암호키 토큰화", "keyed token"),
        Op::OprfIndex => ("조회형 색인", "query-only index"),
    };
    both(ko, en)
}

pub fn role(role: PartnerRole) -> Text2 {
    let (ko, en) = match role {
        PartnerRole::Trustee => ("수탁자", "processor"),
        PartnerRole::ThirdParty => ("제3자", "third party"),
        PartnerRole::Agency => ("기관 자체", "the agency itself"),
    };
    both(ko, en)
}

pub fn status(status: MappingStatus) -> Text2 {
    let (ko, en) = match status {
        MappingStatus::Draft => ("초안", "draft"),
        MappingStatus::Active => ("시행", "active"),
        MappingStatus::Retired => ("종료", "retired"),
    };
    both(ko, en)
}

pub fn feed(kind: FeedKind) -> Text2 {
    let (ko, en) = match kind {
        FeedKind::Sites => ("접종 기관 피드", "sites feed"),
        FeedKind::Slots => ("예약 회차 피드", "slots feed"),
        FeedKind::Eligibility => ("대상군 피드", "eligibility feed"),
        FeedKind::Bookings => ("예약 상태 피드", "bookings feed"),
    };
    both(ko, en)
}

pub fn mode(mode: Mode) -> Text2 {
    let (ko, en) = match mode {
        Mode::Rules => ("대상군 기준만(사람 없음)", "cohort rules only, no person"),
        Mode::Tokens => ("대상자별 번호", "a token a person"),
        Mode::Sealed => ("봉인(기관에 물어야 열림)", "sealed; opened by asking the agency"),
    };
    both(ko, en)
}

pub fn membership(membership: Membership) -> Text2 {
    match membership {
        Membership::Sticky => both("기간 중 고정(예약해도 명단에 남음)", "fixed for a window; who books stays in"),
    }
}

pub fn small_cell(rule: SmallCell) -> Text2 {
    let (ko, en) = match rule {
        SmallCell::Suppress => ("내보내지 않고 건수만 셈", "left out and counted"),
        SmallCell::Generalize => ("상위 범주로 바꾸고, 그래도 모자라면 내보내지 않음", "generalised, else left out"),
        SmallCell::Halt => ("피드를 만들지 않음", "the feed is not built"),
    };
    both(ko, en)
}

pub fn severity(severity: Severity) -> Text2 {
    match severity {
        Severity::Deny => both("오류", "error"),
        Severity::Warn => both("경고", "warning"),
    }
}

pub fn verdict(verdict: Verdict) -> Text2 {
    both(verdict.ko(), verdict.code())
}

pub fn axis(axis: Axis) -> Text2 {
    let (ko, en) = match axis {
        Axis::Attribute => ("정보량", "attribute"),
        Axis::Linkability => ("연결 가능성", "linkability"),
        Axis::Testability => ("확인 가능성", "testability"),
    };
    both(ko, en)
}

/// Which law, and what it makes of the transfer.
pub struct BasisWords {
    pub code: &'static str,
    pub law: Text2,
    /// 처리위탁, 제3자 제공; neutral where nothing personal leaves.
    pub act: Text2,
}

pub fn basis(basis: Basis) -> BasisWords {
    let (code, ko, en, act) = match basis {
        Basis::Pipa26 => (
            "pipa-26",
            "「개인정보 보호법」 제26조(업무위탁에 따른 개인정보의 처리 제한)",
            "Personal Information Protection Act, article 26 (entrusted processing)",
            Act::Entrusted,
        ),
        Basis::Pipa17No1 => (
            "pipa-17-1-1",
            "「개인정보 보호법」 제17조제1항제1호(정보주체의 동의)",
            "Personal Information Protection Act, article 17(1)1 (consent)",
            Act::Provided,
        ),
        Basis::Pipa17No2 => (
            "pipa-17-1-2",
            "「개인정보 보호법」 제17조제1항제2호(수집한 목적 범위에서의 제공)",
            "Personal Information Protection Act, article 17(1)2 (within the purpose of collection)",
            Act::Provided,
        ),
        Basis::Pipa18No10 => (
            "pipa-18-2-10",
            "「개인정보 보호법」 제18조제2항제10호(공중위생 등 공공의 안전과 안녕을 위하여 긴급히 필요한 경우)",
            "Personal Information Protection Act, article 18(2)10 (urgent need of public health and safety)",
            Act::Provided,
        ),
        Basis::Idcpa76No3 => (
            "idcpa-76-2-3",
            "「감염병의 예방 및 관리에 관한 법률」 제76조의2제3항(정보의 제공)",
            "Infectious Disease Control and Prevention Act, article 76-2(3)",
            Act::Provided,
        ),
        Basis::NotPersonal => {
            ("none-not-personal", "개인정보에 해당하지 않는 정보", "not personal information", Act::Neutral)
        }
    };
    BasisWords { code, law: both(ko, en), act: act.words() }
}

enum Act {
    Entrusted,
    Provided,
    Neutral,
}

impl Act {
    fn words(self) -> Text2 {
        match self {
            Act::Entrusted => both("처리위탁", "entrusted processing"),
            Act::Provided => both("제3자 제공", "provision to a third party"),
            Act::Neutral => both("전달", "transfer"),
        }
    }
}

/// What the bridge itself needs the column for.
pub fn use_of(role: Role) -> Text2 {
    let (ko, en) = match role {
        Role::Key => ("건을 구별하는 번호", "tells rows apart"),
        Role::UpdatedAt => ("바뀐 건만 골라 읽기", "finds what has changed"),
        Role::Latitude => ("가까운 기관 찾기(위도)", "nearby sites (latitude)"),
        Role::Longitude => ("가까운 기관 찾기(경도)", "nearby sites (longitude)"),
        Role::Site => ("회차와 기관을 잇기", "links slots to sites"),
        Role::Series => ("사업별 예약 규칙 적용", "booking rules of the series"),
        Role::Start => ("접종 일시에 따른 예약 마감", "cutoff before the start"),
        Role::Status => ("예약을 받을 수 있는 상태인지 판정", "decides whether it may be booked"),
        Role::Capacity => ("남은 수량 계산과 소규모 회차 판정", "what is left; which slots are small"),
        Role::Native => ("남은 수량 계산(기존 시스템 예약 제외)", "what is left after native reservations"),
        Role::Counter => ("기존 시스템 집계와 대조", "compared with the legacy counter"),
        Role::EscrowUnits => ("연계용으로 떼어 둔 수량 확인", "units set aside for the bridge"),
        Role::LastOp => ("반영이 두 번 되지 않았는지 확인", "no write-back happens twice"),
        Role::OpensAt => ("예약 개시 전 접수 차단", "no booking before opening"),
        Role::Ci => ("본인확인 결과와 대상자를 잇기", "links a verified person to the register"),
        Role::Cohort => ("예약 대상인지 판정", "decides who may book"),
        Role::Person => ("예약과 대상자를 잇기", "links a reservation to its person"),
        Role::Slot => ("예약과 회차를 잇기", "links a reservation to its slot"),
        Role::Op => ("연계 서버가 만든 예약인지 확인", "recognises the bridge's own reservations"),
        Role::Class => ("회차 구분별 수량 확보 방식 선택", "how units of the slot are drawn"),
        Role::RowScn => ("바뀐 건만 골라 읽기(변경 순번)", "finds what has changed (commit number)"),
    };
    both(ko, en)
}

/// What the desk computes the column for.
pub fn use_of_derived(derived: Derived) -> Text2 {
    let (ko, en) = match derived {
        Derived::Free => ("남은 수량(연계 서버가 계산)", "what is left, computed by the bridge"),
        Derived::Bookable => ("예약 가능 여부(연계 서버가 계산)", "whether anything is left, computed"),
        Derived::SlotVersion => ("회차 조건이 바뀌었는지 확인", "tells whether the slot has changed"),
        Derived::BookingPerson => ("같은 사람의 중복 예약 차단", "one booking a person and series"),
        Derived::BookingId
        | Derived::BookingStatus
        | Derived::BookingSync
        | Derived::BookingSlot
        | Derived::BookingSeries
        | Derived::BookingSlotVersion
        | Derived::PartnerRef
        | Derived::LegacyRef
        | Derived::EndReason
        | Derived::BookedAt
        | Derived::ChangedAt
        | Derived::CommittedCursor => ("예약 접수와 반영 기록", "record of bookings and their write-back"),
    };
    both(ko, en)
}

/// A length of time in the largest unit that fits: 10분, 1시간, 1일.
pub fn span_ms(ms: i64) -> Text2 {
    const UNITS: [(i64, &str, &str); 4] =
        [(86_400_000, "일", "d"), (3_600_000, "시간", "h"), (60_000, "분", "min"), (1_000, "초", "s")];
    let fits = UNITS.into_iter().find(|(unit, ..)| ms >= *unit && ms % unit == 0);
    let (unit, ko, en) = fits.unwrap_or((1, "밀리초", "ms"));
    both(format!("{}{ko}", ms / unit), format!("{} {en}", ms / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_in_the_largest_unit_that_fits() {
        let told = [60_000, 600_000, 5_400_000, 3_600_000, 86_400_000, 10_000, 200].map(|ms| span_ms(ms).ko);
        assert_eq!(told, ["1분", "10분", "90분", "1시간", "1일", "10초", "200밀리초"]);
    }
}
