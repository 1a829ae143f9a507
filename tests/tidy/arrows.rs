//! Who may name whom. The table is the architecture's; a new arrow is its own commit with its reason.

use std::collections::BTreeMap;

use crate::source::{Source, is_word, line_at, words};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    /// No tokio, no clock, no I/O, no randomness, no logging.
    Pure,
    Shell,
}
use Zone::{Pure, Shell};

pub struct Room {
    pub name: &'static str,
    pub zone: Zone,
    /// Modules, `module::part` of a module, or `*`.
    may: &'static [&'static str],
}

const fn room(name: &'static str, zone: Zone, may: &'static [&'static str]) -> Room {
    Room { name, zone, may }
}

/// Every module, whether it exists yet or not. Where `durable` is named, `durable_brings` comes with it.
pub const ROOMS: &[Room] = &[
    room("domain", Pure, &[]),
    room("mapping", Pure, &["domain"]),
    room("decide", Pure, &["domain"]),
    room("schedule", Pure, &["domain"]),
    room("privacy", Pure, &["domain", "mapping"]),
    room("lint", Pure, &["domain", "mapping", "privacy"]),
    room("statement", Pure, &["domain", "mapping", "privacy", "lint"]),
    room("approval", Pure, &["domain", "mapping", "privacy", "lint", "statement"]),
    room("feed", Pure, &["domain", "privacy"]),
    room("answer", Pure, &["domain", "mapping", "privacy", "feed", "decide"]),
    room("clock", Shell, &["domain"]),
    room("config", Shell, &["domain"]),
    room("mapping_files", Shell, &["domain", "mapping", "privacy"]),
    room("telemetry", Shell, &["domain"]),
    room("durable", Shell, &["domain", "decide"]),
    room("register", Shell, &["domain", "telemetry", "config"]),
    room("accounts", Shell, &["domain", "telemetry", "config"]),
    room("keys", Shell, &["domain", "privacy", "telemetry", "config"]),
    room("evidence", Shell, &["domain", "privacy", "keys", "telemetry", "config"]),
    room("legacy", Shell, &["domain", "schedule", "mapping::catalogue", "telemetry", "config"]),
    room("ledger", Shell, &["domain", "decide", "schedule", "durable", "telemetry", "config"]),
    room("intake", Shell, &["domain", "decide", "privacy", "keys", "telemetry"]),
    room("view", Shell, &["domain", "decide", "durable", "telemetry"]),
    room("projection", Shell, &["domain", "decide", "durable", "telemetry"]),
    room(
        "capture",
        Shell,
        &["domain", "mapping", "privacy", "legacy", "register", "durable", "intake", "view", "telemetry", "config"],
    ),
    room(
        "publish",
        Shell,
        &[
            "domain",
            "mapping",
            "privacy",
            "feed",
            "durable",
            "intake",
            "view",
            "evidence",
            "keys",
            "telemetry",
            "config",
        ],
    ),
    room(
        "writeback",
        Shell,
        &["domain", "decide", "schedule", "legacy", "register", "durable", "intake", "telemetry", "config"],
    ),
    room(
        "notify",
        Shell,
        &[
            "domain",
            "mapping",
            "privacy",
            "answer",
            "decide",
            "schedule",
            "durable",
            "intake",
            "keys",
            "telemetry",
            "config",
        ],
    ),
    // Never ledger, legacy, capture: they stay in the inner zone when the two zones become two processes.
    room(
        "serve",
        Shell,
        &[
            "domain",
            "mapping",
            "privacy",
            "feed",
            "answer",
            "durable",
            "intake",
            "view",
            "publish",
            "evidence",
            "keys",
            "telemetry",
            "config",
        ],
    ),
    room(
        "review",
        Shell,
        &[
            "domain",
            "mapping",
            "privacy",
            "feed",
            "lint",
            "statement",
            "approval",
            "durable",
            "intake",
            "view",
            "projection",
            "publish",
            "evidence",
            "keys",
            "accounts",
            "telemetry",
            "config",
        ],
    ),
    // Never serve: the reference client proves the API from outside.
    room("partner", Shell, &["domain", "feed", "telemetry", "config"]),
    room("app", Shell, &["*"]),
    room("cli", Shell, &["*"]),
    room("demo", Shell, &["*"]),
    room("bench", Shell, &["*"]),
    room("jobs", Shell, &["*"]),
    room("admin", Shell, &["*"]),
];

/// The ports of `durable` speak in the desk's events and entries; the desk itself stays out of reach.
const DURABLE_BRINGS: &[&str] = &["decide::event", "decide::entry"];
/// Time of the machine, for the whole shell.
const SHELL_MAY: &[&str] = &["clock"];

/// Arrows that the code needs beyond the table, each with its reason.
const ADDED: &[(&str, &str, &str)] = &[
    ("intake", "durable", "a submission carries the event in and the durable answer out"),
    ("answer", "durable::Render", "the committer's port that answer implements: outcome to status and body"),
    ("answer", "durable::Rendered", "what that port returns"),
];

pub fn room_of(module: &str) -> Option<&'static Room> {
    ROOMS.iter().find(|room| room.name == module)
}

