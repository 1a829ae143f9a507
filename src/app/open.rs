//! The order in which everything is opened and started.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::thread;

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use crate::admin::DataLock;
use crate::capture::{self, Capture};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::decide::{Desk, Snapshot};
use crate::domain::{PartnerId, Position, Timestamp};
use crate::durable::{Consumer, Durable, Submission};
use crate::evidence::{self, Evidence};
use crate::intake::{Intake, Macs};
use crate::keys::{ApiKeys, KeyFolder, LogKey};
use crate::ledger::{self, Committer, Expected, Ledger, LedgerError, LedgerReader, snapshot};
use crate::legacy::Heartbeat;
use crate::mapping::MappingSet;
use crate::privacy::{AssignToken, NotAssigned, Ports};
use crate::publish::{self, Hold, HoldReason, Served};
use crate::register::{IfMissing, Register};
use crate::serve::{Access, Api, Partners, Parts};
use crate::telemetry::Metrics;
use crate::view::{Fill, View};
use crate::writeback::{self, Around, Orders, Wake, Worker};

use super::activation::History;
use super::audit::AuditBook;
use super::backend::Backend;
use super::compiled::{self, Compiled};
use super::control::{Door, Snapshots};
use super::desk::{Watched, Window};
use super::evident::{self, Leaving, Signing};
use super::files::Files;
use super::guards::Alarms;
use super::in_force::choose;
use super::meter::{Condition, Counting, Meter};
use super::outside::Outside;
use super::reload::{Live, Reloader, Source};
use super::standings::Standings;
use super::threads::{Looking, Threads};
use super::tokens::{self, Recorded, Tokens};
use super::{Capturing, Daemon, Running, StartFailed, guards, proofs, settings};

/// Everything that is opened before anything runs.
pub struct Opening {
    config: Config,
    files: Files,
    lock: Arc<DataLock>,
    backend: Backend,
    source: Source,
    ports: Ports,
    compiled: Compiled,
    register: Arc<Register>,
    evidence: Arc<Evidence>,
    capture: Arc<Capture>,
    intake: Intake,
    receiver: mpsc::Receiver<Submission>,
    view: Arc<View>,
    clock: Arc<dyn Clock>,
    window: Window,
    desk: Watched,
    ledger: Ledger,
    metrics: Arc<Metrics>,
    alarms: Arc<Alarms>,
}

impl Opening {
    /// Opens, replays, and fills the view.
    pub fn begin(config: &Config, source: Source) -> Result<Opening, StartFailed> {
        let files = Files::of(&config.daemon.data_dir);
        files.make().map_err(|source| StartFailed::Folder { path: files.dir.clone(), source })?;
        let lock = Arc::new(DataLock::take(&files.dir)?);
        proofs::judge(config, &files)?;
        let backend = Backend::of(config)?;
        let is_new = !files.hold_state();
        let missing = if is_new { IfMissing::Create } else { IfMissing::Refuse };
        let register = Arc::new(Register::open(&files.register, missing)?);
        let kept = if is_new { evidence::IfMissing::Create } else { evidence::IfMissing::Refuse };
        let evidence = Arc::new(Evidence::open(&files.evidence, kept)?);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let metrics = Arc::new(Metrics::default());
        let alarms = Arc::new(Alarms::new(metrics.clone(), clock.clone()));
        let ports = Ports {
            tokens: Some(Arc::new(Random(register.clone()))),
            watch: guards::watch(config, alarms.clone())?,
            ..Ports::default()
        };
        let compiled = in_force(config, &source, &evidence, &ports, clock.now())?;
        let view = Arc::new(View::default());
        let (intake, receiver) = Intake::new(settings::bounds(&config.intake));
        let (hot, hot_keys) = late_hot_keys();
        let capture = Capture::new(capture::Parts {
            mirror_path: files.mirror.clone(),
            register: register.clone(),
            intake: intake.clone(),
            view: view.clone(),
            clock: clock.clone(),
            layouts: compiled.layouts(),
            settings: settings::capture(config),
            hot_keys: Some(hot_keys),
        })?;
        let expected = if is_new { Expected::MayBeNew } else { Expected::MustExist };
        let ledger = Ledger::open(&files.ledger, ledger::Settings::default(), expected)?;
        let mut desk = replay(config, &files, &register, &capture, &ledger)?;
        fill(&mut desk, &view, &ledger);
        let (desk, window) = Watched::new(desk);
        // Set once, here; reading it before gives no hot slots.
        let _ = hot.set(window.clone());
        Ok(Opening {
            config: config.clone(),
            files,
            lock,
            backend,
            source,
            ports,
            compiled,
            register,
            evidence,
            capture,
            intake,
            receiver,
            view,
            clock,
            window,
            desk,
            ledger,
            metrics,
            alarms,
        })
    }

