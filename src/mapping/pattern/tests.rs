//! Shapes that are found, and ordinary values that are not.

use super::*;
use proptest::prelude::*;

fn patterns(text: &str) -> Vec<Pattern> {
    find(text).into_iter().map(|found| found.pattern).collect()
}

#[test]
fn what_must_never_leave_is_known_by_its_shape() {
    use Pattern::*;
    let ci = format!("{}==", "aB3+/".repeat(18).split_at(86).0);
    let di = "MC0GCCqGSIb3DQIJAyEA".to_owned() + &"x".repeat(43) + "=";
    let cases: Vec<(&str, &[Pattern])> = vec![
        ("900101-1234567", &[ResidentNumber]),
        ("9001011234567", &[ResidentNumber]),
        ("성명 홍길동 (900101 - 2234567)", &[ResidentNumber]),
        ("000229-3234567", &[ResidentNumber]),
        ("850315-5******", &[ResidentNumber]),
        ("8503155******", &[ResidentNumber]),
        ("９００１０１－１２３４５６７", &[ResidentNumber]),
        ("900101\u{200b}1234567", &[ResidentNumber]),
        ("P9001011234567", &[ResidentNumber]),
        ("11-12-123456-78", &[DriverLicence]),
        ("010-1234-5678", &[Mobile]),
        ("전화01012345678번", &[Mobile]),
        ("+82 10-1234-5678", &[Mobile]),
        ("+82(0)10-1234-5678", &[Mobile]),
        ("821012345678", &[Mobile]),
        ("011-234-5678", &[Mobile]),
        ("010.1234.5678", &[Mobile]),
        ("02-123-4567", &[Telephone]),
        ("031) 123-4567", &[Telephone]),
        ("+82-2-1234-5678", &[Telephone]),
        ("070-1234-5678", &[Telephone]),
        ("a.b+c@example.co.kr.", &[Email]),
        ("hong＠example.com", &[Email]),
        ("4111 1111 1111 1111", &[Card]),
        ("4111111111111111", &[Card]),
        ("378282246310005", &[Card]),
        ("02-123-4567, 010-1234-5678", &[Telephone, Mobile]),
        (&ci, &[Ci]),
        (&di, &[Di]),
    ];
    for (text, expected) in cases {
        assert_eq!(patterns(text), expected, "{text}");
    }
}

#[test]
fn what_a_feed_holds_is_not_taken_for_it() {
    let ordinary = [
        "",
        "서울특별시 강남구 테헤란로 123",
        "2026-09-01T09:00:00+09:00",
        "2026-09-01 09:00:00.123456",
        "20260901090000",
        "s-0000012345",
        "site-1100001",
        "1588-1234",
        "10,000 / 20,000",
        "37.566535, 126.977969",
        "900101.1234567",
        "9013011234567",
        "9001321234567",
        "9002300234567",
        "4111111111111112",
        "0000000000000000",
        "@home @ noon",
        "user@host",
        "위탁-2026-001",
        "550e8400-e29b-41d4-a716-446655440000",
        "a9001011234567b1c2d3e4f5a6b7c8d9",
        "제2020-1호 2021-12-31",
        "v1.2.3-20260101",
    ];
    for text in ordinary {
        assert_eq!(patterns(text), [], "{text}");
    }
}

#[test]
fn the_place_is_where_it_stands_in_the_text_as_given() {
    let text = "문의: ０１０-1234-5678 (점심 제외)";
    let found = find(text);
    assert_eq!(&text[found[0].span.clone()], "０１０-1234-5678");
}

#[test]
fn a_number_has_lost_its_leading_zero() {
    assert_eq!(in_number(9_001_011_234_567), Some(Pattern::ResidentNumber));
    assert_eq!(in_number(101_014_234_567), Some(Pattern::ResidentNumber));
    assert_eq!(in_number(113_014_234_567), None);
    assert_eq!(in_number(4_111_111_111_111_111), Some(Pattern::Card));
    for ordinary in [0, 42, -1, i64::MIN, i64::MAX, 20_260_901, 1_788_000_000_000] {
        assert_eq!(in_number(ordinary), None, "{ordinary}");
    }
}

#[test]
fn random_tokens_are_not_taken_for_numbers() {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let alarms = (0..200_000).filter(|_| !find(&format!("{:016x}{:016x}", next(), next())).is_empty()).count();
    assert_eq!(alarms, 0);
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[0-9a-f@.*()/ \\-가０９\u{200b}+=]{0,120}") {
        for found in find(&text) {
            prop_assert!(text.get(found.span).is_some());
        }
    }

    #[test]
    fn a_resident_number_is_found_wherever_it_stands(yy in 0u32..100, mm in 1u32..13, dd in 1u32..29, sex in 1u32..9, rest in 0u32..1_000_000, before in "[가-힣 :(]{0,5}", after in "[가-힣 ,)]{0,5}", dash in any::<bool>()) {
        let dash = if dash { "-" } else { "" };
        let text = format!("{before}{yy:02}{mm:02}{dd:02}{dash}{sex}{rest:06}{after}");
        prop_assert_eq!(first(&text), Some(Pattern::ResidentNumber), "{}", text);
    }
}
