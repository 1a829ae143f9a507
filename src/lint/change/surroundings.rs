//! What stands around a mapping: the catalogue's rows of its object, the partner, the tables.

use std::collections::{BTreeMap, BTreeSet};

use crate::mapping::policy::{Contract, Lookup, Requests};
use crate::mapping::{Class, Column, Object, Op, Partner, ReceiptKind, Table};

use super::Verdict;
use super::rows::{Rows, more_is_narrower, more_is_wider, wider, words};

pub(super) fn object(rows: &mut Rows, before: &Object, after: &Object) {
    let Object { name, view, label, columns } = before;
    rows.part("object name", "원천 이름", (name, &after.name), wider);
    rows.part("object view", "원천 화면(view)", (view, &after.view), wider);
    rows.part("object label", "원천 설명", (label, &after.label), words);
    let names = |columns: &[Column]| columns.iter().map(|c| c.name.clone()).collect::<Vec<String>>();
    // A column that comes back may come back in another class, so one that comes is 확대 whatever its class.
    rows.set("object columns", "원천 항목", names(columns), names(&after.columns));
    let (old, new) = (names(columns), names(&after.columns));
    if old != new && old.iter().collect::<BTreeSet<_>>() == new.iter().collect::<BTreeSet<_>>() {
        let verdict = if old.len() == new.len() { words } else { wider };
        rows.part("object columns order", "원천 항목 순서", (&old, &new), verdict);
    }
    for column in columns {
        if let Some(now) = after.column(&column.name) {
            self::column(rows, name.as_str(), column, now);
        }
    }
}

fn column(rows: &mut Rows, object: &str, before: &Column, after: &Column) {
    let Column { name, kind, label, class, role, derived, material, source } = before;
    let about = |what: &str| format!("column {object}.{name} {what}");
    rows.part(&about("class"), &format!("분류 {name} ({})", label.ko), (class, &after.class), class_order);
    rows.part(&about("type"), &format!("형식 {name}"), (kind, &after.kind), wider);
    // Rules hang on roles: without a capacity no slot is small.
    rows.part(&about("role"), &format!("내부 용도 {name}"), (role, &after.role), wider);
    rows.part(&about("derived"), &format!("계산 항목 {name}"), (derived, &after.derived), wider);
    // A material column is fetched, whatever the mappings read.
    rows.part(&about("material"), &format!("중요 변경 항목 {name}"), (material, &after.material), more_is_wider);
    rows.part(&about("source"), &format!("공개 출처 {name}"), (source, &after.source), wider);
    rows.part(&about("label"), &format!("항목 설명 {name}"), (label, &after.label), words);
}

/// A class is lower the more transforms it can ever allow. Classes that allow the same, or each something else, have no order.
fn class_order(before: &Class, after: &Class) -> Verdict {
    let ops = |class: &Class| Op::allowed_at_most(*class).iter().copied().collect::<BTreeSet<Op>>();
    let (old, new) = (ops(before), ops(after));
    if new.is_subset(&old) && new != old { Verdict::Narrower } else { Verdict::Wider }
}

pub(super) fn partner(rows: &mut Rows, before: &Partner, after: &Partner) {
    let Partner {
        id,
        name,
        role,
        contract,
        key_ids,
        certificate_pins,
        lookup,
        requests,
        impact_assessment,
        file_registration,
    } = before;
    rows.part("partner id", "제휴사 번호", (id, &after.id), wider);
    rows.part("partner name", "제휴사 이름", (name, &after.name), words);
    rows.part("partner role", "제휴사 지위", (role, &after.role), wider);
    let Contract { number, starts, ends } = contract;
    rows.part("partner contract number", "계약 번호", (number, &after.contract.number), wider);
    rows.part("partner contract starts", "계약 시작", (starts, &after.contract.starts), more_is_narrower);
    rows.part("partner contract ends", "계약 종료", (ends, &after.contract.ends), more_is_wider);
    identities(rows, "partner key_ids", "서명키 번호", key_ids, &after.key_ids);
    identities(rows, "partner certificate_pins", "인증서", certificate_pins, &after.certificate_pins);
    let Lookup { persons_per_day_max, persons_per_epoch_max, receipts, receipt_public_key } = lookup.get_ref();
    let now = after.lookup.get_ref();
    let pair = (persons_per_day_max, &now.persons_per_day_max);
    rows.part("partner lookup persons_per_day_max", "조회 한도(1일 인원)", pair, more_is_wider);
    let pair = (persons_per_epoch_max, &now.persons_per_epoch_max);
    rows.part("partner lookup persons_per_epoch_max", "조회 한도(유효 기간 인원)", pair, more_is_wider);
    rows.part("partner lookup receipts", "동의 확인서 서명자", (receipts, &now.receipts), |_, now| match now {
        ReceiptKind::Issuer => Verdict::Narrower,
        ReceiptKind::Partner => Verdict::Wider,
    });
    let keys = (receipt_public_key, &now.receipt_public_key);
    rows.part("partner lookup receipt_public_key", "동의 확인서 공개키", keys, |_, now| match now {
        None => Verdict::Narrower,
        Some(_) => Verdict::Wider,
    });
    let Requests { book_per_s_max, read_per_s_max } = requests;
    let now = &after.requests;
    rows.part(
        "partner requests book_per_s_max",
        "초당 예약 요청",
        (book_per_s_max, &now.book_per_s_max),
        more_is_wider,
    );
    rows.part(
        "partner requests read_per_s_max",
        "초당 조회 요청",
        (read_per_s_max, &now.read_per_s_max),
        more_is_wider,
    );
    let pair = (impact_assessment, &after.impact_assessment);
    rows.part("partner impact_assessment", "영향평가 번호", pair, wider);
    let pair = (file_registration, &after.file_registration);
    rows.part("partner file_registration", "개인정보파일 등록 번호", pair, wider);
}

/// Fewer are narrower; none at all may mean that nobody is checked, so it has no order.
fn identities(rows: &mut Rows, subject: &str, ko: &str, before: &[String], after: &[String]) {
    rows.part(subject, ko, (&before, &after), |before, after| {
        let set = |ids: &[String]| ids.iter().cloned().collect::<BTreeSet<String>>();
        let (old, new) = (set(before), set(after));
        match (old == new, new.is_subset(&old) && !new.is_empty()) {
            // Another order or a repetition.
            (true, _) => Verdict::Same,
            (false, true) => Verdict::Narrower,
            (false, false) => Verdict::Wider,
        }
    });
}

/// The fields that read a table are compared by what it maps; here it is only seen that it changed.
pub(super) fn tables(rows: &mut Rows, before: &BTreeMap<String, Table>, after: &BTreeMap<String, Table>) {
    for path in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
        let (old, new) = (before.get(path), after.get(path));
        rows.part(&format!("table {path}"), "대응표", (&old.map(contents), &new.map(contents)), words);
    }
}

fn contents(table: &Table) -> String {
    let Table { columns, rows } = table;
    let lines = rows.iter().map(|row| row.join(" → "));
    std::iter::once(columns.join(" → ")).chain(lines).collect::<Vec<_>>().join(", ")
}
