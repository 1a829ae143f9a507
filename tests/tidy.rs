//! The rules of the house that the compiler does not know. Each rule is tested twice: on the tree, and on a planted
//! violation that it must find.

#[path = "tidy/arrows.rs"]
mod arrows;
#[path = "tidy/bans.rs"]
mod bans;
#[path = "tidy/source.rs"]
mod source;

use std::path::Path;
use std::sync::LazyLock;

use source::{Source, rust_below, texts_below};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn src() -> &'static [Source] {
    static READ: LazyLock<Vec<Source>> = LazyLock::new(|| rust_below(root(), "src"));
    assert!(READ.len() > 10, "the sources were not found");
    &READ
}

fn tests() -> &'static [Source] {
    static READ: LazyLock<Vec<Source>> = LazyLock::new(|| rust_below(root(), "tests"));
    &READ
}

#[track_caller]
fn none(found: Vec<String>) {
    assert!(found.is_empty(), "{} found:\n{}", found.len(), found.join("\n"));
}

#[track_caller]
fn finds(found: Vec<String>, expected: &[&str]) {
    let told: Vec<&str> = found.iter().map(String::as_str).collect();
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.contains(expected), "{told} does not say {expected}");
    }
}

fn planted(path: &str, text: &str) -> Source {
    Source::new(path, text)
}

#[test]
fn a_module_names_only_whom_the_table_allows() {
    let sources = src();
    let parts = arrows::parts(sources);
    none(sources.iter().flat_map(|source| arrows::forbidden(source, &parts)).collect());
}

#[test]
fn a_forbidden_arrow_is_found_however_it_is_written() {
    let parts = arrows::Parts::new();
    let plain = planted("src/serve/mod.rs", "use crate::domain::Row;\nuse crate::ledger::Store;\n");
    finds(arrows::forbidden(&plain, &parts), &["src/serve/mod.rs:2: serve may not name ledger::Store"]);
    let grouped = planted("src/serve/a.rs", "use crate::{domain, view::{self, View}, legacy::LegacyRead as L, feed};");
    finds(arrows::forbidden(&grouped, &parts), &["legacy::LegacyRead"]);
    let inline = planted("src/decide/a.rs", "fn f(r: &crate::mapping::Row) {}");
    finds(arrows::forbidden(&inline, &parts), &["mapping::Row"]);
    let by_super = planted("src/domain/a.rs", "use super::super::decide::Desk;\nuse super::row::Row;\n");
    finds(arrows::forbidden(&by_super, &parts), &["src/domain/a.rs:1: domain may not name decide::Desk"]);
    let unknown = planted("src/helpers/mod.rs", "");
    finds(arrows::forbidden(&unknown, &parts), &["`helpers` has no row"]);
}

#[test]
fn words_in_comments_texts_and_tests_are_no_arrows() {
    let parts = arrows::Parts::new();
    let text = "// crate::ledger::X\nfn f() -> &'static str { r#\"crate::ledger\"# }\n\
                #[cfg(test)]\nmod tests { use crate::ledger::X; fn t() { x.unwrap() } }\n";
    none(arrows::forbidden(&planted("src/serve/a.rs", text), &parts));
    none(bans::unwraps(&planted("src/serve/a.rs", text)));
}

#[test]
fn code_after_a_test_module_counts_again() {
    let text = "#[cfg(test)]\nmod tests { fn a() { b['{'] } }\nfn f() { x.unwrap() }\n";
    finds(bans::unwraps(&planted("src/serve/a.rs", text)), &["src/serve/a.rs:3"]);
}

#[test]
fn a_reexport_belongs_to_the_part_it_comes_from() {
    let head = planted("src/mapping/mod.rs", "pub use catalogue::{Column, Layout};\npub use set::MappingSet;\n");
    let parts = arrows::parts(&[head]);
    let adapter = planted("src/legacy/a.rs", "use crate::mapping::Layout;\nuse crate::mapping::MappingSet;\n");
    finds(arrows::forbidden(&adapter, &parts), &["src/legacy/a.rs:2: legacy may not name mapping::set::MappingSet"]);
}

#[test]
fn with_the_durable_ports_come_events_and_entries_but_not_the_desk() {
    let head = planted("src/decide/mod.rs", "pub use desk::Desk;\npub use event::{Event, KnownKey};\n");
    let parts = arrows::parts(&[head]);
    let reader = planted("src/capture/a.rs", "use crate::decide::Event;\nuse crate::decide::Desk;\n");
    finds(arrows::forbidden(&reader, &parts), &["src/capture/a.rs:2: capture may not name decide::desk::Desk"]);
}

#[test]
fn pure_modules_have_no_clock_io_randomness_or_log() {
    none(src().iter().flat_map(bans::impure).collect());
}

#[test]
fn every_impurity_is_found() {
    let text = "use std::{fmt, fs};\nlet t = std::time::Instant::now();\ntracing::info!();\nuse ring::rand;\n\
                tokio::spawn(x);\nlet m = HashMap::new();\n";
    let found = bans::impure(&planted("src/decide/a.rs", text));
    let mut lines: Vec<&str> = found.iter().map(|told| &told["src/decide/a.rs:".len()..][..1]).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["1", "2", "3", "4", "5", "6"], "{found:#?}");
    none(bans::impure(&planted("src/capture/a.rs", text)));
}

#[test]
fn pure_modules_deny_what_clippy_can_see() {
    none(src().iter().flat_map(bans::undenied).collect());
}

#[test]
fn a_pure_module_without_the_denial_is_found() {
    finds(bans::undenied(&planted("src/feed/mod.rs", "//! Items.\n")), &["src/feed/mod.rs: the head"]);
    none(bans::undenied(&planted("src/feed/mod.rs", &format!("#![cfg_attr(not(test), {})]\n", bans::DENIED))));
}

