//! Session pools, as far as ODPI-C's homogeneous pool needs them: no growth in the background, no waiting.

use std::collections::BTreeMap;
use std::ffi::{c_char, c_int, c_void};
use std::ptr;
use std::sync::Mutex;

use super::session::{end, logon};
use super::{Body, Handle, OK, OraError, Server, Session, Svc, fail, get, make, text};

/// OCI_SESSRLS_DROPSESS.
const DROP_SESSION: u32 = 1;

pub struct Pool {
    pub auth: *mut Handle,
    pub open: u32,
    pub busy: u32,
    idle: Vec<*mut Handle>,
    connect: String,
    user: String,
    password: String,
    sessions_max: u32,
    name: String,
}

impl Default for Pool {
    fn default() -> Pool {
        Pool {
            auth: ptr::null_mut(),
            open: 0,
            busy: 0,
            idle: Vec::new(),
            connect: String::new(),
            user: String::new(),
            password: String::new(),
            sessions_max: 1,
            name: String::new(),
        }
    }
}

static POOLS: Mutex<BTreeMap<String, usize>> = Mutex::new(BTreeMap::new());

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCISessionPoolCreate(
    _env: *mut c_void,
    error: *mut c_void,
    pool: *mut c_void,
    name: *mut *mut c_char,
    name_length: *mut u32,
    connect: *const c_char,
    connect_length: u32,
    sessions_min: u32,
    sessions_max: u32,
    _increment: u32,
    user: *const c_char,
    user_length: u32,
    password: *const c_char,
    password_length: u32,
    _mode: u32,
) -> c_int {
    let handle = get!(pool, Pool);
    unsafe {
        handle.connect = text(connect, connect_length as usize);
        handle.user = text(user, user_length as usize);
        handle.password = text(password, password_length as usize);
        handle.sessions_max = sessions_max;
        handle.name = format!("POOL{pool:p}");
        *name = handle.name.as_ptr() as *mut c_char;
        *name_length = handle.name.len() as u32;
        POOLS.lock().expect("no holder panics").insert(handle.name.clone(), pool as usize);
        for _ in 0..sessions_min {
            match open(handle, pool) {
                Ok(svc) => handle.idle.push(svc),
                Err(e) => return fail(error, &e),
            }
        }
    }
    OK
}

unsafe fn open(pool: &mut Pool, handle: *mut c_void) -> Result<*mut Handle, OraError> {
    let mut svc = Svc { pool: handle.cast(), ..Svc::default() };
    svc.server = make(Body::Server(Server { status: 1, connect: pool.connect.clone() }));
    svc.session = make(Body::Session(Session::default()));
    unsafe { logon(&mut svc, &pool.connect, &pool.user, &pool.password) }?;
    pool.open += 1;
    Ok(make(Body::Svc(Box::new(svc))))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCISessionPoolDestroy(pool: *mut c_void, _error: *mut c_void, _mode: u32) -> c_int {
    let handle = get!(pool, Pool);
    POOLS.lock().expect("no holder panics").remove(&handle.name);
    for svc in handle.idle.drain(..) {
        end(get!(svc, Svc));
    }
    OK
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCISessionGet(
    _env: *mut c_void,
    error: *mut c_void,
    out: *mut *mut c_void,
    _auth: *mut c_void,
    name: *const c_char,
    name_length: u32,
    _tag: *const c_char,
    _tag_length: u32,
    _found_tag: *mut *mut c_char,
    _found_tag_length: *mut u32,
    found: *mut c_int,
    _mode: u32,
) -> c_int {
    unsafe {
        let key = text(name, name_length as usize);
        let known = POOLS.lock().expect("no holder panics").get(&key).copied();
        let Some(pool) = known else {
            return fail(error, &OraError::new(24416, "Invalid session Poolname was specified"));
        };
        let Some(Body::Pool(handle)) = super::body(pool as *const c_void) else { return super::INVALID_HANDLE };
        if !found.is_null() {
            *found = 0;
        }
        let svc = match handle.idle.pop() {
            Some(svc) => svc,
            None if handle.open >= handle.sessions_max => {
                return fail(error, &OraError::new(24418, "Cannot open further sessions."));
            }
            None => match open(handle, pool as *mut c_void) {
                Ok(svc) => svc,
                Err(e) => return fail(error, &e),
            },
        };
        handle.busy += 1;
        *out = svc.cast();
    }
    OK
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCISessionRelease(
    handle: *mut c_void,
    _error: *mut c_void,
    _tag: *const c_char,
    _tag_length: u32,
    mode: u32,
) -> c_int {
    let svc = get!(handle, Svc);
    let pool = get!(svc.pool, Pool);
    pool.busy = pool.busy.saturating_sub(1);
    if mode & DROP_SESSION != 0 {
        pool.open = pool.open.saturating_sub(1);
        end(svc);
        drop(unsafe { Box::from_raw(handle.cast::<Handle>()) });
    } else {
        pool.idle.push(handle.cast());
    }
    OK
}
