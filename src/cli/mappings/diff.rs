//! `mappings diff`: what a change means, before anybody is asked to sign it.
//!
//! Reads closures as they lie in a folder or a file. A closure kept under `approvals/` is taken as it stands: who signed
//! it is not looked at here, and the output says so.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::json;

use super::Folder;
use crate::app;
use crate::cli::{Exit, Failed, Out};
use crate::lint::{Change, ChangeRow, compare};
use crate::privacy::Closure;

/// Width that tables are folded to, terminal or not: the same output everywhere.
const WIDTH: u16 = 110;

#[derive(Debug, clap::Args)]
pub struct DiffArgs {
    #[command(flatten)]
    folder: Folder,
    /// OLD and NEW: mappings folders, or closures kept as .json. With one, it is NEW; with none, NEW is --dir. Without
    /// OLD, each mapping is compared with its newest version kept under approvals/.
    #[arg(value_name = "PATH", num_args = 0..=2)]
    paths: Vec<PathBuf>,
    /// Only this mapping, such as naver.slots.
    #[arg(long, value_name = "ID")]
    mapping: Option<String>,
    /// Unchanged parts too.
    #[arg(long)]
    all: bool,
}

/// One mapping on both sides.
struct Pair {
    before: Option<Closure>,
    after: Option<Closure>,
    /// Taken from `approvals/` without looking at its signatures.
    kept: bool,
}

pub fn diff(args: &DiffArgs, out: &mut Out) -> Result<Exit, Failed> {
    let mut pairs = pairs(args)?;
    if let Some(id) = &args.mapping {
        pairs.retain(|name, _| name == id);
        if pairs.is_empty() {
            let try_ = "see the ids with `slotbridge mappings digest`";
            return Err(Failed::new(Exit::Wrong, "no_mapping", format!("there is no mapping {id}"), try_));
        }
    }
    let told: Vec<(&String, &Pair, Option<Change>)> = pairs
        .iter()
        .map(|(id, pair)| (id, pair, pair.after.as_ref().map(|after| compare(pair.before.as_ref(), after))))
        .collect();
    if out.is_json() {
        let all: Vec<serde_json::Value> =
            told.iter().map(|(id, pair, change)| to_json(id, pair, change.as_ref())).collect();
        out.value(&json!({ "mappings": all }));
    } else {
        for (id, pair, change) in &told {
            out.text(&text(id, pair, change.as_ref(), args.all));
        }
    }
    Ok(Exit::Done)
}

fn pairs(args: &DiffArgs) -> Result<BTreeMap<String, Pair>, Failed> {
    let (old, new) = match args.paths.as_slice() {
        [old, new] => (Some(old), new),
        [new] => (None, new),
        _ => (None, &args.folder.dir),
    };
    let after = closures(new)?;
    let mut before = match old {
        Some(old) => closures(old)?,
        None if new.is_dir() => kept(new)?,
        None => BTreeMap::new(),
    };
    let mut pairs: BTreeMap<String, Pair> = BTreeMap::new();
    for (id, after) in after {
        let before = before.remove(&id);
        let kept = old.is_none() && before.is_some();
        pairs.insert(id, Pair { before, after: Some(after), kept });
    }
    // A version kept of a mapping that is gone from the folder goes on being in force; two folders tell what is gone.
    for (id, before) in before.into_iter().filter(|_| old.is_some()) {
        pairs.insert(id, Pair { before: Some(before), after: None, kept: false });
    }
    Ok(pairs)
}

fn closures(path: &Path) -> Result<BTreeMap<String, Closure>, Failed> {
    let found: Vec<Closure> = if path.is_dir() {
        let set = app::load_mappings(path)?;
        set.mappings().filter_map(|(partner, kind, _)| Closure::of(&set, partner, kind)).collect()
    } else {
        let bytes = std::fs::read(path).map_err(|error| Failed::io(path.display(), &error))?;
        vec![closure(path, &bytes)?]
    };
    Ok(found.into_iter().map(|closure| (closure.id().to_owned(), closure)).collect())
}

