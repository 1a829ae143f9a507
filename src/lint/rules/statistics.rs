//! L4xx: what can be inferred about a person.

use super::Needs::{Files, Risk};
use super::{Rule, rule};
use crate::mapping::Severity::{Deny, Warn};

const GUIDE: &str = "개인정보 보호위원회 가명정보 처리 가이드라인 (k-익명성, l-다양성)";
const SENSITIVE: &str = "개인정보 보호법 제23조; l-다양성 (가명정보 처리 가이드라인)";

pub const RULES: &[Rule] = &[
    rule(
        "L401",
        Deny,
        Files,
        [
            "사람이 들어 있는 피드에 [risk]가 없습니다.",
            "몇 사람까지 묶이는지 정하지 않으면 드문 조합이 사람을 가리킵니다.",
            "[risk] k_min, small_cell, quasi를 적으십시오.",
        ],
        [
            "A feed with persons in it has no [risk].",
            "Without a smallest group a rare combination names a person.",
            "Add [risk] with k_min, small_cell and quasi.",
        ],
        GUIDE,
    ),
    rule(
        "L402",
        Deny,
        Files,
        [
            "k_min이 정책의 최소보다 작습니다.",
            "작은 집단일수록 사람을 알아보기 쉽습니다.",
            "k_min을 정책 값 이상으로 하십시오.",
        ],
        [
            "k_min is under the policy's.",
            "The smaller a group, the easier a person is recognised.",
            "Raise k_min to the policy's.",
        ],
        GUIDE,
    ),
    rule(
        "L403",
        Warn,
        Risk,
        [
            "이 판의 위험 측정 보고서가 없습니다.",
            "측정하지 않은 피드는 승인할 근거가 없습니다.",
            "`slotbridge mappings risk`로 측정하십시오.",
        ],
        [
            "There is no risk report of this version.",
            "What was not measured cannot be approved.",
            "Measure it: `slotbridge mappings risk`.",
        ],
        GUIDE,
    ),
    rule(
        "L404",
        Deny,
        Risk,
        [
            "한 이름표의 실제 사유가 두 가지 미만입니다.",
            "사유가 하나면 이름표가 곧 그 사유를 말합니다.",
            "이름표를 합치거나 내보내지 마십시오.",
        ],
        [
            "A label value has fewer than two underlying reasons.",
            "With one reason the label tells it.",
            "Join labels or withhold.",
        ],
        SENSITIVE,
    ),
    rule(
        "L405",
        Deny,
        Risk,
        [
            "한 사유가 이름표의 대부분(기본 80% 초과)을 차지합니다.",
            "대부분이 같은 사유면 이름표로 사유를 짐작할 수 있습니다.",
            "이름표를 합치십시오.",
        ],
        [
            "One reason makes up most of a label value: more than 80 % unless the policy says less.",
            "Who sees the label can guess the reason.",
            "Join labels.",
        ],
        SENSITIVE,
    ),
    rule(
        "L406",
        Deny,
        Files,
        [
            "범주표가 완전하지 않습니다(빈 칸).",
            "빈 칸의 값은 범주화되지 않거나 빠집니다.",
            "모든 값의 모든 단계를 채우십시오.",
        ],
        [
            "A hierarchy is incomplete: empty cells.",
            "A value without a level is left out or left as it is.",
            "Fill in every level of every value.",
        ],
        GUIDE,
    ),
    rule(
        "L407",
        Deny,
        Files,
        [
            "범주표가 단조롭지 않습니다.",
            "아래 단계에서 같은 값이 위 단계에서 갈라지면 합쳐서 더 많이 알 수 있습니다.",
            "같은 단계 값은 위 단계에서도 같게 하십시오.",
        ],
        [
            "A hierarchy is not monotone: values that are equal at one level differ at a coarser one.",
            "Two levels together would tell more than either.",
            "Make values that are equal stay equal upwards.",
        ],
        GUIDE,
    ),
    rule(
        "L408",
        Deny,
        Risk,
        [
            "k_min보다 작은 집단이 나갑니다.",
            "드문 조합은 한 사람을 가리킬 수 있습니다.",
            "범주를 넓히거나 작은 집단을 제외하십시오.",
        ],
        [
            "Groups smaller than k_min leave.",
            "A rare combination may name one person.",
            "Generalise more, or suppress small groups.",
        ],
        GUIDE,
    ),
    rule(
        "L409",
        Warn,
        Risk,
        [
            "제외되는 건이 정책의 비율보다 많습니다.",
            "많이 빠지면 남은 사람과 빠진 사람이 모두 드러납니다.",
            "항목을 줄이거나 범주를 넓히십시오.",
        ],
        [
            "More rows are left out than the policy allows.",
            "What is missing tells about those who are.",
            "Publish fewer columns or coarser ones.",
        ],
        GUIDE,
    ),
    rule(
        "L410",
        Deny,
        Files,
        [
            "예약하면 대상자가 피드에서 바로 사라집니다.",
            "사라진 시각이 예약 사실을 알려 줍니다.",
            "membership = \"sticky\"로 하십시오.",
        ],
        [
            "Persons leave the feed as soon as they book.",
            "When somebody disappears tells that they booked.",
            "Use membership = \"sticky\".",
        ],
        "RFC 6973 제5.1.1절; 개인정보 보호법 제23조",
    ),
    rule(
        "L411",
        Warn,
        Files,
        [
            "같은 항목을 제휴사마다 다른 구간으로 내보냅니다.",
            "두 구간을 겹치면 더 좁은 값을 알 수 있습니다.",
            "모든 제휴사에 같은 구간을, 또는 한쪽이 다른 쪽을 나눈 구간을 쓰십시오.",
        ],
        [
            "Partners see the same column in different buckets.",
            "Laid over each other they tell a narrower value (differencing).",
            "Use the same buckets, or ones of which one refines the other.",
        ],
        "개인정보 보호위원회 가명정보 처리 가이드라인 (차분 공격)",
    ),
    rule(
        "L412",
        Warn,
        Files,
        [
            "소규모 회차 보호가 꺼져 있습니다.",
            "정원이 적은 회차의 마감은 한 사람의 예약을 드러냅니다.",
            "policy.toml의 small_slots.capacity_max를 1 이상(3 권장)으로 하십시오.",
        ],
        [
            "Small slots are not protected.",
            "When a slot of one place closes, one person has booked.",
            "Set small_slots.capacity_max to 3.",
        ],
        "개인정보 보호법 제3조제6항",
    ),
    rule(
        "L413",
        Deny,
        Files,
        [
            "내보내는 식별가능정보가 [risk] quasi에 없습니다.",
            "빠진 항목은 k를 셀 때 고려되지 않습니다.",
            "quasi에 그 항목을 추가하십시오.",
        ],
        [
            "A published quasi-identifier does not stand in [risk] quasi.",
            "k is counted without it.",
            "Add the column to quasi.",
        ],
        GUIDE,
    ),
];
