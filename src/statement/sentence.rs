//! What a transform does, as the one sentence that an officer reads, and the parameters that the sentence leaves out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::mapping::feed_mapping::Field;
use crate::mapping::korean::{Particle, with};
use crate::mapping::transform::{Scalar, TokenScope};
use crate::mapping::{MappingSet, Op, Text2, Transform};
use crate::privacy::{canonical_json, sha256_hex};

use super::plain::plain;
use super::words::{both, span_ms};

/// A table of more pairs is named by its number of pairs and its digest.
const PAIRS_SHOWN_MAX: usize = 40;

pub struct Said {
    pub sentence: Text2,
    /// Whatever of the parameters the sentence does not say; each on its own.
    pub details: Vec<Text2>,
}

/// `source` is the label of the column, already plain; empty where none is read.
pub fn said(field: &Field, source: &Text2, set: &MappingSet) -> Said {
    match field.transform.meaning() {
        Ok(meaning) => Said { sentence: sentence(&meaning, source, set), details: details(&meaning, set) },
        // Has no meaning yet, so the mapping cannot be loaded; the page still says what was meant.
        Err(_) if field.transform.op() == Op::OprfIndex => Said { sentence: oprf(), details: Vec::new() },
        Err(_) => Said {
            sentence: both(
                "처리 방법을 알 수 없어 내보내지 않습니다.",
                "The transform cannot be read; nothing is published.",
            ),
            details: Vec::new(),
        },
    }
}

fn oprf() -> Text2 {
    both(
        "기관에 조회해야만 찾을 수 있는 색인으로 바꿉니다. 동의 없는 조회는 한도와 표본 점검으로 통제합니다.",
        "Becomes an index that can be looked up by asking the agency only; limits and spot checks control lookups \
         without consent.",
    )
}

fn sentence(meaning: &Transform, source: &Text2, set: &MappingSet) -> Text2 {
    let object = with(&source.ko, Particle::Object);
    let en = &source.en;
    match meaning {
        Transform::Drop => {
            both(format!("{} 내보내지 않습니다.", with(&source.ko, Particle::Topic)), format!("{en} does not leave."))
        }
        Transform::Const { value } => {
            let value = scalar(value);
            both(
                format!("모든 건에 같은 값 {} 넣습니다.", with(&format!("‘{value}’"), Particle::Object)),
                format!("The same value ‘{value}’ for all."),
            )
        }
        Transform::Keep { .. } => both(format!("{} 값을 그대로 내보냅니다.", source.ko), format!("{en} as it is.")),
        Transform::Enum { .. } => {
            let codes = set.pairs(meaning).map_or(0, |pairs| targets(&pairs).len());
            both(
                format!("{object} 정해진 {codes}개 코드 중 하나로 바꿉니다."),
                format!("{en} as one of {codes} codes."),
            )
        }
        Transform::Lookup { table, .. } => {
            let table = plain(table);
            both(
                format!("{object} 대응표 ‘{table}’의 값으로 바꿉니다."),
                format!("{en} as its value in the table ‘{table}’."),
            )
        }
        Transform::Bucket { edges, .. } => {
            let (ko, en_ranges) = ranges(edges);
            both(format!("{object} {ko} 구간으로만 나타냅니다."), format!("{en} in buckets only: {en_ranges}."))
        }
        Transform::RoundTime { step_ms } => {
            let step = span_ms(*step_ms);
            both(format!("{object} {} 단위로 내림합니다.", step.ko), format!("{en} rounded down to {}.", step.en))
        }
        Transform::RoundNum { step } => {
            both(format!("{object} {step} 단위로 내림합니다."), format!("{en} rounded down to a multiple of {step}."))
        }
        Transform::TopBottom { low, high } => {
            let above = with(&format!("‘{high} 이상’"), Particle::To);
            both(
                format!("{low} 이하는 ‘{low} 이하’, {high} 이상은 {above}만 나타냅니다."),
                format!("{low} and below as ‘{low} or less’, {high} and above as ‘{high} or more’."),
            )
        }
        Transform::Generalize { level, .. } => {
            let level = plain(level);
            both(format!("{object} {level} 수준으로 범주화합니다."), format!("{en} generalised to the level {level}."))
        }
        Transform::TokenRandom { .. } => both(
            format!("{object} 의미 없는 임의 번호로 바꾸며, 대응표는 기관만 보관합니다."),
            format!("{en} as a random number without meaning; the agency alone keeps the table."),
        ),
        Transform::PersonToken => both(
            "기관만 가진 암호키로 만든 번호로 바꿉니다. 번호만으로는 다른 제휴사의 번호와 연결할 수 없으나, 양쪽이 CI를 함께 \
             쓰면 같은 사람임을 알 수 있습니다.",
            "Becomes a number made with a key that only the agency has. By the number alone it cannot be linked to \
             another partner's; two partners that both use the CI can tell that it is the same person.",
        ),
    }
}

