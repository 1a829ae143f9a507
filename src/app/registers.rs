//! Registers by legal basis and the access log, as tables: built from mapping versions and the evidence log.
//!
//! A row a mapping version: one under which something left, or one that stands in the folder and is active. What a row
//! says of a version is read from the version that was approved (`approvals/`), or from the folder where it is that one;
//! a version that is kept nowhere has its figures and says so.

use std::collections::{BTreeMap, BTreeSet};

use super::in_force::short;
use crate::domain::{PersonRef, Position, Timestamp};
use crate::evidence::{Access, Left, csv};
use crate::mapping::{MappingSet, MappingStatus};
use crate::privacy::Closure;

/// Which register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Register {
    /// 개인정보의 목적 외 이용 및 제3자 제공 대장 (제18조 제2항, 시행령 제15조).
    BeyondPurpose,
    /// 제3자 제공 현황 (제17조).
    ThirdParty,
    /// 처리위탁 현황 (제26조).
    Entrusted,
}

/// What the figures of every register are called.
const FIGURES: [&str; 6] = ["제공 기간", "건수(현재)", "누적 변경·삭제", "최소 k", "승인(판본·공문 요약값)", "위치"];

impl Register {
    pub fn parse(text: &str) -> Option<Register> {
        match text {
            "18-2" => Some(Register::BeyondPurpose),
            "17" => Some(Register::ThirdParty),
            "26" => Some(Register::Entrusted),
            _ => None,
        }
    }

    fn has(self, basis: &str) -> bool {
        match self {
            // 감염병예방법 제76조의2 is 제18조 제2항 제2호: a special provision of another law.
            Register::BeyondPurpose => matches!(basis, "pipa-18-2-10" | "idcpa-76-2-3"),
            Register::ThirdParty => matches!(basis, "pipa-17-1-1" | "pipa-17-1-2"),
            Register::Entrusted => basis == "pipa-26",
        }
    }

    fn columns(self) -> Vec<&'static str> {
        let own: &[&'static str] = match self {
            Register::BeyondPurpose => &[
                "개인정보 또는 개인정보파일의 명칭",
                "이용기관 또는 제공받는 기관의 명칭",
                "이용 목적 또는 제공받는 목적",
                "이용 또는 제공의 법적 근거",
                "이용하거나 제공하는 개인정보의 항목",
                "이용 또는 제공의 날짜, 주기 또는 기간",
                "이용하거나 제공하는 형태",
                "제한 또는 필요한 조치를 요청한 경우 그 내용(법 제18조 제5항)",
            ],
            Register::ThirdParty => &[
                "제공받는 자",
                "제공받는 자의 이용 목적",
                "제공하는 개인정보의 항목",
                "제공받는 자의 보유 및 이용 기간",
                "법적 근거",
                "동의 문안",
            ],
            Register::Entrusted => &[
                "수탁자",
                "위탁하는 업무의 목적 및 내용",
                "위탁하는 개인정보의 항목",
                "위탁계약 번호",
                "위탁 기간",
                "수탁자의 보유 기간",
                "법적 근거",
            ],
        };
        own.iter().copied().chain(FIGURES).collect()
    }

    fn cells(self, closure: &Closure) -> Vec<String> {
        let (mapping, partner) = (&closure.mapping, &closure.partner);
        let name = partner.name.ko.clone();
        let items: Vec<&str> = mapping.fields.iter().map(|field| field.name.get_ref().as_str()).collect();
        let (items, purpose, citation) =
            (items.join(", "), mapping.purpose.ko.clone(), mapping.legal.citation.join(", "));
        // P<n>D.
        let kept = String::from(*mapping.retention.partner_max.get_ref());
        let kept = format!("{}일", kept.trim_matches(['P', 'D']));
        let contract = format!("{} ~ {}", partner.contract.starts, partner.contract.ends);
        match self {
            Register::BeyondPurpose => {
                let file = partner.file_registration.clone().unwrap_or_default();
                let file = format!("{} {file}", mapping.title.ko).trim_end().to_owned();
                let seconds = f64::from(*mapping.feed.tick_ms.get_ref()) / 1_000.0;
                let how_often = format!("{contract} ({seconds}초 주기)");
                let form = "전산망을 통한 피드".to_owned();
                let measures = format!("제공받는 자의 보유 기간 {kept} 이내");
                vec![file, name, purpose, citation, items, how_often, form, measures]
            }
            Register::ThirdParty => {
                let consent = mapping.legal.consent.as_ref().map(|consent| consent.get_ref().clone());
                vec![name, purpose, items, kept, citation, consent.unwrap_or_default()]
            }
            Register::Entrusted => {
                vec![name, purpose, items, partner.contract.number.clone(), contract, kept, citation]
            }
        }
    }

    /// As CSV. `version` finds a version by mapping and digest, kept or not.
    pub fn csv(self, folder: &MappingSet, left: &[Left], version: &dyn Fn(&str, &str) -> Option<Closure>) -> String {
        let mut rows: BTreeMap<(String, u32, String), Vec<String>> = BTreeMap::new();
        let closures = folder.mappings().filter_map(|(partner, kind, _)| Closure::of(folder, partner, kind));
        let own: BTreeMap<String, Closure> = closures.map(|closure| (closure.digest(), closure)).collect();
        for group in groups(left) {
            let first = group[0];
            let closure = own.get(&first.digest).cloned().or_else(|| version(&first.mapping, &first.digest));
            if self.has(&first.basis) {
                let key = (first.mapping.clone(), first.version, first.digest.clone());
                rows.insert(key, self.row(closure.as_ref(), first, &figures(&group)));
            }
        }
        let seen: BTreeSet<String> = rows.keys().map(|(_, _, digest)| digest.clone()).collect();
        for (digest, closure) in own.iter().filter(|(digest, _)| !seen.contains(*digest)) {
            let basis = serde_json::to_value(closure.mapping.legal.basis).unwrap_or_default();
            if closure.mapping.status == MappingStatus::Active && self.has(basis.as_str().unwrap_or_default()) {
                let none = [String::new(), "0".to_owned(), "0".to_owned(), String::new(), String::new(), String::new()];
                let cells = self.cells(closure).into_iter().chain(none).collect();
                rows.insert((closure.id().to_owned(), closure.mapping.version, digest.clone()), cells);
            }
        }
        let mut text = csv::line(self.columns());
        rows.values().for_each(|cells| text.push_str(&csv::line(cells)));
        text
    }

    fn row(self, closure: Option<&Closure>, left: &Left, figures: &[String; 6]) -> Vec<String> {
        let unknown = || {
            let mut cells = vec![String::new(); self.columns().len() - FIGURES.len()];
            cells[0] = format!("{} v{} (판본이 보관되어 있지 않음)", left.mapping, left.version);
            cells
        };
        closure.map_or_else(unknown, |closure| self.cells(closure)).into_iter().chain(figures.iter().cloned()).collect()
    }
}

