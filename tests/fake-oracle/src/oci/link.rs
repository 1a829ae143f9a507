//! The connection to the server: one call under way, a cancel from another thread, a limit a call.

use std::io::BufReader;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::OraError;
use crate::wire::{self, Call, Reply, Request};

/// After a call is cancelled the server still answers it; longer than this means that it is stuck.
const CANCEL_ANSWER_MS_MAX: i32 = 10_000;

pub struct Link {
    stream: BufReader<UnixStream>,
    socket: PathBuf,
    session: u32,
    secret: u64,
    calls: u64,
    under_way: Arc<AtomicU64>,
    pub closed: Vec<u32>,
    cursors: u32,
    pub alive: bool,
    pub charset_id: u16,
}

/// Stops the call under way, if there is one.
pub struct Canceller {
    socket: PathBuf,
    session: u32,
    secret: u64,
    under_way: Arc<AtomicU64>,
}

impl Canceller {
    pub fn cancel(&self) {
        let call = self.under_way.load(Ordering::SeqCst);
        if call != 0 {
            send_cancel(&self.socket, self.session, self.secret, call);
        }
    }
}

/// `fake:/path`, `//host/fake:/path` or `(...fake:/path...)`: the database's path.
pub fn database(connect: &str) -> Result<&str, OraError> {
    let known = connect.starts_with("fake:") || connect.starts_with("//") || connect.starts_with('(');
    match connect.split_once("fake:") {
        Some((_, rest)) if known => Ok(rest.split(')').next().unwrap_or(rest).trim()),
        _ => Err(OraError::new(12154, "TNS:could not resolve the connect identifier specified")),
    }
}

pub fn reachable(connect: &str) -> Result<UnixStream, OraError> {
    let socket = wire::socket_path(database(connect)?);
    UnixStream::connect(socket).map_err(|_| OraError::new(12541, "TNS:no listener"))
}

impl Link {
    /// A session, and the warning that its logon gave.
    pub fn open(connect: &str, user: &str, password: &str) -> Result<(Link, Option<(i32, String)>), OraError> {
        let stream = reachable(connect)?;
        let mut link = Link {
            stream: BufReader::with_capacity(1 << 16, stream),
            socket: wire::socket_path(database(connect)?),
            session: 0,
            secret: 0,
            calls: 0,
            under_way: Arc::default(),
            closed: Vec::new(),
            cursors: 0,
            alive: true,
            charset_id: 0,
        };
        let client = super::env::client_version().map(|part| part.to_string()).join(".");
        let logon = Request::Logon { user: user.to_owned(), password: password.to_owned(), client };
        match link.call(logon, &[], 0)?.0 {
            Reply::Session { id, secret, charset_id, warning } => {
                (link.session, link.secret, link.charset_id) = (id, secret, charset_id);
                Ok((link, warning))
            }
            _ => Err(OraError::new(3106, "fatal two-task communication protocol error")),
        }
    }

    pub fn canceller(&self) -> Canceller {
        Canceller {
            socket: self.socket.clone(),
            session: self.session,
            secret: self.secret,
            under_way: self.under_way.clone(),
        }
    }

    pub fn new_cursor(&mut self) -> u32 {
        self.cursors += 1;
        self.cursors
    }

    pub fn call(&mut self, what: Request, cells: &[u8], timeout_ms: u32) -> Result<(Reply, Vec<u8>), OraError> {
        if !self.alive {
            return Err(OraError::new(3114, "not connected to ORACLE"));
        }
        self.calls += 1;
        let call = Call { number: self.calls, closed: std::mem::take(&mut self.closed), what };
        self.under_way.store(self.calls, Ordering::SeqCst);
        let answer = self.exchange(&call, cells, timeout_ms);
        self.under_way.store(0, Ordering::SeqCst);
        let (reply, cells) = answer?;
        if let Reply::Failed { code, text, dead, .. } = reply {
            self.alive = !dead;
            return Err(OraError { code, text });
        }
        Ok((reply, cells))
    }

    fn exchange(&mut self, call: &Call, cells: &[u8], timeout_ms: u32) -> Result<(Reply, Vec<u8>), OraError> {
        if wire::send(self.stream.get_mut(), call, cells).is_err() {
            return Err(self.lost());
        }
        let timed_out = timeout_ms > 0 && !self.readable(timeout_ms.min(i32::MAX as u32) as i32);
        if timed_out {
            send_cancel(&self.socket, self.session, self.secret, call.number);
            if !self.readable(CANCEL_ANSWER_MS_MAX) {
                return Err(self.lost());
            }
        }
        let answer = wire::receive(&mut self.stream).map_err(|_| self.lost())?;
        match answer.0 {
            Reply::Failed { dead: true, .. } => Ok(answer),
            _ if timed_out => Err(OraError::new(3156, "OCI call timed out")),
            _ => Ok(answer),
        }
    }

    fn lost(&mut self) -> OraError {
        self.alive = false;
        OraError::new(3113, "end-of-file on communication channel")
    }

    fn readable(&self, within_ms: i32) -> bool {
        let mut ask = libc::pollfd { fd: self.stream.get_ref().as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one valid pollfd, and the count says one.
        !self.stream.buffer().is_empty() || unsafe { libc::poll(&mut ask, 1, within_ms) } > 0
    }
}

fn send_cancel(socket: &Path, session: u32, secret: u64, call: u64) {
    if let Ok(mut stream) = UnixStream::connect(socket) {
        let cancel = Call { number: 0, closed: Vec::new(), what: Request::Cancel { session, secret, call } };
        if wire::send(&mut stream, &cancel, &[]).is_ok() {
            // The answer says that it has been passed on; without one the server is gone and nothing is under way.
            wire::receive::<Reply>(&mut stream).ok();
        }
    }
}
