//! What the pure zone may not touch, and what no file may leave behind.

use std::collections::BTreeSet;

use crate::arrows::{Zone, room_of, tree};
use crate::source::{Source, is_word, line_at, words};

/// Most lines a file of `src/` has.
pub const FILE_LINES_MAX: usize = 500;

/// Word, and why a pure module has no business with it. Clippy says the same of calls (clippy.toml); this sees names.
const IMPURE: &[(&str, &str)] = &[
    ("tokio", "rules run on the caller's thread"),
    ("rusqlite", "rules do no I/O"),
    ("axum", "rules do no I/O"),
    ("reqwest", "rules do no I/O"),
    ("File", "rules do no I/O"),
    ("Instant::now", "time is an argument"),
    ("SystemTime", "time is an argument"),
    ("Zoned::now", "time is an argument"),
    ("Timestamp::now", "time is an argument"),
    ("SystemRandom", "randomness is an argument"),
    ("RandomState", "a hasher is fixed"),
    ("HashMap::new", "a hasher is fixed: HashMap<_, _, FixedState>, or a BTreeMap"),
    ("HashSet::new", "a hasher is fixed: HashSet<_, FixedState>, or a BTreeSet"),
    ("rand", "randomness is an argument"),
    ("getrandom", "randomness is an argument"),
    ("uuid", "randomness is an argument"),
    ("tracing", "rules return what happened; the shell logs it"),
    ("println!", "rules return what happened; the shell prints it"),
    ("eprintln!", "rules return what happened; the shell prints it"),
];
/// Parts of `std` that do I/O or know the machine.
const IMPURE_STD: &[&str] = &["fs", "net", "env", "process", "thread", "os"];

fn is_pure(source: &Source) -> bool {
    source.module().and_then(room_of).is_some_and(|room| room.zone == Zone::Pure)
}

/// The lists of clippy.toml bite only where they are denied; every pure module's head denies them.
pub const DENIED: &str = "deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::iter_over_hash_type)";

pub fn undenied(source: &Source) -> Vec<String> {
    let is_head = source.depth() == 1;
    if !is_pure(source) || !is_head || source.code.contains(DENIED) {
        return Vec::new();
    }
    vec![format!("{}: the head of a pure module says #![cfg_attr(not(test), {DENIED})]", source.path)]
}

pub fn impure(source: &Source) -> Vec<String> {
    if !is_pure(source) {
        return Vec::new();
    }
    let text = &source.shipped;
    let mut found = Vec::new();
    for (word, why) in IMPURE {
        found.extend(words(text, word).map(|at| format!("{}:{}: {word}: {why}", source.path, line_at(text, at))));
    }
    for at in words(text, "std") {
        let Some(rest) = text[at + "std".len()..].strip_prefix("::") else { continue };
        let parts = tree(rest).into_iter().filter_map(|path| path.into_iter().next());
        let parts: BTreeSet<String> = parts.filter(|part| IMPURE_STD.contains(&part.as_str())).collect();
        let line = line_at(text, at);
        found.extend(parts.iter().map(|part| format!("{}:{line}: std::{part}: rules do no I/O", source.path)));
    }
    found
}

/// What a hash map gives in its own order.
const WALKS: &[&str] = &[
    "iter",
    "iter_mut",
    "into_iter",
    "keys",
    "into_keys",
    "values",
    "values_mut",
    "into_values",
    "drain",
    "extract_if",
];

/// Walks over names that the module declares as hash maps. A heuristic on names: it sees `name: HashMap<…>` (also by
/// an alias) and then `name.iter()` in the same file, or `….name.iter()` in a file of the module that does not itself
/// declare the name as something else. Clippy, which knows types, is the judge; this finds it without clippy.
pub fn walked_hashes(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| is_pure(source)) {
        let own = hash_names(source, sources);
        let fields: BTreeSet<String> = sources
            .iter()
            .filter(|other| other.module() == source.module())
            .flat_map(|other| hash_names(other, sources))
            .collect();
        let text = &source.shipped;
        for name in own.union(&fields).filter(|name| own.contains(*name) || !is_declared(text, name)) {
            for at in words(text, name) {
                let is_field = text[..at].ends_with('.');
                if (is_field || own.contains(name)) && is_walk(text, at, at + name.len()) {
                    let line = line_at(text, at);
                    found.push(format!("{}:{line}: {name} is a hash map: walk a vector or a tree", source.path));
                }
            }
        }
    }
    found
}

fn is_walk(text: &str, from: usize, to: usize) -> bool {
    let after = text[to..].trim_start();
    if let Some(call) = after.strip_prefix('.') {
        let end = call.find(|c| !is_word(c)).unwrap_or(call.len());
        return WALKS.contains(&&call[..end]) && call[end..].starts_with('(');
    }
    // `for x in &self.name {`
    let before = text[..from].trim_end_matches(|c| is_word(c) || c == '.' || c == '&' || c == ' ');
    let between = &text[before.len()..from];
    after.starts_with('{') && between.contains(" in ") && between.trim_start().starts_with("for ")
}

