//! L5xx and L6xx: basis, consent, contract, thresholds, retention.

use jiff::ToSpan;

use crate::lint::judge::Judge;
use crate::lint::place::Step::{At, Key};
use crate::mapping::{Basis, Drawn, MappingStatus, PartnerRole};

const CONTRACT_NOTICE_DAYS: i64 = 30;
const BRIDGE_DAYS_MAX: u32 = 30;
const ERASURE_HOURS_MAX: u32 = 120;

pub(in crate::lint) fn check(judge: &mut Judge<'_>) {
    for drawn in &judge.parts.mappings {
        basis(judge, drawn);
        consent(judge, drawn);
        contract(judge, drawn);
        thresholds(judge, drawn);
        retention(judge, drawn);
    }
    let Some(partners) = &judge.parts.partners else { return };
    for (at, partner) in partners.partners.iter().enumerate() {
        if partner.contract.number.trim().is_empty() {
            let path = [Key("partner"), At(at), Key("contract"), Key("number")];
            judge.say("L514", "partners.toml", &path, "계약 번호가 비어 있습니다.", "the contract's number is blank");
        }
    }
}

/// Does `basis` let an agency hand data to a partner of this role?
fn basis_fits(basis: Basis, role: PartnerRole) -> bool {
    match role {
        PartnerRole::Trustee => matches!(basis, Basis::Pipa26 | Basis::NotPersonal),
        PartnerRole::ThirdParty => matches!(
            basis,
            Basis::Pipa17No1 | Basis::Pipa17No2 | Basis::Pipa18No10 | Basis::Idcpa76No3 | Basis::NotPersonal
        ),
        PartnerRole::Agency => matches!(basis, Basis::NotPersonal),
    }
}

fn basis(judge: &mut Judge<'_>, drawn: &Drawn) {
    let (file, legal) = (drawn.file.as_str(), &drawn.mapping.legal);
    let at_basis = [Key("legal"), Key("basis")];
    if let Some(partner) = judge.partner(drawn).filter(|partner| !basis_fits(legal.basis, partner.role)) {
        let role = partner.role.code();
        let ko = format!("제휴사의 지위가 {role}입니다.");
        judge.say("L501", file, &at_basis, ko, format!("the partner's role is {role}"));
    }
    if legal.basis == Basis::NotPersonal && judge.is_personal(drawn) {
        let en = "data about persons leave under none-not-personal";
        judge.say("L502", file, &at_basis, "개인에 관한 항목이 나갑니다.", en);
    }
    let at_citation = [Key("legal"), Key("citation")];
    if legal.citation.iter().all(|text| text.trim().is_empty()) {
        judge.say("L504", file, &at_citation, "근거 법령이 없습니다.", "no statute is cited");
    }
    for (at, text) in legal.citation.iter().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
        let path = [Key("legal"), Key("citation"), At(at)];
        let bare: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        if bare.contains("28조의2") || bare.contains("28조의3") || bare.contains("가명정보") {
            let en = "article 28-2 allows statistics, research and archiving only";
            judge.say("L503", file, &path, "가명정보 특례는 운영에 쓸 수 없습니다.", en);
        } else if !has_article(&bare) {
            judge.say(
                "L505",
                file,
                &path,
                format!("‘{text}’에 조문이 없습니다."),
                format!("‘{text}’ names no article"),
            );
        }
    }
}

/// `제25조`.
fn has_article(text: &str) -> bool {
    text.split('제').skip(1).any(|rest| {
        let digits = rest.chars().take_while(char::is_ascii_digit).count();
        digits > 0 && rest[digits..].starts_with('조')
    })
}

/// What must be told of (제17조제2항), and words that tell it.
const NOTICE: [(&str, &str, &[&str]); 5] = [
    ("제공받는 자", "the recipient", &["제공받는 자", "제공받는자", "제공 받는 자"]),
    ("이용 목적", "the purpose", &["이용 목적", "이용목적"]),
    ("제공 항목", "the items", &["제공하는 개인정보의 항목", "제공 항목", "개인정보의 항목", "개인정보 항목"]),
    ("보유·이용 기간", "the period", &["보유 및 이용 기간", "보유·이용 기간", "보유 기간", "이용 기간"]),
    ("거부 권리와 불이익", "the right to refuse and its consequences", &["거부할 권리", "거부 권리", "동의를 거부"]),
];

