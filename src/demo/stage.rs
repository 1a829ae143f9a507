//! The scenery: a folder with an example legacy database, shipped mappings, keys, and the daemon over them.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ring::rand::{SecureRandom, SystemRandom};
use rusqlite::Connection;

use super::double::Double;
use super::import::{self, Imported};
use super::partner::{Consent, now};
use super::{DemoFailed, Options, agency, officers, proof};
use crate::cli::{APPROVALS, MAPPINGS};
use crate::config::{Config, LegacyKind, Maintained, Series};
use crate::domain::{AllotmentMode, PartnerId, SeriesId, Timestamp};
use crate::keys::{ApiKeys, DemoIssuer, Environment, KeyFolder, ReceiptRequest, SignedBy};
use crate::legacy::LegacyError;
use crate::legacy::sqlite::native::Selling;
use crate::legacy::sqlite::{self, Design, generate, schema};
use crate::{app, telemetry};

/// The demonstration's consent page.
const ISSUER: &str = "demo-consent";
/// Placeholders in the pool a slot: what is taken before demand, and what demand takes.
const UNITS_HELD: u32 = 4;
const PLACEHOLDERS_MAX: u32 = 500_000;
/// Longest pause of write-back after a failure: a demonstration is short.
const BACKOFF_MS_MAX: u64 = 2_000;
pub const PARTNERS: [&str; 2] = ["naver", "kakao"];
/// The agency itself, which sees numbers and not buckets.
pub const AUDIT: &str = "audit";

/// A folder that is removed at the end, unless the caller named it.
pub struct Folder {
    pub path: PathBuf,
    is_ours: bool,
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.is_ours
            && let Err(error) = std::fs::remove_dir_all(&self.path)
        {
            tracing::warn!(%error, path = %self.path.display(), "the demonstration's folder could not be removed");
        }
    }
}

pub struct Stage {
    pub folder: Folder,
    pub config: Config,
    pub legacy: PathBuf,
    /// How the agency's application counts.
    pub design: Design,
    /// Where it is Oracle's double. Ends with the stage.
    pub double: Option<Double>,
    /// Of the mode, where the adapter asks for one.
    pub proof: Option<app::Proof>,
    /// Units that the agency assigned before anybody booked.
    pub first_quota: Option<u64>,
    pub plan: generate::Plan,
    /// Bearer keys by partner, in the order of `PARTNERS`.
    pub keys: Vec<String>,
    pub consent: Arc<Consent>,
    pub base: String,
    pub imported: Option<Imported>,
    /// Of the agency's own check of what is published.
    pub audit_key: String,
}

/// Makes everything but the persons.
pub fn set(options: &Options) -> Result<Stage, DemoFailed> {
    let folder = folder(options.dir.as_deref())?;
    let dir = folder.path.clone();
    let mut seed = [0; 32];
    SystemRandom::new().fill(&mut seed).map_err(|_| DemoFailed::Random)?;
    let issuer = DemoIssuer::new(ISSUER, SignedBy::Issuer, &seed);
    let mappings = dir.join("mappings");
    write_mappings(&mappings, &issuer, options.import.as_deref())?;
    let mut keys = keys(&dir.join("keys"))?;
    let audit_key = keys.pop().unwrap_or_default();
    let legacy = dir.join("legacy.db");
    let mut plan = generate::Plan::new(options.seed, now());
    (plan.slots, plan.people) = (options.slots, options.people);
    plan.sites = plan.sites.min(options.slots.div_ceil(4)).max(1);
    let design = design(options);
    let (series, imported) = fill_legacy(&legacy, &plan, options, design)?;
    let is_quota = options.mode == AllotmentMode::Quota;
    let first_quota = is_quota.then(|| agency::assign_first_quota(&legacy, Selling::of(design))).transpose()?;
    let double = double(options, &legacy, &dir)?;
    let address = address(options.port)?;
    let mut config = config(&dir, &legacy, address, series, options);
    if let Some(double) = &double {
        double.configure(&mut config);
        // The double answers every statement from another process, one writer at a time.
        config.desk.prewarm_per_s_max = 150;
    }
    let needs_proof = config.legacy.kind == LegacyKind::Oracle && options.mode.takes();
    let proof = needs_proof.then(|| proof::prove(&config, &legacy, design, &plan)).transpose()?;
    Ok(Stage {
        base: config.daemon.public_url.clone(),
        folder,
        config,
        legacy,
        design,
        double,
        proof,
        first_quota,
        plan,
        keys,
        consent: consent(issuer),
        imported,
        audit_key,
    })
}