    /// Starts the threads and the listeners. A start that fails half way stops what it has started.
    pub fn start(self, runtime: &Handle) -> Result<Daemon, StartFailed> {
        let mut threads = Threads::new(Door::new(self.intake.clone()));
        // Held until the last thread has ended, also where the start fails.
        let lock = self.lock.clone();
        let started = self.launch(runtime, &mut threads, lock.clone());
        if started.is_err() {
            threads.stop(runtime);
        }
        drop(lock);
        started
    }

    /// On an error everything of `self` is dropped here, and with it its ways to the desk: the committer can end.
    fn launch(self, runtime: &Handle, threads: &mut Threads, lock: Arc<DataLock>) -> Result<Daemon, StartFailed> {
        let surroundings = self.surroundings();
        let reader = Arc::new(self.ledger.reader());
        let (incarnation, epochs) = (self.ledger.incarnation(), self.ledger.epochs().to_vec());
        let (macs, lives) = (Macs::new(&self.ledger.mac_key()), lives(&epochs)?);
        let answers = Arc::new(ArcSwap::from_pointee(self.compiled.answers(&self.config)));
        let durable = self.view.durable();
        let (plans, publishing) = (self.compiled.plans(), settings::publish(&self.config));
        let mut opened = publish::open(&self.files.feeds, publishing, plans, incarnation, durable, self.view.clone())?;
        self.alarms.holds(opened.feeds.clone());
        let standings = Arc::new(Standings::default());
        standings.set(&self.compiled.in_force);
        opened.publisher.guarded_by(standings.clone(), self.clock.now());
        let leaving = Arc::new(Leaving::open(self.evidence.clone())?);
        leaving.in_force(&self.compiled.in_force, self.compiled.plans().iter());
        opened.publisher.telling(leaving.clone());
        let key = LogKey::open(&KeyFolder::open(&self.config.secrets.key_dir)?, LogKey::FILE)?;
        let signing = Arc::new(Signing::of(&self.config, &self.evidence, key, &self.clock));
        let around = tokens::Around {
            clock: self.clock.clone(),
            evidence: self.evidence.clone(),
            view: self.view.clone(),
            destroyed: self.files.destroyed_keys.clone(),
        };
        let tokens = Arc::new(Tokens::open(&self.config, self.compiled.set(), around)?);
        let partners: Vec<PartnerId> = self.compiled.set().partners().cloned().collect();
        let known = Arc::new(ArcSwap::from_pointee(known_partners(&self.config, self.compiled.set())?));
        let (wake, orders) = (Wake::new(), Orders::default());
        let (feeds, metrics) = (opened.feeds.clone(), self.metrics.clone());
        let counting = Counting { answers: answers.clone(), feeds, metrics };
        let consumers: Vec<Box<dyn Consumer>> =
            vec![Box::new(Fill(self.view.clone())), Box::new(opened.consumer), Box::new(Meter(self.metrics.clone()))];
        let bell = wake.clone();
        let committer =
            Committer::new(self.desk, self.ledger, Box::new(counting), consumers).on_ops_waiting(move || bell.notify());
        let condition = Arc::new(Condition {
            metrics: self.metrics.clone(),
            view: self.view.clone(),
            clock: self.clock.clone(),
            door: threads.door.clone(),
            bounds: settings::bounds(&self.config.intake),
            window: self.window.clone(),
            capture: self.capture.clone(),
            feeds: opened.feeds.clone(),
            partners: ArcSwap::from_pointee(partners),
            standings: standings.clone(),
            committer: committer.status(),
            resent: self.capture.resent(),
            writeback: OnceLock::new(),
            stopping: AtomicBool::new(false),
        });
        let (committing, failed) = commit(committer, self.receiver, self.clock.clone())?;
        threads.committing = Some(committing);
        let (clock, desk) = (self.clock.clone(), Box::new(self.intake.clone()));
        let publishing = publish::run(opened.publisher, opened.control.clone(), desk, Arc::new(move || clock.now()));
        threads.publishing = Some(publishing.map_err(thread_failed)?);
        self.capture.resend()?;
        let control = opened.control.clone();
        let tell = held_by_drift(opened.feeds.clone(), self.clock.clone());
        self.capture.watch_columns(&self.compiled.set().catalogue().objects, tell, Box::new(move || control.ready()));
        let capturing = self.capture.start(&self.backend.capture(&self.metrics)).map_err(thread_failed)?;
        let capturing = Arc::new(Capturing::new(capturing));
        threads.capturing = Some(capturing.clone());
        let reading = self.capture.clone();
        let (window, view) = (self.window.clone(), self.view.clone());
        let around = Around {
            secrets: self.backend.secrets(),
            reads_lag: Box::new(move || reading.reads_lag()),
            wants_fence: Box::new(move || window.seen().totals.wants_fence),
            full_cut: Box::new(move || view.mark().full_at > Timestamp::default()),
            replayed: durable,
            orders: orders.clone(),
        };
        let write = settings::writeback(&self.config.writeback);
        let (desk, clock) = (self.intake.clone(), self.clock.clone());
        let worker = Worker::new(desk, self.register.clone(), clock, lives, write.clone()).with(around);
        // Set once, here.
        let _ = condition.writeback.set(worker.stats());
        let connect = self.backend.writeback(&self.metrics);
        let writing =
            writeback::start(worker, &write, connect, beat(&condition), surroundings, wake).map_err(thread_failed)?;
        threads.writing = Some(writing);
        let api = Api::new(Parts {
            settings: settings::serve(&self.config),
            view: self.view.clone(),
            intake: self.intake.clone(),
            feeds: opened.feeds.clone(),
            replies: reader.clone(),
            answers: answers.clone(),
            macs,
            tokens: tokens.clone(),
            evidence: Arc::new(Recorded {
                evidence: self.evidence.clone(),
                audit: AuditBook::open(&self.files.audit)?,
            }),
            health: condition.clone(),
            clock: self.clock.clone(),
            partners: known.clone(),
        });
        let live = Live {
            source: self.source,
            ports: self.ports,
            answers,
            partners: known,
            tokens,
            control: opened.control,
            condition: condition.clone(),
            standings,
            evidence: self.evidence.clone(),
            leaving,
        };
        let reloader = Arc::new(Reloader::new(live, self.config.clone(), &self.compiled));
        threads.looking = Some(Looking::start(reloader.clone()).map_err(thread_failed)?);
        let snapshots = Snapshots {
            dir: self.files.snapshots.clone(),
            incarnation,
            window: self.window.clone(),
            reader: reader.clone(),
            door: threads.door.clone(),
        };
        let (config, files, clock) = (&self.config, &self.files, &self.clock);
        let (reloader_, evidence, signing_) = (&reloader, &self.evidence, &signing);
        let outside = Outside {
            config,
            files,
            condition: &condition,
            clock,
            orders,
            reloader: reloader_,
            evidence,
            signing: signing_,
        };
        let served = runtime.block_on(outside.open(api, snapshots, capturing, threads))?;
        Ok(Daemon {
            condition,
            capture: self.capture,
            partners_http: served.partners_http,
            partners_tls: served.partners_tls,
            observe: served.observe,
            entries: reader,
            epochs,
            reloader,
            signing,
            running: Running { threads: std::mem::take(threads), jobs: Some(served.jobs), failed },
            stop_within: std::time::Duration::from_millis(self.config.daemon.stop_ms_max),
            _lock: lock,
        })
    }
}

