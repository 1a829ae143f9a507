//! `mappings show`: the officer's page as text. `mappings sample`: before → after on made-up rows.

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};

use super::Folder;
use crate::cli::{Exit, Failed, Out};
use crate::lint;
use crate::mapping::{MappingSet, Text2};
use crate::mapping_files::read_folder;
use crate::privacy::Closure;
use crate::statement::{
    self, Carries, ColumnNote, KeptVersion, Leaves, Published, SAMPLE_ROWS_MAX, SampleRow, Samples, Sampling,
    Situation, Statement,
};

#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    /// Mapping, for instance naver.slots.
    #[arg(value_name = "MAPPING")]
    mapping: String,
    #[command(flatten)]
    folder: Folder,
    /// Say it in English as well.
    #[arg(long)]
    english: bool,
}

#[derive(Debug, clap::Args)]
pub struct SampleArgs {
    /// Mapping, for instance naver.slots.
    #[arg(value_name = "MAPPING")]
    mapping: String,
    #[command(flatten)]
    folder: Folder,
    /// How many rows; the last is a rare combination, the one before it outside the filter.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=i64::from(SAMPLE_ROWS_MAX)))]
    rows: u32,
    /// The same seed gives the same rows.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
}

/// Columns of a terminal; half as many Korean letters.
const WIDTH: u16 = 110;
/// Widest that the columns beside the sentence may be, so that it keeps the room.
const FIELD_WIDTHS: [(usize, u16); 4] = [(0, 18), (2, 18), (3, 16), (4, 18)];

pub fn show(args: &ShowArgs, out: &mut Out) -> Result<Exit, Failed> {
    let set = super::loaded(&args.folder.dir)?;
    let closure = closure_of(&set, &args.mapping)?;
    let kept = kept(&args.folder)?;
    let before = statement::newest_kept(&kept, closure.id());
    let change = lint::compare(before, &closure);
    let statement = Statement::of(&closure, &change, Situation { before, findings: None });
    if out.is_json() {
        out.value(&serde_json::to_value(&statement).unwrap_or_default());
    } else {
        out.text(&Page { english: args.english }.text(&statement));
    }
    Ok(Exit::Done)
}

pub fn sample(args: &SampleArgs, out: &mut Out) -> Result<Exit, Failed> {
    let set = super::loaded(&args.folder.dir)?;
    let closure = closure_of(&set, &args.mapping)?;
    let samples = statement::samples(&closure, &Sampling { rows: args.rows, seed: args.seed });
    if out.is_json() {
        out.value(&serde_json::to_value(&samples).unwrap_or_default());
    } else {
        out.text(&samples_text(&samples));
    }
    Ok(if samples.failed.is_some() { Exit::Wrong } else { Exit::Done })
}

/// The mapping of that id as the folder has it.
pub fn closure_of(set: &MappingSet, id: &str) -> Result<Closure, Failed> {
    let found = set.mappings().find(|(.., mapping)| mapping.id.get_ref() == id);
    found.and_then(|(partner, kind, _)| Closure::of(set, partner, kind)).ok_or_else(|| {
        let known: Vec<&str> = set.mappings().map(|(.., mapping)| mapping.id.get_ref().as_str()).collect();
        let message = format!("there is no mapping {id:?}");
        Failed::new(Exit::Wrong, "no_mapping", message, &format!("choose one of: {}", known.join(", ")))
    })
}

pub fn kept(folder: &Folder) -> Result<Vec<KeptVersion>, Failed> {
    let files = read_folder(&folder.dir).map_err(|error| {
        Failed::new(Exit::Io, "folder", "the mappings folder could not be read", "check the folder").because(&error)
    })?;
    Ok(statement::kept_versions(&files))
}

struct Page {
    english: bool,
}

impl Page {
    fn text(&self, statement: &Statement) -> String {
        let mut text = format!(
            "{} — {} 제{}판 ({})\n\n",
            self.both(&statement.title),
            statement.mapping,
            statement.version,
            statement.status.ko
        );
        text.push_str(&self.head(statement));
        text.push_str(&self.leaving(statement));
        text.push_str(&self.staying(statement));
        text.push_str(&self.difference(statement));
        text.push_str(&self.risk_and_findings(statement));
        let partner = &statement.terms.partner_name;
        let title = both(&format!("8. {}에서 할 수 없는 것", partner.ko), &format!("what {} cannot do", partner.en));
        text.push_str(&self.part(&title, &self.list(&statement.cannot)));
        text.push_str(&self.part(&both("   남는 위험", "what can still go wrong"), &self.list(&statement.remains)));
        let signing = format!(
            "요약값 {}\n이 서명은 전자결재를 대신하지 않습니다.\n\n{}",
            statement.signing.digest_groups, statement.signing.text
        );
        text.push_str(&self.part(&both("9. 서명할 글", "text to be signed"), &signing));
        text
    }

