//! What the bridge costs the legacy system, measured at the double: for the benchmark and for the short tests beside it.
//!
//! `polls`: rows read for each changed one; `cut`: rows a second; `ops`: statements of a booking; `pressure`: what
//! partners' traffic adds.
#![allow(dead_code)] // the tests and the benchmark each use their part

pub mod cut;
pub mod ops;
pub mod polls;
pub mod pressure;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use slotbridge::capture::{Capture, Parts, Settings};
use slotbridge::clock::SystemClock;
use slotbridge::decide::Event;
use slotbridge::domain::{ObjectName, Position, Timestamp};
use slotbridge::durable::{Answer, Submission};
use slotbridge::intake::{Bounds, Intake};
use slotbridge::legacy::oracle::write::Settings as Writing;
use slotbridge::legacy::oracle::{Login, Oracle, OracleRead, OracleWrite, Settings as Connecting};
use slotbridge::legacy::sqlite::{PersonConstraint, generate, schema};
use slotbridge::mapping::Layout;
use slotbridge::register::{IfMissing, Register};
use slotbridge::view::View;

use crate::oracle_kit::{Server, artefacts};

/// A legacy file without native reservations, and the double over it.
pub struct Town {
    folder: tempfile::TempDir,
    pub file: PathBuf,
    pub server: Server,
}

impl Town {
    pub fn new(slots: u32, people: u32, arguments: &[&str]) -> Town {
        Town::with(slots, people, arguments, |_| {})
    }

    /// `prepare` gets the file before the server starts.
    pub fn with(slots: u32, people: u32, arguments: &[&str], prepare: impl FnOnce(&rusqlite::Connection)) -> Town {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("legacy.db");
        let mut connection = schema::create(&file, PersonConstraint::UniqueIndex).expect("a legacy file");
        let sites = (slots / 10).clamp(1, 15_000);
        let plan = generate::Plan { sites, slots, people: 0, ..generate::Plan::new(7, now()) };
        generate::sites_and_slots(&mut connection, &plan).expect("slots");
        let plan = generate::Plan { people, ..plan };
        generate::persons(&mut connection, &plan, &mut |_, _| {}).expect("persons");
        prepare(&connection);
        drop(connection);
        let server = Server::start_with(&file, arguments);
        Town { folder, file, server }
    }

    /// As the agency's own programs open it.
    pub fn native(&self) -> rusqlite::Connection {
        let connection = rusqlite::Connection::open(&self.file).expect("the legacy file");
        connection.busy_timeout(Duration::from_secs(30)).expect("a timeout");
        connection.execute_batch("PRAGMA synchronous = OFF").expect("a setting");
        connection
    }

    pub fn oracle(&self) -> Arc<Oracle> {
        let secret_file = secret(self.folder.path());
        let login = |user: &str| vec![Login { user: user.to_owned(), secret_file: secret_file.clone() }];
        let settings = Connecting {
            read_accounts: login("SB_READ"),
            write_accounts: login("SB_WRITE"),
            client_dir: Some(artefacts().to_owned()),
            ..Connecting::new(&self.server.connect_string(), "SLOTBRIDGE", self.folder.path())
        };
        Oracle::new(settings).expect("the double's client")
    }

    pub fn reader(&self) -> OracleRead {
        OracleRead::open(self.oracle()).expect("a session that reads")
    }

    pub fn writer(&self, settings: Writing) -> OracleWrite {
        OracleWrite::open(self.oracle(), settings).expect("a session that writes")
    }

    /// Capture over a mirror of its own, with a desk that takes every fact.
    pub fn capture(&self, layouts: Vec<Layout>, settings: Settings) -> (tempfile::TempDir, Arc<Capture>) {
        let folder = tempfile::tempdir().expect("a folder");
        let register = Register::open(&folder.path().join("register.sqlite"), IfMissing::Create).expect("a register");
        let parts = Parts {
            mirror_path: folder.path().join("mirror.sqlite"),
            register: Arc::new(register),
            intake: desk(),
            view: Arc::new(View::default()),
            clock: Arc::new(SystemClock),
            layouts,
            settings,
            hot_keys: None,
        };
        (folder, Capture::new(parts).expect("capture"))
    }
}

pub fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock after 1970");
    Timestamp(i64::try_from(since.as_millis()).expect("a clock before the end of time"))
}

pub fn secret(folder: &Path) -> PathBuf {
    let file = folder.join("oracle.secret");
    std::fs::write(&file, "secret").expect("a secret file");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("its mode");
    file
}

/// Numbers facts and forgets them.
fn desk() -> Intake {
    let (intake, mut queue) = Intake::new(Bounds::default());
    std::thread::spawn(move || {
        let mut position = 1;
        while let Some(Submission { event, answer }) = queue.blocking_recv() {
            let Event::Facts { facts, .. } = event else { panic!("capture sends facts only") };
            let count = facts.len() as u64;
            let reply = Answer::Facts { first: Position(position), count: count as u32 };
            position += count;
            // A capture that stops does not wait for its answer.
            let _ = answer.expect("capture wants an answer").send(reply);
        }
    });
    intake
}

/// What the shipped mappings read.
pub fn layouts() -> Vec<Layout> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings");
    let files = slotbridge::mapping_files::read_folder(&folder).expect("the shipped mappings");
    slotbridge::mapping::load(&files).expect("valid mappings").layouts()
}

pub fn layout(object: &str) -> Layout {
    layouts().into_iter().find(|layout| layout.object.as_str() == object).expect("an object of the mappings")
}

pub fn object(name: &str) -> ObjectName {
    ObjectName::new(name).expect("a plain name")
}

/// Until the clock says so.
pub fn wait_until(at: Instant) {
    while let Some(left) = at.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left);
    }
}

/// Processor time of a process so far; 0 where the system does not say.
pub fn processor_ms(process: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name, in brackets, may hold spaces; 12th and 13th after it are user and system time in 1/100 s.
    let after = text.rsplit(')').next().unwrap_or_default();
    after.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>() * 10
}
