//! The demonstration: an example legacy system, the real daemon, two partners over real HTTP, a native counter, an agency
//! with its vices, faults where the legacy system is the Oracle double, and a verdict computed at the end.
//!
//! Owns the traffic and the judging. Adds nothing to the daemon: it starts what `run` starts, in this process.
//! Invariants: partners know only what HTTP answers told them; the verdict is computed from the ledger's entries, a
//! recount of the legacy database and the partners' own records, never assumed.

mod agency;
mod codes;
mod dice;
#[cfg(debug_assertions)]
mod double;
#[cfg(not(debug_assertions))]
#[path = "double_absent.rs"]
mod double;
mod end;
mod import;
mod native;
pub mod officers;
mod partner;
mod proof;
mod shelf;
mod show;
pub mod stage;
mod tally;
mod told;
mod traffic;
mod verdict;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::app::{Approving, Daemon, Source, StartFailed};
use crate::cli::Out;
use crate::config::{Body, Maintained, PersonConstraint};
use crate::domain::AllotmentMode;
use crate::legacy::LegacyError;
use crate::legacy::import::Comparison;

pub use import::words as import_words;

use end::End;
use partner::{Access, Members, Partner};
use stage::Stage;
use tally::Tally;
use traffic::Traffic;

/// What the demonstration is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where everything is kept; removed at the end where it is not named.
    pub dir: Option<PathBuf>,
    pub slots: u32,
    pub people: u32,
    pub seed: u64,
    /// Seconds of traffic; without end where it is not named.
    pub seconds: Option<u64>,
    pub traffic: TrafficWanted,
    pub import: Option<PathBuf>,
    pub person_constraint: PersonConstraint,
    pub legacy: Legacy,
    pub mode: AllotmentMode,
    /// Who keeps the counter of the example legacy system.
    pub maintained: Maintained,
    /// How the Oracle adapter writes.
    pub body: Body,
    /// The agency recounts, saves stale screens and edits capacities.
    pub vices: bool,
    /// Faults of the Oracle double.
    pub faults: bool,
    /// 0: any free one.
    pub port: u16,
}

/// What stands for the agency's system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Legacy {
    /// The embedded one.
    Sqlite,
    /// The Oracle adapter over the test double's client and server.
    #[cfg(debug_assertions)]
    OracleDouble,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrafficWanted {
    Yes,
    /// Leaves it idle, for a person to try.
    No,
}