    fn head(&self, statement: &Statement) -> String {
        let terms = &statement.terms;
        let mut table = self.table(&[]);
        let mut row = |name: Text2, value: String| {
            table.add_row([self.both(&name), value]);
        };
        row(
            both("누구에게", "to whom"),
            format!("{} ({}), {}", self.both(&terms.partner_name), terms.partner, self.both(&terms.role)),
        );
        row(
            both("무엇을 위해", "for what"),
            format!("{}: {}", self.both(&terms.purpose_label), self.both(&terms.purpose)),
        );
        let citations = terms.citations.join("; ");
        row(
            both("무슨 근거로", "on what basis"),
            format!("{}\n구분: {}\n근거 조문: {citations}", self.both(&terms.basis), self.both(&terms.act)),
        );
        if let Some(consent) = &terms.consent {
            row(both("동의서", "consent"), consent.path.clone());
        }
        let contract = format!("계약 {}: {} ~ {}", terms.contract, terms.contract_starts, terms.contract_ends);
        row(both("언제까지", "until when"), format!("{contract}\n{}", self.lines(&terms.retention)));
        let flow: Vec<String> = terms.flow.iter().map(|step| self.both(step)).collect();
        row(both("흐름", "flow"), flow.join("\n→ "));
        let filters =
            if statement.filters.is_empty() { "모든 건".to_owned() } else { self.lines(&statement.filters) };
        row(both("어떤 건을", "which rows"), filters);
        row(both("한도", "limits"), self.lines(&statement.limits));
        self.part(&both("1. 한 줄 판정", "verdict"), &self.both(&statement.headline.line))
            + &self.part(
                &both(
                    "2. 누구에게 · 무엇을 위해 · 무슨 근거로 · 언제까지",
                    "to whom, for what, on what basis, until when",
                ),
                &table.to_string(),
            )
    }

    fn leaving(&self, statement: &Statement) -> String {
        let mut table = self.table(&["원천 항목 / 구분", "처리 방법", "내보내는 항목", "예(가상)", "필요 사유 / 변경"]);
        for item in &statement.published {
            table.add_row(self.published(item));
        }
        for (at, width) in FIELD_WIDTHS {
            if let Some(column) = table.column_mut(at) {
                column.set_constraint(ColumnConstraint::UpperBoundary(Width::Fixed(width)));
            }
        }
        self.part(&both("3. 내보내는 항목", "what leaves, as what, and why"), &table.to_string())
    }

    fn published(&self, item: &Published) -> [String; 5] {
        let source = match &item.source {
            Some(column) => format!("{}\n[{}]", self.column(column), self.both(&column.class)),
            None => "(원천 없음)".to_owned(),
        };
        let details: String = item.details.iter().map(|detail| format!("\n· {}", self.both(detail))).collect();
        let name = match item.carries {
            Carries::Field => item.name.clone(),
            Carries::ItemId => "id (건 번호)".to_owned(),
        };
        let example = item.example.as_ref().map_or_else(|| "–".to_owned(), |e| format!("{}\n→ {}", e.before, e.after));
        let change = item.change.as_ref().map_or_else(String::new, |change| {
            let axes: Vec<String> = change.axes.iter().map(|axis| self.both(axis)).collect();
            let axes = if axes.is_empty() { String::new() } else { format!(" ({})", axes.join(", ")) };
            format!("\n[{}{axes}]", self.both(&change.verdict))
        });
        let how = format!("{}: {}{details}", self.both(&item.op), self.both(&item.sentence));
        [source, how, name, example, format!("{}{change}", self.both(&item.why))]
    }

    fn staying(&self, statement: &Statement) -> String {
        let mut table = self.table(&["원천 항목", "구분", "내보내지 않는 이유"]);
        for item in &statement.withheld {
            table.add_row([self.column(&item.column), self.both(&item.column.class), self.both(&item.reason)]);
        }
        let part = self.part(&both("4. 내보내지 않는 항목", "what is withheld, and why"), &table.to_string());
        let inside = |leaves: Leaves| {
            let mut table = self.table(&["원천 항목", "내부에서 쓰는 목적", "둔 곳", "보관"]);
            for item in statement.internal.iter().filter(|item| item.leaves == leaves) {
                let cells = [&item.purpose, &item.place, &item.kept].map(|text| self.both(text));
                table.add_row(std::iter::once(self.column(&item.column)).chain(cells));
            }
            if table.is_empty() { "없음".to_owned() } else { table.to_string() }
        };
        part + &self.part(&both("   기관 내부에서만 쓰고 내보내지 않는 항목", "used inside only"), &inside(Leaves::No))
            + &self.part(
                &both("   내부에서도 쓰는 항목 (3에 적은 대로 내보냄)", "used inside, and published as part 3 says"),
                &inside(Leaves::Yes),
            )
    }