/// What is in force now, compiled, and written down as such. What would go back behind what was in force before is held.
fn in_force(
    config: &Config,
    source: &Source,
    evidence: &Evidence,
    ports: &Ports,
    now: Timestamp,
) -> Result<Compiled, StartFailed> {
    let dir = &config.mappings.dir;
    let files = compiled::read(dir)?;
    let judge = (source.approving)(config).judge(&files);
    let mut in_force = choose(compiled::judge(dir, &files)?, &*judge, now);
    let history = History::read(&evidence.of_mappings()?);
    for (id, why) in history.goes_back(&in_force) {
        tracing::error!(mapping = id, why, "a mapping is held");
        in_force.hold(&id, &why);
    }
    let compiled = Compiled::of(in_force, dir, ports, None)?;
    evidence.record_all_blocking(evident::new_notes(&*judge, evidence, now)?)?;
    for entry in history.missing(&compiled.in_force, now, Position::ZERO) {
        evidence.record_blocking(entry)?;
    }
    for remark in &compiled.in_force.remarks {
        tracing::warn!("{remark}");
    }
    if config.mappings.genesis.is_none() {
        let what = "no officers are pinned ([mappings] genesis), so no mapping is in force and nothing is published";
        tracing::error!(try_ = "`slotbridge officer genesis` makes the first roster, see mappings/README.md", what);
    }
    Ok(compiled)
}

