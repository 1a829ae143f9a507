//! The shipped approvals: what the demonstration's officers sign over the shipped mappings, and who believes it.
//!
//! `UPDATE_DEMO_APPROVALS=1 cargo test --test demo_approvals` writes them again after a mapping was changed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use slotbridge::approval::{Approvals, Demonstration, Standing, Trust};
use slotbridge::demo::officers;
use slotbridge::domain::Timestamp;
use slotbridge::mapping_files::read_folder;
use slotbridge::privacy::Closure;

type Files = BTreeMap<String, Vec<u8>>;

/// Of the shipped signatures.
const SIGNED_AT: &str = "2026-11-02T09:00:00+09:00";

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn shipped() -> Files {
    read_folder(&root().join("mappings")).unwrap()
}

fn is_signed(path: &str) -> bool {
    path == "officers.toml" || path.starts_with("approvals/")
}

fn unsigned() -> Files {
    shipped().into_iter().filter(|(path, _)| !is_signed(path)).collect()
}

fn standings(files: &Files, trust: &Trust, now: &str) -> BTreeMap<String, Standing> {
    let approvals = Approvals::read(files, trust);
    let set = slotbridge::mapping::load(files).unwrap().with_roster(approvals.roster_head());
    let closures = set.feeds().map(|(partner, kind, _)| Closure::of(&set, partner, kind).unwrap());
    closures.map(|closure| (closure.id().to_owned(), approvals.standing(&closure, at(now)))).collect()
}

fn all_in_force(standings: &BTreeMap<String, Standing>) -> bool {
    standings.len() >= 8 && standings.values().all(|standing| matches!(standing, Standing::InForce { .. }))
}

fn list(files: &Files) -> String {
    let mut text = "//! What the demonstration's officers signed over the shipped mappings. Written by tests/demo_approvals.rs.\n\n\
                    macro_rules! embedded {\n    ($($path:literal),* $(,)?) => {\n        \
                    /// Path below `mappings/` and content.\n        \
                    pub const APPROVALS: &[(&str, &str)] =\n            \
                    &[$(($path, include_str!(concat!(\"../../mappings/\", $path)))),*];\n    };\n}\n\nembedded![\n"
        .to_owned();
    files.keys().for_each(|path| text.push_str(&format!("    \"{path}\",\n")));
    text + "];\n"
}

#[test]
fn the_shipped_approvals_are_what_the_demonstration_officers_sign() {
    let mut expected = unsigned();
    officers::sign(&mut expected, at(SIGNED_AT), at("2026-11-22T20:00:00+09:00")).unwrap();
    expected.retain(|path, _| is_signed(path));
    if std::env::var_os("UPDATE_DEMO_APPROVALS").is_some() {
        let folder = root().join("mappings");
        let _ = std::fs::remove_dir_all(folder.join("approvals"));
        for (path, bytes) in &expected {
            std::fs::create_dir_all(folder.join(path).parent().unwrap()).unwrap();
            std::fs::write(folder.join(path), bytes).unwrap();
        }
        std::fs::write(root().join("src/cli/shipped_approvals.rs"), list(&expected)).unwrap();
    }
    let is: Files = shipped().into_iter().filter(|(path, _)| is_signed(path)).collect();
    let names = |files: &Files| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&is), names(&expected), "write them again: UPDATE_DEMO_APPROVALS=1");
    assert!(is == expected, "write them again: UPDATE_DEMO_APPROVALS=1");
    assert_eq!(std::fs::read_to_string(root().join("src/cli/shipped_approvals.rs")).unwrap(), list(&expected));
}

#[test]
fn only_a_demonstration_believes_them() {
    let files = shipped();
    let now = "2026-11-22T20:00:00+09:00";
    assert!(all_in_force(&standings(&files, &officers::trust(), now)));
    let service = Trust { demonstration: Demonstration::Refused, ..officers::trust() };
    for (id, standing) in standings(&files, &service, now) {
        assert!(!matches!(standing, Standing::InForce { .. } | Standing::Delayed { .. }), "{id}: {standing:?}");
    }
    assert!(matches!(
        standings(&files, &officers::trust(), "2027-12-01T00:00:00+09:00")["naver.slots"],
        Standing::Expired { .. }
    ));
}

#[test]
fn a_demonstration_has_them_sign_what_it_changed_and_what_expired() {
    // Before they signed, after, after they expired; and with another policy, as a demonstration has.
    for now in ["2026-10-05T00:00:00+09:00", "2026-11-22T20:00:00.123+09:00", "2027-12-01T00:00:00+09:00"] {
        let mut files = shipped();
        let policy = String::from_utf8(files["policy.toml"].clone()).unwrap();
        assert!(policy.contains("age_s_max = 600"));
        files.insert("policy.toml".to_owned(), policy.replace("age_s_max = 600", "age_s_max = 900").into_bytes());
        assert!(!all_in_force(&standings(&files, &officers::trust(), now)));
        officers::renew(&mut files, at(now)).unwrap();
        let after = standings(&files, &officers::trust(), now);
        assert!(all_in_force(&after), "{now}: {after:?}");
        assert!(Approvals::read(&files, &officers::trust()).found().is_empty());
    }
}
