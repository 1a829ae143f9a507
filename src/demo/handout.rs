//! What a partner is given to try the API with: keys, the consent page's private key, and persons of the register.
//!
//! Files, and private ones, as a partner's own would be. The persons are made up, and traffic leaves them alone.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::DemoFailed;
use super::stage::{self, Stage};
use crate::legacy::sqlite::generate;

/// Persons that are handed out: one to book by hand, one for a round of everything, one to spare.
const PERSONS: usize = 3;

/// Writes `partner/` into the demonstration's folder; `free` are numbers of persons who may book.
pub fn write(stage: &Stage, free: &[u32]) -> Result<PathBuf, DemoFailed> {
    let dir = stage.folder.path.join("partner");
    let made = std::fs::DirBuilder::new().mode(0o700).create(&dir);
    made.map_err(|source| DemoFailed::File { path: dir.clone(), source })?;
    for (partner, key) in stage::PARTNERS.into_iter().zip(&stage.keys) {
        file(&dir.join(format!("{partner}.key")), key)?;
    }
    file(&dir.join("consent-page.key"), &URL_SAFE_NO_PAD.encode(stage.issuer_seed.expose()))?;
    for (at, number) in free.iter().take(PERSONS).enumerate() {
        let person = generate::person(stage.plan.seed, *number, stage::born(&stage.plan));
        let name = |what: &str| dir.join(format!("person-{}.{what}", at + 1));
        file(&name("ci"), &person.ci)?;
        file(&name("born"), person.birth.get(..4).unwrap_or_default())?;
    }
    Ok(dir)
}

fn file(path: &Path, text: &str) -> Result<(), DemoFailed> {
    let failed = |source| DemoFailed::File { path: path.to_owned(), source };
    let mut file = std::fs::File::options().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    writeln!(file, "{text}").map_err(failed)
}
