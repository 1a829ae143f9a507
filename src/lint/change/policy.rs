//! The privacy office's policy. What it allows more of, or watches less closely, is 확대.

use std::collections::{BTreeMap, BTreeSet};

use crate::mapping::policy::{
    ApprovalRule, ClassRule, GuardLimits, Limits, PurposeRule, ReceiptIssuer, Receipts, Restriction, RiskLimits,
    SmallSlots, Thresholds,
};
use crate::mapping::{Class, Op, PartnerRole, Policy, Severity};
use crate::privacy::Closure;

use super::rows::{Rows, more_is_narrower, more_is_wider, wider, words};
use super::{Verdict, field};

pub(super) fn compare(rows: &mut Rows, closure: &Closure, now: &Closure, policy: &Policy) {
    let Policy {
        format,
        version,
        class,
        purposes,
        restrictions,
        small_slots,
        limits,
        receipts,
        severity,
        approval,
        risk,
        guards,
        thresholds,
    } = policy;
    let after = &now.policy;
    rows.part("policy format", "정책 형식", (format, &after.format), wider);
    rows.part("policy version", "정책 판", (version, &after.version), words);
    for name in class.keys().chain(after.class.keys()).collect::<BTreeSet<_>>() {
        // A class that does not stand there allows `drop`, as every class does.
        let ops = |rules: &BTreeMap<Class, toml::Spanned<ClassRule>>| {
            let listed = rules.get(name).map(|rule| {
                let ClassRule { transforms } = rule.get_ref();
                transforms
            });
            let told = listed.into_iter().flatten().filter(|op| **op != Op::Drop).map(|op| op.code());
            [Op::Drop.code()].into_iter().chain(told).collect::<Vec<&str>>()
        };
        rows.set(&format!("policy class {}", name.code()), "분류별 허용 가공", ops(class), ops(&after.class));
    }
    purposes_of(rows, purposes, &after.purposes);
    restrictions_of(rows, restrictions, &after.restrictions);
    small(rows, closure, small_slots, &after.small_slots);
    limits_of(rows, limits, &after.limits);
    receipts_of(rows, receipts, &after.receipts);
    for rule in severity.keys().chain(after.severity.keys()).collect::<BTreeSet<_>>() {
        let of = |rules: &BTreeMap<String, toml::Spanned<Severity>>| rules.get(rule).map(|s| *s.get_ref());
        let pair = (&of(severity), &of(&after.severity));
        rows.part(&format!("policy severity {rule}"), "점검 규칙의 엄격도", pair, more_is_narrower);
    }
    approval_of(rows, approval, &after.approval);
    risk_of(rows, risk, &after.risk);
    let GuardLimits { row_jump_percent_max, row_jump_rows_min } = guards;
    let pair = (row_jump_percent_max, &after.guards.row_jump_percent_max);
    rows.part("policy guards row_jump_percent_max", "건수 급변 기준(%)", pair, more_is_wider);
    let pair = (row_jump_rows_min, &after.guards.row_jump_rows_min);
    rows.part("policy guards row_jump_rows_min", "건수 급변 기준(건)", pair, more_is_wider);
    let Thresholds { impact_assessment_persons, impact_assessment_linked_persons } = thresholds;
    let pair = (impact_assessment_persons, &after.thresholds.impact_assessment_persons);
    rows.part("policy thresholds impact_assessment_persons", "영향평가 기준 인원", pair, more_is_wider);
    let pair = (impact_assessment_linked_persons, &after.thresholds.impact_assessment_linked_persons);
    rows.part("policy thresholds impact_assessment_linked_persons", "영향평가 기준 인원(연계)", pair, more_is_wider);
}

