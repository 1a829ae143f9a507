//! What a partner cannot do with a feed, and what can still go wrong: said out of mode, transforms and contract.
//!
//! Nothing is promised that code does not hold. What rests on a contract or a law only is said to rest on it.

use crate::mapping::feed_mapping::Field;
use crate::mapping::korean::{Particle, with};
use crate::mapping::transform::TokenScope;
use crate::mapping::{Basis, Class, FeedKind, Mode, Op, PartnerRole, Text2, Transform};
use crate::privacy::Closure;

use super::limits::has_small_slots;
use super::model::{Published, Withheld};
use super::plain::plain;
use super::words::{both, is_about_persons, span_ms};

pub fn cannot(closure: &Closure, published: &[Published], withheld: &[Withheld]) -> Vec<Text2> {
    let mut said = Vec::new();
    let hidden: Vec<&Withheld> = withheld.iter().filter(|w| is_personal_column(closure, &w.column.column)).collect();
    if !hidden.is_empty() {
        let ko: Vec<&str> = hidden.iter().map(|w| w.column.label.ko.as_str()).collect();
        let en: Vec<&str> = hidden.iter().map(|w| w.column.label.en.as_str()).collect();
        let last = with(ko.last().copied().unwrap_or_default(), Particle::Object);
        let all_but_last = ko[..ko.len() - 1].iter().map(|label| format!("{label}, ")).collect::<String>();
        said.push(both(
            format!(
                "이 피드로 {all_but_last}{last} 알 수 없습니다. 피드에 담기지 않고, 담으려면 새 승인이 필요합니다."
            ),
            format!(
                "Learn {} from this feed: it does not hold them, and a new approval would be needed.",
                en.join(", ")
            ),
        ));
    }
    let names_persons = published.iter().any(|p| {
        p.op_code == Op::PersonToken.code() || p.source.as_ref().is_some_and(|s| is_personal_column(closure, &s.column))
    });
    if !names_persons {
        said.push(match closure.kind() {
            FeedKind::Bookings => both(
                "이 피드만으로 예약한 사람이 누구인지 알 수 없습니다. 사람을 가리키는 항목이 없습니다.",
                "Tell from this feed alone who booked: no field names a person.",
            ),
            FeedKind::Sites | FeedKind::Slots | FeedKind::Eligibility => both(
                "이 피드만으로 접종 대상자가 누구인지 알 수 없습니다. 사람에 관한 항목이 없습니다.",
                "Tell from this feed alone who anybody is: no field is about a person.",
            ),
        });
    }
    match closure.mapping.feed.mode.as_ref().map(|mode| *mode.get_ref()) {
        Some(Mode::Rules) => said.push(both(
            "누가 대상자인지 명단을 만들 수 없습니다. 대상군의 기준만 담깁니다.",
            "Make a list of who may book: only rules are in the feed.",
        )),
        Some(Mode::Tokens) => said.push(both(
            "번호만으로 사람의 이름이나 연락처를 알 수 없습니다.",
            "Learn a name or a telephone number from a token.",
        )),
        Some(Mode::Sealed) => said.push(both(
            "기관에 묻지 않고는 누구의 건인지 열어 볼 수 없습니다.",
            "Open whose item it is without asking the agency.",
        )),
        None => {}
    }
    for (field, meaning) in meanings(closure) {
        said.extend(blurred(closure, field, &meaning));
    }
    said.push(both(
        "위 표에 없는 항목은 받을 수 없습니다. 기존 시스템에서 조회하지 않거나 연계 서버 안에만 둡니다.",
        "Receive anything that is not in the table: it is not fetched, or stays inside the bridge.",
    ));
    said
}