fn thread_failed(source: std::io::Error) -> StartFailed {
    StartFailed::Thread { source }
}

impl Opening {
    fn surroundings(&self) -> writeback::Surroundings {
        let (files, metrics) = (self.files.clone(), self.metrics.clone());
        writeback::Surroundings {
            backed_up_at: Box::new(move || files.backed_up_at()),
            password_days: Box::new(move |days| {
                metrics.counted.password_days.set(days.unwrap_or(NO_EXPIRY_DAYS));
            }),
            clock: self.clock.clone(),
        }
    }
}

/// The feeds of an object whose view is not as approved stay as they are until it fits, or another catalogue does.
fn held_by_drift(feeds: Arc<publish::Feeds>, clock: Arc<dyn Clock>) -> capture::TellDrift {
    Box::new(move |object, why| match why {
        Some(why) => {
            let (reason, served) = (HoldReason::Drift, Served::LastState);
            feeds.hold_object(object, Hold { reason, text: why.to_owned(), since: clock.now(), served });
        }
        None => feeds.release_object(object, HoldReason::Drift),
    })
}

/// What the metric says of a password that does not expire.
const NO_EXPIRY_DAYS: i64 = 36_500;

/// Op ids carry the life of the ledger in which they were asked.
fn lives(epochs: &[ledger::Epoch]) -> Result<writeback::Lives, StartFailed> {
    let lives = epochs.iter().map(|life| (life.from, life.incarnation)).collect();
    writeback::Lives::new(lives).ok_or(StartFailed::Lives)
}

/// Capture is made before the desk whose hot slots it will ask for.
fn late_hot_keys() -> (Arc<OnceLock<Window>>, capture::HotKeys) {
    let window: Arc<OnceLock<Window>> = Arc::default();
    let late = window.clone();
    (window, Box::new(move || late.get().map(Window::hot).unwrap_or_default()))
}