fn purposes_of(rows: &mut Rows, before: &[PurposeRule], after: &[PurposeRule]) {
    let codes = |rules: &[PurposeRule]| {
        let all = rules.iter().map(|PurposeRule { code, label }| (code.clone(), label.clone()));
        all.collect::<BTreeMap<_, _>>()
    };
    let (old, new) = (codes(before), codes(after));
    rows.set("policy purposes", "허용 목적", old.keys(), new.keys());
    for (code, label) in &old {
        if let Some(now) = new.get(code) {
            rows.part(&format!("policy purpose {code}"), "목적의 설명", (label, now), words);
        }
    }
}

/// By what they forbid, so that a restriction split in two is the same.
fn restrictions_of(rows: &mut Rows, before: &[Restriction], after: &[Restriction]) {
    let (old, new) = (forbidden(before), forbidden(after));
    for column in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        let of = |all: &Forbidden| all.get(column).cloned().unwrap_or_default();
        rows.set_of_limits(&format!("policy restrict {column}"), "항목별 금지", of(&old), of(&new));
    }
    // Reasons, and the same prohibitions written otherwise.
    rows.part("policy restrict", "항목별 제한", (&before, &after), words);
}

const OPS: [Op; 13] = [
    Op::Drop,
    Op::Const,
    Op::Keep,
    Op::Enum,
    Op::Lookup,
    Op::Bucket,
    Op::RoundTime,
    Op::RoundNum,
    Op::TopBottom,
    Op::Generalize,
    Op::TokenRandom,
    Op::PersonToken,
    Op::OprfIndex,
];

/// `slot.FREE` to `keep trustee`, …
type Forbidden = BTreeMap<String, BTreeSet<String>>;

fn forbidden(restrictions: &[Restriction]) -> Forbidden {
    const ROLES: [PartnerRole; 3] = [PartnerRole::Trustee, PartnerRole::ThirdParty, PartnerRole::Agency];
    let mut all = Forbidden::new();
    for Restriction { object, columns, transforms, except_roles, reason: _ } in restrictions {
        for column in columns {
            let of_column = all.entry(format!("{}.{}", object.get_ref(), column.get_ref())).or_default();
            for role in ROLES.iter().filter(|role| !except_roles.contains(role)) {
                let ops = OPS.iter().filter(|op| **op != Op::Drop && !transforms.contains(op));
                of_column.extend(ops.map(|op| format!("{} {}", op.code(), role.code())));
            }
        }
    }
    all
}

fn small(rows: &mut Rows, closure: &Closure, before: &SmallSlots, after: &SmallSlots) {
    let SmallSlots { capacity_max, tick_ms, exempt_roles } = before;
    let less = if field::small_tells_less(closure) { Verdict::Narrower } else { Verdict::Wider };
    // More slots are small: they tell whether a place is left, which a coarse bucket may not have told.
    let pair = (capacity_max, &after.capacity_max);
    let fewer_told = |old: &u32, new: &u32| if new > old { less } else { Verdict::Wider };
    rows.part("policy small_slots capacity_max", "소규모 회차 기준(정원)", pair, fewer_told);
    rows.part("policy small_slots tick_ms", "소규모 회차 게시 주기(ms)", (tick_ms, &after.tick_ms), more_is_narrower);
    let roles = |roles: &[PartnerRole]| roles.iter().map(|role| role.code()).collect::<BTreeSet<&str>>();
    let pair = (&roles(exempt_roles), &roles(&after.exempt_roles));
    rows.part("policy small_slots exempt_roles", "소규모 회차 예외", pair, |old, new| {
        if new.is_subset(old) { less } else { Verdict::Wider }
    });
}