/// `name: …` as in a struct or a signature.
fn is_declared(text: &str, name: &str) -> bool {
    words(text, name).any(|at| text[at + name.len()..].starts_with(": "))
}

fn hash_names(source: &Source, sources: &[Source]) -> BTreeSet<String> {
    let mut kinds: BTreeSet<String> = ["HashMap", "HashSet"].map(str::to_owned).into();
    let module = sources.iter().filter(|other| other.module() == source.module());
    for text in module.map(|other| &other.shipped).chain([&source.shipped]) {
        for at in words(text, "type") {
            let Some((alias, of)) = text[at + "type".len()..].split_once('=') else { continue };
            let of = of.trim_start();
            if of.starts_with("HashMap<") || of.starts_with("HashSet<") {
                let alias = alias.trim_start();
                kinds.insert(alias[..alias.find(|c| !is_word(c)).unwrap_or(alias.len())].to_owned());
            }
        }
    }
    let mut names = BTreeSet::new();
    for kind in &kinds {
        for at in words(&source.shipped, kind) {
            let before = source.shipped[..at].trim_end_matches(['&', ' ']);
            let before = before.strip_suffix("mut").unwrap_or(before).trim_end_matches(['&', ' ']);
            // `name: HashMap<` and `name = HashMap::`
            let Some(before) = before.strip_suffix([':', '=']) else { continue };
            let before = before.trim_end();
            let start = before.rfind(|c| !is_word(c)).map_or(0, |at| at + 1);
            let name = &before[start..];
            if !name.is_empty() && !before[..start].ends_with(':') {
                names.insert(name.to_owned());
            }
        }
    }
    names
}

pub fn too_long(source: &Source) -> Vec<String> {
    let lines = source.raw.lines().count();
    if lines <= FILE_LINES_MAX {
        return Vec::new();
    }
    vec![format!("{}: {lines} lines, at most {FILE_LINES_MAX}", source.path)]
}

/// What someone meant to come back to.
pub fn leftovers(source: &Source) -> Vec<String> {
    let in_code = ["todo!", "unimplemented!", "dbg!"];
    let in_code = in_code.iter().flat_map(|word| words(&source.code, word).map(move |at| (*word, at)));
    let found = in_code.map(|(word, at)| format!("{}:{}: {word}", source.path, line_at(&source.code, at)));
    // Comments hold these; the words are built so that this file does not hold them itself.
    let marks = [concat!("FIX", "ME"), concat!("XX", "X")];
    let in_text = marks.iter().flat_map(|word| words(&source.raw, word).map(move |at| (*word, at)));
    let in_text = in_text.map(|(word, at)| format!("{}:{}: {word}", source.path, line_at(&source.raw, at)));
    found.chain(in_text).collect()
}

pub fn unwraps(source: &Source) -> Vec<String> {
    let text = &source.shipped;
    let calls = text.match_indices(".unwrap()");
    calls
        .map(|(at, _)| format!("{}:{}: .unwrap(): say why it cannot fail, or return", source.path, line_at(text, at)))
        .collect()
}

/// Tests wait for what happens, run all, and name what they expect.
pub fn test_habits(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    // In `src/`, a sleep is a test's if the shipped code does not have it.
    let shipped: &str = if source.path.starts_with("src/") { &source.shipped } else { "" };
    let is_shipped = |at: usize, word: &str| {
        let at = source.code[..at].chars().count();
        shipped.chars().skip(at).take(word.len()).eq(word.chars())
    };
    for word in ["sleep", "sleep_until", "sleep_ms"] {
        for at in words(&source.code, word) {
            if !is_shipped(at, word) {
                let line = line_at(&source.code, at);
                found.push(format!("{}:{line}: {word}: wait for the event itself, with a deadline", source.path));
            }
        }
    }
    for word in ["#[ignore", "should_panic"] {
        let places = source.code.match_indices(word);
        found.extend(places.map(|(at, _)| format!("{}:{}: {word}", source.path, line_at(&source.code, at))));
    }
    found
}

/// What a merge leaves where two sides met.
pub fn conflicts(path: &str, text: &str) -> Vec<String> {
    let is_mark = |line: &&str| line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> ");
    let marks = text.lines().enumerate().filter(|(_, line)| is_mark(line));
    marks.map(|(no, _)| format!("{path}:{}: an unresolved conflict", no + 1)).collect()
}

/// Folders of whoever wrote it: the text must hold on every machine.
pub fn machine_paths(path: &str, text: &str) -> Vec<String> {
    // Built so that this file does not hold them itself.
    let folders = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];
    let places = folders.iter().flat_map(|folder| text.match_indices(folder));
    places.map(|(at, folder)| format!("{path}:{}: {folder}", line_at(text, at))).collect()
}