fn details(meaning: &Transform, set: &MappingSet) -> Vec<Text2> {
    match meaning {
        Transform::Drop | Transform::Const { .. } | Transform::RoundTime { .. } | Transform::RoundNum { .. } => {
            Vec::new()
        }
        Transform::Keep { prefix } if prefix.is_empty() => Vec::new(),
        Transform::Keep { prefix } => {
            let quoted = format!("‘{}’", plain(prefix));
            vec![both(format!("앞에 {} 붙입니다.", with(&quoted, Particle::Object)), format!("Behind {quoted}."))]
        }
        Transform::Enum { .. } => table_details(set, meaning),
        Transform::Lookup { key, value, .. } => {
            let (key, value) = (plain(key), plain(value));
            let names = both(format!("대응표의 열: {key} → {value}"), format!("columns: {key} to {value}"));
            std::iter::once(names).chain(table_details(set, meaning)).collect()
        }
        Transform::Generalize { hierarchy, .. } => {
            let name = plain(hierarchy);
            let named = both(format!("범주표: ‘{name}’"), format!("hierarchy: ‘{name}’"));
            std::iter::once(named).chain(table_details(set, meaning)).collect()
        }
        Transform::Bucket { edges, labels } => {
            let labels: Vec<String> = labels.iter().map(|label| format!("‘{}’", plain(label))).collect();
            let labels = labels.join(", ");
            let lowest = edges.first().copied().unwrap_or_default();
            vec![
                both(format!("구간의 표시: {labels}"), format!("shown as {labels}")),
                both(
                    format!("{lowest}보다 작은 값도 첫 구간에 넣습니다."),
                    format!("below {lowest}: the first bucket"),
                ),
            ]
        }
        Transform::TopBottom { low, high } => vec![both(
            format!("피드에는 숫자 {low}, {high}로 적히며, 그 사이의 값은 그대로입니다."),
            format!("written as the numbers {low} and {high}; values between stay as they are"),
        )],
        Transform::TokenRandom { bits, scope } => {
            let (ko, en) = match scope {
                TokenScope::Partner => ("제휴사마다 다른 번호", "different for each partner"),
                TokenScope::All => ("모든 제휴사에 같은 번호", "the same for all partners"),
            };
            vec![both(format!("{ko}({bits}비트)"), format!("{en} ({bits} bits)"))]
        }
        Transform::PersonToken => Vec::new(),
    }
}

fn table_details(set: &MappingSet, meaning: &Transform) -> Vec<Text2> {
    let Some(pairs) = set.pairs(meaning) else {
        return vec![both("표가 없습니다.", "The table is missing.")];
    };
    let mut details = vec![if pairs.len() <= PAIRS_SHOWN_MAX {
        let shown: Vec<String> = pairs.iter().map(|(from, to)| format!("‘{}’→‘{}’", plain(from), plain(to))).collect();
        both(format!("대응: {}", shown.join(", ")), format!("pairs: {}", shown.join(", ")))
    } else {
        let members = pairs.iter().map(|(from, to)| (from.to_string(), serde_json::Value::from(&**to)));
        let digest = sha256_hex(canonical_json(&serde_json::Value::Object(members.collect())).as_bytes());
        both(
            format!("대응 {}건, 요약값(SHA-256) {digest}", pairs.len()),
            format!("{} pairs, SHA-256 {digest}", pairs.len()),
        )
    }];
    if targets(&pairs).len() == pairs.len() {
        details.push(both(
            "원값과 일대일로 대응하므로 원값과 같은 정보입니다.",
            "One to one, so that it tells what the value itself tells.",
        ));
    }
    details
}

fn targets(pairs: &BTreeMap<Arc<str>, Arc<str>>) -> BTreeSet<&Arc<str>> {
    pairs.values().collect()
}

