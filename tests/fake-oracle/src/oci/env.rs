//! Environment, thread keys, handles, descriptors, character set names, error texts.

use std::ffi::{c_char, c_int, c_void};
use std::ptr;

use super::value::Stamp;
use super::{Body, ERROR, ErrorHandle, Handle, NO_DATA, OK, Server, Session, Svc, bytes, get, make};

const HANDLE_ERROR: u32 = 2;
const HANDLE_SVC: u32 = 3;
const HANDLE_SERVER: u32 = 8;
const HANDLE_SESSION: u32 = 9;
const HANDLE_POOL: u32 = 27;
const DESCRIPTOR_PARAM: u32 = 53;
const DESCRIPTORS_TIME: std::ops::RangeInclusive<u32> = 68..=70;
/// AL32UTF8: what the client side of ODPI-C uses.
const CHARSET_UTF8: u16 = 873;

/// `FAKE_ORACLE_CLIENT`: the version that this library says it has, `19.28` unless told.
pub fn client_version() -> [c_int; 5] {
    let text = std::env::var("FAKE_ORACLE_CLIENT").unwrap_or_default();
    let text = if text.is_empty() { "19.28" } else { &text };
    let mut parts = text.split('.').map(|part| part.parse().unwrap_or(0));
    std::array::from_fn(|_| parts.next().unwrap_or(0))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCIClientVersion(a: *mut c_int, b: *mut c_int, c: *mut c_int, d: *mut c_int, e: *mut c_int) {
    for (to, part) in [a, b, c, d, e].into_iter().zip(client_version()) {
        unsafe { *to = part };
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn OCIThreadProcessInit() {}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCIThreadKeyInit(
    _env: *mut c_void,
    _error: *mut c_void,
    key: *mut *mut c_void,
    destructor: Option<unsafe extern "C" fn(*mut c_void)>,
) -> c_int {
    let mut made: libc::pthread_key_t = 0;
    if unsafe { libc::pthread_key_create(&mut made, destructor) } != 0 {
        return ERROR;
    }
    // One more, so that key 0 is no null pointer.
    unsafe { *key = (made as usize + 1) as *mut c_void };
    OK
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCIThreadKeyGet(
    _env: *mut c_void,
    _error: *mut c_void,
    key: *mut c_void,
    value: *mut *mut c_void,
) -> c_int {
    unsafe { *value = libc::pthread_getspecific((key as usize - 1) as libc::pthread_key_t) };
    OK
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCIThreadKeySet(
    _env: *mut c_void,
    _error: *mut c_void,
    key: *mut c_void,
    value: *mut c_void,
) -> c_int {
    unsafe { libc::pthread_setspecific((key as usize - 1) as libc::pthread_key_t, value) }
}

#[unsafe(no_mangle)]
pub extern "C" fn OCIThreadKeyDestroy(_env: *mut c_void, _error: *mut c_void, _key: *mut *mut c_void) -> c_int {
    OK
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCIEnvNlsCreate(
    env: *mut *mut c_void,
    _mode: u32,
    _context: *mut c_void,
    _alloc: *mut c_void,
    _realloc: *mut c_void,
    _free: *mut c_void,
    _extra: usize,
    _user: *mut *mut c_void,
    _charset: u16,
    _ncharset: u16,
) -> c_int {
    unsafe { *env = make(Body::Env).cast() };
    OK
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCIHandleAlloc(
    _parent: *const c_void,
    out: *mut *mut c_void,
    kind: u32,
    _extra: usize,
    _user: *mut *mut c_void,
) -> c_int {
    let body = match kind {
        HANDLE_ERROR => Body::Error(ErrorHandle::default()),
        HANDLE_SVC => Body::Svc(Box::<Svc>::default()),
        HANDLE_SERVER => Body::Server(Server { status: 0, connect: String::new() }),
        HANDLE_SESSION => Body::Session(Session::default()),
        HANDLE_POOL => Body::Pool(super::pool::Pool::default()),
        _ => Body::Other,
    };
    unsafe { *out = make(body).cast() };
    OK
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCIHandleFree(handle: *mut c_void, _kind: u32) -> c_int {
    if !handle.is_null() {
        drop(unsafe { Box::from_raw(handle.cast::<Handle>()) });
    }
    OK
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCIDescriptorAlloc(
    _parent: *const c_void,
    out: *mut *mut c_void,
    kind: u32,
    _extra: usize,
    _user: *mut *mut c_void,
) -> c_int {
    unsafe {
        *out = if DESCRIPTORS_TIME.contains(&kind) {
            Box::into_raw(Box::<Stamp>::default()).cast()
        } else {
            make(Body::Other).cast()
        };
    }
    OK
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCIDescriptorFree(descriptor: *mut c_void, kind: u32) -> c_int {
    if descriptor.is_null() {
        return OK;
    }
    if DESCRIPTORS_TIME.contains(&kind) {
        drop(unsafe { Box::from_raw(descriptor.cast::<Stamp>()) });
    } else if kind == DESCRIPTOR_PARAM {
        drop(unsafe { Box::from_raw(descriptor.cast::<Handle>()) });
    }
    OK
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCIArrayDescriptorAlloc(
    parent: *const c_void,
    out: *mut *mut c_void,
    kind: u32,
    count: u32,
    extra: usize,
    user: *mut *mut c_void,
) -> c_int {
    for at in 0..count as usize {
        unsafe { OCIDescriptorAlloc(parent, out.add(at), kind, extra, user) };
    }
    OK
}

/// The count is not told, and ODPI-C keeps its array: the descriptors of the array's first entry's block stay. They
/// are a few bytes a fetched time column.
#[unsafe(no_mangle)]
pub extern "C" fn OCIArrayDescriptorFree(_descriptors: *mut *mut c_void, _kind: u32) -> c_int {
    OK
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCIErrorGet(
    handle: *mut c_void,
    record: u32,
    _state: *mut c_char,
    code: *mut i32,
    buffer: *mut c_char,
    size: u32,
    _kind: u32,
) -> c_int {
    let error = get!(handle, Error);
    if record != 1 || error.code == 0 || size == 0 {
        return NO_DATA;
    }
    let length = error.text.len().min(size as usize - 1);
    unsafe {
        *code = error.code;
        ptr::copy_nonoverlapping(error.text.as_ptr(), buffer.cast(), length);
        *buffer.add(length) = 0;
    }
    OK
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCINlsNumericInfoGet(
    _env: *mut c_void,
    _error: *mut c_void,
    value: *mut i32,
    _item: u16,
) -> c_int {
    unsafe { *value = 4 };
    OK
}

#[unsafe(no_mangle)]
pub extern "C" fn OCINlsCharSetNameToId(_env: *mut c_void, _name: *const c_char) -> u16 {
    CHARSET_UTF8
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCINlsCharSetIdToName(
    _env: *mut c_void,
    buffer: *mut c_char,
    _size: usize,
    _id: u16,
) -> c_int {
    let name = c"AL32UTF8".to_bytes_with_nul();
    unsafe { ptr::copy_nonoverlapping(name.as_ptr(), buffer.cast(), name.len()) };
    OK
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCINlsNameMap(
    _env: *mut c_void,
    buffer: *mut c_char,
    _size: usize,
    _source: *const c_char,
    _flag: u32,
) -> c_int {
    let name = c"UTF-8".to_bytes_with_nul();
    unsafe { ptr::copy_nonoverlapping(name.as_ptr(), buffer.cast(), name.len()) };
    OK
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCIContextGetValue(
    handle: *mut c_void,
    _error: *mut c_void,
    key: *const c_char,
    length: u8,
    value: *mut *mut c_void,
) -> c_int {
    let session = get!(handle, Session);
    let known = session.context.get(unsafe { bytes(key, usize::from(length)) });
    unsafe { *value = known.copied().unwrap_or(0) as *mut c_void };
    OK
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCIContextSetValue(
    handle: *mut c_void,
    _error: *mut c_void,
    _duration: u16,
    key: *const c_char,
    length: u8,
    value: *mut c_void,
) -> c_int {
    let session = get!(handle, Session);
    session.context.insert(unsafe { bytes(key, usize::from(length)) }.to_vec(), value as usize);
    OK
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCIMemoryAlloc(
    _handle: *mut c_void,
    _error: *mut c_void,
    memory: *mut *mut c_void,
    _duration: u16,
    size: u32,
    _flags: u32,
) -> c_int {
    unsafe { *memory = libc::calloc(1, size as usize) };
    OK
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCIMemoryFree(_handle: *mut c_void, _error: *mut c_void, memory: *mut c_void) -> c_int {
    unsafe { libc::free(memory) };
    OK
}