fn consent(judge: &mut Judge<'_>, drawn: &Drawn) {
    let (file, legal) = (drawn.file.as_str(), &drawn.mapping.legal);
    let path = [Key("legal"), Key("consent")];
    let Some(name) = &legal.consent else {
        if legal.basis == Basis::Pipa17No1 {
            judge.say("L506", file, &path, "동의서가 적혀 있지 않습니다.", "no consent text is named");
        }
        return;
    };
    let place = format!("consents/{}.ko.md", name.get_ref());
    let Some(text) = judge.parts.texts.get(&place) else {
        return judge.say("L506", file, &path, format!("{place}가 없습니다."), format!("there is no {place}"));
    };
    for (ko, en, words) in NOTICE {
        let is_refusal = ko.starts_with("거부");
        if !words.iter().any(|word| text.contains(word)) || (is_refusal && !text.contains("불이익")) {
            judge.say_at("L507", &place, 0..0, format!("‘{ko}’가 없습니다."), format!("it does not state {en}"));
        }
    }
}

fn contract(judge: &mut Judge<'_>, drawn: &Drawn) {
    let Some(partner) = judge.partner(drawn).filter(|_| drawn.mapping.status == MappingStatus::Active) else { return };
    let (file, contract, today) = (drawn.file.as_str(), &partner.contract, judge.beside.today);
    let path = [Key("partner"), Key("id")];
    let (starts, ends) = (contract.starts, contract.ends);
    if ends < today {
        let ko = format!("계약이 {ends}에 끝났습니다.");
        return judge.say("L510", file, &path, ko, format!("the contract ended on {ends}"));
    }
    if today.checked_add(CONTRACT_NOTICE_DAYS.days()).is_ok_and(|soon| ends <= soon) {
        judge.say("L511", file, &path, format!("계약이 {ends}에 끝납니다."), format!("the contract ends on {ends}"));
    }
    if today < starts {
        let ko = format!("계약이 {starts}에 시작합니다.");
        judge.say("L512", file, &path, ko, format!("the contract begins on {starts}"));
    }
    let kept = i64::from(drawn.mapping.retention.partner_max.get_ref().0);
    if judge.is_personal(drawn) && today.checked_add(kept.days()).is_ok_and(|last| last > ends) {
        let ko = format!("{kept}일을 보유하면 계약 종료일 {ends}을 넘습니다.");
        let en = format!("items kept {kept} days outlive the contract, which ends on {ends}");
        judge.say("L605", file, &[Key("retention"), Key("partner_max")], ko, en);
    }
}

fn thresholds(judge: &mut Judge<'_>, drawn: &Drawn) {
    let (Some(partner), Some(policy)) = (judge.partner(drawn), &judge.parts.policy) else { return };
    let is_active = drawn.mapping.status == MappingStatus::Active;
    if !is_active || partner.role == PartnerRole::Agency || !judge.is_personal(drawn) {
        return;
    }
    let partners = judge.parts.partners.iter().flat_map(|partners| &partners.partners);
    let at = partners.take_while(|other| other.id != partner.id).count();
    let path = [Key("partner"), At(at), Key("id")];
    let is_missing = |number: &Option<String>| number.as_ref().is_none_or(|number| number.trim().is_empty());
    let measured = judge.beside.risk.and_then(|risk| risk.of(drawn.mapping.id.get_ref(), drawn.mapping.version));
    let asked = u64::from(partner.lookup.get_ref().persons_per_epoch_max);
    let persons = measured.map_or(0, |report| report.persons).max(asked);
    // Bookings link the agency's file with what the partner holds.
    let threshold = policy.thresholds.impact_assessment_linked_persons.min(policy.thresholds.impact_assessment_persons);
    let id = drawn.mapping.id.get_ref();
    if is_missing(&partner.impact_assessment) && persons >= u64::from(threshold) {
        let ko = format!("{id}: {persons}명, 기준 {threshold}명입니다.");
        judge.say("L508", "partners.toml", &path, ko, format!("{id}: {persons} persons, the threshold is {threshold}"));
    }
    if is_missing(&partner.file_registration) {
        let ko = format!("{id}: 등록번호가 없습니다.");
        judge.say("L509", "partners.toml", &path, ko, format!("{id}: no registration number"));
    }
}

fn retention(judge: &mut Judge<'_>, drawn: &Drawn) {
    let (file, mapping) = (drawn.file.as_str(), &drawn.mapping);
    let days = mapping.retention.bridge_max.get_ref().0;
    if days > BRIDGE_DAYS_MAX {
        let ko = format!("{days}일 동안 보관합니다.");
        judge.say("L602", file, &[Key("retention"), Key("bridge_max")], ko, format!("kept for {days} days"));
    }
    match &mapping.erasure {
        None if judge.holds_persons(drawn) => {
            judge.say("L603", file, &[Key("feed"), Key("kind")], "[erasure]가 없습니다.", "there is no [erasure]");
        }
        Some(erasure) if *erasure.acknowledge_hours_max.get_ref() > ERASURE_HOURS_MAX => {
            let hours = erasure.acknowledge_hours_max.get_ref();
            let path = [Key("erasure"), Key("acknowledge_hours_max")];
            judge.say("L604", file, &path, format!("{hours}시간입니다."), format!("{hours} hours"));
        }
        _ => {}
    }
}