/// `0 / 1~4 / 5~9 / 10 이상`.
fn ranges(edges: &[i64]) -> (String, String) {
    let range = |at: usize| {
        let from = edges[at];
        match edges.get(at + 1) {
            None => (format!("{from} 이상"), format!("{from} or more")),
            Some(next) if next - 1 == from => (from.to_string(), from.to_string()),
            Some(next) => (format!("{from}~{}", next - 1), format!("{from} to {}", next - 1)),
        }
    };
    let (ko, en): (Vec<String>, Vec<String>) = (0..edges.len()).map(range).unzip();
    (ko.join(" / "), en.join(" / "))
}

pub fn scalar(value: &Scalar) -> String {
    match value {
        Scalar::Bool(value) => value.to_string(),
        Scalar::Int(value) => value.to_string(),
        Scalar::Text(text) => plain(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::testing::shipped;

    fn ko(meaning: &Transform, source: &str) -> String {
        sentence(meaning, &both(source, "It"), &shipped()).ko
    }

    #[test]
    fn every_transform_has_its_sentence() {
        let text = |t: &str| t.to_owned();
        let number = |scope| Transform::TokenRandom { bits: 64, scope };
        let hours = |n: i64| Transform::RoundTime { step_ms: n * 3_600_000 };
        let constant = |value| Transform::Const { value };
        let cases = [
            (Transform::Drop, "담당자 성명", "담당자 성명은 내보내지 않습니다."),
            (Transform::Drop, "연계정보(CI)", "연계정보(CI)는 내보내지 않습니다."),
            (constant(Scalar::Text(text("KR"))), "", "모든 건에 같은 값 ‘KR’을 넣습니다."),
            (constant(Scalar::Int(2)), "", "모든 건에 같은 값 ‘2’를 넣습니다."),
            (constant(Scalar::Bool(true)), "", "모든 건에 같은 값 ‘true’를 넣습니다."),
            (Transform::Keep { prefix: text("s-") }, "회차번호", "회차번호 값을 그대로 내보냅니다."),
            (Transform::Enum { table: text("slot_status") }, "상태", "상태를 정해진 2개 코드 중 하나로 바꿉니다."),
            (
                Transform::Lookup { table: text("a"), key: text("b"), value: text("c") },
                "GPS 값",
                "GPS 값을 대응표 ‘a’의 값으로 바꿉니다.",
            ),
            (
                Transform::Bucket { edges: vec![0, 1, 5, 10], labels: vec![] },
                "남은 수량",
                "남은 수량을 0 / 1~4 / 5~9 / 10 이상 구간으로만 나타냅니다.",
            ),
            (Transform::RoundTime { step_ms: 600_000 }, "일시", "일시를 10분 단위로 내림합니다."),
            (hours(1), "접종일", "접종일을 1시간 단위로 내림합니다."),
            (hours(24), "접종일", "접종일을 1일 단위로 내림합니다."),
            (Transform::RoundNum { step: 5 }, "정원", "정원을 5 단위로 내림합니다."),
            (
                Transform::TopBottom { low: 20, high: 80 },
                "나이",
                "20 이하는 ‘20 이하’, 80 이상은 ‘80 이상’으로만 나타냅니다.",
            ),
            (
                Transform::Generalize { hierarchy: text("region"), level: text("시도") },
                "주소",
                "주소를 시도 수준으로 범주화합니다.",
            ),
            (
                number(TokenScope::All),
                "기관번호",
                "기관번호를 의미 없는 임의 번호로 바꾸며, 대응표는 기관만 보관합니다.",
            ),
        ];
        for (meaning, source, expected) in cases {
            assert_eq!(ko(&meaning, source), expected);
        }
        assert!(ko(&Transform::PersonToken, "").starts_with("기관만 가진 암호키로 만든 번호로 바꿉니다. 번호만으로는"));
        assert!(oprf().ko.starts_with("기관에 조회해야만 찾을 수 있는 색인으로 바꿉니다."));
    }

    #[test]
    fn ranges_hold_at_the_ends_of_numbers() {
        assert_eq!(
            ranges(&[i64::MIN, i64::MIN + 1, i64::MAX]).0,
            format!("{} / {}~{} / {} 이상", i64::MIN, i64::MIN + 1, i64::MAX - 1, i64::MAX)
        );
        assert_eq!(ranges(&[]).0, "");
    }
}