fn replay(
    config: &Config,
    files: &Files,
    register: &Register,
    capture: &Capture,
    ledger: &Ledger,
) -> Result<Desk, StartFailed> {
    let mut policy = settings::policy(config, register)?;
    // What a life gave up lies between its end and where the next one goes on.
    let later_lives = ledger.epochs().iter().skip(1);
    policy.given_up = later_lives.map(|life| (life.from, life.from.plus(ledger::JUMP))).collect();
    policy.lives = ledger.epochs().iter().map(|life| (life.from, life.incarnation)).collect();
    let incarnation = ledger.incarnation();
    let loaded = snapshot::load::<Snapshot>(&files.snapshots, |header| {
        Ok(header.incarnation == incarnation && ledger.hash_at(header.head.position)? == Some(header.head.hash))
    })?;
    for skipped in &loaded.skipped {
        tracing::warn!(file = skipped.file, why = skipped.why, "a snapshot was passed over");
    }
    let (head, state) = loaded.found.map_or((None, None), |(header, state)| (Some(header.head), Some(state)));
    let facts = capture.positioned_facts()?;
    let reader: LedgerReader = ledger.reader();
    let mut bad_row = None;
    let facts = facts.map_while(|fact| fact.map_err(|error| bad_row = Some(error)).ok());
    let (desk, reached) = reader.replay(head, |entries| Desk::replay(policy, state, facts, entries))?;
    let mut desk = desk?;
    if let Some(error) = bad_row {
        return Err(error.into());
    }
    desk.advance_to(reached.position.next());
    tracing::info!(position = reached.position.0, from_snapshot = head.map(|head| head.position.0), "replayed");
    Ok(desk)
}

fn fill(desk: &mut Desk, view: &Arc<View>, ledger: &Ledger) {
    use crate::ledger::LedgerStore;
    let last = ledger.position();
    let (touched, keys) = desk.everything();
    let all = Durable { first: Position(1), last, at: ledger.at(), touched, keys };
    Fill(view.clone()).durable(&Arc::new(all));
}

type Watching = (thread::JoinHandle<()>, watch::Receiver<bool>);

fn commit(
    mut committer: Committer<Watched, Ledger>,
    receiver: mpsc::Receiver<Submission>,
    clock: Arc<dyn Clock>,
) -> Result<Watching, StartFailed> {
    let (tell, failed) = watch::channel(false);
    let run = move || match committer.run(receiver, move || clock.now()) {
        Ok(()) => {
            if let Err(error) = committer.into_parts().1.close() {
                tracing::warn!(code = error.code(), %error, "the ledger did not close well; the next start reads it anew");
            }
        }
        Err(error) => {
            stopped(&error);
            tell.send_replace(true);
        }
    };
    let thread = thread::Builder::new().name("desk".to_owned()).spawn(run);
    Ok((thread.map_err(|source| StartFailed::Thread { source })?, failed))
}

fn stopped(error: &LedgerError) {
    tracing::error!(code = error.code(), %error, "the ledger cannot be written; the process exits and replays at start");
}

fn beat(condition: &Arc<Condition>) -> writeback::Beat {
    let window = condition.window.clone();
    Box::new(move || {
        // The position that the totals belong to, not the newest one: they may not be older than it.
        let seen = window.seen();
        Heartbeat { position: seen.position.0, unapplied: seen.totals.unapplied, free_units: seen.totals.free }
    })
}

/// Keys on loopback, certificates on the network: pins where the mappings name them, else the development names.
pub(super) fn known_partners(config: &Config, set: &MappingSet) -> Result<Partners, StartFailed> {
    let keys = ApiKeys::open(&KeyFolder::open(&config.secrets.key_dir)?)?;
    let access = |id: &PartnerId| {
        let pins = set.partner(id).map(|partner| partner.certificate_pins.clone()).unwrap_or_default();
        let names = if pins.is_empty() { vec![format!("urn:slotbridge:partner:{id}")] } else { Vec::new() };
        Access {
            partner: id.clone(),
            bearer_sha256: keys.iter().filter(|key| key.partner == *id).filter_map(|key| unhex(&key.sha256)).collect(),
            names,
            spki_sha256: pins.iter().filter_map(|pin| unhex(pin)).collect(),
        }
    };
    Ok(Partners(set.partners().map(access).collect()))
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}

/// Random numbers of values, kept in the register.
struct Random(Arc<Register>);

impl AssignToken for Random {
    fn assigned(&self, scope: &str, value: &str, bits: u32) -> Result<String, NotAssigned> {
        self.0.random_hex(scope, value, bits).map_err(|error| {
            tracing::error!(code = error.code(), %error, "a random number could not be assigned");
            NotAssigned
        })
    }
}