fn folder(named: Option<&Path>) -> Result<Folder, DemoFailed> {
    let failed = |path: &Path, source| DemoFailed::File { path: path.to_owned(), source };
    if let Some(path) = named {
        std::fs::create_dir_all(path).map_err(|source| failed(path, source))?;
        let is_empty = std::fs::read_dir(path).map_err(|source| failed(path, source))?.next().is_none();
        return if is_empty {
            Ok(Folder { path: path.to_owned(), is_ours: false })
        } else {
            Err(DemoFailed::NotEmpty { path: path.to_owned() })
        };
    }
    let name = format!("slotbridge-demo-{}", uuid::Uuid::now_v7());
    let path = std::env::temp_dir().join(name);
    std::fs::DirBuilder::new().mode(0o700).create(&path).map_err(|source| failed(&path, source))?;
    Ok(Folder { path, is_ours: true })
}

/// The shipped mappings, with the demonstration's consent page as an issuer of receipts, and its officers' approvals.
fn write_mappings(dir: &Path, issuer: &DemoIssuer, import: Option<&Path>) -> Result<(), DemoFailed> {
    // The agency's own check reader is there to compare an import; elsewhere its feeds would have no reader.
    let is_wanted = |path: &str| import.is_some() || !(path.starts_with("audit/") || path.contains("/audit."));
    let shipped = MAPPINGS.iter().chain(APPROVALS).filter(|(path, _)| is_wanted(path));
    let mut files: BTreeMap<String, Vec<u8>> =
        shipped.map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
    let name = "name = { ko = \"시연용 동의 화면\", en = \"Consent page of the demonstration\" }";
    let key = issuer.public_key();
    let policy = files.entry("policy.toml".to_owned()).or_default();
    policy.extend(format!("\n[[receipts.issuer]]\nid = \"{ISSUER}\"\n{name}\npublic_key = \"{key}\"\n").bytes());
    officers::renew(&mut files, now())?;
    for (path, bytes) in files {
        let path = dir.join(path);
        write_new(&path, &bytes).map_err(|source| DemoFailed::File { path, source })?;
    }
    Ok(())
}

fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let mut file = std::fs::File::options().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)
}

fn keys(dir: &Path) -> Result<Vec<String>, DemoFailed> {
    let folder = KeyFolder::open(dir).map_err(|error| DemoFailed::Keys { cause: error.to_string() })?;
    let failed = |error: crate::keys::ApiKeysError| DemoFailed::Keys { cause: error.to_string() };
    let mut keys = ApiKeys::open(&folder).map_err(failed)?;
    let mut texts = Vec::new();
    for partner in PARTNERS.into_iter().chain([AUDIT]) {
        let partner = PartnerId::new(partner).map_err(|error| DemoFailed::Keys { cause: error.to_string() })?;
        let made = keys.make(&folder, Environment::Test, &partner).map_err(failed)?;
        texts.push(String::from_utf8_lossy(made.text.expose()).into_owned());
    }
    Ok(texts)
}

fn consent(issuer: DemoIssuer) -> Arc<Consent> {
    Arc::new(move |partner, series, ci| {
        let (partner, series) = (PartnerId::new(partner).ok()?, SeriesId::new(series).ok()?);
        issuer.receipt(ReceiptRequest {
            partner: &partner,
            purpose: "booking",
            series: &series,
            ci: ci.as_bytes(),
            issued_at: now(),
            consent_sha256: None,
        })
    })
}

type Filled = (Vec<SeriesId>, Option<Imported>);

/// Sites and slots: generated, or from a real publication.
fn fill_legacy(path: &Path, plan: &generate::Plan, options: &Options, design: Design) -> Result<Filled, DemoFailed> {
    let mut connection = schema::create(path, design)?;
    if options.mode == AllotmentMode::CountRows {
        generate::placeholders(&mut connection, plan.now, plan.slots.saturating_mul(UNITS_HELD).min(PLACEHOLDERS_MAX))?;
    }
    let imported = match &options.import {
        None => {
            generate::sites_and_slots(&mut connection, plan)?;
            None
        }
        Some(source) => Some(import::load(&mut connection, source, plan.now)?),
    };
    Ok((series(&connection)?, imported))
}

fn design(options: &Options) -> Design {
    Design {
        mode: options.mode,
        maintained: match options.maintained {
            Maintained::Application => sqlite::Maintained::Application,
            Maintained::Trigger => sqlite::Maintained::Trigger,
        },
        person_constraint: app::person_constraint(options.person_constraint),
    }
}

#[cfg(debug_assertions)]
fn double(options: &Options, legacy: &Path, dir: &Path) -> Result<Option<Double>, DemoFailed> {
    match options.legacy {
        super::Legacy::Sqlite => Ok(None),
        super::Legacy::OracleDouble => Double::start(legacy, dir, options.body).map(Some),
    }
}