/// What a transform takes away for good.
fn blurred(closure: &Closure, field: &Field, meaning: &Transform) -> Option<Text2> {
    let label = label(closure, field);
    Some(match meaning {
        Transform::Bucket { .. } => both(
            format!("{} 정확한 숫자로 알 수 없습니다. 구간만 나갑니다.", with(&label.ko, Particle::Object)),
            format!("Learn the exact number of {}: buckets only.", label.en),
        ),
        Transform::RoundTime { step_ms } => both(
            format!("{} {}보다 자세히 알 수 없습니다.", with(&label.ko, Particle::Object), span_ms(*step_ms).ko),
            format!("Learn {} finer than {}.", label.en, span_ms(*step_ms).en),
        ),
        Transform::RoundNum { step } => both(
            format!("{} {step} 단위보다 자세히 알 수 없습니다.", with(&label.ko, Particle::Object)),
            format!("Learn {} finer than {step}.", label.en),
        ),
        Transform::TopBottom { low, high } => both(
            format!("{} {low} 이하, {high} 이상에서 구별할 수 없습니다.", with(&label.ko, Particle::Object)),
            format!("Tell values of {} apart below {low} or above {high}.", label.en),
        ),
        Transform::Generalize { level, .. } => both(
            format!("{} {} 수준보다 자세히 알 수 없습니다.", with(&label.ko, Particle::Object), plain(level)),
            format!("Learn {} finer than the level {}.", label.en, plain(level)),
        ),
        Transform::TokenRandom { .. } => both(
            format!(
                "임의 번호에서 {} 되찾을 수 없습니다. 대응표는 기관에만 있습니다.",
                with(&label.ko, Particle::Object)
            ),
            format!("Turn the random number back into {}: the agency keeps the table.", label.en),
        ),
        Transform::PersonToken => both(
            "대상자 번호에서 사람을 되찾을 수 없습니다. 암호키는 기관에만 있습니다.",
            "Turn a token back into a person: the agency keeps the key.",
        ),
        Transform::Drop
        | Transform::Const { .. }
        | Transform::Keep { .. }
        | Transform::Enum { .. }
        | Transform::Lookup { .. } => return None,
    })
}

pub fn remains(closure: &Closure, published: &[Published]) -> Vec<Text2> {
    let mut said = Vec::new();
    for (field, meaning) in meanings(closure) {
        said.extend(left(closure, field, &meaning));
    }
    said.extend(small_slots(closure));
    if closure.kind() == FeedKind::Bookings {
        said.push(both(
            "제휴사는 자기가 접수한 예약의 이용자를 이미 알고 있으므로, 예약 상태를 그 이용자와 연결할 수 있습니다.",
            "The partner knows the users whose bookings it made, so it can link a booking's state to its user.",
        ));
    }
    let open: Vec<&Published> = published
        .iter()
        .filter(|p| p.source.as_ref().is_some_and(|s| s.class_code == Class::OrgPublic.code()) && p.op_code == "keep")
        .collect();
    if !open.is_empty() {
        let labels: Vec<&str> = open.iter().filter_map(|p| Some(p.source.as_ref()?.label.ko.as_str())).collect();
        let labels_en: Vec<&str> = open.iter().filter_map(|p| Some(p.source.as_ref()?.label.en.as_str())).collect();
        said.push(both(
            format!(
                "원천에 개인의 주소나 전화가 잘못 적혀 있으면 그대로 나갈 수 있습니다({}). 휴대전화번호 모양만 막습니다.",
                labels.join(", ")
            ),
            format!(
                "Somebody's own address or telephone that stands in the source by mistake may leave ({}); only what looks \
                 like a mobile number is stopped.",
                labels_en.join(", ")
            ),
        ));
    }
    if published.iter().any(|p| p.source.as_ref().is_some_and(|s| s.column == "SITE_ID" && p.op_code == "keep")) {
        said.push(both(
            "기관번호로 다른 피드와 공개 자료를 서로 연결할 수 있습니다.",
            "The site number links this feed with others and with public sources.",
        ));
    }
    said.extend(after_it_left(closure));
    said
}

/// What a published value still tells.
fn left(closure: &Closure, field: &Field, meaning: &Transform) -> Option<Text2> {
    let label = label(closure, field);
    let column = field.source.as_ref().map(|s| s.get_ref().as_str())?;
    let class = closure.object.column(column)?.class;
    let counts = closure.object.name.as_str() == "slot" && column == "FREE";
    match meaning {
        Transform::PersonToken => Some(both(
            "양쪽이 CI를 함께 쓰는 제휴사끼리는 같은 사람임을 알 수 있습니다.",
            "Two partners that both use the CI can tell that it is the same person.",
        )),
        Transform::TokenRandom { scope: TokenScope::All, .. } => Some(both(
            format!("모든 제휴사에 같은 임의 번호({})라 제휴사끼리 건을 연결할 수 있습니다.", label.ko),
            format!("All partners see the same random number ({}) and can link items.", label.en),
        )),
        Transform::Bucket { edges, .. } if counts => {
            let edges: Vec<String> = edges.iter().skip(1).map(i64::to_string).collect();
            Some(both(
                format!(
                    "남은 수량이 구간의 경계({})를 넘는 순간에는 예약이나 취소가 있었음을 알 수 있습니다.",
                    edges.join(", ")
                ),
                format!("When the number crosses {}, somebody has booked or cancelled.", edges.join(", ")),
            ))
        }
        Transform::Keep { .. } | Transform::RoundNum { .. } | Transform::TopBottom { .. } if counts => Some(both(
            "남은 수량의 변화로 예약이나 취소가 언제 있었는지 알 수 있습니다.",
            "Changes of what is left tell when somebody booked or cancelled.",
        )),
        Transform::Drop | Transform::Const { .. } => None,
        Transform::Keep { .. }
        | Transform::Enum { .. }
        | Transform::Lookup { .. }
        | Transform::Bucket { .. }
        | Transform::RoundTime { .. }
        | Transform::RoundNum { .. }
        | Transform::TopBottom { .. }
        | Transform::Generalize { .. }
        | Transform::TokenRandom { scope: TokenScope::Partner, .. } => is_about_persons(class).then(|| {
            both(
                format!(
                    "{} 다른 자료와 결합하면 사람을 추정하는 데 쓰일 수 있습니다.",
                    with(&label.ko, Particle::Topic)
                ),
                format!("{} may help to guess a person when joined with other data.", label.en),
            )
        }),
    }
}