/// By mapping, version and digest, each in the order of the log.
fn groups(left: &[Left]) -> Vec<Vec<&Left>> {
    let mut groups: BTreeMap<(&str, u32, &str), Vec<&Left>> = BTreeMap::new();
    for one in left {
        groups.entry((&one.mapping, one.version, &one.digest)).or_default().push(one);
    }
    groups.into_values().collect()
}

fn figures(group: &[&Left]) -> [String; 6] {
    let since = group.iter().map(|left| left.since).min().unwrap_or_default();
    let until = group.iter().map(|left| left.at).max().unwrap_or_default();
    let last = group.last().copied();
    let changes: u64 = group.iter().map(|left| left.updated + left.deleted).sum();
    let k = group.iter().filter_map(|left| left.k).min();
    let (version, position) = last.map_or((String::new(), Position::ZERO), |left| {
        (format!("v{} {} / {}", left.version, short(&left.digest), short(&left.note)), left.position)
    });
    [
        format!("{} ~ {}", day(since), day(until)),
        last.map_or(0, |left| left.rows).to_string(),
        changes.to_string(),
        k.map_or_else(|| "해당 없음".to_owned(), |k| k.to_string()),
        version,
        position.to_string(),
    ]
}

fn day(at: Timestamp) -> String {
    at.rfc3339().get(..10).unwrap_or_default().to_owned()
}

/// Number in the register, masked: enough to tell rows apart on a page, too little to find a person by.
fn masked(subject: Option<PersonRef>) -> String {
    match subject {
        None => "해당 없음".to_owned(),
        Some(PersonRef::Known(person)) => format!("정보주체 ***{:02}", person.0 % 100),
        Some(PersonRef::Nobody(_)) => "미등록 정보주체".to_owned(),
    }
}

