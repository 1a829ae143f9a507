//! Weakenings of everything else: limits, retention, quotas, mode, classes, policy, legal basis.

use std::sync::Arc;

use slotbridge::mapping::feed_mapping::{Days, SmallCell};
use slotbridge::mapping::policy::{ReceiptIssuer, Restriction};
use slotbridge::mapping::{
    Basis, Class, Column, ColumnType, MappingStatus, Mode, Op, PartnerRole, ReceiptKind, Role, Severity, Text2,
};
use slotbridge::privacy::Closure;

use super::kit::{Dice, Kind, at, kind, one_way};

pub fn kinds() -> Vec<Kind> {
    [mapping(), legal(), catalogue(), partner(), policy()].into_iter().flatten().collect()
}

fn more(value: &mut u32, dice: &mut Dice) -> bool {
    *value += dice.number(1, 1_000) as u32;
    true
}

fn less(value: &mut u32, dice: &mut Dice) -> bool {
    let had = *value;
    *value -= dice.number(1, 1_000).min(i64::from(had)) as u32;
    *value < had
}

fn mapping() -> Vec<Kind> {
    vec![
        kind("tick_shorter", |d, c| less(c.mapping.feed.tick_ms.as_mut(), d)),
        kind("cutoff_later", |d, c| c.mapping.feed.cutoff_min.as_mut().is_some_and(|m| less(m.as_mut(), d))),
        kind("cutoff_removed", |_, c| c.mapping.feed.cutoff_min.take().is_some()),
        kind("partner_keeps_longer", |d, c| more(&mut c.mapping.retention.partner_max.as_mut().0, d)),
        kind("bridge_keeps_longer", |d, c| more(&mut c.mapping.retention.bridge_max.as_mut().0, d)),
        kind("epoch_longer", |d, c| c.mapping.feed.epoch.as_mut().is_some_and(|e| more(&mut e.as_mut().0, d))),
        kind("epoch_removed", |_, c| c.mapping.feed.epoch.take().is_some()),
        kind("mode_raised", |_, c| {
            let Some(mode) = c.mapping.feed.mode.as_mut().map(|m| m.as_mut()) else { return false };
            let higher = match mode {
                Mode::Rules => Mode::Sealed,
                Mode::Sealed => Mode::Tokens,
                Mode::Tokens => return false,
            };
            *mode = higher;
            true
        }),
        kind("members_leave", |_, c| c.mapping.feed.membership.take().is_some()),
        kind("k_lower", |d, c| c.mapping.risk.as_mut().is_some_and(|r| less(r.k_min.as_mut(), d))),
        kind("risk_removed", |_, c| c.mapping.risk.take().is_some()),
        kind("small_cells_leave", |_, c| {
            let Some(risk) = &mut c.mapping.risk else { return false };
            risk.small_cell = match risk.small_cell {
                SmallCell::Halt => SmallCell::Suppress,
                SmallCell::Suppress => SmallCell::Generalize,
                SmallCell::Generalize => return false,
            };
            true
        }),
        kind("quasi_removed", |_, c| c.mapping.risk.as_mut().is_some_and(|r| r.quasi.pop().is_some())),
        kind("lookup_a_day", |d, c| c.mapping.lookup.as_mut().is_some_and(|l| more(l.persons_per_day_max.as_mut(), d))),
        kind("lookup_an_epoch", |d, c| {
            c.mapping.lookup.as_mut().is_some_and(|l| more(l.persons_per_epoch_max.as_mut(), d))
        }),
        kind("lookup_limits_removed", |_, c| c.mapping.lookup.take().is_some()),
        kind("erasure_later", |d, c| {
            c.mapping.erasure.as_mut().is_some_and(|e| more(e.acknowledge_hours_max.as_mut(), d))
        }),
        kind("erasure_removed", |_, c| c.mapping.erasure.take().is_some()),
        kind("waiver_longer", |_, c| {
            c.mapping.waivers.first_mut().is_some_and(|w| {
                *w.until.as_mut() = w.until.get_ref().tomorrow().unwrap();
                true
            })
        }),
        kind("waiver_added", |_, c| {
            let Some(mut waiver) = c.mapping.waivers.first().cloned() else { return false };
            *waiver.rule.as_mut() = format!("L4{:02}", c.mapping.waivers.len() + 10);
            c.mapping.waivers.push(waiver);
            true
        }),
        kind("no_longer_withheld", |_, c| c.mapping.withheld.pop().is_some()),
        kind("published", |_, c| {
            // Taken back as the reverse: what is active before is retired after.
            let was = c.mapping.status == MappingStatus::Active;
            c.mapping.status = MappingStatus::Active;
            !was
        }),
        one_way("key_prefix_of_the_feed", |_, c| {
            c.mapping.feed.id.prefix = Some(at("zz-".to_owned()));
            true
        }),
        one_way("key_of_another_column", |_, c| {
            c.mapping.feed.id.source = at("ELSE".to_owned());
            true
        }),
    ]
}

