//! `docs`: one static page, column → class → transform → field → feed → partner, with approvals.
//!
//! Self-contained: no script, no font, no address of anything else, so that it can be kept in a records system and
//! printed. Values are those of the government design system; meaning never rests on colour.

use std::path::PathBuf;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::mappings::{self, Folder};
use super::{Exit, Failed, Out};
use crate::mapping::Text2;
use crate::statement::{ColumnNote, Lineage, LineageColumn, LineageObject};

#[derive(Debug, clap::Args)]
pub struct DocsArgs {
    #[command(flatten)]
    folder: Folder,
    /// File to write; replaced where it is there. Standard output without it.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub fn docs(args: &DocsArgs, out: &mut Out) -> Result<Exit, Failed> {
    let set = mappings::loaded(&args.folder.dir)?;
    let kept = mappings::show::kept(&args.folder)?;
    let lineage = Lineage::of(&set, &kept);
    let page = page(&lineage).into_string();
    match &args.out {
        None if out.is_json() => out.value(&serde_json::to_value(&lineage).unwrap_or_default()),
        None => out.text(&page),
        Some(file) => {
            std::fs::write(file, &page)
                .map_err(|error| Failed::io(format!("{} could not be written", file.display()), &error))?;
            if out.is_json() {
                out.value(&serde_json::json!({ "written": file.display().to_string(), "bytes": page.len() }));
            } else {
                out.line(&format!("wrote {}", file.display()));
            }
        }
    }
    Ok(Exit::Done)
}

fn page(lineage: &Lineage) -> Markup {
    html! {
        (DOCTYPE)
        html lang="ko" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "데이터 흐름도: 항목에서 제휴사까지" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a class="skip" href="#main" { "본문으로 건너뛰기" }
                header {
                    h1 { "데이터 흐름도: 항목에서 제휴사까지" }
                    p { "기존 시스템의 모든 항목이 어떤 구분이며, 어떻게 가공되어, 어느 피드로, 누구에게 나가는지 적었습니다. "
                        "적히지 않은 항목은 나가지 않습니다." }
                    p lang="en" class="en" { "Every column of the catalogue: its class, how it is transformed, in which feed \
                        and to whom it goes. What does not stand here does not leave." }
                }
                nav aria-label="차례" { ul {
                    li { a href="#mappings" { "매핑 목록" } }
                    li { a href="#approvals" { "승인" } }
                    @for object in &lineage.objects {
                        li { a href=(format!("#object-{}", object.object)) { (object.label.ko) } }
                    }
                } }
                main id="main" {
                    (mapping_list(lineage))
                    (approvals(lineage))
                    @for object in &lineage.objects { (columns(object)) }
                }
                footer { p { "이 문서는 매핑 폴더에서 생성되었습니다. 승인의 진위는 이 문서가 아니라 verify 명령으로 확인합니다." } }
            }
        }
    }
}

fn both(text: &Text2) -> Markup {
    html! { (text.ko) @if !text.en.is_empty() { " " span lang="en" class="en" { (text.en) } } }
}

/// A table that scrolls by itself where the window is narrow, reached by keyboard and named by its caption.
fn region(id: &str, caption: &Text2, head: &[&str], rows: &Markup) -> Markup {
    let name = format!("{id}-caption");
    html! {
        div class="region" role="region" tabindex="0" aria-labelledby=(name) {
            table {
                caption id=(name) { (both(caption)) }
                thead { tr { @for title in head { th scope="col" { (title) } } } }
                tbody { (rows) }
            }
        }
    }
}

fn mapping_list(lineage: &Lineage) -> Markup {
    let rows = html! {
        @for m in &lineage.mappings {
            tr {
                th scope="row" { code { (m.mapping) } " 제" (m.version) "판" br; (both(&m.title)) }
                td { (m.status.ko) }
                td { (both(&m.partner)) br; (both(&m.role)) br; "계약 " (m.contract_ends) "까지" }
                td { (both(&m.purpose)) }
                td { (both(&m.basis)) }
                td { "내보냄 " (m.published) br; "내보내지 않음 " (m.withheld) br; "제휴사 보관 " (m.partner_days_max) "일" }
                td { code class="digest" { (m.digest) } }
            }
        }
    };
    let caption = Text2 { ko: "매핑 목록".into(), en: "mappings".into() };
    let head = ["매핑", "상태", "받는 곳", "목적", "처리 근거", "항목 수·보관", "승인 요약값(SHA-256)"];
    html! { section id="mappings" { h2 { "매핑 목록" } (region("mappings", &caption, &head, &rows)) } }
}

