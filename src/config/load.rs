//! Reads the file. One wrong key does not hide the next: what is wrong is reported, taken out, and reading goes on.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use super::problem::{Problem, Problems};
use super::sections::Config;
use super::validate::validate;

/// A configuration file is a few kilobytes; more is a mistake.
const FILE_BYTES_MAX: u64 = 256 * 1024;
/// Problems of structure after which reading stops.
const PROBLEMS_MAX: usize = 100;

/// Environment variables that replace a key: paths and listen addresses only.
pub const OVERRIDES: [(&str, &str); 6] = [
    ("SLOTBRIDGE_DATA_DIR", "daemon.data_dir"),
    ("SLOTBRIDGE_LEGACY_PATH", "legacy.path"),
    ("SLOTBRIDGE_MAPPINGS_DIR", "mappings.dir"),
    ("SLOTBRIDGE_KEY_DIR", "secrets.key_dir"),
    ("SLOTBRIDGE_LISTEN_PARTNERS_HTTP", "listen.partners_http"),
    ("SLOTBRIDGE_LISTEN_OBSERVE", "listen.observe"),
];

/// A valid configuration and where it came from. Its paths are absolute or relative to the working directory.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub config: Config,
    pub file: PathBuf,
}

/// Reads and judges `file`; the environment is the process's own.
pub fn load(file: &Path) -> Result<Loaded, Problems> {
    let whole = |code, message: String, try_: &str| {
        Problems(vec![Problem {
            code,
            file: file.to_owned(),
            text: None,
            span: None,
            cause: "nothing else could be looked at".to_owned(),
            message,
            try_: try_.to_owned(),
        }])
    };
    let unreadable = |error: std::io::Error| {
        let try_ = "`slotbridge init DIR` writes a commented file; name it with --config";
        whole("config.unreadable", format!("the configuration cannot be read: {error}"), try_)
    };
    let size = std::fs::metadata(file).map_err(unreadable)?.len();
    if size > FILE_BYTES_MAX {
        let message = format!("the configuration has {size} bytes, more than {FILE_BYTES_MAX}");
        return Err(whole("config.too_long", message, "is this the right file?"));
    }
    let bytes = std::fs::read(file).map_err(unreadable)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let message = format!("the configuration is not UTF-8 after byte {}", error.utf8_error().valid_up_to());
        whole("config.not_utf8", message, "save it as UTF-8")
    })?;
    load_text(file, &text, &|name| std::env::var(name).ok())
}

