//! Statements: prepare, bind, define, execute, fetch.
//!
//! The rows of one answer stay as the bytes they came in and are written from there into the define buffers.

use std::collections::HashMap;
use std::ffi::{c_char, c_int, c_void};
use std::ptr;

use super::buffer::{Bind, Buffer, InCallback, OutCallback, bound, give};
use super::{
    Body, ERROR, Handle, INVALID_HANDLE, NO_DATA, OK, OraError, SUCCESS_WITH_INFO, Svc, body, done, fail, get, make, text,
};
use crate::wire::{Column, Reply, Request, put, take};
use crate::{lex, shape};

const DESCRIBE_ONLY: u32 = 0x10;
const COMMIT_ON_SUCCESS: u32 = 0x20;
const BATCH_ERRORS: u32 = 0x80;
const PARSE_ONLY: u32 = 0x100;
const RETURN_ROW_COUNTS: u32 = 0x10_0000;

pub struct Stmt {
    pub svc: *mut Handle,
    pub sql: String,
    pub kind: u16,
    /// Placeholders as OCI counts them, and how many of the last ones receive returned values.
    pub names: Vec<String>,
    pub into: usize,
    by_name: HashMap<String, *mut Handle>,
    by_position: HashMap<u32, *mut Handle>,
    defines: Vec<Option<Buffer>>,
    cursor: u32,
    pub columns: Vec<Column>,
    cells: Vec<u8>,
    at: usize,
    rows_waiting: u32,
    ended: bool,
    prefetch: u32,
    pub rows_fetched: u32,
    pub row_count: u64,
    pub errors: u32,
    children: Vec<*mut Handle>,
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCIStmtPrepare2(
    svc: *mut c_void,
    out: *mut *mut c_void,
    _error: *mut c_void,
    sql: *const c_char,
    length: u32,
    _key: *const c_char,
    _key_length: u32,
    _language: u32,
    _mode: u32,
) -> c_int {
    let sql = unsafe { text(sql, length as usize) };
    // What cannot be lexed is the server's to refuse, at the execute, as on a real one.
    let tokens = lex::lex(&sql).unwrap_or_default();
    let kind = shape::kind(&tokens);
    let stmt = Stmt {
        svc: svc.cast(),
        names: shape::binds(&tokens, kind),
        into: shape::returned(&tokens, kind),
        sql,
        kind,
        by_name: HashMap::new(),
        by_position: HashMap::new(),
        defines: Vec::new(),
        cursor: 0,
        columns: Vec::new(),
        cells: Vec::new(),
        at: 0,
        rows_waiting: 0,
        ended: true,
        prefetch: 1,
        rows_fetched: 0,
        row_count: 0,
        errors: 0,
        children: Vec::new(),
    };
    unsafe { *out = make(Body::Stmt(Box::new(stmt))).cast() };
    OK
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCIStmtRelease(
    handle: *mut c_void,
    _error: *mut c_void,
    _key: *const c_char,
    _length: u32,
    _mode: u32,
) -> c_int {
    let stmt = get!(handle, Stmt);
    if stmt.cursor != 0
        && !stmt.ended
        && let Some(Body::Svc(svc)) = unsafe { body(stmt.svc.cast()) }
        && let Some(link) = svc.link.as_mut()
    {
        link.closed.push(stmt.cursor);
    }
    for child in stmt.children.drain(..) {
        drop(unsafe { Box::from_raw(child) });
    }
    drop(unsafe { Box::from_raw(handle.cast::<Handle>()) });
    OK
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCIStmtGetBindInfo(
    handle: *mut c_void,
    _error: *mut c_void,
    size: u32,
    start: u32,
    found: *mut i32,
    names: *mut *mut c_char,
    lengths: *mut u8,
    _indicator_names: *mut *mut c_char,
    indicator_lengths: *mut u8,
    repeated: *mut u8,
    handles: *mut *mut c_void,
) -> c_int {
    let stmt = get!(handle, Stmt);
    let start = start.max(1) as usize - 1;
    unsafe {
        // Negative: there are more than fit this time.
        let total = stmt.names.len() as i32;
        *found = if stmt.names.len() > start + size as usize { -total } else { total };
        if stmt.names.len() <= start {
            *found = 0;
            return NO_DATA;
        }
        for (at, name) in stmt.names[start..].iter().take(size as usize).enumerate() {
            *names.add(at) = name.as_ptr() as *mut c_char;
            *lengths.add(at) = name.len() as u8;
            *indicator_lengths.add(at) = 0;
            *handles.add(at) = ptr::null_mut();
            *repeated.add(at) = u8::from(stmt.names[..start + at].contains(name));
        }
    }
    OK
}

unsafe fn bind_handle(stmt: &mut Stmt, out: *mut *mut c_void, buffer: Buffer) -> *mut Handle {
    unsafe {
        if let Some(Body::Bind(bind)) = body(*out) {
            bind.buffer = buffer;
            return (*out).cast();
        }
        let handle = make(Body::Bind(Box::new(Bind { buffer, dynamic: None, rows_returned: 0 })));
        stmt.children.push(handle);
        *out = handle.cast();
        handle
    }
}

/// The three binding entries differ in how they name the placeholder and in the width of lengths.
macro_rules! bind_entry {
    ($entry:ident, $which:ident: $which_type:ty $(, $extra:ident: $extra_type:ty)?; $size:ty, $length:ty, $field:ident) => {
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $entry(
            handle: *mut c_void,
            out: *mut *mut c_void,
            _error: *mut c_void,
            $which: $which_type,
            $($extra: $extra_type,)?
            values: *mut c_void,
            bytes: $size,
            kind: u16,
            indicators: *mut c_void,
            lengths: *mut $length,
            codes: *mut u16,
            _array_max: u32,
            _array_now: *mut u32,
            _mode: u32,
        ) -> c_int {
            let stmt = get!(handle, Stmt);
            let mut buffer = Buffer {
                values: values.cast(),
                bytes: bytes as usize,
                kind,
                indicators: indicators.cast(),
                lengths: ptr::null_mut(),
                lengths_short: ptr::null_mut(),
                codes,
            };
            buffer.$field = lengths;
            let bind = unsafe { bind_handle(stmt, out, buffer) };
            bind_entry!(@store stmt, bind, $which $(, $extra)?);
            OK
        }
    };
    (@store $stmt:ident, $bind:ident, $position:ident) => {
        $stmt.by_position.insert($position, $bind);
    };
    (@store $stmt:ident, $bind:ident, $name:ident, $length:ident) => {
        let name = unsafe { text($name, $length.max(0) as usize) };
        $stmt.by_name.insert(name.trim_start_matches(':').to_uppercase(), $bind);
    };
}

bind_entry!(OCIBindByName2, name: *const c_char, length: i32; i64, u32, lengths);
bind_entry!(OCIBindByName, name: *const c_char, length: i32; i32, u16, lengths_short);
bind_entry!(OCIBindByPos2, position: u32; i64, u32, lengths);
bind_entry!(OCIBindByPos, position: u32; i32, u16, lengths_short);

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCIBindDynamic(
    handle: *mut c_void,
    _error: *mut c_void,
    in_context: *mut c_void,
    take: InCallback,
    out_context: *mut c_void,
    give: OutCallback,
) -> c_int {
    get!(handle, Bind).dynamic = Some((in_context, take, out_context, give));
    OK
}

unsafe fn define(handle: *mut c_void, out: *mut *mut c_void, position: u32, buffer: Buffer) -> c_int {
    let stmt = get!(handle, Stmt);
    unsafe {
        if (*out).is_null() {
            let child = make(Body::Other);
            stmt.children.push(child);
            *out = child.cast();
        }
    }
    let at = position.max(1) as usize - 1;
    if stmt.defines.len() <= at {
        stmt.defines.resize(at + 1, None);
    }
    stmt.defines[at] = Some(buffer);
    OK
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCIDefineByPos2(
    handle: *mut c_void,
    out: *mut *mut c_void,
    _error: *mut c_void,
    position: u32,
    values: *mut c_void,
    bytes: u64,
    kind: u16,
    indicators: *mut c_void,
    lengths: *mut u32,
    codes: *mut u16,
    _mode: u32,
) -> c_int {
    let lengths_short = ptr::null_mut();
    let buffer = Buffer {
        values: values.cast(),
        bytes: bytes as usize,
        kind,
        indicators: indicators.cast(),
        lengths,
        lengths_short,
        codes,
    };
    unsafe { define(handle, out, position, buffer) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCIDefineByPos(
    handle: *mut c_void,
    out: *mut *mut c_void,
    _error: *mut c_void,
    position: u32,
    values: *mut c_void,
    bytes: i32,
    kind: u16,
    indicators: *mut c_void,
    lengths_short: *mut u16,
    codes: *mut u16,
    _mode: u32,
) -> c_int {
    let lengths = ptr::null_mut();
    let buffer = Buffer {
        values: values.cast(),
        bytes: bytes as usize,
        kind,
        indicators: indicators.cast(),
        lengths,
        lengths_short,
        codes,
    };
    unsafe { define(handle, out, position, buffer) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCIParamGet(
    handle: *const c_void,
    _kind: u32,
    error: *mut c_void,
    out: *mut *mut c_void,
    position: u32,
) -> c_int {
    unsafe {
        match body(handle) {
            Some(Body::Stmt(stmt)) => match stmt.columns.get((position as usize).wrapping_sub(1)) {
                Some(column) => {
                    *out = make(Body::Param(column)).cast();
                    OK
                }
                None => fail(error, &OraError::new(24334, "no descriptor for this position")),
            },
            // An error of a batch: the caller's own error handle is filled.
            Some(Body::Error(errors)) => match errors.batch.get(position as usize) {
                Some((row, code, text)) => {
                    if let Some(Body::Error(to)) = body(*out) {
                        (to.row, to.code, to.text) = (*row, *code, text.clone());
                    }
                    OK
                }
                None => NO_DATA,
            },
            _ => INVALID_HANDLE,
        }
    }
}

pub unsafe fn set_prefetch(stmt: &mut Stmt, value: *mut c_void) {
    stmt.prefetch = unsafe { *value.cast::<u32>() };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCIStmtExecute(
    svc: *mut c_void,
    handle: *mut c_void,
    error: *mut c_void,
    iterations: u32,
    offset: u32,
    _snapshot_in: *const c_void,
    _snapshot_out: *mut c_void,
    mode: u32,
) -> c_int {
    let svc = get!(svc, Svc);
    let stmt = get!(handle, Stmt);
    (stmt.row_count, stmt.errors) = (0, 0);
    if let Some(Body::Error(errors)) = unsafe { body(error) } {
        errors.batch.clear();
    }
    match unsafe { execute(svc, stmt, error, iterations, offset, mode) } {
        Ok(()) if stmt.errors > 0 => unsafe {
            fail(error, &OraError::new(24381, "error(s) in array DML"));
            SUCCESS_WITH_INFO
        },
        result => unsafe { done(error, result) },
    }
}

unsafe fn execute(
    svc: &mut Svc,
    stmt: &mut Stmt,
    error: *mut c_void,
    iterations: u32,
    offset: u32,
    mode: u32,
) -> Result<(), OraError> {
    if mode & RETURN_ROW_COUNTS != 0 {
        return Err(OraError::new(24349, "Array DML row counts not available"));
    }
    let only_describe = mode & (DESCRIBE_ONLY | PARSE_ONLY) != 0;
    let is_query = stmt.kind == shape::SELECT;
    let iterations = if is_query || only_describe { u32::from(!only_describe) } else { iterations.max(1) };
    let rows = if is_query { 0..iterations } else { offset..iterations };
    let mut cells = Vec::new();
    for row in rows.clone() {
        for (at, name) in stmt.names.iter().enumerate() {
            let handle = stmt.by_name.get(name).or_else(|| stmt.by_position.get(&(at as u32 + 1)));
            let Some(handle) = handle else { return Err(OraError::new(1008, "not all variables bound")) };
            put(&mut cells, unsafe { bound(*handle, row as usize) }?.view());
        }
    }
    let Some(link) = svc.link.as_mut() else { return Err(OraError::new(3114, "not connected to ORACLE")) };
    if stmt.cursor == 0 {
        stmt.cursor = link.new_cursor();
    }
    let what = Request::Execute {
        cursor: stmt.cursor,
        sql: stmt.sql.clone(),
        iters: rows.len() as u32,
        batch_errors: mode & BATCH_ERRORS != 0,
        commit: mode & COMMIT_ON_SUCCESS != 0,
        prefetch: stmt.prefetch,
    };
    let (reply, cells) = unsafe { svc.call(what, &cells) }?;
    match reply {
        Reply::Rows { columns, rows, end } => {
            (stmt.columns, stmt.rows_waiting, stmt.ended) = (columns, rows, end);
            (stmt.cells, stmt.at) = (cells, 0);
            Ok(())
        }
        Reply::Changed { rows, errors, returned, .. } => {
            stmt.row_count = rows;
            stmt.errors = errors.len() as u32;
            if let Some(Body::Error(to)) = unsafe { body(error) } {
                let of = |(row, code, text): (u32, i32, String)| {
                    ((row + offset) as i32, code, OraError { code, text }.line())
                };
                to.batch = errors.into_iter().map(of).collect();
            }
            unsafe { hand_back(stmt, &cells, offset, &returned) }
        }
        _ => Ok(()),
    }
}

/// Values that a block or RETURNING gives.
unsafe fn hand_back(stmt: &mut Stmt, cells: &[u8], offset: u32, returned: &[u32]) -> Result<(), OraError> {
    let broken = || OraError::new(3106, "fatal two-task communication protocol error");
    let handle = |at: usize| {
        let name = &stmt.names[at];
        stmt.by_name.get(name).or_else(|| stmt.by_position.get(&(at as u32 + 1))).copied()
    };
    let mut at = 0;
    if shape::is_block(stmt.kind) {
        for place in 0..stmt.names.len() {
            let value = take(cells, &mut at).ok_or_else(broken)?;
            if let Some(handle) = handle(place)
                && let Some(Body::Bind(bind)) = unsafe { body(handle.cast()) }
            {
                unsafe { bind.buffer.write(0, value, None) }?;
            }
        }
        return Ok(());
    }
    let first = stmt.names.len() - stmt.into;
    for (iteration, rows) in returned.iter().enumerate() {
        for row in 0..*rows {
            for place in first..stmt.names.len() {
                let value = take(cells, &mut at).ok_or_else(broken)?;
                if let Some(handle) = handle(place) {
                    unsafe { give(handle, iteration as u32 + offset, row, *rows, value) }?;
                }
            }
        }
    }
    Ok(())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCIStmtFetch2(
    handle: *mut c_void,
    error: *mut c_void,
    rows: u32,
    _orientation: u16,
    _offset: i32,
    _mode: u32,
) -> c_int {
    let stmt = get!(handle, Stmt);
    stmt.rows_fetched = 0;
    match unsafe { fetch(stmt, rows) } {
        Ok(()) if stmt.rows_fetched < rows => NO_DATA,
        Ok(()) => OK,
        Err(e) => {
            unsafe { fail(error, &e) };
            ERROR
        }
    }
}

unsafe fn fetch(stmt: &mut Stmt, rows: u32) -> Result<(), OraError> {
    unsafe { deliver(stmt, rows) }?;
    if stmt.rows_fetched == rows || stmt.ended {
        return Ok(());
    }
    let Some(Body::Svc(svc)) = (unsafe { body(stmt.svc.cast()) }) else { return Ok(()) };
    let what = Request::Fetch { cursor: stmt.cursor, rows: rows - stmt.rows_fetched };
    if let (Reply::Rows { rows: waiting, end, .. }, cells) = unsafe { svc.call(what, &[]) }? {
        (stmt.cells, stmt.at, stmt.rows_waiting, stmt.ended) = (cells, 0, waiting, end);
    }
    unsafe { deliver(stmt, rows) }
}

/// Writes waiting rows into the define buffers, after those that this fetch has delivered.
unsafe fn deliver(stmt: &mut Stmt, rows: u32) -> Result<(), OraError> {
    while stmt.rows_waiting > 0 && stmt.rows_fetched < rows {
        for (place, column) in stmt.columns.iter().enumerate() {
            let Some(value) = take(&stmt.cells, &mut stmt.at) else {
                return Err(OraError::new(3106, "fatal two-task communication protocol error"));
            };
            if let Some(Some(buffer)) = stmt.defines.get(place) {
                unsafe { buffer.write(stmt.rows_fetched as usize, value, Some(column)) }?;
            }
        }
        stmt.rows_fetched += 1;
        stmt.rows_waiting -= 1;
        stmt.row_count += 1;
    }
    Ok(())
}