fn legal() -> Vec<Kind> {
    vec![
        one_way("basis", |_, c| {
            let was = c.mapping.legal.basis;
            c.mapping.legal.basis = Basis::Pipa18No10;
            was != Basis::Pipa18No10
        }),
        one_way("citation", |_, c| c.mapping.legal.citation.pop().is_some()),
        one_way("purpose_code", |_, c| {
            c.mapping.purpose.code.as_mut().push('2');
            true
        }),
        one_way("purpose_text", |_, c| {
            c.mapping.purpose.ko.push('등');
            true
        }),
        one_way("consent_text", |_, c| {
            c.consents.values_mut().next().is_some_and(|text| {
                *text = Arc::from(format!("{text}."));
                true
            })
        }),
        one_way("consent_removed", |_, c| c.mapping.legal.consent.take().is_some()),
    ]
}

fn any_column<'c>(dice: &mut Dice, closure: &'c mut Closure) -> &'c mut Column {
    let at = dice.below(closure.object.columns.len());
    &mut closure.object.columns[at]
}

fn catalogue() -> Vec<Kind> {
    vec![
        kind("class_lowered", |d, c| {
            let column = any_column(d, c);
            let allowed = |class: Class| Op::allowed_at_most(class).len();
            let lower = match column.class {
                Class::UniqueId | Class::Direct | Class::Sensitive | Class::FreeText => Class::SensitiveInferable,
                Class::LinkageId => return false,
                Class::InternalId => return false,
                Class::SensitiveInferable => Class::Quasi,
                Class::Quasi | Class::OrgPublic => Class::Public,
                Class::Operational | Class::Public => return false,
            };
            assert!(allowed(lower) > allowed(column.class));
            column.class = lower;
            true
        }),
        one_way("class_exchanged", |d, c| {
            let column = any_column(d, c);
            column.class = match column.class {
                Class::Operational => Class::Public,
                Class::Public => Class::Operational,
                Class::Direct => Class::UniqueId,
                Class::FreeText => Class::Direct,
                _ => return false,
            };
            true
        }),
        kind("column_added", |_, c| {
            let label = Text2 { ko: "새 항목".into(), en: "new".into() };
            let (name, kind, class) = (format!("NEW_{}", c.object.columns.len()), ColumnType::Text, Class::FreeText);
            let column = Column { name, kind, label, class, role: None, derived: false, material: false, source: None };
            c.object.columns.push(column);
            true
        }),
        one_way("column_retyped", |d, c| {
            let column = any_column(d, c);
            column.kind = if column.kind == ColumnType::Text { ColumnType::Decimal } else { ColumnType::Text };
            true
        }),
        one_way("role_changed", |d, c| {
            let column = any_column(d, c);
            let was = column.role;
            column.role = if was == Some(Role::Capacity) { None } else { Some(Role::OpensAt) };
            was != column.role
        }),
        kind("column_fetched", |d, c| {
            let column = any_column(d, c);
            !std::mem::replace(&mut column.material, true)
        }),
        one_way("view_changed", |_, c| {
            c.object.view.as_mut().is_some_and(|view| {
                view.push('2');
                true
            })
        }),
    ]
}

fn partner() -> Vec<Kind> {
    vec![
        kind("quota_a_day", |d, c| more(&mut c.partner.lookup.as_mut().persons_per_day_max, d)),
        kind("quota_an_epoch", |d, c| more(&mut c.partner.lookup.as_mut().persons_per_epoch_max, d)),
        kind("quota_bookings", |d, c| more(&mut c.partner.requests.book_per_s_max, d)),
        kind("quota_reads", |d, c| more(&mut c.partner.requests.read_per_s_max, d)),
        kind("contract_longer", |_, c| {
            c.partner.contract.ends = c.partner.contract.ends.tomorrow().unwrap();
            true
        }),
        kind("contract_earlier", |_, c| {
            c.partner.contract.starts = c.partner.contract.starts.yesterday().unwrap();
            true
        }),
        one_way("contract_number", |_, c| {
            c.partner.contract.number.push('2');
            true
        }),
        one_way("partner_role", |_, c| {
            let was = c.partner.role;
            c.partner.role = if was == PartnerRole::Agency { PartnerRole::Trustee } else { PartnerRole::Agency };
            true
        }),
        kind("receipts_of_the_partner", |_, c| {
            let lookup = c.partner.lookup.as_mut();
            std::mem::replace(&mut lookup.receipts, ReceiptKind::Partner) != ReceiptKind::Partner
        }),
        kind("certificate_added", |_, c| {
            let pins = &mut c.partner.certificate_pins;
            pins.push(format!("cc{}", pins.len()));
            pins.len() > 1
        }),
        one_way("certificates_unchecked", |_, c| {
            let had = !c.partner.certificate_pins.is_empty();
            c.partner.certificate_pins.clear();
            had
        }),
        one_way("impact_assessment", |_, c| {
            c.partner.impact_assessment = Some(format!("{:?}2", c.partner.impact_assessment));
            true
        }),
    ]
}