/// As `load`, for text at hand; `env` looks up an environment variable.
pub fn load_text(file: &Path, text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Loaded, Problems> {
    let shared: Arc<str> = Arc::from(text);
    let mut problems = Problems::default();
    let (root, syntax) = DeTable::parse_recoverable(text);
    for error in syntax {
        problems.push(Problem {
            code: "config.syntax",
            file: file.to_owned(),
            text: Some(shared.clone()),
            span: error.span(),
            message: "this is not TOML".to_owned(),
            cause: error.message().to_owned(),
            try_: "correct the syntax; the other keys are looked at after that".to_owned(),
        });
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let spans = root.clone();
    let mut config = structure(file, &shared, root, &mut problems);
    overrides(&mut config, env, &mut problems);
    relative_to(&mut config, file.parent().unwrap_or(Path::new("")));
    let place = |path: &str| span_of(spans.get_ref(), path);
    validate(&config, file, &shared, &place, &mut problems);
    problems.0.sort_by_key(|problem| problem.span.as_ref().map_or(0, |span| span.start));
    if problems.is_empty() { Ok(Loaded { config, file: file.to_owned() }) } else { Err(problems) }
}

/// Deserialises, and takes out what does not fit until the rest does.
fn structure(file: &Path, text: &Arc<str>, root: Spanned<DeTable<'_>>, problems: &mut Problems) -> Config {
    let mut rest = root;
    for _ in 0..PROBLEMS_MAX {
        match Config::deserialize(Deserializer::from(rest.clone())) {
            Ok(config) => return config,
            Err(error) => {
                let span = error.span();
                problems.push(structural(file, text, error.message(), span.clone()));
                if !span.is_some_and(|span| take_out(rest.get_mut(), &span)) {
                    break;
                }
            }
        }
    }
    Config::default()
}

fn structural(file: &Path, text: &Arc<str>, message: &str, span: Option<Range<usize>>) -> Problem {
    let unknown = message.strip_prefix("unknown field `").and_then(|rest| rest.split_once('`'));
    let (code, message, cause, try_) = match unknown {
        Some((key, rest)) => {
            let known: Vec<&str> = rest.split('`').skip(1).step_by(2).collect();
            // Keys of earlier versions, told by a neighbour that only their section has.
            let moved = match key {
                "mode" if known.contains(&"person_constraint") => Some("allotment.mode"),
                "counter_maintained_by" => Some("allotment.maintained_by"),
                _ => None,
            };
            let try_ = match nearest(key, &known) {
                _ if moved.is_some() => format!("it is `{}` now", moved.unwrap_or_default()),
                Some(close) => format!("did you mean `{close}`?"),
                None => format!("use one of {}", known.join(", ")),
            };
            ("config.unknown_key", format!("unknown key `{key}`"), "no such key in this section".to_owned(), try_)
        }
        None => (
            "config.wrong_value",
            "a value does not fit its key".to_owned(),
            message.to_owned(),
            "`slotbridge config reference` states what each key takes".to_owned(),
        ),
    };
    Problem { code, file: file.to_owned(), text: Some(text.clone()), span, message, cause, try_ }
}

/// Removes the innermost entry whose key or value covers `span`.
fn take_out(table: &mut DeTable<'_>, span: &Range<usize>) -> bool {
    let covers = |outer: Range<usize>| outer.start <= span.start && span.end <= outer.end;
    for (_, value) in table.iter_mut() {
        if let DeValue::Table(inner) = value.get_mut()
            && take_out(inner, span)
        {
            return true;
        }
    }
    let hit = table.iter().find(|(key, value)| covers(key.span()) || covers(value.span()));
    let Some(name) = hit.map(|(key, _)| key.clone()) else { return false };
    table.remove(&name).is_some()
}

/// Where the value of a dotted path stands; the key's own place when only a parent exists is not shown.
fn span_of(table: &DeTable<'_>, path: &str) -> Option<Range<usize>> {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let (key, value) = table.iter().find(|(key, _)| key.get_ref() == first)?;
    match rest {
        None => Some(if value.get_ref().is_table() { key.span() } else { value.span() }),
        Some(rest) => value.get_ref().as_table().and_then(|inner| span_of(inner, rest)).or_else(|| Some(key.span())),
    }
}

fn overrides(config: &mut Config, env: &dyn Fn(&str) -> Option<String>, problems: &mut Problems) {
    for (variable, key) in OVERRIDES {
        let Some(value) = env(variable) else { continue };
        let mut wrong = |cause: String| {
            problems.push(Problem {
                code: "config.environment",
                file: PathBuf::from(format!("${variable}")),
                text: None,
                span: None,
                message: format!("${variable} does not fit `{key}`"),
                cause,
                try_: format!("unset {variable} or give it a value like the one of `{key}`"),
            });
        };
        match key {
            "daemon.data_dir" => config.daemon.data_dir = absolute(&value),
            "legacy.path" => config.legacy.path = absolute(&value),
            "mappings.dir" => config.mappings.dir = absolute(&value),
            "secrets.key_dir" => config.secrets.key_dir = absolute(&value),
            "listen.partners_http" => match value.parse() {
                Ok(address) => config.listen.partners_http = Some(address),
                Err(_) => wrong("not an address like 127.0.0.1:8080".to_owned()),
            },
            _ => match value.parse() {
                Ok(address) => config.listen.observe = address,
                Err(_) => wrong("not an address like 127.0.0.1:9464".to_owned()),
            },
        }
    }
}

/// A path of the environment is relative to the working directory, not to the file.
fn absolute(path: &str) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path))
}