fn closure(path: &Path, bytes: &[u8]) -> Result<Closure, Failed> {
    let try_ = "give a mappings folder, or a closure as it lies under approvals/";
    Closure::from_json(bytes)
        .map_err(|error| Failed::new(Exit::Config, "bad_closure", path.display(), try_).because(&error))
}

/// The newest version of each mapping that is kept under the folder's `approvals/`.
fn kept(folder: &Path) -> Result<BTreeMap<String, Closure>, Failed> {
    let files = crate::mapping_files::read_folder(folder)
        .map_err(|error| Failed::new(Exit::Io, "io", folder.display(), "correct the folder").because(&error))?;
    let mut newest: BTreeMap<String, Closure> = BTreeMap::new();
    let versions = files.iter().filter(|(name, _)| name.starts_with("approvals/") && name.ends_with(".json"));
    for (name, bytes) in versions {
        let found = closure(&folder.join(name), bytes)?;
        // The folder says whose it is, and the content must agree.
        if name.split('/').nth(1) != Some(found.id()) {
            let try_ = "move it under the mapping that it is of";
            let what = format!("{} is a version of {}", folder.join(name).display(), found.id());
            return Err(Failed::new(Exit::Config, "bad_closure", what, try_));
        }
        let is_newer = newest.get(found.id()).is_none_or(|known| known.mapping.version <= found.mapping.version);
        if is_newer {
            newest.insert(found.id().to_owned(), found);
        }
    }
    Ok(newest)
}

fn to_json(id: &str, pair: &Pair, change: Option<&Change>) -> serde_json::Value {
    let side = |closure: Option<&Closure>| {
        closure.map(|closure| json!({ "version": closure.mapping.version, "digest": closure.digest() }))
    };
    let rows: Vec<&ChangeRow> = change.iter().flat_map(|change| change.moved()).collect();
    json!({
        "mapping": id,
        "before": side(pair.before.as_ref()),
        "after": side(pair.after.as_ref()),
        "verdict": change.map_or("narrower", |change| change.verdict.code()),
        "removed": pair.after.is_none(),
        "before_signatures": if pair.kept { "not_verified" } else { "none" },
        "rows": rows,
    })
}

fn text(id: &str, pair: &Pair, change: Option<&Change>, all: bool) -> String {
    let version = |closure: &Option<Closure>| match closure {
        Some(closure) => format!("v{} #{}", closure.mapping.version, &closure.digest()[..12]),
        None => "—".to_owned(),
    };
    let (ko, en) = change.map_or(("축소", "narrower"), |change| (change.verdict.ko(), change.verdict.code()));
    let mut text = format!("{id}  {} → {}  {ko} ({en})\n", version(&pair.before), version(&pair.after));
    let Some(change) = change else {
        text.push_str("  정의가 없어짐 / the mapping is gone\n\n");
        return text;
    };
    if pair.kept {
        text.push_str("  이전 판의 서명은 확인하지 않음 / signatures of the version before are not verified here\n");
    }
    if pair.before.is_none() {
        text.push_str("  비교할 이전 판이 없음: 모두 새로 제공 / nothing to compare with: everything is new\n");
    }
    let shown: Vec<&ChangeRow> = change.rows.iter().filter(|row| all || row.has_moved()).collect();
    if !shown.is_empty() {
        text.push_str(&format!("{}\n", table(&shown)));
    }
    let folded = change.rows.len() - shown.len();
    if folded > 0 {
        text.push_str(&format!("  변경 없음 {folded}건 / {folded} unchanged\n"));
    }
    text.push('\n');
    text
}

pub(super) fn table(rows: &[&ChangeRow]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table.set_header(["판정 / verdict", "항목 / subject", "이전 / before", "이후 / after"]);
    for row in rows {
        let axes: Vec<String> = row.axes.iter().map(|axis| format!("{} {}", axis.ko(), axis.code())).collect();
        let verdict = format!("{} {}", row.verdict.ko(), row.verdict.code());
        let verdict = if axes.is_empty() { verdict } else { format!("{verdict}: {}", axes.join(", ")) };
        let text = |side: &Option<String>| side.clone().unwrap_or_else(|| "—".to_owned());
        table.add_row([verdict, format!("{} / {}", row.label_ko, row.subject), text(&row.before), text(&row.after)]);
    }
    table
}