fn policy() -> Vec<Kind> {
    vec![
        kind("class_allows_more", |d, c| {
            let at = d.below(c.policy.class.len());
            let rule = c.policy.class.values_mut().nth(at).unwrap().as_mut();
            let op = *d.pick(&[Op::Keep, Op::Enum, Op::TokenRandom, Op::PersonToken]);
            let had = rule.transforms.contains(&op);
            rule.transforms.push(op);
            !had
        }),
        kind("restriction_removed", |d, c| {
            let restrictions: &mut Vec<Restriction> = &mut c.policy.restrictions;
            let at = d.below(restrictions.len());
            !restrictions.is_empty() && !restrictions.remove(at).columns.is_empty()
        }),
        kind("restriction_excepts", |_, c| {
            c.policy.restrictions.first_mut().is_some_and(|r| {
                let had = r.except_roles.contains(&PartnerRole::ThirdParty);
                r.except_roles.push(PartnerRole::ThirdParty);
                !had
            })
        }),
        kind("purpose_allowed", |_, c| {
            let mut rule = c.policy.purposes[0].clone();
            rule.code = format!("more{}", c.policy.purposes.len());
            c.policy.purposes.push(rule);
            true
        }),
        one_way("small_slots_fewer", |_, c| {
            let had = c.policy.small_slots.capacity_max;
            c.policy.small_slots.capacity_max = had.saturating_sub(1);
            had > 0
        }),
        kind("small_slots_faster", |d, c| less(&mut c.policy.small_slots.tick_ms, d)),
        one_way("small_slots_exempt", |_, c| {
            c.policy.small_slots.exempt_roles.push(PartnerRole::Trustee);
            c.policy.small_slots.exempt_roles.iter().filter(|r| **r == PartnerRole::Trustee).count() == 1
        }),
        kind("limit_tick_min", |d, c| less(&mut c.policy.limits.tick_ms_min, d)),
        kind("limit_tick_max", |d, c| more(&mut c.policy.limits.tick_ms_max, d)),
        kind("limit_retention", |d, c| more(&mut c.policy.limits.partner_retention_days_max, d)),
        kind("limit_persons_a_day", |d, c| more(&mut c.policy.limits.persons_per_day_max, d)),
        kind("limit_persons_an_epoch", |d, c| more(&mut c.policy.limits.persons_per_epoch_max, d)),
        kind("limit_self_signed", |d, c| more(&mut c.policy.limits.self_signed_persons_per_day_max, d)),
        kind("receipts_older", |d, c| more(&mut c.policy.receipts.age_s_max, d)),
        kind("receipts_sample", |d, c| less(&mut c.policy.receipts.audit_sample_percent, d)),
        kind("receipts_issuer", |_, c| {
            let (id, name) = (format!("i{}", c.policy.receipts.issuers.len()), c.partner.name.clone());
            c.policy.receipts.issuers.push(ReceiptIssuer { id, name, public_key: "k".repeat(43) });
            true
        }),
        kind("severity_lowered", |_, c| {
            // Raised on the way back.
            let rule = c.policy.severity.iter_mut().find(|(_, s)| *s.get_ref() == Severity::Deny);
            rule.is_some_and(|(_, severity)| std::mem::replace(severity.as_mut(), Severity::Warn) == Severity::Deny)
        }),
        kind("quorum_lower", |d, c| less(&mut c.policy.approval.wider_quorum, d)),
        kind("quorum_of_narrower_lower", |d, c| less(&mut c.policy.approval.narrower_quorum, d)),
        kind("delay_shorter", |d, c| less(&mut c.policy.approval.wider_delay_hours, d)),
        kind("validity_longer", |d, c| more(&mut c.policy.approval.validity_days_max, d)),
        kind("policy_k_lower", |d, c| less(&mut c.policy.risk.k_min, d)),
        kind("policy_homogeneity", |d, c| more(&mut c.policy.risk.homogeneity_percent_max, d)),
        kind("policy_suppressed", |d, c| more(&mut c.policy.risk.suppressed_percent_max, d)),
        kind("policy_epoch", |d, c| more(&mut c.policy.risk.epoch_days_max, d)),
        kind("guard_percent", |d, c| more(&mut c.policy.guards.row_jump_percent_max, d)),
        kind("guard_rows", |d, c| more(&mut c.policy.guards.row_jump_rows_min, d)),
        kind("threshold", |d, c| more(&mut c.policy.thresholds.impact_assessment_persons, d)),
        kind("threshold_linked", |d, c| more(&mut c.policy.thresholds.impact_assessment_linked_persons, d)),
        one_way("partner_retention_in_days", |_, c| {
            *c.mapping.retention.partner_max.as_mut() = Days(9_000);
            true
        }),
    ]
}