fn relative_to(config: &mut Config, folder: &Path) {
    let listen = &mut config.listen;
    let oracle = &mut config.oracle;
    let optional = [
        &mut listen.tls_certificate_file,
        &mut listen.tls_key_file,
        &mut listen.client_ca_file,
        &mut oracle.client_dir,
        &mut oracle.tns_admin,
        &mut config.allotment.placeholder_statement_file,
        &mut config.mappings.canary_file,
    ];
    let accounts = oracle.read_accounts.iter_mut().chain(&mut oracle.write_accounts);
    let secrets = accounts.map(|account| &mut account.secret_file);
    let always =
        [&mut config.daemon.data_dir, &mut config.legacy.path, &mut config.mappings.dir, &mut config.secrets.key_dir];
    for path in optional.into_iter().filter_map(Option::as_mut).chain(always).chain(secrets) {
        *path = folder.join(&*path);
    }
}

/// The known word closest to `word`, if at most a third of its letters differ.
fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let best = known.iter().map(|candidate| (distance(word, candidate), *candidate)).min()?;
    (best.0 * 3 <= word.chars().count().max(3)).then_some(best.1)
}

/// Levenshtein distance; both words are identifiers of a few dozen letters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Loaded, Problems> {
        load_text(Path::new("/etc/slotbridge/slotbridge.toml"), text, &|_| None)
    }

    const LISTEN: &str = "[listen]\npartners_http = \"127.0.0.1:8080\"\n";

    #[test]
    fn an_almost_empty_file_is_enough() {
        let loaded = read(LISTEN).unwrap();
        assert_eq!(loaded.config.daemon.data_dir, Path::new("/etc/slotbridge/data"));
        assert_eq!(loaded.config.capture.fast_interval_ms, 200);
    }

    #[test]
    fn all_problems_are_reported_at_once_each_underlined() {
        let text = "[daemon]\ndata_dri = \"x\"\nenvironment = \"prod\"\n\n[desk]\ncutoff_min = \"soon\"\nrefill_low = 20\n\n\
                    [listen]\npartners_http = \"0.0.0.0:80\"\n\n[nonsense]\na = 1\n\n[series.covid19-1]\nopens_at = \"tomorrow\"\n";
        let problems = read(text).unwrap_err();
        insta::assert_snapshot!(problems.render(crate::config::Style::Plain));
    }

    #[test]
    fn several_syntax_errors_are_reported_together() {
        let problems = read("[daemon\ndata_dir = \n[desk]\ncutoff_min = 3 4\n").unwrap_err();
        assert!(problems.len() >= 2, "{problems}");
        assert!(problems.0.iter().all(|p| p.code == "config.syntax"));
    }

    #[test]
    fn the_environment_replaces_paths_and_addresses_only() {
        let env = |name: &str| match name {
            "SLOTBRIDGE_DATA_DIR" => Some("/var/lib/slotbridge".to_owned()),
            "SLOTBRIDGE_LISTEN_PARTNERS_HTTP" => Some("127.0.0.1:1".to_owned()),
            "SLOTBRIDGE_LISTEN_OBSERVE" => Some("somewhere".to_owned()),
            _ => None,
        };
        let problems = load_text(Path::new("a.toml"), "", &env).unwrap_err();
        assert_eq!(problems.len(), 1);
        assert_eq!(problems.0[0].code, "config.environment");
    }

    #[test]
    fn a_near_miss_is_named() {
        assert_eq!(nearest("data_dri", &["data_dir", "origin"]), Some("data_dir"));
        assert_eq!(nearest("zzz", &["data_dir", "origin"]), None);
    }
}
