//! The officer's page, samples and the lineage page, as the commands print them.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use slotbridge::domain::PartnerId;
use slotbridge::mapping::FeedKind;
use slotbridge::privacy::Closure;

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings")
}

fn run(dir: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_slotbridge"));
    let output = command.env_clear().env("COLUMNS", "110").args(args).arg("--dir").arg(dir).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn printed(dir: &Path, args: &[&str]) -> String {
    let (code, text, errors) = run(dir, args);
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{text}");
    text
}

fn json(dir: &Path, args: &[&str]) -> Value {
    serde_json::from_str(&printed(dir, &[args, &["--json"]].concat())).unwrap()
}

/// Digests move with every file of the folder; the page is looked at without them.
fn without_digests(mut text: String, dir: &Path) -> String {
    let lineage = json(dir, &["docs"]);
    for mapping in lineage["mappings"].as_array().unwrap() {
        let digest = mapping["digest"].as_str().unwrap();
        let groups: Vec<&str> = (0..16).map(|at| &digest[at * 4..at * 4 + 4]).collect();
        text = text.replace(digest, "[digest]").replace(&groups.join(" "), "[digest in fours]");
    }
    text
}

/// Columns of a terminal that the line takes: Hangul and full-width forms take two.
fn width(line: &str) -> usize {
    let wide = |c: char| matches!(u32::from(c), 0x1100..=0x115F | 0x2E80..=0xA4CF | 0xAC00..=0xD7A3 | 0xFF00..=0xFF60);
    line.chars().map(|c| if wide(c) { 2 } else { 1 }).sum()
}

fn is_rule(line: &str) -> bool {
    line.starts_with(['┌', '│', '╞', '└', '├'])
}

#[track_caller]
fn tables_are_straight(text: &str) {
    let mut at = 0;
    for line in text.lines().filter(|line| is_rule(line)) {
        if line.starts_with('┌') {
            at = width(line);
        }
        assert_eq!(width(line), at, "{line}");
        assert!(at <= 110, "{line}");
    }
}

#[test]
fn the_officers_page_is_as_reviewed() {
    let page = without_digests(printed(&shipped(), &["mappings", "show", "naver.slots"]), &shipped());
    tables_are_straight(&page);
    insta::assert_snapshot!(page);
    let english =
        without_digests(printed(&shipped(), &["mappings", "show", "naver.bookings", "--english"]), &shipped());
    tables_are_straight(&english);
    insta::assert_snapshot!("the_officers_page_in_english_too", english);
}

#[test]
fn every_question_of_an_officer_has_its_heading_and_its_answer() {
    let set = slotbridge::mapping_files::read_folder(&shipped()).unwrap();
    let mappings = set.keys().filter(|path| path.ends_with("s.toml") || path.ends_with("eligibility.toml"));
    let ids: Vec<String> = mappings
        .filter_map(|path| path.split_once('/'))
        .map(|(partner, file)| format!("{partner}.{}", file.trim_end_matches(".toml")))
        .collect();
    assert_eq!(ids.len(), 10, "{ids:?}");
    for id in &ids {
        let page = printed(&shipped(), &["mappings", "show", id]);
        // What leaves, to whom, why, on what basis, how long, what is withheld, what can still go wrong.
        for (heading, least) in [
            ("3. 내보내는 항목", 20),
            ("2. 누구에게 · 무엇을 위해 · 무슨 근거로 · 언제까지", 10),
            ("4. 내보내지 않는 항목", 4),
            ("   기관 내부에서만 쓰고 내보내지 않는 항목", 4),
            ("5. 직전 승인본과의 차이", 2),
            ("6. 위험도", 1),
            ("7. 점검 결과와 면제", 1),
            ("   남는 위험", 2),
            ("9. 서명할 글", 2),
        ] {
            let mut lines = page.lines().skip_while(|line| *line != heading);
            assert_eq!(lines.next(), Some(heading), "{id}");
            let lines = lines.take_while(|line| !line.is_empty()).count();
            assert!(lines >= least, "{id}: {heading} has {lines} lines");
        }
        for question in ["누구에게", "무엇을 위해", "무슨 근거로", "언제까지", "한도"] {
            let row = page.lines().find(|line| line.starts_with(&format!("│ {question}"))).expect(question);
            assert!(row.split('┆').nth(1).is_some_and(|answer| answer.trim().chars().count() > 5), "{id}: {row}");
        }
        let cannot = page.lines().skip_while(|line| !line.ends_with("할 수 없는 것")).nth(1);
        assert!(cannot.is_some_and(|line| line.starts_with("- ")), "{id}: {cannot:?}");
        for answer in ["예방접종", "계약 ", "일 안에 지웁니다", "필요 사유: “"] {
            assert!(page.contains(answer) || id.starts_with("audit"), "{id}: {answer}");
        }
    }
}

#[test]
fn what_is_shown_as_json_is_what_is_signed() {
    let page = json(&shipped(), &["mappings", "show", "kakao.slots"]);
    let text = page["signing"]["text"].as_str().unwrap();
    assert!(text.ends_with(&format!("{}\n", page["signing"]["digest"].as_str().unwrap())));
    assert_eq!(page["published"].as_array().unwrap().len(), 10);
    assert!(printed(&shipped(), &["mappings", "show", "kakao.slots"]).contains(text));
}

#[test]
fn the_page_compares_with_the_newest_version_on_file() {
    let dir = tempfile::tempdir().unwrap();
    for (path, bytes) in slotbridge::mapping_files::read_folder(&shipped()).unwrap() {
        if !path.starts_with("approvals/") {
            let file = dir.path().join(&path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, bytes).unwrap();
        }
    }
    let page = printed(dir.path(), &["mappings", "show", "naver.slots"]);
    assert!(page.contains("직전 승인본이 없습니다"));
    let set = slotbridge::mapping::load(&slotbridge::mapping_files::read_folder(dir.path()).unwrap()).unwrap();
    let closure = Closure::of(&set, &PartnerId::new("naver").unwrap(), FeedKind::Slots).unwrap();
    let kept = dir.path().join("approvals/naver.slots");
    std::fs::create_dir_all(&kept).unwrap();
    std::fs::write(kept.join(format!("{}.json", &closure.digest()[..12])), closure.to_json()).unwrap();
    let page = printed(dir.path(), &["mappings", "show", "naver.slots"]);
    assert!(page.contains("직전 승인본: 제1판") && page.contains("판정: 동일"), "{page}");
    let file = dir.path().join("naver/slots.toml");
    let text = std::fs::read_to_string(&file).unwrap().replace("version = 1", "version = 2");
    std::fs::write(&file, text.replace("labels = [\"0\", \"1-4\"", "labels = [\"0\", \"1~4\"")).unwrap();
    let page = json(dir.path(), &["mappings", "show", "naver.slots"]);
    assert_eq!(page["difference"]["previous"]["digest"], closure.digest());
    assert_ne!(page["difference"]["verdict"]["code"], "same");
    let docs = json(dir.path(), &["docs"]);
    assert_eq!(docs["approvals"][0]["current"], false);
}

#[test]
fn samples_are_as_reviewed() {
    let text = printed(&shipped(), &["mappings", "sample", "naver.slots", "--rows", "4", "--seed", "1"]);
    tables_are_straight(&text);
    assert!(text.starts_with("「가상 데이터(실제 정보 아님)」") && text.contains("★ 드문 조합"));
    insta::assert_snapshot!(text);
}

#[test]
fn an_unknown_mapping_is_told_with_those_there_are() {
    let (code, _, errors) = run(&shipped(), &["mappings", "show", "naver.people"]);
    assert_eq!(code, Some(1));
    assert!(errors.contains("error[no_mapping]") && errors.contains("naver.slots"), "{errors}");
    assert_eq!(run(&shipped(), &["mappings", "sample", "naver.slots", "--rows", "101"]).0, Some(2));
}

#[test]
fn the_lineage_page_is_one_readable_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("lineage.html");
    printed(&shipped(), &["docs", "--out", file.to_str().unwrap()]);
    let page = std::fs::read_to_string(&file).unwrap();
    assert_eq!(page, printed(&shipped(), &["docs"]));
    let count = |part: &str| page.matches(part).count();
    assert!(page.contains("<html lang=\"ko\">"));
    assert_eq!(count("<h1>"), 1);
    assert!(count("<table>") >= 7);
    assert_eq!(count("<table>"), count("<caption"));
    assert_eq!(count("<table>"), count("role=\"region\" tabindex=\"0\" aria-labelledby="));
    assert_eq!(count("<th "), count("scope=\"col\"") + count("scope=\"row\""));
    assert_eq!(count("<th>"), 0);
    for foreign in ["<script", "http://", "https://", "<img", "<link", "@import", "url(", "onclick"] {
        assert_eq!(count(foreign), 0, "{foreign}");
    }
    let lineage = json(&shipped(), &["docs"]);
    for object in lineage["objects"].as_array().unwrap() {
        for column in object["columns"].as_array().unwrap() {
            let name = column["column"]["column"].as_str().unwrap();
            assert!(page.contains(&format!("<code>{name}</code>")), "{name}");
        }
    }
    insta::assert_snapshot!(
        without_digests(page, &shipped()).replace("<tr>", "\n<tr>").replace("<section", "\n<section")
    );
}