fn limits_of(rows: &mut Rows, before: &Limits, after: &Limits) {
    let Limits {
        tick_ms_min,
        tick_ms_max,
        partner_retention_days_max,
        persons_per_day_max,
        persons_per_epoch_max,
        self_signed_persons_per_day_max,
    } = before;
    rows.part("policy limits tick_ms_min", "게시 주기 하한(ms)", (tick_ms_min, &after.tick_ms_min), more_is_narrower);
    // It allows more mappings than before, though slower ticks tell less.
    rows.part("policy limits tick_ms_max", "게시 주기 상한(ms)", (tick_ms_max, &after.tick_ms_max), more_is_wider);
    let pair = (partner_retention_days_max, &after.partner_retention_days_max);
    rows.part("policy limits partner_retention_days_max", "제휴사 보유 기간 상한(일)", pair, more_is_wider);
    let pair = (persons_per_day_max, &after.persons_per_day_max);
    rows.part("policy limits persons_per_day_max", "조회 한도 상한(1일)", pair, more_is_wider);
    let pair = (persons_per_epoch_max, &after.persons_per_epoch_max);
    rows.part("policy limits persons_per_epoch_max", "조회 한도 상한(유효 기간)", pair, more_is_wider);
    let pair = (self_signed_persons_per_day_max, &after.self_signed_persons_per_day_max);
    rows.part("policy limits self_signed_persons_per_day_max", "자체 서명 조회 한도 상한", pair, more_is_wider);
}

fn receipts_of(rows: &mut Rows, before: &Receipts, after: &Receipts) {
    let Receipts { age_s_max, audit_sample_percent, issuers } = before;
    rows.part("policy receipts age_s_max", "동의 확인서 유효 시간(초)", (age_s_max, &after.age_s_max), more_is_wider);
    let pair = (audit_sample_percent, &after.audit_sample_percent);
    rows.part("policy receipts audit_sample_percent", "자체 서명 확인서 표본 비율(%)", pair, more_is_narrower);
    let keys = |issuers: &[ReceiptIssuer]| {
        let all = issuers.iter().map(|ReceiptIssuer { id, name: _, public_key }| format!("{id} {public_key}"));
        all.collect::<BTreeSet<String>>()
    };
    rows.set("policy receipts issuers", "동의 확인서 발급자", keys(issuers), keys(&after.issuers));
    let names = |issuers: &[ReceiptIssuer]| {
        issuers.iter().map(|i| format!("{} {} / {}", i.id, i.name.ko, i.name.en)).collect::<Vec<_>>()
    };
    let pair = (&names(issuers), &names(&after.issuers));
    rows.part("policy receipts issuer names", "동의 확인서 발급자 이름", pair, words);
}

fn approval_of(rows: &mut Rows, before: &ApprovalRule, after: &ApprovalRule) {
    let ApprovalRule { narrower_quorum, wider_quorum, wider_delay_hours, validity_days_max } = before;
    let pair = (narrower_quorum, &after.narrower_quorum);
    rows.part("policy approval narrower_quorum", "축소의 서명 인원", pair, more_is_narrower);
    let pair = (wider_quorum, &after.wider_quorum);
    rows.part("policy approval wider_quorum", "확대의 서명 인원", pair, more_is_narrower);
    let pair = (wider_delay_hours, &after.wider_delay_hours);
    rows.part("policy approval wider_delay_hours", "확대의 시행 대기(시간)", pair, more_is_narrower);
    let pair = (validity_days_max, &after.validity_days_max);
    rows.part("policy approval validity_days_max", "승인 유효 기간(일)", pair, more_is_wider);
}

fn risk_of(rows: &mut Rows, before: &RiskLimits, after: &RiskLimits) {
    let RiskLimits { k_min, homogeneity_percent_max, suppressed_percent_max, epoch_days_max } = before;
    rows.part("policy risk k_min", "k 하한", (k_min, &after.k_min), more_is_narrower);
    let pair = (homogeneity_percent_max, &after.homogeneity_percent_max);
    rows.part("policy risk homogeneity_percent_max", "단일 사유 비율 상한(%)", pair, more_is_wider);
    let pair = (suppressed_percent_max, &after.suppressed_percent_max);
    rows.part("policy risk suppressed_percent_max", "제외 비율 상한(%)", pair, more_is_wider);
    let pair = (epoch_days_max, &after.epoch_days_max);
    rows.part("policy risk epoch_days_max", "토큰 유효 기간 상한(일)", pair, more_is_wider);
}