fn approvals(lineage: &Lineage) -> Markup {
    let rows = html! {
        @for a in &lineage.approvals {
            tr {
                th scope="row" { code { (a.mapping) } }
                td { @match a.version { Some(version) => { "제" (version) "판" }, None => "–" } }
                td { code { (a.digest12) } }
                td { @if a.current { "지금 폴더의 판" } @else { "이전 판" } }
                td { (a.notes) }
                td { (both(&a.state)) }
            }
        }
    };
    let caption = Text2 { ko: "보관된 승인".into(), en: "approvals on file".into() };
    html! { section id="approvals" {
        h2 { "승인" }
        @if lineage.approvals.is_empty() { p { "보관된 승인이 없습니다." } }
        @else { (region("approvals", &caption, &["매핑", "판", "요약값 앞 12자리", "구분", "서명된 글", "상태"], &rows)) }
    } }
}

fn columns(object: &LineageObject) -> Markup {
    let id = format!("object-{}", object.object);
    let rows = html! { @for line in &object.columns { (column(line)) } };
    let view = object.view.as_ref().map_or_else(|| "연계 서버의 예약 장부".to_owned(), |view| format!("뷰 {view}"));
    let caption = Text2 { ko: format!("{} ({view})", object.label.ko), en: object.label.en.clone() };
    html! { section id=(id) {
        h2 { (both(&object.label)) }
        @if object.columns.iter().all(|line| line.uses.is_empty()) {
            p { "이 원천의 항목은 어느 피드로도 나가지 않습니다." }
        }
        (region(&id, &caption, &["원천 항목", "구분", "나가는 길: 피드 항목 ← 가공 → 받는 곳", "내보내지 않음", "내부 용도"], &rows))
    } }
}

fn column(line: &LineageColumn) -> Markup {
    html! {
        tr {
            th scope="row" { (name(&line.column)) }
            td { (both(&line.column.class)) @if let Some(source) = &line.column.public_source { br; "공개 출처: " (source) } }
            td {
                @if line.uses.is_empty() { span class="state stays" { "나가지 않음" } }
                @else { ul { @for way in &line.uses { li {
                    span class="state leaves" { "나감" } " "
                    strong { (way.partner.ko) } " " (way.feed.ko) " " code { (way.field) } ": "
                    (way.op.ko) ". " (both(&way.sentence))
                    " (" code { (way.mapping) } ", " (way.status.ko) ")"
                } } } }
            }
            td {
                @if line.withheld_from.is_empty() { "–" }
                @else { ul { @for from in &line.withheld_from { li { strong { (from.partner.ko) } ": " (from.reason.ko) } } } }
            }
            td { @match &line.internal { Some(purpose) => (both(purpose)), None => "–" } }
        }
    }
}

fn name(column: &ColumnNote) -> Markup {
    html! { (column.label.ko) br; code { (column.column) } br; span lang="en" class="en" { (column.label.en) } }
}

const STYLE: &str = "
html { font-size: 100%; }
body { margin: 0 auto; padding: 1rem; max-width: 80rem; color: #1e2124; background: #fff;
  font-family: 'Pretendard GOV', Pretendard, 'Noto Sans KR', 'Malgun Gothic', sans-serif; font-size: 1.0625rem;
  line-height: 1.5; word-break: keep-all; overflow-wrap: anywhere; }
h1 { font-size: 1.75rem; border-bottom: 0.25rem solid #256ef4; padding-bottom: 0.5rem; }
h2 { font-size: 1.375rem; margin-top: 2.5rem; }
a { color: #0b50d0; }
a:focus-visible, .region:focus-visible { outline: 0.1875rem solid #0b50d0; outline-offset: 0.125rem; }
.skip { position: absolute; left: -100rem; }
.skip:focus { position: static; }
nav ul { display: flex; flex-wrap: wrap; gap: 0.5rem 1.5rem; padding: 0; list-style: none; }
.region { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; min-width: 48rem; font-size: 0.9375rem; }
caption { text-align: left; font-weight: 700; padding: 0.5rem 0; }
th, td { border: 0.0625rem solid #58616a; padding: 0.5rem; text-align: left; vertical-align: top; }
thead th { background: #eef2f7; }
td ul { margin: 0; padding-left: 1.1rem; }
.en { color: #464c53; font-size: 0.875em; }
code { font-family: 'D2Coding', Consolas, monospace; font-size: 0.9em; }
.digest { overflow-wrap: anywhere; }
.state { padding: 0 0.375rem; border-radius: 0.25rem; font-weight: 700; }
.leaves { color: #096ab3; background: #e7f4fe; }
.stays { color: #267337; background: #eaf6ec; }
footer { margin-top: 3rem; border-top: 0.0625rem solid #58616a; }
@page { size: A4 landscape; margin: 15mm 12mm; @bottom-right { content: counter(page) ' / ' counter(pages); } }
@media print {
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav, .skip { display: none; }
  .region { overflow: visible; }
  table { min-width: 0; font-size: 8.5pt; }
  thead { display: table-header-group; }
  tr { break-inside: avoid; }
  h2 { break-after: avoid; }
  .state { border: 0.0625rem solid currentColor; }
}
";
