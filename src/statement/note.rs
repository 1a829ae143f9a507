//! The Korean text that is signed: one statement a line, each line begun by the program.
//!
//! Invariants: the same statement gives the same bytes; nothing that a mapping says begins a line, ends one or hides in
//! one (`plain`); what an author wrote stands in quotes that it cannot close. A change of any sentence makes a new
//! text, so `FORMAT` rises with the wording and signatures name what they were made over.

use super::model::{Because, Carries, ChangeNote, ColumnNote, Leaves, Published, Statement};
use super::plain::quoted;

/// Of the wording.
const FORMAT: u32 = 1;

pub fn body(statement: &Statement) -> String {
    let mut lines = Lines(format!("문안 서식: {FORMAT}\n"));
    head(statement, &mut lines);
    published(statement, &mut lines);
    withheld(statement, &mut lines);
    rest(statement, &mut lines);
    change(statement, &mut lines);
    lines.0
}

struct Lines(String);

impl Lines {
    fn add(&mut self, subject: &str, text: &str) {
        self.0.push_str(subject);
        self.0.push_str(": ");
        self.0.push_str(text);
        self.0.push('\n');
    }
}

fn head(statement: &Statement, lines: &mut Lines) {
    let terms = &statement.terms;
    lines.add("매핑", &format!("{} 제{}판 ({})", statement.mapping, statement.version, statement.status.ko));
    lines.add("제목", &quoted(&statement.title.ko));
    lines.add("받는 곳", &format!("{} ({}), {}", quoted(&terms.partner_name.ko), terms.partner, terms.role.ko));
    let contract = quoted(&terms.contract);
    lines.add("계약", &format!("{contract}, {}부터 {}까지", terms.contract_starts, terms.contract_ends));
    let purpose =
        format!("{} ({}), {}", quoted(&terms.purpose_label.ko), terms.purpose_code, quoted(&terms.purpose.ko));
    lines.add("목적", &purpose);
    lines.add("처리 근거", &format!("{} [{}], 구분: {}", terms.basis.ko, terms.basis_code, terms.act.ko));
    for citation in &terms.citations {
        lines.add("근거 조문", &quoted(citation));
    }
    if let Some(consent) = &terms.consent {
        let sha256 = consent.sha256.as_deref().unwrap_or("글이 없음");
        lines.add("동의서", &format!("{} (SHA-256 {sha256})", consent.path));
    }
    let view = terms.view.as_ref().map_or_else(|| "연계 서버의 예약 장부".to_owned(), |view| format!("뷰 {view}"));
    lines.add("원천", &format!("{} ({}), {view}", quoted(&terms.object_label.ko), terms.object));
    match statement.filters.is_empty() {
        true => lines.add("선별", "조건 없음"),
        false => statement.filters.iter().for_each(|filter| lines.add("선별", &filter.ko)),
    }
}

fn published(statement: &Statement, lines: &mut Lines) {
    lines.add("내보내는 항목", &format!("{}개", statement.published.len()));
    for (at, item) in statement.published.iter().enumerate() {
        let subject = format!("내보냄 {}", at + 1);
        lines.add(&subject, &format!("{}, {}: {}", name(item), item.op.ko, item.sentence.ko));
        for detail in &item.details {
            lines.add(&format!("{subject} 조건"), &detail.ko);
        }
        if let Some(source) = item.source.as_ref().and_then(|column| column.public_source.as_ref()) {
            lines.add(&format!("{subject} 공개 출처"), &quoted(source));
        }
        lines.add(&format!("{subject} 필요 사유"), &quoted(&item.why.ko));
    }
}

fn name(item: &Published) -> String {
    let name = match item.carries {
        Carries::Field => format!("‘{}’", item.name),
        Carries::ItemId => "건 번호(id)".to_owned(),
    };
    match &item.source {
        Some(column) => format!("{name} ← {}", described(column)),
        None => format!("{name} ← 원천 없음"),
    }
}

fn described(column: &ColumnNote) -> String {
    format!("{} ({}), {}", quoted(&column.label.ko), column.column, column.class.ko)
}

fn withheld(statement: &Statement, lines: &mut Lines) {
    lines.add("내보내지 않는 항목", &format!("{}개", statement.withheld.len()));
    for (at, item) in statement.withheld.iter().enumerate() {
        let reason = match item.because {
            Because::Withheld => quoted(&item.reason.ko),
            Because::InternalOnly | Because::FilterOnly | Because::Undecided => item.reason.ko.clone(),
        };
        lines.add(&format!("내보내지 않음 {}", at + 1), &format!("{}: {reason}", described(&item.column)));
    }
    lines.add("기관 내부에서 쓰는 항목", &format!("{}개", statement.internal.len()));
    for (at, item) in statement.internal.iter().enumerate() {
        let leaves = match item.leaves {
            Leaves::No => "내보내지 않음",
            Leaves::Yes => "위 내보내는 항목에도 있음",
        };
        let text = format!(
            "{}: {}, 둔 곳: {}, 보관: {}, {leaves}",
            described(&item.column),
            item.purpose.ko,
            item.place.ko,
            item.kept.ko
        );
        lines.add(&format!("내부 {}", at + 1), &text);
    }
}

fn rest(statement: &Statement, lines: &mut Lines) {
    for text in &statement.terms.retention {
        lines.add("보관", &text.ko);
    }
    for text in &statement.limits {
        lines.add("한도", &text.ko);
    }
    match statement.waivers.is_empty() {
        true => lines.add("경고 면제", "없음"),
        false => statement.waivers.iter().for_each(|waiver| {
            let field = waiver.field.as_ref().map_or_else(|| "매핑 전체".to_owned(), |field| format!("‘{field}’"));
            let text = format!("{}, {field}, {}까지: {}", waiver.rule, waiver.until, quoted(&waiver.reason.ko));
            lines.add("경고 면제", &text);
        }),
    }
    for text in &statement.remains {
        lines.add("남는 위험", &text.ko);
    }
}

fn change(statement: &Statement, lines: &mut Lines) {
    let difference = &statement.difference;
    lines.add("직전 승인본 대비 판정", &difference.verdict.verdict.ko);
    let changed = difference.rows.iter().filter(|row| row.verdict.code != "same");
    for (at, row) in changed.enumerate() {
        let side = |text: &Option<String>| text.as_deref().map_or_else(|| "없음".to_owned(), quoted);
        let text = format!(
            "{} ({}): 이전 {}, 이번 {}, {}",
            quoted(&row.label),
            row.subject,
            side(&row.before),
            side(&row.after),
            judged(&row.verdict)
        );
        lines.add(&format!("변경 {}", at + 1), &text);
    }
    lines.add("승인 요약값(SHA-256)", &statement.signing.digest);
}

fn judged(change: &ChangeNote) -> String {
    let axes: Vec<&str> = change.axes.iter().map(|axis| axis.ko.as_str()).collect();
    if axes.is_empty() {
        return change.verdict.ko.clone();
    }
    format!("{} (달라진 축: {})", change.verdict.ko, axes.join(", "))
}
