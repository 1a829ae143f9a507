//! Bind and define buffers: values in and out of the caller's memory by external type.

use std::ffi::c_void;
use std::ptr;

use super::value::Stamp;
use super::{Handle, OraError};
use crate::number;
use crate::wire::{Cell, Column, View};

const CHR: u16 = 1;
const INT: u16 = 3;
const VNU: u16 = 6;
const LNG: u16 = 8;
const BDOUBLE: u16 = 22;
const RAW: u16 = 23;
const LONG_RAW: u16 = 24;
const UIN: u16 = 68;
const AFC: u16 = 96;
const IBDOUBLE: u16 = 101;
const ODT: u16 = 156;
/// SQLT_TIMESTAMP, _TZ, _LTZ.
const TIMES: [u16; 3] = [187, 188, 232];
/// What ODPI-C's callbacks answer when all is well.
const CONTINUE: i32 = -24_200;

pub type InCallback = unsafe extern "C" fn(
    *mut c_void,
    *mut c_void,
    u32,
    u32,
    *mut *mut c_void,
    *mut u32,
    *mut u8,
    *mut *mut c_void,
) -> i32;
pub type OutCallback = unsafe extern "C" fn(
    *mut c_void,
    *mut c_void,
    u32,
    u32,
    *mut *mut c_void,
    *mut *mut u32,
    *mut u8,
    *mut *mut c_void,
    *mut *mut u16,
) -> i32;

/// The caller's arrays: values of `bytes` each, and beside them indicators, lengths and return codes.
#[derive(Clone, Copy)]
pub struct Buffer {
    pub values: *mut u8,
    pub bytes: usize,
    pub kind: u16,
    pub indicators: *mut i16,
    pub lengths: *mut u32,
    /// Before client 12.
    pub lengths_short: *mut u16,
    pub codes: *mut u16,
}

pub struct Bind {
    pub buffer: Buffer,
    /// Context and functions of OCIBindDynamic: statements with RETURNING.
    pub dynamic: Option<(*mut c_void, InCallback, *mut c_void, OutCallback)>,
    /// OCI_ATTR_ROWS_RETURNED, asked by the out callback.
    pub rows_returned: u32,
}

fn no_number() -> OraError {
    OraError::new(1722, "invalid number")
}

impl Buffer {
    unsafe fn length(&self, row: usize) -> usize {
        unsafe {
            if !self.lengths.is_null() {
                *self.lengths.add(row) as usize
            } else if !self.lengths_short.is_null() {
                usize::from(*self.lengths_short.add(row))
            } else {
                self.bytes
            }
        }
    }

    pub unsafe fn read(&self, row: usize) -> Result<Cell, OraError> {
        unsafe {
            if !self.indicators.is_null() && *self.indicators.add(row) == -1 {
                return Ok(Cell::Null);
            }
            read_at(self.kind, self.values.add(row * self.bytes), self.length(row))
        }
    }

    pub unsafe fn write(&self, row: usize, value: View<'_>, column: Option<&Column>) -> Result<(), OraError> {
        unsafe {
            let code = |code: u16| {
                if !self.codes.is_null() {
                    *self.codes.add(row) = code;
                }
            };
            code(0);
            let is_null = matches!(value, View::Null);
            if !self.indicators.is_null() {
                *self.indicators.add(row) = if is_null { -1 } else { 0 };
            }
            if is_null {
                code(1405);
                return Ok(());
            }
            let to = self.values.add(row * self.bytes);
            if let Some(length) = write_at(self.kind, to, self.bytes, value, column)? {
                if length > self.bytes {
                    code(1406);
                }
                let length = length.min(self.bytes);
                if !self.lengths.is_null() {
                    *self.lengths.add(row) = length as u32;
                } else if !self.lengths_short.is_null() {
                    *self.lengths_short.add(row) = length as u16;
                }
            }
            Ok(())
        }
    }
}

unsafe fn read_at(kind: u16, at: *const u8, length: usize) -> Result<Cell, OraError> {
    unsafe {
        let raw = || std::slice::from_raw_parts(at, length);
        let whole = |text: String| match text.parse() {
            Ok(value) => Cell::Int(value),
            Err(_) => Cell::Decimal(text),
        };
        Ok(match kind {
            CHR | AFC | LNG => match String::from_utf8_lossy(raw()).into_owned() {
                text if text.is_empty() => Cell::Null,
                text if kind == AFC => Cell::Char(text),
                text => Cell::Text(text),
            },
            RAW | LONG_RAW if length == 0 => Cell::Null,
            RAW | LONG_RAW => Cell::Bytes(raw().to_vec()),
            VNU => whole(number::decode(std::slice::from_raw_parts(at, 22))),
            INT => Cell::Int(ptr::read_unaligned(at.cast())),
            UIN => whole(ptr::read_unaligned(at.cast::<u64>()).to_string()),
            BDOUBLE | IBDOUBLE => Cell::Real(ptr::read_unaligned(at.cast())),
            ODT => {
                let year = ptr::read_unaligned(at.cast::<i16>());
                let rest = std::slice::from_raw_parts(at.add(2), 5);
                let [month, day, hour, minute, second] = [rest[0], rest[1], rest[2], rest[3], rest[4]];
                Cell::Date(Stamp { year, month, day, hour, minute, second, ..Stamp::default() }.iso())
            }
            kind if TIMES.contains(&kind) => Cell::Timestamp((*ptr::read_unaligned(at.cast::<*const Stamp>())).iso()),
            kind => {
                return Err(OraError::new(3115, format!("unsupported network datatype or representation ({kind})")));
            }
        })
    }
}