#[cfg(not(debug_assertions))]
fn double(options: &Options, _: &Path, _: &Path) -> Result<Option<Double>, DemoFailed> {
    match options.legacy {
        super::Legacy::Sqlite => Ok(None),
    }
}

fn series(connection: &Connection) -> Result<Vec<SeriesId>, DemoFailed> {
    let sql = |error: rusqlite::Error| DemoFailed::Legacy { cause: error.to_string() };
    let mut select = connection.prepare("SELECT DISTINCT SERIES_CD FROM SB_SLOT ORDER BY 1").map_err(sql)?;
    let codes = select.query_map([], |row| row.get::<_, String>(0)).map_err(sql)?;
    let codes: Vec<String> = codes.collect::<Result<_, _>>().map_err(sql)?;
    codes
        .iter()
        .map(|code| SeriesId::new(code).map_err(|error| DemoFailed::Legacy { cause: error.to_string() }))
        .collect()
}

/// The port asked for, or a free one: found by binding it, so that the public URL is known before the daemon starts.
fn address(port: u16) -> Result<SocketAddr, DemoFailed> {
    let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let failed = |source| DemoFailed::Port { address: wanted, source };
    TcpListener::bind(wanted).and_then(|listener| listener.local_addr()).map_err(failed)
}

fn config(dir: &Path, legacy: &Path, address: SocketAddr, series: Vec<SeriesId>, options: &Options) -> Config {
    let mut config = Config::default();
    config.daemon.data_dir = dir.join("data");
    config.daemon.public_url = format!("http://{address}");
    config.daemon.origin = officers::ORIGIN.to_owned();
    config.mappings.genesis = officers::trust().genesis;
    config.listen.partners_http = Some(address);
    config.listen.observe = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    config.legacy.path = legacy.to_owned();
    config.legacy.person_constraint = options.person_constraint;
    config.allotment.mode = options.mode;
    // A demonstration has no agency whose rate it must spare.
    config.allotment.on_request_per_s_max = 300;
    if options.mode == AllotmentMode::CountRows {
        config.allotment.placeholder_view = Some("SB_PLACEHOLDER".to_owned());
    }
    config.allotment.maintained_by = options.maintained;
    config.writeback.backoff_ms_max = BACKOFF_MS_MAX;
    config.mappings.dir = dir.join("mappings");
    config.secrets.key_dir = dir.join("keys");
    // Everybody wants the soonest slots, and a demonstration has not all day to warm up.
    config.desk.prewarm_units = 2;
    config.desk.prewarm_per_s_max = 500;
    // The demonstration's legacy system is its own: it may be read half of the time.
    config.capture.duty_percent_max = 50;
    config.capture.full_cut_interval_s = 60;
    config.intake.requests_per_s_max = 10_000;
    config.series = series.into_iter().map(|code| (code, Series::default())).collect();
    config
}

/// Loads the first `people` persons.
pub fn load_people(path: &Path, design: Design, plan: &generate::Plan, people: u32) -> Result<(), LegacyError> {
    load_more_people(path, design, plan, 0, people)
}

/// Loads the persons after the first `from` up to `people`.
pub fn load_more_people(
    path: &Path,
    design: Design,
    plan: &generate::Plan,
    from: u32,
    people: u32,
) -> Result<(), LegacyError> {
    let mut connection = schema::create(path, design)?;
    let part = generate::Plan { people, ..*plan };
    generate::persons_from(&mut connection, &part, from + 1, &mut |_, _| ()).map(|_| ())
}

/// Logs of the demonstration: what an operator must see, and nothing between the table's lines.
pub fn logs() -> telemetry::LogSettings {
    let filter = std::env::var("SLOTBRIDGE_LOG").unwrap_or_else(|_| "warn".to_owned());
    telemetry::LogSettings { filter, ..telemetry::LogSettings::default() }
}

/// The instant that people's ages are counted from; the same for those who load them and those who are them.
pub fn born(plan: &generate::Plan) -> Timestamp {
    plan.now
}

/// Number of the first of the register's first `among` persons who may book and has no reservation; 1 if nobody is so.
pub fn someone_free(stage: &Stage, among: u32) -> Result<u32, DemoFailed> {
    let sql = |error: rusqlite::Error| DemoFailed::Legacy { cause: error.to_string() };
    let legacy = Connection::open(&stage.legacy).map_err(sql)?;
    let mut reserved = legacy.prepare("SELECT COUNT(*) FROM TB_RESV WHERE PSN_NO = ?1").map_err(sql)?;
    for number in 1..=among.min(stage.plan.people) {
        let person = generate::person(stage.plan.seed, number, born(&stage.plan));
        let count: i64 = reserved.query_row([&person.key], |row| row.get(0)).map_err(sql)?;
        if count == 0 && person.standing == generate::Standing::Active {
            return Ok(number);
        }
    }
    Ok(1)
}
