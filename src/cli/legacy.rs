//! `legacy generate|import`: fills the example legacy system.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use rusqlite::Connection;

use super::{ConfigFile, Exit, Failed, Out};
use crate::clock::{Clock, SystemClock};
use crate::config::{self, Config, LegacyKind};
use crate::legacy::LegacyError;
use crate::legacy::import::{self, ImportError, Publication, Report};
use crate::legacy::sqlite::{generate, schema};

/// A file of a publication over HTTP.
const FETCH_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(120);

#[derive(Debug, Subcommand)]
pub enum LegacyCommand {
    /// Make an example database: sites, slots and persons of Korea, by seed.
    Generate {
        #[command(flatten)]
        file: ConfigFile,
        #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=5_000_000))]
        slots: u32,
        #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(0..=60_000_000))]
        people: u32,
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Load a real publication, saying of every record what became of it.
    #[command(group = clap::ArgGroup::new("source").required(true))]
    Import {
        #[command(flatten)]
        file: ConfigFile,
        /// SMART Scheduling Links: a folder with $bulk-publish and its files, or the manifest's URL.
        #[arg(long, value_name = "DIR_OR_URL", group = "source")]
        smart: Option<String>,
        /// CoWIN: a calendarByDistrict answer.
        #[arg(long, value_name = "FILE", group = "source")]
        cowin: Option<PathBuf>,
        /// Persons to generate beside it.
        #[arg(long, default_value_t = 100_000)]
        people: u32,
    },
}

pub fn legacy(command: &LegacyCommand, out: &mut Out) -> Result<Exit, Failed> {
    let now = SystemClock.now();
    match command {
        LegacyCommand::Generate { file, slots, people, seed } => {
            let config = config::load(&file.config)?.config;
            let mut connection = fresh(&config)?;
            let mut plan = generate::Plan::new(*seed, now);
            (plan.slots, plan.people) = (*slots, *people);
            plan.sites = plan.sites.min(slots.div_ceil(4)).max(1);
            let made = generate::sites_and_slots(&mut connection, &plan).map_err(|error| failed(&error))?;
            persons(&mut connection, &plan)?;
            if out.is_json() {
                out.value(&serde_json::json!({
                    "sites": made.sites, "slots": made.slots, "units": made.units, "reservations": made.reservations,
                    "persons": people, "path": config.legacy.path,
                }));
            } else {
                out.line(&format!(
                    "{} sites, {} slots, {} places, {} reservations, {people} persons in {}",
                    made.sites,
                    made.slots,
                    made.units,
                    made.reservations,
                    config.legacy.path.display()
                ));
                out.line("its series are covid19-1 and covid19-2: name those that may be booked in [series.…]");
            }
            Ok(Exit::Done)
        }
        LegacyCommand::Import { file, smart, cowin, people } => {
            let config = config::load(&file.config)?.config;
            let publication = read(smart.as_deref(), cowin.as_deref()).map_err(|error| not_imported(&error))?;
            let mut connection = fresh(&config)?;
            let report = import::load(&mut connection, &publication, now).map_err(|error| not_imported(&error))?;
            let mut plan = generate::Plan::new(1, now);
            plan.people = *people;
            persons(&mut connection, &plan)?;
            told(&report, out)
        }
    }
}

/// The database of the configuration, which must not be there yet.
fn fresh(config: &Config) -> Result<Connection, Failed> {
    if config.legacy.kind != LegacyKind::Sqlite {
        let message = "legacy.kind is oracle: an example is only made in the embedded system";
        return Err(Failed::new(
            Exit::Wrong,
            "not_embedded",
            message,
            "use a configuration with legacy.kind = \"sqlite\"",
        ));
    }
    let path = &config.legacy.path;
    if path.exists() {
        let message = format!("{} is there already", path.display());
        return Err(Failed::new(Exit::Exists, "exists", message, "move it away, or set legacy.path to another file"));
    }
    schema::create(path, crate::app::person_constraint(config.legacy.person_constraint)).map_err(|error| failed(&error))
}

fn persons(connection: &mut Connection, plan: &generate::Plan) -> Result<(), Failed> {
    let bar = indicatif::ProgressBar::new(u64::from(plan.people)).with_message("persons");
    let loaded = generate::persons(connection, plan, &mut |done, _| bar.set_position(done));
    bar.finish_and_clear();
    loaded.map(|_| ()).map_err(|error| failed(&error))
}

fn read(smart: Option<&str>, cowin: Option<&Path>) -> Result<Publication, ImportError> {
    match (smart, cowin) {
        (Some(url), _) if url.contains("://") => {
            crate::app::install_crypto();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| unread(url, &error))?;
            let client =
                reqwest::Client::builder().timeout(FETCH_TIMEOUT).build().map_err(|error| unread(url, &error))?;
            import::read_smart_url(url, &mut |url| {
                runtime.block_on(fetch(&client, url)).map_err(|error| error.without_url().to_string())
            })
        }
        (Some(folder), _) => import::read_smart_dir(Path::new(folder)),
        (None, Some(file)) => import::read_cowin_file(file),
        (None, None) => Err(ImportError::NothingUsable),
    }
}

async fn fetch(client: &reqwest::Client, url: &str) -> Result<Vec<u8>, reqwest::Error> {
    let response = client.get(url).send().await?.error_for_status()?;
    Ok(response.bytes().await?.to_vec())
}

fn unread(what: &str, error: &dyn std::error::Error) -> ImportError {
    ImportError::Read { what: what.to_owned(), detail: error.to_string() }
}

fn told(report: &Report, out: &mut Out) -> Result<Exit, Failed> {
    if out.is_json() {
        let value =
            serde_json::to_value(report).map_err(|error| Failed::new(Exit::Defect, "defect", error, "report it"))?;
        out.value(&value);
    } else {
        out.text(&crate::demo::import_words(report));
        for note in &report.notes {
            let id = note.id.as_deref().unwrap_or("–");
            out.line(&format!("{}\t{id}\t{:?}\t{}", note.place, note.code, note.detail));
        }
        if report.notes_left_out > 0 {
            out.line(&format!("{} more notes were counted and are not listed", report.notes_left_out));
        }
    }
    Ok(Exit::Done)
}

fn failed(error: &LegacyError) -> Failed {
    Failed::new(Exit::Io, error.kind.code(), error, "check legacy.path and who else uses the file").because(error)
}

fn not_imported(error: &ImportError) -> Failed {
    let try_ = "name a folder with $bulk-publish (or its URL) for --smart, a calendarByDistrict answer for --cowin";
    Failed::new(Exit::Wrong, error.code(), error, try_).because(error)
}