#[derive(Debug, thiserror::Error)]
pub enum DemoFailed {
    #[error("{path} cannot be written")]
    File { path: PathBuf, source: std::io::Error },
    #[error("{path} is not empty")]
    NotEmpty { path: PathBuf },
    #[error("{address} cannot be listened on")]
    Port { address: SocketAddr, source: std::io::Error },
    #[error("the system gives no random numbers")]
    Random,
    #[error("keys could not be made: {cause}")]
    Keys { cause: String },
    #[error("the demonstration's mappings could not be approved")]
    Approvals(#[from] officers::NotApproved),
    #[error("the Oracle double is not beside this program")]
    NoDouble,
    #[error("mode {} could not be proved: {cause}", mode.code())]
    Unproved { mode: AllotmentMode, cause: String },
    #[error("the example legacy system: {cause}")]
    Legacy { cause: String },
    #[error(transparent)]
    LegacyPort(#[from] LegacyError),
    #[error("the input cannot be used: {cause}")]
    Import { cause: String },
    #[error(transparent)]
    Start(#[from] StartFailed),
    #[error("no runtime")]
    Runtime { source: std::io::Error },
    #[error("an HTTP client could not be made: {cause}")]
    Client { cause: String },
    #[error("{what} did not happen within {seconds} s")]
    Late { what: &'static str, seconds: u64 },
    #[error("the ledger could not be written any more")]
    NotDurable,
    #[error("the ledger could not be read: {cause}")]
    Ledger { cause: String },
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Right,
    Wrong,
}

/// So many persons are loaded before traffic begins; the rest follows behind it.
const FIRST_PEOPLE: u32 = 4_000;
/// Then so many, so that the queue of those who want the same slots is long early on.
const SECOND_PEOPLE: u32 = 60_000;
/// Persons loaded between two looks at whether the demonstration ends.
const LOAD_AT_ONCE: u32 = 10_000;
const WAIT: Duration = Duration::from_secs(120);
/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// A demonstration that runs.
struct Demo {
    runtime: Runtime,
    stage: Stage,
    daemon: Daemon,
    partners: Vec<Arc<Partner>>,
    tally: Arc<Tally>,
    reach: Arc<AtomicU32>,
}

/// Runs the demonstration to its end. Prints as it goes.
pub fn run(options: &Options, out: &mut Out) -> Result<Ended, DemoFailed> {
    crate::app::install_crypto();
    // Logs may have been set up by an earlier demonstration of this process.
    let _ = crate::telemetry::start_logs(&stage::logs());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|source| DemoFailed::Runtime { source })?;
    let began = Instant::now();
    let stage = stage::set(options)?;
    say(
        out,
        &format!("legacy system ready after {:.1} s in {}", began.elapsed().as_secs_f64(), stage.folder.path.display()),
    );
    if let Some(imported) = &stage.imported {
        say(out, &import::words(&imported.report));
    }
    if let Some(units) = stage.first_quota {
        say(out, &format!("the agency assigned {units} units to the partners"));
    }
    if let Some(proof) = &stage.proof {
        say(out, &proof::words(proof));
    }
    let source = Source { file: None, approving: Approving::of_demonstration };
    let daemon = Daemon::start_from(&stage.config, source, runtime.handle())?;
    let demo = Demo::new(runtime, stage, daemon)?;
    demo.play(options, began, out)
}

fn say(out: &mut Out, line: &str) {
    if !out.is_json() {
        out.line(line);
    }
}

impl Demo {
    fn new(runtime: Runtime, stage: Stage, daemon: Daemon) -> Result<Demo, DemoFailed> {
        let (tally, reach): (Arc<Tally>, Arc<AtomicU32>) = Default::default();
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(30))
            .build()
            .map_err(|error| DemoFailed::Client { cause: error.to_string() })?;
        let partner = |(name, key): (&str, &String)| {
            let access =
                Access { partner: name.to_owned(), base: stage.base.clone(), key: key.clone(), http: http.clone() };
            // Two people in ten use both.
            let digits = if name == stage::PARTNERS[0] { 0..6 } else { 4..10 };
            let (seed, born) = (stage.plan.seed, stage::born(&stage.plan));
            let members = Members { seed, born, digits, reach: reach.clone() };
            Arc::new(Partner::new(access, members, stage.consent.clone(), tally.clone()))
        };
        let partners = stage::PARTNERS.into_iter().zip(&stage.keys).map(partner).collect();
        Ok(Demo { runtime, stage, daemon, partners, tally, reach })
    }

    fn play(self, options: &Options, began: Instant, out: &mut Out) -> Result<Ended, DemoFailed> {
        let stop = CancellationToken::new();
        for partner in &self.partners {
            self.runtime.spawn(partner.clone().harvest(stop.clone()));
        }
        self.wait_for("the first feed item", || self.partners[0].shelf().first_item.is_some())?;
        self.first_item(began, out);
        let comparison = self.compare(out)?;
        let first = options.people.min(FIRST_PEOPLE);
        let stop_loading = CancellationToken::new();
        let loading = self.load_people(first, options.people, stop_loading.clone());
        self.wait_for("the first persons", || self.reach.load(Ordering::Relaxed) >= first)?;
        self.invitation(began, out)?;
        let traffic = Traffic::start(&self, options);
        let is_whole = self.run_for(options, &traffic, out);
        stop_loading.cancel();
        if loading.join().is_err() {
            self.tally.fault("the loading of persons panicked".to_owned());
        }
        let ended = End { demo: &self, traffic, comparison }.conclude(out);
        stop.cancel();
        self.daemon.stop(self.runtime.handle());
        let ended = ended?;
        if is_whole { Ok(ended) } else { Err(DemoFailed::NotDurable) }
    }

    fn wait_for(&self, what: &'static str, mut is_there: impl FnMut() -> bool) -> Result<(), DemoFailed> {
        let until = Instant::now() + WAIT;
        while !is_there() {
            if Instant::now() >= until {
                return Err(DemoFailed::Late { what, seconds: WAIT.as_secs() });
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    fn first_item(&self, began: Instant, out: &mut Out) {
        let item = self.partners[0].shelf().first_item.clone().unwrap_or_default();
        say(out, &format!("\nfirst item of the slots feed after {:.1} s:\n  {item}", began.elapsed().as_secs_f64()));
    }

    /// With an import: holds what is published against the input, before anybody books.
    fn compare(&self, out: &mut Out) -> Result<Option<Comparison>, DemoFailed> {
        let Some(imported) = &self.stage.imported else { return Ok(None) };
        let condition = &self.daemon.condition;
        self.wait_for("the first full cut", || condition.view.mark().full_at.0 > 0)?;
        let access = Access {
            partner: stage::AUDIT.to_owned(),
            key: self.stage.audit_key.clone(),
            ..self.partners[0].access.clone()
        };
        let comparison = self.runtime.block_on(import::compare(imported, &access, &self.stage.legacy))?;
        say(out, &import::compared(&comparison));
        Ok(Some(comparison))
    }

    /// Loads persons behind the running daemon: a first part, then the rest.
    fn load_people(&self, first: u32, all: u32, stop: CancellationToken) -> std::thread::JoinHandle<()> {
        let (path, plan, tally) = (self.stage.legacy.clone(), self.stage.plan, self.tally.clone());
        let design = self.stage.design;
        let (reach, condition) = (self.reach.clone(), self.daemon.condition.clone());
        let poll = self.daemon.poller();
        std::thread::spawn(move || {
            let mut loaded = 0;
            for part in [first, all.min(SECOND_PEOPLE), all] {
                while loaded < part {
                    let next = part.min(loaded + LOAD_AT_ONCE);
                    if stop.is_cancelled() {
                        return;
                    }
                    let began = Instant::now();
                    if let Err(error) = stage::load_more_people(&path, design, &plan, loaded, next) {
                        return tally.fault(format!("persons could not be loaded: {error}"));
                    }
                    loaded = next;
                    if loaded > first {
                        // SQLite has one writer at a time and no queue: sellers and write-back get their turns.
                        std::thread::sleep(began.elapsed());
                    }
                }
                poll.now();
                while condition.view.ci().is_none_or(|table| table.len() < part as usize) {
                    if stop.is_cancelled() {
                        return;
                    }
                    std::thread::sleep(LOOK);
                }
                reach.store(part, Ordering::Relaxed);
            }
        })
    }

    /// `curl` lines that work as they stand.
    fn invitation(&self, began: Instant, out: &mut Out) -> Result<(), DemoFailed> {
        let (partner, base) = (&self.partners[0], &self.stage.base);
        let mut offer = None;
        self.wait_for("a bookable slot", || {
            offer = partner.shelf().to_try();
            offer.is_some()
        })?;
        let Some(offer) = offer else { return Ok(()) };
        // The first persons of the register are left to whoever reads this.
        let person = stage::someone_free(&self.stage, partner::SPARED)?;
        let token = self.runtime.block_on(partner.token(person, &offer.series));
        let token = match token {
            Ok(Some(token)) => token,
            Ok(None) => {
                self.tally.fault("no token for the first person".to_owned());
                return Ok(());
            }
            Err(error) => {
                self.tally.fault(format!("token of the first person: {error}"));
                return Ok(());
            }
        };
        let order = partner::Order { offer, person: token, cursor: partner.shelf().cursor };
        let key = &partner.access.key;
        let bearer = format!("-H 'Authorization: Bearer {key}'");
        let mut line = |text: String| say(out, &text);
        line(format!(
            "\ntry it ({:.1} s after the start), as {}:",
            began.elapsed().as_secs_f64(),
            partner.access.partner
        ));
        line(format!("  curl -s {bearer} '{base}/v1/feeds/slots?limit=500'"));
        line(format!(
            "  curl -s {bearer} -H 'Content-Type: application/json' -H 'Idempotency-Key: \"{}\"' -d '{}' '{base}/v1/bookings'",
            uuid::Uuid::now_v7(),
            order.body()
        ));
        line(format!("  curl -s {bearer} '{base}/v1/feeds/bookings?limit=500'"));
        line(format!("  curl -s 'http://{}/readyz'   curl -s 'http://{0}/metrics'", self.daemon.observe));
        line(format!("  slotbridge status --data-dir '{}'\n", self.stage.config.daemon.data_dir.display()));
        Ok(())
    }

    /// Shows a line a second until the time is up, somebody interrupts, or the ledger fails. False: it failed.
    fn run_for(&self, options: &Options, traffic: &Traffic, out: &mut Out) -> bool {
        let until = options.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
        let mut show = show::Show::new();
        self.runtime.block_on(async {
            let mut second = tokio::time::interval(Duration::from_secs(1));
            let (interrupted, failed) = (tokio::signal::ctrl_c(), self.daemon.failed());
            tokio::pin!(interrupted, failed);
            loop {
                tokio::select! {
                    _ = second.tick() => show.draw(&self.tally.moment(), &traffic.around(self), out),
                    _ = &mut interrupted => return true,
                    () = &mut failed => return false,
                }
                if until.is_some_and(|until| Instant::now() >= until) || out.is_closed() {
                    return true;
                }
            }
        })
    }
}
