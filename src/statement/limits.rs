//! Limits that a version runs under: how fast, how much, how many.

use crate::mapping::{FeedKind, Role, Text2};
use crate::privacy::Closure;

use super::plain::plain;
use super::words::{self, both, span_ms};

/// Each on its own.
pub fn limits(closure: &Closure) -> Vec<Text2> {
    let feed = &closure.mapping.feed;
    let tick = span_ms(i64::from(*feed.tick_ms.get_ref()));
    let mut limits = vec![both(
        format!("변경은 {} 간격으로 모아 내보냅니다.", tick.ko),
        format!("Changes are published every {}.", tick.en),
    )];
    if let Some(cutoff) = &feed.cutoff_min {
        let cutoff = cutoff.get_ref();
        limits.push(both(
            format!("회차는 시작 {cutoff}분 전에 피드에서 빠집니다."),
            format!("A slot leaves the feed {cutoff} minutes before its start."),
        ));
    }
    limits.extend(small_slots(closure));
    limits.extend(persons(closure));
    let requests = &closure.partner.requests;
    let (book, read) = (thousands(requests.book_per_s_max), thousands(requests.read_per_s_max));
    limits.push(both(
        format!("제휴사 요청: 예약·취소 초당 {book}건, 읽기 초당 {read}건까지"),
        format!("requests of the partner: {book} bookings and cancellations, {read} reads a second"),
    ));
    limits
}

/// Mode, epoch and how many persons may be asked for.
fn persons(closure: &Closure) -> Vec<Text2> {
    let (mapping, feed) = (&closure.mapping, &closure.mapping.feed);
    let mut limits = Vec::new();
    if let Some(mode) = &feed.mode {
        let mode = words::mode(*mode.get_ref());
        limits.push(both(format!("대상군 피드 방식: {}", mode.ko), format!("mode: {}", mode.en)));
    }
    if let Some(epoch) = &feed.epoch {
        let days = epoch.get_ref().0;
        limits.push(both(format!("대상자 번호는 {days}일마다 바뀝니다."), format!("Tokens change every {days} days.")));
    }
    if let Some(membership) = &feed.membership {
        let membership = words::membership(*membership.get_ref());
        limits.push(both(format!("명단 확정 방식: {}", membership.ko), format!("membership: {}", membership.en)));
    }
    if let Some(risk) = &mapping.risk {
        let (k_min, rule) = (risk.k_min.get_ref(), words::small_cell(risk.small_cell));
        let quasi: Vec<String> = risk.quasi.iter().map(|column| plain(column.get_ref())).collect();
        let (over_ko, over_en) = match quasi.is_empty() {
            true => (String::new(), String::new()),
            false => (format!(" 함께 보는 항목: {}", quasi.join(", ")), format!(" counted over {}", quasi.join(", "))),
        };
        limits.push(both(
            format!("최소 k {k_min}: 모자라면 {}{over_ko}", rule.ko),
            format!("k of at least {k_min}, else {}{over_en}", rule.en),
        ));
    }
    let asked = &closure.partner.lookup;
    let asked = asked.get_ref();
    limits.push(lookup("제휴사 전체", "the partner's", asked.persons_per_day_max, asked.persons_per_epoch_max));
    if let Some(own) = &mapping.lookup {
        let (day, epoch) = (*own.persons_per_day_max.get_ref(), *own.persons_per_epoch_max.get_ref());
        limits.push(lookup("이 매핑", "this mapping's", day, epoch));
    }
    if let Some(erasure) = &mapping.erasure {
        let hours = erasure.acknowledge_hours_max.get_ref();
        limits.push(both(
            format!("삭제 요청은 {hours}시간 안에 제휴사가 확인해야 합니다."),
            format!("The partner acknowledges an erasure within {hours} hours."),
        ));
    }
    limits
}

fn lookup(whose_ko: &str, whose_en: &str, day: u32, epoch: u32) -> Text2 {
    if day == 0 || epoch == 0 {
        return both(
            format!("{whose_ko} 대상자 번호 조회: 할 수 없음"),
            format!("{whose_en} asking for persons: not allowed"),
        );
    }
    both(
        format!("{whose_ko} 대상자 번호 조회: 하루 {}명, 번호 주기마다 {}명까지", thousands(day), thousands(epoch)),
        format!("{whose_en} asking for persons: {} a day, {} an epoch", thousands(day), thousands(epoch)),
    )
}

/// Does the policy's rule for slots of few places hold for this feed? As the projector decides it.
pub fn has_small_slots(closure: &Closure) -> bool {
    let rule = &closure.policy.small_slots;
    closure.kind() == FeedKind::Slots
        && rule.capacity_max > 0
        && !rule.exempt_roles.contains(&closure.partner.role)
        && closure.object.view.is_some()
        && closure.object.columns.iter().any(|column| column.role == Some(Role::Capacity))
}

pub fn small_slots(closure: &Closure) -> Option<Text2> {
    let rule = &closure.policy.small_slots;
    let tick = span_ms(i64::from(rule.tick_ms.max(*closure.mapping.feed.tick_ms.get_ref())));
    has_small_slots(closure).then(|| {
        both(
            format!(
                "정원 {} 이하인 회차는 남은 수량 대신 예약 가능(‘1+’) / 마감(‘0’)만 {} 간격으로 내보냅니다.",
                rule.capacity_max, tick.ko
            ),
            format!(
                "Slots of at most {} places tell only whether they are bookable (‘1+’, ‘0’), every {}.",
                rule.capacity_max, tick.en
            ),
        )
    })
}

/// 2,000,000.
fn thousands(number: u32) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_are_grouped() {
        assert_eq!([0, 999, 1_000, 2_000_000].map(thousands), ["0", "999", "1,000", "2,000,000"]);
    }
}
