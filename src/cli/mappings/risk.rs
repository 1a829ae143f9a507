//! `mappings risk`: what the rows of the legacy system, put through the mappings, let others infer.

use std::path::PathBuf;

use comfy_table::{Table, presets};

use crate::app::{self, MeasureFailed, Measured};
use crate::cli::{ConfigFile, Exit, Failed, Out};
use crate::clock::{Clock, SystemClock};
use crate::config;
use crate::mapping::MappingSet;
use crate::privacy::risk::{RiskReport, Rule, SlotRisk};

/// Exits with 1 if a feed may not be built.
#[derive(Debug, clap::Args)]
pub struct RiskArgs {
    /// Mapping, for instance naver.slots; without one, all of them.
    #[arg(value_name = "MAPPING")]
    mapping: Option<String>,
    #[command(flatten)]
    file: ConfigFile,
    /// Write the report (JSON) here as well, for `mappings lint --risk`.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Labels that are listed for people; the report has all of them.
const LABELS_SHOWN: usize = 20;
/// Group sizes of the histogram for people: from so many on.
const SIZES: [u64; 6] = [1, 5, 20, 100, 1_000, 10_000];

pub fn risk(args: &RiskArgs, out: &mut Out) -> Result<Exit, Failed> {
    let config = config::load(&args.file.config)?.config;
    let set = app::load_mappings(&config.mappings.dir)?;
    let measured = app::measure(&config, &set, args.mapping.as_deref(), SystemClock.now()).map_err(|e| failed(&e))?;
    let reports = &measured.reports;
    let value = serde_json::to_value(reports)
        .map_err(|error| Failed::new(Exit::Defect, "defect", "the report has no JSON", "report it").because(&error))?;
    if let Some(file) = &args.out {
        std::fs::write(file, format!("{value:#}\n"))
            .map_err(|error| Failed::io(format!("{} cannot be written", file.display()), &error))?;
    }
    if out.is_json() {
        out.value(&value);
    } else {
        out.text(&text(&measured, &set));
    }
    let stops = reports.reports.iter().any(|report| !report.halts.is_empty())
        || reports.slots.iter().any(|slots| slots.telling > 0 && !slots.is_exempt);
    Ok(if stops { Exit::Wrong } else { Exit::Done })
}

fn failed(error: &MeasureFailed) -> Failed {
    let (exit, try_) = match error {
        MeasureFailed::NoMapping { known, .. } => (Exit::Wrong, format!("choose one of: {}", known.join(", "))),
        MeasureFailed::Start(error) => return super::super::run::start_failed(error),
        MeasureFailed::Legacy(_) => (Exit::Io, "look with `slotbridge check --connect`".to_owned()),
        MeasureFailed::Compile { .. } => (Exit::Config, "correct the mapping: `slotbridge mappings lint`".to_owned()),
        MeasureFailed::Risk { .. } | MeasureFailed::Shape { .. } => {
            (Exit::Wrong, "make the mapping's labels coarser, or correct its [risk] quasi".to_owned())
        }
    };
    Failed::new(exit, error.code(), error, &try_).because(error)
}

fn text(measured: &Measured, set: &MappingSet) -> String {
    let mut text: String = measured.reports.reports.iter().map(|report| persons(report, set)).collect();
    text.extend(measured.reports.slots.iter().map(slots));
    if measured.reports.reports.is_empty() {
        text.push_str("사람이 들어 있는 피드가 없음 / no feed with persons in it was measured\n");
    }
    for id in &measured.without_persons {
        text.push_str(&format!(
            "{id}: 사람과 회차가 없어 잴 것이 없음 / no persons and no slots in it, nothing to count\n"
        ));
    }
    text
}

fn persons(report: &RiskReport, set: &MappingSet) -> String {
    let mapping = set.mappings().find(|(.., mapping)| *mapping.id.get_ref() == report.mapping);
    let rule = Rule::of(mapping.and_then(|(.., mapping)| mapping.risk.as_ref()), &set.policy().risk);
    let size = |size: Option<u64>| size.map_or_else(|| "—".to_owned(), |size| size.to_string());
    let all = report.rows.saturating_add(report.suppressed);
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    let row = |table: &mut Table, name: &str, value: String| {
        table.add_row([name.to_owned(), value]);
    };
    row(&mut table, "사람 / persons", report.persons.to_string());
    row(&mut table, "나가는 건 / rows that leave", report.rows.to_string());
    let smallest = format!("{} (k_min {})", size(report.k_smallest), rule.k_min);
    row(&mut table, "가장 작은 집단 (외부 지식 × 이름표) / smallest group", smallest);
    row(&mut table, "가장 작은 집단 (이름표) / smallest group by label", size(report.k_label));
    let most = report.risk_max().map_or_else(|| "—".to_owned(), |risk| format!("{risk:.4}"));
    row(&mut table, "최대 위험 1/k / maximum risk", most);
    row(&mut table, "k_min 미만으로 나가는 건 / rows under k_min", report.rows_under_k.to_string());
    row(&mut table, "범주를 넓힌 건 / generalised", report.generalised.to_string());
    let suppressed = format!("{} / {all} (≤ {} %)", report.suppressed, rule.suppressed_percent_max);
    row(&mut table, "제외된 건 / suppressed", suppressed);
    row(&mut table, "읽을 수 없는 건 / unreadable", report.unreadable.to_string());
    row(&mut table, "집단 크기 분포 / sizes of groups", histogram(report));
    let verdict = if report.halts.is_empty() {
        "만들 수 있음 / may be built".to_owned()
    } else {
        format!("만들지 않음 / may not be built: {}", report.halts.join(", "))
    };
    format!("{} 제{}판\n{table}\n{verdict}\n{}\n", report.mapping, report.version, labels(report, &rule))
}

fn histogram(report: &RiskReport) -> String {
    let of = |from: u64, to: u64| report.histogram.range(from..to).map(|(_, groups)| groups).sum::<u64>();
    let spans = SIZES.iter().enumerate().map(|(at, from)| {
        let (name, to) = match SIZES.get(at + 1) {
            Some(next) => (format!("{from}–{}", next - 1), *next),
            None => (format!("{from}+"), u64::MAX),
        };
        format!("{name}: {}", of(*from, to))
    });
    spans.collect::<Vec<_>>().join(", ")
}

fn labels(report: &RiskReport, rule: &Rule) -> String {
    if report.labels.is_empty() {
        return String::new();
    }
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["이름표 / label", "건 / rows", "사유 / reasons", "가장 많은 사유 / largest", "판정"]);
    for label in report.labels.iter().take(LABELS_SHOWN) {
        let verdict =
            if label.tells_its_reason(rule.homogeneity_percent_max) { "불가 / denied" } else { "가능 / fine" };
        table.add_row([
            format!("{} = {}", label.field, label.value),
            label.rows.to_string(),
            label.reasons.to_string(),
            label.largest_reason_rows.to_string(),
            verdict.to_owned(),
        ]);
    }
    let more = report.labels.len().saturating_sub(LABELS_SHOWN);
    let more = if more > 0 { format!("\n그 밖에 {more}개 / {more} more\n") } else { "\n".to_owned() };
    format!("{table}{more}")
}

fn slots(slots: &SlotRisk) -> String {
    let SlotRisk { small, telling, capacity_max, .. } = slots;
    let verdict = match (slots.is_exempt, *telling) {
        (true, _) => "면제된 역할 / the partner's role is exempt".to_owned(),
        (false, 0) => {
            format!("모두 예약 가능/마감만 나감 / all tell only bookable or full, on ticks of {} ms", slots.tick_ms)
        }
        (false, telling) => format!("{telling}건이 더 알려 줌 / {telling} tell more than bookable or full"),
    };
    format!(
        "{} 제{}판: 회차 {} / slots, 정원 {capacity_max} 이하 {small} / of at most {capacity_max} places; {verdict}\n",
        slots.mapping, slots.version, slots.slots
    )
}
