//! A SQLite statement by its C interface: cursors live as long as the session says, across messages, and rows go from
//! SQLite's buffers to the frame without a value in between. rusqlite's statements borrow their connection, which
//! neither allows.

use std::ffi::{CStr, c_int};
use std::ptr;

use rusqlite::{Connection, ffi};

use super::charset::Charset;
use crate::wire::{self, Cell, View};

#[derive(Debug, Clone)]
pub struct Failure {
    /// SQLite's extended code.
    pub code: i32,
    pub text: String,
}

/// Invariant: dropped before its connection is closed; `Session` declares its statements first.
pub struct Statement {
    raw: *mut ffi::sqlite3_stmt,
    db: *mut ffi::sqlite3,
}

// SAFETY: a statement moves with its session, which is used by one thread at a time.
unsafe impl Send for Statement {}

impl Drop for Statement {
    fn drop(&mut self) {
        // SAFETY: made by prepare, finalised once.
        unsafe { ffi::sqlite3_finalize(self.raw) };
    }
}

fn failure(db: *mut ffi::sqlite3) -> Failure {
    // SAFETY: the connection is open; the message is copied before the next call on it.
    unsafe {
        let text = CStr::from_ptr(ffi::sqlite3_errmsg(db)).to_string_lossy().into_owned();
        Failure { code: ffi::sqlite3_extended_errcode(db), text }
    }
}

impl Statement {
    pub fn prepare(connection: &Connection, sql: &str) -> Result<Statement, Failure> {
        // SAFETY: the handle is valid while the connection is; the length is that of the text.
        unsafe {
            let db = connection.handle();
            let mut raw = ptr::null_mut();
            let code = ffi::sqlite3_prepare_v2(db, sql.as_ptr().cast(), sql.len() as c_int, &mut raw, ptr::null_mut());
            if code != ffi::SQLITE_OK {
                return Err(failure(db));
            }
            Ok(Statement { raw, db })
        }
    }

    pub fn bind(&mut self, position: usize, value: &Cell) -> Result<(), Failure> {
        let at = position as c_int;
        // SAFETY: SQLite copies texts and bytes (TRANSIENT) before the call returns.
        let code = unsafe {
            let text = |text: &str| {
                let length = text.len() as c_int;
                ffi::sqlite3_bind_text(self.raw, at, text.as_ptr().cast(), length, ffi::SQLITE_TRANSIENT())
            };
            match value {
                Cell::Null => ffi::sqlite3_bind_null(self.raw, at),
                Cell::Int(v) => ffi::sqlite3_bind_int64(self.raw, at, *v),
                Cell::Real(v) => ffi::sqlite3_bind_double(self.raw, at, *v),
                Cell::Decimal(v) => match v.parse::<f64>() {
                    // More digits than a double holds stay text, which SQLite's NUMERIC affinity leaves as it is.
                    Ok(real) if v.len() <= 15 => ffi::sqlite3_bind_double(self.raw, at, real),
                    _ => text(v),
                },
                Cell::Text(v) | Cell::Char(v) | Cell::Date(v) | Cell::Timestamp(v) => text(v),
                Cell::Bytes(v) => {
                    let length = v.len() as c_int;
                    ffi::sqlite3_bind_blob(self.raw, at, v.as_ptr().cast(), length, ffi::SQLITE_TRANSIENT())
                }
            }
        };
        if code == ffi::SQLITE_OK { Ok(()) } else { Err(failure(self.db)) }
    }

    /// True: a row is there.
    pub fn step(&mut self) -> Result<bool, Failure> {
        // SAFETY: the statement is valid.
        match unsafe { ffi::sqlite3_step(self.raw) } {
            ffi::SQLITE_ROW => Ok(true),
            ffi::SQLITE_DONE => Ok(false),
            _ => {
                let why = failure(self.db);
                self.reset();
                Err(why)
            }
        }
    }

    pub fn reset(&mut self) {
        // SAFETY: the statement is valid; an error told before is told again and not needed.
        unsafe {
            ffi::sqlite3_reset(self.raw);
            ffi::sqlite3_clear_bindings(self.raw);
        }
    }

    pub fn changes(&self) -> u64 {
        // SAFETY: the connection is open.
        unsafe { ffi::sqlite3_changes64(self.db) as u64 }
    }

    pub fn width(&self) -> usize {
        // SAFETY: the statement is valid.
        unsafe { ffi::sqlite3_column_count(self.raw) as usize }
    }

    pub fn name(&self, column: usize) -> String {
        // SAFETY: null only for a column that is not there or without memory.
        unsafe { owned(ffi::sqlite3_column_name(self.raw, column as c_int)) }.unwrap_or_default()
    }

    /// The declared type of the table column that the result column is, also through views.
    pub fn declared(&self, column: usize) -> Option<String> {
        // SAFETY: the statement is valid; null where there is none.
        unsafe { owned(ffi::sqlite3_column_decltype(self.raw, column as c_int)) }
    }

    pub fn value(&self, column: usize) -> View<'_> {
        let at = column as c_int;
        // SAFETY: a row is there; what is pointed to lives until the next step, which needs `&mut self`.
        unsafe {
            match ffi::sqlite3_column_type(self.raw, at) {
                ffi::SQLITE_INTEGER => View::Int(ffi::sqlite3_column_int64(self.raw, at)),
                ffi::SQLITE_FLOAT => View::Real(ffi::sqlite3_column_double(self.raw, at)),
                ffi::SQLITE_TEXT => {
                    let data = ffi::sqlite3_column_text(self.raw, at);
                    let bytes = std::slice::from_raw_parts(data, ffi::sqlite3_column_bytes(self.raw, at) as usize);
                    match std::str::from_utf8(bytes) {
                        // '' is NULL, whoever wrote it.
                        Ok("") => View::Null,
                        Ok(text) => View::Text(text),
                        Err(_) => View::Bytes(bytes),
                    }
                }
                ffi::SQLITE_BLOB => {
                    let data = ffi::sqlite3_column_blob(self.raw, at);
                    let length = ffi::sqlite3_column_bytes(self.raw, at) as usize;
                    if length == 0 { View::Null } else { View::Bytes(std::slice::from_raw_parts(data.cast(), length)) }
                }
                _ => View::Null,
            }
        }
    }

    pub fn put_row(&self, out: &mut Vec<u8>, charset: Charset) {
        for column in 0..self.width() {
            match self.value(column) {
                View::Text(text) if !text.is_ascii() => wire::put(out, View::Text(&charset.shown(text))),
                value => wire::put(out, value),
            }
        }
    }
}

unsafe fn owned(text: *const std::ffi::c_char) -> Option<String> {
    if text.is_null() { None } else { Some(unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()) }
}