#[test]
fn pure_modules_never_walk_a_hash_map() {
    none(bans::walked_hashes(src()));
}

#[test]
fn a_walked_hash_map_is_found_by_its_declaration() {
    let book = planted(
        "src/decide/a.rs",
        "type Map<K, V> = HashMap<K, V, F>;\nstruct Book { keys: Map<A, B>, list: Vec<A> }\n",
    );
    let rules = "fn f(book: &Book) {\nfor key in &book.keys {}\nbook.keys.values().sum();\nbook.keys.get(1);\n\
                 for key in &book.list {}\nlet keys = book.list.iter(); keys.iter();\n}\n";
    let local = "let seen: HashSet<u8> = x;\nseen.iter();\n";
    let sources = [book, planted("src/decide/b.rs", rules), planted("src/feed/c.rs", local)];
    finds(bans::walked_hashes(&sources), &["src/decide/b.rs:2", "src/decide/b.rs:3", "src/feed/c.rs:2"]);
}

#[test]
fn a_source_file_has_at_most_500_lines() {
    none(src().iter().flat_map(bans::too_long).collect());
}

#[test]
fn a_file_of_501_lines_is_found() {
    none(bans::too_long(&planted("src/a.rs", &"\n".repeat(500))));
    finds(bans::too_long(&planted("src/a.rs", &"\n".repeat(501))), &["501 lines"]);
}

#[test]
fn nothing_is_left_for_later() {
    none(src().iter().chain(tests()).flat_map(bans::leftovers).collect());
}

#[test]
fn a_leftover_is_found() {
    let text = concat!("fn f() { todo!() }\nfn g() { dbg!(1); unimplemented!() }\n// FIX", "ME later\n");
    finds(bans::leftovers(&planted("src/a.rs", text)), &["a.rs:1", "a.rs:2", "a.rs:2", "a.rs:3"]);
}

#[test]
fn shipped_code_never_unwraps() {
    none(src().iter().flat_map(bans::unwraps).collect());
}

#[test]
fn an_unwrap_is_found() {
    let text = "fn f() { x.unwrap(); y.unwrap_or(1); z.expect(\"why\"); }\n";
    finds(bans::unwraps(&planted("src/a.rs", text)), &["src/a.rs:1"]);
}

#[test]
fn tests_neither_sleep_nor_skip_nor_expect_panics() {
    none(src().iter().chain(tests()).flat_map(bans::test_habits).collect());
}

#[test]
fn a_sleeping_skipped_or_panicking_test_is_found() {
    let text = "#[ignore]\n#[test]\n#[should_panic]\nfn t() { std::thread::sleep(d) }\n";
    finds(
        bans::test_habits(&planted("tests/a.rs", text)),
        &["a.rs:4: sleep", "a.rs:1: #[ignore", "a.rs:3: should_panic"],
    );
    let shell = "fn wait() { tokio::time::sleep(d) }\n#[cfg(test)]\nmod tests { fn t() { sleep(d) } }\n";
    finds(bans::test_habits(&planted("src/notify/a.rs", shell)), &["a.rs:3: sleep"]);
}

#[test]
fn no_text_names_a_folder_of_the_machine_it_was_written_on() {
    none(texts_below(root(), "").iter().flat_map(|(path, text)| bans::machine_paths(path, text)).collect());
}

#[test]
fn a_folder_of_a_machine_is_found() {
    finds(bans::machine_paths("README.md", concat!("see\n/ho", "me/me/notes\n")), &["README.md:2"]);
}

#[test]
fn a_file_that_only_tests_compile_ships_nothing() {
    let folder = std::env::temp_dir().join(format!("slotbridge-tidy-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("src/view/tests")).expect("a folder for the planted tree");
    let write = |path: &str, text: &str| std::fs::write(folder.join(path), text).expect("a planted file");
    write("src/view/mod.rs", "#[cfg(test)]\npub(crate) mod tests;\nmod ci;\n");
    write("src/view/tests.rs", "fn t() { x.unwrap() }\n");
    write("src/view/tests/more.rs", "fn t() { x.unwrap() }\n");
    write("src/view/ci.rs", "fn f() { x.unwrap() }\n");
    let found = rust_below(&folder, "src").iter().flat_map(bans::unwraps).collect();
    std::fs::remove_dir_all(&folder).expect("the planted tree goes");
    finds(found, &["src/view/ci.rs:1"]);
}

#[test]
fn no_text_holds_an_unresolved_conflict() {
    none(texts_below(root(), "").iter().flat_map(|(path, text)| bans::conflicts(path, text)).collect());
}

#[test]
fn an_unresolved_conflict_is_found() {
    finds(bans::conflicts("a.rs", "ours\n<<<<<<< HEAD\n"), &["a.rs:2"]);
}

/// One TLS stack and one provider of cryptography: rustls with ring. `cargo deny` says more, this needs no network.
const NEVER_LOCKED: &[&str] = &["openssl", "openssl-sys", "native-tls", "aws-lc-rs", "aws-lc-sys"];

fn locked(lock: &str) -> Vec<String> {
    let never = |name: &&&str| lock.contains(&format!("\nname = \"{name}\"\n"));
    NEVER_LOCKED.iter().filter(never).map(|name| format!("Cargo.lock: {name}")).collect()
}

#[test]
fn no_second_tls_stack_is_locked() {
    none(locked(&std::fs::read_to_string(root().join("Cargo.lock")).expect("Cargo.lock is in the repository")));
}

#[test]
fn a_second_tls_stack_is_found() {
    finds(locked("[[package]]\nname = \"aws-lc-rs\"\nversion = \"1\"\n"), &["aws-lc-rs"]);
}
