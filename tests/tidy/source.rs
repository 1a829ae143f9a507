//! Source files as the rules read them: text with comments and literals blanked, and with test code set apart.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Folders that hold what others wrote or what is made.
const NOT_OURS: &[&str] = &["target", ".git", ".test-tools", "node_modules"];

/// One file below the root. All texts have the same number of lines.
pub struct Source {
    /// With `/`, relative to the root.
    pub path: String,
    /// As it stands.
    pub raw: String,
    /// Without comments and without the insides of literals.
    pub code: String,
    /// `code` without whatever is compiled for tests only.
    pub shipped: String,
}

impl Source {
    /// A file by itself, as in a planted violation.
    pub fn new(path: &str, raw: &str) -> Source {
        let code = blank_literals(raw);
        let (shipped, _) = blank_tests(&code);
        Source { path: path.to_owned(), raw: raw.to_owned(), code, shipped }
    }

    /// First path segment below `src/`: `src/decide/desk.rs` and `src/decide.rs` are in `decide`. None for the roots.
    pub fn module(&self) -> Option<&str> {
        let below = self.path.strip_prefix("src/")?;
        let first = below.split('/').next().unwrap_or(below).trim_end_matches(".rs");
        (!matches!(first, "lib" | "main")).then_some(first)
    }

    /// How many `super` lead to the root: `src/a/mod.rs` 1, `src/a/b.rs` 2.
    pub fn depth(&self) -> usize {
        let below = self.path.strip_prefix("src/").unwrap_or(&self.path).trim_end_matches(".rs");
        let below = below.strip_suffix("/mod").unwrap_or(below);
        below.split('/').count()
    }
}

/// Every Rust file below `folder`, with files that a `#[cfg(test)] mod name;` brings in emptied of shipped code.
pub fn rust_below(root: &Path, folder: &str) -> Vec<Source> {
    let texts = texts_below(root, folder);
    let rust: Vec<Source> =
        texts.iter().filter(|(path, _)| path.ends_with(".rs")).map(|(path, raw)| Source::new(path, raw)).collect();
    let only_for_tests: BTreeSet<String> = rust.iter().flat_map(test_files_of).collect();
    let is_test = |path: &str| {
        only_for_tests.iter().any(|name| path == format!("{name}.rs") || path.starts_with(&format!("{name}/")))
    };
    let emptied = |source: Source| match is_test(&source.path) {
        true => Source { shipped: blanked(&source.code), ..source },
        false => source,
    };
    rust.into_iter().map(emptied).collect()
}

/// Every file below `folder` that is UTF-8, path and content, ordered by path.
pub fn texts_below(root: &Path, folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if NOT_OURS.contains(&name.as_str()) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                let below = path.strip_prefix(root).unwrap_or(&path);
                found.push((below.to_string_lossy().replace('\\', "/"), text));
            }
        }
    }
    found.sort();
    found
}

/// Paths without `.rs` of the modules that a file declares for tests only.
fn test_files_of(source: &Source) -> Vec<String> {
    let (_, names) = blank_tests(&source.code);
    let own = source.path.trim_end_matches(".rs");
    let folder = ["/mod", "/lib", "/main"].iter().find_map(|name| own.strip_suffix(name)).unwrap_or(own);
    names.iter().map(|name| format!("{folder}/{name}")).collect()
}

fn blanked(text: &str) -> String {
    text.chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect()
}

fn blank_range(text: &mut [char], from: usize, to: usize) {
    let to = to.min(text.len());
    for c in &mut text[from.min(to)..to] {
        if *c != '\n' {
            *c = ' ';
        }
    }
}

/// Comments and the insides of string and character literals become spaces; lines stay.
fn blank_literals(raw: &str) -> String {
    let mut text: Vec<char> = raw.chars().collect();
    let mut at = 0;
    while at < text.len() {
        let next = text.get(at + 1).copied().unwrap_or('\0');
        let end = match text[at] {
            '/' if next == '/' => (at..text.len()).find(|i| text[*i] == '\n').unwrap_or(text.len()),
            '/' if next == '*' => end_of_comment(&text, at),
            '"' => end_of_string(&text, at),
            'r' if (next == '"' || next == '#') && !follows_word(&text, at) => end_of_raw(&text, at),
            '\'' => end_of_char(&text, at),
            _ => at + 1,
        };
        if end > at + 1 {
            blank_range(&mut text, at, end);
        }
        at = end;
    }
    text.into_iter().collect()
}

