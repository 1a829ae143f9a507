//! The reference of the configuration, and the commented file that `init` writes: both from the doc comments.

use toml::Value;

use super::allotment::AllotmentClass;
use super::load::OVERRIDES;
use super::section::{KeyDoc, SectionDoc};
use super::sections::{Config, Series};

/// Defaults as TOML, by section.
fn defaults() -> toml::Table {
    let mut table = toml::Table::try_from(Config::default()).unwrap_or_default();
    let series = (Series::DOC.path, Value::try_from(Series::default()));
    let class = (AllotmentClass::DOC.path, Value::try_from(AllotmentClass::default()));
    for (path, section) in [series, class] {
        table.extend(section.ok().map(|section| (path.to_owned(), section)));
    }
    table
}

fn default_of(defaults: &toml::Table, section: &SectionDoc, key: &KeyDoc) -> Option<String> {
    defaults.get(section.path)?.get(key.name).map(Value::to_string)
}

/// Every key with its default and its sentence, as Markdown.
pub fn reference() -> String {
    let defaults = defaults();
    let mut text =
        String::from("# slotbridge.toml\n\nPaths are relative to the file's folder. Unknown keys are errors.\n");
    for section in Config::DOCS {
        text.push_str(&format!("\n## [{}]\n\n{}\n\n", section.path, joined(section.doc)));
        for key in section.keys {
            let default = match default_of(&defaults, &section, key) {
                Some(value) => format!("default `{value}`"),
                None => format!("not set, for example `{}`", key.example.unwrap_or("")),
            };
            text.push_str(&format!("- `{}` ({default}): {}\n", key.name, joined(key.doc)));
        }
    }
    text.push_str("\n## Environment\n\n");
    for (variable, key) in OVERRIDES {
        text.push_str(&format!("- `{variable}` replaces `{key}`\n"));
    }
    text
}

/// The file that `init` writes: every key with its sentence; what has a default is commented out, `set` is written.
pub fn commented_file(set: &[(&str, &str)]) -> String {
    let defaults = defaults();
    let mut text =
        String::from("# Configuration of slotbridge. `slotbridge check` judges it; paths are relative to this file.\n");
    for section in Config::DOCS {
        let path = section.path.replace("series.<code>", "series.covid19-1").replace("class.<code>", "class.leftover");
        text.push_str(&format!("\n# {}\n[{path}]\n", joined(section.doc)));
        for key in section.keys {
            let full = format!("{path}.{}", key.name);
            let value = set.iter().find(|(name, _)| *name == full).map(|(_, value)| *value);
            let default = default_of(&defaults, &section, key);
            let shown = value.or(key.example).or(default.as_deref()).unwrap_or("");
            let mark = if value.is_some() { "" } else { "# " };
            text.push_str(&format!("# {}\n{mark}{} = {shown}\n", joined(key.doc), key.name));
        }
    }
    text
}

fn joined(doc: &[&str]) -> String {
    doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_names_every_key_with_its_sentence() {
        insta::assert_snapshot!(reference());
        for section in Config::DOCS {
            for key in section.keys {
                assert!(!joined(key.doc).is_empty(), "{}", key.name);
                let default = default_of(&defaults(), &section, key);
                assert!(default.is_some() || key.example.is_some(), "{}.{}", section.path, key.name);
            }
        }
    }

    #[test]
    fn a_commented_file_with_every_key_uncommented_is_valid() {
        let text = commented_file(&[("listen.partners_http", "\"127.0.0.1:8080\"")]);
        let file = std::path::Path::new("slotbridge.toml");
        super::super::load_text(file, &text, &|_| None).unwrap();
        let uncommented: String = text
            .lines()
            .map(|line| if line.contains(" = ") { line.trim_start_matches("# ") } else { line }.to_owned() + "\n")
            .collect();
        // Listening on TLS and plain HTTP at once is allowed; nothing here touches the files.
        super::super::load_text(file, &uncommented, &|_| None).unwrap();
    }
}