impl Room {
    fn allows(&self, path: &[String]) -> bool {
        let first = path[0].as_str();
        let part = path.get(1).map(|part| format!("{first}::{part}"));
        let listed =
            |list: &[&str]| list.iter().any(|may| *may == "*" || *may == first || Some(*may) == part.as_deref());
        let added: Vec<&str> = ADDED.iter().filter(|(from, ..)| *from == self.name).map(|(_, to, _)| *to).collect();
        first == self.name
            || listed(self.may)
            || listed(&added)
            || (self.zone == Shell && listed(SHELL_MAY))
            || ((self.may.contains(&"durable") || added.contains(&"durable")) && listed(DURABLE_BRINGS))
    }
}

/// `module, name → the module's part that `pub use part::name` in its head takes it from`.
pub type Parts = BTreeMap<(String, String), String>;

/// Reads the re-exports of the modules' heads, so that `mapping::Layout` counts as `mapping::catalogue`.
pub fn parts(sources: &[Source]) -> Parts {
    let mut parts = Parts::new();
    for source in sources {
        let Some(module) = source.module().filter(|_| source.depth() == 1) else { continue };
        for at in words(&source.shipped, "pub use") {
            for path in tree(&source.shipped[at + "pub use".len()..]) {
                if let [part, .., name] = path.as_slice() {
                    parts.insert((module.to_owned(), name.clone()), part.clone());
                }
            }
        }
    }
    parts
}

/// `path:line: from -> to` for every arrow that the table does not have.
pub fn forbidden(source: &Source, parts: &Parts) -> Vec<String> {
    let Some(module) = source.module() else { return Vec::new() };
    let Some(room) = room_of(module) else {
        return vec![format!("{}: module `{module}` has no row in the table of arrows", source.path)];
    };
    let mut found = Vec::new();
    for (line, mut path) in named(source) {
        if let [module, name, ..] = path.as_slice()
            && let Some(part) = parts.get(&(module.clone(), name.clone()))
        {
            path.insert(1, part.clone());
        }
        if !room.allows(&path) {
            found.push(format!("{}:{line}: {module} may not name {}", source.path, path.join("::")));
        }
    }
    found
}

/// Every path from the crate's root that shipped code names, with its line.
fn named(source: &Source) -> Vec<(usize, Vec<String>)> {
    let text = &source.shipped;
    let mut found = Vec::new();
    for at in words(text, "crate") {
        let paths = rooted(&text[at + "crate".len()..]);
        found.extend(paths.into_iter().map(|path| (line_at(text, at), path)));
    }
    let to_root = vec!["super"; source.depth()].join("::");
    for at in words(text, &to_root) {
        if !text[..at].ends_with("super::") {
            let paths = rooted(&text[at + to_root.len()..]);
            found.extend(paths.into_iter().map(|path| (line_at(text, at), path)));
        }
    }
    found.retain(|(_, path)| !path.is_empty());
    found
}

/// Paths of `::a::{b, c::d}` as it follows `crate`; none if no `::` follows.
fn rooted(text: &str) -> Vec<Vec<String>> {
    text.trim_start().strip_prefix("::").map(tree).unwrap_or_default()
}

/// Paths of `a::{b, c::d}`: `a::b` and `a::c::d`.
pub fn tree(text: &str) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    branch(text, &mut Vec::new(), &mut paths);
    paths
}

/// Reads one branch and returns what follows it.
fn branch<'a>(text: &'a str, above: &mut Vec<String>, paths: &mut Vec<Vec<String>>) -> &'a str {
    let mut rest = text.trim_start();
    let mut pushed = 0;
    loop {
        if let Some(group) = rest.strip_prefix('{') {
            rest = group.trim_start();
            while !rest.is_empty() && !rest.starts_with('}') {
                let after = branch(rest, above, paths).trim_start();
                let after = after.strip_prefix(',').unwrap_or(after).trim_start();
                rest = if after.len() == rest.len() { "" } else { after };
            }
            rest = rest.strip_prefix('}').unwrap_or(rest);
            break;
        }
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        if end > 0 {
            above.push(rest[..end].to_owned());
            pushed += 1;
            rest = rest[end..].trim_start();
            if let Some(further) = rest.strip_prefix("::") {
                rest = further.trim_start();
                continue;
            }
            if let Some(renamed) = rest.strip_prefix("as ") {
                rest = renamed.trim_start().trim_start_matches(is_word);
            }
        }
        rest = rest.strip_prefix('*').unwrap_or(rest);
        paths.push(above.clone());
        break;
    }
    above.truncate(above.len() - pushed);
    rest
}
