//! Files made to hurt: a clear answer, in bounded time and memory.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{lint_files, render};
use crate::lint::Report;
use crate::mapping::testing::shipped_files;

/// Generous for a loaded machine and an unoptimised build; what would be unbounded takes hours.
const JUDGED_WITHIN: Duration = Duration::from_secs(60);

fn judged(name: &str, bytes: Vec<u8>) -> Report {
    let mut files = shipped_files();
    files.insert(name.to_owned(), bytes);
    judge(&files)
}

fn judge(files: &BTreeMap<String, Vec<u8>>) -> Report {
    let began = Instant::now();
    let report = lint_files(files);
    assert!(render::text(&report, false).len() < 16 * 1024 * 1024);
    assert!(began.elapsed() < JUDGED_WITHIN, "{:?}", began.elapsed());
    report
}

#[track_caller]
fn says(report: &Report, id: &str, file: &str) {
    let told: Vec<(&str, &str)> = report.findings.iter().map(|f| (f.rule.id, f.file.as_str())).collect();
    assert!(told.contains(&(id, file)), "{told:?}");
    assert!(report.denials > 0);
}

#[test]
fn deep_nesting_is_refused() {
    for text in [
        format!("a = {}1{}", "[".repeat(100_000), "]".repeat(100_000)),
        format!("a = {}", "{ b = ".repeat(40_000)),
        format!("[{}]\n", vec!["a"; 60_000].join(".")),
        format!("{} = 1\n", vec!["a"; 60_000].join(".")),
    ] {
        says(&judged("naver/slots.toml", text.into_bytes()), "L101", "naver/slots.toml");
    }
}

#[test]
fn a_huge_file_is_refused_unparsed() {
    let report = judged("naver/slots.toml", vec![b'#'; 64 * 1024 * 1024]);
    says(&report, "L100", "naver/slots.toml");
    assert!(report.is_incomplete);
}

#[test]
fn what_is_not_utf8_or_not_in_normal_form_is_refused_at_its_place() {
    says(&judged("naver/slots.toml", b"format = 1\nid = \"\xff\"\n".to_vec()), "L100", "naver/slots.toml");
    let decomposed = "format = 1\n# \u{1112}\u{1161}\u{11ab}\n".as_bytes().to_vec();
    let report = judged("naver/slots.toml", decomposed);
    let finding = report.findings.iter().find(|f| f.rule.id == "L100").unwrap();
    assert_eq!((finding.line, finding.column), (2, 3));
    let report = judged("naver/slots.toml", "# e\u{0301}\n".as_bytes().to_vec());
    says(&report, "L100", "naver/slots.toml");
    // Composed text is in normal form, and so is an accent that composes with nothing.
    let text = "code,status\nOPEN,열림 café\nCLOSED,q\u{0301}\n";
    assert_eq!(judged("tables/slot_status.csv", text.as_bytes().to_vec()).denials, 0);
}

#[test]
fn an_endless_table_is_refused() {
    let rows: String = (0..40_000).map(|n| format!("{n},x\n")).collect();
    says(
        &judged("tables/slot_status.csv", format!("a,b\n{rows}").into_bytes()[..250_000].to_vec()),
        "L101",
        "tables/slot_status.csv",
    );
    let commas = ",".repeat(200_000);
    says(&judged("tables/slot_status.csv", commas.into_bytes()), "L101", "tables/slot_status.csv");
}

#[test]
fn names_in_letters_that_look_alike_are_told() {
    for (name, from) in [("SL\u{041e}T_ID", "SLOT_ID"), ("\u{03a4}EL", "TEL"), ("ＳＬＯＴ_ID", "SLOT_ID")] {
        let text = String::from_utf8(shipped_files()["catalog.toml"].clone()).unwrap();
        let edited = text.replacen(&format!("\"{from}\""), &format!("\"{name}\""), 1);
        says(&judged("catalog.toml", edited.into_bytes()), "L111", "catalog.toml");
    }
}

#[test]
fn three_hundred_columns_get_an_answer() {
    let mut files = shipped_files();
    let column = |n: usize| {
        format!(
            "\n[[object.column]]\nname = \"COL_{n}\"\ntype = \"text\"\nlabel = {{ ko = \"항목\", en = \"Column\" }}\nclass = \"quasi\"\n"
        )
    };
    let head = "\n[[object]]\nname = \"wide\"\nview = \"SB_WIDE\"\nlabel = { ko = \"넓음\", en = \"Wide\" }\n";
    let text = String::from_utf8(files["catalog.toml"].clone()).unwrap();
    let wide: String = (0..300).map(column).collect();
    files.insert("catalog.toml".to_owned(), format!("{text}{head}{wide}").into_bytes());
    says(&judge(&files), "L117", "catalog.toml");
}

#[test]
fn thousands_of_mistakes_are_counted_and_not_all_shown() {
    let names: Vec<String> = (0..15_000).map(|n| format!("\"X{n}\"")).collect();
    let mut files = shipped_files();
    let text = String::from_utf8(files["naver/slots.toml"].clone()).unwrap();
    let withheld = format!("columns = [{}, \"MANAGER_NM\", \"MEMO\"]", names.join(", "));
    let text = text.replacen("columns = [\"MANAGER_NM\", \"MEMO\"]", &withheld, 1);
    files.insert("naver/slots.toml".to_owned(), text.into_bytes());
    let report = judge(&files);
    says(&report, "L106", "naver/slots.toml");
    assert!(report.cut > 10_000 && report.findings.len() < 100, "{} {}", report.cut, report.findings.len());
}

#[test]
fn five_hundred_files_full_of_words_are_judged_in_time() {
    let mut files = shipped_files();
    let line = "# 가나다라 SLOT 010 1234 2026-09-01 abcdef0123456789 example\n";
    for n in 0..100 {
        files.insert(format!("tables/t{n}.csv"), line.repeat(1_000).into_bytes());
    }
    assert!(judge(&files).denials > 0);
}