/// `br"…"` and `cr"…"` are raw strings, `for"` is not.
fn follows_word(text: &[char], at: usize) -> bool {
    let before = at.checked_sub(1).map(|i| text[i]);
    let further = at.checked_sub(2).map(|i| text[i]);
    match before {
        Some('b' | 'c') => further.is_some_and(is_word),
        Some(c) => is_word(c),
        None => false,
    }
}

fn end_of_comment(text: &[char], from: usize) -> usize {
    let mut open = 0;
    let mut at = from;
    while at + 1 < text.len() {
        match (text[at], text[at + 1]) {
            ('/', '*') => open += 1,
            ('*', '/') => open -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if open == 0 {
            return at;
        }
    }
    text.len()
}

fn end_of_string(text: &[char], from: usize) -> usize {
    let mut at = from + 1;
    while at < text.len() {
        match text[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

fn end_of_raw(text: &[char], from: usize) -> usize {
    let hashes = text[from + 1..].iter().take_while(|c| **c == '#').count();
    let open = from + 1 + hashes;
    if text.get(open) != Some(&'"') {
        return from + 1;
    }
    let closes = |at: &usize| text[*at] == '"' && text[*at + 1..].iter().take_while(|c| **c == '#').count() >= hashes;
    (open + 1..text.len()).find(closes).map_or(text.len(), |at| at + 1 + hashes)
}

/// A character literal, or just the tick of a lifetime.
fn end_of_char(text: &[char], at: usize) -> usize {
    if text.get(at + 1) == Some(&'\\') {
        return (at + 3..text.len()).find(|i| text[*i] == '\'').map_or(text.len(), |i| i + 1);
    }
    if text.get(at + 2) == Some(&'\'') { at + 3 } else { at + 1 }
}

/// The code without test-only items, and the names of modules that are declared test-only.
fn blank_tests(code: &str) -> (String, Vec<String>) {
    let mut text: Vec<char> = code.chars().collect();
    let mut names = Vec::new();
    for (needle, whole_file) in [("#![cfg(test)]", true), ("#[cfg(test)]", false), ("#[cfg(all(test", false)] {
        let needle: Vec<char> = needle.chars().collect();
        let mut at = 0;
        while let Some(found) = find(&text, &needle, at) {
            if whole_file {
                return (blanked(code), names);
            }
            let end = end_of_item(&text, found);
            names.extend(module_name(&text[found..end]));
            blank_range(&mut text, found, end);
            at = end;
        }
    }
    (text.into_iter().collect(), names)
}

fn find(text: &[char], needle: &[char], from: usize) -> Option<usize> {
    (from..text.len().saturating_sub(needle.len() - 1)).find(|at| text[*at..].starts_with(needle))
}

/// End of the item, field or statement that an attribute at `from` belongs to.
fn end_of_item(text: &[char], from: usize) -> usize {
    let mut depth = 0;
    let mut is_item = false;
    let mut word = String::new();
    for (at, &c) in text.iter().enumerate().skip(from) {
        if is_word(c) {
            word.push(c);
        } else {
            const ITEMS: &[&str] = &["mod", "fn", "use", "impl", "struct", "enum", "trait", "type", "const", "static"];
            is_item |= depth == 0 && ITEMS.contains(&word.as_str());
            word.clear();
        }
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' => depth -= 1,
            '}' if depth == 0 => return at,
            '}' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            ';' if depth == 0 => return at + 1,
            ',' if depth == 0 && !is_item => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// `name` of `… mod name;`.
fn module_name(item: &[char]) -> Option<String> {
    let item: String = item.iter().collect();
    let declared = item.trim_end().strip_suffix(';')?;
    let (before, name) = declared.trim_end().rsplit_once(char::is_whitespace)?;
    before.trim_end().ends_with("mod").then(|| name.to_owned())
}

pub fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where `word` stands as a whole word (or words: `std::fs`), as offsets in bytes.
pub fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let whole = move |at: &usize| {
        let before = text[..*at].chars().next_back();
        let after = text[*at + word.len()..].chars().next();
        let goes_on_before = word.starts_with(is_word) && before.is_some_and(is_word);
        let goes_on_after = word.ends_with(is_word) && after.is_some_and(is_word);
        !goes_on_before && !goes_on_after
    };
    text.match_indices(word).map(|(at, _)| at).filter(whole)
}

/// Line of an offset in bytes, from 1.
pub fn line_at(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}
