//! Reads SQL*Plus scripts as SQL*Plus does, as far as `deploy/oracle/` uses it: commands of one line, statements ended
//! by a semicolon, blocks ended by a slash, `@@` includes, substitution variables.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// A command of SQL*Plus itself.
    Command(String),
    /// A plain statement, without its semicolon and without comment lines.
    Sql(String),
    /// PL/SQL.
    Block(String),
}

const COMMANDS: &[&str] = &["SET", "WHENEVER", "DEFINE", "UNDEFINE", "ACCEPT", "PROMPT", "SPOOL", "VARIABLE", "SHOW"];

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/oracle")
}

pub fn text(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Names of all scripts, in order.
pub fn names() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".sql"))
        .collect();
    names.sort();
    assert!(names.len() > 20, "the scripts were not found: {names:?}");
    names
}

/// Parts with the line they begin at, or what SQL*Plus would misread.
pub fn parts(name: &str, text: &str) -> (Vec<(usize, Part)>, Vec<String>) {
    let (mut parts, mut wrong) = (Vec::new(), Vec::new());
    let mut open: Option<(usize, bool, String)> = None;
    for (at, raw) in text.lines().enumerate() {
        let (at, line) = (at + 1, raw.trim());
        if line.starts_with("--") {
            if line.ends_with(';') || (line.ends_with('-') && line != "--") {
                wrong.push(format!("{name}:{at}: a comment ends by a character that SQL*Plus acts on"));
            }
            continue;
        }
        if let Some((start, block, statement)) = &mut open {
            let ends = if *block { line == "/" } else { line.ends_with(';') };
            if line.is_empty() && !*block {
                wrong.push(format!("{name}:{at}: a blank line inside a statement"));
            }
            if line.contains("--") {
                wrong.push(format!("{name}:{at}: a comment behind code"));
            }
            if !(ends && *block) {
                statement.push('\n');
                statement.push_str(line);
            }
            if ends {
                let part = if *block { Part::Block(statement.clone()) } else { sql(statement) };
                parts.push((*start, part));
                open = None;
            }
            continue;
        }
        let first = line.split_whitespace().next().unwrap_or("").to_ascii_uppercase();
        if line.is_empty() {
        } else if COMMANDS.contains(&first.as_str()) || line.starts_with('@') {
            parts.push((at, Part::Command(line.to_owned())));
        } else if line == "/" {
            wrong.push(format!("{name}:{at}: a slash runs the last statement again"));
        } else if is_block(line) {
            open = Some((at, true, line.to_owned()));
        } else if line.ends_with(';') {
            parts.push((at, sql(line)));
        } else {
            open = Some((at, false, line.to_owned()));
        }
    }
    if let Some((start, ..)) = open {
        wrong.push(format!("{name}:{start}: the statement is not terminated"));
    }
    (parts, wrong)
}

fn sql(statement: &str) -> Part {
    Part::Sql(statement.trim_end_matches(';').to_owned())
}

fn is_block(line: &str) -> bool {
    let words: Vec<String> = line.split_whitespace().map(str::to_ascii_uppercase).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let after = match words.as_slice() {
        ["BEGIN" | "DECLARE", ..] => return true,
        ["CREATE", "OR", "REPLACE", rest @ ..] | ["CREATE", rest @ ..] => rest,
        _ => return false,
    };
    matches!(after.first(), Some(&("PACKAGE" | "FUNCTION" | "PROCEDURE" | "TRIGGER")))
}

pub type Defines = BTreeMap<String, String>;

/// The substitution variables of 01_settings, with some set anew.
pub fn settings(changed: &[(&str, &str)]) -> Defines {
    let mut defines = Defines::new();
    for (_, part) in parts("01_settings.sql", &text("01_settings.sql")).0 {
        if let Part::Command(command) = part
            && let Some(rest) = command.strip_prefix("DEFINE ")
        {
            let (name, value) = rest.split_once('=').expect("DEFINE NAME = value");
            defines.insert(name.trim().to_owned(), value.trim().trim_matches('"').to_owned());
        }
    }
    for (name, value) in changed {
        assert!(defines.insert((*name).to_owned(), (*value).to_owned()).is_some(), "{name} is no setting");
    }
    defines
}

/// Replaces `&NAME` and `&NAME.`; an unknown name is an error, as SQL*Plus would ask for it.
pub fn substitute(text: &str, defines: &Defines) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let length = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
        let name = &after[..length];
        out.push_str(defines.get(name).unwrap_or_else(|| panic!("&{name} is not defined")));
        rest = after[length..].strip_prefix('.').unwrap_or(&after[length..]);
    }
    out + rest
}

/// Plain statements of a script and of what it includes, in order, as the server gets them.
pub fn statements(name: &str, defines: &Defines) -> Vec<String> {
    let (parts, wrong) = parts(name, &text(name));
    assert!(wrong.is_empty(), "{wrong:#?}");
    let mut out = Vec::new();
    for (_, part) in parts {
        match part {
            Part::Command(command) => {
                let command = substitute(&command, defines);
                if let Some(call) = command.strip_prefix("@@") {
                    let mut words = call.split_whitespace();
                    let mut inner = defines.clone();
                    let file = words.next().expect("a file");
                    for (at, word) in words.enumerate() {
                        inner.insert((at + 1).to_string(), word.to_owned());
                    }
                    out.extend(statements(file, &inner));
                }
            }
            Part::Sql(sql) => out.push(substitute(&sql, defines)),
            Part::Block(_) => {}
        }
    }
    out
}
