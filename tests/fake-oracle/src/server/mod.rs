//! The server: listens, one thread a connection, and what all sessions share.
//!
//! Of the database file no writer is kept out: the agency's own programs write it at the same time, from other
//! processes. A session waits for them as for another session, by asking again.

mod block;
mod catalog;
mod charset;
mod connection;
mod ctl;
mod dates;
mod dictionary;
mod enforce;
mod errors;
mod execute;
mod functions;
mod raw;
mod sb_api;
mod sb_moves;
mod scn;
mod session;
mod to_char;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use ctl::Ctl;
pub use errors::OraError;

pub struct Shared {
    pub path: String,
    pub ctl: Mutex<Ctl>,
    pub bell: Bell,
    pub sessions: Mutex<BTreeMap<u32, Arc<Cancel>>>,
    next_session: AtomicU32,
    /// SQL text to executions, rows returned or changed, and errors.
    pub counts: Mutex<BTreeMap<String, Arc<Count>>>,
    /// Rows that share a commit number; `None`: no SCN layer.
    pub rowscn: Option<u32>,
}

#[derive(Default)]
pub struct Count {
    pub calls: AtomicU64,
    pub rows: AtomicU64,
    pub errors: AtomicU64,
}

/// What a cancel on another connection reaches.
pub struct Cancel {
    pub secret: u64,
    /// The call under way; 0 between calls.
    pub call: AtomicU64,
    pub asked: AtomicBool,
    /// Set while a query steps: interrupting a change would roll the whole transaction back.
    pub interrupt: Mutex<Option<rusqlite::InterruptHandle>>,
    pub stepping: AtomicBool,
}

/// Wakes those who wait for a lock or sit out an injected delay: a transaction ended, or a call was cancelled.
#[derive(Default)]
pub struct Bell {
    rings: Mutex<u64>,
    rung: Condvar,
}

impl Bell {
    pub fn ring(&self) {
        *lock(&self.rings) += 1;
        self.rung.notify_all();
    }

    pub fn wait(&self, at_most: Duration) {
        let rings = lock(&self.rings);
        let seen = *rings;
        drop(self.rung.wait_timeout_while(rings, at_most, |now| *now == seen));
    }
}

/// A thread that panicked with a lock ends its own session; the others go on with what is there.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Shared {
    pub fn open(path: &str, rowscn: Option<u32>) -> Result<Arc<Shared>, String> {
        let ctl = Ctl::open(path).map_err(|e| e.to_string())?;
        if let Some(block) = rowscn {
            scn::install(path, block).map_err(|e| e.to_string())?;
        }
        Ok(Arc::new(Shared {
            path: path.to_owned(),
            ctl: Mutex::new(ctl),
            bell: Bell::default(),
            sessions: Mutex::default(),
            next_session: AtomicU32::new(100),
            counts: Mutex::default(),
            rowscn,
        }))
    }

    pub fn new_session(&self) -> u32 {
        self.next_session.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub fn count(&self, sql: &str) -> Arc<Count> {
        lock(&self.counts).entry(sql.to_owned()).or_default().clone()
    }

    pub fn flush_counts(&self) {
        let counts = lock(&self.counts);
        if let Err(e) = lock(&self.ctl).write_counts(&counts) {
            eprintln!("fake-oracle: the counters were not written: {e}");
        }
    }
}

pub fn listen(shared: Arc<Shared>) -> std::io::Result<()> {
    let socket = crate::wire::socket_path(&shared.path);
    if let Some(folder) = socket.parent().filter(|folder| !folder.exists()) {
        std::fs::create_dir_all(folder)?;
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))?;
    }
    if std::os::unix::net::UnixStream::connect(&socket).is_ok() {
        return Err(std::io::Error::other("another server already listens for this file"));
    }
    if socket.exists() {
        std::fs::remove_file(&socket)?;
    }
    let listener = UnixListener::bind(&socket)?;
    println!("ready");
    for stream in listener.incoming() {
        let (stream, shared) = (stream?, shared.clone());
        std::thread::spawn(move || connection::serve(stream, &shared));
    }
    Ok(())
}