/// Writes a value that is not null; for types of variable length its full length.
unsafe fn write_at(
    kind: u16,
    to: *mut u8,
    room: usize,
    value: View<'_>,
    column: Option<&Column>,
) -> Result<Option<usize>, OraError> {
    unsafe {
        let copy = |bytes: &[u8]| {
            ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len().min(room));
            Ok(Some(bytes.len()))
        };
        match kind {
            CHR | AFC | LNG => match value {
                View::Text(text) if column.is_some_and(|c| c.oci_type == AFC) => {
                    copy(padded(text, column.map_or(0, |c| usize::from(c.bytes))).as_bytes())
                }
                View::Text(text) => copy(text.as_bytes()),
                other => copy(words(other).as_bytes()),
            },
            RAW | LONG_RAW => match value {
                View::Bytes(bytes) => copy(bytes),
                other => copy(words(other).as_bytes()),
            },
            VNU => {
                let number = match value {
                    View::Int(value) => number::encode_int(value),
                    other => number::encode(&words(other)).ok_or_else(no_number)?,
                };
                ptr::copy_nonoverlapping(number.as_ptr(), to, number.len());
                Ok(None)
            }
            INT => {
                let whole = words(value).parse::<i64>().map_err(|_| no_number())?;
                ptr::write_unaligned(to.cast(), whole);
                Ok(None)
            }
            UIN => {
                let whole = words(value).parse::<u64>().map_err(|_| no_number())?;
                ptr::write_unaligned(to.cast(), whole);
                Ok(None)
            }
            BDOUBLE | IBDOUBLE => {
                let real = words(value).parse::<f64>().map_err(|_| no_number())?;
                ptr::write_unaligned(to.cast(), real);
                Ok(None)
            }
            ODT => {
                let stamp = stamp(value)?;
                ptr::write_unaligned(to.cast(), stamp.year);
                let rest = [stamp.month, stamp.day, stamp.hour, stamp.minute, stamp.second];
                ptr::copy_nonoverlapping(rest.as_ptr(), to.add(2), rest.len());
                Ok(None)
            }
            kind if TIMES.contains(&kind) => {
                *ptr::read_unaligned(to.cast::<*mut Stamp>()) = stamp(value)?;
                Ok(None)
            }
            kind => Err(OraError::new(932, format!("inconsistent datatypes (external type {kind})"))),
        }
    }
}

fn stamp(value: View<'_>) -> Result<Stamp, OraError> {
    let text = match value {
        View::Text(text) | View::Char(text) | View::Date(text) | View::Timestamp(text) => text,
        _ => return Err(OraError::new(932, "inconsistent datatypes: expected DATE got NUMBER")),
    };
    Stamp::parse(text).ok_or_else(|| OraError::new(1861, "literal does not match format string"))
}

fn words(value: View<'_>) -> String {
    match value {
        View::Null => String::new(),
        View::Int(value) => value.to_string(),
        View::Real(value) => value.to_string(),
        View::Decimal(text) | View::Text(text) | View::Char(text) | View::Date(text) | View::Timestamp(text) => {
            text.to_owned()
        }
        View::Bytes(bytes) => bytes.iter().map(|b| format!("{b:02X}")).collect(),
    }
}

/// A CHAR column's value fills its width in bytes of the server's character set, two a Korean syllable.
fn padded(text: &str, bytes: usize) -> String {
    let has: usize = text.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum();
    format!("{text}{}", " ".repeat(bytes.saturating_sub(has)))
}

/// A bind's value of one iteration: from the caller's array, or by its callback.
pub unsafe fn bound(handle: *mut Handle, row: usize) -> Result<Cell, OraError> {
    unsafe {
        let Some(super::Body::Bind(bind)) = super::body(handle.cast()) else {
            return Err(OraError::new(1008, "not all variables bound"));
        };
        let Some((context, take, ..)) = bind.dynamic else { return bind.buffer.read(row) };
        let (mut at, mut length, mut piece, mut indicator) = (ptr::null_mut(), 0u32, 0u8, ptr::null_mut());
        take(context, handle.cast(), row as u32, 0, &mut at, &mut length, &mut piece, &mut indicator);
        if at.is_null() || !indicator.is_null() && *indicator.cast::<i16>() == -1 {
            return Ok(Cell::Null);
        }
        read_at(bind.buffer.kind, at.cast(), length as usize)
    }
}

/// Hands a returned value to the caller's callback: `index` of `rows` rows of an iteration.
pub unsafe fn give(
    handle: *mut Handle,
    iteration: u32,
    index: u32,
    rows: u32,
    value: View<'_>,
) -> Result<(), OraError> {
    unsafe {
        let Some(super::Body::Bind(bind)) = super::body(handle.cast()) else { return Ok(()) };
        let Some((_, _, context, out)) = bind.dynamic else { return Ok(()) };
        bind.rows_returned = rows;
        let (kind, mut spare) = (bind.buffer.kind, bind.buffer.bytes as u32);
        let mut at = ptr::null_mut();
        let mut length: *mut u32 = &mut spare;
        let mut piece = 0u8;
        let mut indicator = ptr::null_mut();
        let mut code: *mut u16 = ptr::null_mut();
        let answer =
            out(context, handle.cast(), iteration, index, &mut at, &mut length, &mut piece, &mut indicator, &mut code);
        if answer != CONTINUE || at.is_null() {
            return Err(OraError::new(600, "the callback of a returning bind failed"));
        }
        let buffer = Buffer {
            values: at.cast(),
            bytes: if length.is_null() { spare as usize } else { *length as usize },
            kind,
            indicators: indicator.cast(),
            lengths: length,
            lengths_short: ptr::null_mut(),
            codes: code,
        };
        buffer.write(0, value, None)
    }
}
