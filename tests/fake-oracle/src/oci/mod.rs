//! Handles behind the opaque pointers of the ABI, and errors on error handles.
//!
//! A handle is a boxed `Handle`; every entry looks at its kind before use, as a pointer of another kind would be a
//! mistake of the caller that a real library answers with OCI_INVALID_HANDLE.

mod attr;
mod buffer;
mod env;
mod link;
mod pool;
mod session;
mod stmt;
mod value;

use std::collections::HashMap;
use std::ffi::{c_char, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

use buffer::Bind;
use link::Link;
use stmt::Stmt;

pub const OK: c_int = 0;
pub const SUCCESS_WITH_INFO: c_int = 1;
pub const ERROR: c_int = -1;
pub const INVALID_HANDLE: c_int = -2;
pub const NO_DATA: c_int = 100;

#[derive(Debug, Clone)]
pub struct OraError {
    pub code: i32,
    pub text: String,
}

impl OraError {
    pub fn new(code: i32, text: impl Into<String>) -> OraError {
        OraError { code, text: text.into() }
    }

    pub fn line(&self) -> String {
        format!("ORA-{:05}: {}\n", self.code, self.text)
    }
}

pub struct Server {
    /// 1 connected, 0 not: ODPI-C asks after every error whether the connection is dead.
    pub status: u32,
    pub connect: String,
}

#[derive(Default)]
pub struct Session {
    pub user: String,
    pub password: String,
    /// OCI attributes MODULE, ACTION, CLIENT_INFO, CLIENT_IDENTIFIER that wait for a session to be sent to.
    pub pending: Vec<(&'static str, String)>,
    pub schema: String,
    pub context: HashMap<Vec<u8>, usize>,
}

pub struct Svc {
    pub server: *mut Handle,
    pub session: *mut Handle,
    pub link: Option<Link>,
    /// What another thread needs to cancel the call under way.
    pub cancel: std::sync::Arc<std::sync::Mutex<Option<link::Canceller>>>,
    pub call_timeout_ms: AtomicU32,
    pub statement_cache: u32,
    pub pool: *mut Handle,
}

impl Default for Svc {
    fn default() -> Svc {
        Svc {
            server: ptr::null_mut(),
            session: ptr::null_mut(),
            link: None,
            cancel: Default::default(),
            call_timeout_ms: AtomicU32::new(0),
            statement_cache: 20,
            pool: ptr::null_mut(),
        }
    }
}

impl Svc {
    /// One call to the server. A dead connection is also told to the server handle.
    pub unsafe fn call(
        &mut self,
        what: crate::wire::Request,
        cells: &[u8],
    ) -> Result<(crate::wire::Reply, Vec<u8>), OraError> {
        let timeout_ms = self.call_timeout_ms.load(Ordering::Relaxed);
        // A pooled session sets its attributes on its own handle after it was opened.
        let Some(link) = self.link.as_mut() else { return Err(OraError::new(3114, "not connected to ORACLE")) };
        if let Some(Body::Session(session)) = unsafe { body(self.session.cast()) } {
            for (name, value) in session.pending.drain(..) {
                link.call(crate::wire::Request::Attribute { name: name.to_owned(), value }, &[], timeout_ms)?;
            }
        }
        let answer = link.call(what, cells, timeout_ms);
        if !link.alive
            && let Some(Body::Server(server)) = unsafe { body(self.server.cast()) }
        {
            server.status = 0;
        }
        answer
    }
}

#[derive(Default)]
pub struct ErrorHandle {
    pub code: i32,
    pub text: String,
    pub row: i32,
    /// Row, code and text of each error of a batch.
    pub batch: Vec<(i32, i32, String)>,
}

pub enum Body {
    Env,
    Error(ErrorHandle),
    Svc(Box<Svc>),
    Server(Server),
    Session(Session),
    Stmt(Box<Stmt>),
    Bind(Box<Bind>),
    /// Points into the columns of a statement that lives longer.
    Param(*const crate::wire::Column),
    Pool(pool::Pool),
    Other,
}

pub struct Handle {
    pub body: Body,
}

pub fn make(body: Body) -> *mut Handle {
    Box::into_raw(Box::new(Handle { body }))
}

pub unsafe fn body<'a>(handle: *const c_void) -> Option<&'a mut Body> {
    unsafe { (handle as *mut Handle).as_mut() }.map(|handle| &mut handle.body)
}

/// The handle's body of a kind, or OCI_INVALID_HANDLE to the caller.
macro_rules! get {
    ($handle:expr, $kind:ident) => {
        match unsafe { $crate::oci::body($handle as *const std::ffi::c_void) } {
            Some($crate::oci::Body::$kind(inner)) => inner,
            _ => return $crate::oci::INVALID_HANDLE,
        }
    };
}
pub(crate) use get;

pub unsafe fn fail(error: *mut c_void, with: &OraError) -> c_int {
    if let Some(Body::Error(handle)) = unsafe { body(error) } {
        handle.code = with.code;
        handle.text = with.line();
    }
    ERROR
}

pub unsafe fn done(error: *mut c_void, result: Result<(), OraError>) -> c_int {
    match result {
        Ok(()) => OK,
        Err(e) => unsafe { fail(error, &e) },
    }
}

pub unsafe fn bytes<'a>(at: *const c_char, length: usize) -> &'a [u8] {
    if at.is_null() { &[] } else { unsafe { std::slice::from_raw_parts(at.cast(), length) } }
}

pub unsafe fn text(at: *const c_char, length: usize) -> String {
    String::from_utf8_lossy(unsafe { bytes(at, length) }).into_owned()
}

pub unsafe fn put<T>(to: *mut c_void, value: T) {
    unsafe { ptr::write_unaligned(to.cast(), value) }
}

/// With `FAKE_ORACLE_TRACE` set, what the library was asked and could not answer.
pub fn trace(say: impl FnOnce() -> String) {
    if std::env::var_os("FAKE_ORACLE_TRACE").is_some() {
        eprintln!("[fake-oracle] {}", say());
    }
}
