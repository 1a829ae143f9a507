//! `mappings digest`.

use serde_json::json;

use super::Folder;
use crate::cli::{Exit, Failed, Out};
use crate::privacy::Closure;

#[derive(Debug, clap::Args)]
pub struct DigestArgs {
    #[command(flatten)]
    folder: Folder,
}

pub fn digest(args: &DigestArgs, out: &mut Out) -> Result<Exit, Failed> {
    let set = super::loaded(&args.folder.dir)?;
    let closures: Vec<Closure> =
        set.mappings().filter_map(|(partner, kind, _)| Closure::of(&set, partner, kind)).collect();
    if out.is_json() {
        let all =
            closures.iter().map(|c| json!({ "mapping": c.id(), "version": c.mapping.version, "digest": c.digest() }));
        out.value(&json!({ "mappings": all.collect::<Vec<_>>() }));
    } else {
        for closure in &closures {
            out.line(&format!("{} {} v{}", closure.digest(), closure.id(), closure.mapping.version));
        }
    }
    Ok(Exit::Done)
}
