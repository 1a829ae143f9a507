//! Attach, logon, ping, end of transactions, break.

use std::ffi::{c_char, c_int, c_void};
use std::ptr;

use super::link::{Link, reachable};
use super::{Body, OK, OraError, SUCCESS_WITH_INFO, Svc, body, done, fail, get, text};
use crate::wire::{Reply, Request};

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCIServerAttach(
    server: *mut c_void,
    error: *mut c_void,
    connect: *const c_char,
    length: i32,
    _mode: u32,
) -> c_int {
    let handle = get!(server, Server);
    handle.connect = unsafe { text(connect, length.max(0) as usize) };
    // The connection of the session comes with its logon; attaching only finds the listener.
    let found = reachable(&handle.connect).map(|_| handle.status = 1);
    unsafe { done(error, found) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCIServerDetach(server: *mut c_void, _error: *mut c_void, _mode: u32) -> c_int {
    get!(server, Server).status = 0;
    OK
}

/// Opens the session of a service context; the answer is what the logon warned of.
pub unsafe fn logon(
    svc: &mut Svc,
    connect: &str,
    user: &str,
    password: &str,
) -> Result<Option<(i32, String)>, OraError> {
    let (link, warning) = Link::open(connect, user, password)?;
    *svc.cancel.lock().expect("no holder panics") = Some(link.canceller());
    CHARSETS.lock().expect("no holder panics").insert(svc.server as usize, link.charset_id);
    svc.link = Some(link);
    Ok(warning)
}

static CHARSETS: std::sync::Mutex<std::collections::BTreeMap<usize, u16>> =
    std::sync::Mutex::new(std::collections::BTreeMap::new());
/// KO16MSWIN949.
const CHARSET_KOREAN: u16 = 846;

/// The server's character set, as its newest session said.
pub fn charset_id(server: *const c_void) -> u16 {
    CHARSETS.lock().expect("no holder panics").get(&(server as usize)).copied().unwrap_or(CHARSET_KOREAN)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCISessionBegin(
    svc: *mut c_void,
    error: *mut c_void,
    user: *mut c_void,
    _credentials: u32,
    _mode: u32,
) -> c_int {
    let svc = get!(svc, Svc);
    let session = get!(user, Session);
    let server = get!(svc.server, Server);
    match unsafe { logon(svc, &server.connect, &session.user, &session.password) } {
        Ok(None) => OK,
        Ok(Some((code, text))) => {
            unsafe { fail(error, &OraError { code, text }) };
            SUCCESS_WITH_INFO
        }
        Err(e) => unsafe { fail(error, &e) },
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCISessionEnd(svc: *mut c_void, _error: *mut c_void, _user: *mut c_void, _mode: u32) -> c_int {
    end(get!(svc, Svc));
    OK
}

pub fn end(svc: &mut Svc) {
    *svc.cancel.lock().expect("no holder panics") = None;
    if let Some(mut link) = svc.link.take()
        && link.alive
    {
        // A session that cannot say good-bye ends with its socket.
        link.call(Request::Logoff, &[], 0).ok();
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCIServerRelease(
    svc: *mut c_void,
    error: *mut c_void,
    buffer: *mut c_char,
    size: u32,
    kind: u8,
    version: *mut u32,
) -> c_int {
    unsafe { OCIServerRelease2(svc, error, buffer, size, kind, version, 0) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCIServerRelease2(
    svc: *mut c_void,
    error: *mut c_void,
    buffer: *mut c_char,
    size: u32,
    _kind: u8,
    version: *mut u32,
    _mode: u32,
) -> c_int {
    let svc = get!(svc, Svc);
    match unsafe { svc.call(Request::Version, &[]) } {
        Ok((Reply::Text(banner, number), _)) => unsafe {
            if !buffer.is_null() && size > 0 {
                let length = banner.len().min(size as usize - 1);
                ptr::copy_nonoverlapping(banner.as_ptr(), buffer.cast(), length);
                *buffer.add(length) = 0;
            }
            *version = number;
            OK
        },
        Ok(_) => unsafe { fail(error, &OraError::new(3106, "fatal two-task communication protocol error")) },
        Err(e) => unsafe { fail(error, &e) },
    }
}

unsafe fn simple(svc: *mut c_void, error: *mut c_void, what: Request) -> c_int {
    let svc = get!(svc, Svc);
    let answer = unsafe { svc.call(what, &[]) }.map(|_| ());
    unsafe { done(error, answer) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCITransCommit(svc: *mut c_void, error: *mut c_void, _flags: u32) -> c_int {
    unsafe { simple(svc, error, Request::Commit) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCITransRollback(svc: *mut c_void, error: *mut c_void, _flags: u32) -> c_int {
    unsafe { simple(svc, error, Request::Rollback) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCIPing(svc: *mut c_void, error: *mut c_void, _mode: u32) -> c_int {
    unsafe { simple(svc, error, Request::Ping) }
}

/// May run on another thread than the call it stops: it touches only what is shared for that.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCIBreak(svc: *mut c_void, _error: *mut c_void) -> c_int {
    let Some(Body::Svc(svc)) = (unsafe { body(svc) }) else { return super::INVALID_HANDLE };
    let cancel = svc.cancel.clone();
    if let Some(canceller) = cancel.lock().expect("no holder panics").as_ref() {
        canceller.cancel();
    }
    OK
}

#[unsafe(no_mangle)]
pub extern "C" fn OCIReset(_svc: *mut c_void, _error: *mut c_void) -> c_int {
    OK
}