fn small_slots(closure: &Closure) -> Option<Text2> {
    let told =
        |name: &str| {
            closure.mapping.fields.iter().any(|f| {
                f.transform.op() != Op::Drop && f.source.as_ref().is_some_and(|source| source.get_ref() == name)
            })
        };
    (closure.kind() == FeedKind::Slots && (told("FREE") || told("BOOKABLE"))).then(|| {
        let (ko, en) = match has_small_slots(closure) {
            true => ("", ""),
            false => (
                " 이 제휴사에는 소규모 회차 규칙도 적용되지 않습니다.",
                " The rule for small slots does not hold here.",
            ),
        };
        both(
            format!("소규모 기관은 마감 시각으로 예약 발생을 추정할 수 있음.{ko}"),
            format!("Of small sites, the time at which a slot closes may tell that somebody booked.{en}"),
        )
    })
}

/// What no program holds once a copy has left.
fn after_it_left(closure: &Closure) -> Vec<Text2> {
    let days = closure.mapping.retention.partner_max.get_ref().0;
    let mut said = vec![both(
        format!("제휴사가 {days}일 안에 실제로 지웠는지는 프로그램으로 강제할 수 없으며, 계약과 점검으로 확인합니다."),
        format!("No program can enforce that the partner deletes within {days} days; contract and audit do."),
    )];
    if closure.mapping.legal.basis == Basis::NotPersonal {
        said.push(both(
            "나간 자료를 제휴사가 다시 공개하거나 다른 자료와 결합하는 것은 프로그램이 막지 못합니다.",
            "No program keeps the partner from publishing what it got, or joining it with other data.",
        ));
        return said;
    }
    let (ko, en) = match closure.partner.role {
        PartnerRole::Trustee => (
            "위탁받은 업무 범위를 넘는 이용은 법(「개인정보 보호법」 제26조제5항)과 계약이 금지하며, 프로그램이 막지는 못합니다.",
            "Use beyond the entrusted work is forbidden by law (PIPA article 26(5)) and contract, not stopped by a program.",
        ),
        PartnerRole::ThirdParty => (
            "제공받은 목적 밖의 이용·제공은 법(「개인정보 보호법」 제19조)이 금지하며, 프로그램이 막지는 못합니다.",
            "Use beyond the purpose is forbidden by law (PIPA article 19), not stopped by a program.",
        ),
        PartnerRole::Agency => (
            "기관 안에서 점검 목적 밖에 쓰는 것은 내부 통제로 막아야 합니다.",
            "Use beyond checking is for the agency's own controls to stop.",
        ),
    };
    said.push(both(ko, en));
    said
}

fn is_personal_column(closure: &Closure, column: &str) -> bool {
    closure.object.columns.iter().any(|c| plain(&c.name) == column && is_about_persons(c.class))
}

fn label(closure: &Closure, field: &Field) -> Text2 {
    let column = field.source.as_ref().and_then(|s| closure.object.column(s.get_ref()));
    column.map_or_else(
        || both(plain(field.name.get_ref()), plain(field.name.get_ref())),
        |c| both(plain(&c.label.ko), plain(&c.label.en)),
    )
}

fn meanings(closure: &Closure) -> impl Iterator<Item = (&Field, Transform)> {
    closure.mapping.fields.iter().filter_map(|field| Some((field, field.transform.meaning().ok()?)))
}
