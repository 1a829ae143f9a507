//! `mappings diff` from outside: what officers read before they are asked to sign.

use std::path::Path;
use std::process::Command;

fn diff(dir: &Path, args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_slotbridge"));
    let output = command.env_clear().args(["mappings", "diff"]).args(args).current_dir(dir).output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

/// The shipped folder as `old`, and as `new` with an edit of naver's slots.
fn folders(from: &str, to: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings");
    for (path, bytes) in slotbridge::mapping_files::read_folder(&shipped).unwrap() {
        if path.starts_with("approvals/") {
            continue;
        }
        for folder in ["old", "new"] {
            let file = dir.path().join(folder).join(&path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            let text = String::from_utf8(bytes.clone()).unwrap();
            let is_edited = folder == "new" && path == "naver/slots.toml";
            std::fs::write(file, if is_edited { text.replacen(from, to, 1) } else { text }).unwrap();
        }
    }
    dir
}

const FINE: &str = "edges = [0, 1, 5, 10], labels = [\"0\", \"1-4\", \"5-9\", \"10+\"]";
const COARSE: &str = "edges = [0, 1, 5], labels = [\"0\", \"1-4\", \"5+\"]";

#[test]
fn a_coarser_bucket_reads_as_narrower_in_text_and_json() {
    let dir = folders(FINE, COARSE);
    let (code, text) = diff(dir.path(), &["old", "new", "--mapping", "naver.slots"]);
    assert_eq!(code, Some(0));
    let (_, json) = diff(dir.path(), &["old", "new", "--mapping", "naver.slots", "--json"]);
    // Digests move with every word of the shipped files.
    let told: serde_json::Value = serde_json::from_str(&json).unwrap();
    let digest = |side: &str| told["mappings"][0][side]["digest"].as_str().unwrap().to_owned();
    let (before, after) = (digest("before"), digest("after"));
    let masked = |text: &str| {
        let whole = text.replace(&before, "[before]").replace(&after, "[after]");
        let short = whole.replace(&before[..12], "[before]").replace(&after[..12], "[after]");
        short.lines().filter(|line| !line.contains("unchanged")).collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!("narrower_text", masked(&text));
    insta::assert_snapshot!("narrower_json", masked(&json));
    let (_, back) = diff(dir.path(), &["new", "old", "--mapping", "naver.slots"]);
    assert!(back.lines().next().unwrap().ends_with("확대 (wider)"), "{back}");
}

#[test]
fn without_an_old_version_the_newest_kept_one_counts_and_is_said_to_be_unverified() {
    let dir = folders("tick_ms = 200", "tick_ms = 300");
    let (_, new) = diff(dir.path(), &["new", "--mapping", "naver.slots"]);
    assert!(new.contains("everything is new") && new.contains("확대 (wider)"), "{new}");
    let files = slotbridge::mapping_files::read_folder(&dir.path().join("old")).unwrap();
    let set = slotbridge::mapping::load(&files).unwrap();
    let (partner, kind, _) = set.mappings().find(|(_, _, m)| m.id.get_ref() == "naver.slots").unwrap();
    let closure = slotbridge::privacy::Closure::of(&set, partner, kind).unwrap();
    let kept = dir.path().join("new/approvals/naver.slots");
    std::fs::create_dir_all(&kept).unwrap();
    std::fs::write(kept.join("0123456789ab.json"), closure.to_json()).unwrap();
    let (_, text) = diff(dir.path(), &["new", "--mapping", "naver.slots"]);
    assert!(text.contains("축소 (narrower)") && text.contains("not verified"), "{text}");
    let file = "new/approvals/naver.slots/0123456789ab.json";
    assert!(diff(dir.path(), &[file, "new", "--mapping", "naver.slots"]).1.contains("축소 (narrower)"));
    std::fs::write(kept.join("0123456789ab.json"), "{}").unwrap();
    assert_eq!(diff(dir.path(), &["new"]).0, Some(78));
    assert_eq!(diff(dir.path(), &["nowhere", "new"]).0, Some(74));
    assert_eq!(diff(dir.path(), &["old", "new", "--mapping", "naver.nothing"]).0, Some(1));
}