/// 접속기록: the five items, and what they rest on.
pub fn access_csv(accesses: &[(u64, Access)]) -> String {
    let mut text = csv::line(["번호", "접속일시", "계정", "접속지", "처리한 정보주체", "수행업무", "건수", "근거"]);
    for (index, access) in accesses {
        let from = match (&access.from, &access.actor) {
            (Some(from), _) => from.clone(),
            (None, crate::evidence::Actor::Bridge) => "내부".to_owned(),
            (None, _) => "기록 없음".to_owned(),
        };
        let cells = [
            index.to_string(),
            access.at.rfc3339(),
            access.actor.to_string(),
            from,
            masked(access.subject),
            access.action.ko().to_owned(),
            access.count.to_string(),
            access.basis.clone(),
        ];
        text.push_str(&csv::line(cells));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{PartnerId, PersonNo};
    use crate::evidence::{Action, Actor};
    use crate::mapping::testing::{load_edited, shipped};

    fn left(set: &MappingSet, mapping: &str, position: u64, k: Option<u32>) -> Left {
        let of = |id: &str| set.mappings().find(|(.., m)| m.id.get_ref() == id).map(|(p, kind, _)| (p.clone(), kind));
        let (partner, kind) = of(mapping).unwrap();
        let closure = Closure::of(set, &partner, kind).unwrap();
        let basis = serde_json::to_value(closure.mapping.legal.basis).unwrap();
        let at = Timestamp::parse_rfc3339("2026-11-22T20:00:00+09:00").unwrap();
        Left {
            since: at.plus_ms(-86_400_000),
            at,
            partner,
            feed: kind.code().to_owned(),
            mapping: mapping.to_owned(),
            version: closure.mapping.version,
            digest: closure.digest(),
            note: "9".repeat(64),
            basis: basis.as_str().unwrap().to_owned(),
            rows: 120,
            updated: 7,
            deleted: 2,
            k,
            after: Position(1),
            position: Position(position),
            sha256: "0".repeat(64),
            is_state: false,
        }
    }

    fn shown(register: &str, set: &MappingSet, left: &[Left]) -> String {
        // Digests follow the shipped files; what they say is held elsewhere.
        let text = Register::parse(register).unwrap().csv(set, left, &|_, _| None);
        let digests = left.iter().map(|left| short(&left.digest).to_owned());
        digests.fold(text, |text, digest| text.replace(&digest, "<digest>")).replace("\r\n", "\n")
    }

    #[test]
    fn registers_are_as_reviewed() {
        let set = shipped();
        let mut all = vec![left(&set, "naver.bookings", 40, None), left(&set, "naver.bookings", 90, None)];
        all.push(left(&set, "naver.slots", 90, None));
        insta::assert_snapshot!("register_26", shown("26", &set, &all));
        let given = [("naver/bookings.toml", "basis = \"pipa-26\"", "basis = \"pipa-18-2-10\"")];
        let set = load_edited(&given).unwrap();
        let mut one = left(&set, "naver.bookings", 40, Some(21));
        one.mapping = "naver.bookings".to_owned();
        let lost = Left { digest: "8".repeat(64), version: 7, ..left(&set, "naver.bookings", 30, None) };
        insta::assert_snapshot!("register_18_2", shown("18-2", &set, &[lost, one]));
        let given = [("naver/bookings.toml", "basis = \"pipa-26\"", "basis = \"pipa-17-1-2\"")];
        let set = load_edited(&given).unwrap();
        insta::assert_snapshot!("register_17", shown("17", &set, &[left(&set, "naver.bookings", 40, Some(25))]));
        assert_eq!(Register::parse("15"), None);
    }

    #[test]
    fn the_access_log_is_as_reviewed() {
        let access = |actor, action, subject, from: Option<&str>, basis: &str| Access {
            at: Timestamp::parse_rfc3339("2026-11-22T20:00:00+09:00").unwrap(),
            actor,
            action,
            subject,
            from: from.map(str::to_owned),
            basis: basis.to_owned(),
            count: 1,
            position: Position(5),
        };
        let naver = Actor::Partner(PartnerId::new("naver").unwrap());
        let (known, nobody) = (PersonRef::Known(PersonNo(1_234_567)), PersonRef::Nobody(99));
        let log = [
            (0, access(naver.clone(), Action::TokenGiven, Some(known), Some("203.0.113.7"), "consent_receipt")),
            (1, access(naver, Action::TokenGiven, Some(nobody), None, "consent_receipt")),
            (
                4,
                access(
                    Actor::Operator("=cmd|' /C calc'!A0".to_owned()),
                    Action::CommandGiven,
                    None,
                    Some("admin socket"),
                    "reload",
                ),
            ),
        ];
        let text = access_csv(&log);
        assert!(!text.contains("1234567") && !text.starts_with('\u{feff}') && text.matches("\r\n").count() == 4);
        insta::assert_snapshot!("access_log", text.replace("\r\n", "\n"));
    }
}