    fn difference(&self, statement: &Statement) -> String {
        let difference = &statement.difference;
        let title = both("5. 직전 승인본과의 차이", "difference from the last approved version");
        let previous = difference.previous.as_ref().map_or_else(
            || "직전 승인본이 없습니다. 모두 새로 내보내는 것입니다.".to_owned(),
            |previous| format!("직전 승인본: 제{}판, 요약값 {}", previous.version, previous.digest),
        );
        let mut table = self.table(&["대상", "직전 승인본", "이번 안", "판정"]);
        let (same, changed): (Vec<_>, Vec<_>) = difference.rows.iter().partition(|row| row.verdict.code == "same");
        for row in &changed {
            let side = |text: &Option<String>| text.clone().unwrap_or_else(|| "없음".to_owned());
            let axes: Vec<String> = row.verdict.axes.iter().map(|axis| self.both(axis)).collect();
            let axes = if axes.is_empty() { String::new() } else { format!("\n({})", axes.join(", ")) };
            let verdict = format!("{}{axes}", self.both(&row.verdict.verdict));
            table.add_row([row.label.clone(), side(&row.before), side(&row.after), verdict]);
        }
        let changes = if changed.is_empty() { "달라진 항목 없음".to_owned() } else { table.to_string() };
        let verdict = self.both(&difference.verdict.verdict);
        self.part(&title, &format!("{previous}\n판정: {verdict}\n{changes}\n그대로인 항목: {}개", same.len()))
    }

    fn risk_and_findings(&self, statement: &Statement) -> String {
        let risk = self.part(&both("6. 위험도", "risk figures"), &self.both(&statement.risk.line));
        let findings = match &statement.findings {
            None => "이 명령은 점검하지 않습니다. `slotbridge mappings lint`로 확인합니다.".to_owned(),
            Some(found) if found.is_empty() => "지적 없음".to_owned(),
            Some(found) => {
                let mut table = self.table(&["규칙", "구분", "내용", "면제"]);
                for finding in found {
                    let waiver = finding
                        .waiver
                        .as_ref()
                        .map_or_else(String::new, |w| format!("{} ({}까지)", self.both(&w.reason), w.until));
                    let severity = self.both(&crate::statement::severity_words(finding.severity));
                    table.add_row([finding.rule.clone(), severity, self.both(&finding.text), waiver]);
                }
                table.to_string()
            }
        };
        let waivers: Vec<String> = statement
            .waivers
            .iter()
            .map(|w| {
                format!(
                    "면제 {} {}: {} ({}까지)",
                    w.rule,
                    w.field.as_deref().unwrap_or("매핑 전체"),
                    self.both(&w.reason),
                    w.until
                )
            })
            .collect();
        let waivers = if waivers.is_empty() { "면제 없음".to_owned() } else { waivers.join("\n") };
        risk + &self.part(&both("7. 점검 결과와 면제", "findings and waivers"), &format!("{findings}\n{waivers}"))
    }

    fn part(&self, title: &Text2, content: &str) -> String {
        format!("{}\n{}\n\n", self.both(title), content.trim_end())
    }

    fn list(&self, texts: &[Text2]) -> String {
        texts.iter().map(|text| format!("- {}\n", self.both(text))).collect()
    }

    fn lines(&self, texts: &[Text2]) -> String {
        texts.iter().map(|text| self.both(text)).collect::<Vec<_>>().join("\n")
    }

    fn column(&self, column: &ColumnNote) -> String {
        format!("{}\n{}", self.both(&column.label), column.column)
    }

    fn both(&self, text: &Text2) -> String {
        if self.english && !text.en.is_empty() { format!("{} [{}]", text.ko, text.en) } else { text.ko.clone() }
    }

    fn table(&self, header: &[&str]) -> Table {
        table(header)
    }
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    if !header.is_empty() {
        table.set_header(header.iter().copied());
    }
    table
}

fn both(ko: &str, en: &str) -> Text2 {
    Text2 { ko: ko.to_owned(), en: en.to_owned() }
}

fn samples_text(samples: &Samples) -> String {
    let watermark = format!("「{}」", samples.watermark.ko);
    let mut text = format!(
        "{watermark}\n{} 제{}판, 처리 전 → 처리 후 (seed {})\n",
        samples.mapping, samples.version, samples.seed
    );
    if let Some(keys) = &samples.keys {
        text.push_str(&format!("{}\n", keys.ko));
    }
    if let Some(failed) = &samples.failed {
        text.push_str(&format!("예를 만들지 못함: {failed}\n"));
    }
    for row in &samples.rows {
        text.push_str(&sample_text(row));
    }
    text.push_str(&format!("\n{watermark}\n"));
    text
}

fn sample_text(row: &SampleRow) -> String {
    let rare = row.rare.as_ref().map_or_else(String::new, |rare| format!("  ★ {}", rare.ko));
    let mut table = table(&["원천 항목", "구분", "처리 전", "내보내는 항목", "처리 후"]);
    for cell in &row.cells {
        let column = cell.column.as_deref().unwrap_or("–");
        let class = cell.class.as_ref().map_or("–", |class| class.ko.as_str());
        let field = cell.field.as_deref().unwrap_or("–");
        let source = format!("{} {column}", cell.label.ko);
        table.add_row([source.as_str(), class, cell.before.as_str(), field, cell.after.as_str()]);
    }
    format!("\n{}번째 건: {}{rare}\n{table}\n", row.number, row.told.ko)
}
